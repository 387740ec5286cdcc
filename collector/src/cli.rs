//! The command line of `muster-collector`: what it takes and which function answers. No logic of the service.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use time::OffsetDateTime;

use crate::ask_reload;
use crate::config::{self, Config};
use crate::pki;

/// Exit code for a wrong command line or configuration (sysexits.h, EX_USAGE).
pub const EXIT_USAGE: u8 = 64;

/// Exit code for anything that failed while running.
pub const EXIT_FAILED: u8 = 1;

/// Collects what probes report, judges it, and answers per Active Directory site whether Windows Hello for Business
/// key trust can be rolled out.
#[derive(Debug, Parser)]
#[command(name = "muster-collector", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `muster-collector` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves probes and operators until it is told to stop.
    Serve {
        /// Settings, TOML.
        #[arg(long, default_value = "/etc/muster/collector.toml", env = "MUSTER_COLLECTOR_CONFIG")]
        config: PathBuf,
        /// Chooses the form of the log, which goes to standard error; wins over the settings.
        #[arg(long, value_name = "FORMAT")]
        log_format: Option<LogFormatArg>,
    },
    /// Says everything that is wrong with a configuration, at once.
    CheckConfig {
        /// Settings, TOML.
        #[arg(long, default_value = "/etc/muster/collector.toml", env = "MUSTER_COLLECTOR_CONFIG")]
        config: PathBuf,
        /// The same, without the option's name.
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,
    },
    /// Makes a laboratory CA and issues certificates from it, for trying Muster out.
    Pki {
        /// What to make.
        #[command(subcommand)]
        command: PkiCommand,
    },
    /// Copies the store of a stopped collector into an empty folder.
    Backup {
        /// Settings, TOML.
        #[arg(long, default_value = "/etc/muster/collector.toml", env = "MUSTER_COLLECTOR_CONFIG")]
        config: PathBuf,
        /// An empty or new folder.
        into: PathBuf,
    },
    /// Puts a backup in the place of the store; the store's folder must be empty or missing.
    Restore {
        /// Settings, TOML.
        #[arg(long, default_value = "/etc/muster/collector.toml", env = "MUSTER_COLLECTOR_CONFIG")]
        config: PathBuf,
        /// A folder made by `backup`.
        from: PathBuf,
    },
    /// Has a running collector read certificates, keys, CAs, revocation lists, grants, block lists and operators' names
    /// again, and says what came of it. SIGHUP does the same without an answer.
    Reload {
        /// Settings, TOML; says where the operators' listener is.
        #[arg(long, default_value = "/etc/muster/collector.toml", env = "MUSTER_COLLECTOR_CONFIG")]
        config: PathBuf,
        /// The operators' listener, such as `https://collector.corp.example:8444`, where the settings do not say it.
        #[arg(long, env = "MUSTER_COLLECTOR", value_name = "URL")]
        collector: Option<String>,
        /// PEM certificate of an operator, where the listener asks for one.
        #[arg(long, env = "MUSTER_CERTIFICATE", requires_all = ["key", "ca"])]
        certificate: Option<PathBuf>,
        /// PEM private key of it.
        #[arg(long, env = "MUSTER_KEY")]
        key: Option<PathBuf>,
        /// PEM certificate of the CA that issued the collector's certificate.
        #[arg(long, env = "MUSTER_CA")]
        ca: Option<PathBuf>,
    },
    /// Counts every stored verdict again and compares with the totals kept beside them.
    Recount {
        /// Settings, TOML.
        #[arg(long, default_value = "/etc/muster/collector.toml", env = "MUSTER_COLLECTOR_CONFIG")]
        config: PathBuf,
        /// Replaces totals that differ.
        #[arg(long)]
        repair: bool,
    },
    /// Prints the reference of every setting, in Markdown.
    #[command(hide = true)]
    Reference,
}

