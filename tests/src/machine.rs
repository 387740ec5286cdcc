//! Made-up machines that have everything they should, to be changed one thing at a time.

use muster_evidence::{
    CertEnrollment, Certificate, CertificateListing, CertificateStore, ChainStatus, Clock, Context, CrlFetch,
    DcLocator, DeviceAuth, DistributionPoint, DomainController, DomainMembership, EkCertificates, EventLog,
    EventLogState, EventSummary, Evidence, ExtendedKeyUsage, Failure, FailureReason, FirmwareType, HelloPolicy,
    HostIdentity, JoinState, KdcCounter, KdcLoad, KdcPolicy, KdcService, KeyAlgorithm, KeySignTest, Kind,
    ListedCertificate, LocatorAnswer, Ngc, NgcPrerequisites, Observation, ObservationKey, OperatingSystem, Origin,
    OsFamily, Outcome, PinProvider, PreReqResult, PrivateKey, ProductType, ProvisioningEvent, Prt, Replication,
    Revocation, RevocationList, RevocationLists, Role, ServiceState, Sha256, Sid, SignatureHash, Subject,
    SubjectAltName, Text, Thumbprint, Timestamp, Tpm, TpmLockout, TpmReadiness, TpmVersion, Tristate, TrustStore,
    UserSession,
};

use crate::lab::FOREST;

/// The CA of the made-up certificates.
const CA: Thumbprint = Thumbprint([0xca; 20]);
/// Where its list is.
const CRL: &str = "http://pki.corp.example/corp-ca.crl";

/// A machine, and what a probe would see of it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Who it is.
    pub identity: HostIdentity,
    /// What it claims to be.
    pub roles: Vec<Role>,
    /// What was seen, and in which context.
    pub seen: Vec<(ObservationKey, Outcome, Context)>,
}

/// A short text.
pub fn text(text: &str) -> Text {
    Text::exact(text).unwrap()
}

/// The SID of a made-up user.
pub fn user(number: u32) -> Sid {
    format!("S-1-5-21-3402785121-1195827043-2687511903-{number}").parse().unwrap()
}

impl Machine {
    /// A machine of which nothing is known. `name` is its first label.
    pub fn new(name: &str, site: &str, role: Role) -> Self {
        Self {
            identity: HostIdentity {
                name: format!("{name}.{FOREST}").parse().unwrap(),
                forest: Some(FOREST.parse().unwrap()),
                site: Some(site.parse().unwrap()),
                object_guid: None,
                device_id: None,
                ek_sha256: None,
            },
            roles: vec![role],
            seen: Vec::new(),
        }
    }

    /// A hybrid joined Windows client, whose user would be provisioned at the next sign-in.
    pub fn endpoint(name: &str, site: &str, sid: &Sid) -> Self {
        Self::new(name, site, Role::Endpoint)
            .with(Evidence::OperatingSystem(system("Windows 11 Enterprise", 26_100, ProductType::Workstation)))
            .with(Evidence::Tpm(tpm(TpmVersion::V2_0)))
            .with(Evidence::JoinState(joined(Tristate::Yes)))
            .set_up_for_hello(site, sid)
            .with_user(sid, Evidence::Prt(prt()))
            .with_user(
                sid,
                Evidence::Ngc(Ngc {
                    set: Tristate::No,
                    key_id: None,
                    can_reset: None,
                    wam_default_set: Tristate::Yes,
                    wam_default_error: None,
                    workplace_joined: Tristate::No,
                    work_accounts: None,
                }),
            )
            .with_user(sid, Evidence::NgcPrerequisites(prerequisites()))
    }

    /// A domain controller that satisfies every rule.
    pub fn dc(name: &str, site: &str, now: Timestamp) -> Self {
        let fqdn = format!("{name}.{FOREST}");
        Self::new(name, site, Role::DomainController)
            .with(Evidence::OperatingSystem(system("Windows Server 2022", 20_348, ProductType::DomainController)))
            .with(Evidence::DomainController(DomainController {
                fqdn: fqdn.parse().unwrap(),
                domain_dns: FOREST.parse().unwrap(),
                domain_netbios: Some(text("CORP")),
                forest: FOREST.parse().unwrap(),
                site: Some(site.parse().unwrap()),
                read_only: Some(false),
            }))
            .with_certificate(certificate(&fqdn, now))
            .serving_key_trust(now)
    }

