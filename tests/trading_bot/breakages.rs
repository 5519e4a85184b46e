//! Each breakage stops what it should, and mending brings it back.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    Desk,
    bot::breakage::{self, BREAKAGES},
    signals, with,
};

fn orders(desk: &mut Desk, cycles: usize) -> usize {
    desk.cycles(cycles).iter().map(|it| it.orders).sum()
}

/// Breaks a healthy bot: no orders from the next cycle on. Mended, it trades with the next cycle.
fn stops_and_comes_back(name: &str) {
    let mut desk = Desk::new();
    assert!(orders(&mut desk, 5) > 0);
    desk.breaks(name);
    assert_eq!(orders(&mut desk, 30), 0, "{name} stops the orders");
    desk.mends(name);
    let back = desk.cycles(3);
    assert!(back.iter().all(|it| it.orders > 0), "{name} is mended");
    assert!(back.iter().all(|it| it.errors.is_empty()), "{back:?}");
}

/// What the two signals of the README say: score and whether they enter.
fn told(desk: &mut Desk) -> [(f64, bool); 2] {
    let (perfect, ordinary) = signals();
    [perfect, ordinary].map(|signal| {
        let answer = desk.mock(&signal);
        (answer.score, answer.enter)
    })
}

fn incident(name: &str, expected: [(f64, bool); 2]) {
    stops_and_comes_back(name);
    let mut desk = Desk::new();
    let healthy = told(&mut desk);
    assert_eq!(healthy, [(5.476, true), (3.194, true)]);
    desk.breaks(name);
    assert_eq!(told(&mut desk), expected, "{name}");
    let readme = include_str!("../../examples/trading_bot/README.md");
    let yes = |enters| if enters { "**yes**" } else { "no" };
    let [(perfect, enters), (ordinary, too)] = expected;
    let row = format!(
        "| `{name}` | {perfect} | {} | {ordinary} | {} |",
        yes(enters),
        yes(too)
    );
    assert!(readme.contains(&row), "the README says otherwise: {row}");
    desk.mends(name);
    assert_eq!(told(&mut desk), healthy);
}

#[test]
fn without_weights_every_score_is_nothing() {
    incident("weights", [(0.0, false), (0.0, false)]);
    let mut desk = Desk::new();
    desk.breaks("weights");
    let report = desk.cycle();
    assert_eq!((report.scored, report.mean_score), (6, Some(0.0)));
    let effective = desk.json("data/effective_weights.json");
    assert!(
        effective
            .as_object()
            .expect("an object")
            .values()
            .all(|it| it == 0.0)
    );
}

#[test]
fn raised_thresholds_let_only_a_whale_in() {
    incident("thresholds", [(5.476, true), (3.194, false)]);
    let mut desk = Desk::new();
    desk.breaks("thresholds");
    let (_, ordinary) = signals();
    let answer = desk.mock(&ordinary);
    assert_eq!(answer.threshold, Some(3.5));
    assert_eq!(answer.reason, "score 3.194 below 3.5");
}

#[test]
fn forgotten_fields_lower_every_score() {
    // The perfect signal still enters: only a demand of 4.0 would notice.
    incident("fields", [(3.369, true), (1.112, false)]);
    let mut desk = Desk::new();
    let (perfect, _) = signals();
    let carried =
        |desk: &mut Desk, field: &str| desk.mock(&perfect).enriched.iter().any(|it| it == field);
    assert!(
        carried(&mut desk, "sentiment")
            && carried(&mut desk, "conviction")
            && carried(&mut desk, "dark_pool")
    );
    desk.breaks("fields");
    assert!(
        !carried(&mut desk, "sentiment")
            && !carried(&mut desk, "conviction")
            && carried(&mut desk, "dark_pool")
    );
}

#[test]
fn decay_within_a_minute_crushes_scores_until_the_floor_is_raised() {
    incident("decay", [(0.612, false), (0.357, false)]);
    let mut desk = Desk::new();
    desk.breaks("decay");
    desk.cycles(60);
    let scores: Vec<f64> = desk
        .lines("data/uw_attribution.jsonl")
        .iter()
        .filter_map(|it| it["score"].as_f64())
        .collect();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    assert!(
        mean < 0.5 && scores.iter().all(|it| *it < 1.0),
        "mean {mean}"
    );
    // The decay stays as it is; the floor alone helps.
    desk.write(
        "data/scoring.json",
        r#"{"decay_minutes": 1.0, "freshness_floor": 0.9}"#,
    );
    assert!(desk.cycles(10).iter().all(|it| it.orders > 0));
}

