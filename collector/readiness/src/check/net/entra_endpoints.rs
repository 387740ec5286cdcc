//! `net.entra-endpoints`: whether the machine reaches the endpoints of Entra ID under its own account.
//!
//! The probe asks nothing of the internet itself. Windows does, for its own tests: an answer about the device proves
//! that the endpoints answered at that time, whatever the answer was.

use muster_evidence::{DeviceAuth, Kind, RegistrationDiagnostics, TestResult, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct EntraEndpoints;

/// The tests of a registration that need the endpoints, and nothing else that may fail.
const TESTS: [&str; 2] = ["DRS Connectivity", "DRS Discovery"];

/// Codes of an attempt that did not come through: no answer in time, no connection, TLS refused, and a discovery that
/// timed out.
const UNREACHED: [u32; 4] = [0x8007_2ee2, 0x8007_2efd, 0x8007_2f8f, 0x801c_001f];

const NEEDED: &str = "`enterpriseregistration.windows.net`, `login.microsoftonline.com` and \
                      `device.login.microsoftonline.com` reached under the machine's account";

impl Check for EntraEndpoints {
    fn id(&self) -> &'static str {
        "net.entra-endpoints"
    }

    fn title(&self) -> &'static str {
        "The machine reaches the endpoints of Entra ID"
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
        &[Kind::JoinState, Kind::RegistrationDiagnostics]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Registration, tokens and the registration of Hello keys go to Entra ID under the machine's own \
                      account, where a proxy that asks for a user's credentials stands in the way.",
            evidence: "`DeviceAuthStatus` of `dsregcmd /status`, which Entra ID answers, and the tests and error codes \
                       of a registration that fails. The probe itself asks nothing of the internet.",
            threshold: "Entra ID answered about the device, or the tests `DRS Discovery` and `DRS Connectivity` passed: \
                        ready. One of the tests failed, or the attempt ended with an error of the network \
                        (0x80072ee2, 0x80072efd, 0x80072f8f, 0x801c001f): blocked. Nothing shown: unknown.",
            remedy: "Open proxy and firewall for these names under the machine's account (`netsh winhttp show proxy`), \
                     without inspection of TLS for `device.login.microsoftonline.com`.",
            source: "Microsoft Learn, Plan your Microsoft Entra hybrid join deployment; Troubleshoot Microsoft Entra \
                     hybrid joined devices",
            query: "muster hosts --check net.entra-endpoints --standing blocked",
            alert: "Alert when several endpoints of a site become blocked by `net.entra-endpoints`: its proxy or \
                    firewall has changed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let join = look_at!(facts, JoinState);
            if let Look::Found(join, observation) = &join
                && matches!(join.device_auth, Some(DeviceAuth::Success | DeviceAuth::DisabledOrDeleted))
            {
                return Answer::from(Verdict::Ready, observation);
            }
            match look_at!(facts, RegistrationDiagnostics) {
                Look::Found(found, observation) => Answer::from(self.of(found, policy), observation),
                // A device that shows no diagnostics is joined, and then its authentication is what would tell.
                Look::Absent(observation) => Answer::from(nothing_shown(), observation),
                Look::Gap(gap) => Answer::gap(match join {
                    Look::Gap(of_join) => of_join,
                    Look::Found(..) | Look::Absent(_) => gap,
                }),
            }
        })
    }
}

fn nothing_shown() -> Verdict {
    Verdict::unknown("a test of the endpoints of Entra ID", "Windows shows none")
}

impl EntraEndpoints {
    fn of(&self, found: &RegistrationDiagnostics, policy: &Policy) -> Verdict {
        let tests = || found.tests.iter().filter(|test| TESTS.contains(&test.name.as_str()));
        if let Some(test) = tests().find(|test| test.result == TestResult::Fail) {
            let detail = test.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            let seen = format!("the test `{}` fails{detail}", test.name);
            return Verdict::Blocked(finding(self, seen, NEEDED));
        }
        if let Some(code) = found.client_error.filter(|code| UNREACHED.contains(code)) {
            let means = policy.reference().error_codes.find(code).map(|known| format!(": {}", known.means));
            let seen = format!("the registration ends with {code:#010x}{}", means.unwrap_or_default());
            return Verdict::Blocked(finding(self, seen, NEEDED));
        }
        let passed = |name| tests().any(|test| test.name.as_str() == name && test.result == TestResult::Pass);
        if TESTS.into_iter().all(passed) { Verdict::Ready } else { nothing_shown() }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, JoinState, RegistrationTest, Tristate};

    use super::*;
    use crate::check::fixture::{Host, hybrid, text};

    #[test]
    fn the_table() {
        let auth = |device_auth| Host::endpoint().with(Evidence::JoinState(JoinState { device_auth, ..hybrid() }));
        let tested = |results: [TestResult; 2], client_error| {
            let test = |(name, result)| RegistrationTest {
                name: text(name),
                result,
                detail: (result == TestResult::Fail).then(|| text("0x80072ee2")),
            };
            let tests = TESTS.into_iter().zip(results).map(test).collect();
            let found = RegistrationDiagnostics { tests, client_error, ..RegistrationDiagnostics::default() };
            let join = JoinState { azure_ad_joined: Tristate::No, device_auth: None, ..hybrid() };
            Host::endpoint().with(Evidence::JoinState(join)).with(Evidence::RegistrationDiagnostics(Box::new(found)))
        };
        let blocked = |seen: &str| format!("blocked: {seen} (needed: {NEEDED})");
        let none = "unknown: a test of the endpoints of Entra ID: Windows shows none";
        let (pass, fail, skipped) = (TestResult::Pass, TestResult::Fail, TestResult::Skipped);
        let failed = Some(DeviceAuth::TestFailed(text("FAILED. ERROR 0x80072ee7")));
        let cases = [
            (auth(Some(DeviceAuth::Success)), "ready".to_owned()),
            (auth(Some(DeviceAuth::DisabledOrDeleted)), "ready".to_owned()),
            (auth(failed.clone()).absent(Kind::RegistrationDiagnostics), none.to_owned()),
            (auth(failed), "unknown: the registration diagnostics: not reported".to_owned()),
            (tested([pass, pass], None), "ready".to_owned()),
            (tested([pass, pass], Some(0x801c_03f2)), "ready".to_owned()),
            (tested([fail, skipped], None), blocked("the test `DRS Connectivity` fails (0x80072ee2)")),
            (tested([pass, fail], None), blocked("the test `DRS Discovery` fails (0x80072ee2)")),
            (tested([pass, skipped], None), none.to_owned()),
            (tested([skipped, pass], None), none.to_owned()),
            (
                tested([skipped, skipped], Some(0x8007_2efd)),
                blocked("the registration ends with 0x80072efd: no connection to the server"),
            ),
            (tested([skipped, skipped], Some(0x801c_001d)), none.to_owned()),
            (Host::endpoint(), "unknown: the join state: not reported".to_owned()),
            (Host::endpoint().failed(Kind::JoinState).absent(Kind::RegistrationDiagnostics), none.to_owned()),
            (Host::linux(), "not-applicable: not a Windows client".to_owned()),
            (Host::dc(), "not-applicable: domain controller".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&EntraEndpoints, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn every_code_has_words() {
        for code in UNREACHED {
            assert!(Policy::default().reference().error_codes.find(code).is_some(), "{code:#010x}");
        }
    }
}
