//! Parts of inventories: their order, and which hosts must be judged again for them.
//!
//! One inventory of a forest is read by one reporter at a time, in epochs: a full pass from part 1 to the part that
//! is marked complete, then deltas. What a complete pass did not confirm is swept. A part out of order is not taken;
//! the acknowledgement says which is wanted.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{HostNo, InventoryItem, InventoryPart, Sid, Timestamp};
use muster_proto::v1;
use muster_readiness::{CHECKS, Standing};

use crate::core::{Core, KEY_CREDENTIALS};
use crate::store::{InventoryUpdate, StoreError};

/// The check whose verdict depends on the directory's keys.
const KEY_STATE: &str = "sync.key-state";

/// What parts of inventories change.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// What is written.
    pub(crate) updates: Vec<InventoryUpdate>,
    /// What is answered.
    pub(crate) acks: Vec<v1::InventoryAck>,
    /// Whom it concerns.
    pub(crate) concerns: Vec<Concern>,
}

/// Whose verdicts depend on what a part said. Who that is can be told only once the new head is known to everybody:
/// a host that is judged meanwhile, by the head before, is in the table by then, and a later one sees the new head.
#[derive(Debug)]
pub(crate) struct Concern {
    forest: String,
    /// Users whose keys changed.
    changed: Vec<Sid>,
    /// With a sweep, or a first reading, absence is news too.
    everybody: bool,
    /// The directory was read later than before.
    newer: bool,
}

/// Where a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is the next one.
    Next,
    /// It begins another pass, or the first.
    Begins,
    /// It is stored already, or another is wanted.
    OutOfOrder,
}

fn place(head: Option<&v1::InventoryHead>, part: &InventoryPart, takes_over: bool) -> Place {
    match head {
        Some(head) if !takes_over && part.epoch == head.epoch => {
            if part.cursor == head.cursor + 1 {
                Place::Next
            } else {
                Place::OutOfOrder
            }
        }
        Some(head) if !takes_over && part.epoch < head.epoch => Place::OutOfOrder,
        _ if part.cursor == 1 => Place::Begins,
        _ => Place::OutOfOrder,
    }
}

/// The head after a part. The last complete pass stays in force while the next one is under way, with its time.
fn advance(
    head: Option<&v1::InventoryHead>,
    part: &InventoryPart,
    reporter: &str,
    now: Timestamp,
) -> v1::InventoryHead {
    let mut next = head.cloned().unwrap_or_default();
    next.forest = part.forest.to_string();
    next.source = part.source.to_string();
    next.epoch = part.epoch;
    next.cursor = part.cursor;
    reporter.clone_into(&mut next.reporter);
    next.arrived_at_ms = now.unix_ms();
    let in_force = part.complete || (next.complete && next.complete_epoch == part.epoch);
    if part.complete {
        next.complete = true;
        next.complete_epoch = part.epoch;
    }
    if in_force || !next.complete {
        // Before any pass is complete, the time says how far reading has come.
        next.as_of_ms = next.as_of_ms.max(part.as_of.unix_ms().min(now.unix_ms()));
        next.canary_seen =
            if in_force && !part.complete { next.canary_seen || part.canary_seen } else { part.canary_seen };
    }
    next
}

impl Core {
    /// Works out what parts change, in their order. The caller holds the inventories' lane until it is durable.
    pub(crate) async fn take_inventory(
        &self,
        parts: &[InventoryPart],
        reporter: &str,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        let mut taken = Taken::default();
        let mut heads: BTreeMap<(String, String), Option<v1::InventoryHead>> = BTreeMap::new();
        let silence_ms = i64::try_from(self.settings().cadences.directory.as_millis() * 3).unwrap_or(i64::MAX);
        for part in parts {
            let key = (part.forest.to_string(), part.source.to_string());
            let head = heads.entry(key.clone()).or_insert_with(|| self.inventory_head(&key.0, &key.1));
            let other = head.as_ref().filter(|head| head.reporter != reporter);
            let takes_over = other.is_some_and(|head| now.unix_ms() - head.arrived_at_ms > silence_ms);
            let place =
                if other.is_some() && !takes_over { Place::OutOfOrder } else { place(head.as_ref(), part, takes_over) };
            if place == Place::OutOfOrder {
                continue;
            }
            let next = advance(head.as_ref(), part, reporter, now);
            let sweep = part.complete;
            let mut update = InventoryUpdate { head: next.clone(), put: Vec::new(), remove: Vec::new(), sweep };
            for item in &part.items {
                match item {
                    InventoryItem::UserKeys(keys) => update.put.push((keys.sid.to_string(), item.into())),
                    InventoryItem::Removed(id) => update.remove.push(id.to_string()),
                }
            }
            if *part.source.as_str() == *KEY_CREDENTIALS {
                taken.concerns.push(self.concern(&key.0, &update, head.as_ref()).await?);
            }
            taken.updates.push(update);
            *head = Some(next);
        }
        for ((forest, source), head) in heads {
            let (epoch, cursor) = head.map_or((0, 0), |head| (head.epoch, head.cursor));
            taken.acks.push(v1::InventoryAck { forest, source, epoch, cursor });
        }
        Ok(taken)
    }

