//! What a TPM says of itself in lists of properties: `tpm2_getcap` on Linux; `Get-Tpm`, `Win32_Tpm` with its method
//! `IsReadyInformation`, and `Get-TpmSupportedFeature` on Windows. What `tpmtool` prints has a parser of its own.
//!
//! No one of these tells everything, so a file may hold several, one after another.

use muster_evidence::{Text, Tpm, TpmLockout, TpmReadiness, TpmVersion};

use super::object::{self, Record, whole};
use crate::source::tpm::parse::{fips, firmware, in_lockout, vendor};

/// Says that a text does not describe a TPM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTpm {
    /// Nothing in it is known.
    #[error(
        "no TPM properties (expected what `tpm2_getcap properties-fixed`, `Get-Tpm` or `Get-CimInstance Win32_Tpm` prints; begins with `{start}`)"
    )]
    NoProperties {
        /// The beginning of the text.
        start: String,
    },
    /// Nothing in it says which specification the TPM follows.
    #[error(
        "nothing tells the version of the TPM (expected `SpecVersion` of `Win32_Tpm` beside `Get-Tpm`; found {found})"
    )]
    NoVersion {
        /// What there is instead.
        found: String,
    },
}

/// Reads a text; `None` where it says that there is no TPM.
pub fn tpm_properties(text: &str) -> Result<Option<Tpm>, InvalidTpm> {
    if text.contains("TPM2_PT_") || text.contains("TPM_PT_") {
        return capabilities(text).map(Some);
    }
    windows(text)
}

/// `tpm2_getcap`: a name at the beginning of a line, then its value on it or below it.
fn capabilities(text: &str) -> Result<Tpm, InvalidTpm> {
    let number = |name: &str| property(text, name);
    let family = number("FAMILY_INDICATOR");
    let known = ["FAMILY_INDICATOR", "MANUFACTURER", "LOCKOUT_COUNTER", "MAX_AUTH_FAIL", "PERMANENT"];
    if !known.iter().any(|name| number(name).is_some() || attribute(text, name, "inLockout").is_some()) {
        return Err(InvalidTpm::NoProperties { start: object::start_of(text) });
    }
    // The tool talks to TPM 2.0 only; whatever else the family says is not understood.
    if let Some(family) = family.filter(|family| family.to_be_bytes() != *b"2.0\0") {
        return Err(InvalidTpm::NoVersion { found: format!("the family indicator 0x{family:08X}") });
    }
    let in_lockout = attribute(text, "PERMANENT", "inLockout").or_else(|| number("PERMANENT").map(in_lockout));
    let lockout = match (in_lockout, number("MAX_AUTH_FAIL"), number("LOCKOUT_INTERVAL")) {
        (Some(locked), Some(max_failures), Some(recovery_seconds)) => {
            Some(TpmLockout { locked, max_failures, recovery_seconds, failures: number("LOCKOUT_COUNTER") })
        }
        _ => None,
    };
    Ok(Tpm {
        manufacturer: number("MANUFACTURER").map(|id| vendor(id.to_be_bytes())),
        firmware: number("FIRMWARE_VERSION_1").map(|first| firmware(first, number("FIRMWARE_VERSION_2").unwrap_or(0))),
        lockout,
        fips_mode: number("MODES").map(fips),
        ..bare(TpmVersion::V2_0)
    })
}

/// The lines of a property: its own behind the colon, and those that are indented below it.
fn block<'t>(text: &'t str, name: &str) -> Option<impl Iterator<Item = &'t str>> {
    let mut lines = text.lines();
    let own = lines.by_ref().find_map(|line| {
        let line = line.trim_end();
        let line = line.strip_prefix("TPM2_PT_").or_else(|| line.strip_prefix("TPM_PT_"))?;
        line.strip_prefix(name)?.trim_start().strip_prefix(':')
    })?;
    Some(std::iter::once(own.trim()).chain(lines.take_while(|line| line.starts_with([' ', '\t'])).map(str::trim)))
}

/// The number of a property: `raw: 0x…`, `as UINT32: 0x…` in old releases, or behind the name.
fn property(text: &str, name: &str) -> Option<u32> {
    block(text, name)?.find_map(|line| match line.split_once(':') {
        Some(("raw" | "as UINT32", value)) => whole(value),
        Some(_) => None,
        None => whole(line),
    })
}

/// A bit of a property that is shown by its name: `inLockout: 0`.
fn attribute(text: &str, name: &str, wanted: &str) -> Option<bool> {
    block(text, name)?.find_map(|line| match line.split_once(':') {
        Some((key, value)) if key.trim() == wanted => match value.trim() {
            "0" | "clear" => Some(false),
            "1" | "set" => Some(true),
            _ => None,
        },
        _ => None,
    })
}

