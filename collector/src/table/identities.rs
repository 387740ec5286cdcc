//! What hosts share that only one machine can have: an installation, a TPM, a name. Two that have it at the same time
//! are a machine that was copied; two that had it one after the other are one machine that came back as another.
//!
//! Indices alone; whether two hosts are there at the same time is found when somebody asks, since it moves with every
//! report. A relay reports many machines as its own installation, and tells what captures say, so those that a relay
//! speaks for are not in them.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{HostName, HostNo, InstallId, Timestamp};

use super::{Row, Table};

/// Hosts with one thing in common that are looked at, at most: an image with a probe's state in it can be on any number
/// of machines.
const LOOKED_AT: usize = 1_000;

/// The first half of the hash of an endorsement key: more than enough to tell TPMs apart, and a million of them lie in
/// memory.
pub(crate) type KeyPrefix = [u8; 16];

/// The first half of a hash; `None` where there is less.
pub(super) fn key_prefix(hash: &[u8]) -> Option<KeyPrefix> {
    hash.first_chunk().copied()
}

/// Hosts by what they have.
#[derive(Debug, Default)]
pub(super) struct Identities {
    installs: Index,
    tpms: Index,
    former_names: BTreeSet<(HostName, HostNo)>,
    /// Hosts whose name two installations report under.
    contested: BTreeSet<HostNo>,
}

/// Hosts by something that only one machine can have.
#[derive(Debug, Default)]
struct Index {
    hosts: BTreeSet<([u8; 16], HostNo)>,
    /// What several have. Nearly always empty.
    shared: BTreeSet<[u8; 16]>,
}

impl Index {
    fn note(&mut self, what: [u8; 16], host: HostNo) {
        self.hosts.insert((what, host));
        if self.of(what).nth(1).is_some() {
            self.shared.insert(what);
        }
    }

    fn forget(&mut self, what: [u8; 16], host: HostNo) {
        self.hosts.remove(&(what, host));
        if !self.shared.is_empty() && self.of(what).nth(1).is_none() {
            self.shared.remove(&what);
        }
    }

    /// The hosts that have it, by number.
    fn of(&self, what: [u8; 16]) -> impl Iterator<Item = HostNo> + '_ {
        let (first, last) = ((what, HostNo(0)), (what, HostNo(u64::MAX)));
        self.hosts.range(first..=last).map(|(_, number)| *number)
    }
}

impl Identities {
    pub(super) fn note(&mut self, row: &Row) {
        if !row.relayed {
            self.installs.note(row.install_id.0, row.number);
            if let Some(tpm) = row.tpm {
                self.tpms.note(tpm, row.number);
            }
        }
        for name in &row.former_names {
            self.former_names.insert((name.clone(), row.number));
        }
        if row.conflict {
            self.contested.insert(row.number);
        }
    }

    pub(super) fn forget(&mut self, row: &Row) {
        self.installs.forget(row.install_id.0, row.number);
        if let Some(tpm) = row.tpm {
            self.tpms.forget(tpm, row.number);
        }
        for name in &row.former_names {
            self.former_names.remove(&(name.clone(), row.number));
        }
        self.contested.remove(&row.number);
    }

    /// Whether a host has anything in common with another.
    pub(super) fn shares(&self, row: &Row) -> bool {
        !row.relayed
            && (self.installs.shared.contains(&row.install_id.0)
                || row.tpm.is_some_and(|tpm| self.tpms.shared.contains(&tpm)))
    }
}

/// A host that may be known under another name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Namesake {
    /// Its number.
    pub(crate) number: HostNo,
    /// The number of its last report.
    pub(crate) sequence: u64,
    /// Its incarnation.
    pub(crate) incarnation: u64,
    /// When it was last heard of.
    pub(crate) last_seen: Timestamp,
    /// No other host reports as its installation.
    pub(crate) alone: bool,
}

