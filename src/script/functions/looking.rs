//! What only scripts have: functions that look (a probe answers them, see [`crate::script::host`]), and what `rewrite`
//! puts in the place of their statements.

use std::any::TypeId;

use rhai::{Array, Dynamic, Engine, Map};

use super::{Call, items, table};
use crate::script::{
    budget, host,
    json::Json,
    rewrite::{ITEMS, OWN, RANGE},
    value::{Kind, Outcome, describe, refuse, to_json},
};

/// Operations that a look counts for.
const LOOK: usize = 500;
/// Most items of a list that is added to, and of a range.
const MOST_ITEMS: usize = 200_000;

table! {
    "read_text" 1..=1 "write `read_text(\"data/x.txt\")`" "the text of a file; `()` if it is missing" look;
    "read_json" 1..=1 "write `read_json(\"data/x.json\")`" "the value in a JSON file; `()` if it is missing" look;
    "read_jsonl" 1..=2 "write `read_jsonl(\"logs/x.jsonl\", #{ last: 20, since: \"1h\" })`" "the records at the end of a JSON-lines log; none if it is missing" look;
    "file_info" 1..=1 "write `file_info(\"data/x.json\")`" "what the `file` probe sees: exists, missing, age_s, size, modified, mode" look;
    "exists" 1..=1 "write `exists(\"data/x.json\")`" "whether there is such a file" look;
    "glob" 1..=1 "write `glob(\"data/*.lock\")`" "the files that match: path, exists, age_s, size, modified of each" look;
    "status_of" 1..=1 "write `status_of(\"NAME\")`" "status and message of another check, as the `status` probe sees it" look;
}

fn look(call: &Call<'_>, args: &mut [&mut Dynamic]) -> Outcome<Dynamic> {
    budget::spend(LOOK)?;
    let values = args.iter().map(|value| to_json(value));
    let values = values.collect::<Outcome<Vec<_>>>()?;
    match budget::outside(|| host::ask(call.function.name, values)) {
        Ok(answer) => Json::dynamic(&answer),
        Err(why) => refuse(why),
    }
}

pub(super) fn register_statements(engine: &mut Engine) {
    let any = TypeId::of::<Dynamic>();
    engine.register_iterator::<Array>();
    engine.register_raw_fn("push", [any, any], |_, args| push(args));
    engine.register_raw_fn(ITEMS, [any], |_, args| items(args[0]));
    engine.register_raw_fn(RANGE, [any, any, any], |_, args| {
        range(args[0], args[1], args[2])
    });
    engine.register_raw_fn(OWN, [any], |_, args| own(args[0]));
}

fn push(args: &mut [&mut Dynamic]) -> Outcome<()> {
    let [list, item] = args else {
        return refuse("`push` takes one value");
    };
    own(list)?;
    let item = std::mem::take(*item);
    match list.write_lock::<Array>() {
        Some(mut list) if list.len() < MOST_ITEMS => {
            list.push(item);
            Ok(())
        }
        Some(_) => refuse(format!("the list has {MOST_ITEMS} items already")),
        None => refuse("`push` is for lists"),
    }
}

/// Makes a part of a document a list or map that can be changed. Nothing else has items to change: Rhai by itself would
/// set a bit of an integer.
fn own(value: &mut Dynamic) -> Outcome<()> {
    let owned = match (Kind::of(value), value.read_lock::<Json>()) {
        (Kind::List, Some(_)) => Dynamic::from_array(items(value)?),
        (Kind::Map, Some(json)) => {
            budget::spend(json.len())?;
            let mut map = Map::new();
            for key in json.keys() {
                if let Some(value) = json.key(&key) {
                    map.insert(key.into(), value?);
                }
            }
            Dynamic::from_map(map)
        }
        (Kind::List | Kind::Map, None) => return Ok(()),
        _ => return refuse(format!("{} has no items to change", describe(value))),
    };
    *value = owned;
    Ok(())
}

fn range(from: &Dynamic, to: &Dynamic, inclusive: &Dynamic) -> Outcome<Array> {
    let (Ok(from), Ok(to)) = (from.as_int(), to.as_int()) else {
        return refuse("a range goes from one integer to another");
    };
    let to = match inclusive.as_bool() {
        Ok(true) => to.saturating_add(1),
        _ => to,
    };
    let count = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
    budget::spend(count)?;
    if count > MOST_ITEMS {
        return refuse(format!("a range has at most {MOST_ITEMS} numbers"));
    }
    Ok((from..to).map(Dynamic::from_int).collect())
}
