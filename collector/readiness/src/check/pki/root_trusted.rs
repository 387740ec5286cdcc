//! `pki.root-trusted`: whether the endpoint trusts the roots of its site's KDC certificates.

use muster_evidence::{Kind, Timestamp, TrustStore};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_issuers::{Trust, trust};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct RootTrusted;

const NEEDED: &str = "the root of every KDC certificate of the site in the store `Root`";

impl Check for RootTrusted {
    fn id(&self) -> &'static str {
        "pki.root-trusted"
    }

    fn title(&self) -> &'static str {
        "The endpoint trusts the roots of the KDCs' certificates"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::RootStore]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "At a sign-in with a key the client verifies the domain controller's certificate. Where the root of \
                      its chain is not trusted on the endpoint, the sign-in fails, whatever else is in order.",
            evidence: "The thumbprints in the machine's store `Root`, against the roots of the certificates that the \
                       KDCs of the site would select, as the domain controllers report them.",
            threshold: "Every root is in the store: ready. One is not: blocked. A controller that has not told the root \
                        of its certificate, or a list of the store that was cut: unknown.",
            remedy: "Publish the root to the clients: `certutil -dspublish -f root.cer RootCA` for members of the domain, \
                     a trusted-certificate profile of device management for those joined to Entra ID only.",
            source: "Microsoft Learn, hybrid key trust: configure and validate the PKI; Single sign-on to on-premises \
                     resources from Entra joined devices",
            query: "muster hosts --check pki.root-trusted --standing blocked",
            alert: "Alert when several endpoints become blocked by `pki.root-trusted` on one day: a domain controller \
                    has a certificate from another CA.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let empty = TrustStore::default();
            let (store, observation) = match look_at!(facts, RootStore) {
                Look::Gap(gap) => return Answer::gap(gap),
                Look::Absent(observation) => (&empty, observation),
                Look::Found(store, observation) => (store, observation),
            };
            let verdict = match trust(facts.site, Kind::RootStore, |issuers| issuers.root, |root| store.holds(root)) {
                Trust::Complete => Verdict::Ready,
                Trust::Lacks { thumbprint, needed_by } => Verdict::Blocked(finding(
                    self,
                    format!("root {thumbprint} of the KDC of `{needed_by}` is not in the store `Root`"),
                    NEEDED,
                )),
                Trust::Unknown(gap) => Verdict::Unknown(gap),
            };
            Answer::from(verdict, observation)
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::Host;
    use crate::check::fixture::people::store;

    #[test]
    fn the_table() {
        let holding = |numbers: &[u8]| Host::endpoint().served_by(&[(1, 7)]).with(Evidence::RootStore(store(numbers)));
        let cut = Evidence::RootStore(TrustStore { left_out: 3, ..store(&[8]) });
        let lacks = "blocked: root 0707070707070707070707070707070707070707 of the KDC of `dc1.corp.example` is not in \
                     the store `Root` (needed: the root of every KDC certificate of the site in the store `Root`)";
        let cases = [
            (holding(&[7, 8]), "ready"),
            (holding(&[8]), lacks),
            (holding(&[]), lacks),
            (holding(&[7]).absent(Kind::RootStore), lacks),
            (
                holding(&[]).with(cut),
                "unknown: the store of roots: only a part of the store is told, and what `dc1.corp.example` needs is \
                 not in it",
            ),
            (
                holding(&[7]).served_by(&[]),
                "unknown: the certificates of the site's KDCs: no capable domain controller of the site has told of its \
                 own",
            ),
            (holding(&[7]).failed(Kind::RootStore), "unknown: the store of roots: access denied: not allowed"),
            (Host::endpoint(), "unknown: the store of roots: not reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&RootTrusted, &Policy::default()), [expected]);
        }
    }
}