    async fn concern(
        &self,
        forest: &str,
        update: &InventoryUpdate,
        before: Option<&v1::InventoryHead>,
    ) -> Result<Concern, StoreError> {
        let ids: Vec<String> =
            update.put.iter().map(|(id, _)| id.clone()).chain(update.remove.iter().cloned()).collect();
        let stored: BTreeMap<String, v1::InventoryRecord> =
            self.store().inventory_items(forest, KEY_CREDENTIALS, &ids).await?.into_iter().collect();
        let mut changed: Vec<Sid> = Vec::new();
        for (id, item) in &update.put {
            if stored.get(id).and_then(|record| record.item.as_ref()) != Some(item) {
                changed.extend(id.parse::<Sid>());
            }
        }
        for id in update.remove.iter().filter(|id| stored.contains_key(*id)) {
            changed.extend(id.parse::<Sid>());
        }
        let was_complete = before.is_some_and(|head| head.complete);
        let becomes_complete = update.head.complete && !was_complete;
        let newer = before.is_none_or(|head| head.as_of_ms != update.head.as_of_ms);
        let everybody = becomes_complete || update.sweep || before.is_none();
        Ok(Concern { forest: forest.to_owned(), changed, everybody, newer })
    }

    /// The hosts whose verdicts depend on what a part said: those of users whose keys changed, and those that wait for
    /// a key to appear.
    pub(crate) fn concerned(&self, concern: &Concern) -> BTreeSet<HostNo> {
        let Concern { forest, changed, everybody, newer } = concern;
        let (everybody, newer) = (*everybody, *newer);
        let key_state = CHECKS.iter().position(|check| check.id() == KEY_STATE);
        self.read(|table| {
            let mut concerned: BTreeSet<HostNo> =
                changed.iter().flat_map(|sid| table.hosts_of_user(sid)).copied().collect();
            if everybody || newer {
                let waits = |row: &&crate::table::Row| {
                    row.key.forest.as_ref().is_some_and(|own| own.as_str() == *forest)
                        && row.all_cells().any(|cell| {
                            Some(cell.check_index()) == key_state
                                && (everybody && cell.stored() != Standing::NotApplicable
                                    || cell.stored() >= Standing::Advisory)
                        })
                };
                concerned.extend(table.rows_after(HostNo(0)).filter(waits).map(|row| row.number));
            }
            concerned
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(epoch: u64, cursor: u64, complete: bool) -> InventoryPart {
        InventoryPart {
            forest: "corp.example".parse().unwrap(),
            source: muster_evidence::Text::cut(KEY_CREDENTIALS),
            epoch,
            cursor,
            as_of: Timestamp::from_unix_seconds(1_000 * i64::try_from(epoch * 10 + cursor).unwrap()).unwrap(),
            items: Vec::new(),
            complete,
            canary_seen: complete,
        }
    }

    #[test]
    fn parts_are_taken_in_order_only() {
        let now = Timestamp::MAX;
        let mut head: Option<v1::InventoryHead> = None;
        // (epoch, cursor, complete, taken, as-of after, complete after)
        let steps = [
            (3, 2, false, false, 0, false),
            (3, 1, false, true, 31_000, false),
            (3, 3, false, false, 31_000, false),
            (3, 2, true, true, 32_000, true),
            (3, 2, true, false, 32_000, true),
            (3, 3, false, true, 33_000, true),
            (4, 1, false, true, 33_000, true),
            (3, 4, false, false, 33_000, true),
            (4, 2, true, true, 42_000, true),
        ];
        for (epoch, cursor, complete, taken, as_of, complete_after) in steps {
            let part = part(epoch, cursor, complete);
            let found = place(head.as_ref(), &part, false) != Place::OutOfOrder;
            assert_eq!(found, taken, "{epoch}.{cursor}");
            if found {
                head = Some(advance(head.as_ref(), &part, "dc01", now));
            }
            let told = head.as_ref().map_or((0, false), |head| (head.as_of_ms / 1_000, head.complete));
            assert_eq!(told, (as_of, complete_after), "{epoch}.{cursor}");
        }
        assert_eq!(head.unwrap().complete_epoch, 4);
    }
}
