//! `net.time-skew`: how far a machine's clock is from the collector's.
//!
//! Kerberos refuses a clock that is too far from the controller's. The collector's clock stands in for it, so that an
//! endpoint and its controllers are measured by the same one.

use muster_evidence::{Kind, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_machine, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TimeSkew;

impl Check for TimeSkew {
    fn id(&self) -> &'static str {
        "net.time-skew"
    }

    fn title(&self) -> &'static str {
        "The clock is right"
    }

    fn scope(&self) -> Scope {
        Scope::Machine
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn freshness_on_dc(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Clock]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Kerberos accepts a client only whose clock is near that of the domain controller, by default \
                      within five minutes. Certificates and tokens are judged by the same clock.",
            evidence: "The machine's clock against the collector's, measured when the probe connects; half of the way \
                       there and back is taken off.",
            threshold: "At most 60 seconds ahead or behind (`clock_warning_seconds`): ready. More: advisory. Beyond 300 \
                        seconds (`clock_limit_seconds`, the default of Kerberos) the finding says that sign-ins fail. \
                        It stays an advisory, since what is compared is the collector's clock and not the controller's.",
            remedy: "Let the machine take its time from the domain hierarchy (`w32tm /query /status` shows its source); \
                     look at the collector's own clock where many machines differ by the same amount.",
            source: "Microsoft Learn, Maximum tolerance for computer clock synchronization; the first limit is this \
                     product's own",
            query: "muster hosts --check net.time-skew --standing advisory",
            alert: "Alert when a domain controller becomes an advisory of `net.time-skew`: its clients follow it.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_machine(self, facts, || match look_at!(facts, Clock) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => {
                Answer::from(Verdict::unknown("the clock", "it was not compared"), observation)
            }
            Look::Found(clock, observation) => Answer::from(self.of(clock.ahead_seconds, policy), observation),
        })
    }
}

impl TimeSkew {
    fn of(&self, ahead_seconds: i32, policy: &Policy) -> Verdict {
        let off = ahead_seconds.unsigned_abs();
        if off <= policy.clock_warning_seconds {
            return Verdict::Ready;
        }
        let side = if ahead_seconds < 0 { "behind" } else { "ahead of" };
        let refused = if off > policy.clock_limit_seconds { ", which Kerberos refuses" } else { "" };
        Verdict::Advisory(finding(
            self,
            format!("the clock is {off} s {side} the collector's{refused}"),
            format!("at most {} s", policy.clock_warning_seconds),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::Host;
    use crate::check::fixture::people::clock;

    #[test]
    fn both_sides_of_each_limit() {
        let ahead = |seconds| Host::endpoint().with(clock(seconds));
        let off = |words: &str| format!("advisory: the clock is {words} (needed: at most 60 s)");
        let cases = [
            (ahead(0), "ready".to_owned()),
            (ahead(60), "ready".to_owned()),
            (ahead(-60), "ready".to_owned()),
            (ahead(61), off("61 s ahead of the collector's")),
            (ahead(-61), off("61 s behind the collector's")),
            (ahead(300), off("300 s ahead of the collector's")),
            (ahead(301), off("301 s ahead of the collector's, which Kerberos refuses")),
            (ahead(i32::MIN), off("2147483648 s behind the collector's, which Kerberos refuses")),
            (Host::endpoint(), "unknown: the clock: not reported".to_owned()),
            (Host::endpoint().absent(Kind::Clock), "unknown: the clock: it was not compared".to_owned()),
            (Host::endpoint().failed(Kind::Clock), "unknown: the clock: access denied: not allowed".to_owned()),
            (Host::dc().with(clock(0)), "ready".to_owned()),
            (Host::dc().with(clock(-90)), off("90 s behind the collector's")),
            (Host::linux().with(clock(90)), "not-applicable: not a Windows client".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TimeSkew, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn the_policy_moves_the_limits() {
        let policy = Policy { clock_warning_seconds: 10, clock_limit_seconds: 20, ..Policy::default() };
        let host = Host::endpoint().with(clock(21));
        assert_eq!(
            host.judge(&TimeSkew, &policy),
            ["advisory: the clock is 21 s ahead of the collector's, which Kerberos refuses (needed: at most 10 s)"]
        );
    }
}
