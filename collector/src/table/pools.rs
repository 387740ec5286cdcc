//! Which machines of the table belong to which pool of the policy.
//!
//! Membership follows from the policy in force, the name and the site, so that a new revision moves machines in and out
//! at once, before any of them is judged again. What a pool's machines amount to is counted in `totals`.

use std::cmp::Reverse;

use muster_evidence::{HostName, HostNo, Timestamp};

use super::{Roles, Row, SiteNo, Table, slot};

/// A pool, by its place in the policy in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolNo(u8);

impl PoolNo {
    /// The pool at a place; `None` beyond those that a policy can have.
    pub fn new(place: usize) -> Option<Self> {
        u8::try_from(place).ok().map(Self)
    }

    /// Its place in the policy.
    pub fn place(self) -> usize {
        self.0.into()
    }
}

impl Table {
    /// What a row's pool is called; `None` where it counts by itself.
    pub fn pool_name(&self, row: &Row) -> Option<&str> {
        self.frame.pools.get(row.pool?.place()).map(|pool| pool.name.as_ref())
    }

    /// Machines of pools of which nothing need be kept any more, at most `limit`: those last heard of before
    /// `heard_before`, and of pools that have more than `most`, those heard of longest ago, unless they are in use.
    pub(crate) fn vanished(&self, heard_before: Timestamp, most: usize, limit: usize) -> Vec<HostNo> {
        let mut vanished = Vec::new();
        for machines in self.pooled.values() {
            let rows = || machines.iter().filter_map(|number| self.get(*number)).filter(|row| !row.in_use);
            let left = limit - vanished.len();
            let before = vanished.len();
            vanished.extend(rows().filter(|row| row.last_seen < heard_before).take(left).map(|row| row.number));
            let surplus = machines.len().saturating_sub(most).saturating_sub(vanished.len() - before);
            let surplus = surplus.min(limit - vanished.len());
            if surplus > 0 {
                let mut oldest: Vec<_> =
                    rows().filter(|row| row.last_seen >= heard_before).map(|row| (row.last_seen, row.number)).collect();
                oldest.sort_unstable_by_key(|(seen, number)| (*seen, Reverse(*number)));
                vanished.extend(oldest.into_iter().take(surplus).map(|(_, number)| number));
            }
        }
        vanished
    }

    /// The pool of a machine under the policy in force.
    pub(super) fn pool_of(&self, name: &HostName, site: SiteNo, roles: Roles) -> Option<PoolNo> {
        // A domain controller serves its site, whatever it is called.
        if self.frame.pools.is_empty() || roles.is_domain_controller() {
            return None;
        }
        PoolNo::new(self.frame.pools.find(name, self.site(site))?)
    }

    /// Puts every machine into the pool that the policy in force gives it.
    pub(super) fn sort_into_pools(&mut self) {
        if self.frame.pools.is_empty() && self.pooled.is_empty() {
            return;
        }
        self.pooled.clear();
        for site in &mut self.sites {
            site.totals.forget_last_reports();
        }
        for place in 0..self.rows.len() {
            let Some(row) = self.rows[place].as_deref() else { continue };
            let (number, site) = (row.number, row.site);
            let pool = self.pool_of(&row.key.name, site, row.roles);
            if let Some(pool) = pool {
                self.pooled.entry(pool).or_default().insert(number);
            }
            if row.pool.is_none() && pool.is_none() {
                continue;
            }
            // Out as what it was and in as what it is; what silence leaves of it is worked out by whoever called.
            self.sites[site.0 as usize].totals.take(row);
            self.dirty.insert(site);
            let Some(row) = slot(number).and_then(|slot| self.rows.get_mut(slot)?.as_deref_mut()) else { continue };
            row.pool = pool;
            row.in_use = false;
            self.sites[site.0 as usize].totals.add(row);
        }
    }

