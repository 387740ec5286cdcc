//! The bytes that released collectors have written to disk still read.
//!
//! `golden/store-VERSION.backup` is a backup made by that release of a store with one of everything. A release adds a
//! file (`MUSTER_WRITE_GOLDEN=1` writes the one of this version); none is ever changed or removed, since somebody's
//! only copy may be as old.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_collector::store::{self, Applied, CounterDelta, HostKey, HostUpdate, InventoryUpdate, Store};
use muster_evidence::{HostNo, Timestamp};
use muster_proto::v1;

const BACKUP: &str = "muster-store.backup";

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("store-{version}.backup"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key() -> HostKey {
    HostKey { forest: Some("corp.example".parse().unwrap()), name: "dc01.corp.example".parse().unwrap() }
}

fn observation_key() -> v1::ObservationKey {
    v1::ObservationKey { kind: 2, subject: Some(v1::observation_key::Subject::Host(v1::HostSubject {})) }
}

/// A store with one of everything.
async fn fill(store: &dyn Store) {
    let number = store.assign(&key()).await.unwrap();
    let identity = v1::HostIdentity {
        name: "dc01.corp.example".to_owned(),
        forest: Some("corp.example".to_owned()),
        site: Some("HQ".to_owned()),
        ..Default::default()
    };
    let verdict = v1::Verdict {
        check: "dc.cert-eku".to_owned(),
        standing: v1::Standing::Blocked.into(),
        seen: "no KDC Authentication".to_owned(),
        since_ms: at("2026-03-02T08:14:07Z").unix_ms(),
        ..Default::default()
    };
    let update = HostUpdate {
        number: number.0,
        record: v1::HostRecord {
            revision: 1,
            identity: Some(identity),
            install_id: vec![7; 16],
            incarnation: 9,
            sequence: 3,
            probe_version: "0.1.0".to_owned(),
            due_ms: Some(at("2026-04-01T00:00:00Z").unix_ms()),
            ..Default::default()
        },
        verdicts: v1::VerdictRecord {
            verdicts: vec![v1::StoredVerdict { user_sid: String::new(), verdict: Some(verdict) }],
        },
        // Longer than one value may be, so that it is stored in pieces.
        put_bodies: vec![(observation_key(), (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect())],
        transitions: vec![v1::Transition {
            check: "dc.cert-eku".to_owned(),
            to: "blocked".to_owned(),
            ..Default::default()
        }],
        deltas: vec![CounterDelta { counter: "corp.example\tHQ\thosts".to_owned(), by: 1 }],
        series: vec![(
            1,
            v1::SeriesRecord { first_sequence: 5, points: vec![v1::SeriesPoint { at_ms: 60_000, milli: 1_500 }] },
        )],
        inventory: vec![InventoryUpdate {
            head: v1::InventoryHead {
                forest: "corp.example".to_owned(),
                source: "key-credentials".to_owned(),
                epoch: 2,
                cursor: 4,
                complete: true,
                ..Default::default()
            },
            put: vec![(
                "S-1-5-21-1-2-3-1104".to_owned(),
                v1::InventoryItem {
                    item: Some(v1::inventory_item::Item::UserKeys(v1::UserKeys {
                        sid: "S-1-5-21-1-2-3-1104".to_owned(),
                        undecodable: 1,
                        ..Default::default()
                    })),
                },
            )],
            remove: Vec::new(),
            sweep: false,
        }],
        ..HostUpdate::default()
    };
    let applied = store.apply(vec![update]).await.unwrap();
    assert!(matches!(applied[..], [Applied::Committed { last_transition: 1 }]), "{applied:?}");
    let now = at("2026-03-02T08:14:07Z");
    assert_eq!(
        store.put_policy(0, "ready_share_percent = 80\n".to_owned(), "ada".to_owned(), now).await.unwrap(),
        Some(1)
    );
    let waiver = v1::Waiver { check: "tpm.version".to_owned(), who: "ada".to_owned(), ..Default::default() };
    assert_eq!(store.put_waiver(waiver).await.unwrap(), 1);
    store.checkpoint_seen(vec![(number, 1_772_439_247_000)]).await.unwrap();
}

/// That everything [`fill`] wrote is there.
async fn holds(store: &dyn Store) {
    let number = store.find(&key()).await.unwrap();
    assert_eq!(number, Some(HostNo(1)));
    let host = store.load(HostNo(1)).await.unwrap().unwrap();
    assert_eq!((host.record.incarnation, host.record.sequence), (9, 3));
    assert_eq!(host.verdicts.verdicts[0].verdict.as_ref().unwrap().seen, "no KDC Authentication");
    let bodies = store.bodies(HostNo(1)).await.unwrap();
    assert_eq!(bodies[0].0, observation_key());
    assert!(bodies[0].1.iter().copied().eq((0..10_000_u32).map(|n| n.to_le_bytes()[0])));
    assert_eq!(store.due(at("2026-04-02T00:00:00Z"), 10).await.unwrap(), [HostNo(1)]);
    assert_eq!(store.totals().await.unwrap(), [("corp.example\tHQ\thosts".to_owned(), 1)]);
    assert_eq!(store.transitions(0, 10).await.unwrap().items[0].to, "blocked");
    assert_eq!(store.series(HostNo(1), 1).await.unwrap().unwrap().points[0].milli, 1_500);
    let heads = store.inventory_heads().await.unwrap();
    assert_eq!((heads[0].epoch, heads[0].cursor, heads[0].complete), (2, 4, true));
    let ids = ["S-1-5-21-1-2-3-1104".to_owned()];
    assert_eq!(store.inventory_items("corp.example", "key-credentials", &ids).await.unwrap().len(), 1);
    assert_eq!(store.policy(None).await.unwrap().unwrap().text, "ready_share_percent = 80\n");
    assert_eq!(store.waivers().await.unwrap()[0].check, "tpm.version");
    assert_eq!(store.seen().await.unwrap(), [(HostNo(1), 1_772_439_247_000)]);
}

#[tokio::test]
async fn every_released_store_still_reads() {
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os("MUSTER_WRITE_GOLDEN").is_some() {
        let store = store::open("sled", &folder.path().join("new")).unwrap();
        fill(store.as_ref()).await;
        store.backup(folder.path().join("backup"), Arc::new(|_| ())).await.unwrap();
        store.close().await.unwrap();
        std::fs::copy(folder.path().join("backup").join(BACKUP), golden(env!("CARGO_PKG_VERSION"))).unwrap();
    }
    for version in ["0.1.0"] {
        let from = folder.path().join(version);
        std::fs::create_dir(&from).unwrap();
        std::fs::copy(golden(version), from.join(BACKUP)).unwrap();
        let into = folder.path().join(format!("{version}-restored"));
        store::restore(&from, &into, &|_| ()).unwrap();
        let store = store::open("sled", &into).unwrap();
        holds(store.as_ref()).await;
        store.close().await.unwrap();
    }
}
