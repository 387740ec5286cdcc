//! Values to convert: strategies for every kind of evidence, and fixed reports that hold each of them.

#![allow(dead_code, reason = "each test binary uses its part")]

use muster_evidence::{
    CanReset, CertEnrollment, Certificate, CertificateListing, CertificateStore, ChainStatus, ClientCertificate,
    Context, DeviceAuth, DirectoryKey, DomainController, DomainMembership, EkCertificates, EndorsementKey, Evidence,
    ExtendedKeyUsage, Failure, FailureReason, Forest, Guid, HostIdentity, InstallId, InventoryItem, InventoryPart,
    JoinState, KeyAlgorithm, KeyRegistration, KeySource, KeyStrength, KeyUsage, Kind, ListedCertificate, Ngc,
    NgcPrerequisites, Observation, ObservationKey, OperatingSystem, Origin, OsFamily, Outcome, PreReqResult,
    PrivateKey, ProductType, Prt, Report, Role, SeriesAppend, SeriesKind, SeriesPoint, Sha256, Sid, SignatureHash,
    Subject, SubjectAltName, TemplateReference, Text, Thumbprint, Timestamp, Tpm, TpmLockout, TpmVersion, Tristate,
    Unsupported, UnusableCertificate, UserKeys, limits,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

mod later;

#[allow(unused_imports, reason = "each test binary uses its part")]
pub(crate) use self::later::{largest, whole_report};

pub(crate) fn text() -> BoxedStrategy<Text> {
    "[ -~äß漢]{0,40}".prop_map(|text| Text::exact(&text).unwrap()).boxed()
}

fn time() -> BoxedStrategy<Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just(Timestamp::from_unix_ms(0).unwrap()),
        (Timestamp::MIN.unix_ms()..=Timestamp::MAX.unix_ms()).prop_map(|ms| Timestamp::from_unix_ms(ms).unwrap()),
    ]
    .boxed()
}

/// A time read from a clock, which is never the first millisecond of 1970.
fn clock() -> BoxedStrategy<Timestamp> {
    time().prop_map(|at| if at.unix_ms() == 0 { at.plus_ms(1) } else { at }).boxed()
}

fn guid() -> BoxedStrategy<Guid> {
    any::<[u8; 16]>().prop_map(Guid).boxed()
}

fn sha256() -> BoxedStrategy<Sha256> {
    any::<[u8; 32]>().prop_map(Sha256).boxed()
}

fn dns() -> BoxedStrategy<muster_evidence::DnsName> {
    "[a-z0-9_-]{1,12}(\\.[a-z0-9]{1,8}){0,3}".prop_map(|name| name.parse().unwrap()).boxed()
}

fn site() -> BoxedStrategy<muster_evidence::SiteName> {
    "[A-Za-zä][A-Za-z0-9 _-]{0,20}[a-z]".prop_map(|name| name.parse().unwrap()).boxed()
}

fn sid() -> BoxedStrategy<Sid> {
    (any::<u32>(), any::<u32>())
        .prop_map(|(domain, rid)| format!("S-1-5-21-{domain}-1-2-{rid}").parse().unwrap())
        .boxed()
}

fn tristate() -> BoxedStrategy<Tristate> {
    prop_oneof![Just(Tristate::Yes), Just(Tristate::No), Just(Tristate::Undetermined), Just(Tristate::NotShown)].boxed()
}

fn tpm() -> BoxedStrategy<Tpm> {
    let lockout = (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(locked, max_failures, recovery_seconds)| {
        TpmLockout { locked, max_failures, recovery_seconds, failures: None }
    });
    let certificates = any::<(bool, bool, bool)>().prop_map(|(rsa_2048, ecc_p256, ecc_p384)| EkCertificates {
        rsa_2048,
        ecc_p256,
        ecc_p384,
    });
    let endorsement_key = prop_oneof![
        any::<[u8; 32]>().prop_map(|digest| EndorsementKey::SpkiSha256(Sha256(digest))),
        Just(EndorsementKey::NotShown),
        text().prop_map(EndorsementKey::Unreadable),
    ];
    (
        prop_oneof![Just(TpmVersion::V1_2), Just(TpmVersion::V2_0)],
        of(text()),
        of(text()),
        of(lockout),
        of(certificates),
        any::<Option<bool>>(),
        of(endorsement_key),
    )
        .prop_map(|(version, manufacturer, firmware, lockout, ek_certificates, fips_mode, endorsement_key)| Tpm {
            version,
            manufacturer,
            firmware,
            lockout,
            ek_certificates,
            fips_mode,
            endorsement_key,
            readiness: None,
        })
        .boxed()
}

