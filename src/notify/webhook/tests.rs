//! What each receiver gets, and what its answers mean.

use super::*;
use crate::{
    net::testing::{Server, answer},
    notify::{
        Again,
        testing::{TOKEN, World, body, notice},
    },
};

fn taking(says: &'static str) -> Server {
    Server::http(move |_| answer("200 OK", "", says))
}

/// What a receiver of this style gets.
fn sent(style: &str, more: Value, notice: &Notice) -> (String, Value) {
    let world = World::new();
    let server = taking("{}");
    let mut form =
        json!({"url": format!("http://127.0.0.1:{}/hook/ops", server.port), "template": style});
    if let (Value::Object(form), Value::Object(more)) = (&mut form, more) {
        form.extend(more);
    }
    let channel = world.channel("webhook", form);
    world.send(channel.as_ref(), notice).expect("it arrives");
    let heard = server.finish().remove(0);
    let line = heard.lines().next().unwrap_or_default().to_owned();
    (line, body(&heard))
}

#[test]
fn each_receiver_gets_what_it_understands() {
    let opened = notice(NoticeKind::Opened);
    let (line, slack) = sent("slack", json!({}), &opened);
    assert_eq!(line, "POST /hook/ops HTTP/1.1");
    insta::assert_snapshot!(slack, @r##"{"text":"CRITICAL weights_file: &lt;b&gt; &amp; ü","attachments":[{"color":"#da3633","fallback":"CRITICAL weights_file: &lt;b&gt; &amp; ü","text":"Weights file is corrupted\nincident 4","mrkdwn_in":[]}]}"##);
    let (line, discord) = sent("discord", json!({}), &opened);
    assert_eq!(line, "POST /hook/ops?wait=true HTTP/1.1");
    insta::assert_snapshot!(discord, @r#"{"embeds":[{"title":"CRITICAL weights_file: <b> & ü","description":"Weights file is corrupted\nincident 4","color":14300723,"timestamp":"2026-01-06T16:30:00.000Z"}],"allowed_mentions":{"parse":[]}}"#);
    let (line, ntfy) = sent("ntfy", json!({}), &opened);
    assert_eq!(line, "POST /hook/ HTTP/1.1");
    insta::assert_snapshot!(ntfy, @r#"{"topic":"ops","title":"CRITICAL weights_file: <b> & ü","message":"Weights file is corrupted\nincident 4","priority":5,"tags":["rotating_light"],"sequence_id":"homeostat-4"}"#);
    let (line, telegram) = sent("telegram", json!({"chat": "-100"}), &opened);
    assert_eq!(line, "POST /hook/ops/sendMessage HTTP/1.1");
    insta::assert_snapshot!(telegram, @r#"{"chat_id":"-100","text":"🔴 CRITICAL weights_file: <b> & ü\nWeights file is corrupted\nincident 4","link_preview_options":{"is_disabled":true},"disable_notification":false}"#);
    let (_, teams) = sent("teams", json!({}), &opened);
    let card = &teams["attachments"][0]["content"];
    assert_eq!(card["type"], "AdaptiveCard");
    assert_eq!(card["body"][0]["text"], "CRITICAL weights_file: <b> & ü");
    assert_eq!(card["body"][1]["text"], "Weights file is corrupted");
    let (_, whole) = sent("json", json!({}), &opened);
    assert_eq!(whole, value(&opened));
    let (_, over) = sent("slack", json!({}), &notice(NoticeKind::Resolved));
    assert_eq!(over["attachments"][0]["color"], "#2ea043");
}

#[test]
fn a_body_of_ones_own_with_headers_and_secrets() {
    let world = World::new();
    let server = taking("ok");
    let channel = world.channel(
        "webhook",
        json!({
            "url": format!("http://127.0.0.1:{}/x/${{notice.kind}}?a=${{notice.title}}", server.port),
            "method": "PUT",
            "headers": {"Authorization": "Bearer ${env(\"TOKEN\")}"},
            "body": {"say": "${notice.title}!", "list": "${notice.checks}", "n": 1},
        }),
    );
    let sent = world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect("it arrives");
    assert!(
        sent.said.starts_with("answered 200 after "),
        "{}",
        sent.said
    );
    let heard = server.finish().remove(0);
    let head = heard.to_ascii_lowercase();
    assert!(
        head.starts_with("put /x/opened?a=critical%20weights_file%3a%20%3cb%3e"),
        "{heard}"
    );
    assert!(
        head.contains(&format!("authorization: bearer {TOKEN}")),
        "{heard}"
    );
    assert!(
        head.contains("idempotency-key: homeostat-17-1767717000000"),
        "{heard}"
    );
    assert!(head.contains("content-type: application/json"), "{heard}");
    assert_eq!(
        body(&heard),
        json!({"say": "CRITICAL weights_file: <b> & ü!", "list": ["weights_file", "zero_trades"], "n": 1})
    );
}

#[test]
fn discord_and_telegram_change_what_stands_and_say_anew_what_is_loud() {
    let world = World::new();
    let server = taking(r#"{"id": "m7", "result": {"message_id": 42}}"#);
    let url = format!("http://127.0.0.1:{}/hook?thread_id=5", server.port);
    let discord = world.channel("webhook", json!({"url": url, "template": "discord"}));
    let first = world
        .send(discord.as_ref(), &notice(NoticeKind::Opened))
        .expect("sent");
    assert_eq!(first.thread.as_deref(), Some("m7"));
    let say = |kind| {
        let said = world.answer(discord.as_ref(), &notice(kind), Some("m7"));
        said.expect("sent");
    };
    say(NoticeKind::Update);
    say(NoticeKind::Resolved);
    let url = format!("http://127.0.0.1:{}/bot${{env(\"TOKEN\")}}", server.port);
    let form = json!({"url": url, "template": "telegram", "chat": "7"});
    let telegram = world.channel("webhook", form);
    let first = world
        .send(telegram.as_ref(), &notice(NoticeKind::Opened))
        .expect("sent");
    assert_eq!(first.thread.as_deref(), Some("42"));
    for kind in [NoticeKind::Acknowledged, NoticeKind::Resolved] {
        world
            .answer(telegram.as_ref(), &notice(kind), Some("42"))
            .expect("sent");
    }
    let heard = server.finish();
    let lines: Vec<&str> = heard.iter().filter_map(|it| it.lines().next()).collect();
    assert_eq!(
        lines,
        [
            "POST /hook?thread_id=5&wait=true HTTP/1.1",
            "PATCH /hook/messages/m7?thread_id=5 HTTP/1.1",
            "POST /hook?thread_id=5&wait=true HTTP/1.1",
            &format!("POST /bot{TOKEN}/sendMessage HTTP/1.1"),
            &format!("POST /bot{TOKEN}/editMessageText HTTP/1.1"),
            &format!("POST /bot{TOKEN}/sendMessage HTTP/1.1"),
        ]
    );
    assert_eq!(body(&heard[4])["message_id"], 42);
    assert_eq!(body(&heard[4])["disable_notification"], true);
    assert_eq!(body(&heard[5])["reply_parameters"]["message_id"], 42);
}

#[test]
fn a_message_that_was_deleted_is_said_anew() {
    let world = World::new();
    let server = Server::http(|request| match request.starts_with("PATCH") {
        true => answer("404 Not Found", "", "{}"),
        false => answer("200 OK", "", r#"{"id": "m8"}"#),
    });
    let url = format!("http://127.0.0.1:{}/hook", server.port);
    let channel = world.channel("webhook", json!({"url": url, "template": "discord"}));
    let sent = world.answer(channel.as_ref(), &notice(NoticeKind::Update), Some("m7"));
    assert_eq!(sent.expect("sent").thread.as_deref(), Some("m8"));
    assert_eq!(
        server.finish().iter().filter(|it| !it.is_empty()).count(),
        2
    );
}

#[test]
fn a_change_that_was_taken_already_is_not_said_anew() {
    let world = World::new();
    let server = Server::http(|_| {
        let said = r#"{"ok": false, "description": "Bad Request: message is not modified"}"#;
        answer("400 Bad Request", "", said)
    });
    let url = format!("http://127.0.0.1:{}/bot7", server.port);
    let form = json!({"url": url, "template": "telegram", "chat": "7"});
    let channel = world.channel("webhook", form);
    let sent = world.answer(channel.as_ref(), &notice(NoticeKind::Update), Some("42"));
    assert_eq!(sent.expect("it stands there").thread.as_deref(), Some("42"));
    let heard = server.finish();
    assert_eq!(heard.iter().filter(|it| !it.is_empty()).count(), 1);
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let world = World::new();
    let tried = |status: &'static str, headers: &'static str| {
        let server = Server::http(move |_| answer(status, headers, "no such\nhook"));
        let url = format!("http://127.0.0.1:{}/", server.port);
        let channel = world.channel("webhook", json!({"url": url}));
        let unsent = world.send(channel.as_ref(), &notice(NoticeKind::Opened));
        unsent.expect_err("it is refused")
    };
    assert_eq!(tried("503 Busy", "").again, Again::Later);
    let wait = Again::After(Duration::from_secs(120));
    assert_eq!(tried("429 Slow", "Retry-After: 120\r\n").again, wait);
    let gone = tried("404 Not Found", "");
    assert_eq!(gone.again, Again::Never);
    assert!(gone.why.ends_with(": no such hook"), "{}", gone.why);
    let moved = tried("302 Found", "Location: http://127.0.0.1:1/x\r\n");
    assert_eq!(moved.again, Again::Never);
    assert!(
        moved
            .why
            .contains("a redirect to http://127.0.0.1:1/x, which is not followed"),
        "{}",
        moved.why
    );
    let port = taking("").port;
    let channel = world.channel(
        "webhook",
        json!({"url": format!("http://127.0.0.1:{port}/")}),
    );
    let down = world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect_err("nobody");
    assert_eq!(down.again, Again::Later);
}

#[test]
fn what_is_not_configured_or_not_allowed_is_sent_nowhere() {
    let mut world = World::new();
    let opened = notice(NoticeKind::Opened);
    let channel = world.channel("webhook", json!({"url": "${env(\"UNSET\")}"}));
    let unsent = world
        .send(channel.as_ref(), &opened)
        .expect_err("there is no URL");
    assert_eq!(unsent.again, Again::Never);
    assert!(unsent.why.contains("not configured"), "{}", unsent.why);
    assert_eq!(channel.whom(), "a URL of the environment");
    world.set("ELSEWHERE", "http://10.1.2.3/secret-path-of-hook");
    let channel = world.channel("webhook", json!({"url": "${env(\"ELSEWHERE\")}"}));
    let unsent = world
        .send(channel.as_ref(), &opened)
        .expect_err("not allowed");
    assert_eq!(unsent.again, Again::Never);
    assert!(!unsent.why.contains("secret-path"), "{}", unsent.why);
}

#[test]
fn mistakes_are_found_at_load() {
    let world = World::new();
    let at = "http://127.0.0.1/hook";
    let wrong = |form: Value| match world.built("webhook", form.clone()) {
        Ok(_) => panic!("nothing is wrong with {form}"),
        Err(mistakes) => mistakes.join("; "),
    };
    for (form, told) in [
        (json!({}), "missing-key: `url` is missing"),
        (
            json!({"url": "nonsense"}),
            "bad-value: `nonsense` is no URL",
        ),
        (json!({"url": "http://api.example.net/x"}), "not-allowed"),
        (json!({"url": "http://${notice.title}/x"}), "bad-value"),
        (json!({"url": at, "tempalte": "slack"}), "unknown-key"),
        (json!({"url": at, "template": "irc"}), "bad-value"),
        (
            json!({"url": at, "template": "telegram"}),
            "Telegram needs the `chat`",
        ),
        (json!({"url": at, "chat": "1"}), "`chat` goes with"),
        (json!({"url": at, "method": "PUT"}), "the method goes with"),
        (
            json!({"url": at, "body": {}, "template": "slack"}),
            "or `body` does",
        ),
        (
            json!({"url": at, "headers": {"Upgrade": "x"}}),
            "set by the connection",
        ),
        (json!({"url": at, "body": "${notice.titel}"}), "titel"),
        (
            json!({"url": at, "timeout": "2h"}),
            "a notice cannot take 2h",
        ),
        (json!({"url": at, "ca": "/etc/shadow"}), "not-allowed"),
    ] {
        let said = wrong(form.clone());
        assert!(said.contains(told), "{form}: {said}");
    }
}
