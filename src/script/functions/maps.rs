//! Properties, items, and the functions of maps. An absent property is an error; `get` is the way to allow absence.

use std::any::TypeId;

use rhai::{Array, Dynamic, Engine, ImmutableString, Map};

use super::{Call, List, items, table};
use crate::{
    model::text::meant,
    script::{
        budget,
        closure::Closure,
        compare::same,
        json::Json,
        rewrite::{CLOSURE, ITEM, KIND, PROPERTY, TEXT},
        value::{Kind, Outcome, describe, keys, length, listing, refuse, text_of},
    },
};

table! {
    "get" 3..=3 "write `x.get(\"name\", default)`" "the value under a name or at an index; the default when it is absent or `x` is `()`" get;
    "keys" 1..=1 "write `map.keys()`" "the names in a map" names;
    "values" 1..=1 "write `map.values()`" "the values of a map" values;
    "len" 1..=1 "write `x.len()`" "items of a list, names in a map, characters of a text" len;
    "is_empty" 1..=1 "write `x.is_empty()`" "whether a list, map or text has nothing in it" is_empty;
    "contains" 2..=2 "write `x in list`, `\"name\" in map` or `\"part\" in text`" "whether it has the item, the name or the part; other kinds have nothing" contains;
}

/// What `rewrite` puts in the place of `.name`, `[index]`, `type_of`, `${…}` in a text, and functions.
pub(super) fn register_access(engine: &mut Engine) {
    let any = TypeId::of::<Dynamic>();
    let text = TypeId::of::<ImmutableString>();
    for kind in [any, TypeId::of::<Json>(), TypeId::of::<Map>()] {
        engine.register_raw_fn(PROPERTY, [kind, text], |_, args| {
            match args[1].as_immutable_string_ref() {
                Ok(name) => property(args[0], &name),
                Err(_) => refuse("the name of a property is a text"),
            }
        });
    }
    engine.register_raw_fn(ITEM, [any, any], |_, args| item(args[0], args[1]));
    engine.register_raw_fn(KIND, [any], |_, args| Ok(Kind::of(args[0]).word()));
    engine.register_raw_fn(TEXT, [any], |_, args| {
        let text = text_of(args[0])?;
        budget::text(text.len())?;
        Ok(text)
    });
    engine.register_raw_fn(CLOSURE, [any, any], |_, args| {
        match args[0].read_lock::<Closure>() {
            Some(closure) => Ok(closure.capturing(items(args[1])?)),
            None => refuse("only a function captures"),
        }
    });
}

/// `x.name`.
pub(in crate::script) fn property(value: &Dynamic, name: &ImmutableString) -> Outcome<Dynamic> {
    if let Some(json) = value.read_lock::<Json>()
        && let Some(found) = json.key(name)
    {
        return found;
    }
    if let Some(map) = value.read_lock::<Map>()
        && let Some(found) = map.get(name.as_str())
    {
        return Ok(found.clone());
    }
    match (Kind::of(value), name.as_str(), length(value)) {
        (Kind::List | Kind::Text, "len", Some(length)) => Ok(Dynamic::from_int(length as i64)),
        _ => refuse(absent(value, name)),
    }
}

fn absent(value: &Dynamic, name: &str) -> String {
    let function = match super::is_reading(name) {
        true => format!("; did you mean `{name}()`?"),
        false => String::new(),
    };
    if Kind::of(value) != Kind::Map {
        return format!("{} has no property `{name}`{function}", describe(value));
    }
    let keys = keys(value);
    let is_slip = meant(name, keys.iter().map(String::as_str)).is_some();
    match &keys[..] {
        _ if !function.is_empty() && !is_slip => format!("no property `{name}`{function}"),
        [] => format!("no property `{name}`; the map is empty"),
        keys => format!("no property `{name}`; there are {}", listing(keys)),
    }
}

/// `x[index]`.
fn item(value: &Dynamic, index: &Dynamic) -> Outcome<Dynamic> {
    if let Ok(name) = index.as_immutable_string_ref() {
        return match Kind::of(value) {
            Kind::Map => property(value, &name),
            _ => refuse(absent(value, &name)),
        };
    }
    let Some(length) = length(value) else {
        return refuse(format!("{} has no items", describe(value)));
    };
    let found = match index.as_int() {
        Ok(index) => at(value, index, length)?,
        Err(_) => None,
    };
    match (found, Kind::of(value)) {
        (Some(found), _) => Ok(found),
        (None, Kind::Map) => refuse(format!("{} is not a name in a map", describe(index))),
        (None, _) => refuse(format!(
            "no item {} in {}",
            index
                .as_int()
                .map_or_else(|_| describe(index), |index| index.to_string()),
            describe(value)
        )),
    }
}

