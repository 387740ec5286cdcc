//! Answers of the domain controller locator.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::LocatorAnswer;
use muster_probe::parse::{locator, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = text::decode(bytes) else { return };
    let Ok(answers) = locator::answers(&decoded.text) else { return };
    assert!(!answers.is_empty() && answers.len() <= 16);
    let Ok(found) = locator::locator(&answers) else { return };
    if answers.len() == 1
        && let (LocatorAnswer::Refused { .. }, LocatorAnswer::Found { .. }) = (&found.any, &found.capable)
    {
        panic!("one answer that says two things");
    }
});
