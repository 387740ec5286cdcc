//! How a KDC treats client certificates whose issuer is not in NTAuth (KB5057784), by its build and its registry.
//!
//! The updates of 2025-04-08 brought the check: absent means audited, 0 switches it off, 2 enforces it. Those of 2025-07-08
//! enforce it by default and no longer let it be switched off; those of 2025-10-14 honour the value no more. A key-trust
//! certificate is self-signed, so the builds that apply the check to it too are a matter of the known faults.

use crate::reference::{Condition, KnownBadBuild};

/// First revisions (UBR) of each build with a phase of KB5057784, from Microsoft's release tables.
const PHASES: [Phases; 4] = [
    Phases { build: 14_393, audited: 7_969, enforced_by_default: 8_246, always_enforced: 8_519 },
    Phases { build: 17_763, audited: 7_136, enforced_by_default: 7_558, always_enforced: 7_919 },
    Phases { build: 20_348, audited: 3_453, enforced_by_default: 3_932, always_enforced: 4_294 },
    Phases { build: 26_100, audited: 3_775, enforced_by_default: 4_652, always_enforced: 6_899 },
];

struct Phases {
    build: u32,
    audited: u32,
    enforced_by_default: u32,
    always_enforced: u32,
}

/// What the KDC does about a client certificate whose issuer is not in NTAuth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NtAuthCheck {
    /// It does not look.
    Off,
    /// It logs event 45.
    Audited,
    /// It refuses the sign-in with event 21.
    Enforced,
    /// The value set is none that is documented.
    Undocumented(u32),
}

/// What is in effect on a build with that value of `AllowNtAuthPolicyBypass`; `None` where the value is not there.
///
/// A build that is not among those with known phases is taken to be in the first one, in which the value says it all.
pub fn nt_auth_check(build: u32, revision: u32, value: Option<u32>) -> NtAuthCheck {
    let phases = PHASES.iter().find(|phases| phases.build == build);
    let reached = |first: fn(&Phases) -> u32| phases.is_some_and(|phases| revision >= first(phases));
    if phases.is_some() && !reached(|phases| phases.audited) {
        return NtAuthCheck::Off;
    }
    if reached(|phases| phases.always_enforced) {
        return NtAuthCheck::Enforced;
    }
    match (value, reached(|phases| phases.enforced_by_default)) {
        (Some(2), _) | (None | Some(0), true) => NtAuthCheck::Enforced,
        (Some(1), _) | (None, false) => NtAuthCheck::Audited,
        (Some(0), false) => NtAuthCheck::Off,
        (Some(other), _) => NtAuthCheck::Undocumented(other),
    }
}

/// Whether a fault strikes only where the check is enforced.
pub fn needs_enforcement(row: &KnownBadBuild) -> bool {
    row.condition == Some(Condition::NtAuthEnforced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_means_something_else_in_each_phase() {
        use NtAuthCheck::{Audited, Enforced, Off, Undocumented};
        let values = [None, Some(0), Some(1), Some(2), Some(7)];
        let phases = [
            (20_348, 3_452, [Off; 5]),
            (20_348, 3_453, [Audited, Off, Audited, Enforced, Undocumented(7)]),
            (20_348, 3_931, [Audited, Off, Audited, Enforced, Undocumented(7)]),
            (20_348, 3_932, [Enforced, Enforced, Audited, Enforced, Undocumented(7)]),
            (20_348, 4_293, [Enforced, Enforced, Audited, Enforced, Undocumented(7)]),
            (20_348, 4_294, [Enforced; 5]),
            (14_393, 7_968, [Off; 5]),
            (14_393, 8_518, [Enforced, Enforced, Audited, Enforced, Undocumented(7)]),
            (17_763, 7_135, [Off; 5]),
            (17_763, 7_557, [Audited, Off, Audited, Enforced, Undocumented(7)]),
            (26_100, 3_775, [Audited, Off, Audited, Enforced, Undocumented(7)]),
            (26_100, 6_899, [Enforced; 5]),
            (25_398, 1, [Audited, Off, Audited, Enforced, Undocumented(7)]),
        ];
        for (build, revision, expected) in phases {
            assert_eq!(values.map(|value| nt_auth_check(build, revision, value)), expected, "{build}.{revision}");
        }
    }
}
