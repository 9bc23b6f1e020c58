//! Rows that move to another partition spec, and deletes that come in between.

use iceberg::spec::Literal;
use serde_json::json;

use super::*;
use crate::model::PartitionValues;

/// Partition `n` of spec 1, by `event_id`.
fn partition(n: i64) -> Struct {
    Struct::from_iter([Some(Literal::long(n))])
}

impl Fixture {
    /// A table with an unpartitioned spec 0 and a spec 1, to which all of its files but the last two have moved.
    async fn respecced() -> Self {
        let mut fixture = Self::new(2, 1).await;
        let path = fixture.load().await.metadata_location.trim_start_matches("file://").to_owned();
        let mut metadata: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let field = json!({"source-id": 1, "field-id": 1000, "name": "event_id", "transform": "identity"});
        metadata["partition-specs"].as_array_mut().unwrap().push(json!({"spec-id": 1, "fields": [field]}));
        metadata["last-partition-id"] = json!(1000);
        std::fs::write(&path, metadata.to_string()).unwrap();
        let done = fixture.replace(vec![], &[fixture.moved(0, 0..2, 7), fixture.moved(1, 2..4, 8)]).await;
        assert_eq!(done.committed_tasks, [0, 1], "{done:?}");
        let state = load_state(&fixture.load().await, &LoadOptions::default()).await.unwrap();
        let place = |file: &DataFile| state.partition(file.partition).clone();
        let specs: Vec<i32> = state.files.iter().map(|file| place(file).spec_id).collect();
        assert_eq!((specs.iter().sum::<i32>(), specs.len()), (2, 4), "{specs:?}");
        let values: Vec<Struct> =
            state.files.iter().map(place).filter(|p| p.spec_id == 1).map(|partition| partition.values).collect();
        assert_eq!(values, [partition(7), partition(8)]);
        fixture.base.snapshot_id = state.snapshot_id.unwrap();
        fixture.base.sequence_number = state.sequence_number;
        fixture.files = state.files;
        // Files of spec 1 come first.
        fixture.files.sort_by_key(|file| (!file.path.contains("out-"), file.path.clone()));
        fixture
    }

    /// The outcome of moving files of spec 0 to a partition of spec 1.
    fn moved(&self, task: u32, inputs: std::ops::Range<usize>, to: i64) -> Outcome {
        let mut outcome = self.outcome(task, inputs);
        (outcome.spec_id, outcome.from_specs) = (1, vec![0]);
        outcome.outputs[0].partition = Some(PartitionValues(vec![Some(to.to_le_bytes().to_vec())]));
        outcome
    }

    /// The outcome of moving files of spec 1 back to spec 0.
    fn back(&self, task: u32, inputs: std::ops::Range<usize>) -> Outcome {
        let mut outcome = self.outcome(task, inputs);
        outcome.from_specs = vec![1];
        outcome.outputs[0].path = outcome.outputs[0].path.replace("out-", "back-");
        outcome.outputs[0].partition = Some(PartitionValues(vec![]));
        outcome
    }

    /// An equality delete of somebody else in a partition of spec 1, or of all partitions.
    fn deleting(&self, partition: Option<Struct>) -> Fault {
        let (catalog, ambient, name) = (self.catalog.clone(), self.ambient.clone(), self.name.clone());
        Fault::Meanwhile(Box::new(move || {
            let (catalog, ambient, name) = (catalog.clone(), ambient.clone(), name.clone());
            let place = partition.clone().map_or((0, Struct::empty()), |partition| (1, partition));
            Box::pin(async move {
                add_delete_in(&catalog, &ambient, &name, DataContentType::EqualityDeletes, None, place).await;
            })
        }))
    }
}

#[tokio::test]
async fn should_not_move_rows_away_from_a_new_delete_nor_to_one_that_was_not_for_them() {
    // What moves away from partition 7 would leave its delete behind; what moves to it would meet it.
    for (hit, moves) in [(partition(7), false), (partition(8), true)] {
        let fixture = Fixture::respecced().await;
        let done = fixture.replace(vec![fixture.deleting(Some(hit.clone()))], &[fixture.back(5, 0..1)]).await;
        assert_eq!((done.committed_tasks.len(), done.dropped.len()), (usize::from(moves), usize::from(!moves)), "away");
        if !moves {
            assert!(matches!(done.dropped[0].reason, DropReason::NewDeletes { .. }), "{done:?}");
        }
        let fixture = Fixture::respecced().await;
        let done = fixture.replace(vec![fixture.deleting(Some(hit))], &[fixture.moved(5, 2..4, 7)]).await;
        assert_eq!(
            (done.committed_tasks.len(), done.dropped.len()),
            (usize::from(moves), usize::from(!moves)),
            "to it"
        );
    }
    // One for all partitions of all specs reaches the rows wherever they are.
    let fixture = Fixture::respecced().await;
    let done = fixture.replace(vec![fixture.deleting(None)], &[fixture.moved(5, 2..4, 7)]).await;
    assert_eq!((done.committed_tasks, done.dropped.len()), (vec![5], 0));
    // Outputs carry the base's number: the delete is newer.
    let numbers: Vec<i64> = fixture.live().await.iter().filter(|f| f.0.contains("out-5")).map(|f| f.2).collect();
    assert_eq!(numbers, [fixture.base.sequence_number]);
}
