//! `icewright plan`.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::args::{PlanArgs, PlanCompactArgs, PlanOperation};
use super::session::Session;
use super::{output, render};
use crate::error::{Error, Result};
use crate::model::{PLAN_VERSION, Plan, TableName};
use crate::planner;

/// Plans as they are saved: one a table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    /// [`PLAN_VERSION`].
    pub(super) version: u32,
    /// One plan a table.
    pub(super) plans: Vec<Plan>,
}

/// Plans, and shows or saves what came of it.
pub(super) async fn run(session: &Session, args: &PlanArgs) -> Result<u8> {
    match &args.operation {
        PlanOperation::Compact(args) => compact(session, args).await,
    }
}

async fn compact(session: &Session, args: &PlanCompactArgs) -> Result<u8> {
    let policy_for =
        |table: &TableName, properties: &HashMap<String, String>| session.policy(&args.options, table, properties);
    let (mut plans, mut worst) = (Vec::new(), 0);
    for name in session.tables(&args.tables).await? {
        match session.maintenance.plan_compaction(&name, &policy_for).await {
            Ok(planned) => {
                let mut plan = planned.plan;
                planner::seal(&mut plan)?;
                plans.push(plan);
            }
            Err(error) => {
                output::error(&error.while_doing(format!("planning {name}")));
                worst = worst.max(1);
            }
        }
    }
    if !session.json && args.output.is_none() {
        for plan in &plans {
            output::data(&render::plan(plan, args.files));
        }
        return Ok(worst);
    }
    let file = PlanFile { version: PLAN_VERSION, plans };
    if let Some(path) = &args.output {
        save(path, &file)?;
        output::talk(&format!("saved; look at it, then run: icewright apply {}", path.display()));
    }
    if session.json {
        output::json(&file)?;
    }
    Ok(worst)
}

fn save(path: &Path, file: &PlanFile) -> Result<()> {
    let text = serde_json::to_string_pretty(file)
        .map_err(|e| Error::internal("writing the plan as JSON failed").caused_by(e))?;
    std::fs::write(path, text + "\n").map_err(|e| {
        Error::invalid(format!("saving the plan to {} failed", path.display()))
            .hint("name a file in a folder that you can write to")
            .caused_by(e)
    })
}

/// Reads plans that were saved earlier.
pub(super) fn load(path: &Path) -> Result<PlanFile> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::invalid(format!("reading the plan {} failed", path.display()))
            .hint("make one with `icewright plan compact … -o FILE`")
            .caused_by(e)
    })?;
    let file: PlanFile = serde_json::from_str(&text).map_err(|e| {
        Error::invalid(format!("{} is not a plan", path.display()))
            .hint("make one with `icewright plan compact … -o FILE`, and don't edit it")
            .caused_by(e)
    })?;
    if file.version != PLAN_VERSION {
        return Err(Error::invalid(format!(
            "{} is a plan of version {}, this build reads version {PLAN_VERSION}",
            path.display(),
            file.version
        ))
        .hint("plan again with this build"));
    }
    Ok(file)
}
