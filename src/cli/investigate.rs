//! `investigate`: a root-cause session now. The exit code is what is still bad after it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    check::{GRACE, listen},
    outcome::{Failure, INTERRUPTED, Outcome, of_status},
    reach::{self, Reach},
    screen::Screen,
    show::investigation,
    site::Site,
};

pub async fn investigate(site: &Site, name: &str, wait: Duration, screen: &Screen) -> Outcome {
    let record: Value = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"name": name, "wait_s": wait.as_secs_f64()});
            client.post("/api/investigate", &body, wait + GRACE).await?
        }
        Reach::Here(live) => {
            let mut signals = listen()?;
            let record = tokio::select! {
                record = live.handle.investigate(name.into(), wait) => Some(record),
                () = signals.next() => None,
            };
            reach::end(*live).await?;
            match record {
                Some(record) => record?,
                None => return Ok(INTERRUPTED),
            }
        }
    };
    if record.is_null() {
        return Err(Failure::usage(format!(
            "there is no investigation `{name}`"
        )));
    }
    screen.answer(&record, |style| {
        let head = investigation::headline(&record, style);
        format!("{}\n{head}\n", investigation::checks(&record, style))
    });
    Ok(of_status(investigation::left(&record)))
}