fn operating_system() -> BoxedStrategy<OperatingSystem> {
    (
        prop_oneof![Just(OsFamily::Windows), Just(OsFamily::Linux), Just(OsFamily::Other)],
        text(),
        text(),
        any::<(Option<u32>, Option<u32>, Option<bool>)>(),
        of(text()),
        of(prop_oneof![Just(ProductType::Workstation), Just(ProductType::DomainController), Just(ProductType::Server)]),
    )
        .prop_map(|(family, name, version, (build, revision, server_core), edition, product_type)| OperatingSystem {
            family,
            name,
            version,
            build,
            revision,
            edition,
            product_type,
            server_core,
            release: None,
            firmware: None,
        })
        .boxed()
}

fn join_state() -> BoxedStrategy<JoinState> {
    let flags = (tristate(), tristate(), tristate(), tristate(), tristate());
    let domain = (text(), text()).prop_map(|(name, software)| DomainMembership { name, software });
    let answer = prop_oneof![
        Just(DeviceAuth::Success),
        Just(DeviceAuth::DisabledOrDeleted),
        text().prop_map(DeviceAuth::TestFailed)
    ];
    (flags, of(domain), of(guid()), of(guid()), of(answer), of(time()), of(time()))
        .prop_map(|(flags, domain, tenant_id, device_id, device_auth, from, until)| JoinState {
            azure_ad_joined: flags.0,
            enterprise_joined: flags.1,
            domain_joined: flags.2,
            workplace_joined: flags.3,
            domain,
            tenant_id,
            device_id,
            tpm_protected: flags.4,
            device_auth,
            device_certificate_not_before: from,
            device_certificate_not_after: until,
            device_certificate_thumbprint: None,
            key_sign_test: None,
            recovery: Tristate::NotShown,
        })
        .boxed()
}

fn prt() -> BoxedStrategy<Prt> {
    (tristate(), of(time()), of(time()), of(text()), of(text()), tristate(), tristate())
        .prop_map(|(present, updated_at, expires_at, attempt_status, server_error, on_prem_tgt, cloud_tgt)| Prt {
            present,
            updated_at,
            expires_at,
            attempt_status,
            server_error,
            on_prem_tgt,
            cloud_tgt,
        })
        .boxed()
}

fn ngc() -> BoxedStrategy<Ngc> {
    let can_reset = prop_oneof![
        Just(CanReset::DestructiveOnly),
        Just(CanReset::NonDestructiveOnly),
        Just(CanReset::DestructiveAndNonDestructive),
        Just(CanReset::Unknown)
    ];
    (tristate(), of(guid()), of(can_reset), tristate())
        .prop_map(|(set, key_id, can_reset, wam_default_set)| Ngc {
            set,
            key_id,
            can_reset,
            wam_default_set,
            wam_default_error: None,
            workplace_joined: Tristate::NotShown,
            work_accounts: None,
        })
        .boxed()
}

fn ngc_prerequisites() -> BoxedStrategy<NgcPrerequisites> {
    let flags = (tristate(), tristate(), tristate(), tristate(), tristate(), tristate(), tristate());
    let enrollment = prop_oneof![
        Just(CertEnrollment::None),
        Just(CertEnrollment::EnrollmentAuthority),
        Just(CertEnrollment::MobileDeviceManagement),
        Just(CertEnrollment::Other)
    ];
    let result = prop_oneof![
        Just(PreReqResult::WillProvision),
        Just(PreReqResult::WillNotProvision),
        Just(PreReqResult::Undetermined)
    ];
    (flags, of(enrollment), result, of(text()))
        .prop_map(|(flags, cert_enrollment, result, error)| NgcPrerequisites {
            is_device_joined: flags.0,
            is_user_azure_ad: flags.1,
            policy_enabled: flags.2,
            post_logon_enabled: flags.3,
            device_eligible: flags.4,
            session_is_not_remote: flags.5,
            cert_enrollment,
            on_prem_tgt: flags.6,
            result,
            error,
        })
        .boxed()
}

