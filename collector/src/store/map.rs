//! The ordered map under both backends, and a draft of changes on top of it.
//!
//! A change reads and writes a [`Draft`]: it sees what it and its predecessors in the same group wrote, and what is
//! stored below. The draft's writes then go to the backend as one batch. That is why the backends need no logic of
//! their own: they hold bytes in order and apply a batch atomically.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use prost::Message;

use super::StoreError;
use super::feed::News;
use super::record::{self, InvalidRecord, key};

/// What a visitor of a scan is given: a key and its value. It may end the scan.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// Changes of a map: the new value, or `None` for a removal.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What a draft held under a key: nothing, or a value or removal.
type Before = Option<Option<Vec<u8>>>;

/// Bytes in the order of their keys.
pub(super) trait Map {
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits every key from `start` up to but not including `end`, in order.
    fn scan(&self, start: &[u8], end: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// A map that changes.
pub(super) trait Table: Map {
    /// Applies all writes or none.
    fn commit(&mut self, writes: &Writes) -> Result<(), StoreError>;
}

/// Reads one record.
pub(super) fn read<M: Message + Default>(map: &dyn Map, key: &[u8]) -> Result<Option<M>, StoreError> {
    map.get(key)?.map(|head| join(map, key, &head)).transpose()
}

/// Decodes a record whose head a scan has met.
pub(super) fn join<M: Message + Default>(map: &dyn Map, key: &[u8], head: &[u8]) -> Result<M, StoreError> {
    // A failed read and an unreadable record are different errors, so the first travels around the second.
    enum Ended {
        Unreadable(InvalidRecord),
        Failed(StoreError),
    }
    impl From<InvalidRecord> for Ended {
        fn from(cause: InvalidRecord) -> Self {
            Self::Unreadable(cause)
        }
    }
    record::decode(head, |number| map.get(&key::piece(key, number)).map_err(Ended::Failed)).map_err(|ended| match ended
    {
        Ended::Unreadable(cause) => unreadable(key, cause),
        Ended::Failed(error) => error,
    })
}

/// The error for a record that cannot be read.
pub(super) fn unreadable(key: &[u8], cause: InvalidRecord) -> StoreError {
    StoreError::UnreadableRecord { key: key::describe(key), cause }
}

/// A map seen through changes that lie over it.
pub(super) struct Overlay<'a> {
    /// What is below.
    pub(super) base: &'a dyn Map,
    /// What lies over it.
    pub(super) writes: &'a Writes,
}

impl Map for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if start >= end {
            return Ok(());
        }
        let mut over = self.writes.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))).peekable();
        let mut ended = false;
        self.base.scan(start, end, &mut |key, value| {
            while let Some((written, new)) = over.next_if(|(written, _)| written.as_slice() < key) {
                if let Some(new) = new
                    && visit(written, new)?.is_break()
                {
                    ended = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
            let flow = match over.next_if(|(written, _)| written.as_slice() == key) {
                Some((_, Some(new))) => visit(key, new)?,
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value)?,
            };
            ended = flow.is_break();
            Ok(flow)
        })?;
        if ended {
            return Ok(());
        }
        for (written, new) in over {
            if let Some(new) = new
                && visit(written, new)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

/// Changes in the making, over a map.
pub(super) struct Draft<'a> {
    base: &'a dyn Map,
    writes: Writes,
    /// What stood in `writes` before each change of the attempt under way.
    undo: Vec<(Vec<u8>, Before)>,
    /// Bytes of keys and values written so far; grows only.
    bytes: usize,
    /// What the changes have to tell.
    news: News,
}

impl<'a> Draft<'a> {
    /// An empty draft.
    pub(super) fn over(base: &'a dyn Map) -> Self {
        Self { base, writes: Writes::new(), undo: Vec::new(), bytes: 0, news: News::default() }
    }

    /// Bytes of keys and values written so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the change under way, or all of them, have to tell.
    pub(super) const fn news(&mut self) -> &mut News {
        &mut self.news
    }

    /// What is to be committed.
    pub(super) fn into_writes(self) -> Writes {
        self.writes
    }

    /// Makes one change as a whole or not at all: an error leaves the draft as it was.
    pub(super) fn attempt<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.undo.clear();
        let told = std::mem::take(&mut self.news);
        let result = change(self);
        let news = std::mem::replace(&mut self.news, told);
        if result.is_ok() {
            self.news.join(news);
        } else {
            while let Some((key, before)) = self.undo.pop() {
                match before {
                    Some(value) => self.writes.insert(key, value),
                    None => self.writes.remove(&key),
                };
            }
        }
        result
    }

    /// Writes one record in place of the one under its key.
    pub(super) fn put<M: Message>(&mut self, key: Vec<u8>, message: &M) -> Result<(), StoreError> {
        let stored = record::encode(message).map_err(|cause| unreadable(&key, cause))?;
        self.drop_pieces(&key, stored.pieces.len())?;
        for (number, piece) in (1..).zip(stored.pieces) {
            self.set(key::piece(&key, number), Some(piece));
        }
        self.set(key, Some(stored.head));
        Ok(())
    }

    /// Removes one record, if it is there.
    pub(super) fn erase(&mut self, key: Vec<u8>) -> Result<(), StoreError> {
        if self.drop_pieces(&key, 0)? {
            self.set(key, None);
        }
        Ok(())
    }

    /// Removes the pieces of the record under a key beyond the first `keep`. Whether there is a record.
    fn drop_pieces(&mut self, key: &[u8], keep: usize) -> Result<bool, StoreError> {
        let Some(head) = self.get(key)? else { return Ok(false) };
        // A head that cannot be read is replaced or removed like any other; what pieces it had cannot be known.
        let had = record::pieces(&head).unwrap_or_default();
        for number in keep + 1..=had {
            self.set(key::piece(key, u16::try_from(number).unwrap_or(u16::MAX)), None);
        }
        Ok(true)
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        let before = self.writes.insert(key.clone(), value);
        self.undo.push((key, before));
    }
}

