//! Times as values: when something is due, and when it may run.

mod cron;
mod windows;

pub use cron::{CronTime, parse_zone};
pub use windows::Windows;
