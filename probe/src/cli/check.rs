//! `muster-probe check`: judges this machine, or others, right here, and says why.

mod explain;
mod json;
mod policy;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use muster_evidence::{DnsName, HostName, Timestamp};
use muster_readiness::{Check, Policy, Standing};

use super::exit::{Ended, Failed, of_standing};
use super::layout::Page;
use crate::capture;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DcAddress, Loaded};
use crate::judge_local::{AsOf, Judged, JudgedMachine, judge_all};
use crate::machine::{Machine, Target, system_name};

/// What to judge, and how to tell it.
#[derive(Debug, Args)]
#[command(
    after_help = "Without options this machine is judged. With --captures, --dc or --certificates those machines \
                        are judged instead.\n\nExit codes: 0 ready, 1 advisory, 2 blocked, 3 unknown, the worst of \
                        all machines (blocked before unknown before advisory).\n\nExamples:\n  \
                        muster-probe check\n  \
                        muster-probe check --captures ./from-site-b\n  \
                        muster-probe check --dc dc01.corp.example --anchors enterprise-root.pem\n  \
                        muster-probe check --host dc01.corp.example --certificates dc01.pem\n  \
                        muster-probe check --explain dc.cert-eku --captures ./dc01"
)]
pub struct CheckArguments {
    /// Judges the machines whose raw outputs lie in this folder.
    #[arg(long, value_name = "DIR")]
    pub captures: Option<PathBuf>,
    /// Judges as of when the machine was seen, as of now, or as of an RFC 3339 time.
    #[arg(long, value_name = "captured|now|TIME", default_value = "captured")]
    pub as_of: When,
    /// Chooses the form of the output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Names the machine: this one, or the domain controller that --certificates belong to.
    #[arg(long, value_name = "NAME")]
    pub host: Option<HostName>,
    /// Reaches the TPM this way instead of by the system's device.
    #[arg(long, value_name = "TCTI")]
    pub tpm: Option<String>,
    /// Judges a domain controller by certificates exported from its store (files or folders; needs --host).
    #[arg(long, value_name = "PATH")]
    pub certificates: Vec<PathBuf>,
    /// Judges a domain controller by the certificate it presents: TLS on 636, StartTLS on 389.
    #[arg(long, value_name = "HOST[:636|389]")]
    pub dc: Vec<DcAddress>,
    /// Verifies certificate chains up to the roots in these files or folders.
    #[arg(long, value_name = "PATH")]
    pub anchors: Vec<PathBuf>,
    /// Completes certificate chains with the issuers in these files or folders.
    #[arg(long, value_name = "PATH")]
    pub intermediates: Vec<PathBuf>,
    /// Says whether Entra-joined (not hybrid) machines are served here: clients demand more of certificates then.
    #[arg(long, value_enum, value_name = "yes|no")]
    pub entra_joined: Option<Answer>,
    /// Judges by the policy in this file instead of by the defaults, such as one that `muster policy show` printed.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Shows one check alone, with the values that went into it and its page.
    #[arg(long, value_name = "CHECK")]
    pub explain: Option<String>,
    /// Shows checks that do not apply as well, what follows from another finding, and the sources behind ready ones.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not.
    No,
}

impl Answer {
    fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A text for people.
    Table,
    /// The document described in docs/check-json.md.
    Json,
}

/// The time to judge as of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When each machine was seen.
    Captured,
    /// Now.
    Now,
    /// At that time.
    At(Timestamp),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "captured" => Ok(Self::Captured),
            "now" => Ok(Self::Now),
            _ => text.parse().map(Self::At).map_err(|_| {
                format!("`{text}` is neither `captured` nor `now` nor a time such as `2026-03-02T08:14:07Z`")
            }),
        }
    }
}

/// Everything that was judged, and what got in the way.
#[derive(Debug)]
struct Outcome {
    machines: Vec<JudgedMachine>,
    /// Machines that only told what stands in a directory.
    readers: Vec<Machine>,
    /// What could not be read, each naming its file.
    problems: Vec<String>,
    /// The time the program looked at the clock.
    now: Timestamp,
}

impl Outcome {
    /// The worst of all; a problem counts as unknown at least, and so does having judged nothing.
    fn standing(&self) -> Standing {
        let machines = self.machines.iter().map(JudgedMachine::standing).max();
        let worst = machines.unwrap_or(Standing::Unknown);
        if self.problems.is_empty() { worst } else { worst.max(Standing::Unknown) }
    }
}

