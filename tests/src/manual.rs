//! Manual pages, shell completions and the reference of the command lines, all from the programs' own definitions.
//!
//! Made here and not by the programs themselves: a probe that runs on every laptop need not carry a page maker.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

/// Width of the texts in the reference, whatever terminal asks.
const REFERENCE_COLUMNS: usize = 100;

/// A program with a manual page.
#[derive(Debug)]
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    /// Its command line.
    pub command: Command,
    /// The files it uses, and what for.
    files: &'static [(&'static str, &'static str)],
}

/// The programs, in the order of the reference.
pub fn programs() -> Vec<Program> {
    let program = |name, command, files| Program { name, command: without_environment(command), files };
    vec![
        program(
            "muster-probe",
            muster_probe::cli::Arguments::command(),
            &[
                ("/etc/muster/probe.toml", "Settings."),
                ("/var/lib/muster-probe", "State: the install id, and what the collector has acknowledged."),
            ],
        ),
        program(
            "muster-collector",
            muster_collector::cli::Cli::command(),
            &[("/etc/muster/collector.toml", "Settings."), ("/var/lib/muster", "The store.")],
        ),
        program("muster", muster_cli::command_line(), &[]),
    ]
}

/// Values of this machine's environment have no place in a text for all.
fn without_environment(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(without_environment)
}

/// Writes `man/PROGRAM/*.1` and `completions/*` into a folder, which is made.
pub fn write_all(folder: &Path) -> io::Result<()> {
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for Program { name, mut command, files } in programs() {
        // A folder each: `muster-*.1` are pages of three programs.
        let pages = folder.join("man").join(name);
        fs::create_dir_all(&pages)?;
        clap_mangen::generate_to(command.clone(), &pages)?;
        if !files.is_empty() {
            let path = pages.join(format!("{name}.1"));
            let mut page = fs::read_to_string(&path)?;
            page.push_str(".SH FILES\n");
            for (file, what) in files {
                let _ = write!(page, ".TP\n\\fI{}\\fR\n{what}\n", file.replace('-', "\\-"));
            }
            fs::write(&path, page)?;
        }
        for (shell, file) in [
            (Shell::Bash, name.to_owned()),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
            (Shell::PowerShell, format!("{name}.ps1")),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            fs::write(completions.join(file), script)?;
        }
    }
    Ok(())
}

/// `docs/cli.md`: every command as `--help` prints it.
pub fn reference() -> String {
    let mut text = String::from(
        "<!-- Made from the programs' definitions; `make docs-generated` rewrites it. -->\n\n# Command lines\n\n\
         What `--help` says of every command. The Debian packages bring the same as manual pages, and completions for\n\
         bash, zsh and fish; `make manuals` writes all of them, and one for PowerShell, to `target/manuals`.\n",
    );
    for Program { name, command, files: _ } in programs() {
        let mut command = command.term_width(REFERENCE_COLUMNS).disable_help_subcommand(true);
        command.build();
        describe(&mut text, name, command, 2);
    }
    text
}

fn describe(text: &mut String, path: &str, mut command: Command, level: usize) {
    let help = command.render_long_help().to_string();
    let _ = write!(text, "\n{} `{path}`\n\n```text\n", "#".repeat(level));
    for line in help.trim_end().lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str("```\n");
    for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        describe(text, &format!("{path} {}", subcommand.get_name()), subcommand.clone(), (level + 1).min(4));
    }
}
