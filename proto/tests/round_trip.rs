//! Every value survives the way to the wire and back, and no bytes whatever make a reader panic.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

mod evidence;

use evidence::{largest, observation, report, sample_report, whole_report};
use muster_evidence::{Kind, Observation, Outcome, Report, Sid, Subject, limits};
use muster_proto::convert::{
    Digest, Incoming, PROTOCOL, WireKey, decode_body, decode_body_of, encode_body, fit, read_report, report_to_wire,
    strip_bodies,
};
use muster_proto::v1;
use proptest::prelude::*;
use prost::Message;

/// Puts the report together again from what came in.
fn back(incoming: Incoming) -> Report {
    let observations = incoming
        .observations
        .into_iter()
        .map(|seen| {
            let key = seen.key.known().unwrap();
            let outcome = decode_body_of(&key, &seen.body.unwrap()).unwrap();
            Observation { key, outcome, observed_at: seen.observed_at, context: seen.context, origin: seen.origin }
        })
        .collect();
    assert_eq!(incoming.refusals, []);
    assert_eq!(incoming.protocol, PROTOCOL);
    Report {
        probe_version: incoming.probe_version,
        install_id: incoming.install_id,
        incarnation: incoming.incarnation,
        sequence: incoming.sequence,
        host: incoming.host,
        roles: incoming.roles,
        sent_at: incoming.sent_at,
        observations,
        series: incoming.series,
        inventory: incoming.inventory,
        client_certificate: incoming.client_certificate,
    }
}

fn over_the_wire(request: &v1::ReportRequest) -> v1::ReportRequest {
    v1::ReportRequest::decode(request.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn observations_survive(observation in observation()) {
        let body = encode_body(&observation.outcome);
        prop_assert_eq!(&decode_body_of(&observation.key, &body).unwrap(), &observation.outcome);
        // The same outcome gives the same bytes, or an idle machine would never be unchanged.
        prop_assert_eq!(Digest::of(&encode_body(&observation.outcome.clone())), Digest::of(&body));
        let key = WireKey::from(&observation.key);
        prop_assert_eq!(WireKey::from_wire(key.to_wire()).unwrap(), key.clone());
        prop_assert_eq!(key.known(), Some(observation.key));
    }

    #[test]
    fn reports_survive(report in report()) {
        let request = over_the_wire(&report_to_wire(&report));
        prop_assert_eq!(back(read_report(request).unwrap()), report);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        for kind in Kind::ALL {
            let _ = decode_body(*kind, &bytes);
        }
        if let Ok(request) = v1::ReportRequest::decode(bytes.as_slice()) {
            let _ = read_report(request);
        }
    }

    #[test]
    fn no_damage_to_a_report_makes_a_reader_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cut_it in any::<bool>(),
    ) {
        let mut bytes = report_to_wire(&whole_report()).encode_to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut_it {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(request) = v1::ReportRequest::decode(bytes.as_slice())
            && let Ok(incoming) = read_report(request)
        {
            for seen in incoming.observations {
                if let (Some(key), Some(body)) = (seen.key.known(), seen.body) {
                    let _ = decode_body_of(&key, &body);
                }
            }
        }
    }
}

#[test]
fn the_sample_report_survives_and_holds_every_kind() {
    let report = whole_report();
    let kinds: std::collections::BTreeSet<Kind> = report.observations.iter().map(|seen| seen.key.kind).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
    assert_eq!(back(read_report(over_the_wire(&report_to_wire(&report))).unwrap()), report);
}

#[test]
fn evidence_of_a_user_nobody_knows_stays_on_its_machine() {
    let mut report = sample_report();
    report.observations[3].key.subject = Subject::User(Sid::unknown());
    let sent = report_to_wire(&report);
    assert_eq!(sent.observations.len(), report.observations.len() - 1);
}

#[test]
fn bodies_the_collector_has_stay_at_home() {
    let report = sample_report();
    let mut request = report_to_wire(&report);
    let known = WireKey::from(&report.observations[0].key);
    let digest = Digest::of(&encode_body(&report.observations[0].outcome));
    strip_bodies(&mut request, |key, found| *key == known && found == digest);
    let without: Vec<bool> = request.observations.iter().map(|entry| entry.body.is_none()).collect();
    assert_eq!(without.iter().filter(|none| **none).count(), 1);
    assert!(without[0]);
    let incoming = read_report(request).unwrap();
    assert_eq!((incoming.observations[0].digest, &incoming.observations[0].body), (digest, &None));
}

#[test]
fn a_report_too_large_is_cut_where_nothing_is_lost() {
    let full = report_to_wire(&sample_report());
    let mut request = full.clone();
    assert!(!fit(&mut request, limits::REPORT_BYTES));
    assert_eq!(request, full);

    let without_inventory = v1::ReportRequest { inventory: vec![], ..full.clone() }.encoded_len();
    assert!(fit(&mut request, without_inventory));
    assert!(request.inventory.is_empty() && request.observations.iter().all(|entry| entry.body.is_some()));

    assert!(fit(&mut request, without_inventory - 1));
    assert!(request.encoded_len() < without_inventory);
    assert!(request.observations.iter().any(|entry| entry.body.is_none()));
    // Digests and series are never cut, even where that is still too much.
    assert!(fit(&mut request, 1));
    assert_eq!(request.observations.len(), full.observations.len());
    assert_eq!(request.series, full.series);
    assert!(read_report(request).is_ok());
}

#[test]
fn evidence_at_its_bounds_is_sent_whole() {
    // What a value of a store may have, so that a list of roots is never split.
    const RECORD_BYTES: usize = 4096;
    for evidence in largest() {
        let kind = evidence.kind();
        let outcome = Outcome::Observed(evidence);
        let body = encode_body(&outcome);
        assert_eq!(decode_body(kind, &body).unwrap(), outcome, "{kind}: {} bytes", body.len());
        if matches!(kind, Kind::RootStore | Kind::NtAuthStore) {
            assert!(body.len() < RECORD_BYTES, "{kind}: {} bytes", body.len());
        }
    }
}
