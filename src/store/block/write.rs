//! Encoding a block.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Number, Value};

use crate::model::{Name, facts::Facts, moment::Moment, verdict::Verdict};

use super::{
    LookRecord, VERSION,
    bound::{LOOK_BYTES, bounded, cut_of, members_weight},
    flag,
    same::{identical, same_facts, same_kept},
    tag,
};

/// A block being filled.
pub struct Builder {
    bytes: Vec<u8>,
    last: HashMap<Name, Last>,
    words: Words,
    previous: Moment,
    pub looks: usize,
    /// The earliest and the latest look.
    pub span: Option<(Moment, Moment)>,
}

/// The last look of a check in this block.
struct Last {
    number: u64,
    verdict: Arc<Verdict>,
    /// Its facts as recorded, if something was cut from them.
    cut: Option<Facts>,
}

impl Last {
    fn facts(&self) -> &Facts {
        self.cut.as_ref().unwrap_or(&self.verdict.facts)
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            bytes: vec![VERSION],
            last: HashMap::new(),
            words: Words::default(),
            previous: Moment(0),
            looks: 0,
            span: None,
        }
    }
}

impl Builder {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn checks(&self) -> impl Iterator<Item = &Name> {
        self.last.keys()
    }

    pub fn push(&mut self, look: &LookRecord) {
        let verdict = &look.verdict;
        let cut = bounded(&verdict.facts);
        let facts = cut.as_ref().unwrap_or(&verdict.facts);
        let next = self.last.len() as u64 + 1;
        let mut known = self.last.get_mut(&look.check);
        let last = known.as_deref();
        let out = &mut self.bytes;
        match last {
            Some(last) => number(out, last.number),
            None => {
                number(out, 0);
                text(out, &look.check);
            }
        }
        signed(out, look.at.0.wrapping_sub(self.previous.0));
        let flags = Flags::of(look, facts, last);
        out.extend([flags.first, flags.second]);
        number(out, microseconds(look.duration_ms));
        if !flags.has(flag::SAME_MESSAGE) {
            text(out, shortened(&verdict.message));
        }
        if let Some(error) = &verdict.error
            && !flags.has(flag::SAME_ERROR)
        {
            text(out, shortened(error));
        }
        if let Some(kept) = &verdict.kept
            && !flags.has(flag::SAME_KEPT)
        {
            write_kept(out, &mut self.words, kept);
        }
        if !flags.has(flag::SAME_FACTS) {
            write_facts(out, &mut self.words, facts, last.map(Last::facts));
        }
        let last = Last {
            number: last.map_or(next, |last| last.number),
            verdict: verdict.clone(),
            cut,
        };
        match &mut known {
            Some(known) => **known = last,
            None => drop(self.last.insert(look.check.clone(), last)),
        }
        self.previous = look.at;
        self.looks += 1;
        let (from, to) = self.span.unwrap_or((look.at, look.at));
        self.span = Some((from.min(look.at), to.max(look.at)));
    }
}

struct Flags {
    first: u8,
    second: u8,
}

