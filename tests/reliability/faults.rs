//! every operation on the disk fails once, and what is left is the old file or the new one, whole.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emberline::datasets::TableWriter;
use emberline::datasets::files::{Disk, Step};
use emberline::pipeline::engine::journal::{Checkpoints, Identity, Journal};
use emberline::prelude::*;

use crate::common::{train_toml, write};
use crate::learners::csv;

/// A disk whose `fault`-th operation fails, and that looks around before each: what it sees is what a kill there would leave.
struct Faulty {
    fault: usize,
    done: AtomicUsize,
    look: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faulty({})", self.fault)
    }
}

impl Disk for Faulty {
    fn before(&self, step: Step, _: &Path) -> io::Result<()> {
        (self.look)();
        if self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.fault {
            return Err(io::Error::other(format!("planted: {step:?}")));
        }
        Ok(())
    }

    /// A page: files of some kilobytes take several writes, and a fault in the middle leaves a part.
    fn at_once(&self, bytes: usize) -> usize {
        bytes.min(4096)
    }
}

fn faulty(fault: usize, look: impl Fn() + Send + Sync + 'static) -> Arc<Faulty> {
    Arc::new(Faulty {
        fault,
        done: AtomicUsize::new(0),
        look: Box::new(look),
    })
}

/// Fails the 1st, 2nd, ... operation of `save` until none is left to fail; gives the number of faults.
///
/// The target is empty (`old` is none) or holds `old`, and must hold that or `new` at every moment, with nothing else beside it.
fn loop_over(
    old: Option<&[u8]>,
    new: &[u8],
    path: &Path,
    save: impl Fn(Arc<dyn Disk>) -> Result<()>,
) -> usize {
    for fault in 1.. {
        match old {
            Some(old) => std::fs::write(path, old).unwrap(),
            None => drop(std::fs::remove_file(path)),
        }
        let whole = {
            let (path, old, new) = (path.to_owned(), old.map(<[u8]>::to_vec), new.to_vec());
            move || {
                let found = std::fs::read(&path).ok();
                assert!(
                    found == old || found.as_ref() == Some(&new),
                    "a part of a file, before fault {fault}"
                );
            }
        };
        let disk = faulty(fault, whole.clone());
        let outcome = save(disk.clone());
        whole();
        let beside = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(
            beside,
            usize::from(path.exists()),
            "something is left beside the file"
        );
        let fired = disk.done.load(Ordering::Relaxed) >= fault;
        match outcome {
            Ok(()) => {
                assert!(!fired, "fault {fault} was not reported");
                assert_eq!(std::fs::read(path).unwrap(), new);
                return fault - 1;
            }
            Err(error) => {
                assert!(fired && error.to_string().contains("planted"), "{error}");
                assert!(matches!(error.exit_code(), 3 | 4), "{error}");
            }
        }
    }
    unreachable!("the loop ends where nothing fails")
}

#[test]
fn a_fault_while_a_model_is_saved_leaves_the_old_model_or_the_new_one() {
    let config = |k: usize| {
        format!(
            "[data]\nsource = \"bundled:iris\"\n[[pipeline]]\nstage = \"vector_assembler\"\n[[pipeline]]\nstage = \"kmeans\"\nk = {k}\n"
        )
    };
    let [old, new] = [2, 3].map(|k| train_toml(&config(k)).model_file);
    let bytes = new.to_bytes().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.ember");
    let old = old.to_bytes().unwrap();
    let mut points = loop_over(Some(&old), &bytes, &path, |disk| {
        new.save_on(disk, &path, true).map(drop)
    });
    points += loop_over(None, &bytes, &path, |disk| {
        new.save_on(disk, &path, false).map(drop)
    });
    println!("R-31: {points}/{points} faults while a model was saved left a whole one");
    assert!(
        points >= 14,
        "folder, file, writes, sync, move and sync twice, not {points}"
    );
}

#[test]
fn a_fault_while_a_table_is_written_leaves_the_old_table_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path(), "rows.csv", &csv(300));
    let data = open(&SourceOptions::new(source.display().to_string())).unwrap();
    let batch = data.read(0, None).unwrap();
    let mut points = 0;
    for name in ["out.csv", "out.jsonl", "out.parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let table = |disk: Arc<dyn Disk>| -> Result<()> {
            let mut out = TableWriter::create_on(disk, &path, None, batch.schema())?;
            out.write(&batch)?;
            out.finish()?;
            Ok(())
        };
        table(faulty(0, || ())).unwrap();
        let new = std::fs::read(&path).unwrap();
        points += loop_over(Some(b"old"), &new, &path, table);
    }
    println!("R-31: {points}/{points} faults while a table was written left a whole one");
    assert!(points >= 3 * 5, "{points}");
}

#[test]
fn a_fault_while_a_checkpoint_is_written_costs_work_and_nothing_else() {
    let data = open(&SourceOptions::new("bundled:iris")).unwrap();
    let pipeline = Pipeline::builder()
        .stage(VectorAssemblerParams::default())
        .stage(KMeansParams {
            k: 3,
            max_iter: 6,
            tol: 0.0,
            ..Default::default()
        })
        .stage(RandomForestClassifierParams {
            num_trees: 5,
            max_depth: 3,
            prediction_col: "class".to_owned(),
            ..Default::default()
        })
        .build()
        .unwrap();
    let identity = Identity {
        config: String::new(),
        data: "d".to_owned(),
        version: "v".to_owned(),
        simd: "s".to_owned(),
        overwrite: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints {
        path: folder.path().join("m.ember.checkpoint"),
        interval: Duration::ZERO,
        resume: true,
        overwrite: false,
    };
    let fit = |disk: Arc<dyn Disk>| -> Result<(String, u64)> {
        let run = Run::local(7, 1);
        let journal = Arc::new(Journal::open_on(
            disk,
            run.engine.clone(),
            &checkpoints,
            &identity,
        )?);
        let fitted = pipeline.fit(&data, &run.with_engine(journal.clone()))?;
        let replayed = journal.n_replayed();
        journal.discard()?;
        let mut arrays = emberline::pipeline::Arrays::new();
        let stages = fitted.model.save_stages(&mut arrays);
        Ok((format!("{stages:?} {:?}", arrays.tensors()), replayed))
    };
    let (expected, _) = fit(faulty(0, || ())).unwrap();
    let (mut points, mut replayed) = (0, 0);
    for fault in 1.. {
        match fit(faulty(fault, || ())) {
            Ok((found, _)) => {
                assert_eq!(found, expected);
                points = fault - 1;
                break;
            }
            Err(error) => assert!(error.to_string().contains("planted"), "{error}"),
        }
        let (found, again) = fit(faulty(0, || ())).unwrap();
        assert!(found == expected, "fault {fault}: another model after it");
        assert!(!checkpoints.path.exists(), "fault {fault}");
        replayed = replayed.max(again);
    }
    println!(
        "R-31: {points}/{points} faults in a checkpoint, each followed by a resumed run of the same bits"
    );
    assert!(
        points > 20 && replayed > 10,
        "{points} faults, {replayed} rounds taken up"
    );
}
