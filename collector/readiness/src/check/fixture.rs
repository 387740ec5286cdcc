//! Facts for tests: a host that has everything it should, to be changed one thing at a time.

pub(crate) mod controller;
pub(crate) mod device;
pub(crate) mod people;

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{
    Certificate, CertificateListing, CertificateStore, ChainStatus, Context, DeviceAuth, DomainController,
    DomainMembership, Evidence, ExtendedKeyUsage, Failure, FailureReason, JoinState, KeyAlgorithm, KeyRegistration,
    Kind, ListedCertificate, Ngc, NgcPrerequisites, Observation, ObservationKey, OperatingSystem, Origin, OsFamily,
    Outcome, PreReqResult, PrivateKey, ProductType, Prt, Role, Sha256, Sid, SignatureHash, SiteRef, Subject,
    SubjectAltName, Text, Thumbprint, Timestamp, Tpm, TpmVersion, Tristate, Unsupported, UserKeys,
};

use crate::{Check, Facts, ForestFacts, HostFacts, Judged, Judgement, KeyInventory, Policy, SiteFacts};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The present of the fixtures.
pub(crate) fn now() -> Timestamp {
    at("2026-03-02T12:00:00Z")
}

pub(crate) fn text(text: &str) -> Text {
    Text::exact(text).unwrap()
}

pub(crate) fn ada() -> Sid {
    "S-1-5-21-1-2-3-1104".parse().unwrap()
}

pub(crate) fn device() -> muster_evidence::Guid {
    "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()
}

pub(crate) fn site() -> SiteRef {
    SiteRef { forest: "corp.example".parse().unwrap(), name: "Berlin".parse().unwrap(), object_guid: None }
}

pub(crate) fn tpm_2_0() -> Tpm {
    Tpm {
        version: TpmVersion::V2_0,
        manufacturer: None,
        firmware: None,
        lockout: None,
        ek_certificates: None,
        fips_mode: None,
        endorsement_key: None,
        readiness: None,
    }
}

pub(crate) fn tpm() -> Evidence {
    Evidence::Tpm(tpm_2_0())
}

pub(crate) fn windows_client(build: u32) -> OperatingSystem {
    OperatingSystem {
        family: OsFamily::Windows,
        name: text("Windows 11 Enterprise"),
        version: text("10.0"),
        build: Some(build),
        revision: None,
        edition: None,
        product_type: Some(ProductType::Workstation),
        server_core: Some(false),
        release: None,
        firmware: None,
    }
}

pub(crate) fn windows_server(build: u32) -> OperatingSystem {
    OperatingSystem {
        name: text("Windows Server"),
        revision: Some(9_000), // above every build that is known to be bad
        product_type: Some(ProductType::DomainController),
        ..windows_client(build)
    }
}

pub(crate) fn hybrid() -> JoinState {
    JoinState {
        azure_ad_joined: Tristate::Yes,
        enterprise_joined: Tristate::No,
        domain_joined: Tristate::Yes,
        workplace_joined: Tristate::No,
        domain: Some(DomainMembership { name: text("CORP"), software: text("windows") }),
        tenant_id: None,
        device_id: Some(device()),
        tpm_protected: Tristate::Yes,
        device_auth: Some(DeviceAuth::Success),
        device_certificate_not_before: None,
        device_certificate_not_after: None,
        device_certificate_thumbprint: None,
        key_sign_test: None,
        recovery: Tristate::NotShown,
    }
}

