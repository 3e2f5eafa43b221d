//! Failed attempts: each address waits longer with every one, and fills no log.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// The wait after the first failure; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(25);
const WAIT_MAX: Duration = Duration::from_millis(500);
/// How many wait at once: a wait holds a connection.
const WAITING_MAX: usize = 64;
/// After so long without a failure an address begins anew, and it is logged no more often than that.
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 1024;

/// What is remembered of an address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    logged: Option<Instant>,
    unlogged: u64,
}

/// The failures of all addresses.
#[derive(Debug)]
pub(super) struct Attempts {
    addresses: Mutex<HashMap<IpAddr, Failures>>,
    waiting: Semaphore,
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts {
            addresses: Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }
}

impl Attempts {
    /// Counts a failure, and waits as long as this address has earned. False: there are too many that wait.
    pub(super) async fn failed(&self, address: IpAddr) -> bool {
        let (wait, told) = self.count(address, Instant::now());
        if let Some(failures) = told {
            tracing::warn!(%address, failures, "a token or a login was refused: unknown, expired, used or revoked");
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return false;
        };
        sleep(wait).await;
        true
    }

    /// How long to wait, and how many failures to log, if they are to be logged now.
    fn count(&self, address: IpAddr, now: Instant) -> (Duration, Option<u64>) {
        let mut addresses = match self.addresses.lock() {
            Ok(addresses) => addresses,
            // Whoever panicked left numbers.
            Err(poisoned) => poisoned.into_inner(),
        };
        let network = network(address);
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&network) {
            let oldest = addresses.iter().min_by_key(|(_, failures)| failures.last);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                addresses.remove(&oldest);
            }
        }
        let failures = addresses.entry(network).or_insert(Failures {
            count: 0,
            last: now,
            logged: None,
            unlogged: 0,
        });
        if now - failures.last > MINUTE {
            failures.count = 0;
        }
        let wait = WAIT_MIN.saturating_mul(1 << failures.count.min(16));
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        failures.unlogged += 1;
        let due = failures.logged.is_none_or(|at| now - at >= MINUTE);
        let told = due.then(|| {
            failures.logged = Some(now);
            std::mem::take(&mut failures.unlogged)
        });
        (wait.min(WAIT_MAX), told)
    }
}

/// An address as it is counted: whoever has one of IPv6 has all of its last 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_longer_each_time_and_is_logged_once_a_minute() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(attempts.count(address, now), (WAIT_MIN, Some(1)));
        assert_eq!(attempts.count(address, now), (WAIT_MIN * 2, None));
        for _ in 0..40 {
            attempts.count(address, now);
        }
        let later = now + Duration::from_secs(59);
        assert_eq!(attempts.count(address, later), (WAIT_MAX, None));
        let (_, told) = attempts.count(address, now + MINUTE);
        assert_eq!(told, Some(43));
        let quiet = now + MINUTE * 3;
        assert_eq!(attempts.count(address, quiet).0, WAIT_MIN);
    }

    #[test]
    fn another_address_is_another_and_the_table_stays_small() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let same: IpAddr = "2001:db8::ffff".parse().unwrap();
        attempts.count(six, now);
        assert_eq!(attempts.count(same, now).0, WAIT_MIN * 2);
        for n in 0..3000_u32 {
            let later = now + Duration::from_millis(u64::from(n) + 1);
            let other = IpAddr::from(std::net::Ipv4Addr::from(n));
            assert_eq!(attempts.count(other, later).0, WAIT_MIN);
        }
        assert_eq!(attempts.addresses.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
