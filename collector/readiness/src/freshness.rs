//! Freshness: how long a verdict holds while its machine is silent.
//!
//! Staleness follows from when a machine or user was last seen, which moves with every report; so it is applied to
//! verdicts when they are read and never stored with them.

use muster_evidence::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Judgement, Policy, Verdict};

/// Which of the policy's limits a check's evidence is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// Facts about an endpoint, from its last report.
    Endpoint,
    /// Facts about a user, from the last sign-in on the machine.
    User,
    /// Facts about a domain controller, from its last report.
    DomainController,
    /// Facts about a domain controller that change with an installation only.
    DomainControllerSlow,
    /// Facts about a site.
    Site,
    /// What was read from the directory, from the time of reading.
    Directory,
}

impl Freshness {
    /// The limit in a policy, in milliseconds.
    pub fn limit_ms(self, policy: &Policy) -> i64 {
        const SECOND: i64 = 1_000;
        const MINUTE: i64 = 60 * SECOND;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        match self {
            Self::Endpoint => i64::from(policy.endpoint_fresh_days) * DAY,
            Self::User => i64::from(policy.user_fresh_days) * DAY,
            Self::DomainController => i64::from(policy.dc_fresh_seconds) * SECOND,
            Self::DomainControllerSlow => i64::from(policy.dc_slow_fresh_hours) * HOUR,
            Self::Site => i64::from(policy.site_fresh_hours) * HOUR,
            Self::Directory => i64::from(policy.directory_fresh_minutes) * MINUTE,
        }
    }

    /// The setting that carries the limit.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint_fresh_days",
            Self::User => "user_fresh_days",
            Self::DomainController => "dc_fresh_seconds",
            Self::DomainControllerSlow => "dc_slow_fresh_hours",
            Self::Site => "site_fresh_hours",
            Self::Directory => "directory_fresh_minutes",
        }
    }
}

/// The first instant at which a verdict under that limit is stale, if nothing is seen meanwhile.
pub fn stale_at(freshness: Freshness, last_seen: Timestamp, policy: &Policy) -> Timestamp {
    last_seen.plus_ms(freshness.limit_ms(policy) + 1)
}

/// Whether a verdict under that limit is stale.
pub fn is_stale(freshness: Freshness, last_seen: Timestamp, policy: &Policy, now: Timestamp) -> bool {
    now >= stale_at(freshness, last_seen, policy)
}

/// The judgement as it stands after a silence: within the limit itself, past it a gap that names the last verdict.
///
/// What does not apply stays so, and a gap keeps its own words.
pub fn held(
    judgement: &Judgement,
    freshness: Freshness,
    last_seen: Timestamp,
    policy: &Policy,
    now: Timestamp,
) -> Judgement {
    if !is_stale(freshness, last_seen, policy, now) {
        return judgement.clone();
    }
    let last = match &judgement.verdict {
        Verdict::Unknown(_) | Verdict::NotApplicable(_) => return judgement.clone(),
        Verdict::Ready => "ready".to_owned(),
        Verdict::Advisory(finding) => format!("advisory: {}", finding.seen),
        Verdict::Blocked(finding) => format!("blocked: {}", finding.seen),
    };
    let silence = match freshness {
        Freshness::Directory => "the directory was not read",
        Freshness::User => "no sign-in seen",
        Freshness::Endpoint | Freshness::DomainController | Freshness::DomainControllerSlow | Freshness::Site => {
            "no report"
        }
    };
    Judgement {
        check: judgement.check.clone(),
        subject: judgement.subject.clone(),
        verdict: Verdict::unknown("fresh evidence", format!("{silence} since {last_seen}; last verdict was {last}")),
        valid_until: None,
        evidence_at: judgement.evidence_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finding, Gap, Judged};

    fn judgement(verdict: Verdict) -> Judgement {
        Judgement {
            check: "dc.cert-present".into(),
            subject: Judged::Host,
            verdict,
            valid_until: Some(Timestamp::MAX),
            evidence_at: None,
        }
    }

    #[test]
    fn a_verdict_holds_to_its_limit_and_not_a_millisecond_longer() {
        let policy = Policy::default();
        let seen: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let limits = [
            (Freshness::Endpoint, 14 * 24 * 60),
            (Freshness::User, 14 * 24 * 60),
            (Freshness::DomainController, 60),
            (Freshness::DomainControllerSlow, 24 * 60),
            (Freshness::Site, 24 * 60),
            (Freshness::Directory, 60),
        ];
        for (freshness, minutes) in limits {
            let last = seen.plus_minutes(minutes);
            let ready = judgement(Verdict::Ready);
            assert_eq!(held(&ready, freshness, seen, &policy, last), ready, "{freshness:?}");
            assert_eq!(stale_at(freshness, seen, &policy), last.plus_ms(1), "{freshness:?}");
            let stale = held(&ready, freshness, seen, &policy, last.plus_ms(1));
            assert!(matches!(stale.verdict, Verdict::Unknown(_)), "{freshness:?}");
        }
    }

    #[test]
    fn the_last_verdict_is_named_and_gaps_keep_their_words() {
        let policy = Policy::default();
        let seen: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let late = seen.plus_days(1);
        let finding = Finding { seen: "expired".into(), needed: "".into(), remedy: "".into(), source: "".into() };
        let stale = held(&judgement(Verdict::Blocked(finding)), Freshness::DomainController, seen, &policy, late);
        assert_eq!(
            stale.verdict,
            Verdict::Unknown(Gap {
                missing: "fresh evidence".into(),
                why: "no report since 2026-03-02T08:00:00Z; last verdict was blocked: expired".into()
            })
        );
        assert_eq!(stale.valid_until, None);
        for kept in [Verdict::unknown("a", "b"), Verdict::not_applicable("rodc")] {
            let kept = judgement(kept);
            assert_eq!(held(&kept, Freshness::DomainController, seen, &policy, late), kept);
        }
    }
}
