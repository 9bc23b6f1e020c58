//! One run over one table: load, plan, execute, commit, discard. The only place where these rooms meet.
//!
//! The order of writes, and what a crash leaves behind at each step (I6):
//! 1. Outputs are written and complete in the store. Crash: unreferenced files, found later by orphan removal.
//! 2. The committer checks that every input is still live and that no new delete hit one (I1, I4), then swaps the
//!    metadata once. Crash: either before (as 1) or after (done).
//! 3. Outputs of groups that were definitely not committed are discarded. Crash: unreferenced files, as 1. While the
//!    result of a commit is unknown nothing is deleted (I5).

mod apply;
mod archive;
mod compact;
mod depth;
pub mod doctor;
mod execute;
mod expire;
mod fleet;
mod lease;
pub mod maintain;
mod manifests;
pub mod orphans;

pub use archive::PlannedArchive;

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::SchemaRef;

use crate::error::{Context, Kind, Result};
use crate::executor::{ExecutorSettings, TableContext};
use crate::lake::{Ambient, Catalog, LoadOptions, LoadedTable, TableLocations, history, load_state, read_footers};
use crate::model::{
    Codec, CompactPlan, CompactPolicy, Due, EncodingProfile, ExpirePolicy, Health, ManifestPolicy, TableName,
    TableState, TierPlace, tier_locations, told_by_class,
};
use crate::telemetry::Progress;
use crate::{executor, planner};

pub use expire::PlannedExpiry;
pub use fleet::Fleet;
pub use lease::{Lease, Taken};
pub use manifests::PlannedManifests;

/// Resolves a policy of a table from its name and its properties.
pub type PolicyFor<'a, P = CompactPolicy> =
    dyn Fn(&TableName, &HashMap<String, String>) -> Result<P> + Send + Sync + 'a;

/// Everything that runs share: where tables are, clock and ids, resources.
#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Where tables are.
    pub catalog: Arc<dyn Catalog>,
    /// Clock, ids, jitter.
    pub ambient: Arc<Ambient>,
    /// Memory and workers.
    pub resources: ExecutorSettings,
    /// Where progress is shown.
    pub progress: Arc<Progress>,
}

/// A plan with what it was made from.
#[derive(Debug)]
pub struct Planned {
    /// The table as its catalog had it.
    pub loaded: LoadedTable,
    /// Its files.
    pub state: TableState,
    /// What should happen.
    pub plan: CompactPlan,
}

impl Maintenance {
    /// Loads a table and plans its compaction. Changes nothing.
    ///
    /// # Errors
    /// Whatever loading or planning refuses: see [`crate::error::Kind`].
    pub async fn plan_compaction(&self, name: &TableName, policy_for: &PolicyFor<'_>) -> Result<Planned> {
        self.plan_compaction_of(self.load_to_look(name).await?, policy_for, &[]).await
    }

    /// Plans the compaction of a table as it was loaded; bounds of some more fields are wanted by who looks at the state.
    #[tracing::instrument(target = "spans", name = "plan", skip_all, fields(table = %loaded.name))]
    async fn plan_compaction_of(
        &self,
        loaded: LoadedTable,
        policy_for: &PolicyFor<'_>,
        more_bounds: &[i32],
    ) -> Result<Planned> {
        let name = &loaded.name.clone();
        let policy = policy_for(name, loaded.metadata.properties())?;
        if policy.encodings == EncodingProfile::Modern {
            tracing::warn!(
                table = %name,
                "encodings = modern: Spark refuses files with BYTE_STREAM_SPLIT, and Iceberg's readers for Spark before 2026 the delta encodings of strings too"
            );
        }
        let mut bounds_for = planner::compact::bounds_wanted(&policy, &loaded.metadata)?;
        bounds_for.extend(more_bounds);
        let mut state = load_state(&loaded, &LoadOptions { bounds_for, ..LoadOptions::default() }).await?;
        let what = || format!("looking at the files of {name}");
        self.read_wanted_footers(&loaded, &mut state, &policy).await.while_doing(what)?;
        self.sample_unknown_ratios(&loaded, &mut state, &policy).await.while_doing(what)?;
        let plan = planner::compact::plan(&state, &policy, self.ambient.now_ms())?;
        tracing::debug!(table = %name, tasks = plan.tasks.len(), files = plan.totals.files, "planned");
        Ok(Planned { loaded, state, plan })
    }

