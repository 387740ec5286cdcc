//! Which hosts report as one installation: a machine that was copied, and renamed, without its probe being told.
//!
//! An index alone; whether two hosts that share an installation are two machines is found when somebody asks, since it
//! moves with every report. A relay reports many machines as its own installation, so those that a relay speaks for
//! are not in it.

use std::collections::BTreeSet;

use muster_evidence::{HostNo, InstallId};

use super::{Row, Table};

/// Hosts of one installation that are looked at, at most: an image with a probe's state in it can be on any number of
/// machines.
const LOOKED_AT: usize = 1_000;

/// Hosts by installation.
#[derive(Debug, Default)]
pub(super) struct Installs(BTreeSet<([u8; 16], HostNo)>);

impl Installs {
    pub(super) fn note(&mut self, row: &Row) {
        if !row.relayed {
            self.0.insert((row.install_id.0, row.number));
        }
    }

    pub(super) fn forget(&mut self, row: &Row) {
        self.0.remove(&(row.install_id.0, row.number));
    }

    fn hosts_of(&self, install_id: InstallId) -> impl Iterator<Item = HostNo> + '_ {
        let (first, last) = ((install_id.0, HostNo(0)), (install_id.0, HostNo(u64::MAX)));
        self.0.range(first..=last).map(|(_, number)| *number)
    }
}

impl Table {
    /// Other hosts that report as the installation of this one at the same time, by number. Each has been heard of since
    /// the other began, so a machine that was renamed is not among them, and none of them is quiet.
    pub fn copies_of<'t>(&'t self, row: &'t Row) -> impl Iterator<Item = &'t Row> {
        self.installs
            .hosts_of(row.install_id)
            .take(if row.relayed || row.quiet { 0 } else { LOOKED_AT })
            .filter_map(|number| self.get(number))
            .filter(|other| other.number != row.number && !other.quiet)
            .filter(|other| other.last_seen >= row.first_seen && row.last_seen >= other.first_seen)
    }
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
