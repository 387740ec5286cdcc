use std::sync::Arc;

use muster_evidence::{Evidence, ExtendedKeyUsage, HostNo, Role, TpmVersion, Tristate};
use muster_proto::v1;
use muster_readiness::{Rollout, Standing};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::fixture::{Lab, Machine, joined, kdc_certificate, sid, tpm};
use crate::snapshot::SiteSnapshot;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A site that can go: its controller and both its endpoints report and all is well.
async fn harbour(lab: &Lab) -> (Machine, Machine, Machine) {
    let mut dc = Machine::dc("dc01.corp.example", "Harbour");
    let mut one = Machine::endpoint("pc1.corp.example", "Harbour", 1);
    let mut two = Machine::endpoint("pc2.corp.example", "Harbour", 2);
    for machine in [&mut one, &mut two, &mut dc] {
        lab.take(machine).await;
    }
    while lab.core.judge_waiting().await > 0 {}
    (dc, one, two)
}

/// Lets rollout verdicts settle.
async fn settle(lab: &Lab) -> Arc<SiteSnapshot> {
    lab.site("Harbour").await;
    lab.clock.advance_ms(1_100);
    lab.site("Harbour").await
}

fn reasons(site: &SiteSnapshot) -> Vec<String> {
    let line = |own: &crate::snapshot::SiteReason| {
        format!("{} {} on {}", own.reason.check, own.reason.standing, own.reason.host_count)
    };
    site.reasons.iter().map(line).collect()
}

async fn rollouts(lab: &Lab) -> Vec<String> {
    let page = lab.store.transitions(0, 10_000).await.unwrap();
    let own = page
        .items
        .into_iter()
        .filter(|own| own.subject == "site" && own.site.as_ref().is_some_and(|site| site.name == "Harbour"));
    own.map(|own| format!("{} > {}", own.from, own.to)).collect()
}

#[tokio::test]
async fn a_silent_controller_makes_its_site_unknown_and_its_return_mends_it() {
    let lab = Lab::new().await;
    let (mut dc, ..) = harbour(&lab).await;
    let site = settle(&lab).await;
    let before = site.readiness.rollout;
    assert_ne!(before, Rollout::Unknown, "{:?}", reasons(&site));
    let transitions = lab.transitions(dc.name()).await;

    lab.clock.advance_ms(59 * MINUTE);
    lab.core.tick();
    let site = settle(&lab).await;
    assert_eq!(site.readiness.rollout, before, "an hour's reboot is no gap");
    assert!(site.dc_rows[0].quiet, "but it is quiet");
    assert_eq!(site.hosts_quiet, 3);

    lab.clock.advance_ms(MINUTE);
    lab.core.tick();
    let site = settle(&lab).await;
    assert_eq!(site.readiness.rollout, Rollout::Unknown);
    assert_eq!(site.readiness.gate.standing, Standing::Unknown);
    assert_eq!(site.dc_rows[0].standing, Standing::Unknown);
    assert_eq!(lab.stored(dc.name(), "dc.cert-present").await.as_deref(), Some("ready"), "stored is what was judged");
    assert_eq!(lab.transitions(dc.name()).await, transitions, "silence is no transition of a machine");

    assert_eq!(lab.take(&mut dc).await, v1::Acknowledgement::Seen);
    let site = settle(&lab).await;
    assert_eq!(site.readiness.rollout, before);
    assert!(!site.dc_rows[0].quiet);
    assert_eq!(rollouts(&lab).await.last().map(String::as_str), Some(format!("Unknown > {}", before.name()).as_str()));
}

#[tokio::test]
async fn a_host_shows_what_silence_made_of_its_verdicts() {
    let lab = Lab::new().await;
    let (dc, ..) = harbour(&lab).await;
    let number = lab.record(dc.name()).await.unwrap().number;
    lab.clock.advance_ms(2 * 60 * MINUTE);
    let view = lab.core.host(number).await.unwrap().unwrap();
    let verdict =
        view.verdicts.iter().filter_map(|own| own.verdict.as_ref()).find(|own| own.check == "dc.cert-present");
    let verdict = verdict.unwrap();
    assert_eq!(verdict.standing(), v1::Standing::Unknown);
    assert_eq!(verdict.stale_standing(), v1::Standing::Ready);
    assert!(!verdict.title.is_empty());
}

