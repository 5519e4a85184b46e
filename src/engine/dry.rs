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
    records::Nowhere,
};
use crate::{
    clock::{Clock, SetClock},
    core::Core,
    hands,
    model::{Name, attempt::Saved, moment::Moment},
    permission,
    rules::{book::Book, complaint::Complaint},
    store,
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
    let (parts, core) = prepare(&options, at)?;
    let names = if names.is_empty() {
        parts.book.outline.checks.keys().cloned().collect()
    } else {
        names
    };
    let (reply, answer) = oneshot::channel();
    spawn(parts, core, names, reply);
    answer
        .await
        .map_err(|_| StartError::Refused("the dry run ended early".to_owned()))
}

/// The verdict of a fresh look with its reasons, and what would hold the repair; `None` if there is no such check.
pub async fn explain(options: Options, name: Name) -> Result<Option<Value>, StartError> {
    let (parts, core) = prepare(&options, None)?;
    let (news, _) = broadcast::channel(16);
    let (sender, receiver) = mpsc::unbounded_channel();
    let driver = Driver::new(parts, core, news, (sender.clone(), receiver));
    tokio::spawn(driver.run(Vec::new(), Vec::new()));
    let early = || StartError::Refused("the dry run ended early".to_owned());
    let send = |request| {
        sender
            .send(Message::Request(request))
            .map_err(|_| early())
    };
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

fn prepare(options: &Options, at: Option<Moment>) -> Result<(Parts, Core), StartError> {
    let (book, _, ground) = load(options)?;
    // Time stands, and leaps over what a ladder would wait for.
    let clock: Arc<dyn Clock> = Arc::new(SetClock::at(at.unwrap_or_else(|| options.clock.now())));
    let own = options.root.join(permission::OWN);
    let saved = match store::snapshot(&own) {
        Ok(Some(store)) => store.load(),
        Ok(None) => Ok(Saved::default()),
        Err(error) => Err(error),
    };
    let saved = saved.map_err(|error| {
        StartError::Refused(format!("could not read the store: {}", error.chain()))
    })?;
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
        board: Arc::new(Standings::default()),
        ledger: Counts::default(),
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

fn load(options: &Options) -> Result<(Arc<Book>, Vec<Complaint>, Ground), StartError> {
    let ground = Ground::lay(options)?;
    let own = options.root.join(permission::OWN);
    let mut loader = Loader::new(options, ground, own)?;
    let (book, warnings) = loader.load().map_err(StartError::Rules)?;
    Ok((Arc::new(book), warnings, loader.ground))
}
