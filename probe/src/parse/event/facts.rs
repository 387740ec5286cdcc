//! What rules read from events: of each kind the newest, by the names of its data.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{
    EventLog, EventLogState, EventSummary, Guid, KeyRegistration, NewestEvent, ProvisioningEvent, Sid, Text,
    Thumbprint, Tristate, limits,
};

use super::{Event, Export};

const REGISTRATION: &str = "Microsoft-Windows-User Device Registration/Admin";
const HELLO: &str = "Microsoft-Windows-HelloForBusiness/Operational";
const SYSTEM: &str = "System";
const KDC: &str = "Microsoft-Windows-Kerberos-Key-Distribution-Center/Operational";

/// The logs that tell of registration and TPM.
pub const DEVICE_CHANNELS: [&str; 3] = [REGISTRATION, HELLO, SYSTEM];

/// The logs that tell of the key distribution centre.
pub const KDC_CHANNELS: [&str; 2] = [SYSTEM, KDC];

/// Events that rules read: channel, providers, ids. Together fewer than [`limits::EVENT_KINDS`] for either summary.
struct Wanted {
    channel: &'static str,
    providers: &'static [&'static str],
    ids: &'static [u32],
}

const DEVICE: [Wanted; 3] = [
    Wanted {
        channel: REGISTRATION,
        providers: &["Microsoft-Windows-User Device Registration"],
        ids: &[201, 304, 305, 307, 342, 343, 344, 345, 346, 347, 350, 351, 352, 353, 363, 364, 385, 386],
    },
    Wanted {
        channel: HELLO,
        providers: &["Microsoft-Windows-HelloForBusiness"],
        ids: &[5000, 7054, 7055, 7201, 7204, 8200, 8202, 8203],
    },
    Wanted { channel: SYSTEM, providers: &["Microsoft-Windows-TPM-WMI"], ids: &[1794] },
];

/// The provider was renamed with the updates of 2022, and both names occur side by side.
const KDC_PROVIDERS: &[&str] = &["Microsoft-Windows-Kerberos-Key-Distribution-Center", "Kdcsvc", "KDC"];

const KDC_EVENTS: [Wanted; 2] = [
    Wanted { channel: SYSTEM, providers: KDC_PROVIDERS, ids: &[19, 20, 21, 29, 32, 45] },
    // 21 and 45 are looked for in both logs, since tools differ about where they stand.
    Wanted { channel: KDC, providers: KDC_PROVIDERS, ids: &[21, 45, 120, 200, 302] },
];

/// 358 provisioning will be launched; 360, 361, 362 it will not.
const PROVISIONING: [u32; 4] = [358, 360, 361, 362];

/// A key was registered.
const KEY_REGISTERED: u32 = 300;

/// What one or more exports of one machine say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The newest event about provisioning, by user.
    pub provisioning: BTreeMap<Sid, ProvisioningEvent>,
    /// The newest registration of a key, by user.
    pub registrations: BTreeMap<Sid, KeyRegistration>,
    /// The newest of each kind about registration and TPM.
    pub device: Vec<NewestEvent>,
    /// The newest of each kind about the key distribution centre.
    pub kdc: Vec<NewestEvent>,
    /// The logs from which an event about registration or TPM was read, whatever its id.
    pub device_logs: Vec<&'static str>,
    /// The logs from which an event of the key distribution centre was read, whatever its id.
    pub kdc_logs: Vec<&'static str>,
    /// Users whose newest events are not known, since an export ends before them.
    pub doubtful: BTreeSet<Sid>,
    /// Logs whose newest events are not known for the same reason.
    pub doubtful_logs: BTreeSet<&'static str>,
}

/// Reads an export. `machine` is the SID of the machine itself, where it is known: its own accounts are nobody's whom a
/// directory knows, and what is logged for them says nothing about Hello for Business.
pub fn facts(export: &Export, machine: Option<&Sid>) -> Facts {
    let mut facts = Facts::default();
    for event in &export.events {
        facts.take(event, machine);
    }
    if export.lacks_newest() {
        // Of what was read the newest is not the newest there is, and an older one would be told as the state of today.
        facts.doubtful.extend(std::mem::take(&mut facts.provisioning).into_keys());
        facts.doubtful.extend(std::mem::take(&mut facts.registrations).into_keys());
        facts.doubtful_logs.extend(facts.device_logs.iter().chain(&facts.kdc_logs).copied());
    }
    facts
}

