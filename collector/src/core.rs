//! The collector's core: what reports, background work and views share.
//!
//! One handle over the store, the resident table, the policy in force and the published snapshot. Reports come in
//! through `ingest`, are judged concurrently, and reach the store in batches through one committer; the table changes
//! only after the store has said that a change is durable. The table's lock is held for short, never across an await.

mod load;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use muster_evidence::{Forest, HostIdentity, HostName, HostNo, Timestamp};
use muster_proto::convert::WireKey;
use muster_proto::link::Chain;
use muster_proto::v1;
use muster_readiness::{ForestFacts, KeyInventory, SiteFacts, SiteReadiness, held, is_stale};
use tokio::sync::{Notify, mpsc, watch};
use tracing::{Instrument as _, info, info_span, warn};

use crate::clock::Clock;
use crate::commit::{self, Change};
use crate::judge::{Bodies, Case, Judging, forest_of, host_facts, judge_host, users_of};
use crate::log_limit::LogLimit;
use crate::meters::Meters;
use crate::policy_state::{self, PolicyError, PolicyInForce};
use crate::publish::{
    Edition, RolloutRecord, empty_snapshot, entra_joined, next_snapshot, served_endpoints, serving, site_facts,
    site_readiness, trusted_for,
};
use crate::rebuild::Rebuild;
use crate::sampling::Sampling;
use crate::settings::{Grants, Settings};
use crate::sites::SiteKey;
use crate::snapshot::Snapshot;
use crate::store::{ChangeCursor, Since, Store, StoreError, StoredHost};
use crate::table::{Frame, Resident, SiteNo, Table, site_from_wire};
use crate::verdict::{check_of, judgement_from_stored, name_root_causes, standing_to_wire, verdict_to_wire};

/// The inventory that key checks read.
pub(crate) const KEY_CREDENTIALS: &str = "key-credentials";

/// Locks that keep two changes of one host apart; more than are ever worked on at once.
const LANES: usize = 1_024;

/// What the directory says about people, read together with a host before it is known whom its verdicts depend on.
#[derive(Debug)]
pub(crate) struct KeysAhead {
    /// How far the inventory had been read before its items were: who is judged by them is judged by this revision.
    pub(crate) head: v1::InventoryHead,
    /// Whom it was asked about.
    pub(crate) ids: BTreeSet<String>,
    /// What it says of them.
    pub(crate) items: Vec<(String, v1::InventoryRecord)>,
}

/// Bodies by their key; one under a key that is none is passed over.
pub(crate) fn bodies_of(bodies: Vec<(v1::ObservationKey, Vec<u8>)>) -> Bodies {
    bodies.into_iter().filter_map(|(key, body)| Some((WireKey::from_wire(key).ok()?, body))).collect()
}

/// The core. Cheap to clone; every clone is the same.
#[derive(Clone, Debug)]
pub struct Core(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// Who may have which role: the one setting that changes while the collector runs.
    grants: RwLock<Arc<Grants>>,
    pub(crate) table: Mutex<Table>,
    policy: RwLock<Arc<PolicyInForce>>,
    /// Held while the policy or a waiver is being changed.
    pub(crate) policy_lane: tokio::sync::Mutex<()>,
    /// Held while parts of inventories are being merged.
    pub(crate) inventory_lane: tokio::sync::Mutex<()>,
    heads: RwLock<BTreeMap<(String, String), v1::InventoryHead>>,
    lanes: Vec<tokio::sync::Mutex<()>>,
    changes: mpsc::Sender<Change>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    site_facts: Mutex<HashMap<SiteNo, Arc<SiteFacts>>>,
    /// What the domain controllers of a site were judged by: whether endpoints joined to Entra ID only exist.
    entra: Mutex<HashMap<SiteNo, Option<bool>>>,
    waiting: Mutex<BTreeSet<HostNo>>,
    rollouts: Mutex<Rollouts>,
    /// Set while a store that took the place of a damaged one waits for its hosts.
    rebuild: Mutex<Option<Rebuild>>,
    /// How far the store's feed of changes has been followed.
    pub(crate) followed: tokio::sync::Mutex<ChangeCursor>,
    last_transition: AtomicU64,
    /// What is said of peers whose reports are refused, wholly or in part.
    pub(crate) log_limit: LogLimit,
    meters: Arc<Meters>,
    /// Which traces of reports are kept.
    pub(crate) sampling: Sampling,
    /// Something was published to the table.
    pub(crate) table_changed: Notify,
    /// Something waits to be judged.
    pub(crate) work_waits: Notify,
}

