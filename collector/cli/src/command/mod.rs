//! The commands, one file each: what they ask and how the answer reads.

mod explain;
mod export;
mod host;
mod hosts;
mod policy;
mod site;
mod sites;
mod status;
mod transitions;
mod user;
mod waive;
mod watch;

use std::io;
use std::path::PathBuf;

use crate::args::{Cli, Command};
use crate::client::{Client, ClientError};
use crate::output::{Format, Out};
use crate::place::{Place, TwoForests};

/// Says why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The collector did not answer as hoped.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be read or written.
    #[error("failed to {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A span of time that cannot be read.
    #[error("`{found}` is no span of time: expected a number with a unit, such as `30d`, `12h` or `15m`")]
    Span {
        /// The text found.
        found: String,
    },
    /// A site named in two forests at once.
    #[error(transparent)]
    Place(#[from] TwoForests),
    /// A policy with faults.
    #[error("the policy has {} {}:\n  {}", problems.len(), if problems.len() == 1 { "fault" } else { "faults" }, problems.join("\n  "))]
    Policy {
        /// Every fault.
        problems: Vec<String>,
    },
    /// The collector is older than the question.
    #[error("this collector tells no rules of checks; `muster-probe checks ID` prints the page of one")]
    NoRules,
    /// The program's runtime cannot start.
    #[error("failed to start")]
    Runtime(#[source] io::Error),
}

impl CommandError {
    /// 64 for what the caller got wrong, 2 for what is not there, 1 for what failed.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Span { .. } | Self::Place(_) | Self::Policy { .. } => crate::EXIT_USAGE,
            Self::Client(error) if error.is_not_found() => 2,
            Self::Client(_) | Self::File { .. } | Self::NoRules | Self::Runtime(_) => 1,
        }
    }
}

/// Runs a command.
pub(crate) async fn run(cli: Cli, out: Out) -> Result<(), CommandError> {
    let mut client = Client::connect(&cli.global.target()).await?;
    match execute(&mut client, cli.command, out).await {
        Err(CommandError::Client(error)) => Err(client.explained(error).into()),
        other => other,
    }
}

async fn execute(client: &mut Client, command: Command, out: Out) -> Result<(), CommandError> {
    match command {
        Command::Status => status::run(client, out).await,
        Command::Sites { forest, rollout } => sites::run(client, out, &forest, &rollout).await,
        Command::Site { name, forest, all } => site::run(client, out, &Place::new(name, forest)?, all).await,
        Command::Hosts(args) => hosts::run(client, out, args).await,
        Command::Host { name, forest, explain: Some(check), .. } => {
            explain::run(client, out, &forest, &name, &check).await
        }
        Command::Host { name, forest, all, evidence, explain: None } => {
            host::run(client, out, &forest, &name, all, evidence).await
        }
        Command::User { command: Some(command), .. } => user::about(client, out, command).await,
        // The parser asks for the SID where there is no other command.
        Command::User { command: None, sid, all } => user::run(client, out, &sid.unwrap_or_default(), all).await,
        Command::Transitions { after, since, forest, site, host, limit } => {
            let since = since.map(|text| span_ms(&text)).transpose()?;
            let filter = transitions::Ask { after, since, place: Place::new(site, forest)?, host, limit };
            transitions::run(client, out, filter).await
        }
        Command::Watch { site, forest } => watch::run(client, out, &Place::new(site, forest)?).await,
        Command::Policy { command } => policy::run(client, out, command).await,
        Command::Waive { command } => waive::run(client, out, command).await,
        Command::Export { what, format, output, site, forest } => {
            let format = format.unwrap_or(Format::Csv);
            export::run(client, &what, format, output.as_deref(), &Place::new(site, forest)?).await
        }
    }
}

/// A span of time such as `30d`, in milliseconds.
fn span_ms(text: &str) -> Result<i64, CommandError> {
    muster_proto::link::settings::parse_duration(text)
        .and_then(|span| i64::try_from(span.as_millis()).ok())
        .ok_or_else(|| CommandError::Span { found: text.to_owned() })
}

/// A progress bar on the error stream, which shows itself on a terminal only.
fn progress(what: &'static str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::no_length();
    if let Ok(style) = indicatif::ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
