//! Checks of what Windows itself says before it provisions.

pub(super) mod ngc;
