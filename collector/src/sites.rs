//! Where hosts belong, and what is expected at each site: the static inventory, and the choice among the answers.
//!
//! The inventory is a TOML text. It stands in for the directory until a directory role reports sites and subnets, and
//! gives a site to hosts that claim none. What it expects is compared with what reported by the rules, not here.
//!
//! ```toml
//! [[forest]]
//! name = "corp.example"
//!
//! [[forest.site]]
//! name = "Harbour"
//! dcs = ["dc01.corp.example", "dc02.corp.example"]
//! endpoints = 40
//! hosts = ["pc-harbour-*.corp.example"]
//!
//! [[forest.site]]
//! name = "Depot"
//! covered-by = "Harbour"
//! endpoints = 6
//! ```

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{Forest, HostName, HostPattern, SiteName, SiteRef};
use muster_proto::v1::SiteOrigin;
use serde::Deserialize;

/// A site's forest and name: what sites are found by. Their `objectGUID`, when known, is an attribute.
pub type SiteKey = (Forest, SiteName);

/// What is configured about sites.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    expected: BTreeMap<SiteKey, ExpectedSite>,
    overrides: Vec<(HostPattern, SiteKey)>,
}

/// What is expected at a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedSite {
    /// Domain controllers placed here; `None` where the inventory does not say.
    pub dcs: Option<BTreeSet<HostName>>,
    /// Endpoints expected here; `None` where the inventory does not say.
    pub endpoints: Option<u64>,
    /// The site whose domain controllers serve this one, which has none of its own.
    pub covered_by: Option<SiteName>,
}

