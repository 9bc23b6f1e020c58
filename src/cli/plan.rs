//! `icewright plan`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::args::{PlanArgs, PlanOperation, PlanOutput, Tables};
use super::session::Session;
use super::{orphans, output, rank, render};
use crate::error::{Error, Result};
use crate::model::{CompactPolicy, PLAN_VERSION, Plan, SavedPlan, TableName};
use crate::planner;

/// Plans as they are saved, in the order in which they are applied.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    /// [`PLAN_VERSION`].
    pub(super) version: u32,
    /// One plan for a table and operation.
    pub(super) plans: Vec<SavedPlan>,
}

/// Plans, and shows or saves what came of it.
pub(super) async fn run(session: &Session, args: &PlanArgs) -> Result<u8> {
    match &args.operation {
        PlanOperation::Archive(args) => {
            each(session, &args.tables, &args.out, async |name| {
                let policy_for = |table: &TableName, properties: &_| {
                    session.archive_policy(&args.archive, &args.options, table, properties)
                };
                Ok(Plan::Archive(session.maintenance.plan_archive(name, &policy_for).await?.plan))
            })
            .await
        }
        PlanOperation::Maintain(args) => rank::run(session, args).await,
        PlanOperation::Compact(args) => {
            each(session, &args.tables, &args.out, async |name| {
                let policy_for = |table: &TableName, properties: &_| {
                    let policy = session.policy(&args.options, table, properties)?;
                    Ok(CompactPolicy { only_deletes: args.deletes, ..policy })
                };
                Ok(Plan::Compact(session.maintenance.plan_compaction(name, &policy_for).await?.plan))
            })
            .await
        }
        PlanOperation::RewriteManifests(args) => {
            each(session, &args.tables, &args.out, async |name| {
                let policy_for =
                    |table: &TableName, properties: &_| session.manifest_policy(&args.options, table, properties);
                Ok(Plan::RewriteManifests(session.maintenance.plan_manifests(name, &policy_for).await?.plan))
            })
            .await
        }
        PlanOperation::Expire(args) => {
            each(session, &args.tables, &args.out, async |name| {
                let policy_for =
                    |table: &TableName, properties: &_| session.expire_policy(&args.options, table, properties);
                Ok(Plan::Expire(session.maintenance.plan_expiry(name, &policy_for, true).await?.plan))
            })
            .await
        }
        PlanOperation::RemoveOrphans(args) => {
            let run = orphans::run_of(session, &args.options, orphans::MOST_PLANNED)?;
            each(session, &args.tables, &args.out, async |name| {
                Ok(Plan::RemoveOrphans(session.maintenance.plan_orphans(name, &run).await?))
            })
            .await
        }
    }
}

/// Plans for every table that was asked for; one that can't be planned does not hide the others.
async fn each(
    session: &Session,
    tables: &Tables,
    out: &PlanOutput,
    plan_one: impl AsyncFn(&TableName) -> Result<Plan>,
) -> Result<u8> {
    let (mut plans, mut worst) = (Vec::new(), 0);
    for name in session.tables(tables).await? {
        match plan_one(&name).await {
            Ok(plan) => plans.push(plan),
            Err(error) => {
                worst = worst.max(error.kind().exit_code());
                output::error(&error.while_doing(format!("planning {name}")));
            }
        }
    }
    if !session.json && out.output.is_none() {
        for plan in &plans {
            output::data(&render::plan(plan, out.files));
        }
        return Ok(worst);
    }
    let plans = plans.into_iter().map(planner::seal).collect::<Result<Vec<_>>>()?;
    let file = PlanFile { version: PLAN_VERSION, plans };
    if let Some(path) = &out.output {
        save(path, &file)?;
    }
    if session.json {
        output::json(&file)?;
    }
    Ok(worst)
}

/// Saves plans, and says how they are applied.
pub(super) fn save(path: &Path, file: &PlanFile) -> Result<()> {
    let text = serde_json::to_string_pretty(file)
        .map_err(|e| Error::internal("writing the plan as JSON failed").caused_by(e))?;
    std::fs::write(path, text + "\n").map_err(|e| {
        Error::invalid(format!("saving the plan to {} failed", path.display()))
            .hint("name a file in a folder that you can write to")
            .caused_by(e)
    })?;
    output::talk(&format!("saved; look at it, then run: icewright apply {}", path.display()));
    Ok(())
}

/// Reads plans that were saved earlier.
pub(super) fn load(path: &Path) -> Result<PlanFile> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::invalid(format!("reading the plan {} failed", path.display()))
            .hint("make one with `icewright plan … -o FILE`")
            .caused_by(e)
    })?;
    let file: PlanFile = serde_json::from_str(&text).map_err(|e| {
        Error::invalid(format!("{} is not a plan", path.display()))
            .hint("make one with `icewright plan … -o FILE`, and don't edit it")
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
