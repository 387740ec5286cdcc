//! Who a peer proved to be.
//!
//! An identity is built from the peer's chain, a policy and the time, and from nothing else. The same function serves
//! the verifier inside the handshake and the check after it: a resumed session calls no verifier, so the collector
//! proves the chain again after every handshake and at every reload.

use std::sync::Arc;
use std::time::Duration;

use muster_evidence::{HostName, InvalidId, Sha256, Text, Timestamp};
use rustls::{CertificateError, OtherError};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::Digest;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::der_parser::asn1_rs::{Any, Sequence};
use x509_parser::der_parser::oid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::policy::{Oid, PeerPolicy, SpkiPin};

/// Most certificates read of a presented chain. Real ones have two to four.
const MOST_CERTIFICATES: usize = 10;

/// A probe that proved its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    name: HostName,
    proof: Proof,
}

/// An operator who proved a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorIdentity {
    name: Text,
    proof: Proof,
}

/// What every proven certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proof {
    issuer: SpkiPin,
    thumbprint: Sha256,
    not_before: Timestamp,
    not_after: Timestamp,
    ekus: Vec<Oid>,
    template: Option<Oid>,
}

/// Says why a peer is not believed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RefusedPeer {
    /// The peer showed no certificate.
    #[error("peer showed no certificate")]
    NoCertificate,
    /// A certificate of the chain cannot be parsed.
    #[error("peer certificate cannot be read: {detail}")]
    Unreadable {
        /// What is wrong with it.
        detail: String,
    },
    /// The validity has not begun.
    #[error("peer certificate is not valid before {not_before}")]
    NotYetValid {
        /// Start of validity.
        not_before: Timestamp,
    },
    /// The validity has ended.
    #[error("peer certificate expired at {not_after}")]
    Expired {
        /// End of validity.
        not_after: Timestamp,
    },
    /// It was not issued by one of the pinned CAs.
    #[error("peer certificate is issued by `{issuer}`, which is none of the pinned issuers")]
    ForeignIssuer {
        /// The issuer's name, as the certificate has it.
        issuer: Text,
    },
    /// The certificate itself does not verify.
    #[error("peer certificate does not verify")]
    InvalidCertificate {
        /// What the verifier says.
        #[source]
        source: webpki::Error,
    },
    /// The pinned issuer does not chain to an anchor.
    #[error("chain of the peer certificate does not verify")]
    InvalidChain {
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// The CA that issued it has come to its own end.
    #[error("certificate of the issuing CA `{issuer}` is not valid at this time (until {not_after})")]
    IssuerExpired {
        /// The CA.
        issuer: Text,
        /// End of its validity.
        not_after: Timestamp,
    },
    /// The CA that issued it is revoked itself.
    #[error("issuing CA `{issuer}` is revoked")]
    IssuerRevoked {
        /// The CA.
        issuer: Text,
    },
    /// The configuration names it as one that is not believed.
    #[error("peer certificate {thumbprint} is on the block list")]
    Blocked {
        /// SHA-256 of the certificate.
        thumbprint: Sha256,
    },
    /// Its CA has revoked it.
    #[error("peer certificate with the serial number {serial} is revoked by `{issuer}`")]
    Revoked {
        /// Its serial number, hexadecimal.
        serial: Text,
        /// The CA.
        issuer: Text,
    },
    /// Nothing says whether it is revoked.
    #[error("no revocation list of `{issuer}` covers the peer certificate")]
    NoRevocationList {
        /// The CA.
        issuer: Text,
    },
    /// What says whether it is revoked is too old to be believed.
    #[error("revocation list of `{issuer}` was to be replaced by {next_update}")]
    StaleRevocationList {
        /// The CA.
        issuer: Text,
        /// When the next list was due.
        next_update: Timestamp,
    },
    /// The required extended key usage is not there.
    #[error("peer certificate lacks the extended key usage {required}")]
    MissingEku {
        /// What is required.
        required: Oid,
    },
    /// It was not issued from the required template.
    #[error("peer certificate is of the template {} (expected {required})", found.as_ref().map_or("none", Oid::as_str))]
    MissingTemplate {
        /// What is required.
        required: Oid,
        /// The template it names, if any.
        found: Option<Oid>,
    },
    /// It names a user.
    #[error("peer certificate names the user `{name}`, so it is no machine's")]
    UpnSan {
        /// The user principal name.
        name: Text,
    },
    /// It has no name to go by.
    #[error("peer certificate has no {expected}")]
    NoName {
        /// Which name is missing.
        expected: &'static str,
    },
    /// It has several DNS names, and nothing says which one is meant.
    #[error("peer certificate has {found} DNS names (expected exactly one)")]
    SeveralNames {
        /// How many it has.
        found: usize,
    },
    /// It is valid for many hosts.
    #[error("peer certificate has the wildcard name `{name}`")]
    Wildcard {
        /// The name.
        name: Text,
    },
    /// Its DNS name is none.
    #[error("DNS name of the peer certificate is not allowed")]
    BadName {
        /// What is wrong with it.
        #[source]
        source: InvalidId,
    },
}

