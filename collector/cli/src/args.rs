//! The command line of `muster`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::client::{IdentityFiles, Target};
use crate::output::Format;
use crate::place::SiteArg;

/// Heading of the options that say where the collector is.
const CONNECTION: &str = "Connection";

/// Heading of the options that say how to print.
const OUTPUT: &str = "Output";

/// Words for standings.
const STANDINGS: [&str; 5] = ["ready", "advisory", "blocked", "unknown", "not-applicable"];

/// Words for rollout verdicts.
const ROLLOUTS: [&str; 4] = ["go", "partly", "hold", "unknown"];

/// Roles of hosts.
const ROLES: [&str; 5] = ["endpoint", "domain-controller", "directory", "sync-server", "relay"];

/// Asks a Muster collector which Active Directory sites can roll out Windows Hello for Business key trust, what
/// blocks the others, and why.
#[derive(Debug, Parser)]
#[command(name = "muster", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Where and how.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to ask.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Address of the collector's operators' side: `http://` on loopback, `https://` elsewhere.
    #[arg(
        long,
        global = true,
        env = "MUSTER_COLLECTOR",
        default_value = "http://127.0.0.1:8444",
        value_name = "URL",
        help_heading = CONNECTION
    )]
    collector: String,
    /// Your certificate, PEM, for `https`.
    #[arg(long, global = true, env = "MUSTER_CERTIFICATE", value_name = "FILE", help_heading = CONNECTION)]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, global = true, env = "MUSTER_KEY", value_name = "FILE", help_heading = CONNECTION)]
    key: Option<PathBuf>,
    /// The CA that issued the collector's certificate, PEM.
    #[arg(long, global = true, env = "MUSTER_CA", value_name = "FILE", help_heading = CONNECTION)]
    ca: Option<PathBuf>,
    /// How to print; a table if not said.
    #[arg(long, global = true, value_enum, help_heading = OUTPUT)]
    format: Option<Format>,
}

impl Cli {
    /// The command line of this process.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::try_parse()?.checked()
    }

    /// Refuses what `--format` cannot mean for the command: `export` alone writes CSV, and no tables.
    fn checked(self) -> Result<Self, clap::Error> {
        let is_export = matches!(self.command, Command::Export { .. });
        let fault = match self.global.format {
            Some(Format::Csv) if !is_export => "`--format csv` is for `muster export`; here it is `table` or `json`",
            Some(Format::Table) if is_export => "`muster export` has no `--format table`; it is `csv` or `json`",
            _ => return Ok(self),
        };
        Err(Self::command().error(ErrorKind::InvalidValue, fault))
    }

    /// How to print.
    pub(crate) fn format(&self) -> Format {
        self.global.format.unwrap_or_default()
    }
}

impl Global {
    /// Where the collector is and who we are.
    pub(crate) fn target(&self) -> Target {
        let identity = match (&self.certificate, &self.key, &self.ca) {
            (Some(certificate), Some(key), Some(ca)) => {
                Some(IdentityFiles { certificate: certificate.clone(), key: key.clone(), ca: ca.clone() })
            }
            _ => None,
        };
        Target { url: self.collector.clone(), identity }
    }
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole organisation, and what unlocks the most users.
    Status,
    /// Lists sites, worst first, with what stands in the way.
    Sites {
        /// Only sites of this forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
        /// Only sites with this verdict; may be given more than once.
        #[arg(long, value_parser = PossibleValuesParser::new(ROLLOUTS), ignore_case = true)]
        rollout: Vec<String>,
    },
    /// Shows one site: its domain controllers, its checks, and every reason.
    Site {
        /// The site's name, or `forest/name`.
        name: SiteArg,
        /// Its forest, where several have a site of that name.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
        /// Shows every check of every domain controller.
        #[arg(long)]
        all: bool,
    },
    /// Lists hosts.
    Hosts(HostsArgs),
    /// Shows one host: every check with its evidence, its users, and what changed.
    Host {
        /// DNS name, or its first label where that is unique.
        name: String,
        /// Its forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
        /// Shows checks that do not apply as well, and in full what follows from another finding.
        #[arg(long)]
        all: bool,
        /// Shows the evidence in full.
        #[arg(long)]
        evidence: bool,
        /// Shows one check alone: its rule, and the evidence that went into its verdicts.
        #[arg(long, value_name = "CHECK", conflicts_with_all = ["all", "evidence"])]
        explain: Option<String>,
    },
    /// Shows one user on every endpoint, and the user's keys in the directory.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    User {
        /// What to do with what is stored about one.
        #[command(subcommand)]
        command: Option<UserCommand>,
        /// The user's SID.
        #[arg(required = true)]
        sid: Option<String>,
        /// Shows checks that do not apply as well.
        #[arg(long)]
        all: bool,
    },
    /// Lists changes of verdicts, oldest first.
    Transitions {
        /// Only those after this number.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        after: u64,
        /// Only those of the last days, hours or minutes, such as `7d` or `12h`.
        #[arg(long, value_name = "SPAN")]
        since: Option<String>,
        /// Only those of this forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
        /// Only those of this site, `name` or `forest/name`.
        #[arg(long, default_value = "", hide_default_value = true)]
        site: SiteArg,
        /// Only those of this host.
        #[arg(long, default_value = "", hide_default_value = true)]
        host: String,
        /// At most this many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Follows sites and changes until Ctrl-C.
    Watch {
        /// Only this site, `name` or `forest/name`.
        #[arg(default_value = "", hide_default_value = true)]
        site: SiteArg,
        /// Only this forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
    },
    /// Shows, checks, plans and applies the policy.
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Accepts a deviation for a time, with a reason.
    Waive {
        /// What to do.
        #[command(subcommand)]
        command: WaiveCommand,
    },
    /// Writes every host, every site, or every pool of non-persistent desktops, for other programs.
    Export {
        /// What to write.
        #[arg(value_parser = PossibleValuesParser::new(["hosts", "sites", "pools"]), default_value = "hosts")]
        what: String,
        /// How to write it; CSV if not said.
        // The same option as the global one, so that its place on the command line does not matter.
        #[arg(long, value_parser = export_format(), help_heading = OUTPUT)]
        format: Option<Format>,
        /// Where to; standard output if not said.
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Only this site, `name` or `forest/name`.
        #[arg(long, default_value = "", hide_default_value = true)]
        site: SiteArg,
        /// Only this forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
    },
}

