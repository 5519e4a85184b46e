//! `dry-run`: what `check` would do, without doing it; and with other rules, what they would do differently.

use serde_json::{Value, json};

use super::{
    check::GRACE,
    engine,
    outcome::{Failure, Outcome, SOFTWARE, of_status},
    reach,
    screen::Screen,
    show,
    site::Site,
};
use crate::{
    engine::{answer::Answer, compared::Compared},
    model::moment::Moment,
    web::client::Client,
};

pub async fn dry_run(
    site: &Site,
    names: &[String],
    at: Option<Moment>,
    screen: &Screen,
) -> Outcome {
    let answer = candidate(site, names, at).await?;
    let compared = match site.foreign {
        true => present(site, at).await?.map(|present| {
            let wanted = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
            Compared::of(&restricted(present, wanted), &answer)
        }),
        false => None,
    };
    if screen.json {
        screen.value(&with_compared(&answer, compared.as_ref())?);
    } else {
        screen.print(&show::answer::answer(&answer, &screen.style));
        if let Some(compared) = &compared {
            screen.print("\n");
            screen.print(&show::compare::compared(compared, &screen.style));
        }
    }
    Ok(of_status(answer.overall))
}

/// By the running engine where it has these rules and this is about now, else here.
async fn candidate(site: &Site, names: &[String], at: Option<Moment>) -> Result<Answer, Failure> {
    if at.is_none()
        && let Some(client) = Client::find(&site.root).await
        && reach::agrees(&client, site).await?
    {
        let body = json!({"names": names});
        return Ok(client.post("/api/dry-run", &body, GRACE).await?);
    }
    engine::dry_run(site, names, at).await
}

/// What the present rules would do: those of the running engine, else those of the root, else its last good ones.
async fn present(site: &Site, at: Option<Moment>) -> Result<Option<Answer>, Failure> {
    if at.is_none()
        && let Some(client) = Client::find(&site.root).await
    {
        return Ok(Some(client.post("/api/dry-run", &json!({}), GRACE).await?));
    }
    let own = site.present();
    if own.rules.is_dir()
        && let Ok(answer) = engine::dry_run(&own, &[], at).await
    {
        return Ok(Some(answer));
    }
    engine::dry_run_last_good(&own, at).await
}

fn restricted(mut answer: Answer, wanted: impl Fn(&str) -> bool) -> Answer {
    answer.checks.retain(|check| wanted(&check.name));
    answer
}

fn with_compared(answer: &Answer, compared: Option<&Compared>) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(answer)
        .map_err(|error| Failure::new(SOFTWARE, format!("could not write the answer: {error}")))?;
    if let (Value::Object(map), Some(compared)) = (&mut value, compared) {
        map.insert("compared".to_owned(), json!(compared));
    }
    Ok(value)
}
