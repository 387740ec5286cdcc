//! Who ran the tool.

use muster_evidence::Text;
use serde::Serialize;

/// `Executing Account Name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The account as `DOMAIN\user`, or whatever else stands there.
    pub name: Text,
    /// The user principal name after the comma; `None` where there is none.
    pub upn: Option<Text>,
}

impl Account {
    pub(super) fn read(value: &str) -> Option<Self> {
        let (name, upn) = match value.split_once(", ") {
            Some((name, upn)) => (name.trim(), Some(upn.trim())),
            None => (value.trim().trim_end_matches(','), None),
        };
        // Where there is no account of the form `DOMAIN\user`, the principal name stands alone.
        if upn.is_none() && name.contains('@') && !name.contains('\\') {
            return Some(Self { name: Text::cut(name), upn: Some(Text::cut(name)) });
        }
        let upn = upn.filter(|upn| upn.contains('@')).map(Text::cut);
        (!name.is_empty()).then(|| Self { name: Text::cut(name), upn })
    }

    /// Whether this is an account of the system or of a machine rather than of a person.
    ///
    /// The authority's name is translated (`NT-AUTORITÄT`, `AUTORITE NT`), so it is known by its word `NT` beside
    /// another one, which no NetBIOS domain name has.
    pub fn is_service(&self) -> bool {
        let (authority, name) = self.name.as_str().split_once('\\').unwrap_or(("", self.name.as_str()));
        let words: Vec<&str> = authority.split_whitespace().collect();
        let authority_is_system = (words.len() > 1 && words.contains(&"NT")) || authority.starts_with("NT-AUTORIT");
        authority_is_system || name.ends_with('$') || (authority.is_empty() && name == "SYSTEM")
    }

    /// Whether `identity`, a principal or account name, is this account. Case does not tell accounts apart.
    pub(super) fn is(&self, identity: &str) -> bool {
        let same = |name: &str| name.to_lowercase() == identity.to_lowercase();
        let account = self.name.as_str();
        same(account)
            || self.upn.as_ref().is_some_and(|upn| same(upn.as_str()))
            || (!identity.contains(['@', '\\']) && account.rsplit('\\').next().is_some_and(same))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_people_and_of_the_system() {
        for (value, name, upn, service) in [
            ("CORP\\ada, ada@example.com", "CORP\\ada", Some("ada@example.com"), false),
            ("AzureAD\\AdaPilot, ada@example.com", "AzureAD\\AdaPilot", Some("ada@example.com"), false),
            ("CORP\\ada", "CORP\\ada", None, false),
            ("CORP\\ada,", "CORP\\ada", None, false),
            ("ada@example.com", "ada@example.com", Some("ada@example.com"), false),
            ("NT AUTHORITY\\SYSTEM", "NT AUTHORITY\\SYSTEM", None, true),
            ("NT-AUTORIT\u{c4}T\\SYSTEM", "NT-AUTORIT\u{c4}T\\SYSTEM", None, true),
            ("AUTORITE NT\\Syst\u{e8}me", "AUTORITE NT\\Syst\u{e8}me", None, true),
            ("CORP\\PC-0417$, PC-0417$@corp.example", "CORP\\PC-0417$", Some("PC-0417$@corp.example"), true),
            ("SYSTEM", "SYSTEM", None, true),
            ("NT-CORP\\ada", "NT-CORP\\ada", None, false),
        ] {
            let account = Account::read(value).unwrap();
            assert_eq!(account.name.as_str(), name);
            assert_eq!(account.upn.as_ref().map(Text::as_str), upn, "{value}");
            assert_eq!(account.is_service(), service, "{value}");
        }
        assert_eq!(Account::read(""), None);
    }

    #[test]
    fn identities_compare_without_case() {
        let account = Account::read("CORP\\ada, Ada@example.com").unwrap();
        for (identity, same) in [
            ("ada@EXAMPLE.com", true),
            ("corp\\ADA", true),
            ("ada", true),
            ("ada@corp.example", false),
            ("OTHER\\ada", false),
            ("eve@example.com", false),
        ] {
            assert_eq!(account.is(identity), same, "{identity}");
        }
    }
}