impl RefusedPeer {
    /// A word for counting, the same for every peer refused for this reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Unreadable { .. } => "unreadable",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::ForeignIssuer { .. } => "foreign-issuer",
            Self::InvalidCertificate { .. } | Self::InvalidChain { .. } => "invalid-chain",
            Self::IssuerExpired { .. } => "issuer-expired",
            Self::IssuerRevoked { .. } => "issuer-revoked",
            Self::Blocked { .. } => "blocked",
            Self::Revoked { .. } => "revoked",
            Self::NoRevocationList { .. } => "no-crl",
            Self::StaleRevocationList { .. } => "stale-crl",
            Self::MissingEku { .. } => "missing-eku",
            Self::MissingTemplate { .. } => "missing-template",
            Self::UpnSan { .. } => "upn-san",
            Self::NoName { .. } => "no-name",
            Self::SeveralNames { .. } => "several-names",
            Self::Wildcard { .. } => "wildcard",
            Self::BadName { .. } => "bad-name",
        }
    }

    /// The refusal inside an error of a handshake, whose own text the TLS library would print in debug form. Refusals
    /// that TLS has a word for (expired, not yet valid, no certificate) stay errors of the library.
    pub fn of(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
            _ => None,
        }
    }

    /// The error a verifier ends the handshake with. It chooses the alert the peer sees: where TLS has a word for the
    /// reason, the peer gets that word.
    pub(super) fn into_tls(self, now: UnixTime) -> rustls::Error {
        match self {
            Self::NoCertificate => rustls::Error::NoCertificatesPresented,
            Self::Expired { not_after } => {
                CertificateError::ExpiredContext { time: now, not_after: unix_time(not_after) }.into()
            }
            Self::NotYetValid { not_before } => {
                CertificateError::NotValidYetContext { time: now, not_before: unix_time(not_before) }.into()
            }
            Self::Revoked { .. } => CertificateError::Revoked.into(),
            Self::InvalidChain { source } => source,
            other => CertificateError::Other(OtherError(Arc::new(other))).into(),
        }
    }
}

/// The word for counting of a handshake that failed: a [`RefusedPeer::reason`] where the certificate was the reason,
/// else `handshake`.
pub fn refusal_reason(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::NoCertificatesPresented => "no-certificate",
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not-yet-valid",
            CertificateError::UnknownIssuer => "foreign-issuer",
            CertificateError::BadEncoding => "unreadable",
            CertificateError::Revoked => "revoked",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "missing-eku",
            CertificateError::Other(OtherError(inner)) => {
                inner.downcast_ref::<RefusedPeer>().map_or("invalid-chain", RefusedPeer::reason)
            }
            _ => "invalid-chain",
        },
        _ => "handshake",
    }
}

macro_rules! proof_accessors {
    ($name:ident) => {
        impl $name {
            /// The pin of the CA that issued the certificate.
            pub const fn issuer(&self) -> SpkiPin {
                self.proof.issuer
            }

            /// SHA-256 of the certificate.
            pub const fn thumbprint(&self) -> Sha256 {
                self.proof.thumbprint
            }

            /// Start of the certificate's validity.
            pub const fn not_before(&self) -> Timestamp {
                self.proof.not_before
            }

            /// End of the certificate's validity.
            pub const fn not_after(&self) -> Timestamp {
                self.proof.not_after
            }

            /// The certificate's extended key usages.
            pub fn ekus(&self) -> &[Oid] {
                &self.proof.ekus
            }

            /// The template the certificate was issued from, where it names one by object identifier.
            pub const fn template(&self) -> Option<&Oid> {
                self.proof.template.as_ref()
            }
        }
    };
}
proof_accessors!(PeerIdentity);
proof_accessors!(OperatorIdentity);

