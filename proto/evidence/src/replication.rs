//! Inbound replication of a domain controller, as it tells it itself (`DsReplicaGetInfo`).

use serde::{Deserialize, Serialize};

use crate::{Text, Timestamp};

/// The inbound neighbours. At most [`crate::limits::REPLICATION_PARTNERS`]; a controller alone in its forest has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// One entry per partner and naming context, those that fail longest first.
    pub partners: Vec<ReplicationPartner>,
    /// How many more there were beyond the bound.
    pub left_out: u32,
}

/// One inbound neighbour for one naming context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationPartner {
    /// The source, by its name.
    pub source: Text,
    /// The naming context, by its distinguished name.
    pub naming_context: Text,
    /// The last success, to the hour below while nothing fails, since it moves with every cycle; `None` where there never
    /// was one.
    pub last_success: Option<Timestamp>,
    /// Failures since then.
    pub failures: u32,
    /// The Win32 code of the last attempt; 0 for success.
    pub last_result: u32,
}
