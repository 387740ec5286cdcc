//! `muster-probe inspect KIND FILE|-`: what a raw input parses to, as JSON.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::exit::{DATA, Ended, Failed, NO_INPUT, USAGE, chain};
use crate::parse::{self, InputKind};

/// The word that asks to find the kind out.
const AUTO: &str = "auto";

/// What to inspect.
#[derive(Debug, Args)]
#[command(after_help = kinds_help())]
pub struct InspectArguments {
    /// Names the kind of input, or `auto` to find it out.
    #[arg(value_name = "KIND")]
    pub kind: String,
    /// Names the file to read; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

fn kinds_help() -> String {
    let mut text = "Kinds:\n".to_owned();
    for kind in InputKind::ALL {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {:<16} {}", kind.name(), kind.about());
    }
    text.push_str("  auto             whichever of them the content is\n\n");
    text.push_str("The names in captures are taken as well:");
    for kind in InputKind::ALL.iter().filter(|kind| kind.capture_name() != kind.name()) {
        let _ = write!(text, " {}", kind.capture_name());
    }
    text
}

/// Prints what the input parses to.
pub fn inspect(arguments: &InspectArguments) -> Ended {
    let named: Option<InputKind> = if arguments.kind == AUTO {
        None
    } else {
        Some(
            arguments
                .kind
                .parse()
                .map_err(|error| Failed { code: USAGE, message: unknown(&arguments.kind, &error) })?,
        )
    };
    let shown = if arguments.file == Path::new("-") {
        "standard input".to_owned()
    } else {
        format!("`{}`", arguments.file.display())
    };
    let bytes = read(&arguments.file)
        .map_err(|error| Failed { code: NO_INPUT, message: format!("failed to read {shown}: {error}") })?;
    let kind = match named {
        Some(kind) => kind,
        None => recognise(&bytes).ok_or_else(|| Failed {
            code: DATA,
            message: format!("{shown} is none of the known kinds ({})", names()),
        })?,
    };
    let value = parse::inspect(kind, &bytes)
        .map_err(|error| Failed { code: DATA, message: format!("{shown} is not `{kind}`: {}", chain(&error)) })?;
    let text = serde_json::to_string_pretty(&value)
        .map_err(|error| Failed { code: super::exit::INTERNAL, message: error.to_string() })?;
    super::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &str, error: &parse::UnknownInputKind) -> String {
    let known = InputKind::ALL.iter().flat_map(|kind| [kind.name(), kind.capture_name()]).chain([AUTO]);
    match muster_proto::link::settings::nearest(name, known) {
        Some(near) => format!("{error} (did you mean `{near}`?)"),
        None => error.to_string(),
    }
}

fn names() -> String {
    InputKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

/// The kind the content is of: the one whose parser takes it.
fn recognise(bytes: &[u8]) -> Option<InputKind> {
    // Certificates first: their marks are the surest. Each parser refuses what is not its own.
    let surest_first = [
        InputKind::Certificate,
        InputKind::RevocationList,
        InputKind::Events,
        InputKind::Registry,
        InputKind::Dsregcmd,
        InputKind::Tpmtool,
        InputKind::TpmProperties,
        InputKind::SyncScheduler,
        InputKind::RevocationList,
        InputKind::KdcLoad,
        InputKind::Replication,
        InputKind::KdcService,
        InputKind::EventLog,
        InputKind::DcLocator,
        InputKind::WindowsVersion,
        InputKind::FirmwareType,
        InputKind::KeyCredential,
    ];
    surest_first.into_iter().find(|kind| {
        let Ok(value) = parse::inspect(*kind, bytes) else { return false };
        match (kind, &value["content"]["values"]) {
            // Any line may be a broken value; one that can be read says what the others were meant to be.
            (InputKind::KeyCredential, Value::Array(values)) => {
                values.iter().any(|value| value["credential"].is_object())
            }
            _ => true,
        }
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // One byte more than the bound, so that the parser says that there is too much.
    let most = InputKind::ALL.iter().map(|kind| kind.max_bytes()).max().unwrap_or_default() as u64 + 1;
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
