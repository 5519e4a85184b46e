//! `file`: whether files are there, how old and how big; their contents are not opened.
//!
//! With a list or a pattern, `exists` says whether at least one of them is there. Entries of a list that are missing
//! stand in `files` with `exists: false` and nothing known; a pattern lists only what it found.

use std::{borrow::Cow, sync::Arc};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    Eyes, Kind, Look, Probe, ProbeError, Workshop,
    path::{Filled, age},
};
use crate::{
    model::{
        facts::Facts,
        node::{Node, Tree, decode},
        text::{Mistake, Text},
    },
    permission::{Pattern, Stat},
};

pub static KIND: Kind = Kind {
    name: "file",
    about: "whether files are there, how old and how big",
    example: r#"probe: { file: { file: data/uw_weights.json } }"#,
    facts: &[
        (
            "exists",
            "boolean",
            "it is there; of several: at least one is",
        ),
        ("missing", "boolean", "not `exists`"),
        (
            "age_s",
            "seconds or ()",
            "since it was last written; one file only",
        ),
        ("size", "bytes or ()", "one file only"),
        (
            "modified",
            "epoch seconds or ()",
            "when it was last written; one file only",
        ),
        (
            "mode",
            "text or ()",
            "permission bits, as in `\"0644\"`; one file only",
        ),
        (
            "files",
            "list",
            "of a list or `glob`: maps of path, exists, age_s, size, modified; missing ones of a list have () in the last three",
        ),
        ("count", "number", "of a list or `glob`: how many are there"),
        (
            "oldest_age_s",
            "seconds or ()",
            "of a list or `glob`: the greatest age",
        ),
        (
            "newest_age_s",
            "seconds or ()",
            "of a list or `glob`: the least age",
        ),
    ],
    schema: Rule::json_schema,
    build,
};

/// Files one probe looks at.
const MOST_FILES: usize = 1000;

/// `file` or `glob`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A path, or a list of paths.
    #[serde(default)]
    #[schemars(with = "Option<Paths>")]
    #[expect(
        dead_code,
        reason = "read from the node, where a list's entries have places"
    )]
    file: Option<IgnoredAny>,
    /// A pattern: `*` and `?` within a name, `**` across directories, `{a,b}` for either.
    glob: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes the schema; the node itself is read")]
enum Paths {
    One(Text),
    Many(Vec<Text>),
}

#[derive(Debug)]
enum Files {
    One(Filled),
    Many(Vec<Filled>),
    Glob(Glob),
}

#[derive(Debug)]
enum Glob {
    Plain(Pattern),
    Template(Filled),
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let files = match (node.get("file"), rule.glob) {
        (Some(file), None) => paths(file, workshop)?,
        (None, Some(pattern)) => Files::Glob(glob(&pattern, workshop)?),
        (Some(_), Some(_)) => {
            let both = Mistake::new(
                "bad-value",
                "`file` and `glob` exclude each other",
                node.place.clone(),
            );
            workshop.mistakes.push(both.help("use two probes"));
            return None;
        }
        (None, None) => {
            let none = Mistake::new("missing-key", "`file` is missing", node.place.clone());
            workshop
                .mistakes
                .push(none.help("write `file: PATH`, `file: [PATH, …]` or `glob: PATTERN`"));
            return None;
        }
    };
    Some(Arc::new(FileProbe(files)))
}

fn paths(node: &Node, workshop: &mut Workshop<'_>) -> Option<Files> {
    let Tree::Seq(items) = &node.tree else {
        return Filled::path(&text_of(node, workshop)?, workshop).map(Files::One);
    };
    if items.is_empty() || items.len() > MOST_FILES {
        let wrong = format!("a list of files has 1 to {MOST_FILES} entries");
        workshop
            .mistakes
            .push(Mistake::new("bad-value", wrong, node.place.clone()));
        return None;
    }
    let built: Vec<Option<Filled>> = items
        .iter()
        .map(|item| Filled::path(&text_of(item, workshop)?, workshop))
        .collect();
    built.into_iter().collect::<Option<_>>().map(Files::Many)
}

fn text_of(node: &Node, workshop: &mut Workshop<'_>) -> Option<Text> {
    let text = node.text();
    if text.is_none() {
        let wrong = format!("expected a path, found {}", node.kind());
        workshop
            .mistakes
            .push(Mistake::new("wrong-type", wrong, node.place.clone()));
    }
    text
}

