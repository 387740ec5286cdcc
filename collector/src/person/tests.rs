use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use muster_evidence::{Evidence, InventoryPart, KeyRegistration, ObservationKey, Outcome, Role, Tristate, UserKeys};
use muster_proto::convert::decode_body;

use super::*;
use crate::clock::Clock as _;
use crate::fixture::{Lab, Machine, at, prt, registration, settings, sid, text};
use crate::names::{NameKeys, tests::key_file};

const DAY_MS: i64 = 86_400_000;

/// A machine on which two people have a token, a key and so verdicts.
fn machine() -> Machine {
    let mut machine = Machine::endpoint("pc1.corp.example", "Harbour", 1104);
    for user in [1104, 1105] {
        machine.put_user(user, Evidence::Prt(prt(Tristate::No)));
        machine.put_user(user, Evidence::KeyRegistration(named("Anna@Corp.Example")));
    }
    machine
}

fn named(upn: &str) -> KeyRegistration {
    KeyRegistration { upn: Some(text(upn)), ..registration(at("2026-03-02T08:14:07Z")) }
}

fn directory_keys(user: u32) -> InventoryPart {
    InventoryPart {
        forest: "corp.example".parse().unwrap(),
        source: text("key-credentials"),
        epoch: 1,
        cursor: 1,
        as_of: at("2026-03-02T11:55:00Z"),
        items: vec![InventoryItem::UserKeys(UserKeys {
            sid: sid(user),
            keys: Vec::new(),
            undecodable: 1,
            left_out: 0,
            upn: Some(text("anna@corp.example")),
        })],
        complete: true,
        canary_seen: true,
    }
}

/// The people whom a machine's record speaks of.
async fn people(lab: &Lab) -> Vec<String> {
    let stored = lab.record("pc1.corp.example").await.unwrap();
    let people: BTreeSet<Sid> = stored.record.observations.iter().filter_map(user_sight).map(|(sid, _)| sid).collect();
    people.iter().map(ToString::to_string).collect()
}

