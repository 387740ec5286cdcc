//! Every change the store knows, made on a draft.
//!
//! Each function is one change as a whole: it checks what it was made from, then writes. The same functions run over
//! memory and over sled, on the backend's one writer, so nothing else changes the store between check and commit.

use muster_evidence::{HostNo, Timestamp};
use muster_proto::v1;

use super::map::{Draft, Map, join, read, unreadable};
use super::record::{SEEN_BLOCK, key};
use super::{Applied, CounterDelta, Erasure, HostKey, HostUpdate, InventoryUpdate, Rename, StoreError};

/// Names of the numbers the store keeps for itself.
pub(super) mod meta {
    /// The number of the host assigned last.
    pub(in super::super) const LAST_HOST: &str = "last-host";
    /// The number of the transition appended last.
    pub(in super::super) const LAST_TRANSITION: &str = "last-transition";
    /// The number of the waiver made last.
    pub(in super::super) const LAST_WAIVER: &str = "last-waiver";
    /// The revision of the policy in force.
    pub(in super::super) const POLICY: &str = "policy";
}

/// The store's own number under a name; 0 where it was never written.
pub(super) fn number(map: &dyn Map, name: &str) -> Result<u64, StoreError> {
    Ok(read::<u64>(map, &key::meta(name))?.unwrap_or_default())
}

