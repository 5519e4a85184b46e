//! Changing one value inside the text of a JSON file and leaving every other byte as it stood.
//!
//! Reading a file into values and writing it out again would reformat it, and would silently change numbers that our
//! reader cannot hold (`123456789012345678901`, `1e5`, `0.10`). So the text itself is edited: the value's place is found
//! and replaced, or a member is added after the last one in the manner of its neighbours. The text must have been
//! parsed before (that is where depth and syntax are checked); nothing here trusts that enough to panic.

mod scan;
mod style;

use std::ops::Range;

use serde_json::{Map, Value};

use scan::{Member, items, members, skip_space, skip_value};
use style::{Style, quoted, write};

/// Where a value stands in a document: the keys from the root down, array indexes as texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot(Vec<String>);

impl Spot {
    /// Reads a key of `set`: a name is a key of the root; a text that starts with `/` is a JSON pointer (RFC 6901:
    /// `/a/b`, with `~1` for `/` and `~0` for `~` inside a key).
    pub fn parse(text: &str) -> Result<Spot, String> {
        let Some(pointer) = text.strip_prefix('/') else {
            return Ok(Spot(vec![text.to_owned()]));
        };
        let keys: Result<Vec<String>, String> = pointer.split('/').map(unescape).collect();
        keys.map(Spot).map_err(|part| {
            format!("`{text}` is no JSON pointer: `{part}`; write ~0 for ~, ~1 for /")
        })
    }

    fn shown(&self, depth: usize) -> String {
        self.0
            .iter()
            .take(depth)
            .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            .collect()
    }

    /// The value there, if there is one.
    pub fn of<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, key| match value {
            Value::Object(map) => map.get(key),
            Value::Array(items) => items.get(index(key)?),
            _ => None,
        })
    }
}

fn unescape(part: &str) -> Result<String, String> {
    let mut key = String::with_capacity(part.len());
    let mut rest = part.chars();
    while let Some(character) = rest.next() {
        match (character, character == '~') {
            (_, false) => key.push(character),
            _ => match rest.next() {
                Some('0') => key.push('~'),
                Some('1') => key.push('/'),
                _ => return Err(part.to_owned()),
            },
        }
    }
    Ok(key)
}

fn index(key: &str) -> Option<usize> {
    let plain = key == "0" || (!key.starts_with('0') && key.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| key.parse().ok()).flatten()
}

/// Sets values in the text of a JSON object, one after the other. Says why it cannot be done; the text is then as good
/// as untouched, since nothing was written.
pub fn set_all(text: &str, wishes: &[(Spot, Value)]) -> Result<String, String> {
    read(text)?;
    let mut text = text.to_owned();
    for (spot, value) in wishes {
        text = set(&text, spot, value)?;
    }
    let after = read(&text)?;
    for (at, (spot, value)) in wishes.iter().enumerate() {
        // A later wish may stand above or inside an earlier one; then only the later one must hold.
        let overruled = wishes
            .iter()
            .skip(at + 1)
            .any(|(later, _)| later.0.starts_with(&spot.0) || spot.0.starts_with(&later.0));
        if !overruled && spot.of(&after) != Some(value) {
            return Err(format!("`{}` could not be set", spot.shown(usize::MAX)));
        }
    }
    Ok(text)
}

/// A JSON object made of nothing but these values, as a new file.
pub fn fresh(wishes: &[(Spot, Value)]) -> Result<String, String> {
    set_all("{}\n", wishes)
}

/// A value as a file of its own: two spaces a level, a line end last.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, &Style::fresh("\n"), "");
    out.push('\n');
    out
}

