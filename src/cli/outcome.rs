//! How a command ends: its exit code, and what to say when it could not be done.
//!
//! Monitoring plugins have taken 0 to 3, so mistakes of the command line and of the engine have the codes of
//! `sysexits.h`.

use serde_json::{Value, json};

use crate::{
    engine::handle::Gone,
    model::status::Status,
    rules::complaint::{self, Complaint, Severity},
    web::client::ClientError,
};

/// Done, and all is well.
pub const OK: u8 = 0;
/// Done, and there is something to see to: a complaint, a failed test, a refusal.
pub const REFUSED: u8 = 1;
/// The command line is wrong, or names what there is not.
pub const USAGE: u8 = 64;
/// No engine is running, or another one holds the root.
pub const UNAVAILABLE: u8 = 69;
/// The engine could not start or ended early.
pub const SOFTWARE: u8 = 70;
/// Ended by a signal, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: u8,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    pub complaints: Vec<Complaint>,
}

pub type Outcome = Result<u8, Failure>;

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            help: None,
            complaints: Vec::new(),
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(USAGE, message)
    }

    /// The rules are wrong and nothing could be done with them.
    pub fn rules(complaints: Vec<Complaint>) -> Failure {
        let (errors, others): (Vec<_>, Vec<_>) = complaints
            .into_iter()
            .partition(|complaint| complaint.severity == Severity::Error);
        let failure = Failure {
            complaints: errors,
            ..Failure::new(SOFTWARE, "the rules have mistakes")
        };
        match others.len() {
            0 => failure,
            _ => failure.help(format!(
                "`homeostat lint` shows {} too",
                complaint::summary(&others)
            )),
        }
    }

    pub fn no_engine() -> Failure {
        Failure::new(UNAVAILABLE, "no engine is running here")
            .help("start one with `homeostat run`, or say where it runs with --root")
    }

    pub fn json(&self) -> Value {
        let mut value = json!({"error": self.message, "exit": self.code});
        if let Value::Object(map) = &mut value {
            if let Some(help) = &self.help {
                map.insert("help".to_owned(), json!(help));
            }
            if !self.complaints.is_empty() {
                let all: Vec<Value> = self.complaints.iter().map(Complaint::to_json).collect();
                map.insert("complaints".to_owned(), json!(all));
            }
        }
        value
    }
}

impl From<Gone> for Failure {
    fn from(gone: Gone) -> Failure {
        Failure::new(SOFTWARE, gone.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = match &error {
            ClientError::Refused { status: 404, .. } | ClientError::Refused { status: 400, .. } => {
                USAGE
            }
            ClientError::Refused { status: 503, .. } => UNAVAILABLE,
            ClientError::Refused { .. } => REFUSED,
            ClientError::Unreached(_) | ClientError::Silent(_) => UNAVAILABLE,
            ClientError::Garbled(_) => SOFTWARE,
        };
        Failure::new(code, error.to_string())
    }
}

/// The exit code of a monitoring plugin.
pub fn of_status(status: Status) -> u8 {
    status.exit_code()
}
