//! Tests of `sql` at a server that speaks as much of the protocol as a look needs
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>). The real one is asked in `tests/postgres.rs`.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::*;
use crate::{
    net::testing::{Authority, Server as Standin, self_signed},
    probe::{sql::KIND, testing::Bench},
};

const SECRET: &str = "s3cret-value";

/// A message: its letter, its length, its body.
fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[letter][..], &length, body].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"T")
}

fn refusal(severity: &str, code: &str, text: &str) -> Vec<u8> {
    message(
        b'E',
        format!("S{severity}\0V{severity}\0C{code}\0M{text}\0\0").as_bytes(),
    )
}

/// One column of whole numbers.
fn described(name: &str) -> Vec<u8> {
    let mut body = 1_u16.to_be_bytes().to_vec();
    body.extend(name.as_bytes());
    body.push(0);
    body.extend([0; 6]); // no table
    body.extend(23_u32.to_be_bytes());
    body.extend(4_u16.to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(1_u16.to_be_bytes());
    [message(b't', &[0, 0]), message(b'T', &body)].concat()
}

fn row(value: i32) -> Vec<u8> {
    let mut body = 1_u16.to_be_bytes().to_vec();
    body.extend(4_u32.to_be_bytes());
    body.extend(value.to_be_bytes());
    message(b'D', &body)
}

/// What the stand-in does with the query.
#[derive(Clone)]
enum Says {
    Rows(Vec<Vec<u8>>),
    Refuses(Vec<u8>),
    Nothing,
}

/// One message of the client; a text of its letter and its body.
fn heard(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).ok()?;
    Some((head[0], body))
}

/// Speaks with one client, from its greeting on. Returns what it said.
fn speak(stream: &mut (impl Read + Write), says: &Says) -> String {
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return String::new();
    }
    let mut greeting = vec![0; u32::from_be_bytes(length) as usize - 4];
    if stream.read_exact(&mut greeting).is_err() {
        return String::new();
    }
    let mut said = String::from_utf8_lossy(&greeting).into_owned();
    let hello = [
        message(b'R', &0_u32.to_be_bytes()),
        message(b'K', &[0; 8]),
        ready(),
    ];
    let mut answer = hello.concat();
    loop {
        if stream
            .write_all(&answer)
            .and_then(|()| stream.flush())
            .is_err()
        {
            return said;
        }
        let Some((letter, body)) = heard(stream) else {
            return said;
        };
        said.push_str(&format!(
            "\n{} {}",
            letter as char,
            String::from_utf8_lossy(&body)
        ));
        answer = match letter {
            b'Q' => [message(b'C', b"OK\0"), ready()].concat(),
            b'P' => message(b'1', &[]),
            b'D' => described("n"),
            b'B' => message(b'2', &[]),
            b'E' => match says {
                Says::Rows(rows) => [rows.concat(), message(b'C', b"SELECT 1\0")].concat(),
                Says::Refuses(refusal) => refusal.clone(),
                Says::Nothing => Vec::new(),
            },
            b'S' if matches!(says, Says::Nothing) && said.contains("\nE ") => Vec::new(),
            b'S' => ready(),
            b'C' => message(b'3', &[]),
            b'X' => return said,
            _ => Vec::new(),
        };
    }
}

fn server(says: Says) -> Standin {
    Standin::raw(move |mut stream| speak(&mut stream, &says))
}

/// As a server with certificates: whoever wants TLS gets it.
fn secured(config: ServerConfig) -> Standin {
    let config = Arc::new(config);
    Standin::raw(move |mut stream| {
        let mut wish = [0; 8];
        if stream.read_exact(&mut wish).is_err() || stream.write_all(b"S").is_err() {
            return String::new();
        }
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, stream);
        speak(&mut stream, &Says::Rows(vec![row(7)]))
    })
}

fn rule(server: &Standin, more: Value) -> Value {
    let mut rule = json!({
        "postgres": {"host": "localhost", "port": server.port, "user": "bot", "database": "orders"},
        "query": "SELECT n FROM t WHERE s = $1", "timeout": "3s",
    });
    let map = rule.as_object_mut().expect("a map");
    map.extend(more.as_object().cloned().unwrap_or_default());
    rule
}

fn look(server: &Standin, more: Value) -> Result<Value, String> {
    Bench::new().look(&KIND, rule(server, more))
}

