//! Running: may this program be started with these arguments?
//!
//! Only what `allow.run` of `homeostat.yaml` names: an absolute program and its arguments, word for word; `*` is exactly
//! one argument. A shell, an interpreter or a program that starts others can do anything with one free argument, so these
//! are allowed only with arguments that are all written out. No program below a directory that steps may write.

use std::path::{Component, Path, PathBuf};

use super::{Denied, Permission, WRITABLE, is_plain};

/// Programs that run what their arguments say. Names ending in a version (`python3.12`) are meant too.
const INTERPRETERS: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "chroot",
    "csh",
    "dash",
    "deno",
    "doas",
    "ed",
    "emacs",
    "env",
    "expect",
    "find",
    "fish",
    "flock",
    "gawk",
    "gdb",
    "guile",
    "ionice",
    "java",
    "jshell",
    "ksh",
    "ld.so",
    "ld-linux-x86-64.so",
    "ld-linux-aarch64.so",
    "lua",
    "luajit",
    "make",
    "mawk",
    "mksh",
    "nawk",
    "nice",
    "node",
    "nodejs",
    "nohup",
    "nsenter",
    "original-awk",
    "parallel",
    "perl",
    "php",
    "pkexec",
    "pwsh",
    "pypy",
    "python",
    "rbash",
    "ruby",
    "run-parts",
    "runuser",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "sh",
    "ssh",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "tclsh",
    "tcsh",
    "time",
    "timeout",
    "toybox",
    "unshare",
    "vi",
    "vim",
    "watch",
    "xargs",
    "yash",
    "zsh",
];

/// One entry of `allow.run` or `allow.signal`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allowed {
    program: String,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Exactly(String),
    /// `*`: any one argument.
    Any,
}

impl Allowed {
    pub(super) fn parse(pattern: &str) -> Result<Allowed, String> {
        let allowed = Allowed::read("allow.run", pattern)?;
        if !is_plain(&allowed.program) {
            return Err(format!(
                "allow.run: `{pattern}` must start with an absolute path without `..`"
            ));
        }
        Ok(allowed)
    }

    /// The command line of a running process, whose first word is what it says itself.
    pub(super) fn of_process(pattern: &str) -> Result<Allowed, String> {
        Allowed::read("allow.signal", pattern)
    }

    fn read(key: &str, pattern: &str) -> Result<Allowed, String> {
        let wrong = |why: &str| format!("{key}: `{pattern}` {why}");
        let mut words = words_of(pattern).map_err(wrong)?.into_iter();
        let Some(Word::Exactly(program)) = words.next() else {
            return Err(wrong("names no program"));
        };
        Ok(Allowed {
            program,
            words: words.collect(),
        })
    }

    pub(super) fn matches(&self, argv: &[String]) -> bool {
        let Some((program, arguments)) = argv.split_first() else {
            return false;
        };
        *program == self.program
            && arguments.len() == self.words.len()
            && self
                .words
                .iter()
                .zip(arguments)
                .all(|(word, argument)| match word {
                    Word::Exactly(text) => text == argument,
                    Word::Any => true,
                })
    }

    /// Has arguments, and none of them is free.
    fn is_fixed(&self) -> bool {
        !self.words.is_empty() && !self.words.contains(&Word::Any)
    }
}

/// What to write where a program is not allowed: that very command line, if it can be one.
pub fn help(argv: &[String]) -> String {
    let entry = entry(argv).unwrap_or_else(|| "/absolute/program ARGUMENT".to_owned());
    format!(
        "homeostat.yaml beside the rules says which programs may run: allow: {{ run: [\"{entry}\"] }}"
    )
}

/// A command line as an entry of `allow.run` within double quotes; `None` if it needs more than simple quoting.
fn entry(argv: &[String]) -> Option<String> {
    argv.first().filter(|program| is_plain(program))?;
    let words = argv.iter().map(|word| {
        let tame = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        let hard = |c: char| matches!(c, '\'' | '"' | '\\') || c.is_control();
        match word {
            word if word.contains(hard) => None,
            word if !word.is_empty() && word.chars().all(tame) => Some(word.clone()),
            word => Some(format!("'{word}'")),
        }
    });
    Some(words.collect::<Option<Vec<_>>>()?.join(" "))
}

