//! Secrets: what is never told.
//!
//! A secret is the value of a variable that `homeostat.yaml` lists under `env`. Rules judge and send the true values;
//! whatever is recorded, shown or logged is first freed of them: each is replaced by `•••NAME•••`. Found are the value
//! itself, its lines, and both as JSON, percent-encoding, hexadecimal or base64 write them (also in the middle of a longer
//! base64 text, as in `Authorization: Basic`), and the beginning of a long one that was cut off. Not found are parts that a
//! rule cuts out by itself, and values of less than six bytes: those stand everywhere by chance.
//!
//! The marks can be turned back, so that the before-image of a file that holds a secret need not hold it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::model::{facts::Facts, step::Receipt, verdict::Verdict};

/// Shorter values are told.
const LEAST: usize = 6;
/// Values from this length on are known by their first [`HEAD`] bytes.
const LONG: usize = 24;
const HEAD: usize = 16;
/// Lines of a value that are taken for secrets by themselves.
const MOST_LINES: usize = 100;
/// What most programs leave as it is in a part of a URL.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What the mark of a secret is made of.
const DOTS: &str = "•••";

/// The values that are never told.
#[derive(Default)]
pub struct Secrets {
    forms: Vec<Form>,
    /// For each pattern of the automaton the forms that begin with it.
    begins: Vec<Vec<usize>>,
    finder: Option<AhoCorasick>,
    /// Some secret may be read as a number.
    numeric: bool,
}

/// A way in which a secret is written.
struct Form {
    text: String,
    mark: String,
}

