//! The registry's texts, what they cover, and what is read from them.

use muster_evidence::{
    Evidence, FailureReason, FirmwareType, HelloPolicy, Kind, Outcome, PinComplexity, ProductType, Sid, Subject,
};

use super::*;

const ADA: &str = "S-1-5-21-397955417-626881126-188441444-1104";
const TENANT: &str = "5c6d7e8f-0011-4a2b-8c3d-9e0f1a2b3c4d";

fn reg(body: &str) -> Vec<u8> {
    utf16(&format!("Windows Registry Editor Version 5.00\n\n{body}\n"))
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xFEFF).chain(text.replace('\n', "\r\n").encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn tree(files: &[&[u8]]) -> Tree {
    let mut tree = Tree::default();
    for (number, bytes) in files.iter().enumerate() {
        tree.add(&parse(bytes).unwrap(), None, number).unwrap();
    }
    tree
}

fn outcome(facts: &Facts, kind: Kind) -> Option<&Outcome> {
    facts.found.iter().find(|found| found.key.kind == kind).map(|found| &found.outcome)
}

fn reason(facts: &Facts, kind: Kind) -> FailureReason {
    match outcome(facts, kind) {
        Some(Outcome::Failed(failure)) => failure.reason,
        other => panic!("{kind}: {other:?}"),
    }
}

#[test]
fn every_form_of_a_value() {
    let text = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Corp]\n@=\"de\\\\fault\"\n\"A\"=dword:0000000A\n\"b \\\"q\\\"\"=\"x=y\"\n\
        \"Long\"=hex:01,02,\\\n  03,04,\\\n  05\n\"Expand\"=hex(2):61,00,62,00,00,00\n\"Four\"=hex(4):07,00,00,00\n\
        \"Q\"=hex(b):00,00,00,00,00,00,00,00\n\"Bad\"=dword:xyz\n\"Worse\"=nonsense\n\"Gone\"=-\n; a note\nrubbish\n\
        \"Trailing\\\\\"=\"c:\\\\\"\n\n[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Corp\\Old]\n\"x\"=dword:1\n\n\
        [HKEY_LOCAL_MACHINE\\SOFTWARE\\Corp\\Empty]\n";
    let export = parse(&reg(text)).unwrap();
    assert_eq!(export.unreadable, 1);
    assert_eq!(export.keys.len(), 2);
    let tree = tree(&[&reg(text)]);
    let Look::There(node) = tree.key(r"hkey_local_machine\software\CORP", &mut Vec::new()) else { panic!() };
    for (name, data) in [
        ("", Some(Data::Text("de\\fault".into()))),
        ("a", Some(Data::Dword(10))),
        ("B \"Q\"", Some(Data::Text("x=y".into()))),
        ("Long", Some(Data::Other { kind: 3, bytes: 5 })),
        ("Expand", Some(Data::Text("ab".into()))),
        ("Four", Some(Data::Dword(7))),
        ("Q", Some(Data::Other { kind: 11, bytes: 8 })),
        ("Bad", Some(Data::Unreadable)),
        ("Worse", Some(Data::Unreadable)),
        ("Trailing\\", Some(Data::Text("c:\\".into()))),
        ("Gone", None),
    ] {
        assert_eq!(node.value(name), data.as_ref(), "{name}");
    }
    assert_eq!(tree.subtree(r"HKEY_LOCAL_MACHINE\SOFTWARE\Corp\Old", &mut Vec::new()), Look::Missing);
}

#[test]
fn the_old_format_is_ansi() {
    let text = "REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\A]\r\n\"N\"=\"Gr\u{fc}n\"\r\n\"E\"=hex(2):61,62,00\r\n\r\n";
    let ansi: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let tree = tree(&[&ansi]);
    let Look::There(node) = tree.key(r"HKEY_LOCAL_MACHINE\A", &mut Vec::new()) else { panic!() };
    assert_eq!((node.text("N"), node.text("E")), (Some("Grün"), Some("ab")));
}

