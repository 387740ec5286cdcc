//! Lists of hosts: filters, pages and cursors over the resident table. No rule.
//!
//! A page names the number of its last host, so that hosts which come and go between two pages neither repeat nor
//! hide others.

use muster_evidence::{Forest, HostName, HostNo, Role};
use muster_readiness::Standing;

use crate::sites::SiteKey;
use crate::table::{PoolNo, Row, SiteNo, Table};

/// Which hosts.
#[derive(Clone, Debug, Default)]
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

/// What a name of a host can answer.
#[derive(Debug)]
pub enum Found<'t> {
    /// That host.
    One(&'t Row),
    /// No host.
    None,
    /// Several; their full names, at most ten.
    Several(Vec<String>),
}

/// The host of a name, or of a first label where that is unique.
pub fn host<'t>(table: &'t Table, name: &HostName, forest: Option<&Forest>) -> Found<'t> {
    let of_forest = |row: &&Row| forest.is_none_or(|forest| row.key.forest.as_ref() == Some(forest));
    let exact: Vec<&Row> = table.named(name).filter(of_forest).collect();
    let found =
        if exact.is_empty() { table.named_or_labelled(name).filter(of_forest).take(11).collect() } else { exact };
    match found[..] {
        [] => Found::None,
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

/// The site of a name: within a forest, or the only one of that name.
pub fn site_key(table: &Table, forest: Option<&Forest>, name: &muster_evidence::SiteName) -> Vec<(SiteKey, SiteNo)> {
    table
        .site_keys()
        .filter(|((of, called), _)| called == name && forest.is_none_or(|forest| forest == of))
        .map(|(key, number)| (key.clone(), number))
        .collect()
}
