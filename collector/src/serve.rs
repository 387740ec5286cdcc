//! Serving: the store, the core and the two listeners put together, from start to a clean stop.
//!
//! Also the commands that work on the store of a stopped collector. Nothing is decided here; each part says for
//! itself what is wrong with it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use muster_proto::FILE_DESCRIPTOR_SET;
use muster_proto::link::telemetry::{self, Exporter, LogFormat, OtlpError, OtlpSettings, TelemetryError};
use muster_proto::v1::readiness_service_server::ReadinessServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::{error, info};

use crate::access::Access;
use crate::cli;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConnectionLimits};
use crate::core::{Core, StartError};
use crate::ingest;
use crate::listeners::{Listeners, ListenersError};
use crate::maintain;
use crate::names::{InvalidNameKey, NameKeys};
use crate::reload::{Reloader, reload_on_signal};
use crate::settings::Settings;
use crate::sites::{InvalidInventory, Sites};
use crate::store::{self, StoreError};
use crate::view::health::Health;
use crate::view::metrics::{self, Observatory};
use crate::view::{self, api::Api, guard::HostNames};

/// Largest list of headers of a request, in bytes: ours have under one kilobyte.
pub(crate) const HEADER_BYTES: u32 = 16 << 10;

/// Most streams of one connection at a time: a probe uses one, a command line a few.
pub(crate) const STREAMS_PER_CONNECTION: u32 = 64;

/// Streams a peer may reset before we have accepted them (CVE-2023-44487, "rapid reset").
pub(crate) const PENDING_RESETS: usize = 16;

