//! Revocation lists: what is read of each form, and that no bytes break the reader.

use std::fs;
use std::path::Path;

use muster_evidence::Timestamp;
use muster_probe::parse::certificate::{AtHand, examine};
use muster_probe::parse::revocation_list::{InvalidRawList, ParsedList, from_der};
use muster_proto::link::revocation_list::RawList;
use proptest::prelude::*;

use crate::forge::{
    FRESHEST, Hash, Key, List, NOW, authority_key_id, extension, general, integer, name, name_in, points, sequence,
    tlv, utc_time,
};

fn read(change: impl FnOnce(&mut List)) -> Result<ParsedList, InvalidRawList> {
    let mut list = List::new(name_in("Lab", "CA 1"));
    change(&mut list);
    from_der(&list.sign(&Key::p256(), Hash::Sha256))
}

#[test]
fn what_a_list_says_is_read() {
    let published = extension("1.3.6.1.4.1.311.21.4", false, &utc_time(NOW));
    let parsed = read(|list| {
        list.number = Some(0x0102);
        list.more = vec![published, points(FRESHEST, &["http://a/1+.crl", "ldap:///CN=x"]), authority_key_id(&[1])];
        list.entries = vec![(3, Some(1)), (4, None)];
    })
    .unwrap();
    assert_eq!(parsed.list.issuer.as_str(), "CN=CA 1,O=Lab");
    assert_eq!(parsed.list.number.unwrap().as_str(), "0102");
    assert_eq!(parsed.list.next_publish, Some(Timestamp::from_unix_seconds(NOW).unwrap()));
    assert_eq!(parsed.freshest, ["http://a/1+.crl", "ldap:///CN=x"]);
    assert!(!parsed.delta && parsed.unsupported.is_none());
    let delta = read(|list| (list.base, list.next_update) = (Some(3), None)).unwrap();
    assert!(delta.delta && delta.list.next_update.is_none());
}

#[test]
fn what_is_not_understood_is_told_and_the_dates_are_read_all_the_same() {
    let scope = |content: Vec<u8>| extension("2.5.29.28", true, &tlv(0x30, &content));
    let null = tlv(0x05, &[]);
    for (more, told) in [
        (vec![extension("1.2.3.4", true, &null)], "it has the critical extension 1.2.3.4, which is not understood"),
        (vec![points(FRESHEST, &["http://a"]), points(FRESHEST, &["http://b"])], "it has an extension twice"),
        (vec![scope(tlv(0x84, &[0xFF]))], "it is an indirect list (it speaks for other CAs)"),
        (vec![scope(tlv(0x83, &[6, 0x40]))], "it covers some reasons of revocation only"),
        (vec![scope(tlv(0x85, &[0xFF]))], "it covers attribute certificates only"),
        (vec![scope(tlv(0xA0, &tlv(0xA1, &[])))], "its distribution point is relative to its issuer"),
        (vec![scope(tlv(0xA0, &tlv(0xA0, &[])))], "its distribution point has no name"),
        (vec![scope(tlv(0x89, &[]))], "its issuing distribution point has a field that is not understood"),
        (
            (1..=20).map(|i| extension(&format!("1.2.3.{i}"), false, &null)).collect(),
            "it has more extensions than are read",
        ),
    ] {
        let parsed = read(|list| list.more = more).unwrap();
        assert_eq!(parsed.unsupported.as_deref(), Some(told));
    }
    let without_number = read(|list| (list.base, list.number) = (Some(3), None)).unwrap();
    assert_eq!(without_number.unsupported.as_deref(), Some("it is a delta list without a number"));
    let harmless = [tlv(0x84, &[0]), tlv(0x85, &[0]), tlv(0x81, &[0xFF]), tlv(0x82, &[0])].concat();
    assert_eq!(read(|list| list.more = vec![scope(harmless)]).unwrap().unsupported, None);
}

