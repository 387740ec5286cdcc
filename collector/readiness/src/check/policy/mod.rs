//! Checks of what policy sets about Hello, over all its channels.
