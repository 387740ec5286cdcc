//! Every way in which a message can be wrong has a message here that is wrong in that way, and the text it gives.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

mod evidence;

use evidence::{sample_report, whole_report};
use muster_evidence::{Evidence, Kind, ObservationKey, Outcome, Sha256, Subject, limits};
use muster_proto::convert::{
    Digest, InvalidBody, InvalidField, InvalidKey, WireKey, decode_body, decode_body_of, encode_body,
    outcome_from_wire, outcome_to_wire, read_report, report_to_wire, role_from_wire, strip_bodies,
};
use muster_proto::link::Chain;
use muster_proto::v1;
use muster_proto::v1::observation_body::Outcome as WireOutcome;
use muster_proto::v1::observed::Evidence as WireEvidence;
use prost::Message;

/// The sample's evidence of a kind, as a message.
fn wire_evidence(kind: Kind) -> WireEvidence {
    let report = whole_report();
    let outcome = report
        .observations
        .into_iter()
        .map(|seen| seen.outcome)
        .find(|outcome| matches!(outcome, Outcome::Observed(evidence) if evidence.kind() == kind))
        .unwrap();
    match outcome_to_wire(&outcome).outcome.unwrap() {
        WireOutcome::Observed(v1::Observed { evidence }) => evidence.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn refused(kind: Kind, evidence: WireEvidence) -> String {
    let outcome = WireOutcome::Observed(v1::Observed { evidence: Some(evidence) });
    let error = outcome_from_wire(kind, v1::ObservationBody { outcome: Some(outcome) }).unwrap_err();
    let text = Chain(&error).to_string();
    let prefix = format!("body of `{kind}` is invalid: ");
    text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// Damages one kind's message and tells what is said about it.
macro_rules! damaged {
    ($kind:ident, |$message:ident| $damage:expr) => {{
        let WireEvidence::$kind(mut $message) = wire_evidence(Kind::$kind) else { unreachable!() };
        $damage;
        refused(Kind::$kind, WireEvidence::$kind($message))
    }};
}

#[test]
fn fields_that_are_missing_are_named() {
    let cases = [
        (damaged!(Tpm, |m| m.version = 0), "tpm.version"),
        (damaged!(OperatingSystem, |m| m.family = 0), "operating_system.family"),
        (damaged!(JoinState, |m| m.device_auth = Some(v1::DeviceAuth::default())), "join_state.device_auth.status"),
        (damaged!(KeyRegistration, |m| m.registered_at_ms = None), "key_registration.registered_at_ms"),
        (damaged!(DomainController, |m| m.fqdn = String::new()), "domain_controller.fqdn"),
        (damaged!(DomainController, |m| m.forest = String::new()), "domain_controller.forest"),
        (damaged!(CertificateListing, |m| m.store = 0), "certificate_listing.store"),
        (
            damaged!(CertificateListing, |m| m.certificates[0].private_key = 0),
            "certificate_listing.certificates[0].private_key",
        ),
        (
            damaged!(CertificateListing, |m| m.certificates[0].sha256 = vec![]),
            "certificate_listing.certificates[0].sha256",
        ),
        (damaged!(Certificate, |m| m.sha256 = vec![]), "certificate.sha256"),
        (damaged!(Certificate, |m| m.thumbprint = vec![]), "certificate.thumbprint"),
        (damaged!(Certificate, |m| m.not_before_ms = None), "certificate.not_before_ms"),
        (damaged!(Certificate, |m| m.not_after_ms = None), "certificate.not_after_ms"),
        (damaged!(Certificate, |m| m.key = None), "certificate.key"),
        (damaged!(Certificate, |m| m.key = Some(v1::KeyAlgorithm { algorithm: None })), "certificate.key.algorithm"),
        (damaged!(Certificate, |m| m.signature_hash = None), "certificate.signature_hash"),
        (
            damaged!(Certificate, |m| m.signature_hash = Some(v1::SignatureHash { hash: None })),
            "certificate.signature_hash.hash",
        ),
        (
            damaged!(Certificate, |m| m.signature_hash =
                Some(v1::SignatureHash { hash: Some(v1::signature_hash::Hash::Known(0)) })),
            "certificate.signature_hash.known",
        ),
        (damaged!(Certificate, |m| m.subject_alt_names[1].name = None), "certificate.subject_alt_names[1].name"),
        (
            damaged!(Certificate, |m| m.template = Some(v1::TemplateReference { template: None })),
            "certificate.template.template",
        ),
        (damaged!(Certificate, |m| m.chain = None), "certificate.chain"),
        (damaged!(Certificate, |m| m.chain = Some(v1::ChainStatus { status: None })), "certificate.chain.status"),
        (
            damaged!(Certificate, |m| m.revocation = Some(v1::Revocation { outcome: None })),
            "certificate.revocation.outcome",
        ),
        (
            damaged!(Certificate, |m| m.revocation = Some(v1::Revocation {
                outcome: Some(v1::revocation::Outcome::Revoked(v1::RevokedCertificate::default()))
            })),
            "certificate.revocation.revoked.at_ms",
        ),
        (
            damaged!(JoinState, |m| m.key_sign_test = Some(v1::KeySignTest::default())),
            "join_state.key_sign_test.status",
        ),
        (damaged!(ProvisioningEvent, |m| m.at_ms = None), "provisioning_event.at_ms"),
        (damaged!(UserPolicy, |m| m.pin = None), "user_policy.pin"),
        (damaged!(DeviceMdmPolicy, |m| m.pin = None), "device_mdm_policy.pin"),
        (damaged!(RegistrationDiagnostics, |m| m.tests[0].result = 0), "registration_diagnostics.tests[0].result"),
        (damaged!(DcLocator, |m| m.any = None), "dc_locator.any"),
        (damaged!(DcLocator, |m| m.capable = Some(v1::LocatorAnswer { answer: None })), "dc_locator.capable.answer"),
        (damaged!(NtAuthStore, |m| m.thumbprints[1].clear()), "nt_auth_store.thumbprints[1]"),
        (damaged!(RevocationLists, |m| m.points[0].fetch = None), "revocation_lists.points[0].fetch"),
        (
            damaged!(RevocationLists, |m| m.points[0].fetch = Some(v1::CrlFetch { outcome: None })),
            "revocation_lists.points[0].fetch.outcome",
        ),
        (
            damaged!(RevocationLists, |m| m.points[0].list.as_mut().unwrap().this_update_ms = None),
            "revocation_lists.points[0].list.this_update_ms",
        ),
        (damaged!(DeviceEvents, |m| m.logs[0].state = None), "device_events.logs[0].state"),
        (damaged!(KdcEvents, |m| m.events[0].at_ms = None), "kdc_events.events[0].at_ms"),
        (damaged!(KdcService, |m| m.state = 0), "kdc_service.state"),
        (damaged!(KdcLoad, |m| m.counter = 0), "kdc_load.counter"),
        (damaged!(KdcLoad, |m| m.since_ms = None), "kdc_load.since_ms"),
        (damaged!(Clock, |m| m.ahead_seconds = None), "clock.ahead_seconds"),
    ];
    for (text, field) in cases {
        assert_eq!(text, format!("field `{field}` is missing"));
    }
}

#[test]
fn numbers_from_a_newer_probe_are_named_with_what_is_known() {
    let cases = [
        (damaged!(Tpm, |m| m.version = 7), "tpm.version", 7, 2),
        (damaged!(OperatingSystem, |m| m.family = 9), "operating_system.family", 9, 3),
        (damaged!(OperatingSystem, |m| m.product_type = 4), "operating_system.product_type", 4, 3),
        (damaged!(JoinState, |m| m.azure_ad_joined = 4), "join_state.azure_ad_joined", 4, 3),
        (
            damaged!(JoinState, |m| m.device_auth = Some(v1::DeviceAuth { status: 4, detail: String::new() })),
            "join_state.device_auth.status",
            4,
            3,
        ),
        (damaged!(Prt, |m| m.cloud_tgt = -1), "prt.cloud_tgt", -1, 3),
        (damaged!(Ngc, |m| m.can_reset = 5), "ngc.can_reset", 5, 4),
        (damaged!(NgcPrerequisites, |m| m.cert_enrollment = 5), "ngc_prerequisites.cert_enrollment", 5, 4),
        (damaged!(NgcPrerequisites, |m| m.result = 3), "ngc_prerequisites.result", 3, 2),
        (damaged!(CertificateListing, |m| m.store = 4), "certificate_listing.store", 4, 3),
        (damaged!(OperatingSystem, |m| m.firmware = 3), "operating_system.firmware", 3, 2),
        (
            damaged!(JoinState, |m| m.key_sign_test = Some(v1::KeySignTest { status: 4, detail: String::new() })),
            "join_state.key_sign_test.status",
            4,
            3,
        ),
        (damaged!(UserSession, |m| m.remote = 4), "user_session.remote", 4, 3),
        (damaged!(RegistrationDiagnostics, |m| m.phase = 6), "registration_diagnostics.phase", 6, 5),
        (
            damaged!(RegistrationDiagnostics, |m| m.tests[0].result = 5),
            "registration_diagnostics.tests[0].result",
            5,
            4,
        ),
        (damaged!(KdcService, |m| m.state = 6), "kdc_service.state", 6, 5),
        (damaged!(KdcLoad, |m| m.counter = 3), "kdc_load.counter", 3, 2),
        (
            damaged!(CertificateListing, |m| m.certificates[0].private_key = 4),
            "certificate_listing.certificates[0].private_key",
            4,
            3,
        ),
        (
            damaged!(Certificate, |m| m.signature_hash =
                Some(v1::SignatureHash { hash: Some(v1::signature_hash::Hash::Known(6)) })),
            "certificate.signature_hash.known",
            6,
            5,
        ),
    ];
    for (text, field, found, most) in cases {
        let expected = format!(
            "field `{field}` has the unknown value {found} (this build knows 1 to {most}; the other end may be newer)"
        );
        assert_eq!(text, expected);
    }
    assert_eq!(
        role_from_wire(6).unwrap_err().to_string(),
        "field `role` has the unknown value 6 (this build knows 1 to 5; the other end may be newer)"
    );
}

#[test]
fn what_exceeds_a_bound_is_told_with_the_bound() {
    let long = || "x".repeat(limits::TEXT_BYTES + 1);
    let too_long = "is not an allowed text: text has 257 bytes (at most 256 are allowed)";
    let many = |most: usize| vec!["x".to_owned(); most + 1];
    let cases = [
        (damaged!(Tpm, |m| m.firmware = Some(long())), format!("field `tpm.firmware` {too_long}")),
        (damaged!(OperatingSystem, |m| m.name = long()), format!("field `operating_system.name` {too_long}")),
        (
            damaged!(Prt, |m| m.server_error = Some("a\u{7}b".to_owned())),
            "field `prt.server_error` is not an allowed text: text holds the control character U+0007".to_owned(),
        ),
        (
            damaged!(Certificate, |m| m.ocsp_urls = vec![String::new(), long()]),
            format!("field `certificate.ocsp_urls[1]` {too_long}"),
        ),
        (
            damaged!(Certificate, |m| m.ocsp_urls = many(limits::CERTIFICATE_LIST)),
            "list `certificate.ocsp_urls` has 25 entries (at most 24 are allowed)".to_owned(),
        ),
        (
            damaged!(Certificate, |m| m.extended_key_usages =
                Some(v1::ExtendedKeyUsages { oids: many(limits::CERTIFICATE_LIST) })),
            "list `certificate.extended_key_usages.oids` has 25 entries (at most 24 are allowed)".to_owned(),
        ),
        (
            damaged!(CertificateListing, |m| m.certificates = vec![m.certificates[0].clone(); 33]),
            "list `certificate_listing.certificates` has 33 entries (at most 32 are allowed)".to_owned(),
        ),
        (
            damaged!(JoinState, |m| m.device_id = Some(vec![1; 15])),
            "field `join_state.device_id` has 15 bytes (expected 16)".to_owned(),
        ),
        (
            damaged!(ComputerPolicy, |m| m.other = many(limits::POLICY_VALUES)),
            "list `computer_policy.other` has 17 entries (at most 16 are allowed)".to_owned(),
        ),
        (
            damaged!(RegistrationDiagnostics, |m| m.tests = vec![m.tests[0].clone(); 17]),
            "list `registration_diagnostics.tests` has 17 entries (at most 16 are allowed)".to_owned(),
        ),
        (
            damaged!(RootStore, |m| m.thumbprints = vec![vec![1; 20]; 161]),
            "list `root_store.thumbprints` has 161 entries (at most 160 are allowed)".to_owned(),
        ),
        (
            damaged!(RootStore, |m| m.thumbprints[0].push(1)),
            "field `root_store.thumbprints[0]` has 21 bytes (expected 20)".to_owned(),
        ),
        (
            damaged!(RevocationLists, |m| m.points = vec![m.points[0].clone(); 17]),
            "list `revocation_lists.points` has 17 entries (at most 16 are allowed)".to_owned(),
        ),
        (
            damaged!(DeviceEvents, |m| m.logs = vec![m.logs[0].clone(); 9]),
            "list `device_events.logs` has 9 entries (at most 8 are allowed)".to_owned(),
        ),
        (
            damaged!(KdcEvents, |m| m.events = vec![m.events[0].clone(); 33]),
            "list `kdc_events.events` has 33 entries (at most 32 are allowed)".to_owned(),
        ),
        (
            damaged!(Replication, |m| m.partners = vec![m.partners[0].clone(); 33]),
            "list `replication.partners` has 33 entries (at most 32 are allowed)".to_owned(),
        ),
        (
            damaged!(SyncScheduler, |m| m.next_policy = Some(long())),
            format!("field `sync_scheduler.next_policy` {too_long}"),
        ),
        (damaged!(Ngc, |m| m.key_id = Some(vec![])), "field `ngc.key_id` has 0 bytes (expected 16)".to_owned()),
        (
            damaged!(KeyRegistration, |m| m.public_key_sha256 = Some(vec![1; 33])),
            "field `key_registration.public_key_sha256` has 33 bytes (expected 32)".to_owned(),
        ),
        (
            damaged!(Certificate, |m| m.thumbprint = vec![1; 32]),
            "field `certificate.thumbprint` has 32 bytes (expected 20)".to_owned(),
        ),
        (
            damaged!(Certificate, |m| m.not_after_ms = Some(i64::MAX)),
            "field `certificate.not_after_ms` is not an allowed time: timestamp 9223372036854775807 ms lies outside \
             the years 1601 to 9999"
                .to_owned(),
        ),
        (
            damaged!(DomainController, |m| m.site = Some(String::new())),
            "field `domain_controller.site` is not an allowed name: invalid site name ``: expected 1 to 63 \
             characters without control characters"
                .to_owned(),
        ),
        (
            damaged!(DomainController, |m| m.fqdn = "dc 01".to_owned()),
            "field `domain_controller.fqdn` is not an allowed name: invalid DNS name `dc 01`: expected labels of \
             letters, digits, `-` and `_` joined by dots, 253 bytes at most"
                .to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(text, expected);
    }
}

#[test]
fn bodies_that_are_none_are_told_apart() {
    let text = |error: InvalidBody| Chain(&error).to_string();
    let body = |outcome| v1::ObservationBody { outcome }.encode_to_vec();
    let observed = |evidence| body(Some(WireOutcome::Observed(v1::Observed { evidence })));

    let huge = vec![0; limits::OBSERVATION_BODY_BYTES + 1];
    assert_eq!(
        text(decode_body(Kind::Tpm, &huge).unwrap_err()),
        "body of `tpm` has 12289 bytes (at most 12288 are allowed)"
    );
    let undecodable = text(decode_body(Kind::Tpm, &[0xFF; 4]).unwrap_err());
    assert!(undecodable.starts_with("body of `tpm` cannot be decoded: failed to decode"), "{undecodable}");
    assert_eq!(
        text(decode_body(Kind::Tpm, &body(None)).unwrap_err()),
        "body of `tpm` has no outcome that this build knows (the probe may be newer)"
    );
    assert_eq!(
        text(decode_body(Kind::Tpm, &observed(None)).unwrap_err()),
        "body of `tpm` has no evidence that this build knows (the probe may be newer)"
    );
    assert_eq!(
        text(decode_body(Kind::Tpm, &observed(Some(wire_evidence(Kind::Prt)))).unwrap_err()),
        "body of `tpm` holds evidence of the kind `prt`"
    );
    let long = "x".repeat(300);
    for outcome in [
        WireOutcome::Unsupported(v1::Unsupported { detail: long.clone() }),
        WireOutcome::Failed(v1::Failed { reason: 1, detail: long }),
    ] {
        let text = text(decode_body(Kind::Ngc, &body(Some(outcome))).unwrap_err());
        assert!(text.ends_with("text has 300 bytes (at most 256 are allowed)"), "{text}");
    }

    let key = |sha256| ObservationKey { kind: Kind::Certificate, subject: Subject::Certificate(sha256) };
    let certificate = observed(Some(wire_evidence(Kind::Certificate)));
    assert!(decode_body_of(&key(Sha256([0xC0; 32])), &certificate).is_ok());
    assert_eq!(
        text(decode_body_of(&key(Sha256([0xC1; 32])), &certificate).unwrap_err()),
        format!("body holds the certificate `{}`, its key names `{}`", "c0".repeat(32), "c1".repeat(32))
    );
}

#[test]
fn a_gap_with_an_unknown_reason_stays_a_gap() {
    let failed = WireOutcome::Failed(v1::Failed { reason: 99, detail: "x".to_owned() });
    let body = v1::ObservationBody { outcome: Some(failed) }.encode_to_vec();
    let Outcome::Failed(failure) = decode_body(Kind::Tpm, &body).unwrap() else { panic!("not failed") };
    assert_eq!(failure.reason, muster_evidence::FailureReason::Other);
}

#[test]
fn keys_that_are_none_are_told_apart() {
    use v1::observation_key::Subject as S;
    let host = || Some(S::Host(v1::HostSubject {}));
    let user = |sid: &str| Some(S::UserSid(sid.to_owned()));
    let text = |kind, subject| {
        let error: InvalidKey = WireKey::from_wire(v1::ObservationKey { kind, subject }).unwrap_err();
        Chain(&error).to_string()
    };
    assert_eq!(text(0, host()), "observation key is invalid: field `kind` is missing");
    assert_eq!(text(1, None), "observation key is invalid: field `subject` is missing");
    assert_eq!(text(4, user("")), "observation key is invalid: field `user_sid` is missing");
    assert_eq!(text(4, user("S-1-0-0")), "observation `4` is about the null SID (expected the SID of a user)");
    assert_eq!(
        text(10, Some(S::CertificateSha256(vec![1; 31]))),
        "observation key is invalid: field `certificate_sha256` has 31 bytes (expected 32)"
    );
    assert_eq!(text(4, host()), "observation `prt` is about `host` (expected a user)");
    assert_eq!(text(1, user("S-1-5-21-1-2-3-4")), "observation `tpm` is about `S-1-5-21-1-2-3-4` (expected the host)");
    assert_eq!(text(10, host()), "observation `certificate` is about `host` (expected a certificate)");

    // A kind of a newer probe is no error: it is kept as it is, with any subject.
    for subject in [host(), user("S-1-5-21-1-2-3-4")] {
        let key = WireKey::from_wire(v1::ObservationKey { kind: 70_000, subject }).unwrap();
        assert_eq!(key.known(), None);
        assert!(key.to_string().starts_with("kind 70000 of "), "{key}");
    }
}

fn envelope(damage: impl FnOnce(&mut v1::ReportRequest)) -> String {
    let mut request = report_to_wire(&sample_report());
    damage(&mut request);
    Chain(&read_report(request).unwrap_err()).to_string()
}

#[test]
fn envelopes_that_are_wrong_refuse_the_report() {
    let missing = |field: &str| format!("report is invalid: field `{field}` is missing");
    let version = |major, minor| Some(v1::ProtocolVersion { major, minor });
    let cases = [
        (envelope(|r| r.protocol = None), missing("protocol")),
        (envelope(|r| r.probe_version.clear()), missing("probe_version")),
        (envelope(|r| r.install_id.clear()), missing("install_id")),
        (envelope(|r| r.incarnation = 0), missing("incarnation")),
        (envelope(|r| r.sequence = 0), missing("sequence")),
        (envelope(|r| r.sent_at_ms = 0), missing("sent_at_ms")),
        (envelope(|r| r.host = None), missing("host")),
        (envelope(|r| r.host.as_mut().unwrap().name.clear()), missing("host.name")),
        (
            envelope(|r| r.install_id = vec![1; 17]),
            "report is invalid: field `install_id` has 17 bytes (expected 16)".to_owned(),
        ),
        (
            envelope(|r| r.probe_version = "1".repeat(257)),
            "report is invalid: field `probe_version` is not an allowed text: text has 257 bytes (at most 256 are \
             allowed)"
                .to_owned(),
        ),
        (
            envelope(|r| r.roles = vec![1; 17]),
            "report is invalid: list `roles` has 17 entries (at most 16 are allowed)".to_owned(),
        ),
        (
            envelope(|r| r.protocol = version(2, 0)),
            "report has protocol 2.0 (this build serves majors 1 to 1; the older end must be upgraded)".to_owned(),
        ),
        (
            envelope(|r| r.protocol = version(0, 9)),
            "report has protocol 0.9 (this build serves majors 1 to 1; the older end must be upgraded)".to_owned(),
        ),
        (
            envelope(|r| r.observations = vec![v1::ObservationEntry::default(); 321]),
            "report has 321 observations (at most 320 are allowed)".to_owned(),
        ),
        (
            envelope(|r| r.observations.push(r.observations[0].clone())),
            "report has two observations `tpm of host`".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(text, expected);
    }
    // A newer minor of the same major is served.
    let mut request = report_to_wire(&sample_report());
    request.protocol = version(1, 7);
    assert_eq!(read_report(request).unwrap().protocol.to_string(), "1.7");
}

/// Part and reason of every refusal, and how many observations, series and inventory parts are still there.
type Parts = (Vec<(String, String)>, [usize; 3]);

/// Damages the sample report and tells what became of it.
fn parts(damage: impl FnOnce(&mut v1::ReportRequest)) -> Parts {
    let mut request = report_to_wire(&sample_report());
    damage(&mut request);
    let incoming = read_report(request).unwrap();
    let left = [incoming.observations.len(), incoming.series.len(), incoming.inventory.len()];
    (incoming.refusals.into_iter().map(|refusal| (refusal.part, refusal.reason)).collect(), left)
}

#[test]
fn parts_that_are_wrong_cost_nothing_else() {
    let digest_of = |entry: &v1::ObservationEntry| Digest::from_wire(&entry.digest).unwrap().to_string();
    let first = digest_of(&report_to_wire(&sample_report()).observations[0]);
    let all = [13, 1, 1];
    let without_observation = [12, 1, 1];
    let without_series = [13, 0, 1];
    let without_inventory = [13, 1, 0];
    let cases: [(Parts, &str, String, [usize; 3]); 24] = [
        (
            parts(|r| r.host.as_mut().unwrap().site = Some("x".repeat(64))),
            "host",
            "field `host.site` is not".into(),
            all,
        ),
        (
            parts(|r| r.host.as_mut().unwrap().ek_sha256 = Some(vec![1])),
            "host",
            "field `host.ek_sha256` has 1".into(),
            all,
        ),
        (parts(|r| r.roles.push(6)), "role 6", "field `roles[2]` has the unknown value 6".into(), all),
        (
            parts(|r| r.observations[0].key = None),
            "observations[0]",
            "field `observations[0].key` is missing".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].key.as_mut().unwrap().subject = None),
            "observations[0]",
            "observation key is invalid: field `subject` is missing".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].digest.clear()),
            "observation tpm of host",
            "field `observations[0].digest` is missing".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].observed_at_ms = 0),
            "observation tpm of host",
            "field `observations[0].observed_at_ms` is missing".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].context = 3),
            "observation tpm of host",
            "field `observations[0].context` has the unknown value 3".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].origin = 0),
            "observation tpm of host",
            "field `observations[0].origin` is missing".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].body = Some(vec![0; 12_289])),
            "observation tpm of host",
            "body has 12289 bytes (at most 12288 are allowed)".into(),
            without_observation,
        ),
        (
            parts(|r| r.observations[0].body = Some(vec![])),
            "observation tpm of host",
            format!("body has the digest `{}`, the report says `{first}`", Digest::of(&[])),
            without_observation,
        ),
        (
            parts(|r| r.series[0].series = 3),
            "series 3",
            "series 3 is unknown (this build knows 1 to 2; the probe may be newer)".into(),
            without_series,
        ),
        (
            parts(|r| r.series[0].first_sequence = 0),
            "series 1",
            "field `series[0].first_sequence` is missing".into(),
            without_series,
        ),
        (
            parts(|r| r.series[0].first_sequence = u64::MAX),
            "series 1",
            "points from number 18446744073709551615 on leave the range of numbers".into(),
            without_series,
        ),
        (
            parts(|r| r.series[0].points[1].at_ms = 0),
            "series 1",
            "field `series[0].points[1].at_ms` is missing".into(),
            without_series,
        ),
        (
            parts(|r| r.series[0].points = vec![r.series[0].points[0]; 513]),
            "series 1",
            "list `series[0].points` has 513 entries (at most 512 are allowed)".into(),
            without_series,
        ),
        (
            parts(|r| r.series = vec![r.series[0].clone(); 17]),
            "every series",
            "report has 17 of them (at most 16 are allowed)".into(),
            without_series,
        ),
        (
            parts(|r| r.inventory[0].source.clear()),
            "inventory[0]",
            "field `inventory[0].source` is missing".into(),
            without_inventory,
        ),
        (
            parts(|r| r.inventory[0].cursor = 0),
            "inventory[0]",
            "field `inventory[0].cursor` is missing".into(),
            without_inventory,
        ),
        (
            parts(|r| r.inventory[0].items[0].item = None),
            "inventory[0]",
            "field `inventory[0].items[0].item` is missing".into(),
            without_inventory,
        ),
        (
            parts(|r| user_keys(r).keys[0].usage = 256),
            "inventory[0]",
            "field `inventory[0].items[0].user_keys.keys[0].usage` is 256 (expected 0 to 255)".into(),
            without_inventory,
        ),
        (
            parts(|r| user_keys(r).keys[0].strength = 3),
            "inventory[0]",
            "field `inventory[0].items[0].user_keys.keys[0].strength` has the unknown value 3".into(),
            without_inventory,
        ),
        (
            parts(|r| r.inventory[0].items = vec![r.inventory[0].items[1].clone(); 501]),
            "inventory[0]",
            "report has more than 500 inventory items".into(),
            without_inventory,
        ),
        (
            parts(|r| r.inventory = vec![r.inventory[0].clone(); 17]),
            "every part of an inventory",
            "report has 17 of them (at most 16 are allowed)".into(),
            without_inventory,
        ),
    ];
    for ((refusals, left), part, reason, expected) in cases {
        assert_eq!(refusals.len(), 1, "{part}: {refusals:?}");
        assert_eq!(refusals[0].0, part);
        assert!(refusals[0].1.starts_with(&reason), "{}: expected {reason}", refusals[0].1);
        assert_eq!(left, expected, "{part}");
    }
}

