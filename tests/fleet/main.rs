//! Scenarios across the programs, one module each: what no unit test can show.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

mod certificates;
mod damage;
mod demo;
mod docs;
mod fates;
mod floods;
mod full_disk;
mod identity;
mod idle;
mod kill;
mod pages;
mod person;
mod reports;
mod restart;
mod settings;
mod telemetry;
mod tls;
mod totals;
mod walk;
mod way;
