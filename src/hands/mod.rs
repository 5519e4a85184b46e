//! What to do about it: one file per kind of step, one line in [`KINDS`].
//!
//! A step is a wish; [`prepare`] looks at its target and gives an effect, or says why not; [`Hands`] turn effects into
//! receipts. Only [`live`] changes anything outside the process. Doing a step twice is as good as once.

mod args;
pub mod call_http;
#[cfg(test)]
mod confinement;
mod diff;
pub mod dry;
mod edit;
pub mod effect;
pub mod image;
pub mod live;
pub mod move_file;
pub mod notify;
pub mod raise_event;
pub mod remove_file;
pub mod restart_unit;
pub mod restore_file;
pub mod run_checks;
pub mod run_command;
pub mod run_script;
pub mod set_json;
pub mod signal_process;
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
    permission::{Denied, Permission, restarting::Unit},
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
    &move_file::KIND,
    &run_command::KIND,
    &call_http::KIND,
    &run_checks::KIND,
    &signal_process::KIND,
    &restart_unit::KIND,
    &run_script::KIND,
    &raise_event::KIND,
    &notify::KIND,
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

/// The effect of a step that rule tests answer for, since it would look for its target outside of their root.
pub fn unlooked(step: &Step) -> Option<Result<Effect, HandsError>> {
    (step.kind == signal_process::KIND.name).then(|| signal_process::unlooked(&step.args))
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

/// What a step says it is about: its file, its command line, its URL, its checks, its unit or its process.
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
        None if args.contains_key("unit") => {
            let of_user = args.get("scope").is_some_and(|scope| scope == "user");
            let unit = args.get("unit").map(plain).unwrap_or_default();
            let whole = Unit::new(&unit, of_user).map(|unit| unit.to_string());
            whole.unwrap_or(unit)
        }
        None if args.contains_key("event") => args.get("event").map(plain).unwrap_or_default(),
        None if args.contains_key("checks") => texts("checks").join(", "),
        None if args.contains_key("to") => match args.get("to") {
            Some(Value::Array(_)) => texts("to").join(", "),
            to => to.map(plain).unwrap_or_default(),
        },
        None => {
            let whose = ["name", "cmdline", "pid_file"].iter();
            let whose = whose.filter_map(|key| args.get(*key)).map(plain);
            whose.collect::<Vec<_>>().join(" of ")
        }
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
    use std::{fs, time::Duration};

    use serde_json::json;

    use super::{
        testing::{World, file_steps, mistakes, step, world},
        *,
    };

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
        for nth in 0..6 {
            let world = world();
            let Some((kind, args)) = file_steps("data/x.json").into_iter().nth(nth) else {
                panic!("six steps")
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
        let moved = json!("logs/moved.json"); // needs not be kept
        let steps = file_steps("data/huge.json").into_iter();
        for (kind, args) in steps.filter(|(_, args)| args["to"] != moved) {
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
            assert_eq!(found[0].0, "forbidden-path", "{found:?}");
            assert!(found[0].2.starts_with("rules/x.json: "), "{found:?}");
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