    /// Describes a table, and what is due. A table that would be refused is described all the same.
    ///
    /// # Errors
    /// Whatever loading it says.
    pub async fn health(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_>,
        expire_policy_for: &PolicyFor<'_, ExpirePolicy>,
        manifest_policy_for: &PolicyFor<'_, ManifestPolicy>,
    ) -> Result<Health> {
        let now = self.ambient.now_ms();
        let expire_due = |loaded: &LoadedTable| -> Result<Due> {
            let policy = expire_policy_for(name, loaded.metadata.properties());
            Ok(planner::expire::due(&history(loaded)?, policy.as_ref().map_err(ToString::to_string), now))
        };
        let others = |loaded: &LoadedTable, state: &TableState| -> Result<Vec<Due>> {
            let policy = manifest_policy_for(name, loaded.metadata.properties());
            let manifests = planner::manifests::due(state, policy.as_ref().map_err(ToString::to_string), now);
            Ok(vec![manifests, expire_due(loaded)?])
        };
        let loaded = self.load_to_look(name).await?;
        let policy = policy_for(name, loaded.metadata.properties())?;
        let depth = planner::compact::clustering_fields(&loaded.metadata, &policy.arrangement);
        match self.plan_compaction_of(loaded, policy_for, &depth).await {
            Ok(Planned { loaded, state, plan }) => {
                Ok(planner::health(&state, &plan.policy, Ok(&plan), others(&loaded, &state)?, now))
            }
            Err(error) if error.kind() == Kind::Unsupported => {
                let loaded = self.load_to_look(name).await?;
                let state = load_state(&loaded, &LoadOptions { bounds_for: depth, ..LoadOptions::default() }).await?;
                Ok(planner::health(&state, &policy, Err(&error.to_string()), others(&loaded, &state)?, now))
            }
            Err(error) => Err(error),
        }
    }

    async fn read_wanted_footers(
        &self,
        loaded: &LoadedTable,
        state: &mut TableState,
        policy: &CompactPolicy,
    ) -> Result<()> {
        let files = planner::compact::footers_wanted(state, policy)?;
        // Where tiers share a place, only the class tells what is in a colder one.
        if told_by_class(&policy.tiers) {
            let candidates: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
            state.classes = loaded.store.classes_of(&candidates).await?;
        }
        state.footers = read_footers(&loaded.store, &files, loaded.metadata.current_schema()).await?;
        Ok(())
    }

    /// Measures how inputs in another codec will shrink, where no earlier rewrite of this table has told.
    async fn sample_unknown_ratios(
        &self,
        loaded: &LoadedTable,
        state: &mut TableState,
        policy: &CompactPolicy,
    ) -> Result<()> {
        let unknown = |codec: Codec| codec != policy.codec && !state.ratios.contains_key(&codec);
        let footers = state.footers.iter().filter(|(_, footer)| footer.main_codec().is_some_and(unknown));
        let size = |path: &String| state.file_index(path).map(|index| state.files[index].size);
        let mut sample: Vec<(String, u64)> =
            footers.filter_map(|(path, _)| Some((path.clone(), size(path)?))).collect();
        sample.sort_unstable();
        if sample.is_empty() {
            return Ok(());
        }
        let table = table_context(loaded, loaded.metadata.current_schema().clone());
        let measured: Vec<(Codec, f64)> =
            executor::sample_ratio(&loaded.store, &sample, &state.footers, &table, policy).await?.into_iter().collect();
        for (codec, ratio) in measured {
            tracing::debug!(table = %state.name, %codec, ratio, "sampled the compression ratio");
            state.ratios.insert(codec, ratio);
        }
        Ok(())
    }
}

/// What the executor needs to know of a table.
fn table_context(loaded: &LoadedTable, schema: SchemaRef) -> TableContext {
    let mut older_schemas: Vec<SchemaRef> = loaded.metadata.schemas_iter().cloned().collect();
    older_schemas.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
    let specs = loaded.metadata.partition_specs_iter().map(|spec| (spec.spec_id(), spec.clone())).collect();
    TableContext {
        schema,
        specs,
        older_schemas,
        properties: loaded.metadata.properties().clone(),
        table: loaded.name.clone(),
    }
}

/// All places that are the table's own, those in storage tiers included.
fn own_locations(loaded: &LoadedTable, tiers: &[TierPlace]) -> Result<TableLocations> {
    let parts = loaded.name.namespace.len() + 1;
    TableLocations::of(&loaded.metadata, &tier_locations(tiers, loaded.metadata.location(), parts))
}

#[cfg(test)]
mod tests;
