//! Faults of the world outside the bot: its feed and its broker. They are kept in a file that bot and broker read afresh.

use std::path::Path;

use serde_json::Value;

use super::files::{self, Content};

/// What is wrong outside. All `false` and 0 when the file is absent or cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outside {
    /// The feed daemon does not write.
    pub daemon: bool,
    /// The broker answers 503 to everything.
    pub broker_down: bool,
    /// How long the broker takes to answer, in milliseconds.
    pub broker_latency_ms: u64,
    /// The broker's positions are not those the bot knows of.
    pub positions: bool,
}

impl Outside {
    pub fn read(root: &Path) -> Outside {
        let Content::Json(doc) = files::read(root, files::OUTSIDE) else {
            return Outside::default();
        };
        let on = |name: &str| doc.get(name) == Some(&Value::Bool(true));
        let latency = doc.get("broker_slow").and_then(|it| it.get("latency_ms"));
        Outside {
            daemon: on("daemon"),
            broker_down: on("broker_down"),
            broker_latency_ms: latency.and_then(Value::as_u64).unwrap_or(0),
            positions: on("positions"),
        }
    }
}
