//! Chain building by names and signatures.
//!
//! A TLS verifier would refuse a KDC's certificate for its purposes, its SHA-1 signature or its names, and so could
//! not tell those from a chain that is broken. Here only the chain is asked for: who issued whom, whether each
//! signature verifies, whether each issuer may issue and is valid at the time. The leaf's own validity and purposes
//! are checks of their own. Revocation, name constraints and policies are not looked at.

use muster_evidence::{ChainStatus, SignatureHash, Text, Timestamp};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::asn1_rs::FromDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::X509Version;

use super::fields::{self, bit_length, dotted, hash_by_oid};
use super::name;

/// Longest chain above the leaf. Real ones have up to four.
const MAX_DEPTH: usize = 8;
/// Most signatures verified for one leaf: certificates of the same name and key could branch without end.
const MAX_SIGNATURES: u32 = 64;
/// Most certificates of each list that are looked at.
const MAX_CANDIDATES: usize = 512;

/// Verifies a leaf against the certificates at hand.
///
/// `intermediates` may hold anything, in any order, roots included; only `anchors` are trusted. Without any anchor a
/// chain can be found broken but never sound, and the status says that it was not checked.
pub fn verify_chain<D: AsRef<[u8]>>(leaf_der: &[u8], intermediates: &[D], anchors: &[D], at: Timestamp) -> ChainStatus {
    let leaf = match fields::parse(leaf_der) {
        Ok(x509) => Link { der: leaf_der, x509, anchor: false },
        Err(error) => return not_checked(&error.to_string()),
    };
    let mut issuers = Vec::new();
    for (list, anchor) in [(anchors, true), (intermediates, false)] {
        let ders = list.iter().take(MAX_CANDIDATES).map(AsRef::as_ref);
        // What does not parse can issue nothing.
        issuers.extend(ders.filter_map(|der| Some(Link { der, x509: fields::parse(der).ok()?, anchor })));
    }
    let mut search = Search { issuers: &issuers, at, signatures_left: MAX_SIGNATURES };
    let status = search.climb(&leaf, &mut vec![leaf_der]);
    match status {
        ChainStatus::UntrustedRoot { .. } | ChainStatus::IssuerMissing { .. } if anchors.is_empty() => {
            not_checked("no trust anchors were given")
        }
        status => status,
    }
}

/// A certificate at hand.
struct Link<'a> {
    der: &'a [u8],
    x509: X509Certificate<'a>,
    anchor: bool,
}

impl Link<'_> {
    fn subject(&self) -> String {
        let subject = name::rfc4514(self.x509.subject());
        if subject.is_empty() { "(no subject)".to_owned() } else { subject }
    }

    fn is_self_issued(&self) -> bool {
        name::same(self.x509.subject(), self.x509.issuer())
    }
}

struct Search<'s, 'a> {
    issuers: &'s [Link<'a>],
    at: Timestamp,
    signatures_left: u32,
}

impl<'a> Search<'_, 'a> {
    /// Looks for the best way up from `link`. `path` holds every certificate from the leaf to it.
    fn climb(&mut self, link: &Link<'a>, path: &mut Vec<&'a [u8]>) -> ChainStatus {
        if link.anchor || self.issuers.iter().any(|issuer| issuer.anchor && issuer.der == link.der) {
            return ChainStatus::Trusted { anchor: Text::cut(&link.subject()) };
        }
        if link.is_self_issued() && verify_signature(&link.x509, &link.x509) == Signature::Verifies {
            return ChainStatus::UntrustedRoot { root: Text::cut(&link.subject()) };
        }
        if path.len() > MAX_DEPTH {
            return invalid(&format!("the chain has more than {MAX_DEPTH} issuers"));
        }
        let issuers = self.issuers;
        let mut best: Option<ChainStatus> = None;
        for issuer in issuers {
            // A certificate that is on the way already would make a loop.
            if path.contains(&issuer.der) || !name::same(issuer.x509.subject(), link.x509.issuer()) {
                continue;
            }
            let status = self.step(link, issuer, path);
            if matches!(status, ChainStatus::Trusted { .. }) {
                return status;
            }
            if best.as_ref().is_none_or(|best| rank(&status) < rank(best)) {
                best = Some(status);
            }
        }
        best.unwrap_or_else(|| {
            if link.is_self_issued() {
                return invalid(&format!("`{}` names itself as issuer, but did not sign itself", link.subject()));
            }
            ChainStatus::IssuerMissing { issuer: Text::cut(&name::rfc4514(link.x509.issuer())) }
        })
    }

    /// Goes from `link` to one candidate that carries its issuer's name.
    fn step(&mut self, link: &Link<'a>, issuer: &Link<'a>, path: &mut Vec<&'a [u8]>) -> ChainStatus {
        let Some(left) = self.signatures_left.checked_sub(1) else {
            return not_checked("too many certificates carry the issuer's name");
        };
        self.signatures_left = left;
        match verify_signature(&link.x509, &issuer.x509) {
            Signature::Verifies => {}
            Signature::Fails(why) => {
                let (subject, issuer) = (link.subject(), issuer.subject());
                return invalid(&format!("the signature of `{subject}` is not by the key of `{issuer}`: {why}"));
            }
            Signature::Unsupported(what) => {
                return not_checked(&format!("the signature of `{}` ({what}) cannot be verified here", link.subject()));
            }
        }
        // Issuers between the leaf and this one; a self-issued one does not count (RFC 5280 section 6.1.4).
        let below = path.len() - 1;
        if let Err(why) = may_issue(&issuer.x509, below, self.at) {
            return invalid(&format!("`{}` {why}", issuer.subject()));
        }
        path.push(issuer.der);
        let status = self.climb(issuer, path);
        path.pop();
        status
    }
}

