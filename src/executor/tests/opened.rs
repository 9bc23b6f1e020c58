//! Inputs are opened on the way: in order, a few ahead, and what is wrong with a late one fails the group all the same.

use super::deletes::job;
use super::*;

/// Files of 100 rows with growing ids.
fn many_files(count: i64) -> Bench {
    let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": true, "type": "long"}]));
    for first in 0..count {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first * 100..first * 100 + 100));
        bench.write(vec![(with_id(Field::new("id", DataType::Int64, false), 1), ids)], plain());
    }
    bench
}

#[tokio::test]
async fn should_know_little_of_inputs_to_come_and_all_of_those_gone_by() {
    let bench = many_files(40);
    let (inputs, table, policy, out) = (bench.inputs.clone(), bench.table.clone(), bench.policy.clone(), bench.out());
    let work = move |runtime: Handle| {
        let job = job(inputs, table, policy, &out, runtime);
        let opening = Opening::begin(job.task.clone(), store(), job.runtime.clone());
        assert_eq!(opening.ahead(), 8, "of 40 files");
        let mut walk = Walk::new(&job, opening);
        let files: u64 = job.task.inputs.iter().map(|input| input.size).sum();
        assert_eq!(walk.bytes(), files);
        let nothing = verify::stats(&job, &verify::Before::default(), &[]).unwrap_err();
        assert!(nothing.to_string().contains("the number of files"), "rows of files that nobody opened: {nothing}");
        let (mut seen, mut data, mut guess) = (0, 0, 0);
        while let Some((number, source)) = walk.next().unwrap() {
            assert_eq!((number, source.path.as_str()), (seen, job.task.inputs[seen].path.as_str()));
            data += u64::try_from(source.metadata.row_group(0).compressed_size()).unwrap();
            guess = if seen == 5 { walk.bytes() } else { guess };
            seen += 1;
        }
        assert_eq!((seen, walk.bytes()), (40, data), "nothing is guessed at the end");
        assert!(guess.abs_diff(data) < data / 20, "{guess} was guessed after six files of {data} bytes");
    };
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || work(runtime)).await.unwrap();
}

#[tokio::test]
async fn should_leave_nothing_behind_when_a_late_input_is_another_than_was_planned() {
    for route in [Route::Copy, Route::Merge, Route::Encode, Route::Sort] {
        let mut bench = many_files(40);
        // Several outputs are complete by then.
        bench.policy.target_file_size_bytes = 4 << 10;
        bench.inputs[35].records += 1;
        let error = bench.rewrite(route).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{route:?}: {error}");
        assert!(error.to_string().contains(&bench.inputs[35].path), "{route:?}: {error}");
        assert_eq!(bench.left_behind(), 0, "{route:?}");
    }
}

#[tokio::test]
async fn should_not_copy_a_file_of_another_schema() {
    let mut bench = many_files(20);
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(["a", "b"]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let column = |name: &str, kind: DataType, id: i32| with_id(Field::new(name, kind, false), id);
    bench.write(vec![(column("id", DataType::Int64, 1), ids), (column("name", DataType::Utf8, 2), names)], plain());
    let error = bench.rewrite(Route::Copy).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    assert!(error.to_string().contains(&bench.inputs[20].path), "{error}");
    assert_eq!(bench.left_behind(), 0);
}
