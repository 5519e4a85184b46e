//! Python, by its tree-sitter grammar. What counts is what may run: comments, docstrings, statements behind a `return` and
//! the branches of a constant condition do not.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use super::refused;

/// No list of names is longer.
const MOST: usize = 10_000;

/// What was seen in a function, or in the whole file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// The first mistake of the file.
    pub error: Option<String>,
    pub found: bool,
    /// From 1.
    pub line: Option<usize>,
    pub functions: Vec<String>,
    pub source: String,
    pub keys: BTreeSet<String>,
    pub dict_keys: BTreeSet<String>,
    /// A key that is not written out is assigned.
    pub computed: bool,
    /// What is copied as a whole.
    pub copies: BTreeSet<String>,
    pub assigned: BTreeMap<String, BTreeSet<String>>,
    pub calls: BTreeSet<String>,
    pub names: BTreeSet<String>,
    pub strings: BTreeSet<String>,
    pub returns: usize,
}

/// Looks at a function of a text, or at all of it. `None` when `late` says that it took too long.
pub(super) fn see(text: &str, function: Option<&str>, late: &dyn Fn() -> bool) -> Option<Seen> {
    let tree = parse(text, late)?;
    let root = tree.root_node();
    let mut seen = Seen {
        error: match mistake(root, text, late)? {
            None => refused::first(root, text, late)?,
            error => error,
        },
        ..Seen::default()
    };
    let functions = functions(root, text, late)?;
    for (name, _) in functions.iter().take(MOST) {
        if !seen.functions.contains(name) {
            seen.functions.push(name.clone());
        }
    }
    let node = match function {
        None => Some(root),
        Some(wanted) => {
            let bare = format!(".{wanted}");
            let exact = functions.iter().rev().find(|(name, _)| name == wanted);
            let found = exact.or_else(|| {
                functions
                    .iter()
                    .rev()
                    .find(|(name, _)| name.ends_with(&bare))
            });
            found.map(|(_, node)| *node)
        }
    };
    let Some(node) = node else {
        return Some(seen);
    };
    seen.found = true;
    if function.is_some() {
        seen.line = Some(node.start_position().row + 1);
        seen.source = part(node, text).to_owned();
    }
    gather(node, text, &mut seen, late)?;
    Some(seen)
}

fn parse(text: &str, late: &dyn Fn() -> bool) -> Option<Tree> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .ok()?;
    let bytes = text.as_bytes();
    let mut stop = |_: &ParseState| match late() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let options = ParseOptions::new().progress_callback(&mut stop);
    parser.parse_with_options(
        &mut |at: usize, _| bytes.get(at..).unwrap_or_default(),
        None,
        Some(options),
    )
}

/// Where the first mistake is. The outer `None` when it took too long.
fn mistake(root: Node<'_>, text: &str, late: &dyn Fn() -> bool) -> Option<Option<String>> {
    if !root.has_error() {
        return Some(None);
    }
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if late() {
            return None;
        }
        if node.is_error() || node.is_missing() {
            return Some(Some(refused::told(node, text, "invalid syntax")));
        }
        if node.has_error() {
            open.extend(children(node).into_iter().rev());
        }
    }
    Some(Some("invalid syntax".to_owned()))
}

