//! The feed of changes, and pages of hosts that match: what every backend must show.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_evidence::{HostNo, Role};
use muster_proto::convert::role_to_wire;
use muster_proto::v1;

use super::{apply_one, at, backends, hosts, transition, update};
use crate::store::{Applied, ChangeCursor, Changes, HostFilter, HostUpdate, InventoryUpdate, Since, SledStore, Store};

macro_rules! suite {
    ($($name:ident)*) => { mod each_backend { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            super::backends(|store| Box::pin(super::$name(store))).await;
        }
    )* } };
}

suite! {
    changes_are_told_to_every_handle
    a_reader_at_work_beside_two_writers_misses_nothing
    pages_hold_what_matches
}

async fn since(store: &dyn Store, cursor: ChangeCursor) -> Changes {
    match store.changes_since(cursor).await.unwrap() {
        Since::Changes(changes) => changes,
        Since::TooOld { newest } => panic!("{cursor:?} is too old; newest is {newest:?}"),
    }
}

fn told(changes: &Changes) -> Vec<(u64, u64)> {
    changes.hosts.iter().map(|(host, revision)| (host.0, *revision)).collect()
}

async fn changes_are_told_to_every_handle(store: Arc<dyn Store>) {
    let other = Arc::clone(&store);
    let first = since(&*other, ChangeCursor::START).await;
    assert_eq!(first, Changes::default(), "nothing has happened");
    hosts(&*store, 3).await;
    let made = since(&*other, first.next).await;
    assert_eq!(told(&made), [(1, 1), (2, 1), (3, 1)]);
    assert!(!made.policy && !made.waivers && !made.inventories && made.last_transition == 0 && !made.more);
    assert_eq!(since(&*other, made.next).await, Changes { next: made.next, ..Changes::default() });

    // Changes that fail tell nothing, and neither do sights and leases.
    let batch = vec![HostUpdate { transitions: vec![transition("a")], ..update(2, 1) }, update(3, 9)];
    other.apply(batch).await.unwrap();
    store.checkpoint_seen(vec![(HostNo(1), 5)]).await.unwrap();
    store.lease("due", "one", at(0), 100).await.unwrap();
    let changed = since(&*store, made.next).await;
    assert_eq!((told(&changed), changed.last_transition), (vec![(2, 2)], 1));

    store.put_policy(0, "text".into(), "anna".into(), at(0)).await.unwrap();
    assert_eq!(store.put_policy(0, "late".into(), "anna".into(), at(0)).await.unwrap(), None);
    let policy = since(&*other, changed.next).await;
    assert!(policy.policy && !policy.waivers && policy.hosts.is_empty());
    store.put_waiver(v1::Waiver::default()).await.unwrap();
    let head = v1::InventoryHead { forest: "corp.example".into(), ..Default::default() };
    let part = InventoryUpdate { head, put: vec![], remove: vec![], sweep: false };
    apply_one(&*store, HostUpdate { inventory: vec![part], ..update(1, 1) }).await;
    store.append_transitions(vec![transition("Go")]).await.unwrap();
    let rest = since(&*other, policy.next).await;
    assert!(rest.waivers && rest.inventories && !rest.policy);
    assert_eq!((told(&rest), rest.last_transition), (vec![(1, 2)], 2));

    // A host that is forgotten is told of once more, and its name is free.
    let forget = HostUpdate { forget: true, ..update(3, 1) };
    assert!(matches!(apply_one(&*store, forget).await, Applied::Committed { .. }));
    assert_eq!(told(&since(&*other, rest.next).await), [(3, 0)]);
    assert_eq!(store.load(HostNo(3)).await.unwrap(), None);
    // From the beginning, only the latest of each.
    assert_eq!(told(&since(&*other, ChangeCursor::START).await), [(1, 2), (2, 2), (3, 0)]);
    let Since::TooOld { newest } = store.changes_since(ChangeCursor::UNKNOWN).await.unwrap() else {
        panic!("a reader that knows nothing must read everything")
    };
    assert!(since(&*other, newest).await.hosts.is_empty());
}

