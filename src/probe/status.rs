//! `status`: how other checks stand. Whether they exist is checked by whoever knows all of them.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Board, Eyes, Kind, Look, Probe, ProbeError, Workshop};
use crate::model::{
    Name,
    facts::Facts,
    node::{Node, decode},
    status::Status,
    text::Mistake,
};

pub static KIND: Kind = Kind {
    name: "status",
    about: "how other checks stand",
    example: r#"probe: { status: { checks: [weights_file, cache_lock] } }"#,
    facts: &[
        (
            "of",
            "map",
            "of each check: `status`, lower-case, and `message`; not yet looked at is \"unknown\"",
        ),
        (
            "worst",
            "text",
            "the status that wants attention first: ok < warning < unknown < critical",
        ),
        (
            "bad",
            "list",
            "names of the checks that are \"warning\" or \"critical\"",
        ),
    ],
    schema: Rule::json_schema,
    build,
};

/// Names of checks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    checks: Vec<String>,
}

struct StatusProbe(Vec<Name>);

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let list = node.get("checks").map_or(&[][..], Node::items);
    let mut wrong = Vec::new();
    if rule.checks.is_empty() {
        wrong.push(Mistake::new(
            "bad-value",
            "`checks` is empty",
            node.place.clone(),
        ));
    }
    for (index, name) in rule.checks.iter().enumerate() {
        if rule.checks[..index].contains(name) {
            let place = list.get(index).map_or(&node.place, |item| &item.place);
            wrong.push(Mistake::new(
                "duplicate",
                format!("`{name}` stands here twice"),
                place.clone(),
            ));
        }
    }
    if !wrong.is_empty() {
        workshop.mistakes.extend(wrong);
        return None;
    }
    let names = rule.checks.into_iter().map(Name::from).collect();
    Some(Arc::new(StatusProbe(names)))
}

impl Probe for StatusProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        self.ask(|_| Some((Status::Ok, String::new())))
    }

    fn checks(&self) -> Vec<Name> {
        self.0.clone()
    }
}

impl Look for StatusProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let board: &dyn Board = &*eyes.board;
        Ok(self.ask(|name| board.status(name)))
    }
}

impl StatusProbe {
    fn ask(&self, board: impl Fn(&str) -> Option<(Status, String)>) -> Facts {
        let mut of = Map::new();
        let mut bad: Vec<Value> = Vec::new();
        let mut worst = Status::Ok;
        for name in &self.0 {
            let (status, message) = or_unknown(board(name));
            worst = Status::worst([worst, status]);
            if status.is_bad() {
                bad.push(name.to_string().into());
            }
            of.insert(
                name.to_string(),
                json!({"status": status.word(), "message": message}),
            );
        }
        Facts::new()
            .with("of", of)
            .with("worst", worst.word())
            .with("bad", bad)
    }
}

/// A check that was not looked at yet is of unknown status.
pub(super) fn or_unknown(answer: Option<(Status, String)>) -> (Status, String) {
    answer.unwrap_or_else(|| (Status::Unknown, "not looked at yet".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Bench, *};

    struct Two;

    impl Board for Two {
        fn status(&self, check: &str) -> Option<(Status, String)> {
            match check {
                "a" => Some((Status::Warning, "low".to_owned())),
                "b" => Some((Status::Ok, "fine".to_owned())),
                _ => None,
            }
        }
    }

    #[test]
    fn sees_how_others_stand() {
        let mut bench = Bench::new();
        bench.board = Arc::new(Two);
        assert_eq!(
            bench.look(&KIND, json!({"checks": ["a", "b"]})),
            Ok(json!({
                "of": {"a": {"status": "warning", "message": "low"}, "b": {"status": "ok", "message": "fine"}},
                "worst": "warning", "bad": ["a"]
            }))
        );
        let unknown = bench
            .look(&KIND, json!({"checks": ["b", "c"]}))
            .expect("seen");
        assert_eq!(
            unknown["of"]["c"],
            json!({"status": "unknown", "message": "not looked at yet"})
        );
        assert_eq!(
            (&unknown["worst"], &unknown["bad"]),
            (&json!("unknown"), &json!([]))
        );
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"checks": []}), &["bad-value"]),
            (json!({"checks": ["a", "a"]}), &["duplicate"]),
            (json!({"checks": [1]}), &["wrong-type"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
        let probe = bench
            .build(&KIND, json!({"checks": ["a", "b"]}))
            .expect("no mistakes");
        assert_eq!(probe.checks(), [Name::from("a"), Name::from("b")]);
    }
}
