//! One DER certificate read into evidence.

use muster_evidence::{Certificate, ChainStatus, KeyAlgorithm, Sha256, SignatureHash, Text, Thumbprint, Timestamp};
use muster_proto::link::der;
use ring::digest;
use sha2::Digest as _;
use x509_parser::asn1_rs::{FromDer, Oid};
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser as _;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::extensions::Extensions;
use super::{InvalidCertificate, Parsed, name};
use crate::parse::bytes::to_hex;

pub(super) const RSA: &str = "1.2.840.113549.1.1.1";
pub(super) const RSA_PSS: &str = "1.2.840.113549.1.1.10";
pub(super) const EC: &str = "1.2.840.10045.2.1";

/// Reads one certificate. The bytes must be that certificate and nothing else.
pub fn from_der(der: &[u8]) -> Result<Parsed, InvalidCertificate> {
    let x509 = parse(der)?;
    let mut remarks = Vec::new();
    let extensions = Extensions::read(&x509, &mut remarks);
    let serial = to_hex(significant(x509.tbs_certificate.raw_serial()));
    let certificate = Certificate {
        sha256: Sha256(sha2::Sha256::digest(der).into()),
        thumbprint: sha1(der),
        subject: Text::cut(&name::rfc4514(x509.subject())),
        issuer: Text::cut(&name::rfc4514(x509.issuer())),
        serial: Text::cut(&serial),
        not_before: timestamp(der, "notBefore", x509.validity().not_before)?,
        not_after: timestamp(der, "notAfter", x509.validity().not_after)?,
        key: key_algorithm(x509.public_key(), &mut remarks),
        signature_hash: signature_hash(&x509.signature_algorithm),
        digital_signature: extensions.digital_signature,
        key_encipherment: extensions.key_encipherment,
        extended_key_usages: extensions.extended_key_usages,
        subject_alt_names: extensions.subject_alt_names,
        template: extensions.template,
        crl_distribution_points: extensions.crl_distribution_points,
        ocsp_urls: extensions.ocsp_urls,
        issuer_urls: extensions.issuer_urls,
        is_ca: extensions.is_ca,
        chain: ChainStatus::NotChecked { why: Text::cut("the chain was not looked at") },
        issuer_thumbprint: None,
        root_thumbprint: None,
        revocation: None,
    };
    Ok(Parsed { certificate, remarks, points: extensions.points, der: der.to_vec() })
}

/// The thumbprint, which is SHA-1 by definition and secures nothing.
pub(super) fn sha1(der: &[u8]) -> Thumbprint {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    Thumbprint::from_slice(digest.as_ref()).expect("a SHA-1 digest has 20 bytes")
}

/// Parses the structure and refuses bytes after it.
pub(in crate::parse) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, InvalidCertificate> {
    // Extensions are read one by one by those who need them: a broken one must not cost the others.
    match X509CertificateParser::new().with_deep_parse_extensions(false).parse(der) {
        Ok(([], x509)) => Ok(x509),
        Ok((rest, _)) => Err(InvalidCertificate::TrailingBytes { length: der.len() - rest.len(), extra: rest.len() }),
        Err(error) => {
            let problem = match error {
                x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => error.to_string(),
                x509_parser::nom::Err::Incomplete(_) => "it ends too early".to_owned(),
            };
            Err(InvalidCertificate::Der { length: der.len(), problem })
        }
    }
}

fn timestamp(der: &[u8], field: &str, time: ASN1Time) -> Result<Timestamp, InvalidCertificate> {
    Timestamp::from_unix_seconds(time.timestamp())
        .map_err(|error| InvalidCertificate::Der { length: der.len(), problem: format!("`{field}`: {error}") })
}

/// An object identifier in dotted form.
pub(super) fn dotted(oid: &Oid<'_>) -> String {
    der::dotted(oid.as_bytes())
}

/// A big-endian number without its leading zeros.
pub(in crate::parse) fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Length of a big-endian number in bits.
pub(in crate::parse) fn bit_length(number: &[u8]) -> u32 {
    let number = significant(number);
    let first = number.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(number.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(first)
}

pub(super) fn key_algorithm(spki: &SubjectPublicKeyInfo<'_>, remarks: &mut Vec<Text>) -> KeyAlgorithm {
    let oid = dotted(&spki.algorithm.algorithm);
    match oid.as_str() {
        RSA | RSA_PSS => match RSAPublicKey::from_der(&spki.subject_public_key.data) {
            Ok((_, key)) => return KeyAlgorithm::Rsa { bits: bit_length(key.modulus) },
            Err(_) => remarks.push(Text::cut("the RSA public key could not be read")),
        },
        EC => match curve_bits(spki) {
            Some(bits) => return KeyAlgorithm::Ec { bits },
            None => remarks.push(Text::cut("the elliptic curve of the public key could not be read")),
        },
        _ => {}
    }
    KeyAlgorithm::Other { oid: Text::cut(&oid) }
}

/// The field size of a named curve; of another one, by the length of the point (RFC 5480 section 2.2).
fn curve_bits(spki: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| dotted(&oid));
    match curve.as_deref() {
        Some("1.2.840.10045.3.1.7") => return Some(256),
        Some("1.3.132.0.34") => return Some(384),
        Some("1.3.132.0.35") => return Some(521),
        _ => {}
    }
    let bytes = match &*spki.subject_public_key.data {
        [4, point @ ..] if point.len().is_multiple_of(2) => point.len() / 2,
        [2 | 3, x @ ..] => x.len(),
        _ => return None,
    };
    u32::try_from(bytes * 8).ok().filter(|bits| *bits > 0)
}

pub(super) fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> SignatureHash {
    let oid = dotted(&algorithm.algorithm);
    match oid.as_str() {
        "1.2.840.113549.1.1.4" => SignatureHash::Md5,
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => SignatureHash::Sha1,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => SignatureHash::Sha256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => SignatureHash::Sha384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => SignatureHash::Sha512,
        RSA_PSS => pss_hash(algorithm).unwrap_or_else(|| SignatureHash::Other { oid: Text::cut(&oid) }),
        _ => SignatureHash::Other { oid: Text::cut(&oid) },
    }
}

/// The hash in the parameters of RSASSA-PSS (RFC 4055 section 3.1), SHA-1 where they name none.
pub(super) fn pss_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureHash> {
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    hash_by_oid(&dotted(parameters.hash_algorithm_oid()))
}

pub(super) fn hash_by_oid(oid: &str) -> Option<SignatureHash> {
    match oid {
        "1.3.14.3.2.26" => Some(SignatureHash::Sha1),
        "2.16.840.1.101.3.4.2.1" => Some(SignatureHash::Sha256),
        "2.16.840.1.101.3.4.2.2" => Some(SignatureHash::Sha384),
        "2.16.840.1.101.3.4.2.3" => Some(SignatureHash::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_a_number() {
        for (number, bits) in [(&[][..], 0), (&[0, 0], 0), (&[0, 1], 1), (&[0xFF], 8), (&[0, 0x80, 0], 16)] {
            assert_eq!(bit_length(number), bits, "{number:?}");
        }
    }
}
