//! The behaviour every backend must show, run once per backend, with one handle and with two at once.
//!
//! A backend is added by one line in [`backends`].

mod feed;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use muster_evidence::{HostNo, Timestamp};
use muster_proto::v1;

use super::{
    Applied, CounterDelta, Erasure, HostKey, HostUpdate, InventoryUpdate, MemoryStore, Rename, SledStore, Store,
    StoreError, restore,
};

type Test = fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs one test on an empty store of every backend.
async fn backends(test: Test) {
    test(Arc::new(MemoryStore::new())).await;
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SledStore::open(folder.path()).unwrap());
    test(Arc::clone(&store)).await;
    store.close().await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0, "sled wrote a blob");
}

macro_rules! suite {
    ($($name:ident)*) => { mod each_backend { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            super::backends(|store| Box::pin(super::$name(store))).await;
        }
    )* } };
}

suite! {
    numbers_are_dense_and_stay
    a_change_from_an_old_revision_writes_nothing
    a_host_that_is_renamed_keeps_its_number
    a_name_is_not_taken_from_its_host
    one_of_two_handles_wins
    a_batch_answers_item_by_item
    bodies_come_and_go_with_their_host
    counters_add_up
    due_hosts_come_in_order_of_time
    pages_meet_every_host_once
    transitions_are_numbered_in_order
    series_are_kept_per_host
    inventories_are_merged_and_swept
    what_is_erased_leaves_the_rest_as_it_was
    sight_moves_forward_only
    policies_are_compared_and_swapped
    waivers_are_numbered_and_replaced
    leases_have_one_holder
    long_records_survive
    a_backup_is_one_state_of_the_store
    a_closed_store_says_so
}

pub(super) fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms).unwrap()
}

pub(super) fn host_key(name: &str) -> HostKey {
    HostKey { forest: Some("corp.example".parse().unwrap()), name: name.parse().unwrap() }
}

pub(super) fn update(number: u64, from_revision: u64) -> HostUpdate {
    HostUpdate { number, from_revision, ..HostUpdate::default() }
}

fn observation(kind: u32) -> v1::ObservationKey {
    v1::ObservationKey { kind, subject: Some(v1::observation_key::Subject::Host(v1::HostSubject {})) }
}

fn transition(to: &str) -> v1::Transition {
    v1::Transition { to: to.to_owned(), ..v1::Transition::default() }
}

fn delta(counter: &str, by: i64) -> CounterDelta {
    CounterDelta { counter: counter.to_owned(), by }
}

pub(super) async fn apply_one(store: &dyn Store, update: HostUpdate) -> Applied {
    store.apply(vec![update]).await.unwrap()[0]
}

/// Makes hosts 1 to `count`.
pub(super) async fn hosts(store: &dyn Store, count: u64) {
    for number in 1..=count {
        assert_eq!(store.assign(&host_key(&format!("h{number}"))).await.unwrap(), HostNo(number));
        assert!(matches!(apply_one(store, update(number, 0)).await, Applied::Committed { .. }));
    }
}

async fn numbers_are_dense_and_stay(store: Arc<dyn Store>) {
    assert_eq!(store.find(&host_key("a")).await.unwrap(), None);
    let elsewhere = HostKey { forest: None, ..host_key("a") };
    let order = [host_key("a"), host_key("b"), elsewhere.clone(), host_key("a"), host_key("b"), elsewhere];
    let mut numbers = Vec::new();
    for host in &order {
        numbers.push(store.assign(host).await.unwrap().0);
    }
    assert_eq!(numbers, [1, 2, 3, 1, 2, 3]);
    assert_eq!(store.find(&order[2]).await.unwrap(), Some(HostNo(3)));

    // Two handles, the same hundred hosts in opposite orders.
    let names: Vec<HostKey> = (0..100).map(|i| host_key(&format!("n{i}"))).collect();
    let assign = |names: Vec<HostKey>| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for name in &names {
                store.assign(name).await.unwrap();
            }
        })
    };
    let (one, two) = (assign(names.clone()), assign(names.iter().rev().cloned().collect()));
    one.await.unwrap();
    two.await.unwrap();
    let mut numbers = BTreeSet::new();
    for name in &names {
        numbers.insert(store.find(name).await.unwrap().unwrap().0);
    }
    assert_eq!(numbers, (4..=103).collect());
}

