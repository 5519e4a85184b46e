//! Starting an engine: settings, lock, rules, store, then the loop.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use serde_json::Value;
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinHandle,
};

use super::{
    board::Standings,
    counts::{Counts, Sum},
    deadman::Switch,
    driver::{Driver, Message, Parts},
    handle::{Handle, News, Request},
    pause,
    post::{Post, PostRules},
    progress::Progress,
    pulse::Pulse,
    records::{Kept, Records, Scribe},
    sight::Workbench,
    watch::{self, Askers, Ears, Watch},
};
use crate::{
    clock::Clock,
    core::Core,
    guard,
    hands::{self, Runner},
    incident::Incidents,
    journal::Journals,
    model::{
        Generation, Name,
        outline::Outline,
        text::{Mistake, Place},
    },
    permission::{self, Permission, Secrets, Settings, secrets, settings::Keep, tokens},
    probe::Tails,
    rules::{
        self,
        book::Book,
        complaint::{Complaint, Severity},
    },
    script::{self, Env},
    store::{self, LastGood, Lock, LockError, Opened, Store, Writer},
};

/// How an engine is started.
#[derive(Clone)]
pub struct Options {
    /// What relative paths in rules mean.
    pub root: PathBuf,
    pub rules: PathBuf,
    /// `--set NAME=VALUE`.
    pub set: BTreeMap<String, Value>,
    /// Look by triggers and watch files; without it only what is asked for is looked at.
    pub watch: bool,
    /// What is not taken from the environment, by the name of the variable: for whoever embeds an engine.
    pub env: BTreeMap<String, String>,
    pub clock: Arc<dyn Clock>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The rules (or `homeostat.yaml`) have mistakes and there is no last good book.
    #[error("the rules have mistakes")]
    Rules(Vec<Complaint>),
    #[error("another engine runs on this root{}", pid.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Locked { pid: Option<u32> },
    #[error("{0}")]
    Refused(String),
}

/// A started engine.
pub struct Live {
    pub handle: Handle,
    /// What happens from the very start on.
    pub news: broadcast::Receiver<Arc<News>>,
    pub generation: Generation,
    pub checks: usize,
    /// Complaints about rules that do not keep them from running.
    pub warnings: Vec<Complaint>,
    /// Complaints about what is on disk, when the last good book runs instead.
    pub started_from_last_good: Option<Vec<Complaint>>,
    /// What the operator should know: a store set aside, repairs paused.
    pub notes: Vec<String>,
    ended: JoinHandle<()>,
}

impl Live {
    /// Waits until the engine has ended (see [`Handle::stop`]) and everything is written.
    pub async fn finished(self) {
        if let Err(error) = self.ended.await {
            tracing::error!(%error, "the engine ended early");
        }
    }
}

/// What every driver needs before its rules: what is allowed, and where.
pub(super) struct Ground {
    pub settings: Settings,
    pub script: script::Engine,
    pub env: Arc<Env>,
    pub secrets: Arc<Secrets>,
}

impl Ground {
    pub(super) fn lay(options: &Options) -> Result<Ground, StartError> {
        let root = &options.root;
        if !root.is_dir() {
            return Err(StartError::Refused(format!(
                "the root {} is no directory",
                root.display()
            )));
        }
        if let Some(what) = permission::writable_by_everybody(root, &options.rules) {
            return Err(StartError::Refused(format!(
                "{what}: whoever may write it decides what is done here"
            )));
        }
        let settings = rules::settings::load(root).map_err(StartError::Rules)?;
        let env = Env {
            listed: settings
                .env
                .iter()
                .map(|name| {
                    let given = options.env.get(name).cloned();
                    (name.clone(), given.or_else(|| std::env::var(name).ok()))
                })
                .collect(),
        };
        Ok(Ground {
            secrets: never_told(root, &settings, &env),
            settings,
            script: script::Engine::new(),
            env: Arc::new(env),
        })
    }

    /// The owner's token, made if there is none; from now on it is never told.
    fn token(&mut self, root: &Path) -> Result<(), StartError> {
        tokens::owner_token(&root.join(permission::OWN))
            .map_err(|error| StartError::Refused(error.told()))?;
        self.secrets = never_told(root, &self.settings, &self.env);
        Ok(())
    }

