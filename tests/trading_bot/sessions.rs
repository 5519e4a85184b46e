//! Days in virtual time: how a healthy bot trades, and what it writes.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    Desk, OPENING,
    bot::{Bot, CycleReport, Market, Options, feed::SYMBOLS},
    instant,
};

fn keys(record: &Value) -> Vec<&str> {
    let fields = record.as_object().into_iter().flatten();
    fields.map(|(key, _)| key.as_str()).collect()
}

fn scores(lines: &[Value]) -> Vec<f64> {
    let mut scores: Vec<f64> = lines
        .iter()
        .map(|line| line["score"].as_f64().expect("a score"))
        .collect();
    scores.sort_by(f64::total_cmp);
    scores
}

#[test]
fn a_healthy_session() {
    let mut desk = Desk::new();
    let reports = desk.cycles(390);
    let errors: Vec<&String> = reports.iter().flat_map(|it| &it.errors).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(reports.iter().all(|it| it.open && it.scored == 6));
    // At least eight of every ten cycles in a row have orders.
    for ten in reports.windows(10) {
        let with = ten.iter().filter(|it| it.orders > 0).count();
        assert!(with >= 8, "{with} of 10 cycles with orders");
    }
    let lines = desk.lines("data/uw_attribution.jsonl");
    assert_eq!(lines.len(), 6 * 390);
    let scores = scores(&lines);
    let share = |least: f64| scores.iter().filter(|it| **it >= least).count() as f64 / 2340.0;
    assert!((0.6..=0.9).contains(&share(2.7)), "{} pass", share(2.7));
    assert!(share(3.5) == 0.0, "the highest is {:?}", scores.last());
    assert!(
        share(2.8) - share(3.4) > 0.6,
        "most lie between 2.8 and 3.4"
    );
    let median = scores[scores.len() / 2];
    assert!((2.95..3.2).contains(&median), "the median is {median}");
    // Any twenty in a row look healthy.
    let in_order: Vec<f64> = lines.iter().filter_map(|it| it["score"].as_f64()).collect();
    for twenty in in_order.windows(20) {
        assert!(twenty.iter().sum::<f64>() / 20.0 > 2.0);
    }
}

#[test]
fn what_a_bot_does_depends_on_its_files_and_the_time_alone() {
    let (mut one, mut other) = (Desk::new(), Desk::new());
    assert_eq!(one.cycles(30), other.cycles(30));
    for file in [
        "data/uw_flow_cache.json",
        "data/live_orders.jsonl",
        "state/book.json",
    ] {
        assert!(!one.text(file).is_empty());
        assert_eq!(one.text(file), other.text(file), "{file}");
    }
}

