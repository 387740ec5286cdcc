//! `policy.trust-type`: whether the person's Hello uses the trust model that the site rolls out.
//!
//! Certificate trust where a policy asks for it, else cloud Kerberos trust where one does, else key trust. A machine that
//! works in another way is not broken: it leaves the population and is counted apart, unless the policy wants it moved.

use muster_evidence::{CertEnrollment, Kind, Sid, Timestamp};

use super::{Evaluation, NO_CHANNEL, evaluation, judge_subjects, set_by};
use crate::check::answer::{Answer, finding};
use crate::check::{OTHER_TRUST, Page, Scope, Severity, TRUST_TYPE};
use crate::derive::effective_policy::{Channel, EffectivePolicy, Hello, Setting, Trust};
use crate::{Check, Facts, Freshness, Judgement, Policy, TrustType, Verdict};

pub(in crate::check) struct ExpectedTrust;

/// What is missing where two sources contradict each other.
const WHICH: &str = "which trust model is set";

impl Check for ExpectedTrust {
    fn id(&self) -> &'static str {
        TRUST_TYPE
    }

    fn title(&self) -> &'static str {
        "Hello uses the trust model that the site rolls out"
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
            Kind::UserPolicy,
            Kind::ComputerPolicy,
            Kind::UserMdmPolicy,
            Kind::DeviceMdmPolicy,
            Kind::NgcPrerequisites,
            Kind::JoinState,
        ]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hello proves itself on premises by a key, by a ticket from Entra ID or by a certificate. Which of \
                      them a machine uses is set by policy, and what is checked elsewhere holds for one model.",
            evidence: "`UseCertificateForOnPremAuth` and `UseCloudTrustForOnPremAuth` of group policy and device \
                       management, by precedence (a user's group policy cannot set cloud trust); certificate trust wins \
                       over cloud trust, and neither is key trust. `CertEnrollment` of `dsregcmd /status` in the user's \
                       session is compared with it.",
            threshold: "The model that `expected_trust` names for the site (key trust by default): ready. Another one: \
                        not applicable with `other trust` and its name, or blocked where `move_other_trust` is set. A \
                        machine on which nothing is set and Hello is not started is not blocked for it. A channel that \
                        could not be read, or a `CertEnrollment` that says otherwise: unknown.",
            remedy: "Where these machines should use key trust, unset *Use certificate for on-premises authentication* \
                     and *Use cloud trust for on-premises authentication* for them. Where they should not, name their \
                     model in `expected_trust` of their site.",
            source: "Microsoft Learn, Configure Windows Hello for Business; Windows Hello for Business policy settings",
            query: "muster hosts --check policy.trust-type --standing blocked --standing not-applicable",
            alert: "Alert when endpoints of a site that is rolled out leave it by `policy.trust-type`: a policy of \
                    another trust model reaches them.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        let expected = policy.for_site_or_everywhere(facts.site.site.as_ref()).expected_trust;
        let wanted = Wanted { expected, must_move: policy.move_other_trust };
        judge_subjects(self, facts, |set, sid| self.of(set, facts, sid, wanted))
    }
}

/// What the policy says about trust models at a site.
#[derive(Clone, Copy)]
struct Wanted {
    expected: TrustType,
    must_move: bool,
}

impl ExpectedTrust {
    fn of(&self, set: &EffectivePolicy<'_>, facts: &Facts<'_>, sid: Option<&Sid>, wanted: Wanted) -> Answer {
        let evaluation = evaluation(facts, sid);
        let by_windows = certificates(&evaluation);
        let verdict = match set.trust() {
            Trust::Uncertain(_) if !set.was_looked_at() => self.by_windows(&evaluation, wanted),
            Trust::Uncertain(uncertain) => Verdict::Unknown(set.gap(uncertain)),
            Trust::Is(model, channel) => match by_windows {
                Some(enrolled) if enrolled != (model == TrustType::CertificateTrust) => {
                    let said = if enrolled { "names who enrols certificates" } else { "is `none`" };
                    let why =
                        format!("`CertEnrollment` {said} in the user's session, but {}", asked_for(model, channel));
                    Verdict::unknown(WHICH, why)
                }
                _ => match &evaluation {
                    Evaluation::Unreadable(gap) => Verdict::Unknown(gap.clone()),
                    Evaluation::Silent | Evaluation::Own(..) | Evaluation::Unsaid(..) => {
                        // Where nothing is set at all, no model has been chosen yet.
                        let undecided = channel.is_none() && set.hello() == Hello::NotStarted;
                        if model != wanted.expected && undecided {
                            Verdict::not_applicable("not started")
                        } else {
                            self.compare(model, || asked_for(model, channel), wanted)
                        }
                    }
                },
            },
        };
        let read_at = evaluation.read_at().filter(|_| by_windows.is_some());
        let settings = [Setting::UseCertificateTrust, Setting::UseCloudTrust].map(|setting| set.evidence_at(setting));
        let evidence_at = settings.into_iter().chain([read_at]).flatten().min();
        Answer { verdict, valid_until: None, evidence_at }
    }