/// Says everything that is wrong with an inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid inventory: {}", problems.join("; "))]
pub struct InvalidInventory {
    /// The problems, in the order of the text.
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct InventoryText {
    #[serde(default)]
    forest: Vec<ForestText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ForestText {
    name: String,
    #[serde(default)]
    site: Vec<SiteText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SiteText {
    name: String,
    dcs: Option<Vec<String>>,
    endpoints: Option<u64>,
    covered_by: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
}

impl Sites {
    /// Reads an inventory, and says everything that is wrong with it at once.
    pub fn parse(text: &str) -> Result<Self, InvalidInventory> {
        let text: InventoryText =
            toml::from_str(text).map_err(|error| InvalidInventory { problems: vec![error.to_string()] })?;
        let mut problems = Vec::new();
        let mut sites = Self::default();
        let mut placed: BTreeMap<HostName, SiteKey> = BTreeMap::new();
        for forest in text.forest {
            let Some(forest_name) = note(forest.name.parse::<Forest>(), &mut problems) else { continue };
            for site in forest.site {
                let Some(name) = note(site.name.parse::<SiteName>(), &mut problems) else { continue };
                let key = (forest_name.clone(), name);
                let mut dcs = BTreeSet::new();
                for dc in site.dcs.iter().flatten() {
                    let Some(dc) = note(dc.parse::<HostName>(), &mut problems) else { continue };
                    if let Some(other) = placed.insert(dc.clone(), key.clone()) {
                        problems
                            .push(format!("domain controller `{dc}` stands in site `{}` and in `{}`", other.1, key.1));
                    }
                    dcs.insert(dc);
                }
                for pattern in &site.hosts {
                    if let Some(pattern) = note(pattern.parse::<HostPattern>(), &mut problems) {
                        sites.overrides.push((pattern, key.clone()));
                    }
                }
                let covered_by = site.covered_by.and_then(|name| note(name.parse::<SiteName>(), &mut problems));
                if covered_by.is_some() && !dcs.is_empty() {
                    problems.push(format!("site `{}` has domain controllers and is covered by another site", key.1));
                }
                let expected =
                    ExpectedSite { dcs: site.dcs.is_some().then_some(dcs), endpoints: site.endpoints, covered_by };
                let name = key.1.clone();
                if sites.expected.insert(key, expected).is_some() {
                    problems.push(format!("site `{name}` is listed twice in forest `{forest_name}`"));
                }
            }
        }
        for ((forest, name), site) in &sites.expected {
            let Some(covering) = &site.covered_by else { continue };
            match sites.expected.get(&(forest.clone(), covering.clone())) {
                None => problems.push(format!("site `{name}` is covered by `{covering}`, which is not listed")),
                Some(other) if other.covered_by.is_some() => {
                    problems.push(format!("site `{name}` is covered by `{covering}`, which is covered itself"));
                }
                Some(_) => {}
            }
        }
        if problems.is_empty() { Ok(sites) } else { Err(InvalidInventory { problems }) }
    }

    /// Adds what is expected at a site.
    pub fn expect(&mut self, site: SiteKey, expected: ExpectedSite) {
        self.expected.insert(site, expected);
    }

    /// Gives a site to hosts that claim none.
    pub fn place(&mut self, hosts: HostPattern, site: SiteKey) {
        self.overrides.push((hosts, site));
    }

    /// What is expected at a site, if the inventory lists it.
    pub fn expected(&self, site: &SiteKey) -> Option<&ExpectedSite> {
        self.expected.get(site)
    }

    /// Every site listed.
    pub fn listed(&self) -> impl Iterator<Item = (&SiteKey, &ExpectedSite)> {
        self.expected.iter()
    }

    /// The site of a host: the directory's answer, else its own claim, else configuration, with the origin.
    ///
    /// `claimed` needs the forest to be known, since site names are unique per forest only.
    pub fn locate(
        &self,
        host: &HostName,
        forest: Option<&Forest>,
        directory: Option<SiteRef>,
        claimed: Option<&SiteName>,
    ) -> (Option<SiteRef>, SiteOrigin) {
        if let Some(site) = directory {
            return (Some(site), SiteOrigin::Directory);
        }
        if let (Some(forest), Some(name)) = (forest, claimed) {
            return (Some(site_ref(forest, name)), SiteOrigin::Claim);
        }
        let in_forest = |site: &SiteKey| forest.is_none_or(|forest| *forest == site.0);
        let listed = self.expected.iter().find(|(_, expected)| expected.dcs.iter().any(|dcs| dcs.contains(host)));
        let placed = self.overrides.iter().find(|(pattern, site)| pattern.matches(host) && in_forest(site));
        let configured = listed.map(|(site, _)| site).filter(|site| in_forest(site)).or(placed.map(|(_, site)| site));
        match configured {
            Some((forest, name)) => (Some(site_ref(forest, name)), SiteOrigin::Configuration),
            None => (None, SiteOrigin::Unspecified),
        }
    }
}

fn site_ref(forest: &Forest, name: &SiteName) -> SiteRef {
    SiteRef { forest: forest.clone(), name: name.clone(), object_guid: None }
}

/// The value, or its error among the problems.
fn note<T, E: std::fmt::Display>(result: Result<T, E>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| problems.push(error.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [[forest]]
        name = "corp.example"
        [[forest.site]]
        name = "Harbour"
        dcs = ["dc01.corp.example", "DC02.corp.example"]
        endpoints = 40
        hosts = ["pc-harbour-*.corp.example"]
        [[forest.site]]
        name = "Depot"
        covered-by = "harbour"
        endpoints = 6
    "#;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[test]
    fn an_inventory_is_read() {
        let sites = Sites::parse(TEXT).unwrap();
        let key = |name: &str| ("corp.example".parse().unwrap(), name.parse().unwrap());
        let harbour = sites.expected(&key("HARBOUR")).unwrap();
        assert_eq!(harbour.dcs.as_ref().unwrap().len(), 2);
        assert_eq!(harbour.endpoints, Some(40));
        let depot = sites.expected(&key("Depot")).unwrap();
        assert_eq!((&depot.dcs, depot.covered_by.is_some()), (&None, true));
        assert!(sites.expected(&key("Other")).is_none());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let error = Sites::parse(
            r#"
            [[forest]]
            name = "corp.example"
            [[forest.site]]
            name = "A"
            dcs = ["dc01.corp.example", "not a name"]
            [[forest.site]]
            name = "a"
            dcs = ["dc01.corp.example"]
            hosts = ["x y"]
            [[forest.site]]
            name = "B"
            covered-by = "C"
        "#,
        )
        .unwrap_err();
        assert_eq!(error.problems.len(), 5, "{error}");
        assert!(
            Sites::parse("[[forest]]\nname = \"corp.example\"\nsights = 1").unwrap_err().to_string().contains("sights")
        );
    }

    #[test]
    fn directory_before_claim_before_configuration() {
        let sites = Sites::parse(TEXT).unwrap();
        let forest: Forest = "corp.example".parse().unwrap();
        let claim: SiteName = "Claimed".parse().unwrap();
        let directory = SiteRef { forest: forest.clone(), name: "Subnet".parse().unwrap(), object_guid: None };
        let pc = host("pc-harbour-7.corp.example");
        let told = |found: (Option<SiteRef>, SiteOrigin)| (found.0.map(|site| site.name.to_string()), found.1);
        for (directory, claimed, known, expected, origin) in [
            (Some(directory), Some(&claim), Some(&forest), Some("Subnet"), SiteOrigin::Directory),
            (None, Some(&claim), Some(&forest), Some("Claimed"), SiteOrigin::Claim),
            (None, None, Some(&forest), Some("Harbour"), SiteOrigin::Configuration),
            (None, Some(&claim), None, Some("Harbour"), SiteOrigin::Configuration),
        ] {
            let found = told(sites.locate(&pc, known, directory, claimed));
            assert_eq!(found, (expected.map(str::to_owned), origin));
        }
        let dc = told(sites.locate(&host("dc02.corp.example"), None, None, None));
        assert_eq!(dc, (Some("Harbour".to_owned()), SiteOrigin::Configuration));
        let stranger = told(sites.locate(&host("pc.elsewhere.example"), None, None, None));
        assert_eq!(stranger, (None, SiteOrigin::Unspecified));
    }
}
