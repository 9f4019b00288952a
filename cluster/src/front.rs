//! The door of an executor that asks for a token or speaks TLS.
//!
//! Ballista's executors answer anybody, and in clear. So their services listen on another address of loopback, and this door stands before
//! them on the outer one: it lets requests with the token through, and ends the others before their bodies are read.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};

use crate::error::{ClusterError, Result};
use crate::guard::check_token;
use crate::listen::{listen, serve};
use crate::tls::Tls;

/// The address of loopback where the services behind a door listen, on the same ports as the door.
pub(crate) fn behind(outer: IpAddr) -> IpAddr {
    let last = if outer == IpAddr::from([127, 0, 0, 1]) {
        2
    } else {
        1
    };
    IpAddr::from([127, 0, 0, last])
}

/// Listens on `outer`, and forwards what shows the token to the services behind.
pub(crate) fn open(
    outer: SocketAddr,
    token: Option<String>,
    tls: Option<Tls>,
) -> Result<tokio::task::JoinHandle<()>> {
    let listener = listen("the executor", outer)?;
    let inner = format!("http://{}:{}", behind(outer.ip()), outer.port());
    let channel = Endpoint::from_shared(inner)
        .map_err(|e| ClusterError::Options(e.to_string()))?
        .tcp_nodelay(true)
        .connect_lazy();
    let router = Router::new()
        .fallback(forward)
        .with_state(channel)
        .layer(from_fn_with_state(token, check_token));
    Ok(tokio::spawn(async move {
        if let Err(e) = serve(listener, tls.as_ref(), router).await {
            tracing::error!("the door at {outer} fell shut: {e}");
        }
    }))
}

async fn forward(State(mut channel): State<Channel>, request: Request) -> Response {
    let request = request.map(tonic::body::Body::new);
    let ready = futures::future::poll_fn(|context| channel.poll_ready(context)).await;
    let answer = match ready {
        Ok(()) => channel.call(request).await,
        Err(e) => Err(e),
    };
    match answer {
        Ok(answer) => answer.map(Body::new),
        Err(e) => (StatusCode::BAD_GATEWAY, e.to_string()).into_response(),
    }
}
