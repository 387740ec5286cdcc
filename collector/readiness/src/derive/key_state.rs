//! Where a user's Hello key stands on its way from the cloud into the directory.
//!
//! The path is: registered at the endpoint (event 300, T_reg), imported, synchronised and exported by Connect, then
//! replicated. In the worst case a key waits for one interval I, misses a cycle of duration C, and replicates for R:
//! it must be there at `D = T_reg + 2·I + C + R`. Until D it is pending; from then on overdue, which blocks at
//! `D + 2·I`.
//!
//! Absence is believed only where a complete reading of the directory proves it, with a canary key seen: a reader
//! without permission gets no values, exactly as for a user without keys. Presence needs no such proof.

use std::borrow::Cow;

use muster_evidence::{
    Evidence, Guid, KeyRegistration, Kind, Observation, Outcome, Sid, Timestamp, Tristate, UserKeys,
};
use serde::{Deserialize, Serialize};

use super::key_match::{KeyMatch, Proof, Wanted, key_match};
use crate::check::answer::{Look, Standpoint, look_at, standpoint, unsaid_context, wrong_context};
use crate::{Facts, Freshness, Gap, Policy, is_stale, stale_at};

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum KeyState {
    /// The user has not set up Hello here, and no key was registered.
    NotStarted,
    /// A key was registered here, and the container is gone.
    Removed,
    /// Not in the directory yet, and not due.
    Pending {
        /// T_reg.
        registered_at: Timestamp,
        /// D.
        deadline: Timestamp,
    },
    /// Not in the directory although it is due.
    Overdue {
        /// T_reg.
        registered_at: Timestamp,
        /// D.
        deadline: Timestamp,
        /// When being overdue begins to block.
        blocks_at: Timestamp,
        /// Whether it does already.
        blocks: bool,
    },
    /// In the directory.
    Synced {
        /// What the match rests on.
        proof: Proof,
    },
    /// The evidence does not say.
    Unknown(Gap),
}

/// A key's state, until when it holds by itself, and the age of its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStanding {
    /// The state.
    pub state: KeyState,
    /// When it changes if no new evidence comes.
    ///
    /// For a key that is missing, this includes the time at which the reading of the directory becomes too old to
    /// prove it. For a key that is there it does not, since that time moves with every reading: staleness is applied
    /// when verdicts are read, with [`crate::held`], [`Freshness::Directory`] and the inventory's time.
    pub valid_until: Option<Timestamp>,
    /// When the oldest observation it rests on was made.
    pub evidence_at: Option<Timestamp>,
}

/// What is known of a user's Hello container.
pub enum Container<'a> {
    /// It is there.
    Set(&'a Observation),
    /// It is not there: seen in the user's own session.
    NotSet(&'a Observation),
    /// The evidence does not say.
    Unknown(Gap),
}

/// Reads the container of a user: a NO counts only from the user's own session.
pub fn container<'a>(facts: &Facts<'a>, sid: &Sid) -> Container<'a> {
    let (set, observation) = match look_at!(facts, Ngc, sid) {
        Look::Gap(gap) => return Container::Unknown(gap),
        Look::Absent(observation) => (Tristate::No, observation),
        Look::Found(ngc, observation) => (ngc.set, observation),
    };
    match (standpoint(observation), set) {
        (Standpoint::Wrong, _) => Container::Unknown(wrong_context(Kind::Ngc)),
        (_, Tristate::Yes) => Container::Set(observation),
        (Standpoint::Own, Tristate::No) => Container::NotSet(observation),
        (Standpoint::Unsaid, Tristate::No) => Container::Unknown(unsaid_context(Kind::Ngc, "NgcSet : NO")),
        (_, Tristate::Undetermined | Tristate::NotShown) => Container::Unknown(Gap {
            missing: "the user's Hello container".into(),
            why: "`NgcSet` says neither yes nor no".into(),
        }),
    }
}

/// The deadline D of a key registered at that time.
pub fn deadline(registered_at: Timestamp, policy: &Policy) -> Timestamp {
    let minutes = 2 * i64::from(policy.sync_interval_minutes)
        + i64::from(policy.sync_cycle_minutes)
        + i64::from(policy.replication_minutes);
    registered_at.plus_minutes(minutes)
}

