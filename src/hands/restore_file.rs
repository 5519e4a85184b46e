//! `restore_file`: puts a file back as it stands in `rules/defaults/`.

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Effect, Eyes, HandsError, Kind, args,
    image::{self, MOST_BYTES},
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
    name: "restore_file",
    about: "Puts a file back as it stands in rules/defaults/.",
    example: "restore_file: { file: data/uw_weights.json, from: rules/defaults/uw_weights.json }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Puts a file back as it stands in `rules/defaults/`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Below `data/`, `state/` or `logs/`.
    file: Text,
    /// `rules/defaults/NAME`: below `defaults/` of the rules directory, wherever that is (`--rules`).
    from: Text,
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    args::check_file(&args.file, permission, mistakes);
    if let Some(from) = args::constant(&args.from)
        && let Err(reason) = below_defaults(from)
    {
        mistakes.push(
            Mistake::new("forbidden-path", reason, args.from.place())
                .help("write from: rules/defaults/NAME"),
        );
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let (file, seen) = image::look(&eyes.permission, args.file.as_str())?;
    let body = body(&eyes.rules, args.from.as_str()).map_err(HandsError::Failed)?;
    Ok(write(KIND.name, file, body, None, seen))
}

/// The file that `from` means. A leading `rules/` stands for the rules directory, wherever it is; what would lead out of
/// its `defaults/` is left out (and refused by the step itself).
pub fn source(rules: &Path, from: &str) -> PathBuf {
    let below = below_defaults(from).unwrap_or_default();
    rules.join("defaults").join(below)
}

/// The `from` of a step as written at load, if it is there and has nothing to fill in: `rules/` checks that it exists.
pub fn constant_source(node: &Node) -> Option<Text> {
    let from = node.get("from")?.text()?;
    args::constant(&from)?;
    Some(from)
}

/// The path below `defaults/`.
fn below_defaults(from: &str) -> Result<PathBuf, String> {
    let path = Path::new(from);
    let path = path.strip_prefix("rules").unwrap_or(path);
    let plain = !from.is_empty()
        && !from.contains('\0')
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    match path.strip_prefix("defaults") {
        Ok(below) if plain && below.components().next().is_some() => Ok(below.to_owned()),
        _ => Err(format!("`{from}` is not below rules/defaults/")),
    }
}

/// Reads through a handle on the rules directory: links may lead about inside it (a mounted configuration does that),
/// but not out.
fn body(rules: &Path, from: &str) -> Result<Vec<u8>, String> {
    let below = Path::new("defaults").join(below_defaults(from)?);
    let failed = |error: io::Error| format!("could not read {from}: {error}");
    let dir = Dir::open_ambient_dir(rules, cap_std::ambient_authority()).map_err(failed)?;
    let mut options = OpenOptions::new();
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    options
        .read(true)
        .custom_flags(i32::try_from(nonblocking).unwrap_or_default());
    let file = dir.open_with(below, &options).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("{from} is no regular file"));
    }
    let mut body = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut body)
        .map_err(failed)?;
    if body.len() as u64 > MOST_BYTES {
        return Err(format!("{from} is larger than 16 MiB"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use serde_json::json;

    use super::*;
    use crate::hands::testing::{World, mistakes};

    fn restore(from: &str) -> Value {
        json!({"file": "data/w.json", "from": from})
    }

    #[test]
    fn a_missing_or_broken_file_is_put_back() {
        let world = World::new();
        world.put("rules/defaults/w.json", "{\n  \"flow\": 2.4\n}\n");
        let made = world.act("restore_file", restore("rules/defaults/w.json"));
        assert_eq!(made.detail, "made data/w.json (18 bytes)");
        world.put("data/w.json", "{\"flow\":");
        let mended = world.act("restore_file", restore("rules/defaults/w.json"));
        assert_eq!(mended.detail, "changed data/w.json (8 → 18 bytes)");
        assert_eq!(
            world.text("data/w.json"),
            world.text("rules/defaults/w.json")
        );
        insta::assert_snapshot!(mended.diff.expect("it changed"), @r#"
        --- data/w.json
        +++ data/w.json
        @@ -1 +1,3 @@
        -{"flow":
        \ No newline at end of file
        +{
        +  "flow": 2.4
        +}
        "#);
    }

    #[test]
    fn the_directory_of_the_file_is_made() {
        let world = World::new();
        world.put("rules/defaults/w.json", "{}");
        fs::remove_dir(world.path("data")).expect("it is empty");
        let effect = world.ready("restore_file", restore("defaults/w.json"));
        assert!(!world.path("data").exists(), "looking makes nothing");
        world.commit(&effect).expect("it is done");
        assert_eq!(world.text("data/w.json"), "{}");
    }

    #[test]
    fn the_rules_directory_may_stand_elsewhere() {
        let mut world = World::new();
        let rules = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(rules.path().join("..data/v1")).expect("a directory");
        fs::write(rules.path().join("..data/v1/w.json"), "1").expect("a file");
        // As a mounted configuration does it.
        symlink("..data/v1", rules.path().join("defaults")).expect("a link");
        world.rules_at(rules.path().to_owned());
        world.act("restore_file", restore("rules/defaults/w.json"));
        assert_eq!(world.text("data/w.json"), "1");
        assert_eq!(
            source(rules.path(), "rules/defaults/a/w.json"),
            rules.path().join("defaults/a/w.json")
        );
        assert_eq!(source(rules.path(), "../x"), rules.path().join("defaults/"));
    }

    #[test]
    fn a_source_that_cannot_be_read_fails_and_nothing_is_touched() {
        let world = World::new();
        world.put("data/w.json", "old");
        symlink(world.secret(), world.path("rules/defaults/out")).expect("a link");
        fs::create_dir(world.path("rules/defaults/dir")).expect("a directory");
        let huge = fs::File::create(world.path("rules/defaults/huge")).expect("a file");
        huge.set_len(MOST_BYTES + 1).expect("a sparse file");
        for (from, why) in [
            ("rules/defaults/none.json", "could not read"),
            ("rules/defaults/out", "could not read"),
            ("rules/defaults/dir", "no regular file"),
            ("rules/defaults/huge", "larger than 16 MiB"),
            ("rules/x.yaml", "is not below rules/defaults/"),
            ("rules/defaults/../x.yaml", "is not below rules/defaults/"),
            ("rules/defaults", "is not below rules/defaults/"),
            ("/etc/hostname", "is not below rules/defaults/"),
            ("", "is not below rules/defaults/"),
        ] {
            let error = world
                .prepare("restore_file", restore(from))
                .expect_err(from)
                .to_string();
            assert!(error.contains(why), "{from}: {error}");
        }
        assert_eq!(world.text("data/w.json"), "old");
    }

    #[test]
    fn a_source_elsewhere_is_a_mistake() {
        let world = World::new();
        let found = mistakes(&world, "restore_file", restore("data/backup.json"));
        assert_eq!(
            found,
            [(
                "forbidden-path",
                2,
                "`data/backup.json` is not below rules/defaults/".to_owned()
            )]
        );
        let filled = restore("rules/defaults/${name}.json");
        assert_eq!(mistakes(&world, "restore_file", filled.clone()), []);
        assert!(constant_source(&Node::from_json(&filled)).is_none());
        assert!(constant_source(&Node::from_json(&restore("defaults/x"))).is_some());
    }
}
