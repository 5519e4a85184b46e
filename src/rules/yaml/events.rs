//! From parser events to a tree with positions, refusing what a rule file may not hold: tags, anchors, aliases, merge
//! keys, duplicate keys, several documents, a key inside `{ }` without a value.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{MOST_DEPTH, advice, marks::Source};
use crate::model::text::{Mistake, Place};

/// A value as written.
pub struct Raw<'a> {
    pub shape: Shape<'a>,
    pub start: Marker,
    pub end: Marker,
}

pub enum Shape<'a> {
    Scalar {
        text: Cow<'a, str>,
        style: ScalarStyle,
    },
    Seq(Vec<Raw<'a>>),
    Map(Vec<(Raw<'a>, Raw<'a>)>),
}

impl Raw<'_> {
    pub fn place(&self, file: &Arc<str>) -> Place {
        place(&self.start, file)
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn is_plain(&self) -> bool {
        matches!(
            self.shape,
            Shape::Scalar {
                style: ScalarStyle::Plain,
                ..
            }
        )
    }
}

fn place(mark: &Marker, file: &Arc<str>) -> Place {
    Place {
        file: file.clone(),
        line: mark.line(),
        column: mark.col() + 1,
    }
}

/// The tree of a file; `None` when there is nothing in it, or when it could not be read to its end.
pub fn read<'a>(
    file: &Arc<str>,
    text: &'a str,
    source: &Source,
    mistakes: &mut Vec<Mistake>,
) -> Option<Raw<'a>> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file,
        source,
        mistakes,
        depth: 0,
    };
    let mut root = None;
    let mut documents = 0;
    // After an error the parser repeats it for ever: stop at the first.
    while let Ok((event, span)) = reader.next()? {
        match event {
            Event::StreamEnd => return root,
            Event::DocumentStart(_) => {
                documents += 1;
                if documents == 2 {
                    reader.mistakes.push(
                        Mistake::new(
                            "yaml-documents",
                            "a rule file holds one document; another one starts here",
                            place(&span.start, file),
                        )
                        .help("remove the `---`, or put what follows into a file of its own"),
                    );
                }
            }
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            event => {
                let value = reader.value(event, span)?;
                root.get_or_insert(value);
            }
        }
    }
    None
}

struct Reader<'a, 'b> {
    parser: Parser<'a, StrInput<'a>>,
    file: &'b Arc<str>,
    source: &'b Source,
    mistakes: &'b mut Vec<Mistake>,
    depth: usize,
}

/// The file cannot be read further; why was reported.
struct Stop;