/// Every function definition with its full name, in the order of the text.
fn functions<'t>(
    root: Node<'t>,
    text: &str,
    late: &dyn Fn() -> bool,
) -> Option<Vec<(String, Node<'t>)>> {
    let mut found = Vec::new();
    let mut open: Vec<(Node<'t>, String)> = vec![(root, String::new())];
    while let Some((node, within)) = open.pop() {
        if late() {
            return None;
        }
        let mut within = within;
        if matches!(node.kind(), "function_definition" | "class_definition") {
            let name = node
                .child_by_field_name("name")
                .map(|name| part(name, text));
            let name = name.unwrap_or_default();
            within = match within.is_empty() {
                true => name.to_owned(),
                false => format!("{within}.{name}"),
            };
            if node.kind() == "function_definition" {
                found.push((within.clone(), node));
            }
        }
        // Definitions are statements: nothing inside an expression is looked through.
        let inner = living(node, text).into_iter().rev();
        open.extend(
            inner
                .filter(|node| is_compound(node.kind()))
                .map(|node| (node, within.clone())),
        );
    }
    Some(found)
}

/// Kinds that may hold statements.
fn is_compound(kind: &str) -> bool {
    kind == "block"
        || kind.ends_with("_definition")
        || kind.ends_with("_clause")
        || matches!(
            kind,
            "if_statement"
                | "for_statement"
                | "while_statement"
                | "try_statement"
                | "with_statement"
                | "match_statement"
        )
}

/// The named children of a node that may run.
fn living<'t>(node: Node<'t>, text: &str) -> Vec<Node<'t>> {
    let mut all = children(node);
    all.retain(|child| child.is_named() && child.kind() != "comment");
    match node.kind() {
        "block" | "module" => {
            let leaves = |node: &Node<'_>| {
                let kind = node.kind();
                matches!(
                    kind,
                    "return_statement"
                        | "raise_statement"
                        | "break_statement"
                        | "continue_statement"
                )
            };
            if let Some(last) = all.iter().position(leaves) {
                all.truncate(last + 1);
            }
            // A text that stands alone says something to people only.
            all.retain(|node| {
                let only = (node.kind() == "expression_statement" && node.named_child_count() == 1)
                    .then(|| node.named_child(0))
                    .flatten();
                !only.is_some_and(|only| matches!(only.kind(), "string" | "concatenated_string"))
            });
        }
        // What stands behind the dot, and what an argument is called, is no name of a value.
        "attribute" => {
            let member = node.child_by_field_name("attribute");
            all.retain(|child| Some(*child) != member);
        }
        "keyword_argument" => {
            let name = node.child_by_field_name("name");
            all.retain(|child| Some(*child) != name);
        }
        "if_statement" | "while_statement" | "elif_clause" => {
            let condition = node.child_by_field_name("condition");
            let constant = condition.and_then(|node| constant(part(node, text)));
            let consequence = node
                .child_by_field_name("consequence")
                .or_else(|| node.child_by_field_name("body"));
            match constant {
                Some(false) => all.retain(|child| Some(*child) != consequence),
                Some(true) if node.kind() == "if_statement" => {
                    all.retain(|child| !matches!(child.kind(), "else_clause" | "elif_clause"));
                }
                _ => {}
            }
        }
        _ => {}
    }
    all
}

fn constant(condition: &str) -> Option<bool> {
    match condition.trim_matches(['(', ')', ' ']) {
        "False" | "0" | "None" | "\"\"" | "''" => Some(false),
        "True" | "1" => Some(true),
        _ => None,
    }
}

fn gather(root: Node<'_>, text: &str, seen: &mut Seen, late: &dyn Fn() -> bool) -> Option<()> {
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if late() {
            return None;
        }
        note(node, text, seen);
        open.extend(living(node, text).into_iter().rev());
    }
    Some(())
}

fn note(node: Node<'_>, text: &str, seen: &mut Seen) {
    let field = |name: &str| node.child_by_field_name(name);
    match node.kind() {
        "assignment" | "augmented_assignment" => {
            // `x["a"]: int` alone assigns nothing.
            if let (Some(left), Some(_)) = (field("left"), field("right")) {
                targets(left, text, seen);
                if let (Some(name), Some(right)) = (dotted(left, text), field("right")) {
                    let keys = keys_of(right, text);
                    give(seen, &name, keys);
                }
            }
        }
        "for_statement" | "for_in_clause" => {
            if let Some(left) = field("left") {
                targets(left, text, seen);
            }
        }
        "as_pattern_target" => {
            if let Some(target) = node.named_child(0) {
                targets(target, text, seen);
            }
        }
        "named_expression" => {
            if let (Some(name), Some(right)) = (field("name"), field("value")) {
                give(seen, part(name, text), keys_of(right, text));
            }
        }
        "dictionary" => {
            let keys = keys_of(node, text);
            add_all(&mut seen.dict_keys, keys);
            let splats = children(node).into_iter();
            let splats = splats.filter(|it| it.kind() == "dictionary_splat");
            let copied = splats.filter_map(|it| dotted(it.named_child(0)?, text));
            add_all(&mut seen.copies, copied.collect());
        }
        "call" => call(node, text, seen),
        "string" | "concatenated_string" => {
            if let Some(value) = literal(node, text) {
                add(&mut seen.strings, &value);
            }
        }
        "identifier" => add(&mut seen.names, part(node, text)),
        "return_statement" => seen.returns += 1,
        _ => {}
    }
}

