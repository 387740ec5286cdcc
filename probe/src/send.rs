//! The client of the collector: connects, submits, and says what went wrong. Knows nothing of sources.
//!
//! `routes` says which collector is tried when, `identity` follows the certificate, the key and the collectors' CA on
//! disk. A connection that is kept is made anew when they change. Nothing secret is logged: errors name files and
//! proxies, never what is in them or lets in.

mod identity;
mod routes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_evidence::{ClientCertificate, DnsName, HostName, Timestamp};
use muster_proto::link::telemetry::{self, TraceParent};
use muster_proto::link::{
    Chain, CollectorUrl, Connected, InvalidCredentials, InvalidProxy, InvalidTls, LastWord, Proxies, RefusedByPeer,
    ServiceResolver, Timeouts, connect_through, load_certificates,
};
use muster_proto::v1;
use muster_proto::v1::report_service_client::ReportServiceClient;
use muster_proto::v1::report_stream_response::Answer;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use self::identity::{Identity, IdentityFiles};
use self::routes::Routes;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, ConfigError, ProxySetting};
use crate::schedule::system_draw;

/// Reports sent on one stream before its answers are read: bounds what is in flight.
const STREAM_CHUNK: usize = 128;

/// The way reports take to a collector.
pub trait Exchange: Send {
    /// Submits one report.
    fn report(
        &mut self,
        request: v1::ReportRequest,
    ) -> impl Future<Output = Result<v1::ReportResponse, SendError>> + Send;

    /// Submits many reports on one stream, and gives an answer to each, in their order.
    fn report_many(
        &mut self,
        requests: Vec<v1::ReportRequest>,
    ) -> impl Future<Output = Vec<Result<v1::ReportResponse, SendError>>> + Send;

    /// Ends the connection, where one is kept.
    fn disconnect(&mut self);
}

