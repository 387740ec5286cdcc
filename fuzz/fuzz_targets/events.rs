//! Windows events as XML, from bytes to facts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::limits;
use muster_probe::parse::event::{self, MAX_EVENTS};

fuzz_target!(|bytes: &[u8]| {
    let Ok(export) = event::parse(bytes) else { return };
    assert!(export.events.len() <= MAX_EVENTS);
    let facts = event::facts(&export, None);
    assert!(facts.provisioning.keys().chain(facts.registrations.keys()).all(muster_evidence::Sid::is_account));
    if export.lacks_newest() {
        assert!(facts.provisioning.is_empty() && facts.registrations.is_empty(), "an older event told as the newest");
    }
    for summary in [facts.device_summary(&[]), facts.kdc_summary(&[])].into_iter().flatten() {
        assert!(summary.events.len() <= limits::EVENT_KINDS && summary.logs.len() <= limits::EVENT_LOGS);
        assert!(summary.events.iter().all(|event| summary.log(event.channel.as_str()).is_some()), "an event of no log");
    }
    let mut twice = facts.clone();
    twice.merge(facts.clone());
    assert_eq!(twice.provisioning, facts.provisioning);
    assert_eq!(twice.device.len(), facts.device.len());
});
