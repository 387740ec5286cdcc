//! Who gets in at which door, and what each side is told when it does not.

use std::sync::Arc;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_proto::FILE_DESCRIPTOR_SET;
use muster_proto::link::{Chain, LastWord};
use muster_proto::v1::ReportRequest;
use muster_tests::authority::{
    Authority, Identity, collector_params, expired, for_servers, not_yet_valid, probe_params, with_second_name,
    with_user_name, with_wildcard,
};
use muster_tests::collector::{CollectorProgram, Served};
use muster_tests::lab::{Lab, OPERATOR, Setup};
use muster_tests::machine::{Machine, user};
use muster_tests::operator::Operator;
use muster_tests::probe::{FakeProbe, channel, channel_with, tls};
use muster_tests::program::{binary, command, run};
use muster_tests::wait;
use prost::Message as _;
use tonic::transport::Channel;
use tonic::{Code, Status};

const HOST: &str = "pc-0417.corp.example";

/// Certificates that are not a probe's: the word that is counted, and what the probe is told.
fn bad_probes(lab: &Lab) -> Vec<(&'static str, &'static str, Identity)> {
    let foreign = Authority::new(&lab.path("foreign"), "Somebody's CA");
    let good = || probe_params(HOST);
    let not_required = "its issuer, names, key usage or template are not what the collector requires";
    vec![
        ("expired", "it has expired or is not valid yet", lab.ca.issue("expired", &expired(good()))),
        ("not-yet-valid", "it has expired or is not valid yet", lab.ca.issue("early", &not_yet_valid(good()))),
        ("foreign-issuer", "", foreign.issue("foreign", &good())),
        ("missing-eku", not_required, lab.ca.issue("server", &for_servers(good()))),
        ("several-names", not_required, lab.ca.issue("two", &with_second_name(good(), "dc01.corp.example"))),
        ("wildcard", not_required, lab.ca.issue("wildcard", &with_wildcard(good()))),
        ("upn-san", not_required, lab.ca.issue("user", &with_user_name(good(), "ada@corp.example"))),
    ]
}

