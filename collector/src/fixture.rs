//! A core over the store in memory, with a clock that is turned by hand, probes with certificates of their own, and
//! machines whose evidence is as it should be until a test changes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_evidence::{
    CanReset, Certificate, CertificateListing, CertificateStore, ChainStatus, Context, CrlFetch, DcLocator, DeviceAuth,
    DistributionPoint, DomainController, EkCertificates, EventLog, EventLogState, EventSummary, Evidence,
    ExtendedKeyUsage, FirmwareType, HelloPolicy, HostIdentity, InstallId, JoinState, KdcCounter, KdcLoad, KdcPolicy,
    KdcService, KeyAlgorithm, KeyRegistration, KeySignTest, Kind, ListedCertificate, LocatorAnswer, Ngc, Observation,
    ObservationKey, OperatingSystem, Origin, OsFamily, Outcome, PinProvider, PrivateKey, ProductType, Prt, Replication,
    Report, Revocation, RevocationList, RevocationLists, Role, ServiceState, Sha256, Sid, SignatureHash, Subject,
    SubjectAltName, Text, Thumbprint, Timestamp, Tpm, TpmLockout, TpmReadiness, TpmVersion, Tristate, TrustStore,
    UserSession,
};
use muster_proto::convert::report_to_wire;
use muster_proto::link::{PeerIdentity, PeerPolicy, SpkiPin};
use muster_proto::v1;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;

use crate::clock::{Clock, ManualClock};
use crate::core::Core;
use crate::settings::{Grantee, Settings};
use crate::sites::Sites;
use crate::snapshot::SiteSnapshot;
use crate::store::{MemoryStore, Store};
use crate::submit::Refused;

/// The CA of the fixtures' certificates.
const CA: Thumbprint = Thumbprint([0xca; 20]);
/// Where its list is.
const CRL: &str = "http://pki.corp.example/corp-ca.crl";

pub(crate) const INVENTORY: &str = r#"
    [[forest]]
    name = "corp.example"
    [[forest.site]]
    name = "Harbour"
    dcs = ["dc01.corp.example"]
    endpoints = 2
    [[forest.site]]
    name = "Depot"
    covered-by = "Harbour"
    endpoints = 1
"#;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::exact(text).unwrap()
}

pub(crate) fn sid(rid: u32) -> Sid {
    format!("S-1-5-21-1-2-3-{rid}").parse().unwrap()
}

