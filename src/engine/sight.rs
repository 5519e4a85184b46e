//! Everything of one check, and what is needed to judge what was recorded of it: for whoever shows it, outside the loop.
//!
//! The loop hands out references (a book is shared and immutable), so that what takes long, reading files and judging
//! hundreds of looks anew, is done elsewhere.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    driver::{Driver, plain},
    handle::Proposal,
    overview::{PauseAnswer, Row, SilenceAnswer},
    trail::{LONGEST, Mark},
};
use crate::{
    model::{Name, moment::Moment, standing::Baseline, verdict::Verdict},
    permission::Permission,
    rules::{
        book::{Book, Check},
        complaint::Complaint,
    },
    script::{self, Env, Ground, Scope},
    store::{LookRecord, Recorded, StoreError},
};

/// How far back the trails of an engine that starts go.
const PAST: Duration = Duration::from_secs(24 * 3600);
/// So many recorded looks are read for them.
const PAST_LOOKS: usize = 100_000;

/// So many records of an investigation are kept in memory.
pub const RECORDS: usize = 20;

/// The rules that run, with what judging by them needs.
#[derive(Clone)]
pub struct Workbench {
    pub book: Arc<Book>,
    pub script: script::Engine,
    pub permission: Arc<Permission>,
    pub env: Arc<Env>,
    /// The rules directory.
    pub rules: PathBuf,
    /// `--set NAME=VALUE`.
    pub set: Arc<BTreeMap<String, Value>>,
    /// Complaints of a rule set that was refused; empty when what is on disk is what runs.
    pub complaints: Vec<Complaint>,
}

impl Workbench {
    /// What expressions know at an instant.
    pub fn ground(&self, now: Moment) -> Ground {
        Ground {
            now,
            vars: self.book.vars.clone(),
            env: self.env.clone(),
        }
    }

    /// The numbers that these names came to in a recorded look, by the rules that run now: `value`, a `let`, a fact, or a
    /// path into one (`run.count`). What is no number, or needs what is gone by now (`kept`, `prev`), is left out.
    pub fn numbers(
        &self,
        check: &Check,
        names: &[String],
        look: &LookRecord,
    ) -> Vec<(String, f64)> {
        let ground = self.ground(look.at);
        let judging = &check.judging;
        let scope = Scope::new(&ground)
            .facts(&look.verdict.facts)
            .lets(&judging.lets);
        let number = |name: &str| -> Option<f64> {
            if name == "value"
                && let Some(value) = &judging.value
            {
                return value.number(&self.script, &scope).ok();
            }
            if let Some((_, expr)) = judging.lets.iter().find(|(known, _)| known == name) {
                return expr.number(&self.script, &scope).ok();
            }
            let mut path = name.split('.');
            let fact = look.verdict.facts.get(path.next()?)?;
            path.try_fold(fact.as_ref(), |value, part| value.get(part))?
                .as_f64()
        };
        let secrets = self.permission.secrets();
        names
            .iter()
            .filter_map(|name| {
                let found = number(name).filter(|it| it.is_finite())?;
                // A secret that is a number is none to draw.
                let mut told = Value::from(found);
                secrets.hide_value(&mut told);
                Some((name.clone(), told.as_f64()?))
            })
            .collect()
    }

    /// The mark of a recorded look, with the number it came to.
    fn mark(&self, check: &Check, shown: &mut Option<String>, look: &LookRecord) -> Mark {
        let value = match (&check.judging.value, &shown) {
            _ if look.verdict.skipped => None,
            (Some(_), _) => self.first_number(check, &["value".to_owned()], look),
            (None, Some(name)) => self.first_number(check, std::slice::from_ref(name), look),
            (None, None) => {
                let lets: Vec<String> = check
                    .judging
                    .lets
                    .iter()
                    .map(|(name, _)| name.clone())
                    .collect();
                let found = self.numbers(check, &lets, look).into_iter().next();
                found.map(|(name, value)| {
                    *shown = Some(name);
                    value
                })
            }
        };
        Mark::of(&look.verdict, value)
    }

    fn first_number(&self, check: &Check, names: &[String], look: &LookRecord) -> Option<f64> {
        self.numbers(check, names, look)
            .first()
            .map(|(_, value)| *value)
    }

