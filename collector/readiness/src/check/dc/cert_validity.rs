//! `dc.cert-validity`: whether the KDC's certificate is valid, and for how long yet.
//!
//! The warning comes at four weeks, or a tenth of the lifetime where that is less: auto-enrolment renews six weeks
//! before the end by default, so that a warning there would come at every renewal that goes well.

use muster_evidence::{Certificate, Kind, Timestamp};

use super::kdc::{SELECTION, judge_selected};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertValidity;

impl Check for CertValidity {
    fn id(&self) -> &'static str {
        "dc.cert-validity"
    }

    fn title(&self) -> &'static str {
        "The KDC's certificate is valid and does not end soon"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        SELECTION
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Clients refuse a KDC whose certificate has ended or has not begun. When it ends, every key-trust \
                      sign-in at this domain controller fails from one moment to the next.",
            evidence: "Begin and end of the certificate that the KDC would select. The verdict changes by itself at \
                       these times, without a new report.",
            threshold: "Outside its validity: blocked. Ends within 28 days (`certificate_warning_days`), or within a \
                        tenth of its lifetime (`certificate_warning_percent`) where that is less: advisory. \
                        Auto-enrolment renews six weeks before the end by default, so a warning means that it did not.",
            remedy: "Renew the certificate; then find out why auto-enrolment did not: permission on the template, reach \
                     of the CA, or the policy.",
            source: "Microsoft Learn, hybrid key trust: validate the domain controller certificates",
            query: "muster hosts --check dc.cert-validity --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes advisory by `dc.cert-validity`, with its end, so that there \
                    is time to act; at once when it is blocked.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| {
            let (verdict, valid_until) = self.of(selection, policy, now);
            Answer { verdict, valid_until, evidence_at: None }
        })
    }
}

impl CertValidity {
    /// The verdict and when it changes. Texts carry dates and no days left, so that a verdict stays the same until
    /// it changes.
    fn of(&self, selection: &Selection<'_>, policy: &Policy, now: Timestamp) -> (Verdict, Option<Timestamp>) {
        let Certificate { not_before, not_after, .. } = selection.certificate;
        if now < *not_before {
            let seen = format!("{} begins on {not_before}", selection.name());
            return (Verdict::Blocked(finding(self, seen, "a certificate that has begun")), Some(*not_before));
        }
        if now > *not_after {
            let seen = format!("{} ended on {not_after}", selection.name());
            return (Verdict::Blocked(finding(self, seen, "a certificate that has not ended")), None);
        }
        let warning_ms = policy.certificate_warning_ms(*not_before, *not_after);
        if not_after.ms_since(now) < warning_ms {
            let seen = format!("{} ends on {not_after}", selection.name());
            let needed = match (warning_ms / 86_400_000, warning_ms / 3_600_000) {
                (0, hours) => format!("renewed at least {hours} h before its end"),
                (1, _) => "renewed at least a day before its end".to_owned(),
                (days, _) => format!("renewed at least {days} days before its end"),
            };
            return (Verdict::Advisory(finding(self, seen, needed)), Some(not_after.plus_ms(1)));
        }
        (Verdict::Ready, Some(not_after.plus_ms(1 - warning_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Standing;
    use crate::check::fixture::{Host, at, kdc_certificate};

    #[test]
    fn both_sides_of_every_date() {
        // 2025-06-01 to 2026-06-01: a tenth of a year is 36.5 days, so the 28 days count.
        let host = Host::dc_with(&[kdc_certificate(1)]);
        let end = "2026-06-01T00:00:00.001Z";
        let warning = "2026-05-04T00:00:00.001Z";
        let cases = [
            ("2025-05-31T23:59:59.999Z", Standing::Blocked, Some("2025-06-01T00:00:00Z")),
            ("2025-06-01T00:00:00Z", Standing::Ready, Some(warning)),
            ("2026-05-04T00:00:00Z", Standing::Ready, Some(warning)),
            (warning, Standing::Advisory, Some(end)),
            ("2026-06-01T00:00:00Z", Standing::Advisory, Some(end)),
            (end, Standing::Blocked, None),
        ];
        for (now, standing, valid_until) in cases {
            let judgements = host.clone().at(at(now)).judgements(&CertValidity, &Policy::default());
            assert_eq!(judgements[0].verdict.standing(), standing, "{now}");
            assert_eq!(judgements[0].valid_until, valid_until.map(at), "{now}");
        }
    }

    #[test]
    fn a_tenth_of_a_short_lifetime_counts_instead() {
        // Ten days from 2026-03-01: the warning comes one day before the end.
        let short = Certificate {
            not_before: at("2026-03-01T00:00:00Z"),
            not_after: at("2026-03-11T00:00:00Z"),
            ..kdc_certificate(1)
        };
        let host = Host::dc_with(&[short]);
        let name = "certificate `CN=dc01.corp.example` (01010101…)";
        let cases = [
            ("2026-03-10T00:00:00Z", "ready".to_owned()),
            (
                "2026-03-10T00:00:00.001Z",
                format!(
                    "advisory: {name} ends on 2026-03-11T00:00:00Z (needed: renewed at least a day before its end)"
                ),
            ),
            (
                "2026-03-11T00:00:00.001Z",
                format!("blocked: {name} ended on 2026-03-11T00:00:00Z (needed: a certificate that has not ended)"),
            ),
            (
                "2026-02-28T00:00:00Z",
                format!("blocked: {name} begins on 2026-03-01T00:00:00Z (needed: a certificate that has begun)"),
            ),
        ];
        for (now, expected) in cases {
            assert_eq!(host.clone().at(at(now)).judge(&CertValidity, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn a_renewed_certificate_takes_over_and_its_dates_count() {
        let renewed = Certificate {
            not_before: at("2026-05-01T00:00:00Z"),
            not_after: at("2027-05-01T00:00:00Z"),
            ..kdc_certificate(2)
        };
        let host = Host::dc_with(&[kdc_certificate(1), renewed]).at(at("2026-06-01T00:00:00.001Z"));
        let judgements = host.judgements(&CertValidity, &Policy::default());
        assert_eq!(judgements[0].verdict, Verdict::Ready);
        assert_eq!(judgements[0].valid_until, Some(at("2027-04-03T00:00:00.001Z")));
    }
}
