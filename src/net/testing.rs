//! Servers for the tests of whatever goes over the network: each on a free port of loopback, ended when it is dropped.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// A server of one connection after the other.
pub struct Server {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Gives every connection to `talk`; what that returns is what was heard.
    pub fn raw(talk: impl Fn(TcpStream) -> String + Send + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (heard, ended) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let (hears, ends): (_, Arc<AtomicBool>) = (Arc::clone(&heard), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let limit = Some(Duration::from_secs(10));
                let _ = stream.set_read_timeout(limit); // it stays without one
                let said = talk(stream);
                let mut heard = hears.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(said);
            }
        });
        Server {
            port,
            heard,
            ended,
            thread: Some(thread),
        }
    }

    /// Answers every request with the bytes that `answer` makes of it.
    pub fn http(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Server {
        Server::raw(move |mut stream| serve(&mut stream, &answer))
    }

    pub fn https(
        config: ServerConfig,
        answer: impl Fn(&str) -> Vec<u8> + Send + 'static,
    ) -> Server {
        let config = Arc::new(config);
        Server::raw(move |stream| {
            let connection = ServerConnection::new(config.clone()).expect("a good configuration");
            serve(&mut StreamOwned::new(connection, stream), &answer)
        })
    }

    /// What was heard, one text a connection that is over.
    pub fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    /// Ends it and gives what was heard.
    pub fn finish(mut self) -> Vec<String> {
        self.end();
        self.heard()
    }

    fn end(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)); // to wake it
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a test that fails ends with it
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// One request and its answer.
fn serve(stream: &mut (impl Read + Write), answer: &impl Fn(&str) -> Vec<u8>) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => request.extend_from_slice(&chunk[..count]),
        }
        if is_whole(&request) {
            break;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    if !request.is_empty() {
        // Whoever asked may have gone.
        let _ = stream.write_all(&answer(&request));
        let _ = stream.flush();
    }
    request
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// An answer with a body.
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A day, as (year, month, day).
pub type Day = (i32, u8, u8);

fn params(names: &[&str], from: Day, to: Day) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("good names");
    let name = names.first().cloned().unwrap_or_default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(to.0, to.1, to.2);
    params
}

impl Authority {
    #[expect(
        clippy::new_without_default,
        reason = "making a key is an act, not a default"
    )]
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(&["Test Authority"], (2020, 1, 1), (2040, 1, 1));
        params.subject_alt_names.clear();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// What a server needs to show a certificate for these names.
    pub fn server(&self, names: &[&str], from: Day, to: Day) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(names, from, to).signed_by(&key, &self.issuer);
        config(certificate.expect("a certificate").der().clone(), &key)
    }
}

/// What a server needs to show a certificate that nobody signed.
pub fn self_signed(names: &[&str], from: Day, to: Day) -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(names, from, to).self_signed(&key);
    config(certificate.expect("a certificate").der().clone(), &key)
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key")
}
