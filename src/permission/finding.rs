//! Finding: regular files that match a pattern.
//!
//! Walks through directory handles from the pattern's first literal directories downward, never through a symlinked
//! directory. `*` and `?` stay within one name, `**` crosses directories. A symlink to a regular file counts if it may be
//! read; what is no regular file, leads out or has a name that is not UTF-8 is passed over.

use std::path::{Path, PathBuf};

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use globset::{GlobBuilder, GlobMatcher};

use super::{Denied, Permission};

/// Directory entries one search looks at before it gives up.
const MOST_ENTRIES: usize = 100_000;
/// Directories below each other.
const MOST_DEPTH: usize = 32;

/// A pattern, read once and used often.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
    /// The directories before the first wildcard.
    base: PathBuf,
    /// How many names the rest has; `**` has any number.
    depth: usize,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        let path = Path::new(text.strip_prefix("./").unwrap_or(text));
        if text.is_empty() || text.contains('\0') || text.ends_with('/') {
            return Err(format!("`{text}` is no pattern for files"));
        }
        if path.components().any(|part| part.as_os_str() == "..") {
            return Err(format!("`{text}`: a pattern holds no `..`"));
        }
        let matcher = GlobBuilder::new(&path.to_string_lossy())
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| format!("`{text}` is no pattern: {}", error.kind()))?
            .compile_matcher();
        let parts: Vec<_> = path.iter().collect();
        let plain = parts
            .iter()
            .position(|part| part.to_string_lossy().contains(['*', '?', '[', '{', '\\']))
            .unwrap_or(parts.len())
            .min(parts.len().saturating_sub(1));
        let deep = text.contains("**") || text.contains('{');
        Ok(Pattern {
            text: text.to_owned(),
            matcher,
            base: parts[..plain].iter().collect(),
            depth: if deep {
                MOST_DEPTH
            } else {
                parts.len() - plain
            },
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Permission {
    /// Regular files below the root that match, sorted; more than `limit` is an error.
    pub fn glob(&self, pattern: &str, limit: usize) -> Result<Vec<String>, Denied> {
        self.find(&Pattern::new(pattern).map_err(Denied::Forbidden)?, limit)
    }

    /// The same with a pattern that was read before.
    pub fn find(&self, pattern: &Pattern, limit: usize) -> Result<Vec<String>, Denied> {
        let base = match pattern.base.to_str() {
            Some("") | None => ".",
            Some(base) => base,
        };
        let Some(dir) = self.within(base, |dir, rest| dir.open_dir(rest))? else {
            return Ok(Vec::new());
        };
        let mut search = Search {
            may: self,
            pattern,
            limit,
            seen: 0,
            found: Vec::new(),
        };
        search.walk(&dir, &pattern.base, 1)?;
        search.found.sort();
        Ok(search.found)
    }
}

struct Search<'a> {
    may: &'a Permission,
    pattern: &'a Pattern,
    limit: usize,
    seen: usize,
    found: Vec<String>,
}

impl Search<'_> {
    fn walk(&mut self, dir: &Dir, path: &Path, depth: usize) -> Result<(), Denied> {
        let reading = |error| Denied::io(path.display().to_string(), error);
        for entry in dir.entries().map_err(reading)? {
            let entry = entry.map_err(reading)?;
            self.seen += 1;
            if self.seen > MOST_ENTRIES {
                return Err(self.too_many(MOST_ENTRIES, "directory entries to look at"));
            }
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let here = path.join(&name);
            let kind = entry.file_type().map_err(reading)?;
            if kind.is_dir() {
                if depth < self.pattern.depth {
                    match dir.open_dir_nofollow(&name) {
                        Ok(below) => self.walk(&below, &here, depth + 1)?,
                        Err(error) if gone(&error) => {}
                        Err(error) => return Err(Denied::io(here.display().to_string(), error)),
                    }
                }
            } else if self.pattern.matcher.is_match(&here) {
                self.take(here, kind.is_file())?;
            }
        }
        Ok(())
    }

    fn take(&mut self, path: PathBuf, regular: bool) -> Result<(), Denied> {
        let Ok(path) = path.into_os_string().into_string() else {
            return Ok(());
        };
        if !regular && !matches!(self.may.stat(&path), Ok(Some(_))) {
            return Ok(());
        }
        if self.found.len() == self.limit {
            return Err(self.too_many(self.limit, "files"));
        }
        self.found.push(path);
        Ok(())
    }

    fn too_many(&self, limit: usize, what: &str) -> Denied {
        Denied::forbidden(format!(
            "`{}` has more than {limit} {what}: make the pattern narrower",
            self.pattern.text
        ))
    }
}

/// It vanished, or became something else (a link), since its name was read.
fn gone(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::permission::Settings;

    fn found(root: &Path, pattern: &str) -> Result<Vec<String>, String> {
        Permission::new(root, Settings::default())
            .expect("a root")
            .glob(pattern, 3)
            .map_err(|error| error.told())
    }

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for dir in ["data/a/deep", "state", "data/dir.lock"] {
            fs::create_dir_all(root.path().join(dir)).expect("a directory");
        }
        for file in [
            "data/x.lock",
            "state/x.lock",
            "data/a/y.lock",
            "data/a/deep/z.lock",
            "data/n.txt",
        ] {
            fs::write(root.path().join(file), "").expect("a file");
        }
        root
    }

    #[test]
    fn finds_regular_files_sorted() {
        let root = root();
        assert_eq!(
            found(root.path(), "data/*.lock"),
            Ok(vec!["data/x.lock".to_owned()])
        );
        assert_eq!(
            found(root.path(), "{data,state}/*.lock"),
            Ok(vec!["data/x.lock".to_owned(), "state/x.lock".to_owned()])
        );
        assert_eq!(
            found(root.path(), "data/**/*.lock"),
            Ok(vec![
                "data/a/deep/z.lock".to_owned(),
                "data/a/y.lock".to_owned(),
                "data/x.lock".to_owned()
            ])
        );
        assert_eq!(
            found(root.path(), "./data/?/y.lock"),
            Ok(vec!["data/a/y.lock".to_owned()])
        );
        assert_eq!(
            found(root.path(), "data/x.lock"),
            Ok(vec!["data/x.lock".to_owned()])
        );
        assert_eq!(found(root.path(), "nowhere/*.lock"), Ok(vec![]));
    }

    #[test]
    fn links_are_neither_walked_through_nor_out_of() {
        let root = root();
        let outside = tempfile::tempdir().expect("a temporary directory");
        fs::write(outside.path().join("secret.lock"), "").expect("a file");
        symlink(
            outside.path().join("secret.lock"),
            root.path().join("state/out.lock"),
        )
        .expect("a link");
        symlink(outside.path(), root.path().join("state/dir")).expect("a link");
        symlink("..", root.path().join("state/loop")).expect("a link");
        symlink("x.lock", root.path().join("state/near.lock")).expect("a link");
        assert_eq!(
            found(root.path(), "state/**/*.lock"),
            Ok(vec![
                "state/near.lock".to_owned(),
                "state/x.lock".to_owned()
            ])
        );
        assert!(
            found(root.path(), "state/dir/*.lock").is_err(),
            "a link that leads out"
        );
    }

    #[test]
    fn too_many_and_nonsense_are_errors() {
        let root = root();
        assert!(
            found(root.path(), "**/*")
                .expect_err("four and more")
                .contains("more than 3 files")
        );
        for pattern in ["", "../*", "data/[", "data/", "/etc/*"] {
            assert!(found(root.path(), pattern).is_err(), "{pattern}");
        }
    }
}
