//! Where each character of a decoded scalar stands in its file.
//!
//! A scalar is decoded a second time, from the raw characters, and compared with what the parser made of it: as long as
//! both agree, every decoded character has a line and a column. When they do not, there are no marks and a mistake in
//! the text is shown at its start: never at a wrong character.

use std::sync::Arc;

use saphyr_parser::{Marker, ScalarStyle};

use crate::model::text::{Marks, Place};

/// The characters of a file and where its lines start.
pub struct Source {
    pub chars: Vec<char>,
    /// Index of the first character of each line.
    lines: Vec<usize>,
}

impl Source {
    pub fn new(text: &str) -> Source {
        let chars: Vec<char> = text.chars().collect();
        let mut lines = vec![0];
        for (index, c) in chars.iter().enumerate() {
            let ends = match c {
                '\n' => true,
                '\r' => chars.get(index + 1) != Some(&'\n'),
                _ => false,
            };
            if ends {
                lines.push(index + 1);
            }
        }
        Source { chars, lines }
    }

    /// The line and column, both from 1, of a character.
    pub fn position(&self, index: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= index);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (line as u32, (index - start) as u32 + 1)
    }

    pub fn place(&self, file: &Arc<str>, index: usize) -> Place {
        let (line, column) = self.position(index);
        Place {
            file: file.clone(),
            line: line as usize,
            column: column as usize,
        }
    }

    /// A line (from 1) without its break.
    pub fn line(&self, line: usize) -> &[char] {
        let Some(&start) = line.checked_sub(1).and_then(|line| self.lines.get(line)) else {
            return &[];
        };
        let end = self.lines.get(line).copied().unwrap_or(self.chars.len());
        let mut line = &self.chars[start..end];
        while let [rest @ .., '\n' | '\r'] = line {
            line = rest;
        }
        line
    }

    pub fn line_count(&self) -> usize {
        self.lines.len()
    }
}

/// The marks of a scalar that starts at `start`, one more than it has characters.
pub fn of(source: &Source, start: &Marker, style: ScalarStyle, value: &str) -> Option<Marks> {
    let marks = match style {
        ScalarStyle::Literal | ScalarStyle::Folded => block(source, start, style, value),
        _ => flow(source, start.index(), style, value),
    }?;
    (marks.len() == value.chars().count() + 1).then(|| marks.into())
}

/// Plain and quoted scalars, over several lines too.
fn flow(source: &Source, start: usize, style: ScalarStyle, value: &str) -> Option<Vec<(u32, u32)>> {
    let mut walk = Walk {
        source,
        at: start,
        wanted: value.chars().peekable(),
        marks: Vec::with_capacity(value.len() + 1),
        last: None,
    };
    let quote = match style {
        ScalarStyle::SingleQuoted => Some('\''),
        ScalarStyle::DoubleQuoted => Some('"'),
        _ => None,
    };
    if let Some(quote) = quote {
        walk.takes(quote)?;
    }
    loop {
        let c = walk.here();
        match c {
            _ if quote.is_none() && walk.wanted.peek().is_none() => break,
            None => return None,
            Some('\'') if quote == Some('\'') => {
                if walk.source.chars.get(walk.at + 1) != Some(&'\'') {
                    break;
                }
                walk.push('\'', walk.at)?;
                walk.at += 2;
            }
            Some('"') if quote == Some('"') => break,
            Some('\\') if quote == Some('"') => walk.escape()?,
            Some('\n' | '\r') => walk.fold()?,
            Some(' ' | '\t') => walk.blanks()?,
            Some(c) => {
                walk.push(c, walk.at)?;
                walk.at += 1;
            }
        }
    }
    if walk.wanted.next().is_some() {
        return None;
    }
    let end = source.position(walk.at);
    walk.marks.push(end);
    Some(walk.marks)
}

struct Walk<'a> {
    source: &'a Source,
    at: usize,
    /// What the parser made of it: what is decoded here must be the same.
    wanted: std::iter::Peekable<std::str::Chars<'a>>,
    marks: Vec<(u32, u32)>,
    /// Index of the character that was pushed last.
    last: Option<usize>,
}

