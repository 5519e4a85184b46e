//! Who may do what over the loopback address. Every endpoint is taken from the document that the engine gives of itself, so
//! that a new one cannot be forgotten.

mod common;

use std::{fs, os::unix::fs::PermissionsExt};

use common::{
    Root,
    room::{RULES, Room, room, serve, serve_with},
};
use serde_json::{Value, json};

/// (method, path with its parts filled in, scope) of everything in the document.
async fn endpoints(room: &Room) -> Vec<(String, String, Option<String>)> {
    let document = room.get("/api/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let filled = path.replace("{name}", "load").replace("{id}", "1");
        let methods = methods.as_object().expect("methods");
        methods.iter().map(move |(method, operation)| {
            let scope = operation["x-scope"].as_str().map(str::to_owned);
            (method.to_uppercase(), filled.clone(), scope)
        })
    });
    operations.collect()
}

fn with_tokens(reading: &str) -> Root {
    let root = Root::new();
    root.put("rules/weights.yaml", RULES);
    root.put("rules/defaults/weights.json", "{}\n");
    root.put("data/weights.json", "{\"a\": 1}\n");
    root.put("data/load.json", "{\"load\": 2.5}\n");
    let mut settings = format!("api:\n  reading: {reading}\n  tokens:\n");
    for scope in ["read", "operate", "admin"] {
        let file = format!("{scope}.token");
        root.put(&file, &value(scope));
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(root.at(&file), private).expect("it is there");
        settings.push_str(&format!(
            "    - {{ name: t-{scope}, scope: {scope}, file: {file} }}\n"
        ));
    }
    root.put("homeostat.yaml", &settings);
    root
}

