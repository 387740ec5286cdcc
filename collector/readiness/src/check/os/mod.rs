//! Checks of the endpoint's operating system.

pub(super) mod client_build;
