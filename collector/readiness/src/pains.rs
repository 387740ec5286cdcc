//! What administrators complain about most, each set up as they meet it: does the judgement say what is wrong, of whom, and
//! what to do? The numbers are the ranks of the list that the checks were chosen by.
//!
//! Complaints about permissions and about Connect are answered as far as an endpoint and its controllers can tell; the
//! directory and the synchronisation have checks of their own, elsewhere.

use std::collections::BTreeSet;

use muster_evidence::{
    Certificate, Context, CrlFetch, DistributionPoint, Evidence, ExtendedKeyUsage, JoinState, KdcPolicy,
    KeyRegistration, KeySignTest, Kind, LocatorAnswer, OperatingSystem, ProvisioningEvent, RegistrationDiagnostics,
    RegistrationPhase, RevocationLists, SubjectAltName, Timestamp, Tristate, UserKeys,
};

use crate::check::fixture::{Host, ada, at, controller, device, hybrid, kdc_certificate, ngc, now, people, prt, text};
use crate::check::fixture::{ekus, registration, site, tpm_2_0, windows_server};
use crate::derive::capability::Capability;
use crate::derive::effective_policy::Channel;
use crate::derive::kdc_events::{OPERATIONAL, SYSTEM};
use crate::derive::key_match::fixture_key;
use crate::{
    CHECKS, DcState, Judged, Judgement, Policy, Rollout, SiteFacts, Standing, Tally, UserOnHost, UserStanding, Verdict,
    check_by_id, judge, rollup,
};

/// The one answer of a check on a host, about the host or its one person.
fn answer(host: &Host, check: &str) -> Judgement {
    let own = judge(&host.facts(), &Policy::default(), host.now);
    let mut own = own.into_iter().filter(|judgement| judgement.check == check);
    let found = own.next().unwrap_or_else(|| panic!("`{check}` answers nothing"));
    assert_eq!(own.next(), None, "`{check}` answers once");
    found
}

/// That a check finds something: how grave, with which words in what was seen, and in what is to be done.
#[track_caller]
fn finds(host: &Host, check: &str, standing: Standing, seen: &[&str], remedy: &[&str]) {
    let Judgement { verdict, subject, .. } = answer(host, check);
    assert_eq!(verdict.standing(), standing, "{check}: {}", verdict.text());
    let of_user = check_by_id(check).unwrap().scope() == crate::Scope::EndpointUser;
    assert_eq!(subject, if of_user { Judged::User(ada()) } else { Judged::Host }, "{check}");
    for word in seen {
        assert!(verdict.seen().contains(word), "{check}: no `{word}` in `{}`", verdict.seen());
    }
    for word in remedy {
        assert!(verdict.remedy().contains(word), "{check}: no `{word}` in `{}`", verdict.remedy());
    }
}

/// That a check is content.
#[track_caller]
fn is_content(host: &Host, check: &str) {
    assert_eq!(answer(host, check).verdict, Verdict::Ready, "{check}");
}

/// A certificate from the template *Domain Controller Authentication*, which LDAPS is content with.
fn for_ldaps(number: u8) -> Certificate {
    Certificate {
        extended_key_usages: ekus(&[
            ExtendedKeyUsage::CLIENT_AUTH,
            ExtendedKeyUsage::SERVER_AUTH,
            ExtendedKeyUsage::SMART_CARD_LOGON,
        ]),
        subject_alt_names: vec![SubjectAltName::Dns(text("dc01.corp.example"))],
        ..kdc_certificate(number)
    }
}

