//! The cookbook as its readers take it: every recipe is cut out of `docs/cookbook.md`, laid out in a root of its own, and
//! lint, its own tests and a dry run are run by the program itself. The page is the only place where the recipes stand.

mod common;

use std::{fs, path::Path, process::Command, time::Duration};

use assert_cmd::prelude::*;
use common::Root;
use homeostat::clock::Stopwatch;
use serde_json::Value;

const PAGE: &str = "docs/cookbook.md";

struct Recipe {
    title: String,
    /// Files by path, in the order in which they come.
    files: Vec<(String, String)>,
}

/// Cuts the recipes out of the page. The first line of a block says, as a comment, which file it belongs into; blocks of
/// one file follow each other in it. Blocks for a shell belong into none.
fn recipes() -> Vec<Recipe> {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let mut recipes: Vec<Recipe> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            recipes.push(Recipe {
                title: title.to_owned(),
                files: Vec::new(),
            });
        }
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if language == "sh" {
            continue;
        }
        let file = block.first().and_then(|first| {
            let comment = first
                .strip_prefix("# ")
                .or_else(|| first.strip_prefix("// "))?;
            let file = comment.split([' ', ':']).next()?;
            file.contains('.').then_some(file)
        });
        let file = file.unwrap_or_else(|| panic!("a block of {language} names no file: {block:?}"));
        let recipe = recipes.last_mut().expect("a title comes first");
        let text = block.join("\n") + "\n";
        match recipe.files.iter_mut().find(|(path, _)| path == file) {
            Some((_, body)) => body.push_str(&text),
            None => recipe.files.push((file.to_owned(), text)),
        }
    }
    recipes
}

/// Hosts of the recipes, none of which a test may ask: this machine stands for all of them.
const ELSEWHERE: [(&str, &str); 5] = [
    ("www.example.net", "localhost"),
    ("api.example.net", "localhost"),
    ("ping.example.net", "localhost"),
    ("1.1.1.1", "127.0.0.1"),
    ("9.9.9.9", "127.0.0.2"),
];

fn at_home(text: &str) -> String {
    ELSEWHERE
        .iter()
        .fold(text.to_owned(), |text, (there, here)| {
            text.replace(there, here)
        })
}

impl Recipe {
    fn lay(&self, root: &Root, change: impl Fn(&str) -> String) {
        for (file, text) in &self.files {
            root.put(file, &change(text));
        }
    }
}

fn homeostat(root: &Path, words: &[&str]) -> (Option<i32>, Value, String) {
    let done = Command::cargo_bin("homeostat")
        .expect("the program is there")
        .arg("--root")
        .arg(root)
        .arg("--json")
        .args(words)
        .env_remove("UPSTREAM_TOKEN")
        .env_remove("PING_KEY")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let answer = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
    (done.status.code(), answer, said)
}

#[test]
fn there_are_twenty_and_the_page_leads_to_each() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let recipes = recipes();
    assert_eq!(recipes.len(), 20);
    for (n, recipe) in (1..).zip(&recipes) {
        let title = &recipe.title;
        assert!(title.starts_with(&format!("{n}. ")), "{title}");
        // As a heading of Markdown is linked to.
        let plain = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor: String = title.to_lowercase().chars().filter(plain).collect();
        let anchor = format!("(#{})", anchor.replace(' ', "-"));
        assert!(page.contains(&anchor), "no link to {anchor}");
    }
}

#[test]
fn every_recipe_is_loaded_without_complaint_and_its_tests_leave_nothing_out() {
    for recipe in recipes() {
        let (title, root) = (&recipe.title, Root::new());
        recipe.lay(&root, str::to_owned);
        let (code, lint, said) = homeostat(root.path(), &["lint"]);
        assert_eq!(lint["complaints"], Value::Array(vec![]), "{title}: {said}");
        assert_eq!(code, Some(0), "{title}: {said}");
        let (code, tests, said) = homeostat(root.path(), &["test"]);
        assert_eq!(code, Some(0), "{title}: {tests:#} {said}");
        assert!(tests["passed"].as_u64() >= Some(2), "{title}: {tests:#}");
        assert_eq!(tests["gaps"], Value::Array(vec![]), "{title}");
    }
}

#[test]
fn every_recipe_can_be_tried_on_a_machine_that_has_nothing_of_it() {
    for recipe in recipes() {
        let (title, root) = (&recipe.title, Root::new());
        recipe.lay(&root, at_home);
        let watch = Stopwatch::new();
        let (code, round, said) = homeostat(root.path(), &["dry-run"]);
        assert!(matches!(code, Some(0..=3)), "{title}: {code:?} {said}");
        assert!(watch.elapsed() < Duration::from_secs(30), "{title}");
        let checks = round["checks"].as_array().expect("checks");
        assert!(!checks.is_empty(), "{title}");
        for check in checks {
            let message = check["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "{title}: {check:#}");
            // A mistake of the rule itself, which facts of an empty machine bring to light.
            let error = check["error"].as_str().unwrap_or_default();
            let rule = error.contains("rules/") || error.contains("message");
            assert!(!rule, "{title}: {error}");
        }
    }
}

/// Somebody may want all of them.
#[test]
fn all_recipes_stand_together() {
    let root = Root::new();
    let mut settings = Vec::new();
    for recipe in recipes() {
        recipe.lay(&root, str::to_owned);
        settings.extend(
            recipe
                .files
                .into_iter()
                .filter(|(file, _)| file == "homeostat.yaml"),
        );
    }
    let mut all = serde_json::Map::new();
    for (_, text) in settings {
        let value: Value = serde_yaml::from_str(&text).expect("YAML");
        merge(&mut all, value);
    }
    root.put("homeostat.yaml", &Value::Object(all).to_string());
    let (code, lint, said) = homeostat(root.path(), &["lint"]);
    assert_eq!(lint["complaints"], Value::Array(vec![]), "{said}");
    assert_eq!(code, Some(0), "{said}");
    let (code, tests, said) = homeostat(root.path(), &["test"]);
    assert_eq!(code, Some(0), "{tests:#} {said}");
}

fn merge(into: &mut serde_json::Map<String, Value>, from: Value) {
    let Value::Object(from) = from else {
        panic!("settings are a map: {from}");
    };
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(there)), value) => merge(there, value),
            (Some(Value::Array(there)), Value::Array(more)) => there.extend(more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
