//! A small world for the tests of this folder: a root with a rules directory, and a file outside that must never change.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures::future::{BoxFuture, FutureExt, ready};
use serde_json::{Value, json};

use super::{Dry, Effect, Eyes, Hands, HandsError, Live, Runner, kind, prepare};
use crate::{
    model::{
        moment::Moment,
        node::{Node, Tree},
        step::{Receipt, Step},
        text::{Mistake, Place},
    },
    permission::{Permission, Settings, settings::Allow},
};

/// What a file or directory is: `dir`, `link TARGET`, or mode and body.
pub type Shot = BTreeMap<PathBuf, String>;

pub struct World {
    root: tempfile::TempDir,
    outside: tempfile::TempDir,
    rules: PathBuf,
    pub now: Moment,
    pub runner: Arc<Asked>,
    /// Command lines of processes that may be signalled.
    pub signal: Vec<String>,
    /// Units that may be restarted, and the program that does; the real one if it is empty.
    pub units: Vec<String>,
    pub systemctl: String,
}

/// A runner that remembers what it was asked, and answers what it is told to.
#[derive(Default)]
pub struct Asked {
    pub names: Mutex<Vec<String>>,
    pub raised: Mutex<Vec<String>>,
    /// Whom it told what.
    pub told: Mutex<Vec<(Vec<String>, String)>>,
    pub refuses: Mutex<Option<String>>,
}

impl Runner for Asked {
    fn run_checks(&self, names: Vec<String>) -> BoxFuture<'_, Result<String, String>> {
        let answer = match self.refuses.lock().expect("no panic").clone() {
            Some(why) => Err(why),
            None => Ok(format!("{} checks looked at", names.len())),
        };
        self.names.lock().expect("no panic").extend(names);
        ready(answer).boxed()
    }

    fn raise(&self, event: String) -> Result<(), String> {
        if let Some(why) = self.refuses.lock().expect("no panic").clone() {
            return Err(why);
        }
        self.raised.lock().expect("no panic").push(event);
        Ok(())
    }

    fn tell(&self, to: Vec<String>, text: String) -> BoxFuture<'_, Result<(), String>> {
        let answer = match self.refuses.lock().expect("no panic").clone() {
            Some(why) => Err(why),
            None => {
                self.told.lock().expect("no panic").push((to, text));
                Ok(())
            }
        };
        ready(answer).boxed()
    }
}

pub const SECRET: &str = "nobody may touch this\n";

/// Every kind that acts on a file, with arguments that change this one.
pub fn file_steps(file: &str) -> [(&'static str, Value); 6] {
    [
        (
            "restore_file",
            json!({"file": file, "from": "rules/defaults/x.json"}),
        ),
        ("write_file", json!({"file": file, "body": "new"})),
        ("set_json", json!({"file": file, "set": {"a": 2}})),
        ("remove_file", json!({"file": file, "older_than": "5m"})),
        ("move_file", json!({"file": file, "to": "logs/moved.json"})),
        (
            "move_file",
            json!({"file": "state/other.json", "to": file, "overwrite": true}),
        ),
    ]
}

/// A world for [`file_steps`] on `data/x.json`.
pub fn world() -> World {
    let world = World::new();
    world.put("rules/defaults/x.json", "{\"a\": 0}\n");
    world.put("data/x.json", "{\"a\": 1}\n");
    world.put("state/other.json", "{\"a\": 3}\n");
    world
}

pub fn fifo(path: &Path) {
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).expect("a FIFO");
}

