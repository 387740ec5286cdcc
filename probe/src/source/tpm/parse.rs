//! Bytes and texts that tell of a TPM: raw command answers, property words, and what `tpmtool` prints.

pub mod endorsement;

use muster_evidence::{Text, Tpm, TpmLockout, TpmVersion};

/// TPM2_GetCapability for the family indicator (TPM 2.0 Library, Part 3, section 30.2): tag without sessions, size,
/// command code, TPM_CAP_TPM_PROPERTIES, TPM_PT_FAMILY_INDICATOR, one property.
pub const GET_FAMILY_2_0: [u8; 22] = [0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7A, 0, 0, 0, 6, 0, 0, 0x01, 0, 0, 0, 0, 1];

/// TPM_GetCapability of a TPM 1.2 for its version information (TPM Main Part 3, section 7.1): tag, size, ordinal,
/// TPM_CAP_VERSION_VAL, no further selection.
pub const GET_VERSION_1_2: [u8; 18] = [0x00, 0xC1, 0, 0, 0, 18, 0, 0, 0, 0x65, 0, 0, 0, 0x1A, 0, 0, 0, 0];

/// Bytes of a response header: tag, size, return code.
pub const HEADER_BYTES: usize = 10;

/// Largest response read, in bytes. TPMs answer with at most 4,096.
pub const MAX_RESPONSE_BYTES: usize = 4096;

/// Why bytes are not the answer of a TPM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResponse {
    /// Fewer bytes than the header, or than the header announces.
    #[error("TPM response has {found} bytes (expected {expected})")]
    Short {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The header announces more than any TPM answers, or less than a header.
    #[error("TPM response announces {found} bytes (expected {HEADER_BYTES} to {MAX_RESPONSE_BYTES})")]
    Size {
        /// Size found.
        found: u32,
    },
    /// The tag belongs to neither family.
    #[error("TPM response has the tag 0x{found:04X} (expected 0x8001 of a TPM 2.0 or 0x00C4 of a TPM 1.2)")]
    Tag {
        /// Tag found.
        found: u16,
    },
    /// A TPM 1.2 refused the command.
    #[error("TPM 1.2 answered with the code 0x{found:X}")]
    Code {
        /// Return code found.
        found: u32,
    },
}

/// The size that a response header announces, within the bounds.
pub fn response_bytes(header: [u8; HEADER_BYTES]) -> Result<usize, InvalidResponse> {
    let found = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
    usize::try_from(found)
        .ok()
        .filter(|size| (HEADER_BYTES..=MAX_RESPONSE_BYTES).contains(size))
        .ok_or(InvalidResponse::Size { found })
}

/// Tells the family from the answer to [`GET_FAMILY_2_0`]. The tag decides and not the return code, since a TPM 2.0
/// that is not started up yet answers with an error and is a TPM 2.0 all the same.
pub fn family(response: &[u8]) -> Result<TpmVersion, InvalidResponse> {
    let (tag, _code, _body) = split(response)?;
    match tag {
        0x8001 => Ok(TpmVersion::V2_0),
        0x00C4 => Ok(TpmVersion::V1_2),
        found => Err(InvalidResponse::Tag { found }),
    }
}

/// Manufacturer and firmware from the answer to [`GET_VERSION_1_2`], a TPM_CAP_VERSION_INFO (TPM Main Part 2, section
/// 21.6): tag, major, minor, revision major and minor, specification level, errata, vendor id.
pub fn version_info_1_2(response: &[u8]) -> Result<(Text, Text), InvalidResponse> {
    const INFO_BYTES: usize = 4 + 2 + 4 + 2 + 1 + 4;
    let (tag, code, body) = split(response)?;
    if tag != 0x00C4 {
        return Err(InvalidResponse::Tag { found: tag });
    }
    if code != 0 {
        return Err(InvalidResponse::Code { found: code });
    }
    let Some(info) = body.first_chunk::<INFO_BYTES>() else {
        return Err(InvalidResponse::Short { found: response.len(), expected: HEADER_BYTES + INFO_BYTES });
    };
    let firmware = format!("{}.{}", info[8], info[9]);
    Ok((vendor([info[13], info[14], info[15], info[16]]), Text::cut(&firmware)))
}

fn split(response: &[u8]) -> Result<(u16, u32, &[u8]), InvalidResponse> {
    let short = |expected| InvalidResponse::Short { found: response.len(), expected };
    let (header, _) = response.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| short(HEADER_BYTES))?;
    let size = response_bytes(*header)?;
    let body = response.get(HEADER_BYTES..size).ok_or_else(|| short(size))?;
    let tag = u16::from_be_bytes([header[0], header[1]]);
    Ok((tag, u32::from_be_bytes([header[6], header[7], header[8], header[9]]), body))
}

