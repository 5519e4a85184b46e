//! The files of a store, changed byte by byte: an engine starts with what is there or sets it aside, pauses and says so;
//! what it took over runs for a day; it is found again. Never an error, for nothing is wrong with the disk.
//!
//! What is changed are copies of a store that an engine made: one that was closed, and one as a crash leaves it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use homeostat::{
    clock::SystemClock,
    core::{Core, Input, Output},
    engine::live::{self, Options},
    model::{moment::Moment, outline::Outline, report::Ticket, status::Status, verdict::Verdict},
    permission::{Permission, Settings},
    rules::load::load_sources,
    script::Engine,
    store::{self, HistoryQuery, LastGood, Opened, Store},
};

const RULES: &str = "
checks:
  - name: weights
    about: The weights are there.
    trigger: { every: 1h }
    probe: { json: { file: data/weights.json } }
    threshold: { critical: missing, warning: 'len == 0' }
    keep: { runs: kept.runs + 1 }
    keep_start: { runs: 0 }
    remediation:
      steps: [ { restore_file: { file: data/weights.json, from: rules/defaults/weights.json } } ]
      guard: { cooldown: 5m, limit: 3 per 1h }
  - name: other
    about: It is always bad.
    trigger: { every: 5m }
    probe: { json: { file: data/weights.json } }
    threshold: { critical: exists, for: 2 of 3 }
    remediation: [ { remove_file: { file: data/nothing.json } }, { run_checks: [weights] } ]
";

/// A file by its name, and what stood in it.
type Image = Vec<(String, Vec<u8>)>;

struct Bench {
    images: [Image; 2],
    outline: Arc<Outline>,
    now: Moment,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(made())
});

async fn made() -> Bench {
    let root = tempfile::tempdir().expect("a temporary directory");
    let at = |path: &str| root.path().join(path);
    for dir in ["rules/defaults", "data", "state", "logs"] {
        fs::create_dir_all(at(dir)).expect("made");
    }
    fs::write(at("rules/rules.yaml"), RULES).expect("written");
    fs::write(at("rules/defaults/weights.json"), "{\"a\": 1}\n").expect("written");
    let options = Options {
        root: root.path().to_owned(),
        rules: at("rules"),
        set: Default::default(),
        watch: false,
        env: BTreeMap::new(),
        clock: Arc::new(SystemClock),
    };
    let live = live::start(options).await.expect("it starts");
    for _ in 0..3 {
        live.handle
            .check(Vec::new(), true, Duration::from_secs(2))
            .await
            .expect("it runs");
    }
    let own = at("state/homeostat");
    let crashed = image(&own);
    live.handle.stop().await.expect("it runs");
    live.finished().await;
    let permission = Permission::new(root.path(), Settings::default()).expect("a root");
    let sources = [("rules.yaml", RULES), ("defaults/weights.json", "{}")]
        .map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())))
        .into();
    let book = load_sources(&sources, &Default::default(), &permission, &Engine::new()).book;
    let book = book.expect("right rules");
    Bench {
        images: [image(&own), crashed],
        outline: book.outline.clone(),
        now: homeostat::clock::Clock::now(&SystemClock),
    }
}

fn image(dir: &Path) -> Image {
    let mut image: Image = fs::read_dir(dir)
        .expect("there")
        .map(|entry| entry.expect("listed"))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("read"))
        })
        .filter(|(name, _)| !name.ends_with("-shm") && name != "lock")
        .collect();
    image.sort();
    image
}

pub fn run(bytes: &[u8]) {
    let Some((&which, script)) = bytes.split_first() else {
        return;
    };
    let mut image = BENCH.images[usize::from(which % 2)].clone();
    let touched = damage(&mut image, script);
    let root = tempfile::tempdir_in(quick_place()).expect("a temporary directory");
    let dir = root.path().join("state/homeostat");
    fs::create_dir_all(&dir).expect("made");
    for (name, bytes) in &image {
        fs::write(dir.join(name), bytes).expect("written");
    }
    // What a dry run does; it may fail, and changes nothing.
    if let Ok(Some(store)) = store::snapshot(&dir) {
        let _ = store.load();
    }
    let _ = LastGood::load(&dir);
    let opened = Store::open(&dir, BENCH.now);
    let (mut store, opened) = match opened {
        Ok(opened) => opened,
        // A version that is not yet known is somebody's, and no fault.
        Err(store::StoreError::Newer { .. }) => return,
        Err(error) => panic!("{}", error.chain()),
    };
    let saved = store.load().expect("it was read once");
    if let Opened::SetAside { .. } = opened {
        assert!(touched, "nothing was wrong with it");
        assert!(saved.pause.is_some() && saved.attempts.is_empty());
    }
    let _ = store.ledger(BENCH.now);
    let _ = store.history(&HistoryQuery::default());
    let from = Moment(0);
    if let Ok(replay) = store.replay_looks(from, Moment(i64::MAX)) {
        let _ = replay.take(1000).count();
    }
    for attempt in &saved.attempts {
        let _ = store.attempt(attempt.id);
        let _ = store.prepared_of(attempt.id);
    }
    let rows = live_a_day(saved);
    store
        .write(&rows, store::Durability::Durable)
        .expect("it can be written");
    let _ = store.prune(
        BENCH.now.plus(Duration::from_secs(86_400)),
        &Default::default(),
    );
    store.close().expect("closed");
    let (store, opened) = Store::open(&dir, BENCH.now).expect("it opens again");
    assert_eq!(
        opened,
        Opened::Resumed,
        "what it wrote it does not know again"
    );
    store.close().expect("closed");
}

