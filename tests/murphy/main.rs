//! What can go wrong, will: two engines on one root, a disk that fills up at any write, a store that is damaged under the
//! engine's hands, a clock that is set, floods of events, files that are huge, too many or never left alone.
//!
//! | file | is about |
//! |---|---|
//! | `disk` | no room, at the start and at every write of a repair |
//! | `database` | the store corrupted, removed, replaced, read-only |
//! | `clock` | the clock set back a day and forward a day |
//! | `floods` | 100,000 events in a second |
//! | `size` | a file of 1 GB, a directory of 20,000 rule files |
//! | `restless` | rules and data replaced a thousand times a second |
//! | `two` | two engines on one root |
//!
//! Other tests of the kind stand where their subject is: what hangs in `tests/hanging.rs`, kills at every boundary in
//! `tests/kills`, broken rules in `tests/faults.rs` and `tests/reload.rs`, single damages of a store in `src/store/`.

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod database;
mod disk;
mod floods;
mod restless;
mod size;
mod two;

use homeostat::engine::{
    handle::{StandingAnswer, StatusAnswer},
    live::Live,
};

async fn status(live: &Live) -> StatusAnswer {
    live.handle.status().await.expect("the engine lives")
}

async fn standing(live: &Live, name: &str) -> StandingAnswer {
    let checks = status(live).await.checks;
    let found = checks.into_iter().find(|check| check.name == name);
    found.expect("there is that check")
}

async fn end(live: Live) {
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
}