    /// What may be done under this book: its own journals are out of reach for its steps.
    pub(super) fn permission(
        &self,
        root: &Path,
        book: Option<&Book>,
    ) -> Result<Arc<Permission>, StartError> {
        let reserved = book.map(|book| book.reserved.clone()).unwrap_or_default();
        Permission::new(root, self.settings.clone())
            .map(|it| Arc::new(it.reserving(reserved).hiding(self.secrets.clone())))
            .map_err(|error| StartError::Refused(error.told()))
    }
}

/// The values of what `env` lists, and the tokens of the API. Those are secrets of the log as well.
fn never_told(root: &Path, settings: &Settings, env: &Env) -> Arc<Secrets> {
    let mut values = env.listed.clone();
    // A token that cannot be read counts for nothing, and whoever serves the API says so.
    let file = |path: &Path| tokens::read(path).ok().flatten();
    let own = root.join(permission::OWN).join(tokens::FILE);
    values.insert(format!("token {}", tokens::OWNER), file(&own));
    for token in &settings.api.tokens {
        let value = match (&token.env, &token.file) {
            (Some(name), _) => std::env::var(name).ok(),
            (None, Some(path)) => file(&root.join(path)),
            (None, None) => None,
        };
        values.insert(format!("token {}", token.name), value);
    }
    let secrets = Arc::new(Secrets::new(&values));
    secrets::keep_out_of_the_log(secrets.clone());
    secrets
}

