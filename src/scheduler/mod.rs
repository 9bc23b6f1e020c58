//! Which table when: schedules, windows, budgets, ranking, fairness, pauses. Touches no bytes and no metadata itself.
//!
//! Deciding is a function of values and of a time that is handed in, so that a year can be simulated in milliseconds;
//! [`Engine`] alone waits and starts work. What a scheduler must know of earlier runs is derived from the tables themselves (their
//! [`RunMemory`](crate::model::RunMemory)): there is no state on the side to lose, and a restart forgets nothing.

mod budget;
mod due;
mod engine;
mod fairness;
mod fleetwatch;
mod forecast;
mod looks;
mod pause;
mod rank;
#[cfg(test)]
mod simulation;
mod status;
mod work;

pub use budget::{Budget, BudgetPart, Cost, CostModel};
pub use due::{Due, Missed, Timing, look};
pub use engine::{Engine, Plan};
pub use fleetwatch::record as record_look;
pub use forecast::{Assumptions, Forecast, Growth, TierForecast, TierPrice, forecast};
pub use looks::Looks;
pub use pause::{FAILURES_BEFORE_PAUSE, paused_until};
pub use rank::{Choice, Gain, Ranking, Rules, Verdict, WhyNot, rank};
pub use status::{RunStatusLine, ScheduleStatus, StatusBoard, View};
pub use work::{Job, Work};
