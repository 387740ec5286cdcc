//! `policy.post-logon`: whether enrolment starts by itself after a sign-in.

use muster_evidence::{Kind, Sid, Timestamp};

use super::{Evaluation, NO_CHANNEL, by_channels, evaluation, judge_subjects, set_by};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{EffectivePolicy, Setting, Switch};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct PostLogon;

/// What is needed.
const NEEDED: &str = "enrolment after sign-in, unless users are meant to start it themselves";

impl Check for PostLogon {
    fn id(&self) -> &'static str {
        "policy.post-logon"
    }

    fn title(&self) -> &'static str {
        "Enrolment starts by itself after a sign-in"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::UserPolicy, Kind::ComputerPolicy, Kind::UserMdmPolicy, Kind::DeviceMdmPolicy, Kind::NgcPrerequisites]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Windows asks a user to set up Hello right after the sign-in. `DisablePostLogonProvisioning` turns \
                      that off: users start enrolment themselves, in the settings of their account, and many never do.",
            evidence: "`DisablePostLogonProvisioning` of group policy and device management, of the user and of the \
                       computer, by precedence; `PostLogonEnabled` of `dsregcmd /status` where no channel was looked \
                       at.",
            threshold: "Not set, or 0: ready. 1: advisory, since it is normal in a phased rollout. A channel that could \
                        not be read: unknown, unless one before it decides.",
            remedy: "Set *Do not start Windows Hello provisioning after sign-in* to disabled for this group, or tell its \
                     users where to start enrolment.",
            source: "Microsoft Learn, Windows Hello for Business policy settings",
            query: "muster hosts --check policy.post-logon --standing advisory",
            alert: "No alert is needed; look at `policy.post-logon` where a group's enrolment lags behind.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_subjects(self, facts, |policy, sid| self.of(policy, facts, sid))
    }
}

impl PostLogon {
    fn of(&self, policy: &EffectivePolicy<'_>, facts: &Facts<'_>, sid: Option<&Sid>) -> Answer {
        let setting = Setting::DisablePostLogonProvisioning;
        let verdict = match policy.switch(setting) {
            Switch::Off(_) | Switch::NotSet => Verdict::Ready,
            Switch::On(channel) => Verdict::Advisory(finding(self, set_by(setting, channel, 1), NEEDED)),
            Switch::Uncertain(_) if !policy.was_looked_at() => {
                return self.by_windows(&evaluation(facts, sid));
            }
            Switch::Uncertain(uncertain) => Verdict::Unknown(policy.gap(uncertain)),
        };
        by_channels(policy, setting, verdict)
    }

    /// The answer by what Windows says, where nobody looked at a channel.
    fn by_windows(&self, evaluation: &Evaluation<'_>) -> Answer {
        let verdict = match (evaluation.flag(|found| found.post_logon_enabled), evaluation) {
            (Some(true), _) => Verdict::Ready,
            (Some(false), _) => Verdict::Advisory(finding(self, "`PostLogonEnabled : NO`", NEEDED)),
            (None, Evaluation::Unreadable(gap)) => Verdict::Unknown(gap.clone()),
            (None, _) => Verdict::unknown(NO_CHANNEL, "none of their channels was reported"),
        };
        Answer { verdict, valid_until: None, evidence_at: evaluation.read_at() }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Tristate::{self, No, NotShown, Yes};
    use muster_evidence::{Context, Evidence, HelloPolicy, NgcPrerequisites};

    use super::*;
    use crate::check::fixture::{Host, prerequisites};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn the_table() {
        let bare = || Host::endpoint().no_policy();
        let disable = |value| HelloPolicy { disable_post_logon_provisioning: Some(value), ..HelloPolicy::default() };
        let said = |post_logon_enabled: Tristate, context| {
            let found = NgcPrerequisites { post_logon_enabled, ..prerequisites() };
            Host::endpoint().user(Evidence::NgcPrerequisites(found), context)
        };
        let needed = "(needed: enrolment after sign-in, unless users are meant to start it themselves)";
        let disabled = format!("advisory: `DisablePostLogonProvisioning = 1` in the computer's group policy {needed}");
        let by_windows = format!("advisory: `PostLogonEnabled : NO` {needed}");
        let none = "unknown: the policies that set Hello: none of their channels was reported";
        let cases: [(Host, &str); 15] = [
            (bare(), "ready"),
            (bare().channel(Channel::ComputerPolicy, disable(0)), "ready"),
            (bare().channel(Channel::ComputerPolicy, disable(1)), &disabled),
            (bare().channel(Channel::ComputerPolicy, disable(1)).channel(Channel::UserPolicy, disable(0)), "ready"),
            (bare().unread(Channel::UserMdm), "unknown: the user's MDM policy: access denied: not allowed"),
            (bare().channel(Channel::ComputerPolicy, disable(1)).unread(Channel::UserMdm), &disabled),
            (
                bare().channel(Channel::DeviceMdm, disable(9)),
                "unknown: the device's MDM policy: `DisablePostLogonProvisioning = 9` is neither 0 nor 1",
            ),
            (said(Yes, Context::UserSession), "ready"),
            (said(No, Context::UserSession), &by_windows),
            (said(No, Context::Unknown), none),
            (said(Yes, Context::Service), none),
            (said(NotShown, Context::UserSession), none),
            (
                Host::endpoint().user_failed(Kind::NgcPrerequisites),
                "unknown: the prerequisite evaluation: access denied: not allowed",
            ),
            (Host::endpoint(), none),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&PostLogon, &Policy::default()), [expected]);
        }
    }
}
