//! Answers of the domain controller locator: what `nltest /dsgetdc:DOMAIN` prints.
//!
//! Two questions belong together: any KDC, and one of Windows Server 2016 or later (`/ds_10`). An output does not say
//! what was asked, so the command line above it does, pasted with its prompt or written there with `echo`. Without one,
//! an answer says what it proves by itself: a controller with the flag `DS_10` answers both questions, and where no
//! controller was found at all, none of 2016 was.

use muster_evidence::{DcLocator, Guid, LocatorAnswer, Text, Tristate};
use serde::Serialize;

/// Most answers of one text.
const MAX_ANSWERS: usize = 16;

/// `DS_DS_10_FLAG`: the controller runs Windows Server 2016 or later.
const DS_10: u32 = 0x0001_0000;

/// Words for the flags of `DOMAIN_CONTROLLER_INFO`, as `nltest` writes them (`DsGetDC.h`).
const FLAGS: [(&str, u32); 22] = [
    ("PDC", 0x1),
    ("GC", 0x4),
    ("LDAP", 0x8),
    ("DS", 0x10),
    ("KDC", 0x20),
    ("TIMESERV", 0x40),
    ("CLOSE_SITE", 0x80),
    ("WRITABLE", 0x100),
    ("GTIMESERV", 0x200),
    ("NDNC", 0x400),
    ("PARTIAL_SECRET", 0x800),
    ("FULL_SECRET", 0x1000),
    ("WS", 0x2000),
    ("DS_8", 0x4000),
    ("DS_9", 0x8000),
    ("DS_10", DS_10),
    ("KEYLIST", 0x0002_0000),
    ("DS_13", 0x0004_0000),
    ("DNS_DC", 0x2000_0000),
    ("DNS_DOMAIN", 0x4000_0000),
    ("DNS_FOREST", 0x8000_0000),
    ("PARTIAL_SECRETS", 0x800),
];

/// One answer, with what is known of its question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The question; `None` where no command line stands above it.
    pub question: Option<Question>,
    /// The domain, as the answer or the question names it.
    pub domain: Option<Text>,
    /// What was found.
    pub found: LocatorAnswer,
    /// `Our Site Name`.
    pub client_site: Option<Text>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Behind `/dsgetdc:`.
    pub domain: Text,
    /// `/ds_10`.
    pub capable: bool,
    /// `/force`.
    pub forced: bool,
}

/// Says that a text holds no answer, or that its answers do not make a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocator {
    /// There is none.
    #[error("no answer of the locator (expected what `nltest /dsgetdc:DOMAIN` prints; begins with `{start}`)")]
    NoAnswer {
        /// The beginning of the text.
        start: String,
    },
    /// Only one of two questions was answered.
    #[error(
        "{missing} (expected the outputs of `nltest /dsgetdc:DOMAIN` and `nltest /dsgetdc:DOMAIN /ds_10`, each below its command line)"
    )]
    Half {
        /// What is missing.
        missing: &'static str,
    },
}

/// Reads the answers of a text, in order.
pub fn answers(text: &str) -> Result<Vec<Answer>, InvalidLocator> {
    let mut found = Vec::new();
    let mut question = None;
    let mut values: Vec<(&str, &str)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if found.len() == MAX_ANSWERS {
            break;
        }
        if let Some(asked) = command(line) {
            question = Some(asked);
            values.clear();
        } else if let Some(code) = refusal(line) {
            let domain = question.as_ref().map(|asked: &Question| asked.domain.clone());
            let refused = LocatorAnswer::Refused { code };
            found.push(Answer { question: question.take(), domain, found: refused, client_site: None });
        } else if let Some((label, value)) = line.split_once(':') {
            let (label, value) = (label.trim(), value.trim());
            // Labels are localised; the name of the controller is the first value that begins like a server's.
            if values.is_empty() && !value.trim_start_matches('[').starts_with('\\') {
                continue;
            }
            values.push((label, value));
            if let Some(flags) = flags(value).filter(|_| values.len() > 4) {
                found.extend(controller(&values, flags, question.take()));
                values.clear();
            } else if values.len() > 12 {
                values.clear();
            }
        }
    }
    if found.is_empty() {
        let start = text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
        return Err(InvalidLocator::NoAnswer { start });
    }
    Ok(found)
}

