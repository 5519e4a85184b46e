//! Which engine answers: the one that runs on the root, or one started here for this command.
//!
//! An engine that runs has its rules, and what the command line says of rules cannot change them. So `--rules` and
//! `--set` beside a running engine are good only if they come to the very generation it runs.

use std::time::Duration;

use super::{
    engine,
    outcome::{Failure, SOFTWARE, UNAVAILABLE},
    screen::Screen,
    show::complaints,
    site::Site,
};
use crate::{
    clock::{self, Stopwatch},
    engine::{
        handle::StatusAnswer,
        live::{Live, StartError},
    },
    web::client::Client,
};

/// How long another engine may take to answer after it took the lock, or to let go of it at its end.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often that is tried.
const PAUSE: Duration = Duration::from_millis(100);

pub enum Reach {
    /// One runs already.
    Running(Client),
    /// Started for this command, at rest.
    Here(Box<Live>),
}

/// The running engine, or one started here.
pub async fn reach(site: &Site, screen: &Screen) -> Result<Reach, Failure> {
    let watch = Stopwatch::new();
    loop {
        if let Some(client) = Client::find(&site.root).await {
            agree(&client, site).await?;
            return Ok(Reach::Running(client));
        }
        match engine::start(site, false).await {
            Ok(live) => {
                greet(&live, screen);
                return Ok(Reach::Here(Box::new(live)));
            }
            Err(StartError::Locked { .. }) if watch.elapsed() < PATIENCE => {
                clock::sleep(PAUSE).await
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The running engine.
pub async fn running(site: &Site) -> Result<Client, Failure> {
    Client::find(&site.root)
        .await
        .ok_or_else(Failure::no_engine)
}

/// Whether what the command line says of rules is what the engine runs.
pub async fn agrees(client: &Client, site: &Site) -> Result<bool, Failure> {
    if !site.differs() {
        return Ok(true);
    }
    let status: StatusAnswer = client.get("/api/status").await?;
    Ok(engine::book(site)?.0.generation.as_ref() == status.generation)
}

async fn agree(client: &Client, site: &Site) -> Result<(), Failure> {
    match agrees(client, site).await? {
        true => Ok(()),
        false => Err(Failure::new(
            UNAVAILABLE,
            "an engine is running here with other rules than --rules and --set say",
        )
        .help("leave them out to ask it, or try them with `homeostat dry-run`")),
    }
}

/// What a person should know of an engine that was started here.
fn greet(live: &Live, screen: &Screen) {
    for note in &live.notes {
        screen.warn(note);
    }
    if let Some(refused) = &live.started_from_last_good {
        screen.aside(|style| complaints::complaints(refused, style));
    }
}

/// Ends an engine that was started here, and waits until everything is written.
pub async fn end(live: Live) -> Result<(), Failure> {
    let stopped = live.handle.stop().await;
    live.finished().await;
    stopped.map_err(|_| Failure::new(SOFTWARE, "the engine ended early"))
}
