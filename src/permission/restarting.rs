//! Restarting: may this unit of systemd be restarted?
//!
//! Only one that `allow.units` of `homeostat.yaml` names: `trading-bot.service`, or `user:bot.service` for one of the user
//! the engine runs as. `worker@*.service` allows every instance of a template and nothing else: a `*` elsewhere would allow
//! what somebody names so. Only services, sockets, timers and paths: a target may be `reboot.target`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Denied, Permission, is_plain};

/// Kinds of units that can be restarted.
const KINDS: [&str; 4] = ["service", "socket", "timer", "path"];
/// The others there are, so that none of them is taken for a part of a name.
const OTHERS: [&str; 7] = [
    "automount",
    "device",
    "mount",
    "scope",
    "slice",
    "swap",
    "target",
];
/// Characters of a name, its kind included.
const LONGEST: usize = 255;

/// A unit of the system, or of the user the engine runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub of_user: bool,
    /// With its kind: `bot.service`.
    pub name: String,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.of_user { "user:" } else { "" };
        write!(f, "{user}{}", self.name)
    }
}

impl Unit {
    /// Reads the name of a unit; one without a kind is a service, as for systemctl.
    pub fn new(name: &str, of_user: bool) -> Result<Unit, String> {
        let wrong = |why: &str| Err(format!("`{name}` {why}"));
        let legal = |c: char| c.is_ascii_alphanumeric() || ":_.\\-@".contains(c);
        if !name.chars().all(legal) {
            return wrong("is no name of a unit: letters, digits and : _ . \\ - @");
        }
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return wrong("is no name of a unit: it begins with a letter, a digit or _");
        }
        let (stem, kind) = match name.rsplit_once('.') {
            Some((stem, kind)) if KINDS.contains(&kind) || OTHERS.contains(&kind) => (stem, kind),
            _ => (name, "service"),
        };
        if !KINDS.contains(&kind) {
            return wrong("cannot be restarted: only a service, a socket, a timer or a path can");
        }
        if stem.is_empty() || stem.ends_with('@') {
            return wrong("is a template: name an instance of it");
        }
        let name = format!("{stem}.{kind}");
        match name.len() > LONGEST {
            true => Err(format!("a unit has a name of at most {LONGEST} characters")),
            false => Ok(Unit { of_user, name }),
        }
    }
}

/// One entry of `allow.units`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allowed {
    of_user: bool,
    /// What stands before the `*`; all of the name if there is none.
    start: String,
    /// What stands behind it.
    end: Option<String>,
}

impl Allowed {
    pub(super) fn parse(entry: &str) -> Result<Allowed, String> {
        let wrong = |why: String| format!("allow.units: {why}");
        let (of_user, name) = match entry.strip_prefix("user:") {
            Some(name) => (true, name),
            None => (false, entry),
        };
        let Some((start, end)) = name.split_once('*') else {
            let unit = Unit::new(name, of_user).map_err(wrong)?;
            return Ok(Allowed {
                of_user,
                start: unit.name,
                end: None,
            });
        };
        if !start.ends_with('@') || !(end.is_empty() || end.starts_with('.')) || end.contains('*') {
            return Err(wrong(format!(
                "`{entry}` has a `*` elsewhere than for the instances of a template: worker@*.service"
            )));
        }
        let any = Unit::new(&format!("{start}x{end}"), of_user).map_err(wrong)?;
        let end = any.name.strip_prefix(&format!("{start}x"));
        Ok(Allowed {
            of_user,
            start: start.to_owned(),
            end: Some(end.unwrap_or_default().to_owned()),
        })
    }

    fn allows(&self, unit: &Unit) -> bool {
        let fits = match &self.end {
            None => self.start == unit.name,
            Some(end) => unit
                .name
                .strip_prefix(&self.start)
                .and_then(|rest| rest.strip_suffix(end.as_str()))
                .is_some_and(|instance| !instance.is_empty()),
        };
        fits && self.of_user == unit.of_user
    }
}

/// Says what is wrong with an entry of `allow.units`, for whoever knows where it stands.
pub fn understood(entry: &str) -> Result<(), String> {
    Allowed::parse(entry).map(drop)
}

/// Says what is wrong with the path of the program that restarts.
pub fn program(path: &str) -> Result<(), String> {
    match is_plain(path) && !path.contains('\0') {
        true => Ok(()),
        false => Err(format!(
            "systemctl: `{path}` is no absolute path without `..`"
        )),
    }
}

/// What to write where a unit is not allowed.
pub fn help(unit: Option<&Unit>) -> String {
    let entry = unit.map_or_else(|| "NAME.service".to_owned(), Unit::to_string);
    format!(
        "homeostat.yaml beside the rules says which units may be restarted: allow: {{ units: [\"{entry}\"] }}"
    )
}

