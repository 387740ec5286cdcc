//! Inbound replication of a domain controller.

use muster_evidence::{Replication, ReplicationPartner, Timestamp, limits};

use super::field::{self, InvalidField};
use crate::v1;

impl From<&Replication> for v1::Replication {
    fn from(replication: &Replication) -> Self {
        let Replication { partners, left_out } = replication;
        Self { partners: partners.iter().map(Into::into).collect(), left_out: *left_out }
    }
}

impl TryFrom<v1::Replication> for Replication {
    type Error = InvalidField;

    fn try_from(message: v1::Replication) -> Result<Self, Self::Error> {
        let v1::Replication { partners, left_out } = message;
        Ok(Self { partners: field::list(partners, limits::REPLICATION_PARTNERS, "partners")?, left_out })
    }
}

impl From<&ReplicationPartner> for v1::ReplicationPartner {
    fn from(partner: &ReplicationPartner) -> Self {
        let ReplicationPartner { source, naming_context, last_success, failures, last_result } = partner;
        Self {
            source: source.to_string(),
            naming_context: naming_context.to_string(),
            last_success_ms: last_success.map(Timestamp::unix_ms),
            failures: *failures,
            last_result: *last_result,
        }
    }
}

impl TryFrom<v1::ReplicationPartner> for ReplicationPartner {
    type Error = InvalidField;

    fn try_from(message: v1::ReplicationPartner) -> Result<Self, Self::Error> {
        let v1::ReplicationPartner { source, naming_context, last_success_ms, failures, last_result } = message;
        Ok(Self {
            source: field::text(&source, "source")?,
            naming_context: field::text(&naming_context, "naming_context")?,
            last_success: field::optional_time(last_success_ms, "last_success_ms")?,
            failures,
            last_result,
        })
    }
}
