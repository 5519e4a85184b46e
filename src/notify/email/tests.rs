//! Mails as a server of mail hears them.

use serde_json::json;

use super::*;
use crate::{
    model::notice::NoticeKind,
    net::testing::Authority,
    notify::testing::{Smtp, TOKEN, World, notice},
};

fn form(server: &str) -> serde_json::Value {
    json!({"to": ["Ann <ann@example.net>", "b@example.net"], "from": "homeostat@example.net", "server": server})
}

#[test]
fn a_mail_to_this_machine() {
    let world = World::new();
    let server = Smtp::default().start();
    let mut form = form(&format!("smtp://127.0.0.1:{}", server.port));
    form["subject"] = "[bot]".into();
    let channel = world.channel("email", form);
    let sent = world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect("taken");
    assert_eq!(sent.said, "250 taken");
    assert_eq!(channel.whom(), "Ann <ann@example.net>, b@example.net");
    let heard = server.finish().remove(0);
    insta::assert_snapshot!(heard.replace("QUIT\n", ""), @r"
    EHLO localhost
    MAIL FROM:<homeostat@example.net>
    RCPT TO:<ann@example.net>
    RCPT TO:<b@example.net>
    DATA
    From: homeostat@example.net
    Message-ID: <homeostat-17-1767717000000@example.net>
    Date: Tue, 06 Jan 2026 16:30:00 +0000
    Subject: [bot] CRITICAL weights_file: <b> & =?utf-8?b?w7w=?=
    To: Ann <ann@example.net>, b@example.net
    References: <homeostat-incident-4-1767716940000@example.net>
    In-Reply-To: <homeostat-incident-4-1767716940000@example.net>
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: 7bit

    Weights file is corrupted
    incident 4

    .
    ");
}

#[test]
fn the_mails_of_an_incident_make_a_thread_and_each_is_the_same_at_every_try() {
    let world = World::new();
    let server = Smtp::default().start();
    let channel = world.channel("email", form(&format!("smtp://localhost:{}", server.port)));
    for kind in [NoticeKind::Opened, NoticeKind::Opened, NoticeKind::Resolved] {
        world.send(channel.as_ref(), &notice(kind)).expect("taken");
    }
    let heard = server.finish();
    let header = |mail: &str, name: &str| -> Vec<String> {
        let lines = mail.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect()
    };
    let mails: Vec<&String> = heard.iter().filter(|it| it.contains("DATA")).collect();
    assert_eq!(mails.len(), 3);
    assert_eq!(
        header(mails[0], "Message-ID"),
        header(mails[1], "Message-ID")
    );
    for mail in &mails {
        let thread = "<homeostat-incident-4-1767716940000@example.net>";
        assert_eq!(
            header(mail, "References"),
            [format!("References: {thread}")]
        );
        assert_eq!(
            header(mail, "In-Reply-To"),
            [format!("In-Reply-To: {thread}")]
        );
    }
}

#[test]
fn starttls_must_come_about_and_the_password_goes_through_it_alone() {
    let (world, authority) = (World::new(), Authority::new());
    world.put("data/ca.pem", &authority.pem);
    let config = authority.server(&["localhost"], (2025, 1, 1), (2039, 1, 1));
    let server = Smtp {
        starttls: Some(Arc::new(config)),
        auth: true,
        ..Smtp::default()
    };
    let server = server.start();
    let mut form = form(&format!("smtp://localhost:{}", server.port));
    form["tls"] = "required".into();
    form["ca"] = "data/ca.pem".into();
    form["user"] = "ann".into();
    form["password"] = "${env(\"TOKEN\")}".into();
    let channel = world.channel("email", form.clone());
    world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect("taken");
    let heard = server.finish().remove(0);
    let (clear, hidden) = heard.split_once("-- TLS\n").expect("it is encrypted");
    assert!(
        clear.ends_with("STARTTLS\n") && !clear.contains("AUTH"),
        "{clear}"
    );
    assert!(
        hidden.contains("AUTH PLAIN") && hidden.contains("\n.\n"),
        "{hidden}"
    );
    // A server that offers none is told nothing.
    let server = Smtp::default().start();
    form["server"] = format!("smtp://localhost:{}", server.port).into();
    let channel = world.channel("email", form);
    let unsent = world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect_err("no TLS");
    assert!(!unsent.why.contains(TOKEN), "{}", unsent.why);
    let heard = server.finish().remove(0);
    assert!(
        !heard.contains("MAIL") && !heard.contains("AUTH"),
        "{heard}"
    );
}

#[test]
fn tls_from_the_start_by_a_certificate_that_is_trusted() {
    let (world, authority) = (World::new(), Authority::new());
    world.put("data/ca.pem", &authority.pem);
    let config = authority.server(&["localhost"], (2025, 1, 1), (2039, 1, 1));
    let server = Smtp {
        implicit: Some(Arc::new(config)),
        ..Smtp::default()
    };
    let server = server.start();
    let mut form = form(&format!("smtps://localhost:{}", server.port));
    form["ca"] = "data/ca.pem".into();
    let channel = world.channel("email", form.clone());
    world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect("taken");
    form.as_object_mut().expect("a map").remove("ca");
    let channel = world.channel("email", form);
    let unsent = world
        .send(channel.as_ref(), &notice(NoticeKind::Opened))
        .expect_err("a stranger");
    assert_eq!(unsent.again, Again::Later);
    let heard = server.finish();
    assert_eq!(
        heard.iter().filter(|it| it.contains("MAIL FROM")).count(),
        1
    );
}

#[test]
fn a_server_may_want_it_later_or_never() {
    let world = World::new();
    for (refuses, again) in [("452 full", Again::Later), ("550 no", Again::Never)] {
        let server = Smtp {
            refuses: Some(refuses),
            ..Smtp::default()
        };
        let server = server.start();
        let channel = world.channel("email", form(&format!("smtp://127.0.0.1:{}", server.port)));
        let unsent = world
            .send(channel.as_ref(), &notice(NoticeKind::Opened))
            .expect_err(refuses);
        assert_eq!(unsent.again, again, "{}", unsent.why);
        assert!(unsent.why.contains(&refuses[..3]), "{}", unsent.why);
    }
}

#[test]
fn servers_are_read_as_rules_write_them() {
    let read =
        |text: &str, tls| Server::read(text, tls).map(|it| (it.peer.to_string(), it.security));
    let fine = |peer: &str, security| Ok((peer.to_owned(), security));
    assert_eq!(
        read("smtps://mx.example.net", None),
        fine("mx.example.net:465", Security::Tls)
    );
    assert_eq!(
        read("smtp://mx.example.net", None),
        fine("mx.example.net:587", Security::StartTls)
    );
    let none = Some(TlsWord::None);
    assert_eq!(
        read("smtp://mx.example.net:25", none),
        fine("mx.example.net:25", Security::Clear)
    );
    assert_eq!(
        read("smtp://[::1]:25", None),
        fine("[::1]:25", Security::Clear)
    );
    let required = Some(TlsWord::Required);
    assert_eq!(
        read("smtp://127.0.0.1", required),
        fine("127.0.0.1:587", Security::StartTls)
    );
    for wrong in [
        "mx.example.net",
        "http://x/",
        "smtp://u:p@x",
        "smtp://x/y",
        "smtp:",
    ] {
        assert!(Server::read(wrong, None).is_err(), "{wrong}");
    }
    assert!(Server::read("smtps://x", none).is_err());
    let world = World::new();
    for (key, value) in [
        ("to", json!([])),
        ("to", json!(["nobody"])),
        ("from", json!("x y")),
        ("user", json!("ann")),
        ("server", json!("smtp://mx.example.net")),
    ] {
        let mut form = form("smtp://127.0.0.1");
        form[key] = value.clone();
        assert!(world.built("email", form).is_err(), "{key}: {value}");
    }
    let mut form = form("smtp://127.0.0.1");
    form["tls"] = "none".into();
    form["user"] = "a".into();
    form["password"] = "b".into();
    let wrong = world.built("email", form).err().expect("in the clear");
    assert!(
        wrong.join("").contains("not sent in the clear"),
        "{wrong:?}"
    );
}
