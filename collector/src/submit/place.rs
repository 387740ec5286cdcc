//! Which host a report is about: the one of its name, one that had another name until now, or a new one.
//!
//! The resident table answers nearly always. It may be behind the store where another collector changed a name, so what
//! it says is compared with the record. Whether a machine under an unknown name is a known one is
//! [`crate::identity_of_host`]'s to say.

use std::collections::BTreeSet;

use muster_evidence::{HostIdentity, HostNo, Role, Subject, Timestamp};
use muster_proto::link::Chain;
use muster_proto::v1;
use tracing::{debug, info, warn};

use super::{Admitted, SILENT_CADENCES};
use crate::core::{Core, KEY_CREDENTIALS, KeysAhead, bodies_of};
use crate::identity_of_host::{Another, Candidate, Newcomer, Proof, same_machine};
use crate::judge::Bodies;
use crate::store::{HostKey, ItemsWanted, Rename, StoreError, StoredHost, WholeHost};
use crate::table::Namesake;

/// The host a report is about.
#[derive(Debug)]
pub(super) struct Place {
    /// Its number.
    pub(super) number: HostNo,
    /// What is stored of it; `None` for a new host.
    pub(super) stored: Option<StoredHost>,
    /// What was read along with it.
    pub(super) ahead: Option<Ahead>,
}

/// What judging a host reads beside its record.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Bodies of its observations, as stored.
    pub(super) bodies: Bodies,
    /// What the directory says about the people of the report.
    pub(super) keys: Option<KeysAhead>,
}

impl Core {
    /// Finds the host a report is about, and gives a new one its number.
    pub(super) async fn place(&self, admitted: &Admitted) -> Result<Place, StoreError> {
        let host = &admitted.host;
        if let Some(number) = self.resolve(host) {
            // The head first: should the inventory change meanwhile, what is judged by its items is judged again.
            let head = host.forest.as_ref().and_then(|own| self.inventory_head(own.as_str(), KEY_CREDENTIALS));
            let ids = people_of(admitted);
            let wanted = head.as_ref().filter(|_| !ids.is_empty()).map(|head| ItemsWanted {
                forest: head.forest.clone(),
                source: head.source.clone(),
                ids: ids.iter().cloned().collect(),
            });
            match self.store().load_whole(number, wanted).await? {
                None => return Ok(Place { number, stored: None, ahead: None }),
                Some(WholeHost { stored, bodies, items }) if is_named(&stored.record, host) => {
                    let keys = head.map(|head| KeysAhead { head, ids, items });
                    let ahead = Some(Ahead { bodies: bodies_of(bodies), keys });
                    return Ok(Place { number, stored: Some(stored), ahead });
                }
                Some(_) => {}
            }
        }
        let key = key_of(host);
        if let Some(number) = self.store().find(&key).await?
            && let Some(stored) = self.store().load(number).await?
        {
            self.put_stored(&stored).await?;
            return Ok(Place { number, stored: Some(stored), ahead: None });
        }
        if let Some(stored) = self.under_another_name(admitted).await? {
            return Ok(Place { number: stored.number, stored: Some(stored), ahead: None });
        }
        let number = self.store().assign(&key).await?;
        Ok(Place { number, stored: self.store().load(number).await?, ahead: None })
    }

