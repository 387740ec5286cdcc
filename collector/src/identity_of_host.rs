//! Whether a machine that reports under a name nobody has is one that is known under another.
//!
//! A machine that is renamed gets another certificate; its number, its verdicts and its history are to go with it. What
//! it says of itself beside the certificate is said by whoever holds the certificate, so taking it at its word would let
//! one machine take another's record: hide a blocked domain controller, or have a quiet laptop vanish from the list. The
//! rule, of which every part must hold:
//!
//! 1. **The new name is proved and free.** It is the one in the certificate of whoever reports; what a relay tells of is a
//!    claim about somebody else and renames nothing. A host that is found under the name already *is* that host, whatever
//!    else the report says: then it is installed anew, or in conflict, as `merge` decides.
//! 2. **The known host speaks for itself, alone.** It is no relay's, nobody contests its name, and no other host reports as
//!    its installation: of several copies nobody can say which one was renamed.
//! 3. **Nothing contradicts.** Forest, `objectGUID` and endorsement key, where both say one, are the same. A copy of a disk
//!    that was joined as a computer of its own, or runs on other hardware, is another machine.
//! 4. **A name that was left is not taken back at once.** Where the machine that left it is still heard of under its new
//!    name, there are two machines: both are kept, and shown as a conflict.
//! 5. **Who has a granted role is renamed with care.** Each role beyond `endpoint` must be granted under the new name too,
//!    and either by the certificate's thumbprint, or with the same `objectGUID` on both sides. Else anybody who copies a
//!    domain controller's state could make it vanish from its site's gate.
//! 6. **It is proved to be the same machine**, in one of two ways:
//!    - *It goes on where the other stopped*: the same installation and incarnation, and a sequence above the last. The
//!      incarnation is a random number that is sent to the collector and shown to nobody. No silence is asked for: a
//!      machine is renamed within a minute, and two machines cannot both go on from one number for long: the one that
//!      comes second is not above the first, and is a conflict.
//!    - *The other is silent*, for three of its turns, and two of three attributes are the same: installation,
//!      `objectGUID`, endorsement key. One alone is not enough: an `objectGUID` is readable by everybody in the domain,
//!      an installation id is shown to operators, and a virtual TPM can be copied with its machine.
//!
//! Where several hosts pass, none is taken. Whatever does not pass is a new host, and nothing is lost by that: what two
//! hosts share is shown on both.
//!
//! Pure: nothing is read or written here.

use muster_evidence::{Forest, Guid, HostName, InstallId, Role, Sha256, Timestamp};
use muster_proto::v1;

/// A machine under a name that no host has.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer<'a> {
    /// The name in its certificate.
    pub name: &'a HostName,
    /// Its forest.
    pub forest: Option<&'a Forest>,
    /// Whether a relay speaks for it.
    pub relayed: bool,
    /// The installation that reports.
    pub install_id: InstallId,
    /// Its incarnation.
    pub incarnation: u64,
    /// The number of the report.
    pub sequence: u64,
    /// The `objectGUID` it states.
    pub object_guid: Option<Guid>,
    /// The endorsement key it states.
    pub ek_sha256: Option<Sha256>,
    /// The roles it claims and is granted, each with whether the grant names its certificate.
    pub roles: &'a [(Role, bool)],
    /// When it reported.
    pub now: Timestamp,
}

/// A host that it may be.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its record.
    pub record: &'a v1::HostRecord,
    /// The number of its last report, which may be later than the record's.
    pub sequence: u64,
    /// When it was last heard of, which may be later than the record says.
    pub last_seen: Timestamp,
    /// No other host reports as its installation.
    pub alone: bool,
    /// Silence after which it does not count as heard of.
    pub silence_ms: i64,
}

/// What proves that two names are one machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It goes on where the other stopped.
    Numbering,
    /// The other is silent, and two attributes are the same.
    Attributes,
}