impl PeerIdentity {
    /// Proves a chain, end entity first, at a time.
    pub fn from_chain(chain: &[CertificateDer<'_>], policy: &PeerPolicy, now: Timestamp) -> Result<Self, RefusedPeer> {
        let end_entity = end_entity(chain)?;
        let certificate = parse(end_entity)?;
        let proof = prove(end_entity, &certificate, &chain[1..], policy, now)?;
        Ok(Self { name: host_name(&certificate)?, proof })
    }

    /// The machine's name.
    pub const fn name(&self) -> &HostName {
        &self.name
    }
}

impl OperatorIdentity {
    /// Proves a chain, end entity first, at a time. The policy is the operators' own.
    ///
    /// The name is the user principal name, which the directory vouches for, else the common name of the subject.
    pub fn from_chain(chain: &[CertificateDer<'_>], policy: &PeerPolicy, now: Timestamp) -> Result<Self, RefusedPeer> {
        let end_entity = end_entity(chain)?;
        let certificate = parse(end_entity)?;
        let proof = prove(end_entity, &certificate, &chain[1..], policy, now)?;
        Ok(Self { name: operator_name(&certificate)?, proof })
    }

    /// The operator's name.
    pub const fn name(&self) -> &Text {
        &self.name
    }
}

fn end_entity<'c>(chain: &'c [CertificateDer<'_>]) -> Result<&'c CertificateDer<'c>, RefusedPeer> {
    if chain.len() > MOST_CERTIFICATES {
        let detail = format!("its chain has {} certificates (at most {MOST_CERTIFICATES} are read)", chain.len());
        return Err(RefusedPeer::Unreadable { detail });
    }
    chain.first().ok_or(RefusedPeer::NoCertificate)
}

fn parse<'c>(der: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, RefusedPeer> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(RefusedPeer::Unreadable { detail: "bytes follow its end".to_owned() }),
        Err(error) => Err(RefusedPeer::Unreadable { detail: error.to_string() }),
    }
}

