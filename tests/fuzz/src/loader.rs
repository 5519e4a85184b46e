//! Any bytes as a rule file, beside nothing: there is a book or there are errors, every complaint stands somewhere, can be
//! shown, and is the same the next time.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use homeostat::{
    permission::{Permission, Settings},
    rules::{
        complaint,
        load::{Loaded, load_sources},
        settings,
        sources::Sources,
    },
    script::Engine,
};

struct Bench {
    engine: Engine,
    permission: Permission,
    _root: tempfile::TempDir,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let root = tempfile::tempdir().expect("a temporary directory");
    Bench {
        engine: Engine::new(),
        permission: Permission::new(root.path(), Settings::default()).expect("a root"),
        _root: root,
    }
});

pub fn run(bytes: &[u8]) {
    let body: &[u8] = b"{\"base\": 2.7}\n";
    let sources: Sources = [
        ("fuzz.yaml", bytes),
        ("defaults/uw_weights.json", body),
        ("defaults/x.json", body),
    ]
    .into_iter()
    .map(|(path, bytes)| (path.to_owned(), Arc::from(bytes)))
    .collect();
    let load = || load_sources(&sources, &BTreeMap::new(), &BENCH.permission, &BENCH.engine);
    let loaded = load();
    examine(&loaded, bytes);
    let again = load();
    assert_eq!(
        told(&loaded),
        told(&again),
        "the same rules, other complaints"
    );
    assert_eq!(
        loaded.book.map(|book| book.generation),
        again.book.map(|book| book.generation)
    );
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(complaints) = settings::parse(text)
    {
        assert!(!complaints.is_empty(), "refused without a word");
        complaint::plain(&complaints);
    }
}

fn told(loaded: &Loaded) -> Vec<String> {
    loaded.complaints.iter().map(ToString::to_string).collect()
}

fn examine(loaded: &Loaded, bytes: &[u8]) {
    let errors = loaded.errors().count();
    assert_eq!(loaded.book.is_some(), errors == 0, "{:?}", told(loaded));
    // As an editor counts: also a lone carriage return, and what YAML took for a line end once, may begin a line.
    let text = String::from_utf8_lossy(bytes);
    let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.matches(ends).count() + 2;
    for complaint in &loaded.complaints {
        let place = &complaint.mistake.place;
        assert!(
            (1..=lines).contains(&place.line) && place.column >= 1,
            "{complaint} stands outside of the file"
        );
        complaint.to_json();
    }
    let drawn = complaint::plain(&loaded.complaints);
    assert_eq!(drawn.is_empty(), loaded.complaints.is_empty());
}
