//! `muster user SID`: one user on every endpoint, and the user's keys in the directory. `muster user export` and `erase`:
//! what is stored about one, shown and removed.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::{CommandError, host};
use crate::args::UserCommand;
use crate::client::Client;
use crate::model::{DirectoryKeys, ErasedUser, User};
use crate::output::{Out, of};

pub(crate) async fn run(client: &mut Client, out: Out, sid: &str, all: bool) -> Result<(), CommandError> {
    let user = client.user(sid).await?;
    out.print(&user, |out| text(out, &user, all));
    Ok(())
}

/// Shows or removes what is stored about a user.
pub(crate) async fn about(client: &mut Client, out: Out, command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Export { sid } => {
            let documents = client.export_user(&sid).await?;
            // JSON whatever the format: it is for another program, or for the person.
            Out::json(&documents);
        }
        UserCommand::Erase { sid } => {
            let erased = client.erase_user(&sid).await?;
            out.print(&erased, |out| removed(out, &erased));
        }
    }
    Ok(())
}

fn removed(out: &Out, erased: &ErasedUser) -> String {
    let mut text = format!(
        "removed from {} machines: {} observations and {} verdicts; {} changes of verdicts; {} entries of the directory",
        erased.hosts, erased.observations, erased.verdicts, erased.transitions, erased.inventory_items
    );
    let _ = write!(text, "\n\n{}", out.bold("What may be left"));
    for place in &erased.remains {
        let _ = write!(text, "\n- {place}");
    }
    text
}

fn text(out: &Out, user: &User, all: bool) -> String {
    let mut text = format!(
        "{}  {}  counted at {}",
        out.bold(&user.sid),
        out.word(&user.standing),
        user.counted_at.as_deref().unwrap_or("no site")
    );
    for endpoint in &user.endpoints {
        let _ = write!(text, "\n\n{}\n{}", host::headline(out, &endpoint.host), out.verdicts(&endpoint.verdicts, all));
    }
    let _ = write!(text, "\n\n{}\n{}", out.bold("Keys in the directory"), keys(out, user));
    text
}

fn keys(out: &Out, user: &User) -> String {
    let Some(DirectoryKeys { undecodable, left_out, keys }) = &user.directory_keys else {
        return if user.directory_complete {
            "none".to_owned()
        } else {
            "not known: the directory has not been read completely".to_owned()
        };
    };
    let mut table = out.table(&["KEY ID", "FOR", "MADE", "DEVICE", "REMARK"]);
    for key in keys {
        let mut remarks: Vec<String> = Vec::new();
        if key.roca == Some(true) {
            remarks.push("weak (CVE-2017-15361)".to_owned());
        }
        if key.key_hash_valid == Some(false) {
            remarks.push("its hash does not match".to_owned());
        }
        if !key.remark.is_empty() {
            remarks.push(key.remark.to_string());
        }
        table.add_row([
            Cell::new(key.key_id.map_or_else(|| "-".to_owned(), |id| format!("{}…", &id.to_string()[..16]))),
            Cell::new(format!("{:?}", key.usage)),
            Cell::new(key.created_at.map_or_else(|| "-".to_owned(), |at| at.to_string())),
            Cell::new(key.device_id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
            Cell::new(remarks.join("; ")),
        ]);
    }
    let mut text = if keys.is_empty() { "none that can be read".to_owned() } else { table.trim_fmt() };
    for (count, one, many) in [
        (*undecodable, "value cannot be decoded", "values cannot be decoded"),
        (*left_out, "more is left out", "more are left out"),
    ] {
        if count > 0 {
            let _ = write!(text, "\n{}", of(u64::from(count), one, many));
        }
    }
    text
}
