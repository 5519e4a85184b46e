//! Tests of `dns`, against a server the test makes: UDP and TCP on one port of loopback.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_proto::{
    op::{MessageType, OpCode},
    rr::rdata,
};
use serde_json::json;

use super::{super::testing::Bench, *};

struct Resolver {
    port: u16,
    asked: Arc<AtomicUsize>,
    over_tcp: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// A resolver; `answer` gets the question and whether it came over TCP, and gives no answer by giving none.
fn resolver(
    answer: impl Fn(&Message, bool) -> Option<Message> + Send + Sync + 'static,
) -> Resolver {
    let answer = Arc::new(answer);
    // One port for both: what TCP gives must be free for UDP too.
    let (tcp, udp) = (0..100)
        .find_map(|_| {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
            Some((tcp, udp))
        })
        .expect("a port");
    let made = Resolver {
        port: udp.local_addr().expect("an address").port(),
        asked: Arc::default(),
        over_tcp: Arc::default(),
        ended: Arc::default(),
    };
    let beat = Some(Duration::from_millis(50));
    udp.set_read_timeout(beat).expect("a socket");
    tcp.set_nonblocking(false).expect("a socket");
    let (asked, ended, speak) = (made.asked.clone(), made.ended.clone(), answer.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while !ended.load(Ordering::SeqCst) {
            let Ok((count, from)) = udp.recv_from(&mut buffer) else {
                continue;
            };
            asked.fetch_add(1, Ordering::SeqCst);
            let question = Message::from_vec(&buffer[..count]).expect("a question");
            if let Some(reply) = speak(&question, false) {
                // A stranger's answer first: it must be passed over.
                let mut other = reply.clone();
                other.metadata.id ^= 1;
                other.metadata.response_code = ResponseCode::YXDomain;
                let other = other.to_vec().expect("bytes");
                udp.send_to(&other, from).expect("sent");
                udp.send_to(&reply.to_vec().expect("bytes"), from)
                    .expect("sent");
            }
        }
    });
    let over_tcp = made.over_tcp.clone();
    std::thread::spawn(move || {
        // It ends with the process; nobody connects any more.
        for stream in tcp.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut buffer = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut buffer).is_err() {
                continue;
            }
            over_tcp.fetch_add(1, Ordering::SeqCst);
            let question = Message::from_vec(&buffer).expect("a question");
            if let Some(reply) = answer(&question, true) {
                let bytes = reply.to_vec().expect("bytes");
                let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
                let _ = stream.write_all(&length); // whoever asked may have gone
                let _ = stream.write_all(&bytes);
            }
        }
    });
    made
}

fn reply(question: &Message, code: ResponseCode, records: Vec<Record>) -> Message {
    let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.response_code = code;
    reply.add_queries(question.queries.clone());
    reply.add_answers(records);
    reply
}

fn name(text: &str) -> Name {
    let mut name = Name::from_utf8(text).expect("a name");
    name.set_fqdn(true);
    name
}

fn record(of: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(of), ttl, data)
}

fn a(of: &str, ttl: u32, last: u8) -> Record {
    record(of, ttl, RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, last))))
}

fn alias(of: &str, to: &str) -> Record {
    record(of, 60, RData::CNAME(rdata::CNAME(name(to))))
}

fn look(resolver: &Resolver, rule: Value) -> Value {
    let mut rule = rule;
    rule["server"] = json!(format!("127.0.0.1:{}", resolver.port));
    Bench::new()
        .look(&KIND, rule)
        .expect("a network probe never fails")
}

fn ok(records: impl Fn() -> Vec<Record> + Send + Sync + 'static) -> Resolver {
    resolver(move |question, _| Some(reply(question, ResponseCode::NoError, records())))
}

