//! `tpm.firmware-roca`: whether the TPM makes RSA keys that can be factored (CVE-2017-15361).
//!
//! Which firmware does is data (`Reference::roca_firmware`), compared within its major version, since each is a branch of
//! its own. Keys made before an update stay weak; they are found in the directory and not here.

use std::borrow::Cow;

use muster_evidence::{EventSummary, Kind, NewestEvent, Observation, Timestamp, Tpm};

use super::{judge_any_system, of_tpm};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Finding, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct RocaFirmwareCheck;

/// The event by which Windows says that it found such firmware.
const FOUND: u32 = 1794;

/// Its log and the end of its provider's name.
const LOG: &str = "System";
const PROVIDER: &str = "TPM-WMI";

/// What is needed.
const NEEDED: &str = "firmware that makes sound RSA keys";

impl Check for RocaFirmwareCheck {
    fn id(&self) -> &'static str {
        "tpm.firmware-roca"
    }

    fn title(&self) -> &'static str {
        "The TPM's firmware makes sound RSA keys"
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
        &[Kind::Tpm, Kind::DeviceEvents]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Some Infineon firmware makes RSA keys that can be computed from their public half (ROCA, \
                      CVE-2017-15361). A Hello key of such a TPM is no secret, and domain controllers can be told to \
                      refuse it.",
            evidence: "The TPM's manufacturer and firmware version; where the version cannot be read, event 1794 of \
                       `TPM-WMI` in the System log, by which Windows says that it found such firmware.",
            threshold: "The ranges of the table `roca_firmware` (4.33 and older, 4.40 to 4.42, 5.61, 6.42, 7.61 and \
                        133.32 and older, each within its major version): blocked. Another version or manufacturer: \
                        ready. Neither version nor event: unknown. A policy can replace the table.",
            remedy: "Install the maker's firmware, clear the TPM, set Hello up again and remove the old keys from the \
                     users: an update does not mend keys that were made before.",
            source: "Microsoft Support, KB4046168 on the vulnerability in TPM; Microsoft Security Advisory ADV190026",
            query: "muster hosts --check tpm.firmware-roca --standing blocked",
            alert: "Alert when an endpoint becomes blocked by `tpm.firmware-roca`: its users' keys can be computed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_any_system(self, facts, || of_tpm(facts, |tpm, observation| self.of(tpm, observation, facts, policy)))
    }
}

impl RocaFirmwareCheck {
    fn of(&self, tpm: &Tpm, observation: &Observation, facts: &Facts<'_>, policy: &Policy) -> Answer {
        let table = policy.reference().roca_firmware;
        let why = match (&tpm.manufacturer, &tpm.firmware) {
            (Some(manufacturer), _) if !table.knows(manufacturer.as_str()) => {
                return Answer::from(Verdict::Ready, observation);
            }
            (Some(manufacturer), Some(firmware)) => match version(firmware.as_str()) {
                Some((major, minor)) => {
                    let verdict = match table.affects(manufacturer.as_str(), major, minor) {
                        None => Verdict::Ready,
                        Some(row) => Verdict::Blocked(Finding {
                            source: Cow::Owned(row.source.clone()),
                            ..finding(self, format!("{manufacturer} firmware {firmware}"), NEEDED)
                        }),
                    };
                    return Answer::from(verdict, observation);
                }
                None => format!("`{firmware}` of {manufacturer} is no version that can be compared"),
            },
            (Some(manufacturer), None) => format!("the firmware of {manufacturer} was not readable"),
            (None, _) => "its manufacturer was not readable".to_owned(),
        };
        if let Look::Found(summary, read) = look_at!(facts, DeviceEvents)
            && let Some(event) = newest_finding(summary)
        {
            let seen = format!("Windows found firmware with weak RSA keys at {}", event.at);
            return Answer::from(Verdict::Blocked(finding(self, seen, NEEDED)), read);
        }
        Answer::from(Verdict::unknown("the TPM's firmware", why), observation)
    }
}