/// Starts an engine. Everything that can be wrong is found before it looks at anything.
pub async fn start(options: Options) -> Result<Live, StartError> {
    let mut ground = Ground::lay(&options)?;
    let own = options.root.join(permission::OWN);
    let lock = Lock::take(&own).map_err(|error| match error {
        LockError::Held { pid } => StartError::Locked { pid },
        other => StartError::Refused(whole(&other)),
    })?;
    if options.watch {
        ground.token(&options.root)?;
    }
    let keep = ground.settings.keep.clone();
    let switch = match options.watch {
        true => Switch::of(&ground.settings, &options.root, &options.rules, |name| {
            let given = options.env.get(name).cloned();
            given.or_else(|| std::env::var(name).ok())
        })
        .map_err(StartError::Refused)?,
        false => None,
    };
    let mut loader = Loader::new(&options, ground, own.clone())?;
    let seen = watch::signatures(&options.rules);
    let loaded = loader.first()?;
    let now = options.clock.now();
    let (store, opened) = Store::open(&own, now).map_err(|error| {
        StartError::Refused(format!("could not open the store: {}", error.chain()))
    })?;
    let mut saved = store.load().map_err(|error| {
        StartError::Refused(format!("could not read the store: {}", error.chain()))
    })?;
    saved.pause = pause::at_start(saved.pause, store::pause_file(&own), now);
    let ledger = counts(&store, now);
    let repairs = store.newest_repairs().unwrap_or_default();
    let book = loaded.book.clone();
    let permission = loader.ground.permission(&options.root, Some(&book))?;
    let writer = Writer::spawn(store);
    let journals = Journals::new(permission.dir.clone(), keep.journal);
    let scribe = Scribe::start(journals)
        .map_err(|error| StartError::Refused(format!("could not start a thread: {error}")))?;
    let mut notes = loaded.notes;
    if let Opened::SetAside { path, why } = &opened {
        notes.push(format!(
            "the store was corrupt ({why}) and was set aside as {}: repairs are paused until `homeostat resume`",
            path.display()
        ));
    } else if let Some(pause) = saved.pause.as_ref().filter(|it| guard::pauses(it, now)) {
        notes.push(match pause.reason.as_str() {
            "" => format!("repairs are paused by {}", pause.by),
            reason => format!("repairs are paused by {}: {reason}", pause.by),
        });
    }
    let records = Arc::new(Kept {
        writer: writer.clone(),
        scribe: scribe.clone(),
    });
    let (requests, asked) = mpsc::unbounded_channel();
    let (news, heard) = broadcast::channel(1024);
    let progress = Arc::new(Progress::default());
    let pulse = Arc::<Pulse>::default();
    let handle = Handle {
        requests,
        news,
        progress: progress.clone(),
        pulse: pulse.clone(),
    };
    let outline = if options.watch {
        book.outline.clone()
    } else {
        Arc::new(book.outline.at_rest())
    };
    let runner: Arc<dyn Runner> = Arc::new(ByHandle(handle.clone()));
    let post = Post::start(
        std::mem::take(&mut saved.deliveries),
        records.clone() as Arc<dyn Records>,
        options.clock.clone(),
        PostRules::new(&book, &permission, &loader.ground),
    );
    let parts = Parts {
        book: book.clone(),
        script: loader.ground.script.clone(),
        hands: Arc::new(hands::Live::new(permission.clone(), runner.clone())),
        permission,
        rules: options.rules.clone(),
        env: loader.ground.env.clone(),
        clock: options.clock.clone(),
        records: records.clone() as Arc<dyn Records>,
        tails: Arc::new(Tails::default()),
        board: Arc::new(Standings::hearing(&saved.heartbeats)),
        ledger,
        progress: progress.clone(),
        set: Arc::new(options.set.clone()),
        pulse,
        repairs,
    };
    let mut first = Vec::new();
    let incidents = Incidents::start(
        std::mem::take(&mut saved.incidents),
        saved.post.take(),
        saved.storm.is_some(),
    );
    let core = Core::start(outline, saved, now, &mut first);
    let channel = mpsc::unbounded_channel();
    let sender = channel.0.clone();
    let mut driver = Driver::new(parts, core, handle.news.clone(), channel);
    driver.tells(incidents, post.clone());
    let complaints = loaded.refused.clone().unwrap_or_default();
    let watch = if options.watch {
        let ears = Reloader {
            loader,
            runner,
            sender: sender.clone(),
        };
        let watch = Watch::start(
            options.root.clone(),
            options.rules.clone(),
            book.outline.clone(),
            seen,
            ears,
        )
        .map_err(|error| StartError::Refused(format!("could not start a thread: {error}")))?;
        Some(watch)
    } else {
        None
    };
    if options.watch {
        recall(driver.workbench(), own.clone(), now, sender.clone());
    }
    let driven = tokio::spawn(driver.run(first, complaints));
    let deadman = switch.map(|it| tokio::spawn(it.hold(progress, options.clock.clone())));
    let switch = watch
        .is_none()
        .then(|| tokio::spawn(pause::follow(own, sender.clone())));
    let forward = tokio::spawn(forward(asked, sender, watch.clone(), writer.clone()));
    let tidied = tokio::spawn(tidy(writer.clone(), options.clock.clone(), keep));
    let told = writer.clone();
    let ended = tokio::spawn(async move {
        if let Err(error) = driven.await {
            tracing::error!(%error, "the loop ended early");
        }
        // What was told last is written first. What is due is tried once more; what does not arrive waits for the next
        // start.
        if let Err(error) = told.ask(|_| ()).await {
            tracing::warn!(error = %error.chain(), "could not wait for the store");
        }
        post.stop().await;
        forward.abort();
        tidied.abort();
        if let Some(deadman) = deadman {
            deadman.abort();
        }
        if let Some(switch) = switch {
            switch.abort();
        }
        if let Some(watch) = watch {
            watch.stop();
        }
        drop(told);
        let closed = tokio::task::spawn_blocking(move || {
            scribe.flush();
            writer.close()
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "could not close the store");
        }
        drop(lock);
    });
    Ok(Live {
        handle,
        news: heard,
        generation: book.generation.clone(),
        checks: book.checks.len(),
        warnings: loaded.warnings,
        started_from_last_good: loaded.refused,
        notes,
        ended,
    })
}

/// Lays what was recorded before the start under the trails, when it has been read.
fn recall(
    bench: Workbench,
    own: PathBuf,
    now: crate::model::moment::Moment,
    sender: mpsc::UnboundedSender<Message>,
) {
    tokio::task::spawn_blocking(move || match bench.past(&own, now) {
        Ok(looks) => {
            let _ = sender.send(Message::Past(looks)); // the loop has ended
        }
        Err(error) => {
            tracing::warn!(error = %error.chain(), "could not read the looks of the past");
        }
    });
}

/// An error with those that led to it.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let told = causes.map(|cause| format!(": {cause}"));
    std::iter::once(error.to_string()).chain(told).collect()
}

