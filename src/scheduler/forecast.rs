//! What the fleet will need: from measured figures to hours, workers, bytes and money. Every number is one line of
//! arithmetic, so that it can be followed and doubted.

use serde::Serialize;

use crate::model::TableSummary;

const DAY_MS: f64 = 86_400_000.0;
const GIB: f64 = 1_073_741_824.0;
/// Growth is not measured over less than this: an hour's burst says nothing about a year.
const LEAST_HISTORY_MS: u64 = 24 * 3_600_000;

/// A class of storage in a forecast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TierPrice {
    /// Its name.
    pub name: String,
    /// Data from this age on belongs here, in days.
    pub from_days: f64,
    /// A GiB for a month, in dollars.
    pub gib_month: f64,
}

/// What is assumed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumptions {
    /// Times today's data and growth.
    pub scale: f64,
    /// How far ahead, in days.
    pub days: f64,
    /// Bytes that one worker reads and rewrites in a second.
    pub bytes_per_second: f64,
    /// Hours in a week in which maintenance may run.
    pub window_hours: f64,
    /// Tiers, hottest first.
    pub tiers: Vec<TierPrice>,
    /// Looks at the whole fleet in a day.
    pub looks_per_day: f64,
}

/// Bytes and cost in one tier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TierForecast {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: f64,
    /// Dollars a month.
    pub dollars: f64,
}

/// How fast one table grows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// The table.
    pub table: String,
    /// Bytes now.
    pub bytes: u64,
    /// Bytes that writers add in a day, as retained snapshots tell.
    pub bytes_per_day: f64,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Tables.
    pub tables: u64,
    /// Tables whose retained snapshots span less than a day: their growth counts as none.
    pub without_history: u64,
    /// Bytes now.
    pub bytes_now: f64,
    /// Growth in a day now.
    pub growth_now: f64,
    /// Bytes then.
    pub bytes_then: f64,
    /// Growth in a day then.
    pub growth_then: f64,
    /// Bytes that rewrites write for each byte that writers add.
    pub rewrite_ratio: f64,
    /// Hours that one worker rewrites in a week then.
    pub compaction_hours: f64,
    /// Workers that fit these hours into the window.
    pub workers: u64,
    /// Storage then, with data in the tier of its age.
    pub tiered: Vec<TierForecast>,
    /// Dollars a month then, with tiers.
    pub dollars_tiered: f64,
    /// Dollars a month then, all of it hot.
    pub dollars_hot: f64,
    /// Metadata bytes then.
    pub metadata_bytes: f64,
    /// Requests to the catalog in a day then: reads of the looks, and two for each commit.
    pub catalog_requests: f64,
    /// The tables that grow fastest.
    pub fastest: Vec<Growth>,
}

/// Computes a forecast.
pub fn forecast(tables: &[TableSummary], with: &Assumptions) -> Forecast {
    let has_history = |table: &&TableSummary| table.history_ms >= LEAST_HISTORY_MS;
    let per_day = |table: &TableSummary, amount: u64| amount as f64 / (table.history_ms as f64 / DAY_MS);
    let growing = || tables.iter().filter(has_history);
    let bytes_now: f64 = tables.iter().map(|table| table.total_bytes() as f64).sum();
    let growth_now: f64 = growing().map(|table| per_day(table, table.bytes_added)).sum();
    let commits_now: f64 = growing().map(|table| per_day(table, table.snapshots)).sum();
    let (added, rewritten) = tables.iter().fold((0.0, 0.0), |(added, rewritten), table| {
        (added + table.bytes_added as f64, rewritten + table.bytes_rewritten as f64)
    });
    // Nothing measured yet: each byte is rewritten once.
    let rewrite_ratio = if rewritten > 0.0 && added > 0.0 { rewritten / added } else { 1.0 };
    let growth_then = growth_now * with.scale;
    let bytes_then = bytes_now * with.scale + growth_then * with.days;
    let compaction_hours = growth_then * 7.0 * rewrite_ratio / with.bytes_per_second.max(1.0) / 3600.0;
    let workers = (compaction_hours / with.window_hours.max(0.01)).ceil().max(1.0);
    let tiered = spread(bytes_then, growth_then, &with.tiers);
    let hot = with.tiers.first().map_or(0.0, |tier| tier.gib_month);
    let mut fastest: Vec<Growth> = growing()
        .map(|table| Growth {
            table: table.table.to_string(),
            bytes: table.total_bytes(),
            bytes_per_day: per_day(table, table.bytes_added),
        })
        .collect();
    fastest.sort_by(|a, b| b.bytes_per_day.total_cmp(&a.bytes_per_day).then_with(|| a.table.cmp(&b.table)));
    fastest.truncate(10);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, and capped by the cast")]
    let workers = workers as u64;
    Forecast {
        tables: tables.len() as u64,
        without_history: tables.len() as u64 - growing().count() as u64,
        bytes_now,
        growth_now,
        bytes_then,
        growth_then,
        rewrite_ratio,
        compaction_hours,
        workers,
        dollars_tiered: tiered.iter().map(|tier| tier.dollars).sum(),
        tiered,
        dollars_hot: bytes_then / GIB * hot,
        metadata_bytes: tables.iter().map(|table| table.metadata_bytes as f64).sum::<f64>() * with.scale,
        catalog_requests: with.looks_per_day * tables.len() as f64 + commits_now * with.scale * 2.0,
        fastest,
    }
}

