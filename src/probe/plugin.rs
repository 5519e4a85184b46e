//! What a monitoring plugin says: its text and its performance data. Pure: a text in, values out, whatever the text is.
//!
//! The contract is that of the Monitoring Plugins Development Guidelines
//! (<https://www.monitoring-plugins.org/doc/guidelines.html>, sections 2 and 3) and of the plugin API of Nagios 3: the
//! first line is the text; what stands after its `|` is performance data; further lines are long text up to a `|`, after
//! which everything is performance data. An item is `'label'=value[unit];[warn];[crit];[min];[max]`.
//!
//! Numbers keep the unit in which they were written: what a `KB` is depends on the plugin. An item that is not
//! understood costs itself, a threshold that is not understood only the threshold; both are counted.

use serde_json::{Map, Number, Value, json};

/// Items that are kept; what comes after them is counted as skipped.
pub const MOST_ITEMS: usize = 1000;

/// The output of a plugin, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The first line, without performance data.
    pub text: String,
    /// The lines after it, without performance data.
    pub long_text: String,
    /// In their order; of two with one label the later one stands later.
    pub items: Vec<Item>,
    /// Items and thresholds that were not understood.
    pub skipped: usize,
}

/// One item of performance data.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub label: String,
    /// `None`: the plugin wrote `U`, it could not tell.
    pub value: Option<Number>,
    /// `s`, `ms`, `us`, `%`, `B`, `KB`, `MB`, `GB`, `TB`, `c` (a counter), or what else the plugin wrote; empty: a number.
    pub unit: String,
    pub warn: Option<Range>,
    pub crit: Option<Range>,
    pub min: Option<Number>,
    pub max: Option<Number>,
}

/// A threshold: an alert is due when the value is outside, or with `inside` when it is inside; both ends belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// `None`: there is no lower end.
    pub from: Option<Number>,
    /// `None`: there is no upper end.
    pub to: Option<Number>,
    pub inside: bool,
}

/// Takes apart what a plugin printed.
pub fn parse(output: &str) -> Said {
    let (first, rest) = output.split_once('\n').unwrap_or((output, ""));
    let (text, first_data) = first.split_once('|').unwrap_or((first, ""));
    let (long, more_data) = rest.split_once('|').unwrap_or((rest, ""));
    let mut said = Said {
        text: text.trim().to_owned(),
        long_text: long
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
            .trim_end()
            .to_owned(),
        ..Said::default()
    };
    for data in [first_data, more_data] {
        let mut left = data.trim_start();
        while !left.is_empty() {
            left = said.take(left).trim_start();
        }
    }
    said
}

impl Said {
    /// The performance data as one map; of two items with one label the later one.
    pub fn perf(&self) -> Value {
        let items = self.items.iter();
        Value::Object(
            items
                .map(|item| (item.label.clone(), item.to_json()))
                .collect(),
        )
    }

    /// Takes the item that `data` starts with; gives what comes after it.
    fn take<'a>(&mut self, data: &'a str) -> &'a str {
        let Some((label, after)) = label(data) else {
            self.skipped += 1;
            return word(data).1;
        };
        let (body, rest) = word(after);
        match item(label, body) {
            Some((item, skipped)) if self.items.len() < MOST_ITEMS => {
                self.items.push(item);
                self.skipped += skipped;
            }
            _ => self.skipped += 1,
        }
        rest
    }
}

/// Up to the next white space, and the rest.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// A label with its `=`, and what comes after it. In quotes it may hold white space and `=`, and `''` means `'`.
fn label(data: &str) -> Option<(String, &str)> {
    let (label, after) = match data.strip_prefix('\'') {
        None => {
            let (word, _) = word(data);
            let at = word.find('=')?;
            (data[..at].to_owned(), &data[at + 1..])
        }
        Some(mut left) => {
            let mut label = String::new();
            loop {
                let (part, after) = left.split_once('\'')?;
                label.push_str(part);
                match after.strip_prefix('\'') {
                    Some(more) => {
                        label.push('\'');
                        left = more;
                    }
                    None => break (label, after.strip_prefix('=')?),
                }
            }
        }
    };
    // a lost quote must not swallow what comes on the next line, nor its debris pass for a label
    let torn = label.contains('\n') || (!data.starts_with('\'') && label.contains('\''));
    (!label.is_empty() && !torn).then_some((label, after))
}