/// A vendor id of four characters, such as `IFX` or `INTC`, as TPM_PT_MANUFACTURER and TPM 1.2 carry it.
pub fn vendor(id: [u8; 4]) -> Text {
    let text: String = id.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    Text::cut(&text)
}

/// The firmware version as Windows writes it, four numbers from TPM_PT_FIRMWARE_VERSION_1 and _2.
pub fn firmware(version_1: u32, version_2: u32) -> Text {
    let (high, low) = (|word: u32| word >> 16, |word: u32| word & 0xFFFF);
    Text::cut(&format!("{}.{}.{}.{}", high(version_1), low(version_1), high(version_2), low(version_2)))
}

/// Whether TPM_PT_PERMANENT says `inLockout` (TPMA_PERMANENT bit 9; TPM 2.0 Library, Part 2, section 8.6).
pub const fn in_lockout(permanent: u32) -> bool {
    permanent & (1 << 9) != 0
}

/// Whether TPM_PT_MODES says `FIPS_140_2` (TPMA_MODES bit 0; TPM 2.0 Library, Part 2, section 8.9).
pub const fn fips(modes: u32) -> bool {
    modes & 1 != 0
}

/// Says that a text is not what `tpmtool getdeviceinformation` prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTpmtool {
    /// The line that says whether there is a TPM is missing.
    #[error("no line `-TPM Present: True` or `-TPM Present: False` (begins with `{start}`)")]
    NoPresence {
        /// The beginning of the text.
        start: String,
    },
    /// A TPM is present and its version is missing or unknown.
    #[error("`-TPM Version` is `{found}` (expected `2.0` or `1.2`)")]
    Version {
        /// The value found; empty without the line.
        found: String,
    },
}

