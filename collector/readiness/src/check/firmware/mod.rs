//! Checks of the firmware a machine is started by.

pub(super) mod uefi;
