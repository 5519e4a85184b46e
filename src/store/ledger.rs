//! What repairs came to, for each check and each kind of step: attempts, verified, failed, held, recovery, recurrence.
//!
//! Computed from attempts and changes of status, never counted along the way, so it cannot drift from them. What was
//! forgotten since ([`super::Store::prune`]) was added to `ledger_past` in the same transaction.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::model::{Name, moment::Moment};

use super::{Store, StoreError, rows::parse, schema::broken};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// One line of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LedgerLine {
    pub check: Name,
    /// A kind of step; `None` is the line of the check as a whole, where a rung of two kinds counts once, and where what
    /// guards held is counted (they hold a remediation, not one of its steps).
    pub kind: Option<String>,
    /// Rungs begun, however they ended; equals verified + failed + superseded + interrupted + open.
    pub attempts: u64,
    pub verified: u64,
    pub failed: u64,
    pub superseded: u64,
    pub interrupted: u64,
    /// Not ended yet.
    pub open: u64,
    /// How often a guard began to hold the remediation.
    pub held: u64,
    /// Mean time to recovery in seconds, from when the check turned bad to the verification. `None` without a verified
    /// repair.
    pub recovery_s: Option<f64>,
    /// Verified repairs after which the check was bad again within an hour.
    pub recurred_1h: u64,
    /// The same within 24 hours, those within the hour included.
    pub recurred_24h: u64,
    /// When the last rung was begun.
    pub last_at: Option<Moment>,
}

/// Sums of one line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub attempts: u64,
    pub verified: u64,
    pub failed: u64,
    pub superseded: u64,
    pub interrupted: u64,
    pub open: u64,
    pub held: u64,
    /// Of all verified ones together, in milliseconds.
    pub recovery_ms: u64,
    pub recurred_1h: u64,
    pub recurred_24h: u64,
    pub last_at: Option<Moment>,
}

/// By check and kind; the empty kind is the check as a whole.
pub(super) type Tallies = BTreeMap<(Name, String), Tally>;

/// What the ledger needs to know of an attempt.
#[derive(Clone, Debug)]
pub(super) struct Climb {
    pub id: i64,
    pub check: Name,
    pub kinds: Vec<String>,
    pub begun: Moment,
    pub bad_since: Moment,
    /// How and when it ended.
    pub end: Option<(String, Moment)>,
    /// When its check was bad again after it had been verified.
    pub bad_again: Option<Moment>,
}

/// Counts an attempt as it stood at `now`.
pub(super) fn count(tallies: &mut Tallies, climb: &Climb, now: Moment) {
    let end = climb.end.as_ref().filter(|(_, at)| *at <= now);
    let word = end.map(|(word, _)| word.as_str());
    // What dry hands prepared is no attempt.
    if climb.begun > now || matches!(word, Some("would" | "withheld")) {
        return;
    }
    let kinds = std::iter::once("").chain(climb.kinds.iter().map(String::as_str));
    for kind in kinds {
        let tally = tallies
            .entry((climb.check.clone(), kind.to_owned()))
            .or_default();
        tally.attempts += 1;
        tally.last_at = tally.last_at.max(Some(climb.begun));
        match (word, end) {
            (Some("verified"), Some((_, at))) => {
                tally.verified += 1;
                tally.recovery_ms += at.since(climb.bad_since).as_millis() as u64;
                if let Some(again) = climb.bad_again.filter(|again| *again <= now) {
                    tally.recurred_1h += u64::from(again.since(*at) <= HOUR);
                    tally.recurred_24h += u64::from(again.since(*at) <= DAY);
                }
            }
            (Some("failed"), _) => tally.failed += 1,
            (Some("superseded"), _) => tally.superseded += 1,
            (Some("interrupted"), _) => tally.interrupted += 1,
            _ => tally.open += 1,
        }
    }
}

impl Store {
    /// The ledger as it stood at `now` (what was forgotten before is in it in any case), by check and kind; a check's
    /// own line first.
    pub fn ledger(&self, now: Moment) -> Result<Vec<LedgerLine>, StoreError> {
        let mut tallies = past(&self.conn)?;
        for climb in climbs(&self.conn, "begun <= ?1", now, usize::MAX)? {
            count(&mut tallies, &climb, now);
        }
        for (check, held) in held(&self.conn, i64::MIN, now.0.saturating_add(1))? {
            tallies.entry((check, String::new())).or_default().held += held;
        }
        Ok(tallies.into_iter().map(line).collect())
    }

    /// Verified repairs ever, of one check or of all.
    pub fn verified(&self, check: Option<&str>) -> Result<u64, StoreError> {
        self.conn
            .prepare_cached(
                "SELECT (SELECT count(*) FROM attempt WHERE ending = 'verified' AND (?1 IS NULL OR name = ?1)) \
                 + (SELECT coalesce(sum(verified), 0) FROM ledger_past WHERE kind = '' AND (?1 IS NULL OR name = ?1))",
            )
            .and_then(|mut query| query.query_row([check], |row| row.get(0)))
            .map_err(broken("count verified repairs"))
    }
}

fn line(((check, kind), tally): ((Name, String), Tally)) -> LedgerLine {
    LedgerLine {
        check,
        kind: (!kind.is_empty()).then_some(kind),
        attempts: tally.attempts,
        verified: tally.verified,
        failed: tally.failed,
        superseded: tally.superseded,
        interrupted: tally.interrupted,
        open: tally.open,
        held: tally.held,
        recovery_s: (tally.verified > 0)
            .then(|| tally.recovery_ms as f64 / 1000.0 / tally.verified as f64),
        recurred_1h: tally.recurred_1h,
        recurred_24h: tally.recurred_24h,
        last_at: tally.last_at,
    }
}

