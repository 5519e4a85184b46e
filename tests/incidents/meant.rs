//! Thresholds may be high on purpose, as a loss stop: what a person confirmed is let alone, and put back when something
//! else changes it.

use std::fs;

use serde_json::{Value, json};

use crate::{
    bot::files,
    world::{World, until},
};

#[test]
fn confirmed_thresholds_are_let_alone_and_put_back() {
    let world = World::new();
    let engine = world.engine();
    let stands = |status: &str| {
        until(&format!("entry_thresholds to be {status}"), || {
            let stands = world.status("entry_thresholds");
            (stands["status"] == status).then_some(stands)
        })
    };
    stands("OK");
    // So that it is not undone before it can be said.
    assert_eq!(world.says(&["pause"]).1, 0);
    world.breaks("thresholds");
    let stopped = world.orders().len();
    assert_eq!(stands("CRITICAL")["held_by"], "pause");
    let reason = ["confirm", "entry_thresholds", "--reason", "loss stop"];
    assert_eq!(world.says(&reason).1, 0);
    let told = stands("OK");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains("as ann confirmed"), "{message}");
    assert_eq!(world.says(&["resume"]).1, 0);
    world.cycles_pass(25); // more than it takes for an alarm
    assert_eq!(world.orders().len(), stopped, "the loss stop holds");
    assert!(!engine.has_acted());

    let write = |thresholds: Value| {
        fs::write(world.at(files::THRESHOLDS), thresholds.to_string()).expect("thresholds");
    };
    write(json!({"base": 9.0, "canary": 9.1, "champion": 9.2}));
    let ends = engine.ends("entry_thresholds");
    assert_eq!(ends["attempt"]["before"]["status"], "CRITICAL", "{ends}");
    assert_eq!(ends["attempt"]["end"], "verified", "{ends}");
    assert_eq!(
        world.json(files::THRESHOLDS),
        json!({"base": 3.5, "canary": 3.8, "champion": 4.2})
    );
    assert_eq!(world.orders().len(), stopped, "the loss stop holds");
}
