//! What each sample of `dsregcmd /status` reads as.

use std::fmt::{Display, Write as _};
use std::fs;

use muster_evidence::{DeviceAuth, Evidence, JoinState, Ngc, NgcPrerequisites, Outcome, Prt, Tristate};
use muster_probe::parse::dsregcmd::{self, Ending, Status};
use muster_probe::parse::text;

use crate::{assert_golden, files, fixture, name};

fn status(file: &str) -> Status {
    let decoded = text::decode(&fixture(&format!("dsregcmd/{file}.txt"))).unwrap();
    dsregcmd::parse(&decoded.text).unwrap()
}

#[test]
fn every_sample_reads_as_written_down() {
    let mut dump = String::new();
    for path in files("fixtures/dsregcmd") {
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        writeln!(dump, "== {}", name(&path)).unwrap();
        let decoded = text::decode(&fs::read(&path).unwrap()).unwrap();
        match dsregcmd::parse(&decoded.text) {
            Ok(status) => describe(&mut dump, &status),
            Err(error) => writeln!(dump, "refused: {error}").unwrap(),
        }
        dump.push('\n');
    }
    assert_golden("dsregcmd/readings.golden", &dump);
}

fn describe(dump: &mut String, status: &Status) {
    let facts = status.facts(None);
    let titles: Vec<String> = status
        .sections
        .iter()
        .map(|section| format!("{}{}", section.title, if section.complete { "" } else { " (cut off)" }))
        .collect();
    writeln!(dump, "sections: {}", titles.join(", ")).unwrap();
    let account = facts.account.as_ref().map_or_else(
        || "nobody named".to_owned(),
        |account| format!("{} ({})", account.name, or_dash(account.upn.as_ref())),
    );
    writeln!(dump, "taken: {:?} by {account}, on {}", facts.context, or_dash(facts.device_name.as_ref())).unwrap();
    for (what, outcome) in
        [("join", &facts.join), ("prt", &facts.prt), ("ngc", &facts.ngc), ("prerequisites", &facts.prerequisites)]
    {
        writeln!(dump, "{what}: {}", outcome_text(outcome)).unwrap();
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Observed(Evidence::JoinState(join)) => join_text(join),
        Outcome::Observed(Evidence::Prt(prt)) => prt_text(prt),
        Outcome::Observed(Evidence::Ngc(ngc)) => ngc_text(ngc),
        Outcome::Observed(Evidence::NgcPrerequisites(prerequisites)) => prerequisites_text(prerequisites),
        Outcome::Observed(other) => panic!("unexpected {}", other.kind()),
        Outcome::Absent => "absent".to_owned(),
        Outcome::Unsupported(why) => format!("unsupported: {}", why.detail),
        Outcome::Failed(failure) => format!("{}: {}", failure.reason, failure.detail),
    }
}

fn or_dash<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn flag(value: Tristate) -> &'static str {
    match value {
        Tristate::Yes => "yes",
        Tristate::No => "no",
        Tristate::Undetermined => "undetermined",
        Tristate::NotShown => "-",
    }
}

fn join_text(join: &JoinState) -> String {
    let auth = match &join.device_auth {
        None => "-".to_owned(),
        Some(DeviceAuth::Success) => "success".to_owned(),
        Some(DeviceAuth::DisabledOrDeleted) => "disabled or deleted".to_owned(),
        Some(DeviceAuth::TestFailed(what)) => format!("test failed: {what}"),
    };
    format!(
        "{:?}, domain {}, workplace {}, tenant {}, device {}, tpm {}, auth {auth}, certificate {} to {}",
        join.kind(),
        or_dash(join.domain.as_ref().map(|domain| &domain.name)),
        flag(join.workplace_joined),
        or_dash(join.tenant_id),
        or_dash(join.device_id),
        flag(join.tpm_protected),
        or_dash(join.device_certificate_not_before),
        or_dash(join.device_certificate_not_after),
    )
}

