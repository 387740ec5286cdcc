//! `site.coverage`: whether enough of the site is seen to speak of it.
//!
//! A controller that is expected and silent is a gap of the gate, since it serves everybody; endpoints that are not
//! seen are a gap of the population. Without an inventory there is nothing to compare with, and the answer is unknown.

use muster_evidence::{Kind, Timestamp};

use crate::check::answer::{Answer, finding};
use crate::check::{Page, SITE_COVERAGE, Scope, Severity};
use crate::derive::coverage::Coverage;
use crate::{Check, Facts, Freshness, Gap, Judged, Judgement, Policy, SiteFacts, Verdict, stale_at};

pub(in crate::check) struct SiteCoverage;

impl Check for SiteCoverage {
    fn id(&self) -> &'static str {
        SITE_COVERAGE
    }

    fn title(&self) -> &'static str {
        "Enough of the site is seen"
    }

    fn scope(&self) -> Scope {
        Scope::Site
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::Site
    }

    fn reads(&self) -> &'static [Kind] {
        &[]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A site is only as ready as what was looked at. A domain controller that nobody sees may fail \
                      every sign-in; endpoints that nobody sees may be the ones that are not ready.",
            evidence: "The inventory of expected domain controllers and endpoints, against those that report.",
            threshold: "Every expected domain controller that can serve key trust has fresh evidence, and so has the \
                        least share of the expected endpoints (80 %, `coverage_least_percent`): ready. A silent \
                        controller that serves passwords only: advisory. Anything missing, no inventory, or no domain \
                        controller at all: unknown, with the names. It never blocks.",
            remedy: "Bring the probes that are named back to reporting; assign subnets to sites; keep the inventory in \
                     step with the directory.",
            source: "Microsoft Learn, Planning an adequate number of domain controllers for Windows Hello for Business",
            query: "muster site NAME",
            alert: "Alert when a site becomes unknown by `site.coverage` for longer than an update takes: a domain \
                    controller's probe has stopped.",
        }
    }

    fn judge(&self, _facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        Vec::new()
    }

    fn judge_site(&self, site: &SiteFacts, policy: &Policy, now: Timestamp) -> Option<Judgement> {
        let coverage = Coverage::of(site, policy, now);
        let gaps: Vec<Gap> = [coverage.of_dcs(), coverage.of_endpoints()]
            .into_iter()
            .filter_map(|verdict| match verdict {
                Verdict::Unknown(gap) => Some(gap),
                _ => None,
            })
            .collect();
        let verdict = match gaps.as_slice() {
            [] if coverage.dcs_silent_not_capable.is_empty() => Verdict::Ready,
            [] => {
                let names: Vec<_> = coverage.dcs_silent_not_capable.iter().map(ToString::to_string).collect();
                let seen = format!("`{}` silent, which serve passwords only", names.join("`, `"));
                Verdict::Advisory(finding(self, seen, "a report of every domain controller"))
            }
            [gap] => Verdict::Unknown(gap.clone()),
            several => {
                let texts: Vec<_> = several.iter().map(|gap| format!("{}: {}", gap.missing, gap.why)).collect();
                Verdict::unknown("parts of the site", texts.join("; "))
            }
        };
        // A controller falls silent at a time that is known beforehand.
        let valid_until = site
            .dcs
            .iter()
            .map(|dc| stale_at(Freshness::DomainController, dc.last_seen, policy))
            .filter(|date| *date > now)
            .min();
        let evidence_at = site.dcs.iter().map(|dc| dc.last_seen).min();
        Some(Answer { verdict, valid_until, evidence_at }.about(self, Judged::Site))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::DcState;
    use crate::check::fixture::{at, now, site};
    use crate::derive::capability::Capability;

    fn dc(name: &str, capability: Capability, last_seen: &str) -> DcState {
        DcState {
            host: name.parse().unwrap(),
            operating_system: None,
            capability,
            judgements: Vec::new(),
            last_seen: at(last_seen),
            kdc_issuers: None,
        }
    }

    fn old() -> Capability {
        Capability::NotCapable { reason: "not capable: build 9600 is below 14393".to_owned() }
    }

    fn facts(expected: Option<&[&str]>, dcs: Vec<DcState>, endpoints: Option<u64>, fresh: u64) -> SiteFacts {
        SiteFacts {
            expected_dcs: expected.map(|names| names.iter().map(|name| name.parse().unwrap()).collect::<BTreeSet<_>>()),
            expected_endpoints: endpoints,
            dcs,
            endpoints_fresh: fresh,
            ..SiteFacts::unknown(Some(site()))
        }
    }

    #[test]
    fn the_table() {
        let fresh = "2026-03-02T11:00:00Z"; // an hour before the fixtures' present: the last fresh moment
        let silent = "2026-03-02T10:59:59.999Z";
        let one = |last_seen| vec![dc("dc01", Capability::Capable, last_seen)];
        let unsettled = || Capability::Unsettled { why: "its operating system is not known".to_owned() };
        let cases = [
            (facts(Some(&["dc01"]), one(fresh), Some(10), 8), "ready", String::new()),
            (facts(Some(&["dc01"]), one(fresh), Some(0), 0), "ready", String::new()),
            (
                facts(Some(&["dc01"]), one(fresh), Some(10), 7),
                "unknown",
                "endpoints of the site: 7 of 10 expected have fresh evidence (70 %, needed 80 %)".into(),
            ),
            (
                facts(Some(&["dc01"]), one(silent), Some(10), 10),
                "unknown",
                format!("domain controllers of the site: no report from `dc01` since {silent} (last not judged)"),
            ),
            (
                facts(Some(&["dc01", "dc02"]), one(fresh), Some(10), 10),
                "unknown",
                "domain controllers of the site: `dc02` has never reported".into(),
            ),
            (
                facts(
                    Some(&["dc01", "dc02"]),
                    vec![dc("dc01", unsettled(), silent), dc("dc02", Capability::Capable, fresh)],
                    Some(10),
                    10,
                ),
                "unknown",
                format!("domain controllers of the site: no report from `dc01` since {silent} (last not judged)"),
            ),
            (
                facts(Some(&["dc01"]), vec![dc("dc01", unsettled(), fresh)], Some(10), 10),
                "unknown",
                "domain controllers of the site: whether any domain controller here can serve key trust is not known"
                    .into(),
            ),
            (
                facts(
                    Some(&["dc01", "dc02"]),
                    vec![dc("dc02", old(), silent), dc("dc01", Capability::Capable, fresh)],
                    Some(10),
                    10,
                ),
                "advisory",
                "`dc02` silent, which serve passwords only (needed: a report of every domain controller)".into(),
            ),
            (
                facts(Some(&["dc02"]), vec![dc("dc02", old(), fresh)], Some(10), 10),
                "unknown",
                "domain controllers of the site: no domain controller here can serve key trust, and whether another \
                 site's does is not known"
                    .into(),
            ),
            (
                facts(Some(&[]), vec![], Some(10), 10),
                "unknown",
                "domain controllers of the site: no domain controller is known here, and which other site covers this \
                 one is not known"
                    .into(),
            ),
            (
                facts(None, one(fresh), None, 5),
                "unknown",
                "parts of the site: domain controllers of the site: no inventory says which domain controllers to \
                 expect; endpoints of the site: no inventory says how many to expect"
                    .into(),
            ),
        ];
        for (facts, standing, text) in cases {
            let judgement = SiteCoverage.judge_site(&facts, &Policy::default(), now()).unwrap();
            assert_eq!((judgement.verdict.standing().name(), judgement.verdict.text()), (standing, text));
        }
    }

    #[test]
    fn it_changes_by_itself_when_the_next_controller_falls_silent() {
        let dcs = vec![
            dc("dc01", Capability::Capable, "2026-03-02T11:30:00Z"),
            dc("dc02", Capability::Capable, "2026-03-02T11:40:00Z"),
        ];
        let judgement = SiteCoverage.judge_site(&facts(None, dcs, None, 0), &Policy::default(), now()).unwrap();
        assert_eq!(judgement.valid_until, Some(at("2026-03-02T12:30:00.001Z")));
    }
}
