//! What is made from the code stands in the documentation as the code has it. `UPDATE_DOCS=1 cargo test --test docs`
//! writes it anew.

use std::{fmt::Write, fs};

use homeostat::{hands, probe, rules::schema};

fn kinds() -> String {
    let mut text = String::from(
        "# Kinds of probes and steps\n\nMade from the code by `UPDATE_DOCS=1 cargo test --test docs`.\n\n## Probes\n",
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
