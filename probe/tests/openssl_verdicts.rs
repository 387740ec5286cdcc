//! Chains judged the same as by `openssl verify`, or differently for a reason that stands in a table.
//!
//! More than two hundred chains are made anew for each run, one for every way in which a chain can be good or bad that
//! the rules know of, and each is judged twice: by what the probe reports of it, and by OpenSSL with the same
//! purpose, time and revocation lists. A difference that [`EXPLAINED`] does not name fails the test, and so does a name
//! in it where both agree. `docs/certificate-verdicts.md` holds the same table for people.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod forge;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use forge::{
    CDP, CRL_SIGN, Certificate, DAY, DIGITAL_SIGNATURE, FRESHEST, Hash, KEY_CERT_SIGN, KEY_ENCIPHERMENT, Key, List,
    NOW, alt_names, authority_key_id, basic_constraints, dns, extended_key_usage, extension, general, integer,
    key_usage, name, name_as, name_in, oid, openssl, pem, points, sequence, subject_key_id, tlv,
};
use muster_evidence::{ChainStatus, ExtendedKeyUsage, Revocation, Timestamp};
use muster_probe::parse::certificate::{AtHand, Findings, examine, from_der};

/// Where the two differ, and why. A word on each side: what the probe says, what OpenSSL says.
const EXPLAINED: &[(&str, &str)] = include!("openssl_verdicts/explained.rs");

/// Chains at the least.
const LEAST: usize = 200;

/// What a chain is judged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// That it holds, whatever the leaf is for.
    Chain,
    Server,
    Client,
    /// For a server, with the lists of the whole chain.
    Revocation,
}

struct Case {
    name: String,
    purpose: Purpose,
    leaf: Vec<u8>,
    others: Vec<Vec<u8>>,
    anchors: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
    at: i64,
}

/// The keys of a run: those of other kinds than P-256 take long to make.
struct Keys {
    /// Of the leaf, then of each issuer.
    by_place: Vec<Key>,
    stranger: Key,
    rsa1024: Key,
    rsa2048: Key,
    rsa3072: Key,
    p384: Key,
    p521: Key,
}

/// Names of the certificates of a chain, the leaf first; the last is the root.
fn subject(place: usize, depth: usize) -> Vec<u8> {
    if place == 0 {
        name("dc01.corp.example")
    } else if place > depth {
        name_in("Lab", "Root CA")
    } else {
        name_in("Lab", &format!("Issuing CA {place}"))
    }
}

fn url(place: usize) -> String {
    format!("http://pki.corp.example/{place}.crl")
}

/// An ordinary chain: the leaf, that many issuers, and the root.
struct Maker<'k> {
    keys: &'k Keys,
    depth: usize,
    certificates: Vec<Certificate>,
    /// Who signs each, where that is not the next one.
    signers: BTreeMap<usize, &'k Key>,
    hashes: BTreeMap<usize, Hash>,
    lists: Vec<List>,
    list_signers: BTreeMap<usize, &'k Key>,
    replaced: BTreeMap<usize, &'k Key>,
}

impl<'k> Maker<'k> {
    fn new(keys: &'k Keys, depth: usize) -> Self {
        let certificates = (0..=depth + 1)
            .map(|place| {
                let issuer = subject((place + 1).min(depth + 1), depth);
                let mut certificate = Certificate::new(issuer, subject(place, depth), &keys.by_place[place]);
                certificate.serial = 10 + place as u64;
                certificate.extensions = if place == 0 {
                    vec![
                        key_usage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
                        extended_key_usage(&[ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH]),
                        alt_names(&[dns("dc01.corp.example")]),
                    ]
                } else {
                    vec![basic_constraints(true, None), key_usage(KEY_CERT_SIGN | CRL_SIGN)]
                };
                certificate
            })
            .collect();
        let lists = (1..=depth + 1).map(|place| List::new(subject(place, depth))).collect();
        Self {
            keys,
            depth,
            certificates,
            signers: BTreeMap::new(),
            hashes: BTreeMap::new(),
            lists,
            list_signers: BTreeMap::new(),
            replaced: BTreeMap::new(),
        }
    }

    fn with(mut self, place: usize, change: impl FnOnce(&mut Certificate)) -> Self {
        change(&mut self.certificates[place]);
        self
    }

    /// Another key of that place, with which it signs those below.
    fn key(mut self, place: usize, key: &'k Key, hash: Hash) -> Self {
        self.certificates[place].spki.clone_from(&key.spki);
        self.replaced.insert(place, key);
        if place > 0 {
            self.hashes.insert(place, hash);
        }
        self
    }

    fn signed_by(mut self, place: usize, key: &'k Key) -> Self {
        self.signers.insert(place, key);
        self
    }

    /// The list of the issuer at that place.
    fn list(mut self, place: usize, change: impl FnOnce(&mut List)) -> Self {
        change(&mut self.lists[place - 1]);
        self
    }

