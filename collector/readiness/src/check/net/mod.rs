//! Checks of the way from a machine to what it needs.

pub(super) mod dc_line_of_sight;
pub(super) mod entra_endpoints;
pub(super) mod time_skew;