fn prt_text(prt: &Prt) -> String {
    format!(
        "{}, updated {}, expires {}, attempt {} ({}), on-premises ticket {}, cloud ticket {}",
        flag(prt.present),
        or_dash(prt.updated_at),
        or_dash(prt.expires_at),
        or_dash(prt.attempt_status.as_ref()),
        or_dash(prt.server_error.as_ref()),
        flag(prt.on_prem_tgt),
        flag(prt.cloud_tgt),
    )
}

fn ngc_text(ngc: &Ngc) -> String {
    format!(
        "{}, key {}, reset {}, default account {}",
        flag(ngc.set),
        or_dash(ngc.key_id),
        or_dash(ngc.can_reset.map(|reset| format!("{reset:?}"))),
        flag(ngc.wam_default_set),
    )
}

fn prerequisites_text(prerequisites: &NgcPrerequisites) -> String {
    format!(
        "{:?}, error {}, joined {}, user {}, policy {}, post-logon {}, device {}, local {}, certificate {}, \
         on-premises ticket {}",
        prerequisites.result,
        or_dash(prerequisites.error.as_ref()),
        flag(prerequisites.is_device_joined),
        flag(prerequisites.is_user_azure_ad),
        flag(prerequisites.policy_enabled),
        flag(prerequisites.post_logon_enabled),
        flag(prerequisites.device_eligible),
        flag(prerequisites.session_is_not_remote),
        or_dash(prerequisites.cert_enrollment.map(|enrollment| format!("{enrollment:?}"))),
        flag(prerequisites.on_prem_tgt),
    )
}

#[test]
fn raw_values_survive_each_irregularity() {
    for (file, section, key, value) in [
        ("irregular-01-keysigntest-single-colon", "Diagnostic Data", "KeySignTest", "PASSED"),
        ("irregular-01-keysigntest-double-colon", "Diagnostic Data", "KeySignTest", "PASSED"),
        ("irregular-02-empty-values", "Tenant Details", "MdmUrl", ""),
        ("irregular-02-empty-values", "Tenant Details", "MdmTouUrl", ""),
        (
            "irregular-03-wrapped-values",
            "Tenant Details",
            "AuthCodeUrl",
            "https://login.microsoftonline.com/7d0c2f8e-3a41-4c9e-8c50-6e1f2b3a4d5c/oauth2/authorize",
        ),
        (
            "irregular-03-wrapped-values",
            "Device Details",
            "DeviceCertificateValidity",
            "[ 2026-02-01 08:00:00.000 UTC -- 2036-02-01 08:30:00.000 UTC ]",
        ),
        ("irregular-04-duplicate-keys", "User State", "NgcSet", "NO"),
        ("irregular-04-duplicate-keys", "Work Account 1", "NgcSet", "YES"),
        ("irregular-07-onpremtgt-two-spellings", "SSO State", "OnPremTgt", "YES"),
        ("irregular-07-onpremtgt-two-spellings", "Ngc Prerequisite Check", "OnPremTGT", "NO"),
        ("irregular-08-cloudtgt-two-spellings", "SSO State", "CloudTgt", "NO"),
        ("irregular-08-cloudtgt-two-spellings", "Ngc Prerequisite Check", "CloudTGT", "YES"),
        ("irregular-13-unknown-section", "Cloud Trust State", "Some New Key", "value : with colons"),
        ("irregular-15-prt-authority-no", "SSO State", "AzureAdPrtAuthority", "NO"),
        ("irregular-17-odd-capitals", "SSO State", "HTTP status", "200"),
        ("irregular-17-odd-capitals", "Diagnostic Data", "Request Id", "e9f41b07-5c2d-4d18-8aa3-70b6c5e2d914"),
        ("irregular-17-odd-capitals", "Diagnostic Data", "Token acquisition Test", "FAIL [0x801c0021/0x80072ee7]"),
        ("irregular-18-two-work-accounts", "Work Account 1", "KeyProvider", "Microsoft Software Key Storage Provider"),
        ("irregular-18-two-work-accounts", "Work Account 2", "KeyProvider", "Microsoft Platform Crypto Provider"),
        ("irregular-19-tenant-name-oem", "Tenant Details", "TenantName", "Grünwald & Söhne"),
        ("irregular-19-tenant-name-ansi", "Tenant Details", "TenantName", "Grünwald & Söhne"),
        ("irregular-19-tenant-name-utf16", "Tenant Details", "TenantName", "Grünwald & Söhne"),
        ("irregular-19-tenant-name-utf8-bom", "Tenant Details", "TenantName", "Grünwald & Söhne"),
    ] {
        assert_eq!(status(file).section(section).and_then(|section| section.value(key)), Some(value), "{file} {key}");
    }
}