impl Walk<'_> {
    fn here(&self) -> Option<char> {
        self.source.chars.get(self.at).copied()
    }

    fn takes(&mut self, c: char) -> Option<()> {
        (self.here() == Some(c)).then(|| self.at += 1)
    }

    /// Another decoded character, written at `index`.
    fn push(&mut self, c: char, index: usize) -> Option<()> {
        if self.wanted.next()? != c {
            return None;
        }
        // Most characters stand right after the one before; only the others are searched for.
        let next = match (self.marks.last(), self.last) {
            (Some(&(line, column)), Some(last)) if last + 1 == index && !self.is_break(last) => {
                (line, column + 1)
            }
            _ => self.source.position(index),
        };
        self.last = Some(index);
        self.marks.push(next);
        Some(())
    }

    fn is_break(&self, index: usize) -> bool {
        matches!(self.source.chars.get(index), Some('\n' | '\r'))
    }

    fn skip_blanks(&mut self) {
        while matches!(self.here(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    fn skip_break(&mut self) {
        match self.here() {
            Some('\r') if self.source.chars.get(self.at + 1) == Some(&'\n') => self.at += 2,
            Some('\n' | '\r') => self.at += 1,
            _ => {}
        }
    }

    /// Blanks count unless the line ends after them.
    fn blanks(&mut self) -> Option<()> {
        let from = self.at;
        self.skip_blanks();
        if matches!(self.here(), Some('\n' | '\r')) {
            return Some(());
        }
        for index in from..self.at {
            let c = *self.source.chars.get(index)?;
            self.push(c, index)?;
        }
        Some(())
    }

    /// One break is a blank; of several, all but the first are breaks.
    fn fold(&mut self) -> Option<()> {
        let first = self.at;
        self.skip_break();
        self.skip_blanks();
        let mut more = false;
        while matches!(self.here(), Some('\n' | '\r')) {
            self.push('\n', self.at)?;
            more = true;
            self.skip_break();
            self.skip_blanks();
        }
        if more {
            Some(())
        } else {
            self.push(' ', first)
        }
    }

    fn escape(&mut self) -> Option<()> {
        let from = self.at;
        let length = match self.source.chars.get(from + 1)? {
            '\n' | '\r' => {
                self.at += 1;
                self.skip_break();
                self.skip_blanks();
                while matches!(self.here(), Some('\n' | '\r')) {
                    self.push('\n', self.at)?;
                    self.skip_break();
                    self.skip_blanks();
                }
                return Some(());
            }
            'x' => 4,
            'u' => 6,
            'U' => 10,
            _ => 2,
        };
        let c = *self.wanted.peek()?;
        self.push(c, from)?;
        self.at += length;
        Some(())
    }
}

/// Literal and folded scalars. The parser's `start` is the first character of the first line that is not blank, after
/// the indentation: so its column is the indentation, whatever the header (`|2-`) says.
fn block(
    source: &Source,
    start: &Marker,
    style: ScalarStyle,
    value: &str,
) -> Option<Vec<(u32, u32)>> {
    let indent = start.col();
    let blank = value.chars().take_while(|c| *c == '\n').count();
    let mut lines = Lines {
        source,
        indent,
        line: start.line().checked_sub(blank)?,
        at: 0,
    };
    let mut marks = Vec::with_capacity(value.len() + 1);
    let folded = style == ScalarStyle::Folded;
    let mut spaced = false;
    for c in value.chars() {
        if let Some(raw) = lines.here() {
            if raw != c {
                return None;
            }
            spaced |= lines.at == 0 && matches!(c, ' ' | '\t');
            marks.push(lines.position());
            lines.at += 1;
            continue;
        }
        // The line is used up: `c` stands for its break, or for that and following ones.
        marks.push(lines.position());
        match c {
            '\n' => {
                let text_before = lines.at > 0;
                let was_spaced = std::mem::take(&mut spaced);
                lines.next();
                // Between two lines of text that are not indented further, the first of several breaks is dropped.
                if folded && text_before && !was_spaced && lines.is_blank() && lines.folds_on() {
                    lines.next();
                }
            }
            ' ' if folded => {
                spaced = false;
                lines.next();
            }
            _ => return None,
        }
    }
    marks.push(lines.position());
    Some(marks)
}

/// The lines of a block scalar, without their indentation.
struct Lines<'a> {
    source: &'a Source,
    indent: usize,
    line: usize,
    at: usize,
}

impl Lines<'_> {
    fn raw(&self) -> &[char] {
        self.source
            .line(self.line)
            .get(self.indent..)
            .unwrap_or(&[])
    }

    fn here(&self) -> Option<char> {
        self.raw().get(self.at).copied()
    }

    fn next(&mut self) {
        self.line += 1;
        self.at = 0;
    }

    fn is_blank(&self) -> bool {
        self.raw().is_empty()
    }

    /// Whether text that is not indented further follows after the blank lines.
    fn folds_on(&self) -> bool {
        let mut line = self.line;
        loop {
            let raw = self.source.line(line);
            match raw.get(self.indent..) {
                Some([]) | None if raw.iter().all(|c| *c == ' ') => {
                    if line > self.source.line_count() {
                        return false;
                    }
                    line += 1;
                }
                Some([first, ..]) => {
                    let indented = raw[..self.indent].iter().all(|c| *c == ' ');
                    return indented && !matches!(first, ' ' | '\t');
                }
                _ => return false,
            }
        }
    }

    fn position(&self) -> (u32, u32) {
        let raw = self.source.line(self.line).len();
        let column = (self.indent + self.at).min(raw) + 1;
        (self.line as u32, column as u32)
    }
}
