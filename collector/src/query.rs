//! Lists of hosts and sites: filters, pages and cursors over the resident table and the snapshot. No rule.
//!
//! A page names the number of its last host, so that hosts which come and go between two pages neither repeat nor
//! hide others.

use std::sync::Arc;

use muster_evidence::{Forest, HostName, HostNo, Role};
use muster_proto::link::settings::nearest;
use muster_readiness::{Rollout, Standing};

use crate::sites::SiteKey;
use crate::snapshot::{SiteSnapshot, Snapshot};
use crate::table::{PoolNo, Row, SiteNo, Table};

/// Names on either side of one that is not there, among which the nearest is looked for: the table is locked meanwhile,
/// and a slip of the pen seldom leads further away.
pub(crate) const NAMES_LOOKED_AT: usize = 500;

/// Which hosts.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a filter or a fact of its own")]
pub struct HostQuery {
    /// Only hosts of this forest.
    pub forest: Option<Forest>,
    /// Only hosts of this site; a site the table does not know has none.
    pub site: Option<SiteKey>,
    /// Only hosts with this role.
    pub role: Option<Role>,
    /// Only hosts on which this check, by its place in `CHECKS`, stands as `standings` says, or speaks at all.
    pub check: Option<usize>,
    /// Only hosts that stand so; empty: any.
    pub standings: Vec<Standing>,
    /// Only names that contain this.
    pub name_contains: String,
    /// Only hosts that have been silent for three cadences.
    pub quiet: bool,
    /// Only hosts whose probe's certificate is near its end, or past it.
    pub certificate_near_end: bool,
    /// Only machines that more people use than the policy calls shared.
    pub shared: bool,
    /// Only machines of this pool.
    pub pool: Option<PoolNo>,
    /// Only hosts that two machines seem to be behind, or behind them and another.
    pub conflict: bool,
}

/// A page of hosts.
#[derive(Debug)]
pub struct HostPage<'t> {
    /// The hosts, by number.
    pub rows: Vec<&'t Row>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<HostNo>,
    /// How many hosts match in all.
    pub total: u64,
}

impl HostQuery {
    fn matches(&self, row: &Row) -> bool {
        let standing = match self.check {
            None => Some(row.overall),
            Some(check) => row.standing_of(check),
        };
        standing.is_some_and(|standing| self.standings.is_empty() || self.standings.contains(&standing))
            && self.role.is_none_or(|role| row.roles.contains(role))
            && (!self.quiet || row.quiet)
            && (!self.certificate_near_end || row.certificate_near_end)
            && (!self.shared || row.shared)
            && self.pool.is_none_or(|pool| row.pool == Some(pool))
            && self.forest.as_ref().is_none_or(|forest| row.key.forest.as_ref() == Some(forest))
            && (self.name_contains.is_empty() || row.key.name.as_str().contains(&self.name_contains))
    }
}

/// A page of the hosts that match, after a number.
pub fn hosts<'t>(table: &'t Table, query: &HostQuery, after: HostNo, limit: usize) -> HostPage<'t> {
    let all: Box<dyn Iterator<Item = &Row>> = match &query.site {
        None => Box::new(table.rows_after(HostNo(0))),
        Some(key) => match table.site_number(key) {
            None => Box::new(std::iter::empty()),
            Some(site) => Box::new(table.rows_of_site(site, HostNo(0))),
        },
    };
    let in_conflict = query.conflict.then(|| table.in_conflict());
    let all = all.filter(|row| in_conflict.as_ref().is_none_or(|hosts| hosts.contains(&row.number)));
    let mut page = HostPage { rows: Vec::new(), next: None, total: 0 };
    let mut more = false;
    for row in all.filter(|row| query.matches(row)) {
        page.total += 1;
        if row.number > after {
            if page.rows.len() < limit {
                page.rows.push(row);
            } else {
                more = true;
            }
        }
    }
    page.next = page.rows.last().filter(|_| more).map(|row| row.number);
    page
}

/// A page of sites.
#[derive(Debug)]
pub struct SitePage<'s> {
    /// The sites, worst first.
    pub sites: Vec<&'s Arc<SiteSnapshot>>,
    /// How many sites to skip for the next page; `None` at the end.
    pub next: Option<usize>,
}

/// A page of the sites that match, after so many of them.
pub fn sites<'s>(
    snapshot: &'s Snapshot,
    forest: Option<&Forest>,
    rollouts: &[Rollout],
    skip: usize,
    limit: usize,
) -> SitePage<'s> {
    let mut matching = snapshot
        .sites
        .iter()
        .filter(|site| site.site.as_ref().is_some_and(|own| forest.is_none_or(|of| own.forest == *of)))
        .filter(|site| rollouts.is_empty() || rollouts.contains(&site.readiness.rollout))
        .skip(skip);
    let sites: Vec<_> = matching.by_ref().take(limit).collect();
    let next = matching.next().map(|_| skip.saturating_add(limit));
    SitePage { sites, next }
}

