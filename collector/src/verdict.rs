//! Verdicts between the rules and their records: words on disk, and back into judgements where rules read them again.

use std::borrow::Cow;

use muster_evidence::{Sid, Timestamp};
use muster_proto::v1;
use muster_readiness::{
    CHECKS, Check, Finding, Gap, Judged, Judgement, NotApplicable, Stand, Standing, Verdict, root_causes,
};

/// The check of an id with its place in `CHECKS`.
pub fn check_of(id: &str) -> Option<(u8, &'static dyn Check)> {
    let index = CHECKS.iter().position(|check| check.id() == id)?;
    u8::try_from(index).ok().map(|number| (number, CHECKS[index]))
}

/// The wire's standing.
pub const fn standing_to_wire(standing: Standing) -> v1::Standing {
    match standing {
        Standing::NotApplicable => v1::Standing::NotApplicable,
        Standing::Ready => v1::Standing::Ready,
        Standing::Advisory => v1::Standing::Advisory,
        Standing::Unknown => v1::Standing::Unknown,
        Standing::Blocked => v1::Standing::Blocked,
    }
}

/// The standing of a number; `None` where there is none, or none that this build knows.
pub fn standing_from_wire(number: i32) -> Option<Standing> {
    match v1::Standing::try_from(number).ok()? {
        v1::Standing::Unspecified => None,
        v1::Standing::NotApplicable => Some(Standing::NotApplicable),
        v1::Standing::Ready => Some(Standing::Ready),
        v1::Standing::Advisory => Some(Standing::Advisory),
        v1::Standing::Unknown => Some(Standing::Unknown),
        v1::Standing::Blocked => Some(Standing::Blocked),
    }
}

/// A judgement as it is stored and shown, except whether silence made it unknown.
pub fn verdict_to_wire(judgement: &Judgement, since: Timestamp, waived: Option<String>) -> v1::Verdict {
    let [seen, needed, remedy, source] = match &judgement.verdict {
        Verdict::Ready => Default::default(),
        Verdict::Advisory(finding) | Verdict::Blocked(finding) => {
            let Finding { seen, needed, remedy, source } = finding;
            [seen.clone(), needed.to_string(), remedy.to_string(), source.to_string()]
        }
        Verdict::Unknown(Gap { missing, why }) => [missing.to_string(), why.to_string(), String::new(), String::new()],
        Verdict::NotApplicable(NotApplicable { reason }) => {
            [reason.to_string(), String::new(), String::new(), String::new()]
        }
    };
    v1::Verdict {
        check: judgement.check.to_string(),
        standing: standing_to_wire(judgement.verdict.standing()).into(),
        seen,
        needed,
        remedy,
        source,
        since_ms: since.unix_ms(),
        valid_until_ms: judgement.valid_until.map(Timestamp::unix_ms),
        evidence_at_ms: judgement.evidence_at.map(Timestamp::unix_ms),
        title: check_of(&judgement.check).map(|(_, check)| check.title().to_owned()).unwrap_or_default(),
        waived: waived.unwrap_or_default(),
        stale_standing: v1::Standing::Unspecified.into(),
        meaning: check_of(&judgement.check).map(|(_, check)| check.page().why().to_owned()).unwrap_or_default(),
        root_cause: String::new(),
    }
}

/// Writes into each of a host's verdicts which check's failure explains it.
pub fn name_root_causes(verdicts: &mut [v1::StoredVerdict]) {
    let stands: Vec<Stand<'_>> = verdicts
        .iter()
        .map(|stored| {
            let verdict = stored.verdict.as_ref();
            Stand {
                check: verdict.map_or("", |verdict| &verdict.check),
                user: Some(stored.user_sid.as_str()).filter(|sid| !sid.is_empty()),
                standing: verdict.and_then(|own| standing_from_wire(own.standing)).unwrap_or(Standing::NotApplicable),
            }
        })
        .collect();
    let roots: Vec<Option<String>> =
        root_causes(&stands).into_iter().map(|root| root.map(|place| stands[place].check.to_owned())).collect();
    for (stored, root) in verdicts.iter_mut().zip(roots) {
        if let (Some(verdict), Some(root)) = (&mut stored.verdict, root) {
            verdict.root_cause = root;
        }
    }
}