/// What `export` can write.
fn export_format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["csv", "json"]).map(|word| if word == "csv" { Format::Csv } else { Format::Json })
}

/// Which hosts.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a filter or a fact of its own")]
pub(crate) struct HostsArgs {
    /// Only hosts of this site, `name` or `forest/name`.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) site: SiteArg,
    /// Only hosts of this forest.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) forest: String,
    /// Only hosts with this role.
    #[arg(long, value_parser = PossibleValuesParser::new(ROLES))]
    pub(crate) role: Option<String>,
    /// Only hosts on which this check stands as `--standing` says.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) check: String,
    /// Only hosts that stand so; may be given more than once.
    #[arg(long, value_parser = PossibleValuesParser::new(STANDINGS))]
    pub(crate) standing: Vec<String>,
    /// Only names that contain this.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) name: String,
    /// Only hosts that have been silent.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Only hosts whose probe's certificate is near its end, or past it.
    #[arg(long)]
    pub(crate) certificate_near_end: bool,
    /// Only machines that more people use than the policy calls shared.
    #[arg(long)]
    pub(crate) shared: bool,
    /// Only machines of this pool of non-persistent desktops.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) pool: String,
    /// Only hosts that more than one machine reports as: two under one name, or one installation or TPM under several.
    #[arg(long)]
    pub(crate) conflict: bool,
    /// At most this many; 0 for all.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

/// What can be done with the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Prints the policy in force, every default included.
    Show {
        /// An older revision.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        revision: u64,
        /// Prints the text as it was applied, without defaults.
        #[arg(long)]
        text: bool,
    },
    /// Says everything that is wrong with a policy file.
    Check {
        /// TOML.
        file: PathBuf,
        /// Adds a table of reference data (builds, firmware, error codes), in place of the one built in; `muster-probe
        /// checks --table` prints that one.
        #[arg(long, value_name = "FILE")]
        data: Vec<PathBuf>,
    },
    /// Says how many verdicts and which sites a policy file would change.
    Plan {
        /// TOML.
        file: PathBuf,
        /// Adds a table of reference data (builds, firmware, error codes), in place of the one built in; `muster-probe
        /// checks --table` prints that one.
        #[arg(long, value_name = "FILE")]
        data: Vec<PathBuf>,
    },
    /// Puts a policy file in force as the next revision.
    Apply {
        /// TOML.
        file: PathBuf,
        /// Adds a table of reference data, as with `plan`.
        #[arg(long, value_name = "FILE")]
        data: Vec<PathBuf>,
        /// The revision it was made from; refuses if another one is in force by now.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        base: u64,
    },
}

/// What to do with what is stored about a user.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Prints everything that is stored about one user, as JSON: evidence, verdicts, keys in the directory, changes.
    Export {
        /// The user's SID.
        sid: String,
    },
    /// Removes everything that is stored about one user, and says what is left elsewhere.
    Erase {
        /// The user's SID.
        sid: String,
    },
}

/// What can be done with waivers.
#[derive(Debug, Subcommand)]
pub(crate) enum WaiveCommand {
    /// Accepts that a check fails, for a time.
    Add {
        /// The check.
        check: String,
        /// Only on this host.
        #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "site")]
        host: String,
        /// Only in this site, `name` or `forest/name`.
        #[arg(long)]
        site: Option<SiteArg>,
        /// The site's forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
        /// Why; kept with the waiver.
        #[arg(long)]
        reason: String,
        /// For how long, such as `30d`; a year at most.
        #[arg(long = "for", value_name = "SPAN")]
        span: String,
    },
    /// Lists waivers.
    List {
        /// Ended ones as well.
        #[arg(long)]
        ended: bool,
    },
    /// Ends a waiver.
    Remove {
        /// Its number.
        number: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))?.checked()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_export_takes_its_format_wherever_it_stands() {
        for (line, expected) in [
            ("muster export", None),
            ("muster export --format csv", Some(Format::Csv)),
            ("muster export sites --format json", Some(Format::Json)),
            ("muster --format json export", Some(Format::Json)),
            ("muster --format csv export", Some(Format::Csv)),
        ] {
            let Command::Export { format, .. } = read(line).unwrap().command else { panic!("{line}") };
            assert_eq!(format, expected, "{line}");
        }
    }

    #[test]
    fn a_format_that_a_command_has_not_is_refused() {
        for line in [
            "muster sites --format csv",
            "muster --format csv status",
            "muster export --format table",
            "muster --format table export",
            "muster sites --format xml",
        ] {
            let error = read(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{line}");
            assert!(error.use_stderr(), "{line}");
        }
        let error = read("muster sites --format csv").unwrap_err().to_string();
        assert!(error.contains("`--format csv` is for `muster export`"), "{error}");
    }

    #[test]
    fn every_other_command_prints_as_told() {
        for (line, expected) in [
            ("muster sites", Format::Table),
            ("muster --format json sites", Format::Json),
            ("muster sites --format json", Format::Json),
            ("muster waive list --format json", Format::Json),
        ] {
            assert_eq!(read(line).unwrap().format(), expected, "{line}");
        }
    }
}
