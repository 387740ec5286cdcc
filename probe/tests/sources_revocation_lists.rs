//! The source of revocation lists against real HTTP servers on the loopback, and against servers that are none.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test on its own threads")]

mod forge;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forge::{
    CDP, CRL_SIGN, Certificate, DAY, FRESHEST, Hash, KEY_CERT_SIGN, Key, List, NOW, alt_names, basic_constraints, dns,
    extended_key_usage, extension, key_usage, name, points, utc_time,
};
use muster_evidence::{
    CrlFetch, DistributionPoint, Evidence, ExtendedKeyUsage, FailureReason, Outcome, Revocation, RevocationLists,
    Timestamp,
};
use muster_probe::config::ProxySetting;
use muster_probe::source::dc_certificate::{CertificateOrigin, DcCertificateSettings, DcCertificateSource};
use muster_probe::source::revocation_lists::{RevocationListSettings, RevocationListSource};
use muster_probe::source::{Source, SourceSettings};

const ROOT: &str = "Lab Root";
const CA: &str = "Lab CA";

/// What a server gives for a path: the whole answer.
type Answers = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A server that answers each request by its target, and remembers what it was asked.
struct Server {
    port: u16,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server =
            Self { port: listener.local_addr().unwrap().port(), answers: Answers::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&server.answers), Arc::clone(&server.asked));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                std::thread::spawn(move || serve(&stream.unwrap(), &answers, &asked));
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn gives(&self, target: &str, answer: Vec<u8>) {
        self.answers.lock().unwrap().insert(target.to_owned(), answer);
    }

    fn gives_list(&self, target: &str, list: &[u8]) {
        self.gives(target, ok(list, "ETag: \"one\"\r\nContent-Type: application/pkix-crl\r\n"));
    }

    /// The requests since the last time, each as one text.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn ok(body: &[u8], headers: &str) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn serve(stream: &TcpStream, answers: &Answers, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
    }
    let target = request.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(request.clone());
    let answer = answers.lock().unwrap().get(&target).cloned();
    let mut out = stream;
    match answer {
        Some(answer) if answer == b"slow" => {
            // Drips until the client has had enough.
            while out.write_all(b"HTTP/1.1 200 OK\r\n"[..1].as_ref()).is_ok() {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        Some(answer) if answer == b"huge" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while out.write_all(&[0x30; 8 * 1024]).is_ok() {}
        }
        Some(answer) if request.contains("If-None-Match: \"one\"") && answer.windows(5).any(|w| w == b"\"one\"") => {
            let _ = out.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n");
        }
        Some(answer) => {
            let _ = out.write_all(&answer);
        }
        None => {
            let _ = out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
        }
    }
}

/// A controller's certificate with these points, its CA and root in files, and where lists are kept.
struct Lab {
    folder: tempfile::TempDir,
    root: Key,
    ca: Key,
    settings: SourceSettings,
}

impl Lab {
    fn new(urls: &[&str]) -> Self {
        Self::with(urls, |_| {}, &[])
    }

    fn with(urls: &[&str], change: impl FnOnce(&mut Certificate), ca_urls: &[&str]) -> Self {
        let (root, ca, key) = (Key::p256(), Key::p256(), Key::p256());
        let authority = |issuer: &str, subject: &str, key: &Key, urls: &[&str]| {
            let mut certificate = Certificate::new(name(issuer), name(subject), key);
            certificate.extensions = vec![basic_constraints(true, None), key_usage(KEY_CERT_SIGN | CRL_SIGN)];
            if !urls.is_empty() {
                certificate.extensions.push(points(CDP, urls));
            }
            certificate
        };
        let mut leaf = Certificate::new(name(CA), name("dc01"), &key);
        leaf.extensions = vec![
            extended_key_usage(&[ExtendedKeyUsage::KDC_AUTH]),
            alt_names(&[dns("dc01.corp.example")]),
            points(CDP, urls),
        ];
        change(&mut leaf);
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, der: Vec<u8>| -> PathBuf {
            let path = folder.path().join(file);
            std::fs::write(&path, der).unwrap();
            path
        };
        let anchor = write("root.der", authority(ROOT, ROOT, &root, &[]).sign(&root, Hash::Sha256));
        let issuing = write("ca.der", authority(ROOT, CA, &ca, ca_urls).sign(&root, Hash::Sha256));
        let own = write("dc01.der", leaf.sign(&ca, Hash::Sha256));
        let settings = SourceSettings {
            dc_certificate: Some(DcCertificateSettings {
                origin: CertificateOrigin::Files(vec![own]),
                anchors: vec![anchor],
                intermediates: vec![issuing],
            }),
            revocation: Some(RevocationListSettings {
                timeout: Duration::from_secs(2),
                ..RevocationListSettings::new(folder.path().join("lists"), ProxySetting::Straight, Vec::new())
            }),
            ..SourceSettings::default()
        };
        Self { folder, root, ca, settings }
    }

