//! `homeostat.yaml`: what the operator of the machine allows. Every key has a default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::span::Span;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the page and the API.
    pub listen: String,
    /// Names that `env("…")` may read.
    pub env: Vec<String>,
    pub allow: Allow,
    pub keep: Keep,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:8484".to_owned(),
            env: Vec::new(),
            allow: Allow::default(),
            keep: Keep::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// `/absolute/program ARG …`; `*` stands for one argument.
    pub run: Vec<String>,
    /// `host:port` besides loopback.
    pub reach: Vec<String>,
    /// Absolute paths that probes may read besides the root; a directory allows everything below it.
    pub read: Vec<String>,
}

/// How much is kept.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    pub history: Span,
    pub facts: Span,
    /// `SIZE x FILES`: a journal is rotated at SIZE and FILES of them are kept.
    pub journal: Rotation,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep {
            history: Span::seconds(90 * 86_400),
            facts: Span::seconds(30 * 86_400),
            journal: Rotation::default(),
        }
    }
}

/// `64 MiB x 4`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    pub bytes: u64,
    pub files: u32,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation {
            bytes: 64 << 20,
            files: 4,
        }
    }
}

impl Rotation {
    pub fn parse(text: &str) -> Result<Rotation, String> {
        let wrong = || format!("`{text}` is no rotation: write 64 MiB x 4");
        let (size, files) = text.split_once('x').ok_or_else(wrong)?;
        let size = size.trim();
        let at = size
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(size.len());
        let number: u64 = size[..at].parse().map_err(|_| wrong())?;
        let unit: u64 = match size[at..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        let files: u32 = files.trim().parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(unit).ok_or_else(wrong)?;
        if bytes < 1 << 10 || files == 0 {
            return Err(format!("`{text}`: at least 1 KiB and 1 file"));
        }
        Ok(Rotation { bytes, files })
    }
}

impl<'de> Deserialize<'de> for Rotation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rotation, D::Error> {
        let text = String::deserialize(deserializer)?;
        Rotation::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Rotation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{} B x {}", self.bytes, self.files))
    }
}

impl JsonSchema for Rotation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rotation".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "examples": ["64 MiB x 4"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_sizes_times_files() {
        assert_eq!(
            Rotation::parse("64 MiB x 4"),
            Ok(Rotation {
                bytes: 64 << 20,
                files: 4
            })
        );
        assert!(Rotation::parse("64 x").is_err());
        assert!(Rotation::parse("1 B x 4").is_err());
    }
}
