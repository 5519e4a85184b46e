//! Reading `homeostat.yaml` at the root, by the same safe YAML as rules.

use std::{io, path::Path, sync::Arc, time::Duration};

use super::{
    complaint::{Complaint, Severity},
    sources, yaml,
};
use crate::{
    model::{
        node::{self, Tree},
        text::{Mistake, Place},
    },
    net::exchange,
    permission::{Settings, reaching, restarting, settings::Heartbeat, tokens},
};

/// The name of the file.
pub const FILE: &str = "homeostat.yaml";

/// The settings of a root. A missing or empty file means the defaults; all that is wrong in it is told at once.
pub fn load(root: &Path) -> Result<Settings, Vec<Complaint>> {
    let bytes = match std::fs::read(root.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(error) => {
            let message = format!("could not read {FILE}: {error}");
            return Err(vec![sources::about_file(
                FILE.to_owned(),
                "unreadable",
                message,
            )]);
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text),
        Err(_) => Err(vec![sources::about_file(
            FILE.to_owned(),
            "not-utf8",
            format!("{FILE} is not UTF-8"),
        )]),
    }
}

/// The same from its text.
pub fn parse(text: &str) -> Result<Settings, Vec<Complaint>> {
    let source: Arc<str> = text.into();
    let complain = |mistakes: Vec<Mistake>| {
        let complaint = |mistake| Complaint {
            severity: Severity::Error,
            mistake,
            rule: None,
            source: source.clone(),
        };
        mistakes.into_iter().map(complaint).collect::<Vec<_>>()
    };
    let node = yaml::parse(&FILE.into(), text).map_err(&complain)?;
    if matches!(node.tree, Tree::Null) {
        return Ok(Settings::default());
    }
    let mut mistakes = Vec::new();
    let settings: Option<Settings> = node::decode(&node, &mut mistakes);
    if let Some(settings) = settings {
        check(&settings, &node, &mut mistakes);
        if mistakes.is_empty() {
            return Ok(settings);
        }
    }
    mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    Err(complain(mistakes))
}

/// What serde cannot see: an address to listen on, names of variables.
fn check(settings: &Settings, node: &node::Node, mistakes: &mut Vec<Mistake>) {
    let place = |key: &str| -> Place {
        let found = node.get(key).unwrap_or(node);
        found.place.clone()
    };
    if settings.listen.parse::<std::net::SocketAddr>().is_err() {
        mistakes.push(
            Mistake::new(
                "bad-value",
                format!("`{}` is no address to listen on", settings.listen),
                place("listen"),
            )
            .help("write 127.0.0.1:8484"),
        );
    }
    let items = node.get("env").map(node::Node::items).unwrap_or_default();
    for (name, item) in settings.env.iter().zip(items) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || !name.chars().all(fits)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            mistakes.push(
                Mistake::new(
                    "bad-name",
                    format!("`{name}` is no name of a variable"),
                    item.place.clone(),
                )
                .help("list the names, not the values: env: [API_KEY]"),
            );
        }
    }
    if let (Some(heartbeat), Some(at)) = (&settings.heartbeat, node.get("heartbeat")) {
        check_heartbeat(heartbeat, at, mistakes);
    }
    check_entries(
        node,
        "reach",
        &settings.allow.reach,
        reaching::understood,
        "write api.example.net:443, *.example.net:443 or 10.0.0.0/8:*",
        mistakes,
    );
    check_entries(
        node,
        "units",
        &settings.allow.units,
        restarting::understood,
        "write bot.service, user:bot.service or worker@*.service",
        mistakes,
    );
    check_tokens(settings, node, mistakes);
    if let Err(why) = restarting::program(&settings.systemctl) {
        mistakes.push(Mistake::new("bad-value", why, place("systemctl")));
    }
}

/// A heartbeat goes somewhere, to one address at most, and not all the time.
fn check_heartbeat(heartbeat: &Heartbeat, node: &node::Node, mistakes: &mut Vec<Mistake>) {
    let place = |key: &str| node.get(key).unwrap_or(node).place.clone();
    if heartbeat.url.is_none() && heartbeat.url_env.is_none() && heartbeat.file.is_none() {
        let wrong = Mistake::new(
            "missing-key",
            "the heartbeat goes nowhere",
            node.place.clone(),
        );
        mistakes.push(wrong.help("write `url`, `url_env` or `file`"));
    }
    if heartbeat.url.is_some() && heartbeat.url_env.is_some() {
        let why = "`url` says where it goes already";
        mistakes.push(Mistake::new("bad-value", why, place("url_env")));
    }
    if let Some(Err(why)) = heartbeat.url.as_deref().map(exchange::url) {
        mistakes.push(Mistake::new("bad-value", why, place("url")));
    }
    if heartbeat.file.as_deref() == Some("") {
        let why = "a file has a name";
        mistakes.push(Mistake::new("bad-value", why, place("file")));
    }
    if heartbeat.every.0 < Duration::from_secs(1) {
        let why = "a heartbeat is sent at most once a second";
        mistakes.push(Mistake::new("bad-value", why, place("every")));
    }
}

