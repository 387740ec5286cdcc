//! Keys and values of a machine's registry as far as they are known, and whether what is missing is missing.

use std::collections::BTreeMap;

use muster_evidence::Sid;

use super::export::{Covered, Export};

/// The data of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// `REG_DWORD`.
    Dword(u32),
    /// `REG_SZ` or `REG_EXPAND_SZ`.
    Text(String),
    /// Another type, of which nothing is kept but its number and its length.
    Other {
        /// The type; 0 where only its name was shown.
        kind: u32,
        /// The length, in bytes.
        bytes: usize,
    },
    /// Data that could not be read.
    Unreadable,
    /// The file takes the value out.
    Deleted,
}

/// A key in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, as spelt.
    pub name: String,
    /// Its values, by folded name, with the name as spelt.
    pub values: BTreeMap<String, (String, Data)>,
    /// Number of the file it was last read from.
    file: usize,
}

impl Node {
    /// A value.
    pub fn value(&self, name: &str) -> Option<&Data> {
        self.values.get(&fold(name)).map(|(_, data)| data)
    }

    /// A number.
    pub fn dword(&self, name: &str) -> Option<u32> {
        match self.value(name)? {
            Data::Dword(number) => Some(*number),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Data::Text(text) if !text.trim().is_empty() => Some(text.trim()),
            _ => None,
        }
    }
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is there.
    There(T),
    /// It is not there: a file covers the place and does not show it.
    Missing,
    /// A file covers the place and ends before its end.
    CutOff,
    /// No file covers the place.
    NotCovered,
}

/// A file refers to the hive of a user it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the export is of `HKEY_CURRENT_USER` and does not say whose that is: name the `user`")]
pub struct NobodysHive;

/// The registry of one machine, out of one or more files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By folded path.
    nodes: BTreeMap<String, Node>,
    covered: Vec<(Place, usize)>,
}

/// A [`Covered`] with its path folded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tree { path: String, last: Option<String>, cut_off: bool },
    Values(String),
    Children(String),
}

/// Most users whose hives are read of one machine.
const MAX_USERS: usize = 256;

const CURRENT_USER: &str = "hkey_current_user";
const USERS: &str = "hkey_users";

impl Tree {
    /// Adds a file under a number by which the caller knows it. `user` is whose hive `HKEY_CURRENT_USER` is.
    pub fn add(&mut self, export: &Export, user: Option<&Sid>, file: usize) -> Result<(), NobodysHive> {
        let place = |path: &str| -> Result<String, NobodysHive> {
            let folded = fold(path);
            if !is_within(&folded, CURRENT_USER) {
                return Ok(folded);
            }
            let user = user.ok_or(NobodysHive)?;
            Ok(format!("{USERS}\\{}{}", fold(user.as_str()), &folded[CURRENT_USER.len()..]))
        };
        for key in &export.keys {
            place(&key.path)?;
        }
        for key in &export.keys {
            let node = self.nodes.entry(place(&key.path)?).or_default();
            key.path.rsplit('\\').next().unwrap_or_default().clone_into(&mut node.name);
            node.file = file;
            for (name, data) in &key.values {
                node.values.insert(fold(name), (name.clone(), data.clone()));
            }
        }
        for covered in &export.covered {
            let covered = match covered {
                Covered::Tree { path, cut_off } => {
                    let path = place(path)?;
                    // Keys come depth first, so what was cut off lies below the last of them or behind it.
                    let last = cut_off.then(|| export.keys.last().map(|key| place(&key.path))).flatten().transpose()?;
                    Place::Tree { path, last, cut_off: *cut_off }
                }
                Covered::Values { path } => Place::Values(place(path)?),
                Covered::Children { path } => Place::Children(place(path)?),
            };
            self.covered.push((covered, file));
        }
        Ok(())
    }

    /// Notes that a key was looked for and does not exist, as `reg query` says it.
    pub fn add_absent(&mut self, path: &str, file: usize) {
        self.covered.push((Place::Tree { path: fold(&full(path)), last: None, cut_off: false }, file));
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.covered.is_empty()
    }

