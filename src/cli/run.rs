//! `run`: the engine until it is told to end, with its API, and a line for everything that happens.

use std::{future::Future, path::Path, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
};

use super::{
    check::listen,
    engine,
    outcome::{Failure, INTERRUPTED, OK, Outcome, SOFTWARE, UNAVAILABLE},
    screen::Screen,
    show::{Tone, complaints, news},
    signals::Signals,
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    engine::{
        Handle,
        handle::News,
        live::{Live, StartError},
        news as told,
    },
    rules,
    web::{
        self, Api,
        client::Client,
        door::Door,
        loopback::{self, ListenError, Loopback},
        socket::Socket,
        tokens::Keys,
    },
};

/// `--listen none`: only the socket.
const NOWHERE: &str = "none";

pub async fn run(site: &Site, listen_to: Option<&str>, screen: &Screen) -> Outcome {
    let mut signals = listen()?;
    let loopback = bind(site, listen_to, screen).await?;
    let mut live = match engine::start(site, true).await {
        Err(error @ StartError::Locked { .. }) => {
            return Err(Failure::from(error).help("ask it with `homeostat status`"));
        }
        other => other?,
    };
    let (end, ending) = watch::channel(false);
    let served = match serve(site, &live.handle, loopback, &ending, screen) {
        Ok(served) => served,
        Err(failure) => {
            super::reach::end(live).await?;
            return Err(failure);
        }
    };
    let mut teller = Teller::of(&live.handle, screen).await;
    teller.ready(site, &live, &served);
    let heard = std::mem::replace(&mut live.news, live.handle.news());
    let handle = live.handle.clone();
    let code = follow(&mut teller, heard, &handle, live.finished(), &mut signals).await;
    let _ = end.send(true); // the servers may have ended by themselves
    for task in served.tasks {
        let _ = task.await; // likewise
    }
    loopback::forget_address(&site.own());
    teller.stopped(code);
    Ok(code)
}

/// What is served, and where.
struct Served {
    tasks: Vec<JoinHandle<()>>,
    socket: String,
    address: Option<String>,
}