    /// The last looks of every check that were recorded before `now`, for the trails of an engine that starts. Reads files,
    /// and is bounded: with very many checks some have shorter trails.
    pub(super) fn past(
        &self,
        own: &Path,
        now: Moment,
    ) -> Result<Vec<(Name, Vec<Mark>)>, StoreError> {
        let Some(recorded) = Recorded::open(own)? else {
            return Ok(Vec::new());
        };
        let found = recorded.newest(None, now.minus(PAST), now, PAST_LOOKS)?;
        let mut of: BTreeMap<Name, Vec<LookRecord>> = BTreeMap::new();
        for look in found.looks {
            let looks = of.entry(look.check.clone()).or_default();
            if looks.len() < LONGEST {
                looks.push(look);
            }
        }
        let marks = of.into_iter().filter_map(|(name, looks)| {
            let check = self.book.checks.get(&name)?;
            let mut shown = None;
            let marks = looks
                .iter()
                .rev()
                .map(|look| self.mark(check, &mut shown, look));
            Some((name, marks.collect()))
        });
        Ok(marks.collect())
    }

    /// The complaints as people see them.
    pub fn complaints_text(&self) -> Option<String> {
        (!self.complaints.is_empty()).then(|| plain(&self.complaints))
    }
}

/// One check as it stands.
#[derive(Clone)]
pub struct Sight {
    pub bench: Workbench,
    pub check: Arc<Check>,
    pub row: Row,
    /// When its next slot comes. Epoch seconds.
    pub next: Option<f64>,
    pub explain: Option<Value>,
    /// The last look.
    pub verdict: Option<Arc<Verdict>>,
    pub looked: Option<Moment>,
    pub needed_by: Vec<String>,
    pub proposals: Vec<Proposal>,
    pub silences: Vec<SilenceAnswer>,
    pub baseline: Option<Baseline>,
    pub pause: Option<PauseAnswer>,
}

/// One investigation with what it found, newest first.
#[derive(Clone)]
pub struct Sessions {
    pub name: Name,
    pub about: Option<String>,
    pub cause: String,
    pub checks: Vec<String>,
    pub journal: Option<String>,
    pub records: Vec<(Moment, Value)>,
}

impl Driver {
    pub(super) fn workbench(&self) -> Workbench {
        Workbench {
            book: self.parts.book.clone(),
            script: self.parts.script.clone(),
            permission: self.parts.permission.clone(),
            env: self.parts.env.clone(),
            rules: self.parts.rules.clone(),
            set: self.parts.set.clone(),
            complaints: self.complaints.clone(),
        }
    }

    pub(super) fn sight(&self, name: &Name, now: Moment) -> Option<Sight> {
        let check = self.parts.book.checks.get(name)?.clone();
        let standing = self.core.standing(name)?;
        let proposals = self.core.attempts().filter(|it| it.check == *name);
        let covers = |it: &&crate::model::standing::Silence| it.covers(name, now);
        Some(Sight {
            bench: self.workbench(),
            row: self.row(name, &check, &self.open_attempts())?,
            next: self.core.next_look(name).map(Moment::seconds),
            explain: self.explain(name, now),
            verdict: self.last.get(name).map(|(verdict, _)| verdict.clone()),
            looked: standing.looked,
            needed_by: self
                .core
                .needed_by(name)
                .iter()
                .map(ToString::to_string)
                .collect(),
            proposals: proposals.filter_map(Proposal::of).collect(),
            silences: self
                .core
                .silences()
                .filter(covers)
                .map(SilenceAnswer::from)
                .collect(),
            baseline: standing.prior.baseline.clone(),
            pause: self.core.own_pause(name).map(PauseAnswer::from),
            check,
        })
    }

    pub(super) fn sessions(&self) -> Vec<Sessions> {
        let all = self.parts.book.investigations.values();
        all.map(|it| Sessions {
            name: it.name.clone(),
            about: it.about.clone(),
            cause: it.cause.clone(),
            checks: it
                .checks
                .iter()
                .map(|(check, _)| check.to_string())
                .collect(),
            journal: it.journal.clone(),
            records: self
                .records
                .get(&it.name)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        })
        .collect()
    }

    /// Remembers what an investigation found.
    pub(super) fn remember_record(&mut self, name: &Name, now: Moment, record: &Value) {
        let kept: &mut VecDeque<(Moment, Value)> = self.records.entry(name.clone()).or_default();
        kept.truncate(RECORDS - 1);
        kept.push_front((now, record.clone()));
    }
}
