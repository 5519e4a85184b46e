//! What repairs came to, for each check and each kind of step: attempts, verified, failed, held, recovery, recurrence.
//!
//! Computed from attempts and changes of status, never counted along the way, so it cannot drift from them. What was
//! forgotten since ([`super::Store::prune`]) was added to `ledger_past` in the same transaction.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::model::{Name, moment::Moment};

use super::{Store, StoreError, load::parse, schema::broken};

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
    if climb.begun > now
        || matches!(
            word,
            Some("would" | "withheld" | "denied" | "expired" | "withdrawn")
        )
    {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{
            attempt::{Attempt, End, Row},
            standing::HeldBy,
            status::Status,
        },
        permission::settings::Keep,
        store::{
            Durability,
            sample::{NOON, attempt, budget, change, ended, minutes},
        },
    };

    fn written(attempt: Attempt) -> Row {
        let budget = budget(&[attempt.begun]);
        Row::Attempt { attempt, budget }
    }

    fn held(check: &str, at: Moment) -> Row {
        Row::Held {
            check: check.into(),
            at,
            hold: crate::model::standing::Hold::by(HeldBy::Limit),
        }
    }

    fn at(minute: u64) -> Moment {
        NOON.plus(minutes(minute))
    }

    fn lines(store: &Store, now: Moment) -> Vec<String> {
        let lines = store.ledger(now).unwrap();
        lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect()
    }

    #[test]
    fn every_end_is_counted_where_it_belongs() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path(), NOON).unwrap();
        let rows = [
            // Bad since -1, verified at 2: 180 s. Bad again at 40: within the hour.
            written(ended(&attempt(1, "a", at(0)), End::Verified, at(2))),
            change("a", at(2), Status::Critical, Status::Ok),
            change("a", at(40), Status::Ok, Status::Warning),
            // Bad since 39, verified at 45: 360 s. Bad again 20 h later.
            written(ended(&attempt(2, "a", at(40)), End::Verified, at(45))),
            // What was bad at that very instant is what was repaired.
            change("a", at(45), Status::Warning, Status::Critical),
            change("a", at(45), Status::Critical, Status::Ok),
            // UNKNOWN is no recurrence.
            change("a", at(50), Status::Ok, Status::Unknown),
            change("a", at(1200), Status::Unknown, Status::Critical),
            written(ended(&attempt(3, "a", at(1200)), End::Failed, at(1215))),
            written(ended(&attempt(4, "a", at(1220)), End::Superseded, at(1221))),
            written(ended(
                &attempt(5, "a", at(1230)),
                End::Interrupted,
                at(1231),
            )),
            // Its rung is still planned: both kinds of the ladder count.
            Row::Intent {
                attempt: attempt(6, "a", at(1240)),
                budget: budget(&[]),
            },
            written(ended(&attempt(7, "b", at(3)), End::Would, at(3))),
            held("a", at(4)),
            held("a", at(5)),
            held("c", at(6)),
        ];
        store.write(&rows, Durability::Lazy).unwrap();
        insta::assert_snapshot!(lines(&store, at(5000)).join("\n"), @r##"
        {"check":"a","kind":null,"attempts":6,"verified":2,"failed":1,"superseded":1,"interrupted":1,"open":1,"held":2,"recovery_s":270.0,"recurred_1h":1,"recurred_24h":2,"last_at":1767775200000}
        {"check":"a","kind":"run_command","attempts":1,"verified":0,"failed":0,"superseded":0,"interrupted":0,"open":1,"held":0,"recovery_s":null,"recurred_1h":0,"recurred_24h":0,"last_at":1767775200000}
        {"check":"a","kind":"set_json","attempts":6,"verified":2,"failed":1,"superseded":1,"interrupted":1,"open":1,"held":0,"recovery_s":270.0,"recurred_1h":1,"recurred_24h":2,"last_at":1767775200000}
        {"check":"c","kind":null,"attempts":0,"verified":0,"failed":0,"superseded":0,"interrupted":0,"open":0,"held":1,"recovery_s":null,"recurred_1h":0,"recurred_24h":0,"last_at":null}
        "##);
        // As it stood earlier: the first had not recurred yet, the others had not begun.
        insta::assert_snapshot!(lines(&store, at(39)).join("\n"), @r##"
        {"check":"a","kind":null,"attempts":1,"verified":1,"failed":0,"superseded":0,"interrupted":0,"open":0,"held":2,"recovery_s":180.0,"recurred_1h":0,"recurred_24h":0,"last_at":1767700800000}
        {"check":"a","kind":"set_json","attempts":1,"verified":1,"failed":0,"superseded":0,"interrupted":0,"open":0,"held":0,"recovery_s":180.0,"recurred_1h":0,"recurred_24h":0,"last_at":1767700800000}
        {"check":"c","kind":null,"attempts":0,"verified":0,"failed":0,"superseded":0,"interrupted":0,"open":0,"held":1,"recovery_s":null,"recurred_1h":0,"recurred_24h":0,"last_at":null}
        "##);
        assert_eq!(store.verified(None).unwrap(), 2);
        assert_eq!(store.verified(Some("b")).unwrap(), 0);
    }

    #[test]
    fn forgetting_in_several_steps_loses_no_recurrence() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path(), NOON).unwrap();
        let attempts = (0..700).map(|id| {
            let attempt = attempt(id + 1, "a", at(id * 60));
            written(ended(&attempt, End::Verified, at(id * 60 + 1)))
        });
        // The first call forgets five hundred attempts; these concern the others.
        let changes =
            (600..700).map(|id| change("a", at(id * 60 + 30), Status::Ok, Status::Critical));
        let rows: Vec<Row> = attempts.chain(changes).collect();
        store.write(&rows, Durability::Lazy).unwrap();
        let now = at(400 * 24 * 60);
        let before = lines(&store, now);
        while store.prune(now, &Keep::default()).unwrap().more {
            assert_eq!(lines(&store, now), before);
        }
        assert_eq!(lines(&store, now), before);
        assert!(before[0].contains(r#""recurred_1h":100"#), "{}", before[0]);
    }

    const CHECKS: [&str; 3] = ["a", "b", "c"];
    const ENDS: [Option<End>; 5] = [
        Some(End::Verified),
        Some(End::Failed),
        Some(End::Superseded),
        Some(End::Interrupted),
        None,
    ];

    /// (check, minute begun, minutes it took, end), (check, minute turned bad), (check, minute held)
    type Story = (
        Vec<(usize, u64, u64, usize)>,
        Vec<(usize, u64)>,
        Vec<(usize, u64)>,
    );

    fn story() -> impl Strategy<Value = Story> {
        let minute = 0u64..5000;
        (
            proptest::collection::vec((0..3usize, minute.clone(), 1u64..40, 0..5usize), 0..30),
            proptest::collection::vec((0..3usize, minute.clone()), 0..60),
            proptest::collection::vec((0..3usize, minute), 0..20),
        )
    }

    /// The ledger counted the slow and obvious way.
    fn expected(story: &Story, check: usize) -> LedgerLine {
        let (attempts, bad, held) = story;
        let mine: Vec<_> = attempts
            .iter()
            .filter(|(whose, ..)| *whose == check)
            .collect();
        let of =
            |end: Option<End>| mine.iter().filter(|(.., kind)| ENDS[*kind] == end).count() as u64;
        let recurred = |within: u64| {
            let verified = mine.iter().filter(|(.., kind)| *kind == 0);
            let again = |(_, begun, took, _): &(usize, u64, u64, usize)| {
                let ended = begun + took;
                bad.iter().any(|(whose, minute)| {
                    *whose == check && *minute > ended && *minute <= ended + within
                })
            };
            verified.filter(|attempt| again(attempt)).count() as u64
        };
        let verified = of(Some(End::Verified));
        let recovery: u64 = mine
            .iter()
            .filter(|(.., kind)| *kind == 0)
            .map(|(_, _, took, _)| (took + 1) * 60)
            .sum();
        LedgerLine {
            check: CHECKS[check].into(),
            kind: None,
            attempts: mine.len() as u64,
            verified,
            failed: of(Some(End::Failed)),
            superseded: of(Some(End::Superseded)),
            interrupted: of(Some(End::Interrupted)),
            open: of(None),
            held: held.iter().filter(|(whose, _)| *whose == check).count() as u64,
            recovery_s: (verified > 0).then(|| recovery as f64 / verified as f64),
            recurred_1h: recurred(60),
            recurred_24h: recurred(24 * 60),
            last_at: mine.iter().map(|(_, begun, ..)| at(*begun)).max(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Before anything is forgotten, and after everything that can be is.
        #[test]
        fn the_ledger_is_what_counting_by_hand_gives(story in story()) {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, _) = Store::open(dir.path(), NOON).unwrap();
            let mut rows: Vec<Row> = Vec::new();
            for (id, (check, begun, took, kind)) in (1..).zip(&story.0) {
                let attempt = attempt(id, CHECKS[*check], at(*begun));
                rows.push(written(match ENDS[*kind] {
                    Some(end) => ended(&attempt, end, at(begun + took)),
                    None => attempt,
                }));
            }
            rows.extend(story.1.iter().map(|(check, minute)| {
                change(CHECKS[*check], at(*minute), Status::Ok, Status::Critical)
            }));
            rows.extend(story.2.iter().map(|(check, minute)| held(CHECKS[*check], at(*minute))));
            store.write(&rows, Durability::Lazy).unwrap();
            let wanted: Vec<LedgerLine> = (0..3)
                .map(|check| expected(&story, check))
                .filter(|line| line.attempts + line.held > 0)
                .collect();
            let whole = |store: &Store| -> Vec<LedgerLine> {
                let lines = store.ledger(at(100_000)).unwrap();
                lines.into_iter().filter(|line| line.kind.is_none()).collect()
            };
            prop_assert_eq!(whole(&store), wanted.clone());
            let verified = wanted.iter().map(|line| line.verified).sum::<u64>();
            // Forgotten in two steps, the first in the middle of the story.
            for days in [92, 400] {
                let now = at(days * 24 * 60);
                while store.prune(now, &Keep::default()).unwrap().more {}
                prop_assert_eq!(whole(&store), wanted.clone());
                prop_assert_eq!(store.verified(None).unwrap(), verified);
            }
            let left = store.history(&crate::store::HistoryQuery::default()).unwrap();
            let open = wanted.iter().map(|line| line.open).sum::<u64>();
            let oldest = story.0.iter().filter(|(.., kind)| *kind == 4).map(|(_, begun, ..)| *begun).min();
            for entry in &left {
                prop_assert!(Some(entry.at()) >= oldest.map(at));
            }
            prop_assert!(left.len() as u64 >= open && (open > 0 || left.is_empty()));
        }
    }
}
