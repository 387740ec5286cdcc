//! Reading single fields: the one place that says what is wrong with a field, and where it stands.
//!
//! Readers name a field by its own name; each level above puts its own in front with [`InvalidField::under`] or
//! [`InvalidField::under_item`], so the path is only put together when something is wrong.

use std::str::FromStr;

use muster_evidence::{Guid, InvalidId, InvalidTimestamp, Sha256, Text, TextTooLong, Thumbprint, Timestamp};

/// Says which field of a message is not what it should be, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// A required field is not set.
    #[error("field `{field}` is missing")]
    Missing {
        /// Path of the field.
        field: String,
    },
    /// An enum has a number that this build does not know.
    #[error("field `{field}` has the unknown value {found} (this build knows 1 to {most}; the other end may be newer)")]
    UnknownValue {
        /// Path of the field.
        field: String,
        /// The number found.
        found: i64,
        /// The greatest number known.
        most: i64,
    },
    /// A number lies outside its range.
    #[error("field `{field}` is {found} (expected {least} to {most})")]
    OutOfRange {
        /// Path of the field.
        field: String,
        /// The number found.
        found: u64,
        /// The least allowed.
        least: u64,
        /// The greatest allowed.
        most: u64,
    },
    /// Bytes of the wrong length.
    #[error("field `{field}` has {found} bytes (expected {expected})")]
    WrongLength {
        /// Path of the field.
        field: String,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A list with more entries than allowed.
    #[error("list `{field}` has {found} entries (at most {most} are allowed)")]
    TooMany {
        /// Path of the list.
        field: String,
        /// Entries found.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// A text that exceeds its bounds.
    #[error("field `{field}` is not an allowed text")]
    InvalidText {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        #[source]
        source: TextTooLong,
    },
    /// A name or identifier that is none.
    #[error("field `{field}` is not an allowed name")]
    InvalidName {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        #[source]
        source: InvalidId,
    },
    /// A time outside the range of times.
    #[error("field `{field}` is not an allowed time")]
    InvalidTime {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        #[source]
        source: InvalidTimestamp,
    },
}

impl InvalidField {
    pub(crate) fn missing(field: &str) -> Self {
        Self::Missing { field: field.to_owned() }
    }

    /// Path of the field, as the schema spells it.
    pub fn field(&self) -> &str {
        match self {
            Self::Missing { field }
            | Self::UnknownValue { field, .. }
            | Self::OutOfRange { field, .. }
            | Self::WrongLength { field, .. }
            | Self::TooMany { field, .. }
            | Self::InvalidText { field, .. }
            | Self::InvalidName { field, .. }
            | Self::InvalidTime { field, .. } => field,
        }
    }

    /// Puts the name of the message's own field in front: `not_after_ms` under `certificate` is
    /// `certificate.not_after_ms`.
    #[must_use]
    pub(crate) fn under(self, parent: &str) -> Self {
        self.prefixed(&format!("{parent}."))
    }

    /// The same for an entry of a list: `keys[3].usage`.
    #[must_use]
    pub(crate) fn under_item(self, list: &str, index: usize) -> Self {
        self.prefixed(&format!("{list}[{index}]."))
    }

    fn prefixed(mut self, prefix: &str) -> Self {
        match &mut self {
            Self::Missing { field }
            | Self::UnknownValue { field, .. }
            | Self::OutOfRange { field, .. }
            | Self::WrongLength { field, .. }
            | Self::TooMany { field, .. }
            | Self::InvalidText { field, .. }
            | Self::InvalidName { field, .. }
            | Self::InvalidTime { field, .. } => field.insert_str(0, prefix),
        }
        self
    }
}

/// A message field that must be set.
pub(crate) fn required<T>(value: Option<T>, field: &str) -> Result<T, InvalidField> {
    value.ok_or_else(|| InvalidField::missing(field))
}

/// A nested message that may be absent.
pub(crate) fn nested<W, D>(value: Option<W>, field: &str) -> Result<Option<D>, InvalidField>
where
    D: TryFrom<W, Error = InvalidField>,
{
    value.map(|message| D::try_from(message).map_err(|error| error.under(field))).transpose()
}

/// A nested message that must be set.
pub(crate) fn required_nested<W, D>(value: Option<W>, field: &str) -> Result<D, InvalidField>
where
    D: TryFrom<W, Error = InvalidField>,
{
    required(nested(value, field)?, field)
}

/// A list of messages, within its bound.
pub(crate) fn list<W, D>(values: Vec<W>, most: usize, field: &str) -> Result<Vec<D>, InvalidField>
where
    D: TryFrom<W, Error = InvalidField>,
{
    bounded(values.len(), most, field)?;
    let item = |(index, value)| D::try_from(value).map_err(|error: InvalidField| error.under_item(field, index));
    values.into_iter().enumerate().map(item).collect()
}

/// A list of texts, within its bound.
pub(crate) fn texts(values: &[String], most: usize, field: &str) -> Result<Vec<Text>, InvalidField> {
    bounded(values.len(), most, field)?;
    values.iter().enumerate().map(|(index, value)| text(value, &format!("{field}[{index}]"))).collect()
}

/// Refuses a list longer than its bound.
pub(crate) fn bounded(found: usize, most: usize, field: &str) -> Result<(), InvalidField> {
    if found > most {
        return Err(InvalidField::TooMany { field: field.to_owned(), found, most });
    }
    Ok(())
}

/// A text within the bounds of [`Text`]; it may be empty.
pub(crate) fn text(value: &str, field: &str) -> Result<Text, InvalidField> {
    Text::exact(value).map_err(|source| InvalidField::InvalidText { field: field.to_owned(), source })
}

/// A text that may be absent.
pub(crate) fn optional_text(value: Option<&str>, field: &str) -> Result<Option<Text>, InvalidField> {
    value.map(|value| text(value, field)).transpose()
}

/// A name or identifier in text form. An empty text is a field that is not set.
pub(crate) fn name<T>(value: &str, field: &str) -> Result<T, InvalidField>
where
    T: FromStr<Err = InvalidId>,
{
    if value.is_empty() {
        return Err(InvalidField::missing(field));
    }
    value.parse().map_err(|source| InvalidField::InvalidName { field: field.to_owned(), source })
}

/// A name that may be absent; one that is set and empty is wrong.
pub(crate) fn optional_name<T>(value: Option<&str>, field: &str) -> Result<Option<T>, InvalidField>
where
    T: FromStr<Err = InvalidId>,
{
    value
        .map(|value| value.parse().map_err(|source| InvalidField::InvalidName { field: field.to_owned(), source }))
        .transpose()
}

/// Exactly `N` bytes. No bytes at all is a field that is not set.
pub(crate) fn bytes<const N: usize>(value: &[u8], field: &str) -> Result<[u8; N], InvalidField> {
    if value.is_empty() {
        return Err(InvalidField::missing(field));
    }
    exact(value, field)
}

fn exact<const N: usize>(value: &[u8], field: &str) -> Result<[u8; N], InvalidField> {
    value.try_into().map_err(|_| InvalidField::WrongLength { field: field.to_owned(), found: value.len(), expected: N })
}

/// A SHA-256 digest.
pub(crate) fn sha256(value: &[u8], field: &str) -> Result<Sha256, InvalidField> {
    bytes(value, field).map(Sha256)
}

/// A SHA-256 digest that may be absent.
pub(crate) fn optional_sha256(value: Option<&[u8]>, field: &str) -> Result<Option<Sha256>, InvalidField> {
    value.map(|value| exact(value, field).map(Sha256)).transpose()
}

/// The thumbprint of a certificate.
pub(crate) fn thumbprint(value: &[u8], field: &str) -> Result<Thumbprint, InvalidField> {
    bytes(value, field).map(Thumbprint)
}

/// The thumbprint of a certificate that may be absent.
pub(crate) fn optional_thumbprint(value: Option<&[u8]>, field: &str) -> Result<Option<Thumbprint>, InvalidField> {
    value.map(|value| exact(value, field).map(Thumbprint)).transpose()
}

/// A GUID that may be absent.
pub(crate) fn optional_guid(value: Option<&[u8]>, field: &str) -> Result<Option<Guid>, InvalidField> {
    value.map(|value| exact(value, field).map(Guid)).transpose()
}

/// A time with explicit presence that must be set.
pub(crate) fn time(value: Option<i64>, field: &str) -> Result<Timestamp, InvalidField> {
    required(optional_time(value, field)?, field)
}

/// A time with explicit presence that may be absent.
pub(crate) fn optional_time(value: Option<i64>, field: &str) -> Result<Option<Timestamp>, InvalidField> {
    value
        .map(Timestamp::from_unix_ms)
        .transpose()
        .map_err(|source| InvalidField::InvalidTime { field: field.to_owned(), source })
}

/// A time read from a clock, without explicit presence: 0 is a field that is not set, since no clock that shows the
/// first millisecond of 1970 can be believed.
pub(crate) fn clock(value: i64, field: &str) -> Result<Timestamp, InvalidField> {
    time((value != 0).then_some(value), field)
}

/// An enum of the domain whose wire form has one number per variant, and 0 for "not set".
pub(crate) trait WireEnum: Sized {
    /// The greatest number known.
    const MOST: i32;

    /// The variant of a number; `None` for 0.
    fn from_number(number: i32) -> Result<Option<Self>, prost::UnknownEnumValue>;
}

/// An enum that must be set.
pub(crate) fn required_enum<T: WireEnum>(number: i32, field: &str) -> Result<T, InvalidField> {
    required(optional_enum(number, field)?, field)
}

/// An enum that may be absent.
pub(crate) fn optional_enum<T: WireEnum>(number: i32, field: &str) -> Result<Option<T>, InvalidField> {
    T::from_number(number).map_err(|_| InvalidField::UnknownValue {
        field: field.to_owned(),
        found: number.into(),
        most: T::MOST.into(),
    })
}

/// The number of an enum that may be absent.
pub(crate) fn enum_number<W: Into<i32>>(value: Option<W>) -> i32 {
    value.map_or(0, Into::into)
}

/// Pairs the variants of a domain enum with those of its wire form, in ascending order of their numbers.
///
/// Both directions come from one list, and both matches are exhaustive: a variant added on either side does not
/// compile until it is paired.
macro_rules! wire_enum {
    ($domain:ty, $wire:ty { $($variant:ident = $number:ident),+ $(,)? }) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value {
                    $(<$domain>::$variant => Self::$number,)+
                }
            }
        }

        impl $crate::convert::field::WireEnum for $domain {
            const MOST: i32 = {
                let numbers = [$(<$wire>::$number as i32),+];
                numbers[numbers.len() - 1]
            };

            fn from_number(number: i32) -> Result<Option<Self>, prost::UnknownEnumValue> {
                Ok(match <$wire>::try_from(number)? {
                    <$wire>::Unspecified => None,
                    $(<$wire>::$number => Some(Self::$variant),)+
                })
            }
        }
    };
}
pub(crate) use wire_enum;
