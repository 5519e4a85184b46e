//! What to do about it: one file per kind of step, one line in [`KINDS`].
//!
//! A step is a wish; [`prepare`] looks at its target and gives an effect, or says why not; [`Hands`] turn effects into
//! receipts. Only [`live`] changes anything outside the process. Doing a step twice is as good as once.

mod args;
pub mod call_http;
mod diff;
pub mod dry;
mod edit;
pub mod effect;
pub mod image;
pub mod live;
pub mod remove_file;
pub mod restore_file;
pub mod run_checks;
pub mod run_command;
pub mod set_json;
#[cfg(test)]
mod testing;
pub mod undo;
pub mod write_file;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

pub use dry::Dry;
pub use effect::Effect;
pub use live::{Live, Runner};
pub use undo::{can_undo, prepare_undo};

use crate::{
    model::{
        moment::Moment,
        node::{Node, Tree},
        standing::HeldBy,
        step::{Outcome, Receipt, Step},
        text::Mistake,
    },
    permission::{Denied, Permission},
};

#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// Nothing was done and nothing will be: says what held it.
    #[error("{reason}")]
    Held { by: HeldBy, reason: String },
    /// It was tried and did not work.
    #[error("{0}")]
    Failed(String),
}

/// What preparing looks with.
#[derive(Clone)]
pub struct Eyes {
    pub permission: Arc<Permission>,
    pub now: Moment,
    /// The rules directory, for bodies that `restore_file` takes from `rules/defaults/`.
    pub rules: std::path::PathBuf,
}

/// Does effects. `Live` does them, `Dry` says what it would do.
pub trait Hands: Send + Sync {
    fn commit<'a>(&'a self, effect: &'a Effect) -> BoxFuture<'a, Result<Receipt, HandsError>>;
}

/// One kind of step.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// `restore_file: { file: data/x.json, from: rules/defaults/x.json }`, for the documentation and its test.
    pub example: &'static str,
    /// The key under which a body that is no map stands: `run_checks: [a]` means `run_checks: { checks: [a] }`.
    pub shorthand: Option<&'static str>,
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Checks the arguments at load (templates not yet filled in): keys, kinds, paths and programs that are plain text.
    pub check: fn(&Node, &Permission, &mut Vec<Mistake>),
    /// Looks at the target and says what is to be done.
    pub prepare: fn(&Map<String, Value>, &Eyes) -> Result<Effect, HandsError>,
}

pub static KINDS: &[&Kind] = &[
    &restore_file::KIND,
    &write_file::KIND,
    &set_json::KIND,
    &remove_file::KIND,
    &run_command::KIND,
    &call_http::KIND,
    &run_checks::KIND,
];

impl Kind {
    /// The arguments of a step as a rule writes them, always as a map. To be used before [`Kind::check`] and before its
    /// templates are compiled.
    pub fn args(&self, body: &Node) -> Node {
        match self.shorthand {
            Some(key) if !matches!(body.tree, Tree::Map(_)) => {
                let name = Node {
                    tree: Tree::Str(key.to_owned()),
                    place: body.place.clone(),
                    marks: None,
                };
                Node {
                    tree: Tree::Map(vec![(name, body.clone())]),
                    place: body.place.clone(),
                    marks: None,
                }
            }
            _ => body.clone(),
        }
    }
}

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// Looks at a step's target and says what is to be done about it.
pub fn prepare(step: &Step, eyes: &Eyes) -> Result<Effect, HandsError> {
    match kind(&step.kind) {
        Some(kind) => (kind.prepare)(&step.args, eyes),
        None => Err(HandsError::Failed(format!(
            "there is no step `{}`",
            step.kind
        ))),
    }
}

/// The receipt of a step that could not be prepared.
pub fn refused(step: &Step, error: &HandsError) -> Receipt {
    Receipt {
        kind: step.kind.to_string(),
        target: target(&step.args),
        outcome: Outcome::Failed,
        detail: error.to_string(),
        diff: None,
        undo: None,
    }
}