/// How often a silent connection is asked whether it is still there, and how long it may take to answer.
pub(crate) const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// Longest that calls under way may take to end after the collector was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Says why the collector does not serve, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Logs cannot be started.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The runtime cannot be started.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    /// A file named in the configuration cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The inventory is wrong.
    #[error("inventory `{}` cannot be used", path.display())]
    Inventory {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        cause: InvalidInventory,
    },
    /// Names of people cannot be replaced.
    #[error(transparent)]
    Names(#[from] InvalidNameKey),
    /// The listeners cannot be opened.
    #[error(transparent)]
    Listeners(#[from] ListenersError),
    /// Telemetry cannot be exported.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no store where the configuration says.
    #[error("no store at `{}`", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// The core cannot start.
    #[error(transparent)]
    Core(#[from] StartError),
    /// A listener ended.
    #[error("the {listener} listener failed")]
    Transport {
        /// Which listener.
        listener: &'static str,
        /// Why.
        #[source]
        cause: tonic::transport::Error,
    },
    /// The reflection service cannot be built.
    #[error("the descriptors of the API cannot be served")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Longest the last export may take at the end.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// `muster-collector serve`.
pub fn main(config: Config) -> ExitCode {
    let format = if config.log.json { LogFormat::Json } else { LogFormat::Text };
    let exporter = match exporter(&config) {
        Ok(exporter) => exporter,
        Err(error) => return cli::fail(&ServeError::from(error)),
    };
    let started = telemetry::start(format, &config.log.filter, exporter.as_ref());
    let exported = exporter.clone();
    let done = started.map_err(ServeError::from).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
        let done = runtime.block_on(async {
            let stop = CancellationToken::new();
            // Before anything is opened: a signal that comes while the store is loaded must not kill it.
            outlive_hangups();
            tokio::spawn(stop_on_signal(stop.clone()));
            let serving = Collector::start_exporting(config, Arc::new(SystemClock), exported, stop.clone()).await?;
            tokio::spawn(reload_on_signal(serving.reloader().clone(), stop));
            serving.finish().await
        });
        // A blocking call that hangs, in a file system say, must not keep the process alive.
        runtime.shutdown_timeout(DRAIN);
        done
    });
    // Off the runtime, which is gone: an exporter that hangs has held nothing up, and does not now.
    if let Some(exporter) = exporter {
        exporter.shutdown(LAST_EXPORT);
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}

/// Starts to export where the settings or the environment say so.
fn exporter(config: &Config) -> Result<Option<Exporter>, OtlpError> {
    let settings = match &config.telemetry {
        Some(settings) => Some(settings.clone()),
        None => OtlpSettings::from_environment(|key| std::env::var(key).ok())?,
    };
    settings.map(|settings| Exporter::start(&settings, "muster-collector", env!("CARGO_PKG_VERSION"))).transpose()
}

async fn stop_on_signal(stop: CancellationToken) {
    terminated().await;
    info!("told to stop");
    stop.cancel();
}

/// Takes SIGHUP from its default, which ends the process, until reloading listens to it. What is taken once stays taken.
#[cfg(unix)]
fn outlive_hangups() {
    use tokio::signal::unix::{SignalKind, signal};
    if let Err(error) = signal(SignalKind::hangup()) {
        error!(%error, "signals cannot be received; SIGHUP ends the collector");
    }
}

#[cfg(not(unix))]
fn outlive_hangups() {}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn terminated() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A collector that serves.
#[derive(Debug)]
pub struct Collector {
    /// Where probes connect.
    pub probes: Vec<SocketAddr>,
    /// Where operators connect.
    pub operators: Vec<SocketAddr>,
    /// How the listeners stand: certificates, revocation lists, reloads, refusals.
    pub access: Arc<Access>,
    core: Core,
    background: tokio::task::JoinHandle<()>,
    tasks: tokio::task::JoinSet<Result<(), ServeError>>,
    stop: CancellationToken,
    listeners: Listeners,
}

impl Collector {
    /// Opens the store, loads what is in it, and serves until `stop`.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Self, ServeError> {
        Self::start_exporting(config, clock, None, stop).await
    }

    /// Does what [`Collector::start`] does, and gives the exporter its metrics.
    pub async fn start_exporting(
        config: Config,
        clock: Arc<dyn Clock>,
        exporter: Option<Exporter>,
        stop: CancellationToken,
    ) -> Result<Self, ServeError> {
        let sites = inventory(config.inventory_file.as_deref())?;
        let names = config.names.as_ref().map(|own| NameKeys::read(&own.key, own.previous.as_deref())).transpose()?;
        let policy_text = config.policy_file.as_deref().map(read).transpose()?;
        // Sockets first: an address in use is told before minutes are spent on loading.
        let mut listeners = Listeners::open(&config, &clock).await?;
        let (probes, operators) = (listeners.probe_addresses.clone(), listeners.operator_addresses.clone());
        let access = Arc::clone(&listeners.access);

        let now = clock.now();
        let store_config = config.store.clone();
        let store_path = (store_config.backend == "sled").then(|| store_config.path.clone());
        let opened = tokio::task::spawn_blocking(move || {
            store::open_or_rebuild(&store_config.backend, &store_config.path, store_config.snapshots.as_deref(), now)
        })
        .await
        .map_err(|error| ServeError::Runtime(io::Error::other(error)))??;
        let settings = Settings {
            default_forest: config.default_forest.clone(),
            cadences: config.cadences,
            grants: config.grants.clone(),
            sites,
            rebuilding: opened.rebuilding.is_some(),
            names,
            ..Settings::default()
        };
        let progress = |hosts: u64| info!(hosts, "loading");
        let core = Core::start(opened.store, Arc::clone(&clock), settings, policy_text.as_deref(), &progress).await?;
        let background = tokio::spawn(core.clone().run(stop.clone()));
        tokio::spawn(listeners.reloader.clone().run(core.clone(), stop.clone()));

        let mut tasks = tokio::task::JoinSet::new();
        let incoming = listeners.accept_probes(&stop);
        let serving = server(config.probes.limits).add_service(ingest::service(core.clone()));
        let until = stop.clone();
        tasks.spawn(async move {
            serving
                .serve_with_incoming_shutdown(incoming, until.cancelled_owned())
                .await
                .map_err(|cause| ServeError::Transport { listener: "probes'", cause })
        });

        let (reporter, health_service) = tonic_health::server::health_reporter();
        let health = Arc::new(Health::new(core.clone(), stop.clone()));
        tokio::spawn(Arc::clone(&health).report(reporter));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(ServeError::Reflection)?;
        let incoming = listeners.accept_operators(&stop);
        let observatory = Observatory::new(core.clone(), Arc::clone(&access), store_path, exporter.clone());
        let observatory = Arc::new(observatory);
        if let Some(exporter) = &exporter {
            let observatory = Arc::clone(&observatory);
            exporter.provide_metrics(Box::new(move || metrics::otlp::messages(&observatory)));
        }
        tokio::spawn(Arc::clone(&observatory).run(stop.clone()));
        let host_names = match config.operators.tls {
            None => HostNames::Loopback(config.operators.host_names.as_slice().into()),
            Some(_) => HostNames::Any,
        };
        let api = Api::new(core.clone()).with_reloader(listeners.reloader.clone());
        let routes = Routes::from(view::http::router(&observatory, &health))
            .add_service(ReadinessServiceServer::new(api))
            .add_service(tonic::service::interceptor::InterceptedService::new(health_service, operators_only))
            .add_service(tonic::service::interceptor::InterceptedService::new(reflection, operators_only));
        let routes = Routes::from(view::guard::guarded(routes.into_axum_router(), host_names));
        // Browsers and scrapers speak HTTP/1.1, on this listener only.
        let serving = server(config.operators.limits).accept_http1(true).add_routes(routes);
        let until = stop.clone();
        tasks.spawn(async move {
            serving
                .serve_with_incoming_shutdown(incoming, until.cancelled_owned())
                .await
                .map_err(|cause| ServeError::Transport { listener: "operators'", cause })
        });
        info!(?probes, ?operators, version = env!("CARGO_PKG_VERSION"), "serving");
        Ok(Self { probes, operators, access, core, background, tasks, stop, listeners })
    }

    /// Exchanges what the listeners believe.
    pub const fn reloader(&self) -> &Reloader {
        &self.listeners.reloader
    }

    /// The core, for those who look at it from inside the process.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// Waits until the collector was told to stop, lets calls under way end, and closes the store.
    pub async fn finish(mut self) -> Result<(), ServeError> {
        let first = tokio::select! {
            () = self.stop.cancelled() => Ok(()),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(result)) => result,
                Some(Err(error)) => Err(ServeError::Runtime(io::Error::other(error))),
                None => Ok(()),
            },
        };
        self.stop.cancel();
        let drained = tokio::time::timeout(DRAIN, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            info!("calls under way were cut off");
        }
        self.tasks.abort_all();
        // Background work writes last-seen times before it ends.
        let _ = self.background.await;
        if let Err(error) = self.core.store().close().await {
            error!(error = %muster_proto::link::Chain(&error), "the store did not close cleanly");
            return Err(error.into());
        }
        info!("stopped");
        first
    }
}

