//! What of an endorsement key is hashed: the DER form of its `SubjectPublicKeyInfo`, taken from a certificate as it
//! stands there, or put together from the public area of a key without one.

use muster_evidence::Sha256;
use ring::digest::SHA256;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Says why bytes have no key to be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are no certificate: {detail}")]
pub struct InvalidEkCertificate {
    /// How many bytes there are.
    pub length: usize,
    /// What is wrong with them.
    pub detail: String,
}

/// A curve that endorsement keys lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// Bytes of a coordinate.
    const fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// Its object identifier in DER: prime256v1, secp384r1.
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
            Self::P384 => &[0x06, 5, 0x2B, 0x81, 4, 0, 0x22],
        }
    }
}

/// rsaEncryption with its NULL parameters, in DER.
const RSA_ENCRYPTION: [u8; 13] = [0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 0x05, 0];

/// id-ecPublicKey, in DER.
const EC_PUBLIC_KEY: [u8; 9] = [0x06, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The hash that stands for a key.
pub fn digest(spki: &[u8]) -> Sha256 {
    let mut hash = Sha256([0; 32]);
    // SHA-256 has 32 bytes.
    hash.0.copy_from_slice(ring::digest::digest(&SHA256, spki).as_ref());
    hash
}

/// The `SubjectPublicKeyInfo` of a certificate. An NV index may be larger than the certificate in it.
pub fn spki_of_certificate(der: &[u8]) -> Result<&[u8], InvalidEkCertificate> {
    match X509Certificate::from_der(der) {
        Ok((_rest, certificate)) => Ok(certificate.tbs_certificate.subject_pki.raw),
        Err(error) => Err(InvalidEkCertificate { length: der.len(), detail: error.to_string() }),
    }
}

/// The `SubjectPublicKeyInfo` of an RSA key.
pub fn spki_of_rsa(modulus: &[u8], exponent: u32) -> Vec<u8> {
    let key = tlv(SEQUENCE, &[&unsigned(modulus)[..], &unsigned(&exponent.to_be_bytes())].concat());
    spki(&RSA_ENCRYPTION, &key)
}

/// The `SubjectPublicKeyInfo` of a point; `None` where a coordinate is longer than the curve's.
pub fn spki_of_point(curve: Curve, x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    // A TPM may leave out leading zeroes.
    let padded = |coordinate: &[u8]| {
        let zeroes = curve.bytes().checked_sub(coordinate.len())?;
        Some([vec![0; zeroes], coordinate.to_vec()].concat())
    };
    let point = [vec![4], padded(x)?, padded(y)?].concat();
    Some(spki(&[&EC_PUBLIC_KEY, curve.oid()].concat(), &point))
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    // A bit string begins with the number of bits that its last byte leaves unused.
    let key = tlv(BIT_STRING, &[&[0], key].concat());
    tlv(SEQUENCE, &[tlv(SEQUENCE, algorithm), key].concat())
}

/// A number that is not negative: without leading zeroes but one where the first bit is set.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[first..];
    let zero: &[u8] = if bytes.first().is_none_or(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    tlv(INTEGER, &[zero, bytes].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let first = length.iter().position(|byte| *byte != 0).unwrap_or(length.len());
    match &length[first..] {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData as _};

    use super::*;

    #[test]
    fn a_point_is_spelt_as_certificates_spell_it() {
        for (algorithm, curve) in [(&PKCS_ECDSA_P256_SHA256, Curve::P256), (&PKCS_ECDSA_P384_SHA384, Curve::P384)] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
            let (x, y) = key.der_bytes()[1..].split_at(curve.bytes());
            let own = spki_of_point(curve, x, y).unwrap();
            assert_eq!(own, spki_of_certificate(certificate.der()).unwrap());
            // An NV index that is larger than its certificate.
            let padded = [certificate.der().as_ref(), &[0xFF; 40]].concat();
            assert_eq!(own, spki_of_certificate(&padded).unwrap());
        }
        let (long, short) = ([1; 33], [1; 31]);
        assert_eq!(spki_of_point(Curve::P256, &long, &short), None);
        let padded = spki_of_point(Curve::P256, &short, &short).unwrap();
        assert_eq!(padded.len(), spki_of_point(Curve::P256, &[1; 32], &[1; 32]).unwrap().len());
    }

    #[test]
    fn an_rsa_key_is_spelt_as_certificates_spell_it() {
        let pem = include_bytes!("../../../../fixtures/certificate/dc-good.pem");
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).unwrap();
        let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
        let Ok(x509_parser::public_key::PublicKey::RSA(key)) = certificate.public_key().parsed() else {
            panic!("the fixture has no RSA key")
        };
        let own = spki_of_rsa(key.modulus, 65_537);
        assert_eq!(own, spki_of_certificate(&pem.contents).unwrap());
        // A TPM gives the modulus without the zero in front.
        let without_zero = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
        assert_eq!(spki_of_rsa(without_zero, 65_537), own);
        assert_ne!(spki_of_rsa(key.modulus, 3), own);
    }

    #[test]
    fn lengths_have_the_shortest_form() {
        for (length, head) in [(0, &[4, 0][..]), (127, &[4, 127]), (128, &[4, 0x81, 128]), (256, &[4, 0x82, 1, 0])] {
            assert_eq!(tlv(4, &vec![7; length])[..head.len()], *head, "{length}");
        }
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0x7F]), [2, 1, 0x7F]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        for bytes in [&[][..], &[0xFF; 64], b"-----BEGIN CERTIFICATE-----"] {
            let error = spki_of_certificate(bytes).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{} bytes are no certificate: ", bytes.len())), "{error}");
        }
    }
}
