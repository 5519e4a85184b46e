//! Values of [`super::python`] and what can be done with them. Errors are worded as Python words them.

use std::{cell::RefCell, rc::Rc, sync::Arc};

/// A value. Containers are shared, not copied, when they are assigned.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Rc<Vec<Value>>),
    Dict(Rc<RefCell<Items>>),
    /// The module `math`.
    Math,
}

/// A dict with text keys, in the order of insertion. The dicts of a signal are small: a search along the list is enough.
#[derive(Debug, Clone, Default)]
pub struct Items(Vec<(Arc<str>, Value)>);

impl From<Vec<(Arc<str>, Value)>> for Items {
    fn from(pairs: Vec<(Arc<str>, Value)>) -> Items {
        Items(pairs)
    }
}

impl Items {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(it, _)| **it == *key).map(|(_, it)| it)
    }

    pub fn insert(&mut self, key: Arc<str>, value: Value) {
        match self.0.iter_mut().find(|(it, _)| *it == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Arc<str>, Value)> {
        self.0.iter()
    }
}

/// Longest text that may be built, in bytes.
const MAX_TEXT: usize = 4 * 1024;
/// Most values that one comparison may look at: shared containers would multiply otherwise.
const MAX_COMPARED: u32 = 10_000;

impl Value {
    pub fn truth(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(it) => *it,
            Value::Int(it) => *it != 0,
            Value::Float(it) => *it != 0.0,
            Value::Text(it) => !it.is_empty(),
            Value::List(them) => !them.is_empty(),
            Value::Dict(items) => !items.borrow().0.is_empty(),
            Value::Math => true,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
            Value::Math => "module",
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Value::Int(it) => Some(*it as f64),
            Value::Float(it) => Some(*it),
            Value::Bool(it) => Some(f64::from(u8::from(*it))),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Value::Int(it) => Some(*it),
            Value::Bool(it) => Some(i64::from(*it)),
            _ => None,
        }
    }
}

/// The key of a dict: text only.
pub fn key(value: &Value) -> Result<Arc<str>, String> {
    match value {
        Value::Text(it) => Ok(Arc::clone(it)),
        other => Err(format!(
            "a {} as the key of a dict is outside the subset",
            other.kind()
        )),
    }
}

/// `container[key]`
pub fn item(container: &Value, index: &Value) -> Result<Value, String> {
    match container {
        Value::Dict(items) => {
            let key = key(index)?;
            let found = items.borrow().get(&key).cloned();
            found.ok_or_else(|| format!("KeyError: '{key}'"))
        }
        Value::List(them) => {
            let index = index.whole().ok_or("list indices must be integers")?;
            let from_end = index.checked_add(them.len() as i64).unwrap_or(-1);
            let place = if index < 0 { from_end } else { index };
            usize::try_from(place)
                .ok()
                .and_then(|place| them.get(place).cloned())
                .ok_or_else(|| "list index out of range".to_owned())
        }
        other => Err(format!("'{}' object is not subscriptable", other.kind())),
    }
}

/// `container[key] = value`
pub fn set_item(container: &Value, index: &Value, value: Value) -> Result<(), String> {
    match container {
        Value::Dict(items) => {
            items.borrow_mut().insert(key(index)?, value);
            Ok(())
        }
        other => Err(format!(
            "'{}' object does not support item assignment",
            other.kind()
        )),
    }
}

/// `left operator right`
pub fn arithmetic(operator: &str, left: &Value, right: &Value) -> Result<Value, String> {
    if let (Value::Text(left), Value::Text(right), "+") = (left, right, operator) {
        if left.len() + right.len() > MAX_TEXT {
            return Err("the text grows too long".to_owned());
        }
        return Ok(Value::Text(format!("{left}{right}").into()));
    }
    let unsupported = || {
        let (left, right) = (left.kind(), right.kind());
        format!("unsupported operand types for {operator}: '{left}' and '{right}'")
    };
    if let (Some(a), Some(b)) = (left.whole(), right.whole())
        && let Some(exact) = whole_arithmetic(operator, a, b)
    {
        return exact.map(Value::Int);
    }
    let a = left.number().ok_or_else(unsupported)?;
    let b = right.number().ok_or_else(unsupported)?;
    if b == 0.0 && matches!(operator, "/" | "//" | "%") {
        return Err("division by zero".to_owned());
    }
    let result = match operator {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "//" => (a / b).floor(),
        "%" => a - b * (a / b).floor(),
        "**" => a.powf(b),
        _ => return Err(unsupported()),
    };
    if operator == "**" && !result.is_finite() {
        return Err("the power is out of range".to_owned());
    }
    Ok(Value::Float(result))
}

/// Arithmetic of whole numbers; `None` where it leads to a float.
fn whole_arithmetic(operator: &str, a: i64, b: i64) -> Option<Result<i64, String>> {
    let result = match operator {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "**" if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        "//" if b != 0 => a
            .checked_div(b)
            .map(|q| q - i64::from(a % b != 0 && (a < 0) != (b < 0))),
        "%" if b != 0 => a.checked_rem(b).map(|r| {
            if r != 0 && (r < 0) != (b < 0) {
                r + b
            } else {
                r
            }
        }),
        _ => return None,
    };
    Some(result.ok_or_else(|| "the whole number is out of range".to_owned()))
}

