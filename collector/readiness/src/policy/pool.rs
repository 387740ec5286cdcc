//! Pools: non-persistent desktops, which are counted together because none of them stays.
//!
//! A clone is made for a session or a day, reports, and is gone; its silence says nothing, and the next one may have
//! another name. So machines whose names match a pool's pattern are no endpoints of their site: they are neither among
//! the ready nor among the silent nor among those expected. Their users are people like any others and count where they
//! sign in.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_evidence::{HostName, HostPattern, SiteName, SiteRef};
use serde::{Deserialize, Serialize};

use super::{InvalidPolicy, Policy};

/// The most pools of a policy: a name is compared with each of them.
const MOST_POOLS: usize = 32;

/// Longest name of a pool, in bytes.
const NAME_BYTES: usize = 64;

/// A pool, as a policy describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolPolicy {
    /// What it is called.
    pub name: String,
    /// Which machines belong to it: a host name in which `*` stands for any characters.
    pub hosts: String,
    /// Only machines of this site, by its name or by `forest/name`; `None`: of any.
    pub site: Option<String>,
}

/// A pool that can be matched against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What it is called.
    pub name: Arc<str>,
    /// Which machines belong to it.
    pub hosts: HostPattern,
    /// Only machines of this site, by its name or by `forest/name`.
    pub site: Option<Arc<str>>,
}

impl Pool {
    fn has(&self, host: &HostName, site: Option<&SiteRef>) -> bool {
        let here = self.site.as_ref().is_none_or(|wanted| {
            site.is_some_and(|site| {
                site.name.as_str().eq_ignore_ascii_case(wanted) || site.to_string().eq_ignore_ascii_case(wanted)
            })
        });
        here && self.hosts.matches(host)
    }
}

/// The pools of a policy, in its order; a machine belongs to the first that matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools(Vec<Pool>);

impl Pools {
    /// The pools of a policy. One that [`Policy::validate`] objects to has no machines.
    pub fn of(policy: &Policy) -> Self {
        let pools = policy.pools.iter().filter_map(|pool| {
            Some(Pool {
                name: pool.name.as_str().into(),
                hosts: pool.hosts.parse().ok()?,
                site: pool.site.as_deref().map(Into::into),
            })
        });
        Self(pools.collect())
    }

    /// The pool a machine belongs to, by its place in the list. Domain controllers belong to none; whether a machine
    /// is one is the caller's to know.
    pub fn find(&self, host: &HostName, site: Option<&SiteRef>) -> Option<usize> {
        self.0.iter().position(|pool| pool.has(host, site))
    }

    /// A pool by its place.
    pub fn get(&self, place: usize) -> Option<&Pool> {
        self.0.get(place)
    }

    /// The place of a pool by its name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|pool| pool.name.eq_ignore_ascii_case(name))
    }

    /// The pools, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.0.iter()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Everything wrong with the pools of a policy.
pub(super) fn validate(pools: &[PoolPolicy], problems: &mut Vec<InvalidPolicy>) {
    if pools.len() > MOST_POOLS {
        problems.push(InvalidPolicy::TooManyPools { found: pools.len(), most: MOST_POOLS });
    }
    let mut names = BTreeSet::new();
    let mut rules = BTreeSet::new();
    for (place, pool) in pools.iter().enumerate() {
        let called = if pool.name.is_empty() { format!("number {}", place + 1) } else { pool.name.clone() };
        let mut wrong = |problem: String| problems.push(InvalidPolicy::Pool { pool: called.clone(), problem });
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if pool.name.is_empty() || pool.name.len() > NAME_BYTES || !pool.name.chars().all(allowed) {
            wrong(format!("a `name` has 1 to {NAME_BYTES} letters, digits, `-`, `_` or `.`"));
        } else if !names.insert(pool.name.to_ascii_lowercase()) {
            wrong("another pool has the same `name`".to_owned());
        }
        match pool.hosts.parse::<HostPattern>() {
            Err(error) => wrong(format!("`hosts`: {error}")),
            // It would take every endpoint out of every count.
            Ok(hosts) if !hosts.as_str().bytes().any(|byte| byte.is_ascii_alphanumeric()) => {
                wrong(format!("`hosts`: `{hosts}` matches every machine"));
            }
            Ok(hosts) => {
                let site = pool.site.as_ref().map(|site| site.to_ascii_lowercase());
                if !rules.insert((hosts, site)) {
                    wrong("another pool has the same `hosts` and `site`".to_owned());
                }
            }
        }
        if let Some(site) = &pool.site {
            let name = site.rsplit_once('/').map_or(site.as_str(), |(_, name)| name);
            if let Err(error) = name.parse::<SiteName>() {
                wrong(format!("`site`: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, hosts: &str, site: Option<&str>) -> PoolPolicy {
        PoolPolicy { name: name.into(), hosts: hosts.into(), site: site.map(str::to_owned) }
    }

    #[test]
    fn the_first_pool_that_matches_has_a_machine() {
        let policy = Policy {
            pools: vec![
                pool("lyon", "vdi-*.corp.example", Some("Lyon")),
                pool("call-centre", "VDI-cc*", Some("corp.example/Oslo")),
                pool("vdi", "vdi-*", None),
            ],
            ..Policy::default()
        };
        assert_eq!(policy.validate(), []);
        let pools = Pools::of(&policy);
        let site = |name: &str| SiteRef {
            forest: "corp.example".parse().unwrap(),
            name: name.parse().unwrap(),
            object_guid: None,
        };
        for (host, at, expected) in [
            ("vdi-1.corp.example", Some("lyon"), Some("lyon")),
            ("vdi-cc1.corp.example", Some("Oslo"), Some("call-centre")),
            ("vdi-1.corp.example", Some("Oslo"), Some("vdi")),
            ("vdi-1.corp.example", None, Some("vdi")),
            ("pc-1.corp.example", Some("Lyon"), None),
        ] {
            let found = pools.find(&host.parse().unwrap(), at.map(site).as_ref());
            let name = found.and_then(|place| pools.get(place)).map(|pool| pool.name.to_string());
            assert_eq!(name.as_deref(), expected, "{host} at {at:?}");
        }
        assert_eq!(pools.named("VDI"), Some(2));
    }

    #[test]
    fn everything_wrong_with_pools_is_told_at_once() {
        let policy = Policy {
            pools: vec![
                pool("", "*", None),
                pool("a", "v d i", Some("")),
                pool("A", "vdi-*", None),
                pool("b", "VDI-*", None),
            ],
            ..Policy::default()
        };
        let texts: Vec<_> = policy.validate().iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 6, "{texts:#?}");
        assert_eq!(texts[0], "pool `number 1`: a `name` has 1 to 64 letters, digits, `-`, `_` or `.`");
        assert_eq!(texts[1], "pool `number 1`: `hosts`: `*` matches every machine");
        assert!(texts[2].starts_with("pool `a`: `hosts`: invalid host pattern `v d i`"), "{}", texts[2]);
        assert!(texts[3].starts_with("pool `a`: `site`: "), "{}", texts[3]);
        assert_eq!(texts[4], "pool `A`: another pool has the same `name`");
        assert_eq!(texts[5], "pool `b`: another pool has the same `hosts` and `site`");
        let many =
            Policy { pools: (0..33).map(|i| pool(&format!("p{i}"), &format!("v{i}"), None)).collect(), ..policy };
        assert_eq!(many.validate()[0].to_string(), "33 pools (at most 32 are allowed)");
    }
}
