//! The feed of changes: which hosts, and what else, each group commit changed, for whoever keeps something in memory that
//! another collector on the same store may change.
//!
//! A store of one process, as memory and sled are, keeps its feed in memory too: whoever follows it lives no longer, and a
//! record for each group commit made sled's file grow for ever, since what is written once and then left alone keeps whole
//! segments of the file from being used again. An entry is told when its changes are durable, and never before. The feed
//! is bounded; a reader that has fallen further behind is told so and reads everything again. Entries have consecutive
//! numbers, and a cursor names the opening of the store that it is of.
//!
//! PostgreSQL will have a table of changes, written in the same transaction as what they tell of, with a number from a
//! sequence. Numbers of a sequence do not become visible in their order: a reader must not pass the oldest transaction
//! still in progress (`pg_snapshot_xmin(pg_current_snapshot())`, kept in a column beside the number). Old rows go by a
//! scheduled delete, `NOTIFY` can take the place of asking every second, and an entry names its collector, so that each
//! passes over its own.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_evidence::HostNo;

use super::StoreError;
use super::change::is_untouched;
use super::map::Map;

/// Most entries kept. A busy store commits some hundred groups a second, so that a reader may be away for many seconds at
/// the worst and for days where little happens.
const MOST_ENTRIES: usize = 8_192;

/// Most hosts that the entries name together: 16 bytes each.
const MOST_HOSTS: usize = 262_144;

/// Entries read for one answer.
const ENTRIES_PER_ANSWER: usize = 512;

/// How far a reader has read the feed. Good for every handle of the store as long as it is open; afterwards it is answered
/// as too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCursor {
    /// Number of the last entry read; 0 for none.
    number: u64,
    /// Of which opening of the store.
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

/// The feed of a store of one process.
#[derive(Debug)]
pub(super) struct Feed {
    /// A random number of this opening of the store.
    run: u64,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// Number of the entry before the first that is kept.
    before: u64,
    kept: VecDeque<News>,
    /// Hosts that they name together.
    hosts: usize,
}

impl Feed {
    /// The feed of an empty store.
    pub(super) fn new() -> Self {
        // Keyed anew by the system's randomness each time; 0 stands for none.
        let run = RandomState::new().hash_one(MOST_ENTRIES).max(1);
        Self { run, entries: Mutex::default() }
    }

