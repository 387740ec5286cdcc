//! The scheduler of Entra Connect, as a list or as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_probe::parse::{scheduler::scheduler, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = text::decode(bytes) else { return };
    let Ok(found) = scheduler(&decoded.text) else { return };
    assert_eq!(scheduler(&decoded.text), Ok(found));
});