/// A core under test.
pub(crate) struct Lab {
    pub(crate) core: Core,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    ca: Authority,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    policy: PeerPolicy,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate: CertificateDer<'static> = params.self_signed(&key).unwrap().der().clone();
        let pin = SpkiPin::of_certificate(&certificate).unwrap();
        let eku = Some(ExtendedKeyUsage::CLIENT_AUTH.parse().unwrap());
        let policy = PeerPolicy::new(std::slice::from_ref(&certificate), vec![pin], eku, None).unwrap();
        Self { issuer: Issuer::new(params, key), policy }
    }

    fn peer(&self, name: &str, now: Timestamp) -> PeerIdentity {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        self.prove(params, now)
    }

    fn prove(&self, mut params: CertificateParams, now: Timestamp) -> PeerIdentity {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        PeerIdentity::from_chain(&[certificate.der().clone()], &self.policy, now).unwrap()
    }
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings { sites: Sites::parse(INVENTORY).unwrap(), ..Settings::default() };
    settings.default_forest = Some("corp.example".parse().unwrap());
    settings.bounds.snapshot_interval = Duration::ZERO;
    let mut grant = |role, pattern: &str| settings.grants.grant(role, Grantee::Host(pattern.parse().unwrap()));
    grant(Role::DomainController, "dc*.corp.example");
    grant(Role::DomainController, "relay.corp.example");
    grant(Role::Relay, "relay.corp.example");
    grant(Role::Directory, "reader.corp.example");
    settings
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::at(at("2026-03-02T12:00:00Z")));
        let core = Core::start(Arc::clone(&store), clock.clone(), settings(), None, &|_| ()).await.unwrap();
        Self { core, store, clock, ca: Authority::new() }
    }

    /// Another core on the same store, as after a restart or beside the first.
    pub(crate) async fn again(&self) -> Core {
        Core::start(Arc::clone(&self.store), self.clock.clone(), settings(), None, &|_| ()).await.unwrap()
    }

    /// Another core on the same store, which took the place of a damaged one.
    pub(crate) async fn rebuilding(&self) -> Core {
        let settings = Settings { rebuilding: true, ..settings() };
        Core::start(Arc::clone(&self.store), self.clock.clone(), settings, None, &|_| ()).await.unwrap()
    }

    pub(crate) fn peer(&self, name: &str) -> PeerIdentity {
        self.ca.peer(name, self.clock.now())
    }

    /// A machine reports about itself.
    /// The same with a certificate that is valid so long, in days from now.
    pub(crate) fn peer_for_days(&self, name: &str, from: i64, until: i64) -> PeerIdentity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = time::OffsetDateTime::from_unix_timestamp(self.clock.now().unix_ms() / 1_000).unwrap();
        params.not_before = now + time::Duration::days(from);
        params.not_after = now + time::Duration::days(until);
        self.ca.prove(params, self.clock.now())
    }

    pub(crate) async fn report(&self, machine: &mut Machine) -> Result<v1::ReportResponse, Refused> {
        let peer = self.peer(machine.name());
        let report = machine.report(self.clock.now());
        self.core.submit(&peer, report).await
    }

    /// A machine reports and everything of it is taken.
    pub(crate) async fn take(&self, machine: &mut Machine) -> v1::Acknowledgement {
        let answer = self.report(machine).await.unwrap();
        assert_eq!(answer.refusals, [], "{}", machine.name());
        assert_eq!(answer.need, [], "{}", machine.name());
        answer.acknowledgement()
    }

    pub(crate) async fn site(&self, name: &str) -> Arc<SiteSnapshot> {
        let snapshot = self.core.publish_now().await.unwrap();
        let key = ("corp.example".parse().unwrap(), name.parse().unwrap());
        Arc::clone(snapshot.site(&key).unwrap_or_else(|| panic!("no site {name}")))
    }

    /// The standing of a check on a machine, as stored, in words.
    pub(crate) async fn stored(&self, machine: &str, check: &str) -> Option<String> {
        let stored = self.record(machine).await?;
        let mut verdicts = stored.verdicts.verdicts.iter().filter_map(|stored| stored.verdict.as_ref());
        let verdict = verdicts.find(|verdict| verdict.check == check)?;
        Some(crate::verdict::standing_from_wire(verdict.standing)?.to_string())
    }

    pub(crate) async fn record(&self, machine: &str) -> Option<crate::store::StoredHost> {
        let number = self.core.read(|table| table.named(&machine.parse().unwrap()).next().map(|row| row.number))?;
        self.store.load(number).await.unwrap()
    }

    /// Every transition of a machine as `subject check: from > to`, oldest first.
    pub(crate) async fn transitions(&self, machine: &str) -> Vec<String> {
        let page = self.store.transitions(0, 10_000).await.unwrap();
        let own = page.items.iter().filter(|transition| transition.host == machine);
        own.map(|own| format!("{} {}: {} > {}", own.subject, own.check, own.from, own.to)).collect()
    }
}

/// A machine with a probe.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) host: HostIdentity,
    pub(crate) install_id: InstallId,
    pub(crate) incarnation: u64,
    pub(crate) sequence: u64,
    pub(crate) roles: Vec<Role>,
    pub(crate) observations: BTreeMap<ObservationKey, Observation>,
    /// Whether reports leave bodies out.
    pub(crate) bare: bool,
    /// The time of observations; `None`: that of the report.
    pub(crate) observed_at: Option<Timestamp>,
}

impl Machine {
    pub(crate) fn new(name: &str, site: Option<&str>, role: Role) -> Self {
        Self {
            host: HostIdentity {
                name: name.parse().unwrap(),
                forest: None,
                site: site.map(|site| site.parse().unwrap()),
                object_guid: None,
                device_id: None,
                ek_sha256: None,
            },
            install_id: InstallId([7; 16]),
            incarnation: 1,
            sequence: 0,
            roles: vec![role],
            observations: BTreeMap::new(),
            bare: false,
            observed_at: None,
        }
    }

