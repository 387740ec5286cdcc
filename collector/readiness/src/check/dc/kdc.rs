//! What the checks of domain controllers share: whom they speak of, and which certificate they judge.

use std::borrow::Cow;

use muster_evidence::{DomainController, Evidence, Kind, OperatingSystem, Outcome, Timestamp};

use crate::check::answer::{Answer, words};
use crate::derive::capability::Capability;
use crate::derive::kdc_certificate::{KdcCertificate, Selection, kdc_certificate};
use crate::{Check, Facts, Gap, Judged, Judgement, Policy, Verdict};

/// What says which certificate the KDC would select, and whether anybody asks.
pub(in crate::check) const SELECTION: &[Kind] = &[
    Kind::CertificateListing,
    Kind::Certificate,
    Kind::NtAuthStore,
    Kind::KdcEvents,
    Kind::OperatingSystem,
    Kind::DomainController,
];

/// Whether the host is a domain controller.
pub(in crate::check) fn is_domain_controller(facts: &Facts<'_>) -> bool {
    crate::derive::population::is_domain_controller(facts.host)
}

/// Why the checks of what serves key trust do not speak of this controller, if so.
fn left_out(facts: &Facts<'_>, policy: &Policy) -> Option<String> {
    match Capability::derive(operating_system(facts), names(facts), policy) {
        Capability::NotCapable { reason } => Some(reason),
        Capability::Capable | Capability::Unsettled { .. } => None,
    }
}

/// Judges a domain controller, old and read-only ones too. Empty on hosts that are none.
pub(in crate::check) fn judge_controller(
    check: &dyn Check,
    facts: &Facts<'_>,
    answer: impl FnOnce() -> Answer,
) -> Vec<Judgement> {
    if is_domain_controller(facts) { vec![answer().about(check, Judged::Host)] } else { Vec::new() }
}

/// Judges a domain controller that can serve key trust; not applicable on others. Empty on hosts that are none.
pub(in crate::check) fn judge_capable(
    check: &dyn Check,
    facts: &Facts<'_>,
    policy: &Policy,
    answer: impl FnOnce() -> Answer,
) -> Vec<Judgement> {
    judge_controller(check, facts, || match left_out(facts, policy) {
        Some(reason) => Answer::bare(Verdict::not_applicable(reason)),
        None => answer(),
    })
}

/// Judges the KDC's certificate, whatever is known of it. Empty on hosts that are no domain controllers.
pub(in crate::check) fn judge_kdc<'a>(
    check: &dyn Check,
    facts: &Facts<'a>,
    policy: &Policy,
    now: Timestamp,
    answer: impl FnOnce(KdcCertificate<'a>) -> Answer,
) -> Vec<Judgement> {
    judge_capable(check, facts, policy, || answer(kdc_certificate(facts, now)))
}

/// Judges the certificate that the KDC would select. Without one the check does not apply, since `dc.cert-present`
/// says so; where the selection is uncertain, so is every answer about it.
///
/// What else the answer rests on is in it: the older of the two times counts, and the earlier of the two dates.
pub(in crate::check) fn judge_selected<'a>(
    check: &dyn Check,
    facts: &Facts<'a>,
    policy: &Policy,
    now: Timestamp,
    answer: impl FnOnce(&Selection<'a>) -> Answer,
) -> Vec<Judgement> {
    judge_kdc(check, facts, policy, now, |found| match found {
        KdcCertificate::Unknown(gap) => Answer::gap(gap),
        KdcCertificate::NoCandidate { evidence_at, .. } => Answer {
            verdict: Verdict::not_applicable("no certificate that the KDC could select"),
            valid_until: None,
            evidence_at: Some(evidence_at),
        },
        KdcCertificate::Selected(selection) => {
            let Answer { verdict, valid_until, evidence_at } = match &selection.uncertain {
                Some(why) => Answer::gap(Gap {
                    missing: "which certificate the KDC selects".into(),
                    why: Cow::Owned(why.clone()),
                }),
                None => answer(&selection),
            };
            Answer {
                verdict,
                valid_until: [valid_until, selection.changes_at].into_iter().flatten().filter(|date| *date > now).min(),
                evidence_at: [evidence_at, Some(selection.evidence_at)].into_iter().flatten().min(),
            }
        }
    })
}