    /// A list of the issuing CA.
    fn list(&self, change: impl FnOnce(&mut List)) -> Vec<u8> {
        let mut list = List::new(name(CA));
        change(&mut list);
        list.sign(&self.ca, Hash::Sha256)
    }

    fn look(&self, seconds: i64) -> RevocationLists {
        assert!(RevocationListSource.is_wanted(&self.settings));
        let mut seen = RevocationListSource.observe(&self.settings, at(seconds));
        assert_eq!(seen.len(), 1);
        match seen.remove(0).outcome {
            Outcome::Observed(Evidence::RevocationLists(lists)) => lists,
            other => panic!("{other:?}"),
        }
    }

    fn only(&self, seconds: i64) -> DistributionPoint {
        let lists = self.look(seconds);
        assert_eq!((lists.points.len(), lists.left_out), (1, 0), "{lists:?}");
        lists.points.into_iter().next().unwrap()
    }

    /// What is told of the leaf's revocation by the lists that are kept.
    fn revocation(&self, seconds: i64) -> Option<Revocation> {
        let seen = DcCertificateSource.observe(&self.settings, at(seconds));
        match &seen[1].outcome {
            Outcome::Observed(Evidence::Certificate(certificate)) => certificate.revocation.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn fetched(point: &DistributionPoint) -> bool {
    point.fetch == CrlFetch::Fetched
}

fn unreachable(point: &DistributionPoint) -> &str {
    match &point.fetch {
        CrlFetch::Unreachable { detail } => detail.as_str(),
        other => panic!("{other:?}"),
    }
}

fn unusable(point: &DistributionPoint) -> &str {
    match &point.fetch {
        CrlFetch::Unusable { detail } => detail.as_str(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_is_fetched_told_and_kept() {
    let server = Server::new();
    let lab = Lab::new(&[&server.url("/Lab%20CA(1)+.crl")]);
    let next_publish = extension("1.3.6.1.4.1.311.21.4", false, &utc_time(NOW + DAY / 2));
    let list = lab.list(|list| {
        list.number = Some(0x1234);
        list.more.push(next_publish);
    });
    server.gives_list("/Lab%20CA(1)+.crl", &list);
    let point = lab.only(NOW);
    assert!(fetched(&point) && !point.delta, "{point:?}");
    let told = point.list.clone().unwrap();
    assert_eq!((told.issuer.as_str(), told.number.as_ref().unwrap().as_str()), ("CN=Lab CA", "1234"));
    assert_eq!((told.this_update, told.next_update), (at(NOW - DAY), Some(at(NOW + DAY))));
    assert_eq!(told.next_publish, Some(at(NOW + DAY / 2)));
    assert_eq!(told.bytes as usize, list.len());
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /Lab%20CA(1)+.crl HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked:?}");

    // Within the hour nobody asks, and the same is told; then the server is asked whether it changed.
    assert_eq!(lab.only(NOW + 3_599), point);
    assert!(server.asked().is_empty());
    assert_eq!(lab.only(NOW + 3_600), point);
    assert!(server.asked()[0].contains("If-None-Match: \"one\"\r\n"));
    // When the next one should be there, it is asked for sooner.
    assert_eq!(lab.only(NOW + DAY / 2 + 3_600), point);
    assert_eq!(lab.only(NOW + DAY / 2 + 3_600 + 299), point);
    assert_eq!(server.asked().len(), 1);
    assert_eq!(lab.only(NOW + DAY / 2 + 3_600 + 300), point);
    assert_eq!(server.asked().len(), 1);
    // A newer list takes its place; an older one, of a server that is behind, does not.
    let newer = lab.list(|list| (list.number, list.this_update) = (Some(0x1235), NOW));
    server.gives("/Lab%20CA(1)+.crl", ok(&newer, ""));
    assert_eq!(lab.only(NOW + DAY).list.unwrap().number.unwrap().as_str(), "1235");
    server.gives("/Lab%20CA(1)+.crl", ok(&list, ""));
    let behind = lab.only(NOW + 2 * DAY);
    assert!(fetched(&behind), "{behind:?}");
    assert_eq!(behind.list.unwrap().number.unwrap().as_str(), "1235");
}

#[test]
fn the_last_good_list_stays_whatever_the_server_gives_later() {
    let server = Server::new();
    let lab = Lab::new(&[&server.url("/ca.crl")]);
    server.gives_list("/ca.crl", &lab.list(|_| {}));
    let good = lab.only(NOW).list.unwrap();
    let stranger = Key::p256();
    let forged = List::new(name(CA)).sign(&stranger, Hash::Sha256);
    let foreign = List::new(name("Somebody else")).sign(&stranger, Hash::Sha256);
    let pem = forge::pem("X509 CRL", &[lab.list(|_| {})]);
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n".to_vec();
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    let too_large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", (64 << 20) + 1).into_bytes();
    let hour = 3_600;
    for (i, (answer, usable, told)) in [
        (
            ok(b"<html>hello</html>", "Content-Type: text/html\r\n"),
            true,
            "it gave a page (HTML) instead of a list, of type `text/html`",
        ),
        (ok(pem.as_bytes(), ""), true, "it gave PEM (RFC 5280 section 4.2.1.13 demands DER)"),
        (ok(b"", ""), true, "the answer is empty"),
        (ok(&forged, ""), true, "its signature is not by the key of `CN=Lab CA`: it does not verify"),
        (ok(&foreign, ""), true, "it is a list of `CN=Somebody else` (expected `CN=Lab CA`)"),
        (ok(&lab.list(|list| list.base = Some(3)), ""), true, "it is a delta list (expected a base list)"),
        (
            chunked,
            true,
            "it gave something that is no list: revocation list cannot be read in its frame: the bytes end too early",
        ),
        (too_large, true, "the list has more than 67108864 bytes"),
        (b"huge".to_vec(), true, "the list has more than 67108864 bytes"),
        (ok(b"x", "Content-Encoding: gzip\r\n"), true, "the answer is encoded as `gzip`, which was not asked for"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(), false, "`SERVER` answered `404 Not Found` (expected 200)"),
        (
            b"HTTP/1.1 404.11 double escaping\r\n\r\n".to_vec(),
            false,
            "`SERVER` answered `404.11 double escaping` (expected 200)",
        ),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(), true, ""),
        (cut, false, "`SERVER` closed the connection before its answer was whole"),
        (Vec::new(), false, "`SERVER` closed the connection before its answer was whole"),
        (b"SSH-2.0-server\r\n".to_vec(), false, "`SERVER` answered `SSH-2.0` (expected HTTP/1.1)"),
        (b"HTTP/1.1 abc\r\n\r\n".to_vec(), false, "`SERVER` answered `HTTP/1.1 abc` (expected HTTP/1.1)"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n".to_vec(),
            false,
            "`SERVER` answered `a length that is no number` (expected HTTP/1.1)",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_vec(),
            false,
            "`SERVER` answered `xyz` (expected HTTP/1.1)",
        ),
        (
            [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'y'; 20_000]].concat(),
            false,
            "`SERVER` answered `a head without an end` (expected HTTP/1.1)",
        ),
        (b"slow".to_vec(), false, "`SERVER` answered `HHHHHHH` (expected HTTP/1.1)"),
    ]
    .into_iter()
    .enumerate()
    {
        server.gives("/ca.crl", answer);
        let point = lab.only(NOW + hour * (i64::try_from(i).unwrap() + 1));
        assert_eq!(point.list.as_ref(), Some(&good), "{told}");
        if told.is_empty() {
            // The copy that is kept is still the newest.
            assert!(fetched(&point), "{point:?}");
            continue;
        }
        let found = if usable { unusable(&point) } else { unreachable(&point) };
        assert_eq!(found.replace(&format!("127.0.0.1:{}", server.port), "SERVER"), told);
    }
    // It is asked again five minutes after a failure, not before, and what is told stays the same in between.
    server.asked();
    let failed = lab.only(NOW + 50 * hour);
    server.asked();
    assert_eq!(lab.only(NOW + 50 * hour + 299), failed);
    assert!(server.asked().is_empty());
    server.gives("/ca.crl", ok(&lab.list(|list| list.number = Some(9)), ""));
    let point = lab.only(NOW + 50 * hour + 300);
    assert_eq!(point.list.unwrap().number.unwrap().as_str(), "09");
}

#[test]
fn a_server_that_drips_or_is_silent_ends_with_the_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::new(&[&format!("http://{}/ca.crl", silent.local_addr().unwrap())]);
    let started = Instant::now();
    let point = lab.only(NOW);
    assert!(unreachable(&point).ends_with("did not answer within 2 s"), "{point:?}");
    assert_eq!(point.list, None);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());

    // A body that drips.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::new(&[&format!("http://{}/ca.crl", listener.local_addr().unwrap())]);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"0").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let started = Instant::now();
    assert!(unreachable(&lab.only(NOW)).ends_with("did not answer within 2 s"));
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());

    // Nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lab = Lab::new(&[&format!("http://127.0.0.1:{port}/ca.crl")]);
    assert!(unreachable(&lab.only(NOW)).contains("refused"));
}

#[test]
fn redirects_are_followed_a_few_times_and_to_plain_http_only() {
    let server = Server::new();
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let lab = Lab::new(&[&server.url("/a.crl")]);
    server.gives("/a.crl", redirect("/b+.crl"));
    server.gives("/b+.crl", redirect(&server.url("/c.crl")));
    server.gives_list("/c.crl", &lab.list(|_| {}));
    let point = lab.only(NOW);
    assert!(fetched(&point), "{point:?}");
    assert_eq!(point.url.as_str(), server.url("/a.crl"), "the point is told by its own address");
    assert_eq!(server.asked().len(), 3);
    for (i, (to, told)) in [
        (
            "https://pki.corp.example/ca.crl",
            "which is not asked: `https` needs a certificate whose own revocation would have to be checked first",
        ),
        (
            "ldap:///CN=CA",
            "which is not asked: the directory (LDAP) is read by members of the domain only, and not by this probe",
        ),
        ("/a.crl", "there are more than 3 redirects"),
        ("", "redirects to no place"),
    ]
    .into_iter()
    .enumerate()
    {
        server.gives("/a.crl", redirect(to));
        let point = lab.only(NOW + 3_600 * (i64::try_from(i).unwrap() + 1));
        assert!(unreachable(&point).ends_with(told), "{point:?}");
        assert!(point.list.is_some());
    }
}

