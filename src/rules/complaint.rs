//! A mistake in a rule file, as people see it.

use std::sync::Arc;

use serde::Serialize;

use crate::model::text::Mistake;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// A mistake with all that is needed to show it.
#[derive(Clone, Debug, Serialize)]
pub struct Complaint {
    pub severity: Severity,
    #[serde(flatten)]
    pub mistake: Mistake,
    /// The check, investigation or test it stands in.
    pub rule: Option<String>,
    /// The whole file, for the excerpt.
    #[serde(skip)]
    pub source: Arc<str>,
}
