//! Values of `env("…")` are never told: the real program judges, sends, repairs and undoes with a secret, and then nothing
//! below the root, on the screen or in the log holds it, in whatever writing.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use common::Root;
use homeostat::{model::moment::Moment, store::Store};
use serde_json::Value;

/// With what JSON and URLs write otherwise.
const SECRET: &str = "hunter2/\"s3cr\u{e9}t\" value+0123456789";
const OLD: &str = "former-s3cret-0123456789";

/// Answers each request with itself, and hands it over.
fn echo() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (send, heard) = channel();
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let limit = Some(Duration::from_secs(10));
            stream.set_read_timeout(limit).expect("a socket");
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while !String::from_utf8_lossy(&request).ends_with("END") {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&chunk[..count]),
                }
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let head = format!(
                "HTTP/1.1 418 Teapot\r\nContent-Length: {}\r\nConnection: close\r\nX-Echo: ",
                request.len()
            );
            // Whoever asked may have gone.
            let echoed = [head.as_bytes(), SECRET.as_bytes(), b"\r\n\r\n", &request].concat();
            let _ = stream.write_all(&echoed);
            if send.send(text).is_err() {
                return;
            }
        }
    });
    (port, heard)
}

fn root(port: u16) -> Root {
    let root = Root::new();
    root.put(
        "homeostat.yaml",
        "env: [BOT_KEY, OLD_KEY, NOT_SET]\nallow: { run: [ '/bin/echo *', '/bin/ls *' ] }\n",
    );
    root.put("data/bot.conf", &format!("key = {OLD}\nmode = paper\n"));
    root.put("data/leak.log", &format!("started with {SECRET}\n"));
    let rules = r#"
defaults: { trigger: { every: 1h }, journal: logs/checks.jsonl }
checks:
  - name: printed
    about: A program prints it.
    probe: { command: { argv: [/bin/echo, '${env("BOT_KEY")}'] } }
    let: { said: stdout, twice: 'stdout + stdout' }
    threshold: { critical: 'said == twice', warning: 'said.len > 3' }
    message: 'it said ${said}'
    keep: { last: said }
    keep_start: { last: '"nothing"' }
    publish: { file: state/said.json, set: { said: '${said}' } }
  - name: echoed
    about: A server gives it back.
    probe:
      http:
        url: 'http://127.0.0.1:PORT/a?key=${env("BOT_KEY")}'
        method: POST
        headers: { X-Key: 'k ${env("BOT_KEY")}' }
        basic_auth: { user: bot, password: '${env("BOT_KEY")}' }
        json: { key: '${env("BOT_KEY")}', end: END }
    threshold: { critical: 'code != 200' }
    message: '${body}'
  - name: stumbles
    about: An expression that fails tells its value.
    probe: { file: { file: data/bot.conf } }
    let: { n: 'number(env("BOT_KEY"))' }
    threshold: { critical: n > 1 }
  - name: logged
    about: It stands in a file.
    probe: { text: { file: data/leak.log, patterns: { key: 'with (.*)' } } }
    threshold: { critical: 'counts.key > 0' }
    message: '${captures.key}'
    remediation:
      - - write_file: { file: data/bot.conf, body: "key = ${env(\"BOT_KEY\")}\nmode = paper\n" }
        - call_http:
            url: 'http://127.0.0.1:PORT/b/${env("BOT_KEY")}'
            headers: { X-Key: '${env("BOT_KEY")}' }
            json: { key: '${env("BOT_KEY")}', end: END }
            expect: [418]
        - run_command: { argv: [/bin/ls, '${env("BOT_KEY")}'] }
"#;
    // A body that ends with END tells the server that it is whole.
    let rules = rules.replace("PORT", &port.to_string());
    let rules = rules.replace(
        "json: { key: '${env(\"BOT_KEY\")}', end: END }",
        "body: '${env(\"BOT_KEY\")} END'",
    );
    root.put("rules/a.yaml", &rules);
    root
}

/// What a command printed, both ways.
fn say(root: &Root, line: &str) -> (i32, String) {
    let said = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .env("BOT_KEY", SECRET)
        .env("OLD_KEY", OLD)
        .env("HOMEOSTAT_LOG", "trace")
        .args(line.split(' '))
        .output()
        .expect("it runs");
    let text = [said.stdout, said.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    (said.status.code().unwrap_or(-1), text.concat())
}

/// Ways in which it could be told.
fn writings(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let inside = BASE64_STANDARD.encode(format!("bot:{secret}"));
    vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        percent.replace('+', "%20"),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
        BASE64_STANDARD
            .encode(secret)
            .trim_end_matches('=')
            .to_owned(),
        // Without what the user in front of it shares in.
        inside.get(8..inside.len() - 4).expect("long").to_owned(),
        secret.get(..16).expect("long").to_owned(),
    ]
}