#[test]
fn points_that_cannot_be_asked_say_so_and_each_is_told_once() {
    let server = Server::new();
    let good = server.url("/ca.crl");
    let lab = Lab::with(
        &[
            "ldap:///CN=Lab%20CA,CN=CDP,DC=corp,DC=example",
            &good,
            "https://pki.corp.example/ca.crl",
            &good,
            "http://ada:secret@pki.corp.example/ca.crl",
        ],
        |_| {},
        &[&server.url("/root.crl"), &good],
    );
    server.gives_list("/ca.crl", &lab.list(|_| {}));
    server.gives_list("/root.crl", &List::new(name(ROOT)).sign(&lab.root, Hash::Sha256));
    let lists = lab.look(NOW);
    let told: Vec<(&str, &str)> = lists
        .points
        .iter()
        .map(|point| {
            let fetch = match &point.fetch {
                CrlFetch::NotAsked { why } => why.as_str(),
                CrlFetch::Fetched => "fetched",
                other => panic!("{other:?}"),
            };
            (point.url.as_str(), fetch)
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "ldap:///CN=Lab%20CA,CN=CDP,DC=corp,DC=example",
                "the directory (LDAP) is read by members of the domain only, and not by this probe"
            ),
            (good.as_str(), "fetched"),
            (
                "https://pki.corp.example/ca.crl",
                "`https` needs a certificate whose own revocation would have to be checked first"
            ),
            ("http://***@pki.corp.example/ca.crl", "the address holds credentials"),
            (server.url("/root.crl").as_str(), "fetched"),
        ]
    );
    // With the lists of the whole chain, the leaf is good.
    assert_eq!(lab.revocation(NOW), Some(Revocation::Good));
}

