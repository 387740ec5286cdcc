//! `pki.ntauth`: whether the issuer of the KDC's certificate is in NTAuth.
//!
//! On an endpoint the store is compared with the issuers of the certificates of its site's KDCs. Microsoft asks for that on
//! members of the domain only: group policy fills the store, and a machine that is joined to Entra ID alone has none.
//! On a domain controller its own enterprise store is compared with the issuer of the certificate that its KDC would
//! select. A certificate whose issuer is not there is passed over while another one passes, so that what is judged here is
//! what remains.

use muster_evidence::{JoinKind, Kind, Timestamp, TrustStore};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::dc::kdc::{is_domain_controller, judge_selected};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::derive::kdc_issuers::{Trust, trust};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct NtAuth;

const NEEDED: &str = "the issuing CA in the enterprise store `NTAuth`";

impl Check for NtAuth {
    fn id(&self) -> &'static str {
        "pki.ntauth"
    }

    fn title(&self) -> &'static str {
        "The issuer of the KDC's certificate is in NTAuth"
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
        Freshness::DomainControllerSlow
    }

    fn reads(&self) -> &'static [Kind] {
        &[
            Kind::NtAuthStore,
            Kind::CertificateListing,
            Kind::Certificate,
            Kind::KdcEvents,
            Kind::OperatingSystem,
            Kind::DomainController,
            Kind::JoinState,
        ]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Windows takes a certificate for signing in only from a CA that the directory lists in NTAuth. Where \
                      the CA that issued the KDC's certificate is not in the machine's copy of that list, its KDC does \
                      not use the certificate, and clients do not accept it.",
            evidence: "The thumbprints in `HKLM\\SOFTWARE\\Microsoft\\EnterpriseCertificates\\NTAuth\\Certificates`, which \
                       group policy fills from the directory, and the thumbprints of the direct issuers of the certificates \
                       that the KDCs would select: a controller's own, and on an endpoint those of its site.",
            threshold: "The issuers are in the store: ready. One is not, or there is no such store: blocked. An issuer not \
                        known, or the list cut before it was found: unknown. An endpoint that is joined to Entra ID only \
                        needs the root alone (`pki.root-trusted`): not applicable.",
            remedy: "Publish the issuing CA with `certutil -dspublish -f ca.cer NTAuthCA`, let group policy apply \
                     (`gpupdate /force`), and restart the service `Kdc`.",
            source: "Microsoft Support, KB4519735",
            query: "muster hosts --check pki.ntauth --standing blocked",
            alert: "Alert at once when a domain controller becomes blocked by `pki.ntauth`: its KDC has no certificate \
                    that it may use.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        if !is_domain_controller(facts) {
            return judge_endpoint(self, facts, || self.of_endpoint(facts));
        }
        judge_selected(self, facts, policy, now, |selection| match look_at!(facts, NtAuthStore) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => {
                let found = finding(self, format!("no store `NTAuth`, and {}", of_ca(selection)), NEEDED);
                Answer::from(Verdict::Blocked(found), observation)
            }
            Look::Found(store, observation) => Answer::from(self.of(store, selection), observation),
        })
    }
}

impl NtAuth {
    /// The half of endpoints.
    fn of_endpoint(&self, facts: &Facts<'_>) -> Answer {
        let kind = match look_at!(facts, JoinState) {
            Look::Found(join, observation) if join.kind() == JoinKind::EntraJoined => {
                return Answer::from(Verdict::not_applicable("not needed where joined to Entra ID only"), observation);
            }
            Look::Found(join, _) => join.kind(),
            Look::Absent(_) => JoinKind::NotJoined,
            Look::Gap(_) => JoinKind::Undetermined,
        };
        let empty = TrustStore::default();
        let (store, observation) = match look_at!(facts, NtAuthStore) {
            Look::Gap(gap) => return Answer::gap(gap),
            Look::Absent(observation) => (&empty, observation),
            Look::Found(store, observation) => (store, observation),
        };
        let verdict = match trust(facts.site, Kind::NtAuthStore, |own| own.issuer, |issuer| store.holds(issuer)) {
            Trust::Complete => Verdict::Ready,
            Trust::Unknown(gap) => Verdict::Unknown(gap),
            Trust::Lacks { thumbprint, needed_by } => {
                let seen =
                    format!("{thumbprint}, which issued for the KDC of `{needed_by}`, is not in the store `NTAuth`");
                match kind {
                    JoinKind::Undetermined => {
                        Verdict::unknown("the join state", format!("it decides whether this blocks: {seen}"))
                    }
                    _ => Verdict::Blocked(finding(self, seen, NEEDED)),
                }
            }
        };
        Answer::from(verdict, observation)
    }

