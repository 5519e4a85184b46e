//! Calls: functions and how many values they take, operators, and what can be told from literal values.

use rhai::{Expr as Node, FnCallExpr, Position};
use serde_json::Value;

use super::{Checker, Shape};
use crate::{
    model::text::meant,
    script::{functions, parse::Form},
};

impl<'a> Checker<'a> {
    /// A function call. With a dot before it, `receiver` is the shape of what stands there.
    pub(super) fn call(
        &mut self,
        call: &'a FnCallExpr,
        receiver: Option<Shape<'a>>,
        position: Position,
    ) -> Shape<'a> {
        if let Some(operator) = &call.op_token {
            return self.operator(call, operator.literal_syntax(), position);
        }
        let (subject, rest) = match receiver {
            Some(shape) => (shape, &call.args[..]),
            None => match call.args.split_first() {
                Some((first, rest)) if self.parsed.function(first).is_none() => {
                    (self.node(first), rest)
                }
                _ => (None, &call.args[..]),
            },
        };
        let element = match subject {
            Some(Value::Array(items)) => items.first(),
            _ => None,
        };
        for value in rest {
            match self.parsed.function(value) {
                Some(written) => self.function(&written, element),
                None => {
                    self.node(value);
                }
            }
        }
        let count = call.args.len() + usize::from(receiver.is_some());
        if self.is_callable(call, count, receiver.is_some(), position) {
            self.literals(call, subject, position);
        }
        given(&call.name, subject, count)
    }

    fn is_callable(
        &mut self,
        call: &FnCallExpr,
        count: usize,
        is_method: bool,
        position: Position,
    ) -> bool {
        let name = call.name.as_str();
        if !call.namespace.is_empty() || call.capture_parent_scope {
            self.mistake(
                "unknown-function",
                format!("`{name}` cannot be called like this"),
                "",
                position,
            );
            return false;
        }
        if name == "type_of" && count == 1 {
            return true;
        }
        let Some(function) = functions::find(name).or_else(|| self.looking(name)) else {
            let names = functions::all().map(|function| function.name);
            let help = match meant(name, names.chain(["type_of"])) {
                _ if functions::looks(name) => self.nowhere_to_look(),
                _ if self.parsed.form != Form::Expression && name == "push" => {
                    "it changes a list of the script's own, on a line of its own: `list.push(x);`"
                        .to_owned()
                }
                _ if self.known.contains(name) => {
                    format!("`{name}` is a value: write it without ( )")
                }
                Some(word) => format!("did you mean `{word}`?"),
                None => "the functions are listed in docs/rules.md".to_owned(),
            };
            self.mistake(
                "unknown-function",
                format!("unknown function `{name}`"),
                help,
                position,
            );
            return false;
        };
        if count < function.least || count > function.most {
            let given = count - usize::from(is_method);
            let values = if given == 1 { "value" } else { "values" };
            self.mistake(
                "wrong-arguments",
                format!("`{name}` cannot take {given} {values} here"),
                function.usage,
                position,
            );
            return false;
        }
        true
    }

    /// What can be told from literal values: an unlisted `env`, a `get` of a name that never exists.
    fn literals(&mut self, call: &'a FnCallExpr, subject: Shape<'a>, position: Position) {
        match (call.name.as_str(), &call.args[..]) {
            ("env", [Node::StringConstant(name, at)]) => {
                // A name that is like no other is `()`: what the operator lists is no business of the rule's.
                if let Some(listed) = &self.known.env
                    && !listed.contains(name.as_str())
                    && let Some(word) = meant(name, listed.iter().map(String::as_str))
                {
                    let help = format!("did you mean `{word}`?");
                    self.mistake("unlisted-env", format!("`{name}` is not listed"), help, *at);
                }
            }
            ("status_of", [Node::StringConstant(name, at)]) => {
                self.asks.push((name.to_string(), *at));
            }
            ("status_of", _) => self.mistake(
                "wrong-arguments",
                "the check is not named here",
                "write its name in quotes, so that it is known at load: `status_of(\"NAME\")`",
                position,
            ),
            ("get", [Node::StringConstant(name, at), _]) => {
                if matches!(subject, Some(Value::Object(_))) {
                    self.property(subject, name, *at);
                }
            }
            ("get", _) => {
                if matches!(
                    subject,
                    Some(Value::Number(_) | Value::Bool(_) | Value::String(_))
                ) {
                    self.mistake(
                        "wrong-arguments",
                        "`get` reads a map or a list",
                        "write the value itself",
                        position,
                    );
                }
            }
            _ => {}
        }
    }

    pub(super) fn operator(
        &mut self,
        call: &'a FnCallExpr,
        sign: &str,
        position: Position,
    ) -> Shape<'a> {
        let help = match sign {
            "&" => "write `&&`",
            "|" => "write `||`",
            "^" => "write `!=` for `either, but not both`; `**` is power",
            "<<" | ">>" => "there is no shifting in rules",
            _ => "",
        };
        if !help.is_empty() {
            self.mistake(
                "bad-operator",
                format!("`{sign}` works on bits"),
                help,
                position,
            );
        }
        if sign == "!"
            && let [value] = &call.args[..]
        {
            let shape = self.node(value);
            self.must_be_truth(value, shape);
            return None;
        }
        let is_in = call.name == "contains";
        for (index, value) in call.args.iter().enumerate() {
            match value {
                // the range of `x in 1..5` stands first
                Node::FnCall(range, at) if is_range(range) => {
                    if !(is_in && index == 0) {
                        self.mistake(
                            "bad-operator",
                            "a range stands only behind `in`",
                            "write `x in 1..5`",
                            *at,
                        );
                    }
                    range.args.iter().for_each(|bound| {
                        self.node(bound);
                    });
                }
                _ => {
                    self.node(value);
                }
            }
        }
        if is_range(call) && !self.text.as_str().contains(" in ") {
            self.mistake(
                "bad-operator",
                "a range stands only behind `in`",
                "write `x in 1..5`",
                position,
            );
        }
        None
    }
}

/// What a function of a list gives, as far as it can be told.
fn given<'a>(name: &str, subject: Shape<'a>, count: usize) -> Shape<'a> {
    let subject = subject?;
    match (name, subject, count) {
        ("filter" | "sort" | "reverse" | "unique" | "minus", Value::Array(_), _) => Some(subject),
        ("first" | "last", Value::Array(_), 2) => Some(subject),
        ("first" | "last", Value::Array(items), 1) => items.first(),
        _ => None,
    }
}

pub(super) fn is_range(call: &FnCallExpr) -> bool {
    call.op_token.is_some() && matches!(call.name.as_str(), ".." | "..=")
}
