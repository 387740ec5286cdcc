//! X.509 certificates, as far as rules read them.

use muster_evidence::{
    Certificate, ChainStatus, ExtendedKeyUsage, KeyAlgorithm, Revocation, SignatureHash, SubjectAltName,
    TemplateReference, limits,
};

use super::field::{self, InvalidField};
use crate::v1;
use crate::v1::chain_status::Status;
use crate::v1::key_algorithm::Algorithm;
use crate::v1::revocation;
use crate::v1::signature_hash::Hash;
use crate::v1::subject_alt_name::Name;
use crate::v1::template_reference::Template;

impl From<&Certificate> for v1::Certificate {
    fn from(certificate: &Certificate) -> Self {
        let Certificate {
            sha256,
            thumbprint,
            subject,
            issuer,
            serial,
            not_before,
            not_after,
            key,
            signature_hash,
            digital_signature,
            key_encipherment,
            extended_key_usages,
            subject_alt_names,
            template,
            crl_distribution_points,
            ocsp_urls,
            issuer_urls,
            is_ca,
            chain,
            issuer_thumbprint,
            root_thumbprint,
            revocation,
        } = certificate;
        Self {
            sha256: sha256.0.to_vec(),
            thumbprint: thumbprint.0.to_vec(),
            subject: subject.to_string(),
            issuer: issuer.to_string(),
            serial: serial.to_string(),
            not_before_ms: Some(not_before.unix_ms()),
            not_after_ms: Some(not_after.unix_ms()),
            key: Some(key.into()),
            signature_hash: Some(signature_hash.into()),
            digital_signature: *digital_signature,
            key_encipherment: *key_encipherment,
            extended_key_usages: extended_key_usages.as_ref().map(|usages| v1::ExtendedKeyUsages {
                oids: usages.iter().map(|usage| usage.oid().to_owned()).collect(),
            }),
            subject_alt_names: subject_alt_names.iter().map(Into::into).collect(),
            template: template.as_ref().map(Into::into),
            crl_distribution_points: crl_distribution_points.iter().map(ToString::to_string).collect(),
            ocsp_urls: ocsp_urls.iter().map(ToString::to_string).collect(),
            issuer_urls: issuer_urls.iter().map(ToString::to_string).collect(),
            is_ca: *is_ca,
            chain: Some(chain.into()),
            issuer_thumbprint: issuer_thumbprint.map(|thumbprint| thumbprint.0.to_vec()),
            root_thumbprint: root_thumbprint.map(|thumbprint| thumbprint.0.to_vec()),
            revocation: revocation.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::Certificate> for Certificate {
    type Error = InvalidField;

    fn try_from(message: v1::Certificate) -> Result<Self, Self::Error> {
        let v1::Certificate {
            sha256,
            thumbprint,
            subject,
            issuer,
            serial,
            not_before_ms,
            not_after_ms,
            key,
            signature_hash,
            digital_signature,
            key_encipherment,
            extended_key_usages,
            subject_alt_names,
            template,
            crl_distribution_points,
            ocsp_urls,
            issuer_urls,
            is_ca,
            chain,
            issuer_thumbprint,
            root_thumbprint,
            revocation,
        } = message;
        Ok(Self {
            sha256: field::sha256(&sha256, "sha256")?,
            thumbprint: field::thumbprint(&thumbprint, "thumbprint")?,
            subject: field::text(&subject, "subject")?,
            issuer: field::text(&issuer, "issuer")?,
            serial: field::text(&serial, "serial")?,
            not_before: field::time(not_before_ms, "not_before_ms")?,
            not_after: field::time(not_after_ms, "not_after_ms")?,
            key: field::required_nested(key, "key")?,
            signature_hash: field::required_nested(signature_hash, "signature_hash")?,
            digital_signature,
            key_encipherment,
            extended_key_usages: extended_key_usages.map(usages).transpose()?,
            subject_alt_names: field::list(subject_alt_names, limits::CERTIFICATE_LIST, "subject_alt_names")?,
            template: field::nested(template, "template")?,
            crl_distribution_points: field::texts(
                &crl_distribution_points,
                limits::CERTIFICATE_LIST,
                "crl_distribution_points",
            )?,
            ocsp_urls: field::texts(&ocsp_urls, limits::CERTIFICATE_LIST, "ocsp_urls")?,
            issuer_urls: field::texts(&issuer_urls, limits::CERTIFICATE_LIST, "issuer_urls")?,
            is_ca,
            chain: field::required_nested(chain, "chain")?,
            issuer_thumbprint: field::optional_thumbprint(issuer_thumbprint.as_deref(), "issuer_thumbprint")?,
            root_thumbprint: field::optional_thumbprint(root_thumbprint.as_deref(), "root_thumbprint")?,
            revocation: field::nested(revocation, "revocation")?,
        })
    }
}

fn usages(message: v1::ExtendedKeyUsages) -> Result<Vec<ExtendedKeyUsage>, InvalidField> {
    let v1::ExtendedKeyUsages { oids } = message;
    let oids = field::texts(&oids, limits::CERTIFICATE_LIST, "extended_key_usages.oids")?;
    Ok(oids.into_iter().map(ExtendedKeyUsage).collect())
}

impl From<&KeyAlgorithm> for v1::KeyAlgorithm {
    fn from(key: &KeyAlgorithm) -> Self {
        Self {
            algorithm: Some(match key {
                KeyAlgorithm::Rsa { bits } => Algorithm::RsaBits(*bits),
                KeyAlgorithm::Ec { bits } => Algorithm::EcBits(*bits),
                KeyAlgorithm::Other { oid } => Algorithm::OtherOid(oid.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::KeyAlgorithm> for KeyAlgorithm {
    type Error = InvalidField;

    fn try_from(message: v1::KeyAlgorithm) -> Result<Self, Self::Error> {
        let v1::KeyAlgorithm { algorithm } = message;
        Ok(match field::required(algorithm, "algorithm")? {
            Algorithm::RsaBits(bits) => Self::Rsa { bits },
            Algorithm::EcBits(bits) => Self::Ec { bits },
            Algorithm::OtherOid(oid) => Self::Other { oid: field::text(&oid, "other_oid")? },
        })
    }
}

impl From<&SignatureHash> for v1::SignatureHash {
    fn from(hash: &SignatureHash) -> Self {
        let known = |hash: v1::HashAlgorithm| Hash::Known(hash.into());
        Self {
            hash: Some(match hash {
                SignatureHash::Md5 => known(v1::HashAlgorithm::Md5),
                SignatureHash::Sha1 => known(v1::HashAlgorithm::Sha1),
                SignatureHash::Sha256 => known(v1::HashAlgorithm::Sha256),
                SignatureHash::Sha384 => known(v1::HashAlgorithm::Sha384),
                SignatureHash::Sha512 => known(v1::HashAlgorithm::Sha512),
                SignatureHash::Other { oid } => Hash::OtherOid(oid.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::SignatureHash> for SignatureHash {
    type Error = InvalidField;

    fn try_from(message: v1::SignatureHash) -> Result<Self, Self::Error> {
        let v1::SignatureHash { hash } = message;
        let number = match field::required(hash, "hash")? {
            Hash::OtherOid(oid) => return Ok(Self::Other { oid: field::text(&oid, "other_oid")? }),
            Hash::Known(number) => number,
        };
        match v1::HashAlgorithm::try_from(number) {
            Ok(v1::HashAlgorithm::Unspecified) => Err(InvalidField::missing("known")),
            Ok(v1::HashAlgorithm::Md5) => Ok(Self::Md5),
            Ok(v1::HashAlgorithm::Sha1) => Ok(Self::Sha1),
            Ok(v1::HashAlgorithm::Sha256) => Ok(Self::Sha256),
            Ok(v1::HashAlgorithm::Sha384) => Ok(Self::Sha384),
            Ok(v1::HashAlgorithm::Sha512) => Ok(Self::Sha512),
            Err(_) => Err(InvalidField::UnknownValue {
                field: "known".to_owned(),
                found: number.into(),
                most: (v1::HashAlgorithm::Sha512 as i32).into(),
            }),
        }
    }
}

impl From<&SubjectAltName> for v1::SubjectAltName {
    fn from(name: &SubjectAltName) -> Self {
        Self {
            name: Some(match name {
                SubjectAltName::Dns(name) => Name::Dns(name.to_string()),
                SubjectAltName::Upn(name) => Name::Upn(name.to_string()),
                SubjectAltName::Ip(address) => Name::Ip(address.to_string()),
                SubjectAltName::DirectoryGuid(guid) => Name::DirectoryGuid(guid.to_string()),
                SubjectAltName::KerberosPrincipal(name) => Name::KerberosPrincipal(name.to_string()),
                SubjectAltName::Other(name) => Name::Other(name.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::SubjectAltName> for SubjectAltName {
    type Error = InvalidField;

    fn try_from(message: v1::SubjectAltName) -> Result<Self, Self::Error> {
        let v1::SubjectAltName { name } = message;
        Ok(match field::required(name, "name")? {
            Name::Dns(name) => Self::Dns(field::text(&name, "dns")?),
            Name::Upn(name) => Self::Upn(field::text(&name, "upn")?),
            Name::Ip(address) => Self::Ip(field::text(&address, "ip")?),
            Name::DirectoryGuid(guid) => Self::DirectoryGuid(field::text(&guid, "directory_guid")?),
            Name::KerberosPrincipal(name) => Self::KerberosPrincipal(field::text(&name, "kerberos_principal")?),
            Name::Other(name) => Self::Other(field::text(&name, "other")?),
        })
    }
}

impl From<&TemplateReference> for v1::TemplateReference {
    fn from(template: &TemplateReference) -> Self {
        Self {
            template: Some(match template {
                TemplateReference::Name(name) => Template::Name(name.to_string()),
                TemplateReference::Oid(oid) => Template::Oid(oid.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::TemplateReference> for TemplateReference {
    type Error = InvalidField;

    fn try_from(message: v1::TemplateReference) -> Result<Self, Self::Error> {
        let v1::TemplateReference { template } = message;
        Ok(match field::required(template, "template")? {
            Template::Name(name) => Self::Name(field::text(&name, "name")?),
            Template::Oid(oid) => Self::Oid(field::text(&oid, "oid")?),
        })
    }
}

impl From<&ChainStatus> for v1::ChainStatus {
    fn from(chain: &ChainStatus) -> Self {
        Self {
            status: Some(match chain {
                ChainStatus::Trusted { anchor } => Status::TrustedAnchor(anchor.to_string()),
                ChainStatus::UntrustedRoot { root } => Status::UntrustedRoot(root.to_string()),
                ChainStatus::IssuerMissing { issuer } => Status::IssuerMissing(issuer.to_string()),
                ChainStatus::Invalid { detail } => Status::Invalid(detail.to_string()),
                ChainStatus::NotChecked { why } => Status::NotChecked(why.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::ChainStatus> for ChainStatus {
    type Error = InvalidField;

    fn try_from(message: v1::ChainStatus) -> Result<Self, Self::Error> {
        let v1::ChainStatus { status } = message;
        Ok(match field::required(status, "status")? {
            Status::TrustedAnchor(anchor) => Self::Trusted { anchor: field::text(&anchor, "trusted_anchor")? },
            Status::UntrustedRoot(root) => Self::UntrustedRoot { root: field::text(&root, "untrusted_root")? },
            Status::IssuerMissing(issuer) => Self::IssuerMissing { issuer: field::text(&issuer, "issuer_missing")? },
            Status::Invalid(detail) => Self::Invalid { detail: field::text(&detail, "invalid")? },
            Status::NotChecked(why) => Self::NotChecked { why: field::text(&why, "not_checked")? },
        })
    }
}

impl From<&Revocation> for v1::Revocation {
    fn from(revocation: &Revocation) -> Self {
        Self {
            outcome: Some(match revocation {
                Revocation::Good => revocation::Outcome::Good(v1::RevocationGood {}),
                Revocation::Revoked { subject, at } => revocation::Outcome::Revoked(v1::RevokedCertificate {
                    subject: subject.to_string(),
                    at_ms: Some(at.unix_ms()),
                }),
                Revocation::Undetermined { why } => revocation::Outcome::Undetermined(why.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::Revocation> for Revocation {
    type Error = InvalidField;

    fn try_from(message: v1::Revocation) -> Result<Self, Self::Error> {
        let v1::Revocation { outcome } = message;
        Ok(match field::required(outcome, "outcome")? {
            revocation::Outcome::Good(v1::RevocationGood {}) => Self::Good,
            revocation::Outcome::Revoked(v1::RevokedCertificate { subject, at_ms }) => Self::Revoked {
                subject: field::text(&subject, "revoked.subject")?,
                at: field::time(at_ms, "revoked.at_ms")?,
            },
            revocation::Outcome::Undetermined(why) => Self::Undetermined { why: field::text(&why, "undetermined")? },
        })
    }
}
