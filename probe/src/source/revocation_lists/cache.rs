//! What is remembered of each distribution point: the newest good list, and what came of asking last.
//!
//! A controller reports every few minutes, and its lists change every few days: to fetch them every time would be a
//! burden on the server, and to forget them between two reports would make every restart look like a list that cannot
//! be had. Two files for each address: the list as it came, and what is known of it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_evidence::{CrlFetch, RevocationList, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::http::Validators;
use crate::parse::revocation_list::MOST_BYTES;

/// While all is well, time between two questions. Verdicts on lists hold for an hour.
const INTERVAL_MS: i64 = 60 * 60 * 1000;

/// After a failure, or when a newer list should be there by now.
const RETRY_MS: i64 = 5 * 60 * 1000;

/// What nobody asked for this long is removed.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Most bytes of lists that are read from the folder at once.
const MOST_TOGETHER: u64 = 2 * MOST_BYTES as u64;

/// Largest file of what is known of an address, in bytes.
const MOST_NOTE_BYTES: u64 = 64 * 1024;

/// What is known of a distribution point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The address in full.
    pub(super) url: String,
    pub(super) asked_at: Timestamp,
    pub(super) fetch: CrlFetch,
    /// The newest good list; its bytes lie beside this file.
    pub(super) list: Option<RevocationList>,
    /// Where the delta of that list is.
    pub(super) freshest: Vec<String>,
    pub(super) validators: Validators,
}

impl Remembered {
    /// Whether it is time to ask again.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let since = now.ms_since(self.asked_at);
        let newer_expected = self
            .list
            .as_ref()
            .is_some_and(|list| [list.next_publish, list.next_update].into_iter().flatten().any(|at| at <= now));
        let interval = if self.fetch != CrlFetch::Fetched || newer_expected { RETRY_MS } else { INTERVAL_MS };
        // A clock that was set back must not keep a list from being asked for.
        !(0..interval).contains(&since)
    }
}

/// The folder. Nothing in it is needed: whatever cannot be read is asked for again.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self, url: &str, extension: &str) -> PathBuf {
        let digest = Sha256(sha2::Sha256::digest(url.as_bytes()).into());
        self.folder.join(format!("{digest}.{extension}"))
    }

    /// What is known of an address.
    pub(super) fn recall(&self, url: &str) -> Option<Remembered> {
        let text = read(&self.path(url, "json"), MOST_NOTE_BYTES).ok()??;
        let known: Remembered = serde_json::from_slice(&text).ok()?;
        let whole = known.list.is_none() || self.path(url, "crl").is_file();
        (known.url == url && whole).then_some(known)
    }

    /// Keeps what is known of an address, and its list if there is a new one. The list first: without what is known of
    /// it, it is asked for again.
    pub(super) fn remember(&self, known: &Remembered, list: Option<&[u8]>) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        if let Some(list) = list {
            write(&self.path(&known.url, "crl"), list)?;
        }
        write(&self.path(&known.url, "json"), &serde_json::to_vec(known)?)
    }

    /// Every list in the folder, up to a bound.
    pub(super) fn lists(&self) -> Vec<Vec<u8>> {
        let mut left = MOST_TOGETHER;
        let mut lists = Vec::new();
        for path in self.files() {
            if path.extension().is_some_and(|extension| extension == "crl")
                && let Ok(Some(bytes)) = read(&path, left.min(MOST_BYTES as u64))
            {
                left -= bytes.len() as u64;
                lists.push(bytes);
            }
        }
        lists
    }

    /// Removes what nobody asked for in a long time: addresses of certificates that are gone.
    pub(super) fn prune(&self) {
        for note in self.files().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "json")) {
            let age = fs::metadata(&note).and_then(|found| found.modified()).map(|at| at.elapsed().unwrap_or_default());
            if age.is_ok_and(|age| age > KEPT) {
                let _ = fs::remove_file(note.with_extension("crl"));
                let _ = fs::remove_file(note);
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        crate::source::files::list(&self.folder).unwrap_or_default()
    }
}

/// Reads a file of at most that many bytes; `None` where it has more.
fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let found = fs::metadata(path)?;
    if !found.is_file() || found.len() > limit {
        return Ok(None);
    }
    fs::read(path).map(Some)
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use muster_evidence::Text;

    use super::*;

    fn known(fetch: CrlFetch, list: Option<RevocationList>) -> Remembered {
        Remembered {
            url: "http://pki.corp.example/ca.crl".to_owned(),
            asked_at: "2026-03-02T12:00:00Z".parse().unwrap(),
            fetch,
            list,
            freshest: Vec::new(),
            validators: Validators::default(),
        }
    }

    fn list(next_publish: Option<&str>, next_update: &str) -> RevocationList {
        RevocationList {
            issuer: Text::cut("CN=Lab CA"),
            number: None,
            this_update: "2026-03-01T00:00:00Z".parse().unwrap(),
            next_update: Some(next_update.parse().unwrap()),
            next_publish: next_publish.map(|at| at.parse().unwrap()),
            bytes: 4,
        }
    }

    #[test]
    fn a_point_is_asked_hourly_and_sooner_where_that_may_change_something() {
        let unreachable = CrlFetch::Unreachable { detail: Text::cut("no") };
        let later = Some(list(None, "2026-03-09T00:00:00Z"));
        for (known, minute, due) in [
            (known(CrlFetch::Fetched, later.clone()), 59, false),
            (known(CrlFetch::Fetched, later.clone()), 60, true),
            (known(unreachable.clone(), later.clone()), 4, false),
            (known(unreachable, later.clone()), 5, true),
            // The next list should be there by now.
            (known(CrlFetch::Fetched, Some(list(Some("2026-03-02T12:02:00Z"), "2026-03-09T00:00:00Z"))), 1, false),
            (known(CrlFetch::Fetched, Some(list(Some("2026-03-02T12:02:00Z"), "2026-03-09T00:00:00Z"))), 5, true),
            (known(CrlFetch::Fetched, Some(list(None, "2026-03-02T12:03:00Z"))), 5, true),
            // The clock was set back.
            (known(CrlFetch::Fetched, later), -1, true),
        ] {
            let now = known.asked_at.plus_ms(minute * 60_000);
            assert_eq!(known.is_due(now), due, "{known:?} after {minute} minutes");
        }
    }

    #[test]
    fn what_is_remembered_is_found_again_and_what_is_broken_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("crl"));
        let known = known(CrlFetch::Fetched, Some(list(None, "2026-03-09T00:00:00Z")));
        assert_eq!(cache.recall(&known.url), None);
        cache.remember(&known, Some(b"list")).unwrap();
        assert_eq!(cache.recall(&known.url).as_ref(), Some(&known));
        assert_eq!(cache.lists(), [b"list"]);
        cache.prune();
        assert!(cache.recall(&known.url).is_some(), "it was asked just now");
        assert_eq!(cache.recall("http://pki.corp.example/other.crl"), None);
        // Without the list, what is known of it is worth nothing.
        fs::remove_file(cache.path(&known.url, "crl")).unwrap();
        assert_eq!(cache.recall(&known.url), None);
        cache.remember(&known, Some(b"list")).unwrap();
        fs::write(cache.path(&known.url, "json"), b"{").unwrap();
        assert_eq!(cache.recall(&known.url), None);
        // A folder that cannot be made keeps nothing, and says so.
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(Cache::new(&file).remember(&known, None).is_err());
        assert!(Cache::new(&file).lists().is_empty());
    }
}
