//! The manifest of a captured machine: what raw outputs do not carry.

use std::cell::RefCell;

use muster_evidence::{
    Clock, Context, DnsName, EventLog, EventLogState, FirmwareType, Forest, Guid, HostName, KeyRegistration,
    ProductType, Role, ServiceState, Sha256, Sid, SiteName, Text, Timestamp, Tristate, UserSession,
};
use toml::Table;

use super::table::{Reader, not_one_of};
use super::{CaptureError, CapturedUser, FileKind};
use crate::parse::text;
use crate::source::operating_system::parse::{WindowsVersion, version_numbers};

/// A manifest. Everything in it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) host: Option<HostName>,
    pub(super) forest: Option<Forest>,
    pub(super) site: Option<SiteName>,
    pub(super) captured_at: Option<Timestamp>,
    pub(super) roles: Option<Vec<Role>>,
    pub(super) device_id: Option<Guid>,
    pub(super) operating_system: Option<System>,
    pub(super) domain_controller: Option<Controller>,
    pub(super) users: Vec<CapturedUser>,
    pub(super) key_registrations: Vec<(Sid, KeyRegistration)>,
    pub(super) sessions: Vec<(Sid, UserSession)>,
    pub(super) event_logs: Vec<EventLog>,
    pub(super) kdc_service: Option<Service>,
    pub(super) clock: Option<Clock>,
    /// Keys that somebody looked for in the registry and did not find.
    pub(super) absent_keys: Vec<String>,
    /// The SID of the machine itself, whose accounts no directory knows.
    pub(super) machine_sid: Option<Sid>,
    /// How many minutes the clock on the machine's wall is ahead of UTC.
    pub(super) utc_offset_minutes: Option<i32>,
    /// The files to read; `None` where the manifest names none, and then the folder's files are known by content.
    pub(super) files: Option<Vec<NamedFile>>,
    /// How many `[[file]]` entries were left out over a mistake.
    pub(super) files_left_out: usize,
    pub(super) anchors: Vec<String>,
    pub(super) intermediates: Vec<String>,
    pub(super) directory: Option<Directory>,
}

/// `[operating_system]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    pub(super) name: Option<Text>,
    pub(super) version: Option<WindowsVersion>,
    pub(super) edition: Option<Text>,
    pub(super) product_type: Option<ProductType>,
    pub(super) server_core: Option<bool>,
    pub(super) firmware: Option<FirmwareType>,
}

/// `[kdc_service]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) state: Option<ServiceState>,
    pub(super) disabled: Option<bool>,
}

/// `[domain_controller]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Controller {
    pub(super) fqdn: Option<DnsName>,
    pub(super) domain: Option<DnsName>,
    pub(super) netbios: Option<Text>,
    pub(super) read_only: Option<bool>,
}

/// `[[file]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) path: String,
    pub(super) kind: Option<FileKind>,
    pub(super) context: Option<Context>,
    pub(super) user: Option<Sid>,
    pub(super) taken_at: Option<Timestamp>,
    /// The log whose events the file holds, which an export without any does not say itself.
    pub(super) channel: Option<Text>,
    /// Where a revocation list was fetched.
    pub(super) url: Option<Text>,
}

/// `[directory]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) forest: Option<Forest>,
    pub(super) source: Text,
    pub(super) as_of: Option<Timestamp>,
    pub(super) complete: bool,
    pub(super) canary_seen: bool,
}

const CONTEXTS: [(&str, Context); 2] = [("user-session", Context::UserSession), ("service", Context::Service)];
const PRODUCT_TYPES: [(&str, ProductType); 3] = [
    ("workstation", ProductType::Workstation),
    ("domain-controller", ProductType::DomainController),
    ("server", ProductType::Server),
];

const FIRMWARE: [(&str, FirmwareType); 2] = [("uefi", FirmwareType::Uefi), ("bios", FirmwareType::Bios)];
const SERVICE_STATES: [(&str, ServiceState); 5] = [
    ("running", ServiceState::Running),
    ("starting", ServiceState::Starting),
    ("stopping", ServiceState::Stopping),
    ("stopped", ServiceState::Stopped),
    ("paused", ServiceState::Paused),
];
const LOG_STATES: [(&str, LogState); 3] =
    [("read", LogState::Read), ("disabled", LogState::Disabled), ("unreadable", LogState::Unreadable)];

