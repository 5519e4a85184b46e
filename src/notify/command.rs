//! `command`: a program that `homeostat.yaml` allows, with the notice as JSON on its standard input.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Channel, Kind, Parcel, Sent, Unsent, Workshop,
    filled::{self, Filled, place},
    value,
};
use crate::{
    child::{self, Errand},
    hands::command_line,
    model::{
        node::{self, Node},
        span::Span,
        text::{Mistake, Text},
    },
    permission::running,
};

pub static KIND: Kind = Kind {
    name: "command",
    about: "A program that homeostat.yaml allows, with the notice as JSON on its standard input.",
    example: "command: { argv: [/usr/local/bin/page, '${notice.title}'] }",
    build,
};

/// Bytes kept of what it writes.
const MOST_OUTPUT: usize = 16 << 10;
/// Characters of its output that are told.
const MOST_TOLD: usize = 300;

/// A program.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The absolute program, then its arguments; `${notice.title}` and the like may stand in these. No shell.
    argv: Vec<Text>,
    /// After this it is killed, and started again later. By default 30s.
    timeout: Option<Span>,
}

struct Program {
    argv: Vec<Filled>,
    timeout: Duration,
    shown: String,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Channel>> {
    let before = workshop.mistakes.len();
    let form: Form = node::decode(node, workshop.mistakes)?;
    if form.argv.is_empty() {
        let wrong = Mistake::new("empty", "there is no program to run", place(node, "argv"));
        workshop
            .mistakes
            .push(wrong.help(format!("write `{}`", KIND.example)));
    }
    let argv: Vec<Filled> = form
        .argv
        .iter()
        .filter_map(|text| Filled::build(text, workshop))
        .collect();
    let plain: Option<Vec<String>> = argv
        .iter()
        .map(|word| word.plain().map(str::to_owned))
        .collect();
    if let Some(plain) = plain.filter(|plain| !plain.is_empty())
        && let Err(denied) = workshop.permission.may_run(&plain)
    {
        let wrong = Mistake::new("not-allowed", denied.told(), place(node, "argv"));
        workshop.mistakes.push(wrong.help(running::help(&plain)));
    }
    let timeout = filled::timeout(form.timeout, node, workshop);
    if workshop.mistakes.len() > before {
        return None;
    }
    let words: Vec<String> = form.argv.iter().map(Text::to_string).collect();
    Some(Arc::new(Program {
        argv,
        timeout: timeout?,
        shown: command_line(&words),
    }))
}

impl Channel for Program {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn whom(&self) -> String {
        self.shown.clone()
    }

    fn send<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<Sent, Unsent>> {
        self.run(parcel).boxed()
    }
}

impl Program {
    async fn run(&self, parcel: Parcel<'_>) -> Result<Sent, Unsent> {
        let Parcel { notice, office, .. } = parcel;
        let argv: Vec<String> = self
            .argv
            .iter()
            .map(|word| word.fill(notice, office))
            .collect::<Result<_, _>>()?;
        office
            .permission
            .may_run(&argv)
            .map_err(|denied| Unsent::never(denied.told()))?;
        let mut input = value(notice).to_string();
        input.push('\n');
        let errand = Errand {
            argv,
            env: Vec::new(),
            dir: office.permission.root().to_owned(),
            timeout: self.timeout,
            most_output: MOST_OUTPUT,
            input: Some(input.into_bytes()),
        };
        let finished = child::run(&errand)
            .await
            .map_err(|error| Unsent::later(format!("could not start {}: {error}", self.shown)))?;
        let said = match finished.stderr.trim() {
            "" => finished.stdout.trim(),
            said => said,
        };
        let said: String = said
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .take(MOST_TOLD)
            .collect();
        let said = match said.as_str() {
            "" => String::new(),
            said => format!(": {said}"),
        };
        match finished.exit {
            Some(0) => Ok(Sent {
                said: "exit 0".to_owned(),
                thread: None,
            }),
            _ if finished.timed_out => {
                let limit = Span(self.timeout);
                Err(Unsent::later(format!(
                    "did not end within {limit} and was killed{said}"
                )))
            }
            Some(code) => Err(Unsent::later(format!("exit {code}{said}"))),
            None => Err(Unsent::later(format!("was ended by a signal{said}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::notice::NoticeKind,
        notify::{
            Again,
            testing::{World, notice},
        },
    };

    fn world() -> World {
        let mut world = World::new();
        world.run = ["/usr/bin/tee data/page *", "/bin/false", "/bin/sleep *"]
            .map(str::to_owned)
            .to_vec();
        world
    }

    #[test]
    fn it_reads_the_notice_and_finds_parts_of_it_among_its_arguments() {
        let world = world();
        let argv = json!(["/usr/bin/tee", "data/page", "data/${notice.kind}"]);
        let channel = world.channel("command", json!({"argv": argv}));
        let opened = notice(NoticeKind::Opened);
        let sent = world.send(channel.as_ref(), &opened).expect("it runs");
        assert_eq!(sent.said, "exit 0");
        for file in ["data/page", "data/opened"] {
            let text = std::fs::read_to_string(world.path(file)).expect("written");
            let read: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(read, value(&opened));
        }
    }

    #[test]
    fn what_fails_is_tried_again_and_what_may_not_run_is_not() {
        let world = world();
        let opened = notice(NoticeKind::Opened);
        let channel = world.channel("command", json!({"argv": ["/bin/false"]}));
        let unsent = world.send(channel.as_ref(), &opened).expect_err("it fails");
        assert_eq!((unsent.again, &*unsent.why), (Again::Later, "exit 1"));
        let form = json!({"argv": ["/bin/sleep", "600"], "timeout": "100ms"});
        let channel = world.channel("command", form);
        let unsent = world.send(channel.as_ref(), &opened).expect_err("too long");
        assert_eq!(unsent.why, "did not end within 100ms and was killed");
        let form = json!({"argv": ["/usr/bin/tee", "${notice.title}"]});
        let channel = world.channel("command", form);
        let unsent = world
            .send(channel.as_ref(), &opened)
            .expect_err("not allowed");
        assert_eq!(unsent.again, Again::Never);
        let wrong = world
            .built("command", json!({"argv": ["/bin/rm", "-r"]}))
            .err();
        let wrong = wrong.expect("not allowed").join("; ");
        assert!(wrong.starts_with("not-allowed: "), "{wrong}");
        assert!(world.built("command", json!({"argv": []})).is_err());
    }
}
