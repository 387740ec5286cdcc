//! Handshakes between the two ends, with CAs made here: who gets through, who does not, and what each side is told.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_evidence::Timestamp;
use muster_proto::link::{
    Chain, Clients, Credentials, InvalidCredentials, Oid, OperatorIdentity, PeerIdentity, PeerPolicy, RefusedPeer,
    SpkiPin, Timeouts, accept, client_config, connect, load_certificates, refusal_reason, server_config,
};
use muster_proto::v1;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, OtherNameValue, SanType,
};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const TEMPLATE: &str = "1.3.6.1.4.1.311.21.8.1.2.3";
const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
const PROBE_EKU: [u64; 9] = [1, 3, 6, 1, 4, 1, 55555, 1, 1];

/// A CA that can issue.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Ca {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }

    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::params(name);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// A CA below this one.
    fn sub(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::params(name);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }

    fn pin(&self) -> SpkiPin {
        SpkiPin::of_certificate(&self.der).unwrap()
    }

    fn issue(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn credentials(&self, params: &CertificateParams) -> Credentials {
        let (chain, key) = self.issue(params);
        Credentials::from_pem(&chain, &key, Path::new("test")).unwrap()
    }

    fn policy(&self) -> PeerPolicy {
        policy(&[&self.der], self.pin())
    }
}

fn probe_eku() -> Oid {
    "1.3.6.1.4.1.55555.1.1".parse().unwrap()
}

fn policy(anchors: &[&CertificateDer<'static>], pin: SpkiPin) -> PeerPolicy {
    let anchors: Vec<_> = anchors.iter().map(|anchor| (*anchor).clone()).collect();
    PeerPolicy::new(&anchors, vec![pin], Some(probe_eku()), None).unwrap()
}

/// A probe's certificate as it should be.
fn probe_params() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["WS01.corp.example".to_owned()]).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::Other(PROBE_EKU.to_vec())];
    params
}

fn server_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = probe_params();
    change(&mut params);
    params
}

fn days_from_now(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + time::Duration::days(days)
}

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(OffsetDateTime::now_utc().unix_timestamp()).unwrap()
}

/// The extension szOID_CERTIFICATE_TEMPLATE: the identifier and a version.
fn template_extension() -> CustomExtension {
    // SEQUENCE { OBJECT IDENTIFIER 1.3.6.1.4.1.311.21.8.1.2.3, INTEGER 100 }
    let oid = [0x06, 0x0C, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x15, 0x08, 0x01, 0x02, 0x03];
    let mut content = vec![0x30, 0x11];
    content.extend_from_slice(&oid);
    content.extend_from_slice(&[0x02, 0x01, 0x64]);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 311, 21, 7], content)
}

/// Probes that do not get through, each with the reason that is counted.
fn refused_probes() -> Vec<(&'static str, CertificateParams)> {
    let upn = OtherNameValue::Utf8String("alice@corp.example".to_owned());
    vec![
        ("expired", with(|p| p.not_after = days_from_now(-1))),
        ("not-yet-valid", with(|p| p.not_before = days_from_now(1))),
        ("missing-eku", with(|p| p.extended_key_usages.truncate(1))),
        ("missing-eku", with(|p| p.extended_key_usages.clear())),
        ("missing-eku", with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any])),
        ("missing-eku", with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
        ("upn-san", with(|p| p.subject_alt_names.push(SanType::OtherName((UPN.to_vec(), upn))))),
        (
            "several-names",
            with(|p| p.subject_alt_names.push(SanType::DnsName("ws02.corp.example".try_into().unwrap()))),
        ),
        ("wildcard", with(|p| p.subject_alt_names = vec![SanType::DnsName("*.corp.example".try_into().unwrap())])),
        ("no-name", with(|p| p.subject_alt_names.clear())),
        ("bad-name", with(|p| p.subject_alt_names = vec![SanType::DnsName("ws 01".try_into().unwrap())])),
    ]
}

/// What came of a handshake: the server's side with the client's chain, and what the client was told.
struct Handshake {
    server: Result<Vec<CertificateDer<'static>>, rustls::Error>,
    client: Result<(), String>,
    resumed: bool,
}