async fn a_change_from_an_old_revision_writes_nothing(store: Arc<dyn Store>) {
    hosts(&*store, 1).await;
    let before = store.load(HostNo(1)).await.unwrap().unwrap();
    assert_eq!(before.record.revision, 1);
    for stale in [0, 2, 99] {
        let change = HostUpdate {
            record: v1::HostRecord { probe_version: "9".into(), due_ms: Some(1), ..Default::default() },
            put_bodies: vec![(observation(1), vec![1])],
            transitions: vec![transition("ready")],
            deltas: vec![delta("hosts", 1)],
            series: vec![(1, v1::SeriesRecord::default())],
            inventory: vec![InventoryUpdate {
                head: v1::InventoryHead::default(),
                put: vec![],
                remove: vec![],
                sweep: false,
            }],
            ..update(1, stale)
        };
        assert_eq!(apply_one(&*store, change).await, Applied::Conflict, "from {stale}");
    }
    assert_eq!(store.load(HostNo(1)).await.unwrap().unwrap(), before);
    assert!(store.bodies(HostNo(1)).await.unwrap().is_empty());
    assert!(store.transitions(0, 9).await.unwrap().items.is_empty());
    assert!(store.totals().await.unwrap().is_empty());
    assert!(store.series(HostNo(1), 1).await.unwrap().is_none());
    assert!(store.inventory_heads().await.unwrap().is_empty());
    assert!(store.due(at(10), 9).await.unwrap().is_empty());
}

fn rename(left: &[&str], taken: &str) -> Rename {
    Rename { left: left.iter().map(|name| host_key(name)).collect(), taken: host_key(taken) }
}

async fn a_host_that_is_renamed_keeps_its_number(store: Arc<dyn Store>) {
    hosts(&*store, 2).await;
    let find = async |name: &str| store.find(&host_key(name)).await.unwrap().map(|number| number.0);
    let told = |to: &str| v1::HostRecord { probe_version: to.to_owned(), ..Default::default() };
    let change = HostUpdate {
        record: told("renamed"),
        transitions: vec![transition("new")],
        // A name that it never had, or has lost to somebody else, is let alone.
        rename: Some(rename(&["h1", "h2", "never"], "new")),
        ..update(1, 1)
    };
    assert_eq!(apply_one(&*store, change).await, Applied::Committed { last_transition: 1 });
    assert_eq!([find("new").await, find("h1").await, find("h2").await], [Some(1), None, Some(2)]);
    assert_eq!(store.load(HostNo(1)).await.unwrap().unwrap().record.probe_version, "renamed");
    assert_eq!(store.transitions(0, 9).await.unwrap().items[0].host_number, 1);
    // The name that is free now is a new host's, and the numbers go on.
    assert_eq!(store.assign(&host_key("h1")).await.unwrap(), HostNo(3));
    // A name that was given out and never reported under is free as well, and one's own is no change.
    let again = HostUpdate { rename: Some(rename(&["new"], "h1")), ..update(1, 2) };
    assert!(matches!(apply_one(&*store, again).await, Applied::Committed { .. }));
    let same = HostUpdate { rename: Some(rename(&["h1"], "h1")), ..update(1, 3) };
    assert!(matches!(apply_one(&*store, same).await, Applied::Committed { .. }));
    assert_eq!([find("h1").await, find("new").await, find("h2").await], [Some(1), None, Some(2)]);
    // Two hosts may change names in one batch, one after the other.
    let batch = vec![
        HostUpdate { rename: Some(rename(&["h1"], "free")), ..update(1, 4) },
        HostUpdate { rename: Some(rename(&["h2"], "h1")), ..update(2, 1) },
    ];
    assert!(store.apply(batch).await.unwrap().iter().all(|one| matches!(one, Applied::Committed { .. })));
    assert_eq!([find("free").await, find("h1").await, find("h2").await], [Some(1), Some(2), None]);
}

async fn a_name_is_not_taken_from_its_host(store: Arc<dyn Store>) {
    hosts(&*store, 2).await;
    let before = store.load(HostNo(1)).await.unwrap();
    for (from, taken) in [(1, "h2"), (0, "new"), (2, "new")] {
        let change = HostUpdate {
            transitions: vec![transition("lost")],
            rename: Some(rename(&["h1"], taken)),
            ..update(1, from)
        };
        assert_eq!(apply_one(&*store, change).await, Applied::Conflict, "{taken} from {from}");
    }
    assert_eq!(store.load(HostNo(1)).await.unwrap(), before);
    assert!(store.transitions(0, 9).await.unwrap().items.is_empty());
    for (name, number) in [("h1", Some(HostNo(1))), ("h2", Some(HostNo(2))), ("new", None)] {
        assert_eq!(store.find(&host_key(name)).await.unwrap(), number, "{name}");
    }
}

