//! Functions of texts. Positions and lengths count characters.

use rhai::{Array, Dynamic};

use super::{Call, table};
use crate::script::{
    budget,
    value::{Outcome, refuse, text_of},
};

table! {
    "starts_with" 2..=2 "write `text.starts_with(\"part\")`" "whether a text begins so" |call, args| ends(call, args, |text, part| text.starts_with(part));
    "ends_with" 2..=2 "write `text.ends_with(\"part\")`" "whether a text ends so" |call, args| ends(call, args, |text, part| text.ends_with(part));
    "to_lower" 1..=1 "write `text.to_lower()`" "in lower case" |call, args| changed(call, args, str::to_lowercase);
    "to_upper" 1..=1 "write `text.to_upper()`" "in upper case" |call, args| changed(call, args, str::to_uppercase);
    "trim" 1..=1 "write `text.trim()`" "without white space at its ends" |call, args| changed(call, args, |text| text.trim().to_owned());
    "split" 1..=2 "write `text.split(\",\")`, or `text.split()` at white space" "its parts" split;
    "lines" 1..=1 "write `text.lines()`" "its lines" lines;
    "sub_string" 2..=3 "write `text.sub_string(start)` or `text.sub_string(start, length)`" "the part from a position on" sub_string;
    "replace" 3..=3 "write `text.replace(\"old\", \"new\")`" "with every `old` replaced" replace;
    "text" 1..=1 "write `text(x)`" "a number, boolean, list or map as text" as_text;
}

fn ends(
    call: &Call<'_>,
    args: &mut [&mut Dynamic],
    test: fn(&str, &str) -> bool,
) -> Outcome<Dynamic> {
    let (text, part) = (call.text(args[0])?, call.text(args[1])?);
    Ok(test(&text, &part).into())
}

fn changed(
    call: &Call<'_>,
    args: &mut [&mut Dynamic],
    change: fn(&str) -> String,
) -> Outcome<Dynamic> {
    let text = call.text(args[0])?;
    budget::spend(text.len() / 64)?;
    Ok(change(&text).into())
}

fn parts<'a>(parts: impl Iterator<Item = &'a str>) -> Outcome<Dynamic> {
    let parts: Array = parts.map(|part| part.into()).collect();
    budget::spend(parts.len())?;
    Ok(Dynamic::from_array(parts))
}

fn split(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let text = call.text(args[0])?;
    budget::spend(text.len() / 64)?;
    match args.get(1) {
        None => parts(text.split_whitespace()),
        Some(by) => {
            let by = call.text(by)?;
            if by.is_empty() {
                return refuse("a text is not split by nothing");
            }
            parts(text.split(by.as_str()))
        }
    }
}

fn lines(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let text = call.text(args[0])?;
    budget::spend(text.len() / 64)?;
    parts(text.lines())
}

fn sub_string(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let text = call.text(args[0])?;
    budget::spend(text.len() / 64)?;
    let start = call.index(args[1])?;
    let length = match args.get(2) {
        Some(length) => call.index(length)?,
        None => usize::MAX,
    };
    let characters = text.chars().count();
    if start > characters {
        return refuse(format!("no character {start}; there are {characters}"));
    }
    let part: String = text.chars().skip(start).take(length).collect();
    Ok(part.into())
}

fn replace(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let (text, old, new) = (
        call.text(args[0])?,
        call.text(args[1])?,
        call.text(args[2])?,
    );
    if old.is_empty() {
        return refuse("nothing cannot be replaced");
    }
    let found = text.matches(old.as_str()).count();
    budget::spend((text.len() + found.saturating_mul(new.len())) / 64)?;
    Ok(text.replace(old.as_str(), &new).into())
}

fn as_text(_: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    text_of(args[0]).map(Dynamic::from)
}