#[test]
fn a_low_multiplier_of_the_flow_lowers_every_score() {
    incident("adaptive", [(3.956, true), (1.722, false)]);
    let mut desk = Desk::new();
    desk.breaks("adaptive");
    desk.cycle();
    assert_eq!(
        desk.json("data/effective_weights.json")["options_flow"],
        0.612
    );
    assert_eq!(desk.json("data/uw_weights.json")["options_flow"], 2.4);
}

#[test]
fn all_five_at_once() {
    incident_of_all();
    let mut desk = Desk::new();
    desk.breaks("all");
    // Mending four of five is not enough.
    for name in ["weights", "thresholds", "decay", "adaptive"] {
        desk.mends(name);
        assert_eq!(orders(&mut desk, 2), 0, "{name} alone does not help");
    }
    desk.mends("fields");
    assert!(orders(&mut desk, 1) > 0);
}

fn incident_of_all() {
    stops_and_comes_back("all");
}

#[test]
fn without_a_floor_in_the_code_no_file_helps() {
    stops_and_comes_back("floor_code");
    let mut desk = Desk::new();
    desk.breaks("floor_code");
    desk.write(
        "data/scoring.json",
        r#"{"decay_minutes": 1.0, "freshness_floor": 0.9}"#,
    );
    assert_eq!(orders(&mut desk, 10), 0);
}

#[test]
fn a_parser_without_the_type_loses_the_conviction() {
    stops_and_comes_back("parser");
    let mut desk = Desk::new();
    let (_, ordinary) = signals();
    let trades = json!([{"c": 0.9, "k": "BULLISH_SWEEP", "p": 300_000}, {"c": 0.94, "k": "BULLISH_BLOCK", "p": 2_000_000}]);
    let raw = with(
        &ordinary,
        json!({"sentiment": null, "conviction": null, "flow_trades": trades}),
    );
    assert_eq!(
        desk.mock(&raw).score,
        3.194,
        "the mean of the trades is what the ordinary signal says"
    );
    desk.breaks("parser");
    assert!(desk.mock(&raw).score < 1.5);
    desk.cycle();
    let record = &desk.json("data/uw_flow_cache.json")["AAPL"];
    assert_eq!(
        (&record["sentiment"], &record["conviction"]),
        (&json!("NEUTRAL"), &json!(0.0))
    );
}

#[test]
fn signals_of_a_feed_that_stopped_age_until_none_enters() {
    for name in ["daemon", "lock"] {
        let mut desk = Desk::new();
        desk.cycle();
        let written = desk.text("data/uw_flow_cache.json");
        desk.breaks(name);
        assert!(desk.cycle().orders > 0, "still fresh");
        desk.now += TimeDelta::minutes(30);
        assert_eq!(orders(&mut desk, 5), 0, "{name}");
        assert_eq!(desk.text("data/uw_flow_cache.json"), written);
        desk.mends(name);
        assert!(orders(&mut desk, 1) > 0);
        assert!(!desk.root().join("data/uw_flow_cache.json.lock").exists());
    }
}

#[test]
fn a_lock_that_nobody_holds_is_an_hour_old() {
    let desk = Desk::new();
    desk.breaks("lock");
    let lock =
        std::fs::metadata(desk.root().join("data/uw_flow_cache.json.lock")).expect("it is there");
    let age = desk.now - chrono::DateTime::<chrono::Utc>::from(lock.modified().expect("a time"));
    assert_eq!(age, TimeDelta::hours(1));
}

#[test]
fn without_a_broker_there_are_signals_but_no_orders() {
    stops_and_comes_back_with_errors("broker_down", "the broker answers 503");
    let mut desk = Desk::new();
    desk.breaks("broker_down");
    let report = desk.cycle();
    assert!(report.clusters > 0 && report.orders == 0);
}

fn stops_and_comes_back_with_errors(name: &str, error: &str) {
    let mut desk = Desk::new();
    desk.breaks(name);
    let report = desk.cycle();
    assert!(
        report.errors.iter().any(|it| it.contains(error)),
        "{:?}",
        report.errors
    );
    desk.mends(name);
    let report = desk.cycle();
    assert!(report.errors.is_empty() && report.orders > 0);
}

