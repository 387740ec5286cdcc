//! Checks of the user's Hello container.

pub(super) mod ngc_set;
