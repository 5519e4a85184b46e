//! A second opinion: a small interpreter of its own evaluates the same generated expressions over the same generated
//! documents as the engine does.
//!
//! What must hold: whenever the engine gives a value (above all when it says that a threshold does not hold), no node
//! that was evaluated read an absent property, ordered different kinds or made a NaN; both give the same value; and
//! the engine refuses only where there is a reason.
//!
//! The interpreter shares no code with the engine: it has its own values and its own tree, which it prints as Rhai.

use std::{collections::BTreeMap, fmt};

use homeostat::{
    model::{facts::Facts, text::Text},
    script::{Engine, Expr, Ground, Known, Scope},
};
use serde_json::json;

/// How many expressions; `STRICTNESS_CASES` asks for more.
const CASES: u64 = 20_000;

#[test]
fn the_engine_agrees_with_a_second_opinion() {
    let engine = Engine::new();
    let cases = std::env::var("STRICTNESS_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..cases {
        let mut dice = Dice(seed);
        let facts = dice.facts();
        let tree = match seed % 4 {
            0 => dice.anything(4, &[]),
            _ => dice.condition(4, &[]),
        };
        let second = tree.value(&facts, &mut Vec::new());
        let source = tree.to_string();
        let first = match ask(&engine, &source, &facts) {
            Answer::Refused(mistakes) => {
                // a literal that is no condition: found at load, wherever it stands
                let known =
                    |mistake: &String| mistake.contains("boolean") || mistake.contains("condition");
                assert!(mistakes.iter().all(known), "{source}: {mistakes:?}");
                *seen.entry("refused at load".to_owned()).or_default() += 1;
                continue;
            }
            Answer::Value(value) => Ok(value),
            Answer::Fault(message) => Err(message),
        };
        *seen.entry(kind_of_case(&second)).or_default() += 1;
        let agree = match (&first, &second) {
            (Ok(a), Ok(b)) => a.is(b),
            (Err(_), Err(_)) => true,
            _ => false,
        };
        assert!(
            agree,
            "seed {seed}: {source}\nover {}\nthe engine says {first:?}\nthe second opinion is {second:?}",
            as_json(&facts)
        );
    }
    // a test that meets nothing proves nothing
    for wanted in [
        "false",
        "true",
        "a value",
        "absent",
        "unordered",
        "not a number",
        "undefined",
    ] {
        let share = seen.get(wanted).copied().unwrap_or(0) * 1000 / cases;
        assert!(share >= 3, "{wanted}: {share} in a thousand of {seen:?}");
    }
}

/// The cases for which all this is done: what Rhai by itself calls `false`.
#[test]
fn what_rhai_calls_false_is_no_answer() {
    let engine = Engine::new();
    let facts = vec![
        (
            "doc".to_owned(),
            Value::Map(vec![("a".into(), Value::Int(1))]),
        ),
        ("z".to_owned(), Value::Null),
        ("t".to_owned(), Value::Text("x".into())),
    ];
    for source in [
        "doc.b > 1",
        "z > 1",
        "t > 3",
        "t < 3",
        "doc.a.b == 1",
        "doc > 1",
    ] {
        let answer = ask(&engine, source, &facts);
        assert!(matches!(answer, Answer::Fault(_)), "{source}: {answer:?}");
    }
}

fn kind_of_case(second: &Result<Value, Reason>) -> String {
    match second {
        Ok(Value::Bool(answer)) => answer.to_string(),
        Ok(_) => "a value".to_owned(),
        Err(Reason::Absent) => "absent".to_owned(),
        Err(Reason::Unordered) => "unordered".to_owned(),
        Err(Reason::NotANumber) => "not a number".to_owned(),
        Err(Reason::Undefined | Reason::Guarded) => "undefined".to_owned(),
    }
}

#[derive(Debug)]
enum Answer {
    Refused(Vec<String>),
    Fault(String),
    Value(Value),
}

