//! What is written, and when.

use std::sync::LazyLock;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// A record holds the time at which it was due, and which run it belongs to.
pub(super) const LEAST_RECORD: usize = 16;
/// More than any server takes.
pub(super) const LARGEST_RECORD: usize = 64 << 20;
/// Bytes from which values are cut.
const POOL: usize = 1 << 20;
/// Sleeping for less costs more than it saves.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
static RUN: LazyLock<u64> = LazyLock::new(|| rand::rng().random());

/// Values of one size, that compress about as well as text does, each other than the one before.
pub(super) struct Values {
    pool: Vec<u8>,
    value: Vec<u8>,
    at: usize,
}

impl Values {
    pub(super) fn new(size: usize) -> Values {
        let mut random = rand::rng();
        let letters = b"etaoinshrdlu etaoins 0123456789,.\"{}:";
        let pool = (0..POOL + size).map(|_| letters[random.random_range(0..letters.len())]).collect();
        Values { pool, value: vec![0; size], at: random.random_range(0..POOL) }
    }

    /// The next value, marked with this run and the instant at which it was due.
    pub(super) fn next(&mut self, due: Instant) -> &[u8] {
        self.at = (self.at + 4099) % POOL;
        let size = self.value.len();
        self.value.copy_from_slice(&self.pool[self.at..self.at + size]);
        let micros = due.saturating_duration_since(*EPOCH).as_micros() as u64;
        self.value[..8].copy_from_slice(&RUN.to_le_bytes());
        self.value[8..16].copy_from_slice(&micros.to_le_bytes());
        &self.value
    }
}

/// When the record with this value was due, if it is of this run.
pub(super) fn due(value: &[u8]) -> Option<Instant> {
    let (run, rest) = value.split_first_chunk()?;
    let micros = u64::from_le_bytes(*rest.first_chunk()?);
    (u64::from_le_bytes(*run) == *RUN).then(|| *EPOCH + Duration::from_micros(micros))
}

/// Fixes the beginning of times. Before the first record.
pub(super) fn begin() {
    LazyLock::force(&EPOCH);
    LazyLock::force(&RUN);
}

/// Instants at which records are due.
pub(super) struct Pace {
    begin: Instant,
    every: Option<Duration>,
    count: u32,
}

impl Pace {
    /// So many records a second, or as many as can be.
    pub(super) fn new(rate: Option<f64>) -> Pace {
        let every = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Pace { begin: Instant::now(), every, count: 0 }
    }

    /// Waits for the next record's time, and gives it.
    pub(super) async fn next(&mut self) -> Instant {
        let Some(every) = self.every else { return Instant::now() };
        let due = self.begin + every * self.count;
        // Counting on from the last record keeps the product small.
        self.count += 1;
        if self.count == 100_000 {
            (self.begin, self.count) = (self.begin + every * self.count, 0);
        }
        if due.saturating_duration_since(Instant::now()) >= SHORTEST_SLEEP {
            tokio::time::sleep_until(due).await;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_tell_when_they_were_due() {
        begin();
        let now = Instant::now();
        let mut values = Values::new(100);
        let first = values.next(now).to_vec();
        let found = due(&first).unwrap();
        assert!(found <= now && now - found < Duration::from_micros(2));
        assert_ne!(first[16..], values.next(now)[16..]);
        assert_eq!(due(b"something else that is long"), None);
        assert_eq!(due(b"short"), None);
    }
}
