//! `join.cert-validity`: whether the certificate of the device's registration is valid.

use muster_evidence::{JoinState, Kind, Observation, Timestamp};

use super::{NOT_JOINED, is_joined};
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct DeviceCertificateValidity;

impl Check for DeviceCertificateValidity {
    fn id(&self) -> &'static str {
        "join.cert-validity"
    }

    fn title(&self) -> &'static str {
        "The device's certificate is valid"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::JoinState]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The registration gives a device a certificate, usually for ten years, which Windows renews by \
                      itself. One that is about to end shows that the renewal does not work.",
            evidence: "`DeviceCertificateValidity` of `dsregcmd /status`, or the certificate that the join functions of \
                       Windows return.",
            threshold: "Within its validity and at least 30 days from its end (`device_certificate_warning_days`, this \
                        product's own): ready. Nearer to its end, ended, or not begun: advisory. Whether the device is \
                        still accepted, `join.device-auth` says.",
            remedy: "Let the machine reach Entra ID, so that it renews the certificate at a sign-in; leave and join again \
                     where it has ended. Where it has not begun, look at the clock (`net.time-skew`).",
            source: "Microsoft Learn, Troubleshoot devices by using the dsregcmd command",
            query: "muster hosts --check join.cert-validity --standing advisory",
            alert: "Alert when the number of endpoints at an advisory of `join.cert-validity` grows: renewals fail.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, JoinState) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable(NOT_JOINED), observation),
            Look::Found(join, observation) => self.of(join, observation, policy, now),
        })
    }
}

impl DeviceCertificateValidity {
    fn of(&self, join: &JoinState, observation: &Observation, policy: &Policy, now: Timestamp) -> Answer {
        let (begin, end) = match (join.device_certificate_not_before, join.device_certificate_not_after) {
            _ if is_joined(join) == Some(false) => {
                return Answer::from(Verdict::not_applicable(NOT_JOINED), observation);
            }
            (begin, Some(end)) => (begin, end),
            (_, None) => {
                let verdict = Verdict::unknown("the device's certificate", "its validity is not shown");
                return Answer::from(verdict, observation);
            }
        };
        let advisory = |seen: String, needed: String| Verdict::Advisory(finding(self, seen, needed));
        let warning_days = policy.device_certificate_warning_days;
        let (verdict, valid_until) = match begin {
            Some(begin) if now < begin => {
                let verdict = advisory(format!("it begins on {begin}"), "a certificate that has begun".to_owned());
                (verdict, Some(begin))
            }
            _ if now > end => {
                (advisory(format!("it ended on {end}"), "a certificate that has not ended".to_owned()), None)
            }
            _ => {
                let warns_at = end.plus_ms(1).plus_days(-i64::from(warning_days));
                if now >= warns_at {
                    let needed = format!("renewed at least {warning_days} days before its end");
                    (advisory(format!("it ends on {end}"), needed), Some(end.plus_ms(1)))
                } else {
                    (Verdict::Ready, Some(warns_at))
                }
            }
        };
        Answer { verdict, valid_until, evidence_at: Some(observation.observed_at) }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Tristate};

    use super::*;
    use crate::Standing;
    use crate::check::fixture::{Host, at, hybrid};

    fn host(begin: Option<&str>, end: Option<&str>) -> Host {
        Host::endpoint().with(Evidence::JoinState(JoinState {
            device_certificate_not_before: begin.map(at),
            device_certificate_not_after: end.map(at),
            ..hybrid()
        }))
    }

    const BEGIN: &str = "2026-01-01T00:00:00Z";
    const END: &str = "2026-12-31T00:00:00Z";

    #[test]
    fn both_sides_of_every_date() {
        let (warns, ended) = ("2026-12-01T00:00:00.001Z", "2026-12-31T00:00:00.001Z");
        let cases = [
            ("2025-12-31T23:59:59.999Z", "it begins on 2026-01-01T00:00:00Z", Some(BEGIN)),
            (BEGIN, "", Some(warns)),
            ("2026-12-01T00:00:00Z", "", Some(warns)),
            (warns, "it ends on 2026-12-31T00:00:00Z", Some(ended)),
            (END, "it ends on 2026-12-31T00:00:00Z", Some(ended)),
            (ended, "it ended on 2026-12-31T00:00:00Z", None),
        ];
        for (now, seen, valid_until) in cases {
            let host = host(Some(BEGIN), Some(END)).at(at(now));
            let judgements = host.judgements(&DeviceCertificateValidity, &Policy::default());
            assert_eq!(judgements[0].verdict.seen(), seen, "{now}");
            let standing = if seen.is_empty() { Standing::Ready } else { Standing::Advisory };
            assert_eq!(judgements[0].verdict.standing(), standing, "{now}");
            assert_eq!(judgements[0].valid_until, valid_until.map(at), "{now}");
        }
    }

    #[test]
    fn the_rest_of_the_table() {
        let domain_only = JoinState { azure_ad_joined: Tristate::No, ..hybrid() };
        let cases = [
            (host(None, Some(END)), "ready"),
            (
                host(None, Some("2026-03-01T00:00:00Z")),
                "advisory: it ended on 2026-03-01T00:00:00Z (needed: a \
                 certificate that has not ended)",
            ),
            (host(Some(BEGIN), None), "unknown: the device's certificate: its validity is not shown"),
            (Host::endpoint().with(Evidence::JoinState(domain_only)), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().absent(Kind::JoinState), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().failed(Kind::JoinState), "unknown: the join state: access denied: not allowed"),
            (Host::endpoint(), "unknown: the join state: not reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&DeviceCertificateValidity, &Policy::default()), [expected]);
        }
        let policy = Policy { device_certificate_warning_days: 0, ..Policy::default() };
        assert_eq!(host(Some(BEGIN), Some(END)).at(at(END)).judge(&DeviceCertificateValidity, &policy), ["ready"]);
    }
}
