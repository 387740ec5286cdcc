//! Certificates that come and go: revoked, renewed, replaced, misused, while probes and operators are connected.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_evidence::Role;
use muster_proto::link::Chain;
use muster_proto::v1;
use muster_tests::authority::{
    Authority, Identity, collector_params, ending_in, of_template, probe_params, with_second_name, with_user_name,
    with_wildcard,
};
use muster_tests::collector::{CollectorProgram, Served};
use muster_tests::lab::{Lab, OPERATOR, Setup};
use muster_tests::machine::{Machine, user};
use muster_tests::probe::{FakeProbe, channel, tls};
use muster_tests::program::{binary, command, run};
use muster_tests::wait;
use rustls::ClientConfig;
use time::Duration as Span;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

const HOST: &str = "pc-0417.corp.example";
const OTHER: &str = "pc-0418.corp.example";

/// A collector in memory that asks revocation lists.
fn with_lists(crl: &str) -> Setup {
    Setup { backend: "memory", end: format!("[crl]\ncache = \"kept\"\n{crl}"), ..Setup::default() }
}

fn machine(host: &str) -> Machine {
    Machine::endpoint(host.split('.').next().unwrap(), "Rotterdam", &user(1))
}

/// What a probe is answered: nothing where its report was taken, else the whole chain of reasons.
async fn outcome(served: SocketAddr, identity: &Identity, tls: Arc<ClientConfig>, host: &str) -> Result<(), String> {
    let mut probe = FakeProbe::connect_using(identity, tls, served).await?;
    match probe.report(&machine(host), SystemClock.now()).await {
        Ok(_) => Ok(()),
        Err(status) => {
            Err(probe.last_word.take().map_or_else(|| Chain(&status).to_string(), |refused| refused.to_string()))
        }
    }
}

async fn fresh(served: &Served, identity: &Identity, lab: &Lab, host: &str) -> Result<(), String> {
    outcome(served.probes, identity, tls(identity, &lab.ca.certificate()), host).await
}

/// A stream of reports that is held open.
struct Held {
    probe: FakeProbe,
    reports: mpsc::Sender<v1::ReportStreamRequest>,
    answers: Streaming<v1::ReportStreamResponse>,
}

impl Held {
    async fn open(mut probe: FakeProbe, about: &Machine) -> Self {
        let (reports, receiver) = mpsc::channel(4);
        let first = probe.message(about, SystemClock.now());
        reports.send(v1::ReportStreamRequest { report: Some(first) }).await.unwrap();
        let mut answers = probe.client.report_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap();
        Self { probe, reports, answers }
    }

    /// Whether a further report is answered.
    async fn lives(&mut self, about: &Machine) -> Result<(), Option<Status>> {
        let next = self.probe.message(about, SystemClock.now());
        self.reports.send(v1::ReportStreamRequest { report: Some(next) }).await.map_err(|_| None)?;
        match self.answers.message().await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(None),
            Err(status) => Err(Some(status)),
        }
    }

    /// Waits until the collector ends it, with nothing being sent.
    async fn ends(&mut self) {
        let ended = tokio::time::timeout(wait::LIMIT, self.answers.message()).await;
        let ended = ended.expect("the collector ends the stream");
        assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    }
}