/// Whether `left operator right` holds.
pub fn compare(operator: &str, left: &Value, right: &Value) -> Result<bool, String> {
    let ordered = || {
        order(left, right).ok_or_else(|| {
            let (left, right) = (left.kind(), right.kind());
            format!("'{operator}' not supported between '{left}' and '{right}'")
        })
    };
    use std::cmp::Ordering::{Equal, Greater, Less};
    Ok(match operator {
        "==" => equal(left, right)?,
        "!=" => !equal(left, right)?,
        "<" => ordered()? == Some(Less),
        "<=" => matches!(ordered()?, Some(Less | Equal)),
        ">" => ordered()? == Some(Greater),
        ">=" => matches!(ordered()?, Some(Greater | Equal)),
        "is" => same(left, right),
        "is not" => !same(left, right),
        "in" => contains(right, left)?,
        "not in" => !contains(right, left)?,
        other => return Err(format!("the comparison {other} is outside the subset")),
    })
}

/// The order of two values, `Some(None)` when one is no number (NaN), `None` when they have none.
fn order(left: &Value, right: &Value) -> Option<Option<std::cmp::Ordering>> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => Some(Some(a.cmp(b))),
        _ => match (left.whole(), right.whole()) {
            (Some(a), Some(b)) => Some(Some(a.cmp(&b))),
            _ => Some(left.number()?.partial_cmp(&right.number()?)),
        },
    }
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    equal_within(left, right, 0, &mut MAX_COMPARED.clone())
}

fn equal_within(
    left: &Value,
    right: &Value,
    depth: u32,
    left_over: &mut u32,
) -> Result<bool, String> {
    if depth > 64 || *left_over == 0 {
        return Err("maximum recursion depth exceeded in comparison".to_owned());
    }
    *left_over -= 1;
    Ok(match (left, right) {
        (Value::None, Value::None) | (Value::Math, Value::Math) => true,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len()
                && all(a.iter().zip(b.iter()), |(a, b)| {
                    equal_within(a, b, depth + 1, left_over)
                })?
        }
        (Value::Dict(a), Value::Dict(b)) => {
            let (a, b) = (a.borrow(), b.borrow());
            a.0.len() == b.0.len()
                && all(a.iter(), |(key, a)| match b.get(key) {
                    Some(b) => equal_within(a, b, depth + 1, left_over),
                    None => Ok(false),
                })?
        }
        _ => matches!(order(left, right), Some(Some(std::cmp::Ordering::Equal))),
    })
}

fn all<T>(
    them: impl Iterator<Item = T>,
    mut holds: impl FnMut(T) -> Result<bool, String>,
) -> Result<bool, String> {
    for it in them {
        if !holds(it)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::None, Value::None) | (Value::Math, Value::Math) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}

fn contains(container: &Value, wanted: &Value) -> Result<bool, String> {
    match (container, wanted) {
        (Value::Dict(items), Value::Text(key)) => Ok(items.borrow().get(key).is_some()),
        (Value::Dict(_), _) => Ok(false),
        (Value::Text(text), Value::Text(part)) => Ok(text.contains(&**part)),
        (Value::List(them), _) => {
            let differs = all(them.iter(), |it| Ok(!equal(it, wanted)?))?;
            Ok(!differs)
        }
        (other, _) => Err(format!(
            "argument of type '{}' is not iterable",
            other.kind()
        )),
    }
}

/// A function that every module has: `max min abs float dict`.
pub fn builtin(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("max", [_, _, ..]) => extreme(">", arguments),
        ("min", [_, _, ..]) => extreme("<", arguments),
        ("abs", [Value::Int(it)]) => it
            .checked_abs()
            .map(Value::Int)
            .ok_or_else(|| "the whole number is out of range".to_owned()),
        ("abs", [it]) => it
            .number()
            .map(|it| Value::Float(it.abs()))
            .ok_or_else(|| format!("bad operand type for abs(): '{}'", it.kind())),
        ("float", [Value::Text(it)]) => it
            .trim()
            .parse()
            .map(Value::Float)
            .map_err(|_| format!("could not convert string to float: '{it}'")),
        ("float", [it]) => it
            .number()
            .map(Value::Float)
            .ok_or_else(|| format!("float() of a '{}'", it.kind())),
        ("dict", []) => Ok(Value::Dict(Rc::default())),
        ("dict", [Value::Dict(items)]) => {
            let copy = items.borrow().clone();
            Ok(Value::Dict(Rc::new(RefCell::new(copy))))
        }
        ("max" | "min" | "abs" | "float" | "dict", _) => Err(format!(
            "{name}() with these arguments is outside the subset"
        )),
        _ => Err(format!("name '{name}' is not defined")),
    }
}

fn extreme(operator: &str, them: &[Value]) -> Result<Value, String> {
    let mut best = &them[0];
    for it in &them[1..] {
        if compare(operator, it, best)? {
            best = it;
        }
    }
    Ok(best.clone())
}

/// `object.name(arguments)`: `d.get(key[, default])` and `math.exp(x)`.
pub fn method(object: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (object, name, arguments) {
        (Value::Dict(items), "get", [key]) => get(items, key, &Value::None),
        (Value::Dict(items), "get", [key, default]) => get(items, key, default),
        (Value::Math, "exp", [it]) => {
            let it = it.number().ok_or("must be real number")?;
            let result = it.exp();
            if result.is_finite() || !it.is_finite() {
                Ok(Value::Float(result))
            } else {
                Err("math range error".to_owned())
            }
        }
        _ => Err(format!(
            "'{}' object has no method '{name}' here",
            object.kind()
        )),
    }
}

fn get(items: &Rc<RefCell<Items>>, wanted: &Value, default: &Value) -> Result<Value, String> {
    match wanted {
        Value::Text(key) => Ok(items.borrow().get(key).unwrap_or(default).clone()),
        other => key(other).map(|_| Value::None),
    }
}
