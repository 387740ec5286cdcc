//! The diagnostics of a device registration that does not succeed.

use muster_evidence::{RegistrationDiagnostics, RegistrationPhase, RegistrationTest, TestResult, Timestamp, limits};

use super::field::{self, InvalidField, wire_enum};
use crate::v1;

wire_enum!(
    RegistrationPhase,
    v1::RegistrationPhase {
        PreCheck = PreCheck,
        Discover = Discover,
        Authenticate = Authenticate,
        Join = Join,
        Other = Other,
    }
);
wire_enum!(TestResult, v1::TestResult { Pass = Pass, Fail = Fail, Skipped = Skipped, Other = Other });

impl From<&RegistrationDiagnostics> for v1::RegistrationDiagnostics {
    fn from(diagnostics: &RegistrationDiagnostics) -> Self {
        let RegistrationDiagnostics {
            user_context,
            previous_registration,
            registration_type,
            phase,
            client_error,
            server_error,
            server_message,
            https_status,
            request_id,
            tests,
        } = diagnostics;
        Self {
            user_context: user_context.clone().map(Into::into),
            previous_registration_ms: previous_registration.map(Timestamp::unix_ms),
            registration_type: registration_type.clone().map(Into::into),
            phase: field::enum_number(phase.map(v1::RegistrationPhase::from)),
            client_error: *client_error,
            server_error: server_error.clone().map(Into::into),
            server_message: server_message.clone().map(Into::into),
            https_status: *https_status,
            request_id: request_id.clone().map(Into::into),
            tests: tests.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::RegistrationDiagnostics> for RegistrationDiagnostics {
    type Error = InvalidField;

    fn try_from(message: v1::RegistrationDiagnostics) -> Result<Self, Self::Error> {
        let v1::RegistrationDiagnostics {
            user_context,
            previous_registration_ms,
            registration_type,
            phase,
            client_error,
            server_error,
            server_message,
            https_status,
            request_id,
            tests,
        } = message;
        Ok(Self {
            user_context: field::optional_text(user_context.as_deref(), "user_context")?,
            previous_registration: field::optional_time(previous_registration_ms, "previous_registration_ms")?,
            registration_type: field::optional_text(registration_type.as_deref(), "registration_type")?,
            phase: field::optional_enum(phase, "phase")?,
            client_error,
            server_error: field::optional_text(server_error.as_deref(), "server_error")?,
            server_message: field::optional_text(server_message.as_deref(), "server_message")?,
            https_status,
            request_id: field::optional_text(request_id.as_deref(), "request_id")?,
            tests: field::list(tests, limits::REGISTRATION_TESTS, "tests")?,
        })
    }
}

impl From<&RegistrationTest> for v1::RegistrationTest {
    fn from(test: &RegistrationTest) -> Self {
        let RegistrationTest { name, result, detail } = test;
        Self {
            name: name.to_string(),
            result: v1::TestResult::from(*result).into(),
            detail: detail.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::RegistrationTest> for RegistrationTest {
    type Error = InvalidField;

    fn try_from(message: v1::RegistrationTest) -> Result<Self, Self::Error> {
        let v1::RegistrationTest { name, result, detail } = message;
        Ok(Self {
            name: field::text(&name, "name")?,
            result: field::required_enum(result, "result")?,
            detail: field::optional_text(detail.as_deref(), "detail")?,
        })
    }
}
