//! A certificate as a link of a chain: its names in comparable form, and what its extensions let it issue.

use muster_evidence::{ExtendedKeyUsage, Thumbprint, Timestamp};
use muster_proto::link::der::{SEQUENCE, dotted, primitive};
use muster_proto::link::revocation_list::distribution_points;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Version;

use super::constraints::{Constrained, NameConstraints};
use super::extensions::{BasicConstraints, KeyUsage, basic_constraints, key_usage, only, sequence, usages};
use super::general_name::{GeneralName, general_names};
use super::signature::{Signature, verify};
use super::{InvalidCertificate, fields, name, oid};

/// A certificate at hand.
pub(super) struct Link<'a> {
    pub(super) der: &'a [u8],
    pub(super) x509: X509Certificate<'a>,
    pub(super) anchor: bool,
    pub(super) subject: Vec<String>,
    pub(super) issuer: Vec<String>,
    /// Its subject key identifier.
    pub(super) key_id: Option<&'a [u8]>,
    /// The identifier of the key that signed it, by its authority key identifier.
    pub(super) issuer_key_id: Option<&'a [u8]>,
    /// The whole AlgorithmIdentifier of its signature.
    algorithm: &'a [u8],
}

impl<'a> Link<'a> {
    pub(super) fn of(der: &'a [u8], anchor: bool) -> Result<Self, InvalidCertificate> {
        let x509 = fields::parse(der)?;
        let broken = |cause| InvalidCertificate::Der { length: der.len(), problem: format!("its frame: {cause}") };
        let mut frame = only(der).and_then(|whole| sequence(&whole)).map_err(broken)?;
        frame.expect(SEQUENCE).map_err(broken)?;
        let algorithm = frame.expect(SEQUENCE).map_err(broken)?.whole;
        let key_id = value(&x509, oid::SUBJECT_KEY_ID).and_then(|value| Some(only(value).ok()?.content));
        let issuer_key_id = value(&x509, oid::AUTHORITY_KEY_ID).and_then(|value| {
            let mut fields = only(value).and_then(|element| sequence(&element)).ok()?;
            Some(fields.optional(primitive(0)).ok()??.content)
        });
        let (subject, issuer) = (name::canonical(x509.subject()), name::canonical(x509.issuer()));
        Ok(Self { der, x509, anchor, subject, issuer, key_id, issuer_key_id, algorithm })
    }

    /// Its subject as people read it.
    pub(super) fn shown(&self) -> String {
        let subject = name::rfc4514(self.x509.subject());
        if subject.is_empty() { "(no subject)".to_owned() } else { subject }
    }

    pub(super) fn thumbprint(&self) -> Thumbprint {
        fields::sha1(self.der)
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub(super) fn is_valid_at(&self, at: Timestamp) -> bool {
        self.in_time(at).is_ok()
    }

    fn in_time(&self, at: Timestamp) -> Result<(), &'static str> {
        let validity = self.x509.validity();
        let at_seconds = at.unix_ms().div_euclid(1_000);
        if at_seconds < validity.not_before.timestamp() {
            Err("is not valid yet")
        } else if at_seconds > validity.not_after.timestamp() {
            Err("has expired")
        } else {
            Ok(())
        }
    }

    /// Whether another one's key made its signature.
    pub(super) fn is_signed_by(&self, issuer: &Link<'_>) -> Signature {
        // RFC 5280 section 4.1.1.2.
        if self.x509.signature_algorithm != self.x509.tbs_certificate.signature {
            return Signature::Fails("it names two different algorithms");
        }
        let (message, value) = (self.x509.tbs_certificate.as_ref(), &self.x509.signature_value.data);
        verify(self.algorithm, issuer.x509.public_key().raw, message, value)
    }

    pub(super) fn is_authority(&self) -> bool {
        value(&self.x509, oid::BASIC_CONSTRAINTS).is_some_and(|value| basic_constraints(value).is_ok_and(|c| c.ca))
    }

