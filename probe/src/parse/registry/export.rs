//! The texts in which Windows hands out its registry: `reg export` (in both of its formats) and `reg query`.
//!
//! Beside the values it matters what an export covers, since only there a missing value is one that is not set. A
//! `reg export` begins with the key that was asked for and holds everything below it, so its first key is its root; a key
//! that does not lie below the root begins another export, as where several files were put into one. A `reg query`
//! shows the values of the keys it shows values of, and the names of all keys directly below the one that was asked for;
//! nothing else is proven by it.

use super::tree::{Data, fold};
use crate::parse::bytes::from_hex;

/// Most keys of one file.
pub(super) const MAX_KEYS: usize = 50_000;

/// Most values of one file.
pub(super) const MAX_VALUES: usize = 200_000;

/// Most places that one file covers; what lies beyond is as if it were not exported.
const MAX_COVERED: usize = 4096;

/// Longest path of a key, in bytes; Windows allows 255 characters per name and 512 levels, and nothing we read comes near.
const MAX_PATH_BYTES: usize = 4096;

/// Longest text of a value that is kept, in characters.
const MAX_TEXT_CHARS: usize = 512;

/// The heads of the two formats of `reg export`.
const HEADS: [&str; 2] = ["Windows Registry Editor Version 5.00", "REGEDIT4"];

/// One file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The keys, in the order of the file.
    pub keys: Vec<Key>,
    /// What the file covers.
    pub covered: Vec<Covered>,
    /// Lines that are none of the format.
    pub unreadable: u32,
}

/// One key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Its path, as written, from the hive's full name on.
    pub path: String,
    /// Its values; the default one has an empty name.
    pub values: Vec<(String, Data)>,
}

/// A part of the registry that a file tells all of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// The key and everything below it.
    Tree {
        /// The key's path.
        path: String,
        /// Whether the text ends before the export does: what is missing from it may still be there.
        cut_off: bool,
    },
    /// The key's own values.
    Values {
        /// The key's path.
        path: String,
    },
    /// The names of the keys directly below it.
    Children {
        /// The key's path.
        path: String,
    },
}

/// Says that a text is no registry export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExport {
    /// It begins with something else.
    #[error(
        "the first line is `{start}` (expected `Windows Registry Editor Version 5.00` or `REGEDIT4` of `reg export`, or \
         the `HKEY_…` path of `reg query`)"
    )]
    NoHead {
        /// The beginning of the text.
        start: String,
    },
    /// It has the head and no key.
    #[error("the export has no key (expected a line `[HKEY_…]` below the head)")]
    NoKey,
    /// It holds what must not be handed around.
    #[error(
        "the export holds `{path}`, which is secret and does not belong into a capture (export only the keys that the page about captures names)"
    )]
    Secret {
        /// The key, or its value.
        path: String,
    },
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Export, InvalidExport> {
    let first = text.lines().map(strip).find(|line| !line.is_empty()).unwrap_or_default();
    if HEADS.contains(&first) {
        Reader::default().export(text)
    } else if is_hive(first) {
        Reader::default().query(text)
    } else {
        let start = first.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
        Err(InvalidExport::NoHead { start })
    }
}