    /// The one host that a machine under an unknown name has been until now.
    async fn under_another_name(&self, admitted: &Admitted) -> Result<Option<StoredHost>, StoreError> {
        let (host, report) = (&admitted.host, &admitted.report);
        if admitted.relay.is_some() {
            return Ok(None);
        }
        let key = host.ek_sha256.as_ref().map(|key| key.0.as_slice());
        let namesakes = self.read(|table| table.namesakes(report.install_id, key));
        if namesakes.is_empty() {
            return Ok(None);
        }
        let grants = &self.settings().grants;
        let roles: Vec<(Role, bool)> =
            admitted.roles.iter().map(|role| (*role, grants.names_certificate(*role, &admitted.thumbprint))).collect();
        let newcomer = Newcomer {
            name: &host.name,
            forest: host.forest.as_ref(),
            relayed: false,
            install_id: report.install_id,
            incarnation: report.incarnation,
            sequence: report.sequence,
            object_guid: host.object_guid,
            ek_sha256: host.ek_sha256,
            roles: &roles,
            now: admitted.now,
        };
        let mut proved = Vec::new();
        for namesake in namesakes {
            let Some(stored) = self.store().load(namesake.number).await? else { continue };
            match same_machine(&newcomer, &self.candidate(&stored.record, namesake, admitted)) {
                Ok(proof) => proved.push((stored, proof)),
                Err(why) => tell_apart(&stored.record, host, why),
            }
        }
        match proved.len() {
            1 => Ok(proved.pop().map(|(stored, proof)| {
                let before = name_of(&stored.record);
                let by = match proof {
                    Proof::Numbering => "its reports go on where those under the other name stopped",
                    Proof::Attributes => "the other name is silent, and two of its attributes are the same",
                };
                info!(number = stored.number.0, before, after = %host.name, by, "a machine was renamed");
                stored
            })),
            _ => Ok(None),
        }
    }

    fn candidate<'a>(&self, record: &'a v1::HostRecord, namesake: Namesake, admitted: &Admitted) -> Candidate<'a> {
        let Namesake { number: _, sequence, incarnation, last_seen, alone } = namesake;
        let roles = record.roles.iter().filter_map(|role| muster_proto::convert::role_from_wire(*role).ok());
        let cadences = &self.settings().cadences;
        let cadence = cadences.of(roles).max(cadences.of(admitted.roles.iter().copied()));
        let known = Timestamp::from_unix_ms(record.last_seen_ms).unwrap_or(Timestamp::MIN);
        Candidate {
            record,
            // Numbers of another incarnation say nothing of this one.
            sequence: if incarnation == record.incarnation { sequence.max(record.sequence) } else { record.sequence },
            last_seen: last_seen.max(known),
            alone,
            silence_ms: i64::try_from(cadence.as_millis()).unwrap_or(i64::MAX).saturating_mul(SILENT_CADENCES),
        }
    }
}

/// Says why two names are taken for two machines, where that is news to somebody.
fn tell_apart(record: &v1::HostRecord, host: &HostIdentity, why: Another) {
    let (known, newcomer) = (name_of(record), &host.name);
    match why {
        Another::NameLeft => {
            warn!(known, %newcomer, "a name that a machine has left reports, while the machine is heard of; two copies of it");
        }
        Another::Role(_) => {
            warn!(known, %newcomer, why = %Chain(&why), "a host was not renamed");
        }
        _ => debug!(known, %newcomer, why = %Chain(&why), "a host was not renamed"),
    }
}

/// The people a report speaks of.
fn people_of(admitted: &Admitted) -> BTreeSet<String> {
    let subjects = admitted.report.observations.iter().map(|own| &own.key.subject);
    let people = subjects.filter_map(|subject| match subject {
        Subject::User(sid) => Some(sid.to_string()),
        Subject::Host | Subject::Certificate(_) => None,
    });
    people.collect()
}

fn name_of(record: &v1::HostRecord) -> &str {
    record.identity.as_ref().map_or("", |identity| identity.name.as_str())
}

fn is_named(record: &v1::HostRecord, host: &HostIdentity) -> bool {
    name_of(record) == host.name.as_str()
}

fn key_of(host: &HostIdentity) -> HostKey {
    HostKey { forest: host.forest.clone(), name: host.name.clone() }
}

