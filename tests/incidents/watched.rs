//! Without repairs it stays broken: it is told, no order comes, and nothing is written to the broken files.

use crate::{
    bot::files,
    world::{World, until},
};

/// What the incidents break.
const BROKEN: [&str; 6] = [
    files::WEIGHTS,
    files::THRESHOLDS,
    files::ENRICHMENT,
    files::SCORING,
    files::ADAPTIVE,
    files::MAIN,
];

#[test]
fn weights() {
    stays_broken("weights", "weights_file", "composite_weights", "CRITICAL");
}

#[test]
fn thresholds() {
    stays_broken(
        "thresholds",
        "entry_thresholds",
        "entry_thresholds",
        "WARNING",
    );
}

#[test]
fn fields() {
    stays_broken(
        "fields",
        "enrich_signal_fields",
        "enrich_signal_fields",
        "CRITICAL",
    );
}

#[test]
fn decay() {
    stays_broken(
        "decay",
        "freshness_killing_scores",
        "freshness_scores",
        "CRITICAL",
    );
}

#[test]
fn adaptive() {
    stays_broken(
        "adaptive",
        "adaptive_weights_killing_scores",
        "adaptive_weights_killing_scores",
        "CRITICAL",
    );
}

/// `known_as` is the check's name in a session, `mock` what the mock signal comes to.
fn stays_broken(breakage: &str, check: &str, known_as: &str, mock: &str) {
    let world = World::new();
    world.breaks(breakage);
    let orders = world.stops_trading();
    let broken = BROKEN.map(|file| world.text(file));

    // One round without an engine.
    let (answer, code) = world.says(&["check", "--no-fix"]);
    assert_eq!(code, 2, "{answer}");
    let checks = answer["checks"].as_array().expect("checks");
    let of = |name: &str| {
        checks
            .iter()
            .find(|it| it["name"] == name)
            .expect("a check")
    };
    assert_eq!(of("mock_signal")["status"], mock, "{}", of("mock_signal"));
    assert_ne!(of(check)["status"], "OK", "{}", of(check));
    assert_eq!(of(check)["remediation"]["held_by"], "look_only");
    assert_eq!(BROKEN.map(|file| world.text(file)), broken);

    // An engine that is paused: by a command given before it was started.
    let (_, code) = world.says(&["pause", "--reason", "watching"]);
    assert_eq!(code, 0);
    let engine = world.engine();
    until("the check to be held", || {
        let stands = world.status(check);
        (stands["held_by"] == "pause" && stands["status"] != "OK").then_some(())
    });
    let session = until("a root-cause session", || {
        world.lines("state/sre_rca_fixes.jsonl").pop()
    });
    assert_eq!(session["trigger"], "mock_signal_failure", "{session}");
    assert_ne!(session["overall_status"], "OK", "{session}");
    assert_eq!(session["cause"], known_as, "{session}");
    assert!(session["duration_ms"].as_f64() > Some(0.0), "{session}");
    assert_eq!(session["fixes_applied"].as_array().map(Vec::len), Some(0));
    let checks = session["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 11, "{session}");
    let own = checks.iter().find(|it| it["check_name"] == known_as);
    let own = own.expect("the check in the session");
    assert_ne!(own["status"], "OK", "{session}");
    assert_eq!(own["fix_success"], false, "{session}");

    world.cycles_pass(12);
    assert_eq!(world.orders().len(), orders, "no order comes");
    assert_eq!(BROKEN.map(|file| world.text(file)), broken);
    assert!(!engine.has_acted());
    let line = world.ledger(check);
    assert!(
        line["attempts"].is_null() || line["attempts"] == 0,
        "{line}"
    );
    assert_eq!(world.json("state/sre_metrics.json")["auto_fix_count"], 0);
}