    /// The feed of a store that has just been opened.
    pub(super) fn of(map: &dyn Map) -> Result<Self, StoreError> {
        let feed = Self::new();
        // What a store held before is told by no entry, so that a reader from the very beginning comes too late.
        feed.entries().before = u64::from(!is_untouched(map)?);
        Ok(feed)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Entries are whole at any time.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has become durable.
    pub(super) fn tell(&self, news: News) {
        if news.is_empty() {
            return;
        }
        let mut entries = self.entries();
        entries.hosts += news.hosts.len();
        entries.kept.push_back(news);
        while entries.kept.len() > MOST_ENTRIES || (entries.hosts > MOST_HOSTS && entries.kept.len() > 1) {
            let Some(oldest) = entries.kept.pop_front() else { break };
            entries.hosts -= oldest.hosts.len();
            entries.before += 1;
        }
    }

    /// What changed after a cursor.
    pub(super) fn since(&self, cursor: ChangeCursor) -> Since {
        let entries = self.entries();
        let newest = entries.before + entries.kept.len() as u64;
        let is_of_this_opening = cursor.run == self.run || cursor == ChangeCursor::START;
        if !is_of_this_opening || cursor.number < entries.before || cursor.number > newest {
            return Since::TooOld { newest: ChangeCursor { number: newest, run: self.run } };
        }
        let mut changes = Changes { next: cursor, ..Changes::default() };
        let read = usize::try_from(cursor.number - entries.before).unwrap_or(usize::MAX);
        for (count, entry) in entries.kept.iter().skip(read).enumerate() {
            if count == ENTRIES_PER_ANSWER {
                changes.more = true;
                break;
            }
            let News { hosts, policy, waivers, inventories, last_transition } = entry;
            changes.hosts.extend(hosts.iter().map(|(host, revision)| (HostNo(*host), *revision)));
            changes.policy |= policy;
            changes.waivers |= waivers;
            changes.inventories |= inventories;
            changes.last_transition = changes.last_transition.max(*last_transition);
            changes.next = ChangeCursor { number: changes.next.number + 1, run: self.run };
        }
        Since::Changes(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::{Draft, Ordered, Table};
    use super::*;

    /// What a group tells that changed a host.
    fn group(host: u64, revision: u64) -> News {
        let mut news = News::default();
        news.host(HostNo(host), revision);
        news
    }

    fn changes(since: Since) -> Changes {
        match since {
            Since::Changes(changes) => changes,
            Since::TooOld { newest } => panic!("too old; newest is {newest:?}"),
        }
    }

    #[test]
    fn a_reader_that_falls_behind_is_told_so() {
        let feed = Feed::of(&Ordered::default()).unwrap();
        let most = MOST_ENTRIES as u64;
        for number in 1..=most {
            feed.tell(group(number % 700, number));
        }
        // Just full: the very first entry is there still.
        let mut cursor = ChangeCursor::START;
        let mut seen = BTreeMap::new();
        let mut answers = 0;
        loop {
            let answer = changes(feed.since(cursor));
            seen.extend(answer.hosts);
            cursor = answer.next;
            answers += 1;
            if !answer.more {
                break;
            }
        }
        assert_eq!((seen.len(), answers), (700, 16), "bounded answers");
        assert_eq!(seen[&HostNo(most % 700)], most);

        let early = changes(feed.since(ChangeCursor::START)).next;
        feed.tell(group(9_999, 1));
        let newest = changes(feed.since(cursor)).next;
        assert_eq!(feed.since(ChangeCursor::START), Since::TooOld { newest });
        for number in 0..most {
            feed.tell(group(number, 2));
        }
        let Since::TooOld { newest } = feed.since(early) else { panic!("not too old") };
        assert_eq!(changes(feed.since(newest)).hosts.len(), 0);
        assert_eq!(feed.entries().kept.len(), MOST_ENTRIES);
    }

    #[test]
    fn the_hosts_of_all_entries_are_bounded() {
        let feed = Feed::of(&Ordered::default()).unwrap();
        for entry in 0..MOST_HOSTS as u64 / 1_000 + 10 {
            let mut news = News::default();
            (0..1_000).for_each(|host| news.host(HostNo(entry * 1_000 + host), 1));
            feed.tell(news);
        }
        let entries = feed.entries();
        assert_eq!(entries.hosts, entries.kept.iter().map(|news| news.hosts.len()).sum::<usize>());
        assert!(entries.hosts <= MOST_HOSTS && entries.hosts > MOST_HOSTS - 1_000, "{}", entries.hosts);
    }

    #[test]
    fn a_cursor_of_another_opening_is_too_old() {
        let (one, two) = (Feed::of(&Ordered::default()).unwrap(), Feed::of(&Ordered::default()).unwrap());
        for number in 1..=5 {
            one.tell(group(number, 1));
            two.tell(group(number, 1));
        }
        let cursor = changes(one.since(ChangeCursor::START)).next;
        assert!(matches!(two.since(cursor), Since::TooOld { .. }));
        assert!(matches!(one.since(ChangeCursor::UNKNOWN), Since::TooOld { newest } if newest == cursor));
        one.tell(group(6, 1));
        assert_eq!(changes(one.since(cursor)).hosts, [(HostNo(6), 1)].into());
    }

    #[test]
    fn a_store_that_holds_something_is_not_told_of_from_the_beginning() {
        let mut map = Ordered::default();
        let mut draft = Draft::over(&map);
        super::super::change::put_policy(&mut draft, 0, String::new(), String::new(), muster_evidence::Timestamp::MIN)
            .unwrap();
        let writes = draft.into_writes();
        map.commit(&writes).unwrap();
        let feed = Feed::of(&map).unwrap();
        let Since::TooOld { newest } = feed.since(ChangeCursor::START) else { panic!("not too old") };
        feed.tell(group(1, 1));
        assert_eq!(changes(feed.since(newest)).hosts, [(HostNo(1), 1)].into());
    }

    #[test]
    fn nothing_tells_nothing() {
        let feed = Feed::of(&Ordered::default()).unwrap();
        feed.tell(News::default());
        assert_eq!(changes(feed.since(ChangeCursor::START)).next.number, 0);
        let map = Ordered::default();
        let mut draft = Draft::over(&map);
        let failed = draft.attempt(|draft| {
            draft.news().host(HostNo(1), 1);
            Err::<(), _>(StoreError::Closed { why: "test".into() })
        });
        assert!(failed.is_err());
        assert!(std::mem::take(draft.news()).is_empty(), "a failed change tells nothing");
    }
}
