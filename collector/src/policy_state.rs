//! The policy in force: its text, its numbered revisions, and the waivers beside it.
//!
//! The store keeps the text of every revision; here it is read into types, once, and everything that is wrong with a
//! text is told at once. What a policy means is `muster-readiness`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_evidence::Timestamp;
use muster_proto::link::{Chain, document};
use muster_proto::v1;
use muster_readiness::{CHECKS, POLICY_BYTES, Policy, Pools, Rollout, Waiver, nearest_check};

use crate::core::{Core, lock};
use crate::sites::SiteKey;
use crate::store::{Store, StoreError};
use crate::table::{Resident, Table, site_from_wire, site_to_wire};

/// Longest a waiver may last, in milliseconds: what is accepted for longer than a year is a policy.
const LONGEST_WAIVER_MS: i64 = 366 * 86_400_000;

/// Most waivers that have not ended.
pub(crate) const MOST_WAIVERS: usize = 1_000;

/// Hosts read from the store at once while planning.
const PLAN_PAGE: usize = 256;

/// The policy in force, with its waivers.
#[derive(Clone, Debug)]
pub struct PolicyInForce {
    /// What judging reads.
    pub policy: Arc<Policy>,
    /// Its pools, ready to match against.
    pub pools: Arc<Pools>,
    /// Number of the revision.
    pub revision: u64,
    /// Its record.
    pub record: v1::PolicyRecord,
    /// Waivers that have not been removed, expired ones included.
    pub waivers: Arc<Vec<Waiver>>,
    /// Every waiver ever made.
    pub waiver_records: Arc<Vec<v1::Waiver>>,
}

impl PolicyInForce {
    /// Every setting in force, defaults included, as TOML.
    pub fn effective(&self) -> String {
        toml::to_string(self.policy.as_ref()).unwrap_or_default()
    }
}

