//! One round of reporting: every machine once, and again at once for what the collector asks for.
//!
//! The probe's own machine goes in a call of its own; the others, for which it only carries, on a stream.

use std::sync::Arc;

use muster_evidence::{HostName, Timestamp};
use muster_proto::link::Chain;
use muster_proto::v1;

use crate::machine::Machine;
use crate::outbox::{Notice, Outbox, OutboxError};
use crate::report::{Acknowledgement, Answer, Prepared, Reporter};
use crate::send::{Exchange, SendError};

/// Most passes of one round. A pass more is taken while the collector asks for something that can be given, which ends
/// after two for state; a large inventory takes as many as it has parts.
const MOST_PASSES: usize = 64;

/// What came of the report about one machine.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The machine.
    pub host: HostName,
    /// Number of the last report about it.
    pub sequence: u64,
    /// Observations that were listed.
    pub listed: usize,
    /// Bodies that were sent, in all passes.
    pub bodies: usize,
    /// The collector's answer to the last one, or why there is none.
    pub result: Result<Answer, Arc<SendError>>,
}

/// Reports every machine.
pub async fn round<E: Exchange>(
    exchange: &mut E,
    reporter: &mut Reporter,
    outbox: &mut Outbox,
    own: &HostName,
    machines: &[Machine],
    now: Timestamp,
) -> Result<Vec<Reported>, OutboxError> {
    let mut reported: Vec<Option<Reported>> = vec![None; machines.len()];
    let mut pending: Vec<usize> = (0..machines.len()).collect();
    let mut rolled_back = false;
    for _ in 0..MOST_PASSES {
        if pending.is_empty() {
            break;
        }
        let (first, notice) = outbox.take_sequences(pending.len() as u64);
        tell(notice.as_ref());
        let prepared: Vec<(usize, Prepared)> = pending
            .iter()
            .zip(first..)
            .map(|(&index, sequence)| {
                let machine = &machines[index];
                (index, reporter.prepare(outbox, machine, machine.identity.name == *own, sequence, now))
            })
            .collect();
        let answers = send(exchange, own, &prepared).await;
        pending = Vec::new();
        let mut superseded = false;
        for ((index, sent), answer) in prepared.into_iter().zip(answers) {
            let before = reported[index].take();
            let result = match answer {
                Ok(response) => {
                    let answer = reporter.absorb(outbox, &sent, response);
                    superseded |= reporter.shows_rollback(&sent.host, &answer);
                    if answer.more {
                        pending.push(index);
                    }
                    Ok(merged(before.as_ref(), answer))
                }
                Err(error) => Err(Arc::new(error)),
            };
            reported[index] = Some(Reported {
                sequence: sent.request.sequence,
                listed: sent.request.observations.len(),
                bodies: sent.bodies() + before.map_or(0, |before| before.bodies),
                host: sent.host,
                result,
            });
        }
        if superseded {
            if rolled_back {
                reporter.believe_superseded(reported.iter().flatten());
                break;
            }
            // The collector knows later reports of ours: this state is an old copy. Everything is told anew.
            tell(Some(&outbox.rolled_back()?));
            rolled_back = true;
            pending = (0..machines.len()).collect();
        }
    }
    tell(outbox.write().as_ref());
    Ok(reported.into_iter().flatten().collect())
}

async fn send<E: Exchange>(
    exchange: &mut E,
    own: &HostName,
    prepared: &[(usize, Prepared)],
) -> Vec<Result<v1::ReportResponse, SendError>> {
    let carried: Vec<v1::ReportRequest> =
        prepared.iter().filter(|(_, sent)| sent.host != *own).map(|(_, sent)| sent.request.clone()).collect();
    let mut carried = if carried.is_empty() { Vec::new() } else { exchange.report_many(carried).await }.into_iter();
    let mut answers = Vec::with_capacity(prepared.len());
    for (_, sent) in prepared {
        answers.push(if sent.host == *own {
            exchange.report(sent.request.clone()).await
        } else {
            carried.next().unwrap_or(Err(SendError::Lost { message: "no answer came".to_owned() }))
        });
    }
    answers
}

/// The answer to all passes: what was committed in one of them stays committed, and refusals add up.
fn merged(before: Option<&Reported>, mut answer: Answer) -> Answer {
    if let Some(Ok(before)) = before.map(|before| &before.result) {
        if before.acknowledgement == Acknowledgement::Committed && answer.acknowledgement == Acknowledgement::Seen {
            answer.acknowledgement = Acknowledgement::Committed;
        }
        for refusal in &before.refusals {
            if !answer.refusals.contains(refusal) {
                answer.refusals.push(refusal.clone());
            }
        }
    }
    answer
}

