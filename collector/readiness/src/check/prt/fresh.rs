//! `prt.fresh`: whether the user's token is renewed when it should be.
//!
//! Windows renews the token at a sign-in or unlock once four hours have passed, so its age alone says nothing: only a
//! sign-in that should have renewed it and did not.

use muster_evidence::{Kind, Observation, Prt, Sid, Timestamp, UserSession};

use super::held_token;
use crate::check::answer::{Answer, Look, finding, judge_people, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct PrtFresh;

/// The age from which a sign-in or unlock renews a token, in minutes (Microsoft Learn, "Primary refresh token").
const RENEWED_FROM_MINUTES: i64 = 4 * 60;

/// How long Windows is given to renew it, in minutes: a reading at the very sign-in shows the old time.
const GRACE_MINUTES: i64 = 15;

const RENEWAL: &str = "the renewal of the user's primary refresh token";

impl Check for PrtFresh {
    fn id(&self) -> &'static str {
        "prt.fresh"
    }

    fn title(&self) -> &'static str {
        "The user's primary refresh token is renewed"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Prt, Kind::UserSession]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A token that is not renewed ends after 14 days, and with it the user's single sign-on and the \
                      setting up of Hello. Renewals that fail show earlier than that.",
            evidence: "`AzureAdPrtUpdateTime` and `AzureAdPrtExpiryTime` of `dsregcmd /status`, read in the user's own \
                       session, against the user's last sign-in and unlock as Windows tells them.",
            threshold: "Past its expiry: advisory. A sign-in or unlock more than 4 hours after the last renewal that \
                        renewed nothing within 15 minutes (this product's own grace): advisory. Age alone is no \
                        finding: a machine that nobody unlocks renews nothing. Read before that sign-in, or no session \
                        known: unknown.",
            remedy: "Let the user lock and unlock while Entra ID is reachable; look at the events 1081 and 1084 of \
                     `Microsoft-Windows-AAD/Operational` for the server's or the network's error.",
            source: "Microsoft Learn, Troubleshoot primary refresh token issues on Windows devices",
            query: "muster hosts --check prt.fresh --standing advisory",
            alert: "Alert when the users at an advisory of `prt.fresh` grow in number at one site: its way to Entra ID is \
                    disturbed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| match held_token(facts, sid) {
            Err(answer) => *answer,
            Ok((prt, observation)) => self.of(facts, sid, prt, observation, now),
        })
    }
}

impl PrtFresh {
    fn of(&self, facts: &Facts<'_>, sid: &Sid, prt: &Prt, observation: &Observation, now: Timestamp) -> Answer {
        if let Some(expired) = prt.expires_at.filter(|expiry| now > *expiry) {
            let seen = format!("the primary refresh token expired at {expired}");
            return Answer::from(Verdict::Advisory(finding(self, seen, "a token that has not expired")), observation);
        }
        let session = match look_at!(facts, UserSession, sid) {
            Look::Gap(gap) => return Answer::gap(gap),
            Look::Absent(_) => None,
            Look::Found(session, seen) => Some((session, seen)),
        };
        let evidence_at = match session {
            Some((_, seen)) => observation.observed_at.min(seen.observed_at),
            None => observation.observed_at,
        };
        let verdict = self.renewed(prt, session.map(|(session, _)| session), observation);
        Answer { verdict, valid_until: prt.expires_at.map(|expiry| expiry.plus_ms(1)), evidence_at: Some(evidence_at) }
    }

    fn renewed(&self, prt: &Prt, session: Option<&UserSession>, observation: &Observation) -> Verdict {
        let Some(updated) = prt.updated_at else {
            return Verdict::unknown(RENEWAL, "`AzureAdPrtUpdateTime` is not shown");
        };
        let last = session.and_then(|session| session.signed_in_at.max(session.unlocked_at));
        let Some(last) = last else {
            return Verdict::unknown(RENEWAL, "neither a sign-in nor an unlock of the user is known");
        };
        if last <= updated.plus_minutes(RENEWED_FROM_MINUTES) {
            return Verdict::Ready;
        }
        if observation.observed_at < last.plus_minutes(GRACE_MINUTES) {
            let why = format!("the token was read at {}, too early for a renewal at {last}", observation.observed_at);
            return Verdict::unknown(RENEWAL, why);
        }
        let seen = format!("not renewed since {updated}, although the user signed in or unlocked at {last}");
        Verdict::Advisory(finding(self, seen, "renewed at the first sign-in or unlock after 4 hours"))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence};

