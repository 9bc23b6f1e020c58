//! Killed at any moment, a run leaves a table that reads the same rows (I6).

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::support::{Lake, has_python, icewright, same_rows};

#[test]
fn should_survive_being_killed_at_random_moments() {
    if !has_python() {
        return;
    }
    let kills: u32 = std::env::var("ICEWRIGHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let seed: u64 = std::env::var("ICEWRIGHT_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut random = StdRng::seed_from_u64(seed);
    let mut lake = Lake::sqlite();
    let dir = lake.dir.path().display().to_string();
    icewright(&["fixture", "--dir", &dir, "--files", "45", "--rows", "400", "--commits", "3"]).exits(0);
    lake.props = vec!["type=sql".into(), format!("uri=sqlite:///{dir}/catalog.db")];
    let before = lake.rows(&[]);
    // Every run has everything to do again, in several commits.
    let args = ["compact", "--table", "db.t", "--rewrite-all", "--option", "partial-progress.min-interval-ms=0"];
    let start = Instant::now();
    lake.run(&args).exits(0);
    let mut whole = start.elapsed();
    let mut died = 0;
    for kill in 0..kills {
        let mut child = lake.run_in_background(&args);
        let begun = Instant::now();
        std::thread::sleep(whole.mul_f64(random.random_range(0.0..1.05)));
        let _ = child.kill();
        match child.wait().unwrap().success() {
            // A machine that has less to do by now is quicker.
            true => whole = whole.min(begun.elapsed()),
            false => died += 1,
        }
        let after = lake.rows(&["--no-duckdb"]);
        assert_eq!(before["columns"], after["columns"], "seed {seed}, kill {kill}");
    }
    assert!(died > kills / 3, "only {died} of {kills} runs were killed before they ended");
    lake.run(&args).exits(0);
    same_rows(&before, &lake.rows(&[]));
    eprintln!("survived {died} kills in {:?}", start.elapsed().max(Duration::from_secs(1)));
}
