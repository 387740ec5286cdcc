//! Whether a domain controller carries key-trust load: what the adequacy of a site counts.
//!
//! It must be capable, heard of, and stand in nobody's way by any rule of the gate: one with a fault or without a usable
//! certificate serves passwords all the same, so that it stays in the site with its share of them. Where that is not known,
//! a site is worked out twice, with all such controllers in and with all of them out.

use muster_evidence::Timestamp;

use super::capability::Capability;
use crate::freshness::is_stale;
use crate::{CHECKS, Check, DcState, Freshness, Policy, Severity, Standing, held};

/// Whether a domain controller carries key-trust load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// It does.
    Eligible,
    /// It does not: why.
    NotEligible(String),
    /// The evidence does not say: what is missing.
    Open(String),
}

/// Derives the eligibility of a controller from its verdicts as they stand.
///
/// What is known to be wrong decides before what is not known. A check that the policy does not require decides nothing.
pub fn eligibility(dc: &DcState, policy: &Policy, now: Timestamp) -> Eligibility {
    let mut open = match &dc.capability {
        Capability::NotCapable { reason } => return Eligibility::NotEligible(reason.clone()),
        Capability::Unsettled { why } => Some(why.clone()),
        Capability::Capable => None,
    };
    if is_stale(Freshness::DomainController, dc.last_seen, policy, now) {
        return Eligibility::Open(format!("no report since {}", dc.last_seen));
    }
    for check in CHECKS.iter().filter(|check| decides(**check, policy)) {
        let Some(own) = dc.judgements.iter().find(|own| own.check == check.id()) else {
            open.get_or_insert_with(|| format!("`{}`: not judged yet", check.id()));
            continue;
        };
        let verdict = held(own, check.freshness_on_dc(), dc.last_seen, policy, now).verdict;
        match verdict.standing() {
            Standing::Blocked => return Eligibility::NotEligible(format!("`{}`: {}", check.id(), verdict.seen())),
            Standing::Unknown => {
                open.get_or_insert_with(|| format!("`{}`: {}", check.id(), verdict.text()));
            }
            Standing::Ready | Standing::Advisory | Standing::NotApplicable => {}
        }
    }
    open.map_or(Eligibility::Eligible, Eligibility::Open)
}

fn decides(check: &dyn Check, policy: &Policy) -> bool {
    let blocks = matches!(check.severity(), Severity::Blocker | Severity::BlockerFor(_));
    blocks && check.scope().is_of_controllers() && policy.requires(check.id())
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Kind, ServiceState};

    use super::*;
    use crate::check::fixture::{Host, at, controller, kdc_certificate, now};
    use crate::judge;

    fn dc(host: &Host, capability: Capability) -> DcState {
        DcState {
            host: "dc01.corp.example".parse().unwrap(),
            operating_system: None,
            capability,
            judgements: judge(&host.facts(), &Policy::default(), now()),
            last_seen: now(),
            kdc_issuers: None,
        }
    }

    #[test]
    fn the_table() {
        let good = || Host::dc_with(&[kdc_certificate(1)]).complete();
        let stopped = || good().with(Evidence::KdcService(controller::service(ServiceState::Stopped)));
        let old = Capability::NotCapable { reason: "not capable".to_owned() };
        let unsettled = || Capability::Unsettled { why: "its Windows build is not known".to_owned() };
        let capable = |host: &Host| dc(host, Capability::Capable);
        let stops = "`dc.kdc-service`: the service `Kdc` is stopped";
        let blind = "`dc.kdc-events`: the KDC's events: access denied: not allowed";
        let cases = [
            (capable(&good()), Eligibility::Eligible),
            (capable(&good().failed(Kind::Replication)), Eligibility::Eligible),
            (dc(&good(), old), Eligibility::NotEligible("not capable".to_owned())),
            (dc(&good(), unsettled()), Eligibility::Open("its Windows build is not known".to_owned())),
            (capable(&stopped()), Eligibility::NotEligible(stops.to_owned())),
            (dc(&stopped(), unsettled()), Eligibility::NotEligible(stops.to_owned())),
            (capable(&good().failed(Kind::KdcEvents)), Eligibility::Open(blind.to_owned())),
            (capable(&stopped().failed(Kind::KdcEvents)), Eligibility::NotEligible(stops.to_owned())),
            (
                DcState { last_seen: at("2026-03-02T10:59:59.999Z"), ..capable(&good()) },
                Eligibility::Open("no report since 2026-03-02T10:59:59.999Z".to_owned()),
            ),
            (DcState { last_seen: at("2026-03-02T11:00:00Z"), ..capable(&good()) }, Eligibility::Eligible),
        ];
        for (dc, expected) in cases {
            assert_eq!(eligibility(&dc, &Policy::default(), now()), expected);
        }
        let mut unjudged = capable(&good());
        unjudged.judgements.retain(|own| own.check != "dc.cert-chain");
        let expected = Eligibility::Open("`dc.cert-chain`: not judged yet".to_owned());
        assert_eq!(eligibility(&unjudged, &Policy::default(), now()), expected);
        let without = Policy { disabled_checks: vec!["dc.kdc-service".to_owned()], ..Policy::default() };
        assert_eq!(eligibility(&capable(&stopped()), &without, now()), Eligibility::Eligible);
    }
}