fn key_registration() -> BoxedStrategy<KeyRegistration> {
    (time(), of(guid()), of(guid()), of(sha256()), of(text()))
        .prop_map(|(registered_at, key_id, device_id, public_key_sha256, attestation)| KeyRegistration {
            registered_at,
            key_id,
            device_id,
            public_key_sha256,
            attestation,
            upn: None,
        })
        .boxed()
}

fn domain_controller() -> BoxedStrategy<DomainController> {
    (dns(), dns(), of(text()), dns(), of(site()), any::<Option<bool>>())
        .prop_map(|(fqdn, domain_dns, domain_netbios, forest, site, read_only)| DomainController {
            fqdn,
            domain_dns,
            domain_netbios,
            forest: Forest(forest),
            site,
            read_only,
        })
        .boxed()
}

fn certificate_listing() -> BoxedStrategy<CertificateListing> {
    let key = prop_oneof![Just(PrivateKey::Present), Just(PrivateKey::Missing), Just(PrivateKey::Undetermined)];
    let entry = (sha256(), key, any::<bool>()).prop_map(|(sha256, private_key, archived)| ListedCertificate {
        sha256,
        private_key,
        archived,
    });
    let store = prop_oneof![
        Just(CertificateStore::LocalMachineMy),
        Just(CertificateStore::Files),
        Just(CertificateStore::TlsPeer)
    ];
    (store, vec(entry, 0..=limits::CERTIFICATES_PER_STORE), any::<u32>(), any::<u32>())
        .prop_map(|(store, certificates, left_out, unreadable)| CertificateListing {
            store,
            certificates,
            left_out,
            unreadable,
        })
        .boxed()
}

fn certificate() -> BoxedStrategy<Certificate> {
    let key = prop_oneof![
        any::<u32>().prop_map(|bits| KeyAlgorithm::Rsa { bits }),
        any::<u32>().prop_map(|bits| KeyAlgorithm::Ec { bits }),
        text().prop_map(|oid| KeyAlgorithm::Other { oid })
    ];
    let hash = prop_oneof![
        Just(SignatureHash::Md5),
        Just(SignatureHash::Sha1),
        Just(SignatureHash::Sha256),
        Just(SignatureHash::Sha384),
        Just(SignatureHash::Sha512),
        text().prop_map(|oid| SignatureHash::Other { oid })
    ];
    let name = prop_oneof![
        text().prop_map(SubjectAltName::Dns),
        text().prop_map(SubjectAltName::Upn),
        text().prop_map(SubjectAltName::Ip),
        text().prop_map(SubjectAltName::DirectoryGuid),
        text().prop_map(SubjectAltName::KerberosPrincipal),
        text().prop_map(SubjectAltName::Other)
    ];
    let template = prop_oneof![text().prop_map(TemplateReference::Name), text().prop_map(TemplateReference::Oid)];
    let chain = prop_oneof![
        text().prop_map(|anchor| ChainStatus::Trusted { anchor }),
        text().prop_map(|root| ChainStatus::UntrustedRoot { root }),
        text().prop_map(|issuer| ChainStatus::IssuerMissing { issuer }),
        text().prop_map(|detail| ChainStatus::Invalid { detail }),
        text().prop_map(|why| ChainStatus::NotChecked { why })
    ];
    let most = limits::CERTIFICATE_LIST;
    (
        (sha256(), any::<[u8; 20]>(), text(), text(), text()),
        (time(), time(), key, hash, any::<(Option<bool>, Option<bool>, bool)>()),
        (of(vec(text().prop_map(ExtendedKeyUsage), 0..=most)), vec(name, 0..=most), of(template)),
        (vec(text(), 0..=most), vec(text(), 0..=most), chain),
    )
        .prop_map(|(who, what, uses, more)| Certificate {
            sha256: who.0,
            thumbprint: Thumbprint(who.1),
            subject: who.2,
            issuer: who.3,
            serial: who.4,
            not_before: what.0,
            not_after: what.1,
            key: what.2,
            signature_hash: what.3,
            digital_signature: what.4.0,
            key_encipherment: what.4.1,
            extended_key_usages: uses.0,
            subject_alt_names: uses.1,
            template: uses.2,
            crl_distribution_points: more.0,
            ocsp_urls: more.1,
            is_ca: what.4.2,
            chain: more.2,
            issuer_urls: Vec::new(),
            issuer_thumbprint: None,
            root_thumbprint: None,
            revocation: None,
        })
        .boxed()
}

