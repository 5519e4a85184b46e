//! How a JSON text is laid out, and values written in the same manner.

use std::ops::Range;

use serde_json::Value;

use super::scan::{Member, is_space, skip_space};

/// How the neighbours of a value are written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// The line end before each member; `None` when everything stands on one line.
    pub(super) newline: Option<&'static str>,
    /// One level of indentation.
    pub(super) unit: String,
    /// What stands between a key and its value.
    pub(super) colon: String,
}

impl Style {
    pub(super) fn fresh(newline: &'static str) -> Style {
        Style {
            newline: Some(newline),
            unit: "  ".to_owned(),
            colon: ": ".to_owned(),
        }
    }

    /// From the first member of the root; an empty root is written on several lines.
    pub(super) fn of_root(text: &str, start: usize) -> Style {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut style = Style::fresh(newline);
        let inner = start + 1;
        let key = skip_space(text, inner);
        let gap = text.get(inner..key).unwrap_or_default();
        if let Some((_, unit)) = gap.rsplit_once('\n')
            && !unit.is_empty()
        {
            style.unit = unit.to_owned();
        }
        style
    }

    /// Takes over the manner of a member, and the indentation of its line.
    pub(super) fn follow(&mut self, text: &str, member: &Member, indent: &mut String) {
        self.follow_gap(text.get(member.gap.clone()).unwrap_or_default(), indent);
        let colon = text
            .get(member.name.end..member.value.start)
            .unwrap_or(": ");
        if !colon.contains('\n') {
            self.colon = colon.to_owned();
        }
    }

    pub(super) fn follow_item(&mut self, text: &str, item: &Range<usize>, indent: &mut String) {
        let before = text.get(..item.start).unwrap_or_default();
        let gap = before.len() - before.trim_end_matches(is_space).len();
        self.follow_gap(before.get(before.len() - gap..).unwrap_or_default(), indent);
    }

    fn follow_gap(&mut self, gap: &str, indent: &mut String) {
        match gap.rsplit_once('\n') {
            Some((lines, last)) => {
                self.newline = Some(if lines.ends_with('\r') { "\r\n" } else { "\n" });
                *indent = last.to_owned();
            }
            None => self.newline = None,
        }
    }

    /// What follows a comma on one line.
    pub(super) fn space(&self) -> &'static str {
        if self.colon.ends_with(' ') { " " } else { "" }
    }
}

pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes a value whose line is indented by `indent`.
pub(super) fn write(out: &mut String, value: &Value, style: &Style, indent: &str) {
    let (open, close, count) = match value {
        Value::Object(map) => ('{', '}', map.len()),
        Value::Array(items) => ('[', ']', items.len()),
        scalar => return out.push_str(&scalar.to_string()),
    };
    let inner = format!("{indent}{}", style.unit);
    out.push(open);
    let separate = |out: &mut String, nth: usize| {
        if nth > 0 {
            out.push(',');
        }
        match style.newline {
            Some(newline) => {
                out.push_str(newline);
                out.push_str(&inner);
            }
            None if nth > 0 => out.push_str(style.space()),
            None => {}
        }
    };
    match value {
        Value::Object(map) => {
            for (nth, (key, value)) in map.iter().enumerate() {
                separate(out, nth);
                out.push_str(&quoted(key));
                out.push_str(&style.colon);
                write(out, value, style, &inner);
            }
        }
        Value::Array(items) => {
            for (nth, value) in items.iter().enumerate() {
                separate(out, nth);
                write(out, value, style, &inner);
            }
        }
        _ => {}
    }
    if let (Some(newline), true) = (style.newline, count > 0) {
        out.push_str(newline);
        out.push_str(indent);
    }
    out.push(close);
}