/// Why a report did not get through.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The certificate, the key or the collector's CA cannot be used.
    #[error("the identity cannot be used")]
    Identity {
        /// What is wrong with it.
        #[source]
        source: Arc<InvalidCredentials>,
    },
    /// TLS cannot be set up with them.
    #[error("TLS cannot be set up")]
    Tls {
        /// What is wrong.
        #[source]
        source: Arc<InvalidTls>,
    },
    /// No collector answered.
    #[error("no collector answered: {}", tried.join("; "))]
    Unreachable {
        /// Every collector that was tried, and what came of it.
        tried: Vec<String>,
    },
    /// The collector answered and did not take the report.
    #[error("collector refused the report ({}): {message}", name_of(*code))]
    Refused {
        /// The gRPC status code.
        code: Code,
        /// What the collector says.
        message: String,
    },
    /// The connection broke before the answer came.
    #[error("connection to the collector was lost: {message}")]
    Lost {
        /// What the transport says.
        message: String,
    },
    /// No answer came in time.
    #[error("collector did not answer within {} s", limit.as_secs_f32())]
    TimedOut {
        /// How long it was waited for.
        limit: Duration,
    },
}

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum NoSender {
    /// Settings are missing.
    #[error(transparent)]
    Missing(#[from] ConfigError),
    /// The environment names a proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// The certificate cannot be used.
    #[error("the identity cannot be used")]
    Identity {
        /// What is wrong with it.
        #[source]
        source: InvalidCredentials,
    },
    /// The certificate names no machine.
    #[error("certificate `{}` names {found} machines (expected exactly one DNS name); set `host`", path.display())]
    NoName {
        /// The certificate.
        path: PathBuf,
        /// How many DNS names it has.
        found: usize,
    },
}

/// A client that connects when it must.
pub struct Sender {
    routes: Routes,
    collector_name: Option<DnsName>,
    proxies: Proxies,
    identity: Identity,
    timeouts: Timeouts,
    client: Option<(CollectorUrl, ReportServiceClient<Channel>)>,
    last_word: LastWord,
    in_use: Option<String>,
}

impl Sender {
    /// A sender for these settings, which must name a collector and an identity.
    pub fn new(config: &Config) -> Result<Self, NoSender> {
        let mut missing = Vec::new();
        if config.collector.is_empty() {
            missing.push("collector");
        }
        let mut file = |key: &'static str, path: &Option<PathBuf>| {
            if path.is_none() {
                missing.push(key);
            }
            path.clone().unwrap_or_default()
        };
        let files = IdentityFiles {
            certificate: file("identity.certificate", &config.identity.certificate),
            key: file("identity.key", &config.identity.key),
            collector_ca: file("identity.collector_ca", &config.identity.collector_ca),
        };
        if !missing.is_empty() {
            return Err(ConfigError::Missing { what: "reporting", keys: missing }.into());
        }
        let proxies = match &config.proxy {
            ProxySetting::Environment => Proxies::from_environment()?,
            ProxySetting::Straight => Proxies::none(),
            ProxySetting::At(url) => Proxies::configured("proxy.url", url, &config.proxy_bypass.join(","))?,
        };
        Ok(Self {
            routes: Routes::new(config.collector.clone(), ServiceResolver::new(config.dns_server), system_draw()),
            collector_name: config.collector_name.clone(),
            proxies,
            identity: Identity::new(files),
            timeouts: Timeouts { connect: config.report.timeout, request: config.report.timeout },
            client: None,
            last_word: LastWord::default(),
            in_use: None,
        })
    }

    /// The name this probe reports under: the configured one, else the one in its certificate.
    pub fn own_name(&self, config: &Config) -> Result<HostName, NoSender> {
        if let Some(host) = &config.host {
            return Ok(host.clone());
        }
        let path = &self.identity.files().certificate;
        let chain = load_certificates(path).map_err(|source| NoSender::Identity { source })?;
        let names = chain.first().map(|leaf| dns_names(leaf)).unwrap_or_default();
        match names.as_slice() {
            [name] => Ok(name.clone()),
            _ => Err(NoSender::NoName { path: path.clone(), found: names.len() }),
        }
    }

    /// The collector that was reached last, its address, and the proxy on the way; `None` before the first.
    pub fn in_use(&self) -> Option<&str> {
        self.in_use.as_deref()
    }

    /// The certificate in use, and newer files that cannot be used; `None` before the first connection.
    pub fn certificate(&self) -> Option<ClientCertificate> {
        self.identity.told()
    }

    async fn client(&mut self) -> Result<ReportServiceClient<Channel>, SendError> {
        let (tls, renewed) = self.identity.current(SystemClock.now())?;
        if renewed {
            // A connection that is kept was made with the earlier certificate.
            self.disconnect();
        }
        if let Some((_, client)) = &self.client {
            return Ok(client.clone());
        }
        let (urls, mut tried) = self.routes.in_order(self.timeouts.connect).await;
        for url in urls {
            let (name, tls) = (self.collector_name.as_ref(), Some(Arc::clone(&tls)));
            // What an earlier connection was told is no reason for this one.
            self.last_word = LastWord::default();
            match connect_through(&url, name, tls, self.timeouts, &self.last_word, &self.proxies).await {
                Ok(connected) => {
                    self.routes.answers(&url, Instant::now());
                    self.note(&url, &connected);
                    let client = ReportServiceClient::new(connected.channel);
                    self.client = Some((url, client.clone()));
                    return Ok(client);
                }
                Err(error) => {
                    self.routes.fails(&url, Instant::now());
                    tried.push(Chain(&error).to_string());
                }
            }
        }
        Err(SendError::Unreachable { tried })
    }

    /// Says which collector is in use, once for each.
    fn note(&mut self, url: &CollectorUrl, connected: &Connected) {
        let Connected { channel: _, address, proxy } = connected;
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let shown = match proxy {
            Some(proxy) => format!("{url} through proxy {proxy} ({address})"),
            None => format!("{url} ({address})"),
        };
        if self.in_use.as_ref() != Some(&shown) {
            tracing::info!(collector = %url, address, proxy, "reporting to this collector from now on");
            self.in_use = Some(shown);
        }
    }

    /// Why our certificate was refused; where its validity is the reason, with what both clocks may have to do with it.
    fn refusal(&self, refused: &RefusedByPeer) -> String {
        let own = self.identity.told().filter(|_| refused.is_about_validity());
        match own {
            Some(own) => validity_doubted(refused, &own, SystemClock.now()),
            None => refused.to_string(),
        }
    }

    /// What a status means, and whether the connection is of any more use.
    fn failed(&mut self, status: &Status) -> SendError {
        let error = explain(status, self.timeouts.request);
        if matches!(error, SendError::Refused { .. }) {
            return error;
        }
        if let Some((url, _)) = &self.client {
            self.routes.fails(url, Instant::now());
        }
        self.disconnect();
        match self.last_word.take() {
            Some(refused) => SendError::Lost { message: self.refusal(&refused) },
            None => error,
        }
    }

    async fn call(&mut self, mut request: v1::ReportRequest) -> Result<v1::ReportResponse, SendError> {
        let mut client = self.client().await?;
        // Told here, since it is that of the connection which is used; of machines we carry it says nothing.
        request.client_certificate = self.identity.told().as_ref().map(Into::into);
        match client.report(in_trace(request)).await {
            Ok(response) => {
                // What the collector found worth keeping, an error or a changed verdict, is kept here as well.
                if TraceParent::of_response(response.metadata()).is_some_and(|answer| answer.sampled) {
                    telemetry::keep("collector");
                }
                Ok(response.into_inner())
            }
            Err(status) => Err(self.failed(&status)),
        }
    }

    async fn chunk(
        &mut self,
        requests: Vec<v1::ReportRequest>,
        answers: &mut Vec<Result<v1::ReportResponse, SendError>>,
    ) -> Result<(), SendError> {
        let count = requests.len();
        let mut client = self.client().await?;
        let stream =
            tokio_stream::iter(requests.into_iter().map(|report| v1::ReportStreamRequest { report: Some(report) }));
        let mut responses = match client.report_stream(in_trace(stream)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Err(self.failed(&status)),
        };
        let limit = self.timeouts.request;
        for _ in 0..count {
            let response = match tokio::time::timeout(limit, responses.message()).await {
                Err(_) => {
                    self.disconnect();
                    return Err(SendError::TimedOut { limit });
                }
                Ok(Err(status)) => return Err(self.failed(&status)),
                Ok(Ok(None)) => return Err(SendError::Lost { message: "the stream ended early".to_owned() }),
                Ok(Ok(Some(response))) => response,
            };
            answers.push(match response.answer {
                Some(Answer::Response(response)) => Ok(response),
                Some(Answer::Refused(v1::ReportRefused { code, message })) => {
                    Err(SendError::Refused { code: Code::from(i32::try_from(code).unwrap_or(2)), message })
                }
                None => Err(SendError::Refused {
                    code: Code::Unknown,
                    message: "the answer is of a form that this probe does not know".to_owned(),
                }),
            });
        }
        Ok(())
    }
}