/// Why a newcomer is not taken for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Another {
    /// A relay speaks for one of the two.
    #[error("a relay speaks for one of them")]
    Relayed,
    /// The host is in conflict already, or its installation was copied.
    #[error("two machines report as the known host already")]
    Contested,
    /// Something that both state differs.
    #[error("their {0} differ")]
    Contradicts(&'static str),
    /// The name was left by the host, which is heard of under its new one.
    #[error("the known host has left that name and is heard of under its new one")]
    NameLeft,
    /// A role of the host is not granted so that it could be carried over.
    #[error("role `{}` is not granted to the certificate, nor is the objectGUID the same on both sides", .0.name())]
    Role(Role),
    /// Enough is the same, but the host is heard of.
    #[error("the known host is heard of still")]
    Active,
    /// Too little is the same.
    #[error("too little is the same")]
    Unproven,
}

/// Whether a newcomer is a host under another name, and what proves it.
pub fn same_machine(newcomer: &Newcomer<'_>, candidate: &Candidate<'_>) -> Result<Proof, Another> {
    let record = candidate.record;
    let known = record.identity.as_ref();
    if newcomer.relayed || !record.reporter.is_empty() {
        return Err(Another::Relayed);
    }
    if record.conflict || !candidate.alone {
        return Err(Another::Contested);
    }
    let forest = known.and_then(|known| known.forest.as_deref()).zip(newcomer.forest);
    if forest.is_some_and(|(known, own)| known != own.as_str()) {
        return Err(Another::Contradicts("forests"));
    }
    let guid = agree(known.and_then(|known| known.object_guid.as_deref()), newcomer.object_guid.as_ref().map(|g| &g.0));
    let key = agree(known.and_then(|known| known.ek_sha256.as_deref()), newcomer.ek_sha256.as_ref().map(|k| &k.0));
    for (what, agreed) in [("objectGUIDs", guid), ("endorsement keys", key)] {
        if agreed == Some(false) {
            return Err(Another::Contradicts(what));
        }
    }
    let active = newcomer.now.ms_since(candidate.last_seen) <= candidate.silence_ms;
    if active && record.former_names.iter().any(|former| former.name == newcomer.name.as_str()) {
        return Err(Another::NameLeft);
    }
    for role in record.roles.iter().filter_map(|role| muster_proto::convert::role_from_wire(*role).ok()) {
        let granted = newcomer.roles.iter().find(|(own, _)| *own == role);
        let carried_over = granted.is_some_and(|(_, pinned)| *pinned || guid == Some(true));
        if role.needs_grant() && !carried_over {
            return Err(Another::Role(role));
        }
    }
    let same_install = record.install_id == newcomer.install_id.0;
    if same_install && record.incarnation == newcomer.incarnation && newcomer.sequence > candidate.sequence {
        return Ok(Proof::Numbering);
    }
    let same = [same_install, guid == Some(true), key == Some(true)].into_iter().filter(|same| *same).count();
    match (same >= 2, active) {
        (false, _) => Err(Another::Unproven),
        (true, true) => Err(Another::Active),
        (true, false) => Ok(Proof::Attributes),
    }
}