/// Whether nothing was ever written to a store.
pub(super) fn is_untouched(map: &dyn Map) -> Result<bool, StoreError> {
    for name in [meta::LAST_HOST, meta::LAST_TRANSITION, meta::LAST_WAIVER, meta::POLICY] {
        if number(map, name)? != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives a host its number.
pub(super) fn assign(draft: &mut Draft<'_>, host: &HostKey) -> Result<HostNo, StoreError> {
    let name = key::name(host);
    if let Some(number) = read::<u64>(draft, &name)? {
        return Ok(HostNo(number));
    }
    let next = number(draft, meta::LAST_HOST)? + 1;
    draft.put(name, &next)?;
    draft.put(key::meta(meta::LAST_HOST), &next)?;
    Ok(HostNo(next))
}

/// Changes one host, if its record is still what the change was made from.
pub(super) fn apply(draft: &mut Draft<'_>, update: HostUpdate) -> Result<Applied, StoreError> {
    let host = HostNo(update.number);
    let before: Option<v1::HostRecord> = read(draft, &key::host(host))?;
    if before.as_ref().map_or(0, |record| record.revision) != update.from_revision {
        return Ok(Applied::Conflict);
    }
    if update.forget {
        if let Some(record) = before {
            forget(draft, host, &record)?;
        }
        for delta in &update.deltas {
            count(draft, delta)?;
        }
        draft.news().host(host, 0);
        let last_transition = append(draft, None, update.transitions)?;
        return Ok(Applied::Committed { last_transition });
    }
    if let Some(rename) = &update.rename
        && !take_name(draft, host, rename)?
    {
        return Ok(Applied::Conflict);
    }
    let record = v1::HostRecord { revision: update.from_revision + 1, ..update.record };
    if let Some(due_ms) = before.and_then(|record| record.due_ms)
        && record.due_ms != Some(due_ms)
    {
        draft.erase(key::due(due_ms, host))?;
    }
    if let Some(due_ms) = record.due_ms {
        draft.put(key::due(due_ms, host), &())?;
    }
    draft.news().host(host, record.revision);
    draft.put(key::host(host), &record)?;
    draft.put(key::verdicts(host), &update.verdicts)?;
    put_bodies(draft, host, &update.remove_bodies, update.put_bodies)?;
    for (series, record) in &update.series {
        draft.put(key::series(host, *series), record)?;
    }
    for part in update.inventory {
        merge_inventory(draft, part)?;
    }
    for delta in &update.deltas {
        count(draft, delta)?;
    }
    let last_transition = append(draft, Some(host), update.transitions)?;
    Ok(Applied::Committed { last_transition })
}

/// Removes and writes bodies of a host's observations. They lie in one record: of small ones in records of their own, each
/// rewritten from time to time, sled could never use the space in its file again.
fn put_bodies(
    draft: &mut Draft<'_>,
    host: HostNo,
    remove: &[v1::ObservationKey],
    put: Vec<(v1::ObservationKey, Vec<u8>)>,
) -> Result<(), StoreError> {
    if remove.is_empty() && put.is_empty() {
        return Ok(());
    }
    let mut record = if let Some(record) = read::<v1::HostBodies>(draft, &key::bodies(host))? {
        record
    } else {
        let mut entries = Vec::new();
        for single in keys(draft, &key::single_bodies(host))? {
            entries.extend(read::<v1::ObservationEntry>(draft, &single)?);
            draft.erase(single)?;
        }
        v1::HostBodies { entries }
    };
    // A body that is both removed and written was replaced.
    record.entries.retain(|entry| {
        let of = entry.key.as_ref();
        !remove.iter().chain(put.iter().map(|(key, _)| key)).any(|key| of == Some(key))
    });
    let put = put.into_iter();
    record.entries.extend(put.map(|(key, body)| v1::ObservationEntry {
        key: Some(key),
        body: Some(body),
        ..Default::default()
    }));
    // In one order, whatever came when.
    record
        .entries
        .sort_by_cached_key(|entry| entry.key.as_ref().map(|key| (key.kind, prost::Message::encode_to_vec(key))));
    if record.entries.is_empty() { draft.erase(key::bodies(host)) } else { draft.put(key::bodies(host), &record) }
}

/// Removes everything that lies under a host's number, and its name.
fn forget(draft: &mut Draft<'_>, host: HostNo, record: &v1::HostRecord) -> Result<(), StoreError> {
    let mut stale = vec![key::host(host), key::verdicts(host), key::bodies(host)];
    if let Some(due_ms) = record.due_ms {
        stale.push(key::due(due_ms, host));
    }
    for range in [key::single_bodies(host), key::host_transitions(host), key::all_series(host)] {
        stale.extend(keys(draft, &range)?);
    }
    let identity = record.identity.as_ref();
    if let Some(name) = identity.and_then(|identity| identity.name.parse().ok()) {
        // A host that learnt its forest later is found without one as well.
        let forest = identity.and_then(|identity| identity.forest.as_ref()?.parse().ok());
        for found_by in
            [HostKey { forest, name }].into_iter().flat_map(|own| [HostKey { forest: None, ..own.clone() }, own])
        {
            let at = key::name(&found_by);
            // The name may be another host's by now.
            if read::<u64>(draft, &at)? == Some(host.0) {
                stale.push(at);
            }
        }
    }
    for at in stale {
        draft.erase(at)?;
    }
    Ok(())
}

/// Makes another name lead to a host. Whether it could: a name that another host reports under is not taken from it. A
/// number that was given out and never had a record is nobody's.
fn take_name(draft: &mut Draft<'_>, host: HostNo, rename: &Rename) -> Result<bool, StoreError> {
    let taken = key::name(&rename.taken);
    if let Some(holder) = read::<u64>(draft, &taken)?.map(HostNo).filter(|holder| *holder != host)
        && read::<v1::HostRecord>(draft, &key::host(holder))?.is_some()
    {
        return Ok(false);
    }
    for left in rename.left.iter().map(key::name) {
        if read::<u64>(draft, &left)? == Some(host.0) {
            draft.erase(left)?;
        }
    }
    draft.put(taken, &host.0)?;
    Ok(true)
}

/// Appends transitions. The number of the last one there is.
pub(super) fn append(
    draft: &mut Draft<'_>,
    host: Option<HostNo>,
    transitions: Vec<v1::Transition>,
) -> Result<u64, StoreError> {
    let mut last = number(draft, meta::LAST_TRANSITION)?;
    if transitions.is_empty() {
        return Ok(last);
    }
    for transition in transitions {
        last += 1;
        let host_number = host.map_or(transition.host_number, |host| host.0);
        draft.put(key::transition(last), &v1::Transition { number: last, host_number, ..transition })?;
        if let Some(host) = host {
            draft.put(key::host_transition(host, last), &())?;
        }
    }
    draft.news().transition(last);
    draft.put(key::meta(meta::LAST_TRANSITION), &last)?;
    Ok(last)
}

/// Removes transitions and items of inventories.
pub(super) fn erase(draft: &mut Draft<'_>, erasure: &Erasure) -> Result<(), StoreError> {
    for &number in &erasure.transitions {
        let at = key::transition(number);
        if let Some(transition) = read::<v1::Transition>(draft, &at)? {
            draft.erase(key::host_transition(HostNo(transition.host_number), number))?;
            draft.erase(at)?;
        }
    }
    for (forest, source, id) in &erasure.items {
        draft.erase(key::inventory_item(forest, source, id))?;
    }
    if !erasure.items.is_empty() {
        draft.news().inventories();
    }
    Ok(())
}

/// Changes one counter; one that reaches zero is not kept.
fn count(draft: &mut Draft<'_>, delta: &CounterDelta) -> Result<(), StoreError> {
    let at = key::counter(&delta.counter);
    let before = read::<v1::CounterRecord>(draft, &at)?.map_or(0, |record| record.value);
    match before.saturating_add(delta.by) {
        0 => draft.erase(at),
        value => draft.put(at, &v1::CounterRecord { counter: delta.counter.clone(), value }),
    }
}

/// Replaces all counters.
pub(super) fn set_totals(draft: &mut Draft<'_>, totals: Vec<(String, i64)>) -> Result<(), StoreError> {
    for stale in keys(draft, &key::counters())? {
        draft.erase(stale)?;
    }
    for (counter, by) in totals {
        count(draft, &CounterDelta { counter, by })?;
    }
    Ok(())
}

/// Merges a part of an inventory.
fn merge_inventory(draft: &mut Draft<'_>, part: InventoryUpdate) -> Result<(), StoreError> {
    let head = part.head;
    for id in &part.remove {
        draft.erase(key::inventory_item(&head.forest, &head.source, id))?;
    }
    for (id, item) in part.put {
        let record = v1::InventoryRecord { epoch: head.epoch, item: Some(item) };
        draft.put(key::inventory_item(&head.forest, &head.source, &id), &record)?;
    }
    if part.sweep {
        let (start, end) = key::inventory_items(&head.forest, &head.source);
        let mut stale = Vec::new();
        draft.scan(&start, &end, &mut |at, value| {
            let record: v1::InventoryRecord = join(draft, at, value)?;
            if record.epoch != head.epoch {
                stale.push(at.to_vec());
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        for at in stale {
            draft.erase(at)?;
        }
    }
    draft.news().inventories();
    draft.put(key::inventory(&head.forest, &head.source), &head)
}

/// Moves last-seen times of one block forward: (place in the block, milliseconds since 1970).
pub(super) fn checkpoint(draft: &mut Draft<'_>, block: u64, seen: &[(usize, i64)]) -> Result<(), StoreError> {
    let at = key::seen(block);
    let mut record: v1::SeenBlock = read(draft, &at)?.unwrap_or_default();
    let hosts = usize::try_from(SEEN_BLOCK).unwrap_or(usize::MAX);
    for &(place, seen_ms) in seen {
        if place >= hosts {
            return Err(unreadable(&at, super::InvalidRecord::Key));
        }
        if record.seen_ms.len() <= place {
            record.seen_ms.resize(place + 1, 0);
        }
        record.seen_ms[place] = record.seen_ms[place].max(seen_ms);
    }
    draft.put(at, &record)
}

/// Makes a text the next revision of the policy, if `base` is still in force.
pub(super) fn put_policy(
    draft: &mut Draft<'_>,
    base: u64,
    text: String,
    by: String,
    now: Timestamp,
) -> Result<Option<u64>, StoreError> {
    if number(draft, meta::POLICY)? != base {
        return Ok(None);
    }
    let revision = base + 1;
    let record = v1::PolicyRecord { revision, text, applied_at_ms: now.unix_ms(), applied_by: by };
    draft.news().policy();
    draft.put(key::policy(revision), &record)?;
    draft.put(key::meta(meta::POLICY), &revision)?;
    Ok(Some(revision))
}

/// Writes a waiver; number 0 makes a new one.
pub(super) fn put_waiver(draft: &mut Draft<'_>, mut waiver: v1::Waiver) -> Result<u64, StoreError> {
    let last = number(draft, meta::LAST_WAIVER)?;
    if waiver.number == 0 {
        waiver.number = last + 1;
    }
    if waiver.number > last {
        draft.put(key::meta(meta::LAST_WAIVER), &waiver.number)?;
    }
    draft.news().waivers();
    draft.put(key::waiver(waiver.number), &waiver)?;
    Ok(waiver.number)
}

/// Takes or renews a lease; `None` where another holder has it.
pub(super) fn lease(
    draft: &mut Draft<'_>,
    name: &str,
    holder: &str,
    now: Timestamp,
    ttl_ms: i64,
) -> Result<Option<u64>, StoreError> {
    let at = key::lease(name);
    let epoch = match read::<v1::LeaseRecord>(draft, &at)? {
        None => 1,
        Some(held) if held.holder == holder => held.epoch,
        Some(held) if held.expires_at_ms > now.unix_ms() => return Ok(None),
        Some(held) => held.epoch + 1,
    };
    let expires_at_ms = now.plus_ms(ttl_ms).unix_ms();
    draft.put(at, &v1::LeaseRecord { holder: holder.to_owned(), epoch, expires_at_ms })?;
    Ok(Some(epoch))
}

/// The keys in a range.
fn keys(map: &dyn Map, (start, end): &key::Range) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    map.scan(start, end, &mut |key, _| {
        keys.push(key.to_vec());
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::super::look::bodies;
    use super::super::map::{Ordered, Table};
    use super::*;

    /// Earlier builds kept each body in a record of its own.
    #[test]
    fn bodies_in_records_of_their_own_are_read_and_come_together_with_the_next_change() {
        let (host, other) = (HostNo(7), HostNo(8));
        let of = |kind: u32| v1::ObservationKey { kind, subject: None };
        let single = |host, kind: u32| [key::bodies(host), kind.to_be_bytes().to_vec(), vec![0]].concat();
        let mut map = Ordered::default();
        let mut draft = Draft::over(&map);
        for (host, kind) in [(host, 1), (host, 2), (other, 1)] {
            let entry = v1::ObservationEntry { key: Some(of(kind)), body: Some(vec![9; 5_000]), ..Default::default() };
            draft.put(single(host, kind), &entry).unwrap();
        }
        let writes = draft.into_writes();
        map.commit(&writes).unwrap();
        assert_eq!(bodies(&map, host).unwrap(), [(of(1), vec![9; 5_000]), (of(2), vec![9; 5_000])]);

        let mut draft = Draft::over(&map);
        put_bodies(&mut draft, host, &[of(2)], vec![(of(300), vec![3]), (of(4), vec![4])]).unwrap();
        let writes = draft.into_writes();
        map.commit(&writes).unwrap();
        assert_eq!(bodies(&map, host).unwrap(), [(of(1), vec![9; 5_000]), (of(4), vec![4]), (of(300), vec![3])]);
        assert!(keys(&map, &key::single_bodies(host)).unwrap().is_empty());
        assert_eq!(bodies(&map, other).unwrap().len(), 1, "another host's stay");
    }
}