#[tokio::test]
async fn a_restart_gives_the_same_snapshot() {
    let lab = Lab::new().await;
    let (mut dc, mut one, _) = harbour(&lab).await;
    dc.certificate(kdc_certificate(dc.name(), &[ExtendedKeyUsage::SERVER_AUTH]));
    lab.take(&mut dc).await;
    one.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    lab.take(&mut one).await;
    let site = settle(&lab).await;
    let before = lab.core.publish_now().await.unwrap();
    let again = lab.again().await;
    let after = again.snapshot();
    assert_eq!(after.sites.len(), before.sites.len());
    for (before, after) in before.sites.iter().zip(&after.sites) {
        assert!(before.tells_the_same(after), "before {before:#?}\nafter {after:#?}");
    }
    assert_eq!(after.organisation.users, before.organisation.users);
    assert_eq!(after.organisation.top_reasons, before.organisation.top_reasons);
    assert_eq!(after.last_transition, before.last_transition);
    assert_eq!(after.policy_revision, before.policy_revision);
    drop(site);
    // Nothing is found to be different when the queue of the start has been worked off.
    while again.judge_waiting().await > 0 {}
    let later = again.publish_now().await.unwrap();
    for (before, after) in before.sites.iter().zip(&later.sites) {
        assert!(before.tells_the_same(after), "before {before:#?}\nafter {after:#?}");
    }
}

#[tokio::test]
async fn the_collectors_own_silence_is_nobodys() {
    let lab = Lab::new().await;
    let (mut dc, ..) = harbour(&lab).await;
    lab.core.checkpoint().await;
    let before = lab.site("Harbour").await.readiness.rollout;
    lab.clock.advance_ms(3 * 60 * MINUTE);
    let again = lab.again().await;
    let harbour = |core: &crate::core::Core| {
        let snapshot = core.snapshot();
        Arc::clone(snapshot.sites.iter().find(|site| site.site.as_ref().unwrap().name.as_str() == "Harbour").unwrap())
    };
    let site = harbour(&again);
    assert_eq!((site.readiness.rollout, site.hosts_quiet), (before, 0), "down for three hours, up for no time");
    // One cadence of the controllers later, the silence of this one is its own.
    lab.clock.advance_ms(2 * MINUTE + 1_000);
    again.tick();
    again.publish_now().await.unwrap();
    let site = harbour(&again);
    assert_eq!(site.readiness.rollout, Rollout::Unknown);
    assert_eq!(site.hosts_quiet, 1, "the endpoints have not had their turn yet");
    again.submit(&lab.peer(dc.name()), dc.report(lab.clock.now())).await.unwrap();
    again.publish_now().await.unwrap();
    assert_eq!(harbour(&again).readiness.rollout, before);
}

#[tokio::test]
async fn dates_in_the_evidence_are_judged_when_they_pass() {
    let lab = Lab::new().await;
    let (dc, ..) = harbour(&lab).await;
    assert_eq!(lab.stored(dc.name(), "dc.cert-validity").await.as_deref(), Some("ready"));
    // The certificate ends on 2026-06-01; the warning begins 28 days before.
    lab.clock.advance_ms(65 * DAY);
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(dc.name(), "dc.cert-validity").await.as_deref(), Some("advisory"));
    lab.clock.advance_ms(30 * DAY);
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(dc.name(), "dc.cert-validity").await.as_deref(), Some("blocked"));
    let own = lab.transitions(dc.name()).await;
    assert_eq!(own.iter().filter(|own| own.contains("dc.cert-validity")).count(), 2, "{own:?}");
}

