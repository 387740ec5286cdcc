//! `prereq.event-358-360`: what Windows decided about setting up Hello when the user last signed in.
//!
//! The event is the same evaluation as that of `prereq.ngc`, as it was made at a sign-in, and readable by a service. It
//! says something only until Hello is set up: a container, or a key registered after the event, overrides it.

use muster_evidence::{Kind, ProvisioningEvent, Sid, Timestamp};

use super::steps::{Condition, Conditions, Meant, meant, why_not};
use crate::check::answer::{Answer, Look, judge_people, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::key_state::{Container, container};
use crate::{Check, Facts, Freshness, Gap, Judgement, Policy, Verdict};

pub(in crate::check) struct ProvisioningEventCheck;

const EVENT: &str = "the provisioning event";

impl Check for ProvisioningEventCheck {
    fn id(&self) -> &'static str {
        "prereq.event-358-360"
    }

    fn title(&self) -> &'static str {
        "Windows launched the setting up of Hello"
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
            Kind::ProvisioningEvent,
            Kind::Ngc,
            Kind::KeyRegistration,
            Kind::UserPolicy,
            Kind::ComputerPolicy,
            Kind::UserMdmPolicy,
            Kind::DeviceMdmPolicy,
            Kind::JoinState,
        ]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "At each sign-in Windows writes whether it will offer Hello to the user: event 358 that it will, \
                      360, 361 and 362 that it will not. The fields of the latter name what stands in the way.",
            evidence: "The newest of these events for the user in `Microsoft-Windows-User Device Registration/Admin`, \
                       read by the names of its data and never from the rendered text. `UserIsRemote : Yes` in it means \
                       that the user is *not* connected remotely, and is shown here as the local session that it is.",
            threshold: "358: ready. 360, 361 or 362: read by the steps of `prereq.ngc`; what was not tested is no NO. \
                        Only the policy is NO and a policy switches Hello on now: unknown until the next sign-in. Hello set up, or a key registered (event 300) after the event: not applicable. No such event in \
                        the log: not applicable, and `prereq.ngc` tells what Windows says now.",
            remedy: "Go where the deciding field points: `DeviceIsJoined` to `join.type`, `AADPrt` to `prt.present`, \
                     `NgcPolicyEnabled` to `policy.enabled`, `NgcHardwarePolicyMet` to `tpm.present` and `tpm.version`.",
            source: "Microsoft Learn, How Windows Hello for Business works: provisioning; the names of the data are from \
                     captured events",
            query: "muster hosts --check prereq.event-358-360 --standing blocked",
            alert: "Alert when users of a site that is being rolled out become blocked by `prereq.event-358-360`: they \
                    were not offered Hello at their last sign-in.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| self.of_user(facts, sid))
    }
}

impl ProvisioningEventCheck {
    fn of_user(&self, facts: &Facts<'_>, sid: &Sid) -> Answer {
        let container = container(facts, sid);
        if let Container::Set(observation) = container {
            return Answer::from(Verdict::not_applicable("already set up"), observation);
        }
        let (event, observation) = match look_at!(facts, ProvisioningEvent, sid) {
            Look::Gap(gap) => return Answer::gap(gap),
            Look::Absent(observation) => {
                return Answer::from(Verdict::not_applicable("no such event in the log"), observation);
            }
            Look::Found(event, observation) => (event, observation),
        };
        if let Look::Found(registration, seen) = look_at!(facts, KeyRegistration, sid)
            && registration.registered_at > event.at
            && !was_removed(&container, registration.registered_at)
        {
            return Answer::from(Verdict::not_applicable("already set up"), seen);
        }
        let verdict = match event.id {
            358 => Verdict::Ready,
            360..=362 => why_not(self, &conditions(event), || match meant(facts, sid) {
                // The event is of its time. What a policy set since then comes to, the next sign-in shows.
                Meant::On => Meant::Unknown(Gap {
                    missing: "an event since Hello was switched on".into(),
                    why: format!("that of {} says `NgcPolicyEnabled : NO`, and a policy switches it on now", event.at)
                        .into(),
                }),
                meant => meant,
            }),
            other => Verdict::unknown(EVENT, format!("event {other} says nothing of provisioning")),
        };
        Answer::from(verdict, observation)
    }
}

