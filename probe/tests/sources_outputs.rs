//! Captures of the raw outputs beside `dsregcmd`, certificates and keys: what a whole machine of them says.
//!
//! The files are the seeds of the fuzz targets, so what is fuzzed is what is shown here.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use muster_evidence::{
    EventLogState, Evidence, FailureReason, FirmwareType, Kind, LocatorAnswer, Observation, ObservationKey, Outcome,
    ProductType, ServiceState, Tristate,
};
use muster_probe::capture::{self, CaptureSet, CapturedMachine};
use tempfile::TempDir;

const ADA: &str = "S-1-5-21-397955417-626881126-188441444-1104";

fn seed(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(path)).unwrap()
}

/// A capture of one machine with these seeds, and other files beside them.
fn load(manifest: &str, seeds: &[&str], files: &[(&str, &[u8])]) -> (TempDir, CaptureSet) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("capture.toml"), manifest).unwrap();
    for path in seeds {
        fs::write(folder.path().join(path.replace('/', "-")), seed(path)).unwrap();
    }
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let set = capture::load(folder.path(), "2026-03-03T00:00:00Z".parse().unwrap());
    (folder, set)
}

fn problems(set: &CaptureSet) -> Vec<String> {
    set.problems.iter().map(ToString::to_string).collect()
}

fn find<'a>(machine: &'a CapturedMachine, key: &ObservationKey) -> Option<&'a Observation> {
    machine.observations.iter().find(|seen| seen.key == *key)
}

fn of_host(machine: &CapturedMachine, kind: Kind) -> &Evidence {
    match find(machine, &ObservationKey::host(kind)).map(|seen| &seen.outcome) {
        Some(Outcome::Observed(evidence)) => evidence,
        other => panic!("{kind}: {other:?}"),
    }
}

fn of_ada(machine: &CapturedMachine, kind: Kind) -> &Evidence {
    match find(machine, &ObservationKey::user(kind, ADA.parse().unwrap())).map(|seen| &seen.outcome) {
        Some(Outcome::Observed(evidence)) => evidence,
        other => panic!("{kind}: {other:?}"),
    }
}

#[test]
fn an_endpoint() {
    let manifest = format!(
        "host = \"pc-0417.corp.example\"\ncaptured_at = 2026-03-02T09:00:00Z\n[[user]]\nsid = \"{ADA}\"\n\
         [clock]\nahead_seconds = 7\n[[session]]\nuser = \"{ADA}\"\nremote = false\n"
    );
    let seeds = [
        "events/export-new-first.xml",
        "registry/group-policy.reg",
        "registry/mdm.reg",
        "registry/user-hives.reg",
        "registry/regedit4.reg",
        "registry/query-version.txt",
        "registry/query-names.txt",
        "registry/ntauth.reg",
        "tpm_properties/get-tpm.txt",
        "dc_locator/both.txt",
        "kdc/firmware.txt",
    ];
    let (_folder, set) = load(&manifest, &seeds, &[]);
    assert_eq!(problems(&set), Vec::<String>::new());
    let [machine] = &set.machines[..] else { panic!("one machine") };
    assert!(machine.observations.iter().all(|seen| seen.observed_at == machine.captured_at));

    let Evidence::OperatingSystem(system) = of_host(machine, Kind::OperatingSystem) else { panic!() };
    assert_eq!(
        (system.name.as_str(), system.build, system.revision),
        ("Windows 11 Enterprise", Some(26100), Some(6725))
    );
    assert_eq!((system.release.as_ref().unwrap().as_str(), system.firmware), ("24H2", Some(FirmwareType::Uefi)));
    assert_eq!(system.product_type, Some(ProductType::Workstation));
    let Evidence::Tpm(tpm) = of_host(machine, Kind::Tpm) else { panic!() };
    assert_eq!((tpm.manufacturer.as_ref().unwrap().as_str(), tpm.readiness.unwrap().ready), ("IFX", true));
    let Evidence::ComputerPolicy(policy) = of_host(machine, Kind::ComputerPolicy) else { panic!() };
    assert_eq!((policy.enabled, policy.exclude_tpm12, policy.pin.minimum_length), (Some(1), Some(0), Some(6)));
    let Evidence::DeviceMdmPolicy(policy) = of_host(machine, Kind::DeviceMdmPolicy) else { panic!() };
    assert_eq!((policy.enabled, policy.use_biometrics), (Some(1), Some(1)));
    let Evidence::DeviceRegistrationPolicy(found) = of_host(machine, Kind::DeviceRegistrationPolicy) else { panic!() };
    assert_eq!(
        (found.block_workplace_join, found.scp_tenant_name.as_ref().unwrap().as_str()),
        (Some(1), "grün.example")
    );
    let Evidence::RootStore(roots) = of_host(machine, Kind::RootStore) else { panic!() };
    assert_eq!((roots.thumbprints.len(), roots.left_out), (3, 2), "two of the four parts were not exported");
    let Evidence::NtAuthStore(ntauth) = of_host(machine, Kind::NtAuthStore) else { panic!() };
    assert_eq!((ntauth.thumbprints.len(), ntauth.left_out), (1, 0));
    let Evidence::DcLocator(locator) = of_host(machine, Kind::DcLocator) else { panic!() };
    assert_eq!((&locator.capable, locator.forced), (&LocatorAnswer::Refused { code: 1355 }, Tristate::Yes));
    let Evidence::DeviceEvents(events) = of_host(machine, Kind::DeviceEvents) else { panic!() };
    let registration = "Microsoft-Windows-User Device Registration/Admin";
    assert_eq!(events.newest(registration, 304).unwrap().data.as_ref().unwrap().as_str(), "0x801c0001");
    assert_eq!(events.log(registration).unwrap().state, EventLogState::Read);
    assert!(matches!(of_host(machine, Kind::Clock), Evidence::Clock(clock) if clock.ahead_seconds == 7));

    let Evidence::ProvisioningEvent(event) = of_ada(machine, Kind::ProvisioningEvent) else { panic!() };
    assert_eq!((event.id, event.session_is_local), (358, Tristate::Yes), "the newest counts");
    let Evidence::KeyRegistration(key) = of_ada(machine, Kind::KeyRegistration) else { panic!() };
    assert_eq!(
        (key.registered_at.to_string().as_str(), key.upn.as_ref().unwrap().as_str()),
        ("2026-03-02T08:14:05.765Z", "ada@corp.example")
    );
    assert!(matches!(of_ada(machine, Kind::UserPolicy), Evidence::UserPolicy(policy) if policy.enabled == Some(1)));
    assert!(
        matches!(of_ada(machine, Kind::UserMdmPolicy), Evidence::UserMdmPolicy(policy) if policy.pin.digits == Some(1))
    );
    assert!(
        matches!(of_ada(machine, Kind::UserSession), Evidence::UserSession(session) if session.remote == Tristate::No)
    );
}