    /// Everything else about a client and its user.
    fn set_up_for_hello(self, site: &str, sid: &Sid) -> Self {
        let dc = LocatorAnswer::Found { name: text("dc01.corp.example"), site: Some(text(site)), flags: 0x1_0020 };
        let log = |channel: &str| EventLog { channel: text(channel), state: EventLogState::Read, oldest: None };
        let logs = vec![log("Microsoft-Windows-User Device Registration/Admin"), log("System")];
        let will_provision = ProvisioningEvent {
            id: 358,
            at: Timestamp::from_unix_ms(1_770_000_000_000).unwrap(),
            device_is_joined: Tristate::Yes,
            aad_prt: Tristate::Yes,
            policy_enabled: Tristate::Yes,
            post_logon_enabled: Tristate::Yes,
            hardware_policy_met: Tristate::Yes,
            session_is_local: Tristate::Yes,
            certificate_required: Tristate::No,
            policy_source: None,
        };
        let absent = [
            ObservationKey::host(Kind::DeviceMdmPolicy),
            ObservationKey::host(Kind::RegistrationDiagnostics),
            ObservationKey::user(Kind::UserPolicy, sid.clone()),
            ObservationKey::user(Kind::UserMdmPolicy, sid.clone()),
        ];
        let machine = absent.into_iter().fold(self, |own, key| own.put(key, Outcome::Absent, Context::Service));
        machine
            .with(Evidence::Clock(Clock { ahead_seconds: 0 }))
            .with(Evidence::ComputerPolicy(Box::new(HelloPolicy { enabled: Some(1), ..HelloPolicy::default() })))
            .with(Evidence::DcLocator(DcLocator {
                domain: text(FOREST),
                any: dc.clone(),
                capable: dc,
                forced: Tristate::Yes,
                client_site: None,
            }))
            .with(Evidence::RootStore(TrustStore { thumbprints: vec![CA], left_out: 0 }))
            .with(Evidence::NtAuthStore(TrustStore { thumbprints: vec![CA], left_out: 0 }))
            .with(Evidence::DeviceEvents(EventSummary { logs, events: Vec::new() }))
            .with_user(sid, Evidence::ProvisioningEvent(will_provision))
            .with_user(
                sid,
                Evidence::UserSession(UserSession { remote: Tristate::No, signed_in_at: None, unlocked_at: None }),
            )
            .with_user(
                sid,
                Evidence::PinProvider(PinProvider {
                    logon_credentials_available: Some(2),
                    convenience_pin: Some(false),
                }),
            )
    }

    /// Everything about a domain controller beside its names, its system and its certificate.
    fn serving_key_trust(self, now: Timestamp) -> Self {
        let system = EventLog { channel: text("System"), state: EventLogState::Read, oldest: None };
        let list = RevocationList {
            issuer: text("CN=Corp CA"),
            number: Some(text("2a")),
            this_update: now.plus_days(-1),
            next_update: Some(now.plus_days(300)),
            next_publish: None,
            bytes: 812,
        };
        let point = DistributionPoint { url: text(CRL), delta: false, fetch: CrlFetch::Fetched, list: Some(list) };
        self.with(Evidence::Clock(Clock { ahead_seconds: 0 }))
            .with(Evidence::KdcService(KdcService { state: ServiceState::Running, disabled: Some(false) }))
            .with(Evidence::KdcPolicy(KdcPolicy {
                allow_nt_auth_policy_bypass: None,
                sam_ngc_key_roca_validation: Some(2),
            }))
            .with(Evidence::KdcEvents(EventSummary { logs: vec![system], events: Vec::new() }))
            .with(Evidence::KdcLoad(KdcLoad {
                counter: KdcCounter::SecuritySystemWide,
                since: now.plus_minutes(-60),
                peak_milli: 4_200,
                mean_milli: 1_100,
                minutes: 60,
            }))
            .with(Evidence::Replication(Replication { partners: Vec::new(), left_out: 0 }))
            .with(Evidence::NtAuthStore(TrustStore { thumbprints: vec![CA], left_out: 0 }))
            .with(Evidence::RevocationLists(RevocationLists { points: vec![point], left_out: 0 }))
    }

    /// Sees something of the machine, in place of what was seen before.
    #[must_use]
    pub fn with(self, evidence: Evidence) -> Self {
        self.put(ObservationKey::host(evidence.kind()), Outcome::Observed(evidence), Context::Service)
    }

    /// Sees something of a user.
    #[must_use]
    pub fn with_user(self, sid: &Sid, evidence: Evidence) -> Self {
        self.put(ObservationKey::user(evidence.kind(), sid.clone()), Outcome::Observed(evidence), Context::UserSession)
    }

