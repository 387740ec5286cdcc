//! The diagnostics of a hybrid join that fails, in `Diagnostic Data`.
//!
//! Windows shows them while the machine belongs to a domain and is not registered. A machine that is joined shows none,
//! which is a fact; so is a machine without a domain, which does not try. A build that knows no diagnostics cannot tell.

use muster_evidence::{
    Evidence, Outcome, RegistrationDiagnostics, RegistrationPhase, RegistrationTest, TestResult, Text, Tristate,
    Unsupported, limits,
};

use super::facts::{DEVICE_STATE, DIAGNOSTIC_DATA, error_code, incomplete, time, tristate};
use super::{Field, Section, Status};

/// Fields that only the diagnostics have.
const KEYS: &[&str] = &[
    "Diagnostics Reference",
    "User Context",
    "Previous Registration",
    "Registration Type",
    "Error Phase",
    "Client ErrorCode",
    "Server ErrorCode",
    "Server Message",
    "Https Status",
    "Request Id",
];

impl Status {
    pub(super) fn registration(&self) -> Outcome {
        let section = self.section(DIAGNOSTIC_DATA);
        let shown = section.is_some_and(|section| section.fields.iter().any(belongs));
        let whole = match section {
            Some(section) => section.complete,
            // The sections behind it are not in every text, so only a proven end says that it was not shown.
            None => self.ending.is_proven(),
        };
        match section {
            _ if !whole && shown => incomplete("the text ends within section `Diagnostic Data`"),
            _ if !whole => incomplete("section `Diagnostic Data` is not whole in the text"),
            Some(section) if shown => {
                Outcome::Observed(Evidence::RegistrationDiagnostics(Box::new(diagnostics(section))))
            }
            _ => self.without_diagnostics(),
        }
    }

    /// What it means that a whole text shows none.
    fn without_diagnostics(&self) -> Outcome {
        let flag = |key| tristate(self.value(&[DEVICE_STATE], key));
        match (flag("AzureAdJoined"), flag("DomainJoined")) {
            (Tristate::Yes, _) | (_, Tristate::No) => Outcome::Absent,
            (Tristate::No, Tristate::Yes) => Outcome::Unsupported(Unsupported {
                detail: Text::cut("this build of dsregcmd shows no diagnostics of a registration"),
            }),
            _ => incomplete("section `Device State` does not tell whether the machine is joined"),
        }
    }
}

fn belongs(field: &Field) -> bool {
    KEYS.contains(&field.key.as_str()) || is_test(&field.key)
}

fn is_test(key: &str) -> bool {
    key.ends_with(" Test") || key.starts_with("Fallback to ")
}

fn diagnostics(section: &Section) -> RegistrationDiagnostics {
    let value = |key| section.value(key).filter(|value| !value.is_empty());
    let text = |key| value(key).map(Text::cut);
    RegistrationDiagnostics {
        user_context: text("User Context"),
        previous_registration: value("Previous Registration").and_then(time),
        registration_type: text("Registration Type"),
        phase: value("Error Phase").map(phase),
        client_error: value("Client ErrorCode").and_then(code),
        server_error: text("Server ErrorCode"),
        server_message: text("Server Message"),
        https_status: value("Https Status").and_then(|status| status.parse().ok()),
        request_id: text("Request Id"),
        tests: section
            .fields
            .iter()
            .filter(|field| is_test(&field.key))
            .take(limits::REGISTRATION_TESTS)
            .map(test)
            .collect(),
    }
}

fn phase(word: &str) -> RegistrationPhase {
    match word {
        "pre-check" | "precheck" => RegistrationPhase::PreCheck,
        "discover" => RegistrationPhase::Discover,
        "auth" => RegistrationPhase::Authenticate,
        "join" => RegistrationPhase::Join,
        _ => RegistrationPhase::Other,
    }
}

/// A code such as `0x801c03f2`.
fn code(value: &str) -> Option<u32> {
    u32::from_str_radix(error_code(value)?.get(2..)?, 16).ok()
}

