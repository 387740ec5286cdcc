//! `os.client-build`: whether the Windows build can do hybrid Hello.

use muster_evidence::{Kind, OperatingSystem, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Gap, Judgement, Policy, Verdict};

pub(in crate::check) struct ClientBuild;

impl Check for ClientBuild {
    fn id(&self) -> &'static str {
        "os.client-build"
    }

    fn title(&self) -> &'static str {
        "The Windows build supports hybrid Hello"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::OperatingSystem]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hybrid Hello exists from Windows 10 1511 on. Builds before 1809 show fewer of the fields that \
                      other checks read, so more about them stays unknown. Server Core cannot join hybrid at all.",
            evidence: "The build that Windows itself names, with product type and installation type.",
            threshold: "Build 17763 (1809) and later: ready. 10586 (1511) to 17762: advisory. Older, or Server Core: \
                        blocked. Set by `client_build_ready` and `client_build_least`.",
            remedy: "Update Windows. Do not plan Server Core or a domain controller as a machine to sign in to with \
                     Hello.",
            source: "Microsoft Learn, Plan your Microsoft Entra hybrid join implementation; hybrid key trust \
                     prerequisites",
            query: "muster hosts --check os.client-build --standing blocked",
            alert: "Alert when an endpoint becomes blocked by `os.client-build`: an unsupported image is being rolled \
                    out.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, OperatingSystem) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => {
                Answer::gap(Gap { missing: "the operating system".into(), why: "reported as absent".into() })
            }
            Look::Found(os, observation) => Answer::from(self.of(os, policy), observation),
        })
    }
}

impl ClientBuild {
    fn of(&self, os: &OperatingSystem, policy: &Policy) -> Verdict {
        let (ready, least) = (policy.client_build_ready, policy.client_build_least);
        if os.server_core == Some(true) {
            let seen = format!("{} as Server Core", os.name);
            return Verdict::Blocked(finding(self, seen, "a Windows client, or a server with desktop"));
        }
        match os.build {
            None => Verdict::unknown("the Windows build", format!("{} does not say it", os.name)),
            Some(build) if build < least => {
                Verdict::Blocked(finding(self, format!("build {build}"), format!("build {least} or later")))
            }
            Some(build) if build < ready => {
                Verdict::Advisory(finding(self, format!("build {build}"), format!("build {ready} or later")))
            }
            Some(_) => Verdict::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, ProductType};

    use super::*;
    use crate::check::fixture::{Host, windows_client, windows_server};

    #[test]
    fn the_table() {
        let build = |build| Host::endpoint().with(Evidence::OperatingSystem(windows_client(build)));
        let unread = OperatingSystem { build: None, ..windows_client(0) };
        let core = OperatingSystem {
            product_type: Some(ProductType::Server),
            server_core: Some(true),
            ..windows_server(20_348)
        };
        let cases = [
            (build(26_100), "ready"),
            (build(17_763), "ready"),
            (build(17_762), "advisory: build 17762 (needed: build 17763 or later)"),
            (build(10_586), "advisory: build 10586 (needed: build 17763 or later)"),
            (build(10_585), "blocked: build 10585 (needed: build 10586 or later)"),
            (
                Host::endpoint().with(Evidence::OperatingSystem(core)),
                "blocked: Windows Server as Server Core (needed: a Windows client, or a server with desktop)",
            ),
            (
                Host::endpoint().with(Evidence::OperatingSystem(unread)),
                "unknown: the Windows build: Windows 11 Enterprise does not say it",
            ),
            (
                Host::endpoint().failed(Kind::OperatingSystem),
                "unknown: the operating system: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
            (
                Host::endpoint().with(Evidence::OperatingSystem(windows_server(20_348))),
                "not-applicable: domain controller",
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ClientBuild, &Policy::default()), [expected]);
        }
    }
}