/// Derives the state of a user's key of this machine.
pub fn key_state(facts: &Facts<'_>, sid: &Sid, policy: &Policy, now: Timestamp) -> KeyStanding {
    let container = container(facts, sid);
    // The registration is an event that a service may read, so it counts from any context.
    let registration = look_at!(facts, KeyRegistration, sid);
    let evidence_at = {
        let of_container = match &container {
            Container::Set(observation) | Container::NotSet(observation) => Some(observation.observed_at),
            Container::Unknown(_) => None,
        };
        let of_registration = match &registration {
            Look::Found(_, observation) => Some(observation.observed_at),
            Look::Absent(_) | Look::Gap(_) => None,
        };
        [of_container, of_registration].into_iter().flatten().min()
    };
    let standing = |state, valid_until| KeyStanding { state, valid_until, evidence_at };

    let registered: Option<&KeyRegistration> = match (&registration, container) {
        (Look::Found(registration, _), Container::NotSet(seen)) => {
            if seen.observed_at >= registration.registered_at {
                return standing(KeyState::Removed, None);
            }
            Some(registration) // registered after the container was last looked for
        }
        (Look::Found(registration, _), Container::Set(_) | Container::Unknown(_)) => Some(registration),
        (Look::Absent(_) | Look::Gap(_), Container::NotSet(_)) => return standing(KeyState::NotStarted, None),
        (Look::Absent(_) | Look::Gap(_), Container::Unknown(gap)) => return standing(KeyState::Unknown(gap), None),
        // An event log that could not be read says so itself. One that holds no such event any more, or that nobody
        // looked at, leaves open when the key was registered, and so which of the device's keys it is.
        (Look::Gap(gap), Container::Set(_)) if facts.host.of_user(Kind::KeyRegistration, sid).is_some() => {
            return standing(KeyState::Unknown(gap.clone()), None);
        }
        (Look::Absent(_) | Look::Gap(_), Container::Set(_)) => None,
    };
    let wanted = Wanted {
        device_id: registered.and_then(|registration| registration.device_id).or_else(|| device_id(facts)),
        registered_at: registered.map(|registration| registration.registered_at),
        public_key: registered.and_then(|registration| registration.public_key_sha256),
    };
    let (state, valid_until) = in_directory(facts, sid, &wanted, policy, now);
    standing(state, valid_until)
}

/// What is missing where the directory does not answer.
const KEYS: &str = "the keys in the directory";

/// The state of a key that was registered, by what the directory holds.
fn in_directory(
    facts: &Facts<'_>,
    sid: &Sid,
    wanted: &Wanted,
    policy: &Policy,
    now: Timestamp,
) -> (KeyState, Option<Timestamp>) {
    let gap = |missing: &'static str, why: Cow<'static, str>| {
        (KeyState::Unknown(Gap { missing: Cow::Borrowed(missing), why }), None)
    };
    let Some(inventory) = facts.forest.inventory else {
        return gap(KEYS, "nobody reads the directory of this forest".into());
    };
    if is_stale(Freshness::Directory, inventory.as_of, policy, now) {
        return gap(KEYS, format!("the directory was last read at {}, which is too long ago", inventory.as_of).into());
    }
    let held = facts.forest.keys.get(sid);
    match key_match(wanted, held.map_or(&[], |held| held.keys.as_slice())) {
        KeyMatch::Found(proof) => return (KeyState::Synced { proof }, None),
        KeyMatch::Undecided(why) => return gap("the user's key in the directory", why.into()),
        KeyMatch::Missing => {}
    }

    // From here on the key is not among those that were read: may its absence be believed?
    if let Some(UserKeys { undecodable, left_out, .. }) = held {
        if *undecodable > 0 {
            return gap(KEYS, format!("{undecodable} of the user's values could not be decoded").into());
        }
        if *left_out > 0 {
            return gap(KEYS, format!("{left_out} of the user's values were left out").into());
        }
    }
    if !inventory.complete {
        return gap(KEYS, "no full pass over the directory has been completed".into());
    }
    if !inventory.canary_seen {
        return gap(KEYS, "reading was not proved on a key known to be there".into());
    }
    let Some(registered_at) = wanted.registered_at else {
        return gap(
            "the time of the key's registration",
            "no registration was reported, so no deadline is known".into(),
        );
    };

    let deadline = deadline(registered_at, policy);
    let blocks_at = deadline.plus_minutes(2 * i64::from(policy.sync_interval_minutes));
    let unproved_at = stale_at(Freshness::Directory, inventory.as_of, policy);
    if now < deadline {
        return (KeyState::Pending { registered_at, deadline }, Some(deadline.min(unproved_at)));
    }
    let not_read_since = |what: &str, when: Timestamp| {
        let why = format!("the directory was last read at {}, before {what} at {when}", inventory.as_of);
        gap(KEYS, why.into())
    };
    if inventory.as_of < registered_at {
        return not_read_since("the registration", registered_at);
    }
    let overdue = |blocks| KeyState::Overdue { registered_at, deadline, blocks_at, blocks };
    if now < blocks_at {
        return (overdue(false), Some(blocks_at.min(unproved_at)));
    }
    if inventory.as_of < deadline {
        return not_read_since("the deadline", deadline);
    }
    (overdue(true), Some(unproved_at))
}

