//! `dc.kdc-service`: whether the KDC runs.

use muster_evidence::{KdcService, Kind, ServiceState, Timestamp};

use super::kdc::judge_capable;
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct KdcServiceRuns;

const NEEDED: &str = "the service `Kdc` running";

impl Check for KdcServiceRuns {
    fn id(&self) -> &'static str {
        "dc.kdc-service"
    }

    fn title(&self) -> &'static str {
        "The KDC runs"
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
        &[Kind::KdcService, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The key distribution centre answers every Kerberos sign-in. While its service does not run, the \
                      locator may still name the domain controller, and nobody can sign in at it.",
            evidence: "The state of the service `Kdc`, as the service control manager tells it.",
            threshold: "Running: ready. Starting, stopping, paused, stopped or not there: blocked. The state is told \
                        anew with every report, so that a restart shows for minutes.",
            remedy: "Start the service `Kdc` (Kerberos Key Distribution Center), set it to start automatically, and \
                     follow the errors that the System log gives for it.",
            source: "Microsoft Support, KB5057784; Microsoft Learn, Kerberos Key Distribution Center service",
            query: "muster hosts --check dc.kdc-service --standing blocked",
            alert: "Alert when a domain controller stays blocked by `dc.kdc-service` for ten minutes: nobody can sign in \
                    at it.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_capable(self, facts, policy, || match look_at!(facts, KdcService) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => {
                Answer::from(Verdict::Blocked(finding(self, "no service `Kdc`", NEEDED)), observation)
            }
            Look::Found(service, observation) => Answer::from(self.of(*service), observation),
        })
    }
}

impl KdcServiceRuns {
    fn of(&self, KdcService { state, disabled }: KdcService) -> Verdict {
        let state = match state {
            ServiceState::Running => return Verdict::Ready,
            ServiceState::Starting => "is starting",
            ServiceState::Stopping => "is stopping",
            ServiceState::Stopped => "is stopped",
            ServiceState::Paused => "is paused",
        };
        let disabled = if disabled == Some(true) { " and disabled" } else { "" };
        Verdict::Blocked(finding(self, format!("the service `Kdc` {state}{disabled}"), NEEDED))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::Host;
    use crate::check::fixture::controller::service;

    #[test]
    fn the_table() {
        let with = |service| Host::dc().with(Evidence::KdcService(service));
        let disabled = KdcService { disabled: Some(true), ..service(ServiceState::Stopped) };
        let cases = [
            (with(service(ServiceState::Running)), "ready"),
            (with(service(ServiceState::Starting)), "blocked: the service `Kdc` is starting"),
            (with(service(ServiceState::Stopping)), "blocked: the service `Kdc` is stopping"),
            (with(service(ServiceState::Paused)), "blocked: the service `Kdc` is paused"),
            (with(service(ServiceState::Stopped)), "blocked: the service `Kdc` is stopped"),
            (with(disabled), "blocked: the service `Kdc` is stopped and disabled"),
            (Host::dc().absent(Kind::KdcService), "blocked: no service `Kdc`"),
            (Host::dc().failed(Kind::KdcService), "unknown: the KDC service: access denied: not allowed"),
            (
                Host::dc().unsupported(Kind::KdcService),
                "unknown: the KDC service: not available on this system: no such interface",
            ),
        ];
        for (host, expected) in cases {
            let needed = if expected.starts_with("blocked") { format!(" (needed: {NEEDED})") } else { String::new() };
            assert_eq!(host.judge(&KdcServiceRuns, &Policy::default()), [format!("{expected}{needed}")]);
        }
    }
}
