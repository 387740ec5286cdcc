//! KEYCREDENTIALLINK_BLOB, version 2 (MS-ADTS sections 2.2.20.2 to 2.2.20.4).

use muster_evidence::{DirectoryKey, Guid, KeySource, KeyStrength, KeyUsage, Sha256, Text, Timestamp};
use sha2::Digest as _;

use super::material::{self, Material};
use super::timestamp::{self, Stamp};
use super::{InvalidKeyCredential, KeyCredential};

/// Longest blob that is read, in bytes. A full Hello key takes 418, a FIDO key with its attestation a few thousand.
const MAX_BLOB_BYTES: usize = 64 * 1024;

const KEY_ID: u8 = 1;
const KEY_HASH: u8 = 2;
const KEY_MATERIAL: u8 = 3;
const KEY_USAGE: u8 = 4;
const KEY_SOURCE: u8 = 5;
const DEVICE_ID: u8 = 6;
const CUSTOM_KEY_INFORMATION: u8 = 7;
const LAST_LOGON: u8 = 8;
const CREATION: u8 = 9;

/// Flag in the second byte of the custom key information (MS-ADTS section 2.2.20.5).
const MFA_NOT_USED: u8 = 0x02;

/// One entry, with where its value ends in the blob.
#[derive(Clone, Copy)]
struct Entry<'a> {
    identifier: u8,
    value: &'a [u8],
    end: usize,
}

/// Decodes the raw bytes of one value.
///
/// `now` bounds which times are believed: the two encodings in use are told apart by what is plausible.
pub fn decode(blob: &[u8], now: Timestamp) -> Result<KeyCredential, InvalidKeyCredential> {
    let entries = split(blob)?;
    let entry = |identifier| entries.iter().find(|entry| entry.identifier == identifier).copied();
    let required = |identifier, name| entry(identifier).ok_or(InvalidKeyCredential::Missing { identifier, name });
    let key_id = required(KEY_ID, "KeyID")?;
    let key_material = required(KEY_MATERIAL, "KeyMaterial")?;
    let [usage] = sized(required(KEY_USAGE, "KeyUsage")?, "KeyUsage")?;
    let source = entry(KEY_SOURCE).map(|entry| sized(entry, "KeySource")).transpose()?.map(|[number]| number);
    let device_id = entry(DEVICE_ID).map(|entry| sized(entry, "DeviceId")).transpose()?;
    let last_used = entry(LAST_LOGON).map(|entry| sized(entry, "KeyApproximateLastLogonTimeStamp")).transpose()?;
    let created = entry(CREATION).map(|entry| sized(entry, "KeyCreationTime")).transpose()?;
    let Material { form, rsa, mut remarks } = material::read(key_material.value)?;

    if entries.windows(2).any(|pair| pair[0].identifier > pair[1].identifier) {
        remarks.push("the entries are not in ascending order".to_owned());
    }
    let usage = match usage {
        1 => KeyUsage::Ngc,
        7 => KeyUsage::Fido,
        8 => KeyUsage::Fek,
        other => KeyUsage::Other(other),
    };
    let key_hash_valid = entry(KEY_HASH).map(|hash| sha256(&blob[hash.end..]).0.as_slice() == hash.value);
    if key_hash_valid == Some(false) {
        remarks.push("KeyHash does not match the entries it covers".to_owned());
    }
    let custom = entry(CUSTOM_KEY_INFORMATION).map(|entry| entry.value);
    if let Some(custom) = custom
        && (custom.len() < 2 || custom[0] != 1)
    {
        remarks.push(format!("custom key information of {} bytes has an unknown form", custom.len()));
    }
    if custom.is_some_and(|custom| matches!(custom, [1, flags, ..] if flags & MFA_NOT_USED != 0)) {
        remarks.push("the key was registered without multi-factor authentication".to_owned());
    }
    let azure_ad = source == Some(1);
    let mut time = |raw: Option<[u8; 8]>, what: &str| {
        let raw = u64::from_le_bytes(raw?);
        match timestamp::read(raw, azure_ad, now) {
            Stamp::At(at) => Some(at),
            Stamp::NeverFilledIn => None,
            Stamp::Implausible => {
                remarks.push(format!("{what} 0x{raw:016x} is plausible in no encoding"));
                None
            }
        }
    };
    let created_at = time(created, "creation time");
    let last_used_at = time(last_used, "last use");
    let key = DirectoryKey {
        key_id: key_id_of(key_id.value, key_material.value, usage, &mut remarks),
        usage,
        source: source.map(|number| match number {
            0 => KeySource::ActiveDirectory,
            1 => KeySource::AzureAd,
            other => KeySource::Other(other),
        }),
        device_id: device_id.map(Guid::from_windows_bytes),
        created_at,
        last_used_at,
        rsa_bits: rsa.as_ref().map(|rsa| rsa.bits),
        roca: rsa.as_ref().map(|rsa| rsa.roca),
        strength: match custom.and_then(|custom| custom.get(5)) {
            Some(1) => KeyStrength::Weak,
            Some(2) => KeyStrength::Normal,
            _ => KeyStrength::Unknown,
        },
        key_hash_valid,
        remark: Text::cut(&remarks.join("; ")),
    };
    Ok(KeyCredential {
        key,
        owner: None,
        material: form,
        length: blob.len(),
        entries: entries.iter().map(|entry| (entry.identifier, entry.value.len())).collect(),
    })
}