fn glob(text: &Text, workshop: &mut Workshop<'_>) -> Option<Glob> {
    let filled = Filled::path(text, workshop)?;
    match filled.plain().map(Pattern::new) {
        None => Some(Glob::Template(filled)),
        Some(Ok(pattern)) => Some(Glob::Plain(pattern)),
        Some(Err(why)) => {
            workshop
                .mistakes
                .push(Mistake::new("bad-value", why, text.place()));
            None
        }
    }
}

struct FileProbe(Files);

impl Probe for FileProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        let facts = Facts::new().with("exists", true).with("missing", false);
        match self.0 {
            Files::One(_) => facts
                .with("age_s", 12.5)
                .with("size", 1024)
                .with("modified", 1_767_717_000.5)
                .with("mode", "0644"),
            Files::Many(_) | Files::Glob(_) => facts
                .with(
                    "files",
                    json!([{"path": "data/x.json", "exists": true, "age_s": 12.5, "size": 1024, "modified": 1_767_717_000.5}]),
                )
                .with("count", 1)
                .with("oldest_age_s", 12.5)
                .with("newest_age_s", 12.5),
        }
    }

    fn files(&self) -> Vec<String> {
        let plain = |path: &Filled| path.plain().map(str::to_owned);
        match &self.0 {
            Files::One(path) => plain(path).into_iter().collect(),
            Files::Many(paths) => paths.iter().filter_map(plain).collect(),
            Files::Glob(_) => Vec::new(),
        }
    }
}

impl Look for FileProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        match &self.0 {
            Files::One(path) => info(&path.at(eyes)?, eyes),
            Files::Many(paths) => {
                let seen: Result<Vec<_>, ProbeError> = paths
                    .iter()
                    .map(|path| {
                        let path = path.at(eyes)?;
                        let stat = eyes.permission.stat(&path)?;
                        Ok((path, stat))
                    })
                    .collect();
                Ok(many(seen?, eyes))
            }
            Files::Glob(pattern) => {
                let found = match pattern {
                    Glob::Plain(pattern) => eyes.permission.find(pattern, MOST_FILES)?,
                    Glob::Template(text) => eyes.permission.glob(&text.at(eyes)?, MOST_FILES)?,
                };
                matching(found, eyes)
            }
        }
    }
}

/// What is known of the file at a path.
pub(super) fn info(path: &str, eyes: &Eyes) -> Result<Facts, ProbeError> {
    Ok(one(eyes.permission.stat(path)?, eyes))
}

/// What is known of the files that match a pattern.
pub(super) fn found(pattern: &str, eyes: &Eyes) -> Result<Facts, ProbeError> {
    matching(eyes.permission.glob(pattern, MOST_FILES)?, eyes)
}

fn matching(found: Vec<String>, eyes: &Eyes) -> Result<Facts, ProbeError> {
    let mut seen = Vec::with_capacity(found.len());
    for path in found {
        // one that vanished since it was found is not there
        if let Some(stat) = eyes.permission.stat(&path)? {
            seen.push((Cow::Owned(path), Some(stat)));
        }
    }
    Ok(many(seen, eyes))
}

fn one(stat: Option<Stat>, eyes: &Eyes) -> Facts {
    let facts = Facts::new()
        .with("exists", stat.is_some())
        .with("missing", stat.is_none());
    match stat {
        Some(stat) => facts
            .with("age_s", age(eyes.ground.now, stat.modified))
            .with("size", stat.size)
            .with("modified", stat.modified.seconds())
            .with("mode", format!("{:04o}", stat.mode)),
        None => facts
            .with("age_s", Value::Null)
            .with("size", Value::Null)
            .with("modified", Value::Null)
            .with("mode", Value::Null),
    }
}

