//! `dc.replication`: whether what is written elsewhere reaches this domain controller.
//!
//! A key that Connect wrote to one controller signs nobody in at another before it is replicated there. The delay bounds
//! how long that may take; nothing is wrong with the key meanwhile, so that this is an advisory.

use muster_evidence::{Kind, Replication, ReplicationPartner, Timestamp};

use super::kdc::{absent, judge_controller};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct InboundReplication;

/// How many neighbours a finding names.
const NAMED: usize = 2;

impl Check for InboundReplication {
    fn id(&self) -> &'static str {
        "dc.replication"
    }

    fn title(&self) -> &'static str {
        "Inbound replication succeeds"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Replication]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Entra Connect writes a user's key to one domain controller, and replication carries it to the \
                      others. Where it lags, a new key works in one site and not in the next, and looks lost.",
            evidence: "The inbound neighbours of the domain controller with their last success, for each naming context, \
                       as it tells them itself (`DsReplicaGetInfo`). While nothing fails, the last success is told to \
                       the hour below.",
            threshold: "Every neighbour's last attempt succeeded, and within 24 hours (`replication_stale_hours`): ready. \
                        One fails, is older, or never succeeded: advisory. A domain controller without neighbours, \
                        alone in its forest, is ready. Ordinary schedules between sites are well below a day.",
            remedy: "Find the failing link with `repadmin /showrepl` and repair it; expect keys at this domain controller \
                     to arrive later until then.",
            source: "Derived for this product; Microsoft Learn, Diagnose Active Directory replication failures",
            query: "muster hosts --check dc.replication --standing advisory",
            alert: "Alert when a domain controller stays advisory by `dc.replication` for a day: new keys do not reach \
                    it.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_controller(self, facts, || match look_at!(facts, Replication) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => absent(Kind::Replication),
            Look::Found(replication, observation) => {
                let (verdict, valid_until) = self.of(replication, policy.replication_stale_hours, now);
                Answer { verdict, valid_until, evidence_at: Some(observation.observed_at) }
            }
        })
    }
}

impl InboundReplication {
    fn of(&self, replication: &Replication, stale_hours: u32, now: Timestamp) -> (Verdict, Option<Timestamp>) {
        let limit_ms = i64::from(stale_hours) * 3_600_000;
        let stale_at = |partner: &ReplicationPartner| Some(partner.last_success?.plus_ms(limit_ms + 1));
        let is_bad = |partner: &&ReplicationPartner| {
            partner.failures > 0 || stale_at(partner).is_none_or(|stale_at| now >= stale_at)
        };
        // The words change with each neighbour that becomes too old.
        let valid_until = replication.partners.iter().filter_map(stale_at).filter(|date| *date > now).min();
        let bad = replication.partners.iter().filter(is_bad).count();
        if bad == 0 {
            return (Verdict::Ready, valid_until);
        }
        let mut seen: Vec<String> = replication.partners.iter().filter(is_bad).take(NAMED).map(words).collect();
        if bad > NAMED {
            seen.push(format!("and {} more", bad - NAMED));
        }
        let needed = format!("a success from every neighbour within {stale_hours} h, and no failure since");
        (Verdict::Advisory(finding(self, seen.join("; "), needed)), valid_until)
    }
}

fn words(partner: &ReplicationPartner) -> String {
    let ReplicationPartner { source, naming_context, last_success, failures, last_result } = partner;
    let last = match last_success {
        Some(at) => format!("last success on {at}"),
        None => "no success ever".to_owned(),
    };
    let failing = match failures {
        0 => String::new(),
        1 => format!(", one failure since (Win32 error {last_result})"),
        count => format!(", {count} failures since (Win32 error {last_result})"),
    };
    format!("`{naming_context}` from `{source}`: {last}{failing}")
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::controller::partner;
    use crate::check::fixture::{Host, at, text, windows_server};

    const NEEDED: &str = "(needed: a success from every neighbour within 24 h, and no failure since)";
    const FROM: &str = "`DC=corp,DC=example` from `dc02.corp.example`";

    fn with(partners: Vec<ReplicationPartner>) -> Host {
        Host::dc().with(Evidence::Replication(Replication { partners, left_out: 0 }))
    }

    #[test]
    fn both_sides_of_the_limit() {
        // The last success was at 11:00 on 2 March.
        let stale = "2026-03-03T11:00:00.001Z";
        let host = with(vec![partner("2026-03-02T11:00:00Z")]);
        let cases = [
            ("2026-03-03T11:00:00Z", "ready".to_owned(), Some(at(stale))),
            (stale, format!("advisory: {FROM}: last success on 2026-03-02T11:00:00Z {NEEDED}"), None),
        ];
        for (now, expected, until) in cases {
            let host = host.clone().at(at(now));
            assert_eq!(host.judge(&InboundReplication, &Policy::default()), [expected]);
            assert_eq!(host.judgements(&InboundReplication, &Policy::default())[0].valid_until, until);
        }
        let wider = Policy { replication_stale_hours: 48, ..Policy::default() };
        assert_eq!(host.at(at(stale)).judge(&InboundReplication, &wider), ["ready"]);
    }

    #[test]
    fn the_table() {
        let good = || partner("2026-03-02T11:00:00Z");
        let failing = |failures| ReplicationPartner { failures, last_result: 1722, ..good() };
        let never = ReplicationPartner { last_success: None, source: text("dc03.corp.example"), ..failing(7) };
        let cases = [
            (with(vec![]), "ready".to_owned()),
            (with(vec![good(), good()]), "ready".to_owned()),
            (
                with(vec![failing(1), good()]),
                format!(
                    "advisory: {FROM}: last success on 2026-03-02T11:00:00Z, one failure since (Win32 error 1722) {NEEDED}"
                ),
            ),
            (
                with(vec![never, failing(3), failing(3), good(), failing(2)]),
                format!(
                    "advisory: `DC=corp,DC=example` from `dc03.corp.example`: no success ever, 7 failures since (Win32 \
                     error 1722); {FROM}: last success on 2026-03-02T11:00:00Z, 3 failures since (Win32 error 1722); \
                     and 2 more {NEEDED}"
                ),
            ),
            (with(vec![good()]).with(Evidence::OperatingSystem(windows_server(9_600))), "ready".to_owned()),
            (Host::dc().failed(Kind::Replication), "unknown: the replication: access denied: not allowed".to_owned()),
            (Host::dc().absent(Kind::Replication), "unknown: the replication: reported as absent".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&InboundReplication, &Policy::default()), [expected]);
        }
    }
}
