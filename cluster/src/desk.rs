//! Bytes that lie ready under their digest at the scheduler, and what executors report there: a Flight service of named actions.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::{Stream, StreamExt};
use serde_json::Value;
use sha2::Digest as _;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::drivers::Runs;
use crate::{ClusterError, Digest, MESSAGE, PIECE, Result, hex};

/// Lays bytes ready: digest, length, offset, bytes.
pub(crate) const PUT: &str = "put";
/// Gives bytes that lie ready, in pieces.
pub(crate) const GET: &str = "get";
/// Takes what a worker holds: id of the executor, a zero byte, JSON.
pub(crate) const REPORT: &str = "report";
/// Gives the status of the cluster as JSON.
pub(crate) const STATUS: &str = "status";
/// Starts a driver beside the scheduler: name of the run, a zero byte, request; gives its id.
pub(crate) const RUN: &str = "run";
/// Gives a piece of the log of a detached run: offset, id; a byte that tells whether the run has ended, and what follows the offset.
pub(crate) const LOG: &str = "log";
/// Stops a detached run: id.
pub(crate) const STOP: &str = "stop";

/// Bytes kept at most; those longest unused go first, and a client that still needs them lays them ready again.
const MOST: u64 = 1 << 30;

/// What lies on the scheduler's desk.
#[derive(Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Blob>,
    bytes: u64,
    reports: BTreeMap<String, Value>,
}

struct Blob {
    bytes: Vec<u8>,
    arrived: usize,
    whole: Option<Arc<[u8]>>,
    used: Instant,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// What the worker of an executor told last.
    pub(crate) fn report_of(&self, executor: &str) -> Value {
        self.lock()
            .reports
            .get(executor)
            .cloned()
            .unwrap_or_default()
    }

    /// Forgets the reports of executors that are gone.
    pub(crate) fn keep_reports(&self, alive: impl Fn(&str) -> bool) {
        self.lock().reports.retain(|id, _| alive(id));
    }

    fn put(&self, body: &[u8]) -> std::result::Result<(), Status> {
        let bad = || Status::invalid_argument("a piece of bytes is cut short");
        let (digest, rest) = body.split_first_chunk::<32>().ok_or_else(bad)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let (offset, piece) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let (length, offset) = (u64::from_le_bytes(*length), u64::from_le_bytes(*offset));
        if length > MOST || offset.saturating_add(piece.len() as u64) > length {
            return Err(Status::invalid_argument(format!(
                "{length} bytes are more than the {MOST} that can lie ready"
            )));
        }
        let (length, offset) = (length as usize, offset as usize);
        let mut state = self.lock();
        let state = &mut *state;
        let blob = state.blobs.entry(*digest).or_insert_with(|| Blob {
            bytes: Vec::new(),
            arrived: 0,
            whole: None,
            used: Instant::now(),
        });
        blob.used = Instant::now();
        if blob.whole.is_some() {
            return Ok(());
        }
        // Pieces come in order over one connection; a client that starts anew starts at 0. Memory grows with what arrived.
        if offset == 0 {
            blob.bytes.clear();
        }
        if blob.bytes.len() != offset {
            return Err(Status::aborted("a piece of bytes was lost; send all again"));
        }
        blob.bytes.extend_from_slice(piece);
        blob.arrived = blob.bytes.len();
        if blob.arrived == length {
            let bytes = std::mem::take(&mut blob.bytes);
            if <Digest>::from(sha2::Sha256::digest(&bytes)) != *digest {
                state.blobs.remove(digest);
                return Err(Status::data_loss(
                    "the bytes do not have the digest they were sent under",
                ));
            }
            state.bytes += length as u64;
            blob.whole = Some(bytes.into());
            while state.bytes > MOST {
                let unused = state.blobs.iter().filter(|(d, _)| *d != digest);
                let Some(oldest) = unused.min_by_key(|(_, b)| b.used).map(|(d, _)| *d) else {
                    break;
                };
                let gone = state.blobs.remove(&oldest).and_then(|b| b.whole);
                state.bytes -= gone.map_or(0, |b| b.len() as u64);
            }
        }
        Ok(())
    }

    fn get(&self, digest: &[u8]) -> std::result::Result<Arc<[u8]>, Status> {
        let digest: Digest = digest
            .try_into()
            .map_err(|_| Status::invalid_argument("a digest has 32 bytes"))?;
        let mut state = self.lock();
        let blob = state.blobs.get_mut(&digest);
        let whole = blob.and_then(|blob| {
            blob.used = Instant::now();
            blob.whole.clone()
        });
        whole.ok_or_else(|| Status::not_found(format!("no bytes lie under {}", hex(&digest))))
    }

