//! Waivers: deviations that somebody has accepted for a time, as records and not as settings.

use muster_evidence::{HostName, SiteRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Judgement, Verdict};

/// A deviation that somebody has accepted for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Number of the record.
    pub number: u64,
    /// The check, by its id.
    pub check: String,
    /// Only on this host; `None`: on every host.
    pub host: Option<HostName>,
    /// Only at this site; `None`: at every site.
    pub site: Option<SiteRef>,
    /// Who accepted it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// From when it holds.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Waiver {
    /// Whether it covers a verdict of that check there and now.
    pub fn covers(&self, check: &str, host: Option<&HostName>, site: Option<&SiteRef>, now: Timestamp) -> bool {
        self.check == check
            && self.created_at <= now
            && now < self.expires_at
            && self.host.as_ref().is_none_or(|own| Some(own) == host)
            && self.site.as_ref().is_none_or(|own| site.is_some_and(|site| same_site(own, site)))
    }
}

/// Whether two references mean one site: by their `objectGUID` where both have one, else by forest and name.
fn same_site(left: &SiteRef, right: &SiteRef) -> bool {
    match (left.object_guid, right.object_guid) {
        (Some(left), Some(right)) => left == right,
        _ => left.forest == right.forest && left.name == right.name,
    }
}

/// Applies the first waiver that covers a judgement, and answers which.
///
/// A waiver accepts what is known: it makes `Blocked` an `Advisory` that says who accepted it, until it expires. It
/// never closes a gap, so `Unknown` stays what it is.
pub fn apply_waivers<'w>(
    judgement: &mut Judgement,
    waivers: &'w [Waiver],
    host: Option<&HostName>,
    site: Option<&SiteRef>,
    now: Timestamp,
) -> Option<&'w Waiver> {
    if !matches!(judgement.verdict, Verdict::Blocked(_) | Verdict::Advisory(_)) {
        return None;
    }
    let waiver = waivers.iter().find(|waiver| waiver.covers(&judgement.check, host, site, now))?;
    if let Verdict::Blocked(finding) = &mut judgement.verdict {
        let mut finding = finding.clone();
        finding.seen =
            format!("{} (waived by {} until {}: {})", finding.seen, waiver.who, waiver.expires_at, waiver.reason);
        judgement.verdict = Verdict::Advisory(finding);
        judgement.valid_until =
            Some(judgement.valid_until.map_or(waiver.expires_at, |until| until.min(waiver.expires_at)));
    }
    Some(waiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finding, Judged, Standing};

    fn site(name: &str) -> SiteRef {
        SiteRef { forest: "corp.example".parse().unwrap(), name: name.parse().unwrap(), object_guid: None }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn waiver(host: Option<&str>, site: Option<SiteRef>) -> Waiver {
        Waiver {
            number: 1,
            check: "join.type".into(),
            host: host.map(|host| host.parse().unwrap()),
            site,
            who: "ada".into(),
            reason: "kiosk".into(),
            created_at: at(100),
            expires_at: at(200),
        }
    }

    #[test]
    fn a_waiver_covers_its_check_place_and_time_alone() {
        let host: HostName = "pc1.corp.example".parse().unwrap();
        let berlin = site("Berlin");
        let everywhere = waiver(None, None);
        for (check, now, covered) in [
            ("join.type", 100, true),
            ("join.type", 199, true),
            ("join.type", 99, false),
            ("join.type", 200, false),
            ("tpm.present", 150, false),
        ] {
            assert_eq!(everywhere.covers(check, Some(&host), Some(&berlin), at(now)), covered, "{check} at {now}");
        }
        assert!(waiver(Some("pc1.corp.example"), None).covers("join.type", Some(&host), None, at(150)));
        assert!(!waiver(Some("pc2.corp.example"), None).covers("join.type", Some(&host), None, at(150)));
        assert!(waiver(None, Some(site("BERLIN"))).covers("join.type", Some(&host), Some(&berlin), at(150)));
        assert!(!waiver(None, Some(site("Paris"))).covers("join.type", Some(&host), Some(&berlin), at(150)));
        assert!(!waiver(None, Some(site("Paris"))).covers("join.type", Some(&host), None, at(150)));
    }

    #[test]
    fn a_waiver_softens_a_blocker_and_never_closes_a_gap() {
        let finding = Finding { seen: "not joined".into(), needed: "".into(), remedy: "".into(), source: "".into() };
        let judgement = |verdict| Judgement {
            check: "join.type".into(),
            subject: Judged::Host,
            verdict,
            valid_until: Some(at(500)),
            evidence_at: None,
        };
        let waivers = [waiver(None, None)];

        let mut blocked = judgement(Verdict::Blocked(finding));
        let number = apply_waivers(&mut blocked, &waivers, None, None, at(150)).map(|waiver| waiver.number);
        assert_eq!(
            (number, blocked.verdict.standing(), blocked.valid_until),
            (Some(1), Standing::Advisory, Some(at(200)))
        );

        let mut gap = judgement(Verdict::unknown("join state", "timed out"));
        assert_eq!(apply_waivers(&mut gap, &waivers, None, None, at(150)), None);
        assert_eq!(gap.verdict.standing(), Standing::Unknown);
    }
}
