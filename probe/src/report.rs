//! Puts reports together and takes in their answers: between what a machine is known by and what travels.
//!
//! A report lists the digest of everything and carries only the bodies the collector may lack. What the answer asks for
//! is sent at once, in a report of its own number.

use std::collections::BTreeSet;

use muster_evidence::{HostName, InventoryPart, ObservationKey, Report, SeriesKind, Subject, Text, Timestamp, limits};
use muster_proto::convert::{Digest, WireKey, fit, report_to_wire, strip_bodies};
use muster_proto::v1;

use crate::machine::Machine;
use crate::outbox::Outbox;

/// Room in a report for what is told of the certificate when it is sent: three times and a text of 256 bytes.
const CERTIFICATE_BYTES: usize = 512;

/// Who reports, and what its collector understands.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Version of this probe.
    pub version: Text,
    /// Kinds of evidence the collector accepts, by number; `None` before its first answer.
    pub accepted_kinds: Option<Vec<u32>>,
    /// Machines whose reports are superseded for another reason than a state of ours that was rolled back.
    superseded: BTreeSet<HostName>,
}

/// What became of one report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How much of it is durable.
    pub acknowledgement: Acknowledgement,
    /// Observations the collector lacks.
    pub need: Vec<String>,
    /// Parts that were not taken: what, and why.
    pub refusals: Vec<(String, String)>,
    /// When to report next, in milliseconds; 0 where the collector did not say.
    pub next_report_after_ms: u32,
    /// The collector's clock, in milliseconds since 1970.
    pub collector_time_ms: i64,
    /// Whether two installations report under this name.
    pub conflict: bool,
    /// Whether there is something to be sent at once: what was asked for, or what had no room.
    pub more: bool,
}

/// How much of a report is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// On disk and synced.
    Committed,
    /// Nothing was new.
    Seen,
    /// The collector knows a later report.
    Superseded,
    /// A word that this build does not know.
    Unknown,
}

impl Acknowledgement {
    /// The word the protocol uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "COMMITTED",
            Self::Seen => "SEEN",
            Self::Superseded => "SUPERSEDED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A report on its way, with what must be remembered when its answer comes.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The message.
    pub request: v1::ReportRequest,
    /// The machine it speaks of.
    pub host: HostName,
    /// Digest of everything it lists.
    listed: Vec<(ObservationKey, Digest)>,
    /// Whether bodies or parts had no room in it.
    left_out: bool,
}

impl Prepared {
    /// How many bodies it carries.
    pub fn bodies(&self) -> usize {
        self.request.observations.iter().filter(|entry| entry.body.is_some()).count()
    }
}

impl Reporter {
    /// The reporter that this build is.
    pub fn new() -> Self {
        Self { version: Text::cut(env!("CARGO_PKG_VERSION")), accepted_kinds: None, superseded: BTreeSet::new() }
    }

    /// Puts the report about a machine together under that number.
    pub fn prepare(
        &self,
        outbox: &mut Outbox,
        machine: &Machine,
        own: bool,
        sequence: u64,
        now: Timestamp,
    ) -> Prepared {
        let host = machine.identity.name.clone();
        let mut observations = machine.observations.clone();
        // Users nobody named are judged on their machine only.
        observations.retain(|seen| !matches!(&seen.key.subject, Subject::User(sid) if sid.is_unknown()));
        if let Some(accepted) = &self.accepted_kinds {
            observations.retain(|seen| accepted.contains(&u32::from(seen.key.kind.number())));
        }
        if observations.len() > limits::OBSERVATIONS_PER_REPORT {
            let left_out = observations.len() - limits::OBSERVATIONS_PER_REPORT;
            tracing::warn!(host = %host, left_out, "a machine has more observations than a report may carry");
            observations.truncate(limits::OBSERVATIONS_PER_REPORT);
        }
        let report = Report {
            probe_version: self.version.clone(),
            install_id: outbox.install_id(),
            incarnation: outbox.incarnation(),
            sequence,
            host: machine.identity.clone(),
            roles: machine.roles.iter().copied().collect(),
            sent_at: now,
            observations,
            series: if own { outbox.pending_series() } else { Vec::new() },
            inventory: inventory(outbox, &machine.inventory),
            // Only whoever sends knows the certificate of the connection that is used.
            client_certificate: None,
        };
        let mut request = report_to_wire(&report);
        let listed: Vec<(ObservationKey, Digest)> = report
            .observations
            .iter()
            .zip(&request.observations)
            .filter_map(|(seen, entry)| Some((seen.key.clone(), Digest::from_wire(&entry.digest).ok()?)))
            .collect();
        strip_bodies(&mut request, |key, digest| {
            listed.iter().any(|(known, _)| WireKey::from(known) == *key && outbox.has(&host, known, &digest.0))
        });
        let left_out = fit(&mut request, limits::REPORT_BYTES - CERTIFICATE_BYTES);
        Prepared { request, host, listed, left_out }
    }

