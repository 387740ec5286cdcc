//! `sync.key-state`: whether the user's key has reached the directory.
//!
//! The states themselves are derived in `crate::derive::key_state`; this file gives them their gravity.

use muster_evidence::{Kind, Timestamp};

use crate::check::answer::{Answer, finding, judge_people};
use crate::check::{Page, Scope, Severity};
use crate::derive::key_state::{KeyStanding, KeyState, key_state};
use crate::{Check, Facts, Freshness, Judgement, Policy, TrustType, Verdict};

pub(in crate::check) struct KeySyncState;

impl Check for KeySyncState {
    fn id(&self) -> &'static str {
        "sync.key-state"
    }

    fn title(&self) -> &'static str {
        "The user's Hello key has reached the directory"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    /// What makes it stale is the reading of the directory. The user's half ages with the user's other checks, which
    /// rest on the same sign-ins.
    fn freshness(&self) -> Freshness {
        Freshness::Directory
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::KeyRegistration, Kind::Ngc, Kind::JoinState]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "After enrolment the key lies in Entra ID. Only when Entra Connect has written it to the user's \
                      object, and the domain controllers of the site hold it, does a sign-in with it work on a hybrid \
                      machine; until then Windows says that the option is temporarily unavailable.",
            evidence: "The registration (event 300) and `NgcSet` at the endpoint; the user's `msDS-KeyCredentialLink` \
                       as the directory role reads it. A key is matched by device, kind, origin and time of creation, \
                       or by the hash of its public key; a key of the device whose registration was not reported may \
                       be left over from an earlier enrolment, so that alone is unknown. The directory must have been \
                       read completely and lately (`directory_fresh_minutes`), with a key seen that is known to be \
                       there; else a missing key is unknown.",
            threshold: "Found: ready. Missing until the deadline, which is the registration plus twice the \
                        synchronisation interval plus one cycle plus replication (30, 10 and 15 minutes by default, \
                        together 85): advisory, pending. Then advisory, overdue, for twice the interval more; then \
                        blocked. Not set up here: not applicable.",
            remedy: "Wait until the deadline. When it has passed, look at Entra Connect: scheduler enabled and not \
                     suspended, not in staging mode, directory schema refreshed, and the connector account allowed to \
                     write `msDS-KeyCredentialLink` (member of Key Admins).",
            source: "Microsoft Learn, hybrid key trust: configure directory synchronization; Entra Connect Sync \
                     scheduler",
            query: "muster hosts --check sync.key-state --standing blocked",
            alert: "Alert when more than a few users become blocked by `sync.key-state` within an hour: the \
                    synchronisation has stopped.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        let trust = policy.for_site_or_everywhere(facts.site.site.as_ref()).expected_trust;
        judge_people(self, facts, |sid| {
            if trust != TrustType::KeyTrust {
                return Answer::bare(Verdict::not_applicable(format!("other trust: {}", trust.name())));
            }
            let KeyStanding { state, valid_until, evidence_at } = key_state(facts, sid, policy, now);
            Answer { verdict: self.of(state), valid_until, evidence_at }
        })
    }
}

impl KeySyncState {
    fn of(&self, state: KeyState) -> Verdict {
        match state {
            KeyState::Synced { .. } => Verdict::Ready,
            KeyState::NotStarted => Verdict::not_applicable("not started"),
            KeyState::Removed => Verdict::not_applicable("removed"),
            KeyState::Unknown(gap) => Verdict::Unknown(gap),
            KeyState::Pending { registered_at, deadline } => Verdict::Advisory(finding(
                self,
                format!("pending: the key registered at {registered_at} is not in the directory yet"),
                format!("in the directory by {deadline}"),
            )),
            KeyState::Overdue { registered_at, deadline, blocks_at, blocks } => {
                let finding = finding(
                    self,
                    format!("overdue: the key registered at {registered_at} is not in the directory"),
                    format!("in the directory by {deadline} (blocks from {blocks_at})"),
                );
                if blocks { Verdict::Blocked(finding) } else { Verdict::Advisory(finding) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_evidence::{Context, Evidence, Tristate};

    use super::*;
    use crate::SiteOverride;
    use crate::check::fixture::{Host, at, ngc, registration};

    #[test]
    fn the_table() {
        let registered = |as_of: &str, now: &str| {
            Host::endpoint()
                .user(Evidence::Ngc(ngc(Tristate::Yes)), Context::UserSession)
                .user(Evidence::KeyRegistration(registration(at("2026-03-02T08:00:00Z"))), Context::Service)
                .inventory(at(as_of))
                .at(at(now))
        };
        let removed = Host::endpoint()
            .user(Evidence::Ngc(ngc(Tristate::No)), Context::UserSession)
            .user(Evidence::KeyRegistration(registration(at("2026-03-02T08:00:00Z"))), Context::Service);
        let cases = [
            (Host::provisioned(), "ready"),
            (
                registered("2026-03-02T09:00:00Z", "2026-03-02T09:24:59Z"),
                "advisory: pending: the key registered at 2026-03-02T08:00:00Z is not in the directory yet (needed: in \
                 the directory by 2026-03-02T09:25:00Z)",
            ),
            (
                registered("2026-03-02T09:25:00Z", "2026-03-02T09:25:00Z"),
                "advisory: overdue: the key registered at 2026-03-02T08:00:00Z is not in the directory (needed: in the \
                 directory by 2026-03-02T09:25:00Z (blocks from 2026-03-02T10:25:00Z))",
            ),
            (
                registered("2026-03-02T10:25:00Z", "2026-03-02T10:25:00Z"),
                "blocked: overdue: the key registered at 2026-03-02T08:00:00Z is not in the directory (needed: in the \
                 directory by 2026-03-02T09:25:00Z (blocks from 2026-03-02T10:25:00Z))",
            ),
            (
                registered("2026-03-02T09:00:00Z", "2026-03-02T12:00:00Z"),
                "unknown: the keys in the directory: the directory was last read at 2026-03-02T09:00:00Z, which is too \
                 long ago",
            ),
            (
                Host::endpoint().user(Evidence::Ngc(ngc(Tristate::No)), Context::UserSession),
                "not-applicable: not started",
            ),
            (removed, "not-applicable: removed"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&KeySyncState, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn a_site_with_another_trust_needs_no_key() {
        let other = SiteOverride { expected_trust: Some(TrustType::CloudKerberosTrust), ..SiteOverride::default() };
        let policy = Policy { sites: BTreeMap::from([("Berlin".to_owned(), other)]), ..Policy::default() };
        assert_eq!(
            Host::provisioned().judge(&KeySyncState, &policy),
            ["not-applicable: other trust: cloud Kerberos trust"]
        );
    }
}
