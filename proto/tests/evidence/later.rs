//! Kinds and fields that came after the first wire form, whose bytes `tests/golden` keeps.

use muster_evidence::{
    Certificate, Clock, CrlFetch, DcLocator, DeviceRegistrationPolicy, DistributionPoint, EventLog, EventLogState,
    EventSummary, Evidence, FirmwareType, HelloPolicy, InventoryItem, JoinState, KdcCounter, KdcLoad, KdcPolicy,
    KdcService, KeyRegistration, KeySignTest, LocatorAnswer, NewestEvent, Ngc, Observation, ObservationKey,
    OperatingSystem, Outcome, PinComplexity, PinProvider, ProvisioningEvent, RegistrationDiagnostics,
    RegistrationPhase, RegistrationTest, Replication, ReplicationPartner, Report, Revocation, RevocationList,
    RevocationLists, ServiceState, SyncScheduler, TestResult, Text, Thumbprint, Timestamp, Tpm, TpmReadiness, Tristate,
    TrustStore, UserKeys, UserSession, limits,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{at, guid, sample_report, t, text, time, tristate};

fn thumbprint() -> BoxedStrategy<Thumbprint> {
    any::<[u8; 20]>().prop_map(Thumbprint).boxed()
}

fn number() -> BoxedStrategy<Option<u32>> {
    any::<Option<u32>>().boxed()
}

pub(super) fn tpm(before: BoxedStrategy<Tpm>) -> BoxedStrategy<Tpm> {
    let readiness = any::<(bool, Option<u32>)>().prop_map(|(ready, missing)| TpmReadiness { ready, missing }).boxed();
    (before, of(readiness)).prop_map(|(tpm, readiness)| Tpm { readiness, ..tpm }).boxed()
}

pub(super) fn operating_system(before: BoxedStrategy<OperatingSystem>) -> BoxedStrategy<OperatingSystem> {
    (before, of(text()), of(select(&[FirmwareType::Bios, FirmwareType::Uefi])))
        .prop_map(|(system, release, firmware)| OperatingSystem { release, firmware, ..system })
        .boxed()
}

pub(super) fn join_state(before: BoxedStrategy<JoinState>) -> BoxedStrategy<JoinState> {
    let test =
        prop_oneof![Just(KeySignTest::Passed), text().prop_map(KeySignTest::Failed), Just(KeySignTest::NotElevated)];
    (before, of(thumbprint()), of(test), tristate())
        .prop_map(|(join, device_certificate_thumbprint, key_sign_test, recovery)| JoinState {
            device_certificate_thumbprint,
            key_sign_test,
            recovery,
            ..join
        })
        .boxed()
}

pub(super) fn ngc(before: BoxedStrategy<Ngc>) -> BoxedStrategy<Ngc> {
    (before, of(text()), tristate(), number())
        .prop_map(|(ngc, wam_default_error, workplace_joined, work_accounts)| Ngc {
            wam_default_error,
            workplace_joined,
            work_accounts,
            ..ngc
        })
        .boxed()
}

pub(super) fn key_registration(before: BoxedStrategy<KeyRegistration>) -> BoxedStrategy<KeyRegistration> {
    (before, of(text())).prop_map(|(registration, upn)| KeyRegistration { upn, ..registration }).boxed()
}

pub(super) fn user_keys(before: BoxedStrategy<UserKeys>) -> BoxedStrategy<UserKeys> {
    (before, of(text())).prop_map(|(keys, upn)| UserKeys { upn, ..keys }).boxed()
}

pub(super) fn certificate(before: BoxedStrategy<Certificate>) -> BoxedStrategy<Certificate> {
    let revocation = prop_oneof![
        Just(Revocation::Good),
        (text(), time()).prop_map(|(subject, at)| Revocation::Revoked { subject, at }),
        text().prop_map(|why| Revocation::Undetermined { why })
    ];
    (before, vec(text(), 0..=limits::CERTIFICATE_LIST), of(thumbprint()), of(thumbprint()), of(revocation))
        .prop_map(|(certificate, issuer_urls, issuer_thumbprint, root_thumbprint, revocation)| Certificate {
            issuer_urls,
            issuer_thumbprint,
            root_thumbprint,
            revocation,
            ..certificate
        })
        .boxed()
}

fn user_session() -> BoxedStrategy<UserSession> {
    (tristate(), of(time()), of(time()))
        .prop_map(|(remote, signed_in_at, unlocked_at)| UserSession { remote, signed_in_at, unlocked_at })
        .boxed()
}

fn pin_provider() -> BoxedStrategy<PinProvider> {
    any::<(Option<u32>, Option<bool>)>()
        .prop_map(|(logon_credentials_available, convenience_pin)| PinProvider {
            logon_credentials_available,
            convenience_pin,
        })
        .boxed()
}

fn provisioning_event() -> BoxedStrategy<ProvisioningEvent> {
    let flags = (tristate(), tristate(), tristate(), tristate(), tristate(), tristate(), tristate());
    (any::<u32>(), time(), flags, of(text()))
        .prop_map(|(id, at, flags, policy_source)| ProvisioningEvent {
            id,
            at,
            device_is_joined: flags.0,
            aad_prt: flags.1,
            policy_enabled: flags.2,
            post_logon_enabled: flags.3,
            hardware_policy_met: flags.4,
            session_is_local: flags.5,
            certificate_required: flags.6,
            policy_source,
        })
        .boxed()
}

#[expect(clippy::many_single_char_names, reason = "twelve numbers of one sort, each used once")]
fn hello_policy() -> BoxedStrategy<Box<HelloPolicy>> {
    let numbers = any::<[Option<u32>; 20]>();
    let most = limits::POLICY_VALUES;
    (of(guid()), numbers, vec(text(), 0..=most), vec(text(), 0..=most))
        .prop_map(|(tenant_id, numbers, unreadable, other)| {
            let [a, b, c, d, e, f, g, h, i, j, k, l, pin @ ..] = numbers;
            Box::new(HelloPolicy {
                tenant_id,
                enabled: a,
                disable_post_logon_provisioning: b,
                require_security_device: c,
                exclude_tpm12: d,
                use_certificate_for_on_prem_auth: e,
                use_cloud_trust_for_on_prem_auth: f,
                enable_pin_recovery: g,
                use_hello_certificates_as_smart_cards: h,
                use_remote_passport: i,
                enable_security_key_provisioning: j,
                pin: PinComplexity {
                    minimum_length: pin[0],
                    maximum_length: pin[1],
                    uppercase: pin[2],
                    lowercase: pin[3],
                    special: pin[4],
                    digits: pin[5],
                    history: pin[6],
                    expiration_days: pin[7],
                },
                use_biometrics: k,
                enhanced_anti_spoofing: l,
                unreadable,
                other,
            })
        })
        .boxed()
}

fn device_registration_policy() -> BoxedStrategy<DeviceRegistrationPolicy> {
    (number(), number(), of(guid()), of(text()))
        .prop_map(|(block_workplace_join, auto_workplace_join, scp_tenant_id, scp_tenant_name)| {
            DeviceRegistrationPolicy { block_workplace_join, auto_workplace_join, scp_tenant_id, scp_tenant_name }
        })
        .boxed()
}

fn registration_diagnostics() -> BoxedStrategy<Box<RegistrationDiagnostics>> {
    let phases = [
        RegistrationPhase::PreCheck,
        RegistrationPhase::Discover,
        RegistrationPhase::Authenticate,
        RegistrationPhase::Join,
        RegistrationPhase::Other,
    ];
    let results = [TestResult::Pass, TestResult::Fail, TestResult::Skipped, TestResult::Other];
    let test = (text(), select(results.to_vec()), of(text())).prop_map(|(name, result, detail)| RegistrationTest {
        name,
        result,
        detail,
    });
    (
        (of(text()), of(time()), of(text()), of(select(phases.to_vec())), number()),
        (of(text()), of(text()), number(), of(text()), vec(test, 0..=limits::REGISTRATION_TESTS)),
    )
        .prop_map(|(first, second)| {
            Box::new(RegistrationDiagnostics {
                user_context: first.0,
                previous_registration: first.1,
                registration_type: first.2,
                phase: first.3,
                client_error: first.4,
                server_error: second.0,
                server_message: second.1,
                https_status: second.2,
                request_id: second.3,
                tests: second.4,
            })
        })
        .boxed()
}

fn dc_locator() -> BoxedStrategy<DcLocator> {
    let answer = || {
        prop_oneof![
            (text(), of(text()), any::<u32>()).prop_map(|(name, site, flags)| LocatorAnswer::Found {
                name,
                site,
                flags
            }),
            any::<u32>().prop_map(|code| LocatorAnswer::Refused { code })
        ]
    };
    (text(), answer(), answer(), tristate(), of(text()))
        .prop_map(|(domain, any, capable, forced, client_site)| DcLocator { domain, any, capable, forced, client_site })
        .boxed()
}

fn trust_store() -> BoxedStrategy<TrustStore> {
    (vec(thumbprint(), 0..=limits::TRUSTED_CERTIFICATES), any::<u32>())
        .prop_map(|(thumbprints, left_out)| TrustStore { thumbprints, left_out })
        .boxed()
}

fn revocation_lists() -> BoxedStrategy<RevocationLists> {
    let fetch = prop_oneof![
        Just(CrlFetch::Fetched),
        text().prop_map(|detail| CrlFetch::Unreachable { detail }),
        text().prop_map(|detail| CrlFetch::Unusable { detail }),
        text().prop_map(|why| CrlFetch::NotAsked { why })
    ];
    let list = (text(), of(text()), time(), of(time()), of(time()), any::<u32>()).prop_map(
        |(issuer, number, this_update, next_update, next_publish, bytes)| RevocationList {
            issuer,
            number,
            this_update,
            next_update,
            next_publish,
            bytes,
        },
    );
    let point = (text(), any::<bool>(), fetch, of(list)).prop_map(|(url, delta, fetch, list)| DistributionPoint {
        url,
        delta,
        fetch,
        list,
    });
    (vec(point, 0..=limits::DISTRIBUTION_POINTS), any::<u32>())
        .prop_map(|(points, left_out)| RevocationLists { points, left_out })
        .boxed()
}

fn event_summary() -> BoxedStrategy<EventSummary> {
    let state = prop_oneof![
        Just(EventLogState::Read),
        Just(EventLogState::Disabled),
        text().prop_map(EventLogState::Unreadable)
    ];
    let log = (text(), state, of(time())).prop_map(|(channel, state, oldest)| EventLog { channel, state, oldest });
    let event = (text(), text(), any::<u32>(), time(), of(text()))
        .prop_map(|(channel, provider, id, at, data)| NewestEvent { channel, provider, id, at, data });
    (vec(log, 0..=limits::EVENT_LOGS), vec(event, 0..=limits::EVENT_KINDS))
        .prop_map(|(logs, events)| EventSummary { logs, events })
        .boxed()
}

fn kdc_service() -> BoxedStrategy<KdcService> {
    let states = [
        ServiceState::Running,
        ServiceState::Starting,
        ServiceState::Stopping,
        ServiceState::Stopped,
        ServiceState::Paused,
    ];
    (select(states.to_vec()), any::<Option<bool>>())
        .prop_map(|(state, disabled)| KdcService { state, disabled })
        .boxed()
}

fn kdc_policy() -> BoxedStrategy<KdcPolicy> {
    (number(), number())
        .prop_map(|(allow_nt_auth_policy_bypass, sam_ngc_key_roca_validation)| KdcPolicy {
            allow_nt_auth_policy_bypass,
            sam_ngc_key_roca_validation,
        })
        .boxed()
}

fn kdc_load() -> BoxedStrategy<KdcLoad> {
    (select(&[KdcCounter::SecuritySystemWide, KdcCounter::Ntds]), time(), any::<(u32, u32, u32)>())
        .prop_map(|(counter, since, (peak_milli, mean_milli, minutes))| KdcLoad {
            counter,
            since,
            peak_milli,
            mean_milli,
            minutes,
        })
        .boxed()
}

fn replication() -> BoxedStrategy<Replication> {
    let partner = (text(), text(), of(time()), any::<(u32, u32)>()).prop_map(
        |(source, naming_context, last_success, (failures, last_result))| ReplicationPartner {
            source,
            naming_context,
            last_success,
            failures,
            last_result,
        },
    );
    (vec(partner, 0..=limits::REPLICATION_PARTNERS), any::<u32>())
        .prop_map(|(partners, left_out)| Replication { partners, left_out })
        .boxed()
}

fn sync_scheduler() -> BoxedStrategy<SyncScheduler> {
    ((number(), number(), number()), of(text()), of(time()), any::<[Option<bool>; 5]>())
        .prop_map(|(seconds, next_policy, next_start, flags)| SyncScheduler {
            allowed_interval_seconds: seconds.0,
            effective_interval_seconds: seconds.1,
            customized_interval_seconds: seconds.2,
            next_policy,
            next_start,
            enabled: flags[0],
            maintenance_enabled: flags[1],
            staging: flags[2],
            suspended: flags[3],
            in_progress: flags[4],
        })
        .boxed()
}

/// Evidence of the kinds that came later.
pub(super) fn evidence() -> BoxedStrategy<Evidence> {
    prop_oneof![
        user_session().prop_map(Evidence::UserSession),
        pin_provider().prop_map(Evidence::PinProvider),
        provisioning_event().prop_map(Evidence::ProvisioningEvent),
        hello_policy().prop_map(Evidence::UserPolicy),
        hello_policy().prop_map(Evidence::UserMdmPolicy),
        hello_policy().prop_map(Evidence::ComputerPolicy),
        hello_policy().prop_map(Evidence::DeviceMdmPolicy),
        device_registration_policy().prop_map(Evidence::DeviceRegistrationPolicy),
        registration_diagnostics().prop_map(Evidence::RegistrationDiagnostics),
        dc_locator().prop_map(Evidence::DcLocator),
        trust_store().prop_map(Evidence::RootStore),
        trust_store().prop_map(Evidence::NtAuthStore),
        revocation_lists().prop_map(Evidence::RevocationLists),
        event_summary().prop_map(Evidence::DeviceEvents),
        event_summary().prop_map(Evidence::KdcEvents),
        kdc_service().prop_map(Evidence::KdcService),
        kdc_policy().prop_map(Evidence::KdcPolicy),
        kdc_load().prop_map(Evidence::KdcLoad),
        replication().prop_map(Evidence::Replication),
        sync_scheduler().prop_map(Evidence::SyncScheduler),
        any::<i32>().prop_map(|ahead_seconds| Evidence::Clock(Clock { ahead_seconds })),
    ]
    .boxed()
}

fn sample_policy(enabled: u32) -> Box<HelloPolicy> {
    Box::new(HelloPolicy {
        enabled: Some(enabled),
        require_security_device: Some(1),
        pin: PinComplexity { minimum_length: Some(6), ..PinComplexity::default() },
        unreadable: vec![t("UseCloudTrustForOnPremAuth")],
        other: vec![t("NewSetting=1")],
        ..HelloPolicy::default()
    })
}

fn sample_events(channel: &str, id: u32) -> EventSummary {
    EventSummary {
        logs: vec![EventLog {
            channel: t(channel),
            state: EventLogState::Read,
            oldest: Some(at("2026-01-07T00:00:00Z")),
        }],
        events: vec![NewestEvent {
            channel: t(channel),
            provider: t("Microsoft-Windows-Kerberos-Key-Distribution-Center"),
            id,
            at: at("2026-03-01T22:10:00Z"),
            data: Some(t("0x800B010A")),
        }],
    }
}

fn sample_of_users() -> Vec<Evidence> {
    vec![
        Evidence::UserSession(UserSession {
            remote: Tristate::No,
            signed_in_at: Some(at("2026-03-02T07:00:00Z")),
            unlocked_at: None,
        }),
        Evidence::PinProvider(PinProvider { logon_credentials_available: Some(1), convenience_pin: Some(false) }),
        Evidence::ProvisioningEvent(ProvisioningEvent {
            id: 360,
            at: at("2026-03-02T07:00:12Z"),
            device_is_joined: Tristate::Yes,
            aad_prt: Tristate::Yes,
            policy_enabled: Tristate::No,
            post_logon_enabled: Tristate::NotShown,
            hardware_policy_met: Tristate::Yes,
            session_is_local: Tristate::Yes,
            certificate_required: Tristate::Undetermined,
            policy_source: Some(t("None")),
        }),
        Evidence::UserPolicy(sample_policy(1)),
        Evidence::UserMdmPolicy(sample_policy(0)),
    ]
}

fn sample_of_host() -> Vec<Evidence> {
    let store = TrustStore { thumbprints: vec![Thumbprint([0x0A; 20]), Thumbprint([0x0B; 20])], left_out: 1 };
    vec![
        Evidence::ComputerPolicy(sample_policy(1)),
        Evidence::DeviceMdmPolicy(sample_policy(1)),
        Evidence::DeviceRegistrationPolicy(DeviceRegistrationPolicy {
            block_workplace_join: Some(0),
            auto_workplace_join: None,
            scp_tenant_id: Some("0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()),
            scp_tenant_name: Some(t("corp.example")),
        }),
        Evidence::RegistrationDiagnostics(Box::new(RegistrationDiagnostics {
            user_context: Some(t("SYSTEM")),
            phase: Some(RegistrationPhase::Join),
            client_error: Some(0x801C_03F2),
            https_status: Some(400),
            tests: vec![RegistrationTest {
                name: t("DRS Connectivity"),
                result: TestResult::Fail,
                detail: Some(t("0x80072ee7")),
            }],
            ..RegistrationDiagnostics::default()
        })),
        Evidence::DcLocator(DcLocator {
            domain: t("corp.example"),
            any: LocatorAnswer::Found { name: t("dc01.corp.example"), site: Some(t("Zürich HQ")), flags: 0xE003_F3FD },
            capable: LocatorAnswer::Refused { code: 1355 },
            forced: Tristate::Yes,
            client_site: Some(t("Zürich HQ")),
        }),
        Evidence::RootStore(store.clone()),
        Evidence::NtAuthStore(store),
        Evidence::RevocationLists(RevocationLists {
            points: vec![DistributionPoint {
                url: t("http://pki.corp.example/ca.crl"),
                delta: false,
                fetch: CrlFetch::Fetched,
                list: Some(RevocationList {
                    issuer: t("CN=Corp Issuing CA,DC=corp,DC=example"),
                    number: Some(t("01a4")),
                    this_update: at("2026-02-27T22:00:00Z"),
                    next_update: Some(at("2026-03-07T10:00:00Z")),
                    next_publish: Some(at("2026-03-06T22:00:00Z")),
                    bytes: 1_204,
                }),
            }],
            left_out: 0,
        }),
        Evidence::DeviceEvents(sample_events("Microsoft-Windows-User Device Registration/Admin", 304)),
        Evidence::KdcEvents(sample_events("System", 19)),
        Evidence::KdcService(KdcService { state: ServiceState::Running, disabled: Some(false) }),
        Evidence::KdcPolicy(KdcPolicy { allow_nt_auth_policy_bypass: Some(0), sam_ngc_key_roca_validation: None }),
        Evidence::KdcLoad(KdcLoad {
            counter: KdcCounter::SecuritySystemWide,
            since: at("2026-03-02T07:00:00Z"),
            peak_milli: 41_000,
            mean_milli: 12_250,
            minutes: 60,
        }),
        Evidence::Replication(Replication {
            partners: vec![ReplicationPartner {
                source: t("dc02.corp.example"),
                naming_context: t("DC=corp,DC=example"),
                last_success: Some(at("2026-03-02T07:00:00Z")),
                failures: 0,
                last_result: 0,
            }],
            left_out: 2,
        }),
        Evidence::SyncScheduler(SyncScheduler {
            effective_interval_seconds: Some(1_800),
            next_policy: Some(t("Delta")),
            next_start: Some(at("2026-03-02T08:30:00Z")),
            enabled: Some(true),
            staging: Some(false),
            ..SyncScheduler::default()
        }),
        Evidence::Clock(Clock { ahead_seconds: -75 }),
    ]
}

/// Sets the fields that came later in evidence of the first kinds.
fn complete(evidence: &mut Evidence) {
    let thumbprint = Thumbprint([0x5B; 20]);
    match evidence {
        Evidence::Tpm(tpm) => tpm.readiness = Some(TpmReadiness { ready: false, missing: Some(0x20) }),
        Evidence::OperatingSystem(system) => {
            system.release = Some(t("21H2"));
            system.firmware = Some(FirmwareType::Uefi);
        }
        Evidence::JoinState(join) => {
            join.device_certificate_thumbprint = Some(thumbprint);
            join.key_sign_test = Some(KeySignTest::Failed(t("0x80090016")));
            join.recovery = Tristate::No;
        }
        Evidence::Ngc(ngc) => {
            ngc.wam_default_error = Some(t("ERROR (0xd0020017)"));
            ngc.workplace_joined = Tristate::No;
            ngc.work_accounts = Some(2);
        }
        Evidence::KeyRegistration(registration) => registration.upn = Some(t("anna@corp.example")),
        Evidence::Certificate(certificate) => {
            certificate.issuer_urls = vec![t("http://pki.corp.example/ca.crt")];
            certificate.issuer_thumbprint = Some(thumbprint);
            certificate.root_thumbprint = Some(Thumbprint([0x5C; 20]));
            certificate.revocation =
                Some(Revocation::Revoked { subject: t("CN=dc01.corp.example"), at: at("2026-03-01T00:00:00Z") });
        }
        _ => {}
    }
}

/// The sample with every kind and every field of the vocabulary.
pub(crate) fn whole_report() -> Report {
    let mut report = sample_report();
    for seen in &mut report.observations {
        if let Outcome::Observed(evidence) = &mut seen.outcome {
            complete(evidence);
        }
    }
    for item in report.inventory.iter_mut().flat_map(|part| &mut part.items) {
        if let InventoryItem::UserKeys(keys) = item {
            keys.upn = Some(t("anna@corp.example"));
        }
    }
    for evidence in sample_of_host().into_iter().chain(sample_of_users()) {
        let kind = evidence.kind();
        let model =
            report.observations.iter().find(|seen| seen.key.kind.is_of_user() == kind.is_of_user()).unwrap().clone();
        let key = ObservationKey { kind, subject: model.key.subject.clone() };
        report.observations.push(Observation { key, outcome: Outcome::Observed(evidence), ..model });
    }
    report
}

/// Evidence with as much as its bounds allow: two stores of trust, then a policy, and diagnostics of a registration.
pub(crate) fn largest() -> [Evidence; 4] {
    let long = || Text::exact(&"x".repeat(limits::TEXT_BYTES)).unwrap();
    let store =
        TrustStore { thumbprints: vec![Thumbprint([0xFF; 20]); limits::TRUSTED_CERTIFICATES], left_out: u32::MAX };
    let most = Some(u32::MAX);
    [
        Evidence::RootStore(store.clone()),
        Evidence::NtAuthStore(store),
        Evidence::DeviceMdmPolicy(Box::new(HelloPolicy {
            enabled: most,
            unreadable: vec![long(); limits::POLICY_VALUES],
            other: vec![long(); limits::POLICY_VALUES],
            ..*sample_policy(u32::MAX)
        })),
        Evidence::RegistrationDiagnostics(Box::new(RegistrationDiagnostics {
            user_context: Some(long()),
            previous_registration: Some(Timestamp::MAX),
            registration_type: Some(long()),
            phase: Some(RegistrationPhase::Other),
            client_error: most,
            server_error: Some(long()),
            server_message: Some(long()),
            https_status: most,
            request_id: Some(long()),
            tests: vec![
                RegistrationTest { name: long(), result: TestResult::Other, detail: Some(long()) };
                limits::REGISTRATION_TESTS
            ],
        })),
    ]
}