#[test]
fn sees_addresses_and_the_names_that_lead_there() {
    let server = ok(|| {
        vec![
            alias("www.example.net", "web.example.net"),
            a("web.example.net", 300, 1),
            a("web.example.net", 60, 2),
            a("other.example.net", 1, 9),
        ]
    });
    let seen = look(&server, json!({"name": "www.example.net"}));
    assert_eq!(
        (&seen["sent"], &seen["code"], &seen["error"]),
        (&json!(true), &json!("NOERROR"), &json!(null))
    );
    assert_eq!(seen["addresses"], json!(["192.0.2.1", "192.0.2.2"]));
    assert_eq!(seen["records"], seen["addresses"]);
    assert_eq!(
        (&seen["aliases"], &seen["ttl"]),
        (&json!(["web.example.net"]), &json!(60))
    );
    assert_eq!(seen["server"], format!("127.0.0.1:{}", server.port));
    assert!(seen["latency_ms"].is_f64());
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn sees_records_of_every_type() {
    let data = |of: &str| match of {
        "AAAA" => RData::AAAA(rdata::AAAA("2001:db8::1".parse().expect("an address"))),
        "MX" => RData::MX(rdata::MX::new(10, name("mail.example.net"))),
        "TXT" => RData::TXT(rdata::TXT::new(vec![
            "v=spf1 ".to_owned(),
            "-all".to_owned(),
        ])),
        "NS" => RData::NS(rdata::NS(name("ns1.example.net"))),
        "SRV" => RData::SRV(rdata::SRV::new(1, 2, 5060, name("sip.example.net"))),
        "CNAME" => RData::CNAME(rdata::CNAME(name("web.example.net"))),
        _ => RData::PTR(rdata::PTR(name("host.example.net"))),
    };
    for (of, asked, wanted) in [
        ("AAAA", "example.net", "2001:db8::1"),
        ("MX", "example.net", "10 mail.example.net"),
        ("TXT", "example.net", "v=spf1 -all"),
        ("NS", "example.net", "ns1.example.net"),
        ("SRV", "_sip._tcp.example.net", "1 2 5060 sip.example.net"),
        ("CNAME", "www.example.net", "web.example.net"),
        ("PTR", "192.0.2.7", "host.example.net"),
    ] {
        let of_name = match of {
            "PTR" => "7.2.0.192.in-addr.arpa",
            _ => asked,
        };
        let server = ok(move || vec![record(of_name, 60, data(of))]);
        let seen = look(&server, json!({"name": asked, "type": of}));
        assert_eq!(seen["records"], json!([wanted]), "{seen}");
        assert_eq!(seen["error"], json!(null));
    }
}

#[test]
fn what_is_not_there_is_an_error_with_its_code() {
    for (code, told) in [
        (ResponseCode::NXDomain, "NXDOMAIN"),
        (ResponseCode::ServFail, "SERVFAIL"),
        (ResponseCode::Refused, "REFUSED"),
    ] {
        let server = resolver(move |question, _| Some(reply(question, code, Vec::new())));
        let seen = look(&server, json!({"name": "example.net"}));
        assert_eq!(
            (&seen["code"], &seen["error"], &seen["records"]),
            (&json!(told), &json!(told), &json!([]))
        );
        assert_eq!(server.asked.load(Ordering::SeqCst), 1, "{told}");
    }
    let server = ok(Vec::new);
    let seen = look(&server, json!({"name": "example.net", "type": "MX"}));
    assert_eq!(
        (&seen["code"], &seen["error"], &seen["ttl"]),
        (&json!("NOERROR"), &json!("no MX record"), &json!(null))
    );
}

#[test]
fn an_answer_that_was_cut_is_asked_for_over_tcp() {
    let server = resolver(|question, tcp| {
        let many = (0..200).map(|last| a("example.net", 60, last)).collect();
        let mut whole = reply(question, ResponseCode::NoError, many);
        if !tcp {
            whole = reply(question, ResponseCode::NoError, Vec::new());
            whole.metadata.truncation = true;
        }
        Some(whole)
    });
    let seen = look(&server, json!({"name": "example.net"}));
    assert_eq!(seen["addresses"].as_array().map(Vec::len), Some(200));
    assert_eq!(server.over_tcp.load(Ordering::SeqCst), 1);
}

#[test]
fn silence_ends_in_its_time() {
    let server = resolver(|_, _| None);
    let seen = look(&server, json!({"name": "example.net", "timeout": "300ms"}));
    let told = format!("no answer from 127.0.0.1:{}", server.port);
    assert_eq!(
        (&seen["sent"], &seen["code"], &seen["error"]),
        (&json!(true), &json!(null), &json!(told))
    );
    assert!(
        server.asked.load(Ordering::SeqCst) > 1,
        "it was asked again"
    );
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let seen_one = AtomicBool::new(false);
    let server = resolver(move |question, _| {
        let answers = seen_one.swap(true, Ordering::SeqCst);
        answers.then(|| {
            reply(
                question,
                ResponseCode::NoError,
                vec![a("example.net", 1, 1)],
            )
        })
    });
    let seen = look(&server, json!({"name": "example.net", "timeout": "3s"}));
    assert_eq!(seen["addresses"], json!(["192.0.2.1"]), "{seen}");
}

#[test]
fn aliases_in_a_circle_are_told() {
    for circle in [
        vec![("example.net", "b.example"), ("b.example", "EXAMPLE.net")],
        vec![("example.net", "example.net")],
        vec![
            ("example.net", "b.example"),
            ("b.example", "c.example"),
            ("c.example", "b.example"),
        ],
    ] {
        let server = ok(move || circle.iter().map(|(of, to)| alias(of, to)).collect());
        let seen = look(&server, json!({"name": "example.net"}));
        assert_eq!(
            (&seen["code"], &seen["error"]),
            (&json!("NOERROR"), &json!("the aliases go in a circle"))
        );
    }
}

#[test]
fn noise_is_no_answer() {
    let server = resolver(|question, _| {
        let mut other = question.clone();
        other.queries = vec![Query::query(name("evil.example"), RecordType::A)];
        Some(reply(
            &other,
            ResponseCode::NoError,
            vec![a("evil.example", 1, 1)],
        ))
    });
    let seen = look(&server, json!({"name": "example.net", "timeout": "200ms"}));
    assert_eq!(
        (&seen["code"], &seen["records"]),
        (&json!(null), &json!([]))
    );
    assert!(seen["error"].is_string());
}

#[test]
fn what_is_not_configured_or_not_allowed_is_not_sent() {
    for (rule, said) in [
        (json!({"name": "${env(\"HOST\")}"}), "not configured"),
        (
            json!({"name": "x", "server": "${env(\"HOST\")}"}),
            "not configured",
        ),
        (
            json!({"name": "x", "server": "10.0.0.${1 + 0}"}),
            "10.0.0.1:53 is not allowed by `allow: { reach: [...] }` of homeostat.yaml",
        ),
    ] {
        let seen = Bench::new().look(&KIND, rule).expect("seen");
        assert_eq!(
            (&seen["sent"], &seen["error"]),
            (&json!(false), &json!(said))
        );
    }
}

#[test]
fn mistakes_are_found_at_load() {
    let bench = Bench::new();
    for (rule, codes) in [
        (json!({}), &["missing-key"][..]),
        (json!({"name": "x", "type": "ANY"}), &["bad-value"]),
        (json!({"name": "192.0.2.1"}), &["bad-value"]),
        (json!({"name": ""}), &["bad-value"]),
        (json!({"name": "a..b"}), &["bad-value"]),
        (
            json!({"name": "x", "server": "127.0.0.1:0"}),
            &["bad-value"],
        ),
        (
            json!({"name": "x", "server": "192.0.2.1"}),
            &["not-allowed"],
        ),
        (json!({"name": "x", "timeout": "0s"}), &["bad-value"]),
    ] {
        assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
    }
    for server in ["::1", "[::1]", "[::1]:53", "localhost", "localhost:5353"] {
        let rule = json!({"name": "x", "server": server});
        assert_eq!(bench.codes(&KIND, rule), [""; 0], "{server}");
    }
}
