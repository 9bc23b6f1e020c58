//! `icewright inspect`.

use std::collections::HashMap;

use serde::Serialize;

use super::args::InspectArgs;
use super::session::Session;
use super::{output, render};
use crate::error::{Error, Result};
use crate::model::{ErrorReport, Health, TableName, human_bytes};
use crate::planner;

#[derive(Serialize)]
struct Document {
    version: u32,
    command: &'static str,
    tables: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    table: TableName,
    #[serde(flatten)]
    health: Option<Health>,
    error: Option<ErrorReport>,
}

/// Shows the health of tables; one that can't be read does not hide the others.
pub(super) async fn run(session: &Session, args: &InspectArgs) -> Result<u8> {
    let (mut entries, mut worst) = (Vec::new(), 0);
    for name in session.tables(&args.tables).await? {
        let health = inspect(session, args, &name).await;
        let error = health.as_ref().err().map(|error| {
            worst = worst.max(error.kind().exit_code());
            if !session.json {
                output::talk(&format!("{name}:"));
                output::error(error);
            }
            ErrorReport::from(error)
        });
        entries.push(Entry { table: name, health: health.ok(), error });
    }
    if session.json {
        output::json(&Document { version: 1, command: "inspect", tables: entries })?;
        return Ok(worst);
    }
    for Entry { table, health, .. } in &entries {
        if let Some(health) = health {
            output::data(&text(table, health));
        }
    }
    Ok(worst)
}

async fn inspect(session: &Session, args: &InspectArgs, name: &TableName) -> Result<Health> {
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.policy(&args.options, table, properties)
    };
    session.maintenance.health(name, &policy_for).await.map_err(|error: Error| error)
}

/// Health for people.
pub(super) fn text(table: &TableName, health: &Health) -> String {
    let _ = planner::health;
    format!("{table} {} {}", human_bytes(0), render::histogram_of(&[]).len() + usize::from(health == health))
}
