//! Decoding a block. Whatever the bytes are, the worst that comes of it is `None`.

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::model::{
    Name,
    facts::Facts,
    moment::Moment,
    status::Status,
    verdict::{Latch, Verdict},
};

use super::{LookRecord, VERSION, bound::DEPTH, flag, tag};

/// Reads a block. `None`: it is broken.
pub fn decode(bytes: &[u8]) -> Option<Vec<LookRecord>> {
    let mut reader = Reader {
        bytes: bytes.strip_prefix(&[VERSION])?,
        words: Vec::new(),
        last: Vec::new(),
        previous: Moment(0),
    };
    let mut looks = Vec::new();
    while !reader.bytes.is_empty() {
        looks.push(reader.look()?);
    }
    Some(looks)
}

struct Reader<'a> {
    bytes: &'a [u8],
    words: Vec<Arc<str>>,
    last: Vec<(Name, Option<Arc<Verdict>>)>,
    previous: Moment,
}

impl Reader<'_> {
    fn look(&mut self) -> Option<LookRecord> {
        let index = match self.number()? {
            0 => {
                let name: Name = self.text()?.into();
                self.last.push((name, None));
                self.last.len() - 1
            }
            known => usize::try_from(known).ok()?.checked_sub(1)?,
        };
        let (check, last) = self.last.get(index)?.clone();
        let at = Moment(self.previous.0.wrapping_add(self.signed()?));
        let [first, second] = *self.take(2)? else {
            return None;
        };
        let duration_ms = self.number()? as f64 / 1000.0;
        let status = status(first & 3);
        let verdict = Arc::new(Verdict {
            skipped: first & flag::SKIPPED != 0,
            no_data: first & flag::NO_DATA != 0,
            latch: Latch {
                critical: first & flag::CRITICAL != 0,
                warning: first & flag::WARNING != 0,
            },
            proven: match second & 3 {
                1 => Some(false),
                2 => Some(true),
                _ => None,
            },
            duration_ms,
            ..self.body(status, second, last.as_deref())?
        });
        self.last.get_mut(index)?.1 = Some(verdict.clone());
        self.previous = at;
        Some(LookRecord {
            check,
            at,
            status,
            counted: self::status(first >> 2 & 3),
            duration_ms,
            verdict,
        })
    }

    fn body(&mut self, status: Status, flags: u8, last: Option<&Verdict>) -> Option<Verdict> {
        let has = |bit| flags & bit != 0;
        let message = if has(flag::SAME_MESSAGE) {
            last?.message.clone()
        } else {
            self.text()?.to_owned()
        };
        let mut verdict = Verdict::bare(status, message);
        if has(flag::ERROR) {
            verdict.error = if has(flag::SAME_ERROR) {
                last?.error.clone()
            } else {
                Some(self.text()?.to_owned())
            };
        }
        if has(flag::KEPT) {
            verdict.kept = if has(flag::SAME_KEPT) {
                last?.kept.clone()
            } else {
                match self.value(None, 0)? {
                    Value::Object(kept) => Some(kept),
                    _ => return None,
                }
            };
        }
        verdict.facts = if has(flag::SAME_FACTS) {
            last?.facts.clone()
        } else {
            self.facts(last.map(|last| &last.facts))?
        };
        Some(verdict)
    }

    fn facts(&mut self, last: Option<&Facts>) -> Option<Facts> {
        let count = self.number()?;
        let mut facts = Facts::new();
        if count % 2 == 1 {
            for (name, known) in last?.iter() {
                let value = if self.bytes.first() == Some(&tag::SAME) {
                    self.take(1)?;
                    known.clone()
                } else {
                    Arc::new(self.value(Some(known), 0)?)
                };
                facts.share(name.to_owned(), value);
            }
        } else {
            for _ in 0..self.fits(count / 2)? {
                let name = self.word()?;
                let value = self.value(None, 0)?;
                facts.set(name.to_string(), value);
            }
        }
        Some(facts)
    }

    fn value(&mut self, known: Option<&Value>, depth: usize) -> Option<Value> {
        if depth > DEPTH + 2 {
            return None;
        }
        let depth = depth + 1;
        Some(match *self.take(1)?.first()? {
            tag::SAME => known?.clone(),
            tag::NULL => Value::Null,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::WHOLE => Value::from(self.number()?),
            tag::NEGATIVE => Value::from(!(self.number()?) as i64),
            tag::REAL => {
                let bytes: [u8; 8] = self.take(8)?.try_into().ok()?;
                Value::Number(Number::from_f64(f64::from_le_bytes(bytes))?)
            }
            tag::TEXT => Value::String(self.text()?.to_owned()),
            tag::MOVED => {
                let before = known?.as_u64()?;
                Value::from(before.wrapping_add_signed(self.signed()?))
            }
            tag::LIST => {
                let count = self.number()?;
                let count = self.fits(count)?;
                Value::Array(
                    (0..count)
                        .map(|_| self.value(None, depth))
                        .collect::<Option<_>>()?,
                )
            }
            tag::ITEMS => {
                let known = known?.as_array()?.iter();
                Value::Array(
                    known
                        .map(|old| self.value(Some(old), depth))
                        .collect::<Option<_>>()?,
                )
            }
            tag::SLID => {
                let known = known?.as_array()?;
                let lost = usize::try_from(self.number()?).ok()?;
                let mut items = known.get(lost..)?.to_vec();
                let count = self.number()?;
                for _ in 0..self.fits(count)? {
                    items.push(self.value(None, depth)?);
                }
                Value::Array(items)
            }
            tag::OBJECT => {
                let count = self.number()?;
                let mut members = Map::new();
                for _ in 0..self.fits(count)? {
                    let name = self.word()?;
                    members.insert(name.to_string(), self.value(None, depth)?);
                }
                Value::Object(members)
            }
            tag::MEMBERS => {
                let known = known?.as_object()?.iter();
                let members =
                    known.map(|(name, old)| Some((name.clone(), self.value(Some(old), depth)?)));
                Value::Object(members.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn word(&mut self) -> Option<Arc<str>> {
        match self.number()? {
            0 => {
                let word: Arc<str> = self.text()?.into();
                self.words.push(word.clone());
                Some(word)
            }
            known => {
                let index = usize::try_from(known).ok()?.checked_sub(1)?;
                self.words.get(index).cloned()
            }
        }
    }

    /// A count of things that take at least a byte each, if there are that many bytes.
    fn fits(&self, count: u64) -> Option<usize> {
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.bytes.len())
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn text(&mut self) -> Option<&str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

fn status(bits: u8) -> Status {
    let known = Status::ALL.into_iter();
    known
        .into_iter()
        .find(|status| status.exit_code() == bits)
        .unwrap_or(Status::Unknown)
}
