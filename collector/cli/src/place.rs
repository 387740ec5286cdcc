//! Sites as people name them: `Oslo`, or `corp.example/Oslo` as the tables print it.

use std::convert::Infallible;
use std::str::FromStr;

/// A site on the command line. The forest is empty where it is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SiteArg {
    forest: String,
    name: String,
}

impl FromStr for SiteArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // No forest has a slash in its name, so the first one ends it.
        let (forest, name) = text.split_once('/').unwrap_or(("", text));
        Ok(Self { forest: forest.to_owned(), name: name.to_owned() })
    }
}

/// Says that a site was named in one forest and `--forest` names another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{site_forest}/{name}` is in forest `{site_forest}`, and --forest says `{forest}`")]
pub(crate) struct TwoForests {
    site_forest: String,
    name: String,
    forest: String,
}

/// Where to look: a forest, a site, both, or neither; what is not said is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) forest: String,
    pub(crate) site: String,
}

impl Place {
    /// The site with the forest it was named with, or that of `--forest`.
    pub(crate) fn new(site: SiteArg, forest: String) -> Result<Self, TwoForests> {
        let SiteArg { forest: site_forest, name } = site;
        if site_forest.is_empty() {
            return Ok(Self { forest, site: name });
        }
        if !forest.is_empty() && !forest.eq_ignore_ascii_case(&site_forest) {
            return Err(TwoForests { site_forest, name, forest });
        }
        Ok(Self { forest: site_forest, site: name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_named_with_its_forest_or_without() {
        for (site, forest, expected) in [
            ("Oslo", "", Some(("", "Oslo"))),
            ("Oslo", "corp.example", Some(("corp.example", "Oslo"))),
            ("corp.example/Oslo", "", Some(("corp.example", "Oslo"))),
            ("corp.example/Oslo", "CORP.example", Some(("corp.example", "Oslo"))),
            ("corp.example/Oslo", "other.example", None),
            ("", "corp.example", Some(("corp.example", ""))),
        ] {
            let place = Place::new(site.parse().unwrap(), forest.to_owned()).ok();
            let expected = expected.map(|(forest, site)| Place { forest: forest.to_owned(), site: site.to_owned() });
            assert_eq!(place, expected, "{site} --forest {forest}");
        }
    }
}
