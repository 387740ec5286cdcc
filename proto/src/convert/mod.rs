//! Domain values to messages and back.
