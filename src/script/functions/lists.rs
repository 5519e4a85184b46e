//! Functions of lists. What they ask of each item is the item itself, a field (`"score"`) or a function
//! (`|r| r.score`). Of an empty list there is no mean, max, min, median, percentile, share, first or last.

use std::cmp::Ordering;

use rhai::{Array, Dynamic};

use super::{Call, List, Pick, items, maps::lookup, table};
use crate::script::{
    compare::{order, same},
    frame,
    value::{Outcome, describe, refuse, text_of},
};

table! {
    "mean" 1..=2 "write `list.mean()`, `list.mean(\"field\")` or `list.mean(|x| …)`" "the average" mean;
    "sum" 1..=2 "write `list.sum()`, `list.sum(\"field\")` or `list.sum(|x| …)`" "the sum; 0 of an empty list" sum;
    "median" 1..=2 "write `list.median()`, `list.median(\"field\")` or `list.median(|x| …)`" "the middle value, or the mean of both" median;
    "percentile" 2..=3 "write `list.percentile(95)` or `list.percentile(\"field\", 95)`" "the value below which so many percent lie, interpolated" percentile;
    "max" 1..=4 "write `list.max()`, `list.max(\"field\")` or `max(a, b)`" "the greatest" |call, args| extreme(call, args, Ordering::is_gt);
    "min" 1..=4 "write `list.min()`, `list.min(\"field\")` or `min(a, b)`" "the least" |call, args| extreme(call, args, Ordering::is_lt);
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

fn of_nothing<T>(call: &Call<'_>) -> Outcome<T> {
    refuse(format!("an empty list has no `{}`", call.function.name))
}

/// Every item, or what was picked of it, as a number.
fn numbers(call: &Call<'_>, list: &List<'_>, pick: &Pick) -> Outcome<Vec<f64>> {
    (0..list.len())
        .map(|index| {
            let value = call.picked(list, index, pick)?;
            match crate::script::compare::number(&value) {
                Some(number) => number,
                None => refuse(format!(
                    "item {index} is {}, not a number",
                    describe(&value)
                )),
            }
        })
        .collect()
}

fn all_numbers(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Vec<f64>> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    numbers(call, &list, &pick)
}

fn finite(number: f64) -> Outcome<Dynamic> {
    if !number.is_finite() {
        return refuse("the result is not a finite number");
    }
    Ok(Dynamic::from_float(number))
}

fn mean(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let numbers = all_numbers(call, args)?;
    if numbers.is_empty() {
        return of_nothing(call);
    }
    finite(numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// Integers give an integer.
fn sum(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    let (mut whole, mut real, mut is_whole) = (0_i64, 0.0, true);
    for index in 0..list.len() {
        let value = call.picked(&list, index, &pick)?;
        match (value.as_int(), crate::script::compare::number(&value)) {
            (Ok(int), _) if is_whole => match whole.checked_add(int) {
                Some(sum) => whole = sum,
                None => return refuse("the result is too large for an integer"),
            },
            (_, Some(number)) => {
                if is_whole {
                    real = crate::script::compare::exact(whole)?;
                    is_whole = false;
                }
                real += number?;
            }
            (_, None) => {
                return refuse(format!(
                    "item {index} is {}, not a number",
                    describe(&value)
                ));
            }
        }
    }
    match is_whole {
        true => Ok(Dynamic::from_int(whole)),
        false => finite(real),
    }
}

fn median(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let numbers = all_numbers(call, args)?;
    quantile(call, numbers, 0.5)
}

fn percentile(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let (pick, percent) = match args {
        [_, percent] => (Pick::Item, call.number(percent)?),
        [_, pick, percent] => (call.pick(Some(pick))?, call.number(percent)?),
        _ => return refuse(call.function.usage),
    };
    if !(0.0..=100.0).contains(&percent) {
        return refuse("a percentile lies between 0 and 100");
    }
    let list = call.list(args[0])?;
    let numbers = numbers(call, &list, &pick)?;
    quantile(call, numbers, percent / 100.0)
}

fn quantile(call: &Call<'_>, mut numbers: Vec<f64>, part: f64) -> Outcome<Dynamic> {
    numbers.sort_by(f64::total_cmp);
    let place = part * numbers.len().saturating_sub(1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    match (numbers.get(below), numbers.get(above)) {
        (Some(low), Some(high)) => finite(low + (high - low) * (place - place.floor())),
        _ => of_nothing(call),
    }
}

/// Of a list, or of numbers given one by one.
fn extreme(
    call: &Call<'_>,
    args: &mut [&mut Dynamic],
    better: fn(Ordering) -> bool,
) -> Outcome<Dynamic> {
    if let Some(list) = List::of(args[0]) {
        frame::spend(list.len())?;
        if args.len() > 2 {
            return refuse(call.function.usage);
        }
        let pick = call.pick(args.get(1).map(|argument| &**argument))?;
        let values = (0..list.len()).map(|index| call.picked(&list, index, &pick));
        return best(call, values, better);
    }
    if args.len() < 2 {
        return call.misused(args[0]);
    }
    let values = args
        .iter()
        .map(|value| match crate::script::compare::number(value) {
            Some(number) => number.map(|_| Dynamic::clone(value)),
            None => call.misused(value),
        });
    best(call, values, better)
}

fn best(
    call: &Call<'_>,
    values: impl Iterator<Item = Outcome<Dynamic>>,
    better: fn(Ordering) -> bool,
) -> Outcome<Dynamic> {
    let mut best: Option<Dynamic> = None;
    for value in values {
        let value = value?;
        let Some(known) = &best else {
            // by itself, so that a lone text or map is refused too
            compared(&value, &value)?;
            best = Some(value);
            continue;
        };
        if better(compared(&value, known)?) {
            best = Some(value);
        }
    }
    best.map_or_else(|| of_nothing(call), Ok)
}

fn compared(a: &Dynamic, b: &Dynamic) -> Outcome<Ordering> {
    match order(a, b)? {
        Some(order) => Ok(order),
        None => refuse(format!(
            "cannot compare {} with {}",
            describe(a),
            describe(b)
        )),
    }
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
        frame::spend(other.len())?;
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
        frame::spend(joined.len() / 65536)?;
    }
    Ok(joined.into())
}

fn sort(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let pick = call.pick(args.get(1).map(|argument| &**argument))?;
    let list = call.list(args[0])?;
    frame::spend(list.len() * (list.len().max(1).ilog2() as usize))?;
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
        .map(|key| match crate::script::compare::number(key) {
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
        frame::spend(kept.len())?;
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
        frame::spend(text.len() / 64)?;
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
