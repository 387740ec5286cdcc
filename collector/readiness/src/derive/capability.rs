//! Whether a domain controller can serve key trust at all.
//!
//! Mixed sites are Microsoft's own scenario: a controller that is too old serves passwords, holds nobody up and is
//! judged for nothing else. Whether a read-only one may serve key trust is said nowhere, so it is left out and listed.

use muster_evidence::{DomainController, OperatingSystem, OsFamily};
use serde::{Deserialize, Serialize};

use crate::Policy;

/// Whether a domain controller can serve key trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "capability", rename_all = "kebab-case")]
pub enum Capability {
    /// A writable controller of Windows Server 2016 or later.
    Capable,
    /// It cannot, or is not counted.
    NotCapable {
        /// Why, from the vocabulary of the catalogue: `not capable` or `rodc`, with the value seen.
        reason: String,
    },
    /// The evidence does not say.
    Unsettled {
        /// Which evidence is missing.
        why: String,
    },
}

/// The reason of a read-only domain controller.
pub const RODC: &str = "rodc";

impl Capability {
    /// Derives the capability from what a domain controller says of itself; `None` for what it did not say.
    ///
    /// A reason to leave it out is enough by itself, even where the other half is not known.
    pub fn derive(
        operating_system: Option<&OperatingSystem>,
        domain_controller: Option<&DomainController>,
        policy: &Policy,
    ) -> Self {
        let read_only = domain_controller.and_then(|dc| dc.read_only);
        if read_only == Some(true) {
            return Self::NotCapable { reason: RODC.to_owned() };
        }
        let build = match operating_system {
            None => return unsettled("its operating system is not known"),
            Some(os) if os.family != OsFamily::Windows => {
                return Self::NotCapable { reason: format!("not capable: {} is not Windows Server", os.name) };
            }
            Some(os) => os.build,
        };
        match build {
            None => unsettled("its Windows build is not known"),
            Some(build) if build < policy.dc_build_least => {
                Self::NotCapable { reason: format!("not capable: build {build} is below {}", policy.dc_build_least) }
            }
            Some(_) if read_only.is_none() => unsettled("whether it is read-only is not known"),
            Some(_) => Self::Capable,
        }
    }

    /// The words for tables: `capable`, or the reason.
    pub fn words(&self) -> &str {
        match self {
            Self::Capable => "capable",
            Self::NotCapable { reason } => reason,
            Self::Unsettled { why } => why,
        }
    }
}

fn unsettled(why: &str) -> Capability {
    Capability::Unsettled { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture;

    #[test]
    fn the_table() {
        let policy = Policy::default();
        let dc = |read_only| DomainController { read_only, ..fixture::domain_controller() };
        let os = |build| OperatingSystem { build, ..fixture::windows_server(0) };
        let linux = OperatingSystem { family: OsFamily::Linux, ..fixture::windows_server(0) };
        let cases = [
            (Some(os(Some(14_393))), Some(dc(Some(false))), "capable"),
            (Some(os(Some(26_100))), Some(dc(Some(false))), "capable"),
            (Some(os(Some(14_392))), Some(dc(Some(false))), "not capable: build 14392 is below 14393"),
            (Some(os(Some(9_600))), None, "not capable: build 9600 is below 14393"),
            (Some(os(Some(20_348))), Some(dc(Some(true))), "rodc"),
            (None, Some(dc(Some(true))), "rodc"),
            (None, Some(dc(Some(false))), "its operating system is not known"),
            (Some(os(None)), Some(dc(Some(false))), "its Windows build is not known"),
            (Some(os(Some(20_348))), Some(dc(None)), "whether it is read-only is not known"),
            (Some(os(Some(20_348))), None, "whether it is read-only is not known"),
            (Some(linux), Some(dc(Some(false))), "not capable: Windows Server is not Windows Server"),
        ];
        for (os, dc, words) in cases {
            assert_eq!(Capability::derive(os.as_ref(), dc.as_ref(), &policy).words(), words);
        }
    }
}
