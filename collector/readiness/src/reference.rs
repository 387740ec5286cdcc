//! What is known of builds, firmware and error codes: data that changes while the rules stay.
//!
//! Each table has a schema, a version and a source per row. Those built in are the files in `data/`; a policy that
//! carries a table of its own replaces it whole, so that new knowledge needs no new build, and every verdict names by its
//! policy's revision what it was judged by. Which table says what about a machine is the checks' business.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The schema of the tables that this build reads.
const SCHEMA: u32 = 1;

/// Most rows of a table.
const MOST_ROWS: usize = 500;

/// Longest text in a row, in bytes.
const LONGEST_TEXT: usize = 400;

/// Windows builds with a fault that matters to key trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBadBuilds {
    schema: u32,
    /// Which state of knowledge this is, such as a date.
    pub version: String,
    /// The faults.
    #[serde(rename = "row", default)]
    pub rows: Vec<KnownBadBuild>,
}

/// A fault of a build, over a range of its revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBadBuild {
    /// On which machines it matters.
    pub on: Machine,
    /// The product's name.
    pub product: String,
    /// The Windows build, such as 14393.
    pub build: u32,
    /// First update build revision (UBR) that has it.
    pub first: u32,
    /// Last one that has it.
    pub last: u32,
    /// What it does, as a sentence's predicate.
    pub effect: String,
    /// The update that mends it.
    pub fixed_by: String,
    /// What must be so beside the build for the fault to strike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Whether it blocks where it strikes.
    pub blocking: bool,
    /// The document that says so.
    pub source: String,
}

/// Sorts of machines that faults are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// A machine that people sign in to.
    Client,
    /// A domain controller.
    DomainController,
}

/// What a fault depends on beside the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The domain controller enforces the NTAuth check (an effective `AllowNtAuthPolicyBypass` of 2).
    NtAuthEnforced,
    /// Hello is set per user.
    UserScopePolicy,
}

impl KnownBadBuilds {
    /// The faults of a build and revision on a sort of machine.
    pub fn of(&self, on: Machine, build: u32, revision: u32) -> impl Iterator<Item = &KnownBadBuild> {
        self.of_build(on, build).filter(move |row| (row.first..=row.last).contains(&revision))
    }

    /// The faults that some revision of a build has.
    pub fn of_build(&self, on: Machine, build: u32) -> impl Iterator<Item = &KnownBadBuild> {
        self.rows.iter().filter(move |row| row.on == on && row.build == build)
    }
}

/// TPM firmware whose RSA keys can be factored (ROCA, CVE-2017-15361).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RocaFirmware {
    schema: u32,
    /// Which state of knowledge this is, such as a date.
    pub version: String,
    /// The ranges.
    #[serde(rename = "row", default)]
    pub rows: Vec<RocaRange>,
}

/// A range of minor versions within one major version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RocaRange {
    /// The manufacturer's vendor id, such as `IFX`.
    pub manufacturer: String,
    /// The major version.
    pub major: u32,
    /// First minor version that is affected.
    pub first: u32,
    /// Last one that is.
    pub last: u32,
    /// The document that says so.
    pub source: String,
}

impl RocaFirmware {
    /// The row that holds for a firmware; `None` where it is not affected.
    pub fn affects(&self, manufacturer: &str, major: u32, minor: u32) -> Option<&RocaRange> {
        self.of(manufacturer).find(|row| row.major == major && (row.first..=row.last).contains(&minor))
    }

    /// Whether firmware of a manufacturer can be affected at all.
    pub fn knows(&self, manufacturer: &str) -> bool {
        self.of(manufacturer).next().is_some()
    }

    fn of(&self, manufacturer: &str) -> impl Iterator<Item = &RocaRange> {
        // Vendor ids are four characters, filled up with blanks or zeros.
        let manufacturer = manufacturer.trim_matches(['\0', ' ']);
        self.rows.iter().filter(move |row| row.manufacturer.eq_ignore_ascii_case(manufacturer))
    }
}

/// What error codes of registration, provisioning and tokens mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCodes {
    schema: u32,
    /// Which state of knowledge this is, such as a date.
    pub version: String,
    /// The codes.
    #[serde(rename = "row", default)]
    pub rows: Vec<ErrorCode>,
}

