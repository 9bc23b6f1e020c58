//! A look at the fleet becomes metrics and what the status page shows.

use super::engine::paused;
use super::status::StatusBoard;
use crate::maintenance::Fleet;
use crate::telemetry::metrics::{FleetLimits, Registry, names, record_fleet};

/// Records a look at the whole fleet.
pub fn record(registry: &Registry, board: &StatusBoard, fleet: &Fleet, limits: FleetLimits, now_ms: i64) {
    record_fleet(registry, &fleet.tables, limits, now_ms);
    registry.set(&names::TABLES_UNREADABLE, &[], fleet.unreadable.len() as f64);
    registry.observe(&names::INSPECTION_SECONDS_HISTOGRAM, &[], fleet.seconds);
    registry.retain(&names::TABLE_PAUSED_UNTIL, |_| false);
    let mut count = 0;
    for (table, until_ms) in paused(&fleet.tables, now_ms) {
        count += 1;
        registry.set(&names::TABLE_PAUSED_UNTIL, &[&table.table.to_string()], until_ms as f64 / 1000.0);
    }
    registry.set(&names::TABLES_PAUSED, &[], f64::from(count));
    let all_unreadable = fleet.tables.is_empty() && !fleet.unreadable.is_empty();
    board.update(|view| {
        view.ready = !all_unreadable;
        view.trouble = fleet.unreadable.first().filter(|_| all_unreadable).map(|(_, error)| error.to_string());
        view.looked_ms = Some(now_ms);
        view.tables = (fleet.tables.len() + fleet.unreadable.len()) as u64;
        view.unreadable = fleet.unreadable.len() as u64;
        view.paused = paused(&fleet.tables, now_ms).map(|(table, until)| (table.table.to_string(), until)).collect();
    });
}
