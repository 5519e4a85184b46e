//! `remove_file`: removes a file, a stale lock for example. What it held is kept for undoing.

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
        span::Span,
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "remove_file",
    about: "Removes a file; with `older_than` only one that nobody has written for that long.",
    example: "remove_file: { file: data/cache.lock, older_than: 300s }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// Removes a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Below `data/`, `state/` or `logs/`.
    file: Text,
    /// Only if its last write is longer ago than this, when looked at and still when removed.
    older_than: Option<Span>,
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    if let Some(args) = node::decode::<Args>(node, mistakes) {
        args::check_file(&args.file, permission, mistakes);
    }
}

/// The removal itself demands the file untouched since this look, so what was old enough here is old enough then.
fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    let (file, seen) = image::look(&eyes.permission, args.file.as_str())?;
    let kind = KIND.name;
    let nothing = |file: String, why: String| Effect::Nothing {
        kind,
        target: file,
        why,
    };
    let image = match &seen {
        Seen::Absent => {
            let why = format!("{file} is not there");
            return Ok(nothing(file, why));
        }
        Seen::File(image) => image,
    };
    let age = eyes.now.since(image.modified);
    match args.older_than {
        Some(least) if age <= least.0 => {
            let age = Span(std::time::Duration::from_secs(age.as_secs()));
            let why = format!("{file} was written {age} ago, not longer than {least}");
            Ok(nothing(file, why))
        }
        _ => Ok(Effect::Remove { kind, file, seen }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::hands::testing::World;

    const LOCK: &str = "data/cache.lock";

    fn stale() -> Value {
        json!({"file": LOCK, "older_than": "300s"})
    }

    #[test]
    fn only_what_is_older_is_removed() {
        let world = World::new();
        for (age, goes) in [
            (0, false),
            (299_999, false),
            (300_000, false),
            (300_500, true),
        ] {
            world.put_aged(LOCK, "pid 1", Duration::from_millis(age));
            let effect = world.ready("remove_file", stale());
            assert_eq!(matches!(effect, Effect::Remove { .. }), goes, "{age} ms");
        }
        let receipt = world.act("remove_file", stale());
        assert_eq!(receipt.detail, "removed data/cache.lock (5 bytes)");
        assert!(!world.path(LOCK).exists());
        world.put_aged(LOCK, "", Duration::from_secs(62));
        let receipt = world.act("remove_file", stale());
        assert_eq!(
            receipt.detail,
            "data/cache.lock was written 1m 2s ago, not longer than 5m"
        );
        assert!(world.path(LOCK).exists());
    }

    #[test]
    fn a_file_of_the_future_is_not_old() {
        let mut world = World::new();
        world.put_aged(LOCK, "", Duration::ZERO);
        world.now = crate::model::moment::Moment(world.now.0 - 3_600_000);
        let effect = world.ready("remove_file", stale());
        assert!(matches!(effect, Effect::Nothing { .. }));
    }

    #[test]
    fn a_lock_that_was_renewed_meanwhile_stays() {
        let world = World::new();
        world.put_aged(LOCK, "pid 1", Duration::from_secs(301));
        let effect = world.ready("remove_file", stale());
        world.touch(LOCK, Duration::from_secs(1));
        let error = world.commit(&effect).expect_err("it is in use");
        assert_eq!(
            error.to_string(),
            "data/cache.lock changed since it was looked at"
        );
        assert!(world.path(LOCK).exists());
    }

    #[test]
    fn without_an_age_it_goes_whatever_its_age() {
        let world = World::new();
        world.put_aged(LOCK, "", Duration::ZERO);
        world.act("remove_file", json!({"file": LOCK}));
        assert!(!world.path(LOCK).exists());
        let receipt = world.act("remove_file", json!({"file": LOCK}));
        assert_eq!(receipt.detail, "data/cache.lock is not there");
    }
}
