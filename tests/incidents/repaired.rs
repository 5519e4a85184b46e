//! Break first, with no engine running, so that orders really stop. Then an engine starts: the check fires, the repair is
//! made, orders resume, and only they prove it.

use std::fs;

use serde_json::Value;

use crate::{
    bot::files,
    world::{Engine, World, until},
};

/// News is told a moment after it happened, in seconds.
const TELLING: f64 = 0.05;

/// What is expected of an incident.
struct Incident {
    breakage: &'static str,
    check: &'static str,
    status: &'static str,
    step: &'static str,
    /// The file that is put right.
    file: &'static str,
    /// A person approves it.
    approved: bool,
}

const fn repair(breakage: &'static str, check: &'static str) -> Incident {
    Incident {
        breakage,
        check,
        status: "CRITICAL",
        step: "set_json",
        file: "",
        approved: false,
    }
}

const WEIGHTS: Incident = Incident {
    status: "WARNING",
    step: "restore_file",
    file: files::WEIGHTS,
    ..repair("weights", "weights_file")
};
const THRESHOLDS: Incident = Incident {
    file: files::THRESHOLDS,
    ..repair("thresholds", "entry_thresholds")
};
const FIELDS: Incident = Incident {
    step: "restore_file",
    file: files::ENRICHMENT,
    approved: true,
    ..repair("fields", "enrich_signal_fields")
};
const DECAY: Incident = Incident {
    file: files::SCORING,
    ..repair("decay", "freshness_killing_scores")
};
const ADAPTIVE: Incident = Incident {
    file: files::ADAPTIVE,
    ..repair("adaptive", "adaptive_weights_killing_scores")
};
const FLOOR_CODE: Incident = Incident {
    step: "restore_file",
    file: files::MAIN,
    approved: true,
    ..repair("floor_code", "freshness_adjustment")
};

/// Scores of 0 look like decay and like a crushed weight; only their cause is touched.
#[test]
fn weights() {
    let (world, _engine) = comes_back(&WEIGHTS);
    for other in [DECAY.check, ADAPTIVE.check] {
        let line = world.ledger(other);
        assert!(
            line["attempts"].is_null() || line["attempts"] == 0,
            "{line}"
        );
    }
    assert_eq!(world.json(files::SCORING)["freshness_floor"], 0.1);
}

#[test]
fn thresholds() {
    comes_back(&THRESHOLDS);
}

#[test]
fn fields() {
    comes_back(&FIELDS);
}

#[test]
fn decay() {
    comes_back(&DECAY);
}

#[test]
fn adaptive() {
    comes_back(&ADAPTIVE);
}

/// The floor in a file does not help, since the code does not ask for it: only what a person approves does.
#[test]
fn floor_code() {
    let (world, engine) = comes_back(&FLOOR_CODE);
    let floor = engine.ends("freshness_killing_scores");
    assert_eq!(floor["attempt"]["end"], "verified", "{floor}");
    let code = engine.acts("freshness_adjustment");
    assert!(
        floor["now"].as_f64() > code["now"].as_f64(),
        "the floor is proven only once the code asks for it: {floor}"
    );
    assert_eq!(world.ledger("freshness_killing_scores")["verified"], 1);
}

/// Five at once. No single repair brings an order back, and none is taken for proven before the last has been made.
#[test]
fn all_together() {
    let world = World::new();
    world.breaks("all");
    let orders = world.stops_trading();
    let engine = world.engine();
    let unasked = [&WEIGHTS, &THRESHOLDS, &DECAY, &ADAPTIVE];
    for incident in unasked {
        acted(&world, &engine, incident);
    }
    let number = proposed(&world, &FIELDS);
    world.cycles_pass(12);
    assert_eq!(world.orders().len(), orders, "four of five are not enough");
    assert_eq!(world.verified(), 0);
    let (_, code) = world.says(&["approve", &number.to_string()]);
    assert_eq!(code, 0);
    let last = acted(&world, &engine, &FIELDS);
    for incident in unasked.into_iter().chain([&FIELDS]) {
        proven(&world, &engine, incident, last);
    }
    counted(&world, 5);
}

/// A lock that nobody holds: the feed cannot write, so signals grow old.
#[test]
fn lock() {
    let world = World::new();
    crate::bot::breakage::break_it(world.root(), "lock", crate::world::now()).expect("a lock");
    let cached = || world.text(files::CACHE);
    world.cycles_pass(1);
    let before = cached();
    world.cycles_pass(3);
    assert_eq!(cached(), before, "nobody writes the cache");
    let engine = world.engine();
    let acts = engine.acts("cache_lock");
    assert_eq!(acts["attempt"]["before"]["status"], "CRITICAL", "{acts}");
    assert_eq!(
        acts["attempt"]["before"]["message"],
        format!("Stale lock files found: {}", files::LOCK)
    );
    assert_eq!(acts["attempt"]["steps"][0]["kind"], "remove_file");
    let ends = engine.ends("cache_lock");
    assert_eq!(ends["attempt"]["end"], "verified", "{ends}");
    until("the feed to write", || (cached() != before).then_some(()));
    until("the lock to be gone for good", || {
        // The feed takes it and lets it go, ten times a second.
        let lock = fs::metadata(world.at(files::LOCK));
        lock.is_err().then_some(())
    });
    assert_eq!(world.ledger("cache_lock")["verified"], 1);
}