/// The answer where a kind that is always there was reported as absent.
pub(in crate::check) fn absent(kind: Kind) -> Answer {
    Answer::gap(Gap { missing: words(kind).into(), why: "reported as absent".into() })
}

/// The operating system, where it was observed.
pub(in crate::check) fn operating_system<'a>(facts: &Facts<'a>) -> Option<&'a OperatingSystem> {
    match &facts.host.of_host(Kind::OperatingSystem)?.outcome {
        Outcome::Observed(Evidence::OperatingSystem(os)) => Some(os),
        _ => None,
    }
}

/// The controller's own description, where it was observed.
pub(in crate::check) fn names<'a>(facts: &Facts<'a>) -> Option<&'a DomainController> {
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

    /// Every check of what serves key trust leaves out the same hosts, for the same reasons.
    #[test]
    fn all_checks_of_capable_controllers_speak_of_the_same_ones() {
        let old = Host::dc_with(&[]).with(Evidence::OperatingSystem(fixture::windows_server(9_600)));
        let read_only = DomainController { read_only: Some(true), ..fixture::domain_controller() };
        let rodc = Host::dc_with(&[]).with(Evidence::DomainController(read_only));
        let policy = Policy::default();
        let of_all = ["dc.os-version", "dc.kdc-as-rate", "dc.replication"];
        let checks = CHECKS.iter().filter(|check| check.id().starts_with("dc.") || check.id() == "pki.ntauth");
        let mut seen = 0;
        for check in checks.filter(|check| !of_all.contains(&check.id())) {
            assert!(check.scope().is_of_controllers(), "{}", check.id());
            assert_eq!(old.judge(*check, &policy), ["not-applicable: not capable: build 9600 is below 14393"]);
            assert_eq!(rodc.judge(*check, &policy), ["not-applicable: rodc"]);
            if check.scope() == Scope::DomainController {
                assert_eq!(Host::provisioned().judge(*check, &policy), [""; 0], "{}", check.id());
            }
            seen += 1;
        }
        assert_eq!(seen, 17);
        for id in of_all {
            let check = crate::check_by_id(id).unwrap();
            for host in [&old, &rodc] {
                let answers = host.judge(check, &policy);
                assert!(answers.len() == 1 && !answers[0].starts_with("not-applicable"), "{id}: {answers:?}");
            }
            assert_eq!(Host::provisioned().judge(check, &policy), [""; 0], "{id}");
        }
    }

    /// Whatever rests on the KDC's certificate has the same gap where the store was not read.
    #[test]
    fn a_store_that_was_not_read_is_the_same_gap_everywhere() {
        let blind = Host::dc().failed(Kind::CertificateListing);
        let unsettled = Host::new("dc02.corp.example", Role::DomainController);
        let by_product = Host::endpoint().with(Evidence::OperatingSystem(fixture::windows_server(20_348)));
        let policy = Policy::default();
        for check in CHECKS.iter().filter(|check| rests_on_the_certificate(check.id())) {
            assert_eq!(blind.judge(*check, &policy), ["unknown: the certificate store: access denied: not allowed"]);
            assert_eq!(unsettled.judge(*check, &policy), ["unknown: the certificate store: not reported"]);
            assert_eq!(by_product.judge(*check, &policy), ["unknown: the certificate store: not reported"]);
        }
    }

    fn rests_on_the_certificate(id: &str) -> bool {
        id.starts_with("dc.cert-") || id == "dc.crl-fresh" || id == "pki.ntauth"
    }

    #[test]
    fn an_uncertain_selection_makes_every_answer_about_it_uncertain() {
        let mut host = Host::dc_with(&[fixture::kdc_certificate(1), fixture::kdc_certificate(2)]);
        host.facts
            .observations
            .retain(|key, _| key.subject != muster_evidence::Subject::Certificate(muster_evidence::Sha256([1; 32])));
        for check in CHECKS.iter().filter(|check| rests_on_the_certificate(check.id())) {
            let expected = match check.id() {
                "dc.cert-present" => "ready",
                "dc.cert-superseded" => "unknown: a certificate of the store: certificate 1: not reported",
                _ => "unknown: which certificate the KDC selects: certificate 1 of the store: not reported",
            };
            assert_eq!(host.judge(*check, &Policy::default()), [expected], "{}", check.id());
        }
    }
}