async fn one_of_two_handles_wins(store: Arc<dyn Store>) {
    hosts(&*store, 1).await;
    let change = |store: Arc<dyn Store>| {
        tokio::spawn(async move {
            let mut won = 0;
            while won < 50 {
                let revision = store.load(HostNo(1)).await.unwrap().unwrap().record.revision;
                let change = HostUpdate { deltas: vec![delta("changes", 1)], ..update(1, revision) };
                won += u64::from(matches!(apply_one(&*store, change).await, Applied::Committed { .. }));
            }
        })
    };
    let (one, two) = (change(Arc::clone(&store)), change(Arc::clone(&store)));
    one.await.unwrap();
    two.await.unwrap();
    assert_eq!(store.load(HostNo(1)).await.unwrap().unwrap().record.revision, 101);
    assert_eq!(store.totals().await.unwrap(), [("changes".to_owned(), 100)]);
}

async fn a_batch_answers_item_by_item(store: Arc<dyn Store>) {
    hosts(&*store, 3).await;
    let with = |change: HostUpdate, to: &str| HostUpdate { transitions: vec![transition(to)], ..change };
    let batch = vec![
        with(update(1, 1), "a"),
        with(update(2, 7), "lost"),
        with(update(3, 1), "b"),
        with(update(1, 2), "c"),
        with(update(1, 2), "lost"),
    ];
    let committed = |last_transition| Applied::Committed { last_transition };
    assert_eq!(
        store.apply(batch).await.unwrap(),
        [committed(1), Applied::Conflict, committed(2), committed(3), Applied::Conflict]
    );
    let all: Vec<String> = store.transitions(0, 9).await.unwrap().items.into_iter().map(|t| t.to).collect();
    assert_eq!(all, ["a", "b", "c"]);
    assert!(store.apply(vec![]).await.unwrap().is_empty());
}

async fn bodies_come_and_go_with_their_host(store: Arc<dyn Store>) {
    use v1::observation_key::Subject;
    hosts(&*store, 2).await;
    let user = v1::ObservationKey { kind: 4, subject: Some(Subject::UserSid("S-1-5-21-1-2-3-4".into())) };
    let certificate = v1::ObservationKey { kind: 10, subject: Some(Subject::CertificateSha256(vec![7; 32])) };
    let odd = v1::ObservationKey { kind: 900, subject: Some(Subject::UserSid("x".repeat(3000))) };
    let all = [observation(1), user.clone(), certificate.clone(), odd.clone()];
    let put = all.iter().cloned().zip([vec![1], vec![2; 12 * 1024], vec![], vec![4; 4096]]).collect::<Vec<_>>();
    let change = HostUpdate { put_bodies: put.clone(), ..update(1, 1) };
    assert!(matches!(apply_one(&*store, change).await, Applied::Committed { .. }));
    assert_eq!(store.bodies(HostNo(1)).await.unwrap(), put, "in order of kind");
    assert!(store.bodies(HostNo(2)).await.unwrap().is_empty());

    let change = HostUpdate {
        put_bodies: vec![(observation(1), vec![9; 5000])],
        remove_bodies: vec![user, odd, observation(77)],
        ..update(1, 2)
    };
    assert!(matches!(apply_one(&*store, change).await, Applied::Committed { .. }));
    assert_eq!(store.bodies(HostNo(1)).await.unwrap(), [(observation(1), vec![9; 5000]), (certificate, vec![])]);
}

