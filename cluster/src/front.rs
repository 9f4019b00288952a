//! The door of an executor that can be reached from other machines.
//!
//! Ballista's executors answer anybody. So their services listen on loopback, and this door stands before them on the outer address:
//! it lets requests with the token through, and ends the others before their bodies are read.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};

use crate::error::{ClusterError, Result};
use crate::scheduler::{check_token, listen};

/// Listens on `outer`, and forwards to the same port of loopback what shows the token.
pub(crate) fn open(outer: SocketAddr, token: String) -> Result<tokio::task::JoinHandle<()>> {
    let listener = listen("the executor", outer)?;
    let inner = format!("http://127.0.0.1:{}", outer.port());
    let channel = Endpoint::from_shared(inner)
        .map_err(|e| ClusterError::Options(e.to_string()))?
        .tcp_nodelay(true)
        .connect_lazy();
    let router = Router::new()
        .fallback(forward)
        .with_state(channel)
        .layer(from_fn_with_state(Some(token), check_token));
    Ok(tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, router).await {
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
