//! Position deletes on the way through a rewrite.

use std::collections::BTreeSet;

use super::*;
use crate::executor::deletes::Mask;
use crate::model::{DeleteContent, DeleteKey, FileFormat};

impl Bench {
    /// Writes a delete file of any kind, which applies to nothing yet; its number.
    pub(super) fn delete_file(
        &mut self,
        columns: Vec<(Field, ArrayRef)>,
        content: DeleteContent,
        sequence_number: i64,
        equality_ids: &[i32],
    ) -> u32 {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Arc::new(ArrowSchema::new(fields));
        let path = self.dir.path().join(format!("deletes-{}.parquet", self.deletes.len()));
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(plain())).unwrap();
        let batch = RecordBatch::try_new(schema, arrays).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let number = u32::try_from(self.deletes.len()).unwrap();
        self.deletes.push(TaskDelete {
            key: DeleteKey { path: path.display().to_string(), offset: None },
            content,
            format: FileFormat::Parquet,
            size: path.metadata().unwrap().len(),
            length: None,
            records: batch.num_rows() as u64,
            sequence_number,
            equality_ids: equality_ids.to_vec(),
            moves: false,
        });
        number
    }

    /// Writes a position delete file and applies it to inputs.
    pub(super) fn positions(&mut self, rows: &[(&str, i64)], inputs: &[usize]) {
        let path_field = with_id(Field::new("file_path", DataType::Utf8, false), 2_147_483_546);
        let pos_field = with_id(Field::new("pos", DataType::Int64, false), 2_147_483_545);
        let paths: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
        let positions: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        let number =
            self.delete_file(vec![(path_field, paths), (pos_field, positions)], DeleteContent::Position, 2, &[]);
        for input in inputs {
            self.inputs[*input].deletes.push(number);
        }
    }

    /// Writes a deletion vector for one input, behind other bytes of its file.
    pub(super) fn vector(&mut self, positions: &[u64], input: usize) {
        let mut body = vec![0xd1, 0xd3, 0x39, 0x64];
        positions.iter().copied().collect::<roaring::RoaringTreemap>().serialize_into(&mut body).unwrap();
        let mut file = b"PFA1 another blob ".to_vec();
        let offset = file.len() as u64;
        file.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        file.extend_from_slice(&body);
        file.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        let length = file.len() as u64 - offset;
        let path = self.dir.path().join(format!("deletes-{}.puffin", self.deletes.len()));
        std::fs::write(&path, &file).unwrap();
        let number = u32::try_from(self.deletes.len()).unwrap();
        self.deletes.push(TaskDelete {
            key: DeleteKey { path: path.display().to_string(), offset: Some(offset) },
            content: DeleteContent::Position,
            format: FileFormat::Puffin,
            size: file.len() as u64,
            length: Some(length),
            records: positions.len() as u64,
            sequence_number: 2,
            equality_ids: Vec::new(),
            moves: false,
        });
        self.inputs[input].deletes.push(number);
    }

    pub(super) fn path(&self, input: usize) -> String {
        self.inputs[input].path.clone()
    }
}

pub(super) fn bench(files: i64, rows: usize) -> Bench {
    let mut bench = Bench::new(json!([
        {"id": 1, "name": "id", "required": true, "type": "long"},
        {"id": 2, "name": "text", "required": false, "type": "string"},
        {"id": 3, "name": "tags", "required": false, "type": {"type": "list", "element-id": 4, "element-required": false,
            "element": "int"}}]));
    for file in 0..files {
        let first = file * i64::try_from(rows).unwrap();
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((first..).take(rows)));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter((first..).take(rows).map(|n| (n % 3 != 0).then(|| format!("t{n}")))));
        let mut tags = ListBuilder::new(Int32Builder::new());
        for n in 0..rows {
            tags.values().append_option((n % 2 == 0).then_some(7));
            tags.append(n % 5 != 0);
        }
        let tags: ArrayRef = Arc::new(tags.finish());
        let list = Field::new("tags", tags.data_type().clone(), true);
        let DataType::List(element) = list.data_type() else { panic!() };
        let element = Arc::new(with_id(element.as_ref().clone(), 4));
        let list = with_id(list.clone().with_data_type(DataType::List(element.clone())), 3);
        let array = tags.as_list::<i32>();
        let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
        let tags: ArrayRef =
            Arc::new(arrow_array::ListArray::try_new(element, offsets, array.values().clone(), nulls).unwrap());
        let id = with_id(Field::new("id", DataType::Int64, false), 1);
        let text = with_id(Field::new("text", DataType::Utf8, true), 2);
        let props = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
        bench.write(vec![(id, ids), (text, texts), (list, tags)], props);
    }
    bench
}

