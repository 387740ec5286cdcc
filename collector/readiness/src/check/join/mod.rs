//! Checks of how the machine is joined.

use muster_evidence::{JoinKind, JoinState};

pub(super) mod cert_validity;
pub(super) mod device_auth;
pub(super) mod device_key;
#[path = "type.rs"]
pub(super) mod kind; // `type` is a keyword
pub(super) mod registration_diagnostics;
pub(super) mod tenant_match;
pub(super) mod workplace_residue;

/// The reason of checks that speak of a joined device alone. Whether the machine should be one, `join.type` says.
pub(super) const NOT_JOINED: &str = "not joined to Entra ID";

/// Whether a machine is joined to Entra ID; `None` where the flags fit no known state.
pub(super) fn is_joined(join: &JoinState) -> Option<bool> {
    match join.kind() {
        JoinKind::Hybrid | JoinKind::EntraJoined => Some(true),
        JoinKind::DomainOnly | JoinKind::OnPremisesDrs | JoinKind::WorkplaceOnly | JoinKind::NotJoined => Some(false),
        JoinKind::Undetermined => None,
    }
}
