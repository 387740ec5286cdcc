//! A backup: one file with every record of a consistent state, which any backend can be restored from.
//!
//! The file is written under a temporary name, synced and renamed, so that one with the right name is complete. It
//! names the store's format in front, and counts and hashes at its end: `restore` believes nothing else.
//!
//! While the copy runs the store goes on: the [`Tap`] keeps what a change replaces in the part not copied yet, and
//! the copy reads the table through it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::StoreError;
use super::map::{Map, Writes};
use super::record::{LARGEST_VALUE, STORE_FORMAT, key};

/// The file's name in the backup's directory.
pub(super) const FILE: &str = "muster-store.backup";
const PARTIAL: &str = "muster-store.backup.partial";
const MAGIC: &[u8; 8] = b"MUSTERB1";
/// In place of a key's length: the end.
const END: u32 = u32::MAX;
/// Records copied without letting the writer in.
const STRETCH: usize = 512;
/// The longest key a backup may name; far above what `record` makes.
const LONGEST_KEY: u32 = 4096;

/// What a change replaced where the copy has not been yet.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// Everything below has been copied.
    copied: Vec<u8>,
    before: Writes,
}

impl Tap {
    /// Keeps what `writes` are about to replace.
    pub(super) fn keep(&mut self, table: &dyn Map, writes: &Writes) -> Result<(), StoreError> {
        for key in writes.keys() {
            if *key >= self.copied && !self.before.contains_key(key) {
                self.before.insert(key.clone(), table.get(key)?);
            }
        }
        Ok(())
    }

    /// The values that lie over the table for the copy.
    pub(super) fn before(&self) -> &Writes {
        &self.before
    }

    /// Says that everything below `next` has been copied.
    pub(super) fn advance(&mut self, next: &[u8]) {
        next.clone_into(&mut self.copied);
        self.before = self.before.split_off(next);
    }
}

/// A backup being written.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    records: u64,
    hosts: u64,
}

impl Writer {
    /// Starts a backup in a directory that is empty or does not exist.
    pub(super) fn create(folder: &Path) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::Io { action: "create a backup of", cause };
        fs::create_dir_all(folder).map_err(failed)?;
        if fs::read_dir(folder).map_err(failed)?.next().is_some() {
            let text = format!("`{}` is not empty", folder.display());
            return Err(failed(io::Error::new(ErrorKind::DirectoryNotEmpty, text)));
        }
        let file = File::create_new(folder.join(PARTIAL)).map_err(failed)?;
        let mut writer = Self {
            folder: folder.to_owned(),
            file: BufWriter::with_capacity(1 << 18, file),
            hash: Sha256::new(),
            records: 0,
            hosts: 0,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        for bytes in [MAGIC.as_slice(), &STORE_FORMAT.to_be_bytes(), &now_ms.to_be_bytes()] {
            writer.add(bytes).map_err(failed)?;
        }
        Ok(writer)
    }

