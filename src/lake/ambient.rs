//! Clock, ids and jitter: injected, so that the same input gives the same result (I11) and tests own the time.
//!
//! The only file that may ask the operating system for the time or for random numbers.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// The process's surroundings: what time it is, and where ids come from.
pub struct Ambient {
    clock: Clock,
    random: Mutex<StdRng>,
}

enum Clock {
    System,
    Fast { start_ms: i64, since: Instant, factor: u32 },
    Manual(AtomicI64),
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.clock {
            Clock::System => "Ambient(system)",
            Clock::Fast { .. } => "Ambient(fast)",
            Clock::Manual(_) => "Ambient(manual)",
        })
    }
}

impl Ambient {
    /// The real clock and real randomness.
    pub fn system() -> Self {
        Self { clock: Clock::System, random: Mutex::new(StdRng::from_os_rng()) }
    }

    /// A clock that starts with the real one and runs `factor` times as fast, and real randomness; to watch a month go by.
    pub fn fast(factor: u32) -> Self {
        let clock = Clock::Fast { start_ms: Self::system().now_ms(), since: Instant::now(), factor: factor.max(1) };
        Self { clock, random: Mutex::new(StdRng::from_os_rng()) }
    }

    /// A clock that stands at `now_ms` until it is moved, and ids that follow from `seed`.
    pub fn manual(now_ms: i64, seed: u64) -> Self {
        Self { clock: Clock::Manual(AtomicI64::new(now_ms)), random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// Milliseconds since 1970, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now_ms(&self) -> i64 {
        match &self.clock {
            Clock::System => chrono::Utc::now().timestamp_millis(),
            Clock::Fast { start_ms, since, factor } => {
                let passed = since.elapsed().saturating_mul(*factor).as_millis();
                start_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
            }
            Clock::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Whether the time is a story's, and has nothing to do with that of a store.
    pub fn is_manual(&self) -> bool {
        matches!(self.clock, Clock::Manual(_))
    }

    /// Sleeps until this clock has moved on by `span`. A manual clock is moved by others: it is looked at again soon.
    pub async fn sleep(&self, span: Duration) {
        match &self.clock {
            Clock::System => tokio::time::sleep(span).await,
            Clock::Fast { factor, .. } => tokio::time::sleep(span / *factor).await,
            Clock::Manual(_) => tokio::time::sleep(span.min(Duration::from_millis(1))).await,
        }
    }

    /// Moves a manual clock forward; a system clock is not impressed.
    pub fn advance(&self, by: Duration) {
        if let Clock::Manual(now) = &self.clock {
            now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// A fresh random (version 4) id for file names.
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0u8; 16];
        self.with_random(|random| random.fill(&mut bytes));
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A fresh positive snapshot id.
    pub fn snapshot_id(&self) -> i64 {
        self.with_random(|random| random.random_range(1..i64::MAX))
    }

    /// A duration between half of `base` and `base`, for back-off without a thundering herd.
    pub fn jitter(&self, base: Duration) -> Duration {
        self.with_random(|random| base.mul_f64(random.random_range(0.5..=1.0)))
    }

    fn with_random<T>(&self, use_it: impl FnOnce(&mut StdRng) -> T) -> T {
        use_it(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
