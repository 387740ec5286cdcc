//! `dc.roca-policy`: whether weak Hello keys (ROCA) are refused at sign-in.
//!
//! The number for Ignore was read; those for Audit and Block follow from the order in which the policy lists them. So the
//! raw value is part of every finding.

use muster_evidence::{KdcPolicy, Kind, Timestamp};

use super::kdc::judge_capable;
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct RocaPolicy;

const IGNORE: u32 = 0;
const AUDIT: u32 = 1;
const BLOCK: u32 = 2;

impl Check for RocaPolicy {
    fn id(&self) -> &'static str {
        "dc.roca-policy"
    }

    fn title(&self) -> &'static str {
        "The domain controller refuses Hello keys that can be factored"
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
        &[Kind::KdcPolicy, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Some TPMs made RSA keys that can be factored (CVE-2017-15361). New firmware does not mend keys \
                      that exist; whoever factors one signs in as its owner. A domain controller can ignore such keys, \
                      log them, or refuse them.",
            evidence: "The value `SamNGCKeyROCAValidation` under `HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\\
                       Policies\\System\\SAM` (group policy *Configure validation of ROCA-vulnerable WHfB keys during \
                       authentication*).",
            threshold: "2 (Block): ready. 1 (Audit), which also holds where nothing is set: advisory, since a weak key \
                        still signs in. 0 (Ignore) or any other value: advisory. It never blocks, since sound keys are \
                        not concerned.",
            remedy: "Set the policy to Audit first, replace the keys that it logs, and set it to Block then.",
            source: "Microsoft Security Response Center, ADV190026",
            query: "muster hosts --check dc.roca-policy --standing advisory",
            alert: "No alert is needed; look at the advisories of `dc.roca-policy` before a phase begins.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_capable(self, facts, policy, || match look_at!(facts, KdcPolicy) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(self.of(None), observation),
            Look::Found(KdcPolicy { sam_ngc_key_roca_validation, .. }, observation) => {
                Answer::from(self.of(*sam_ngc_key_roca_validation), observation)
            }
        })
    }
}

impl RocaPolicy {
    fn of(&self, value: Option<u32>) -> Verdict {
        let seen = match value {
            Some(BLOCK) => return Verdict::Ready,
            None => "`SamNGCKeyROCAValidation` is not set, so that weak keys are only logged".to_owned(),
            Some(AUDIT) => "`SamNGCKeyROCAValidation` is 1 (Audit): weak keys are only logged".to_owned(),
            Some(IGNORE) => "`SamNGCKeyROCAValidation` is 0 (Ignore): weak keys pass unseen".to_owned(),
            Some(other) => format!("`SamNGCKeyROCAValidation` is {other}, which is none of 0, 1 and 2"),
        };
        Verdict::Advisory(finding(self, seen, "2 (Block)"))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::Host;

    #[test]
    fn the_table() {
        let with = |sam_ngc_key_roca_validation| {
            Host::dc().with(Evidence::KdcPolicy(KdcPolicy { sam_ngc_key_roca_validation, ..KdcPolicy::default() }))
        };
        let not_set = "advisory: `SamNGCKeyROCAValidation` is not set, so that weak keys are only logged (needed: 2 \
                       (Block))";
        let cases = [
            (with(Some(2)), "ready"),
            (
                with(Some(1)),
                "advisory: `SamNGCKeyROCAValidation` is 1 (Audit): weak keys are only logged (needed: 2 (Block))",
            ),
            (
                with(Some(0)),
                "advisory: `SamNGCKeyROCAValidation` is 0 (Ignore): weak keys pass unseen (needed: 2 (Block))",
            ),
            (
                with(Some(3)),
                "advisory: `SamNGCKeyROCAValidation` is 3, which is none of 0, 1 and 2 (needed: 2 (Block))",
            ),
            (with(None), not_set),
            (Host::dc().absent(Kind::KdcPolicy), not_set),
            (Host::dc().failed(Kind::KdcPolicy), "unknown: the KDC's settings: access denied: not allowed"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&RocaPolicy, &Policy::default()), [expected]);
        }
    }
}
