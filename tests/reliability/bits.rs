//! the same model bytes for every number of partitions and threads and every file format.

use std::path::PathBuf;

use crate::common::dice::amount;
use crate::common::{digest, write};
use crate::learners::{LEARNERS, config, csv, jsonl, parquet, train_unnamed, whole};

/// Three blocks and a bit: 64 partitions leave most empty.
const ROWS: usize = 3 * 8192 + 500;
const PARTITIONS: [usize; 6] = [1, 2, 3, 7, 16, 64];
const THREADS: [usize; 3] = [1, 2, 4];

/// The same rows in every format. Parquet is cut into blocks at its row groups, so a row group must hold whole blocks.
fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let csv = write(folder, "rows.csv", &csv(ROWS));
    let rows = whole(&csv);
    let [one, many] = ["one.parquet", "many.parquet"].map(|name| folder.join(name));
    parquet(&rows, &one, 1 << 20);
    parquet(&rows, &many, 8192);
    vec![csv, one, many, write(folder, "rows.jsonl", &jsonl(ROWS))]
}

#[test]
fn partitions_threads_and_formats_change_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    // On each change every partition number, thread number and format is met once or more; the long run takes all pairs.
    let all = amount("EMBERLINE_SETTINGS", 6) >= 72;
    let (mut runs, mut wrong) = (0, Vec::new());
    for (k, (name, label, stages)) in LEARNERS.iter().enumerate() {
        let run = |file: &PathBuf, partitions: usize, threads: usize| {
            let set = [
                format!("data.partitions={partitions}"),
                format!("engine.threads={threads}"),
            ];
            digest(&train_unnamed(&config(label, stages, file), &set))
        };
        let reference = run(&files[0], 1, 1);
        for (i, partitions) in PARTITIONS.into_iter().enumerate() {
            for (j, threads) in THREADS.into_iter().enumerate() {
                for (f, file) in files.iter().enumerate() {
                    if !all && (j != (i + k) % 3 || f != (i + k / 3) % 4) {
                        continue;
                    }
                    runs += 1;
                    if run(file, partitions, threads) != reference {
                        let file = file.file_name().unwrap().to_string_lossy();
                        wrong.push(format!(
                            "{name}: {file}, {partitions} partitions, {threads} threads"
                        ));
                    }
                }
            }
        }
    }
    println!(
        "R-01: {}/{runs} runs of {} learners and stages gave the bytes of the first",
        runs - wrong.len(),
        LEARNERS.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
