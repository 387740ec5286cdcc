//! Certificates of domain controllers, and the stores they stand in.
//!
//! A listing and its certificates are separate observations: the listing says what is there and in which order, each
//! certificate is told once by its SHA-256. Which of them the KDC would select is a rule, not a fact.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Sha256, Text, Timestamp};

/// The certificates of one store, in the store's enumeration order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateListing {
    /// Where they were found.
    pub store: CertificateStore,
    /// The certificates, at most [`crate::limits::CERTIFICATES_PER_STORE`]. An empty list means that the store was
    /// read and is empty.
    pub certificates: Vec<ListedCertificate>,
    /// How many more there were beyond the bound.
    pub left_out: u32,
    /// How many entries could not be parsed as a certificate at all.
    pub unreadable: u32,
}

/// Where certificates were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateStore {
    /// `LocalMachine\My`, the one store the KDC reads.
    LocalMachineMy,
    /// Files or folders exported from that store.
    Files,
    /// What the domain controller presented over TLS (LDAPS on 636, or StartTLS on 389). The KDC may use another.
    TlsPeer,
}

/// One entry of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedCertificate {
    /// SHA-256 of the DER form, the subject of the [`Certificate`] observation.
    pub sha256: Sha256,
    /// Whether its private key is at hand.
    pub private_key: PrivateKey,
    /// Whether the entry carries the archived mark.
    pub archived: bool,
}

/// Whether a private key belongs to a listed certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivateKey {
    /// The key was opened, or the peer proved possession in a handshake.
    Present,
    /// There is none.
    Missing,
    /// The source cannot tell, as for an exported file.
    Undetermined,
}

/// An X.509 certificate (RFC 5280), as far as rules read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of the DER form.
    pub sha256: Sha256,
    /// SHA-1 of the DER form: what Windows shows as thumbprint and event 302 names.
    pub thumbprint: crate::Thumbprint,
    /// Subject, in RFC 4514 form.
    pub subject: Text,
    /// Issuer, in RFC 4514 form.
    pub issuer: Text,
    /// Serial number in hexadecimal.
    pub serial: Text,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// The public key's algorithm and size.
    pub key: KeyAlgorithm,
    /// The hash of the signature.
    pub signature_hash: SignatureHash,
    /// Whether the key usage extension grants `digitalSignature`; `None` without the extension.
    pub digital_signature: Option<bool>,
    /// Whether the key usage extension grants `keyEncipherment`; `None` without the extension.
    pub key_encipherment: Option<bool>,
    /// Extended key usages; `None` without the extension, which means any purpose.
    pub extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    /// Subject alternative names; empty without the extension.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// The template it was issued from; `None` where neither extension is there.
    pub template: Option<TemplateReference>,
    /// CRL distribution points (URLs).
    pub crl_distribution_points: Vec<Text>,
    /// OCSP responders (URLs).
    pub ocsp_urls: Vec<Text>,
    /// Where the issuer's certificate can be had (URLs of the authority information access).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuer_urls: Vec<Text>,
    /// Whether the basic constraints mark a CA.
    pub is_ca: bool,
    /// How its chain was verified where it was found.
    pub chain: ChainStatus,
    /// Thumbprint of the direct issuer's certificate; `None` where it was not at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_thumbprint: Option<crate::Thumbprint>,
    /// Thumbprint of the self-signed certificate the chain ends in, trusted or not; `None` where it does not reach one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_thumbprint: Option<crate::Thumbprint>,
    /// Whether it was revoked, where it was found; `None` where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

/// What revocation lists say of a certificate and of those above it, the root left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// Lists that cover the chain name none of it.
    Good,
    /// A list names one of them.
    Revoked {
        /// Subject of the one revoked, in RFC 4514 form.
        subject: Text,
        /// When.
        at: Timestamp,
    },
    /// It could not be told.
    Undetermined {
        /// Why, as a sentence fragment.
        why: Text,
    },
}

/// A public key's algorithm and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// RSA with a modulus of that many bits.
    Rsa {
        /// Length of the modulus in bits.
        bits: u32,
    },
    /// An elliptic curve, with the size of its field in bits.
    Ec {
        /// Size of the field in bits.
        bits: u32,
    },
    /// Something else, by its object identifier.
    Other {
        /// The object identifier in dotted form.
        oid: Text,
    },
}

/// The hash of a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureHash {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// Something else (PSS with unread parameters, EdDSA, unknown), by the object identifier of the signature.
    Other {
        /// The object identifier in dotted form.
        oid: Text,
    },
}

/// An extended key usage, by its object identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExtendedKeyUsage(pub Text);

impl ExtendedKeyUsage {
    /// Server Authentication (RFC 5280 section 4.2.1.12).
    pub const SERVER_AUTH: &'static str = "1.3.6.1.5.5.7.3.1";
    /// Client Authentication (RFC 5280 section 4.2.1.12).
    pub const CLIENT_AUTH: &'static str = "1.3.6.1.5.5.7.3.2";
    /// KDC Authentication, id-pkinit-KPKdc (RFC 4556 section 3.2.4).
    pub const KDC_AUTH: &'static str = "1.3.6.1.5.2.3.5";
    /// Smart Card Logon (Microsoft, szOID_KP_SMARTCARD_LOGON).
    pub const SMART_CARD_LOGON: &'static str = "1.3.6.1.4.1.311.20.2.2";
    /// Any purpose (RFC 5280 section 4.2.1.12).
    pub const ANY: &'static str = "2.5.29.37.0";

    /// The object identifier.
    pub fn oid(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.oid() {
            Self::SERVER_AUTH => "Server Authentication",
            Self::CLIENT_AUTH => "Client Authentication",
            Self::KDC_AUTH => "KDC Authentication",
            Self::SMART_CARD_LOGON => "Smart Card Logon",
            Self::ANY => "Any Purpose",
            other => other,
        })
    }
}

/// One subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectAltName {
    /// A DNS name as written, wildcards included.
    Dns(Text),
    /// A user principal name (other name 1.3.6.1.4.1.311.20.2.3).
    Upn(Text),
    /// An IP address.
    Ip(Text),
    /// A GUID of the directory object (other name 1.3.6.1.4.1.311.25.1), in hexadecimal.
    DirectoryGuid(Text),
    /// A Kerberos principal name, id-pkinit-san (other name 1.3.6.1.5.2.2), as `name@REALM`.
    KerberosPrincipal(Text),
    /// Any other form, named.
    Other(Text),
}

/// The template a certificate was issued from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateReference {
    /// Version 1 template name (1.3.6.1.4.1.311.20.2), such as `DomainController`.
    Name(Text),
    /// Version 2 template object identifier (1.3.6.1.4.1.311.21.7).
    Oid(Text),
}

/// How a chain was verified. Revocation is judged apart from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainStatus {
    /// The chain ends in one of the trust anchors at hand.
    Trusted {
        /// Subject of the anchor, in RFC 4514 form.
        anchor: Text,
    },
    /// The chain is complete and ends in a root that is not among them.
    UntrustedRoot {
        /// Subject of that root.
        root: Text,
    },
    /// An issuer was not found.
    IssuerMissing {
        /// Subject of the issuer that is missing.
        issuer: Text,
    },
    /// A signature in the chain does not verify, or a certificate in it may not issue.
    Invalid {
        /// What is wrong.
        detail: Text,
    },
    /// The chain was not verified.
    NotChecked {
        /// Why, as a sentence fragment.
        why: Text,
    },
}