fn comes_back(incident: &Incident) -> (World, Engine) {
    let world = World::new();
    world.breaks(incident.breakage);
    let orders = world.stops_trading();
    let engine = world.engine();
    until("a line in the journal", || {
        world.journal(incident.check, incident.status).pop()
    });
    if incident.approved {
        let number = proposed(&world, incident);
        world.cycles_pass(12);
        assert_eq!(world.orders().len(), orders, "a proposal changes nothing");
        let (_, code) = world.says(&["approve", &number.to_string()]);
        assert_eq!(code, 0);
    }
    let at = acted(&world, &engine, incident);
    let resumed = proven(&world, &engine, incident, at);
    let early = resumed.get(orders).expect("an order");
    assert!(
        early["_ts"].as_f64() >= Some((at - TELLING).floor()),
        "none came before the repair at {at}: {early}"
    );
    counted(&world, 1);
    (world, engine)
}

/// Waits for the repair. Answers when it was made.
fn acted(world: &World, engine: &Engine, incident: &Incident) -> f64 {
    let acts = engine.acts(incident.check);
    let attempt = &acts["attempt"];
    assert_eq!(attempt["before"]["status"], incident.status, "{acts}");
    assert_eq!(attempt["steps"][0]["kind"], incident.step, "{acts}");
    assert_eq!(attempt["steps"][0]["target"], incident.file, "{acts}");
    assert_eq!(attempt["steps"][0]["outcome"], "done", "{acts}");
    assert!(world.at(incident.file).is_file());
    acts["now"].as_f64().expect("a time")
}

/// Waits for the proposal, which changes nothing. Answers its number.
fn proposed(world: &World, incident: &Incident) -> u64 {
    let broken = world.text(incident.file);
    let proposal = until("a proposal", || {
        let (status, _) = world.says(&["status"]);
        let proposals = status["proposals"].as_array()?.clone();
        proposals
            .into_iter()
            .find(|it| it["check"] == incident.check)
    });
    let step = &proposal["steps"][0];
    assert_eq!(step["target"], incident.file, "{proposal}");
    assert!(
        step["diff"].as_str().is_some_and(|it| it.contains("\n+")),
        "a person sees what would be done: {proposal}"
    );
    assert_eq!(world.text(incident.file), broken);
    assert_eq!(world.status(incident.check)["held_by"], "approval");
    proposal["attempt"].as_u64().expect("a number")
}

/// Waits until the repair has ended: verified, and not before an order of a cycle that came after `at`. Answers all orders.
fn proven(world: &World, engine: &Engine, incident: &Incident, at: f64) -> Vec<Value> {
    let ends = engine.ends(incident.check);
    assert_eq!(ends["attempt"]["end"], "verified", "{ends}");
    let verified = ends["now"].as_f64().expect("a time");
    let orders = world.orders();
    let times = orders.iter().filter_map(|it| it["_ts"].as_f64());
    assert!(
        times
            .clone()
            .any(|order| order >= (at - TELLING).floor() && order <= verified),
        "repaired at {at}, verified at {verified}, the last order at {:?}",
        times.clone().next_back()
    );
    let line = world.ledger(incident.check);
    assert_eq!(line["verified"], 1, "{line}");
    assert_eq!(line["failed"], 0, "{line}");
    assert!(
        line["recovery_s"].as_f64() >= Some(verified - at - 0.5),
        "{line}, repaired at {at}, verified at {verified}"
    );
    let told = world.journal(incident.check, "OK");
    assert!(
        told.iter()
            .any(|it| it["verified"] == true && it["before"]["status"] == incident.status),
        "the journal tells the end of the incident"
    );
    orders
}

/// `auto_fix_count` is what the ledger knows as verified, once the mock signal was sent again.
fn counted(world: &World, least: u64) {
    let before = world.verified();
    let (answer, code) = world.says(&["check", "mock_signal"]);
    assert_eq!(code, 0, "the mock signal passes again: {answer}");
    let metrics = until("metrics", || {
        let metrics = world.json("state/sre_metrics.json");
        (metrics["auto_fix_count"].as_u64()? >= before).then_some(metrics)
    });
    let count = metrics["auto_fix_count"].as_u64().expect("a count");
    assert!(count >= least && count <= world.verified(), "{metrics}");
    assert_eq!(metrics["parser_health_index"], 100, "{metrics}");
}
