//! What is stored about one person, through the real programs: under which name, shown on request, removed on request.

use std::fs;
use std::path::Path;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_evidence::{Evidence, KeyRegistration, Timestamp, Tristate};
use muster_proto::v1::Acknowledgement;
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, text, user};
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::program::{Done, binary, command, run};
use serde_json::Value;

const NAME: &str = "Ada.Pilot@corp.example";

/// Two people's machine; one of them is named.
fn machine(now: Timestamp) -> Machine {
    let registration = KeyRegistration {
        registered_at: now,
        key_id: None,
        device_id: None,
        public_key_sha256: None,
        attestation: None,
        upn: Some(text(NAME)),
    };
    let other = Machine::endpoint("pc-0417", "Rotterdam", &user(1105));
    let mut machine = Machine::endpoint("pc-0417", "Rotterdam", &user(1104))
        .with_user(&user(1104), Evidence::KeyRegistration(registration));
    let of_other = other.seen.into_iter().filter(|(key, _, _)| key.kind.is_of_user());
    machine.seen.extend(of_other);
    machine
}

async fn muster(collector: &CollectorProgram, arguments: &[&str]) -> Done {
    let mut muster = command(binary("muster"));
    muster.arg("--collector").arg(collector.url()).args(arguments);
    run(muster).await
}

async fn exported(collector: &CollectorProgram, sid: &str) -> Vec<Value> {
    let told = muster(collector, &["user", "export", sid]).await.succeeded();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Whether any file of a folder holds a text.
fn holds(folder: &Path, sought: &str) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, sought);
        }
        let bytes = fs::read(&path).unwrap();
        bytes.windows(sought.len()).any(|window| window.eq_ignore_ascii_case(sought.as_bytes()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_stored_without_a_name_shown_on_request_and_erased() {
    let lab = Lab::new();
    lab.write("names.key", "5a".repeat(32));
    let setup = Setup { end: "\n[names]\nkey = \"names.key\"\n".to_owned(), ..Setup::default() };
    let mut collector = CollectorProgram::start(&lab, &setup).await;
    let mut probe = FakeProbe::connect(&lab, collector.probes, "pc-0417.corp.example").await;
    let now = SystemClock.now();
    let mut machine = machine(now);
    let answer = probe.report(&machine, now).await.unwrap();
    assert_eq!((acknowledged(&answer), answer.refusals.len()), (Acknowledgement::Committed, 0), "{answer:?}");
    // A token that is lost is a change of a verdict.
    for (key, outcome, _) in &mut machine.seen {
        if let muster_evidence::Outcome::Observed(Evidence::Prt(prt)) = outcome
            && key.subject == muster_evidence::Subject::User(user(1104))
        {
            prt.present = Tristate::No;
        }
    }
    probe.report(&machine, SystemClock.now()).await.unwrap();

    let (ada, other) = (user(1104).to_string(), user(1105).to_string());
    let documents = exported(&collector, &ada).await;
    let about = |what: &str| documents.iter().filter(|own| own["about"] == what).count();
    assert!(about("machine") == 1 && about("change") >= 1, "{documents:?}");
    let told = Value::Array(documents).to_string();
    assert!(told.contains("\"upn\":\"hmac-sha256:"), "{told}");
    assert!(!told.to_lowercase().contains("pilot"), "{told}");
    let untouched = exported(&collector, &other).await;
    assert!(!untouched.is_empty());

    let erased = muster(&collector, &["user", "erase", &ada]).await.succeeded();
    assert!(erased.contains("removed from 1 machines") && erased.contains("muster-collector backup"), "{erased}");
    assert_eq!(exported(&collector, &ada).await, Vec::<Value>::new());
    assert_eq!(exported(&collector, &other).await, untouched);
    let unknown = muster(&collector, &["user", &ada]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    let changes = muster(&collector, &["transitions", "--limit", "1000", "--format", "json"]).await.succeeded();
    assert!(!changes.contains(&ada), "{changes}");
    let wrong = muster(&collector, &["user", "erase", "ada"]).await;
    assert!(wrong.code != Some(0) && wrong.stderr.contains("`sid`"), "{wrong:?}");

    assert!(collector.running.terminate().await.success(), "{}", collector.running.log());
    assert!(!collector.running.log().contains(&ada), "who was erased is not written down");
    assert!(!holds(&lab.path(setup.store.to_str().unwrap()), "ada.pilot"), "a name was stored");

    // A key that is none keeps the collector from starting.
    lab.write("names.key", "secret");
    let mut serve = command(binary("muster-collector"));
    serve.arg("serve").arg("--config").arg(setup.write(&lab));
    let refused = run(serve).await;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.code != Some(0) && said.contains("is no key for names"), "{refused:?}");
    assert!(!said.contains("secret"), "{said}");
}
