//! `join.device-auth`: whether Entra ID still accepts the device.

use muster_evidence::{DeviceAuth, JoinState, Kind, Timestamp};

use super::{NOT_JOINED, is_joined};
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct DeviceAuthentication;

impl Check for DeviceAuthentication {
    fn id(&self) -> &'static str {
        "join.device-auth"
    }

    fn title(&self) -> &'static str {
        "Entra ID accepts the device"
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
        &[Kind::JoinState]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A machine can believe itself joined while its device object in Entra ID has been disabled or \
                      deleted. Then no token is issued to its users and no key is registered.",
            evidence: "`DeviceAuthStatus` of `dsregcmd /status`, shown from 21H1 on.",
            threshold: "`SUCCESS`: ready. Disabled or deleted: blocked. The test itself failed, or an older system \
                        does not show the field: unknown. A machine that is not joined is judged by `join.type` alone.",
            remedy: "Enable the device in Entra ID; where it was deleted, leave and join again (`dsregcmd /leave`, then \
                     sign in).",
            source: "Microsoft Learn, Troubleshoot devices by using the dsregcmd command",
            query: "muster hosts --check join.device-auth --standing blocked",
            alert: "Alert when several endpoints become blocked by `join.device-auth` on one day: a clean-up of stale \
                    devices has taken live ones.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, JoinState) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable(NOT_JOINED), observation),
            Look::Found(join, observation) => Answer::from(self.of(join), observation),
        })
    }
}

impl DeviceAuthentication {
    fn of(&self, join: &JoinState) -> Verdict {
        if is_joined(join) == Some(false) {
            return Verdict::not_applicable(NOT_JOINED);
        }
        match &join.device_auth {
            Some(DeviceAuth::Success) => Verdict::Ready,
            Some(DeviceAuth::DisabledOrDeleted) => Verdict::Blocked(finding(
                self,
                "the device is disabled or deleted in Entra ID",
                "a device object that is there and enabled",
            )),
            Some(DeviceAuth::TestFailed(said)) => {
                Verdict::unknown("the device authentication test", format!("the test itself failed: {said}"))
            }
            None => Verdict::unknown(
                "the device authentication test",
                "the system does not show it (Windows shows it from 21H1 on)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Tristate};

    use super::*;
    use crate::check::fixture::{Host, hybrid, text};

    #[test]
    fn the_table() {
        let auth = |device_auth| Host::endpoint().with(Evidence::JoinState(JoinState { device_auth, ..hybrid() }));
        let domain_only = JoinState { azure_ad_joined: Tristate::No, device_auth: None, ..hybrid() };
        let cases = [
            (auth(Some(DeviceAuth::Success)), "ready"),
            (
                auth(Some(DeviceAuth::DisabledOrDeleted)),
                "blocked: the device is disabled or deleted in Entra ID (needed: a device object that is there and \
                 enabled)",
            ),
            (
                auth(Some(DeviceAuth::TestFailed(text("FAILED. ERROR 0x80072ee7")))),
                "unknown: the device authentication test: the test itself failed: FAILED. ERROR 0x80072ee7",
            ),
            (
                auth(None),
                "unknown: the device authentication test: the system does not show it (Windows shows it from 21H1 on)",
            ),
            (Host::endpoint().with(Evidence::JoinState(domain_only)), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().absent(Kind::JoinState), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().failed(Kind::JoinState), "unknown: the join state: access denied: not allowed"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&DeviceAuthentication, &Policy::default()), [expected]);
        }
    }
}
