//! The feed of changes: which hosts, and what else, each group commit changed, for whoever keeps something in memory that
//! another collector on the same store may change.
//!
//! A group commit writes one entry, in the same batch as its changes, so that neither can be without the other. Entries
//! lie in a ring of [`RING`] slots that are written over in turn: the feed has a bounded size and nothing to clear away,
//! and an entry costs one small record. A reader that has fallen further behind than the ring is long is told so and reads
//! everything again. Entries have consecutive numbers, and each names the opening of the store that wrote it, so that a
//! cursor from another history of the store (before a restore from a backup) is not taken for one of this.
//!
//! PostgreSQL will have a table of changes, written in the same transaction as what they tell of, with a number from a
//! sequence. Numbers of a sequence do not become visible in their order: a reader must not pass the oldest transaction
//! still in progress (`pg_snapshot_xmin(pg_current_snapshot())`, kept in a column beside the number). Old rows go by a
//! scheduled delete instead of the ring, `NOTIFY` can take the place of asking every second, and an entry names its
//! collector, so that each passes over its own.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use muster_evidence::HostNo;
use muster_proto::v1;

use super::StoreError;
use super::map::{Draft, Map, join, read};
use super::record::key;

/// Slots of the ring. Groups hold up to 256 changes and a busy store commits some hundred groups a second, so that a
/// reader may be away for many seconds at the worst and for days where little happens.
pub(super) const RING: u64 = 8_192;

/// Entries read for one answer.
const MOST_ENTRIES: usize = 512;

/// How far a reader has read the feed. Cursors stay good across restarts, and for every handle of the store; not across a
/// restore from a backup, after which they are answered as too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCursor {
    /// Number of the last entry read; 0 for none.
    number: u64,
    /// Which opening of the store wrote it.
    run: u64,
}

impl ChangeCursor {
    /// Before the first change there ever was.
    pub const START: Self = Self { number: 0, run: 0 };

    /// Of a reader that knows nothing: always too old.
    pub const UNKNOWN: Self = Self { number: u64::MAX, run: 0 };
}

/// What changed after a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each names a kind of thing that changed, and any of them may have")]
pub struct Changes {
    /// Hosts whose records changed, with the latest revision; 0 where the record is gone.
    pub hosts: BTreeMap<HostNo, u64>,
    /// Whether another policy has come into force.
    pub policy: bool,
    /// Whether a waiver was made or ended.
    pub waivers: bool,
    /// Whether the state of an inventory changed.
    pub inventories: bool,
    /// Number of the last transition appended; 0 where none was.
    pub last_transition: u64,
    /// Where to go on.
    pub next: ChangeCursor,
    /// Whether there is more by now.
    pub more: bool,
}

/// What the feed answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// This has changed, and nothing else.
    Changes(Changes),
    /// What happened after the cursor is not known any more: everything is to be read again, and the feed to be followed
    /// from `newest` on, which lies before whatever is read after this answer.
    TooOld {
        /// Where to go on.
        newest: ChangeCursor,
    },
}

/// What the changes of a group have to tell.
#[derive(Debug, Default)]
pub(super) struct News {
    hosts: BTreeMap<u64, u64>,
    policy: bool,
    waivers: bool,
    inventories: bool,
    last_transition: u64,
}

impl News {
    /// A host's record has this revision now; 0 where it is gone.
    pub(super) fn host(&mut self, host: HostNo, revision: u64) {
        self.hosts.insert(host.0, revision);
    }

    /// Another policy is in force.
    pub(super) const fn policy(&mut self) {
        self.policy = true;
    }

    /// A waiver was made or ended.
    pub(super) const fn waivers(&mut self) {
        self.waivers = true;
    }

    /// The state of an inventory changed.
    pub(super) const fn inventories(&mut self) {
        self.inventories = true;
    }

    /// Transitions were appended, the last with this number.
    pub(super) fn transition(&mut self, number: u64) {
        self.last_transition = self.last_transition.max(number);
    }