    /// An endpoint on which everything is as it should be, with one provisioned user.
    pub(crate) fn endpoint(name: &str, site: &str, user: u32) -> Self {
        let mut machine = Self::new(name, Some(site), Role::Endpoint);
        machine.put(Evidence::OperatingSystem(client()));
        machine.put(Evidence::Tpm(tpm(TpmVersion::V2_0)));
        machine.put(Evidence::JoinState(joined(Tristate::Yes)));
        machine.put_user(user, Evidence::Prt(prt(Tristate::Yes)));
        machine.put_user(user, Evidence::Ngc(ngc()));
        machine.is_set_up_for_hello(user);
        machine
    }

    /// Says everything else about an endpoint and its user.
    fn is_set_up_for_hello(&mut self, user: u32) {
        self.put(Evidence::Clock(muster_evidence::Clock { ahead_seconds: 0 }));
        self.put(Evidence::ComputerPolicy(Box::new(HelloPolicy { enabled: Some(1), ..HelloPolicy::default() })));
        for key in [
            ObservationKey::host(Kind::DeviceMdmPolicy),
            ObservationKey::host(Kind::RegistrationDiagnostics),
            ObservationKey::user(Kind::UserPolicy, sid(user)),
            ObservationKey::user(Kind::UserMdmPolicy, sid(user)),
        ] {
            self.outcome(key, Outcome::Absent, Context::Service);
        }
        let dc = LocatorAnswer::Found { name: text("dc01.corp.example"), site: Some(text("Harbour")), flags: 0x1_0020 };
        self.put(Evidence::DcLocator(DcLocator {
            domain: text("corp.example"),
            any: dc.clone(),
            capable: dc,
            forced: Tristate::Yes,
            client_site: None,
        }));
        self.put(Evidence::RootStore(TrustStore { thumbprints: vec![CA], left_out: 0 }));
        self.put(Evidence::NtAuthStore(TrustStore { thumbprints: vec![CA], left_out: 0 }));
        let log = |channel: &str| EventLog { channel: text(channel), state: EventLogState::Read, oldest: None };
        let logs = vec![log("Microsoft-Windows-User Device Registration/Admin"), log("System")];
        self.put(Evidence::DeviceEvents(EventSummary { logs, events: Vec::new() }));
        let session = UserSession { remote: Tristate::No, signed_in_at: None, unlocked_at: None };
        self.put_user(user, Evidence::UserSession(session));
        let pin = PinProvider { logon_credentials_available: Some(1), convenience_pin: Some(false) };
        self.put_user(user, Evidence::PinProvider(pin));
    }

    /// A domain controller on which everything is as it should be.
    pub(crate) fn dc(name: &str, site: &str) -> Self {
        let mut machine = Self::new(name, Some(site), Role::DomainController);
        machine.put(Evidence::OperatingSystem(OperatingSystem {
            name: text("Windows Server 2022"),
            build: Some(20_348),
            revision: Some(4_893),
            product_type: Some(ProductType::DomainController),
            ..client()
        }));
        machine.put(Evidence::DomainController(DomainController {
            fqdn: name.parse().unwrap(),
            domain_dns: "corp.example".parse().unwrap(),
            domain_netbios: Some(text("CORP")),
            forest: "corp.example".parse().unwrap(),
            site: Some(site.parse().unwrap()),
            read_only: Some(false),
        }));
        let usages = [ExtendedKeyUsage::KDC_AUTH, ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH];
        machine.certificate(kdc_certificate(name, &usages));
        machine.serves_key_trust();
        machine
    }

