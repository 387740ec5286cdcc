//! Every question the store answers, asked of a map.

use std::ops::ControlFlow;

use muster_evidence::{HostNo, Timestamp};
use muster_proto::v1;
use prost::Message;

use super::change::{meta, number};
use super::map::{Map, join, read, unreadable};
use super::record::{SEEN_BLOCK, key};
use super::{HostFilter, HostKey, ItemsWanted, Page, StoreError, StoredHost, WholeHost};

/// The most items of one page: what a caller asks beyond it would hold a reader's thread and memory for too long.
const LARGEST_PAGE: usize = 10_000;

/// Visits the records of a range, decoded.
fn each<M: Message + Default>(
    map: &dyn Map,
    (start, end): &key::Range,
    mut visit: impl FnMut(&[u8], M) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    map.scan(start, end, &mut |key, value| visit(key, join(map, key, value)?))
}

/// Every record of a range, made into something.
fn all<M: Message + Default, T>(
    map: &dyn Map,
    range: &key::Range,
    mut make: impl FnMut(M) -> T,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    each(map, range, |_, record| {
        items.push(make(record));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(items)
}

/// The number of a host.
pub(super) fn find(map: &dyn Map, host: &HostKey) -> Result<Option<HostNo>, StoreError> {
    Ok(read::<u64>(map, &key::name(host))?.map(HostNo))
}

/// One host.
pub(super) fn load(map: &dyn Map, host: HostNo) -> Result<Option<StoredHost>, StoreError> {
    let Some(record) = read(map, &key::host(host))? else { return Ok(None) };
    let verdicts = read(map, &key::verdicts(host))?.unwrap_or_default();
    Ok(Some(StoredHost { number: host, record, verdicts }))
}

/// One host, the bodies of its observations, and items of an inventory.
pub(super) fn load_whole(
    map: &dyn Map,
    host: HostNo,
    items: Option<&ItemsWanted>,
) -> Result<Option<WholeHost>, StoreError> {
    let Some(stored) = load(map, host)? else { return Ok(None) };
    let items = items.map(|wanted| inventory_items(map, &wanted.forest, &wanted.source, &wanted.ids));
    Ok(Some(WholeHost { stored, bodies: bodies(map, host)?, items: items.transpose()?.unwrap_or_default() }))
}

/// Bodies of a host's observations.
pub(super) fn bodies(map: &dyn Map, host: HostNo) -> Result<Vec<(v1::ObservationKey, Vec<u8>)>, StoreError> {
    let record = match read::<v1::HostBodies>(map, &key::bodies(host))? {
        Some(record) => record,
        None => v1::HostBodies { entries: all(map, &key::single_bodies(host), |entry| entry)? },
    };
    let entry = |entry: v1::ObservationEntry| (entry.key.unwrap_or_default(), entry.body.unwrap_or_default());
    Ok(record.entries.into_iter().map(entry).collect())
}

/// Hosts with a number above `after` that match.
pub(super) fn page(
    map: &dyn Map,
    filter: &HostFilter,
    after: u64,
    limit: usize,
) -> Result<Page<StoredHost>, StoreError> {
    let limit = limit.clamp(1, LARGEST_PAGE);
    let mut page = Page { items: Vec::new(), next: None };
    let (mut looked_at, mut last) = (0, after);
    each(map, &key::hosts_after(after), |at, record| {
        let host = key::host_of(at).map_err(|cause| unreadable(at, cause))?;
        // A filter that hardly any host passes must not hold a reader's thread for the whole store.
        if page.items.len() == limit || looked_at == LARGEST_PAGE {
            page.next = Some(last);
            return Ok(ControlFlow::Break(()));
        }
        looked_at += 1;
        last = host.0;
        if filter.has_place_and_role(&record) {
            let verdicts = read(map, &key::verdicts(host))?.unwrap_or_default();
            if filter.has_standing(&verdicts) {
                page.items.push(StoredHost { number: host, record, verdicts });
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// Hosts whose verdicts are due, earliest first.
pub(super) fn due(map: &dyn Map, now: Timestamp, limit: usize) -> Result<Vec<HostNo>, StoreError> {
    let (start, end) = key::due_until(now.unix_ms());
    let mut hosts = Vec::new();
    map.scan(&start, &end, &mut |at, _| {
        if hosts.len() >= limit.min(LARGEST_PAGE) {
            return Ok(ControlFlow::Break(()));
        }
        hosts.push(key::due_host(at).map_err(|cause| unreadable(at, cause))?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(hosts)
}

/// Every counter that is not zero.
pub(super) fn totals(map: &dyn Map) -> Result<Vec<(String, i64)>, StoreError> {
    all(map, &key::counters(), |record: v1::CounterRecord| (record.counter, record.value))
}

/// Transitions with a number above `after`, oldest first.
pub(super) fn transitions(map: &dyn Map, after: u64, limit: usize) -> Result<Page<v1::Transition>, StoreError> {
    let limit = limit.clamp(1, LARGEST_PAGE);
    let mut page = Page { items: Vec::new(), next: None };
    each(map, &key::transitions_after(after), |_, transition| {
        if page.items.len() == limit {
            page.next = page.items.last().map(|last: &v1::Transition| last.number);
            return Ok(ControlFlow::Break(()));
        }
        page.items.push(transition);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// Transitions of one host, latest first.
pub(super) fn host_transitions(map: &dyn Map, host: HostNo, limit: usize) -> Result<Vec<v1::Transition>, StoreError> {
    let (start, end) = key::host_transitions(host);
    let mut transitions = Vec::new();
    map.scan(&start, &end, &mut |at, _| {
        if transitions.len() >= limit.min(LARGEST_PAGE) {
            return Ok(ControlFlow::Break(()));
        }
        let number = key::host_transition_number(at).map_err(|cause| unreadable(at, cause))?;
        transitions.extend(read::<v1::Transition>(map, &key::transition(number))?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(transitions)
}

/// A series of a host.
pub(super) fn series(map: &dyn Map, host: HostNo, series: u32) -> Result<Option<v1::SeriesRecord>, StoreError> {
    read(map, &key::series(host, series))
}

/// How far each inventory has been read.
pub(super) fn inventory_heads(map: &dyn Map) -> Result<Vec<v1::InventoryHead>, StoreError> {
    all(map, &key::inventories(), |head| head)
}

/// Items of an inventory, by identifier; those that are not there are left out.
pub(super) fn inventory_items(
    map: &dyn Map,
    forest: &str,
    source: &str,
    ids: &[String],
) -> Result<Vec<(String, v1::InventoryRecord)>, StoreError> {
    let mut items = Vec::new();
    for id in ids {
        if let Some(record) = read(map, &key::inventory_item(forest, source, id))? {
            items.push((id.clone(), record));
        }
    }
    Ok(items)
}

/// Every checkpointed last-seen time that is later than its host's record.
pub(super) fn seen(map: &dyn Map) -> Result<Vec<(HostNo, i64)>, StoreError> {
    let mut later = Vec::new();
    each(map, &key::seen_all(), |at, block: v1::SeenBlock| {
        let first = key::seen_block(at).map_err(|cause| unreadable(at, cause))?.saturating_mul(SEEN_BLOCK);
        for (host, seen_ms) in (first..).map(HostNo).zip(block.seen_ms) {
            if seen_ms == 0 {
                continue;
            }
            let record: Option<v1::HostRecord> = read(map, &key::host(host))?;
            if record.is_some_and(|record| record.last_seen_ms < seen_ms) {
                later.push((host, seen_ms));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(later)
}

/// A revision of the policy, or the one in force.
pub(super) fn policy(map: &dyn Map, revision: Option<u64>) -> Result<Option<v1::PolicyRecord>, StoreError> {
    let revision = match revision {
        Some(revision) => revision,
        None => number(map, meta::POLICY)?,
    };
    read(map, &key::policy(revision))
}

/// Every waiver ever made.
pub(super) fn waivers(map: &dyn Map) -> Result<Vec<v1::Waiver>, StoreError> {
    all(map, &key::waivers(), |waiver| waiver)
}

/// The store's format, or `None` where nothing has been written yet.
pub(super) fn format(map: &dyn Map) -> Result<Option<u32>, StoreError> {
    read(map, &key::format())
}
