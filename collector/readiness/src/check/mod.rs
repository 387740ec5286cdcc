//! The checks: one file each, and the list of them in the order people will see.
//!
//! A check reads facts and answers for every subject it speaks of. It reads no other check's verdict; what several
//! checks need is derived once in `crate::derive`.

use muster_evidence::{Kind, Timestamp};

use crate::{Facts, Freshness, Judgement, Policy, SiteFacts};

/// A rule.
pub trait Check: Sync {
    /// Id of the form `group.kebab-name`, as in the catalogue.
    fn id(&self) -> &'static str;

    /// One line that says what it asks.
    fn title(&self) -> &'static str;

    /// What it speaks of.
    fn scope(&self) -> Scope;

    /// How grave a failure is.
    fn severity(&self) -> Severity;

    /// How long its evidence holds while the machine is silent.
    fn freshness(&self) -> Freshness;

    /// The kinds of evidence it reads.
    fn reads(&self) -> &'static [Kind];

    /// What it means, why the threshold is what it is, and how to fix it: the text of its page.
    fn page(&self) -> Page;

    /// Judges the host's facts. Empty where the check does not speak of hosts of this kind at all.
    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement>;

    /// Judges a site's facts; only checks of scope `Site` answer.
    fn judge_site(&self, _site: &SiteFacts, _policy: &Policy, _now: Timestamp) -> Option<Judgement> {
        None
    }
}
