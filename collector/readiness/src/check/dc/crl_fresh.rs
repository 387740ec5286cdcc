//! `dc.crl-fresh`: whether the revocation lists of the KDC's certificate can be had and have not ended.
//!
//! Clients and KDC check revocation at every sign-in with a certificate; a list that cannot be had fails them all. The
//! distribution points that stand in one certificate are alternatives. How lists are judged is in `derive::revocation`,
//! for endpoints too, which fetch the lists of their site's controllers.

use muster_evidence::{Certificate, DistributionPoint, JoinKind, Kind, Revocation, RevocationLists, Timestamp};

use super::kdc::{absent, is_domain_controller, judge_selected};
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::derive::revocation::judge_points;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CrlFresh;

/// The reason of endpoints that read the lists from the directory, or that sign in nowhere by key.
const IN_DOMAIN: &str = "judged on machines joined to Entra ID only";

impl Check for CrlFresh {
    fn id(&self) -> &'static str {
        "dc.crl-fresh"
    }

    fn title(&self) -> &'static str {
        "The revocation lists of the KDC's certificate can be had and have not ended"
    }

    fn scope(&self) -> Scope {
        Scope::Machine
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn freshness_on_dc(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        &[
            Kind::RevocationLists,
            Kind::CertificateListing,
            Kind::Certificate,
            Kind::NtAuthStore,
            Kind::KdcEvents,
            Kind::OperatingSystem,
            Kind::DomainController,
            Kind::JoinState,
        ]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Whether the KDC's certificate was revoked is looked up at every key-trust sign-in. Where no valid \
                      list can be had, the sign-in fails with 0xC00000BB, however good the certificate is. A formal \
                      detail until the CA's disk is full, its service is stopped, or the web server refuses the `+` in \
                      the name of a delta list.",
            evidence: "What the machine got when it asked the distribution points of the certificate that the KDC would \
                       select, base and delta lists, with their dates: `thisUpdate`, `nextUpdate` and, from Microsoft's \
                       CAs, Next CRL Publish.",
            threshold: "Judged on domain controllers, and on endpoints that are joined to Entra ID only, which cannot \
                        read the lists from the directory; on other endpoints not applicable. For base and delta each: fetched and before `nextUpdate`: ready. Next CRL Publish has passed and \
                        no newer list came, or it cannot be fetched while a kept one has not ended: advisory. \
                        `nextUpdate` has passed without a newer one, or it cannot be fetched and none was kept: blocked. \
                        Hours left say nothing: a weekly base and a daily delta are always short of something. Of \
                        several distribution points in one certificate one is enough; a broken one beside it is an \
                        advisory.",
            remedy: "Publish base and delta lists on plain HTTP where every client and domain controller reaches them, \
                     allow double escaping in IIS for the `+` in a delta list's name, and republish well before \
                     `nextUpdate` (`certutil -crl`).",
            source: "Microsoft Learn, Requirements for domain controller certificates from a third-party CA; Single \
                     sign-on to on-premises resources from Entra joined devices; windows-itpro-docs issue 7179",
            query: "muster hosts --check dc.crl-fresh --standing blocked --standing advisory",
            alert: "Alert at once when a machine becomes blocked by `dc.crl-fresh`, and within a day when it becomes \
                    advisory: key-trust sign-ins fail when the list ends.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        if !is_domain_controller(facts) {
            return judge_endpoint(self, facts, || self.of_endpoint(facts, now));
        }
        judge_selected(self, facts, policy, now, |selection| {
            if selection.certificate.crl_distribution_points.is_empty() {
                return Answer::bare(Verdict::not_applicable("no distribution point in the certificate"));
            }
            match look_at!(facts, RevocationLists) {
                Look::Gap(gap) => Answer::gap(gap),
                Look::Absent(_) => absent(Kind::RevocationLists),
                Look::Found(lists, observation) => {
                    let (verdict, valid_until) = self.of(lists, selection, now);
                    Answer { verdict, valid_until, evidence_at: Some(observation.observed_at) }
                }
            }
        })
    }
}