impl Exchange for Sender {
    #[tracing::instrument(name = "probe.send", skip_all, fields(otel.kind = "client", otel.status_code))]
    async fn report(&mut self, request: v1::ReportRequest) -> Result<v1::ReportResponse, SendError> {
        let sent = self.call(request).await;
        if sent.is_err() {
            note_failure();
        }
        sent
    }

    #[tracing::instrument(name = "probe.send", skip_all, fields(otel.kind = "client", otel.status_code))]
    async fn report_many(&mut self, requests: Vec<v1::ReportRequest>) -> Vec<Result<v1::ReportResponse, SendError>> {
        let count = requests.len();
        let mut answers = Vec::with_capacity(count);
        let mut requests = requests.into_iter();
        loop {
            let chunk: Vec<v1::ReportRequest> = requests.by_ref().take(STREAM_CHUNK).collect();
            if chunk.is_empty() {
                return answers;
            }
            if let Err(error) = self.chunk(chunk, &mut answers).await {
                note_failure();
                // Whatever was not answered shares the fate of the stream.
                answers.resize(count, Err(error));
                return answers;
            }
        }
    }

    fn disconnect(&mut self) {
        self.client = None;
    }
}

/// A request that says which trace it belongs to.
fn in_trace<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(own) = TraceParent::current() {
        own.tell(request.metadata_mut());
    }
    request
}

/// Notes in the trace that sending failed, which is always worth keeping.
fn note_failure() {
    tracing::Span::current().record("otel.status_code", "ERROR");
    telemetry::keep("error");
}

/// The name by which the protocol's documents call a status code.
const fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What a status means: whether the collector said it, or the way to it.
fn explain(status: &Status, limit: Duration) -> SendError {
    let mut cause = std::error::Error::source(status);
    let caused = cause.map(|cause| Chain(cause).to_string());
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return SendError::TimedOut { limit };
        }
        cause = error.source();
    }
    match (status.code(), caused) {
        (Code::DeadlineExceeded, None) => SendError::TimedOut { limit },
        // A status with a cause was made here, by the transport; the collector's own has none.
        (_, Some(message)) => SendError::Lost { message },
        (code, None) => SendError::Refused { code, message: status.message().to_owned() },
    }
}

/// A refusal because of our certificate's validity, with the times by which it can be told whose clock is wrong.
fn validity_doubted(refused: &RefusedByPeer, own: &ClientCertificate, now: Timestamp) -> String {
    let ClientCertificate { not_before, not_after, newer: _ } = own;
    let advice = if now < *not_before || now > *not_after {
        "it must be renewed, or this clock is wrong"
    } else {
        "by this clock it is valid, so one of the two clocks is wrong"
    };
    format!("{refused}; it is valid from {not_before} to {not_after}, and the clock here shows {now}: {advice}")
}