pub(crate) fn evidence() -> BoxedStrategy<Evidence> {
    prop_oneof![
        1 => later::tpm(tpm()).prop_map(Evidence::Tpm),
        1 => later::operating_system(operating_system()).prop_map(Evidence::OperatingSystem),
        1 => later::join_state(join_state()).prop_map(Evidence::JoinState),
        1 => prt().prop_map(Evidence::Prt),
        1 => later::ngc(ngc()).prop_map(Evidence::Ngc),
        1 => ngc_prerequisites().prop_map(Evidence::NgcPrerequisites),
        1 => later::key_registration(key_registration()).prop_map(Evidence::KeyRegistration),
        1 => domain_controller().prop_map(Evidence::DomainController),
        1 => certificate_listing().prop_map(Evidence::CertificateListing),
        1 => later::certificate(certificate()).prop_map(|certificate| Evidence::Certificate(Box::new(certificate))),
        21 => later::evidence(),
    ]
    .boxed()
}

fn failure_reason() -> BoxedStrategy<FailureReason> {
    prop_oneof![
        Just(FailureReason::TimedOut),
        Just(FailureReason::AccessDenied),
        Just(FailureReason::Unavailable),
        Just(FailureReason::Unreadable),
        Just(FailureReason::Incomplete),
        Just(FailureReason::WrongContext),
        Just(FailureReason::Internal),
        Just(FailureReason::Other)
    ]
    .boxed()
}

/// An observation whose key fits its evidence.
pub(crate) fn observation() -> BoxedStrategy<Observation> {
    let outcome = prop_oneof![
        6 => evidence().prop_map(|evidence| (evidence.kind(), Outcome::Observed(evidence))),
        1 => any_kind().prop_map(|kind| (kind, Outcome::Absent)),
        1 => (any_kind(), text()).prop_map(|(kind, detail)| (kind, Outcome::Unsupported(Unsupported { detail }))),
        2 => (any_kind(), failure_reason(), text())
            .prop_map(|(kind, reason, detail)| (kind, Outcome::Failed(Failure { reason, detail }))),
    ];
    let context = prop_oneof![Just(Context::Service), Just(Context::UserSession), Just(Context::Unknown)];
    let origin = prop_oneof![Just(Origin::Live), Just(Origin::Capture)];
    (outcome, sid(), sha256(), clock(), context, origin)
        .prop_map(|((kind, outcome), sid, sha256, observed_at, context, origin)| {
            let subject = match &outcome {
                _ if kind.is_of_user() => Subject::User(sid),
                Outcome::Observed(Evidence::Certificate(certificate)) => Subject::Certificate(certificate.sha256),
                _ if kind == Kind::Certificate => Subject::Certificate(sha256),
                _ => Subject::Host,
            };
            let key = ObservationKey { kind, subject };
            Observation { key, outcome, observed_at, context, origin }
        })
        .boxed()
}

fn any_kind() -> BoxedStrategy<Kind> {
    proptest::sample::select(Kind::ALL).boxed()
}

fn user_keys() -> BoxedStrategy<UserKeys> {
    let usage = any::<u8>().prop_map(|number| match number {
        1 => KeyUsage::Ngc,
        7 => KeyUsage::Fido,
        8 => KeyUsage::Fek,
        other => KeyUsage::Other(other),
    });
    let usage = prop_oneof![Just(KeyUsage::Ngc), Just(KeyUsage::Fido), Just(KeyUsage::Fek), usage];
    let source = any::<u8>().prop_map(|number| match number {
        0 => KeySource::ActiveDirectory,
        1 => KeySource::AzureAd,
        other => KeySource::Other(other),
    });
    let source = prop_oneof![Just(KeySource::ActiveDirectory), Just(KeySource::AzureAd), source];
    let strength = prop_oneof![Just(KeyStrength::Unknown), Just(KeyStrength::Weak), Just(KeyStrength::Normal)];
    let key = (
        (of(sha256()), usage, of(source), of(guid())),
        (of(time()), of(time()), any::<(Option<u32>, Option<bool>, Option<bool>)>(), strength, text()),
    )
        .prop_map(|(what, more)| DirectoryKey {
            key_id: what.0,
            usage: what.1,
            source: what.2,
            device_id: what.3,
            created_at: more.0,
            last_used_at: more.1,
            rsa_bits: more.2.0,
            roca: more.2.1,
            strength: more.3,
            key_hash_valid: more.2.2,
            remark: more.4,
        });
    (sid(), vec(key, 0..=limits::KEYS_PER_USER), any::<u32>(), any::<u32>())
        .prop_map(|(sid, keys, undecodable, left_out)| UserKeys { sid, keys, undecodable, left_out, upn: None })
        .boxed()
}

