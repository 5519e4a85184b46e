//! Colours, width and time zone of an output.

use owo_colors::{OwoColorize, Style as Paint};

use super::time::Zone;
use crate::model::status::Status;

/// How to show.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub colour: bool,
    /// In columns; lines that nobody needs to read on a terminal are not broken ([`Style::UNBROKEN`]).
    pub width: usize,
    pub zone: Zone,
}

/// What a piece of text is, not which colour it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Warning,
    Bad,
    Unknown,
    /// Less important.
    Dim,
    Strong,
    /// A place in a file, a hunk of a difference.
    Place,
}

impl Style {
    pub const UNBROKEN: usize = usize::MAX;

    /// Without colours, unbroken, in UTC: for files and tests.
    pub fn plain() -> Style {
        Style {
            colour: false,
            width: Style::UNBROKEN,
            zone: Zone::Utc,
        }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let paint = match tone {
            Tone::Good => Paint::new().green(),
            Tone::Warning => Paint::new().yellow(),
            Tone::Bad => Paint::new().red().bold(),
            Tone::Unknown => Paint::new().magenta(),
            Tone::Dim => Paint::new().dimmed(),
            Tone::Strong => Paint::new().bold(),
            Tone::Place => Paint::new().cyan(),
        };
        text.style(paint).to_string()
    }

    pub fn dim(&self, text: &str) -> String {
        self.paint(Tone::Dim, text)
    }

    pub fn strong(&self, text: &str) -> String {
        self.paint(Tone::Strong, text)
    }

    pub fn status(&self, status: Status) -> String {
        self.paint(Tone::of(status), &status.to_string())
    }

    /// `WARNING → OK`.
    pub fn change(&self, from: Status, to: Status) -> String {
        format!(
            "{} {} {}",
            self.status(from),
            self.dim("→"),
            self.status(to)
        )
    }
}

/// Colours made visible, for snapshots.
#[cfg(test)]
pub fn visible(text: &str) -> String {
    text.replace('\u{1b}', "␛")
}

impl Tone {
    pub fn of(status: Status) -> Tone {
        match status {
            Status::Ok => Tone::Good,
            Status::Warning => Tone::Warning,
            Status::Critical => Tone::Bad,
            Status::Unknown => Tone::Unknown,
        }
    }
}