#[tokio::test]
async fn a_controllers_certificate_holds_its_site_and_one_laptop_does_not() {
    let lab = Lab::new().await;
    let (mut dc, mut one, _) = harbour(&lab).await;
    let open = settle(&lab).await.readiness.rollout;
    one.put(Evidence::JoinState(muster_evidence::JoinState { azure_ad_joined: Tristate::No, ..joined(Tristate::Yes) }));
    lab.take(&mut one).await;
    let site = settle(&lab).await;
    assert_eq!(site.readiness.rollout, Rollout::Partly, "was {open}: {:?}", reasons(&site));
    assert_eq!((site.counts.users.blocked, site.counts.endpoints.blocked), (1, 1));

    let mut expired = kdc_certificate(dc.name(), &[ExtendedKeyUsage::KDC_AUTH]);
    expired.not_after = lab.clock.now().plus_days(-1);
    dc.certificate(expired);
    lab.take(&mut dc).await;
    let site = settle(&lab).await;
    assert_eq!(site.readiness.rollout, Rollout::Hold, "{:?}", reasons(&site));
    let first = &site.reasons[0];
    assert!(first.reason.in_gate && first.reason.standing == Standing::Blocked);
    assert!(first.since.is_some());
    assert_eq!(rollouts(&lab).await.last().map(String::as_str), Some("Partly > Hold"));
}

#[tokio::test]
async fn whom_a_certificate_must_please_is_settled_when_enough_have_said_how_they_are_joined() {
    let lab = Lab::new().await;
    let mut dc = Machine::dc("dc01.corp.example", "Harbour");
    let mut weak = kdc_certificate(dc.name(), &[ExtendedKeyUsage::KDC_AUTH]);
    weak.signature_hash = muster_evidence::SignatureHash::Sha1;
    dc.certificate(weak);
    lab.take(&mut dc).await;
    // Two endpoints are expected at the site, and one at the site that it covers; 80 % of three must have said it.
    let mut one = Machine::endpoint("pc1.corp.example", "Harbour", 1);
    let mut two = Machine::endpoint("pc2.corp.example", "Harbour", 2);
    let mut three = Machine::endpoint("pc3.corp.example", "Depot", 3);
    for (machine, stands) in [(&mut one, "unknown"), (&mut two, "unknown"), (&mut three, "advisory")] {
        lab.take(machine).await;
        while lab.core.judge_waiting().await > 0 {}
        assert_eq!(lab.stored(dc.name(), "dc.cert-key").await.as_deref(), Some(stands), "{}", machine.name());
    }
    // What is not said any more counts no more; a policy that wants less said is content with that.
    three.observations.remove(&muster_evidence::ObservationKey::host(muster_evidence::Kind::JoinState));
    two.observations.remove(&muster_evidence::ObservationKey::host(muster_evidence::Kind::JoinState));
    lab.take(&mut three).await;
    lab.take(&mut two).await;
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(dc.name(), "dc.cert-key").await.as_deref(), Some("unknown"));
    three.put(Evidence::JoinState(joined(Tristate::Yes)));
    lab.take(&mut three).await;
    for (least, stands) in [(66, "advisory"), (67, "unknown")] {
        lab.core.apply_policy(&format!("coverage_least_percent = {least}"), 0, "ada").await.unwrap();
        while lab.core.judge_waiting().await > 0 {}
        assert_eq!(lab.stored(dc.name(), "dc.cert-key").await.as_deref(), Some(stands), "{least}");
    }
    // One endpoint that is joined to Entra ID only settles it at once.
    two.put(Evidence::JoinState(joined(Tristate::No)));
    lab.take(&mut two).await;
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(dc.name(), "dc.cert-key").await.as_deref(), Some("blocked"));
    // And after a restart the same holds.
    let again = lab.again().await;
    while again.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(dc.name(), "dc.cert-key").await.as_deref(), Some("blocked"));
}

