//! `history` and `ledger`: asked of a running engine, else read from a copy of the store, which is not touched.

use super::{
    arguments::Since,
    outcome::{Failure, OK, Outcome, SOFTWARE},
    screen::Screen,
    show,
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    store::{self, HistoryQuery, Store, StoreError},
    web::{
        client::{Client, encoded},
        records::{HistoryAnswer, LedgerAnswer},
    },
};

pub async fn history(
    site: &Site,
    check: Option<&str>,
    since: Option<Since>,
    limit: u32,
    screen: &Screen,
) -> Outcome {
    let now = SystemClock.now();
    let since = since.map(|since| since.from(now));
    let entries: Vec<HistoryAnswer> = match Client::find(&site.root).await {
        Some(client) => {
            let mut path = format!("/api/history?limit={limit}");
            if let Some(check) = check {
                path.push_str(&format!("&check={}", encoded(check)));
            }
            if let Some(since) = since {
                path.push_str(&format!("&since={}", encoded(&since.iso())));
            }
            client.get(&path).await?
        }
        None => {
            let query = HistoryQuery {
                check: check.map(Into::into),
                since,
                limit: limit as usize,
                ..HistoryQuery::default()
            };
            let store = snapshot(site)?;
            let found = store.map(|store| store.history(&query)).transpose();
            let found = found.map_err(unreadable)?.unwrap_or_default();
            found.into_iter().map(HistoryAnswer::from).collect()
        }
    };
    screen.answer(&entries, |style| {
        show::history::history(&entries, now, style)
    });
    Ok(OK)
}

pub async fn ledger(site: &Site, screen: &Screen) -> Outcome {
    let lines: Vec<LedgerAnswer> = match Client::find(&site.root).await {
        Some(client) => client.get("/api/ledger").await?,
        None => {
            let now = SystemClock.now();
            let store = snapshot(site)?;
            let found = store.map(|store| store.ledger(now)).transpose();
            let found = found.map_err(unreadable)?.unwrap_or_default();
            found.into_iter().map(LedgerAnswer::from).collect()
        }
    };
    screen.answer(&lines, |style| show::ledger::ledger(&lines, style));
    Ok(OK)
}

/// The store as it stands on the disk; `None` if no engine ever ran here.
pub fn snapshot(site: &Site) -> Result<Option<Store>, Failure> {
    store::snapshot(&site.own()).map_err(unreadable)
}

pub fn unreadable(error: StoreError) -> Failure {
    Failure::new(
        SOFTWARE,
        format!("could not read the store: {}", error.chain()),
    )
}