/// Proves that the certificate is valid now, was issued directly by a pinned CA that chains to an anchor, and is for
/// the required purpose.
fn prove(
    der: &CertificateDer<'_>,
    certificate: &X509Certificate<'_>,
    intermediates: &[CertificateDer<'_>],
    policy: &PeerPolicy,
    now: Timestamp,
) -> Result<Proof, RefusedPeer> {
    let not_before = timestamp(certificate.validity().not_before.timestamp())?;
    let not_after = timestamp(certificate.validity().not_after.timestamp())?;
    // Certificates count whole seconds, and the last one belongs to the validity.
    let second = now.unix_ms().div_euclid(1000);
    if second < not_before.unix_ms().div_euclid(1000) {
        return Err(RefusedPeer::NotYetValid { not_before });
    }
    if second > not_after.unix_ms().div_euclid(1000) {
        return Err(RefusedPeer::Expired { not_after });
    }
    let issuer = pinned_issuer(der, certificate, intermediates, policy, now)?;
    let thumbprint = Sha256(sha2::Sha256::digest(der).into());
    if policy.blocked.contains(&thumbprint) {
        return Err(RefusedPeer::Blocked { thumbprint });
    }
    if let Some(revocation) = &policy.revocation {
        revocation.check(certificate, issuer, now)?;
    }

    let ekus = extended_key_usages(certificate)?;
    if let Some(required) = &policy.required_eku
        && !ekus.contains(required)
    {
        return Err(RefusedPeer::MissingEku { required: required.clone() });
    }
    let template = template(certificate)?;
    if let Some(required) = &policy.required_template
        && template.as_ref() != Some(required)
    {
        return Err(RefusedPeer::MissingTemplate { required: required.clone(), found: template });
    }
    Ok(Proof { issuer, thumbprint, not_before, not_after, ekus, template })
}

/// Finds the pinned CA that issued the certificate directly.
///
/// Verifying against one CA as the only anchor and without intermediates proves "directly": a CA below a pinned one
/// is not pinned itself, and must not be able to name machines.
fn pinned_issuer(
    der: &CertificateDer<'_>,
    certificate: &X509Certificate<'_>,
    intermediates: &[CertificateDer<'_>],
    policy: &PeerPolicy,
    at: Timestamp,
) -> Result<SpkiPin, RefusedPeer> {
    let now = unix_time(at);
    let end_entity = EndEntityCert::try_from(der).map_err(|source| RefusedPeer::InvalidCertificate { source })?;
    let foreign = || RefusedPeer::ForeignIssuer { issuer: Text::cut(&certificate.issuer().to_string()) };

    let mut refused = None;
    let mut unfit = None;
    for pinned in &policy.pinned_anchors {
        match issued_by(&end_entity, &pinned.anchor, policy, now) {
            // A CA is renewed with its key: another of its certificates may do where this one does not.
            Ok(()) => match fit_to_issue(&parse(&pinned.certificate)?, pinned.revoked, at) {
                Ok(()) => return Ok(pinned.pin),
                Err(error) => unfit = Some(error),
            },
            Err(error) => note(&mut refused, error),
        }
    }
    for intermediate in intermediates {
        let Some(pin) = SpkiPin::of_certificate(intermediate).filter(|pin| policy.issuers.contains(pin)) else {
            continue;
        };
        let Ok(anchor) = webpki::anchor_from_trusted_cert(intermediate) else { continue };
        match issued_by(&end_entity, &anchor, policy, now) {
            Ok(()) => {
                // The key is pinned, but this certificate of it came from the peer: it must lead to an anchor.
                match policy.verifier.verify_client_cert(der, intermediates, now) {
                    Ok(_) => {}
                    Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => return Err(foreign()),
                    Err(source) => return Err(RefusedPeer::InvalidChain { source }),
                }
                let authority = parse(intermediate)?;
                let revoked = policy.revocation.as_ref().is_some_and(|lists| lists.revokes_authority(&authority));
                fit_to_issue(&authority, revoked, at)?;
                return Ok(pin);
            }
            Err(error) => note(&mut refused, error),
        }
    }
    if let Some(unfit) = unfit {
        return Err(unfit);
    }
    Err(match refused {
        None => foreign(),
        Some(webpki::Error::RequiredEkuNotFoundContext(_)) => RefusedPeer::MissingEku { required: Oid::client_auth() },
        Some(source) => RefusedPeer::InvalidCertificate { source },
    })
}

/// Whether a CA may still vouch for what it issued. The verifier does not ask this of an anchor.
fn fit_to_issue(authority: &X509Certificate<'_>, revoked: bool, now: Timestamp) -> Result<(), RefusedPeer> {
    let issuer = || Text::cut(&authority.subject().to_string());
    if revoked {
        return Err(RefusedPeer::IssuerRevoked { issuer: issuer() });
    }
    let (second, validity) = (now.unix_ms().div_euclid(1000), authority.validity());
    if second < validity.not_before.timestamp() || second > validity.not_after.timestamp() {
        return Err(RefusedPeer::IssuerExpired {
            issuer: issuer(),
            not_after: timestamp(validity.not_after.timestamp())?,
        });
    }
    Ok(())
}

/// Verifies that a CA issued the certificate, with nothing in between, for client authentication.
fn issued_by(
    end_entity: &EndEntityCert<'_>,
    anchor: &TrustAnchor<'_>,
    policy: &PeerPolicy,
    now: UnixTime,
) -> Result<(), webpki::Error> {
    let anchors = std::slice::from_ref(anchor);
    let usage = KeyUsage::client_auth();
    end_entity.verify_for_usage(policy.algorithms.all, anchors, &[], now, usage, None, None).map(|_| ())
}

/// Keeps what is wrong with the certificate itself, and passes over "another CA issued it".
fn note(refused: &mut Option<webpki::Error>, error: webpki::Error) {
    if !matches!(error, webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey) {
        refused.get_or_insert(error);
    }
}

fn unreadable(extension: &str, error: impl std::fmt::Display) -> RefusedPeer {
    RefusedPeer::Unreadable { detail: format!("{extension}: {error}") }
}

fn extended_key_usages(certificate: &X509Certificate<'_>) -> Result<Vec<Oid>, RefusedPeer> {
    let extension = certificate.extended_key_usage().map_err(|error| unreadable("extended key usage", error))?;
    let Some(extension) = extension else { return Ok(Vec::new()) };
    let usages = extension.value;
    let known = [
        (usages.any, "2.5.29.37.0"),
        (usages.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usages.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usages.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usages.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usages.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usages.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let named = known.into_iter().filter(|(present, _)| *present).filter_map(|(_, oid)| oid.parse().ok());
    Ok(named.chain(usages.other.iter().map(Oid::of)).collect())
}

/// The object identifier in the extension szOID_CERTIFICATE_TEMPLATE: a sequence that begins with it (MS-WCCE section
/// 2.2.2.7.7.2).
fn template(certificate: &X509Certificate<'_>) -> Result<Option<Oid>, RefusedPeer> {
    let extension = certificate
        .get_extension_unique(&oid!(1.3.6.1.4.1.311.21.7))
        .map_err(|error| unreadable("certificate template", error))?;
    let Some(extension) = extension else { return Ok(None) };
    let (_, sequence) =
        Sequence::from_der(extension.value).map_err(|error| unreadable("certificate template", error))?;
    let (_, oid) = x509_parser::der_parser::Oid::from_der(&sequence.content)
        .map_err(|error| unreadable("certificate template", error))?;
    Ok(Some(Oid::of(&oid)))
}

/// The names of a certificate that decide whose it is.
#[derive(Default)]
struct Names {
    dns: Vec<String>,
    upn: Vec<Text>,
}

fn names(certificate: &X509Certificate<'_>) -> Result<Names, RefusedPeer> {
    let mut names = Names::default();
    let extension =
        certificate.subject_alternative_name().map_err(|error| unreadable("subject alternative name", error))?;
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
            // User principal name (Microsoft, szOID_NT_PRINCIPAL_NAME).
            GeneralName::OtherName(oid, value) if *oid == oid!(1.3.6.1.4.1.311.20.2.3) => {
                names.upn.push(other_name_text(value));
            }
            GeneralName::Invalid(tag, _) => return Err(unreadable("subject alternative name", format!("form {tag}"))),
            _ => {}
        }
    }
    Ok(names)
}

/// The text of another name: a string inside an explicit tag. What cannot be read is shown as such; that the name is
/// there is what counts.
fn other_name_text(value: &[u8]) -> Text {
    let text = Any::from_der(value)
        .ok()
        .and_then(|(_, explicit)| Any::from_der(explicit.data).ok().map(|(_, inner)| inner.data.to_vec()))
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Text::cut(text.as_deref().unwrap_or("unreadable"))
}

/// The one DNS name of a machine's certificate.
fn host_name(certificate: &X509Certificate<'_>) -> Result<HostName, RefusedPeer> {
    let Names { dns, upn } = names(certificate)?;
    if let Some(name) = upn.into_iter().next() {
        return Err(RefusedPeer::UpnSan { name });
    }
    if let Some(name) = dns.iter().find(|name| name.contains('*')) {
        return Err(RefusedPeer::Wildcard { name: Text::cut(name) });
    }
    match dns.as_slice() {
        [] => Err(RefusedPeer::NoName { expected: "DNS name" }),
        [name] => name.parse().map_err(|source| RefusedPeer::BadName { source }),
        several => Err(RefusedPeer::SeveralNames { found: several.len() }),
    }
}

fn operator_name(certificate: &X509Certificate<'_>) -> Result<Text, RefusedPeer> {
    const EXPECTED: &str = "user principal name or common name, or more than one";
    let Names { dns: _, upn } = names(certificate)?;
    let mut candidates = upn;
    if candidates.is_empty() {
        candidates =
            certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(Text::cut).collect();
    }
    match (candidates.pop(), candidates.pop()) {
        (Some(name), None) if !name.is_empty() => Ok(name),
        _ => Err(RefusedPeer::NoName { expected: EXPECTED }),
    }
}

fn timestamp(seconds: i64) -> Result<Timestamp, RefusedPeer> {
    Timestamp::from_unix_seconds(seconds).map_err(|error| unreadable("validity", error))
}

/// The time in whole seconds, as certificates count it; times before 1970 are held at 1970.
fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.unix_ms().div_euclid(1000)).unwrap_or(0)))
}
