//! The command line of `muster`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::client::{IdentityFiles, Target};
use crate::output::Format;

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
    #[arg(long, global = true, env = "MUSTER_COLLECTOR", default_value = "http://127.0.0.1:8444", value_name = "URL")]
    collector: String,
    /// Your certificate, PEM, for `https`.
    #[arg(long, global = true, env = "MUSTER_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, global = true, env = "MUSTER_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// The CA that issued the collector's certificate, PEM.
    #[arg(long, global = true, env = "MUSTER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
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
        /// The site's name.
        name: String,
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
        /// Shows checks that do not apply as well.
        #[arg(long)]
        all: bool,
        /// Shows the evidence in full.
        #[arg(long)]
        evidence: bool,
    },
    /// Shows one user on every endpoint, and the user's keys in the directory.
    User {
        /// The user's SID.
        sid: String,
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
        /// Only those of this site.
        #[arg(long, default_value = "", hide_default_value = true)]
        site: String,
        /// Only those of this host.
        #[arg(long, default_value = "", hide_default_value = true)]
        host: String,
        /// At most this many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Follows sites and changes until Ctrl-C.
    Watch {
        /// Only this site.
        #[arg(default_value = "", hide_default_value = true)]
        site: String,
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
    /// Writes every host, or every site, for other programs.
    Export {
        /// What to write.
        #[arg(value_parser = PossibleValuesParser::new(["hosts", "sites"]), default_value = "hosts")]
        what: String,
        /// How to write it.
        #[arg(long = "as", value_parser = PossibleValuesParser::new(["csv", "json"]), default_value = "csv")]
        kind: String,
        /// Where to; standard output if not said.
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Only this site.
        #[arg(long, default_value = "", hide_default_value = true)]
        site: String,
        /// Only this forest.
        #[arg(long, default_value = "", hide_default_value = true)]
        forest: String,
    },
}

/// Which hosts.
#[derive(Debug, Args)]
pub(crate) struct HostsArgs {
    /// Only hosts of this site.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) site: String,
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
    },
    /// Says how many verdicts and which sites a policy file would change.
    Plan {
        /// TOML.
        file: PathBuf,
    },
    /// Puts a policy file in force as the next revision.
    Apply {
        /// TOML.
        file: PathBuf,
        /// The revision it was made from; refuses if another one is in force by now.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        base: u64,
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
        /// Only in this site.
        #[arg(long)]
        site: Option<String>,
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
