//! Work on a whole store: backup, restore, and counting anew.
//!
//! The counting here is a plain fold over what is stored, written apart from `totals`, which keeps the same numbers by
//! adding and subtracting: a fault in one of them shows as a difference. What a counter is called is the business of
//! `totals`, so the caller says what one host counts for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::{self, BackupInfo, CounterDelta, Store, StoreError, StoredHost};

/// Hosts read at a time: some megabytes.
const PAGE: usize = 1000;

/// Reads every host, in order of numbers. Tells `progress` how many after each page; the number of hosts.
pub async fn for_each_host(
    store: &dyn Store,
    mut visit: impl FnMut(&StoredHost) + Send,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<u64, StoreError> {
    let (mut after, mut hosts) = (0, 0);
    loop {
        let page = store.page(after, PAGE).await?;
        page.items.iter().for_each(&mut visit);
        hosts += page.items.len() as u64;
        progress(hosts);
        match page.next {
            Some(next) => after = next,
            None => return Ok(hosts),
        }
    }
}

/// A counter that does not have the value it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The counter.
    pub counter: String,
    /// Its value in the store.
    pub stored: i64,
    /// Its value by the count.
    pub counted: i64,
}

/// What a recount found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// Hosts read.
    pub hosts: u64,
    /// Every counter that is not zero, by the count.
    pub counted: BTreeMap<String, i64>,
    /// Where the store has another value, in order of the counters' names.
    pub differences: Vec<Difference>,
}

/// Counts every host anew and compares with the store's counters. `count` says what one host counts for. Nothing is
/// changed; [`Store::set_totals`] with `counted` mends what differs. Run it while nothing else writes: a host that
/// changes between reading and comparing is a difference.
pub async fn recount(
    store: &dyn Store,
    mut count: impl FnMut(&StoredHost) -> Vec<CounterDelta> + Send,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Recount, StoreError> {
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    let add = |host: &StoredHost| {
        for delta in count(host) {
            *counted.entry(delta.counter).or_default() += delta.by;
        }
    };
    let hosts = for_each_host(store, add, progress).await?;
    counted.retain(|_, value| *value != 0);

    let stored: BTreeMap<String, i64> = store.totals().await?.into_iter().collect();
    let mut names: Vec<&String> = stored.keys().chain(counted.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let value = |counters: &BTreeMap<String, i64>, name| counters.get(name).copied().unwrap_or_default();
    let differences = names
        .into_iter()
        .map(|name| Difference { counter: name.clone(), stored: value(&stored, name), counted: value(&counted, name) })
        .filter(|difference| difference.stored != difference.counted)
        .collect();
    Ok(Recount { hosts, counted, differences })
}

/// Copies a consistent state of a store, while it serves, into a directory that is empty or does not exist. The number
/// of records.
pub async fn backup(
    store: &dyn Store,
    into: PathBuf,
    progress: impl Fn(u64) + Send + Sync + 'static,
) -> Result<u64, StoreError> {
    store.backup(into, Arc::new(progress)).await
}

/// Makes a store in `into`, which must be empty or not exist, from the backup in `from`: see [`store::restore`].
/// Blocks.
pub fn restore(from: &Path, into: &Path, progress: &dyn Fn(u64)) -> Result<BackupInfo, StoreError> {
    store::restore(from, into, progress)
}
