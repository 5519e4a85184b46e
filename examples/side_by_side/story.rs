//! What happens, in its order: healthy, broken, repaired, proven. Every step waits for a state of the two, with a bound.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
    time::Duration,
};

use homeostat::clock::Stopwatch;
use serde_json::Value;

use crate::{
    bot::{CycleReport, breakage},
    desk::Desk,
    engine::Engine,
    events::{Event, Events, Heard},
    screen::{Screen, Tone},
};

/// Cycles that are shown of the healthy bot, of the broken one, and of the one that trades again.
const SHOWN: usize = 4;
/// Lines of a difference that are shown.
const DIFFERENCE: usize = 8;
/// How long a step may take.
const BOUND: Duration = Duration::from_secs(90);

/// Something that can be broken here, and what puts it right.
#[derive(Debug, PartialEq, Eq)]
pub struct Incident {
    pub name: &'static str,
    /// The checks whose repairs bring the orders back.
    checks: &'static [&'static str],
    /// The one of them that a person must approve.
    approved: Option<&'static str>,
}

const fn incident_of(name: &'static str, checks: &'static [&'static str]) -> Incident {
    Incident {
        name,
        checks,
        approved: None,
    }
}

const FIELDS: &str = "enrich_signal_fields";
const FLOOR: &str = "freshness_adjustment";

static INCIDENTS: [Incident; 7] = [
    incident_of("weights", &["weights_file"]),
    incident_of("thresholds", &["entry_thresholds"]),
    Incident {
        approved: Some(FIELDS),
        ..incident_of("fields", &[FIELDS])
    },
    incident_of("decay", &["freshness_killing_scores"]),
    incident_of("adaptive", &["adaptive_weights_killing_scores"]),
    Incident {
        approved: Some(FLOOR),
        ..incident_of("floor_code", &[FLOOR, "freshness_killing_scores"])
    },
    Incident {
        approved: Some(FIELDS),
        ..incident_of(
            "all",
            &[
                "weights_file",
                "entry_thresholds",
                "freshness_killing_scores",
                "adaptive_weights_killing_scores",
                FIELDS,
            ],
        )
    },
];

/// What is broken by this name.
pub fn incident(name: &str) -> Result<&'static Incident, String> {
    let found = INCIDENTS.iter().find(|it| it.name == name);
    found.ok_or_else(|| {
        let names = INCIDENTS.iter().map(|it| it.name).collect::<Vec<_>>();
        format!("there are {}", names.join(", "))
    })
}

fn about(incident: &Incident) -> String {
    let known = breakage::BREAKAGES.iter().find(|it| it.0 == incident.name);
    match known {
        Some((_, does)) => (*does).to_owned(),
        None => format!("{} at once", breakage::ALL.join(", ")),
    }
}

pub fn after_help() -> String {
    let line = |it: &Incident| format!("  {:<12} {}\n", it.name, about(it));
    let lines: String = INCIDENTS.iter().map(line).collect();
    format!("What can be broken:\n{lines}")
}

/// Why the story ended early.
enum Early {
    /// Somebody wanted it.
    Asked,
    Failed(String),
}

impl From<String> for Early {
    fn from(why: String) -> Early {
        Early::Failed(why)
    }
}

/// From a healthy bot to a bot that trades again.
pub fn play(incident: &Incident, pause: bool, period: Duration) -> Result<(), String> {
    let (events, heard) = Events::new();
    if pause {
        listen_for_enter(events.clone());
    }
    let desk = Desk::open(period, events.clone())?;
    let engine = Engine::start(desk.root(), desk.url(), events)?;
    let mut stage = Stage {
        heard,
        screen: Screen::new(),
        pause,
        seen: Seen::default(),
    };
    let ended = stage.play(incident, &desk, &engine);
    stage.screen.note("");
    drop(engine);
    drop(desk);
    match ended {
        Ok(()) => {
            stage.goodbye(incident);
            Ok(())
        }
        Err(Early::Asked) => {
            stage
                .screen
                .note("ended early; bot and engine have ended too");
            Ok(())
        }
        Err(Early::Failed(why)) => Err(why),
    }
}

fn listen_for_enter(events: Events) {
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lock().lines();
        while let Some(Ok(_)) = lines.next() {
            events.send(Event::Enter);
        }
        events.send(Event::Interrupted); // nobody can press it any more
    });
}

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    ready: bool,
    /// How many cycles in a row had orders, and had none.
    trading: usize,
    idle: usize,
    /// Repairs that were done and proven, by check.
    acted: BTreeSet<String>,
    verified: BTreeSet<String>,
    bad: BTreeMap<String, String>,
}

struct Stage {
    heard: Heard,
    screen: Screen,
    pause: bool,
    seen: Seen,
}

