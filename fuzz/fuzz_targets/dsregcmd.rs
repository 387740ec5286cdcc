//! The text of `dsregcmd /status`, from bytes to facts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{Context, Outcome};
use muster_probe::parse::{dsregcmd, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = text::decode(bytes) else { return };
    let Ok(status) = dsregcmd::parse(&decoded.text) else { return };
    for context in [None, Some(Context::Service), Some(Context::UserSession)] {
        let facts = status.facts(context);
        let of_user = [&facts.prt, &facts.ngc, &facts.prerequisites];
        if !status.ending.is_proven() {
            assert!(!of_user.contains(&&Outcome::Absent), "absent, though the text may have been cut off");
        }
        if facts.context == Context::Service {
            assert!(of_user.iter().all(|outcome| matches!(outcome, Outcome::Failed(_))), "a user fact of a service");
        }
    }
    for section in status.sections.iter().filter(|section| section.title.to_ascii_lowercase().contains("proxy")) {
        assert!(section.unparsed.is_empty() && section.fields.iter().all(|field| field.value.is_empty()));
    }
});
