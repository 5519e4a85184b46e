//! `command`: what a program says. No shell: each template gives exactly one argument.
//!
//! Only programs that `homeostat.yaml` allows; the child has a clean environment, no input and the root as working
//! directory, and leaves nothing behind (see [`crate::child`]).
//!
//! With `parse: plugin` it is a monitoring plugin (see [`super::plugin`]): exit 0, 1 and 2 are its state. One that says
//! UNKNOWN, or ends in any other way, has not looked, so the probe has failed and the status is `on_error`. Were it a
//! fact like the others, a rule that asks for "critical" and "warning" would be healthy by accident.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Eyes, Kind, Probe, ProbeError, Workshop,
    path::{Filled, not_allowed},
    plugin, strict_json,
};
use crate::{
    child::{Errand, Finished, run},
    model::{
        facts::Facts,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    permission::{running, settings::Size},
};

pub static KIND: Kind = Kind {
    name: "command",
    about: "what a program says",
    example: r#"probe: { command: { argv: [/usr/bin/systemctl, is-active, trading-bot], timeout: 5s } }"#,
    facts: &[
        ("exit", "number or ()", "exit code; () if a signal ended it"),
        ("stdout", "text", "what it printed"),
        ("stderr", "text", "what it complained"),
        (
            "json",
            "any",
            "with `parse: json` what it printed; () if that is no JSON",
        ),
        (
            "parse_error",
            "text or ()",
            "with `parse: json` why it is no JSON",
        ),
        ("duration_ms", "milliseconds", "how long it took"),
        (
            "state",
            "text",
            "only with `parse: plugin`, like all that follow: \"ok\", \"warning\" or \"critical\", by its exit code 0, 1 or 2. \
             Any other end is an error of the probe: a plugin that does not know must not pass for one that says OK",
        ),
        ("text", "text", "its first line, without performance data"),
        (
            "long_text",
            "text",
            "its other lines, without performance data",
        ),
        (
            "perf",
            "map",
            "its performance data: of each label `value` (() if it could not tell), `unit` as written (`s ms us % B KB MB GB TB c` \
             or none), `warn` and `crit` (`from`, `to`, `inside`, where an end that is () is open), `min`, `max`",
        ),
        (
            "perf_skipped",
            "number",
            "items and thresholds of it that are not as the Monitoring Plugins Guidelines want them",
        ),
    ],
    schema: Rule::json_schema,
    build,
};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_OUTPUT: Size = Size(1 << 20);
const MOST_ARGUMENTS: usize = 256;

/// A program and its arguments, without a shell.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The program, by its absolute path, and its arguments.
    argv: Vec<Text>,
    /// After this it is killed, and the probe has failed. By default 10s; the time limit of the check holds as well.
    timeout: Option<Span>,
    /// What is made of its output: nothing, one JSON value, or what a monitoring plugin says.
    #[serde(default)]
    parse: Parse,
    /// Kept of each output; with `parse: json` or `plugin` more is an error of the probe. By default 1 MiB.
    max_output: Option<Size>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Parse {
    #[default]
    Text,
    Json,
    Plugin,
}

struct CommandProbe {
    argv: Vec<Filled>,
    timeout: Duration,
    parse: Parse,
    max_output: usize,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    let place_of = |key| {
        node.get(key)
            .map_or(&node.place, |value| &value.place)
            .clone()
    };
    if rule.argv.is_empty() || rule.argv.len() > MOST_ARGUMENTS {
        let wrong = format!(
            "`argv` has the program and up to {} arguments",
            MOST_ARGUMENTS - 1
        );
        workshop
            .mistakes
            .push(Mistake::new("bad-value", wrong, place_of("argv")));
    }
    if rule.timeout.is_some_and(|Span(timeout)| timeout.is_zero()) {
        let wrong = "a `timeout` of nothing leaves no time to look";
        workshop
            .mistakes
            .push(Mistake::new("bad-value", wrong, place_of("timeout")));
    }
    let built: Vec<Option<Filled>> = rule
        .argv
        .iter()
        .map(|text| Filled::build(text, workshop))
        .collect();
    let argv: Vec<Filled> = built.into_iter().collect::<Option<_>>()?;
    let plain: Option<Vec<String>> = argv
        .iter()
        .map(|word| word.plain().map(str::to_owned))
        .collect();
    if let (Some(plain), Some(program)) = (plain, rule.argv.first())
        && let Err(denied) = workshop.permission.may_run(&plain)
    {
        workshop
            .mistakes
            .push(not_allowed(&denied, program).help(running::help(&plain)));
    }
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(CommandProbe {
        argv,
        timeout: rule.timeout.map_or(TIMEOUT, |Span(timeout)| timeout),
        parse: rule.parse,
        max_output: usize::try_from(rule.max_output.unwrap_or(MAX_OUTPUT).0).unwrap_or(usize::MAX),
    }))
}

