//! What each sample of `msDS-KeyCredentialLink` decodes to.

use std::fmt::{Display, Write as _};
use std::fs;

use muster_evidence::{KeySource, KeyStrength, KeyUsage, Timestamp};
use muster_probe::parse::key_credential::{self, InvalidKeyCredential, KeyCredential};

use crate::{assert_golden, files, fixture, name};

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// The values of a fixture.
fn values(file: &str) -> Vec<Result<KeyCredential, InvalidKeyCredential>> {
    let values = key_credential::decode_input(&fixture(&format!("key-credential/{file}")), now()).unwrap();
    values.into_iter().map(|value| value.decoded).collect()
}

fn only(file: &str) -> KeyCredential {
    let mut values = values(file);
    assert_eq!(values.len(), 1, "{file}");
    values.remove(0).unwrap()
}

#[test]
fn every_sample_decodes_as_written_down() {
    let mut dump = String::new();
    for path in files("fixtures/key-credential") {
        if path.extension().is_some_and(|extension| extension == "golden") {
            continue;
        }
        writeln!(dump, "== {}", name(&path)).unwrap();
        match key_credential::decode_input(&fs::read(&path).unwrap(), now()) {
            Ok(values) => {
                for value in values {
                    let text = match value.decoded {
                        Ok(credential) => describe(&credential),
                        Err(error) => format!("undecodable: {error}"),
                    };
                    writeln!(dump, "line {}: {text}", value.line).unwrap();
                }
            }
            Err(error) => writeln!(dump, "refused: {error}").unwrap(),
        }
        dump.push('\n');
    }
    assert_golden("key-credential/readings.golden", &dump);
}

fn describe(credential: &KeyCredential) -> String {
    let key = &credential.key;
    let dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    format!(
        "{:?} by {}, id {}, device {}, made {}, used {}, {:?} of {} bits, roca {}, strength {:?}, hash {}, of {}; {}",
        key.usage,
        dash(key.source.map(|source| format!("{source:?}"))),
        dash(text(key.key_id)),
        dash(text(key.device_id)),
        dash(text(key.created_at)),
        dash(text(key.last_used_at)),
        credential.material,
        dash(text(key.rsa_bits)),
        dash(text(key.roca)),
        key.strength,
        dash(key.key_hash_valid.map(|valid| if valid { "matches" } else { "differs" }.to_owned())),
        dash(credential.owner.clone()),
        if key.remark.is_empty() { "nothing unusual" } else { key.remark.as_str() },
    )
}

fn text<T: Display>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

#[test]
fn the_form_of_414_bytes() {
    let credential = only("01-key-of-entra-id-414-bytes.txt");
    let key = &credential.key;
    assert_eq!(credential.length, 414);
    assert_eq!(credential.owner.as_deref(), Some("CN=Ada Example,OU=Pilot,DC=corp,DC=example"));
    assert_eq!(key.key_id.unwrap().to_string(), "2aadff2978544c2b063c564417ce9128482f7ea293597eeb1f7ff1d257672d36");
    assert_eq!((key.usage, key.source), (KeyUsage::Ngc, Some(KeySource::AzureAd)));
    assert_eq!(key.device_id.unwrap().to_string(), "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60");
    assert_eq!(key.created_at, Some("2026-03-02T08:14:07Z".parse().unwrap()));
    assert_eq!(key.last_used_at, Some("2026-03-02T08:14:07Z".parse().unwrap()));
    assert_eq!((key.rsa_bits, key.roca), (Some(2048), Some(false)));
    assert_eq!((key.strength, key.key_hash_valid), (KeyStrength::Unknown, Some(true)));
    assert!(key.remark.is_empty());
}

#[test]
fn what_connect_writes() {
    let credential = only("02-key-written-by-connect.txt");
    let key = &credential.key;
    assert_eq!(credential.length, 418);
    assert_eq!(credential.entries, [(1, 32), (2, 32), (3, 283), (4, 1), (5, 1), (6, 16), (7, 6), (8, 8), (9, 8)]);
    assert_eq!(key.key_id.unwrap().to_string(), "1972936f38413000c193781eac309b5d349bd481501f248d7c2078d32e90acad");
    assert_eq!((key.usage, key.source), (KeyUsage::Ngc, Some(KeySource::AzureAd)));
    assert_eq!(key.device_id.unwrap().to_string(), "5b8e1c74-2d96-4f03-8a1e-c07d3f52b96e");
    assert_eq!(key.created_at, Some("2026-03-09T13:42:55Z".parse().unwrap()));
    assert_eq!(key.last_used_at, None, "the placeholder is no time");
    assert_eq!((key.rsa_bits, key.roca), (Some(2048), Some(false)));
    assert_eq!((key.strength, key.key_hash_valid), (KeyStrength::Normal, Some(true)));
    assert!(key.remark.is_empty());
}

#[test]
fn the_structure_of_the_flawed_library_is_seen() {
    let key = only("03-roca.txt").key;
    assert_eq!((key.rsa_bits, key.roca, key.strength), (Some(2048), Some(true), KeyStrength::Weak));
}

#[test]
fn the_same_value_in_every_form() {
    let expected = only("02-key-written-by-connect.txt");
    for (file, owner) in [("08-bare-hexadecimal.txt", None), ("09-raw.bin", None)] {
        let found = only(file);
        assert_eq!(found, KeyCredential { owner, ..expected.clone() }, "{file}");
    }
    let exported = values("06-export.ldif").remove(2).unwrap();
    let owner = Some("CN=Jörg Example,OU=Pilot,DC=corp,DC=example".to_owned());
    assert_eq!(exported, KeyCredential { owner, ..expected });
}

#[test]
fn a_dn_may_hold_colons_and_digits() {
    let text = String::from_utf8(fixture("key-credential/02-key-written-by-connect.txt")).unwrap();
    let value = text.lines().find(|line| line.starts_with("B:")).unwrap();
    let (head, _) = value.split_at(value.rfind(':').unwrap());
    let odd = key_credential::decode_text(&format!("{head}:CN=B:4:00:x,OU=é,DC=corp"), now()).unwrap();
    assert_eq!(odd.owner.as_deref(), Some("CN=B:4:00:x,OU=é,DC=corp"));
    let without = key_credential::decode_text(&format!("{head}:"), now()).unwrap();
    assert_eq!(without.owner, None);
}