#[test]
fn what_a_file_covers() {
    let two = "[HKEY_LOCAL_MACHINE\\A]\n\n[HKEY_LOCAL_MACHINE\\A\\B]\n\n\u{feff}Windows Registry Editor Version 5.00\n\n\
        [HKEY_LOCAL_MACHINE\\C\\D]\n\"x\"=dword:1\n\n[HKEY_LOCAL_MACHINE\\Elsewhere]\n";
    let tree = tree(&[&reg(two)]);
    for (path, is_there, is_missing) in [
        (r"HKEY_LOCAL_MACHINE\A\B", true, false),
        (r"HKEY_LOCAL_MACHINE\a\b\c", false, true),
        (r"HKEY_LOCAL_MACHINE\AB", false, false),
        (r"HKEY_LOCAL_MACHINE\C", false, false),
        (r"HKEY_LOCAL_MACHINE\C\D", true, false),
        (r"HKEY_LOCAL_MACHINE\C\D\E", false, true),
        (r"HKEY_LOCAL_MACHINE\Elsewhere\X", false, true),
        (r"HKEY_LOCAL_MACHINE", false, false),
    ] {
        let look = tree.subtree(path, &mut Vec::new());
        assert_eq!(matches!(look, Look::There(_)), is_there, "{path}: {look:?}");
        assert_eq!(look == Look::Missing, is_missing, "{path}: {look:?}");
    }
}

#[test]
fn an_export_that_ends_early_proves_no_absence() {
    let whole = String::from_utf8(
        b"REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\A]\n\n[HKEY_LOCAL_MACHINE\\A\\B]\n\"x\"=dword:1\n\n[HKEY_LOCAL_MACHINE\\A\\C]\n\"y\"=hex:01,\\\n  02\n\n".to_vec(),
    )
    .unwrap();
    let look = |text: &str, path: &str| match tree(&[text.as_bytes()]).subtree(path, &mut Vec::new()) {
        Look::There(_) => "there",
        Look::Missing => "missing",
        Look::CutOff => "cut off",
        Look::NotCovered => "not covered",
    };
    let (b, c, d) = (r"HKEY_LOCAL_MACHINE\A\B", r"HKEY_LOCAL_MACHINE\A\C", r"HKEY_LOCAL_MACHINE\A\D");
    assert_eq!([look(&whole, b), look(&whole, c), look(&whole, d)], ["there", "there", "missing"]);
    for end in [whole.len() - 4, whole.len() - 8] {
        let cut = &whole[..end];
        assert_eq!([look(cut, b), look(cut, c), look(cut, d)], ["there", "cut off", "cut off"], "{cut}");
    }
}

#[test]
fn queries_cover_what_they_show() {
    let text = "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\r\n    (Standard)    REG_SZ    \r\n\
        \x20   CurrentBuildNumber    REG_SZ    26100\r\n    UBR    REG_DWORD    0x10fd\r\n    A Name    REG_EXPAND_SZ    %x%\r\n\
        \x20   Digital    REG_BINARY    A400\r\n    M    REG_MULTI_SZ    a\\0b\r\n\r\n\
        HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Fonts\r\n";
    let tree = tree(&[text.as_bytes()]);
    let key = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
    let Look::There(node) = tree.key(key, &mut Vec::new()) else { panic!() };
    assert_eq!(
        (node.text("CurrentBuildNumber"), node.dword("ubr"), node.text("a name")),
        (Some("26100"), Some(4349), Some("%x%"))
    );
    assert_eq!(node.value("Digital"), Some(&Data::Other { kind: 3, bytes: 2 }));
    assert_eq!(tree.children(key, &mut Vec::new()), Look::There(vec!["Fonts"]));
    assert_eq!(tree.subtree(&format!(r"{key}\Fonts"), &mut Vec::new()), Look::NotCovered, "only its name was shown");
    assert_eq!(tree.key(&format!(r"{key}\Other"), &mut Vec::new()), Look::NotCovered);
}

