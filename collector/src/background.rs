//! Work that no report asks for: what silence does, dates that pass, hosts to be judged again, and the writing of what
//! only memory knows.
//!
//! Everything here is bounded per step and can be stopped between two steps; what was not done is found again at the
//! next start, because it follows from the store: due times, revisions of the policy, last-seen times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_evidence::{HostNo, Timestamp};
use muster_proto::link::Chain;
use muster_proto::v1;
use muster_readiness::Rollout;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::commit::CommitError;
use crate::core::{Core, lock};
use crate::publish::RolloutRecord;
use crate::sites::SiteKey;
use crate::snapshot::Snapshot;
use crate::store::{Applied, HostUpdate};
use crate::table::{Resident, site_to_wire};
use crate::totals::{deltas, deltas_of_the_gone};

/// How often silence and due dates are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How often last-seen times are written: design.md allows them to fall back by 60 s.
const CHECKPOINT: Duration = Duration::from_secs(30);

/// Most last-seen times written at once.
const CHECKPOINT_BATCH: usize = 20_000;

/// How often machines of pools are looked for that will not come back.
const VANISHED: Duration = Duration::from_mins(1);

/// Most of them that are forgotten at once.
const VANISHED_BATCH: usize = 512;

/// Most hosts whose silence is looked at while the table is locked.
const SILENCE_BATCH: usize = 1_000;

/// Most due hosts taken at once.
const DUE_BATCH: usize = 256;

/// How long a rollout verdict must stand before the change is written: a site that wavers while many hosts are judged
/// again changes once.
const SETTLES_MS: i64 = 1_000;

