use std::path::PathBuf;

use muster_evidence::{
    Context, Evidence, Forest, InstallId, InventoryItem, InventoryPart, Kind, ObservationKey, OperatingSystem,
    OsFamily, Outcome, SeriesAppend, SeriesKind, SeriesPoint, Text, Tpm, TpmLockout, TpmVersion, Tristate, UserKeys,
    limits,
};
use muster_proto::convert::Digest;
use tonic::Code;

use super::*;
use crate::clock::Clock;
use crate::fixture::{Lab, Machine, at, joined, registration, sid, tpm};
use crate::status::of_refused;

const COMMITTED: v1::Acknowledgement = v1::Acknowledgement::Committed;
const SEEN: v1::Acknowledgement = v1::Acknowledgement::Seen;
const SUPERSEDED: v1::Acknowledgement = v1::Acknowledgement::Superseded;

/// Spoils one thing in a report.
type Spoil = fn(&mut v1::ReportRequest);

fn harbour_pc() -> Machine {
    Machine::endpoint("pc1.corp.example", "Harbour", 1104)
}

#[tokio::test]
async fn an_idle_machine_writes_nothing() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    assert_eq!(lab.take(&mut pc).await, COMMITTED);
    let written = lab.record(pc.name()).await.unwrap();
    for round in 0..20 {
        lab.clock.advance_ms(15 * 60_000);
        pc.bare = round % 2 == 0;
        assert_eq!(lab.take(&mut pc).await, SEEN, "round {round}");
    }
    assert_eq!(lab.record(pc.name()).await.unwrap(), written);
    let seen = lab.core.read(|table| table.get(written.number).unwrap().last_seen);
    assert_eq!(seen, lab.clock.now());
    // Memory alone knows it, until the checkpoint.
    assert_eq!(lab.store.seen().await.unwrap(), []);
    lab.core.checkpoint().await;
    assert_eq!(lab.store.seen().await.unwrap(), [(written.number, seen.unix_ms())]);
    // After a restart the first report finds nothing new either, and the one after takes the short way.
    let core = lab.again().await;
    let peer = lab.peer(pc.name());
    for _ in 0..2 {
        let answer = core.submit(&peer, pc.report(lab.clock.now())).await.unwrap();
        assert_eq!(answer.acknowledgement(), SEEN);
    }
    assert_eq!(lab.record(pc.name()).await.unwrap(), written);
}

#[tokio::test]
async fn the_sight_of_a_user_is_written_now_and_then() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    lab.clock.advance_ms(7 * 3_600_000);
    assert_eq!(lab.take(&mut pc).await, COMMITTED, "the stored sight is too old to start from");
    assert_eq!(lab.take(&mut pc).await, SEEN);
}

#[tokio::test]
async fn a_counter_that_moves_by_itself_is_news_when_it_rises() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let mut counted = async |failures: u32| {
        let lockout = TpmLockout { locked: false, max_failures: 32, recovery_seconds: 600, failures: Some(failures) };
        pc.put(Evidence::Tpm(Tpm { lockout: Some(lockout), ..tpm(TpmVersion::V2_0) }));
        lab.clock.advance_ms(60_000);
        let answer = lab.take(&mut pc).await;
        let written = lab.record(pc.name()).await.unwrap().record;
        let tpm = written.observations.iter().find(|index| index.moving.is_some()).unwrap().clone();
        (answer, tpm.moving.unwrap().tpm_failures.unwrap(), tpm.digest)
    };
    let (first, failures, digest) = counted(0).await;
    assert_eq!((first, failures), (COMMITTED, 0));
    for (now, answer, kept) in [(0, SEEN, 0), (3, COMMITTED, 3), (3, SEEN, 3), (2, SEEN, 3), (4, COMMITTED, 4)] {
        assert_eq!(counted(now).await, (answer, kept, digest.clone()), "{now} failures");
    }
}

#[tokio::test]
async fn nobody_but_a_relay_speaks_for_another_host() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let refused = lab.core.submit(&lab.peer("dc01.corp.example"), pc.report(lab.clock.now())).await.unwrap_err();
    assert_eq!(refused.to_string(), "certificate names host `dc01.corp.example`, report claims `pc1.corp.example`");
    assert_eq!(of_refused(&refused).code(), Code::PermissionDenied);
    assert!(lab.record(pc.name()).await.is_none());

    let relay = lab.peer("relay.corp.example");
    let answer = lab.core.submit(&relay, pc.report(lab.clock.now())).await.unwrap();
    assert_eq!(answer.acknowledgement(), COMMITTED);
    assert_eq!(lab.record(pc.name()).await.unwrap().record.reporter, "relay.corp.example");
}

#[tokio::test]
async fn a_role_without_a_grant_is_refused_and_the_rest_is_taken() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    pc.roles.push(Role::DomainController);
    for acknowledgement in [COMMITTED, SEEN] {
        let answer = lab.report(&mut pc).await.unwrap();
        assert_eq!(answer.acknowledgement(), acknowledgement);
        let refusal = &answer.refusals[0];
        assert_eq!(refusal.part, "role domain-controller");
        assert_eq!(refusal.reason, "role `domain-controller` is not granted to `pc1.corp.example`");
    }
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!(record.roles, [i32::from(v1::Role::Endpoint)]);
    assert_eq!(lab.site("Harbour").await.dc_rows.len(), 0);
}