fn read(text: &str) -> Result<Value, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(other) => Err(format!("holds {}, not a JSON object", kind(&other))),
        Err(error) => Err(format!("is no JSON ({error})")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn set(text: &str, spot: &Spot, value: &Value) -> Result<String, String> {
    let lost = || {
        format!(
            "`{}` could not be found in the text",
            spot.shown(usize::MAX)
        )
    };
    let start = skip_space(text, 0);
    let mut here = start..skip_value(text, start).ok_or_else(lost)?;
    let mut style = Style::of_root(text, here.start);
    let mut indent = String::new();
    for (depth, key) in spot.0.iter().enumerate() {
        let rest = spot.0.get(depth + 1..).unwrap_or_default();
        match text.as_bytes().get(here.start) {
            Some(b'{') => {
                let members = members(text, here.start).ok_or_else(lost)?;
                let mut named = members.iter().filter(|member| member.key == *key);
                let found = named.next();
                if named.next().is_some() {
                    return Err(format!("has the key `{}` twice", spot.shown(depth + 1)));
                }
                let Some(found) = found else {
                    let value = wrapped(rest, value);
                    return insert(text, &here, &members, key, &value, &style, &indent)
                        .ok_or_else(lost);
                };
                style.follow(text, found, &mut indent);
                here = found.value.clone();
            }
            Some(b'[') => {
                let items = items(text, here.start).ok_or_else(lost)?;
                let item = index(key).and_then(|at| items.get(at)).ok_or_else(|| {
                    let list = spot.shown(depth);
                    format!(
                        "has a list of {} at `{list}`, so no item `{key}`",
                        items.len()
                    )
                })?;
                style.follow_item(text, item, &mut indent);
                here = item.clone();
            }
            _ => {
                let value = text
                    .get(here.clone())
                    .and_then(|part| serde_json::from_str(part).ok());
                let what = value.as_ref().map_or("a value", kind);
                return Err(format!("has {what} at `{}`, not a map", spot.shown(depth)));
            }
        }
    }
    let old = text.get(here.clone()).ok_or_else(lost)?;
    if serde_json::from_str::<Value>(old).is_ok_and(|old| old == *value) {
        return Ok(text.to_owned());
    }
    let mut new = String::new();
    write(&mut new, value, &style, &indent);
    splice(text, here, &new).ok_or_else(lost)
}

/// `[b, c], 1` → `{"b": {"c": 1}}`.
fn wrapped(keys: &[String], value: &Value) -> Value {
    keys.iter().rev().fold(value.clone(), |inner, key| {
        Value::Object(Map::from_iter([(key.clone(), inner)]))
    })
}

fn splice(text: &str, at: Range<usize>, new: &str) -> Option<String> {
    Some([text.get(..at.start)?, new, text.get(at.end..)?].concat())
}

/// Adds a member after the last one of the object at `here`.
fn insert(
    text: &str,
    here: &Range<usize>,
    members: &[Member],
    key: &str,
    value: &Value,
    style: &Style,
    indent: &str,
) -> Option<String> {
    let Some(last) = members.last() else {
        let mut new = String::new();
        let whole = wrapped(&[key.to_owned()], value);
        write(&mut new, &whole, style, indent);
        return splice(text, here.clone(), &new);
    };
    let (mut style, mut indent) = (style.clone(), indent.to_owned());
    style.follow(text, last, &mut indent);
    let gap = text.get(last.gap.clone())?;
    let gap = match (members.len(), style.newline.is_some()) {
        (1, false) => style.space(),
        _ => gap,
    };
    let mut new = format!(",{gap}{}{}", quoted(key), style.colon);
    write(&mut new, value, &style, &indent);
    splice(text, last.value.end..last.value.end, &new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn wishes(set: Value) -> Vec<(Spot, Value)> {
        let Value::Object(map) = set else {
            panic!("a test must set a map")
        };
        map.into_iter()
            .map(|(key, value)| (Spot::parse(&key).expect("a spot"), value))
            .collect()
    }

    fn edited(text: &str, set: Value) -> String {
        set_all(text, &wishes(set)).expect("it can be set")
    }

    fn refused(text: &str, set: Value) -> String {
        set_all(text, &wishes(set)).expect_err("it cannot be set")
    }

    #[test]
    fn only_the_value_changes() {
        let text = "{\n  \"canary\" :2.90,\n\n  \"base\": 3.5 ,\n  \"big\": 123456789012345678901, \"e\": 1e5\n}\n";
        assert_eq!(
            edited(text, json!({"base": 2.7})),
            text.replace("3.5", "2.7")
        );
        assert_eq!(edited(text, json!({"base": 3.5, "canary": 2.9})), text);
    }

    #[test]
    fn a_new_key_stands_last_in_the_manner_of_its_neighbours() {
        let set = || json!({"b": {"c": [1, 2]}});
        insta::assert_snapshot!(edited("{\n    \"a\": 1\n}", set()), @r#"
        {
            "a": 1,
            "b": {
                "c": [
                    1,
                    2
                ]
            }
        }
        "#);
        assert_eq!(
            edited("{\r\n\t\"a\": 1\r\n}", json!({"b": {}})),
            "{\r\n\t\"a\": 1,\r\n\t\"b\": {}\r\n}"
        );
        assert_eq!(edited(r#"{"a":1}"#, set()), r#"{"a":1,"b":{"c":[1,2]}}"#);
        assert_eq!(
            edited(r#"{"a": 1}"#, set()),
            r#"{"a": 1, "b": {"c": [1, 2]}}"#
        );
        assert_eq!(
            edited(r#"{ "a": 1 }"#, set()),
            r#"{ "a": 1, "b": {"c": [1, 2]} }"#
        );
    }

    #[test]
    fn line_ends_are_those_of_the_neighbours() {
        assert_eq!(
            edited(
                "{\r\n\"a\": {\n \"b\": 1\n}\r\n}",
                json!({"/a/b": [1], "c": [2]})
            ),
            "{\r\n\"a\": {\n \"b\": [\n   1\n ]\n},\r\n\"c\": [\r\n  2\r\n]\r\n}"
        );
    }

    #[test]
    fn an_empty_object_is_filled_on_lines() {
        assert_eq!(
            edited("{}\n", json!({"base": 2.7, "canary": 2.9})),
            "{\n  \"base\": 2.7,\n  \"canary\": 2.9\n}\n"
        );
        assert_eq!(
            edited("{\n \"w\": {}\n}", json!({"/w/x": 1})),
            "{\n \"w\": {\n  \"x\": 1\n }\n}"
        );
        assert_eq!(
            edited(r#"{"w":{ }}"#, json!({"/w/x": 1})),
            r#"{"w":{"x":1}}"#
        );
        assert_eq!(edited("{ }", json!({"a": 1})), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn a_pointer_reaches_inside_and_makes_the_way() {
        let text = r#"{"w": {"a/b": [1, {"~": 2}]}}"#;
        assert_eq!(
            edited(text, json!({"/w/a~1b/1/~0": 5})),
            r#"{"w": {"a/b": [1, {"~": 5}]}}"#
        );
        assert_eq!(
            edited(text, json!({"/x/y": true})),
            r#"{"w": {"a/b": [1, {"~": 2}]}, "x": {"y": true}}"#
        );
        assert!(Spot::parse("/a~2").is_err());
        assert!(Spot::parse("/a~").is_err());
        assert_eq!(Spot::parse("a.b"), Ok(Spot(vec!["a.b".to_owned()])));
    }

    #[test]
    fn a_later_wish_may_stand_inside_an_earlier_one() {
        assert_eq!(
            edited("{\"a\":0}", json!({"a": {"b": 1}, "/a/b": 2})),
            r#"{"a":{"b":2}}"#
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(
            refused("[1]", json!({"a": 1})),
            "holds a list, not a JSON object"
        );
        assert!(refused("", json!({"a": 1})).starts_with("is no JSON"));
        assert!(refused("{\"a\": NaN}", json!({"a": 1})).starts_with("is no JSON"));
        assert!(refused("{\"a\": 1} {}", json!({"a": 1})).starts_with("is no JSON"));
        assert_eq!(
            refused(r#"{"a": 1, "a": 2}"#, json!({"a": 1})),
            "has the key `/a` twice"
        );
        assert_eq!(
            refused(r#"{"a": 1}"#, json!({"/a/b": 1})),
            "has a number at `/a`, not a map"
        );
        assert_eq!(
            refused(r#"{"a": [1]}"#, json!({"/a/1": 1})),
            "has a list of 1 at `/a`, so no item `1`"
        );
        assert!(refused(r#"{"a": [1]}"#, json!({"/a/00": 1})).contains("no item"));
    }

    /// The same on values: the other way to get to the same end.
    fn on_values(root: &mut Value, keys: &[String], value: &Value) -> bool {
        let Some((key, rest)) = keys.split_first() else {
            *root = value.clone();
            return true;
        };
        match root {
            Value::Object(map) => {
                let inner = map.entry(key.clone()).or_insert_with(|| json!({}));
                on_values(inner, rest, value)
            }
            Value::Array(items) => match index(key).and_then(|at| items.get_mut(at)) {
                Some(item) => on_values(item, rest, value),
                None => false,
            },
            _ => false,
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
            "[\"\\\\,:{}\\[\\] \n\t]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any_key(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_key() -> impl Strategy<Value = String> {
        prop_oneof!["[abc01]", "[\"\\\\/~{}, é]{0,3}"]
    }

    fn any_object() -> impl Strategy<Value = Value> {
        prop::collection::vec((any_key(), any_value()), 0..6)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    /// A text of the object in one of the manners people write them.
    fn shaped(object: &Value, manner: usize) -> String {
        let style = |newline, unit: &str, colon: &str| Style {
            newline,
            unit: unit.to_owned(),
            colon: colon.to_owned(),
        };
        let style = match manner {
            0 => style(None, "", ":"),
            1 => style(None, "", ": "),
            2 => style(Some("\n"), "  ", ": "),
            3 => style(Some("\r\n"), "\t", " : "),
            4 => style(Some("\n\n"), "    ", ":"),
            _ => style(Some("\n"), "", ": "),
        };
        let mut out = " \n".to_owned();
        write(&mut out, object, &style, "");
        out.push('\n');
        out
    }

    proptest! {
        #[test]
        fn editing_text_is_editing_values(
            object in any_object(), manner in 0..6_usize, value in any_value(),
            keys in prop::collection::vec(any_key(), 1..4),
        ) {
            let text = shaped(&object, manner);
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).expect("JSON"), &object);
            let spot = Spot(keys.clone());
            let mut wish = object.clone();
            let possible = on_values(&mut wish, &keys, &value);
            match set_all(&text, &[(spot.clone(), value.clone())]) {
                Ok(new) => {
                    prop_assert!(possible);
                    let read: Value = serde_json::from_str(&new).expect("JSON");
                    // Texts compare the order of keys too.
                    prop_assert_eq!(read.to_string(), wish.to_string());
                    let again = set_all(&new, &[(spot, value)]).expect("twice");
                    prop_assert_eq!(again, new);
                }
                Err(why) => prop_assert!(!possible, "{}", why),
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}\\[\\]\":, \\\\a1\n]{0,24}", key in any_key()) {
            let _ = set_all(&text, &[(Spot(vec![key.clone()]), Value::from(1))]);
            let _ = set(&text, &Spot(vec![key.clone(), key]), &Value::from(1));
        }

        #[test]
        fn a_spot_reads_back_as_shown(keys in prop::collection::vec(any_key(), 1..4)) {
            let spot = Spot(keys);
            prop_assert_eq!(Spot::parse(&spot.shown(usize::MAX)), Ok(spot));
        }
    }
}
