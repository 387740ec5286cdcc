//! Configuration files that tell of a membership: SSSD, Samba and the name service switch.
//!
//! These readers take what the programs take and stop at nothing: a line that is no assignment is passed over, as the
//! programs themselves would have refused to start with it.

/// One assignment of an INI-like file, with its section; names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The section, without its brackets; empty before the first.
    pub section: String,
    /// The key, in lower case with inner blanks single.
    pub key: String,
    /// The value, trimmed.
    pub value: String,
}

/// Reads an INI-like file as SSSD and Samba write it: `[section]`, `key = value`, comments after `#` or `;`.
pub fn ini(text: &str) -> Vec<Setting> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim().to_lowercase();
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            settings.push(Setting { section: section.clone(), key, value: value.trim().to_owned() });
        }
    }
    settings
}

/// A domain that SSSD serves from a directory with Kerberos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SssdDomain {
    /// Its DNS name.
    pub name: String,
    /// The keytab it authenticates with, where another than the system's is configured.
    pub keytab: Option<String>,
    /// Whether `realmd` made the membership.
    pub by_realmd: bool,
}

/// The AD and IPA domains that a set of SSSD settings enables (sssd.conf(5)). Later settings override earlier ones, as
/// files in `conf.d` do.
pub fn sssd_domains(settings: &[Setting]) -> Vec<SssdDomain> {
    let value = |section: &str, key: &str| {
        settings
            .iter()
            .rev()
            .find(|setting| setting.section == section && setting.key == key)
            .map(|setting| setting.value.as_str())
            .filter(|value| !value.is_empty())
    };
    let listed: Vec<String> =
        value("sssd", "domains").unwrap_or_default().split(',').map(|name| name.trim().to_lowercase()).collect();
    let mut sections: Vec<&str> = Vec::new();
    for setting in settings {
        if setting.section.starts_with("domain/") && !sections.contains(&setting.section.as_str()) {
            sections.push(&setting.section);
        }
    }
    sections
        .into_iter()
        .filter_map(|section| {
            let name = section.strip_prefix("domain/")?;
            let enabled = match value(section, "enabled") {
                Some(text) => text.eq_ignore_ascii_case("true"),
                None => listed.iter().any(|listed| listed == name),
            };
            let shown = match value(section, "id_provider")?.to_lowercase().as_str() {
                "ad" => value(section, "ad_domain"),
                "ipa" => value(section, "ipa_domain"),
                _ => return None,
            };
            enabled.then(|| SssdDomain {
                name: shown.unwrap_or(name).to_lowercase(),
                keytab: value(section, "krb5_keytab").map(str::to_owned),
                by_realmd: value(section, "realmd_tags").is_some_and(|tags| tags.contains("joined-with")),
            })
        })
        .collect()
}

/// What Samba says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SambaRole {
    /// Member of an Active Directory domain.
    Member {
        /// The realm in lower case, or the workgroup without one.
        domain: String,
    },
    /// A domain controller of an Active Directory domain.
    DomainController {
        /// The realm in lower case, or the workgroup without one.
        domain: String,
    },
    /// Neither.
    Standalone,
}

/// Reads the `[global]` section of an `smb.conf` (smb.conf(5)).
pub fn samba_role(settings: &[Setting]) -> SambaRole {
    let value = |key: &str| {
        settings
            .iter()
            .rev()
            .find(|setting| setting.section == "global" && setting.key == key)
            .map(|setting| setting.value.to_lowercase())
            .filter(|value| !value.is_empty())
    };
    let Some(domain) = value("realm").or_else(|| value("workgroup")) else { return SambaRole::Standalone };
    let role = value("server role").unwrap_or_default();
    if role.contains("domain controller") || role == "dc" {
        SambaRole::DomainController { domain }
    } else if role.starts_with("member") || matches!(value("security").as_deref(), Some("ads" | "domain")) {
        SambaRole::Member { domain }
    } else {
        SambaRole::Standalone
    }
}

/// Whether the name service switch asks `module` for users (nsswitch.conf(5)).
pub fn users_come_from(nsswitch: &str, module: &str) -> bool {
    nsswitch
        .lines()
        .filter_map(|line| line.split('#').next().unwrap_or_default().split_once(':'))
        .any(|(database, modules)| database.trim() == "passwd" && modules.split_whitespace().any(|m| m == module))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSSD: &str = "
[sssd]
domains = corp.example, lab.example
config_file_version = 2
; a comment
[domain/corp.example]
ad_domain = CORP.example
id_provider = ad
realmd_tags = manages-system joined-with-adcli
[domain/lab.example]
id_provider=ipa
krb5_keytab = /etc/lab.keytab
[domain/off.example]
id_provider = ad
[domain/files]
id_provider = files
enabled = true
";

    #[test]
    fn sssd_serves_what_it_enables() {
        let corp = SssdDomain { name: "corp.example".into(), keytab: None, by_realmd: true };
        let lab = SssdDomain { name: "lab.example".into(), keytab: Some("/etc/lab.keytab".into()), by_realmd: false };
        let mut settings = ini(SSSD);
        assert_eq!(sssd_domains(&settings), [corp.clone(), lab]);

        // A later file may switch a domain off and another on.
        settings.extend(ini("[domain/lab.example]\nenabled = false\n[domain/off.example]\nenabled = True\n"));
        let off = SssdDomain { name: "off.example".into(), keytab: None, by_realmd: false };
        assert_eq!(sssd_domains(&settings), [corp, off]);
        assert_eq!(sssd_domains(&ini("[domain/x]\n[nss]\nno assignment\n[domain/")), []);
    }

    #[test]
    fn samba_roles() {
        let domain = || "corp.example".to_owned();
        for (text, role) in [
            (
                "[global]\nsecurity = ADS\nrealm = CORP.EXAMPLE\nworkgroup = CORP",
                SambaRole::Member { domain: domain() },
            ),
            ("[global]\nserver role = member server\nrealm=CORP.EXAMPLE", SambaRole::Member { domain: domain() }),
            (
                "[global]\nserver  role = active directory domain controller\nrealm = corp.example",
                SambaRole::DomainController { domain: domain() },
            ),
            ("[global]\nsecurity = domain\nworkgroup = CORP", SambaRole::Member { domain: "corp".into() }),
            ("[global]\nworkgroup = WORKGROUP\nserver role = standalone server", SambaRole::Standalone),
            ("[global]\nsecurity = ads", SambaRole::Standalone),
            ("[share]\nsecurity = ads\nrealm = x", SambaRole::Standalone),
            ("", SambaRole::Standalone),
        ] {
            assert_eq!(samba_role(&ini(text)), role, "{text}");
        }
    }

    #[test]
    fn where_users_come_from() {
        let text = "# passwd: winbind\npasswd: files systemd winbind # here\ngroup: files sss\n";
        assert!(users_come_from(text, "winbind"));
        assert!(!users_come_from(text, "sss"));
    }
}
