//! The result of a check for people: worst first, each finding with what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use muster_evidence::{Origin, Sid, Timestamp};
use muster_readiness::{
    Check, Finding, Gap, Judged, Judgement, NotApplicable, Stand, Standing, Verdict, check_by_id, root_causes,
};

use super::Outcome;
use crate::cli::layout::{Page, count, date, labelled, minute, span, wrap};
use crate::judge_local::{JudgedMachine, described};
use crate::machine::Machine;

/// Columns of the labels beside a finding.
const LABEL_WIDTH: usize = 9;
/// Columns before a finding.
const INDENT: usize = 4;
/// Columns before a list of checks: the word of a standing has eight, stands two in, and a blank follows it.
const LIST_LEFT: usize = 11;
/// How gaps begin to name the one thing about a site that a person at the command line can tell.
const ENTRA_JOINED: &str = "Entra-joined endpoints";
/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Files of one capture that are further apart than this were not taken together.
const HOUR_MS: i64 = 3_600_000;

/// The whole text.
pub(super) fn text(result: &Outcome, page: Page, verbose: bool) -> String {
    let mut machines: Vec<&JudgedMachine> = result.machines.iter().collect();
    machines.sort_by(|a, b| {
        b.standing().cmp(&a.standing()).then_with(|| a.machine.identity.name.cmp(&b.machine.identity.name))
    });
    let mut text = String::new();
    for (n, judged) in machines.iter().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        text.push_str(&machine(judged, result.now, page, verbose));
    }
    for reader in &result.readers {
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(&read_directory(reader, page));
    }
    if machines.len() != 1 || !result.problems.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&summary(result, page));
    }
    let found = |judged: &&JudgedMachine| !matches!(judged.standing(), Standing::Ready | Standing::NotApplicable);
    if machines.iter().any(found) {
        let line = "Add --explain CHECK to see the evidence behind a verdict and what the check means.";
        text.push('\n');
        for line in wrap(line, page.width) {
            let _ = writeln!(text, "{}", page.faint(&line));
        }
    }
    text
}

fn machine(judged: &JudgedMachine, now: Timestamp, page: Page, verbose: bool) -> String {
    let mut text = headline(judged, page);
    let circumstances = circumstances(judged, now);
    for line in circumstances.iter().flat_map(|line| wrap(line, page.width)) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{}", page.faint(&line));
    }
    let causes = Causes::of(judged);
    // A cause is told once, with the names of what follows from it; in full only where everything is asked for.
    let own = |standing| of(judged, standing).filter(|judgement| verbose || causes.of_finding(judgement).is_none());
    for judgement in own(Standing::Blocked) {
        text.push('\n');
        text.push_str(&finding(judgement, judged, &causes, page));
    }
    for gaps in same_gaps(own(Standing::Unknown)) {
        text.push('\n');
        text.push_str(&match gaps.as_slice() {
            [judgement] => finding(judgement, judged, &causes, page),
            several => gap_of_several(several, judged, page),
        });
    }
    for judgement in own(Standing::Advisory) {
        text.push('\n');
        text.push_str(&finding(judgement, judged, &causes, page));
    }
    text.push_str(&ready(judged, page, verbose));
    text.push_str(&not_applicable(judged, page, verbose));
    text
}

/// Which of a machine's findings follow from which.
pub(super) struct Causes<'a> {
    judgements: &'a [Judgement],
    roots: Vec<Option<usize>>,
}

impl<'a> Causes<'a> {
    pub(super) fn of(judged: &'a JudgedMachine) -> Self {
        let stands: Vec<Stand<'_>> = judged.judgements.iter().map(Stand::from).collect();
        Self { judgements: &judged.judgements, roots: root_causes(&stands) }
    }

    /// The finding that another one follows from; `None` where it stands for itself.
    pub(super) fn of_finding(&self, finding: &Judgement) -> Option<&'a Judgement> {
        let place = self.judgements.iter().position(|own| own == finding)?;
        self.roots[place].map(|root| &self.judgements[root])
    }

    /// What follows from a finding.
    fn following(&self, cause: &Judgement) -> Vec<&'a Judgement> {
        let follows = |root: &Option<usize>| root.is_some_and(|root| self.judgements[root] == *cause);
        let following = self.judgements.iter().zip(&self.roots).filter(|(_, root)| follows(root));
        let mut following: Vec<&Judgement> = following.map(|(own, _)| own).collect();
        following.sort_by(|left, right| left.subject.cmp(&right.subject));
        following
    }
}

