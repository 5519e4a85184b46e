//! Days of the market in virtual time: what the shipped rules tell, repair and prove while it opens and closes, over a
//! holiday, a half day, a weekend, and the hours that move in spring and autumn.

#[path = "../../examples/trading_bot/bot/mod.rs"]
mod bot;
#[path = "../common/mod.rs"]
mod common;
mod exchange;

use exchange::Exchange;
use homeostat::model::status::Status;

/// Thanksgiving of 2026: a Wednesday with an incident in the morning and one right before the close, the holiday, the half
/// day on which the second repair is proven, the weekend, and Monday.
#[tokio::test(flavor = "multi_thread")]
async fn thanksgiving() {
    let exchange = Exchange::new("2026-11-25 08:00").await;
    exchange.to("2026-11-25 09:48").await;
    exchange.breaks("thresholds");
    exchange.to("2026-11-25 15:57").await;
    exchange.breaks("weights");
    exchange.to("2026-11-27 10:00").await;
    let (status, message) = exchange.stands("orders_flow").await;
    assert_eq!(status, Status::Ok, "{message}");
    exchange.to("2026-11-27 13:30").await;
    let (_, message) = exchange.stands("orders_flow").await;
    assert_eq!(message, "outside nyse.regular");
    exchange.to("2026-11-30 10:05").await;
    let day = exchange.ends().await;
    insta::assert_snapshot!(day.told(&[]), @r"
    Wed 25 09:52:00  entry_thresholds                 OK → CRITICAL
    Wed 25 09:52:00  entry_thresholds                 CRITICAL → OK
    Wed 25 09:52:00  entry_thresholds                 repair, verified Wed 25 09:53:00
    Wed 25 15:59:00  adaptive_weights_killing_scores  OK → CRITICAL
    Wed 25 15:59:00  adaptive_weights_killing_scores  held by no_target
    Wed 25 15:59:00  adaptive_weights_killing_scores  Held, its repair is held by no_target
    Wed 25 15:59:00  weights_file                     OK → WARNING
    Wed 25 15:59:00  weights_file                     WARNING → OK
    Wed 25 15:59:00  weights_file                     repair, verified Fri 27 09:30:00
    Wed 25 16:04:00  adaptive_weights_killing_scores  CRITICAL → OK
    ");
    assert_eq!(day.told_outside(), Vec::<String>::new());
    assert!(day.orders("2026-11-25 09:55", "2026-11-25 15:57") > 100);
    assert_eq!(day.orders("2026-11-25 16:00", "2026-11-27 09:29"), 0);
    assert!(day.orders("2026-11-27 09:30", "2026-11-27 13:00") > 100);
    assert!(day.orders("2026-11-30 09:30", "2026-11-30 10:05") > 25);
}

/// The time in which a repair must be proven is time of an open market: of its fifteen minutes eight go by before the close
/// and seven after the opening of the next day. Nothing proves it, since code that nobody put right keeps orders away.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_counts_market_time() {
    let exchange = Exchange::new("2026-11-23 15:30").await;
    exchange.to("2026-11-23 15:47").await;
    exchange.breaks("fields");
    exchange.breaks("thresholds");
    exchange.to("2026-11-24 09:45").await;
    let day = exchange.ends().await;
    insta::assert_snapshot!(day.told(&["entry_thresholds"]), @r"
    Mon 23 15:52:00  entry_thresholds                 OK → CRITICAL
    Mon 23 15:52:00  entry_thresholds                 CRITICAL → OK
    Mon 23 15:52:00  entry_thresholds                 repair, failed Tue 24 09:37:00
    Tue 24 09:37:00  entry_thresholds                 Escalated, the ladder is exhausted: the check is OK, but nothing proves the repair
    ");
    assert_eq!(day.orders("2026-11-23 15:47", "2026-11-24 09:45"), 0);
}

/// The hour that moves: New York sets its clocks forward on Sunday, 8 March 2026, and back on 1 November.
#[tokio::test(flavor = "multi_thread")]
async fn spring() {
    quiet_weekend("2026-03-06", "2026-03-09").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn autumn() {
    quiet_weekend("2026-10-30", "2026-11-02").await;
}

/// From Friday to Monday nothing but OK is told, and the first orders come with the opening.
async fn quiet_weekend(friday: &str, monday: &str) {
    let exchange = Exchange::new(&format!("{friday} 14:45")).await;
    exchange.to(&format!("{monday} 09:29")).await;
    let (_, message) = exchange.stands("orders_flow").await;
    assert_eq!(message, "outside nyse.regular");
    exchange.to(&format!("{monday} 09:36")).await;
    let (status, message) = exchange.stands("orders_flow").await;
    assert_eq!(status, Status::Ok, "{message}");
    assert!(message.contains("in the last 3 cycles"), "{message}");
    exchange.to(&format!("{monday} 09:55")).await;
    let day = exchange.ends().await;
    assert_eq!(day.told(&[]), "");
    assert!(day.orders(&format!("{friday} 14:45"), &format!("{friday} 16:00")) > 50);
    assert_eq!(
        day.orders(&format!("{friday} 16:00"), &format!("{monday} 09:29")),
        0
    );
    assert!(day.orders(&format!("{monday} 09:29"), &format!("{monday} 09:55")) > 25);
}

/// Signals decay, and the code asks for no floor: the floor in a file never helps. After three vain repairs it is given up
/// and people are told, until somebody approves the code; then the next trial is proven, and it is in service again.
#[tokio::test(flavor = "multi_thread")]
async fn what_never_helps_is_quarantined() {
    let exchange = Exchange::new("2026-11-23 09:00").await;
    exchange.to("2026-11-23 09:45").await;
    exchange.breaks("floor_code");
    exchange.to("2026-11-23 12:41").await;
    exchange.approves("freshness_adjustment").await;
    exchange.to("2026-11-23 13:00").await;
    let day = exchange.ends().await;
    insta::assert_snapshot!(day.told(&["freshness_killing_scores", "freshness_adjustment"]), @r"
    Mon 23 09:46:00  freshness_adjustment             OK → CRITICAL
    Mon 23 09:46:00  freshness_adjustment             Proposed, proposes restore_file: `homeostat approve 1` within 12h
    Mon 23 09:46:00  freshness_adjustment             held by approval
    Mon 23 09:52:00  freshness_killing_scores         OK → CRITICAL
    Mon 23 09:52:00  freshness_killing_scores         repair, failed Mon 23 10:25:00
    Mon 23 10:25:00  freshness_killing_scores         Escalated, the ladder is exhausted and the check is still bad
    Mon 23 10:30:00  freshness_killing_scores         held by cooldown
    Mon 23 10:35:00  freshness_killing_scores         repair, failed Mon 23 11:05:00
    Mon 23 11:05:00  freshness_killing_scores         Escalated, the ladder is exhausted and the check is still bad
    Mon 23 11:05:00  freshness_killing_scores         held by cooldown
    Mon 23 11:15:00  freshness_killing_scores         repair, failed Mon 23 11:45:00
    Mon 23 11:45:00  freshness_killing_scores         Quarantined, 3 repairs in a row were not verified: quarantined
    Mon 23 11:50:00  freshness_killing_scores         held by breaker
    Mon 23 11:55:00  freshness_killing_scores         repair, failed Mon 23 12:25:00
    Mon 23 12:25:00  freshness_killing_scores         Quarantined, 3 repairs in a row were not verified: quarantined
    Mon 23 12:30:00  freshness_killing_scores         held by breaker
    Mon 23 12:35:00  freshness_killing_scores         repair, verified Mon 23 12:45:00
    Mon 23 12:41:10  freshness_adjustment             Approved, approved by ann
    Mon 23 12:41:10  freshness_adjustment             CRITICAL → OK
    Mon 23 12:41:10  freshness_adjustment             repair, verified Mon 23 12:45:00
    Mon 23 12:45:00  freshness_killing_scores         CRITICAL → OK
    Mon 23 12:45:00  freshness_killing_scores         Rearmed, the trial was verified: in service again
    ");
    assert_eq!(day.orders("2026-11-23 10:00", "2026-11-23 12:41"), 0);
    assert!(day.orders("2026-11-23 12:42", "2026-11-23 13:00") > 10);
}
