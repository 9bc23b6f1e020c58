//! Running a saved plan.

use std::collections::HashMap;
use std::time::Instant;

use super::Maintenance;
use super::compact::{describe_before, finish};
use super::execute::Run;
use crate::error::{Error, Result};
use crate::lake::{LoadOptions, LoadedTable, load_state};
use crate::model::{Plan, Status, TableReport, TableState};
use crate::planner;

impl Maintenance {
    /// Runs a saved plan, if it is untouched and all of its inputs are still live (I1).
    pub async fn apply(&self, plan: &Plan) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(plan.table.clone(), Status::NothingToDo);
        if let Err(error) = self.apply_checked(plan, &mut report).await {
            report = report.failed(&error);
        }
        finish(report, start)
    }

    /// Checks a saved plan against its table as [`Maintenance::apply`] would. Changes nothing.
    pub async fn apply_dry_run(&self, plan: &Plan) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(plan.table.clone(), Status::DryRun);
        match self.check(plan, &mut report).await {
            Ok(_) => report.groups = Some(plan.tasks.len() as u64),
            Err(error) => report = report.failed(&error),
        }
        finish(report, start)
    }

    async fn check(&self, plan: &Plan, report: &mut TableReport) -> Result<(LoadedTable, TableState)> {
        planner::verify_seal(plan)?;
        plan.policy.validate()?;
        let loaded = self.catalog.load_table(&plan.table).await?;
        let state = load_state(&loaded, &LoadOptions::default()).await?;
        describe_before(report, &state);
        refuse_stale(plan, &loaded, &state)?;
        Ok((loaded, state))
    }

    async fn apply_checked(&self, plan: &Plan, report: &mut TableReport) -> Result<()> {
        let (loaded, state) = self.check(plan, report).await?;
        if plan.is_empty() {
            return Ok(());
        }
        let mut run = Run::new(self, &loaded, &state, plan, report)?;
        let dropped = run.go().await?;
        if dropped > 0 {
            return Err(Error::conflict(format!(
                "{dropped} groups of the plan for {} were changed by another writer and left alone",
                plan.table
            ))
            .hint("plan again: what was committed is not planned twice"));
        }
        Ok(())
    }
}

/// Refuses a plan whose table is another one, or whose inputs have moved on, before any byte is read.
fn refuse_stale(plan: &Plan, loaded: &LoadedTable, state: &TableState) -> Result<()> {
    if plan.table_uuid != loaded.metadata.uuid().to_string() {
        return Err(Error::conflict(format!("the plan was made for another table that was called {}", plan.table))
            .hint("plan again"));
    }
    let live: HashMap<&str, i64> = state.files.iter().map(|file| (file.path.as_str(), file.sequence_number)).collect();
    for input in plan.rewrites().flat_map(|task| &task.inputs) {
        if live.get(input.path.as_str()) != Some(&input.sequence_number) {
            return Err(Error::conflict(format!(
                "the plan for {} is stale: {} is no longer a live file of the table",
                plan.table, input.path
            ))
            .hint("plan again; nothing was changed"));
        }
    }
    Ok(())
}