/// Logs what happened to the state.
pub fn tell(notice: Option<&Notice>) {
    match notice {
        None => {}
        Some(notice @ (Notice::NotKept { .. } | Notice::SetAside { .. })) => {
            tracing::error!(error = %Chain(notice), "state was not kept");
        }
        Some(notice @ (Notice::KeptAgain { .. } | Notice::RolledBack { .. })) => {
            tracing::warn!(notice = %notice, "state changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use muster_evidence::{
        Context, Evidence, HostIdentity, InventoryItem, InventoryPart, Kind, Observation, ObservationKey,
        OperatingSystem, Origin, OsFamily, Outcome, Role, SeriesKind, SeriesPoint, Text, UserKeys,
    };
    use muster_proto::convert::{Digest, WireKey, read_report};
    use tempfile::TempDir;
    use tonic::Code;

    use super::*;
    use crate::outbox::system_entropy;

    /// A collector that behaves like one: it keeps bodies, orders reports, and asks for what it lacks.
    #[derive(Default)]
    struct Collector {
        hosts: BTreeMap<String, Held>,
        accepted_kinds: Vec<u32>,
        /// Kinds it refuses to store.
        refused: BTreeSet<u32>,
        /// Hosts whose reports it always calls superseded.
        stubborn: BTreeSet<String>,
        inventory: BTreeMap<(String, String), (u64, u64)>,
        /// Answers that get lost on their way, after the report was stored.
        lose: usize,
        /// Whether nobody can reach it.
        away: bool,
        calls: usize,
        streams: usize,
        series_points: usize,
    }

    #[derive(Default)]
    struct Held {
        incarnation: u64,
        sequence: u64,
        bodies: BTreeMap<WireKey, Digest>,
    }

    impl Collector {
        fn take(&mut self, request: v1::ReportRequest) -> Result<v1::ReportResponse, SendError> {
            let report = read_report(request).map_err(|error| SendError::Refused {
                code: Code::InvalidArgument,
                message: Chain(&error).to_string(),
            })?;
            assert!(report.refusals.is_empty(), "{:?}", report.refusals);
            let name = report.host.name.to_string();
            let mut response = v1::ReportResponse {
                next_report_after_ms: 60_000,
                accepted_kinds: self.accepted_kinds.clone(),
                ..v1::ReportResponse::default()
            };
            let held = self.hosts.entry(name.clone()).or_default();
            let stale = held.incarnation == report.incarnation && report.sequence <= held.sequence;
            if stale || self.stubborn.contains(&name) {
                response.acknowledgement = v1::Acknowledgement::Superseded.into();
                return Ok(response);
            }
            (held.incarnation, held.sequence) = (report.incarnation, report.sequence);
            let mut changed = false;
            for seen in report.observations {
                match seen.body {
                    Some(_) if self.refused.contains(&seen.key.kind) => {
                        let part = format!("observation {}", seen.key);
                        response.refusals.push(v1::Refusal { part, reason: "not wanted".to_owned() });
                    }
                    Some(_) => changed |= held.bodies.insert(seen.key, seen.digest) != Some(seen.digest),
                    None if held.bodies.get(&seen.key) == Some(&seen.digest) => {}
                    None => response.need.push(seen.key.to_wire()),
                }
            }
            for append in &report.series {
                self.series_points += append.points.len();
                response.series.push(v1::SeriesAck {
                    series: append.series.number().into(),
                    stored_up_to: append.first_sequence + append.points.len() as u64 - 1,
                });
            }
            for part in report.inventory {
                let stored = self.inventory.entry((part.forest.to_string(), part.source.to_string())).or_default();
                if part.epoch > stored.0 {
                    *stored = (part.epoch, 0);
                }
                if part.epoch == stored.0 && part.cursor == stored.1 + 1 {
                    stored.1 = part.cursor;
                    changed = true;
                }
                response.inventory.push(v1::InventoryAck {
                    forest: part.forest.to_string(),
                    source: part.source.to_string(),
                    epoch: stored.0,
                    cursor: stored.1,
                });
            }
            response.acknowledgement =
                if changed { v1::Acknowledgement::Committed } else { v1::Acknowledgement::Seen }.into();
            if self.lose > 0 {
                self.lose -= 1;
                return Err(SendError::Lost { message: "the answer got lost".to_owned() });
            }
            Ok(response)
        }
    }

    impl Exchange for Collector {
        async fn report(&mut self, request: v1::ReportRequest) -> Result<v1::ReportResponse, SendError> {
            if self.away {
                return Err(SendError::Unreachable { tried: vec!["no network".to_owned()] });
            }
            self.calls += 1;
            self.take(request)
        }

        async fn report_many(
            &mut self,
            requests: Vec<v1::ReportRequest>,
        ) -> Vec<Result<v1::ReportResponse, SendError>> {
            self.streams += 1;
            requests.into_iter().map(|request| self.take(request)).collect()
        }

        fn disconnect(&mut self) {}
    }

    struct Probe {
        outbox: Outbox,
        reporter: Reporter,
        folder: TempDir,
    }

    impl Probe {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (outbox, _) = Outbox::open(folder.path(), system_entropy).unwrap();
            Self { outbox, reporter: Reporter::new(), folder }
        }

        /// As after a kill: nothing is written on the way out.
        fn restarted(self) -> Self {
            let Self { outbox, folder, .. } = self;
            drop(outbox);
            let (outbox, _) = Outbox::open(folder.path(), system_entropy).unwrap();
            Self { outbox, reporter: Reporter::new(), folder }
        }

        async fn round(&mut self, collector: &mut Collector, machines: &[Machine]) -> Vec<Reported> {
            let own = "own.corp.example".parse().unwrap();
            let now = "2026-03-02T09:00:00Z".parse().unwrap();
            round(collector, &mut self.reporter, &mut self.outbox, &own, machines, now).await.unwrap()
        }
    }

    fn machine(name: &str, version: &str) -> Machine {
        let observed_at = "2026-03-02T08:59:00Z".parse().unwrap();
        let system = OperatingSystem {
            family: OsFamily::Windows,
            name: Text::cut("Windows 11 Enterprise"),
            version: Text::cut(version),
            build: Some(26_100),
            revision: None,
            edition: None,
            product_type: None,
            server_core: None,
            release: None,
            firmware: None,
        };
        let seen = |kind, outcome| Observation {
            key: ObservationKey::host(kind),
            outcome,
            observed_at,
            context: Context::Service,
            origin: Origin::Live,
        };
        Machine {
            identity: HostIdentity {
                name: name.parse().unwrap(),
                forest: None,
                site: None,
                object_guid: None,
                device_id: None,
                ek_sha256: None,
            },
            roles: BTreeSet::from([Role::Endpoint]),
            observations: vec![
                seen(Kind::Tpm, Outcome::Absent),
                seen(Kind::OperatingSystem, Outcome::Observed(Evidence::OperatingSystem(system))),
            ],
            observed_at,
            observed_at_assumed: false,
            origin: Origin::Live,
            accounts: BTreeMap::new(),
            inventory: Vec::new(),
        }
    }

    fn told(reported: &[Reported]) -> Vec<(Acknowledgement, usize)> {
        reported.iter().map(|machine| (machine.result.as_ref().unwrap().acknowledgement, machine.bodies)).collect()
    }

    #[tokio::test]
    async fn an_unchanged_machine_sends_no_body_and_a_changed_one_only_what_changed() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let machines = [machine("own.corp.example", "10.0.26100")];
        assert_eq!(told(&probe.round(&mut collector, &machines).await), [(Acknowledgement::Committed, 2)]);
        for _ in 0..19 {
            assert_eq!(told(&probe.round(&mut collector, &machines).await), [(Acknowledgement::Seen, 0)]);
        }
        let changed = [machine("own.corp.example", "10.0.26200")];
        assert_eq!(told(&probe.round(&mut collector, &changed).await), [(Acknowledgement::Committed, 1)]);
        assert_eq!(collector.calls, 21, "one call each");
        // What the collector has is known after a restart too.
        let mut probe = probe.restarted();
        assert_eq!(told(&probe.round(&mut collector, &changed).await), [(Acknowledgement::Seen, 0)]);
    }

    #[tokio::test]
    async fn what_the_collector_lacks_is_sent_at_once() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let machines = [machine("own.corp.example", "10.0.26100")];
        probe.round(&mut collector, &machines).await;
        // As after a restore of an older copy of its store.
        collector.hosts.get_mut("own.corp.example").unwrap().bodies.clear();
        let reported = probe.round(&mut collector, &machines).await;
        assert_eq!(told(&reported), [(Acknowledgement::Committed, 2)]);
        assert_eq!(collector.calls, 3, "one to be asked, one to answer");
        assert_eq!(collector.hosts["own.corp.example"].bodies.len(), 2);
    }

    #[tokio::test]
    async fn what_is_refused_is_told_and_not_sent_again_and_again() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        collector.refused.insert(Kind::Tpm.number().into());
        let machines = [machine("own.corp.example", "10.0.26100")];
        let reported = probe.round(&mut collector, &machines).await;
        let answer = reported[0].result.as_ref().unwrap();
        assert_eq!(answer.refusals, [("observation tpm of host".to_owned(), "not wanted".to_owned())]);
        assert_eq!(collector.calls, 1);
        probe.round(&mut collector, &machines).await;
        assert!(collector.calls <= 3, "{} calls", collector.calls);
    }

    #[tokio::test]
    async fn a_lost_answer_costs_nothing_but_a_repetition() {
        let (mut probe, mut collector) = (Probe::new(), Collector { lose: 1, ..Collector::default() });
        let machines = [machine("own.corp.example", "10.0.26100")];
        let reported = probe.round(&mut collector, &machines).await;
        assert!(reported[0].result.is_err(), "{reported:?}");
        let incarnation = probe.outbox.incarnation();
        let mut probe = probe.restarted();
        assert_eq!(told(&probe.round(&mut collector, &machines).await), [(Acknowledgement::Seen, 2)]);
        assert_eq!(probe.outbox.incarnation(), incarnation, "a number that was used is never used again");
    }

    #[tokio::test]
    async fn a_state_that_was_rolled_back_begins_a_new_incarnation_and_tells_everything() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let machines = [machine("own.corp.example", "10.0.26100"), machine("pc-0418.corp.example", "10.0.26100")];
        probe.round(&mut collector, &machines).await;
        let copy = std::fs::read(probe.folder.path().join("state.json")).unwrap();
        probe.round(&mut collector, &machines).await;
        std::fs::write(probe.folder.path().join("state.json"), copy).unwrap();
        let mut probe = probe.restarted();
        let before = probe.outbox.incarnation();
        let reported = probe.round(&mut collector, &machines).await;
        assert_ne!(probe.outbox.incarnation(), before);
        for machine in &reported {
            let answer = machine.result.as_ref().unwrap();
            assert_eq!(answer.acknowledgement, Acknowledgement::Seen, "the evidence itself was known");
            assert_eq!(machine.bodies, 2, "and everything was told again");
        }
    }

    #[tokio::test]
    async fn a_machine_that_stays_superseded_does_not_renew_the_incarnation_for_ever() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        collector.stubborn.insert("pc-0418.corp.example".to_owned());
        let machines = [machine("own.corp.example", "10.0.26100"), machine("pc-0418.corp.example", "10.0.26100")];
        probe.round(&mut collector, &machines).await;
        let incarnation = probe.outbox.incarnation();
        let reported = probe.round(&mut collector, &machines).await;
        assert_eq!(probe.outbox.incarnation(), incarnation);
        assert_eq!(told(&reported)[1].0, Acknowledgement::Superseded);
    }

    #[tokio::test]
    async fn only_accepted_kinds_are_sent_to_an_older_collector() {
        let accepted_kinds = vec![Kind::Tpm.number().into()];
        let (mut probe, mut collector) = (Probe::new(), Collector { accepted_kinds, ..Collector::default() });
        let machines = [machine("own.corp.example", "10.0.26100")];
        assert_eq!(probe.round(&mut collector, &machines).await[0].listed, 2, "before the first answer nobody knows");
        assert_eq!(probe.round(&mut collector, &machines).await[0].listed, 1);
    }

    #[tokio::test]
    async fn other_machines_travel_on_a_stream_one_report_each() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let machines = [
            machine("own.corp.example", "10.0.26100"),
            machine("pc-0418.corp.example", "10.0.26100"),
            machine("pc-0419.corp.example", "10.0.26100"),
        ];
        let reported = probe.round(&mut collector, &machines).await;
        assert_eq!(told(&reported), [(Acknowledgement::Committed, 2); 3]);
        assert_eq!((collector.calls, collector.streams, collector.hosts.len()), (1, 1, 3));
        let sequences: BTreeSet<u64> = reported.iter().map(|machine| machine.sequence).collect();
        assert_eq!(sequences.len(), 3, "each has a number of its own");
    }

    #[tokio::test]
    async fn users_nobody_named_are_never_reported() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let mut own = machine("own.corp.example", "10.0.26100");
        own.observations.push(Observation {
            key: ObservationKey::user(Kind::Prt, muster_evidence::Sid::unknown()),
            outcome: Outcome::Absent,
            observed_at: own.observed_at,
            context: Context::Unknown,
            origin: Origin::Capture,
        });
        assert_eq!(probe.round(&mut collector, &[own]).await[0].listed, 2);
    }

    #[tokio::test]
    async fn series_are_resent_until_stored() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let at = "2026-03-02T08:00:00Z".parse().unwrap();
        probe.outbox.push_point(SeriesKind::KdcAsRate, SeriesPoint { at, milli: 7 });
        let machines = [machine("own.corp.example", "10.0.26100")];
        probe.round(&mut collector, &machines).await;
        probe.round(&mut collector, &machines).await;
        assert_eq!(collector.series_points, 1);
        assert!(probe.outbox.pending_series().is_empty());
    }

    #[tokio::test]
    async fn weeks_off_the_network_leave_bounded_series_and_one_report_on_return() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let version = |round: u32| format!("10.0.{}", 26_100 + round);
        probe.round(&mut collector, &[machine("own.corp.example", &version(0))]).await;
        collector.away = true;
        let begins: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        // Three weeks of a domain controller: a point of each series every minute, and a round a day.
        for round in 0..21_u32 {
            for minute in 0..1_440 {
                let at = begins.plus_ms((i64::from(round) * 1_440 + minute) * 60_000);
                for series in SeriesKind::ALL {
                    probe.outbox.push_point(*series, SeriesPoint { at, milli: i64::MIN });
                }
            }
            let own = machine("own.corp.example", &version(round));
            assert!(probe.round(&mut collector, &[own]).await[0].result.is_err());
        }
        let state = std::fs::metadata(probe.folder.path().join("state.json")).unwrap().len();
        assert!(state <= 4 << 20, "{state} bytes");
        // A restart in between changes nothing.
        let mut probe = probe.restarted();
        collector.away = false;
        let calls = collector.calls;
        let own = [machine("own.corp.example", &version(21))];
        assert_eq!(told(&probe.round(&mut collector, &own).await), [(Acknowledgement::Committed, 1)]);
        assert_eq!(collector.calls, calls + 1, "one report, which tells how things are now");
        assert_eq!(collector.series_points, SeriesKind::ALL.len() * muster_evidence::limits::SERIES_RING_POINTS);
        assert!(probe.outbox.pending_series().is_empty());
        assert_eq!(told(&probe.round(&mut collector, &own).await), [(Acknowledgement::Seen, 0)]);
    }

    #[tokio::test]
    async fn a_large_inventory_is_told_part_by_part_in_one_round() {
        let (mut probe, mut collector) = (Probe::new(), Collector::default());
        let mut own = machine("own.corp.example", "10.0.26100");
        let part = |n: u64| InventoryPart {
            forest: "corp.example".parse().unwrap(),
            source: Text::cut("key-credentials"),
            epoch: 1,
            cursor: n,
            as_of: own.observed_at,
            items: (0..400)
                .map(|user| {
                    let sid = format!("S-1-5-21-1-2-3-{}", n * 1_000 + user).parse().unwrap();
                    InventoryItem::UserKeys(UserKeys { sid, keys: Vec::new(), undecodable: 0, left_out: 0, upn: None })
                })
                .collect(),
            complete: n == 3,
            canary_seen: true,
        };
        own.inventory = (1..=3).map(part).collect();
        probe.round(&mut collector, std::slice::from_ref(&own)).await;
        let key = ("corp.example".to_owned(), "key-credentials".to_owned());
        assert_eq!(collector.inventory[&key], (1, 3), "to its end");
        let calls = collector.calls;
        probe.round(&mut collector, std::slice::from_ref(&own)).await;
        assert_eq!(collector.calls, calls + 1, "and not again");
        own.inventory[2].items.pop();
        probe.round(&mut collector, &[own]).await;
        assert_eq!(collector.inventory[&key], (2, 3), "a change is a new pass");
    }
}