#[test]
fn pain_01_the_certificate_is_there_but_not_the_right_one() {
    let alone = Host::dc_with(&[for_ldaps(4)]);
    is_content(&alone, "dc.cert-present");
    finds(
        &alone,
        "dc.cert-eku",
        Standing::Blocked,
        &["no KDC Authentication", "04040404"],
        &["Kerberos Authentication"],
    );
    finds(&alone, "dc.cert-san", Standing::Blocked, &["no `corp.example`"], &["names the controller, the domain"]);

    // The new one stands beside it, and the KDC goes on with the one it has.
    let events = controller::events(true, &[controller::in_use(4, "2026-03-01T06:00:00Z")]);
    let shadowed = Host::dc_with(&[for_ldaps(4), kdc_certificate(1)]).with(Evidence::KdcEvents(events));
    finds(
        &shadowed,
        "dc.cert-shadowed",
        Standing::Blocked,
        &["the KDC uses", "04040404", "event 302", "01010101"],
        &["restart the service `Kdc`"],
    );
    finds(&shadowed, "dc.cert-eku", Standing::Blocked, &["04040404"], &["remove the older certificate"]);
    // Once the KDC says that it uses the new one, all is well.
    let events = controller::events(true, &[controller::in_use(1, "2026-03-02T06:00:00Z")]);
    let mended = shadowed.with(Evidence::KdcEvents(events));
    for check in ["dc.cert-shadowed", "dc.cert-eku", "dc.cert-san"] {
        is_content(&mended, check);
    }
}

#[test]
fn pain_02_the_revocation_list_is_out_of_reach() {
    let with = |points: &[&str]| Certificate {
        crl_distribution_points: points.iter().map(|url| text(url)).collect(),
        ..kdc_certificate(1)
    };
    let ldap_only = Host::dc_with(&[with(&["ldap:///CN=Corp CA,CN=CDP"])]);
    finds(&ldap_only, "dc.cert-cdp", Standing::Blocked, &["only `ldap:///CN=Corp CA"], &["HTTP distribution point"]);
    let https = Host::dc_with(&[with(&[controller::CRL, "https://pki.corp.example/corp-ca.crl"])]);
    finds(&https, "dc.cert-cdp", Standing::Advisory, &["https://"], &[]);

    let lists = |points| Evidence::RevocationLists(RevocationLists { points, left_out: 0 });
    let ended = Host::dc_with(&[kdc_certificate(1)]).at(at("2026-03-05T12:00:00Z"));
    finds(&ended, "dc.crl-fresh", Standing::Blocked, &["ended on 2026-03-05T12:00:00Z"], &["republish"]);
    // A web server that refuses the `+` of a delta list.
    let refused = DistributionPoint {
        fetch: CrlFetch::Unreachable { detail: text("HTTP 404") },
        list: None,
        ..controller::delta("http://pki.corp.example/corp-ca+.crl")
    };
    let delta = Host::dc_with(&[kdc_certificate(1)]).with(lists(vec![controller::point(controller::CRL), refused]));
    finds(&delta, "dc.crl-fresh", Standing::Blocked, &["delta", "corp-ca+.crl", "HTTP 404"], &["double escaping"]);
}

#[test]
fn pain_03_nobody_can_say_whether_to_wait_for_the_key() {
    let without_key = |now: &str| {
        let mut host = Host::provisioned().at(at(now));
        host.forest
            .keys
            .insert(ada(), UserKeys { sid: ada(), keys: Vec::new(), undecodable: 0, left_out: 0, upn: None });
        host.inventory(at(now))
    };
    // Registered at 08:14:07: due at 09:39:07, blocked an hour later.
    let pending = answer(&without_key("2026-03-02T09:00:00Z"), "sync.key-state");
    assert_eq!(pending.valid_until, Some(at("2026-03-02T09:39:07Z")), "{:?}", pending.verdict);
    assert_ne!(pending.verdict.standing(), Standing::Blocked);
    let overdue = answer(&without_key("2026-03-02T10:00:00Z"), "sync.key-state");
    let words = overdue.verdict.text();
    assert!(words.contains("overdue") && words.contains("by 2026-03-02T09:39:07Z (blocks from"), "{words}");
    finds(&without_key("2026-03-02T11:00:00Z"), "sync.key-state", Standing::Blocked, &["08:14:07Z"], &["Connect"]);
    // And where the way to the next site's controllers is what is slow:
    let late = muster_evidence::ReplicationPartner {
        failures: 9,
        last_result: 1722,
        ..controller::partner("2026-02-27T11:00:00Z")
    };
    let replication = muster_evidence::Replication { partners: vec![late], left_out: 0 };
    finds(
        &Host::dc_with(&[kdc_certificate(1)]).with(Evidence::Replication(replication)),
        "dc.replication",
        Standing::Advisory,
        &["dc02.corp.example", "2026-02-27T11:00:00Z", "1722"],
        &["repadmin"],
    );
}

