//! Flags that are yes, no, neither, or not shown.

use muster_evidence::Tristate;

use super::field::InvalidField;
use crate::v1;

impl From<Tristate> for v1::Tristate {
    fn from(value: Tristate) -> Self {
        match value {
            Tristate::NotShown => Self::Unspecified,
            Tristate::Yes => Self::Yes,
            Tristate::No => Self::No,
            Tristate::Undetermined => Self::Undetermined,
        }
    }
}

/// The number of a flag.
pub(super) fn number(value: Tristate) -> i32 {
    v1::Tristate::from(value).into()
}

/// Reads a flag. Unlike other enums, 0 has a meaning of its own: the field was not shown.
pub(super) fn read(number: i32, field: &str) -> Result<Tristate, InvalidField> {
    match v1::Tristate::try_from(number) {
        Ok(v1::Tristate::Unspecified) => Ok(Tristate::NotShown),
        Ok(v1::Tristate::Yes) => Ok(Tristate::Yes),
        Ok(v1::Tristate::No) => Ok(Tristate::No),
        Ok(v1::Tristate::Undetermined) => Ok(Tristate::Undetermined),
        Err(_) => Err(InvalidField::UnknownValue {
            field: field.to_owned(),
            found: number.into(),
            most: (v1::Tristate::Undetermined as i32).into(),
        }),
    }
}
