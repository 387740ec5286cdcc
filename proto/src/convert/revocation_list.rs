//! Revocation lists as a machine gets them.

use muster_evidence::{CrlFetch, DistributionPoint, RevocationList, RevocationLists, Timestamp, limits};

use super::field::{self, InvalidField};
use crate::v1;
use crate::v1::crl_fetch::Outcome;

impl From<&RevocationLists> for v1::RevocationLists {
    fn from(lists: &RevocationLists) -> Self {
        let RevocationLists { points, left_out } = lists;
        Self { points: points.iter().map(Into::into).collect(), left_out: *left_out }
    }
}

impl TryFrom<v1::RevocationLists> for RevocationLists {
    type Error = InvalidField;

    fn try_from(message: v1::RevocationLists) -> Result<Self, Self::Error> {
        let v1::RevocationLists { points, left_out } = message;
        Ok(Self { points: field::list(points, limits::DISTRIBUTION_POINTS, "points")?, left_out })
    }
}

impl From<&DistributionPoint> for v1::DistributionPoint {
    fn from(point: &DistributionPoint) -> Self {
        let DistributionPoint { url, delta, fetch, list } = point;
        Self { url: url.to_string(), delta: *delta, fetch: Some(fetch.into()), list: list.as_ref().map(Into::into) }
    }
}

impl TryFrom<v1::DistributionPoint> for DistributionPoint {
    type Error = InvalidField;

    fn try_from(message: v1::DistributionPoint) -> Result<Self, Self::Error> {
        let v1::DistributionPoint { url, delta, fetch, list } = message;
        Ok(Self {
            url: field::text(&url, "url")?,
            delta,
            fetch: field::required_nested(fetch, "fetch")?,
            list: field::nested(list, "list")?,
        })
    }
}

impl From<&CrlFetch> for v1::CrlFetch {
    fn from(fetch: &CrlFetch) -> Self {
        Self {
            outcome: Some(match fetch {
                CrlFetch::Fetched => Outcome::Fetched(v1::CrlFetched {}),
                CrlFetch::Unreachable { detail } => Outcome::Unreachable(detail.to_string()),
                CrlFetch::Unusable { detail } => Outcome::Unusable(detail.to_string()),
                CrlFetch::NotAsked { why } => Outcome::NotAsked(why.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::CrlFetch> for CrlFetch {
    type Error = InvalidField;

    fn try_from(message: v1::CrlFetch) -> Result<Self, Self::Error> {
        let v1::CrlFetch { outcome } = message;
        Ok(match field::required(outcome, "outcome")? {
            Outcome::Fetched(v1::CrlFetched {}) => Self::Fetched,
            Outcome::Unreachable(detail) => Self::Unreachable { detail: field::text(&detail, "unreachable")? },
            Outcome::Unusable(detail) => Self::Unusable { detail: field::text(&detail, "unusable")? },
            Outcome::NotAsked(why) => Self::NotAsked { why: field::text(&why, "not_asked")? },
        })
    }
}

impl From<&RevocationList> for v1::CertificateRevocationList {
    fn from(list: &RevocationList) -> Self {
        let RevocationList { issuer, number, this_update, next_update, next_publish, bytes } = list;
        Self {
            issuer: issuer.to_string(),
            number: number.clone().map(Into::into),
            this_update_ms: Some(this_update.unix_ms()),
            next_update_ms: next_update.map(Timestamp::unix_ms),
            next_publish_ms: next_publish.map(Timestamp::unix_ms),
            bytes: *bytes,
        }
    }
}

impl TryFrom<v1::CertificateRevocationList> for RevocationList {
    type Error = InvalidField;

    fn try_from(message: v1::CertificateRevocationList) -> Result<Self, Self::Error> {
        let v1::CertificateRevocationList { issuer, number, this_update_ms, next_update_ms, next_publish_ms, bytes } =
            message;
        Ok(Self {
            issuer: field::text(&issuer, "issuer")?,
            number: field::optional_text(number.as_deref(), "number")?,
            this_update: field::time(this_update_ms, "this_update_ms")?,
            next_update: field::optional_time(next_update_ms, "next_update_ms")?,
            next_publish: field::optional_time(next_publish_ms, "next_publish_ms")?,
            bytes,
        })
    }
}
