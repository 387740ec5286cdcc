//! Starting: every host from the store into the resident table, and the sites' rollout verdicts from the transitions.
//!
//! No body of an endpoint is read: what a start needs of the evidence stands in the records. Domain controllers are few,
//! and theirs are.

use std::collections::HashMap;
use std::sync::Arc;

use muster_evidence::{HostNo, Role, Timestamp};
use muster_proto::convert::role_from_wire;
use muster_proto::link::Chain;
use muster_proto::v1;
use muster_readiness::{Facts, ForestFacts, Rollout, SiteFacts};
use tracing::{info, warn};

use super::{Core, lock};
use crate::judge::{dc_facts, host_facts};
use crate::policy_state::PolicyInForce;
use crate::publish::RolloutRecord;
use crate::store::{StoreError, StoredHost};
use crate::table::{DcRow, Frame, Resident, site_from_wire};
use crate::verdict::judgement_from_stored;

/// Hosts read at once while loading.
const LOAD_PAGE: usize = 2_000;

/// Transitions read at once while looking for the sites' rollout verdicts.
const TRANSITION_PAGE: usize = 5_000;

impl Core {
    /// Puts every host into the table. `progress` is told how many have been loaded.
    pub(super) async fn load(&self, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<(), StoreError> {
        let now = self.now();
        let seen: HashMap<HostNo, i64> = self.store().seen().await?.into_iter().collect();
        let policy = self.policy();
        let (mut after, mut loaded, mut listened_until) = (0, 0_u64, Timestamp::MIN);
        let mut to_judge = Vec::new();
        loop {
            let page = self.store().page(after, LOAD_PAGE).await?;
            for stored in &page.items {
                let StoredHost { number, record, verdicts } = stored;
                let last_ms = record.last_seen_ms.max(seen.get(number).copied().unwrap_or(i64::MIN));
                let last_seen = Timestamp::from_unix_ms(last_ms).unwrap_or(Timestamp::MIN);
                listened_until = listened_until.max(last_seen);
                let is_dc = is_domain_controller(record);
                let dc = if is_dc { self.load_dc(stored, &policy, now).await? } else { None };
                // What a domain controller is judged from may have changed with the crash that ended the last run.
                if is_dc || record.policy_revision != policy.revision {
                    to_judge.push(*number);
                }
                let resident = Resident { number: *number, record, verdicts, fingerprint: 0, last_seen, dc };
                if let Err(error) = lock(&self.0.table).put(resident, now) {
                    warn!(error = %Chain(&error), "record cannot be counted");
                }
                loaded += 1;
            }
            progress(loaded);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        let mut table = lock(&self.0.table);
        let frame =
            Frame::new(Arc::clone(&policy.policy), policy.revision, self.0.settings.cadences, now, listened_until);
        table.reframe(frame, now);
        self.settle_populations(&mut table);
        drop(table);
        self.judge_later(to_judge);
        info!(hosts = loaded, "hosts loaded");
        Ok(())
    }

    /// Puts a host into the table as another collector has left it in the store.
    pub(crate) async fn put_stored(&self, stored: &StoredHost) -> Result<(), StoreError> {
        let now = self.now();
        let StoredHost { number, record, verdicts } = stored;
        let dc = if is_domain_controller(record) { self.load_dc(stored, &self.policy(), now).await? } else { None };
        let known = self.read(|table| table.get(*number).map(|row| row.last_seen));
        let last_seen = Timestamp::from_unix_ms(record.last_seen_ms).unwrap_or(Timestamp::MIN);
        let last_seen = known.map_or(last_seen, |known| known.max(last_seen));
        // No fingerprint: what the host said here before is not what it said last.
        self.put(Resident { number: *number, record, verdicts, fingerprint: 0, last_seen, dc }, now);
        Ok(())
    }

    /// What a site keeps of a domain controller, from its bodies.
    async fn load_dc(
        &self,
        stored: &StoredHost,
        policy: &PolicyInForce,
        now: Timestamp,
    ) -> Result<Option<DcRow>, StoreError> {
        let Some(name) = stored.record.identity.as_ref().and_then(|identity| identity.name.parse().ok()) else {
            return Ok(None);
        };
        let bodies = self.bodies(stored.number).await?;
        let host = host_facts(name, &stored.record, &bodies);
        let site = SiteFacts::unknown(stored.record.site.as_ref().and_then(site_from_wire));
        let facts = Facts { host: &host, site: &site, forest: &ForestFacts::default() };
        let (judgements, since) = stored.verdicts.verdicts.iter().filter_map(judgement_from_stored).unzip();
        Ok(Some(DcRow { judgements, since, ..dc_facts(&facts, policy, now) }))
    }

    /// Reads the sites' rollout verdicts from the transitions, so that a restart knows since when they stand.
    pub(super) async fn load_rollouts(&self) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let page = self.store().transitions(after, TRANSITION_PAGE).await?;
            let mut rollouts = self.rollouts();
            for transition in &page.items {
                self.note_transition(transition.number);
                if transition.subject != "site" || !transition.check.is_empty() {
                    continue;
                }
                let site = transition.site.as_ref().and_then(site_from_wire);
                let rollout = [Rollout::Go, Rollout::Partly, Rollout::Hold, Rollout::Unknown]
                    .into_iter()
                    .find(|rollout| rollout.name() == transition.to);
                let since = Timestamp::from_unix_ms(transition.at_ms).ok();
                if let (Some(site), Some(rollout), Some(since)) = (site, rollout, since) {
                    rollouts.written.insert((site.forest, site.name), RolloutRecord { rollout, since });
                }
            }
            drop(rollouts);
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

fn is_domain_controller(record: &v1::HostRecord) -> bool {
    record.roles.iter().any(|role| role_from_wire(*role).is_ok_and(|role| role == Role::DomainController))
}
