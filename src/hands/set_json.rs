//! `set_json`: sets keys of a JSON file and leaves everything else in it as it stands, down to the last byte.
//!
//! A file that is no JSON object is never overwritten: what it holds may be all there is.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Effect, Eyes, HandsError, Kind, args,
    edit::{self, Spot},
    image::{self, MOST_BYTES, Seen},
    write_file::write,
};
use crate::{
    model::{
        node::{self, Node},
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "set_json",
    about: "Sets keys of a JSON file; order, layout and all other keys stay.",
    example: "set_json: { file: data/entry_thresholds.json, set: { base: 2.7, /limits/daily: 3 } }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Sets keys of a JSON file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Below `data/`, `state/` or `logs/`.
    file: Text,
    /// Values by key. A key is one of the root, whatever it holds; one that starts with `/` is a JSON pointer (`/a/b/0`)
    /// and makes the maps on its way. A value replaces the old one as a whole; nothing is merged.
    set: Map<String, Value>,
    /// Whether a missing file is made (as an object of these keys alone). Default: true.
    #[serde(default = "yes")]
    create: bool,
}

fn yes() -> bool {
    true
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    args::check_file(&args.file, permission, mistakes);
    if args.set.is_empty() {
        let place = args::place(node, "set");
        mistakes.push(Mistake::new("bad-value", "`set` sets nothing", place));
    }
    let Some(set) = node.get("set") else { return };
    args::check_json(set, mistakes);
    for (key, _) in set.entries() {
        if let Err(reason) = Spot::parse(key.key()) {
            mistakes.push(Mistake::new("bad-value", reason, key.place.clone()));
        }
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let wishes: Vec<(Spot, Value)> = args
        .set
        .into_iter()
        .map(|(key, value)| Ok((Spot::parse(&key)?, value)))
        .collect::<Result<_, String>>()
        .map_err(HandsError::Failed)?;
    let (file, seen) = image::look(&eyes.permission, args.file.as_str())?;
    let failed = |reason: &str| HandsError::Failed(format!("{file} {reason}; it is left as it is"));
    let body = match &seen {
        Seen::Absent if args.create => edit::fresh(&wishes).map_err(HandsError::Failed)?,
        Seen::Absent => {
            let reason = format!("{file} is not there, and `create` is false");
            return Err(HandsError::Failed(reason));
        }
        Seen::File(old) => {
            let text = std::str::from_utf8(&old.body).map_err(|_| failed("is not UTF-8"))?;
            edit::set_all(text, &wishes).map_err(|reason| failed(&reason))?
        }
    };
    if body.len() as u64 > MOST_BYTES {
        return Err(failed("would grow beyond 16 MiB"));
    }
    Ok(write(KIND.name, file, body.into_bytes(), None, seen))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hands::testing::{World, mistakes};

    #[test]
    fn keys_are_set_and_the_rest_stays_to_the_byte() {
        let world = World::new();
        world.put(
            "data/t.json",
            "{\n    \"canary\": 3.80,\n    \"base\": 3.5,\n    \"id\": 123456789012345678901\n}",
        );
        let set = json!({"base": 2.7, "champion": 3.2, "/limits/daily": 3});
        let receipt = world.act("set_json", json!({"file": "data/t.json", "set": set}));
        insta::assert_snapshot!(world.text("data/t.json"), @r#"
        {
            "canary": 3.80,
            "base": 2.7,
            "id": 123456789012345678901,
            "champion": 3.2,
            "limits": {
                "daily": 3
            }
        }
        "#);
        assert!(
            receipt
                .diff
                .expect("it changed")
                .contains("+    \"base\": 2.7,\n")
        );
    }

    #[test]
    fn a_missing_file_is_made_unless_it_shall_not_be() {
        let world = World::new();
        let mut args = json!({"file": "data/t.json", "set": {"base": 2.7}, "create": false});
        let error = world
            .prepare("set_json", args.clone())
            .expect_err("missing");
        assert_eq!(
            error.to_string(),
            "data/t.json is not there, and `create` is false"
        );
        args["create"] = json!(true);
        world.act("set_json", args);
        assert_eq!(world.text("data/t.json"), "{\n  \"base\": 2.7\n}\n");
    }

    #[test]
    fn what_is_no_json_object_is_never_overwritten() {
        let world = World::new();
        for (body, why) in [
            (&b"[1, 2]"[..], "holds a list, not a JSON object"),
            (b"", "is no JSON"),
            (b"{\"base\": 2.7", "is no JSON"),
            (b"{\"base\": NaN}", "is no JSON"),
            (b"{\"base\": \"\xff\"}", "is not UTF-8"),
            (b"\xef\xbb\xbf{}", "is no JSON"),
            (b"{\"base\": 1, \"base\": 2}", "has the key `/base` twice"),
        ] {
            world.put("data/t.json", body);
            let before = world.tree();
            let args = json!({"file": "data/t.json", "set": {"base": 2.9}});
            let error = world.prepare("set_json", args).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
            assert!(error.ends_with("; it is left as it is"), "{error}");
            assert_eq!(world.tree(), before);
        }
    }

    #[test]
    fn what_cannot_be_set_is_a_mistake() {
        let world = World::new();
        let with = |set: Value| {
            let found = mistakes(&world, "set_json", json!({"file": "data/t", "set": set}));
            found
                .into_iter()
                .map(|(code, line, _)| (code, line))
                .collect::<Vec<_>>()
        };
        assert_eq!(with(json!({})), [("bad-value", 2)]);
        assert_eq!(with(json!({"a": 1, "/b~": 2})), [("bad-value", 4)]);
        assert_eq!(with(json!("${all}")), [("wrong-type", 2)]);
        assert_eq!(with(json!({"a": "${all}"})), []);
    }
}
