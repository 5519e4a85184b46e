//! Modules stand on floors and import only from lower ones; inside a floor only from those listed before them.
//! The order is the one of the table in `src/lib.rs`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Top-level modules, lowest first, read from the map in `src/lib.rs` so that the map cannot lie.
fn order() -> Vec<String> {
    let map = fs::read_to_string("src/lib.rs").expect("src/lib.rs is there");
    let row = regex::Regex::new(r"(?m)^//! \| (\d) \| \[`(\w+)`\]").expect("a valid pattern");
    let rows: Vec<(u8, String)> = row
        .captures_iter(&map)
        .map(|row| (row[1].parse().expect("a floor"), row[2].to_owned()))
        .collect();
    assert!(
        rows.is_sorted_by_key(|(floor, _)| *floor),
        "the map goes from the lowest floor up"
    );
    rows.into_iter().map(|(_, name)| name).collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// (module, file, what it imports of ours).
fn imports() -> Vec<(String, PathBuf, Vec<String>)> {
    let named = regex::Regex::new(r"\bcrate::(\w+)").expect("a valid pattern");
    let listed = regex::Regex::new(r"(?s)\buse crate::\{(.*?)\n?\};").expect("a valid pattern");
    let first = regex::Regex::new(r"(?m)(?:^|,)\s*(\w+)").expect("a valid pattern");
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source");
            let code: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            let mut names: Vec<String> = named
                .captures_iter(&code)
                .map(|it| it[1].to_owned())
                .collect();
            for list in listed.captures_iter(&code) {
                names.extend(
                    first
                        .captures_iter(&flat(&list[1]))
                        .map(|it| it[1].to_owned()),
                );
            }
            let module = file
                .strip_prefix("src")
                .expect("below src")
                .iter()
                .next()
                .expect("a name")
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned();
            (module, file, names)
        })
        .collect()
}

/// A list of imports without what stands in inner braces.
fn flat(list: &str) -> String {
    let mut depth = 0;
    list.chars()
        .filter(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && *c != '}'
        })
        .collect()
}

#[test]
fn nobody_looks_up() {
    let order = order();
    let floor: BTreeMap<&str, usize> = order.iter().map(String::as_str).zip(0..).collect();
    let mut wrong = Vec::new();
    for (module, file, names) in imports() {
        if module == "lib" || module == "main" {
            continue;
        }
        let own = floor
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} is not on the map in src/lib.rs"));
        for name in names {
            if floor.get(name.as_str()).is_some_and(|other| other > own) {
                wrong.push(format!("{} imports {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_rules_know_the_yaml_library() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let wrong: Vec<String> = files
        .iter()
        .filter(|file| !file.starts_with("src/rules"))
        .filter(|file| {
            let text = fs::read_to_string(file).expect("a source");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            code.lines()
                .any(|line| line.contains("serde_yaml::") && !line.trim_start().starts_with("//"))
        })
        .map(|file| file.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let silent: Vec<String> = files
        .iter()
        .filter(|file| {
            !fs::read_to_string(file)
                .expect("a source")
                .starts_with("//!")
        })
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}
