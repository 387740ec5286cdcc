//! Checks of the user on the machine.

pub(super) mod can_reset;
pub(super) mod convenience_pin;
pub(super) mod ngc_set;
pub(super) mod upn_drift;
pub(super) mod wam_default;
