//! Rule sets, good and bad, as a whole.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    complaint::{Complaint, Severity},
    load::{Cache, Loaded, load, load_sources},
    sources::Sources,
};
use crate::{
    model::{outline::EventTrigger, status::Status},
    permission::{Permission, Settings},
    script::Engine,
};

struct World {
    root: tempfile::TempDir,
    permission: Permission,
    engine: Engine,
    overrides: BTreeMap<String, Value>,
}

impl World {
    fn new() -> World {
        let root = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::default();
        settings.env.push("ALPACA_KEY".to_owned());
        settings
            .allow
            .run
            .push("/usr/bin/systemctl reload *".to_owned());
        settings
            .allow
            .run
            .push("/usr/bin/systemctl restart *".to_owned());
        World {
            permission: Permission::new(root.path(), settings).expect("permission"),
            root,
            engine: Engine::new(),
            overrides: BTreeMap::new(),
        }
    }

    fn load(&self, files: &[(&str, &str)]) -> Loaded {
        let sources: Sources = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())))
            .collect();
        load_sources(&sources, &self.overrides, &self.permission, &self.engine)
    }
}

fn told(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(Complaint::to_string).collect()
}

fn errors(loaded: &Loaded) -> Vec<String> {
    loaded.errors().map(Complaint::to_string).collect()
}

/// The example of the rule reference.
const EXAMPLE: &str = include_str!("testdata/example.yaml");

#[test]
fn the_example_loads() {
    let world = World::new();
    let more = "
checks:
  - { name: alpaca_connectivity, probe: { file: { file: a } }, threshold: { critical: missing } }
  - { name: entry_thresholds, probe: { file: { file: a } }, threshold: { critical: missing } }
  - { name: mock_signal, probe: { file: { file: a } }, threshold: { critical: missing } }
  - { name: uw_parser_integrity, probe: { file: { file: a } }, threshold: { critical: missing } }
  - { name: alpaca_latency, probe: { file: { file: a } }, threshold: { critical: missing } }
  - { name: cache_lock, probe: { file: { file: a } }, threshold: { critical: missing } }
";
    let loaded = world.load(&[
        ("critical.yaml", EXAMPLE),
        ("more.yaml", more),
        ("defaults/uw_weights.json", "{}"),
    ]);
    assert_eq!(errors(&loaded), Vec::<String>::new());
    println!("{}", super::complaint::plain(&loaded.complaints));
}
