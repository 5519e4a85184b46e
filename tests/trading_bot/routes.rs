//! What the bot and its broker answer over HTTP, on a free loopback port; and the command line.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::{
    Desk, OPENING,
    bot::{Bot, server},
    instant, signals, with,
};

struct Server {
    desk: Desk,
    bot: Arc<Mutex<Bot>>,
    base: String,
    client: Client,
}

impl Server {
    async fn start() -> Server {
        let mut desk = Desk::new();
        let options = crate::Options {
            market: crate::Market::Nyse,
        };
        let bot = std::mem::replace(&mut desk.bot, Bot::new(desk.dir.path(), options));
        let bot = Arc::new(Mutex::new(bot));
        let now = Arc::new(|| instant(OPENING) + TimeDelta::minutes(5));
        let router = server::router(Arc::clone(&bot), now);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().expect("a client");
        Server {
            desk,
            bot,
            base,
            client,
        }
    }

    async fn get(&self, path: &str, named: bool) -> (StatusCode, Value) {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if named {
            request = request
                .header("APCA-API-KEY-ID", "k")
                .header("APCA-API-SECRET-KEY", "s");
        }
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn post(&self, body: String) -> (StatusCode, Value) {
        let request = self
            .client
            .post(format!("{}/mock_signal", self.base))
            .body(body);
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    fn cycle(&self) {
        self.bot.lock().expect("the bot").cycle(instant(OPENING));
    }
}

#[tokio::test]
async fn health() {
    let server = Server::start().await;
    let (status, body) = server.get("/health", false).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({"status": "starting", "cycle": 0, "last_cycle": null, "market_open": true, "last_error": null})
    );
    server.cycle();
    let (_, body) = server.get("/health", false).await;
    assert_eq!(
        body,
        json!({"status": "ok", "cycle": 1, "last_cycle": OPENING, "market_open": true, "last_error": null})
    );
    server.desk.write("data/scoring.json", "{");
    server.cycle();
    let (_, body) = server.get("/health", false).await;
    assert_eq!(
        (&body["status"], &body["cycle"]),
        (&json!("degraded"), &json!(2))
    );
    assert!(
        body["last_error"]
            .as_str()
            .expect("a text")
            .starts_with("data/scoring.json: ")
    );
}

#[tokio::test]
async fn a_mock_signal_is_answered_and_leaves_no_trace() {
    let server = Server::start().await;
    let (perfect, ordinary) = signals();
    let (status, body) = server.post(perfect.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (
            &body["score"],
            &body["threshold"],
            &body["enter"],
            &body["decision"],
            &body["reason"]
        ),
        (
            &json!(5.476),
            &json!(2.7),
            &json!(true),
            &json!("signal"),
            &json!("clean")
        )
    );
    assert!((body["freshness"].as_f64().expect("a number") - 0.8948).abs() < 0.0001);
    assert_eq!(body["components"]["flow"], 2.28);
    let enriched = body["enriched"].as_array().expect("a list");
    assert!(enriched.contains(&json!("sentiment")) && !enriched.contains(&json!("congress")));

    let named = with(
        &ordinary,
        json!({"symbol": "AAPL", "ftd": {"interest_pct": 5}, "age_min": 70}),
    );
    let (_, body) = server.post(named.to_string()).await;
    assert_eq!(
        (&body["enter"], &body["decision"]),
        (&json!(false), &json!("rejected"))
    );
    assert!(
        body["enriched"]
            .as_array()
            .expect("a list")
            .contains(&json!("shorts"))
    );
    for file in [
        "data/uw_attribution.jsonl",
        "data/live_orders.jsonl",
        "logs/run.jsonl",
        "state/position_metadata.json",
    ] {
        assert!(
            !server.desk.root().join(file).exists() || server.desk.text(file).contains("_meta"),
            "{file}"
        );
    }
}

#[tokio::test]
async fn toxicity_and_age_keep_a_good_score_out() {
    let server = Server::start().await;
    let (perfect, _) = signals();
    let (_, body) = server
        .post(with(&perfect, json!({"toxicity": 0.95})).to_string())
        .await;
    assert_eq!(
        (&body["enter"], &body["reason"]),
        (&json!(false), &json!("toxicity 0.95 above 0.9"))
    );
    server
        .desk
        .write("data/entry_thresholds.json", r#"{"base": 0.5}"#);
    let (_, body) = server
        .post(with(&perfect, json!({"age_min": 60})).to_string())
        .await;
    assert_eq!(
        (&body["enter"], &body["reason"]),
        (&json!(false), &json!("freshness 0.264 below 0.3"))
    );
}

#[tokio::test]
async fn a_body_that_is_no_signal_is_refused_with_its_reason() {
    let server = Server::start().await;
    for (body, reason) in [
        ("", "the body is no JSON"),
        ("[1]", "a signal is an object"),
        ("{}", "age_min is missing"),
        (r#"{"age_min": "5"}"#, "age_min is no number"),
        (r#"{"age_min": -5}"#, "age_min is no number"),
        (r#"{"age_min": 5, "symbol": 7}"#, "symbol is no text"),
    ] {
        let (status, answer) = server.post(body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer["error"]
                .as_str()
                .expect("a text")
                .starts_with(reason),
            "{answer}"
        );
    }
    // Fields of the wrong kind make a signal that cannot be scored, or one that scores little: never an end.
    for signal in [
        json!({"age_min": 5, "toxicity": "much"}),
        json!({"age_min": 1e300, "dark_pool": 7}),
    ] {
        let (status, answer) = server.post(signal.to_string()).await;
        assert_eq!(
            (status, &answer["enter"]),
            (StatusCode::OK, &json!(false)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_broker() {
    let server = Server::start().await;
    for path in ["/v2/account", "/v2/positions", "/v2/clock"] {
        let (status, body) = server.get(path, false).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(body["code"].is_u64() && body["message"].is_string());
    }
    let (_, account) = server.get("/v2/account", true).await;
    assert_eq!(
        (&account["status"], &account["equity"]),
        (&json!("ACTIVE"), &json!("51234.5"))
    );
    assert!(
        account["id"].is_string()
            && account["cash"] == "51234.5"
            && account["buying_power"] == "102469"
    );
    server.cycle();
    let (_, positions) = server.get("/v2/positions", true).await;
    let rows = positions.as_array().expect("a list");
    assert_eq!(
        rows.len(),
        server.desk.lines("data/live_orders.jsonl").len()
    );
    for row in rows {
        assert!(row["symbol"].is_string() && row["qty"] == "10");
        assert!(row["side"] == "long" || row["side"] == "short");
        let price: f64 = row["avg_entry_price"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a number");
        let value: f64 = row["market_value"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a number");
        assert!((value.abs() - 10.0 * price).abs() < 0.01);
    }
    let (_, clock) = server.get("/v2/clock", true).await;
    assert_eq!(
        clock,
        json!({"timestamp": "2026-01-06T14:35:00Z", "is_open": true,
            "next_open": "2026-01-07T14:30:00Z", "next_close": "2026-01-06T21:00:00Z"})
    );
    server.desk.breaks("positions");
    let (_, adrift) = server.get("/v2/positions", true).await;
    assert_ne!(adrift, positions);
    server.desk.breaks("broker_down");
    let (status, _) = server.get("/v2/account", true).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = server.get("/health", false).await;
    assert_eq!(status, StatusCode::OK, "the bot itself answers");
}

#[tokio::test]
async fn a_slow_broker_answers_late_and_only_the_broker() {
    let server = Server::start().await;
    server.desk.write(
        "state/outside.json",
        r#"{"broker_slow": {"latency_ms": 150}}"#,
    );
    let watch = homeostat::clock::Stopwatch::new();
    let (status, _) = server.get("/v2/account", true).await;
    assert_eq!(status, StatusCode::OK);
    assert!(watch.elapsed().as_millis() >= 150);
    server.desk.breaks("broker_slow");
    assert_eq!(
        crate::bot::outside::Outside::read(server.desk.root()).broker_latency_ms,
        2500
    );
    let (_, health) = server.get("/health", false).await;
    assert_eq!(health["status"], "starting");
}

/// The program itself, built beside the tests as every example is.
fn program() -> Option<Command> {
    let tests = std::env::current_exe().ok()?;
    let path = tests.parent()?.parent()?.join("examples/trading_bot");
    path.exists().then(|| Command::new(path))
}

#[test]
fn the_program_breaks_mends_runs_and_refuses() {
    let Some(mut laid_out) = program() else {
        panic!("no example was built beside the tests: `cargo build --example trading_bot` does");
    };
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().to_str().expect("a path");
    let run = |command: &mut Command, arguments: &[&str]| {
        let output = command
            .args(["--root", root])
            .args(arguments)
            .output()
            .expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let program = || program().expect("it was there");
    let (code, _, told) = run(&mut program(), &["--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("--mend all"), "{told}");
    let (code, told, _) = run(&mut laid_out, &["--mend", "all"]);
    assert_eq!(code, Some(0));
    assert!(told.contains("data/bot/main.py as shipped"), "{told}");
    let quick = [
        "--listen",
        "127.0.0.1:0",
        "--market",
        "open",
        "--cycles",
        "2",
        "--period",
        "10ms",
    ];
    let (code, told, errors) = run(&mut program(), &quick);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        lines[0].starts_with("listening on http://127.0.0.1:")
            && lines[2].contains(" open  6 scored, mean ")
    );
    let (code, told, _) = run(&mut program(), &["--break", "weights", "--break", "lock"]);
    assert_eq!(code, Some(0));
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(!dir.path().join("data/uw_weights.json").exists());
    let (code, _, told) = run(
        &mut program(),
        &["--mend", "weights", "--break", "nonsense"],
    );
    assert_eq!(code, Some(64));
    assert!(told.contains("weights, thresholds, fields"), "{told}");
    assert!(
        !dir.path().join("data/uw_weights.json").exists(),
        "nothing was done"
    );
    let (code, _, _) = run(&mut program(), &["--period", "0s"]);
    assert_eq!(code, Some(64));
}