#[tokio::test]
async fn a_remote_session_leaves_the_last_verdict_in_place() {
    use muster_evidence::{InstallId, Ngc, NgcPrerequisites, PreReqResult};
    let ready = || NgcPrerequisites {
        is_device_joined: Tristate::Yes,
        is_user_azure_ad: Tristate::Yes,
        policy_enabled: Tristate::Yes,
        post_logon_enabled: Tristate::Yes,
        device_eligible: Tristate::Yes,
        session_is_not_remote: Tristate::Yes,
        cert_enrollment: None,
        on_prem_tgt: Tristate::No,
        result: PreReqResult::WillProvision,
        error: None,
    };
    let wont = || NgcPrerequisites { result: PreReqResult::WillNotProvision, ..ready() };
    let remote = || NgcPrerequisites { session_is_not_remote: Tristate::No, ..wont() };
    let blocked = || NgcPrerequisites { device_eligible: Tristate::No, ..wont() };
    let lab = Lab::new().await;
    let mut pc = Machine::endpoint("pc1.corp.example", "Harbour", 1);
    pc.put_user(1, Evidence::Ngc(Ngc { set: Tristate::No, ..crate::fixture::ngc() }));
    // (what Windows says, how the check stands after it, transitions of it so far)
    for (round, (says, stands, transitions)) in [
        (remote(), "unknown", 1),
        (ready(), "ready", 2),
        (remote(), "ready", 2),
        (blocked(), "blocked", 3),
        (remote(), "blocked", 3),
        (ready(), "ready", 4),
        (remote(), "ready", 4),
    ]
    .into_iter()
    .enumerate()
    {
        lab.clock.advance_ms(MINUTE);
        pc.put_user(1, Evidence::NgcPrerequisites(says));
        lab.take(&mut pc).await;
        assert_eq!(lab.stored(pc.name(), "prereq.ngc").await.as_deref(), Some(stands), "round {round}");
        let own = lab.transitions(pc.name()).await;
        assert_eq!(own.iter().filter(|own| own.contains("prereq.ngc")).count(), transitions, "round {round}: {own:?}");
    }
    // Judged again for another reason, it is kept as well.
    lab.core.apply_policy("certificate_warning_days = 20", 0, "ada").await.unwrap();
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(pc.name(), "prereq.ngc").await.as_deref(), Some("ready"));
    // Remote sessions do not keep it fresh: it rests on what was seen at the machine.
    let days = i64::from(muster_readiness::Policy::default().user_fresh_days);
    for (day, stands) in (1..=days).map(|day| (day, if day < days { "ready" } else { "unknown" })) {
        lab.clock.advance_ms(DAY);
        lab.take(&mut pc).await;
        while lab.core.judge_waiting().await > 0 {}
        assert_eq!(lab.stored(pc.name(), "prereq.ngc").await.as_deref(), Some(stands), "day {day}");
    }
    // What another installation said says nothing about this one.
    pc.put_user(1, Evidence::NgcPrerequisites(ready()));
    lab.take(&mut pc).await;
    lab.clock.advance_ms(DAY);
    pc.install_id = InstallId([9; 16]);
    pc.put_user(1, Evidence::NgcPrerequisites(remote()));
    lab.take(&mut pc).await;
    assert_eq!(lab.stored(pc.name(), "prereq.ngc").await.as_deref(), Some("unknown"));
}

