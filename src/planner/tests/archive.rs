//! Archival: years, partition kinds, reasons, money, fixed point.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::NaiveDate;
use iceberg::spec::{Literal, Struct, TableMetadata};
use serde_json::{Value, json};

use super::support::Table;
use crate::model::{
    ArchivePlan, ArchivePolicy, Codec, CompactPolicy, DeleteContent, EncodingProfile, FieldBounds, GIB, JobOrder, KIB,
    MIB, Move, PartialProgress, Partition, PartitionId, Recompress, StayReason, Tier, class_prices,
};
use crate::planner::archive::{TierRatios, classes_wanted, fields_wanted, footers_wanted, plan};

const DAY_MS: i64 = 86_400_000;

fn at(year: i32, month: u32, day: u32) -> i64 {
    let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
    (date - NaiveDate::default()).num_days() * DAY_MS
}

fn tier(name: &str, days: Option<i64>, location: Option<&str>, class: Option<&str>) -> Tier {
    Tier {
        name: name.to_owned(),
        older_than_ms: days.map(|days| days * DAY_MS),
        location: location.map(str::to_owned),
        storage_class: class.map(str::to_owned),
        policy: CompactPolicy::default(),
        recompress: Recompress::Auto,
        min_object_bytes: 0,
        prices: class_prices(class.unwrap_or("STANDARD")),
    }
}

/// Hot up to 90 days, warm up to 365, then cold.
fn policy() -> ArchivePolicy {
    ArchivePolicy {
        tiers: vec![
            tier("hot", None, None, None),
            tier("warm", Some(90), Some("s3://warm/wh"), Some("STANDARD_IA")),
            tier("cold", Some(365), Some("s3://cold/wh"), Some("GLACIER_IR")),
        ],
        time_column: None,
        to: None,
        filter: None,
        allow_offline: false,
        ignore_cost: false,
        job_order: JobOrder::None,
        max_concurrent: 5,
        partial_progress: PartialProgress { enabled: true, max_commits: 10, min_interval_ms: 60_000 },
    }
}

fn planned(table: &Table, policy: &ArchivePolicy, now_ms: i64) -> ArchivePlan {
    let plan_ = plan(&table.state, policy, &TierRatios::new(), now_ms).unwrap();
    let again = plan(&table.state, policy, &TierRatios::new(), now_ms).unwrap();
    assert_eq!(serde_json::to_string(&plan_).unwrap(), serde_json::to_string(&again).unwrap(), "I11");
    plan_
}

fn picture(plan: &ArchivePlan) -> String {
    let mut text = String::new();
    for task in &plan.tasks {
        let (how, place) = match &task.task {
            Move::Rewrite(task) => (format!("{:?}: {}", task.route, task.route_why), task.output.directory.as_str()),
            Move::Transfer(task) => ("as it is".to_owned(), task.directory.as_str()),
            Move::Reclass(task) => (format!("class {} -> {}", task.from, task.storage_class), task.path.as_str()),
        };
        let to = &plan.policy.tiers[task.to].name;
        let _ = writeln!(
            text,
            "{} {} files -> {} in {to}, {how} [{place}]",
            task.partition(),
            task.files(),
            task.output_files
        );
    }
    for stays in &plan.stays {
        let _ = writeln!(text, "{} stays: {}", stays.path, stays.why);
    }
    text
}

/// Which tier each partition goes to.
fn moves(plan: &ArchivePlan) -> Vec<(String, String)> {
    plan.tasks.iter().map(|task| (task.partition().to_owned(), plan.policy.tiers[task.to].name.clone())).collect()
}

/// A table of these partition specs (the last one is current) on columns ts (1), day (2), local (3), n (4).
fn metadata(specs: &[Value], sort: &Value) -> TableMetadata {
    serde_json::from_value(json!({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://b/wh/db/t",
        "last-sequence-number": 9, "last-updated-ms": 1_700_000_000_000i64, "last-column-id": 4, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "ts", "required": false, "type": "timestamptz"},
            {"id": 2, "name": "day", "required": false, "type": "date"},
            {"id": 3, "name": "local", "required": false, "type": "timestamp"},
            {"id": 4, "name": "n", "required": false, "type": "long"}]}],
        "default-spec-id": specs.len() - 1, "last-partition-id": 1010,
        "partition-specs": specs.iter().enumerate()
            .map(|(id, fields)| json!({"spec-id": id, "fields": fields})).collect::<Vec<_>>(),
        "default-sort-order-id": 1, "sort-orders": [{"order-id": 1, "fields": sort}], "properties": {},
    }))
    .unwrap()
}

