//! `once` and `run` against a collector that speaks the protocol.
