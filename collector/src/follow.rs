//! Taking over what other collectors change in the store, so that this one's table and snapshot tell the same.
//!
//! Every second the store's feed of changes is read from where it was left. Most of it is what this collector wrote
//! itself and costs a comparison of revisions; a host that another one changed is read again. Where the feed reaches no
//! further back, everything is.
//!
//! What this makes right, and what it does not, for several collectors on one store (which sled is not: it has one process;
//! two handles of it in one process, or PostgreSQL later, are):
//!
//! - Hosts, verdicts, transitions, policy, waivers and inventories are the same everywhere after a second or two. What is
//!   written is right at any time, since every change names the revision it was made from.
//! - A report that says nothing new is answered from this process's table and writes nothing. That answer is wrong if
//!   another collector has taken other evidence of the host within the last seconds, and the host then returned to what it
//!   had said here before; the next report that is not the same mends it.
//! - What only memory knows is not shared: the sequence of reports that said nothing new, and that the host was there at
//!   all, until it is checkpointed. A report that was overtaken on its way could be taken by another collector, and there a
//!   host could seem silent that reports here. With PostgreSQL a host therefore belongs to one collector at a time: a lease
//!   over blocks of host numbers, and reports that arrive elsewhere are handed on, or the last sequence and sight of a
//!   block are kept in an unlogged table that every collector reads.
//! - Rollout verdicts of sites are written by every collector that sees them change. With PostgreSQL the holder of a lease
//!   writes them.

use std::collections::BTreeSet;

use muster_evidence::{HostName, HostNo};
use muster_proto::link::Chain;
use tracing::{info, warn};

use crate::core::{Core, lock};
use crate::store::{Changes, Since, StoreError};

/// Hosts read at once while reading everything again.
const PAGE: usize = 1_000;

impl Core {
    /// Takes over what has changed in the store since this was asked last. How many hosts were read again.
    pub async fn follow(&self) -> Result<usize, StoreError> {
        let mut cursor = self.0.followed.lock().await;
        let mut taken = 0;
        loop {
            match self.store().changes_since(*cursor).await? {
                Since::Changes(changes) => {
                    taken += self.take_changes(&changes).await?;
                    *cursor = changes.next;
                    if !changes.more {
                        break;
                    }
                }
                Since::TooOld { newest } => {
                    info!("the store has changed more than its feed tells; it is read again");
                    taken += self.take_everything().await?;
                    *cursor = newest;
                }
            }
        }
        if taken > 0 {
            self.wake_publisher();
        }
        Ok(taken)
    }

    async fn take_changes(&self, changes: &Changes) -> Result<usize, StoreError> {
        if changes.policy || changes.waivers {
            self.follow_policy().await;
        }
        if changes.inventories {
            self.follow_inventories().await?;
        }
        let news: Vec<HostNo> = self.read(|table| {
            let is_news = |(host, revision): &(&HostNo, &u64)| {
                let known = table.get(**host).map(|row| row.revision);
                if **revision == 0 { known.is_some() } else { known.is_none_or(|known| known < **revision) }
            };
            changes.hosts.iter().filter(is_news).map(|(host, _)| *host).collect()
        });
        let mut taken = 0;
        for host in news {
            taken += usize::from(self.take_over(host).await?);
        }
        if changes.last_transition > 0 {
            self.note_transition(changes.last_transition);
            self.wake_publisher();
        }
        Ok(taken)
    }