/// What a step says it is about: its file, its command line, its URL or its checks.
fn target(args: &Map<String, Value>) -> String {
    let texts = |key: &str| -> Vec<String> {
        let items = args.get(key).and_then(Value::as_array);
        let items = items.into_iter().flatten();
        items.map(plain).collect()
    };
    match args.get("file") {
        Some(file) => plain(file),
        None if args.contains_key("argv") => command_line(&texts("argv")),
        None if args.contains_key("url") => args.get("url").map(plain).unwrap_or_default(),
        None => texts("checks").join(", "),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A command as one would type it into a shell; only for reading, no shell ever sees it.
pub fn command_line(argv: &[String]) -> String {
    let quoted = argv.iter().map(|word| {
        let tame = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        if !word.is_empty() && word.chars().all(tame) {
            word.clone()
        } else {
            format!("'{}'", diff::escaped(word).replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn denied(error: Denied) -> HandsError {
    match error {
        Denied::Forbidden(reason) => HandsError::Held {
            by: HeldBy::Permission,
            reason,
        },
        other => HandsError::Failed(other.told()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        path::{Path, PathBuf},
        time::Duration,
    };

    use serde_json::json;

    use super::{
        testing::{World, mistakes, step},
        *,
    };

    /// Every kind that acts on a file, with arguments that change `data/x.json`.
    fn file_steps(file: &str) -> [(&'static str, Value); 4] {
        [
            (
                "restore_file",
                json!({"file": file, "from": "rules/defaults/x.json"}),
            ),
            ("write_file", json!({"file": file, "body": "new"})),
            ("set_json", json!({"file": file, "set": {"a": 2}})),
            ("remove_file", json!({"file": file, "older_than": "5m"})),
        ]
    }

    fn world() -> World {
        let world = World::new();
        world.put("rules/defaults/x.json", "{\"a\": 0}\n");
        world.put("data/x.json", "{\"a\": 1}\n");
        world
    }

    fn fifo(path: &Path) {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).expect("a FIFO");
    }

    #[test]
    fn every_kind_has_its_own_name_and_an_example_of_it() {
        for kind in KINDS {
            let namesakes = KINDS.iter().filter(|other| other.name == kind.name);
            assert_eq!(namesakes.count(), 1);
            assert!(kind.example.starts_with(&format!("{}: ", kind.name)));
            assert!(kind.about.ends_with('.'));
            let mut generator = schemars::SchemaGenerator::default();
            let schema = (kind.schema)(&mut generator).to_value().to_string();
            assert!(
                schema.contains("\"additionalProperties\":false"),
                "{schema}"
            );
        }
    }

    #[test]
    fn an_unknown_step_is_told_and_not_a_panic() {
        let error = World::new()
            .prepare("erase_disk", json!({}))
            .expect_err("unknown");
        assert_eq!(error.to_string(), "there is no step `erase_disk`");
    }

    #[test]
    fn arguments_that_do_not_fit_are_a_failure() {
        let world = world();
        for kind in KINDS {
            for args in [json!({}), json!({"file": [], "argv": "x", "checks": 1})] {
                let error = world.prepare(kind.name, args).expect_err("it cannot be");
                assert!(matches!(error, HandsError::Failed(_)), "{error}");
            }
        }
    }

    #[test]
    fn a_target_that_steps_may_not_touch_is_held_and_untouched() {
        let world = world();
        symlink(world.secret(), world.path("data/link")).expect("a link");
        symlink("x.json", world.path("data/inner")).expect("a link");
        symlink(world.outside(), world.path("data/out")).expect("a link");
        fs::hard_link(world.path("data/x.json"), world.path("data/hard")).expect("a link");
        fs::hard_link(world.path("rules/defaults/x.json"), world.path("data/rule"))
            .expect("a link");
        fs::create_dir(world.path("data/dir")).expect("a directory");
        fifo(&world.path("data/fifo"));
        let before = world.tree();
        for file in [
            "data/link",
            "data/inner",
            "data/out/secret",
            "data/out/new",
            "data/hard",
            "data/rule",
            "data/dir",
            "data/fifo",
            "data/../rules/x.json",
            "../x.json",
            "/etc/hostname",
            "rules/defaults/x.json",
            "homeostat.yaml",
            "state/homeostat/history.db",
            "logs/checks.jsonl",
            "",
            "data",
        ] {
            for (kind, args) in file_steps(file) {
                match world.prepare(kind, args) {
                    Err(HandsError::Held {
                        by: HeldBy::Permission,
                        ..
                    }) => {}
                    other => panic!("{kind} {file}: {other:?}"),
                }
            }
        }
        assert_eq!(world.tree(), before);
        world.assert_outside_is_untouched();
    }

    /// What may happen to a target between the look and the act.
    type Swap = (&'static str, fn(&World, PathBuf));
    const SWAPS: [Swap; 8] = [
        ("other body", |_, file| {
            fs::write(file, "{\"a\": 7}\n").expect("a file");
        }),
        ("same body, other file", |world, file| {
            fs::copy(&file, world.path("data/copy")).expect("a copy");
            fs::rename(world.path("data/copy"), file).expect("a rename");
        }),
        ("gone", |_, file| fs::remove_file(file).expect("a file")),
        ("a directory", |_, file| {
            fs::remove_file(&file).expect("a file");
            fs::create_dir(file).expect("a directory");
        }),
        ("a link to a file outside", |world, file| {
            fs::remove_file(&file).expect("a file");
            symlink(world.secret(), file).expect("a link");
        }),
        ("a second name of a file", |world, file| {
            fs::hard_link(file, world.path("data/second")).expect("a link");
        }),
        ("a FIFO", |_, file| {
            fs::remove_file(&file).expect("a file");
            fifo(&file);
        }),
        ("its directory leads outside", |world, _| {
            fs::rename(world.path("data"), world.path("old")).expect("a rename");
            symlink(world.outside(), world.path("data")).expect("a link");
            fs::write(world.outside().join("x.json"), "{\"a\": 1}\n").expect("a file");
        }),
    ];

    #[test]
    fn a_target_swapped_between_look_and_act_is_left_alone() {
        for (name, swap) in SWAPS {
            for nth in 0..4 {
                let world = world();
                let Some((kind, args)) = file_steps("data/x.json").into_iter().nth(nth) else {
                    panic!("four steps")
                };
                let effect = world.ready(kind, args);
                swap(&world, world.path("data/x.json"));
                let before = world.tree();
                let error = world.commit(&effect).expect_err(name);
                assert_eq!(world.tree(), before, "{kind}, {name}: {error}");
                let secret = fs::read_to_string(world.secret()).expect("a file");
                assert_eq!(secret, testing::SECRET, "{kind}, {name}");
                let outer = fs::read_to_string(world.outside().join("x.json"));
                assert!(outer.is_err() || outer.is_ok_and(|body| body == "{\"a\": 1}\n"));
            }
        }
    }

    #[test]
    fn what_appeared_since_is_not_overwritten() {
        for (kind, args) in file_steps("data/new.json").into_iter().take(3) {
            let world = world();
            let effect = world.ready(kind, args);
            world.put("data/new.json", "somebody else's");
            let error = world.commit(&effect).expect_err("it is there now");
            assert_eq!(
                error.to_string(),
                "data/new.json changed since it was looked at"
            );
            assert_eq!(world.text("data/new.json"), "somebody else's");
        }
    }

    #[test]
    fn a_dry_run_shows_what_a_live_one_does_and_does_nothing() {
        let world = world();
        let steps = file_steps("data/x.json").into_iter().chain([
            ("run_checks", json!({"checks": ["a", "b"]})),
            (
                "write_file",
                json!({"file": "data/deep/new.json", "body": {"k": [1]}}),
            ),
        ]);
        for (kind, args) in steps {
            world.put("data/x.json", "{\"a\": 1}\n");
            let before = world.tree();
            let effect = world.ready(kind, args);
            let would = world.dry(&effect);
            assert_eq!(world.tree(), before, "{kind}");
            assert_eq!(would.outcome, Outcome::Would);
            assert_eq!(would.undo, None);
            assert!(world.runner.names.lock().expect("no panic").is_empty());
            let done = world.commit(&effect).expect("it is done");
            world.runner.names.lock().expect("no panic").clear();
            assert_eq!(
                (&would.kind, &would.target, &would.diff),
                (&done.kind, &done.target, &done.diff)
            );
        }
    }

    #[test]
    fn doing_it_twice_is_as_good_as_once() {
        for nth in 0..4 {
            let world = world();
            let Some((kind, args)) = file_steps("data/x.json").into_iter().nth(nth) else {
                panic!("four steps")
            };
            world.act(kind, args.clone());
            let after = world.tree();
            let again = world.ready(kind, args);
            assert!(matches!(again, Effect::Nothing { .. }), "{again:?}");
            let receipt = world.commit(&again).expect("nothing to do");
            assert_eq!((receipt.outcome, receipt.diff), (Outcome::Done, None));
            assert_eq!(world.tree(), after);
        }
    }

    #[test]
    fn a_file_too_large_to_keep_is_not_touched() {
        let world = world();
        let file = fs::File::create(world.path("data/huge.json")).expect("a file");
        file.set_len(image::MOST_BYTES + 1).expect("a sparse file");
        world.touch("data/huge.json", Duration::from_secs(3600));
        for (kind, args) in file_steps("data/huge.json") {
            let error = world.prepare(kind, args).expect_err("too large");
            assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
        }
    }

    #[test]
    fn paths_are_checked_at_load_by_their_text_alone() {
        let world = World::new();
        for (name, args) in file_steps("rules/x.json") {
            let found = mistakes(&world, name, args);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].0, found[0].1), ("forbidden-path", 1), "{found:?}");
        }
        for file in ["data/not/there/yet.json", "${vars.anywhere}"] {
            for (name, args) in file_steps(file) {
                assert_eq!(mistakes(&world, name, args), []);
            }
        }
    }

    #[test]
    fn a_key_that_is_not_known_is_told_with_what_was_meant() {
        let world = World::new();
        let wrong = json!({"flie": "data/x", "older_than": "soon"});
        let codes: Vec<_> = mistakes(&world, "remove_file", wrong)
            .into_iter()
            .map(|(code, line, _)| (code, line))
            .collect();
        assert_eq!(
            codes,
            [("unknown-key", 1), ("bad-value", 2)],
            "what was meant is not missed as well"
        );
        // A duration cannot be filled in.
        let wrong = json!({"file": "data/x", "older_than": "${vars.age}"});
        assert_eq!(mistakes(&world, "remove_file", wrong)[0].0, "bad-value");
    }

    #[test]
    fn a_refused_step_leaves_a_receipt_that_names_its_target() {
        let error = HandsError::Failed("no".to_owned());
        let target = |kind, args| refused(&step(kind, args), &error).target;
        assert_eq!(target("set_json", json!({"file": "data/x"})), "data/x");
        assert_eq!(
            target("run_command", json!({"argv": ["/bin/echo", "a b", 1]})),
            "/bin/echo 'a b' 1"
        );
        assert_eq!(target("run_checks", json!({"checks": ["a", "b"]})), "a, b");
        assert_eq!(target("run_checks", json!({})), "");
    }

    #[test]
    fn a_command_line_is_shown_as_one_would_type_it() {
        let words = ["/bin/x", "", "it's", "a\u{1b}b", "--k=v"].map(str::to_owned);
        assert_eq!(
            command_line(&words),
            r"/bin/x '' 'it'\''s' 'a\u{1b}b' --k=v"
        );
    }
}
