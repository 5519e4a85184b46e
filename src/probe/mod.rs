//! Where to look: one file per kind, one line in [`KINDS`].
//!
//! A probe looks, read-only, and gives facts. A missing file is a fact; a file that cannot be read is an error. Times in
//! facts are epoch seconds, ages seconds: a file or record dated ahead of now has a negative age, for a rule to judge.
//!
//! | file | is |
//! |---|---|
//! | [`file`], [`json`], [`jsonl`], [`text`], [`code`], [`command`], [`status`], [`script`] | the kinds that look at files and programs |
//! | [`process`], [`host`] | those that look at the machine |
//! | [`heartbeat`] | the one that waits to be told |
//! | [`dns`], [`http`], [`prometheus`], [`tcp`], [`tls`] | those that look over the network |
//! | [`sql`] | the one that asks databases |
//! | [`plugin`] | what a monitoring plugin says |
//! | [`processes`] | the processes of the machine |
//! | [`path`] | a path of a rule, plain or with templates, and reading it whole |
//! | [`pattern`] | a regular expression of a rule |
//! | [`apart`] | a look that may block, on a thread of its own |
//! | [`usage`] | how much processor time was used since the look before |
//! | [`remote`] | what the kinds share that look over the network |
//! | [`request`] | the HTTP request of a rule |
//! | [`strict_json`] | JSON without duplicate keys |
//! | [`backward`] | lines from the end of a file |
//! | [`search`] | what is looked for in a JSON-lines log, and what a line is taken for |
//! | [`window`] | the end of a JSON-lines log, kept up to date |
//! | [`tails`] | the windows of a running engine |

mod apart;
mod backward;
pub mod code;
pub mod command;
#[cfg(test)]
mod confinement;
pub mod dns;
pub mod file;
pub mod heartbeat;
pub mod host;
pub mod http;
pub mod json;
pub mod jsonl;
mod path;
mod pattern;
pub mod plugin;
pub mod process;
pub mod processes;
pub mod prometheus;
mod remote;
mod request;
pub mod script;
mod search;
pub mod sql;
pub mod status;
mod strict_json;
mod tails;
pub mod tcp;
#[cfg(test)]
mod testing;
pub mod text;
pub mod tls;
mod usage;
mod window;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;

use crate::{
    model::{Name, facts::Facts, node::Node, status::Status, text::Mistake},
    permission::Permission,
    script::{Engine, Ground, Known, Scripts},
};

/// Why a probe could not look.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProbeError(pub String);

/// What a probe looks with.
#[derive(Clone)]
pub struct Eyes {
    pub engine: Engine,
    pub permission: Arc<Permission>,
    pub ground: Ground,
    /// Where the `jsonl` probes remember how far they read. Fresh for a dry run, shared by a running engine.
    pub tails: Arc<Tails>,
    pub board: Arc<dyn Board>,
    /// How long this look may take.
    pub limit: Duration,
}

/// What the `status` and `heartbeat` probes ask: how other checks stand, and what was heard.
pub trait Board: Send + Sync {
    fn status(&self, check: &str) -> Option<(Status, String)>;

    fn heartbeat(&self, _name: &str) -> Option<Heartbeat> {
        None
    }
}

/// A board without checks.
pub struct NoBoard;

impl Board for NoBoard {
    fn status(&self, _: &str) -> Option<(Status, String)> {
        None
    }
}

pub use heartbeat::Heartbeat;
pub use tails::Tails;

pub trait Probe: Send + Sync {
    /// Looks. Never blocks the thread for long; file kinds go through [`Probe::quick`].
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>>;

    /// The file kinds look synchronously, in batches on blocking threads.
    fn quick(&self) -> Option<&dyn Look> {
        None
    }

    /// Sample facts: what expressions are checked against at load.
    fn shape(&self) -> Facts;

    /// Files below the root it reads, where that can be told beforehand.
    fn files(&self) -> Vec<String> {
        Vec::new()
    }

    /// Heartbeats it waits for.
    fn heartbeats(&self) -> Vec<Name> {
        Vec::new()
    }

    /// Checks it asks about.
    fn checks(&self) -> Vec<Name> {
        Vec::new()
    }
}

/// A look that only reads files.
pub trait Look: Send + Sync {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError>;
}

/// What building a probe from its rule needs.
pub struct Workshop<'a> {
    pub engine: &'a Engine,
    /// What templates may use: `vars`, `env(…)`, `now`.
    pub known: &'a Known,
    pub permission: &'a Permission,
    /// The scripts that stand beside the rules.
    pub scripts: &'a Scripts,
    pub mistakes: &'a mut Vec<Mistake>,
}

/// One kind of probe.
pub struct Kind {
    pub name: &'static str,
    /// What it looks at, in a few words.
    pub about: &'static str,
    /// A rule fragment, for the documentation and its test: `probe: { file: { file: data/x.json } }`.
    pub example: &'static str,
    /// (fact, unit or kind, meaning), for the documentation.
    pub facts: &'static [(&'static str, &'static str, &'static str)],
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Builds it; `None` if the rule has mistakes, all of which are pushed.
    pub build: fn(&Node, &mut Workshop<'_>) -> Option<Arc<dyn Probe>>,
}

/// Every kind there is.
pub static KINDS: &[&Kind] = &[
    &file::KIND,
    &json::KIND,
    &jsonl::KIND,
    &text::KIND,
    &code::KIND,
    &command::KIND,
    &status::KIND,
    &heartbeat::KIND,
    &process::KIND,
    &host::KIND,
    &script::KIND,
    &dns::KIND,
    &http::KIND,
    &prometheus::KIND,
    &sql::KIND,
    &tcp::KIND,
    &tls::KIND,
];

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::{testing::Bench, *};

    #[test]
    fn every_example_builds_and_every_fact_is_documented() {
        let bench = Bench::new().allowing_to_run(&["/usr/bin/systemctl is-active trading-bot"]);
        let bench = bench.with_script("lag", "#{ lag_s: args.limit, worst: `x` }");
        for kind in KINDS {
            let example: serde_json::Value =
                serde_yaml::from_str(kind.example).expect("an example is YAML");
            let rule = example["probe"][kind.name].clone();
            let probe = bench.build(kind, rule).expect(kind.name);
            let documented: Vec<&str> = kind.facts.iter().map(|(name, _, _)| *name).collect();
            let any = documented == ["NAME"]; // those that a script names
            for name in probe.shape().names() {
                assert!(any || documented.contains(&name), "{}: {name}", kind.name);
            }
            let schema = (kind.schema)(&mut schemars::SchemaGenerator::default());
            assert_eq!(
                schema.get("additionalProperties"),
                Some(&false.into()),
                "{}",
                kind.name
            );
        }
    }
}
