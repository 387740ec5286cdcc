//! Kinds of raw outputs, and how one is known by its content.

use std::fmt;

use muster_evidence::Kind;

use super::files::MAX_FILE_BYTES;
use crate::parse::{MAX_INPUT_BYTES, event, firmware, locator, registry, revocation_list, service, text};

/// A kind of raw output in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// The text that `dsregcmd /status` prints.
    Dsregcmd,
    /// The line that `cmd /c ver` prints.
    WindowsVersion,
    /// The text that `tpmtool getdeviceinformation` prints.
    Tpmtool,
    /// Certificates in PEM or DER.
    Certificates,
    /// Values of `msDS-KeyCredentialLink` of one user.
    KeyCredentials,
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
    /// A revocation list, as a distribution point gave it.
    RevocationList,
}

impl FileKind {
    /// Every kind, in the order people see them.
    pub const ALL: &'static [Self] = &[
        Self::Dsregcmd,
        Self::WindowsVersion,
        Self::Tpmtool,
        Self::Certificates,
        Self::KeyCredentials,
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

    /// The name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsregcmd => "dsregcmd",
            Self::WindowsVersion => "windows-version",
            Self::Tpmtool => "tpmtool",
            Self::Certificates => "certificates",
            Self::KeyCredentials => "key-credentials",
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