fn value(scope: &str) -> String {
    format!("{scope}-0123456789abcdef")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_something_wants_a_token_that_is_large_enough() {
    let room = serve(with_tokens("open")).await;
    let all = endpoints(&room).await;
    let order = ["read", "operate", "admin"];
    let mut changing = 0;
    for (method, path, scope) in &all {
        if method == "GET" {
            continue;
        }
        changing += 1;
        let needed = scope
            .as_deref()
            .expect("what changes something has a scope");
        assert_ne!(needed, "read", "{method} {path}");
        let bare = room.ask(method, path, &[], "{}").await;
        assert_eq!(bare.status, 401, "{method} {path}: {bare:?}");
        assert!(
            bare.headers.contains("www-authenticate: bearer"),
            "{bare:?}"
        );
        let error = bare.json()["error"].as_str().expect("why").to_owned();
        assert!(error.contains(&format!("scope `{needed}`")), "{error}");
        for scope in order.iter().take_while(|scope| **scope != needed) {
            let bearer = format!("Bearer {}", value(scope));
            let small = room
                .ask(method, path, &[("authorization", &bearer)], "{}")
                .await;
            assert_eq!(small.status, 403, "{method} {path} with {scope}: {small:?}");
            let error = small.json()["error"].as_str().expect("why").to_owned();
            assert!(error.contains(&format!("scope `{needed}`")), "{error}");
        }
        let bearer = format!("Bearer {}", room.token);
        let foreign: [(&[(&str, &str)], u16); 4] = [
            (
                &[
                    ("authorization", &bearer),
                    ("origin", "http://evil.example"),
                ],
                403,
            ),
            (&[("authorization", &bearer), ("origin", "null")], 403),
            (
                &[("authorization", &bearer), ("sec-fetch-site", "cross-site")],
                403,
            ),
            (&[("authorization", &bearer), ("host", "evil.example")], 421),
        ];
        for (headers, refused) in foreign {
            let answer = room.ask(method, path, headers, "{}").await;
            assert_eq!(
                answer.status, refused,
                "{method} {path} {headers:?}: {answer:?}"
            );
        }
    }
    assert!(changing >= 15, "{all:?}");
    // Nothing was done by any of that.
    let overview = room.get("/api/overview").await;
    assert_eq!(
        (&overview["paused"], &overview["silences"]),
        (&Value::Null, &json!(0))
    );
    let wrong = room
        .ask(
            "POST",
            "/api/pause",
            &[("authorization", "Bearer 0123456789abcdef0")],
            "{}",
        )
        .await;
    assert_eq!(wrong.status, 401, "{wrong:?}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_is_open_unless_it_is_said_otherwise() {
    for reading in ["open", "token"] {
        let room = serve(with_tokens(reading)).await;
        let bearer = format!("Bearer {}", value("read"));
        for (method, path, scope) in endpoints(&room).await {
            if method != "GET" || path.ends_with("/stream") {
                continue;
            }
            let bare = room.ask(&method, &path, &[], "").await;
            let open = reading == "open" || scope.is_none();
            assert_eq!(bare.status == 401, !open, "{path}: {bare:?}");
            let read = room
                .ask(&method, &path, &[("authorization", &bearer)], "")
                .await;
            assert!(![401, 403, 500].contains(&read.status), "{path}: {read:?}");
            let wrong = room
                .ask(&method, &path, &[("host", "evil.example")], "")
                .await;
            assert_eq!(wrong.status, 421, "{path}");
            for said in [
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
                "x-frame-options: deny",
                "cache-control: no-store",
            ] {
                assert!(read.headers.contains(said), "{path}: {read:?}");
            }
        }
        let stream = room.ask("GET", "/api/stream?since=x", &[], "").await;
        assert_eq!(stream.status, if reading == "open" { 400 } else { 401 });
        let who = room.ask("GET", "/api/whoami", &[], "").await.json();
        assert_eq!(
            (&who["scope"], &who["reading"]),
            (&Value::Null, &json!(reading))
        );
        let who = room.own("GET", "/api/whoami", &Value::Null).await.json();
        assert_eq!(
            (&who["name"], &who["scope"], &who["can"]["admin"]),
            (&json!("owner"), &json!("admin"), &json!(true))
        );
        room.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_recorded_under_the_name_of_the_token() {
    let room = serve(with_tokens("open")).await;
    let bearer = format!("Bearer {}", value("operate"));
    let token = [("authorization", &*bearer)];
    let paused = room
        .ask("POST", "/api/pause", &token, "{\"reason\": \"x\"}")
        .await;
    assert_eq!(paused.json()["by"], "t-operate", "{paused:?}");
    let paused = room
        .ask("POST", "/api/pause", &token, "{\"by\": \"ann\"}")
        .await;
    assert_eq!(paused.json()["by"], "ann (t-operate)", "{paused:?}");
    assert_eq!(
        room.get("/api/status").await["paused"]["by"],
        "ann (t-operate)"
    );
    // A renewed token counts at once, and the one before no longer.
    let old = room.token.clone();
    let new =
        homeostat::web::tokens::renew(&room.root.at(homeostat::permission::OWN)).expect("another");
    for (token, status) in [(old, 401), (new, 200)] {
        let bearer = format!("Bearer {token}");
        let answer = room
            .ask("POST", "/api/resume", &[("authorization", &bearer)], "")
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_the_proper_code() {
    let room = room().await;
    let large = format!("{{\"names\": [\"{}\"]}}", "x".repeat(1 << 20));
    let bearer = format!("Bearer {}", room.token);
    let token = ("authorization", &*bearer);
    let cases: [(&str, &str, &str, u16); 9] = [
        ("POST", "/api/check", "{", 400),
        ("POST", "/api/check", "{\"nams\": []}", 400),
        ("POST", "/api/check", &large, 413),
        ("POST", "/api/check", "{\"names\": [\"nobody\"]}", 404),
        (
            "POST",
            "/api/silence",
            "{\"checks\": [], \"for_s\": 0}",
            400,
        ),
        ("POST", "/api/undo", "{\"attempt\": 7}", 409),
        ("DELETE", "/api/check", "", 405),
        ("GET", "/api/check", "", 405),
        ("GET", "/api/nothing", "", 404),
    ];
    for (method, path, body, status) in cases {
        let answer = room.ask(method, path, &[token], body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{answer:?}");
        if status == 405 {
            assert!(answer.headers.contains("allow: post"), "{answer:?}");
        }
    }
    room.stop().await;
}

const SECRET: &str = "hunter2-s3cret-0123456789";

const TELLING: &str = "
checks:
  - name: load
    about: Says hunter2-s3cret-0123456789 in its rule.
    trigger: { every: 1h }
    probe: { json: { file: data/load.json } }
    let: { key: doc.key, mine: 'env(\"API_KEY\")' }
    threshold: { critical: key == mine }
    message: 'the key is ${key}'
    journal: logs/load.jsonl
    remediation:
      steps: [ { set_json: { file: data/load.json, set: { was: '${key}' } } } ]
      verify: { within: 1s }
  - name: token
    trigger: { every: 1h }
    probe: { text: { file: state/homeostat/token, patterns: { all: '(.+)' } } }
    threshold: { critical: missing }
investigations:
  - name: session
    checks: [load, token]
    journal: logs/session.jsonl
";

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_tells_a_secret() {
    let root = Root::new();
    root.put("rules/telling.yaml", TELLING);
    root.put("data/load.json", &format!("{{\"key\": \"{SECRET}\"}}\n"));
    root.put("homeostat.yaml", "env: [API_KEY]\n");
    let room = serve_with(root, &[("API_KEY", SECRET)]).await;
    common::until(common::SOON, "an attempt that ended", async || {
        let repairs = room.get("/api/repairs").await;
        repairs[0]["took_s"].is_number().then_some(())
    })
    .await;
    let secrets = [SECRET, &room.token, &SECRET.replace('-', "%2D")];
    let clean = |path: &str, text: &str| {
        for secret in secrets {
            assert!(!text.contains(secret), "{path} tells {secret}: {text}");
        }
    };
    let session = json!({"name": "session", "wait_s": 0});
    let mut marks = 0;
    for (path, body) in [
        ("/api/investigate", session),
        (
            "/api/check",
            json!({"names": ["load", "token"], "wait_s": 0}),
        ),
        ("/api/dry-run", json!({})),
        ("/api/sre/health", json!({"wait_s": 0})),
        (
            "/api/rules/dry-run",
            json!({"names": ["load"], "files": {"rules/more.yaml": format!("checks: [ {{ name: {SECRET}, {SECRET}: 1 }} ]\n")}}),
        ),
    ] {
        let reply = room.own("POST", path, &body).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        clean(path, &reply.body);
        marks += reply.body.matches("•••API_KEY•••").count();
    }
    room.root.put(
        "rules/broken.yaml",
        &format!("checks: [ {{ name: x, {SECRET}: 1 }} ]\n"),
    );
    let refused = room.own("POST", "/api/reload", &Value::Null).await;
    assert_eq!(refused.json()["live"], false, "{refused:?}");
    let mut all: Vec<String> = endpoints(&room)
        .await
        .into_iter()
        .filter(|(method, path, _)| method == "GET" && !path.ends_with("/stream"))
        .map(|(_, path, _)| path)
        .collect();
    for more in [
        "/api/checks/token",
        "/api/checks/token/facts",
        "/api/investigations/session/records",
        "/api/rules/file?path=rules/telling.yaml",
        "/api/rules/file?path=rules/broken.yaml",
        "/api/overview?search=key",
    ] {
        all.push(more.to_owned());
    }
    for path in all {
        let reply = room.own("GET", &path, &Value::Null).await;
        assert_ne!(reply.status, 500, "{path}: {reply:?}");
        clean(&path, &reply.body);
        marks += reply.body.matches("•••API_KEY•••").count();
    }
    assert!(marks > 10, "the secret would have been there: {marks}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_says_is_kept_without_secrets() {
    let root = Root::new();
    root.put("rules/telling.yaml", TELLING);
    root.put("data/load.json", "{\"key\": \"none\"}\n");
    root.put("homeostat.yaml", "env: [API_KEY]\n");
    let room = serve_with(root, &[("API_KEY", SECRET)]).await;
    let said = format!("because of {SECRET}");
    for (path, body) in [
        ("/api/pause", json!({"reason": said, "by": SECRET})),
        (
            "/api/pause",
            json!({"reason": said, "checks": ["load"], "for_s": 60}),
        ),
        (
            "/api/silence",
            json!({"reason": said, "checks": ["load"], "for_s": 60}),
        ),
    ] {
        let reply = room.own("POST", path, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    for path in [
        "/api/status",
        "/api/overview",
        "/api/silences",
        "/api/history",
    ] {
        let told = room.get(path).await.to_string();
        assert!(!told.contains(SECRET), "{path}: {told}");
    }
    let status = room.get("/api/status").await;
    assert_eq!(status["paused"]["reason"], "because of •••API_KEY•••");
    assert_eq!(status["silences"][0]["reason"], "because of •••API_KEY•••");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_nobody_does_not_mean_everybody() {
    let room = room().await;
    for (path, body) in [
        ("/api/pause", json!({"checks": []})),
        ("/api/resume", json!({"checks": []})),
        ("/api/check", json!([])),
        ("/api/check", json!([["weights"], false, 1])),
        ("/api/dry-run", json!(null)),
    ] {
        let reply = room.own("POST", path, &body).await;
        assert_eq!(reply.status, 400, "{path} {body}: {reply:?}");
    }
    assert_eq!(room.get("/api/status").await["paused"], Value::Null);
    room.stop().await;
}
