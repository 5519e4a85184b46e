//! Functions that ask the items of a list, pick some, or put them in another order. What they ask of each item is the
//! item itself, a field (`"score"`) or a function (`|r| r.score`). Of an empty list there is no share, first or last.

use rhai::{Array, Dynamic};

use super::{Call, List, finite, items, maps::lookup, of_nothing, table};
use crate::script::{
    budget,
    compare::{number, same},
    value::{Outcome, describe, refuse, text_of},
};

table! {
    "count" 1..=2 "write `list.count()`, `list.count(\"field\")` or `list.count(|x| …)`" "how many items there are, or hold" count;
    "share" 2..=2 "write `list.share(\"field\")` or `list.share(|x| …)`" "which part of the items holds, from 0 to 1" share;
    "any" 1..=2 "write `list.any(\"field\")` or `list.any(|x| …)`" "whether an item holds" any;
    "some" 1..=2 "write `list.some(\"field\")` or `list.some(|x| …)`" "the same as `any`" any;
    "all" 1..=2 "write `list.all(\"field\")` or `list.all(|x| …)`" "whether every item holds" all;
    "streak" 1..=2 "write `list.streak(\"field\")` or `list.streak(|x| …)`" "how many items at the end hold in a row" streak;
    "map" 2..=2 "write `list.map(|x| …)`" "what the function gives for each item" map;
    "filter" 2..=2 "write `list.filter(\"field\")` or `list.filter(|x| …)`" "the items that hold" filter;
    "pluck" 2..=3 "write `list.pluck(\"field\")` or `list.pluck(\"field\", default)`" "that field of each item" pluck;
    "first" 1..=2 "write `list.first()` or `list.first(n)`" "the first item, or the first n as a list" first;
    "last" 1..=2 "write `list.last()` or `list.last(n)`" "the last item, or the last n as a list" last;
    "minus" 2..=2 "write `list.minus(other)`" "the items that are not in the other list" minus;
    "join" 1..=2 "write `list.join(\", \")`" "the items as one text" join;
    "sort" 1..=2 "write `list.sort()`, `list.sort(\"field\")` or `list.sort(|x| …)`" "the items in rising order" sort;
    "reverse" 1..=1 "write `list.reverse()`" "the items from last to first" reverse;
    "unique" 1..=1 "write `list.unique()`" "each different item once" unique;
    "index_of" 2..=2 "write `list.index_of(item)` or `text.index_of(\"part\")`" "where it stands first, from 0; `()` if nowhere" index_of;
}

fn holding(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<(usize, usize)> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    let mut holding = 0;
    for index in 0..list.len() {
        holding += usize::from(call.holds(&list, index, &pick)?);
    }
    Ok((holding, list.len()))
}

fn count(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let count = match args {
        [list] => call.list(list)?.len(),
        _ => holding(call, args)?.0,
    };
    Ok(Dynamic::from_int(count as i64))
}

fn share(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    match holding(call, args)? {
        (_, 0) => of_nothing(call),
        (holding, all) => finite(holding as f64 / all as f64),
    }
}