const CONTROLLER: &str = "host = \"dc1.corp.example\"\nforest = \"corp.example\"\ncaptured_at = 2026-03-02T09:00:00Z\n\
    utc_offset = \"+01:00\"\n[domain_controller]\n";

#[test]
fn a_domain_controller() {
    let seeds = [
        "events/kdc-operational-utf16.xml",
        "events/system-positional.xml",
        "registry/controller.reg",
        "kdc/query.txt",
        "kdc/typeperf.csv",
        "replication/showrepl.csv",
        "sync_scheduler/windows-powershell.json",
    ];
    let (_folder, set) = load(CONTROLLER, &seeds, &[]);
    assert_eq!(problems(&set), Vec::<String>::new());
    let [machine] = &set.machines[..] else { panic!("one machine") };
    let Evidence::KdcEvents(events) = of_host(machine, Kind::KdcEvents) else { panic!() };
    let operational = "Microsoft-Windows-Kerberos-Key-Distribution-Center/Operational";
    assert_eq!(
        events.newest(operational, 302).unwrap().data.as_ref().unwrap().as_str(),
        "00112233445566778899aabbccddeeff00112233"
    );
    assert!(events.newest("System", 19).is_some() && events.newest("System", 45).is_some());
    let Evidence::KdcPolicy(policy) = of_host(machine, Kind::KdcPolicy) else { panic!() };
    assert_eq!((policy.allow_nt_auth_policy_bypass, policy.sam_ngc_key_roca_validation), (Some(2), Some(1)));
    let Evidence::KdcService(service) = of_host(machine, Kind::KdcService) else { panic!() };
    assert_eq!((service.state, service.disabled), (ServiceState::Running, Some(false)));
    let Evidence::KdcLoad(load) = of_host(machine, Kind::KdcLoad) else { panic!() };
    assert_eq!((load.minutes, load.peak_milli, load.since.to_string().as_str()), (11, 1500, "2026-03-02T08:00:00Z"));
    let Evidence::Replication(replication) = of_host(machine, Kind::Replication) else { panic!() };
    let sources: Vec<&str> = replication.partners.iter().map(|partner| partner.source.as_str()).collect();
    assert_eq!(sources, ["DC4", "DC3", "DC2"]);
    assert_eq!(replication.partners[2].last_success.unwrap().to_string(), "2026-03-02T08:00:00Z");
    assert!(
        matches!(of_host(machine, Kind::SyncScheduler), Evidence::SyncScheduler(found) if found.enabled == Some(true))
    );
}

