//! `run_checks`: looks at other checks now, with their own remediations and guards.

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
    name: "run_checks",
    about: "Looks at other checks now, their own remediations included.",
    example: "run_checks: [weights_file, entry_thresholds]",
    shorthand: Some("checks"),
    schema,
    check,
    prepare,
};

/// Looks at other checks now.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Names of checks.
    #[schemars(length(min = 1))]
    checks: Vec<Text>,
}

/// The list alone will do.
fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let whole = Args::json_schema(generator);
    let list = whole
        .get("properties")
        .and_then(|properties| properties.get("checks"))
        .cloned()
        .unwrap_or(Value::Bool(true));
    json_schema!({"description": "Looks at other checks now.", "anyOf": [list, whole]})
}

fn check(node: &Node, _: &Permission, mistakes: &mut Vec<Mistake>) {
    if let Some(args) = node::decode::<Args>(node, mistakes)
        && args.checks.is_empty()
    {
        let place = args::place(node, "checks");
        mistakes.push(Mistake::new("bad-value", "no check is named", place));
    }
}

/// The names as written at load, with nothing to fill in: `rules/` checks that there are such checks.
pub fn constant_names(node: &Node) -> Vec<Text> {
    let checks = node.get("checks").map(Node::items).unwrap_or_default();
    checks
        .iter()
        .filter_map(Node::text)
        .filter(|name| args::constant(name).is_some())
        .collect()
}

/// A name that stands twice is looked at once. That there is such a check is known above, where the effect is done.
fn prepare(args: &Map<String, Value>, _: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let mut checks: Vec<String> = Vec::new();
    for name in &args.checks {
        if !checks.iter().any(|known| known == name.as_str()) {
            checks.push(name.as_str().to_owned());
        }
    }
    if checks.is_empty() {
        return Err(HandsError::Failed("no check is named".to_owned()));
    }
    Ok(Effect::RunChecks { checks })
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
    fn the_engine_is_asked_once_for_each() {
        let world = World::new();
        let effect = world.ready("run_checks", json!({"checks": ["b", "a", "b"]}));
        assert_eq!(world.dry(&effect).detail, "would run checks b, a");
        assert!(world.runner.names.lock().expect("no panic").is_empty());
        let receipt = world.commit(&effect).expect("it is done");
        assert_eq!(*world.runner.names.lock().expect("no panic"), ["b", "a"]);
        assert_eq!(
            (
                receipt.outcome,
                &*receipt.target,
                &*receipt.detail,
                receipt.undo
            ),
            (Outcome::Done, "b, a", "2 checks looked at", None)
        );
    }

    #[test]
    fn what_the_engine_could_not_do_is_a_failure() {
        let world = World::new();
        *world.runner.refuses.lock().expect("no panic") = Some("no check `b`".to_owned());
        let effect = world.ready("run_checks", json!({"checks": ["b"]}));
        let error = world.commit(&effect).expect_err("refused");
        assert_eq!(error.to_string(), "no check `b`");
        assert_eq!(effect.failed(&error).outcome, Outcome::Failed);
        assert!(world.prepare("run_checks", json!({"checks": []})).is_err());
    }

    #[test]
    fn a_list_alone_will_do() {
        let world = World::new();
        assert_eq!(mistakes(&world, "run_checks", json!(["a", "${it}"])), []);
        assert_eq!(mistakes(&world, "run_checks", json!({"checks": ["a"]})), []);
        let found = mistakes(&world, "run_checks", json!([]));
        assert_eq!(found[0].2, "no check is named");
        assert_eq!(mistakes(&world, "run_checks", json!([["a"]])).len(), 1);
        let node = KIND.args(&Node::from_json(&json!(["a", "${it}", "b"])));
        let names = constant_names(&node);
        assert_eq!(names, [Text::bare("a"), Text::bare("b")]);
    }
}