fn counts(store: &Store, now: crate::model::moment::Moment) -> Counts {
    let mut counts = Counts::default();
    for line in store.ledger(now).unwrap_or_default() {
        if line.kind.is_none() {
            counts.begin(
                line.check,
                Sum {
                    attempts: line.verified + line.failed + line.superseded + line.interrupted,
                    verified: line.verified,
                    failed: line.failed + line.superseded + line.interrupted,
                    held: line.held,
                },
            );
        }
    }
    counts
}

/// Requests go to the loop, but for those that the watcher or the store answers.
async fn forward(
    mut asked: mpsc::UnboundedReceiver<Request>,
    sender: mpsc::UnboundedSender<Message>,
    watch: Option<Watch>,
    writer: Writer,
) {
    while let Some(request) = asked.recv().await {
        match request {
            Request::Reload(reply) => {
                if let Some(watch) = &watch {
                    watch.reload(reply);
                }
            }
            Request::Store(question) => {
                let writer = writer.clone();
                tokio::spawn(async move {
                    if let Err(error) = writer.ask(question).await {
                        tracing::warn!(error = %error.chain(), "could not ask the store");
                    }
                });
            }
            other => {
                if sender.send(Message::Request(other)).is_err() {
                    return;
                }
            }
        }
    }
}

/// Forgets what is older than `keep` says, a little at a time and as often as it takes.
async fn tidy(writer: Writer, clock: Arc<dyn Clock>, keep: Keep) {
    loop {
        crate::clock::sleep(Duration::from_secs(600)).await;
        loop {
            let (now, keep) = (clock.now(), keep.clone());
            match writer.ask(move |store| store.prune(now, &keep)).await {
                Ok(Ok(pruned)) if pruned.more => {}
                Ok(Ok(_)) => break,
                Ok(Err(error)) | Err(error) => {
                    tracing::warn!(error = %error.chain(), "could not forget old history");
                    break;
                }
            }
        }
    }
}

/// `run_checks` asks the engine that runs the step.
struct ByHandle(Handle);

impl Runner for ByHandle {
    fn run_checks(&self, names: Vec<String>) -> BoxFuture<'_, Result<String, String>> {
        async move {
            let names: Vec<Name> = names.into_iter().map(Name::from).collect();
            let answer = self
                .0
                .check_for_rung(names)
                .await
                .map_err(|gone| gone.to_string())?;
            let told: Vec<String> = answer
                .checks
                .iter()
                .map(|check| format!("{} {}", check.name, check.status))
                .collect();
            Ok(told.join(", "))
        }
        .boxed()
    }

    fn raise(&self, event: String) -> Result<(), String> {
        self.0.event(event).map_err(|gone| gone.to_string())
    }

    fn tell(&self, to: Vec<String>, text: String) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let to = to.into_iter().map(Name::from).collect();
            let told = self.0.tell(to, text).await;
            told.map_err(|gone| gone.to_string())?
        }
        .boxed()
    }
}

/// Loads books from disk and remembers the last good one.
pub(super) struct Loader {
    pub ground: Ground,
    root: PathBuf,
    rules: PathBuf,
    set: BTreeMap<String, Value>,
    own: PathBuf,
    clock: Arc<dyn Clock>,
    permission: Arc<Permission>,
    cache: rules::load::Cache,
    running: Option<Arc<Book>>,
}

/// What came of the first load.
pub(super) struct Loaded {
    pub book: Arc<Book>,
    pub warnings: Vec<Complaint>,
    pub refused: Option<Vec<Complaint>>,
    pub notes: Vec<String>,
}

impl Loader {
    pub(super) fn new(
        options: &Options,
        ground: Ground,
        own: PathBuf,
    ) -> Result<Loader, StartError> {
        let permission = ground.permission(&options.root, None)?;
        Ok(Loader {
            ground,
            root: options.root.clone(),
            rules: options.rules.clone(),
            set: options.set.clone(),
            own,
            clock: options.clock.clone(),
            permission,
            cache: rules::load::Cache::default(),
            running: None,
        })
    }

    /// What is on disk: a book, or all that is wrong.
    pub(super) fn load(&mut self) -> Result<(Book, Vec<Complaint>), Vec<Complaint>> {
        let loaded = rules::load::load(
            &self.rules,
            &self.set,
            &self.permission,
            &self.ground.script,
            &mut self.cache,
        );
        match loaded.book {
            Some(book) => {
                let mut warnings = loaded.complaints;
                warnings.extend(rules::ending::soon(&book, self.clock.now()));
                Ok((book, warnings))
            }
            None => Err(loaded.complaints),
        }
    }

