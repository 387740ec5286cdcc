//! Checks of the firmware a machine is started by.
