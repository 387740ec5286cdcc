//! `user.upn-drift`: whether the user still has the name under which the key was registered.
//!
//! Names are optional evidence: a probe may keep them, and a collector may replace them by a keyed hash. Then there is
//! nothing to compare, and this check says so.

use muster_evidence::{KeyRegistration, Kind, Sid, Text, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_people, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct UpnDrift;

const AT_REGISTRATION: &str = "the name under which the key was registered";
const IN_DIRECTORY: &str = "the user's name in the directory";

impl Check for UpnDrift {
    fn id(&self) -> &'static str {
        "user.upn-drift"
    }

    fn title(&self) -> &'static str {
        "The user's name is still that of the key's registration"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::KeyRegistration]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A sign-in with Hello asks for a ticket by the user's principal name, which the domain controller \
                      compares with the directory. A user who was renamed or moved to another suffix after enrolling \
                      may be refused.",
            evidence: "The principal name in the newest event 300 of the user, which the probe keeps, against \
                       `userPrincipalName` of the same user as the directory has it now. Names are only reported where \
                       `report_user_names` is on.",
            threshold: "The same, case ignored: ready. Another: advisory. No key registered on the machine: not \
                        applicable. A name that is not reported, or was replaced by a hash: unknown.",
            remedy: "Let the user sign in with the present name; where Hello still fails, remove the container \
                     (`certutil -DeleteHelloContainer`) and enrol again. With an alternate login ID, compare with the \
                     attribute that is synchronised as principal name.",
            source: "Microsoft Learn, Event ID 300 - Windows Hello successfully created; the rule is this product's own",
            query: "muster hosts --check user.upn-drift --standing advisory",
            alert: "Alert when many users reach an advisory of `user.upn-drift` on one day: their suffix was changed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| match look_at!(facts, KeyRegistration, sid) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable("no key registered here"), observation),
            Look::Found(found, observation) => Answer::from(self.of(facts, sid, found), observation),
        })
    }
}

impl UpnDrift {
    fn of(&self, facts: &Facts<'_>, sid: &Sid, registration: &KeyRegistration) -> Verdict {
        let then = match name(registration.upn.as_ref(), AT_REGISTRATION) {
            Ok(name) => name,
            Err(gap) => return gap,
        };
        // A name changes rarely, so that the last reading holds however old it is; `sync.key-state` tells that nobody
        // reads any more.
        if facts.forest.inventory.is_none() {
            return Verdict::unknown(IN_DIRECTORY, "nobody reads the directory of this forest");
        }
        let Some(keys) = facts.forest.keys.get(sid) else {
            return Verdict::unknown(IN_DIRECTORY, "the directory's reader told nothing of this user");
        };
        let today = match name(keys.upn.as_ref(), IN_DIRECTORY) {
            Ok(name) => name,
            Err(gap) => return gap,
        };
        if same(then, today) {
            return Verdict::Ready;
        }
        let seen = format!("registered as `{then}`; the directory has `{today}`");
        Verdict::Advisory(finding(self, seen, "the same name"))
    }
}

/// A name that can be compared; the gap where there is none.
fn name<'a>(reported: Option<&'a Text>, missing: &'static str) -> Result<&'a str, Verdict> {
    match reported.map(Text::as_str) {
        None | Some("") => Err(Verdict::unknown(missing, "it is not reported (`report_user_names` may be off)")),
        // A principal name has a suffix; what a collector puts in its place has none.
        Some(name) if !name.contains('@') => Err(Verdict::unknown(missing, "it was replaced by a hash")),
        Some(name) => Ok(name),
    }
}

/// Whether two names are the same, case ignored.
fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || left.chars().flat_map(char::to_lowercase).eq(right.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, UserKeys};

    use super::*;
    use crate::check::fixture::{Host, ada, now, registration, text};

    fn host(then: Option<&str>, today: Option<&str>) -> Host {
        let registered = KeyRegistration { upn: then.map(text), ..registration(now()) };
        Host::endpoint().user(Evidence::KeyRegistration(registered), Context::Service).inventory(now()).keys(UserKeys {
            sid: ada(),
            keys: Vec::new(),
            undecodable: 0,
            left_out: 0,
            upn: today.map(text),
        })
    }

    #[test]
    fn the_table() {
        let (ada, eda) = (Some("ada@corp.example"), Some("ada@example.com"));
        let hash = Some("h1:6d7573746572");
        let not_reported = "it is not reported (`report_user_names` may be off)";
        let mut nobody = host(ada, ada);
        nobody.forest.inventory = None;
        let mut not_among = host(ada, ada);
        not_among.forest.keys.clear();
        let cases = [
            (host(ada, ada), "ready".to_owned()),
            (host(ada, Some("Ada@CORP.example")), "ready".to_owned()),
            (host(Some("ÄDA@corp.example"), Some("äda@corp.example")), "ready".to_owned()),
            (
                host(ada, eda),
                "advisory: registered as `ada@corp.example`; the directory has `ada@example.com` (needed: the same \
                 name)"
                    .to_owned(),
            ),
            (host(None, eda), format!("unknown: {AT_REGISTRATION}: {not_reported}")),
            (host(ada, None), format!("unknown: {IN_DIRECTORY}: {not_reported}")),
            (host(ada, Some("")), format!("unknown: {IN_DIRECTORY}: {not_reported}")),
            (host(hash, hash), format!("unknown: {AT_REGISTRATION}: it was replaced by a hash")),
            (host(ada, hash), format!("unknown: {IN_DIRECTORY}: it was replaced by a hash")),
            (nobody, format!("unknown: {IN_DIRECTORY}: nobody reads the directory of this forest")),
            (not_among, format!("unknown: {IN_DIRECTORY}: the directory's reader told nothing of this user")),
            (host(ada, ada).inventory(now().plus_days(-30)), "ready".to_owned()),
            (
                host(ada, ada).user_absent(Kind::KeyRegistration, Context::Service),
                "not-applicable: no key registered here".to_owned(),
            ),
            (
                host(ada, ada).user_failed(Kind::KeyRegistration),
                "unknown: the key registration: access denied: not allowed".to_owned(),
            ),
            (Host::linux(), "not-applicable: not a Windows client".to_owned()),
            (Host::dc(), "not-applicable: domain controller".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&UpnDrift, &Policy::default()), [expected]);
        }
    }
}
