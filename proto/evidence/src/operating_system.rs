//! The operating system and its build.

use serde::{Deserialize, Serialize};

use crate::Text;

/// An operating system, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingSystem {
    /// The family, on which the rules depend.
    pub family: OsFamily,
    /// The name people know, such as `Windows 11 Enterprise` or `Debian GNU/Linux`.
    pub name: Text,
    /// The version as the system writes it, such as `10.0.26100` or `12`.
    pub version: Text,
    /// The Windows build, such as 26100; `None` on other systems or where it was not readable.
    pub build: Option<u32>,
    /// The Windows update build revision (UBR), such as 4349; `None` where it was not readable.
    pub revision: Option<u32>,
    /// The edition id, such as `Enterprise`; `None` where it was not readable.
    pub edition: Option<Text>,
    /// What the installation is made for; `None` where it was not readable.
    pub product_type: Option<ProductType>,
    /// Whether a server runs without the desktop ("Server Core"); `None` where it was not readable.
    pub server_core: Option<bool>,
    /// The release as people know it, such as `24H2`; `None` where it was not readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Text>,
    /// The kind of firmware it was started by; `None` where it was not readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwareType>,
}

/// Kinds of firmware (`FIRMWARE_TYPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareType {
    /// `FirmwareTypeBios`, 1: a legacy BIOS, or UEFI with its compatibility support module.
    Bios,
    /// `FirmwareTypeUefi`, 2.
    Uefi,
}

/// Families of operating systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OsFamily {
    /// Microsoft Windows.
    Windows,
    /// Linux.
    Linux,
    /// Anything else.
    Other,
}

/// The product type of `OSVERSIONINFOEXW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProductType {
    /// `VER_NT_WORKSTATION`, 1.
    Workstation,
    /// `VER_NT_DOMAIN_CONTROLLER`, 2.
    DomainController,
    /// `VER_NT_SERVER`, 3.
    Server,
}