    fn compare(&self, model: TrustType, seen: impl FnOnce() -> String, wanted: Wanted) -> Verdict {
        if model == wanted.expected {
            Verdict::Ready
        } else if wanted.must_move {
            Verdict::Blocked(finding(self, seen(), format!("{}, which the site rolls out", wanted.expected.name())))
        } else {
            Verdict::not_applicable(format!("{OTHER_TRUST}: {}", model.name()))
        }
    }

    /// The answer by what Windows says, where nobody looked at a channel: it names certificate trust, and does not tell
    /// the two others apart.
    fn by_windows(&self, evaluation: &Evaluation<'_>, wanted: Wanted) -> Verdict {
        match (certificates(evaluation), evaluation) {
            (Some(true), _) => {
                let seen = || "certificate trust: `CertEnrollment` names who enrols certificates".to_owned();
                self.compare(TrustType::CertificateTrust, seen, wanted)
            }
            (Some(false), _) => Verdict::unknown(
                NO_CHANNEL,
                "`CertEnrollment : none` rules certificate trust out, and nobody looked whether cloud Kerberos trust is \
                 set",
            ),
            (None, Evaluation::Unreadable(gap)) => Verdict::Unknown(gap.clone()),
            (None, _) => Verdict::unknown(NO_CHANNEL, "none of their channels was reported"),
        }
    }
}

/// Whether Windows enrols certificates for sign-in; `None` where it does not say.
fn certificates(evaluation: &Evaluation<'_>) -> Option<bool> {
    let (found, own) = match evaluation {
        Evaluation::Silent | Evaluation::Unreadable(_) => return None,
        Evaluation::Own(found, _) => (found, true),
        Evaluation::Unsaid(found, _) => (found, false),
    };
    match found.cert_enrollment? {
        CertEnrollment::EnrollmentAuthority | CertEnrollment::MobileDeviceManagement => Some(true),
        CertEnrollment::None => own.then_some(false),
        CertEnrollment::Other => None,
    }
}