/// The lists of Windows.
fn windows(text: &str) -> Result<Option<Tpm>, InvalidTpm> {
    let records = object::records(text);
    let marks = ["TpmPresent", "TpmReady", "SpecVersion", "ManufacturerIdTxt", "IsReady", "ManufacturerVersionFull20"];
    if !records.iter().any(|record| marks.iter().any(|mark| object::get(record, mark).is_some())) {
        return Err(InvalidTpm::NoProperties { start: object::start_of(text) });
    }
    let find = |read: &dyn Fn(&Record) -> Option<String>| records.iter().find_map(read);
    let text_of = |name: &'static str| find(&|record| object::text(record, name));
    let flag = |name: &'static str| records.iter().find_map(|record| object::flag(record, name));
    let number = |name: &'static str| records.iter().find_map(|record| object::number(record, name));
    if flag("TpmPresent") == Some(false) {
        return Ok(None);
    }
    // `Get-Tpm` has no version, but only a 2.0 has this one: a 1.2 answers `Not Supported` in its place.
    let full = text_of("ManufacturerVersionFull20").filter(|full| full.starts_with(|c: char| c.is_ascii_digit()));
    let spec = text_of("SpecVersion");
    let version = match spec.as_deref().map(|spec| spec.split(',').next().unwrap_or_default().trim()) {
        Some("2.0") => TpmVersion::V2_0,
        Some("1.2") => TpmVersion::V1_2,
        Some(other) => {
            return Err(InvalidTpm::NoVersion { found: format!("`{}`", other.chars().take(40).collect::<String>()) });
        }
        None if full.is_some() => TpmVersion::V2_0,
        None => return Err(InvalidTpm::NoVersion { found: "nothing like it".to_owned() }),
    };
    let manufacturer = text_of("ManufacturerIdTxt")
        .map(|id| Text::cut(&id))
        .or_else(|| number("ManufacturerId").filter(|id| *id != 0).map(|id| vendor(id.to_be_bytes())));
    let recovery = text_of("LockoutHealTime").and_then(|time| heal_seconds(&time));
    let lockout = match (flag("LockedOut"), number("LockoutMax"), recovery) {
        (Some(locked), Some(max_failures), Some(recovery_seconds)) => {
            Some(TpmLockout { locked, max_failures, recovery_seconds, failures: number("LockoutCount") })
        }
        _ => None,
    };
    // `IsReadyInformation` says what is missing; `TpmReady` only whether something is.
    let readiness = flag("IsReady")
        .map(|ready| TpmReadiness { ready, missing: number("Information") })
        .or_else(|| flag("TpmReady").map(|ready| TpmReadiness { ready, missing: None }));
    Ok(Some(Tpm {
        manufacturer,
        firmware: full.or_else(|| text_of("ManufacturerVersion")).as_deref().map(Text::cut),
        lockout,
        readiness,
        ..bare(version)
    }))
}

/// A TPM of which only the version is known.
const fn bare(version: TpmVersion) -> Tpm {
    Tpm {
        version,
        manufacturer: None,
        firmware: None,
        lockout: None,
        ek_certificates: None,
        fips_mode: None,
        readiness: None,
        endorsement_key: None,
    }
}

