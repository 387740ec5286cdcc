//! How many people use a machine.
//!
//! A report speaks of the people who are signed in, or were lately; a machine that many people use in turn shows it only
//! over weeks. So the record also keeps who was there before, as far as [`limits::USERS_PER_HOST`] allows, and here both
//! are counted together. Accounts that are no people are not among them.

use muster_evidence::{Sid, Timestamp, limits};
use muster_proto::v1;
use muster_readiness::Policy;

use super::Row;

/// Those of a record who were there before.
pub(super) fn earlier(sights: &[v1::UserSight]) -> Option<Box<[(Sid, Timestamp)]>> {
    let readable =
        sights.iter().filter_map(|sight| Some((sight.sid.parse().ok()?, Timestamp::from_unix_ms(sight.seen_ms).ok()?)));
    let people: Box<[(Sid, Timestamp)]> = readable.take(limits::USERS_PER_HOST).collect();
    (!people.is_empty()).then_some(people)
}

impl Row {
    /// When each person was last seen here.
    pub(super) fn people_seen(&self) -> impl Iterator<Item = Timestamp> {
        let now = self.users.iter().filter(|user| user.sid.is_account()).map(|user| user.seen);
        now.chain(self.earlier_people.iter().flatten().map(|(_, seen)| *seen))
    }

    /// Whether anybody is known here who was last seen before a time.
    pub(crate) fn saw_someone_last_before(&self, before: Timestamp) -> bool {
        self.users.iter().any(|user| user.seen < before)
            || self.earlier_people.iter().flatten().any(|(_, seen)| *seen < before)
    }

    /// Whether a person is known here, now or from before.
    pub(crate) fn knows(&self, sid: &Sid) -> bool {
        self.users.iter().any(|user| user.sid == *sid)
            || self.earlier_people.iter().flatten().any(|(earlier, _)| earlier == sid)
    }

    /// Whether enough people are known for the machine to be shared, whenever they were there.
    pub(super) fn may_be_shared(&self, policy: &Policy) -> bool {
        self.people_seen().count() > policy.shared_users_above as usize
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use crate::fixture::{Lab, Machine, prt};
    use crate::query::{HostQuery, hosts};

    const DAY: i64 = 86_400_000;

    /// Name, whether shared, and how many people, of the hosts that `shared` finds.
    fn listed(lab: &Lab) -> Vec<(String, u8)> {
        let query = HostQuery { shared: true, ..HostQuery::default() };
        lab.core.read(|table| {
            let page = hosts(table, &query, muster_evidence::HostNo(0), 10);
            page.rows.iter().map(|row| (row.key.name.to_string(), row.people)).collect()
        })
    }

    #[tokio::test]
    async fn a_machine_that_many_sign_in_to_at_once_is_shared() {
        let lab = Lab::new().await;
        let mut machine = Machine::endpoint("pc1.corp.example", "Harbour", 1);
        for user in 2..=10 {
            machine.put_user(user, Evidence::Prt(prt(muster_evidence::Tristate::Yes)));
        }
        // An account that is no person does not count.
        let service = muster_evidence::ObservationKey::user(muster_evidence::Kind::Prt, "S-1-5-18".parse().unwrap());
        machine.outcome(service, muster_evidence::Outcome::Absent, muster_evidence::Context::UserSession);
        lab.take(&mut machine).await;
        assert_eq!((listed(&lab), lab.site("Harbour").await.hosts_shared), (vec![], 0), "ten are not more than ten");
        machine.put_user(11, Evidence::Prt(prt(muster_evidence::Tristate::Yes)));
        lab.take(&mut machine).await;
        assert_eq!(listed(&lab), [("pc1.corp.example".to_owned(), 11)]);
        assert_eq!(lab.site("Harbour").await.hosts_shared, 1);
        lab.core.apply_policy("shared_users_above = 11", 0, "anna").await.unwrap();
        assert_eq!(lab.site("Harbour").await.hosts_shared, 0);
        assert!(lab.core.apply_policy("shared_users_above = 24", 0, "anna").await.is_err(), "none could exceed it");
    }

    #[tokio::test]
    async fn a_machine_that_many_use_in_turn_is_shared_for_as_long_as_they_do() {
        let lab = Lab::new().await;
        let mut machine = Machine::new("kiosk.corp.example", Some("Harbour"), muster_evidence::Role::Endpoint);
        for user in 1..=40 {
            machine.observations.retain(|key, _| !key.kind.is_of_user());
            machine.put_user(user, Evidence::Prt(prt(muster_evidence::Tristate::Yes)));
            lab.take(&mut machine).await;
            assert_eq!(lab.site("Harbour").await.hosts_shared, u64::from(user > 10), "after {user}");
            lab.clock.advance_ms(DAY);
        }
        assert_eq!(listed(&lab), [("kiosk.corp.example".to_owned(), 24)], "as many as are told apart");
        let record = lab.record("kiosk.corp.example").await.unwrap().record;
        assert_eq!(record.earlier_users.len(), 23);
        // What was kept is read again, and silence takes people away one by one.
        let again = lab.again().await;
        assert_eq!(again.read(|table| table.rows_after(muster_evidence::HostNo(0)).next().unwrap().people), 24);
        lab.clock.advance_ms(19 * DAY);
        lab.core.tick();
        assert_eq!(listed(&lab), [("kiosk.corp.example".to_owned(), 11)]);
        lab.clock.advance_ms(DAY);
        lab.core.tick();
        assert_eq!((listed(&lab), lab.site("Harbour").await.hosts_shared), (vec![], 0));
    }
}