impl<'a> Reader<'a, '_> {
    fn next(&mut self) -> Option<Result<(Event<'a>, Span), Stop>> {
        match self.parser.next_event()? {
            Ok(event) => Some(Ok(event)),
            Err(error) => {
                let at = place(error.marker(), self.file);
                let mistake = advice::syntax(error.info().to_owned(), at, self.source);
                self.mistakes.push(mistake);
                Some(Err(Stop))
            }
        }
    }

    fn event(&mut self) -> Option<(Event<'a>, Span)> {
        self.next()?.ok()
    }

    fn value(&mut self, event: Event<'a>, span: Span) -> Option<Raw<'a>> {
        let mut end = span.end;
        let shape = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.adorned(anchor, tag.as_deref(), &span);
                Shape::Scalar { text, style }
            }
            Event::SequenceStart(anchor, tag) => {
                self.adorned(anchor, tag.as_deref(), &span);
                self.deeper(&span)?;
                let mut items = Vec::new();
                loop {
                    match self.event()? {
                        (Event::SequenceEnd, span) => {
                            end = span.end;
                            break;
                        }
                        (event, span) => items.push(self.value(event, span)?),
                    }
                }
                self.depth -= 1;
                Shape::Seq(items)
            }
            Event::MappingStart(anchor, tag) => {
                self.adorned(anchor, tag.as_deref(), &span);
                self.deeper(&span)?;
                let (entries, close) = self.entries(span)?;
                end = close;
                self.depth -= 1;
                Shape::Map(entries)
            }
            Event::Alias(_) => {
                self.alias(&span);
                Shape::Scalar {
                    text: Cow::Borrowed(""),
                    style: ScalarStyle::Plain,
                }
            }
            _ => return None,
        };
        Some(Raw {
            shape,
            start: span.start,
            end,
        })
    }

    fn entries(&mut self, opened: Span) -> Option<(Vec<(Raw<'a>, Raw<'a>)>, Marker)> {
        let flow = self.source.chars.get(opened.start.index()) == Some(&'{');
        let mut entries: Vec<(Raw<'a>, Raw<'a>)> = Vec::new();
        let mut seen: HashMap<Cow<'a, str>, usize> = HashMap::new();
        loop {
            let (event, span) = match self.event()? {
                (Event::MappingEnd, span) => return Some((entries, span.end)),
                other => other,
            };
            let key = self.value(event, span)?;
            let (event, span) = self.event()?;
            let value = self.value(event, span)?;
            self.key(&key, &mut seen);
            if flow && value.is_plain() && value.text() == Some("") && !self.is_adorned(&value) {
                self.split(&key, entries.last());
            }
            entries.push((key, value));
        }
    }

    /// A key must be a text, stand once, and not be `<<`.
    fn key(&mut self, key: &Raw<'a>, seen: &mut HashMap<Cow<'a, str>, usize>) {
        let at = key.place(self.file);
        let Shape::Scalar { text, .. } = &key.shape else {
            self.mistakes.push(
                Mistake::new("yaml-key", "a key must be a text, not a list or a map", at)
                    .help("a value that starts with `{`, `[` or `?` must be quoted"),
            );
            return;
        };
        if text == "<<" && key.is_plain() {
            self.mistakes.push(
                Mistake::new(
                    "yaml-merge",
                    "merge keys are not part of the rule language",
                    at,
                )
                .help("write the keys out, or put what many checks share under `defaults:`"),
            );
            return;
        }
        if let Some(line) = seen.get(text) {
            self.mistakes.push(
                Mistake::new(
                    "duplicate-key",
                    format!("`{text}` stands here a second time; the first is on line {line}"),
                    at,
                )
                .help("keep one of the two"),
            );
            return;
        }
        seen.insert(text.clone(), key.start.line());
    }

    fn split(&mut self, key: &Raw<'a>, before: Option<&(Raw<'a>, Raw<'a>)>) {
        let written = key.text().unwrap_or_default();
        let mistake = Mistake::new(
            "yaml-split",
            format!("`{written}` is read as a key of its own, without a value"),
            key.place(self.file),
        );
        // What was torn apart at a comma is offered whole.
        let torn = before.and_then(|(name, value)| Some((name.text()?, value.text()?, value)));
        self.mistakes.push(match torn {
            Some((name, start, value)) if value.is_plain() && advice::is_open(start) => {
                let from = value.start.index();
                let to = key.end.index().min(self.source.chars.len());
                let whole: String = self
                    .source
                    .chars
                    .get(from..to)
                    .unwrap_or(&[])
                    .iter()
                    .collect();
                mistake.help(format!(
                    "inside {{ }} a comma ends a value: write `{name}: {}`",
                    advice::quoted(&whole)
                ))
            }
            _ => mistake.help(match written.split_once(':') {
                Some((name, rest)) => {
                    format!("a blank is due after the colon: write `{name}: {rest}`")
                }
                None => format!("write `{written}: VALUE`, or quote the text it belongs to"),
            }),
        });
    }

    fn adorned(&mut self, anchor: usize, tag: Option<&Tag>, span: &Span) {
        if tag.is_none() && anchor == 0 {
            return;
        }
        let written = advice::quoted_line(self.source, span.start.line());
        if tag.is_some() {
            self.mistakes.push(
                Mistake::new(
                    "yaml-tag",
                    "YAML reads a word that starts with `!` as a tag and drops it",
                    place(&span.start, self.file),
                )
                .help(written.as_ref().map_or_else(
                    || "put the expression in single quotes".to_owned(),
                    |line| format!("write `{line}`"),
                )),
            );
        } else {
            self.mistakes.push(
                Mistake::new(
                    "yaml-alias",
                    "YAML reads a word that starts with `&` as an anchor and drops it",
                    place(&span.start, self.file),
                )
                .help(written.map_or_else(
                    || {
                        "anchors are not part of the rule language; share values under `vars:`"
                            .to_owned()
                    },
                    |line| format!("write `{line}`; to share values use `vars:` or `defaults:`"),
                )),
            );
        }
    }

    /// A value that was refused already.
    fn is_adorned(&self, value: &Raw<'a>) -> bool {
        matches!(
            self.source.chars.get(value.start.index()),
            Some('!' | '&' | '*')
        )
    }

    fn alias(&mut self, span: &Span) {
        let help = advice::quoted_line(self.source, span.start.line()).map_or_else(
            || "write the value out, or share it under `vars:`".to_owned(),
            |line| format!("write `{line}`; to share values use `vars:` or `defaults:`"),
        );
        self.mistakes.push(
            Mistake::new(
                "yaml-alias",
                "YAML reads a word that starts with `*` as an alias of another value",
                place(&span.start, self.file),
            )
            .help(help),
        );
    }

    fn deeper(&mut self, span: &Span) -> Option<()> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            self.mistakes.push(Mistake::new(
                "yaml-too-deep",
                format!("values stand more than {MOST_DEPTH} levels deep"),
                place(&span.start, self.file),
            ));
            return None;
        }
        Some(())
    }
}
