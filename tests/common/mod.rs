//! What the tests of the real engine share: a root of its own, and waiting for a state with a bound.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod faults;
pub mod room;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use homeostat::{
    clock::{self, Stopwatch, SystemClock},
    engine::live::{self, Live, Options, StartError},
};
use serde_json::Value;

/// A root in a temporary directory.
pub struct Root {
    dir: tempfile::TempDir,
}

impl Root {
    pub fn new() -> Root {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["rules", "data", "state", "logs"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        Root { dir }
    }

    /// With the shipped rules, settings and sources of the bot.
    pub fn shipped() -> Root {
        let root = Root::new();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&shipped.join("rules"), &root.at("rules"));
        copy(&shipped.join("data/bot"), &root.at("data/bot"));
        fs::copy(shipped.join("homeostat.yaml"), root.at("homeostat.yaml")).expect("a copy");
        root
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn at(&self, file: &str) -> PathBuf {
        self.path().join(file)
    }

    pub fn put(&self, file: &str, text: &str) {
        let path = self.at(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    pub fn text(&self, file: &str) -> String {
        fs::read_to_string(self.at(file)).unwrap_or_default()
    }

    /// The complete lines of a journal.
    pub fn lines(&self, file: &str) -> Vec<Value> {
        let text = self.text(file);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    pub fn options(&self) -> Options {
        Options {
            root: self.path().to_owned(),
            rules: self.at("rules"),
            set: BTreeMap::new(),
            watch: true,
            env: BTreeMap::new(),
            clock: Arc::new(SystemClock),
        }
    }

    pub async fn start(&self) -> Result<Live, StartError> {
        live::start(self.options()).await
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// Waits until something is there, at most `bound`. The only waiting that tests do.
pub async fn until<T>(bound: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let watch = Stopwatch::new();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            watch.elapsed() < bound,
            "waited {bound:?} in vain for {what}"
        );
        clock::sleep(Duration::from_millis(10)).await;
    }
}

pub const SOON: Duration = Duration::from_secs(20);
