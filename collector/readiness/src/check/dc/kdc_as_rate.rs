//! `dc.kdc-as-rate`: whether the rate of AS requests is collected.
//!
//! The rate itself says nothing about one controller; whether a site's controllers carry the load is worked out from all
//! of them. So this asks only whether there are numbers to work with, on old controllers too, since they carry a share.

use muster_evidence::{KdcLoad, Kind, Timestamp};

use super::kdc::judge_controller;
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct KdcAsRate;

const NEEDED: &str = "values of `KDC AS Requests` in every hour";

impl Check for KdcAsRate {
    fn id(&self) -> &'static str {
        "dc.kdc-as-rate"
    }

    fn title(&self) -> &'static str {
        "The rate of AS requests is collected"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::KdcLoad]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Clients of key trust pile up on the domain controllers that can serve it, while these still get \
                      their share of all other sign-ins. How much that is can only be worked out where every domain \
                      controller of the site tells its rate, the old ones included.",
            evidence: "The performance counter `\\Security System-Wide Statistics\\KDC AS Requests`, or `\\NTDS\\KDC AS \
                       Requests` on old systems: the last full hour, by minutes.",
            threshold: "At least one minute of the hour has a value: ready. None has, or there is no such counter: \
                        advisory. It could not be read: unknown, which is an advisory of the gate, since the load is \
                        not judged by this check.",
            remedy: "Let the probe read the counter on all domain controllers of the site (its account must be a member \
                     of Performance Monitor Users), and rebuild the counters (`lodctr /r`) where they are missing.",
            source: "Microsoft Learn, Planning an adequate number of domain controllers for Windows Hello for Business",
            query: "muster hosts --check dc.kdc-as-rate --standing advisory --standing unknown",
            alert: "No alert is needed; look at the gaps of `dc.kdc-as-rate` before a phase is planned.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_controller(self, facts, || match look_at!(facts, KdcLoad) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => {
                let found = finding(self, "no counter `KDC AS Requests`", NEEDED);
                Answer::from(Verdict::Advisory(found), observation)
            }
            Look::Found(KdcLoad { minutes: 0, since, .. }, observation) => {
                let found = finding(self, format!("no value in the hour from {since}"), NEEDED);
                Answer::from(Verdict::Advisory(found), observation)
            }
            Look::Found(_, observation) => Answer::from(Verdict::Ready, observation),
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::controller::load;
    use crate::check::fixture::{Host, windows_server};

    #[test]
    fn the_table() {
        let with = |minutes| Host::dc().with(Evidence::KdcLoad(load(minutes)));
        let cases = [
            (with(60), "ready".to_owned()),
            (with(1), "ready".to_owned()),
            (with(0), format!("advisory: no value in the hour from 2026-03-02T11:00:00Z (needed: {NEEDED})")),
            (with(60).with(Evidence::OperatingSystem(windows_server(9_600))), "ready".to_owned()),
            (Host::dc().absent(Kind::KdcLoad), format!("advisory: no counter `KDC AS Requests` (needed: {NEEDED})")),
            (
                Host::dc().failed(Kind::KdcLoad),
                "unknown: the rate of AS requests: access denied: not allowed".to_owned(),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&KdcAsRate, &Policy::default()), [expected]);
        }
        assert_eq!(Host::endpoint().judge(&KdcAsRate, &Policy::default()), [""; 0]);
    }
}
