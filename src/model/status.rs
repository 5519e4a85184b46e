//! `OK`, `WARNING`, `CRITICAL`, `UNKNOWN`, with the exit codes of monitoring plugins.

use serde::{Deserialize, Serialize};

/// What a look says of a check. Upper-case in every output; lower-case as a key in rules and in Rhai ([`Status::word`]).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl Status {
    pub const ALL: [Status; 4] = [
        Status::Ok,
        Status::Warning,
        Status::Critical,
        Status::Unknown,
    ];

    /// Exit code of monitoring plugins: 0, 1, 2, 3.
    pub fn exit_code(self) -> u8 {
        self as u8
    }

    /// How much it wants attention: OK < WARNING < UNKNOWN < CRITICAL. A set of checks is as bad as its worst.
    pub fn badness(self) -> u8 {
        match self {
            Status::Ok => 0,
            Status::Warning => 1,
            Status::Unknown => 2,
            Status::Critical => 3,
        }
    }

    /// The worst of many; OK for none.
    pub fn worst(statuses: impl IntoIterator<Item = Status>) -> Status {
        statuses
            .into_iter()
            .max_by_key(|status| status.badness())
            .unwrap_or(Status::Ok)
    }

    /// WARNING or CRITICAL: a problem that was seen. UNKNOWN is not one.
    pub fn is_bad(self) -> bool {
        matches!(self, Status::Warning | Status::Critical)
    }

    /// The lower-case word used in rules and in Rhai.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Critical => "critical",
            Status::Unknown => "unknown",
        }
    }

    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Critical => "CRITICAL",
            Status::Unknown => "UNKNOWN",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_the_one_that_wants_attention_first() {
        assert_eq!(Status::worst([]), Status::Ok);
        assert_eq!(
            Status::worst([Status::Unknown, Status::Critical]),
            Status::Critical
        );
        assert_eq!(
            Status::worst([Status::Warning, Status::Unknown]),
            Status::Unknown
        );
    }

    #[test]
    fn words_and_exit_codes_are_those_of_the_plugins() {
        for (status, code) in Status::ALL.into_iter().zip(0..) {
            assert_eq!(status.exit_code(), code);
            assert_eq!(Status::from_word(status.word()), Some(status));
        }
    }
}
