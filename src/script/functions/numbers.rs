//! Functions of numbers. Nothing here gives NaN or an infinity.

use rhai::Dynamic;

use super::{Call, finite, table};
use crate::script::{
    compare::{number, order, real},
    value::{Outcome, refuse},
};

table! {
    "abs" 1..=1 "write `x.abs()`" "the distance from zero" abs;
    "floor" 1..=1 "write `x.floor()`" "the integer below" |call, args| whole(call, args, f64::floor);
    "ceil" 1..=1 "write `x.ceil()`" "the integer above" |call, args| whole(call, args, f64::ceil);
    "round" 1..=2 "write `x.round()` or `x.round(digits)`" "the nearest integer, or the nearest number of so many decimals" round;
    "sqrt" 1..=1 "write `x.sqrt()`" "the square root" |call, args| smooth(call, args, f64::sqrt);
    "ln" 1..=1 "write `x.ln()`" "the natural logarithm" |call, args| smooth(call, args, f64::ln);
    "log2" 1..=1 "write `x.log2()`" "the logarithm to base 2" |call, args| smooth(call, args, f64::log2);
    "log10" 1..=1 "write `x.log10()`" "the logarithm to base 10" |call, args| smooth(call, args, f64::log10);
    "exp" 1..=1 "write `x.exp()`" "e to the power of x" |call, args| smooth(call, args, f64::exp);
    "pow" 2..=2 "write `pow(x, y)`" "x to the power of y, as a real" pow;
    "clamp" 3..=3 "write `x.clamp(low, high)`" "x, but not below low and not above high" clamp;
    "near" 2..=3 "write `near(a, b)` or `near(a, b, tolerance)`" "whether two numbers differ by no more than the tolerance (default: a billionth of the larger)" near;
    "fixed" 2..=2 "write `x.fixed(decimals)`" "a number as text with so many decimals" fixed;
}

impl Call<'_> {
    pub fn number(&self, value: &Dynamic) -> Outcome<f64> {
        match number(value) {
            Some(number) => number,
            None => self.misused(value),
        }
    }
}

/// An integer, when it fits one.
fn integer(number: f64) -> Outcome<Dynamic> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if (-BEYOND..BEYOND).contains(&number) {
        return Ok(Dynamic::from_int(number as i64));
    }
    refuse("the result is too large for an integer")
}

fn abs(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    match (args[0].as_int(), args[0].as_float()) {
        (Ok(int), _) => match int.checked_abs() {
            Some(int) => Ok(Dynamic::from_int(int)),
            None => refuse("the result is too large for an integer"),
        },
        (_, Ok(number)) => Ok(Dynamic::from_float(real(number)?.abs())),
        _ => call.misused(args[0]),
    }
}

fn whole(call: &Call<'_>, args: &mut [&mut Dynamic], cut: fn(f64) -> f64) -> Outcome<Dynamic> {
    if args[0].is_int() {
        return Ok(args[0].clone());
    }
    integer(cut(call.number(args[0])?))
}

fn round(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let [value, digits] = args else {
        return whole(call, args, f64::round);
    };
    let number = call.number(value)?;
    let digits = decimals(call, digits)?;
    match format!("{number:.digits$}").parse() {
        Ok(rounded) => finite(rounded),
        Err(_) => refuse("this number cannot be rounded"),
    }
}

fn smooth(call: &Call<'_>, args: &mut [&mut Dynamic], f: fn(f64) -> f64) -> Outcome<Dynamic> {
    finite(f(call.number(args[0])?))
}

fn pow(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    finite(call.number(args[0])?.powf(call.number(args[1])?))
}

fn clamp(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let (value, low, high) = (&*args[0], &*args[1], &*args[2]);
    for bound in [value, low, high] {
        call.number(bound)?;
    }
    let is = |a, b, wanted: fn(std::cmp::Ordering) -> bool| -> Outcome<bool> {
        Ok(order(a, b)?.is_some_and(wanted))
    };
    if is(low, high, std::cmp::Ordering::is_gt)? {
        return refuse("the low bound is above the high one");
    }
    Ok(if is(value, low, std::cmp::Ordering::is_lt)? {
        low.clone()
    } else if is(value, high, std::cmp::Ordering::is_gt)? {
        high.clone()
    } else {
        value.clone()
    })
}

fn near(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let (a, b) = (call.number(args[0])?, call.number(args[1])?);
    let tolerance = match args.get(2) {
        Some(tolerance) => call.number(tolerance)?,
        None => 1e-9 * a.abs().max(b.abs()),
    };
    if tolerance < 0.0 {
        return refuse("a tolerance is not negative");
    }
    Ok((a == b || (a - b).abs() <= tolerance).into())
}

fn fixed(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let number = match args[0].as_int() {
        Ok(int) => format!("{int}."),
        Err(_) => String::new(),
    };
    let digits = decimals(call, args[1])?;
    if !number.is_empty() {
        let text = format!("{number}{}", "0".repeat(digits));
        return Ok(text.trim_end_matches('.').to_owned().into());
    }
    let number = call.number(args[0])?;
    let text = format!("{number:.digits$}");
    // A little less than nothing is nothing, not `-0`.
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|it| matches!(it, b'0' | b'.')) => {
            Ok(rest.to_owned().into())
        }
        _ => Ok(text.into()),
    }
}

fn decimals(call: &Call<'_>, value: &Dynamic) -> Outcome<usize> {
    let digits = call.index(value)?;
    if digits > 20 {
        return refuse("at most 20 decimals");
    }
    Ok(digits)
}
