//! `explain`: the last verdict of a running engine, or a fresh one, down to the values it saw.

use serde_json::Value;

use super::{
    engine,
    outcome::{OK, Outcome},
    reach,
    screen::Screen,
    show,
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    web::client::{Client, encoded},
};

pub async fn explain(site: &Site, name: &str, screen: &Screen) -> Outcome {
    let explanation = match Client::find(&site.root).await {
        Some(client) if reach::agrees(&client, site).await? => {
            let path = format!("/api/explain/{}", encoded(name));
            client.get::<Value>(&path).await?
        }
        _ => engine::explain(site, name).await?,
    };
    let now = SystemClock.now();
    screen.answer(&explanation, |style| {
        show::explain::explain(&explanation, now, style)
    });
    Ok(OK)
}
