//! Keys in the directory.

use muster_evidence::{DirectoryKey, KeySource, KeyStrength, KeyUsage, Timestamp, UserKeys, limits};

use super::field::{self, InvalidField};
use crate::v1;

impl From<&UserKeys> for v1::UserKeys {
    fn from(user: &UserKeys) -> Self {
        let UserKeys { sid, keys, undecodable, left_out, upn } = user;
        Self {
            sid: sid.to_string(),
            keys: keys.iter().map(Into::into).collect(),
            undecodable: *undecodable,
            left_out: *left_out,
            upn: upn.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::UserKeys> for UserKeys {
    type Error = InvalidField;

    fn try_from(message: v1::UserKeys) -> Result<Self, Self::Error> {
        let v1::UserKeys { sid, keys, undecodable, left_out, upn } = message;
        Ok(Self {
            sid: field::name(&sid, "sid")?,
            keys: field::list(keys, limits::KEYS_PER_USER, "keys")?,
            undecodable,
            left_out,
            upn: field::optional_text(upn.as_deref(), "upn")?,
        })
    }
}

impl From<&DirectoryKey> for v1::DirectoryKey {
    fn from(key: &DirectoryKey) -> Self {
        let DirectoryKey {
            key_id,
            usage,
            source,
            device_id,
            created_at,
            last_used_at,
            rsa_bits,
            roca,
            strength,
            key_hash_valid,
            remark,
        } = key;
        Self {
            key_id: key_id.map(|id| id.0.to_vec()),
            usage: match usage {
                KeyUsage::Ngc => 1,
                KeyUsage::Fido => 7,
                KeyUsage::Fek => 8,
                KeyUsage::Other(number) => u32::from(*number),
            },
            source: source.map(|source| match source {
                KeySource::ActiveDirectory => 0,
                KeySource::AzureAd => 1,
                KeySource::Other(number) => u32::from(number),
            }),
            device_id: device_id.map(|id| id.0.to_vec()),
            created_at_ms: created_at.map(Timestamp::unix_ms),
            last_used_at_ms: last_used_at.map(Timestamp::unix_ms),
            rsa_bits: *rsa_bits,
            roca: *roca,
            strength: match strength {
                KeyStrength::Unknown => 0,
                KeyStrength::Weak => 1,
                KeyStrength::Normal => 2,
            },
            key_hash_valid: *key_hash_valid,
            remark: remark.to_string(),
        }
    }
}

impl TryFrom<v1::DirectoryKey> for DirectoryKey {
    type Error = InvalidField;

    fn try_from(message: v1::DirectoryKey) -> Result<Self, Self::Error> {
        let v1::DirectoryKey {
            key_id,
            usage,
            source,
            device_id,
            created_at_ms,
            last_used_at_ms,
            rsa_bits,
            roca,
            strength,
            key_hash_valid,
            remark,
        } = message;
        Ok(Self {
            key_id: field::optional_sha256(key_id.as_deref(), "key_id")?,
            usage: match octet(usage, "usage")? {
                1 => KeyUsage::Ngc,
                7 => KeyUsage::Fido,
                8 => KeyUsage::Fek,
                other => KeyUsage::Other(other),
            },
            source: source
                .map(|source| {
                    octet(source, "source").map(|number| match number {
                        0 => KeySource::ActiveDirectory,
                        1 => KeySource::AzureAd,
                        other => KeySource::Other(other),
                    })
                })
                .transpose()?,
            device_id: field::optional_guid(device_id.as_deref(), "device_id")?,
            created_at: field::optional_time(created_at_ms, "created_at_ms")?,
            last_used_at: field::optional_time(last_used_at_ms, "last_used_at_ms")?,
            rsa_bits,
            roca,
            strength: match strength {
                0 => KeyStrength::Unknown,
                1 => KeyStrength::Weak,
                2 => KeyStrength::Normal,
                found => {
                    return Err(InvalidField::UnknownValue {
                        field: "strength".to_owned(),
                        found: found.into(),
                        most: 2,
                    });
                }
            },
            key_hash_valid,
            remark: field::text(&remark, "remark")?,
        })
    }
}

/// A number that stands in one byte of the directory's value (MS-ADTS section 2.2.20.5).
fn octet(number: u32, field: &str) -> Result<u8, InvalidField> {
    u8::try_from(number).map_err(|_| InvalidField::OutOfRange {
        field: field.to_owned(),
        found: number.into(),
        least: 0,
        most: u8::MAX.into(),
    })
}