#[tokio::test]
async fn a_report_that_comes_late_changes_no_state() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let late = pc.clone();
    lab.take(&mut pc).await;
    pc.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    lab.take(&mut pc).await;
    let written = lab.record(pc.name()).await.unwrap();
    for mut late in [late, Machine { sequence: 1, ..pc.clone() }] {
        late.put(Evidence::Tpm(tpm(TpmVersion::V2_0)));
        let mut report = late.report(lab.clock.now());
        report.series = vec![(&series(1, 3)).into()];
        let answer = lab.core.submit(&lab.peer(pc.name()), report).await.unwrap();
        assert_eq!(answer.acknowledgement(), SUPERSEDED);
        assert_eq!(answer.series[0].stored_up_to, 3, "series are merged all the same");
    }
    let after = lab.record(pc.name()).await.unwrap();
    assert_eq!((after.record.observations, after.verdicts), (written.record.observations, written.verdicts));
    assert_eq!(lab.store.series(after.number, 1).await.unwrap().unwrap().points.len(), 3);
}

fn series(first_sequence: u64, points: usize) -> SeriesAppend {
    let point = |n: u64| SeriesPoint { at: at("2026-03-02T11:00:00Z"), milli: i64::try_from(n).unwrap() };
    let points = (first_sequence..).take(points).map(point).collect();
    SeriesAppend { series: SeriesKind::KdcAsRate, first_sequence, points }
}

#[tokio::test]
async fn series_are_acknowledged_as_far_as_they_are_stored() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    let number = lab.record(pc.name()).await.unwrap().number;
    // (first number sent, points sent, acknowledged up to, first number kept, points kept)
    let steps = [
        (1, 5, 5, 1, 5),
        (1, 5, 5, 1, 5),    // resent
        (4, 4, 7, 1, 7),    // overlapping
        (10, 2, 11, 10, 2), // the probe's own ring has lost 8 and 9
        (12, 512, 523, 10, 514),
        (524, 512, 1035, 10, 1026),
        (1036, 512, 1547, 108, 1440), // the ring is full
    ];
    for (first, points, acknowledged, first_kept, kept) in steps {
        let mut report = pc.report(lab.clock.now());
        report.series = vec![(&series(first, points)).into()];
        let answer = lab.core.submit(&lab.peer(pc.name()), report).await.unwrap();
        assert_eq!(answer.series[0].stored_up_to, acknowledged, "{first}");
        let ring = lab.store.series(number, 1).await.unwrap().unwrap();
        assert_eq!((ring.first_sequence, ring.points.len()), (first_kept, kept), "{first}");
        assert_eq!(ring.points.last().unwrap().milli, i64::try_from(acknowledged).unwrap());
    }
    // A new incarnation counts anew.
    pc.incarnation = 2;
    let mut report = pc.report(lab.clock.now());
    report.series = vec![(&series(1, 2)).into()];
    let answer = lab.core.submit(&lab.peer(pc.name()), report).await.unwrap();
    assert_eq!(answer.series[0].stored_up_to, 2);
}

#[tokio::test]
async fn two_installations_under_one_name_are_a_conflict_until_one_is_silent() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    let mut rival = harbour_pc();
    (rival.install_id, rival.incarnation) = (InstallId([9; 16]), 9);
    rival.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    let answer = lab.report(&mut rival).await.unwrap();
    assert_eq!((answer.acknowledgement(), answer.conflict), (SUPERSEDED, true));
    assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("ready"), "the rival's word is not taken");
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!((record.conflict, record.rival_install_id), (true, vec![9; 16]));
    assert!(lab.report(&mut pc).await.unwrap().conflict, "and the other is told");

    // The first falls silent; the second has taken the machine over.
    lab.clock.advance_ms(46 * 60_000);
    assert_eq!(lab.take(&mut rival).await, COMMITTED);
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!(record.install_id, [9; 16]);
    assert_eq!(record.earlier_install_ids, [vec![7; 16]]);
    assert!(!record.conflict);
    assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("advisory"));
}

#[tokio::test]
async fn a_new_incarnation_of_the_same_installation_is_taken_at_once() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    pc.sequence = 40;
    lab.take(&mut pc).await;
    (pc.incarnation, pc.sequence) = (2, 0);
    pc.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    assert_eq!(lab.take(&mut pc).await, COMMITTED);
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!((record.incarnation, record.sequence, record.earlier_install_ids), (2, 1, Vec::new()));
}

/// What a probe does when it is told of a later report: it begins a new incarnation and reports again, once.
async fn begins_anew(lab: &Lab, machine: &mut Machine, incarnation: u64) -> v1::ReportResponse {
    (machine.incarnation, machine.sequence) = (incarnation, 0);
    lab.report(machine).await.unwrap()
}