/// Words at white space; `'…'` and `"…"` keep theirs and make a `*` mean itself.
fn words_of(pattern: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut rest = pattern.trim_start();
    while !rest.is_empty() {
        let mut word = String::new();
        let mut quoted = false;
        while let Some(first) = rest.chars().next().filter(|first| !first.is_whitespace()) {
            if first == '\'' || first == '"' {
                let (inside, after) = rest[1..].split_once(first).ok_or("has an open quote")?;
                word.push_str(inside);
                quoted = true;
                rest = after;
            } else {
                word.push(first);
                rest = &rest[first.len_utf8()..];
                if first == '*'
                    && (word != "*" || !(rest.is_empty() || rest.starts_with(char::is_whitespace)))
                {
                    return Err(
                        "has a `*` inside a word: it stands for one whole argument, quote it to mean itself",
                    );
                }
            }
        }
        words.push(if word == "*" && !quoted {
            Word::Any
        } else {
            Word::Exactly(word)
        });
        rest = rest.trim_start();
    }
    Ok(words)
}

impl Permission {
    /// Checks that this program with these arguments may be started.
    pub fn may_run(&self, argv: &[String]) -> Result<(), Denied> {
        let refused = |why: &str| {
            let said = argv.join(" ");
            Err(Denied::forbidden(format!("`{said}` {why}")))
        };
        let Some(program) = argv.first() else {
            return Err(Denied::forbidden("there is no program to run"));
        };
        if argv.iter().any(|word| word.contains('\0')) {
            return refused("holds a NUL");
        }
        if !is_plain(program) {
            return refused("must start with an absolute path without `..`");
        }
        let allowed: Vec<&Allowed> = self
            .runs
            .iter()
            .filter(|allowed| allowed.matches(argv))
            .collect();
        if allowed.is_empty() {
            return refused("is not allowed by `allow: { run: [...] }` of homeostat.yaml");
        }
        let real = Path::new(program)
            .canonicalize()
            .unwrap_or_else(|_| PathBuf::from(program));
        if self.is_below_writable(Path::new(program)) || self.is_below_writable(&real) {
            return refused("is a program below a directory that steps may write");
        }
        if is_interpreter(Path::new(program)) || is_interpreter(&real) {
            if !allowed.iter().any(|allowed| allowed.is_fixed()) {
                return refused(
                    "is a shell, an interpreter or starts other programs: allow.run must write out all of its arguments",
                );
            }
            if argv
                .iter()
                .skip(1)
                .any(|argument| self.is_below_writable(Path::new(argument)))
            {
                return refused("would run what steps may write");
            }
        }
        Ok(())
    }

    /// Whether a path (relative ones mean the root, where children start) lies below a directory that steps may write.
    pub(super) fn is_below_writable(&self, path: &Path) -> bool {
        let mut clean = PathBuf::new();
        for part in self.root.join(path).components() {
            match part {
                Component::ParentDir => {
                    clean.pop();
                }
                Component::CurDir => {}
                part => clean.push(part),
            }
        }
        let real = clean.canonicalize().unwrap_or_else(|_| clean.clone());
        [&clean, &real].into_iter().any(|path| {
            self.below_root(path)
                .is_some_and(|below| WRITABLE.iter().any(|dir| below.starts_with(dir)))
        }) || WRITABLE.iter().any(|dir| {
            let dir = self.root.join(dir);
            dir.canonicalize().is_ok_and(|dir| real.starts_with(dir))
        })
    }
}

