//! How processes call each other: with the token, and over TLS where the cluster has it.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use tonic::transport::Endpoint;

use crate::error::{ClusterError, Result};
use crate::guard::AGENT;
use crate::tls::Authorities;

/// What a process shows others, and whom it believes.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    token: Option<String>,
    authorities: Option<Authorities>,
}

impl Caller {
    pub(crate) fn new(token: Option<String>, authorities: Option<Authorities>) -> Self {
        Self { token, authorities }
    }

    /// The endpoint of the scheduler at this address, whose scheme says whether it speaks TLS.
    ///
    /// # Errors
    /// The address or token is no good, or authorities are missing or given in vain.
    pub(crate) fn scheduler(&self, url: &str) -> Result<Endpoint> {
        parse_address(url)?;
        match (url.starts_with("https://"), &self.authorities) {
            (true, None) => Err(ClusterError::Options(format!(
                "`{url}` speaks TLS: name the file with the certificate of its authority (`tls_ca` in `[engine]`, --tls-ca)"
            ))),
            (false, Some(_)) => Err(ClusterError::Options(format!(
                "there are certificates for TLS (`tls_ca`, --tls-ca), but `{url}` is without: write https://"
            ))),
            (_, None) => {
                let endpoint = Endpoint::from_shared(url.to_owned());
                self.introduced(kept(endpoint.map_err(|e| of_no_use(url, &e))?))
            }
            (_, Some(authorities)) => self.introduced(encrypted(url, authorities)?),
        }
    }

    /// For Ballista, which opens connections of its own, and to `http://` always.
    pub(crate) fn hook(&self) -> EndpointOverrideFn {
        let caller = self.clone();
        Arc::new(move |endpoint| {
            let (Some(authorities), Some(authority)) =
                (&caller.authorities, endpoint.uri().authority())
            else {
                return Ok(caller.introduced(endpoint)?);
            };
            let url = format!("https://{authority}");
            Ok(caller.introduced(encrypted(&url, authorities)?)?)
        })
    }

    /// The endpoint with the token as the name of the agent.
    fn introduced(&self, endpoint: Endpoint) -> Result<Endpoint> {
        let endpoint = endpoint.tcp_nodelay(true);
        match &self.token {
            None => Ok(endpoint),
            Some(token) => endpoint
                .user_agent(format!("{AGENT}{token}"))
                .map_err(|e| ClusterError::Options(format!("the token cannot be sent: {e}"))),
        }
    }
}

fn encrypted(url: &str, authorities: &Authorities) -> Result<Endpoint> {
    Endpoint::from_shared(url.to_owned())
        .and_then(|endpoint| kept(endpoint).tls_config(authorities.client()))
        .map_err(|e| of_no_use(url, &e))
}

/// A connection that stands but is dead is found out within 20 s.
fn kept(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
}

fn of_no_use(url: &str, error: &tonic::transport::Error) -> ClusterError {
    ClusterError::Options(format!("`{url}`: {error}"))
}

/// Host and port of `http://HOST:PORT` or `https://HOST:PORT`.
pub(crate) fn parse_address(url: &str) -> Result<(String, u16)> {
    let bad = || {
        ClusterError::Options(format!(
            "`{url}` is no address of a scheduler; it looks like http://127.0.0.1:50050"
        ))
    };
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or_else(bad)?;
    let (host, port) = rest
        .trim_end_matches('/')
        .rsplit_once(':')
        .ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    if host.is_empty() {
        return Err(bad());
    }
    Ok((host.to_owned(), port))
}
