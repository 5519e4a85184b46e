//! Tests of `http`, each against a server of its own.

use serde_json::json;

use super::{super::testing::Bench, *};
use crate::net::testing::{Authority, Server, answer, self_signed};

const SECRET: &str = "s3cret-value";

fn look(bench: &Bench, rule: Value) -> Value {
    bench
        .look(&KIND, rule)
        .expect("a network probe never fails")
}

fn url(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.port)
}

fn echo() -> Server {
    Server::http(|request| answer("200 OK", "X-Who: me\r\n", request))
}

#[test]
fn sees_the_whole_answer() {
    let server = Server::http(|_| {
        let headers = "Content-Type: application/json\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n";
        answer("203 Fine", headers, r#"{"ok": [1]}"#)
    });
    let seen = look(&Bench::new(), json!({"url": url(&server, "/health?x=1")}));
    assert_eq!(
        (&seen["sent"], &seen["code"], &seen["error"]),
        (&json!(true), &json!(203), &json!(null))
    );
    assert_eq!(
        (&seen["json"], &seen["body"], &seen["parse_error"]),
        (&json!({"ok": [1]}), &json!("{\"ok\": [1]}"), &json!(null))
    );
    assert_eq!(seen["headers"]["set-cookie"], "a, b");
    assert_eq!(seen["address"], format!("127.0.0.1:{}", server.port));
    assert_eq!(seen["cert_days_left"], json!(null));
    assert!(seen["latency_ms"].as_f64().is_some_and(|it| it > 0.0));
    let heard = server.finish().join("");
    assert!(heard.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{heard}");
    assert!(!heard.to_lowercase().contains("accept-encoding"), "{heard}");
}

#[test]
fn a_body_that_says_it_is_json_and_is_not_tells_why() {
    let server = Server::http(|_| answer("200 OK", "Content-Type: application/json\r\n", "{"));
    let seen = look(&Bench::new(), json!({"url": url(&server, "/")}));
    assert_eq!((&seen["json"], &seen["code"]), (&json!(null), &json!(200)));
    assert!(seen["parse_error"].is_string());
    let server = Server::http(|_| answer("500 Oops", "", "it broke"));
    let seen = look(&Bench::new(), json!({"url": url(&server, "/")}));
    assert_eq!(
        (&seen["code"], &seen["parse_error"], &seen["error"]),
        (&json!(500), &json!(null), &json!(null))
    );
}

#[test]
fn sends_headers_credentials_and_a_body() {
    let server = echo();
    let bench = Bench::new().with_env("KEY", SECRET);
    let rule = json!({
        "url": url(&server, "/q"), "method": "POST",
        "headers": {"X-Key": "k ${env(\"KEY\")}"},
        "basic_auth": {"user": "bot", "password": "${env(\"KEY\")}"},
        "json": {"name": "a\"b${vars.name}", "n": "${1 + 1}", "quoted": "${vars.list[0] + \"\\\", \\\"admin\\\": true\"}", "null": null},
    });
    let seen = look(&bench, rule);
    assert_eq!(seen["code"], json!(200), "{seen}");
    let heard = server.finish().join("");
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head and a body");
    let head = head.to_lowercase();
    assert!(head.contains("x-key: k s3cret-value"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(heard.contains("Basic Ym90OnMzY3JldC12YWx1ZQ=="), "{heard}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        body,
        json!({"name": "a\"bx", "n": 2, "quoted": "a b\", \"admin\": true", "null": null}),
        "a value stays a value, whatever stands in it"
    );
}

#[test]
fn what_is_not_configured_is_not_sent() {
    let server = echo();
    let at = url(&server, "/");
    for rule in [
        json!({"url": "${env(\"HOST\")}"}),
        json!({"url": format!("{at}${{env(\"HOST\")}}")}),
        json!({"url": at, "headers": {"X-Key": "Bearer ${env(\"HOST\")}"}}),
        json!({"url": at, "basic_auth": {"user": "u", "password": "${env(\"HOST\")}"}}),
        json!({"url": at, "method": "POST", "body": "${env(\"HOST\")}"}),
        json!({"url": at, "method": "POST", "json": {"a": [{"b": "${env(\"HOST\")}"}]}}),
        json!({"url": at, "method": "POST", "json": {"a": "x ${env(\"HOST\")}"}}),
    ] {
        let seen = look(&Bench::new(), rule.clone());
        assert_eq!(
            (&seen["sent"], &seen["error"], &seen["code"]),
            (&json!(false), &json!("not configured"), &json!(null)),
            "{rule}"
        );
    }
    assert_eq!(server.finish(), [""; 0]);
}

#[test]
fn what_is_filled_in_changes_neither_head_nor_path() {
    let server = echo();
    let at = url(&server, "/a/");
    for (value, rule, said) in [
        (
            "x\r\nX-Admin: 1",
            json!({"url": at, "headers": {"X-Key": "${env(\"V\")}"}}),
            "the header `x-key` holds a line break or another control character",
        ),
        (
            "..",
            json!({"url": format!("{at}${{env(\"V\")}}")}),
            "`..` was filled in for a part of the URL's path",
        ),
        (
            "ftp://127.0.0.1/",
            json!({"url": "${env(\"V\")}"}),
            "`ftp://127.0.0.1/` is no http or https URL",
        ),
    ] {
        let seen = look(&Bench::new().with_env("V", value), rule);
        assert_eq!(
            (&seen["sent"], &seen["error"]),
            (&json!(false), &json!(said))
        );
    }
    let bench = Bench::new().with_env("V", "../b?admin=1#x\r\nX-Admin: 1");
    let seen = look(
        &bench,
        json!({"url": format!("{at}${{env(\"V\")}}?q=${{env(\"V\")}}")}),
    );
    assert_eq!(seen["code"], json!(200), "{seen}");
    let heard = server.finish();
    assert_eq!(heard.len(), 1);
    let line = heard[0].lines().next().unwrap_or_default();
    assert_eq!(
        line,
        "GET /a/..%2Fb%3Fadmin%3D1%23x%0D%0AX-Admin%3A%201?q=..%2Fb%3Fadmin%3D1%23x%0D%0AX-Admin%3A%201 HTTP/1.1"
    );
}

#[test]
fn what_is_not_allowed_is_not_sent() {
    for at in [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://0/",
    ] {
        let bench = Bench::new().with_env("V", at);
        let seen = look(&bench, json!({"url": "${env(\"V\")}"}));
        assert_eq!(seen["sent"], json!(false), "{at}");
        let error = seen["error"].as_str().expect("an error");
        assert!(error.contains("is not allowed by"), "{error}");
    }
}

#[test]
fn a_redirect_is_an_answer_unless_it_shall_be_followed() {
    let server = Server::http(|request| match request.split(' ').nth(1) {
        Some("/0") => answer("302 Found", "Location: /1\r\n", ""),
        Some("/1") => answer("301 Moved", "Location: /2\r\n", ""),
        _ => answer("200 OK", "", "there"),
    });
    let rule = |redirects: u32| json!({"url": url(&server, "/0"), "redirects": redirects, "headers": {"X-Key": "k"}});
    let seen = look(&Bench::new(), rule(0));
    assert_eq!(
        (&seen["code"], &seen["redirected_to"], &seen["error"]),
        (&json!(302), &json!("/1"), &json!(null))
    );
    let seen = look(&Bench::new(), rule(2));
    assert_eq!(
        (&seen["code"], &seen["body"], &seen["redirected_to"]),
        (&json!(200), &json!("there"), &json!(null))
    );
    let seen = look(&Bench::new(), rule(1));
    assert_eq!(
        (&seen["code"], &seen["error"]),
        (&json!(301), &json!("more than 1 redirects, the next to /2"))
    );
    let heard = server.finish();
    assert!(
        heard.iter().all(|it| it.contains("x-key: k")),
        "one origin: {heard:?}"
    );
}

#[test]
fn another_origin_is_told_nothing_and_judged_anew() {
    let other = echo();
    let to = url(&other, "/there");
    let server = Server::http(move |_| answer("307 Elsewhere", &format!("Location: {to}\r\n"), ""));
    let rule = json!({
        "url": url(&server, "/"), "redirects": 3,
        "headers": {"X-Key": SECRET, "Cookie": SECRET, "Accept": "text/plain"},
        "basic_auth": {"user": "bot", "password": SECRET},
    });
    let seen = look(&Bench::new(), rule);
    assert_eq!(seen["code"], json!(200), "{seen}");
    let heard = other.finish().join("").to_lowercase();
    assert!(heard.contains("accept: text/plain"), "{heard}");
    for header in ["x-key", "cookie", "authorization", SECRET, "referer"] {
        assert!(!heard.contains(header), "{header}: {heard}");
    }
    let rule = json!({"url": url(&server, "/"), "redirects": 3, "method": "POST", "body": SECRET});
    let error = look(&Bench::new(), rule)["error"].to_string();
    assert!(error.contains("not told the body"), "{error}");

    for to in [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ] {
        let server = Server::http(move |_| answer("302 F", &format!("Location: {to}\r\n"), ""));
        let seen = look(
            &Bench::new(),
            json!({"url": url(&server, "/"), "redirects": 1}),
        );
        let error = seen["error"].as_str().expect("an error");
        assert!(
            error.contains("is not allowed by") || error.contains("no http or https URL"),
            "{error}"
        );
        assert_eq!((&seen["sent"], &seen["code"]), (&json!(true), &json!(302)));
    }
}

#[test]
fn an_answer_has_its_bounds() {
    let server = Server::http(|_| answer("200 OK", "", &"x".repeat(5000)));
    let seen = look(
        &Bench::new(),
        json!({"url": url(&server, "/"), "max_body": "1 kB"}),
    );
    assert_eq!(
        (&seen["code"], &seen["error"]),
        (
            &json!(200),
            &json!("the answer is larger than 1000 bytes (`max_body`)")
        )
    );
    assert_eq!(seen["body"].as_str().map(str::len), Some(1000));
    let exact = look(
        &Bench::new(),
        json!({"url": url(&server, "/"), "max_body": "5 kB"}),
    );
    assert_eq!(exact["error"], json!(null));
}

#[test]
fn silence_and_noise_are_errors() {
    let silent = Server::raw(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink()); // until the other side goes
        String::new()
    });
    let rule = |server: &Server| json!({"url": url(server, "/"), "timeout": "200ms"});
    let seen = look(&Bench::new(), rule(&silent));
    assert_eq!((&seen["sent"], &seen["code"]), (&json!(true), &json!(null)));
    let port = silent.port;
    assert_eq!(
        seen["error"],
        format!("no answer from 127.0.0.1:{port} within 200ms")
    );
    for noise in [
        &b"SSH-2.0-x\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        let server = Server::http(|_| noise.to_vec());
        let seen = look(&Bench::new(), json!({"url": url(&server, "/")}));
        assert!(seen["error"].is_string(), "{seen}");
    }
    let gone = { echo().port };
    let seen = look(
        &Bench::new(),
        json!({"url": format!("http://127.0.0.1:{gone}/?key={SECRET}")}),
    );
    let error = seen["error"].as_str().expect("an error");
    assert!(
        error.contains("refused") && !error.contains(SECRET),
        "{error}"
    );
}

#[test]
fn a_certificate_is_trusted_before_anything_is_sent() {
    let authority = Authority::new();
    let bench = Bench::new();
    bench.file("data/ca.pem", &authority.pem, 0.0);
    let fine = |_: &str| answer("200 OK", "", "ok");
    let at = |server: &Server| format!("https://localhost:{}/", server.port);

    let fresh = authority.server(&["localhost"], (2026, 1, 1), (2026, 1, 20));
    let server = Server::https(fresh, fine);
    let trusting = json!({"url": at(&server), "ca": "data/ca.pem", "headers": {"X-Key": "k"}});
    let seen = look(&bench, trusting);
    assert_eq!((&seen["code"], &seen["error"]), (&json!(200), &json!(null)));
    let days = seen["cert_days_left"].as_f64().expect("known");
    assert!((13.0..14.0).contains(&days), "{days}");
    assert_eq!(server.finish().len(), 1);

    let expired = authority.server(&["localhost"], (2025, 1, 1), (2025, 12, 31));
    let server = Server::https(expired, fine);
    let mut rule = json!({"url": at(&server), "ca": "data/ca.pem"});
    let seen = look(&bench, rule.clone());
    let peer = format!("localhost:{}", server.port);
    assert_eq!(
        (&seen["code"], &seen["error"]),
        (
            &json!(null),
            &json!(format!(
                "the certificate of {peer} is not trusted: it is expired"
            ))
        )
    );
    assert!(seen["cert_days_left"].as_f64().is_some_and(|it| it < -6.0));
    rule["verify"] = json!(false);
    let seen = look(&bench, rule);
    assert_eq!((&seen["code"], &seen["error"]), (&json!(200), &json!(null)));
    assert!(seen["cert_days_left"].as_f64().is_some_and(|it| it < -6.0));
    let heard = server.finish();
    let sent: Vec<_> = heard.iter().filter(|it| !it.is_empty()).collect();
    assert_eq!(sent.len(), 1, "nothing was sent before: {heard:?}");

    let server = Server::https(
        self_signed(&["localhost"], (2025, 1, 1), (2027, 1, 1)),
        fine,
    );
    let seen = look(&bench, json!({"url": at(&server)}));
    let error = seen["error"].as_str().expect("an error");
    assert!(
        error.ends_with("is not trusted: it is self-signed"),
        "{error}"
    );
}

#[test]
fn mistakes_are_found_at_load() {
    let bench = Bench::new();
    let at = "http://127.0.0.1/";
    for (rule, codes) in [
        (json!({}), &["missing-key"][..]),
        (json!({"url": "nonsense"}), &["bad-value"]),
        (json!({"url": "ftp://127.0.0.1/"}), &["bad-value"]),
        (json!({"url": "http://u:p@127.0.0.1/"}), &["bad-value"]),
        (json!({"url": "http://${vars.name}/"}), &["bad-value"]),
        (json!({"url": "http://api.example.net/"}), &["not-allowed"]),
        (
            json!({"url": "http://api.example.net/${vars.name}"}),
            &["not-allowed"],
        ),
        (json!({"url": at, "method": "DELETE"}), &["bad-value"]),
        (json!({"url": at, "body": "x"}), &["bad-value"]),
        (
            json!({"url": at, "method": "POST", "body": "x", "json": 1}),
            &["bad-value"],
        ),
        (
            json!({"url": at, "headers": {"Content-Length": "1"}}),
            &["bad-value"],
        ),
        (json!({"url": at, "headers": {"a b": "1"}}), &["bad-value"]),
        (json!({"url": at, "headers": {"A": "1\n2"}}), &["bad-value"]),
        (
            json!({"url": at, "headers": {"A": "1", "a": "2"}}),
            &["bad-value"],
        ),
        (
            json!({"url": at, "headers": {"authorization": "1"}, "basic_auth": {"user": "u", "password": "p"}}),
            &["bad-value"],
        ),
        (json!({"url": at, "redirects": 21}), &["bad-value"]),
        (json!({"url": at, "timeout": "0s"}), &["bad-value"]),
        (json!({"url": at, "ca": "/etc/ca.pem"}), &["not-allowed"]),
        (
            json!({"url": at, "json": "${vars.nme}", "method": "POST"}),
            &["unknown-property"],
        ),
    ] {
        assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
    }
    let allowed = Bench::new().allowing_to_reach(&["api.example.net:443"]);
    let rule = json!({"url": "https://api.example.net/${vars.name}"});
    assert_eq!(allowed.codes(&KIND, rule), [""; 0]);
}

#[test]
fn a_file_of_certificates_that_cannot_be_used_is_an_error_of_the_probe() {
    let bench = Bench::new();
    bench.file("data/empty.pem", "nothing\n", 0.0);
    for (file, said) in [
        ("data/none.pem", "data/none.pem is missing"),
        ("data/empty.pem", "data/empty.pem holds no certificate"),
    ] {
        let rule = json!({"url": "https://127.0.0.1:1/", "ca": file});
        assert_eq!(bench.look(&KIND, rule), Err(said.to_owned()));
    }
}