impl Probe for CommandProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        let facts = Facts::new()
            .with("exit", 0)
            .with("stdout", "active\n")
            .with("stderr", "");
        match self.parse {
            Parse::Plugin => with_plugin(
                facts,
                "ok",
                &plugin::Said {
                    text: "LOAD OK".to_owned(),
                    ..plugin::Said::default()
                },
            ),
            _ => facts
                .with("json", Value::Null)
                .with("parse_error", Value::Null),
        }
        .with("duration_ms", 12.5)
    }
}

fn with_plugin(facts: Facts, state: &str, said: &plugin::Said) -> Facts {
    facts
        .with("state", state)
        .with("text", said.text.as_str())
        .with("long_text", said.long_text.as_str())
        .with("perf", said.perf())
        .with("perf_skipped", said.skipped)
}

/// What a plugin says by its exit code, or why it says nothing.
fn state(
    program: &str,
    finished: &Finished,
    said: &plugin::Said,
) -> Result<&'static str, ProbeError> {
    let why = match finished.exit {
        Some(0) => return Ok("ok"),
        Some(1) => return Ok("warning"),
        Some(2) => return Ok("critical"),
        Some(3) => "says it does not know".to_owned(),
        Some(code) => format!("ended with exit {code}, which no plugin should"),
        None => "was ended by a signal".to_owned(),
    };
    let complaint = finished.stderr.lines().next().unwrap_or_default();
    let text = if said.text.is_empty() {
        complaint
    } else {
        &said.text
    };
    Err(ProbeError(match text.trim() {
        "" => format!("{program} {why}"),
        text => format!("{program} {why}: {text}"),
    }))
}

