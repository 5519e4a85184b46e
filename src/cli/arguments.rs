//! What can be said on the command line. What it means is in the file of each command.
//!
//! `--root`, `--rules`, `--set` and `--json` are accepted before and after the command. For `--set`, which may be said
//! several times, clap's own global arguments would let the ones after the command replace those before it; so it is
//! defined in both places and joined here.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand,
    ValueHint,
};
use serde_json::Value;

use super::help;
use crate::model::{attempt::AttemptId, moment::Moment, span::Span};

/// Watches a running system and puts it right
#[derive(Debug, Parser)]
#[command(
    name = "homeostat",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = false
)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Action,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Directory that relative paths in rules mean [default: here]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, display_order = 900)]
    pub root: Option<PathBuf>,
    /// Directory of the rule files [default: rules/ below the root]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, display_order = 901)]
    pub rules: Option<PathBuf>,
    /// Override an entry of vars: (VALUE is JSON if it reads as JSON, else a text)
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, display_order = 902)]
    pub set: Vec<Setting>,
    /// Print JSON: one value, or one line for each event of `run`
    #[arg(long, global = true, display_order = 903)]
    pub json: bool,
}

impl Options {
    /// The overrides by name; the last of two with one name wins.
    pub fn overrides(&self) -> BTreeMap<String, Value> {
        self.set
            .iter()
            .map(|setting| (setting.name.clone(), setting.value.clone()))
            .collect()
    }
}

/// One `--set NAME=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub name: String,
    pub value: Value,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the engine until SIGINT or SIGTERM, finishing what it started
    Run {
        /// Loopback address of the page and the API; `none` serves only the socket below state/homeostat
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
    },
    /// Look at everything once, now, and repair what may be repaired
    Check {
        #[command(flatten)]
        names: Names,
        /// Only look
        #[arg(long)]
        no_fix: bool,
        /// How long to wait for the proof of a repair
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = Span::parse)]
        wait: Span,
    },
    /// Show what `check` would do, without doing it
    ///
    /// With --rules NEW the rules in NEW are compared with the present ones (those of the running engine, else rules/
    /// below the root).
    DryRun {
        #[command(flatten)]
        names: Names,
        /// Judge as of this instant (ISO 8601 with a zone, or epoch seconds)
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Option<Moment>,
    },
    /// Run a root-cause session now
    Investigate {
        /// Name of the investigation
        name: String,
        /// How long to wait for the proof of repairs
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = Span::parse)]
        wait: Span,
    },
    /// Complain about mistakes in rules
    ///
    /// Without FILE the whole rule set. A FILE of it shows the complaints about that file only; files and directories
    /// outside it are a rule set by themselves.
    Lint {
        /// Rule files, or a directory
        #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
        files: Vec<PathBuf>,
        /// Tell what a complaint means, by its code
        #[arg(long, value_name = "CODE", conflicts_with = "files")]
        explain: Option<String>,
    },
    /// Run the tests: blocks of the rules in virtual time
    Test {
        /// Only the tests of these rule files
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Say why a check stands as it does, and what holds its repair
    Explain {
        /// Name of the check
        name: String,
    },
    /// Print the owner's token, and the address at which the page opens with it
    Token {
        /// Make another one: the token before counts no longer
        #[arg(long)]
        new: bool,
    },
    /// Print the script by which a shell completes commands and options
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of rule files, for editors
    Schema {
        /// That of homeostat.yaml instead
        #[arg(long)]
        settings: bool,
    },
    /// How everything stands
    Status {
        /// Only these checks
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Only what is not OK
        #[arg(long)]
        bad: bool,
        /// Go on showing it until Ctrl-C, anew every TIME [default: 2s]
        #[arg(long, value_name = "TIME", value_parser = Span::parse, num_args = 0..=1, default_missing_value = "2s", require_equals = true)]
        watch: Option<Span>,
    },
    /// What happened: changes of status, repairs, what was held
    History {
        /// Only of this check
        #[arg(value_name = "CHECK")]
        check: Option<String>,
        /// Not before this: a time back from now (7d, 12h) or an instant
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<Since>,
        /// At most so many, the newest ones
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// What repairs came to: tried, verified, failed, held, recurred
    Ledger,
    /// Start no repair from now on (the kill switch), or none of these checks; looking goes on
    Pause {
        /// Only of these checks
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Why, for those who find it paused
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// End by itself after this time; without it, `homeostat resume` ends it
        #[arg(long = "for", value_name = "TIME", value_parser = Span::parse)]
        span: Option<Span>,
    },
    /// Allow repairs again; with names, of checks that were paused by name
    Resume {
        /// Checks that were paused by name
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Hold the repairs and pages of some checks for a while; alone, list what is silenced
    Silence {
        /// Names of checks
        #[arg(value_name = "NAME", conflicts_with_all = ["all", "end"], requires = "span")]
        names: Vec<String>,
        /// Every check
        #[arg(long, conflicts_with = "end", requires = "span")]
        all: bool,
        /// How long; it ends by itself
        #[arg(long = "for", value_name = "TIME", value_parser = Span::parse, conflicts_with = "end")]
        span: Option<Span>,
        /// Why, for those who find it silent
        #[arg(long, value_name = "TEXT", conflicts_with = "end")]
        reason: Option<String>,
        /// End the silence of this number
        #[arg(long, value_name = "ID")]
        end: Option<u64>,
    },
    /// Take an incident in hand: nobody else is told until it ends or gets worse
    Ack {
        /// A check of the incident, or the incident's number
        #[arg(value_name = "CHECK")]
        what: String,
        /// Why, for those who find it acknowledged
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// After this nobody has it in hand any more
        #[arg(long = "for", value_name = "TIME", value_parser = Span::parse)]
        span: Option<Span>,
    },
    /// Who is told, and how that goes; with --test, whether a notice arrives
    Notify {
        /// Send a test notice to this notifier, and say for each channel how it went
        #[arg(long, value_name = "NAME")]
        test: Option<String>,
    },
    /// Let a repair go on that waits for a person; alone, list what waits
    Approve {
        /// Number of the attempt
        attempt: Option<AttemptId>,
    },
    /// Refuse a repair that waits for a person
    Deny {
        /// Number of the attempt
        attempt: AttemptId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Say that what a check sees now is meant so: its `baseline`
    Confirm {
        /// Name of the check
        #[arg(value_name = "CHECK")]
        check: String,
        /// Why, for those who find it
        #[arg(long, value_name = "TEXT", conflicts_with = "forget")]
        reason: Option<String>,
        /// Take back what was confirmed
        #[arg(long)]
        forget: bool,
    },
    /// Undo what a repair did to files
    Undo {
        /// Number of the attempt, as `check` and `history` show it
        attempt: AttemptId,
    },
    /// Load the rules again now, and say what changed
    Reload,
}

#[derive(Clone, Debug, Default, Args)]
pub struct Names {
    /// Names of checks [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// A time back from now, or an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Since {
    Back(Span),
    At(Moment),
}

impl Since {
    pub fn from(self, now: Moment) -> Moment {
        match self {
            Since::Back(span) => now.minus(span.0),
            Since::At(moment) => moment,
        }
    }
}

fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or("write NAME=VALUE")?;
    Ok(Setting {
        name: name.trim().to_owned(),
        value: serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
    })
}

fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| {
        "write an instant with its zone, like 2026-01-06T11:30:00-05:00, or epoch seconds"
            .to_owned()
    })
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(span) = Span::parse(text) {
        return Ok(Since::Back(span));
    }
    moment(text)
        .map(Since::At)
        .map_err(|error| format!("write 7d, 12h or 30m, or {}", &error["write ".len()..]))
}

