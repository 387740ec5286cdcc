//! `dc.os-version`: whether the domain controller can serve key trust.
//!
//! A controller before Windows Server 2016 serves passwords and holds nobody up: mixed sites are Microsoft's own
//! scenario. It is never more than an advisory here; only what is left to carry the load counts it.

use muster_evidence::{Kind, OperatingSystem, OsFamily, Timestamp};

use super::kdc::{absent, judge_controller};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct DcOsVersion;

impl Check for DcOsVersion {
    fn id(&self) -> &'static str {
        "dc.os-version"
    }

    fn title(&self) -> &'static str {
        "The domain controller runs Windows Server 2016 or later"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainControllerSlow
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::OperatingSystem]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Only Windows Server 2016 and later answer key-trust sign-ins. An older domain controller goes on \
                      serving passwords; its certificate is not judged, and it does not hold the site.",
            evidence: "The build that the domain controller names itself.",
            threshold: "Build 14393 (2016) and later: ready. Older, or not Windows: advisory. Set by `dc_build_least`.",
            remedy: "None while enough capable domain controllers serve the site; else upgrade this one or add one of \
                     Windows Server 2016 or later.",
            source: "Microsoft Learn, Planning an adequate number of domain controllers for Windows Hello for Business",
            query: "muster hosts --check dc.os-version --standing advisory",
            alert: "No alert is needed; look at the advisories of `dc.os-version` when a site is planned.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_controller(self, facts, || match look_at!(facts, OperatingSystem) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => absent(Kind::OperatingSystem),
            Look::Found(os, observation) => Answer::from(self.of(os, policy.dc_build_least), observation),
        })
    }
}

impl DcOsVersion {
    fn of(&self, os: &OperatingSystem, least: u32) -> Verdict {
        let advisory = |seen: String| {
            Verdict::Advisory(finding(self, seen, format!("Windows Server 2016 (build {least}) or later")))
        };
        if os.family != OsFamily::Windows {
            return advisory(format!("{}: not capable", os.name));
        }
        match os.build {
            None => Verdict::unknown("the Windows build", format!("{} does not say it", os.name)),
            Some(build) if build < least => advisory(format!("build {build}: not capable, serves passwords only")),
            Some(_) => Verdict::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::{Host, windows_server};

    #[test]
    fn the_table() {
        let with = |os| Host::dc().with(Evidence::OperatingSystem(os));
        let cases = [
            (with(windows_server(14_393)), "ready"),
            (with(windows_server(26_100)), "ready"),
            (
                with(windows_server(14_392)),
                "advisory: build 14392: not capable, serves passwords only (needed: Windows Server 2016 (build 14393) \
                 or later)",
            ),
            (
                with(OperatingSystem { family: OsFamily::Linux, ..windows_server(0) }),
                "advisory: Windows Server: not capable (needed: Windows Server 2016 (build 14393) or later)",
            ),
            (
                with(OperatingSystem { build: None, ..windows_server(0) }),
                "unknown: the Windows build: Windows Server does not say it",
            ),
            (Host::dc().failed(Kind::OperatingSystem), "unknown: the operating system: access denied: not allowed"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&DcOsVersion, &Policy::default()), [expected]);
        }
        assert_eq!(Host::endpoint().judge(&DcOsVersion, &Policy::default()), [""; 0]);
    }
}
