//! Writes the manual pages and completions of the programs into a folder: `muster-manuals FOLDER`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        let _ = writeln!(std::io::stderr(), "usage: muster-manuals FOLDER");
        return ExitCode::from(64);
    };
    match muster_tests::manual::write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "muster-manuals: failed to write into `{}`: {error}",
                Path::new(&folder).display()
            );
            ExitCode::FAILURE
        }
    }
}
