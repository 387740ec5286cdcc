//! `muster-probe config`: the settings in force, and where each of them comes from.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::exit::Ended;
use crate::config::{DEFAULT_PATH, Loaded, SETTINGS, SettingOrigin};

/// Prints the settings in force as TOML, each with its origin.
pub fn config(loaded: &Loaded) -> Ended {
    super::print(&text(loaded))?;
    Ok(ExitCode::SUCCESS)
}

fn text(loaded: &Loaded) -> String {
    let mut text = match &loaded.path {
        Some(path) => format!("# Read from {}\n", path.display()),
        None => format!("# No settings file ({DEFAULT_PATH} does not exist)\n"),
    };
    let lines: Vec<(String, String)> = SETTINGS
        .iter()
        .map(|setting| {
            let origin = match loaded.origin(setting.key) {
                SettingOrigin::Default => "default".to_owned(),
                SettingOrigin::File { line } => format!("line {line}"),
                SettingOrigin::CommandLine => "command line".to_owned(),
            };
            match setting.value(&loaded.config) {
                Some(value) => (format!("{} = {value}", setting.key), origin),
                None => (format!("# {}", setting.key), "not set".to_owned()),
            }
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    for (line, origin) in lines {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{line:<width$}  # {origin}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back() {
        let source = "site = \"HQ\"\ndc = [\"dc01.corp.example\"]\n[report]\ninterval = \"90s\"\n";
        let loaded = Loaded::parse(source, Path::new("probe.toml")).unwrap();
        let printed = text(&loaded);
        assert!(printed.starts_with("# Read from probe.toml\n"), "{printed}");
        assert!(printed.lines().any(|line| line.starts_with("site = \"HQ\" ") && line.ends_with("# line 1")));
        assert!(printed.lines().any(|line| line.starts_with("# tpm ") && line.ends_with("# not set")));
        let again = Loaded::parse(&printed, Path::new("printed.toml")).unwrap();
        assert_eq!(again.config, loaded.config);
    }
}