async fn counters_add_up(store: Arc<dyn Store>) {
    hosts(&*store, 1).await;
    let long = format!("site/{}", "x".repeat(500));
    let change = |revision, deltas| HostUpdate { deltas, ..update(1, revision) };
    apply_one(&*store, change(1, vec![delta("b", 2), delta("a", 5), delta(&long, 1), delta("b", 1)])).await;
    let read = |totals: Vec<(String, i64)>| totals.into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let expected = [("a".to_owned(), 5), ("b".to_owned(), 3), (long.clone(), 1)];
    assert_eq!(read(store.totals().await.unwrap()), expected.into());
    apply_one(&*store, change(2, vec![delta("a", -5), delta("c", -4), delta(&long, -1)])).await;
    assert_eq!(read(store.totals().await.unwrap()), [("b".to_owned(), 3), ("c".to_owned(), -4)].into());
    store.set_totals(vec![("z".into(), 1), ("y".into(), 0)]).await.unwrap();
    assert_eq!(store.totals().await.unwrap(), [("z".to_owned(), 1)]);
}

async fn due_hosts_come_in_order_of_time(store: Arc<dyn Store>) {
    hosts(&*store, 4).await;
    let due = |number, revision, due_ms| HostUpdate {
        record: v1::HostRecord { due_ms, ..Default::default() },
        ..update(number, revision)
    };
    let batch = vec![due(1, 1, Some(300)), due(2, 1, Some(-5)), due(3, 1, Some(200)), due(4, 1, None)];
    store.apply(batch).await.unwrap();
    let numbers = |hosts: Vec<HostNo>| hosts.into_iter().map(|host| host.0).collect::<Vec<_>>();
    assert_eq!(numbers(store.due(at(-6), 9).await.unwrap()), [0; 0]);
    assert_eq!(numbers(store.due(at(199), 9).await.unwrap()), [2]);
    assert_eq!(numbers(store.due(at(200), 9).await.unwrap()), [2, 3]);
    assert_eq!(numbers(store.due(at(1000), 2).await.unwrap()), [2, 3]);
    // A new time takes the place of the old one; none at all ends it; the same one stays.
    store.apply(vec![due(2, 2, Some(900)), due(3, 2, None), due(1, 2, Some(300))]).await.unwrap();
    assert_eq!(numbers(store.due(at(1000), 9).await.unwrap()), [1, 2]);
}

