//! Inbound replication of a domain controller: `repadmin /showrepl /csv`, or `Get-ADReplicationPartnerMetadata` as JSON.
//!
//! `repadmin` writes the times of the machine it runs on without saying how far that is from UTC, so whoever reads it
//! must be told; the JSON says it itself.

use muster_evidence::{Replication, ReplicationPartner, Text, Timestamp, limits};

use super::object;

/// Most rows that are read; a forest of thousands of controllers has some thousand.
const MAX_ROWS: usize = 20_000;

/// Says that a text does not show replication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReplication {
    /// There is neither of the two forms.
    #[error(
        "no inbound neighbours (expected what `repadmin /showrepl /csv` or `Get-ADReplicationPartnerMetadata | ConvertTo-Json` prints; begins with `{start}`)"
    )]
    NoRows {
        /// The beginning of the text.
        start: String,
    },
    /// Its times cannot be placed.
    #[error("its times are the machine's own: give `utc_offset`, such as `+01:00`")]
    NoOffset,
    /// It speaks of several controllers.
    #[error(
        "it speaks of several controllers, `{one}` and `{other}` (expected one: `repadmin /showrepl /csv` on the machine itself)"
    )]
    Several {
        /// One of them.
        one: String,
        /// Another.
        other: String,
    },
}

/// Reads a text. `utc_offset_minutes` is how far the clock on the machine's wall is ahead of UTC.
pub fn replication(text: &str, utc_offset_minutes: Option<i32>) -> Result<Replication, InvalidReplication> {
    let mut partners =
        if text.contains("showrepl_COLUMNS") { table(text, utc_offset_minutes)? } else { objects(text)? };
    for partner in &mut partners {
        if partner.failures == 0 {
            // It moves with every cycle, and nothing depends on its minutes.
            partner.last_success = partner.last_success.map(hour_below);
        }
    }
    // Those that fail longest first: never a success, then the oldest.
    partners.sort_by(|a, b| {
        (a.failures == 0, a.last_success, &a.source, &a.naming_context).cmp(&(
            b.failures == 0,
            b.last_success,
            &b.source,
            &b.naming_context,
        ))
    });
    let left_out = u32::try_from(partners.len().saturating_sub(limits::REPLICATION_PARTNERS)).unwrap_or(u32::MAX);
    partners.truncate(limits::REPLICATION_PARTNERS);
    Ok(Replication { partners, left_out })
}

fn hour_below(at: Timestamp) -> Timestamp {
    at.plus_ms(-at.unix_ms().rem_euclid(3_600_000))
}

fn no_rows(text: &str) -> InvalidReplication {
    InvalidReplication::NoRows { start: object::start_of(text) }
}

/// The table of `repadmin`. Its columns are named in its head; a row says with its first word whether it is one.
fn table(text: &str, offset: Option<i32>) -> Result<Vec<ReplicationPartner>, InvalidReplication> {
    let mut lines = text.lines().map(str::trim);
    let head = lines.by_ref().find(|line| line.trim_start_matches('"').starts_with("showrepl_COLUMNS"));
    let head = fields(head.ok_or_else(|| no_rows(text))?);
    let column = |name: &str| head.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (Some(destination), Some(context), Some(source), Some(failures), Some(success), Some(status)) = (
        column("Destination DSA"),
        column("Naming Context"),
        column("Source DSA"),
        column("Number of Failures"),
        column("Last Success Time"),
        column("Last Failure Status"),
    ) else {
        return Err(no_rows(text));
    };
    let mut partners = Vec::new();
    let mut controller: Option<String> = None;
    for line in lines.filter(|line| line.trim_start_matches('"').starts_with("showrepl_INFO")).take(MAX_ROWS) {
        let row = fields(line);
        let field = |column: usize| row.get(column).map(|field| field.trim()).unwrap_or_default();
        let this = field(destination).to_ascii_lowercase();
        match &controller {
            Some(one) if *one != this => {
                return Err(InvalidReplication::Several {
                    one: one.chars().take(64).collect(),
                    other: this.chars().take(64).collect(),
                });
            }
            _ => controller = Some(this),
        }
        let last_success = match object::civil(field(success)) {
            Some(local) => Some(local.plus_minutes(-i64::from(offset.ok_or(InvalidReplication::NoOffset)?))),
            // `0` and `(never)`.
            None => None,
        };
        let failures = object::whole(field(failures)).unwrap_or_default();
        partners.push(ReplicationPartner {
            source: Text::cut(field(source)),
            naming_context: Text::cut(field(context)),
            last_success,
            failures,
            // The table keeps the code of the last failure after it has passed.
            last_result: if failures == 0 { 0 } else { object::whole(field(status)).unwrap_or_default() },
        });
    }
    Ok(partners)
}