async fn a_reader_at_work_beside_two_writers_misses_nothing(store: Arc<dyn Store>) {
    const HOSTS: u64 = 40;
    hosts(&*store, HOSTS).await;
    let write = |store: Arc<dyn Store>, step: u64| {
        tokio::spawn(async move {
            for turn in 0..60 {
                let host = 1 + (turn * step) % HOSTS;
                let revision = store.load(HostNo(host)).await.unwrap().unwrap().record.revision;
                // The other writer may be faster; then nothing is written.
                store.apply(vec![update(host, revision), update(1 + host % HOSTS, 0)]).await.unwrap();
            }
        })
    };
    let writers = [write(Arc::clone(&store), 7), write(Arc::clone(&store), 11)];
    let mut known: BTreeMap<HostNo, u64> = BTreeMap::new();
    let mut cursor = ChangeCursor::START;
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let changes = since(&*store, cursor).await;
        for (host, revision) in changes.hosts {
            // What is told is durable, and nothing goes back.
            assert!(known.insert(host, revision).is_none_or(|before| before < revision), "host {host}");
        }
        cursor = changes.next;
        if done && !changes.more {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let page = store.page(0, 100).await.unwrap();
    let stored: BTreeMap<HostNo, u64> = page.items.iter().map(|host| (host.number, host.record.revision)).collect();
    assert_eq!(known, stored);
}

/// A cursor is good for one opening of the store: afterwards its reader is told to read everything again, and so is one of
/// a restored copy.
#[tokio::test(flavor = "multi_thread")]
async fn cursors_are_of_one_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = SledStore::open(&path).unwrap();
    hosts(&store, 2).await;
    let backup = folder.path().join("backup");
    store.backup(backup.clone(), Arc::new(|_| ())).await.unwrap();
    apply_one(&store, update(1, 1)).await;
    let cursor = since(&store, ChangeCursor::START).await.next;
    store.close().await.unwrap();
    let store = SledStore::open(&path).unwrap();
    for cursor in [cursor, ChangeCursor::START] {
        let Since::TooOld { newest } = store.changes_since(cursor).await.unwrap() else { panic!("not too old") };
        assert_eq!(since(&store, newest).await.hosts, BTreeMap::new());
    }
    let Since::TooOld { newest } = store.changes_since(cursor).await.unwrap() else { panic!("not too old") };
    apply_one(&store, update(2, 1)).await;
    assert_eq!(told(&since(&store, newest).await), [(2, 2)]);
    store.close().await.unwrap();
    assert!(store.changes_since(newest).await.is_err(), "a closed store answers nothing");

    let restored = folder.path().join("restored");
    crate::store::restore(&backup, &restored, &|_| ()).unwrap();
    let copy = SledStore::open(&restored).unwrap();
    assert!(matches!(copy.changes_since(cursor).await.unwrap(), Since::TooOld { .. }));
    apply_one(&copy, update(2, 1)).await;
    // As many changes as the cursor has seen, but others.
    assert!(matches!(copy.changes_since(cursor).await.unwrap(), Since::TooOld { .. }));
}

async fn pages_hold_what_matches(store: Arc<dyn Store>) {
    use v1::Standing::{Advisory, Blocked, Ready};
    hosts(&*store, 6).await;
    let change = |number: u64, site: &str, role: Role, verdicts: &[(&str, &str, v1::Standing)]| HostUpdate {
        record: v1::HostRecord {
            site: (!site.is_empty()).then(|| v1::SiteId { forest: "corp.example".into(), name: site.into() }),
            roles: vec![role_to_wire(role)],
            ..Default::default()
        },
        verdicts: v1::VerdictRecord {
            verdicts: verdicts
                .iter()
                .map(|(sid, check, standing)| v1::StoredVerdict {
                    user_sid: (*sid).to_owned(),
                    verdict: Some(v1::Verdict {
                        check: (*check).to_owned(),
                        standing: (*standing).into(),
                        ..Default::default()
                    }),
                })
                .collect(),
        },
        ..update(number, 1)
    };
    let tpm = "tpm.version";
    store
        .apply(vec![
            change(1, "Lyon", Role::Endpoint, &[("", tpm, Ready), ("S-1-5-21-1", "prt.present", Blocked)]),
            change(2, "lyon", Role::Endpoint, &[("", tpm, Advisory)]),
            change(3, "Oslo", Role::Endpoint, &[("", tpm, Advisory)]),
            change(4, "Lyon", Role::DomainController, &[("", "dc.cert-eku", Blocked)]),
            change(5, "", Role::Endpoint, &[]),
        ])
        .await
        .unwrap();
    let lyon = Some(("corp.example".parse().unwrap(), "LYON".parse().unwrap()));
    let all = HostFilter::default;
    for (filter, expected) in [
        (all(), vec![1, 2, 3, 4, 5, 6]),
        (HostFilter { site: lyon.clone(), ..all() }, vec![1, 2, 4]),
        (HostFilter { role: Some(Role::DomainController), ..all() }, vec![4]),
        (HostFilter { check: Some(tpm.into()), ..all() }, vec![1, 2, 3]),
        (HostFilter { check: Some(tpm.into()), standings: vec![Advisory], ..all() }, vec![2, 3]),
        (HostFilter { standings: vec![Blocked], ..all() }, vec![1, 4]),
        (
            HostFilter { standings: vec![Blocked, Advisory], site: lyon, role: Some(Role::Endpoint), ..all() },
            vec![1, 2],
        ),
        (HostFilter { check: Some("no.such".into()), ..all() }, vec![]),
    ] {
        for limit in [1, 2, 10] {
            let (mut found, mut after) = (Vec::new(), 0);
            loop {
                let page = store.page_of(&filter, after, limit).await.unwrap();
                assert!(page.items.len() <= limit);
                found.extend(page.items.iter().map(|host| host.number.0));
                match page.next {
                    Some(next) => {
                        assert!(next > after, "a page goes on");
                        after = next;
                    }
                    None => break,
                }
            }
            assert_eq!(found, expected, "{filter:?} in pages of {limit}");
        }
    }
}
