//! `heartbeat`: when something that runs elsewhere last said that it is alive. It is pushed to the API; what came
//! survives a restart. Outsiders name a heartbeat that a rule waits for, never a step or a path.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Eyes, Kind, Look, Probe, ProbeError, Workshop};
use crate::model::{
    Name,
    facts::Facts,
    moment::Moment,
    node::{Node, decode},
    text::{Mistake, Text},
};

pub static KIND: Kind = Kind {
    name: "heartbeat",
    about: "when something last said that it is alive",
    example: r#"probe: { heartbeat: { name: nightly_backup } }"#,
    facts: &[
        ("exists", "boolean", "it has ever been heard"),
        ("missing", "boolean", "it has not"),
        (
            "age_s",
            "seconds or ()",
            "since it was last heard; () if it never was",
        ),
        (
            "at",
            "epoch seconds or ()",
            "when it was last heard, by the clock of this machine",
        ),
        ("payload", "any", "what it brought; () if nothing"),
    ],
    schema: Rule::json_schema,
    build,
};

/// A heartbeat: `POST /api/heartbeat/NAME`, with any JSON as its payload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Letters, digits, `_`, `-` and `.`. Several checks may wait for the same one.
    name: Text,
}

/// What was heard last.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    pub at: Moment,
    pub payload: Value,
}

struct HeartbeatProbe(Name);

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let name = rule.name.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
        let wrong = format!("`{name}` is no name of a heartbeat");
        workshop.mistakes.push(
            Mistake::new("bad-name", wrong, rule.name.place())
                .help("write letters, digits, `_`, `-` and `.`"),
        );
        return None;
    }
    Some(Arc::new(HeartbeatProbe(name.into())))
}

impl Probe for HeartbeatProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        let heard = Heartbeat {
            at: Moment(0),
            payload: Value::Null,
        };
        facts(Some(&heard), Moment(0))
    }

    fn heartbeats(&self) -> Vec<Name> {
        vec![self.0.clone()]
    }
}

impl Look for HeartbeatProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let heard = eyes.board.heartbeat(&self.0);
        Ok(facts(heard.as_ref(), eyes.ground.now))
    }
}

fn facts(heard: Option<&Heartbeat>, now: Moment) -> Facts {
    let age = heard.map(|heard| (now.0 - heard.at.0) as f64 / 1000.0);
    Facts::new()
        .with("exists", heard.is_some())
        .with("missing", heard.is_none())
        .with("age_s", json!(age))
        .with("at", json!(heard.map(|heard| heard.at.seconds())))
        .with(
            "payload",
            heard.map_or(Value::Null, |heard| heard.payload.clone()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::status::Status,
        probe::{
            Board,
            testing::{Bench, NOW},
        },
    };

    struct Heard;

    impl Board for Heard {
        fn status(&self, _: &str) -> Option<(Status, String)> {
            None
        }

        fn heartbeat(&self, name: &str) -> Option<Heartbeat> {
            (name == "backup").then(|| Heartbeat {
                at: NOW.minus(std::time::Duration::from_secs(90)),
                payload: json!({"files": 3}),
            })
        }
    }

    fn look(name: &str) -> Facts {
        let mut bench = Bench::new();
        bench.board = Arc::new(Heard);
        let probe = bench.build(&KIND, json!({"name": name})).expect("a probe");
        let look = probe.quick().expect("it only reads memory");
        look.look(&bench.eyes()).expect("it never fails")
    }

    #[test]
    fn what_was_heard_has_an_age_and_a_payload() {
        let facts = look("backup");
        assert_eq!(facts.get("exists").map(|it| &**it), Some(&json!(true)));
        assert_eq!(facts.get("age_s").map(|it| &**it), Some(&json!(90.0)));
        assert_eq!(
            facts.get("at").map(|it| &**it),
            Some(&json!(NOW.seconds() - 90.0))
        );
        assert_eq!(
            facts.get("payload").map(|it| &**it),
            Some(&json!({"files": 3}))
        );
    }

    #[test]
    fn what_was_never_heard_is_missing_and_of_no_age() {
        let facts = look("other");
        assert_eq!(facts.get("missing").map(|it| &**it), Some(&json!(true)));
        assert_eq!(facts.get("age_s").map(|it| &**it), Some(&Value::Null));
        assert_eq!(facts.get("payload").map(|it| &**it), Some(&Value::Null));
    }

    #[test]
    fn a_name_that_fits_no_address_is_refused() {
        for name in ["", "a/b", "a b", "ü", &"x".repeat(129)] {
            let codes = Bench::new().codes(&KIND, json!({"name": name}));
            assert_eq!(codes, ["bad-name"], "{name}");
        }
    }
}