async fn handshake(server: Arc<rustls::ServerConfig>, client: Arc<ClientConfig>) -> Handshake {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(server).accept(near).await.map_err(|error| {
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned().unwrap()
        })?;
        stream.write_all(b"!").await.unwrap();
        let _ = stream.shutdown().await;
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        let resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Ok((connection.peer_certificates().unwrap_or_default().to_vec(), resumed))
    };
    let ask = async {
        let name = ServerName::try_from("collector.corp.example").unwrap();
        let mut stream =
            TlsConnector::from(client).connect(name, far).await.map_err(|error| Chain(&error).to_string())?;
        // Under TLS 1.3 the server judges the client's certificate after this side is done.
        stream.read_u8().await.map(|_| ()).map_err(|error| Chain(&error).to_string())
    };
    let (server, client) = tokio::join!(serve, ask);
    let resumed = server.as_ref().is_ok_and(|(_, resumed)| *resumed);
    Handshake { server: server.map(|(chain, _)| chain), client, resumed }
}

fn listener(ca: &Ca, clients: Clients) -> Arc<rustls::ServerConfig> {
    server_config(&ca.credentials(&server_params("collector.corp.example")), clients).unwrap()
}

fn probe(ca: &Ca, params: &CertificateParams, trusts: &Ca) -> Arc<ClientConfig> {
    client_config(Some(&ca.credentials(params)), std::slice::from_ref(&trusts.der)).unwrap()
}

#[tokio::test]
async fn a_good_probe_gets_through_and_is_named() {
    let ca = Ca::new("Muster CA");
    let policy = Arc::new(ca.policy());
    let server = listener(&ca, Clients::Probes(Arc::clone(&policy)));
    let done = handshake(server, probe(&ca, &probe_params(), &ca)).await;
    done.client.unwrap();
    let chain = done.server.unwrap();
    let identity = PeerIdentity::from_chain(&chain, &policy, now()).unwrap();
    assert_eq!(identity.name().as_str(), "ws01.corp.example");
    assert_eq!(identity.issuer(), ca.pin());
    assert!(identity.ekus().contains(&probe_eku()) && identity.ekus().contains(&Oid::client_auth()));
    assert_eq!(identity.template(), None);
    assert!(identity.not_before() < now() && now() < identity.not_after());
    assert_ne!(identity.thumbprint().0, [0; 32]);
}

#[tokio::test]
async fn bad_probes_do_not_get_through_and_are_told_why() {
    let ca = Ca::new("Muster CA");
    let server = listener(&ca, Clients::Probes(Arc::new(ca.policy())));
    for (reason, params) in refused_probes() {
        let done = handshake(Arc::clone(&server), probe(&ca, &params, &ca)).await;
        let error = done.server.unwrap_err();
        assert_eq!(refusal_reason(&error), reason, "{error}");
        let told = done.client.unwrap_err();
        let expected = match reason {
            "expired" | "not-yet-valid" => "CertificateExpired",
            _ => "CertificateUnknown",
        };
        assert!(told.contains(expected), "{reason}: {told}");
    }

    let foreign = Ca::new("Somebody's CA");
    let done = handshake(Arc::clone(&server), probe(&foreign, &probe_params(), &ca)).await;
    let error = done.server.unwrap_err();
    assert_eq!(refusal_reason(&error), "foreign-issuer");
    assert_eq!(
        RefusedPeer::of(&error).unwrap().to_string(),
        "peer certificate is issued by `CN=Somebody's CA`, which is none of the pinned issuers"
    );

    let nobody = client_config(None, std::slice::from_ref(&ca.der)).unwrap();
    let done = handshake(server, nobody).await;
    assert_eq!(refusal_reason(&done.server.unwrap_err()), "no-certificate");
    assert!(done.client.unwrap_err().contains("CertificateRequired"));
}

