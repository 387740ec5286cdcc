//! Systems without a platform file of their own: what sysinfo knows.

use muster_evidence::{Evidence, OperatingSystem, OsFamily, Outcome, Text};
use sysinfo::System;

use crate::source::{SourceSettings, unsupported};

pub(super) fn observe(_settings: &SourceSettings) -> Outcome {
    let Ok(name) = System::name() else {
        return unsupported("sysinfo knows no operating system here");
    };
    let family = if std::env::consts::OS == "windows" { OsFamily::Windows } else { OsFamily::Other };
    Outcome::Observed(Evidence::OperatingSystem(OperatingSystem {
        family,
        name: Text::cut(&name),
        version: Text::cut(&System::os_version().unwrap_or_default()),
        build: None,
        revision: None,
        edition: None,
        product_type: None,
        server_core: None,
        release: None,
        firmware: None,
    }))
}
