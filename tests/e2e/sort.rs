//! Tables that are put in order: their rows, the order of the files, and what is refused.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Lake, files, has_python, same_rows};

fn ordered_files(lake: &Lake) -> Vec<Value> {
    serde_json::from_str(&lake.script("sorted_files.py", &[])).unwrap()
}

/// `region DESC NULLS LAST, ts ASC`.
fn key(row: &Value) -> (Reverse<Option<String>>, i64) {
    (Reverse(row[0].as_str().map(str::to_owned)), row[1].as_i64().unwrap())
}

#[test]
fn should_sort_by_the_tables_own_order_once() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "6", "--ordered"]);
    let before = lake.rows(&[]);
    // Every append has rows of all regions: each file of a year lies over the five others.
    let seen = lake.run(&["inspect", "--table", "db.t", "--json"]).exits(0).report();
    let depth = &seen["overlap_depth"][0];
    assert_eq!(
        (&depth["column"], &depth["files"], &depth["average"], &depth["max"]),
        (&"region".into(), &18.into(), &6.0.into(), &6.into()),
        "{seen}"
    );
    assert_eq!(seen["deepest_partitions"][0]["partition"], "ts_year=2022", "{seen}");
    let told = lake.run(&["inspect", "--table", "db.t"]).exits(0).stdout;
    assert!(told.contains("by region: files lie 6 deep on average, 6 at most\n"), "{told}");
    let sort = ["compact", "--table", "db.t", "--strategy", "sort", "--verify", "content", "--json"];
    let report = lake.run(&sort).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    same_rows(&before, &lake.rows(&[]));
    let one = |side: &str| (report[side][0]["average"].as_f64().unwrap(), report[side][0]["files"].as_u64().unwrap());
    assert_eq!((one("depth_before"), one("depth_after")), ((6.0, 18), (1.0, 3)), "{report}");
    let made = ordered_files(&lake);
    assert_eq!(made.len(), 3, "one a year");
    for file in &made {
        assert_eq!((&file["order"], &file["mark"]), (&1.into(), &"region DESC NULLS LAST, ts ASC NULLS FIRST".into()));
        assert!(file["rows"].as_array().unwrap().is_sorted_by_key(key), "{}", file["path"]);
    }
    // Said by its fields, it is the same order, and there is nothing to do.
    let named = ["compact", "--table", "db.t", "--sort-order", "region desc, ts", "--json"];
    for again in [&sort[..], &named[..]] {
        assert_eq!(lake.run(again).exits(0).report()["status"], "nothing-to-do");
    }
    // Other orders and curves claim no sort order.
    for (other, mark) in [
        (["--sort-order", "day(ts), id desc"], "day(ts) ASC NULLS FIRST, id DESC NULLS LAST"),
        (["--sort-order", "hilbert(id, price)"], "hilbert(id, price)"),
    ] {
        let args = [&["compact", "--table", "db.t", "--json"], &other[..]].concat();
        assert_eq!(lake.run(&args).exits(0).report()["status"], "committed");
        assert_eq!(lake.run(&args).exits(0).report()["status"], "nothing-to-do", "{other:?}");
        let made = ordered_files(&lake);
        assert!(made.iter().all(|file| file["order"].as_i64().unwrap_or(0) == 0 && file["mark"] == mark), "{made:?}");
        same_rows(&before, &lake.rows(&[]));
    }
    let curve = ["compact", "--table", "db.t", "--strategy", "zorder", "--columns", "ts,region,price", "--json"];
    let report = lake.run(&curve).exits(0).report();
    assert_eq!(report["status"], "committed");
    let columns = |depths: &Value| depths.as_array().unwrap().iter().map(|d| d["column"].clone()).collect::<Vec<_>>();
    assert_eq!(columns(&report["depth_after"]), ["ts", "region", "price"], "{report}");
    same_rows(&before, &lake.rows(&[]));
    // Other columns are shown where they are asked for.
    let asked = ["inspect", "--table", "db.t", "--strategy", "hilbert", "--columns", "id,price", "--json"];
    let seen = lake.run(&asked).exits(0).report();
    assert_eq!(columns(&seen["overlap_depth"]), ["id", "price"], "{seen}");
    // A column of another name is the same column.
    lake.script("rename_column.py", &["price=cost"]);
    let renamed = ["compact", "--table", "db.t", "--strategy", "zorder", "--columns", "ts,region,cost", "--json"];
    assert_eq!(lake.run(&renamed).exits(0).report()["status"], "nothing-to-do");
}