    fn key_of(&self, place: usize) -> &'k Key {
        self.replaced.get(&place).copied().unwrap_or(&self.keys.by_place[place])
    }

    fn certificate(&self, place: usize) -> Vec<u8> {
        let issuer = (place + 1).min(self.depth + 1);
        let key = self.signers.get(&place).copied().unwrap_or(self.key_of(issuer));
        let hash = if self.signers.contains_key(&place) { Hash::Sha256 } else { self.hash(issuer) };
        self.certificates[place].sign(key, hash)
    }

    fn hash(&self, place: usize) -> Hash {
        self.hashes.get(&place).copied().unwrap_or(Hash::Sha256)
    }

    fn case(&self, name: impl Into<String>, purpose: Purpose) -> Case {
        let all: Vec<Vec<u8>> = (0..=self.depth + 1).map(|place| self.certificate(place)).collect();
        let lists = if purpose == Purpose::Revocation {
            self.lists
                .iter()
                .enumerate()
                .map(|(i, list)| {
                    let key = self.list_signers.get(&(i + 1)).copied().unwrap_or(self.key_of(i + 1));
                    list.sign(key, self.hash(i + 1))
                })
                .collect()
        } else {
            Vec::new()
        };
        Case {
            name: name.into(),
            purpose,
            leaf: all[0].clone(),
            others: all[1..=self.depth].to_vec(),
            anchors: vec![all[self.depth + 1].clone()],
            lists,
            at: NOW,
        }
    }
}

/// What the probe's evidence says: accepted, or refused for a reason.
fn ours(case: &Case) -> Result<(), String> {
    let at = Timestamp::from_unix_seconds(case.at).unwrap();
    let parsed = from_der(&case.leaf).map_err(|error| error.to_string())?;
    let at_hand = AtHand::new(&case.others, &case.anchors, &case.lists);
    let Findings { status, revocation, issuer, root } = examine(&case.leaf, &at_hand, at);
    match status {
        ChainStatus::Trusted { .. } => {}
        ChainStatus::UntrustedRoot { root } => return Err(format!("untrusted root `{root}`")),
        ChainStatus::IssuerMissing { issuer } => return Err(format!("issuer `{issuer}` is missing")),
        ChainStatus::Invalid { detail } => return Err(detail.to_string()),
        ChainStatus::NotChecked { why } => return Err(format!("not checked: {why}")),
    }
    // A chain that is trusted has an issuer, and ends in a root unless something below one is the anchor.
    assert!(issuer.is_some(), "{}: no issuer", case.name);
    assert!(root.is_some() || case.name.contains("anchor"), "{}: no root", case.name);
    let certificate = &parsed.certificate;
    if at < certificate.not_before || at > certificate.not_after {
        return Err("its time has not begun or is over".to_owned());
    }
    let wanted = match case.purpose {
        Purpose::Chain => return Ok(()),
        Purpose::Client => ExtendedKeyUsage::CLIENT_AUTH,
        Purpose::Server | Purpose::Revocation => ExtendedKeyUsage::SERVER_AUTH,
    };
    if let Some(usages) = &certificate.extended_key_usages
        && !usages.iter().any(|usage| usage.oid() == wanted)
    {
        return Err("its extended key usages lack the purpose".to_owned());
    }
    let granted = [certificate.digital_signature, certificate.key_encipherment];
    if case.purpose != Purpose::Client && granted == [Some(false); 2]
        || case.purpose == Purpose::Client && certificate.digital_signature == Some(false)
    {
        return Err("its key usage lacks the purpose".to_owned());
    }
    if case.purpose == Purpose::Revocation {
        match revocation {
            Some(Revocation::Good) => {}
            Some(Revocation::Revoked { subject, .. }) => return Err(format!("`{subject}` is revoked")),
            Some(Revocation::Undetermined { why }) => return Err(why.to_string()),
            None => return Err("no revocation list at hand".to_owned()),
        }
    }
    Ok(())
}