/// A line without the blanks around it and without the byte order mark that files put together keep in their middle.
fn strip(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn is_hive(line: &str) -> bool {
    line.starts_with("HKEY_")
}

#[derive(Default)]
struct Reader {
    export: Export,
    values: usize,
    /// Whether the current key is one that was taken out (`[-HKEY_…]`) or exceeds a bound, so its values go with it.
    skips: bool,
}

impl Reader {
    fn export(mut self, text: &str) -> Result<Export, InvalidExport> {
        // The last line of an export ends, and an empty one follows.
        let ends = text.ends_with('\n') || text.ends_with('\r');
        let mut lines = text.lines().map(strip);
        let (mut root, mut ansi, mut within_value) = (None, false, false);
        while let Some(line) = lines.next() {
            within_value = false;
            if line.is_empty() || line.starts_with(';') {
                continue;
            }
            if HEADS.contains(&line) {
                ansi = line == HEADS[1];
                root = None;
                self.skips = true;
            } else if let Some(path) = line.strip_prefix('[') {
                let Some(path) = path.strip_suffix(']') else {
                    self.unreadable();
                    self.skips = true;
                    continue;
                };
                self.key(path, &mut root)?;
            } else if line.starts_with(['"', '@']) {
                let mut whole = line.to_owned();
                // `hex:` goes on in the next line behind a backslash; a text that ends with one has its quote behind it.
                while whole.ends_with('\\') {
                    whole.pop();
                    let Some(next) = lines.next() else {
                        within_value = true;
                        break;
                    };
                    whole.push_str(next);
                }
                self.value(&whole, ansi)?;
            } else {
                self.unreadable();
            }
        }
        if self.export.keys.is_empty() && self.export.covered.is_empty() {
            return Err(InvalidExport::NoKey);
        }
        if !ends || within_value {
            self.cut_off();
        }
        Ok(self.export)
    }

    /// A line `[path]`, or `[-path]` for a key that is to be deleted.
    fn key(&mut self, path: &str, root: &mut Option<String>) -> Result<(), InvalidExport> {
        let (path, deleted) = path.strip_prefix('-').map_or((path, false), |path| (path, true));
        if path.len() > MAX_PATH_BYTES || !is_hive(path) {
            self.unreadable();
            self.skips = true;
            return Ok(());
        }
        refuse_secrets(path, None)?;
        let folded = fold(path);
        let below = root.as_ref().is_some_and(|root| super::tree::is_within(&folded, root));
        if !below {
            self.cover(Covered::Tree { path: path.to_owned(), cut_off: false });
            *root = Some(folded);
        }
        self.skips = deleted;
        if !deleted {
            if self.export.keys.len() == MAX_KEYS {
                self.skips = true;
                self.cut_off();
            } else {
                self.export.keys.push(Key { path: path.to_owned(), values: Vec::new() });
            }
        }
        Ok(())
    }

    /// A line `"name"=data` or `@=data`.
    fn value(&mut self, line: &str, ansi: bool) -> Result<(), InvalidExport> {
        let Some((name, data)) = split_value(line) else {
            self.unreadable();
            return Ok(());
        };
        if self.skips {
            return Ok(());
        }
        let data = data_of(data, ansi);
        self.add(name, data)
    }

    fn add(&mut self, name: String, data: Option<Data>) -> Result<(), InvalidExport> {
        if self.values == MAX_VALUES {
            self.cut_off();
            return Ok(());
        }
        let Some(key) = self.export.keys.last_mut() else { return Ok(()) };
        refuse_secrets(&key.path, Some(&name))?;
        self.values += 1;
        match data {
            // `"name"=-` deletes the value.
            Some(Data::Deleted) => {}
            data => key.values.push((name, data.unwrap_or(Data::Unreadable))),
        }
        Ok(())
    }

    fn query(mut self, text: &str) -> Result<Export, InvalidExport> {
        self.skips = true;
        for line in text.lines() {
            let bare = strip(line);
            if bare.is_empty() {
                continue;
            }
            if is_hive(bare) && !line.starts_with("    ") {
                if bare.len() > MAX_PATH_BYTES || self.export.keys.len() == MAX_KEYS {
                    self.unreadable();
                    self.skips = true;
                    continue;
                }
                refuse_secrets(bare, None)?;
                self.skips = false;
                self.export.keys.push(Key { path: bare.to_owned(), values: Vec::new() });
            } else if let Some((name, kind, data)) = query_value(line) {
                if self.skips {
                    continue;
                }
                self.add(name, query_data(kind, data))?;
            } else {
                self.unreadable();
            }
        }
        let keys = std::mem::take(&mut self.export.keys);
        for (number, key) in keys.iter().enumerate() {
            if !key.values.is_empty() {
                self.cover(Covered::Values { path: key.path.clone() });
                continue;
            }
            // Without values of its own a key is one of those that are listed below the one that was asked for, unless
            // the next lies below it: then it was asked for with `/s`, and is listed for its own sake.
            let folded = fold(&key.path);
            if keys.get(number + 1).is_some_and(|next| super::tree::is_within(&fold(&next.path), &folded)) {
                continue;
            }
            let parent = key.path.rsplit_once('\\').map_or("", |(parent, _)| parent).to_owned();
            let listed = Covered::Children { path: parent };
            if self.export.covered.last() != Some(&listed) {
                self.cover(listed);
            }
        }
        self.export.keys = keys;
        Ok(self.export)
    }

    fn cover(&mut self, covered: Covered) {
        if self.export.covered.len() < MAX_COVERED {
            self.export.covered.push(covered);
        }
    }

    fn unreadable(&mut self) {
        self.export.unreadable = self.export.unreadable.saturating_add(1);
    }

    /// Notes that the last export does not end where the text does.
    fn cut_off(&mut self) {
        if let Some(Covered::Tree { cut_off, .. }) = self.export.covered.last_mut() {
            *cut_off = true;
        }
    }
}

/// Refuses keys and values that hold keys, passwords or hashes. Nothing of the file is repeated but the name.
fn refuse_secrets(path: &str, value: Option<&str>) -> Result<(), InvalidExport> {
    const HIVES: [&str; 2] = ["hkey_local_machine\\sam", "hkey_local_machine\\security"];
    const VALUES: [&str; 4] = ["defaultpassword", "ownerauthfull", "ownerauthadmin", "currentpasswordhash"];
    let folded = fold(path);
    let secret = match value {
        None => {
            HIVES.iter().any(|hive| super::tree::is_within(&folded, hive))
                || (folded.contains("\\systemcertificates\\") && folded.split('\\').any(|part| part == "keys"))
        }
        Some(name) => VALUES.contains(&name.to_lowercase().as_str()),
    };
    if !secret {
        return Ok(());
    }
    let path: String = match value {
        None => path.chars().take(200).collect(),
        Some(name) => path.chars().chain(['\\']).chain(name.chars()).take(200).collect(),
    };
    Err(InvalidExport::Secret { path })
}

/// The name, unescaped, and the data behind the equals sign.
fn split_value(line: &str) -> Option<(String, &str)> {
    if let Some(data) = line.strip_prefix('@') {
        return Some((String::new(), data.trim_start().strip_prefix('=')?.trim_start()));
    }
    let (name, rest) = quoted(line)?;
    Some((name, rest.trim_start().strip_prefix('=')?.trim_start()))
}

/// A text in quotes, in which a backslash stands before a quote or another one; and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut plain = String::new();
    let mut length = 0;
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((plain, &inner[at + 1..])),
            '\\' => {
                let (_, escaped) = characters.next()?;
                // Anything else behind a backslash is hand-written; it is taken as it stands.
                if !matches!(escaped, '"' | '\\') {
                    plain.push('\\');
                }
                plain.push(escaped);
            }
            c if length < MAX_TEXT_CHARS => plain.push(c),
            _ => {}
        }
        length += 1;
    }
    None
}

