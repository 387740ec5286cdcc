//! Titles and keys that this build knows.
//!
//! They decide where a text begins, what may be wrapped and what is secret, and they let a key stand where its colon lost
//! a blank. Nothing unknown is dropped for standing in none of these lists.

/// Titles that show a text to be a status.
const TITLES: &[&str] = &[
    "Device State",
    "Device Details",
    "Tenant Details",
    "User State",
    "SSO State",
    "Diagnostic Data",
    "Ngc Prerequisite Check",
];

/// Titles of which a machine may show several, each with a number.
const NUMBERED_TITLE: &str = "Work Account ";

/// Whether the tool is known to print a section of that title. Those of proxy settings show no status by themselves.
pub(super) fn is_known_title(title: &str) -> bool {
    TITLES.contains(&title)
        || title
            .strip_prefix(NUMBERED_TITLE)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Fields whose value is prose that may be wrapped or hold line breaks.
pub(super) const PROSE_KEYS: &[&str] = &["Server Message", "Server Error Description"];

/// Fields of the proxy sections. Their values are dropped wherever they stand, should a section's title have been lost.
pub(super) const PROXY_KEYS: &[&str] = &[
    "Auto Detect Settings",
    "Auto-Configuration URL",
    "Proxy Server List",
    "Proxy Bypass List",
    "Proxy Server(s)",
    "Proxy Server",
    "Bypass List",
    "Access Type",
];

/// Keys that evidence is read from.
pub(super) const KEYS: &[&str] = &[
    "AzureAdJoined",
    "EnterpriseJoined",
    "DomainJoined",
    "DomainName",
    "Device Name",
    "Virtual Desktop",
    "DeviceId",
    "Thumbprint",
    "DeviceCertificateValidity",
    "KeyContainerId",
    "KeyProvider",
    "TpmProtected",
    "DeviceAuthStatus",
    "TenantName",
    "TenantId",
    "Idp",
    "AuthCodeUrl",
    "AccessTokenUrl",
    "MdmUrl",
    "MdmTouUrl",
    "MdmComplianceUrl",
    "SettingsUrl",
    "NgcSet",
    "NgcKeyId",
    "CanReset",
    "WorkplaceJoined",
    "WorkAccountCount",
    "WamDefaultSet",
    "WamDefaultAuthority",
    "WamDefaultId",
    "WamDefaultGUID",
    "AzureAdPrt",
    "AzureAdPrtUpdateTime",
    "AzureAdPrtExpiryTime",
    "AzureAdPrtAuthority",
    "AcquirePrtDiagnostics",
    "RefreshPrtDiagnostics",
    "Previous Prt Attempt",
    "Attempt Status",
    "User Identity",
    "Server Error Code",
    "Server Error Description",
    "EnterprisePrt",
    "OnPremTgt",
    "CloudTgt",
    "AadRecoveryEnabled",
    "AadRecoveryNeeded",
    "Executing Account Name",
    "KeySignTest",
    "User Context",
    "Client Time",
    "AD Connectivity Test",
    "AD Configuration Test",
    "DRS Discovery Test",
    "DRS Connectivity Test",
    "Kerberos Ticket Test",
    "Token acquisition Test",
    "Fallback to Sync-Join",
    "Fallback to Fed-Join",
    "Previous Registration",
    "Registration Type",
    "Error Phase",
    "Client ErrorCode",
    "Server ErrorCode",
    "Server Message",
    "Https Status",
    "Request Id",
    "IsDeviceJoined",
    "IsUserAzureAD",
    "PolicyEnabled",
    "PostLogonEnabled",
    "DeviceEligible",
    "SessionIsNotRemote",
    "CertEnrollment",
    "OnPremTGT",
    "CloudTGT",
    "NgcPreReq",
    "PreReqResult",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_known_by_their_exact_form() {
        for (title, known) in [
            ("Device State", true),
            ("device state", false),
            ("Work Account 12", true),
            ("Work Account ", false),
            ("Work Account one", false),
            ("WinHttp Default Proxy Config", false),
        ] {
            assert_eq!(is_known_title(title), known, "{title}");
        }
    }
}