/// What OpenSSL says.
fn theirs(case: &Case, folder: &Path) -> Result<(), String> {
    let write = |file: &str, label: &str, ders: &[Vec<u8>]| {
        let path = folder.join(file);
        fs::write(&path, pem(label, ders)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut arguments = vec!["-no-CApath".to_owned(), "-no-CAstore".to_owned()];
    arguments.extend(["-attime".to_owned(), case.at.to_string()]);
    arguments.extend(["-CAfile".to_owned(), write("anchors.pem", "CERTIFICATE", &case.anchors)]);
    if !case.others.is_empty() {
        arguments.extend(["-untrusted".to_owned(), write("others.pem", "CERTIFICATE", &case.others)]);
    }
    let purpose = match case.purpose {
        Purpose::Chain => "any",
        Purpose::Client => "sslclient",
        Purpose::Server | Purpose::Revocation => "sslserver",
    };
    arguments.extend(["-purpose".to_owned(), purpose.to_owned()]);
    if case.purpose == Purpose::Revocation {
        arguments.extend(["-crl_check_all", "-extended_crl", "-use_deltas"].map(str::to_owned));
        if !case.lists.is_empty() {
            arguments.extend(["-CRLfile".to_owned(), write("lists.pem", "X509 CRL", &case.lists)]);
        }
    }
    arguments.push(write("leaf.pem", "CERTIFICATE", std::slice::from_ref(&case.leaf)));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (good, text) = openssl(&["verify"], &arguments);
    let told = text.lines().find(|line| line.starts_with("error ") || line.contains(": verification failed"));
    if good { Ok(()) } else { Err(told.unwrap_or(text.trim()).to_owned()) }
}

#[test]
fn chains_are_judged_as_openssl_judges_them_or_the_difference_is_explained() {
    let Ok(version) = std::process::Command::new("openssl").arg("version").output() else {
        assert!(
            std::env::var_os("MUSTER_SKIP_LAB").is_some_and(|value| value == "1"),
            "`openssl` not found: install the Debian package `openssl`, or set MUSTER_SKIP_LAB=1"
        );
        // Written past the harness, which keeps `eprintln!` to itself, so that the tally sees it.
        let test = std::thread::current().name().unwrap_or("openssl_verdicts").to_owned();
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {test}: no OpenSSL on this machine (MUSTER_SKIP_LAB=1)\n"),
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let by_openssl = |name: &str, arguments: &[&str]| Key::by_openssl(folder.path(), name, arguments);
    let rsa = |bits: usize| {
        by_openssl(&format!("rsa{bits}"), &["-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")])
    };
    let curve = |name: &str| by_openssl(name, &["-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{name}")]);
    let keys = Keys {
        by_place: (0..10).map(|_| Key::p256()).collect(),
        stranger: Key::p256(),
        rsa1024: rsa(1024),
        rsa2048: rsa(2048),
        rsa3072: rsa(3072),
        p384: curve("P-384"),
        p521: curve("P-521"),
    };
    let cases = cases(&keys);
    assert!(cases.len() >= LEAST, "{} chains", cases.len());
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(case.name.as_str()), "two chains are called `{}`", case.name);
    }

    let mut faults = Vec::new();
    let mut accepted = 0;
    let mut document = String::new();
    for case in &cases {
        let (ours, theirs) = (ours(case), theirs(case, folder.path()));
        accepted += usize::from(theirs.is_ok());
        let why = EXPLAINED.iter().find(|(name, _)| *name == case.name).map(|(_, why)| *why);
        let said = |verdict: &Result<(), String>| {
            verdict.as_ref().err().map_or("accepts".to_owned(), |_| "refuses".to_owned())
        };
        match (ours.is_ok() == theirs.is_ok(), why) {
            (true, None) => {}
            (true, Some(_)) => faults.push(format!("`{}` is explained, and both say {ours:?}", case.name)),
            (false, Some(why)) => {
                writeln!(document, "| {} | {} | {} | {why} |", case.name, said(&ours), said(&theirs)).unwrap();
            }
            (false, None) => faults.push(format!("`{}`: ours {ours:?}, OpenSSL {theirs:?}", case.name)),
        }
    }
    for (name, _) in EXPLAINED {
        if !names.contains(name) {
            faults.push(format!("`{name}` is explained, and there is no such chain"));
        }
    }
    let version = String::from_utf8_lossy(&version.stdout);
    println!("{} chains, {accepted} of them accepted by {}", cases.len(), version.trim());
    assert!(faults.is_empty(), "{} of {} chains:\n{}", faults.len(), cases.len(), faults.join("\n"));
    assert!(accepted >= 40 && accepted + 40 <= cases.len(), "{accepted} of {} are good", cases.len());
    check_document(&document);
}

/// Compares the table in the documentation; `MUSTER_UPDATE_GOLDEN=1` writes it anew, for review.
fn check_document(rows: &str) {
    const BEGIN: &str = "| chain | probe | OpenSSL | why |\n|---|---|---|---|\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/certificate-verdicts.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let table = rest.lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n"));
    let table = table.collect::<Vec<_>>().concat();
    if std::env::var_os("MUSTER_UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{rows}{}", &rest[table.len()..])).unwrap();
    } else {
        assert_eq!(table, rows, "the table in docs/certificate-verdicts.md");
    }
}

fn place_name(place: usize, depth: usize) -> String {
    match place {
        0 => "leaf".to_owned(),
        place if place > depth => "root".to_owned(),
        place => format!("issuer {place}"),
    }
}

/// Replaces the extension of a kind.
fn replace(certificate: &mut Certificate, kind: &str, new: Option<Vec<u8>>) {
    let kind = oid(kind);
    // An extension is a sequence that begins with its kind.
    certificate.extensions.retain(|extension| !extension.get(2..).is_some_and(|content| content.starts_with(&kind)));
    certificate.extensions.extend(new);
}

const KU: &str = "2.5.29.15";
const BC: &str = "2.5.29.19";
const EKU: &str = "2.5.29.37";
const SAN: &str = "2.5.29.17";

fn cases(keys: &Keys) -> Vec<Case> {
    let mut all = Vec::new();
    good_and_timed(keys, &mut all);
    usages(keys, &mut all);
    builds(keys, &mut all);
    authorities(keys, &mut all);
    constraints(keys, &mut all);
    algorithms(keys, &mut all);
    names(keys, &mut all);
    revocations(keys, &mut all);
    all
}