/// `10 minutes`, `2 hours`.
fn heal_seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit.trim().trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: &str = "TPM2_PT_FAMILY_INDICATOR:\n  raw: 0x322E3000\n  value: \"2.0\"\nTPM2_PT_LEVEL:\n  raw: 0\n\
        TPM2_PT_MANUFACTURER:\n  raw: 0x49465800\n  value: \"IFX\"\nTPM2_PT_VENDOR_STRING_1:\n  raw: 0x534C4239\n\
        TPM2_PT_FIRMWARE_VERSION_1:\n  raw: 0x7003F\nTPM2_PT_FIRMWARE_VERSION_2:\n  raw: 0xD1900\n\
        TPM2_PT_MODES:\n  raw: 0x1\n  value: TPMA_MODES_FIPS_140_2\n";
    const VARIABLE: &str = "TPM2_PT_PERMANENT:\n  ownerAuthSet:              0\n  inLockout:                 1\n\
        TPM2_PT_LOCKOUT_COUNTER: 0x3\nTPM2_PT_MAX_AUTH_FAIL: 0x20\nTPM2_PT_LOCKOUT_INTERVAL: 0x1C20\nTPM2_PT_LOCKOUT_RECOVERY: 0x15180\n";

    fn lockout(locked: bool, recovery_seconds: u32, failures: u32) -> TpmLockout {
        TpmLockout { locked, max_failures: 32, recovery_seconds, failures: Some(failures) }
    }

    #[test]
    fn capabilities_of_linux() {
        let tpm = tpm_properties(&format!("{FIXED}{VARIABLE}")).unwrap().unwrap();
        assert_eq!(
            tpm,
            Tpm {
                manufacturer: Some(Text::cut("IFX")),
                firmware: Some(Text::cut("7.63.13.6400")),
                lockout: Some(lockout(true, 7200, 3)),
                fips_mode: Some(true),
                ..bare(TpmVersion::V2_0)
            }
        );
        let fixed = tpm_properties(FIXED).unwrap().unwrap();
        assert_eq!((fixed.lockout, fixed.manufacturer.unwrap().as_str()), (None, "IFX"));
        assert_eq!(tpm_properties(VARIABLE).unwrap().unwrap().lockout, Some(lockout(true, 7200, 3)));
        let old = "TPM_PT_FAMILY_INDICATOR:\n  as UINT32:                0x322e3000\n  as string:                \"2.0\"\n\
            TPM_PT_MANUFACTURER:\n  as UINT32:                0x494e5443\n";
        assert_eq!(tpm_properties(old).unwrap().unwrap().manufacturer.unwrap().as_str(), "INTC");
    }

    const GET_TPM: &str = "\nTpmPresent                : True\nTpmReady                  : True\nManufacturerId            : 1229346816\n\
        ManufacturerIdTxt         : IFX\nManufacturerVersion       : 7.63\nManufacturerVersionFull20 : 7.63.3353.0\n\
        OwnerAuth                 : \nLockedOut                 : False\nLockoutHealTime           : 10 minutes\n\
        LockoutCount              : 0\nLockoutMax                : 32\nSelfTest                  : {}\n";
    const CIM: &str = "\nIsActivated_InitialValue    : True\nManufacturerId              : 1398033696\nManufacturerVersion         : 5.81\n\
        SpecVersion                 : 1.2, 2, 3\nPSComputerName              :\n";
    const READY: &str = "\nInformation    : 262144\nIsReady        : False\nReturnValue    : 0\nPSComputerName :\n";

    #[test]
    fn lists_of_windows() {
        let tpm = tpm_properties(GET_TPM).unwrap().unwrap();
        assert_eq!(
            tpm,
            Tpm {
                manufacturer: Some(Text::cut("IFX")),
                firmware: Some(Text::cut("7.63.3353.0")),
                lockout: Some(lockout(false, 600, 0)),
                readiness: Some(TpmReadiness { ready: true, missing: None }),
                ..bare(TpmVersion::V2_0)
            }
        );
        let old = tpm_properties(&format!("{CIM}{READY}")).unwrap().unwrap();
        assert_eq!(
            old,
            Tpm {
                manufacturer: Some(Text::cut("STM")),
                firmware: Some(Text::cut("5.81")),
                readiness: Some(TpmReadiness { ready: false, missing: Some(0x40000) }),
                ..bare(TpmVersion::V1_2)
            }
        );
        let both = tpm_properties(&format!("{GET_TPM}{READY}")).unwrap().unwrap();
        assert_eq!(both.readiness, Some(TpmReadiness { ready: false, missing: Some(0x40000) }), "the more exact one");
        let json =
            "{\"TpmPresent\":true,\"TpmReady\":false,\"ManufacturerId\":1229346816,\"SpecVersion\":\"2.0, 0, 1.38\"}";
        let tpm = tpm_properties(json).unwrap().unwrap();
        assert_eq!((tpm.version, tpm.readiness.unwrap().ready), (TpmVersion::V2_0, false));
        assert_eq!(tpm_properties("TpmPresent : False\nTpmReady : False\n"), Ok(None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text: &str| tpm_properties(text).unwrap_err().to_string();
        assert!(error("Get-Tpm : Administrator privilege is required").starts_with("no TPM properties"));
        assert!(error("TPM2_PT_LEVEL:\n  raw: 0\n").starts_with("no TPM properties"));
        assert!(error("TpmPresent : True\nTpmReady : True\n").starts_with("nothing tells the version"));
        assert!(error(&GET_TPM.replace("7.63.3353.0", "Not Supported")).starts_with("nothing tells the version"));
        assert!(error(&CIM.replace("1.2,", "3.0,")).contains("found `3.0`"));
        assert!(error(&FIXED.replace("322E3000", "312E3200")).contains("0x312E3200"));
    }

    #[test]
    fn nothing_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(64), |(text in r"((TPM2?_PT_[A-Z_]{0,12}|TpmPresent|SpecVersion|LockoutHealTime|  raw|Information) ?: ?\PC{0,10}\n){0,12}")| {
            let _ = tpm_properties(&text);
        });
    }
}
