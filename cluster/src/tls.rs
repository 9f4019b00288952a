//! Encryption between processes: whom to believe and who this process is, from files in PEM.
//!
//! Certificates are checked against the host under which the other side is reached. A process checks its own as others will, before it
//! starts: a certificate that has expired or names another host is then an error where it can be mended, and not one of every peer.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, Error as TlsError, RootCertStore, ServerConfig};
use tonic::transport::ClientTlsConfig;

use crate::error::{ClusterError, Result};

/// The authorities that sign the certificates of a cluster.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<RootCertStore>);

impl Authorities {
    /// The certificates in a file.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub fn read(file: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|e| bad(file, e))?;
        }
        Ok(Self(Arc::new(roots)))
    }

    pub(crate) fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().trust_anchors(self.0.roots.iter().cloned())
    }
}

/// What a process needs that calls others and is called by them.
#[derive(Clone)]
pub struct Tls {
    pub(crate) authorities: Authorities,
    pub(crate) acceptor: TlsAcceptor,
    chain: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// The authorities in `ca`, this process's certificate in `cert` (followed by those between it and its authority), and the key of
    /// that in `key`.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should, or the key is that of another certificate.
    pub fn read(ca: &Path, cert: &Path, key: &Path) -> Result<Self> {
        let chain = certificates(cert)?;
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, "private key", e))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config
                    .with_no_client_auth()
                    .with_single_cert(chain.clone(), private)
            })
            .map_err(|e| match e {
                TlsError::InconsistentKeys(_) => bad(
                    key,
                    format_args!(
                        "it is not the key of the certificate in `{}`",
                        cert.display()
                    ),
                ),
                e => bad(cert, e),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            authorities: Authorities::read(ca)?,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            chain,
        })
    }

    /// Whether others will believe that this process is `host`.
    ///
    /// # Errors
    /// They will not.
    pub(crate) fn require_name(&self, host: &str) -> Result<()> {
        let refused = |what: String| {
            ClusterError::Options(format!(
                "others will not believe that this is `{host}`: {what} (--tls-cert, --tls-ca; --host, --listen or --advertise name the host)"
            ))
        };
        let roots = self.authorities.0.clone();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| refused(e.to_string()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| refused(e.to_string()))?;
        let Some((own, between)) = self.chain.split_first() else {
            return Err(refused("there is no certificate".to_owned()));
        };
        verifier
            .verify_server_cert(own, between, &name, &[], UnixTime::now())
            .map(drop)
            .map_err(|e| refused(explain(&e)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |e| unreadable(file, "certificate", e);
    let all = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let all = all.collect::<std::result::Result<Vec<_>, _>>();
    match all.map_err(unreadable)? {
        none if none.is_empty() => Err(unreadable(pem::Error::NoItemsFound)),
        all => Ok(all),
    }
}

fn unreadable(file: &Path, what: &str, error: pem::Error) -> ClusterError {
    match error {
        pem::Error::NoItemsFound => bad(file, format_args!("it holds no {what} in PEM")),
        pem::Error::Io(e) => bad(file, e),
        e => bad(file, e),
    }
}

fn bad(file: &Path, what: impl std::fmt::Display) -> ClusterError {
    ClusterError::Options(format!(
        "`{}` cannot be used for TLS: {what}",
        file.display()
    ))
}

/// What TLS has to say about a failure, where it was TLS that failed.
pub(crate) fn fault(error: &(dyn Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    while let Some(one) = error {
        // An I/O error is no source of itself: what it wraps has to be asked for.
        let wrapped = one
            .downcast_ref::<std::io::Error>()
            .and_then(|e| e.get_ref()?.downcast_ref::<TlsError>());
        if let Some(tls) = wrapped.or_else(|| one.downcast_ref()) {
            return Some(explain(tls));
        }
        error = one.source();
    }
    None
}

/// A name of a certificate, without its kind: `DnsName("host")` is `host`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, n)| n.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

/// What is wrong, and what helps.
fn explain(error: &TlsError) -> String {
    use CertificateError as C;
    match error {
        TlsError::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "no authority in the CA file signed its certificate; name the file of the one that did".to_owned()
        }
        TlsError::InvalidCertificate(C::NotValidForNameContext { expected, presented }) => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "its certificate is for [{}], not for `{}`; one is needed whose subjectAltName has that",
                names.join(", "),
                expected.to_str()
            )
        }
        TlsError::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired; it needs a new one".to_owned()
        }
        TlsError::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet; is the clock right?".to_owned()
        }
        TlsError::InvalidMessage(_) => {
            "it does not speak TLS; write http://, or start it with --tls-cert, --tls-key and --tls-ca".to_owned()
        }
        other => other.to_string(),
    }
}