fn ask(engine: &Engine, source: &str, facts: &[(String, Value)]) -> Answer {
    let facts = Facts::from_json(as_json(facts)).expect("facts are a map");
    let mut known = Known::default();
    for name in facts.names() {
        known = known.with(name, None);
    }
    let mut mistakes = Vec::new();
    let expr = Expr::compile(engine, &Text::bare(source), &known, &mut mistakes);
    let Some(expr) = expr else {
        return Answer::Refused(mistakes.into_iter().map(|it| it.message).collect());
    };
    let ground = Ground::default();
    let scope = Scope::new(&ground).facts(&facts);
    match expr.value(engine, &scope) {
        Ok(value) => Answer::Value(Value::read(&value)),
        Err(fault) => Answer::Fault(fault.message),
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    Absent,
    Unordered,
    NotANumber,
    /// `x?.a` of nothing: the whole chain that follows gives nothing.
    Guarded,
    /// Anything else without an answer: the mean of nothing, a condition that is none, an overflow.
    Undefined,
}

#[derive(Clone, Debug)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    fn read(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Real(number.as_f64().expect("a real")),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Value::read).collect()),
            serde_json::Value::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Value::read(value)))
                    .collect(),
            ),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => json!(value),
            Value::Int(value) => json!(value),
            Value::Real(value) => json!(value),
            Value::Text(value) => json!(value),
            Value::List(items) => items.iter().map(Value::json).collect(),
            Value::Map(entries) => as_json(entries),
        }
    }

    /// Identity: of one kind, and the same.
    fn is(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Real(a), Value::Real(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, a)| b.iter().any(|(other, b)| key == other && a.is(b)))
            }
            _ => false,
        }
    }

    /// `==`: numbers meet exactly or not at all; different kinds differ.
    fn equals(&self, other: &Value) -> Result<bool, Reason> {
        match (self, other) {
            (Value::Int(int), Value::Real(real)) | (Value::Real(real), Value::Int(int)) => {
                Ok(exactly(*int)? == *real)
            }
            (Value::List(a), Value::List(b)) if a.len() == b.len() => {
                for (a, b) in a.iter().zip(b) {
                    if !a.equals(b)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Map(a), Value::Map(b)) if a.len() == b.len() => {
                let mut sorted: Vec<_> = a.iter().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, a) in sorted {
                    match b.iter().find(|(other, _)| other == key) {
                        Some((_, b)) if a.equals(b)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (a, b) => Ok(a.is(b)),
        }
    }

    fn real(&self) -> Result<f64, Reason> {
        match self {
            Value::Int(int) => exactly(*int),
            Value::Real(real) => Ok(*real),
            _ => Err(Reason::Undefined),
        }
    }

    fn truth(&self) -> Result<bool, Reason> {
        match self {
            Value::Bool(truth) => Ok(*truth),
            _ => Err(Reason::Undefined),
        }
    }

    fn items(&self) -> Result<&[Value], Reason> {
        match self {
            Value::List(items) => Ok(items),
            _ => Err(Reason::Undefined),
        }
    }

    fn key(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

fn as_json(entries: &[(String, Value)]) -> serde_json::Value {
    let entries = entries
        .iter()
        .map(|(key, value)| (key.clone(), value.json()));
    serde_json::Value::Object(entries.collect())
}

/// A real holds an integer whose significant bits are at most 53.
fn exactly(int: i64) -> Result<f64, Reason> {
    let size = int.unsigned_abs();
    if size != 0 && 64 - size.leading_zeros() - size.trailing_zeros() > 53 {
        return Err(Reason::Undefined);
    }
    Ok(int as f64)
}

fn order(a: &Value, b: &Value) -> Result<std::cmp::Ordering, Reason> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(a.as_bytes().cmp(b.as_bytes())),
        (Value::Int(_) | Value::Real(_), Value::Int(_) | Value::Real(_)) => {
            a.real()?.partial_cmp(&b.real()?).ok_or(Reason::NotANumber)
        }
        _ => Err(Reason::Unordered),
    }
}

/// What is generated: a tree that knows how it is written in Rhai.
#[derive(Clone, Debug)]
enum Tree {
    Plain(Value),
    Name(String),
    List(Vec<Tree>),
    Property(Box<Tree>, &'static str),
    Guarded(Box<Tree>, &'static str),
    Item(Box<Tree>, Box<Tree>),
    Get(Box<Tree>, &'static str, Box<Tree>),
    Compare(&'static str, Box<Tree>, Box<Tree>),
    Equal(bool, Box<Tree>, Box<Tree>),
    Among(Box<Tree>, Box<Tree>),
    Calculate(&'static str, Box<Tree>, Box<Tree>),
    Negate(Box<Tree>),
    Not(Box<Tree>),
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    Else(Box<Tree>, Box<Tree>),
    If(Box<Tree>, Box<Tree>, Box<Tree>),
    /// A function of a list: `list.mean()`.
    Of(Box<Tree>, &'static str),
    /// A function of a list that asks each item: `list.any(|x| …)`.
    Each(Box<Tree>, &'static str, String, Box<Tree>),
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Plain(Value::Null) => f.write_str("()"),
            Tree::Plain(Value::Real(real)) => write!(f, "({real:?})"),
            Tree::Plain(Value::Int(int)) => write!(f, "({int})"),
            Tree::Plain(value) => write!(f, "{}", value.json()),
            Tree::Name(name) => f.write_str(name),
            Tree::List(items) => {
                let items: Vec<String> = items.iter().map(Tree::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Tree::Property(of, key) => write!(f, "{of}.{key}"),
            Tree::Guarded(of, key) => write!(f, "{of}?.{key}"),
            Tree::Item(of, index) => write!(f, "{of}[{index}]"),
            Tree::Get(of, key, default) => write!(f, "{of}.get(\"{key}\", {default})"),
            Tree::Compare(sign, a, b) | Tree::Calculate(sign, a, b) => {
                write!(f, "({a} {sign} {b})")
            }
            Tree::Equal(true, a, b) => write!(f, "({a} == {b})"),
            Tree::Equal(false, a, b) => write!(f, "({a} != {b})"),
            Tree::Among(a, b) => write!(f, "({a} in {b})"),
            Tree::Negate(a) => write!(f, "(-({a}))"),
            Tree::Not(a) => write!(f, "(!{a})"),
            Tree::Both(a, b) => write!(f, "({a} && {b})"),
            Tree::Either(a, b) => write!(f, "({a} || {b})"),
            Tree::Else(a, b) => write!(f, "({a} ?? {b})"),
            Tree::If(a, b, c) => write!(f, "(if {a} {{ {b} }} else {{ {c} }})"),
            Tree::Of(list, function) => write!(f, "{list}.{function}()"),
            Tree::Each(list, function, name, body) => {
                write!(f, "{list}.{function}(|{name}| {body})")
            }
        }
    }
}

type Locals = Vec<(String, Value)>;

impl Tree {
    fn value(&self, facts: &[(String, Value)], locals: &mut Locals) -> Result<Value, Reason> {
        match self.chain(facts, locals) {
            Err(Reason::Guarded) => Ok(Value::Null),
            value => value,
        }
    }

    /// The value as what stands before a dot. What a link is given is evaluated before what stands before it.
    fn chain(&self, facts: &[(String, Value)], locals: &mut Locals) -> Result<Value, Reason> {
        let mut of = |tree: &Tree| tree.value(facts, locals);
        Ok(match self {
            Tree::Plain(value) => value.clone(),
            Tree::Name(name) => {
                let names = locals.iter().rev().chain(facts);
                let found = names.into_iter().find(|(known, _)| known == name);
                found
                    .map(|(_, value)| value.clone())
                    .ok_or(Reason::Undefined)?
            }
            Tree::List(items) => Value::List(items.iter().map(of).collect::<Result<_, _>>()?),
            Tree::Property(tree, key) => {
                let value = tree.chain(facts, locals)?;
                value.key(key).cloned().ok_or(Reason::Absent)?
            }
            Tree::Guarded(tree, key) => match tree.chain(facts, locals)? {
                Value::Null => return Err(Reason::Guarded),
                value => value.key(key).cloned().ok_or(Reason::Absent)?,
            },
            Tree::Item(tree, index) => {
                let index = of(index)?;
                item(&tree.chain(facts, locals)?, &index)?
            }
            Tree::Get(tree, key, default) => {
                let default = of(default)?;
                match tree.chain(facts, locals)? {
                    Value::Null => default,
                    value @ Value::Map(_) => value.key(key).cloned().unwrap_or(default),
                    _ => return Err(Reason::Undefined),
                }
            }
            Tree::Compare(sign, a, b) => {
                let order = order(&of(a)?, &of(b)?)?;
                Value::Bool(match *sign {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Tree::Equal(wanted, a, b) => Value::Bool(of(a)?.equals(&of(b)?)? == *wanted),
            Tree::Among(part, whole) => {
                let (part, whole) = (of(part)?, of(whole)?);
                Value::Bool(among(&part, &whole)?)
            }
            Tree::Calculate(sign, a, b) => calculate(sign, &of(a)?, &of(b)?)?,
            Tree::Negate(a) => match of(a)? {
                Value::Int(int) => Value::Int(int.checked_neg().ok_or(Reason::Undefined)?),
                Value::Real(real) => Value::Real(-real),
                _ => return Err(Reason::Undefined),
            },
            Tree::Not(a) => Value::Bool(!of(a)?.truth()?),
            Tree::Both(a, b) => Value::Bool(of(a)?.truth()? && of(b)?.truth()?),
            Tree::Either(a, b) => Value::Bool(of(a)?.truth()? || of(b)?.truth()?),
            Tree::Else(a, b) => match of(a)? {
                Value::Null => of(b)?,
                value => value,
            },
            Tree::If(a, b, c) => match of(a)?.truth()? {
                true => of(b)?,
                false => of(c)?,
            },
            Tree::Of(list, function) => whole(function, &list.chain(facts, locals)?)?,
            Tree::Each(list, function, name, body) => {
                let list = list.chain(facts, locals)?;
                let mut ask = |item: &Value| {
                    locals.push((name.clone(), item.clone()));
                    let answer = body.value(facts, locals);
                    locals.pop();
                    answer
                };
                each(function, list.items()?, &mut ask)?
            }
        })
    }
}

fn item(value: &Value, index: &Value) -> Result<Value, Reason> {
    match (value, index) {
        (Value::Map(_), Value::Text(key)) => value.key(key).cloned().ok_or(Reason::Absent),
        (Value::List(items), Value::Int(index)) => {
            let index = match *index < 0 {
                true => *index + items.len() as i64,
                false => *index,
            };
            let index = usize::try_from(index).map_err(|_| Reason::Absent)?;
            items.get(index).cloned().ok_or(Reason::Absent)
        }
        (Value::Text(text), Value::Int(index)) => {
            let characters: Vec<char> = text.chars().collect();
            let index = match *index < 0 {
                true => *index + characters.len() as i64,
                false => *index,
            };
            let index = usize::try_from(index).map_err(|_| Reason::Absent)?;
            let character = characters.get(index).ok_or(Reason::Absent)?;
            Ok(Value::Text(character.to_string()))
        }
        _ => Err(Reason::Undefined),
    }
}

fn among(part: &Value, whole: &Value) -> Result<bool, Reason> {
    match (whole, part) {
        (Value::List(items), part) => {
            for item in items {
                if item.equals(part)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Map(_), Value::Text(key)) => Ok(whole.key(key).is_some()),
        (Value::Text(whole), Value::Text(part)) => Ok(whole.contains(part.as_str())),
        _ => Ok(false),
    }
}

fn finite(number: f64) -> Result<Value, Reason> {
    match number {
        number if number.is_nan() => Err(Reason::NotANumber),
        number if number.is_infinite() => Err(Reason::Undefined),
        number => Ok(Value::Real(number)),
    }
}

fn calculate(sign: &str, a: &Value, b: &Value) -> Result<Value, Reason> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) if sign != "/" => {
            let (a, b) = (i128::from(*a), i128::from(*b));
            let result = match sign {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                _ if b == 0 => return Err(Reason::NotANumber),
                _ => a % b,
            };
            i64::try_from(result)
                .map(Value::Int)
                .map_err(|_| Reason::Undefined)
        }
        (Value::Int(_) | Value::Real(_), Value::Int(_) | Value::Real(_)) => {
            let (a, b) = (a.real()?, b.real()?);
            match sign {
                "+" => finite(a + b),
                "-" => finite(a - b),
                "*" => finite(a * b),
                "/" => finite(a / b),
                _ => finite(a % b),
            }
        }
        (Value::Text(a), Value::Text(b)) if sign == "+" => Ok(Value::Text(format!("{a}{b}"))),
        (Value::List(a), Value::List(b)) if sign == "+" => {
            Ok(Value::List(a.iter().chain(b).cloned().collect()))
        }
        _ => Err(Reason::Undefined),
    }
}

fn whole(function: &str, value: &Value) -> Result<Value, Reason> {
    if function == "len" {
        return Ok(Value::Int(match value {
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
            Value::Text(text) => text.chars().count(),
            _ => return Err(Reason::Undefined),
        } as i64));
    }
    let items = value.items()?;
    let mean = |numbers: &[f64]| finite(numbers.iter().sum::<f64>() / numbers.len() as f64);
    let numbers = || {
        items
            .iter()
            .map(Value::real)
            .collect::<Result<Vec<f64>, Reason>>()
    };
    match function {
        "count" => Ok(Value::Int(items.len() as i64)),
        "mean" => mean(&numbers()?),
        "median" => {
            let mut numbers = numbers()?;
            numbers.sort_by(f64::total_cmp);
            let middle = numbers.len() / 2;
            match (numbers.len(), numbers.len() % 2) {
                (0, _) => Err(Reason::Undefined),
                (_, 1) => Ok(Value::Real(numbers[middle])),
                _ => finite(numbers[middle - 1] + (numbers[middle] - numbers[middle - 1]) * 0.5),
            }
        }
        "sum" => {
            let start = Ok(Value::Int(0));
            items.iter().try_fold(start, |sum, item| match item {
                Value::Int(_) | Value::Real(_) => Ok(calculate("+", &sum?, item)),
                _ => Err(Reason::Undefined),
            })?
        }
        "first" => items.first().cloned().ok_or(Reason::Undefined),
        "last" => items.last().cloned().ok_or(Reason::Undefined),
        "max" | "min" => {
            let mut best = items.first().ok_or(Reason::Undefined)?;
            order(best, best)?;
            for item in &items[1..] {
                let order = order(item, best)?;
                if order.is_gt() && function == "max" || order.is_lt() && function == "min" {
                    best = item;
                }
            }
            Ok(best.clone())
        }
        _ => unreachable!("{function} is not generated"),
    }
}

fn each(
    function: &str,
    items: &[Value],
    ask: &mut dyn FnMut(&Value) -> Result<Value, Reason>,
) -> Result<Value, Reason> {
    let mut holding = Vec::new();
    let mut mapped = Vec::new();
    match function {
        "any" | "all" => {
            let stop = function == "any";
            for item in items {
                if ask(item)?.truth()? == stop {
                    return Ok(Value::Bool(stop));
                }
            }
            return Ok(Value::Bool(!stop));
        }
        "streak" => {
            let mut streak = 0;
            for item in items.iter().rev() {
                match ask(item)?.truth()? {
                    true => streak += 1,
                    false => break,
                }
            }
            return Ok(Value::Int(streak));
        }
        _ => {}
    }
    for item in items {
        let answer = ask(item)?;
        if function == "map" {
            mapped.push(answer);
        } else if answer.truth()? {
            holding.push(item.clone());
        }
    }
    match function {
        "map" => Ok(Value::List(mapped)),
        "filter" => Ok(Value::List(holding)),
        "count" => Ok(Value::Int(holding.len() as i64)),
        "share" if items.is_empty() => Err(Reason::Undefined),
        "share" => finite(holding.len() as f64 / items.len() as f64),
        _ => unreachable!("{function} is not generated"),
    }
}

/// Everything random comes from a seed, so that a failure can be had again.
struct Dice(u64);

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

impl Dice {
    /// SplitMix64.
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.throw(of.len())]
    }

    fn facts(&mut self) -> Vec<(String, Value)> {
        let rows = (0..self.throw(4)).map(|_| self.map(0)).collect();
        let list = (0..self.throw(4)).map(|_| self.number()).collect();
        let mixed = (0..self.throw(3)).map(|_| self.plain()).collect();
        [
            ("n", self.number()),
            ("t", Value::Text(self.text())),
            ("z", Value::Null),
            ("yes", Value::Bool(true)),
            ("doc", self.map(2)),
            ("rows", Value::List(rows)),
            ("list", Value::List(list)),
            ("mixed", Value::List(mixed)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn map(&mut self, depth: usize) -> Value {
        let mut entries = Vec::new();
        for key in KEYS {
            // most keys are there, as in life
            if self.throw(4) > 0 {
                let value = match depth {
                    0 => self.plain(),
                    _ if self.throw(2) == 0 => self.map(depth - 1),
                    _ => self.plain(),
                };
                entries.push((key.to_owned(), value));
            }
        }
        Value::Map(entries)
    }

    fn plain(&mut self) -> Value {
        match self.throw(8) {
            0 => Value::Null,
            1 => Value::Bool(self.throw(2) == 0),
            2 => Value::Text(self.text()),
            3 => Value::List((0..self.throw(3)).map(|_| self.number()).collect()),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Value {
        match self.throw(10) {
            0..=4 => Value::Int(self.throw(12) as i64 - 3),
            5..=7 => Value::Real((self.throw(40) as f64 - 8.0) / 4.0),
            8 => Value::Int(self.one(&[9_007_199_254_740_993, i64::MAX, i64::MAX - 1, 1 << 60])),
            _ => Value::Real(self.one(&[1e308, -1e308, 1e-300, 9_007_199_254_740_992.0, 0.1])),
        }
    }

    fn text(&mut self) -> String {
        self.one(&["", "a", "b", "ab", "5", "ä"]).to_owned()
    }

    fn condition(&mut self, depth: usize, locals: &[String]) -> Tree {
        if depth == 0 {
            return match self.throw(3) {
                0 => Tree::Plain(Value::Bool(self.throw(2) == 0)),
                1 => Tree::Name("yes".to_owned()),
                _ => self.comparison(0, locals),
            };
        }
        let depth = depth - 1;
        match self.throw(14) {
            0..=4 => self.comparison(depth, locals),
            5 => Tree::Equal(
                self.throw(2) == 0,
                self.boxed(depth, locals),
                self.boxed(depth, locals),
            ),
            6 => Tree::Among(self.boxed(depth, locals), self.listed(depth, locals).into()),
            7 => Tree::Not(self.condition(depth, locals).into()),
            8 => Tree::Both(
                self.condition(depth, locals).into(),
                self.condition(depth, locals).into(),
            ),
            9 => Tree::Either(
                self.condition(depth, locals).into(),
                self.condition(depth, locals).into(),
            ),
            10 => Tree::If(
                self.condition(depth, locals).into(),
                self.condition(depth, locals).into(),
                self.condition(depth, locals).into(),
            ),
            11 | 12 => {
                let function = self.one(&["any", "all"]);
                self.each(function, depth, locals)
            }
            _ => self.anything(depth, locals),
        }
    }

    fn comparison(&mut self, depth: usize, locals: &[String]) -> Tree {
        let sign = self.one(&["<", "<=", ">", ">="]);
        let mut side = || match self.throw(8) {
            0 => self.anything(depth, locals),
            _ => self.amount(depth, locals),
        };
        Tree::Compare(sign, side().into(), side().into())
    }

    /// Something that is mostly a number.
    fn amount(&mut self, depth: usize, locals: &[String]) -> Tree {
        if depth == 0 {
            return match self.throw(4) {
                0 => Tree::Name("n".to_owned()),
                1 => self.property(0, locals),
                _ => Tree::Plain(self.number()),
            };
        }
        let depth = depth - 1;
        match self.throw(9) {
            0 => Tree::Plain(self.number()),
            1 | 2 => self.property(depth, locals),
            3 => Tree::Get(
                self.mapped(depth, locals).into(),
                self.one(&KEYS),
                self.amount(depth, locals).into(),
            ),
            4 => Tree::Calculate(
                self.one(&["+", "-", "*", "/", "%"]),
                self.amount(depth, locals).into(),
                self.amount(depth, locals).into(),
            ),
            5 => Tree::Negate(self.amount(depth, locals).into()),
            6 => {
                let functions = [
                    "mean", "sum", "max", "min", "median", "len", "count", "first", "last",
                ];
                Tree::Of(self.listed(depth, locals).into(), self.one(&functions))
            }
            7 => {
                let function = self.one(&["count", "share", "streak"]);
                self.each(function, depth, locals)
            }
            _ => Tree::Item(
                self.listed(depth, locals).into(),
                Tree::Plain(Value::Int(self.throw(5) as i64 - 2)).into(),
            ),
        }
    }

    fn property(&mut self, depth: usize, locals: &[String]) -> Tree {
        let of = self.mapped(depth, locals).into();
        match self.throw(6) {
            0 => Tree::Guarded(of, self.one(&KEYS)),
            1 => Tree::Item(
                of,
                Tree::Plain(Value::Text(self.one(&KEYS).to_owned())).into(),
            ),
            _ => Tree::Property(of, self.one(&KEYS)),
        }
    }

    /// Something that is mostly a map.
    fn mapped(&mut self, depth: usize, locals: &[String]) -> Tree {
        match (self.throw(5), locals) {
            (0..=2, [.., local]) => Tree::Name(local.clone()),
            (3, _) if depth > 0 => self.property(depth - 1, locals),
            (4, _) if depth > 0 => Tree::Item(
                Tree::Name("rows".to_owned()).into(),
                Tree::Plain(Value::Int(0)).into(),
            ),
            (0, _) => Tree::Name("z".to_owned()),
            _ => Tree::Name("doc".to_owned()),
        }
    }

    /// Something that is mostly a list.
    fn listed(&mut self, depth: usize, locals: &[String]) -> Tree {
        if depth == 0 {
            return Tree::Name(self.one(&["list", "rows", "mixed"]).to_owned());
        }
        let depth = depth - 1;
        match self.throw(8) {
            0 => Tree::List(
                (0..self.throw(4))
                    .map(|_| self.amount(depth, locals))
                    .collect(),
            ),
            1 | 2 => {
                let function = self.one(&["filter", "map"]);
                self.each(function, depth, locals)
            }
            3 => self.property(depth, locals),
            _ => Tree::Name(self.one(&["list", "rows", "rows", "mixed"]).to_owned()),
        }
    }

    fn each(&mut self, function: &'static str, depth: usize, locals: &[String]) -> Tree {
        // sometimes the name of a fact, and sometimes that of the function around
        let name = self.one(&["r", "s", "n", "x"]).to_owned();
        let inner: Vec<String> = locals.iter().cloned().chain([name.clone()]).collect();
        let list = self.listed(depth, locals);
        let body = match function {
            "map" => self.amount(depth, &inner),
            _ => self.condition(depth, &inner),
        };
        Tree::Each(list.into(), function, name, body.into())
    }

    fn anything(&mut self, depth: usize, locals: &[String]) -> Tree {
        match self.throw(9) {
            0 => Tree::Plain(Value::Text(self.text())),
            1 => Tree::Plain(Value::Null),
            2 => self.mapped(depth, locals),
            3 => self.listed(depth, locals),
            4 if depth > 0 => Tree::Else(
                self.property(depth - 1, locals).into(),
                self.anything(depth - 1, locals).into(),
            ),
            5 if depth > 0 => self.condition(depth - 1, locals),
            6 => Tree::Name("t".to_owned()),
            _ => self.amount(depth, locals),
        }
    }

    fn boxed(&mut self, depth: usize, locals: &[String]) -> Box<Tree> {
        Box::new(self.anything(depth, locals))
    }
}