#[test]
fn pain_04_a_bad_build_takes_keys_away_or_refuses_them() {
    let on = |build, revision| {
        let os = OperatingSystem { revision: Some(revision), ..windows_server(build) };
        Host::dc_with(&[kdc_certificate(1)]).with(Evidence::OperatingSystem(os))
    };
    for (host, fixed_by) in [(on(14_393, 3_986), "14393.4104"), (on(17_763, 1_577), "17763.1637")] {
        finds(
            &host,
            "dc.known-bad-build",
            Standing::Blocked,
            &["deletes the user's key"],
            &["every domain controller"],
        );
        assert!(answer(&host, "dc.known-bad-build").verdict.text().contains(fixed_by));
    }
    let enforcing = KdcPolicy { allow_nt_auth_policy_bypass: Some(2), sam_ngc_key_roca_validation: None };
    let spring = on(20_348, 3_453).with(Evidence::KdcPolicy(enforcing));
    finds(&spring, "dc.known-bad-build", Standing::Blocked, &["event 21"], &["Install the update"]);
    finds(&spring, "dc.ntauth-policy", Standing::Blocked, &["AllowNtAuthPolicyBypass"], &["June 2025"]);
    let noise = controller::events(false, &[controller::event(SYSTEM, 45, "2026-03-01T06:00:00Z")]);
    finds(&on(20_348, 3_453).with(Evidence::KdcEvents(noise)), "dc.kdc-events", Standing::Advisory, &["event 45"], &[]);
}

/// A controller as its site sees it.
fn dc(name: &str, host: &Host) -> DcState {
    let mut host = host.clone();
    host.facts.host = name.parse().unwrap();
    DcState {
        host: name.parse().unwrap(),
        operating_system: None,
        capability: match answer(&host, "dc.os-version").verdict {
            Verdict::Ready => Capability::Capable,
            _ => Capability::NotCapable { reason: "not capable".to_owned() },
        },
        judgements: judge(&host.facts(), &Policy::default(), host.now),
        last_seen: now(),
        kdc_issuers: None,
    }
}

/// The site of these controllers, with ten people who are ready.
fn at_site(dcs: Vec<DcState>) -> crate::SiteReadiness {
    let names: BTreeSet<_> = dcs.iter().map(|dc| dc.host.clone()).collect();
    let facts =
        SiteFacts { expected_dcs: Some(names), expected_endpoints: Some(0), dcs, ..SiteFacts::unknown(Some(site())) };
    let host = Host::provisioned();
    let judgements = judge(&host.facts(), &Policy::default(), now());
    let mut tally = Tally::default();
    let sight =
        UserOnHost::new(muster_evidence::HostNo(1), &ada(), &judgements, now(), false, &Policy::default()).unwrap();
    for _ in 0..10 {
        tally.add_user(&UserStanding::of(&[sight], &Policy::default(), now()).unwrap());
    }
    rollup(&facts, &tally, &Policy::default(), now())
}

#[test]
fn pain_05_too_few_controllers_of_the_site_are_capable() {
    let capable = Host::dc_with(&[kdc_certificate(1)]).complete();
    let old = Host::dc().complete().with(Evidence::OperatingSystem(windows_server(9_600)));
    let none = at_site(vec![dc("dc01.corp.example", &old), dc("dc02.corp.example", &old)]);
    assert_eq!(none.rollout, Rollout::Unknown);
    assert!(none.reasons[0].text.contains("no domain controller here can serve key trust"), "{:?}", none.reasons);
    let some = at_site(vec![dc("dc01.corp.example", &capable), dc("dc02.corp.example", &old)]);
    let told: Vec<_> = some.reasons.iter().filter(|reason| reason.check == "dc.os-version").collect();
    assert!(told.len() == 1 && told[0].hosts == ["dc02.corp.example".parse().unwrap()], "{:?}", some.reasons);
    // Whether those that are capable carry the load is said to be open, not taken for granted.
    assert!(some.qualifiers.contains(&"capacity-unverified"));
    is_content(&capable, "dc.kdc-as-rate");
}