impl Map for Draft<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Overlay { base: self.base, writes: &self.writes }.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Overlay { base: self.base, writes: &self.writes }.scan(start, end, visit)
    }
}

/// The map of the memory backend.
#[derive(Debug, Default)]
pub(super) struct Ordered(BTreeMap<Vec<u8>, Vec<u8>>);

impl Map for Ordered {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if start >= end {
            return Ok(());
        }
        for (key, value) in self.0.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))) {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Table for Ordered {
    fn commit(&mut self, writes: &Writes) -> Result<(), StoreError> {
        for (key, value) in writes {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(map: &dyn Map, start: &[u8], end: &[u8], most: usize) -> Vec<String> {
        let mut seen = Vec::new();
        map.scan(start, end, &mut |key, value| {
            seen.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
            Ok(if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        seen
    }

    #[test]
    fn an_overlay_reads_as_if_it_were_applied() {
        let mut base = Ordered::default();
        let value = |text: &str| Some(text.as_bytes().to_vec());
        base.commit(&[("b", "1"), ("d", "2"), ("f", "3")].map(|(k, v)| (k.into(), value(v))).into()).unwrap();
        let writes: Writes = [("a", value("x")), ("d", None), ("e", value("y")), ("f", value("z")), ("g", value("w"))]
            .map(|(k, v)| (k.into(), v))
            .into();
        let over = Overlay { base: &base, writes: &writes };
        let expected = ["a=x", "b=1", "e=y", "f=z", "g=w"];
        assert_eq!(keys(&over, b"", b"z", 99), expected);
        for most in 1..=5 {
            assert_eq!(keys(&over, b"", b"z", most), expected[..most], "ended after {most}");
        }
        assert_eq!(keys(&over, b"b", b"f", 99), ["b=1", "e=y"]);
        assert_eq!(keys(&over, b"f", b"b", 99), [""; 0], "an empty range");
        assert_eq!(over.get(b"d").unwrap(), None);
        base.commit(&writes).unwrap();
        assert_eq!(keys(&base, b"", b"z", 99), expected);
    }

    #[test]
    fn a_failed_attempt_leaves_nothing() {
        let base = Ordered::default();
        let mut draft = Draft::over(&base);
        draft.attempt(|d| d.put(b"k".to_vec(), &"first".to_owned())).unwrap();
        let failed = draft.attempt(|d| {
            d.put(b"k".to_vec(), &"x".repeat(20_000))?;
            d.put(b"l".to_vec(), &"second".to_owned())?;
            d.erase(b"k".to_vec())?;
            Err::<(), _>(StoreError::Closed { why: "test".into() })
        });
        assert!(failed.is_err());
        assert_eq!(read::<String>(&draft, b"k").unwrap().as_deref(), Some("first"));
        assert_eq!(draft.into_writes().len(), 1);
    }

    #[test]
    fn no_piece_outlives_its_record() {
        let mut base = Ordered::default();
        for text in ["x".repeat(30_000), "y".repeat(9_000), "short".to_owned(), "z".repeat(5_000)] {
            let mut draft = Draft::over(&base);
            draft.put(b"k".to_vec(), &text).unwrap();
            let writes = draft.into_writes();
            base.commit(&writes).unwrap();
            assert_eq!(read::<String>(&base, b"k").unwrap(), Some(text));
        }
        assert_eq!(base.0.len(), 2, "a head and one piece");
        let mut draft = Draft::over(&base);
        draft.erase(b"k".to_vec()).unwrap();
        let writes = draft.into_writes();
        base.commit(&writes).unwrap();
        assert!(base.0.is_empty());
    }
}
