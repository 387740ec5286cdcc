//! What the checks of the KDC's certificate share: whom they speak of, and which certificate they judge.

use std::borrow::Cow;

use muster_evidence::{DomainController, Evidence, Kind, OperatingSystem, Outcome, Timestamp};

use crate::check::answer::Answer;
use crate::derive::capability::Capability;
use crate::derive::kdc_certificate::{KdcCertificate, Selection, kdc_certificate};
use crate::{Check, Facts, Gap, Judged, Judgement, Policy, Verdict};

/// Whether the host is a domain controller.
pub(super) fn is_domain_controller(facts: &Facts<'_>) -> bool {
    crate::derive::population::is_domain_controller(facts.host)
}

/// Why the certificate checks do not speak of this controller, if so.
fn left_out(facts: &Facts<'_>, policy: &Policy) -> Option<String> {
    match Capability::derive(operating_system(facts), names(facts), policy) {
        Capability::NotCapable { reason } => Some(reason),
        Capability::Capable | Capability::Unsettled { .. } => None,
    }
}

/// Judges the KDC's certificate, whatever is known of it. Empty on hosts that are no domain controllers.
pub(super) fn judge_kdc<'a>(
    check: &dyn Check,
    facts: &Facts<'a>,
    policy: &Policy,
    now: Timestamp,
    answer: impl FnOnce(KdcCertificate<'a>) -> Answer,
) -> Vec<Judgement> {
    if !is_domain_controller(facts) {
        return Vec::new();
    }
    let answer = match left_out(facts, policy) {
        Some(reason) => Answer::bare(Verdict::not_applicable(reason)),
        None => answer(kdc_certificate(facts, now)),
    };
    vec![answer.about(check, Judged::Host)]
}

/// Judges the certificate that the KDC would select. Without one the check does not apply, since `dc.cert-present`
/// says so; where the selection is uncertain, so is every answer about it.
pub(super) fn judge_selected<'a>(
    check: &dyn Check,
    facts: &Facts<'a>,
    policy: &Policy,
    now: Timestamp,
    verdict: impl FnOnce(&Selection<'a>) -> (Verdict, Option<Timestamp>),
) -> Vec<Judgement> {
    judge_kdc(check, facts, policy, now, |found| match found {
        KdcCertificate::Unknown(gap) => Answer::gap(gap),
        KdcCertificate::NoCandidate { evidence_at, .. } => Answer {
            verdict: Verdict::not_applicable("no certificate that the KDC could select"),
            valid_until: None,
            evidence_at: Some(evidence_at),
        },
        KdcCertificate::Selected(selection) => {
            let (verdict, until) = match &selection.uncertain {
                Some(why) => (
                    Verdict::Unknown(Gap {
                        missing: "which certificate the KDC selects".into(),
                        why: Cow::Owned(why.clone()),
                    }),
                    None,
                ),
                None => verdict(&selection),
            };
            let valid_until = [until, selection.changes_at].into_iter().flatten().filter(|date| *date > now).min();
            Answer { verdict, valid_until, evidence_at: Some(selection.evidence_at) }
        }
    })
}

/// The operating system, where it was observed.
pub(super) fn operating_system<'a>(facts: &Facts<'a>) -> Option<&'a OperatingSystem> {
    match &facts.host.of_host(Kind::OperatingSystem)?.outcome {
        Outcome::Observed(Evidence::OperatingSystem(os)) => Some(os),
        _ => None,
    }
}

/// The controller's own description, where it was observed.
pub(super) fn names<'a>(facts: &Facts<'a>) -> Option<&'a DomainController> {
    match &facts.host.of_host(Kind::DomainController)?.outcome {
        Outcome::Observed(Evidence::DomainController(dc)) => Some(dc),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Role};

    use super::*;
    use crate::check::fixture::{self, Host};
    use crate::{CHECKS, Scope};

    /// Every check of the KDC's certificate leaves out the same hosts, for the same reasons.
    #[test]
    fn all_certificate_checks_speak_of_the_same_controllers() {
        let old = Host::dc_with(&[]).with(Evidence::OperatingSystem(fixture::windows_server(9_600)));
        let read_only = DomainController { read_only: Some(true), ..fixture::domain_controller() };
        let rodc = Host::dc_with(&[]).with(Evidence::DomainController(read_only));
        let blind = Host::dc().failed(Kind::CertificateListing);
        let unsettled = Host::new("dc02.corp.example", Role::DomainController);
        let by_product = Host::endpoint().with(Evidence::OperatingSystem(fixture::windows_server(20_348)));
        let policy = Policy::default();
        let checks = CHECKS.iter().filter(|check| check.id().starts_with("dc.cert-"));
        for check in checks.clone() {
            assert_eq!(check.scope(), Scope::DomainController);
            assert_eq!(Host::provisioned().judge(*check, &policy), [""; 0], "{}", check.id());
            assert_eq!(old.judge(*check, &policy), ["not-applicable: not capable: build 9600 is below 14393"]);
            assert_eq!(rodc.judge(*check, &policy), ["not-applicable: rodc"]);
            assert_eq!(blind.judge(*check, &policy), ["unknown: the certificate store: access denied: not allowed"]);
            assert_eq!(unsettled.judge(*check, &policy), ["unknown: the certificate store: not reported"]);
            assert_eq!(by_product.judge(*check, &policy), ["unknown: the certificate store: not reported"]);
        }
        assert_eq!(checks.count(), 6);
    }

    #[test]
    fn an_uncertain_selection_makes_every_answer_about_it_uncertain() {
        let mut host = Host::dc_with(&[fixture::kdc_certificate(1), fixture::kdc_certificate(2)]);
        host.facts
            .observations
            .retain(|key, _| key.subject != muster_evidence::Subject::Certificate(muster_evidence::Sha256([1; 32])));
        for check in CHECKS.iter().filter(|check| check.id().starts_with("dc.cert-")) {
            let expected = if check.id() == "dc.cert-present" {
                "ready"
            } else {
                "unknown: which certificate the KDC selects: certificate 1 of the store: not reported"
            };
            assert_eq!(host.judge(*check, &Policy::default()), [expected], "{}", check.id());
        }
    }
}
