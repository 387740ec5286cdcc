//! From the addresses of a host to a connection: IPv4 and IPv6 side by side (RFC 8305, happy eyeballs).
//!
//! The addresses come from the system's resolver, in the order it prefers (RFC 6724). They are put in turn by family and
//! tried one after another, each [`ATTEMPT_DELAY`] after the one before or at once where that one has failed; the first
//! to answer wins, and the others are given up. A family that is a black hole thus costs a quarter of a second, not the
//! time limit.
//!
//! Not hyper-util's connector: it tries the addresses of one family strictly one after another, and its error names one
//! address of all that were tried. Who must find out why nothing answers needs them all.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Time between two attempts (RFC 8305 section 8: 250 milliseconds are recommended).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one host that are tried: more come from no sane name, and each costs the other end a connection.
pub const MOST_ADDRESSES: usize = 16;

/// Says why a host was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("failed to resolve `{host}`")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("`{host}` has no address")]
    NoAddress { host: String },
    #[error("failed to reach `{host}`: {tried}")]
    Reach { host: String, tried: Tried },
}

/// Every address that was tried and what came of it.
#[derive(Debug)]
pub(super) struct Tried(Vec<(SocketAddr, io::Error)>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{address} ({error})")?;
        }
        Ok(())
    }
}

/// Connects to a host. The time limit is that of all attempts together.
pub(super) async fn dial(host: &str, port: u16, limit: Duration) -> Result<(TcpStream, SocketAddr), DialError> {
    let name = || host.to_owned();
    let deadline = Instant::now() + limit;
    let found = tokio::time::timeout_at(deadline, tokio::net::lookup_host((host, port)))
        .await
        .unwrap_or_else(|_| Err(no_answer(limit)))
        .map_err(|source| DialError::Resolve { host: name(), source })?;
    let addresses = in_turn(found.take(MOST_ADDRESSES));
    if addresses.is_empty() {
        return Err(DialError::NoAddress { host: name() });
    }
    let connect = |address| async move {
        let stream = TcpStream::connect(address).await?;
        // Reports are single messages; waiting to fill a segment only delays them.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    first_to_answer(addresses, limit, connect).await.map_err(|tried| DialError::Reach { host: name(), tried })
}

/// The addresses with their families in turn, the system's first choice first (RFC 8305 section 4).
fn in_turn(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<SocketAddr> = addresses.collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::with_capacity(addresses.len());
    loop {
        let (a, b): (Option<SocketAddr>, Option<SocketAddr>) = (first.next(), second.next());
        if a.is_none() && b.is_none() {
            return turns;
        }
        turns.extend(a.into_iter().chain(b));
    }
}

/// Tries addresses, each a little after the one before, until one answers.
async fn first_to_answer<S, C, F>(
    addresses: Vec<SocketAddr>,
    limit: Duration,
    connect: C,
) -> Result<(S, SocketAddr), Tried>
where
    S: Send + 'static,
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let deadline = Instant::now() + limit;
    let mut waiting = addresses.into_iter();
    // Those still under way are given up when the set is dropped.
    let mut attempts = JoinSet::new();
    let mut under_way: Vec<SocketAddr> = Vec::new();
    let mut tried = Vec::new();
    let mut next_at = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next_at || attempts.is_empty() {
            match waiting.next() {
                Some(address) => {
                    let attempt = connect(address);
                    under_way.push(address);
                    attempts.spawn(async move { (address, attempt.await) });
                    next_at = now + ATTEMPT_DELAY;
                }
                None if attempts.is_empty() => return Err(Tried(tried)),
                None => next_at = deadline + ATTEMPT_DELAY,
            }
            continue;
        }
        tokio::select! {
            Some(joined) = attempts.join_next() => match joined {
                Ok((address, Ok(stream))) => return Ok((stream, address)),
                Ok((address, Err(error))) => {
                    under_way.retain(|own| *own != address);
                    tried.push((address, error));
                    next_at = Instant::now();
                }
                // Connecting does not panic, and nobody but this function ends it.
                Err(_) => {}
            },
            () = tokio::time::sleep_until(next_at.min(deadline)) => {
                if Instant::now() >= deadline {
                    tried.extend(under_way.into_iter().map(|address| (address, no_answer(limit))));
                    tried.extend(waiting.map(|address| (address, io::Error::other("no time was left to try it"))));
                    return Err(Tried(tried));
                }
            }
        }
    }
}

/// The error of a step that took too long.
pub(super) fn no_answer(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", limit.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_and_the_systems_choice_goes_first() {
        let all = ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "192.0.2.1:1", "192.0.2.2:1"];
        let found: Vec<String> =
            in_turn(all.iter().map(|text| address(text))).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1", "[2001:db8::3]:1"]);
        let found: Vec<String> =
            in_turn(all.iter().rev().map(|text| address(text))).iter().map(ToString::to_string).collect();
        assert_eq!(found[..2], ["192.0.2.2:1", "[2001:db8::3]:1"]);
        assert!(in_turn(std::iter::empty()).is_empty());
    }

    #[tokio::test]
    async fn a_family_that_is_a_black_hole_does_not_cost_the_time_limit() {
        let started = Instant::now();
        let connect = |to: SocketAddr| async move {
            if to.is_ipv6() {
                std::future::pending::<()>().await;
            }
            Ok(to)
        };
        let addresses = vec![address("[2001:db8::1]:1"), address("192.0.2.1:1")];
        let (_, won) = first_to_answer(addresses, Duration::from_secs(30), connect).await.unwrap();
        assert_eq!(won, address("192.0.2.1:1"));
        // Far from the limit, on however slow a machine.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn one_that_refuses_is_passed_over_at_once() {
        let started = Instant::now();
        let connect =
            |to: SocketAddr| async move { if to.is_ipv6() { Err(io::Error::other("refused")) } else { Ok(to) } };
        let addresses = vec![address("[2001:db8::1]:1"), address("192.0.2.1:1")];
        let (_, won) = first_to_answer(addresses, Duration::from_secs(30), connect).await.unwrap();
        assert_eq!(won, address("192.0.2.1:1"));
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn where_nothing_answers_every_address_is_named_when_the_time_is_up() {
        let started = Instant::now();
        let connect = |to: SocketAddr| async move {
            if to.is_ipv4() {
                return Err(io::Error::other("refused"));
            }
            std::future::pending::<()>().await;
            Ok(())
        };
        let addresses = vec![address("[2001:db8::1]:1"), address("192.0.2.1:1")];
        let tried = first_to_answer(addresses, Duration::from_millis(700), connect).await.unwrap_err();
        assert_eq!(tried.to_string(), "192.0.2.1:1 (refused), [2001:db8::1]:1 (no answer within 700 ms)");
        assert!(started.elapsed() >= Duration::from_millis(700), "the black hole had its time");
    }
}