impl Core {
    /// Runs background work until `stop`; then writes what only memory knows.
    pub async fn run(self, stop: CancellationToken) {
        let publisher = tokio::spawn(self.clone().run_publisher(stop.clone()));
        let judging = tokio::spawn(self.clone().run_judging(stop.clone()));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checkpointed = Instant::now();
        let mut looked_for_vanished = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            self.tick();
            if let Err(error) = self.follow().await {
                warn!(error = %Chain(&error), "changes of others cannot be read; tried again later");
            }
            if looked_for_vanished.elapsed() >= VANISHED {
                self.forget_vanished().await;
                self.expire_people().await;
                looked_for_vanished = Instant::now();
            }
            if checkpointed.elapsed() >= CHECKPOINT {
                self.checkpoint().await;
                checkpointed = Instant::now();
            }
        }
        self.checkpoint().await;
        for task in [publisher, judging] {
            if let Err(error) = task.await {
                error!(%error, "background work ended early");
            }
        }
    }

    /// Applies what silence has done until now.
    pub fn tick(&self) {
        let now = self.now();
        loop {
            let more = lock(&self.0.table).tick(now, SILENCE_BATCH);
            if !more {
                break;
            }
        }
        if self.read(crate::table::Table::has_dirty) {
            self.wake_publisher();
        }
    }

    /// Writes last-seen times that no change has carried to the store.
    pub async fn checkpoint(&self) {
        loop {
            let seen = lock(&self.0.table).take_seen(CHECKPOINT_BATCH);
            if seen.is_empty() {
                return;
            }
            let kept = seen.clone();
            if let Err(error) = self.store().checkpoint_seen(seen).await {
                warn!(error = %Chain(&error), hosts = kept.len(), "last-seen times not written; tried again later");
                lock(&self.0.table).give_back_seen(&kept);
                return;
            }
        }
    }

    /// Forgets machines of pools that have not been heard of for as long as the policy keeps them, and of pools with more
    /// machines than it keeps, those heard of longest ago. How many there were.
    pub async fn forget_vanished(&self) -> usize {
        let now = self.now();
        let vanished = self.read(|table| {
            let (frame, policy) = (table.frame(), &table.frame().policy);
            // While nobody was listening, none of them could be heard of: first they all have their turn.
            if now < frame.started_at.plus_ms(ms_of(self.settings().cadences.endpoint)) {
                return Vec::new();
            }
            let heard_before = now.plus_days(-i64::from(policy.pool_kept_days));
            table.vanished(heard_before, policy.pool_kept_hosts as usize, VANISHED_BATCH)
        });
        let mut forgotten = 0;
        for number in &vanished {
            match self.forget(*number).await {
                Ok(done) => forgotten += usize::from(done),
                Err(error) => {
                    warn!(host = %number, error = %Chain(&error), "machine of a pool not forgotten; tried again later");
                    break;
                }
            }
        }
        if forgotten > 0 {
            info!(hosts = forgotten, "machines of pools forgotten that were heard of no more");
            self.wake_publisher();
        }
        forgotten
    }

    /// Removes what is kept of a machine of a pool, unless it is heard of meanwhile. Whether it is gone.
    async fn forget(&self, number: HostNo) -> Result<bool, CommitError> {
        let known = self.read(|table| table.get(number).map(|row| (row.key.name.clone(), row.last_seen)));
        let Some((name, last_seen)) = known else { return Ok(false) };
        let _lane = self.lane(&name).await;
        let is_silent = self.read(|table| {
            table.get(number).is_some_and(|row| row.pool.is_some() && !row.in_use && row.last_seen == last_seen)
        });
        let Some(stored) = self.store().load(number).await?.filter(|_| is_silent) else { return Ok(false) };
        let update = HostUpdate {
            number: number.0,
            from_revision: stored.record.revision,
            deltas: deltas_of_the_gone(&stored.record, &stored.verdicts),
            forget: true,
            ..HostUpdate::default()
        };
        let gone = self.commit(update).await? != Applied::Conflict;
        if gone {
            lock(&self.0.table).remove(number, self.now());
        }
        Ok(gone)
    }

    /// Judges again whatever is due or queued, one bounded batch. How many hosts were judged.
    pub async fn judge_waiting(&self) -> usize {
        let now = self.now();
        match self.store().due(now, DUE_BATCH).await {
            Ok(due) => self.judge_later(due),
            Err(error) => warn!(error = %Chain(&error), "due hosts cannot be read; tried again later"),
        }
        let mut tasks = JoinSet::new();
        let mut judged = 0;
        let mut count = |done: Result<bool, tokio::task::JoinError>| judged += usize::from(done.unwrap_or(false));
        for number in self.take_waiting(DUE_BATCH) {
            if tasks.len() >= self.settings().bounds.background.max(1)
                && let Some(done) = tasks.join_next().await
            {
                count(done);
            }
            let core = self.clone();
            tasks.spawn(async move {
                let done = core.rejudge(number).await;
                if let Err(error) = &done {
                    // It is due, or behind the policy, still; the next round or the next start finds it.
                    warn!(host = %number, error = %Chain(error), "host not judged again");
                }
                done.is_ok()
            });
        }
        while let Some(done) = tasks.join_next().await {
            count(done);
        }
        if judged > 0 {
            self.wake_publisher();
        }
        judged
    }

    /// Judges one host again from what is stored.
    async fn rejudge(&self, number: HostNo) -> Result<(), CommitError> {
        let Some(name) = self.read(|table| table.get(number).map(|row| row.key.name.clone())) else { return Ok(()) };
        let _lane = self.lane(&name).await;
        for _ in 0..self.settings().bounds.conflict_retries.max(1) {
            let Some(stored) = self.store().load(number).await? else { return Ok(()) };
            let now = self.now();
            let policy = self.policy();
            let bodies = self.bodies(number).await?;
            let before = (&stored.record, &stored.verdicts);
            let judged = self.judge(&stored.record, Some(before), &bodies, None, &policy, now).await?;
            let Some((judging, site_revision, forest_revision)) = judged else { return Ok(()) };
            let mut record = stored.record.clone();
            record.operating_system = judging.operating_system;
            record.entra_joined = judging.entra_joined;
            record.counts_as_endpoint = judging.counts_as_endpoint;
            record.pool = judging.pool;
            record.due_ms = judging.due.map(Timestamp::unix_ms);
            record.policy_revision = policy.revision;
            if record == stored.record && judging.verdicts == stored.verdicts {
                return Ok(());
            }
            record.site_revision = site_revision;
            record.forest_revision = forest_revision;
            record.revision += 1;
            let update = HostUpdate {
                number: number.0,
                from_revision: stored.record.revision,
                record: record.clone(),
                verdicts: judging.verdicts.clone(),
                transitions: judging.transitions,
                deltas: deltas(Some(before), (&record, &judging.verdicts)),
                ..HostUpdate::default()
            };
            if let Applied::Committed { last_transition } = self.commit(update).await? {
                self.note_transition(last_transition);
                let known =
                    self.read(|table| table.get(number).map(|row| (row.last_seen, row.fingerprint, row.sequence)));
                let (last_seen, fingerprint, sequence) = known.unwrap_or((now, 0, record.sequence));
                // Memory may know of a later report than the record.
                record.sequence = record.sequence.max(sequence);
                let (verdicts, dc) = (&judging.verdicts, judging.dc);
                self.put(Resident { number, record: &record, verdicts, fingerprint, last_seen, dc }, now);
                return Ok(());
            }
        }
        self.judge_later([number]);
        Ok(())
    }

    async fn run_judging(self, stop: CancellationToken) {
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = self.judge_waiting() => done,
            };
            if done < DUE_BATCH {
                let waits = self.0.work_waits.notified();
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = timeout(TICK, waits) => {}
                }
            }
        }
    }

    async fn run_publisher(self, stop: CancellationToken) {
        let least = self.settings().bounds.snapshot_interval;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timeout(TICK, self.0.table_changed.notified()) => {}
            }
            let started = Instant::now();
            self.publish();
            if let Err(error) = self.write_rollouts().await {
                warn!(error = %Chain(&error), "rollout verdicts not written; tried again later");
            }
            // A large organisation is counted less often rather than all the time.
            sleep(least.max(started.elapsed().saturating_mul(4))).await;
        }
    }

    /// Publishes what has changed, and writes rollout verdicts that have settled.
    pub async fn publish_now(&self) -> Result<Arc<Snapshot>, crate::store::StoreError> {
        self.publish();
        self.write_rollouts().await?;
        Ok(self.snapshot())
    }

    /// Appends a transition for every site whose rollout verdict has changed and stood for a moment.
    async fn write_rollouts(&self) -> Result<(), crate::store::StoreError> {
        let now = self.now();
        let snapshot = self.snapshot();
        let (transitions, settled) = self.settled(&snapshot, now);
        if transitions.is_empty() {
            return Ok(());
        }
        let count = transitions.len();
        let last = self.store().append_transitions(transitions).await?;
        self.note_transition(last);
        let mut rollouts = self.rollouts();
        for (key, record) in settled {
            rollouts.settling.remove(&key);
            rollouts.written.insert(key, record);
        }
        drop(rollouts);
        info!(sites = count, "rollout verdicts changed");
        self.wake_publisher();
        Ok(())
    }

    fn settled(&self, snapshot: &Snapshot, now: Timestamp) -> (Vec<v1::Transition>, BTreeMap<SiteKey, RolloutRecord>) {
        let mut rollouts = self.rollouts();
        let mut transitions = Vec::new();
        let mut settled = BTreeMap::new();
        for site in &snapshot.sites {
            let (Some(key), Some(place)) = (site.key(), site.site.as_ref()) else { continue };
            let rollout = site.readiness.rollout;
            let written = rollouts.written.get(&key).copied();
            if written.is_some_and(|written| written.rollout == rollout) {
                rollouts.settling.remove(&key);
                continue;
            }
            let since = match rollouts.settling.get(&key) {
                Some(settling) if settling.rollout == rollout => settling.since,
                _ => {
                    rollouts.settling.insert(key.clone(), RolloutRecord { rollout, since: now });
                    now
                }
            };
            if now.ms_since(since) < SETTLES_MS {
                continue;
            }
            let reason = site.reasons.first().filter(|_| rollout != Rollout::Go);
            transitions.push(v1::Transition {
                number: 0, // the store numbers them
                at_ms: since.unix_ms(),
                host: String::new(),
                site: Some(site_to_wire(place)),
                subject: "site".to_owned(),
                check: String::new(),
                from: written.map(|written| written.rollout.name().to_owned()).unwrap_or_default(),
                to: rollout.name().to_owned(),
                reason: reason.map(|own| own.reason.text.clone()).unwrap_or_default(),
                policy_revision: snapshot.policy_revision,
                host_number: 0,
            });
            settled.insert(key, RolloutRecord { rollout, since });
        }
        (transitions, settled)
    }
}

fn ms_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
