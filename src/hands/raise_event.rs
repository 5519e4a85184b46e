//! `raise_event`: tells the checks and investigations that wait for an event. What it sets off begins no repair of its
//! own while this one settles.

use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Eyes, HandsError, Kind, args};
use crate::{
    model::{
        node::{self, Node},
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "raise_event",
    about: "Raises an event: checks and investigations whose trigger names it are looked at.",
    example: "raise_event: weights_restored",
    shorthand: Some("event"),
    schema,
    check,
    prepare,
};

/// Longer names are no names.
const LONGEST: usize = 200;

/// Raises an event.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Its name, as `events: [ { event: NAME } ]` of a trigger names it.
    event: Text,
}

/// The name alone will do.
fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let whole = Args::json_schema(generator);
    json_schema!({"description": "Raises an event.", "anyOf": [{"type": "string"}, whole]})
}

fn check(node: &Node, _: &Permission, mistakes: &mut Vec<Mistake>) {
    if let Some(args) = node::decode::<Args>(node, mistakes)
        && let Some(name) = args::constant(&args.event)
        && let Err(why) = fit(name)
    {
        mistakes.push(Mistake::new("bad-value", why, args.event.place()));
    }
}

/// The event as written at load, with nothing to fill in.
pub fn constant_event(node: &Node) -> Option<Text> {
    let event = node.get("event").and_then(Node::text)?;
    args::constant(&event).is_some().then_some(event)
}

fn prepare(args: &Map<String, Value>, _: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    fit(args.event.as_str()).map_err(HandsError::Failed)?;
    Ok(Effect::Raise {
        event: args.event.as_str().to_owned(),
    })
}

fn fit(name: &str) -> Result<(), String> {
    match name {
        "" => Err("an event has a name".to_owned()),
        name if name.len() > LONGEST => Err(format!(
            "the name of an event is longer than {LONGEST} bytes"
        )),
        name if name.chars().any(char::is_control) => {
            Err("the name of an event holds a control character".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hands::testing::{World, mistakes},
        model::step::Outcome,
    };

    #[test]
    fn it_is_raised_once_and_dry_hands_only_say_so() {
        let world = World::new();
        let effect = world.ready("raise_event", json!({"event": "restored"}));
        assert_eq!(world.dry(&effect).detail, "would raise the event restored");
        assert!(world.runner.raised.lock().expect("no panic").is_empty());
        let receipt = world.commit(&effect).expect("it is done");
        assert_eq!(*world.runner.raised.lock().expect("no panic"), ["restored"]);
        assert_eq!(
            (receipt.outcome, &*receipt.target, &*receipt.detail),
            (Outcome::Done, "restored", "raised the event restored")
        );
        assert_eq!(effect.claims(), ["event restored"]);
    }

    #[test]
    fn what_is_no_name_is_refused_at_load_and_when_it_is_filled_in() {
        let world = World::new();
        for name in ["", "a\nb", &"x".repeat(201)] {
            let error = world.prepare("raise_event", json!({"event": name}));
            assert!(matches!(error, Err(HandsError::Failed(_))), "{name}");
            assert_eq!(
                mistakes(&world, "raise_event", json!({"event": name})).len(),
                1
            );
        }
        assert!(mistakes(&world, "raise_event", json!({"event": "${name}"})).is_empty());
    }

    #[test]
    fn an_engine_that_has_ended_is_a_failure() {
        let world = World::new();
        *world.runner.refuses.lock().expect("no panic") = Some("the engine has ended".to_owned());
        let effect = world.ready("raise_event", json!({"event": "x"}));
        let error = world.commit(&effect).expect_err("nobody hears it");
        assert_eq!(error.to_string(), "the engine has ended");
    }
}
