//! What is made from the code stands in the documentation as the code has it. `UPDATE_DOCS=1 cargo test --test docs`
//! writes it anew. And what `docs/monitoring.md` names is there.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use homeostat::{
    hands, notify,
    permission::Permission,
    probe,
    rules::{self, schema},
    script::Engine,
};

fn kinds() -> String {
    let mut text = String::from(
        "# Kinds of probes, steps and channels\n\nMade from the code by `UPDATE_DOCS=1 cargo test --test docs`.\n\n## Probes\n",
    );
    for kind in probe::KINDS {
        let _ = write!(
            text,
            "\n### `{}`\n\nLooks at {}.\n\n```yaml\n{}\n```\n\n| fact | is | means |\n|---|---|---|\n",
            kind.name,
            kind.about,
            kind.example.trim()
        );
        for (fact, is, means) in kind.facts {
            let cell = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(text, "| `{fact}` | {} | {} |", cell(is), cell(means));
        }
    }
    text.push_str("\n## Steps\n");
    for kind in hands::KINDS {
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n\n```yaml\n{}\n```\n",
            kind.name,
            kind.about,
            kind.example.trim()
        );
    }
    text.push_str("\n## Channels of notifiers\n");
    for kind in notify::KINDS {
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n\n```yaml\n{}\n```\n",
            kind.name,
            kind.about,
            kind.example.trim()
        );
    }
    text
}

fn stands(file: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file, text).expect("the documentation can be written");
    }
    let there = fs::read_to_string(file).unwrap_or_default();
    assert!(
        there == text,
        "{file} is not what the code says: UPDATE_DOCS=1 cargo test --test docs"
    );
}

#[test]
fn the_kinds_are_as_the_code_has_them() {
    stands("docs/kinds.md", &kinds());
}

#[test]
fn the_schema_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&schema::rules()).expect("a schema");
    stands("docs/rules.schema.json", &format!("{schema}\n"));
}

/// A row of the tables of docs/monitoring.md: what was asked for, what does it here, what proves it.
struct Row<'a> {
    asked: &'a str,
    here: &'a str,
    proof: &'a str,
}

fn rows(page: &str) -> Vec<Row<'_>> {
    let part = page.split("## What was asked for\n").nth(1);
    let part = part.and_then(|part| part.split("\n## ").next());
    let part = part.expect("the part on what was asked for");
    let cells = part.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(line.split(" | ").collect::<Vec<_>>())
    });
    let rows = cells.map(|cells| match cells[..] {
        [asked, here, _, proof] => Row { asked, here, proof },
        _ => panic!("not four columns: {cells:?}"),
    });
    rows.filter(|row| row.asked != "asked for").collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_a_name(word: &str) -> bool {
    word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Words of the bot and of records, which are no names of rules.
const WORDS: [&str; 11] = [
    "auto_fix_count",
    "compute_freshness",
    "composite_weights",
    "critical_issues",
    "freshness_floor",
    "freshness_scores",
    "market_open",
    "overall_health",
    "pnl_total",
    "recent_repairs",
    "sre_metrics",
];

#[test]
fn what_the_page_on_monitoring_names_is_there() {
    let settings = rules::settings::load(Path::new(".")).expect("the shipped settings");
    let permission = Permission::new(Path::new("."), settings).expect("a permission");
    let book = rules::load::load(
        Path::new("rules"),
        &Default::default(),
        &permission,
        &Engine::new(),
        &mut rules::load::Cache::default(),
    );
    let book = book.book.expect("the shipped rules");
    let known: BTreeSet<&str> = book
        .checks
        .keys()
        .chain(book.investigations.keys())
        .map(|name| &**name)
        .collect();
    let page = fs::read_to_string("docs/monitoring.md").expect("the page");
    let rows = rows(&page);
    assert!(rows.len() > 35, "{} rows", rows.len());

    let told: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row.here)).collect();
    let untold: Vec<_> = known.difference(&told).collect();
    assert!(untold.is_empty(), "no row tells of {untold:?}");
    for word in told.into_iter().filter(|word| is_a_name(word)) {
        let step = hands::KINDS.iter().any(|kind| kind.name == word);
        assert!(
            step || known.contains(word) || WORDS.contains(&word),
            "there is no `{word}`"
        );
    }

    for row in &rows {
        for proof in row.proof.split("<br>") {
            let (link, test) = proof.split_once(") ").expect("a link, then the test");
            let (label, file) = link.split_once("](../").expect("a link from docs/");
            let text = fs::read_to_string(file).unwrap_or_else(|_| panic!("{file} is not there"));
            let label = label.trim_start_matches('[').trim_matches('`');
            assert!(file.ends_with(&format!("/{label}")), "{label}: {file}");
            let stands = match test.strip_prefix('`').and_then(|it| it.strip_suffix('`')) {
                Some(function) => text.contains(&format!("fn {function}(")),
                None => text.contains(&format!("\n  - name: {test}\n")),
            };
            assert!(stands, "{}: {file} has no test `{test}`", row.asked);
        }
    }
}