impl Permission {
    /// Checks that this unit may be restarted, and gives the program that does.
    pub fn may_restart(&self, unit: &Unit) -> Result<&str, Denied> {
        if !self.units.iter().any(|allowed| allowed.allows(unit)) {
            return Err(Denied::forbidden(format!(
                "restarting {unit} is not allowed by `allow: {{ units: [...] }}` of homeostat.yaml"
            )));
        }
        let program = &self.settings.systemctl;
        let real = Path::new(program).canonicalize();
        let real = real.unwrap_or_else(|_| PathBuf::from(program));
        if self.is_below_writable(Path::new(program)) || self.is_below_writable(&real) {
            return Err(Denied::forbidden(format!(
                "`{program}` is a program below a directory that steps may write"
            )));
        }
        Ok(program)
    }

    /// Checks that there is any unit at all that may be restarted: for checking rules at load.
    pub fn may_restart_any(&self) -> Result<(), Denied> {
        match self.units.is_empty() {
            true => Err(Denied::forbidden(
                "homeostat.yaml allows no unit to be restarted",
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::{Settings, settings::Allow};

    fn permission(units: &[&str]) -> Permission {
        let settings = Settings {
            allow: Allow {
                units: units.iter().map(|entry| (*entry).to_owned()).collect(),
                ..Allow::default()
            },
            ..Settings::default()
        };
        Permission::new(Path::new("."), settings).expect("understood")
    }

    #[test]
    fn a_unit_has_a_legal_name_and_a_kind() {
        for (name, whole) in [
            ("bot", "bot.service"),
            ("bot.service", "bot.service"),
            ("org.example.bot", "org.example.bot.service"),
            ("worker@eu-1", "worker@eu-1.service"),
            ("a\\x2db_c:1.timer", "a\\x2db_c:1.timer"),
            ("bot.socket", "bot.socket"),
        ] {
            let unit = Unit::new(name, false).expect(name);
            assert_eq!(unit.to_string(), whole);
        }
        let user = Unit::new("bot", true).expect("a unit");
        assert_eq!(user.to_string(), "user:bot.service");
        let long = "x".repeat(260);
        for name in [
            "",
            ".service",
            "-bot",
            "--now",
            "bot --now",
            "bot.service\n",
            "bot*",
            "b/t",
            "böt",
            "user:bot/",
            "worker@.service",
            "worker@",
            "reboot.target",
            "user.slice",
            "data.mount",
            long.as_str(),
        ] {
            assert!(Unit::new(name, false).is_err(), "{name}");
        }
    }

    #[test]
    fn only_what_is_allowed_by_its_whole_name() {
        let may = permission(&["bot", "user:own.service", "worker@*", "x@*.timer"]);
        for (name, of_user, allowed) in [
            ("bot.service", false, true),
            ("bot", false, true),
            ("bot", true, false),
            ("bot.socket", false, false),
            ("bot2", false, false),
            ("own", true, true),
            ("own", false, false),
            ("worker@1", false, true),
            ("worker@a.b", false, true),
            ("worker@1.timer", false, false),
            ("worker", false, false),
            ("worker@1", true, false),
            ("x@1.timer", false, true),
            ("x@1.service", false, false),
        ] {
            let unit = Unit::new(name, of_user).expect("a unit");
            assert_eq!(may.may_restart(&unit).is_ok(), allowed, "{unit}");
        }
        assert!(may.may_restart_any().is_ok());
        let none = permission(&[]);
        assert!(none.may_restart_any().is_err(), "none by default");
        let bot = Unit::new("bot", false).expect("a unit");
        assert_eq!(
            none.may_restart(&bot).expect_err("refused").told(),
            "restarting bot.service is not allowed by `allow: { units: [...] }` of homeostat.yaml"
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for entry in [
            "",
            "*",
            "bot*",
            "*.service",
            "worker@*x",
            "w@*.*",
            "user:",
            "user:*",
            "reboot.target",
            "w@*.target",
            "w*@x",
            "a b",
        ] {
            let error = understood(entry).expect_err(entry);
            assert!(error.starts_with("allow.units: "), "{error}");
        }
        assert!(program("systemctl").is_err() && program("/usr/../systemctl").is_err());
        assert!(program("/usr/bin/systemctl").is_ok());
    }

    #[test]
    fn no_program_that_steps_may_write() {
        let root = tempfile::tempdir().expect("a directory");
        let tool = root.path().join("data/systemctl");
        let settings = Settings {
            systemctl: tool.display().to_string(),
            allow: Allow {
                units: vec!["bot".to_owned()],
                ..Allow::default()
            },
            ..Settings::default()
        };
        let may = Permission::new(root.path(), settings).expect("a root");
        let unit = Unit::new("bot", false).expect("a unit");
        let error = may.may_restart(&unit).expect_err("refused").told();
        assert!(error.contains("that steps may write"), "{error}");
    }
}