async fn pages_meet_every_host_once(store: Arc<dyn Store>) {
    hosts(&*store, 25).await;
    // A number that was assigned and never reported has no record.
    store.assign(&host_key("silent")).await.unwrap();
    for limit in [1, 7, 25, 100] {
        let (mut seen, mut after, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = store.page(after, limit).await.unwrap();
            seen.extend(page.items.iter().map(|host| host.number.0));
            pages += 1;
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(seen, (1..=25).collect::<Vec<_>>(), "pages of {limit}");
        assert_eq!(pages, 25_usize.div_ceil(limit), "pages of {limit}");
    }
    assert!(store.page(25, 9).await.unwrap().items.is_empty());
    assert!(store.page(u64::MAX, 9).await.unwrap().items.is_empty());
}

async fn transitions_are_numbered_in_order(store: Arc<dyn Store>) {
    hosts(&*store, 2).await;
    let change = |number, revision, to: &[&str]| HostUpdate {
        transitions: to.iter().map(|to| transition(to)).collect(),
        ..update(number, revision)
    };
    assert_eq!(store.append_transitions(vec![]).await.unwrap(), 0);
    store.apply(vec![change(1, 1, &["a", "b"]), change(2, 1, &["c"])]).await.unwrap();
    assert_eq!(store.append_transitions(vec![transition("Go")]).await.unwrap(), 4);
    assert_eq!(apply_one(&*store, change(1, 2, &[])).await, Applied::Committed { last_transition: 4 });
    assert_eq!(apply_one(&*store, change(1, 3, &["d"])).await, Applied::Committed { last_transition: 5 });

    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = store.transitions(after, 2).await.unwrap();
        seen.extend(page.items.into_iter().map(|t| (t.number, t.to)));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let expected = ["a", "b", "c", "Go", "d"].map(str::to_owned);
    assert_eq!(seen, (1..).zip(expected).collect::<Vec<_>>());
    let of_host: Vec<String> = store.host_transitions(HostNo(1), 2).await.unwrap().into_iter().map(|t| t.to).collect();
    assert_eq!(of_host, ["d", "b"], "latest first");
    assert!(store.transitions(5, 9).await.unwrap().items.is_empty());
}

async fn series_are_kept_per_host(store: Arc<dyn Store>) {
    hosts(&*store, 2).await;
    let ring = v1::SeriesRecord {
        first_sequence: 12,
        points: (0..1440).map(|i| v1::SeriesPoint { at_ms: 1_700_000_000_000 + i * 60_000, milli: -i }).collect(),
    };
    apply_one(&*store, HostUpdate { series: vec![(1, ring.clone())], ..update(1, 1) }).await;
    assert_eq!(store.series(HostNo(1), 1).await.unwrap(), Some(ring.clone()));
    assert_eq!(store.series(HostNo(1), 2).await.unwrap(), None);
    assert_eq!(store.series(HostNo(2), 1).await.unwrap(), None);
    let short = v1::SeriesRecord { points: ring.points[..3].to_vec(), ..ring };
    apply_one(&*store, HostUpdate { series: vec![(1, short.clone())], ..update(1, 2) }).await;
    assert_eq!(store.series(HostNo(1), 1).await.unwrap(), Some(short));
}

async fn inventories_are_merged_and_swept(store: Arc<dyn Store>) {
    hosts(&*store, 1).await;
    let item = |sid: &str| v1::InventoryItem {
        item: Some(v1::inventory_item::Item::UserKeys(v1::UserKeys { sid: sid.to_owned(), ..Default::default() })),
    };
    let head = |epoch, cursor| v1::InventoryHead {
        forest: "corp.example".into(),
        source: "keys".into(),
        epoch,
        cursor,
        ..Default::default()
    };
    let part = |epoch, cursor, put: &[&str], remove: &[&str], sweep| InventoryUpdate {
        head: head(epoch, cursor),
        put: put.iter().map(|sid| ((*sid).to_owned(), item(sid))).collect(),
        remove: remove.iter().map(|sid| (*sid).to_owned()).collect(),
        sweep,
    };
    let revision = AtomicU64::new(1);
    let merge = |parts: Vec<InventoryUpdate>| {
        let store = Arc::clone(&store);
        let from = revision.fetch_add(1, Ordering::Relaxed);
        async move {
            let change = HostUpdate { inventory: parts, ..update(1, from) };
            assert!(matches!(apply_one(&*store, change).await, Applied::Committed { .. }));
        }
    };
    let ids = ["a", "b", "c", "d"].map(str::to_owned);
    let found = || async {
        let items = store.inventory_items("corp.example", "keys", &ids).await.unwrap();
        items.into_iter().map(|(id, record)| format!("{id}{}", record.epoch)).collect::<Vec<_>>()
    };

    merge(vec![part(1, 1, &["a", "b"], &[], false), part(1, 2, &["c"], &[], true)]).await;
    assert_eq!(found().await, ["a1", "b1", "c1"]);
    assert_eq!(store.inventory_heads().await.unwrap(), [head(1, 2)]);
    // The next pass: what it does not confirm goes with its end, not before.
    merge(vec![part(2, 1, &["a", "d"], &[], false)]).await;
    assert_eq!(found().await, ["a2", "b1", "c1", "d2"]);
    merge(vec![part(2, 2, &["c"], &["d"], true)]).await;
    assert_eq!(found().await, ["a2", "c2"]);
    assert_eq!(store.inventory_heads().await.unwrap(), [head(2, 2)]);
    // Another source of the forest is another inventory.
    assert!(store.inventory_items("corp.example", "hosts", &ids).await.unwrap().is_empty());
}

async fn what_is_erased_leaves_the_rest_as_it_was(store: Arc<dyn Store>) {
    hosts(&*store, 2).await;
    let item = |sid: &str| (sid.to_owned(), v1::InventoryItem::default());
    let head = v1::InventoryHead {
        forest: "corp.example".into(),
        source: "keys".into(),
        epoch: 1,
        cursor: 1,
        ..Default::default()
    };
    let part = InventoryUpdate { head, put: vec![item("a"), item("b")], remove: Vec::new(), sweep: false };
    let transitions = vec![transition("ready"), transition("blocked")];
    apply_one(&*store, HostUpdate { transitions, inventory: vec![part], ..update(1, 1) }).await;
    apply_one(&*store, HostUpdate { transitions: vec![transition("unknown")], ..update(2, 1) }).await;
    let before = store.transitions(0, 10).await.unwrap().items;
    let [first, second, third] = &before[..] else { panic!("{before:?}") };

    let keys = |id: &str| ("corp.example".to_owned(), "keys".to_owned(), id.to_owned());
    // What is not there is none of anybody's.
    let erasure = Erasure { transitions: vec![second.number, 4_711], items: vec![keys("a"), keys("z")] };
    assert!(!erasure.is_empty() && Erasure::default().is_empty());
    store.erase(erasure).await.unwrap();
    assert_eq!(store.transitions(0, 10).await.unwrap().items, [first.clone(), third.clone()]);
    let of_host = store.host_transitions(HostNo(1), 10).await.unwrap();
    assert_eq!(of_host, std::slice::from_ref(first));
    let ids = ["a", "b"].map(str::to_owned);
    let left = store.inventory_items("corp.example", "keys", &ids).await.unwrap();
    assert_eq!(left.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["b"]);
    // Numbers are not given out again.
    apply_one(&*store, HostUpdate { transitions: vec![transition("ready")], ..update(1, 2) }).await;
    let last = store.transitions(0, 10).await.unwrap().items.pop().unwrap();
    assert_eq!(last.number, third.number + 1);
}

async fn sight_moves_forward_only(store: Arc<dyn Store>) {
    hosts(&*store, 600).await;
    let record = v1::HostRecord { last_seen_ms: 1000, ..Default::default() };
    apply_one(&*store, HostUpdate { record, ..update(3, 1) }).await;
    let seen = |number, ms| (HostNo(number), ms);
    store.checkpoint_seen(vec![seen(600, 50), seen(1, 10), seen(3, 999), seen(256, 20), seen(2, 7)]).await.unwrap();
    assert_eq!(store.seen().await.unwrap(), [seen(1, 10), seen(2, 7), seen(256, 20), seen(600, 50)]);
    store.checkpoint_seen(vec![seen(1, 9), seen(2, 8), seen(3, 1001), seen(255, 1)]).await.unwrap();
    assert_eq!(
        store.seen().await.unwrap(),
        [seen(1, 10), seen(2, 8), seen(3, 1001), seen(255, 1), seen(256, 20), seen(600, 50)]
    );
    // A host that has no record is not seen.
    store.checkpoint_seen(vec![seen(601, 5)]).await.unwrap();
    assert_eq!(store.seen().await.unwrap().len(), 6);
}

async fn policies_are_compared_and_swapped(store: Arc<dyn Store>) {
    let put = |base, text: &str| {
        let (store, text) = (Arc::clone(&store), text.to_owned());
        async move { store.put_policy(base, text, "anna".into(), at(5)).await.unwrap() }
    };
    assert_eq!(store.policy(None).await.unwrap(), None);
    assert_eq!(put(1, "early").await, None);
    assert_eq!(put(0, "first").await, Some(1));
    assert_eq!(put(0, "first again").await, None);
    let long = "# long\n".repeat(20_000);
    assert_eq!(put(1, &long).await, Some(2));
    let first = v1::PolicyRecord { revision: 1, text: "first".into(), applied_at_ms: 5, applied_by: "anna".into() };
    assert_eq!(store.policy(Some(1)).await.unwrap(), Some(first));
    assert_eq!(store.policy(None).await.unwrap().map(|policy| (policy.revision, policy.text)), Some((2, long)));
    assert_eq!(store.policy(Some(3)).await.unwrap(), None);
}

async fn waivers_are_numbered_and_replaced(store: Arc<dyn Store>) {
    let waiver = |number, reason: &str| v1::Waiver { number, reason: reason.into(), ..Default::default() };
    assert_eq!(store.put_waiver(waiver(0, "a")).await.unwrap(), 1);
    assert_eq!(store.put_waiver(waiver(0, "b")).await.unwrap(), 2);
    assert_eq!(store.put_waiver(v1::Waiver { removed: true, ..waiver(1, "a") }).await.unwrap(), 1);
    assert_eq!(store.put_waiver(waiver(0, "c")).await.unwrap(), 3);
    let all: Vec<_> = store.waivers().await.unwrap().into_iter().map(|w| (w.number, w.reason, w.removed)).collect();
    assert_eq!(all, [(1, "a".into(), true), (2, "b".into(), false), (3, "c".into(), false)]);
}

async fn leases_have_one_holder(store: Arc<dyn Store>) {
    let take = |holder: &'static str, now| {
        let store = Arc::clone(&store);
        async move { store.lease("due", holder, at(now), 100).await.unwrap() }
    };
    assert_eq!(take("one", 0).await, Some(1));
    assert_eq!(take("two", 50).await, None);
    assert_eq!(take("one", 90).await, Some(1), "renewed");
    assert_eq!(take("two", 189).await, None);
    assert_eq!(take("two", 190).await, Some(2), "expired");
    assert_eq!(take("one", 191).await, None);
    assert_eq!(take("two", 999).await, Some(2), "nobody else came");
    assert_eq!(store.lease("other", "one", at(0), 100).await.unwrap(), Some(1));
}

