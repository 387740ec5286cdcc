//! Checks of the user's primary refresh token.

use muster_evidence::{Kind, Observation, Prt, Sid, Tristate};

use crate::check::answer::{Answer, Look, Standpoint, look_at, standpoint, unsaid_context, wrong_context};
use crate::{Facts, Verdict};

pub(super) mod fresh;
pub(super) mod onprem_tgt;
pub(super) mod present;

/// The token of a user who holds one. Otherwise the answer of the checks that speak of it: that a user has none,
/// `prt.present` says.
fn held_token<'a>(facts: &Facts<'a>, sid: &Sid) -> Result<(&'a Prt, &'a Observation), Box<Answer>> {
    let none = |observation: &Observation| {
        let verdict = match standpoint(observation) {
            Standpoint::Own => Verdict::not_applicable("no primary refresh token"),
            Standpoint::Unsaid => Verdict::Unknown(unsaid_context(Kind::Prt, "AzureAdPrt : NO")),
            Standpoint::Wrong => Verdict::Unknown(wrong_context(Kind::Prt)),
        };
        Err(Box::new(Answer::from(verdict, observation)))
    };
    match look_at!(facts, Prt, sid) {
        Look::Gap(gap) => Err(Box::new(Answer::gap(gap))),
        Look::Absent(observation) => none(observation),
        Look::Found(prt, observation) => match (standpoint(observation), prt.present) {
            (Standpoint::Wrong, _) | (_, Tristate::No) => none(observation),
            (_, Tristate::Yes) => Ok((prt, observation)),
            (_, Tristate::Undetermined | Tristate::NotShown) => Err(Box::new(Answer::from(
                Verdict::unknown("the user's primary refresh token", "`AzureAdPrt` says neither yes nor no"),
                observation,
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence};

    use super::*;
    use crate::check::fixture::{Host, prt};
    use crate::{Check, Policy};

    /// Whoever holds no token, or of whom it is not known, is answered alike by every check of the token.
    #[test]
    fn the_checks_of_a_token_speak_of_its_holders_alone() {
        let with = |present, context| Host::endpoint().user(Evidence::Prt(Prt { present, ..prt() }), context);
        let wrong = "unknown: the user's primary refresh token: wrong context: read by a service, where the answer \
                     means nothing; it must be read in the user's session";
        let cases = [
            (with(Tristate::No, Context::UserSession), "not-applicable: no primary refresh token"),
            (
                with(Tristate::No, Context::Unknown),
                "unknown: the user's primary refresh token: `AzureAdPrt : NO` counts only from the user's own session, \
                 and where it was read is not known",
            ),
            (with(Tristate::No, Context::Service), wrong),
            (with(Tristate::Yes, Context::Service), wrong),
            (
                with(Tristate::Undetermined, Context::UserSession),
                "unknown: the user's primary refresh token: `AzureAdPrt` says neither yes nor no",
            ),
            (Host::endpoint().user_absent(Kind::Prt, Context::UserSession), "not-applicable: no primary refresh token"),
            (Host::endpoint().user_absent(Kind::Prt, Context::Service), wrong),
            (
                Host::endpoint().user_failed(Kind::Prt),
                "unknown: the user's primary refresh token: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        let checks: [&dyn Check; 2] = [&fresh::PrtFresh, &onprem_tgt::PrtOnPremTgt];
        for (host, expected) in cases {
            for check in checks {
                assert_eq!(host.judge(check, &Policy::default()), [expected], "{}", check.id());
            }
        }
    }
}