/// Whether the container was looked for after the registration and was not there: its key is gone.
fn was_removed(container: &Container<'_>, registered_at: Timestamp) -> bool {
    matches!(container, Container::NotSet(seen) if seen.observed_at >= registered_at)
}

/// What the event says, for the four steps.
fn conditions(event: &ProvisioningEvent) -> Conditions {
    let condition = |value, name| Condition { value, name };
    Conditions {
        device_joined: condition(event.device_is_joined, "DeviceIsJoined"),
        user_known: condition(event.aad_prt, "AADPrt"),
        policy_enabled: condition(event.policy_enabled, "NgcPolicyEnabled"),
        post_logon: condition(event.post_logon_enabled, "NgcPostLogonProvisioningEnabled"),
        device_eligible: condition(event.hardware_policy_met, "NgcHardwarePolicyMet"),
        session_is_local: condition(event.session_is_local, "UserIsRemote"),
        certificate_trust: event.certificate_required == muster_evidence::Tristate::Yes || event.id != 360,
        undetermined_is_a_gap: false,
        evaluation: EVENT,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Tristate::{No, NotShown, Undetermined, Yes};
    use muster_evidence::{Context, Evidence, JoinState};

    use super::super::steps::{REMOTE_SESSION, keeps_last_verdict};
    use super::*;
    use crate::check::fixture::device::hello_policy;
    use crate::check::fixture::people::provisioning;
    use crate::check::fixture::{Host, at, hybrid, ngc, now, registration};
    use crate::derive::effective_policy::Channel;

    fn host(event: ProvisioningEvent) -> Host {
        Host::endpoint()
            .with(Evidence::JoinState(hybrid()))
            .user(Evidence::Ngc(ngc(No)), Context::UserSession)
            .user(Evidence::ProvisioningEvent(event), Context::Service)
    }

    #[test]
    fn the_four_steps() {
        let refused = || provisioning(360);
        let cases = [
            (provisioning(358), "ready".to_owned()),
            (ProvisioningEvent { policy_enabled: No, ..refused() }, "not-applicable: not started".to_owned()),
            (
                ProvisioningEvent {
                    policy_enabled: No,
                    device_is_joined: Undetermined,
                    hardware_policy_met: Undetermined,
                    session_is_local: Undetermined,
                    ..refused()
                },
                "not-applicable: not started".to_owned(),
            ),
            (
                ProvisioningEvent { session_is_local: No, ..refused() },
                format!("unknown: {REMOTE_SESSION}: a remote session says nothing about a sign-in at the machine"),
            ),
            (
                ProvisioningEvent { post_logon_enabled: No, session_is_local: No, ..refused() },
                "advisory: `NgcPostLogonProvisioningEnabled : NO`: enrolment does not start by itself (needed: `YES`, \
                 unless users are meant to start enrolment themselves)"
                    .to_owned(),
            ),
            (
                ProvisioningEvent { policy_enabled: No, hardware_policy_met: No, ..refused() },
                "blocked: `NgcHardwarePolicyMet : NO` (needed: `YES` (see `tpm.present` and `tpm.version`))".to_owned(),
            ),
            (
                ProvisioningEvent { device_is_joined: No, aad_prt: No, ..refused() },
                "blocked: `DeviceIsJoined : NO` (needed: `YES` (see `join.type`))".to_owned(),
            ),
            (
                ProvisioningEvent { aad_prt: No, ..provisioning(361) },
                "blocked: `AADPrt : NO` (needed: `YES` (see `prt.present`))".to_owned(),
            ),
            (
                ProvisioningEvent { certificate_required: Yes, ..refused() },
                "not-applicable: other trust: certificate trust".to_owned(),
            ),
            (provisioning(362), "not-applicable: other trust: certificate trust".to_owned()),
            (
                ProvisioningEvent { post_logon_enabled: NotShown, ..refused() },
                "unknown: the provisioning event: Windows will not set up Hello, and no condition says why".to_owned(),
            ),
            (provisioning(300), "unknown: the provisioning event: event 300 says nothing of provisioning".to_owned()),
        ];
        for (event, expected) in cases {
            assert_eq!(host(event).judge(&ProvisioningEventCheck, &Policy::default()), [expected]);
        }
        let remote = host(ProvisioningEvent { session_is_local: No, ..refused() });
        let judgements = remote.judgements(&ProvisioningEventCheck, &Policy::default());
        assert!(keeps_last_verdict(&judgements[0].verdict));
    }

    #[test]
    fn the_policy_and_the_join_say_how_to_read_a_no_of_the_policy() {
        let refused = host(ProvisioningEvent { policy_enabled: No, ..provisioning(360) });
        let blocked = "blocked: `NgcPolicyEnabled : NO` (needed: `YES` (see `policy.enabled`))";
        let entra = JoinState { domain_joined: No, ..hybrid() };
        for (host, expected) in [
            (refused.clone().with(Evidence::JoinState(entra)), blocked),
            (refused.clone().no_policy().channel(Channel::DeviceMdm, hello_policy(0)), blocked),
            (
                refused.clone().no_policy().channel(Channel::ComputerPolicy, hello_policy(1)),
                "unknown: an event since Hello was switched on: that of 2026-03-02T08:00:00Z says `NgcPolicyEnabled : \
                 NO`, and a policy switches it on now",
            ),
            (refused.no_policy(), "not-applicable: not started"),
        ] {
            assert_eq!(host.judge(&ProvisioningEventCheck, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn what_was_set_up_after_the_event_overrides_it() {
        let refused = ProvisioningEvent { aad_prt: No, at: at("2026-03-02T08:00:00Z"), ..provisioning(360) };
        let blocked = "blocked: `AADPrt : NO` (needed: `YES` (see `prt.present`))";
        let set_up = "not-applicable: already set up";
        let base = || Host::endpoint().user(Evidence::ProvisioningEvent(refused.clone()), Context::Service);
        let registered =
            |host: Host, when: &str| host.user(Evidence::KeyRegistration(registration(at(when))), Context::Service);
        let container = |host: Host, set| host.user(Evidence::Ngc(ngc(set)), Context::UserSession);
        let cases = [
            (base(), blocked),
            (container(base(), Yes), set_up),
            (container(base(), No), blocked),
            (registered(base(), "2026-03-02T08:00:00.001Z"), set_up),
            (registered(base(), "2026-03-02T08:00:00Z"), blocked),
            // The container was looked for after the registration, and it is gone.
            (container(registered(base(), "2026-03-02T09:00:00Z"), No), blocked),
            (container(registered(base(), "2026-03-02T12:00:00.001Z"), No), set_up),
            (base().user_failed(Kind::Ngc), blocked),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ProvisioningEventCheck, &Policy::default()), [expected]);
        }
        assert_eq!(now(), at("2026-03-02T12:00:00Z"));
    }

    #[test]
    fn without_an_event_there_is_nothing_to_judge() {
        let cases = [
            (
                Host::endpoint().user_absent(Kind::ProvisioningEvent, Context::Service),
                "not-applicable: no such event in the log",
            ),
            (
                Host::endpoint().user_failed(Kind::ProvisioningEvent),
                "unknown: the provisioning event: access denied: not allowed",
            ),
            (
                Host::endpoint().user(Evidence::Ngc(ngc(No)), Context::UserSession),
                "unknown: the provisioning event: not reported",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ProvisioningEventCheck, &Policy::default()), [expected]);
        }
    }
}