fn user_keys(request: &mut v1::ReportRequest) -> &mut v1::UserKeys {
    match request.inventory[0].items[0].item.as_mut().unwrap() {
        v1::inventory_item::Item::UserKeys(keys) => keys,
        v1::inventory_item::Item::Removed(id) => panic!("removed {id}"),
    }
}

#[test]
fn kinds_of_a_newer_probe_are_kept_opaque() {
    let mut request = report_to_wire(&sample_report());
    request.observations[0].key.as_mut().unwrap().kind = 40;
    let incoming = read_report(request).unwrap();
    assert_eq!(incoming.refusals, []);
    assert_eq!(incoming.observations[0].key.known(), None);
    assert_eq!(incoming.observations[0].key.to_string(), "kind 40 of host");
}

#[test]
fn refused_observations_are_not_gone() {
    let mut request = report_to_wire(&sample_report());
    request.observations[0].origin = 0;
    let incoming = read_report(request).unwrap();
    assert_eq!(incoming.refusals[0].key, Some(WireKey::from(&ObservationKey::host(Kind::Tpm))));
}

#[test]
fn hosts_are_read_strictly_where_nothing_can_be_refused_in_part() {
    let host = report_to_wire(&sample_report()).host.unwrap();
    let wrong = v1::HostIdentity { object_guid: Some(vec![1]), site: Some(String::new()), ..host };
    let error: InvalidField = muster_evidence::HostIdentity::try_from(wrong).unwrap_err();
    assert_eq!(error.field(), "site");
}