/// Major and minor version: the first two numbers.
fn version(firmware: &str) -> Option<(u32, u32)> {
    let mut numbers = firmware.trim().split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn newest_finding(summary: &EventSummary) -> Option<&NewestEvent> {
    let is_finding = |event: &&NewestEvent| {
        event.id == FOUND && event.channel.as_str() == LOG && event.provider.as_str().ends_with(PROVIDER)
    };
    summary.events.iter().filter(is_finding).max_by_key(|event| event.at)
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::device::device_events;
    use crate::check::fixture::{Host, at, text, tpm_2_0};

    fn chip(manufacturer: Option<&str>, firmware: Option<&str>) -> Host {
        let tpm = Tpm { manufacturer: manufacturer.map(text), firmware: firmware.map(text), ..tpm_2_0() };
        Host::endpoint().with(Evidence::Tpm(tpm))
    }

    #[test]
    fn the_table() {
        let infineon = |firmware| chip(Some("IFX"), Some(firmware));
        let blocked =
            |version: &str| format!("blocked: IFX firmware {version} (needed: firmware that makes sound RSA keys)");
        let (last, long) = (blocked("7.61"), blocked("133.32.1.0"));
        let by_event = "blocked: Windows found firmware with weak RSA keys at 2026-02-01T08:00:00Z (needed: firmware \
                        that makes sound RSA keys)";
        let found = || device_events(&[("System", FOUND, at("2026-02-01T08:00:00Z"))]);
        let cases: [(Host, &str); 17] = [
            (chip(Some("INTC"), Some("7.61")), "ready"),
            (chip(Some("INTC"), None), "ready"),
            (chip(Some("INTC"), None).with(found()), "ready"),
            (infineon("7.61"), &last),
            (infineon("7.62"), "ready"),
            (infineon("133.32.1.0"), &long),
            (infineon("133.33"), "ready"),
            // A version that was read says more than an event of long ago.
            (infineon("7.62").with(found()), "ready"),
            (chip(Some("IFX"), None).with(found()), by_event),
            (chip(None, None).with(found()), by_event),
            (infineon("rev 7"), "unknown: the TPM's firmware: `rev 7` of IFX is no version that can be compared"),
            (infineon("7"), "unknown: the TPM's firmware: `7` of IFX is no version that can be compared"),
            (chip(Some("IFX"), None), "unknown: the TPM's firmware: the firmware of IFX was not readable"),
            (
                chip(None, Some("7.61")).with(device_events(&[])),
                "unknown: the TPM's firmware: its manufacturer was not readable",
            ),
            (Host::endpoint().absent(Kind::Tpm), "not-applicable: no TPM"),
            (Host::endpoint().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&RocaFirmwareCheck, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn the_event_of_another_provider_is_another_event() {
        let mut host = chip(None, None).with(device_events(&[("System", FOUND, at("2026-02-01T08:00:00Z"))]));
        let Evidence::DeviceEvents(mut summary) = device_events(&[("System", FOUND, at("2026-02-01T08:00:00Z"))])
        else {
            unreachable!()
        };
        summary.events[0].provider = text("Service Control Manager");
        host = host.with(Evidence::DeviceEvents(summary));
        assert_eq!(
            host.judge(&RocaFirmwareCheck, &Policy::default()),
            ["unknown: the TPM's firmware: its manufacturer was not readable"]
        );
    }

    #[test]
    fn the_source_is_that_of_the_row() {
        let judged = chip(Some("IFX"), Some("4.33")).judgements(&RocaFirmwareCheck, &Policy::default());
        let Verdict::Blocked(Finding { source, .. }) = &judged[0].verdict else { unreachable!() };
        let policy = Policy::default();
        let row = policy.reference().roca_firmware.affects("IFX", 4, 33).unwrap();
        assert_eq!(*source, row.source);
    }
}
