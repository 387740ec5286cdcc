//! What is stored about one person: forgotten by itself after a while, shown on request, and removed on request.
//!
//! A person is in the records of the machines that told of them, in verdicts, in the changes of verdicts, and in the
//! inventories of the directory. Series speak of machines only. Everything here goes through the same lanes and the same
//! changes as reports do, so that what is removed is gone from the store and from what this process shows.

use std::collections::BTreeMap;

use muster_evidence::{HostNo, InventoryItem, Kind, Sid, Subject, Timestamp};
use muster_proto::convert::{WireKey, decode_body_of};
use muster_proto::link::Chain;
use muster_proto::v1;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::commit::CommitError;
use crate::core::Core;
use crate::store::{Applied, Erasure, HostUpdate, StoreError};
use crate::table::{Resident, judged_at, user_sight};
use crate::totals::deltas;

/// How long what a machine told of a person is kept after the person was last seen there, in days.
pub(crate) const KEPT_DAYS: i64 = 90;

/// Most hosts whose people are forgotten in one go.
const EXPIRY_BATCH: usize = 512;

/// Machines in one page of what is stored about a person.
const HOSTS_PER_PAGE: usize = 50;

/// Changes of verdicts read from the store at a time.
const TRANSITIONS_PER_READ: usize = 1_000;

/// Changes of verdicts looked at for one page.
const TRANSITIONS_PER_PAGE: usize = 50_000;

/// How much of a person was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Erased {
    pub(crate) hosts: u64,
    pub(crate) observations: u64,
    pub(crate) verdicts: u64,
    pub(crate) transitions: u64,
    pub(crate) items: u64,
}

/// Where a page of what is stored begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind that host.
    Hosts(u64),
    /// The directory, then changes behind that number.
    History(u64),
}

impl Place {
    /// Reads what [`Place::token`] wrote; an empty text is the beginning.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        if token.is_empty() {
            return Some(Self::Hosts(0));
        }
        let (part, after) = token.split_once('-')?;
        let after = after.parse().ok()?;
        match part {
            "hosts" => Some(Self::Hosts(after)),
            "history" => Some(Self::History(after)),
            _ => None,
        }
    }

    pub(crate) fn token(self) -> String {
        match self {
            Self::Hosts(after) => format!("hosts-{after}"),
            Self::History(after) => format!("history-{after}"),
        }
    }
}

impl Core {
    /// Forgets people who were not seen on a machine for `KEPT_DAYS`. On how many machines there were some.
    pub async fn expire_people(&self) -> usize {
        let now = self.now();
        let before = now.plus_days(-KEPT_DAYS);
        let hosts: Vec<HostNo> = self.read(|table| {
            // While nobody was listening, nobody could be seen: first every machine has its turn.
            let cadence = i64::try_from(self.settings().cadences.endpoint.as_millis()).unwrap_or(i64::MAX);
            if now < table.frame().started_at.plus_ms(cadence) {
                return Vec::new();
            }
            let rows = table.rows_after(HostNo(0)).filter(|row| row.saw_someone_last_before(before));
            rows.map(|row| row.number).take(EXPIRY_BATCH).collect()
        });
        let mut forgotten = 0;
        for number in hosts {
            match self.forget_people(number, &|_, seen| seen < before).await {
                Ok(erased) => forgotten += usize::from(erased != Erased::default()),
                Err(error) => {
                    warn!(host = %number, error = %Chain(&error), "people not forgotten; tried again later");
                    break;
                }
            }
        }
        if forgotten > 0 {
            info!(hosts = forgotten, days = KEPT_DAYS, "people forgotten who were seen there no more");
            self.wake_publisher();
        }
        forgotten
    }