/// The data of a value of `reg export`.
fn data_of(text: &str, ansi: bool) -> Option<Data> {
    if text == "-" {
        return Some(Data::Deleted);
    }
    if text.starts_with('"') {
        return quoted(text).map(|(text, _)| Data::Text(text));
    }
    if let Some(digits) = strip_prefix_folded(text, "dword:") {
        let digits = digits.trim();
        let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return is_number.then(|| u32::from_str_radix(digits, 16).ok().map(Data::Dword)).flatten();
    }
    let rest = strip_prefix_folded(text, "hex")?;
    let (kind, digits) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (kind, digits) = rest.split_once("):")?;
            (u32::from_str_radix(kind, 16).ok()?, digits)
        }
        None => (REG_BINARY, rest.strip_prefix(':')?),
    };
    let digits: String = digits.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    let length = digits.len() / 2;
    match kind {
        REG_SZ | REG_EXPAND_SZ | REG_DWORD => {
            let bytes = from_hex(digits.get(..digits.len().min(4 * MAX_TEXT_CHARS))?)?;
            Some(match kind {
                REG_DWORD => Data::Dword(u32::from_le_bytes(bytes.try_into().ok()?)),
                _ if ansi => {
                    Data::Text(bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
                }
                _ => {
                    let units: Vec<u16> =
                        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
                    Data::Text(String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned())
                }
            })
        }
        kind => Some(Data::Other { kind, bytes: length }),
    }
}

const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_BINARY: u32 = 3;
const REG_DWORD: u32 = 4;

fn strip_prefix_folded<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// A line of `reg query`: four blanks, the name, four blanks, the type, four blanks, the data. A name may hold blanks
/// itself, so the type is looked for.
fn query_value(line: &str) -> Option<(String, &str, &str)> {
    let line = line.strip_prefix("    ")?;
    let at = line.find("    REG_")?;
    let rest = &line[at + 4..];
    let (kind, data) = rest.split_once("    ").unwrap_or((rest.trim_end(), ""));
    let name = line[..at].trim();
    // The word for the default value is localised; the brackets are not.
    let name = if name.starts_with('(') && name.ends_with(')') { "" } else { name };
    Some((name.chars().take(MAX_TEXT_CHARS).collect(), kind, data.trim_end()))
}

fn query_data(kind: &str, data: &str) -> Option<Data> {
    match kind {
        "REG_DWORD" => {
            let digits = data.trim().strip_prefix("0x")?;
            digits
                .bytes()
                .all(|digit| digit.is_ascii_hexdigit())
                .then(|| u32::from_str_radix(digits, 16).ok())?
                .map(Data::Dword)
        }
        "REG_SZ" | "REG_EXPAND_SZ" => Some(Data::Text(data.chars().take(MAX_TEXT_CHARS).collect())),
        "REG_BINARY" => Some(Data::Other { kind: REG_BINARY, bytes: data.trim().len() / 2 }),
        _ => Some(Data::Other { kind: 0, bytes: data.len() }),
    }
}
