//! Whom to trust, the handshake, and what a certificate says.
//!
//! What a peer shows is recorded before it is judged, so that the days a certificate has left are known also when it is
//! expired, self-signed or somebody else's. Every handshake is a full one: no sessions are kept, so no look is told what
//! an earlier one saw. Certificates are judged as of the instant of the look, not by a clock of their own.

use std::{
    fmt::Write,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::NetError;
use crate::model::moment::Moment;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// Whose word counts.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The certificates the system trusts.
    #[default]
    System,
    /// These instead.
    Only(Arc<RootCertStore>),
}

impl Roots {
    /// From a PEM file with one or more certificates.
    pub fn from_pem(pem: &[u8]) -> Result<Roots, String> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("is no PEM file: {error}"))?;
            store
                .add(certificate)
                .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        }
        match store.is_empty() {
            true => Err("holds no certificate".to_owned()),
            false => Ok(Roots::Only(Arc::new(store))),
        }
    }
}

/// How a peer is to be believed.
#[derive(Clone, Debug)]
pub struct Trust {
    pub roots: Roots,
    /// Without it every certificate will do; what is wrong with it is recorded all the same.
    pub verify: bool,
    /// When certificates must be valid.
    pub at: Moment,
}

/// What one handshake is made with.
pub struct Handshake {
    pub config: ClientConfig,
    pub witness: Arc<Witness>,
}

impl Trust {
    pub async fn handshake(&self, protocols: &[&str]) -> Result<Handshake, NetError> {
        let roots = match &self.roots {
            Roots::System => system().await,
            Roots::Only(store) => store.clone(),
        };
        // Without any root nobody is trusted.
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, PROVIDER.clone())
            .build()
            .ok();
        let witness = Arc::new(Witness {
            verifier,
            verify: self.verify,
            seen: Mutex::default(),
        });
        let config = ClientConfig::builder_with_details(PROVIDER.clone(), Arc::new(At(self.at)))
            .with_safe_default_protocol_versions()
            .map_err(|error| NetError::failed(format!("could not prepare TLS: {error}")))?;
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(witness.clone())
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Ok(Handshake { config, witness })
    }
}

/// What the system trusts, read once: a new root of the system counts from the next start on.
async fn system() -> Arc<RootCertStore> {
    static SYSTEM: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "could not read a root certificate of the system");
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        Arc::new(store)
    };
    let store = SYSTEM.get_or_init(|| async {
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|_| Arc::new(RootCertStore::empty()))
    });
    store.await.clone()
}

/// The instant of the look.
#[derive(Debug)]
struct At(Moment);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.0 / 1000).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds,
        )))
    }
}

/// Judges certificates, and remembers the one it saw with what was wrong with it.
#[derive(Debug)]
pub struct Witness {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    verify: bool,
    seen: Mutex<Option<Certificate>>,
}

impl Witness {
    /// What was seen last.
    pub fn certificate(&self) -> Option<Certificate> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = match &self.verifier {
            Some(verifier) => verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let mut certificate = Certificate::read(end_entity);
        certificate.wrong = judged
            .as_ref()
            .err()
            .map(|error| wrong(error, server_name, &certificate));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
        match judged {
            Err(_) if !self.verify => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    // Whoever shows a certificate must have its key, trusted or not.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &PROVIDER.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &PROVIDER.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What is wrong with a certificate, in a few words.
fn wrong(error: &Error, name: &ServerName<'_>, certificate: &Certificate) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    let Error::InvalidCertificate(error) = error else {
        return error.to_string();
    };
    let said = format!("{error:?}");
    // Some root may have the same name by chance, and then the signature is what does not fit.
    let strange = ["UnknownIssuer", "SignatureAlgorithm", "BadSignature"];
    match error {
        Expired | ExpiredContext { .. } => "it is expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        NotValidForName | NotValidForNameContext { .. } => {
            let names = certificate.names.join(", ");
            format!("it is not for {} but for {names}", name.to_str())
        }
        _ if certificate.subject == certificate.issuer
            && strange.iter().any(|it| said.contains(it)) =>
        {
            "it is self-signed".to_owned()
        }
        UnknownIssuer => format!("its issuer is not known: {}", certificate.issuer),
        _ if said.contains("CaUsedAsEndEntity") => {
            "it is the certificate of an authority, not of a server".to_owned()
        }
        other => other.to_string(),
    }
}

/// What a peer's certificate says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Certificate {
    /// The last instant of its validity; `None` if it cannot be read.
    pub not_after: Option<Moment>,
    pub subject: String,
    pub issuer: String,
    /// The names and addresses it is for.
    pub names: Vec<String>,
    pub serial: String,
    /// SHA-256 of the whole, in hexadecimal.
    pub fingerprint: String,
    /// Why it is not trusted; `None` if it is.
    pub wrong: Option<String>,
}

impl Certificate {
    fn read(der: &CertificateDer<'_>) -> Certificate {
        let mut fingerprint = String::new();
        for byte in Sha256::digest(der) {
            let _ = write!(fingerprint, "{byte:02x}"); // a String takes everything
        }
        let Ok((_, x509)) = X509Certificate::from_der(der) else {
            return Certificate {
                fingerprint,
                ..Certificate::default()
            };
        };
        let names = match x509.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(name).collect(),
            _ => Vec::new(),
        };
        let last = x509.validity().not_after.timestamp();
        Certificate {
            not_after: Some(Moment(last.saturating_mul(1000))),
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            names,
            serial: x509.raw_serial_as_string(),
            fingerprint,
            wrong: None,
        }
    }

    /// Days until it expires, negative when it has.
    pub fn days_left(&self, now: Moment) -> Option<f64> {
        self.not_after
            .map(|end| (end.seconds() - now.seconds()) / 86_400.0)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let sixteen = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            four.or(sixteen).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The name a peer must show a certificate for.
pub fn server_name(host: &Host<String>) -> Result<ServerName<'static>, NetError> {
    match host {
        Host::Ipv4(v4) => Ok(ServerName::IpAddress(IpAddr::from(*v4).into())),
        Host::Ipv6(v6) => Ok(ServerName::IpAddress(IpAddr::from(*v6).into())),
        Host::Domain(name) => {
            let plain = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(plain)
                .map_err(|_| NetError::failed(format!("no certificate can be for `{name}`")))
        }
    }
}

/// Makes a handshake over an open connection.
pub async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    name: ServerName<'static>,
    handshake: &Handshake,
) -> Result<TlsStream<S>, NetError> {
    TlsConnector::from(Arc::new(handshake.config.clone()))
        .connect(name, stream)
        .await
        .map_err(|error| NetError::Failed(unsecured(&error)))
}

/// Why there is no handshake. rustls hides in an I/O error.
pub(super) fn unsecured(error: &std::io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(_)) => "the other side does not speak TLS".to_owned(),
        Some(error) => format!("no TLS handshake: {error}"),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the other side closed the connection during the TLS handshake".to_owned()
        }
        None => format!("no TLS handshake: {error}"),
    }
}
