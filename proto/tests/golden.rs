//! Reports of released probes decode forever.
//!
//! `golden/` holds the bytes of a report of each release, and what they said as JSON. Files are only added: when a
//! release changes what is sent, `MUSTER_WRITE_GOLDEN=1 cargo test -p muster-proto --test golden` writes those of the
//! present version, and never over older ones.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

mod evidence;

use std::fs;
use std::path::{Path, PathBuf};

use evidence::sample_report;
use muster_proto::convert::{Incoming, decode_body_of, read_report, report_to_wire};
use muster_proto::v1;
use prost::Message;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What a report says, in the words of the vocabulary.
fn said(bytes: &[u8]) -> Value {
    let incoming = read_report(v1::ReportRequest::decode(bytes).unwrap()).unwrap();
    let Incoming {
        protocol,
        probe_version,
        install_id,
        incarnation,
        sequence,
        host,
        roles,
        sent_at,
        observations,
        series,
        inventory,
        client_certificate,
        refusals,
    } = incoming;
    assert_eq!(refusals, []);
    assert_eq!(client_certificate, None, "no release tells of it yet");
    let observations: Vec<Value> = observations
        .into_iter()
        .map(|seen| {
            let key = seen.key.known().unwrap();
            json!({
                "key": key.to_string(),
                "digest": seen.digest.to_string(),
                "outcome": decode_body_of(&key, &seen.body.unwrap()).unwrap(),
                "observed_at": seen.observed_at,
                "context": seen.context,
                "origin": seen.origin,
            })
        })
        .collect();
    json!({
        "protocol": protocol.to_string(),
        "probe_version": probe_version,
        "install_id": install_id,
        "incarnation": incarnation,
        "sequence": sequence,
        "host": host,
        "roles": roles,
        "sent_at": sent_at,
        "observations": observations,
        "series": series,
        "inventory": inventory,
    })
}

#[test]
fn reports_of_every_release_still_say_what_they_said() {
    let current = folder().join(concat!("report-", env!("CARGO_PKG_VERSION"), ".bin"));
    if std::env::var_os("MUSTER_WRITE_GOLDEN").is_some() && !current.exists() {
        let bytes = report_to_wire(&sample_report()).encode_to_vec();
        let text = serde_json::to_string_pretty(&said(&bytes)).unwrap();
        fs::write(&current, bytes).unwrap();
        fs::write(current.with_extension("json"), text + "\n").unwrap();
    }
    let mut checked = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            let expected: Value =
                serde_json::from_str(&fs::read_to_string(path.with_extension("json")).unwrap()).unwrap();
            assert_eq!(said(&fs::read(&path).unwrap()), expected, "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 1);
    assert!(current.exists(), "version {} has no golden report", env!("CARGO_PKG_VERSION"));

    // A digest over a body is compared for equality, so even a change of order would make a whole fleet send anew.
    let bytes = fs::read(&current).unwrap();
    assert!(report_to_wire(&sample_report()).encode_to_vec() == bytes, "the same report has other bytes now");
}
