//! `/metrics`: what Prometheus and its kin scrape. Names are a contract: add families, never rename one.
//!
//! Counters count from the start of the process. The loop is asked once for its numbers; the text is made elsewhere.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use super::{
    api::Api,
    checks::broke_off,
    endpoint::Endpoint,
    exposition::{Exposition, Format, Kind},
    refusal::Refusal,
};
use crate::{
    engine::{
        measures::Measures,
        pulse::{CLASSES, Pulse},
    },
    model::status::Status,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/metrics", show)
            .is("metrics", "Metrics in OpenMetrics 1.0, or in the text format of Prometheus for whoever asks for `text/plain`.")
            .text(
                "application/openmetrics-text; version=1.0.0; charset=utf-8, text/plain; version=0.0.4; charset=utf-8",
                "The metrics.",
            ),
    ]
}

async fn show(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Refusal> {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let format = Format::of(accept);
    let measures = api.handle.measures().await?;
    let made = tokio::task::spawn_blocking(move || {
        let mut out = Exposition::new(format);
        of_checks(&mut out, &measures);
        of_engine(&mut out, &measures);
        of_notices(&mut out, &measures);
        of_sums(&mut out, api.handle.pulse());
        of_api(&mut out, &api);
        out.finish()
    });
    let text = made.await.map_err(broke_off)?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

fn of_checks(out: &mut Exposition, measures: &Measures) {
    let help = "Which status counts for a check: 1 for that one, 0 for the others.";
    let mut family = out.family("homeostat_check_status", Kind::Gauge, None, help);
    for check in &measures.checks {
        for status in Status::ALL {
            let labels = [("check", &*check.name), ("status", word(status))];
            family.sample(&labels, f64::from(u8::from(check.status == status)));
        }
    }
    let help = "How long the last look at a check took.";
    let name = "homeostat_check_duration_seconds";
    let mut family = out.family(name, Kind::Gauge, Some("seconds"), help);
    for check in &measures.checks {
        if let Some(took) = check.took_s {
            family.sample(&[("check", &check.name)], took);
        }
    }
    let help = "Looks at a check since the engine started.";
    let mut family = out.family("homeostat_check_looks", Kind::Counter, None, help);
    for check in &measures.checks {
        family.sample(&[("check", &check.name)], check.looks as f64);
    }
}

/// As every other output writes it.
fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::Warning => "WARNING",
        Status::Critical => "CRITICAL",
        Status::Unknown => "UNKNOWN",
    }
}

fn of_engine(out: &mut Exposition, measures: &Measures) {
    let version = env!("CARGO_PKG_VERSION");
    out.family("homeostat_build", Kind::Info, None, "The program.")
        .sample(&[("version", version)], 1.0);
    let gauges: [(&str, Option<&str>, &str, f64); 11] = [
        (
            "homeostat_lateness_seconds",
            Some("seconds"),
            "How late the latest of what was due was begun, within the last minute.",
            measures.lateness_s,
        ),
        (
            "homeostat_checks",
            None,
            "Checks of the rules that run.",
            measures.checks.len() as f64,
        ),
        (
            "homeostat_attempts_open",
            None,
            "Repairs that are under way or wait for a person.",
            measures.attempts_open as f64,
        ),
        (
            "homeostat_proposals_waiting",
            None,
            "Repairs that wait for a person to approve them.",
            measures.proposals as f64,
        ),
        (
            "homeostat_rules_live",
            None,
            "1 when the rules on disk are those that run, 0 when they were refused.",
            f64::from(u8::from(measures.complaints == 0)),
        ),
        (
            "homeostat_rules_complaints",
            None,
            "Complaints about the rules on disk, when they were refused.",
            measures.complaints as f64,
        ),
        (
            "homeostat_paused",
            None,
            "1 while no repair starts because somebody paused them.",
            f64::from(u8::from(measures.paused)),
        ),
        (
            "homeostat_storm",
            None,
            "1 while no repair starts because so many checks turned bad together.",
            f64::from(u8::from(measures.storm)),
        ),
        (
            "homeostat_silences",
            None,
            "Silences in force.",
            measures.silences as f64,
        ),
        (
            "homeostat_incidents_open",
            None,
            "Incidents that are open.",
            measures.incidents as f64,
        ),
        (
            "homeostat_overall",
            None,
            "The worst status of all checks as monitoring plugins number it: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
            f64::from(Status::worst(measures.checks.iter().map(|check| check.status)).exit_code()),
        ),
    ];
    for (name, unit, help, value) in gauges {
        out.family(name, Kind::Gauge, unit, help).sample(&[], value);
    }
    let help = "Slots of checks that passed without a look.";
    out.family("homeostat_missed_slots", Kind::Counter, None, help)
        .sample(&[], measures.missed_slots as f64);
    let help = "What waits to be written or sent, by where it waits.";
    let mut family = out.family("homeostat_queue_length", Kind::Gauge, None, help);
    for (queue, length) in &measures.queues {
        family.sample(&[("queue", queue)], *length as f64);
    }
    let help = "What was lost because it could not be written for too long.";
    let mut family = out.family("homeostat_records_lost", Kind::Counter, None, help);
    for (queue, lost) in &measures.lost {
        family.sample(&[("queue", queue)], *lost as f64);
    }
}

