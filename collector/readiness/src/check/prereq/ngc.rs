//! `prereq.ngc`: what Windows itself says about setting up Hello at the next sign-in.
//!
//! A `WillNotProvision` is read field by field, because not every NO is a fault: a policy that is not rolled out yet
//! is no blocker, a remote session says nothing, and enrolment that the user must start is only an advisory.

use muster_evidence::{CertEnrollment, Kind, NgcPrerequisites, Observation, PreReqResult, Sid, Timestamp};

use super::steps::{Condition, Conditions, meant, why_not};
use crate::check::answer::{
    Answer, Look, Standpoint, judge_people, look_at, standpoint, unsaid_context, wrong_context,
};
use crate::check::{Page, Scope, Severity};
use crate::derive::key_state::{Container, container};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct NgcPrerequisiteCheck;

const EVALUATION: &str = "the prerequisite evaluation";

impl Check for NgcPrerequisiteCheck {
    fn id(&self) -> &'static str {
        "prereq.ngc"
    }

    fn title(&self) -> &'static str {
        "Windows will set up Hello for the user"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[
            Kind::NgcPrerequisites,
            Kind::Ngc,
            Kind::UserPolicy,
            Kind::ComputerPolicy,
            Kind::UserMdmPolicy,
            Kind::DeviceMdmPolicy,
            Kind::JoinState,
        ]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Before Windows offers Hello to a user it evaluates its own prerequisites. This check reads the \
                      result and names the first thing that stands in the way.",
            evidence: "The section `Ngc Prerequisite Check` of `dsregcmd /status`, read in the user's own session. \
                       Newer builds leave it out once Hello is set up.",
            threshold: "`WillProvision`: ready. Hello is set up already, or only the policy is not rolled out \
                        (`not started`): not applicable. Only `PostLogonEnabled` is NO: advisory, the user starts \
                        enrolment. Only `SessionIsNotRemote` is NO: the collector keeps the user's last verdict, since \
                        the session is transient and says nothing about a sign-in at the machine; where there is no \
                        verdict yet, and where the probe judges alone: unknown. A field is undetermined: unknown. Any \
                        other NO blocks, `PolicyEnabled : NO` too where a policy is set, or where Hello is on by \
                        default, as on a machine that is joined to Entra ID only.",
            remedy: "Go where the deciding field points: `IsDeviceJoined` to `join.type`, `IsUserAzureAD` to \
                     `prt.present`, `PolicyEnabled` to the policy *Use Windows Hello for Business*, `DeviceEligible` to \
                     `tpm.present` and `tpm.version`.",
            source: "Microsoft Learn, How Windows Hello for Business works: provisioning; Troubleshoot devices by using \
                     the dsregcmd command",
            query: "muster hosts --check prereq.ngc --standing blocked",
            alert: "Alert when users of a site that is being rolled out become blocked by `prereq.ngc`: they will not \
                    be offered Hello.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| self.of_user(facts, sid))
    }
}

impl NgcPrerequisiteCheck {
    fn of_user(&self, facts: &Facts<'_>, sid: &Sid) -> Answer {
        let container = container(facts, sid);
        if let Container::Set(observation) = container {
            return Answer::from(Verdict::not_applicable("already set up"), observation);
        }
        match look_at!(facts, NgcPrerequisites, sid) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(
                match (standpoint(observation), container) {
                    (Standpoint::Wrong, _) => Verdict::Unknown(wrong_context(Kind::NgcPrerequisites)),
                    (_, Container::Unknown(gap)) => Verdict::Unknown(gap),
                    (_, Container::Set(_) | Container::NotSet(_)) => {
                        Verdict::unknown(EVALUATION, "Windows does not show it although Hello is not set up")
                    }
                },
                observation,
            ),
            Look::Found(found, observation) => Answer::from(self.of(facts, sid, found, observation), observation),
        }
    }

    fn of(&self, facts: &Facts<'_>, sid: &Sid, found: &NgcPrerequisites, observation: &Observation) -> Verdict {
        let standpoint = standpoint(observation);
        if matches!(standpoint, Standpoint::Wrong) {
            return Verdict::Unknown(wrong_context(Kind::NgcPrerequisites));
        }
        if let Some(error) = &found.error {
            return Verdict::unknown(EVALUATION, format!("Windows could not evaluate: {error}"));
        }
        match (found.result, standpoint) {
            (PreReqResult::WillProvision, _) => Verdict::Ready,
            (PreReqResult::Undetermined, _) => {
                Verdict::unknown(EVALUATION, "`PreReqResult` is not shown, or is a word that this build does not know")
            }
            (PreReqResult::WillNotProvision, Standpoint::Unsaid) => {
                Verdict::Unknown(unsaid_context(Kind::NgcPrerequisites, "PreReqResult : WillNotProvision"))
            }
            (PreReqResult::WillNotProvision, Standpoint::Own | Standpoint::Wrong) => {
                why_not(self, &conditions(found), || meant(facts, sid))
            }
        }
    }
}

