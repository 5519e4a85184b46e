//! `approve` and `deny`: a person's word on a repair that waits for one. What is approved is looked at again first; if it
//! is still needed and no guard holds it, it is done.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    kill_switch::person,
    outcome::{Failure, OK, Outcome, REFUSED},
    reach::{self, Reach},
    screen::Screen,
    show::{self, Tone, standings::proposals, text},
    site::Site,
    status,
};
use crate::{
    clock::{Clock, SystemClock},
    engine::answer::Answer,
    model::attempt::AttemptId,
    web::client::QUICK,
};

/// How long an engine that was started for this waits for the proof.
const WAIT: Duration = Duration::from_secs(60);

/// What waits for a person, with what it would do.
pub async fn list(site: &Site, screen: &Screen) -> Outcome {
    let (answer, _) = status::standing(site).await?;
    let value = json!({"proposals": answer.proposals});
    let now = SystemClock.now();
    screen.answer(&value, |style| match answer.proposals.as_slice() {
        [] => "nothing waits to be approved\n".to_owned(),
        all => proposals(all, now, style),
    });
    Ok(OK)
}

pub async fn approve(site: &Site, attempt: AttemptId, screen: &Screen) -> Outcome {
    let (check, done) = decide(site, attempt, Ok(()), screen).await?;
    let value = json!({"attempt": attempt, "check": check, "approved": true, "done": done});
    screen.answer(&value, |style| {
        let head = style.paint(Tone::Good, "approved");
        let check = text::clean(&check);
        let next = "it is looked at again, and done if it is still needed";
        let done = done.as_ref().map(|done| show::answer::answer(done, style));
        format!(
            "{head}: attempt {attempt} of {check}; {next}\n{}",
            done.unwrap_or_default()
        )
    });
    Ok(OK)
}

pub async fn deny(
    site: &Site,
    attempt: AttemptId,
    reason: Option<&str>,
    screen: &Screen,
) -> Outcome {
    let reason = reason.unwrap_or_default().to_owned();
    let (check, _) = decide(site, attempt, Err(reason), screen).await?;
    let value = json!({"attempt": attempt, "check": check, "denied": true});
    screen.answer(&value, |style| {
        let head = style.paint(Tone::Warning, "denied");
        let check = text::clean(&check);
        format!("{head}: attempt {attempt} of {check}; it is proposed again after its cooldown at the earliest\n")
    });
    Ok(OK)
}

/// The name of the check and, where no engine runs that does it, what came of it.
async fn decide(
    site: &Site,
    attempt: AttemptId,
    verdict: Result<(), String>,
    screen: &Screen,
) -> Result<(String, Option<Answer>), Failure> {
    match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let (path, reason) = match &verdict {
                Ok(()) => ("/api/approve", None),
                Err(reason) => ("/api/deny", Some(reason)),
            };
            let body = json!({"attempt": attempt, "by": person(), "reason": reason});
            let value: Value = client.post(path, &body, QUICK).await?;
            let check = value.get("check").and_then(Value::as_str);
            Ok((check.unwrap_or_default().to_owned(), None))
        }
        Reach::Here(live) => {
            let approved = verdict.is_ok();
            let decided = live.handle.decide(attempt, person(), verdict).await;
            let done = match &decided {
                Ok(Ok(check)) if approved => {
                    Some(live.handle.check(vec![check.clone()], true, WAIT).await)
                }
                _ => None,
            };
            reach::end(*live).await?;
            let check = decided?.map_err(|why| {
                Failure::new(REFUSED, why).help("`homeostat approve` lists what waits")
            })?;
            Ok((check.to_string(), done.transpose()?))
        }
    }
}
