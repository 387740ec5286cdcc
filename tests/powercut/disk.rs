//! A disk in memory that forgets what was not synced.
//!
//! What it promises is POSIX and no more, which is less than any real file system does:
//!
//! - A file's content and length are durable once the file has been synced, through whichever handle.
//! - Names (created, renamed, removed) are durable once their directory has been synced. ext4 also commits a new name
//!   with the sync of its file; whoever relies on that is caught here.
//!
//! At a cut, everything else is lost, or, for half of the cuts, partly kept, as a disk may have written some of it on
//! its own: single blocks of files, a file's new length or not, and the first few of a directory's changes, which a
//! journal keeps in order.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    FileAttr, FileType, Filesystem, MountOption, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow,
};

const ROOT: u64 = 1;
const BLOCK: usize = 4096;
/// Nothing is cached by the kernel, so that every read and write arrives here.
const TTL: Duration = Duration::ZERO;
const DIRECT_IO: u32 = 1;

/// A directory's names.
type Names = BTreeMap<OsString, u64>;

#[derive(Clone, Debug)]
enum Node {
    File {
        live: Vec<u8>,
        durable: Vec<u8>,
        /// Blocks written since the last sync.
        dirty: BTreeSet<usize>,
    },
    Directory {
        live: Names,
        durable: Names,
        /// Every state since the last sync, oldest first.
        journal: Vec<Names>,
    },
}

/// What an operation is answered with where it fails.
type Answer<T> = Result<T, i32>;

#[derive(Debug)]
struct State {
    nodes: BTreeMap<u64, Node>,
    last: u64,
    /// Without power everything fails.
    power: bool,
    /// Syncs are answered and not done.
    lies: bool,
    /// Most bytes of files.
    capacity: usize,
    syncs: u64,
}