/// An error code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCode {
    /// The code.
    pub code: u32,
    /// What it means.
    pub means: String,
    /// What to do.
    pub remedy: String,
    /// The document that says so.
    pub source: String,
}

impl ErrorCodes {
    /// What a code means; `None` where nobody wrote it down.
    pub fn find(&self, code: u32) -> Option<&ErrorCode> {
        self.rows.iter().find(|row| row.code == code)
    }

    /// The same for a code as a text shows it, such as `0x801c03f2`; `None` too where it is none.
    pub fn find_text(&self, text: &str) -> Option<&ErrorCode> {
        let digits = text.trim().trim_matches(['(', ')', '[', ']']);
        let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
        self.find(u32::from_str_radix(digits, 16).ok()?)
    }
}

/// The tables in force.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// Builds with a fault.
    pub known_bad_builds: &'a KnownBadBuilds,
    /// Firmware whose keys can be factored.
    pub roca_firmware: &'a RocaFirmware,
    /// Error codes.
    pub error_codes: &'a ErrorCodes,
}

/// The files with what is built in, by the name of their table. Each is a part of a policy.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("known_bad_builds", include_str!("../data/known-bad-builds.toml")),
    ("roca_firmware", include_str!("../data/roca-firmware.toml")),
    ("error_codes", include_str!("../data/error-codes.toml")),
];

/// What is built in, read once.
#[derive(Debug, Deserialize)]
struct Tables {
    known_bad_builds: KnownBadBuilds,
    roca_firmware: RocaFirmware,
    error_codes: ErrorCodes,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let text = BUILT_IN.map(|(_, text)| text).concat();
    toml::from_str(&text).expect("the built-in tables are read by a test")
});

impl<'a> Reference<'a> {
    /// The given tables, and what is built in where there is none.
    pub(crate) fn new(
        known_bad_builds: Option<&'a KnownBadBuilds>,
        roca_firmware: Option<&'a RocaFirmware>,
        error_codes: Option<&'a ErrorCodes>,
    ) -> Self {
        let tables = &*TABLES;
        Self {
            known_bad_builds: known_bad_builds.unwrap_or(&tables.known_bad_builds),
            roca_firmware: roca_firmware.unwrap_or(&tables.roca_firmware),
            error_codes: error_codes.unwrap_or(&tables.error_codes),
        }
    }

