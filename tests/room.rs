//! The API as a whole, over a real engine: what is told of checks, repairs and rules, and what happens as a stream.

mod common;

use std::{fs, path::PathBuf, time::Duration};

use common::{
    Root, SOON,
    room::{RULES, Room, room, serve},
    until,
};
use homeostat::{
    permission::OWN,
    web::{self, socket},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_tells_how_everything_stands() {
    let room = room().await;
    room.looked().await;
    let overview = room.get("/api/overview").await;
    assert_eq!(overview["overall"], "OK");
    assert_eq!(overview["total"], 2);
    assert_eq!(
        overview["layers"],
        json!([
            {"name": "data", "total": 1, "counts": {"OK": 1, "WARNING": 0, "CRITICAL": 0, "UNKNOWN": 0}},
            {"name": "weights", "total": 1, "counts": {"OK": 1, "WARNING": 0, "CRITICAL": 0, "UNKNOWN": 0}},
        ])
    );
    let load = room.row("load").await;
    assert_eq!(
        (&load["value"], &load["recent"]),
        (&json!(2.5), &json!("O"))
    );
    assert_eq!(load["values"], json!([2.5]));
    room.root.put("data/load.json", "{\"load\": 9.5}\n");
    let row = until(SOON, "it turns", async || {
        Some(room.row("load").await).filter(|row| row["status"] == "CRITICAL")
    })
    .await;
    assert_eq!(
        (&row["recent"], &row["values"]),
        (&json!("OC"), &json!([2.5, 9.5]))
    );
    let overview = room
        .get("/api/overview?status=CRITICAL,WARNING&search=LOAD")
        .await;
    assert_eq!(
        (&overview["total"], &overview["counts"]["OK"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(overview["checks"][0]["name"], "load");
    let overview = room.get("/api/overview?layer=data&limit=0").await;
    assert_eq!(
        (&overview["total"], &overview["checks"]),
        (&json!(1), &json!([]))
    );
    for (query, why) in [
        ("status=GREEN", "no status"),
        ("limit=9999", "limit goes"),
        ("limit=x", "invalid digit"),
        ("sort=name", "unknown field"),
    ] {
        let (status, error) = room.refused(&format!("/api/overview?{query}")).await;
        assert!(status == 400 && error.contains(why), "{query}: {error}");
    }
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_told_with_its_rule_its_looks_and_its_lines() {
    let room = room().await;
    room.looked().await;
    room.root.put("data/load.json", "{\"load\": 9.5}\n");
    until(SOON, "it turns", async || {
        (room.row("load").await["status"] == "CRITICAL").then_some(())
    })
    .await;
    let page = room.get("/api/checks/load").await;
    assert_eq!(page["row"]["message"], "load 9.5");
    assert_eq!(page["needs"], json!(["weights"]));
    assert_eq!(
        page["plots"],
        json!([{"name": "value", "unit": null, "lines": [
            {"at": 9.0, "level": "critical", "side": "above"},
            {"at": 8.0, "level": "clear", "side": "above"},
            {"at": 5.0, "level": "warning", "side": "above"},
        ]}])
    );
    assert_eq!(
        page["trigger"]["text"],
        "every 1h, and when data/load.json changes"
    );
    assert!(page["trigger"]["next"].as_f64() > page["row"]["looked"].as_f64());
    let rule = &page["rule"];
    let text = rule["text"].as_str().expect("a text");
    assert!(
        text.starts_with("  - name: load\n") && text.ends_with("needs: [weights]"),
        "{text}"
    );
    let deciding = &rule["deciding"];
    let line =
        deciding["line"].as_u64().expect("a line") - rule["first_line"].as_u64().expect("a line");
    let line = text
        .lines()
        .nth(usize::try_from(line).expect("small"))
        .expect("there");
    assert!(
        line.contains(deciding["text"].as_str().expect("a text")),
        "{deciding} in {line}"
    );
    assert_eq!(page["explain"]["check"], "load");
    let page = room.get("/api/checks/weights").await;
    assert_eq!(page["needed_by"], json!(["load"]));
    assert_eq!(
        page["plots"],
        json!([{"name": "keys", "unit": null, "lines": [{"at": 5.0, "level": "critical", "side": "above"}]}])
    );
    let looks = room.get("/api/checks/load/looks").await;
    let values: Vec<&Value> = looks["looks"]
        .as_array()
        .expect("looks")
        .iter()
        .map(|it| &it["values"])
        .collect();
    assert_eq!(values, [&json!({"value": 2.5}), &json!({"value": 9.5})]);
    assert_eq!(looks["truncated"], false);
    let newest = room.get("/api/checks/load/looks?limit=1").await;
    assert_eq!(
        (
            newest["looks"].as_array().expect("looks").len(),
            &newest["truncated"]
        ),
        (1, &json!(true))
    );
    let first = looks["looks"][0]["at"].as_f64().expect("a time");
    let facts = room
        .get(&format!("/api/checks/load/facts?at={first}"))
        .await;
    assert_eq!(facts["facts"]["doc"]["load"], 2.5);
    let facts = room.get("/api/checks/weights/facts").await;
    assert_eq!(
        (&facts["let"]["keys"], &facts["status"]),
        (&json!(1), &json!("OK"))
    );
    for path in ["", "/looks", "/facts"] {
        let (status, error) = room.refused(&format!("/api/checks/weight{path}")).await;
        assert!(
            status == 404 && error.contains("did you mean `weights`"),
            "{error}"
        );
    }
    assert_eq!(room.refused("/api/checks/load/facts?at=1").await.0, 404);
    assert_eq!(
        room.refused("/api/checks/load/looks?since=soon").await.0,
        400
    );
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_told_with_its_difference_and_its_proof() {
    let room = room().await;
    room.looked().await;
    fs::remove_file(room.root.at("data/weights.json")).expect("it was there");
    let repair = until(SOON, "a proven repair", async || {
        let repairs = room.get("/api/repairs").await;
        Some(repairs[0].clone()).filter(|it| it["phase"] == "verified")
    })
    .await;
    assert_eq!(
        (&repair["check"], &repair["undoable"]),
        (&json!("weights"), &json!(true))
    );
    assert!(
        repair["steps"][0]["diff"]
            .as_str()
            .expect("a difference")
            .contains("+{\"a\": 1}")
    );
    assert!(repair["recovery_s"].as_f64().is_some_and(|it| it >= 0.0));
    let id = repair["id"].as_u64().expect("a number");
    assert_eq!(room.get(&format!("/api/attempts/{id}")).await, repair);
    let row = room.row("weights").await;
    assert_eq!(row["last_repair"]["outcome"], "verified");
    assert_eq!(row["last_repair"]["kind"], "restore_file");
    let paused = json!({"reason": "test", "by": "ann"});
    let _: Value = room
        .client
        .post("/api/pause", &paused, SOON)
        .await
        .expect("paused");
    assert_eq!(room.get("/api/overview").await["paused"]["by"], "ann");
    let undo = json!({"attempt": id});
    let _: Value = room
        .client
        .post("/api/undo", &undo, SOON)
        .await
        .expect("undone");
    let undone = room.get(&format!("/api/attempts/{id}")).await;
    assert_eq!(
        (&undone["undoable"], &undone["why_not"]),
        (&json!(false), &json!("it was undone already"))
    );
    assert_eq!(room.refused("/api/attempts/999").await.0, 404);
    assert_eq!(room.refused("/api/attempts/x").await.0, 400);
    assert_eq!(room.get("/api/repairs?check=load").await, json!([]));
    // Another start knows it all from the store.
    let Room {
        root, live, end, ..
    } = room;
    let _ = end.send(true);
    live.handle.stop().await.expect("it runs");
    live.finished().await;
    let room = serve(root).await;
    assert_eq!(
        room.row("weights").await["last_repair"]["outcome"],
        "verified"
    );
    let row = until(SOON, "the trail of the past", async || {
        let row = room.row("load").await;
        (row["recent"].as_str().map_or(0, str::len) >= 2).then_some(row)
    })
    .await;
    assert!(
        row["values"]
            .as_array()
            .expect("numbers")
            .iter()
            .all(|it| *it == 2.5),
        "{row}"
    );
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_silences_and_rule_files_are_told() {
    let room = room().await;
    room.looked().await;
    let all = room.get("/api/investigations").await;
    assert_eq!(
        (&all[0]["name"], &all[0]["last"]),
        (&json!("session"), &Value::Null)
    );
    let session = json!({"name": "session", "wait_s": 0});
    let record: Value = room
        .client
        .post("/api/investigate", &session, SOON)
        .await
        .expect("a record");
    assert_eq!(
        room.get("/api/investigations/session/records").await,
        json!([record])
    );
    assert_eq!(room.get("/api/investigations").await[0]["last"], record);
    assert_eq!(
        room.refused("/api/investigations/sessions/records").await.0,
        404
    );
    let hush = json!({"checks": ["load"], "for_s": 60, "by": "ann", "reason": "noise"});
    let _: Value = room
        .client
        .post("/api/silence", &hush, SOON)
        .await
        .expect("silenced");
    let silences = room.get("/api/silences").await;
    assert_eq!(
        (&silences[0]["by"], &silences[0]["checks"]),
        (&json!("ann"), &json!(["load"]))
    );
    assert!(silences[0]["until"].as_f64() > silences[0]["at"].as_f64());
    assert!(room.row("load").await["silenced_until"].is_number());
    assert_eq!(room.get("/api/approvals").await, json!([]));
    let rules = room.get("/api/rules").await;
    assert_eq!(
        (&rules["live"], &rules["complaints"]),
        (&json!(true), &json!([]))
    );
    let kinds: Vec<(&str, &str)> = rules["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| {
            (
                file["path"].as_str().expect("a path"),
                file["kind"].as_str().expect("a kind"),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("rules/defaults/weights.json", "default"),
            ("rules/weights.yaml", "rules")
        ]
    );
    let file = room.get("/api/rules/file?path=rules/weights.yaml").await;
    assert_eq!(
        (&file["text"], &file["hash"]),
        (&json!(RULES), &rules["files"][1]["hash"])
    );
    for path in [
        "rules/defaults/weights.json",
        "rules/../homeostat.yaml",
        "rules/x.yaml",
        "rules/.weights.yaml",
        "homeostat.yaml",
        "/etc/passwd",
        "rules//weights.yaml",
        "rules/a.rhai",
    ] {
        let encoded = web::client::encoded(path);
        let (status, error) = room
            .refused(&format!("/api/rules/file?path={encoded}"))
            .await;
        assert_eq!(status, 404, "{path}: {error}");
    }
    room.root.put(
        "rules/broken.yaml",
        "checks: [ { name: x, thershold: 1 } ]\n",
    );
    let rules = until(SOON, "the refusal", async || {
        Some(room.get("/api/rules").await).filter(|rules| rules["live"] == false)
    })
    .await;
    assert_eq!(rules["complaints"][0]["file"], "rules/broken.yaml");
    assert!(
        rules["complaints_text"]
            .as_str()
            .is_some_and(|text| text.contains("broken.yaml"))
    );
    assert!(room.get("/api/overview").await["complaints"].as_u64() > Some(0));
    room.stop().await;
}

/// A stream that is read as it comes.
struct Stream {
    stream: tokio::net::UnixStream,
    text: String,
}

impl Stream {
    async fn open(root: &Root, path: &str) -> Stream {
        let socket: PathBuf = root.at(OWN).join(socket::SOCKET);
        let mut stream = socket::connect(&socket).await.expect("it answers");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        Stream {
            stream,
            text: String::new(),
        }
    }

    /// Reads on until there is an event of this kind whose data fits.
    async fn event(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> (Option<u64>, Value) {
        until(SOON, kind, async || {
            let found = self.text.split("\n\n").find_map(|event| {
                let line = |start: &str| event.lines().find_map(|line| line.strip_prefix(start));
                let data = serde_json::from_str(line("data: ")?)
                    .ok()
                    .filter(|data| fits(data))?;
                (line("event: ") == Some(kind))
                    .then(|| (line("id: ").and_then(|id| id.parse().ok()), data))
            });
            if found.is_none() {
                let mut bytes = [0; 4096];
                let read = tokio::select! {
                    read = self.stream.read(&mut bytes) => read.expect("it goes on"),
                    () = homeostat::clock::sleep(Duration::from_millis(50)) => 0,
                };
                self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            found
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_streamed_and_given_again_to_who_comes_back() {
    let room = room().await;
    room.looked().await;
    let mut stream = Stream::open(&room.root, "/api/stream").await;
    let (_, hello) = stream.event("hello", |_| true).await;
    assert_eq!(
        (&hello["overall"], &hello["counts"]["OK"]),
        (&json!("OK"), &json!(2))
    );
    assert!(
        stream.text.contains("content-type: text/event-stream"),
        "{}",
        stream.text
    );
    room.root.put("data/load.json", "{\"load\": 7}\n");
    let (id, change) = stream.event("change", |it| it["check"] == "load").await;
    assert_eq!(
        (&change["from"], &change["to"]),
        (&json!("OK"), &json!("WARNING"))
    );
    stream
        .event("looked", |it| {
            it["checks"]
                .as_array()
                .is_some_and(|it| it.contains(&json!("load")))
        })
        .await;
    let (none, beat) = stream.event("beat", |_| true).await;
    assert_eq!((none, &beat["overall"]), (None, &json!("WARNING")));
    let since = id.expect("a number") - 1;
    let mut again = Stream::open(&room.root, &format!("/api/stream?since={since}")).await;
    let (same, _) = again.event("change", |it| it["check"] == "load").await;
    assert_eq!(same, id);
    let mut lost = Stream::open(&room.root, "/api/stream?since=1").await;
    lost.event("missed", |it| it["since"] == 1).await;
    room.stop().await;
    // The engine's end is the end of the stream.
    until(SOON, "the end of the stream", async || {
        let mut bytes = [0; 4096];
        matches!(stream.stream.read(&mut bytes).await, Ok(0) | Err(_)).then_some(())
    })
    .await;
}
