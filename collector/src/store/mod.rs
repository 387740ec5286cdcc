//! Where evidence is kept: the contract every backend fulfils, and the choice of a backend by name.
//!
//! The contract is written for several collectors on one store: every change names the revision it was made from,
//! and a change made from an older one is a [`Applied::Conflict`] to be judged again. Bytes are the business of
//! `record`, and how a backend makes them durable is its own.

mod backup;
mod change;
mod feed;
mod look;
mod map;
mod memory;
mod record;
mod shared;
mod sled;
#[cfg(test)]
mod suite;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use muster_evidence::{Forest, HostName, HostNo, Role, SiteName, Timestamp};
use muster_proto::convert::role_to_wire;
use muster_proto::v1;

pub use self::backup::BackupInfo;
pub use self::feed::{ChangeCursor, Changes, Since};
pub use self::memory::MemoryStore;
pub use self::record::{InvalidRecord, STORE_FORMAT};
pub use self::sled::SledStore;

/// What a host is found by: its certificate's name within a forest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey {
    /// The forest; `None` where neither the host nor the configuration names one.
    pub forest: Option<Forest>,
    /// The DNS name in the certificate.
    pub name: HostName,
}

/// Everything stored about one host, bodies apart.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHost {
    /// Its number.
    pub number: HostNo,
    /// Who it is and where its observations stand.
    pub record: v1::HostRecord,
    /// Its verdicts.
    pub verdicts: v1::VerdictRecord,
}

/// What is read of a host for judging it, in one look.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeHost {
    /// The host.
    pub stored: StoredHost,
    /// Bodies of its observations.
    pub bodies: Vec<(v1::ObservationKey, Vec<u8>)>,
    /// Items of the inventory that was asked for.
    pub items: Vec<(String, v1::InventoryRecord)>,
}

/// Items of an inventory, by identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemsWanted {
    /// The forest.
    pub forest: String,
    /// What the inventory was read from.
    pub source: String,
    /// The identifiers.
    pub ids: Vec<String>,
}

/// A change of one host, applied as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct HostUpdate {
    /// The host's number, from [`Store::assign`].
    pub number: u64,
    /// The revision the change was made from: 0 for a host that has no record yet.
    pub from_revision: u64,
    /// The new record; its `revision` must be `from_revision + 1`.
    pub record: v1::HostRecord,
    /// The new verdicts, all of them.
    pub verdicts: v1::VerdictRecord,
    /// Bodies to write.
    pub put_bodies: Vec<(v1::ObservationKey, Vec<u8>)>,
    /// Bodies to remove.
    pub remove_bodies: Vec<v1::ObservationKey>,
    /// Transitions to append; the store numbers them.
    pub transitions: Vec<v1::Transition>,
    /// Changes of counters, which commit with it.
    pub deltas: Vec<CounterDelta>,
    /// Series to write in full (rings are bounded by the caller).
    pub series: Vec<(u32, v1::SeriesRecord)>,
    /// Parts of inventories to merge.
    pub inventory: Vec<InventoryUpdate>,
    /// The host is forgotten: everything under its number and name goes, and of the rest of the change only counters
    /// and transitions are taken. Its number is not given out again; transitions of it stay in the list of all.
    pub forget: bool,
    /// Another name that the host is found by from now on.
    pub rename: Option<Rename>,
}

/// A change of the name a host is found by. It commits with the record that says so, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// Names that lead to the host no longer. One that leads elsewhere by now stays.
    pub left: Vec<HostKey>,
    /// The name that leads to it instead. Where another host with a record has it, the change is a conflict.
    pub taken: HostKey,
}

/// A change of one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterDelta {
    /// Which counter: site, dimension and value, as `totals` spells them.
    pub counter: String,
    /// By how much; may be negative.
    pub by: i64,
}

/// A part of an inventory to merge.
#[derive(Clone, Debug)]
pub struct InventoryUpdate {
    /// The new head.
    pub head: v1::InventoryHead,
    /// Items to write, by their identifier.
    pub put: Vec<(String, v1::InventoryItem)>,
    /// Identifiers of items to remove.
    pub remove: Vec<String>,
    /// After a complete pass: items not confirmed in the head's epoch are removed.
    pub sweep: bool,
}