#[test]
fn each_refusal_is_of_its_own_kind() {
    let ca = Ca::new("Muster CA");
    let policy = ca.policy();
    for (reason, params) in refused_probes() {
        let refused = PeerIdentity::from_chain(ca.credentials(&params).chain(), &policy, now()).unwrap_err();
        assert_eq!(refused.reason(), reason, "{refused}");
    }
    let text = |params: &CertificateParams| {
        let refused = PeerIdentity::from_chain(ca.credentials(params).chain(), &policy, now()).unwrap_err();
        Chain(&refused).to_string()
    };
    let cases = refused_probes();
    let of = |reason: &str| text(&cases.iter().find(|(word, _)| *word == reason).unwrap().1);
    assert_eq!(of("upn-san"), "peer certificate names the user `alice@corp.example`, so it is no machine's");
    assert_eq!(of("several-names"), "peer certificate has 2 DNS names (expected exactly one)");
    assert_eq!(of("wildcard"), "peer certificate has the wildcard name `*.corp.example`");
    assert_eq!(of("no-name"), "peer certificate has no DNS name");
    assert_eq!(of("missing-eku"), "peer certificate lacks the extended key usage 1.3.6.1.4.1.55555.1.1");

    assert!(matches!(PeerIdentity::from_chain(&[], &policy, now()), Err(RefusedPeer::NoCertificate)));
    for junk in [vec![], vec![0x30, 0x03, 0x02, 0x01], b"not a certificate".to_vec()] {
        let refused = PeerIdentity::from_chain(&[CertificateDer::from(junk)], &policy, now()).unwrap_err();
        assert_eq!(refused.reason(), "unreadable");
    }
    let mut long = ca.credentials(&probe_params()).chain().to_vec();
    long.resize(11, ca.der.clone());
    assert_eq!(PeerIdentity::from_chain(&long, &policy, now()).unwrap_err().reason(), "unreadable");
}

#[test]
fn the_proof_ends_with_the_certificate() {
    let ca = Ca::new("Muster CA");
    let policy = ca.policy();
    let own = ca.credentials(&probe_params());
    let identity = PeerIdentity::from_chain(own.chain(), &policy, now()).unwrap();
    let at = |at| PeerIdentity::from_chain(own.chain(), &policy, at).map(|_| ()).map_err(|refused| refused.reason());
    assert_eq!(at(identity.not_after()), Ok(()));
    assert_eq!(at(identity.not_after().plus_ms(1000)), Err("expired"));
    assert_eq!(at(identity.not_before()), Ok(()));
    assert_eq!(at(identity.not_before().plus_ms(-1)), Err("not-yet-valid"));
}

#[test]
fn damaged_certificates_are_refused_and_never_panic() {
    let ca = Ca::new("Muster CA");
    let policy = ca.policy();
    let good = ca.credentials(&probe_params()).chain()[0].to_vec();
    for place in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bytes = good.clone();
            bytes[place] ^= bit;
            let refused = PeerIdentity::from_chain(&[CertificateDer::from(bytes)], &policy, now());
            assert!(refused.is_err(), "byte {place} of {} does not matter", good.len());
        }
        let cut = CertificateDer::from(good[..place].to_vec());
        assert!(PeerIdentity::from_chain(&[cut], &policy, now()).is_err());
    }
}

#[test]
fn the_issuing_ca_counts_not_the_root() {
    let root = Ca::new("Corp Root CA");
    let machines = root.sub("Corp Machine CA");
    let users = root.sub("Corp User CA");
    let below = machines.sub("Somebody below");
    let policy = policy(&[&root.der], machines.pin());
    let reason = |issuer: &Ca, shown: &[&Ca]| {
        let mut chain = issuer.credentials(&probe_params()).chain().to_vec();
        chain.extend(shown.iter().map(|ca| ca.der.clone()));
        PeerIdentity::from_chain(&chain, &policy, now()).map(|peer| peer.issuer()).map_err(|refused| refused.reason())
    };
    assert_eq!(reason(&machines, &[&machines]), Ok(machines.pin()));
    // The pinned CA's own certificate is needed to verify with, from the peer or among the anchors.
    assert_eq!(reason(&machines, &[]), Err("foreign-issuer"));
    assert_eq!(reason(&users, &[&users]), Err("foreign-issuer"));
    assert_eq!(reason(&root, &[&machines]), Err("foreign-issuer"));
    assert_eq!(reason(&below, &[&below, &machines]), Err("foreign-issuer"));

    // A CA with the pinned key that leads to no anchor.
    let stranger = Ca::new("Corp Machine CA");
    let lost = policy_with_pin(&root, &stranger);
    let mut chain = stranger.credentials(&probe_params()).chain().to_vec();
    chain.push(stranger.der.clone());
    assert_eq!(PeerIdentity::from_chain(&chain, &lost, now()).unwrap_err().reason(), "foreign-issuer");
}

