//! How revocation lists stand, as a machine gets them: one rule for domain controllers and for endpoints.
//!
//! A list that is fetched and has not ended is good, even an hour before its end, since a weekly base and a daily delta
//! are always short of something. What counts is that the next one did not come when the CA wanted to publish it, that a
//! point does not answer while a kept list still holds, and that nothing valid is left.

use muster_evidence::{CrlFetch, DistributionPoint, Timestamp};

use crate::check::answer::finding;
use crate::{Check, Standing, Verdict};

/// How a distribution point stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointState {
    /// It gave a list that has not ended.
    Fresh,
    /// It gave a list that has not ended, and the next one was due before now.
    Overdue(Timestamp),
    /// It gave none; a kept one has not ended.
    Kept,
    /// It was not asked, or what it gave was not told.
    NotAsked,
    /// The newest list at hand has ended.
    Ended(Timestamp),
    /// There never was one.
    Missing,
}

impl PointState {
    /// How a point stands, and when that changes by itself.
    pub fn of(point: &DistributionPoint, now: Timestamp) -> (Self, Option<Timestamp>) {
        let fetched = match &point.fetch {
            CrlFetch::NotAsked { .. } => return (Self::NotAsked, None),
            CrlFetch::Fetched => true,
            CrlFetch::Unreachable { .. } | CrlFetch::Unusable { .. } => false,
        };
        let Some(list) = &point.list else {
            return (if fetched { Self::NotAsked } else { Self::Missing }, None);
        };
        if let Some(end) = list.next_update.filter(|end| now >= *end) {
            return (Self::Ended(end), None);
        }
        if !fetched {
            return (Self::Kept, list.next_update);
        }
        match list.next_publish {
            Some(due) if now >= due => (Self::Overdue(due), list.next_update),
            due => (Self::Fresh, [due, list.next_update].into_iter().flatten().min()),
        }
    }

    /// The verdict that follows, without its words.
    pub const fn standing(self) -> Standing {
        match self {
            Self::Fresh => Standing::Ready,
            Self::Overdue(_) | Self::Kept => Standing::Advisory,
            Self::NotAsked => Standing::Unknown,
            Self::Ended(_) | Self::Missing => Standing::Blocked,
        }
    }

    /// What was seen, in words.
    fn words(self, point: &DistributionPoint) -> String {
        let DistributionPoint { url, delta, fetch, list } = point;
        let what = if *delta { "delta revocation list" } else { "revocation list" };
        match (self, list) {
            (Self::Fresh, _) => format!("the {what} at `{url}`"),
            (Self::Overdue(due), Some(list)) => {
                format!("the {what} at `{url}` is still that of {}; the next one was due on {due}", list.this_update)
            }
            (Self::Kept, Some(list)) => {
                let end = list.next_update.map_or_else(|| "has no end".to_owned(), |end| format!("ends on {end}"));
                format!("the {what} at `{url}` {}; the one that was kept {end}", failure(fetch))
            }
            (Self::Ended(end), _) => match fetch {
                CrlFetch::Fetched => format!("the {what} at `{url}` ended on {end}"),
                _ => format!("the {what} at `{url}` {}, and the one that was kept ended on {end}", failure(fetch)),
            },
            (Self::NotAsked, _) => match fetch {
                CrlFetch::NotAsked { why } => format!("`{url}` was not asked: {why}"),
                _ => format!("what `{url}` gave was not told"),
            },
            (Self::Missing | Self::Overdue(_) | Self::Kept, _) => {
                format!("the {what} at `{url}` {}, and none was kept", failure(fetch))
            }
        }
    }
}

fn failure(fetch: &CrlFetch) -> String {
    match fetch {
        CrlFetch::Unreachable { detail } => format!("cannot be fetched ({detail})"),
        CrlFetch::Unusable { detail } => format!("is unusable ({detail})"),
        CrlFetch::NotAsked { why } => format!("was not asked for ({why})"),
        CrlFetch::Fetched => "was fetched".to_owned(),
    }
}

