//! Evidence in a `dsregcmd /status` text.
//!
//! Three rules run through all of it. A field is looked up only in the sections it belongs to, since the same key
//! stands in several. A user fact read as a service is a gap, never a NO: the tool prints `AzureAdPrt : NO` for SYSTEM
//! whatever the user has. And what was cut off is a gap too: "not shown" is said only of a section known to be whole.

use muster_evidence::{
    CanReset, CertEnrollment, Context, DeviceAuth, DomainMembership, Evidence, Failure, FailureReason, Guid, JoinState,
    KeySignTest, Kind, Ngc, NgcPrerequisites, Observation, ObservationKey, Origin, Outcome, PreReqResult, Sid, Text,
    Timestamp, Tristate, Unsupported,
};
use serde::Serialize;

use super::{Account, Status};

pub(super) const DEVICE_STATE: &str = "Device State";
const DEVICE_DETAILS: &str = "Device Details";
const TENANT_DETAILS: &str = "Tenant Details";
pub(super) const USER_STATE: &str = "User State";
pub(super) const SSO_STATE: &str = "SSO State";
pub(super) const DIAGNOSTIC_DATA: &str = "Diagnostic Data";
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
    /// [`Kind::RegistrationDiagnostics`], of the host.
    pub registration: Outcome,
}

