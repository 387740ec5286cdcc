//! Texts that name an operating system: `os-release`, and the line that `cmd /c ver` prints.

use muster_evidence::{OperatingSystem, OsFamily, Text};

/// What a rule could want from an `os-release` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `NAME`.
    pub name: Option<String>,
    /// `VERSION_ID`, or `BUILD_ID` on rolling distributions, which have no version.
    pub version: Option<String>,
    /// `VARIANT_ID`.
    pub variant: Option<String>,
}

/// Reads an `os-release` file (os-release(5)): shell assignments, quoted or not.
pub fn os_release(text: &str) -> OsRelease {
    let value = |wanted: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(key, _)| *key == wanted)
            .map(|(_, value)| unquote(value))
            .find(|value| !value.is_empty())
    };
    OsRelease {
        name: value("NAME"),
        version: value("VERSION_ID").or_else(|| value("BUILD_ID")),
        variant: value("VARIANT_ID"),
    }
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
    let mut plain = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}

/// Says that a text is not what `cmd /c ver` prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVer {
    /// No line names Windows and carries a version in square brackets.
    #[error("no line like `Microsoft Windows [Version 10.0.26100.4349]` in {lines} lines (begins with `{start}`)")]
    NoVersion {
        /// How many lines were looked at.
        lines: usize,
        /// The beginning of the text.
        start: String,
    },
    /// The brackets hold something else than three or four numbers.
    #[error("`{found}` is not a Windows version of three or four numbers")]
    NotNumbers {
        /// What the brackets hold.
        found: String,
    },
}

/// Reads what `cmd /c ver` prints. The word before the numbers is localised (`Version`, `version`, `Wersja`, `版本`), so
/// only the brackets and the numbers count.
pub fn windows_version(text: &str) -> Result<OperatingSystem, InvalidVer> {
    let bracketed = |line: &str| {
        let (before, rest) = line.split_once('[')?;
        let (inner, _) = rest.split_once(']')?;
        before.contains("Windows").then(|| (before.trim().to_owned(), inner.trim().to_owned()))
    };
    let (name, inner) = text.lines().find_map(bracketed).ok_or_else(|| InvalidVer::NoVersion {
        lines: text.lines().count(),
        start: text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    })?;
    let not_numbers = || InvalidVer::NotNumbers { found: inner.chars().take(40).collect() };
    let version = inner.rsplit(char::is_whitespace).next().unwrap_or_default();
    version_numbers(version).map(|numbers| windows(&name, numbers)).ok_or_else(not_numbers)
}

/// The numbers of a Windows version such as `10.0.26100` or `10.0.26100.4349`; `None` for anything else.
pub fn version_numbers(text: &str) -> Option<WindowsVersion> {
    let numbers = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
    match numbers[..] {
        [major, minor, build] => Some(WindowsVersion { major, minor, build, revision: None }),
        [major, minor, build, revision] => Some(WindowsVersion { major, minor, build, revision: Some(revision) }),
        _ => None,
    }
}

/// A Windows version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowsVersion {
    /// 10 since Windows 10.
    pub major: u32,
    /// 0 since Windows 10.
    pub minor: u32,
    /// The build, such as 26100.
    pub build: u32,
    /// The update build revision, such as 4349; `None` where not shown.
    pub revision: Option<u32>,
}

/// Windows of that name and version, and nothing else known about it.
pub fn windows(name: &str, version: WindowsVersion) -> OperatingSystem {
    let WindowsVersion { major, minor, build, revision } = version;
    OperatingSystem {
        family: OsFamily::Windows,
        name: Text::cut(name),
        version: Text::cut(&format!("{major}.{minor}.{build}")),
        build: Some(build),
        revision,
        edition: None,
        product_type: None,
        server_core: None,
        release: None,
        firmware: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_files() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n";
        let found = os_release(debian);
        assert_eq!(found.name.as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(found.version.as_deref(), Some("12"));
        assert_eq!(found.variant, None);
        let rolling = os_release("NAME='Arch \\\"Linux\\\"'\nBUILD_ID=rolling\nVERSION_ID=\n# VARIANT_ID=x\n");
        assert_eq!(rolling.name.as_deref(), Some("Arch \"Linux\""));
        assert_eq!(rolling.version.as_deref(), Some("rolling"));
        assert_eq!(rolling.variant, None);
        assert_eq!(os_release(""), OsRelease::default());
        assert_eq!(os_release("NAME=\"unclosed").name.as_deref(), Some("\"unclosed"));
    }

    #[test]
    fn ver_in_every_language() {
        for (text, build, revision) in [
            ("\r\nMicrosoft Windows [Version 10.0.26100.4349]\r\n", 26100, Some(4349)),
            ("Microsoft Windows [version 10.0.19045.5965]", 19045, Some(5965)),
            ("Microsoft Windows [Wersja 10.0.22631.3447]", 22631, Some(3447)),
            ("Microsoft Windows [版本 10.0.22631.3447]", 22631, Some(3447)),
            ("Microsoft Windows [10.0.14393.7336]", 14393, Some(7336)),
            ("Microsoft Windows [Version 6.3.9600]", 9600, None),
        ] {
            let found = windows_version(text).unwrap();
            assert_eq!((found.build, found.revision), (Some(build), revision), "{text}");
            assert_eq!(found.family, OsFamily::Windows);
            assert_eq!(found.name.as_str(), "Microsoft Windows");
        }
        assert_eq!(
            windows_version("Microsoft Windows [Version 10.0.26100.4349]").unwrap().version.as_str(),
            "10.0.26100"
        );
    }

    #[test]
    fn what_is_not_ver_is_named() {
        assert_eq!(
            windows_version("Linux box 6.1.0\n").unwrap_err().to_string(),
            "no line like `Microsoft Windows [Version 10.0.26100.4349]` in 1 lines (begins with `Linux box 6.1.0`)"
        );
        for text in
            ["Microsoft Windows [Version 10.0]", "Windows [Version 10.0.26100.x]", "Windows [Version 10.0.99999999999]"]
        {
            assert!(matches!(windows_version(text), Err(InvalidVer::NotNumbers { .. })), "{text}");
        }
        assert!(windows_version("").is_err());
    }

    #[test]
    fn nothing_makes_them_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "(NAME=|Windows ?|[\\[\\]\"'\\\\. ]|[0-9]{1,12}|\\PC|\\n){0,24}")| {
            let _ = os_release(&text);
            let _ = windows_version(&text);
        });
    }
}
