//! `sql`: what a query gives, over a file of SQLite or at a server of PostgreSQL. It only reads.
//!
//! What a rule fills in are the arguments of a query, never a part of its text. A query that is wrong is an error of the
//! probe, as is an answer that is too large; that a file is missing or a server does not answer is a fact.
//!
//! | file | is |
//! |---|---|
//! | [`sqlite`], [`postgres`] | how each of them is asked |
//! | [`statement`], [`wire`] | what is said to PostgreSQL, and over what |
//! | [`cell`] | a value of PostgreSQL as JSON |
//! | [`table`] | what came back, within bounds |

mod cell;
mod postgres;
mod sqlite;
mod statement;
mod table;
mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    postgres::Server,
    table::{Bounds, Table},
};
use super::{
    Eyes, Kind, Probe, ProbeError, Workshop,
    apart::Apart,
    path::Filled,
    remote::{self, ERROR, NOT_CONFIGURED},
    request,
};
use crate::{
    clock::Stopwatch,
    model::{
        facts::Facts,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    net::dial,
    permission::settings::Size,
    script::{Scope, TemplateTree},
};

pub static KIND: Kind = Kind {
    name: "sql",
    about: "what a query gives that only reads, over a file of SQLite or at a server of PostgreSQL",
    example: r#"probe: { sql: { sqlite: data/orders.db, query: 'SELECT count(*) AS open FROM orders WHERE state = ?', args: [open] } }"#,
    facts: &[
        (
            "sent",
            "boolean",
            "whether it was asked; false when the file is missing, or when it is not configured or not allowed",
        ),
        (
            "exists",
            "boolean",
            "of SQLite: the file is there, and was read",
        ),
        ("missing", "boolean", "of SQLite: it is not there"),
        (
            "rows",
            "list",
            "each a map of its columns; bytes are base64, instants ISO 8601, numbers that JSON cannot hold texts",
        ),
        ("row", "map or ()", "the first of them"),
        ("count", "number", "of `rows`"),
        ("columns", "list", "the names of the columns"),
        (
            "truncated",
            "boolean",
            "there were more rows than `max_rows`",
        ),
        (
            "latency_ms",
            "milliseconds or ()",
            "until the rows were there or it failed",
        ),
        ERROR,
    ],
    schema: Rule::json_schema,
    build,
};

const MAX_ROWS: usize = 1000;
const MOST_ROWS: usize = 10_000;
const MAX_SIZE: Size = Size(1 << 20);

/// A query.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A file of SQLite.
    sqlite: Option<Text>,
    /// Instead: a server of PostgreSQL. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    #[schemars(with = "Option<postgres::Form>")]
    postgres: Option<Value>,
    /// Of the user of PostgreSQL. Never shown when it comes from `env("…")`.
    password: Option<Text>,
    /// Of PostgreSQL: whether the connection must be TLS. By default true, unless the server is on this machine.
    tls: Option<bool>,
    /// A PEM file with the certificates that are trusted instead of those of the system.
    ca: Option<Text>,
    /// Whether the certificate must be trusted before anything is sent. By default true.
    #[serde(default = "request::yes")]
    verify: bool,
    /// One statement that only reads. It holds no `${…}`: what is to be filled in stands under `args`.
    query: Text,
    /// What stands for `?` in SQLite, for `$1`, `$2` … in PostgreSQL. A list or a map is given as JSON.
    #[serde(default)]
    args: Vec<Value>,
    /// After this there is no answer. By default, and at the most, a little less than the time limit of the check.
    timeout: Option<Span>,
    /// What comes after so many rows is left out. By default 1000, at most 10000.
    max_rows: Option<usize>,
    /// Larger rows are an error of the probe. By default 1 MiB.
    max_size: Option<Size>,
}

enum Database {
    Sqlite { file: Filled, apart: Apart },
    Postgres(Box<Server>),
}

struct SqlProbe {
    database: Database,
    query: Arc<str>,
    args: Option<TemplateTree>,
    timeout: Option<Span>,
    bounds: Bounds,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    remote::check_timeout(rule.timeout, node, workshop.mistakes);
    check(&rule, node, workshop.mistakes);
    if rule.postgres.is_some() && !rule.query.as_str().trim().is_empty() {
        statement::check(&rule.query, workshop.mistakes);
    }
    let args = match node.get("args") {
        Some(args) if !rule.args.is_empty() => {
            TemplateTree::compile(workshop.engine, args, workshop.known, workshop.mistakes)
        }
        _ => None,
    };
    let database = match (&rule.sqlite, node.get("postgres")) {
        (Some(file), _) => Filled::path(file, workshop).map(|file| Database::Sqlite {
            file,
            apart: Apart::default(),
        }),
        (None, Some(server)) => {
            let more = postgres::More {
                password: rule.password.as_ref(),
                tls: rule.tls,
                ca: rule.ca.as_ref(),
                verify: rule.verify,
            };
            Server::build(server, more, workshop).map(|it| Database::Postgres(Box::new(it)))
        }
        (None, None) => None, // told by `check`
    };
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(SqlProbe {
        database: database?,
        query: rule.query.as_str().into(),
        args,
        timeout: rule.timeout,
        bounds: Bounds {
            rows: rule.max_rows.unwrap_or(MAX_ROWS),
            size: rule.max_size.unwrap_or(MAX_SIZE),
        },
    }))
}