impl Facts {
    fn take(&mut self, event: &Event, machine: Option<&Sid>) {
        if let Some((wanted, is_read)) = find(&DEVICE, event) {
            note_log(&mut self.device_logs, wanted.channel);
            if is_read {
                newest(&mut self.device, wanted.channel, event);
            }
        }
        if let Some((wanted, is_read)) = find(&KDC_EVENTS, event) {
            note_log(&mut self.kdc_logs, wanted.channel);
            if is_read {
                newest(&mut self.kdc, wanted.channel, event);
            }
        }
        let is_registration = DEVICE[0].is_of(event);
        let Some(user) = event.user.as_ref().filter(|sid| is_registration && is_person(sid, machine)) else { return };
        if PROVISIONING.contains(&event.id)
            && self.provisioning.get(user).is_none_or(|kept| event.at > kept.at)
            && let Some(found) = provisioning(event)
        {
            self.provisioning.insert(user.clone(), found);
        }
        if event.id == KEY_REGISTERED && self.registrations.get(user).is_none_or(|kept| event.at > kept.registered_at) {
            self.registrations.insert(user.clone(), registration(event));
        }
    }

    /// Adds what another export of the same machine says.
    pub fn merge(&mut self, other: Self) {
        for (user, event) in other.provisioning {
            if self.provisioning.get(&user).is_none_or(|kept| event.at > kept.at) {
                self.provisioning.insert(user, event);
            }
        }
        for (user, registration) in other.registrations {
            if self.registrations.get(&user).is_none_or(|kept| registration.registered_at > kept.registered_at) {
                self.registrations.insert(user, registration);
            }
        }
        for (mine, others) in [(&mut self.device, other.device), (&mut self.kdc, other.kdc)] {
            for event in others {
                keep_newest(mine, event);
            }
        }
        for (mine, others) in [(&mut self.device_logs, other.device_logs), (&mut self.kdc_logs, other.kdc_logs)] {
            for channel in others {
                note_log(mine, channel);
            }
        }
        self.doubtful.extend(other.doubtful);
        self.doubtful_logs.extend(other.doubtful_logs);
    }

    /// The summary about registration and TPM; `None` where none of its logs was looked through. `states` is what is
    /// known of logs beside their events, and goes before it.
    pub fn device_summary(&self, states: &[EventLog]) -> Option<EventSummary> {
        self.summary(&self.device, &self.device_logs, &DEVICE_CHANNELS, states)
    }

    /// The summary about the key distribution centre; `None` where none of its logs was looked through.
    pub fn kdc_summary(&self, states: &[EventLog]) -> Option<EventSummary> {
        self.summary(&self.kdc, &self.kdc_logs, &KDC_CHANNELS, states)
    }

    fn summary(
        &self,
        events: &[NewestEvent],
        read: &[&'static str],
        channels: &[&'static str],
        states: &[EventLog],
    ) -> Option<EventSummary> {
        let told = |channel: &str| states.iter().find(|log| log.channel.as_str().eq_ignore_ascii_case(channel));
        let log = |channel: &&'static str| {
            let state = |state| EventLog { channel: Text::cut(channel), state, oldest: None };
            match told(channel) {
                // A log that is off may still hold what was written before.
                Some(log) if log.state != EventLogState::Read || !self.doubtful_logs.contains(channel) => {
                    Some(EventLog { oldest: log.oldest, ..state(log.state.clone()) })
                }
                _ if self.doubtful_logs.contains(channel) => {
                    Some(state(EventLogState::Unreadable(Text::cut("the export ends before the newest events"))))
                }
                _ => read.contains(channel).then(|| state(EventLogState::Read)),
            }
        };
        let logs: Vec<EventLog> = channels.iter().filter_map(log).collect();
        if logs.is_empty() {
            return None;
        }
        let mut events = events.to_vec();
        events.sort_by(|a, b| (&a.channel, a.id).cmp(&(&b.channel, b.id)));
        Some(EventSummary { logs, events })
    }
}

impl Wanted {
    fn is_of(&self, event: &Event) -> bool {
        event.channel.eq_ignore_ascii_case(self.channel)
            && self.providers.iter().any(|provider| event.provider.eq_ignore_ascii_case(provider))
    }
}

/// The row that an event belongs to, and whether rules read that id.
fn find<'w>(table: &'w [Wanted], event: &Event) -> Option<(&'w Wanted, bool)> {
    let wanted = table.iter().find(|wanted| wanted.is_of(event))?;
    Some((wanted, wanted.ids.contains(&event.id)))
}