    fn report(&self, body: &[u8]) -> std::result::Result<(), Status> {
        let bad = |e: String| Status::invalid_argument(format!("a report cannot be read: {e}"));
        let (id, json) = named(body).map_err(bad)?;
        let json: Value = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
        self.lock().reports.insert(id.to_owned(), json);
        Ok(())
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;
type Flow<T> = Pin<Box<dyn Stream<Item = std::result::Result<T, Status>> + Send>>;

/// How the status is asked for.
pub(crate) type AskStatus =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = crate::Status> + Send>> + Send + Sync>;

/// The desk as a service.
pub(crate) struct DeskService {
    pub desk: Arc<Desk>,
    pub status: AskStatus,
    pub runs: Option<Arc<Runs>>,
}

impl DeskService {
    /// What concerns detached runs. Looks at files and starts processes, so it is kept off the threads that answer others.
    async fn detached(
        &self,
        action: String,
        body: Vec<u8>,
    ) -> std::result::Result<Vec<u8>, Status> {
        let runs = self.runs.clone().ok_or_else(|| {
            Status::failed_precondition("this scheduler starts no drivers (--no-detach)")
        })?;
        let done = tokio::task::spawn_blocking(move || match &*action {
            RUN => {
                let (name, request) = named(&body)?;
                runs.start(name, request).map(String::into_bytes)
            }
            LOG => {
                let (from, run) = body.split_first_chunk::<8>().ok_or(CUT)?;
                let (ended, log) = runs.log(utf8(run)?, u64::from_le_bytes(*from))?;
                Ok([vec![u8::from(ended)], log].concat())
            }
            _ => runs.stop(utf8(&body)?).map(|()| Vec::new()),
        });
        done.await
            .map_err(|e| Status::internal(e.to_string()))?
            .map_err(Status::failed_precondition)
    }
}

const CUT: &str = "a request is cut short";

fn utf8(bytes: &[u8]) -> std::result::Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| e.to_string())
}

/// A name, and what stands behind the zero byte after it.
fn named(body: &[u8]) -> std::result::Result<(&str, &[u8]), String> {
    let at = body.iter().position(|b| *b == 0).ok_or(CUT)?;
    Ok((utf8(&body[..at])?, &body[at + 1..]))
}

fn flow<T: Send + 'static>(items: Vec<T>) -> Flow<T> {
    Box::pin(futures::stream::iter(items.into_iter().map(Ok)))
}

fn no<T>() -> Answer<T> {
    Err(Status::unimplemented("this service knows actions alone"))
}

#[tonic::async_trait]
impl FlightService for DeskService {
    type HandshakeStream = Flow<HandshakeResponse>;
    type ListFlightsStream = Flow<FlightInfo>;
    type DoGetStream = Flow<FlightData>;
    type DoPutStream = Flow<PutResult>;
    type DoExchangeStream = Flow<FlightData>;
    type DoActionStream = Flow<arrow_flight::Result>;
    type ListActionsStream = Flow<ActionType>;

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let Action { r#type, body } = request.into_inner();
        let one = |body: Vec<u8>| arrow_flight::Result { body: body.into() };
        match &*r#type {
            PUT => {
                self.desk.put(&body)?;
                Ok(Response::new(flow(Vec::new())))
            }
            GET => {
                let bytes = self.desk.get(&body)?;
                let n = bytes.len().div_ceil(PIECE);
                let piece = move |i: usize| {
                    let end = bytes.len().min((i + 1) * PIECE);
                    Ok(one(bytes[i * PIECE..end].to_vec()))
                };
                Ok(Response::new(Box::pin(futures::stream::iter(
                    (0..n).map(piece),
                ))))
            }
            REPORT => {
                self.desk.report(&body)?;
                Ok(Response::new(flow(Vec::new())))
            }
            STATUS => {
                let status = (self.status)().await;
                let json =
                    serde_json::to_vec(&status).map_err(|e| Status::internal(e.to_string()))?;
                Ok(Response::new(flow(vec![one(json)])))
            }
            RUN | LOG | STOP => {
                let answer = self.detached(r#type, body.into()).await?;
                Ok(Response::new(flow(vec![one(answer)])))
            }
            other => Err(Status::unimplemented(format!("no action `{other}`"))),
        }
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Self::HandshakeStream> {
        no()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        no()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        no()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        no()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        no()
    }

    async fn do_get(&self, _: Request<Ticket>) -> Answer<Self::DoGetStream> {
        no()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        no()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Answer<Self::DoExchangeStream> {
        no()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        no()
    }
}

/// The desk from another process.
#[derive(Clone)]
pub(crate) struct DeskClient {
    peer: String,
    flight: FlightServiceClient<Channel>,
}

impl DeskClient {
    pub(crate) fn new(peer: &str, channel: Channel) -> Self {
        Self {
            peer: peer.to_owned(),
            flight: FlightServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE)
                .max_encoding_message_size(MESSAGE),
        }
    }

    /// Has an action done and returns what came back.
    pub(crate) async fn act(&self, action: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let failed = |status: Status| ClusterError::of_status(&self.peer, &status);
        let request = Action {
            r#type: action.to_owned(),
            body: body.into(),
        };
        let mut flow = self
            .flight
            .clone()
            .do_action(request)
            .await
            .map_err(failed)?
            .into_inner();
        let mut answer = Vec::new();
        while let Some(piece) = flow.next().await {
            answer.extend_from_slice(&piece.map_err(failed)?.body);
        }
        Ok(answer)
    }

    pub(crate) async fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let mut offset = 0;
        loop {
            let end = bytes.len().min(offset + PIECE);
            let mut body = digest.to_vec();
            body.extend((bytes.len() as u64).to_le_bytes());
            body.extend((offset as u64).to_le_bytes());
            body.extend_from_slice(&bytes[offset..end]);
            self.act(PUT, body).await?;
            offset = end;
            if offset == bytes.len() {
                return Ok(());
            }
        }
    }
}

/// The desk as the threads of an executor see it.
pub(crate) struct Blobs {
    pub runtime: tokio::runtime::Handle,
    pub desk: DeskClient,
}

impl Blobs {
    pub(crate) fn get(&self, digest: &Digest) -> Result<Arc<[u8]>> {
        let desk = self.desk.clone();
        let digest = *digest;
        let bytes = self
            .runtime
            .block_on(async move { desk.act(GET, digest.to_vec()).await })?;
        Ok(bytes.into())
    }
}