fn split(blob: &[u8]) -> Result<Vec<Entry<'_>>, InvalidKeyCredential> {
    if blob.len() > MAX_BLOB_BYTES {
        return Err(InvalidKeyCredential::TooLong { found: blob.len(), limit: MAX_BLOB_BYTES });
    }
    let Some((version, _)) = blob.split_first_chunk() else {
        return Err(InvalidKeyCredential::TooShort { found: blob.len() });
    };
    match u32::from_le_bytes(*version) {
        0x200 => {}
        version @ (0 | 0x100) => return Err(InvalidKeyCredential::Legacy { version }),
        version => return Err(InvalidKeyCredential::UnknownVersion { version }),
    }
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut seen = [false; 256];
    let mut offset = 4;
    while offset < blob.len() {
        let Some(([low, high, identifier], rest)) = blob[offset..].split_first_chunk() else {
            return Err(InvalidKeyCredential::Remainder { left: blob.len() - offset });
        };
        let (identifier, length) = (*identifier, usize::from(u16::from_le_bytes([*low, *high])));
        let Some(value) = rest.get(..length) else {
            return Err(InvalidKeyCredential::PastEnd { identifier, offset, length, left: rest.len() });
        };
        if std::mem::replace(&mut seen[usize::from(identifier)], true) {
            return Err(InvalidKeyCredential::Repeated { identifier });
        }
        offset += 3 + length;
        entries.push(Entry { identifier, value, end: offset });
    }
    Ok(entries)
}

/// The value of an entry of fixed size.
fn sized<const N: usize>(entry: Entry<'_>, name: &'static str) -> Result<[u8; N], InvalidKeyCredential> {
    entry.value.try_into().map_err(|_| InvalidKeyCredential::WrongSize {
        identifier: entry.identifier,
        name,
        found: entry.value.len(),
        expected: N,
    })
}

/// The KeyID where it is what the specification says, SHA-256 of the key material. FIDO keys write a credential id
/// there, of any length, so nothing is compared.
fn key_id_of(value: &[u8], material: &[u8], usage: KeyUsage, remarks: &mut Vec<String>) -> Option<Sha256> {
    if usage == KeyUsage::Fido {
        return None;
    }
    let digest = sha256(material);
    if digest.0.as_slice() == value {
        return Some(digest);
    }
    remarks.push("KeyID is not the SHA-256 of the key material".to_owned());
    None
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}
