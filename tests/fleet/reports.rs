//! Reports as they should not be: each is answered with a text that says what is wrong, and costs nothing else.

use muster_collector::clock::{Clock as _, SystemClock};
use muster_evidence::{Kind, Role, limits};
use muster_proto::convert::{Digest, WireKey};
use muster_proto::v1::report_stream_response::Answer;
use muster_proto::v1::{self, Acknowledgement, Standing};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, user};
use muster_tests::operator::{Operator, verdict};
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::wait;
use prost::Message as _;
use tonic::Code;

async fn serving() -> (Lab, Served, Operator) {
    let lab = Lab::new();
    let served = Served::start(&lab, &Setup { backend: "memory", ..Setup::default() }).await;
    let operator = Operator::connect(served.operators).await;
    (lab, served, operator)
}

fn endpoint() -> Machine {
    Machine::endpoint("pc-0417", "Rotterdam", &user(1104))
}

fn entry(message: &mut v1::ReportRequest, kind: Kind) -> &mut v1::ObservationEntry {
    let number = u32::from(kind.number());
    message.observations.iter_mut().find(|entry| entry.key.as_ref().is_some_and(|key| key.kind == number)).unwrap()
}

/// Makes a report wrong.
type Spoil = fn(&mut v1::ReportRequest);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_as_a_whole_is_refused_with_the_reason() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let cases: [(&str, Spoil, Code, &str); 9] = [
        (
            "another host",
            |report| report.host.as_mut().unwrap().name = "dc01.corp.example".to_owned(),
            Code::PermissionDenied,
            "certificate names host `pc-0417.corp.example`, report claims `dc01.corp.example`",
        ),
        (
            "a protocol of the future",
            |report| report.protocol = Some(v1::ProtocolVersion { major: 9, minor: 4 }),
            Code::FailedPrecondition,
            "report has protocol 9.4",
        ),
        ("no protocol", |report| report.protocol = None, Code::InvalidArgument, "`protocol`"),
        ("no sequence", |report| report.sequence = 0, Code::InvalidArgument, "`sequence`"),
        ("no incarnation", |report| report.incarnation = 0, Code::InvalidArgument, "`incarnation`"),
        ("half an install id", |report| report.install_id.truncate(8), Code::InvalidArgument, "`install_id`"),
        ("no host", |report| report.host = None, Code::InvalidArgument, "`host`"),
        (
            "the same thing twice",
            |report| report.observations.push(report.observations[0].clone()),
            Code::InvalidArgument,
            "report has two observations `operating-system of host`",
        ),
        (
            "too much",
            |report| {
                let one = report.observations[0].clone();
                report.observations.extend(std::iter::repeat_n(one, limits::OBSERVATIONS_PER_REPORT));
            },
            Code::InvalidArgument,
            "(at most 320 are allowed)",
        ),
    ];
    for (what, spoil, code, told) in cases {
        let mut message = probe.message(&endpoint(), now);
        spoil(&mut message);
        let status = probe.send(message).await.unwrap_err();
        assert_eq!(status.code(), code, "{what}: {status}");
        assert!(status.message().contains(told), "{what}: {}", status.message());
    }
    assert!(operator.hosts().await.is_empty(), "a refused report left something behind");
    // None of it was held against the probe.
    let answer = probe.report(&endpoint(), now).await.unwrap();
    assert_eq!(acknowledged(&answer), Acknowledgement::Committed);
    served.stop().await;
}

