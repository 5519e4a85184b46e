//! The reference bot of `examples/trading_bot`.

#[path = "../examples/trading_bot/bot/mod.rs"]
mod bot;

use bot::{Bot, Market, Options, breakage, score};
use chrono::{DateTime, TimeDelta, Utc};

#[test]
fn tmp_sim() {
    let dir = tempfile::tempdir().expect("dir");
    let mut now: DateTime<Utc> = "2026-01-06T14:30:00Z".parse().expect("t");
    println!("{}", breakage::mend(dir.path(), "all", now).expect("mend"));
    for (what, floor) in [
        ("healthy", None),
        ("adaptive", None),
        ("fields", None),
        ("decay", None),
        ("decay", Some(0.9)),
        ("thresholds", None),
        ("weights", None),
        ("parser", None),
    ] {
        breakage::mend(dir.path(), "all", now).expect("mend");
        if what != "healthy" {
            println!("{}", breakage::break_it(dir.path(), what, now).expect("b"));
        }
        if let Some(f) = floor {
            std::fs::write(
                dir.path().join("data/scoring.json"),
                format!("{{\"decay_minutes\":1.0,\"freshness_floor\":{f}}}"),
            )
            .expect("w");
        }
        let _ = std::fs::remove_file(dir.path().join("data/uw_attribution.jsonl"));
        let mut bot = Bot::new(
            dir.path(),
            Options {
                market: Market::Open,
            },
        );
        let (mut with, mut n) = (0, 0);
        let started = std::time::Instant::now();
        for _ in 0..1440 {
            let r = bot.cycle(now);
            now += TimeDelta::minutes(1);
            assert!(r.errors.is_empty(), "{:?}", r.errors);
            n += 1;
            with += usize::from(r.orders > 0);
        }
        let took = started.elapsed();
        let text =
            std::fs::read_to_string(dir.path().join("data/uw_attribution.jsonl")).expect("a");
        let mut s: Vec<f64> = text
            .lines()
            .map(|l| {
                serde_json::from_str::<serde_json::Value>(l).expect("j")["score"]
                    .as_f64()
                    .expect("f")
            })
            .collect();
        s.sort_by(f64::total_cmp);
        let q = |p: f64| s[((s.len() - 1) as f64 * p) as usize];
        println!(
            "{what} {floor:?} {took:?} orders {with}/{n} min {} q10 {} q25 {} med {} q75 {} q95 {} max {} pass {:.3} mean {:.3}",
            q(0.0),
            q(0.1),
            q(0.25),
            q(0.5),
            q(0.75),
            q(0.95),
            q(1.0),
            s.iter().filter(|x| **x >= 2.7).count() as f64 / s.len() as f64,
            s.iter().sum::<f64>() / s.len() as f64
        );
    }
    println!(
        "{}",
        std::fs::read_to_string(dir.path().join("data/daily_postmortem.jsonl")).expect("p")
    );
    let mut bot = Bot::new(
        dir.path(),
        Options {
            market: Market::Open,
        },
    );
    breakage::mend(dir.path(), "all", now).expect("mend");
    let perfect = serde_json::json!({"age_min": 0, "sentiment": "BULLISH", "conviction": 0.95, "dark_pool": {"sentiment": "BULLISH", "total_premium": 5e6, "total_notional": 5000000, "print_count": 10}, "insider": {"sentiment": "BULLISH", "net_buys": 1000, "conviction_modifier": 0.3}, "iv_term_skew": 0.15, "smile_slope": 0.12, "toxicity": 0.0, "event_alignment": 0.8, "motif_whale": {"detected": true, "avg_conviction": 0.95}});
    println!("{:?}", bot.mock_signal(&perfect, now));
    let _ = score::WEIGHTS;
}
