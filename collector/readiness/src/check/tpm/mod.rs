//! Checks of the trusted platform module.

pub(super) mod present;
pub(super) mod version;
