//! `once` and `run` against a collector that speaks the protocol over mutual TLS.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use muster_proto::link::{Clients, Credentials, Oid, PeerPolicy, SpkiPin, certificates_from_pem, server_config};
use muster_proto::v1;
use muster_proto::v1::report_service_server::{ReportService, ReportServiceServer};
use muster_proto::v1::report_stream_response::Answer;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use super::{captures, probe, run};

/// What the collector was told, and what it holds.
#[derive(Default)]
struct Held {
    unary: Vec<v1::ReportRequest>,
    streamed: Vec<v1::ReportRequest>,
    bodies: BTreeMap<String, Vec<Vec<u8>>>,
    refuse: Option<Status>,
}

impl Held {
    /// Keeps bodies by their digest, and asks for those it lacks.
    fn take(&mut self, request: &v1::ReportRequest) -> v1::ReportResponse {
        let name = request.host.as_ref().unwrap().name.clone();
        let bodies = self.bodies.entry(name).or_default();
        let mut response = v1::ReportResponse { next_report_after_ms: 600_000, ..v1::ReportResponse::default() };
        let mut changed = false;
        for entry in &request.observations {
            if bodies.contains(&entry.digest) {
                continue;
            }
            match entry.body {
                Some(_) => {
                    bodies.push(entry.digest.clone());
                    changed = true;
                }
                None => response.need.push(entry.key.clone().unwrap()),
            }
        }
        let acknowledgement = if changed { v1::Acknowledgement::Committed } else { v1::Acknowledgement::Seen };
        response.acknowledgement = acknowledgement.into();
        response
    }
}

#[derive(Clone, Default)]
struct Service(Arc<Mutex<Held>>);

#[tonic::async_trait]
impl ReportService for Service {
    type ReportStreamStream = Pin<Box<dyn Stream<Item = Result<v1::ReportStreamResponse, Status>> + Send>>;

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportResponse>, Status> {
        let mut held = self.0.lock().unwrap();
        let request = request.into_inner();
        if let Some(status) = &held.refuse {
            return Err(status.clone());
        }
        let response = held.take(&request);
        held.unary.push(request);
        Ok(Response::new(response))
    }

    async fn report_stream(
        &self,
        requests: Request<Streaming<v1::ReportStreamRequest>>,
    ) -> Result<Response<Self::ReportStreamStream>, Status> {
        let held = Arc::clone(&self.0);
        Ok(Response::new(Box::pin(requests.into_inner().map(move |request| {
            let request = request?.report.unwrap();
            let mut held = held.lock().unwrap();
            let answer = match &held.refuse {
                Some(status) => Answer::Refused(v1::ReportRefused {
                    code: u32::try_from(i32::from(status.code())).unwrap(),
                    message: status.message().to_owned(),
                }),
                None => Answer::Response(held.take(&request)),
            };
            held.streamed.push(request);
            Ok(v1::ReportStreamResponse { answer: Some(answer) })
        }))))
    }
}

/// A connection after its handshake.
struct Accepted(TlsStream<TcpStream>);

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A CA, a collector with a certificate of it, and a folder with a probe's settings and identity.
struct Lab {
    folder: TempDir,
    service: Service,
    _runtime: tokio::runtime::Runtime,
}