/// The change of the name index that a record asks for in place of another.
pub(super) fn rename_of(before: &v1::HostRecord, host: &HostIdentity) -> Option<Rename> {
    let left = before.identity.as_ref().filter(|left| left.name != host.name.as_str())?;
    let name: muster_evidence::HostName = left.name.parse().ok()?;
    // It was found by its name alone until it had learnt its forest.
    let forest = left.forest.as_ref().and_then(|forest| forest.parse().ok());
    let left = [forest, None].map(|forest| HostKey { forest, name: name.clone() });
    Some(Rename { left: left.to_vec(), taken: key_of(host) })
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Guid, InstallId, JoinState, Sha256, Tristate};
    use muster_proto::v1::Acknowledgement;

    use super::*;
    use crate::clock::Clock as _;
    use crate::fixture::{Lab, Machine, joined};

    fn pc(name: &str) -> Machine {
        Machine::endpoint(&format!("{name}.corp.example"), "Harbour", 1_104)
    }

    /// The machine after a rename: the state goes on, the certificate is another one.
    fn renamed(machine: &Machine, name: &str) -> Machine {
        let mut machine = machine.clone();
        machine.host.name = format!("{name}.corp.example").parse().unwrap();
        machine
    }

    fn names(core: &Core) -> Vec<String> {
        core.read(|table| table.rows_after(HostNo(0)).map(|row| row.key.name.to_string()).collect())
    }

    fn conflicts(core: &Core) -> Vec<u64> {
        core.read(|table| {
            let found = table.in_conflict();
            for row in table.rows_after(HostNo(0)) {
                assert_eq!(table.is_in_conflict(row), found.contains(&row.number), "{}", row.key.name);
            }
            found.into_iter().map(|number| number.0).collect()
        })
    }

    #[tokio::test]
    async fn a_machine_that_is_renamed_keeps_its_number_its_verdicts_and_its_waivers() {
        let lab = Lab::new().await;
        let mut old = pc("old");
        old.put(Evidence::JoinState(JoinState { azure_ad_joined: Tristate::No, ..joined(Tristate::Yes) }));
        lab.take(&mut old).await;
        let before = lab.record(old.name()).await.unwrap();
        let waiver = v1::Waiver {
            check: "join.type".into(),
            host: old.name().into(),
            who: "ada".into(),
            reason: "replaced in May".into(),
            expires_at_ms: lab.clock.now().plus_days(30).unix_ms(),
            ..Default::default()
        };
        let waiver = lab.core.add_waiver(waiver).await.unwrap();
        lab.core.judge_waiting().await;
        assert_eq!(lab.stored(old.name(), "join.type").await.as_deref(), Some("advisory"), "waived");

        lab.clock.advance_ms(90_000);
        let mut new = renamed(&old, "new");
        assert_eq!(lab.take(&mut new).await, Acknowledgement::Committed);
        assert_eq!(names(&lab.core), [new.name()]);
        let after = lab.record(new.name()).await.unwrap();
        assert_eq!(after.number, before.number);
        assert_eq!(after.record.former_names.len(), 1);
        assert_eq!(after.record.former_names[0].name, old.name());
        assert_eq!(after.record.first_seen_ms, before.record.first_seen_ms);
        assert_eq!(lab.stored(new.name(), "join.type").await.as_deref(), Some("advisory"), "waived under either name");
        let since = |stored: &StoredHost, check: &str| {
            let mut verdicts = stored.verdicts.verdicts.iter().filter_map(|stored| stored.verdict.as_ref());
            verdicts.find(|verdict| verdict.check == check).unwrap().since_ms
        };
        assert_eq!(since(&after, "tpm.version"), since(&before, "tpm.version"));
        assert_eq!(lab.transitions(new.name()).await, ["host : old.corp.example > new.corp.example"]);
        let all = lab.store.host_transitions(before.number, 100).await.unwrap();
        assert!(all.len() > 1 && all.iter().all(|own| own.host_number == before.number.0), "{all:?}");
        // The next report is nothing new, and a restart changes nothing.
        assert_eq!(lab.take(&mut new).await, Acknowledgement::Seen);
        let again = lab.again().await;
        assert_eq!(names(&again), [new.name()]);
        for name in ["old.corp.example", "old"] {
            let found = again.read(|table| match crate::query::host(table, &name.parse().unwrap(), None) {
                crate::query::Found::Renamed(row, former) => (row.key.name.to_string(), former.to_string()),
                other => panic!("{other:?}"),
            });
            assert_eq!(found, (new.name().to_owned(), old.name().to_owned()));
        }
        // The waiver ends under the name it was made for.
        lab.core.remove_waiver(waiver.number, "ada").await.unwrap();
        lab.core.judge_waiting().await;
        assert_eq!(lab.stored(new.name(), "join.type").await.as_deref(), Some("blocked"));
    }

    #[tokio::test]
    async fn a_name_that_was_left_and_reports_at_once_is_another_machine() {
        let lab = Lab::new().await;
        let mut old = pc("old");
        lab.take(&mut old).await;
        lab.clock.advance_ms(90_000);
        let mut new = renamed(&old, "new");
        lab.take(&mut new).await;
        assert_eq!(conflicts(&lab.core), [0; 0]);
        // Its number is above the other's, and it is no machine that was renamed back within a minute all the same.
        lab.clock.advance_ms(60_000);
        old.sequence += 10;
        lab.take(&mut old).await;
        assert_eq!(names(&lab.core), [new.name(), old.name()], "both are kept");
        assert_eq!(conflicts(&lab.core), [1, 2], "and shown at once");
        lab.take(&mut new).await;
        lab.take(&mut old).await;
        assert_eq!(conflicts(&lab.core), [1, 2]);
        assert_eq!(conflicts(&lab.again().await), [1, 2], "after a restart too");
        lab.core.publish_now().await.unwrap();
        assert_eq!(lab.core.snapshot().organisation.hosts_in_conflict, 2);
        // Now that both names are hosts, neither takes the other's, however long one is silent.
        for _ in 0..4 {
            lab.clock.advance_ms(15 * 60_000);
            lab.core.tick();
            lab.take(&mut new).await;
        }
        assert_eq!(conflicts(&lab.core), [0; 0], "one of them is silent");
        let mut third = renamed(&new, "third");
        lab.take(&mut third).await;
        assert_eq!(names(&lab.core).len(), 3, "of two with one installation nobody can say which was renamed");
    }

    #[tokio::test]
    async fn a_name_comes_back_to_its_machine_after_silence() {
        let lab = Lab::new().await;
        let mut old = pc("old");
        lab.take(&mut old).await;
        let mut new = renamed(&old, "new");
        lab.take(&mut new).await;
        lab.clock.advance_ms(46 * 60_000);
        lab.core.tick();
        let mut old = renamed(&new, "old");
        lab.take(&mut old).await;
        assert_eq!(names(&lab.core), [old.name()]);
        let record = lab.record(old.name()).await.unwrap().record;
        let former: Vec<_> = record.former_names.iter().map(|former| former.name.as_str()).collect();
        assert_eq!(former, [new.name()], "its own name is no former one");
    }

    #[tokio::test]
    async fn a_machine_that_is_installed_anew_under_another_name_is_known_by_two_attributes() {
        let lab = Lab::new().await;
        let mut old = pc("old");
        (old.host.object_guid, old.host.ek_sha256) = (Some(Guid([1; 16])), Some(Sha256([2; 32])));
        lab.take(&mut old).await;
        let fresh = |name: &str, guid: u8, key: u8| {
            let mut machine = renamed(&old, name);
            (machine.install_id, machine.incarnation, machine.sequence) = (InstallId([9; 16]), 77, 0);
            (machine.host.object_guid, machine.host.ek_sha256) = (Some(Guid([guid; 16])), Some(Sha256([key; 32])));
            machine
        };
        // While the other is heard of, or where only one thing is the same, it is a host of its own.
        lab.take(&mut fresh("early", 1, 2)).await;
        assert_eq!(names(&lab.core), [old.name(), "early.corp.example"]);
        let lab = Lab::new().await;
        let mut known = renamed(&old, "old");
        known.sequence = 0;
        lab.take(&mut known).await;
        lab.clock.advance_ms(46 * 60_000);
        lab.core.tick();
        let mut other = fresh("other", 3, 2);
        other.install_id = InstallId([8; 16]);
        lab.take(&mut other).await;
        assert_eq!(names(&lab.core), [old.name(), other.name()]);
        let linked = lab.core.read(|table| {
            let row = table.named(&other.host.name).next().unwrap();
            table.earlier_or_later(row).iter().map(|row| row.key.name.to_string()).collect::<Vec<_>>()
        });
        assert_eq!(linked, [old.name()], "the history is linked by the TPM");
        let mut new = fresh("new", 1, 2);
        lab.take(&mut new).await;
        assert_eq!(names(&lab.core), [new.name(), other.name()]);
        let record = lab.record(new.name()).await.unwrap().record;
        assert_eq!(record.former_names[0].name, old.name());
        assert_eq!(record.earlier_install_ids, [vec![7; 16]]);
        assert_eq!(record.reimages[0].same_tpm, Some(true));
        assert_eq!(
            lab.transitions(new.name()).await,
            [
                "host : old.corp.example > new.corp.example",
                "host : installation 0707070707070707 > installation 0909090909090909",
            ]
        );
    }

    #[tokio::test]
    async fn a_tpm_under_two_names_at_once_is_a_conflict() {
        let lab = Lab::new().await;
        let with_key = |name: &str, install: u8, key: u8| {
            let mut machine = pc(name);
            machine.install_id = InstallId([install; 16]);
            machine.host.ek_sha256 = Some(Sha256([key; 32]));
            machine
        };
        let (mut one, mut two, mut apart) = (with_key("one", 1, 5), with_key("two", 2, 5), with_key("apart", 3, 6));
        for machine in [&mut one, &mut apart, &mut two] {
            lab.take(machine).await;
            lab.clock.advance_ms(60_000);
        }
        assert_eq!(conflicts(&lab.core), [0; 0], "the first may have been installed anew");
        lab.take(&mut one).await;
        assert_eq!(conflicts(&lab.core), [1, 3]);
        let shown = lab.core.read(|table| {
            let row = table.named(&two.host.name).next().unwrap();
            (table.same_tpm_as(row).count(), table.copies_of(row).count(), table.earlier_or_later(row).len())
        });
        assert_eq!(shown, (1, 0, 0));
        // One of them tells of another TPM.
        two.host.ek_sha256 = Some(Sha256([7; 32]));
        lab.take(&mut two).await;
        assert_eq!(conflicts(&lab.core), [0; 0]);
    }

    #[tokio::test]
    async fn nobody_takes_a_domain_controllers_record() {
        let lab = Lab::new().await;
        let mut dc = Machine::dc("dc01.corp.example", "Harbour");
        lab.take(&mut dc).await;
        // Whoever copied its state, with a certificate of its own.
        let mut thief = renamed(&dc, "pc9");
        let answer = lab.report(&mut thief).await.unwrap();
        assert!(answer.refusals.iter().any(|refusal| refusal.part == "role domain-controller"), "{answer:?}");
        assert_eq!(names(&lab.core), [dc.name(), thief.name()]);
        // A name that is granted the role is not enough either; the same objectGUID is.
        let lab = Lab::new().await;
        let mut dc = Machine::dc("dc01.corp.example", "Harbour");
        lab.take(&mut dc).await;
        let mut other = renamed(&dc, "dc02");
        lab.take(&mut other).await;
        assert_eq!(names(&lab.core), [dc.name(), other.name()]);
        let lab = Lab::new().await;
        let mut dc = Machine::dc("dc01.corp.example", "Harbour");
        dc.host.object_guid = Some(Guid([1; 16]));
        lab.take(&mut dc).await;
        let mut other = renamed(&dc, "dc02");
        lab.take(&mut other).await;
        assert_eq!(names(&lab.core), [other.name()]);
    }

    #[tokio::test]
    async fn collectors_on_one_store_agree_on_names() {
        let lab = Lab::new().await;
        let mut old = pc("old");
        old.host.forest = Some("corp.example".parse().unwrap());
        lab.take(&mut old).await;
        let beside = lab.again().await;
        let mut new = renamed(&old, "new");
        lab.take(&mut new).await;
        // The other collector knows the old name only, and finds the new one in the store.
        let report = new.report(lab.clock.now());
        beside.submit(&lab.peer(new.name()), report).await.unwrap();
        assert_eq!(names(&beside), [new.name()]);
        // One that still believes in the old name does not write over the new one.
        let beside = lab.again().await;
        let mut newest = renamed(&new, "newest");
        lab.take(&mut newest).await;
        let mut copy = renamed(&new, "new");
        let report = copy.report(lab.clock.now());
        beside.submit(&lab.peer(copy.name()), report).await.unwrap();
        let number = lab.store.find(&key_of(&newest.host)).await.unwrap().unwrap();
        let stored = lab.store.load(number).await.unwrap().unwrap();
        assert_eq!((number, name_of(&stored.record)), (HostNo(1), newest.name()));
        assert_eq!(lab.store.find(&key_of(&copy.host)).await.unwrap(), Some(HostNo(2)), "a host of its own");
    }
}
