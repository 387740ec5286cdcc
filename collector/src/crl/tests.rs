//! Lists good and bad, made by hand: the library that makes certificates makes neither deltas nor bad lists.

use std::sync::Arc;

use muster_evidence::Timestamp;
use muster_proto::link::{RefusedPeer, Revocation, SpkiPin, der};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber, SigningKey,
};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;
use crate::access::RevocationState;
use crate::access::RevocationUse::{self, Superseded, Used, WithoutBase};

/// 2026-03-02T07:40:47Z.
const NOW: i64 = 1_772_437_247;

const DAY: i64 = 24 * 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    match content.len() {
        0..0x80 => der.push(length[3]),
        0x80..0x100 => der.extend([0x81, length[3]]),
        0x100..0x1_0000 => der.extend([0x82, length[2], length[3]]),
        _ => der.extend([&[0x84][..], &length].concat()),
    }
    der.extend_from_slice(content);
    der
}

fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let digits = &bytes[first..];
    tlv(0x02, &if digits[0] & 0x80 == 0 { digits.to_vec() } else { [&[0][..], digits].concat() })
}

fn time(seconds: i64) -> Vec<u8> {
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let (year, month) = (at.year(), u8::from(at.month()));
    let text = format!("{year:04}{month:02}{:02}{:02}{:02}{:02}Z", at.day(), at.hour(), at.minute(), at.second());
    tlv(0x18, text.as_bytes())
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xFF]) } else { Vec::new() };
    tlv(0x30, &[tlv(0x06, oid), critical, tlv(0x04, value)].concat())
}

/// A CA.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    authority: Authority,
}

impl Ca {
    fn new(name: &str) -> Self {
        Self::with_usages(name, vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign])
    }

    fn with_usages(name: &str, usages: Vec<KeyUsagePurpose>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = usages;
        let certificate = params.self_signed(&key).unwrap();
        let authority = Authority::of(certificate.der()).unwrap();
        Self { issuer: Issuer::new(params, key), authority }
    }

    fn pin(&self) -> SpkiPin {
        self.authority.pin
    }

    fn leaf(&self, serial: u64, list_at: Option<&str>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["pc1.corp.example".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&integer(serial)[2..]));
        if let Some(url) = list_at {
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![url.to_owned()] }];
        }
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }
}

/// What stands in a list.
struct Spec {
    number: Option<u64>,
    base: Option<u64>,
    this_update: i64,
    next_update: Option<i64>,
    /// Content of serial numbers with their reasons.
    entries: Vec<(Vec<u8>, Option<u8>)>,
    /// Further extensions.
    more: Vec<Vec<u8>>,
    with_key_id: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            number: Some(1),
            base: None,
            this_update: NOW - DAY,
            next_update: Some(NOW + DAY),
            entries: Vec::new(),
            more: Vec::new(),
            with_key_id: true,
        }
    }
}

fn revoking(serials: &[u64]) -> Vec<(Vec<u8>, Option<u8>)> {
    serials.iter().map(|serial| (integer(*serial)[2..].to_vec(), None)).collect()
}

/// ecdsa-with-SHA256 (RFC 5758 section 3.2).
const ALGORITHM: &[u8] = &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];

impl Spec {
    fn numbered(number: u64, serials: &[u64]) -> Self {
        Self { number: Some(number), entries: revoking(serials), ..Self::default() }
    }

    fn delta(number: u64, base: u64, serials: &[u64], removed: &[u64]) -> Self {
        let mut spec = Self { base: Some(base), ..Self::numbered(number, serials) };
        spec.entries.extend(revoking(removed).into_iter().map(|(serial, _)| (serial, Some(8))));
        spec
    }