/// A judgement as it is stored about a host or one of its users.
pub fn judgement_to_stored(judgement: &Judgement, since: Timestamp, waived: Option<String>) -> v1::StoredVerdict {
    let user_sid = match &judgement.subject {
        Judged::User(sid) => sid.to_string(),
        Judged::Host | Judged::Site => String::new(),
    };
    // Title and meaning are the check's and follow its build; on disk they would only be repeated.
    let wire = verdict_to_wire(judgement, since, waived);
    let verdict = v1::Verdict { title: String::new(), meaning: String::new(), ..wire };
    v1::StoredVerdict { user_sid, verdict: Some(verdict) }
}

/// A stored verdict as the rules gave it, with the time since which it stands; `None` where the record holds
/// something that this build cannot read.
pub fn judgement_from_stored(stored: &v1::StoredVerdict) -> Option<(Judgement, Timestamp)> {
    let v1::StoredVerdict { user_sid, verdict } = stored;
    let subject = if user_sid.is_empty() { Judged::Host } else { Judged::User(user_sid.parse::<Sid>().ok()?) };
    let verdict = verdict.as_ref()?;
    let finding = || Finding {
        seen: verdict.seen.clone(),
        needed: Cow::Owned(verdict.needed.clone()),
        remedy: Cow::Owned(verdict.remedy.clone()),
        source: Cow::Owned(verdict.source.clone()),
    };
    let answer = match standing_from_wire(verdict.standing)? {
        Standing::Ready => Verdict::Ready,
        Standing::Advisory => Verdict::Advisory(finding()),
        Standing::Blocked => Verdict::Blocked(finding()),
        Standing::Unknown => Verdict::unknown(verdict.seen.clone(), verdict.needed.clone()),
        Standing::NotApplicable => Verdict::not_applicable(verdict.seen.clone()),
    };
    let time = |ms: Option<i64>| ms.and_then(|ms| Timestamp::from_unix_ms(ms).ok());
    let judgement = Judgement {
        check: check_of(&verdict.check)
            .map_or_else(|| Cow::Owned(verdict.check.clone()), |(_, check)| Cow::Borrowed(check.id())),
        subject,
        verdict: answer,
        valid_until: time(verdict.valid_until_ms),
        evidence_at: time(verdict.evidence_at_ms),
    };
    Some((judgement, Timestamp::from_unix_ms(verdict.since_ms).ok()?))
}

/// How a stored verdict stands, and since when, without reading its words; `None` wherever [`judgement_from_stored`] gives
/// none.
pub fn standing_from_stored(stored: &v1::StoredVerdict) -> Option<(Standing, Timestamp)> {
    let v1::StoredVerdict { user_sid, verdict } = stored;
    if !user_sid.is_empty() {
        user_sid.parse::<Sid>().ok()?;
    }
    let verdict = verdict.as_ref()?;
    Some((standing_from_wire(verdict.standing)?, Timestamp::from_unix_ms(verdict.since_ms).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_survives_its_record() {
        let finding = Finding { seen: "a".into(), needed: "b".into(), remedy: "c".into(), source: "d".into() };
        let since: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        for subject in [Judged::Host, Judged::User("S-1-5-21-1-2-3-1104".parse().unwrap())] {
            for verdict in [
                Verdict::Ready,
                Verdict::Advisory(finding.clone()),
                Verdict::Blocked(finding.clone()),
                Verdict::unknown("join state", "timed out"),
                Verdict::not_applicable("not capable"),
            ] {
                let judgement = Judgement {
                    check: "join.type".into(),
                    subject: subject.clone(),
                    verdict,
                    valid_until: Some(since.plus_days(1)),
                    evidence_at: None,
                };
                let stored = judgement_to_stored(&judgement, since, None);
                assert_eq!(standing_from_stored(&stored), Some((judgement.verdict.standing(), since)));
                assert_eq!(judgement_from_stored(&stored), Some((judgement, since)));
            }
        }
        let known = || v1::Verdict { standing: v1::Standing::Ready.into(), ..v1::Verdict::default() };
        for unreadable in [
            v1::StoredVerdict::default(),
            v1::StoredVerdict { user_sid: "nobody".into(), verdict: Some(known()) },
            v1::StoredVerdict { verdict: Some(v1::Verdict { standing: 99, ..known() }), ..Default::default() },
            v1::StoredVerdict { verdict: Some(v1::Verdict { since_ms: i64::MAX, ..known() }), ..Default::default() },
        ] {
            assert_eq!(judgement_from_stored(&unreadable), None, "{unreadable:?}");
            assert_eq!(standing_from_stored(&unreadable), None, "{unreadable:?}");
        }
    }
}