fn good_and_timed(keys: &Keys, all: &mut Vec<Case>) {
    for depth in 0..=4 {
        for purpose in [Purpose::Chain, Purpose::Server, Purpose::Client, Purpose::Revocation] {
            all.push(Maker::new(keys, depth).case(format!("good, {depth} issuers, {purpose:?}"), purpose));
        }
    }
    for depth in 1..=3 {
        for place in 0..=depth + 1 {
            let shown = place_name(place, depth);
            let expired = Maker::new(keys, depth).with(place, |c| c.not_after = NOW - DAY);
            all.push(expired.case(format!("expired {shown} of {depth}"), Purpose::Server));
            let early = Maker::new(keys, depth).with(place, |c| c.not_before = NOW + DAY);
            all.push(early.case(format!("not yet valid {shown} of {depth}"), Purpose::Server));
        }
    }
    for (shown, place) in [("leaf", 0), ("issuer", 1), ("root", 2)] {
        for (edge, begin, end) in
            [("begins now", 0, 9), ("ends now", -9, 0), ("begins in a second", 1, 9), ("ended a second ago", -9, -1)]
        {
            let maker = Maker::new(keys, 1).with(place, |c| (c.not_before, c.not_after) = (NOW + begin, NOW + end));
            all.push(maker.case(format!("{shown} {edge}"), Purpose::Server));
        }
    }
    // Beyond 2050 the other form of time is written.
    let far = Maker::new(keys, 1).with(1, |c| c.not_after = NOW + 40 * 365 * DAY);
    all.push(far.case("issuer until 2066", Purpose::Server));
}

fn usages(keys: &Keys, all: &mut Vec<Case>) {
    use ExtendedKeyUsage as E;
    for (shown, usages) in [
        ("none", None),
        ("server", Some(&[E::SERVER_AUTH][..])),
        ("client", Some(&[E::CLIENT_AUTH])),
        ("any", Some(&[E::ANY])),
        ("KDC alone", Some(&[E::KDC_AUTH])),
        ("KDC and server", Some(&[E::KDC_AUTH, E::SERVER_AUTH])),
        ("an empty list of", Some(&[])),
    ] {
        for purpose in [Purpose::Server, Purpose::Client] {
            let maker = Maker::new(keys, 1).with(0, |c| replace(c, EKU, usages.map(extended_key_usage)));
            all.push(maker.case(format!("leaf with {shown} usage, {purpose:?}"), purpose));
        }
    }
    for (shown, usages) in [
        ("server", &[E::SERVER_AUTH][..]),
        ("client alone", &[E::CLIENT_AUTH]),
        ("any", &[E::ANY]),
        ("KDC alone", &[E::KDC_AUTH]),
    ] {
        let maker = Maker::new(keys, 2).with(1, |c| replace(c, EKU, Some(extended_key_usage(usages))));
        all.push(maker.case(format!("issuer with {shown} usage"), Purpose::Server));
    }
    let kdc = |place: usize, usage: &str| {
        Maker::new(keys, 1)
            .with(0, |c| replace(c, EKU, Some(extended_key_usage(&[E::KDC_AUTH]))))
            .with(place, |c| replace(c, EKU, Some(extended_key_usage(&[usage]))))
    };
    all.push(kdc(1, E::SERVER_AUTH).case("leaf for KDC of an issuer for servers", Purpose::Chain));
    all.push(kdc(1, E::KDC_AUTH).case("leaf for KDC of an issuer for KDC", Purpose::Chain));
    all.push(kdc(1, E::ANY).case("leaf for KDC of an issuer for anything", Purpose::Chain));
    for (shown, bits) in [
        ("no", None),
        ("digitalSignature", Some(DIGITAL_SIGNATURE)),
        ("keyEncipherment", Some(KEY_ENCIPHERMENT)),
        ("keyCertSign alone as", Some(KEY_CERT_SIGN)),
        ("cRLSign alone as", Some(CRL_SIGN)),
    ] {
        for purpose in [Purpose::Server, Purpose::Client] {
            let maker = Maker::new(keys, 1).with(0, |c| replace(c, KU, bits.map(key_usage)));
            all.push(maker.case(format!("leaf with {shown} key usage, {purpose:?}"), purpose));
        }
    }
}