fn field(source: i32, id: i32, transform: &str) -> Value {
    json!({"source-id": source, "field-id": id, "name": format!("f{id}"), "transform": transform})
}

/// Adds a file of a partition, with an upper bound of ts where given.
fn add(table: &mut Table, name: &str, spec_id: i32, values: &[Option<Literal>], upper: Option<i64>) {
    let values = Struct::from_iter(values.iter().cloned());
    let partitions = &mut table.state.partitions;
    let id = partitions.iter().position(|p| p.spec_id == spec_id && p.values == values).unwrap_or_else(|| {
        partitions.push(Partition { spec_id, values, path: format!("spec{spec_id}-p{}", partitions.len()) });
        partitions.len() - 1
    });
    let mut one = Table::new().file(name, 2020, GIB / 2, Codec::Zstd).state;
    let mut file = one.files.remove(0);
    file.partition = PartitionId(u32::try_from(id).unwrap());
    let bound =
        |upper: i64| FieldBounds { lower: None, upper: Some(upper.to_le_bytes().to_vec()), nulls: None, values: None };
    file.bounds = upper.map(|upper| [(1, bound(upper))].into_iter().collect()).unwrap_or_default();
    table.state.footers.extend(one.footers);
    table.state.files.push(file);
    table.state.files.sort_by(|a, b| a.path.cmp(&b.path));
}

#[test]
fn should_move_a_year_as_a_whole_when_its_newest_possible_row_has_passed_the_line() {
    let table = Table::new().file("a", 2023, GIB / 2, Codec::Zstd).file("b", 2024, GIB / 2, Codec::Zstd);
    let to = |now| moves(&planned(&table, &policy(), now));
    let is = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(p, t)| (format!("ts_year={p}"), (*t).to_owned())).collect()
    };
    // 2023 ends with 31 December: 90 days of 2024 (a leap year) later is 31 March.
    assert_eq!(to(at(2024, 3, 30) + DAY_MS - 1), is(&[]));
    assert_eq!(to(at(2024, 3, 31)), is(&[("2023", "warm")]));
    // 365 days after it is the last day of 2024, because of 29 February. Just before it, warm would not be worth it.
    assert_eq!(to(at(2024, 10, 31)), is(&[("2023", "warm")]));
    assert_eq!(to(at(2024, 12, 31) - 1), is(&[]));
    assert_eq!(to(at(2024, 12, 31)), is(&[("2023", "cold")]));
    assert_eq!(to(at(2025, 4, 1)), is(&[("2023", "cold"), ("2024", "warm")]));
    assert_eq!(to(at(2026, 1, 1)), is(&[("2023", "cold"), ("2024", "cold")]));
}