async fn until_counted(what: &str, counted: impl Fn() -> std::collections::BTreeMap<&'static str, u64>) {
    wait::until(&format!("`{what}` is counted"), async || {
        let found = counted();
        if found.contains_key(what) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_probe_loses_its_stream_and_resumes_no_session() {
    let lab = Lab::new();
    let (bad, good) = (lab.ca.probe(HOST), lab.ca.probe(OTHER));
    lab.write("ca/ca.crl", lab.ca.revocation_list(1, &[], Span::days(1)));
    let served = Served::start(&lab, &with_lists("files = [\"ca/ca.crl\"]\n")).await;
    let remembered = tls(&bad, &lab.ca.certificate());
    let connect = async |identity, tls| FakeProbe::connect_using(identity, tls, served.probes).await.unwrap();
    let mut revoked = Held::open(connect(&bad, Arc::clone(&remembered)).await, &machine(HOST)).await;
    let mut stays = Held::open(connect(&good, tls(&good, &lab.ca.certificate())).await, &machine(OTHER)).await;
    assert!(outcome(served.probes, &bad, Arc::clone(&remembered), HOST).await.is_ok(), "with a remembered session");

    // The file changes, and that is all.
    lab.write("ca/ca.crl", lab.ca.revocation_list(2, &[&bad], Span::days(1)));
    revoked.ends().await;
    until_counted("revoked", || served.refused.ended()).await;
    let told = outcome(served.probes, &bad, remembered, HOST).await.unwrap_err();
    assert!(told.contains("it is revoked"), "{told}");
    assert!(fresh(&served, &bad, &lab, HOST).await.is_err());
    until_counted("revoked", || served.refused.refused()).await;
    assert_eq!(served.access.state().reload.generation, 2);

    // Nobody else has noticed.
    stays.lives(&machine(OTHER)).await.unwrap();
    assert!(fresh(&served, &good, &lab, OTHER).await.is_ok());
    assert_eq!(served.refused.ended().len(), 1, "{:?}", served.refused.ended());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_missing_stale_or_of_another_ca_let_nobody_in() {
    let lab = Lab::new();
    let (identity, revoked) = (lab.ca.probe(HOST), lab.ca.probe(OTHER));
    let stranger = Authority::new(&lab.path("strangers"), "Somebody's CA");
    lab.write("empty/readme.txt", "nothing yet");
    lab.write("stale.crl", lab.ca.revocation_list(1, &[&revoked], Span::hours(-1)));
    lab.write("foreign.crl", stranger.revocation_list(1, &[&revoked], Span::days(1)));
    for (files, counted, listed) in
        [("empty", "no-crl", false), ("stale.crl", "stale-crl", true), ("foreign.crl", "no-crl", false)]
    {
        let served = Served::start(&lab, &with_lists(&format!("files = [\"{files}\"]\n"))).await;
        let told = fresh(&served, &identity, &lab, HOST).await.unwrap_err();
        assert!(told.contains("the collector refused this machine's certificate"), "{files}: {told}");
        until_counted(counted, || served.refused.refused()).await;
        served.stop().await;

        let lenient = with_lists(&format!("files = [\"{files}\"]\nstale = \"accept-and-alert\"\n"));
        let served = Served::start(&lab, &lenient).await;
        assert_eq!(fresh(&served, &identity, &lab, HOST).await, Ok(()), "{files}");
        // Who is on a list stays out, however old the list is.
        assert_eq!(fresh(&served, &revoked, &lab, OTHER).await.is_err(), listed, "{files}");
        served.stop().await;
    }
    // A list that cannot be read is no reason to go on without it.
    lab.write("broken.crl", &lab.ca.revocation_list(1, &[], Span::days(1))[..200]);
    let broken = with_lists("files = [\"broken.crl\"]\n");
    let Err(error) = Served::try_start(&lab, &broken, Arc::new(SystemClock)).await else { panic!("it serves") };
    assert!(Chain(&error).to_string().contains("broken.crl"), "{}", Chain(&error));
}

/// A server that answers every request with what it holds at that time.
async fn list_server(list: Arc<std::sync::Mutex<Vec<u8>>>) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let body = list.lock().unwrap().clone();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    (address, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_over_http_and_outlive_their_server() {
    let lab = Lab::new();
    let (bad, good) = (lab.ca.probe(HOST), lab.ca.probe(OTHER));
    let list = Arc::new(std::sync::Mutex::new(lab.ca.revocation_list(5, &[], Span::days(1))));
    let (address, serving) = list_server(Arc::clone(&list)).await;
    let setup = with_lists(&format!("urls = [\"http://{address}/ca.crl\"]\ninterval = \"1s\"\n"));
    let served = Served::start(&lab, &setup).await;
    wait::until("the list is there", async || fresh(&served, &bad, &lab, HOST).await).await;
    let probe = FakeProbe::connect_with(&bad, &lab.ca.certificate(), served.probes).await.unwrap();
    let mut held = Held::open(probe, &machine(HOST)).await;

    // An older list, which anybody on the way can send, changes nothing; what is no list neither; a newer one does.
    *list.lock().unwrap() = b"<html>sign in to the proxy</html>".to_vec();
    let problem = |served: &Served, told: &str| {
        let state = served.access.state();
        let found = state.revocation.iter().any(|own| own.problem.contains(told));
        if found { Ok(()) } else { Err(format!("{:#?}", state.revocation)) }
    };
    wait::until("an answer that is no list shows", async || problem(&served, "cannot be read")).await;
    *list.lock().unwrap() = lab.ca.revocation_list(4, &[&good], Span::days(1));
    wait::until("an older list shows", async || problem(&served, "is older")).await;
    held.lives(&machine(HOST)).await.unwrap();
    assert_eq!(fresh(&served, &good, &lab, OTHER).await, Ok(()));
    *list.lock().unwrap() = lab.ca.revocation_list(6, &[&bad], Span::days(1));
    held.ends().await;
    assert!(fresh(&served, &bad, &lab, HOST).await.unwrap_err().contains("it is revoked"));
    served.stop().await;

    // The server is gone; what it said is known after a restart all the same.
    serving.abort();
    let served = Served::start(&lab, &setup).await;
    assert_eq!(fresh(&served, &good, &lab, OTHER).await, Ok(()));
    assert!(fresh(&served, &bad, &lab, HOST).await.unwrap_err().contains("it is revoked"));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_takes_its_connection_with_it() {
    let lab = Lab::new();
    let served = Served::start(&lab, &Setup { backend: "memory", ..Setup::default() }).await;
    let identity = lab.ca.issue("short", &ending_in(probe_params(HOST), 6));
    let remembered = tls(&identity, &lab.ca.certificate());
    let probe = FakeProbe::connect_using(&identity, Arc::clone(&remembered), served.probes).await.unwrap();
    let mut held = Held::open(probe, &machine(HOST)).await;
    held.ends().await;
    until_counted("expired", || served.refused.ended()).await;
    // The remembered session asks no verifier; the check after the handshake does.
    assert!(outcome(served.probes, &identity, remembered, HOST).await.is_err());
    until_counted("expired", || served.refused.refused()).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_renewed_within_their_age() {
    let lab = Lab::new();
    let mut config = Setup { backend: "memory", ..Setup::default() }.config(&lab);
    config.probes.limits.connection_age = Duration::from_secs(1);
    let served = Served::try_start_as(config, Arc::new(SystemClock)).await.unwrap();
    let mut probe = FakeProbe::connect(&lab, served.probes, HOST).await;
    wait::until("the third connection", async || {
        // A call that meets the end of its connection may fail; the next one is on a new connection.
        let _ = probe.report(&machine(HOST), SystemClock.now()).await;
        let connections = served.refused.accepted();
        if connections >= 3 { Ok(()) } else { Err(format!("{connections} connections")) }
    })
    .await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_can_request_of_the_enterprise_ca_is_no_probe() {
    let lab = Lab::new();
    let machines = lab.ca.below(&lab.path("machines"), "Machines CA");
    let users = lab.ca.below(&lab.path("users"), "Users CA");
    // Arcs of an enterprise's own template identifiers, encoded: 1.3.6.1.4.1.311.21.8.1 and .2.
    let [machine_template, user_template] = [1, 2].map(|last| [0x2B, 6, 1, 4, 1, 0x82, 0x37, 21, 8, last]);
    let setup = Setup {
        backend: "memory",
        probes: format!("issuer_pins = [\"{}\"]\nrequired_template = \"1.3.6.1.4.1.311.21.8.1\"\n", machines.pin()),
        ..Setup::default()
    };
    let served = Served::start(&lab, &setup).await;
    let good = || of_template(probe_params(HOST), &machine_template);
    assert_eq!(fresh(&served, &machines.issue("good", &good()), &lab, HOST).await, Ok(()));
    for (counted, identity) in [
        // The right root, another issuing CA; and the root itself.
        ("foreign-issuer", users.issue("users", &good())),
        ("foreign-issuer", lab.ca.issue("root", &good())),
        ("missing-template", machines.issue("other-template", &of_template(probe_params(HOST), &user_template))),
        ("missing-template", machines.issue("no-template", &probe_params(HOST))),
        ("upn-san", machines.issue("upn", &with_user_name(good(), "ada@corp.example"))),
        ("several-names", machines.issue("two", &with_second_name(good(), "dc01.corp.example"))),
        ("wildcard", machines.issue("wildcard", &with_wildcard(good()))),
    ] {
        let before = served.refused.refused().get(counted).copied().unwrap_or_default();
        assert!(fresh(&served, &identity, &lab, HOST).await.is_err(), "{}", identity.certificate.display());
        wait::until(&format!("`{counted}` is counted once more"), async || {
            let now = served.refused.refused().get(counted).copied().unwrap_or_default();
            if now > before { Ok(()) } else { Err(format!("{:?}", served.refused.refused())) }
        })
        .await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cas_overlap_while_one_takes_the_others_place() {
    let lab = Lab::new();
    let next = Authority::new(&lab.path("next"), "Muster Test CA 2");
    let (old, new) = (lab.ca.probe(HOST), next.probe(OTHER));
    let served = Served::start(&lab, &Setup { backend: "memory", ..Setup::default() }).await;
    let probe = FakeProbe::connect_with(&old, &lab.ca.certificate(), served.probes).await.unwrap();
    let mut held = Held::open(probe, &machine(HOST)).await;
    assert!(fresh(&served, &new, &lab, OTHER).await.is_err());

    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (first, second) = (read(&lab.ca.certificate()), read(&next.certificate()));
    lab.write("ca/ca.pem", format!("{first}{second}"));
    let trusting_first = lab.write("first.pem", &first);
    served.reloader.reload("the test").await.unwrap();
    let connects = async |identity, host| outcome(served.probes, identity, tls(identity, &trusting_first), host).await;
    assert_eq!(connects(&new, OTHER).await, Ok(()));
    held.lives(&machine(HOST)).await.unwrap();
    assert_eq!(connects(&old, HOST).await, Ok(()));

    lab.write("ca/ca.pem", second);
    // The connection held, and perhaps the one before, which has just been closed and may not be gone yet.
    let ended = served.reloader.reload("the test").await.unwrap().ended;
    assert!((1..=2).contains(&ended), "{ended}");
    held.ends().await;
    until_counted("foreign-issuer", || served.refused.ended()).await;
    assert!(connects(&old, HOST).await.is_err());
    assert_eq!(connects(&new, OTHER).await, Ok(()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_taken_away_and_a_certificate_that_is_blocked_end_the_stream() {
    let lab = Lab::new();
    let setup = Setup { backend: "memory", ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let connect = async |host: &str| FakeProbe::connect(&lab, served.probes, host).await;
    let mut dc = Machine::new("dc01", "Rotterdam", Role::DomainController);
    dc.roles = vec![Role::DomainController];
    let mut granted = Held::open(connect("dc01.corp.example").await, &dc).await;
    let mut blocked = Held::open(connect(HOST).await, &machine(HOST)).await;
    let mut stays = Held::open(connect(OTHER).await, &machine(OTHER)).await;

    Setup { grants: vec![("relay", "relay*")], ..setup.clone() }.write(&lab);
    assert_eq!(served.reloader.reload("the test").await.unwrap().ended, 1);
    granted.ends().await;
    until_counted("grant-removed", || served.refused.ended()).await;
    // It may come back, without the role.
    let mut probe = connect("dc01.corp.example").await;
    let answer = probe.report(&dc, SystemClock.now()).await.unwrap();
    assert!(!answer.refusals.is_empty(), "{answer:?}");

    let thumbprint = lab.ca.probe("unused.corp.example").thumbprint();
    let mine = Identity { certificate: lab.path(&format!("ca/{HOST}.pem")), key: lab.path("none") }.thumbprint();
    let probes = format!("blocked = [\"{thumbprint}\", \"{mine}\"]\n");
    Setup { probes, ..setup }.write(&lab);
    assert_eq!(served.reloader.reload("the test").await.unwrap().ended, 1);
    blocked.ends().await;
    until_counted("blocked", || served.refused.ended()).await;
    stays.lives(&machine(OTHER)).await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_is_none_any_more_is_cut_off() {
    let lab = Lab::new();
    let setup = Setup {
        backend: "memory",
        operator_certificates: true,
        operator_names: vec![OPERATOR, "oskar"],
        ..Setup::default()
    };
    let served = Served::start(&lab, &setup).await;
    let ca = lab.ca.certificate();
    let watch = async |identity: &Identity| {
        let channel = channel(served.operators, Some(tls(identity, &ca))).await?;
        let mut api = v1::readiness_service_client::ReadinessServiceClient::new(channel);
        let watching = api.watch(v1::WatchRequest::default()).await.map_err(|status| status.to_string())?;
        let mut watching = watching.into_inner();
        watching.message().await.map_err(|status| status.to_string())?;
        Ok::<_, String>(watching)
    };
    let mut short = probe_params("operator.corp.example");
    short.distinguished_name = rcgen_name(OPERATOR);
    let short = lab.ca.issue("short-operator", &ending_in(short, 6));
    let (oskar, olga) = (lab.ca.operator("oskar"), lab.ca.operator(OPERATOR));
    let mut ends = watch(&short).await.unwrap();
    let mut removed = watch(&oskar).await.unwrap();
    let _stays = watch(&olga).await.unwrap();

    let over = async |watching: &mut Streaming<v1::WatchResponse>| {
        let end = async { while let Ok(Some(_)) = watching.message().await {} };
        tokio::time::timeout(wait::LIMIT, end).await.expect("the collector ends it");
    };
    over(&mut ends).await;
    until_counted("expired", || served.access.operators.ended()).await;
    assert!(watch(&short).await.is_err());
    until_counted("expired", || served.access.operators.refused()).await;

    Setup { operator_names: vec![OPERATOR], ..setup }.write(&lab);
    assert_eq!(served.reloader.reload("the test").await.unwrap().ended, 1);
    over(&mut removed).await;
    let told = watch(&oskar).await.unwrap_err();
    assert!(told.contains("`oskar`, which is no operator"), "{told}");
    until_counted("not-operator", || served.access.operators.refused()).await;
    served.stop().await;
}

/// A subject with a common name.
fn rcgen_name(name: &str) -> muster_tests::authority::DistinguishedName {
    let mut subject = muster_tests::authority::DistinguishedName::new();
    subject.push(muster_tests::authority::DnType::CommonName, name);
    subject
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_all_or_nothing_and_says_what_came_of_it() {
    let lab = Lab::new();
    let setup = Setup { certificate: "own", ..Setup::default() };
    let copy = |from: &Identity| {
        std::fs::copy(&from.certificate, lab.path("own.pem")).unwrap();
        std::fs::copy(&from.key, lab.path("own.key")).unwrap();
    };
    copy(&lab.ca.collector());
    let mut collector = CollectorProgram::start(&lab, &setup).await;
    let (url, pid, probes) = (collector.url(), collector.running.pid(), collector.probes);
    let reload = async || {
        let mut reload = command(binary("muster-collector"));
        reload.arg("reload").arg("--config").arg(lab.path("collector.toml")).arg("--collector").arg(&url);
        run(reload).await
    };
    let status = async || {
        let mut muster = command(binary("muster"));
        muster.arg("--collector").arg(&url).arg("status");
        run(muster).await.succeeded()
    };
    assert!(reload().await.succeeded().contains("generation 2"));

    // Half of a renewal: the certificate is there, its key is not yet.
    let next = lab.ca.issue("next", &ending_in(collector_params(), 3600));
    std::fs::copy(&next.certificate, lab.path("own.pem")).unwrap();
    let refused = reload().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("everything stays as it was") && refused.stderr.contains("own.key"), "{refused:?}");
    let shown = status().await;
    assert!(shown.contains("refused") && shown.contains("own.key"), "{shown}");
    assert!(!shown.contains("ends in"), "{shown}");
    let identity = lab.ca.probe(HOST);
    let by = |identity: &Identity| tls(identity, &lab.ca.certificate());
    assert_eq!(outcome(probes, &identity, by(&identity), HOST).await, Ok(()));

    // The other half arrives, and nobody has to ask.
    std::fs::copy(&next.key, lab.path("own.key")).unwrap();
    wait::until("the renewed certificate is in use", async || {
        let shown = status().await;
        if shown.contains("ends in") && !shown.contains("refused") { Ok(()) } else { Err(shown) }
    })
    .await;
    assert_eq!(outcome(probes, &identity, by(&identity), HOST).await, Ok(()));

    // A configuration that is broken, by a signal; then one with a change that needs a restart.
    let text = std::fs::read_to_string(lab.path("collector.toml")).unwrap();
    lab.write("collector.toml", &text[..text.len() / 2]);
    let hang_up = |pid: u32| {
        assert!(std::process::Command::new("kill").arg("-HUP").arg(pid.to_string()).status().unwrap().success());
    };
    hang_up(pid);
    let said = |log: &str| log.contains("\"asked\":\"SIGHUP\"").then_some(());
    collector.running.until_said("the signal is answered", said).await;
    assert!(reload().await.code != Some(0));
    assert_eq!(outcome(probes, &identity, by(&identity), HOST).await, Ok(()));
    lab.write("collector.toml", text.replace("endpoint = \"2s\"", "endpoint = \"3s\""));
    let done = reload().await.succeeded();
    assert!(done.contains("after a restart only: cadence.endpoint"), "{done}");
    assert!(status().await.contains("cadence.endpoint"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_may_ask_for_a_reload() {
    let lab = Lab::new();
    let setup = Setup { backend: "memory", operator_certificates: true, ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let ask = async |identity: &Identity| {
        let channel = channel(served.operators, Some(tls(identity, &lab.ca.certificate()))).await.unwrap();
        let mut api = v1::readiness_service_client::ReadinessServiceClient::new(channel);
        api.reload_collector(v1::ReloadCollectorRequest {}).await
    };
    for identity in [lab.ca.probe(HOST), lab.ca.operator("mallory")] {
        assert_eq!(ask(&identity).await.unwrap_err().code(), Code::PermissionDenied);
    }
    assert_eq!(served.access.state().reload.generation, 1);
    assert_eq!(ask(&lab.ca.operator(OPERATOR)).await.unwrap().into_inner().generation, 2);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_laboratory_ca_revokes() {
    let lab = Lab::new();
    let folder = lab.path("lab-ca");
    let pki = async |arguments: &[&str]| {
        let mut pki = command(binary("muster-collector"));
        pki.arg("pki").args(arguments);
        run(pki).await
    };
    let at = folder.to_str().unwrap();
    pki(&["init", at]).await.succeeded();
    pki(&["issue", at, "collector", "localhost", "127.0.0.1"]).await.succeeded();
    pki(&["issue", at, "probe", HOST]).await.succeeded();
    pki(&["crl", at]).await.succeeded();
    for (name, file) in
        [("ca.pem", "ca/ca.pem"), ("localhost.pem", "ca/collector.pem"), ("localhost.key", "ca/collector.key")]
    {
        std::fs::copy(folder.join(name), lab.path(file)).unwrap();
    }
    let served = Served::start(&lab, &with_lists("files = [\"lab-ca\"]\n")).await;
    let identity =
        Identity { certificate: folder.join(format!("{HOST}.pem")), key: folder.join(format!("{HOST}.key")) };
    assert_eq!(fresh(&served, &identity, &lab, HOST).await, Ok(()));
    pki(&["revoke", at, identity.certificate.to_str().unwrap()]).await.succeeded();
    served.reloader.reload("the test").await.unwrap();
    assert!(fresh(&served, &identity, &lab, HOST).await.unwrap_err().contains("it is revoked"));
    let stranger = lab.ca.probe(OTHER);
    let refused = pki(&["revoke", at, stranger.certificate.to_str().unwrap()]).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("was not issued by the CA"), "{refused:?}");
    served.stop().await;
}