    /// Adds what a further change has to tell.
    pub(super) fn join(&mut self, later: Self) {
        let Self { hosts, policy, waivers, inventories, last_transition } = later;
        self.hosts.extend(hosts);
        self.policy |= policy;
        self.waivers |= waivers;
        self.inventories |= inventories;
        self.transition(last_transition);
    }

    fn is_empty(&self) -> bool {
        let Self { hosts, policy, waivers, inventories, last_transition } = self;
        hosts.is_empty() && !policy && !waivers && !inventories && *last_transition == 0
    }
}

/// The writing end, which the backend's one writer holds.
#[derive(Debug)]
pub(super) struct Pen {
    number: u64,
    run: u64,
}

impl Pen {
    /// Goes on where a store's feed ends.
    pub(super) fn of(map: &dyn Map) -> Result<Self, StoreError> {
        // Keyed anew by the system's randomness each time.
        let run = RandomState::new().hash_one(RING).max(1);
        Ok(Self { number: newest(map)?.number, run })
    }

    /// Finds the end of the feed again, after the store was opened anew: the last entries may not have survived.
    pub(super) fn find_end(&mut self, map: &dyn Map) -> Result<(), StoreError> {
        self.number = newest(map)?.number;
        Ok(())
    }

    /// Writes the entry of a draft's changes, if they have anything to tell. It counts once [`Self::written`] is told.
    pub(super) fn write(&self, draft: &mut Draft<'_>) -> Result<bool, StoreError> {
        let news = std::mem::take(draft.news());
        if news.is_empty() {
            return Ok(false);
        }
        let News { hosts, policy, waivers, inventories, last_transition } = news;
        let number = self.number + 1;
        let hosts = hosts.into_iter().map(|(host, revision)| v1::HostChange { host, revision }).collect();
        let entry = v1::ChangeGroup { number, run: self.run, hosts, policy, waivers, inventories, last_transition };
        draft.put(key::change(number % RING), &entry)?;
        Ok(true)
    }

    /// The entry written last can be seen by readers.
    pub(super) const fn written(&mut self) {
        self.number += 1;
    }
}

/// What changed after a cursor.
pub(super) fn changes_since(map: &dyn Map, cursor: ChangeCursor) -> Result<Since, StoreError> {
    let entry = |number: u64| readable(read::<v1::ChangeGroup>(map, &key::change(number % RING)));
    let too_old = || Ok(Since::TooOld { newest: newest(map)? });
    let is_of_this_history = match cursor {
        ChangeCursor::START => true,
        ChangeCursor { number, run } => {
            entry(number)?.flatten().is_some_and(|own| own.number == number && own.run == run)
        }
    };
    if !is_of_this_history {
        return too_old();
    }
    let mut changes = Changes { next: cursor, ..Changes::default() };
    for read in 0.. {
        let number = changes.next.number + 1;
        // What an entry told that cannot be read is not known, which is as good as too long ago.
        let Some(found) = entry(number)? else { return too_old() };
        let Some(found) = found.filter(|found| found.number >= number) else { break };
        if found.number > number {
            return too_old();
        }
        if read == MOST_ENTRIES {
            changes.more = true;
            break;
        }
        let v1::ChangeGroup { number, run, hosts, policy, waivers, inventories, last_transition } = found;
        changes.hosts.extend(hosts.into_iter().map(|own| (HostNo(own.host), own.revision)));
        changes.policy |= policy;
        changes.waivers |= waivers;
        changes.inventories |= inventories;
        changes.last_transition = changes.last_transition.max(last_transition);
        changes.next = ChangeCursor { number, run };
    }
    Ok(Since::Changes(changes))
}