/// Words for the state of a log.
#[derive(Clone, Copy)]
enum LogState {
    Read,
    Disabled,
    Unreadable,
}

/// Reads a manifest. What is wrong with single keys is told beside everything that could be read; `Err` means that the
/// machine cannot be named safely and must be left out.
pub(super) fn read(bytes: &[u8]) -> Result<(Manifest, Vec<CaptureError>), Vec<CaptureError>> {
    let toml_error = |problem: String| vec![CaptureError::Toml { problem }];
    let text = text::decode(bytes).map_err(|error| toml_error(error.to_string()))?.text;
    let table: Table = toml::from_str(&text).map_err(|error| toml_error(in_one_line(&error, &text)))?;

    let problems = RefCell::default();
    let mut top = Reader::new(&table, &problems);
    let entries = top.tables("file");
    let named = entries.len();
    let files: Vec<NamedFile> = entries.into_iter().filter_map(file).collect();
    let files_left_out = named - files.len();
    let (anchors, intermediates) = top.table("trust").map(trust).unwrap_or_default();
    let manifest = Manifest {
        host: top.parsed("host"),
        forest: top.parsed("forest"),
        site: top.parsed("site"),
        captured_at: top.parsed("captured_at"),
        roles: roles(&mut top),
        device_id: top.parsed("device_id"),
        operating_system: top.table("operating_system").map(system),
        domain_controller: top.table("domain_controller").map(controller),
        users: top.tables("user").into_iter().filter_map(user).collect(),
        key_registrations: top.tables("key_registration").into_iter().filter_map(key_registration).collect(),
        sessions: top.tables("session").into_iter().filter_map(session).collect(),
        event_logs: top.tables("event_log").into_iter().filter_map(event_log).collect(),
        kdc_service: top.table("kdc_service").map(kdc_service),
        clock: top.table("clock").and_then(clock),
        absent_keys: top.table("registry").map(absent_keys).unwrap_or_default(),
        machine_sid: top.parsed("machine_sid"),
        utc_offset_minutes: utc_offset(&mut top),
        files: top.has("file").then_some(files),
        files_left_out,
        anchors,
        intermediates,
        directory: top.table("directory").map(directory),
    };
    let unnamed = top.has("host") && manifest.host.is_none();
    top.finish();
    let problems = problems.into_inner();
    // Under the folder's name the evidence would be another machine's.
    if unnamed { Err(problems) } else { Ok((manifest, problems)) }
}

/// A TOML error with its place, without the picture of the line.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

fn roles(top: &mut Reader<'_>) -> Option<Vec<Role>> {
    let names = Role::ALL.iter().map(|role| role.name());
    let mut roles = Vec::new();
    for text in top.texts("roles") {
        match Role::ALL.iter().find(|role| role.name() == text) {
            Some(role) if roles.contains(role) => {}
            Some(role) => roles.push(*role),
            None => top.invalid("roles", not_one_of(&text, names.clone())),
        }
    }
    (!roles.is_empty()).then_some(roles)
}

fn system(mut reader: Reader<'_>) -> System {
    let version = reader.text("version").and_then(|text| {
        let version = version_numbers(&text);
        if version.is_none() {
            reader
                .invalid("version", format!("`{text}` is no Windows version (expected for example `10.0.26100.4349`)"));
        }
        version
    });
    let system = System {
        name: reader.text("name").as_deref().map(Text::cut),
        version,
        edition: reader.text("edition").as_deref().map(Text::cut),
        product_type: reader.one_of("product_type", &PRODUCT_TYPES),
        server_core: reader.flag("server_core"),
        firmware: reader.one_of("firmware", &FIRMWARE),
    };
    reader.finish();
    system
}

fn kdc_service(mut reader: Reader<'_>) -> Service {
    let service = Service { state: reader.one_of("state", &SERVICE_STATES), disabled: reader.flag("disabled") };
    reader.finish();
    service
}

