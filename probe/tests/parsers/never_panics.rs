//! Whatever comes in, the parsers answer: on arbitrary bytes, on every fixture, and on fixtures that were damaged.
//!
//! `fuzz/` looks deeper with the same seeds; this keeps the found ones from coming back, in every test run.

use std::fs;

use muster_evidence::Timestamp;
use muster_probe::parse::{InputKind, MAX_INPUT_BYTES, ParseError, certificate, inspect_at};
use proptest::prelude::*;

use crate::{files, name};

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// Gives an input to every parser, whatever it was meant for, and checks what holds of any answer.
fn parse_as_everything(bytes: &[u8]) {
    for &kind in InputKind::ALL {
        if let Err(error) = inspect_at(kind, bytes, now()) {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 600, "{kind}: {text}");
            assert!(!text.chars().any(char::is_control), "{kind}: {text:?}");
        }
    }
    if let Ok(bundle) = certificate::from_pem_or_der(bytes) {
        for parsed in &bundle.certificates {
            let _ = certificate::verify_chain(&parsed.der, &[&parsed.der], &[&parsed.der], now());
        }
    }
}

/// The names of the fuzz targets, out of their package; empty where this package was taken out of the repository without
/// it.
fn targets() -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/Cargo.toml");
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let package: toml::Table = text.parse().unwrap();
    let bins = package["bin"].as_array().unwrap();
    bins.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect()
}

/// Every fixture and every seed of the fuzz targets.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let fixtures = ["fixtures/dsregcmd", "fixtures/certificate", "fixtures/key-credential"].map(str::to_owned);
    // A target without seeds fails here, and so does one whose name is misspelt.
    let corpora = targets().into_iter().map(|target| format!("../fuzz/corpus/{target}"));
    let folders = fixtures.into_iter().chain(corpora);
    folders.flat_map(|folder| files(&folder)).map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn every_fuzz_target_has_a_source_and_every_source_is_a_target() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut sources: Vec<String> =
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let mut targets = targets();
    sources.sort();
    targets.sort();
    assert_eq!(targets, sources);
}

#[test]
fn every_seed_is_answered_by_every_parser() {
    for (_, bytes) in seeds() {
        parse_as_everything(&bytes);
    }
}

#[test]
fn every_seed_is_answered_however_short_it_is_cut() {
    for (_, bytes) in seeds() {
        let step = (bytes.len() / 64).max(1);
        for end in (0..bytes.len()).step_by(step) {
            parse_as_everything(&bytes[..end]);
        }
    }
}

#[test]
fn what_exceeds_the_bound_is_refused_by_every_parser() {
    for &kind in InputKind::ALL {
        let (most, found) = (kind.max_bytes(), kind.max_bytes() + 1);
        let error = inspect_at(kind, &vec![b'0'; found], now()).unwrap_err();
        assert_eq!(error, ParseError::TooLarge { found, most }, "{kind}");
    }
}

#[test]
fn the_largest_inputs_are_answered_in_time() {
    let started = std::time::Instant::now();
    let repeat = |pattern: &str| pattern.repeat(MAX_INPUT_BYTES / pattern.len()).into_bytes();
    for bytes in [
        repeat("> "),
        repeat("x\n"),
        repeat("| Device Details |\n"),
        repeat("-----BEGIN CERTIFICATE-----\n"),
        repeat("msDS-KeyCredentialLink: B:0::x\n a\n"),
        repeat("B:828:00"),
        repeat("0"),
        repeat("<Event>"),
        repeat("<Event><!--"),
        repeat("<Event x='"),
        repeat("TPM2_PT_PERMANENT:\n"),
        repeat("A : 1\n"),
        repeat("[{\"A\":"),
        repeat("nltest /dsgetdc:a\n"),
        repeat("a: \\\\b\n"),
        [b"REGEDIT4\n".to_vec(), repeat("[HKEY_A]\n[HKEY_B]\n")].concat()[..MAX_INPUT_BYTES].to_vec(),
        [b"REGEDIT4\n[HKEY_A]\n".to_vec(), repeat("\"a\"=hex:\\\n")].concat()[..MAX_INPUT_BYTES].to_vec(),
        [b"REGEDIT4\n[HKEY_USERS]\n".to_vec(), repeat("[HKEY_USERS\\S-1-5-21-1-2-3-4]\n")].concat()[..MAX_INPUT_BYTES].to_vec(),
        [b"showrepl_COLUMNS,Destination DSA,Naming Context,Source DSA,Number of Failures,Last Success Time,Last Failure Status\n".to_vec(), repeat("showrepl_INFO,a,b,c,0,0,0\n")].concat()[..MAX_INPUT_BYTES].to_vec(),
        vec![0x30; MAX_INPUT_BYTES],
        vec![0xFF; MAX_INPUT_BYTES],
        vec![0; MAX_INPUT_BYTES],
    ] {
        parse_as_everything(&bytes);
    }
    // Half a minute for all of them unoptimised, hours where something is quadratic.
    assert!(started.elapsed().as_secs() < 240, "{:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_text_is_answered(text in "[ -~\n\r\t|+:üß]{0,600}") {
        parse_as_everything(text.as_bytes());
        parse_as_everything(format!("| Device State |\n{text}").as_bytes());
        parse_as_everything(format!("B:10:{text}").as_bytes());
    }

    #[test]
    fn damaged_seeds_are_answered(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..8),
    ) {
        let seeds = seeds();
        let mut bytes = seeds[seed.index(seeds.len())].1.clone();
        for (at, byte, how) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        parse_as_everything(&bytes);
    }
}