/// Several points that carry the same list: the best of them counts.
struct Alternatives<'a> {
    best: (&'a DistributionPoint, PointState),
    /// The first that gives nothing valid, though it was asked.
    broken: Option<(&'a DistributionPoint, PointState)>,
    changes_at: Option<Timestamp>,
}

impl<'a> Alternatives<'a> {
    fn of(points: impl Iterator<Item = &'a DistributionPoint>, now: Timestamp) -> Option<Self> {
        let mut all: Option<Self> = None;
        for point in points {
            let (state, changes_at) = PointState::of(point, now);
            let broken = (state.standing() == Standing::Blocked).then_some((point, state));
            match &mut all {
                None => all = Some(Self { best: (point, state), broken, changes_at }),
                Some(all) => {
                    if state.standing() < all.best.1.standing() {
                        all.best = (point, state);
                    }
                    all.broken = all.broken.or(broken);
                    all.changes_at = [all.changes_at, changes_at].into_iter().flatten().min();
                }
            }
        }
        all
    }

    /// What to say, and how grave it is: the best point, or that another one is broken.
    fn worst_to_say(&self) -> (Standing, (&'a DistributionPoint, PointState)) {
        match self.broken {
            Some(broken) if self.best.1.standing() == Standing::Ready => (Standing::Advisory, broken),
            _ => (self.best.1.standing(), self.best),
        }
    }
}

/// Judges the base and the delta lists of distribution points that are alternatives to each other; `None` without a
/// base. Until when the answer holds is a date in a list.
///
/// One base and one delta that are fetched and valid are enough, and another point that is broken beside them is an
/// advisory: whoever asks that one first waits for it.
pub fn judge_points<'a>(
    check: &dyn Check,
    points: impl Iterator<Item = &'a DistributionPoint> + Clone,
    now: Timestamp,
) -> Option<(Verdict, Option<Timestamp>)> {
    let base = Alternatives::of(points.clone().filter(|point| !point.delta), now)?;
    let delta = Alternatives::of(points.filter(|point| point.delta), now);
    let (mut standing, mut said) = base.worst_to_say();
    let mut changes_at = base.changes_at;
    if let Some(delta) = delta {
        let (delta_standing, delta_said) = delta.worst_to_say();
        if delta_standing > standing {
            (standing, said) = (delta_standing, delta_said);
        }
        changes_at = [changes_at, delta.changes_at].into_iter().flatten().min();
    }
    let (point, state) = said;
    let found = || finding(check, state.words(point), "base and delta lists that can be fetched and have not ended");
    let verdict = match standing {
        Standing::Ready | Standing::NotApplicable => Verdict::Ready,
        Standing::Advisory => Verdict::Advisory(found()),
        Standing::Unknown => Verdict::unknown("the revocation lists", state.words(point)),
        Standing::Blocked => Verdict::Blocked(found()),
    };
    Some((verdict, changes_at))
}

#[cfg(test)]
mod tests {
    use muster_evidence::RevocationList;

    use super::*;
    use crate::check::fixture::controller::{CRL, delta, list, point, unreachable};
    use crate::check::fixture::{at, now, text};

    const DELTA: &str = "http://pki.corp.example/corp-ca+.crl";
    const NEEDED: &str = "(needed: base and delta lists that can be fetched and have not ended)";

    fn judged(points: &[DistributionPoint], now: Timestamp) -> (String, Option<Timestamp>) {
        let check = crate::check_by_id("dc.cert-chain").unwrap(); // any serves: only its remedy is taken
        let (verdict, until) = judge_points(check, points.iter(), now).unwrap();
        (format!("{} {}", verdict.standing(), verdict.text()).trim_end().to_owned(), until)
    }

    fn without_answer(list: Option<RevocationList>) -> DistributionPoint {
        DistributionPoint { fetch: unreachable(), list, ..point(CRL) }
    }

    #[test]
    fn both_sides_of_every_date() {
        let fetched = point(CRL);
        let kept = without_answer(Some(list()));
        let (publish, end) = ("2026-03-03T12:00:00Z", "2026-03-05T12:00:00Z");
        let before = |date: &str| at(date).plus_ms(-1);
        let cases = [
            (&fetched, before(publish), "ready".to_owned(), Some(publish)),
            (
                &fetched,
                at(publish),
                format!(
                    "advisory the revocation list at `{CRL}` is still that of 2026-03-01T12:00:00Z; the next one was due \
                     on {publish} {NEEDED}"
                ),
                Some(end),
            ),
            (&fetched, at(end), format!("blocked the revocation list at `{CRL}` ended on {end} {NEEDED}"), None),
            (
                &kept,
                before(end),
                format!(
                    "advisory the revocation list at `{CRL}` cannot be fetched (no answer within 5 s); the one that was \
                     kept ends on {end} {NEEDED}"
                ),
                Some(end),
            ),
            (
                &kept,
                at(end),
                format!(
                    "blocked the revocation list at `{CRL}` cannot be fetched (no answer within 5 s), and the one that \
                     was kept ended on {end} {NEEDED}"
                ),
                None,
            ),
        ];
        for (point, now, expected, until) in cases {
            let point = std::slice::from_ref(point);
            assert_eq!(judged(point, now), (expected, until.map(at)));
        }
        assert!(judged(&[fetched], before(end)).0.starts_with("advisory"));
    }

    #[test]
    fn what_gives_nothing() {
        let unusable =
            DistributionPoint { fetch: CrlFetch::Unusable { detail: text("not a list") }, list: None, ..point(CRL) };
        let ldap = DistributionPoint {
            fetch: CrlFetch::NotAsked { why: text("ldap is not asked here") },
            list: None,
            ..point("ldap:///CN=Corp CA")
        };
        let untold = DistributionPoint { list: None, ..point(CRL) };
        let cases = [
            (
                without_answer(None),
                format!(
                    "blocked the revocation list at `{CRL}` cannot be fetched (no answer within 5 s), and none was kept \
                     {NEEDED}"
                ),
            ),
            (
                unusable,
                format!("blocked the revocation list at `{CRL}` is unusable (not a list), and none was kept {NEEDED}"),
            ),
            (
                ldap,
                "unknown the revocation lists: `ldap:///CN=Corp CA` was not asked: ldap is not asked here".to_owned(),
            ),
            (untold, format!("unknown the revocation lists: what `{CRL}` gave was not told")),
        ];
        for (point, expected) in cases {
            assert_eq!(judged(&[point], now()), (expected, None));
        }
    }

    #[test]
    fn a_list_without_dates_holds() {
        let endless = |fetch: CrlFetch| DistributionPoint {
            fetch,
            list: Some(RevocationList { next_update: None, next_publish: None, ..list() }),
            ..point(CRL)
        };
        assert_eq!(judged(&[endless(CrlFetch::Fetched)], now()), ("ready".to_owned(), None));
        let (kept, until) = judged(&[endless(unreachable())], now());
        assert!(kept.contains("the one that was kept has no end") && until.is_none(), "{kept}");
    }

    #[test]
    fn one_of_several_points_is_enough_and_a_broken_one_is_remarked_on() {
        let ldap = DistributionPoint {
            fetch: CrlFetch::NotAsked { why: text("ldap is not asked here") },
            list: None,
            ..point("ldap:///CN=Corp CA")
        };
        assert_eq!(judged(&[ldap.clone(), point(CRL)], now()).0, "ready");
        let (text, until) = judged(&[without_answer(None), point("http://b.corp.example/a.crl")], now());
        assert!(
            text.starts_with("advisory the revocation list at `http://pki.corp.example/corp-ca.crl` cannot"),
            "{text}"
        );
        assert_eq!(until, Some(at("2026-03-03T12:00:00Z")));
        // Whether the list can be had over LDAP is open, so this is no failure yet.
        assert!(judged(&[without_answer(None), ldap], now()).0.starts_with("unknown"));
    }

    #[test]
    fn the_delta_is_judged_by_itself() {
        assert_eq!(judged(&[point(CRL), delta(DELTA)], now()).0, "ready");
        let lost = DistributionPoint { fetch: unreachable(), list: None, ..delta(DELTA) };
        assert_eq!(
            judged(&[point(CRL), lost.clone()], now()).0,
            format!(
                "blocked the delta revocation list at `{DELTA}` cannot be fetched (no answer within 5 s), and none was \
                 kept {NEEDED}"
            )
        );
        let short = DistributionPoint {
            list: Some(RevocationList { next_update: Some(at("2026-03-02T13:00:00Z")), next_publish: None, ..list() }),
            ..delta(DELTA)
        };
        assert_eq!(judged(&[point(CRL), short], now()), ("ready".to_owned(), Some(at("2026-03-02T13:00:00Z"))));
        let check = crate::check_by_id("dc.cert-chain").unwrap();
        assert_eq!(judge_points(check, [lost].iter(), now()), None, "a delta alone says nothing");
    }
}
