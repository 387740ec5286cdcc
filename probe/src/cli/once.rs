//! `muster-probe once`: looks once, reports once, and prints what was acknowledged.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use muster_evidence::ClientCertificate;

use super::exit::{Ended, Failed, UNAVAILABLE, chain};
use super::layout::{Page, count, labelled};
use super::run::{end_export, failed, start_log, take_captures};
use crate::clock::SystemClock;
use crate::config::{Loaded, LogSettings};
use crate::report::Acknowledgement;
use crate::round::Reported;
use crate::run::{Round, RunError, Service};
use crate::send::Sender;

/// What to report.
#[derive(Debug, Args)]
pub struct OnceArguments {
    /// Reports the machines whose raw outputs lie in this folder, instead of this one.
    #[arg(long, value_name = "DIR")]
    pub captures: Option<PathBuf>,
}

/// Looks once, reports once.
pub fn once(arguments: &OnceArguments, loaded: &mut Loaded) -> Ended {
    take_captures(arguments.captures.as_ref(), loaded);
    // What would be logged is printed; only what a person must act on goes to the log as well.
    let log = &loaded.config.log;
    let filter = if log.filter == "info" { "warn".to_owned() } else { log.filter.clone() };
    let exporter = start_log(&LogSettings { filter, format: log.format }, &loaded.config.telemetry)?;
    let config = loaded.config.clone();
    let runtime = super::runtime()?;
    let page = Page::of_stdout();
    let done: Result<(Round, String), Failed> = runtime.block_on(async {
        let mut service = Service::new(config, Arc::new(SystemClock)).map_err(|error| failed(&error))?;
        let round = service.round().await.map_err(|error| failed(&RunError::from(error)))?;
        let way = way(service.exchange(), &round, page);
        Ok((round, way))
    });
    runtime.shutdown_background();
    end_export(exporter.as_ref());
    let (round, way) = done?;
    for problem in &round.problems {
        super::say(problem);
    }
    if round.reported.is_empty() {
        return Err(Failed { code: UNAVAILABLE, message: "there is no machine to report".to_owned() });
    }
    let text: String = round.reported.iter().map(|machine| told(machine, page)).collect();
    super::print(&(text + &way))?;
    let taken = round.reported.iter().all(was_taken) && round.problems.is_empty();
    Ok(if taken { ExitCode::SUCCESS } else { ExitCode::from(UNAVAILABLE) })
}

/// Which way the reports took, by which certificate, and whether the clocks agree.
fn way(sender: &Sender, round: &Round, page: Page) -> String {
    let mut lines = Vec::new();
    lines.extend(sender.in_use().map(|collector| ("collector", collector.to_owned())));
    if let Some(ClientCertificate { not_before: _, not_after, newer }) = sender.certificate() {
        lines.push(("identity", format!("the certificate ends on {not_after}")));
        if let Some(newer) = newer {
            lines.push(("newer", format!("files on disk cannot be used: {}", newer.problem)));
        }
    }
    lines.extend(round.skew().map(|skew| ("clock", skew.to_string())));
    lines.iter().map(|(label, text)| labelled(page, 0, label, 11, text)).collect()
}

/// Whether the collector holds everything the report said.
fn was_taken(machine: &Reported) -> bool {
    machine.result.as_ref().is_ok_and(|answer| {
        matches!(answer.acknowledgement, Acknowledgement::Committed | Acknowledgement::Seen)
            && answer.need.is_empty()
            && answer.refusals.is_empty()
    })
}

fn told(machine: &Reported, page: Page) -> String {
    let Reported { host, sequence, listed, bodies, result } = machine;
    let host = page.strong(host.as_str());
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return format!("{host}: not reported\n{}", labelled(page, 2, "why", 9, &chain(&**error))),
    };
    let word = answer.acknowledgement.name();
    let meaning = match answer.acknowledgement {
        Acknowledgement::Committed => "on disk at the collector",
        Acknowledgement::Seen => "the collector had all of it already",
        Acknowledgement::Superseded => "the collector knows a later report of this machine",
        Acknowledgement::Unknown => "the collector answered in a way this probe does not know",
    };
    let mut text = format!("{host}: {word} - {meaning}\n");
    // Writing to a `String` cannot fail.
    let _ =
        writeln!(text, "  report {sequence}: {}, {bodies} of them sent", count(*listed, "observation", "observations"));
    for key in &answer.need {
        text.push_str(&labelled(
            page,
            2,
            "needed",
            9,
            &format!("{key} (the collector asked for it and did not take it)"),
        ));
    }
    for (part, reason) in &answer.refusals {
        text.push_str(&labelled(page, 2, "refused", 9, &format!("{part}: {reason}")));
    }
    if answer.conflict {
        text.push_str(&labelled(
            page,
            2,
            "conflict",
            9,
            "another installation reports under this name at the same time",
        ));
    }
    text
}