pub(super) fn ids(outcome: &Outcome) -> Vec<i64> {
    let batches = outcome.outputs.iter().map(|file| read(&file.path));
    batches.flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn should_leave_out_deleted_rows_and_nothing_else() {
    let mut bench = bench(3, 1000);
    let (a, b, c) = (bench.path(0), bench.path(1), bench.path(2));
    // Single rows, a whole row group, the last row, one position twice, one beyond the end.
    let mut rows: Vec<(&str, i64)> = vec![(&a, 0), (&a, 7), (&a, 999)];
    rows.extend((200..300).map(|pos| (a.as_str(), pos)));
    rows.extend([(a.as_str(), 7), (b.as_str(), 5_000), (b.as_str(), 3)]);
    rows.push(("s3://elsewhere/x.parquet", 1));
    bench.positions(&rows, &[0, 1]);
    // Too old for c, whatever it says.
    bench.positions(&[(&c, 1)], &[]);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    let dead: BTreeSet<i64> = [0, 7, 999, 1003].into_iter().chain(200..300).collect();
    assert_eq!(ids(&done), (0..3000).filter(|id| !dead.contains(id)).collect::<Vec<_>>());
    assert_eq!((done.rows_in, done.rows_out, done.rows_deleted), (3000, 2896, 104));
    let others = |n: usize| done.applied[n].others.clone().unwrap();
    assert_eq!((done.applied[0].used, others(0)), (true, vec!["s3://elsewhere/x.parquet".to_owned()]));
    assert_eq!((done.applied[1].used, others(1)), (false, vec![]));
}

#[tokio::test]
async fn should_write_no_file_when_every_row_is_deleted() {
    let mut bench = bench(2, 100);
    let (a, b) = (bench.path(0), bench.path(1));
    bench.positions(&(0..100).flat_map(|n| [(a.as_str(), n), (b.as_str(), n)]).collect::<Vec<_>>(), &[0, 1]);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    assert_eq!((done.outputs.len(), done.rows_out, done.rows_deleted), (0, 0, 200));
}

#[tokio::test]
async fn should_name_a_delete_file_that_cannot_be_read() {
    for damage in ["gone", "short", "other"] {
        let mut bench = bench(1, 100);
        let a = bench.path(0);
        bench.positions(&[(&a, 1), (&a, 2)], &[0]);
        let path = bench.deletes[0].key.path.clone();
        match damage {
            "gone" => std::fs::remove_file(&path).unwrap(),
            "short" => std::fs::write(&path, b"PAR1").unwrap(),
            _ => bench.deletes[0].records = 5,
        }
        let error = bench.rewrite(Route::Encode).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{damage}: {error}");
        assert!(error.to_string().contains(&path), "{damage}: {error}");
        assert_eq!(bench.left_behind(), 0);
    }
}

/// Verification must see rows that were left out without a delete, and rows that were kept in spite of one.
#[tokio::test]
async fn should_notice_rows_too_few_and_too_many() {
    let bench = bench(1, 100);
    let bitmap = |rows: std::ops::Range<u32>| Mask::new(Arc::new(rows.collect()));
    for (applied, claimed, well) in
        [(0..10, 0..10, true), (0..10, 0..9, false), (0..9, 0..10, false), (0..3, 1..4, false)]
    {
        let (mask, claim) = (bitmap(applied), bitmap(claimed));
        let (table, policy, out) = (bench.table.clone(), bench.policy.clone(), bench.out());
        let inputs = bench.inputs.clone();
        let work = move |runtime| {
            let mut job = job(inputs, table, policy, &out, runtime);
            job.masks = Masks::new(vec![mask]);
            let written = Written::default();
            let opening = || Opening::begin(job.task.clone(), store(), job.runtime.clone());
            let (outputs, _) = parquet::rewrite(&job, Walk::new(&job, opening()), &written).unwrap();
            let claimed = opening();
            job.masks = Masks::new(vec![claim]);
            let (_, before) = Walk::new(&job, claimed).all().unwrap();
            let stats = verify::stats(&job, &before, &outputs);
            stats.and_then(|()| content::compare(&job, &outputs))
        };
        let runtime = Handle::current();
        let verified = tokio::task::spawn_blocking(move || work(runtime)).await.unwrap();
        assert_eq!(verified.is_ok(), well, "{verified:?}");
    }
}

pub(super) fn job(
    inputs: Vec<InputFile>,
    table: TableContext,
    policy: CompactPolicy,
    directory: &str,
    runtime: Handle,
) -> Job {
    let task = plain_task(Route::Encode, inputs, 1, directory);
    let lanes = runtime.block_on(lanes::Lanes::new(2).acquire(&task)).unwrap();
    Job {
        lanes,
        task: Arc::new(task),
        table,
        policy,
        masks: Masks::default(),
        store: store(),
        ambient: Arc::new(Ambient::system()),
        progress: Arc::default(),
        workers: 2,
        row_group_bytes: MIB,
        sort_memory: 0,
        spill: Spill::new(std::env::temp_dir(), 0),
        runtime,
    }
}