impl CommandProbe {
    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let argv: Vec<String> = self
            .argv
            .iter()
            .map(|word| word.at(eyes).map(|word| word.into_owned()))
            .collect::<Result<_, _>>()?;
        eyes.permission.may_run(&argv)?;
        let program = argv.first().cloned().unwrap_or_default();
        let errand = Errand {
            argv,
            env: Vec::new(),
            dir: eyes.permission.root().to_owned(),
            timeout: self.timeout.min(eyes.limit),
            most_output: self.max_output,
            input: None,
        };
        let finished = run(&errand)
            .await
            .map_err(|error| ProbeError(format!("could not start {program}: {error}")))?;
        if finished.timed_out {
            let limit = Span(errand.timeout);
            return Err(ProbeError(format!(
                "{program} took longer than {limit} and was killed"
            )));
        }
        self.facts(&program, finished)
    }

    fn facts(&self, program: &str, finished: Finished) -> Result<Facts, ProbeError> {
        if self.parse != Parse::Text && finished.cut {
            let limit = Size(self.max_output as u64);
            return Err(ProbeError(format!(
                "{program} printed more than {limit} (`max_output`)"
            )));
        }
        let facts = Facts::new()
            .with("exit", finished.exit)
            .with("stdout", finished.stdout.as_str())
            .with("stderr", finished.stderr.as_str());
        let facts = match self.parse {
            Parse::Plugin => {
                let said = plugin::parse(&finished.stdout);
                with_plugin(facts, state(program, &finished, &said)?, &said)
            }
            Parse::Json => match strict_json::parse(finished.stdout.as_bytes()) {
                Ok(value) => facts.with("json", value).with("parse_error", Value::Null),
                Err(error) => facts.with("json", Value::Null).with("parse_error", error),
            },
            Parse::Text => facts
                .with("json", Value::Null)
                .with("parse_error", Value::Null),
        };
        Ok(facts.with("duration_ms", finished.duration.as_secs_f64() * 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::Bench, *};

    fn bench() -> Bench {
        Bench::new().allowing_to_run(&[
            "/bin/echo *",
            "/bin/echo * *",
            "/bin/sleep *",
            "/bin/false",
            "/no/such/program",
            "/bin/sh -c 'echo oops >&2; pwd; exit 3'",
            "/bin/sh -c 'kill -9 $$'",
            "/usr/bin/head -c * /dev/zero",
        ])
    }

    #[test]
    fn sees_exit_and_output() {
        let bench = bench();
        let rule = json!({"argv": ["/bin/sh", "-c", "echo oops >&2; pwd; exit 3"]});
        let seen = bench.look(&KIND, rule).expect("seen");
        let root = bench.root().canonicalize().expect("real");
        assert_eq!(
            (&seen["exit"], &seen["stderr"]),
            (&json!(3), &json!("oops\n"))
        );
        assert_eq!(seen["stdout"], format!("{}\n", root.display()));
        assert_eq!(
            (&seen["json"], &seen["parse_error"]),
            (&json!(null), &json!(null))
        );
        assert!(seen["duration_ms"].is_f64());
    }

    #[test]
    fn a_template_is_exactly_one_argument() {
        let argv = json!({"argv": ["/bin/echo", "${vars.list[0]}; rm x"], "parse": "text"});
        let seen = bench().look(&KIND, argv).expect("seen");
        assert_eq!(seen["stdout"], "a b; rm x\n");
    }

    #[test]
    fn reads_json() {
        let look = |word: &str| {
            let rule = json!({"argv": ["/bin/echo", word], "parse": "json"});
            bench().look(&KIND, rule).expect("seen")
        };
        assert_eq!(look(r#"{"a": [1]}"#)["json"], json!({"a": [1]}));
        let broken = look("{");
        assert_eq!(
            (&broken["json"], &broken["exit"]),
            (&json!(null), &json!(0))
        );
        assert!(broken["parse_error"].is_string());
    }

    fn plugin(script: &str) -> Result<Value, String> {
        let pattern = format!("/bin/sh -c '{script}'");
        let bench = Bench::new().allowing_to_run(&[&pattern]);
        bench.look(
            &KIND,
            json!({"argv": ["/bin/sh", "-c", script], "parse": "plugin"}),
        )
    }

    #[test]
    fn hears_a_plugin() {
        for (exit, state) in [(0, "ok"), (1, "warning"), (2, "critical")] {
            let script = format!("echo \"LOAD up | a=1.5s;2;3;0 junk\"; echo more; exit {exit}");
            let seen = plugin(&script).expect("seen");
            assert_eq!(
                (&seen["exit"], &seen["state"]),
                (&json!(exit), &json!(state))
            );
            assert_eq!(
                (&seen["text"], &seen["long_text"], &seen["perf_skipped"]),
                (&json!("LOAD up"), &json!("more"), &json!(1))
            );
            assert_eq!(seen["perf"]["a"]["value"], json!(1.5));
            assert_eq!(seen["perf"]["a"]["crit"]["to"], json!(3));
            assert_eq!(seen.get("json"), None, "a plugin says no JSON");
        }
    }

    #[test]
    fn a_plugin_that_does_not_know_has_not_looked() {
        for (script, error) in [
            (
                "echo gone fishing; exit 3",
                "says it does not know: gone fishing",
            ),
            (
                "echo oops >&2; exit 127",
                "ended with exit 127, which no plugin should: oops",
            ),
            ("exit 4", "ended with exit 4, which no plugin should"),
            ("echo OK; kill -9 $$", "was ended by a signal: OK"),
        ] {
            assert_eq!(plugin(script), Err(format!("/bin/sh {error}")));
        }
    }

    #[test]
    fn a_signal_leaves_no_exit_code() {
        let rule = json!({"argv": ["/bin/sh", "-c", "kill -9 $$"]});
        assert_eq!(
            bench().look(&KIND, rule).expect("seen")["exit"],
            json!(null)
        );
    }

    #[test]
    fn what_takes_too_long_is_an_error() {
        let rule = json!({"argv": ["/bin/sleep", "60"], "timeout": "50ms"});
        assert_eq!(
            bench().look(&KIND, rule),
            Err("/bin/sleep took longer than 50ms and was killed".to_owned())
        );
    }

    #[test]
    fn what_cannot_start_or_prints_too_much_is_an_error() {
        let error = |rule| bench().look(&KIND, rule).expect_err("an error");
        assert!(
            error(json!({"argv": ["/no/such/program"]}))
                .contains("could not start /no/such/program")
        );
        let flood = json!({"argv": ["/usr/bin/head", "-c", "5000", "/dev/zero"], "parse": "json", "max_output": "1 kB"});
        assert!(error(flood).contains("printed more than 1 kB"));
    }

    #[test]
    fn what_is_not_allowed_is_found_at_load_or_at_the_look() {
        let bench = bench();
        let codes = |rule| bench.codes(&KIND, rule);
        assert_eq!(codes(json!({"argv": ["/bin/rm", "x"]})), ["not-allowed"]);
        assert_eq!(codes(json!({"argv": ["echo", "x"]})), ["not-allowed"]);
        let filled = bench.look(&KIND, json!({"argv": ["/bin/${vars.list[1]}at", "x"]}));
        assert!(filled.expect_err("not allowed").contains("is not allowed"));
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = bench();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"argv": []}), &["bad-value"]),
            (json!({"argv": "/bin/false"}), &["wrong-type"]),
            (
                json!({"argv": ["/bin/false"], "parse": "xml"}),
                &["bad-value"],
            ),
            (
                json!({"argv": ["/bin/false"], "timeout": "0s"}),
                &["bad-value"],
            ),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
    }
}
