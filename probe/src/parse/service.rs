//! The service of the KDC, as `sc query kdc` and `sc qc kdc` print it.

use muster_evidence::ServiceState;

/// What a text tells of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Whether there is such a service.
    pub exists: bool,
    /// Its state; `None` where only its configuration is shown.
    pub state: Option<ServiceState>,
    /// Whether it is disabled; `None` where only its state is shown.
    pub disabled: Option<bool>,
}

/// Says that a text does not show the service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidService {
    /// There is neither a state nor a configuration.
    #[error("no state of a service (expected what `sc query kdc` prints; begins with `{start}`)")]
    NoState {
        /// The beginning of the text.
        start: String,
    },
    /// It is of another service.
    #[error("the service is `{found}` (expected `kdc`)")]
    Other {
        /// The service's name.
        found: String,
    },
}

/// `ERROR_SERVICE_DOES_NOT_EXIST`.
const NO_SUCH_SERVICE: &str = "1060";

/// Reads one or both outputs.
pub fn kdc_service(text: &str) -> Result<Service, InvalidService> {
    let mut service = Service::default();
    for line in text.lines().map(str::trim) {
        // `[SC] EnumQueryServicesStatus:OpenService FAILED 1060:`, whatever the language of the words.
        if line.contains("OpenService") && line.split(|c: char| !c.is_ascii_digit()).any(|word| word == NO_SUCH_SERVICE)
        {
            return Ok(Service::default());
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let number = value.split_ascii_whitespace().next();
        match key {
            "SERVICE_NAME" if !value.eq_ignore_ascii_case("kdc") => {
                let shown = value.chars().take(40).map(|c| if c.is_control() { ' ' } else { c });
                return Err(InvalidService::Other { found: shown.collect() });
            }
            "SERVICE_NAME" => service.exists = true,
            "START_TYPE" => service.disabled = number.map(|number| number == "4"),
            // German Windows translates the word; the number with its English name behind it stays.
            "STATE" | "STATUS" | "ÉTAT" | "ESTADO" | "STATO" => {
                service.state = service.state.or(number.and_then(state));
            }
            _ => {}
        }
    }
    if !service.exists || (service.state.is_none() && service.disabled.is_none()) {
        let start = text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
        return Err(InvalidService::NoState { start });
    }
    Ok(service)
}

/// `dwCurrentState` of `SERVICE_STATUS_PROCESS`.
fn state(number: &str) -> Option<ServiceState> {
    Some(match number {
        "1" => ServiceState::Stopped,
        "2" | "5" => ServiceState::Starting,
        "3" | "6" => ServiceState::Stopping,
        "4" => ServiceState::Running,
        "7" => ServiceState::Paused,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: kdc\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n\
        \x20       START_TYPE         : 4   DISABLED\r\n        ERROR_CONTROL      : 1   NORMAL\r\n";

    fn query(number: &str, word: &str) -> String {
        format!(
            "\r\nSERVICE_NAME: Kdc\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        STATE              : {number}  {word}\r\n\
             \x20                               (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)\r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n"
        )
    }

    #[test]
    fn every_state() {
        for (number, word, state) in [
            ("1", "STOPPED", ServiceState::Stopped),
            ("2", "START_PENDING", ServiceState::Starting),
            ("3", "STOP_PENDING", ServiceState::Stopping),
            ("4", "RUNNING", ServiceState::Running),
            ("5", "CONTINUE_PENDING", ServiceState::Starting),
            ("6", "PAUSE_PENDING", ServiceState::Stopping),
            ("7", "PAUSED", ServiceState::Paused),
        ] {
            let found = kdc_service(&query(number, word)).unwrap();
            assert_eq!(found, Service { exists: true, state: Some(state), disabled: None });
        }
        let both = kdc_service(&(query("1", "STOPPED") + CONFIGURATION)).unwrap();
        assert_eq!((both.state, both.disabled), (Some(ServiceState::Stopped), Some(true)));
        let only = kdc_service(&CONFIGURATION.replace("4   DISABLED", "2   AUTO_START")).unwrap();
        assert_eq!((only.state, only.disabled), (None, Some(false)));
    }

    #[test]
    fn no_such_service_is_a_fact() {
        for text in [
            "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.",
            "[SC] EnumQueryServicesStatus:OpenService FEHLER 1060:\r\n\r\nDer angegebene Dienst ist kein installierter Dienst.",
        ] {
            assert_eq!(kdc_service(text), Ok(Service::default()));
        }
    }

    #[test]
    fn anything_else_is_named() {
        let error = |text: &str| kdc_service(text).unwrap_err().to_string();
        assert_eq!(
            error(&query("4", "RUNNING").replace("Kdc", "spooler")),
            "the service is `spooler` (expected `kdc`)"
        );
        assert_eq!(
            error(&query("4", "RUNNING").replace("Kdc", "\u{7} Kdc")),
            "the service is `  Kdc` (expected `kdc`)",
            "an error holds no control characters"
        );
        for text in ["", "STATE : 4 RUNNING", "SERVICE_NAME: kdc", &query("9", "X"), "[SC] OpenService FAILED 5:"] {
            assert!(error(text).starts_with("no state of a service"), "{text}");
        }
    }
}
