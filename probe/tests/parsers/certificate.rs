//! What each certificate of `fixtures/certificate` reads as, and where its chain leads.
//!
//! `generate.sh` beside them makes them anew; nothing here depends on their keys.

use std::fmt::Write as _;
use std::fs;

use muster_evidence::{ChainStatus, SubjectAltName, Text, Timestamp, limits};
use muster_probe::parse::certificate::{self, Bundle, InvalidInput, Parsed, from_pem_or_der, verify_chain};
use muster_probe::parse::{InputKind, ParseError, inspect};

use crate::{assert_golden, files, fixture, name};

fn bundle(file: &str) -> Bundle {
    from_pem_or_der(&fixture(&format!("certificate/{file}"))).unwrap()
}

fn only(file: &str) -> Parsed {
    let mut bundle = bundle(&format!("{file}.pem"));
    assert_eq!((bundle.certificates.len(), bundle.unreadable.len()), (1, 0), "{file}");
    bundle.certificates.remove(0)
}

fn ders(files: &[&str]) -> Vec<Vec<u8>> {
    files.iter().map(|file| only(file).der).collect()
}

#[test]
fn every_certificate_reads_as_written_down() {
    let mut dump = String::new();
    for path in files("fixtures/certificate") {
        if path.extension().is_none_or(|extension| extension != "pem" && extension != "der") {
            continue;
        }
        writeln!(dump, "== {}", name(&path)).unwrap();
        match from_pem_or_der(&fs::read(&path).unwrap()) {
            Ok(bundle) => {
                for parsed in &bundle.certificates {
                    describe(&mut dump, parsed);
                }
                for error in &bundle.unreadable {
                    writeln!(dump, "unreadable: {error}").unwrap();
                }
            }
            Err(error) => writeln!(dump, "refused: {error}").unwrap(),
        }
        dump.push('\n');
    }
    assert_golden("certificate/readings.golden", &dump);
}

fn describe(dump: &mut String, parsed: &Parsed) {
    let certificate = &parsed.certificate;
    writeln!(dump, "subject: {}", certificate.subject).unwrap();
    writeln!(dump, "issuer: {}", certificate.issuer).unwrap();
    writeln!(
        dump,
        "key: {:?}, signature {:?}, ca {}, digital signature {:?}, key encipherment {:?}",
        certificate.key,
        certificate.signature_hash,
        certificate.is_ca,
        certificate.digital_signature,
        certificate.key_encipherment
    )
    .unwrap();
    let usages = certificate.extended_key_usages.as_ref().map_or_else(
        || "any (no extension)".to_owned(),
        |usages| usages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    writeln!(dump, "usages: {usages}").unwrap();
    for name in certificate.subject_alt_names.iter().take(8) {
        writeln!(dump, "name: {name:?}").unwrap();
    }
    if let Some(template) = &certificate.template {
        writeln!(dump, "template: {template:?}").unwrap();
    }
    for url in &certificate.crl_distribution_points {
        writeln!(dump, "revocation list: {url}").unwrap();
    }
    for url in &certificate.ocsp_urls {
        writeln!(dump, "ocsp: {url}").unwrap();
    }
    for url in &certificate.issuer_urls {
        writeln!(dump, "issuer's certificate: {url}").unwrap();
    }
    for remark in &parsed.remarks {
        writeln!(dump, "remark: {remark}").unwrap();
    }
}

#[test]
fn identity_and_validity_are_those_of_the_bytes() {
    use std::time::Duration;

    let parsed = only("dc-good");
    let certificate = &parsed.certificate;
    assert_eq!(certificate.sha256.0.as_slice(), ring_digest(&ring::digest::SHA256, &parsed.der));
    assert_eq!(certificate.thumbprint.0.as_slice(), ring_digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &parsed.der));
    assert!(certificate.serial.as_str().starts_with("b7"), "no leading zeros: {}", certificate.serial);
    let lifetime_ms = certificate.not_after.ms_since(certificate.not_before);
    assert_eq!(Duration::from_millis(u64::try_from(lifetime_ms).unwrap()), Duration::from_hours(36_500 * 24));
    for form in ["dc-good.der", "utf16.pem", "with-text-crlf.pem"] {
        assert_eq!(bundle(form).certificates, std::slice::from_ref(&parsed), "{form}");
    }
    let three: Vec<_> = bundle("bundle.pem").certificates.into_iter().map(|parsed| parsed.der).collect();
    assert_eq!(three, ders(&["dc-good", "issuing", "root"]));
}

fn ring_digest(algorithm: &'static ring::digest::Algorithm, bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(algorithm, bytes).as_ref().to_vec()
}

#[test]
fn lists_are_cut_at_their_bound_with_a_word() {
    let parsed = only("dc-many-names");
    let names = &parsed.certificate.subject_alt_names;
    assert_eq!(names.len(), limits::CERTIFICATE_LIST);
    assert!(matches!(&names[0], SubjectAltName::Dns(name) if name.as_str() == "name-01.corp.example"));
    let remarks: Vec<&str> = parsed.remarks.iter().map(Text::as_str).collect();
    assert_eq!(remarks, ["16 of 40 subject alternative names were left out"]);
}

