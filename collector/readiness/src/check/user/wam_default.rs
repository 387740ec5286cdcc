//! `user.wam-default`: whether Windows has an account to ask for tokens with while it makes a PIN.

use muster_evidence::{Kind, Ngc, Observation, Sid, Timestamp, Tristate};

use crate::check::answer::{
    Answer, Look, Standpoint, finding, judge_people, look_at, standpoint, unsaid_context, wrong_context,
};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct WamDefault;

const ACCOUNT: &str = "the user's default account for tokens";

/// What is needed.
const NEEDED: &str = "`WamDefaultSet : YES`";

impl Check for WamDefault {
    fn id(&self) -> &'static str {
        "user.wam-default"
    }

    fn title(&self) -> &'static str {
        "Windows has a default account to get tokens with"
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
        &[Kind::Ngc, Kind::Prt]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "While Hello is set up, Windows asks its Web Account Manager for a token of the user. Without a \
                      default account there it fails with 0x801C004D.",
            evidence: "`WamDefaultSet` and `AzureAdPrt` of `dsregcmd /status`, read in the user's own session.",
            threshold: "YES: ready. NO, or an error, together with `AzureAdPrt : NO`: blocked. The same while the user \
                        holds a token: advisory, since Windows usually mends it at the next sign-in. Not shown, or read \
                        by a service: unknown.",
            remedy: "Let the user sign out and in. Where it stays, remove the account under *Access work or school* or \
                     its cached data, and sign in again.",
            source: "Microsoft Learn, Windows Hello errors during PIN creation (0x801C004D); Troubleshoot devices by \
                     using the dsregcmd command",
            query: "muster hosts --check user.wam-default --standing blocked",
            alert: "Alert when several users become blocked by `user.wam-default` on one day: an update of the account \
                    broker has broken it.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| match look_at!(facts, Ngc, sid) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) if matches!(standpoint(observation), Standpoint::Wrong) => {
                Answer::from(Verdict::Unknown(wrong_context(Kind::Ngc)), observation)
            }
            Look::Absent(observation) => Answer::from(not_shown(), observation),
            Look::Found(ngc, observation) => self.of(facts, sid, ngc, observation),
        })
    }
}

fn not_shown() -> Verdict {
    Verdict::unknown(ACCOUNT, "`WamDefaultSet` is not shown")
}

impl WamDefault {
    fn of(&self, facts: &Facts<'_>, sid: &Sid, ngc: &Ngc, observation: &Observation) -> Answer {
        let seen = match (&ngc.wam_default_error, ngc.wam_default_set) {
            _ if matches!(standpoint(observation), Standpoint::Wrong) => {
                return Answer::from(Verdict::Unknown(wrong_context(Kind::Ngc)), observation);
            }
            (None, Tristate::Yes) => return Answer::from(Verdict::Ready, observation),
            (None, Tristate::NotShown) => return Answer::from(not_shown(), observation),
            (Some(said), _) => format!("WamDefaultSet : {said}"),
            (None, Tristate::No) => "WamDefaultSet : NO".to_owned(),
            (None, Tristate::Undetermined) => "WamDefaultSet : ERROR".to_owned(),
        };
        if matches!(standpoint(observation), Standpoint::Unsaid) {
            return Answer::from(Verdict::Unknown(unsaid_context(Kind::Ngc, &seen)), observation);
        }
        let token = match look_at!(facts, Prt, sid) {
            Look::Gap(gap) => return Answer::gap(gap),
            Look::Absent(of_token) => (Tristate::No, standpoint(of_token)),
            Look::Found(prt, of_token) => (prt.present, standpoint(of_token)),
        };
        let verdict = match token {
            (Tristate::No, Standpoint::Own) => {
                let seen = format!("`{seen}`, and no primary refresh token");
                Verdict::Blocked(finding(self, seen, NEEDED))
            }
            (Tristate::Yes, Standpoint::Own | Standpoint::Unsaid) => {
                let seen = format!("`{seen}`, although the user holds a primary refresh token");
                Verdict::Advisory(finding(self, seen, NEEDED))
            }
            _ => Verdict::unknown(
                "the user's primary refresh token",
                format!("it decides whether this blocks: `{seen}`"),
            ),
        };
        Answer::from(verdict, observation)
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, Prt};