/// Where `--set` after the command is kept until it is joined with the ones before.
const SET_AFTER: &str = "set_after";

/// The command line, with everything that derive cannot say.
pub fn command() -> Command {
    let command = Arguments::command().mut_subcommands(|action| {
        action.arg(
            Arg::new(SET_AFTER)
                .long("set")
                .value_name("NAME=VALUE")
                .help("Override an entry of vars: (VALUE is JSON if it reads as JSON, else a text)")
                .display_order(902)
                .action(ArgAction::Append)
                .value_parser(setting),
        )
    });
    help::grouped(command)
}

/// Reads a command line.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let mut parsed = Arguments::from_arg_matches(&matches)?;
    parsed.options.set.extend(after(&matches));
    Ok(parsed)
}

fn after(matches: &ArgMatches) -> Vec<Setting> {
    let inner = matches.subcommand().map(|(_, inner)| inner);
    inner
        .and_then(|inner| inner.get_many::<Setting>(SET_AFTER))
        .map(|settings| settings.cloned().collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn options_stand_before_and_after_the_command() {
        for line in [
            "homeostat --root r --rules u --set a=1 --set b=x --json check one",
            "homeostat check one --root r --rules u --set a=1 --set b=x --json",
            "homeostat --rules u --set a=1 check --json --set b=x one --root r",
        ] {
            let options = read(line).unwrap().options;
            assert_eq!(options.root.as_deref(), Some("r".as_ref()), "{line}");
            assert_eq!(options.rules.as_deref(), Some("u".as_ref()), "{line}");
            assert!(options.json, "{line}");
            let overrides = options.overrides();
            assert_eq!(overrides["a"], json!(1), "{line}");
            assert_eq!(overrides["b"], json!("x"), "{line}");
        }
    }

    #[test]
    fn a_value_is_json_if_it_reads_so() {
        let of = |text| setting(text).map(|setting| setting.value);
        assert_eq!(of("a=[1, 2]"), Ok(json!([1, 2])));
        assert_eq!(of("a=2.5"), Ok(json!(2.5)));
        assert_eq!(of("a=\"7\""), Ok(json!("7")));
        assert_eq!(of("a=x=y"), Ok(json!("x=y")));
        assert_eq!(of("a="), Ok(json!("")));
        assert!(of("a").is_err());
        assert!(of("=1").is_err());
    }

    #[test]
    fn times_are_read() {
        let Action::DryRun { at, .. } = read("homeostat dry-run --at 1767717000").unwrap().command
        else {
            panic!()
        };
        assert_eq!(at, Some(Moment(1_767_717_000_000)));
        let now = Moment(1_000_000_000);
        assert_eq!(since("1h").unwrap().from(now), Moment(996_400_000));
        assert_eq!(since("1767717000").unwrap().from(now).0, 1_767_717_000_000);
        assert!(since("yesterday").unwrap_err().contains("7d"));
        assert!(read("homeostat dry-run --at 2026-01-06T16:30:00").is_err());
        assert!(read("homeostat history --limit 0").is_err());
    }
}
