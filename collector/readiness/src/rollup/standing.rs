//! What a host and a user stand at: the worst of the checks that count.

use muster_evidence::{HostName, HostNo, Sid, Timestamp};

use crate::check::{OTHER_TRUST, TRUST_TYPE, check_index};
use crate::{CHECKS, Check, Judged, Judgement, Policy, Severity, Standing, Verdict};

/// A set of checks, by their place in [`CHECKS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CheckSet(u128);

impl CheckSet {
    /// Adds the check at a place in [`CHECKS`].
    pub const fn insert(&mut self, index: usize) {
        // A place beyond the set would silently be another check's; the catalogue has fewer than 128.
        if index < 128 {
            self.0 |= 1 << index;
        }
    }

    /// The places in it, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..CHECKS.len()).filter(move |index| self.0 & (1 << index) != 0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Whether a check counts towards what a subject stands at: an informative one never does, and of the others those
/// that the policy requires.
pub fn counts(check: &dyn Check, policy: &Policy) -> bool {
    check.severity() != Severity::Informative && policy.requires(check.id())
}

/// Whether a judgement says that its subject signs in by another trust model: it then leaves the population, whatever else
/// is judged of it.
fn leaves_population(judgement: &Judgement) -> bool {
    judgement.check == TRUST_TYPE
        && matches!(&judgement.verdict, Verdict::NotApplicable(own) if own.reason.starts_with(OTHER_TRUST))
}

/// What one host adds to its site's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStanding {
    /// The host.
    pub host: HostName,
    /// Whether it is a domain controller, and not an endpoint.
    pub is_domain_controller: bool,
    /// Whether it has fallen silent.
    pub quiet: bool,
    /// The worst of its own checks that count, its users' not among them.
    pub standing: Standing,
    /// The check that makes it so; `None` where nothing speaks of the host.
    pub worst: Option<&'static str>,
    /// Every judgement about it and its users: the check's place in [`CHECKS`] and the standing.
    pub verdicts: Vec<(usize, Standing)>,
}

impl HostStanding {
    /// Works it out from the judgements as they stand: with staleness and waivers applied.
    pub fn new(
        host: HostName,
        judgements: &[Judgement],
        is_domain_controller: bool,
        quiet: bool,
        policy: &Policy,
    ) -> Self {
        let mut worst = None;
        let mut standing = Standing::NotApplicable;
        let mut verdicts = Vec::with_capacity(judgements.len());
        for judgement in judgements {
            // A judgement of a check that this build does not have is not counted.
            let Some(index) = check_index(&judgement.check) else { continue };
            let found = judgement.verdict.standing();
            verdicts.push((index, found));
            let weight = CHECKS[index].severity().weighs(found);
            if judgement.subject == Judged::Host
                && counts(CHECKS[index], policy)
                && (weight > standing || (worst.is_none() && weight == standing))
            {
                standing = weight;
                worst = Some(CHECKS[index].id());
            }
        }
        if !is_domain_controller && judgements.iter().any(|own| own.subject == Judged::Host && leaves_population(own)) {
            (standing, worst) = (Standing::NotApplicable, Some(TRUST_TYPE));
        }
        Self { host, is_domain_controller, quiet, standing, worst, verdicts }
    }
}

/// A user on one endpoint: what the collector keeps per user and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserOnHost {
    /// The endpoint.
    pub host: HostNo,
    /// When the user was last seen there.
    pub seen_at: Timestamp,
    /// Whether the endpoint has fallen silent.
    pub quiet: bool,
    /// The worst of the user's and the host's checks that count.
    pub standing: Standing,
    /// The checks that stand at `Blocked`.
    pub blocked: CheckSet,
    /// The checks that stand at `Unknown`.
    pub unknown: CheckSet,
}

impl UserOnHost {
    /// Works it out from the host's judgements as they stand; `None` for accounts that are not people.
    pub fn new(
        host: HostNo,
        user: &Sid,
        judgements: &[Judgement],
        seen_at: Timestamp,
        quiet: bool,
        policy: &Policy,
    ) -> Option<Self> {
        if !user.is_account() {
            return None;
        }
        let mut sight = Self {
            host,
            seen_at,
            quiet,
            standing: Standing::NotApplicable,
            blocked: CheckSet::default(),
            unknown: CheckSet::default(),
        };
        for judgement in judgements {
            let concerns = match &judgement.subject {
                Judged::Host => true,
                Judged::User(sid) => sid == user,
                Judged::Site => false,
            };
            let Some(index) = check_index(&judgement.check).filter(|_| concerns) else { continue };
            if !CHECKS[index].scope().is_of_population() || !counts(CHECKS[index], policy) {
                continue;
            }
            if leaves_population(judgement) {
                sight.standing = Standing::NotApplicable;
                (sight.blocked, sight.unknown) = (CheckSet::default(), CheckSet::default());
                return Some(sight);
            }
            let standing = CHECKS[index].severity().weighs(judgement.verdict.standing());
            sight.standing = sight.standing.max(standing);
            match standing {
                Standing::Blocked => sight.blocked.insert(index),
                Standing::Unknown => sight.unknown.insert(index),
                Standing::Ready | Standing::Advisory | Standing::NotApplicable => {}
            }
        }
        Some(sight)
    }
}

/// A user, counted once: at the endpoint of the latest sight, and as ready if that is so on any endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserStanding {
    /// The endpoint of the latest sight, at whose site the user is counted.
    pub counted_at: HostNo,
    /// When the user was last seen.
    pub seen_at: Timestamp,
    /// Whether every endpoint of the user has fallen silent.
    pub quiet: bool,
    /// What the user stands at on the best endpoint.
    pub standing: Standing,
    /// The checks that block the user there; empty for a user who is ready.
    pub blocked: CheckSet,
    /// The checks whose gaps keep the user from being ready there.
    pub unknown: CheckSet,
}

impl UserStanding {
    /// Works it out from everything known of one user, in any order; `None` where no sight is recent enough.
    ///
    /// Endpoints to which no check applies say nothing about the user unless there is no other.
    pub fn of(sights: &[UserOnHost], policy: &Policy, now: Timestamp) -> Option<Self> {
        let recent = |sight: &&UserOnHost| now.ms_since(sight.seen_at) <= i64::from(policy.user_seen_days) * 86_400_000;
        // The host's number breaks ties, so that the order of arrival decides nothing.
        let latest = sights.iter().filter(recent).max_by_key(|sight| (sight.seen_at, std::cmp::Reverse(sight.host)))?;
        let best = sights
            .iter()
            .filter(recent)
            .min_by_key(|sight| {
                let says_nothing = sight.standing == Standing::NotApplicable;
                (says_nothing, sight.standing, std::cmp::Reverse(sight.seen_at), sight.host)
            })
            .unwrap_or(latest);
        Some(Self {
            counted_at: latest.host,
            seen_at: latest.seen_at,
            quiet: sights.iter().filter(recent).all(|sight| sight.quiet),
            standing: best.standing,
            blocked: best.blocked,
            unknown: best.unknown,
        })
    }
}