pub(crate) fn prt() -> Prt {
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

pub(crate) fn ngc(set: Tristate) -> Ngc {
    Ngc {
        set,
        key_id: None,
        can_reset: None,
        wam_default_set: Tristate::Yes,
        wam_default_error: None,
        workplace_joined: Tristate::NotShown,
        work_accounts: None,
    }
}

pub(crate) fn prerequisites() -> NgcPrerequisites {
    NgcPrerequisites {
        is_device_joined: Tristate::Yes,
        is_user_azure_ad: Tristate::Yes,
        policy_enabled: Tristate::Yes,
        post_logon_enabled: Tristate::Yes,
        device_eligible: Tristate::Yes,
        session_is_not_remote: Tristate::Yes,
        cert_enrollment: Some(muster_evidence::CertEnrollment::None),
        on_prem_tgt: Tristate::No,
        result: PreReqResult::WillProvision,
        error: None,
    }
}

pub(crate) fn registration(registered_at: Timestamp) -> KeyRegistration {
    KeyRegistration {
        registered_at,
        key_id: None,
        device_id: Some(device()),
        public_key_sha256: None,
        attestation: None,
        upn: None,
    }
}

pub(crate) fn domain_controller() -> DomainController {
    DomainController {
        fqdn: "dc01.corp.example".parse().unwrap(),
        domain_dns: "corp.example".parse().unwrap(),
        domain_netbios: Some(text("CORP")),
        forest: "corp.example".parse().unwrap(),
        site: Some("Berlin".parse().unwrap()),
        read_only: Some(false),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it fills a field that is optional")]
pub(crate) fn ekus(oids: &[&str]) -> Option<Vec<ExtendedKeyUsage>> {
    Some(oids.iter().map(|oid| ExtendedKeyUsage(text(oid))).collect())
}

/// A certificate that satisfies every rule, told apart by one byte: from 2025-06-01 to 2026-06-01.
pub(crate) fn kdc_certificate(number: u8) -> Certificate {
    Certificate {
        sha256: Sha256([number; 32]),
        thumbprint: Thumbprint([number; 20]),
        subject: text("CN=dc01.corp.example"),
        issuer: text("CN=Corp CA"),
        serial: text("01"),
        not_before: at("2025-06-01T00:00:00Z"),
        not_after: at("2026-06-01T00:00:00Z"),
        key: KeyAlgorithm::Rsa { bits: 2048 },
        signature_hash: SignatureHash::Sha256,
        digital_signature: Some(true),
        key_encipherment: Some(true),
        extended_key_usages: ekus(&[
            ExtendedKeyUsage::CLIENT_AUTH,
            ExtendedKeyUsage::SERVER_AUTH,
            ExtendedKeyUsage::KDC_AUTH,
            ExtendedKeyUsage::SMART_CARD_LOGON,
        ]),
        subject_alt_names: ["dc01.corp.example", "corp.example", "CORP"]
            .map(|name| SubjectAltName::Dns(text(name)))
            .to_vec(),
        template: None,
        crl_distribution_points: vec![text(controller::CRL)],
        ocsp_urls: Vec::new(),
        is_ca: false,
        chain: ChainStatus::Trusted { anchor: text("CN=Corp CA") },
        issuer_urls: Vec::new(),
        issuer_thumbprint: Some(controller::ISSUER),
        root_thumbprint: Some(controller::ISSUER),
        revocation: Some(muster_evidence::Revocation::Good),
    }
}

/// A host under test, with its site and forest.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) facts: HostFacts,
    pub(crate) site: SiteFacts,
    pub(crate) forest: ForestFacts,
    pub(crate) now: Timestamp,
}

impl Host {
    /// A Windows client of which only its system is known.
    pub(crate) fn endpoint() -> Self {
        Self::new("pc1.corp.example", Role::Endpoint).with(Evidence::OperatingSystem(windows_client(26_100)))
    }

    /// A Linux machine of which only its system is known.
    pub(crate) fn linux() -> Self {
        let os = OperatingSystem { family: OsFamily::Linux, build: None, product_type: None, ..windows_client(0) };
        Self::new("tux.corp.example", Role::Endpoint).with(Evidence::OperatingSystem(os))
    }

    /// A capable domain controller on which everything is as it should be, but of whose certificates nothing is known.
    pub(crate) fn dc() -> Self {
        controller::complete(
            Self::new("dc01.corp.example", Role::DomainController)
                .with(Evidence::OperatingSystem(windows_server(20_348)))
                .with(Evidence::DomainController(domain_controller())),
        )
    }

    /// A capable domain controller with these certificates in its machine store.
    pub(crate) fn dc_with(certificates: &[Certificate]) -> Self {
        Self::dc().certificates(CertificateStore::LocalMachineMy, certificates)
    }

    /// An endpoint on which everything is as it should be and the user's key has arrived.
    pub(crate) fn provisioned() -> Self {
        let registered_at = at("2026-03-02T08:14:07Z");
        Self::endpoint()
            .complete()
            .complete_for(&ada())
            .user(Evidence::Prt(prt()), Context::UserSession)
            .user(Evidence::Ngc(ngc(Tristate::Yes)), Context::UserSession)
            .user(Evidence::KeyRegistration(registration(registered_at)), Context::Service)
            .inventory(now())
            .keys(UserKeys {
                sid: ada(),
                keys: vec![crate::derive::key_match::fixture_key(registered_at)],
                undecodable: 0,
                left_out: 0,
                upn: None,
            })
    }

    /// The machine with everything beside that is as it should be: whatever a check reads and a test does not speak of.
    pub(crate) fn complete(self) -> Self {
        let host = if self.facts.roles.contains(&Role::DomainController) {
            controller::complete(self)
        } else {
            device::complete(self)
        };
        people::complete(host)
    }

    /// The same for a person on it.
    pub(crate) fn complete_for(self, sid: &Sid) -> Self {
        people::complete_for(device::complete_for(self, sid), sid)
    }

    pub(crate) fn new(name: &str, role: Role) -> Self {
        Self {
            facts: HostFacts {
                host: name.parse().unwrap(),
                forest: Some("corp.example".parse().unwrap()),
                roles: BTreeSet::from([role]),
                observations: BTreeMap::new(),
            },
            site: SiteFacts { entra_joined_endpoints: Some(true), ..SiteFacts::unknown(Some(site())) },
            forest: ForestFacts::default(),
            now: now(),
        }
    }

    pub(crate) fn put(mut self, key: ObservationKey, outcome: Outcome, context: Context) -> Self {
        let observation = Observation { key: key.clone(), outcome, observed_at: now(), context, origin: Origin::Live };
        self.facts.observations.insert(key, observation);
        self
    }

    pub(crate) fn with(self, evidence: Evidence) -> Self {
        self.put(ObservationKey::host(evidence.kind()), Outcome::Observed(evidence), Context::Service)
    }

    pub(crate) fn user(self, evidence: Evidence, context: Context) -> Self {
        self.person(&ada(), evidence, context)
    }

    pub(crate) fn person(self, sid: &Sid, evidence: Evidence, context: Context) -> Self {
        self.put(ObservationKey::user(evidence.kind(), sid.clone()), Outcome::Observed(evidence), context)
    }

    pub(crate) fn user_absent(self, kind: Kind, context: Context) -> Self {
        self.put(ObservationKey::user(kind, ada()), Outcome::Absent, context)
    }

    pub(crate) fn user_failed(self, kind: Kind) -> Self {
        self.put(ObservationKey::user(kind, ada()), failed(), Context::UserSession)
    }

    pub(crate) fn absent(self, kind: Kind) -> Self {
        self.put(ObservationKey::host(kind), Outcome::Absent, Context::Service)
    }

    pub(crate) fn failed(self, kind: Kind) -> Self {
        self.put(ObservationKey::host(kind), failed(), Context::Service)
    }

    pub(crate) fn unsupported(self, kind: Kind) -> Self {
        let outcome = Outcome::Unsupported(Unsupported { detail: text("no such interface") });
        self.put(ObservationKey::host(kind), outcome, Context::Service)
    }

    pub(crate) fn certificates(self, store: CertificateStore, certificates: &[Certificate]) -> Self {
        let listed = certificates
            .iter()
            .map(|certificate| ListedCertificate {
                sha256: certificate.sha256,
                private_key: PrivateKey::Present,
                archived: false,
            })
            .collect();
        let host = self.listing(CertificateListing { store, certificates: listed, left_out: 0, unreadable: 0 });
        certificates.iter().cloned().fold(host, Self::certificate)
    }

    pub(crate) fn listing(self, listing: CertificateListing) -> Self {
        self.with(Evidence::CertificateListing(listing))
    }

    pub(crate) fn certificate(self, certificate: Certificate) -> Self {
        let key = ObservationKey { kind: Kind::Certificate, subject: Subject::Certificate(certificate.sha256) };
        self.put(key, Outcome::Observed(Evidence::Certificate(Box::new(certificate))), Context::Service)
    }

    /// A complete and proved reading of the directory at that time.
    pub(crate) fn inventory(mut self, as_of: Timestamp) -> Self {
        self.forest.inventory = Some(KeyInventory { as_of, complete: true, canary_seen: true });
        self
    }

    pub(crate) fn keys(mut self, keys: UserKeys) -> Self {
        self.forest.keys.insert(keys.sid.clone(), keys);
        self
    }

    pub(crate) fn entra_joined(mut self, answer: Option<bool>) -> Self {
        self.site.entra_joined_endpoints = answer;
        self
    }

    pub(crate) fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts { host: &self.facts, site: &self.site, forest: &self.forest }
    }

    pub(crate) fn judgements(&self, check: &dyn Check, policy: &Policy) -> Vec<Judgement> {
        check.judge(&self.facts(), policy, self.now)
    }

    /// The answers as `standing: text`, led by the user's number where they speak of one.
    pub(crate) fn judge(&self, check: &dyn Check, policy: &Policy) -> Vec<String> {
        self.judgements(check, policy)
            .iter()
            .map(|judgement| {
                assert_eq!(judgement.check, check.id());
                let whom = match &judgement.subject {
                    Judged::User(sid) if *sid != ada() => format!("{sid} "),
                    _ => String::new(),
                };
                let text = judgement.verdict.text();
                let separator = if text.is_empty() { "" } else { ": " };
                format!("{whom}{}{separator}{text}", judgement.verdict.standing())
            })
            .collect()
    }
}

pub(crate) fn failed() -> Outcome {
    Outcome::Failed(Failure { reason: FailureReason::AccessDenied, detail: text("not allowed") })
}
