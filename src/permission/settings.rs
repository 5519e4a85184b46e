//! `homeostat.yaml`: what the operator of the machine allows. Every key has a default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::span::Span;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the page and the API.
    pub listen: String,
    /// Names that `env("…")` may read. Their values, from six bytes on, are never shown or recorded.
    pub env: Vec<String>,
    pub allow: Allow,
    /// The program by which `restart_unit` steps restart a unit of systemd.
    pub systemctl: String,
    pub keep: Keep,
    /// A heartbeat out, only while the engine works off its agenda: for whoever watches this engine.
    pub heartbeat: Option<Heartbeat>,
    pub api: ApiSettings,
}

/// The dead man's switch: where heartbeats go. At least one of URL and file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Asked with GET; the host needs no entry in `allow.reach`. Redirects are not followed.
    pub url: Option<String>,
    /// The variable that holds the URL, when that is a secret.
    pub url_env: Option<String>,
    /// Written anew each time: `{"alive": "2026-01-06T12:00:00.000Z", "now": 1767700800.0, "pid": 4711}`. Absolute, or below
    /// the root.
    pub file: Option<String>,
    /// By default 60s; at least 1s.
    #[serde(default = "every_minute")]
    pub every: Span,
}

fn every_minute() -> Span {
    Span::seconds(60)
}

/// Who may ask what over the loopback address. The owner-only socket is not concerned.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    pub reading: Reading,
    /// Beside the owner's own token, which `run` makes.
    pub tokens: Vec<TokenSettings>,
}

/// Whether reading needs a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// Everybody on this machine may read.
    #[default]
    Open,
    /// Only whoever has a token.
    Token,
}

/// What a token allows. Each includes those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Tells how things stand.
    Read,
    /// Acts on the running system.
    Operate,
    /// Changes the rules.
    Admin,
}

impl Scope {
    pub fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
        }
    }
}

/// A token: its value comes from the environment or from a file, never from here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Under which what is done with it is recorded.
    pub name: String,
    pub scope: Scope,
    /// The variable that holds it. It need not be listed under `env`, and rules cannot read it unless it is.
    #[serde(default)]
    pub env: Option<String>,
    /// The file that holds it: an absolute path, or one relative to the root. Nobody but its owner may read it.
    #[serde(default)]
    pub file: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:8484".to_owned(),
            env: Vec::new(),
            allow: Allow::default(),
            systemctl: "/usr/bin/systemctl".to_owned(),
            keep: Keep::default(),
            heartbeat: None,
            api: ApiSettings::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// `/absolute/program ARG …`; `*` stands for one argument.
    pub run: Vec<String>,
    /// Command lines of processes that may be signalled, as in `run`: `/absolute/program ARG …`; `*` stands for one word.
    pub signal: Vec<String>,
    /// Units of systemd that may be restarted: `trading-bot.service`, `user:bot.service` for one of the user the engine runs
    /// as, `worker@*.service` for every instance of a template.
    pub units: Vec<String>,
    /// Hosts besides loopback: `name:port`, `*.example.net:443`, `10.0.0.0/8:*`, `[2001:db8::1]:443`; `*` is any port.
    /// The address a name leads to is judged too: link-local ones, where clouds keep credentials, need an entry of their
    /// own.
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
        let Size(bytes) = Size::parse(size).map_err(|_| wrong())?;
        let files: u32 = files.trim().parse().map_err(|_| wrong())?;
        if bytes < 1 << 10 || files == 0 {
            return Err(format!("`{text}`: at least 1 KiB and 1 file"));
        }
        Ok(Rotation { bytes, files })
    }
}

/// A number of bytes: `64 MiB`, `500 kB`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// From the largest, so that a size is written in the largest unit that needs no fraction.
const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

impl Size {
    pub fn parse(text: &str) -> Result<Size, String> {
        let wrong = || format!("`{text}` is no size: write 4096, 500 kB or 64 MiB");
        let trimmed = text.trim();
        let at = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(at);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, unit) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(wrong)?;
        number.checked_mul(unit).map(Size).ok_or_else(wrong)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fitting = UNITS
            .into_iter()
            .find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        let (name, unit) = fitting.unwrap_or(("B", 1));
        f.pad(&format!("{} {name}", self.0 / unit))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Size;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a size like 4096, 500 kB or 64 MiB")
            }
            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }
            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size)
                    .map_err(|_| E::custom(format!("`{bytes}` is no size")))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "description": "A number of bytes.",
            "examples": ["64 MiB", "500 kB", 4096]
        })
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

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for (text, bytes) in [("64 MiB", 64 << 20), ("500 kB", 500_000), ("0 B", 0)] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Size::parse("4096"), Ok(Size(4096)));
        for text in ["", "MiB", "-1", "1.5 MiB", "1 XB", "99999999999 GiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}