/// What stands on the left of an assignment.
fn targets(left: Node<'_>, text: &str, seen: &mut Seen) {
    let mut open = vec![left];
    while let Some(node) = open.pop() {
        match node.kind() {
            "subscript" => {
                let value = node.child_by_field_name("value");
                let key = node.child_by_field_name("subscript");
                let Some(key) = key.and_then(|key| literal(key, text)) else {
                    seen.computed = true;
                    continue;
                };
                add(&mut seen.keys, &key);
                if let Some(name) = value.and_then(|value| dotted(value, text)) {
                    give(seen, &name, vec![key]);
                }
            }
            "pattern_list" | "tuple_pattern" | "list_pattern" | "list_splat_pattern"
            | "expression_list" | "tuple" | "list" => {
                open.extend(children(node));
            }
            _ => {}
        }
    }
}

fn call(node: Node<'_>, text: &str, seen: &mut Seen) {
    let function = node.child_by_field_name("function");
    let Some(name) = function.and_then(|it| dotted(it, text)) else {
        return;
    };
    add(&mut seen.calls, &name);
    let arguments = node.child_by_field_name("arguments");
    let arguments = arguments.map(children).unwrap_or_default();
    let (object, method) = match name.rsplit_once('.') {
        Some((object, method)) => (Some(object), method),
        None => (None, name.as_str()),
    };
    let named = arguments.iter().find(|it| it.is_named());
    let given = named.and_then(|it| dotted(*it, text));
    match (object, method, given) {
        (Some("copy"), "copy" | "deepcopy", Some(given))
        | (None, "dict" | "deepcopy", Some(given))
        | (Some(_), "update", Some(given)) => add(&mut seen.copies, &given),
        (Some(object), "copy", None) => add(&mut seen.copies, object),
        _ => {}
    }
    match (object, method) {
        (Some(object), "update") => {
            let mut keys = keyword_names(&arguments, text);
            add_all(&mut seen.dict_keys, keys.clone());
            keys.extend(arguments.iter().flat_map(|it| keys_of(*it, text)));
            give(seen, object, keys);
        }
        (Some(object), "setdefault" | "__setitem__") => {
            let first = arguments.iter().find(|it| it.is_named());
            if let Some(key) = first.and_then(|it| literal(*it, text)) {
                add(&mut seen.keys, &key);
                give(seen, object, vec![key]);
            }
        }
        (None, "dict") => {
            let keys = keyword_names(&arguments, text);
            add_all(&mut seen.dict_keys, keys);
        }
        _ => {}
    }
}