/// What a machine told of a directory: no verdict of its own, and the reason why others have one.
fn read_directory(reader: &Machine, page: Page) -> String {
    let users = reader.inventory.iter().flat_map(|part| &part.items).count();
    let forests: BTreeSet<&str> = reader.inventory.iter().map(|part| part.forest.as_str()).collect();
    let told = match reader.inventory.iter().map(|part| part.as_of).min() {
        Some(as_of) => format!(
            "brought the keys of {} in the directory of {}, read {}",
            count(users, "user", "users"),
            forests.into_iter().collect::<Vec<_>>().join(", "),
            minute(as_of)
        ),
        None => "brought nothing that can be judged".to_owned(),
    };
    let mut text = wrap(&format!("{}: {told}", reader.identity.name), page.width).join("\n");
    text.push('\n');
    text
}

/// The verdicts of one check on a machine.
pub(super) fn single(judged: &JudgedMachine, id: &str, page: Page) -> String {
    let causes = Causes::of(judged);
    let of_check = judged.judgements.iter().filter(|judgement| judgement.check == id);
    of_check.map(|judgement| finding(judgement, judged, &causes, page)).collect()
}

fn headline(judged: &JudgedMachine, page: Page) -> String {
    let standing = judged.standing();
    let line = format!(
        "{}: {} - {}",
        page.strong(judged.machine.identity.name.as_str()),
        page.standing(standing, &standing.name().to_uppercase()),
        counts(judged)
    );
    format!("{line}\n")
}

/// Such as `2 of 9 checks block, 1 cannot be answered`.
fn counts(judged: &JudgedMachine) -> String {
    let counted = judged.counted();
    if counted == 0 {
        return "no check could be judged".to_owned();
    }
    let number = |standing| judged.count(standing);
    let (blocked, unknown, advisory) =
        (number(Standing::Blocked), number(Standing::Unknown), number(Standing::Advisory));
    let of_all = |n: usize, one: &str, many: &str| {
        let verb = if n == 1 { one } else { many };
        format!("{n} of {} {verb}", count(counted, "check", "checks"))
    };
    let mut parts = Vec::new();
    for (n, first_one, first_many, then_one, then_many) in [
        (blocked, "blocks", "block", "blocks", "block"),
        (unknown, "cannot be answered", "cannot be answered", "cannot be answered", "cannot be answered"),
        (advisory, "warns", "warn", "warns", "warn"),
    ] {
        if n == 0 {
            continue;
        }
        parts.push(if parts.is_empty() {
            of_all(n, first_one, first_many)
        } else {
            format!("{n} {}", if n == 1 { then_one } else { then_many })
        });
    }
    if parts.is_empty() {
        return if counted == 1 {
            "the one check is ready".to_owned()
        } else {
            format!("all {counted} checks are ready")
        };
    }
    parts.join(", ")
}

/// What the machine is, and in a line of its own what its verdicts are as of.
fn circumstances(judged: &JudgedMachine, now: Timestamp) -> Vec<String> {
    let machine = &judged.machine;
    let mut parts: Vec<String> = described(machine).into_iter().collect();
    match machine.origin {
        Origin::Live => parts.push("judged live".to_owned()),
        Origin::Capture => {
            let guess = if machine.observed_at_assumed { " (by the files' own times)" } else { "" };
            parts.push(match machine.oldest_observation() {
                Some(oldest) if machine.observed_at.ms_since(oldest) > HOUR_MS => {
                    format!("captured between {} and {}{guess}", minute(oldest), minute(machine.observed_at))
                }
                _ => format!("captured {}{guess}", minute(machine.observed_at)),
            });
        }
    }
    let age_ms = now.ms_since(judged.judged_at);
    let mut as_of = match judged.judged_at == machine.observed_at {
        // A live machine is judged as of now, and a capture of today is as good as that.
        true if age_ms < DAY_MS => return vec![parts.join("; ")],
        true => format!("Judged as of {}", date(judged.judged_at)),
        false => format!("Judged as of {}", minute(judged.judged_at)),
    };
    if age_ms >= DAY_MS {
        let _ = write!(as_of, ", {} ago; --as-of now judges today", span(age_ms));
    }
    vec![parts.join("; "), as_of]
}

fn of(judged: &JudgedMachine, standing: Standing) -> impl Iterator<Item = &Judgement> {
    judged.judgements.iter().filter(move |judgement| judgement.verdict.standing() == standing)
}

