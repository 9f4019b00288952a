//! The scheduler: accepts jobs, deals their parts, and keeps the desk.
//!
//! One port for gRPC, Flight actions and JSON over HTTP. The listener sends without delay: `start_server` of Ballista 55 leaves
//! Nagle's algorithm on, which makes every answer wait some 40 ms for a delayed acknowledgement.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::UpdateTaskStatusParams;
use ballista_core::serde::protobuf::scheduler_grpc_server::{SchedulerGrpc, SchedulerGrpcServer};
use ballista_core::utils::{default_config_producer, default_session_builder};
use ballista_scheduler::cluster::memory::InMemoryJobState;
use ballista_scheduler::cluster::{BallistaCluster, ClusterState};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_graph::RunningTaskInfo;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tonic::service::RoutesBuilder;

use crate::call::Caller;
use crate::desk::{AskStatus, Desk, DeskService};
use crate::drivers::{Drivers, Runs};
use crate::error::{ClusterError, Result};
use crate::guard::{check_token, require_safe};
use crate::listen::{listen, serve};
use crate::node::Codec;
use crate::slots::{Pool, Slots};
use crate::status::{ExecutorStatus, Status};
use crate::tls::Tls;
use crate::{MESSAGE, status};

type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// How a scheduler runs.
#[derive(Clone)]
pub struct SchedulerOptions {
    /// Address to listen on; port 0 takes a free one. Default: `127.0.0.1:50050`.
    pub listen: SocketAddr,
    /// Host that executors reach it under, where it is another. Default: none.
    pub advertise: Option<String>,
    /// What every request must show; needed for any address but loopback.
    pub token: Option<String>,
    /// Certificates, where the cluster speaks TLS. Default: none.
    pub tls: Option<Tls>,
    /// An executor that was not heard of for so long is lost. Default: 5 s.
    pub executor_timeout: Duration,
    /// With no executor for so long, jobs fail. Default: 30 s.
    pub grace: Duration,
    /// Shares by pool; pools that are not named have weight 1.
    pub pools: BTreeMap<String, Pool>,
    /// What runs detached drivers, and the folder for their runs; no other scheduler may use it. `None`: such runs are refused.
    pub drivers: Option<(Arc<dyn Drivers>, PathBuf)>,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50050)),
            advertise: None,
            token: None,
            tls: None,
            executor_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            pools: BTreeMap::new(),
            drivers: None,
        }
    }
}

impl SchedulerOptions {
    /// The host that others know it as.
    fn host(&self) -> String {
        let own = || self.listen.ip().to_string();
        self.advertise.clone().unwrap_or_else(own)
    }
}

