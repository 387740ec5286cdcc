//! `user.convenience-pin`: whether a user signs in with a PIN that is no business credential.
//!
//! What tells them apart is a key of the registry that third parties read so and Microsoft does not document. Where a
//! Hello container shows that the business credential is set up, the key says nothing more.

use muster_evidence::{Kind, PinProvider, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_people, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::key_state::{Container, container};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct ConveniencePin;

impl Check for ConveniencePin {
    fn id(&self) -> &'static str {
        "user.convenience-pin"
    }

    fn title(&self) -> &'static str {
        "The user's PIN is no convenience PIN"
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
        &[Kind::PinProvider, Kind::Ngc]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A convenience PIN only stands for the stored password. A user who has one believes to use Hello, \
                      while there is no key and nothing is synchronised.",
            evidence: "The key `LogonUI\\NgcPin\\Credentials\\<SID>` of the registry, which a service may read, and \
                       `NgcSet` of `dsregcmd /status`. The key is what third parties go by; Microsoft does not document \
                       it.",
            threshold: "No such key, or Hello for Business is set up: ready. The key without a Hello container: advisory. \
                        Not looked at: unknown.",
            remedy: "Turn off *Turn on convenience PIN sign-in*, remove the PIN in the settings, and let the user enrol \
                     in Windows Hello for Business.",
            source: "Microsoft Learn, Windows Hello for Business frequently asked questions; the key of the registry is \
                     a third party's observation",
            query: "muster hosts --check user.convenience-pin --standing advisory",
            alert: "No alert is needed; clear the list before the site is rolled out.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| {
            if let Container::Set(observation) = container(facts, sid) {
                return Answer::from(Verdict::Ready, observation);
            }
            match look_at!(facts, PinProvider, sid) {
                Look::Gap(gap) => Answer::gap(gap),
                Look::Absent(observation) => Answer::from(Verdict::Ready, observation),
                Look::Found(found, observation) => Answer::from(self.of(*found), observation),
            }
        })
    }
}

impl ConveniencePin {
    fn of(&self, found: PinProvider) -> Verdict {
        match found.convenience_pin {
            Some(false) => Verdict::Ready,
            Some(true) => Verdict::Advisory(finding(
                self,
                "a PIN without a Hello container, which is a convenience PIN",
                "Hello for Business, or no PIN",
            )),
            None => Verdict::unknown("the user's PIN in the registry", "nobody looked for a convenience PIN"),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, Tristate};

    use super::*;
    use crate::check::fixture::{Host, ngc};

    #[test]
    fn the_table() {
        let pin = |convenience_pin| {
            let found = PinProvider { convenience_pin, ..PinProvider::default() };
            Host::endpoint().user(Evidence::PinProvider(found), Context::Service)
        };
        let set = |host: Host, set| host.user(Evidence::Ngc(ngc(set)), Context::UserSession);
        let has = "advisory: a PIN without a Hello container, which is a convenience PIN (needed: Hello for Business, \
                   or no PIN)";
        let cases = [
            (pin(Some(false)), "ready"),
            (pin(Some(true)), has),
            (set(pin(Some(true)), Tristate::No), has),
            (set(pin(Some(true)), Tristate::Yes), "ready"),
            (set(Host::endpoint(), Tristate::Yes), "ready"),
            (pin(None), "unknown: the user's PIN in the registry: nobody looked for a convenience PIN"),
            (Host::endpoint().user_absent(Kind::PinProvider, Context::Service), "ready"),
            (
                Host::endpoint().user_failed(Kind::PinProvider),
                "unknown: the user's PIN in the registry: access denied: not allowed",
            ),
            (set(Host::endpoint(), Tristate::No), "unknown: the user's PIN in the registry: not reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ConveniencePin, &Policy::default()), [expected]);
        }
    }
}
