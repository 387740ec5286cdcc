//! What evidence means: the rules of Windows Hello for Business hybrid key trust.
//!
//! [`judge`] turns the facts of a host into verdicts, [`judge_site`] those of a site, and [`rollup`] counts hosts and
//! users up to the readiness of a site. There is no I/O here and no clock: facts, policy and time are arguments, and
//! the crate depends on the vocabulary alone, so every rule can be read and tested by itself.
//!
//! Two sentences hold everywhere: a gap never counts as ready, and silence never looks like health.

mod cause;
pub mod check;
pub mod derive;
mod facts;
mod freshness;
mod judge;
#[cfg(test)]
mod pains;
mod policy;
#[cfg(test)]
mod properties;
pub mod reference;
mod rollup;
mod verdict;
mod waiver;

pub use crate::cause::{Stand, caused_by, root_causes};
pub use crate::check::{
    CHECKS, Check, Page, REMOTE_SESSION, Scope, Severity, check_by_id, index_markdown, keeps_last_verdict,
    nearest_check, page_markdown,
};
pub use crate::facts::{DcState, Facts, ForestFacts, HostFacts, KdcIssuers, KeyInventory, SiteFacts};
pub use crate::freshness::{Freshness, held, is_stale, stale_at};
pub use crate::judge::{judge, judge_site};
pub use crate::policy::{
    InvalidPolicy, LONGEST_SHARED_DAYS, POLICY_BYTES, POOL_SEEN_HOURS, Policy, Pool, PoolPolicy, Pools, SiteOverride,
    SitePolicy, TrustType,
};
pub use crate::rollup::{
    CheckCounts, CheckSet, Coverage, Gate, HostStanding, Population, Reason, Rollout, SilentDc, SiteReadiness,
    StandingCounts, Tally, TallyCounts, UserOnHost, UserStanding, counts, rollup,
};
pub use crate::verdict::{Finding, Gap, Judged, Judgement, NotApplicable, Standing, Verdict};
pub use crate::waiver::{Waiver, apply_waivers};
