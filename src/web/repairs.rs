//! Repairs: one with what became of it, and the newest of them.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    api::{Answered, Api},
    endpoint::Endpoint,
    records::AttemptAnswer,
    refusal::{LARGEST_NUMBER, Part, Refusal, Wanted},
};
use crate::{
    engine::trail::LastRepair,
    hands::can_undo,
    model::{
        attempt::{Attempt, Phase},
        moment::Moment,
    },
};

/// So many repairs are given at once.
const MOST: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/attempts/{id}", one)
            .is(
                "attempt",
                "One attempt at a repair: what it did, what proved it, whether it can be undone.",
            )
            .answers::<RepairAnswer>()
            .error(404, "there is no attempt of that number"),
        Endpoint::get("/api/repairs", newest)
            .is(
                "repairs",
                "The newest repairs that were begun, newest first.",
            )
            .query::<Wish>()
            .answers::<Vec<RepairAnswer>>(),
    ]
}

/// An attempt with its check.
#[derive(Serialize, JsonSchema)]
struct RepairAnswer {
    #[serde(flatten)]
    attempt: AttemptAnswer,
    check: String,
    /// When it began. Epoch seconds.
    at: f64,
    /// What its steps act on.
    targets: Vec<String>,
    /// When the check turned bad. Epoch seconds.
    bad_since: f64,
    /// From then to the proof, in seconds; `null` unless it was verified.
    recovery_s: Option<f64>,
    /// Who approved it, where a person must.
    approved_by: Option<String>,
    undoable: bool,
    /// Why it cannot be undone.
    why_not: Option<String>,
}

async fn one(State(api): State<Api>, Part(id): Part<u64>) -> Answered<RepairAnswer> {
    if id > LARGEST_NUMBER {
        return Err(Refusal::absent(format!("there is no attempt {id}")));
    }
    let found = api
        .handle
        .store(move |store| {
            let attempt = store.attempt(id)?;
            let prepared = store.prepared_of(id)?;
            Ok::<_, crate::store::StoreError>((attempt, !prepared.is_empty(), store.undone_at(id)?))
        })
        .await??;
    match found {
        (Some(attempt), prepared, undone) => Ok(Json(answer(attempt, prepared, undone))),
        (None, ..) => Err(Refusal::absent(format!("there is no attempt {id}"))),
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    /// So many at most; 20 if it is not said.
    #[schemars(range(min = 0, max = 500))]
    limit: Option<usize>,
    /// Only of this check.
    check: Option<String>,
}

async fn newest(State(api): State<Api>, Wanted(wish): Wanted<Wish>) -> Answered<Vec<RepairAnswer>> {
    let limit = wish.limit.unwrap_or(20);
    if limit > MOST {
        return Err(Refusal::bad(format!("limit goes from 0 to {MOST}")));
    }
    let found = api
        .handle
        .store(move |store| {
            // Some may only wait for a person; those are few.
            let found = store.repairs(wish.check.as_deref(), limit + 100)?;
            let begun = found
                .into_iter()
                .filter(|(attempt, _)| LastRepair::of(attempt).is_some());
            let begun = begun.take(limit).map(|(attempt, undone)| {
                // What undoing needs lies apart from the body of an attempt.
                let whole = store.attempt(attempt.id)?.unwrap_or(attempt);
                let prepared = !store.prepared_of(whole.id)?.is_empty();
                Ok::<_, crate::store::StoreError>(answer(whole, prepared, undone))
            });
            begun.collect::<Result<Vec<_>, _>>()
        })
        .await??;
    Ok(Json(found))
}

fn answer(attempt: Attempt, prepared: bool, undone: Option<Moment>) -> RepairAnswer {
    let why_not = why_not(&attempt, prepared, undone);
    let recovery = match attempt.phase {
        Phase::Ended {
            at,
            end: crate::model::attempt::End::Verified,
        } => Some(at.since(attempt.bad_since).as_secs_f64()),
        _ => None,
    };
    RepairAnswer {
        check: attempt.check.to_string(),
        at: attempt.begun.seconds(),
        targets: attempt.targets.clone(),
        bad_since: attempt.bad_since.seconds(),
        recovery_s: recovery,
        approved_by: attempt.approved.as_ref().map(|it| it.by.clone()),
        undoable: why_not.is_none(),
        why_not,
        attempt: AttemptAnswer::of(attempt, undone),
    }
}

/// Why `undo` would refuse at once. Whether the files are still as they were left is seen when it is tried.
fn why_not(attempt: &Attempt, prepared: bool, undone: Option<Moment>) -> Option<String> {
    if undone.is_some() {
        return Some("it was undone already".to_owned());
    }
    if attempt.is_open() {
        return Some("it is still under way".to_owned());
    }
    // Of one that was interrupted nobody has receipts; then what it had prepared counts.
    let can = match attempt.receipts.is_empty() {
        true => prepared,
        false => attempt.receipts.iter().any(can_undo),
    };
    (!can).then(|| "it did nothing that can be undone".to_owned())
}