/// What a probe is told that tries to report, by the whole chain of reasons.
async fn refusal(served: &Served, identity: &Identity, lab: &Lab) -> String {
    let mut probe = match FakeProbe::connect_with(identity, &lab.ca.certificate(), served.probes).await {
        Ok(probe) => probe,
        Err(told) => return told,
    };
    // Under TLS 1.3 a client's certificate is judged after the client is done: the first call brings the answer.
    let machine = Machine::endpoint("pc-0417", "Rotterdam", &user(1));
    let status = probe.report(&machine, SystemClock.now()).await.unwrap_err();
    // Where the refusal was faster than the call, it is the connection that knows.
    probe.last_word.take().map_or_else(|| Chain(&status).to_string(), |refused| refused.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_no_probes_gets_nothing_in_and_both_sides_know_why() {
    let lab = Lab::new();
    let served = Served::start(&lab, &Setup { backend: "memory", ..Setup::default() }).await;
    for (counted, told, identity) in bad_probes(&lab) {
        let found = refusal(&served, &identity, &lab).await;
        assert!(found.contains("the collector refused this machine's certificate"), "{counted}: {found}");
        assert!(found.contains(told), "{counted}: {found}");
        wait::until(&format!("`{counted}` is counted"), async || {
            let refused = served.refused.refused();
            if refused.contains_key(counted) { Ok(()) } else { Err(format!("{refused:?}")) }
        })
        .await;
    }
    let mut operator = Operator::connect(served.operators).await;
    assert!(operator.hosts().await.is_empty());
    // The good one still gets in.
    let mut probe = FakeProbe::connect(&lab, served.probes, HOST).await;
    probe.report(&Machine::endpoint("pc-0417", "Rotterdam", &user(1)), SystemClock.now()).await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_programs_say_what_is_wrong_with_a_certificate() {
    let lab = Lab::new();
    let collector = CollectorProgram::start(&lab, &Setup { backend: "memory", ..Setup::default() }).await;
    for (counted, told, identity) in bad_probes(&lab) {
        let settings =
            lab.probe_settings(counted, &identity, collector.probes.port(), "host = \"pc-0417.corp.example\"");
        let mut once = command(binary("muster-probe"));
        once.arg("once").arg("--config").arg(settings);
        let done = run(once).await;
        let said = unwrapped(&format!("{}{}", done.stdout, done.stderr));
        assert!(!matches!(done.code, Some(0)) && said.contains(told), "{counted}: {done:?}");
        assert!(collector.running.log().contains(&format!("\"reason\":\"{counted}\"")), "{}", collector.running.log());
    }
}

/// Text that was broken into lines for people, as one line.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_believes_only_its_own_collector() {
    let lab = Lab::new();
    lab.ca.issue("late", &expired(collector_params()));
    lab.ca.issue("early", &not_yet_valid(collector_params()));
    let stranger = Authority::new(&lab.path("strangers"), "Somebody's CA");
    stranger.issue("collector", &collector_params());
    let identity = lab.ca.probe(HOST);
    for (certificate, told) in [
        ("ca/late", "certificate of the collector ended on "),
        ("ca/early", "certificate of the collector begins on "),
        ("strangers/collector", "issued by `CN=Somebody's CA`, which is none of the configured authorities"),
    ] {
        let setup = Setup { backend: "memory", certificate, ..Setup::default() };
        let served = Served::start(&lab, &setup).await;
        let found = FakeProbe::connect_with(&identity, &lab.ca.certificate(), served.probes).await.unwrap_err();
        assert!(found.contains(told), "{certificate}: {found}");
        // The real probe says the same, and keeps what it has to say.
        let settings = lab.probe_settings("believes", &identity, served.probes.port(), "");
        let mut once = command(binary("muster-probe"));
        once.arg("once").arg("--config").arg(settings);
        let done = run(once).await;
        let said = unwrapped(&format!("{}{}", done.stdout, done.stderr));
        assert_eq!(done.code, Some(69), "{done:?}");
        assert!(said.contains(told), "{certificate}: {said}");
        served.stop().await;
    }
}

/// The parts of a descriptor set that name methods (descriptor.proto).
#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
}

/// Every method of the operators' side: those of the schema, of health and of reflection.
fn operator_methods() -> Vec<String> {
    let files = Files::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for file in files.file {
        for service in file.service.iter().filter(|service| service.name == "ReadinessService") {
            methods.extend(service.method.iter().map(|own| format!("/{}.{}/{}", file.package, service.name, own.name)));
        }
    }
    assert!(methods.len() >= 14, "{methods:?}");
    for other in [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        methods.push(other.to_owned());
    }
    methods
}

/// Calls a method with an empty message and gives the status it begins or ends with.
async fn call(channel: &Channel, method: &str) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = method.parse().unwrap();
    let codec: tonic_prost::ProstCodec<(), ()> = tonic_prost::ProstCodec::default();
    // An empty request stream with one empty message fits every kind of method.
    let request = tonic::Request::new(tokio_stream::iter([()]));
    let mut answers = client.streaming(request, path, codec).await?.into_inner();
    answers.message().await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_probe_is_an_operator_on_any_method() {
    let lab = Lab::new();
    let setup = Setup { backend: "memory", operator_certificates: true, ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let ca = lab.ca.certificate();
    let reach = async |identity: &Identity| channel(served.operators, Some(tls(identity, &ca))).await.unwrap();
    let operator = reach(&lab.ca.operator(OPERATOR)).await;
    let refused = [
        (HOST, reach(&lab.ca.probe(HOST)).await),
        ("dc01.corp.example", reach(&lab.ca.probe("dc01.corp.example")).await),
        ("mallory", reach(&lab.ca.operator("mallory")).await),
    ];
    for method in operator_methods() {
        for (who, channel) in &refused {
            let status = call(channel, &method).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{who} on {method}: {status}");
            assert!(!status.message().is_empty(), "{who} on {method}");
        }
        if let Err(status) = call(&operator, &method).await {
            let code = status.code();
            assert!(
                !matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented),
                "{method}: {status}"
            );
        }
    }
    // The operators' door takes no reports, whoever brings them.
    let mut reporter = muster_proto::v1::report_service_client::ReportServiceClient::new(operator);
    assert_eq!(reporter.report(ReportRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_have_a_door_of_their_own() {
    let lab = Lab::new();
    let setup = Setup { backend: "memory", operator_certificates: true, ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let url = format!("https://localhost:{}", served.operators.port());
    let muster = async |identity: Option<&Identity>| {
        let mut muster = command(binary("muster"));
        muster.arg("--collector").arg(&url).arg("sites");
        if let Some(identity) = identity {
            muster.arg("--certificate").arg(&identity.certificate).arg("--key").arg(&identity.key);
            muster.arg("--ca").arg(lab.ca.certificate());
        }
        run(muster).await
    };
    assert!(muster(Some(&lab.ca.operator(OPERATOR))).await.succeeded().contains("no sites yet"));
    let probe = muster(Some(&lab.ca.probe(HOST))).await;
    assert!(probe.code != Some(0) && probe.stderr.contains("the collector refuses this"), "{probe:?}");
    let nobody = muster(None).await;
    assert!(nobody.code != Some(0) && nobody.stderr.contains("--certificate"), "{nobody:?}");
    let late = muster(Some(&lab.ca.issue("late-operator", &expired(probe_params(OPERATOR))))).await;
    assert!(late.code != Some(0) && !late.stderr.is_empty(), "{late:?}");

    // In the clear there is nothing to be had where certificates are asked for.
    let plain = channel(served.operators, None).await;
    if let Ok(plain) = plain {
        assert!(call(&plain, "/muster.v1.ReadinessService/ListSites").await.is_err());
    }
    // Nor do probes' methods answer without a certificate.
    let nobody =
        muster_proto::link::client_config(None, &muster_proto::link::load_certificates(&lab.ca.certificate()).unwrap())
            .unwrap();
    let last_word = LastWord::default();
    let told = match channel_with(served.probes, Some(Arc::clone(&nobody)), &last_word).await {
        Err(told) => told,
        Ok(channel) => {
            let status = call(&channel, "/muster.v1.ReportService/Report").await.unwrap_err();
            last_word.take().map_or_else(|| Chain(&status).to_string(), |refused| refused.to_string())
        }
    };
    assert!(told.contains("none was shown"), "{told}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_operators_need_no_certificate() {
    let lab = Lab::new();
    let served = Served::start(&lab, &Setup { backend: "memory", ..Setup::default() }).await;
    let open = channel(served.operators, None).await.unwrap();
    for method in operator_methods() {
        if let Err(status) = call(&open, &method).await {
            let code = status.code();
            assert!(
                !matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented),
                "{method}: {status}"
            );
        }
    }
    served.stop().await;
}