/// Everything about a person, as one text.
async fn exported(core: &Core, user: u32) -> (usize, String) {
    let (mut documents, mut place) = (Vec::new(), Some(Place::Hosts(0)));
    while let Some(at) = place {
        assert_eq!(Place::parse(&at.token()), Some(at));
        let (page, next) = core.export_user(&sid(user), at).await.unwrap();
        documents.extend(page);
        place = next;
    }
    (documents.len(), documents.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn people_are_forgotten_ninety_days_after_their_last_sight() {
    let lab = Lab::new().await;
    let mut machine = machine();
    lab.take(&mut machine).await;
    assert_eq!(people(&lab).await.len(), 2);

    // One of them is seen there another time, ten days later.
    lab.clock.advance_ms(10 * DAY_MS);
    machine.observations.retain(|key, _| key.subject != Subject::User(sid(1105)));
    lab.take(&mut machine).await;
    assert_eq!(people(&lab).await, [sid(1104).to_string()]);
    let earlier = lab.record("pc1.corp.example").await.unwrap().record.earlier_users;
    assert_eq!(earlier.len(), 1, "who was there before is known by the SID alone");

    lab.clock.advance_ms(80 * DAY_MS);
    assert_eq!(lab.core.expire_people().await, 0, "the ninetieth day is not over");
    lab.clock.advance_ms(1);
    assert_eq!(lab.core.expire_people().await, 1);
    let record = lab.record("pc1.corp.example").await.unwrap().record;
    assert_eq!((record.earlier_users.len(), people(&lab).await.len()), (0, 1), "the other was seen later");

    lab.clock.advance_ms(10 * DAY_MS - 1);
    assert_eq!(lab.core.expire_people().await, 0);
    lab.clock.advance_ms(1);
    assert_eq!(lab.core.expire_people().await, 1);
    assert_eq!(people(&lab).await, Vec::<String>::new());
    let stored = lab.record("pc1.corp.example").await.unwrap();
    assert!(stored.verdicts.verdicts.iter().all(|own| own.user_sid.is_empty()), "{:?}", stored.verdicts);
    let bodies = lab.store.bodies(stored.number).await.unwrap();
    assert_eq!(bodies.len(), stored.record.observations.len(), "no body is left behind");
    assert!(!stored.record.observations.is_empty(), "what is known of the machine stays");
    assert_eq!(lab.core.expire_people().await, 0);

    // The machine comes back, and so do they.
    machine.put_user(1104, Evidence::Prt(prt(Tristate::Yes)));
    let answer = lab.report(&mut machine).await.unwrap();
    assert_eq!((answer.refusals.len(), answer.need.len()), (0, 0));
    assert_eq!(people(&lab).await, [sid(1104).to_string()]);
}

#[tokio::test]
async fn what_is_older_about_people_is_not_taken() {
    for (age_ms, taken) in [(90 * DAY_MS, true), (90 * DAY_MS + 1, false)] {
        let lab = Lab::new().await;
        let mut machine = machine();
        machine.observed_at = Some(lab.clock.now().plus_ms(-age_ms));
        let answer = lab.report(&mut machine).await.unwrap();
        assert_eq!(answer.refusals.is_empty(), taken, "{age_ms}: {:?}", answer.refusals);
        assert_eq!(people(&lab).await.is_empty(), !taken, "{age_ms}");
        if !taken {
            let reason = &answer.refusals[0].reason;
            assert!(reason.ends_with("what is told of people is kept for 90 days"), "{reason}");
        }
    }
}

#[tokio::test]
async fn what_is_stored_about_a_person_is_shown_and_removed_as_a_whole() {
    let lab = Lab::new().await;
    let mut machine = machine();
    lab.take(&mut machine).await;
    machine.put_user(1104, Evidence::Prt(prt(Tristate::Yes)));
    lab.clock.advance_ms(60_000);
    lab.take(&mut machine).await;
    let mut reader = Machine::new("reader.corp.example", Some("Harbour"), Role::Directory);
    let mut report = reader.report(lab.clock.now());
    report.inventory = vec![(&directory_keys(1104)).into()];
    lab.core.submit(&lab.peer(reader.name()), report).await.unwrap();
    while lab.core.judge_waiting().await > 0 {}

    let (_, told) = exported(&lab.core, 1104).await;
    for part in [
        r#""host":"pc1.corp.example""#,
        r#""kind":"key-registration""#,
        "Anna@Corp.Example",
        r#""about":"directory""#,
        r#""undecodable":1"#,
        r#""about":"change""#,
        r#""check":"prt.present""#,
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (_, other) = exported(&lab.core, 1105).await;
    assert_eq!(exported(&lab.core, 4711).await, (0, String::new()));

    let number = lab.record("pc1.corp.example").await.unwrap().number;
    let erased = lab.core.erase_user(&sid(1104)).await.unwrap();
    assert_eq!((erased.hosts, erased.items), (1, 1), "{erased:?}");
    assert!(erased.observations >= 2 && erased.verdicts >= 1 && erased.transitions >= 1, "{erased:?}");
    assert_eq!(exported(&lab.core, 1104).await, (0, String::new()));
    assert_eq!(exported(&lab.core, 1105).await.1, other, "nobody else is concerned");
    let history = lab.store.host_transitions(number, 1_000).await.unwrap();
    assert!(!history.is_empty());
    assert!(history.iter().all(|own| own.subject != sid(1104).as_str()), "{history:?}");
    assert_eq!(lab.core.read(|table| table.hosts_of_user(&sid(1104)).len()), 0);
    let again = lab.again().await;
    assert_eq!(again.read(|table| table.hosts_of_user(&sid(1104)).len()), 0, "nor after a restart");
    assert_eq!(lab.core.erase_user(&sid(1104)).await.unwrap(), Erased::default());

    // Nothing is missing of what the machine still tells.
    lab.clock.advance_ms(60_000);
    let mut report = machine.report(lab.clock.now());
    let kept = lab.record("pc1.corp.example").await.unwrap().record.observations.len();
    let own = report.observations.len();
    for entry in &mut report.observations {
        entry.body = None;
    }
    let answer = lab.core.submit(&lab.peer(machine.name()), report).await.unwrap();
    assert_eq!(answer.need.len(), own - kept, "what was removed is asked for, since the machine still tells it");
}

/// A core on the laboratory's store that replaces names by a key.
async fn with_key(lab: &Lab, key: &Path, previous: Option<&Path>) -> Core {
    let names = Some(NameKeys::read(key, previous).unwrap());
    let settings = crate::settings::Settings { names, ..settings() };
    Core::start(Arc::clone(&lab.store), lab.clock.clone(), settings, None, &|_| ()).await.unwrap()
}

/// The name in a user's stored registration.
async fn stored_name(lab: &Lab, user: u32) -> String {
    let number = lab.record("pc1.corp.example").await.map(|stored| stored.number).unwrap();
    let key = WireKey::from(&ObservationKey::user(Kind::KeyRegistration, sid(user))).to_wire();
    let bodies = lab.store.bodies(number).await.unwrap();
    let (_, body) = bodies.into_iter().find(|(own, _)| *own == key).unwrap();
    match decode_body(Kind::KeyRegistration, &body).unwrap() {
        Outcome::Observed(Evidence::KeyRegistration(registration)) => registration.upn.unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

/// Reports as a probe does that sent everything before: bodies only where they are asked for.
async fn without_bodies(core: &Core, lab: &Lab, machine: &mut Machine) -> usize {
    lab.clock.advance_ms(60_000);
    let mut report = machine.report(lab.clock.now());
    for entry in &mut report.observations {
        entry.body = None;
    }
    let answer = core.submit(&lab.peer(machine.name()), report).await.unwrap();
    assert_eq!(answer.refusals, []);
    if !answer.need.is_empty() {
        let report = machine.report(lab.clock.now());
        let answer = core.submit(&lab.peer(machine.name()), report).await.unwrap();
        assert_eq!((answer.need.len(), answer.refusals.len()), (0, 0));
    }
    answer.need.len()
}

#[tokio::test]
async fn names_are_replaced_before_they_are_stored_and_anew_under_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, three] = [1, 2, 3].map(|byte| key_file(folder.path(), byte));
    let lab = Lab::new().await;
    let mut machine = machine();
    lab.take(&mut machine).await;
    assert_eq!(stored_name(&lab, 1104).await, "Anna@Corp.Example", "without a key names are stored as they come");

    // A key: what was stored in the clear is asked for, once.
    let core = with_key(&lab, &one, None).await;
    let id = core.settings().names.as_ref().unwrap().id().to_owned();
    assert_eq!(without_bodies(&core, &lab, &mut machine).await, 2, "a registration of each of two people");
    let first = stored_name(&lab, 1104).await;
    assert!(first.starts_with(&format!("hmac-sha256:{id}:")), "{first}");
    assert_eq!(stored_name(&lab, 1105).await, first, "one name gives one text");
    assert_eq!(without_bodies(&core, &lab, &mut machine).await, 0);
    let again = with_key(&lab, &one, None).await;
    assert_eq!(without_bodies(&again, &lab, &mut machine).await, 0, "nor after a restart");

    // Another key that does not name the one before leaves what is stored as it is.
    let other = with_key(&lab, &three, None).await;
    assert_eq!(without_bodies(&other, &lab, &mut machine).await, 0);
    assert_eq!(stored_name(&lab, 1104).await, first);

    // One that does has it replaced as it is reported.
    let rotated = with_key(&lab, &two, Some(&one)).await;
    assert_eq!(without_bodies(&rotated, &lab, &mut machine).await, 2);
    let second = stored_name(&lab, 1104).await;
    assert!(second.starts_with("hmac-sha256:") && second != first, "{second}");
    assert!(!second.contains(&id));
    assert_eq!(without_bodies(&rotated, &lab, &mut machine).await, 0);

    // Names of the directory are replaced as well, and nothing of them is anywhere in the store.
    let mut reader = Machine::new("reader.corp.example", Some("Harbour"), Role::Directory);
    let mut report = reader.report(lab.clock.now());
    report.inventory = vec![(&directory_keys(1104)).into()];
    rotated.submit(&lab.peer(reader.name()), report).await.unwrap();
    let (documents, told) = exported(&rotated, 1104).await;
    assert!(documents >= 2);
    assert!(!told.to_lowercase().contains("anna"), "{told}");
    assert_eq!(told.matches(&second).count(), 2, "the endpoint's and the directory's: {told}");
}