#[test]
fn positions_of_which_bot_and_broker_know_different_things() {
    let mut desk = Desk::new();
    desk.cycles(3);
    desk.breaks("positions");
    let symbols = |rows: Value| -> Vec<String> {
        let rows = rows.as_array().expect("a list").clone();
        rows.iter()
            .map(|it| it["symbol"].as_str().expect("a text").to_owned())
            .collect()
    };
    let outside = crate::bot::outside::Outside::read(desk.root());
    let told = symbols(desk.bot.book().positions_json(outside));
    let held: Vec<String> = desk.bot.book().positions.keys().cloned().collect();
    assert!(told.contains(&"AMD".to_owned()) && !held.contains(&"AMD".to_owned()));
    assert!(!told.contains(&held[0]), "it lacks {}", held[0]);
    // What the broker lacks cannot be closed.
    let refused = desk
        .cycles(10)
        .into_iter()
        .flat_map(|it| it.errors)
        .collect::<Vec<_>>();
    assert!(
        refused
            .iter()
            .any(|it| it.contains("insufficient qty available")),
        "{refused:?}"
    );
    desk.write("state/position_metadata.json", r#"{"GME": {}}"#);
    desk.mends("positions");
    let noted = desk.json("state/position_metadata.json");
    let noted: Vec<&String> = noted
        .as_object()
        .expect("an object")
        .keys()
        .filter(|it| !it.starts_with('_'))
        .collect();
    assert_eq!(noted, desk.bot.book().positions.keys().collect::<Vec<_>>());
    assert!(desk.cycles(5).iter().all(|it| it.errors.is_empty()));
}

#[test]
fn thresholds_that_say_no_number_let_nothing_in() {
    for (text, enters) in [
        (r#"{"base": "2.7"}"#, false),
        (r#"{"base": null}"#, false),
        ("[2.7]", false),
        ("{", false),
        (r#"{"canary": 2.9}"#, true),
        (r#"{"base": -1}"#, true),
    ] {
        let mut desk = Desk::new();
        desk.write("data/entry_thresholds.json", text);
        let report = desk.cycle();
        assert_eq!(report.orders > 0, enters, "{text}");
        assert_eq!(report.errors.is_empty(), enters, "{text}");
        assert_eq!(desk.mock(&signals().0).enter, enters, "{text}");
    }
    let mut desk = Desk::new();
    std::fs::remove_file(desk.root().join("data/entry_thresholds.json")).expect("it is there");
    assert_eq!(desk.mock(&signals().1).threshold, Some(2.7));
    assert!(desk.cycle().orders > 0);
}

#[test]
fn breaking_and_mending_twice_is_as_good_as_once() {
    let shipped =
        |file: &str| std::fs::read_to_string(format!("data/bot/{file}")).expect("a source");
    for (name, _) in BREAKAGES {
        let desk = Desk::new();
        let state = |desk: &Desk| {
            let files = [
                "data/bot/main.py",
                "data/bot/uw_enrichment_v2.py",
                "data/uw_weights.json",
                "data/entry_thresholds.json",
                "data/scoring.json",
                "state/signal_weights.json",
                "state/outside.json",
                "data/uw_flow_cache.json.lock",
            ];
            files.map(|file| std::fs::read_to_string(desk.root().join(file)).ok())
        };
        let healthy = state(&desk);
        desk.breaks(name);
        let broken = state(&desk);
        assert_ne!(healthy, broken, "{name} changes something");
        desk.breaks(name);
        assert_eq!(broken, state(&desk), "{name} twice");
        desk.mends(name);
        assert_eq!(healthy, state(&desk), "{name} mended");
        desk.mends(name);
        assert_eq!(healthy, state(&desk), "{name} mended twice");
        assert_eq!(desk.text("data/bot/main.py"), shipped("main.py"));
    }
    let desk = Desk::new();
    let error =
        breakage::break_it(desk.root(), "nonsense", desk.now).expect_err("no such breakage");
    assert!(
        error.to_string().contains("weights, thresholds, fields"),
        "{error}"
    );
}

#[test]
fn mending_one_breakage_of_a_source_leaves_the_other() {
    let desk = Desk::new();
    desk.breaks("parser");
    desk.breaks("floor_code");
    desk.mends("parser");
    let text = desk.text("data/bot/main.py");
    assert!(text.contains("signal_type") && !text.contains("return max(scoring"));
    desk.mends("floor_code");
    assert!(desk.text("data/bot/main.py").contains("return max(scoring"));
}

/// What a repair proposes to restore is what ships: the two must not part.
#[test]
fn the_sources_to_restore_are_those_that_ship() {
    for file in ["main.py", "uw_enrichment_v2.py"] {
        let shipped = std::fs::read_to_string(format!("data/bot/{file}")).expect("it ships");
        let restored = std::fs::read_to_string(format!("rules/defaults/bot/{file}"));
        assert_eq!(restored.expect("it can be restored"), shipped, "{file}");
    }
}
