//! A log that is written, cut, rotated and looked at, by a script of bytes: after each event the window that was kept
//! sees what a fresh one sees, and both what a reader sees who reads all of it forward.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use homeostat::{
    model::{facts::Facts, moment::Moment, node::Node, text::Text},
    permission::{Permission, Settings},
    probe::{self, Eyes, NoBoard, Probe, Tails, Workshop},
    script::{Engine, Expr, Ground, Known, Scope, Scripts},
};
use serde_json::{Value, json};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

const TIME: [&str; 4] = ["ts", "_ts", "timestamp", "time"];
const START: i64 = 1_767_717_000_000;
const FILTERS: [&str; 3] = ["", r#"r.get("out", ()) == ()"#, "r.n >= 3"];
const OLD_IN_A_ROW: usize = 64;

/// What is looked for.
struct Wish {
    filter: &'static str,
    since: Option<u64>,
    last: Option<usize>,
    max_scan: Option<u64>,
}

pub fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let wish = Wish {
        filter: FILTERS[usize::from(script.byte()) % FILTERS.len()],
        since: match script.byte() % 4 {
            0 => None,
            1 => Some(1),
            2 => Some(60),
            _ => Some(3600),
        },
        last: match script.byte() % 8 {
            0 => None,
            7 => Some(100),
            few => Some(usize::from(few)),
        },
        max_scan: match script.byte() % 4 {
            0 => Some(200 + u64::from(script.byte())),
            _ => None,
        },
    };
    let root = tempfile::tempdir().expect("a temporary directory");
    let path = root.path().join("log");
    fs::write(&path, "").expect("written");
    let permission = Permission::new(root.path(), Settings::default()).expect("a root");
    let probe = build(&wish, &permission);
    let look = probe.quick().expect("a file kind");
    let mut eyes = Eyes {
        engine: ENGINE.clone(),
        permission: Arc::new(permission),
        ground: Ground {
            now: Moment(START),
            ..Ground::default()
        },
        tails: Arc::default(),
        board: Arc::new(NoBoard),
        limit: Duration::from_secs(10),
    };
    let kept = eyes.tails.clone();
    let filter = compiled(wish.filter);
    // Looks cost much more than events: few, so that many scripts are tried.
    for _ in 0..24 {
        let Some(event) = script.next() else { return };
        happen(event, &mut script, &path, &mut eyes.ground.now);
        eyes.tails = kept.clone();
        let continued = seen(look.look(&eyes));
        eyes.tails = Arc::new(Tails::default());
        let fresh = seen(look.look(&eyes));
        assert_eq!(continued, fresh, "a kept window sees something else");
        let all = fs::read(&path).expect("there");
        let reference = forward(&all, &wish, filter.as_ref(), &eyes.ground);
        match (&fresh, wish.max_scan) {
            // How far back it is looked is bounded; what is found within it is right.
            (Err(error), Some(_)) if error.contains("max_scan") => {}
            _ => assert_eq!(fresh, reference, "not what stands in the file"),
        }
    }
}

type Seen = Result<Value, String>;

