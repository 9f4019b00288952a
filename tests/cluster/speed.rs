//! What a round costs on a cluster beyond its computing.

use std::time::Instant;

use emberline::cluster::engine;
use emberline::config::{EngineKind, EngineOptions};
use emberline::prelude::*;

use crate::support::Cluster;

#[test]
fn an_empty_round_of_eight_parts_takes_milliseconds() {
    let cluster = Cluster::up(2, &["--slots", "4"]);
    let options = EngineOptions {
        kind: EngineKind::Cluster,
        scheduler: Some(cluster.url()),
        ..EngineOptions::default()
    };
    let run = Run::local(1, 1).with_engine(engine(&options, "floor").unwrap());
    // Eight batches of one row, half of them: a count that has to look.
    let iris = open(&SourceOptions::new("bundled:iris")).unwrap();
    let whole = iris.batches(None).unwrap().next().unwrap().unwrap();
    let rows: Vec<Batch> = (0..8).map(|i| whole.slice(i, 1)).collect();
    let data = Dataset::from_batches("eight rows", whole.schema().clone(), rows);
    let data = data.sample(0.999_999, 1).unwrap();
    assert_eq!(run.count(&data).unwrap(), 8);
    let mut ms: Vec<f64> = (0..40)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(run.count(&data).unwrap(), 8);
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    println!(
        "floor: an empty round of 8 parts on 2 executors: {:.1} / {:.1} / {:.1} ms (least, median, p90)",
        ms[0], ms[20], ms[36]
    );
    // 25 ms where cores are free; another process on them may cost some of its turns.
    assert!(ms[20] < 150.0, "{ms:?}");
    drop(cluster);
}
