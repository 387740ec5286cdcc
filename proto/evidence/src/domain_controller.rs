//! What a domain controller is.

use serde::{Deserialize, Serialize};

use crate::{DnsName, Forest, SiteName, Text};

/// A domain controller, as it describes itself. Its build is in [`crate::OperatingSystem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainController {
    /// Its fully qualified name, with which its certificate is compared.
    pub fqdn: DnsName,
    /// The DNS name of its domain.
    pub domain_dns: DnsName,
    /// The NetBIOS name of its domain; `None` where not known.
    pub domain_netbios: Option<Text>,
    /// Its forest.
    pub forest: Forest,
    /// Its site; `None` where not known.
    pub site: Option<SiteName>,
    /// Whether it is a read-only domain controller; `None` where not known.
    pub read_only: Option<bool>,
}