fn assert_untold(what: &str, text: &str) {
    for secret in [SECRET, OLD] {
        for writing in writings(secret) {
            assert!(!text.contains(&writing), "{what} tells {writing}:\n{text}");
        }
    }
}

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn a_secret_is_used_and_never_told() {
    let (port, heard) = echo();
    let root = root(port);
    let (_, dry) = say(&root, "dry-run");
    assert_untold("dry-run", &dry);
    assert!(dry.contains("•••BOT_KEY•••"), "{dry}");
    assert!(dry.contains("would send POST"), "{dry}");
    assert_eq!(
        root.text("data/bot.conf"),
        format!("key = {OLD}\nmode = paper\n")
    );
    let asked = heard.recv().expect("the probe asked");
    assert!(
        asked.contains(&format!("k {SECRET}")),
        "the true value is sent: {asked}"
    );

    let (code, json) = say(&root, "check --json --wait 0s");
    assert_eq!(code, 2, "{json}");
    assert_untold("check --json", &json);
    assert!(json.contains("•••BOT_KEY"), "{json}");
    assert_eq!(
        root.text("data/bot.conf"),
        format!("key = {SECRET}\nmode = paper\n"),
        "a step writes the true value"
    );
    let sent: Vec<String> = heard.try_iter().collect();
    assert!(
        sent.iter()
            .any(|it| it.starts_with("POST /b/hunter2%2F%22s3cr%C3%A9t%22%20value%2B0123456789 ")),
        "{sent:?}"
    );
    for line in [
        "check --no-fix",
        "dry-run --json",
        "explain printed",
        "explain --json printed",
        "explain --json echoed",
        "explain --json stumbles",
        "explain --json logged",
        "explain logged",
        "status",
        "status --json",
        "history",
        "history --json",
        "ledger --json",
        "lint",
    ] {
        let (_, told) = say(&root, line);
        assert_untold(line, &told);
        assert!(!told.is_empty(), "{line}");
    }
    let (_, explained) = say(&root, "explain --json stumbles");
    assert!(explained.contains("•••BOT_KEY"), "{explained}");

    let (code, undone) = say(&root, "undo 1");
    assert_untold("undo", &undone);
    assert_eq!(code, 0, "{undone}");
    assert_eq!(
        root.text("data/bot.conf"),
        format!("key = {OLD}\nmode = paper\n"),
        "a before-image with a secret is put back whole"
    );

    let mut all = Vec::new();
    files(root.path(), &mut all);
    for path in all {
        let name = path
            .strip_prefix(root.path())
            .expect("below")
            .display()
            .to_string();
        if ["data/bot.conf", "data/leak.log"].contains(&name.as_str()) {
            continue;
        }
        let bytes = fs::read(&path).expect("a file");
        assert_untold(&name, &String::from_utf8_lossy(&bytes));
    }
    assert!(root.text("logs/checks.jsonl").contains("•••BOT_KEY•••"));
    assert!(root.text("state/said.json").contains("•••BOT_KEY•••"));

    // Facts and before-images are stored compressed.
    let (kept, _) = Store::open(&root.at("state/homeostat"), Moment(0)).expect("a store");
    let looks = kept
        .replay_looks(Moment(0), Moment(i64::MAX))
        .expect("looks");
    let looks: Vec<_> = looks.map(|look| look.expect("a look")).collect();
    for check in ["printed", "echoed", "stumbles", "logged"] {
        let of: Vec<_> = looks.iter().filter(|it| &*it.check == check).collect();
        let told = format!("{of:?}");
        assert_untold(check, &told);
        assert!(told.contains("•••BOT_KEY"), "{told}");
    }
    let images = kept.prepared_of(1).expect("images");
    assert!(
        !images.is_empty(),
        "what undoing needs is kept before the act"
    );
    let attempt = kept.attempt(1).expect("readable").expect("an attempt");
    let told = format!("{images:?} {attempt:?}");
    assert_untold("what undoing needs", &told);
    assert!(told.contains("•••OLD_KEY•••"), "{told}");
}
