//! Where output goes: standard output and standard error, with colours and a width only on a terminal.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::{
    outcome::Failure,
    show::{Style, Tone, complaints, time::Zone},
};
use crate::permission::secrets;

/// Narrower terminals are treated as if they had this width.
const NARROWEST: usize = 40;

#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// `--json`.
    pub json: bool,
    /// Of standard output.
    pub style: Style,
    /// Of standard error.
    errors: Style,
    terminal: bool,
}

impl Screen {
    pub fn new(json: bool) -> Screen {
        // `choice` knows NO_COLOR, CLICOLOR_FORCE and terminals that are dumb.
        let out = io::stdout();
        let colour = AutoStream::choice(&out) != ColorChoice::Never;
        let error_colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        let terminal = out.is_terminal();
        let style = |colour, terminal| Style {
            colour,
            width: width(terminal),
            zone: Zone::Local,
        };
        Screen {
            json,
            style: style(colour, terminal),
            errors: style(error_colour, io::stderr().is_terminal()),
            terminal,
        }
    }

    /// Whether standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes text that is already as it shall be.
    pub fn print(&self, text: &str) {
        write(&mut io::stdout().lock(), text);
    }

    /// The one value of `--json`: indented for people, in one line for programs.
    pub fn value(&self, value: &impl Serialize) {
        let text = match self.terminal {
            true => serde_json::to_string_pretty(value),
            false => serde_json::to_string(value),
        };
        match text {
            Ok(text) => self.print(&(text + "\n")),
            Err(error) => self.warn(&format!("could not write the answer as JSON: {error}")),
        }
    }

    /// One line of a stream of JSON lines.
    pub fn json_line(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.print(&(text + "\n")),
            Err(error) => self.warn(&format!("could not write news as JSON: {error}")),
        }
    }

    /// `value` with `--json`, else `text`.
    pub fn answer(&self, value: &impl Serialize, text: impl FnOnce(&Style) -> String) {
        match self.json {
            true => self.value(value),
            false => self.print(&text(&self.style)),
        }
    }

    /// Logs go to standard error; `HOMEOSTAT_LOG` says how much of them.
    pub fn log(&self) {
        let filter = std::env::var("HOMEOSTAT_LOG").unwrap_or_else(|_| "warn".to_owned());
        let started = tracing_subscriber::fmt()
            .with_writer(|| Discreet)
            .with_ansi(self.errors.colour)
            .with_env_filter(EnvFilter::new(filter))
            .with_target(false)
            .try_init();
        if let Err(error) = started {
            self.warn(&format!("could not start logging: {error}"));
        }
    }

    /// Something longer beside the output.
    pub fn aside(&self, text: impl FnOnce(&Style) -> String) {
        write(&mut io::stderr().lock(), &text(&self.errors));
    }

    /// A remark beside the output.
    pub fn warn(&self, text: &str) {
        let head = self.errors.paint(Tone::Warning, "warning:");
        write(&mut io::stderr().lock(), &format!("{head} {text}\n"));
    }

    /// Says why it could not be done: to people on standard error, with `--json` also as the one value.
    pub fn fail(&self, failure: &Failure) {
        if self.json {
            self.value(&failure.json());
        }
        write(&mut io::stderr().lock(), &failed(failure, &self.errors));
    }
}

fn failed(failure: &Failure, style: &Style) -> String {
    let mut text = String::new();
    if !failure.complaints.is_empty() {
        text.push_str(&complaints::complaints(&failure.complaints, style));
        text.push('\n');
    }
    let head = style.paint(Tone::Bad, "error:");
    text.push_str(&format!("{head} {}\n", failure.message));
    if let Some(help) = &failure.help {
        text.push_str(&format!("{} {help}\n", style.paint(Tone::Good, "help:")));
    }
    text
}

fn width(terminal: bool) -> usize {
    if !terminal {
        return Style::UNBROKEN;
    }
    terminal_size::terminal_size().map_or(Style::UNBROKEN, |(width, _)| {
        usize::from(width.0).max(NARROWEST)
    })
}

/// Nobody reading any more (`| head`) is no error, and must not end a running engine.
fn write(out: &mut impl Write, text: &str) {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::error!(%error, "could not write the output");
    }
}

/// The log: standard error, without secrets. An event is written at once.
struct Discreet;

impl Write for Discreet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        io::stderr().write_all(secrets::for_the_log(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::outcome::SOFTWARE, rules::complaint::Severity};

    #[test]
    fn a_failure_says_what_to_do() {
        let style = Style::plain();
        insta::assert_snapshot!(failed(&Failure::no_engine(), &style), @r#"
        error: no engine is running here
        help: start one with `homeostat run`, or say where it runs with --root
        "#);
        let one = complaints::samples::complaint(Severity::Error, 3, 3);
        let rules = Failure::rules(vec![one]);
        assert_eq!(rules.code, SOFTWARE);
        insta::assert_snapshot!(failed(&rules, &style), @r#"
        unknown-key

          × there is no key `thershold`
           ╭─[critical.yaml:3:3]
         2 │   - name: weights_file
         3 │     thershold: {}
           ·   ┬
           ·   ╰── in weights_file
           ╰────
          help: write `threshold`

        error: the rules have mistakes
        "#);
        insta::assert_snapshot!(rules.json().to_string(), @r#"{"error":"the rules have mistakes","exit":70,"complaints":[{"severity":"error","code":"unknown-key","message":"there is no key `thershold`","help":"write `threshold`","file":"critical.yaml","line":3,"column":3,"rule":"weights_file","excerpt":"    thershold: {}"}]}"#);
    }
}
