//! The inner loops, one by one: `cargo bench --bench kernels --features internals`. Criterion keeps the figures of the last
//! run and says what changed.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops when something is wrong")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icewright::executor::internals::kernels;
use icewright::fixture::{Kind, TableSpec, make};
use icewright::lake::{Ambient, LoadOptions, LoadedTable, connect_or_create, load_state};
use icewright::model::{CatalogSettings, CompactPolicy, DataFile, MIB, TableName, TableState};
use icewright::planner::compact::plan;
use icewright::telemetry::Progress;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const VALUES: usize = 1 << 20;

fn pages(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    let indices: Vec<u32> = (0..VALUES).map(|_| rng.random_range(0..5000)).collect();
    let mut packed = Vec::new();
    let width = kernels::pack(&indices, &mut packed);
    let mut group = criterion.benchmark_group("indices");
    group.throughput(Throughput::Elements(VALUES as u64));
    group.bench_function("repack, 13 bits", |b| b.iter(|| kernels::pack(black_box(&indices), &mut packed)));
    let mut unpacked = Vec::new();
    group.bench_function("unpack, 13 bits", |b| {
        b.iter(|| kernels::unpack(black_box(&packed), width, VALUES, &mut unpacked).unwrap());
    });
    group.finish();

    let dictionaries: Vec<Vec<u8>> =
        (0..100).map(|_| (0..5000).flat_map(|_| rng.random_range(0..20_000u64).to_le_bytes()).collect()).collect();
    let mut group = criterion.benchmark_group("dictionaries");
    group.throughput(Throughput::Elements(500_000));
    group.bench_function("remap, 100 of 5,000 values", |b| {
        b.iter(|| kernels::merge_dictionaries(black_box(&dictionaries)).unwrap());
    });
    group.finish();

    let times: Vec<u8> = (0..VALUES as u64).flat_map(|n| (n * 1000 + n % 7).to_le_bytes()).collect();
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("encodings");
    group.throughput(Throughput::Bytes(times.len() as u64));
    group.bench_function("to DELTA_BINARY_PACKED", |b| b.iter(|| kernels::to_delta(black_box(&times), &mut out)));
    group.bench_function("to BYTE_STREAM_SPLIT", |b| b.iter(|| kernels::to_streams(black_box(&times), &mut out)));
    group.finish();
}

/// A table of 2,000 files in 20 manifests, and its state.
async fn table(dir: &std::path::Path) -> (LoadedTable, TableState) {
    let settings = CatalogSettings::in_folder("bench", dir);
    let ambient = Arc::new(Ambient::system());
    let catalog = connect_or_create(&settings, ambient.clone()).await.unwrap();
    let name = TableName::parse("db.t").unwrap();
    let spec = TableSpec { files: 2_000, rows: 1, commits: 20, ..TableSpec::new(name.clone(), Kind::TimeSeries) };
    make(&catalog, &ambient, &spec, &Arc::new(Progress::default())).await.unwrap();
    let table = catalog.load_table(&name).await.unwrap();
    let state = load_state(&table, &LoadOptions::default()).await.unwrap();
    (table, state)
}

fn metadata(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (table, small) = runtime.block_on(table(dir.path()));
    let mut group = criterion.benchmark_group("metadata");
    group.throughput(Throughput::Elements(2_000));
    group.bench_function("2,000 entries of 20 manifests", |b| {
        b.iter(|| runtime.block_on(load_state(&table, &LoadOptions::default())).unwrap());
    });
    let mut state = small.clone();
    state.files = (0..100_000)
        .map(|n: usize| {
            let like = &small.files[n % small.files.len()];
            DataFile { path: format!("{}-{n:07}", like.path).into(), size: 3 * MIB, ..like.clone() }
        })
        .collect();
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("bin-packing of 100,000 files", |b| {
        b.iter(|| plan(black_box(&state), &CompactPolicy::default(), 0).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = kernels_and_metadata;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = pages, metadata
}
criterion_main!(kernels_and_metadata);
