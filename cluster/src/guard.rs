//! Who may talk to a process, and under which conditions it talks at all.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use crate::error::{ClusterError, Result};
use crate::listen::refuse;
use crate::tls::Tls;

/// Any address but loopback needs a token; and certificates have to be those of `host`, which others know this process as.
pub(crate) fn require_safe(
    address: &SocketAddr,
    host: &str,
    token: Option<&str>,
    tls: Option<&Tls>,
) -> Result<()> {
    if address.ip().is_unspecified() {
        return Err(ClusterError::Options(format!(
            "{address} names no machine: give the address that the others reach this one under"
        )));
    }
    if let Some(tls) = tls {
        tls.require_name(host)?;
    }
    if address.ip().is_loopback() || token.is_some() {
        return Ok(());
    }
    Err(ClusterError::Options(format!(
        "{address} can be reached from other machines: name a file with a token (--token-file), or use 127.0.0.1"
    )))
}

/// Requests without the token stop here, before their bodies are read.
pub(crate) async fn check_token(
    State(token): State<Option<String>>,
    request: Request,
    next: Next,
) -> Response {
    match token {
        Some(token) if !shows(&request, &token) => {
            let said = tonic::Status::unauthenticated("no token, or another one");
            refuse(request.headers(), said, StatusCode::UNAUTHORIZED)
        }
        _ => next.run(request).await,
    }
}

/// Clients of ours say it as a bearer token. Ballista's own clients offer one place for words of ours: the name of the agent.
fn shows<B>(request: &axum::http::Request<B>, token: &str) -> bool {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    };
    let bearer = header("authorization").strip_prefix("Bearer ");
    let agent = header("user-agent")
        .split(' ')
        .next()
        .and_then(|a| a.strip_prefix(AGENT));
    [bearer, agent]
        .into_iter()
        .flatten()
        .any(|shown| same(shown.as_bytes(), token.as_bytes()))
}

/// What the agents of our processes call themselves, before their token.
pub(crate) const AGENT: &str = "emberline/";

/// Compares in a time that does not tell how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}
