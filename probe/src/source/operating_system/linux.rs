//! Linux: `os-release`, and sysinfo for what it lacks.
//!
//! `os-release` comes first because it follows [`SourceSettings::root`]; sysinfo always speaks of the running system.

use muster_evidence::{Evidence, OperatingSystem, OsFamily, Outcome, Text};
use sysinfo::System;

use super::parse;
use crate::source::{SourceSettings, failed, files};

/// Where distributions keep it, by precedence (os-release(5)).
const PLACES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

pub(super) fn observe(settings: &SourceSettings) -> Outcome {
    let mut release = parse::OsRelease::default();
    for place in PLACES {
        match files::read_text(&settings.root.join(place)) {
            Ok(Some(text)) => {
                release = parse::os_release(&text);
                break;
            }
            Ok(None) => {}
            Err(error) => return failed(error.reason(), error.line()),
        }
    }
    let name = release.name.or_else(|| System::name().ok()).unwrap_or_else(|| "Linux".to_owned());
    let version = release
        .version
        .or_else(|| System::os_version().ok())
        .or_else(|| System::kernel_version().ok())
        .unwrap_or_default();
    Outcome::Observed(Evidence::OperatingSystem(OperatingSystem {
        family: OsFamily::Linux,
        name: Text::cut(&name),
        version: Text::cut(&version),
        build: None,
        revision: None,
        edition: release.variant.as_deref().map(Text::cut),
        product_type: None,
        server_core: None,
        release: None,
        firmware: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(settings: &SourceSettings) -> OperatingSystem {
        match observe(settings) {
            Outcome::Observed(Evidence::OperatingSystem(found)) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_running_system_has_a_name_and_a_version() {
        let found = observed(&SourceSettings::default());
        assert_eq!(found.family, OsFamily::Linux);
        assert!(!found.name.is_empty() && !found.version.is_empty(), "{found:?}");
        assert_eq!(found.build, None, "a Linux system has no Windows build");
    }

    #[test]
    fn another_root_is_described_by_its_own_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        let text = "NAME=\"Fedora Linux\"\nVERSION_ID=41\nVARIANT_ID=server\n";
        std::fs::write(root.path().join("usr/lib/os-release"), text).unwrap();
        let found = observed(&SourceSettings { root: root.path().to_owned(), ..SourceSettings::default() });
        assert_eq!((found.name.as_str(), found.version.as_str()), ("Fedora Linux", "41"));
        assert_eq!(found.edition, Some(Text::cut("server")));
    }
}
