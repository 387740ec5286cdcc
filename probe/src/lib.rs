//! The probe: observes a Windows endpoint or domain controller and reports what it saw.
//!
//! [`source`] looks at the running system and [`capture`] at raw outputs taken elsewhere; both hand bytes to [`parse`].
//! [`collect`] runs the sources; [`machine`] holds what is known of each machine. From there two ways go on:
//! [`judge_local`] judges right here, and [`report`], [`round`], [`send`] and [`outbox`] bring it to a collector,
//! which [`run`] does again and again by [`schedule`]. [`cli`] is the command line.

pub mod capture;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod judge_local;
pub mod machine;
pub mod names;
pub mod outbox;
pub mod parse;
pub mod report;
pub mod round;
pub mod run;
pub mod schedule;
pub mod send;
pub mod service;
pub mod source;
