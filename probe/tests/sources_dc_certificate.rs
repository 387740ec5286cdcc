//! The certificate source against real TLS servers on the loopback, and against peers that are none.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test on its own thread")]

mod pki;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use muster_evidence::{
    Certificate, CertificateListing, CertificateStore, ChainStatus, Evidence, FailureReason, Kind, Outcome, PrivateKey,
    Timestamp,
};
use muster_probe::clock::{Clock, SystemClock};
use muster_probe::source::dc_certificate::{
    CertificateOrigin, DcCertificateSettings, DcCertificateSource, TlsMode, TlsPeer,
};
use muster_probe::source::{Sighting, Source, SourceSettings};
use pki::{Issued, Pki};
use rustls_pki_types::PrivateKeyDer;

const DC: &str = "dc1.corp.example";
const START_TLS_REQUEST_BYTES: usize = 31;
const START_TLS_SUCCESS: &[u8] =
    b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0A\x01\x00\x04\x00\x04\x00";

fn look(settings: DcCertificateSettings) -> Vec<Sighting> {
    let settings = SourceSettings { dc_certificate: Some(settings), ..SourceSettings::default() };
    assert!(DcCertificateSource.is_wanted(&settings));
    let seen = DcCertificateSource.observe(&settings, SystemClock.now());
    assert_eq!(seen[0].key.kind, Kind::CertificateListing);
    seen
}

fn listing(seen: &[Sighting]) -> &CertificateListing {
    match &seen[0].outcome {
        Outcome::Observed(Evidence::CertificateListing(listing)) => listing,
        other => panic!("{other:?}"),
    }
}

fn certificate(seen: &Sighting) -> &Certificate {
    match &seen.outcome {
        Outcome::Observed(Evidence::Certificate(certificate)) => certificate,
        other => panic!("{other:?}"),
    }
}

fn failure(seen: &[Sighting]) -> (FailureReason, &str) {
    assert_eq!(seen.len(), 1);
    match &seen[0].outcome {
        Outcome::Failed(failure) => (failure.reason, failure.detail.as_str()),
        other => panic!("{other:?}"),
    }
}

/// A peer that serves one connection on `address`.
fn peer(address: &str, serve: impl FnOnce(TcpStream) + Send + 'static) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        serve(stream);
    });
    (port, thread)
}