fn server(limits: ConnectionLimits) -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_keepalive_interval(Some(KEEP_ALIVE.0))
        .http2_keepalive_timeout(Some(KEEP_ALIVE.1))
        .timeout(limits.request_time)
        .max_connection_age(limits.connection_age)
}

/// Health and reflection answer operators only, like every other method of that side.
fn operators_only(request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
    view::api::operator(&request)?;
    Ok(request)
}

fn read(path: &Path) -> Result<String, ServeError> {
    std::fs::read_to_string(path).map_err(|cause| ServeError::Read { path: path.to_owned(), cause })
}

fn inventory(path: Option<&Path>) -> Result<Sites, ServeError> {
    let Some(path) = path else { return Ok(Sites::default()) };
    Sites::parse(&read(path)?).map_err(|cause| ServeError::Inventory { path: path.to_owned(), cause })
}

/// `muster-collector backup`, on the store of a stopped collector.
pub fn backup(config: &Config, into: PathBuf) -> ExitCode {
    let bar = progress("records");
    let shown = bar.clone();
    let target = into.clone();
    let done = on_store(config, async move |store| {
        maintain::backup(store.as_ref(), into, move |records| shown.set_position(records)).await
    });
    bar.finish_and_clear();
    report(done, |records| format!("{records} records copied into `{}`", target.display()))
}

/// `muster-collector restore`.
pub fn restore(config: &Config, from: &Path) -> ExitCode {
    let bar = progress("records");
    let done = maintain::restore(from, &config.store.path, &|records| bar.set_position(records));
    bar.finish_and_clear();
    report(done.map_err(ServeError::from), |info| {
        format!("{} records of {} hosts restored into `{}`", info.records, info.hosts, config.store.path.display())
    })
}

/// `muster-collector recount`.
pub fn recount(config: &Config, repair: bool) -> ExitCode {
    let bar = progress("hosts");
    let shown = bar.clone();
    let done = on_store(config, async move |store| {
        let count = |host: &store::StoredHost| {
            let counters = crate::totals::counters_of(&host.record, &host.verdicts);
            counters.into_iter().map(|(counter, by)| store::CounterDelta { counter, by }).collect()
        };
        let recount = maintain::recount(store.as_ref(), count, &|hosts| shown.set_position(hosts)).await?;
        if repair && !recount.differences.is_empty() {
            store.set_totals(recount.counted.clone().into_iter().collect()).await?;
        }
        Ok(recount)
    });
    bar.finish_and_clear();
    let differ = done.as_ref().is_ok_and(|recount| !recount.differences.is_empty());
    let code = report(done, |recount| {
        let mut text = format!("{} hosts and {} counters", recount.hosts, recount.counted.len());
        for difference in &recount.differences {
            use std::fmt::Write as _;
            let _ = write!(
                text,
                "\n{}: the store has {}, counted {}",
                difference.counter, difference.stored, difference.counted
            );
        }
        text.push_str(match (differ, repair) {
            (false, _) => ": no difference",
            (true, true) => "\nthe totals were replaced",
            (true, false) => "\nthe totals differ; --repair replaces them",
        });
        text
    });
    if differ && !repair { ExitCode::from(cli::EXIT_FAILED) } else { code }
}

/// Opens the configured store, works on it, and closes it.
fn on_store<T>(
    config: &Config,
    work: impl AsyncFnOnce(Arc<dyn store::Store>) -> Result<T, StoreError>,
) -> Result<T, ServeError> {
    // Opening would make an empty store, and a mistyped path would be told as "no difference".
    if config.store.backend == "sled" && !config.store.path.exists() {
        return Err(ServeError::NoStore { path: config.store.path.clone() });
    }
    let store = store::open(&config.store.backend, &config.store.path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    Ok(runtime.block_on(async {
        let done = work(Arc::clone(&store)).await?;
        store.close().await?;
        Ok::<T, StoreError>(done)
    })?)
}

fn report<T>(done: Result<T, ServeError>, text: impl FnOnce(T) -> String) -> ExitCode {
    match done {
        Ok(value) => {
            cli::say(&text(value));
            ExitCode::SUCCESS
        }
        Err(error) => cli::fail(&error),
    }
}

/// A progress bar on the error stream, which shows itself on a terminal only.
fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{pos} {msg} {spinner} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