impl World {
    pub fn new() -> World {
        let root = tempfile::tempdir().expect("a directory");
        let outside = tempfile::tempdir().expect("a directory");
        for dir in ["data", "state/homeostat", "logs", "rules/defaults"] {
            fs::create_dir_all(root.path().join(dir)).expect("a directory");
        }
        fs::write(outside.path().join("secret"), SECRET).expect("a file");
        World {
            rules: root.path().join("rules"),
            root,
            outside,
            now: Moment(1_767_717_000_000),
            runner: Arc::default(),
            signal: Vec::new(),
            units: Vec::new(),
            systemctl: String::new(),
        }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub fn secret(&self) -> PathBuf {
        self.outside.path().join("secret")
    }

    pub fn outside(&self) -> &Path {
        self.outside.path()
    }

    pub fn rules_at(&mut self, rules: PathBuf) {
        self.rules = rules;
    }

    /// Writes a file whose last write was `age` ago.
    pub fn put_aged(&self, path: &str, body: impl AsRef<[u8]>, age: Duration) {
        fs::write(self.path(path), body).expect("a file");
        self.touch(path, age);
    }

    pub fn touch(&self, path: &str, age: Duration) {
        let modified = SystemTime::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(self.now.0).expect("after 1970"))
            - age;
        let file = fs::File::options().write(true).open(self.path(path));
        let file = file.expect("the file is there");
        file.set_modified(modified).expect("a time");
    }

    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) {
        self.put_aged(path, body, Duration::from_secs(3600));
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).expect("a text file")
    }

    pub fn permission(&self) -> Permission {
        let real = Settings::default().systemctl;
        let settings = Settings {
            systemctl: match self.systemctl.as_str() {
                "" => real,
                standin => standin.to_owned(),
            },
            allow: Allow {
                run: ["/bin/echo *", "/bin/ls *", "/bin/sleep *", "/nowhere/tool"]
                    .map(str::to_owned)
                    .to_vec(),
                signal: self.signal.clone(),
                units: self.units.clone(),
                ..Allow::default()
            },
            ..Settings::default()
        };
        Permission::new(self.root.path(), settings)
            .expect("a root")
            .reserving(["logs/checks.jsonl".to_owned()])
    }

    pub fn eyes(&self) -> Eyes {
        Eyes {
            permission: Arc::new(self.permission()),
            now: self.now,
            rules: self.rules.clone(),
        }
    }

    pub fn prepare(&self, kind: &'static str, args: Value) -> Result<Effect, HandsError> {
        prepare(&step(kind, args), &self.eyes())
    }

    pub fn ready(&self, kind: &'static str, args: Value) -> Effect {
        self.prepare(kind, args).expect("it can be prepared")
    }

    pub fn live(&self) -> Live {
        Live::new(Arc::new(self.permission()), self.runner.clone())
    }

    pub fn commit(&self, effect: &Effect) -> Result<Receipt, HandsError> {
        wait(self.live().commit(effect))
    }

    pub fn dry(&self, effect: &Effect) -> Receipt {
        wait(Dry.commit(effect)).expect("dry hands do not fail")
    }

    /// Prepares and does a step.
    pub fn act(&self, kind: &'static str, args: Value) -> Receipt {
        self.commit(&self.ready(kind, args)).expect("it is done")
    }

    /// Everything below the root, to see that nothing changed.
    pub fn tree(&self) -> Shot {
        let mut tree = Shot::new();
        gather(self.root.path(), &mut tree);
        tree
    }

    pub fn assert_outside_is_untouched(&self) {
        let secret = fs::read_to_string(self.secret()).expect("it is there");
        assert_eq!(secret, SECRET);
        let names = fs::read_dir(self.outside.path()).expect("a directory");
        assert_eq!(names.count(), 1, "something was put outside");
    }
}

fn gather(dir: &Path, tree: &mut Shot) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        let about = entry.metadata().expect("an entry");
        let path = entry.path();
        let what = if about.is_dir() {
            gather(&path, tree);
            "dir".to_owned()
        } else if about.is_symlink() {
            format!("link {:?}", fs::read_link(&path).expect("a link"))
        } else if about.is_file() {
            let body = fs::read(&path).expect("a file");
            format!("{:o} {body:?}", about.permissions().mode())
        } else {
            "special".to_owned()
        };
        tree.insert(path, what);
    }
}

pub fn step(kind: &'static str, args: Value) -> Step {
    let Value::Object(args) = args else {
        panic!("arguments are a map")
    };
    Step {
        kind: kind.into(),
        args,
    }
}

/// Runs a future to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

/// What is wrong with a step as written: code, the line of its place (values are numbered in their order), message.
pub fn mistakes(world: &World, name: &str, args: Value) -> Vec<(&'static str, usize, String)> {
    let kind = kind(name).expect("a kind");
    let mut node = Node::from_json(&args);
    number(&mut node, &mut 0);
    let mut mistakes: Vec<Mistake> = Vec::new();
    (kind.check)(&kind.args(&node), &world.permission(), &mut mistakes);
    mistakes
        .into_iter()
        .map(|mistake| (mistake.code, mistake.place.line, mistake.message))
        .collect()
}

/// Gives every value its number as its line, in the order of the text.
fn number(node: &mut Node, next: &mut usize) {
    node.place = Place {
        line: *next,
        ..Place::default()
    };
    *next += 1;
    match &mut node.tree {
        Tree::Seq(items) => items.iter_mut().for_each(|item| number(item, next)),
        Tree::Map(entries) => {
            for (key, value) in entries {
                key.place.line = *next;
                number(value, next);
            }
        }
        _ => {}
    }
}