/// What the section shows, for the four steps.
fn conditions(found: &NgcPrerequisites) -> Conditions {
    let condition = |value, name| Condition { value, name };
    Conditions {
        device_joined: condition(found.is_device_joined, "IsDeviceJoined"),
        user_known: condition(found.is_user_azure_ad, "IsUserAzureAD"),
        policy_enabled: condition(found.policy_enabled, "PolicyEnabled"),
        post_logon: condition(found.post_logon_enabled, "PostLogonEnabled"),
        device_eligible: condition(found.device_eligible, "DeviceEligible"),
        session_is_local: condition(found.session_is_not_remote, "SessionIsNotRemote"),
        certificate_trust: matches!(
            found.cert_enrollment,
            Some(CertEnrollment::EnrollmentAuthority | CertEnrollment::MobileDeviceManagement)
        ),
        undetermined_is_a_gap: true,
        evaluation: EVALUATION,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Tristate::{self, No, NotShown, Undetermined};
    use muster_evidence::{Context, Evidence, JoinState};

    use super::super::steps::{REMOTE_SESSION, keeps_last_verdict};
    use super::*;
    use crate::check::fixture::device::hello_policy;
    use crate::check::fixture::{Host, hybrid, ngc, prerequisites, text};
    use crate::derive::effective_policy::Channel;

    fn host(found: NgcPrerequisites, context: Context) -> Host {
        Host::endpoint()
            .with(Evidence::JoinState(hybrid()))
            .user(Evidence::Ngc(ngc(No)), Context::UserSession)
            .user(Evidence::NgcPrerequisites(found), context)
    }

    #[test]
    fn the_four_steps() {
        let wont = || NgcPrerequisites { result: PreReqResult::WillNotProvision, ..prerequisites() };
        let unknown = |why: &str| format!("unknown: {EVALUATION}: {why}");
        let cases = [
            (prerequisites(), "ready".to_owned()),
            (NgcPrerequisites { policy_enabled: No, ..wont() }, "not-applicable: not started".to_owned()),
            (
                NgcPrerequisites { policy_enabled: No, post_logon_enabled: No, session_is_not_remote: No, ..wont() },
                "not-applicable: not started".to_owned(),
            ),
            (
                NgcPrerequisites { session_is_not_remote: No, ..wont() },
                format!("unknown: {REMOTE_SESSION}: a remote session says nothing about a sign-in at the machine"),
            ),
            (
                NgcPrerequisites { post_logon_enabled: No, session_is_not_remote: No, ..wont() },
                "advisory: `PostLogonEnabled : NO`: enrolment does not start by itself (needed: `YES`, unless users \
                 are meant to start enrolment themselves)"
                    .to_owned(),
            ),
            (
                NgcPrerequisites { policy_enabled: No, device_eligible: No, ..wont() },
                "blocked: `DeviceEligible : NO` (needed: `YES` (see `tpm.present` and `tpm.version`))".to_owned(),
            ),
            (
                NgcPrerequisites { is_device_joined: No, is_user_azure_ad: No, ..wont() },
                "blocked: `IsDeviceJoined : NO` (needed: `YES` (see `join.type`))".to_owned(),
            ),
            (
                NgcPrerequisites { is_user_azure_ad: No, device_eligible: Undetermined, ..wont() },
                "blocked: `IsUserAzureAD : NO` (needed: `YES` (see `prt.present`))".to_owned(),
            ),
            (
                NgcPrerequisites { policy_enabled: No, device_eligible: Undetermined, ..wont() },
                unknown("`DeviceEligible` is undetermined"),
            ),
            (
                NgcPrerequisites { cert_enrollment: Some(CertEnrollment::EnrollmentAuthority), ..wont() },
                "not-applicable: other trust: certificate trust".to_owned(),
            ),
            (wont(), unknown("Windows will not set up Hello, and no condition says why")),
            (
                NgcPrerequisites { post_logon_enabled: NotShown, policy_enabled: No, ..wont() },
                "not-applicable: not started".to_owned(),
            ),
            (
                NgcPrerequisites { result: PreReqResult::Undetermined, ..prerequisites() },
                unknown("`PreReqResult` is not shown, or is a word that this build does not know"),
            ),
            (
                NgcPrerequisites { error: Some(text("0xd0020017")), ..prerequisites() },
                unknown("Windows could not evaluate: 0xd0020017"),
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(host(found, Context::UserSession).judge(&NgcPrerequisiteCheck, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn only_a_remote_session_alone_keeps_the_last_verdict() {
        let wont = || NgcPrerequisites { result: PreReqResult::WillNotProvision, ..prerequisites() };
        let cases = [
            (NgcPrerequisites { session_is_not_remote: No, ..wont() }, true),
            (NgcPrerequisites { session_is_not_remote: No, post_logon_enabled: No, ..wont() }, false),
            (NgcPrerequisites { session_is_not_remote: No, device_eligible: Undetermined, ..wont() }, false),
            (NgcPrerequisites { session_is_not_remote: No, device_eligible: No, ..wont() }, false),
            (NgcPrerequisites { session_is_not_remote: Undetermined, ..wont() }, false),
            (NgcPrerequisites { session_is_not_remote: No, ..prerequisites() }, false),
            (wont(), false),
        ];
        for (found, keeps) in cases {
            let host = host(found, Context::UserSession);
            let judgements = host.judgements(&NgcPrerequisiteCheck, &Policy::default());
            assert_eq!(keeps_last_verdict(&judgements[0].verdict), keeps, "{judgements:?}");
        }
    }

    #[test]
    fn an_entra_joined_machine_has_hello_on_by_default() {
        let found = NgcPrerequisites { policy_enabled: No, result: PreReqResult::WillNotProvision, ..prerequisites() };
        let joined = JoinState { domain_joined: No, ..hybrid() };
        let host = host(found, Context::UserSession).with(Evidence::JoinState(joined));
        assert_eq!(
            host.judge(&NgcPrerequisiteCheck, &Policy::default()),
            ["blocked: `PolicyEnabled : NO` (needed: `YES` (see `policy.enabled`))"]
        );
    }

    #[test]
    fn a_policy_that_switches_hello_off_is_no_rollout_that_waits() {
        let found = NgcPrerequisites { policy_enabled: No, result: PreReqResult::WillNotProvision, ..prerequisites() };
        let host = host(found, Context::UserSession).no_policy();
        let off = host.clone().channel(Channel::ComputerPolicy, hello_policy(0));
        let unread = host.clone().unread(Channel::UserPolicy);
        for (host, expected) in [
            (host, "not-applicable: not started"),
            (off, "blocked: `PolicyEnabled : NO` (needed: `YES` (see `policy.enabled`))"),
            (unread, "unknown: the user's group policy: access denied: not allowed"),
        ] {
            assert_eq!(host.judge(&NgcPrerequisiteCheck, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn where_it_was_read_and_whether_hello_is_set_up_decide_first() {
        let wont = NgcPrerequisites { result: PreReqResult::WillNotProvision, ..prerequisites() };
        let wrong = "unknown: the prerequisite evaluation: wrong context: read by a service, where the answer means \
                     nothing; it must be read in the user's session";
        let set = |set| Host::endpoint().user(Evidence::Ngc(ngc(set)), Context::UserSession);
        let cases = [
            (host(prerequisites(), Context::Unknown), "ready"),
            (host(prerequisites(), Context::Service), wrong),
            (
                host(wont.clone(), Context::Unknown),
                "unknown: the prerequisite evaluation: `PreReqResult : WillNotProvision` counts only from the user's \
                 own session, and where it was read is not known",
            ),
            (host(wont.clone(), Context::Service), wrong),
            (
                set(Tristate::Yes).user(Evidence::NgcPrerequisites(wont), Context::UserSession),
                "not-applicable: already set up",
            ),
            (
                set(Tristate::Yes).user_absent(Kind::NgcPrerequisites, Context::UserSession),
                "not-applicable: already set up",
            ),
            (
                set(No).user_absent(Kind::NgcPrerequisites, Context::UserSession),
                "unknown: the prerequisite evaluation: Windows does not show it although Hello is not set up",
            ),
            (set(No).user_absent(Kind::NgcPrerequisites, Context::Service), wrong),
            (
                Host::endpoint().user_absent(Kind::NgcPrerequisites, Context::UserSession),
                "unknown: the user's Hello container: not reported",
            ),
            (
                set(No).user_failed(Kind::NgcPrerequisites),
                "unknown: the prerequisite evaluation: access denied: not allowed",
            ),
            (set(No), "unknown: the prerequisite evaluation: not reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NgcPrerequisiteCheck, &Policy::default()), [expected]);
        }
    }
}