fn policy_with_pin(anchor: &Ca, pinned: &Ca) -> PeerPolicy {
    policy(&[&anchor.der], pinned.pin())
}

#[test]
fn a_template_can_be_required() {
    let ca = Ca::new("Muster CA");
    let require = |template: &str| {
        PeerPolicy::new(std::slice::from_ref(&ca.der), vec![ca.pin()], None, Some(template.parse().unwrap())).unwrap()
    };
    let from_template = ca.credentials(&with(|p| p.custom_extensions.push(template_extension())));
    let identity = PeerIdentity::from_chain(from_template.chain(), &require(TEMPLATE), now()).unwrap();
    assert_eq!(identity.template().map(Oid::as_str), Some(TEMPLATE));

    let refused = |own: &Credentials, template| {
        PeerIdentity::from_chain(own.chain(), &require(template), now()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&from_template, "1.3.6.1.4.1.311.21.8.9"),
        "peer certificate is of the template 1.3.6.1.4.1.311.21.8.1.2.3 (expected 1.3.6.1.4.1.311.21.8.9)"
    );
    assert_eq!(
        refused(&ca.credentials(&probe_params()), TEMPLATE),
        format!("peer certificate is of the template none (expected {TEMPLATE})")
    );
    let broken = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 311, 21, 7], vec![0x04, 0x01, 0x00]);
    assert!(
        refused(&ca.credentials(&with(|p| p.custom_extensions.push(broken))), TEMPLATE)
            .starts_with("peer certificate cannot be read: certificate template")
    );
}

#[tokio::test]
async fn a_probe_reaches_an_operators_listener_and_is_no_operator() {
    let ca = Ca::new("Muster CA");
    let operators = Arc::new(
        PeerPolicy::new(
            std::slice::from_ref(&ca.der),
            vec![ca.pin()],
            Some("1.3.6.1.4.1.55555.1.2".parse().unwrap()),
            None,
        )
        .unwrap(),
    );
    let server = listener(&ca, Clients::AnyOfAnchors(Arc::clone(&operators)));
    let done = handshake(Arc::clone(&server), probe(&ca, &probe_params(), &ca)).await;
    done.client.unwrap();
    let refused = OperatorIdentity::from_chain(&done.server.unwrap(), &operators, now()).unwrap_err();
    assert_eq!(refused.reason(), "missing-eku");

    let foreign = Ca::new("Somebody's CA");
    let done = handshake(server, probe(&foreign, &probe_params(), &ca)).await;
    assert_eq!(refusal_reason(&done.server.unwrap_err()), "foreign-issuer");

    let operator = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 55555, 1, 2]),
        ];
        change(&mut params);
        OperatorIdentity::from_chain(ca.credentials(&params).chain(), &operators, now())
    };
    let upn = || SanType::OtherName((UPN.to_vec(), OtherNameValue::Utf8String("bob@corp.example".to_owned())));
    let named = operator(&|p| p.distinguished_name.push(DnType::CommonName, "alice")).unwrap();
    assert_eq!(named.name().as_str(), "alice");
    let both = operator(&|p| {
        p.distinguished_name.push(DnType::CommonName, "alice");
        p.subject_alt_names.push(upn());
    });
    assert_eq!(both.unwrap().name().as_str(), "bob@corp.example");
    assert_eq!(operator(&|_| {}).unwrap_err().reason(), "no-name");
    let twice = operator(&|p| p.subject_alt_names.extend([upn(), upn()]));
    assert_eq!(twice.unwrap_err().reason(), "no-name");
}