    /// The book to start with: what is on disk, or else the last good one.
    fn first(&mut self) -> Result<Loaded, StartError> {
        let loaded = match self.load() {
            Ok((book, warnings)) => {
                self.remember(&book);
                Loaded {
                    book: Arc::new(book),
                    warnings,
                    refused: None,
                    notes: Vec::new(),
                }
            }
            Err(complaints) => match self.last_good() {
                None => return Err(StartError::Rules(complaints)),
                Some(book) => Loaded {
                    notes: vec![format!(
                        "what is on disk has mistakes: running the last good rules, generation {}",
                        book.generation
                    )],
                    book: Arc::new(book),
                    warnings: Vec::new(),
                    refused: Some(complaints),
                },
            },
        };
        self.running = Some(loaded.book.clone());
        Ok(loaded)
    }

    /// The last good book, if there is one that still compiles.
    pub(super) fn last_good(&self) -> Option<Book> {
        let saved = match LastGood::load(&self.own) {
            Ok(saved) => saved?,
            Err(error) => {
                tracing::warn!(%error, "could not read the last good book");
                return None;
            }
        };
        let set: BTreeMap<String, Value> = saved.overrides.into_iter().collect();
        let (permission, script) = (&self.permission, &self.ground.script);
        rules::load::load_sources(&saved.sources, &set, permission, script).book
    }

    fn remember(&self, book: &Book) {
        let good = LastGood {
            generation: book.generation.clone(),
            saved: self.clock.now(),
            overrides: self.set.clone().into_iter().collect(),
            sources: BTreeMap::clone(&book.sources),
        };
        if let Err(error) = good.save(&self.own) {
            tracing::warn!(%error, "could not keep the last good book");
        }
    }
}

/// Loads, checks and compiles the whole set, then hands it to the loop as one generation.
struct Reloader {
    loader: Loader,
    runner: Arc<dyn Runner>,
    sender: mpsc::UnboundedSender<Message>,
}

impl Reloader {
    fn message(&mut self, told: Askers) -> Message {
        let (book, warnings) = match self.loader.load() {
            Ok(loaded) => loaded,
            Err(complaints) => return Message::Refused { complaints, told },
        };
        let running = self.loader.running.clone();
        if running
            .as_ref()
            .is_some_and(|running| running.generation == book.generation)
        {
            return Message::Same(told);
        }
        let permission = match self
            .loader
            .ground
            .permission(&self.loader.root, Some(&book))
        {
            Ok(permission) => permission,
            Err(error) => {
                let message = format!("could not take over the new rules: {}", error);
                let file = self.loader.rules.display().to_string().into();
                let place = Place {
                    file,
                    ..Place::default()
                };
                let mistake = Mistake::new("root-lost", message, place);
                let complaints = vec![Complaint {
                    severity: Severity::Error,
                    mistake,
                    rule: None,
                    source: "".into(),
                }];
                return Message::Refused { complaints, told };
            }
        };
        let changes = match &running {
            Some(running) => rules::diff::diff(&running.outline, &book.outline).to_string(),
            None => String::new(),
        };
        let book = Arc::new(book);
        self.loader.remember(&book);
        self.loader.running = Some(book.clone());
        Message::Book {
            hands: Arc::new(hands::Live::new(permission.clone(), self.runner.clone())),
            permission,
            book,
            changes,
            warnings: warnings
                .into_iter()
                .filter(|complaint| complaint.severity == Severity::Warning)
                .collect(),
            told,
        }
    }
}

impl Ears for Reloader {
    fn rules(&mut self, told: Askers) -> Arc<Outline> {
        let message = self.message(told);
        let _ = self.sender.send(message); // the loop has ended
        match &self.loader.running {
            Some(book) => book.outline.clone(),
            None => Arc::default(),
        }
    }

    fn file(&mut self, file: &str) {
        let input = crate::core::Input::FileChanged(file.to_owned());
        let _ = self.sender.send(Message::Input(input)); // the loop has ended
    }

    fn pause_file(&mut self, reason: Option<String>) {
        let _ = self.sender.send(Message::PauseFile(reason)); // the loop has ended
    }
}
