//! What a verdict says. A message that fails never changes a status: then the plain words stand.

use super::{Decided, Messages};
use crate::{
    model::status::Status,
    script::{Engine, Scope, Template},
};

pub(super) fn message(
    engine: &Engine,
    messages: &Messages,
    scope: &Scope<'_>,
    decided: &Decided,
) -> String {
    let said = template(messages, decided).and_then(|it| it.render(engine, scope).ok());
    match said {
        Some(said) if !said.trim().is_empty() => said,
        _ => decided.plain.clone(),
    }
}

/// An error and missing data have messages of their own; those of a status speak of what was seen.
fn template<'a>(messages: &'a Messages, decided: &Decided) -> Option<&'a Template> {
    let unknown = || match decided.status {
        Status::Unknown => messages.unknown.as_ref(),
        _ => None,
    };
    if decided.error.is_some() {
        return messages.error.as_ref().or_else(unknown);
    }
    if decided.no_data {
        return messages.no_data.as_ref().or_else(unknown);
    }
    match decided.status {
        Status::Ok => messages.ok.as_ref(),
        Status::Warning => messages.warning.as_ref(),
        Status::Critical => messages.critical.as_ref(),
        Status::Unknown => messages.unknown.as_ref(),
    }
}
