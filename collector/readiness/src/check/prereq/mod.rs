//! Checks of what Windows wants before it sets up Hello.

pub(super) mod event;
pub(super) mod ngc;
pub(super) mod session_not_remote;
pub(super) mod steps;
