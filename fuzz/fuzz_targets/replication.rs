//! Inbound replication, as a table or as objects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::limits;
use muster_probe::parse::{replication::replication, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = text::decode(bytes) else { return };
    for offset in [None, Some(0), Some(-330)] {
        let Ok(found) = replication(&decoded.text, offset) else { continue };
        assert!(found.partners.len() <= limits::REPLICATION_PARTNERS);
        let failing = found.partners.iter().take_while(|partner| partner.failures > 0).count();
        assert!(found.partners[failing..].iter().all(|partner| partner.failures == 0), "those that fail come first");
    }
});
