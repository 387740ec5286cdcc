//! Checks of the endpoint's operating system.

pub(super) mod client_build;
pub(super) mod client_known_bad;