    /// Whether it may stand above `below` other issuers at a time; the error fits after its name.
    pub(super) fn may_issue(&self, below: usize, at: Timestamp) -> Result<(), String> {
        self.in_time(at)?;
        // Versions 1 and 2 have no extensions; old roots are of the first, and nothing below a root may be.
        if self.x509.version() != X509Version::V3 && self.x509.extensions().is_empty() && self.is_self_issued() {
            return Ok(());
        }
        match self.key_usage() {
            Some(Err(())) => return Err("may not issue: its key usage cannot be read".to_owned()),
            Some(Ok(usage)) if !usage.key_cert_sign() => {
                return Err("may not issue: its key usage lacks keyCertSign".to_owned());
            }
            _ => {}
        }
        let constraints = value(&self.x509, oid::BASIC_CONSTRAINTS).map(basic_constraints);
        let Some(Ok(BasicConstraints { ca: true, path_length })) = constraints else {
            return Err("may not issue: its basic constraints do not mark a CA".to_owned());
        };
        match path_length {
            Some(most) if below > usize::try_from(most).unwrap_or(usize::MAX) => {
                Err(format!("allows {most} issuers below it, and there are {below}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it may sign revocation lists (RFC 5280 section 4.2.1.3).
    pub(super) fn may_sign_lists(&self) -> bool {
        self.key_usage().is_none_or(|usage| usage.is_ok_and(KeyUsage::crl_sign))
    }

    fn key_usage(&self) -> Option<Result<KeyUsage, ()>> {
        value(&self.x509, oid::KEY_USAGE).map(|value| key_usage(value).map_err(|_| ()))
    }

    /// The first critical extension that nobody here understands, in dotted form.
    pub(super) fn unknown_critical(&self) -> Option<String> {
        let mut unknown =
            self.x509.extensions().iter().filter(|e| e.critical && !oid::UNDERSTOOD.contains(&e.oid.as_bytes()));
        unknown.next().map(|extension| dotted(extension.oid.as_bytes()))
    }

    /// Whether its extended key usages speak of KDC Authentication: `None` without the extension, which means that
    /// anything is allowed.
    pub(super) fn allows_kdc(&self) -> Option<bool> {
        let usages = usages(value(&self.x509, oid::EXTENDED_KEY_USAGE)?).unwrap_or_default();
        Some(usages.iter().any(|usage| [ExtendedKeyUsage::KDC_AUTH, ExtendedKeyUsage::ANY].contains(&&*dotted(usage))))
    }

    /// Whether it claims KDC Authentication by name.
    pub(super) fn claims_kdc(&self) -> bool {
        let usages = value(&self.x509, oid::EXTENDED_KEY_USAGE).and_then(|value| usages(value).ok());
        usages.is_some_and(|usages| usages.iter().any(|usage| dotted(usage) == ExtendedKeyUsage::KDC_AUTH))
    }

    /// What names it allows below itself.
    pub(super) fn constraints(&self) -> Option<NameConstraints<'a>> {
        value(&self.x509, oid::NAME_CONSTRAINTS).map(NameConstraints::read)
    }

    /// The names that constraints of issuers speak of.
    pub(super) fn constrained(&self) -> Constrained<'a> {
        let names = value(&self.x509, oid::SUBJECT_ALT_NAME).map(general_names);
        let names: Vec<GeneralName<'a>> = names.and_then(Result::ok).unwrap_or_default();
        Constrained { subject: self.subject.clone(), names }
    }

    /// The distribution points of its lists: general names, as DER.
    pub(super) fn list_points(&self) -> Vec<Vec<u8>> {
        let value = value(&self.x509, oid::DISTRIBUTION_POINTS);
        value.and_then(|value| distribution_points(value).ok()).unwrap_or_default()
    }

    /// Content of its serial number.
    pub(super) fn serial(&self) -> &'a [u8] {
        self.x509.tbs_certificate.raw_serial()
    }

    /// The key of a list's signature: the whole SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        self.x509.public_key().raw
    }
}

/// The value of the first extension of a kind.
fn value<'a>(x509: &X509Certificate<'a>, oid: &[u8]) -> Option<&'a [u8]> {
    x509.extensions().iter().find(|extension| extension.oid.as_bytes() == oid).map(|extension| extension.value)
}

/// Whether two key identifiers are the same; `None` where one is missing and nothing can be said.
pub(super) fn same_key(wanted: Option<&[u8]>, own: Option<&[u8]>) -> Option<bool> {
    Some(wanted? == own?)
}
