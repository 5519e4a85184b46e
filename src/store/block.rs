//! How looks are encoded: a block of them, self-contained, in which everything that is as it was at the check's look
//! before costs a bit or a byte. What remains is compressed.
//!
//! Most looks see what the last one saw but for an age or a latency. So a value is written as its difference to the
//! value of the same fact one look earlier: *same*, an integer moved by n, an object whose members differ, a list that
//! lost some in front and gained some at the end (the window over a log). Member names are written once a block.
//!
//! ```text
//! block   := 1 record*
//! record  := check at flags flags duration [message] [error] [kept] [facts]
//! check   := 0 text | number of the name in this block, from 1
//! at      := signed difference to the record before, ms        duration := µs
//! facts   := 2n (name value)* | 2n+1 value*  (the names of the last look)
//! value   := tag …, see `tag`
//! ```
//! Numbers are little-endian base 128, signed ones zigzag; a text is its length in bytes and its bytes.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Number, Value};

use crate::model::{
    Name,
    facts::Facts,
    moment::Moment,
    status::Status,
    verdict::{Latch, Verdict},
};

use super::LookRecord;

/// More bytes than this of one look's facts (as JSON, about) are not recorded: the largest values are replaced by
/// `{"$cut": bytes}`.
pub const LOOK_BYTES: usize = 64 << 10;

/// Longer messages are cut.
const TEXT_BYTES: usize = 4 << 10;

/// Deeper values are cut; JSON that was parsed never is that deep.
const DEPTH: usize = 126;

/// So far back a window over a log is recognised as moved.
const SLIDE: usize = 64;

const VERSION: u8 = 1;

mod tag {
    pub const SAME: u8 = 0;
    pub const NULL: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const TRUE: u8 = 3;
    /// A number from 0.
    pub const WHOLE: u8 = 4;
    /// `!n` of a negative number.
    pub const NEGATIVE: u8 = 5;
    /// Eight bytes, little-endian.
    pub const REAL: u8 = 6;
    pub const TEXT: u8 = 7;
    /// Length, values.
    pub const LIST: u8 = 8;
    /// Length, (name, value).
    pub const OBJECT: u8 = 9;
    /// An object with the names it had: values.
    pub const MEMBERS: u8 = 10;
    /// A list that lost n in front and gained m: n, m, values.
    pub const SLID: u8 = 11;
    /// A list of the length it had: values.
    pub const ITEMS: u8 = 12;
    /// A whole number that moved: signed difference.
    pub const MOVED: u8 = 13;
}

mod flag {
    pub const SKIPPED: u8 = 1 << 4;
    pub const NO_DATA: u8 = 1 << 5;
    pub const CRITICAL: u8 = 1 << 6;
    pub const WARNING: u8 = 1 << 7;
    pub const SAME_MESSAGE: u8 = 1 << 2;
    pub const ERROR: u8 = 1 << 3;
    pub const SAME_ERROR: u8 = 1 << 4;
    pub const KEPT: u8 = 1 << 5;
    pub const SAME_KEPT: u8 = 1 << 6;
    pub const SAME_FACTS: u8 = 1 << 7;
}

/// A block being filled.
pub(super) struct Builder {
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
        let last = self.last.get(&look.check);
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
        match self.last.get_mut(&look.check) {
            Some(known) => *known = last,
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

fn same_kept(one: &Option<Map<String, Value>>, other: &Option<Map<String, Value>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => identical_members(one, other),
        _ => false,
    }
}

fn same_facts(one: &Facts, other: &Facts) -> bool {
    let (mut one, mut other) = (one.iter(), other.iter());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some((name, value)), Some((known, old))) => {
                if name != known || !(Arc::ptr_eq(value, old) || identical(value, old)) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Equal, and with the members in the same order; `==` on maps ignores order and hashes every name.
fn identical(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| identical(one, other))
        }
        (Value::Object(one), Value::Object(other)) => identical_members(one, other),
        // -0.0 equals 0.0 and is another number.
        (Value::Number(one), Value::Number(other)) => {
            one == other
                && (!one.is_f64()
                    || one.as_f64().map(f64::to_bits) == other.as_f64().map(f64::to_bits))
        }
        _ => one == other,
    }
}

fn identical_members(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((name, value), (known, old))| name == known && identical(value, old))
}

/// Facts small enough to be recorded, if these are not: the largest of them, or the largest members of the largest,
/// are cut until the rest fits.
fn bounded(facts: &Facts) -> Option<Facts> {
    let weights: Vec<usize> = facts.iter().map(|(_, value)| weight(value, 0)).collect();
    if weights.iter().sum::<usize>() <= LOOK_BYTES {
        return None;
    }
    // (weight, fact, member)
    let mut parts: Vec<(usize, &str, Option<&str>)> = Vec::new();
    for ((name, value), weighed) in facts.iter().zip(weights) {
        match &**value {
            // With several probes a fact is all that one probe saw.
            Value::Object(members) if weighed > LOOK_BYTES / 8 && members.len() <= 64 => parts
                .extend(
                    members
                        .iter()
                        .map(|(member, value)| (weight(value, 0), name, Some(member.as_str()))),
                ),
            _ => parts.push((weighed, name, None)),
        }
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.0));
    let mut total: usize = parts.iter().map(|part| part.0).sum();
    let mut slim = facts.clone();
    for (weighed, name, member) in parts {
        if total <= LOOK_BYTES {
            break;
        }
        total = total.saturating_sub(weighed);
        cut(&mut slim, name, member, weighed);
    }
    Some(slim)
}