fn note_log(logs: &mut Vec<&'static str>, channel: &'static str) {
    if !logs.contains(&channel) {
        logs.push(channel);
    }
}

fn newest(events: &mut Vec<NewestEvent>, channel: &str, event: &Event) {
    if events.iter().any(|kept| kept.id == event.id && kept.channel.as_str() == channel && kept.at >= event.at) {
        return;
    }
    let data = data(event).as_deref().map(Text::cut);
    let (channel, provider) = (Text::cut(channel), Text::cut(&event.provider));
    keep_newest(events, NewestEvent { channel, provider, id: event.id, at: event.at, data });
}

fn keep_newest(events: &mut Vec<NewestEvent>, event: NewestEvent) {
    match events.iter().position(|kept| kept.id == event.id && kept.channel == event.channel) {
        Some(place) if event.at > events[place].at => events[place] = event,
        None if events.len() < limits::EVENT_KINDS => events.push(event),
        Some(_) | None => {}
    }
}

/// Whether a SID is an account that a directory knows: of a domain or of Entra ID, and not the machine's own.
fn is_person(sid: &Sid, machine: Option<&Sid>) -> bool {
    let own = machine.is_some_and(|machine| {
        let rest = sid.as_str().strip_prefix(machine.as_str());
        rest.is_some_and(|rest| rest.starts_with('-'))
    });
    sid.is_account() && !own
}

/// What a place in the data is called, where an event names none of them. `NgcPostLogonProvisioningEnabled` is missing in
/// some builds, so the count tells which of two forms it is; of any other count nothing is read.
fn place(event: &Event, wanted: &str) -> Option<usize> {
    const BEGIN: [&str; 4] = ["Message", "DeviceIsJoined", "AADPrt", "NgcPolicyEnabled"];
    const POST_LOGON: &str = "NgcPostLogonProvisioningEnabled";
    const END: [&str; 3] = ["NgcHardwarePolicyMet", "UserIsRemote", "LogonCertRequired"];
    const SOURCE: &str = "MachinePolicySource";
    // 361 and 362 have one and three of their own before the last.
    let own = match event.id {
        361 => 1,
        362 => 3,
        _ => 0,
    };
    let full = BEGIN.len() + 1 + END.len() + own + 1;
    let with_post_logon = match event.data.len() {
        count if count == full => true,
        count if count + 1 == full => false,
        _ => return None,
    };
    let shift = usize::from(with_post_logon);
    match wanted {
        POST_LOGON => with_post_logon.then_some(BEGIN.len()),
        SOURCE => Some(event.data.len() - 1),
        _ => BEGIN
            .iter()
            .position(|name| *name == wanted)
            .or_else(|| END.iter().position(|name| *name == wanted).map(|place| BEGIN.len() + shift + place)),
    }
}