#[tokio::test]
async fn two_copies_of_one_installation_are_a_conflict_and_do_not_take_turns() {
    let lab = Lab::new().await;
    let mut first = harbour_pc();
    lab.take(&mut first).await;
    let mut copy = Machine { sequence: 0, ..first.clone() };
    copy.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    lab.take(&mut first).await;

    // The copy seems to be a state that was rolled back, which is no conflict.
    let answer = lab.report(&mut copy).await.unwrap();
    assert_eq!((answer.acknowledgement(), answer.conflict), (SUPERSEDED, false));
    let answer = begins_anew(&lab, &mut copy, 2).await;
    assert_eq!((answer.acknowledgement(), answer.conflict), (COMMITTED, false));
    let record = lab.record(first.name()).await.unwrap().record;
    assert_eq!((record.previous_incarnation, record.previous_seen_ms), (1, lab.clock.now().unix_ms()));

    // The first comes back under the incarnation it always had, and under a new one when it is told.
    lab.clock.advance_ms(15 * 60_000);
    for round in 0..3 {
        lab.take(&mut copy).await;
        let before = lab.record(first.name()).await.unwrap();
        let answer = lab.report(&mut first).await.unwrap();
        assert_eq!((answer.acknowledgement(), answer.conflict), (SUPERSEDED, true), "{round}");
        let answer = begins_anew(&lab, &mut first, 10 + round).await;
        assert_eq!((answer.acknowledgement(), answer.conflict), (SUPERSEDED, true), "{round}");
        let after = lab.record(first.name()).await.unwrap();
        assert_eq!((after.record.incarnation, after.record.conflict), (2, true), "{round}");
        assert_eq!(after.record.observations, before.record.observations, "{round}");
        assert_eq!(after.verdicts, before.verdicts, "{round}");
        assert!(lab.core.read(|table| table.get(after.number).unwrap().conflict), "shown");
        assert!(lab.report(&mut copy).await.unwrap().conflict, "and the other is told");
        lab.clock.advance_ms(15 * 60_000);
    }

    // One of them is switched off for a day; the conflict ends, and begins again when it comes back.
    for _ in 0..5 {
        lab.take(&mut copy).await;
        lab.clock.advance_ms(15 * 60_000);
    }
    assert!(!lab.report(&mut copy).await.unwrap().conflict);
    assert!(lab.report(&mut first).await.unwrap().conflict);

    // The other is switched off for good.
    lab.clock.advance_ms(46 * 60_000);
    let answer = lab.report(&mut first).await.unwrap();
    assert_eq!((answer.acknowledgement(), answer.conflict), (COMMITTED, false));
    assert!(!lab.record(first.name()).await.unwrap().record.conflict);
    assert_eq!(lab.stored(first.name(), "tpm.version").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn incarnations_that_never_come_back_are_no_conflict() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    for incarnation in [5, 4, 9, 2] {
        let answer = begins_anew(&lab, &mut pc, incarnation).await;
        assert_eq!((answer.acknowledgement(), answer.conflict), (COMMITTED, false), "{incarnation}");
        assert!(!lab.report(&mut pc).await.unwrap().conflict);
    }
    // Restored from a copy made under an earlier incarnation, after three cadences of silence.
    lab.clock.advance_ms(46 * 60_000);
    let answer = begins_anew(&lab, &mut pc, 9).await;
    assert_eq!((answer.acknowledgement(), answer.conflict), (COMMITTED, false));
    // An installation of its own begins without a past.
    lab.clock.advance_ms(46 * 60_000);
    pc.install_id = InstallId([9; 16]);
    lab.take(&mut pc).await;
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!((record.previous_incarnation, record.previous_seen_ms), (0, 0));
}

#[tokio::test]
async fn a_missing_body_is_asked_for_and_the_old_one_kept() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    pc.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    pc.bare = true;
    for _ in 0..2 {
        let answer = lab.report(&mut pc).await.unwrap();
        assert_eq!(answer.need.len(), 1);
        assert_eq!(answer.need[0].kind, u32::from(Kind::Tpm.number()));
        assert!(answer.next_report_after_ms <= 1_000, "at once");
        assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("ready"));
    }
    pc.bare = false;
    assert_eq!(lab.take(&mut pc).await, COMMITTED);
    assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("advisory"));
}

#[tokio::test]
async fn evidence_of_an_unknown_kind_is_kept_and_fails_nothing() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let key = || {
        let subject = Some(v1::observation_key::Subject::Host(v1::HostSubject {}));
        v1::ObservationKey { kind: 4_711, subject }
    };
    let body = b"from the future".to_vec();
    let mut with_unknown = |bare: bool| {
        let mut report = pc.report(lab.clock.now());
        report.observations.push(v1::ObservationEntry {
            key: Some(key()),
            digest: Digest::of(&body).0.to_vec(),
            body: (!bare).then(|| body.clone()),
            observed_at_ms: lab.clock.now().unix_ms(),
            context: v1::ObservationContext::Service.into(),
            origin: v1::ObservationOrigin::Live.into(),
            moving: None,
        });
        report
    };
    let peer = lab.peer("pc1.corp.example");
    let answer = lab.core.submit(&peer, with_unknown(false)).await.unwrap();
    assert_eq!((answer.acknowledgement(), answer.refusals.len()), (COMMITTED, 0));
    let answer = lab.core.submit(&peer, with_unknown(true)).await.unwrap();
    assert_eq!((answer.acknowledgement(), answer.need.len()), (SEEN, 0));
    let number = lab.record("pc1.corp.example").await.unwrap().number;
    let bodies = lab.store.bodies(number).await.unwrap();
    assert!(bodies.contains(&(key(), body)));
}