/// Each case: the leaf, the other certificates at hand, the anchors, the year, and what the status says.
#[test]
fn chains_lead_where_they_should() {
    let rdn = ",DC=corp,DC=example";
    let trusted = |anchor: &str| format!("trusted by {anchor}");
    for (leaf, others, anchors, year, expected) in [
        ("dc-good", &["issuing"][..], &["root"][..], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        // Roots among the others do no harm, and an issuing CA may itself be the anchor.
        ("dc-good", &["root", "dc-good", "issuing"], &["root"], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        ("dc-good", &[], &["issuing"], 2030, trusted(&format!("CN=Lab Issuing CA{rdn}"))),
        ("dc-good", &[], &["dc-good"], 2030, trusted("CN=DC01.corp.example")),
        // A stranger of the same name does not hide the true one.
        ("dc-good", &["issuing"], &["root-of-same-name", "root"], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        // Weak certificates are the rules' business: their chains hold.
        ("dc-sha1", &["issuing"], &["root"], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        ("dc-rsa1024", &["issuing"], &["root"], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        ("dc-pss-sha384", &["issuing"], &["root"], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        ("dc-broken-extensions", &["issuing"], &["root"], 2030, trusted(&format!("CN=Lab Root CA{rdn}"))),
        ("dc-of-ec-root", &[], &["ec-root"], 2030, trusted("CN=EC Root")),
        // The leaf's own validity is a check of its own; here the leaf is not valid yet.
        ("dc-good", &[], &["dc-good"], 2000, trusted("CN=DC01.corp.example")),
        ("dc-good", &["issuing", "root"], &["other-root"], 2030, format!("untrusted root CN=Lab Root CA{rdn}")),
        ("self-signed", &[], &["root"], 2030, "untrusted root CN=DC01.corp.example".to_owned()),
        ("dc-good", &["issuing"], &["other-root"], 2030, format!("missing CN=Lab Root CA{rdn}")),
        ("dc-good", &[], &["root"], 2030, format!("missing CN=Lab Issuing CA{rdn}")),
        ("dc-good", &["issuing"], &["root"], 2040, format!("invalid: `CN=Lab Issuing CA{rdn}` has expired")),
        ("dc-good", &["issuing"], &["root"], 2020, format!("invalid: `CN=Lab Issuing CA{rdn}` is not valid yet")),
        (
            "dc-good",
            &["issuing"],
            &["root-of-same-name"],
            2030,
            format!(
                "invalid: the signature of `CN=Lab Issuing CA{rdn}` is not by the key of `CN=Lab Root CA{rdn}`: \
                 it does not verify"
            ),
        ),
        (
            "dc-of-a-leaf",
            &["dc-good", "issuing"],
            &["root"],
            2030,
            "invalid: `CN=DC01.corp.example` may not issue: its key usage lacks keyCertSign".to_owned(),
        ),
        (
            "dc-of-weak-issuing",
            &["weak-issuing"],
            &["root"],
            2030,
            "invalid: `CN=Weak Issuing CA` may not issue: its key usage lacks keyCertSign".to_owned(),
        ),
        (
            "dc-of-too-deep",
            &["too-deep", "issuing"],
            &["root"],
            2030,
            format!("invalid: `CN=Lab Issuing CA{rdn}` allows 0 issuers below it, and there are 1"),
        ),
        // A certifies B, B certifies A: the way up ends where it would come back.
        ("dc-of-loop", &["loop-a", "loop-b"], &["root"], 2030, "missing CN=Loop A".to_owned()),
        (
            "dc-of-p521-root",
            &[],
            &["p521-root"],
            2030,
            "not checked: the signature of `CN=DC01` (algorithm 1.2.840.10045.4.3.4) cannot be verified here"
                .to_owned(),
        ),
        ("dc-good", &["issuing", "root"], &[], 2030, "not checked: no trust anchors were given".to_owned()),
        ("dc-good", &[], &[], 2030, "not checked: no trust anchors were given".to_owned()),
        // Without anchors a broken chain is broken all the same.
        (
            "dc-of-a-leaf",
            &["dc-good", "issuing", "root"],
            &[],
            2030,
            "invalid: `CN=DC01.corp.example` may not issue: its key usage lacks keyCertSign".to_owned(),
        ),
    ] {
        let at: Timestamp = format!("{year}-01-01T00:00:00Z").parse().unwrap();
        let status = verify_chain(&only(leaf).der, &ders(others), &ders(anchors), at);
        let found = match &status {
            ChainStatus::Trusted { anchor } => format!("trusted by {anchor}"),
            ChainStatus::UntrustedRoot { root } => format!("untrusted root {root}"),
            ChainStatus::IssuerMissing { issuer } => format!("missing {issuer}"),
            ChainStatus::Invalid { detail } => format!("invalid: {detail}"),
            ChainStatus::NotChecked { why } => format!("not checked: {why}"),
        };
        assert_eq!(found, expected, "{leaf} with {others:?} under {anchors:?} in {year}");
    }
}

#[test]
fn issuer_and_root_are_told_by_their_thumbprints() {
    let at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let thumbprint = |file: &str| only(file).certificate.thumbprint;
    let (issuing, root) = (Some(thumbprint("issuing")), Some(thumbprint("root")));
    for (leaf, others, anchors, issuer, expected) in [
        ("dc-good", &["issuing"][..], &["root"][..], issuing, root),
        // Trusted or not, and whichever of two roots of one name it is.
        ("dc-good", &["issuing", "root-of-same-name", "root"], &["other-root"], issuing, root),
        ("dc-good", &["issuing"], &["other-root"], issuing, None),
        ("dc-good", &[], &["root"], None, None),
        ("dc-good", &[], &["issuing"], issuing, None),
        ("self-signed", &[], &["root"], Some(thumbprint("self-signed")), Some(thumbprint("self-signed"))),
        ("dc-of-loop", &["loop-a", "loop-b"], &["root"], Some(thumbprint("loop-a")), None),
        // One that may not issue did issue it.
        ("dc-of-weak-issuing", &["weak-issuing"], &["root"], Some(thumbprint("weak-issuing")), None),
    ] {
        let (others, anchors) = (ders(others), ders(anchors));
        let none: [&[u8]; 0] = [];
        let findings = certificate::examine(&only(leaf).der, &certificate::AtHand::new(&others, &anchors, &none), at);
        assert_eq!((findings.issuer, findings.root), (issuer, expected), "{leaf}: {:?}", findings.status);
        assert_eq!(findings.revocation, None, "no list is at hand");
    }
}

#[test]
fn points_are_kept_in_full_for_fetching() {
    let parsed = &bundle("dc-points-of-every-form.der").certificates[0];
    let points: Vec<(&str, bool, bool)> =
        parsed.points.iter().map(|point| (point.url.as_str(), point.delta, point.other_issuer)).collect();
    assert_eq!(
        points,
        [("http://a/1.crl", false, true), ("ldap:///CN=x", false, true), ("http://a/1+.crl", true, false)]
    );
}

#[test]
fn a_changed_byte_breaks_the_chain() {
    let mut leaf = only("dc-good").der;
    let at = "2030-01-01T00:00:00Z".parse().unwrap();
    let last = leaf.len() - 1;
    leaf[last] ^= 1;
    let status = verify_chain(&leaf, &ders(&["issuing"]), &ders(&["root"]), at);
    assert!(matches!(status, ChainStatus::Invalid { .. }), "{status:?}");
}

#[test]
fn many_certificates_of_one_name_are_bounded() {
    // Every copy is another certificate of the right name and key, whose own issuer has to be looked for.
    let issuing = only("issuing").der;
    let copies: Vec<Vec<u8>> = (0_u8..=255)
        .map(|i| {
            let mut copy = issuing.clone();
            let last = copy.len() - 1;
            copy[last] ^= i;
            copy
        })
        .collect();
    let at = "2030-01-01T00:00:00Z".parse().unwrap();
    let status = verify_chain(&only("dc-good").der, &copies, &ders(&["other-root"]), at);
    let why = Text::cut("too many certificates carry the issuer's name");
    assert_eq!(status, ChainStatus::NotChecked { why });
}

#[test]
fn private_keys_are_refused_and_never_repeated() {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = key.serialize_pem();
    let certificate = String::from_utf8(fixture("certificate/dc-good.pem")).unwrap();
    let body: String = pem.lines().nth(1).unwrap().to_owned();
    for (input, form) in [
        (pem.clone().into_bytes(), "PRIVATE KEY"),
        (format!("{certificate}\n{pem}").into_bytes(), "PRIVATE KEY"),
        (pem.replace("PRIVATE KEY", "RSA PRIVATE KEY").into_bytes(), "RSA PRIVATE KEY"),
        (pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY").into_bytes(), "ENCRYPTED PRIVATE KEY"),
        (key.serialize_der(), "PKCS #8"),
        // The head of a PFX file, which needs no password to be known.
        (vec![0x30, 0x82, 0x09, 0x5A, 0x02, 0x01, 0x03, 0x30, 0x82, 0x09, 0x20], "PKCS #12"),
    ] {
        let error = from_pem_or_der(&input).unwrap_err();
        assert_eq!(error, ParseError::Certificate(InvalidInput::PrivateKey { form: form.to_owned() }));
        let inspected = inspect(InputKind::Certificate, &input).unwrap_err();
        for text in [error.to_string(), format!("{inspected:?}")] {
            assert!(!text.contains(&body), "{text}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_named() {
    for (input, error) in [
        (&b" \r\n"[..], "input is empty (expected a certificate in PEM or DER)"),
        (b"hello", "input is no certificate: expected PEM (`-----BEGIN CERTIFICATE-----`) or DER"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "input holds no certificate: found PEM of `PUBLIC KEY`, expected `CERTIFICATE`",
        ),
    ] {
        assert_eq!(from_pem_or_der(input).unwrap_err().to_string(), error);
    }
    let mut twice = only("dc-good").der;
    let length = twice.len();
    twice.push(0);
    let error = certificate::from_der(&twice).unwrap_err();
    assert_eq!(error.to_string(), format!("1 bytes follow the certificate of {length} bytes"));
}