fn of_notices(out: &mut Exposition, measures: &Measures) {
    let help = "Notices by what became of them.";
    let mut family = out.family("homeostat_notices", Kind::Counter, None, help);
    for notifier in &measures.notifiers {
        for (outcome, count) in [
            ("sent", notifier.sent),
            ("failed", notifier.failed),
            ("dropped", notifier.dropped),
        ] {
            let labels = [("notifier", &*notifier.name), ("outcome", outcome)];
            family.sample(&labels, count as f64);
        }
    }
    let help = "Notices that wait to be sent, or to be sent again.";
    let mut family = out.family("homeostat_notices_waiting", Kind::Gauge, None, help);
    for notifier in &measures.notifiers {
        family.sample(&[("notifier", &notifier.name)], notifier.waiting as f64);
    }
    let help = "Incidents that a notifier is not told of now: silenced, quiet, acknowledged or over its limit.";
    let mut family = out.family("homeostat_incidents_muted", Kind::Gauge, None, help);
    for notifier in &measures.notifiers {
        family.sample(&[("notifier", &notifier.name)], notifier.muted as f64);
    }
}

fn of_sums(out: &mut Exposition, pulse: &Pulse) {
    let looks = pulse.looks();
    let help = "How long looks took, of all checks.";
    let name = "homeostat_look_duration_seconds";
    out.family(name, Kind::Histogram, Some("seconds"), help)
        .histogram(&CLASSES, &looks.classes, looks.seconds);
    let help = "Repairs that ended, by how.";
    let mut family = out.family("homeostat_repairs", Kind::Counter, None, help);
    for ((check, outcome), count) in pulse.repairs() {
        family.sample(&[("check", &check), ("outcome", outcome)], count as f64);
    }
    let help = "How often a guard began to hold a repair back.";
    let mut family = out.family("homeostat_repairs_held", Kind::Counter, None, help);
    for (by, count) in pulse.held() {
        family.sample(&[("by", by)], count as f64);
    }
    let help = "How often rules on disk were taken over, or refused.";
    let (taken, refused) = pulse.reloads();
    let mut family = out.family("homeostat_reloads", Kind::Counter, None, help);
    family.sample(&[("result", "taken")], taken as f64);
    family.sample(&[("result", "refused")], refused as f64);
}

fn of_api(out: &mut Exposition, api: &Api) {
    let help = "Streams that are open.";
    out.family("homeostat_streams", Kind::Gauge, None, help)
        .sample(&[], api.hub.streams() as f64);
    let help = "Streams that were ended because their reader was too slow.";
    out.family("homeostat_streams_dropped", Kind::Counter, None, help)
        .sample(&[], api.hub.dropped() as f64);
    let help = "Answers of the API, by their code.";
    let mut family = out.family("homeostat_http_requests", Kind::Counter, None, help);
    for (code, count) in api.codes.all() {
        family.sample(&[("code", &code.to_string())], count as f64);
    }
}
