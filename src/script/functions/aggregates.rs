//! What is calculated of all items of a list, or of a field or function of each. Of an empty list there is no mean, max,
//! min, median or percentile.

use std::cmp::Ordering;

use rhai::Dynamic;

use super::{Call, List, Pick, finite, of_nothing, table};
use crate::script::{
    budget,
    compare::{exact, number, order},
    value::{Outcome, describe, refuse},
};

table! {
    "mean" 1..=2 "write `list.mean()`, `list.mean(\"field\")` or `list.mean(|x| …)`" "the average" mean;
    "sum" 1..=2 "write `list.sum()`, `list.sum(\"field\")` or `list.sum(|x| …)`" "the sum; 0 of an empty list" sum;
    "median" 1..=2 "write `list.median()`, `list.median(\"field\")` or `list.median(|x| …)`" "the middle value, or the mean of both" median;
    "percentile" 2..=3 "write `list.percentile(95)` or `list.percentile(\"field\", 95)`" "the value below which so many percent lie, interpolated" percentile;
    "max" 1..=4 "write `list.max()`, `list.max(\"field\")` or `max(a, b)`" "the greatest" |call, args| extreme(call, args, Ordering::is_gt);
    "min" 1..=4 "write `list.min()`, `list.min(\"field\")` or `min(a, b)`" "the least" |call, args| extreme(call, args, Ordering::is_lt);
}

/// Every item, or what was picked of it, as a number.
fn numbers(call: &Call<'_>, list: &List<'_>, pick: &Pick) -> Outcome<Vec<f64>> {
    (0..list.len())
        .map(|index| {
            let value = call.picked(list, index, pick)?;
            match number(&value) {
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
        match (value.as_int(), number(&value)) {
            (Ok(int), _) if is_whole => match whole.checked_add(int) {
                Some(sum) => whole = sum,
                None => return refuse("the result is too large for an integer"),
            },
            (_, Some(number)) => {
                if is_whole {
                    real = exact(whole)?;
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
        budget::spend(list.len())?;
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
    let values = args.iter().map(|value| match number(value) {
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
