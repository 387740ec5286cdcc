//! Whether a signature was made by a key, for certificates and revocation lists alike.
//!
//! rustls-webpki verifies what it accepts. What it refuses and Windows takes - SHA-1, RSA keys from 1024 bits - is
//! verified here all the same: a chain is not broken because it is weak, and how weak it is are findings of their own.

use muster_evidence::SignatureHash;
use muster_proto::link::der::{BIT_STRING, Reader, SEQUENCE, bits};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::asn1_rs::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::fields::{self, bit_length, dotted, hash_by_oid};

/// What came of verifying a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Signature {
    /// It is by that key.
    Verifies,
    /// It is not.
    Fails(&'static str),
    /// An algorithm or key that the libraries do not know, with its name.
    Unsupported(String),
}

/// Verifies a signature over `message`. `algorithm` and `spki` are the whole AlgorithmIdentifier and
/// SubjectPublicKeyInfo in DER.
pub(in crate::parse) fn verify(algorithm: &[u8], spki: &[u8], message: &[u8], value: &[u8]) -> Signature {
    const BROKEN_KEY: Signature = Signature::Fails("the issuer's public key cannot be read");
    let Ok(algorithm_content) = Reader::new(algorithm).expect(SEQUENCE).map(|sequence| sequence.content) else {
        return Signature::Fails("its algorithm cannot be read");
    };
    let Some((key_algorithm, key)) = split_key(spki) else { return BROKEN_KEY };
    let by_webpki = webpki::ALL_VERIFICATION_ALGS
        .iter()
        .filter(|known| known.signature_alg_id().as_ref() == algorithm_content)
        .filter(|known| known.public_key_alg_id().as_ref() == key_algorithm)
        .any(|known| known.verify_signature(key, message, value).is_ok());
    if by_webpki {
        return Signature::Verifies;
    }
    let (Ok((_, algorithm)), Ok((_, spki))) =
        (AlgorithmIdentifier::from_der(algorithm), SubjectPublicKeyInfo::from_der(spki))
    else {
        return BROKEN_KEY;
    };
    match by_ring(&algorithm, &spki) {
        Ok(algorithm) => match UnparsedPublicKey::new(algorithm, key).verify(message, value) {
            Ok(()) => Signature::Verifies,
            Err(_) => Signature::Fails("it does not verify"),
        },
        Err(what) => Signature::Unsupported(what),
    }
}

/// Algorithm identifier (its content) and key bits of a SubjectPublicKeyInfo.
fn split_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Reader::new(spki).expect(SEQUENCE).ok()?.inside();
    let algorithm = fields.expect(SEQUENCE).ok()?.content;
    Some((algorithm, bits(&fields.expect(BIT_STRING).ok()?).ok()?))
}

/// Chooses the algorithm by the signature's identifier and the issuer's key.
fn by_ring(
    algorithm: &AlgorithmIdentifier<'_>,
    spki: &SubjectPublicKeyInfo<'_>,
) -> Result<&'static dyn VerificationAlgorithm, String> {
    let oid = dotted(&algorithm.algorithm);
    let hash = fields::signature_hash(algorithm);
    let is_rsa = oid.starts_with("1.2.840.113549.1.1.") || oid == "1.3.14.3.2.29";
    if is_rsa {
        // The library takes moduli of 1024 to 8192 bits, and would call any other a failed signature.
        let bits = RSAPublicKey::from_der(&spki.subject_public_key.data).map_or(0, |(_, key)| bit_length(key.modulus));
        if !(1024..=8192).contains(&bits) {
            return Err(format!("RSA with a key of {bits} bits"));
        }
        let supported: Option<&'static dyn VerificationAlgorithm> = if oid == fields::RSA_PSS {
            // The library wants salt and mask of the same hash, as everybody writes them.
            match (bits >= 2048 && pss_is_regular(algorithm, &hash), &hash) {
                (true, SignatureHash::Sha256) => Some(&signature::RSA_PSS_2048_8192_SHA256),
                (true, SignatureHash::Sha384) => Some(&signature::RSA_PSS_2048_8192_SHA384),
                (true, SignatureHash::Sha512) => Some(&signature::RSA_PSS_2048_8192_SHA512),
                _ => None,
            }
        } else {
            match &hash {
                SignatureHash::Sha1 => Some(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
                SignatureHash::Sha256 => Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
                SignatureHash::Sha384 if bits >= 2048 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
                SignatureHash::Sha512 => Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
                _ => None,
            }
        };
        return supported.ok_or_else(|| format!("RSA, algorithm {oid}, key of {bits} bits"));
    }
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| dotted(&oid));
    let supported: Option<&'static dyn VerificationAlgorithm> = match (oid.as_str(), curve.as_deref()) {
        ("1.2.840.10045.4.3.2", Some("1.2.840.10045.3.1.7")) => Some(&signature::ECDSA_P256_SHA256_ASN1),
        ("1.2.840.10045.4.3.3", Some("1.2.840.10045.3.1.7")) => Some(&signature::ECDSA_P256_SHA384_ASN1),
        ("1.2.840.10045.4.3.2", Some("1.3.132.0.34")) => Some(&signature::ECDSA_P384_SHA256_ASN1),
        ("1.2.840.10045.4.3.3", Some("1.3.132.0.34")) => Some(&signature::ECDSA_P384_SHA384_ASN1),
        ("1.3.101.112", None) => Some(&signature::ED25519),
        _ => None,
    };
    supported.ok_or_else(|| format!("algorithm {oid}"))
}

/// Whether the parameters of RSASSA-PSS ask for MGF1 with the signature's own hash and a salt of its length.
fn pss_is_regular(algorithm: &AlgorithmIdentifier<'_>, hash: &SignatureHash) -> bool {
    let length = match hash {
        SignatureHash::Sha256 => 32,
        SignatureHash::Sha384 => 48,
        SignatureHash::Sha512 => 64,
        _ => return false,
    };
    let Some(parameters) = algorithm.parameters.as_ref() else { return false };
    let Ok(parameters) = RsaSsaPssParams::try_from(parameters) else { return false };
    let mask_hash = parameters.mask_gen_algorithm().ok().and_then(|mask| hash_by_oid(&dotted(&mask.hash)));
    parameters.salt_length() == length && mask_hash.as_ref() == Some(hash)
}
