//! Turns Rhai's syntax tree into one in which everything that could be healthy by accident is a call of strict code.
//!
//! | written | becomes | because Rhai by itself |
//! |---|---|---|
//! | `x.name` | `x.$property("name")` | answers `()` |
//! | `x[i]` | `x.$item(i)` | reads the bits of an integer |
//! | `type_of(x)` | `$kind(x)` | names Rust types |
//! | `` `${x}` `` | `$text(x)` | writes nothing for `()` |
//! | `\|r\| …` | a [`Closure`] that captures by value | locks what it captures |
//!
//! In a script `for x in list` goes over what `$items` gives, and what is changed is made the script's own by `$own`.
//!
//! Parameters and the names that a script makes are renamed with [`LOCAL`], so that a fact of the same name never takes their place.

use rhai::{
    AST, ASTFlags, Dynamic, Expr as Node, FnCallExpr, FnCallHashes, ImmutableString, Module,
    Position, Stmt, StmtBlock,
};

use super::{
    closure::{Closure, Code},
    frame::LOCAL,
    parse::{Form, Parsed, Written},
};

pub(super) const PROPERTY: &str = "strict_property";
pub(super) const ITEM: &str = "strict_item";
pub(super) const KIND: &str = "strict_kind";
pub(super) const TEXT: &str = "strict_text";
pub(super) const CLOSURE: &str = "strict_closure";
pub(super) const ITEMS: &str = "strict_items";
pub(super) const RANGE: &str = "strict_range";
pub(super) const OWN: &str = "strict_own";

/// Calls to copy: what Rhai knows a function by cannot be made from outside.
pub(super) struct Templates {
    property: FnCallExpr,
    item: FnCallExpr,
    kind: FnCallExpr,
    text: FnCallExpr,
    closure: FnCallExpr,
    items: FnCallExpr,
    range: FnCallExpr,
    own: FnCallExpr,
}

impl Templates {
    pub fn new(engine: &rhai::Engine) -> Templates {
        let call = |name: &str, count: usize| {
            let values = vec!["0"; count].join(", ");
            let ast = engine.compile(format!("{name}({values})"));
            let call = ast.as_ref().ok().and_then(|ast| match ast.statements() {
                [Stmt::FnCall(call, _)] => Some(native((**call).clone())),
                [Stmt::Expr(call)] => match &**call {
                    Node::FnCall(call, _) => Some(native((**call).clone())),
                    _ => None,
                },
                _ => None,
            });
            match call {
                Some(call) => call,
                None => unreachable!("a call is parsed as a call"),
            }
        };
        Templates {
            property: call(PROPERTY, 2),
            item: call(ITEM, 2),
            kind: call(KIND, 1),
            text: call(TEXT, 1),
            closure: call(CLOSURE, 2),
            items: call(ITEMS, 1),
            range: call(RANGE, 3),
            own: call(OWN, 1),
        }
    }
}

/// A call that needs not look for functions of a script first.
fn native(mut call: FnCallExpr) -> FnCallExpr {
    call.hashes = FnCallHashes::from_native_only(call.hashes.native());
    call
}

fn with(template: &FnCallExpr, values: impl IntoIterator<Item = Node>) -> Box<FnCallExpr> {
    let mut call = template.clone();
    call.args = values.into_iter().collect();
    Box::new(call)
}

/// The tree to run.
pub(super) fn rewrite(templates: &Templates, parsed: &Parsed) -> AST {
    let rewriter = Rewriter { templates, parsed };
    AST::new(rewriter.statements(&parsed.statements, &[]), Module::new())
}

struct Rewriter<'a> {
    templates: &'a Templates,
    parsed: &'a Parsed,
}