    /// A key with everything below it: it and its descendants by their paths relative to it, its own being empty. `used`
    /// gets the numbers of the files that told.
    pub fn subtree(&self, path: &str, used: &mut Vec<usize>) -> Look<BTreeMap<String, &Node>> {
        let path = fold(path);
        let mut is_whole = None;
        for (place, file) in &self.covered {
            let Place::Tree { path: root, last, cut_off } = place else { continue };
            if !is_within(&path, root) {
                continue;
            }
            used.push(*file);
            let lost = *cut_off && last.as_ref().is_none_or(|last| is_within(last, &path) || !self.has(&path));
            is_whole = Some(!lost);
            if !lost {
                break;
            }
        }
        match is_whole {
            None => return Look::NotCovered,
            Some(false) => return Look::CutOff,
            Some(true) => {}
        }
        let found = self.below(&path);
        used.extend(found.values().map(|node| node.file));
        if found.is_empty() { Look::Missing } else { Look::There(found) }
    }

    /// A key's own values.
    pub fn key(&self, path: &str, used: &mut Vec<usize>) -> Look<&Node> {
        let folded = fold(path);
        let shown = self.covered.iter().find(|(place, _)| *place == Place::Values(folded.clone()));
        if let Some((_, file)) = shown
            && let Some(node) = self.nodes.get(&folded)
        {
            used.push(*file);
            return Look::There(node);
        }
        match self.subtree(path, used) {
            Look::There(_) => self.nodes.get(&folded).map_or(Look::Missing, Look::There),
            Look::Missing => Look::Missing,
            Look::CutOff => Look::CutOff,
            Look::NotCovered => Look::NotCovered,
        }
    }

    /// The names of the keys directly below a key, as spelt.
    pub fn children(&self, path: &str, used: &mut Vec<usize>) -> Look<Vec<&str>> {
        let folded = fold(path);
        let listed = self.covered.iter().find(|(place, _)| *place == Place::Children(folded.clone()));
        if let Some((_, file)) = listed {
            used.push(*file);
            return Look::There(direct(&self.below(&folded)));
        }
        match self.subtree(path, used) {
            Look::There(nodes) => Look::There(direct(&nodes)),
            Look::Missing => Look::Missing,
            Look::CutOff => Look::CutOff,
            Look::NotCovered => Look::NotCovered,
        }
    }

    /// The users whose hives are there.
    pub fn users(&self) -> Vec<Sid> {
        let roots = self.covered.iter().map(|(place, _)| match place {
            Place::Tree { path, .. } | Place::Values(path) | Place::Children(path) => path,
        });
        let mut users: Vec<Sid> = roots
            .chain(self.nodes.keys())
            .filter_map(|path| path.strip_prefix(USERS)?.strip_prefix('\\')?.split('\\').next())
            .filter_map(|name| name.parse::<Sid>().ok())
            .filter(Sid::is_account)
            .collect();
        users.sort();
        users.dedup();
        users.truncate(MAX_USERS);
        users
    }

    fn has(&self, path: &str) -> bool {
        !self.below(path).is_empty()
    }

    fn below(&self, path: &str) -> BTreeMap<String, &Node> {
        let prefix = format!("{path}\\");
        let own = self.nodes.get(path).map(|node| (String::new(), node));
        let below = self
            .nodes
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, node)| (key[prefix.len()..].to_owned(), node));
        own.into_iter().chain(below).collect()
    }
}

/// Names of the first level. A key may be known by what lies below it only, and then its name is folded.
fn direct<'n>(nodes: &BTreeMap<String, &'n Node>) -> Vec<&'n str> {
    nodes
        .iter()
        .filter(|(path, _)| !path.is_empty() && !path.contains('\\'))
        .map(|(_, node)| node.name.as_str())
        .collect()
}

/// The form under which paths and names are equal.
pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// Whether a folded path is another or lies below it.
pub(super) fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
}

/// A path with the short name of its hive written out.
fn full(path: &str) -> String {
    let path = path.trim().trim_end_matches('\\');
    let (hive, rest) = path.split_once('\\').unwrap_or((path, ""));
    let hive = match hive.to_ascii_uppercase().trim_end_matches(':') {
        "HKLM" => "HKEY_LOCAL_MACHINE".to_owned(),
        "HKU" => "HKEY_USERS".to_owned(),
        "HKCU" => "HKEY_CURRENT_USER".to_owned(),
        _ => hive.to_owned(),
    };
    if rest.is_empty() { hive } else { format!("{hive}\\{rest}") }
}