/// Data by age: what was added in the last days of each tier's span, at today's growth; what is older than growth
/// explains is in the coldest tier.
fn spread(bytes: f64, growth: f64, tiers: &[TierPrice]) -> Vec<TierForecast> {
    let mut left = bytes;
    let mut result = Vec::new();
    for (index, tier) in tiers.iter().enumerate() {
        let until = tiers.get(index + 1).map(|next| next.from_days);
        let here = match until {
            Some(until) if growth > 0.0 => left.min(growth * (until - tier.from_days)),
            // Without growth nothing says how old data is: it stays where new data goes.
            Some(_) => left,
            None => left,
        };
        left -= here;
        result.push(TierForecast { name: tier.name.clone(), bytes: here, dollars: here / GIB * tier.gib_month });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::simulation::summary;

    /// 1 TiB that grows by 3 GiB a day, ten times as large: the capacity table of the documentation.
    #[test]
    fn should_follow_from_its_arithmetic() {
        let gib = |n: f64| n * GIB;
        let mut table = summary("db.t", 1024 << 30);
        (table.bytes_added, table.bytes_rewritten, table.history_ms) = (30 << 30, 33 << 30, 10 * 86_400_000);
        let tier = |name: &str, from_days: f64, gib_month: f64| TierPrice { name: name.into(), from_days, gib_month };
        let with = Assumptions {
            scale: 10.0,
            days: 0.0,
            bytes_per_second: 100.0 * 1_048_576.0,
            window_hours: 4.0,
            tiers: vec![tier("hot", 0.0, 0.023), tier("warm", 90.0, 0.0125), tier("cold", 365.0, 0.004)],
            looks_per_day: 96.0,
        };
        let seen = forecast(&[table], &with);
        let close = |a: f64, b: f64| assert!((a - b).abs() <= b.abs() * 1e-9, "{a} is not {b}");
        close(seen.growth_then, gib(30.0));
        close(seen.rewrite_ratio, 1.1);
        // 30 GiB × 7 × 1.1 ÷ 100 MiB/s = 2,365.44 s.
        close(seen.compaction_hours, 30.0 * 1024.0 * 7.0 * 1.1 / 100.0 / 3600.0);
        assert_eq!(seen.workers, 1);
        // 90 days × 30 GiB hot, the next 275 days would be 8,250 GiB: all the rest is warm.
        close(seen.tiered[0].bytes, gib(2700.0));
        close(seen.tiered[1].bytes, gib(7540.0));
        close(seen.tiered[2].bytes + 1.0, 1.0);
        close(seen.dollars_hot, 10_240.0 * 0.023);
        close(seen.dollars_tiered, 2700.0 * 0.023 + 7540.0 * 0.0125);
    }

    #[test]
    fn should_not_mistake_a_burst_for_growth() {
        let mut table = summary("db.t", 1 << 30);
        (table.bytes_added, table.history_ms) = (1 << 30, 60_000);
        let with = Assumptions {
            scale: 1.0,
            days: 365.0,
            bytes_per_second: 1e8,
            window_hours: 1.0,
            tiers: Vec::new(),
            looks_per_day: 1.0,
        };
        let seen = forecast(&[table], &with);
        assert_eq!((seen.growth_now, seen.without_history, seen.workers), (0.0, 1, 1));
    }
}