/// Says why a policy or waiver was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The text is no policy.
    #[error("invalid policy: {}", problems.join("; "))]
    Invalid {
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
    /// Another revision is in force than the one the text was made from.
    #[error("policy revision {in_force} is in force (the text was made from {base})")]
    Outdated {
        /// The revision the text was made from.
        base: u64,
        /// The revision in force.
        in_force: u64,
    },
    /// The waiver cannot be made.
    #[error("invalid waiver: {problem}")]
    InvalidWaiver {
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such waiver.
    #[error("no waiver {number}")]
    NoWaiver {
        /// The number.
        number: u64,
    },
    /// The store could not do it.
    #[error("failed to keep the policy")]
    Store(#[from] StoreError),
}

/// What a policy would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Verdicts that would stand differently, come or go.
    pub verdicts_changed: u64,
    /// Sites whose rollout verdict would change.
    pub sites_changed: Vec<(SiteKey, Rollout, Rollout)>,
    /// Hosts that would come into a pool, leave theirs, or change to another one.
    pub hosts_pooled_otherwise: u64,
    /// The revision it was compared with.
    pub base_revision: u64,
}

/// Reads a policy, and tells everything that is wrong with it.
pub fn parse_policy(text: &str) -> Result<Policy, Vec<String>> {
    if text.len() > POLICY_BYTES {
        return Err(vec![format!("policy has {} bytes (at most {POLICY_BYTES} are allowed)", text.len())]);
    }
    let (policy, mut problems) =
        document::read::<Policy>(text, Policy::WITHOUT_DEFAULT).map_err(|problem| vec![problem])?;
    problems.extend(policy.validate().iter().map(|problem| Chain(problem).to_string()));
    if problems.is_empty() { Ok(policy) } else { Err(problems) }
}

/// Reads the policy in force; where the store has none, `seed` becomes revision 1.
pub(crate) async fn load(store: &dyn Store, seed: Option<&str>, now: Timestamp) -> Result<PolicyInForce, PolicyError> {
    if store.policy(None).await?.is_none() {
        let text = seed.unwrap_or_default();
        parse_policy(text).map_err(|problems| PolicyError::Invalid { problems })?;
        // Another collector may have been faster; then its text is in force.
        store.put_policy(0, text.to_owned(), "collector start".to_owned(), now).await?;
    }
    let record = store.policy(None).await?.unwrap_or_default();
    let policy = parse_policy(&record.text).map_err(|problems| PolicyError::Invalid { problems })?;
    let waivers = store.waivers().await?;
    Ok(in_force(Arc::new(policy), record, waivers))
}

fn in_force(policy: Arc<Policy>, record: v1::PolicyRecord, records: Vec<v1::Waiver>) -> PolicyInForce {
    let waivers = records.iter().filter(|waiver| !waiver.removed).filter_map(waiver_from_wire).collect();
    PolicyInForce {
        pools: Arc::new(Pools::of(&policy)),
        policy,
        revision: record.revision,
        record,
        waivers: Arc::new(waivers),
        waiver_records: Arc::new(records),
    }
}

fn waiver_from_wire(waiver: &v1::Waiver) -> Option<Waiver> {
    let v1::Waiver { number, check, host, site, who, reason, created_at_ms, expires_at_ms, removed: _ } = waiver;
    Some(Waiver {
        number: *number,
        check: check.clone(),
        host: if host.is_empty() { None } else { Some(host.parse().ok()?) },
        site: site.as_ref().map(site_from_wire).map_or(Some(None), |site| site.map(Some))?,
        who: who.clone(),
        reason: reason.clone(),
        created_at: Timestamp::from_unix_ms(*created_at_ms).ok()?,
        expires_at: Timestamp::from_unix_ms(*expires_at_ms).ok()?,
    })
}

impl Core {
    /// Makes a text the next revision of the policy. `base` is the revision it was made from; 0 is whichever is in
    /// force. Every host is judged again in the background.
    pub async fn apply_policy(&self, text: &str, base: u64, by: &str) -> Result<u64, PolicyError> {
        let policy = parse_policy(text).map_err(|problems| PolicyError::Invalid { problems })?;
        let _changing = self.0.policy_lane.lock().await;
        let known = self.policy();
        if base != 0 && base != known.revision {
            return Err(PolicyError::Outdated { base, in_force: known.revision });
        }
        let now = self.now();
        let put = self.store().put_policy(known.revision, text.to_owned(), by.to_owned(), now).await?;
        let Some(revision) = put else {
            let in_force = self.store().policy(None).await?.map_or(0, |record| record.revision);
            return Err(PolicyError::Outdated { base: known.revision, in_force });
        };
        let record = v1::PolicyRecord {
            revision,
            text: text.to_owned(),
            applied_at_ms: now.unix_ms(),
            applied_by: by.to_owned(),
        };
        let waivers = known.waiver_records.as_ref().clone();
        self.put_in_force(in_force(Arc::new(policy), record, waivers), now);
        tracing::info!(revision, by, "policy applied");
        Ok(revision)
    }

    /// Takes over the policy and the waivers that another collector put in force, if it did. Hosts are judged again in the
    /// background; where the other one is faster, its verdicts are taken over.
    pub(crate) async fn reload_policy(&self) -> Result<(), PolicyError> {
        let _changing = self.0.policy_lane.lock().await;
        let known = self.policy();
        let record = self.store().policy(None).await?.unwrap_or_default();
        let waivers = self.store().waivers().await?;
        if record.revision > known.revision {
            let policy = parse_policy(&record.text).map_err(|problems| PolicyError::Invalid { problems })?;
            tracing::info!(
                revision = record.revision,
                by = record.applied_by,
                "policy of another collector taken over"
            );
            self.put_in_force(in_force(Arc::new(policy), record, waivers), self.now());
        } else if waivers != *known.waiver_records {
            self.set_policy(in_force(Arc::clone(&known.policy), known.record.clone(), waivers));
        }
        Ok(())
    }

    /// What a policy would change, without changing anything. Progress in hosts, of how many.
    pub async fn plan_policy(
        &self,
        text: &str,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Plan, PolicyError> {
        let policy = Arc::new(parse_policy(text).map_err(|problems| PolicyError::Invalid { problems })?);
        let known = self.policy();
        let now = self.now();
        let pools = Arc::new(Pools::of(&policy));
        let planned = PolicyInForce { policy: Arc::clone(&policy), pools, ..known.as_ref().clone() };
        let (frame, total) = self.read(|table| (table.frame().clone(), table.len() as u64));
        let mut shadow = Table::new(frame.with_policy(policy, known.revision));
        for (site, _) in self.settings().sites.listed() {
            shadow.intern_site(&muster_evidence::SiteRef {
                forest: site.0.clone(),
                name: site.1.clone(),
                object_guid: None,
            });
        }
        let mut plan = Plan { base_revision: known.revision, ..Plan::default() };
        let (mut after, mut done) = (0, 0);
        loop {
            let page = self.store().page(after, PLAN_PAGE).await?;
            for stored in &page.items {
                let judging = self.judge_again(stored, &planned, now).await?;
                plan.verdicts_changed += changed(&stored.verdicts, &judging.verdicts);
                let seen = self.read(|table| table.get(stored.number).map(|row| row.last_seen)).unwrap_or(now);
                let resident = Resident {
                    number: stored.number,
                    record: &stored.record,
                    verdicts: &judging.verdicts,
                    fingerprint: 0,
                    last_seen: seen,
                    dc: judging.dc,
                };
                if let Err(error) = shadow.put(resident, now) {
                    tracing::warn!(error = %Chain(&error), "host left out of the plan");
                }
                let planned_pool = shadow.get(stored.number).and_then(|row| shadow.pool_name(row));
                let moves = self.read(|table| {
                    let pool = table.get(stored.number).and_then(|row| table.pool_name(row));
                    pool != planned_pool
                });
                plan.hosts_pooled_otherwise += u64::from(moves);
                done += 1;
            }
            progress(done, total);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        let today: BTreeMap<SiteKey, Rollout> =
            self.snapshot().sites.iter().filter_map(|site| Some((site.key()?, site.readiness.rollout))).collect();
        for (key, number) in shadow.site_keys() {
            let to = self.readiness_to_tell(&shadow, number, now).rollout;
            let from = today.get(key).copied().unwrap_or(Rollout::Unknown);
            if from != to {
                plan.sites_changed.push((key.clone(), from, to));
            }
        }
        Ok(plan)
    }

    /// Makes a waiver. Number, author's time and state are set here; the hosts it concerns are judged again.
    pub async fn add_waiver(&self, waiver: v1::Waiver) -> Result<v1::Waiver, PolicyError> {
        let _changing = self.0.policy_lane.lock().await;
        let now = self.now();
        let mut waiver = v1::Waiver { number: 0, created_at_ms: now.unix_ms(), removed: false, ..waiver };
        let invalid = |problem: String| Err(PolicyError::InvalidWaiver { problem });
        if !CHECKS.iter().any(|check| check.id() == waiver.check) {
            let hint = nearest_check(&waiver.check).map(|id| format!(" (did you mean `{id}`?)")).unwrap_or_default();
            return invalid(format!("unknown check `{}`{hint}", waiver.check));
        }
        if !waiver.host.is_empty() && waiver.site.is_some() {
            return invalid("it names a host and a site (expected one of them, or neither for everywhere)".to_owned());
        }
        if waiver.reason.trim().is_empty() || waiver.reason.len() > 256 {
            return invalid(format!("its reason has {} bytes (expected 1 to 256)", waiver.reason.trim().len()));
        }
        let lasts = waiver.expires_at_ms.saturating_sub(now.unix_ms());
        if lasts <= 0 || lasts > LONGEST_WAIVER_MS {
            return invalid("it must end in the future, at most a year ahead".to_owned());
        }
        if let Some(site) = &waiver.site {
            match site_from_wire(site) {
                Some(site) => waiver.site = Some(site_to_wire(&site)),
                None => return invalid(format!("`{}/{}` is no site", site.forest, site.name)),
            }
        }
        if !waiver.host.is_empty() {
            match waiver.host.parse::<muster_evidence::HostName>() {
                Ok(host) => waiver.host = host.to_string(),
                Err(error) => return invalid(error.to_string()),
            }
        }
        let known = self.policy();
        let in_force = known.waivers.iter().filter(|waiver| waiver.expires_at > now).count();
        if in_force >= MOST_WAIVERS {
            return invalid(format!("{in_force} waivers are in force (at most {MOST_WAIVERS} are allowed)"));
        }
        waiver.number = self.store().put_waiver(waiver.clone()).await?;
        tracing::info!(number = waiver.number, check = waiver.check, who = waiver.who, "waiver added");
        self.reload_waivers(&waiver, now).await?;
        Ok(waiver)
    }

    /// Ends a waiver.
    pub async fn remove_waiver(&self, number: u64, by: &str) -> Result<v1::Waiver, PolicyError> {
        let _changing = self.0.policy_lane.lock().await;
        let known = self.policy();
        let found = known.waiver_records.iter().find(|waiver| waiver.number == number && !waiver.removed);
        let waiver = found.cloned().map(|waiver| v1::Waiver { removed: true, ..waiver });
        let waiver = waiver.ok_or(PolicyError::NoWaiver { number })?;
        self.store().put_waiver(waiver.clone()).await?;
        tracing::info!(number, by, "waiver removed");
        self.reload_waivers(&waiver, self.now()).await?;
        Ok(waiver)
    }

    /// Every waiver ever made.
    pub fn waivers(&self) -> Arc<Vec<v1::Waiver>> {
        Arc::clone(&self.policy().waiver_records)
    }

    async fn reload_waivers(&self, changed: &v1::Waiver, now: Timestamp) -> Result<(), StoreError> {
        let records = self.store().waivers().await?;
        let known = self.policy();
        self.set_policy(in_force(Arc::clone(&known.policy), known.record.clone(), records));
        let Some(waiver) = waiver_from_wire(changed) else { return Ok(()) };
        // Only hosts on which the check does not stand well can be concerned.
        let concerned: Vec<_> = self.read(|table| {
            let index = CHECKS.iter().position(|check| check.id() == waiver.check);
            let rows = table.rows_after(muster_evidence::HostNo(0)).filter(|row| {
                // One may have been made for a host under a name that it has left since.
                let in_place = (waiver.host.as_ref())
                    .is_none_or(|host| *host == row.key.name || row.former_names.contains(host))
                    && waiver.site.as_ref().is_none_or(|site| {
                        table.site(row.site).is_some_and(|own| own.forest == site.forest && own.name == site.name)
                    });
                in_place && row.all_cells().any(|cell| Some(cell.check_index()) == index)
            });
            rows.map(|row| row.number).collect()
        });
        self.judge_later(concerned);
        self.wake_publisher();
        let _ = now;
        Ok(())
    }

    fn put_in_force(&self, policy: PolicyInForce, now: Timestamp) {
        let (rules, revision) = (Arc::clone(&policy.policy), policy.revision);
        self.set_policy(policy);
        let mut table = lock(&self.0.table);
        let frame = table.frame().with_policy(rules, revision);
        table.reframe(frame, now);
        self.settle_populations(&mut table);
        drop(table);
        self.judge_all_later();
        self.wake_publisher();
    }
}

/// How many verdicts come, go or stand differently.
fn changed(before: &v1::VerdictRecord, after: &v1::VerdictRecord) -> u64 {
    let standings = |record: &v1::VerdictRecord| -> BTreeMap<(String, String), i32> {
        let verdicts = record.verdicts.iter();
        let key = |stored: &v1::StoredVerdict| {
            let verdict = stored.verdict.as_ref()?;
            Some(((stored.user_sid.clone(), verdict.check.clone()), verdict.standing))
        };
        verdicts.filter_map(key).collect()
    };
    let (before, mut after) = (standings(before), standings(after));
    let mut changed = 0;
    for (key, standing) in before {
        changed += u64::from(after.remove(&key) != Some(standing));
    }
    changed + after.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_policy_is_told() {
        assert_eq!(parse_policy("").unwrap(), Policy::default());
        assert_eq!(parse_policy("dc_fresh_seconds = 30").unwrap().dc_fresh_seconds, 30);
        let problems = parse_policy("dc_fresh_seconds = \"x\"\nready_share = 1\n").unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].contains("ready_share"), "{problems:?}");
        let problems = parse_policy("ready_share_percent = 0\nrequired_checks = [\"tpm.vesion\"]").unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(parse_policy("a = [").is_err());
        assert!(parse_policy(&" ".repeat(POLICY_BYTES + 1)).is_err());
    }

    #[test]
    fn changed_verdicts_are_counted_once_each() {
        let record = |standings: &[(&str, &str, v1::Standing)]| v1::VerdictRecord {
            verdicts: standings
                .iter()
                .map(|(sid, check, standing)| v1::StoredVerdict {
                    user_sid: (*sid).into(),
                    verdict: Some(v1::Verdict {
                        check: (*check).into(),
                        standing: (*standing).into(),
                        ..v1::Verdict::default()
                    }),
                })
                .collect(),
        };
        let before = record(&[
            ("", "a", v1::Standing::Ready),
            ("", "b", v1::Standing::Ready),
            ("s", "c", v1::Standing::Blocked),
        ]);
        let after = record(&[
            ("", "a", v1::Standing::Ready),
            ("", "b", v1::Standing::Blocked),
            ("s", "d", v1::Standing::Ready),
        ]);
        assert_eq!(changed(&before, &after), 3);
        assert_eq!(changed(&before, &before), 0);
    }
}
