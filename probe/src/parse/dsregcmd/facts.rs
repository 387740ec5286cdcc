//! Evidence in a `dsregcmd /status` text.
//!
//! Three rules run through all of it. A field is looked up only in the sections it belongs to, since the same key
//! stands in several. A user fact read as a service is a gap, never a NO: the tool prints `AzureAdPrt : NO` for SYSTEM
//! whatever the user has. And what was cut off is a gap too: "not shown" is said only of a section known to be whole.

use muster_evidence::{
    CanReset, CertEnrollment, Context, DeviceAuth, DomainMembership, Evidence, Failure, FailureReason, Guid, JoinState,
    Kind, Ngc, NgcPrerequisites, Observation, ObservationKey, Origin, Outcome, PreReqResult, Prt, Sid, Text, Timestamp,
    Tristate, Unsupported,
};
use serde::Serialize;

use super::Status;

const DEVICE_STATE: &str = "Device State";
const DEVICE_DETAILS: &str = "Device Details";
const TENANT_DETAILS: &str = "Tenant Details";
const USER_STATE: &str = "User State";
const SSO_STATE: &str = "SSO State";
const DIAGNOSTIC_DATA: &str = "Diagnostic Data";
const NGC_PREREQUISITES: &str = "Ngc Prerequisite Check";

/// Most bytes of a detail that are quoted from the text.
const QUOTED: usize = 80;

/// What a status text says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The context it was taken in: what the caller said, unless the text itself proves a service.
    pub context: Context,
    /// `Executing Account Name`; `None` where the text does not show it.
    pub account: Option<Account>,
    /// `Device Name`, a name or a fully qualified one; `None` where the text does not show it.
    pub device_name: Option<Text>,
    /// [`Kind::JoinState`], of the host.
    pub join: Outcome,
    /// [`Kind::Prt`], of the user.
    pub prt: Outcome,
    /// [`Kind::Ngc`], of the user.
    pub ngc: Outcome,
    /// [`Kind::NgcPrerequisites`], of the user.
    pub prerequisites: Outcome,
}

/// `Executing Account Name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The account as `DOMAIN\user`, or whatever else stands there.
    pub name: Text,
    /// The user principal name after the comma; `None` where there is none.
    pub upn: Option<Text>,
}

impl Account {
    fn read(value: &str) -> Option<Self> {
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
    fn is(&self, identity: &str) -> bool {
        let same = |name: &str| name.to_lowercase() == identity.to_lowercase();
        let account = self.name.as_str();
        same(account)
            || self.upn.as_ref().is_some_and(|upn| same(upn.as_str()))
            || (!identity.contains(['@', '\\']) && account.rsplit('\\').next().is_some_and(same))
    }
}

impl Facts {
    /// The observations: join state of the host, and the user's where `user` is known.
    pub fn into_observations(self, user: Option<&Sid>, observed_at: Timestamp, origin: Origin) -> Vec<Observation> {
        let context = self.context;
        let observation = |key, outcome| Observation { key, outcome, observed_at, context, origin };
        let mut observations = vec![observation(ObservationKey::host(Kind::JoinState), self.join)];
        if let Some(sid) = user {
            for (kind, outcome) in
                [(Kind::Prt, self.prt), (Kind::Ngc, self.ngc), (Kind::NgcPrerequisites, self.prerequisites)]
            {
                observations.push(observation(ObservationKey::user(kind, sid.clone()), outcome));
            }
        }
        observations
    }
}

impl Status {
    /// Reads the evidence. `context` is where the caller knows the text was taken; `None` derives it from the text.
    pub fn facts(&self, context: Option<Context>) -> Facts {
        let account = self.value(&[DIAGNOSTIC_DATA], "Executing Account Name").and_then(Account::read);
        let context = self.context(context, account.as_ref());
        let user_fact = |outcome: Outcome| match context {
            Context::Service => wrong_context(account.as_ref()),
            Context::UserSession | Context::Unknown => outcome,
        };
        Facts {
            context,
            device_name: self.value(&[DEVICE_STATE], "Device Name").filter(|name| !name.is_empty()).map(Text::cut),
            join: self.join_state(context),
            prt: user_fact(self.prt(account.as_ref())),
            ngc: user_fact(self.ngc()),
            prerequisites: user_fact(self.prerequisites()),
            account,
        }
    }

