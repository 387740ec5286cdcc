//! The numbers of each site, from its snapshot: the same that `ListSites` and `GetSite` answer with.

use muster_evidence::Timestamp;
use muster_readiness::{CHECKS, Rollout, Standing, StandingCounts};

use super::Samples;
use super::observatory::Reading;
use crate::snapshot::{DcSnapshot, SiteSnapshot};

/// Every rollout verdict as labels spell it.
pub(super) const ROLLOUTS: [(Rollout, &str); 4] =
    [(Rollout::Go, "go"), (Rollout::Partly, "partly"), (Rollout::Hold, "hold"), (Rollout::Unknown, "unknown")];

/// How a gate can stand; it always applies.
pub(super) const GATES: [Standing; 4] = [Standing::Ready, Standing::Advisory, Standing::Blocked, Standing::Unknown];

/// Calls `each` with every site that has a name, with its forest and name.
fn each<'a>(reading: &Reading<'a>, mut each: impl FnMut(&'a SiteSnapshot, &'a str, &'a str)) {
    for site in &reading.snapshot.sites {
        if let Some(id) = &site.site {
            each(site, id.forest.as_str(), id.name.as_str());
        }
    }
}

fn one(reading: &Reading<'_>, out: &mut Samples<'_>, of: impl Fn(&SiteSnapshot) -> Option<u64>) {
    each(reading, |site, forest, name| {
        if let Some(count) = of(site) {
            out.count(&[forest, name], count);
        }
    });
}

fn by_standing(reading: &Reading<'_>, out: &mut Samples<'_>, of: impl Fn(&SiteSnapshot) -> &StandingCounts) {
    each(reading, |site, forest, name| {
        for standing in Standing::ALL {
            out.count(&[forest, name, standing.name()], of(site).of(*standing));
        }
    });
}

/// A share; absent where it would be one of nothing.
#[expect(clippy::cast_precision_loss, reason = "no site has 2^52 users")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of the year 9999 are below 2^52")]
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.unix_ms() as f64 / 1_000.0
}

pub(super) fn verdicts(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        for (check, counts) in CHECKS.iter().zip(&site.counts.checks) {
            // Of a check that speaks of nobody there is nothing to count, rather than nought of each verdict.
            if counts.verdicts != StandingCounts::default() {
                for standing in Standing::ALL {
                    out.count(&[forest, name, check.id(), standing.name()], counts.verdicts.of(*standing));
                }
            }
        }
        for judgement in &site.judgements {
            for standing in Standing::ALL {
                let stands = judgement.verdict.standing() == *standing;
                out.count(&[forest, name, &judgement.check, standing.name()], u64::from(stands));
            }
        }
    });
}

pub(super) fn blocked_users(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        let counted = CHECKS.iter().zip(&site.counts.checks);
        for (check, counts) in counted {
            let blockers = || {
                site.reasons
                    .iter()
                    .map(|own| &own.reason)
                    .filter(|reason| reason.check == check.id() && reason.standing == Standing::Blocked)
            };
            if counts.verdicts != StandingCounts::default() || blockers().next().is_some() {
                out.count(&[forest, name, check.id()], blockers().map(|reason| reason.users_affected).sum());
            }
        }
    });
}

pub(super) fn rollout(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        for (rollout, word) in ROLLOUTS {
            out.count(&[forest, name, word], u64::from(site.readiness.rollout == rollout));
        }
    });
}

pub(super) fn rollout_since(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| out.number(&[forest, name], seconds(site.rollout_since)));
}

pub(super) fn gate(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        for standing in GATES {
            out.count(&[forest, name, standing.name()], u64::from(site.readiness.gate.standing == standing));
        }
    });
}

pub(super) fn users(reading: &Reading<'_>, out: &mut Samples<'_>) {
    by_standing(reading, out, |site| &site.readiness.population.users);
}

pub(super) fn users_quiet(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| Some(site.readiness.population.users_quiet));
}

pub(super) fn users_ready(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        let population = &site.readiness.population;
        if let Some(share) = share(population.users_ready, population.users_seen) {
            out.number(&[forest, name], share);
        }
    });
}

pub(super) fn endpoints(reading: &Reading<'_>, out: &mut Samples<'_>) {
    by_standing(reading, out, |site| &site.readiness.population.endpoints);
}

pub(super) fn endpoints_quiet(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| Some(site.readiness.population.endpoints_quiet));
}

pub(super) fn endpoints_fresh(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| Some(site.readiness.coverage.endpoints_fresh));
}

pub(super) fn endpoints_expected(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| site.readiness.coverage.endpoints_expected);
}

pub(super) fn coverage(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        let coverage = &site.readiness.coverage;
        let share = coverage.endpoints_expected.and_then(|expected| share(coverage.endpoints_fresh, expected));
        if let Some(share) = share {
            out.number(&[forest, name], share.min(1.0));
        }
    });
}

pub(super) fn dcs(reading: &Reading<'_>, out: &mut Samples<'_>) {
    by_standing(reading, out, |site| &site.counts.dcs);
}

pub(super) fn dcs_quiet(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| Some(site.counts.dcs_quiet));
}

pub(super) fn dcs_fresh(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| Some(site.readiness.coverage.dcs_fresh));
}

pub(super) fn dcs_expected(reading: &Reading<'_>, out: &mut Samples<'_>) {
    one(reading, out, |site| site.readiness.coverage.dcs_expected);
}

/// The domain controllers to watch at a site: those that the inventory names, and all that ever reported where there is
/// none. One that was demoted would otherwise be told as silent for ever.
fn watched(site: &SiteSnapshot) -> impl Iterator<Item = &DcSnapshot> {
    let inventory = site.readiness.coverage.dcs_expected.is_some();
    site.dc_rows.iter().map(AsRef::as_ref).filter(move |dc| dc.expected || !inventory)
}

pub(super) fn dc_certificate(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        if let Some(earliest) = watched(site).filter_map(|dc| dc.certificate_not_after).min() {
            out.number(&[forest, name], seconds(earliest));
        }
    });
}

pub(super) fn dc_last_report(reading: &Reading<'_>, out: &mut Samples<'_>) {
    each(reading, |site, forest, name| {
        if let Some(oldest) = watched(site).map(|dc| dc.last_seen).min() {
            out.number(&[forest, name], seconds(oldest));
        }
    });
}