fn is_interpreter(program: &Path) -> bool {
    let Some(name) = program.file_name().and_then(|name| name.to_str()) else {
        return true;
    };
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS
        .iter()
        .any(|known| *known == name || *known == bare)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::permission::{Settings, settings::Allow};

    fn permission(root: &Path, run: &[&str]) -> Permission {
        let settings = Settings {
            allow: Allow {
                run: run.iter().map(|pattern| (*pattern).to_owned()).collect(),
                ..Allow::default()
            },
            ..Settings::default()
        };
        Permission::new(root, settings).expect("a root")
    }

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn may(patterns: &[&str], words: &[&str]) -> bool {
        let root = tempfile::tempdir().expect("a temporary directory");
        permission(root.path(), patterns)
            .may_run(&argv(words))
            .is_ok()
    }

    #[test]
    fn only_what_is_allowed_word_for_word() {
        let patterns = [
            "/usr/bin/systemctl restart bot",
            "/opt/bin/reset * now",
            "/opt/bin/say 'a b' \"*\"",
        ];
        for (words, expected) in [
            (&["/usr/bin/systemctl", "restart", "bot"][..], true),
            (&["/usr/bin/systemctl", "restart", "bot", "--now"], false),
            (&["/usr/bin/systemctl", "stop", "bot"], false),
            (&["/usr/bin/systemctl", "restart bot"], false),
            (&["systemctl", "restart", "bot"], false),
            (&["/usr/bin/../bin/systemctl", "restart", "bot"], false),
            (&["/opt/bin/reset", "any thing", "now"], true),
            (&["/opt/bin/reset", "now"], false),
            (&["/opt/bin/reset", "a", "b", "now"], false),
            (&["/opt/bin/say", "a b", "*"], true),
            (&["/opt/bin/say", "a b", "c"], false),
            (&[], false),
            (&["/opt/bin/reset", "a\0b", "now"], false),
        ] {
            assert_eq!(may(&patterns, words), expected, "{words:?}");
        }
        assert!(!may(&[], &["/bin/true"]), "nothing is allowed by default");
    }

    #[test]
    fn the_help_says_what_would_allow_it() {
        for words in [
            &["/usr/bin/journalctl", "--vacuum-size=500M"][..],
            &["/opt/bin/say", "a b", "*", "", "$HOME"],
        ] {
            let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let entry = entry(&argv).expect("it can be one");
            assert!(may(&[&entry], words), "{entry}");
            assert!(help(&argv).contains(&format!("[\"{entry}\"]")));
        }
        for words in [&["systemctl", "stop"][..], &["/opt/bin/say", "it's"], &[]] {
            let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert!(help(&argv).contains("/absolute/program ARGUMENT"));
        }
    }

    #[test]
    fn interpreters_only_with_every_argument_written_out() {
        assert!(may(
            &["/bin/sh /opt/bot/restart.sh"],
            &["/bin/sh", "/opt/bot/restart.sh"]
        ));
        assert!(!may(&["/bin/sh *"], &["/bin/sh", "/opt/bot/restart.sh"]));
        assert!(!may(&["/bin/sh"], &["/bin/sh"]), "a bare shell");
        assert!(!may(
            &["/usr/bin/python3.12 -c *"],
            &["/usr/bin/python3.12", "-c", "1"]
        ));
        assert!(!may(&["/usr/bin/env *"], &["/usr/bin/env", "sh"]));
        assert!(!may(&["/usr/bin/sudo -n *"], &["/usr/bin/sudo", "-n", "x"]));
        for path in ["data/x.py", "./logs/../data/x.py"] {
            let pattern = format!("/usr/bin/python3 {path}");
            assert!(
                !may(&[&pattern], &["/usr/bin/python3", path]),
                "steps may write {path}"
            );
        }
    }

    #[test]
    fn a_link_to_a_shell_is_a_shell() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let link = root.path().join("harmless");
        symlink("/bin/sh", &link).expect("a link");
        let link = link.display().to_string();
        let may = permission(root.path(), &[&format!("{link} *")]);
        assert!(may.may_run(&argv(&[&link, "x"])).is_err());
    }

    #[test]
    fn no_program_that_steps_may_write() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(root.path().join("data")).expect("data/");
        std::fs::write(root.path().join("data/tool"), "").expect("a file");
        let tool = root.path().join("data/tool").display().to_string();
        let link = root.path().join("tool").display().to_string();
        symlink(&tool, &link).expect("a link");
        let may = permission(root.path(), &[&tool, &link]);
        for program in [&tool, &link] {
            let refused = may
                .may_run(std::slice::from_ref(program))
                .expect_err("refused");
            assert!(
                refused
                    .told()
                    .contains("below a directory that steps may write"),
                "{program}"
            );
        }
    }

    #[test]
    fn a_pattern_that_is_not_understood_is_an_error() {
        for pattern in [
            "",
            "*",
            "reset *",
            "/opt/../bin/x",
            "/bin/x 'open",
            "/bin/x --name=*",
            "/bin/x *.json",
        ] {
            assert!(Allowed::parse(pattern).is_err(), "{pattern}");
        }
    }
}
