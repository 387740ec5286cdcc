//! Judging: every check that the policy does not disable, in the order of [`CHECKS`].

use muster_evidence::Timestamp;

use crate::{CHECKS, Facts, Judgement, Policy, SiteFacts};

/// The verdicts about a host and its users, in the order of [`CHECKS`] and then of the users' SIDs.
pub fn judge(facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
    let mut judgements = Vec::with_capacity(CHECKS.len() + 8);
    for check in CHECKS.iter().filter(|check| policy.judges(check.id())) {
        judgements.extend(check.judge(facts, policy, now));
    }
    judgements
}

/// The verdicts about a site.
pub fn judge_site(site: &SiteFacts, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
    CHECKS
        .iter()
        .filter(|check| policy.judges(check.id()))
        .filter_map(|check| check.judge_site(site, policy, now))
        .collect()
}