/// The machine's Entra device id, from its join state.
fn device_id(facts: &Facts<'_>) -> Option<Guid> {
    match &facts.host.of_host(Kind::JoinState)?.outcome {
        Outcome::Observed(Evidence::JoinState(join)) => join.device_id,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, DirectoryKey, JoinState};

    use super::*;
    use crate::KeyInventory;
    use crate::check::fixture::{Host, ada, at, device, hybrid, ngc, registration};
    use crate::derive::key_match::fixture_key;

    const T_REG: &str = "2026-03-02T08:00:00Z";
    /// T_reg + 2·30 + 10 + 15 minutes.
    const D: &str = "2026-03-02T09:25:00Z";
    /// D + 2·30 minutes.
    const BLOCKS: &str = "2026-03-02T10:25:00Z";

    fn keys(keys: Vec<DirectoryKey>) -> UserKeys {
        UserKeys { sid: ada(), keys, undecodable: 0, left_out: 0, upn: None }
    }

    fn registered() -> Host {
        Host::endpoint()
            .with(Evidence::JoinState(hybrid()))
            .user(Evidence::Ngc(ngc(Tristate::Yes)), Context::UserSession)
            .user(Evidence::KeyRegistration(registration(at(T_REG))), Context::Service)
    }

    fn state(host: &Host, now: &str) -> (KeyState, Option<Timestamp>) {
        let KeyStanding { state, valid_until, .. } = key_state(&host.facts(), &ada(), &Policy::default(), at(now));
        (state, valid_until)
    }

    fn why(host: &Host, now: &str) -> String {
        match state(host, now).0 {
            KeyState::Unknown(gap) => format!("{}: {}", gap.missing, gap.why),
            other => panic!("not unknown: {other:?}"),
        }
    }

    #[test]
    fn the_deadline_is_85_minutes_in_the_same_site() {
        assert_eq!(deadline(at(T_REG), &Policy::default()), at(D));
        let one_link = Policy { replication_minutes: 180, ..Policy::default() };
        assert_eq!(deadline(at(T_REG), &one_link), at(T_REG).plus_minutes(250));
    }

    #[test]
    fn a_missing_key_is_pending_then_overdue_then_blocks() {
        let (registered_at, deadline, blocks_at) = (at(T_REG), at(D), at(BLOCKS));
        let pending = KeyState::Pending { registered_at, deadline };
        let overdue = |blocks| KeyState::Overdue { registered_at, deadline, blocks_at, blocks };
        let cases = [
            ("2026-03-02T08:00:01Z", "2026-03-02T09:00:00Z", &pending, Some(D)),
            ("2026-03-02T09:24:59.999Z", "2026-03-02T09:24:00Z", &pending, Some(D)),
            (D, "2026-03-02T09:25:00Z", &overdue(false), Some("2026-03-02T10:25:00Z")),
            ("2026-03-02T10:24:59.999Z", "2026-03-02T10:20:00Z", &overdue(false), Some(BLOCKS)),
            (BLOCKS, "2026-03-02T10:25:00Z", &overdue(true), Some("2026-03-02T11:25:00.001Z")),
        ];
        for (now, as_of, expected, until) in cases {
            for host in [registered().inventory(at(as_of)), registered().inventory(at(as_of)).keys(keys(vec![]))] {
                assert_eq!(state(&host, now), (expected.clone(), until.map(at)), "{now}");
            }
        }
    }

    #[test]
    fn the_key_found_is_synced_at_any_time() {
        let host = registered().inventory(at(BLOCKS)).keys(keys(vec![fixture_key(at(T_REG).plus_minutes(1))]));
        let synced = KeyState::Synced { proof: Proof::CreationTime };
        assert_eq!(state(&host, "2026-03-02T08:30:00Z"), (synced.clone(), None));
        assert_eq!(state(&host, "2026-03-02T11:00:00Z"), (synced.clone(), None));
        // Presence needs no complete pass, and a value beside it that cannot be decoded does not matter.
        let mut partial = host;
        partial.forest.inventory = Some(KeyInventory { as_of: at(BLOCKS), complete: false, canary_seen: false });
        partial.forest.keys.get_mut(&ada()).unwrap().undecodable = 1;
        assert_eq!(state(&partial, "2026-03-02T11:00:00Z").0, synced);
    }

    #[test]
    fn absence_is_believed_only_where_it_is_proved() {
        let read = "2026-03-02T09:00:00Z";
        let now = "2026-03-02T09:01:00Z";
        let inventory = |complete, canary_seen| {
            let mut host = registered();
            host.forest.inventory = Some(KeyInventory { as_of: at(read), complete, canary_seen });
            host
        };
        let values = |undecodable, left_out| {
            registered().inventory(at(read)).keys(UserKeys { undecodable, left_out, ..keys(vec![]) })
        };
        let cases = [
            (registered(), "the keys in the directory: nobody reads the directory of this forest"),
            (inventory(false, true), "the keys in the directory: no full pass over the directory has been completed"),
            (inventory(true, false), "the keys in the directory: reading was not proved on a key known to be there"),
            (values(2, 0), "the keys in the directory: 2 of the user's values could not be decoded"),
            (values(0, 3), "the keys in the directory: 3 of the user's values were left out"),
            (
                registered().inventory(at(T_REG)),
                "the keys in the directory: the directory was last read at 2026-03-02T08:00:00Z, which is too long ago",
            ),
            (
                registered()
                    .inventory(at(read))
                    .keys(keys(vec![DirectoryKey { created_at: None, ..fixture_key(at(T_REG)) }])),
                "the user's key in the directory: the directory holds a key of this device without a readable time of \
                 creation",
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(why(&host, now), expected);
        }
    }

    #[test]
    fn a_directory_not_read_since_decides_nothing_past_the_deadline() {
        let policy = Policy { directory_fresh_minutes: 24 * 60, ..Policy::default() };
        let derive = |as_of: &str, now: &str| {
            key_state(&registered().inventory(at(as_of)).facts(), &ada(), &policy, at(now)).state
        };
        assert!(matches!(derive("2026-03-02T07:59:59Z", "2026-03-02T09:24:59Z"), KeyState::Pending { .. }));
        assert!(matches!(derive("2026-03-02T07:59:59Z", D), KeyState::Unknown(_)));
        assert!(matches!(derive(T_REG, D), KeyState::Overdue { blocks: false, .. }));
        assert!(matches!(derive("2026-03-02T09:24:59Z", BLOCKS), KeyState::Unknown(_)));
        assert!(matches!(derive(D, BLOCKS), KeyState::Overdue { blocks: true, .. }));
    }

    #[test]
    fn container_and_registration_decide_whether_there_is_a_key_at_all() {
        let now = "2026-03-02T12:00:00Z";
        let set = |set, context| {
            Host::endpoint()
                .with(Evidence::JoinState(hybrid()))
                .user(Evidence::Ngc(ngc(set)), context)
                .inventory(at(now))
        };
        let event = || Evidence::KeyRegistration(registration(at(T_REG)));
        let own = Context::UserSession;
        assert_eq!(state(&set(Tristate::No, own), now).0, KeyState::NotStarted);
        assert_eq!(
            state(&set(Tristate::No, own).user_absent(Kind::KeyRegistration, Context::Service), now).0,
            KeyState::NotStarted
        );
        assert_eq!(state(&set(Tristate::No, own).user(event(), Context::Service), now).0, KeyState::Removed);
        // Registered after the container was looked for: the fixtures look at noon.
        let later = Evidence::KeyRegistration(registration(at("2026-03-02T12:00:01Z")));
        assert!(matches!(
            state(&set(Tristate::No, own).user(later, Context::Service), "2026-03-02T12:30:00Z").0,
            KeyState::Pending { .. }
        ));
        assert!(why(&set(Tristate::No, Context::Unknown), now).contains("counts only from the user's own session"));
        assert!(why(&set(Tristate::Yes, Context::Service), now).contains("wrong context"));
        // The event proves the key whatever is known of the container.
        let by_event = set(Tristate::No, Context::Service).user(event(), Context::Service);
        assert!(matches!(state(&by_event, now).0, KeyState::Overdue { blocks: true, .. }));
    }

    #[test]
    fn without_a_registration_no_key_of_the_device_is_proved() {
        let now = "2026-03-02T12:00:00Z";
        let host = Host::endpoint()
            .with(Evidence::JoinState(hybrid()))
            .user(Evidence::Ngc(ngc(Tristate::Yes)), Context::UserSession)
            .inventory(at(now));
        let found = host.clone().keys(keys(vec![fixture_key(at("2024-01-01T00:00:00Z"))]));
        assert_eq!(
            why(&found, now),
            "the user's key in the directory: a key of this device is in the directory, but when this machine's key \
             was registered is not known"
        );
        assert_eq!(
            why(&host, now),
            "the time of the key's registration: no registration was reported, so no deadline is known"
        );
        let unread = found.user_failed(Kind::KeyRegistration);
        assert_eq!(why(&unread, now), "the key registration: access denied: not allowed");
        let nameless = host.with(Evidence::JoinState(JoinState { device_id: None, ..hybrid() }));
        assert!(why(&nameless, now).contains("device id is not known"));
        assert!(!device().is_zero());
    }
}
