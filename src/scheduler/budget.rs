//! What a run costs, and how much a night may cost. Integers throughout: the same fleet gives the same ranking (I11).

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::model::{GIB, human_bytes};

/// What work costs on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostModel {
    /// Bytes read and rewritten in a second.
    pub bytes_per_second: u64,
    /// Memory that a run occupies meanwhile.
    pub memory_bytes: u64,
    /// What any run takes, however little there is to do: catalog, planning, commit.
    pub fixed: Duration,
    /// Millionths of a dollar for a GB of memory (and the processors that come with it) in an hour.
    pub micro_dollars_per_gb_hour: u64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            // Measured: 200–250 MB/s on two cores (README); half of it leaves room for slower stores.
            bytes_per_second: 100 << 20,
            memory_bytes: GIB / 2,
            fixed: Duration::from_secs(2),
            // About what clouds ask for a GB of memory with its share of processors.
            micro_dollars_per_gb_hour: 20_000,
        }
    }
}

/// What one run is expected to cost, or what runs cost together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Bytes read and written.
    pub bytes: u64,
    /// Milliseconds of wall time.
    pub ms: u64,
    /// Millionths of a GB-hour of memory.
    pub micro_gb_hours: u64,
    /// Millionths of a dollar.
    pub micro_dollars: u64,
}

impl Cost {
    /// The cost of reading `read` bytes of data files and writing about as many.
    pub fn of(read: u64, model: &CostModel) -> Self {
        let ms = wide(read) * 1000 / wide(model.bytes_per_second.max(1)) + model.fixed.as_millis();
        let gb_hours = wide(model.memory_bytes) * ms * 1_000_000 / (wide(GIB) * 3_600_000);
        let dollars = gb_hours * wide(model.micro_dollars_per_gb_hour) / 1_000_000;
        Self {
            bytes: read.saturating_mul(2),
            ms: narrow(ms),
            micro_gb_hours: narrow(gb_hours),
            micro_dollars: narrow(dollars),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            ms: self.ms.saturating_add(other.ms),
            micro_gb_hours: self.micro_gb_hours.saturating_add(other.micro_gb_hours),
            micro_dollars: self.micro_dollars.saturating_add(other.micro_dollars),
        }
    }
}

fn wide(n: u64) -> u128 {
    u128::from(n)
}

fn narrow(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A part of a budget that can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetPart {
    /// Bytes read and written.
    Bytes,
    /// Wall time.
    Time,
    /// Number of tables.
    Tables,
    /// Money.
    Dollars,
}

impl fmt::Display for BudgetPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Tables => "tables",
            Self::Dollars => "dollars",
        })
    }
}

/// How much a run may cost. What is left out is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes read and written.
    pub bytes: Option<u64>,
    /// Milliseconds of wall time.
    pub ms: Option<u64>,
    /// Number of tables.
    pub tables: Option<u64>,
    /// Millionths of a dollar.
    pub micro_dollars: Option<u64>,
}

impl Budget {
    /// The first part that `cost` for `tables` tables would overdraw.
    pub fn overdrawn(&self, cost: &Cost, tables: u64) -> Option<BudgetPart> {
        let beyond = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used > limit);
        [
            (beyond(tables, self.tables), BudgetPart::Tables),
            (beyond(cost.ms, self.ms), BudgetPart::Time),
            (beyond(cost.bytes, self.bytes), BudgetPart::Bytes),
            (beyond(cost.micro_dollars, self.micro_dollars), BudgetPart::Dollars),
        ]
        .into_iter()
        .find_map(|(over, part)| over.then_some(part))
    }

    /// The same budget with no more wall time than `ms` (what is left of a window).
    #[must_use]
    pub fn within(self, ms: Option<u64>) -> Self {
        let ms = match (self.ms, ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { ms, ..self }
    }

    /// What remains after `cost` for `tables` tables.
    #[must_use]
    pub fn less(self, cost: &Cost, tables: u64) -> Self {
        let less = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Self {
            bytes: less(self.bytes, cost.bytes),
            ms: less(self.ms, cost.ms),
            tables: less(self.tables, tables),
            micro_dollars: less(self.micro_dollars, cost.micro_dollars),
        }
    }

    /// Every part times `numerator / denominator`, at least one table.
    #[must_use]
    pub fn share(self, numerator: u64, denominator: u64) -> Self {
        let part =
            |limit: Option<u64>| limit.map(|limit| narrow(wide(limit) * wide(numerator) / wide(denominator.max(1))));
        Self {
            bytes: part(self.bytes),
            ms: part(self.ms),
            tables: part(self.tables).map(|tables| tables.max(1)),
            micro_dollars: part(self.micro_dollars),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            self.bytes.map(human_bytes),
            self.ms.map(|ms| format!("{} min", ms / 60_000)),
            self.tables.map(|tables| format!("{tables} tables")),
            self.micro_dollars.map(|micro| format!("${}.{:02}", micro / 1_000_000, micro % 1_000_000 / 10_000)),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(if parts.is_empty() { "no limit".to_owned() } else { parts.join(", ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_count_cost_in_integers() {
        let model = CostModel::default();
        let cost = Cost::of(100 << 30, &model);
        assert_eq!((cost.bytes, cost.ms), (200 << 30, 1_026_000));
        // 1,026 s × 0.5 GB.
        assert_eq!(cost.micro_gb_hours, 142_500);
        assert_eq!(cost.micro_dollars, 2_850);
        assert_eq!(Cost::of(u64::MAX, &model).bytes, u64::MAX, "nothing overflows");
    }

    #[test]
    fn should_say_which_part_runs_out() {
        let budget = Budget { bytes: Some(10), ms: None, tables: Some(2), micro_dollars: Some(5) };
        let cost = Cost { bytes: 10, micro_dollars: 5, ..Cost::default() };
        assert_eq!(budget.overdrawn(&cost, 2), None);
        assert_eq!(budget.overdrawn(&cost, 3), Some(BudgetPart::Tables));
        assert_eq!(budget.overdrawn(&Cost { bytes: 11, ..cost }, 1), Some(BudgetPart::Bytes));
        assert_eq!(budget.overdrawn(&Cost { micro_dollars: 6, ..cost }, 1), Some(BudgetPart::Dollars));
        assert_eq!(budget.within(Some(7)).overdrawn(&Cost { ms: 8, ..cost }, 1), Some(BudgetPart::Time));
    }
}