fn clock(mut reader: Reader<'_>) -> Option<Clock> {
    let ahead_seconds = reader.number("ahead_seconds");
    if !reader.has("ahead_seconds") {
        reader.missing("ahead_seconds", "it is all there is to say of a clock");
    }
    reader.finish();
    Some(Clock { ahead_seconds: ahead_seconds? })
}

fn absent_keys(mut reader: Reader<'_>) -> Vec<String> {
    let keys = reader.texts("absent");
    let is_key = |key: &String| {
        ["HKLM\\", "HKU\\", "HKEY_LOCAL_MACHINE\\", "HKEY_USERS\\"]
            .iter()
            .any(|hive| key.get(..hive.len()).is_some_and(|head| head.eq_ignore_ascii_case(hive)))
    };
    for key in keys.iter().filter(|key| !is_key(key)) {
        let shown: String = key.chars().take(64).collect();
        reader.invalid("absent", format!("`{shown}` is no key of `HKLM` or `HKU`"));
    }
    reader.finish();
    keys.into_iter().filter(is_key).collect()
}

/// `+01:00`, `-05:30` or `Z`.
fn utc_offset(top: &mut Reader<'_>) -> Option<i32> {
    let text = top.text("utc_offset")?;
    let minutes = || -> Option<i32> {
        if text == "Z" {
            return Some(0);
        }
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) =
            rest.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
        let part = |text: &str, most: i32| text.parse::<i32>().ok().filter(|part| (0..=most).contains(part));
        Some(sign * (part(hours, 14)? * 60 + part(minutes, 59)?))
    };
    let found = minutes();
    if found.is_none() {
        let shown: String = text.chars().take(32).collect();
        top.invalid("utc_offset", format!("`{shown}` is no offset from UTC (expected for example `+01:00`)"));
    }
    found
}

fn session(mut reader: Reader<'_>) -> Option<(Sid, UserSession)> {
    let before = reader.problems();
    let user = reader.parsed("user");
    let remote = reader.flag("remote");
    let signed_in_at = reader.parsed("signed_in_at");
    let unlocked_at = reader.parsed("unlocked_at");
    if !reader.has("user") {
        reader.missing("user", "a session is one user's");
    }
    let whole = reader.problems() == before;
    reader.finish();
    let remote = remote.map_or(Tristate::NotShown, Tristate::from_bool);
    whole.then_some((user?, UserSession { remote, signed_in_at, unlocked_at }))
}

fn event_log(mut reader: Reader<'_>) -> Option<EventLog> {
    let before = reader.problems();
    let channel = reader.text("channel").as_deref().map(Text::cut);
    let state = reader.one_of("state", &LOG_STATES);
    let why = reader.text("why");
    let oldest = reader.parsed("oldest");
    for key in ["channel", "state"] {
        if !reader.has(key) {
            reader.missing(key, "without it nothing is said of a log");
        }
    }
    let whole = reader.problems() == before;
    reader.finish();
    let state = match whole.then_some(state)?? {
        LogState::Read => EventLogState::Read,
        LogState::Disabled => EventLogState::Disabled,
        LogState::Unreadable => EventLogState::Unreadable(Text::cut(why.as_deref().unwrap_or("as the manifest says"))),
    };
    Some(EventLog { channel: channel?, state, oldest })
}

fn controller(mut reader: Reader<'_>) -> Controller {
    let controller = Controller {
        fqdn: reader.parsed("fqdn"),
        domain: reader.parsed("domain"),
        netbios: reader.text("netbios").as_deref().map(Text::cut),
        read_only: reader.flag("read_only"),
    };
    reader.finish();
    controller
}

fn user(mut reader: Reader<'_>) -> Option<CapturedUser> {
    let sid = reader.parsed("sid");
    let account = reader.text("account").as_deref().map(Text::cut);
    if !reader.has("sid") {
        reader.missing("sid", "a user is known by the SID, not by the account's name");
    }
    reader.finish();
    Some(CapturedUser { sid: sid?, account })
}