#[test]
fn what_is_no_list_names_the_place() {
    for (bytes, place) in [
        (vec![], "its frame"),
        (sequence(&[]), "its frame"),
        (sequence(&[&sequence(&[]), &sequence(&[]), &tlv(0x03, &[0])]), "its head"),
    ] {
        assert!(
            matches!(from_der(&bytes), Err(InvalidRawList::Der { place: found, .. }) if found == place),
            "{bytes:?}"
        );
    }
    let numbers = [&tlv(0x02, &[0xFF])[..], &tlv(0x02, &[1; 22]), &tlv(0x04, &[1])];
    for number in numbers {
        let broken = read(|list| (list.number, list.more) = (None, vec![extension("2.5.29.20", false, number)]));
        assert!(broken.unwrap_err().to_string().contains("number"), "{number:?}");
    }
    let algorithm = sequence(&[&integer(1)]);
    let tbs = |version: &[u8], algorithm: &[u8]| sequence(&[version, algorithm, &name("x"), &utc_time(NOW)]);
    for (tbs, told) in [
        (tbs(&integer(5), &algorithm), "its version is none of 1 and 2"),
        (tbs(&integer(1), &sequence(&[])), "it names two signature algorithms"),
    ] {
        let error = from_der(&sequence(&[&tbs, &algorithm, &tlv(0x03, &[0])])).unwrap_err();
        assert_eq!(error.to_string(), format!("revocation list is of a kind that cannot be used: {told}"));
    }
    // A list of version 1 has no version and no extensions.
    let tbs = sequence(&[&algorithm, &name("x"), &utc_time(NOW)]);
    let old = from_der(&sequence(&[&tbs, &algorithm, &tlv(0x03, &[0])])).unwrap();
    assert_eq!((old.list.issuer.as_str(), old.list.number), ("CN=x", None));
}

#[test]
fn entries_end_with_the_first_that_is_not_understood() {
    let entry = |more: &[u8]| sequence(&[&integer(9), &utc_time(NOW), more]);
    let by_issuer = sequence(&[&extension("2.5.29.29", true, &sequence(&[&general(2, b"x")]))]);
    let unknown = sequence(&[&extension("1.2.3.4", true, &[5, 0])]);
    let harmless = sequence(&[&extension("2.5.29.24", false, &utc_time(NOW)), &extension("1.2.3.4", false, &[5, 0])]);
    let removed = sequence(&[&extension("2.5.29.21", false, &[0x0A, 1, 8])]);
    let algorithm = sequence(&[&integer(1)]);
    for (second, told) in [
        (entry(&harmless), None),
        (entry(&by_issuer), Some("it is an indirect list (an entry names its issuer)")),
        (entry(&unknown), Some("an entry has the critical extension 1.2.3.4, which is not understood")),
        (entry(&removed), Some("it is no delta list and has entries with the reason removeFromCRL")),
        (sequence(&[&tlv(0x02, &[1; 22]), &utc_time(NOW)]), Some("a serial number has over 21 bytes")),
        (sequence(&[&integer(9), &integer(9)]), Some("revocation list cannot be read in an entry")),
        (integer(9), Some("revocation list cannot be read in an entry")),
    ] {
        let entries = tlv(0x30, &[entry(&[]), second, entry(&[])].concat());
        let tbs = sequence(&[&algorithm, &name("x"), &utc_time(NOW), &utc_time(NOW), &entries]);
        let bytes = sequence(&[&tbs, &algorithm, &tlv(0x03, &[0])]);
        let list = RawList::read(&bytes).unwrap();
        let read: Vec<_> = list.entries().collect();
        let now = Timestamp::from_unix_seconds(NOW).unwrap();
        assert_eq!(read[0].as_ref().unwrap().revoked_at(), Ok(now));
        match told {
            None => assert_eq!(read.iter().filter(|entry| entry.is_ok()).count(), 3),
            Some(told) => {
                assert_eq!(read.len(), 2, "nothing follows an error");
                assert!(read[1].as_ref().unwrap_err().to_string().ends_with(told), "{:?}", read[1]);
            }
        }
    }
}

/// The seeds of the fuzz targets, where the repository is whole.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn read_all(bytes: &[u8]) {
    let _ = from_der(bytes);
    if let Ok(list) = RawList::read(bytes) {
        for entry in list.entries().flatten() {
            let _ = entry.revoked_at();
        }
    }
}

/// Takes bytes apart as the fuzz target of chains does, and examines what comes.
fn examine_all(bytes: &[u8]) {
    let mut parts: [Vec<&[u8]>; 4] = Default::default();
    let mut rest = bytes;
    while let [kind, high, low, tail @ ..] = rest {
        let (part, after) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(tail.len()));
        parts[usize::from(kind % 4)].push(part);
        rest = after;
    }
    let [leaves, others, anchors, lists] = &parts;
    let at_hand = AtHand::new(others, anchors, lists);
    for leaf in leaves.iter().take(4) {
        let _ = examine(leaf, &at_hand, Timestamp::from_unix_seconds(NOW).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_lists_and_chains_are_answered(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..6),
    ) {
        for (target, answer) in [("revocation_list", read_all as fn(&[u8])), ("chain", examine_all)] {
            let seeds = seeds(target);
            if seeds.is_empty() {
                continue;
            }
            let mut bytes = seeds[seed.index(seeds.len())].clone();
            for (at, byte, how) in &damage {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = *byte,
                    1 => bytes.insert(at, *byte),
                    _ => {
                        bytes.remove(at);
                    }
                }
            }
            answer(&bytes);
        }
    }
}