/// What was read; `None` where it is unreadable. The store's own records decide whether it is damaged, not these.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(entry) => Ok(Some(entry)),
        Err(StoreError::UnreadableRecord { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The end of the feed.
fn newest(map: &dyn Map) -> Result<ChangeCursor, StoreError> {
    let mut newest = ChangeCursor::START;
    let (start, end) = key::changes();
    map.scan(&start, &end, &mut |at, value| {
        let entry: Option<v1::ChangeGroup> = readable(join(map, at, value))?;
        if let Some(entry) = entry
            && entry.number > newest.number
        {
            newest = ChangeCursor { number: entry.number, run: entry.run };
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::super::map::{Ordered, Table};
    use super::*;

    /// Commits one group that changed a host.
    fn group(map: &mut Ordered, pen: &mut Pen, host: u64, revision: u64) {
        let mut draft = Draft::over(map);
        draft
            .attempt(|draft| {
                draft.news().host(HostNo(host), revision);
                Ok(())
            })
            .unwrap();
        assert!(pen.write(&mut draft).unwrap());
        let writes = draft.into_writes();
        assert_eq!(writes.len(), 1, "one small record");
        map.commit(&writes).unwrap();
        pen.written();
    }

    fn changes(since: Since) -> Changes {
        match since {
            Since::Changes(changes) => changes,
            Since::TooOld { newest } => panic!("too old; newest is {newest:?}"),
        }
    }

    #[test]
    fn a_reader_that_falls_behind_the_ring_is_told_so() {
        let mut map = Ordered::default();
        let mut pen = Pen::of(&map).unwrap();
        for number in 1..=RING {
            group(&mut map, &mut pen, number % 700, number);
        }
        // The ring is just full: the very first entry is there still.
        let mut cursor = ChangeCursor::START;
        let mut seen = BTreeMap::new();
        let mut answers = 0;
        loop {
            let answer = changes(changes_since(&map, cursor).unwrap());
            seen.extend(answer.hosts);
            cursor = answer.next;
            answers += 1;
            if !answer.more {
                break;
            }
        }
        assert_eq!((seen.len(), answers), (700, 16), "bounded answers");
        assert_eq!(seen[&HostNo(RING % 700)], RING);

        let early = changes(changes_since(&map, ChangeCursor::START).unwrap()).next;
        group(&mut map, &mut pen, 9_999, 1);
        let newest = changes(changes_since(&map, cursor).unwrap()).next;
        assert_eq!(changes_since(&map, ChangeCursor::START).unwrap(), Since::TooOld { newest });
        // One that reads while the ring turns is told as well, not given half of it.
        for number in 0..RING {
            group(&mut map, &mut pen, number, 2);
        }
        let Since::TooOld { newest } = changes_since(&map, early).unwrap() else { panic!("not too old") };
        assert_eq!(changes(changes_since(&map, newest).unwrap()).hosts.len(), 0);
        let (start, end) = key::changes();
        let mut slots = 0;
        let count = &mut |_: &[u8], _: &[u8]| {
            slots += 1;
            Ok(ControlFlow::Continue(()))
        };
        map.scan(&start, &end, count).unwrap();
        assert_eq!(slots, RING);
    }

    #[test]
    fn a_cursor_of_another_history_is_too_old() {
        let (mut one, mut two) = (Ordered::default(), Ordered::default());
        let (mut pen, mut other) = (Pen::of(&one).unwrap(), Pen::of(&two).unwrap());
        for number in 1..=5 {
            group(&mut one, &mut pen, number, 1);
            group(&mut two, &mut other, number, 1);
        }
        let cursor = changes(changes_since(&one, ChangeCursor::START).unwrap()).next;
        assert!(matches!(changes_since(&two, cursor).unwrap(), Since::TooOld { .. }));
        assert!(
            matches!(changes_since(&one, ChangeCursor::UNKNOWN).unwrap(), Since::TooOld { newest } if newest == cursor)
        );
        // A new opening goes on in the same history.
        let mut again = Pen::of(&one).unwrap();
        group(&mut one, &mut again, 6, 1);
        assert_eq!(changes(changes_since(&one, cursor).unwrap()).hosts, [(HostNo(6), 1)].into());
    }

    #[test]
    fn a_failed_change_tells_nothing() {
        let map = Ordered::default();
        let mut draft = Draft::over(&map);
        let failed = draft.attempt(|draft| {
            draft.news().host(HostNo(1), 1);
            Err::<(), _>(StoreError::Closed { why: "test".into() })
        });
        assert!(failed.is_err());
        assert!(!Pen::of(&map).unwrap().write(&mut draft).unwrap());
        assert!(draft.into_writes().is_empty());
    }
}