#[test]
fn keys_are_never_folded() {
    let status = status("irregular-07-onpremtgt-two-spellings");
    assert_eq!(status.section("SSO State").unwrap().value("OnPremTGT"), None);
    assert_eq!(status.section("Ngc Prerequisite Check").unwrap().value("OnPremTgt"), None);
    assert!(status.section("device state").is_none());
}

#[test]
fn surroundings_do_not_change_what_is_read() {
    let plain = status("irregular-01-keysigntest-single-colon").facts(None);
    for file in [
        "irregular-05-progress-line",
        "irregular-06-closing-borders",
        "irregular-11-narrow-keys",
        "irregular-12-crlf-trailing-blanks",
        "pasted-quoted",
        "pasted-fenced",
        "pasted-indented",
        "pasted-without-indentation",
    ] {
        assert_eq!(status(file).facts(None), plain, "{file}");
    }
}

#[test]
fn a_cut_anywhere_never_makes_a_fact_of_what_is_missing() {
    let whole = status("02-hybrid-will-provision");
    let text = text::decode(&fixture("dsregcmd/02-hybrid-will-provision.txt")).unwrap().text;
    let facts = whole.facts(None);
    for end in 0..text.len() {
        let Ok(cut) = dsregcmd::parse(&text[..end]) else { continue };
        let cut = cut.facts(None);
        assert_ne!(cut.prerequisites, Outcome::Absent, "cut at {end}");
        // A line cut inside its value can still lose what that line says, but nothing may turn into a NO.
        let flags = |outcome: &Outcome| match outcome {
            Outcome::Observed(Evidence::JoinState(join)) => Some(join.kind()),
            _ => None,
        };
        if let Some(kind) = flags(&cut.join) {
            let undetermined = kind == muster_evidence::JoinKind::Undetermined;
            assert!(undetermined || Some(kind) == flags(&facts.join), "cut at {end}: {kind:?}");
        }
        if let (Outcome::Observed(Evidence::JoinState(cut)), Outcome::Observed(Evidence::JoinState(whole))) =
            (&cut.join, &facts.join)
        {
            let cut_word = matches!(cut.device_auth, Some(DeviceAuth::TestFailed(_)));
            assert!(cut.device_auth == whole.device_auth || cut_word, "cut at {end}: {:?}", cut.device_auth);
        }
        if let Outcome::Observed(Evidence::Prt(prt)) = &cut.prt {
            assert_ne!(prt.present, Tristate::No, "cut at {end}");
            assert_ne!(prt.cloud_tgt, Tristate::NotShown, "cut at {end}");
        }
    }
}

#[test]
fn proxy_secrets_are_nowhere() {
    let status = status("proxy-secrets");
    assert_eq!(status.ending, Ending::Trailer);
    let json = serde_json::to_string(&(&status, status.facts(None))).unwrap();
    assert!(json.contains("Auto-Configuration URL"), "the field itself is kept");
    assert!(!json.contains("hunter2"));
}