/// What is removed of a person beside the records of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Numbers of transitions.
    pub transitions: Vec<u64>,
    /// Items of inventories: forest, source and identifier.
    pub items: Vec<(String, String, String)>,
}

impl Erasure {
    /// Whether nothing is removed.
    pub const fn is_empty(&self) -> bool {
        self.transitions.is_empty() && self.items.is_empty()
    }
}

/// What became of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Durable.
    Committed {
        /// The number of the last transition in the store after it.
        last_transition: u64,
    },
    /// The host's record is not at the revision the change was made from, or another host has the name it was to take;
    /// nothing was written.
    Conflict,
}

/// Which hosts a page is about. All of it must hold, and what is `None` or empty filters nothing.
///
/// Standings are those that were stored: neither silence nor what the policy in force requires is considered, which are
/// the resident table's to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Only hosts of this site.
    pub site: Option<(Forest, SiteName)>,
    /// Only hosts with this role.
    pub role: Option<Role>,
    /// Only hosts that this check speaks of, or whose users it speaks of; the standings below are its.
    pub check: Option<String>,
    /// Only hosts whose worst verdict, their users' among them, is one of these.
    pub standings: Vec<v1::Standing>,
}

impl HostFilter {
    fn has_place_and_role(&self, record: &v1::HostRecord) -> bool {
        let here = self.site.as_ref().is_none_or(|(forest, name)| {
            let own = record.site.as_ref();
            own.is_some_and(|own| {
                own.forest == forest.as_str() && own.name.parse().is_ok_and(|own: SiteName| own == *name)
            })
        });
        here && self.role.is_none_or(|role| record.roles.contains(&role_to_wire(role)))
    }

    fn has_standing(&self, verdicts: &v1::VerdictRecord) -> bool {
        if self.check.is_none() && self.standings.is_empty() {
            return true;
        }
        let own = verdicts.verdicts.iter().filter_map(|stored| stored.verdict.as_ref());
        let of_check = own.filter(|verdict| self.check.as_ref().is_none_or(|check| verdict.check == *check));
        // The numbers of standings grow with their gravity.
        let worst = of_check.map(|verdict| verdict.standing).max();
        worst.is_some_and(|worst| {
            self.standings.is_empty() || self.standings.iter().any(|standing| i32::from(*standing) == worst)
        })
    }
}

/// A page of something, and where the next one starts.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass as `after` to go on; `None` at the end.
    pub next: Option<u64>,
}

/// Says why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be opened or created.
    #[error("failed to open the store in `{}`", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Another process holds the directory.
    #[error("store `{}` is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory's content cannot be read as a store.
    #[error("store `{}` is damaged: {detail}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The store was written by a newer collector.
    #[error("store `{}` has format {found}; this collector reads up to {known}", path.display())]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format this build reads.
        known: u32,
    },
    /// A record cannot be read.
    #[error("record `{key}` is unreadable")]
    UnreadableRecord {
        /// The record's key, for people.
        key: String,
        /// Why.
        #[source]
        cause: InvalidRecord,
    },
    /// The disk is full. What was acknowledged stays; the store takes writes again when there is space.
    #[error("no space left for the store in `{}`", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("failed to {action} the store")]
    Io {
        /// What was tried, such as "sync".
        action: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A name of a backend that does not exist.
    #[error("unknown store `{name}` (known: `sled`, `memory`)")]
    UnknownBackend {
        /// The name found.
        name: String,
    },
    /// The store has been closed, or its writer has ended after an error that cannot be mended while running.
    #[error("store is closed: {why}")]
    Closed {
        /// Why.
        why: String,
    },
}