fn many(seen: Vec<(Cow<'_, str>, Option<Stat>)>, eyes: &Eyes) -> Facts {
    let now = eyes.ground.now;
    let written = || {
        seen.iter()
            .filter_map(|(_, stat)| Some(stat.as_ref()?.modified))
    };
    let aged = |then| match then {
        Some(then) => age(now, then),
        None => Value::Null,
    };
    let (count, oldest, newest) = (written().count(), written().min(), written().max());
    let files: Vec<Value> = seen
        .iter()
        .map(|(path, stat)| {
            json!({
                "path": path,
                "exists": stat.is_some(),
                "age_s": aged(stat.map(|stat| stat.modified)),
                "size": stat.map(|stat| stat.size),
                "modified": stat.map(|stat| stat.modified.seconds()),
            })
        })
        .collect();
    Facts::new()
        .with("exists", count > 0)
        .with("missing", count == 0)
        .with("files", files)
        .with("count", count)
        .with("oldest_age_s", aged(oldest))
        .with("newest_age_s", aged(newest))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{super::testing::Bench, *};

    #[test]
    fn sees_age_size_and_mode() {
        let bench = Bench::new();
        bench.file("data/x.json", "12345", 90.5);
        let path = bench.root().join("data/x.json");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let seen = bench.look(&KIND, json!({"file": "data/${vars.name}.json"}));
        assert_eq!(
            seen,
            Ok(json!({
                "exists": true, "missing": false, "age_s": 90.5, "size": 5, "modified": 1_767_716_909.5, "mode": "0640"
            }))
        );
    }

    #[test]
    fn a_missing_file_is_a_fact() {
        let seen = Bench::new().look(&KIND, json!({"file": "nowhere/x.json"}));
        assert_eq!(
            seen,
            Ok(json!({
                "exists": false, "missing": true, "age_s": null, "size": null, "modified": null, "mode": null
            }))
        );
    }

    #[test]
    fn a_file_dated_ahead_has_a_negative_age() {
        let bench = Bench::new();
        bench.file("data/x", "", -60.0);
        let seen = bench.look(&KIND, json!({"file": "data/x"})).expect("seen");
        assert_eq!(seen["age_s"], json!(-60.0));
    }

    #[test]
    fn a_list_tells_of_each() {
        let bench = Bench::new();
        bench.file("data/a", "1", 400.0);
        bench.file("data/b", "22", 10.0);
        let seen = bench.look(&KIND, json!({"file": ["data/a", "data/none", "data/b"]}));
        assert_eq!(
            seen,
            Ok(json!({
                "exists": true, "missing": false,
                "files": [
                    {"path": "data/a", "exists": true, "age_s": 400.0, "size": 1, "modified": 1_767_716_600.0},
                    {"path": "data/none", "exists": false, "age_s": null, "size": null, "modified": null},
                    {"path": "data/b", "exists": true, "age_s": 10.0, "size": 2, "modified": 1_767_716_990.0},
                ],
                "count": 2, "oldest_age_s": 400.0, "newest_age_s": 10.0
            }))
        );
        let none = bench
            .look(&KIND, json!({"file": ["data/none"]}))
            .expect("seen");
        assert_eq!(
            (&none["exists"], &none["count"], &none["oldest_age_s"]),
            (&json!(false), &json!(0), &json!(null))
        );
    }

    #[test]
    fn a_pattern_lists_what_it_found() {
        let bench = Bench::new();
        bench.file("data/b.lock", "", 400.0);
        bench.file("state/a.lock", "", 10.0);
        for pattern in ["{data,state}/*.lock", "*/?.lock"] {
            let seen = bench.look(&KIND, json!({"glob": pattern})).expect("seen");
            assert_eq!(seen["files"][0]["path"], "data/b.lock", "{pattern}");
            assert_eq!((&seen["count"], &seen["exists"]), (&json!(2), &json!(true)));
        }
        let named = bench
            .look(&KIND, json!({"glob": "data/*${vars.name}"}))
            .expect("seen");
        assert_eq!(
            (&named["files"], &named["exists"]),
            (&json!([]), &json!(false))
        );
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error() {
        let bench = Bench::new();
        symlink("/etc/passwd", bench.root().join("data/out")).expect("a link");
        for rule in [
            json!({"file": "data"}),
            json!({"file": "data/out"}),
            json!({"file": ["data/out"]}),
        ] {
            assert!(bench.look(&KIND, rule.clone()).is_err(), "{rule}");
        }
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"file": "a", "glob": "b"}), &["bad-value"]),
            (json!({"file": []}), &["bad-value"]),
            (json!({"file": {"path": "a"}}), &["wrong-type"]),
            (json!({"file": ["a", ["b"]]}), &["wrong-type"]),
            (
                json!({"file": ["/etc/passwd", "../x"]}),
                &["not-allowed", "not-allowed"],
            ),
            (json!({"glob": "data/["}), &["bad-value"]),
            (json!({"fle": "a"}), &["unknown-key"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
        assert_eq!(bench.codes(&KIND, json!({"file": "data/${nme}"})).len(), 1);
    }

    #[test]
    fn names_the_files_that_can_be_told_beforehand() {
        let bench = Bench::new();
        let rule = json!({"file": ["data/a", "data/${vars.name}"]});
        let probe = bench.build(&KIND, rule).expect("no mistakes");
        assert_eq!(probe.files(), ["data/a"]);
    }
}