    /// Says everything about a controller beside its names, its system and its certificate.
    fn serves_key_trust(&mut self) {
        self.put(Evidence::Clock(muster_evidence::Clock { ahead_seconds: 0 }));
        self.put(Evidence::KdcService(KdcService { state: ServiceState::Running, disabled: Some(false) }));
        self.put(Evidence::KdcPolicy(KdcPolicy {
            allow_nt_auth_policy_bypass: None,
            sam_ngc_key_roca_validation: Some(2),
        }));
        let system = EventLog { channel: text("System"), state: EventLogState::Read, oldest: None };
        self.put(Evidence::KdcEvents(EventSummary { logs: vec![system], events: Vec::new() }));
        self.put(Evidence::KdcLoad(KdcLoad {
            counter: KdcCounter::SecuritySystemWide,
            since: at("2026-03-02T10:00:00Z"),
            peak_milli: 4_200,
            mean_milli: 1_100,
            minutes: 60,
        }));
        self.put(Evidence::Replication(Replication { partners: Vec::new(), left_out: 0 }));
        self.put(Evidence::NtAuthStore(TrustStore { thumbprints: vec![CA], left_out: 0 }));
        // A list without dates, since tests turn the clock.
        let list = RevocationList {
            issuer: text("CN=Corp CA"),
            number: Some(text("2a")),
            this_update: at("2026-03-01T00:00:00Z"),
            next_update: None,
            next_publish: None,
            bytes: 812,
        };
        let point = DistributionPoint { url: text(CRL), delta: false, fetch: CrlFetch::Fetched, list: Some(list) };
        self.put(Evidence::RevocationLists(RevocationLists { points: vec![point], left_out: 0 }));
    }

    pub(crate) fn name(&self) -> &str {
        self.host.name.as_str()
    }

    pub(crate) fn put(&mut self, evidence: Evidence) {
        self.outcome(ObservationKey::host(evidence.kind()), Outcome::Observed(evidence), Context::Service);
    }

    pub(crate) fn put_user(&mut self, user: u32, evidence: Evidence) {
        let key = ObservationKey::user(evidence.kind(), sid(user));
        self.outcome(key, Outcome::Observed(evidence), Context::UserSession);
    }

    pub(crate) fn outcome(&mut self, key: ObservationKey, outcome: Outcome, context: Context) {
        let observed_at = Timestamp::MIN;
        let observation = Observation { key: key.clone(), outcome, observed_at, context, origin: Origin::Live };
        self.observations.insert(key, observation);
    }

    /// Makes a certificate the only one in the machine's store.
    pub(crate) fn certificate(&mut self, certificate: Certificate) {
        self.observations.retain(|key, _| key.kind != Kind::Certificate);
        self.put(Evidence::CertificateListing(CertificateListing {
            store: CertificateStore::LocalMachineMy,
            certificates: vec![ListedCertificate {
                sha256: certificate.sha256,
                private_key: PrivateKey::Present,
                archived: false,
            }],
            left_out: 0,
            unreadable: 0,
        }));
        let key = ObservationKey { kind: Kind::Certificate, subject: Subject::Certificate(certificate.sha256) };
        self.outcome(key, Outcome::Observed(Evidence::Certificate(Box::new(certificate))), Context::Service);
    }

    /// Makes everything a capture taken at that time.
    pub(crate) fn captured(&mut self, taken_at: Timestamp) {
        self.observed_at = Some(taken_at);
        for observation in self.observations.values_mut() {
            observation.origin = Origin::Capture;
        }
    }

    /// The next report.
    pub(crate) fn report(&mut self, now: Timestamp) -> v1::ReportRequest {
        self.sequence += 1;
        let observed_at = self.observed_at.unwrap_or(now);
        let observations = self.observations.values().cloned();
        let mut report = report_to_wire(&Report {
            probe_version: text("0.1.0"),
            install_id: self.install_id,
            incarnation: self.incarnation,
            sequence: self.sequence,
            host: self.host.clone(),
            roles: self.roles.clone(),
            sent_at: now,
            observations: observations.map(|own| Observation { observed_at, ..own }).collect(),
            series: Vec::new(),
            inventory: Vec::new(),
            client_certificate: None,
        });
        if self.bare {
            report.observations.iter_mut().for_each(|entry| entry.body = None);
        }
        report
    }
}