fn key_registration(mut reader: Reader<'_>) -> Option<(Sid, KeyRegistration)> {
    let before = reader.problems();
    let user = reader.parsed("user");
    let registered_at = reader.parsed("registered_at");
    let key_id: Option<Guid> = reader.parsed("key_id");
    let device_id: Option<Guid> = reader.parsed("device_id");
    let public_key_sha256: Option<Sha256> = reader.parsed("public_key_sha256");
    let attestation = reader.text("attestation").as_deref().map(Text::cut);
    let upn = reader.text("upn").as_deref().map(Text::cut);
    for key in ["user", "registered_at"] {
        if !reader.has(key) {
            reader.missing(key, "a registration is one user's, at one time");
        }
    }
    let whole = reader.problems() == before;
    reader.finish();
    // A registration without the part that was mistyped could be matched with another key.
    let registered_at = whole.then_some(registered_at)??;
    Some((user?, KeyRegistration { registered_at, key_id, device_id, public_key_sha256, attestation, upn }))
}

fn file(mut reader: Reader<'_>) -> Option<NamedFile> {
    let before = reader.problems();
    let path = reader.text("path");
    let kinds: Vec<_> = FileKind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    let kind = reader.one_of("kind", &kinds);
    let context = reader.one_of("context", &CONTEXTS);
    let user = reader.parsed("user");
    let taken_at = reader.parsed("taken_at");
    let channel = reader.text("channel").as_deref().map(Text::cut);
    let url = reader.text("url").as_deref().map(Text::cut);
    if !reader.has("path") {
        reader.missing("path", "without it there is nothing to read");
    }
    let whole = reader.problems() == before;
    reader.finish();
    // Read under a wrong user, context or time, a file would say something untrue.
    whole.then_some(NamedFile { path: path?, kind, context, user, taken_at, channel, url })
}

fn trust(mut reader: Reader<'_>) -> (Vec<String>, Vec<String>) {
    let trust = (reader.texts("anchors"), reader.texts("intermediates"));
    reader.finish();
    trust
}

