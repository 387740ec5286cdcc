//! Key material (entry 3), and the structure of CVE-2017-15361 in RSA moduli.

use x509_parser::asn1_rs::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{InvalidKeyCredential, MaterialForm};
use crate::parse::certificate::bit_length;

/// Longest modulus that is looked at, in bytes: RSA of 16,384 bits.
const MAX_MODULUS_BYTES: usize = 2048;

/// What key material says.
pub(super) struct Material {
    pub(super) form: MaterialForm,
    /// `None` where it is no RSA key.
    pub(super) rsa: Option<Rsa>,
    pub(super) remarks: Vec<String>,
}

/// An RSA public key.
pub(super) struct Rsa {
    /// Length of the modulus in bits.
    pub(super) bits: u32,
    /// Whether the modulus shows the structure of CVE-2017-15361.
    pub(super) roca: bool,
}

pub(super) fn read(material: &[u8]) -> Result<Material, InvalidKeyCredential> {
    let plain = |form| Material { form, rsa: None, remarks: Vec::new() };
    match material {
        [b'R', b'S', b'A', b'1', head @ ..] => {
            let (modulus, remark) = bcrypt_modulus(head)
                .map_err(|problem| InvalidKeyCredential::Material { found: material.len(), problem })?;
            let mut read = plain(MaterialForm::BcryptRsa);
            read.rsa = Some(rsa(modulus));
            read.remarks.extend(remark.map(str::to_owned));
            Ok(read)
        }
        [b'R', b'S', b'A', b'2' | b'3', ..] => {
            let mut read = plain(MaterialForm::Unknown);
            read.remarks.push("the key material holds a private key".to_owned());
            Ok(read)
        }
        [0x30, ..] => {
            let mut read = plain(MaterialForm::Der);
            let modulus = der_modulus(material)
                .map_err(|problem| InvalidKeyCredential::Material { found: material.len(), problem })?;
            match modulus {
                Some(modulus) => read.rsa = Some(rsa(&modulus)),
                None => read.remarks.push("the key is not RSA".to_owned()),
            }
            Ok(read)
        }
        // The number 0x4D504350 of the specification, little-endian.
        [b'P', b'C', b'P', b'M', ..] => Ok(plain(MaterialForm::Tpm)),
        [b'{', ..] => Ok(plain(MaterialForm::Json)),
        _ => {
            let mut read = plain(MaterialForm::Unknown);
            read.remarks.push(format!("key material of {} bytes has an unknown form", material.len()));
            Ok(read)
        }
    }
}

/// The modulus of a `BCRYPT_RSAKEY_BLOB` after its magic: five little-endian numbers (BitLength, cbPublicExp,
/// cbModulus, cbPrime1, cbPrime2), then exponent and modulus, big-endian.
fn bcrypt_modulus(head: &[u8]) -> Result<(&[u8], Option<&'static str>), &'static str> {
    let (numbers, rest) = head.split_first_chunk::<20>().ok_or("its head is cut off")?;
    let number = |i: usize| {
        let at = i * 4;
        u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]])
    };
    let (bits, exponent, modulus) = (number(0), number(1), number(2));
    if number(3) != 0 || number(4) != 0 {
        return Err("it claims to hold primes");
    }
    let exponent = usize::try_from(exponent).map_err(|_| "its exponent is too long")?;
    let length = usize::try_from(modulus).map_err(|_| "its modulus is too long")?;
    if length == 0 || length > MAX_MODULUS_BYTES {
        return Err("its modulus is empty or too long");
    }
    let modulus = rest.get(exponent..).ok_or("its exponent is cut off")?;
    if modulus.len() < length {
        return Err("its modulus is cut off");
    }
    let remark = if modulus.len() > length {
        Some("bytes follow the modulus")
    } else if bit_length(modulus) != bits {
        Some("the modulus has another length than its head claims")
    } else {
        None
    };
    Ok((&modulus[..length], remark))
}

/// The modulus of a DER SubjectPublicKeyInfo or RSAPublicKey; `None` for another algorithm's key.
fn der_modulus(material: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    const BROKEN: &str = "it begins as DER and is no public key";
    let bounded = |modulus: &[u8]| {
        if modulus.len() > MAX_MODULUS_BYTES + 1 { Err("its modulus is too long") } else { Ok(Some(modulus.to_vec())) }
    };
    if let Ok((_, spki)) = SubjectPublicKeyInfo::from_der(material) {
        return match spki.parsed() {
            Ok(PublicKey::RSA(key)) => bounded(key.modulus),
            Ok(_) => Ok(None),
            Err(_) => Err(BROKEN),
        };
    }
    let (_, key) = RSAPublicKey::from_der(material).map_err(|_| BROKEN)?;
    bounded(key.modulus)
}

fn rsa(modulus: &[u8]) -> Rsa {
    Rsa { bits: bit_length(modulus), roca: has_roca_structure(modulus) }
}

/// The odd primes up to 167, by which moduli of the flawed library are recognised.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether a modulus lies, for each prime, in the group that 65537 generates. Primes of the flawed library are of the
/// form `k·M + 65537^a mod M`, so their product does; a sound modulus does so with a probability of about 2^-28.
fn has_roca_structure(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| {
        let remainder = modulus.iter().fold(0_u32, |remainder, byte| (remainder * 256 + u32::from(*byte)) % prime);
        let generator = 65_537 % prime;
        let mut element = 1;
        loop {
            if element == remainder {
                return true;
            }
            element = element * generator % prime;
            if element == 1 {
                return false;
            }
        }
    })
}