#[test]
fn what_a_manifest_states_completes_the_files() {
    let manifest = format!(
        "{CONTROLLER}[kdc_service]\nstate = \"stopped\"\n[[event_log]]\nchannel = \"System\"\nstate = \"read\"\n\
         oldest = \"2026-01-01T00:00:00Z\"\n[registry]\nabsent = ['HKLM\\SOFTWARE\\Policies\\Microsoft\\PassportForWork']\n\
         [[file]]\npath = \"none.xml\"\nchannel = \"Microsoft-Windows-HelloForBusiness/Operational\"\n\
         [[file]]\npath = \"kdc-log-off.txt\"\n[[file]]\npath = \"registry-controller.reg\"\n"
    );
    let (_folder, set) = load(&manifest, &["kdc/log-off.txt", "registry/controller.reg"], &[("none.xml", b"")]);
    assert_eq!(problems(&set), Vec::<String>::new());
    let machine = &set.machines[0];
    let Evidence::KdcService(service) = of_host(machine, Kind::KdcService) else { panic!() };
    assert_eq!((service.state, service.disabled), (ServiceState::Stopped, Some(false)), "the registry tells its start");
    let Evidence::KdcEvents(events) = of_host(machine, Kind::KdcEvents) else { panic!() };
    assert_eq!(events.log("System").unwrap().oldest.unwrap().to_string(), "2026-01-01T00:00:00Z");
    let operational = events.log("Microsoft-Windows-Kerberos-Key-Distribution-Center/Operational").unwrap();
    assert_eq!(operational.state, EventLogState::Disabled);
    let Evidence::DeviceEvents(events) = of_host(machine, Kind::DeviceEvents) else { panic!() };
    assert_eq!(events.log("Microsoft-Windows-HelloForBusiness/Operational").unwrap().state, EventLogState::Read);
    let policy = find(machine, &ObservationKey::host(Kind::ComputerPolicy)).unwrap();
    assert_eq!(policy.outcome, Outcome::Absent, "somebody looked, and it is not there");
}

#[test]
fn what_is_wrong_is_told_and_costs_itself() {
    let dc = |seeds: &[&str], files: &[(&str, &[u8])]| load(CONTROLLER, seeds, files).1;
    let large = vec![b' '; 1024 * 1024];
    let large = [b"-TPM Present: False\n".as_slice(), &large].concat();
    for (set, expected) in [
        (dc(&["registry/user-hives.reg"], &[]), "does not say whose that is: name the `user`"),
        (dc(&["registry/secret.reg"], &[]), "which is secret and does not belong into a capture"),
        (dc(&["events/found-nothing.xml"], &[]), "name its `channel`"),
        (dc(&["events/document-type.xml"], &[]), "none of 1 events could be read"),
        (dc(&["events/broken-in-the-middle.xml"], &[]), "2 events could not be read"),
        (dc(&["events/cut-off.xml"], &[]), "it is cut off"),
        (dc(&["replication/two-controllers.csv"], &[]), "several controllers, `dc1` and `dc2`"),
        (
            dc(&[], &[("l.txt", b"nltest /dsgetdc:corp.example /ds_10\nStatus = 1355 0x54b\n")]),
            "no `dc-locator` evidence",
        ),
        (dc(&[], &[("s.txt", b"SERVICE_NAME: kdc\n START_TYPE : 2 AUTO\n")]), "no `kdc-service` evidence"),
        (dc(&[], &[("f.txt", b"UEFI\n")]), "`operating_system.version` is missing"),
        (dc(&[], &[("t.txt", &large)]), "the file has more than 1048576 bytes"),
    ] {
        let told = problems(&set);
        assert!(told.iter().any(|problem| problem.contains(expected)), "{expected}\nnot in {told:#?}");
        assert_eq!(set.machines.len(), 1, "{expected}");
    }
    let without = load("host = \"dc1\"\n", &["replication/showrepl.csv"], &[]).1;
    assert!(problems(&without)[0].contains("give `utc_offset`"), "{:?}", problems(&without));
}

#[test]
fn what_failed_is_a_gap_and_not_silence() {
    let manifest = "host = \"pc-1\"\n[[file]]\npath = \"e.xml\"\nkind = \"events\"\n[[file]]\npath = \"r.reg\"\nkind = \"registry\"\n\
        [[file]]\npath = \"l.txt\"\nkind = \"dc-locator\"\n";
    let (_folder, set) =
        load(manifest, &[], &[("e.xml", b"Access is denied."), ("r.reg", b"ERROR: Access is denied.")]);
    let machine = &set.machines[0];
    for (kind, expected) in [
        (Kind::DeviceEvents, FailureReason::Unreadable),
        (Kind::ComputerPolicy, FailureReason::Unreadable),
        (Kind::DcLocator, FailureReason::Unavailable),
    ] {
        match find(machine, &ObservationKey::host(kind)).map(|seen| &seen.outcome) {
            Some(Outcome::Failed(failure)) => assert_eq!(failure.reason, expected, "{kind}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
    // An export from old to new that ends early does not show the newest events.
    let (_folder, set) = load("host = \"pc-1\"\n", &["events/cut-off.xml"], &[]);
    let key = ObservationKey::user(Kind::ProvisioningEvent, ADA.parse().unwrap());
    match find(&set.machines[0], &key).map(|seen| &seen.outcome) {
        Some(Outcome::Failed(failure)) => assert_eq!(failure.reason, FailureReason::Incomplete),
        other => panic!("{other:?}"),
    }
}