#[tokio::test]
async fn a_capture_never_replaces_newer_live_evidence() {
    let lab = Lab::new().await;
    let relay = lab.peer("relay.corp.example");
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    let mut capture = harbour_pc();
    capture.install_id = InstallId([3; 16]);
    capture.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    capture.put_user(2201, Evidence::Prt(crate::fixture::prt(Tristate::No)));
    capture.captured(at("2026-03-02T11:00:00Z"));
    let answer = lab.core.submit(&relay, capture.report(lab.clock.now())).await.unwrap();
    assert!(!answer.conflict);
    assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("ready"));
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!((record.install_id, record.reporter), (vec![7; 16], String::new()), "the host stays its own");
    let from_relay: Vec<_> = record.observations.iter().filter(|own| own.reporter == "relay.corp.example").collect();
    assert_eq!(from_relay.len(), 1, "what nobody else says is taken");
    // The host's own reports go on, and leave what the relay said alone.
    assert_eq!(lab.take(&mut pc).await, SEEN);
    pc.put(Evidence::JoinState(joined(Tristate::No)));
    lab.take(&mut pc).await;
    let record = lab.record(pc.name()).await.unwrap().record;
    assert_eq!(record.observations.iter().filter(|own| !own.reporter.is_empty()).count(), 1);

    // A newer capture counts, until the host says otherwise.
    lab.clock.advance_ms(3_600_000);
    capture.captured(lab.clock.now());
    lab.core.submit(&relay, capture.report(lab.clock.now())).await.unwrap();
    assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("advisory"));
    lab.report(&mut pc).await.unwrap();
    assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn captures_are_ordered_by_when_they_were_taken() {
    let lab = Lab::new().await;
    let relay = lab.peer("relay.corp.example");
    let mut capture = harbour_pc();
    capture.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    capture.captured(at("2026-03-02T11:00:00Z"));
    lab.core.submit(&relay, capture.report(lab.clock.now())).await.unwrap();
    capture.put(Evidence::Tpm(tpm(TpmVersion::V2_0)));
    capture.captured(at("2026-03-02T10:00:00Z"));
    lab.core.submit(&relay, capture.report(lab.clock.now())).await.unwrap();
    assert_eq!(lab.stored(capture.name(), "tpm.version").await.as_deref(), Some("advisory"), "the later one holds");
    let record = lab.record(capture.name()).await.unwrap().record;
    assert_eq!(record.last_seen_ms, at("2026-03-02T11:00:00Z").unix_ms(), "and says when the machine was there");
    capture.captured(at("2026-03-02T11:30:00Z"));
    lab.core.submit(&relay, capture.report(lab.clock.now())).await.unwrap();
    assert_eq!(lab.stored(capture.name(), "tpm.version").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn a_capture_is_as_old_as_its_oldest_part() {
    // Past the first cadence, in which nobody's silence counts.
    let taken = at("2026-03-02T12:10:00Z");
    let two_days_before = taken.plus_days(-2);
    // (the part that is two days older, when the controller was last heard of)
    for (older, heard, stands) in [
        (None, taken, v1::Standing::Ready),
        (Some(Kind::Prt), taken, v1::Standing::Ready),
        (Some(Kind::Certificate), two_days_before, v1::Standing::Unknown),
        (Some(Kind::CertificateListing), two_days_before, v1::Standing::Unknown),
    ] {
        let lab = Lab::new().await;
        lab.clock.advance_ms(11 * 60_000);
        let mut dc = Machine::dc("dc01.corp.example", "Harbour");
        dc.put_user(2201, Evidence::Prt(crate::fixture::prt(Tristate::No)));
        dc.captured(taken);
        let mut report = dc.report(lab.clock.now());
        let older = older.map(|kind| u32::from(kind.number()));
        for entry in &mut report.observations {
            if entry.key.as_ref().map(|key| key.kind) == older {
                entry.observed_at_ms = two_days_before.unix_ms();
            }
        }
        lab.core.submit(&lab.peer("relay.corp.example"), report).await.unwrap();
        let stored = lab.record(dc.name()).await.unwrap();
        assert_eq!(stored.record.last_seen_ms, heard.unix_ms(), "{older:?}");
        let view = lab.core.host(stored.number).await.unwrap().unwrap();
        let mut verdicts = view.verdicts.iter().filter_map(|own| own.verdict.as_ref());
        let verdict = verdicts.find(|own| own.check == "dc.cert-present").unwrap();
        assert_eq!(verdict.standing(), stands, "{older:?}");
        let site = lab.site("Harbour").await;
        let missing = site.readiness.coverage.dcs_silent.len();
        assert_eq!(missing, usize::from(stands == v1::Standing::Unknown), "{older:?}");
    }
}

#[tokio::test]
async fn a_host_takes_over_from_the_relay_that_spoke_for_it() {
    let lab = Lab::new().await;
    let mut capture = harbour_pc();
    capture.captured(at("2026-03-02T11:00:00Z"));
    lab.core.submit(&lab.peer("relay.corp.example"), capture.report(lab.clock.now())).await.unwrap();
    let mut own = harbour_pc();
    own.install_id = InstallId([8; 16]);
    assert_eq!(lab.take(&mut own).await, COMMITTED);
    let record = lab.record(own.name()).await.unwrap().record;
    assert_eq!((record.install_id, record.reporter.as_str(), record.conflict), (vec![8; 16], "", false));
    assert!(record.observations.iter().all(|own| own.reporter.is_empty()));
}

#[tokio::test]
async fn an_observation_that_is_not_listed_any_more_is_gone() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    pc.observations.retain(|key, _| !key.kind.is_of_user());
    assert_eq!(lab.take(&mut pc).await, COMMITTED);
    let number = lab.record(pc.name()).await.unwrap().number;
    assert_eq!(lab.store.bodies(number).await.unwrap().len(), 3);
    assert!(lab.core.read(|table| table.hosts_of_user(&sid(1104)).is_empty()));
    assert_eq!(lab.site("Harbour").await.counts.users.total(), 0);
}

#[tokio::test]
async fn a_machine_that_hello_does_not_concern_is_shown_and_not_counted() {
    let lab = Lab::new().await;
    let (mut pc, mut linux) = (harbour_pc(), Machine::new("srv1.corp.example", Some("Harbour"), Role::Endpoint));
    lab.take(&mut pc).await;
    let before = lab.site("Harbour").await;
    let system = crate::fixture::client();
    linux.put(Evidence::OperatingSystem(OperatingSystem { family: OsFamily::Linux, build: None, ..system.clone() }));
    linux.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    lab.take(&mut linux).await;
    assert_eq!(lab.stored(linux.name(), "tpm.version").await.as_deref(), Some("advisory"), "worth showing");
    assert_eq!(lab.record(linux.name()).await.unwrap().record.counts_as_endpoint, Some(false));
    let site = lab.site("Harbour").await;
    assert_eq!(site.hosts, 2, "it is a host of the site");
    assert_eq!(site.counts, before.counts, "and none of its endpoints");
    assert_eq!(site.readiness.coverage.endpoints_fresh, 1);
    assert_eq!(site.readiness, before.readiness);
    let again = lab.again().await.snapshot();
    assert_eq!(again.organisation.endpoints.total(), 1, "nor after a restart");

    // The same machine with Windows on it is one.
    linux.put(Evidence::OperatingSystem(system));
    lab.take(&mut linux).await;
    let site = lab.site("Harbour").await;
    assert_eq!((site.counts.endpoints.total(), site.readiness.coverage.endpoints_fresh), (2, 2));
}

#[tokio::test]
async fn bad_reports_are_refused_with_what_is_wrong() {
    let lab = Lab::new().await;
    let peer = lab.peer("pc1.corp.example");
    let mut pc = harbour_pc();
    let report = pc.report(lab.clock.now());
    let cases: [(&str, Spoil, Code, &str); 9] = [
        (
            "protocol",
            |r| r.protocol = Some(v1::ProtocolVersion { major: 9, minor: 1 }),
            Code::FailedPrecondition,
            "9.1",
        ),
        ("no protocol", |r| r.protocol = None, Code::InvalidArgument, "protocol"),
        ("no host", |r| r.host = None, Code::InvalidArgument, "host"),
        ("install id", |r| r.install_id = vec![1; 3], Code::InvalidArgument, "install_id"),
        ("incarnation", |r| r.incarnation = 0, Code::InvalidArgument, "incarnation"),
        ("sequence", |r| r.sequence = 0, Code::InvalidArgument, "sequence"),
        ("duplicate", |r| r.observations.push(r.observations[0].clone()), Code::InvalidArgument, "two observations"),
        (
            "too many",
            |r| r.observations = vec![r.observations[0].clone(); limits::OBSERVATIONS_PER_REPORT + 1],
            Code::InvalidArgument,
            "at most 320",
        ),
        ("version", |r| r.probe_version = "x".repeat(257), Code::InvalidArgument, "at most 256"),
    ];
    for (name, spoil, code, says) in cases {
        let mut spoilt = report.clone();
        spoil(&mut spoilt);
        let status = of_refused(&lab.core.submit(&peer, spoilt).await.unwrap_err());
        assert_eq!(status.code(), code, "{name}: {}", status.message());
        assert!(status.message().contains(says), "{name}: {}", status.message());
    }
    assert!(lab.record(pc.name()).await.is_none());
}

#[tokio::test]
async fn bad_parts_are_refused_and_the_rest_is_taken() {
    let lab = Lab::new().await;
    let peer = lab.peer("pc1.corp.example");
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    let tpm_entry = |report: &mut v1::ReportRequest| {
        let at = report.observations.iter().position(|own| own.key.as_ref().is_some_and(|key| key.kind == 1)).unwrap();
        report.observations.swap(0, at);
    };
    let cases: [(&str, Spoil, &str); 5] = [
        ("wrong digest", |r| r.observations[0].body = Some(b"other".to_vec()), "digest"),
        (
            "no message",
            |r| {
                r.observations[0].digest = Digest::of(b"\xff\xff").0.to_vec();
                r.observations[0].body = Some(b"\xff\xff".to_vec());
            },
            "cannot be decoded",
        ),
        (
            "too large",
            |r| {
                let body = vec![0; limits::OBSERVATION_BODY_BYTES + 1];
                r.observations[0].digest = Digest::of(&body).0.to_vec();
                r.observations[0].body = Some(body);
            },
            "at most 12288",
        ),
        ("unknown origin", |r| r.observations[0].origin = 77, "77"),
        ("unknown role", |r| r.roles.push(77), "77"),
    ];
    for (name, spoil, says) in cases {
        let mut spoilt = pc.report(lab.clock.now());
        tpm_entry(&mut spoilt);
        spoil(&mut spoilt);
        let answer = lab.core.submit(&peer, spoilt).await.unwrap();
        assert_eq!(answer.refusals.len(), 1, "{name}");
        assert!(answer.refusals[0].reason.contains(says), "{name}: {}", answer.refusals[0].reason);
        assert_eq!(lab.stored(pc.name(), "tpm.version").await.as_deref(), Some("ready"), "{name}: the old one is kept");
    }
}

#[tokio::test]
async fn a_host_has_no_more_users_than_allowed() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    for rid in 0..40 {
        pc.put_user(3_000 + rid, Evidence::Ngc(crate::fixture::ngc()));
    }
    let answer = lab.report(&mut pc).await.unwrap();
    let expected = 41 - limits::USERS_PER_HOST;
    assert_eq!(answer.refusals.len(), expected);
    assert!(answer.refusals[0].reason.contains("at most 24 are allowed"), "{}", answer.refusals[0].reason);
}

