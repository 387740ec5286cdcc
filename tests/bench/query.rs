//! The row of an operator's question: what one site costs to ask for must not grow with the fleet.

use std::time::Instant;

use muster_proto::v1;
use muster_tests::operator::Operator;

use crate::Bench;
use crate::measure::{Figure, median};
use crate::messages::Fleet;
use crate::reports::Loaded;

/// Hosts of the collector that is compared with.
const FEW_HOSTS: usize = 1_000;

/// Asks both collectors in turn for a site that has as many hosts in either.
pub(crate) async fn run(bench: &Bench, large: &Loaded, at_million: bool) -> Figure {
    let small = Loaded::start(bench, FEW_HOSTS.min(bench.hosts)).await;
    let mut to_large = Operator::connect(large.collector.operators).await;
    let mut to_small = Operator::connect(small.collector.operators).await;
    let (mut ratios, mut of_large, mut of_small) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.passes.max(2) {
        let (at_large, at_small) = (ask(bench, &mut to_large).await, ask(bench, &mut to_small).await);
        ratios.push(at_large / at_small);
        of_large.push(at_large);
        of_small.push(at_small);
    }
    let beside = format!("{:.0} us against {:.0} us", median(&of_large), median(&of_small));
    Figure::of(if at_million { "site-query-million" } else { "site-query" }, &ratios, beside)
}

/// The median time of an answer, in microseconds.
async fn ask(bench: &Bench, operator: &mut Operator) -> f64 {
    let request = v1::GetSiteRequest { forest: String::new(), name: Fleet::site(0) };
    let mut times = Vec::new();
    for _ in 0..bench.questions {
        let asked = Instant::now();
        operator.api.get_site(request.clone()).await.unwrap_or_else(|status| panic!("{status}"));
        times.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    median(&times)
}