    /// The context: a service where the text proves one or the caller says so, else the caller's word, else what the
    /// executing account tells.
    fn context(&self, told: Option<Context>, account: Option<&Account>) -> Context {
        let user_context = self.value(&[DIAGNOSTIC_DATA], "User Context");
        if user_context == Some("SYSTEM") || account.is_some_and(Account::is_service) {
            return Context::Service;
        }
        if let Some(told) = told.filter(|told| *told != Context::Unknown) {
            return told;
        }
        match user_context {
            Some("UN-ELEVATED User") => Context::UserSession,
            // Elevation may have changed the account, and then the user facts are another person's.
            Some("ELEVATED User") => Context::Unknown,
            _ if account.is_some() => Context::UserSession,
            _ => Context::Unknown,
        }
    }

    fn join_state(&self, context: Context) -> Outcome {
        let Some(device_state) = self.section(DEVICE_STATE) else {
            return incomplete("section `Device State` is not in the text");
        };
        let flag = |key| tristate(device_state.value(key));
        let flags = [flag("AzureAdJoined"), flag("EnterpriseJoined"), flag("DomainJoined")];
        if !device_state.complete && flags.contains(&Tristate::NotShown) {
            return incomplete("the text ends within section `Device State`");
        }
        // Tenant and key stood in Device State up to 1709.
        let details = |key| self.value(&[DEVICE_DETAILS, DEVICE_STATE], key).filter(|value| !value.is_empty());
        let device_auth = details("DeviceAuthStatus").map(device_auth);
        // Device Details follows Device State, so either may be where the text was cut off, and then a missing answer
        // is not one that is not shown. A later section, or a proven end, shows that there was none.
        let details_whole = match self.section(DEVICE_DETAILS) {
            Some(section) => section.complete,
            None => self.ending.is_proven() || self.sections.last().is_some_and(|last| last.title != DEVICE_STATE),
        };
        let cut = !device_state.complete || !details_whole;
        if cut && flags[0] == Tristate::Yes && device_auth.is_none() {
            return incomplete("the text ends before `DeviceAuthStatus` of section `Device Details`");
        }
        let workplace_joined = match self.value(&[USER_STATE], "WorkplaceJoined") {
            // A service has no work accounts of its own, which says nothing of the user's.
            Some("NO") if context == Context::Service => Tristate::Undetermined,
            None if !self.ending.is_proven() && !self.is_complete(USER_STATE) => Tristate::Undetermined,
            value => tristate(value),
        };
        let domain = device_state
            .value("DomainName")
            .filter(|name| !name.is_empty())
            .map(|name| DomainMembership { name: Text::cut(name), software: Text::cut("windows") });
        let (not_before, not_after) = details("DeviceCertificateValidity").map_or((None, None), validity);
        Outcome::Observed(Evidence::JoinState(JoinState {
            azure_ad_joined: flags[0],
            enterprise_joined: flags[1],
            domain_joined: flags[2],
            workplace_joined,
            domain,
            tenant_id: self.value(&[TENANT_DETAILS, DEVICE_STATE], "TenantId").and_then(|id| id.parse::<Guid>().ok()),
            device_id: details("DeviceId").and_then(|id| id.parse().ok()),
            tpm_protected: tristate(details("TpmProtected")),
            device_auth,
            device_certificate_not_before: not_before,
            device_certificate_not_after: not_after,
            device_certificate_thumbprint: None,
            key_sign_test: None,
            recovery: Tristate::NotShown,
        }))
    }

    fn prt(&self, account: Option<&Account>) -> Outcome {
        // `AzureAdPrt` stood in User State before there was a section for it.
        let Some((title, present)) = [SSO_STATE, USER_STATE]
            .into_iter()
            .find_map(|title| Some((title, self.section(title)?.value("AzureAdPrt")?)))
        else {
            return self.not_shown("AzureAdPrt", &[SSO_STATE, USER_STATE]);
        };
        let value = |key| self.value(&[title], key).filter(|value| !value.is_empty());
        // The last failed attempt is shown for whoever made it, which may be another user of the machine.
        let attempt_is_ours = match (value("User Identity"), account) {
            (Some(identity), Some(account)) => account.is(identity),
            _ => true,
        };
        let of_attempt = |key| value(key).filter(|_| attempt_is_ours).map(Text::cut);
        Outcome::Observed(Evidence::Prt(Prt {
            present: tristate(Some(present)),
            updated_at: value("AzureAdPrtUpdateTime").and_then(time),
            expires_at: value("AzureAdPrtExpiryTime").and_then(time),
            attempt_status: of_attempt("Attempt Status"),
            server_error: of_attempt("Server Error Description"),
            on_prem_tgt: self.flag(SSO_STATE, "OnPremTgt"),
            cloud_tgt: self.flag(SSO_STATE, "CloudTgt"),
        }))
    }