/// A store.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The number of a host, given out in order of first sight and the same for ever after.
    async fn assign(&self, host: &HostKey) -> Result<HostNo, StoreError>;

    /// The number of a host, if it has one.
    async fn find(&self, host: &HostKey) -> Result<Option<HostNo>, StoreError>;

    /// Applies changes, each as a whole or not at all; durable when it returns. One result per change, in order.
    async fn apply(&self, batch: Vec<HostUpdate>) -> Result<Vec<Applied>, StoreError>;

    /// One host.
    async fn load(&self, host: HostNo) -> Result<Option<StoredHost>, StoreError>;

    /// One host with the bodies of its observations, and items of an inventory, in one look: a report needs all of them,
    /// and each look costs a change of threads.
    async fn load_whole(&self, host: HostNo, items: Option<ItemsWanted>) -> Result<Option<WholeHost>, StoreError>;

    /// Bodies of a host's observations.
    async fn bodies(&self, host: HostNo) -> Result<Vec<(v1::ObservationKey, Vec<u8>)>, StoreError>;

    /// Hosts with a number above `after`, in order, at most `limit`.
    async fn page(&self, after: u64, limit: usize) -> Result<Page<StoredHost>, StoreError> {
        self.page_of(&HostFilter::default(), after, limit).await
    }

    /// Hosts that match, with a number above `after`, in order, at most `limit`. A page may have fewer, even none, while
    /// there is a next one: how many hosts are looked at for one answer is bounded. (PostgreSQL: a query by the columns
    /// that the filter names.)
    async fn page_of(&self, filter: &HostFilter, after: u64, limit: usize) -> Result<Page<StoredHost>, StoreError>;

    /// What has changed after a cursor, through this handle or any other. One that has fallen too far behind, or is of
    /// another history of the store, is told so and reads everything again. Last-seen times and leases are not told of.
    async fn changes_since(&self, cursor: ChangeCursor) -> Result<Since, StoreError>;

    /// Hosts whose verdicts are due at or before `now`, earliest first, at most `limit`.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<HostNo>, StoreError>;

    /// Every counter that is not zero.
    async fn totals(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Replaces all counters, after a recount.
    async fn set_totals(&self, totals: Vec<(String, i64)>) -> Result<(), StoreError>;

    /// Transitions with a number above `after`, oldest first, at most `limit`.
    async fn transitions(&self, after: u64, limit: usize) -> Result<Page<v1::Transition>, StoreError>;

    /// Transitions of one host, latest first, at most `limit`.
    async fn host_transitions(&self, host: HostNo, limit: usize) -> Result<Vec<v1::Transition>, StoreError>;

    /// Appends transitions that belong to no host (a site's rollout verdict).
    async fn append_transitions(&self, transitions: Vec<v1::Transition>) -> Result<u64, StoreError>;

    /// Removes transitions and items of inventories for good. Numbers that are not there are none.
    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError>;

    /// A series of a host.
    async fn series(&self, host: HostNo, series: u32) -> Result<Option<v1::SeriesRecord>, StoreError>;

    /// How far each inventory has been read.
    async fn inventory_heads(&self) -> Result<Vec<v1::InventoryHead>, StoreError>;

    /// Items of an inventory, by identifier.
    async fn inventory_items(
        &self,
        forest: &str,
        source: &str,
        ids: &[String],
    ) -> Result<Vec<(String, v1::InventoryRecord)>, StoreError>;

    /// Writes last-seen times that no other change carried: (host, milliseconds since 1970).
    async fn checkpoint_seen(&self, seen: Vec<(HostNo, i64)>) -> Result<(), StoreError>;

    /// Every checkpointed last-seen time that is later than its host's record.
    async fn seen(&self) -> Result<Vec<(HostNo, i64)>, StoreError>;

    /// The policy in force, if there is one.
    async fn policy(&self, revision: Option<u64>) -> Result<Option<v1::PolicyRecord>, StoreError>;

    /// Makes a text the next revision of the policy, if `base` is still in force (0: none yet).
    async fn put_policy(&self, base: u64, text: String, by: String, now: Timestamp) -> Result<Option<u64>, StoreError>;

    /// Every waiver ever made.
    async fn waivers(&self) -> Result<Vec<v1::Waiver>, StoreError>;

    /// Writes a waiver; number 0 makes a new one. The number it has.
    async fn put_waiver(&self, waiver: v1::Waiver) -> Result<u64, StoreError>;

    /// Takes or renews a lease for `ttl_ms`; `None` where another holder has it. The epoch grows with each change of
    /// holder.
    async fn lease(&self, name: &str, holder: &str, now: Timestamp, ttl_ms: i64) -> Result<Option<u64>, StoreError>;

    /// Copies a consistent state into an empty or new directory, while serving. Progress in records.
    async fn backup(&self, into: PathBuf, progress: Arc<dyn Fn(u64) + Send + Sync>) -> Result<u64, StoreError>;

    /// Waits until everything written is durable, and closes.
    async fn close(&self) -> Result<(), StoreError>;
}

