//! For the tests of channels: an office in a root of its own, notices, and a server of mail.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::PathBuf,
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::{Channel, Office, Parcel, Sent, Unsent, Workshop, kind, sample};
use crate::{
    model::{
        moment::Moment,
        node::Node,
        notice::{Notice, NoticeKind},
        status::Status,
    },
    net::testing::Server,
    permission::{Permission, Secrets, Settings},
    script::{Engine, Env, Ground, Known},
};

pub const NOON: Moment = Moment(1_767_717_000_000);
/// What `env("TOKEN")` gives.
pub const TOKEN: &str = "hunter2-hunter2";

pub struct World {
    root: tempfile::TempDir,
    engine: Engine,
    env: BTreeMap<String, Option<String>>,
    /// Programs that may be run.
    pub run: Vec<String>,
}

impl World {
    pub fn new() -> World {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(root.path().join("data")).expect("a directory");
        World {
            root,
            engine: Engine::new(),
            env: [
                ("TOKEN".to_owned(), Some(TOKEN.to_owned())),
                ("UNSET".to_owned(), None),
            ]
            .into(),
            run: Vec::new(),
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    pub fn put(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("a file");
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), Some(value.to_owned()));
    }

    fn permission(&self) -> Permission {
        let mut settings = Settings::default();
        settings.allow.run.clone_from(&self.run);
        settings.env = self.env.keys().cloned().collect();
        let permission = Permission::new(self.root.path(), settings).expect("a root");
        permission.hiding(Arc::new(Secrets::new(&self.env)))
    }

    /// What a rule says of a channel, or what is wrong with it.
    pub fn built(&self, name: &str, form: Value) -> Result<Arc<dyn Channel>, Vec<String>> {
        let permission = self.permission();
        let known = Known::ground(&Default::default()).with_env(self.env.keys().map(|it| &**it));
        let mut mistakes = Vec::new();
        let mut workshop = Workshop {
            engine: &self.engine,
            known: &known,
            permission: &permission,
            mistakes: &mut mistakes,
        };
        let kind = kind(name).expect("a kind");
        let built = (kind.build)(&Node::from_json(&form), &mut workshop);
        match built.filter(|_| mistakes.is_empty()) {
            Some(channel) => Ok(channel),
            None => Err(mistakes
                .into_iter()
                .map(|it| format!("{}: {}", it.code, it.message))
                .collect()),
        }
    }

    pub fn channel(&self, name: &str, form: Value) -> Arc<dyn Channel> {
        self.built(name, form)
            .unwrap_or_else(|wrong| panic!("{wrong:?}"))
    }

    pub fn office(&self) -> Office {
        Office {
            engine: self.engine.clone(),
            permission: Arc::new(self.permission()),
            ground: Ground {
                now: NOON,
                vars: Arc::default(),
                env: Arc::new(Env {
                    listed: self.env.clone(),
                }),
            },
        }
    }

    pub fn send(&self, channel: &dyn Channel, notice: &Notice) -> Result<Sent, Unsent> {
        self.answer(channel, notice, None)
    }

    /// As a message to a receiver who knows the incident by this.
    pub fn answer(
        &self,
        channel: &dyn Channel,
        notice: &Notice,
        thread: Option<&str>,
    ) -> Result<Sent, Unsent> {
        let office = self.office();
        let parcel = Parcel {
            notice,
            thread,
            office: &office,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(channel.send(parcel))
    }
}

pub fn notice(kind: NoticeKind) -> Notice {
    let over = kind.closes();
    Notice {
        id: 17,
        incident: Some(4),
        at: NOON,
        kind,
        status: if over { Status::Ok } else { Status::Critical },
        before: (kind != NoticeKind::Opened).then_some(Status::Critical),
        check: Some("weights_file".into()),
        checks: vec!["weights_file".into(), "zero_trades".into()],
        title: "CRITICAL weights_file: <b> & ü".to_owned(),
        text: "Weights file is corrupted\nincident 4".to_owned(),
        opened: Some(NOON.minus(std::time::Duration::from_secs(60))),
        closed: over.then_some(NOON),
        due: NOON,
        ..sample()
    }
}

/// The body of a request, as JSON.
pub fn body(request: &str) -> Value {
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_else(|_| json!(body))
}

/// A server of mail: what it offers, and what it answers to the mail itself.
#[derive(Clone, Default)]
pub struct Smtp {
    /// TLS from the start.
    pub implicit: Option<Arc<ServerConfig>>,
    pub starttls: Option<Arc<ServerConfig>>,
    pub auth: bool,
    pub refuses: Option<&'static str>,
}

impl Smtp {
    /// What is heard is the whole dialogue, the encrypted part of it after a line `-- TLS`.
    pub fn start(self) -> Server {
        Server::raw(move |mut stream| {
            if let Some(config) = &self.implicit {
                let connection = ServerConnection::new(config.clone()).expect("a configuration");
                let mut stream = StreamOwned::new(connection, stream);
                let (heard, _) = self.talk(&mut stream, true, false);
                return format!("-- TLS\n{heard}");
            }
            let (heard, tls) = self.talk(&mut stream, true, self.starttls.is_some());
            match self.starttls.as_ref().filter(|_| tls) {
                None => heard,
                Some(config) => {
                    let connection =
                        ServerConnection::new(config.clone()).expect("a configuration");
                    let mut stream = StreamOwned::new(connection, stream);
                    let (more, _) = self.talk(&mut stream, false, false);
                    format!("{heard}-- TLS\n{more}")
                }
            }
        })
    }

    /// The dialogue, until the other side goes or wants TLS.
    fn talk(&self, stream: &mut (impl Read + Write), greets: bool, offers: bool) -> (String, bool) {
        let mut heard = String::new();
        let mut mail = false;
        if greets && stream.write_all(b"220 here\r\n").is_err() {
            return (heard, false);
        }
        while let Some(line) = line(stream) {
            heard.push_str(&line);
            heard.push('\n');
            if mail {
                if line == "." {
                    mail = false;
                    let answer = self.refuses.unwrap_or("250 taken");
                    let _ = stream.write_all(format!("{answer}\r\n").as_bytes());
                }
                continue;
            }
            let word = line
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            let answer = match word.as_str() {
                "EHLO" => {
                    let tls = if offers { "250-STARTTLS\r\n" } else { "" };
                    let auth = if self.auth {
                        "250-AUTH PLAIN LOGIN\r\n"
                    } else {
                        ""
                    };
                    format!("250-here\r\n{tls}{auth}250 8BITMIME\r\n")
                }
                "STARTTLS" => {
                    let _ = stream.write_all(b"220 go on\r\n");
                    return (heard, true);
                }
                "AUTH" => "235 you are it\r\n".to_owned(),
                "DATA" => {
                    mail = true;
                    "354 go on\r\n".to_owned()
                }
                "QUIT" => {
                    let _ = stream.write_all(b"221 bye\r\n");
                    break;
                }
                _ => "250 fine\r\n".to_owned(),
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        (heard, false)
    }
}

/// One line, a byte at a time: nothing that belongs to a handshake is read.
fn line(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(1) if byte[0] == b'\n' => break,
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\r').to_owned())
}
