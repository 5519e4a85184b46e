//! `/metrics` over a real engine: names, kinds, and that the text is what the formats ask for.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::room::{Reply, Room, room};

async fn scrape(room: &Room, accept: &str) -> Reply {
    let reply = room.ask("GET", "/metrics", &[("accept", accept)], "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_clean_and_count() {
    let room = room().await;
    room.looked().await;
    std::fs::remove_file(room.root.at("data/weights.json")).expect("it was there");
    common::until(common::SOON, "a counted repair", async || {
        let text = scrape(&room, "*/*").await.body;
        text.contains("homeostat_repairs_total{check=\"weights\",outcome=\"verified\"} 1\n")
            .then_some(())
    })
    .await;
    let open = scrape(&room, "application/openmetrics-text; version=1.0.0").await;
    assert!(
        open.headers
            .contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.body.ends_with("\n# EOF\n") && open.body.matches("# EOF").count() == 1);
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut families = Vec::new();
    let mut samples = BTreeSet::new();
    for line in open.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(kinds.insert(name, kind).is_none(), "{name} twice");
            assert!(name.starts_with("homeostat_"), "{name}");
            families.push(name);
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').expect("a unit");
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
        } else if !line.starts_with('#') {
            let (key, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            assert!(samples.insert(key), "{key} twice");
            let family = families.last().expect("a family");
            let own = key
                .strip_prefix(family)
                .unwrap_or_else(|| panic!("{key} in {family}"));
            let suffix = own.split('{').next().expect("a suffix");
            let fits: &[&str] = match kinds[family] {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                kind => panic!("{kind}"),
            };
            assert!(fits.contains(&suffix), "{line}");
        }
    }
    for family in [
        "homeostat_build",
        "homeostat_check_status",
        "homeostat_check_duration_seconds",
        "homeostat_check_looks",
        "homeostat_look_duration_seconds",
        "homeostat_lateness_seconds",
        "homeostat_missed_slots",
        "homeostat_repairs",
        "homeostat_repairs_held",
        "homeostat_attempts_open",
        "homeostat_proposals_waiting",
        "homeostat_reloads",
        "homeostat_rules_live",
        "homeostat_rules_complaints",
        "homeostat_paused",
        "homeostat_storm",
        "homeostat_silences",
        "homeostat_queue_length",
        "homeostat_streams",
        "homeostat_http_requests",
    ] {
        assert!(
            kinds.contains_key(family),
            "{family} is gone: whoever scrapes it misses it"
        );
    }
    for sample in [
        "homeostat_check_status{check=\"load\",status=\"OK\"} 1",
        "homeostat_check_status{check=\"load\",status=\"CRITICAL\"} 0",
        "homeostat_rules_live 1",
        "homeostat_paused 0",
        "homeostat_queue_length{queue=\"store\"} ",
        "homeostat_http_requests_total{code=\"200\"} ",
    ] {
        assert!(open.body.contains(sample), "{sample}: {}", open.body);
    }
    let classic = scrape(&room, "text/plain").await;
    assert!(
        classic
            .headers
            .contains("content-type: text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(!classic.body.contains("# EOF") && !classic.body.contains("# UNIT"));
    assert!(
        classic
            .body
            .contains("# TYPE homeostat_repairs_total counter\n")
    );
    room.stop().await;
}
