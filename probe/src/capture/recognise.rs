//! Kinds of raw outputs, and how one is known by its content.

use std::fmt;

use crate::parse::text;

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
}

impl FileKind {
    /// Every kind, in the order people see them.
    pub const ALL: &'static [Self] =
        &[Self::Dsregcmd, Self::WindowsVersion, Self::Tpmtool, Self::Certificates, Self::KeyCredentials];

    /// The name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsregcmd => "dsregcmd",
            Self::WindowsVersion => "windows-version",
            Self::Tpmtool => "tpmtool",
            Self::Certificates => "certificates",
            Self::KeyCredentials => "key-credentials",
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
        return Some(FileKind::Certificates);
    }
    // The version of a key credential, 0x200 in four bytes, least first.
    if matches!(bytes, [0, 2, 0, 0, ..]) {
        return Some(FileKind::KeyCredentials);
    }
    let text = text::decode(bytes).ok()?.text;
    let marks: [(FileKind, &[&str]); 4] = [
        (FileKind::Certificates, &["-----BEGIN "]),
        (FileKind::Tpmtool, &["TPM Present:"]),
        (FileKind::Dsregcmd, &["AzureAdJoined", "| Device State", "| User State", "| SSO State", "| Ngc Prerequisite"]),
        (FileKind::KeyCredentials, &["msDS-KeyCredentialLink", "msds-keycredentiallink"]),
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
    (is_version(first) || lines.take(2).any(is_version)).then_some(FileKind::WindowsVersion)
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
}
