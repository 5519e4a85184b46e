//! State across looks: `keep` is evaluated once a look, stored with the standing, and seen next time as `kept.NAME`.

use serde_json::{Map, Value};

use super::{Asked, Decided, Judging};
use crate::{
    model::{standing::Prior, status::Status},
    script::{Engine, Scope},
};

/// What is kept from before: `keep_start`, overwritten by what was kept of the names the rule still has.
pub(super) fn before(judging: &Judging, prior: &Prior) -> Map<String, Value> {
    let mut kept = judging.keep_start.clone();
    for (name, value) in prior.kept.iter().flatten() {
        if kept.contains_key(name) || judging.keep.iter().any(|(known, _)| known == name) {
            kept.insert(name.clone(), value.clone());
        }
    }
    kept
}

/// What is kept from now on; `None` if nothing is to be kept by this look. All names see what was kept before. One that
/// fails keeps its value.
pub(super) fn after(
    engine: &Engine,
    judging: &Judging,
    asked: Asked<'_>,
    before: &Map<String, Value>,
    scope: &Scope<'_>,
    decided: &mut Decided,
) -> Option<Map<String, Value>> {
    if !asked.keep || judging.keep.is_empty() || decided.status == Status::Unknown {
        return None;
    }
    let mut kept = before.clone();
    for (name, expr) in &judging.keep {
        match expr.value(engine, scope) {
            Ok(value) => {
                kept.insert(name.clone(), value);
            }
            Err(fault) => decided.note(&format!("keep {name}"), &fault),
        }
    }
    Some(kept)
}