#[test]
fn should_refuse_orders_that_make_no_sense() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--kind", "types", "--appends", "2"]);
    let metadata = lake.metadata_file();
    let refused = |args: &[&str]| {
        let all = [&["compact", "--table", "db.t", "--json"], args].concat();
        let report = lake.run(&all).exits(2).report();
        let error = &report["error"];
        assert!(error["hint"].is_string(), "{error}");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(refused(&["--strategy", "sort"]).contains("no sort order"));
    assert!(refused(&["--sort-order", "nope"]).contains("nope"));
    assert!(refused(&["--sort-order", "numbers"]).contains("list"));
    assert!(refused(&["--sort-order", "tags"]).contains("map"));
    assert!(refused(&["--sort-order", "nested"]).contains("struct"));
    assert!(refused(&["--sort-order", "day(text)"]).contains("day"));
    assert!(refused(&["--sort-order", "id UPWARDS"]).contains("UPWARDS"));
    assert!(refused(&["--strategy", "zorder", "--columns", "id,numbers"]).contains("list"));
    assert!(refused(&["--strategy", "zorder"]).contains("no columns"));
    assert!(refused(&["--strategy", "zorder", "--columns", "id,i", "--sort-order", "id"]).contains("contradict"));
    assert!(refused(&["--strategy", "frob"]).contains("frob"));
    let spill = ["compact", "--table", "db.t", "--sort-order", "id", "--spill-dir", "/nonexistent", "--rewrite-all"];
    lake.run(&spill).exits(2);
    assert_eq!(lake.metadata_file(), metadata, "nothing was changed");
    // Every type that has an order, and a field of a struct.
    let before = lake.rows(&[]);
    let all = "flag, i desc, f, d desc nulls first, dec, wide, day, clock, local, instant, text, key, blob, nested.a, nested.b";
    let args = ["compact", "--table", "db.t", "--sort-order", all, "--verify", "content", "--json"];
    assert_eq!(lake.run(&args).exits(0).report()["status"], "committed");
    same_rows(&before, &lake.rows(&[]));
    let columns = "i,f,dec,wide,day,text,key,local";
    let args =
        ["compact", "--table", "db.t", "--strategy", "hilbert", "--columns", columns, "--verify", "content", "--json"];
    assert_eq!(lake.run(&args).exits(0).report()["status"], "committed");
    same_rows(&before, &lake.rows(&[]));
}

#[test]
fn should_leave_no_temporary_files_when_killed() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--kind", "plain", "--appends", "5", "--rows", "40000"]);
    let before = lake.rows(&["--no-duckdb"]);
    let spill = lake.path("spill");
    std::fs::create_dir(&spill).unwrap();
    let folder = spill.display().to_string();
    let args = ["compact", "--table", "db.t", "--sort-order", "price, id", "--spill-dir", &folder];
    for wait in [40, 120, 300, 600] {
        let start = Instant::now();
        let mut child = lake.run_in_background(&args);
        while start.elapsed() < Duration::from_millis(wait) {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(files(&spill, "").is_empty());
    }
    same_rows(&before, &lake.rows(&["--no-duckdb"]));
    lake.run(&args).exits(0);
    assert!(files(&spill, "").is_empty());
    same_rows(&before, &lake.rows(&["--no-duckdb"]));
    let one = ordered_files(&lake);
    let price = |row: &Value| row[3].as_f64().map_or(f64::NEG_INFINITY, |price| price);
    assert!(one[0]["rows"].as_array().unwrap().is_sorted_by(|a, b| price(a) <= price(b)));
}
