//! Undoing: from a receipt to the effect that puts the before-image back.
//!
//! An undo is an effect like any other, so it can be tried dry, leaves a receipt, and can itself be undone. It is
//! refused when the file is no longer as the step left it: whoever changed it since is not to lose that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Effect, Eyes, HandsError,
    effect::{Leave, Rights},
    image::{self, Mark, Seen, sha256},
};
use crate::model::step::{Outcome, Receipt};

/// The kind that receipts of an undo bear.
pub const UNDO: &str = "undo";

/// What a receipt keeps.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
enum Undo {
    /// The target was as wished: nothing was changed, so undoing it is easy.
    Nothing,
    File {
        file: String,
        /// The file before the step; nothing if there was none.
        before: Option<Kept>,
        /// SHA-256 of what the step left; nothing if it removed the file.
        after: Option<String>,
    },
    Moved {
        file: String,
        to: String,
        mark: Mark,
        /// What stood at `to` before; nothing if nothing did.
        replaced: Option<Kept>,
        /// SHA-256 of what the step left at `file`; nothing if nothing.
        left: Option<String>,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    body: Body,
    mode: u32,
    user: u32,
    group: u32,
    /// Of the body: one that held a secret which is another one now cannot be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Text(String),
    /// Of a body that is no UTF-8.
    Hex(String),
}

impl Kept {
    fn of(seen: &Seen) -> Option<Kept> {
        seen.file().map(|image| Kept {
            body: Body::of(&image.body),
            mode: image.mode,
            user: image.user,
            group: image.group,
            sha256: Some(image.sha256.clone()),
        })
    }

    /// The body and its rights; nothing if it is damaged.
    fn leave(self) -> Option<Leave> {
        let rights = Rights {
            mode: Some(self.mode),
            owner: Some((self.user, self.group)),
        };
        let body = self.body.bytes()?;
        Some(Leave { body, rights })
    }
}

impl Body {
    fn of(bytes: &[u8]) -> Body {
        match std::str::from_utf8(bytes) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Body::Text(text) => Some(text.into_bytes()),
            Body::Hex(hex) => hex
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect(),
        }
    }
}

/// What the receipt of this effect, once done, must keep. `None`: it cannot be undone.
pub(super) fn of(effect: &Effect) -> Option<Value> {
    let undo = match effect {
        Effect::Nothing { .. } => Undo::Nothing,
        Effect::Write {
            file, body, seen, ..
        } => file_undo(file, seen, Some(sha256(body))),
        Effect::Remove { file, seen, .. } => file_undo(file, seen, None),
        Effect::Move {
            file,
            to,
            mark,
            there,
            leave,
            ..
        } => Undo::Moved {
            file: file.clone(),
            to: to.clone(),
            mark: *mark,
            replaced: Kept::of(there),
            left: leave.as_ref().map(|leave| sha256(&leave.body)),
        },
        Effect::Run { .. }
        | Effect::Restart { .. }
        | Effect::Call(_)
        | Effect::RunChecks { .. }
        | Effect::Raise { .. }
        | Effect::Tell { .. }
        | Effect::Signal { .. } => {
            return None;
        }
    };
    serde_json::to_value(undo).ok()
}

fn file_undo(file: &str, seen: &Seen, after: Option<String>) -> Undo {
    Undo::File {
        file: file.to_owned(),
        before: Kept::of(seen),
        after,
    }
}

/// Whether this receipt is of something that was done and can be undone.
pub fn can_undo(receipt: &Receipt) -> bool {
    receipt.outcome == Outcome::Done && receipt.undo.is_some()
}