/// Orders what ways up lead to, the most telling first.
const fn rank(status: &ChainStatus) -> u8 {
    match status {
        ChainStatus::Trusted { .. } => 0,
        ChainStatus::UntrustedRoot { .. } => 1,
        ChainStatus::NotChecked { .. } => 2,
        ChainStatus::IssuerMissing { .. } => 3,
        ChainStatus::Invalid { .. } => 4,
    }
}

fn invalid(detail: &str) -> ChainStatus {
    ChainStatus::Invalid { detail: Text::cut(detail) }
}

fn not_checked(why: &str) -> ChainStatus {
    ChainStatus::NotChecked { why: Text::cut(why) }
}

/// Whether a certificate may stand above `below` other issuers at a time; the error fits after its name.
fn may_issue(issuer: &X509Certificate<'_>, below: usize, at: Timestamp) -> Result<(), String> {
    let validity = issuer.validity();
    let at_seconds = at.unix_ms().div_euclid(1_000);
    if at_seconds < validity.not_before.timestamp() {
        return Err("is not valid yet".to_owned());
    }
    if at_seconds > validity.not_after.timestamp() {
        return Err("has expired".to_owned());
    }
    // Version 1 has no extensions; old roots are of it.
    if issuer.version() == X509Version::V1 {
        return Ok(());
    }
    let mut is_ca = false;
    for extension in issuer.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                is_ca = constraints.ca;
                if let Some(most) = constraints.path_len_constraint
                    && below > usize::try_from(most).unwrap_or(usize::MAX)
                {
                    return Err(format!("allows {most} issuers below it, and there are {below}"));
                }
            }
            ParsedExtension::KeyUsage(usage) if !usage.key_cert_sign() => {
                return Err("may not issue: its key usage lacks keyCertSign".to_owned());
            }
            _ => {}
        }
    }
    if is_ca { Ok(()) } else { Err("may not issue: its basic constraints do not mark a CA".to_owned()) }
}

#[derive(PartialEq, Eq)]
enum Signature {
    Verifies,
    Fails(&'static str),
    /// An algorithm or key that the library does not know, with its name.
    Unsupported(String),
}

fn verify_signature(signed: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Signature {
    // RFC 5280 section 4.1.1.2.
    if signed.signature_algorithm != signed.tbs_certificate.signature {
        return Signature::Fails("it names two different algorithms");
    }
    let algorithm = match algorithm(signed, issuer) {
        Ok(algorithm) => algorithm,
        Err(what) => return Signature::Unsupported(what),
    };
    let key = UnparsedPublicKey::new(algorithm, &issuer.public_key().subject_public_key.data);
    match key.verify(signed.tbs_certificate.as_ref(), &signed.signature_value.data) {
        Ok(()) => Signature::Verifies,
        Err(_) => Signature::Fails("it does not verify"),
    }
}

/// Chooses the algorithm by the signature's identifier and the issuer's key.
fn algorithm(
    signed: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
) -> Result<&'static dyn VerificationAlgorithm, String> {
    let oid = dotted(&signed.signature_algorithm.algorithm);
    let hash = fields::signature_hash(&signed.signature_algorithm);
    let spki = issuer.public_key();
    let is_rsa = oid.starts_with("1.2.840.113549.1.1.") || oid == "1.3.14.3.2.29";
    if is_rsa {
        // The library takes moduli of 1024 to 8192 bits, and would call any other a failed signature.
        let bits = RSAPublicKey::from_der(&spki.subject_public_key.data).map_or(0, |(_, key)| bit_length(key.modulus));
        if !(1024..=8192).contains(&bits) {
            return Err(format!("RSA with a key of {bits} bits"));
        }
        let supported: Option<&'static dyn VerificationAlgorithm> = if oid == fields::RSA_PSS {
            // The library wants salt and mask of the same hash, as everybody writes them.
            match (bits >= 2048 && pss_is_regular(signed, &hash), &hash) {
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
fn pss_is_regular(signed: &X509Certificate<'_>, hash: &SignatureHash) -> bool {
    let length = match hash {
        SignatureHash::Sha256 => 32,
        SignatureHash::Sha384 => 48,
        SignatureHash::Sha512 => 64,
        _ => return false,
    };
    let Some(parameters) = signed.signature_algorithm.parameters.as_ref() else { return false };
    let Ok(parameters) = RsaSsaPssParams::try_from(parameters) else { return false };
    let mask_hash = parameters.mask_gen_algorithm().ok().and_then(|mask| hash_by_oid(&dotted(&mask.hash)));
    parameters.salt_length() == length && mask_hash.as_ref() == Some(hash)
}