fn finding(judgement: &Judgement, judged: &JudgedMachine, causes: &Causes<'_>, page: Page) -> String {
    let standing = judgement.verdict.standing();
    let check = check_by_id(&judgement.check);
    let title = check.map(Check::title).unwrap_or_default();
    let matters = check.map(|check| check.page().why()).unwrap_or_default();
    let mut text = format!(
        "  {} {}{}\n",
        page.standing(standing, &format!("{:<8}", standing.name().to_uppercase())),
        page.strong(&judgement.check),
        subject(judgement, &judged.machine).map(|subject| format!(" ({subject})")).unwrap_or_default()
    );
    for line in wrap(title, page.width.saturating_sub(INDENT)) {
        let _ = writeln!(text, "{}{}", " ".repeat(INDENT), page.faint(&line));
    }
    let mut say = |label: &str, what: &str| {
        if !what.is_empty() {
            text.push_str(&labelled(page, INDENT, label, LABEL_WIDTH, what));
        }
    };
    match &judgement.verdict {
        Verdict::Advisory(Finding { seen, needed, remedy, source })
        | Verdict::Blocked(Finding { seen, needed, remedy, source }) => {
            say("seen", seen);
            say("needed", needed);
            say("matters", matters);
            say("remedy", remedy);
            say("source", source);
        }
        Verdict::Unknown(Gap { missing, why }) => {
            say("missing", missing);
            say("why", why);
            say("matters", matters);
            if weighs(judgement) < Standing::Unknown {
                say("weighs", "no more than an advisory, which is all it could find");
            }
            if missing.contains(ENTRA_JOINED) {
                say("answer", "repeat with --entra-joined yes or --entra-joined no");
            }
        }
        Verdict::NotApplicable(NotApplicable { reason }) => say("reason", reason),
        Verdict::Ready => {}
    }
    say("age", &age(judgement, judged));
    say("leads to", &named(&causes.following(judgement), &judged.machine));
    say("cause", &causes.of_finding(judgement).map(|cause| named(&[cause], &judged.machine)).unwrap_or_default());
    text
}

/// The checks of some verdicts, with whom they speak of told once: `a, b (user x), c (user y)`.
fn named(judgements: &[&Judgement], machine: &Machine) -> String {
    let mut text = String::new();
    for (n, judgement) in judgements.iter().enumerate() {
        text.push_str(if n == 0 { "" } else { ", " });
        text.push_str(&judgement.check);
        let ends = judgements.get(n + 1).is_none_or(|next| next.subject != judgement.subject);
        if let Some(subject) = subject(judgement, machine).filter(|_| ends) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, " ({subject})");
        }
    }
    text
}

/// Verdicts that are unknown for the same reason, together: what nobody told is said once, and one missing thing is one
/// thing to mend. Those that hold something up come first.
fn same_gaps<'a>(gaps: impl Iterator<Item = &'a Judgement>) -> Vec<Vec<&'a Judgement>> {
    let mut groups: Vec<Vec<&Judgement>> = Vec::new();
    for judgement in gaps {
        let alike = |other: &Judgement| {
            why(other) == why(judgement) && other.subject == judgement.subject && weighs(other) == weighs(judgement)
        };
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| alike(first))) {
            Some(group) => group.push(judgement),
            None => groups.push(vec![judgement]),
        }
    }
    groups.sort_by_key(|group| group.first().map(|first| std::cmp::Reverse(weighs(first))));
    groups
}

fn why(judgement: &Judgement) -> &str {
    match &judgement.verdict {
        Verdict::Unknown(Gap { why, .. }) => why,
        _ => "",
    }
}

/// What a gap adds to what its machine stands at.
fn weighs(judgement: &Judgement) -> Standing {
    let standing = judgement.verdict.standing();
    check_by_id(&judgement.check).map_or(standing, |check| check.severity().weighs(standing))
}

fn gap_of_several(several: &[&Judgement], judged: &JudgedMachine, page: Page) -> String {
    let names: Vec<&str> = several.iter().map(|judgement| judgement.check.as_ref()).collect();
    let whom = several.first().and_then(|first| subject(first, &judged.machine));
    let names = match whom {
        Some(whom) => format!("{} ({whom})", names.join(", ")),
        None => names.join(", "),
    };
    let label = page.standing(Standing::Unknown, &format!("{:<8}", "UNKNOWN"));
    let mut text = String::new();
    for (n, line) in wrap(&names, page.width.saturating_sub(LIST_LEFT)).into_iter().enumerate() {
        let label = if n == 0 { format!("  {label} ") } else { " ".repeat(LIST_LEFT) };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{label}{}", page.strong(&line));
    }
    let mut missing: Vec<&str> = Vec::new();
    for judgement in several {
        if let Verdict::Unknown(gap) = &judgement.verdict
            && !missing.contains(&gap.missing.as_ref())
        {
            missing.push(&gap.missing);
        }
    }
    text.push_str(&labelled(page, INDENT, "missing", LABEL_WIDTH, &missing.join("; ")));
    text.push_str(&labelled(page, INDENT, "why", LABEL_WIDTH, several.first().map_or("", |first| why(first))));
    if several.first().is_some_and(|first| weighs(first) < Standing::Unknown) {
        text.push_str(&labelled(
            page,
            INDENT,
            "weighs",
            LABEL_WIDTH,
            "no more than an advisory, which is all they could find",
        ));
    }
    text
}

