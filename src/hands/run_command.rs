//! `run_command`: runs a program that `homeostat.yaml` allows. No shell is involved.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Eyes, HandsError, Kind, args, denied};
use crate::{
    model::{
        node::{self, Node},
        span::Span,
        text::{Mistake, Text},
    },
    permission::{Permission, running},
};

pub static KIND: Kind = Kind {
    name: "run_command",
    about: "Runs a program that homeostat.yaml allows, without a shell; any exit code but 0 is a failure.",
    example: "run_command: { argv: [/usr/bin/systemctl, restart, trading-bot], timeout: 30s }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// No step runs longer, whatever it says.
const LONGEST: Duration = Duration::from_secs(3600);

/// Runs a program.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The absolute program, then its arguments, one by one. A `${…}` gives exactly one argument.
    #[schemars(length(min = 1))]
    argv: Vec<Text>,
    /// Then it and all it started are killed. At most 1h.
    #[serde(default = "half_a_minute")]
    timeout: Span,
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    if let Err(reason) = bounded(args.timeout) {
        let place = args::place(node, "timeout");
        mistakes.push(Mistake::new("bad-value", reason, place));
    }
    let Some(program) = args.argv.first() else {
        let place = args::place(node, "argv");
        mistakes.push(Mistake::new("bad-value", "`argv` names no program", place));
        return;
    };
    let words: Option<Vec<String>> = args
        .argv
        .iter()
        .map(|word| args::constant(word).map(str::to_owned))
        .collect();
    let refused = match &words {
        Some(argv) => permission.may_run(argv).err().map(|error| error.told()),
        // With arguments yet to be filled in it is decided when the step is prepared; but a program is always absolute.
        None => args::constant(program)
            .filter(|program| !program.starts_with('/'))
            .map(|program| format!("`{program}` is no absolute path")),
    };
    if let Some(reason) = refused {
        mistakes.push(
            Mistake::new("forbidden-program", reason, program.place())
                .help(running::help(words.as_deref().unwrap_or_default())),
        );
    }
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args: Args = args::read(args)?;
    bounded(args.timeout).map_err(HandsError::Failed)?;
    let argv: Vec<String> = args
        .argv
        .iter()
        .map(|word| word.as_str().to_owned())
        .collect();
    eyes.permission.may_run(&argv).map_err(denied)?;
    Ok(Effect::Run {
        argv,
        timeout: args.timeout.0,
    })
}

fn bounded(timeout: Span) -> Result<(), String> {
    match timeout.0 {
        Duration::ZERO => Err("a time limit of nothing leaves no time to run".to_owned()),
        long if long > LONGEST => Err(format!(
            "`{timeout}` is longer than a step may run: at most 1h"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hands::testing::{World, mistakes},
        model::{standing::HeldBy, step::Outcome},
    };

    #[test]
    fn an_allowed_program_is_shown_dry_exactly_as_it_would_run() {
        let world = World::new();
        let effect = world.ready("run_command", json!({"argv": ["/bin/echo", "a b"]}));
        assert_eq!(
            effect,
            Effect::Run {
                argv: vec!["/bin/echo".to_owned(), "a b".to_owned()],
                timeout: Duration::from_secs(30)
            }
        );
        let would = world.dry(&effect);
        assert_eq!(would.detail, "would run /bin/echo 'a b'");
        assert_eq!((would.outcome, would.diff), (Outcome::Would, None));
    }

    #[test]
    fn anything_else_is_held() {
        let world = World::new();
        for argv in [
            json!(["/bin/sh", "x"]),
            json!(["/bin/echo"]),
            json!(["echo", "x"]),
            json!([]),
        ] {
            match world.prepare("run_command", json!({"argv": argv})) {
                Err(HandsError::Held {
                    by: HeldBy::Permission,
                    ..
                }) => {}
                other => panic!("{argv}: {other:?}"),
            }
        }
        for args in [
            json!({"argv": ["/bin/echo", null]}),
            json!({"argv": ["/bin/echo", ["x"]]}),
            json!({"argv": ["/bin/echo", "x"], "timeout": "0s"}),
            json!({"argv": ["/bin/echo", "x"], "timeout": "2h"}),
        ] {
            let error = world
                .prepare("run_command", args)
                .expect_err("it cannot be");
            assert!(matches!(error, HandsError::Failed(_)), "{error}");
        }
    }

    #[test]
    fn programs_are_checked_at_load() {
        let world = World::new();
        let with = |args: Value| {
            let found = mistakes(&world, "run_command", args);
            found
                .into_iter()
                .map(|(code, line, _)| (code, line))
                .collect::<Vec<_>>()
        };
        assert_eq!(with(json!({"argv": ["/bin/echo", 5]})), []);
        assert_eq!(
            with(json!({"argv": ["/bin/rm", "${x}"]})),
            [],
            "known only when filled in"
        );
        assert_eq!(
            with(json!({"argv": ["/bin/rm", "x"]})),
            [("forbidden-program", 2)]
        );
        assert_eq!(
            with(json!({"argv": ["rm", "${x}"]})),
            [("forbidden-program", 2)]
        );
        assert_eq!(with(json!({"argv": []})), [("bad-value", 1)]);
        assert_eq!(
            with(json!({"argv": ["/bin/echo", "x"], "timeout": "2h"})),
            [("bad-value", 4)]
        );
        assert_eq!(
            with(json!({"argv": ["/bin/echo", "x"], "timeout": "${vars.t}"})),
            [("bad-value", 4)]
        );
    }
}
