//! The settings as a page of the documentation.

use std::fmt::Write as _;

use super::{Config, DEFAULT_PATH, SETTINGS};

/// The text of `docs/configuration-probe.md`.
pub fn markdown() -> String {
    let defaults = Config::default();
    let mut page = format!(
        "<!-- Made from the table of settings in probe/src/config/settings.rs; MUSTER_REGENERATE=1 rewrites it. -->

# Settings of the probe

The probe reads `{DEFAULT_PATH}`, or the file given with `--config`. Nothing in it is needed for
`muster-probe check`; for reporting it takes the collector's address and the three files of the identity:

```toml
collector = [\"collector.corp.example:8443\"]

[identity]
certificate = \"/etc/muster/probe.pem\"
key = \"/etc/muster/probe.key\"
collector_ca = \"/etc/muster/collector-ca.pem\"
```

A key with a dot may be written either way: `report.interval = \"15m\"`, or `interval = \"15m\"` below `[report]`.
A list with one entry may be written without brackets. Durations carry their unit (`ms`, `s`, `m`, `h`, `d`).
Everything wrong in the file is told at once, each with its line, and the probe ends with exit code 64.
`muster-probe config` prints the settings in force and where each of them comes from.
"
    );
    for setting in SETTINGS {
        let default = match setting.value(&defaults) {
            Some(value) => format!("`{value}`"),
            None => "not set".to_owned(),
        };
        // Writing to a `String` cannot fail.
        let _ = write!(
            page,
            "\n## `{}`\n\n{}\n\n- Form: {}\n- Default: {default}\n- Example: `{} = {}`\n",
            setting.key,
            wrapped(setting.about),
            setting.form,
            setting.key,
            setting.example
        );
    }
    page
}

/// The text in lines of at most 118 characters.
fn wrapped(text: &str) -> String {
    crate::cli::layout::wrap(text, 118).join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_page_in_the_repository_is_the_one_the_table_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration-probe.md");
        let page = super::markdown();
        if std::env::var_os("MUSTER_REGENERATE").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page, "docs/configuration-probe.md is out of date; run the test with MUSTER_REGENERATE=1");
    }
}