/// Reads 358, 360, 361 or 362; `None` where nothing of it can be told.
fn provisioning(event: &Event) -> Option<ProvisioningEvent> {
    let value = |name: &str| {
        event.named(name).or_else(|| event.positional(place(event, name)?)).filter(|value| !value.is_empty())
    };
    let flag = |name: &str| value(name).map_or(Tristate::NotShown, tristate);
    let found = ProvisioningEvent {
        id: event.id,
        at: event.at,
        device_is_joined: flag("DeviceIsJoined"),
        aad_prt: flag("AADPrt"),
        policy_enabled: flag("NgcPolicyEnabled"),
        post_logon_enabled: flag("NgcPostLogonProvisioningEnabled"),
        hardware_policy_met: flag("NgcHardwarePolicyMet"),
        // It fills the line "user is not connected to the machine via Remote Desktop": Yes is a local session.
        session_is_local: flag("UserIsRemote"),
        certificate_required: flag("LogonCertRequired"),
        policy_source: value("MachinePolicySource").map(Text::cut),
    };
    let told = [found.device_is_joined, found.aad_prt, found.policy_enabled, found.hardware_policy_met];
    // 358 says by itself that provisioning begins.
    (event.id == 358 || told.iter().any(|flag| *flag != Tristate::NotShown)).then_some(found)
}

fn tristate(value: &str) -> Tristate {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Tristate::Yes,
        "no" | "false" => Tristate::No,
        // `Not Tested`, and whatever a later build writes.
        _ => Tristate::Undetermined,
    }
}

/// Reads 300.
fn registration(event: &Event) -> KeyRegistration {
    let value = |name: &str, place: usize| {
        event.named(name).or_else(|| event.positional(place)).filter(|value| !value.is_empty())
    };
    KeyRegistration {
        registered_at: event.at,
        key_id: value("KeyId", 0).and_then(|text| text.parse::<Guid>().ok()).filter(|guid| !guid.is_zero()),
        device_id: None,
        public_key_sha256: None,
        attestation: value("Attestation", 2).map(Text::cut),
        upn: value("UPN", 1).map(Text::cut),
    }
}

/// Names under which providers write the code of an error.
const CODES: [&str; 8] = ["ErrorCode", "ExitCode", "Error", "HResult", "Result", "Status", "Win32Error", "ReturnCode"];

/// What of an event's data rules read: of a certificate its thumbprint, of a failure its code, of an attestation its
/// state. Names of people and tokens, which some of these events carry, are never taken.
fn data(event: &Event) -> Option<String> {
    match event.id {
        120 | 302 => thumbprint(event),
        350 | 351 => {
            let level = event.named("AttLevel").map(|level| format!("AttLevel {level}"));
            let status = event.named("AikStatus").map(|status| format!("AikStatus {status}"));
            joined([code(event), level, status])
        }
        385 | 386 => joined([code(event), event.named("KeyStatusSymbolicName").map(str::to_owned), None]),
        _ => code(event),
    }
}

fn joined(parts: [Option<String>; 3]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A SHA-1 in the data, whatever its name: no other datum of these events has forty hexadecimal digits.
fn thumbprint(event: &Event) -> Option<String> {
    let named = event
        .data
        .iter()
        .filter(|datum| datum.name.as_ref().is_none_or(|name| !name.to_ascii_lowercase().contains("serial")));
    named
        .filter_map(|datum| {
            let digits: String = datum.value.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
            digits.parse::<Thumbprint>().ok()
        })
        .map(|thumbprint| thumbprint.to_string())
        .next()
}

/// The code of an error as eight hexadecimal digits; zero is none.
fn code(event: &Event) -> Option<String> {
    let text = CODES.iter().find_map(|name| event.named(name))?.trim();
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        // Written with a sign by some, without by others.
        None => u32::try_from(text.parse::<i64>().ok()? & 0xFFFF_FFFF).ok()?,
    };
    (number != 0).then(|| format!("0x{number:08x}"))
}

#[cfg(test)]
mod tests {
    use super::super::parse_text;
    use super::*;

    const ADA: &str = "S-1-5-21-397955417-626881126-188441444-1104";
    const UDR: &str = "Microsoft-Windows-User Device Registration";