/// Looks at what a receipt is about and gives the effect that puts it back as it was before. `Failed` if nothing was
/// done, if it cannot be undone, or if the file has changed since.
pub fn prepare_undo(receipt: &Receipt, eyes: &Eyes) -> Result<Effect, HandsError> {
    let fail = |reason: String| Err(HandsError::Failed(reason));
    if receipt.outcome != Outcome::Done {
        return fail(format!("{} was not done: nothing to undo", receipt.kind));
    }
    let Some(undo) = &receipt.undo else {
        return fail(format!("{} cannot be undone", receipt.kind));
    };
    let undo = eyes.permission.secrets().reveal_value(undo);
    let (file, before, after) = match Undo::deserialize(&undo) {
        Ok(Undo::File {
            file,
            before,
            after,
        }) => (file, before, after),
        Ok(Undo::Moved {
            file,
            to,
            mark,
            replaced,
            left,
        }) => return back(&file, &to, mark, replaced, left.as_ref(), eyes),
        Ok(Undo::Nothing) => {
            return Ok(Effect::Nothing {
                kind: UNDO,
                target: receipt.target.clone(),
                why: format!("{} had changed nothing", receipt.kind),
            });
        }
        Err(error) => return fail(format!("its before-image cannot be read: {error}")),
    };
    let (file, seen) = image::look(&eyes.permission, &file)?;
    if seen.file().map(|image| &image.sha256) != after.as_ref() {
        return fail(format!("{file} has changed since: it is left as it is"));
    }
    let Some(before) = before else {
        return Ok(match seen {
            Seen::Absent => Effect::Nothing {
                kind: UNDO,
                why: format!("{file} is not there"),
                target: file,
            },
            seen => Effect::Remove {
                kind: UNDO,
                file,
                seen,
            },
        });
    };
    let known = before.sha256.clone();
    let Some(Leave { body, rights }) = before.leave() else {
        return fail(format!("the before-image of {file} is damaged"));
    };
    if known.is_some_and(|known| known != sha256(&body)) {
        return fail(format!(
            "the before-image of {file} cannot be made whole: a secret that stood in it is another one now"
        ));
    }
    Ok(Effect::Write {
        kind: UNDO,
        file,
        body,
        rights,
        seen,
    })
}