fn test(field: &Field) -> RegistrationTest {
    let value = field.value.as_str();
    let bracketed = || {
        let inner = value.split_once('[')?.1;
        let inner = inner.split_once(']').map_or(inner, |(inner, _)| inner).trim();
        (!inner.is_empty()).then(|| Text::cut(inner))
    };
    let (result, detail) = match value.split([' ', '[']).next().unwrap_or_default() {
        "PASS" => (TestResult::Pass, bracketed()),
        "FAIL" => (TestResult::Fail, bracketed()),
        "SKIPPED" => (TestResult::Skipped, bracketed()),
        _ => (TestResult::Other, (!value.is_empty()).then(|| Text::cut(value))),
    };
    RegistrationTest { name: Text::cut(field.key.strip_suffix(" Test").unwrap_or(&field.key)), result, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::dsregcmd::parse;
    use muster_evidence::{Failure, FailureReason};

    const END: &str = "\nFor more information, please visit https://www.microsoft.com/aadjerrors\n";

    fn registration(state: &str, diagnostics: &str) -> Outcome {
        parse(&format!("| Device State |\n{state}\n{diagnostics}")).unwrap().registration()
    }

    #[test]
    fn everything_that_is_shown() {
        let text = "| Diagnostic Data |\n\
            Diagnostics Reference : www.microsoft.com/aadjerrors\n\
            User Context : UN-ELEVATED User\n\
            Client Time : 2026-05-10 04:18:52.000 UTC\n\
            AD Connectivity Test : PASS\n\
            DRS Discovery Test : FAIL [0x801c0021/0x80072ee7]\n\
            DRS Connectivity Test : FAIL\n\
            Token acquisition Test : SKIPPED\n\
            Fallback to Sync-Join : ENABLED\n\n\
            Previous Registration : 2026-05-10 03:48:42 UTC\n\
            Registration Type : fed\n\
            Error Phase : discover\n\
            Client ErrorCode : 0x801c0021\n\
            Server ErrorCode : DirectoryError\n\
            Server Message : The device object is not\nfound.\n\
            Https Status : 400\n\
            Request Id : e9f41b07-5c2d-4d18-8aa3-70b6c5e2d914\n\
            KeySignTest : MUST Run elevated to test.\n";
        let Outcome::Observed(Evidence::RegistrationDiagnostics(found)) =
            registration(" AzureAdJoined : NO\n DomainJoined : YES\n", &format!("{text}{END}"))
        else {
            panic!("not observed")
        };
        let words = |text: Option<&Text>| text.map(ToString::to_string);
        assert_eq!(words(found.user_context.as_ref()).as_deref(), Some("UN-ELEVATED User"));
        assert_eq!(found.previous_registration, Some("2026-05-10T03:48:42Z".parse().unwrap()));
        assert_eq!(words(found.registration_type.as_ref()).as_deref(), Some("fed"));
        assert_eq!(found.phase, Some(RegistrationPhase::Discover));
        assert_eq!(found.client_error, Some(0x801c_0021));
        assert_eq!(words(found.server_error.as_ref()).as_deref(), Some("DirectoryError"));
        assert_eq!(words(found.server_message.as_ref()).as_deref(), Some("The device object is not found."));
        assert_eq!(found.https_status, Some(400));
        assert_eq!(words(found.request_id.as_ref()).as_deref(), Some("e9f41b07-5c2d-4d18-8aa3-70b6c5e2d914"));
        let tests: Vec<_> =
            found.tests.iter().map(|test| (test.name.as_str(), test.result, words(test.detail.as_ref()))).collect();
        assert_eq!(
            tests,
            [
                ("AD Connectivity", TestResult::Pass, None),
                ("DRS Discovery", TestResult::Fail, Some("0x801c0021/0x80072ee7".to_owned())),
                ("DRS Connectivity", TestResult::Fail, None),
                ("Token acquisition", TestResult::Skipped, None),
                ("Fallback to Sync-Join", TestResult::Other, Some("ENABLED".to_owned())),
            ]
        );
    }

    #[test]
    fn what_is_not_shown_says_what_it_can() {
        let joined = " AzureAdJoined : YES\n DomainJoined : YES\n";
        let domain = " AzureAdJoined : NO\n DomainJoined : YES\n";
        let alone = " AzureAdJoined : NO\n DomainJoined : NO\n";
        let other = "| Diagnostic Data |\n AadRecoveryEnabled : NO\n KeySignTest : PASSED\n";
        assert_eq!(registration(joined, END), Outcome::Absent);
        assert_eq!(registration(joined, &format!("{other}{END}")), Outcome::Absent);
        assert_eq!(registration(alone, END), Outcome::Absent);
        assert!(matches!(registration(domain, END), Outcome::Unsupported(_)));
        assert!(matches!(registration(domain, &format!("{other}{END}")), Outcome::Unsupported(_)));
        for (state, text) in [
            (joined, String::new()),
            (domain, other.to_owned()),
            (domain, "| Diagnostic Data |\n User Context : SYSTEM\n AD Connectivity Test : PASS\n".to_owned()),
            (" AzureAdJoined : UNKNOWN\n", END.to_owned()),
        ] {
            let found = registration(state, &text);
            assert!(matches!(found, Outcome::Failed(Failure { reason: FailureReason::Incomplete, .. })), "{found:?}");
        }
    }

    #[test]
    fn words_that_this_build_does_not_know_are_kept() {
        assert_eq!(phase("tidy-up"), RegistrationPhase::Other);
        assert_eq!(code("0x801c03f2"), Some(0x801c_03f2));
        assert_eq!(code("none"), None);
        let field = |value: &str| Field {
            key: "Kerberos Ticket Test".to_owned(),
            value: value.to_owned(),
            redacted: false,
            cut: false,
        };
        assert_eq!(test(&field("")).result, TestResult::Other);
        let odd = test(&field("NOT RUN (later)"));
        assert_eq!((odd.result, odd.detail.unwrap().to_string()), (TestResult::Other, "NOT RUN (later)".to_owned()));
        let open = test(&field("FAIL [0x54b"));
        assert_eq!((open.result, open.detail.unwrap().to_string()), (TestResult::Fail, "0x54b".to_owned()));
    }
}
