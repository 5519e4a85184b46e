//! `notify`: tells notifiers something, as a step among others. It comes beside what they are told of the incident
//! anyway, and cannot be taken back.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Eyes, HandsError, Kind, args};
use crate::{
    model::{
        node::{self, Node, Tree},
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "notify",
    about: "Tells notifiers something; it is queued, and sent until it arrives.",
    example: "notify: { to: [ops], text: 'the cache was flushed: ${path}' }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Characters of a text; more is no notice.
const LONGEST: usize = 4000;
/// Notifiers of one step.
const MOST: usize = 20;

/// Tells people something.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Names of `notifiers:`, one or a list.
    to: Names,
    /// What they are told; its first line is the title.
    text: Text,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Names {
    One(Text),
    Several(Vec<Text>),
}

impl Names {
    fn all(&self) -> &[Text] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        }
    }
}

fn check(node: &Node, _: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    let names = args.to.all();
    if names.is_empty() || names.len() > MOST {
        let why = format!("a step tells from 1 to {MOST} notifiers");
        mistakes.push(Mistake::new("bad-value", why, args::place(node, "to")));
    }
    if let Some(Err(why)) = args::constant(&args.text).map(fit) {
        mistakes.push(Mistake::new("bad-value", why, args.text.place()));
    }
}

/// The notifiers as written at load, with nothing to fill in.
pub fn constant_names(node: &Node) -> Vec<Text> {
    let to = node.get("to");
    let names: Vec<Text> = match to.map(|to| &to.tree) {
        Some(Tree::Seq(items)) => items.iter().filter_map(Node::text).collect(),
        Some(_) => to.and_then(Node::text).into_iter().collect(),
        None => Vec::new(),
    };
    let plain = names.into_iter();
    plain
        .filter(|name| args::constant(name).is_some())
        .collect()
}

fn prepare(args: &Map<String, Value>, _: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let names = args.to.all();
    if names.is_empty() || names.len() > MOST {
        let why = format!("a step tells from 1 to {MOST} notifiers");
        return Err(HandsError::Failed(why));
    }
    fit(args.text.as_str()).map_err(HandsError::Failed)?;
    Ok(Effect::Tell {
        to: names.iter().map(Text::to_string).collect(),
        text: args.text.as_str().to_owned(),
    })
}

fn fit(text: &str) -> Result<(), String> {
    match text.trim() {
        "" => Err("there is nothing to tell".to_owned()),
        text if text.chars().count() > LONGEST => {
            Err(format!("a notice has at most {LONGEST} characters"))
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
    fn it_tells_those_it_names_and_dry_hands_only_say_so() {
        let world = World::new();
        let args = json!({"to": ["ops", "boss"], "text": "it is flushed\nall of it"});
        let effect = world.ready("notify", args);
        let would = world.dry(&effect);
        assert_eq!(would.detail, "would tell ops, boss: it is flushed");
        assert_eq!(would.diff.as_deref(), Some("+it is flushed\n+all of it\n"));
        assert!(world.runner.told.lock().expect("no panic").is_empty());
        let receipt = world.commit(&effect).expect("it is done");
        let told = world.runner.told.lock().expect("no panic").clone();
        let names = vec!["ops".to_owned(), "boss".to_owned()];
        assert_eq!(told, [(names, "it is flushed\nall of it".to_owned())]);
        assert_eq!(
            (receipt.outcome, &*receipt.target, &*receipt.detail),
            (Outcome::Done, "ops, boss", "told ops, boss: it is flushed")
        );
        assert_eq!(receipt.undo, None, "nobody can take it back");
        let one = world.ready("notify", json!({"to": "ops", "text": "x"}));
        assert_eq!(one.target(), "ops");
    }

    #[test]
    fn nothing_for_nobody_is_refused() {
        let world = World::new();
        for args in [
            json!({"to": [], "text": "x"}),
            json!({"to": "ops", "text": " "}),
            json!({"to": "ops", "text": "x".repeat(4001)}),
        ] {
            assert_eq!(mistakes(&world, "notify", args.clone()).len(), 1, "{args}");
            let error = world.prepare("notify", args.clone());
            assert!(matches!(error, Err(HandsError::Failed(_))), "{args}");
        }
        let fine = json!({"to": "${who}", "text": "${what}"});
        assert!(mistakes(&world, "notify", fine).is_empty());
    }

    #[test]
    fn a_notifier_that_is_not_there_is_a_failure() {
        let world = World::new();
        *world.runner.refuses.lock().expect("no panic") = Some("there is no notifier x".to_owned());
        let effect = world.ready("notify", json!({"to": "x", "text": "y"}));
        let error = world.commit(&effect).expect_err("nobody hears it");
        assert_eq!(error.to_string(), "there is no notifier x");
    }
}