fn builds(keys: &Keys, all: &mut Vec<Case>) {
    for depth in 1..=3 {
        for place in 1..=depth {
            let mut case = Maker::new(keys, depth).case(format!("missing issuer {place} of {depth}"), Purpose::Chain);
            case.others.remove(place - 1);
            all.push(case);
        }
        let mut reversed = Maker::new(keys, depth).case(format!("{depth} issuers in reverse"), Purpose::Chain);
        reversed.others.reverse();
        all.push(reversed);
        for place in 0..=depth + 1 {
            let mut case = Maker::new(keys, depth)
                .case(format!("broken signature of {} of {depth}", place_name(place, depth)), Purpose::Chain);
            let der = match place {
                0 => &mut case.leaf,
                place if place > depth => &mut case.anchors[0],
                place => &mut case.others[place - 1],
            };
            *der.last_mut().unwrap() ^= 1;
            all.push(case);
            if place <= depth {
                let stranger = Maker::new(keys, depth).signed_by(place, &keys.stranger);
                let shown = place_name(place, depth);
                all.push(stranger.case(format!("{shown} of {depth} signed by a stranger"), Purpose::Chain));
            }
        }
    }
    // No anchor for it; an anchor of the same name and another key; both.
    let stranger_root = || {
        let maker = Maker::new(keys, 1).key(2, &keys.stranger, Hash::Sha256);
        maker.certificate(2)
    };
    let other_root = || {
        let mut root = Certificate::new(name("Other Root"), name("Other Root"), &keys.stranger);
        root.extensions = vec![basic_constraints(true, None), key_usage(KEY_CERT_SIGN | CRL_SIGN)];
        root.sign(&keys.stranger, Hash::Sha256)
    };
    let mut case = Maker::new(keys, 1).case("untrusted root", Purpose::Chain);
    case.others.push(std::mem::replace(&mut case.anchors[0], other_root()));
    all.push(case);
    let mut case = Maker::new(keys, 1).case("root of the same name and another key", Purpose::Chain);
    case.anchors[0] = stranger_root();
    all.push(case);
    for first in [true, false] {
        let shown = if first { "first" } else { "last" };
        let mut case = Maker::new(keys, 1).case(format!("two roots of one name, the stranger {shown}"), Purpose::Chain);
        case.anchors.insert(usize::from(!first), stranger_root());
        all.push(case);
        let mut case =
            Maker::new(keys, 1).case(format!("two issuers of one name, the stranger {shown}"), Purpose::Chain);
        let stranger = Maker::new(keys, 1).key(1, &keys.stranger, Hash::Sha256).certificate(1);
        case.others.insert(usize::from(!first), stranger);
        all.push(case);
        let mut case = Maker::new(keys, 1).case(format!("an expired copy of the issuer {shown}"), Purpose::Chain);
        let expired = Maker::new(keys, 1).with(1, |c| c.not_after = NOW - DAY).certificate(1);
        case.others.insert(usize::from(!first), expired);
        all.push(case);
    }
    // The root was renewed with its key: the chain was made under the old one.
    let mut case = Maker::new(keys, 1).case("a renewed root", Purpose::Chain);
    case.others.push(case.anchors[0].clone());
    case.anchors[0] = Maker::new(keys, 1).with(2, |c| c.serial = 99).certificate(2);
    all.push(case);
    // Two hierarchies, and a certificate of the one's root by the other.
    for (shown, with_cross) in [("with", true), ("without", false)] {
        let mut case =
            Maker::new(keys, 1).case(format!("another hierarchy's anchor {shown} a cross certificate"), Purpose::Chain);
        let own_root = std::mem::replace(&mut case.anchors[0], other_root());
        case.others.push(own_root);
        if with_cross {
            let cross = Maker::new(keys, 1).with(2, |c| c.issuer = name("Other Root")).signed_by(2, &keys.stranger);
            case.others.push(cross.certificate(2));
        }
        all.push(case);
    }
    let mut both = Maker::new(keys, 1).case("both anchors and a cross certificate", Purpose::Chain);
    let cross = Maker::new(keys, 1).with(2, |c| c.issuer = name("Other Root")).signed_by(2, &keys.stranger);
    both.others.push(cross.certificate(2));
    both.anchors.push(other_root());
    all.push(both);
    let expired_cross = Maker::new(keys, 1)
        .with(2, |c| (c.issuer, c.not_after) = (name("Other Root"), NOW - DAY))
        .signed_by(2, &keys.stranger);
    let mut case = Maker::new(keys, 1).case("an expired cross certificate", Purpose::Chain);
    case.others.push(expired_cross.certificate(2));
    case.anchors[0] = other_root();
    all.push(case);
    // Two that certify each other.
    let looped = Maker::new(keys, 2).with(2, |c| c.issuer = subject(1, 2)).signed_by(2, &keys.by_place[1]);
    all.push(looped.case("issuers that certify each other", Purpose::Chain));
    // Anchors that are no root, and a leaf that signs itself.
    let mut case = Maker::new(keys, 2).case("an issuer as anchor", Purpose::Chain);
    case.anchors = vec![case.others.remove(0)];
    all.push(case);
    let alone = |names_itself: bool| {
        let mut leaf = Certificate::new(name("dc01"), name("dc01"), &keys.by_place[0]);
        leaf.extensions = vec![alt_names(&[dns("dc01.corp.example")])];
        let mut case = Maker::new(keys, 1).case("", Purpose::Chain);
        case.leaf = leaf.sign(if names_itself { &keys.by_place[0] } else { &keys.stranger }, Hash::Sha256);
        case.others.clear();
        case
    };
    all.push(Case { name: "a leaf that signs itself".to_owned(), ..alone(true) });
    all.push(Case { name: "a leaf that claims to sign itself".to_owned(), ..alone(false) });
    let mut trusted = Case { name: "a leaf that signs itself and is an anchor".to_owned(), ..alone(true) };
    trusted.anchors = vec![trusted.leaf.clone()];
    all.push(trusted);
    // Longer than any real chain.
    all.push(Maker::new(keys, 7).case("seven issuers", Purpose::Chain));
    all.push(Maker::new(keys, 8).case("eight issuers", Purpose::Chain));
}

/// A change of a certificate.
type Change = Box<dyn Fn(&mut Certificate)>;

