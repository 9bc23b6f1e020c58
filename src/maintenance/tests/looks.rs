//! A look from afar finds what is there, and counts nothing as gain that compaction would leave alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::executor::ExecutorSettings;
use crate::fixture::{Kind, TableSpec, make};
use crate::lake::{Ambient, connect_or_create};
use crate::maintenance::Maintenance;
use crate::model::{CatalogSettings, Closeness, CompactPolicy, MIB, TableName, TableSummary, TierPlace};
use crate::telemetry::Progress;

async fn look(maintenance: &Maintenance, name: &TableName, policy: CompactPolicy) -> TableSummary {
    let policy_for = |_: &TableName, _: &HashMap<String, String>| Ok(policy.clone());
    let mut fleet = maintenance.inspect_fleet(vec![name.clone()], &policy_for).await;
    assert_eq!(fleet.unreadable.len(), 0, "{:?}", fleet.unreadable);
    fleet.tables.remove(0)
}

#[tokio::test]
async fn should_leave_colder_tiers_out_of_what_there_is_to_gain() {
    let dir = tempfile::tempdir().unwrap();
    let ambient = Arc::new(Ambient::system());
    let catalog = connect_or_create(&CatalogSettings::in_folder("t", dir.path()), ambient.clone()).await.unwrap();
    let name = TableName::parse("db.t").unwrap();
    let shape = TableSpec {
        files: 18,
        rows: 10,
        commits: 9,
        years: (2022, 2024),
        ..TableSpec::new(name.clone(), Kind::TimeSeries)
    };
    make(&catalog, &ambient, &shape, &Arc::default()).await.unwrap();
    let location = catalog.load_table(&name).await.unwrap().metadata.location().to_owned();
    let progress = Arc::new(Progress::default());
    let maintenance = Maintenance { catalog, ambient, resources: ExecutorSettings::new(64 * MIB, 1), progress };

    let all = look(&maintenance, &name, CompactPolicy::default()).await;
    assert_eq!((all.closeness, all.files, all.small_files, all.rows), (Closeness::Manifests, 18, 18, 180));
    assert_eq!((all.manifests, all.snapshots, all.candidates.files, all.candidates.outputs), (9, 9, 18, 3));
    let place = |name: &str, below: Option<&str>| TierPlace {
        name: name.to_owned(),
        location: below.map(|folder| format!("{location}/data/{folder}")),
        storage_class: None,
    };
    let tiers = vec![place("hot", None), place("cold", Some("ts_year=2022"))];
    let tiered = look(&maintenance, &name, CompactPolicy { tiers, ..CompactPolicy::default() }).await;
    assert_eq!((tiered.files, tiered.small_files, tiered.candidates.files), (18, 18, 12), "cold files are no gain");
    assert_eq!(tiered.candidates.bytes, tiered.bytes["hot"]);
    let both: BTreeMap<&str, bool> = tiered.bytes.iter().map(|(tier, bytes)| (tier.as_str(), *bytes > 0)).collect();
    assert_eq!(both, [("cold", true), ("hot", true)].into());
    assert_eq!(tiered.total_bytes(), all.total_bytes());
}