fn cut(facts: &mut Facts, name: &str, member: Option<&str>, weighed: usize) {
    let value = match (member, facts.get(name).map(|value| &**value)) {
        (Some(member), Some(Value::Object(members))) => {
            // Only the other members are copied, never the one that is too large.
            let rest = members.iter().map(|(known, value)| {
                let value = if known == member {
                    cut_of(weighed)
                } else {
                    value.clone()
                };
                (known.clone(), value)
            });
            Value::Object(rest.collect())
        }
        _ => cut_of(weighed),
    };
    facts.set(name.to_owned(), value);
}

fn cut_of(weighed: usize) -> Value {
    let mut cut = Map::new();
    cut.insert("$cut".to_owned(), Value::from(weighed));
    Value::Object(cut)
}

/// About its bytes as JSON. What is too deep weighs too much.
fn weight(value: &Value, depth: usize) -> usize {
    if depth > DEPTH {
        return LOOK_BYTES + 1;
    }
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => {
            items
                .iter()
                .map(|item| weight(item, depth + 1) + 1)
                .sum::<usize>()
                + 2
        }
        Value::Object(members) => members_weight(members, depth),
    }
}

fn members_weight(members: &Map<String, Value>, depth: usize) -> usize {
    let each = members
        .iter()
        .map(|(name, value)| name.len() + 4 + weight(value, depth + 1));
    each.sum::<usize>() + 2
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

/// Reads a block. `None`: it is broken.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<LookRecord>> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::store::sample::{NOON, look, minutes};

    fn coded(looks: &[LookRecord]) -> Vec<u8> {
        let mut builder = Builder::default();
        for look in looks {
            builder.push(look);
        }
        assert_eq!(builder.looks, looks.len());
        builder.bytes
    }

    /// Equal as text: `==` takes -0.0 for 0.0 and does not see the order of members.
    fn assert_same(one: &[LookRecord], other: &[LookRecord]) {
        assert_eq!(one.len(), other.len());
        for (one, other) in one.iter().zip(other) {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (0i64..5).prop_map(Value::from),
            any::<f64>().prop_map(|real| json!(real)),
            Just(json!(-0.0)),
            Just(json!(5.0)),
            "[a-c\u{fc}]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-d]", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn facts() -> impl Strategy<Value = Facts> {
        proptest::collection::vec(("[a-c]", value()), 0..4).prop_map(|facts| {
            let mut all = Facts::new();
            for (name, value) in facts {
                all.set(name, value);
            }
            all
        })
    }

    /// The facts of a check's looks: each like the last, or one fact of it anew.
    fn run() -> impl Strategy<Value = Vec<Facts>> {
        let change = (any::<bool>(), 0..4usize, value());
        (facts(), proptest::collection::vec(change, 0..6)).prop_map(|(first, changes)| {
            let mut all = vec![first];
            for (fresh, which, value) in changes {
                let mut next = all[all.len() - 1].clone();
                let name = next.names().nth(which).map(str::to_owned);
                if let (true, Some(name)) = (fresh, name) {
                    let slid = match (&**next.get(&name).unwrap(), &value) {
                        // Sometimes a window that moves on.
                        (Value::Array(old), Value::Array(new)) => {
                            let kept = old.iter().skip(1).chain(new);
                            Value::Array(kept.cloned().collect())
                        }
                        _ => value,
                    };
                    next.set(name, slid);
                }
                all.push(next);
            }
            all
        })
    }

    proptest! {
        #[test]
        fn what_was_recorded_comes_back(
            runs in proptest::collection::vec(run(), 1..4),
            seed in any::<u64>(),
            steps in proptest::collection::vec(-5_000i64..50_000, 24),
        ) {
            let mut looks = Vec::new();
            let mut at = NOON;
            let longest = runs.iter().map(Vec::len).max().unwrap_or(0);
            for round in 0..longest {
                for (check, run) in runs.iter().enumerate() {
                    let Some(facts) = run.get(round) else { continue };
                    let random = seed.rotate_left(7 * (round * 3 + check) as u32);
                    at = Moment(at.0 + steps[(round * 4 + check) % steps.len()]);
                    let mut look = look(&format!("check_{check}"), at, facts.clone());
                    let verdict = Arc::make_mut(&mut look.verdict);
                    let pick = |shift: u32| random >> shift & 3;
                    verdict.status = Status::ALL[pick(0) as usize];
                    look.status = verdict.status;
                    look.counted = Status::ALL[pick(2) as usize];
                    verdict.message = format!("message {}", pick(4));
                    verdict.error = [None, Some("one".to_owned()), Some("two".to_owned()), None][pick(6) as usize].clone();
                    verdict.kept = [None, Some(1), Some(2), None][pick(8) as usize]
                        .map(|pct| Map::from_iter([("pct".to_owned(), json!({"v": pct}))]));
                    verdict.proven = [None, Some(true), Some(false), None][pick(10) as usize];
                    verdict.skipped = pick(12) == 0;
                    verdict.no_data = pick(14) == 0;
                    verdict.latch = Latch { critical: pick(16) == 0, warning: pick(18) == 0 };
                    look.duration_ms = pick(20) as f64 * 1234.567;
                    verdict.duration_ms = look.duration_ms;
                    looks.push(look);
                }
            }
            assert_same(&decode(&coded(&looks)).unwrap(), &looks);
        }

        #[test]
        fn noise_is_refused_without_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            facts in facts(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = decode(&bytes);
            bytes.insert(0, VERSION);
            let _ = decode(&bytes);
            let mut good = coded(&[look("a", NOON, facts.clone()), look("a", NOON, facts)]);
            let at = at.index(good.len());
            good[at] = byte;
            let _ = decode(&good);
            good.truncate(at);
            let _ = decode(&good);
        }
    }

    #[test]
    fn what_stayed_the_same_costs_next_to_nothing() {
        let record = |number: usize| json!({"ts": 1767904955 + number, "symbol": "XOM", "score": 2.574, "note": "x".repeat(1500)});
        let window = |from: usize| -> Value { (from..from + 20).map(record).collect() };
        let seen = |minute: u64, from: usize| {
            let facts = Facts::new()
                .with("exists", true)
                .with("records", window(from))
                .with("age_s", minute as f64 * 1.25);
            look("attribution", NOON.plus(minutes(minute)), facts)
        };
        let first = coded(&[seen(0, 0)]).len();
        let same = coded(&[seen(0, 0), seen(1, 0)]).len() - first;
        assert!(same <= 30, "{same} bytes for a look with another age");
        let moved = coded(&[seen(0, 0), seen(1, 1)]).len() - first;
        assert!(moved <= 1600, "{moved} bytes for a window moved by one");
        // Under the name of a probe it is the same.
        let nested = |minute: u64| {
            let attribution = seen(minute, 0).verdict.facts.to_json();
            look(
                "a",
                NOON.plus(minutes(minute)),
                Facts::new().with("attr", attribution),
            )
        };
        let first = coded(&[nested(0)]).len();
        let same = coded(&[nested(0), nested(1)]).len() - first;
        assert!(
            same <= 30,
            "{same} bytes for a nested look with another age"
        );
    }

    #[test]
    fn what_is_too_large_is_cut_and_the_rest_kept() {
        let large = "x".repeat(50_000);
        let facts = Facts::new()
            .with("exists", true)
            .with(
                "run",
                json!({"count": 3, "records": [large, large], "skipped": 0}),
            )
            .with("source", "y".repeat(60_000))
            .with("attr", json!({"count": 1}));
        let looks = [look("a", NOON, facts.clone()), look("a", NOON, facts)];
        let bytes = coded(&looks);
        assert!(bytes.len() < LOOK_BYTES + 1000);
        for look in decode(&bytes).unwrap() {
            let facts = &look.verdict.facts;
            assert_eq!(
                **facts.get("run").unwrap(),
                json!({"count": 3, "records": {"$cut": 100_010}, "skipped": 0})
            );
            assert_eq!(
                facts.get("source").unwrap().as_str().map(str::len),
                Some(60_000)
            );
            assert_eq!(**facts.get("attr").unwrap(), json!({"count": 1}));
        }
        let mut look = look("a", NOON, Facts::new());
        let verdict = Arc::make_mut(&mut look.verdict);
        verdict.message = "\u{fc}".repeat(TEXT_BYTES);
        verdict.kept = Some(Map::from_iter([(
            "k".to_owned(),
            json!("z".repeat(LOOK_BYTES)),
        )]));
        let back = &decode(&coded(&[look])).unwrap()[0];
        assert_eq!(back.verdict.message.len(), TEXT_BYTES);
        assert!(back.verdict.kept.as_ref().unwrap().contains_key("$cut"));
    }

    #[test]
    fn what_is_too_deep_is_cut() {
        let mut deep = json!(1);
        for _ in 0..500 {
            deep = json!([deep]);
        }
        let facts = Facts::new().with("deep", deep).with("flat", 1);
        let back = &decode(&coded(&[look("a", NOON, facts)])).unwrap()[0];
        assert!(
            back.verdict
                .facts
                .get("deep")
                .unwrap()
                .get("$cut")
                .is_some()
        );
        assert_eq!(**back.verdict.facts.get("flat").unwrap(), json!(1));
    }
}
