//! What the domain controller locator answers on a machine (`DsGetDcNameW`).

use serde::{Deserialize, Serialize};

use crate::{Text, Tristate};

/// Two questions to the locator about one domain: any KDC, and one of Windows Server 2016 or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DcLocator {
    /// The domain that was asked for: the user's, or the machine's where no user is known.
    pub domain: Text,
    /// The answer to `DS_KDC_REQUIRED | DS_RETURN_DNS_NAME`.
    pub any: LocatorAnswer,
    /// The answer to the same with `DS_DIRECTORY_SERVICE_10_REQUIRED`.
    pub capable: LocatorAnswer,
    /// Whether rediscovery was forced, so that no cached answer is taken for line of sight.
    pub forced: Tristate,
    /// `ClientSiteName`; `None` where no answer carried one.
    pub client_site: Option<Text>,
}

/// One answer of the locator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocatorAnswer {
    /// A domain controller was found.
    Found {
        /// Its DNS name.
        name: Text,
        /// `DcSiteName`; `None` where the answer had none.
        site: Option<Text>,
        /// The returned `DS_…_FLAG` bits.
        flags: u32,
    },
    /// None was found: the Win32 code, such as 1355 (`ERROR_NO_SUCH_DOMAIN`).
    Refused {
        /// The Win32 error code.
        code: u32,
    },
}
