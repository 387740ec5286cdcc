//! Checks of the way from a machine to what it needs.

pub(super) mod time_skew;
