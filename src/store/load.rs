//! Reading rows back: what a start needs, and one attempt with all that undoing it needs.

use std::io::Read;

use flate2::read::ZlibDecoder;
use rusqlite::OptionalExtension;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::{
    Name,
    attempt::{Attempt, AttemptId, Page, Saved},
    moment::Moment,
    standing::{Budget, Standing},
};

use super::{Store, StoreError, schema::broken};

/// A page as it is kept.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Paged {
    /// Grows by one with every page.
    pub id: i64,
    #[serde(flatten)]
    pub page: Page,
}

pub(super) const SILENCES: &str = "silences";
pub(super) const STORM: &str = "storm";
pub(super) const PAUSES: &str = "pauses";
pub(super) const POST: &str = "post";

/// Compressed bodies are not read past this: more was never written.
const BODY_BYTES: u64 = 1 << 30;

impl Store {
    /// When an attempt was undone, if it was.
    pub fn undone_at(&self, id: AttemptId) -> Result<Option<Moment>, StoreError> {
        self.conn
            .query_row("SELECT at FROM undone WHERE attempt = ?1", [id], |row| {
                row.get(0).map(Moment)
            })
            .optional()
            .map_err(broken("read whether an attempt was undone"))
    }

    /// An attempt, ended ones too, with all its receipts need to be undone.
    pub fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.conn
            .query_row(
                "SELECT body, undo FROM attempt WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(broken("read an attempt"))?
            .map(|(body, undo): (String, Option<Vec<u8>>)| whole_attempt(&body, undo.as_deref()))
            .transpose()
    }

    /// Everything needed to go on after a restart.
    pub fn load(&self) -> Result<Saved, StoreError> {
        let doing = "load the store";
        let mut saved = Saved {
            standings: self.bodies::<Standing>("SELECT name, body FROM standing ORDER BY name")?,
            budgets: self.bodies::<Budget>("SELECT name, body FROM budget ORDER BY name")?,
            ..Saved::default()
        };
        let pause: Option<String> = self
            .conn
            .query_row("SELECT body FROM pause", [], |row| row.get(0))
            .optional()
            .map_err(broken(doing))?;
        saved.pause = pause.map(|body| parse(&body)).transpose()?;
        saved.silences = self.order(SILENCES)?.unwrap_or_default();
        saved.pauses = self.order(PAUSES)?.unwrap_or_default();
        saved.storm = self.order(STORM)?;
        saved.heartbeats = self.heartbeats()?;
        saved.incidents = self.open_incidents()?;
        saved.deliveries = self.waiting_deliveries()?;
        saved.post = self.order(POST)?;
        let mut query = self
            .conn
            .prepare("SELECT body, undo FROM attempt WHERE ended IS NULL ORDER BY id")
            .map_err(broken(doing))?;
        let open = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(broken(doing))?;
        for row in open {
            let (body, undo): (String, Option<Vec<u8>>) = row.map_err(broken(doing))?;
            saved.attempts.push(whole_attempt(&body, undo.as_deref())?);
        }
        saved.next_attempt = self
            .conn
            .query_row(
                "SELECT max(value, (SELECT coalesce(max(id), 0) + 1 FROM attempt)) FROM counter \
                 WHERE name = 'next_attempt'",
                [],
                |row| row.get(0),
            )
            .map_err(broken(doing))?;
        Ok(saved)
    }

    fn heartbeats(&self) -> Result<Vec<(Name, Moment, Value)>, StoreError> {
        let doing = "load the store";
        let mut query = self
            .conn
            .prepare("SELECT name, at, body FROM heartbeat ORDER BY name")
            .map_err(broken(doing))?;
        let rows = query
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })
            .map_err(broken(doing))?;
        rows.map(|row| {
            let (name, at, body) = row.map_err(broken(doing))?;
            Ok((name, Moment(at), parse(&body)?))
        })
        .collect()
    }

    /// One of the small things that stand.
    fn order<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.conn
            .query_row(
                "SELECT body FROM standing_order WHERE name = ?1",
                [name],
                |row| row.get::<_, String>(0),
            )
            .optional()
            .map_err(broken("load the store"))?
            .map(|body| parse(&body))
            .transpose()
    }

    /// Pages, newest first, at most so many.
    pub fn pages(&self, limit: usize) -> Result<Vec<Paged>, StoreError> {
        let doing = "read the pages";
        let mut query = self
            .conn
            .prepare_cached("SELECT id, body FROM page ORDER BY id DESC LIMIT ?1")
            .map_err(broken(doing))?;
        let rows = query
            .query_map([limit as i64], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?))
            })
            .map_err(broken(doing))?;
        rows.map(|row| {
            let (id, body): (i64, String) = row.map_err(broken(doing))?;
            Ok(Paged {
                id,
                page: parse(&body)?,
            })
        })
        .collect()
    }

    fn bodies<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<(Name, T)>, StoreError> {
        let doing = "load the store";
        let mut query = self.conn.prepare(query).map_err(broken(doing))?;
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
            .map_err(broken(doing))?;
        rows.map(|row| {
            let (name, body) = row.map_err(broken(doing))?;
            Ok((name, parse(&body)?))
        })
        .collect()
    }

    /// What [`Store::prepared`] was given for this attempt, in that order; empty if nothing was, or if it was forgotten
    /// since.
    pub fn prepared_of(&self, attempt: AttemptId) -> Result<Vec<Value>, StoreError> {
        let doing = "read what a rung needs to be undone";
        let mut query = self
            .conn
            .prepare_cached("SELECT body FROM prepared WHERE attempt = ?1 ORDER BY id")
            .map_err(broken(doing))?;
        let rows = query
            .query_map([attempt], |row| row.get::<_, Vec<u8>>(0))
            .map_err(broken(doing))?;
        let mut effects = Vec::new();
        for body in rows {
            effects.extend(unpack::<Vec<Value>>(&body.map_err(broken(doing))?)?);
        }
        Ok(effects)
    }
}

fn whole_attempt(body: &str, undo: Option<&[u8]>) -> Result<Attempt, StoreError> {
    let mut attempt: Attempt = parse(body)?;
    if let Some(undo) = undo {
        let undo: Vec<Option<Value>> = unpack(undo)?;
        for (receipt, undo) in attempt.receipts.iter_mut().zip(undo) {
            receipt.undo = undo;
        }
    }
    Ok(attempt)
}

pub(super) fn parse<T: DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::corrupt(format!("a row of it cannot be read: {error}")))
}

fn unpack<T: DeserializeOwned>(body: &[u8]) -> Result<T, StoreError> {
    let mut text = Vec::new();
    ZlibDecoder::new(body)
        .take(BODY_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| StoreError::corrupt(format!("a row of it cannot be read: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| StoreError::corrupt(format!("a row of it cannot be read: {error}")))
}