/// The fields of a line: with commas between them, in quotes where one holds a comma itself.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted && fields.len() < 64 => fields.push(String::new()),
            c => {
                if let Some(field) = fields.last_mut() {
                    field.push(c);
                }
            }
        }
    }
    fields
}

/// The objects of `Get-ADReplicationPartnerMetadata`.
fn objects(text: &str) -> Result<Vec<ReplicationPartner>, InvalidReplication> {
    let mut partners = Vec::new();
    let mut controller: Option<String> = None;
    for record in object::records(text).iter().take(MAX_ROWS) {
        let (Some(source), Some(naming_context)) = (object::text(record, "Partner"), object::text(record, "Partition"))
        else {
            continue;
        };
        // 0 is inbound; outbound partners have no state of their own.
        if object::text(record, "PartnerType").is_some_and(|kind| kind != "0" && !kind.eq_ignore_ascii_case("inbound"))
        {
            continue;
        }
        if let Some(this) = object::text(record, "Server") {
            let this = this.to_ascii_lowercase();
            match &controller {
                Some(one) if *one != this => {
                    return Err(InvalidReplication::Several {
                        one: one.chars().take(64).collect(),
                        other: this.chars().take(64).collect(),
                    });
                }
                _ => controller = Some(this),
            }
        }
        let failures = object::number(record, "ConsecutiveReplicationFailures").unwrap_or_default();
        partners.push(ReplicationPartner {
            source: Text::cut(server_of(&source)),
            naming_context: Text::cut(&naming_context),
            last_success: object::time(record, "LastReplicationSuccess").filter(|at| at.unix_ms() > 0),
            failures,
            last_result: object::number(record, "LastReplicationResult").unwrap_or_default(),
        });
    }
    if partners.is_empty() { Err(no_rows(text)) } else { Ok(partners) }
}