/// The sites' rollout verdicts as written, and those that must stand a moment before they are.
#[derive(Debug, Default)]
pub(crate) struct Rollouts {
    pub(crate) written: BTreeMap<SiteKey, RolloutRecord>,
    pub(crate) settling: BTreeMap<SiteKey, RolloutRecord>,
}

/// Says why the core cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("failed to load the store")]
    Store(#[from] StoreError),
    /// There is no policy to judge by.
    #[error("failed to load the policy")]
    Policy(#[from] PolicyError),
}

/// A host with everything known about it, as views show it.
#[derive(Clone, Debug)]
pub struct HostView {
    /// Its record and its verdicts as they were judged.
    pub stored: StoredHost,
    /// Its verdicts, silence considered: `stale_standing` is set where silence made one unknown.
    pub verdicts: Vec<v1::StoredVerdict>,
    /// When it was last heard of.
    pub last_seen: Timestamp,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock was held has been reported; what it guards is counters, and a recount mends those.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Loads everything from the store, and starts the committer. `seed` becomes revision 1 of the policy where the
    /// store has none. `progress` is told how many hosts have been loaded.
    ///
    /// Must be called within a tokio runtime. Background work is [`Core::run`].
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        seed: Option<&str>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Self, StartError> {
        let now = clock.now();
        // Before anything is read: what changes from here on is told by the feed.
        let followed = match store.changes_since(ChangeCursor::UNKNOWN).await? {
            Since::TooOld { newest } => newest,
            Since::Changes(changes) => changes.next,
        };
        let policy = policy_state::load(store.as_ref(), seed, now).await?;
        let frame = Frame::new(Arc::clone(&policy.policy), policy.revision, settings.cadences, now, Timestamp::MIN);
        let mut table = Table::new(frame);
        for (key, _) in settings.sites.listed() {
            table.intern_site(&muster_evidence::SiteRef {
                forest: key.0.clone(),
                name: key.1.clone(),
                object_guid: None,
            });
        }
        let heads = store.inventory_heads().await?;
        for head in &heads {
            note_directory(&mut table, head, now);
        }
        let before = empty_snapshot(&table, &settings.sites, now);
        let (changes, queue) = mpsc::channel(settings.bounds.queue);
        let meters = Arc::new(Meters::default());
        commit::spawn(Arc::clone(&store), queue, settings.bounds.batch, Arc::clone(&meters));
        let core = Self(Arc::new(Inner {
            store,
            clock,
            grants: RwLock::new(Arc::new(settings.grants.clone())),
            settings,
            table: Mutex::new(table),
            policy: RwLock::new(Arc::new(policy)),
            policy_lane: tokio::sync::Mutex::default(),
            inventory_lane: tokio::sync::Mutex::default(),
            heads: RwLock::new(
                heads.into_iter().map(|head| ((head.forest.clone(), head.source.clone()), head)).collect(),
            ),
            lanes: (0..LANES).map(|_| tokio::sync::Mutex::default()).collect(),
            changes,
            snapshots: watch::Sender::new(Arc::new(before)),
            site_facts: Mutex::default(),
            entra: Mutex::default(),
            waiting: Mutex::default(),
            rollouts: Mutex::default(),
            rebuild: Mutex::default(),
            followed: tokio::sync::Mutex::new(followed),
            last_transition: AtomicU64::new(0),
            log_limit: LogLimit::default(),
            meters,
            sampling: Sampling::default(),
            table_changed: Notify::new(),
            work_waits: Notify::new(),
        }));
        core.load(progress).await?;
        core.load_rollouts().await?;
        if core.settings().rebuilding {
            let rebuild = core.read(|table| {
                let hosts = table.rows_after(HostNo(0)).map(|row| row.number);
                Rebuild::new(hosts, core.settings().cadences, now)
            });
            *lock(&core.0.rebuild) = Some(rebuild);
        }
        core.publish();
        Ok(core)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// What it was told at start.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What it counts about its own work.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// Whether a store that took the place of a damaged one still waits for its hosts.
    pub fn is_rebuilding(&self) -> bool {
        lock(&self.0.rebuild).is_some()
    }

    /// Who may have which role now.
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.0.grants.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Grants otherwise from now on.
    pub fn set_grants(&self, grants: Grants) {
        *self.0.grants.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(grants);
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<PolicyInForce> {
        Arc::clone(&self.0.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.snapshots.borrow())
    }

    /// The snapshots as they come.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.snapshots.subscribe()
    }

    /// Reads the resident table. Keep it short: reports wait meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&Table) -> T) -> T {
        read(&lock(&self.0.table))
    }

    /// How far an inventory has been read.
    pub fn inventory_head(&self, forest: &str, source: &str) -> Option<v1::InventoryHead> {
        let heads = self.0.heads.read().unwrap_or_else(PoisonError::into_inner);
        heads.get(&(forest.to_owned(), source.to_owned())).cloned()
    }

    /// How far each inventory has been read.
    pub fn inventory_heads(&self) -> Vec<v1::InventoryHead> {
        self.0.heads.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A host with its verdicts, silence considered.
    pub async fn host(&self, number: HostNo) -> Result<Option<HostView>, StoreError> {
        let Some(stored) = self.store().load(number).await? else { return Ok(None) };
        let now = self.now();
        let policy = self.policy();
        Ok(self.read(|table| {
            let row = table.get(number)?;
            let heard = table.frame().heard_of(row, now);
            let quiet_ms = heard.ms_since(row.last_seen);
            let directory = row.key.forest.as_ref().and_then(|forest| table.directory_as_of(forest));
            let mut verdicts = Vec::with_capacity(stored.verdicts.verdicts.len());
            for own in &stored.verdicts.verdicts {
                let Some(verdict) = &own.verdict else { continue };
                let Some(((_, check), (judgement, since))) = check_of(&verdict.check).zip(judgement_from_stored(own))
                else {
                    verdicts.push(own.clone());
                    continue;
                };
                let user = row.users.iter().find(|user| user.sid.as_str() == own.user_sid);
                let freshness =
                    if row.roles.is_domain_controller() { check.freshness_on_dc() } else { check.freshness() };
                let seen = match freshness {
                    muster_readiness::Freshness::User => user.map(|user| user.seen.plus_ms(quiet_ms)),
                    muster_readiness::Freshness::Directory => directory,
                    _ => None,
                }
                .unwrap_or(heard);
                let stands = held(&judgement, freshness, seen, &policy.policy, now);
                let mut told = verdict_to_wire(&stands, since, Some(verdict.waived.clone()));
                if is_stale(freshness, seen, &policy.policy, now) && stands != judgement {
                    told.stale_standing = standing_to_wire(judgement.verdict.standing()).into();
                }
                verdicts.push(v1::StoredVerdict { user_sid: own.user_sid.clone(), verdict: Some(told) });
            }
            name_root_causes(&mut verdicts);
            Some(HostView { last_seen: row.last_seen, stored, verdicts })
        }))
    }

    pub(crate) fn set_policy(&self, policy: PolicyInForce) {
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    pub(crate) fn wake_publisher(&self) {
        self.0.table_changed.notify_one();
    }

    /// Notes that something is missing of what a host reported.
    pub(crate) fn note_asked(&self, number: HostNo) {
        if let Some(rebuild) = lock(&self.0.rebuild).as_mut() {
            rebuild.asked(number);
        }
    }

    /// Notes that nothing is missing of what a host reported.
    pub(crate) fn note_answered(&self, number: HostNo) {
        let is_news = lock(&self.0.rebuild).as_mut().is_some_and(|rebuild| rebuild.answered(number));
        if is_news {
            let mut table = lock(&self.0.table);
            if let Some(site) = table.get(number).map(|row| row.site) {
                table.touch(site);
            }
            drop(table);
            self.wake_publisher();
        }
    }

    /// The readiness of a site of some table, as far as it may be told while a damaged store is being rebuilt.
    pub(crate) fn readiness_to_tell(&self, table: &Table, site: SiteNo, now: Timestamp) -> SiteReadiness {
        let sites = &self.0.settings.sites;
        let (_, mut readiness) = site_readiness(table, sites, site, now);
        if let Some(rebuild) = lock(&self.0.rebuild).as_ref() {
            let expected = table.site(site).and_then(|own| sites.expected(&(own.forest.clone(), own.name.clone())));
            rebuild.cover(&mut readiness, table, site, expected);
        }
        readiness
    }

    /// Waits for its turn to change a host.
    pub(crate) async fn lane(&self, host: &HostName) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        host.hash(&mut hasher);
        let lanes = &self.0.lanes;
        let place = usize::try_from(hasher.finish() % lanes.len() as u64).unwrap_or(0);
        lanes[place].lock().await
    }

    /// Hands a change to the committer, and waits until it is durable.
    pub(crate) async fn commit(
        &self,
        change: crate::store::HostUpdate,
    ) -> Result<crate::store::Applied, commit::CommitError> {
        commit::hand_over(&self.0.changes, change).instrument(info_span!("store.commit")).await
    }

    pub(crate) fn note_transition(&self, number: u64) {
        self.0.last_transition.fetch_max(number, Ordering::Relaxed);
    }

    /// Puts a durable change into the table, and sees to what follows from it.
    pub(crate) fn put(&self, resident: Resident<'_>, now: Timestamp) {
        let number = resident.number;
        let is_dc = resident.dc.is_some();
        let judged_from = (resident.record.site_revision, resident.record.forest_revision);
        let mut table = lock(&self.0.table);
        // Two reports under two names of one host do not wait for one another; the later change may be here first.
        if table.get(number).is_some_and(|row| row.revision > resident.record.revision) {
            return;
        }
        let before = table.get(number).map(|row| row.site);
        let trusted_before = table.get(number).and_then(trusted_for);
        if let Err(error) = table.put(resident, now) {
            warn!(error = %Chain(&error), "record cannot be counted");
            return;
        }
        let after = table.get(number).map(|row| row.site);
        let sites: BTreeSet<SiteNo> =
            [before, after].into_iter().flatten().map(|site| serving(&table, &self.0.settings.sites, site)).collect();
        let mut dependants = Vec::new();
        // Whom an endpoint must trust depends on the certificates of those that serve it.
        if is_dc && (before != after || trusted_before != table.get(number).and_then(trusted_for)) {
            for site in &sites {
                dependants.extend(served_endpoints(&table, &self.0.settings.sites, *site));
            }
        }
        for site in sites {
            let joined = entra_joined(&table, &self.0.settings.sites, site);
            let known = lock(&self.0.entra).insert(site, joined).flatten();
            // What a site's domain controllers must be able to do depends on whom they serve.
            if known != joined {
                table.bump_facts(site);
                dependants.extend(table.entry(site).dcs.iter().copied().filter(|dc| *dc != number));
            }
        }
        // A host that was judged while its site or its directory changed came too late to be among the dependants.
        let site_moved_on = after.is_some_and(|site| self.site_revision(&table, site) != judged_from.0);
        let keys_moved_on = table.get(number).filter(|row| !row.users.is_empty()).is_some_and(|row| {
            let head = row.key.forest.as_ref().and_then(|forest| self.inventory_head(forest.as_str(), KEY_CREDENTIALS));
            head.is_some_and(|head| forest_revision(&head) != judged_from.1)
        });
        if site_moved_on || keys_moved_on {
            dependants.push(number);
        }
        drop(table);
        self.judge_later(dependants);
        self.wake_publisher();
    }

    /// Works out for every site whom its domain controllers serve, after the policy has changed or all was loaded.
    pub(crate) fn settle_populations(&self, table: &mut Table) {
        let numbers: Vec<SiteNo> = table.site_keys().map(|(_, number)| number).collect();
        let mut kept = lock(&self.0.entra);
        for number in numbers {
            let joined = entra_joined(table, &self.0.settings.sites, number);
            if kept.insert(number, joined).flatten() != joined {
                table.bump_facts(number);
            }
        }
    }

    /// The number of a host, if it is known.
    pub(crate) fn resolve(&self, host: &HostIdentity) -> Option<HostNo> {
        self.read(|table| {
            let named: Vec<_> = table.named(&host.name).collect();
            let exact = named.iter().find(|row| row.key.forest == host.forest);
            let only = match (&host.forest, named.as_slice()) {
                // It names no forest (any more), and nobody else has the name.
                (None, [only]) => Some(only),
                // It has learnt its forest.
                (Some(_), _) => named.iter().find(|row| row.key.forest.is_none()),
                _ => None,
            };
            exact.or(only).map(|row| row.number)
        })
    }

    /// Queues hosts to be judged again.
    pub(crate) fn judge_later(&self, hosts: impl IntoIterator<Item = HostNo>) {
        let mut waiting = lock(&self.0.waiting);
        let before = waiting.len();
        waiting.extend(hosts);
        if waiting.len() > before {
            self.0.work_waits.notify_one();
        }
    }

    /// Queues every host that was not judged by the policy in force.
    pub(crate) fn judge_all_later(&self) {
        let revision = self.policy().revision;
        let behind: Vec<HostNo> = self.read(|table| {
            let behind = table.rows_after(HostNo(0)).filter(|row| row.policy_revision != revision);
            behind.map(|row| row.number).collect()
        });
        self.judge_later(behind);
    }

    /// Takes hosts that wait to be judged again.
    pub(crate) fn take_waiting(&self, limit: usize) -> Vec<HostNo> {
        let mut waiting = lock(&self.0.waiting);
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(number) = waiting.pop_first()
        {
            taken.push(number);
        }
        taken
    }

    /// The facts of a host's site, shared while they hold.
    pub(crate) fn facts_of_site(&self, record: &v1::HostRecord, now: Timestamp) -> Arc<SiteFacts> {
        let mut table = lock(&self.0.table);
        let site = record.site.as_ref().and_then(site_from_wire);
        let number = site.map_or_else(SiteNo::default, |site| table.intern_site(&site));
        let revision = self.site_revision(&table, number);
        let mut kept = lock(&self.0.site_facts);
        match kept.get(&number) {
            Some(facts) if facts.revision == revision => Arc::clone(facts),
            _ => {
                let facts = Arc::new(site_facts(&table, &self.0.settings.sites, number, now));
                kept.insert(number, Arc::clone(&facts));
                facts
            }
        }
    }

    /// The revision of a site's facts: those of its own, and of the site that serves it.
    fn site_revision(&self, table: &Table, site: SiteNo) -> u64 {
        let serving = serving(table, &self.0.settings.sites, site);
        let own = table.entry(site).facts_revision;
        own + if serving == site { 0 } else { table.entry(serving).facts_revision }
    }

    /// What the directory says about users of a forest: what was read ahead, if that holds for them.
    pub(crate) async fn facts_of_forest(
        &self,
        forest: Option<&Forest>,
        users: BTreeSet<String>,
        ahead: Option<KeysAhead>,
    ) -> Result<ForestFacts, StoreError> {
        let Some(forest) = forest else { return Ok(ForestFacts::default()) };
        let ahead = ahead.filter(|ahead| ahead.head.forest == forest.as_str() && users.is_subset(&ahead.ids));
        let head = match &ahead {
            Some(ahead) => Some(ahead.head.clone()),
            None => self.inventory_head(forest.as_str(), KEY_CREDENTIALS),
        };
        let Some(head) = head else { return Ok(ForestFacts::default()) };
        let mut facts = ForestFacts {
            revision: forest_revision(&head),
            inventory: Timestamp::from_unix_ms(head.as_of_ms).ok().map(|as_of| KeyInventory {
                as_of,
                complete: head.complete,
                canary_seen: head.canary_seen,
            }),
            keys: BTreeMap::new(),
        };
        if users.is_empty() {
            return Ok(facts);
        }
        let items = if let Some(ahead) = ahead {
            ahead.items.into_iter().filter(|(id, _)| users.contains(id)).collect()
        } else {
            let ids: Vec<String> = users.into_iter().collect();
            self.store().inventory_items(forest.as_str(), KEY_CREDENTIALS, &ids).await?
        };
        for (id, record) in items {
            let Some(v1::inventory_item::Item::UserKeys(keys)) = record.item.and_then(|item| item.item) else {
                continue;
            };
            match muster_evidence::UserKeys::try_from(keys) {
                Ok(keys) => {
                    facts.keys.insert(keys.sid.clone(), keys);
                }
                Err(error) => warn!(id, error = %Chain(&error), "keys in the store are unreadable"),
            }
        }
        Ok(facts)
    }

    /// Judges a host from its record and its bodies.
    pub(crate) async fn judge(
        &self,
        record: &v1::HostRecord,
        before: Option<(&v1::HostRecord, &v1::VerdictRecord)>,
        bodies: &Bodies,
        keys: Option<KeysAhead>,
        policy: &PolicyInForce,
        now: Timestamp,
    ) -> Result<Option<(Judging, u64, u64)>, StoreError> {
        let name = record.identity.as_ref().and_then(|identity| identity.name.parse::<HostName>().ok());
        let Some(name) = name else { return Ok(None) };
        let host = host_facts(name, record, bodies);
        let site = self.facts_of_site(record, now);
        let forest = self.facts_of_forest(forest_of(record).as_ref(), users_of(&host), keys).await?;
        let case = Case { record, before, host: &host, site: &site, forest: &forest, policy, now };
        let judging = info_span!("judge.host", host = %host.host).in_scope(|| judge_host(&case));
        Ok(Some((judging, site.revision, forest.revision)))
    }

    /// Judges a stored host by a policy, without storing.
    pub(crate) async fn judge_again(
        &self,
        stored: &StoredHost,
        policy: &PolicyInForce,
        now: Timestamp,
    ) -> Result<Judging, StoreError> {
        let bodies = self.bodies(stored.number).await?;
        let before = Some((&stored.record, &stored.verdicts));
        match self.judge(&stored.record, before, &bodies, None, policy, now).await? {
            Some((judging, _, _)) => Ok(judging),
            // A record without a name cannot be judged; its verdicts stay.
            None => Ok(Judging {
                verdicts: stored.verdicts.clone(),
                transitions: Vec::new(),
                due: None,
                operating_system: stored.record.operating_system.clone(),
                entra_joined: stored.record.entra_joined,
                counts_as_endpoint: stored.record.counts_as_endpoint,
                pool: stored.record.pool.clone(),
                dc: None,
            }),
        }
    }

    /// The bodies of a host's observations.
    pub(crate) async fn bodies(&self, number: HostNo) -> Result<Bodies, StoreError> {
        Ok(bodies_of(self.store().bodies(number).await?))
    }

    /// Takes over how far an inventory has been read.
    pub(crate) fn note_head(&self, head: v1::InventoryHead, now: Timestamp) {
        note_directory(&mut lock(&self.0.table), &head, now);
        let mut heads = self.0.heads.write().unwrap_or_else(PoisonError::into_inner);
        heads.insert((head.forest.clone(), head.source.clone()), head);
    }

    /// Publishes a snapshot if anything changed. The rollout verdicts in it.
    pub(crate) fn publish(&self) -> bool {
        let now = self.now();
        let mut table = lock(&self.0.table);
        let mut rebuild = lock(&self.0.rebuild);
        if rebuild.take_if(|rebuild| rebuild.is_over(now)).is_some() {
            info!("every host has had its turns to answer; the store counts as rebuilt");
            let sites: Vec<SiteNo> = table.site_keys().map(|(_, number)| number).collect();
            for site in sites {
                table.touch(site);
            }
        }
        let dirty = table.take_dirty();
        let before = self.snapshot();
        let hosts_to_judge = lock(&self.0.waiting).len() as u64;
        let last_transition = self.0.last_transition.load(Ordering::Relaxed);
        let policy_revision = table.frame().policy_revision;
        let same = before.number > 0
            && dirty.is_empty()
            && before.hosts_to_judge == hosts_to_judge
            && before.last_transition == last_transition
            && before.policy_revision == policy_revision;
        if same {
            return false;
        }
        let judged_revision = if hosts_to_judge == 0 {
            policy_revision
        } else {
            table.rows_after(HostNo(0)).map(|row| row.policy_revision).min().unwrap_or(policy_revision)
        };
        let rollouts = lock(&self.0.rollouts);
        let snapshot = next_snapshot(
            &table,
            &Edition {
                before: &before,
                sites: &self.0.settings.sites,
                rebuild: rebuild.as_ref(),
                written: &rollouts.written,
                dirty: &dirty,
                hosts_to_judge,
                judged_revision,
                last_transition,
                now,
            },
        );
        drop(rollouts);
        drop(rebuild);
        drop(table);
        self.0.snapshots.send_replace(Arc::new(snapshot));
        true
    }

    pub(crate) fn rollouts(&self) -> MutexGuard<'_, Rollouts> {
        lock(&self.0.rollouts)
    }
}

/// The state of an inventory as one growing number: of two states the later has the greater.
pub(crate) fn forest_revision(head: &v1::InventoryHead) -> u64 {
    (head.epoch << 32) | (head.cursor & u64::from(u32::MAX))
}

fn note_directory(table: &mut Table, head: &v1::InventoryHead, now: Timestamp) {
    if head.source == KEY_CREDENTIALS
        && let Ok(forest) = head.forest.parse()
        && let Ok(as_of) = Timestamp::from_unix_ms(head.as_of_ms)
    {
        table.directory_read(&forest, as_of, now);
    }
}
