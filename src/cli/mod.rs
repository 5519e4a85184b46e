//! The command line: one file for each command, and what they share.
//!
//! | file | is |
//! |---|---|
//! | [`arguments`], `help` | what can be said |
//! | `outcome`, `screen` | exit codes and failures; where output goes |
//! | `site`, `reach`, `engine` | the root; which engine answers; starting one |
//! | [`show`] | everything people see, as pure functions |
//! | `run check dry_run investigate lint test explain status watch completions past kill_switch check_pause silence ack notify approval confirm undo reload token schema` | the commands |

mod ack;
mod approval;
pub mod arguments;
mod check;
mod check_pause;
mod completions;
mod confirm;
mod dry_run;
mod engine;
mod explain;
mod help;
mod investigate;
mod kill_switch;
mod lint;
mod notify;
mod outcome;
mod past;
mod reach;
mod reload;
mod run;
mod schema;
mod screen;
pub mod show;
mod signals;
mod silence;
mod site;
mod status;
mod test;
mod token;
mod undo;
mod watch;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use crate::child;
use arguments::{Action, Arguments};
use outcome::{Failure, Outcome, SOFTWARE, USAGE};
use screen::Screen;
use site::Site;

/// Reads the command line, does it, and says how it went.
pub fn main() -> ExitCode {
    let said: Vec<OsString> = std::env::args_os().collect();
    let arguments = match arguments::parse(said.iter().cloned()) {
        Ok(arguments) => arguments,
        Err(error) => return misread(&error, &said),
    };
    let screen = Screen::new(arguments.options.json);
    screen.log();
    let code = done(arguments, &screen).unwrap_or_else(|failure| {
        screen.fail(&failure);
        failure.code
    });
    ExitCode::from(code)
}

/// A wrong command line, or `--help`, which clap tells as an error too.
fn misread(error: &clap::Error, said: &[OsString]) -> ExitCode {
    let wrong = error.use_stderr();
    if wrong && said.iter().any(|word| word == "--json") {
        let text = anstream::adapter::strip_str(&error.render().to_string()).to_string();
        Screen::new(true).value(&Failure::usage(text.trim()).json());
    }
    let _ = error.print(); // nobody may be reading
    ExitCode::from(if wrong { USAGE } else { 0 })
}

fn done(arguments: Arguments, screen: &Screen) -> Outcome {
    match &arguments.command {
        Action::Schema { settings } => return schema::schema(*settings, screen),
        Action::Completions { shell } => return completions::completions(*shell, screen),
        Action::Lint {
            explain: Some(code),
            ..
        } => return lint::explained(code, screen),
        _ => {}
    }
    let site = Site::of(&arguments.options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(SOFTWARE, format!("could not start threads: {error}")))?;
    let outcome = runtime.block_on(act(arguments.command, &site, screen));
    // A thread that is stuck on a dead disk must not keep the process; but no program it started outlives it.
    runtime.shutdown_timeout(Duration::from_millis(500));
    child::all_gone(Duration::from_secs(3));
    outcome
}

async fn act(action: Action, site: &Site, screen: &Screen) -> Outcome {
    match action {
        Action::Run { listen } => run::run(site, listen.as_deref(), screen).await,
        Action::Check {
            names,
            no_fix,
            wait,
        } => check::check(site, &names.names, !no_fix, wait.0, screen).await,
        Action::DryRun { names, at } => dry_run::dry_run(site, &names.names, at, screen).await,
        Action::Investigate { name, wait } => {
            investigate::investigate(site, &name, wait.0, screen).await
        }
        Action::Lint { files, .. } => lint::lint(site, &files, screen),
        Action::Test { files } => test::test(site, &files, screen).await,
        Action::Explain { name } => explain::explain(site, &name, screen).await,
        Action::Schema { settings } => schema::schema(settings, screen),
        Action::Token { new } => token::token(site, new, screen).await,
        Action::Completions { shell } => completions::completions(shell, screen),
        Action::Status { names, bad, watch } => match watch {
            Some(every) => {
                let every = every.0.max(Duration::from_millis(200));
                watch::watch(site, &names, bad, every, screen).await
            }
            None => status::status(site, &names, bad, screen).await,
        },
        Action::History {
            check,
            since,
            limit,
        } => past::history(site, check.as_deref(), since, limit, screen).await,
        Action::Ledger => past::ledger(site, screen).await,
        Action::Pause {
            names,
            reason,
            span,
        } => {
            let (reason, span) = (reason.as_deref(), span.map(|span| span.0));
            match names.as_slice() {
                [] => kill_switch::pause(site, reason, span, screen).await,
                names => check_pause::pause(site, names, reason, span, screen).await,
            }
        }
        Action::Resume { names } => match names.as_slice() {
            [] => kill_switch::resume(site, screen).await,
            names => check_pause::resume(site, names, screen).await,
        },
        Action::Silence {
            names,
            all,
            span,
            reason,
            end,
        } => {
            let wish = match (span, end) {
                (_, Some(id)) => silence::Wish::End(id),
                (Some(span), None) if all || !names.is_empty() => silence::Wish::Begin {
                    checks: &names,
                    span: span.0,
                    reason: reason.as_deref(),
                },
                (Some(_), None) => {
                    return Err(Failure::usage("say which checks, or --all"));
                }
                (None, None) if reason.is_some() => {
                    return Err(Failure::usage("say for how long: --for 2h"));
                }
                (None, None) => silence::Wish::List,
            };
            silence::silence(site, wish, screen).await
        }
        Action::Ack { what, reason, span } => {
            let span = span.map(|span| span.0);
            ack::ack(site, &what, reason.as_deref(), span, screen).await
        }
        Action::Notify { test } => notify::notify(site, test.as_deref(), screen).await,
        Action::Approve { attempt: None } => approval::list(site, screen).await,
        Action::Approve {
            attempt: Some(attempt),
        } => approval::approve(site, attempt, screen).await,
        Action::Deny { attempt, reason } => {
            approval::deny(site, attempt, reason.as_deref(), screen).await
        }
        Action::Confirm {
            check,
            reason,
            forget,
        } => confirm::confirm(site, &check, reason.as_deref(), forget, screen).await,
        Action::Undo { attempt } => undo::undo(site, attempt, screen).await,
        Action::Reload => reload::reload(site, screen).await,
    }
}