    use super::*;
    use crate::check::fixture::people::session;
    use crate::check::fixture::{Host, at, now, prt};

    const EXPIRES: &str = "2026-03-10T00:00:00Z";

    fn token(updated_at: Option<&str>) -> Host {
        let prt = Prt { updated_at: updated_at.map(at), expires_at: Some(at(EXPIRES)), ..prt() };
        Host::endpoint().user(Evidence::Prt(prt), Context::UserSession)
    }

    fn with(updated_at: &str, signed_in_at: Option<&str>, unlocked_at: Option<&str>) -> Host {
        token(Some(updated_at)).user(session(signed_in_at, unlocked_at), Context::Service)
    }

    #[test]
    fn only_a_sign_in_that_renewed_nothing_is_a_finding() {
        let stuck = |since: &str, last: &str| {
            format!(
                "advisory: not renewed since {since}, although the user signed in or unlocked at {last} (needed: \
                 renewed at the first sign-in or unlock after 4 hours)"
            )
        };
        let early = "unknown: the renewal of the user's primary refresh token: the token was read at \
                     2026-03-02T12:00:00Z, too early for a renewal at 2026-03-02T11:45:00.001Z";
        let (a, b) = ("2026-03-02T04:00:00Z", "2026-03-02T08:00:00Z");
        let cases = [
            (with(a, Some(b), None), "ready".to_owned()),
            (with(a, Some("2026-03-02T08:00:00.001Z"), None), stuck(a, "2026-03-02T08:00:00.001Z")),
            (with(a, Some("2026-02-20T08:00:00Z"), Some("2026-03-02T09:00:00Z")), stuck(a, "2026-03-02T09:00:00Z")),
            (with(a, Some("2026-02-20T08:00:00Z"), Some("2026-03-02T07:00:00Z")), "ready".to_owned()),
            (with(a, None, Some("2026-03-02T11:45:00Z")), stuck(a, "2026-03-02T11:45:00Z")),
            (with(a, None, Some("2026-03-02T11:45:00.001Z")), early.to_owned()),
            (with("2026-02-25T08:00:00Z", Some("2026-02-25T08:00:00Z"), None), "ready".to_owned()),
            (
                with(a, None, None),
                "unknown: the renewal of the user's primary refresh token: neither a sign-in nor an unlock of the user \
                 is known"
                    .to_owned(),
            ),
            (
                token(None).user(session(Some(b), None), Context::Service),
                "unknown: the renewal of the user's primary refresh token: `AzureAdPrtUpdateTime` is not shown"
                    .to_owned(),
            ),
            (token(Some(a)), "unknown: the user's session: not reported".to_owned()),
            (
                token(Some(a)).user_failed(Kind::UserSession),
                "unknown: the user's session: access denied: not allowed".to_owned(),
            ),
            (
                token(Some(a)).user_absent(Kind::UserSession, Context::Service),
                "unknown: the renewal of the user's primary refresh token: neither a sign-in nor an unlock of the user \
                 is known"
                    .to_owned(),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&PrtFresh, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn both_sides_of_the_expiry() {
        let host = with("2026-03-02T04:00:00Z", Some("2026-03-02T04:00:00Z"), None);
        let judged = |at| host.clone().at(at).judgements(&PrtFresh, &Policy::default()).remove(0);
        let last = at(EXPIRES);
        for time in [now(), last] {
            assert_eq!((judged(time).verdict, judged(time).valid_until), (Verdict::Ready, Some(last.plus_ms(1))));
        }
        let expired = judged(last.plus_ms(1));
        assert_eq!(expired.verdict.seen(), "the primary refresh token expired at 2026-03-10T00:00:00Z");
        assert_eq!(expired.valid_until, None);
    }
}