#[test]
fn only_certificates_that_a_kdc_may_use_are_looked_at() {
    let server = Server::new();
    let replace = |usages: Option<&[&str]>, more: Vec<Vec<u8>>| {
        let usages = usages.map(extended_key_usage);
        move |leaf: &mut Certificate| {
            leaf.extensions.remove(0);
            leaf.extensions.extend(usages);
            leaf.extensions.extend(more);
        }
    };
    let template = extension(
        "1.3.6.1.4.1.311.20.2",
        false,
        &forge::tlv(0x1E, &"DomainController".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
    );
    for (shown, change, count) in [
        (
            "web server",
            Box::new(replace(Some(&[ExtendedKeyUsage::SERVER_AUTH]), Vec::new())) as Box<dyn FnOnce(&mut Certificate)>,
            0,
        ),
        ("smart card logon", Box::new(replace(Some(&[ExtendedKeyUsage::SMART_CARD_LOGON]), Vec::new())), 1),
        ("no usages", Box::new(replace(None, Vec::new())), 1),
        ("by template", Box::new(replace(Some(&[ExtendedKeyUsage::SERVER_AUTH]), vec![template])), 1),
        ("expired", Box::new(|leaf: &mut Certificate| leaf.not_after = NOW - DAY), 0),
    ] {
        let lab = Lab::with(&[&server.url("/ca.crl")], change, &[]);
        assert_eq!(lab.look(NOW).points.len(), count, "{shown}");
    }
}

#[test]
fn deltas_are_found_by_the_base_list_and_by_the_certificate() {
    let server = Server::new();
    let (base_url, delta_url, other_url) = (server.url("/ca.crl"), server.url("/ca+.crl"), server.url("/other+.crl"));
    let lab = Lab::with(&[&base_url], |leaf| leaf.extensions.push(points(FRESHEST, &[&other_url])), &[]);
    let root_list = List::new(name(ROOT)).sign(&lab.root, Hash::Sha256);
    std::fs::write(lab.folder.path().join("root.crl"), root_list).unwrap();
    let base = lab.list(|list| list.more.push(points(FRESHEST, &[&delta_url])));
    let delta = |entries: Vec<(u64, Option<u8>)>, number: u64| {
        lab.list(|list| (list.base, list.number, list.entries) = (Some(5), Some(number), entries))
    };
    server.gives_list("/ca.crl", &base);
    server.gives_list("/ca+.crl", &delta(vec![(7, Some(1))], 6));
    let lists = lab.look(NOW);
    let told: Vec<(&str, bool, bool)> =
        lists.points.iter().map(|point| (point.url.as_str(), point.delta, fetched(point))).collect();
    assert_eq!(
        told,
        [(base_url.as_str(), false, true), (other_url.as_str(), true, false), (delta_url.as_str(), true, true)]
    );
    assert!(server.asked().iter().any(|request| request.starts_with("GET /ca+.crl HTTP/1.1\r\n")));
    // The next round knows where the delta is without asking for the base again.
    assert_eq!(lab.look(NOW + 60).points.len(), 3);
    assert!(server.asked().is_empty());
    match lab.revocation(NOW) {
        Some(Revocation::Revoked { subject, at: when }) => {
            assert_eq!((subject.as_str(), when), ("CN=dc01", at(NOW - 2 * DAY)));
        }
        other => panic!("{other:?}"),
    }
    // A base where a delta should be is none.
    server.gives_list("/other+.crl", &base);
    assert_eq!(unusable(&lab.look(NOW + 3_600).points[1]), "it is a base list (expected a delta list)");
}

#[test]
fn revocation_follows_the_lists_that_are_kept() {
    let server = Server::new();
    let lab = Lab::new(&[&server.url("/ca.crl")]);
    assert_eq!(lab.revocation(NOW), None, "nobody has looked");
    server.gives_list("/ca.crl", &lab.list(|_| {}));
    lab.look(NOW);
    let why = |revocation: Option<Revocation>| match revocation {
        Some(Revocation::Undetermined { why }) => why.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(why(lab.revocation(NOW)), "no revocation list of `CN=Lab Root` that covers it is at hand");
    // A list among the issuers' files counts as well.
    let mut settings = lab.settings.clone();
    let root_list = lab.folder.path().join("root.crl");
    std::fs::write(&root_list, List::new(name(ROOT)).sign(&lab.root, Hash::Sha256)).unwrap();
    settings.dc_certificate.as_mut().unwrap().intermediates.push(root_list);
    let lab = Lab { settings, ..lab };
    assert_eq!(lab.revocation(NOW), Some(Revocation::Good));
    assert_eq!(
        why(lab.revocation(NOW + 2 * DAY)),
        format!("the revocation list of `CN=Lab CA` ended on {}", at(NOW + DAY))
    );
    server.gives_list("/ca.crl", &lab.list(|list| list.entries = vec![(7, None)]));
    server.gives("/ca.crl", ok(&lab.list(|list| (list.entries, list.this_update) = (vec![(7, None)], NOW)), ""));
    lab.look(NOW + 3_600);
    assert!(matches!(lab.revocation(NOW + 3_600), Some(Revocation::Revoked { .. })));
}

#[test]
fn a_proxy_is_asked_with_the_whole_address() {
    let proxy = Server::new();
    let url = "http://pki.corp.example/CA+.crl";
    let mut lab = Lab::new(&[url]);
    let setting = format!("http://ada:secret@127.0.0.1:{}", proxy.port);
    lab.settings.revocation.as_mut().unwrap().proxy = ProxySetting::At(setting);
    proxy.gives_list(url, &lab.list(|_| {}));
    assert!(fetched(&lab.only(NOW)));
    let asked = proxy.asked();
    assert!(asked[0].starts_with(&format!("GET {url} HTTP/1.1\r\nHost: pki.corp.example\r\n")), "{asked:?}");
    assert!(asked[0].contains("Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\n"), "{asked:?}");
    // What a proxy refuses is told with its name and without its password.
    for (i, (answer, told)) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
            "proxy `http://PROXY` asks for credentials: answered `407 Proxy Authentication Required`",
        ),
        (b"HTTP/1.1 503 No\r\n\r\n", "`pki.corp.example through proxy http://PROXY` answered `503 No` (expected 200)"),
    ]
    .into_iter()
    .enumerate()
    {
        proxy.gives(url, answer.to_vec());
        let point = lab.only(NOW + 3_600 * (i64::try_from(i).unwrap() + 1));
        assert_eq!(unreachable(&point).replace(&format!("127.0.0.1:{}", proxy.port), "PROXY"), told);
        assert!(!format!("{point:?} {:?}", lab.settings).contains("secret"));
    }
}

