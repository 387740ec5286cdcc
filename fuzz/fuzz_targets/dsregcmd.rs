//! The text of `dsregcmd /status`, from bytes to facts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{Context, Outcome};
use muster_probe::parse::dsregcmd::{self, Status};
use muster_probe::parse::text::{self, CodePage};

fuzz_target!(|bytes: &[u8]| {
    // The first byte also chooses a console's code page, or none.
    let page = bytes.first().and_then(|first| CodePage::ALL.get(usize::from(*first))).copied();
    for page in [None, page.and_then(CodePage::from_number)] {
        let Ok(decoded) = text::decode_from(bytes, page) else { return };
        let Ok(outputs) = dsregcmd::parse_all(&decoded.text) else { continue };
        assert!(!outputs.is_empty() && outputs.len() <= 64);
        assert_eq!(outputs.len() == 1, dsregcmd::parse(&decoded.text).is_ok(), "one is all, and several are refused");
        outputs.iter().for_each(holds_of_every_output);
    }
});

fn holds_of_every_output(status: &Status) {
    for context in [None, Some(Context::Service), Some(Context::UserSession)] {
        let facts = status.facts(context);
        let of_user = [&facts.prt, &facts.ngc, &facts.prerequisites];
        if !status.ending.is_proven() {
            assert!(!of_user.contains(&&Outcome::Absent), "absent, though the text may have been cut off");
            let whole = status.is_complete("Diagnostic Data");
            assert!(whole || facts.registration != Outcome::Absent, "no diagnostics, though the text may have been cut off");
        }
        if facts.context == Context::Service {
            assert!(of_user.iter().all(|outcome| matches!(outcome, Outcome::Failed(_))), "a user fact of a service");
        }
    }
    for section in &status.sections {
        assert!(section.fields.len() <= 256 && section.fields.iter().all(|field| field.value.len() <= 4096));
        let is_proxy = section.title.to_ascii_lowercase().contains("proxy");
        assert!(!is_proxy || section.unparsed.is_empty() && section.fields.iter().all(|field| field.value.is_empty()));
        // A value that may go on is the last of a section that may go on.
        let mut cut = section.fields.iter().enumerate().filter(|(_, field)| field.cut);
        assert!(cut.all(|(at, _)| at + 1 == section.fields.len() && !section.complete));
    }
}
