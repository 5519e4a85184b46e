//! The operators. Each is registered for the pairs that make sense, and for any two values as an error: Rhai by itself
//! answers `false` when it is asked to order different kinds, and wraps or rounds where rules must not.

use std::{any::TypeId, cmp::Ordering};

use rhai::{Array, Dynamic, Engine, ImmutableString, Map};

use super::{
    budget,
    compare::{exact, order, real, same},
    json::Json,
    value::{Kind, Outcome, describe, refuse},
};

pub(super) fn register(engine: &mut Engine) {
    register_order(engine);
    register_equality(engine);
    register_arithmetic(engine);
    register_assignments(engine);
    engine.register_fn("!", |value: bool| !value);
    engine.register_fn("!", |value: Dynamic| -> Outcome<bool> {
        refuse(format!("cannot negate {}", describe(&value)))
    });
}

fn register_order(engine: &mut Engine) {
    macro_rules! order_by {
        ($($name:literal $operator:tt $holds:expr;)*) => { $(
            engine.register_fn($name, |a: i64, b: i64| a $operator b);
            engine.register_fn($name, |a: f64, b: f64| -> Outcome<bool> { Ok(real(a)? $operator real(b)?) });
            engine.register_fn($name, |a: i64, b: f64| -> Outcome<bool> { Ok(exact(a)? $operator real(b)?) });
            engine.register_fn($name, |a: f64, b: i64| -> Outcome<bool> { Ok(real(a)? $operator exact(b)?) });
            engine.register_raw_fn($name, [TypeId::of::<Dynamic>(); 2], |_, args| -> Outcome<bool> {
                let [a, b] = args else { return refuse("two values are compared") };
                let holds: fn(Ordering) -> bool = $holds;
                match order(a, b)? {
                    Some(order) => Ok(holds(order)),
                    None => refuse(format!("cannot compare {} {} {}", describe(a), $name, describe(b))),
                }
            });
        )* };
    }
    order_by! {
        "<" < Ordering::is_lt;
        "<=" <= Ordering::is_le;
        ">" > Ordering::is_gt;
        ">=" >= Ordering::is_ge;
    }
}

fn register_equality(engine: &mut Engine) {
    macro_rules! equal_by {
        ($($name:literal $operator:tt;)*) => { $(
            engine.register_fn($name, |a: i64, b: i64| a $operator b);
            engine.register_fn($name, |a: bool, b: bool| a $operator b);
            engine.register_fn($name, |a: f64, b: f64| -> Outcome<bool> { Ok(real(a)? $operator real(b)?) });
            engine.register_raw_fn($name, [TypeId::of::<Dynamic>(); 2], |_, args| -> Outcome<bool> {
                let [a, b] = args else { return refuse("two values are compared") };
                Ok(same(a, b)? $operator true)
            });
        )* };
    }
    equal_by! { "==" ==; "!=" !=; }
    let text = TypeId::of::<ImmutableString>();
    engine.register_raw_fn("==", [text; 2], |_, args| same(args[0], args[1]));
    engine.register_raw_fn("!=", [text; 2], |_, args| Ok(!same(args[0], args[1])?));
    for container in [
        TypeId::of::<Json>(),
        TypeId::of::<Array>(),
        TypeId::of::<Map>(),
    ] {
        engine.register_raw_fn("==", [container; 2], |_, args| same(args[0], args[1]));
        engine.register_raw_fn("!=", [container; 2], |_, args| Ok(!same(args[0], args[1])?));
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Operation {
    const ALL: [Operation; 6] = [
        Operation::Add,
        Operation::Subtract,
        Operation::Multiply,
        Operation::Divide,
        Operation::Remainder,
        Operation::Power,
    ];

    fn name(self) -> &'static str {
        match self {
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
            Operation::Divide => "/",
            Operation::Remainder => "%",
            Operation::Power => "**",
        }
    }

    fn assignment(self) -> &'static str {
        match self {
            Operation::Add => "+=",
            Operation::Subtract => "-=",
            Operation::Multiply => "*=",
            Operation::Divide => "/=",
            Operation::Remainder => "%=",
            Operation::Power => "**=",
        }
    }
}

