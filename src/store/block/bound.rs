//! Facts that are too large or too deep to be recorded.

use serde_json::{Map, Value};

use crate::model::facts::Facts;

/// Facts small enough to be recorded, if these are not: the largest of them, or the largest members of the largest,
/// are cut until the rest fits.
pub(super) fn bounded(facts: &Facts) -> Option<Facts> {
    let weights: Vec<usize> = facts.iter().map(|(_, value)| weight(value, 0)).collect();
    if weights.iter().sum::<usize>() <= LOOK_BYTES {
        return None;
    }
    // (weight, fact, member)
    let mut parts: Vec<(usize, &str, Option<&str>)> = Vec::new();
    for ((name, value), weighed) in facts.iter().zip(weights) {
        match &**value {
            // With several probes a fact is all that one probe saw.
            Value::Object(members) if weighed > LOOK_BYTES / 8 && members.len() <= 64 => parts
                .extend(
                    members
                        .iter()
                        .map(|(member, value)| (weight(value, 0), name, Some(member.as_str()))),
                ),
            _ => parts.push((weighed, name, None)),
        }
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.0));
    let mut total: usize = parts.iter().map(|part| part.0).sum();
    let mut slim = facts.clone();
    for (weighed, name, member) in parts {
        if total <= LOOK_BYTES {
            break;
        }
        total = total.saturating_sub(weighed);
        cut(&mut slim, name, member, weighed);
    }
    Some(slim)
}

fn cut(facts: &mut Facts, name: &str, member: Option<&str>, weighed: usize) {
    let value = match (member, facts.get(name).map(|value| &**value)) {
        (Some(member), Some(Value::Object(members))) => {
            // Only the other members are copied, never the one that is too large.
            let rest = members.iter().map(|(known, value)| {
                let value = if known == member {
                    cut_of(weighed)
                } else {
                    value.clone()
                };
                (known.clone(), value)
            });
            Value::Object(rest.collect())
        }
        _ => cut_of(weighed),
    };
    facts.set(name.to_owned(), value);
}

pub(super) fn cut_of(weighed: usize) -> Value {
    let mut cut = Map::new();
    cut.insert("$cut".to_owned(), Value::from(weighed));
    Value::Object(cut)
}

/// About its bytes as JSON. What is too deep weighs too much.
fn weight(value: &Value, depth: usize) -> usize {
    if depth > DEPTH {
        return LOOK_BYTES + 1;
    }
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => {
            items
                .iter()
                .map(|item| weight(item, depth + 1) + 1)
                .sum::<usize>()
                + 2
        }
        Value::Object(members) => members_weight(members, depth),
    }
}

pub(super) fn members_weight(members: &Map<String, Value>, depth: usize) -> usize {
    let each = members
        .iter()
        .map(|(name, value)| name.len() + 4 + weight(value, depth + 1));
    each.sum::<usize>() + 2
}

/// More bytes than this of one look's facts (as JSON, about) are not recorded: the largest values are replaced by
/// `{"$cut": bytes}`.
pub const LOOK_BYTES: usize = 64 << 10;

/// Deeper values are cut; JSON that was parsed never is that deep.
pub(super) const DEPTH: usize = 126;