fn keyword_names(arguments: &[Node<'_>], text: &str) -> Vec<String> {
    let names = arguments.iter().filter_map(|it| {
        (it.kind() == "keyword_argument")
            .then(|| it.child_by_field_name("name"))
            .flatten()
    });
    names.map(|name| part(name, text).to_owned()).collect()
}

/// The keys of a dictionary that is written out, or of `dict(key=…)`.
fn keys_of(node: Node<'_>, text: &str) -> Vec<String> {
    match node.kind() {
        "dictionary" => {
            let pairs = children(node).into_iter().filter(|it| it.kind() == "pair");
            let keys = pairs.filter_map(|pair| pair.child_by_field_name("key"));
            keys.filter_map(|key| literal(key, text)).collect()
        }
        "call" => {
            let function = node.child_by_field_name("function");
            if function.is_none_or(|it| part(it, text) != "dict") {
                return Vec::new();
            }
            let arguments = node.child_by_field_name("arguments");
            let arguments = arguments.map(children).unwrap_or_default();
            keyword_names(&arguments, text)
        }
        _ => Vec::new(),
    }
}

/// `a.b.c`, where it is nothing but names.
fn dotted(node: Node<'_>, text: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut node = node;
    loop {
        match node.kind() {
            "identifier" => {
                parts.push(part(node, text));
                parts.reverse();
                return Some(parts.join("."));
            }
            "attribute" => {
                parts.push(part(node.child_by_field_name("attribute")?, text));
                node = node.child_by_field_name("object")?;
            }
            _ => return None,
        }
    }
}

/// The value of a text without anything filled in. Bytes are no text.
fn literal(node: Node<'_>, text: &str) -> Option<String> {
    match node.kind() {
        "concatenated_string" => {
            let parts = children(node)
                .into_iter()
                .filter(|it| it.kind() == "string");
            parts.map(|it| literal(it, text)).collect()
        }
        "parenthesized_expression" => literal(node.named_child(0)?, text),
        "string" => {
            let mut value = String::new();
            for child in children(node) {
                match child.kind() {
                    "string_start" if part(child, text).to_ascii_lowercase().contains('b') => {
                        return None;
                    }
                    "interpolation" => return None,
                    "string_content" => content(child, text, &mut value)?,
                    _ => {}
                }
            }
            Some(value)
        }
        _ => None,
    }
}

/// What a part of a text stands for, its escapes read. `None` for a character by its name, which would need the names.
fn content(node: Node<'_>, text: &str, value: &mut String) -> Option<()> {
    let mut at = node.start_byte();
    for child in children(node) {
        value.push_str(text.get(at..child.start_byte())?);
        match child.kind() {
            "escape_sequence" => value.extend(escape(part(child, text))?),
            "escape_interpolation" => value.extend(part(child, text).chars().next()),
            _ => value.push_str(part(child, text)),
        }
        at = child.end_byte();
    }
    value.push_str(text.get(at..node.end_byte())?);
    Some(())
}

/// The character of an escape; the inner `None` for the end of a line, which stands for nothing.
fn escape(written: &str) -> Option<Option<char>> {
    let rest = written.strip_prefix('\\')?;
    let code = |digits: &str, radix| {
        u32::from_str_radix(digits, radix)
            .ok()
            .and_then(char::from_u32)
    };
    let first = rest.chars().next()?;
    Some(Some(match first {
        '\r' | '\n' => return Some(None),
        '\\' | '\'' | '"' => first,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0C',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0B',
        'x' | 'u' | 'U' => code(rest.get(1..)?, 16)?,
        '0'..='9' => code(rest, 8)?,
        _ => return None,
    }))
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.children(&mut cursor).collect()
}

fn part<'a>(node: Node<'_>, text: &'a str) -> &'a str {
    text.get(node.byte_range()).unwrap_or_default()
}

fn add(names: &mut BTreeSet<String>, name: &str) {
    if names.len() < MOST && !names.contains(name) {
        names.insert(name.to_owned());
    }
}

fn add_all(names: &mut BTreeSet<String>, more: Vec<String>) {
    for name in more {
        add(names, &name);
    }
}

fn give(seen: &mut Seen, name: &str, keys: Vec<String>) {
    if keys.is_empty() || seen.assigned.len() >= MOST {
        return;
    }
    let given = seen.assigned.entry(name.to_owned()).or_default();
    for key in keys {
        add(given, &key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(text: &str, function: &str) -> Seen {
        see(text, Some(function), &|| false).expect("in time")
    }

    fn keys(body: &str) -> Vec<String> {
        let text = format!("def f(x):\n{body}");
        let seen = seen(&text, "f");
        assert_eq!(seen.error, None, "{body}");
        seen.keys.into_iter().collect()
    }

    #[test]
    fn what_is_assigned_counts_however_it_is_written() {
        for body in [
            "    x[\"a\"] = 1\n",
            "    x['a'] = 1\n",
            "\tx[ 'a' ]\t= 1\r\n",
            "    x['a'] += 1\n",
            "    x['a']: int = 1\n",
            "    y, x['a'] = 1, 2\n",
            "    (y, [x['a']]) = z\n",
            "    x[('a')] = 1\n",
            "    x['' 'a'] = 1\n",
            "    x[r'a'] = 1\n",
            "    if y:\n        for z in y:\n            x['a'] = z\n",
            "    with y as z:\n        try:\n            x['a'] = z\n        finally:\n            pass\n",
            "    def g():\n        x['a'] = 1\n    g()\n",
            "    x['\\x61'] = 1\n",
            "    x['\\141'] = 1\n",
            "    x['\\u0061'] = 1\n",
            "    for x['a'] in y:\n        pass\n",
            "    with y as x['a']:\n        pass\n",
            "    z = [1 for x['a'] in y]\n",
            "    x.setdefault('a', 1)\n",
            "    return 1 if y else 2\n    \n"
                .replace("return 1 if y else 2", "x['a'] = 1; return x")
                .as_str(),
        ] {
            assert_eq!(keys(body), ["a"], "{body}");
        }
    }

    #[test]
    fn what_only_looks_so_does_not() {
        for body in [
            "    # x['a'] = 1\n    pass\n",
            "    \"\"\"x['a'] = 1\"\"\"\n",
            "    \"x['a'] = 1\"\n    return 1\n",
            "    y = \"x['a'] = 1\"\n",
            "    y = x['a']\n",
            "    x['a'] == 1\n",
            "    x[b'a'] = 1\n",
            "    x[f'{a}'] = 1\n",
            "    x[a] = 1\n",
            "    x.a = 1\n",
            "    return x\n    x['a'] = 1\n",
            "    raise y\n    x['a'] = 1\n",
            "    if False:\n        x['a'] = 1\n",
            "    if (0):\n        x['a'] = 1\n",
            "    if True:\n        pass\n    else:\n        x['a'] = 1\n",
            "    while False:\n        x['a'] = 1\n",
            "    del x['a']\n",
            "    x['a']: int\n",
            "    if y:\n        pass\n    elif False:\n        x['a'] = 1\n",
        ] {
            assert_eq!(keys(body), Vec::<String>::new(), "{body}");
        }
        assert_eq!(
            keys("    if False:\n        x['a'] = 1\n    else:\n        x['b'] = 1\n"),
            ["b"]
        );
        assert_eq!(
            keys("    if y:\n        return x\n    x['a'] = 1\n"),
            ["a"],
            "only the rest of its own block is dead"
        );
    }

    #[test]
    fn dictionaries_and_what_they_are_given_to() {
        let text = "def f(x):\n    y = {'a': 1, **x}\n    y.update({'b': 2}, c=3)\n    z.w = dict(d=4)\n    y['e'] = {}\n    return {'g': y}\n";
        let seen = seen(text, "f");
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(list(&seen.dict_keys), "a b c d g");
        assert_eq!(list(&seen.keys), "e");
        assert_eq!(list(&seen.assigned["y"]), "a b c e");
        assert_eq!(list(&seen.assigned["z.w"]), "d");
        assert_eq!(list(&seen.calls), "dict y.update");
        assert_eq!(seen.returns, 1);
    }

    #[test]
    fn what_is_copied_as_a_whole_or_by_a_computed_key() {
        for (body, copied) in [
            ("y = dict(data)", "data"),
            ("y = data.copy()", "data"),
            ("y = self.data.copy()", "self.data"),
            ("y = copy.deepcopy(data)", "data"),
            ("y = {**data, 'a': 1}", "data"),
            ("y.update(data)", "data"),
            ("y = dict(a=1)", ""),
            ("y = dict()", ""),
            ("y.update({'a': 1})", ""),
            ("y = data", ""),
        ] {
            let seen = seen(&format!("def f(data):\n    {body}\n"), "f");
            let copies: Vec<String> = seen.copies.into_iter().collect();
            assert_eq!(copies.join(" "), copied, "{body}");
        }
        assert!(
            seen(
                "def f(x):\n    for k in ('a', 'b'):\n        x[k] = 1\n",
                "f"
            )
            .computed
        );
        assert!(!seen("def f(x):\n    x['a'] = y[k]\n", "f").computed);
    }

    #[test]
    fn names_calls_and_texts() {
        let text = "import math\nclass A:\n    @deco\n    async def f(self, t):\n        \"\"\"says max(1)\"\"\"\n        q = math.exp(t.get('k', other)) # log()\n        return max(q, f'{z}')\n";
        let seen = seen(text, "A.f");
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(list(&seen.calls), "math.exp max t.get");
        assert_eq!(list(&seen.strings), "k");
        assert_eq!(list(&seen.names), "f math max other q self t z");
        assert_eq!(seen.line, Some(4));
        assert!(seen.source.starts_with("async def f"));
        assert_eq!(seen.functions, ["A.f"]);
    }

    #[test]
    fn a_function_is_found_by_its_full_or_bare_name_and_the_last_one_counts() {
        let text = "def f():\n    x['old'] = 1\nclass A:\n    def g(self):\n        x['g'] = 1\n        def h():\n            pass\ndef f():\n    x['new'] = 1\nif False:\n    def f():\n        x['dead'] = 1\n";
        let found = |name: &str| {
            let seen = seen(text, name);
            (seen.found, seen.keys.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(found("f"), (true, vec!["new".to_owned()]));
        assert_eq!(found("A.g"), (true, vec!["g".to_owned()]));
        assert_eq!(found("g"), (true, vec!["g".to_owned()]));
        assert_eq!(found("A.f"), (false, vec![]));
        assert_eq!(seen(text, "x").functions, ["f", "A.g", "A.g.h"]);
    }

    #[test]
    fn a_mistake_anywhere_is_one_and_has_its_place() {
        let error = |text: &str| seen(text, "f").error;
        assert_eq!(error("def f():\n    return 1\n"), None);
        assert_eq!(
            error("def f(:\n    return 1\n").as_deref(),
            Some("line 1, column 7: invalid syntax")
        );
        assert_eq!(
            error("def f():\n    return 'é' 1 2\n").map(|it| it[..6].to_owned()),
            Some("line 2".to_owned())
        );
        assert!(error("def f():\n    return 1\n\ndef g(\n").is_some());
        assert_eq!(see("", None, &|| false).expect("in time").error, None);
    }

    #[test]
    fn what_python_refuses_besides_is_a_mistake() {
        for (text, told) in [
            ("def f():\n", "line 1, column 1: expected an indented block"),
            (
                "x = 1\ndef f():\n    # later\n\ny = 1\n",
                "line 2, column 1: expected an indented block",
            ),
            (
                "class A:\n    def f(self):\n    def g(self):\n        pass\n",
                "line 2, column 5: expected an indented block",
            ),
            ("a\n  b\n", "line 2, column 3: inconsistent indentation"),
            (
                "if a:\n        b\n    c\n",
                "line 3, column 5: inconsistent indentation",
            ),
            (
                "if a:\n\tb\n        c\n",
                "line 3, column 9: inconsistent indentation",
            ),
            (
                "if a:\n    if b:\n        c\n  else:\n    d\n",
                "line 4, column 3: inconsistent indentation",
            ),
            (
                "def f():\n    print 'a'\n",
                "line 2, column 5: `print` without parentheses",
            ),
            (
                "try:\n    a\nelse:\n    b\n",
                "line 1, column 1: expected `except` or `finally`",
            ),
            (
                "if a:\n        if b:\n\t\tc\n",
                "line 3, column 3: inconsistent indentation",
            ),
            ("exec 'a'\n", "line 1, column 1: `exec` without parentheses"),
        ] {
            assert_eq!(seen(text, "f").error.as_deref(), Some(told), "{text}");
        }
        for text in [
            "def f(): pass; x\n",
            "if a: b\nelse: c\n",
            "def f():\n    'doc'\n",
            "if a:\n\tb\n\n\t# c\n\td\n",
            "x = [\n  1,\n    2]\ny = \\\n   3\n",
            "if a: \\\n  b\n",
            "@a\n\ndef f():\n  # one\n    # two\n  return\n",
            "try:\n  a\nexcept b: c\nfinally:\n  d\n",
            "print('a')\nprint >> f, 'a'\nexec('a')\n",
        ] {
            assert_eq!(seen(text, "f").error, None, "{text}");
        }
    }

    #[test]
    fn the_whole_file_is_seen_where_no_function_is_asked_for() {
        let seen = see("A = {'k': 1}\ndef f():\n    A['x'] = g()\n", None, &|| {
            false
        });
        let seen = seen.expect("in time");
        assert!(seen.found && seen.source.is_empty() && seen.line.is_none());
        assert!(seen.keys.contains("x") && seen.dict_keys.contains("k"));
    }

    #[test]
    fn nothing_deep_or_long_breaks_it() {
        let deep = format!(
            "def f():\n    return {}1{}\n",
            "(".repeat(50_000),
            ")".repeat(50_000)
        );
        assert!(seen(&deep, "f").found);
        let open = "(".repeat(200_000);
        assert!(
            see(&open, None, &|| false)
                .expect("in time")
                .error
                .is_some()
        );
        let nested: String = (0..300)
            .map(|n| format!("{}if x:\n", " ".repeat(n)))
            .collect();
        assert!(see(&nested, Some("f"), &|| false).is_some());
        assert_eq!(see("x = 1\n", None, &|| true), None, "out of time");
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in "(?s).{0,200}", function in "[a-z]{1,3}") {
            prop_assert!(see(&text, Some(&function), &|| false).is_some());
        }

        #[test]
        fn python_like_text_is_looked_at(text in "(def f\\(|\\):|\n|    |x\\['a'\\] = |return |if |\"|'|#|\\{|\\}|class A:|1|,){0,60}") {
            prop_assert!(see(&text, Some("f"), &|| false).is_some());
        }
    }
}
