//! `net.dc-line-of-sight`: whether the machine finds a domain controller that can serve key trust.
//!
//! The locator answers from a cache unless it is forced to look, so that a success may be old and a failure is believed
//! only where it was forced. A machine that finds no controller at all is simply somewhere else.

use muster_evidence::{DcLocator, JoinKind, Kind, LocatorAnswer, Timestamp, Tristate};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct DcLineOfSight;

const LOCATOR: &str = "the locator's answers";

/// `ERROR_NO_SUCH_DOMAIN`: no controller of the domain was found that has what was asked for.
const NO_SUCH_DOMAIN: u32 = 1355;

impl Check for DcLineOfSight {
    fn id(&self) -> &'static str {
        "net.dc-line-of-sight"
    }

    fn title(&self) -> &'static str {
        "The machine finds a domain controller that can serve key trust"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor("machines in a domain, whose first sign-in with a new key needs a domain controller")
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::DcLocator, Kind::JoinState]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The first sign-in with a new key needs a domain controller of Windows Server 2016 or later. A \
                      machine that only finds older ones signs in by password alone.",
            evidence: "Two questions to the locator of domain controllers (`DsGetDcNameW`) about the user's domain, or \
                       the machine's: any KDC, and one that offers the directory service of 2016.",
            threshold: "The second question finds one: ready. Only the first does, after a forced search: blocked on a \
                        machine in a domain, advisory on one that is joined to Entra ID only. Neither does, after a \
                        forced search: not applicable (`off the corporate network`). A failure out of the cache, or with \
                        another error than 1355: unknown.",
            remedy: "Let the machine's site be served by a controller of 2016 or later (`nltest /dsgetdc:DOMAIN \
                     /force /ds_10` shows what it finds); over VPN, connect before the sign-in.",
            source: "Microsoft Learn, Windows Hello for Business known deployment issues; frequently asked questions; \
                     DsGetDcNameW",
            query: "muster hosts --check net.dc-line-of-sight --standing blocked",
            alert: "Alert when several endpoints of a site become blocked by `net.dc-line-of-sight`: its capable \
                    controllers are not found any more.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, DcLocator) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable("no domain to look for"), observation),
            Look::Found(found, observation) => Answer::from(self.of(facts, found), observation),
        })
    }
}

impl DcLineOfSight {
    fn of(&self, facts: &Facts<'_>, found: &DcLocator) -> Verdict {
        let code = match &found.capable {
            LocatorAnswer::Found { .. } => return Verdict::Ready,
            LocatorAnswer::Refused { code } => *code,
        };
        let domain = &found.domain;
        if code != NO_SUCH_DOMAIN {
            return Verdict::unknown(LOCATOR, format!("it failed for domain `{domain}` with error {code}"));
        }
        if found.forced != Tristate::Yes {
            let why = format!("that none was found for domain `{domain}` may be a cached answer; no search was forced");
            return Verdict::unknown(LOCATOR, why);
        }
        let older = match &found.any {
            LocatorAnswer::Found { name, .. } => name,
            LocatorAnswer::Refused { code: NO_SUCH_DOMAIN } => {
                return Verdict::not_applicable("off the corporate network");
            }
            LocatorAnswer::Refused { code } => {
                return Verdict::unknown(LOCATOR, format!("it failed for domain `{domain}` with error {code}"));
            }
        };
        let seen = format!("domain `{domain}` answers by `{older}` only, and by no controller of 2016 or later");
        let needed = "a domain controller of Windows Server 2016 or later";
        let kind = match look_at!(facts, JoinState) {
            Look::Found(join, _) => join.kind(),
            Look::Absent(_) => JoinKind::NotJoined,
            Look::Gap(_) => JoinKind::Undetermined,
        };
        match kind {
            JoinKind::Hybrid | JoinKind::DomainOnly | JoinKind::OnPremisesDrs => {
                Verdict::Blocked(finding(self, seen, needed))
            }
            JoinKind::EntraJoined | JoinKind::WorkplaceOnly | JoinKind::NotJoined => {
                Verdict::Advisory(finding(self, seen, needed))
            }
            JoinKind::Undetermined => {
                Verdict::unknown("the join state", format!("it decides whether this blocks: {seen}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, JoinState};

    use super::*;
    use crate::check::fixture::people::{dc_found, dc_locator};
    use crate::check::fixture::{Host, hybrid};

    #[test]
    fn the_table() {
        let none = || LocatorAnswer::Refused { code: NO_SUCH_DOMAIN };
        let down = || LocatorAnswer::Refused { code: 1722 };
        let host = |any, capable, forced| {
            let found = DcLocator { any, capable, forced, ..dc_locator() };
            Host::endpoint().with(Evidence::JoinState(hybrid())).with(Evidence::DcLocator(found))
        };
        let old = |forced| host(dc_found(), none(), forced);
        let joined = |host: Host, domain_joined, azure_ad_joined| {
            host.with(Evidence::JoinState(JoinState { domain_joined, azure_ad_joined, ..hybrid() }))
        };
        let seen = "domain `corp.example` answers by `dc01.corp.example` only, and by no controller of 2016 or later";
        let with = |standing: &str| {
            format!("{standing}: {seen} (needed: a domain controller of Windows Server 2016 or later)")
        };
        let (yes, no) = (Tristate::Yes, Tristate::No);
        let cached = "unknown: the locator's answers: that none was found for domain `corp.example` may be a cached \
                      answer; no search was forced";
        let failed = |code: u32| {
            format!("unknown: the locator's answers: it failed for domain `corp.example` with error {code}")
        };
        let cases = [
            (host(dc_found(), dc_found(), no), "ready".to_owned()),
            (host(none(), dc_found(), no), "ready".to_owned()),
            (old(yes), with("blocked")),
            (joined(old(yes), yes, no), with("blocked")),
            (joined(old(yes), no, yes), with("advisory")),
            (
                joined(old(yes), yes, Tristate::Undetermined),
                format!("unknown: the join state: it decides whether this blocks: {seen}"),
            ),
            (
                old(yes).failed(Kind::JoinState),
                format!("unknown: the join state: it decides whether this blocks: {seen}"),
            ),
            (old(yes).absent(Kind::JoinState), with("advisory")),
            (old(no), cached.to_owned()),
            (old(Tristate::Undetermined), cached.to_owned()),
            (host(none(), none(), yes), "not-applicable: off the corporate network".to_owned()),
            (host(none(), none(), no), cached.to_owned()),
            (host(down(), down(), yes), failed(1722)),
            (host(down(), none(), yes), failed(1722)),
            (host(dc_found(), down(), yes), failed(1722)),
            (Host::endpoint().absent(Kind::DcLocator), "not-applicable: no domain to look for".to_owned()),
            (
                Host::endpoint().failed(Kind::DcLocator),
                "unknown: the locator's answers: access denied: not allowed".to_owned(),
            ),
            (Host::endpoint(), "unknown: the locator's answers: not reported".to_owned()),
            (Host::linux(), "not-applicable: not a Windows client".to_owned()),
            (Host::dc(), "not-applicable: domain controller".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&DcLineOfSight, &Policy::default()), [expected]);
        }
    }
}