impl Lab {
    /// `folder` may hold captures already.
    fn new(folder: TempDir, name: &str) -> Self {
        let mut ca_params = CertificateParams::default();
        ca_params.distinguished_name.push(DnType::CommonName, "Test CA");
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca_params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_key = KeyPair::generate().unwrap();
        let ca = ca_params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca_params, ca_key);
        let issue = |name: &str, usage: ExtendedKeyUsagePurpose| {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let at = folder.path();
        let (chain, key) = issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        fs::write(at.join("probe.pem"), chain).unwrap();
        private(&at.join("probe.key"), &key);
        fs::write(at.join("ca.pem"), ca.pem()).unwrap();

        let anchors = certificates_from_pem(ca.pem().as_bytes(), Path::new("ca")).unwrap();
        let pin = SpkiPin::of_certificate(&anchors[0]).unwrap();
        let policy = PeerPolicy::new(&anchors, vec![pin], Some(Oid::client_auth()), None).unwrap();
        let (chain, key) = issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        let own = Credentials::from_pem(&chain, &key, Path::new("collector")).unwrap();
        let tls = server_config(&own, Clients::Probes(Arc::new(policy))).unwrap();

        let service = Service::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, accepted) = tokio::sync::mpsc::channel(8);
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(tls);
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = tell.send(Ok::<_, io::Error>(Accepted(stream))).await;
                }
            }
        });
        let serving = tonic::transport::Server::builder()
            .add_service(ReportServiceServer::new(service.clone()))
            .serve_with_incoming(ReceiverStream::new(accepted));
        runtime.spawn(serving);

        fs::write(
            at.join("probe.toml"),
            format!(
                "collector = \"localhost:{port}\"\nstate_dir = \"state\"\n\n[identity]\ncertificate = \"probe.pem\"\n\
                 key = \"probe.key\"\ncollector_ca = \"ca.pem\"\n\n[report]\ntimeout = \"10s\"\n"
            ),
        )
        .unwrap();
        Self { folder, service, _runtime: runtime }
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn unary(&self) -> Vec<v1::ReportRequest> {
        self.service.0.lock().unwrap().unary.clone()
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn once_reports_this_machine_and_says_what_was_acknowledged() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    let said = run(lab.at(), &["once"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("pc-0417.corp.example: COMMITTED - on disk at the collector\n"), "{}", said.out);
    let said = run(lab.at(), &["once"]);
    assert!(said.out.starts_with("pc-0417.corp.example: SEEN - "), "{}", said.out);
    assert!(said.out.contains("report 2: ") && said.out.contains(", 0 of them sent"), "{}", said.out);
    let reports = lab.unary();
    assert_eq!(reports.iter().map(|report| report.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(reports[0].install_id, reports[1].install_id);
    assert_eq!(reports[0].host.as_ref().unwrap().name, "pc-0417.corp.example", "the name in the certificate");

    // The collector lost what it had: asked for it, the probe sends it in the same run.
    lab.service.0.lock().unwrap().bodies.clear();
    let said = run(lab.at(), &["once"]);
    assert!(said.out.starts_with("pc-0417.corp.example: COMMITTED - "), "{}", said.out);
    assert_eq!(lab.unary().len(), 4);
}

#[test]
fn an_idle_machine_is_unchanged_in_nineteen_of_twenty_rounds() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    let unchanged = (0..20)
        .filter(|_| {
            let said = run(lab.at(), &["once"]);
            assert_eq!(said.code, 0, "{}{}", said.out, said.err);
            said.out.starts_with("pc-0417.corp.example: SEEN - ")
        })
        .count();
    assert_eq!(unchanged, 19);
    let reports = lab.unary();
    assert_eq!(reports.len(), 20, "and none needed a second call");
    assert!(reports[1..].iter().all(|report| report.observations.iter().all(|entry| entry.body.is_none())));
}

#[test]
fn the_next_collector_is_tried_and_its_name_may_be_told() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    // A port that was just free: nobody listens on it.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = lab.at().join("probe.toml");
    let settings = fs::read_to_string(&at).unwrap();
    let by_address =
        settings.replace("collector = \"localhost:", &format!("collector = [\"127.0.0.1:{dead}\", \"127.0.0.1:"));
    let by_address = by_address.replacen("\"\nstate_dir", "\"]\nstate_dir", 1);
    fs::write(&at, &by_address).unwrap();
    let said = run(lab.at(), &["once"]);
    assert_eq!(said.code, 69, "the certificate names `localhost`, not the address: {}", said.out);
    fs::write(&at, format!("collector_name = \"localhost\"\n{by_address}")).unwrap();
    let said = run(lab.at(), &["once"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn captured_machines_travel_as_themselves() {
    let folder = captures(&["ready-endpoint", "no-tpm-endpoint", "directory"]);
    let lab = Lab::new(folder, "pc-0418.corp.example");
    let said = run(lab.at(), &["once", "--captures", "captures"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for host in ["pc-0417.corp.example", "pc-0418.corp.example", "reader.corp.example"] {
        assert!(said.out.contains(&format!("{host}: COMMITTED")) || host.starts_with("reader"), "{}", said.out);
    }
    let held = lab.service.0.lock().unwrap();
    let names = |reports: &[v1::ReportRequest]| -> Vec<String> {
        reports.iter().map(|report| report.host.as_ref().unwrap().name.clone()).collect()
    };
    assert_eq!(names(&held.unary), ["pc-0418.corp.example"], "its own machine in a call of its own");
    assert_eq!(names(&held.streamed), ["pc-0417.corp.example", "reader.corp.example"]);
    assert_eq!(held.streamed[1].inventory.len(), 1);
}

#[test]
fn a_refusal_is_told_and_ends_with_69() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    lab.service.0.lock().unwrap().refuse = Some(Status::resource_exhausted("no space left on the collector's disk"));
    let said = run(lab.at(), &["once"]);
    assert_eq!(said.code, 69);
    assert!(said.out.starts_with("pc-0417.corp.example: not reported\n"), "{}", said.out);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(RESOURCE_EXHAUSTED): no space left on the collector's disk"), "{}", said.out);
    lab.service.0.lock().unwrap().refuse = None;
    assert_eq!(run(lab.at(), &["once"]).code, 0, "and nothing is lost by it");
}

#[test]
fn a_collector_of_another_ca_is_not_told_anything() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    let other = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    fs::copy(other.at().join("ca.pem"), lab.at().join("ca.pem")).unwrap();
    let said = run(lab.at(), &["once"]);
    assert_eq!(said.code, 69, "{}", said.out);
    assert!(said.out.contains("not reported"), "{}", said.out);
    assert!(lab.unary().is_empty());
    // And the other way round: a certificate the collector does not believe.
    fs::copy(other.at().join("probe.pem"), lab.at().join("probe.pem")).unwrap();
    fs::copy(other.at().join("probe.key"), lab.at().join("probe.key")).unwrap();
    let at = other.at().join("probe.toml");
    let theirs = fs::read_to_string(&at).unwrap();
    fs::write(&at, theirs.replace("probe.pem", "mine.pem").replace("probe.key", "mine.key")).unwrap();
    let mine = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    fs::copy(mine.at().join("probe.pem"), other.at().join("mine.pem")).unwrap();
    fs::copy(mine.at().join("probe.key"), other.at().join("mine.key")).unwrap();
    let said = run(other.at(), &["once"]);
    assert_eq!(said.code, 69, "{}", said.out);
    assert!(said.out.contains("refused this machine's certificate"), "{}", said.out);
}

/// A running service that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(lab: &Lab, arguments: &[&str]) -> Self {
        let log = fs::File::create(lab.at().join("log")).unwrap();
        Self(probe(lab.at(), arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status().unwrap();
        assert!(status.success());
    }
}

#[expect(clippy::disallowed_methods, reason = "a test on a thread of its own, waiting for a state")]
fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !reached() {
        assert!(Instant::now() < deadline, "{what} did not happen within 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_service_reports_collects_when_asked_and_stops_cleanly() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    let mut service = Running::start(&lab, &["run", "--now", "--log-format", "json"]);
    wait_for("the first report", || lab.unary().len() == 1);
    // The collector asked for ten minutes: what comes before that was asked for by the signal.
    wait_for("a report on SIGHUP", || {
        if lab.unary().len() == 1 {
            service.signal("HUP");
        }
        lab.unary().len() >= 2
    });
    let second = run(lab.at(), &["once"]);
    assert_eq!(second.code, 69, "{}", second.out);
    assert!(second.err.contains("in use by another probe"), "{}", second.err);
    service.signal("TERM");
    let mut code = None;
    wait_for("the end", || {
        code = service.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
    let log = fs::read_to_string(lab.at().join("log")).unwrap();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string(), "{line}");
    }
    assert!(log.contains("probe started") && log.contains("probe stopped"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "nothing secret is logged");
}

#[test]
fn a_collector_that_hangs_does_not_keep_the_service_from_stopping() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = lab.at().join("probe.toml");
    let settings = fs::read_to_string(&at).unwrap();
    let port = silent.local_addr().unwrap().port();
    let (_, rest) = settings.split_once('\n').unwrap();
    fs::write(&at, format!("collector = \"localhost:{port}\"\n{}", rest.replace("10s", "10m"))).unwrap();
    let mut service = Running::start(&lab, &["run", "--now"]);
    let connection = silent.accept().unwrap();
    service.signal("TERM");
    let asked = Instant::now();
    let mut code = None;
    wait_for("the end", || {
        code = service.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    drop(connection);
}

#[test]
fn without_now_the_first_report_waits() {
    let lab = Lab::new(tempfile::tempdir().unwrap(), "pc-0417.corp.example");
    let service = Running::start(&lab, &["run"]);
    wait_for("the start", || fs::read_to_string(lab.at().join("log")).unwrap_or_default().contains("probe started"));
    let log = fs::read_to_string(lab.at().join("log")).unwrap();
    assert!(log.contains("first_report_in_ms="), "{log}");
    assert!(!log.contains("first_report_in_ms=0 "), "a random part of the interval: {log}");
    drop(service);
}