fn authorities(keys: &Keys, all: &mut Vec<Case>) {
    for (shown, place) in [("issuer 1", 1), ("issuer 2", 2), ("root", 3)] {
        let variants: [(&str, Change); 7] = [
            ("that is marked as no CA", Box::new(|c| replace(c, BC, Some(basic_constraints(false, None))))),
            ("without basic constraints", Box::new(|c| replace(c, BC, None))),
            ("with broken basic constraints", Box::new(|c| replace(c, BC, Some(extension(BC, true, &[0x30, 0x05]))))),
            ("without keyCertSign", Box::new(|c| replace(c, KU, Some(key_usage(CRL_SIGN))))),
            ("without key usage", Box::new(|c| replace(c, KU, None))),
            ("of version 1", Box::new(|c| (c.version, c.extensions) = (1, Vec::new()))),
            ("of version 3 without extensions", Box::new(|c| c.extensions.clear())),
        ];
        for (variant, change) in variants {
            let maker = Maker::new(keys, 2).with(place, |c| change(c));
            all.push(maker.case(format!("{shown} {variant}"), Purpose::Chain));
        }
    }
    for depth in 1..=3 {
        for place in 1..=depth + 1 {
            for most in 0..=2 {
                let maker =
                    Maker::new(keys, depth).with(place, |c| replace(c, BC, Some(basic_constraints(true, Some(most)))));
                let shown = place_name(place, depth);
                all.push(maker.case(format!("{shown} of {depth} allows {most} below"), Purpose::Chain));
            }
        }
    }
    // One that is self-issued - a CA's certificate for its new key - does not count.
    let self_issued = Maker::new(keys, 2)
        .with(1, |c| (c.issuer, c.subject) = (subject(2, 2), subject(2, 2)))
        .with(0, |c| c.issuer = subject(2, 2))
        .with(2, |c| replace(c, BC, Some(basic_constraints(true, Some(0)))));
    all.push(self_issued.case("a self-issued one below path length 0", Purpose::Chain));
    for (shown, place) in [("leaf", 0), ("issuer", 1), ("root", 2)] {
        for (critical, word) in [(true, "a critical"), (false, "an ordinary")] {
            let unknown = extension("1.3.6.1.4.1.99999.1", critical, &tlv(0x05, &[]));
            let maker = Maker::new(keys, 1).with(place, |c| c.extensions.push(unknown));
            all.push(maker.case(format!("{word} unknown extension in the {shown}"), Purpose::Chain));
        }
    }
    let twice = Maker::new(keys, 1).with(0, |c| c.extensions.push(alt_names(&[dns("other.corp.example")])));
    all.push(twice.case("a leaf with two lists of names", Purpose::Chain));
    let template =
        extension("1.3.6.1.4.1.311.21.7", true, &sequence(&[&oid("1.3.6.1.4.1.311.21.8.1.2"), &integer(100)]));
    let maker = Maker::new(keys, 1).with(0, |c| c.extensions.push(template));
    all.push(maker.case("a critical template of Windows", Purpose::Chain));
    for (shown, own, named) in [("the same", &[1, 2, 3], &[1, 2, 3]), ("another", &[1, 2, 3], &[9, 9, 9])] {
        let maker = Maker::new(keys, 1)
            .with(1, |c| c.extensions.push(subject_key_id(own)))
            .with(0, |c| c.extensions.push(authority_key_id(named)));
        all.push(maker.case(format!("{shown} key identifier in leaf and issuer"), Purpose::Chain));
    }
}

