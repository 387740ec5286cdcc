//! Parsers of raw inputs: pure functions from bytes to evidence, on every system.
//!
//! A live source, a capture taken elsewhere and `muster-probe inspect` hand the same bytes to the same parser, so what
//! is tested on one machine holds on all of them. Nothing here asks the system or opens a file, and no parser panics:
//! every input is bounded by [`MAX_INPUT_BYTES`], and what cannot be understood is an error that names what was found
//! and what was expected.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use muster_evidence::{Sid, Timestamp};
use serde_json::{Value, json};

use crate::source::operating_system::parse as system;
use crate::source::tpm::parse as tpm;

mod bytes;
pub mod certificate;
pub mod dsregcmd;
pub mod event;
pub mod firmware;
pub mod key_credential;
pub mod load;
pub mod locator;
mod object;
pub mod registry;
pub mod replication;
pub mod revocation_list;
pub mod scheduler;
pub mod service;
pub mod text;
pub mod tpm_properties;

/// Largest raw input a parser takes, in bytes. The longest real `dsregcmd /status` text seen is below 20 KiB, and a
/// certificate with every extension below 8 KiB; a folder of them is read file by file.
pub const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// A kind of raw input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputKind {
    /// The text that `dsregcmd /status` prints.
    Dsregcmd,
    /// The line that `cmd /c ver` prints.
    WindowsVersion,
    /// The text that `tpmtool getdeviceinformation` prints.
    Tpmtool,
    /// One or more X.509 certificates, in PEM or DER.
    Certificate,
    /// Values of `msDS-KeyCredentialLink`.
    KeyCredential,
    /// Windows events as XML.
    Events,
    /// The text that `wevtutil gl` prints.
    EventLog,
    /// The text that `reg export` or `reg query` writes.
    Registry,
    /// Lists of properties of a TPM.
    TpmProperties,
    /// The word for the kind of firmware.
    FirmwareType,
    /// The text that `nltest /dsgetdc` prints.
    DcLocator,
    /// The text that `sc query kdc` prints.
    KdcService,
    /// The table that `typeperf` prints.
    KdcLoad,
    /// The table that `repadmin /showrepl /csv` prints.
    Replication,
    /// The object that `Get-ADSyncScheduler` gives.
    SyncScheduler,
    /// A certificate revocation list in DER.
    RevocationList,
}

impl InputKind {
    /// Every kind, in the order people see them.
    pub const ALL: &'static [Self] = &[
        Self::Dsregcmd,
        Self::WindowsVersion,
        Self::Tpmtool,
        Self::Certificate,
        Self::KeyCredential,
        Self::Events,
        Self::EventLog,
        Self::Registry,
        Self::TpmProperties,
        Self::FirmwareType,
        Self::DcLocator,
        Self::KdcService,
        Self::KdcLoad,
        Self::Replication,
        Self::SyncScheduler,
        Self::RevocationList,
    ];

    /// The name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsregcmd => "dsregcmd",
            Self::WindowsVersion => "windows-version",
            Self::Tpmtool => "tpmtool",
            Self::Certificate => "certificate",
            Self::KeyCredential => "key-credential",
            Self::Events => "events",
            Self::EventLog => "event-log",
            Self::Registry => "registry",
            Self::TpmProperties => "tpm-properties",
            Self::FirmwareType => "firmware-type",
            Self::DcLocator => "dc-locator",
            Self::KdcService => "kdc-service",
            Self::KdcLoad => "kdc-load",
            Self::Replication => "replication",
            Self::SyncScheduler => "sync-scheduler",
            Self::RevocationList => "revocation-list",
        }
    }

    /// The largest input of the kind that is read, in bytes.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Events => event::MAX_BYTES,
            Self::Registry => registry::MAX_BYTES,
            _ => MAX_INPUT_BYTES,
        }
    }

    /// The name in manifests of captures, where files of a kind are named in the plural.
    pub const fn capture_name(self) -> &'static str {
        match self {
            Self::Certificate => "certificates",
            Self::KeyCredential => "key-credentials",
            _ => self.name(),
        }
    }

    /// What the input is, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Dsregcmd => "the text that `dsregcmd /status` prints",
            Self::WindowsVersion => "the line that `cmd /c ver` prints",
            Self::Tpmtool => "the text that `tpmtool getdeviceinformation` prints",
            Self::Certificate => "X.509 certificates in PEM or DER",
            Self::KeyCredential => "values of `msDS-KeyCredentialLink`, one per line or as LDIF",
            Self::Events => "Windows events, as `wevtutil qe LOG /f:xml` prints them",
            Self::EventLog => "the text that `wevtutil gl LOG` prints",
            Self::Registry => "what `reg export` or `reg query` writes",
            Self::TpmProperties => "what `tpm2_getcap`, `Get-Tpm` or `Get-CimInstance Win32_Tpm` prints",
            Self::FirmwareType => "what `echo %firmware_type%` prints",
            Self::DcLocator => "what `nltest /dsgetdc:DOMAIN` prints, with and without `/ds_10`",
            Self::KdcService => "what `sc query kdc` and `sc qc kdc` print",
            Self::KdcLoad => "the table of `KDC AS Requests` that `typeperf` prints",
            Self::Replication => "what `repadmin /showrepl /csv` prints",
            Self::SyncScheduler => "what `Get-ADSyncScheduler | ConvertTo-Json` prints",
            Self::RevocationList => "a certificate revocation list in DER",
        }
    }
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that no kind of raw input has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of input `{name}` (known are {})", known_kinds())]
pub struct UnknownInputKind {
    /// The name found, cut to 64 characters.
    pub name: String,
}