/// Sends bytes as they are, where a report should be.
async fn raw(probe: &FakeProbe, bytes: Vec<u8>) -> tonic::Status {
    struct Bytes;
    impl tonic::codec::Encoder for Bytes {
        type Item = Vec<u8>;
        type Error = tonic::Status;
        fn encode(&mut self, item: Vec<u8>, into: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
            prost::bytes::BufMut::put_slice(into, &item);
            Ok(())
        }
    }
    impl tonic::codec::Decoder for Bytes {
        type Item = ();
        type Error = tonic::Status;
        fn decode(&mut self, _: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<()>, tonic::Status> {
            Ok(Some(()))
        }
    }
    impl tonic::codec::Codec for Bytes {
        type Encode = Vec<u8>;
        type Decode = ();
        type Encoder = Self;
        type Decoder = Self;
        fn encoder(&mut self) -> Self {
            Self
        }
        fn decoder(&mut self) -> Self {
            Self
        }
    }
    let mut client = tonic::client::Grpc::new(probe.channel.clone());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/muster.v1.ReportService/Report");
    client.unary::<Vec<u8>, (), Bytes>(tonic::Request::new(bytes), path, Bytes).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_report_are_refused() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let whole = probe.message(&endpoint(), now).encode_to_vec();

    // A length that is cut, a tag that does not exist, a text that is none.
    for bytes in [whole[..whole.len() / 2].to_vec(), vec![0xFF; 64], vec![0x12, 0x02, 0xC3, 0x28], b"hello".to_vec()] {
        let status = raw(&probe, bytes.clone()).await;
        assert!(matches!(status.code(), Code::InvalidArgument | Code::Internal), "{bytes:?}: {status:?}");
        assert!(!status.message().is_empty());
    }
    // Every truncation either is refused or is a shorter report that is told what it lacks; none ends the collector.
    for length in (0..whole.len()).step_by(29) {
        let _ = raw(&probe, whole[..length].to_vec()).await;
    }
    let mut large = probe.message(&endpoint(), now);
    large.probe_version = "x".repeat(limits::REPORT_BYTES + 1);
    let status = probe.send(large).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    assert!(
        status.message().contains("1048576") || status.message().contains("1048640"),
        "the bound is named: {status}"
    );

    assert!(operator.hosts().await.is_empty());
    probe.report(&endpoint(), now).await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_wrong_costs_that_part_only() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();

    let mut message = probe.message(&endpoint(), now);
    // A digest that is not that of the body.
    entry(&mut message, Kind::Tpm).digest = vec![7; 16];
    // A value of an enumeration that this collector does not know.
    let mut join = v1::ObservationBody::decode(entry(&mut message, Kind::JoinState).body.as_deref().unwrap()).unwrap();
    if let Some(v1::observation_body::Outcome::Observed(v1::Observed {
        evidence: Some(v1::observed::Evidence::JoinState(join)),
    })) = &mut join.outcome
    {
        join.azure_ad_joined = 99;
    } else {
        panic!("{join:?}");
    }
    let body = join.encode_to_vec();
    entry(&mut message, Kind::JoinState).digest = Digest::of(&body).0.to_vec();
    entry(&mut message, Kind::JoinState).body = Some(body);
    // A body beyond its bound.
    let large = vec![0; limits::OBSERVATION_BODY_BYTES + 1];
    entry(&mut message, Kind::Prt).digest = Digest::of(&large).0.to_vec();
    entry(&mut message, Kind::Prt).body = Some(large);
    // A series nobody knows, and roles without a grant.
    message.series.push(v1::SeriesAppend { series: 77, first_sequence: 1, points: Vec::new() });
    message.roles.extend([v1::Role::DomainController.into(), 42]);

    let answer = probe.send(message).await.unwrap();
    assert_eq!(acknowledged(&answer), Acknowledgement::Committed, "{answer:?}");
    let told = |part: &str| {
        let found = answer.refusals.iter().find(|refusal| refusal.part.contains(part));
        found.unwrap_or_else(|| panic!("no refusal of {part}: {:?}", answer.refusals)).reason.clone()
    };
    assert!(told("tpm of host").contains("the report says"), "{answer:?}");
    assert!(told("join-state").contains("99"), "{answer:?}");
    assert!(told("prt").contains("at most 12288 are allowed"), "{answer:?}");
    assert!(told("series").contains("77"), "{answer:?}");
    assert_eq!(
        told("role domain-controller"),
        "role `domain-controller` is not granted to `pc-0417.corp.example`",
        "{answer:?}"
    );
    assert!(told("role 42").contains("42"), "{answer:?}");

    // The rest was taken, and what was not taken is a gap and no health.
    let host = operator.host("pc-0417").await.unwrap();
    assert_eq!(verdict(&host, "os.client-build").standing(), Standing::Ready);
    for check in ["tpm.version", "join.type", "prt.present"] {
        assert_eq!(verdict(&host, check).standing(), Standing::Unknown, "{check}: {host:?}");
    }
    let roles: Vec<i32> = host.host.unwrap().roles;
    assert_eq!(roles, [i32::from(v1::Role::Endpoint)]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_probe_says_is_kept_and_shown_as_newer() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let mut message = probe.message(&endpoint(), now);
    message.protocol = Some(v1::ProtocolVersion { major: 1, minor: 7 });
    message.probe_version = "9.0.0".to_owned();
    let body = b"something that a later release knows".to_vec();
    message.observations.push(v1::ObservationEntry {
        key: Some(v1::ObservationKey {
            kind: 900,
            subject: Some(v1::observation_key::Subject::Host(v1::HostSubject {})),
        }),
        digest: Digest::of(&body).0.to_vec(),
        body: Some(body),
        observed_at_ms: now.unix_ms(),
        context: v1::ObservationContext::Service.into(),
        origin: v1::ObservationOrigin::Live.into(),
        moving: None,
    });
    let answer = probe.send(message.clone()).await.unwrap();
    assert_eq!(acknowledged(&answer), Acknowledgement::Committed);
    assert!(answer.refusals.is_empty() && answer.need.is_empty(), "{answer:?}");
    assert!(!answer.accepted_kinds.contains(&900), "it says what it understands: {answer:?}");

    // It was stored: the digest alone is enough the next time.
    message.sequence += 1;
    message.observations.iter_mut().for_each(|entry| entry.body = None);
    let answer = probe.send(message).await.unwrap();
    assert_eq!(acknowledged(&answer), Acknowledgement::Seen, "{answer:?}");

    let host = operator.host("pc-0417").await.unwrap();
    let newer: Vec<_> = host.evidence.iter().filter(|own| own.newer_than_collector).collect();
    assert_eq!(newer.len(), 1, "{:?}", host.evidence);
    assert_eq!(newer[0].key.as_ref().unwrap().kind, 900);
    assert!(newer[0].body.is_none());
    assert_eq!(host.host.unwrap().probe_version, "9.0.0");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_collector_lacks_it_asks_for() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let mut message = probe.message(&endpoint(), now);
    entry(&mut message, Kind::Tpm).body = None;
    let answer = probe.send(message).await.unwrap();
    let needed: Vec<String> = answer.need.into_iter().map(|key| WireKey::from_wire(key).unwrap().to_string()).collect();
    assert_eq!(needed, ["tpm of host"]);
    assert!(answer.next_report_after_ms <= 1_000, "at once: {}", answer.next_report_after_ms);
    let host = operator.host("pc-0417").await.unwrap();
    assert_eq!(verdict(&host, "tpm.version").standing(), Standing::Unknown);

    let answer = probe.report(&endpoint(), now).await.unwrap();
    assert!(answer.need.is_empty());
    let host = operator.host("pc-0417").await.unwrap();
    assert_eq!(verdict(&host, "tpm.version").standing(), Standing::Ready);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_goes_back_touches_no_state_and_loses_no_series() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let points = |first, count| v1::SeriesAppend {
        series: 2,
        first_sequence: first,
        points: (0..count).map(|n| v1::SeriesPoint { at_ms: now.unix_ms() + n, milli: n }).collect(),
    };
    probe.sequence = 10;
    let mut message = probe.message(&endpoint(), now);
    message.series.push(points(1, 3));
    let answer = probe.send(message).await.unwrap();
    assert_eq!(answer.series, [v1::SeriesAck { series: 2, stored_up_to: 3 }]);

    // An old report of a machine that had no TPM then, with points that are new.
    probe.sequence = 4;
    let mut message = probe.message(&endpoint().lacking(Kind::Tpm), now);
    message.series.push(points(1, 5));
    let answer = probe.send(message).await.unwrap();
    assert_eq!(acknowledged(&answer), Acknowledgement::Superseded);
    assert_eq!(answer.series, [v1::SeriesAck { series: 2, stored_up_to: 5 }], "series are merged still");
    let host = operator.host("pc-0417").await.unwrap();
    assert_eq!(verdict(&host, "tpm.present").standing(), Standing::Ready, "the later report stands");

    // The very same report again is no later one either.
    probe.sequence = 11;
    let again = probe.message(&endpoint(), now);
    assert_eq!(acknowledged(&probe.send(again.clone()).await.unwrap()), Acknowledgement::Seen);
    assert_eq!(acknowledged(&probe.send(again).await.unwrap()), Acknowledgement::Superseded);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_under_one_name_are_a_conflict_and_never_mixed() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    probe.report(&endpoint(), now).await.unwrap();
    let mut rival = probe.clone();
    rival.install_id = muster_evidence::InstallId([9; 16]);
    rival.incarnation = 77;
    rival.sequence = 500;
    let answer = rival.report(&endpoint().lacking(Kind::Tpm), now).await.unwrap();
    assert!(answer.conflict, "{answer:?}");
    assert_eq!(acknowledged(&answer), Acknowledgement::Superseded);
    let host = operator.host("pc-0417").await.unwrap();
    assert!(host.conflict, "it is shown");
    assert_eq!(verdict(&host, "tpm.present").standing(), Standing::Ready);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_in_order_and_outlives_a_refused_report() {
    let (lab, served, mut operator) = serving().await;
    let mut relay = FakeProbe::connect(&lab, served.probes, "relay.corp.example").await;
    let now = SystemClock.now();
    let count = 60;
    let messages: Vec<v1::ReportStreamRequest> = (0..count)
        .map(|n| {
            let machine = Machine::endpoint(&format!("pc-{n:04}"), "Rotterdam", &user(n));
            let mut report = relay.message(&machine, now);
            match n {
                20 => report.sequence = 0,
                40 => report.host.as_mut().unwrap().name = "no name".to_owned(),
                _ => {}
            }
            v1::ReportStreamRequest { report: Some(report) }
        })
        .chain([v1::ReportStreamRequest { report: None }])
        .collect();
    let mut answers = relay.client.report_stream(tokio_stream::iter(messages)).await.unwrap().into_inner();
    for n in 0..=count {
        let answer = answers.message().await.unwrap().unwrap_or_else(|| panic!("the stream ended at {n}")).answer;
        match (n, answer.unwrap()) {
            (20, Answer::Refused(refused)) => assert!(refused.message.contains("`sequence`"), "{refused:?}"),
            (40, Answer::Refused(refused)) => assert!(refused.message.contains("no name"), "{refused:?}"),
            (60, Answer::Refused(refused)) => {
                assert_eq!(refused.code, u32::try_from(i32::from(Code::InvalidArgument)).unwrap(), "{refused:?}");
            }
            (20 | 40 | 60, answer) => panic!("report {n} was taken: {answer:?}"),
            (_, Answer::Response(answer)) => assert_eq!(acknowledged(&answer), Acknowledgement::Committed, "{n}"),
            (_, Answer::Refused(refused)) => panic!("report {n}: {refused:?}"),
        }
    }
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(operator.hosts().await.len(), 58);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_from_the_future_is_judged_by_its_arrival() {
    let (lab, served, mut operator) = serving().await;
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let future = now.plus_days(400);
    probe.report(&endpoint(), future).await.unwrap();
    let host =
        wait::until("the host", async || operator.host("pc-0417").await.map_err(|status| status.to_string())).await;
    let seen = host.host.as_ref().unwrap().last_seen_ms;
    assert!((seen - now.unix_ms()).abs() < 600_000, "last seen {seen}, now {now}");
    for own in &host.evidence {
        assert!((own.observed_at_ms - now.unix_ms()).abs() < 600_000, "evidence from the future is shown: {own:?}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_counts_only_with_a_grant() {
    let (lab, served, mut operator) = serving().await;
    let now = SystemClock.now();
    // A client that calls itself a domain controller, with a perfect certificate.
    let mut machine = Machine::dc("pc-0666", "Rotterdam", now);
    machine.roles = vec![Role::DomainController, Role::Directory, Role::Relay];
    let mut probe = FakeProbe::connect(&lab, served.probes, "pc-0666.corp.example").await;
    let mut message = probe.message(&machine, now);
    message.inventory.push(v1::InventoryPart {
        forest: "corp.example".to_owned(),
        source: "key-credentials".to_owned(),
        epoch: 1,
        cursor: 1,
        as_of_ms: now.unix_ms(),
        items: Vec::new(),
        complete: true,
        canary_seen: true,
    });
    let answer = probe.send(message).await.unwrap();
    let refused: Vec<&str> = answer.refusals.iter().map(|refusal| refusal.part.as_str()).collect();
    for part in ["role domain-controller", "role directory", "role relay", "inventory key-credentials of corp.example"]
    {
        assert!(refused.contains(&part), "{part}: {refused:?}");
    }
    assert!(answer.inventory.is_empty());
    let site = operator.site("Rotterdam").await;
    assert!(site.dcs.is_empty(), "{site:?}");
    // Nor may it speak for others.
    let status = probe.report(&Machine::dc("dc01", "Rotterdam", now), now).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    served.stop().await;
}