#[test]
fn without_certificates_there_is_nothing_to_fetch() {
    let lab = Lab::new(&[]);
    assert_eq!(lab.look(NOW), RevocationLists::default());
    let mut settings = lab.settings.clone();
    settings.dc_certificate.as_mut().unwrap().origin = CertificateOrigin::Files(vec![lab.folder.path().join("none")]);
    let seen = RevocationListSource.observe(&settings, at(NOW));
    match &seen[0].outcome {
        Outcome::Failed(failure) => {
            assert_eq!(failure.reason, FailureReason::Unavailable);
            assert!(failure.detail.as_str().starts_with("no certificates to fetch lists for: "), "{failure:?}");
        }
        other => panic!("{other:?}"),
    }
    settings.revocation = None;
    assert!(!RevocationListSource.is_wanted(&settings));
}

#[test]
fn many_points_are_bounded_and_those_left_out_counted() {
    let server = Server::new();
    let urls: Vec<String> = (0..20).map(|i| server.url(&format!("/{i}.crl"))).collect();
    let lab = Lab::new(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    let lists = lab.look(NOW);
    assert_eq!((lists.points.len(), lists.left_out), (16, 4));
    assert!(lists.points.iter().all(|point| unreachable(point).contains("404 Not Found")));
    assert_eq!(lists.points[3].url.as_str(), urls[3], "in their order");
}
