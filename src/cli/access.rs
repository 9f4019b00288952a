//! How commands reach a cluster, and how its processes are reached: addresses, tokens, certificates.

use std::net::IpAddr;

use emberline::cluster::{Tls, failed};
use emberline::config::{EngineKind, EngineOptions};
use emberline::prelude::*;

/// Where a cluster is, and what it asks for.
#[derive(Debug, clap::Args)]
pub struct ClusterAt {
    /// Address of the scheduler: `http://HOST:PORT`, or `https://HOST:PORT` where it speaks TLS.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50050")]
    pub scheduler: String,
    /// File with the token of the cluster.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<String>,
    /// PEM file with the certificates of who may have signed those of the cluster.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<String>,
}

impl ClusterAt {
    /// An engine there.
    pub fn engine(&self) -> EngineOptions {
        EngineOptions {
            kind: EngineKind::Cluster,
            scheduler: Some(self.scheduler.clone()),
            token_file: self.token_file.clone(),
            tls_ca: self.tls_ca.clone(),
            ..EngineOptions::default()
        }
    }
}

/// Certificates of a process that others call, where the cluster speaks TLS.
#[derive(Debug, clap::Args)]
pub struct TlsArgs {
    /// PEM file with the certificate of this process, for the host that others reach it under, and those between it and its authority.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<String>,
    /// PEM file with the key of that certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<String>,
    /// PEM file with the certificates of who may have signed those of the others.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_ca: Option<String>,
}

impl TlsArgs {
    /// The certificates, where there are any; else a word of warning on an address that other machines reach.
    pub fn read(&self, listen: IpAddr) -> Result<Option<Tls>> {
        if let [Some(ca), Some(cert), Some(key)] = [&self.tls_ca, &self.tls_cert, &self.tls_key] {
            let tls = Tls::read(ca.as_ref(), cert.as_ref(), key.as_ref());
            return tls.map(Some).map_err(failed);
        }
        if !listen.is_loopback() {
            eprintln!(
                "warning: token and data travel unencrypted; give certificates (--tls-cert, --tls-key, --tls-ca), or use a network that encrypts"
            );
        }
        Ok(None)
    }

    /// As arguments of another process.
    pub fn words(&self) -> impl Iterator<Item = String> {
        let all = [
            ("--tls-cert", &self.tls_cert),
            ("--tls-key", &self.tls_key),
            ("--tls-ca", &self.tls_ca),
        ];
        all.into_iter().flat_map(|(flag, file)| {
            file.iter()
                .flat_map(move |file| [flag.to_owned(), file.clone()])
        })
    }

    /// How addresses of this process begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() {
            "https"
        } else {
            "http"
        }
    }
}
