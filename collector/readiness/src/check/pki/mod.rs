//! Checks of what a machine trusts.
