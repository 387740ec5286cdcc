//! Who a report speaks of, and the roles it claims.

use muster_evidence::{HostIdentity, Role};

use super::field::{self, InvalidField, wire_enum};
use crate::v1;

wire_enum!(
    Role,
    v1::Role {
        Endpoint = Endpoint,
        DomainController = DomainController,
        Directory = Directory,
        SyncServer = SyncServer,
        Relay = Relay,
    }
);

/// The number of a role.
pub fn role_to_wire(role: Role) -> i32 {
    v1::Role::from(role).into()
}

/// The role of a number.
pub fn role_from_wire(number: i32) -> Result<Role, InvalidField> {
    field::required_enum(number, "role")
}

impl From<&HostIdentity> for v1::HostIdentity {
    fn from(host: &HostIdentity) -> Self {
        let HostIdentity { name, forest, site, object_guid, device_id, ek_sha256 } = host;
        Self {
            name: name.to_string(),
            forest: forest.as_ref().map(ToString::to_string),
            site: site.clone().map(Into::into),
            object_guid: object_guid.map(|guid| guid.0.to_vec()),
            device_id: device_id.map(|id| id.0.to_vec()),
            ek_sha256: ek_sha256.map(|digest| digest.0.to_vec()),
        }
    }
}

impl TryFrom<v1::HostIdentity> for HostIdentity {
    type Error = InvalidField;

    fn try_from(message: v1::HostIdentity) -> Result<Self, Self::Error> {
        let mut first = None;
        let host = read(message, &mut |error| {
            first.get_or_insert(error);
        })?;
        first.map_or(Ok(host), Err)
    }
}

/// Reads a host of which only the name must be right: an attribute that is wrong is told to `refuse` and left out.
pub(super) fn read(
    message: v1::HostIdentity,
    refuse: &mut dyn FnMut(InvalidField),
) -> Result<HostIdentity, InvalidField> {
    let v1::HostIdentity { name, forest, site, object_guid, device_id, ek_sha256 } = message;
    Ok(HostIdentity {
        name: field::name(&name, "name")?,
        forest: or_refuse(field::optional_name(forest.as_deref(), "forest"), refuse),
        site: or_refuse(field::optional_name(site.as_deref(), "site"), refuse),
        object_guid: or_refuse(field::optional_guid(object_guid.as_deref(), "object_guid"), refuse),
        device_id: or_refuse(field::optional_guid(device_id.as_deref(), "device_id"), refuse),
        ek_sha256: or_refuse(field::optional_sha256(ek_sha256.as_deref(), "ek_sha256"), refuse),
    })
}

fn or_refuse<T>(value: Result<Option<T>, InvalidField>, refuse: &mut dyn FnMut(InvalidField)) -> Option<T> {
    value.unwrap_or_else(|error| {
        refuse(error);
        None
    })
}
