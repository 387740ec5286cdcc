//! Whether a registered key is among a user's keys in the directory.
//!
//! The cloud's key id is a GUID and the directory's a hash: they cannot be compared. What can is the device, the time
//! of creation, and, where the endpoint exported it, the hash of the public key, which is the only exact proof.

use muster_evidence::{DirectoryKey, Guid, KeySource, KeyUsage, Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// How far the creation of a key may lie from its registration, in milliseconds: 5 minutes, as Kerberos allows clocks
/// to differ.
pub const CREATION_TOLERANCE_MS: i64 = 5 * 60 * 1_000;

/// What is known of the key that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The Entra device it was made on; `None` where not known.
    pub device_id: Option<Guid>,
    /// When it was registered; `None` where not known.
    pub registered_at: Option<Timestamp>,
    /// SHA-256 of its public key; `None` where it was not exported.
    pub public_key: Option<Sha256>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMatch {
    /// It is there.
    Found(Proof),
    /// It is not among these keys.
    Missing,
    /// What is known does not decide it.
    Undecided(&'static str),
}

/// What a match rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The hash of the public key is equal.
    PublicKey,
    /// It belongs to the device and was made when the registration was.
    CreationTime,
}

/// Looks for a key among a user's.
pub fn key_match(wanted: &Wanted, keys: &[DirectoryKey]) -> KeyMatch {
    let Wanted { device_id, registered_at, public_key } = wanted;
    let device_id = device_id.filter(|device| !device.is_zero());
    let from_cloud = keys.iter().filter(|key| {
        // A missing source is accepted; a key that the directory's own tools wrote is not Connect's.
        key.usage == KeyUsage::Ngc && matches!(key.source, None | Some(KeySource::AzureAd))
    });
    let of_device = from_cloud.clone().filter(|key| key.device_id == device_id);

    // Equal hashes prove the key itself; only a key that names another device is somebody else's affair.
    let same_key = |key: &DirectoryKey| {
        let of_another = device_id.is_some() && key.device_id.is_some() && key.device_id != device_id;
        public_key.is_some() && key.key_id == *public_key && !of_another
    };
    if from_cloud.clone().any(same_key) {
        return KeyMatch::Found(Proof::PublicKey);
    }
    if device_id.is_none() {
        return KeyMatch::Undecided("the machine's Entra device id is not known, so no key can be told to be its");
    }
    let Some(registered_at) = registered_at else {
        // It may be left over from an earlier enrolment on the same device, so the device alone proves nothing.
        if of_device.clone().next().is_some() {
            return KeyMatch::Undecided(
                "a key of this device is in the directory, but when this machine's key was registered is not known",
            );
        }
        return KeyMatch::Missing;
    };
    let mut undated = false;
    for key in of_device {
        match key.created_at {
            Some(created) if created.ms_since(*registered_at).abs() <= CREATION_TOLERANCE_MS => {
                return KeyMatch::Found(Proof::CreationTime);
            }
            Some(_) => {}
            None => undated = true,
        }
    }
    if undated {
        return KeyMatch::Undecided("the directory holds a key of this device without a readable time of creation");
    }
    KeyMatch::Missing
}

/// A key as Connect writes it, of the fixtures' device.
#[cfg(test)]
pub(crate) fn fixture_key(created_at: Timestamp) -> DirectoryKey {
    DirectoryKey {
        key_id: Some(Sha256([7; 32])),
        usage: KeyUsage::Ngc,
        source: Some(KeySource::AzureAd),
        device_id: Some(crate::check::fixture::device()),
        created_at: Some(created_at),
        last_used_at: None,
        rsa_bits: Some(2048),
        roca: Some(false),
        strength: muster_evidence::KeyStrength::Normal,
        key_hash_valid: Some(true),
        remark: muster_evidence::Text::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{at, device};

    #[test]
    fn the_table() {
        let registered = at("2026-03-02T08:14:07Z");
        let wanted = Wanted { device_id: Some(device()), registered_at: Some(registered), public_key: None };
        let key = || fixture_key(registered);
        let hashed = Wanted { public_key: Some(Sha256([7; 32])), ..wanted };
        let other_device = Some(Guid([9; 16]));
        let undecided = |answer: KeyMatch| matches!(answer, KeyMatch::Undecided(_));

        let found = [
            (wanted, key(), Proof::CreationTime),
            (wanted, fixture_key(registered.plus_minutes(5)), Proof::CreationTime),
            (wanted, fixture_key(registered.plus_minutes(-5)), Proof::CreationTime),
            (wanted, DirectoryKey { source: None, ..key() }, Proof::CreationTime),
            (hashed, fixture_key(registered.plus_days(3)), Proof::PublicKey),
            (hashed, DirectoryKey { created_at: None, ..key() }, Proof::PublicKey),
            (Wanted { device_id: None, ..hashed }, key(), Proof::PublicKey),
            (hashed, DirectoryKey { device_id: None, ..key() }, Proof::PublicKey),
            (Wanted { registered_at: None, ..hashed }, fixture_key(registered.plus_days(9)), Proof::PublicKey),
        ];
        for (wanted, key, proof) in found {
            assert_eq!(key_match(&wanted, &[key]), KeyMatch::Found(proof));
        }
        let missing = [
            (wanted, fixture_key(registered.plus_minutes(5).plus_ms(1))),
            (wanted, fixture_key(registered.plus_minutes(-5).plus_ms(-1))),
            (wanted, DirectoryKey { usage: KeyUsage::Fido, ..key() }),
            (wanted, DirectoryKey { source: Some(KeySource::ActiveDirectory), ..key() }),
            (wanted, DirectoryKey { device_id: other_device, ..key() }),
            (wanted, DirectoryKey { device_id: None, ..key() }),
            (hashed, DirectoryKey { device_id: other_device, ..key() }),
            (Wanted { registered_at: None, ..wanted }, DirectoryKey { device_id: other_device, ..key() }),
        ];
        for (wanted, key) in missing {
            assert_eq!(key_match(&wanted, std::slice::from_ref(&key)), KeyMatch::Missing, "{key:?}");
        }
        assert!(undecided(key_match(&wanted, &[DirectoryKey { created_at: None, ..key() }])));
        assert!(undecided(key_match(&Wanted { device_id: None, ..wanted }, &[key()])));
        assert!(undecided(key_match(&Wanted { registered_at: None, ..wanted }, &[key()])));
        assert!(undecided(key_match(&Wanted { device_id: Some(Guid([0; 16])), ..wanted }, &[key()])));
        assert_eq!(key_match(&wanted, &[]), KeyMatch::Missing);
    }
}