/// Tokens of the API: each from one place, and known by a name of its own.
fn check_tokens(settings: &Settings, node: &node::Node, mistakes: &mut Vec<Mistake>) {
    let items = node.get("api").and_then(|api| api.get("tokens"));
    let items = items.map(node::Node::items).unwrap_or_default();
    let all = &settings.api.tokens;
    for (at, (token, item)) in all.iter().zip(items).enumerate() {
        let spot = |key: &str| item.get(key).unwrap_or(item).place.clone();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name = &token.name;
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let message = format!("`{name}` is no name of a token");
            let mistake = Mistake::new("bad-name", message, spot("name"));
            mistakes.push(mistake.help("write letters, digits, `_`, `-` and `.`, at most 64"));
        }
        let taken = all.iter().take(at).any(|other| other.name == *name);
        if taken || name == tokens::OWNER {
            let message = format!("there is another token `{name}`");
            let mistake = Mistake::new("duplicate-name", message, spot("name"));
            mistakes.push(mistake.help("what is done with a token is recorded under its name"));
        }
        if token.env.is_some() == token.file.is_some() {
            let message = "a token comes from one place".to_owned();
            let mistake = Mistake::new("bad-value", message, item.place.clone());
            mistakes.push(mistake.help("write either `env: NAME` or `file: /path`"));
        }
    }
}

/// What is wrong with an entry of a list of `allow`, at that entry.
fn check_entries(
    node: &node::Node,
    key: &str,
    entries: &[String],
    understood: fn(&str) -> Result<(), String>,
    help: &str,
    mistakes: &mut Vec<Mistake>,
) {
    let items = node.get("allow").and_then(|allow| allow.get(key));
    let items = items.map(node::Node::items).unwrap_or_default();
    for (entry, item) in entries.iter().zip(items) {
        if let Err(why) = understood(entry) {
            let wrong = Mistake::new("bad-value", why, item.place.clone());
            mistakes.push(wrong.help(help));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let complaints = parse(text).expect_err("refused");
        complaints
            .iter()
            .map(|one| {
                let place = &one.mistake.place;
                format!("{} {}:{}", one.mistake.code, place.line, place.column)
            })
            .collect()
    }

    #[test]
    fn every_key_has_a_default() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = load(dir.path()).expect("defaults");
        assert_eq!(missing.listen, "127.0.0.1:8484");
        std::fs::write(dir.path().join(FILE), "# nothing\n").expect("written");
        assert!(load(dir.path()).expect("defaults").env.is_empty());
        std::fs::write(dir.path().join(FILE), b"env: [\xff]\n").expect("written");
        assert!(load(dir.path()).is_err());
    }

    #[test]
    fn reads_what_the_design_shows() {
        let settings = parse(
            "listen: 127.0.0.1:8484\nenv: [ALPACA_KEY, ALPACA_API_KEY]   # names\nallow:\n  run: [ \"/usr/bin/systemctl restart trading-bot\", \"/opt/bot/bin/reset *\" ]\n  reach: [ \"paper-api.example.net:443\" ]\n  read: [ /proc/loadavg ]\nkeep: { history: 90d, facts: 30d, journal: 64 MiB x 4 }\n",
        )
        .expect("fine");
        assert_eq!(settings.allow.run.len(), 2);
        assert_eq!(settings.keep.journal.files, 4);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_its_place() {
        assert_eq!(
            told("listn: x\nenv: [A-B]\nkeep:\n  history: soon\n  journal: 64\n"),
            ["unknown-key 1:1", "bad-value 4:12", "wrong-type 5:12"]
        );
        assert_eq!(
            told("listen: here\nenv: [A, 'B=c']\n"),
            ["bad-value 1:9", "bad-name 2:10"]
        );
        assert_eq!(
            told("allow:\n  reach: ['a.example:443', a.example]\n"),
            ["bad-value 2:28"]
        );
        assert_eq!(
            told("systemctl: systemctl\nallow:\n  units: [bot, 'b*t']\n"),
            ["bad-value 1:12", "bad-value 3:16"]
        );
        assert_eq!(told("allow: !all\n"), ["yaml-tag 1:8"]);
        assert_eq!(told("heartbeat: { every: 2m }\n"), ["missing-key 1:12"]);
        assert_eq!(
            told("heartbeat:\n  url: 'ftp://a'\n  url_env: A\n  every: 10ms\n"),
            ["bad-value 2:8", "bad-value 3:12", "bad-value 4:10"]
        );
        assert_eq!(
            told("api:\n  reading: all\n  tokens:\n    - { name: a, scope: root, env: A }\n"),
            ["bad-value 2:12", "bad-value 4:25"]
        );
        assert_eq!(
            told(
                "api:\n  tokens:\n    - { name: a, scope: read, env: A }\n    - { name: a, scope: read, file: /a }\n    - { name: owner, scope: read, env: A }\n    - { name: a b, scope: read }\n    - { name: c, scope: read, env: A, file: /a }\n"
            ),
            [
                "duplicate-name 4:15",
                "duplicate-name 5:15",
                "bad-value 6:7",
                "bad-name 6:15",
                "bad-value 7:7"
            ]
        );
    }
}