type Done<T = ()> = Result<T, Early>;

impl Stage {
    fn play(&mut self, incident: &Incident, desk: &Desk, engine: &Engine) -> Done {
        self.screen.tell("A bot trades, and homeostat watches it.");
        let root = desk.root().display();
        self.screen.note(&format!(
            "Both work in {root}, which is removed at the end.\n"
        ));
        self.screen.heads();
        self.until("a bot that trades, and an engine", |seen| {
            seen.ready && seen.trading >= SHOWN
        })?;

        self.step(&format!("It is broken: {}.", about(incident)))?;
        self.screen
            .note("Repairs are paused for as long as it takes to see what that does.\n");
        engine.say(&["pause", "--reason", "to be seen broken"])?;
        for line in desk.breaks(incident.name)?.lines() {
            self.screen.note(&format!("  {line}"));
        }
        self.screen.note("");
        self.until("orders to stop and checks to notice", |seen| {
            let known = |check: &str| seen.bad.contains_key(check);
            seen.idle >= SHOWN && incident.checks.iter().copied().all(known)
        })?;

        self.step("Repairs are allowed again.")?;
        engine.say(&["resume"])?;
        if let Some(check) = incident.approved {
            let free = incident.checks.iter().filter(|it| **it != check);
            let free: Vec<&str> = free.copied().collect();
            self.until("the repairs", |seen| {
                free.iter().all(|check| seen.acted.contains(*check))
            })?;
            let number = self.proposal(engine, check)?;
            self.step(&format!(
                "Code is a person's: {check} only proposes its repair."
            ))?;
            self.screen.note(&format!("  homeostat approve {number}\n"));
            engine.say(&["approve", &number.to_string()])?;
        }
        self.until("orders, and repairs that are proven by them", |seen| {
            let done = |check: &str| seen.verified.contains(check);
            seen.trading >= SHOWN && incident.checks.iter().copied().all(done)
        })?;

        self.step("It trades again. The ledger:")?;
        let ledger = engine.say(&["ledger"])?;
        for line in ledger.as_array().into_iter().flatten() {
            let name = line["check"].as_str().unwrap_or_default();
            if line["kind"].is_null() && line["attempts"].as_u64() > Some(0) {
                let (tried, proven) = (&line["attempts"], &line["verified"]);
                let recovery = match line["recovery_s"].as_f64() {
                    Some(seconds) => format!("recovered in {seconds:.0} s"),
                    None => "not proven yet".to_owned(),
                };
                self.screen.note(&format!(
                    "  {name:<32} {tried} tried, {proven} verified, {recovery}"
                ));
            }
        }
        Ok(())
    }

    fn goodbye(&mut self, incident: &Incident) {
        self.screen
            .note("Bot and engine have ended. Where to go on:");
        let other = if incident.name == "all" {
            "fields"
        } else {
            "all"
        };
        self.screen.note(&format!(
            "  cargo run --release --example side_by_side -- {other} --pause\n  \
             README.md, \"See it with a bot\": the same in two terminals, with your hands on it\n  \
             rules/critical.yaml: the rules that did this"
        ));
    }

    /// The number of what a check proposes.
    fn proposal(&mut self, engine: &Engine, check: &str) -> Done<u64> {
        let watch = Stopwatch::new();
        while watch.elapsed() < BOUND {
            let status = engine.say(&["status"])?;
            let mut proposals = status["proposals"].as_array().into_iter().flatten();
            let found = proposals.find(|it| it["check"] == check);
            if let Some(number) = found.and_then(|it| it["attempt"].as_u64()) {
                return Ok(number);
            }
            self.hear(Duration::from_millis(200))?;
        }
        Err(Early::Failed(format!(
            "waited in vain for a proposal of {check}"
        )))
    }

    /// Says what comes next, after Enter if that is wanted.
    fn step(&mut self, text: &str) -> Done {
        if self.pause {
            self.screen.note("\nEnter goes on");
            while !self.hear(BOUND)? {}
        }
        self.screen.tell(text);
        Ok(())
    }

    fn until(&mut self, what: &str, come: impl Fn(&Seen) -> bool) -> Done {
        let watch = Stopwatch::new();
        self.seen.trading = 0;
        self.seen.idle = 0;
        while !come(&self.seen) {
            if watch.elapsed() > BOUND {
                return Err(Early::Failed(format!("waited in vain for {what}")));
            }
            self.hear(Duration::from_millis(200))?;
        }
        Ok(())
    }

    /// Shows what is said next; whether that was Enter.
    fn hear(&mut self, within: Duration) -> Done<bool> {
        match self.heard.next(within) {
            Some(Event::Cycle(report)) => self.cycle(&report),
            Some(Event::News(news)) => self.news(&news),
            Some(Event::Enter) => return Ok(true),
            Some(Event::Interrupted) => return Err(Early::Asked),
            Some(Event::Ended) => return Err(Early::Failed("the engine ended early".to_owned())),
            None => {}
        }
        Ok(false)
    }

