//! Checks of how the machine is joined.

pub(super) mod device_auth;
#[path = "type.rs"]
pub(super) mod kind; // `type` is a keyword