/// What stands after a label, and how many of its thresholds were not understood.
fn item(label: String, body: &str) -> Option<(Item, usize)> {
    let mut fields = body.split(';');
    let (value, unit) = value(fields.next()?)?;
    // the unit is written once, but some plugins repeat it
    let mut rest = fields.map(|text| text.strip_suffix(unit).unwrap_or(text));
    let mut next = || rest.next().unwrap_or_default();
    let texts = [next(), next(), next(), next()];
    let [warn, crit, min, max] = texts;
    let (warn, crit) = (range(warn), range(crit));
    let (min, max) = (exactly(min), exactly(max));
    let known = [warn.is_some(), crit.is_some(), min.is_some(), max.is_some()];
    let unknown = texts
        .iter()
        .zip(known)
        .filter(|(text, known)| !text.is_empty() && !known);
    let skipped = unknown.count() + usize::from(!rest.all(str::is_empty));
    let item = Item {
        label,
        value,
        unit: unit.to_owned(),
        warn,
        crit,
        min,
        max,
    };
    Some((item, skipped))
}

/// A value with its unit; the inner `None` is `U`, "could not tell".
fn value(text: &str) -> Option<(Option<Number>, &str)> {
    if text == "U" {
        return Some((None, ""));
    }
    let (number, unit) = number(text)?;
    let odd = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+' | '=' | '\'' | '"');
    (unit.chars().count() <= 16 && !unit.contains(odd)).then_some((Some(number), unit))
}

/// `10`: 0 to 10; `10:`, `~:10`, `10:20`; with `@` before it the alert is due inside.
fn range(text: &str) -> Option<Range> {
    let (inside, ends) = match text.strip_prefix('@') {
        Some(ends) => (true, ends),
        None => (false, text),
    };
    let (from, to) = match ends.split_once(':') {
        Some((from, to)) => (from, to),
        None if ends.is_empty() => return None,
        None => ("", ends),
    };
    let from = match from {
        "~" => None,
        "" => Some(Number::from(0)),
        from => Some(exactly(from)?),
    };
    let to = match to {
        "" => None,
        to => Some(exactly(to)?),
    };
    let ordered = match (&from, &to) {
        (Some(from), Some(to)) => from.as_f64() <= to.as_f64(),
        _ => true,
    };
    ordered.then_some(Range { from, to, inside })
}

fn exactly(text: &str) -> Option<Number> {
    number(text).and_then(|(number, rest)| rest.is_empty().then_some(number))
}

/// The number a text starts with, and the rest. A whole number stays one as long as it fits.
fn number(text: &str) -> Option<(Number, &str)> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let sign = |at: usize| at + usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
    let start = sign(0);
    let whole = digits(start);
    let point = bytes.get(whole) == Some(&b'.');
    let mut end = if point { digits(whole + 1) } else { whole };
    if end - start <= usize::from(point) {
        return None; // no digit at all
    }
    let mut is_whole = !point;
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = sign(end + 1);
        if digits(exponent) > exponent {
            (end, is_whole) = (digits(exponent), false);
        }
    }
    let (written, rest) = text.split_at(end);
    if is_whole && let Ok(whole) = written.parse::<i64>() {
        return Some((whole.into(), rest));
    }
    Some((Number::from_f64(written.parse().ok()?)?, rest))
}

