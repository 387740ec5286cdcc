//! What is not known yet after a store was damaged and set aside: which hosts have not answered since.
//!
//! The store that takes the place of a damaged one is empty, or as old as the backup it was made from. Nobody is to
//! take that for how things stand: a site is `Unknown` until each of its hosts has reported with everything that was
//! asked of it, or until every host has had three turns to. Which bodies are missing is found by merging, as always.
//!
//! It is known to the process that opened the damaged store, and to no other: after one more restart sites are worked
//! out from what has been stored by then, and silence counts from when a host was last heard of.

use std::borrow::Cow;
use std::collections::BTreeSet;

use muster_evidence::{HostNo, Timestamp};
use muster_readiness::{Reason, Rollout, SiteReadiness, Standing};

use crate::settings::Cadences;
use crate::sites::ExpectedSite;
use crate::table::{Row, SiteNo, Table};

/// Turns that every host has before the rest are taken for silent.
const CADENCES: i64 = 3;

/// The check whose gap it is.
const CHECK: &str = "site.coverage";

/// A store that is being rebuilt.
#[derive(Debug)]
pub(crate) struct Rebuild {
    /// When those who have not answered are taken for silent, like anybody else.
    ends: Timestamp,
    /// Whether a backup told which hosts there are.
    restored: bool,
    /// Hosts that are known and have not answered.
    unheard: BTreeSet<HostNo>,
}

impl Rebuild {
    /// Begins, with the hosts that a backup told of.
    pub(crate) fn new(hosts: impl IntoIterator<Item = HostNo>, cadences: Cadences, now: Timestamp) -> Self {
        let Cadences { endpoint, domain_controller, directory, sync_server } = cadences;
        let longest = endpoint.max(domain_controller).max(directory).max(sync_server);
        let longest_ms = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        let unheard: BTreeSet<HostNo> = hosts.into_iter().collect();
        Self { ends: now.plus_ms(longest_ms.saturating_mul(CADENCES)), restored: !unheard.is_empty(), unheard }
    }

    /// Whether every host has had its turns.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends
    }

    /// Notes a host that reported and of which something is missing.
    pub(crate) fn asked(&mut self, host: HostNo) {
        self.unheard.insert(host);
    }

    /// Notes that a host has answered. Whether that is news.
    pub(crate) fn answered(&mut self, host: HostNo) -> bool {
        // Without a backup every host is news.
        self.unheard.remove(&host) || !self.restored
    }

    /// What is missing at a site, in words; `None` once all have answered.
    fn missing(&self, table: &Table, site: SiteNo, expected: Option<&ExpectedSite>) -> Option<String> {
        // An inventory expects domain controllers and endpoints; a backup tells of every host.
        // A machine of a pool may never come back, and whether it does says nothing.
        let is_meant =
            |row: &&Row| row.pool.is_none() && (self.restored || row.is_endpoint || row.roles.is_domain_controller());
        let (mut known, mut answered) = (0, 0);
        for row in table.rows_of_site(site, HostNo(0)).filter(is_meant) {
            known += 1;
            answered += u64::from(!self.unheard.contains(&row.number));
        }
        let told = |all: u64| {
            (answered < all)
                .then(|| format!("the store was damaged and is being rebuilt; {answered} of {all} hosts have answered"))
        };
        if self.restored {
            return told(known);
        }
        match expected.and_then(hosts_of) {
            Some(expected) => told(known.max(expected)),
            None => Some(format!(
                "the store was damaged and is being rebuilt; hosts that have answered: {answered}, and no inventory says \
                 how many there are"
            )),
        }
    }

    /// Makes the readiness of a site `Unknown` while hosts of it have not answered.
    pub(crate) fn cover(
        &self,
        readiness: &mut SiteReadiness,
        table: &Table,
        site: SiteNo,
        expected: Option<&ExpectedSite>,
    ) {
        let Some(text) = self.missing(table, site, expected) else { return };
        readiness.rollout = Rollout::Unknown;
        let reason = Reason {
            check: Cow::Borrowed(CHECK),
            standing: Standing::Unknown,
            text,
            remedy: Cow::Borrowed(""),
            hosts: Vec::new(),
            host_count: 0,
            users_affected: readiness.population.users_seen,
            in_gate: false,
        };
        readiness.reasons.insert(0, reason);
    }
}