    fn signed(&self, ca: &Ca) -> Vec<u8> {
        let mut entries = Vec::new();
        let date = time(NOW - DAY);
        for (serial, reason) in &self.entries {
            let reason = reason.map(|reason| tlv(0x30, &extension(&[0x55, 0x1D, 21], false, &[0x0A, 1, reason])));
            let serial = tlv(0x02, serial);
            entries.extend(tlv(0x30, &[serial, date.clone(), reason.unwrap_or_default()].concat()));
        }
        let mut extensions = Vec::new();
        if self.with_key_id {
            let id = tlv(0x30, &tlv(0x80, ca.authority.key_id.as_ref().unwrap()));
            extensions.push(extension(&[0x55, 0x1D, 35], false, &id));
        }
        extensions.extend(self.number.map(|number| extension(&[0x55, 0x1D, 20], false, &integer(number))));
        extensions.extend(self.base.map(|base| extension(&[0x55, 0x1D, 27], true, &integer(base))));
        extensions.extend(self.more.iter().cloned());
        let tbs = tlv(
            0x30,
            &[
                integer(1),
                ALGORITHM.to_vec(),
                ca.authority.subject.clone(),
                time(self.this_update),
                self.next_update.map(time).unwrap_or_default(),
                if entries.is_empty() { Vec::new() } else { tlv(0x30, &entries) },
                tlv(0xA0, &tlv(0x30, &extensions.concat())),
            ]
            .concat(),
        );
        let signature = ca.issuer.key().sign(&tbs).unwrap();
        tlv(0x30, &[tbs, ALGORITHM.to_vec(), tlv(0x03, &[&[0][..], &signature].concat())].concat())
    }
}

fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

/// issuingDistributionPoint with these fields.
fn issuing_point(fields: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1D, 28], true, &tlv(0x30, fields))
}

fn set_of(lists: &[Vec<u8>], ca: &Ca, on_stale: OnStale) -> (RevocationSet, Vec<RevocationState>) {
    let authorities = [ca.authority.clone()];
    let loaded: Vec<Loaded> = lists
        .iter()
        .enumerate()
        .map(|(index, der)| Loaded { source: index.to_string(), list: List::read(der, &authorities).unwrap() })
        .collect();
    RevocationSet::new(&loaded, &authorities, &[ca.pin()], on_stale)
}

/// The word of the answer about a serial number: `good` or that of the refusal.
fn answer(set: &RevocationSet, ca: &Ca, serial: u64, now: i64) -> &'static str {
    let leaf = ca.leaf(serial, None);
    let (_, parsed) = X509Certificate::from_der(&leaf).unwrap();
    set.check(&parsed, ca.pin(), at(now)).map_or_else(|refused| refused.reason(), |()| "good")
}

/// Lists, how each is used, and the words about serial numbers.
type Case = (&'static str, Vec<Vec<u8>>, Vec<RevocationUse>, Vec<(u64, &'static str)>);

#[test]
fn base_and_delta_lists_are_put_together() {
    let ca = Ca::new("CA");
    let base = || Spec::numbered(10, &[1, 2, 0x80]).signed(&ca);
    let good = "good";
    let cases: Vec<Case> = vec![
        ("a base list", vec![base()], vec![Used], vec![(1, "revoked"), (0x80, "revoked"), (3, good)]),
        (
            "a delta adds and removes",
            vec![base(), Spec::delta(12, 10, &[3], &[2]).signed(&ca)],
            vec![Used, Used],
            vec![(1, "revoked"), (2, good), (3, "revoked"), (4, good)],
        ),
        (
            "a delta of an older base continues a newer one that is older than itself",
            vec![Spec::delta(12, 8, &[3], &[2]).signed(&ca), base()],
            vec![Used, Used],
            vec![(2, good), (3, "revoked")],
        ),
        (
            "a delta that the base already includes",
            vec![base(), Spec::delta(9, 8, &[3], &[2]).signed(&ca)],
            vec![Used, Superseded],
            vec![(2, "revoked"), (3, good)],
        ),
        (
            "a delta whose base is not there yet",
            vec![base(), Spec::delta(14, 11, &[3], &[2]).signed(&ca)],
            vec![Used, WithoutBase],
            vec![(2, "revoked"), (3, good)],
        ),
        (
            "the newest of two deltas",
            vec![base(), Spec::delta(11, 10, &[3], &[]).signed(&ca), Spec::delta(12, 10, &[4], &[]).signed(&ca)],
            vec![Used, Superseded, Used],
            vec![(3, good), (4, "revoked")],
        ),
        (
            "the newest of two base lists",
            vec![base(), Spec::numbered(11, &[5]).signed(&ca)],
            vec![Superseded, Used],
            vec![(1, good), (5, "revoked")],
        ),
        (
            "a delta alone",
            vec![Spec::delta(12, 10, &[3], &[]).signed(&ca)],
            vec![WithoutBase, RevocationUse::Missing],
            vec![(3, "no-crl")],
        ),
    ];
    for (what, lists, uses, answers) in cases {
        let (set, states) = set_of(&lists, &ca, OnStale::Refuse);
        assert_eq!(states.iter().map(|state| state.used).collect::<Vec<_>>(), uses, "{what}: {states:#?}");
        for (serial, expected) in answers {
            assert_eq!(answer(&set, &ca, serial, NOW), expected, "{what}: {serial}");
        }
    }
}