    /// Removes everything that is stored about a person.
    pub(crate) async fn erase_user(&self, sid: &Sid) -> Result<Erased, CommitError> {
        let mut erased = Erased::default();
        for number in self.hosts_with(sid, 0, usize::MAX) {
            let own = self.forget_people(number, &|other, _| other == sid).await?;
            erased.hosts += own.hosts;
            erased.observations += own.observations;
            erased.verdicts += own.verdicts;
        }
        let _inventories = self.0.inventory_lane.lock().await;
        let ids = [sid.to_string()];
        let mut items = Vec::new();
        for head in self.inventory_heads() {
            let found = self.store().inventory_items(&head.forest, &head.source, &ids).await?;
            items.extend(found.into_iter().map(|(id, _)| (head.forest.clone(), head.source.clone(), id)));
        }
        erased.items = items.len() as u64;
        let mut items = Some(items);
        let mut after = 0;
        loop {
            let page = self.store().transitions(after, TRANSITIONS_PER_READ).await?;
            let own = page.items.iter().filter(|transition| transition.subject == sid.as_str());
            let transitions: Vec<u64> = own.map(|transition| transition.number).collect();
            erased.transitions += transitions.len() as u64;
            let erasure = Erasure { transitions, items: items.take().unwrap_or_default() };
            if !erasure.is_empty() {
                self.store().erase(erasure).await?;
            }
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        self.wake_publisher();
        Ok(erased)
    }

    /// A page of what is stored about a person, as JSON objects, and where the next one begins.
    pub(crate) async fn export_user(&self, sid: &Sid, place: Place) -> Result<(Vec<Value>, Option<Place>), StoreError> {
        match place {
            Place::Hosts(after) => {
                let hosts = self.hosts_with(sid, after, HOSTS_PER_PAGE);
                let next = match hosts.last() {
                    Some(last) if hosts.len() == HOSTS_PER_PAGE => Place::Hosts(last.0),
                    _ => Place::History(0),
                };
                let mut documents = Vec::new();
                for number in hosts {
                    documents.extend(self.person_on(number, sid).await?);
                }
                Ok((documents, Some(next)))
            }
            Place::History(mut after) => {
                let mut documents = if after == 0 { self.person_in_directory(sid).await? } else { Vec::new() };
                for _ in 0..TRANSITIONS_PER_PAGE / TRANSITIONS_PER_READ {
                    let page = self.store().transitions(after, TRANSITIONS_PER_READ).await?;
                    let own = page.items.iter().filter(|transition| transition.subject == sid.as_str());
                    documents.extend(own.map(change_as_json));
                    match page.next {
                        Some(next) => after = next,
                        None => return Ok((documents, None)),
                    }
                }
                Ok((documents, Some(Place::History(after))))
            }
        }
    }

    /// Machines that told of a person, with a number above `after`, in order.
    fn hosts_with(&self, sid: &Sid, after: u64, most: usize) -> Vec<HostNo> {
        self.read(|table| {
            let rows = table.rows_after(HostNo(after)).filter(|row| row.knows(sid));
            rows.map(|row| row.number).take(most).collect()
        })
    }

    /// What a machine told of a person.
    async fn person_on(&self, number: HostNo, sid: &Sid) -> Result<Option<Value>, StoreError> {
        let Some(stored) = self.store().load(number).await? else { return Ok(None) };
        let bodies = self.bodies(number).await?;
        let mut observations = Vec::new();
        for index in &stored.record.observations {
            let Some(key) = index.key.clone().and_then(|key| WireKey::from_wire(key).ok()) else { continue };
            if !matches!(&key.subject, Subject::User(own) if own == sid) {
                continue;
            }
            let outcome = key.known().zip(bodies.get(&key)).and_then(|(key, body)| decode_body_of(&key, body).ok());
            let kind = u16::try_from(key.kind).ok().and_then(Kind::from_number);
            observations.push(json!({
                "kind": kind.map_or_else(|| format!("kind {}", key.kind), |kind| kind.name().to_owned()),
                "observed_at": judged_at(index).map(|at| at.to_string()),
                "reported_by": index.reporter,
                "outcome": outcome,
            }));
        }
        let verdicts: Vec<Value> = stored
            .verdicts
            .verdicts
            .iter()
            .filter(|own| own.user_sid == sid.as_str())
            .filter_map(|own| own.verdict.as_ref())
            .map(|verdict| {
                json!({
                    "check": verdict.check,
                    "standing": word(verdict.standing().as_str_name()),
                    "seen": verdict.seen,
                    "needed": verdict.needed,
                    "since": time(verdict.since_ms),
                })
            })
            .collect();
        let earlier = stored.record.earlier_users.iter().find(|user| user.sid == sid.as_str());
        Ok(Some(json!({
            "about": "machine",
            "host": stored.record.identity.as_ref().map(|identity| identity.name.clone()),
            "observations": observations,
            "verdicts": verdicts,
            "last_seen_before": earlier.and_then(|user| time(user.seen_ms)),
        })))
    }

    async fn person_in_directory(&self, sid: &Sid) -> Result<Vec<Value>, StoreError> {
        let mut documents = Vec::new();
        for head in self.inventory_heads() {
            let found = self.store().inventory_items(&head.forest, &head.source, &[sid.to_string()]).await?;
            for (_, record) in found {
                let item = record.item.and_then(|item| InventoryItem::try_from(item).ok());
                let keys = match item {
                    Some(InventoryItem::UserKeys(keys)) => serde_json::to_value(keys).ok(),
                    Some(InventoryItem::Removed(_)) | None => None,
                };
                documents.push(json!({
                    "about": "directory",
                    "forest": head.forest,
                    "inventory": head.source,
                    "read_at": time(head.as_of_ms),
                    "keys": keys,
                }));
            }
        }
        Ok(documents)
    }

    /// Removes from a machine's record the people that `is_gone` says, by SID and last sight. What was removed.
    async fn forget_people(
        &self,
        number: HostNo,
        is_gone: &(dyn Fn(&Sid, Timestamp) -> bool + Sync),
    ) -> Result<Erased, CommitError> {
        let Some(name) = self.read(|table| table.get(number).map(|row| row.key.name.clone())) else {
            return Ok(Erased::default());
        };
        let _lane = self.lane(&name).await;
        for _ in 0..self.settings().bounds.conflict_retries.max(1) {
            let Some(stored) = self.store().load(number).await? else { break };
            let now = self.now();
            // Memory may know of a later sight than the record.
            let mut seen: BTreeMap<Sid, Timestamp> = self.read(|table| {
                let users = table.get(number).map(|row| row.users.iter().map(|user| (user.sid.clone(), user.seen)));
                users.into_iter().flatten().collect()
            });
            for (sid, at) in stored.record.observations.iter().filter_map(user_sight) {
                let latest = seen.entry(sid).or_insert(at);
                *latest = (*latest).max(at);
            }
            let gone: Vec<&Sid> = seen.iter().filter(|(sid, at)| is_gone(sid, **at)).map(|(sid, _)| sid).collect();
            let mut record = stored.record.clone();
            let mut removed = Vec::new();
            record.observations.retain(|index| {
                let goes = user_sight(index).is_some_and(|(sid, _)| gone.contains(&&sid));
                removed.extend(index.key.clone().filter(|_| goes));
                !goes
            });
            record.earlier_users.retain(|user| {
                let sight = user.sid.parse::<Sid>().ok().zip(Timestamp::from_unix_ms(user.seen_ms).ok());
                !sight.is_some_and(|(sid, at)| is_gone(&sid, at))
            });
            if record == stored.record {
                break;
            }
            let mut bodies = self.bodies(number).await?;
            bodies.retain(|key, _| !matches!(&key.subject, Subject::User(sid) if gone.contains(&sid)));
            let policy = self.policy();
            let before = (&stored.record, &stored.verdicts);
            let judged = self.judge(&record, Some(before), &bodies, None, &policy, now).await?;
            let Some((judging, site_revision, forest_revision)) = judged else { break };
            record.counts_as_endpoint = judging.counts_as_endpoint;
            record.due_ms = judging.due.map(Timestamp::unix_ms);
            record.policy_revision = policy.revision;
            record.site_revision = site_revision;
            record.forest_revision = forest_revision;
            record.revision += 1;
            // That somebody is forgotten is no news about them.
            let of_the_gone = |subject: &str| gone.iter().any(|sid| sid.as_str() == subject);
            let transitions = judging.transitions.into_iter().filter(|own| !of_the_gone(&own.subject)).collect();
            let verdicts = stored.verdicts.verdicts.iter().filter(|own| of_the_gone(&own.user_sid)).count();
            let erased =
                Erased { hosts: 1, observations: removed.len() as u64, verdicts: verdicts as u64, ..Erased::default() };
            let update = HostUpdate {
                number: number.0,
                from_revision: stored.record.revision,
                record: record.clone(),
                verdicts: judging.verdicts.clone(),
                remove_bodies: removed,
                transitions,
                deltas: deltas(Some(before), (&record, &judging.verdicts)),
                ..HostUpdate::default()
            };
            if let Applied::Committed { last_transition } = self.commit(update).await? {
                self.note_transition(last_transition);
                let known = self.read(|table| table.get(number).map(|row| (row.last_seen, row.sequence)));
                let (last_seen, sequence) = known.unwrap_or((now, record.sequence));
                // Memory may know of a later report than the record.
                record.sequence = record.sequence.max(sequence);
                let (verdicts, dc) = (&judging.verdicts, judging.dc);
                // Without a fingerprint the next report is looked at whole, and what it still tells is asked for.
                self.put(Resident { number, record: &record, verdicts, fingerprint: 0, last_seen, dc }, now);
                return Ok(erased);
            }
        }
        Ok(Erased::default())
    }
}

/// A change of a verdict.
fn change_as_json(transition: &v1::Transition) -> Value {
    json!({
        "about": "change",
        "at": time(transition.at_ms),
        "host": transition.host,
        "check": transition.check,
        "from": transition.from,
        "to": transition.to,
        "reason": transition.reason,
    })
}

fn time(ms: i64) -> Option<String> {
    Timestamp::from_unix_ms(ms).ok().map(|at| at.to_string())
}

/// `STANDING_NOT_APPLICABLE` as people write it.
fn word(name: &str) -> String {
    name.trim_start_matches("STANDING_").to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests;
