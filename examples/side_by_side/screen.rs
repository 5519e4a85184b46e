//! Two columns on a terminal that is wide enough, the bot on the left and the engine on the right; else a line each, with
//! who says it in front.

use std::io::{IsTerminal, Write};

use owo_colors::{OwoColorize, Style};
use terminal_size::{Width, terminal_size};

/// A terminal has two columns from so many characters on.
const WIDE: usize = 90;
/// Width of the bot's column.
const LEFT: usize = 38;

/// How something is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Worse,
    Faint,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Plain => Style::new(),
            Tone::Good => Style::new().green(),
            Tone::Bad => Style::new().yellow(),
            Tone::Worse => Style::new().red().bold(),
            Tone::Faint => Style::new().dimmed(),
        }
    }
}

pub struct Screen {
    /// The bot has said something, and the line has room for the engine.
    open: bool,
}

impl Screen {
    pub fn new() -> Screen {
        Screen { open: false }
    }

    /// Characters of the engine's column, if there are columns.
    fn right() -> Option<usize> {
        if !std::io::stdout().is_terminal() {
            return None;
        }
        let (Width(width), _) = terminal_size()?;
        let width = usize::from(width);
        (width >= WIDE).then(|| width - LEFT - 4)
    }

    fn write(&mut self, text: &str) {
        let mut out = anstream::stdout();
        // That nobody reads it any more is no reason to leave an engine behind.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.write("\n");
        }
    }

    /// Something that is said to whoever looks on.
    pub fn tell(&mut self, text: &str) {
        self.close();
        self.write(&format!("\n{}\n", text.bold()));
    }

    /// The same, of less weight.
    pub fn note(&mut self, text: &str) {
        self.close();
        self.write(&format!("{text}\n"));
    }

    pub fn heads(&mut self) {
        if Screen::right().is_some() {
            let bot = format!("{:<LEFT$}", "the bot");
            self.write(&format!("{} │ {}\n", bot.dimmed(), "homeostat".dimmed()));
        }
    }

    /// A line of the bot.
    pub fn bot(&mut self, text: &str, tone: Tone) {
        self.close();
        let style = tone.style();
        if Screen::right().is_some() {
            let text = format!("{text:<LEFT$}");
            self.write(&format!("{} │", text.style(style)));
            self.open = true;
        } else {
            self.write(&format!("bot       | {}\n", text.style(style)));
        }
    }

    /// Something of the engine: what begins and what belongs to it.
    pub fn engine(&mut self, text: &str, tone: Tone) {
        let style = tone.style();
        let Some(width) = Screen::right() else {
            self.write(&format!("homeostat | {}\n", text.style(style)));
            return;
        };
        let options = textwrap::Options::new(width).subsequent_indent("    ");
        for line in textwrap::wrap(text, options) {
            let line = line.style(style);
            if std::mem::take(&mut self.open) {
                self.write(&format!(" {line}\n"));
            } else {
                self.write(&format!("{:<LEFT$} │ {line}\n", ""));
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}