#[test]
fn what_is_no_export_is_named() {
    let error = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert!(error(b"ERROR: The system was unable to find the specified registry key").starts_with(
        "the first line is `ERROR: The system was unable to find the` (expected `Windows Registry Editor Version 5.00`"
    ));
    assert!(error(b"").starts_with("the first line is ``"));
    assert!(error(b"REGEDIT4\n\n").starts_with("the export has no key"));
    assert!(error(b"REGEDIT4\n\n[Software]\n").starts_with("the export has no key"));
    assert!(error(&vec![b'x'; MAX_BYTES + 1]).contains("at most 16777216"));
    for (text, path) in [
        ("[HKEY_LOCAL_MACHINE\\SAM\\SAM]\n", r"HKEY_LOCAL_MACHINE\SAM\SAM"),
        ("[HKEY_LOCAL_MACHINE\\SECURITY]\n", r"HKEY_LOCAL_MACHINE\SECURITY"),
        ("[HKEY_CURRENT_USER\\Software\\Microsoft\\SystemCertificates\\MY\\Keys\\00]\n", r"\MY\Keys\00"),
        ("[HKEY_LOCAL_MACHINE\\X\\Winlogon]\n\"DefaultPassword\"=\"hunter2\"\n", r"\Winlogon\DefaultPassword"),
        ("[HKEY_LOCAL_MACHINE\\X\\Admin]\n\"OwnerAuthFull\"=hex:00\n", r"\Admin\OwnerAuthFull"),
    ] {
        let error = error(&reg(text));
        assert!(error.contains(path) && error.contains("is secret") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn current_user_needs_a_name() {
    let export = parse(&reg("[HKEY_CURRENT_USER\\SOFTWARE\\Policies]\n")).unwrap();
    let mut tree = Tree::default();
    assert_eq!(tree.add(&export, None, 0), Err(NobodysHive));
    assert!(tree.is_empty(), "nothing of it is taken under another name");
    let ada: Sid = ADA.parse().unwrap();
    tree.add(&export, Some(&ada), 0).unwrap();
    assert_eq!(tree.users(), std::slice::from_ref(&ada));
    let facts = facts(&tree, &Known::default());
    assert_eq!(facts.found.len(), 1);
    assert_eq!((facts.found[0].key.kind, &facts.found[0].outcome), (Kind::UserPolicy, &Outcome::Absent));
    assert_eq!(facts.found[0].key.subject, Subject::User(ada));
}

const GROUP_POLICY: &str = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft]\n\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\PassportForWork]\n\"Enabled\"=dword:00000001\n\
    \"requiresecuritydevice\"=dword:00000000\n\"UseCertificateForOnPremAuth\"=\"1\"\n\"NewSetting\"=dword:00000005\n\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\PassportForWork\\ExcludeSecurityDevices]\n\"TPM12\"=dword:00000001\n\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\PassportForWork\\PINComplexity]\n\"MinimumPINLength\"=dword:00000006\n\
    \"Digits\"=dword:00000001\n\"Odd\"=\"x\"\n\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\PassportForWork\\Biometrics]\n\"Enabled\"=dword:00000001\n\"UsePassportForWork\"=dword:00000001\n";

#[test]
fn group_policy_of_the_computer() {
    let facts = facts(&tree(&[&reg(GROUP_POLICY)]), &Known::default());
    let Some(Outcome::Observed(Evidence::ComputerPolicy(policy))) = outcome(&facts, Kind::ComputerPolicy) else {
        panic!()
    };
    assert_eq!(
        **policy,
        HelloPolicy {
            enabled: Some(1),
            require_security_device: Some(0),
            exclude_tpm12: Some(1),
            pin: PinComplexity { minimum_length: Some(6), digits: Some(1), ..PinComplexity::default() },
            use_biometrics: Some(1),
            unreadable: vec![muster_evidence::Text::cut("UseCertificateForOnPremAuth")],
            other: ["NewSetting=5", "Biometrics\\UsePassportForWork=1", "PINComplexity\\Odd=x"]
                .map(muster_evidence::Text::cut)
                .to_vec(),
            ..HelloPolicy::default()
        }
    );
    assert_eq!(outcome(&facts, Kind::UserPolicy), None, "no hive of a user was exported");
    assert_eq!(outcome(&facts, Kind::DeviceMdmPolicy), None, "nobody looked there");
    assert_eq!(reason(&facts, Kind::DeviceRegistrationPolicy), FailureReason::Incomplete, "half of it was exported");
}

#[test]
fn mobile_device_management() {
    let other = "11111111-2222-4333-8444-555555555555";
    let text = format!(
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Policies\\PassportForWork]\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Policies\\PassportForWork\\Biometrics]\n\"UseBiometrics\"=dword:00000001\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Policies\\PassportForWork\\{other}\\Device\\Policies]\n\"UsePassportForWork\"=dword:00000000\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Policies\\PassportForWork\\{TENANT}\\Device\\Policies]\n\"UsePassportForWork\"=dword:00000001\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Policies\\PassportForWork\\{TENANT}\\Device\\Policies\\PINComplexity]\n\"History\"=dword:00000003\n\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Policies\\PassportForWork\\{TENANT}\\{ADA}\\Policies]\n\"UsePassportForWork\"=dword:00000000\n"
    );
    let tree = tree(&[&reg(&text)]);
    let ben: Sid = "S-1-5-21-397955417-626881126-188441444-1105".parse().unwrap();
    let known = Known { users: vec![ben.clone()], tenant: TENANT.parse().ok() };
    let facts = facts(&tree, &known);
    let Some(Outcome::Observed(Evidence::DeviceMdmPolicy(policy))) = outcome(&facts, Kind::DeviceMdmPolicy) else {
        panic!()
    };
    assert_eq!((policy.tenant_id, policy.enabled, policy.use_biometrics), (TENANT.parse().ok(), Some(1), Some(1)));
    assert_eq!(policy.pin.history, Some(3));
    assert_eq!(policy.other[0].as_str(), format!("tenant {other}=also configured"));
    let of_users: Vec<_> = facts.found.iter().filter(|found| found.key.kind == Kind::UserMdmPolicy).collect();
    assert_eq!(of_users.len(), 2);
    for found in of_users {
        let is_ben = found.key.subject == Subject::User(ben.clone());
        match &found.outcome {
            Outcome::Absent => assert!(is_ben),
            Outcome::Observed(Evidence::UserMdmPolicy(policy)) => {
                assert_eq!((is_ben, policy.enabled), (false, Some(0)));
            }
            other => panic!("{other:?}"),
        }
    }
    let elsewhere = Known { users: Vec::new(), tenant: "22222222-2222-4333-8444-555555555555".parse().ok() };
    assert_eq!(
        outcome(&super::facts(&tree, &elsewhere), Kind::DeviceMdmPolicy),
        Some(&Outcome::Absent),
        "what another tenant left behind says nothing of this one"
    );
}

