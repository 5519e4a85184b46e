//! The strict engine: which operators and functions there are and what they refuse.

use std::sync::Arc;

/// The engine of all expressions. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<rhai::Engine>);

impl Engine {
    #[expect(
        clippy::new_without_default,
        reason = "costs a millisecond; make one and share it"
    )]
    pub fn new() -> Engine {
        Engine(Arc::new(rhai::Engine::new_raw()))
    }
}
