//! The kill switch that is a file, `state/homeostat/PAUSE`: what it says counts as soon as an engine starts, while it
//! runs, and in dry runs.

use std::{path::PathBuf, time::Duration};

use tokio::sync::mpsc;

use super::driver::Message;
use crate::{
    clock,
    model::{moment::Moment, standing::Pause},
    store,
};

/// Who paused, when it was the file.
pub(super) const BY: &str = "file";

/// The file is looked at so often.
const SWEEP: Duration = Duration::from_millis(500);

/// The pause that counts at a start, from the one that was stored and what the file says now.
pub(super) fn at_start(stored: Option<Pause>, file: Option<String>, now: Moment) -> Option<Pause> {
    match (stored, file) {
        // It was removed while no engine was running.
        (Some(pause), None) if pause.by == BY => None,
        (Some(pause), _) => Some(pause),
        (None, Some(reason)) => Some(Pause {
            at: now,
            by: BY.to_owned(),
            reason,
            until: None,
        }),
        (None, None) => None,
    }
}

/// Tells of every change of the file, for an engine without a watcher.
pub(super) async fn follow(own: PathBuf, sender: mpsc::UnboundedSender<Message>) {
    let mut seen = store::pause_file(&own);
    loop {
        clock::sleep(SWEEP).await;
        let now = store::pause_file(&own);
        if now != seen {
            seen.clone_from(&now);
            if sender.send(Message::PauseFile(now)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_counts_and_what_a_person_said_stays() {
        let pause = |by: &str| Pause {
            at: Moment(1),
            by: by.to_owned(),
            reason: "r".to_owned(),
            until: None,
        };
        let now = Moment(1);
        let file = || Some("r".to_owned());
        assert_eq!(at_start(None, None, now), None);
        assert_eq!(at_start(None, file(), now), Some(pause(BY)));
        assert_eq!(at_start(Some(pause(BY)), None, now), None);
        assert_eq!(at_start(Some(pause("ann")), None, now), Some(pause("ann")));
        assert_eq!(
            at_start(Some(pause("ann")), file(), now),
            Some(pause("ann"))
        );
    }
}
