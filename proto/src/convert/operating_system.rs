//! The operating system and its build.

use muster_evidence::{FirmwareType, OperatingSystem, OsFamily, ProductType};

use super::field::{self, InvalidField, wire_enum};
use crate::v1;

wire_enum!(OsFamily, v1::OsFamily { Windows = Windows, Linux = Linux, Other = Other });
wire_enum!(
    ProductType,
    v1::ProductType { Workstation = Workstation, DomainController = DomainController, Server = Server }
);
wire_enum!(FirmwareType, v1::FirmwareType { Bios = Bios, Uefi = Uefi });

impl From<&OperatingSystem> for v1::OperatingSystem {
    fn from(system: &OperatingSystem) -> Self {
        let OperatingSystem {
            family,
            name,
            version,
            build,
            revision,
            edition,
            product_type,
            server_core,
            release,
            firmware,
        } = system;
        Self {
            family: v1::OsFamily::from(*family).into(),
            name: name.to_string(),
            version: version.to_string(),
            build: *build,
            revision: *revision,
            edition: edition.clone().map(Into::into),
            product_type: field::enum_number(product_type.map(v1::ProductType::from)),
            server_core: *server_core,
            release: release.clone().map(Into::into),
            firmware: field::enum_number(firmware.map(v1::FirmwareType::from)),
        }
    }
}

impl TryFrom<v1::OperatingSystem> for OperatingSystem {
    type Error = InvalidField;

    fn try_from(message: v1::OperatingSystem) -> Result<Self, Self::Error> {
        let v1::OperatingSystem {
            family,
            name,
            version,
            build,
            revision,
            edition,
            product_type,
            server_core,
            release,
            firmware,
        } = message;
        Ok(Self {
            family: field::required_enum(family, "family")?,
            name: field::text(&name, "name")?,
            version: field::text(&version, "version")?,
            build,
            revision,
            edition: field::optional_text(edition.as_deref(), "edition")?,
            product_type: field::optional_enum(product_type, "product_type")?,
            server_core,
            release: field::optional_text(release.as_deref(), "release")?,
            firmware: field::optional_enum(firmware, "firmware")?,
        })
    }
}