fn any(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    for index in 0..list.len() {
        if call.holds(&list, index, &pick)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn all(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    for index in 0..list.len() {
        if !call.holds(&list, index, &pick)? {
            return Ok(false.into());
        }
    }
    Ok(true.into())
}

fn streak(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    let mut streak = 0;
    for index in (0..list.len()).rev() {
        if !call.holds(&list, index, &pick)? {
            break;
        }
        streak += 1;
    }
    Ok(Dynamic::from_int(streak))
}

fn map(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(Some(args[1]))?;
    let list = call.list(args[0])?;
    let mapped: Outcome<Array> = (0..list.len())
        .map(|index| call.picked(&list, index, &pick))
        .collect();
    mapped.map(Dynamic::from_array)
}

fn filter(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(Some(args[1]))?;
    let list = call.list(args[0])?;
    let mut kept = Array::new();
    for index in 0..list.len() {
        if call.holds(&list, index, &pick)? {
            kept.push(list.item(index)?);
        }
    }
    Ok(Dynamic::from_array(kept))
}

fn pluck(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let field = call.text(args[1])?.clone();
    let list = call.list(args[0])?;
    let plucked: Outcome<Array> = (0..list.len())
        .map(|index| match args.get(2) {
            None => list.field(index, &field),
            Some(default) => Ok(match lookup(&list.item(index)?, &field)? {
                Some(found) => found,
                None => Dynamic::clone(default),
            }),
        })
        .collect();
    plucked.map(Dynamic::from_array)
}

fn first(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let list = call.list(args[0])?;
    match args.get(1) {
        None if list.len() == 0 => of_nothing(call),
        None => list.item(0),
        Some(count) => part(&list, 0, call.index(count)?.min(list.len())),
    }
}

fn last(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let list = call.list(args[0])?;
    match args.get(1) {
        None if list.len() == 0 => of_nothing(call),
        None => list.item(list.len() - 1),
        Some(count) => {
            let from = list.len().saturating_sub(call.index(count)?);
            part(&list, from, list.len())
        }
    }
}

fn part(list: &List<'_>, from: usize, to: usize) -> Outcome<Dynamic> {
    let part: Outcome<Array> = (from..to).map(|index| list.item(index)).collect();
    part.map(Dynamic::from_array)
}

fn minus(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let (list, other) = (call.list(args[0])?, call.list(args[1])?);
    let other: Array = (0..other.len())
        .map(|index| other.item(index))
        .collect::<Outcome<_>>()?;
    let mut kept = Array::new();
    for index in 0..list.len() {
        budget::spend(other.len())?;
        let item = list.item(index)?;
        if !is_among(&other, &item)? {
            kept.push(item);
        }
    }
    Ok(Dynamic::from_array(kept))
}

fn is_among(items: &[Dynamic], item: &Dynamic) -> Outcome<bool> {
    for known in items {
        if same(known, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn join(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let between = match args.get(1) {
        Some(text) => call.text(text)?.clone(),
        None => ", ".into(),
    };
    let list = call.list(args[0])?;
    let mut joined = String::new();
    for index in 0..list.len() {
        if index > 0 {
            joined.push_str(&between);
        }
        joined.push_str(&text_of(&list.item(index)?)?);
        budget::spend(joined.len() / 65536)?;
    }
    Ok(joined.into())
}

fn sort(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    budget::spend(list.len() * (list.len().max(1).ilog2() as usize))?;
    let keys: Array = (0..list.len())
        .map(|index| call.picked(&list, index, &pick))
        .collect::<Outcome<_>>()?;
    let places = sorted(&keys)?;
    let sorted: Outcome<Array> = places.into_iter().map(|index| list.item(index)).collect();
    sorted.map(Dynamic::from_array)
}

/// The places of keys in rising order. All must have an order with each other.
fn sorted(keys: &[Dynamic]) -> Outcome<Vec<usize>> {
    let mut places: Vec<usize> = (0..keys.len()).collect();
    if keys.iter().all(Dynamic::is_string) {
        let texts: Vec<_> = keys
            .iter()
            .filter_map(|key| key.as_immutable_string_ref().ok())
            .collect();
        places.sort_by(|a, b| texts[*a].as_str().cmp(texts[*b].as_str()));
        return Ok(places);
    }
    if keys.iter().all(Dynamic::is_int) {
        places.sort_by_key(|place| keys[*place].as_int().unwrap_or_default());
        return Ok(places);
    }
    let numbers: Vec<f64> = keys
        .iter()
        .map(|key| match number(key) {
            Some(number) => number,
            None => refuse(format!("cannot sort {} among other kinds", describe(key))),
        })
        .collect::<Outcome<_>>()?;
    places.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    Ok(places)
}

fn reverse(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    call.list(args[0])?;
    let mut items = items(args[0])?;
    items.reverse();
    Ok(Dynamic::from_array(items))
}

fn unique(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let list = call.list(args[0])?;
    let mut kept = Array::new();
    for index in 0..list.len() {
        budget::spend(kept.len())?;
        let item = list.item(index)?;
        if !is_among(&kept, &item)? {
            kept.push(item);
        }
    }
    Ok(Dynamic::from_array(kept))
}

fn index_of(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    if args[0].is_string() {
        let (text, part) = (call.text(args[0])?, call.text(args[1])?);
        budget::spend(text.len() / 64)?;
        return Ok(match text.find(part.as_str()) {
            Some(at) => Dynamic::from_int(text[..at].chars().count() as i64),
            None => Dynamic::UNIT,
        });
    }
    let list = call.list(args[0])?;
    for index in 0..list.len() {
        if same(&list.item(index)?, args[1])? {
            return Ok(Dynamic::from_int(index as i64));
        }
    }
    Ok(Dynamic::UNIT)
}