    /// What makes such a file: the command, with what stands for a name in capitals.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Dsregcmd => "dsregcmd /status",
            Self::WindowsVersion => "cmd /c ver",
            Self::Tpmtool => "tpmtool getdeviceinformation",
            Self::Certificates => "certutil -store My NUMBER FILE",
            Self::KeyCredentials => "(Get-ADUser NAME -Properties msDS-KeyCredentialLink).'msDS-KeyCredentialLink'",
            Self::Events => "wevtutil qe LOG /f:xml /rd:true /c:5000 /e:Events",
            Self::EventLog => "wevtutil gl LOG",
            Self::Registry => "reg export KEY FILE /y",
            Self::TpmProperties => {
                "Get-Tpm; Get-CimInstance Win32_Tpm; Invoke-CimMethod -MethodName IsReadyInformation"
            }
            Self::FirmwareType => "cmd /c echo %firmware_type%",
            Self::DcLocator => "nltest /dsgetdc:DOMAIN /kdc /force, and the same with /ds_10",
            Self::KdcService => "sc query kdc & sc qc kdc",
            Self::KdcLoad => "typeperf \"\\Security System-Wide Statistics\\KDC AS Requests\" -si 60 -sc 61",
            Self::Replication => "repadmin /showrepl /csv",
            Self::SyncScheduler => "ConvertTo-Json (Get-ADSyncScheduler)",
            Self::RevocationList => "Invoke-WebRequest -Uri ADDRESS -OutFile FILE",
        }
    }

    /// What evidence such a file gives, by the names of the kinds.
    pub const fn gives(self) -> &'static [Kind] {
        match self {
            Self::Dsregcmd => {
                &[Kind::JoinState, Kind::Prt, Kind::Ngc, Kind::NgcPrerequisites, Kind::RegistrationDiagnostics]
            }
            Self::WindowsVersion | Self::FirmwareType => &[Kind::OperatingSystem],
            Self::Tpmtool | Self::TpmProperties => &[Kind::Tpm],
            Self::Certificates => &[Kind::CertificateListing, Kind::Certificate],
            // The directory's inventory, which is no observation of a machine.
            Self::KeyCredentials => &[],
            Self::Events => &[Kind::ProvisioningEvent, Kind::KeyRegistration, Kind::DeviceEvents, Kind::KdcEvents],
            Self::EventLog => &[Kind::DeviceEvents, Kind::KdcEvents],
            Self::Registry => &[
                Kind::ComputerPolicy,
                Kind::UserPolicy,
                Kind::DeviceMdmPolicy,
                Kind::UserMdmPolicy,
                Kind::DeviceRegistrationPolicy,
                Kind::RootStore,
                Kind::NtAuthStore,
                Kind::PinProvider,
                Kind::KdcPolicy,
                Kind::OperatingSystem,
            ],
            Self::DcLocator => &[Kind::DcLocator],
            Self::KdcService => &[Kind::KdcService],
            Self::KdcLoad => &[Kind::KdcLoad],
            Self::Replication => &[Kind::Replication],
            Self::SyncScheduler => &[Kind::SyncScheduler],
            Self::RevocationList => &[Kind::RevocationLists],
        }
    }

    /// The largest file of the kind that is read, in bytes.
    pub(super) const fn max_bytes(self) -> u64 {
        match self {
            Self::Events => event::MAX_BYTES as u64,
            Self::Registry => registry::MAX_BYTES as u64,
            _ => MAX_INPUT_BYTES as u64,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind that the content is of; `None` where nothing tells.
///
/// Only marks count that no other kind has. A content without any may still be what a manifest says it is: a text that
/// was cut off early, for example.
pub(super) fn recognise(bytes: &[u8]) -> Option<FileKind> {
    // DER certificates, keys and PFX files are a SEQUENCE with a long length, which no text begins with.
    if matches!(bytes, [0x30, 0x80..=0x84, ..]) {
        let is_list = revocation_list::from_der(bytes).is_ok();
        return Some(if is_list { FileKind::RevocationList } else { FileKind::Certificates });
    }
    // The version of a key credential, 0x200 in four bytes, least first.
    if matches!(bytes, [0, 2, 0, 0, ..]) {
        return Some(FileKind::KeyCredentials);
    }
    let most = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX);
    let text = text::decode_within(bytes, most).ok()?.text;
    // What begins in a way of its own may hold the words of every other in its values.
    let begin = text.trim_start();
    if ["<Event", "<?xml"].iter().any(|mark| begin.starts_with(mark)) && text.contains("<Event") {
        return Some(FileKind::Events);
    }
    if ["Windows Registry Editor Version", "REGEDIT4", "HKEY_"].iter().any(|mark| begin.starts_with(mark)) {
        return Some(FileKind::Registry);
    }
    if begin.starts_with("name: ") && text.contains("\nenabled: ") {
        return Some(FileKind::EventLog);
    }
    let marks: [(FileKind, &[&str]); 8] = [
        (FileKind::Certificates, &["-----BEGIN "]),
        (FileKind::Tpmtool, &["TPM Present:"]),
        (FileKind::Dsregcmd, &["AzureAdJoined", "| Device State", "| User State", "| SSO State", "| Ngc Prerequisite"]),
        (FileKind::KeyCredentials, &["msDS-KeyCredentialLink", "msds-keycredentiallink"]),
        (FileKind::TpmProperties, &["TPM2_PT_", "TPM_PT_", "TpmPresent", "ManufacturerVersionFull20", "SpecVersion"]),
        (FileKind::SyncScheduler, &["SyncCycleEnabled", "CurrentlyEffectiveSyncCycleInterval"]),
        (FileKind::Replication, &["showrepl_COLUMNS", "ConsecutiveReplicationFailures"]),
        (FileKind::KdcLoad, &["(PDH-CSV"]),
    ];
    if let Some((kind, _)) = marks.iter().find(|(_, marks)| marks.iter().any(|mark| text.contains(mark))) {
        return Some(*kind);
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next()?;
    let bare = first.strip_prefix("0x").unwrap_or(first);
    if first.starts_with("B:") || first.starts_with("b:") || bare.starts_with("00020000") {
        return Some(FileKind::KeyCredentials);
    }
    let is_version = |line: &str| line.contains("Windows") && line.contains('[') && line.ends_with(']');
    if is_version(first) || lines.take(2).any(is_version) {
        return Some(FileKind::WindowsVersion);
    }
    // These have no mark, since their words are translated; their parsers take nothing else.
    if text.contains("<Event xmlns") {
        Some(FileKind::Events)
    } else if service::kdc_service(&text).is_ok() {
        Some(FileKind::KdcService)
    } else if locator::answers(&text).is_ok() {
        Some(FileKind::DcLocator)
    } else if firmware::firmware_type(&text).is_ok() {
        Some(FileKind::FirmwareType)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_known_by_their_marks() {
        for (content, kind) in [
            ("\r\nMicrosoft Windows [Version 10.0.26100.4349]\r\n", Some(FileKind::WindowsVersion)),
            ("\n\n+----+\n| Device State   |\n+----+\n AzureAdJoined : YES\n", Some(FileKind::Dsregcmd)),
            ("\n-TPM Present: False\n", Some(FileKind::Tpmtool)),
            ("Bag Attributes\n-----BEGIN CERTIFICATE-----\n", Some(FileKind::Certificates)),
            ("-----BEGIN PRIVATE KEY-----\n", Some(FileKind::Certificates)),
            ("# alice\nB:8:00020000:CN=alice\n", Some(FileKind::KeyCredentials)),
            ("dn: CN=alice\nmsDS-KeyCredentialLink: B:8:0\n", Some(FileKind::KeyCredentials)),
            ("0x0002000020000119\n", Some(FileKind::KeyCredentials)),
            ("<Events></Events>", Some(FileKind::Events)),
            ("<Event xmlns='x'><System/></Event>", Some(FileKind::Events)),
            ("<?xml version='1.0'?><Events><Event>AzureAdJoined</Event></Events>", Some(FileKind::Events)),
            ("C:\\> wevtutil qe System\n<Event xmlns='x'>", Some(FileKind::Events)),
            ("<?xml version='1.0'?><html/>", None),
            (
                "Windows Registry Editor Version 5.00\n\n[HKEY_USERS]\n\"x\"=\"TPM Present:\"\n",
                Some(FileKind::Registry),
            ),
            ("REGEDIT4\n", Some(FileKind::Registry)),
            ("\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\r\n", Some(FileKind::Registry)),
            ("name: System\r\nenabled: true\r\n", Some(FileKind::EventLog)),
            ("TPM2_PT_LEVEL:\n  raw: 0\n", Some(FileKind::TpmProperties)),
            ("\nTpmPresent : True\n", Some(FileKind::TpmProperties)),
            ("{\"SyncCycleEnabled\":true}", Some(FileKind::SyncScheduler)),
            ("showrepl_COLUMNS,Source DSA\n", Some(FileKind::Replication)),
            ("\r\n\"(PDH-CSV 4.0)\",\"x\"\r\n", Some(FileKind::KdcLoad)),
            ("SERVICE_NAME: kdc\n STATE : 4 RUNNING\n", Some(FileKind::KdcService)),
            ("Getting DC name failed: Status = 1355 0x54b ERROR_NO_SUCH_DOMAIN\n", Some(FileKind::DcLocator)),
            ("UEFI\r\n", Some(FileKind::FirmwareType)),
            ("hello\n", None),
            ("", None),
        ] {
            assert_eq!(recognise(content.as_bytes()), kind, "{content}");
        }
        assert_eq!(recognise(&[0x30, 0x82, 1, 2]), Some(FileKind::Certificates));
        assert_eq!(recognise(&[0, 2, 0, 0, 0x20, 0]), Some(FileKind::KeyCredentials));
        assert_eq!(recognise(&[0xFF; 16]), None);
    }

    #[test]
    fn utf16_is_known_too() {
        let text: Vec<u8> = "\u{feff}-TPM Present: True\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(recognise(&text), Some(FileKind::Tpmtool));
    }

    #[test]
    fn the_page_about_captures_lists_every_kind() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/captures.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let table: Vec<&str> = page
            .lines()
            .skip_while(|line| *line != "| kind | command | gives |")
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let expected: Vec<String> = FileKind::ALL
            .iter()
            .map(|kind| {
                let gives: Vec<String> = kind.gives().iter().map(|kind| format!("`{kind}`")).collect();
                let gives =
                    if gives.is_empty() { "the inventory of `[directory]`".to_owned() } else { gives.join(", ") };
                format!("| `{kind}` | `{}` | {gives} |", kind.command())
            })
            .collect();
        assert_eq!(table, expected, "{}", path.display());
    }

    #[test]
    fn every_kind_of_evidence_has_a_form() {
        // What no raw output carries: stated in the manifest.
        let stated = [Kind::DomainController, Kind::UserSession, Kind::Clock];
        for kind in Kind::ALL {
            let has_file = FileKind::ALL.iter().any(|file| file.gives().contains(kind));
            assert!(has_file != stated.contains(kind), "{kind}");
        }
    }
}
