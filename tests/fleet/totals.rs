//! The totals that are kept by adding and subtracting are those that a plain count finds.

use muster_collector::clock::{Clock as _, SystemClock};
use muster_evidence::{Evidence, Kind, ProductType, TpmVersion};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, certificate, system, tpm, user, without_kdc_usage};
use muster_tests::operator::Operator;
use muster_tests::probe::FakeProbe;
use muster_tests::program::{binary, command, run};

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const SITES: [&str; 4] = ["Rotterdam", "Lyon", "Oslo", "Turin"];

/// Some machine in some state: machines change, lose users, and move between sites.
fn machine(numbers: &mut Numbers, now: muster_evidence::Timestamp) -> Machine {
    let site = SITES[usize::try_from(numbers.below(4)).unwrap()];
    if numbers.below(5) == 0 {
        let name = format!("dc{:02}", numbers.below(8));
        let machine = Machine::dc(&name, site, now);
        return match numbers.below(3) {
            0 => machine.with_certificate(without_kdc_usage(certificate(&format!("{name}.corp.example"), now))),
            1 => machine.failing(Kind::CertificateListing),
            _ => machine,
        };
    }
    let name = format!("pc-{:02}", numbers.below(40));
    let sid = user(1 + u32::try_from(numbers.below(25)).unwrap());
    let machine = Machine::endpoint(&name, site, &sid);
    match numbers.below(6) {
        0 => machine.with(Evidence::Tpm(tpm(TpmVersion::V1_2))),
        1 => machine.lacking(Kind::Tpm),
        2 => machine.failing(Kind::JoinState),
        3 => machine.entra_only(),
        4 => machine.with(Evidence::OperatingSystem(system("Windows 10", 10_240, ProductType::Workstation))),
        _ => machine,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_finds_no_difference() {
    let lab = Lab::new();
    let setup =
        Setup::with_sites(&[("Rotterdam", &["dc01.corp.example"], Some(9)), ("Lyon", &["dc02.corp.example"], None)]);
    let served = Served::start(&lab, &setup).await;
    let mut relay = FakeProbe::connect(&lab, served.probes, "relay.corp.example").await;
    let mut numbers = Numbers(20_260_302);
    for _ in 0..400 {
        let now = SystemClock.now();
        let machine = machine(&mut numbers, now);
        relay.report(&machine, now).await.unwrap();
    }
    let mut operator = Operator::connect(served.operators).await;
    let hosts = operator.hosts().await.len();
    assert!(hosts > 40, "{hosts} hosts");

    // While it serves, the store belongs to it alone.
    let config = lab.path("collector.toml");
    let mut recount = command(binary("muster-collector"));
    recount.arg("recount").arg("--config").arg(&config);
    let refused = run(recount).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("is in use by another process"), "{refused:?}");

    served.stop().await;
    let mut recount = command(binary("muster-collector"));
    recount.arg("recount").arg("--config").arg(&config);
    let said = run(recount).await.succeeded();
    assert!(said.contains("no difference") && said.starts_with(&format!("{hosts} hosts")), "{said}");
}