pub(crate) fn client() -> OperatingSystem {
    OperatingSystem {
        family: OsFamily::Windows,
        name: text("Windows 11 Enterprise"),
        version: text("10.0"),
        build: Some(26_100),
        revision: Some(6_725),
        edition: None,
        product_type: Some(ProductType::Workstation),
        server_core: Some(false),
        release: None,
        firmware: Some(FirmwareType::Uefi),
    }
}

pub(crate) fn tpm(version: TpmVersion) -> Tpm {
    Tpm {
        version,
        manufacturer: Some(text("INTC")),
        firmware: Some(text("303.12")),
        lockout: Some(TpmLockout { locked: false, max_failures: 32, recovery_seconds: 600, failures: None }),
        ek_certificates: Some(EkCertificates { rsa_2048: true, ..EkCertificates::default() }),
        fips_mode: None,
        endorsement_key: None,
        readiness: Some(TpmReadiness { ready: true, missing: Some(0) }),
    }
}

/// Hybrid joined, or joined to Entra ID only.
pub(crate) fn joined(domain_joined: Tristate) -> JoinState {
    JoinState {
        azure_ad_joined: Tristate::Yes,
        enterprise_joined: Tristate::No,
        domain_joined,
        workplace_joined: Tristate::No,
        domain: None,
        tenant_id: None,
        device_id: Some("0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()),
        tpm_protected: Tristate::Yes,
        device_auth: Some(DeviceAuth::Success),
        device_certificate_not_before: Some(at("2026-01-14T07:20:11Z")),
        device_certificate_not_after: Some(at("2036-01-14T07:50:11Z")),
        device_certificate_thumbprint: None,
        key_sign_test: Some(KeySignTest::Passed),
        recovery: Tristate::No,
    }
}

pub(crate) fn prt(present: Tristate) -> Prt {
    Prt {
        present,
        updated_at: None,
        expires_at: None,
        attempt_status: None,
        server_error: None,
        on_prem_tgt: Tristate::No,
        cloud_tgt: Tristate::No,
    }
}

pub(crate) fn ngc() -> Ngc {
    Ngc {
        set: Tristate::Yes,
        key_id: None,
        can_reset: Some(CanReset::DestructiveAndNonDestructive),
        wam_default_set: Tristate::Yes,
        wam_default_error: None,
        workplace_joined: Tristate::No,
        work_accounts: None,
    }
}

pub(crate) fn registration(registered_at: Timestamp) -> KeyRegistration {
    KeyRegistration {
        registered_at,
        key_id: None,
        device_id: Some("0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()),
        public_key_sha256: None,
        attestation: None,
        upn: None,
    }
}

/// A KDC's certificate with these extended usages, from 2025-06-01 to 2026-06-01.
pub(crate) fn kdc_certificate(host: &str, usages: &[&str]) -> Certificate {
    let number = u8::try_from(usages.len()).unwrap();
    Certificate {
        sha256: Sha256([number; 32]),
        thumbprint: Thumbprint([number; 20]),
        subject: text(&format!("CN={host}")),
        issuer: text("CN=Corp CA"),
        serial: text("01"),
        not_before: at("2025-06-01T00:00:00Z"),
        not_after: at("2026-06-01T00:00:00Z"),
        key: KeyAlgorithm::Rsa { bits: 2048 },
        signature_hash: SignatureHash::Sha256,
        digital_signature: Some(true),
        key_encipherment: Some(true),
        extended_key_usages: Some(usages.iter().map(|oid| ExtendedKeyUsage(text(oid))).collect()),
        subject_alt_names: [host, "corp.example", "CORP"].map(|name| SubjectAltName::Dns(text(name))).to_vec(),
        template: None,
        crl_distribution_points: vec![text(CRL)],
        ocsp_urls: Vec::new(),
        is_ca: false,
        chain: ChainStatus::Trusted { anchor: text("CN=Corp CA") },
        issuer_urls: Vec::new(),
        issuer_thumbprint: Some(CA),
        root_thumbprint: Some(CA),
        revocation: Some(Revocation::Good),
    }
}
