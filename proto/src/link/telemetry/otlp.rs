//! Sending traces and metrics to an OTLP receiver, from a thread of its own.
//!
//! Nothing that takes or sends a report waits for it: what is to be exported is put into a bounded queue, and what finds
//! no room there is dropped and counted. A receiver that is slow, refuses or is gone is told in the log once a minute
//! and in the counts; it is tried again after a pause. The thread has a runtime of its own, so that the last export at
//! the end does not need the program's.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc as channel};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::Channel;
use tracing::warn;

use super::super::{Chain, CollectorUrl, InvalidTls, InvalidUrl, Timeouts, client_config, connect, load_certificates};
use super::super::{ConnectError, InvalidCredentials};
use super::tail::Outlet;

/// Kept traces that wait to be exported.
const QUEUE: usize = 1_024;

/// Spans in one message.
const SPANS_PER_MESSAGE: usize = 512;

/// How long spans wait for company.
const LINGER: Duration = Duration::from_millis(200);

/// Longest a receiver may take for one message.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after an export that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// How often a failing export is told.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Metrics are exported this often where nothing is configured.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// Most headers, and the longest a header's value may be.
const MOST_HEADERS: usize = 16;
const HEADER_BYTES: usize = 4_096;

/// Where to export to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The receiver, which speaks OTLP over gRPC.
    pub endpoint: CollectorUrl,
    /// PEM certificates of the CAs that may have issued the receiver's certificate.
    pub ca: Option<PathBuf>,
    /// Sent with every message.
    pub headers: Headers,
    /// How often metrics are exported.
    pub interval: Duration,
}

/// Headers of every message; their values are secrets and never printed.
#[derive(Clone, Default)]
pub struct Headers(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names().map(|name| format!("{name}=(secret)"))).finish()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Headers {}

impl Headers {
    /// Headers from texts of the form `name=value`.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHeaders> {
        let mut headers = Vec::new();
        for (number, text) in (1..).zip(texts) {
            let invalid = || InvalidHeaders { number };
            if number > MOST_HEADERS || text.len() > HEADER_BYTES {
                return Err(invalid());
            }
            let (name, value) = text.split_once('=').ok_or_else(invalid)?;
            let name = name.trim().to_ascii_lowercase().parse().map_err(|_| invalid())?;
            let mut value: MetadataValue<Ascii> = value.trim().parse().map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        Ok(Self(headers))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// Says that a header cannot be sent. Its text is a secret, so its number is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "header {number} cannot be sent (expected at most 16 of the form `name=value`, in ASCII and at most 4096 bytes)"
)]
pub struct InvalidHeaders {
    /// Its number, from 1.
    pub number: usize,
}