/// A model and what asks for it.
fn asked_for(model: TrustType, channel: Option<Channel>) -> String {
    let setting = match model {
        TrustType::CertificateTrust => Setting::UseCertificateTrust,
        TrustType::CloudKerberosTrust | TrustType::KeyTrust => Setting::UseCloudTrust,
    };
    match channel {
        Some(channel) => format!("{}: {}", model.name(), set_by(setting, channel, 1)),
        None => format!("{}: no policy asks for another", model.name()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_evidence::{Context, Evidence, HelloPolicy, NgcPrerequisites};

    use super::*;
    use crate::SiteOverride;
    use crate::check::fixture::device::hello_policy;
    use crate::check::fixture::{Host, hybrid, prerequisites};

    fn bare() -> Host {
        Host::endpoint()
            .with(Evidence::JoinState(hybrid()))
            .no_policy()
            .channel(Channel::ComputerPolicy, hello_policy(1))
    }

    fn certificate() -> HelloPolicy {
        HelloPolicy { use_certificate_for_on_prem_auth: Some(1), ..hello_policy(1) }
    }

    fn cloud() -> HelloPolicy {
        HelloPolicy { use_cloud_trust_for_on_prem_auth: Some(1), ..hello_policy(1) }
    }

    fn said(host: Host, cert_enrollment: Option<CertEnrollment>, context: Context) -> Host {
        let found = NgcPrerequisites { cert_enrollment, ..prerequisites() };
        host.user(Evidence::NgcPrerequisites(found), context)
    }

    fn expecting(expected_trust: TrustType, move_other_trust: bool) -> Policy {
        Policy { expected_trust, move_other_trust, ..Policy::default() }
    }

    #[test]
    fn the_models() {
        use TrustType::{CertificateTrust, CloudKerberosTrust, KeyTrust};
        let with = |policy| bare().channel(Channel::ComputerPolicy, policy);
        let unset = Host::endpoint().with(Evidence::JoinState(hybrid())).no_policy();
        let cases = [
            (bare(), KeyTrust, false, "ready"),
            (with(cloud()), KeyTrust, false, "not-applicable: other trust: cloud Kerberos trust"),
            (with(certificate()), KeyTrust, false, "not-applicable: other trust: certificate trust"),
            (
                with(cloud()),
                KeyTrust,
                true,
                "blocked: cloud Kerberos trust: `UseCloudTrustForOnPremAuth = 1` in the computer's group policy \
                 (needed: key trust, which the site rolls out)",
            ),
            (
                with(certificate()),
                KeyTrust,
                true,
                "blocked: certificate trust: `UseCertificateForOnPremAuth = 1` in the computer's group policy \
                 (needed: key trust, which the site rolls out)",
            ),
            (with(cloud()), CloudKerberosTrust, true, "ready"),
            (with(certificate()), CertificateTrust, true, "ready"),
            (bare(), CloudKerberosTrust, false, "not-applicable: other trust: key trust"),
            (
                bare(),
                CloudKerberosTrust,
                true,
                "blocked: key trust: no policy asks for another (needed: cloud Kerberos trust, which the site rolls \
                 out)",
            ),
            // Nothing is set at all: nothing to move yet.
            (unset.clone(), CloudKerberosTrust, true, "not-applicable: not started"),
            (unset, KeyTrust, true, "ready"),
        ];
        for (host, expected, must_move, answer) in cases {
            assert_eq!(host.judge(&ExpectedTrust, &expecting(expected, must_move)), [answer]);
        }
    }

    #[test]
    fn a_site_can_expect_another_model() {
        let cloud_site =
            SiteOverride { expected_trust: Some(TrustType::CloudKerberosTrust), ..SiteOverride::default() };
        let policy = Policy { sites: BTreeMap::from([("Berlin".to_owned(), cloud_site)]), ..Policy::default() };
        let host = bare().channel(Channel::ComputerPolicy, cloud());
        assert_eq!(host.judge(&ExpectedTrust, &policy), ["ready"]);
        let mut elsewhere = host;
        elsewhere.site.site = None;
        assert_eq!(elsewhere.judge(&ExpectedTrust, &policy), ["not-applicable: other trust: cloud Kerberos trust"]);
    }

    #[test]
    fn windows_is_asked_too() {
        use CertEnrollment::{EnrollmentAuthority, MobileDeviceManagement, None as Nobody, Other};
        let own = |host: Host, enrollment| said(host, Some(enrollment), Context::UserSession);
        let with = |policy| bare().channel(Channel::ComputerPolicy, policy);
        let blind = Host::endpoint;
        let none = "unknown: the policies that set Hello: none of their channels was reported";
        let open = "unknown: the policies that set Hello: `CertEnrollment : none` rules certificate trust out, and \
                    nobody looked whether cloud Kerberos trust is set";
        let cases = [
            (own(bare(), Nobody), "ready"),
            (own(bare(), Other), "ready"),
            (said(bare(), None, Context::UserSession), "ready"),
            (
                own(bare(), EnrollmentAuthority),
                "unknown: which trust model is set: `CertEnrollment` names who enrols certificates in the user's \
                 session, but key trust: no policy asks for another",
            ),
            (own(with(certificate()), MobileDeviceManagement), "not-applicable: other trust: certificate trust"),
            (
                own(with(certificate()), Nobody),
                "unknown: which trust model is set: `CertEnrollment` is `none` in the user's session, but certificate \
                 trust: `UseCertificateForOnPremAuth = 1` in the computer's group policy",
            ),
            (own(with(cloud()), Nobody), "not-applicable: other trust: cloud Kerberos trust"),
            (
                said(with(certificate()), Some(Nobody), Context::Unknown),
                "not-applicable: other trust: certificate trust",
            ),
            (said(bare(), Some(EnrollmentAuthority), Context::Service), "ready"),
            (
                bare().user_failed(Kind::NgcPrerequisites),
                "unknown: the prerequisite evaluation: access denied: not allowed",
            ),
            (bare().user_absent(Kind::NgcPrerequisites, Context::UserSession), "ready"),
            (own(blind(), EnrollmentAuthority), "not-applicable: other trust: certificate trust"),
            (own(blind(), Nobody), open),
            (own(blind(), Other), none),
            (said(blind(), Some(EnrollmentAuthority), Context::Service), none),
            (
                blind().user_failed(Kind::NgcPrerequisites),
                "unknown: the prerequisite evaluation: access denied: not allowed",
            ),
            (blind(), none),
            (bare().unread(Channel::UserPolicy), "unknown: the user's group policy: access denied: not allowed"),
            (
                own(bare().unread(Channel::UserPolicy), EnrollmentAuthority),
                "unknown: the user's group policy: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ExpectedTrust, &Policy::default()), [expected]);
        }
    }
}