#[test]
fn pain_06_what_a_service_reads_of_a_user_is_no_answer() {
    let as_service = Host::provisioned()
        .user(Evidence::Prt(muster_evidence::Prt { present: Tristate::No, ..prt() }), Context::Service)
        .user(Evidence::Ngc(ngc(Tristate::No)), Context::Service);
    for check in ["prt.present", "user.ngc-set"] {
        let verdict = answer(&as_service, check).verdict;
        assert_eq!(verdict.standing(), Standing::Unknown, "{check}");
        assert!(verdict.text().contains("must be read in the user's session"), "{check}: {}", verdict.text());
    }
}

#[test]
fn pain_07_event_360_says_no_and_not_which_policy_made_it_so() {
    let refused = ProvisioningEvent { id: 360, policy_enabled: Tristate::No, ..people::provisioning(360) };
    let host = Host::provisioned()
        .user(Evidence::Ngc(ngc(Tristate::No)), Context::UserSession)
        .user(Evidence::ProvisioningEvent(refused), Context::Service)
        .channel(Channel::ComputerPolicy, device::hello_policy(0))
        .channel(Channel::DeviceMdm, device::hello_policy(1));
    finds(
        &host,
        "policy.gpo-mdm-conflict",
        Standing::Advisory,
        &["`Enabled = 0` in the computer's group policy", "`UsePassportForWork = 1`"],
        &["channel"],
    );
    finds(&host, "prereq.event-358-360", Standing::Blocked, &["`NgcPolicyEnabled : NO`"], &["policy.enabled"]);
}

#[test]
fn pain_08_the_join_hangs() {
    let tried = |attempt: &str| {
        let diagnostics = RegistrationDiagnostics {
            phase: Some(RegistrationPhase::Join),
            client_error: Some(0x801c_03f2),
            previous_registration: Some(at(attempt)),
            ..RegistrationDiagnostics::default()
        };
        Host::endpoint()
            .with(Evidence::JoinState(JoinState { azure_ad_joined: Tristate::No, ..hybrid() }))
            .with(Evidence::RegistrationDiagnostics(Box::new(diagnostics)))
    };
    let check = "join.registration-diagnostics";
    let new = tried("2026-03-02T11:30:00Z");
    finds(&new, "join.type", Standing::Blocked, &[], &[]);
    finds(&new, check, Standing::Advisory, &["pending sync", "computer object"], &["synchronisation of the computer"]);
    assert_eq!(answer(&new, check).valid_until, Some(at("2026-03-02T12:30:00Z")), "until when to wait is said");
    finds(&tried("2026-03-02T08:00:00Z"), check, Standing::Advisory, &["in the phase `join`", "0x801c03f2"], &[]);
}

#[test]
fn pain_09_the_devices_own_key_is_broken() {
    let failed =
        JoinState { key_sign_test: Some(KeySignTest::Failed(text("FAILED. ERROR: 0xd0048451"))), ..people::joined() };
    finds(
        &Host::provisioned().with(Evidence::JoinState(failed)),
        "join.device-key",
        Standing::Blocked,
        &["does not sign", "0xd0048451"],
        &["dsregcmd /leave"],
    );
}

#[test]
fn pain_10_a_missing_permission_shows_as_a_key_that_does_not_come() {
    let mut host = Host::provisioned().at(at("2026-03-03T12:00:00Z")).inventory(at("2026-03-03T12:00:00Z"));
    host.forest.keys.clear();
    finds(&host, "sync.key-state", Standing::Blocked, &[], &["Connect"]);
}

#[test]
fn pain_11_the_first_sign_in_needs_a_controller_in_sight() {
    let refused = LocatorAnswer::Refused { code: 1355 };
    let old_only =
        muster_evidence::DcLocator { capable: refused.clone(), forced: Tristate::Yes, ..people::dc_locator() };
    finds(
        &Host::provisioned().with(Evidence::DcLocator(old_only)),
        "net.dc-line-of-sight",
        Standing::Blocked,
        &["corp.example", "no controller of 2016 or later"],
        &["VPN"],
    );
    // Away from the network nobody is blocked for it.
    let away = muster_evidence::DcLocator {
        any: refused.clone(),
        capable: refused,
        forced: Tristate::Yes,
        ..people::dc_locator()
    };
    let verdict = answer(&Host::provisioned().with(Evidence::DcLocator(away)), "net.dc-line-of-sight").verdict;
    assert_eq!(verdict, Verdict::not_applicable("off the corporate network"));
}