#[tokio::test]
async fn a_waived_verdict_is_kept_in_a_remote_session_as_long_as_its_waiver() {
    use muster_evidence::{Ngc, NgcPrerequisites, PreReqResult};
    let lab = Lab::new().await;
    let mut pc = Machine::endpoint("pc1.corp.example", "Harbour", 1);
    pc.put_user(1, Evidence::Ngc(Ngc { set: Tristate::No, ..crate::fixture::ngc() }));
    let blocked = NgcPrerequisites {
        is_device_joined: Tristate::Yes,
        is_user_azure_ad: Tristate::Yes,
        policy_enabled: Tristate::Yes,
        post_logon_enabled: Tristate::Yes,
        device_eligible: Tristate::No,
        session_is_not_remote: Tristate::Yes,
        cert_enrollment: None,
        on_prem_tgt: Tristate::No,
        result: PreReqResult::WillNotProvision,
        error: None,
    };
    let remote =
        NgcPrerequisites { device_eligible: Tristate::Yes, session_is_not_remote: Tristate::No, ..blocked.clone() };
    let waiver = v1::Waiver {
        check: "prereq.ngc".to_owned(),
        host: pc.name().to_owned(),
        who: "ada".to_owned(),
        reason: "replaced next week".to_owned(),
        expires_at_ms: lab.clock.now().plus_days(7).unix_ms(),
        ..v1::Waiver::default()
    };
    let waiver = lab.core.add_waiver(waiver).await.unwrap();
    for says in [blocked, remote] {
        pc.put_user(1, Evidence::NgcPrerequisites(says));
        lab.take(&mut pc).await;
        assert_eq!(lab.stored(pc.name(), "prereq.ngc").await.as_deref(), Some("advisory"));
    }
    lab.core.remove_waiver(waiver.number, "ada").await.unwrap();
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(pc.name(), "prereq.ngc").await.as_deref(), Some("unknown"), "what it was is not known here");
}

#[tokio::test]
async fn a_policy_is_planned_applied_and_reached() {
    let lab = Lab::new().await;
    let (dc, ..) = harbour(&lab).await;
    let base = lab.core.policy().revision;
    settle(&lab).await;
    // Windows Server 2022 is build 20348: too old by this policy.
    let text = "dc_build_least = 26100";
    let plan = lab.core.plan_policy(text, &|_, _| ()).await.unwrap();
    assert!(plan.verdicts_changed > 0);
    assert_eq!(plan.sites_changed.len(), 1, "{plan:?}");
    assert_eq!(plan.sites_changed[0].0.1.as_str(), "Harbour");
    assert_eq!(lab.stored(dc.name(), "dc.os-version").await.as_deref(), Some("ready"), "a plan changes nothing");

    let outdated = lab.core.apply_policy(text, base + 7, "ada").await.unwrap_err();
    assert!(outdated.to_string().contains("is in force"), "{outdated}");
    let revision = lab.core.apply_policy(text, base, "ada").await.unwrap();
    assert_eq!(revision, base + 1);
    let snapshot = lab.core.publish_now().await.unwrap();
    assert_eq!((snapshot.policy_revision, snapshot.judged_revision, snapshot.hosts_to_judge), (revision, base, 3));
    while lab.core.judge_waiting().await > 0 {}
    let snapshot = lab.core.publish_now().await.unwrap();
    assert_eq!((snapshot.judged_revision, snapshot.hosts_to_judge), (revision, 0));
    assert_ne!(lab.stored(dc.name(), "dc.os-version").await.as_deref(), Some("ready"));
    assert_eq!(lab.record(dc.name()).await.unwrap().record.policy_revision, revision);
    let now_at = lab.site("Harbour").await.readiness.rollout;
    assert_eq!(now_at, plan.sites_changed[0].2, "the plan told the truth");
    assert_eq!(lab.again().await.policy().revision, revision);
}