#[test]
fn asks_in_a_transaction_that_only_reads() {
    let server = server(Says::Rows(vec![row(1), row(-2), row(3)]));
    let seen = look(&server, json!({"max_rows": 2})).expect("seen");
    assert_eq!(
        (&seen["sent"], &seen["error"], &seen["columns"]),
        (&json!(true), &json!(null), &json!(["n"]))
    );
    assert_eq!(
        (&seen["rows"], &seen["row"]["n"], &seen["truncated"]),
        (&json!([{"n": 1}, {"n": -2}]), &json!(1), &json!(true))
    );
    assert!(seen.get("exists").is_none(), "a server is no file");
    let heard = server.finish().join("");
    assert!(heard.contains("user\0bot\0database\0orders\0"), "{heard}");
    assert!(heard.contains("application_name\0homeostat\0"), "{heard}");
    let begun = heard
        .find("READ ONLY")
        .expect("a transaction that only reads");
    let limited = heard
        .find("SET LOCAL statement_timeout = 2")
        .expect("a limit");
    let asked = heard.find("SELECT n FROM t").expect("the query");
    assert!(begun < limited && limited < asked, "{heard}");
    assert!(
        heard.contains("Q ROLLBACK") && heard.ends_with("\nX "),
        "{heard}"
    );
}