    fn event(provider: &str, channel: &str, id: u32, at: &str, user: &str, data: &[(&str, &str)]) -> String {
        let data: String = data
            .iter()
            .map(|(name, value)| match *name {
                "" => format!("<Data>{value}</Data>"),
                name => format!("<Data Name='{name}'>{value}</Data>"),
            })
            .collect();
        format!(
            "<Event><System><Provider Name='{provider}'/><EventID>{id}</EventID><TimeCreated SystemTime='{at}'/>\
             <Channel>{channel}</Channel><Security UserID='{user}'/></System><EventData>{data}</EventData></Event>"
        )
    }

    fn read(events: &str) -> Facts {
        facts(&parse_text(events).unwrap(), None)
    }

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    const NAMED_360: [(&str, &str); 9] = [
        ("Message", "Windows Hello for Business provisioning will not be launched."),
        ("DeviceIsJoined", "Yes"),
        ("AADPrt", "Yes"),
        ("NgcPolicyEnabled", "No"),
        ("NgcPostLogonProvisioningEnabled", "Yes"),
        ("NgcHardwarePolicyMet", "Yes"),
        ("UserIsRemote", "Yes"),
        ("LogonCertRequired", "Not Tested"),
        ("MachinePolicySource", "none"),
    ];

    #[test]
    fn provisioning_by_name_and_by_place() {
        let unnamed: Vec<(&str, &str)> = NAMED_360.iter().map(|(_, value)| ("", *value)).collect();
        let mut without = NAMED_360.to_vec();
        without.remove(4);
        let unnamed_without: Vec<(&str, &str)> = without.iter().map(|(_, value)| ("", *value)).collect();
        let mut longer = NAMED_360.to_vec();
        longer.extend([("CloudTrustEnabled", "No"), ("HasCloudTgt", "No")]);
        let mut shuffled = NAMED_360.to_vec();
        shuffled.reverse();
        for (data, post_logon) in [
            (NAMED_360.to_vec(), Tristate::Yes),
            (shuffled, Tristate::Yes),
            (longer, Tristate::Yes),
            (unnamed, Tristate::Yes),
            (without, Tristate::NotShown),
            (unnamed_without, Tristate::NotShown),
        ] {
            let facts = read(&event(UDR, REGISTRATION, 360, "2026-03-01T08:00:00Z", ADA, &data));
            let found = &facts.provisioning[&sid(ADA)];
            assert_eq!(
                *found,
                ProvisioningEvent {
                    id: 360,
                    at: "2026-03-01T08:00:00Z".parse().unwrap(),
                    device_is_joined: Tristate::Yes,
                    aad_prt: Tristate::Yes,
                    policy_enabled: Tristate::No,
                    post_logon_enabled: post_logon,
                    hardware_policy_met: Tristate::Yes,
                    session_is_local: Tristate::Yes,
                    certificate_required: Tristate::Undetermined,
                    policy_source: Some(Text::cut("none")),
                },
                "{data:?}"
            );
        }
    }

    #[test]
    fn the_variants_for_certificates_by_place() {
        for (id, own) in [(361, 1), (362, 3)] {
            let mut data: Vec<(&str, &str)> = NAMED_360[..8].iter().map(|(_, value)| ("", *value)).collect();
            data.extend(vec![("", "No"); own]);
            data.push(("", "policy"));
            let facts = read(&event(UDR, REGISTRATION, id, "2026-03-01T08:00:00Z", ADA, &data));
            let found = &facts.provisioning[&sid(ADA)];
            assert_eq!(found.policy_source.as_ref().unwrap().as_str(), "policy", "{id}");
            assert_eq!((found.session_is_local, found.policy_enabled), (Tristate::Yes, Tristate::No), "{id}");
        }
    }

    #[test]
    fn what_cannot_be_placed_is_not_guessed() {
        let data = [("", "x"), ("", "Yes"), ("", "Yes")];
        let facts = read(&event(UDR, REGISTRATION, 360, "2026-03-01T08:00:00Z", ADA, &data));
        assert!(facts.provisioning.is_empty());
        let facts = read(&event(UDR, REGISTRATION, 358, "2026-03-01T08:00:00Z", ADA, &data));
        assert_eq!(facts.provisioning[&sid(ADA)].policy_enabled, Tristate::NotShown, "358 says one thing by itself");
    }

