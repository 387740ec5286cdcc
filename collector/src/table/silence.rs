//! What silence leaves of a row: who is quiet, whose evidence is still fresh, and how each check stands now.
//!
//! Staleness follows from when a machine was last heard of and is stored nowhere. Silence while no collector was
//! listening is nobody's fault: after a start, time stands still for a host until one of its cadences has passed. How
//! long a verdict holds is asked of `muster-readiness`; who looks again and when is the table's to remember.

use std::sync::Arc;

use muster_evidence::Timestamp;
use muster_readiness::{CHECKS, Check, Freshness, POOL_SEEN_HOURS, Policy, Pools, Severity, Standing};

use super::{Cell, Roles, Row};
use crate::settings::Cadences;

/// Cadences of silence after which a host is quiet.
const QUIET_CADENCES: i64 = 3;

/// What silence is measured by.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// Its revision.
    pub policy_revision: u64,
    /// How often each role reports.
    pub cadences: Cadences,
    /// When this process started.
    pub started_at: Timestamp,
    /// Until when an earlier process was listening: silence after it was the collector's own, until a cadence has
    /// passed.
    pub listened_until: Timestamp,
    /// The pools of the policy.
    pub pools: Arc<Pools>,
    /// Which checks count towards readiness, in the order of `CHECKS`.
    counted: Vec<bool>,
}

impl Frame {
    /// What silence is measured by, from `started_at` on.
    pub fn new(
        policy: Arc<Policy>,
        policy_revision: u64,
        cadences: Cadences,
        started_at: Timestamp,
        listened_until: Timestamp,
    ) -> Self {
        let counted = |check: &&dyn Check| check.severity() != Severity::Informative && policy.requires(check.id());
        let counted = CHECKS.iter().map(counted).collect();
        let pools = Arc::new(Pools::of(&policy));
        Self { policy, policy_revision, cadences, started_at, listened_until, pools, counted }
    }

    /// The frame under another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Arc<Policy>, policy_revision: u64) -> Self {
        Self::new(policy, policy_revision, self.cadences, self.started_at, self.listened_until)
    }

    /// Whether a cell's check counts towards what its subject stands at.
    pub(super) fn counts(&self, cell: &Cell) -> bool {
        self.counted[cell.check_index()]
    }

    /// Whether it counts towards what the users of an endpoint stand at.
    pub(super) fn counts_for_users(&self, cell: &Cell) -> bool {
        self.counts(cell) && CHECKS[cell.check_index()].scope().is_of_population()
    }

    /// When a host was last heard of, less the silence that was the collector's own: what silence is measured from
    /// `now` against.
    pub fn heard_of(&self, row: &Row, now: Timestamp) -> Timestamp {
        let (horizon, _) = self.horizon(row, now);
        row.last_seen.plus_ms(now.ms_since(horizon))
    }

    fn cadence_ms(&self, roles: Roles) -> i64 {
        i64::try_from(self.cadences.of(roles.iter()).as_millis()).unwrap_or(i64::MAX)
    }

    /// The time up to which a host's silence counts.
    fn horizon(&self, row: &Row, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
        let grace_ends = self.started_at.plus_ms(self.cadence_ms(row.roles));
        if now < grace_ends { (now.min(self.listened_until.max(row.last_seen)), Some(grace_ends)) } else { (now, None) }
    }
}

/// Works out what silence leaves of a row. When to look again.
pub(super) fn hold(row: &mut Row, frame: &Frame, directory_as_of: Option<Timestamp>, now: Timestamp) -> i64 {
    let policy = &frame.policy;
    let (horizon, grace_ends) = frame.horizon(row, now);
    let mut next = i64::MAX;
    let mut ends = |at: Timestamp| {
        let over = horizon >= at;
        if !over {
            next = next.min(at.unix_ms());
        }
        over
    };

    let quiet_at = row.last_seen.plus_ms(frame.cadence_ms(row.roles).saturating_mul(QUIET_CADENCES) + 1);
    let is_pooled = row.pool.is_some();
    row.quiet = !is_pooled && ends(quiet_at);
    row.in_use = is_pooled && !ends(row.last_seen.plus_ms(POOL_SEEN_HOURS * 3_600_000 + 1));
    let own = if row.roles.is_domain_controller() { Freshness::DomainController } else { Freshness::Endpoint };
    row.fresh = !ends(row.last_seen.plus_ms(own.limit_ms(policy) + 1));

    let (last_seen, is_dc) = (row.last_seen, row.roles.is_domain_controller());
    let near_end =
        row.certificate_validity().map(|(from, until)| until.plus_ms(-policy.certificate_warning_ms(from, until)));
    // A certificate ends whether anybody listens or not.
    row.certificate_near_end = near_end.is_some_and(|at| now >= at);
    let near_end = near_end.filter(|at| now < *at).map_or(i64::MAX, Timestamp::unix_ms);
    let mut held = |cell: &mut Cell, user_seen: Option<Timestamp>| {
        let check = CHECKS[cell.check_index()];
        let freshness = if is_dc { check.freshness_on_dc() } else { check.freshness() };
        let seen = match freshness {
            Freshness::User => user_seen.unwrap_or(last_seen),
            Freshness::Directory => directory_as_of.unwrap_or(last_seen),
            Freshness::Endpoint | Freshness::DomainController | Freshness::DomainControllerSlow | Freshness::Site => {
                last_seen
            }
        };
        let stale = ends(seen.plus_ms(freshness.limit_ms(policy) + 1));
        cell.held = match cell.stored {
            Standing::Ready | Standing::Advisory | Standing::Blocked if stale => Standing::Unknown,
            stored => stored,
        };
        check.severity().weighs(cell.held)
    };

    let mut worst: Option<(Standing, u8)> = None;
    let mut note = |standing: Standing, check: u8| {
        if standing > Standing::Ready && worst.is_none_or(|(worst, _)| standing > worst) {
            worst = Some((standing, check));
        }
    };
    row.standing = Standing::NotApplicable;
    let mut for_users = Standing::NotApplicable;
    for cell in &mut row.cells {
        let standing = held(cell, None);
        if frame.counts(cell) {
            row.standing = row.standing.max(standing);
            note(standing, cell.check);
        }
        if frame.counts_for_users(cell) {
            for_users = for_users.max(standing);
        }
    }
    row.overall = row.standing;
    for user in &mut row.users {
        user.standing = for_users;
        for cell in &mut user.cells {
            let standing = held(cell, Some(user.seen));
            if frame.counts(cell) {
                row.overall = row.overall.max(standing);
                note(standing, cell.check);
            }
            if frame.counts_for_users(cell) {
                user.standing = user.standing.max(standing);
            }
        }
    }
    row.worst = worst.map(|(_, check)| check);
    for user in &row.users {
        ends(user.seen.plus_days(policy.user_seen_days.into()).plus_ms(1));
    }
    let leaves = |seen: Timestamp| seen.plus_days(policy.shared_seen_days.into()).plus_ms(1);
    let people = row.people_seen().filter(|seen| horizon < leaves(*seen)).count();
    row.people = u8::try_from(people).unwrap_or(u8::MAX);
    // Only fewer people follow from silence, so whoever is not among many need not be looked at again for it.
    row.shared = !is_pooled && !row.roles.is_domain_controller() && people > policy.shared_users_above as usize;
    if row.shared {
        for seen in row.people_seen() {
            ends(leaves(seen));
        }
    }
    // While silence is the collector's own, time stands still for the host; then all of it counts at once.
    grace_ends.map_or(next, Timestamp::unix_ms).min(near_end)
}