impl Secrets {
    /// From the variables and their values.
    pub fn new(env: &BTreeMap<String, Option<String>>) -> Secrets {
        let mut secrets = Secrets::default();
        for (name, value) in env {
            let Some(value) = value else { continue };
            let mut number = 0;
            for part in parts(value) {
                for text in written(part) {
                    if secrets.forms.iter().any(|form| form.text == text) {
                        continue;
                    }
                    number += 1;
                    let mark = match number {
                        1 => format!("{DOTS}{name}{DOTS}"),
                        _ => format!("{DOTS}{name}/{number}{DOTS}"),
                    };
                    secrets.numeric |= text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                    secrets.forms.push(Form { text, mark });
                }
            }
        }
        let mut heads: Vec<&str> = Vec::new();
        for (index, form) in secrets.forms.iter().enumerate() {
            let head = head(&form.text);
            match heads.iter().position(|known| *known == head) {
                Some(at) => secrets.begins[at].push(index),
                None => {
                    heads.push(head);
                    secrets.begins.push(vec![index]);
                }
            }
        }
        if !heads.is_empty() {
            let built = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&heads);
            match built {
                Ok(finder) => secrets.finder = Some(finder),
                Err(error) => tracing::error!(%error, "too many secrets to look for"),
            }
        }
        secrets
    }

    pub fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// The text without secrets.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(finder) = &self.finder else {
            return Cow::Borrowed(text);
        };
        let mut hidden = String::new();
        let mut told = 0;
        while let Some(found) = finder.find(text.get(told..).unwrap_or_default()) {
            let at = told + found.start();
            let rest = text.get(at..).unwrap_or_default();
            let (length, mark) = self.covered(found.pattern().as_usize(), rest);
            hidden.push_str(text.get(told..at).unwrap_or_default());
            hidden.push_str(&mark);
            told = at + length.max(found.len());
        }
        match told {
            0 => Cow::Borrowed(text),
            _ => {
                hidden.push_str(text.get(told..).unwrap_or_default());
                Cow::Owned(hidden)
            }
        }
    }

    /// How much of a text is the secret that begins with this pattern, and its mark.
    fn covered(&self, pattern: usize, rest: &str) -> (usize, Cow<'_, str>) {
        let begins = self
            .begins
            .get(pattern)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let forms = begins.iter().filter_map(|index| self.forms.get(*index));
        let same = |form: &Form| {
            let pairs = rest.chars().zip(form.text.chars());
            let same = pairs.take_while(|(a, b)| a == b);
            same.map(|(a, _)| a.len_utf8()).sum::<usize>()
        };
        let longest = forms
            .map(|form| (same(form), form))
            .rev() // of equal ones the first
            .max_by_key(|(length, form)| (*length == form.text.len(), *length));
        match longest {
            Some((length, form)) if length == form.text.len() => {
                (length, Cow::Borrowed(form.mark.as_str()))
            }
            Some((length, form)) => {
                let cut = form.mark.strip_suffix(DOTS).unwrap_or(&form.mark);
                (length, Cow::Owned(format!("{cut}…{DOTS}")))
            }
            None => (0, Cow::Borrowed(DOTS)),
        }
    }

    /// Puts secrets back where marks stand. What was cut off stays away.
    pub fn reveal(&self, text: &str) -> String {
        if !text.contains(DOTS) {
            return text.to_owned();
        }
        // In one pass, so that a secret that looks like a mark stays as it is.
        let mut revealed = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(DOTS) {
            let (before, from) = rest.split_at(at);
            revealed.push_str(before);
            let form = self.forms.iter().find(|form| from.starts_with(&form.mark));
            let (put, skip) = match form {
                Some(form) => (form.text.as_str(), form.mark.len()),
                None => (DOTS, DOTS.len()),
            };
            revealed.push_str(put);
            rest = from.get(skip..).unwrap_or_default();
        }
        revealed + rest
    }

    /// Puts secrets back for those marks that stand in `hidden` as well; others are left as they are.
    pub fn reveal_marks_of(&self, hidden: &str, text: &str) -> String {
        let forms = self.forms.iter();
        let there: Vec<&Form> = forms.filter(|form| hidden.contains(&form.mark)).collect();
        let mut revealed = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(DOTS) {
            let (before, from) = rest.split_at(at);
            revealed.push_str(before);
            let form = there.iter().find(|form| from.starts_with(&form.mark));
            let (put, skip) = match form {
                Some(form) => (form.text.as_str(), form.mark.len()),
                None => (DOTS, DOTS.len()),
            };
            revealed.push_str(put);
            rest = from.get(skip..).unwrap_or_default();
        }
        revealed + rest
    }

    fn holds(&self, value: &Value) -> bool {
        let told = |text: &str| {
            let finder = self.finder.as_ref();
            finder.is_some_and(|finder| finder.is_match(text))
        };
        match value {
            Value::String(text) => told(text),
            Value::Number(number) => self.numeric && told(&number.to_string()),
            Value::Array(items) => items.iter().any(|item| self.holds(item)),
            Value::Object(map) => map
                .iter()
                .any(|(key, value)| told(key) || self.holds(value)),
            Value::Null | Value::Bool(_) => false,
        }
    }

    /// The value without secrets.
    pub fn hide_value(&self, value: &mut Value) {
        if !self.is_empty() && self.holds(value) {
            *value = each_text(value, self.numeric, &|text| self.hide(text).into_owned());
        }
    }

    pub fn hide_map(&self, map: &mut Map<String, Value>) {
        let mut value = Value::Object(std::mem::take(map));
        self.hide_value(&mut value);
        if let Value::Object(hidden) = value {
            *map = hidden;
        }
    }

    /// The value with secrets where marks stand.
    pub fn reveal_value(&self, value: &Value) -> Value {
        each_text(value, false, &|text| self.reveal(text))
    }

    fn hide_text(&self, text: &mut String) {
        if let Cow::Owned(hidden) = self.hide(text) {
            *text = hidden;
        }
    }

    /// Facts without secrets; `None` if they hold none.
    fn hidden_facts(&self, facts: &Facts) -> Option<Facts> {
        let holds = |text: &str| matches!(self.hide(text), Cow::Owned(_));
        if !facts
            .iter()
            .any(|(name, value)| holds(name) || self.holds(value))
        {
            return None;
        }
        let mut value = facts.to_json();
        self.hide_value(&mut value);
        Facts::from_json(value)
    }

    /// Frees a verdict of secrets, once it is judged. Steps are planned with what was seen.
    pub fn hide_verdict(&self, verdict: &mut Verdict) {
        if self.is_empty() {
            return;
        }
        self.hide_text(&mut verdict.message);
        if let Some(error) = &mut verdict.error {
            self.hide_text(error);
        }
        if let Some(why) = &mut verdict.why {
            self.hide_text(&mut why.expression);
            self.hide_map(&mut why.saw);
        }
        self.hide_map(&mut verdict.lets);
        let told = |number: &f64| !self.holds(&Value::from(*number));
        verdict.value = verdict.value.filter(told);
        if let Some(kept) = &mut verdict.kept {
            self.hide_map(kept);
        }
        if let Some(publication) = &mut verdict.publish {
            self.hide_map(&mut publication.set);
        }
        if let Some(hidden) = self.hidden_facts(&verdict.facts) {
            let seen = std::mem::replace(&mut verdict.facts, hidden);
            verdict.unhidden = Some(seen);
        }
    }

    /// Frees a receipt of secrets, its before-image included.
    pub fn hide_receipt(&self, receipt: &mut Receipt) {
        if self.is_empty() {
            return;
        }
        self.hide_text(&mut receipt.target);
        self.hide_text(&mut receipt.detail);
        if let Some(diff) = &mut receipt.diff {
            self.hide_text(diff);
        }
        if let Some(undo) = &mut receipt.undo {
            self.hide_value(undo);
        }
    }
}