/// Says why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The address in the environment is none.
    #[error("`OTEL_EXPORTER_OTLP_ENDPOINT` cannot be used")]
    Endpoint(#[source] InvalidUrl),
    /// The headers in the environment cannot be sent.
    #[error("`OTEL_EXPORTER_OTLP_HEADERS` cannot be used")]
    Headers(#[source] InvalidHeaders),
    /// The CA cannot be read.
    #[error("the CA of the OTLP receiver cannot be used")]
    Ca(#[source] InvalidCredentials),
    /// The address is encrypted and no CA is configured.
    #[error("`{endpoint}` needs `telemetry.otlp_ca`, the CA of the receiver, and none is configured")]
    NoCa {
        /// The address.
        endpoint: CollectorUrl,
    },
    /// TLS cannot be set up with it.
    #[error("TLS to the OTLP receiver cannot be set up")]
    Tls(#[source] InvalidTls),
    /// The thread cannot be started.
    #[error("the thread that exports cannot be started")]
    Thread(#[source] std::io::Error),
}

impl OtlpSettings {
    /// What the standard variables of OpenTelemetry say; `None` where they name no receiver.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpError> {
        let of = |key: &str| get(key).filter(|value| !value.trim().is_empty());
        let Some(endpoint) = of("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
        let headers = of("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let interval = of("OTEL_METRIC_EXPORT_INTERVAL").and_then(|ms| ms.trim().parse().ok());
        Ok(Some(Self {
            endpoint: endpoint.parse().map_err(OtlpError::Endpoint)?,
            ca: of("OTEL_EXPORTER_OTLP_CERTIFICATE").map(PathBuf::from),
            headers: Headers::parse(headers.split(',').filter(|header| !header.trim().is_empty()))
                .map_err(OtlpError::Headers)?,
            interval: interval.map_or(DEFAULT_INTERVAL, |ms: u64| Duration::from_millis(ms.clamp(1_000, 3_600_000))),
        }))
    }
}

/// Counts of one signal's messages.
#[derive(Debug, Default)]
struct SignalCounts {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// What became of what was to be exported.
#[derive(Debug, Default)]
pub struct ExportCounts {
    traces: SignalCounts,
    metrics: SignalCounts,
    lost_spans: AtomicU64,
}

impl ExportCounts {
    /// Messages by signal and outcome: `sent`, `failed` (not taken by the receiver), `dropped` (no room in the queue).
    pub fn read(&self) -> [(&'static str, &'static str, u64); 6] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("traces", "sent", of(&self.traces.sent)),
            ("traces", "failed", of(&self.traces.failed)),
            ("traces", "dropped", of(&self.traces.dropped)),
            ("metrics", "sent", of(&self.metrics.sent)),
            ("metrics", "failed", of(&self.metrics.failed)),
            ("metrics", "dropped", of(&self.metrics.dropped)),
        ]
    }

    /// Spans that were to be exported and were not.
    pub fn lost_spans(&self) -> u64 {
        self.lost_spans.load(Ordering::Relaxed)
    }
}

/// Gives every metric there is, in as many messages as they need.
pub type MetricsSource = Box<dyn Fn() -> Vec<Vec<Metric>> + Send + Sync>;

/// Exports until it is told to stop. Cheap to clone.
#[derive(Clone)]
pub struct Exporter(Arc<Inner>);

struct Inner {
    counts: ExportCounts,
    queue: Mutex<Option<mpsc::Sender<Vec<SpanData>>>>,
    metrics: OnceLock<MetricsSource>,
    ended: Mutex<channel::Receiver<()>>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("counts", &self.0.counts).finish_non_exhaustive()
    }
}

impl Exporter {
    /// Starts the thread. The receiver need not be there yet.
    pub fn start(settings: &OtlpSettings, service: &'static str, version: &'static str) -> Result<Self, OtlpError> {
        let tls = match (&settings.ca, settings.endpoint.is_secure()) {
            (Some(ca), true) => {
                let anchors = load_certificates(ca).map_err(OtlpError::Ca)?;
                Some(client_config(None, &anchors).map_err(OtlpError::Tls)?)
            }
            (None, true) => return Err(OtlpError::NoCa { endpoint: settings.endpoint.clone() }),
            (_, false) => None,
        };
        let (queue, spans) = mpsc::channel(QUEUE);
        let (end, ended) = channel::sync_channel(1);
        let inner = Arc::new(Inner {
            counts: ExportCounts::default(),
            queue: Mutex::new(Some(queue)),
            metrics: OnceLock::new(),
            ended: Mutex::new(ended),
        });
        let resource = opentelemetry_sdk::Resource::builder_empty()
            .with_attributes([KeyValue::new("service.name", service), KeyValue::new("service.version", version)])
            .build();
        let way = Way { settings: settings.clone(), tls, channel: None };
        let worker = Worker { inner: Arc::clone(&inner), resource: (&resource).into(), service, version };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OtlpError::Thread)?;
        let work = move || {
            runtime.block_on(worker.run(way, spans));
            // Nobody waits for it unless the program is ending.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("otlp".to_owned()).spawn(work).map_err(OtlpError::Thread)?;
        Ok(Self(inner))
    }

    /// What became of what was to be exported.
    pub fn counts(&self) -> &ExportCounts {
        &self.0.counts
    }

    /// Says where metrics come from. A second source is not taken.
    pub fn provide_metrics(&self, source: MetricsSource) {
        let _ = self.0.metrics.set(source);
    }

    /// Exports what is left and ends, or gives up after `limit`. Blocks: call it where no runtime is needed any more.
    pub fn shutdown(&self, limit: Duration) {
        drop(self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(limit).is_err_and(|error| error == channel::RecvTimeoutError::Timeout) {
            warn!("the last telemetry was not exported in time");
        }
    }
}

impl Outlet for Exporter {
    fn offer(&self, spans: Vec<SpanData>) {
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Err(rejected)) = queue.as_ref().map(|queue| queue.try_send(spans)) else { return };
        let spans = rejected.into_inner();
        self.0.counts.traces.dropped.fetch_add(1, Ordering::Relaxed);
        self.lost(spans.len() as u64);
    }

    fn lost(&self, spans: u64) {
        self.0.counts.lost_spans.fetch_add(spans, Ordering::Relaxed);
    }
}

/// Says why an export failed.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the receiver refused it ({:?}): {}", .0.code(), .0.message())]
    Refused(tonic::Status),
    #[error("the receiver did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("the receiver took all but {rejected}: {message}")]
    Partial { rejected: i64, message: String },
}

/// The way to the receiver; connects when it must.
#[derive(Clone)]
struct Way {
    settings: OtlpSettings,
    tls: Option<Arc<ClientConfig>>,
    channel: Option<Channel>,
}

impl Way {
    async fn channel(&mut self) -> Result<Channel, ConnectError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let timeouts = Timeouts { connect: TIMEOUT, request: TIMEOUT };
        let channel = connect(&self.settings.endpoint, self.tls.clone(), timeouts).await?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        for (name, value) in &self.settings.headers.0 {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        request
    }

    async fn traces(&mut self, message: ExportTraceServiceRequest) -> Result<(), ExportError> {
        let mut client = TraceServiceClient::new(self.channel().await?);
        let answer = client.export(self.request(message)).await.map_err(ExportError::Refused)?.into_inner();
        answer.partial_success.map_or(Ok(()), |part| taken(part.rejected_spans, &part.error_message))
    }

    async fn metrics(&mut self, message: ExportMetricsServiceRequest) -> Result<(), ExportError> {
        let mut client = MetricsServiceClient::new(self.channel().await?);
        let answer = client.export(self.request(message)).await.map_err(ExportError::Refused)?.into_inner();
        answer.partial_success.map_or(Ok(()), |part| taken(part.rejected_data_points, &part.error_message))
    }
}

/// A part that is not taken is a failure; a message without one is a word beside success.
fn taken(rejected: i64, message: &str) -> Result<(), ExportError> {
    if rejected > 0 {
        Err(ExportError::Partial { rejected, message: message.chars().take(200).collect() })
    } else {
        Ok(())
    }
}

struct Worker {
    inner: Arc<Inner>,
    resource: ResourceAttributesWithSchema,
    service: &'static str,
    version: &'static str,
}

impl Worker {
    /// Exports until the queue's senders are gone.
    async fn run(self, way: Way, spans: mpsc::Receiver<Vec<SpanData>>) {
        let (stop, stopped) = tokio::sync::watch::channel(());
        let traces = async {
            self.export_spans(way.clone(), spans).await;
            drop(stop);
        };
        tokio::join!(traces, self.export_metrics(way.clone(), stopped));
    }

    async fn export_spans(&self, mut way: Way, mut queue: mpsc::Receiver<Vec<SpanData>>) {
        let counts = &self.inner.counts;
        let mut told = Told::default();
        while let Some(mut batch) = queue.recv().await {
            if !queue.is_closed() {
                sleep(LINGER).await;
            }
            while batch.len() < SPANS_PER_MESSAGE
                && let Ok(more) = queue.try_recv()
            {
                batch.extend(more);
            }
            let count = batch.len() as u64;
            let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
            let sent = within(way.traces(ExportTraceServiceRequest { resource_spans })).await;
            if !note(&counts.traces, "traces", sent, &mut told) {
                counts.lost_spans.fetch_add(count, Ordering::Relaxed);
                way.channel = None;
                if queue.is_closed() {
                    // The program is ending, and what did not get through now will not in a moment.
                    while let Ok(left) = queue.try_recv() {
                        counts.lost_spans.fetch_add(left.len() as u64, Ordering::Relaxed);
                    }
                    return;
                }
                sleep(PAUSE).await;
            }
        }
    }

    async fn export_metrics(&self, mut way: Way, mut stopped: tokio::sync::watch::Receiver<()>) {
        let mut told = Told::default();
        let mut tick = interval(way.settings.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, before there is anything to tell.
        tick.tick().await;
        loop {
            let ending = tokio::select! {
                _ = tick.tick() => false,
                _ = stopped.changed() => true,
            };
            let messages = self.inner.metrics.get().map(|source| source()).unwrap_or_default();
            for metrics in messages {
                let sent = within(way.metrics(self.message(metrics))).await;
                if !note(&self.inner.counts.metrics, "metrics", sent, &mut told) {
                    way.channel = None;
                    break;
                }
            }
            if ending {
                return;
            }
        }
    }

    fn message(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let scope = InstrumentationScope {
            name: self.service.to_owned(),
            version: self.version.to_owned(),
            ..InstrumentationScope::default()
        };
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes: self.resource.attributes.0.clone(), ..Resource::default() }),
                scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        }
    }
}

