//! What a domain controller is.

use muster_evidence::DomainController;

use super::field::{self, InvalidField};
use crate::v1;

impl From<&DomainController> for v1::DomainController {
    fn from(dc: &DomainController) -> Self {
        let DomainController { fqdn, domain_dns, domain_netbios, forest, site, read_only } = dc;
        Self {
            fqdn: fqdn.to_string(),
            domain_dns: domain_dns.to_string(),
            domain_netbios: domain_netbios.clone().map(Into::into),
            forest: forest.to_string(),
            site: site.clone().map(Into::into),
            read_only: *read_only,
        }
    }
}

impl TryFrom<v1::DomainController> for DomainController {
    type Error = InvalidField;

    fn try_from(message: v1::DomainController) -> Result<Self, Self::Error> {
        let v1::DomainController { fqdn, domain_dns, domain_netbios, forest, site, read_only } = message;
        Ok(Self {
            fqdn: field::name(&fqdn, "fqdn")?,
            domain_dns: field::name(&domain_dns, "domain_dns")?,
            domain_netbios: field::optional_text(domain_netbios.as_deref(), "domain_netbios")?,
            forest: field::name(&forest, "forest")?,
            site: field::optional_name(site.as_deref(), "site")?,
            read_only,
        })
    }
}