    /// Takes in the answer to a report: what is held there is remembered, what is needed is forgotten, and what is
    /// stored is dropped here.
    pub fn absorb(&mut self, outbox: &mut Outbox, sent: &Prepared, response: v1::ReportResponse) -> Answer {
        let v1::ReportResponse {
            acknowledgement,
            collector_time_ms,
            next_report_after_ms,
            need,
            series,
            inventory,
            protocol: _,
            accepted_kinds,
            refusals,
            conflict,
        } = response;
        if !accepted_kinds.is_empty() {
            self.accepted_kinds = Some(accepted_kinds);
        }
        let acknowledgement = match v1::Acknowledgement::try_from(acknowledgement) {
            Ok(v1::Acknowledgement::Committed) => Acknowledgement::Committed,
            Ok(v1::Acknowledgement::Seen) => Acknowledgement::Seen,
            Ok(v1::Acknowledgement::Superseded) => Acknowledgement::Superseded,
            Ok(v1::Acknowledgement::Unspecified) | Err(_) => Acknowledgement::Unknown,
        };
        if matches!(acknowledgement, Acknowledgement::Committed | Acknowledgement::Seen) {
            outbox.acknowledged(&sent.host, sent.listed.iter().map(|(key, digest)| (key, digest.0)));
        }

        let needed: Vec<WireKey> = need.into_iter().filter_map(|key| WireKey::from_wire(key).ok()).collect();
        let mut can_be_served = false;
        for (key, _) in &sent.listed {
            let wire = WireKey::from(key);
            if needed.contains(&wire) {
                outbox.lacks(&sent.host, key);
                // A body that was just sent and is asked for again was not taken; sending it once more will not help.
                can_be_served |= !sent.carries(&wire);
            }
        }
        for ack in series {
            if let Some(kind) = u16::try_from(ack.series).ok().and_then(SeriesKind::from_number) {
                outbox.series_stored(kind, ack.stored_up_to);
            }
        }
        let mut inventory_moved = false;
        for ack in inventory {
            let before = outbox.inventory_progress(&ack.forest, &ack.source);
            outbox.inventory_stored(&ack.forest, &ack.source, ack.epoch, ack.cursor);
            inventory_moved |= before != outbox.inventory_progress(&ack.forest, &ack.source);
        }
        let more = can_be_served || sent.left_out || (inventory_moved && sent.has_unsent_inventory(outbox));
        Answer {
            acknowledgement,
            need: needed.iter().map(ToString::to_string).collect(),
            refusals: refusals.into_iter().map(|refusal| (refusal.part, refusal.reason)).collect(),
            next_report_after_ms,
            collector_time_ms,
            conflict,
            more,
        }
    }
}

impl Reporter {
    /// Whether an answer shows that the collector knows later reports of ours than this state does.
    pub fn shows_rollback(&self, host: &HostName, answer: &Answer) -> bool {
        answer.acknowledgement == Acknowledgement::Superseded && !self.superseded.contains(host)
    }

    /// Notes machines that stay superseded under a new incarnation: it is not our state, then.
    pub fn believe_superseded<'r>(&mut self, reported: impl Iterator<Item = &'r crate::round::Reported>) {
        for machine in reported {
            let superseded =
                machine.result.as_ref().is_ok_and(|answer| answer.acknowledgement == Acknowledgement::Superseded);
            if superseded {
                tracing::warn!(host = %machine.host, "collector keeps another report of this machine");
                self.superseded.insert(machine.host.clone());
            }
        }
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::new()
    }
}

impl Prepared {
    fn carries(&self, key: &WireKey) -> bool {
        self.request.observations.iter().any(|entry| {
            entry.body.is_some()
                && entry.key.clone().and_then(|found| WireKey::from_wire(found).ok()).as_ref() == Some(key)
        })
    }

    /// Whether a pass this report told a part of is not stored to its end yet.
    fn has_unsent_inventory(&self, outbox: &Outbox) -> bool {
        self.request.inventory.iter().any(|part| {
            outbox
                .inventory_progress(&part.forest, &part.source)
                .is_some_and(|progress| progress.stored < progress.parts)
        })
    }
}

/// The parts of inventories that the collector does not have yet, renumbered into this probe's own passes.
fn inventory(outbox: &mut Outbox, parts: &[InventoryPart]) -> Vec<InventoryPart> {
    let mut sources: Vec<(&str, &str)> =
        parts.iter().map(|part| (part.forest.as_str(), part.source.as_str())).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut told = Vec::new();
    let mut room = limits::INVENTORY_ITEMS_PER_REPORT;
    for (forest, source) in sources {
        let pass: Vec<&InventoryPart> =
            parts.iter().filter(|part| part.forest.as_str() == forest && part.source.as_str() == source).collect();
        let content = content_of(&pass);
        let progress = outbox.inventory(forest, source, &content, pass.len() as u64);
        for (cursor, part) in (1..).zip(pass) {
            if cursor <= progress.stored {
                continue;
            }
            if part.items.len() > room || told.len() >= limits::INVENTORY_PARTS_PER_REPORT {
                break;
            }
            room -= part.items.len();
            told.push(InventoryPart { epoch: progress.epoch, cursor, ..part.clone() });
        }
    }
    told
}

/// What a pass says, in short: two passes with the same text say the same.
fn content_of(pass: &[&InventoryPart]) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for part in pass {
        // The time of reading is part of it: absence is believed as of then.
        hash.update(part.as_of.unix_ms().to_le_bytes());
        hash.update(format!("{:?}{:?}{:?}", part.items, part.complete, part.canary_seen));
    }
    let digest: [u8; 32] = hash.finalize().into();
    muster_evidence::Sha256(digest).to_string()
}
