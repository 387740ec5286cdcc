//! `muster`: the operator's command line. A client of the collector's gRPC API and nothing else.

mod args;
mod client;
mod command;
mod model;
mod output;
mod place;

use std::io::Write;
use std::process::ExitCode;

use crate::args::Cli;
use crate::output::Out;

/// Exit code for a wrong command line (sysexits.h, EX_USAGE).
const EXIT_USAGE: u8 = 64;

/// The command line's definition, for manual pages and completions.
pub fn command_line() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses the command line of this process, does what it says, and answers with the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let out = Out::new(cli.format());
    // One thread is enough: the commands ask one thing after another.
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(command::CommandError::Runtime)
        .and_then(|runtime| runtime.block_on(command::run(cli, out)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "muster: {}", muster_proto::link::Chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
