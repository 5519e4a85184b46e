//! For the tests of the engine: probes that hang as long as they are told to, and books that have them.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;

use crate::{
    model::facts::Facts,
    permission::{Permission, Settings},
    probe::{Eyes, Look, Probe, ProbeError},
    rules::{
        book::{Book, Probes},
        load::load_sources,
    },
    script::Engine,
};

/// A look that only reads files, and waits before a gate.
#[derive(Default)]
pub(super) struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    looks: AtomicU64,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
}

impl Gate {
    pub(super) fn open() -> Arc<Gate> {
        Arc::default()
    }

    pub(super) fn shut() -> Arc<Gate> {
        let gate = Gate::open();
        gate.set(true);
        gate
    }

    pub(super) fn set(&self, shut: bool) {
        *self.shut.lock().expect("nobody panics holding it") = shut;
        self.opened.notify_all();
    }

    /// Looks that were begun.
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }

    /// The most looks there ever were at the same time.
    pub(super) fn most_at_once(&self) -> u64 {
        self.most_at_once.load(Ordering::SeqCst)
    }

    fn pass(&self) {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let here = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(here, Ordering::SeqCst);
        let shut = self.shut.lock().expect("nobody panics holding it");
        drop(self.opened.wait_while(shut, |shut| *shut));
        self.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a fake look does.
pub(super) enum Fake {
    Waits(Arc<Gate>),
    Panics,
}

impl Look for Fake {
    fn look(&self, _: &Eyes) -> Result<Facts, ProbeError> {
        match self {
            Fake::Waits(gate) => gate.pass(),
            Fake::Panics => panic!("as told"),
        }
        Ok(self.shape())
    }
}

impl Probe for Fake {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        Facts::new().with("missing", false)
    }
}

pub(super) fn permission(root: &Path) -> Permission {
    Permission::new(root, Settings::default()).expect("a root")
}

/// A book out of one rule file, some of whose checks look at something else than it says.
pub(super) fn book(
    rules: &str,
    permission: &Permission,
    engine: &Engine,
    fakes: Vec<(&str, Fake)>,
) -> Book {
    let sources = BTreeMap::from([("all.yaml".to_owned(), rules.as_bytes().into())]);
    let loaded = load_sources(&sources, &BTreeMap::new(), permission, engine);
    let complaints = loaded.complaints;
    let mut book = loaded
        .book
        .unwrap_or_else(|| panic!("the rules are wrong: {complaints:?}"));
    for (name, fake) in fakes {
        let check = book.checks.remove(name).expect("the check");
        let mut check = Arc::into_inner(check).expect("nobody else has it");
        check.probes = Probes::One(Arc::new(fake));
        book.checks.insert(name.into(), Arc::new(check));
    }
    book
}
