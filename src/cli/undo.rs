//! `undo`: puts back what a repair did to files, unless they were changed since.

use serde_json::{Value, json};

use super::{
    kill_switch::person,
    outcome::{Failure, OK, Outcome, REFUSED},
    reach::{self, Reach},
    screen::Screen,
    show::{answer::one_step, text},
    site::Site,
};
use crate::{
    engine::answer::StepAnswer,
    model::{attempt::AttemptId, step},
    web::client::QUICK,
};

pub async fn undo(site: &Site, attempt: AttemptId, screen: &Screen) -> Outcome {
    let steps: Vec<StepAnswer> = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"attempt": attempt, "by": person()});
            let value: Value = client.post("/api/undo", &body, QUICK).await?;
            let steps = value.get("steps").cloned().unwrap_or_default();
            serde_json::from_value(steps).unwrap_or_default()
        }
        Reach::Here(live) => {
            let receipts = live.handle.undo(attempt, person()).await;
            reach::end(*live).await?;
            let receipts = receipts?.map_err(|why| Failure::new(REFUSED, why))?;
            receipts.iter().map(StepAnswer::of).collect()
        }
    };
    let failed = steps
        .iter()
        .filter(|step| step.outcome == step::Outcome::Failed)
        .count();
    let value = json!({"attempt": attempt, "undone": failed == 0, "steps": steps});
    screen.answer(&value, |style| {
        let done: String = steps.iter().map(|step| one_step(step, style)).collect();
        match failed {
            0 => format!("{done}attempt {attempt} is undone\n"),
            failed => format!(
                "{done}{} of attempt {attempt} could not be undone\n",
                text::count(failed, "step")
            ),
        }
    });
    Ok(if failed == 0 { OK } else { REFUSED })
}