#[tokio::test]
async fn sessions_are_resumed_without_a_cache_and_still_prove_the_peer() {
    let ca = Ca::new("Muster CA");
    let policy = Arc::new(ca.policy());
    let server = listener(&ca, Clients::Probes(Arc::clone(&policy)));
    let client = probe(&ca, &probe_params(), &ca);
    let first = handshake(Arc::clone(&server), Arc::clone(&client)).await;
    first.client.unwrap();
    assert!(!first.resumed);
    let second = handshake(server, Arc::clone(&client)).await;
    second.client.unwrap();
    assert!(second.resumed);
    // The chain of the first handshake is there to be proved again.
    assert!(PeerIdentity::from_chain(&second.server.unwrap(), &policy, now()).is_ok());
    // Fresh settings have fresh ticket keys.
    let reloaded = handshake(listener(&ca, Clients::Probes(policy)), client).await;
    reloaded.client.unwrap();
    assert!(!reloaded.resumed);
}

#[tokio::test]
async fn a_collector_that_is_none_is_refused_with_its_issuer() {
    let ca = Ca::new("Muster CA");
    let proxy = Ca::new("Intercepting Proxy");
    let refused = |server: Credentials| {
        let server = server_config(&server, Clients::Probes(Arc::new(ca.policy()))).unwrap();
        let client = probe(&ca, &probe_params(), &ca);
        async move { handshake(server, client).await.client.unwrap_err() }
    };
    let foreign = refused(proxy.credentials(&server_params("collector.corp.example"))).await;
    assert!(foreign.contains("ForeignIssuer") && foreign.contains("CN=Intercepting Proxy"), "{foreign}");
    let name = refused(ca.credentials(&server_params("other.corp.example"))).await;
    assert!(name.contains("other.corp.example") && name.contains("collector.corp.example"), "{name}");
    let mut old = server_params("collector.corp.example");
    old.not_after = days_from_now(-1);
    let expired = refused(ca.credentials(&old)).await;
    assert!(expired.contains("expired"), "{expired}");
}

/// Accepts one connection, and tells how its handshake failed.
async fn accept_once(
    listener: tokio::net::TcpListener,
    server: Arc<rustls::ServerConfig>,
) -> Option<(&'static str, String)> {
    let (stream, _) = listener.accept().await.unwrap();
    let failed = accept(server, stream).await.err()?;
    Some((failed.reason, Chain(&failed).to_string()))
}

#[tokio::test]
async fn the_connector_says_what_went_wrong() {
    let ca = Ca::new("Muster CA");
    let server =
        server_config(&ca.credentials(&server_params("localhost")), Clients::Probes(Arc::new(ca.policy()))).unwrap();
    let short = Timeouts { connect: Duration::from_secs(5), request: Duration::from_secs(5) };

    // Nobody listens: a port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = probe(&ca, &probe_params(), &ca);
    let url = format!("https://127.0.0.1:{port}").parse().unwrap();
    let error = connect(&url, Some(client), short).await.unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.starts_with(&format!("failed to connect to `https://127.0.0.1:{port}`")), "{text}");
    assert!(text.contains(&format!("failed to reach `127.0.0.1`: 127.0.0.1:{port} (Connection refused")), "{text}");
    let error = connect(&url, None, short).await.unwrap_err();
    assert!(error.to_string().contains("needs the CA certificate"), "{error}");

    // A certificate that the collector refuses: told with the first call.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let served = tokio::spawn(accept_once(listener, Arc::clone(&server)));
    let expired = probe(&ca, &with(|p| p.not_after = days_from_now(-1)), &ca);
    let text = match connect(&url, Some(expired), short).await {
        Err(error) => Chain(&error).to_string(),
        Ok(channel) => {
            let mut calls = v1::report_service_client::ReportServiceClient::new(channel);
            let status = calls.report(v1::ReportRequest::default()).await.unwrap_err();
            Chain(&status).to_string()
        }
    };
    assert!(text.contains("refused this machine's certificate: it has expired or is not valid yet"), "{text}");
    assert_eq!(served.await.unwrap().unwrap().0, "expired");

    // One that has no word in TLS: the collector's log has the reason.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let served = tokio::spawn(accept_once(listener, Arc::clone(&server)));
    let nameless = probe(&ca, &with(|p| p.subject_alt_names.clear()), &ca);
    let text = match connect(&url, Some(nameless), short).await {
        Err(error) => Chain(&error).to_string(),
        Ok(channel) => {
            let mut calls = v1::report_service_client::ReportServiceClient::new(channel);
            Chain(&calls.report(v1::ReportRequest::default()).await.unwrap_err()).to_string()
        }
    };
    assert!(text.contains("the collector's log has the reason"), "{text}");
    let logged = ("no-name", "handshake failed: peer certificate has no DNS name".to_owned());
    assert_eq!(served.await.unwrap(), Some(logged));

    // A collector of a foreign CA.
    let proxy = Ca::new("Intercepting Proxy");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let served = tokio::spawn(accept_once(listener, server));
    let client = client_config(Some(&ca.credentials(&probe_params())), std::slice::from_ref(&proxy.der)).unwrap();
    let text = Chain(&connect(&url, Some(client), short).await.unwrap_err()).to_string();
    let expected = "certificate of `localhost` is issued by `CN=Muster CA`, which is none of the configured \
                    authorities: found a certificate of `CN=rcgen self signed cert`, expected one issued by \
                    `CN=Intercepting Proxy` (is a proxy intercepting the connection?)";
    assert!(text.contains("TLS handshake with ") && text.ends_with(expected), "{text}");
    assert_eq!(served.await.unwrap().unwrap().0, "handshake");

    // A host that accepts and never speaks.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let quick = Timeouts { connect: Duration::from_millis(200), ..short };
    let client = probe(&ca, &probe_params(), &ca);
    let text = Chain(&connect(&url, Some(client), quick).await.unwrap_err()).to_string();
    assert!(text.contains("no answer within 200 ms"), "{text}");
}