fn register_arithmetic(engine: &mut Engine) {
    for operation in Operation::ALL {
        let name = operation.name();
        engine.register_fn(name, move |a: i64, b: i64| ints(operation, a, b));
        engine.register_fn(name, move |a: f64, b: f64| reals(operation, a, b));
        engine.register_fn(name, move |a: i64, b: f64| reals(operation, exact(a)?, b));
        engine.register_fn(name, move |a: f64, b: i64| reals(operation, a, exact(b)?));
        engine.register_raw_fn(name, [TypeId::of::<Dynamic>(); 2], move |_, args| {
            let [a, b] = args else {
                return refuse("two values are calculated with");
            };
            calculate(operation, a, b)
        });
    }
    engine.register_fn("-", |value: i64| -> Outcome<i64> {
        value.checked_neg().map_or_else(overflow, Ok)
    });
    engine.register_fn("-", |value: f64| -> Outcome<f64> { Ok(-real(value)?) });
    engine.register_fn("+", |value: i64| value);
    engine.register_fn("+", |value: f64| -> Outcome<f64> { real(value) });
    for name in ["-", "+"] {
        engine.register_fn(name, |value: Dynamic| -> Outcome<i64> {
            refuse(format!("{} has no sign", describe(&value)))
        });
    }
}

/// `x += y` and its kin, for scripts: without these Rhai would use its own arithmetic.
fn register_assignments(engine: &mut Engine) {
    for operation in Operation::ALL {
        let any = [TypeId::of::<Dynamic>(); 2];
        engine.register_raw_fn(operation.assignment(), any, move |_, args| -> Outcome<()> {
            let [a, b] = args else {
                return refuse("two values are calculated with");
            };
            let result = calculate(operation, a, b)?;
            **a = result;
            Ok(())
        });
    }
}

fn calculate(operation: Operation, a: &Dynamic, b: &Dynamic) -> Outcome<Dynamic> {
    match (a.as_int(), a.as_float(), b.as_int(), b.as_float()) {
        (Ok(a), _, Ok(b), _) => return ints(operation, a, b),
        (Ok(a), _, _, Ok(b)) => return reals(operation, exact(a)?, b).map(Dynamic::from_float),
        (_, Ok(a), Ok(b), _) => return reals(operation, a, exact(b)?).map(Dynamic::from_float),
        (_, Ok(a), _, Ok(b)) => return reals(operation, a, b).map(Dynamic::from_float),
        _ => {}
    }
    match (operation, Kind::of(a), Kind::of(b)) {
        (Operation::Add, Kind::Text, Kind::Text) => {
            let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) else {
                return refuse("these texts cannot be joined");
            };
            budget::text(a.len() + b.len())?;
            Ok(format!("{}{}", *a, *b).into())
        }
        (Operation::Add, Kind::List, Kind::List) => {
            let mut items = super::functions::items(a)?;
            items.extend(super::functions::items(b)?);
            Ok(Dynamic::from_array(items))
        }
        _ => refuse(format!(
            "cannot calculate {} {} {}",
            describe(a),
            operation.name(),
            describe(b)
        )),
    }
}

fn overflow<T>() -> Outcome<T> {
    refuse("the result is too large for an integer")
}

fn ints(operation: Operation, a: i64, b: i64) -> Outcome<Dynamic> {
    let result = match operation {
        Operation::Add => a.checked_add(b),
        Operation::Subtract => a.checked_sub(b),
        Operation::Multiply => a.checked_mul(b),
        Operation::Divide => {
            return reals(operation, exact(a)?, exact(b)?).map(Dynamic::from_float);
        }
        Operation::Remainder if b == 0 => return refuse("division by zero"),
        Operation::Remainder => a.checked_rem(b),
        Operation::Power if b < 0 => {
            return reals(operation, exact(a)?, exact(b)?).map(Dynamic::from_float);
        }
        Operation::Power => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    result.map_or_else(overflow, |result| Ok(Dynamic::from_int(result)))
}

fn reals(operation: Operation, a: f64, b: f64) -> Outcome<f64> {
    let (a, b) = (real(a)?, real(b)?);
    let result = match operation {
        Operation::Add => a + b,
        Operation::Subtract => a - b,
        Operation::Multiply => a * b,
        Operation::Divide | Operation::Remainder if b == 0.0 => return refuse("division by zero"),
        Operation::Divide => a / b,
        Operation::Remainder => a % b,
        Operation::Power => a.powf(b),
    };
    if !result.is_finite() {
        return refuse("the result is not a finite number");
    }
    Ok(result)
}
