//! `move_file`: gives a file another name, out of the way into a quarantine for example.
//!
//! A rename within one file system: the file is there whole, under one name or the other, and its size does not matter.
//! Between file systems it would be a copy that a crash leaves half done, so that is refused.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Effect, Eyes, HandsError, Kind, args,
    image::{self, Seen},
};
use crate::{
    model::{
        node::{self, Node},
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "move_file",
    about: "Moves a file, out of the way into a quarantine for example; nothing is overwritten unless it says so.",
    example: "move_file: { file: data/queue.jsonl, to: state/quarantine/ }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Moves a file within one file system.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Below `data/`, `state/` or `logs/`.
    file: Text,
    /// Its new path, below the same directories; with a `/` at its end the directory it goes to. Directories that are
    /// not there are made.
    to: Text,
    /// Whether a file that stands there may be replaced; what it held is kept for undoing. Without it that is a failure.
    #[serde(default)]
    overwrite: bool,
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    args::check_file(&args.file, permission, mistakes);
    let file = args::constant(&args.file);
    let Some(to) = args::constant(&args.to) else {
        return;
    };
    // Into a directory it keeps its name, whatever that will be.
    let target = target(file.unwrap_or("x"), to);
    match (
        permission.may_name(&target),
        file.map(|file| permission.may_name(file)),
    ) {
        (Err(error), _) => {
            mistakes.push(Mistake::new(
                "forbidden-path",
                error.told(),
                args.to.place(),
            ));
        }
        (Ok(to), Some(Ok(file))) if to == file => mistakes.push(
            Mistake::new(
                "bad-value",
                "a file cannot be moved onto itself",
                args.to.place(),
            )
            .help("write where it shall go"),
        ),
        _ => {}
    }
}

/// The new path as written at load, if nothing in it is to be filled in.
pub fn constant_target(node: &Node) -> Option<Text> {
    let (file, to) = (node.get("file")?.text()?, node.get("to")?.text()?);
    let target = target(args::constant(&file)?, args::constant(&to)?);
    Some(Text::placed(target, to.place(), None))
}

fn target(file: &str, to: &str) -> String {
    match to.ends_with('/') {
        true => format!("{to}{}", file.rsplit('/').next().unwrap_or(file)),
        false => to.to_owned(),
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let to = target(args.file.as_str(), args.to.as_str());
    let (file, mark) = image::find(&eyes.permission, args.file.as_str())?;
    let (to, taken) = image::find(&eyes.permission, &to)?;
    if file == to {
        return Err(HandsError::Failed(format!(
            "{file} cannot be moved onto itself"
        )));
    }
    let Some(mark) = mark else {
        let why = match taken {
            Some(_) => format!("{file} is not there; {to} is"),
            None => format!("{file} is not there"),
        };
        return Ok(Effect::Nothing {
            kind: KIND.name,
            target: file,
            why,
        });
    };
    let there = match taken {
        None => Seen::Absent,
        Some(_) if args.overwrite => image::look(&eyes.permission, &to)?.1,
        Some(_) => {
            return Err(HandsError::Failed(format!(
                "{to} is there already: with `overwrite: true` it would be replaced"
            )));
        }
    };
    Ok(Effect::Move {
        kind: KIND.name,
        file,
        to,
        mark,
        there,
        leave: None,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use serde_json::json;

    use super::*;
    use crate::{
        hands::{
            prepare_undo,
            testing::{World, mistakes},
        },
        model::step::{Outcome, Receipt},
    };

    const QUARANTINE: &str = "state/quarantine/queue.jsonl";

    fn world() -> World {
        let world = World::new();
        world.put("data/queue.jsonl", "{}\n");
        world
    }

    fn away() -> Value {
        json!({"file": "data/queue.jsonl", "to": "state/quarantine/"})
    }

    fn undo(world: &World, receipt: &Receipt) -> Result<Receipt, HandsError> {
        let stored = serde_json::to_string(receipt).expect("JSON");
        let receipt: Receipt = serde_json::from_str(&stored).expect("JSON");
        world.commit(&prepare_undo(&receipt, &world.eyes())?)
    }

    #[test]
    fn a_file_goes_out_of_the_way_and_comes_back() {
        let world = world();
        let before = world.tree();
        let effect = world.ready("move_file", away());
        let would = world.dry(&effect);
        assert_eq!(
            (would.outcome, &*would.detail),
            (
                Outcome::Would,
                "would move data/queue.jsonl to state/quarantine/queue.jsonl (3 bytes)"
            )
        );
        assert_eq!(world.tree(), before, "dry hands make no directory either");
        let receipt = world.commit(&effect).expect("it is moved");
        assert_eq!(
            (&*receipt.target, &*receipt.detail),
            (
                "data/queue.jsonl",
                "moved data/queue.jsonl to state/quarantine/queue.jsonl (3 bytes)"
            )
        );
        assert!(!world.path("data/queue.jsonl").exists());
        assert_eq!(world.text(QUARANTINE), "{}\n");
        let undone = undo(&world, &receipt).expect("it comes back");
        assert_eq!(world.text("data/queue.jsonl"), "{}\n");
        assert!(!world.path(QUARANTINE).exists());
        undo(&world, &undone).expect("an undo can be undone");
        assert_eq!(world.text(QUARANTINE), "{}\n");
    }

    #[test]
    fn twice_is_as_good_as_once() {
        let world = world();
        world.act("move_file", away());
        let receipt = world.act("move_file", away());
        assert_eq!(
            receipt.detail,
            "data/queue.jsonl is not there; state/quarantine/queue.jsonl is"
        );
        let nowhere = json!({"file": "data/none", "to": "data/deep/er/none2"});
        assert_eq!(
            world.act("move_file", nowhere).detail,
            "data/none is not there"
        );
        assert!(!world.path("data/deep").exists());
    }

    #[test]
    fn nothing_is_overwritten_unless_it_says_so() {
        let world = world();
        world.put("data/old", "precious");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(world.path("data/old"), mode).expect("a mode");
        let onto = |overwrite: bool| json!({"file": "data/queue.jsonl", "to": "data/old", "overwrite": overwrite});
        let error = world.prepare("move_file", onto(false)).expect_err("taken");
        assert_eq!(
            error.to_string(),
            "data/old is there already: with `overwrite: true` it would be replaced"
        );
        let before = world.tree();
        let receipt = world.act("move_file", onto(true));
        assert_eq!(
            receipt.detail,
            "moved data/queue.jsonl to data/old (3 bytes, in place of its 8 bytes)"
        );
        assert_eq!(world.text("data/old"), "{}\n");
        let undone = undo(&world, &receipt).expect("both come back");
        assert_eq!(
            undone.detail,
            "moved data/old to data/queue.jsonl (3 bytes); data/old is as it was before (8 bytes)"
        );
        assert_eq!(world.tree(), before, "the mode, too");
        undo(&world, &undone).expect("an undo can be undone");
        assert_eq!(world.text("data/old"), "{}\n");
        assert!(!world.path("data/queue.jsonl").exists());
    }

    #[test]
    fn what_took_either_name_meanwhile_is_left_alone() {
        let world = world();
        let effect = world.ready("move_file", away());
        world.put("data/queue.jsonl", "{}\n{}\n");
        let error = world.commit(&effect).expect_err("it was written");
        assert_eq!(
            error.to_string(),
            "data/queue.jsonl changed since it was looked at"
        );
        let effect = world.ready("move_file", away());
        world.put(QUARANTINE, "somebody else's");
        let error = world.commit(&effect).expect_err("the name is taken");
        assert_eq!(
            error.to_string(),
            format!("{QUARANTINE} changed since it was looked at")
        );
        assert_eq!(world.text("data/queue.jsonl"), "{}\n{}\n");
        assert_eq!(world.text(QUARANTINE), "somebody else's");
        fs::remove_file(world.path("data/queue.jsonl")).expect("it is there");
        assert!(world.commit(&effect).is_err());
    }

    #[test]
    fn what_changed_since_is_not_moved_back() {
        let world = world();
        let receipt = world.act("move_file", away());
        world.put("data/queue.jsonl", "new");
        let error = undo(&world, &receipt).expect_err("its name is taken");
        assert_eq!(
            error.to_string(),
            "data/queue.jsonl has changed since: it is left as it is"
        );
        fs::remove_file(world.path("data/queue.jsonl")).expect("it is there");
        world.put(QUARANTINE, "written to");
        let error = undo(&world, &receipt).expect_err("it is another file");
        assert_eq!(
            error.to_string(),
            format!("{QUARANTINE} has changed since: it is left where it is")
        );
        assert_eq!(world.text(QUARANTINE), "written to");
    }

    #[test]
    fn a_file_of_any_size_can_be_moved() {
        let world = world();
        let large = fs::File::create(world.path("data/large")).expect("a file");
        large.set_len(10 << 30).expect("a sparse file");
        let args = json!({"file": "data/large", "to": "data/away"});
        let receipt = world.act("move_file", args);
        assert_eq!(
            receipt.detail,
            "moved data/large to data/away (10737418240 bytes)"
        );
        undo(&world, &receipt).expect("it comes back");
        assert!(world.path("data/large").exists());
    }

    #[test]
    fn both_ends_are_where_steps_may_write() {
        let world = world();
        let before = world.tree();
        for to in [
            "rules/x",
            "../x",
            "/etc/x",
            "state/homeostat/",
            "logs/checks.jsonl",
            "logs/",
            "x/",
            "/",
            "",
        ] {
            let args = json!({"file": "data/checks.jsonl", "to": to});
            let found = mistakes(&world, "move_file", args.clone());
            assert_eq!(
                found.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
                [("forbidden-path", 2)],
                "{to}"
            );
            let error = world.prepare("move_file", args).expect_err(to);
            assert!(matches!(error, HandsError::Held { .. }), "{to}: {error}");
        }
        assert_eq!(world.tree(), before);
        let itself = json!({"file": "data/queue.jsonl", "to": "./data/"});
        assert_eq!(
            mistakes(&world, "move_file", itself.clone())[0].0,
            "bad-value"
        );
        assert!(world.prepare("move_file", itself).is_err());
        let later = json!({"file": "${it}", "to": "state/${it}"});
        assert_eq!(mistakes(&world, "move_file", later), []);
        let known = |file: &str, to: &str| {
            let node = Node::from_json(&json!({"file": file, "to": to}));
            constant_target(&node).map(|text| text.to_string())
        };
        assert_eq!(known("data/x", "state/").as_deref(), Some("state/x"));
        assert_eq!(known("data/x", "state/${now}"), None);
        assert_eq!(known("${it}", "state/"), None);
    }
}