    /// Has this certificate, and no other, in the machine's store.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.seen.retain(|(key, _, _)| key.kind != Kind::Certificate);
        let listed =
            ListedCertificate { sha256: certificate.sha256, private_key: PrivateKey::Present, archived: false };
        let key = ObservationKey { kind: Kind::Certificate, subject: Subject::Certificate(certificate.sha256) };
        self.with(Evidence::CertificateListing(CertificateListing {
            store: CertificateStore::LocalMachineMy,
            certificates: vec![listed],
            left_out: 0,
            unreadable: 0,
        }))
        .put(key, Outcome::Observed(Evidence::Certificate(Box::new(certificate))), Context::Service)
    }

    /// Could not look.
    #[must_use]
    pub fn failing(self, kind: Kind) -> Self {
        let failure = Failure { reason: FailureReason::AccessDenied, detail: text("not allowed") };
        self.put(ObservationKey::host(kind), Outcome::Failed(failure), Context::Service)
    }

    /// Looked, and it is not there.
    #[must_use]
    pub fn lacking(self, kind: Kind) -> Self {
        self.put(ObservationKey::host(kind), Outcome::Absent, Context::Service)
    }

    /// Joined to Entra ID only: such a machine looks closely at the certificates of domain controllers.
    #[must_use]
    pub fn entra_only(self) -> Self {
        self.with(Evidence::JoinState(JoinState { domain: None, ..joined(Tristate::No) }))
    }

    fn put(mut self, key: ObservationKey, outcome: Outcome, context: Context) -> Self {
        self.seen.retain(|(known, _, _)| *known != key);
        self.seen.push((key, outcome, context));
        self
    }

    /// What a probe that looks now has to say.
    pub fn observations(&self, now: Timestamp) -> Vec<Observation> {
        self.seen
            .iter()
            .map(|(key, outcome, context)| Observation {
                key: key.clone(),
                outcome: outcome.clone(),
                observed_at: now,
                context: *context,
                origin: Origin::Live,
            })
            .collect()
    }
}

/// A Windows system.
pub fn system(name: &str, build: u32, product_type: ProductType) -> OperatingSystem {
    OperatingSystem {
        family: OsFamily::Windows,
        name: text(name),
        version: text("10.0"),
        build: Some(build),
        revision: Some(1_742),
        edition: None,
        product_type: Some(product_type),
        server_core: Some(false),
        release: None,
        firmware: Some(FirmwareType::Uefi),
    }
}

/// A TPM that answers.
pub fn tpm(version: TpmVersion) -> Tpm {
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

fn joined(domain_joined: Tristate) -> JoinState {
    JoinState {
        azure_ad_joined: Tristate::Yes,
        enterprise_joined: Tristate::No,
        domain_joined,
        workplace_joined: Tristate::No,
        domain: Some(DomainMembership { name: text("CORP"), software: text("windows") }),
        tenant_id: Some("7d0c2f8e-3a41-4c9e-8c50-6e1f2b3a4d5c".parse().unwrap()),
        device_id: Some("0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()),
        tpm_protected: Tristate::Yes,
        device_auth: Some(DeviceAuth::Success),
        device_certificate_not_before: None,
        device_certificate_not_after: None,
        device_certificate_thumbprint: None,
        key_sign_test: Some(KeySignTest::Passed),
        recovery: Tristate::No,
    }
}

fn prt() -> Prt {
    Prt {
        present: Tristate::Yes,
        updated_at: None,
        expires_at: None,
        attempt_status: None,
        server_error: None,
        on_prem_tgt: Tristate::No,
        cloud_tgt: Tristate::No,
    }
}

fn prerequisites() -> NgcPrerequisites {
    NgcPrerequisites {
        is_device_joined: Tristate::Yes,
        is_user_azure_ad: Tristate::Yes,
        policy_enabled: Tristate::Yes,
        post_logon_enabled: Tristate::Yes,
        device_eligible: Tristate::Yes,
        session_is_not_remote: Tristate::Yes,
        cert_enrollment: Some(CertEnrollment::None),
        on_prem_tgt: Tristate::No,
        result: PreReqResult::WillProvision,
        error: None,
    }
}

/// A domain controller's certificate that satisfies every rule, for a year around now.
pub fn certificate(fqdn: &str, now: Timestamp) -> Certificate {
    let number = fqdn.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    Certificate {
        sha256: Sha256([number; 32]),
        thumbprint: Thumbprint([number; 20]),
        subject: text(&format!("CN={fqdn}")),
        issuer: text("CN=Corp CA"),
        serial: text("01"),
        not_before: now.plus_days(-65),
        not_after: now.plus_days(300),
        key: KeyAlgorithm::Rsa { bits: 2048 },
        signature_hash: SignatureHash::Sha256,
        digital_signature: Some(true),
        key_encipherment: Some(true),
        extended_key_usages: Some(usages(&[
            ExtendedKeyUsage::CLIENT_AUTH,
            ExtendedKeyUsage::SERVER_AUTH,
            ExtendedKeyUsage::KDC_AUTH,
            ExtendedKeyUsage::SMART_CARD_LOGON,
        ])),
        subject_alt_names: [fqdn, FOREST, "CORP"].map(|name| SubjectAltName::Dns(text(name))).to_vec(),
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

/// Extended key usages.
pub fn usages(oids: &[&str]) -> Vec<ExtendedKeyUsage> {
    oids.iter().map(|oid| ExtendedKeyUsage(text(oid))).collect()
}

/// The same certificate without the usage that KDCs need.
pub fn without_kdc_usage(mut certificate: Certificate) -> Certificate {
    certificate.extended_key_usages = Some(usages(&[
        ExtendedKeyUsage::CLIENT_AUTH,
        ExtendedKeyUsage::SERVER_AUTH,
        ExtendedKeyUsage::SMART_CARD_LOGON,
    ]));
    certificate
}
