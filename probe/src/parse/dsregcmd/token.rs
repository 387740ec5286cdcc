//! The primary refresh token, and the failed attempt to get one that is shown beside it.
//!
//! The attempt is whoever made it last on the machine, and newer builds show up to four of them under the same keys: one
//! for acquiring and one for refreshing, of the token of Entra ID and, further down, of the one of AD FS.

use muster_evidence::{Evidence, Outcome, Prt, Text, Timestamp, Tristate};

use super::facts::{SSO_STATE, USER_STATE, time, tristate};
use super::{Account, Section, Status};

impl Status {
    pub(super) fn prt(&self, account: Option<&Account>) -> Outcome {
        // `AzureAdPrt` stood in User State before there was a section for it.
        let Some((title, section, present)) = [SSO_STATE, USER_STATE].into_iter().find_map(|title| {
            let section = self.section(title)?;
            Some((title, section, section.value("AzureAdPrt")?))
        }) else {
            return self.not_shown("AzureAdPrt", &[SSO_STATE, USER_STATE]);
        };
        let value = |key| section.value(key).filter(|value| !value.is_empty());
        let present = tristate(Some(present));
        let updated_at = value("AzureAdPrtUpdateTime").and_then(time);
        let attempt = last_attempt(section, present, updated_at, account);
        let of_attempt = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Text::cut);
        Outcome::Observed(Evidence::Prt(Prt {
            present,
            updated_at,
            expires_at: value("AzureAdPrtExpiryTime").and_then(time),
            attempt_status: attempt.as_ref().and_then(|attempt| of_attempt(attempt.status)),
            server_error: attempt.as_ref().and_then(|attempt| of_attempt(attempt.server_error)),
            on_prem_tgt: self.flag(title, "OnPremTgt"),
            cloud_tgt: self.flag(title, "CloudTgt"),
        }))
    }
}

/// A failed attempt to get a token.
#[derive(Default)]
struct Attempt<'a> {
    at: Option<Timestamp>,
    status: Option<&'a str>,
    identity: Option<&'a str>,
    server_error: Option<&'a str>,
}

/// The latest attempt that this user made and that no success followed.
fn last_attempt<'a>(
    section: &'a Section,
    present: Tristate,
    updated_at: Option<Timestamp>,
    account: Option<&Account>,
) -> Option<Attempt<'a>> {
    attempts(section)
        .into_iter()
        .filter(|attempt| match (attempt.identity, account) {
            (Some(identity), Some(account)) => account.is(identity),
            // Nobody tells whose it is. Where this user has no token it is likely the reason; beside a token it is not.
            (None, _) | (_, None) => present == Tristate::No,
        })
        // The tool promises to show later ones only.
        .filter(|attempt| !matches!((attempt.at, updated_at), (Some(at), Some(updated)) if at <= updated))
        .max_by_key(|attempt| attempt.at)
}