fn server(pki: &Pki, issued: &Issued) -> Arc<rustls::ServerConfig> {
    let chain = vec![issued.certificate.der().clone(), pki.issuing.der().clone()];
    let key = PrivateKeyDer::try_from(issued.key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

fn serve_tls(config: Arc<rustls::ServerConfig>, mut stream: TcpStream) {
    let mut connection = rustls::ServerConnection::new(config).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    let _ = io::copy(&mut rustls::Stream::new(&mut connection, &mut stream), &mut io::sink());
}

fn serve_start_tls(config: Arc<rustls::ServerConfig>, mut stream: TcpStream, answer: &[u8]) {
    let mut request = [0; START_TLS_REQUEST_BYTES];
    stream.read_exact(&mut request).unwrap();
    assert!(request.ends_with(b"1.3.6.1.4.1.1466.20037"));
    stream.write_all(answer).unwrap();
    serve_tls(config, stream);
}

fn settings(host: &str, port: u16, mode: TlsMode) -> DcCertificateSettings {
    let timeout = Duration::from_secs(10);
    let peer = TlsPeer { host: host.to_owned(), port, mode, timeout };
    DcCertificateSettings { origin: CertificateOrigin::Peer(peer), anchors: Vec::new(), intermediates: Vec::new() }
}

#[test]
fn ports_follow_the_mode() {
    assert_eq!(TlsPeer::new(DC, TlsMode::Direct).port, 636);
    assert_eq!(TlsPeer::new(DC, TlsMode::StartTls).port, 389);
}

#[test]
fn what_a_controller_presents() {
    let pki = Pki::new();
    let issued = pki.controller(DC, true);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, pki.root.pem()).unwrap();

    let config = server(&pki, &issued);
    for (address, mode, anchored) in [
        ("127.0.0.1", TlsMode::Direct, true),
        ("127.0.0.1", TlsMode::StartTls, true),
        ("::1", TlsMode::Direct, true),
        ("localhost", TlsMode::Direct, true),
        ("127.0.0.1", TlsMode::Direct, false),
    ] {
        let config = Arc::clone(&config);
        let (port, thread) = peer(address, move |stream| match mode {
            TlsMode::Direct => serve_tls(config, stream),
            TlsMode::StartTls => serve_start_tls(config, stream, START_TLS_SUCCESS),
        });
        let mut settings = settings(address, port, mode);
        settings.anchors = if anchored { vec![root.clone()] } else { Vec::new() };
        let seen = look(settings);
        thread.join().unwrap();

        let listing = listing(&seen);
        assert_eq!(listing.store, CertificateStore::TlsPeer);
        assert_eq!(listing.certificates.len(), 1, "the leaf; what came along is no entry of a store");
        assert_eq!(listing.certificates[0].private_key, PrivateKey::Present, "{address} {mode:?}");
        let leaf = certificate(&seen[1]);
        assert_eq!(leaf.sha256, listing.certificates[0].sha256);
        assert_eq!(leaf.subject.as_str(), "CN=dc1.corp.example");
        match (&leaf.chain, anchored) {
            (ChainStatus::Trusted { anchor }, true) => assert_eq!(anchor.as_str(), "CN=Test Root"),
            (ChainStatus::NotChecked { why }, false) => assert_eq!(why.as_str(), "no trust anchors are configured"),
            other => panic!("{other:?}"),
        }
    }
}

type Serve = Box<dyn FnOnce(TcpStream) + Send>;

#[test]
fn peers_that_are_no_controllers() {
    use FailureReason::{Incomplete, TimedOut, Unavailable, Unreadable};

    let silence = |mut stream: TcpStream| {
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let hang_up = |mut stream: TcpStream| {
        let mut some = [0; 5];
        stream.read_exact(&mut some).unwrap();
    };
    let says = |bytes: &'static [u8]| {
        move |mut stream: TcpStream| {
            let mut some = [0; 5];
            stream.read_exact(&mut some).unwrap();
            let _ = stream.write_all(bytes);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    };
    let drip = |mut stream: TcpStream| {
        // One byte of an endless handshake record after the other: each comes in time, all together never do.
        let head = [0x16, 3, 3, 0x3F, 0xFF, 2, 0, 0x3F, 0xF0];
        for byte in head.into_iter().chain(std::iter::repeat(0)) {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let refused = b"\x30\x10\x02\x01\x01\x78\x0B\x0A\x01\x34\x04\x00\x04\x04busy";
    let huge = b"\x30\x84\xFF\xFF\xFF\xFF";
    let cases: Vec<(TlsMode, Serve, &[FailureReason], &str)> = vec![
        (TlsMode::Direct, Box::new(silence), &[TimedOut], "the peer was too slow"),
        (TlsMode::StartTls, Box::new(silence), &[TimedOut], "the peer was too slow"),
        (TlsMode::Direct, Box::new(drip), &[TimedOut], "the peer was too slow"),
        (TlsMode::Direct, Box::new(hang_up), &[Incomplete], "before it presented a certificate"),
        (TlsMode::StartTls, Box::new(hang_up), &[Incomplete], "did not begin TLS"),
        (TlsMode::Direct, Box::new(says(b"220 smtp ready\r\n")), &[Unreadable], "before it presented a certificate"),
        (TlsMode::Direct, Box::new(says(b"\x16\x03\x03\xFF\xFF")), &[Unreadable], "before it presented a certificate"),
        (TlsMode::Direct, Box::new(says(b"\x15\x03\x03\x00\x02\x02\x28")), &[Unreadable], "HandshakeFailure"),
        (TlsMode::StartTls, Box::new(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")), &[Unreadable], "is not LDAP"),
        (TlsMode::StartTls, Box::new(says(huge)), &[Unreadable], "announces 4294967295 bytes"),
        (TlsMode::StartTls, Box::new(says(refused)), &[Unavailable], "refused StartTLS with result code 52 (`busy`)"),
    ];
    for (number, (mode, serve, reasons, words)) in cases.into_iter().enumerate() {
        let (port, thread) = peer("127.0.0.1", serve);
        let mut settings = settings("127.0.0.1", port, mode);
        let CertificateOrigin::Peer(peer) = &mut settings.origin else { unreachable!() };
        peer.timeout = Duration::from_millis(600);
        let started = Instant::now();
        let seen = look(settings);
        assert!(started.elapsed() < Duration::from_secs(10), "case {number} is not bounded");
        thread.join().unwrap();
        let (reason, detail) = failure(&seen);
        assert!(reasons.contains(&reason), "case {number}: {reason:?}: {detail}");
        assert!(detail.contains(words), "case {number}: {detail}");
    }
}

#[test]
fn nobody_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let seen = look(settings("127.0.0.1", port, TlsMode::Direct));
    let (reason, detail) = failure(&seen);
    assert_eq!(reason, FailureReason::Unavailable);
    assert!(detail.contains("refused"), "{detail}");

    let seen = look(settings("no such name", 636, TlsMode::Direct));
    assert!(failure(&seen).1.contains("is no DNS name and no address"));
}

/// OpenSSL as the peer: what rustls would never serve, a controller may.
#[test]
fn certificates_that_a_tls_client_would_refuse() {
    if std::process::Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        assert!(
            std::env::var_os("MUSTER_SKIP_LAB").is_some_and(|value| value == "1"),
            "`openssl` not found: install the Debian package `openssl`, or set MUSTER_SKIP_LAB=1"
        );
        // Written past the harness, which keeps `eprintln!` to itself, so that the tally sees it.
        let test = std::thread::current().name().unwrap_or("sources_dc_certificate").to_owned();
        let _ = writeln!(io::stderr(), "SKIPPED: {test}: no OpenSSL on this machine (MUSTER_SKIP_LAB=1)");
        return;
    }
    for (key, days, hash, protocol) in [
        ("rsa:1024", "30", "-sha256", "-tls1_2"),
        ("rsa:1024", "30", "-sha1", "-tls1_3"),
        ("rsa:2048", "30", "-sha1", "-tls1_2"),
        ("rsa:2048", "1", "-sha384", "-tls1_3"),
        ("rsa:3072", "30", "-sha512", "-tls1_3"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", key, "-days", days, hash, "-subj", "/CN=dc1.corp.example"])
            .args(["-keyout", &at("key.pem"), "-out", &at("dc.pem")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = std::process::Command::new("openssl")
            .args(["s_server", "-quiet", protocol, "-cipher", "DEFAULT@SECLEVEL=0", "-accept"])
            .args([&format!("127.0.0.1:{port}"), "-key", &at("key.pem"), "-cert", &at("dc.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let seen = loop {
            let seen = look(settings("127.0.0.1", port, TlsMode::Direct));
            let refused =
                matches!(&seen[0].outcome, Outcome::Failed(failure) if failure.detail.as_str().contains("refused"));
            if !refused || Instant::now() > deadline {
                break seen;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        server.kill().unwrap();
        server.wait().unwrap();
        let listing = listing(&seen);
        // ring verifies no RSA signature under 2048 bits, so possession of such a key stays open.
        let proof = if key == "rsa:1024" { PrivateKey::Undetermined } else { PrivateKey::Present };
        assert_eq!(listing.certificates[0].private_key, proof, "{key} {hash} {protocol}");
        let certificate = certificate(&seen[1]);
        let bits = key[4..].parse().unwrap();
        assert_eq!(certificate.key, muster_evidence::KeyAlgorithm::Rsa { bits }, "{hash} {protocol}");
    }
}

fn files(paths: &[PathBuf], anchors: &[PathBuf]) -> Vec<Sighting> {
    let origin = CertificateOrigin::Files(paths.to_vec());
    look(DcCertificateSettings { origin, anchors: anchors.to_vec(), intermediates: Vec::new() })
}

#[test]
fn files_and_folders() {
    let pki = Pki::new();
    let (good, other) = (pki.controller(DC, true), pki.controller(DC, false));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.cer"), good.certificate.der()).unwrap();
    std::fs::write(at("b.pem"), format!("{}{}", other.certificate.pem(), good.certificate.pem())).unwrap();
    std::fs::write(at("c.CRT"), pki.issuing.pem()).unwrap();
    std::fs::write(at("d.pem"), other.key.serialize_pem()).unwrap();
    std::fs::write(at("e.der"), b"not a certificate").unwrap();
    std::fs::write(at("notes.txt"), b"passed over").unwrap();
    let anchors = tempfile::tempdir().unwrap();
    std::fs::write(anchors.path().join("root.crt"), pki.root.pem()).unwrap();

    let seen = files(&[folder.path().to_owned()], &[anchors.path().to_owned()]);
    let listing = listing(&seen);
    assert_eq!(listing.store, CertificateStore::Files);
    assert_eq!(listing.certificates.len(), 3, "each once, in the order of the files");
    assert_eq!(listing.unreadable, 2, "a key and a text are counted, never left out");
    assert!(listing.certificates.iter().all(|entry| entry.private_key == PrivateKey::Undetermined));
    let subjects: Vec<&str> = seen[1..].iter().map(|seen| certificate(seen).subject.as_str()).collect();
    assert_eq!(subjects, ["CN=dc1.corp.example", "CN=dc1.corp.example", "CN=Test Issuing CA"]);
    for seen in &seen[1..] {
        let chain = &certificate(seen).chain;
        assert!(matches!(chain, ChainStatus::Trusted { .. }), "a CA beside the leaf may have issued it: {chain:?}");
    }
}

#[test]
fn anchors_that_are_wrong_or_missing() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    let leaf = folder.path().join("leaf.pem");
    std::fs::write(&leaf, pki.controller(DC, true).certificate.pem()).unwrap();
    let foreign = folder.path().join("foreign.pem");
    std::fs::write(&foreign, Pki::new().root.pem()).unwrap();

    let chain =
        |anchor: &str| certificate(&files(std::slice::from_ref(&leaf), &[folder.path().join(anchor)])[1]).chain.clone();
    assert!(
        matches!(chain("foreign.pem"), ChainStatus::IssuerMissing { issuer } if issuer.as_str() == "CN=Test Issuing CA")
    );
    match chain("none.pem") {
        ChainStatus::NotChecked { why } => assert!(why.as_str().contains("does not exist"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_that_cannot_be_read_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let seen = files(&[folder.path().to_owned()], &[]);
    assert!(listing(&seen).certificates.is_empty(), "an empty folder is a fact");
    let seen = files(&[folder.path().join("gone")], &[]);
    let (reason, detail) = failure(&seen);
    assert_eq!(reason, FailureReason::Unavailable);
    assert!(detail.ends_with("/gone` does not exist"), "{detail}");
}

#[test]
fn more_certificates_than_are_told_are_counted() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    let limit = muster_evidence::limits::CERTIFICATES_PER_STORE;
    for number in 0..limit + 3 {
        let issued = pki.controller(&format!("dc{number}.corp.example"), true);
        std::fs::write(folder.path().join(format!("{number:02}.pem")), issued.certificate.pem()).unwrap();
    }
    let seen = files(&[folder.path().to_owned()], &[]);
    assert_eq!((listing(&seen).certificates.len(), listing(&seen).left_out), (limit, 3));
    assert_eq!(seen.len(), 1 + limit);
}

#[test]
fn the_timestamps_of_the_certificate_are_its_own() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dc.pem"), pki.controller(DC, true).certificate.pem()).unwrap();
    let seen = files(&[folder.path().to_owned()], &[]);
    // rcgen's defaults, far enough apart that no clock of a test machine matters.
    assert_eq!(certificate(&seen[1]).not_before, "1975-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
}