#[test]
fn entries_without_a_readable_key_keep_their_bodies() {
    let mut request = report_to_wire(&sample_report());
    request.observations[0].key = None;
    request.observations[1].digest.clear();
    strip_bodies(&mut request, |_, _| true);
    let with: usize = request.observations.iter().filter(|entry| entry.body.is_some()).count();
    assert_eq!(with, 2);
}

#[test]
fn evidence_too_large_for_a_body_becomes_a_gap_that_says_so() {
    let certificate_with = |bytes: usize| {
        let WireEvidence::Certificate(wire) = wire_evidence(Kind::Certificate) else { unreachable!() };
        let mut certificate = muster_evidence::Certificate::try_from(wire).unwrap();
        let text = muster_evidence::Text::exact(&"x".repeat(bytes)).unwrap();
        certificate.subject_alt_names =
            vec![muster_evidence::SubjectAltName::Dns(text.clone()); limits::CERTIFICATE_LIST];
        certificate.crl_distribution_points = vec![text.clone(); limits::CERTIFICATE_LIST];
        certificate.ocsp_urls = vec![text; limits::CERTIFICATE_LIST];
        Outcome::Observed(Evidence::Certificate(Box::new(certificate)))
    };
    let read = |outcome: &Outcome| decode_body(Kind::Certificate, &encode_body(outcome)).unwrap();
    let usual = certificate_with(100);
    assert_eq!(read(&usual), usual);
    let Outcome::Failed(failure) = read(&certificate_with(limits::TEXT_BYTES)) else { panic!("not failed") };
    assert_eq!(failure.reason, muster_evidence::FailureReason::Incomplete);
    assert!(failure.detail.as_str().ends_with("bytes (at most 12288 are sent)"), "{}", failure.detail);
}