/// Host and port as they stand in an address: those of IPv6 in brackets.
fn in_url(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

/// How long drivers have to write their checkpoints when the scheduler is told to stop.
const DRIVERS_END: Duration = Duration::from_secs(8);

/// A scheduler that listens.
pub struct Scheduler {
    address: SocketAddr,
    tls: Option<Tls>,
    listener: tokio::net::TcpListener,
    router: Router,
    runs: Option<Arc<Runs>>,
}

impl Scheduler {
    /// Starts to listen.
    ///
    /// # Errors
    /// The address is taken, or is not loopback and there is no token; the certificate is not one of this host.
    pub async fn start(options: SchedulerOptions) -> Result<Self> {
        let host = options.host();
        require_safe(
            &options.listen,
            &host,
            options.token.as_deref(),
            options.tls.as_ref(),
        )?;
        let listener = listen("the scheduler", options.listen)?;
        let address = listener
            .local_addr()
            .map_err(|e| ClusterError::Options(format!("the scheduler has no address: {e}")))?;
        let runs = options.drivers.clone().map(|(drivers, folder)| {
            // Its certificate is for the host that the others call it.
            let url = match options.tls {
                Some(_) => format!("https://{}", in_url(&host, address.port())),
                None => format!("http://{address}"),
            };
            Arc::new(Runs::new(folder, url, drivers))
        });
        if let Some(runs) = &runs {
            runs.find().map_err(ClusterError::Options)?;
        }
        let router = router(&options, address, runs.clone()).await?;
        Ok(Self {
            address,
            tls: options.tls,
            listener,
            router,
            runs,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; detached drivers are stopped then, and what else is at work is cut off.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let failed = |e: std::io::Error| ClusterError::unreachable("the scheduler's port", e);
        // Drivers need the scheduler to end well: it serves until they are gone.
        let stop = async {
            stop.await;
            if let Some(runs) = self.runs {
                let _ = tokio::task::spawn_blocking(move || runs.stop_all(DRIVERS_END)).await;
            }
        };
        tokio::select! {
            served = serve(self.listener, self.tls.as_ref(), self.router) => served.map_err(failed),
            () = stop => Ok(()),
        }
    }
}

async fn router(
    options: &SchedulerOptions,
    address: SocketAddr,
    runs: Option<Arc<Runs>>,
) -> Result<Router> {
    let failed = |e: ballista_core::error::BallistaError| ClusterError::Options(e.to_string());
    let slots = Arc::new(Slots::new(options.pools.clone()));
    let cluster = BallistaCluster::new(
        slots.clone(),
        Arc::new(InMemoryJobState::new(
            "emberline",
            Arc::new(default_session_builder),
            Arc::new(default_config_producer),
        )),
    );
    let timeout = options.executor_timeout.as_secs().max(1);
    let authorities = options.tls.as_ref().map(|tls| tls.authorities.clone());
    let caller = Caller::new(options.token.clone(), authorities);
    let config = SchedulerConfig {
        external_host: options.host(),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        executor_timeout_seconds: timeout,
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: options.grace.as_secs(),
        // Finished jobs keep their plans, state of every round included.
        finished_job_state_clean_up_interval_seconds: 2,
        finished_job_data_clean_up_interval_seconds: 10,
        grpc_server_max_decoding_message_size: MESSAGE as u32,
        grpc_server_max_encoding_message_size: MESSAGE as u32,
        grpc_client_max_message_size: MESSAGE as u32,
        override_physical_codec: Some(Arc::new(Codec::default())),
        override_create_grpc_client_endpoint: Some(caller.hook()),
        ..Default::default()
    };
    let server: Server = create_scheduler(cluster, Arc::new(config))
        .await
        .map_err(failed)?;
    tokio::spawn(deal_again(server.clone(), slots.clone()));
    let desk = Arc::new(Desk::default());
    let view = View {
        server: server.clone(),
        slots,
        desk: desk.clone(),
        runs: runs.clone(),
        started: Instant::now(),
    };
    let ask: AskStatus = {
        let view = view.clone();
        Arc::new(move || {
            let view = view.clone();
            Box::pin(async move { view.status().await })
        })
    };
    let mut routes = RoutesBuilder::default();
    routes.add_service(
        SchedulerGrpcServer::new(server)
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(MESSAGE),
    );
    routes.add_service(
        FlightServiceServer::new(DeskService {
            desk,
            status: ask,
            runs,
        })
        .max_decoding_message_size(MESSAGE)
        .max_encoding_message_size(MESSAGE),
    );
    let json = Router::new()
        .route(
            "/api/status",
            get(async |State(view): State<View>| Json(view.status().await)),
        )
        .route("/readyz", get(ready))
        .with_state(view);
    let guarded = routes
        .routes()
        .into_axum_router()
        .merge(json)
        .layer(from_fn_with_state(options.token.clone(), check_token));
    // Probes carry no token, and learn nothing but that the process lives.
    Ok(guarded.route("/healthz", get(async || "ok")))
}

/// Parts that wait for a busy executor are offered to others after a while, and late ones are run a second time, though nothing happens
/// that would make Ballista deal. Runs that were overtaken are stopped.
async fn deal_again(server: Server, slots: Arc<Slots>) {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        if slots.any_loser() {
            stop_losers(&server, &slots).await;
        }
        if !slots.wants_deal() {
            continue;
        }
        let Some(executor_id) = slots.executor_heartbeats().into_keys().next() else {
            continue;
        };
        // News of no task: dealt with like any other, and followed by a deal.
        let news = UpdateTaskStatusParams {
            executor_id,
            task_status: Vec::new(),
        };
        if let Err(e) = SchedulerGrpc::update_task_status(&server, tonic::Request::new(news)).await
        {
            tracing::warn!("cannot deal parts again: {e}");
        }
    }
}

async fn stop_losers(server: &Server, slots: &Slots) {
    let running = server.state.task_manager.get_running_job_cache();
    let tasks = slots.losers(|job| running.contains_key(job));
    let tasks =
        tasks.into_iter().map(
            |((job_id, stage_id, task_id), executor_id)| RunningTaskInfo {
                task_id,
                job_id,
                stage_id,
                executor_id,
            },
        );
    let stopped = server
        .state
        .executor_manager
        .cancel_running_tasks(tasks.collect());
    if let Err(e) = stopped.await {
        tracing::warn!("runs that were overtaken cannot be stopped: {e}");
    }
}

/// What there is to see.
#[derive(Clone)]
struct View {
    server: Server,
    slots: Arc<Slots>,
    desk: Arc<Desk>,
    runs: Option<Arc<Runs>>,
    started: Instant,
}

impl View {
    async fn status(&self) -> Status {
        let alive = self.slots.executor_heartbeats();
        self.desk.keep_reports(|id| alive.contains_key(id));
        let jobs = self.jobs().await;
        let mut executors: Vec<ExecutorStatus> = Vec::new();
        for meta in self.slots.registered_executor_metadata().await {
            let (slots, failures, set_aside) = self.slots.of(&meta.id);
            executors.push(ExecutorStatus {
                address: format!("{}:{}", meta.host, meta.port),
                slots,
                running: 0,
                failures,
                set_aside,
                worker: self.desk.report_of(&meta.id),
                id: meta.id,
            });
        }
        executors.sort_by(|a, b| a.address.cmp(&b.address));
        let at_work = |id: &str| {
            jobs.iter()
                .flat_map(|j| &j.running)
                .filter(|(_, e)| e == id)
                .count()
        };
        for executor in &mut executors {
            executor.running = at_work(&executor.id) as u32;
        }
        let (repeated, overtaken) = self.slots.repeated();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            executors,
            runs: status::runs_of(&jobs),
            jobs,
            detached: self.runs.as_ref().map_or_else(Vec::new, |r| r.all()),
            blob_bytes: self.desk.bytes(),
            repeated,
            overtaken,
        }
    }

    async fn jobs(&self) -> Vec<status::JobStatus> {
        let mut jobs = Vec::new();
        for (id, info) in self
            .server
            .state
            .task_manager
            .get_running_job_cache()
            .iter()
        {
            let graph = info.execution_graph.read().await;
            let label = crate::node::JobExec::inside(&graph.physical_plan())
                .map(|job| job.label.clone())
                .unwrap_or_default();
            let parts = graph.stages().values();
            let parts: usize = parts
                .map(|s| {
                    s.plan()
                        .properties()
                        .output_partitioning()
                        .partition_count()
                })
                .sum();
            let running: Vec<(usize, String)> = graph
                .running_tasks()
                .into_iter()
                .map(|t| (t.task_id, t.executor_id))
                .collect();
            jobs.push(status::JobStatus {
                id: id.to_string(),
                submission: graph.job_name().to_owned(),
                run: label.run.clone(),
                pool: label.pool.clone(),
                name: label.name.clone(),
                state: "running".to_owned(),
                parts,
                done: parts.saturating_sub(running.len() + graph.available_tasks()),
                running,
                seconds: self.slots.age_of(id).as_secs_f64(),
            });
        }
        jobs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        jobs
    }
}

async fn ready(State(view): State<View>) -> Response {
    if view.slots.executor_heartbeats().is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no executor yet").into_response();
    }
    "ready".into_response()
}