#[tokio::test]
async fn a_time_far_ahead_is_kept_as_claimed_and_judged_by_arrival() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let claimed = lab.clock.now().plus_days(400);
    pc.observed_at = Some(claimed);
    lab.take(&mut pc).await;
    let stored = lab.record(pc.name()).await.unwrap();
    assert!(stored.record.observations.iter().all(|own| own.observed_at_ms == claimed.unix_ms()));
    let verdicts = stored.verdicts.verdicts.iter().filter_map(|own| own.verdict.as_ref());
    assert!(verdicts.filter_map(|own| own.evidence_at_ms).all(|at| at == lab.clock.now().unix_ms()));
    let seen = lab.core.read(|table| table.get(stored.number).unwrap().users[0].seen);
    assert_eq!(seen, lab.clock.now());
}

#[tokio::test]
async fn a_change_is_written_once_and_so_is_the_recovery() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    pc.observations.retain(|key, _| !key.kind.is_of_user());
    lab.take(&mut pc).await;
    let mut told = lab.transitions(pc.name()).await;
    // What this machine never tells is news of another kind.
    told.retain(|line| !line.ends_with(":  > unknown"));
    assert_eq!(told, [""; 0], "a first verdict that is well is no news");
    let standing_since = lab.clock.now();
    for version in [TpmVersion::V1_2, TpmVersion::V1_2, TpmVersion::V2_0, TpmVersion::V2_0] {
        lab.clock.advance_ms(60_000);
        pc.put(Evidence::Tpm(tpm(version)));
        lab.take(&mut pc).await;
    }
    let mut told = lab.transitions(pc.name()).await;
    told.retain(|line| line.contains(" tpm.version:"));
    assert_eq!(told, ["host tpm.version: ready > advisory", "host tpm.version: advisory > ready"]);
    let verdicts = lab.record(pc.name()).await.unwrap().verdicts.verdicts;
    let since = |check: &str| {
        let mut own = verdicts.iter().filter_map(|own| own.verdict.as_ref()).filter(|own| own.check == check);
        own.next().unwrap().since_ms
    };
    assert_eq!(since("os.client-build"), standing_since.unix_ms());
    assert_eq!(since("tpm.version"), standing_since.plus_minutes(3).unix_ms());
}

