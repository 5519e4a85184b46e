//! What a script may do and an expression may not: give values names and other values, repeat, return early.
//!
//! Whatever it does ends, for operations are counted, and touches only what is its own: names are made with `let`, a
//! function sees copies of those around it, and there is nothing that acts.

use rhai::{Expr as Node, ImmutableString, Position, Stmt};

use super::{Checker, Local, Shape};
use crate::script::{
    functions::{self, Function},
    parse::Form,
};

impl<'a> Checker<'a> {
    /// One statement after the other. Where a value is wanted, the last one gives it.
    pub(super) fn sequence(
        &mut self,
        statements: &'a [Stmt],
        wanted: bool,
        at: Position,
    ) -> Shape<'a> {
        let before = self.locals.len();
        let mut rest = statements
            .iter()
            .filter(|statement| !matches!(statement, Stmt::Noop(_)))
            .peekable();
        if wanted && rest.peek().is_none() {
            self.mistake(
                "empty-expression",
                "there is no value here",
                "write one",
                at,
            );
        }
        let mut shape = None;
        while let Some(statement) = rest.next() {
            shape = match wanted && rest.peek().is_none() {
                true => self.giving(statement),
                false => {
                    self.doing(statement);
                    None
                }
            };
        }
        self.locals.truncate(before);
        shape
    }

    /// The last statement, whose value is wanted.
    fn giving(&mut self, statement: &'a Stmt) -> Shape<'a> {
        match statement {
            Stmt::Expr(_) | Stmt::FnCall(..) | Stmt::Block(_) | Stmt::If(..) | Stmt::Switch(..) => {
                self.statement(statement)
            }
            Stmt::Return(..) => {
                self.doing(statement);
                None
            }
            other => {
                self.doing(other);
                self.mistake(
                    "empty-expression",
                    "this gives no value",
                    "the last line gives it: write one, like `#{ count: n }`",
                    other.position(),
                );
                None
            }
        }
    }

    /// A statement that is there for what it does.
    fn doing(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Noop(_) => {}
            Stmt::Expr(node) => self.acting(node),
            Stmt::Block(block) => self.quietly(block.statements()),
            Stmt::If(parts, _) => {
                self.condition(&parts.expr);
                self.quietly(parts.body.statements());
                self.quietly(parts.branch.statements());
            }
            Stmt::Switch(parts, _) => {
                self.node(&parts.0);
                for case in &parts.1.expressions {
                    self.node(&case.lhs);
                    self.acting(&case.rhs);
                }
            }
            Stmt::While(parts, _) | Stmt::Do(parts, ..) => {
                if !matches!(parts.expr, Node::Unit(_)) {
                    self.condition(&parts.expr);
                }
                self.quietly(parts.body.statements());
            }
            Stmt::For(parts, _) => {
                let (name, counter, flow) = &**parts;
                let items = match &flow.expr {
                    Node::FnCall(call, _) if super::calls::is_range(call) => {
                        call.args.iter().for_each(|bound| {
                            self.node(bound);
                        });
                        None
                    }
                    list => self.node(list),
                };
                let before = self.locals.len();
                self.locals.push(Local {
                    name: name.name.clone(),
                    shape: items.and_then(|items| items.as_array()?.first()),
                    writable: false,
                });
                if let Some(counter) = counter {
                    self.local(&counter.name, false);
                }
                self.quietly(flow.body.statements());
                self.locals.truncate(before);
            }
            Stmt::Var(parts, flags, position) => {
                if flags.intersects(rhai::ASTFlags::EXPORTED) {
                    self.mistake("statement", "a script exports nothing", "", *position);
                }
                self.node(&parts.1);
                let constant = flags.intersects(rhai::ASTFlags::CONSTANT);
                self.local(&parts.0.name, !constant);
            }
            Stmt::Assignment(parts) => {
                self.target(&parts.1.lhs);
                self.node(&parts.1.rhs);
            }
            Stmt::BreakLoop(None, ..) => {}
            Stmt::Return(Some(value), ..) => {
                self.node(value);
            }
            Stmt::Return(None, _, position) => self.mistake(
                "empty-expression",
                "this returns nothing",
                "write what the script gives: `return #{ … };`",
                *position,
            ),
            Stmt::FnCall(call, position) => {
                self.call(call, None, *position);
                self.useless(*position);
            }
            other => self.mistake(
                "statement",
                "this statement cannot stand in a script",
                "there are let, const, =, if, switch, for, while, loop, return and throw",
                other.position(),
            ),
        }
    }

    fn quietly(&mut self, statements: &'a [Stmt]) {
        self.level += 1;
        self.deepest = self.deepest.max(self.level);
        self.sequence(statements, false, Position::NONE);
        self.level -= 1;
    }

    fn condition(&mut self, node: &'a Node) {
        let shape = self.node(node);
        self.must_be_truth(node, shape);
    }

    /// An expression that stands alone: it adds to a list, or it is good for nothing.
    fn acting(&mut self, node: &'a Node) {
        match node {
            Node::Stmt(block) => self.quietly(block.statements()),
            Node::Dot(parts, ..) => match (&parts.lhs, &parts.rhs) {
                (Node::Variable(variable, ..), Node::MethodCall(call, position))
                    if call.name == "push" =>
                {
                    self.owned(&variable.1, parts.lhs.position());
                    call.args.iter().for_each(|value| {
                        self.node(value);
                    });
                    if call.args.len() != 1 {
                        let usage = "write `list.push(x);`";
                        let said = "`push` takes one value";
                        self.mistake("wrong-arguments", said, usage, *position);
                    }
                }
                _ => {
                    self.node(node);
                    self.useless(node.start_position());
                }
            },
            _ => {
                self.node(node);
                self.useless(node.start_position());
            }
        }
    }

    fn useless(&mut self, position: Position) {
        self.mistake(
            "statement",
            "this value is used for nothing",
            "give it a name with `let`, or take it out",
            position,
        );
    }

    /// What is given another value: a name of the script, or one item of such a list or map.
    fn target(&mut self, node: &'a Node) {
        match node {
            Node::Variable(variable, _, position) => self.owned(&variable.1, *position),
            Node::Index(parts, ..) | Node::Dot(parts, ..) => {
                match (&parts.lhs, &parts.rhs, node) {
                    (Node::Variable(variable, _, position), Node::Property(..), Node::Dot(..)) => {
                        self.owned(&variable.1, *position);
                    }
                    (Node::Variable(variable, _, position), index, Node::Index(..))
                        if !matches!(index, Node::Index(..) | Node::Dot(..)) =>
                    {
                        self.owned(&variable.1, *position);
                        self.node(index);
                    }
                    _ => self.mistake(
                        "statement",
                        "only an item of a list or map of the script's own can be changed, not what is inside of it",
                        "make the inner list or map first, then put it in: `all[name] = inner;`",
                        node.start_position(),
                    ),
                }
            }
            other => self.mistake(
                "statement",
                "nothing can be assigned here",
                "write `==` to compare",
                other.start_position(),
            ),
        }
    }

    /// A name that may be given another value here. What it is, is not known afterwards.
    fn owned(&mut self, name: &ImmutableString, position: Position) {
        let fence = self.fence;
        let found = self
            .locals
            .iter_mut()
            .enumerate()
            .rev()
            .find(|(_, local)| local.name == *name);
        let help = match found {
            Some((index, local)) if index >= fence && local.writable => {
                local.shape = None;
                return;
            }
            Some((index, _)) if index < fence => {
                "a function has a copy of it; use a `for` loop instead".to_owned()
            }
            Some(_) => format!("make another name: `let other = {name};`"),
            None => format!("make it first: `let {name} = …;`"),
        };
        self.mistake(
            "statement",
            format!("`{name}` cannot be changed here"),
            help,
            position,
        );
    }

    pub(super) fn local(&mut self, name: &ImmutableString, writable: bool) {
        self.locals.push(Local {
            name: name.clone(),
            shape: None,
            writable,
        });
    }

    /// A function that looks, where there is something to look with.
    pub(super) fn looking(&self, name: &str) -> Option<&'static Function> {
        match self.parsed.form {
            Form::Script { looks: true } => functions::looking(name),
            _ => None,
        }
    }

    pub(super) fn nowhere_to_look(&self) -> String {
        match self.parsed.form {
            Form::Expression => "only the script of a probe looks at files",
            Form::Script { .. } => {
                "the script of a step only reads what it is given: let the probe look, and hand it over in `args`"
            }
        }
        .to_owned()
    }
}