async fn long_records_survive(store: Arc<dyn Store>) {
    hosts(&*store, 1).await;
    for (revision, verdicts) in (1..).zip([400, 3, 900, 0]) {
        let verdicts = v1::VerdictRecord {
            verdicts: (0..verdicts)
                .map(|i| v1::StoredVerdict {
                    user_sid: format!("S-1-5-21-{i}"),
                    verdict: Some(v1::Verdict { seen: "x".repeat(100), ..Default::default() }),
                })
                .collect(),
        };
        apply_one(&*store, HostUpdate { verdicts: verdicts.clone(), ..update(1, revision) }).await;
        assert_eq!(store.load(HostNo(1)).await.unwrap().unwrap().verdicts, verdicts);
    }
}

/// Each change moves a thousandth from one counter to the other and raises a revision, so that a torn copy shows.
async fn a_backup_is_one_state_of_the_store(store: Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("backup");
    for chunk in (1..=3000_u64).collect::<Vec<_>>().chunks(250) {
        store.apply(chunk.iter().map(|&number| update(number, 0)).collect()).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let change = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut revision = 1;
            while !stop.load(Ordering::Relaxed) {
                // The first and the last host of the table, in one change each, with a body and a counter.
                for number in [1, 3000] {
                    let change = HostUpdate {
                        put_bodies: vec![(observation(1), revision.to_string().into_bytes())],
                        transitions: vec![transition("x")],
                        deltas: vec![delta("sum", 1), delta("zero", 1), delta("zero", -1)],
                        ..update(number, revision)
                    };
                    assert!(matches!(apply_one(&*store, change).await, Applied::Committed { .. }));
                }
                revision += 1;
            }
            revision
        })
    };
    let told = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&told);
    let records = store.backup(into.clone(), Arc::new(move |n| progress.store(n, Ordering::Relaxed))).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    change.await.unwrap();
    assert_eq!(told.load(Ordering::Relaxed), records);

    assert!(store.backup(into.clone(), Arc::new(|_| ())).await.is_err(), "a backup is not overwritten");
    let target = folder.path().join("restored");
    let info = restore(&into, &target, &|_| ()).unwrap();
    assert_eq!((info.records, info.hosts), (records, 3000));
    assert!(restore(&into, &target, &|_| ()).is_err(), "a store is not overwritten");
    let copy = SledStore::open(&target).unwrap();
    consistent(&copy).await;
    copy.close().await.unwrap();
}

