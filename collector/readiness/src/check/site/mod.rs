//! Checks of a site.

pub(super) mod coverage;