/// A copy with every text, keys included, made anew.
fn each_text(value: &Value, numbers: bool, make: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(make(text)),
        Value::Number(number) if numbers => {
            let text = number.to_string();
            match make(&text) {
                same if same == text => value.clone(),
                other => Value::String(other),
            }
        }
        Value::Array(items) => items
            .iter()
            .map(|item| each_text(item, numbers, make))
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (make(key), each_text(value, numbers, make)))
            .collect(),
        other => other.clone(),
    }
}

/// The value and what of it may stand alone.
fn parts(value: &str) -> Vec<&str> {
    let mut parts = vec![value, value.trim()];
    if value.trim().contains('\n') {
        // The first and the last line of a key are known to everybody.
        let lines = value
            .lines()
            .map(str::trim)
            .filter(|it| !it.starts_with("-----"));
        parts.extend(lines.filter(|it| it.len() >= HEAD).take(MOST_LINES));
    }
    parts.retain(|part| part.len() >= LEAST);
    parts
}

/// The ways in which a text is written, itself first.
fn written(part: &str) -> Vec<String> {
    let quoted = Value::from(part).to_string();
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    let hex: String = part.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        part.to_owned(),
        inner.to_owned(),
        utf8_percent_encode(part, PART).to_string(),
        utf8_percent_encode(part, NON_ALPHANUMERIC).to_string(),
        hex.to_uppercase(),
        hex,
    ];
    // What base64 makes of it depends on how many bytes stand in front of it; what its neighbours share in is left away.
    for front in 0..3_usize {
        let mut bytes = vec![0; front];
        bytes.extend_from_slice(part.as_bytes());
        let shared = [0, 2, 3].get(front).copied().unwrap_or(0);
        for encoded in [
            BASE64_STANDARD_NO_PAD.encode(&bytes),
            BASE64_URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            let end = encoded.len() - usize::from(bytes.len() % 3 != 0);
            forms.extend(encoded.get(shared..end).map(str::to_owned));
        }
    }
    forms
}