fn seen(looked: Result<Facts, probe::ProbeError>) -> Seen {
    match looked {
        Ok(facts) => {
            let mut facts = facts.to_json();
            if let Some(map) = facts.as_object_mut() {
                map.retain(|name, _| matches!(name.as_str(), "records" | "count" | "skipped"));
            }
            Ok(facts)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn build(wish: &Wish, permission: &Permission) -> Arc<dyn Probe> {
    let mut rule = json!({"file": "log"});
    if !wish.filter.is_empty() {
        rule["where"] = json!(wish.filter);
    }
    if let Some(since) = wish.since {
        rule["since"] = json!(format!("{since}s"));
    }
    if let Some(last) = wish.last {
        rule["last"] = json!(last);
    }
    if let Some(bytes) = wish.max_scan {
        rule["max_scan"] = json!(format!("{bytes} B"));
    }
    let kind = probe::kind("jsonl").expect("there is that kind");
    let mut mistakes = Vec::new();
    let built = (kind.build)(
        &Node::from_json(&rule),
        &mut Workshop {
            engine: &ENGINE,
            known: &Known::ground(&serde_json::Map::new()),
            permission,
            scripts: &Scripts::default(),
            mistakes: &mut mistakes,
        },
    );
    built.unwrap_or_else(|| panic!("{rule}: {mistakes:?}"))
}

fn compiled(filter: &str) -> Option<Expr> {
    if filter.is_empty() {
        return None;
    }
    let known = Known::ground(&serde_json::Map::new()).with("r", None);
    Expr::compile(&ENGINE, &Text::bare(filter), &known, &mut Vec::new())
}

/// Bytes that are read one after the other.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn some(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some.to_vec()
    }
}

fn happen(event: u8, script: &mut Script<'_>, path: &Path, now: &mut Moment) {
    match event % 9 {
        0 => append(path, &script.some()),
        1 => append(path, &[&*script.some(), b"\n"].concat()),
        2 | 3 => append(path, &record(script, *now)),
        4 => {
            let many = usize::from(script.byte()) * 4;
            append(path, &record(script, *now).repeat(many));
        }
        5 => {
            let file = File::options().write(true).open(path).expect("there");
            let length = file.metadata().expect("there").len();
            file.set_len(length * u64::from(script.byte()) / 255)
                .expect("cut");
        }
        6 => {
            let file = File::options().write(true).open(path).expect("there");
            file.set_len(0).expect("cut");
            append(path, &script.some());
        }
        7 => {
            fs::rename(path, path.with_extension("1")).expect("renamed");
            append(path, &script.some());
        }
        _ => now.0 += (i64::from(script.byte()) - 64) * 1000,
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(path)
        .expect("opened");
    file.write_all(bytes).expect("written");
}

fn record(script: &mut Script<'_>, now: Moment) -> Vec<u8> {
    let (shape, number) = (script.byte(), script.byte());
    let then = now.0 as f64 / 1000.0 - f64::from(number);
    let record = match shape % 6 {
        0 => json!({"ts": then, "n": number}),
        1 => {
            json!({"ts": "?", "time": Moment(now.0 - 1000 * i64::from(number)).iso(), "n": number})
        }
        2 => json!({"n": number, "out": true, "_ts": then}),
        3 => json!({"n": number}),
        4 => json!({"ts": then}),
        _ => json!({"ts": then * 1000.0, "n": number, "pad": "x".repeat(usize::from(number) * 8)}),
    };
    format!("{record}\n").into_bytes()
}

/// The same by reading all of it and by the words of the documentation alone.
fn forward(all: &[u8], wish: &Wish, filter: Option<&Expr>, ground: &Ground) -> Seen {
    let oldest = wish
        .since
        .map(|since| ground.now.minus(Duration::from_secs(since)));
    let mut records = Vec::new();
    let (mut skipped, mut old_in_a_row) = (0, 0);
    for line in all.rsplit(|byte| *byte == b'\n') {
        let body = line.trim_ascii();
        let blank = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
        let from = body.iter().position(|byte| !blank(byte)).unwrap_or(0);
        let to = body
            .iter()
            .rposition(|byte| !blank(byte))
            .map_or(0, |last| last + 1);
        let text = body.get(from..to).unwrap_or_default();
        let padded = text.len() < body.len();
        let object = object(text);
        let Some(record) = object else {
            skipped += usize::from(!body.is_empty());
            continue;
        };
        skipped += usize::from(padded);
        let time = time_of(&record);
        if let Some(filter) = filter {
            let mut scope = Scope::new(ground);
            scope.bind("r", record.clone());
            match filter.truth(&ENGINE, &scope) {
                Err(fault) => return Err(format!("log: `where`: {fault}")),
                Ok(true) => {}
                Ok(false) => {
                    match oldest.zip(time) {
                        Some((oldest, time)) if time < oldest => old_in_a_row += 1,
                        Some(_) => old_in_a_row = 0,
                        None => {}
                    }
                    if old_in_a_row >= OLD_IN_A_ROW {
                        break;
                    }
                    continue;
                }
            }
        }
        match (oldest, time) {
            (Some(_), None) => {
                skipped += usize::from(!padded);
                continue;
            }
            (Some(oldest), Some(time)) if time < oldest => {
                old_in_a_row += 1;
                if old_in_a_row >= OLD_IN_A_ROW {
                    break;
                }
                continue;
            }
            _ => {}
        }
        old_in_a_row = 0;
        records.push(record);
        if wish.last.is_some_and(|last| records.len() >= last) {
            break;
        }
    }
    records.reverse();
    Ok(json!({"records": records, "count": records.len(), "skipped": skipped}))
}

/// One JSON object in which every key stands once.
fn object(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    // A key that stands twice loses an entry, but not its colon.
    let (mut colons, mut quoted, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => colons += 1,
            _ => {}
        }
    }
    (value.is_object() && entries(&value) == colons).then_some(value)
}

fn entries(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len() + map.values().map(entries).sum::<usize>(),
        Value::Array(list) => list.iter().map(entries).sum(),
        _ => 0,
    }
}

fn time_of(record: &Value) -> Option<Moment> {
    TIME.iter().find_map(|key| match record.get(key)? {
        Value::Number(number) => Moment::from_number(number.as_f64()?),
        Value::String(text) => Moment::parse(text),
        _ => None,
    })
}