#[test]
fn files_are_read_with_care() {
    let ca = Ca::new("Muster CA");
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = ca.issue(&probe_params());
    let (_, other_key) = ca.issue(&probe_params());
    let put = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        set_mode(&path, mode);
        path
    };
    let chain_file = put("chain.pem", &chain, 0o644);
    let key_file = put("key.pem", &key, 0o600);
    let credentials = Credentials::load(&chain_file, &key_file).unwrap();
    assert_eq!(credentials.chain().len(), 1);
    assert_eq!(format!("{credentials:?}"), "Credentials { certificates: 1, .. }");
    assert!(Credentials::load(&chain_file, &put("group.pem", &key, 0o640)).is_ok());

    let text = |chain: &Path, key: &Path| Chain(&Credentials::load(chain, key).unwrap_err()).to_string();
    let name = |path: &Path| path.display().to_string();
    let missing = folder.path().join("missing.pem");
    assert!(text(&missing, &key_file).starts_with(&format!("failed to read `{}`: No such file", name(&missing))));
    assert_eq!(
        text(&key_file, &key_file),
        format!("`{}` holds a private key (expected at least one section `CERTIFICATE`)", name(&key_file))
    );
    assert_eq!(
        text(&chain_file, &put("swapped.pem", &chain, 0o600)).split(" holds ").nth(1).unwrap(),
        "a certificate (expected exactly one section `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`, not \
         encrypted)"
    );
    assert!(
        text(&chain_file, &put("two.pem", &format!("{key}{other_key}"), 0o600))
            .contains("a private key, a private key")
    );
    assert!(
        text(&chain_file, &put("other.pem", &other_key, 0o600)).contains("does not belong to the first certificate")
    );
    assert!(text(&put("empty.pem", "", 0o644), &key_file).contains("no PEM section that is known"));
    let truncated = put("truncated.pem", &chain[..chain.len() / 2], 0o644);
    assert!(text(&truncated, &key_file).contains("is not valid PEM"));
    let junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(text(&chain_file, &put("junk.pem", junk, 0o600)).contains("is not supported"));
    let huge = put("huge.pem", &"x".repeat(1024 * 1024 + 1), 0o644);
    assert!(matches!(load_certificates(&huge), Err(InvalidCredentials::TooLarge { .. })));
    #[cfg(unix)]
    for mode in [0o644, 0o604, 0o660, 0o602] {
        let open = put(&format!("open-{mode:o}.pem"), &key, mode);
        assert_eq!(
            text(&chain_file, &open),
            format!("private key `{}` has mode {mode:04o}, which lets others in (expected 0600 or 0640)", name(&open))
        );
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}
