//! For the tests of the kinds: a root with files of known age, a probe out of JSON, its facts as JSON.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{Board, Eyes, Kind, NoBoard, Probe, Tails, Workshop};
use crate::{
    model::{moment::Moment, node::Node, text::Mistake},
    permission::{Permission, Settings, settings::Allow},
    script::{Engine, Env, Ground, Known, Scripts},
};

/// The instant of all looks: 2026-01-06T16:30:00Z.
pub(super) const NOW: Moment = Moment(1_767_717_000_000);

pub(super) struct Bench {
    root: tempfile::TempDir,
    settings: Settings,
    scripts: Scripts,
    vars: Value,
    env: BTreeMap<String, Option<String>>,
    pub(super) board: Arc<dyn Board>,
    pub(super) tails: Arc<Tails>,
    pub(super) now: Moment,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let root = tempfile::tempdir().expect("a temporary directory");
        for dir in ["data", "state", "logs"] {
            fs::create_dir(root.path().join(dir)).expect("a directory");
        }
        Bench {
            root,
            settings: Settings::default(),
            scripts: Scripts::default(),
            vars: json!({"name": "x", "list": ["a b", "c"]}),
            env: [("HOST".to_owned(), None)].into(),
            board: Arc::new(NoBoard),
            tails: Arc::default(),
            now: NOW,
        }
    }

    pub(super) fn allowing_to_run(mut self, patterns: &[&str]) -> Bench {
        self.settings.allow = Allow {
            run: patterns
                .iter()
                .map(|pattern| (*pattern).to_owned())
                .collect(),
            ..self.settings.allow
        };
        self
    }

    /// A script that rules name `rules/scripts/NAME.rhai`.
    pub(super) fn with_script(mut self, name: &str, text: &str) -> Bench {
        let file = format!("rules/scripts/{name}.rhai");
        self.scripts
            .add(format!("scripts/{name}.rhai"), file.into(), Some(text));
        self
    }

    pub(super) fn with_vars(mut self, vars: Value) -> Bench {
        self.vars = vars;
        self
    }

    pub(super) fn allowing_to_reach(mut self, entries: &[&str]) -> Bench {
        self.settings.allow.reach = entries.iter().map(|entry| (*entry).to_owned()).collect();
        self
    }

    /// Sets a variable that `env("…")` may read.
    pub(super) fn with_env(mut self, name: &str, value: &str) -> Bench {
        self.env.insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file that is `age` seconds old.
    pub(super) fn file(&self, path: &str, body: impl AsRef<[u8]>, age: f64) {
        let path = self.root().join(path);
        fs::write(&path, body).expect("written");
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(self.now.seconds() - age);
        let file = fs::File::options().write(true).open(&path).expect("open");
        file.set_modified(then).expect("dated");
    }

    fn permission(&self) -> Permission {
        Permission::new(self.root(), self.settings.clone()).expect("a root")
    }

    pub(super) fn eyes(&self) -> Eyes {
        Eyes {
            engine: Engine::new(),
            permission: Arc::new(self.permission()),
            ground: Ground {
                now: self.now,
                vars: Arc::new(self.vars.as_object().cloned().unwrap_or_default()),
                env: Arc::new(Env {
                    listed: self.env.clone(),
                }),
            },
            tails: Arc::clone(&self.tails),
            board: Arc::clone(&self.board),
            limit: Duration::from_secs(10),
        }
    }

    pub(super) fn build(&self, kind: &Kind, rule: Value) -> Result<Arc<dyn Probe>, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let known = Known::ground(self.vars.as_object().expect("a map"));
        let built = (kind.build)(
            &Node::from_json(&rule),
            &mut Workshop {
                engine: &Engine::new(),
                known: &known,
                permission: &self.permission(),
                scripts: &self.scripts,
                mistakes: &mut mistakes,
            },
        );
        assert_eq!(built.is_some(), mistakes.is_empty(), "{mistakes:?}");
        built.ok_or(mistakes)
    }

    /// Codes of the mistakes of a rule.
    pub(super) fn codes(&self, kind: &Kind, rule: Value) -> Vec<&'static str> {
        match self.build(kind, rule) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(|mistake| mistake.code).collect(),
        }
    }

    /// The facts of one look, or why it could not.
    pub(super) fn look(&self, kind: &Kind, rule: Value) -> Result<Value, String> {
        let probe = self.build(kind, rule).expect("no mistakes");
        self.look_with(&*probe)
    }

    pub(super) fn look_with(&self, probe: &dyn Probe) -> Result<Value, String> {
        let eyes = self.eyes();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let facts = runtime
            .block_on(probe.observe(&eyes))
            .map_err(|error| error.to_string())?;
        if let Some(look) = probe.quick() {
            assert!(look.look(&eyes).is_ok(), "a batch sees the same");
        }
        let shape = probe.shape();
        let names: Vec<&str> = facts.names().collect();
        assert_eq!(
            names,
            shape.names().collect::<Vec<_>>(),
            "the shape names every fact"
        );
        Ok(facts.to_json())
    }
}
