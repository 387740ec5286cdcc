//! What each sample of `dsregcmd /status` reads as.

use std::fmt::{Display, Write as _};
use std::fs;
use std::sync::LazyLock;

use muster_evidence::{
    DeviceAuth, Evidence, JoinState, KeySignTest, Ngc, NgcPrerequisites, Outcome, Prt, RegistrationDiagnostics,
    Tristate,
};
use muster_probe::parse::dsregcmd::{self, Ending, Facts, Status};
use muster_probe::parse::text::{self, CodePage};
use proptest::prelude::*;

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
        match dsregcmd::parse_all(&decoded.text) {
            Ok(outputs) => {
                for (at, status) in outputs.iter().enumerate() {
                    if outputs.len() > 1 {
                        writeln!(dump, "output {}:", at + 1).unwrap();
                    }
                    describe(&mut dump, status);
                }
            }
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
    for (what, outcome) in [
        ("join", &facts.join),
        ("registration", &facts.registration),
        ("prt", &facts.prt),
        ("ngc", &facts.ngc),
        ("prerequisites", &facts.prerequisites),
    ] {
        writeln!(dump, "{what}: {}", outcome_text(outcome)).unwrap();
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Observed(Evidence::JoinState(join)) => join_text(join),
        Outcome::Observed(Evidence::Prt(prt)) => prt_text(prt),
        Outcome::Observed(Evidence::Ngc(ngc)) => ngc_text(ngc),
        Outcome::Observed(Evidence::NgcPrerequisites(prerequisites)) => prerequisites_text(prerequisites),
        Outcome::Observed(Evidence::RegistrationDiagnostics(diagnostics)) => registration_text(diagnostics),
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
    let key = match &join.key_sign_test {
        None => "-".to_owned(),
        Some(KeySignTest::Passed) => "signs".to_owned(),
        Some(KeySignTest::NotElevated) => "not tested".to_owned(),
        Some(KeySignTest::Failed(what)) => format!("failed: {what}"),
    };
    format!(
        "{:?}, domain {}, workplace {}, tenant {}, device {}, tpm {}, auth {auth}, certificate {} from {} to {}, key \
         {key}, recovery {}",
        join.kind(),
        or_dash(join.domain.as_ref().map(|domain| &domain.name)),
        flag(join.workplace_joined),
        or_dash(join.tenant_id),
        or_dash(join.device_id),
        flag(join.tpm_protected),
        join.device_certificate_thumbprint
            .map_or_else(|| "-".to_owned(), |thumbprint| thumbprint.to_string()[..8].to_owned()),
        or_dash(join.device_certificate_not_before),
        or_dash(join.device_certificate_not_after),
        flag(join.recovery),
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
        "{}, key {}, reset {}, default account {} ({}), work accounts {} ({})",
        flag(ngc.set),
        or_dash(ngc.key_id),
        or_dash(ngc.can_reset.map(|reset| format!("{reset:?}"))),
        flag(ngc.wam_default_set),
        or_dash(ngc.wam_default_error.as_ref()),
        flag(ngc.workplace_joined),
        or_dash(ngc.work_accounts),
    )
}

fn registration_text(found: &RegistrationDiagnostics) -> String {
    let tests: Vec<String> = found
        .tests
        .iter()
        .map(|test| match &test.detail {
            Some(detail) => format!("{} {:?} {detail}", test.name, test.result),
            None => format!("{} {:?}", test.name, test.result),
        })
        .collect();
    format!(
        "by {}, previous {} ({}), failed in {} with {} / {} ({}), https {}, request {}; {}",
        or_dash(found.user_context.as_ref()),
        or_dash(found.previous_registration),
        or_dash(found.registration_type.as_ref()),
        or_dash(found.phase.map(muster_evidence::RegistrationPhase::name)),
        or_dash(found.client_error.map(|code| format!("{code:#010x}"))),
        or_dash(found.server_error.as_ref()),
        or_dash(found.server_message.as_ref()),
        or_dash(found.https_status),
        or_dash(found.request_id.as_ref()),
        tests.join(", ")
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
        ("irregular-19-tenant-name-utf16le-unmarked", "Tenant Details", "TenantName", "Grünwald & Söhne"),
        ("irregular-19-tenant-name-utf16be", "Tenant Details", "TenantName", "Grünwald & Söhne"),
        ("build-25h2", "Device State", "Virtual Desktop", "NOT SET"),
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

/// The sample that most others are variants of: the one with a `KeySignTest`, without it.
fn plain() -> Status {
    let with = text::decode(&fixture("dsregcmd/irregular-01-keysigntest-single-colon.txt")).unwrap().text;
    dsregcmd::parse(&with.replace("               KeySignTest : PASSED\n", "")).unwrap()
}

#[test]
fn surroundings_do_not_change_what_is_read() {
    let plain = plain().facts(None);
    for file in [
        "irregular-05-progress-line",
        "irregular-06-closing-borders",
        "irregular-11-narrow-keys",
        "irregular-12-crlf-trailing-blanks",
        "pasted-quoted",
        "pasted-fenced",
        "pasted-indented",
        "pasted-without-indentation",
        "pasted-html-breaks",
        "pasted-html-pre",
        "pasted-odd-blanks",
        "pasted-line-numbers",
        "pasted-machine-prefix",
        "pasted-colon-attached",
        "pasted-bars-lost",
        "pasted-em-dashes",
        "pasted-remote-prompt",
    ] {
        assert_eq!(status(file).facts(None), plain, "{file}");
    }
}

#[test]
fn a_code_page_that_is_told_gives_the_names_and_one_that_is_not_gives_the_facts() {
    for (file, page, name) in [
        ("irregular-19-tenant-name-cyrillic-oem", 866, "Примерные заводы"),
        ("irregular-19-tenant-name-big5", 950, "測試工業"),
    ] {
        let bytes = fixture(&format!("dsregcmd/{file}.txt"));
        let told = text::decode_from(&bytes, CodePage::from_number(page)).unwrap();
        assert!(!told.encoding.replaced && !told.encoding.assumed_code_page, "{file}");
        let told = dsregcmd::parse(&told.text).unwrap();
        assert_eq!(told.value(&["Tenant Details"], "TenantName"), Some(name), "{file}");
        let untold = text::decode(&bytes).unwrap();
        assert!(untold.encoding.replaced, "{file}");
        assert_eq!(dsregcmd::parse(&untold.text).unwrap().facts(None), told.facts(None), "{file}");
    }
}

#[test]
fn every_output_of_a_file_is_given() {
    let outputs = |file: &str| {
        let decoded = text::decode(&fixture(&format!("dsregcmd/{file}.txt"))).unwrap();
        assert!(matches!(
            dsregcmd::parse(&decoded.text),
            Err(dsregcmd::InvalidStatus::SeveralOutputs { found: 2, .. })
        ));
        dsregcmd::parse_all(&decoded.text).unwrap()
    };
    let whole = plain();
    assert_eq!(outputs("several-outputs-two-people")[0], whole);
    let after_a_cut_one = outputs("several-outputs-after-a-cut-one");
    assert_eq!(after_a_cut_one[1], whole);
    assert_eq!(after_a_cut_one[0].ending, Ending::Open);
}

/// The texts of the corpus of captures.
fn captured_texts() -> Vec<(String, Vec<u8>)> {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus");
    let folders = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let texts: Vec<_> = folders
        .map(|folder| folder.join("dsregcmd.txt"))
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    assert!(texts.len() >= 60, "{} texts", texts.len());
    texts
}

#[test]
fn every_captured_text_is_answered_however_short_it_is_cut() {
    for (name, bytes) in captured_texts() {
        let step = (bytes.len() / 24).max(1);
        for end in (0..=bytes.len()).step_by(step) {
            let decoded = text::decode(&bytes[..end]).unwrap();
            let Ok(outputs) = dsregcmd::parse_all(&decoded.text) else { continue };
            for status in outputs {
                let facts = status.facts(None);
                let told = [&facts.prt, &facts.ngc, &facts.prerequisites, &facts.registration];
                let proven = status.ending.is_proven() || status.is_complete("Diagnostic Data");
                assert!(proven || !told.contains(&&Outcome::Absent), "{name} cut at {end}");
            }
        }
    }
}

/// Every sample that is one output: its name, its text, and what it says.
static SAMPLES: LazyLock<Vec<(String, String, Status)>> = LazyLock::new(|| {
    files("fixtures/dsregcmd")
        .into_iter()
        .filter_map(|path| {
            let text = text::decode(&fs::read(&path).unwrap()).unwrap().text;
            let status = dsregcmd::parse(&text).ok()?;
            Some((name(&path), text, status))
        })
        .collect()
});

/// Says what a part of a text claims that the whole does not.
fn claims_too_much(part: &Status, whole: &Status, facts: &Facts) -> Option<String> {
    if part.ending.is_proven() && part.sections.len() != whole.sections.len() {
        return Some(format!("ended by {:?} with {} sections", part.ending, part.sections.len()));
    }
    for (part, whole) in part.sections.iter().zip(&whole.sections) {
        if part.complete && part.title != whole.title {
            return Some(format!("a whole section `{}`", part.title));
        }
        if part.complete && part.fields.len() != whole.fields.len() {
            return Some(format!("section `{}` is whole", part.title));
        }
        for (at, field) in part.fields.iter().enumerate().filter(|(_, field)| !field.cut) {
            if whole.fields.get(at).is_none_or(|same| (&same.key, &same.value) != (&field.key, &field.value)) {
                return Some(format!("`{} : {}`", field.key, field.value));
            }
        }
    }
    let (part, whole) = (part.facts(None), facts);
    // The account stands late in the text, so an early part may not know yet that it was taken by a service.
    let of_user = |facts: &Facts| [facts.prt.clone(), facts.ngc.clone(), facts.prerequisites.clone()];
    let same_context = part.context == whole.context;
    let pairs = of_user(&part).into_iter().zip(of_user(whole)).filter(|_| same_context);
    for (part, whole) in
        pairs.chain([(part.join.clone(), whole.join.clone()), (part.registration.clone(), whole.registration.clone())])
    {
        if matches!(part, Outcome::Absent | Outcome::Unsupported(_)) && part != whole {
            return Some(format!("{}, where it is {}", outcome_text(&part), outcome_text(&whole)));
        }
    }
    match (&part.join, &whole.join) {
        (Outcome::Observed(Evidence::JoinState(part)), Outcome::Observed(Evidence::JoinState(whole))) => {
            let flags = [
                (part.azure_ad_joined, whole.azure_ad_joined),
                (part.enterprise_joined, whole.enterprise_joined),
                (part.domain_joined, whole.domain_joined),
                (part.tpm_protected, whole.tpm_protected),
                (part.recovery, whole.recovery),
            ];
            let wrong = flags.iter().any(|(part, whole)| !matches!(part, Tristate::Undetermined) && part != whole);
            (wrong || part.device_auth != whole.device_auth).then(|| join_text(part))
        }
        _ => None,
    }
}

#[test]
fn a_cut_anywhere_never_makes_a_fact_of_what_is_missing() {
    for (name, text, whole) in SAMPLES.iter() {
        let facts = whole.facts(None);
        // Every line's end and its neighbour, and some places within; of variants of another sample some places only.
        let variant = name.starts_with("pasted") || name.starts_with("irregular-19");
        let stride = if variant { 211 } else { 71 };
        let at_an_end = |at: usize| !variant && text.as_bytes()[at.saturating_sub(1)..=at].contains(&b'\n');
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at) && (at % stride == 0 || at_an_end(*at))) {
            let Ok(part) = dsregcmd::parse(&text[..at]) else { continue };
            if let Some(claim) = claims_too_much(&part, whole, &facts) {
                panic!("{name} cut at {at} claims {claim}:\n{}", &text[..at].lines().last().unwrap_or_default());
            }
        }
    }
}

/// A text that went through something, by the number of what it was.
fn gone_through(text: &str, how: u8, amount: usize) -> String {
    let lines = || text.lines();
    let each = |form: &dyn Fn(usize, &str) -> String| {
        lines().enumerate().map(|(n, line)| form(n, line) + "\n").collect::<String>()
    };
    match how {
        0 => each(&|_, line| format!("{}{line}", " ".repeat(amount))),
        1 => each(&|_, line| format!("{}{line}", "> ".repeat(amount % 4))),
        2 => each(&|_, line| format!("{line}\r")),
        3 => format!("Dear all,\n\n```text\n{}```\n", each(&|_, line| line.to_owned())),
        4 => each(&|n, line| format!("{:>5}: {line}", n + amount)),
        5 => each(&|_, line| format!("{line}{}", " ".repeat(amount))),
        6 => {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            format!("<p>x</p><pre class=\"y\">{escaped}</pre>")
        }
        7 => each(&|_, line| format!("[host{amount}] {line}")),
        _ => text.replace('\n', "\r\n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn surroundings_never_change_the_facts(
        sample in any::<prop::sample::Index>(), how in 0_u8..9, amount in 1_usize..9, wide in any::<bool>(),
    ) {
        let samples: Vec<_> = SAMPLES
            .iter()
            // Those that went through something already, and those with lines that only a carriage return ends.
            .filter(|(name, text, _)| !name.starts_with("pasted") && !text.replace("\r\n", "\n").contains('\r'))
            .collect();
        let (name, text, status) = &samples[sample.index(samples.len())];
        let text = text.replace("\r\n", "\n");
        let through = gone_through(&text, how, amount);
        let read = dsregcmd::parse(&through).map(|status| status.facts(None));
        // A text that ends within a line has its end where the line got one.
        if text.ends_with('\n') {
            prop_assert_eq!(read, Ok(status.facts(None)), "{} by {}", name, how);
        }
        let utf16: Vec<u8> = if wide {
            through.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            through.encode_utf16().flat_map(u16::to_be_bytes).collect()
        };
        if through.chars().take(2).all(|c| c.is_ascii()) {
            prop_assert_eq!(text::decode(&utf16).unwrap().text, through);
        }
    }

    #[test]
    fn two_outputs_are_read_as_each_by_itself(
        first in any::<prop::sample::Index>(), second in any::<prop::sample::Index>(),
    ) {
        let samples: Vec<_> = SAMPLES
            .iter()
            .filter(|(name, text, status)| {
                name.starts_with('0') && text.ends_with('\n') && status.sections[0].title == "Device State"
            })
            .collect();
        let (_, first_text, first) = &samples[first.index(samples.len())];
        let (_, second_text, second) = &samples[second.index(samples.len())];
        let both = dsregcmd::parse_all(&format!("{first_text}{second_text}")).unwrap();
        prop_assert_eq!(&both, &[first.clone(), second.clone()]);
    }
}

#[test]
fn proxy_secrets_are_nowhere() {
    for file in ["proxy-secrets", "proxy-secrets-title-lost"] {
        let status = status(file);
        assert_eq!(status.ending, Ending::Trailer);
        let json = serde_json::to_string(&(&status, status.facts(None))).unwrap();
        assert!(json.contains("Auto-Configuration URL"), "the field itself is kept");
        assert!(!json.contains("hunter2"), "{file}: {json}");
    }
}
