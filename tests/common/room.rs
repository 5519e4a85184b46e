//! A whole engine with its API, on its socket and on loopback.

use std::{net::SocketAddr, sync::Arc};

use homeostat::{
    clock::SystemClock,
    engine::live::{self, Live, Options},
    permission::OWN,
    rules,
    web::{
        self, Api,
        client::{Client, ClientError},
        door::Door,
        loopback::Loopback,
        socket::Socket,
        tokens::Keys,
    },
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::{Root, SOON, until};

pub const RULES: &str = "
vars: { most: 5 }
checks:
  - name: weights
    about: The weights are there.
    tags: [data]
    trigger: { every: 1h, events: [ { file: data/weights.json } ] }
    probe: { json: { file: data/weights.json } }
    let: { keys: 'if missing { 0 } else { doc.keys().len() }' }
    threshold:
      critical: 'keys > vars.most'
      warning: missing
    message: 'weights ${if missing { \"missing\" } else { \"there\" }}'
    remediation:
      when: [warning]
      steps: [ { restore_file: { file: data/weights.json, from: rules/defaults/weights.json } } ]
  - name: load
    trigger: { every: 1h, events: [ { file: data/load.json } ] }
    probe: { json: { file: data/load.json } }
    value: doc.load
    threshold:
      critical: { above: 9, clear: 8 }
      warning: { above: 5 }
    message: 'load ${doc.load}'
    needs: [weights]
investigations:
  - name: session
    about: Looks at both.
    checks: [weights, load]
    journal: logs/session.jsonl
";

/// An engine with its API.
pub struct Room {
    pub root: Root,
    pub live: Live,
    pub client: Client,
    pub end: watch::Sender<bool>,
    /// Where it listens on loopback.
    pub address: SocketAddr,
    /// The owner's token.
    pub token: String,
}

/// An answer on the loopback address.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub async fn room() -> Room {
    let root = Root::new();
    root.put("rules/weights.yaml", RULES);
    root.put("rules/defaults/weights.json", "{\"a\": 1}\n");
    root.put("data/weights.json", "{\"a\": 1}\n");
    root.put("data/load.json", "{\"load\": 2.5}\n");
    serve(root).await
}

pub async fn serve(root: Root) -> Room {
    serve_with(root, &[]).await
}

/// The same with these variables in the environment.
pub async fn serve_with(root: Root, env: &[(&str, &str)]) -> Room {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let options = Options {
        env: env.iter().map(own).collect(),
        ..root.options()
    };
    let live = live::start(options).await.expect("it starts");
    let (end, ending) = watch::channel(false);
    let clock = Arc::new(SystemClock);
    let settings = rules::settings::load(root.path()).expect("settings").api;
    let (keys, wrong) = Keys::load(root.path(), &settings, |_| None);
    assert!(wrong.is_empty(), "{wrong:?}");
    let api = Api::new(
        live.handle.clone(),
        clock,
        root.path().to_owned(),
        settings.reading,
    );
    let socket = Socket::bind(&root.at(OWN)).expect("a socket");
    tokio::spawn(socket.serve(web::router(api.clone()), ending.clone()));
    let loopback = Loopback::bind("127.0.0.1:0").await.expect("a free port");
    let address = loopback.address();
    let door = Door::new(keys, settings.reading);
    tokio::spawn(loopback.serve(web::loopback_router(api, door), ending));
    let client = Client::find(root.path()).await.expect("it answers");
    let token = web::tokens::owner_token(&root.at(OWN)).expect("a token");
    Room {
        root,
        live,
        client,
        end,
        address,
        token,
    }
}

impl Room {
    pub async fn get(&self, path: &str) -> Value {
        let answer: Result<Value, ClientError> = self.client.get(path).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn refused(&self, path: &str) -> (u16, String) {
        match self.client.get::<Value>(path).await {
            Err(ClientError::Refused { status, error }) => (status, error),
            other => panic!("{path}: {other:?}"),
        }
    }

    pub async fn row(&self, name: &str) -> Value {
        let overview = self.get("/api/overview").await;
        let rows = overview["checks"].as_array().expect("rows");
        let found = rows.iter().find(|row| row["name"] == name);
        found.cloned().unwrap_or_else(|| panic!("{overview}"))
    }

    pub async fn looked(&self) {
        until(SOON, "the first looks", async || {
            let overview = self.get("/api/overview").await;
            (overview["counts"]["OK"] == 2).then_some(())
        })
        .await;
    }

    /// Asks on the loopback address, with these headers beside `Host`.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let host = ("host", self.address.to_string());
        let named = headers.iter().any(|(name, _)| *name == "host");
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !named {
            head.push_str(&format!("{}: {}\r\n", host.0, host.1));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        // A body that is too large is not read to its end.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok());
        Reply {
            status: status.unwrap_or_else(|| panic!("{method} {path}: {text:?}")),
            headers: headers.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// The same with the owner's token and a body of JSON.
    pub async fn own(&self, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
        ];
        self.ask(method, path, &headers, &body.to_string()).await
    }

    pub async fn stop(self) {
        let _ = self.end.send(true);
        self.live.handle.stop().await.expect("it runs");
        self.live.finished().await;
    }
}
