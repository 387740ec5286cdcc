//! Puts reports together and takes in their answers: between what a machine is known by and what travels.
//!
//! A report lists the digest of everything and carries only the bodies the collector may lack. What the answer asks for
//! is sent at once, in a report of its own number.

use std::collections::BTreeSet;

use muster_evidence::{HostName, InventoryPart, ObservationKey, Report, SeriesKind, Subject, Text, Timestamp, limits};
use muster_proto::convert::{Digest, WireKey, fit, report_to_wire, strip_bodies};
use muster_proto::v1;

use crate::machine::Machine;
use crate::names;
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
    /// Whether names of people are reported.
    pub user_names: bool,
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
        Self {
            version: Text::cut(env!("CARGO_PKG_VERSION")),
            accepted_kinds: None,
            user_names: false,
            superseded: BTreeSet::new(),
        }
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
        let mut parts = machine.inventory.clone();
        if !self.user_names {
            // Before anything is compared with what was sent: whoever allows names later has everything sent anew.
            names::take_out(&mut observations, &mut parts);
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
            inventory: inventory(outbox, &parts),
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::capture;
    use crate::outbox::system_entropy;
    use muster_evidence::{Evidence, InventoryItem, Outcome};

    /// What no report may carry: credentials of proxies, keys, and how people are called.
    const SECRETS: [&str; 6] = ["hunter2", "svc-proxy", "ada.pilot", "Ada Pilot", "MIIEvQ", "PRIVATE"];

    const NOW: &str = "2026-03-03T00:00:00Z";

    /// A capture whose files hold all of them, wherever people and tools put them.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("pc-0417");
        fs::create_dir_all(&at).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures/ready-endpoint");
        for file in ["capture.toml", "tpmtool.txt", "ver.txt"] {
            fs::copy(fixture.join(file), at.join(file)).unwrap();
        }
        let mut dsregcmd = fs::read_to_string(fixture.join("dsregcmd.txt")).unwrap();
        for title in ["IE Proxy Config for System Account", "URL Specific Proxy Config", "WinHttp Default Proxy Config"]
        {
            let section = format!(
                "\n+------+\n| {title} |\n+------+\n\n      Access Type : NAMED_PROXY\n    \
                 Auto-Configuration URL : http://svc-proxy:hunter2@wpad.corp.example/proxy.pac\n    \
                 Proxy Server List : http=svc-proxy:hunter2@proxy:8080\n    \
                 Proxy Bypass List : <local>;hunter2\n"
            );
            dsregcmd.push_str(&section);
        }
        dsregcmd.push_str(
            "\n+------+\n| Diagnostic Data |\n+------+\n\n    Executing Account Name : CORP\\ada.pilot, \
             ada.pilot@corp.example\n    Display Name : Ada Pilot\n    DRS Discovery Test : FAIL [http://svc-proxy:\
             hunter2@proxy:8080]\n",
        );
        fs::write(at.join("dsregcmd.txt"), dsregcmd).unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n";
        fs::write(at.join("left-behind.pem"), key).unwrap();
        let mut manifest = fs::read_to_string(at.join("capture.toml")).unwrap();
        manifest.push_str("\n[[file]]\npath = \"left-behind.pem\"\nkind = \"certificates\"\n");
        fs::write(at.join("capture.toml"), manifest).unwrap();
        folder
    }

    fn reported(machines: &[Machine], user_names: bool) -> (Vec<v1::ReportRequest>, String) {
        let state = tempfile::tempdir().unwrap();
        let (mut outbox, _) = Outbox::open(state.path(), system_entropy).unwrap();
        let reporter = Reporter { user_names, ..Reporter::new() };
        let prepare = |machine| reporter.prepare(&mut outbox, machine, false, 1, NOW.parse().unwrap()).request;
        let requests: Vec<_> = machines.iter().map(prepare).collect();
        // Bodies are bytes within the message, which show as numbers there.
        let bodies = requests.iter().flat_map(|request| &request.observations).filter_map(|entry| entry.body.as_ref());
        let bodies: String = bodies.map(|body| String::from_utf8_lossy(body).into_owned()).collect();
        let text = format!("{requests:?}{bodies}");
        (requests, text)
    }

    #[test]
    fn no_secret_of_a_capture_reaches_a_report() {
        let folder = folder();
        let set = capture::load(folder.path(), NOW.parse().unwrap());
        let problems: Vec<String> = set.problems.iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|problem| problem.contains("holds a private key")), "{problems:?}");
        let machines: Vec<Machine> = set.machines.into_iter().map(Machine::from).collect();
        for user_names in [false, true] {
            let (requests, bytes) = reported(&machines, user_names);
            assert_eq!(requests.len(), 1);
            assert!(requests[0].observations.len() > 5, "{requests:?}");
            for secret in SECRETS {
                assert!(!bytes.contains(secret), "`{secret}` is in a report that tells names: {user_names}");
                assert!(
                    !problems.join("\n").contains(secret) || secret == "PRIVATE",
                    "`{secret}` is told as a problem"
                );
            }
        }
    }

    #[test]
    fn names_of_people_are_reported_where_the_owner_says_so() {
        let folder = folder();
        let set = capture::load(folder.path(), NOW.parse().unwrap());
        let mut machine = Machine::from(set.machines.into_iter().next().unwrap());
        let upn = || Some(Text::cut("ada.pilot@corp.example"));
        let mut registrations = 0;
        for seen in &mut machine.observations {
            if let Outcome::Observed(Evidence::KeyRegistration(registration)) = &mut seen.outcome {
                registration.upn = upn();
                registrations += 1;
            }
        }
        assert!(registrations > 0);
        machine.inventory = vec![InventoryPart {
            forest: "corp.example".parse().unwrap(),
            source: Text::cut("key-credentials"),
            epoch: 1,
            cursor: 1,
            as_of: NOW.parse().unwrap(),
            items: vec![InventoryItem::UserKeys(muster_evidence::UserKeys {
                sid: "S-1-5-21-1-2-3-1104".parse().unwrap(),
                keys: Vec::new(),
                undecodable: 0,
                left_out: 0,
                upn: upn(),
            })],
            complete: true,
            canary_seen: true,
        }];
        let machines = [machine];
        let (without, silent) = reported(&machines, false);
        assert!(!silent.contains("ada.pilot"));
        let (with, named) = reported(&machines, true);
        assert_eq!(named.matches("ada.pilot@corp.example").count(), registrations + 1);
        // Whoever allows names later has what carries them sent anew, and nothing else.
        let digests = |request: &v1::ReportRequest| -> Vec<Vec<u8>> {
            request.observations.iter().map(|entry| entry.digest.clone()).collect()
        };
        let (without, with) = (digests(&without[0]), digests(&with[0]));
        assert_eq!(without.iter().zip(&with).filter(|(before, after)| before != after).count(), registrations);
    }
}
