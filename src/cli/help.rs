//! `homeostat --help`: the commands in groups, and examples. The words come from the commands themselves, so the two
//! cannot drift apart.

use std::fmt::Write;

use clap::Command;
use clap::builder::styling::{AnsiColor, Styles};

/// Commands by what one wants.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Watch and repair",
        &["run", "check", "dry-run", "investigate"],
    ),
    ("Write rules", &["lint", "test", "explain", "schema"]),
    (
        "Ask and steer a running engine",
        &[
            "status", "history", "ledger", "pause", "resume", "silence", "ack", "notify",
            "approve", "deny", "confirm", "undo", "reload",
        ],
    ),
    ("Set up", &["token", "completions"]),
];

const EXAMPLES: [(&str, &str); 6] = [
    (
        "homeostat run",
        "watch what rules/ says about this directory",
    ),
    (
        "homeostat dry-run",
        "what would be repaired now, and how, as a difference",
    ),
    (
        "homeostat check --json | jq .overall",
        "one round for a script; exit code 0 to 3 as plugins",
    ),
    (
        "homeostat dry-run --rules new/",
        "a changed rule set against the present one",
    ),
    (
        "homeostat explain weights_file",
        "why it says what it says, and what holds its repair",
    ),
    (
        "homeostat pause --for 2h --reason deploy",
        "look on, but touch nothing",
    ),
];

const EXIT: &str = "  0 1 2 3   of check, dry-run and investigate: OK, WARNING, CRITICAL, UNKNOWN
  1         of lint and test: an error, a failed test; of others: it was refused
  64        the command line is wrong
  69        no engine is running, or another one holds the root
  70        the engine could not start or ended early";

/// Width of the column of names in the lists.
const NAMES: usize = 13;

/// Puts the grouped list where clap would list the commands one after another.
pub fn grouped(command: Command) -> Command {
    let styles = Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default())
        .placeholder(AnsiColor::Cyan.on_default());
    let template = template(&command, &styles);
    command
        .styles(styles)
        .override_usage("homeostat [OPTIONS] COMMAND")
        .help_template(template)
}

fn template(command: &Command, styles: &Styles) -> String {
    let mut text = "{about}\n\n{usage-heading} {usage}\n".to_owned();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    for (title, names) in GROUPS {
        let _ = writeln!(text, "\n{header}{title}:{header:#}");
        for name in names {
            let about = command
                .find_subcommand(name)
                .and_then(Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(text, "  {literal}{name:<NAMES$}{literal:#}{about}");
        }
    }
    let _ = write!(
        text,
        "\n{header}Options:{header:#}\n{{options}}\n\n{header}Examples:{header:#}\n"
    );
    for (example, meaning) in EXAMPLES {
        let _ = writeln!(text, "  {literal}{example:<42}{literal:#}{meaning}");
    }
    let _ = write!(text, "\n{header}Exit codes:{header:#}\n{EXIT}\n\n");
    text.push_str("Colours appear on a terminal only; NO_COLOR turns them off. HOMEOSTAT_LOG=debug tells more.\n");
    text.push_str("`homeostat COMMAND --help` tells more about a command.");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::arguments;

    #[test]
    fn every_command_stands_in_one_group() {
        let listed: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let command = arguments::command();
        let known: BTreeSet<_> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known);
        assert_eq!(listed.len(), known.len());
    }

    #[test]
    fn the_help_reads_well() {
        let help = arguments::command()
            .term_width(100)
            .render_help()
            .to_string();
        insta::assert_snapshot!(help, @r#"
        Watches a running system and puts it right

        Usage: homeostat [OPTIONS] COMMAND

        Watch and repair:
          run          Run the engine until SIGINT or SIGTERM, finishing what it started
          check        Look at everything once, now, and repair what may be repaired
          dry-run      Show what `check` would do, without doing it
          investigate  Run a root-cause session now

        Write rules:
          lint         Complain about mistakes in rules
          test         Run the tests: blocks of the rules in virtual time
          explain      Say why a check stands as it does, and what holds its repair
          schema       Print the JSON Schema of rule files, for editors

        Ask and steer a running engine:
          status       How everything stands
          history      What happened: changes of status, repairs, what was held
          ledger       What repairs came to: tried, verified, failed, held, recurred
          pause        Start no repair from now on (the kill switch), or none of these checks; looking goes on
          resume       Allow repairs again; with names, of checks that were paused by name
          silence      Hold the repairs and pages of some checks for a while; alone, list what is silenced
          ack          Take an incident in hand: nobody else is told until it ends or gets worse
          notify       Who is told, and how that goes; with --test, whether a notice arrives
          approve      Let a repair go on that waits for a person; alone, list what waits
          deny         Refuse a repair that waits for a person
          confirm      Say that what a check sees now is meant so: its `baseline`
          undo         Undo what a repair did to files
          reload       Load the rules again now, and say what changed

        Set up:
          token        Print the owner's token, and the address at which the page opens with it
          completions  Print the script by which a shell completes commands and options

        Options:
              --root <DIR>        Directory that relative paths in rules mean [default: here]
              --rules <DIR>       Directory of the rule files [default: rules/ below the root]
              --set <NAME=VALUE>  Override an entry of vars: (VALUE is JSON if it reads as JSON, else a
                                  text)
              --json              Print JSON: one value, or one line for each event of `run`
          -h, --help              Print help
          -V, --version           Print version

        Examples:
          homeostat run                             watch what rules/ says about this directory
          homeostat dry-run                         what would be repaired now, and how, as a difference
          homeostat check --json | jq .overall      one round for a script; exit code 0 to 3 as plugins
          homeostat dry-run --rules new/            a changed rule set against the present one
          homeostat explain weights_file            why it says what it says, and what holds its repair
          homeostat pause --for 2h --reason deploy  look on, but touch nothing

        Exit codes:
          0 1 2 3   of check, dry-run and investigate: OK, WARNING, CRITICAL, UNKNOWN
          1         of lint and test: an error, a failed test; of others: it was refused
          64        the command line is wrong
          69        no engine is running, or another one holds the root
          70        the engine could not start or ended early

        Colours appear on a terminal only; NO_COLOR turns them off. HOMEOSTAT_LOG=debug tells more.
        `homeostat COMMAND --help` tells more about a command.
        "#);
    }
}