    async fn take_everything(&self) -> Result<usize, StoreError> {
        self.follow_policy().await;
        self.follow_inventories().await?;
        let (mut after, mut taken) = (0, 0);
        let mut gone: BTreeSet<HostNo> = self.read(|table| table.rows_after(HostNo(0)).map(|row| row.number).collect());
        loop {
            let page = self.store().page(after, PAGE).await?;
            for stored in &page.items {
                gone.remove(&stored.number);
                let known = self.read(|table| table.get(stored.number).map(|row| row.revision));
                if known.is_none_or(|known| known < stored.record.revision) {
                    taken += usize::from(self.take_over(stored.number).await?);
                }
            }
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        for host in gone {
            taken += usize::from(self.take_over(host).await?);
        }
        let mut last = self.snapshot().last_transition;
        loop {
            let page = self.store().transitions(last, PAGE).await?;
            last = page.items.last().map_or(last, |transition| transition.number);
            if page.next.is_none() {
                break;
            }
        }
        self.note_transition(last);
        Ok(taken)
    }

    /// Puts a host into the table as the store knows it. Whether the table did not.
    async fn take_over(&self, number: HostNo) -> Result<bool, StoreError> {
        let known = self.read(|table| table.get(number).map(|row| row.key.name.clone()));
        let name: HostName = if let Some(name) = known {
            name
        } else {
            let stored = self.store().load(number).await?;
            let identity = stored.and_then(|stored| stored.record.identity);
            let Some(name) = identity.and_then(|identity| identity.name.parse().ok()) else { return Ok(false) };
            name
        };
        // Whatever this collector is doing with the host ends first, and may be all there is to know.
        let _lane = self.lane(&name).await;
        let now = self.now();
        let Some(stored) = self.store().load(number).await? else {
            let mut table = lock(&self.0.table);
            let was_known = table.get(number).is_some();
            table.remove(number, now);
            return Ok(was_known);
        };
        let known = self.read(|table| table.get(number).map(|row| row.revision));
        if known.is_some_and(|revision| revision >= stored.record.revision) {
            return Ok(false);
        }
        self.put_stored(&stored).await?;
        Ok(true)
    }

    async fn follow_policy(&self) {
        if let Err(error) = self.reload_policy().await {
            warn!(error = %Chain(&error), "the policy in force cannot be read; the one before is kept");
        }
    }

    async fn follow_inventories(&self) -> Result<(), StoreError> {
        let now = self.now();
        for head in self.store().inventory_heads().await? {
            if self.inventory_head(&head.forest, &head.source).as_ref() != Some(&head) {
                self.note_head(head, now);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, TpmVersion};
    use muster_proto::v1::Acknowledgement;

    use super::*;
    use crate::fixture::{Lab, Machine, tpm};

    const VDI: &str = "pool_kept_days = 1\n[[pools]]\nname = \"vdi\"\nhosts = \"vdi-*\"\n";

    async fn same(one: &Core, two: &Core) {
        let (one, two) = (one.publish_now().await.unwrap(), two.publish_now().await.unwrap());
        assert_eq!(one.sites.len(), two.sites.len());
        for (own, other) in one.sites.iter().zip(&two.sites) {
            assert_eq!(own.counts, other.counts);
            assert_eq!((own.hosts, &own.pools), (other.hosts, &other.pools));
            assert_eq!(own.readiness, other.readiness);
        }
        assert_eq!(one.policy_revision, two.policy_revision);
        assert_eq!(one.last_transition, two.last_transition);
    }

    #[tokio::test]
    async fn a_second_collector_sees_what_the_first_one_takes() {
        let lab = Lab::new().await;
        let mut machines = [
            Machine::dc("dc01.corp.example", "Harbour"),
            Machine::endpoint("pc1.corp.example", "Harbour", 1),
            Machine::endpoint("vdi-1.corp.example", "Harbour", 2),
        ];
        lab.take(&mut machines[1]).await;
        let other = lab.again().await;
        for machine in &mut machines {
            machine.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
            lab.take(machine).await;
        }
        assert_eq!(other.read(crate::table::Table::len), 1, "nothing is known yet");
        assert_eq!(other.follow().await.unwrap(), 3);
        while lab.core.judge_waiting().await > 0 {}
        other.follow().await.unwrap();
        same(&lab.core, &other).await;
        assert_eq!((lab.core.follow().await.unwrap(), other.follow().await.unwrap()), (0, 0), "each knows its own");

        // A policy, the pools it makes, and what is forgotten by it.
        other.apply_policy(VDI, 0, "anna").await.unwrap();
        lab.core.follow().await.unwrap();
        while lab.core.judge_waiting().await > 0 {}
        other.follow().await.unwrap();
        same(&lab.core, &other).await;
        assert_eq!(other.snapshot().organisation.pools[0].totals.kept, 1);
        lab.clock.advance_ms(3 * 86_400_000);
        for core in [&lab.core, &other] {
            core.tick();
        }
        assert_eq!(lab.core.forget_vanished().await, 1);
        assert_eq!(other.follow().await.unwrap(), 1);
        assert_eq!((other.read(crate::table::Table::len), other.snapshot().policy_revision), (2, 2));
        same(&lab.core, &other).await;
    }

    #[tokio::test]
    async fn what_another_collector_took_is_not_nothing_new_here() {
        let lab = Lab::new().await;
        let mut machine = Machine::endpoint("pc1.corp.example", "Harbour", 1);
        lab.take(&mut machine).await;
        assert_eq!(lab.take(&mut machine).await, Acknowledgement::Seen);
        let other = lab.again().await;
        let mut elsewhere = machine.clone();
        elsewhere.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
        let peer = lab.peer(machine.name());
        other.submit(&peer, elsewhere.report(lab.core.now())).await.unwrap();
        lab.core.follow().await.unwrap();
        // It returns to what it said here before: to this collector that is news again.
        machine.sequence = elsewhere.sequence;
        assert_eq!(lab.take(&mut machine).await, Acknowledgement::Committed);
        assert_eq!(lab.stored(machine.name(), "tpm.version").await.as_deref(), Some("ready"));
    }

    #[tokio::test]
    async fn one_that_fell_behind_reads_everything_again() {
        let lab = Lab::new().await;
        let mut stays = Machine::endpoint("pc1.corp.example", "Harbour", 1);
        lab.take(&mut stays).await;
        let other = lab.again().await;
        stays.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
        lab.take(&mut stays).await;
        lab.take(&mut Machine::endpoint("pc2.corp.example", "Depot", 2)).await;
        lab.core.apply_policy("dc_fresh_seconds = 30", 0, "anna").await.unwrap();
        *other.0.followed.lock().await = crate::store::ChangeCursor::UNKNOWN;
        assert_eq!(other.follow().await.unwrap(), 2);
        assert_eq!(other.policy().policy.dc_fresh_seconds, 30);
        while lab.core.judge_waiting().await > 0 {}
        other.follow().await.unwrap();
        same(&lab.core, &other).await;
    }
}