impl Rewriter<'_> {
    /// `locals` are the names made around: parameters of functions, and what a script keeps.
    fn statements(&self, statements: &[Stmt], locals: &[ImmutableString]) -> Vec<Stmt> {
        let mut locals = locals.to_vec();
        let mut rewritten = Vec::with_capacity(statements.len());
        for statement in statements {
            if matches!(statement, Stmt::Noop(_)) && self.parsed.form != Form::Expression {
                continue; // what stands after the last `;` would be the value
            }
            let mut statement = statement.clone();
            self.statement(&mut statement, &mut locals, &mut rewritten);
            rewritten.push(statement);
        }
        rewritten
    }

    /// What has to be done before goes to `before`; a name that it makes to `locals`.
    fn statement(
        &self,
        statement: &mut Stmt,
        locals: &mut Vec<ImmutableString>,
        before: &mut Vec<Stmt>,
    ) {
        match statement {
            Stmt::Expr(node) => self.node(node, locals),
            Stmt::FnCall(call, position) => {
                let mut node = Node::FnCall(call.clone(), *position);
                self.node(&mut node, locals);
                *statement = Stmt::Expr(Box::new(node));
            }
            Stmt::Block(block) => self.block(block, locals),
            Stmt::If(parts, _) => {
                self.node(&mut parts.expr, locals);
                self.block(&mut parts.body, locals);
                self.block(&mut parts.branch, locals);
            }
            Stmt::Switch(parts, _) => {
                self.node(&mut parts.0, locals);
                for case in &mut parts.1.expressions {
                    self.node(&mut case.lhs, locals);
                    self.node(&mut case.rhs, locals);
                }
            }
            Stmt::While(parts, _) | Stmt::Do(parts, ..) => {
                self.node(&mut parts.expr, locals);
                self.block(&mut parts.body, locals);
            }
            Stmt::For(parts, _) => {
                let (name, counter, flow) = &mut **parts;
                self.repeated(&mut flow.expr, locals);
                let mut inside = locals.clone();
                for name in std::iter::once(name).chain(counter) {
                    inside.push(name.name.clone());
                    name.name = local(&name.name);
                }
                self.block(&mut flow.body, &inside);
            }
            Stmt::Var(parts, ..) => {
                self.node(&mut parts.1, locals);
                locals.push(parts.0.name.clone());
                parts.0.name = local(&parts.0.name);
                parts.2 = None;
            }
            Stmt::Assignment(parts) => {
                self.node(&mut parts.1.rhs, locals);
                self.target(&mut parts.1.lhs, locals, before);
            }
            Stmt::Return(Some(value), ..) => self.node(value, locals),
            // nothing else that holds a value passes the check
            _ => {}
        }
    }

    /// What a `for` goes over, as a list.
    fn repeated(&self, node: &mut Node, locals: &[ImmutableString]) {
        let position = node.start_position();
        *node = match std::mem::take(node) {
            Node::FnCall(mut call, _) if matches!(call.name.as_str(), ".." | "..=") => {
                let mut values: Vec<Node> = std::mem::take(&mut call.args).into_iter().collect();
                values.iter_mut().for_each(|value| self.node(value, locals));
                values.push(Node::BoolConstant(call.name == "..=", position));
                Node::FnCall(with(&self.templates.range, values), position)
            }
            mut list => {
                self.node(&mut list, locals);
                Node::FnCall(with(&self.templates.items, [list]), position)
            }
        };
    }

    /// What is assigned to. Rhai finds the item by itself; but a part of a document is made a list or map first.
    fn target(&self, node: &mut Node, locals: &[ImmutableString], before: &mut Vec<Stmt>) {
        let indexed = matches!(node, Node::Index(..));
        match node {
            Node::Index(parts, ..) | Node::Dot(parts, ..) => {
                self.node(&mut parts.lhs, locals);
                if indexed {
                    self.node(&mut parts.rhs, locals);
                }
                let position = parts.lhs.position();
                let own = with(&self.templates.own, [parts.lhs.clone()]);
                before.push(Stmt::Expr(Box::new(Node::FnCall(own, position))));
            }
            name => self.node(name, locals),
        }
    }

    fn block(&self, block: &mut StmtBlock, locals: &[ImmutableString]) {
        let statements = self.statements(block.statements(), locals);
        *block = StmtBlock::new(statements, block.position(), block.end_position());
    }

    fn node(&self, node: &mut Node, locals: &[ImmutableString]) {
        if let Some(written) = self.parsed.function(node) {
            *node = self.closure(&written, locals);
            return;
        }
        match node {
            // by its name: where Rhai expects it to stand is another place now
            Node::Variable(name, _, position) if locals.contains(&name.1) => {
                *node = variable(local(&name.1), *position);
            }
            Node::FnCall(call, _) => self.call(call, locals),
            Node::Dot(..) | Node::Index(..) => self.chain(node, locals),
            Node::And(parts, _) | Node::Or(parts, _) | Node::Coalesce(parts, _) => {
                parts.iter_mut().for_each(|part| self.node(part, locals));
            }
            Node::Array(items, _) => items.iter_mut().for_each(|item| self.node(item, locals)),
            Node::Map(map, _) => map
                .0
                .iter_mut()
                .for_each(|(_, value)| self.node(value, locals)),
            Node::InterpolatedString(parts, _) => {
                for part in parts.iter_mut() {
                    if !matches!(part, Node::StringConstant(..)) {
                        self.node(part, locals);
                        let position = inner_position(part);
                        let value = std::mem::take(part);
                        *part = Node::FnCall(with(&self.templates.text, [value]), position);
                    }
                }
            }
            Node::Stmt(block) => self.block(block, locals),
            _ => {}
        }
    }

    fn call(&self, call: &mut FnCallExpr, locals: &[ImmutableString]) {
        call.args
            .iter_mut()
            .for_each(|value| self.node(value, locals));
        if call.name == "type_of" {
            let values = std::mem::take(&mut call.args);
            *call = *with(&self.templates.kind, values);
        } else if call.op_token.is_none() {
            *call = native(call.clone());
        } else {
            call.hashes = FnCallHashes::from_native_only(call.hashes.native());
        }
    }

    /// `a.b[c].d(e)`: every link becomes a call, every index a dot.
    fn chain(&self, node: &mut Node, locals: &[ImmutableString]) {
        let (parts, indexed, flags, position) = match node {
            Node::Dot(parts, flags, position) => (parts, false, flags, position),
            Node::Index(parts, flags, position) => (parts, true, flags, position),
            _ => return,
        };
        self.node(&mut parts.lhs, locals);
        let ends = flags.intersects(ASTFlags::BREAK);
        self.links(&mut parts.rhs, indexed, ends, locals);
        if indexed {
            *node = Node::Dot(std::mem::take(parts), *flags, *position);
        }
    }

    /// What follows in a chain: one link, or a link and what follows it.
    fn links(&self, rest: &mut Node, indexed: bool, ends: bool, locals: &[ImmutableString]) {
        let next_indexed = matches!(rest, Node::Index(..));
        match rest {
            Node::Dot(parts, flags, position) | Node::Index(parts, flags, position) if !ends => {
                let next_ends = flags.intersects(ASTFlags::BREAK);
                self.link(&mut parts.lhs, indexed, locals);
                self.links(&mut parts.rhs, next_indexed, next_ends, locals);
                *rest = Node::Dot(std::mem::take(parts), *flags, *position);
            }
            link => self.link(link, indexed, locals),
        }
    }

    fn link(&self, link: &mut Node, indexed: bool, locals: &[ImmutableString]) {
        if indexed {
            self.node(link, locals);
            let position = link.start_position();
            let index = std::mem::take(link);
            *link = Node::MethodCall(with(&self.templates.item, [index]), position);
            return;
        }
        match link {
            Node::Property(property, position) => {
                let name = Node::StringConstant(property.2.clone(), *position);
                *link = Node::MethodCall(with(&self.templates.property, [name]), *position);
            }
            Node::MethodCall(call, _) => self.call(call, locals),
            _ => {}
        }
    }

    fn closure(&self, written: &Written<'_>, locals: &[ImmutableString]) -> Node {
        let (captured, taken) = written
            .body
            .parameters
            .split_at(written.captures.min(written.body.parameters.len()));
        // what it captures besides parameters of functions around it are names, which are looked up anyway
        let captured: Vec<ImmutableString> = captured
            .iter()
            .filter(|name| locals.contains(name))
            .cloned()
            .collect();
        let inside: Vec<ImmutableString> = captured.iter().chain(taken).cloned().collect();
        let body = self.statements(&written.body.statements, &inside);
        let values: Vec<Node> = captured
            .iter()
            .map(|name| variable(local(name), written.position))
            .collect();
        let closure = Closure::new(Code {
            captures: captured.iter().map(local).collect(),
            parameters: taken.iter().map(local).collect(),
            body: AST::new(body, Module::new()),
        });
        let closure = Node::DynamicConstant(Box::new(Dynamic::from(closure)), written.position);
        if values.is_empty() {
            return closure;
        }
        let values = Node::Array(values.into_iter().collect(), written.position);
        Node::FnCall(
            with(&self.templates.closure, [closure, values]),
            written.position,
        )
    }
}

fn local(name: &ImmutableString) -> ImmutableString {
    format!("{LOCAL}{name}").into()
}

fn variable(name: ImmutableString, position: Position) -> Node {
    Node::Variable((None, name, Default::default(), 0).into(), None, position)
}

/// A part of a text is a block of its own; its place is that of what stands inside.
fn inner_position(part: &Node) -> Position {
    match part {
        Node::Stmt(block) => block
            .statements()
            .first()
            .map_or(part.start_position(), |first| first.position()),
        _ => part.start_position(),
    }
}