#[test]
fn stores_of_trust() {
    let thumbprint = |n: u8| format!("{n:02X}").repeat(20);
    let certificates = |store: &str, numbers: &[u8]| {
        let keys: Vec<String> = numbers
            .iter()
            .map(|n| {
                format!(
                    "[HKEY_LOCAL_MACHINE\\SOFTWARE\\{store}\\Certificates\\{}]\n\"Blob\"=hex:00,\\\n  01\n\n",
                    thumbprint(*n)
                )
            })
            .collect();
        let keys = keys.concat();
        reg(&format!(
            "[HKEY_LOCAL_MACHINE\\SOFTWARE\\{store}]\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\{store}\\Certificates]\n\n{keys}"
        ))
    };
    let files = [
        certificates(r"Microsoft\SystemCertificates\ROOT", &[3, 1]),
        certificates(r"Microsoft\SystemCertificates\AuthRoot", &[4]),
        certificates(r"Microsoft\EnterpriseCertificates\Root", &[1]),
        certificates(r"Policies\Microsoft\SystemCertificates\Root", &[]),
        certificates(r"Microsoft\EnterpriseCertificates\NTAuth", &[7]),
    ];
    let all: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let facts = facts(&tree(&all), &Known::default());
    let Some(Outcome::Observed(Evidence::RootStore(roots))) = outcome(&facts, Kind::RootStore) else { panic!() };
    assert_eq!(roots.thumbprints.iter().map(|t| t.0[0]).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(roots.left_out, 0);
    let Some(Outcome::Observed(Evidence::NtAuthStore(ntauth))) = outcome(&facts, Kind::NtAuthStore) else { panic!() };
    assert_eq!(ntauth.holds(&thumbprint(7).parse().unwrap()), Some(true));
    assert_eq!(ntauth.holds(&thumbprint(8).parse().unwrap()), Some(false));

    let facts = super::facts(&tree(&all[..1]), &Known::default());
    let Some(Outcome::Observed(Evidence::RootStore(roots))) = outcome(&facts, Kind::RootStore) else { panic!() };
    assert_eq!(roots.holds(&thumbprint(9).parse().unwrap()), None, "three parts were not looked at");
    assert_eq!(outcome(&facts, Kind::NtAuthStore), None);

    let listing = format!(
        "\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\EnterpriseCertificates\\NTAuth\\Certificates\\{}\n",
        thumbprint(5)
    );
    let facts = super::facts(&tree(&[listing.as_bytes()]), &Known::default());
    let Some(Outcome::Observed(Evidence::NtAuthStore(ntauth))) = outcome(&facts, Kind::NtAuthStore) else { panic!() };
    assert_eq!((ntauth.thumbprints.len(), ntauth.left_out), (1, 0));

    let empty = reg("[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\EnterpriseCertificates]\n");
    let facts = super::facts(&tree(&[&empty]), &Known::default());
    let Some(Outcome::Observed(Evidence::NtAuthStore(ntauth))) = outcome(&facts, Kind::NtAuthStore) else { panic!() };
    assert_eq!(ntauth.holds(&thumbprint(5).parse().unwrap()), Some(false), "a store without a key is empty");
}

#[test]
fn the_kdc_of_a_controller() {
    let service = reg(
        "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Kdc]\n\"Start\"=dword:00000004\n\"AllowNtAuthPolicyBypass\"=dword:00000002\n",
    );
    let system = reg(
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System]\n\"EnableLUA\"=dword:00000001\n",
    );
    let facts = facts(&tree(&[&service, &system]), &Known::default());
    assert_eq!(facts.kdc_disabled, Some(true));
    let Some(Outcome::Observed(Evidence::KdcPolicy(policy))) = outcome(&facts, Kind::KdcPolicy) else { panic!() };
    assert_eq!((policy.allow_nt_auth_policy_bypass, policy.sam_ngc_key_roca_validation), (Some(2), None));
    assert_eq!(facts.found[0].files, [0, 1]);
    assert_eq!(
        reason(&super::facts(&tree(&[&service]), &Known::default()), Kind::KdcPolicy),
        FailureReason::Incomplete
    );
    assert_eq!(
        outcome(&super::facts(&tree(&[&system]), &Known::default()), Kind::KdcPolicy),
        None,
        "an endpoint's export"
    );
}