impl Flags {
    fn of(look: &LookRecord, facts: &Facts, last: Option<&Last>) -> Flags {
        let verdict = &look.verdict;
        let bit = |holds: bool, bit: u8| if holds { bit } else { 0 };
        let first = look.status.exit_code()
            | look.counted.exit_code() << 2
            | bit(verdict.skipped, flag::SKIPPED)
            | bit(verdict.no_data, flag::NO_DATA)
            | bit(verdict.latch.critical, flag::CRITICAL)
            | bit(verdict.latch.warning, flag::WARNING);
        let proven = match verdict.proven {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        let seen = last.map(|last| &*last.verdict);
        let second = proven
            | bit(verdict.error.is_some(), flag::ERROR)
            | bit(verdict.kept.is_some(), flag::KEPT)
            | bit(
                seen.is_some_and(|seen| seen.message == verdict.message),
                flag::SAME_MESSAGE,
            )
            | bit(
                seen.is_some_and(|seen| seen.error == verdict.error),
                flag::SAME_ERROR,
            )
            | bit(
                seen.is_some_and(|seen| same_kept(&seen.kept, &verdict.kept)),
                flag::SAME_KEPT,
            )
            | bit(
                last.is_some_and(|last| same_facts(last.facts(), facts)),
                flag::SAME_FACTS,
            );
        Flags { first, second }
    }

    fn has(&self, bit: u8) -> bool {
        self.second & bit != 0
    }
}

/// Names of members and facts, by the order in which the block met them.
#[derive(Default)]
struct Words(HashMap<Box<str>, u64>);

impl Words {
    fn write(&mut self, out: &mut Vec<u8>, word: &str) {
        if let Some(&known) = self.0.get(word) {
            return number(out, known);
        }
        let next = self.0.len() as u64 + 1;
        self.0.insert(word.into(), next);
        number(out, 0);
        text(out, word);
    }
}

fn write_kept(out: &mut Vec<u8>, words: &mut Words, kept: &Map<String, Value>) {
    let weight = members_weight(kept, 0);
    if weight > LOOK_BYTES {
        write(out, words, &cut_of(weight), None);
    } else {
        write_object(out, words, kept);
    }
}

fn write_facts(out: &mut Vec<u8>, words: &mut Words, facts: &Facts, last: Option<&Facts>) {
    let count = facts.names().count() as u64;
    if let Some(last) = last.filter(|last| last.names().eq(facts.names())) {
        number(out, count * 2 + 1);
        for ((_, value), (_, known)) in facts.iter().zip(last.iter()) {
            if Arc::ptr_eq(value, known) {
                out.push(tag::SAME);
            } else {
                write(out, words, value, Some(known));
            }
        }
    } else {
        number(out, count * 2);
        for (name, value) in facts.iter() {
            words.write(out, name);
            write(out, words, value, None);
        }
    }
}

/// A value, as its difference to `known` where there is one.
fn write(out: &mut Vec<u8>, words: &mut Words, value: &Value, known: Option<&Value>) {
    match (value, known) {
        (value, Some(known)) if identical(value, known) => out.push(tag::SAME),
        (Value::Number(new), Some(Value::Number(old))) => write_number(out, new, Some(old)),
        (Value::Object(new), Some(Value::Object(old))) if new.keys().eq(old.keys()) => {
            out.push(tag::MEMBERS);
            for (new, old) in new.values().zip(old.values()) {
                write(out, words, new, Some(old));
            }
        }
        (Value::Array(new), Some(Value::Array(old))) => write_list(out, words, new, old),
        (Value::Null, _) => out.push(tag::NULL),
        (Value::Bool(false), _) => out.push(tag::FALSE),
        (Value::Bool(true), _) => out.push(tag::TRUE),
        (Value::Number(new), _) => write_number(out, new, None),
        (Value::String(new), _) => {
            out.push(tag::TEXT);
            text(out, new);
        }
        (Value::Array(new), None) | (Value::Array(new), Some(_)) => write_items(out, words, new),
        (Value::Object(new), _) => write_object(out, words, new),
    }
}

fn write_number(out: &mut Vec<u8>, new: &Number, old: Option<&Number>) {
    // The tag of a whole number tells its sign, so that what was written 5 is not read back as 5.0 or the reverse.
    if let Some(whole) = new.as_u64() {
        match old.and_then(Number::as_u64) {
            Some(before) if near(whole, before) => {
                out.push(tag::MOVED);
                signed(out, whole.wrapping_sub(before) as i64);
            }
            _ => {
                out.push(tag::WHOLE);
                number(out, whole);
            }
        }
    } else if let Some(negative) = new.as_i64() {
        out.push(tag::NEGATIVE);
        number(out, !negative as u64);
    } else {
        out.push(tag::REAL);
        let real = new.as_f64().unwrap_or_default();
        out.extend(real.to_le_bytes());
    }
}

fn near(new: u64, old: u64) -> bool {
    new.abs_diff(old) < 1 << 62
}

fn write_list(out: &mut Vec<u8>, words: &mut Words, new: &[Value], old: &[Value]) {
    if let Some(lost) = slid(new, old) {
        let gained = &new[old.len() - lost..];
        out.push(tag::SLID);
        number(out, lost as u64);
        number(out, gained.len() as u64);
        for value in gained {
            write(out, words, value, None);
        }
    } else if new.len() == old.len() {
        out.push(tag::ITEMS);
        for (new, old) in new.iter().zip(old) {
            write(out, words, new, Some(old));
        }
    } else {
        write_items(out, words, new);
    }
}

fn write_items(out: &mut Vec<u8>, words: &mut Words, items: &[Value]) {
    out.push(tag::LIST);
    number(out, items.len() as u64);
    for value in items {
        write(out, words, value, None);
    }
}

fn write_object(out: &mut Vec<u8>, words: &mut Words, members: &Map<String, Value>) {
    out.push(tag::OBJECT);
    number(out, members.len() as u64);
    for (name, value) in members {
        words.write(out, name);
        write(out, words, value, None);
    }
}

/// How many of `old` are gone in front, if the rest stands at the start of `new`.
fn slid(new: &[Value], old: &[Value]) -> Option<usize> {
    let first = new.first()?;
    (0..old.len().min(SLIDE)).find(|&lost| {
        let rest = &old[lost..];
        rest.len() <= new.len()
            && identical(&rest[0], first)
            && rest.iter().zip(new).all(|(old, new)| identical(old, new))
    })
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn microseconds(milliseconds: f64) -> u64 {
    // From NaN and below zero: 0.
    (milliseconds * 1000.0).round() as u64
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Longer messages are cut.
pub(super) const TEXT_BYTES: usize = 4 << 10;

/// So far back a window over a log is recognised as moved.
const SLIDE: usize = 64;