/// What is wrong with a rule as a whole.
fn check(rule: &Rule, node: &Node, mistakes: &mut Vec<Mistake>) {
    let mut wrong = |key: &str, why: &str, help: &str| {
        let mistake = Mistake::new("bad-value", why, remote::place(node, key));
        mistakes.push(match help {
            "" => mistake,
            help => mistake.help(help),
        });
    };
    match (&rule.sqlite, &rule.postgres) {
        (Some(_), Some(_)) => wrong("postgres", "`sqlite` or `postgres`: one of them", ""),
        (None, None) => wrong(
            "",
            "it does not say which database",
            "write `sqlite: data/orders.db` or `postgres: 'postgres://user@host:5432/database'`",
        ),
        (Some(_), None) => {
            for key in ["password", "tls", "ca", "verify"] {
                if node.get(key).is_some() {
                    wrong(key, "a file of SQLite is no server", "");
                }
            }
        }
        (None, Some(_)) => {}
    }
    let query = rule.query.as_str();
    if query.trim().is_empty() {
        wrong("query", "there is nothing to ask", "");
    }
    if query.contains("${") {
        wrong(
            "query",
            "the text of a query is fixed",
            "write ? (SQLite) or $1 (PostgreSQL) for each value, and the values under `args`",
        );
    }
    if query.contains('\0') {
        wrong("query", "the query holds a NUL", "");
    }
    if rule
        .max_rows
        .is_some_and(|it| !(1..=MOST_ROWS).contains(&it))
    {
        wrong("max_rows", "from 1 to 10000 rows", "");
    }
}

impl Probe for SqlProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        // an empty map stands for any
        self.none()
            .with("rows", json!([{}]))
            .with("row", json!({}))
            .with("count", 1)
            .with("columns", json!(["n"]))
            .with("latency_ms", 12.5)
    }

    fn files(&self) -> Vec<String> {
        match &self.database {
            Database::Sqlite { file, .. } => file.plain().map(str::to_owned).into_iter().collect(),
            Database::Postgres(_) => Vec::new(),
        }
    }
}

impl SqlProbe {
    /// The facts when nothing is known.
    fn none(&self) -> Facts {
        let mut facts = Facts::new().with("sent", true);
        if let Database::Sqlite { .. } = self.database {
            facts.set("exists", false);
            facts.set("missing", false);
        }
        facts
            .with("rows", Value::Array(Vec::new()))
            .with("row", Value::Null)
            .with("count", 0)
            .with("columns", Value::Array(Vec::new()))
            .with("truncated", false)
            .with("latency_ms", Value::Null)
            .with("error", Value::Null)
    }

    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let limit = dial::patience(self.timeout, eyes.limit);
        let Some(args) = self.args(eyes)? else {
            return Ok(remote::unsent(self.none(), NOT_CONFIGURED));
        };
        let watch = Stopwatch::new();
        let table = match &self.database {
            Database::Sqlite { file, apart } => {
                let Some(file) = file.given(eyes)? else {
                    return Ok(remote::unsent(self.none(), NOT_CONFIGURED));
                };
                let asked = sqlite::Asked {
                    permission: Arc::clone(&eyes.permission),
                    file: file.clone().into_owned(),
                    query: Arc::clone(&self.query),
                    args,
                    bounds: self.bounds,
                    limit,
                    now: eyes.ground.now,
                };
                match sqlite::ask(apart, asked).await? {
                    Some(table) => table,
                    None => {
                        let facts = self.none().with("missing", true);
                        return Ok(remote::unsent(facts, format!("{file} is missing")));
                    }
                }
            }
            Database::Postgres(server) => {
                let door = match server.door(eyes)? {
                    Ok(door) => door,
                    Err(why) => return Ok(remote::unsent(self.none(), why)),
                };
                let asked = postgres::Asked {
                    query: &self.query,
                    args: &args,
                    bounds: self.bounds,
                    limit,
                };
                match door.ask(asked, &eyes.permission).await {
                    Ok(table) => table,
                    Err(postgres::Failure::Query(why)) => return Err(ProbeError(why)),
                    Err(postgres::Failure::Net(error)) => {
                        let mut facts = remote::failed(self.none(), &error);
                        if error.was_tried() {
                            facts.set("latency_ms", watch.milliseconds());
                        }
                        return Ok(facts);
                    }
                }
            }
        };
        Ok(self.facts(table, watch))
    }

    /// The arguments, filled in; `None` if one gives `()`.
    fn args(&self, eyes: &Eyes) -> Result<Option<Vec<Value>>, ProbeError> {
        let Some(args) = &self.args else {
            return Ok(Some(Vec::new()));
        };
        let given = args.given(&eyes.engine, &Scope::new(&eyes.ground));
        Ok(given.map_err(request::fault)?.map(|args| match args {
            Value::Array(args) => args,
            other => vec![other],
        }))
    }

    fn facts(&self, table: Table, watch: Stopwatch) -> Facts {
        let mut facts = self.none();
        if let Database::Sqlite { .. } = self.database {
            facts.set("exists", true);
        }
        facts
            .with("row", table.rows.first().cloned())
            .with("count", table.rows.len())
            .with("rows", table.rows)
            .with("columns", table.columns)
            .with("truncated", table.truncated)
            .with("latency_ms", watch.milliseconds())
    }
}

#[cfg(test)]
mod tests;