impl CrlFresh {
    /// The half of endpoints: whatever lists of its site's KDCs it asked for.
    fn of_endpoint(&self, facts: &Facts<'_>, now: Timestamp) -> Answer {
        match look_at!(facts, JoinState) {
            Look::Gap(gap) => return Answer::gap(gap),
            Look::Absent(observation) => return Answer::from(Verdict::not_applicable(IN_DOMAIN), observation),
            Look::Found(join, observation) => match join.kind() {
                JoinKind::EntraJoined | JoinKind::Undetermined => {}
                JoinKind::Hybrid
                | JoinKind::DomainOnly
                | JoinKind::OnPremisesDrs
                | JoinKind::WorkplaceOnly
                | JoinKind::NotJoined => return Answer::from(Verdict::not_applicable(IN_DOMAIN), observation),
            },
        }
        match look_at!(facts, RevocationLists) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => absent(Kind::RevocationLists),
            Look::Found(lists, observation) => {
                let judged = judge_points(self, lists.points.iter(), now);
                let (verdict, valid_until) = judged.unwrap_or_else(|| {
                    (Verdict::unknown("the revocation lists", "no distribution point was asked"), None)
                });
                Answer { verdict, valid_until, evidence_at: Some(observation.observed_at) }
            }
        }
    }

    fn of(&self, lists: &RevocationLists, selection: &Selection<'_>, now: Timestamp) -> (Verdict, Option<Timestamp>) {
        let Certificate { crl_distribution_points, issuer, revocation, .. } = selection.certificate;
        // Nothing says which base a delta belongs to but its issuer, so that one that never came counts.
        let is_its_own = |point: &&DistributionPoint| match (point.delta, &point.list) {
            (false, _) => crl_distribution_points.contains(&point.url),
            (true, Some(list)) => list.issuer == *issuer,
            (true, None) => true,
        };
        let Some((verdict, valid_until)) = judge_points(self, lists.points.iter().filter(is_its_own), now) else {
            let left_out = match lists.left_out {
                0 => String::new(),
                count => format!(" ({count} were left out of the report)"),
            };
            let why = format!("nobody asked the distribution points of {}{left_out}", selection.name());
            return (Verdict::unknown("the revocation lists", why), None);
        };
        // Its own list is there; one above it may not be.
        if let (Verdict::Ready, Some(Revocation::Undetermined { why })) = (&verdict, revocation) {
            let seen = format!("whether {} or one above it is revoked cannot be told: {why}", selection.name());
            let found = finding(self, seen, "valid lists of every CA in its chain but the root");
            return (Verdict::Advisory(found), valid_until);
        }
        (verdict, valid_until)
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, JoinState, RevocationList, Tristate};

    use super::*;
    use crate::check::fixture::controller::{CRL, delta, list, point, unreachable};
    use crate::check::fixture::{Host, at, hybrid, kdc_certificate, text};

    const NEEDED: &str = "(needed: base and delta lists that can be fetched and have not ended)";
    const NAME: &str = "certificate `CN=dc01.corp.example` (01010101…)";

    fn with(points: Vec<DistributionPoint>) -> Host {
        let lists = RevocationLists { points, left_out: 0 };
        Host::dc_with(&[kdc_certificate(1)]).with(Evidence::RevocationLists(lists))
    }

    fn without_answer(list: Option<RevocationList>) -> DistributionPoint {
        DistributionPoint { fetch: unreachable(), list, ..point(CRL) }
    }

    #[test]
    fn the_table() {
        let other = || point("http://pki.corp.example/other-ca.crl");
        let delta_of_other = DistributionPoint {
            list: Some(RevocationList {
                issuer: text("CN=Other CA"),
                next_update: Some(at("2026-03-01T00:00:00Z")),
                ..list()
            }),
            ..delta("http://pki.corp.example/other-ca+.crl")
        };
        let lost_delta =
            DistributionPoint { fetch: unreachable(), list: None, ..delta("http://pki.corp.example/a+.crl") };
        let cases = [
            (with(vec![point(CRL)]), "ready".to_owned()),
            (with(vec![other(), point(CRL), delta_of_other]), "ready".to_owned()),
            (
                with(vec![without_answer(None)]),
                format!(
                    "blocked: the revocation list at `{CRL}` cannot be fetched (no answer within 5 s), and none was kept \
                     {NEEDED}"
                ),
            ),
            (
                with(vec![point(CRL), lost_delta]),
                format!(
                    "blocked: the delta revocation list at `http://pki.corp.example/a+.crl` cannot be fetched (no answer \
                     within 5 s), and none was kept {NEEDED}"
                ),
            ),
            (
                with(vec![without_answer(Some(list()))]),
                format!(
                    "advisory: the revocation list at `{CRL}` cannot be fetched (no answer within 5 s); the one that was \
                     kept ends on 2026-03-05T12:00:00Z {NEEDED}"
                ),
            ),
            (
                with(vec![other()]),
                format!("unknown: the revocation lists: nobody asked the distribution points of {NAME}"),
            ),
            (
                with(vec![]).with(Evidence::RevocationLists(RevocationLists { points: vec![], left_out: 2 })),
                format!(
                    "unknown: the revocation lists: nobody asked the distribution points of {NAME} (2 were left out of \
                     the report)"
                ),
            ),
            (
                with(vec![]).failed(Kind::RevocationLists),
                "unknown: the revocation lists: access denied: not allowed".to_owned(),
            ),
            (
                with(vec![]).absent(Kind::RevocationLists),
                "unknown: the revocation lists: reported as absent".to_owned(),
            ),
            (
                Host::dc_with(&[Certificate { crl_distribution_points: Vec::new(), ..kdc_certificate(1) }]),
                "not-applicable: no distribution point in the certificate".to_owned(),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CrlFresh, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn the_half_of_endpoints() {
        let on = |join: JoinState, points: Vec<DistributionPoint>| {
            let lists = RevocationLists { points, left_out: 0 };
            Host::endpoint().with(Evidence::JoinState(join)).with(Evidence::RevocationLists(lists))
        };
        let entra = || JoinState { domain_joined: Tristate::No, ..hybrid() };
        let cases = [
            (on(entra(), vec![point(CRL)]), "ready".to_owned()),
            (
                on(entra(), vec![without_answer(None)]),
                format!(
                    "blocked: the revocation list at `{CRL}` cannot be fetched (no answer within 5 s), and none was kept \
                     {NEEDED}"
                ),
            ),
            (on(entra(), vec![]), "unknown: the revocation lists: no distribution point was asked".to_owned()),
            (
                on(entra(), vec![]).failed(Kind::RevocationLists),
                "unknown: the revocation lists: access denied: not allowed".to_owned(),
            ),
            (
                on(entra(), vec![]).absent(Kind::RevocationLists),
                "unknown: the revocation lists: reported as absent".to_owned(),
            ),
            (
                on(hybrid(), vec![without_answer(None)]),
                "not-applicable: judged on machines joined to Entra ID only".to_owned(),
            ),
            (
                on(entra(), vec![]).absent(Kind::JoinState),
                "not-applicable: judged on machines joined to Entra ID only".to_owned(),
            ),
            (
                on(entra(), vec![]).failed(Kind::JoinState),
                "unknown: the join state: access denied: not allowed".to_owned(),
            ),
            (Host::linux(), "not-applicable: not a Windows client".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CrlFresh, &Policy::default()), [expected]);
        }
        let until = on(entra(), vec![point(CRL)]).judgements(&CrlFresh, &Policy::default())[0].valid_until;
        assert_eq!(until, Some(at("2026-03-03T12:00:00Z")));
    }

    #[test]
    fn it_holds_until_the_next_date_of_list_or_certificate() {
        let until = |host: Host| host.judgements(&CrlFresh, &Policy::default())[0].valid_until;
        assert_eq!(until(with(vec![point(CRL)])), Some(at("2026-03-03T12:00:00Z")));
        let ended = with(vec![point(CRL)]).at(at("2026-03-05T12:00:00Z"));
        assert!(ended.judge(&CrlFresh, &Policy::default())[0].starts_with("blocked"));
        assert_eq!(
            until(ended),
            Some(at("2026-06-01T00:00:00.001Z")),
            "the certificate ends, and another may be selected"
        );
    }

    #[test]
    fn a_chain_that_cannot_be_told_is_remarked_on() {
        let undetermined = Certificate {
            revocation: Some(Revocation::Undetermined { why: text("no list of CN=Root") }),
            ..kdc_certificate(1)
        };
        assert_eq!(
            Host::dc_with(&[undetermined]).judge(&CrlFresh, &Policy::default()),
            [format!(
                "advisory: whether {NAME} or one above it is revoked cannot be told: no list of CN=Root (needed: valid \
                 lists of every CA in its chain but the root)"
            )]
        );
    }
}
