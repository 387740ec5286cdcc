//! Checks of the way a key takes from the cloud into the directory.

pub(super) mod key_state;
