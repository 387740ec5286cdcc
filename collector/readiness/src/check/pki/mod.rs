//! Checks of what a machine trusts.

pub(super) mod ntauth;
pub(super) mod root_trusted;
