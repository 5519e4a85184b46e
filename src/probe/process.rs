//! `process`: whether a program runs, since when, and what it uses.
//!
//! It is found by its name, a pattern over its command line, or a pid file; a pid file together with one of the others
//! must name a process that is it, since a number may have gone to somebody else. See [`super::processes`] for what is
//! never counted: the dead, the engine, what it runs.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Eyes, Kind, Probe, ProbeError, Workshop,
    apart::Apart,
    path::Filled,
    pattern::Pattern,
    processes::{Proc, Process, TICKS, Who, pid_file},
    usage::Usage,
};
use crate::{
    model::{
        facts::Facts,
        node::{Node, decode},
        text::{Mistake, Text},
    },
    permission::Permission,
};

pub static KIND: Kind = Kind {
    name: "process",
    about: "a program that runs, or should",
    example: r#"probe: { process: { cmdline: '^/opt/bot/bin/bot( |$)', pid_file: state/bot.pid } }"#,
    facts: &[
        (
            "running",
            "boolean",
            "at least one process is it; a dead one whose parent has not noticed (a zombie) is none",
        ),
        ("count", "number", "how many are"),
        (
            "pids",
            "list of numbers",
            "theirs, the oldest process first, at most 1000",
        ),
        (
            "uptime_s",
            "seconds or ()",
            "since the oldest started, by the clock that counts from boot; () if none runs, like all that follow",
        ),
        ("rss_mb", "MiB or ()", "resident memory of all of them"),
        (
            "cpu_pct",
            "percent or ()",
            "processor time of all of them, 100 being one core, since the look before (at least 1 s ago; at the first \
             look over a quarter of a second)",
        ),
        (
            "stale",
            "boolean",
            "the pid file is there and names no living process, or one that is not it",
        ),
        ("reason", "text or ()", "why none runs"),
    ],
    schema: Rule::json_schema,
    build,
};

/// Processes of one program: by `name` or `cmdline`, by `pid_file`, or by both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The exact name of the process, or of its program file without directories.
    name: Option<Text>,
    /// A regular expression that matches somewhere in the command line, whose words are joined by spaces.
    cmdline: Option<Text>,
    /// A file whose first line is the number of the process. With `name` or `cmdline` the process must be that as well.
    pid_file: Option<Text>,
}

const MOST_PIDS: usize = 1000;
const MIB: f64 = (1 << 20) as f64;

struct ProcessProbe {
    who: Option<Wanted>,
    pid_file: Option<Filled>,
    apart: Apart,
}

enum Wanted {
    Name(Filled),
    Line(Pattern),
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    let name = rule.name.as_ref().map(|text| Filled::build(text, workshop));
    let line = rule
        .cmdline
        .as_ref()
        .map(|text| Pattern::build(text, workshop));
    let pid_file = rule
        .pid_file
        .as_ref()
        .map(|text| Filled::path(text, workshop));
    let wrong = match (&name, &line, &pid_file) {
        (Some(_), Some(_), _) => Some("`name` and `cmdline`: one of them"),
        (None, None, None) => {
            Some("it does not say which process: `name`, `cmdline` or `pid_file`")
        }
        _ => None,
    };
    if let Some(wrong) = wrong {
        let wrong = Mistake::new("bad-value", wrong, node.place.clone());
        workshop
            .mistakes
            .push(wrong.help(format!("write `{}`", KIND.example)));
    }
    for text in [&rule.name, &rule.cmdline, &rule.pid_file]
        .into_iter()
        .flatten()
    {
        if text.as_str().trim().is_empty() {
            let wrong = "nothing means no process, not every one";
            workshop
                .mistakes
                .push(Mistake::new("bad-value", wrong, text.place()));
        }
    }
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(ProcessProbe {
        who: match (name.flatten(), line.flatten()) {
            (Some(name), _) => Some(Wanted::Name(name)),
            (_, Some(line)) => Some(Wanted::Line(line)),
            _ => None,
        },
        pid_file: pid_file.flatten(),
        apart: Apart::default(),
    }))
}