    #[test]
    fn the_newest_event_of_a_person_counts() {
        let at = |id, at: &str, user: &str| event(UDR, REGISTRATION, id, at, user, &NAMED_360);
        let events = at(360, "2026-03-03T08:00:00Z", ADA)
            + &at(358, "2026-03-04T08:00:00Z", ADA)
            + &at(362, "2026-03-02T08:00:00Z", ADA)
            + &at(360, "2026-03-05T08:00:00Z", "S-1-5-18")
            + &at(360, "2026-03-05T08:00:00Z", "S-1-5-21-9-9-9-1001")
            + &at(360, "2026-03-05T08:00:00Z", "S-1-12-1-1-2-3-4")
            + &event("Other", REGISTRATION, 360, "2026-03-06T08:00:00Z", ADA, &NAMED_360)
            + &event(UDR, "Application", 360, "2026-03-06T08:00:00Z", ADA, &NAMED_360);
        let machine = sid("S-1-5-21-9-9-9");
        let facts = facts(&parse_text(&events).unwrap(), Some(&machine));
        let found: Vec<(&str, u32)> =
            facts.provisioning.iter().map(|(user, event)| (user.as_str(), event.id)).collect();
        assert_eq!(found, [("S-1-12-1-1-2-3-4", 360), (ADA, 358)], "no service, no account of the machine's own");
    }

    #[test]
    fn registrations_of_keys() {
        let named = [
            ("KeyId", "{0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60}"),
            ("UPN", "ada@corp.example"),
            ("Attestation", "ATT_SOFT"),
            ("ClientRequestId", ""),
            ("ServerResponse", "{}"),
        ];
        let unnamed: Vec<(&str, &str)> = named.iter().map(|(_, value)| ("", *value)).collect();
        for data in [&named[..], &unnamed] {
            let facts = read(&event(UDR, REGISTRATION, 300, "2026-03-01T08:14:05Z", ADA, data));
            let found = &facts.registrations[&sid(ADA)];
            assert_eq!(found.registered_at.to_string(), "2026-03-01T08:14:05Z");
            assert_eq!(found.key_id.unwrap().to_string(), "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60");
            assert_eq!(found.upn.as_ref().unwrap().as_str(), "ada@corp.example");
            assert_eq!(found.attestation.as_ref().unwrap().as_str(), "ATT_SOFT");
        }
        let facts = read(&event(UDR, REGISTRATION, 300, "2026-03-01T08:14:05Z", ADA, &[("KeyId", "?"), ("UPN", "")]));
        let found = &facts.registrations[&sid(ADA)];
        assert_eq!((found.key_id, &found.upn, &found.attestation), (None, &None, &None));
    }

    const KDC_PROVIDER: &str = "Microsoft-Windows-Kerberos-Key-Distribution-Center";

