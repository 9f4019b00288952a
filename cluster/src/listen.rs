//! Ports that others call: without delay, and over TLS where there are certificates.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::{ClusterError, Result};
use crate::tls::Tls;

/// Who has not shaken hands by then is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The first byte of who speaks TLS: a record of the handshake.
const HELLO: u8 = 22;

/// Listens without delay: accepted connections send what they have at once.
pub(crate) fn listen(who: &str, address: SocketAddr) -> Result<TcpListener> {
    let bound = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        socket.listen(1024)
    };
    bound().map_err(|e: std::io::Error| {
        ClusterError::Options(format!("{who} cannot listen on {address}: {e}"))
    })
}

/// Serves until the listener fails. Where there is TLS, who speaks without it is told so and gets nothing else.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<&Tls>,
    router: Router,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let Some(tls) = tls else {
        return axum::serve(listener, service).await;
    };
    let address = listener.local_addr()?;
    let (shaken, connections) = channel(16);
    // `tap_io`: axum tells the caller's address of its own listeners alone.
    let encrypted = Accepted {
        connections,
        address,
    }
    .tap_io(|_| ());
    let (refused, connections) = channel(16);
    let plain = Accepted {
        connections,
        address,
    };
    let no = Router::new().fallback(without_tls);
    tokio::select! {
        () = sort(listener, tls.acceptor.clone(), shaken, refused) => Ok(()),
        served = axum::serve(encrypted, service).into_future() => served,
        served = axum::serve(plain, no).into_future() => served,
    }
}

/// Shakes hands with each caller beside the others, so that none waits for a slow one.
async fn sort(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    shaken: Sender<(TlsStream<TcpStream>, SocketAddr)>,
    refused: Sender<(TcpStream, SocketAddr)>,
) {
    loop {
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, shaken, refused) = (acceptor.clone(), shaken.clone(), refused.clone());
        tokio::spawn(tokio::time::timeout(HANDSHAKE, async move {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first[0] != HELLO => drop(refused.send((stream, peer)).await),
                _ => match acceptor.accept(stream).await {
                    Ok(stream) => drop(shaken.send((stream, peer)).await),
                    Err(e) => tracing::info!("{peer} did not shake hands: {e}"),
                },
            }
        }));
    }
}

/// Connections that somebody else accepted.
struct Accepted<Io> {
    connections: Receiver<(Io, SocketAddr)>,
    address: SocketAddr,
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Listener for Accepted<Io> {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Io, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn without_tls(request: Request) -> Response {
    let said = "this port speaks TLS: write https://, and name the certificate of its authority (`tls_ca` in `[engine]`, --tls-ca)";
    let grpc = tonic::Status::failed_precondition(said);
    refuse(request.headers(), grpc, StatusCode::BAD_REQUEST)
}

/// A refusal in the protocol of the request.
pub(crate) fn refuse(headers: &HeaderMap, grpc: tonic::Status, http: StatusCode) -> Response {
    let asked = headers.get("content-type");
    if asked.is_some_and(|t| t.as_bytes().starts_with(b"application/grpc")) {
        return grpc.into_http();
    }
    (http, grpc.message().to_owned()).into_response()
}
