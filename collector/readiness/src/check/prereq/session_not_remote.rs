//! `prereq.session-not-remote`: whether what is known of the user was seen in a session at the machine.
//!
//! Windows sets nothing up in a remote session. It passes by itself, so it is only worth a word.

use muster_evidence::{Kind, Observation, Sid, Timestamp, Tristate};

use crate::check::answer::{Answer, Look, Standpoint, finding, judge_people, look_at, standpoint, wrong_context};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Gap, Judgement, Policy, Verdict};

pub(in crate::check) struct SessionNotRemote;

const SESSION: &str = "the user's session";

impl Check for SessionNotRemote {
    fn id(&self) -> &'static str {
        "prereq.session-not-remote"
    }

    fn title(&self) -> &'static str {
        "The user's session is at the machine"
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
        &[Kind::UserSession, Kind::NgcPrerequisites]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Windows does not set up Hello in a remote session, and key trust does not sign in over Remote \
                      Desktop but with Remote Credential Guard. Whoever works remotely only is not offered Hello.",
            evidence: "The kind of the user's latest session as Windows tells it, else `SessionIsNotRemote` of the \
                       prerequisites in `dsregcmd /status`.",
            threshold: "A session at the machine: ready. A remote one: advisory, since it passes by itself. It is never \
                        held against the machine.",
            remedy: "None is needed where the user also signs in at the machine. Otherwise let the user enrol there once, \
                     or use Remote Credential Guard.",
            source: "Microsoft Learn, Remote Desktop sign-in with Windows Hello for Business; Troubleshoot devices by \
                     using the dsregcmd command",
            query: "muster hosts --check prereq.session-not-remote --standing advisory",
            alert: "No alert is needed: remote sessions come and go.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| self.of_user(facts, sid))
    }
}

impl SessionNotRemote {
    fn of_user(&self, facts: &Facts<'_>, sid: &Sid) -> Answer {
        let session = look_at!(facts, UserSession, sid);
        if let Look::Found(session, observation) = &session {
            match session.remote {
                Tristate::Yes => return self.remote(observation),
                Tristate::No => return Answer::from(Verdict::Ready, observation),
                Tristate::Undetermined | Tristate::NotShown => {}
            }
        }
        match look_at!(facts, NgcPrerequisites, sid) {
            Look::Found(found, observation) => match (standpoint(observation), found.session_is_not_remote) {
                (Standpoint::Wrong, _) => {
                    Answer::from(Verdict::Unknown(wrong_context(Kind::NgcPrerequisites)), observation)
                }
                (_, Tristate::Yes) => Answer::from(Verdict::Ready, observation),
                (_, Tristate::No) => self.remote(observation),
                (_, Tristate::Undetermined | Tristate::NotShown) => Answer::gap(gap_of(session)),
            },
            Look::Absent(_) | Look::Gap(_) => Answer::gap(gap_of(session)),
        }
    }

    fn remote(&self, observation: &Observation) -> Answer {
        let seen = "the session is a remote one, in which Windows does not set up Hello";
        Answer::from(Verdict::Advisory(finding(self, seen, "a session at the machine, once")), observation)
    }
}

/// Why the session does not say where the user sits.
fn gap_of<T>(session: Look<'_, T>) -> Gap {
    match session {
        Look::Gap(gap) => gap,
        Look::Found(..) | Look::Absent(_) => {
            Gap { missing: SESSION.into(), why: "nothing says whether it is a remote one".into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, NgcPrerequisites, UserSession};

    use super::*;
    use crate::check::fixture::{Host, prerequisites};

    fn session(remote: Tristate) -> Host {
        let session = UserSession { remote, signed_in_at: None, unlocked_at: None };
        Host::endpoint().user(Evidence::UserSession(session), Context::Service)
    }

    fn evaluated(host: Host, session_is_not_remote: Tristate, context: Context) -> Host {
        let found = NgcPrerequisites { session_is_not_remote, ..prerequisites() };
        host.user(Evidence::NgcPrerequisites(found), context)
    }

    #[test]
    fn the_table() {
        let remote = "advisory: the session is a remote one, in which Windows does not set up Hello (needed: a session \
                      at the machine, once)";
        let open = "unknown: the user's session: nothing says whether it is a remote one";
        let own = Context::UserSession;
        let cases = [
            (session(Tristate::No), "ready"),
            (session(Tristate::Yes), remote),
            (evaluated(session(Tristate::No), Tristate::No, own), "ready"),
            (evaluated(session(Tristate::Yes), Tristate::Yes, own), remote),
            (evaluated(session(Tristate::Undetermined), Tristate::Yes, own), "ready"),
            (evaluated(session(Tristate::Undetermined), Tristate::No, own), remote),
            (evaluated(Host::endpoint(), Tristate::Yes, Context::Unknown), "ready"),
            (evaluated(Host::endpoint(), Tristate::No, Context::Unknown), remote),
            (
                evaluated(Host::endpoint(), Tristate::Yes, Context::Service),
                "unknown: the prerequisite evaluation: wrong context: read by a service, where the answer means \
                 nothing; it must be read in the user's session",
            ),
            (session(Tristate::Undetermined), open),
            (session(Tristate::NotShown).user_absent(Kind::NgcPrerequisites, own), open),
            (evaluated(Host::endpoint(), Tristate::Undetermined, own), "unknown: the user's session: not reported"),
            (
                Host::endpoint().user_failed(Kind::UserSession),
                "unknown: the user's session: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&SessionNotRemote, &Policy::default()), [expected]);
        }
    }
}