#[test]
fn should_compact_on_the_way_and_leave_what_is_there_alone() {
    let mut table = Table::new()
        .files("hot", 30, 2022, 10 * MIB, Codec::Snappy)
        .file("s3://cold/wh/db/t/data/ts_year=2022/kept", 2022, 20 * MIB, Codec::Zstd)
        .file("good1", 2023, 400 * MIB, Codec::Zstd)
        .file("good2", 2023, 450 * MIB, Codec::Zstd)
        .file("late", 2023, 2 * MIB, Codec::Zstd)
        .files("small", 3, 2021, 50 * MIB, Codec::Zstd)
        .delete(DeleteContent::Position, 2020, 8, None)
        .file("deleted", 2020, 50 * MIB, Codec::Zstd);
    let plan = planned(&table, &policy(), at(2025, 6, 1));
    insta::assert_snapshot!(picture(&plan), @r"
    ts_year=2020 1 files -> 1 in cold, Merge: deleted rows are left out [s3://cold/wh/db/t/data/ts_year=2020]
    ts_year=2021 3 files -> 1 in cold, Copy: codec, schema and row groups fit [s3://cold/wh/db/t/data/ts_year=2021]
    ts_year=2022 30 files -> 1 in cold, Merge: inputs in snappy [s3://cold/wh/db/t/data/ts_year=2022]
    ts_year=2023 1 files -> 1 in cold, as it is [s3://cold/wh/db/t/data/ts_year=2023]
    ts_year=2023 1 files -> 1 in cold, as it is [s3://cold/wh/db/t/data/ts_year=2023]
    ts_year=2023 1 files -> 1 in cold, as it is [s3://cold/wh/db/t/data/ts_year=2023]
    ");
    let files = |uses: &[crate::model::TierUse]| uses.iter().map(|used| used.files).collect::<Vec<_>>();
    assert_eq!((files(&plan.before), files(&plan.after)), (vec![37, 0, 1], vec![0, 0, 7]));
    assert_eq!((plan.before[2].newest_days, plan.after[2].oldest_days), (Some(882), Some(1612)));
    assert!(plan.money.saved() > 0.0 && plan.money.once > 0.0);
    assert!((plan.money.saved() - (sum(&plan.before) - sum(&plan.after))).abs() < 1e-9);
    // Done: nothing is left to do (I8), whatever the codec of what is cold already.
    for file in &mut table.state.files {
        file.path = format!("s3a://cold/wh/db/t/data/{}", file.path).into();
    }
    assert!(planned(&table, &policy(), at(2025, 6, 1)).is_empty());
}

fn sum(uses: &[crate::model::TierUse]) -> f64 {
    uses.iter().filter_map(|used| used.monthly).sum()
}

#[test]
fn should_know_the_age_of_every_kind_of_partition() {
    let year = at(2024, 1, 1) / DAY_MS;
    let cases = [
        ("year", field(1, 1000, "year"), Literal::int(53)),
        ("month", field(1, 1000, "month"), Literal::int(53 * 12 + 11)),
        ("day", field(1, 1000, "day"), Literal::date(i32::try_from(year - 1).unwrap())),
        ("hour", field(1, 1000, "hour"), Literal::int(i32::try_from(year * 24 - 1).unwrap())),
        ("identity timestamp", field(1, 1000, "identity"), Literal::long(year * DAY_MS * 1000 - 1)),
        ("identity timestamp without zone", field(3, 1000, "identity"), Literal::long(year * DAY_MS * 1000 - 1)),
        ("identity date", field(2, 1000, "identity"), Literal::date(i32::try_from(year - 1).unwrap())),
        ("year of a date", field(2, 1000, "year"), Literal::int(53)),
    ];
    for (what, spec, value) in cases {
        let mut table = Table::with(metadata(&[json!([]), json!([spec, field(4, 1001, "bucket[16]")])], &json!([])));
        add(&mut table, "a", 1, &[Some(value), Some(Literal::int(3))], None);
        let to = |now| moves(&planned(&table, &policy(), now)).first().map(|(_, tier)| tier.clone());
        assert_eq!(to(at(2024, 3, 31) - 1), None, "{what}");
        assert_eq!(to(at(2024, 3, 31)).as_deref(), Some("warm"), "{what}");
        assert_eq!(to(at(2024, 12, 31)).as_deref(), Some("cold"), "{what}");
    }
}

#[test]
fn should_follow_evolved_and_void_specs_and_bounds_where_nothing_else_tells() {
    // First by year; then the field became void; then by day.
    let specs = [
        json!([field(1, 1000, "year")]),
        json!([field(1, 1000, "void")]),
        json!([field(1, 1000, "void"), field(1, 1001, "day")]),
    ];
    let mut table = Table::with(metadata(&specs, &json!([])));
    let old = at(2020, 5, 5) * 1000;
    add(&mut table, "by-year", 0, &[Some(Literal::int(50))], Some(old));
    add(&mut table, "null-year", 0, &[None], Some(old));
    add(&mut table, "void-old", 1, &[None], Some(old));
    add(&mut table, "void-new", 1, &[None], Some(at(2025, 5, 30) * 1000));
    add(&mut table, "void-unknown", 1, &[None], None);
    add(&mut table, "by-day", 2, &[None, Some(Literal::date(-1))], Some(old));
    let plan = planned(&table, &policy(), at(2025, 6, 1));
    let moved: Vec<&str> = plan.tasks.iter().flat_map(|t| t.inputs()).map(|input| input.path.as_str()).collect();
    assert_eq!(moved, ["by-year", "void-old", "by-day"]);
    let unknown: Vec<&str> =
        plan.stays.iter().filter(|s| s.why == StayReason::AgeUnknown).map(|s| s.path.as_str()).collect();
    assert_eq!(unknown, ["null-year", "void-unknown"]);
    assert_eq!(fields_wanted(&table.state.metadata, &policy()).unwrap(), [1]);
    // A year moves by its end, not by the newest row that happens to be there.
    assert!(planned(&table, &policy(), at(2020, 12, 31)).tasks.iter().all(|task| task.partition() != "spec0-p11"));
    // Before 1970 as well.
    let mut ancient = Table::with(metadata(&[json!([]), json!([field(1, 1000, "year")])], &json!([])));
    add(&mut ancient, "a", 1, &[Some(Literal::int(-1))], None);
    assert_eq!(planned(&ancient, &policy(), at(1970, 3, 31)).before[0].oldest_days, Some(89));
    assert!(planned(&ancient, &policy(), at(1970, 3, 31)).is_empty());
    assert!(!planned(&ancient, &policy(), at(1970, 4, 1)).is_empty());
}

#[test]
fn should_find_the_time_column_or_leave_the_table_alone() {
    let unsorted = metadata(&[json!([])], &json!([]));
    assert_eq!(fields_wanted(&unsorted, &policy()).unwrap(), [0i32; 0], "several could be meant");
    assert_eq!(fields_wanted(&unsorted, &ArchivePolicy { time_column: Some("DAY".into()), ..policy() }).unwrap(), [2]);
    assert!(fields_wanted(&unsorted, &ArchivePolicy { time_column: Some("n".into()), ..policy() }).is_err());
    assert_eq!(fields_wanted(&unsorted, &ArchivePolicy { to: Some("hot".into()), ..policy() }).unwrap(), [0i32; 0]);
    let sort = json!([{"source-id": 3, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}]);
    assert_eq!(fields_wanted(&metadata(&[json!([])], &sort), &policy()).unwrap(), [3]);
}

#[test]
fn should_not_make_moves_that_never_pay() {
    let table = Table::new()
        .files("tiny", 2, 2022, 2 * KIB, Codec::Zstd)
        .file("late", 2023, 40 * KIB, Codec::Zstd)
        .file("large", 2021, 300 * MIB, Codec::Zstd);
    let now = at(2025, 6, 1);
    let plan = planned(&table, &policy(), now);
    assert_eq!(moves(&plan), [("ts_year=2021".to_owned(), "cold".to_owned())]);
    insta::assert_snapshot!(picture(&plan), @r"
    ts_year=2021 1 files -> 1 in cold, as it is [s3://cold/wh/db/t/data/ts_year=2021]
    late stays: moving it to cold never pays: $0.000021 once, $0.00000039 saved a month for 1095 days
    tiny00 stays: moving it to cold would save nothing
    tiny01 stays: moving it to cold would save nothing
    ");
    assert_eq!(planned(&table, &ArchivePolicy { ignore_cost: true, ..policy() }, now).tasks.len(), 3);
    let mut large_only = policy();
    large_only.tiers[2].min_object_bytes = 400 * MIB;
    assert!(planned(&table, &large_only, now).stays.iter().any(|s| matches!(s.why, StayReason::TooSmall { .. })));
    // Without prices nobody can say: the owner's word counts.
    let mut unpriced = policy();
    unpriced.tiers.iter_mut().for_each(|tier| tier.prices = None);
    let plan = planned(&table, &unpriced, now);
    assert_eq!((plan.tasks.len(), plan.money.once, plan.before[0].monthly), (3, 0.0, None));
}

#[test]
fn should_change_the_class_in_place_where_tiers_share_one() {
    let mut in_place = policy();
    in_place.tiers[1].location = None;
    in_place.tiers[2].location = None;
    let places: Vec<_> = in_place.tiers.iter().map(Tier::place).collect();
    let mut table = Table::new()
        .file("a", 2021, 400 * MIB, Codec::Zstd)
        .file("b", 2022, 400 * MIB, Codec::Zstd)
        .files("c", 4, 2023, 100 * MIB, Codec::Zstd)
        .delete(DeleteContent::Equality, 2022, 8, None);
    assert_eq!(classes_wanted(&table.state, &places).len(), 6);
    let now = at(2025, 6, 1);
    let unknown = planned(&table, &in_place, now);
    assert!(unknown.is_empty() && unknown.stays.len() == 6, "{}", picture(&unknown));
    for file in &table.state.files {
        table.state.classes.insert(file.path.to_string(), "STANDARD".into());
    }
    table.state.classes.insert("a".into(), "STANDARD_IA".into());
    insta::assert_snapshot!(picture(&planned(&table, &in_place, now)), @r"
    ts_year=2021 1 files -> 1 in cold, class STANDARD_IA -> GLACIER_IR [a]
    ts_year=2022 1 files -> 1 in cold, class STANDARD -> GLACIER_IR [b]
    ts_year=2023 4 files -> 1 in cold, Copy: codec, schema and row groups fit [s3://b/db/t/data/ts_year=2023]
    ");
    for class in table.state.classes.values_mut() {
        *class = "GLACIER_IR".into();
    }
    assert!(planned(&table, &in_place, now).is_empty());
    // A file that came to the tier's own place without its class gets it there.
    let late = Table::new().file("s3://cold/wh/db/t/x", 2021, 400 * MIB, Codec::Zstd);
    let mut state = late;
    state.state.classes.insert("s3://cold/wh/db/t/x".into(), "STANDARD".into());
    assert!(matches!(planned(&state, &policy(), now).tasks[0].task, Move::Reclass(_)));
}

#[test]
fn should_bring_data_back_only_when_asked() {
    let table = Table::new().file("s3://cold/wh/db/t/a", 2021, 400 * MIB, Codec::Zstd).file(
        "s3://cold/wh/db/t/b",
        2024,
        400 * MIB,
        Codec::Zstd,
    );
    let plan = planned(&table, &policy(), at(2025, 6, 1));
    assert!(plan.is_empty());
    assert_eq!(plan.stays[0].why, StayReason::ColderThanNeeded);
    let filter = crate::config::filter::parse("ts >= '2021-01-01' AND ts < '2022-01-01'").unwrap();
    let asked = ArchivePolicy { to: Some("hot".into()), filter: Some(filter), ..policy() };
    let plan = planned(&table, &asked, at(2025, 6, 1));
    assert_eq!(moves(&plan), [("ts_year=2021".to_owned(), "hot".to_owned())]);
    assert!(plan.money.once > 0.4 / 1024.0 && plan.money.saved() < 0.0, "{:?}", plan.money);
    assert!(ArchivePolicy { to: Some("tepid".into()), ..policy() }.asked().is_err());
}

#[test]
fn should_encode_anew_where_a_sample_says_that_it_gains() {
    let table = Table::new().file("a", 2021, 400 * MIB, Codec::Zstd).file("b", 2022, 400 * MIB, Codec::Zstd);
    let now = at(2025, 6, 1);
    let with = |ratio: f64, recompress| {
        let mut policy = policy();
        policy.tiers[2].recompress = recompress;
        let ratios = TierRatios::from([(2, BTreeMap::from([(Codec::Zstd, ratio)]))]);
        plan(&table.state, &policy, &ratios, now).unwrap()
    };
    let rewrites = |plan: &ArchivePlan| plan.tasks.iter().filter(|t| matches!(t.task, Move::Rewrite(_))).count();
    assert_eq!(rewrites(&with(0.96, Recompress::Auto)), 0);
    assert_eq!(rewrites(&with(0.9, Recompress::Never)), 0);
    assert_eq!(rewrites(&with(0.99, Recompress::Always)), 2);
    let gained = with(0.9, Recompress::Auto);
    assert_eq!(rewrites(&gained), 2);
    assert_eq!(gained.tasks[0].output_bytes, 360 * MIB);
    assert_eq!(footers_wanted(&table.state, &policy(), now).unwrap().len(), 2);
    // A tier with encodings of its own gives them to whatever lacks them.
    let mut modern = policy();
    modern.tiers[2].policy.encodings = EncodingProfile::Modern;
    assert_eq!(rewrites(&planned(&table, &modern, now)), 2);
    modern.tiers[2].recompress = Recompress::Never;
    assert_eq!(rewrites(&planned(&table, &modern, now)), 0);
}

#[test]
fn should_leave_colder_tiers_alone_when_compacting() {
    let table = Table::new().files("s3://cold/wh/db/t/data/ts_year=2022/c", 6, 2022, 10 * MIB, Codec::Zstd).files(
        "late",
        5,
        2022,
        10 * MIB,
        Codec::Zstd,
    );
    let tiers = policy().tiers.iter().map(Tier::place).collect();
    let plan =
        crate::planner::compact::plan(&table.state, &CompactPolicy { tiers, ..CompactPolicy::default() }, 0).unwrap();
    assert_eq!(plan.rewrites().map(|task| task.inputs.len()).collect::<Vec<_>>(), [5]);
    assert_eq!(plan.skipped.iter().filter(|s| s.why.to_string() == "in the cold tier").count(), 6);
}