    pub(super) fn leave_pool(&mut self, pool: PoolNo, number: HostNo) {
        if let Some(machines) = self.pooled.get_mut(&pool) {
            machines.remove(&number);
            if machines.is_empty() {
                self.pooled.remove(&pool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Kind, ObservationKey, Outcome};
    use muster_readiness::Rollout;

    use super::*;
    use crate::fixture::{Lab, Machine};
    use crate::snapshot::SiteSnapshot;

    const VDI: &str = "[[pools]]\nname = \"vdi\"\nhosts = \"vdi-*\"\n";
    /// No more checks than these machines tell the evidence of.
    const FEW: &str = "required_checks = [\"tpm.present\", \"os.client-build\", \"join.type\", \"prt.present\"]\n";
    const DAY: i64 = 86_400_000;

    fn told(site: &SiteSnapshot) -> Vec<(String, u64, u64, u64, bool)> {
        let pools = site.pools.iter();
        let told = pools.map(|pool| {
            let totals = &pool.totals;
            (pool.name.to_string(), totals.kept, totals.seen.ready, totals.seen.blocked, totals.last_report.is_some())
        });
        told.collect()
    }

    #[tokio::test]
    async fn a_pool_is_counted_beside_the_endpoints_and_its_users_among_the_users() {
        let lab = Lab::new().await;
        lab.core.apply_policy(&format!("required_security_device = true\n{FEW}{VDI}"), 0, "anna").await.unwrap();
        let mut own = Machine::endpoint("pc1.corp.example", "Harbour", 1);
        let mut good = Machine::endpoint("vdi-1.corp.example", "Harbour", 2);
        let mut bad = Machine::endpoint("vdi-2.corp.example", "Harbour", 3);
        bad.outcome(ObservationKey::host(Kind::Tpm), Outcome::Absent, Context::Service);
        let mut dc = Machine::dc("dc01.corp.example", "Harbour");
        for machine in [&mut dc, &mut own, &mut good, &mut bad] {
            lab.take(machine).await;
        }
        let site = lab.site("Harbour").await;
        assert_eq!(told(&site), [("vdi".to_owned(), 2, 1, 1, true)]);
        assert_eq!((site.hosts, site.counts.endpoints.total(), site.readiness.coverage.endpoints_fresh), (2, 1, 1));
        let users = (site.counts.users.total(), site.counts.users.blocked);
        assert_eq!(users, (3, 1), "users count where they sign in");
        // What keeps such a user from being ready is told, though none of the site's endpoints has it.
        let reason = site.reasons.iter().find(|own| own.reason.check == "tpm.present").unwrap();
        assert_eq!((reason.reason.users_affected, reason.reason.host_count), (1, 0));
        assert!(
            reason.reason.text.starts_with("blocked for 1 user of non-persistent desktops"),
            "{}",
            reason.reason.text
        );
        assert!(lab.transitions("vdi-2.corp.example").await.is_empty(), "no history of what does not stay");
        let all = lab.core.snapshot();
        assert_eq!((all.organisation.pools[0].totals.kept, all.organisation.hosts), (2, 2));

        // Their silence says nothing: neither quiet nor unknown, and nobody waits for them.
        lab.clock.advance_ms(DAY / 2);
        lab.take(&mut own).await;
        lab.take(&mut dc).await;
        lab.core.tick();
        let site = lab.site("Harbour").await;
        assert_eq!((site.hosts_quiet, site.counts.users_quiet, told(&site)[0].2), (0, 0, 1));
        lab.clock.advance_ms(DAY / 2 + 1);
        lab.core.tick();
        let site = lab.site("Harbour").await;
        assert_eq!(told(&site), [("vdi".to_owned(), 2, 0, 0, true)], "none was heard of within 24 hours");
        assert_eq!(site.counts.users.total(), 3);
        lab.take(&mut good).await;
        let site = lab.site("Harbour").await;
        assert_eq!(told(&site), [("vdi".to_owned(), 2, 1, 0, true)]);
    }

    #[tokio::test]
    async fn a_revision_moves_machines_in_and_out() {
        let lab = Lab::new().await;
        let mut clone = Machine::endpoint("vdi-1.corp.example", "Harbour", 1);
        let mut own = Machine::endpoint("pc1.corp.example", "Harbour", 2);
        let mut dc = Machine::dc("dc01.corp.example", "Harbour");
        for machine in [&mut clone, &mut own, &mut dc] {
            lab.take(machine).await;
        }
        while lab.core.judge_waiting().await > 0 {}
        assert_eq!(lab.site("Harbour").await.counts.endpoints.total(), 2);
        let plan = lab.core.plan_policy(VDI, &|_, _| ()).await.unwrap();
        assert_eq!(plan.hosts_pooled_otherwise, 1);
        // Two are expected, and of those that count one is left.
        let sites: Vec<_> = plan.sites_changed.iter().map(|(site, _, to)| (site.1.to_string(), *to)).collect();
        assert_eq!(sites, [("Harbour".to_owned(), Rollout::Unknown)]);
        lab.core.apply_policy(VDI, 0, "anna").await.unwrap();
        let site = lab.site("Harbour").await;
        assert_eq!((site.counts.endpoints.total(), told(&site)[0].1), (1, 1), "at once");
        while lab.core.judge_waiting().await > 0 {}
        assert_eq!(lab.record("vdi-1.corp.example").await.unwrap().record.pool, "vdi");
        let counters: Vec<_> = lab.store.totals().await.unwrap();
        assert!(counters.contains(&("corp.example\tHarbour\tpool\tvdi".to_owned(), 1)), "{counters:?}");

        let renamed = VDI.replace("\"vdi\"", "\"desks\"").replace("vdi-*", "*1.corp.example");
        let renamed = format!("{FEW}{renamed}{VDI}");
        lab.core.apply_policy(&renamed, 0, "anna").await.unwrap();
        let site = lab.site("Harbour").await;
        assert_eq!(told(&site), [("desks".to_owned(), 2, 2, 0, true)], "the first that matches; no controller");
        assert_eq!(site.counts.dcs.total(), 1);
        lab.core.apply_policy("", 0, "anna").await.unwrap();
        while lab.core.judge_waiting().await > 0 {}
        let site = lab.site("Harbour").await;
        assert_eq!((site.counts.endpoints.total(), site.pools.len()), (2, 0));
        assert!(!lab.store.totals().await.unwrap().iter().any(|(counter, _)| counter.contains("\tpool\t")));
        assert!(lab.core.apply_policy("[[pools]]\nname = \"x\"\nhosts = \"*\"\n", 0, "anna").await.is_err());
    }

    #[tokio::test]
    async fn vanished_machines_are_forgotten() {
        let lab = Lab::new().await;
        lab.core.apply_policy(&format!("pool_kept_days = 3\npool_kept_hosts = 100\n{VDI}"), 0, "anna").await.unwrap();
        let mut stays = Machine::endpoint("pc1.corp.example", "Harbour", 9_999);
        lab.take(&mut stays).await;
        let mut names = Vec::new();
        for number in 0..105 {
            let name = format!("vdi-{number}.corp.example");
            let mut clone = Machine::endpoint(&name, "Harbour", 1_000 + number);
            clone.install_id = muster_evidence::InstallId([u8::try_from(number).unwrap(); 16]);
            lab.take(&mut clone).await;
            lab.clock.advance_ms(60_000);
            names.push(clone);
        }
        lab.core.tick();
        assert_eq!(lab.core.forget_vanished().await, 0, "those in use stay, however many there are");
        lab.clock.advance_ms(DAY);
        lab.core.tick();
        lab.take(names.last_mut().unwrap()).await;
        assert_eq!(lab.core.forget_vanished().await, 5, "those heard of longest ago");
        assert!(lab.record("vdi-4.corp.example").await.is_none() && lab.record("vdi-5.corp.example").await.is_some());
        // One that comes back is a new host, and its user is counted again.
        let users = |site: &std::sync::Arc<SiteSnapshot>| site.counts.users.total();
        assert_eq!(users(&lab.site("Harbour").await), 101);
        names[0].bare = false;
        lab.take(&mut names[0]).await;
        assert_eq!(users(&lab.site("Harbour").await), 102);

        lab.clock.advance_ms(4 * DAY);
        lab.core.tick();
        while lab.core.forget_vanished().await > 0 {}
        let site = lab.site("Harbour").await;
        assert_eq!((told(&site).len(), site.hosts, users(&site)), (0, 1, 1));
        let left = lab.store.page(0, 1_000).await.unwrap().items;
        assert_eq!(left.iter().map(|host| host.number.0).collect::<Vec<_>>(), [1]);
        assert_eq!(lab.store.bodies(HostNo(3)).await.unwrap(), []);
        let counters = lab.store.totals().await.unwrap();
        assert!(!counters.iter().any(|(counter, _)| counter.contains("\tpool\t")), "{counters:?}");
        assert_eq!(lab.again().await.read(Table::len), 1);
    }
}