/// How many hosts an inventory expects at a site; `None` where it does not say.
fn hosts_of(expected: &ExpectedSite) -> Option<u64> {
    let dcs = match (&expected.dcs, &expected.covered_by) {
        (Some(dcs), _) => dcs.len() as u64,
        (None, Some(_)) => 0,
        (None, None) => return None,
    };
    Some(dcs + expected.endpoints?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use muster_proto::v1::Acknowledgement;

    use super::*;
    use crate::clock::Clock;
    use crate::core::Core;
    use crate::fixture::{Lab, Machine};
    use crate::snapshot::SiteSnapshot;

    /// What is said of the site before each of its machines reports.
    const ANSWERED: [&str; 3] =
        ["; 0 of 3 hosts have answered", "; 1 of 3 hosts have answered", "; 2 of 3 hosts have answered"];
    const MINUTE: i64 = 60_000;

    fn machines() -> [Machine; 3] {
        [
            Machine::dc("dc01.corp.example", "Harbour"),
            Machine::endpoint("pc1.corp.example", "Harbour", 1),
            Machine::endpoint("pc2.corp.example", "Harbour", 2),
        ]
    }

    async fn site(core: &Core, name: &str) -> Arc<SiteSnapshot> {
        let snapshot = core.publish_now().await.unwrap();
        Arc::clone(snapshot.site(&("corp.example".parse().unwrap(), name.parse().unwrap())).unwrap())
    }

    /// Whether a site is unknown for that reason.
    fn says(site: &SiteSnapshot, answered: &str) -> bool {
        let text = &site.reasons[0].reason.text;
        site.readiness.rollout == Rollout::Unknown
            && text.starts_with("the store was damaged and is being rebuilt; ")
            && text.contains(answered)
    }

    #[tokio::test]
    async fn a_restored_site_is_unknown_until_each_of_its_hosts_has_answered() {
        let lab = Lab::new().await;
        let mut machines = machines();
        for machine in &mut machines {
            lab.take(machine).await;
        }
        while lab.core.judge_waiting().await > 0 {}
        let before = lab.site("Harbour").await.readiness.clone();
        assert_ne!(before.rollout, Rollout::Unknown);
        let core = lab.rebuilding().await;
        for (machine, answered) in machines.iter_mut().zip(ANSWERED) {
            let found = site(&core, "Harbour").await;
            assert!(says(&found, answered), "{answered}: {:?}", found.reasons);
            let plan = core.plan_policy("", &|_, _| ()).await.unwrap();
            assert_eq!(plan.sites_changed, [], "nor does a plan tell more");
            let peer = lab.peer(machine.name());
            let answer = core.submit(&peer, machine.report(lab.clock.now())).await.unwrap();
            assert_eq!(answer.acknowledgement(), Acknowledgement::Seen, "the backup had it all");
        }
        assert_eq!(site(&core, "Harbour").await.readiness, before);
        assert_eq!(lab.again().await.snapshot().organisation.hosts, 3, "another start is none of this");
    }

    #[tokio::test]
    async fn hosts_of_a_lost_store_are_asked_for_everything_and_count_when_they_have_told_it() {
        let lab = Lab::new().await;
        let core = lab.rebuilding().await;
        for (mut machine, answered) in machines().into_iter().zip(ANSWERED) {
            let peer = lab.peer(machine.name());
            machine.bare = true;
            let answer = core.submit(&peer, machine.report(lab.clock.now())).await.unwrap();
            assert_eq!(answer.need.len(), machine.observations.len());
            let found = site(&core, "Harbour").await;
            assert!(says(&found, answered), "{answered}: {:?}", found.reasons);
            machine.bare = false;
            let answer = core.submit(&peer, machine.report(lab.clock.now())).await.unwrap();
            assert_eq!(answer.need, []);
        }
        while core.judge_waiting().await > 0 {}
        let found = site(&core, "Harbour").await;
        assert_ne!(found.readiness.rollout, Rollout::Unknown, "{:?}", found.reasons);
    }

    #[tokio::test]
    async fn those_who_never_answer_are_silent_after_their_turns() {
        let lab = Lab::new().await;
        let core = lab.rebuilding().await;
        let mut stranger = Machine::endpoint("pc7.corp.example", "Elsewhere", 7);
        core.submit(&lab.peer(stranger.name()), stranger.report(lab.clock.now())).await.unwrap();
        for (name, answered) in [
            ("Harbour", "; 0 of 3 hosts have answered"),
            ("Depot", "; 0 of 1 hosts have answered"),
            ("Elsewhere", "answered: 1, and no inventory says how many"),
        ] {
            let found = site(&core, name).await;
            assert!(says(&found, answered), "{name}: {:?}", found.reasons);
        }
        lab.clock.advance_ms(45 * MINUTE);
        for name in ["Harbour", "Depot", "Elsewhere"] {
            let found = site(&core, name).await;
            assert!(found.reasons.iter().all(|own| !own.reason.text.contains("rebuilt")), "{:?}", found.reasons);
        }
    }
}