#[test]
fn registration_set_on_the_machine() {
    let policy = reg(
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WorkplaceJoin]\n\"BlockAADWorkplaceJoin\"=dword:00000001\n",
    );
    let scp = reg(&format!(
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\CDJ\\AAD]\n\"TenantId\"=\"{TENANT}\"\n\"TenantName\"=\"corp.example\"\n"
    ));
    let facts = facts(&tree(&[&policy, &scp]), &Known::default());
    let Some(Outcome::Observed(Evidence::DeviceRegistrationPolicy(found))) =
        outcome(&facts, Kind::DeviceRegistrationPolicy)
    else {
        panic!()
    };
    assert_eq!((found.block_workplace_join, found.auto_workplace_join), (Some(1), None));
    assert_eq!(
        (found.scp_tenant_id, found.scp_tenant_name.as_ref().unwrap().as_str()),
        (TENANT.parse().ok(), "corp.example")
    );
    let mut tree = tree(&[&policy]);
    tree.add_absent(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\CDJ\", 1);
    let facts = super::facts(&tree, &Known::default());
    let Some(Outcome::Observed(Evidence::DeviceRegistrationPolicy(found))) =
        outcome(&facts, Kind::DeviceRegistrationPolicy)
    else {
        panic!()
    };
    assert_eq!(found.scp_tenant_id, None, "somebody looked, and it is not there");
}