/// The DNS names of a certificate that could name a machine.
fn dns_names(der: &[u8]) -> Vec<HostName> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => name.parse().ok(),
        _ => None,
    });
    dns.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Loaded;

    #[test]
    fn what_is_missing_is_told_at_once() {
        let error = Sender::new(&Config::default()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "reporting needs settings that are not there: `collector`, `identity.certificate`, `identity.key`, \
             `identity.collector_ca`"
        );
    }

    fn sender(folder: &Path, collector: &str) -> (Sender, Config) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["pc-0417.corp.example".to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::NoCa;
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.join("probe.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        let text = format!(
            "collector = [{collector}]\n[identity]\ncertificate = \"{0}/probe.pem\"\nkey = \"{0}/probe.key\"\n\
             collector_ca = \"{0}/ca.pem\"\n[proxy]\nurl = \"none\"\n[report]\ntimeout = \"2s\"\n",
            folder.display()
        );
        let config = Loaded::parse(&text, Path::new("probe.toml")).unwrap().config;
        let path = folder.join("probe.key");
        std::fs::write(&path, key.serialize_pem()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        (Sender::new(&config).unwrap(), config)
    }

    #[test]
    fn the_certificate_names_the_machine_unless_the_settings_do() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, config) = sender(folder.path(), "\"127.0.0.1:9\"");
        assert_eq!(sender.own_name(&config).unwrap().as_str(), "pc-0417.corp.example");
        let named = Config { host: Some("other.corp.example".parse().unwrap()), ..config };
        assert_eq!(sender.own_name(&named).unwrap().as_str(), "other.corp.example");
    }

    #[tokio::test]
    async fn every_collector_is_tried_in_order() {
        let folder = tempfile::tempdir().unwrap();
        // Ports that were just free: nobody listens on them.
        let ports: Vec<u16> =
            (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()).collect();
        let (mut sender, _) = sender(folder.path(), &format!("\"127.0.0.1:{}\", \"[::1]:{}\"", ports[0], ports[1]));
        let error = sender.report(v1::ReportRequest::default()).await.unwrap_err();
        let SendError::Unreachable { tried } = &error else { panic!("{error}") };
        assert_eq!(tried.len(), 2);
        assert!(tried[0].contains(&format!("127.0.0.1:{}", ports[0])), "{tried:?}");
        assert!(tried[1].contains(&format!("[::1]:{}", ports[1])), "{tried:?}");
    }

    #[test]
    fn a_validity_that_is_doubted_is_told_with_the_clock_here() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let own = ClientCertificate {
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2027-01-01T00:00:00Z"),
            newer: None,
        };
        let alert = rustls::AlertDescription::CertificateExpired;
        let refused = RefusedByPeer { why: "it has expired or is not valid yet", alert };
        for (now, advice) in [
            ("2026-06-01T00:00:00Z", "by this clock it is valid, so one of the two clocks is wrong"),
            ("2027-06-01T00:00:00Z", "it must be renewed, or this clock is wrong"),
        ] {
            let told = validity_doubted(&refused, &own, at(now));
            let times =
                format!("valid from 2026-01-01T00:00:00Z to 2027-01-01T00:00:00Z, and the clock here shows {now}");
            assert!(told.contains(&times) && told.ends_with(advice), "{told}");
        }
    }

    #[tokio::test]
    async fn an_identity_that_cannot_be_used_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut sender, _) = sender(folder.path(), "\"127.0.0.1:9\"");
        std::fs::write(folder.path().join("probe.pem"), "no certificate").unwrap();
        let error = sender.report(v1::ReportRequest::default()).await.unwrap_err();
        let text = Chain(&error).to_string();
        assert!(text.contains("probe.pem"), "{text}");
    }

    #[test]
    fn statuses_of_the_collector_and_of_the_way_are_told_apart() {
        let limit = Duration::from_secs(30);
        let refused = explain(&Status::permission_denied("no grant for `relay`"), limit);
        assert!(matches!(refused, SendError::Refused { code: Code::PermissionDenied, .. }), "{refused}");
        assert!(matches!(explain(&Status::deadline_exceeded("late"), limit), SendError::TimedOut { .. }));
        let broken = Status::from_error(Box::new(std::io::Error::new(std::io::ErrorKind::BrokenPipe, "broken pipe")));
        assert!(matches!(explain(&broken, limit), SendError::Lost { .. }));
    }
}