fn constraints(keys: &Keys, all: &mut Vec<Case>) {
    let subtrees = |form: u8, bases: &[Vec<u8>]| {
        let list: Vec<Vec<u8>> = bases.iter().map(|base| sequence(&[base])).collect();
        extension("2.5.29.30", true, &sequence(&[&tlv(0xA0 | form, &list.concat())]))
    };
    let directory = |name: Vec<u8>| general(4, &name);
    let network = [10, 0, 0, 0, 255, 0, 0, 0];
    let with_names = |names: Vec<Vec<u8>>| move |c: &mut Certificate| replace(c, SAN, Some(alt_names(&names)));
    let upn = || general(0, &[oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, &tlv(0x0C, b"dc@corp.example"))].concat());
    for (shown, base, names) in [
        ("its domain", dns("corp.example"), vec![dns("dc01.corp.example")]),
        ("its domain in capitals", dns("CORP.example"), vec![dns("dc01.corp.example")]),
        ("another domain", dns("other.example"), vec![dns("dc01.corp.example")]),
        ("a domain that ends alike", dns("orp.example"), vec![dns("dc01.corp.example")]),
        ("a host below its own", dns("x.dc01.corp.example"), vec![dns("dc01.corp.example")]),
        ("its domain, of two names", dns("corp.example"), vec![dns("dc01.corp.example"), dns("dc01.other.example")]),
        ("its network", general(7, &network), vec![general(7, &[10, 1, 2, 3])]),
        ("another network", general(7, &network), vec![general(7, &[192, 0, 2, 1])]),
        ("its mail host", general(1, b"corp.example"), vec![general(1, b"pki@corp.example")]),
        ("another mail host", general(1, b"other.example"), vec![general(1, b"pki@corp.example")]),
        ("its directory", directory(name_in("Lab", "x")), vec![directory(name_in("Lab", "x"))]),
        ("another directory", directory(name_in("Lab", "x")), vec![directory(name_in("Lab", "y"))]),
        ("a host for addresses", general(6, b"corp.example"), vec![general(6, b"https://corp.example/x")]),
        ("another host for addresses", general(6, b"other.example"), vec![general(6, b"https://corp.example/x")]),
        ("mail hosts, for a host", general(1, b"corp.example"), vec![dns("dc01.other.example")]),
    ] {
        for (word, form) in [("permits", 0), ("excludes", 1)] {
            let maker = Maker::new(keys, 1)
                .with(1, |c| c.extensions.push(subtrees(form, std::slice::from_ref(&base))))
                .with(0, |c| (c.subject, ()) = (sequence(&[]), with_names(names.clone())(c)));
            all.push(maker.case(format!("issuer {word} {shown}"), Purpose::Chain));
        }
    }
    for (shown, place) in [("issuer 2", 2), ("root", 3)] {
        let maker = Maker::new(keys, 2).with(place, |c| c.extensions.push(subtrees(0, &[dns("other.example")])));
        all.push(maker.case(format!("{shown} permits another domain"), Purpose::Chain));
    }
    let maker =
        Maker::new(keys, 2).with(2, |c| c.extensions.push(subtrees(1, &[directory(name_in("Lab", "Issuing CA 1"))])));
    all.push(maker.case("issuer 2 excludes issuer 1", Purpose::Chain));
    let maker =
        Maker::new(keys, 1).with(1, |c| c.extensions.push(subtrees(0, &[directory(name("dc01.corp.example"))])));
    all.push(maker.case("issuer permits the subject", Purpose::Chain));
    let maker = Maker::new(keys, 1)
        .with(1, |c| c.extensions.push(subtrees(0, &[dns("other.example")])))
        .with(0, |c| replace(c, SAN, None));
    all.push(maker.case("issuer permits another domain than that of the common name", Purpose::Chain));
    let maker = Maker::new(keys, 1)
        .with(1, |c| c.extensions.push(subtrees(0, &[upn()])))
        .with(0, |c| replace(c, SAN, Some(alt_names(&[upn()]))));
    all.push(maker.case("issuer permits a user principal name", Purpose::Chain));
    let broken = extension("2.5.29.30", true, &[0x30, 0x05]);
    all.push(
        Maker::new(keys, 1)
            .with(1, |c| c.extensions.push(broken))
            .case("issuer with broken constraints", Purpose::Chain),
    );
}

fn algorithms(keys: &Keys, all: &mut Vec<Case>) {
    for (shown, key, hashes) in [
        ("RSA 1024", &keys.rsa1024, &[Hash::Sha1, Hash::Sha256, Hash::Sha512][..]),
        ("RSA 2048", &keys.rsa2048, &[Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Pss]),
        ("RSA 3072", &keys.rsa3072, &[Hash::Sha256]),
        ("P-384", &keys.p384, &[Hash::Sha1, Hash::Sha256, Hash::Sha384]),
        ("P-521", &keys.p521, &[Hash::Sha512]),
    ] {
        for hash in hashes {
            let maker = Maker::new(keys, 1).key(1, key, *hash);
            all.push(maker.case(format!("issuer of {shown} with {hash:?}"), Purpose::Server));
        }
        let maker = Maker::new(keys, 1).key(0, key, Hash::Sha256);
        all.push(maker.case(format!("leaf of {shown}"), Purpose::Server));
        let maker = Maker::new(keys, 1).key(2, key, hashes[hashes.len() - 1]);
        all.push(maker.case(format!("root of {shown}"), Purpose::Server));
    }
}

fn names(keys: &Keys, all: &mut Vec<Case>) {
    let wide: Vec<u8> = "Issuing CA".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (shown, in_issuer, in_leaf) in [
        ("PrintableString and UTF8String", name_as(0x13, b"Issuing CA"), name_as(0x0C, b"Issuing CA")),
        ("BMPString and UTF8String", name_as(0x1E, &wide), name_as(0x0C, b"Issuing CA")),
        ("TeletexString and PrintableString", name_as(0x14, b"Issuing CA"), name_as(0x13, b"Issuing CA")),
        ("IA5String and UTF8String", name_as(0x16, b"Issuing CA"), name_as(0x0C, b"Issuing CA")),
        ("capitals", name("ISSUING ca"), name("Issuing CA")),
        ("more blanks", name(" Issuing   CA "), name("Issuing CA")),
        ("no blank", name("IssuingCA"), name("Issuing CA")),
        ("another last letter", name("Issuing CB"), name("Issuing CA")),
        ("umlauts in capitals", name("PRÜFSTELLE"), name("Prüfstelle")),
    ] {
        let maker = Maker::new(keys, 1).with(1, |c| c.subject = in_issuer).with(0, |c| c.issuer = in_leaf);
        all.push(maker.case(format!("issuer's name in {shown}"), Purpose::Chain));
    }
}