/// A disk that can be mounted again after a cut. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new() -> Self {
        let root = Node::Directory { live: Names::new(), durable: Names::new(), journal: Vec::new() };
        Self(Arc::new(Mutex::new(State {
            nodes: [(ROOT, root)].into(),
            last: ROOT,
            power: true,
            lies: false,
            capacity: usize::MAX,
            syncs: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mounts the disk; dropping the session unmounts it.
    pub(crate) fn mount(&self, at: &Path) -> std::io::Result<fuser::BackgroundSession> {
        let options = [MountOption::FSName("muster-powercut".to_owned()), MountOption::NoAtime];
        fuser::spawn_mount2(self.clone(), at, &options)
    }

    /// Ends the power: from now on everything fails, and nothing more becomes durable.
    pub(crate) fn cut(&self) {
        self.state().power = false;
    }

    /// From now on syncs are answered and not done.
    pub(crate) fn lie(&self) {
        self.state().lies = true;
    }

    /// Leaves room for so many bytes more.
    pub(crate) fn leave_room(&self, bytes: usize) {
        let mut state = self.state();
        state.capacity = state.used().saturating_add(bytes);
    }

    /// How many syncs were done.
    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Brings the power back, with what was durable. `random` decides which of the rest the disk had written by itself;
    /// `None` for nothing.
    pub(crate) fn restore(&self, mut random: Option<&mut dyn FnMut(usize) -> usize>) {
        let mut state = self.state();
        for node in state.nodes.values_mut() {
            match node {
                Node::File { live, durable, dirty } => {
                    if let Some(random) = random.as_mut() {
                        if random(2) == 0 {
                            durable.resize(live.len(), 0);
                        }
                        for &block in dirty.iter() {
                            let range = block * BLOCK..((block + 1) * BLOCK).min(live.len()).min(durable.len());
                            if range.start < range.end && random(2) == 0 {
                                durable[range.clone()].copy_from_slice(&live[range]);
                            }
                        }
                    }
                    live.clone_from(durable);
                    dirty.clear();
                }
                Node::Directory { live, durable, journal } => {
                    if let Some(random) = random.as_mut() {
                        let kept = random(journal.len() + 1);
                        if let Some(names) = kept.checked_sub(1).and_then(|last| journal.get(last)) {
                            durable.clone_from(names);
                        }
                    }
                    live.clone_from(durable);
                    journal.clear();
                }
            }
        }
        state.forget_unnamed();
        state.power = true;
        state.lies = false;
    }
}

impl State {
    fn check(&self) -> Answer<()> {
        if self.power { Ok(()) } else { Err(libc::EIO) }
    }

    /// Bytes of the files that have a name. A removed one gives its space back at once, although its name may return
    /// with a cut.
    fn used(&self) -> usize {
        let length = |ino: &u64| if let Some(Node::File { live, .. }) = self.nodes.get(ino) { live.len() } else { 0 };
        self.named().iter().map(length).sum()
    }

    /// Drops what no directory names. Only at a cut: an open file may live without a name.
    fn forget_unnamed(&mut self) {
        let named = self.named();
        self.nodes.retain(|ino, _| named.contains(ino));
    }

    fn named(&self) -> BTreeSet<u64> {
        let mut named = BTreeSet::from([ROOT]);
        let mut look = vec![ROOT];
        while let Some(ino) = look.pop() {
            if let Some(Node::Directory { live, .. }) = self.nodes.get(&ino) {
                look.extend(live.values().filter(|child| named.insert(**child)));
            }
        }
        named
    }

    fn names(&mut self, ino: u64) -> Answer<&mut Names> {
        self.check()?;
        match self.nodes.get_mut(&ino) {
            Some(Node::Directory { live, .. }) => Ok(live),
            Some(Node::File { .. }) => Err(libc::ENOTDIR),
            None => Err(libc::ENOENT),
        }
    }

    fn child(&mut self, parent: u64, name: &OsStr) -> Answer<u64> {
        self.names(parent)?.get(name).copied().ok_or(libc::ENOENT)
    }

    /// Notes a directory's state after a change.
    fn changed(&mut self, ino: u64) {
        if let Some(Node::Directory { live, journal, .. }) = self.nodes.get_mut(&ino) {
            journal.push(live.clone());
        }
    }

    fn make(&mut self, parent: u64, name: &OsStr, node: Node) -> Answer<u64> {
        if self.names(parent)?.contains_key(name) {
            return Err(libc::EEXIST);
        }
        self.last += 1;
        let ino = self.last;
        self.nodes.insert(ino, node);
        self.names(parent)?.insert(name.to_owned(), ino);
        self.changed(parent);
        Ok(ino)
    }

    fn remove(&mut self, parent: u64, name: &OsStr) -> Answer<()> {
        self.names(parent)?.remove(name).ok_or(libc::ENOENT)?;
        self.changed(parent);
        Ok(())
    }

    fn rename(&mut self, parent: u64, name: &OsStr, new_parent: u64, new_name: &OsStr) -> Answer<()> {
        let ino = self.child(parent, name)?;
        self.names(new_parent)?.insert(new_name.to_owned(), ino);
        self.names(parent)?.remove(name);
        if parent != new_parent {
            self.changed(new_parent);
        }
        self.changed(parent);
        Ok(())
    }

    fn write(&mut self, ino: u64, offset: usize, data: &[u8]) -> Answer<()> {
        let end = offset + data.len();
        let (used, capacity) = (self.used(), self.capacity);
        match self.nodes.get_mut(&ino) {
            Some(Node::File { live, dirty, .. }) => {
                if end > live.len() {
                    if used + (end - live.len()) > capacity {
                        return Err(libc::ENOSPC);
                    }
                    // The block that held the end, and the ones a hole opens.
                    dirty.extend(live.len() / BLOCK..end.div_ceil(BLOCK));
                    live.resize(end, 0);
                }
                live[offset..end].copy_from_slice(data);
                dirty.extend(offset / BLOCK..end.div_ceil(BLOCK));
                Ok(())
            }
            _ => Err(libc::EISDIR),
        }
    }

    fn truncate(&mut self, ino: u64, size: usize) -> Answer<()> {
        let (used, capacity) = (self.used(), self.capacity);
        match self.nodes.get_mut(&ino) {
            Some(Node::File { live, dirty, .. }) => {
                if size > live.len() && used + (size - live.len()) > capacity {
                    return Err(libc::ENOSPC);
                }
                dirty.extend(live.len().min(size) / BLOCK..live.len().max(size).div_ceil(BLOCK));
                live.resize(size, 0);
                Ok(())
            }
            _ => Err(libc::EISDIR),
        }
    }

    fn sync(&mut self, ino: u64) -> Answer<()> {
        self.check()?;
        if self.lies {
            return Ok(());
        }
        self.syncs += 1;
        match self.nodes.get_mut(&ino) {
            Some(Node::File { live, durable, dirty }) => {
                durable.resize(live.len(), 0);
                for block in std::mem::take(dirty) {
                    let range = block * BLOCK..((block + 1) * BLOCK).min(live.len());
                    if range.start < range.end {
                        durable[range.clone()].copy_from_slice(&live[range]);
                    }
                }
                Ok(())
            }
            Some(Node::Directory { live, durable, journal }) => {
                durable.clone_from(live);
                journal.clear();
                Ok(())
            }
            None => Err(libc::ENOENT),
        }
    }

    fn attributes(&self, ino: u64) -> Answer<FileAttr> {
        self.check()?;
        let (kind, size) = match self.nodes.get(&ino).ok_or(libc::ENOENT)? {
            Node::File { live, .. } => (FileType::RegularFile, live.len() as u64),
            Node::Directory { .. } => (FileType::Directory, 0),
        };
        let time = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: if kind == FileType::Directory { 0o755 } else { 0o644 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

fn file() -> Node {
    Node::File { live: Vec::new(), durable: Vec::new(), dirty: BTreeSet::new() }
}

/// Answers with attributes of a node, or with the error.
fn entry(state: &State, ino: Answer<u64>, reply: ReplyEntry) {
    match ino.and_then(|ino| state.attributes(ino)) {
        Ok(attributes) => reply.entry(&TTL, &attributes, 0),
        Err(error) => reply.error(error),
    }
}

fn done(result: Answer<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

/// A position in a file: the kernel never sends a negative one.
fn position(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

impl Filesystem for Disk {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.state();
        let ino = state.child(parent, name);
        entry(&state, ino, reply);
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _: Option<u64>, reply: ReplyAttr) {
        match self.state().attributes(ino) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<u64>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<u32>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        let result = state.check().and_then(|()| match size {
            Some(size) => state.truncate(ino, usize::try_from(size).map_err(|_| libc::EFBIG)?),
            None => Ok(()),
        });
        match result.and_then(|()| state.attributes(ino)) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut state = self.state();
        let node = Node::Directory { live: Names::new(), durable: Names::new(), journal: Vec::new() };
        let ino = state.make(parent, name, node);
        entry(&state, ino, reply);
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        done(self.state().remove(parent, name), reply);
    }

    fn rmdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let result = state.child(parent, name).and_then(|ino| {
            if state.names(ino)?.is_empty() { state.remove(parent, name) } else { Err(libc::ENOTEMPTY) }
        });
        done(result, reply);
    }

    fn rename(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        new_parent: u64,
        new_name: &OsStr,
        _: u32,
        reply: ReplyEmpty,
    ) {
        done(self.state().rename(parent, name, new_parent, new_name), reply);
    }

    fn open(&mut self, _: &Request<'_>, _: u64, _: i32, reply: ReplyOpen) {
        match self.state().check() {
            Ok(()) => reply.opened(0, DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn create(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut state = self.state();
        match state.make(parent, name, file()).and_then(|ino| state.attributes(ino)) {
            Ok(attributes) => reply.created(&TTL, &attributes, 0, 0, DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        let state = self.state();
        match (state.check(), state.nodes.get(&ino)) {
            (Ok(()), Some(Node::File { live, .. })) => {
                let start = position(offset).min(live.len());
                reply.data(&live[start..(start + size as usize).min(live.len())]);
            }
            (Err(error), _) => reply.error(error),
            _ => reply.error(libc::EISDIR),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        match state.check().and_then(|()| state.write(ino, position(offset), data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        // Closing a file makes nothing durable.
        done(self.state().check(), reply);
    }

    fn fsync(&mut self, _: &Request<'_>, ino: u64, _: u64, _: bool, reply: ReplyEmpty) {
        done(self.state().sync(ino), reply);
    }

    fn fsyncdir(&mut self, _: &Request<'_>, ino: u64, _: u64, _: bool, reply: ReplyEmpty) {
        done(self.state().sync(ino), reply);
    }

    fn readdir(&mut self, _: &Request<'_>, ino: u64, _: u64, offset: i64, mut reply: ReplyDirectory) {
        let mut state = self.state();
        let names = match state.names(ino) {
            Ok(names) => names.clone(),
            Err(error) => return reply.error(error),
        };
        for (number, (name, child)) in (1..).zip(&names).skip(position(offset)) {
            let kind = match state.nodes.get(child) {
                Some(Node::Directory { .. }) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(*child, number, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
