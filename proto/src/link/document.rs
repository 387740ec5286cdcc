//! Reading a TOML document into one type, with everything that is wrong with it told at once.
//!
//! For texts that become a value as a whole, such as a policy; settings of programs are read key by key, by `settings`.
//! What a value must fulfil beyond its type is its owner's to say.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;
use toml::de::Error;

use super::settings::nearest;

/// Reads a document; the value is made of what can be read, and the problems, in the order of the names, say what cannot.
/// An error where the text is not TOML. `without_default` are the names of settings that a default value does not spell
/// out.
pub fn read<T: Default + Serialize + DeserializeOwned>(
    text: &str,
    without_default: &[&str],
) -> Result<(T, Vec<String>), String> {
    let mut table: Table = text.parse().map_err(|error: Error| error.to_string())?;
    let mut known: BTreeSet<String> =
        Table::try_from(T::default()).map(|table| table.keys().cloned().collect()).unwrap_or_default();
    known.extend(without_default.iter().map(|name| (*name).to_owned()));
    // Each setting by itself first, so that one that cannot be read does not hide what is wrong with the others.
    let mut problems = Vec::new();
    table.retain(|key, value| {
        if !known.contains(key) {
            let hint = nearest(key, known.iter().map(String::as_str)).map(|near| format!(" (did you mean `{near}`?)"));
            problems.push(format!("unknown setting `{key}`{}", hint.unwrap_or_default()));
            return false;
        }
        match Table::from_iter([(key.to_owned(), value.clone())]).try_into::<T>() {
            Ok(_) => true,
            Err(error) => {
                problems.push(format!("`{key}`: {}", error.message()));
                false
            }
        }
    });
    let value = table.try_into().map_err(|error: Error| error.to_string())?;
    Ok((value, problems))
}
