//! From which of Microsoft's own templates a certificate came.
//!
//! A version 1 template is named in the certificate. Later ones are told by their object identifier, whose first arcs are
//! the forest's; what Windows brings with it ends in the same two arcs everywhere, while a template that somebody made by
//! duplicating ends in two random ones.

use muster_evidence::{Certificate, ExtendedKeyUsage, TemplateReference};

/// The arc under which every forest has its templates, before the six arcs of the forest (szOID_ENTERPRISE_OID_ROOT).
const TEMPLATES: &str = "1.3.6.1.4.1.311.21.8.";
/// How many arcs follow: six of the forest, two of the template.
const ARCS: usize = 8;

/// The template that a newer one should supersede, by its name; `None` where the certificate came from another, or does
/// not say.
pub fn superseded_template(certificate: &Certificate) -> Option<&'static str> {
    match certificate.template.as_ref()? {
        // Other makers put this name into certificates for KDC Authentication, as Microsoft asks of them; the template of
        // that name has never had the usage.
        TemplateReference::Name(name) => {
            let is_kdc = |usage: &ExtendedKeyUsage| usage.oid() == ExtendedKeyUsage::KDC_AUTH;
            let for_kdc = certificate.extended_key_usages.as_ref().is_some_and(|usages| usages.iter().any(is_kdc));
            (name.as_str() == "DomainController" && !for_kdc).then_some("Domain Controller")
        }
        TemplateReference::Oid(oid) => {
            let arcs = oid.as_str().strip_prefix(TEMPLATES)?;
            let mut last = arcs.rsplit('.');
            let (template, group) = (last.next()?, last.next()?);
            if group != "1" || arcs.split('.').count() != ARCS {
                return None;
            }
            match template {
                "15" => Some("Domain Controller"),
                "28" => Some("Domain Controller Authentication"),
                "33" => Some("Kerberos Authentication"),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{ekus, kdc_certificate, text};

    #[test]
    fn the_table() {
        let of = |oid: &str| {
            let oid = TemplateReference::Oid(text(oid));
            superseded_template(&Certificate { template: Some(oid), ..kdc_certificate(1) })
        };
        let forest = "1.3.6.1.4.1.311.21.8.1234567.7654321.1111111.2222222.3333333.44";
        assert_eq!(of(&format!("{forest}.1.33")), Some("Kerberos Authentication"));
        assert_eq!(of(&format!("{forest}.1.28")), Some("Domain Controller Authentication"));
        assert_eq!(of(&format!("{forest}.1.15")), Some("Domain Controller"));
        assert_eq!(of(&format!("{forest}.1.30")), None);
        assert_eq!(of(&format!("{forest}.9876543.33")), None);
        assert_eq!(of(&format!("{forest}.5.1.33")), None);
        assert_eq!(of("1.3.6.1.4.1.99.1.33"), None);
        assert_eq!(of(""), None);

        let named = |name: &str, usages: &[&str]| {
            let template = Some(TemplateReference::Name(text(name)));
            superseded_template(&Certificate { template, extended_key_usages: ekus(usages), ..kdc_certificate(1) })
        };
        assert_eq!(named("DomainController", &[ExtendedKeyUsage::SERVER_AUTH]), Some("Domain Controller"));
        assert_eq!(named("DomainController", &[ExtendedKeyUsage::KDC_AUTH]), None);
        assert_eq!(named("WebServer", &[ExtendedKeyUsage::SERVER_AUTH]), None);
        assert_eq!(superseded_template(&kdc_certificate(1)), None);
    }
}