/// Judges, and prints the result.
pub fn check(arguments: &CheckArguments, loaded: &mut Loaded) -> Ended {
    apply(arguments, loaded);
    let explained = arguments.explain.as_deref().map(super::checks::check).transpose()?;
    let policy = arguments.policy.as_deref().map(policy::read).transpose()?.unwrap_or_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now();
    let (machines, problems) = machines(arguments, &loaded.config, &clock)?;
    let as_of = match arguments.as_of {
        When::Captured => AsOf::Observed,
        When::Now => AsOf::At(now),
        When::At(at) => AsOf::At(at),
    };
    let Judged { machines, readers } = judge_all(machines, &policy, as_of, arguments.entra_joined.map(Answer::is_yes));
    let result = Outcome { machines, readers, problems, now };
    for problem in &result.problems {
        super::say(problem);
    }
    let text = match (arguments.format, explained) {
        (Format::Json, explained) => json::document(&result, explained.map(Check::id))?,
        (Format::Table, Some(check)) => explain::text(&result, check, Page::of_stdout()),
        (Format::Table, None) => table::text(&result, Page::of_stdout(), arguments.verbose),
    };
    super::print(&text)?;
    Ok(ExitCode::from(of_standing(result.standing())))
}

/// What `check --captures` prints of a folder as of when each machine was seen, and its lines on standard error.
/// `now` is when somebody looks.
pub fn text_of_captures(folder: &Path, policy: &Policy, now: Timestamp, page: Page) -> (String, Vec<String>) {
    let (machines, problems) = captured(folder, now);
    let Judged { machines, readers } = judge_all(machines, policy, AsOf::Observed, None);
    let outcome = Outcome { machines, readers, problems, now };
    (table::text(&outcome, page, false), outcome.problems)
}

/// What the command line says wins over the settings.
fn apply(arguments: &CheckArguments, loaded: &mut Loaded) {
    let CheckArguments { host, tpm, certificates, anchors, intermediates, .. } = arguments;
    let mut set = Vec::new();
    if let Some(host) = host {
        loaded.config.host = Some(host.clone());
        set.push("host");
    }
    if let Some(tpm) = tpm {
        loaded.config.tpm = Some(tpm.clone());
        set.push("tpm");
    }
    for (given, setting, key) in [
        (certificates, &mut loaded.config.certificates, "certificates"),
        (anchors, &mut loaded.config.anchors, "anchors"),
        (intermediates, &mut loaded.config.intermediates, "intermediates"),
    ] {
        if !given.is_empty() {
            setting.clone_from(given);
            set.push(key);
        }
    }
    for key in set {
        loaded.set_by_command_line(key);
    }
}

/// The machines to judge, and what could not be read of them.
fn machines(
    arguments: &CheckArguments,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Vec<Machine>, Vec<String>), Failed> {
    let mut machines = Vec::new();
    let mut problems = Vec::new();
    if let Some(folder) = &arguments.captures {
        (machines, problems) = captured(folder, clock.now());
    }
    let targets = targets(arguments, config, clock)?;
    if !targets.is_empty() {
        let runtime = super::runtime()?;
        let looking: Vec<_> =
            targets.into_iter().map(|target| runtime.spawn(async move { target.observe().await })).collect();
        for looked in looking {
            let machine = runtime.block_on(looked).map_err(|error| Failed {
                code: super::exit::INTERNAL,
                message: format!("failed to look at a machine: {error}"),
            })?;
            machines.push(machine);
        }
        // A source that hangs must not keep the program from ending.
        runtime.shutdown_background();
    }
    Ok((machines, problems))
}

/// The machines in a folder of captures, and what could not be read of them.
fn captured(folder: &Path, now: Timestamp) -> (Vec<Machine>, Vec<String>) {
    let captured = capture::load(folder, now);
    let mut problems: Vec<String> = captured.problems.iter().map(ToString::to_string).collect();
    if captured.machines.is_empty() && problems.is_empty() {
        problems.push(format!("`{}` holds no machine to judge", folder.display()));
    }
    (captured.machines.into_iter().map(Machine::from).collect(), problems)
}

/// The machines that are looked at live.
fn targets(arguments: &CheckArguments, config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Target>, Failed> {
    let mut targets = Vec::new();
    if !arguments.certificates.is_empty() {
        let name = config.host.clone().or_else(|| config.domain_controller.fqdn.clone()).ok_or_else(|| {
            Failed::usage(
                "--certificates needs --host NAME, the full name of the domain controller they belong to: its \
                 certificate must carry that name",
            )
        })?;
        targets.push(Target::exported(config, name, Arc::clone(clock)));
    }
    for address in &arguments.dc {
        let name: DnsName = address.0.host.parse().map_err(|_| {
            Failed::usage(format!("--dc {address}: name the domain controller by its DNS name, not by an address"))
        })?;
        if name.parent().is_none() || name.as_str().parse::<std::net::IpAddr>().is_ok() {
            return Err(Failed::usage(format!(
                "--dc {address}: give the full name (such as dc01.corp.example), because its certificate must carry it"
            )));
        }
        targets.push(Target::controller(config, name, address, Arc::clone(clock)));
    }
    if targets.is_empty() && arguments.captures.is_none() {
        let name = config
            .host
            .clone()
            .or_else(system_name)
            .ok_or_else(|| Failed::usage("this system gives itself no name; name the machine with --host NAME"))?;
        targets.push(Target::this_machine(config, name, Arc::clone(clock)));
    }
    Ok(targets)
}