fn directory(mut reader: Reader<'_>) -> Directory {
    let directory = Directory {
        forest: reader.parsed("forest"),
        source: Text::cut(&reader.text("source").unwrap_or_else(|| "key-credentials".to_owned())),
        as_of: reader.parsed("as_of"),
        complete: reader.flag("complete").unwrap_or_default(),
        canary_seen: reader.flag("canary_seen").unwrap_or_default(),
    };
    reader.finish();
    directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key() {
        let text = r#"
            host = "PC-0417.corp.example"
            forest = "corp.example"
            site = "HQ"
            captured_at = 2026-03-02T08:14:07Z
            roles = ["endpoint"]
            device_id = "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60"
            machine_sid = "S-1-5-21-9-9-9"
            utc_offset = "-05:30"
            [operating_system]
            name = "Windows 11 Enterprise"
            version = "10.0.26100.4349"
            edition = "Enterprise"
            product_type = "workstation"
            server_core = false
            firmware = "uefi"
            [kdc_service]
            state = "running"
            disabled = false
            [clock]
            ahead_seconds = -12
            [registry]
            absent = ['HKLM\SOFTWARE\Policies\Microsoft\PassportForWork']
            [[session]]
            user = "S-1-5-21-1-2-3-1104"
            remote = false
            signed_in_at = "2026-03-02T07:00:00Z"
            [[event_log]]
            channel = "System"
            state = "read"
            oldest = "2026-02-02T07:00:00Z"
            [domain_controller]
            fqdn = "dc1.corp.example"
            domain = "corp.example"
            netbios = "CORP"
            read_only = false
            [[user]]
            sid = "S-1-5-21-1-2-3-1104"
            account = 'CORP\alice'
            [[key_registration]]
            user = "S-1-5-21-1-2-3-1104"
            registered_at = "2026-03-01T00:00:00Z"
            key_id = "{0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60}"
            public_key_sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
            attestation = "ATT_SOFT"
            upn = "alice@corp.example"
            [[file]]
            path = "dsregcmd.txt"
            kind = "dsregcmd"
            context = "user-session"
            user = "S-1-5-21-1-2-3-1104"
            taken_at = "2026-03-02T08:00:00Z"
            channel = "System"
            [trust]
            anchors = ["ca.pem"]
            intermediates = ["sub.pem"]
            [directory]
            forest = "corp.example"
            as_of = "2026-03-02T08:00:00Z"
            complete = true
            canary_seen = true
        "#;
        let (manifest, problems) = read(text.as_bytes()).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(manifest.host.unwrap().as_str(), "pc-0417.corp.example");
        assert_eq!(manifest.captured_at.unwrap().to_string(), "2026-03-02T08:14:07Z");
        assert_eq!(manifest.operating_system.unwrap().version.unwrap().revision, Some(4349));
        assert_eq!(manifest.files.unwrap()[0].context, Some(Context::UserSession));
        assert_eq!(manifest.key_registrations.len(), 1);
        assert_eq!(manifest.users[0].account.as_ref().unwrap().as_str(), "CORP\\alice");
        assert_eq!(manifest.anchors, ["ca.pem"]);
        assert!(manifest.directory.unwrap().complete);
        assert_eq!(manifest.clock, Some(Clock { ahead_seconds: -12 }));
        assert_eq!(manifest.utc_offset_minutes, Some(-330));
        assert_eq!(manifest.kdc_service.unwrap().state, Some(ServiceState::Running));
        assert_eq!(manifest.event_logs[0].state, EventLogState::Read);
        assert_eq!(manifest.sessions[0].1.remote, Tristate::No);
        assert_eq!(manifest.absent_keys.len(), 1);
        assert_eq!(manifest.machine_sid.unwrap().as_str(), "S-1-5-21-9-9-9");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = r#"
            hots = "pc"
            site = 7
            captured_at = "yesterday"
            utc_offset = "+1"
            roles = ["endpoit", "endpoint"]
            [operating_system]
            version = "eleven"
            product_typ = "server"
            [[user]]
            account = "alice"
            [[file]]
            path = "a.txt"
            kind = "dsregcmds"
            [[file]]
            kind = "tpmtool"
            [[key_registration]]
            user = "alice"
            [trust]
            anchors = "ca.pem"
            [clock]
            [kdc_service]
            state = "runing"
            [registry]
            absent = ["SOFTWARE"]
            [[session]]
            remote = true
            [[event_log]]
            channel = "System"
        "#;
        let (manifest, problems) = read(text.as_bytes()).unwrap();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for expected in [
            "unknown key `hots` (did you mean `host`?)",
            "invalid `site`: expected a text, found integer",
            "invalid `captured_at`: `yesterday` is not an RFC 3339 time",
            "invalid `roles`: unknown word `endpoit` (did you mean `endpoint`?)",
            "invalid `operating_system.version`: `eleven` is no Windows version",
            "unknown key `operating_system.product_typ` (did you mean `product_type`?)",
            "`user[0].sid` is missing",
            "invalid `file[0].kind`: unknown word `dsregcmds` (did you mean `dsregcmd`?)",
            "`file[1].path` is missing",
            "invalid `key_registration[0].user`: invalid SID `alice`",
            "`key_registration[0].registered_at` is missing",
            "invalid `trust.anchors`: expected a list of texts",
            "`clock.ahead_seconds` is missing",
            "invalid `kdc_service.state`: unknown word `runing` (did you mean `running`?)",
            "invalid `registry.absent`: `SOFTWARE` is no key of `HKLM` or `HKU`",
            "`session[0].user` is missing",
            "`event_log[0].state` is missing",
            "invalid `utc_offset`: `+1` is no offset from UTC",
        ] {
            assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected}\nnot in {problems:#?}");
        }
        assert_eq!(problems.len(), 18, "{problems:#?}");
        assert_eq!(manifest.roles, Some(vec![Role::Endpoint]));
        assert_eq!(manifest.files, Some(vec![]), "a file with a mistaken entry is not read under another meaning");
        assert_eq!(manifest.files_left_out, 2);
    }

    #[test]
    fn a_machine_that_cannot_be_named_is_left_out() {
        let problem = |text: &str| read(text.as_bytes()).unwrap_err()[0].to_string();
        assert_eq!(
            problem("host = \"pc\"\nsite = \n"),
            "the manifest is not TOML, so the machine is left out: line 2, column 8: string values must be quoted, expected literal string"
        );
        assert!(problem("host = \"my pc\"").starts_with("invalid `host`: invalid DNS name `my pc`"));
        assert!(read(&[0xFF, 0xFE, 0x00]).is_err());
    }
}