/// Of `CN=NTDS Settings,CN=DC2,CN=Servers,…` the server.
fn server_of(partner: &str) -> &str {
    let server = partner.strip_prefix("CN=NTDS Settings,CN=").and_then(|rest| rest.split(',').next());
    server.unwrap_or(partner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "showrepl_COLUMNS,Destination DSA Site,Destination DSA,Naming Context,Source DSA Site,Source DSA,Transport Type,\
        Number of Failures,Last Failure Time,Last Success Time,Last Failure Status\r\n";

    fn partner(source: &str, at: Option<&str>, failures: u32, last_result: u32) -> ReplicationPartner {
        ReplicationPartner {
            source: Text::cut(source),
            naming_context: Text::cut("DC=corp,DC=example"),
            last_success: at.map(|at| at.parse().unwrap()),
            failures,
            last_result,
        }
    }

    #[test]
    fn the_table() {
        let row = |source: &str, failures: &str, success: &str, status: &str| {
            format!("showrepl_INFO,HQ,DC1,\"DC=corp,DC=example\",HQ,{source},RPC,{failures},0,{success},{status}\r\n")
        };
        let text = format!(
            "Repadmin: running command /showrepl against full DC localhost\r\n{HEAD}{}{}{}",
            row("DC2", "0", "2026-03-02 09:14:07", "8606"),
            row("DC3", "42", "2026-03-01 09:14:07", "1722"),
            row("DC4", "7", "(never)", "8524")
        );
        let found = replication(&text, Some(60)).unwrap();
        assert_eq!(
            found.partners,
            [
                partner("DC4", None, 7, 8524),
                partner("DC3", Some("2026-03-01T08:14:07Z"), 42, 1722),
                partner("DC2", Some("2026-03-02T08:00:00Z"), 0, 0),
            ]
        );
        assert_eq!(replication(&text, None), Err(InvalidReplication::NoOffset));
        let quoted = "\"showrepl_COLUMNS\",\"Destination DSA\",\"Naming Context\",\"Source DSA\",\"Number of Failures\",\"Last Success Time\",\"Last Failure Status\"\n\
            \"showrepl_INFO\",\"DC1\",\"DC=corp,DC=example\",\"DC2\",\"0\",\"2026-03-02 08:14:07\",\"0\"\n";
        assert_eq!(
            replication(quoted, Some(-330)).unwrap().partners,
            [partner("DC2", Some("2026-03-02T13:00:00Z"), 0, 0)]
        );
        assert_eq!(replication(HEAD, None).unwrap().partners, [], "alone in its forest");
        let two =
            format!("{HEAD}{}{}", row("DC2", "0", "0", "0"), row("DC1", "0", "0", "0").replace(",DC1,\"", ",DC9,\""));
        assert!(replication(&two, None).unwrap_err().to_string().contains("several controllers, `dc1` and `dc9`"));
    }

    #[test]
    fn the_objects() {
        let one = |partner: &str, failures: u32, time: &str| {
            format!(
                "{{\"Server\":\"DC1.corp.example\",\"Partner\":\"{partner}\",\"Partition\":\"DC=corp,DC=example\",\"PartnerType\":0,\
                 \"LastReplicationSuccess\":{time},\"LastReplicationResult\":0,\"ConsecutiveReplicationFailures\":{failures}}}"
            )
        };
        let dc2 = "CN=NTDS Settings,CN=DC2,CN=Servers,CN=HQ,CN=Sites,CN=Configuration,DC=corp,DC=example";
        let text =
            format!("[{},{}]", one(dc2, 0, "\"/Date(1772439247000)/\""), one("DC3", 1, "\"/Date(-11644473600000)/\""));
        let found = replication(&text, None).unwrap();
        assert_eq!(found.partners, [partner("DC3", None, 1, 0), partner("DC2", Some("2026-03-02T08:00:00Z"), 0, 0)]);
        let outbound = one("DC2", 0, "null").replace("\"PartnerType\":0", "\"PartnerType\":1");
        assert!(replication(&outbound, None).is_err());
        for text in ["", "[]", "repadmin is not recognized", "showrepl_COLUMNS,Source DSA"] {
            assert!(replication(text, None).unwrap_err().to_string().starts_with("no inbound neighbours"), "{text}");
        }
    }

    #[test]
    fn there_is_a_most() {
        let rows: Vec<String> =
            (0..40).map(|n| format!("showrepl_INFO,HQ,DC1,DC=x,HQ,S{n},RPC,0,0,2026-03-02 09:14:07,0\n")).collect();
        let rows = rows.concat();
        let found = replication(&format!("{HEAD}{rows}"), Some(0)).unwrap();
        assert_eq!((found.partners.len(), found.left_out), (limits::REPLICATION_PARTNERS, 8));
    }

    #[test]
    fn nothing_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(64), |(rows in proptest::collection::vec(r#"showrepl_INFO(,"?[A-Z0-9: ,-]{0,20}"?){0,11}"#, 0..8), offset in proptest::option::of(-900..900))| {
            let _ = replication(&format!("{HEAD}{}", rows.join("\n")), offset);
            let _ = replication(&rows.join("\n"), offset);
        });
    }
}
