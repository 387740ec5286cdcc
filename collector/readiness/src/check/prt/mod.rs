//! Checks of the user's primary refresh token.

pub(super) mod present;