    fn cycle(&mut self, report: &CycleReport) {
        let seen = &mut self.seen;
        if report.orders > 0 {
            (seen.trading, seen.idle) = (seen.trading + 1, 0);
        } else {
            (seen.trading, seen.idle) = (0, seen.idle + 1);
        }
        let mean = report.mean_score.unwrap_or_default();
        let (time, orders) = (report.at.format("%H:%M:%S"), report.orders);
        let text = format!("{time}  mean score {mean:.2}  {orders} orders");
        let tone = if orders > 0 { Tone::Plain } else { Tone::Bad };
        self.screen.bot(&text, tone);
    }

    fn news(&mut self, news: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match news["news"].as_str().unwrap_or_default() {
            "ready" => {
                self.seen.ready = true;
                self.seen.trading = 0; // from now on both are seen
                let checks = &news["checks"];
                self.screen.engine(&format!("{checks} checks"), Tone::Plain);
            }
            "changed" => self.changed(news),
            "held" => {
                let (check, by) = (text(&news["check"]), text(&news["by"]));
                self.screen
                    .engine(&format!("held      {check}: by {by}"), Tone::Faint);
            }
            "acted" => self.acted(&news["attempt"]),
            "ended" => self.ended(&news["attempt"]),
            "note" => {
                let (check, note) = (text(&news["check"]), text(&news["text"]));
                if note.starts_with("its repair is held") {
                    return; // told as held
                }
                self.screen
                    .engine(&format!("note      {check}: {note}"), Tone::Plain);
            }
            "investigated" => {
                let (name, record) = (text(&news["name"]), &news["record"]);
                let cause = text(&record["cause"]);
                let told = match cause.is_empty() {
                    true => "nothing is wrong".to_owned(),
                    false => format!("probable cause {cause}"),
                };
                self.screen
                    .engine(&format!("session   {name}: {told}"), Tone::Plain);
            }
            _ => {}
        }
    }

    fn changed(&mut self, news: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (check, to) = (text(&news["check"]), text(&news["to"]));
        let first = news["from"] == "UNKNOWN" && matches!(&*to, "OK" | "UNKNOWN");
        if matches!(&*to, "WARNING" | "CRITICAL") {
            self.seen.bad.insert(check.clone(), to.clone());
        } else {
            self.seen.bad.remove(&check);
        }
        if first {
            return; // of every check once
        }
        let tone = match &*to {
            "OK" => Tone::Good,
            "CRITICAL" => Tone::Worse,
            _ => Tone::Bad,
        };
        let message = text(&news["message"]);
        self.screen
            .engine(&format!("{to:<9} {check}: {message}"), tone);
    }

    fn acted(&mut self, attempt: &Value) {
        let check = attempt["check"].as_str().unwrap_or_default();
        self.seen.acted.insert(check.to_owned());
        self.screen
            .engine(&format!("repair    {check}"), Tone::Good);
        for step in attempt["steps"].as_array().into_iter().flatten() {
            let (kind, target) = (step["kind"].as_str(), step["target"].as_str());
            let (kind, target) = (kind.unwrap_or_default(), target.unwrap_or_default());
            self.screen
                .engine(&format!("  {kind} {target}"), Tone::Plain);
            let diff = step["diff"].as_str().unwrap_or_default();
            let changes = diff.lines().filter(|line| {
                let head = line.starts_with("+++") || line.starts_with("---");
                !head && (line.starts_with('+') || line.starts_with('-'))
            });
            let changes: Vec<&str> = changes.collect();
            for line in changes.iter().take(DIFFERENCE) {
                let tone = if line.starts_with('+') {
                    Tone::Good
                } else {
                    Tone::Worse
                };
                self.screen.engine(&format!("    {line}"), tone);
            }
            if let Some(more) = changes.len().checked_sub(DIFFERENCE + 1) {
                let text = format!("    … and {} lines more", more + 1);
                self.screen.engine(&text, Tone::Faint);
            }
        }
    }

    fn ended(&mut self, attempt: &Value) {
        let check = attempt["check"].as_str().unwrap_or_default().to_owned();
        let end = attempt["end"].as_str().unwrap_or_default();
        match end {
            "verified" => {
                let took = attempt["took_s"].as_f64().unwrap_or_default();
                let text = format!("verified  {check}: proven after {took:.1} s");
                self.screen.engine(&text, Tone::Good);
                self.seen.verified.insert(check);
            }
            "withheld" => {} // told as held
            end => {
                self.screen.engine(&format!("{end:<9} {check}"), Tone::Bad);
            }
        }
    }
}