/// The address to listen on. That it is taken ends nothing, unless it was asked for by name.
async fn bind(
    site: &Site,
    said: Option<&str>,
    screen: &Screen,
) -> Result<Option<Loopback>, Failure> {
    let text = match said {
        Some(text) => text.to_owned(),
        None => {
            rules::settings::load(&site.root)
                .map_err(Failure::rules)?
                .listen
        }
    };
    if text == NOWHERE {
        return Ok(None);
    }
    match Loopback::bind(&text).await {
        Ok(loopback) => Ok(Some(loopback)),
        Err(error @ (ListenError::Address(_) | ListenError::Public(_))) => {
            Err(Failure::usage(error.to_string()))
        }
        Err(_) if Client::find(&site.root).await.is_some() => {
            Err(Failure::from(StartError::Locked { pid: None })
                .help("ask it with `homeostat status`"))
        }
        Err(error) if said.is_some() => Err(Failure::new(UNAVAILABLE, chain(&error))),
        Err(error) => {
            screen.warn(&format!(
                "{}: the API is served on the socket only (see --listen)",
                chain(&error)
            ));
            Ok(None)
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

fn serve(
    site: &Site,
    handle: &Handle,
    loopback: Option<Loopback>,
    ending: &watch::Receiver<bool>,
    screen: &Screen,
) -> Result<Served, Failure> {
    let settings = rules::settings::load(&site.root)
        .map_err(Failure::rules)?
        .api;
    let (keys, wrong) = Keys::load(&site.root, &settings, |name| std::env::var(name).ok());
    for why in wrong {
        screen.warn(&why);
    }
    let api = Api::new(
        handle.clone(),
        Arc::new(SystemClock),
        site.root.clone(),
        settings.reading,
    );
    let socket =
        Socket::bind(&site.own()).map_err(|error| Failure::new(SOFTWARE, chain(&error)))?;
    let path = below(&site.root, socket.path());
    let mut tasks = vec![tokio::spawn(
        socket.serve(web::router(api.clone()), ending.clone()),
    )];
    let address = loopback.map(|loopback| {
        let address = format!("http://{}", loopback.address());
        if let Err(error) = loopback::tell_address(&site.own(), &address) {
            screen.warn(&format!("could not write down the address: {error}"));
        }
        let door = Door::new(keys, settings.reading);
        tasks.push(tokio::spawn(
            loopback.serve(web::loopback_router(api, door), ending.clone()),
        ));
        address
    });
    Ok(Served {
        tasks,
        socket: path,
        address,
    })
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Tells news until the engine has ended.
async fn follow(
    teller: &mut Teller<'_>,
    mut heard: tokio::sync::broadcast::Receiver<Arc<News>>,
    handle: &Handle,
    finished: impl Future<Output = ()>,
    signals: &mut Signals,
) -> u8 {
    tokio::pin!(finished);
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            () = signals.next() => {
                if stopping {
                    return INTERRUPTED;
                }
                stopping = true;
                teller.stopping();
                let handle = handle.clone();
                tokio::spawn(async move { handle.stop().await });
            }
            item = heard.recv() => match item {
                Ok(item) => teller.tell(&item, handle).await,
                Err(RecvError::Lagged(missed)) => teller.missed(missed),
                Err(RecvError::Closed) => {
                    finished.await;
                    break;
                }
            },
            () = &mut finished => break,
        }
    }
    while let Ok(item) = heard.try_recv() {
        teller.tell(&item, handle).await;
    }
    if stopping { OK } else { SOFTWARE }
}

/// Writes what happens.
struct Teller<'a> {
    screen: &'a Screen,
    /// Width of the longest name.
    names: usize,
}

impl<'a> Teller<'a> {
    async fn of(handle: &Handle, screen: &'a Screen) -> Teller<'a> {
        let mut teller = Teller { screen, names: 0 };
        teller.measure(handle).await;
        teller
    }

    async fn measure(&mut self, handle: &Handle) {
        if let Ok(status) = handle.status().await {
            let names = status.checks.iter();
            let widths = names.map(|check| textwrap::core::display_width(&check.name));
            self.names = widths.max().unwrap_or(0);
        }
    }

    async fn tell(&mut self, item: &News, handle: &Handle) {
        let now = SystemClock.now();
        if self.screen.json {
            self.screen.json_line(&told::json(item, now));
            return;
        }
        if matches!(item, News::Reloaded { .. }) {
            self.measure(handle).await;
        }
        self.screen
            .print(&news::news(item, now, self.names, &self.screen.style));
    }

    fn ready(&self, site: &Site, live: &Live, served: &Served) {
        let version = env!("CARGO_PKG_VERSION");
        let refused = live.started_from_last_good.as_deref().unwrap_or_default();
        if self.screen.json {
            let machine = |all: &[rules::complaint::Complaint]| -> Vec<Value> {
                all.iter()
                    .map(rules::complaint::Complaint::to_json)
                    .collect()
            };
            self.event("ready", json!({
                "version": version, "root": site.root, "checks": live.checks, "generation": live.generation,
                "socket": served.socket, "listen": served.address, "notes": live.notes,
                "warnings": machine(&live.warnings), "complaints": machine(refused),
            }));
            return;
        }
        let style = &self.screen.style;
        let address = served
            .address
            .as_ref()
            .map(|it| format!("  {it}"))
            .unwrap_or_default();
        self.screen.print(&format!(
            "{} {version}  {}  generation {}  socket {}{address}\n",
            style.strong("homeostat"),
            super::show::text::count(live.checks, "check"),
            live.generation,
            served.socket,
        ));
        for note in &live.notes {
            let head = style.paint(Tone::Warning, "note:");
            self.screen
                .print(&format!("{head} {}\n", super::show::text::clean(note)));
        }
        if !live.warnings.is_empty() {
            let said = news::warned(&live.warnings, style);
            self.screen.print(&format!("{said}\n"));
        }
        self.screen.print(&complaints::complaints(refused, style));
    }

    fn missed(&self, number: u64) {
        match self.screen.json {
            true => self.event("missed", json!({"number": number})),
            false => self
                .screen
                .warn(&format!("{number} lines of news came too fast to be shown")),
        }
    }

    fn stopping(&self) {
        match self.screen.json {
            true => self.event("stopping", json!({})),
            false => self.screen.print(
                "stopping: what was started is finished first (once more to stop at once)\n",
            ),
        }
    }

    fn stopped(&self, code: u8) {
        match self.screen.json {
            true => self.event("stopped", json!({"exit": code})),
            false if code == SOFTWARE => self.screen.warn("the engine ended early"),
            false => self.screen.print("stopped\n"),
        }
    }

    fn event(&self, word: &str, mut value: Value) {
        let now = SystemClock.now();
        if let Value::Object(map) = &mut value {
            map.insert("news".to_owned(), json!(word));
            map.insert("time".to_owned(), json!(now.iso()));
            map.insert("now".to_owned(), json!(now.seconds()));
        }
        self.screen.json_line(&value);
    }
}