impl Probe for ProcessProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.look(eyes, Proc::default()))
    }

    fn shape(&self) -> Facts {
        Facts::new()
            .with("running", true)
            .with("count", 1)
            .with("pids", vec![4711])
            .with("uptime_s", 86_400.0)
            .with("rss_mb", 120.5)
            .with("cpu_pct", 3.5)
            .with("stale", false)
            .with("reason", Value::Null)
    }
}

impl ProcessProbe {
    async fn look(&self, eyes: &Eyes, proc: Proc) -> Result<Facts, ProbeError> {
        let search = Search {
            who: match &self.who {
                None => None,
                Some(Wanted::Name(name)) => Some(Who::Name(name.at(eyes)?.into_owned())),
                Some(Wanted::Line(pattern)) => Some(Who::Line(pattern.at(eyes)?.into_owned())),
            },
            pid_file: match &self.pid_file {
                None => None,
                Some(file) => Some(file.at(eyes)?.into_owned()),
            },
            proc,
            permission: Arc::clone(&eyes.permission),
        };
        let key = search.key();
        let search = Arc::new(search);
        let look = || {
            let search = Arc::clone(&search);
            self.apart.look(move || search.look())
        };
        let seen = look().await?;
        let cpu_pct = if seen.processes.is_empty() {
            None
        } else {
            let again = async || look().await.map(|seen| seen.usage());
            let usages = &eyes.tails.usages;
            usages
                .share(&key, seen.usage(), TICKS, eyes.limit, again)
                .await?
        };
        Ok(seen.facts(cpu_pct))
    }
}

/// One look, with everything filled in.
struct Search {
    who: Option<Who>,
    pid_file: Option<String>,
    proc: Proc,
    permission: Arc<Permission>,
}

/// What is there.
struct Seen {
    /// Of boot, in seconds.
    uptime: f64,
    processes: Vec<Process>,
    resident: u64,
    stale: bool,
    reason: Option<String>,
}

impl Search {
    fn key(&self) -> String {
        let who = match &self.who {
            None => String::new(),
            Some(Who::Name(name)) => format!("name {name}"),
            Some(Who::Line(pattern)) => format!("line {pattern}"),
        };
        format!(
            "process {who} {}",
            self.pid_file.as_deref().unwrap_or_default()
        )
    }

    fn look(&self) -> Result<Seen, ProbeError> {
        let failed = |error| ProbeError(format!("could not look at the processes: {error}"));
        let uptime = self.proc.uptime().map_err(failed)?;
        let mut seen = Seen {
            uptime,
            processes: Vec::new(),
            resident: 0,
            stale: false,
            reason: None,
        };
        match (&self.pid_file, &self.who) {
            (Some(file), who) => {
                let body = pid_file(&self.permission, file)?;
                match self.proc.named_by(file, body.as_deref(), who.as_ref()) {
                    Ok(process) => seen.processes.push(process),
                    Err(stale) => {
                        seen.stale = stale.is_there;
                        seen.reason = Some(stale.why);
                    }
                }
            }
            (None, Some(who)) => {
                seen.processes = self.proc.find(who).map_err(failed)?;
                if seen.processes.is_empty() {
                    seen.reason = Some(format!("no process {who}"));
                }
            }
            (None, None) => {}
        }
        let sizes = seen.processes.iter();
        let sizes = sizes.filter_map(|process| self.proc.resident(process.pid));
        seen.resident = sizes.sum();
        Ok(seen)
    }
}

impl Seen {
    fn usage(&self) -> Usage {
        Usage {
            at: self.uptime,
            there: (self.uptime * TICKS) as u64,
            used: self
                .processes
                .iter()
                .map(|it| ((it.pid, it.started), it.ticks))
                .collect(),
        }
    }