fn revocations(keys: &Keys, all: &mut Vec<Case>) {
    use Purpose::Revocation as R;
    for depth in 1..=2 {
        for place in 1..=depth + 1 {
            let below = place_name(place - 1, depth);
            let shown = place_name(place, depth);
            let own = |word: &str| format!("{word} of the {shown} of {depth}");
            let maker = || Maker::new(keys, depth);
            let revoked = 10 + place as u64 - 1;
            all.push(
                maker()
                    .list(place, |l| l.entries = vec![(3, None), (revoked, Some(1))])
                    .case(format!("revoked {below} of {depth}"), R),
            );
            all.push(maker().list(place, |l| l.next_update = Some(NOW - DAY / 2)).case(own("stale list"), R));
            all.push(maker().list(place, |l| l.this_update = NOW + DAY / 2).case(own("list of tomorrow"), R));
            let mut missing = maker().case(own("no list"), R);
            missing.lists.remove(place - 1);
            all.push(missing);
            let mut signed = maker();
            signed.list_signers.insert(place, &keys.stranger);
            all.push(signed.case(own("list by a stranger's key, in the name"), R));
            let mut foreign = maker().list(place, |l| l.issuer = name("Somebody else"));
            foreign.list_signers.insert(place, &keys.stranger);
            all.push(foreign.case(own("list of another issuer instead of that"), R));
            let no_sign = maker().with(place, |c| replace(c, KU, Some(key_usage(KEY_CERT_SIGN))));
            all.push(no_sign.case(own("no cRLSign in the key usage"), R));
            let unknown = extension("1.3.6.1.4.1.99999.2", true, &tlv(0x05, &[]));
            all.push(
                maker().list(place, |l| l.more.push(unknown)).case(own("unknown critical extension in the list"), R),
            );
        }
    }
    let one = || Maker::new(keys, 1);
    all.push(
        one()
            .list(1, |l| (l.entries, l.next_update) = (vec![(10, Some(1))], Some(NOW - DAY / 2)))
            .case("revoked leaf on a stale list", R),
    );
    all.push(one().list(1, |l| l.next_update = None).case("list without an end", R));
    all.push(one().list(1, |l| l.number = None).case("list without a number", R));
    all.push(one().list(1, |l| l.entries = vec![(10, Some(6))]).case("leaf on hold", R));
    let mut two = one().case("an older list that names the leaf, and a newer that does not", R);
    let mut older = List::new(subject(1, 1));
    (older.number, older.entries, older.this_update) = (Some(4), vec![(10, Some(6))], NOW - 2 * DAY);
    two.lists.push(older.sign(&keys.by_place[1], Hash::Sha256));
    all.push(two);
    // Deltas: OpenSSL looks for them where the base or the certificate says that there are any.
    let address = ["http://pki.corp.example/1+.crl"];
    let delta = |shown: &str,
                 base: u64,
                 number: u64,
                 entries: &[(u64, Option<u8>)],
                 in_base: &[(u64, Option<u8>)],
                 end: i64| {
        let mut case = one()
            .with(0, |c| c.extensions.push(points(CDP, &[&url(1)])))
            .list(1, |l| {
                l.more.push(points(FRESHEST, &address));
                l.entries = in_base.to_vec();
            })
            .case(shown, R);
        let mut delta = List::new(subject(1, 1));
        (delta.base, delta.number, delta.entries) = (Some(base), Some(number), entries.to_vec());
        delta.next_update = Some(end);
        case.lists.push(delta.sign(&keys.by_place[1], Hash::Sha256));
        case
    };
    let end = NOW + DAY;
    all.push(delta("delta without the leaf", 5, 6, &[(3, None)], &[], end));
    all.push(delta("leaf revoked by a delta", 5, 6, &[(10, Some(1))], &[], end));
    all.push(delta("leaf taken off by a delta", 5, 6, &[(10, Some(8))], &[(10, Some(6))], end));
    all.push(delta("revoked in base and delta", 5, 6, &[(10, Some(1))], &[(10, Some(1))], end));
    all.push(delta("delta of a later base", 6, 7, &[(10, Some(1))], &[], end));
    all.push(delta("delta older than the base", 3, 4, &[(10, Some(1))], &[], end));
    all.push(delta("stale delta", 5, 6, &[], &[], NOW - DAY / 2));
    // Points and kinds of certificates that a list covers.
    let scope = |content: Vec<u8>| extension("2.5.29.28", true, &tlv(0x30, &content));
    let own_point = |url: &str| tlv(0xA0, &tlv(0xA0, &general(6, url.as_bytes())));
    for (shown, content, points_of_leaf) in [
        ("users", tlv(0x81, &[0xFF]), None),
        ("CAs", tlv(0x82, &[0xFF]), None),
        ("attribute certificates", tlv(0x85, &[0xFF]), None),
        ("other CAs too", tlv(0x84, &[0xFF]), None),
        ("some reasons", tlv(0x83, &[6, 0x40]), None),
        ("the leaf's point", own_point(&url(1)), Some(url(1))),
        ("another point", own_point(&url(2)), Some(url(1))),
        ("a point, for a leaf without one", own_point(&url(1)), None),
    ] {
        let maker = one()
            .with(0, |c| c.extensions.extend(points_of_leaf.map(|url| points(CDP, &[&url]))))
            .list(1, |l| l.more.push(scope(content)));
        all.push(maker.case(format!("list for {shown}"), R));
    }
    let weak = Maker::new(keys, 1).key(1, &keys.rsa2048, Hash::Sha1);
    all.push(weak.case("list with SHA-1", R));
    let no_lists = || {
        let mut case = one().case("no lists at all", R);
        case.lists.clear();
        case
    };
    all.push(no_lists());
}
