//! `write_file`: gives a file this body.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::{
    Effect, Eyes, HandsError, Kind, args, edit,
    effect::Rights,
    image::{self, MOST_BYTES, Seen},
};
use crate::{
    model::{
        node::{self, Node},
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "write_file",
    about: "Gives a file this body: a text as it stands, anything else as JSON.",
    example: "write_file: { file: state/mode.json, body: { mode: safe }, mode: '0640' }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Gives a file this body.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Below `data/`, `state/` or `logs/`.
    file: Text,
    /// A text is written as it stands; a map, list, number or boolean as JSON, indented by two, with a line end.
    body: Value,
    /// Permission bits, octal and in quotes: '0640'. Without it a file keeps its own.
    mode: Option<Mode>,
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    args::check_file(&args.file, permission, mistakes);
    if args.body.is_null()
        && let Some(body) = node.get("body")
        && matches!(body.tree, node::Tree::Null)
    {
        mistakes.push(
            Mistake::new("bad-value", "`body` says nothing", body.place.clone())
                .help("write '' for an empty file, 'null' for a JSON null"),
        );
    }
    if let Some(body) = node.get("body") {
        args::check_json(body, mistakes);
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let body = match args.body {
        Value::String(text) => text.into_bytes(),
        Value::Null => return Err(HandsError::Failed("`body` gave nothing".to_owned())),
        value => edit::pretty(&value).into_bytes(),
    };
    if body.len() as u64 > MOST_BYTES {
        let reason = "`body` is larger than 16 MiB".to_owned();
        return Err(HandsError::Failed(reason));
    }
    let (file, seen) = image::look(&eyes.permission, args.file.as_str())?;
    Ok(write(
        KIND.name,
        file,
        body,
        args.mode.map(|mode| mode.0),
        seen,
    ))
}

/// The effect that gives a file this body and mode; nothing to do if it has them.
pub(super) fn write(
    kind: &'static str,
    file: String,
    body: Vec<u8>,
    mode: Option<u32>,
    seen: Seen,
) -> Effect {
    let as_wished = seen
        .file()
        .is_some_and(|old| old.body == body && mode.is_none_or(|mode| mode == old.mode));
    if as_wished {
        return Effect::Nothing {
            kind,
            why: format!("{file} is as wished already"),
            target: file,
        };
    }
    Effect::Write {
        kind,
        file,
        body,
        rights: Rights { mode, owner: None },
        seen,
    }
}

/// Permission bits, written as octal digits in a text: a bare `0640` is 640 to one YAML and 416 to another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mode(u32);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Mode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octal digits in quotes, like '0640'")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                let digits =
                    (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
                match u32::from_str_radix(text, 8) {
                    Ok(mode) if digits && mode <= 0o777 => Ok(Mode(mode)),
                    _ => Err(E::custom(format!(
                        "`{text}` is no file mode: write octal digits in quotes, like '0640'"
                    ))),
                }
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileMode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^0?[0-7]{3}$", "examples": ["0640"]})
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use serde_json::json;

    use super::*;
    use crate::{
        hands::testing::{World, mistakes},
        model::step::Outcome,
    };

    #[test]
    fn a_text_is_written_as_it_stands_and_a_value_as_json() {
        let world = World::new();
        let receipt = world.act(
            "write_file",
            json!({"file": "state/a", "body": "as it\r\nis"}),
        );
        assert_eq!(receipt.outcome, Outcome::Done);
        assert_eq!(world.text("state/a"), "as it\r\nis");
        world.act(
            "write_file",
            json!({"file": "state/b", "body": {"k": [1, 2.50], "e": {}}}),
        );
        assert_eq!(
            world.text("state/b"),
            "{\n  \"k\": [\n    1,\n    2.5\n  ],\n  \"e\": {}\n}\n"
        );
        world.act("write_file", json!({"file": "state/c", "body": ""}));
        assert_eq!(world.text("state/c"), "");
    }

    #[test]
    fn a_file_keeps_its_mode_or_gets_the_one_wished() {
        let world = World::new();
        let mode = |path: &str| {
            let about = fs::metadata(world.path(path)).expect("a file");
            about.permissions().mode() & 0o7777
        };
        world.put("data/a", "old");
        fs::set_permissions(world.path("data/a"), fs::Permissions::from_mode(0o640))
            .expect("a mode");
        world.act("write_file", json!({"file": "data/a", "body": "new"}));
        assert_eq!(mode("data/a"), 0o640);
        let receipt = world.act(
            "write_file",
            json!({"file": "data/a", "body": "new", "mode": "0600"}),
        );
        assert_eq!(mode("data/a"), 0o600);
        assert_eq!(
            receipt.detail,
            "changed data/a (3 → 3 bytes, mode 0640 → 0600)"
        );
        world.act(
            "write_file",
            json!({"file": "data/b", "body": "", "mode": "666"}),
        );
        assert_eq!(mode("data/b"), 0o666, "whatever the umask");
    }

    #[test]
    fn what_makes_no_body_fails() {
        let world = World::new();
        let wrong = json!({"file": "data/a", "body": null});
        let error = world
            .prepare("write_file", wrong.clone())
            .expect_err("no body");
        assert_eq!(error.to_string(), "`body` gave nothing");
        let found = mistakes(&world, "write_file", wrong);
        assert_eq!(found, [("bad-value", 2, "`body` says nothing".to_owned())]);
        let huge = "x".repeat(17 << 20);
        let huge = json!({"file": "data/a", "body": huge});
        assert!(world.prepare("write_file", huge).is_err());
    }

    #[test]
    fn a_mode_is_octal_and_quoted() {
        let world = World::new();
        let with = |mode: Value| {
            let args = json!({"file": "data/a", "body": "", "mode": mode});
            mistakes(&world, "write_file", args)
        };
        assert_eq!(with(json!("0640")), []);
        for wrong in [
            json!(640),
            json!("4755"),
            json!("+644"),
            json!("rw"),
            json!("0888"),
            json!("44"),
        ] {
            let found = with(wrong);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].1, 3);
            assert!(
                ["bad-value", "wrong-type"].contains(&found[0].0),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_number_that_json_does_not_know_is_a_mistake() {
        let world = World::new();
        let mut node = Node::from_json(&json!({"file": "data/a", "body": [1.5]}));
        if let node::Tree::Map(entries) = &mut node.tree
            && let Some((_, body)) = entries.last_mut()
            && let node::Tree::Seq(items) = &mut body.tree
        {
            items[0].tree = node::Tree::Float(f64::NAN);
        }
        let mut found = Vec::new();
        check(&node, &world.permission(), &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "JSON has no such number");
    }
}