    fn ngc(&self) -> Outcome {
        let value = |key| self.value(&[USER_STATE], key);
        let Some(set) = value("NgcSet") else {
            return self.not_shown("NgcSet", &[USER_STATE]);
        };
        Outcome::Observed(Evidence::Ngc(Ngc {
            set: tristate(Some(set)),
            key_id: value("NgcKeyId").and_then(|id| id.parse().ok()),
            can_reset: value("CanReset").map(|word| match word {
                "DestructiveOnly" => CanReset::DestructiveOnly,
                "NonDestructiveOnly" => CanReset::NonDestructiveOnly,
                "DestructiveAndNonDestructive" => CanReset::DestructiveAndNonDestructive,
                _ => CanReset::Unknown,
            }),
            wam_default_set: self.flag(USER_STATE, "WamDefaultSet"),
            wam_default_error: None,
            workplace_joined: Tristate::NotShown,
            work_accounts: None,
        }))
    }

    fn prerequisites(&self) -> Outcome {
        let Some(section) = self.section(NGC_PREREQUISITES) else {
            // The section comes last, so only a text whose end is proven says that it was not shown.
            if self.ending.is_proven() && self.section(USER_STATE).is_some() {
                return Outcome::Absent;
            }
            return incomplete("section `Ngc Prerequisite Check` is not in the text, and nothing shows where it ends");
        };
        let result = match section.value("PreReqResult") {
            // Microsoft's prose writes both with blanks.
            Some("WillProvision" | "Will Provision") => PreReqResult::WillProvision,
            Some("WillNotProvision" | "Will Not Provision") => PreReqResult::WillNotProvision,
            None if !section.complete => return incomplete("the text ends within section `Ngc Prerequisite Check`"),
            _ => PreReqResult::Undetermined,
        };
        let flag = |key| self.flag(NGC_PREREQUISITES, key);
        let on_prem_tgt = match flag("OnPremTGT") {
            Tristate::NotShown => flag("CloudTGT"),
            shown => shown,
        };
        Outcome::Observed(Evidence::NgcPrerequisites(NgcPrerequisites {
            is_device_joined: flag("IsDeviceJoined"),
            is_user_azure_ad: flag("IsUserAzureAD"),
            policy_enabled: flag("PolicyEnabled"),
            post_logon_enabled: flag("PostLogonEnabled"),
            device_eligible: flag("DeviceEligible"),
            session_is_not_remote: flag("SessionIsNotRemote"),
            cert_enrollment: section.value("CertEnrollment").map(|word| match word {
                "none" => CertEnrollment::None,
                "enrollment authority" => CertEnrollment::EnrollmentAuthority,
                "mobile device management" => CertEnrollment::MobileDeviceManagement,
                _ => CertEnrollment::Other,
            }),
            on_prem_tgt,
            result,
            error: section.value("NgcPreReq").map(|value| Text::cut(error_code(value).unwrap_or(value))),
        }))
    }

    /// A flag of one section. One that is missing from a section that was cut off is not one that is not shown.
    fn flag(&self, title: &str, key: &str) -> Tristate {
        match self.section(title) {
            Some(section) => match section.value(key) {
                None if !section.complete => Tristate::Undetermined,
                value => tristate(value),
            },
            None => Tristate::NotShown,
        }
    }

