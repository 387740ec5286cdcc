//! Manual pages, completions and the reference of the command lines.

use std::fs;

use muster_tests::manual::{programs, reference, write_all};
use muster_tests::program::{command, repository, run};
use muster_tests::skipped;

use crate::tool;

#[test]
fn the_reference_is_of_this_code() {
    let path = repository().join("docs/cli.md");
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        fs::write(&path, reference()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == reference(), "docs/cli.md is not of this code: run `make docs-generated`");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_a_page_that_man_sets_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path()).unwrap();
    let mut pages = Vec::new();
    for program in programs() {
        let pages_of = folder.path().join("man").join(program.name);
        assert!(pages_of.join(format!("{}.1", program.name)).is_file());
        for command in program.command.get_subcommands() {
            let page = pages_of.join(format!("{}-{}.1", program.name, command.get_name()));
            assert_eq!(page.is_file(), !command.is_hide_set(), "{}", page.display());
        }
        pages.extend(fs::read_dir(pages_of).unwrap().map(|entry| entry.unwrap().path()));
    }
    // Some thirty commands today; a page less than that is a program that was left out.
    assert!(pages.len() >= 30, "{pages:?}");
    if tool("man").is_none() {
        return skipped("manuals::every_command_has_a_page_that_man_sets_without_a_warning", "`man` is not installed");
    }
    // One process for all: `man` writes what groff warns of to its error stream.
    let mut man = command("man");
    man.args(["--warnings", "--encoding=UTF-8", "--troff-device=utf8", "--local-file"]).args(&pages);
    man.env("MANPAGER", "cat").env("LC_ALL", "C.UTF-8");
    let done = run(man).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert!(done.stdout.contains("muster-probe"), "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_are_scripts_of_their_shells() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path()).unwrap();
    for program in programs() {
        let bash = folder.path().join("completions").join(program.name);
        let subcommands: Vec<&str> =
            program.command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name).collect();
        // As the shell would for `PROGRAM <Tab>`.
        let mut complete = command("bash");
        complete.arg("-c").arg(format!(
            "set -e; source '{script}'; COMP_WORDS=({name} ''); COMP_CWORD=1; _{function} {name} '' {name}; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script = bash.display(),
            name = program.name,
            function = program.name.replace('-', "__"),
        ));
        let offered = run(complete).await.succeeded();
        for subcommand in subcommands {
            assert!(offered.lines().any(|word| word == subcommand), "`{subcommand}` is not among: {offered}");
        }
        for (file, told) in [
            (format!("_{}", program.name), format!("#compdef {}", program.name)),
            (format!("{}.fish", program.name), format!("complete -c {}", program.name)),
            (format!("{}.ps1", program.name), "Register-ArgumentCompleter".to_owned()),
        ] {
            let script = fs::read_to_string(folder.path().join("completions").join(&file)).unwrap();
            assert!(script.contains(&told), "{file}");
        }
    }
}
