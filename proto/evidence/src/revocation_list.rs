//! Revocation lists as a machine gets them from the distribution points of the KDC's certificates.

use serde::{Deserialize, Serialize};

use crate::{Text, Timestamp};

/// The distribution points that were asked, in order. At most [`crate::limits::DISTRIBUTION_POINTS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationLists {
    /// One entry for each.
    pub points: Vec<DistributionPoint>,
    /// How many more there were beyond the bound.
    pub left_out: u32,
}

/// A distribution point and what it gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionPoint {
    /// Its address, without anything secret in it.
    pub url: Text,
    /// Whether it carries a delta list (named by a freshest-CRL extension) rather than a base.
    pub delta: bool,
    /// What came of asking it this time.
    pub fetch: CrlFetch,
    /// The newest list at hand: fetched now, or earlier and kept; `None` where there never was one.
    pub list: Option<RevocationList>,
}

/// What came of asking a distribution point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrlFetch {
    /// It gave a list that parses.
    Fetched,
    /// It did not answer, or with an error.
    Unreachable {
        /// What happened.
        detail: Text,
    },
    /// It gave something that is no list, or one that exceeds a bound or is of another issuer.
    Unusable {
        /// What is wrong with it.
        detail: Text,
    },
    /// Nobody asked, as for a form of address this system cannot ask.
    NotAsked {
        /// Why, as a sentence fragment.
        why: Text,
    },
}

/// A certificate revocation list (RFC 5280, section 5), as far as rules read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// Issuer, in RFC 4514 form.
    pub issuer: Text,
    /// `cRLNumber` in hexadecimal; `None` without the extension.
    pub number: Option<Text>,
    /// `thisUpdate`.
    pub this_update: Timestamp,
    /// `nextUpdate`; `None` where the list has none.
    pub next_update: Option<Timestamp>,
    /// Next CRL Publish (1.3.6.1.4.1.311.21.4), when Microsoft's CAs publish the next list; `None` without it.
    pub next_publish: Option<Timestamp>,
    /// Size in bytes.
    pub bytes: u32,
}
