//! A user's Windows Hello container.

use muster_evidence::{CanReset, Ngc};

use super::field::{self, InvalidField, wire_enum};
use super::tristate;
use crate::v1;

wire_enum!(
    CanReset,
    v1::CanReset {
        DestructiveOnly = DestructiveOnly,
        NonDestructiveOnly = NonDestructiveOnly,
        DestructiveAndNonDestructive = DestructiveAndNonDestructive,
        Unknown = Unknown,
    }
);

impl From<&Ngc> for v1::Ngc {
    fn from(ngc: &Ngc) -> Self {
        let Ngc { set, key_id, can_reset, wam_default_set, wam_default_error, workplace_joined, work_accounts } = ngc;
        Self {
            set: tristate::number(*set),
            key_id: key_id.map(|id| id.0.to_vec()),
            can_reset: field::enum_number(can_reset.map(v1::CanReset::from)),
            wam_default_set: tristate::number(*wam_default_set),
            wam_default_error: wam_default_error.clone().map(Into::into),
            workplace_joined: tristate::number(*workplace_joined),
            work_accounts: *work_accounts,
        }
    }
}

impl TryFrom<v1::Ngc> for Ngc {
    type Error = InvalidField;

    fn try_from(message: v1::Ngc) -> Result<Self, Self::Error> {
        let v1::Ngc { set, key_id, can_reset, wam_default_set, wam_default_error, workplace_joined, work_accounts } =
            message;
        Ok(Self {
            set: tristate::read(set, "set")?,
            key_id: field::optional_guid(key_id.as_deref(), "key_id")?,
            can_reset: field::optional_enum(can_reset, "can_reset")?,
            wam_default_set: tristate::read(wam_default_set, "wam_default_set")?,
            wam_default_error: field::optional_text(wam_default_error.as_deref(), "wam_default_error")?,
            workplace_joined: tristate::read(workplace_joined, "workplace_joined")?,
            work_accounts,
        })
    }
}