#[test]
fn lines_have_the_fields_that_readers_know() {
    let mut desk = Desk::new();
    let report = desk.cycle();
    let now = instant(OPENING).timestamp();

    let attribution = desk.lines("data/uw_attribution.jsonl");
    assert_eq!(attribution.len(), 6);
    for line in &attribution {
        assert_eq!(
            keys(line),
            [
                "ts",
                "symbol",
                "score",
                "decision",
                "source",
                "version",
                "components",
                "toxicity",
                "freshness",
                "notes"
            ]
        );
        assert_eq!(
            (&line["ts"], &line["source"]),
            (&json!(now), &json!("uw_v3"))
        );
        let signal = line["score"].as_f64() >= Some(2.7);
        let decision = if signal { "signal" } else { "rejected" };
        assert_eq!(line["decision"], decision);
        assert_eq!(line["notes"] == "clean", signal, "{}", line["notes"]);
        assert!(
            line["components"]["flow"].is_f64()
                && line["components"].as_object().map(|it| it.len()) == Some(21)
        );
        assert!((0.87..=0.96).contains(&line["freshness"].as_f64().expect("a number")));
    }

    let run = desk.lines("logs/run.jsonl");
    assert_eq!(
        run,
        [json!({
            "ts": OPENING, "_ts": now, "msg": "complete",
            "clusters": report.clusters, "orders": report.orders, "market_open": true,
            "metrics": {"scored": 6, "errors": 0, "mean_score": report.mean_score},
        })]
    );
    let mean = attribution
        .iter()
        .filter_map(|it| it["score"].as_f64())
        .sum::<f64>()
        / 6.0;
    assert!((mean - report.mean_score.expect("scored")).abs() < 0.001);

    let orders = desk.lines("data/live_orders.jsonl");
    assert_eq!(orders.len(), report.orders);
    for line in &orders {
        assert_eq!(
            keys(line),
            ["event", "symbol", "side", "qty", "price", "order_id", "_ts"]
        );
        let event = line["event"].as_str().expect("a text");
        assert!(["MARKET_FILLED", "LIMIT_FILLED", "LIMIT_FINAL_FILLED"].contains(&event));
        assert!(line["qty"] == 10 && line["_ts"] == now && line["price"].as_f64() > Some(100.0));
    }

    let cache = desk.json("data/uw_flow_cache.json");
    assert_eq!(keys(&cache)[..6], SYMBOLS);
    for symbol in SYMBOLS {
        let record = &cache[symbol];
        let fields: BTreeSet<&str> = keys(record).into_iter().collect();
        for field in [
            "sentiment",
            "conviction",
            "dark_pool",
            "insider",
            "iv_term_skew",
            "smile_slope",
            "motif_whale",
        ] {
            assert!(fields.contains(field), "{symbol} without {field}");
        }
        let age = now - record["_last_update"].as_i64().expect("epoch seconds");
        assert!((120..=360).contains(&age), "{age} s");
    }
    assert_eq!(
        keys(&cache["_metadata"]),
        ["updated", "cycle", "symbols", "source"]
    );
    assert_eq!(cache["_metadata"]["updated"], now);
    let modified =
        std::fs::metadata(desk.root().join("data/uw_flow_cache.json")).and_then(|it| it.modified());
    assert_eq!(
        DateTime::<Utc>::from(modified.expect("a time")),
        instant(OPENING)
    );

    let effective = desk.json("data/effective_weights.json");
    assert_eq!(effective, desk.json("data/uw_weights.json"));
    assert_eq!(keys(&effective).len(), 21);
}

#[test]
fn positions_follow_the_orders() {
    let mut desk = Desk::new();
    for _ in 0..50 {
        desk.cycle();
        let held: BTreeSet<String> = keys(&desk.json("state/position_metadata.json"))
            .into_iter()
            .filter(|key| !key.starts_with('_'))
            .map(str::to_owned)
            .collect();
        let orders = desk.lines("data/live_orders.jsonl");
        let of = |symbol: &String| orders.iter().filter(|it| it["symbol"] == **symbol).count();
        let odd: BTreeSet<String> = SYMBOLS
            .map(str::to_owned)
            .into_iter()
            .filter(|it| of(it) % 2 == 1)
            .collect();
        assert_eq!(held, odd, "opened once more than closed");
        assert_eq!(held, desk.bot.book().positions.keys().cloned().collect());
    }
    // The equity is what the account started with and what was gained.
    let gained = desk.bot.book().day.as_ref().expect("a session").pnl_usd;
    let equity: f64 = desk.bot.book().account_json()["equity"]
        .as_str()
        .expect("a text")
        .parse()
        .expect("a number");
    assert!((equity - 51_234.5 - gained).abs() < 0.01 && gained != 0.0);
}

#[test]
fn a_bot_that_is_started_again_knows_its_positions() {
    let mut desk = Desk::new();
    desk.cycles(7);
    let before = desk.bot.book().clone();
    assert!(!before.positions.is_empty());
    desk.bot = Bot::new(
        desk.dir.path(),
        Options {
            market: Market::Nyse,
        },
    );
    assert_eq!(desk.bot.book(), &before);
    let report = desk.cycle();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
}

