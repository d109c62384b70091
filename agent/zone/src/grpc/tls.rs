//! TLS between agents: each shows its certificate and checks the other's against the same authority.
//!
//! TLS 1.3 alone, since both sides are this program. The files are read again every minute: new connections use what is in them by then, and
//! listeners close connections that are an hour old. Files that can't be used are told of, and those before them stay.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);
const HTTP2: &[u8] = b"h2";

/// Where certificates are, all of them PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// This agent's certificate, then those between it and the authority. Good for servers and clients.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the authorities that agents' certificates must come from.
    pub authority: PathBuf,
    /// The name that every agent's certificate must hold; `None`: the host by which it is reached, and any name in that of an agent that asks.
    pub name: Option<String>,
}

/// Files that can't be used. Each names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// It can't be read, or is not what it should be.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// They don't fit together.
    #[error("the certificate {} and its key can't be used: {reason}", file.display())]
    Unusable {
        /// The certificate's file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No name of a host.
    #[error("{0:?} is no name that a certificate can hold")]
    Name(String),
}

/// What one state of the files gives.
#[derive(Debug)]
struct Loaded {
    contents: [Vec<u8>; 3],
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// An agent's certificates, as last read.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    name: Option<ServerName<'static>>,
    loaded: RwLock<Arc<Loaded>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(files: TlsFiles) -> Result<Tls, TlsError> {
        let name = files.name.as_deref().map(server_name).transpose()?;
        let loaded = load(&files, contents(&files)?)?;
        Ok(Tls { files, name, loaded: RwLock::new(Arc::new(loaded)) })
    }

    /// Reads the files again. Whether anything was new.
    ///
    /// # Errors
    /// See [`TlsError`]: what was read before still holds.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = contents(&self.files)?;
        if contents == self.current().contents {
            return Ok(false);
        }
        let loaded = Arc::new(load(&self.files, contents)?);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// Reads the files again and again. Runs for ever.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let this = self.clone();
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(Ok(true)) => tracing::info!("the certificate for other agents was read anew"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the certificate for other agents can't be read anew: the one before is used")
                }
                Err(error) => tracing::error!(%error, "reading certificates was ended by a defect"),
            }
        }
    }

    fn current(&self) -> Arc<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.current().server.clone()
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        self.current().client.clone()
    }

    /// The name that an agent at this host must show.
    pub(super) fn expected(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// Whether a certificate that the authority has signed is that of one who may ask.
    pub(super) fn admits(&self, certificates: Option<&[CertificateDer<'_>]>) -> bool {
        let Some(own) = certificates.and_then(<[_]>::first) else { return false };
        let Some(name) = &self.name else { return true };
        ParsedCertificate::try_from(own).is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
}

fn contents(files: &TlsFiles) -> Result<[Vec<u8>; 3], TlsError> {
    let read = |file: &Path| std::fs::read(file).map_err(|error| wrong(file, error));
    Ok([read(&files.certificate)?, read(&files.key)?, read(&files.authority)?])
}

fn wrong(file: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError::File { file: file.to_owned(), reason: reason.to_string() }
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| wrong(file, error))?;
    if all.is_empty() { Err(wrong(file, "there is no certificate in it")) } else { Ok(all) }
}

fn load(files: &TlsFiles, contents: [Vec<u8>; 3]) -> Result<Loaded, TlsError> {
    let [certificate, key, authority] = &contents;
    let chain = certificates(&files.certificate, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(&files.key, error))?;
    let mut roots = RootCertStore::empty();
    for root in certificates(&files.authority, authority)? {
        roots.add(root).map_err(|error| wrong(&files.authority, error))?;
    }
    let roots = Arc::new(roots);
    let unusable = |reason: String| TlsError::Unusable { file: files.certificate.clone(), reason };
    let failed = |error: rustls::Error| unusable(error.to_string());
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = &[&rustls::version::TLS13];
    let askers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let askers = askers.build().map_err(|error| wrong(&files.authority, error))?;
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_protocol_versions(versions).map_err(failed)?;
    let server = server.with_client_cert_verifier(askers).with_single_cert(chain.clone(), key.clone_key());
    let mut server = server.map_err(failed)?;
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let client = client.map_err(failed)?.with_root_certificates(roots).with_client_auth_cert(chain, key);
    let mut client = client.map_err(failed)?;
    server.alpn_protocols = vec![HTTP2.to_vec()];
    client.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(Loaded { contents, server: Arc::new(server), client: Arc::new(client) })
}