#[test]
fn pins_by_user() {
    let base = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Authentication";
    let text = format!(
        "[{base}]\n\n[{base}\\Credential Providers\\{{D6886603-9D2F-4EB2-B667-1971041FA96B}}]\n\n\
         [{base}\\Credential Providers\\{{D6886603-9D2F-4EB2-B667-1971041FA96B}}\\{ADA}]\n\"LogonCredsAvailable\"=dword:00000001\n\n\
         [{base}\\LogonUI\\NgcPin\\Credentials\\S-1-5-21-1-1-1-1001]\n"
    );
    let ben: Sid = "S-1-5-21-1-1-1-1001".parse().unwrap();
    let facts = facts(&tree(&[&reg(&text)]), &Known { users: vec![ben.clone()], tenant: None });
    let found: Vec<(bool, Option<u32>, Option<bool>)> = facts
        .found
        .iter()
        .filter_map(|found| match &found.outcome {
            Outcome::Observed(Evidence::PinProvider(pin)) => Some((
                found.key.subject == Subject::User(ben.clone()),
                pin.logon_credentials_available,
                pin.convenience_pin,
            )),
            _ => None,
        })
        .collect();
    assert_eq!(found, [(true, None, Some(true)), (false, Some(1), Some(false))]);
}

#[test]
fn the_system_names_itself() {
    let version = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]\n\"ProductName\"=\"Windows 10 Enterprise\"\n\
        \"CurrentBuildNumber\"=\"26100\"\n\"UBR\"=dword:00001a45\n\"DisplayVersion\"=\"24H2\"\n\"ReleaseId\"=\"2009\"\n\"EditionID\"=\"Enterprise\"\n\
        \"InstallationType\"=\"Client\"\n\"CurrentMajorVersionNumber\"=dword:0000000a\n";
    let control = "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control]\n\"PEFirmwareType\"=dword:00000002\n\n\
        [HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\ProductOptions]\n\"ProductType\"=\"LanmanNT\"\n";
    let system = |files: &[&[u8]]| facts(&tree(files), &Known::default()).system.map(|(system, _)| system);
    let found = system(&[&reg(version)]).unwrap();
    assert_eq!(
        (found.name.unwrap().as_str(), found.build, found.revision),
        ("Windows 11 Enterprise", 26100, Some(6725))
    );
    assert_eq!((found.release.unwrap().as_str(), found.edition.unwrap().as_str()), ("24H2", "Enterprise"));
    assert_eq!(
        (found.product_type, found.server_core, found.firmware),
        (Some(ProductType::Workstation), Some(false), None)
    );
    let server = version
        .replace("\"Client\"", "\"Server Core\"")
        .replace("Windows 10", "Windows Server 2016")
        .replace("26100", "14393");
    let found = system(&[&reg(&server)]).unwrap();
    assert_eq!((found.product_type, found.server_core), (None, Some(true)), "a server may be a domain controller");
    let found = system(&[&reg(&server), &reg(control)]).unwrap();
    assert_eq!((found.product_type, found.firmware), (Some(ProductType::DomainController), Some(FirmwareType::Uefi)));
    assert_eq!(system(&[&reg(&version.replace("26100", "new"))]), None);
    assert_eq!(system(&[&reg(control)]), None);
}

#[test]
fn nothing_makes_it_panic() {
    use proptest::prelude::*;
    let line = r#"(\[-?HKEY_(LOCAL_MACHINE|USERS|CURRENT_USER)(\\[A-Za-z]{1,3}){0,3}\]?|"?[a-z\\"]{0,6}"?=(dword:|hex(\([0-9a-f]\))?:|"|-)[0-9a-f,\\ "]{0,12}|    [a-z ]{0,5}    REG_(SZ|DWORD)    \PC{0,6}|\PC{0,8})"#;
    proptest!(ProptestConfig::with_cases(64), |(head in "(Windows Registry Editor Version 5.00|REGEDIT4|HKEY_A)?", lines in proptest::collection::vec(line, 0..24))| {
        let text = format!("{head}\n{}", lines.join("\n"));
        if let Ok(export) = parse(text.as_bytes()) {
            let mut tree = Tree::default();
            let _ = tree.add(&export, None, 0);
            let _ = facts(&tree, &Known::default());
        }
    });
}
