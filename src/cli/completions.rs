//! `completions SHELL`: what a shell needs to complete commands and options, from the same definitions that read them.

use clap_complete::Shell;

use super::{
    arguments,
    outcome::{OK, Outcome, SOFTWARE},
    screen::Screen,
};
use crate::cli::outcome::Failure;

/// The name under which it is installed.
const NAME: &str = "homeostat";

pub fn completions(shell: Shell, screen: &Screen) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), NAME, &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::new(SOFTWARE, format!("the script is no text: {error}")))?;
    screen.print(&script);
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut arguments::command(), NAME, &mut script);
            let script = String::from_utf8(script).expect("a text");
            for command in arguments::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {command}");
            }
        }
    }
}