/// Opens the store of a configured name. Blocks while files are read: seconds for a million hosts.
pub fn open(name: &str, path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    match name {
        "sled" => Ok(Arc::new(SledStore::open(path)?)),
        "memory" => Ok(Arc::new(MemoryStore::new())),
        _ => Err(StoreError::UnknownBackend { name: name.to_owned() }),
    }
}

/// A store that was opened, and at what cost.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Set where the files found could not be opened and a new store took their place.
    pub rebuilding: Option<Rebuilding>,
}

/// What happened to a store that could not be opened. Its hosts are to be shown as being rebuilt, and probes to be
/// asked for full evidence, until they have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilding {
    /// Why it could not be opened.
    pub cause: String,
    /// Where its files are now.
    pub set_aside: PathBuf,
    /// The backup the new store was made from; `None` where there was none that could be read.
    pub restored: Option<(PathBuf, BackupInfo)>,
    /// Backups that could not be read, each with the reason.
    pub unusable: Vec<(PathBuf, String)>,
}

/// Opens a store as [`open`] does; one that is damaged is set aside and made anew from the newest readable backup in
/// `backups` (a directory of backups, or one itself), or empty without one. Only damage is mended so: a locked
/// directory, a newer format or a missing permission stay errors.
pub fn open_or_rebuild(name: &str, path: &Path, backups: Option<&Path>, now: Timestamp) -> Result<Opened, StoreError> {
    let cause = match open(name, path) {
        Ok(store) => return Ok(Opened { store, rebuilding: None }),
        Err(StoreError::Damaged { detail, .. }) => detail,
        Err(error) => return Err(error),
    };
    let set_aside = sled::set_aside(path, now)?;
    let mut rebuilding = Rebuilding { cause, set_aside, restored: None, unusable: Vec::new() };
    for folder in backups.map(newest_first).unwrap_or_default() {
        match sled::restore(&folder, path, &|_| ()) {
            Ok(info) => {
                rebuilding.restored = Some((folder, info));
                break;
            }
            Err(StoreError::Full { path }) => return Err(StoreError::Full { path }),
            Err(error) => rebuilding.unusable.push((folder, error.to_string())),
        }
    }
    tracing::error!(
        cause = rebuilding.cause,
        set_aside = %rebuilding.set_aside.display(),
        restored = ?rebuilding.restored,
        "the store was damaged; it was set aside and is rebuilt"
    );
    Ok(Opened { store: open(name, path)?, rebuilding: Some(rebuilding) })
}

/// Makes a store in `into`, which is empty or does not exist, from the backup in `from`. The backup's format, counts
/// and hash are checked before anything is written, and `into` appears only when complete. Progress in records.
pub fn restore(from: &Path, into: &Path, progress: &dyn Fn(u64)) -> Result<BackupInfo, StoreError> {
    sled::restore(from, into, progress)
}

/// The directories with a backup at or directly below a path, newest first.
fn newest_first(path: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut dated: Vec<_> =
        below.chain([path.to_owned()]).filter_map(|folder| Some((backup::created_at_ms(&folder)?, folder))).collect();
    dated.sort_unstable();
    dated.into_iter().rev().map(|(_, folder)| folder).collect()
}