/// Attempts for which `condition` on `?1` holds, oldest first.
pub(super) fn climbs(
    conn: &Connection,
    condition: &str,
    moment: Moment,
    limit: usize,
) -> Result<Vec<Climb>, StoreError> {
    let doing = "read attempts for the ledger";
    let mut query = conn
        .prepare(&format!(
            "SELECT id, name, kinds, begun, bad_since, ending, ended FROM attempt WHERE {condition} \
             ORDER BY begun, id LIMIT ?2"
        ))
        .map_err(broken(doing))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = query
        .query(params![moment.0, limit])
        .map_err(broken(doing))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(broken(doing))? {
        let mut climb = climb(row).map_err(broken(doing))?;
        climb.kinds = parse(&row.get::<_, String>(2).map_err(broken(doing))?)?;
        if let Some((word, at)) = &climb.end
            && word == "verified"
        {
            climb.bad_again = bad_after(conn, &climb.check, *at).map_err(broken(doing))?;
        }
        found.push(climb);
    }
    Ok(found)
}

fn climb(row: &rusqlite::Row<'_>) -> rusqlite::Result<Climb> {
    let ending: Option<String> = row.get(5)?;
    let ended: Option<i64> = row.get(6)?;
    Ok(Climb {
        id: row.get(0)?,
        check: row.get(1)?,
        kinds: Vec::new(),
        begun: Moment(row.get(3)?),
        bad_since: Moment(row.get(4)?),
        end: ending.zip(ended.map(Moment)),
        bad_again: None,
    })
}

/// When a check turned bad for the first time after `at`, if that was within a day.
fn bad_after(conn: &Connection, check: &str, at: Moment) -> rusqlite::Result<Option<Moment>> {
    conn.prepare_cached(
        "SELECT at FROM entry WHERE name = ?1 AND at > ?2 AND at <= ?3 AND what = 'change' \
         AND word IN ('warning', 'critical') ORDER BY at LIMIT 1",
    )?
    .query_row(params![check, at.0, at.plus(DAY).0], |row| {
        row.get(0).map(Moment)
    })
    .optional()
}

/// How often each check was held, from one instant to before another.
pub(super) fn held(
    conn: &Connection,
    from: i64,
    before: i64,
) -> Result<Vec<(Name, u64)>, StoreError> {
    let doing = "read what was held for the ledger";
    let mut query = conn
        .prepare(
            "SELECT name, count(*) FROM entry WHERE what = 'held' AND at >= ?1 AND at < ?2 GROUP BY name",
        )
        .map_err(broken(doing))?;
    let rows = query
        .query_map([from, before], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(broken(doing))?;
    rows.collect::<Result<_, _>>().map_err(broken(doing))
}

fn past(conn: &Connection) -> Result<Tallies, StoreError> {
    let doing = "read the ledger";
    let mut query = conn
        .prepare(
            "SELECT name, kind, attempts, verified, failed, superseded, interrupted, held, recovery_ms, \
             recurred_1h, recurred_24h, last_at FROM ledger_past",
        )
        .map_err(broken(doing))?;
    let rows = query
        .query_map([], |row| {
            let tally = Tally {
                attempts: row.get(2)?,
                verified: row.get(3)?,
                failed: row.get(4)?,
                superseded: row.get(5)?,
                interrupted: row.get(6)?,
                open: 0,
                held: row.get(7)?,
                recovery_ms: row.get(8)?,
                recurred_1h: row.get(9)?,
                recurred_24h: row.get(10)?,
                last_at: row.get::<_, Option<i64>>(11)?.map(Moment),
            };
            Ok(((row.get(0)?, row.get(1)?), tally))
        })
        .map_err(broken(doing))?;
    rows.collect::<Result<_, _>>().map_err(broken(doing))
}

/// Adds to what is remembered of forgotten attempts.
pub(super) fn add_past(conn: &Connection, tallies: &Tallies) -> Result<(), StoreError> {
    for ((check, kind), tally) in tallies {
        conn.prepare_cached(
            "INSERT INTO ledger_past VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (name, kind) DO UPDATE SET attempts = attempts + excluded.attempts, \
             verified = verified + excluded.verified, failed = failed + excluded.failed, \
             superseded = superseded + excluded.superseded, interrupted = interrupted + excluded.interrupted, \
             held = held + excluded.held, recovery_ms = recovery_ms + excluded.recovery_ms, \
             recurred_1h = recurred_1h + excluded.recurred_1h, \
             recurred_24h = recurred_24h + excluded.recurred_24h, \
             last_at = max(coalesce(last_at, excluded.last_at), coalesce(excluded.last_at, last_at))",
        )
        .and_then(|mut query| {
            query.execute(params![
                &**check,
                kind,
                tally.attempts,
                tally.verified,
                tally.failed,
                tally.superseded,
                tally.interrupted,
                tally.held,
                tally.recovery_ms,
                tally.recurred_1h,
                tally.recurred_24h,
                tally.last_at.map(|at| at.0),
            ])
        })
        .map_err(StoreError::sqlite("write the ledger"))?;
    }
    Ok(())
}
