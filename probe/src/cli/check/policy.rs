//! The policy that `check` judges by, from a file: the text that a collector takes, read as it reads it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use muster_proto::link::document;
use muster_readiness::{POLICY_BYTES, Policy};

use crate::cli::exit::{Failed, NO_INPUT};

/// Reads a policy file, and says everything that is wrong with it.
pub(super) fn read(path: &Path) -> Result<Policy, Failed> {
    let mut text = String::new();
    let most = u64::try_from(POLICY_BYTES).unwrap_or(u64::MAX);
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_string(&mut text));
    if let Err(error) = read {
        return Err(Failed {
            code: NO_INPUT,
            message: format!("failed to read the policy in `{}`: {error}", path.display()),
        });
    }
    let wrong =
        |problems: &[String]| Failed::usage(format!("invalid policy in `{}`: {}", path.display(), problems.join("; ")));
    if text.len() > POLICY_BYTES {
        return Err(wrong(&[format!("it has more than {POLICY_BYTES} bytes, the most that are allowed")]));
    }
    let (policy, mut problems) =
        document::read::<Policy>(&text, Policy::WITHOUT_DEFAULT).map_err(|problem| wrong(&[problem]))?;
    problems.extend(policy.validate().iter().map(ToString::to_string));
    if problems.is_empty() { Ok(policy) } else { Err(wrong(&problems)) }
}