impl Item {
    fn to_json(&self) -> Value {
        let range = |range: &Option<Range>| {
            range.as_ref().map_or(
                Value::Null,
                |range| json!({"from": range.from, "to": range.to, "inside": range.inside}),
            )
        };
        let mut map = Map::new();
        map.insert("value".to_owned(), json!(self.value));
        map.insert("unit".to_owned(), json!(self.unit));
        map.insert("warn".to_owned(), range(&self.warn));
        map.insert("crit".to_owned(), range(&self.crit));
        map.insert("min".to_owned(), json!(self.min));
        map.insert("max".to_owned(), json!(self.max));
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    fn ends(text: &str) -> Option<(Option<f64>, Option<f64>, bool)> {
        let range = range(text)?;
        let real = |end: Option<Number>| end.and_then(|end| end.as_f64());
        Some((real(range.from), real(range.to), range.inside))
    }

    #[test]
    fn text_and_data_of_the_plugin_api() {
        let said = parse(
            "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n\
             / 15272 MB (77%);\n/boot 68 MB (69%);\n\
             /home 69357 MB (27%);  | /boot=68MB;88;93;0;98\n\
             /home=69357MB;253404;253409;0;253414\n\
             '/var log'=818MB;970;975;0;980\n",
        );
        assert_eq!(said.text, "DISK OK - free space: / 3326 MB (56%);");
        assert_eq!(
            said.long_text,
            "/ 15272 MB (77%);\n/boot 68 MB (69%);\n/home 69357 MB (27%);"
        );
        let labels: Vec<&str> = said.items.iter().map(|item| &*item.label).collect();
        assert_eq!(labels, ["/", "/boot", "/home", "/var log"]);
        assert_eq!(said.skipped, 0);
        let range = |to: i64| json!({"from": 0, "to": to, "inside": false});
        assert_eq!(
            said.perf()["/"],
            json!({"value": 2643, "unit": "MB", "warn": range(5948), "crit": range(5958), "min": 0, "max": 5968})
        );
    }

    #[test]
    fn values_and_units() {
        for (text, value, unit) in [
            ("1", json!(1), ""),
            ("-1.50ms", json!(-1.5), "ms"),
            (".5us", json!(0.5), "us"),
            ("5.%", json!(5.0), "%"),
            ("1.2e-05s", json!(1.2e-5), "s"),
            ("267847005634B", json!(267_847_005_634_i64), "B"),
            ("+3KB", json!(3), "KB"),
            ("3EB", json!(3), "EB"),
            ("9c", json!(9), "c"),
            ("99999999999999999999", json!(1e20), ""),
            ("21°C", json!(21), "°C"),
            ("U", json!(null), ""),
        ] {
            let said = parse(&format!("x|a={text};;;;"));
            assert_eq!(said.skipped, 0, "{text}");
            let item = &said.perf()["a"];
            assert_eq!((&item["value"], &item["unit"]), (&value, &json!(unit)));
            assert_eq!((&item["warn"], &item["max"]), (&Value::Null, &Value::Null));
        }
    }

    #[test]
    fn thresholds_as_the_guidelines_have_them() {
        for (text, expected) in [
            ("10", (Some(0.0), Some(10.0), false)),
            ("10:", (Some(10.0), None, false)),
            ("~:10", (None, Some(10.0), false)),
            ("10:20", (Some(10.0), Some(20.0), false)),
            ("@10:20", (Some(10.0), Some(20.0), true)),
            ("@10", (Some(0.0), Some(10.0), true)),
            ("-5.5:-2", (Some(-5.5), Some(-2.0), false)),
        ] {
            assert_eq!(ends(text), Some(expected), "{text}");
        }
        for text in ["", "@", "20:10", "-10", "a", "1:b", "~", "1:2:3", "10%"] {
            assert_eq!(ends(text), None, "{text}");
        }
    }

    #[test]
    fn labels_are_quoted_where_they_must_be() {
        let said = parse("x|'it''s = a' b'=1 plain=2 'C:\\ Label'=3 a=b=4 'open=5 z=6 ''=7 =8");
        let found: Vec<(&str, Option<i64>)> = said
            .items
            .iter()
            .map(|item| (&*item.label, item.value.as_ref().and_then(Number::as_i64)))
            .collect();
        assert_eq!(
            found,
            [("plain", Some(2)), ("C:\\ Label", Some(3)), ("z", Some(6))]
        );
        assert_eq!(parse("x|'it''s = a'=1").perf()["it's = a"]["value"], 1);
        assert_eq!(parse("x|'a'b=1 c=2").perf()["c"]["value"], 2);
        assert_eq!(parse("x|a=1 a=2").perf()["a"]["value"], 2);
        assert_eq!(
            parse("x\n|'lost=1\nkept=2\nits'=3").perf()["kept"]["value"],
            2
        );
    }

    #[test]
    fn what_is_broken_costs_itself() {
        let said = parse(
            "x | a=1 b=1,5 junk c= d=NaN e=2x3 f=3;oops;5;;9;;; g=1;2;3;4;5;6 h=1e999 i=2ms;3ms;4ms",
        );
        let labels: Vec<&str> = said.items.iter().map(|item| &*item.label).collect();
        assert_eq!(labels, ["a", "f", "g", "i"]);
        assert_eq!(said.skipped, 6 + 1 + 1);
        let perf = said.perf();
        assert_eq!(
            (&perf["f"]["warn"], &perf["f"]["max"]),
            (&json!(null), &json!(9))
        );
        assert_eq!(perf["i"]["crit"]["to"], 4);
        for nothing in ["", "\n", "|", "|\n|", "text", "text\nmore"] {
            assert_eq!((parse(nothing).items, parse(nothing).skipped), (vec![], 0));
        }
    }

    #[test]
    fn there_is_a_most() {
        let mut many = String::from("x|");
        for n in 0..MOST_ITEMS + 5 {
            let _ = write!(many, "n{n}=1 ");
        }
        let said = parse(&many);
        assert_eq!((said.items.len(), said.skipped), (MOST_ITEMS, 5));
    }

    /// An item as a plugin would print it.
    fn printed(item: &Item) -> String {
        let number =
            |number: &Option<Number>| number.as_ref().map_or(String::new(), Number::to_string);
        let range = |range: &Option<Range>| {
            range.as_ref().map_or(String::new(), |range| {
                let at = if range.inside { "@" } else { "" };
                let from = range
                    .from
                    .as_ref()
                    .map_or("~".to_owned(), Number::to_string);
                format!("{at}{from}:{}", number(&range.to))
            })
        };
        format!(
            "'{}'={}{};{};{};{};{}",
            item.label.replace('\'', "''"),
            item.value
                .as_ref()
                .map_or("U".to_owned(), Number::to_string),
            item.unit,
            range(&item.warn),
            range(&item.crit),
            number(&item.min),
            number(&item.max),
        )
    }

    fn a_number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<i64>().prop_map(Number::from),
            any::<f64>().prop_filter_map("finite", Number::from_f64),
        ]
    }

    fn a_range() -> impl Strategy<Value = Range> {
        let end = || prop::option::of(a_number());
        (end(), end(), any::<bool>()).prop_map(|(from, to, inside)| {
            let (from, to) = match (from, to) {
                (Some(from), Some(to)) if from.as_f64() > to.as_f64() => (Some(to), Some(from)),
                ends => ends,
            };
            Range { from, to, inside }
        })
    }

    fn an_item() -> impl Strategy<Value = Item> {
        let value = (
            prop::option::of(a_number()),
            prop::sample::select(vec![
                "", "s", "us", "ms", "%", "B", "KB", "MB", "GB", "TB", "c",
            ]),
        );
        let ranges = (prop::option::of(a_range()), prop::option::of(a_range()));
        let ends = (prop::option::of(a_number()), prop::option::of(a_number()));
        ("[^\r\n|]{1,12}", value, ranges, ends).prop_map(
            |(label, (value, unit), (warn, crit), (min, max))| Item {
                label,
                unit: if value.is_some() { unit } else { "" }.to_owned(),
                value,
                warn,
                crit,
                min,
                max,
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_taken(text in "\\PC*|[|='; \n@~:0-9UseB.-]{0,200}") {
            let said = parse(&text);
            prop_assert!(said.items.len() <= MOST_ITEMS);
            prop_assert!(!said.text.contains('|') && !said.long_text.contains('|'));
        }

        #[test]
        fn what_is_printed_by_the_book_is_read_back(
            items in prop::collection::vec(an_item(), 0..6),
            text in "[^\r\n|]{0,20}",
            long in "[a-z ]{0,10}\n[a-z]{1,10}",
        ) {
            let (first, more) = items.split_at(items.len() / 2);
            let join = |items: &[Item]| items.iter().map(printed).collect::<Vec<_>>();
            let output = format!("{text}|{}\n{long} | {}\n", join(first).join(" "), join(more).join("\n"));
            let said = parse(&output);
            prop_assert_eq!(said.skipped, 0, "{}", output);
            prop_assert_eq!(said.items, items);
            prop_assert_eq!(said.text, text.trim());
        }
    }
}
