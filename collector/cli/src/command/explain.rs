//! `muster host NAME --explain CHECK`: the rule of one check, its verdicts there, and the values that went into them.

use std::fmt::Write as _;

use muster_proto::fields;

use super::CommandError;
use crate::client::Client;
use crate::model::{Evidence, ExplainedVerdict, Explanation, HostDetail, Rule};
use crate::output::Out;

pub(crate) async fn run(
    client: &mut Client,
    out: Out,
    forest: &str,
    name: &str,
    check: &str,
) -> Result<(), CommandError> {
    let detail = client.host(forest, name, Some(check)).await?;
    let explanation = explanation(detail, check).ok_or(CommandError::NoRules)?;
    out.print(&explanation, |out| text(out, &explanation));
    Ok(())
}

/// What of a host belongs to a check; `None` where the collector tells no rules.
fn explanation(detail: HostDetail, check: &str) -> Option<Explanation> {
    let HostDetail { host, rule, verdicts, users, evidence, .. } = detail;
    let rule = rule?;
    let of_machine = verdicts.into_iter().map(|verdict| ExplainedVerdict { user: None, verdict });
    let of_users = users.into_iter().flat_map(|user| {
        let sid = user.sid;
        user.verdicts.into_iter().map(move |verdict| ExplainedVerdict { user: Some(sid.clone()), verdict })
    });
    let verdicts = of_machine.chain(of_users).filter(|own| own.verdict.check == check).collect();
    let evidence = evidence.into_iter().filter(|item| rule.reads.contains(&item.kind)).collect();
    Some(Explanation { host: host.name, rule, verdicts, evidence })
}

fn text(out: &Out, explanation: &Explanation) -> String {
    let Explanation { host, rule, verdicts, evidence } = explanation;
    let mut text = format!("{}  {}: {}", out.bold(host), rule.check, rule.title);
    if verdicts.is_empty() {
        text.push_str("\n\nThe check does not speak of this machine.");
    }
    for ExplainedVerdict { user, verdict } in verdicts {
        let whom = user.as_ref().map_or_else(|| "Machine".to_owned(), |sid| format!("User {sid}"));
        let _ = write!(text, "\n\n{}  {}\n{}", out.bold(&whom), out.word(&verdict.standing), out.words_of(verdict));
    }
    let _ = write!(text, "\n\n{}\n{}", out.bold("Rule"), rule_text(out, rule));
    let _ = write!(text, "\n\n{}", out.bold("Evidence"));
    for kind in &rule.reads {
        let mut found = evidence.iter().filter(|item| item.kind == *kind).peekable();
        if found.peek().is_none() {
            let _ = write!(text, "\n{kind}: nobody has reported it");
        }
        for item in found {
            text.push_str(&values(out, item));
        }
    }
    text
}

fn rule_text(out: &Out, rule: &Rule) -> String {
    let Rule { check: _, title: _, severity, meaning, threshold, remedy, source, reads: _, caused_by } = rule;
    let may_follow = caused_by.join(", ");
    let parts = [
        ("severity", severity),
        ("meaning", meaning),
        ("threshold", threshold),
        ("remedy", remedy),
        ("source", source),
        ("may follow from", &may_follow),
    ];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
    out.labelled(parts.map(|(label, text)| (label.to_owned(), text.clone())))
}

/// One observation, field by field, with where and when it was made.
fn values(out: &Out, item: &Evidence) -> String {
    let Evidence { kind, subject, outcome, says, observed_at, context, origin, reporter } = item;
    let mut text = format!(
        "\n{kind} of {subject}: {outcome}; read {context}, {origin}, unchanged since {} ({})",
        observed_at.to_the_second(),
        out.age(*observed_at),
        context = context_words(context),
    );
    if let Some(reporter) = reporter {
        let _ = write!(text, ", through {reporter}");
    }
    if let Some(says) = says {
        let _ = write!(text, "\n{}", out.labelled(fields::of_value(says).into_iter()));
    }
    text
}

fn context_words(context: &str) -> &str {
    match context {
        "service" => "by the service",
        "user session" => "in the user's session",
        _ => "in a context that is not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Time, samples};

    fn explained() -> Explanation {
        Explanation {
            host: "pc1.corp.example".to_owned(),
            rule: Rule {
                check: "net.time-skew".to_owned(),
                title: "The clock is right".to_owned(),
                severity: "advisory".to_owned(),
                meaning: "Kerberos accepts a client only whose clock is near.".to_owned(),
                threshold: "At most 60 seconds: ready. More: advisory.".to_owned(),
                remedy: "Let the machine take its time from the domain.".to_owned(),
                source: "Microsoft Learn".to_owned(),
                reads: vec!["clock".to_owned(), "prt".to_owned()],
                caused_by: Vec::new(),
            },
            verdicts: vec![ExplainedVerdict { user: None, verdict: samples::verdict("advisory") }],
            evidence: vec![Evidence {
                kind: "clock".to_owned(),
                subject: "host".to_owned(),
                outcome: "observed".to_owned(),
                says: Some(serde_json::json!({ "ahead_seconds": -90 })),
                observed_at: Time(1_772_000_000_000),
                context: "service".to_owned(),
                origin: "live".to_owned(),
                reporter: None,
            }],
        }
    }

    #[test]
    fn the_rule_and_the_values_stand_beside_the_verdict() {
        for width in [80, 120] {
            let text = text(&Out::of_width(width), &explained());
            for part in ["net.time-skew: The clock is right", "At most 60 seconds", "ahead seconds", "-90"] {
                assert!(text.contains(part), "`{part}` is missing in:\n{text}");
            }
            assert!(text.contains("clock of host: observed; read by the service, live, unchanged since"), "{text}");
            assert!(text.contains("prt: nobody has reported it"), "{text}");
            assert!(!text.contains("may follow from"), "{text}");
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= usize::from(width).max(100), "{longest} of {width}:\n{text}");
        }
    }
}
