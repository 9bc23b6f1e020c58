//! Waiting between attempts: `commit.retry.*`, with jitter, within a total time.

use std::collections::HashMap;
use std::time::Duration;

use crate::lake::Ambient;

/// Iceberg's defaults: 4 retries, 100 ms to 1 minute apart, half an hour altogether.
const RETRIES: u64 = 4;
const MIN_WAIT_MS: u64 = 100;
const MAX_WAIT_MS: u64 = 60_000;
const TOTAL_MS: u64 = 1_800_000;

/// How often and how long a commit is tried again.
#[derive(Debug)]
pub struct Retry {
    left: u64,
    next: Duration,
    longest: Duration,
    total: Duration,
}

impl Retry {
    /// The table's own wishes.
    pub fn from_properties(properties: &HashMap<String, String>) -> Self {
        let number = |key: &str, default: u64| {
            properties.get(&format!("commit.retry.{key}")).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        Self {
            left: number("num-retries", RETRIES),
            next: Duration::from_millis(number("min-wait-ms", MIN_WAIT_MS)),
            longest: Duration::from_millis(number("max-wait-ms", MAX_WAIT_MS)),
            total: Duration::from_millis(number("total-timeout-ms", TOTAL_MS)),
        }
    }

    /// Waits for the next attempt; `false` when there is none left.
    pub async fn wait(&mut self, ambient: &Ambient) -> bool {
        let pause = ambient.jitter(self.next.min(self.longest));
        let Some(total) = self.total.checked_sub(pause) else { return false };
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.total = total;
        self.next = self.next.saturating_mul(2);
        tokio::time::sleep(pause).await;
        true
    }
}