impl Table {
    /// Other hosts that report as the installation of this one at the same time, by number. Each has been heard of since
    /// the other began, so a machine that came back as another host is not among them, and none of them is quiet.
    pub fn copies_of<'t>(&'t self, row: &'t Row) -> impl Iterator<Item = &'t Row> {
        self.others(&self.identities.installs, Some(row.install_id.0), row).filter(move |other| at_once(row, other))
    }

    /// Other hosts that report the TPM of this one at the same time, by number.
    pub fn same_tpm_as<'t>(&'t self, row: &'t Row) -> impl Iterator<Item = &'t Row> {
        self.others(&self.identities.tpms, row.tpm, row).filter(move |other| at_once(row, other))
    }

    /// Hosts with the installation or the TPM of this one that were not there at the same time, by number: the same
    /// machine, before or after.
    pub fn earlier_or_later<'t>(&'t self, row: &'t Row) -> Vec<&'t Row> {
        let installs = self.others(&self.identities.installs, Some(row.install_id.0), row);
        let sharing = installs.chain(self.others(&self.identities.tpms, row.tpm, row));
        let one_by_one = sharing.filter(|other| !at_once(row, other)).map(|other| (other.number, other));
        one_by_one.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    fn others<'t>(&'t self, index: &'t Index, what: Option<[u8; 16]>, row: &'t Row) -> impl Iterator<Item = &'t Row> {
        what.filter(|what| !row.relayed && index.shared.contains(what))
            .into_iter()
            .flat_map(|what| index.of(what).take(LOOKED_AT))
            .filter_map(|number| self.get(number))
            .filter(|other| other.number != row.number)
    }

    /// Whether two machines seem to be behind a host, or behind it and another.
    pub fn is_in_conflict(&self, row: &Row) -> bool {
        row.conflict || self.copies_of(row).next().is_some() || self.same_tpm_as(row).next().is_some()
    }

    /// Every host that is in conflict. Costs what the hosts cost that share something, not what all of them do.
    pub fn in_conflict(&self) -> BTreeSet<HostNo> {
        let mut found = self.identities.contested.clone();
        for index in [&self.identities.installs, &self.identities.tpms] {
            for what in &index.shared {
                let rows: Vec<&Row> = index.of(*what).take(LOOKED_AT).filter_map(|number| self.get(number)).collect();
                found.extend(at_once_with_any(rows));
            }
        }
        found
    }

    /// Hosts that a machine under an unknown name may be: those of its installation or its TPM.
    pub(crate) fn namesakes(&self, install_id: InstallId, ek_sha256: Option<&[u8]>) -> Vec<Namesake> {
        let Identities { installs, tpms, .. } = &self.identities;
        let tpm = ek_sha256.and_then(key_prefix);
        // Of two with one installation neither is taken, so no more need be looked at.
        let mut numbers: BTreeSet<HostNo> = installs.of(install_id.0).take(2).collect();
        numbers.extend(tpm.into_iter().flat_map(|tpm| tpms.of(tpm).take(2)));
        let rows = numbers.into_iter().filter_map(|number| self.get(number));
        rows.map(|row| Namesake {
            number: row.number,
            sequence: row.sequence,
            incarnation: row.incarnation,
            last_seen: row.last_seen,
            alone: !row.relayed && !installs.shared.contains(&row.install_id.0),
        })
        .collect()
    }

    /// Hosts that had that name, or have left one that begins with it as its first label or labels.
    pub fn formerly_named(&self, name: &HostName) -> impl Iterator<Item = (&HostName, &Row)> {
        let (prefix, from) = (name.clone(), (name.clone(), HostNo(0)));
        self.identities
            .former_names
            .range(from..)
            .map(move |(found, number)| (found, found.as_str().strip_prefix(prefix.as_str()), *number))
            .take_while(|(_, rest, _)| rest.is_some())
            .filter(|(_, rest, _)| rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            .filter_map(|(found, _, number)| Some((found, self.get(number)?)))
    }
}