    /// What it means that a text lacks a field that each build shows in one of these sections.
    fn not_shown(&self, key: &str, titles: &[&str]) -> Outcome {
        let whole = self.ending.is_proven() && titles.iter().any(|title| self.is_complete(title));
        if whole {
            return Outcome::Unsupported(Unsupported {
                detail: Text::cut(&format!("this build of dsregcmd does not show `{key}`")),
            });
        }
        incomplete(&format!("`{key}` is not in the text (expected in section `{}`)", titles.join("` or `")))
    }
}

fn failed(reason: FailureReason, detail: &str) -> Outcome {
    Outcome::Failed(Failure { reason, detail: Text::cut(detail) })
}

fn incomplete(detail: &str) -> Outcome {
    failed(FailureReason::Incomplete, detail)
}

fn wrong_context(account: Option<&Account>) -> Outcome {
    let who: String = account.map_or_else(|| "a service".to_owned(), |account| format!("`{}`", account.name));
    let who: String = who.chars().take(QUOTED).collect();
    failed(
        FailureReason::WrongContext,
        &format!("dsregcmd ran as {who}; it tells the truth about a user only in the user's own session"),
    )
}

fn tristate(value: Option<&str>) -> Tristate {
    match value {
        Some("YES") => Tristate::Yes,
        Some("NO") => Tristate::No,
        Some(_) => Tristate::Undetermined,
        None => Tristate::NotShown,
    }
}

fn device_auth(value: &str) -> DeviceAuth {
    match value {
        "SUCCESS" => DeviceAuth::Success,
        "FAILED. Device is either disabled or deleted" => DeviceAuth::DisabledOrDeleted,
        other => DeviceAuth::TestFailed(Text::cut(other)),
    }
}

/// The code of `ERROR 0xd0020017` and `ERROR (0xd0020017)`.
fn error_code(value: &str) -> Option<&str> {
    let start = value.find("0x")?;
    let digits = value[start + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits > 0).then(|| &value[start..start + 2 + digits])
}

/// Reads `[ t -- t ]`.
fn validity(value: &str) -> (Option<Timestamp>, Option<Timestamp>) {
    let inner = value.trim_start_matches('[').trim_end_matches(']');
    inner.split_once("--").map_or((None, None), |(from, to)| (time(from), time(to)))
}

/// Reads `YYYY-MM-DD HH:MM:SS[.mmm] UTC`. Another zone, or none, is no time we can use.
fn time(value: &str) -> Option<Timestamp> {
    let (date, clock) = value.trim().strip_suffix(" UTC")?.trim_end().split_once(' ')?;
    format!("{date}T{}Z", clock.trim()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::dsregcmd::parse;

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

    #[test]
    fn the_context_is_a_service_wherever_the_text_says_so() {
        let status = |diagnostics: &str| {
            parse(&format!("| Device State |\n AzureAdJoined : YES\n| Diagnostic Data |\n{diagnostics}")).unwrap()
        };
        let person = " Executing Account Name : CORP\\ada, ada@example.com\n";
        let system = " Executing Account Name : NT AUTHORITY\\SYSTEM\n";
        for (diagnostics, told, expected) in [
            (person, None, Context::UserSession),
            (person, Some(Context::Unknown), Context::UserSession),
            (person, Some(Context::Service), Context::Service),
            (system, None, Context::Service),
            (system, Some(Context::UserSession), Context::Service),
            (" User Context : SYSTEM\n", Some(Context::UserSession), Context::Service),
            (" User Context : UN-ELEVATED User\n", None, Context::UserSession),
            (" User Context : ELEVATED User\n", None, Context::Unknown),
            (" User Context : ELEVATED User\n", Some(Context::UserSession), Context::UserSession),
            ("", None, Context::Unknown),
            ("", Some(Context::UserSession), Context::UserSession),
        ] {
            assert_eq!(status(diagnostics).facts(told).context, expected, "{diagnostics} {told:?}");
        }
    }

    #[test]
    fn times_need_their_zone() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        for (value, expected) in [
            ("2026-03-02 08:44:19.512 UTC", at("2026-03-02T08:44:19.512Z")),
            ("2026-03-02 08:44:19 UTC", at("2026-03-02T08:44:19Z")),
            ("2026-03-02 08:44:19", None),
            ("2026-03-02 08:44:19 CET", None),
            ("2026-13-02 08:44:19 UTC", None),
            ("UTC", None),
            ("", None),
        ] {
            assert_eq!(time(value), expected, "{value}");
        }
        assert_eq!(
            validity("[ 2026-01-14 07:20:11 UTC -- 2036-01-14 07:50:11.000 UTC ]"),
            (at("2026-01-14T07:20:11Z"), at("2036-01-14T07:50:11Z"))
        );
        assert_eq!(validity("2026-01-14 07:20:11 UTC"), (None, None));
    }

    #[test]
    fn codes_with_and_without_parentheses() {
        for (value, code) in [
            ("ERROR 0xd0020017", Some("0xd0020017")),
            ("ERROR (0xd0020017)", Some("0xd0020017")),
            ("ERROR", None),
            ("0x", None),
        ] {
            assert_eq!(error_code(value), code, "{value}");
        }
    }

    #[test]
    fn observations_speak_of_the_host_and_of_the_user_that_is_known() {
        let status = parse("| Device State |\n AzureAdJoined : YES\n").unwrap();
        let at = "2026-03-02T08:00:00Z".parse().unwrap();
        let kinds = |user: Option<&Sid>| -> Vec<Kind> {
            let observations = status.facts(None).into_observations(user, at, Origin::Capture);
            observations.iter().map(|observation| observation.key.kind).collect()
        };
        assert_eq!(kinds(None), [Kind::JoinState]);
        let sid = "S-1-5-21-1-2-3-1104".parse().unwrap();
        assert_eq!(kinds(Some(&sid)), [Kind::JoinState, Kind::Prt, Kind::Ngc, Kind::NgcPrerequisites]);
    }
}