#[test]
fn after_the_close_the_day_is_told_once() {
    let mut desk = Desk::at("2026-01-06T20:50:00Z", Market::Nyse);
    let reports: Vec<CycleReport> = desk.cycles(30);
    let open: Vec<bool> = reports.iter().map(|it| it.open).collect();
    assert_eq!((open[9], open[10]), (true, false));
    let told = desk.lines("data/daily_postmortem.jsonl");
    assert_eq!(told.len(), 1);
    assert_eq!(keys(&told[0]), ["_ts", "date", "pnl_usd", "trades", "won"]);
    assert_eq!(told[0]["date"], "2026-01-06");
    assert_eq!(told[0]["_ts"], instant("2026-01-06T21:00:00Z").timestamp());
    let closing = desk.lines("data/live_orders.jsonl").len() - desk.bot.book().positions.len();
    assert_eq!(told[0]["trades"], closing / 2);

    // Closed: the feed goes on, a line a cycle, nothing else.
    let run = desk.lines("logs/run.jsonl");
    assert_eq!(run.len(), 30);
    assert_eq!(run[29]["market_open"], false);
    assert_eq!(
        (&run[29]["clusters"], &run[29]["orders"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(desk.lines("data/uw_attribution.jsonl").len(), 60);
    assert_eq!(
        desk.json("data/uw_flow_cache.json")["_metadata"]["cycle"],
        30
    );
}

#[test]
fn most_days_end_with_a_gain() {
    let mut desk = Desk::at("2026-01-05T14:30:00Z", Market::Nyse);
    for _ in 0..5 {
        desk.cycles(390);
        desk.now += TimeDelta::minutes(18 * 60 - 390 + 360);
    }
    desk.cycle();
    let days = desk.lines("data/daily_postmortem.jsonl");
    assert_eq!(days.len(), 5, "{days:?}");
    let gains: Vec<f64> = days
        .iter()
        .filter_map(|it| it["pnl_usd"].as_f64())
        .collect();
    assert!(
        gains.iter().filter(|it| **it > 0.0).count() >= 4,
        "{gains:?}"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_no_end() {
    let mut desk = Desk::new();
    desk.cycle();
    for file in [
        "logs/run.jsonl",
        "data/live_orders.jsonl",
        "state/book.json",
    ] {
        let path = desk.root().join(file);
        std::fs::remove_file(&path).expect("it is there");
        std::fs::create_dir(&path).expect("a directory in its place");
    }
    let report = desk.cycle();
    assert!(report.orders > 0);
    for file in [
        "cannot append to logs/run.jsonl",
        "cannot append to data/live_orders.jsonl",
        "cannot write state/book.json",
    ] {
        assert!(
            report.errors.iter().any(|it| it.starts_with(file)),
            "{file}: {:?}",
            report.errors
        );
    }
}

#[test]
fn a_cycle_is_told_in_a_line() {
    let mut desk = Desk::at("2026-01-06T15:31:00Z", Market::Nyse);
    let report = desk.cycle();
    let (mean, clusters, orders) = (
        report.mean_score.expect("scored"),
        report.clusters,
        report.orders,
    );
    assert_eq!(
        report.to_string(),
        format!("10:31:00 open  6 scored, mean {mean:.2}, {clusters} clusters, {orders} orders")
    );
    desk.write("data/entry_thresholds.json", "{");
    assert!(
        desk.cycle()
            .to_string()
            .ends_with(", 0 clusters, 0 orders, 1 errors")
    );
    let night = Desk::at("2026-01-06T03:00:00Z", Market::Nyse).cycle();
    assert_eq!(night.to_string(), "22:00:00 closed");
}

#[test]
fn while_the_circuit_breaker_is_engaged_nothing_is_opened() {
    let mut desk = Desk::new();
    desk.cycles(10);
    let held = |desk: &Desk| -> BTreeSet<String> {
        let positions = desk.json("state/position_metadata.json");
        let symbols = positions.as_object().into_iter().flatten();
        let symbols = symbols.filter(|(key, _)| !key.starts_with('_'));
        symbols.map(|(key, _)| key.clone()).collect()
    };
    let until = (desk.now + TimeDelta::minutes(30)).timestamp();
    let engaged =
        json!({"engaged": true, "reason": "performance_degradation", "expires_at": until});
    desk.write("state/circuit_breaker.json", &engaged.to_string());
    let before = held(&desk);
    assert!(!before.is_empty());
    desk.cycles(30);
    assert_eq!(held(&desk), BTreeSet::new(), "what was held is closed");
    desk.cycles(5);
    assert!(!held(&desk).is_empty(), "it has expired");
    desk.write("state/circuit_breaker.json", "{");
    let before = held(&desk);
    for report in desk.cycles(5) {
        assert!(!report.errors.is_empty(), "a broken one is told");
    }
    assert!(held(&desk).is_subset(&before), "and counts as engaged");
    desk.write("state/circuit_breaker.json", "{\"engaged\": false}");
    desk.cycles(20);
    assert!(!held(&desk).is_empty());
}