#[tokio::test]
async fn a_move_takes_the_host_and_its_user_along_and_is_written() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    assert_eq!(lab.site("Harbour").await.counts.users.total(), 1);
    pc.host.site = Some("Depot".parse().unwrap());
    lab.take(&mut pc).await;
    assert_eq!(lab.site("Harbour").await.counts.users.total(), 0);
    let depot = lab.site("Depot").await;
    assert_eq!((depot.counts.users.total(), depot.counts.endpoints.total(), depot.hosts), (1, 1, 1));
    let moved = "host : corp.example/Harbour > corp.example/Depot".to_owned();
    assert!(lab.transitions(pc.name()).await.contains(&moved));
    pc.host.site = None;
    lab.take(&mut pc).await;
    assert_eq!(lab.core.publish_now().await.unwrap().organisation.hosts_without_site, 1);
}

#[tokio::test]
async fn a_domain_controller_learns_whom_it_serves() {
    let lab = Lab::new().await;
    let mut dc = Machine::dc("dc01.corp.example", "Harbour");
    let mut bare = crate::fixture::kdc_certificate(dc.name(), &["1.3.6.1.5.5.7.3.1"]);
    bare.template = Some(muster_evidence::TemplateReference::Name(crate::fixture::text("DomainController")));
    dc.certificate(bare);
    lab.take(&mut dc).await;
    let before = lab.stored(dc.name(), "dc.cert-eku").await;
    // The depot has no controller of its own: Harbour's serve it.
    let mut pc = Machine::endpoint("pc9.corp.example", "Depot", 9);
    pc.put(Evidence::JoinState(joined(Tristate::No)));
    lab.take(&mut pc).await;
    while lab.core.judge_waiting().await > 0 {}
    let after = lab.stored(dc.name(), "dc.cert-eku").await;
    assert_eq!(after.as_deref(), Some("blocked"), "was {before:?}");
    assert_ne!(before, after);
}