#[tokio::test]
async fn a_waiver_softens_what_it_covers_until_it_ends() {
    let lab = Lab::new().await;
    let (_, mut one, _) = harbour(&lab).await;
    one.put(Evidence::JoinState(muster_evidence::JoinState { azure_ad_joined: Tristate::No, ..joined(Tristate::Yes) }));
    lab.take(&mut one).await;
    assert_eq!(lab.stored(one.name(), "join.type").await.as_deref(), Some("blocked"));
    let asked = v1::Waiver {
        check: "join.type".to_owned(),
        host: one.name().to_owned(),
        who: "ada".to_owned(),
        reason: "replaced next week".to_owned(),
        expires_at_ms: lab.clock.now().plus_days(7).unix_ms(),
        ..v1::Waiver::default()
    };
    for (spoilt, says) in [
        (v1::Waiver { check: "join.typ".into(), ..asked.clone() }, "did you mean `join.type`?"),
        (v1::Waiver { reason: " ".into(), ..asked.clone() }, "reason"),
        (v1::Waiver { expires_at_ms: 0, ..asked.clone() }, "future"),
        (v1::Waiver { expires_at_ms: lab.clock.now().plus_days(800).unix_ms(), ..asked.clone() }, "a year"),
    ] {
        let error = lab.core.add_waiver(spoilt).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let made = lab.core.add_waiver(asked.clone()).await.unwrap();
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(one.name(), "join.type").await.as_deref(), Some("advisory"));
    // It ends by itself...
    lab.clock.advance_ms(8 * DAY);
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(one.name(), "join.type").await.as_deref(), Some("blocked"));
    // ...or by hand.
    let expires_at_ms = lab.clock.now().plus_days(7).unix_ms();
    let second = lab.core.add_waiver(v1::Waiver { expires_at_ms, ..asked }).await.unwrap();
    assert!(second.number > made.number);
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(one.name(), "join.type").await.as_deref(), Some("advisory"));
    lab.core.remove_waiver(second.number, "ada").await.unwrap();
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(one.name(), "join.type").await.as_deref(), Some("blocked"));
    assert!(lab.core.remove_waiver(second.number, "ada").await.is_err(), "it is gone already");
    assert_eq!(lab.core.waivers().len(), 2);
}

#[tokio::test]
async fn a_user_counts_once_where_the_user_was_seen_last() {
    let lab = Lab::new().await;
    let mut desk = Machine::endpoint("pc1.corp.example", "Harbour", 1);
    let mut laptop = Machine::endpoint("pc2.corp.example", "Depot", 1);
    laptop.put(Evidence::JoinState(muster_evidence::JoinState {
        azure_ad_joined: Tristate::No,
        ..joined(Tristate::Yes)
    }));
    lab.take(&mut desk).await;
    lab.clock.advance_ms(MINUTE);
    lab.take(&mut laptop).await;
    let users = |site: Arc<SiteSnapshot>| (site.counts.users.total(), site.counts.users.blocked);
    assert_eq!(users(lab.site("Harbour").await), (0, 0));
    assert_eq!(users(lab.site("Depot").await), (1, 0), "ready on one endpoint is ready");
    // Signing in at the desk again moves the user, and writes nothing.
    lab.clock.advance_ms(MINUTE);
    assert_eq!(lab.take(&mut desk).await, v1::Acknowledgement::Seen);
    assert_eq!(users(lab.site("Harbour").await), (1, 0));
    assert_eq!(users(lab.site("Depot").await), (0, 0));
    // Judging again leaves the user where only memory knows of the sight.
    let number = lab.record(desk.name()).await.unwrap().number;
    lab.core.apply_policy("certificate_warning_days = 20", 0, "ada").await.unwrap();
    while lab.core.judge_waiting().await > 0 {}
    assert!(lab.core.read(|table| table.get(number).unwrap().policy_revision) > 1);
    assert_eq!(users(lab.site("Harbour").await), (1, 0));
    // Without a sign-in for a month the user is not counted any more.
    lab.clock.advance_ms(31 * DAY);
    lab.core.tick();
    assert_eq!(users(lab.site("Harbour").await), (0, 0));
    assert_eq!(lab.core.read(|table| table.hosts_of_user(&sid(1)).len()), 2);
}

#[tokio::test]
async fn background_work_starts_and_stops() {
    let lab = Lab::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(lab.core.clone().run(stop.clone()));
    let mut snapshots = lab.core.subscribe();
    let mut dc = Machine::dc("dc01.corp.example", "Harbour");
    lab.take(&mut dc).await;
    snapshots.wait_for(|snapshot| snapshot.organisation.hosts == 1).await.unwrap();
    lab.clock.advance_ms(MINUTE);
    lab.take(&mut dc).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(lab.store.seen().await.unwrap(), [(HostNo(1), lab.clock.now().unix_ms())], "written at the end");
    assert!(lab.core.snapshot().sites.iter().any(|site| site.dc_rows.len() == 1));
    assert!(dc.roles.contains(&Role::DomainController));
}