/// When the evidence was taken, and until when the verdict holds by itself.
fn age(judgement: &Judgement, judged: &JudgedMachine) -> String {
    let mut parts = Vec::new();
    if let Some(at) = judgement.evidence_at {
        let ms = judged.judged_at.ms_since(at);
        parts.push(match ms {
            i64::MIN..0 => format!("observed {}, after the time of judging", minute(at)),
            0..60_000 => format!("observed {}", minute(at)),
            _ => format!("observed {}, {} before", minute(at), span(ms)),
        });
    }
    if let Some(until) = judgement.valid_until {
        let ms = until.ms_since(judged.judged_at);
        parts.push(format!("holds until {} ({})", minute(until), span(ms)));
    }
    parts.join("; ")
}

/// Whom a verdict speaks of, where it is not the machine.
fn subject(judgement: &Judgement, machine: &Machine) -> Option<String> {
    match &judgement.subject {
        Judged::User(sid) => Some(user(sid, machine)),
        Judged::Host | Judged::Site => None,
    }
}

fn user(sid: &Sid, machine: &Machine) -> String {
    match machine.accounts.get(sid) {
        Some(account) => format!("user {account}"),
        None if sid.is_unknown() => "the signed-in user".to_owned(),
        None => format!("user {sid}"),
    }
}

fn ready(judged: &JudgedMachine, page: Page, verbose: bool) -> String {
    let ready: Vec<&Judgement> = of(judged, Standing::Ready).collect();
    if ready.is_empty() {
        return String::new();
    }
    let label = page.standing(Standing::Ready, &format!("{:<8}", "READY"));
    if verbose {
        let mut text = "\n".to_owned();
        for judgement in ready {
            let title = check_by_id(&judgement.check).map(Check::title).unwrap_or_default();
            let subject =
                subject(judgement, &judged.machine).map(|subject| format!(" ({subject})")).unwrap_or_default();
            let _ = writeln!(text, "  {label} {}{subject}", page.strong(&judgement.check));
            for line in wrap(title, page.width.saturating_sub(INDENT)) {
                let _ = writeln!(text, "{}{}", " ".repeat(INDENT), page.faint(&line));
            }
            let age = age(judgement, judged);
            if !age.is_empty() {
                text.push_str(&labelled(page, INDENT, "age", LABEL_WIDTH, &age));
            }
        }
        return text;
    }
    let names: Vec<String> = ready
        .iter()
        .map(|judgement| match subject(judgement, &judged.machine) {
            Some(subject) if judged.machine.users().len() > 1 => format!("{} ({subject})", judgement.check),
            Some(_) | None => judgement.check.to_string(),
        })
        .collect();
    let mut text = "\n".to_owned();
    for (n, line) in wrap(&names.join(", "), page.width.saturating_sub(LIST_LEFT)).into_iter().enumerate() {
        let label = if n == 0 { format!("  {label} ") } else { " ".repeat(LIST_LEFT) };
        let _ = writeln!(text, "{label}{line}");
    }
    text
}

fn not_applicable(judged: &JudgedMachine, page: Page, verbose: bool) -> String {
    let number = judged.count(Standing::NotApplicable);
    if number == 0 {
        return String::new();
    }
    if !verbose {
        let verb = if number == 1 { "does" } else { "do" };
        let line = format!("{} {verb} not apply here (--verbose says why)", count(number, "check", "checks"));
        return format!("  {}\n", page.faint(&line));
    }
    let mut text = "\n".to_owned();
    for judgement in of(judged, Standing::NotApplicable) {
        let Verdict::NotApplicable(NotApplicable { reason }) = &judgement.verdict else { continue };
        let subject = subject(judgement, &judged.machine).map(|subject| format!(" ({subject})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} {}{subject}: {reason}",
            page.standing(Standing::NotApplicable, &format!("{:<8}", "N/A")),
            judgement.check
        );
    }
    text
}

fn summary(result: &Outcome, page: Page) -> String {
    let number = |standing| result.machines.iter().filter(|judged| judged.standing() == standing).count();
    let parts: Vec<String> = [Standing::Blocked, Standing::Unknown, Standing::Advisory, Standing::Ready]
        .into_iter()
        .filter(|standing| number(*standing) > 0)
        .map(|standing| page.standing(standing, &format!("{} {standing}", number(standing))))
        .collect();
    let mut text = count(result.machines.len(), "machine", "machines");
    if !parts.is_empty() {
        text.push_str(": ");
        text.push_str(&parts.join(", "));
    }
    if !result.problems.is_empty() {
        let what = count(result.problems.len(), "input not read", "inputs not read");
        let _ = write!(text, "; {} (see standard error)", page.standing(Standing::Unknown, &what));
    }
    text.push('\n');
    text
}