/// Puts the answers to both questions together, the last to each counting.
pub fn locator(answers: &[Answer]) -> Result<DcLocator, InvalidLocator> {
    let is_capable = |answer: &&Answer| answer.question.as_ref().is_some_and(|asked| asked.capable);
    let any = answers.iter().rev().find(|answer| !is_capable(answer));
    let capable = answers.iter().rev().find(is_capable);
    let has_flag = |answer: &LocatorAnswer| matches!(answer, LocatorAnswer::Found { flags, .. } if flags & DS_10 != 0);
    let (first, second) = match (any, capable) {
        (Some(any), Some(capable)) => (any, capable),
        (Some(any), None) if has_flag(&any.found) || matches!(any.found, LocatorAnswer::Refused { .. }) => (any, any),
        (None, Some(capable)) if matches!(capable.found, LocatorAnswer::Found { .. }) => (capable, capable),
        (Some(_), None) => {
            return Err(InvalidLocator::Half {
                missing: "nothing tells whether a controller of 2016 or later was found",
            });
        }
        (None, _) => return Err(InvalidLocator::Half { missing: "nothing tells whether any controller was found" }),
    };
    let domain = first.domain.clone().or_else(|| second.domain.clone());
    let domain = domain.ok_or(InvalidLocator::Half { missing: "nothing names the domain that was asked for" })?;
    let forced = match (&first.question, &second.question) {
        (Some(one), Some(other)) => Tristate::from_bool(one.forced && other.forced),
        _ => Tristate::NotShown,
    };
    Ok(DcLocator {
        domain,
        any: first.found.clone(),
        capable: second.found.clone(),
        forced,
        client_site: first.client_site.clone().or_else(|| second.client_site.clone()),
    })
}

/// A command line, behind a prompt or without one.
fn command(line: &str) -> Option<Question> {
    let lower = line.to_ascii_lowercase();
    let at = lower.find("nltest")?;
    let arguments: Vec<&str> = line.get(at..)?.split_ascii_whitespace().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument.eq_ignore_ascii_case(wanted));
    let domain = arguments.iter().find_map(|argument| {
        let name = argument.get(..9).filter(|head| head.eq_ignore_ascii_case("/dsgetdc:"))?;
        Some(&argument[name.len()..])
    })?;
    let capable = has("/ds_10");
    (!domain.is_empty()).then(|| Question { domain: Text::cut(domain), capable, forced: has("/force") })
}

/// The code of `Getting DC name failed: Status = 1355 0x54b ERROR_NO_SUCH_DOMAIN`, in any language: the number twice,
/// decimal and hexadecimal.
fn refusal(line: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let decimal: u32 = pair[0].parse().ok()?;
        let digits = pair[1].strip_prefix("0x")?;
        let same =
            u32::from_str_radix(digits, 16).ok()? == decimal && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        (same && decimal != 0).then_some(decimal)
    })
}

/// The bits of a line of flags; `None` for anything else.
fn flags(value: &str) -> Option<u32> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let bits: Vec<u32> =
        words.iter().filter_map(|word| FLAGS.iter().find(|(name, _)| name == word).map(|(_, bit)| *bit)).collect();
    // A later Windows has words that this build does not know, but not half of them.
    (bits.len() >= 2 && bits.len() * 2 > words.len()).then(|| bits.iter().fold(0, |all, bit| all | bit))
}

