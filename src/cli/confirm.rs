//! `confirm`: a person says that the present value of a check is meant so. The rule sees it as `baseline`.

use serde_json::{Value, json};

use super::{
    kill_switch::person,
    outcome::{Failure, OK, Outcome, REFUSED},
    reach::{self, Reach},
    screen::Screen,
    show::{Tone, text},
    silence::unknown,
    site::Site,
};
use crate::{
    model::{Name, standing::Baseline},
    web::client::QUICK,
};

/// Confirms what the check sees now; with `forget`, takes back what was confirmed.
pub async fn confirm(
    site: &Site,
    check: &str,
    reason: Option<&str>,
    forget: bool,
    screen: &Screen,
) -> Outcome {
    let reason = reason.unwrap_or_default();
    let baseline: Option<Baseline> = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"check": check, "reason": reason, "by": person(), "forget": forget});
            let mut value: Value = client.post("/api/confirm", &body, QUICK).await?;
            serde_json::from_value(value["baseline"].take())
                .map_err(|error| Failure::new(REFUSED, format!("the engine answered: {error}")))?
        }
        Reach::Here(live) => {
            let known = live.handle.status().await;
            let confirmed = match known {
                Ok(known) if known.checks.iter().any(|it| it.name == check) => {
                    let reason = (!forget).then(|| reason.to_owned());
                    let confirmed = live
                        .handle
                        .confirm(Name::from(check), person(), reason)
                        .await;
                    confirmed.map_err(Failure::from)
                }
                Ok(known) => Err(unknown(
                    check,
                    known.checks.iter().map(|it| it.name.as_str()),
                )),
                Err(gone) => Err(gone.into()),
            };
            reach::end(*live).await?;
            confirmed?.map_err(|why| Failure::new(REFUSED, why))?
        }
    };
    let value = json!({"check": check, "baseline": baseline, "forgotten": forget});
    screen.answer(&value, |style| {
        let check = text::clean(check);
        let told = baseline.as_ref().map(|it| it.value.to_string());
        let told = text::clean(told.as_deref().unwrap_or_default());
        match forget {
            true => format!(
                "{}: {check} is no longer meant to be {told}\n",
                style.paint(Tone::Warning, "forgotten")
            ),
            false => format!(
                "{}: {check} is meant to be {told}\n{}\n",
                style.paint(Tone::Good, "confirmed"),
                style.dim(&format!(
                    "`homeostat confirm {check} --forget` takes it back"
                ))
            ),
        }
    });
    Ok(OK)
}