    /// The half of domain controllers.
    fn of(&self, store: &TrustStore, selection: &Selection<'_>) -> Verdict {
        let Some(issuer) = &selection.certificate.issuer_thumbprint else {
            return Verdict::unknown(
                "the certificate of the issuer",
                format!("`{}`, which issued {}, was not at hand", selection.certificate.issuer, selection.name()),
            );
        };
        match store.holds(issuer) {
            Some(true) => Verdict::Ready,
            Some(false) => Verdict::Blocked(finding(
                self,
                format!("{issuer} is not in the store `NTAuth`, and {}", of_ca(selection)),
                NEEDED,
            )),
            None => Verdict::unknown(
                "the NTAuth store",
                format!(
                    "{} of its certificates were left out of the report, and {issuer} is not among the others",
                    store.left_out
                ),
            ),
        }
    }
}

fn of_ca(selection: &Selection<'_>) -> String {
    format!("`{}` issued {}", selection.certificate.issuer, selection.name())
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, Evidence, JoinState, Thumbprint, Tristate};

    use super::*;
    use crate::check::fixture::controller::ISSUER;
    use crate::check::fixture::{Host, hybrid, kdc_certificate, people};

    #[test]
    fn the_half_of_endpoints() {
        let on = |join: JoinState, numbers: &[u8]| {
            let host = Host::endpoint().served_by(&[(1, 7)]).with(Evidence::JoinState(join));
            host.with(Evidence::NtAuthStore(people::store(numbers)))
        };
        let entra = JoinState { domain_joined: Tristate::No, ..hybrid() };
        let odd = JoinState { enterprise_joined: Tristate::Yes, ..hybrid() };
        let seen = "0101010101010101010101010101010101010101, which issued for the KDC of `dc1.corp.example`, is not in \
                    the store `NTAuth`";
        let lacks = format!("blocked: {seen} (needed: {NEEDED})");
        let open = format!("unknown: the join state: it decides whether this blocks: {seen}");
        let cases = [
            (on(hybrid(), &[1]), "ready"),
            (on(hybrid(), &[2]), &lacks),
            (on(hybrid(), &[2]).absent(Kind::NtAuthStore), &lacks),
            (on(entra, &[]), "not-applicable: not needed where joined to Entra ID only"),
            (on(odd.clone(), &[]), &open),
            (on(odd, &[1]), "ready"),
            (on(hybrid(), &[]).failed(Kind::JoinState), &open),
            (on(hybrid(), &[]).absent(Kind::JoinState), &lacks),
            (on(hybrid(), &[]).failed(Kind::NtAuthStore), "unknown: the NTAuth store: access denied: not allowed"),
            (
                on(hybrid(), &[1]).served_by(&[]),
                "unknown: the certificates of the site's KDCs: no capable domain controller of the site has told of its \
                 own",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NtAuth, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn the_half_of_domain_controllers() {
        let store = |thumbprints: &[Thumbprint], left_out| {
            let store = TrustStore { thumbprints: thumbprints.to_vec(), left_out };
            Host::dc_with(&[kdc_certificate(1)]).with(Evidence::NtAuthStore(store))
        };
        let other = Thumbprint([1; 20]);
        let issued = "`CN=Corp CA` issued certificate `CN=dc01.corp.example` (01010101…)";
        let cases = [
            (store(&[other, ISSUER], 0), "ready".to_owned()),
            (store(&[ISSUER], 3), "ready".to_owned()),
            (
                store(&[other], 0),
                format!("blocked: {ISSUER} is not in the store `NTAuth`, and {issued} (needed: {NEEDED})"),
            ),
            (
                store(&[other], 3),
                format!(
                    "unknown: the NTAuth store: 3 of its certificates were left out of the report, and {ISSUER} is not \
                     among the others"
                ),
            ),
            (
                store(&[], 0).absent(Kind::NtAuthStore),
                format!("blocked: no store `NTAuth`, and {issued} (needed: {NEEDED})"),
            ),
            (
                store(&[], 0).failed(Kind::NtAuthStore),
                "unknown: the NTAuth store: access denied: not allowed".to_owned(),
            ),
            (
                Host::dc_with(&[Certificate { issuer_thumbprint: None, ..kdc_certificate(1) }]),
                "unknown: the certificate of the issuer: `CN=Corp CA`, which issued certificate `CN=dc01.corp.example` \
                 (01010101…), was not at hand"
                    .to_owned(),
            ),
            (Host::dc_with(&[]), "not-applicable: no certificate that the KDC could select".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NtAuth, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn one_that_is_not_there_is_passed_over_while_another_passes() {
        let foreign = Certificate { issuer_thumbprint: Some(Thumbprint([9; 20])), ..kdc_certificate(1) };
        let host = Host::dc_with(&[foreign, kdc_certificate(2)]);
        assert_eq!(host.judge(&NtAuth, &Policy::default()), ["ready"]);
    }
}
