//! The dry driver: the same loop and the same core, with hands that only say what they would do and nothing to remember
//! by. It ends with its one round.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    answer::Answer,
    board::Standings,
    counts::Counts,
    driver::{Driver, Message, Parts},
    handle::Request,
    live::{Ground, Loader, Options, StartError},
    pause,
    records::Nowhere,
};
use crate::{
    clock::{Clock, SetClock},
    core::Core,
    hands,
    model::{Name, attempt::Saved, moment::Moment, standing::Pause},
    permission::{self, Settings},
    rules::{book::Book, complaint::Complaint},
    script,
    store::{self, StoreError},
};

/// How long the looks and preparations of a dry round may take together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a dry round in the background and answers when it is done.
pub(super) fn spawn(parts: Parts, core: Core, names: Vec<Name>, reply: oneshot::Sender<Answer>) {
    let (news, _) = broadcast::channel(16);
    let (sender, receiver) = mpsc::unbounded_channel();
    let driver = Driver::new(parts, core, news, (sender.clone(), receiver));
    tokio::spawn(driver.run(Vec::new(), Vec::new()));
    tokio::spawn(async move {
        let (tell, told) = oneshot::channel();
        let check = Request::Check {
            names,
            fix: true,
            wait: PATIENCE,
            reply: tell,
        };
        if sender.send(Message::Request(check)).is_ok()
            && let Ok(answer) = told.await
        {
            let _ = reply.send(answer); // whoever asked may have gone
        }
        let (tell, told) = oneshot::channel();
        if sender.send(Message::Request(Request::Stop(tell))).is_ok() {
            let _ = told.await; // it ends either way
        }
    });
}

/// A dry round without a running engine: standings come from a copy of the store, time stands at `at` if given.
pub async fn run(
    options: Options,
    names: Vec<Name>,
    at: Option<Moment>,
) -> Result<Answer, StartError> {
    let (book, _, ground) = load(&options)?;
    round(&options, book, &ground, names, at).await
}

/// The same by the last good rules of the root instead of those on disk; `None` if there are none.
pub async fn run_last_good(
    options: Options,
    names: Vec<Name>,
    at: Option<Moment>,
) -> Result<Option<Answer>, StartError> {
    let loader = loader(&options)?;
    match loader.last_good() {
        Some(book) => round(&options, Arc::new(book), &loader.ground, names, at)
            .await
            .map(Some),
        None => Ok(None),
    }
}

async fn round(
    options: &Options,
    book: Arc<Book>,
    ground: &Ground,
    names: Vec<Name>,
    at: Option<Moment>,
) -> Result<Answer, StartError> {
    let names = if names.is_empty() {
        book.outline.checks.keys().cloned().collect()
    } else {
        names
    };
    let (parts, core) = prepare(options, book, ground, at)?;
    let (reply, answer) = oneshot::channel();
    spawn(parts, core, names, reply);
    answer
        .await
        .map_err(|_| StartError::Refused("the dry run ended early".to_owned()))
}

/// The verdict of a fresh look with its reasons, and what would hold the repair; `None` if there is no such check.
pub async fn explain(options: Options, name: Name) -> Result<Option<Value>, StartError> {
    let (book, _, ground) = load(&options)?;
    let (parts, core) = prepare(&options, book, &ground, None)?;
    let (news, _) = broadcast::channel(16);
    let (sender, receiver) = mpsc::unbounded_channel();
    let driver = Driver::new(parts, core, news, (sender.clone(), receiver));
    tokio::spawn(driver.run(Vec::new(), Vec::new()));
    let early = || StartError::Refused("the dry run ended early".to_owned());
    let send = |request| sender.send(Message::Request(request)).map_err(|_| early());
    let (reply, looked) = oneshot::channel();
    send(Request::Check {
        names: vec![name.clone()],
        fix: false,
        wait: PATIENCE,
        reply,
    })?;
    looked.await.map_err(|_| early())?;
    let (reply, explained) = oneshot::channel();
    send(Request::Explain { name, reply })?;
    let explanation = explained.await.map_err(|_| early())?;
    let (reply, stopped) = oneshot::channel();
    send(Request::Stop(reply))?;
    let _ = stopped.await; // it ends either way
    Ok(explanation)
}

fn prepare(
    options: &Options,
    book: Arc<Book>,
    ground: &Ground,
    at: Option<Moment>,
) -> Result<(Parts, Core), StartError> {
    // Time stands, and leaps over what a ladder would wait for.
    let clock: Arc<dyn Clock> = Arc::new(SetClock::at(at.unwrap_or_else(|| options.clock.now())));
    let own = options.root.join(permission::OWN);
    let saved = match store::snapshot(&own) {
        Ok(Some(store)) => store.load(),
        Ok(None) => Ok(Saved::default()),
        // An engine would set it aside and start paused.
        Err(StoreError::Corrupt { why }) => Ok(Saved {
            pause: Some(Pause {
                at: clock.now(),
                by: "engine".to_owned(),
                reason: format!("the store is corrupt: {why}"),
                until: None,
            }),
            ..Saved::default()
        }),
        Err(error) => Err(error),
    };
    let mut saved = saved.map_err(|error| {
        StartError::Refused(format!("could not read the store: {}", error.chain()))
    })?;
    saved.pause = pause::at_start(saved.pause, store::pause_file(&own), clock.now());
    let permission = ground.permission(&options.root, Some(&book))?;
    let parts = Parts {
        script: ground.script.clone(),
        permission,
        rules: options.rules.clone(),
        env: ground.env.clone(),
        clock: clock.clone(),
        hands: Arc::new(hands::Dry),
        records: Arc::new(Nowhere),
        tails: Arc::default(),
        board: Arc::new(Standings::hearing(&saved.heartbeats)),
        ledger: Counts::default(),
        progress: Arc::default(),
        set: Arc::new(options.set.clone()),
        pulse: Arc::default(),
        repairs: Vec::new(),
        book: book.clone(),
    };
    let outline = Arc::new(book.outline.at_rest());
    let core = Core::start(outline, saved, clock.now(), &mut Vec::new()).at_rest();
    Ok((parts, core))
}

/// The rules on disk without running them, with their warnings.
pub fn book(options: &Options) -> Result<(Arc<Book>, Vec<Complaint>), StartError> {
    load(options).map(|(book, warnings, _)| (book, warnings))
}

/// What rule tests are run with: the book, what the operator allows, the engine of its expressions.
pub fn rehearsal(options: &Options) -> Result<(Arc<Book>, Settings, script::Engine), StartError> {
    load(options).map(|(book, _, ground)| (book, ground.settings, ground.script))
}

fn load(options: &Options) -> Result<(Arc<Book>, Vec<Complaint>, Ground), StartError> {
    let mut loader = loader(options)?;
    let (book, warnings) = loader.load().map_err(StartError::Rules)?;
    Ok((Arc::new(book), warnings, loader.ground))
}

fn loader(options: &Options) -> Result<Loader, StartError> {
    let ground = Ground::lay(options)?;
    Loader::new(options, ground, options.root.join(permission::OWN))
}
