//! `prt.onprem-tgt`: whether the user gets tickets in a way that belongs to another trust model.
//!
//! Key trust does without them, so that a ticket says nothing against a sign-in. But cloud Kerberos trust leaves one,
//! and where key trust is planned somebody has set up the other.

use muster_evidence::{Evidence, Kind, Outcome, Prt, Timestamp, Tristate};

use super::held_token;
use crate::check::answer::{Answer, finding, judge_people};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, TrustType, Verdict};

pub(in crate::check) struct PrtOnPremTgt;

/// The first build that shows `OnPremTgt` (Windows 11 21H2).
const SHOWN_FROM_BUILD: u32 = 22_000;

impl Check for PrtOnPremTgt {
    fn id(&self) -> &'static str {
        "prt.onprem-tgt"
    }

    fn title(&self) -> &'static str {
        "The user's tickets fit the trust model"
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
        &[Kind::Prt, Kind::OperatingSystem]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "With cloud Kerberos trust Entra ID gives the user a ticket for the on-premises directory. Where \
                      key trust is planned, such a ticket shows that cloud Kerberos trust is set up as well, and that \
                      the policies of trust should be looked at.",
            evidence: "`OnPremTgt` in the section `SSO State` of `dsregcmd /status`, read in the user's own session. The \
                       `OnPremTGT` of the prerequisites is another statement and is not read here.",
            threshold: "What the trust model of the site (`expected_trust`) leads to: ready. A ticket where key trust or \
                        certificate trust is expected, and none where cloud Kerberos trust is: advisory. Builds before \
                        Windows 11 do not show it: not applicable.",
            remedy: "Look at `policy.trust-type` and at the policies behind it; if the fleet is meant to move to cloud \
                     Kerberos trust, set `expected_trust` of the site.",
            source: "Microsoft Learn, Windows Hello for Business cloud Kerberos trust deployment guide; that a ticket \
                     asks for a look at the policies is this product's own",
            query: "muster hosts --check prt.onprem-tgt --standing advisory",
            alert: "No alert is needed; look at the list before a site is rolled out.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        let expected = policy.for_site_or_everywhere(facts.site.site.as_ref()).expected_trust;
        judge_people(self, facts, |sid| match held_token(facts, sid) {
            Err(answer) => *answer,
            Ok((prt, observation)) => Answer::from(self.of(facts, prt, expected), observation),
        })
    }
}

impl PrtOnPremTgt {
    fn of(&self, facts: &Facts<'_>, prt: &Prt, expected: TrustType) -> Verdict {
        let cloud = expected == TrustType::CloudKerberosTrust;
        match prt.on_prem_tgt {
            Tristate::Yes if cloud => Verdict::Ready,
            Tristate::No if !cloud => Verdict::Ready,
            Tristate::Yes => Verdict::Advisory(finding(
                self,
                format!("a ticket of cloud Kerberos trust (`OnPremTgt : YES`) where {} is expected", expected.name()),
                "no ticket from Entra ID, or another `expected_trust`",
            )),
            Tristate::No => Verdict::Advisory(finding(
                self,
                "no ticket of cloud Kerberos trust (`OnPremTgt : NO`)",
                "one, since cloud Kerberos trust is expected",
            )),
            Tristate::NotShown if build(facts).is_some_and(|build| build < SHOWN_FROM_BUILD) => {
                Verdict::not_applicable("not shown by this build of Windows")
            }
            Tristate::Undetermined | Tristate::NotShown => {
                Verdict::unknown("the user's ticket from Entra ID", "`OnPremTgt` says neither yes nor no")
            }
        }
    }
}

fn build(facts: &Facts<'_>) -> Option<u32> {
    match &facts.host.of_host(Kind::OperatingSystem)?.outcome {
        Outcome::Observed(Evidence::OperatingSystem(os)) => os.build,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Context;

    use super::*;
    use crate::SiteOverride;
    use crate::check::fixture::{Host, prt, windows_client};

    fn host(on_prem_tgt: Tristate) -> Host {
        Host::endpoint().user(Evidence::Prt(Prt { on_prem_tgt, ..prt() }), Context::UserSession)
    }

    #[test]
    fn the_table() {
        let expecting = |expected_trust| Policy { expected_trust, ..Policy::default() };
        let (key, cloud) = (Policy::default(), expecting(TrustType::CloudKerberosTrust));
        let certificate = expecting(TrustType::CertificateTrust);
        let foreign = |model: &str| {
            format!(
                "advisory: a ticket of cloud Kerberos trust (`OnPremTgt : YES`) where {model} is expected (needed: no \
                 ticket from Entra ID, or another `expected_trust`)"
            )
        };
        let neither = "unknown: the user's ticket from Entra ID: `OnPremTgt` says neither yes nor no";
        let on = |build| host(Tristate::NotShown).with(Evidence::OperatingSystem(windows_client(build)));
        let cases = [
            (host(Tristate::No), &key, "ready".to_owned()),
            (host(Tristate::No), &certificate, "ready".to_owned()),
            (host(Tristate::Yes), &cloud, "ready".to_owned()),
            (host(Tristate::Yes), &key, foreign("key trust")),
            (host(Tristate::Yes), &certificate, foreign("certificate trust")),
            (
                host(Tristate::No),
                &cloud,
                "advisory: no ticket of cloud Kerberos trust (`OnPremTgt : NO`) (needed: one, since cloud Kerberos \
                 trust is expected)"
                    .to_owned(),
            ),
            (host(Tristate::Undetermined), &key, neither.to_owned()),
            (on(22_000), &key, neither.to_owned()),
            (on(21_999), &key, "not-applicable: not shown by this build of Windows".to_owned()),
            (on(22_000).failed(Kind::OperatingSystem), &key, neither.to_owned()),
        ];
        for (host, policy, expected) in cases {
            assert_eq!(host.judge(&PrtOnPremTgt, policy), [expected]);
        }
    }

    #[test]
    fn the_site_says_which_model_is_expected() {
        let own = SiteOverride { expected_trust: Some(TrustType::CloudKerberosTrust), ..SiteOverride::default() };
        let policy = Policy { sites: [("Berlin".to_owned(), own)].into(), ..Policy::default() };
        assert_eq!(host(Tristate::Yes).judge(&PrtOnPremTgt, &policy), ["ready"]);
    }
}
