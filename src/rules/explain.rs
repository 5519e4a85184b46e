//! What each complaint means, for `lint --explain CODE`: a paragraph, a bad and a good example.
//!
//! An example is either a whole rule file or some lines of a check. Tests try every one: the bad one must give the very
//! complaint and the good one must not.

mod expressions;
mod files;
mod rules;
mod yaml;

use std::fmt;

/// What a complaint means.
#[derive(Debug)]
pub struct Explanation {
    pub code: &'static str,
    pub text: &'static str,
    /// Empty where an example would say nothing.
    pub bad: &'static str,
    pub good: &'static str,
}

/// Every code there is, with its explanation.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    [yaml::ALL, rules::ALL, expressions::ALL, files::ALL]
        .into_iter()
        .flatten()
}

pub fn explain(code: &str) -> Option<&'static Explanation> {
    all().find(|explanation| explanation.code == code)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\n{}", self.code, self.text)?;
        for (word, example) in [("wrong", self.bad), ("right", self.good)] {
            if !example.is_empty() {
                writeln!(f, "\n{word}:\n")?;
                for line in example.lines() {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The codes that the sources of homeostat give.
    fn used(dir: &Path, codes: &mut BTreeSet<String>) {
        let pattern = regex::Regex::new(
            r#"(?:Mistake::new|ReadError::new|self\.mistake|self\.cycle|about_file|about_dir)\([^"]{0,120}?"([a-z0-9-]+)""#,
        )
        .expect("a pattern");
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                used(&path, codes);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let code = text.split("mod tests {").next().unwrap_or_default();
                codes.extend(pattern.captures_iter(code).map(|found| found[1].to_owned()));
            }
        }
    }

    #[test]
    fn every_code_that_is_used_is_explained_and_no_other() {
        let mut codes = BTreeSet::new();
        used(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            &mut codes,
        );
        assert!(codes.len() > 60, "{codes:?}");
        let unexplained: Vec<_> = codes
            .iter()
            .filter(|code| explain(code).is_none())
            .collect();
        assert!(unexplained.is_empty(), "{unexplained:?}");
        let unused: Vec<_> = all()
            .filter(|one| !codes.contains(one.code))
            .map(|one| one.code)
            .collect();
        assert!(unused.is_empty(), "{unused:?}");
        assert_eq!(all().count(), codes.len(), "one stands twice");
    }

    #[test]
    fn it_reads_like_a_page() {
        insta::assert_snapshot!(explain("yaml-tag").expect("there"), @r#"
        yaml-tag

        A word that starts with `!` is a tag to YAML: it would be dropped, and the expression with it, so the check would never be bad.

        wrong:

            threshold: { critical: !valid }

        right:

            threshold: { critical: '!valid' }
        "#);
    }
}