/// By what a form is known.
fn head(text: &str) -> &str {
    // Many texts begin like an address or a key.
    if text.len() < LONG || text.contains("://") || text.starts_with("-----") {
        return text;
    }
    let end = (HEAD..text.len()).find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

/// What the log of this process never tells. There is one log, and it begins before the settings are read.
static LOGGED: RwLock<Option<Arc<Secrets>>> = RwLock::new(None);

/// From now on the log is free of these.
pub fn keep_out_of_the_log(secrets: Arc<Secrets>) {
    *LOGGED.write().unwrap_or_else(PoisonError::into_inner) = Some(secrets);
}

/// A line of the log without secrets.
pub fn for_the_log(line: &str) -> Cow<'_, str> {
    match &*LOGGED.read().unwrap_or_else(PoisonError::into_inner) {
        Some(secrets) => secrets.hide(line),
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn secrets(values: &[(&str, &str)]) -> Secrets {
        let env = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
        Secrets::new(&env.collect())
    }

    #[test]
    fn a_value_is_replaced_wherever_it_stands() {
        let secrets = secrets(&[("KEY", "s3cr/t \"v\""), ("OTHER", "another-one")]);
        for (text, hidden) in [
            ("nothing", "nothing"),
            ("a s3cr/t \"v\" b", "a •••KEY••• b"),
            ("another-ones3cr/t \"v\"", "•••OTHER••••••KEY•••"),
            ("{\"k\":\"s3cr/t \\\"v\\\"\"}", "{\"k\":\"•••KEY/2•••\"}"),
            ("?k=s3cr%2Ft%20%22v%22", "?k=•••KEY/3•••"),
            ("x 616e6f746865722d6f6e65", "x •••OTHER/4•••"),
        ] {
            assert_eq!(secrets.hide(text), hidden, "{text}");
            assert_eq!(secrets.reveal(hidden), text, "{text}");
        }
    }

    #[test]
    fn base64_of_anything_around_it_is_found() {
        let value = "s3cret-value";
        let secrets = secrets(&[("KEY", value)]);
        for front in ["", "u", "us", "use", "user:", "bot@x:"] {
            for back in ["", "a", "ab", "abc"] {
                let whole = format!("{front}{value}{back}");
                for text in [
                    base64::prelude::BASE64_STANDARD.encode(&whole),
                    BASE64_URL_SAFE_NO_PAD.encode(&whole),
                ] {
                    let hidden = secrets.hide(&text);
                    assert!(hidden.contains("•••KEY"), "{whole}: {hidden}");
                    // What is left of it tells nothing of the secret.
                    let left: usize = hidden.split(DOTS).step_by(2).map(str::len).sum();
                    let around = (front.len() + back.len()) * 4 / 3 + 8;
                    assert!(left <= around, "{whole}: {hidden}");
                }
            }
        }
    }

    #[test]
    fn a_long_one_that_was_cut_off_is_found() {
        let secrets = secrets(&[
            ("A", "0123456789abcdef-first-and-long"),
            ("B", "0123456789abcdef-second-and-long"),
            ("URL", "https://paper-api.example.net/v2"),
        ]);
        for (text, hidden) in [
            ("x 0123456789abcdef-fir", "x •••A…•••"),
            ("0123456789abcdef-second-and-long!", "•••B•••!"),
            ("0123456789abcdef", "•••A…•••"),
            ("0123456789abcde", "0123456789abcde"),
            (
                "https://paper-api.example.net/v1",
                "https://paper-api.example.net/v1",
            ),
        ] {
            assert_eq!(secrets.hide(text), hidden, "{text}");
        }
    }

    #[test]
    fn lines_of_a_long_one_are_found_by_themselves() {
        let key =
            "-----BEGIN KEY-----\nMIIBVgIBADANBgkqhkiG\nAASCAUAwggE8AgEAAkEA\n-----END KEY-----\n";
        let secrets = secrets(&[("KEY", key)]);
        let diff = "+-----BEGIN KEY-----\n+MIIBVgIBADANBgkqhkiG\n+AASCAUAwggE8AgEAAkEA\n";
        let hidden = secrets.hide(diff);
        assert!(
            !hidden.contains("MIIB") && !hidden.contains("AASC"),
            "{hidden}"
        );
        assert!(hidden.contains("BEGIN KEY"), "{hidden}");
    }

    #[test]
    fn short_and_unset_values_are_not_looked_for() {
        let env = BTreeMap::from([
            ("MODE".to_owned(), Some("paper".to_owned())),
            ("NONE".to_owned(), None),
            ("EMPTY".to_owned(), Some("      ".to_owned())),
        ]);
        let secrets = Secrets::new(&env);
        assert_eq!(secrets.hide("paper"), "paper");
    }

    #[test]
    fn values_are_freed_through_and_through() {
        let secrets = secrets(&[("KEY", "s3cret-value"), ("PIN", "12345678")]);
        let mut value = json!({"a": ["x s3cret-value"], "s3cret-value": 1, "n": 12345678, "m": 7});
        secrets.hide_value(&mut value);
        assert_eq!(
            value,
            json!({"a": ["x •••KEY•••"], "•••KEY•••": 1, "n": "•••PIN•••", "m": 7})
        );
    }

    proptest! {
        #[test]
        fn nothing_is_left_and_all_comes_back(
            secret in "[ -~]{6,30}",
            texts in proptest::collection::vec("[ -~]{0,10}", 0..4),
        ) {
            let secrets = secrets(&[("KEY", &secret)]);
            let text = texts.join(&secret);
            let hidden = secrets.hide(&text);
            prop_assert!(!hidden.contains(&secret));
            if !hidden.contains('…') {
                prop_assert_eq!(secrets.reveal(&hidden), text);
            }
        }
    }
}