#[test]
fn pain_12_hello_is_not_set_up_in_a_remote_session() {
    let remote = muster_evidence::UserSession { remote: Tristate::Yes, signed_in_at: None, unlocked_at: None };
    let host = Host::provisioned()
        .user(Evidence::Ngc(ngc(Tristate::No)), Context::UserSession)
        .user(Evidence::UserSession(remote), Context::Service);
    finds(&host, "prereq.session-not-remote", Standing::Advisory, &["remote"], &["Remote Credential Guard"]);
}

#[test]
fn pain_13_the_principal_name_changed_since_the_registration() {
    let registered_at = at("2026-03-02T08:14:07Z");
    let then = KeyRegistration { upn: Some(text("ada@corp.example")), ..registration(registered_at) };
    let host = Host::provisioned().user(Evidence::KeyRegistration(then), Context::Service).keys(UserKeys {
        sid: ada(),
        keys: vec![fixture_key(registered_at)],
        undecodable: 0,
        left_out: 0,
        upn: Some(text("ada@example.com")),
    });
    finds(
        &host,
        "user.upn-drift",
        Standing::Advisory,
        &["ada@corp.example", "ada@example.com"],
        &["sign in with the present name"],
    );
}

#[test]
fn pain_14_every_finding_is_its_own_troubleshooting_guide() {
    let long_ago: Timestamp = at("2020-01-01T00:00:00Z");
    let expired = Certificate { not_before: long_ago, not_after: long_ago.plus_days(1), ..for_ldaps(4) };
    let sick_dc = Host::dc_with(&[expired])
        .with(Evidence::KdcService(controller::service(muster_evidence::ServiceState::Stopped)))
        .with(Evidence::KdcEvents(controller::events(
            true,
            &[controller::event(OPERATIONAL, 200, "2026-03-01T06:00:00Z")],
        )))
        .absent(Kind::NtAuthStore);
    let sick_endpoint = Host::endpoint()
        .with(Evidence::JoinState(JoinState { azure_ad_joined: Tristate::No, ..hybrid() }))
        .with(Evidence::Tpm(muster_evidence::Tpm { version: muster_evidence::TpmVersion::V1_2, ..tpm_2_0() }));
    let mut findings = 0;
    for host in [sick_dc, sick_endpoint] {
        for judgement in judge(&host.facts(), &Policy::default(), host.now) {
            let (Verdict::Blocked(found) | Verdict::Advisory(found)) = judgement.verdict else { continue };
            findings += 1;
            for text in [found.seen.as_str(), &found.needed, &found.remedy, &found.source] {
                assert!(text.len() > 1, "{}: {found:?}", judgement.check);
            }
        }
    }
    assert!(findings >= 8, "{findings}");
    assert!(CHECKS.iter().all(|check| check.page().remedy.len() > 8));
}

#[test]
fn pain_15_weak_and_orphaned_keys_hide_among_the_others() {
    let weak =
        muster_evidence::Tpm { manufacturer: Some(text("IFX")), firmware: Some(text("7.61")), ..device::sound_tpm() };
    finds(
        &Host::provisioned().with(Evidence::Tpm(weak)),
        "tpm.firmware-roca",
        Standing::Blocked,
        &["IFX firmware 7.61"],
        &["remove the old keys"],
    );
    let ignoring = KdcPolicy { allow_nt_auth_policy_bypass: None, sam_ngc_key_roca_validation: Some(0) };
    finds(
        &Host::dc_with(&[kdc_certificate(1)]).with(Evidence::KdcPolicy(ignoring)),
        "dc.roca-policy",
        Standing::Advisory,
        &["0 (Ignore)"],
        &["Audit first"],
    );
}