    /// Everything that is wrong with the tables, in words that name the row.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut table = |name, schema: u32, rows: usize| {
            if schema != SCHEMA {
                found.push((name, format!("schema {schema} (this build reads {SCHEMA})")));
            }
            if rows > MOST_ROWS {
                found.push((name, format!("{rows} rows (at most {MOST_ROWS} are allowed)")));
            }
        };
        let Self { known_bad_builds, roca_firmware, error_codes } = self;
        table("known_bad_builds", known_bad_builds.schema, known_bad_builds.rows.len());
        table("roca_firmware", roca_firmware.schema, roca_firmware.rows.len());
        table("error_codes", error_codes.schema, error_codes.rows.len());
        let mut rows = Vec::new();
        let mut row = |name, number: usize, first: u32, last: u32, texts: &[&str]| {
            let found = &mut rows;
            if first > last {
                found.push((name, format!("row {number}: `first` ({first}) is above `last` ({last})")));
            }
            if texts.iter().any(|text| text.is_empty() || text.len() > LONGEST_TEXT) {
                found.push((name, format!("row {number}: a text is empty or has more than {LONGEST_TEXT} bytes")));
            }
        };
        for (at, own) in known_bad_builds.rows.iter().enumerate() {
            let KnownBadBuild { product, effect, fixed_by, source, .. } = own;
            row("known_bad_builds", at + 1, own.first, own.last, &[product, effect, fixed_by, source]);
        }
        for (at, own) in roca_firmware.rows.iter().enumerate() {
            row("roca_firmware", at + 1, own.first, own.last, &[&own.manufacturer, &own.source]);
        }
        for (at, own) in error_codes.rows.iter().enumerate() {
            row("error_codes", at + 1, 0, 0, &[&own.means, &own.remedy, &own.source]);
            if error_codes.rows[..at].iter().any(|earlier| earlier.code == own.code) {
                found.push(("error_codes", format!("row {}: code {:#010x} is there twice", at + 1, own.code)));
            }
        }
        found.extend(rows);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn what_is_built_in_can_be_read_and_is_sound() {
        let policy = Policy::default();
        let reference = policy.reference();
        assert_eq!(reference.problems(), []);
        assert_eq!(reference.known_bad_builds.rows.len(), 8);
        assert_eq!(reference.roca_firmware.rows.len(), 6);
        for (name, text) in BUILT_IN {
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table.keys().collect::<Vec<_>>(), [name], "a file is one part of a policy");
            assert!(toml::from_str::<Policy>(text).is_ok(), "{name}");
        }
    }

    #[test]
    fn revisions_are_compared_within_their_build_and_both_ends_count() {
        let policy = Policy::default();
        let builds = policy.reference().known_bad_builds;
        let found = |on, build, revision| builds.of(on, build, revision).count();
        for (build, first, last) in [(14_393, 3_930, 4_048), (17_763, 1_457, 1_613), (20_348, 3_453, 3_806)] {
            let counts = [first - 1, first, last, last + 1].map(|ubr| found(Machine::DomainController, build, ubr));
            assert_eq!(counts, [0, 1, 1, 0], "{build}");
        }
        assert_eq!(found(Machine::Client, 14_393, 4_000), 0, "a fault of servers");
        assert_eq!(found(Machine::DomainController, 14_394, 4_000), 0);
    }

    #[test]
    fn firmware_is_compared_within_its_major_version() {
        let policy = Policy::default();
        let roca = policy.reference().roca_firmware;
        for ((major, minor), affected) in [
            ((4, 33), true),
            ((4, 34), false),
            ((4, 39), false),
            ((4, 40), true),
            ((4, 43), false),
            ((7, 61), true),
            ((7, 62), false),
            ((8, 0), false),
            ((133, 32), true),
            ((133, 33), false),
        ] {
            assert_eq!(roca.affects("IFX", major, minor).is_some(), affected, "{major}.{minor}");
        }
        assert!(roca.affects("IFX\0", 7, 61).is_some() && roca.affects("INTC", 7, 61).is_none());
        assert!(roca.knows("ifx ") && !roca.knows("STM"));
    }

    #[test]
    fn codes_are_found_as_texts_show_them() {
        let policy = Policy::default();
        let codes = policy.reference().error_codes;
        for text in ["0x801c03f2", "0x801C03F2", " (0x801c03f2)"] {
            assert_eq!(codes.find_text(text).map(|row| row.code), Some(0x801c_03f2), "{text}");
        }
        for text in ["801c03f2", "0x", "0x1", "", "DirectoryError"] {
            assert_eq!(codes.find_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_policy_replaces_a_table_whole_and_a_bad_one_is_refused() {
        let text = "[roca_firmware]\nschema = 1\nversion = \"own\"\n\
                    [[roca_firmware.row]]\nmanufacturer = \"XYZ\"\nmajor = 1\nfirst = 0\nlast = 9\nsource = \"own\"\n";
        let policy: Policy = toml::from_str(text).unwrap();
        assert_eq!(policy.validate(), []);
        let reference = policy.reference();
        assert!(reference.roca_firmware.knows("XYZ") && !reference.roca_firmware.knows("IFX"));
        assert_eq!(reference.error_codes.version, Policy::default().reference().error_codes.version);
        for (from, to, problem) in [
            ("schema = 1", "schema = 2", "`roca_firmware`: schema 2 (this build reads 1)"),
            ("first = 0", "first = 10", "`roca_firmware`: row 1: `first` (10) is above `last` (9)"),
            ("source = \"own\"", "source = \"\"", "`roca_firmware`: row 1: a text is empty or has more than 400 bytes"),
        ] {
            let policy: Policy = toml::from_str(&text.replace(from, to)).unwrap();
            assert_eq!(policy.validate().iter().map(ToString::to_string).collect::<Vec<_>>(), [problem]);
        }
        assert!(toml::from_str::<Policy>(&text.replace("major", "mayor")).is_err());
    }
}