/// Whether two attributes are the same; `None` where one of them is not stated.
fn agree(known: Option<&[u8]>, own: Option<&(impl AsRef<[u8]> + ?Sized)>) -> Option<bool> {
    known.zip(own).map(|(known, own)| known == own.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const GUID: Guid = Guid([1; 16]);
    const KEY: Sha256 = Sha256([2; 32]);

    /// A host of installation 7, incarnation 5, last report 40, silent for an hour where 45 minutes are asked for; and
    /// who reports next.
    struct Pair {
        record: v1::HostRecord,
        silent_ms: i64,
        alone: bool,
        name: &'static str,
        forest: Option<&'static str>,
        relayed: bool,
        install: u8,
        incarnation: u64,
        sequence: u64,
        guid: Option<Guid>,
        key: Option<Sha256>,
        roles: Vec<(Role, bool)>,
    }

    impl Pair {
        fn new() -> Self {
            let identity = v1::HostIdentity {
                name: "old.corp.example".to_owned(),
                forest: Some("corp.example".to_owned()),
                object_guid: Some(GUID.0.to_vec()),
                ek_sha256: Some(KEY.0.to_vec()),
                ..Default::default()
            };
            let record = v1::HostRecord {
                identity: Some(identity),
                install_id: vec![7; 16],
                incarnation: 5,
                sequence: 40,
                roles: vec![v1::Role::Endpoint.into()],
                ..Default::default()
            };
            Self {
                record,
                silent_ms: HOUR_MS,
                alone: true,
                name: "new.corp.example",
                forest: Some("corp.example"),
                relayed: false,
                install: 7,
                incarnation: 5,
                sequence: 41,
                guid: Some(GUID),
                key: Some(KEY),
                roles: vec![(Role::Endpoint, false)],
            }
        }

        fn decide(&self) -> Result<Proof, Another> {
            let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
            let (name, forest) = (self.name.parse().unwrap(), self.forest.map(|forest| forest.parse().unwrap()));
            let newcomer = Newcomer {
                name: &name,
                forest: forest.as_ref(),
                relayed: self.relayed,
                install_id: InstallId([self.install; 16]),
                incarnation: self.incarnation,
                sequence: self.sequence,
                object_guid: self.guid,
                ek_sha256: self.key,
                roles: &self.roles,
                now,
            };
            let candidate = Candidate {
                record: &self.record,
                sequence: self.record.sequence,
                last_seen: now.plus_ms(-self.silent_ms),
                alone: self.alone,
                silence_ms: HOUR_MS * 3 / 4,
            };
            same_machine(&newcomer, &candidate)
        }
    }

    /// The identity of the known host.
    fn known(pair: &mut Pair) -> &mut v1::HostIdentity {
        pair.record.identity.as_mut().unwrap()
    }

    /// Nothing is stated beside the installation.
    fn bare(pair: &mut Pair) {
        (pair.guid, pair.key) = (None, None);
        (known(pair).object_guid, known(pair).ek_sha256) = (None, None);
    }

    /// A domain controller that stays one under its new name.
    fn controller(pair: &mut Pair) {
        pair.record.roles = vec![v1::Role::DomainController.into()];
        pair.roles = vec![(Role::DomainController, false)];
    }

    fn heard(pair: &mut Pair) {
        pair.silent_ms = 60_000;
    }

    fn left(pair: &mut Pair) {
        pair.record.former_names = vec![v1::FormerName { name: pair.name.to_owned(), renamed_at_ms: 1 }];
    }

    type Change = fn(&mut Pair);

    #[test]
    fn who_is_taken_for_whom() {
        use Another::{Active, Contested, Contradicts, NameLeft, Relayed, Unproven};
        const DC: Role = Role::DomainController;
        let cases: &[(&str, &[Change], Result<Proof, Another>)] = &[
            ("renamed, everything the same", &[], Ok(Proof::Numbering)),
            ("renamed within a minute", &[heard], Ok(Proof::Numbering)),
            ("renamed, nothing but the installation stated", &[bare, heard], Ok(Proof::Numbering)),
            ("one side learnt its forest", &[|p| known(p).forest = None, heard], Ok(Proof::Numbering)),
            // Numbering.
            ("the number is not above the last", &[bare, |p| p.sequence = 40], Err(Unproven)),
            ("another incarnation", &[bare, |p| p.incarnation = 6], Err(Unproven)),
            ("another installation", &[bare, |p| p.install = 8], Err(Unproven)),
            // Attributes.
            ("state lost with the name, silent", &[|p| p.incarnation = 6], Ok(Proof::Attributes)),
            ("state lost with the name, heard of", &[|p| p.incarnation = 6, heard], Err(Active)),
            (
                "one more millisecond is silence",
                &[|p| p.incarnation = 6, |p| p.silent_ms = HOUR_MS * 3 / 4],
                Err(Active),
            ),
            ("new installation, computer and TPM the same", &[|p| p.install = 8], Ok(Proof::Attributes)),
            ("new installation, the same, heard of", &[|p| p.install = 8, heard], Err(Active)),
            ("only the objectGUID", &[|p| p.install = 8, |p| p.key = None], Err(Unproven)),
            ("only the endorsement key", &[|p| p.install = 8, |p| p.guid = None], Err(Unproven)),
            ("installation and TPM", &[|p| p.incarnation = 6, |p| p.guid = None], Ok(Proof::Attributes)),
            ("installation and computer", &[|p| p.incarnation = 6, |p| p.key = None], Ok(Proof::Attributes)),
            // Contradictions beat every proof.
            ("another computer", &[|p| p.guid = Some(Guid([9; 16]))], Err(Contradicts("objectGUIDs"))),
            ("another TPM", &[|p| p.key = Some(Sha256([9; 32]))], Err(Contradicts("endorsement keys"))),
            ("another forest", &[|p| p.forest = Some("other.example")], Err(Contradicts("forests"))),
            // Who speaks.
            ("a relay tells of the new name", &[|p| p.relayed = true], Err(Relayed)),
            ("a relay told of the old name", &[|p| p.record.reporter = "relay".to_owned()], Err(Relayed)),
            ("in conflict", &[|p| p.record.conflict = true], Err(Contested)),
            ("copied", &[|p| p.alone = false], Err(Contested)),
            // Names that were left.
            ("back at once", &[left, heard], Err(NameLeft)),
            ("back after silence", &[left], Ok(Proof::Numbering)),
            // Roles.
            ("a controller with its objectGUID", &[controller, heard], Ok(Proof::Numbering)),
            ("a controller without", &[controller, |p| p.guid = None], Err(Another::Role(DC))),
            ("a controller that said none", &[controller, |p| known(p).object_guid = None], Err(Another::Role(DC))),
            (
                "a controller whose certificate is granted",
                &[controller, bare, |p| p.roles = vec![(DC, true)]],
                Ok(Proof::Numbering),
            ),
            (
                "not a controller any more",
                &[controller, |p| p.roles = vec![(Role::Endpoint, true)]],
                Err(Another::Role(DC)),
            ),
            ("a controller now", &[|p| p.roles = vec![(DC, false)]], Ok(Proof::Numbering)),
        ];
        for (what, changes, expected) in cases {
            let mut pair = Pair::new();
            changes.iter().for_each(|change| change(&mut pair));
            assert_eq!(pair.decide(), *expected, "{what}");
        }
    }

    /// What whoever holds a valid certificate could try, knowing all that is public about the host it wants.
    #[test]
    fn a_record_is_not_to_be_stolen() {
        // The objectGUID is in the directory, the installation id on an operator's screen; the incarnation is nowhere.
        for (guid, install) in [(None, 7), (Some(GUID), 8), (None, 8)] {
            let mut thief = Pair::new();
            (thief.guid, thief.key, thief.install, thief.incarnation) = (guid, None, install, 99);
            thief.silent_ms = 90 * 24 * HOUR_MS;
            assert_eq!(thief.decide(), Err(Another::Unproven), "{guid:?} {install}");
        }
        // With all of it, the host must be silent, and of a controller the role must be granted under the new name.
        let mut thief = Pair::new();
        thief.incarnation = 99;
        heard(&mut thief);
        assert_eq!(thief.decide(), Err(Another::Active));
        let mut thief = Pair::new();
        controller(&mut thief);
        thief.roles = vec![(Role::Endpoint, false)];
        assert_eq!(thief.decide(), Err(Another::Role(Role::DomainController)));
    }
}
