//! What Python refuses although its grammar, as the parser knows it, takes it: a block without statements, indentation
//! that does not agree, and the statements `print` and `exec` of Python 2. What only Python's compiler refuses (a `return`
//! outside of a function, a parameter twice) is not among it.

use tree_sitter::{Node, TreeCursor};

/// Where the first of these is. The outer `None` when it took too long.
pub(super) fn first(root: Node<'_>, text: &str, late: &dyn Fn() -> bool) -> Option<Option<String>> {
    let mut cursor = root.walk();
    loop {
        if late() {
            return None;
        }
        let node = cursor.node();
        if let Some((at, why)) = wrong(node, text) {
            return Some(Some(told(at, text, why)));
        }
        if !next(&mut cursor) {
            return Some(None);
        }
    }
}

/// `line 3, column 7: why`, both from 1, columns in characters.
pub(super) fn told(node: Node<'_>, text: &str, why: &str) -> String {
    let start = node.start_byte();
    let before = text.get(..start).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    format!(
        "line {}, column {}: {why}",
        node.start_position().row + 1,
        line.chars().count() + 1
    )
}

/// The next node in the order of the text.
fn next(cursor: &mut TreeCursor<'_>) -> bool {
    if cursor.goto_first_child() {
        return true;
    }
    while !cursor.goto_next_sibling() {
        if !cursor.goto_parent() {
            return false;
        }
    }
    true
}

fn wrong<'t>(node: Node<'t>, text: &str) -> Option<(Node<'t>, &'static str)> {
    let same = |nodes: &[Node<'t>], margin: Option<Margin>| {
        let off = out_of_line(nodes, margin, text)?;
        Some((off, "inconsistent indentation"))
    };
    match node.kind() {
        "print_statement" => {
            let redirected = node.named_child(0).is_some_and(|it| it.kind() == "chevron");
            (!redirected).then_some((node, "`print` without parentheses"))
        }
        "exec_statement" => Some((node, "`exec` without parentheses")),
        "module" => same(&statements(node), Some(Margin::default())),
        "block" => {
            let inner = statements(node);
            match inner.is_empty() {
                true => Some((node.parent().unwrap_or(node), "expected an indented block")),
                false => same(&inner, None),
            }
        }
        "decorated_definition" => same(&statements(node), None),
        kind if kind.ends_with("_statement")
            || kind.ends_with("_clause")
            || kind.ends_with("_definition") =>
        {
            let parts = statements(node);
            let own = margin(node.start_byte(), text);
            let mut clauses = parts.clone();
            clauses.retain(|it| it.kind().ends_with("_clause") && it.kind() != "with_clause");
            let guarded = |it: &Node<'_>| matches!(it.kind(), "except_clause" | "finally_clause");
            if kind == "try_statement" && !clauses.iter().any(guarded) {
                return Some((node, "expected `except` or `finally`"));
            }
            same(&clauses, own).or_else(|| {
                let mut blocks = parts.iter().filter(|it| it.kind() == "block");
                let shallow = blocks.find_map(|block| no_deeper(*block, own?, text))?;
                Some((shallow, "inconsistent indentation"))
            })
        }
        _ => None,
    }
}

/// The first statement of a block that does not stand deeper than what the block belongs to.
fn no_deeper<'t>(block: Node<'t>, outer: Margin, text: &str) -> Option<Node<'t>> {
    let first = statements(block).first().copied()?;
    let inner = margin(first.start_byte(), text)?;
    let deeper = inner.wide > outer.wide && inner.narrow > outer.narrow;
    (!deeper).then_some(first)
}

fn statements(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    let named = node.named_children(&mut cursor);
    named.filter(|it| it.kind() != "comment").collect()
}

/// The first that does not begin its line as it should: as all others do.
fn out_of_line<'t>(nodes: &[Node<'t>], margin: Option<Margin>, text: &str) -> Option<Node<'t>> {
    let mut due = margin;
    nodes.iter().copied().find(|node| {
        let Some(is) = self::margin(node.start_byte(), text) else {
            return false;
        };
        *due.get_or_insert(is) != is
    })
}

/// How far a line is indented, with a tab going to the next multiple of 8 and with a tab as one: as Python, which wants
/// both to agree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Margin {
    wide: usize,
    narrow: usize,
}

/// Of what stands at `at`; `None` when it does not begin a line of its own.
fn margin(at: usize, text: &str) -> Option<Margin> {
    let before = text.get(..at)?;
    let line = before.trim_end_matches([' ', '\t', '\x0C']);
    if !(line.is_empty() || line.ends_with('\n')) {
        return None;
    }
    let above = line.strip_suffix('\n').unwrap_or_default();
    if above.strip_suffix('\r').unwrap_or(above).ends_with('\\') {
        return None;
    }
    let mut margin = Margin::default();
    for byte in before.bytes().skip(line.len()) {
        match byte {
            b'\t' => {
                margin.wide = (margin.wide / 8 + 1) * 8;
                margin.narrow += 1;
            }
            b'\x0C' => margin = Margin::default(),
            _ => {
                margin.wide += 1;
                margin.narrow += 1;
            }
        }
    }
    Some(margin)
}