/// The item at an index, from the end when it is negative.
fn at(value: &Dynamic, index: i64, length: usize) -> Outcome<Option<Dynamic>> {
    let place = match usize::try_from(index) {
        Ok(place) => Some(place),
        Err(_) => usize::try_from(index.unsigned_abs())
            .ok()
            .and_then(|back| length.checked_sub(back)),
    };
    let Some(place) = place.filter(|place| *place < length) else {
        return Ok(None);
    };
    if let Some(list) = List::of(value) {
        return list.item(place).map(Some);
    }
    match value.as_immutable_string_ref() {
        Ok(text) => {
            budget::spend(text.len() / 64)?;
            Ok(text
                .chars()
                .nth(place)
                .map(|c| Dynamic::from(String::from(c))))
        }
        Err(_) => Ok(None),
    }
}

/// The value under a name of a map; nothing when it is absent or there is no map but `()`.
pub(super) fn lookup(value: &Dynamic, name: &ImmutableString) -> Outcome<Option<Dynamic>> {
    if let Some(json) = value.read_lock::<Json>()
        && json.value().is_object()
    {
        return json.key(name).transpose();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return Ok(map.get(name.as_str()).cloned());
    }
    match value.is_unit() {
        true => Ok(None),
        false => refuse(format!("{} has no property `{name}`", describe(value))),
    }
}

fn get(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let [value, name, default] = args else {
        return refuse(call.function.usage);
    };
    let found = match (List::of(value), name.as_int()) {
        (Some(list), Ok(index)) => at(value, index, list.len())?,
        (Some(_), Err(_)) => return call.misused(name),
        (None, _) if value.is_unit() => None,
        (None, _) => lookup(value, &*call.text(name)?)?,
    };
    Ok(match found {
        Some(found) => found,
        None => std::mem::take(*default),
    })
}

fn names(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    if Kind::of(args[0]) != Kind::Map {
        return call.misused(args[0]);
    }
    let keys = keys(args[0]);
    budget::spend(keys.len())?;
    Ok(Dynamic::from_array(
        keys.into_iter().map(Dynamic::from).collect(),
    ))
}

fn values(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let values: Outcome<Array> = if let Some(map) = args[0].read_lock::<Map>() {
        budget::spend(map.len())?;
        Ok(map.values().cloned().collect())
    } else if let Some(json) = args[0].read_lock::<Json>()
        && json.value().is_object()
    {
        budget::spend(json.len())?;
        (0..json.len())
            .filter_map(|index| json.nth_value(index))
            .collect()
    } else {
        return call.misused(args[0]);
    };
    values.map(Dynamic::from_array)
}

fn len(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    match length(args[0]) {
        Some(length) => Ok(Dynamic::from_int(length as i64)),
        None => call.misused(args[0]),
    }
}

fn is_empty(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    match length(args[0]) {
        Some(length) => Ok((length == 0).into()),
        None => call.misused(args[0]),
    }
}

fn contains(_: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let (whole, part) = (&*args[0], &*args[1]);
    if let Some(range) = whole.read_lock::<std::ops::Range<i64>>() {
        return within(part, range.start, range.end, false);
    }
    if let Some(range) = whole.read_lock::<std::ops::RangeInclusive<i64>>() {
        return within(part, *range.start(), *range.end(), true);
    }
    let found = match Kind::of(whole) {
        Kind::List => {
            let Some(list) = List::of(whole) else {
                return Ok(false.into());
            };
            budget::spend(list.len())?;
            for index in 0..list.len() {
                if same(&list.item(index)?, part)? {
                    return Ok(true.into());
                }
            }
            false
        }
        Kind::Map => match part.as_immutable_string_ref() {
            Ok(name) => match whole.read_lock::<Json>() {
                Some(json) => json.value().get(name.as_str()).is_some(),
                None => whole
                    .read_lock::<Map>()
                    .is_some_and(|map| map.contains_key(name.as_str())),
            },
            Err(_) => false,
        },
        Kind::Text => {
            let texts = (
                whole.as_immutable_string_ref(),
                part.as_immutable_string_ref(),
            );
            match texts {
                (Ok(whole), Ok(part)) => {
                    budget::spend(whole.len() / 64)?;
                    whole.contains(part.as_str())
                }
                _ => false,
            }
        }
        _ => false,
    };
    Ok(found.into())
}

/// `x in 1..10`: also for reals; other kinds are not in a range.
fn within(value: &Dynamic, start: i64, end: i64, inclusive: bool) -> Outcome<Dynamic> {
    use crate::script::compare::{exact, number};
    let Some(number) = number(value) else {
        return Ok(false.into());
    };
    let (number, start, end) = (number?, exact(start)?, exact(end)?);
    Ok((number >= start && (number < end || inclusive && number == end)).into())
}