async fn within(export: impl Future<Output = Result<(), ExportError>>) -> Result<(), ExportError> {
    timeout(TIMEOUT, export).await.unwrap_or(Err(ExportError::TimedOut))
}

/// When a failure was last told, and how many were not told since.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    held_back: u64,
}

/// Counts an export, and tells of a failure once a minute. Whether it succeeded.
fn note(counts: &SignalCounts, signal: &'static str, sent: Result<(), ExportError>, told: &mut Told) -> bool {
    let Err(error) = sent else {
        counts.sent.fetch_add(1, Ordering::Relaxed);
        return true;
    };
    counts.failed.fetch_add(1, Ordering::Relaxed);
    if told.last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
        warn!(signal, error = %Chain(&error), held_back = told.held_back, "telemetry was not exported");
        *told = Told { last: Some(Instant::now()), held_back: 0 };
    } else {
        told.held_back += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_bounded_and_never_printed() {
        let headers = Headers::parse(["Authorization=Bearer abc", "x-tenant = 7"]).unwrap();
        assert_eq!(headers.names().collect::<Vec<_>>(), ["authorization", "x-tenant"]);
        let printed = format!("{headers:?}");
        assert!(!printed.contains("abc") && printed.contains("authorization"), "{printed}");
        let long = format!("a={}", "x".repeat(HEADER_BYTES));
        for bad in ["no value", "bad name=1", "a=\u{1}", long.as_str()] {
            let error = Headers::parse(["a=1", bad]).unwrap_err();
            assert_eq!(error.number, 2, "{bad}");
            assert!(!error.to_string().contains("no value"));
        }
        assert_eq!(Headers::parse(std::iter::repeat_n("a=1", 17)).unwrap_err().number, 17);
    }

    #[test]
    fn the_standard_variables_are_read() {
        let with = |values: &'static [(&str, &str)]| {
            OtlpSettings::from_environment(|key| {
                values.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=1")]).unwrap().is_none());
        let read = with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ]);
        let read = read.unwrap().unwrap();
        assert_eq!((read.endpoint.port(), read.headers.names().count()), (4_317, 2));
        assert_eq!(read.interval, Duration::from_secs(5));
        let far = with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.corp.example:4317")]).unwrap_err();
        assert!(Chain(&far).to_string().contains("is not encrypted"), "{}", Chain(&far));
    }

    #[test]
    fn an_encrypted_receiver_needs_a_ca() {
        let settings = OtlpSettings {
            endpoint: "https://otel.corp.example:4317".parse().unwrap(),
            ca: None,
            headers: Headers::default(),
            interval: DEFAULT_INTERVAL,
        };
        let error = Exporter::start(&settings, "test", "0").unwrap_err();
        assert!(matches!(error, OtlpError::NoCa { .. }), "{error}");
    }
}
