//! What a script looks with. The script is on the floor of the pure: what its functions find out is answered by whoever
//! runs it, through [`Host`].

use std::{cell::RefCell, sync::Arc};

use serde_json::Value;

/// Answers the functions that look.
pub trait Host: Send + Sync {
    /// The answer of a function, or why there is none.
    fn ask(&self, function: &str, args: Vec<Value>) -> Result<Arc<Value>, String>;
}

thread_local! {
    /// Of the script that runs. Rhai calls functions without anything of ours.
    static HOST: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

/// Takes the host away again when dropped, also when a panic unwinds.
pub(super) struct Lent(Option<Arc<dyn Host>>);

impl Drop for Lent {
    fn drop(&mut self) {
        HOST.set(self.0.take());
    }
}

/// Lends a host to the script that runs on this thread now.
pub(super) fn lend(host: Option<Arc<dyn Host>>) -> Lent {
    Lent(HOST.replace(host))
}

pub(super) fn ask(function: &str, args: Vec<Value>) -> Result<Arc<Value>, String> {
    match HOST.with_borrow(Clone::clone) {
        Some(host) => host.ask(function, args),
        None => Err(format!(
            "there is nothing to look with: `{function}` cannot be called here"
        )),
    }
}
