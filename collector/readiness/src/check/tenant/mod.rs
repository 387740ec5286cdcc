//! Checks of what the tenant allows.

pub(super) mod quota;