    #[test]
    fn what_is_read_of_each_event() {
        const THUMBPRINT: &str = "00112233445566778899AABBCCDDEEFF00112233";
        let lower = THUMBPRINT.to_lowercase();
        for (provider, channel, id, data, expected) in [
            (UDR, REGISTRATION, 304, &[("ExitCode", "-2145648639")][..], Some("0x801c0001")),
            (UDR, REGISTRATION, 344, &[("ExitCode", "2150106113")], Some("0x80280401")),
            (UDR, REGISTRATION, 347, &[("ErrorCode", "0x801C03F2"), ("ServerErrorMessage", "x")], Some("0x801c03f2")),
            (UDR, REGISTRATION, 346, &[("KeyHash", "x"), ("UPN", "ada@corp.example")], None),
            (
                UDR,
                REGISTRATION,
                351,
                &[("ErrorCode", "-1"), ("AttLevel", "2"), ("AikStatus", "1")],
                Some("0xffffffff, AttLevel 2, AikStatus 1"),
            ),
            (UDR, REGISTRATION, 385, &[("KeyStatusSymbolicName", "KEY_X"), ("ErrorCode", "0")], Some("KEY_X")),
            (UDR, REGISTRATION, 342, &[("ErrorCode", "none")], None),
            ("Microsoft-Windows-TPM-WMI", SYSTEM, 1794, &[], None),
            ("Microsoft-Windows-HelloForBusiness", HELLO, 7055, &[("ErrorCode", "2148073488")], Some("0x80090010")),
            (
                KDC_PROVIDER,
                KDC,
                302,
                &[
                    ("Issuer", "CN=x"),
                    ("SerialNumber", THUMBPRINT),
                    ("Thumbprint", "ff112233445566778899aabbccddeeff00112233"),
                ],
                Some("ff112233445566778899aabbccddeeff00112233"),
            ),
            (KDC_PROVIDER, KDC, 120, &[("", "CN=x"), ("", "42"), ("", THUMBPRINT)], Some(&lower)),
            (KDC_PROVIDER, KDC, 302, &[("Thumbprint", "none")], None),
            (KDC_PROVIDER, SYSTEM, 19, &[], None),
            ("Kdcsvc", SYSTEM, 45, &[("User", "ada")], None),
        ] {
            let facts = read(&event(provider, channel, id, "2026-03-01T08:00:00Z", "", data));
            let [found] = &[&facts.device[..], &facts.kdc[..]].concat()[..] else { panic!("{id}: {facts:?}") };
            assert_eq!((found.id, found.data.as_ref().map(Text::as_str)), (id, expected), "{id}");
            assert_eq!((found.channel.as_str(), found.provider.as_str()), (channel, provider));
        }
    }

    #[test]
    fn summaries_name_the_logs_that_were_looked_through() {
        let facts = read(
            &(event(KDC_PROVIDER, SYSTEM, 19, "2026-03-01T08:00:00Z", "", &[])
                + &event(KDC_PROVIDER, SYSTEM, 19, "2026-03-01T07:00:00Z", "", &[])
                + &event(UDR, REGISTRATION, 101, "2026-03-01T08:00:00Z", "", &[])),
        );
        let kdc = facts.kdc_summary(&[]).unwrap();
        assert_eq!(kdc.newest(SYSTEM, 19).unwrap().at.to_string(), "2026-03-01T08:00:00Z");
        assert_eq!(kdc.log(SYSTEM).unwrap().state, EventLogState::Read);
        assert!(kdc.log(KDC).is_none(), "nobody looked");
        let off = EventLog { channel: Text::cut(KDC), state: EventLogState::Disabled, oldest: None };
        let kdc = facts.kdc_summary(std::slice::from_ref(&off)).unwrap();
        assert_eq!(kdc.log(KDC).unwrap().state, EventLogState::Disabled);
        let device = facts.device_summary(&[]).unwrap();
        assert!(device.events.is_empty());
        assert_eq!(device.logs.len(), 1, "System was looked through for the KDC, which does not say that for the TPM");
        assert_eq!(Facts::default().device_summary(&[]), None);
        assert_eq!(Facts::default().kdc_summary(&[off]).unwrap().logs.len(), 1);
    }

    #[test]
    fn an_export_that_lacks_the_newest_says_so() {
        let at = |id, at: &str| event(UDR, REGISTRATION, id, at, ADA, &NAMED_360);
        let (old, young) = (at(360, "2026-03-01T08:00:00Z"), at(358, "2026-03-02T08:00:00Z"));
        let rising = read(&(old.clone() + &young + &young[..100]));
        assert!(rising.provisioning.is_empty());
        assert_eq!(rising.doubtful, BTreeSet::from([sid(ADA)]));
        let log = rising.device_summary(&[]).unwrap().logs.remove(0);
        assert!(matches!(log.state, EventLogState::Unreadable(_)));
        let falling = read(&(young.clone() + &old + &old[..100]));
        assert_eq!(falling.provisioning[&sid(ADA)].id, 358, "the newest came first");
        let mut merged = read(&old);
        merged.merge(read(&young));
        assert_eq!(merged.provisioning[&sid(ADA)].id, 358);
    }
}