fn inventory_part() -> BoxedStrategy<InventoryPart> {
    let item = prop_oneof![
        later::user_keys(user_keys()).prop_map(InventoryItem::UserKeys),
        text().prop_map(InventoryItem::Removed)
    ];
    ((dns(), "[a-z-]{1,20}", any::<u64>(), 1..=u64::MAX), (clock(), vec(item, 0..4), any::<(bool, bool)>()))
        .prop_map(|((forest, source, epoch, cursor), (as_of, items, (complete, canary_seen)))| InventoryPart {
            forest: Forest(forest),
            source: Text::exact(&source).unwrap(),
            epoch,
            cursor,
            as_of,
            items,
            complete,
            canary_seen,
        })
        .boxed()
}

fn series() -> BoxedStrategy<SeriesAppend> {
    let point = (clock(), any::<i64>()).prop_map(|(at, milli)| SeriesPoint { at, milli });
    (proptest::sample::select(SeriesKind::ALL), 1..=u64::MAX / 2, vec(point, 0..20))
        .prop_map(|(series, first_sequence, points)| SeriesAppend { series, first_sequence, points })
        .boxed()
}

fn host() -> BoxedStrategy<HostIdentity> {
    (dns(), of(dns().prop_map(Forest)), of(site()), of(guid()), of(guid()), of(sha256()))
        .prop_map(|(name, forest, site, object_guid, device_id, ek_sha256)| HostIdentity {
            name,
            forest,
            site,
            object_guid,
            device_id,
            ek_sha256,
        })
        .boxed()
}

/// A report in which no key stands twice.
pub(crate) fn report() -> BoxedStrategy<Report> {
    let version = "[0-9]\\.[0-9]{1,2}\\.[0-9]";
    let numbering = (1..=u64::MAX, 1..=u64::MAX);
    let roles = proptest::sample::subsequence(Role::ALL, 0..=Role::ALL.len());
    (
        (version, any::<[u8; 16]>(), numbering, host(), roles, clock()),
        (vec(observation(), 0..12), vec(series(), 0..3), vec(inventory_part(), 0..3)),
        of(client_certificate()),
    )
        .prop_map(|((version, install, numbering, host, roles, sent_at), (observations, series, inventory), own)| {
            let mut keys = std::collections::HashSet::new();
            Report {
                probe_version: Text::exact(&version).unwrap(),
                install_id: InstallId(install),
                incarnation: numbering.0,
                sequence: numbering.1,
                host,
                roles,
                sent_at,
                observations: observations.into_iter().filter(|seen| keys.insert(seen.key.clone())).collect(),
                series,
                inventory,
                client_certificate: own,
            }
        })
        .boxed()
}