/// The lines of a found controller: its name, its address, the domain's GUID and name, the forest, and, where they are
/// known, the controller's site and the client's.
fn controller(values: &[(&str, &str)], flags: u32, question: Option<Question>) -> Option<Answer> {
    let bare = |value: &str| value.trim_matches(['[', ']', '\\', ' ']).to_owned();
    let name = bare(values[0].1);
    let guid = values.iter().position(|(_, value)| value.parse::<Guid>().is_ok())?;
    let domain = values.get(guid + 1).map(|(_, value)| Text::cut(value));
    let sites = values.get(guid + 3..values.len() - 1).unwrap_or_default();
    let (site, client_site) = match sites {
        [(_, site), (_, client), ..] => (Some(*site), Some(*client)),
        // Which of the two it is, the label says; in another language it is the controller's, which always has one.
        [(label, site)] if label.to_ascii_lowercase().starts_with("our") => (None, Some(*site)),
        [(_, site)] => (Some(*site), None),
        [] => (None, None),
    };
    let text = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(Text::cut);
    Some(Answer {
        domain: question.as_ref().map(|asked| asked.domain.clone()).or(domain),
        question,
        found: LocatorAnswer::Found { name: Text::cut(&name), site: text(site), flags },
        client_site: text(client_site),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: &str = "           DC: \\\\dc1.corp.example\r\n      Address: \\\\192.0.2.10\r\n     Dom Guid: 0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60\r\n\
        \x20    Dom Name: corp.example\r\n  Forest Name: corp.example\r\n Dc Site Name: HQ\r\nOur Site Name: BRANCH\r\n\
        \x20       Flags: PDC GC DS LDAP KDC TIMESERV WRITABLE DNS_DC DNS_DOMAIN DNS_FOREST CLOSE_SITE FULL_SECRET WS DS_8 DS_9 DS_10 KEYLIST NEW_ONE\r\n\
        The command completed successfully\r\n";
    const REFUSED: &str = "Getting DC name failed: Status = 1355 0x54b ERROR_NO_SUCH_DOMAIN\r\n";
    const ASKED: &str = "C:\\Users\\ada>nltest /dsgetdc:corp.example /kdc /force\r\n";
    const ASKED_10: &str = "nltest /DSGETDC:corp.example /kdc /ds_10 /force \r\n";

    fn read(text: &str) -> Result<DcLocator, InvalidLocator> {
        locator(&answers(text)?)
    }

    fn dc1() -> LocatorAnswer {
        let flags = 0xE003_F1FD | 0x1000 | 0x2000;
        LocatorAnswer::Found { name: Text::cut("dc1.corp.example"), site: Some(Text::cut("HQ")), flags }
    }

    #[test]
    fn both_questions() {
        let old = FOUND.replace(" DS_10", "").replace("dc1.", "dc2.");
        let found = read(&format!("{ASKED}{old}\r\n{ASKED_10}{REFUSED}")).unwrap();
        assert_eq!(found.capable, LocatorAnswer::Refused { code: 1355 });
        assert!(
            matches!(&found.any, LocatorAnswer::Found { name, flags, .. } if name.as_str() == "dc2.corp.example" && flags & DS_10 == 0)
        );
        assert_eq!((found.domain.as_str(), found.forced), ("corp.example", Tristate::Yes));
        assert_eq!(found.client_site.unwrap().as_str(), "BRANCH");
        let found = read(&format!("{ASKED_10}{FOUND}{}{FOUND}", ASKED.replace(" /force", ""))).unwrap();
        assert_eq!((found.any, found.capable, found.forced), (dc1(), dc1(), Tristate::No));
    }

    #[test]
    fn what_one_answer_proves() {
        let found = read(FOUND).unwrap();
        assert_eq!((&found.any, &found.capable, found.forced), (&dc1(), &dc1(), Tristate::NotShown));
        assert_eq!(found.domain.as_str(), "corp.example");
        let found = read(&format!("{ASKED}{REFUSED}")).unwrap();
        assert_eq!(
            (found.any, found.capable),
            (LocatorAnswer::Refused { code: 1355 }, LocatorAnswer::Refused { code: 1355 })
        );
        assert!(read(&format!("{ASKED_10}{FOUND}")).is_ok());
        for (text, missing) in [
            (FOUND.replace(" DS_10", ""), "2016 or later"),
            (format!("{ASKED_10}{REFUSED}"), "any controller"),
            (REFUSED.to_owned(), "names the domain"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(missing) && error.contains("/ds_10"), "{error}");
        }
    }

    #[test]
    fn labels_in_another_language_and_missing_sites() {
        let french = FOUND
            .replace("           DC:", "Contrôleur de domaine :")
            .replace("Dom Guid", "GUID dom.")
            .replace("Dc Site Name", "Nom de site DC")
            .replace("Our Site Name", "Notre site")
            .replace("Flags", "Indicateurs");
        assert_eq!(read(&french).unwrap().any, dc1());
        let without = FOUND.replace("Our Site Name: BRANCH\r\n", "");
        let found = read(&without).unwrap();
        assert_eq!((found.any, found.client_site), (dc1(), None));
        let without = without.replace(" Dc Site Name: HQ\r\n", "");
        assert!(matches!(read(&without).unwrap().any, LocatorAnswer::Found { site: None, .. }));
        let refused = "Fehler beim Abrufen des DC-Namens: Status = 1355 0x54b ERROR_NO_SUCH_DOMAIN";
        assert!(read(&format!("{ASKED}{refused}")).is_ok());
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for text in
            ["", "nltest is not recognized", "a: \\\\b", ASKED, "Status = 1355 0x54c", "DC: \\\\a\nFlags: PDC KDC"]
        {
            assert!(read(text).unwrap_err().to_string().starts_with("no answer of the locator"), "{text}");
        }
    }

    #[test]
    fn nothing_makes_it_panic() {
        use proptest::prelude::*;
        let line = r"(nltest( /dsgetdc:\PC{0,4}| /ds_10){0,2}|[a-z ]{0,6}: (\\\\[a-z]{0,3}|PDC KDC DS|0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60|\PC{0,5})|1355 0x54b)";
        proptest!(ProptestConfig::with_cases(64), |(lines in proptest::collection::vec(line, 0..20))| {
            if let Ok(answers) = answers(&lines.join("\n")) {
                let _ = locator(&answers);
            }
        });
    }
}