/// Moves a file back, if it is still the one that was moved and nothing has taken its old name since.
fn back(
    file: &str,
    to: &str,
    mark: Mark,
    replaced: Option<Kept>,
    left: Option<&String>,
    eyes: &Eyes,
) -> Result<Effect, HandsError> {
    let fail = |reason: String| Err(HandsError::Failed(reason));
    let (to, moved) = image::find(&eyes.permission, to)?;
    let (file, there) = image::look(&eyes.permission, file)?;
    if moved != Some(mark) {
        return fail(format!("{to} has changed since: it is left where it is"));
    }
    if there.file().map(|image| &image.sha256) != left {
        return fail(format!("{file} has changed since: it is left as it is"));
    }
    let leave = match replaced.map(Kept::leave) {
        Some(None) => return fail(format!("the before-image of {to} is damaged")),
        leave => leave.flatten(),
    };
    Ok(Effect::Move {
        kind: UNDO,
        file: to,
        to: file,
        mark,
        there,
        leave,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::hands::testing::World;

    fn undo(world: &World, receipt: &Receipt) -> Result<Receipt, HandsError> {
        // As it comes back from the store.
        let stored = serde_json::to_string(receipt).expect("JSON");
        let receipt: Receipt = serde_json::from_str(&stored).expect("JSON");
        world.commit(&prepare_undo(&receipt, &world.eyes())?)
    }

    fn world() -> World {
        let world = World::new();
        world.put("data/x.json", "{\"a\": 1}");
        world.put("data/binary", b"\xff\0\x80");
        world.put("rules/defaults/x.json", "{}");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(world.path("data/x.json"), mode).expect("a mode");
        world
    }

    #[test]
    fn what_was_done_is_put_back_and_done_again() {
        for (kind, args) in [
            (
                "restore_file",
                json!({"file": "data/x.json", "from": "defaults/x.json"}),
            ),
            ("write_file", json!({"file": "data/new", "body": "x"})),
            (
                "write_file",
                json!({"file": "data/x.json", "body": "", "mode": "600"}),
            ),
            ("write_file", json!({"file": "data/binary", "body": "text"})),
            ("set_json", json!({"file": "data/x.json", "set": {"b": 2}})),
            ("remove_file", json!({"file": "data/x.json"})),
            ("remove_file", json!({"file": "data/binary"})),
        ] {
            let world = world();
            let before = world.tree();
            let receipt = world.act(kind, args);
            assert!(can_undo(&receipt));
            let after = world.tree();
            assert_ne!(before, after, "{kind}");
            let undone = undo(&world, &receipt).expect("it can be undone");
            assert_eq!(world.tree(), before, "{kind}");
            assert_eq!(
                (undone.kind.as_str(), undone.outcome),
                (UNDO, Outcome::Done)
            );
            undo(&world, &undone).expect("an undo is undone like anything else");
            assert_eq!(world.tree(), after, "{kind}");
        }
    }

    #[test]
    fn what_changed_since_is_left_as_it_is() {
        for change in ["{\"a\": 3}", ""] {
            let world = world();
            let receipt = world.act("set_json", json!({"file": "data/x.json", "set": {"a": 2}}));
            match change {
                "" => fs::remove_file(world.path("data/x.json")).expect("a file"),
                body => world.put("data/x.json", body),
            }
            let before = world.tree();
            let error = undo(&world, &receipt).expect_err("it changed");
            assert_eq!(
                error.to_string(),
                "data/x.json has changed since: it is left as it is"
            );
            assert_eq!(world.tree(), before);
        }
        let world = world();
        let receipt = world.act("remove_file", json!({"file": "data/x.json"}));
        world.put("data/x.json", "a new one");
        assert!(undo(&world, &receipt).is_err());
        assert_eq!(world.text("data/x.json"), "a new one");
    }

    #[test]
    fn it_can_be_tried_dry() {
        let world = world();
        let receipt = world.act("remove_file", json!({"file": "data/x.json"}));
        let before = world.tree();
        let effect = prepare_undo(&receipt, &world.eyes()).expect("it can be");
        let would = world.dry(&effect);
        assert_eq!(would.detail, "would make data/x.json (8 bytes)");
        assert_eq!(world.tree(), before);
    }

    #[test]
    fn what_was_not_done_or_cannot_be_is_told() {
        let world = world();
        let effect = world.ready("remove_file", json!({"file": "data/x.json"}));
        let would = world.dry(&effect);
        assert!(!can_undo(&would));
        let error = undo(&world, &would).expect_err("nothing was done");
        assert_eq!(
            error.to_string(),
            "remove_file was not done: nothing to undo"
        );
        let receipt = world.act("run_checks", json!({"checks": ["a"]}));
        let error = undo(&world, &receipt).expect_err("it cannot be");
        assert_eq!(error.to_string(), "run_checks cannot be undone");
        let mut receipt = world.act("remove_file", json!({"file": "data/x.json"}));
        receipt.undo = Some(json!({"of": "file", "file": "data/x.json", "after": null,
            "before": {"hex": "f\u{e9}", "mode": 420, "user": 0, "group": 0}}));
        assert!(undo(&world, &receipt).is_err(), "a damaged image");
        receipt.undo = Some(json!({"of": "moon"}));
        assert!(undo(&world, &receipt).is_err());
        receipt.undo = Some(json!({"of": "file", "file": "rules/x", "after": null,
            "before": {"text": "", "mode": 420, "user": 0, "group": 0}}));
        assert!(
            undo(&world, &receipt).is_err(),
            "permission is asked here too"
        );
    }

    #[test]
    fn a_step_that_changed_nothing_is_undone_by_nothing() {
        let world = world();
        world.put_aged("data/lock", "", Duration::ZERO);
        let args = json!({"file": "data/lock", "older_than": "1h"});
        let receipt = world.act("remove_file", args);
        let effect = prepare_undo(&receipt, &world.eyes()).expect("it can be");
        assert!(matches!(effect, Effect::Nothing { kind: UNDO, .. }));
    }

    #[test]
    fn an_old_receipt_can_still_be_read() {
        let old = r#"{"of":"file","file":"data/x.json","before":{"text":"a","mode":416,"user":1,"group":2},"after":"00"}"#;
        let undo: Undo = serde_json::from_str(old).expect("as it was written");
        assert_eq!(serde_json::to_string(&undo).expect("JSON"), old);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn undoing_restores_any_body(before in prop::collection::vec(any::<u8>(), 0..40), after in "\\PC{0,20}") {
            let world = World::new();
            world.put("data/x", &before);
            let shot = world.tree();
            let receipt = world.act("write_file", json!({"file": "data/x", "body": after}));
            undo(&world, &receipt).expect("it can be undone");
            prop_assert_eq!(world.tree(), shot);
        }
    }
}
