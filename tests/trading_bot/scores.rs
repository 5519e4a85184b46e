//! The composite score, number by number.

use serde_json::{Value, json};

use crate::{
    Desk,
    bot::score::{WEIGHTS, Weights, composite},
    signals, with,
};

fn close(score: f64, expected: f64) -> bool {
    (score - expected).abs() < 0.0006
}

/// What the perfect signal scores, fresh, with one thing changed.
fn scored(changes: Value) -> f64 {
    let (perfect, _) = signals();
    let perfect = with(&perfect, json!({"age_min": 0}));
    Desk::new().mock(&with(&perfect, changes)).score
}

#[test]
fn the_perfect_signal_and_what_it_is_made_of() {
    let (perfect, _) = signals();
    let answer = Desk::new().mock(&with(&perfect, json!({"age_min": 0})));
    assert_eq!((answer.score, answer.freshness), (6.119, 1.0));
    let of = |name: &str| answer.components[name].as_f64().expect("a number");
    for (name, expected) in [
        ("flow", 2.28),
        ("dark_pool", 1.69),
        ("insider", 0.4),
        ("iv", 0.117),
        ("smile", 0.042),
        ("whale", 0.665),
        ("event", 0.32),
        ("institutional", 0.575),
        ("iv_rank", 0.03),
    ] {
        assert!(close(of(name), expected), "{name} is {}", of(name));
    }
    let total: f64 = answer.components.keys().map(|name| of(name)).sum();
    assert!(close(total, 6.119), "{total}");
    assert_eq!(answer.components.len(), 21);
}

#[test]
fn what_each_part_is_worth_to_the_perfect_signal() {
    for (changes, expected) in [
        (json!({"sentiment": null}), 5.565),
        (json!({"conviction": null}), 4.319),
        (json!({"dark_pool": null}), 4.689),
        (json!({"insider": null}), 5.269),
        (json!({"sentiment": null, "conviction": null}), 3.765),
        (json!({"motif_whale": null}), 5.454),
        (json!({"event_alignment": null}), 5.799),
        (json!({"iv_rank": 10}), 6.189),
        (json!({"iv_rank": 90}), 6.039),
        (json!({"institutional": {"direction": "BEARISH"}}), 5.394),
        (json!({"market_tide": {"direction": "BEARISH"}}), 6.039),
        (json!({"congress": {"direction": "BULLISH"}}), 6.479),
        (json!({"toxicity": 0.7}), 5.849),
        (json!({"toxicity": 0.4}), 6.074),
        (json!({"motif_burst": {"detected": true}}), 6.299),
        (json!({"calendar": {"days_to_event": 3}}), 6.299),
        // Interest of 25 %: shorts 0.35, and half a squeeze of 0.1.
        (
            json!({"ftd": {"interest_pct": 25, "fails": 300_000}}),
            6.719,
        ),
        // Not read by the score.
        (
            json!({"flow_conv": null, "signal_type": null, "flow_magnitude": null}),
            6.119,
        ),
    ] {
        let score = scored(changes.clone());
        assert!(close(score, expected), "{changes}: {score}, not {expected}");
    }
}

#[test]
fn freshness_is_a_factor() {
    let weights = Weights::new(&json!(shipped()), &json!({}));
    let (perfect, _) = signals();
    for (freshness, expected) in [
        (1.0, 6.119),
        (0.9, 5.507),
        (0.66, 4.039),
        (0.65, 3.977),
        (0.1, 0.612),
    ] {
        let score = composite(&perfect, &weights, freshness).total;
        assert!(close(score, expected), "{freshness}: {score}");
    }
}

#[test]
fn freshness_falls_with_age_to_its_floor() {
    let (perfect, _) = signals();
    let mut desk = Desk::new();
    for (age, expected) in [
        (0.0, 1.0),
        (5.0, 0.895),
        (10.0, 0.801),
        (20.0, 0.641),
        (31.2, 0.5),
        (54.2, 0.3),
        (60.0, 0.264),
        (90.0, 0.135),
        (104.0, 0.1),
        (10_000.0, 0.1),
    ] {
        let freshness = desk
            .mock(&with(&perfect, json!({"age_min": age})))
            .freshness;
        assert!(close(freshness, expected), "{age} min: {freshness}");
    }
}

#[test]
fn weights_come_from_the_file_and_the_multipliers_alone() {
    let (perfect, _) = signals();
    let total = |weights: &Value, multipliers: &Value| {
        composite(&perfect, &Weights::new(weights, multipliers), 1.0).total
    };
    let shipped = json!(shipped());
    assert_eq!(total(&shipped, &Value::Null), 6.119);
    assert!(close(
        total(&shipped, &json!({"options_flow": 0.255})),
        4.42
    ));
    assert!(close(
        total(&with(&shipped, json!({"options_flow": 0.612})), &json!({})),
        4.42
    ));
    assert!(close(
        total(&with(&shipped, json!({"options_flow": 0})), &json!({})),
        3.839
    ));
    assert!(close(
        total(&with(&shipped, json!({"options_flow": "much"})), &json!({})),
        3.839
    ));
    assert!(close(
        total(&with(&shipped, json!({"options_flow": null})), &json!({})),
        3.839
    ));
    assert_eq!(total(&json!({}), &json!({})), 0.0);
    assert_eq!(total(&json!([2.4]), &json!("much")), 0.0);
    assert_eq!(
        total(&with(&shipped, json!({"dark_pool": 100})), &json!({})),
        8.0,
        "clamped"
    );
}

fn shipped() -> serde_json::Map<String, Value> {
    let pairs = WEIGHTS.iter();
    pairs
        .map(|(name, weight)| ((*name).to_owned(), json!(weight)))
        .collect()
}