/// Reads what `tpmtool getdeviceinformation` prints; `None` when it says that there is no TPM. Lines that are not known
/// are passed over: the tool prints more of them with every release.
pub fn tpmtool(text: &str) -> Result<Option<Tpm>, InvalidTpmtool> {
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.trim().trim_start_matches('-').split_once(':')?;
            key.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let flag = |wanted: &str| match value(wanted)?.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    // Durations carry a unit: `600s`.
    let number = |wanted: &str| {
        let value = value(wanted)?;
        value.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
    };
    match flag("TPM Present") {
        Some(true) => {}
        Some(false) => return Ok(None),
        None => {
            let start = text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
            return Err(InvalidTpmtool::NoPresence { start });
        }
    }
    let version = match value("TPM Version").unwrap_or_default() {
        "2.0" => TpmVersion::V2_0,
        "1.2" => TpmVersion::V1_2,
        other => return Err(InvalidTpmtool::Version { found: other.chars().take(40).collect() }),
    };
    let text_of = |wanted| value(wanted).filter(|value| !value.is_empty()).map(Text::cut);
    let lockout = match (flag("Is Locked Out"), number("Max Auth Fail"), number("Lockout Interval")) {
        (Some(locked), Some(max_failures), Some(recovery_seconds)) => {
            let failures = number("Lockout Counter");
            Some(TpmLockout { locked, max_failures, recovery_seconds, failures })
        }
        _ => None,
    };
    Ok(Some(Tpm {
        version,
        manufacturer: text_of("TPM Manufacturer ID"),
        firmware: text_of("TPM Manufacturer Version"),
        lockout,
        ek_certificates: None,
        fips_mode: None,
        endorsement_key: None,
        readiness: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = tag.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(HEADER_BYTES + body.len()).unwrap().to_be_bytes());
        bytes.extend(code.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn the_tag_tells_the_family() {
        assert_eq!(family(&response(0x8001, 0, &[0; 17])), Ok(TpmVersion::V2_0));
        assert_eq!(family(&response(0x8001, 0x100, &[])), Ok(TpmVersion::V2_0), "not started up, and still a 2.0");
        assert_eq!(family(&response(0x00C4, 0x0A, &[])), Ok(TpmVersion::V1_2));
        assert_eq!(
            family(&response(0x1234, 0, &[])).unwrap_err().to_string(),
            "TPM response has the tag 0x1234 (expected 0x8001 of a TPM 2.0 or 0x00C4 of a TPM 1.2)"
        );
    }

    #[test]
    fn broken_answers_are_refused() {
        let mut cut = response(0x8001, 0, &[0; 17]);
        cut.truncate(20);
        assert_eq!(family(&cut), Err(InvalidResponse::Short { found: 20, expected: 27 }));
        assert_eq!(family(&[0x80]), Err(InvalidResponse::Short { found: 1, expected: 10 }));
        let huge = [0x80, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
        assert_eq!(family(&huge), Err(InvalidResponse::Size { found: u32::MAX }));
        let tiny = [0x80, 0x01, 0, 0, 0, 3, 0, 0, 0, 0];
        assert_eq!(family(&tiny), Err(InvalidResponse::Size { found: 3 }));
    }

    #[test]
    fn version_information_of_a_1_2() {
        let body = [0, 0, 0, 15, 0x00, 0x30, 1, 2, 3, 17, 0, 2, 3, b'I', b'F', b'X', 0, 0, 0];
        let (manufacturer, firmware) = version_info_1_2(&response(0x00C4, 0, &body)).unwrap();
        assert_eq!((manufacturer.as_str(), firmware.as_str()), ("IFX", "3.17"));
        assert_eq!(version_info_1_2(&response(0x00C4, 0x26, &[])), Err(InvalidResponse::Code { found: 0x26 }));
        assert_eq!(
            version_info_1_2(&response(0x00C4, 0, &body[..16])),
            Err(InvalidResponse::Short { found: 26, expected: 27 })
        );
    }

    #[test]
    fn property_words() {
        assert_eq!(vendor(*b"INTC").as_str(), "INTC");
        assert_eq!(vendor(*b"IFX\0").as_str(), "IFX");
        assert_eq!(firmware(0x0007_003F, 0x000D_1900).as_str(), "7.63.13.6400");
        assert!(in_lockout(0x0200) && !in_lockout(0x0100));
        assert!(fips(1) && !fips(2));
    }

    const INTEL: &str = "\r\n-TPM Present: True\r\n-TPM Version: 2.0\r\n-TPM Manufacturer ID: INTC\r\n\
        -TPM Manufacturer Full Name: Intel\r\n-TPM Manufacturer Version: 600.18.27.0\r\n-PPI Version: 1.3\r\n\
        -Is Initialized: True\r\n-Ready For Storage: True\r\n-TPM Has Vulnerable Firmware: False\r\n\
        -Lockout Information:\r\n\t-Is Locked Out: False\r\n\t-Lockout Counter: 3\r\n\t-Max Auth Fail: 32\r\n\
        \t-Lockout Interval: 600s\r\n\t-Lockout Recovery: 86400s\r\n-Something New: 7\r\n";

    #[test]
    fn tpmtool_texts() {
        let tpm = tpmtool(INTEL).unwrap().unwrap();
        assert_eq!(
            tpm,
            Tpm {
                version: TpmVersion::V2_0,
                manufacturer: Some(Text::cut("INTC")),
                firmware: Some(Text::cut("600.18.27.0")),
                lockout: Some(TpmLockout { locked: false, max_failures: 32, recovery_seconds: 600, failures: Some(3) }),
                ek_certificates: None,
                fips_mode: None,
                endorsement_key: None,
                readiness: None,
            }
        );
        let old = tpmtool("-TPM Present: True\n-TPM Version: 1.2\n-TPM Manufacturer ID: STM\n").unwrap().unwrap();
        assert_eq!((old.version, old.lockout), (TpmVersion::V1_2, None));
        assert_eq!(tpmtool("-TPM Present: False\n"), Ok(None));
    }

    #[test]
    fn what_is_not_tpmtool_is_named() {
        assert_eq!(
            tpmtool("Access is denied.").unwrap_err().to_string(),
            "no line `-TPM Present: True` or `-TPM Present: False` (begins with `Access is denied.`)"
        );
        assert_eq!(tpmtool("-TPM Present: True").unwrap_err(), InvalidTpmtool::Version { found: String::new() });
        assert_eq!(
            tpmtool("-TPM Present: True\n-TPM Version: 3.0").unwrap_err().to_string(),
            "`-TPM Version` is `3.0` (expected `2.0` or `1.2`)"
        );
    }

    #[test]
    fn nothing_makes_them_panic() {
        use proptest::prelude::*;
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "(-?TPM (Present|Version): ?.{0,8}\\n?)*")| {
            let _ = family(&bytes);
            let _ = version_info_1_2(&bytes);
            let _ = version_info_1_2(&response(0x00C4, 0, &bytes));
            let _ = tpmtool(&text);
        });
    }
}
