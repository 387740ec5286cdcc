//! The command line: one file per command, and what they share.

pub mod check;
pub mod checks;
pub mod config;
pub mod exit;
pub mod inspect;
pub mod layout;
pub mod once;
pub mod run;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::{Ended, Failed};
use crate::config::{Loaded, LogFormat};

/// Observes what Windows Hello for Business hybrid key trust needs of this machine, judges it, and reports it.
#[derive(Debug, Parser)]
#[command(
    name = "muster-probe",
    version,
    about = "Observes whether this machine is ready for Windows Hello for Business (hybrid key trust).",
    long_about = "Observes whether this machine is ready for Windows Hello for Business (hybrid key trust).\n\n\
                  `check` judges right here and needs no server; `run` reports to a collector, which judges whole \
                  sites.",
    after_help = "Exit codes: 0 ready, 1 advisory, 2 blocked, 3 unknown; 64 wrong usage or settings, 65 input that \
                  cannot be understood, 66 a file that cannot be read, 69 no collector took the report, 70 a fault \
                  in the probe.",
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// Reads the settings from this file instead of /etc/muster/probe.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Chooses the form of the log, which goes to standard error.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judges this machine, or machines whose raw outputs you have, and says why.
    Check(check::CheckArguments),
    /// Looks once, reports once, and prints what the collector acknowledged.
    Once(once::OnceArguments),
    /// Looks and reports again and again until it is stopped.
    Run(run::RunArguments),
    /// Prints what a raw input parses to, as JSON.
    Inspect(inspect::InspectArguments),
    /// Lists the checks, or prints the page of one.
    Checks(checks::ChecksArguments),
    /// Prints the settings in force and where each of them comes from.
    Config,
}

/// Runs the command line and says how the process ends.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where even this cannot be printed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(arguments) {
        Ok(code) => code,
        Err(Failed { code, message }) => {
            let _ = writeln!(io::stderr(), "muster-probe: {message}");
            ExitCode::from(code)
        }
    }
}

fn dispatch(arguments: Arguments) -> Ended {
    let Arguments { config, log_format, command } = arguments;
    // These need no settings, and must work where the settings are broken.
    match &command {
        Command::Inspect(arguments) => return inspect::inspect(arguments),
        Command::Checks(arguments) => return checks::checks(arguments),
        Command::Check(_) | Command::Once(_) | Command::Run(_) | Command::Config => {}
    }
    let mut loaded = Loaded::load(config.as_deref()).map_err(|error| Failed::with(exit::USAGE, &error))?;
    if let Some(format) = log_format {
        loaded.config.log.format = format;
        loaded.set_by_command_line("log.format");
    }
    match command {
        Command::Check(arguments) => check::check(&arguments, &mut loaded),
        Command::Once(arguments) => once::once(&arguments, &mut loaded),
        Command::Run(arguments) => run::run(&arguments, &mut loaded),
        Command::Config => config::config(&loaded),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Checks(arguments) => checks::checks(&arguments),
    }
}

/// Writes a text to standard output. A reader that has gone away, as `head` does, is no fault.
fn print(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed { code: exit::INTERNAL, message: format!("failed to write to standard output: {error}") })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Tells a person something beside the output proper.
fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "muster-probe: {text}");
}

/// A runtime for commands that wait for several things.
fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failed { code: exit::INTERNAL, message: format!("failed to start the runtime: {error}") })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The library drops the final stop of a help text; the rest of a sentence is ours.
    fn is_sentence(text: &str) -> bool {
        text.starts_with(|c: char| c.is_uppercase()) && text.contains(' ')
    }

    #[test]
    fn the_command_line_is_well_formed_and_told_in_sentences() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for command in command.get_subcommands() {
            let about = command.get_about().unwrap().to_string();
            assert!(is_sentence(&about), "{}: {about}", command.get_name());
            for argument in command.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help")) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(is_sentence(&help), "{} {}: {help}", command.get_name(), argument.get_id());
            }
        }
    }
}
