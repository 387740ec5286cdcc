//! The process that dies at a power cut, and the one that looks afterwards: both are this test's own program, started
//! with an argument. What they find they print, one line each.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_collector::store::{Applied, CounterDelta, HostKey, HostUpdate, SledStore, Store, StoreError};
use muster_proto::v1;

/// Writers side by side.
const WRITERS: u64 = 16;
/// Hosts of each writer.
const HOSTS: u64 = 8;
/// The counter that every update raises.
pub(crate) const COUNTER: &str = "updates";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::print_stdout, reason = "how this process speaks to the test")]
fn say(line: &str) {
    println!("{line}");
    // The test must know of it before the next thing happens.
    let _ = std::io::stdout().flush();
}

fn key() -> v1::ObservationKey {
    v1::ObservationKey { kind: 9, subject: Some(v1::observation_key::Subject::Host(v1::HostSubject {})) }
}

/// The body of a revision: its length and content follow from it.
fn body(revision: u64) -> Vec<u8> {
    let length = usize::try_from(100 + revision.wrapping_mul(997) % 12_000).unwrap_or(100);
    let mut body = revision.to_be_bytes().to_vec();
    body.resize(length, u8::try_from(revision % 251).unwrap_or_default());
    body
}

/// Writes to hosts until the end comes from outside, and says what was acknowledged: `ack HOST REVISION`. Where the
/// disk is full it says `full`, and whether reading goes on. `grow` makes new hosts rather than changing old ones.
pub(crate) async fn write(path: &Path, grow: bool) -> Result<(), Failure> {
    let store = Arc::new(SledStore::open(path)?);
    say("open");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mut round = 0;
            loop {
                let name = format!("h{writer}-{}", if grow { round } else { round % HOSTS });
                match one_update(&*store, &name).await {
                    Ok(Some((host, revision))) => say(&format!("ack {host} {revision}")),
                    Ok(None) => say(&format!("conflict {name}")),
                    Err(StoreError::Full { .. }) => {
                        let read = store.page(0, 10).await;
                        say(&match read {
                            Ok(page) if page.items.len() == 10 => "full readable".to_owned(),
                            Ok(page) => format!("full with {} hosts", page.items.len()),
                            Err(error) => format!("full unreadable: {error}"),
                        });
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                    Err(error) => return Err::<(), _>(Failure::from(error)),
                }
                round += 1;
            }
        });
    }
    // None of them ends but by an error.
    match writers.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

async fn one_update(store: &dyn Store, name: &str) -> Result<Option<(u64, u64)>, StoreError> {
    let name = name.parse().map_err(|_| StoreError::Closed { why: "no host name".to_owned() })?;
    let host = store.assign(&HostKey { forest: None, name }).await?;
    let from_revision = store.load(host).await?.map_or(0, |stored| stored.record.revision);
    let revision = from_revision + 1;
    let update = HostUpdate {
        number: host.0,
        from_revision,
        put_bodies: vec![(key(), body(revision))],
        transitions: vec![v1::Transition { at_ms: 1, ..Default::default() }],
        deltas: vec![CounterDelta { counter: COUNTER.to_owned(), by: 1 }],
        ..HostUpdate::default()
    };
    let applied = store.apply(vec![update]).await?;
    Ok(matches!(applied[..], [Applied::Committed { .. }]).then_some((host.0, revision)))
}

/// Says what is there: `host NUMBER REVISION` for each, after checking that everything a change wrote is of the same
/// revision, and `sound` at the end.
pub(crate) async fn read(path: &Path) -> Result<(), Failure> {
    let store = SledStore::open(path)?;
    let (mut after, mut updates) = (0, 0);
    loop {
        let page = store.page(after, 500).await?;
        for host in &page.items {
            let revision = host.record.revision;
            let bodies = store.bodies(host.number).await?;
            if bodies != [(key(), body(revision))] {
                return Err(format!("the body of host {} is not that of revision {revision}", host.number).into());
            }
            let transitions = store.host_transitions(host.number, 10_000).await?.len() as u64;
            if transitions != revision.min(10_000) {
                return Err(format!("host {} has {transitions} transitions at {revision}", host.number).into());
            }
            updates += revision;
            say(&format!("host {} {revision}", host.number.0));
        }
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let counted = store.totals().await?.first().map_or(0, |(_, value)| value.unsigned_abs());
    if counted != updates {
        return Err(format!("the counter says {counted} updates, the hosts {updates}").into());
    }
    let mut last = 0;
    loop {
        let page = store.transitions(last, 10_000).await?;
        last = page.items.last().map_or(last, |transition| transition.number);
        if page.next.is_none() {
            break;
        }
    }
    if last != updates {
        return Err(format!("the last transition is {last} after {updates} updates").into());
    }
    store.close().await?;
    say("sound");
    Ok(())
}