#[test]
fn missing_stale_and_foreign_lists_refuse_unless_told_otherwise() {
    let (ca, stranger) = (Ca::new("CA"), Ca::new("Stranger"));
    let namesake = Ca::new("CA");
    let fresh = Spec::numbered(1, &[1]).signed(&ca);
    let stale = Spec { next_update: Some(NOW - 1), ..Spec::numbered(1, &[1]) }.signed(&ca);
    let ends_now = Spec { next_update: Some(NOW), ..Spec::numbered(1, &[1]) }.signed(&ca);
    let early = Spec { this_update: NOW + 600, ..Spec::numbered(1, &[1]) }.signed(&ca);
    let little_early = Spec { this_update: NOW + 60, ..Spec::numbered(1, &[1]) }.signed(&ca);
    let stale_delta = Spec { next_update: Some(NOW - 1), ..Spec::delta(2, 1, &[3], &[]) }.signed(&ca);
    // (lists, word about 1 which is listed, word about 2 which is not)
    for (what, lists, listed, other) in [
        ("fresh", vec![fresh.clone()], "revoked", "good"),
        ("stale", vec![stale.clone()], "revoked", "stale-crl"),
        ("in its last second", vec![ends_now], "revoked", "good"),
        ("stale and fresh", vec![stale, Spec::numbered(2, &[1]).signed(&ca)], "revoked", "good"),
        ("with a stale delta", vec![fresh, stale_delta], "revoked", "stale-crl"),
        ("from the future", vec![early], "revoked", "no-crl"),
        ("made by a clock that is a little ahead", vec![little_early], "revoked", "good"),
        ("of another CA", vec![Spec::numbered(1, &[1]).signed(&stranger)], "no-crl", "no-crl"),
        ("of another key of the same name", vec![Spec::numbered(1, &[1]).signed(&namesake)], "no-crl", "no-crl"),
        ("none", vec![], "no-crl", "no-crl"),
    ] {
        let (set, _) = set_of(&lists, &ca, OnStale::Refuse);
        assert_eq!((answer(&set, &ca, 1, NOW), answer(&set, &ca, 2, NOW)), (listed, other), "{what}");
        let (set, states) = set_of(&lists, &ca, OnStale::AcceptAndAlert);
        let lenient = if listed == "revoked" { "revoked" } else { "good" };
        assert_eq!((answer(&set, &ca, 1, NOW), answer(&set, &ca, 2, NOW)), (lenient, "good"), "{what}, accepted");
        if other == "no-crl" && listed == "no-crl" {
            assert!(states.iter().any(|state| state.used == RevocationUse::Missing), "{what}: {states:#?}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let ca = Ca::new("CA");
    let with = |more: Vec<Vec<u8>>| Spec { more, ..Spec::default() };
    let yes = |number: u8| tlv(0x80 | number, &[0xFF]);
    let entry_with = |extensions: &[u8]| {
        let entry = tlv(0x30, &[integer(7), time(NOW), tlv(0x30, extensions)].concat());
        let good = Spec::default().signed(&ca);
        resigned(&ca, &good, |tbs| {
            // Entries stand before the extensions.
            let extensions = tbs.pop().unwrap();
            tbs.push(tlv(0x30, &entry));
            tbs.push(extensions);
        })
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Spec { next_update: None, ..Spec::default() }.signed(&ca), "has no nextUpdate"),
        (with(vec![issuing_point(&yes(4))]).signed(&ca), "indirect list"),
        (with(vec![issuing_point(&yes(5))]).signed(&ca), "attribute certificates only"),
        (with(vec![issuing_point(&tlv(0x83, &[1, 0x40]))]).signed(&ca), "some reasons of revocation only"),
        (with(vec![issuing_point(&tlv(0xA0, &tlv(0xA1, &[])))]).signed(&ca), "relative to its issuer"),
        (with(vec![issuing_point(&yes(9))]).signed(&ca), "a field that is not understood"),
        (with(vec![extension(&[0x2A, 3, 4], true, &[])]).signed(&ca), "critical extension 1.2.3.4"),
        (with(vec![extension(&[0x55, 0x1D, 20], false, &integer(2))]).signed(&ca), "an extension twice"),
        (Spec { number: None, ..Spec::delta(1, 1, &[], &[]) }.signed(&ca), "a delta list without a number"),
        (Spec { base: None, ..Spec::delta(2, 1, &[], &[7]) }.signed(&ca), "removeFromCRL"),
        (Spec { entries: vec![(vec![1; 22], None)], ..Spec::default() }.signed(&ca), "over 21 bytes"),
        (entry_with(&extension(&[0x55, 0x1D, 29], true, &tlv(0x30, &[]))), "an entry names its issuer"),
        (entry_with(&extension(&[0x2A, 3, 4], true, &[])), "an entry has the critical extension 1.2.3.4"),
        (vec![0; MOST_BYTES + 1], "more than"),
        (vec![], "cannot be read in its frame"),
    ];
    for (der, told) in cases {
        let error = List::read(&der, std::slice::from_ref(&ca.authority)).unwrap_err();
        let text = muster_proto::link::Chain(&error).to_string();
        assert!(text.contains(told), "`{told}` is not in `{text}`");
    }
    // What is understood, or not critical, is none the worse for it.
    for good in [
        entry_with(&extension(&[0x2A, 3, 4], false, &[])),
        with(vec![issuing_point(&yes(1))]).signed(&ca),
        with(vec![extension(&[0x2A, 3, 4], false, &[])]).signed(&ca),
    ] {
        List::read(&good, std::slice::from_ref(&ca.authority)).unwrap();
    }
}

/// A list with the fields of its head changed, signed again.
fn resigned(ca: &Ca, list: &[u8], change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let mut whole = der::Reader::new(list).any().unwrap().inside();
    let mut tbs = whole.any().unwrap().inside();
    let mut fields = Vec::new();
    while !tbs.is_empty() {
        fields.push(tbs.any().unwrap().whole.to_vec());
    }
    change(&mut fields);
    let tbs = tlv(0x30, &fields.concat());
    let signature = ca.issuer.key().sign(&tbs).unwrap();
    tlv(0x30, &[tbs, ALGORITHM.to_vec(), tlv(0x03, &[&[0][..], &signature].concat())].concat())
}

#[test]
fn only_the_cas_own_signature_counts() {
    let ca = Ca::new("CA");
    let no_signer = Ca::with_usages("CA", vec![KeyUsagePurpose::KeyCertSign]);
    let read = |der: &[u8], ca: &Ca| List::read(der, std::slice::from_ref(&ca.authority));
    let error = read(&Spec::default().signed(&no_signer), &no_signer).unwrap_err();
    assert!(matches!(error, InvalidList::MayNotSign { .. }), "{error}");
    // Signed by somebody else in the CA's name, with no key identifier that would tell.
    let mut forger = Ca::new("CA");
    forger.authority.key_id.clone_from(&ca.authority.key_id);
    for with_key_id in [true, false] {
        let forged = Spec { with_key_id, ..Spec::numbered(2, &[1]) }.signed(&forger);
        let error = read(&forged, &ca).unwrap_err();
        assert!(matches!(error, InvalidList::Signature { .. }), "{error}");
    }
    // Whatever byte of a good list is changed or cut off, it counts no more.
    let good = Spec::delta(12, 10, &[3], &[2]).signed(&ca);
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x01;
        if let Ok(list) = read(&bad, &ca) {
            assert_eq!(list.signer, list::Signer::Foreign, "byte {place}");
        }
        assert!(read(&good[..place], &ca).is_err(), "cut at {place}");
    }
}

#[test]
fn a_partitioned_list_covers_what_names_it() {
    let ca = Ca::new("CA");
    let (here, there) = ("http://pki.example/ca.crl?p=0", "http://pki.example/ca.crl?p=1");
    let point = issuing_point(&tlv(0xA0, &tlv(0xA0, &uri(here))));
    let list = Spec { more: vec![point], ..Spec::numbered(1, &[1]) }.signed(&ca);
    let (set, _) = set_of(&[list], &ca, OnStale::Refuse);
    for (serial, names, expected) in
        [(1, Some(here), "revoked"), (2, Some(here), "good"), (1, Some(there), "no-crl"), (2, None, "no-crl")]
    {
        let leaf = ca.leaf(serial, names);
        let (_, parsed) = X509Certificate::from_der(&leaf).unwrap();
        let found =
            set.check(&parsed, ca.pin(), at(NOW)).map_or_else(|refused: RefusedPeer| refused.reason(), |()| "good");
        assert_eq!(found, expected, "{serial} at {names:?}");
    }
    // One for CAs only says nothing of machines.
    let for_cas = Spec { more: vec![issuing_point(&tlv(0x82, &[0xFF]))], ..Spec::numbered(1, &[1]) }.signed(&ca);
    let (set, _) = set_of(&[for_cas], &ca, OnStale::Refuse);
    assert_eq!(answer(&set, &ca, 2, NOW), "no-crl");
}

#[test]
fn a_list_of_fifty_megabytes_is_held_in_less_than_its_size() {
    let ca = Ca::new("CA");
    // As AD CS writes them: serial numbers of 19 bytes, a reason each.
    let serial = |index: u32| [&[0x6F][..], &[0; 14], &index.to_be_bytes()].concat();
    let entries = (0..1_000_000).map(|index| (serial(index), Some(1))).collect();
    let der = Spec { entries, ..Spec::default() }.signed(&ca);
    assert!(der.len() > 50_000_000, "{}", der.len());
    let list = List::read(&der, std::slice::from_ref(&ca.authority)).unwrap();
    assert_eq!(list.entries(), 1_000_000);
    let number = |index| list::Number::of(&serial(index)).unwrap();
    assert!(list.revokes(&number(0)) && list.revokes(&number(999_999)) && !list.revokes(&number(1_000_000)));
    assert!(list.held_bytes() < der.len() / 2, "{} of {}", list.held_bytes(), der.len());
}

#[test]
fn files_and_folders_hold_lists_in_both_forms() {
    let ca = Ca::new("CA");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let load = |known: &[Loaded]| file::load(&[folder.path().to_owned()], std::slice::from_ref(&ca.authority), known);
    write("readme.txt", b"no list");
    write("base.crl", &Spec::numbered(10, &[1]).signed(&ca));
    let params = rcgen::CertificateRevocationListParams {
        this_update: time::OffsetDateTime::from_unix_timestamp(NOW).unwrap(),
        next_update: time::OffsetDateTime::from_unix_timestamp(NOW + DAY).unwrap(),
        crl_number: SerialNumber::from(11_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    write("other.crl", params.signed_by(&ca.issuer).unwrap().pem().unwrap().as_bytes());
    let loaded = load(&[]).unwrap();
    assert_eq!(loaded.iter().map(|own| own.list.number.unwrap().to_string()).collect::<Vec<_>>(), ["0a", "0b"]);
    // What is known is not read again.
    assert!(Arc::ptr_eq(&load(&loaded).unwrap()[0].list, &loaded[0].list));
    write("other.crl", b"-----BEGIN X509 CRL-----\nhalf of it");
    assert!(load(&[]).unwrap_err().to_string().contains("other.crl"));
    write("other.crl", &[]);
    assert!(load(&[]).is_err());
    let error = file::load(&[folder.path().join("nowhere.crl")], &[], &[]).unwrap_err();
    assert!(error.to_string().contains("failed to read"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let ca = Ca::new("CA");
        let _ = List::read(&bytes, std::slice::from_ref(&ca.authority));
        let _ = List::read(&tlv(0x30, &bytes), &[ca.authority]);
        let _ = distribution_points(&bytes);
        let _ = http_url(&bytes);
    }
}
