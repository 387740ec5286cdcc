//! `prt.present`: whether the user holds a primary refresh token.
//!
//! Only the user's own session can tell. A service always reads NO, so its NO is no answer at all.

use std::fmt::Write as _;

use muster_evidence::{Kind, Observation, Prt, Sid, Timestamp, Tristate};

use crate::check::answer::{
    Answer, Look, Standpoint, finding, judge_people, look_at, standpoint, unsaid_context, wrong_context,
};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct PrtPresent;

impl Check for PrtPresent {
    fn id(&self) -> &'static str {
        "prt.present"
    }

    fn title(&self) -> &'static str {
        "The user has a primary refresh token"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Prt]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The primary refresh token proves that Entra ID knows this user on this device. Provisioning of \
                      Hello does not start without it.",
            evidence: "`AzureAdPrt` of `dsregcmd /status`, read in the user's own session. Read by a service it is \
                       always NO, which proves nothing and is `unknown` here.",
            threshold: "YES: ready. NO in the user's own session: blocked. Anything else: unknown. A YES counts even \
                        where it is not known who read it, since only a user's session ever shows one.",
            remedy: "Let the user sign out and in, or lock and unlock, with a synchronised account and a reachable \
                     Entra ID; check that the suffix of the user's name is verified in the tenant.",
            source: "Microsoft Learn, Troubleshoot primary refresh token issues on Windows devices",
            query: "muster hosts --check prt.present --standing blocked",
            alert: "Alert when a tenth of a site's users become blocked by `prt.present` within an hour: Entra ID is \
                    not reachable from there, or its federation fails.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| self.of_user(facts, sid))
    }
}

impl PrtPresent {
    fn of_user(&self, facts: &Facts<'_>, sid: &Sid) -> Answer {
        match look_at!(facts, Prt, sid) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => self.without(None, observation),
            Look::Found(prt, observation) => match (standpoint(observation), prt.present) {
                (Standpoint::Wrong, _) => Answer::from(Verdict::Unknown(wrong_context(Kind::Prt)), observation),
                (_, Tristate::Yes) => Answer::from(Verdict::Ready, observation),
                (_, Tristate::No) => self.without(Some(prt), observation),
                (_, Tristate::Undetermined | Tristate::NotShown) => Answer::from(
                    Verdict::unknown("the user's primary refresh token", "`AzureAdPrt` says neither yes nor no"),
                    observation,
                ),
            },
        }
    }

    fn without(&self, prt: Option<&Prt>, observation: &Observation) -> Answer {
        let verdict = match standpoint(observation) {
            Standpoint::Wrong => Verdict::Unknown(wrong_context(Kind::Prt)),
            Standpoint::Unsaid => Verdict::Unknown(unsaid_context(Kind::Prt, "AzureAdPrt : NO")),
            Standpoint::Own => {
                let mut seen = "no primary refresh token".to_owned();
                if let Some(status) = prt.and_then(|prt| prt.attempt_status.as_ref()) {
                    let _ = write!(seen, "; the last attempt ended with {status}"); // a `String` takes it always
                }
                if let Some(error) = prt.and_then(|prt| prt.server_error.as_ref()) {
                    let _ = write!(seen, " ({error})");
                }
                Verdict::Blocked(finding(self, seen, "a primary refresh token of the signed-in user"))
            }
        };
        Answer::from(verdict, observation)
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence};

    use super::*;
    use crate::check::fixture::{self, Host, ada, text};

    #[test]
    fn the_table() {
        let prt = |present, context| Host::endpoint().user(Evidence::Prt(Prt { present, ..fixture::prt() }), context);
        let refused = Prt {
            present: Tristate::No,
            attempt_status: Some(text("0xc000006d")),
            server_error: Some(text("AADSTS50126")),
            ..fixture::prt()
        };
        let wrong = "unknown: the user's primary refresh token: wrong context: read by a service, where the answer \
                     means nothing; it must be read in the user's session";
        let unsaid = "unknown: the user's primary refresh token: `AzureAdPrt : NO` counts only from the user's own \
                      session, and where it was read is not known";
        let none = "blocked: no primary refresh token (needed: a primary refresh token of the signed-in user)";
        let cases = [
            (prt(Tristate::Yes, Context::UserSession), "ready"),
            (prt(Tristate::Yes, Context::Unknown), "ready"),
            (prt(Tristate::Yes, Context::Service), wrong),
            (prt(Tristate::No, Context::UserSession), none),
            (prt(Tristate::No, Context::Unknown), unsaid),
            (prt(Tristate::No, Context::Service), wrong),
            (
                Host::endpoint().user(Evidence::Prt(refused), Context::UserSession),
                "blocked: no primary refresh token; the last attempt ended with 0xc000006d (AADSTS50126) (needed: a \
                 primary refresh token of the signed-in user)",
            ),
            (
                prt(Tristate::Undetermined, Context::UserSession),
                "unknown: the user's primary refresh token: `AzureAdPrt` says neither yes nor no",
            ),
            (Host::endpoint().user_absent(Kind::Prt, Context::UserSession), none),
            (Host::endpoint().user_absent(Kind::Prt, Context::Service), wrong),
            (
                Host::endpoint().user_failed(Kind::Prt),
                "unknown: the user's primary refresh token: access denied: not allowed",
            ),
            (
                Host::linux().user(Evidence::Prt(fixture::prt()), Context::UserSession),
                "not-applicable: not a Windows client",
            ),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&PrtPresent, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn accounts_that_are_not_people_are_passed_over() {
        let host = ["S-1-5-18", "S-1-5-21-9-9-9-500", "S-1-0-0", "S-1-12-1-1-2-3-4"]
            .iter()
            .fold(Host::endpoint(), |host, sid| {
                host.person(&sid.parse().unwrap(), Evidence::Prt(fixture::prt()), Context::UserSession)
            });
        assert_eq!(
            host.judge(&PrtPresent, &Policy::default()),
            ["S-1-0-0 ready", "S-1-12-1-1-2-3-4 ready", "S-1-5-21-9-9-9-500 ready"]
        );
        assert_eq!(Host::endpoint().judge(&PrtPresent, &Policy::default()), [""; 0]);
        assert!(ada().is_account());
    }
}
