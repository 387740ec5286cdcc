//! Names of people, which leave this machine only where its owner wants them to.
//!
//! A person is told apart by the SID, which every check gets by with. User principal names are read all the same, for
//! `muster-probe check` on the spot, and are taken out here, the one place every report passes. So are words that may
//! be one in the few texts that others write: what a directory service answers may name whom it answered.

use muster_evidence::{Evidence, InventoryItem, InventoryPart, Observation, Outcome, Text};

/// What takes the place of a word that may name somebody.
const TAKEN_OUT: &str = "…";

/// Takes the names of people out of what is about to be reported.
pub fn take_out(observations: &mut [Observation], inventory: &mut [InventoryPart]) {
    for seen in observations {
        match &mut seen.outcome {
            Outcome::Observed(evidence) => of_evidence(evidence),
            Outcome::Absent | Outcome::Unsupported(_) | Outcome::Failed(_) => {}
        }
    }
    for item in inventory.iter_mut().flat_map(|part| &mut part.items) {
        match item {
            InventoryItem::UserKeys(keys) => keys.upn = None,
            InventoryItem::Removed(_) => {}
        }
    }
}

/// Every kind is decided about: one that may name somebody must not be added without a word here.
fn of_evidence(evidence: &mut Evidence) {
    match evidence {
        Evidence::KeyRegistration(registration) => registration.upn = None,
        Evidence::Prt(prt) => of_text(&mut prt.server_error),
        Evidence::RegistrationDiagnostics(diagnostics) => {
            of_text(&mut diagnostics.user_context);
            of_text(&mut diagnostics.server_error);
            of_text(&mut diagnostics.server_message);
        }
        Evidence::Ngc(ngc) => of_text(&mut ngc.wam_default_error),
        Evidence::NgcPrerequisites(section) => of_text(&mut section.error),
        Evidence::DeviceEvents(summary) | Evidence::KdcEvents(summary) => {
            summary.events.iter_mut().for_each(|event| of_text(&mut event.data));
        }
        Evidence::Tpm(_)
        | Evidence::OperatingSystem(_)
        | Evidence::JoinState(_)
        | Evidence::DomainController(_)
        | Evidence::CertificateListing(_)
        | Evidence::Certificate(_)
        | Evidence::UserSession(_)
        | Evidence::PinProvider(_)
        | Evidence::ProvisioningEvent(_)
        | Evidence::UserPolicy(_)
        | Evidence::UserMdmPolicy(_)
        | Evidence::ComputerPolicy(_)
        | Evidence::DeviceMdmPolicy(_)
        | Evidence::DeviceRegistrationPolicy(_)
        | Evidence::DcLocator(_)
        | Evidence::RootStore(_)
        | Evidence::NtAuthStore(_)
        | Evidence::RevocationLists(_)
        | Evidence::KdcService(_)
        | Evidence::KdcPolicy(_)
        | Evidence::KdcLoad(_)
        | Evidence::Replication(_)
        | Evidence::SyncScheduler(_)
        | Evidence::Clock(_) => {}
    }
}

/// Takes out every word that may be a user principal name, an address, or `DOMAIN\account`.
fn of_text(text: &mut Option<Text>) {
    let Some(found) = text.as_ref().filter(|found| found.as_str().split(' ').any(may_name)) else { return };
    let words: Vec<&str> =
        found.as_str().split(' ').map(|word| if may_name(word) { TAKEN_OUT } else { word }).collect();
    *text = Some(Text::cut(&words.join(" ")));
}

fn may_name(word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let joined = |at: char| {
        word.match_indices(at)
            .any(|(place, _)| word[..place].ends_with(is_name) && word[place + at.len_utf8()..].starts_with(is_name))
    };
    joined('@') || joined('\\')
}

#[cfg(test)]
mod tests {
    use muster_evidence::{
        Context, EventSummary, KeyRegistration, NewestEvent, ObservationKey, Origin, Prt, RegistrationDiagnostics,
        Timestamp, Tristate, UserKeys,
    };

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the fields it is for may be absent")]
    fn text(text: &str) -> Option<Text> {
        Some(Text::exact(text).unwrap())
    }

    fn observed(evidence: Evidence) -> Observation {
        Observation {
            key: ObservationKey::user(evidence.kind(), "S-1-5-21-1-2-3-1104".parse().unwrap()),
            outcome: Outcome::Observed(evidence),
            observed_at: Timestamp::MIN,
            context: Context::Service,
            origin: Origin::Live,
        }
    }

    #[test]
    fn words_that_may_name_somebody_are_told_from_those_that_do_not() {
        for (word, names) in [
            ("anna.berg@corp.example", true),
            ("'anna@corp.example',", true),
            (r"CORP\anna", true),
            (r"(corp\änne)", true),
            ("AADSTS50155:", false),
            ("0x80070490", false),
            ("@", false),
            ("a@", false),
            (r"\\server\", false),
            ("", false),
        ] {
            assert_eq!(may_name(word), names, "{word}");
        }
    }

    #[test]
    fn nothing_that_names_a_person_is_left() {
        let prt = Prt {
            present: Tristate::No,
            updated_at: None,
            expires_at: None,
            attempt_status: text("0xc000006d"),
            server_error: text("AADSTS50034: The account anna@corp.example does not exist"),
            on_prem_tgt: Tristate::No,
            cloud_tgt: Tristate::No,
        };
        let registration = KeyRegistration {
            registered_at: Timestamp::MIN,
            key_id: None,
            device_id: None,
            public_key_sha256: None,
            attestation: text("ATT_SOFT"),
            upn: text("anna@corp.example"),
        };
        let diagnostics = RegistrationDiagnostics {
            user_context: text("UN-ELEVATED User"),
            server_message: text(r"user CORP\anna is not allowed"),
            ..RegistrationDiagnostics::default()
        };
        let event = NewestEvent {
            channel: Text::exact("System").unwrap(),
            provider: Text::exact("Kdcsvc").unwrap(),
            id: 21,
            at: Timestamp::MIN,
            data: text("anna@CORP.EXAMPLE 0x800B010A"),
        };
        let mut observations = [
            Evidence::Prt(prt),
            Evidence::KeyRegistration(registration),
            Evidence::RegistrationDiagnostics(Box::new(diagnostics)),
            Evidence::KdcEvents(EventSummary { logs: Vec::new(), events: vec![event] }),
        ]
        .map(observed);
        let keys = UserKeys {
            sid: "S-1-5-21-1-2-3-1104".parse().unwrap(),
            keys: Vec::new(),
            undecodable: 0,
            left_out: 0,
            upn: text("anna@corp.example"),
        };
        let mut inventory = [InventoryPart {
            forest: "corp.example".parse().unwrap(),
            source: Text::exact("key-credentials").unwrap(),
            epoch: 1,
            cursor: 1,
            as_of: Timestamp::MIN,
            items: vec![InventoryItem::UserKeys(keys)],
            complete: true,
            canary_seen: true,
        }];
        take_out(&mut observations, &mut inventory);
        let left = format!("{observations:?} {inventory:?}");
        assert!(!left.to_lowercase().contains("anna"), "{left}");
        for kept in ["AADSTS50034: The account … does not exist", "user … is not allowed", "… 0x800B010A", "ATT_SOFT"]
        {
            assert!(left.contains(kept), "{kept}: {left}");
        }
    }
}