fn keys(user: u32, as_of: &str, epoch: u64, cursor: u64, complete: bool) -> InventoryPart {
    let key = muster_evidence::DirectoryKey {
        key_id: Some(Sha256([5; 32])),
        usage: muster_evidence::KeyUsage::Ngc,
        source: Some(muster_evidence::KeySource::AzureAd),
        device_id: Some("0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()),
        created_at: Some(at("2026-03-02T08:14:07Z")),
        last_used_at: None,
        rsa_bits: Some(2048),
        roca: Some(false),
        strength: muster_evidence::KeyStrength::Normal,
        key_hash_valid: Some(true),
        remark: Text::default(),
    };
    let keys = UserKeys { sid: sid(user), keys: vec![key], undecodable: 0, left_out: 0, upn: None };
    InventoryPart {
        forest: "corp.example".parse::<Forest>().unwrap(),
        source: crate::fixture::text("key-credentials"),
        epoch,
        cursor,
        as_of: at(as_of),
        items: vec![InventoryItem::UserKeys(keys)],
        complete,
        canary_seen: true,
    }
}

#[tokio::test]
async fn a_key_that_reaches_the_directory_is_seen_at_its_user() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    pc.put_user(1104, Evidence::KeyRegistration(registration(at("2026-03-02T08:14:07Z"))));
    lab.take(&mut pc).await;
    assert_eq!(lab.stored(pc.name(), "sync.key-state").await.as_deref(), Some("unknown"), "nobody reads the directory");

    let part = keys(1104, "2026-03-02T11:55:00Z", 1, 1, true);
    let mut report = pc.report(lab.clock.now());
    report.inventory = vec![(&part).into()];
    let answer = lab.core.submit(&lab.peer(pc.name()), report).await.unwrap();
    assert_eq!(answer.refusals.len(), 1);
    assert!(answer.refusals[0].reason.contains("not granted"), "{}", answer.refusals[0].reason);
    assert_eq!(lab.core.inventory_heads().len(), 0);

    let mut reader = Machine::new("reader.corp.example", Some("Harbour"), Role::Directory);
    // (epoch, cursor, acknowledged epoch, acknowledged cursor)
    for (epoch, cursor, acknowledged_epoch, acknowledged) in [(1, 2, 0, 0), (1, 1, 1, 1), (1, 1, 1, 1), (1, 3, 1, 1)] {
        let mut report = reader.report(lab.clock.now());
        report.inventory = vec![(&keys(1104, "2026-03-02T11:55:00Z", epoch, cursor, true)).into()];
        let answer = lab.core.submit(&lab.peer(reader.name()), report).await.unwrap();
        let ack = &answer.inventory[0];
        assert_eq!((ack.epoch, ack.cursor), (acknowledged_epoch, acknowledged), "{epoch}.{cursor}");
    }
    while lab.core.judge_waiting().await > 0 {}
    assert_eq!(lab.stored(pc.name(), "sync.key-state").await.as_deref(), Some("ready"));

    // The next full pass does not find it any more: the key is gone.
    let mut report = reader.report(lab.clock.now());
    report.inventory = vec![(&keys(2000, "2026-03-02T11:59:00Z", 2, 1, true)).into()];
    lab.core.submit(&lab.peer(reader.name()), report).await.unwrap();
    while lab.core.judge_waiting().await > 0 {}
    assert_ne!(lab.stored(pc.name(), "sync.key-state").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn what_another_collector_changed_meanwhile_is_judged_again() {
    let lab = Lab::new().await;
    let other = lab.again().await;
    let mut pc = harbour_pc();
    lab.take(&mut pc).await;
    let peer = lab.peer(pc.name());
    let mut last = String::new();
    for round in 0..20 {
        let mut next = |half: u8| {
            last = format!("{round}.{half}");
            let firmware = Some(crate::fixture::text(&last));
            pc.put(Evidence::Tpm(Tpm { firmware, ..tpm(TpmVersion::V2_0) }));
            pc.report(lab.clock.now())
        };
        let (first, second) = (next(1), next(2));
        let (first, second) = tokio::join!(other.submit(&peer, first), lab.core.submit(&peer, second));
        let first = first.unwrap().acknowledgement();
        assert!([COMMITTED, SUPERSEDED].contains(&first), "round {round}: {first:?}");
        assert_eq!(second.unwrap().acknowledgement(), COMMITTED, "round {round}");
    }
    let stored = lab.record(pc.name()).await.unwrap();
    assert_eq!(stored.record.sequence, 41);
    let bodies = lab.store.bodies(stored.number).await.unwrap();
    let found = bodies.iter().any(|(_, body)| String::from_utf8_lossy(body).contains(&last));
    assert!(found, "the last report's evidence is the one that is kept");
}

#[tokio::test]
async fn what_could_not_be_read_is_a_gap_and_what_is_not_there_a_fact() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    pc.outcome(ObservationKey::host(Kind::Tpm), Outcome::Absent, Context::Service);
    lab.take(&mut pc).await;
    assert_eq!(lab.stored(pc.name(), "tpm.present").await.as_deref(), Some("advisory"));
    let failure = muster_evidence::Failure {
        reason: muster_evidence::FailureReason::TimedOut,
        detail: crate::fixture::text("no answer"),
    };
    pc.outcome(ObservationKey::host(Kind::Tpm), Outcome::Failed(failure), Context::Service);
    lab.take(&mut pc).await;
    assert_eq!(lab.stored(pc.name(), "tpm.present").await.as_deref(), Some("unknown"));
}

#[test]
fn a_full_disk_is_told_as_such() {
    let full = StoreError::Full { path: PathBuf::from("store") };
    let status = of_refused(&Refused::from(full));
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("no space left for the store in `store`"), "{}", status.message());
    let closed = StoreError::Closed { why: "rebuilding".to_owned() };
    assert_eq!(of_refused(&Refused::from(closed)).code(), Code::Unavailable);
    assert_eq!(of_refused(&Refused::Commit(CommitError::Stopping)).code(), Code::Unavailable);
}

/// How many hosts' certificates are told to be near their end, and by a filter.
async fn near_end(lab: &Lab) -> (u64, u64) {
    lab.core.tick();
    let snapshot = lab.core.publish_now().await.unwrap();
    let query = crate::query::HostQuery { certificate_near_end: true, ..Default::default() };
    let listed = lab.core.read(|table| crate::query::hosts(table, &query, HostNo(0), 10).total);
    (snapshot.organisation.certificates_near_end, listed)
}