/// The attempts that concern the token of Entra ID.
fn attempts(section: &Section) -> Vec<Attempt<'_>> {
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for field in section.fields.iter().filter(|field| !field.cut) {
        let value = field.value.as_str();
        match field.key.as_str() {
            // What follows concerns the token of AD FS.
            "EnterprisePrt" => break,
            "AcquirePrtDiagnostics" | "RefreshPrtDiagnostics" => attempts.push(Attempt::default()),
            "Previous Prt Attempt" | "Attempt Status" | "User Identity" | "Server Error Description" => {
                if attempts.is_empty() {
                    attempts.push(Attempt::default());
                }
                let Some(attempt) = attempts.last_mut() else { continue };
                match field.key.as_str() {
                    "Previous Prt Attempt" => attempt.at = time(value),
                    "Attempt Status" => attempt.status = Some(value),
                    "User Identity" => attempt.identity = Some(value).filter(|identity| !identity.is_empty()),
                    _ => attempt.server_error = Some(value),
                }
            }
            _ => {}
        }
    }
    attempts.retain(|attempt| attempt.status.is_some());
    attempts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::dsregcmd::parse;

    /// The status and the server's words of the attempt that a text yields for Ada.
    fn attempt(sso: &str, account: Option<&str>) -> Option<(String, Option<String>)> {
        let status = parse(&format!("| SSO State |\n{sso}\n| Diagnostic Data |\n")).unwrap();
        let account = account.and_then(Account::read);
        let Outcome::Observed(Evidence::Prt(prt)) = status.prt(account.as_ref()) else { panic!("no token section") };
        Some((prt.attempt_status?.to_string(), prt.server_error.map(|text| text.to_string())))
    }

    const ADA: Option<&str> = Some("CORP\\ada, ada@example.com");

    fn block(kind: &str, at: &str, code: &str, identity: &str) -> String {
        format!(
            " {kind} : PRESENT\n Previous Prt Attempt : {at}\n Attempt Status : {code}\n User Identity : {identity}\n \
             Server Error Description : says {code}\n"
        )
    }

    #[test]
    fn an_attempt_counts_if_it_is_this_users_and_later_than_the_success() {
        let updated = " AzureAdPrt : YES\n AzureAdPrtUpdateTime : 2026-03-02 08:00:00.000 UTC\n";
        let none = " AzureAdPrt : NO\n";
        let later = "2026-03-02 09:00:00.000 UTC";
        let earlier = "2026-03-02 07:00:00 UTC";
        let acquire = "AcquirePrtDiagnostics";
        for (head, at, identity, account, counts) in [
            (updated, later, "ada@example.com", ADA, true),
            (updated, earlier, "ada@example.com", ADA, false),
            (updated, "2026-03-02 08:00:00.000 UTC", "ada@example.com", ADA, false),
            (updated, later, "eve@example.com", ADA, false),
            (updated, later, "S-1-5-21-1-2-3-500", ADA, false),
            // Without a name on either side: the reason for a token that is missing, and none beside one that is there.
            (updated, later, "", ADA, false),
            (updated, later, "ada@example.com", None, false),
            (none, later, "ada@example.com", None, true),
            (none, later, "", ADA, true),
            (none, earlier, "eve@example.com", ADA, false),
            // A time without its zone says nothing about the order.
            (updated, "2026-03-02 07:00:00", "ada@example.com", ADA, true),
        ] {
            let found = attempt(&format!("{head}{}", block(acquire, at, "0xc000006d", identity)), account);
            let expected = Some(("0xc000006d".to_owned(), Some("says 0xc000006d".to_owned())));
            assert_eq!(found, counts.then_some(expected).flatten(), "{head} {at} {identity} {account:?}");
        }
    }

    #[test]
    fn of_several_attempts_the_latest_of_this_user_counts() {
        let head = " AzureAdPrt : NO\n";
        let acquire = block("AcquirePrtDiagnostics", "2026-03-02 09:00:00 UTC", "0xc000006d", "ada@example.com");
        let refresh = block("RefreshPrtDiagnostics", "2026-03-02 10:00:00 UTC", "0xc000023c", "ada@example.com");
        let others = block("RefreshPrtDiagnostics", "2026-03-02 11:00:00 UTC", "0xc00000d0", "eve@example.com");
        let adfs = format!(
            " EnterprisePrt : NO\n{}",
            block("AcquirePrtDiagnostics", "2026-03-02 12:00:00 UTC", "0xc00484c0", "ada@example.com")
        );
        let code = |text: String| attempt(&text, ADA).map(|(code, _)| code);
        assert_eq!(code(format!("{head}{acquire}{refresh}")).as_deref(), Some("0xc000023c"));
        assert_eq!(code(format!("{head}{refresh}{acquire}")).as_deref(), Some("0xc000023c"));
        assert_eq!(code(format!("{head}{acquire}{others}")).as_deref(), Some("0xc000006d"));
        assert_eq!(code(format!("{head}{acquire}{adfs}")).as_deref(), Some("0xc000006d"));
        assert_eq!(code(format!("{head}{adfs}")), None);
        assert_eq!(code(head.to_owned()), None);
    }
}