    /// Copies the next records, and says where to go on; `None` at the end.
    pub(super) fn stretch(&mut self, map: &dyn Map, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut taken = 0;
        let mut next = None;
        // Every key starts with a letter.
        map.scan(from, &[u8::MAX], &mut |key, value| {
            if taken == STRETCH {
                next = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            taken += 1;
            self.record(key, value)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let failed = |cause| StoreError::Io { action: "write a backup of", cause };
        let long = |_| failed(io::Error::new(ErrorKind::InvalidData, "a record is longer than a record can be"));
        let lengths = [u32::try_from(key.len()).map_err(long)?, u32::try_from(value.len()).map_err(long)?];
        for length in lengths {
            self.add(&length.to_be_bytes()).map_err(failed)?;
        }
        self.add(key).map_err(failed)?;
        self.add(value).map_err(failed)?;
        self.records += 1;
        self.hosts += u64::from(key::is_host(key));
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    /// Records copied so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Closes the backup. The number of its records.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        let failed = |cause| StoreError::Io { action: "finish a backup of", cause };
        let records = self.records;
        for bytes in [END.to_be_bytes().as_slice(), &records.to_be_bytes(), &self.hosts.to_be_bytes()] {
            self.add(bytes).map_err(failed)?;
        }
        let hash = self.hash.clone().finalize();
        self.file.write_all(&hash).map_err(failed)?;
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs::rename(self.folder.join(PARTIAL), self.folder.join(FILE)).map_err(failed)?;
        sync_folder(&self.folder).map_err(failed)?;
        Ok(records)
    }
}

/// Makes the entries of a directory durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows has no such thing: NTFS journals its directories.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What a backup says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupInfo {
    /// Records in it.
    pub records: u64,
    /// Hosts in it.
    pub hosts: u64,
    /// When it was started, in milliseconds since 1970 by the collector's clock.
    pub created_at_ms: u64,
}

/// Reads a whole backup, handing its records to `take` in order of their keys, and checks it: the format, the counts
/// and the hash. What was taken is worth nothing if this ends in an error.
pub(super) fn read(
    folder: &Path,
    mut take: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
) -> Result<BackupInfo, StoreError> {
    let path = folder.join(FILE);
    let file = File::open(&path).map_err(|cause| StoreError::Open { path: path.clone(), cause })?;
    let mut reader = Reader { path, file: BufReader::with_capacity(1 << 18, file), hash: Sha256::new() };
    if reader.bytes::<8>()? != *MAGIC {
        return Err(reader.damaged("it does not start as a backup does"));
    }
    let found = u32::from_be_bytes(reader.bytes()?);
    if found > STORE_FORMAT {
        return Err(StoreError::Newer { path: reader.path, found, known: STORE_FORMAT });
    }
    let created_at_ms = u64::from_be_bytes(reader.bytes()?);
    let mut info = BackupInfo { records: 0, hosts: 0, created_at_ms };
    let mut last = Vec::new();
    loop {
        let key = u32::from_be_bytes(reader.bytes()?);
        if key == END {
            break;
        }
        let value = u32::from_be_bytes(reader.bytes()?);
        if key > LONGEST_KEY || value as usize > LARGEST_VALUE {
            return Err(reader.damaged("a record is longer than a record can be"));
        }
        let (key, value) = (reader.exact(key as usize)?, reader.exact(value as usize)?);
        if key <= last {
            return Err(reader.damaged("its records are not in order"));
        }
        last.clone_from(&key);
        info.records += 1;
        info.hosts += u64::from(key::is_host(&key));
        take(key, value)?;
    }
    let (records, hosts) = (u64::from_be_bytes(reader.bytes()?), u64::from_be_bytes(reader.bytes()?));
    if (records, hosts) != (info.records, info.hosts) {
        let detail =
            format!("it says it has {records} records and {hosts} hosts, and has {} and {}", info.records, info.hosts);
        return Err(reader.damaged(&detail));
    }
    let expected = reader.hash.clone().finalize();
    if reader.bytes::<32>()? != expected.as_slice() {
        return Err(reader.damaged("its hash is not that of its content"));
    }
    if !matches!(reader.file.read(&mut [0]), Ok(0)) {
        return Err(reader.damaged("something follows its end"));
    }
    Ok(info)
}

/// When the backup in a directory was started, by its first bytes; `None` where there is none. Believed for order only.
pub(super) fn created_at_ms(folder: &Path) -> Option<u64> {
    let mut start = [0; 20];
    File::open(folder.join(FILE)).ok()?.read_exact(&mut start).ok()?;
    let (magic, rest) = start.split_first_chunk::<8>()?;
    (magic == MAGIC).then(|| u64::from_be_bytes(*rest.last_chunk::<8>().expect("twelve bytes are left")))
}

struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    hash: Sha256,
}

impl Reader {
    fn damaged(&self, detail: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), detail: detail.to_owned() }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn exact(&mut self, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.hash.update(&*bytes);
                Ok(())
            }
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Err(self.damaged("it ends too early")),
            Err(cause) => Err(StoreError::Io { action: "read a backup of", cause }),
        }
    }
}