#[tokio::test]
async fn the_certificate_of_a_probe_is_kept_as_it_was_proved_and_turns_red_in_time() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    // A tenth of a hundred days: the last ten.
    let peer = lab.peer_for_days(pc.name(), -80, 20);
    let report = pc.report(lab.clock.now());
    assert_eq!(lab.core.submit(&peer, report).await.unwrap().refusals, []);
    let record = lab.record(pc.name()).await.unwrap().record;
    let kept = record.client_certificate.unwrap();
    assert_eq!((kept.not_before_ms, kept.not_after_ms), (peer.not_before().unix_ms(), peer.not_after().unix_ms()));
    assert!(record.client_certificate_proved);
    assert_eq!(near_end(&lab).await, (0, 0));
    // An idle machine stays one.
    lab.clock.advance_ms(60_000);
    assert_eq!(lab.core.submit(&peer, pc.report(lab.clock.now())).await.unwrap().acknowledgement(), SEEN);
    // Nobody renews it, and nobody reports: it turns red all the same, and stays so past its end.
    for (days, expected) in [(9, (0, 0)), (1, (1, 1)), (30, (1, 1))] {
        lab.clock.advance_ms(days * 86_400_000);
        assert_eq!(near_end(&lab).await, expected, "{days} days on");
    }
    let renewed = lab.peer_for_days(pc.name(), -1, 99);
    assert_eq!(lab.core.submit(&renewed, pc.report(lab.clock.now())).await.unwrap().acknowledgement(), COMMITTED);
    assert_eq!(near_end(&lab).await, (0, 0));
}

#[tokio::test]
async fn what_a_probe_says_of_its_certificate_is_compared_with_what_it_proved() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let peer = lab.peer_for_days(pc.name(), -80, 20);
    let mut report = pc.report(lab.clock.now());
    report.client_certificate = Some(v1::ClientCertificate {
        not_before_ms: peer.not_before().unix_ms(),
        not_after_ms: peer.not_after().unix_ms() + 1_000,
        newer_since_ms: Some(lab.clock.now().unix_ms()),
        newer_problem: "half of a key".to_owned(),
    });
    let answer = lab.core.submit(&peer, report.clone()).await.unwrap();
    assert_eq!(answer.refusals.len(), 1, "{:?}", answer.refusals);
    assert_eq!(answer.refusals[0].part, "client certificate");
    assert!(answer.refusals[0].reason.contains("the connection proved one from"), "{:?}", answer.refusals);
    let kept = lab.record(pc.name()).await.unwrap().record.client_certificate.unwrap();
    assert_eq!(kept.not_after_ms, peer.not_after().unix_ms(), "what was proved counts");
    assert_eq!(kept.newer_problem, "half of a key");
    // Through a relay there is nothing to compare with.
    let (relay, mut other) = (lab.peer("relay.corp.example"), Machine::endpoint("pc2.corp.example", "Harbour", 1105));
    let carried = v1::ReportRequest { client_certificate: report.client_certificate, ..other.report(lab.clock.now()) };
    assert_eq!(lab.core.submit(&relay, carried.clone()).await.unwrap().refusals, []);
    let record = lab.record("pc2.corp.example").await.unwrap().record;
    assert_eq!(record.client_certificate, carried.client_certificate);
    assert!(!record.client_certificate_proved);
}

#[tokio::test]
async fn a_clock_that_is_off_is_kept_once_and_its_recovery_too() {
    let lab = Lab::new().await;
    let mut pc = harbour_pc();
    let peer = lab.peer(pc.name());
    let mut send = async |ahead_ms: i64| {
        lab.clock.advance_ms(60_000);
        let report =
            v1::ReportRequest { sent_at_ms: lab.clock.now().unix_ms() + ahead_ms, ..pc.report(lab.clock.now()) };
        let answer = lab.core.submit(&peer, report).await.unwrap();
        assert_eq!(answer.collector_time_ms, lab.clock.now().unix_ms(), "so that the probe learns of it too");
        answer.acknowledgement()
    };
    let ahead = async || lab.record("pc1.corp.example").await.unwrap().record.clock_ahead_ms;
    assert_eq!(send(30_000).await, COMMITTED);
    assert_eq!(ahead().await, 0, "within what the way of a report may take");
    assert_eq!(send(-120_000).await, SEEN);
    assert_eq!(send(3 * 3_600_000).await, COMMITTED);
    assert_eq!(ahead().await, 3 * 3_600_000);
    assert_eq!(send(3 * 3_600_000 + 20_000).await, SEEN, "nearly the same is nothing new");
    assert_eq!(send(-5 * 3_600_000).await, COMMITTED);
    assert_eq!(ahead().await, -5 * 3_600_000);
    assert_eq!(send(0).await, COMMITTED);
    assert_eq!(ahead().await, 0);
}

#[tokio::test]
async fn no_more_sites_are_claimed_than_may_be() {
    let lab = Lab::new().await;
    let most = lab.core.settings().bounds.sites;
    {
        let mut table = lock(&lab.core.0.table);
        for number in table.sites_len()..most {
            let name = format!("S{number}").parse().unwrap();
            let forest = "corp.example".parse().unwrap();
            table.intern_site(&muster_evidence::SiteRef { forest, name, object_guid: None });
        }
    }
    let mut machine = Machine::endpoint("pc-1.corp.example", "One-more", 1_101);
    let answer = lab.report(&mut machine).await.unwrap();
    let told = format!("{:?}", answer.refusals);
    assert!(told.contains("site `One-more` is not known, and 10000 sites are (at most 10000 are taken)"), "{told}");
    let claimed = |lab: &Lab, name: &str| {
        lab.core.read(|table| table.named(&name.parse().unwrap()).next().and_then(|row| table.site(row.site).cloned()))
    };
    assert_eq!(claimed(&lab, "pc-1.corp.example"), None, "it is taken, and placed as if it had claimed none");
    let mut known = Machine::endpoint("pc-2.corp.example", "S9000", 1_102);
    known.install_id = InstallId([9; 16]);
    lab.take(&mut known).await;
    assert_eq!(claimed(&lab, "pc-2.corp.example").unwrap().name.to_string(), "S9000");
    assert_eq!(lab.core.read(crate::table::Table::sites_len), most);
}