/// In memory where there is such a place: a store is flushed at every step.
fn quick_place() -> &'static Path {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => memory,
        false => Path::new("/tmp"),
    }
}

/// Whether anything is another byte than before.
fn damage(image: &mut Image, script: &[u8]) -> bool {
    let before = image.clone();
    let mut rest = script;
    // (file, what, where: two bytes, how many or which)
    while let [file, what, high, low, value, more @ ..] = rest {
        rest = more;
        let index = usize::from(*file) % image.len();
        let (_, bytes) = &mut image[index];
        // Where: a share of the file, and a step that is finer than that.
        let at = usize::from(u16::from_be_bytes([*high, *low])) * bytes.len().max(1) / 65_536;
        match what % 8 {
            0 => set(bytes, at, &[*value]),
            1 => {
                let count = usize::from(*value).min(rest.len()).min(32);
                let (some, more) = rest.split_at(count);
                set(bytes, at, some);
                rest = more;
            }
            2 => set(bytes, at, &[*value; 64]),
            3 => bytes.truncate(at),
            4 => bytes.extend(vec![*value; at % 8192]),
            // Text for text: what stands in rows is JSON, and lengths stay what they are.
            5 => replace(bytes, at, usize::from(*value)),
            6 => {
                let page = at / 4096 * 4096;
                let other = usize::from(*value) * 4096;
                if let Some(copy) = bytes.get(other..other + 4096).map(<[u8]>::to_vec) {
                    set(bytes, page, &copy);
                }
            }
            _ => {
                if *value == 0 {
                    image.remove(index);
                    if image.is_empty() {
                        return true;
                    }
                }
            }
        }
    }
    *image != before
}

fn set(bytes: &mut [u8], at: usize, new: &[u8]) {
    for (old, new) in bytes.iter_mut().skip(at).zip(new) {
        *old = *new;
    }
}

/// Numbers and words of rows become others of the same length.
fn replace(bytes: &mut [u8], at: usize, which: usize) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let Some(from) = bytes
        .iter()
        .skip(at)
        .position(digits)
        .map(|found| at + found)
    else {
        return;
    };
    let count = bytes
        .iter()
        .skip(from)
        .take_while(|byte| digits(byte))
        .count();
    let forms: [&[u8]; 6] = [b"9", b"0", b"1", b"-", b".", b"e"];
    let form = forms[which % forms.len()];
    match form {
        b"-" | b"." | b"e" => set(bytes, from + (which / 6) % count.max(1), form),
        digit => set(bytes, from, &digit.repeat(count)),
    }
}

/// What a start took over must not lead the core astray: a day of looks, all of them bad, nothing ever done.
fn live_a_day(saved: homeostat::model::attempt::Saved) -> Vec<homeostat::model::attempt::Row> {
    let mut rows = Vec::new();
    let mut now = BENCH.now;
    let mut out = Vec::new();
    let mut core = Core::start(BENCH.outline.clone(), saved, now, &mut out);
    for _ in 0..200 {
        let mut inputs = vec![Input::Tick];
        for output in out.drain(..) {
            match output {
                Output::Look(asked) => inputs.push(looked(asked.ticket)),
                Output::Persist(row) => rows.push(row),
                Output::PersistThenTell(row, attempt) => {
                    rows.push(row);
                    inputs.push(Input::Durable(attempt));
                }
                Output::Act(attempt) => inputs.push(Input::Acted {
                    attempt: attempt.id,
                    receipts: Vec::new(),
                }),
                Output::RollBack { attempt, .. } => inputs.push(Input::RolledBack {
                    attempt,
                    receipts: Vec::new(),
                }),
                _ => {}
            }
        }
        for input in inputs {
            core.step(now, input, &mut out);
        }
        now = now.plus(Duration::from_secs(432));
    }
    rows
}

fn looked(ticket: Ticket) -> Input {
    Input::Looked {
        ticket,
        verdict: Arc::new(Verdict::bare(Status::Critical, "bad")),
    }
}
