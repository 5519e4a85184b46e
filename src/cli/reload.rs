//! `reload`: the running engine loads its rules again now. Exit code 1 if they were refused.

use std::time::Duration;

use serde_json::json;

use super::{
    outcome::{OK, Outcome, REFUSED},
    reach,
    screen::Screen,
    show::{Tone, standings, text},
    site::Site,
};
use crate::engine::handle::ReloadAnswer;

/// Thousands of rules take a while.
const LIMIT: Duration = Duration::from_secs(60);

pub async fn reload(site: &Site, screen: &Screen) -> Outcome {
    let client = reach::running(site).await?;
    let answer: ReloadAnswer = client.post("/api/reload", &json!({}), LIMIT).await?;
    screen.answer(&answer, |style| {
        let generation = text::clean(&answer.generation);
        match answer.live {
            true => format!(
                "{} {}, generation {generation}\n",
                style.paint(Tone::Good, "reloaded"),
                text::clean(&answer.changes)
            ),
            false => format!(
                "{}\n{} generation {generation} keeps running\n",
                standings::lines(answer.complaints_text.as_deref().unwrap_or_default()),
                style.paint(Tone::Bad, "refused:")
            ),
        }
    });
    Ok(if answer.live { OK } else { REFUSED })
}