/// Whether the hosts that [`a_backup_is_one_state_of_the_store`] changes are of one state.
async fn consistent(copy: &dyn Store) {
    let mut changes = 0;
    let mut revisions = Vec::new();
    for number in [1, 3000] {
        let revision = copy.load(HostNo(number)).await.unwrap().unwrap().record.revision;
        let bodies = copy.bodies(HostNo(number)).await.unwrap();
        let body = bodies.first().map(|(_, body)| String::from_utf8(body.clone()).unwrap());
        assert_eq!(body, (revision > 1).then(|| (revision - 1).to_string()), "body and record are of one change");
        changes += revision - 1;
        revisions.push(revision);
    }
    assert!(revisions[0] == revisions[1] || revisions[0] == revisions[1] + 1, "{revisions:?} are of two states");
    let sum = copy.totals().await.unwrap().first().map_or(0, |(_, value)| *value);
    assert_eq!(u64::try_from(sum).unwrap(), changes, "the counter is of the same state");
    let transitions = copy.transitions(0, 10_000).await.unwrap().items.len();
    assert_eq!(transitions as u64, changes.min(10_000));
}

async fn a_closed_store_says_so(store: Arc<dyn Store>) {
    hosts(&*store, 1).await;
    let folder = tempfile::tempdir().unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    for error in [
        store.apply(vec![update(1, 1)]).await.unwrap_err(),
        store.load(HostNo(1)).await.unwrap_err(),
        store.backup(folder.path().join("backup"), Arc::new(|_| ())).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Closed { .. }), "{error}");
    }
}