impl Facts {
    /// The observations: join state and registration of the host, and the user's where `user` is known.
    pub fn into_observations(self, user: Option<&Sid>, observed_at: Timestamp, origin: Origin) -> Vec<Observation> {
        let context = self.context;
        let observation = |key, outcome| Observation { key, outcome, observed_at, context, origin };
        let mut observations = vec![
            observation(ObservationKey::host(Kind::JoinState), self.join),
            observation(ObservationKey::host(Kind::RegistrationDiagnostics), self.registration),
        ];
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
            registration: self.registration(),
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
            device_certificate_thumbprint: details("Thumbprint").and_then(|text| text.parse().ok()),
            key_sign_test: self
                .value(&[DIAGNOSTIC_DATA, DEVICE_DETAILS, DEVICE_STATE], "KeySignTest")
                .and_then(key_sign_test),
            recovery: self.recovery(),
        }))
    }

    /// `AadRecoveryEnabled`; until 1809 `AadRecoveryNeeded`, which stood in the last section at first.
    fn recovery(&self) -> Tristate {
        const TITLES: &[&str] = &[DIAGNOSTIC_DATA, NGC_PREREQUISITES];
        let shown = ["AadRecoveryEnabled", "AadRecoveryNeeded"].into_iter().find_map(|key| self.value(TITLES, key));
        match shown {
            None if !self.ending.is_proven() && !self.is_complete(DIAGNOSTIC_DATA) => Tristate::Undetermined,
            value => tristate(value),
        }
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
            wam_default_error: value("WamDefaultSet").filter(|word| !matches!(*word, "YES" | "NO" | "")).map(Text::cut),
            workplace_joined: self.flag(USER_STATE, "WorkplaceJoined"),
            work_accounts: value("WorkAccountCount").and_then(|count| count.parse().ok()),
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
    pub(super) fn flag(&self, title: &str, key: &str) -> Tristate {
        match self.section(title) {
            Some(section) => match section.value(key) {
                None if !section.complete => Tristate::Undetermined,
                value => tristate(value),
            },
            None => Tristate::NotShown,
        }
    }

    /// What it means that a text lacks a field that each build shows in one of these sections.
    pub(super) fn not_shown(&self, key: &str, titles: &[&str]) -> Outcome {
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

pub(super) fn incomplete(detail: &str) -> Outcome {
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

pub(super) fn tristate(value: Option<&str>) -> Tristate {
    match value {
        Some("YES") => Tristate::Yes,
        Some("NO") => Tristate::No,
        Some(_) => Tristate::Undetermined,
        None => Tristate::NotShown,
    }
}

fn device_auth(value: &str) -> DeviceAuth {
    match value.trim_end_matches('.') {
        "SUCCESS" => DeviceAuth::Success,
        "FAILED. Device is either disabled or deleted" => DeviceAuth::DisabledOrDeleted,
        _ => DeviceAuth::TestFailed(Text::cut(value)),
    }
}

/// `KeySignTest`. Another word than these says nothing of the key.
fn key_sign_test(value: &str) -> Option<KeySignTest> {
    if value == "PASSED" {
        return Some(KeySignTest::Passed);
    }
    if value.starts_with("FAILED") {
        return Some(KeySignTest::Failed(Text::cut(value)));
    }
    // "MUST Run elevated to test.", in newer builds with other capitals.
    value.to_ascii_lowercase().starts_with("must run elevated").then_some(KeySignTest::NotElevated)
}

/// The code of `ERROR 0xd0020017` and `ERROR (0xd0020017)`.
pub(super) fn error_code(value: &str) -> Option<&str> {
    let start = value.find("0x")?;
    let digits = value[start + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits > 0).then(|| &value[start..start + 2 + digits])
}

/// Reads `[ t -- t ]`.
fn validity(value: &str) -> (Option<Timestamp>, Option<Timestamp>) {
    let inner = value.trim_start_matches('[').trim_end_matches(']');
    // Word processors make one dash of two.
    let ends = ["--", "–", "—"].into_iter().find_map(|dash| inner.split_once(dash));
    ends.map_or((None, None), |(from, to)| (time(from), time(to)))
}

/// Reads `YYYY-MM-DD HH:MM:SS[.mmm] UTC`. Another zone, or none, is no time we can use.
pub(super) fn time(value: &str) -> Option<Timestamp> {
    let (date, clock) = value.trim().strip_suffix(" UTC")?.trim_end().split_once(' ')?;
    format!("{date}T{}Z", clock.trim()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::dsregcmd::parse;

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
    fn the_key_of_the_device_and_its_recovery() {
        let join = |text: &str| match parse(&format!("| Device State |\n AzureAdJoined : YES\n{text}"))
            .unwrap()
            .facts(None)
            .join
        {
            Outcome::Observed(Evidence::JoinState(join)) => join,
            other => panic!("{other:?}"),
        };
        let end = "\nFor more information, please visit x";
        let thumbprint = "2F9A61C0B37D4485E1A0D96C5B7E3F2410AC8D51";
        let failed = |text: &str| Some(KeySignTest::Failed(Text::cut(text)));
        for (text, test, recovery) in [
            (
                "| Diagnostic Data |\n KeySignTest : PASSED\n AadRecoveryEnabled : NO\n",
                Some(KeySignTest::Passed),
                Tristate::No,
            ),
            (
                " KeySignTest: : PASSED\n| Ngc Prerequisite Check |\n AadRecoveryNeeded : YES\n",
                Some(KeySignTest::Passed),
                Tristate::Yes,
            ),
            (
                "| Diagnostic Data |\n AadRecoveryNeeded : NO\n KeySignTest : MUST Run elevated to test.\n",
                Some(KeySignTest::NotElevated),
                Tristate::No,
            ),
            (
                "| Diagnostic Data |\n KeySignTest : FAILED. Error: 0xd0048451\n",
                failed("FAILED. Error: 0xd0048451"),
                Tristate::NotShown,
            ),
            (
                "| Diagnostic Data |\n KeySignTest : UNKNOWN\n AadRecoveryEnabled : ERROR\n",
                None,
                Tristate::Undetermined,
            ),
            ("", None, Tristate::NotShown),
        ] {
            let found = join(&format!(" Thumbprint : {thumbprint}\n{text}{end}"));
            assert_eq!((found.key_sign_test, found.recovery), (test, recovery), "{text}");
            assert_eq!(found.device_certificate_thumbprint, Some(thumbprint.parse().unwrap()));
        }
        // The text ends before the section that would tell.
        let cut = join(" DeviceAuthStatus : SUCCESS\n EnterpriseJoined : NO\n DomainJoined : YES\n| User State |\n");
        assert_eq!((cut.key_sign_test, cut.recovery), (None, Tristate::Undetermined));
    }

    #[test]
    fn device_authentication_by_its_words() {
        for (value, expected) in [
            ("SUCCESS", DeviceAuth::Success),
            ("FAILED. Device is either disabled or deleted", DeviceAuth::DisabledOrDeleted),
            ("FAILED. Device is either disabled or deleted.", DeviceAuth::DisabledOrDeleted),
            ("FAILED. Error: 0xd000023c", DeviceAuth::TestFailed(Text::cut("FAILED. Error: 0xd000023c"))),
            ("FAILED. ERROR", DeviceAuth::TestFailed(Text::cut("FAILED. ERROR"))),
        ] {
            assert_eq!(device_auth(value), expected, "{value}");
        }
    }

    #[test]
    fn the_account_of_the_session() {
        let ngc = |text: &str| {
            let text = format!("| User State |\n NgcSet : NO\n{text}| SSO State |\n");
            match parse(&text).unwrap().facts(None).ngc {
                Outcome::Observed(Evidence::Ngc(ngc)) => ngc,
                other => panic!("{other:?}"),
            }
        };
        for (text, set, error) in [
            (" WamDefaultSet : YES\n", Tristate::Yes, None),
            (" WamDefaultSet : NO\n", Tristate::No, None),
            (" WamDefaultSet : ERROR\n", Tristate::Undetermined, Some("ERROR")),
            (" WamDefaultSet : ERROR (0xd0020017)\n", Tristate::Undetermined, Some("ERROR (0xd0020017)")),
            ("", Tristate::NotShown, None),
        ] {
            let found = ngc(text);
            assert_eq!(found.wam_default_set, set, "{text}");
            assert_eq!(found.wam_default_error.as_ref().map(Text::as_str), error, "{text}");
        }
        let found = ngc(" WorkplaceJoined : YES\n WorkAccountCount : 2\n");
        assert_eq!((found.workplace_joined, found.work_accounts), (Tristate::Yes, Some(2)));
        let found = ngc(" WorkAccountCount : two\n");
        assert_eq!((found.workplace_joined, found.work_accounts), (Tristate::NotShown, None));
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
        assert_eq!(kinds(None), [Kind::JoinState, Kind::RegistrationDiagnostics]);
        let sid = "S-1-5-21-1-2-3-1104".parse().unwrap();
        assert_eq!(
            kinds(Some(&sid)),
            [Kind::JoinState, Kind::RegistrationDiagnostics, Kind::Prt, Kind::Ngc, Kind::NgcPrerequisites]
        );
    }
}
