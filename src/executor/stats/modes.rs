//! Which statistics a table wants of which column: `write.metadata.metrics.*`.

use std::collections::HashMap;

use iceberg::spec::Schema;

use crate::error::{Error, Result};

/// The mode of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsMode {
    /// Sizes only.
    None,
    /// Counts, no bounds.
    Counts,
    /// Counts, and bounds truncated to so many characters or bytes.
    Truncate(usize),
    /// Counts and whole bounds.
    Full,
}

/// Iceberg's default.
const DEFAULT: MetricsMode = MetricsMode::Truncate(16);
/// Beyond so many columns the default is `none`, unless the table asks for more.
const MAX_INFERRED: usize = 100;

/// The modes of a table's columns.
#[derive(Debug, Clone)]
pub struct MetricsModes {
    default: MetricsMode,
    columns: HashMap<i32, MetricsMode>,
}

impl MetricsModes {
    /// Whole bounds of every column.
    pub fn full() -> Self {
        Self { default: MetricsMode::Full, columns: HashMap::new() }
    }

    /// Reads a table's properties.
    ///
    /// # Errors
    /// `InvalidInput` naming the property that can't be read.
    pub fn from_properties(schema: &Schema, properties: &HashMap<String, String>) -> Result<Self> {
        let asked = properties.get("write.metadata.metrics.default").map(|text| parse(text)).transpose()?;
        let default = asked.unwrap_or(DEFAULT);
        let mut columns = HashMap::new();
        if asked.is_none() {
            let most = properties
                .get("write.metadata.metrics.max-inferred-column-defaults")
                .and_then(|text| text.parse().ok())
                .unwrap_or(MAX_INFERRED);
            let mut ids: Vec<i32> = schema.field_id_to_name_map().keys().copied().collect();
            ids.sort_unstable();
            columns.extend(ids.into_iter().skip(most).map(|id| (id, MetricsMode::None)));
        }
        for (key, value) in properties {
            if let Some(name) = key.strip_prefix("write.metadata.metrics.column.")
                && let Some(id) = schema.field_id_by_name(name)
            {
                columns.insert(id, parse(value)?);
            }
        }
        Ok(Self { default, columns })
    }

    /// The mode of a column.
    pub fn of(&self, field_id: i32) -> MetricsMode {
        self.columns.get(&field_id).copied().unwrap_or(self.default)
    }
}

fn parse(text: &str) -> Result<MetricsMode> {
    let lower = text.trim().to_ascii_lowercase();
    let length = lower.strip_prefix("truncate(").and_then(|rest| rest.strip_suffix(')'));
    match (lower.as_str(), length) {
        ("none", _) => Ok(MetricsMode::None),
        ("counts", _) => Ok(MetricsMode::Counts),
        ("full", _) => Ok(MetricsMode::Full),
        (_, Some(length)) if length.parse::<usize>().is_ok_and(|length| length > 0) => {
            Ok(MetricsMode::Truncate(length.parse().unwrap_or(16)))
        }
        _ => Err(Error::invalid(format!("{text:?} is not a metrics mode"))
            .hint("write.metadata.metrics.* is none, counts, truncate(16) or full")),
    }
}