/// What the laboratory CA can do.
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Makes a CA: `ca.pem` and `ca.key` in a folder.
    Init {
        /// The folder.
        folder: PathBuf,
        /// The CA's common name.
        #[arg(long, default_value = "Muster Lab CA")]
        name: String,
        /// Validity in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Issues a certificate: `NAME.pem` and `NAME.key`.
    Issue {
        /// The CA's folder.
        folder: PathBuf,
        /// What it is for.
        #[arg(value_enum)]
        purpose: PurposeArg,
        /// The name: a host's for a probe, a person's for an operator; names and addresses for a collector.
        #[arg(required = true)]
        names: Vec<String>,
        /// Validity in days.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Where to write it; the CA's folder if not said.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Revokes a certificate, and makes the revocation list `ca.crl` anew.
    Revoke {
        /// The CA's folder.
        folder: PathBuf,
        /// The certificate, PEM.
        certificate: PathBuf,
        /// How long the list is good for, in days.
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
    /// Makes the revocation list `ca.crl` anew, before the last one ends.
    Crl {
        /// The CA's folder.
        folder: PathBuf,
        /// How long the list is good for, in days.
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PurposeArg {
    /// The collector's listeners.
    Collector,
    /// A probe.
    Probe,
    /// An operator.
    Operator,
}

impl From<PurposeArg> for pki::Purpose {
    fn from(purpose: PurposeArg) -> Self {
        match purpose {
            PurposeArg::Collector => Self::Collector,
            PurposeArg::Probe => Self::Probe,
            PurposeArg::Operator => Self::Operator,
        }
    }
}

/// Parses the command line, does what it says, and answers with the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Serve { config, log_format } => with_config(&config, |mut config| {
            if let Some(format) = log_format {
                config.log.json = format == LogFormatArg::Json;
            }
            crate::serve::main(config)
        }),
        Command::CheckConfig { config, file } => {
            let config = file.unwrap_or(config);
            with_config(&config, |_| {
                say(&format!("`{}` is a valid configuration", config.display()));
                ExitCode::SUCCESS
            })
        }
        Command::Pki { command } => pki_main(command),
        Command::Backup { config, into } => with_config(&config, |config| crate::serve::backup(&config, into)),
        Command::Restore { config, from } => with_config(&config, |config| crate::serve::restore(&config, &from)),
        Command::Reload { config, collector, certificate, key, ca } => {
            let identity = match (certificate, key, ca) {
                (Some(certificate), Some(key), Some(ca)) => Some(ask_reload::Identity { certificate, key, ca }),
                _ => None,
            };
            with_config(&config, |config| ask_reload::main(&config, collector, identity))
        }
        Command::Recount { config, repair } => with_config(&config, |config| crate::serve::recount(&config, repair)),
        Command::Reference => {
            say(config::reference_markdown().trim_end());
            ExitCode::SUCCESS
        }
    }
}

fn pki_main(command: PkiCommand) -> ExitCode {
    let now = OffsetDateTime::now_utc();
    let issued = |issued: pki::Issued| {
        format!("certificate {}\nkey         {}", issued.certificate.display(), issued.key.display())
    };
    let listed = |path: PathBuf| format!("revocation list {}", path.display());
    let made = match command {
        PkiCommand::Init { folder, name, days } => pki::init(&folder, &name, days, now).map(issued),
        PkiCommand::Issue { folder, purpose, names, days, out } => {
            pki::issue(&folder, purpose.into(), &names, days, out.as_deref().unwrap_or(&folder), now).map(issued)
        }
        PkiCommand::Revoke { folder, certificate, days } => pki::revoke(&folder, &certificate, days, now).map(listed),
        PkiCommand::Crl { folder, days } => pki::list(&folder, days, now).map(listed),
    };
    match made {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Reads the configuration and goes on with it, or says what is wrong with it.
fn with_config(path: &Path, go_on: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match Config::load(path) {
        Ok(config) => go_on(config),
        Err(error) => {
            complain(&muster_proto::link::Chain(&error).to_string());
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Prints an error with its causes and answers with the code of a failure.
pub(crate) fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    complain(&muster_proto::link::Chain(error).to_string());
    ExitCode::from(EXIT_FAILED)
}

/// Writes a line for people; a reader that went away is no error of ours.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line to the error stream.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "muster-collector: {text}");
}