    fn facts(self, cpu_pct: Option<f64>) -> Facts {
        let oldest = self.processes.first();
        let pids: Vec<i32> = self
            .processes
            .iter()
            .map(|it| it.pid)
            .take(MOST_PIDS)
            .collect();
        // the two are read one after the other, and some containers pretend to have booted later
        let uptime = oldest.map(|it| (self.uptime - it.started as f64 / TICKS).max(0.0));
        Facts::new()
            .with("running", oldest.is_some())
            .with("count", self.processes.len())
            .with("pids", pids)
            .with("uptime_s", uptime)
            .with("rss_mb", oldest.map(|_| self.resident as f64 / MIB))
            .with("cpu_pct", cpu_pct)
            .with("stale", self.stale)
            .with("reason", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::{
        super::{
            processes::testing::{Orphan, becomes, lay, stat},
            testing::Bench,
        },
        *,
    };

    #[test]
    fn sees_a_program_that_runs() {
        let bench = Bench::new();
        let orphan = Orphan::sleeping(bench.root(), "hs-runs");
        let path = bench.root().join("hs-runs").display().to_string();
        for rule in [
            json!({"name": "hs-runs"}),
            json!({"cmdline": format!("^{path} 600$")}),
            json!({"cmdline": format!("^{path} ${{600}}$")}),
        ] {
            let seen = bench.look(&KIND, rule).expect("seen");
            assert_eq!(
                (&seen["running"], &seen["count"]),
                (&json!(true), &json!(1))
            );
            assert_eq!(seen["pids"], json!([orphan.pid]));
            assert!(seen["uptime_s"].as_f64().is_some_and(|age| age < 60.0));
            assert!(
                seen["rss_mb"]
                    .as_f64()
                    .is_some_and(|size| size > 0.0 && size < 100.0)
            );
            assert!(seen["cpu_pct"].as_f64().is_some_and(|share| share < 50.0));
            assert_eq!(
                (&seen["stale"], &seen["reason"]),
                (&json!(false), &json!(null))
            );
        }
    }

    #[test]
    fn none_that_runs_is_a_fact_with_a_reason() {
        let bench = Bench::new();
        for (rule, reason) in [
            (
                json!({"name": "hs-nobody"}),
                "no process is named hs-nobody",
            ),
            (
                json!({"cmdline": "hs-no[b]ody$"}),
                "no process has a command line like hs-no[b]ody$",
            ),
            (
                json!({"pid_file": "state/x.pid"}),
                "state/x.pid is not there",
            ),
        ] {
            let seen = bench.look(&KIND, rule).expect("seen");
            assert_eq!(
                (&seen["running"], &seen["count"]),
                (&json!(false), &json!(0))
            );
            for absent in ["uptime_s", "rss_mb", "cpu_pct"] {
                assert_eq!(seen[absent], json!(null), "{absent}");
            }
            assert_eq!(
                (&seen["reason"], &seen["stale"]),
                (&json!(reason), &json!(false))
            );
        }
    }

    #[test]
    fn a_pid_file_must_name_a_living_process_that_is_it() {
        let bench = Bench::new();
        let orphan = Orphan::sleeping(bench.root(), "hs-pid-file");
        let pid = orphan.pid;
        let look = |rule: Value| bench.look(&KIND, rule).expect("seen");
        bench.file("state/x.pid", format!("{pid}\n"), 5.0);
        for rule in [
            json!({"pid_file": "state/x.pid"}),
            json!({"pid_file": "state/x.pid", "name": "hs-pid-file"}),
            json!({"pid_file": "state/x.pid", "cmdline": "/hs-pid-file 600$"}),
        ] {
            let seen = look(rule);
            assert_eq!(
                (&seen["pids"], &seen["stale"]),
                (&json!([pid]), &json!(false))
            );
        }
        let other = look(json!({"pid_file": "state/x.pid", "name": "bot"}));
        assert_eq!(
            (&other["running"], &other["stale"]),
            (&json!(false), &json!(true))
        );
        let reason = format!(
            "state/x.pid names {pid}, which is \"hs-pid-file\" and not one that is named bot"
        );
        assert_eq!(other["reason"], json!(reason));
        let mut child = std::process::Command::new("/bin/true")
            .spawn()
            .expect("a child");
        let number = child.id();
        let proc = Proc::default();
        let ended = || proc.one(number as i32).is_some_and(|it| it.is_dead);
        assert!(becomes(ended), "it ends and waits for us");
        for (body, reason) in [
            (
                number.to_string(),
                format!("names {number}, which has ended (a zombie)"),
            ),
            (
                "2147483647".to_owned(),
                "names 2147483647, which is gone".to_owned(),
            ),
            ("-1".to_owned(), "holds no process number".to_owned()),
            (String::new(), "holds no process number".to_owned()),
        ] {
            bench.file("state/x.pid", body, 5.0);
            let seen = look(json!({"pid_file": "state/x.pid"}));
            assert_eq!(seen["reason"], json!(format!("state/x.pid {reason}")));
            assert_eq!(
                (&seen["running"], &seen["stale"]),
                (&json!(false), &json!(true))
            );
        }
        child.wait().expect("it has ended");
    }

    #[test]
    fn adds_up_what_all_of_them_use() {
        let bench = Bench::new();
        let proc = bench.root().join("proc");
        fs::create_dir(&proc).expect("a directory");
        let probe = ProcessProbe {
            who: Some(Wanted::Name(Filled::Plain("bot".to_owned()))),
            pid_file: None,
            apart: Apart::default(),
        };
        let look = |uptime: &str, ticks: [u64; 2]| {
            fs::write(proc.join("uptime"), uptime).expect("a file");
            lay(&proc, 7, &stat(7, "bot", 'S', 1, ticks[0], 5000), &["bot"]);
            lay(&proc, 8, &stat(8, "bot", 'S', 1, ticks[1], 4000), &["bot"]);
            let eyes = bench.eyes();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let facts = runtime.block_on(probe.look(&eyes, Proc::at(&proc, 50)));
            facts.expect("seen").to_json()
        };
        look("100.00 9.0", [100, 100]);
        let seen = look("110.00 9.0", [600, 350]);
        assert_eq!(seen["pids"], json!([8, 7]), "the oldest first");
        assert_eq!(
            (&seen["uptime_s"], &seen["rss_mb"]),
            (&json!(70.0), &json!(4.0))
        );
        assert_eq!(
            seen["cpu_pct"],
            json!(75.0),
            "of one core, over ten seconds"
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let bench = Bench::new();
        fs::create_dir(bench.root().join("state/dir")).expect("a directory");
        let error = bench.look(&KIND, json!({"pid_file": "state/dir"}));
        assert!(error.expect_err("no file").contains("is a directory"));
        let probe = ProcessProbe {
            who: Some(Wanted::Name(Filled::Plain("bot".to_owned()))),
            pid_file: None,
            apart: Apart::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let nowhere = Proc::at(&bench.root().join("nowhere"), 1);
        let error = runtime.block_on(probe.look(&bench.eyes(), nowhere));
        let error = error.expect_err("no /proc").to_string();
        assert!(
            error.starts_with("could not look at the processes: "),
            "{error}"
        );
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["bad-value"][..]),
            (json!({"name": "a", "cmdline": "b"}), &["bad-value"]),
            (json!({"name": ""}), &["bad-value"]),
            (json!({"cmdline": "("}), &["bad-pattern"]),
            (json!({"pid_file": "/var/run/x.pid"}), &["not-allowed"]),
            (json!({"nmae": "a"}), &["unknown-key"]),
            (json!({"name": ["a"]}), &["wrong-type"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
    }
}