#[test]
fn a_wrong_query_is_an_error_and_a_server_in_need_a_fact() {
    for (code, is_fact) in [
        ("42P01", false),
        ("22012", false),
        ("25006", false),
        ("57014", true),
        ("53300", true),
        ("40P01", true),
    ] {
        let refuses = refusal("ERROR", code, "so it is");
        let server = server(Says::Refuses(refuses));
        let said = format!("localhost:{} says: so it is ({code})", server.port);
        match (look(&server, json!({})), is_fact) {
            (Ok(seen), true) => {
                assert_eq!(
                    (&seen["sent"], &seen["error"], &seen["row"], &seen["count"]),
                    (&json!(true), &json!(said), &json!(null), &json!(0))
                );
                assert!(seen["latency_ms"].is_f64());
            }
            (Err(error), false) => assert_eq!(error, said),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn arguments_must_be_as_many() {
    let server = server(Says::Rows(Vec::new()));
    // the stand-in says that it takes none
    let error = look(&server, json!({"args": ["x"]})).expect_err("one too many");
    assert_eq!(error, "the query takes 0 `args`, not 1");
}

#[test]
fn nobody_silence_and_noise_are_facts() {
    let gone = { server(Says::Nothing).port };
    let fact = |seen: Result<Value, String>| {
        let seen = seen.expect("a fact");
        assert_eq!(
            (&seen["sent"], &seen["rows"]),
            (&json!(true), &json!([])),
            "{seen}"
        );
        seen["error"].as_str().expect("an error").to_owned()
    };
    let rule =
        json!({"postgres": format!("postgres://bot@127.0.0.1:{gone}/x"), "query": "SELECT 1"});
    let error = fact(Bench::new().look(&KIND, rule));
    assert!(error.contains("refused"), "{error}");

    let silent = server(Says::Nothing);
    let error = fact(look(&silent, json!({"timeout": "300ms"})));
    assert_eq!(
        error,
        format!("no answer from localhost:{} within 300ms", silent.port)
    );

    let web = Standin::http(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let error = fact(look(&web, json!({"timeout": "1s"})));
    assert!(error.starts_with("no answer from localhost:"), "{error}");

    let full = Standin::raw(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(&refusal("FATAL", "53300", "too many clients"));
        String::new()
    });
    let error = fact(look(&full, json!({})));
    assert!(error.ends_with("says: too many clients (53300)"), "{error}");
}

#[test]
fn an_answer_has_its_bounds() {
    let server = server(Says::Rows(vec![row(1); 60_000]));
    for more in [
        json!({"max_rows": 10_000, "max_size": "1 kB"}),
        json!({"max_rows": 1, "max_size": "1 kB"}),
    ] {
        let error = look(&server, more).expect_err("too large");
        assert_eq!(error, "the rows are larger than 1 kB (`max_size`)");
    }
}

#[test]
fn a_password_is_never_told() {
    let asks = Standin::raw(|mut stream| {
        let mut greeting = [0; 512];
        let _ = stream.read(&mut greeting);
        let _ = stream.write_all(&message(b'R', &3_u32.to_be_bytes()));
        let said = heard(&mut stream).map(|(_, body)| String::from_utf8_lossy(&body).into_owned());
        let _ = stream.write_all(&refusal("FATAL", "28P01", "password authentication failed"));
        said.unwrap_or_default()
    });
    let bench = Bench::new().with_env("PGPASSWORD", SECRET);
    let seen = bench
        .look(
            &KIND,
            rule(&asks, json!({"password": "${env(\"PGPASSWORD\")}"})),
        )
        .expect("a fact");
    let error = seen["error"].as_str().expect("an error");
    assert!(error.ends_with("failed (28P01)"), "{error}");
    assert!(!seen.to_string().contains(SECRET), "{seen}");
    assert_eq!(asks.heard(), [format!("{SECRET}\0")]);

    let seen = look(&asks, json!({"password": "${env(\"HOST\")}"})).expect("a fact");
    assert_eq!(
        (&seen["sent"], &seen["error"]),
        (&json!(false), &json!("not configured"))
    );
    let seen = look(&asks, json!({})).expect("a fact");
    let error = seen["error"].as_str().expect("an error");
    assert!(error.contains("password missing"), "{error}");
}

#[test]
fn what_is_not_allowed_is_not_asked() {
    let rule = json!({"postgres": "${\"postgres://bot@10.0.0.1/x\"}", "query": "SELECT 1"});
    let seen = Bench::new().look(&KIND, rule).expect("a fact");
    assert_eq!(
        (&seen["sent"], &seen["error"], &seen["latency_ms"]),
        (
            &json!(false),
            &json!("10.0.0.1:5432 is not allowed by `allow: { reach: [...] }` of homeostat.yaml"),
            &json!(null)
        )
    );
}

#[test]
fn a_certificate_is_trusted_before_anything_is_said() {
    let authority = Authority::new();
    let bench = Bench::new();
    bench.file("data/ca.pem", &authority.pem, 0.0);
    let good = || authority.server(&["localhost"], (2026, 1, 1), (2026, 1, 20));
    let server = secured(good());
    let trusting = json!({"tls": true, "ca": "data/ca.pem"});
    let seen = bench.look(&KIND, rule(&server, trusting)).expect("seen");
    assert_eq!(
        (&seen["row"], &seen["error"]),
        (&json!({"n": 7}), &json!(null))
    );

    let strange = secured(self_signed(&["localhost"], (2025, 1, 1), (2027, 1, 1)));
    let seen = look(&strange, json!({"tls": true})).expect("a fact");
    let error = seen["error"].as_str().expect("an error");
    assert!(
        error.ends_with("is not trusted: it is self-signed"),
        "{error}"
    );
    let seen = look(&strange, json!({"tls": true, "verify": false})).expect("seen");
    assert_eq!(seen["row"], json!({"n": 7}));
    let heard = strange.finish();
    let said: Vec<_> = heard.iter().filter(|it| !it.is_empty()).collect();
    assert_eq!(said.len(), 1, "nothing was said before: {heard:?}");

    // one without certificates answers N
    let plain = Standin::raw(|mut stream| {
        let _ = stream.read(&mut [0; 8]);
        let _ = stream.write_all(b"N");
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest);
        rest
    });
    let seen = look(&plain, json!({"tls": true})).expect("a fact");
    let error = seen["error"].as_str().expect("an error");
    assert!(error.contains("TLS"), "{error}");
    assert_eq!(plain.finish(), [""]);
}

#[test]
fn an_address_is_taken_apart() {
    let read = |text: &str| {
        let read = address(text)?;
        Ok::<_, String>(format!("{} {} {}", read.peer, read.user, read.database))
    };
    for (text, parts) in [
        ("postgres://bot@localhost", "localhost:5432 bot bot"),
        (
            "postgresql://b%40t@127.0.0.1:6000/my%20db",
            "127.0.0.1:6000 b@t my db",
        ),
        ("postgres://bot@[::1]:1/x", "[::1]:1 bot x"),
    ] {
        assert_eq!(read(text), Ok(parts.to_owned()));
    }
    for text in [
        "postgres://bot@",
        "postgres:///x",
        "postgres://bot@a b/x",
        "postgres://bot@%2Fvar%2Frun/x",
        "postgres://bot@localhost/x#y",
        "postgres://b%ff@localhost/x",
        "mysql://bot@localhost/x",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}
