//! The small texts of a controller and of firmware: service, load, how a log is set up, the word for the firmware.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{Timestamp, limits};
use muster_probe::parse::{event, firmware, load, service, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = text::decode(bytes) else { return };
    let text = &decoded.text;
    if let Ok(service) = service::kdc_service(text) {
        assert!(service.exists || (service.state.is_none() && service.disabled.is_none()));
    }
    if let Ok(samples) = load::load(text) {
        let hour = samples.hour(Timestamp::MIN);
        assert!(hour.minutes <= 60 && hour.mean_milli <= hour.peak_milli);
    }
    if let Ok(logs) = event::log_configuration(text) {
        assert!(logs.len() <= limits::EVENT_LOGS);
    }
    let _ = firmware::firmware_type(text);
});