/// What a name of a host can answer.
#[derive(Debug)]
pub enum Found<'t> {
    /// That host.
    One(&'t Row),
    /// The host that had the name before, and the name in full.
    Renamed(&'t Row, HostName),
    /// No host.
    None,
    /// Several; their full names, at most ten.
    Several(Vec<String>),
}

/// The host of a name, or of a first label where that is unique. A name that no host has any more leads to the one that
/// had it.
pub fn host<'t>(table: &'t Table, name: &HostName, forest: Option<&Forest>) -> Found<'t> {
    let of_forest = |row: &&Row| forest.is_none_or(|forest| row.key.forest.as_ref() == Some(forest));
    let exact: Vec<&Row> = table.named(name).filter(of_forest).collect();
    let found =
        if exact.is_empty() { table.named_or_labelled(name).filter(of_forest).take(11).collect() } else { exact };
    match found[..] {
        [] => formerly(table, name, of_forest),
        [row] => Found::One(row),
        _ => Found::Several(
            found
                .iter()
                .take(10)
                .map(|row| match &row.key.forest {
                    Some(forest) => format!("{} (forest {forest})", row.key.name),
                    None => row.key.name.to_string(),
                })
                .collect(),
        ),
    }
}

/// The name of a host that one which does not exist was likely meant to be.
pub fn nearest_host(table: &Table, name: &HostName) -> Option<String> {
    let near: Vec<&HostName> = table.names_near(name, NAMES_LOOKED_AT).collect();
    let first_label = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    if name.as_str().contains('.') {
        return nearest(name.as_str(), near.iter().map(|near| near.as_str())).map(str::to_owned);
    }
    let labels: Vec<String> = near.iter().map(|near| first_label(near.as_str())).collect();
    let label = nearest(name.as_str(), labels.iter().map(String::as_str))?;
    near.iter().find(|near| first_label(near.as_str()) == label).map(ToString::to_string)
}

/// The host that had a name.
fn formerly<'t>(table: &'t Table, name: &HostName, of_forest: impl Fn(&&Row) -> bool) -> Found<'t> {
    let found: Vec<(&HostName, &Row)> = table.formerly_named(name).filter(|(_, row)| of_forest(row)).take(11).collect();
    match found[..] {
        [] => Found::None,
        [(former, row)] => Found::Renamed(row, former.clone()),
        _ => Found::Several(
            found.iter().take(10).map(|(former, row)| format!("{} (formerly {former})", row.key.name)).collect(),
        ),
    }
}

/// The site of a name: within a forest, or the only one of that name.
pub fn site_key(table: &Table, forest: Option<&Forest>, name: &muster_evidence::SiteName) -> Vec<(SiteKey, SiteNo)> {
    table
        .site_keys()
        .filter(|((of, called), _)| called == name && forest.is_none_or(|forest| forest == of))
        .map(|(key, number)| (key.clone(), number))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Lab, Machine};

    #[tokio::test]
    async fn the_nearest_host_is_named_by_label_or_in_full() {
        let lab = Lab::new().await;
        for (number, name) in ["dc01.corp.example", "pc-0417.corp.example", "web.corp.example"].into_iter().enumerate()
        {
            lab.take(&mut Machine::endpoint(name, "Harbour", 1_100 + u32::try_from(number).unwrap())).await;
        }
        for (asked, near) in [
            ("dc1", Some("dc01.corp.example")),
            ("pc-0471", Some("pc-0417.corp.example")),
            ("pc-0417.corp.exmaple", Some("pc-0417.corp.example")),
            ("printer", None),
        ] {
            let found = lab.core.read(|table| nearest_host(table, &asked.parse().unwrap()));
            assert_eq!(found.as_deref(), near, "{asked}");
        }
    }

    #[tokio::test]
    async fn pages_of_sites_follow_each_other_without_a_gap() {
        let lab = Lab::new().await;
        for number in 0..5 {
            let mut machine =
                Machine::endpoint(&format!("pc{number}.corp.example"), &format!("S{number}"), 1_100 + number);
            lab.take(&mut machine).await;
        }
        let snapshot = lab.core.publish_now().await.unwrap();
        let all: Vec<_> = sites(&snapshot, None, &[], 0, 1_000).sites.into_iter().map(|site| site.key()).collect();
        let (mut paged, mut skip) = (Vec::new(), Some(0));
        while let Some(from) = skip {
            let page = sites(&snapshot, None, &[], from, 2);
            paged.extend(page.sites.into_iter().map(|site| site.key()));
            skip = page.next;
        }
        assert_eq!(paged, all);
        assert!(sites(&snapshot, None, &[], usize::MAX, 2).sites.is_empty());
    }
}