    use super::*;
    use crate::check::fixture::{Host, ngc, prt, text};

    #[test]
    fn the_table() {
        let with = |wam_default_set, error: Option<&str>, present, context| {
            let ngc = Ngc { wam_default_set, wam_default_error: error.map(text), ..ngc(Tristate::No) };
            Host::endpoint()
                .user(Evidence::Ngc(ngc), context)
                .user(Evidence::Prt(Prt { present, ..prt() }), Context::UserSession)
        };
        let own = |set, error, present| with(set, error, present, Context::UserSession);
        let error = Some("ERROR (0xd0020017)");
        let wrong = "unknown: the user's Hello container: wrong context: read by a service, where the answer means \
                     nothing; it must be read in the user's session";
        let cases = [
            (own(Tristate::Yes, None, Tristate::No), "ready"),
            (with(Tristate::Yes, None, Tristate::No, Context::Unknown), "ready"),
            (
                own(Tristate::No, None, Tristate::No),
                "blocked: `WamDefaultSet : NO`, and no primary refresh token (needed: `WamDefaultSet : YES`)",
            ),
            (
                own(Tristate::Undetermined, error, Tristate::No),
                "blocked: `WamDefaultSet : ERROR (0xd0020017)`, and no primary refresh token (needed: `WamDefaultSet \
                 : YES`)",
            ),
            (
                own(Tristate::Undetermined, None, Tristate::No),
                "blocked: `WamDefaultSet : ERROR`, and no primary refresh token (needed: `WamDefaultSet : YES`)",
            ),
            (
                own(Tristate::No, None, Tristate::Yes),
                "advisory: `WamDefaultSet : NO`, although the user holds a primary refresh token (needed: \
                 `WamDefaultSet : YES`)",
            ),
            (
                own(Tristate::No, None, Tristate::Undetermined),
                "unknown: the user's primary refresh token: it decides whether this blocks: `WamDefaultSet : NO`",
            ),
            (
                own(Tristate::No, None, Tristate::No)
                    .user(Evidence::Prt(Prt { present: Tristate::No, ..prt() }), Context::Service),
                "unknown: the user's primary refresh token: it decides whether this blocks: `WamDefaultSet : NO`",
            ),
            (
                own(Tristate::No, None, Tristate::No).user_failed(Kind::Prt),
                "unknown: the user's primary refresh token: access denied: not allowed",
            ),
            (
                own(Tristate::No, None, Tristate::No).user_absent(Kind::Prt, Context::UserSession),
                "blocked: `WamDefaultSet : NO`, and no primary refresh token (needed: `WamDefaultSet : YES`)",
            ),
            (
                own(Tristate::NotShown, None, Tristate::No),
                "unknown: the user's default account for tokens: `WamDefaultSet` is not shown",
            ),
            (
                Host::endpoint().user_absent(Kind::Ngc, Context::UserSession),
                "unknown: the user's default account for tokens: `WamDefaultSet` is not shown",
            ),
            (Host::endpoint().user_absent(Kind::Ngc, Context::Service), wrong),
            (with(Tristate::Yes, None, Tristate::No, Context::Service), wrong),
            (with(Tristate::No, None, Tristate::No, Context::Service), wrong),
            (
                with(Tristate::No, None, Tristate::No, Context::Unknown),
                "unknown: the user's Hello container: `WamDefaultSet : NO` counts only from the user's own session, and \
                 where it was read is not known",
            ),
            (
                Host::endpoint().user_failed(Kind::Ngc),
                "unknown: the user's Hello container: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&WamDefault, &Policy::default()), [expected]);
        }
    }
}
