//! `muster policy`: the thresholds in force, and what another policy would change.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::CommandError;
use crate::args::PolicyCommand;
use crate::client::Client;
use crate::model::{Plan, Policy};
use crate::output::{Out, of};

pub(crate) async fn run(client: &mut Client, out: Out, command: PolicyCommand) -> Result<(), CommandError> {
    match command {
        PolicyCommand::Show { revision, text } => {
            let policy = client.policy(revision).await?;
            out.print(&policy, |out| show(out, &policy, text));
        }
        PolicyCommand::Check { file, data } => {
            let plan = plan(client, &file, &data).await?;
            out.print(&plan, |_| format!("`{}` is a valid policy", file.display()));
        }
        PolicyCommand::Plan { file, data } => {
            let plan = plan(client, &file, &data).await?;
            out.print(&plan, |out| planned(out, &plan));
        }
        PolicyCommand::Apply { file, data, base } => {
            let applied = client.apply_policy(read_all(&file, &data)?, base).await?;
            if !applied.problems.is_empty() {
                return Err(CommandError::Policy { problems: applied.problems });
            }
            out.print(&applied, |_| {
                format!("policy revision {} is in force; hosts are judged again in the background", applied.revision)
            });
        }
    }
    Ok(())
}

/// Asks what a file would change; faults are an error.
async fn plan(client: &mut Client, file: &Path, data: &[PathBuf]) -> Result<Plan, CommandError> {
    let bar = super::progress("judging every host by the new policy");
    let plan = client.plan_policy(read_all(file, data)?).await;
    bar.finish_and_clear();
    let plan = plan?;
    if plan.problems.is_empty() { Ok(plan) } else { Err(CommandError::Policy { problems: plan.problems }) }
}

/// A policy with tables of reference data, which are parts of a policy that lie in files of their own.
fn read_all(file: &Path, data: &[PathBuf]) -> Result<String, CommandError> {
    let mut text = read(file)?;
    for file in data {
        text.push('\n');
        text.push_str(&read(file)?);
    }
    Ok(text)
}

fn read(file: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(|cause| CommandError::File { action: "read", path: file.to_owned(), cause })
}

fn show(out: &Out, policy: &Policy, text_only: bool) -> String {
    if text_only {
        return policy.text.clone();
    }
    format!(
        "# revision {}, applied {} by {}\n{}",
        policy.revision,
        out.age(policy.applied_at),
        policy.applied_by,
        policy.effective
    )
}

fn planned(out: &Out, plan: &Plan) -> String {
    let mut text = format!(
        "against revision {}: {} and {} would change",
        plan.base_revision,
        of(plan.verdicts_changed, "verdict", "verdicts"),
        of(plan.sites_changed.len() as u64, "site", "sites")
    );
    if plan.hosts_pooled_otherwise > 0 {
        let hosts = of(plan.hosts_pooled_otherwise, "host", "hosts");
        let _ = write!(text, "\n  {hosts} would come into a pool, leave theirs, or change to another");
    }
    for change in &plan.sites_changed {
        let _ = write!(
            text,
            "\n  {}/{}: {} -> {}",
            change.forest,
            change.site,
            out.word(&change.from),
            out.word(&change.to)
        );
    }
    text
}