/// Whether two hosts are there at the same time: neither is quiet, and each has been heard of since the other began. A
/// host under a name that the other has left is another machine's from its first report on.
fn at_once(one: &Row, other: &Row) -> bool {
    let overlap = one.last_seen >= other.first_seen && other.last_seen >= one.first_seen;
    let left = one.former_names.contains(&other.key.name) || other.former_names.contains(&one.key.name);
    !one.quiet && !other.quiet && (overlap || left)
}

/// Those of some hosts that are there at the same time as another of them.
fn at_once_with_any(mut rows: Vec<&Row>) -> BTreeSet<HostNo> {
    rows.retain(|row| !row.quiet);
    rows.sort_by_key(|row| (row.first_seen, row.number));
    let mut found = BTreeSet::new();
    let mut latest: Option<&Row> = None;
    for row in &rows {
        // By the time they began: whoever overlaps a later one overlaps the next one, or the latest so far does.
        if let Some(earlier) = latest.filter(|earlier| at_once(earlier, row)) {
            found.extend([earlier.number, row.number]);
        }
        if latest.is_none_or(|latest| latest.last_seen < row.last_seen) {
            latest = Some(row);
        }
    }
    for row in rows.iter().filter(|row| !row.former_names.is_empty()) {
        for other in rows.iter().filter(|other| row.former_names.contains(&other.key.name)) {
            found.extend([row.number, other.number]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::fixture::{Lab, Machine};

    /// The other hosts that report as the installation of this one.
    fn copies(lab: &Lab, host: &str) -> Vec<String> {
        lab.core.read(|table| {
            let row = table.named(&host.parse().unwrap()).next().unwrap();
            table.copies_of(row).map(|other| other.key.name.to_string()).collect()
        })
    }

    fn wait(lab: &Lab, minutes: i64) {
        lab.clock.advance_ms(minutes * 60_000);
        lab.core.tick();
    }

    #[tokio::test]
    async fn machines_that_report_as_one_installation_are_told_from_one_that_was_renamed() {
        let lab = Lab::new().await;
        let pc = |n: u32| Machine::endpoint(&format!("pc{n}.corp.example"), "Harbour", 1_100 + n);
        let (mut first, mut second, mut other) = (pc(1), pc(2), pc(3));
        other.install_id = InstallId([8; 16]);
        lab.take(&mut first).await;
        lab.take(&mut other).await;
        // What a relay tells of is no copy of the machine it is, nor of one another.
        for n in 4..6 {
            let mut capture = pc(n);
            capture.captured(lab.clock.now());
            lab.core.submit(&lab.peer("relay.corp.example"), capture.report(lab.clock.now())).await.unwrap();
        }
        wait(&lab, 15);
        lab.take(&mut second).await;
        for name in [&first, &second, &other].map(Machine::name) {
            assert_eq!(copies(&lab, name), [""; 0], "{name}: the first may have been renamed");
        }
        assert_eq!(copies(&lab, "pc4.corp.example"), [""; 0]);

        lab.take(&mut first).await;
        assert_eq!(copies(&lab, first.name()), [second.name()]);
        assert_eq!(copies(&lab, second.name()), [first.name()]);
        assert_eq!(copies(&lab, other.name()), [""; 0]);
        lab.core.checkpoint().await;
        let again = lab.again().await;
        let row = again.read(|table| table.named(&first.host.name).next().cloned()).unwrap();
        let shown = again.read(|table| table.copies_of(&row).count());
        assert_eq!(shown, 1, "after a restart too");

        // One of them is switched off; it comes back as an installation of its own.
        for _ in 0..3 {
            wait(&lab, 15);
            lab.take(&mut first).await;
        }
        assert_eq!(copies(&lab, first.name()), [second.name()]);
        wait(&lab, 1);
        assert_eq!(copies(&lab, first.name()), [""; 0]);
        second.install_id = InstallId([9; 16]);
        lab.take(&mut second).await;
        lab.take(&mut first).await;
        assert_eq!(copies(&lab, first.name()), [""; 0]);
        assert_eq!(copies(&lab, second.name()), [""; 0]);
    }
}
