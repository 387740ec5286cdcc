//! Linux: membership by SSSD or Samba, read from their configuration and the machine's keytab.
//!
//! Linux shows nothing of Entra ID as Windows does, so those flags are *not shown* rather than *no*. A membership that
//! is configured while the machine has no keytab cannot work; it is *undetermined*, since another keytab may be in use
//! that we do not know of. A file we may not read is a failure and never "not joined".

use std::path::Path;

use muster_evidence::{DomainMembership, Evidence, JoinState, Outcome, Text, Tristate};

use super::parse::{self, SambaRole};
use crate::source::files::{self, ReadError};
use crate::source::{SourceSettings, failed};

/// The keytab that SSSD and adcli use unless told otherwise.
const KEYTAB: &str = "etc/krb5.keytab";

pub(super) fn observe(settings: &SourceSettings) -> Outcome {
    let looks = [sssd(&settings.root), samba(&settings.root)];
    let mut configured = None;
    let mut error = None;
    for look in looks {
        match look {
            Ok(Some(found)) if found.proven => return observed(Tristate::Yes, Some(found.membership)),
            Ok(Some(found)) => configured = configured.or(Some(found.membership)),
            Ok(None) => {}
            Err(problem) => error = error.or(Some(problem)),
        }
    }
    match (error, configured) {
        (Some(error), _) => failed(error.reason(), error.line()),
        (None, Some(membership)) => observed(Tristate::Undetermined, Some(membership)),
        (None, None) => observed(Tristate::No, None),
    }
}

fn observed(domain_joined: Tristate, domain: Option<DomainMembership>) -> Outcome {
    Outcome::Observed(Evidence::JoinState(JoinState {
        azure_ad_joined: Tristate::NotShown,
        enterprise_joined: Tristate::NotShown,
        domain_joined,
        workplace_joined: Tristate::NotShown,
        domain,
        tenant_id: None,
        device_id: None,
        tpm_protected: Tristate::NotShown,
        device_auth: None,
        device_certificate_not_before: None,
        device_certificate_not_after: None,
        device_certificate_thumbprint: None,
        key_sign_test: None,
        recovery: Tristate::NotShown,
    }))
}

struct Found {
    membership: DomainMembership,
    /// Whether the secret of the machine account is there too.
    proven: bool,
}

impl Found {
    fn new(name: &str, software: &str, proven: bool) -> Self {
        Self { membership: DomainMembership { name: Text::cut(name), software: Text::cut(software) }, proven }
    }
}

fn sssd(root: &Path) -> Result<Option<Found>, ReadError> {
    let mut settings = Vec::new();
    if let Some(text) = files::read_text(&root.join("etc/sssd/sssd.conf"))? {
        settings.extend(parse::ini(&text));
    }
    for path in files::list(&root.join("etc/sssd/conf.d"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // SSSD reads files that end in `.conf` and are not hidden.
        if name.ends_with(".conf")
            && !name.starts_with('.')
            && let Some(text) = files::read_text(&path)?
        {
            settings.extend(parse::ini(&text));
        }
    }
    let mut first = None;
    for domain in parse::sssd_domains(&settings) {
        let keytab = domain.keytab.as_deref().map_or(KEYTAB, |path| path.trim_start_matches('/'));
        let proven = exists(&root.join(keytab))?;
        let software = if domain.by_realmd { "sssd, joined by realmd" } else { "sssd" };
        let found = Found::new(&domain.name, software, proven);
        if proven {
            return Ok(Some(found));
        }
        first = first.or(Some(found));
    }
    Ok(first)
}

fn samba(root: &Path) -> Result<Option<Found>, ReadError> {
    let Some(text) = files::read_text(&root.join("etc/samba/smb.conf"))? else { return Ok(None) };
    match parse::samba_role(&parse::ini(&text)) {
        SambaRole::DomainController { domain } => {
            let proven = exists(&root.join("var/lib/samba/private/sam.ldb"))?;
            Ok(Some(Found::new(&domain, "samba domain controller", proven)))
        }
        SambaRole::Member { domain } => {
            let nsswitch = files::read_text(&root.join("etc/nsswitch.conf"))?.unwrap_or_default();
            let secret = exists(&root.join("var/lib/samba/private/secrets.tdb"))? || exists(&root.join(KEYTAB))?;
            let proven = secret && parse::users_come_from(&nsswitch, "winbind");
            Ok(Some(Found::new(&domain, "winbind", proven)))
        }
        SambaRole::Standalone => Ok(None),
    }
}

fn exists(path: &Path) -> Result<bool, ReadError> {
    path.try_exists().map_err(|source| ReadError::Io { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use muster_evidence::FailureReason;
    use tempfile::TempDir;

    use super::*;

    const SSSD: &str = "[sssd]\ndomains = corp.example\n[domain/corp.example]\nid_provider = ad\n\
        realmd_tags = manages-system joined-with-adcli\n";
    const SAMBA: &str = "[global]\nsecurity = ads\nrealm = CORP.EXAMPLE\nworkgroup = CORP\n";

    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn join(root: &TempDir) -> (Tristate, Option<String>) {
        match observe(&SourceSettings { root: root.path().to_owned(), ..SourceSettings::default() }) {
            Outcome::Observed(Evidence::JoinState(join)) => {
                assert_eq!(join.azure_ad_joined, Tristate::NotShown);
                (join.domain_joined, join.domain.map(|domain| format!("{} by {}", domain.name, domain.software)))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn memberships() {
        let winbind = ("etc/nsswitch.conf", "passwd: files winbind\n");
        let keytab = ("etc/krb5.keytab", "k");
        for (files, joined, domain) in [
            (vec![], Tristate::No, None),
            (vec![keytab], Tristate::No, None),
            (vec![("etc/sssd/sssd.conf", SSSD), keytab], Tristate::Yes, Some("corp.example by sssd, joined by realmd")),
            (
                vec![("etc/sssd/sssd.conf", SSSD)],
                Tristate::Undetermined,
                Some("corp.example by sssd, joined by realmd"),
            ),
            (
                vec![
                    ("etc/sssd/conf.d/10-corp.conf", "[domain/corp.example]\nid_provider=ad\nenabled=true\n"),
                    ("etc/sssd/conf.d/.20-off.conf", "[domain/corp.example]\nenabled=false\n"),
                    keytab,
                ],
                Tristate::Yes,
                Some("corp.example by sssd"),
            ),
            (vec![("etc/samba/smb.conf", SAMBA), winbind, keytab], Tristate::Yes, Some("corp.example by winbind")),
            (vec![("etc/samba/smb.conf", SAMBA), keytab], Tristate::Undetermined, Some("corp.example by winbind")),
            (vec![("etc/samba/smb.conf", "[global]\nworkgroup = WORKGROUP\n"), winbind], Tristate::No, None),
        ] {
            let root = root(&files);
            assert_eq!(join(&root), (joined, domain.map(str::to_owned)), "{files:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_failure() {
        // A folder stands where the file should: no account may read it as one.
        let root = root(&[("etc/sssd/sssd.conf/x", "")]);
        match observe(&SourceSettings { root: root.path().to_owned(), ..SourceSettings::default() }) {
            Outcome::Failed(failure) => assert_eq!(failure.reason, FailureReason::Unreadable),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_is_a_refusal() {
        let error =
            ReadError::Io { path: "/etc/sssd/sssd.conf".into(), source: std::io::ErrorKind::PermissionDenied.into() };
        assert_eq!(error.reason(), FailureReason::AccessDenied);
        assert_eq!(error.line(), "failed to read `/etc/sssd/sssd.conf`: permission denied");
    }
}