fn client_certificate() -> BoxedStrategy<ClientCertificate> {
    let newer = (clock(), "[a-z ]{0,40}")
        .prop_map(|(since, problem)| UnusableCertificate { since, problem: Text::exact(&problem).unwrap() });
    (clock(), clock(), of(newer.boxed()))
        .prop_map(|(not_before, not_after, newer)| ClientCertificate { not_before, not_after, newer })
        .boxed()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn t(text: &str) -> Text {
    Text::exact(text).unwrap()
}

/// One report with every kind of evidence of the first wire form, every outcome, and all three shapes.
///
/// Its bytes are those of `tests/golden`, so what came later is in [`whole_report`].
pub(crate) fn sample_report() -> Report {
    let sid: Sid = "S-1-5-21-1004336348-1177238915-682003330-1104".parse().unwrap();
    let sha256 = Sha256([0xC0; 32]);
    let guid: Guid = "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap();
    let observed = |subject: Subject, context: Context, evidence: Evidence| Observation {
        key: ObservationKey { kind: evidence.kind(), subject },
        outcome: Outcome::Observed(evidence),
        observed_at: at("2026-03-02T08:14:07Z"),
        context,
        origin: Origin::Live,
    };
    let of_host = |evidence| observed(Subject::Host, Context::Service, evidence);
    let of_user = |evidence| observed(Subject::User(sid.clone()), Context::UserSession, evidence);
    let other_user: Sid = "S-1-12-1-1-2-3-4".parse().unwrap();
    let ended = |kind, outcome| Observation {
        key: ObservationKey::user(kind, other_user.clone()),
        outcome,
        observed_at: at("2026-03-02T08:14:08.250Z"),
        context: Context::Unknown,
        origin: Origin::Capture,
    };
    Report {
        probe_version: t("0.1.0"),
        install_id: InstallId([0x11; 16]),
        incarnation: 0x0123_4567_89AB_CDEF,
        sequence: 42,
        host: HostIdentity {
            name: "dc01.corp.example".parse().unwrap(),
            forest: Some("corp.example".parse().unwrap()),
            site: Some("Zürich HQ".parse().unwrap()),
            object_guid: Some(guid),
            device_id: Some(Guid([0xD1; 16])),
            ek_sha256: Some(Sha256([0xE1; 32])),
        },
        roles: vec![Role::Endpoint, Role::DomainController],
        sent_at: at("2026-03-02T08:14:09Z"),
        observations: vec![
            of_host(Evidence::Tpm(Tpm {
                version: TpmVersion::V2_0,
                manufacturer: Some(t("INTC")),
                firmware: Some(t("600.18")),
                lockout: Some(TpmLockout { locked: false, max_failures: 32, recovery_seconds: 600, failures: None }),
                ek_certificates: Some(EkCertificates { rsa_2048: true, ecc_p256: true, ecc_p384: false }),
                fips_mode: Some(false),
                endorsement_key: None,
                readiness: None,
            })),
            of_host(Evidence::OperatingSystem(OperatingSystem {
                family: OsFamily::Windows,
                name: t("Windows Server 2022 Datacenter"),
                version: t("10.0.20348"),
                build: Some(20348),
                revision: Some(2527),
                edition: Some(t("ServerDatacenter")),
                product_type: Some(ProductType::DomainController),
                server_core: Some(true),
                release: None,
                firmware: None,
            })),
            of_host(Evidence::JoinState(JoinState {
                azure_ad_joined: Tristate::Yes,
                enterprise_joined: Tristate::No,
                domain_joined: Tristate::Yes,
                workplace_joined: Tristate::NotShown,
                domain: Some(DomainMembership { name: t("CORP"), software: t("windows") }),
                tenant_id: Some(guid),
                device_id: Some(Guid([0xD1; 16])),
                tpm_protected: Tristate::Undetermined,
                device_auth: Some(DeviceAuth::TestFailed(t("0x80072ee2"))),
                device_certificate_not_before: Some(at("2025-01-01T00:00:00Z")),
                device_certificate_not_after: Some(at("2035-01-01T00:00:00Z")),
                device_certificate_thumbprint: None,
                key_sign_test: None,
                recovery: Tristate::NotShown,
            })),
            of_user(Evidence::Prt(Prt {
                present: Tristate::Yes,
                updated_at: Some(at("2026-03-02T07:00:00Z")),
                expires_at: Some(at("2026-03-16T07:00:00Z")),
                attempt_status: Some(t("0xc000006d")),
                server_error: Some(t("AADSTS50155")),
                on_prem_tgt: Tristate::No,
                cloud_tgt: Tristate::Yes,
            })),
            of_user(Evidence::Ngc(Ngc {
                set: Tristate::Yes,
                key_id: Some(guid),
                can_reset: Some(CanReset::DestructiveAndNonDestructive),
                wam_default_set: Tristate::Yes,
                wam_default_error: None,
                workplace_joined: Tristate::NotShown,
                work_accounts: None,
            })),
            of_user(Evidence::NgcPrerequisites(NgcPrerequisites {
                is_device_joined: Tristate::Yes,
                is_user_azure_ad: Tristate::Yes,
                policy_enabled: Tristate::No,
                post_logon_enabled: Tristate::Yes,
                device_eligible: Tristate::Yes,
                session_is_not_remote: Tristate::No,
                cert_enrollment: Some(CertEnrollment::None),
                on_prem_tgt: Tristate::Undetermined,
                result: PreReqResult::WillNotProvision,
                error: Some(t("0x80070490")),
            })),
            of_user(Evidence::KeyRegistration(KeyRegistration {
                registered_at: at("2026-02-28T15:00:00Z"),
                key_id: Some(guid),
                device_id: Some(Guid([0xD1; 16])),
                public_key_sha256: Some(Sha256([0xAB; 32])),
                attestation: Some(t("ATT_SOFT")),
                upn: None,
            })),
            of_host(Evidence::DomainController(DomainController {
                fqdn: "dc01.corp.example".parse().unwrap(),
                domain_dns: "corp.example".parse().unwrap(),
                domain_netbios: Some(t("CORP")),
                forest: "corp.example".parse().unwrap(),
                site: Some("Zürich HQ".parse().unwrap()),
                read_only: Some(false),
            })),
            of_host(Evidence::CertificateListing(CertificateListing {
                store: CertificateStore::LocalMachineMy,
                certificates: vec![ListedCertificate { sha256, private_key: PrivateKey::Present, archived: false }],
                left_out: 1,
                unreadable: 2,
            })),
            observed(
                Subject::Certificate(sha256),
                Context::Service,
                Evidence::Certificate(Box::new(Certificate {
                    sha256,
                    thumbprint: Thumbprint([0x5A; 20]),
                    subject: t("CN=dc01.corp.example"),
                    issuer: t("CN=Corp Issuing CA,DC=corp,DC=example"),
                    serial: t("61000000021f"),
                    not_before: at("1970-01-01T00:00:00Z"),
                    not_after: at("2026-03-11T08:14:07Z"),
                    key: KeyAlgorithm::Rsa { bits: 2048 },
                    signature_hash: SignatureHash::Sha256,
                    digital_signature: Some(true),
                    key_encipherment: Some(true),
                    extended_key_usages: Some(vec![
                        ExtendedKeyUsage(t(ExtendedKeyUsage::KDC_AUTH)),
                        ExtendedKeyUsage(t(ExtendedKeyUsage::SERVER_AUTH)),
                    ]),
                    subject_alt_names: vec![
                        SubjectAltName::DirectoryGuid(t("512a3c0fb4770e4d9a5c1b2c3d4e5f60")),
                        SubjectAltName::Dns(t("dc01.corp.example")),
                    ],
                    template: Some(TemplateReference::Oid(t("1.3.6.1.4.1.311.21.8.1.2.3"))),
                    crl_distribution_points: vec![t("http://pki.corp.example/ca.crl")],
                    ocsp_urls: vec![t("http://ocsp.corp.example/")],
                    is_ca: false,
                    chain: ChainStatus::Trusted { anchor: t("CN=Corp Root CA") },
                    issuer_urls: Vec::new(),
                    issuer_thumbprint: None,
                    root_thumbprint: None,
                    revocation: None,
                })),
            ),
            ended(Kind::Prt, Outcome::Absent),
            ended(Kind::Ngc, Outcome::Unsupported(Unsupported { detail: t("no Windows Hello on this system") })),
            ended(
                Kind::NgcPrerequisites,
                Outcome::Failed(Failure {
                    reason: FailureReason::WrongContext,
                    detail: t("asked outside the user's session"),
                }),
            ),
        ],
        series: vec![SeriesAppend {
            series: SeriesKind::KdcAsRate,
            first_sequence: 7,
            points: vec![
                SeriesPoint { at: at("2026-03-02T08:13:00Z"), milli: 1_250 },
                SeriesPoint { at: at("2026-03-02T08:14:00Z"), milli: -1 },
            ],
        }],
        client_certificate: None,
        inventory: vec![InventoryPart {
            forest: "corp.example".parse().unwrap(),
            source: t("key-credentials"),
            epoch: 3,
            cursor: 1,
            as_of: at("2026-03-02T08:00:00Z"),
            items: vec![
                InventoryItem::UserKeys(UserKeys {
                    sid,
                    keys: vec![DirectoryKey {
                        key_id: Some(Sha256([0xAB; 32])),
                        usage: KeyUsage::Ngc,
                        source: Some(KeySource::AzureAd),
                        device_id: Some(Guid([0xD1; 16])),
                        created_at: Some(at("2026-02-28T15:00:00Z")),
                        last_used_at: None,
                        rsa_bits: Some(2048),
                        roca: Some(false),
                        strength: KeyStrength::Normal,
                        key_hash_valid: Some(true),
                        remark: t(""),
                    }],
                    undecodable: 1,
                    left_out: 0,
                    upn: None,
                }),
                InventoryItem::Removed(t("S-1-5-21-1004336348-1177238915-682003330-1105")),
            ],
            complete: true,
            canary_seen: true,
        }],
    }
}
