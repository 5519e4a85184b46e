//! The shipped calendars against the rules of the exchange and the dates it has published, and calendars as people meet
//! them through the program.

mod common;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use chrono::{Datelike, Days, NaiveDate, Weekday};
use common::{Root, SOON, until};
use homeostat::{
    engine::handle::News,
    model::{calendar::Calendar, moment::Moment},
    permission::{Permission, Settings},
    rules::{book::Book, ending, load, load::load_sources},
    script::Engine,
    trigger::calendar::State,
};
use serde_json::Value;

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date")
}

/// The sources of the shipped calendars with a check that goes by them.
fn shipped() -> Book {
    let text = fs::read("rules/calendars/nyse.yaml").expect("shipped");
    let checks = "checks:\n  - name: a\n    about: It is there.\n    trigger: { every: 5m, during: nyse.regular, quiet: nyse.extended }\n    probe: { file: { file: data/x } }\n    threshold: { critical: missing }\n    message: x\n";
    let sources = [
        ("calendars/nyse.yaml".to_owned(), text.into()),
        ("a.yaml".to_owned(), checks.as_bytes().into()),
    ];
    let root = tempfile::tempdir().expect("a directory");
    let permission = Permission::new(root.path(), Settings::default()).expect("a permission");
    let loaded = load_sources(
        &sources.into(),
        &Default::default(),
        &permission,
        &Engine::new(),
    );
    let told: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{told:#?}");
    loaded.book.expect("a book")
}

fn easter(year: i32) -> NaiveDate {
    // After Butcher and Meeus.
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let f = (b + 8) / 25;
    let h = (19 * a + b - b / 4 - (b - f + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let sum = h + l - 7 * m + 114;
    day(year, (sum / 31) as u32, (sum % 31 + 1) as u32)
}

fn nth(year: i32, month: u32, weekday: Weekday, n: u8) -> NaiveDate {
    NaiveDate::from_weekday_of_month_opt(year, month, weekday, n).expect("such a day")
}

fn observed(date: NaiveDate) -> NaiveDate {
    match date.weekday() {
        Weekday::Sat => date - Days::new(1),
        Weekday::Sun => date + Days::new(1),
        _ => date,
    }
}

/// Full holidays and early closes of a year, by the rules of the exchange.
fn by_rule(year: i32) -> (BTreeSet<NaiveDate>, BTreeSet<NaiveDate>) {
    let new_year = Some(day(year, 1, 1)).filter(|it| it.weekday() != Weekday::Sat);
    let memorial = (25..=31)
        .map(|date| day(year, 5, date))
        .find(|it| it.weekday() == Weekday::Mon)
        .expect("the last Monday of May");
    let thanksgiving = nth(year, 11, Weekday::Thu, 4);
    let mut full: BTreeSet<NaiveDate> = [
        nth(year, 1, Weekday::Mon, 3),
        nth(year, 2, Weekday::Mon, 3),
        easter(year) - Days::new(2),
        memorial,
        observed(day(year, 6, 19)),
        observed(day(year, 7, 4)),
        nth(year, 9, Weekday::Mon, 1),
        thanksgiving,
        observed(day(year, 12, 25)),
    ]
    .into();
    full.extend(new_year.map(observed));
    if year == 2025 {
        full.insert(day(2025, 1, 9));
    }
    let eve = |it: NaiveDate| it.weekday().num_days_from_monday() < 4;
    let eves = [day(year, 7, 3), day(year, 12, 24)];
    let half = eves.into_iter().filter(|it| eve(*it));
    (full, half.chain([thanksgiving + Days::new(1)]).collect())
}

/// As published by the exchange for 2025 to 2028.
const PUBLISHED: [(&str, &str); 4] = [
    (
        "2025-01-01 2025-01-09 2025-01-20 2025-02-17 2025-04-18 2025-05-26 2025-06-19 2025-07-04 2025-09-01 2025-11-27 2025-12-25",
        "2025-07-03 2025-11-28 2025-12-24",
    ),
    (
        "2026-01-01 2026-01-19 2026-02-16 2026-04-03 2026-05-25 2026-06-19 2026-07-03 2026-09-07 2026-11-26 2026-12-25",
        "2026-11-27 2026-12-24",
    ),
    (
        "2027-01-01 2027-01-18 2027-02-15 2027-03-26 2027-05-31 2027-06-18 2027-07-05 2027-09-06 2027-11-25 2027-12-24",
        "2027-11-26",
    ),
    (
        "2028-01-17 2028-02-21 2028-04-14 2028-05-29 2028-06-19 2028-07-04 2028-09-04 2028-11-23 2028-12-25",
        "2028-07-03 2028-11-24",
    ),
];

fn of_year(calendar: &Calendar, year: i32) -> (BTreeSet<NaiveDate>, BTreeSet<NaiveDate>) {
    let days = calendar.days.iter().filter(|(day, _)| day.year() == year);
    let (full, half): (Vec<_>, Vec<_>) = days.partition(|(_, sessions)| sessions.is_empty());
    let dates = |found: Vec<(&NaiveDate, _)>| found.into_iter().map(|(day, _)| *day).collect();
    (dates(full), dates(half))
}

#[test]
fn the_exchange_is_closed_when_its_rules_say_so() {
    let book = shipped();
    for name in ["nyse.regular", "nyse.extended"] {
        let calendar = &book.outline.calendars[name];
        for year in 2025..=2030 {
            assert_eq!(of_year(calendar, year), by_rule(year), "{name} {year}");
        }
        for (index, (full, half)) in PUBLISHED.iter().enumerate() {
            let dates = |text: &str| {
                text.split(' ')
                    .map(|it| it.parse().expect("a date"))
                    .collect()
            };
            let year = 2025 + index as i32;
            assert_eq!(
                of_year(calendar, year),
                (dates(full), dates(half)),
                "{name} {year}"
            );
        }
        assert!(
            calendar
                .days
                .keys()
                .all(|day| day.weekday().num_days_from_monday() < 5)
        );
    }
}

#[test]
fn the_sessions_are_those_of_the_exchange() {
    let book = shipped();
    let at = |name: &str, at: &str| {
        let hours = book.outline.calendars[name].hours(Moment::parse(at).expect("an instant"));
        (
            hours.state == State::Open,
            hours
                .until
                .map(|it| it.iso()[..16].to_owned())
                .unwrap_or_default(),
        )
    };
    let open = |until: &str| (true, until.to_owned());
    let closed = |until: &str| (false, until.to_owned());
    assert_eq!(
        at("nyse.regular", "2026-01-06T11:00:00-05:00"),
        open("2026-01-06T21:00")
    );
    assert_eq!(
        at("nyse.regular", "2026-07-02T16:00:00-04:00"),
        closed("2026-07-06T13:30")
    );
    assert_eq!(
        at("nyse.regular", "2026-11-27T12:00:00-05:00"),
        open("2026-11-27T18:00")
    );
    assert_eq!(
        at("nyse.extended", "2026-11-27T12:00:00-05:00"),
        open("2026-11-27T22:00")
    );
    assert_eq!(
        at("nyse.extended", "2026-01-06T04:00:00-05:00"),
        open("2026-01-07T01:00")
    );
    // The weeks in which clocks differ from those of Europe.
    assert_eq!(
        at("nyse.regular", "2026-03-09T13:30:00Z"),
        open("2026-03-09T20:00")
    );
    assert_eq!(
        at("nyse.regular", "2026-10-30T13:30:00Z"),
        open("2026-10-30T20:00")
    );
    assert_eq!(
        at("nyse.regular", "2026-11-02T13:30:00Z"),
        closed("2026-11-02T14:30")
    );
}

#[test]
fn the_end_of_the_data_is_told_ninety_days_before() {
    let book = shipped();
    let told = |at: &str| -> Vec<String> {
        let found = ending::soon(&book, Moment::parse(at).expect("an instant"));
        found.iter().map(ToString::to_string).collect()
    };
    assert!(told("2030-10-02T00:00:00Z").is_empty());
    let soon = told("2030-10-05T00:00:00Z");
    assert_eq!(soon.len(), 2, "{soon:?}");
    assert!(
        soon[0].contains("calendars/nyse.yaml:") && soon[0].contains("warning[calendar-ends]"),
        "{soon:?}"
    );
    assert!(told("2031-01-02T00:00:00Z")[0].contains("that is over"));
}

const RULES: &str = "
calendars:
  past:
    weekly: { Mon-Sun: '00:00-24:00' }
    until: 2020-12-31
  rarely:
    windows: [ { from: 2020-01-01, to: 2020-01-02 }, { from: 2100-01-01, to: 2100-01-02 } ]
  always: { weekly: { Mon-Sun: '00:00-24:00' } }
checks:
  - name: closed
    about: It is there, in its time.
    trigger: { every: 1h, during: rarely }
    probe: { file: { file: data/x.json } }
    threshold: { critical: missing }
    message: x
    remediation:
      - write_file: { file: data/x.json, body: { a: 1 } }
  - name: hushed
    about: It is there, and nobody is woken.
    trigger: { every: 1h, quiet: always }
    probe: { file: { file: data/y.json } }
    threshold: { critical: missing }
    message: y
    remediation:
      - write_file: { file: data/y.json, body: { a: 1 } }
";

fn homeostat(root: &Path, line: &str) -> (i32, Value) {
    let said = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root)
        .env_remove("HOMEOSTAT_LOG")
        .args(line.split(' '))
        .arg("--json")
        .output()
        .expect("it ran");
    let out = String::from_utf8_lossy(&said.stdout);
    let value = serde_json::from_str(&out)
        .unwrap_or_else(|error| panic!("{error}: {out}{}", String::from_utf8_lossy(&said.stderr)));
    (said.status.code().unwrap_or(-1), value)
}

#[test]
fn the_program_skips_hushes_and_warns() {
    let root = Root::new();
    fs::write(root.at("rules/a.yaml"), RULES).expect("written");

    let (_, checked) = homeostat(root.path(), "check");
    let [closed, hushed] = [&checked["checks"][0], &checked["checks"][1]];
    assert_eq!(closed["status"], "OK");
    assert_eq!(
        (&closed["message"], &closed["skipped"]),
        (&"outside rarely".into(), &true.into())
    );
    assert_eq!(hushed["status"], "CRITICAL");
    assert_eq!(
        (
            &hushed["remediation"]["decision"],
            &hushed["remediation"]["held_by"]
        ),
        (&"held".into(), &"quiet".into())
    );
    assert!(!root.at("data/x.json").exists() && !root.at("data/y.json").exists());

    let status = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .arg("status")
        .output()
        .expect("it ran");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let line = status.lines().find(|line| line.contains(" closed "));
    let line = line.unwrap_or_else(|| panic!("{status}"));
    assert!(line.contains("outside rarely  opens 2100-01-01"), "{line}");

    // As of an instant at which it was open, it is looked at and would be repaired.
    let (code, then) = homeostat(root.path(), "dry-run closed --at 2020-01-02T12:00:00Z");
    let closed = &then["checks"][0];
    assert_eq!(
        (code, &closed["status"], &closed["skipped"]),
        (2, &"CRITICAL".into(), &false.into())
    );
    assert_eq!(closed["remediation"]["decision"], "would");
    let (_, now) = homeostat(root.path(), "dry-run closed");
    assert_eq!(now["checks"][0]["skipped"], true);

    let (code, lint) = homeostat(root.path(), "lint");
    assert_eq!(
        (code, &lint["warnings"]),
        (0, &0.into()),
        "what nothing goes by is not warned of: {lint}"
    );
    fs::write(
        root.at("rules/a.yaml"),
        RULES.replace("during: rarely", "during: past"),
    )
    .expect("written");
    let (code, lint) = homeostat(root.path(), "lint");
    assert_eq!(
        (code, &lint["complaints"][0]["code"]),
        (0, &"calendar-ends".into()),
        "{lint}"
    );
    assert_eq!(
        (
            &lint["complaints"][0]["line"],
            &lint["complaints"][0]["file"]
        ),
        (&3.into(), &"rules/a.yaml".into())
    );
    let (_, checked) = homeostat(root.path(), "check closed");
    assert_eq!(checked["checks"][0]["status"], "UNKNOWN");
    let message = checked["checks"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("its data ends on 2020-12-31"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_engine_keeps_to_a_calendar_and_takes_up_a_changed_one() {
    let root = Root::new();
    let rules = |sessions: &str| {
        format!(
            "calendars:\n  it: {{ {sessions} }}\nchecks:\n  - name: a\n    about: It is there.\n    trigger: {{ every: 100ms, during: it }}\n    probe: {{ file: {{ file: data/x }} }}\n    threshold: {{ critical: missing }}\n    message: x\n    journal: logs/a.jsonl\n"
        )
    };
    root.put(
        "rules/a.yaml",
        &rules("windows: [ { from: 2100-01-01, to: 2100-01-02 } ]"),
    );
    let live = root.start().await.expect("it starts");
    let standing = async || {
        let status = live.handle.status().await.ok()?;
        status.checks.into_iter().next()
    };
    let skipped = until(SOON, "the check to be outside", async || {
        standing().await.filter(|it| it.message == "outside it")
    })
    .await;
    assert_eq!(skipped.status.to_string(), "OK");
    assert_eq!(
        (skipped.looked, skipped.opens),
        (None, Some(4_102_444_800.0))
    );

    let mut news = live.handle.news();
    root.put("rules/a.yaml", &rules("weekly: { Mon-Sun: '00:00-24:00' }"));
    let bad = until(SOON, "a look at the opening", async || {
        standing().await.filter(|it| it.looked.is_some())
    })
    .await;
    assert_eq!(
        (bad.status.to_string().as_str(), bad.opens),
        ("CRITICAL", None)
    );
    let mut changes = None;
    while let Ok(told) = news.try_recv() {
        if let News::Reloaded { changes: told, .. } = &*told {
            changes = Some(told.clone());
        }
    }
    assert_eq!(
        changes.as_deref(),
        Some("+0 ~1 -0 checks"),
        "its hours were changed"
    );
    root.put(
        "rules/a.yaml",
        &rules("windows: [ { from: 2100-01-01, to: 2100-01-02 } ]"),
    );
    until(SOON, "the check to be outside again", async || {
        standing().await.filter(|it| it.message == "outside it")
    })
    .await;
    live.handle.stop().await.expect("it stops");
    let told = root.lines("logs/a.jsonl");
    let outside = told.iter().filter(|line| line["message"] == "outside it");
    assert_eq!(
        outside.count(),
        2,
        "one line each time it closes, not one for every slot"
    );
}

const PAGE: &str = "checks:
  - name: a
    about: It is there.
    trigger: { cron: '0 12 * * *', during: desk, quiet: maintenance }
    probe: { file: { file: data/x } }
    threshold: { critical: missing }
    message: x
";

#[test]
fn the_calendars_of_the_documentation_mean_what_it_says() {
    let page = fs::read_to_string("docs/rules.md").expect("the page is there");
    let mut blocks = page
        .split("```yaml\n")
        .filter_map(|it| it.split("```").next());
    let calendars = blocks
        .find(|it| it.starts_with("calendars:"))
        .expect("an example");
    let text = format!("defaults: {{ timezone: Asia/Tokyo }}\n{calendars}{PAGE}");
    let root = tempfile::tempdir().expect("a directory");
    let permission = Permission::new(root.path(), Settings::default()).expect("a permission");
    let sources = [("a.yaml".to_owned(), text.into_bytes().into())].into();
    let loaded = load_sources(&sources, &Default::default(), &permission, &Engine::new());
    let told: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{told:#?}");
    let outline = loaded.book.expect("a book").outline.clone();
    let says = |name: &str, at: &str| {
        let hours = outline.calendars[name].hours(Moment::parse(at).expect("an instant"));
        let until = hours.until.map(|it| it.iso()[..16].to_owned());
        format!("{:?} {}", hours.state, until.unwrap_or_default())
    };
    assert_eq!(
        says("desk", "2026-12-18T12:30:00-05:00"),
        "Closed 2026-12-18T18:00",
        "between two sessions"
    );
    assert_eq!(
        says("desk", "2026-12-24T10:00:00-05:00"),
        "Open 2026-12-24T17:00"
    );
    assert_eq!(
        says("desk", "2026-12-24T13:00:00-05:00"),
        "Closed 2026-12-28T14:00"
    );
    assert_eq!(says("desk", "2028-01-03T10:00:00-05:00"), "Unknown ");
    assert_eq!(
        says("maintenance", "2026-12-05T23:00:00-05:00"),
        "Open 2026-12-06T07:00"
    );
    assert_eq!(
        says("maintenance", "2026-12-31T00:00:00-05:00"),
        "Open 2027-01-02T05:00",
        "both days whole"
    );
    let cron = outline.checks["a"]
        .trigger
        .cron
        .as_ref()
        .expect("clock times");
    assert_eq!(cron.zone.name(), "Asia/Tokyo", "the time zone of defaults");
    assert_eq!(
        outline.checks["a"].trigger.quiet.as_deref(),
        Some("maintenance")
    );
}

#[test]
fn the_shipped_rules_load_with_their_calendars() {
    let settings = homeostat::rules::settings::load(Path::new(".")).expect("the shipped settings");
    let permission = Permission::new(Path::new("."), settings).expect("a permission");
    let loaded = load::load(
        Path::new("rules"),
        &Default::default(),
        &permission,
        &Engine::new(),
        &mut load::Cache::default(),
    );
    let told: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{told:#?}");
    let calendars = loaded.book.expect("a book").outline.calendars.clone();
    assert!(calendars.contains_key("nyse.regular") && calendars.contains_key("nyse.extended"));
}
