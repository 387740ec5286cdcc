//! Checks of what a machine trusts.

pub(super) mod ntauth;
