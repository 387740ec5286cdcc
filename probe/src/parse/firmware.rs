//! The kind of firmware a machine was started by: the environment variable `firmware_type`, or the line of `msinfo32`.

use muster_evidence::FirmwareType;

/// Says that a text does not name a kind of firmware.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no kind of firmware (expected `UEFI` or `Legacy`, as `echo %firmware_type%` prints, or the line `BIOS Mode` of msinfo32; begins with `{start}`)"
)]
pub struct InvalidFirmware {
    /// The beginning of the text.
    pub start: String,
}

/// Reads a text.
pub fn firmware_type(text: &str) -> Result<FirmwareType, InvalidFirmware> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.find_map(line).ok_or_else(|| InvalidFirmware {
        start: text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    })
}

fn line(line: &str) -> Option<FirmwareType> {
    let lower = line.to_ascii_lowercase();
    // `set firmware_type` prints the name as well; msinfo32 puts a tab between the two, its list two blanks and more.
    let value = lower
        .strip_prefix("firmware_type=")
        .or_else(|| lower.strip_prefix("bios mode").or_else(|| lower.strip_prefix("bios-modus")))
        .map_or(lower.as_str(), |value| value.trim_start_matches([':', ' ', '\t']));
    match value.trim() {
        "uefi" => Some(FirmwareType::Uefi),
        "legacy" | "bios" | "vorgängerversion" => Some(FirmwareType::Bios),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("UEFI\r\n", Some(FirmwareType::Uefi)),
            ("\r\nLegacy \r\n", Some(FirmwareType::Bios)),
            ("firmware_type=UEFI", Some(FirmwareType::Uefi)),
            (
                "System Information report\r\nBIOS Version/Date\tCorp 1.2, 3/2/2026\r\nBIOS Mode\tLegacy\r\n",
                Some(FirmwareType::Bios),
            ),
            ("BIOS-Modus\tUEFI", Some(FirmwareType::Uefi)),
            ("%firmware_type%", None),
            ("the firmware is UEFI", None),
            ("", None),
        ] {
            assert_eq!(firmware_type(text).ok(), expected, "{text}");
        }
        let error = firmware_type("%firmware_type%").unwrap_err().to_string();
        assert!(error.contains("begins with `%firmware_type%`"), "{error}");
    }
}