fn known_kinds() -> String {
    InputKind::ALL.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
}

impl FromStr for InputKind {
    type Err = UnknownInputKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name || kind.capture_name() == name)
            .ok_or_else(|| UnknownInputKind { name: name.chars().take(64).collect() })
    }
}

/// Why a raw input could not be parsed at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The input exceeds the bound.
    #[error("input has {found} bytes (at most {most} are read)")]
    TooLarge {
        /// Length found, in bytes.
        found: usize,
        /// Most that is read, in bytes.
        most: usize,
    },
    /// The text is not a `dsregcmd /status` output.
    #[error(transparent)]
    Dsregcmd(#[from] dsregcmd::InvalidStatus),
    /// The text is not what `cmd /c ver` prints.
    #[error(transparent)]
    WindowsVersion(#[from] system::InvalidVer),
    /// The text is not what `tpmtool getdeviceinformation` prints.
    #[error(transparent)]
    Tpmtool(#[from] tpm::InvalidTpmtool),
    /// The input holds no certificate, or something that must not be there.
    #[error(transparent)]
    Certificate(#[from] certificate::InvalidInput),
    /// The input holds no key credential value.
    #[error(transparent)]
    KeyCredential(#[from] key_credential::InvalidFile),
    /// The text holds no events.
    #[error(transparent)]
    Events(#[from] event::InvalidEvents),
    /// The text does not show how a log is set up.
    #[error(transparent)]
    EventLog(#[from] event::InvalidLog),
    /// The text is no registry export.
    #[error(transparent)]
    Registry(#[from] registry::InvalidExport),
    /// The text does not describe a TPM.
    #[error(transparent)]
    TpmProperties(#[from] tpm_properties::InvalidTpm),
    /// The text names no kind of firmware.
    #[error(transparent)]
    FirmwareType(#[from] firmware::InvalidFirmware),
    /// The text holds no answer of the locator.
    #[error(transparent)]
    DcLocator(#[from] locator::InvalidLocator),
    /// The text does not show the service of the KDC.
    #[error(transparent)]
    KdcService(#[from] service::InvalidService),
    /// The text is no table of the KDC's load.
    #[error(transparent)]
    KdcLoad(#[from] load::InvalidLoad),
    /// The text does not show replication.
    #[error(transparent)]
    Replication(#[from] replication::InvalidReplication),
    /// The text does not show the scheduler of Entra Connect.
    #[error(transparent)]
    SyncScheduler(#[from] scheduler::InvalidScheduler),
    /// The bytes are no revocation list.
    #[error(transparent)]
    RevocationList(#[from] revocation_list::InvalidRawList),
}

/// Refuses what exceeds [`MAX_INPUT_BYTES`].
pub(crate) fn check_size(bytes: &[u8]) -> Result<(), ParseError> {
    check_size_within(bytes, MAX_INPUT_BYTES)
}

/// Refuses what exceeds a bound.
pub(crate) fn check_size_within(bytes: &[u8], most: usize) -> Result<(), ParseError> {
    if bytes.len() > most {
        return Err(ParseError::TooLarge { found: bytes.len(), most });
    }
    Ok(())
}

/// Parses a raw input and shows what it says, as JSON for people.
pub fn inspect(kind: InputKind, bytes: &[u8]) -> Result<Value, ParseError> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since_1970.as_millis()).ok().and_then(|ms| Timestamp::from_unix_ms(ms).ok());
    inspect_at(kind, bytes, now.unwrap_or(Timestamp::MAX))
}

/// Does what [`inspect`] does at a given time, which bounds the times in a key credential that are believed.
pub fn inspect_at(kind: InputKind, bytes: &[u8], now: Timestamp) -> Result<Value, ParseError> {
    check_size_within(bytes, kind.max_bytes())?;
    let value = match kind {
        InputKind::Dsregcmd => {
            let decoded = text::decode(bytes)?;
            let outputs = dsregcmd::parse_all(&decoded.text)?;
            if let [status] = outputs.as_slice() {
                let facts = status.facts(None);
                json!({ "encoding": decoded.encoding, "facts": facts, "status": status })
            } else {
                let outputs: Vec<Value> =
                    outputs.iter().map(|status| json!({ "facts": status.facts(None), "status": status })).collect();
                json!({ "encoding": decoded.encoding, "outputs": outputs })
            }
        }
        InputKind::WindowsVersion => {
            let decoded = text::decode(bytes)?;
            let system = system::windows_version(&decoded.text)?;
            json!({ "encoding": decoded.encoding, "operating_system": system })
        }
        InputKind::Tpmtool => {
            let decoded = text::decode(bytes)?;
            // No TPM is a fact of its own, and not a text without one.
            let tpm = tpm::tpmtool(&decoded.text)?;
            json!({ "encoding": decoded.encoding, "present": tpm.is_some(), "tpm": tpm })
        }
        InputKind::Certificate => {
            let bundle = certificate::from_pem_or_der(bytes)?;
            let unreadable: Vec<String> = bundle.unreadable.iter().map(ToString::to_string).collect();
            json!({ "certificates": bundle.certificates, "unreadable": unreadable })
        }
        InputKind::KeyCredential => {
            let values: Vec<Value> = key_credential::decode_input(bytes, now)?
                .into_iter()
                .map(|value| match value.decoded {
                    Ok(credential) => json!({ "line": value.line, "credential": credential }),
                    Err(error) => json!({ "line": value.line, "error": error.to_string() }),
                })
                .collect();
            json!({ "values": values })
        }
        InputKind::Events => {
            let export = event::parse(bytes)?;
            let facts = event::facts(&export, None);
            json!({
                "events": export.events.len(),
                "unreadable": export.unreadable,
                "left_out": export.left_out,
                "cut_off": export.cut_off,
                "provisioning": facts.provisioning,
                "registrations": facts.registrations,
                "device": facts.device_summary(&[]),
                "kdc": facts.kdc_summary(&[]),
            })
        }
        InputKind::EventLog => json!({ "logs": event::log_configuration(&text::decode(bytes)?.text)? }),
        InputKind::Registry => inspect_registry(&registry::parse(bytes)?),
        InputKind::TpmProperties => {
            let tpm = tpm_properties::tpm_properties(&text::decode(bytes)?.text)?;
            json!({ "present": tpm.is_some(), "tpm": tpm })
        }
        InputKind::FirmwareType => json!({ "firmware": firmware::firmware_type(&text::decode(bytes)?.text)? }),
        InputKind::DcLocator => {
            let answers = locator::answers(&text::decode(bytes)?.text)?;
            match locator::locator(&answers) {
                Ok(locator) => json!({ "answers": answers, "locator": locator }),
                // Another file of the capture may hold the other half.
                Err(error) => json!({ "answers": answers, "problem": error.to_string() }),
            }
        }
        InputKind::KdcService => {
            let service = service::kdc_service(&text::decode(bytes)?.text)?;
            json!({ "exists": service.exists, "state": service.state, "disabled": service.disabled })
        }
        InputKind::KdcLoad => {
            let samples = load::load(&text::decode(bytes)?.text)?;
            json!({ "samples": samples.samples.len(), "load": samples.hour(now) })
        }
        InputKind::Replication => {
            let text = text::decode(bytes)?.text;
            match replication::replication(&text, None) {
                // Shown as they stand, since there is nobody to ask.
                Err(replication::InvalidReplication::NoOffset) => {
                    json!({ "times": "local", "replication": replication::replication(&text, Some(0))? })
                }
                found => json!({ "times": "utc", "replication": found? }),
            }
        }
        InputKind::SyncScheduler => json!({ "scheduler": scheduler::scheduler(&text::decode(bytes)?.text)? }),
        InputKind::RevocationList => {
            let found = revocation_list::from_der(bytes)?;
            json!({ "list": found.list, "delta": found.delta, "unsupported": found.unsupported })
        }
    };
    Ok(json!({ "kind": kind.name(), "content": value }))
}

/// What one registry export says by itself. The hive of whoever exported it stands under no name.
fn inspect_registry(export: &registry::Export) -> Value {
    let nobody = Sid::unknown();
    let mut tree = registry::Tree::default();
    let added = tree.add(export, Some(&nobody), 0);
    debug_assert!(added.is_ok(), "the hive has an owner");
    let facts = registry::facts(&tree, &registry::Known::default());
    let found: Vec<Value> =
        facts.found.iter().map(|found| json!({ "of": found.key.to_string(), "outcome": found.outcome })).collect();
    let covered: Vec<Value> = export
        .covered
        .iter()
        .map(|covered| match covered {
            registry::Covered::Tree { path, cut_off } => json!({ "tree": path, "cut_off": cut_off }),
            registry::Covered::Values { path } => json!({ "values": path }),
            registry::Covered::Children { path } => json!({ "children": path }),
        })
        .take(256)
        .collect();
    json!({
        "keys": export.keys.len(),
        "unreadable": export.unreadable,
        "covered": covered,
        "found": found,
        "system": facts.system.map(|(system, _)| system),
        "kdc_disabled": facts.kdc_disabled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::FileKind;

    #[test]
    fn every_kind_of_a_capture_can_be_inspected_under_its_name() {
        for kind in FileKind::ALL {
            let found: InputKind = kind.name().parse().unwrap();
            assert_eq!(found.capture_name(), kind.name());
            assert_eq!(found.name().parse(), Ok(found));
        }
        assert_eq!(FileKind::ALL.len(), InputKind::ALL.len());
    }

    #[test]
    fn versions_and_tpms_are_shown() {
        let now = Timestamp::MAX;
        let ver = b"\r\nMicrosoft Windows [Version 10.0.26100.4349]\r\n";
        let shown = inspect_at(InputKind::WindowsVersion, ver, now).unwrap();
        assert_eq!(shown["content"]["operating_system"]["build"], 26100, "{shown}");
        for (text, present) in [("-TPM Present: True\n-TPM Version: 2.0\n", true), ("-TPM Present: False\n", false)] {
            let shown = inspect_at(InputKind::Tpmtool, text.as_bytes(), now).unwrap();
            assert_eq!(shown["content"]["present"], present, "{shown}");
            assert_eq!(shown["content"]["tpm"].is_null(), !present, "{shown}");
        }
        assert!(inspect_at(InputKind::WindowsVersion, b"no version here", now).is_err());
    }
}
