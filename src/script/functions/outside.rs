//! What an expression may know of the outside, and strict reading: `age`, `iso`, `env`, `number`, `parse_json`.

use chrono::DateTime;
use rhai::{Dynamic, ImmutableString};
use serde_json::Value;

use super::{Call, table};
use crate::{
    model::moment::Moment,
    script::{
        budget,
        compare::real,
        frame,
        json::Json,
        value::{Outcome, refuse},
    },
};

table! {
    "age" 1..=1 "write `age(x)` of epoch seconds or milliseconds, or of an ISO 8601 text with zone" "seconds since then" age;
    "env" 1..=1 "write `env(\"NAME\")`" "a variable of the environment that `homeostat.yaml` lists; `()` when it is not set" env;
    "iso" 1..=1 "write `iso(x)` of epoch seconds or milliseconds, or of an ISO 8601 text with zone" "that instant as ISO 8601 text in UTC" iso;
    "number" 1..=1 "write `number(x)` of a number, or of a text that is one" "a text as a number" number;
    "parse_json" 1..=1 "write `parse_json(text)`" "the value of a JSON text" parse_json;
}

fn age(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let then = instant(call, &*args[0])?;
    let now = frame::now()?.seconds();
    Ok(Dynamic::from_float(now - then.seconds()))
}

fn iso(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    Ok(instant(call, &*args[0])?.iso().into())
}

/// An epoch number (s or ms), or an ISO 8601 text with zone.
fn instant(call: &Call<'_>, value: &Dynamic) -> Outcome<Moment> {
    let then = match value.as_immutable_string_ref() {
        Ok(text) => match DateTime::parse_from_rfc3339(text.trim()) {
            Ok(time) => Some(Moment(time.timestamp_millis())),
            Err(_) => {
                return refuse(format!(
                    "`{}` is not an ISO 8601 time with zone",
                    text.chars().take(40).collect::<String>()
                ));
            }
        },
        Err(_) => Moment::from_number(call.number(value)?),
    };
    match then {
        Some(then) => Ok(then),
        None => call.misused(value),
    }
}

fn env(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let name: ImmutableString = call.text(args[0])?.clone();
    Ok(match frame::env(&name)? {
        Some(value) => value.into(),
        None => Dynamic::UNIT,
    })
}

fn number(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let value = &*args[0];
    if value.is_int() {
        return Ok(value.clone());
    }
    if let Ok(number) = value.as_float() {
        return Ok(Dynamic::from_float(real(number)?));
    }
    let text = call.text(value)?;
    let text = text.trim();
    // Rust reads `inf` and `nan` too
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(int), _) => Ok(Dynamic::from_int(int)),
        (Err(_), Ok(number)) if plain && number.is_finite() => Ok(Dynamic::from_float(number)),
        _ => refuse(format!(
            "`{}` is not a number",
            text.chars().take(40).collect::<String>()
        )),
    }
}

fn parse_json(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    let text = call.text(args[0])?;
    budget::spend(text.len() / 16)?;
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => Json::dynamic(&std::sync::Arc::new(value)),
        Err(error) => refuse(format!("this is not JSON: {error}")),
    }
}
