//! `checkpoint_load`: a run goes on from a checkpoint of any content, starts anew, or says why it cannot.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use emberline::pipeline::engine::journal::{Checkpoints, Identity, Journal};
use emberline::prelude::*;

/// A small run of two learners, and what it learns.
struct Undisturbed {
    data: Dataset,
    pipeline: Pipeline,
    stages: String,
    /// The checkpoint at its end.
    whole: Vec<u8>,
}

static RUN: LazyLock<Undisturbed> =
    LazyLock::new(|| undisturbed().unwrap_or_else(|e| panic!("{e}")));

fn undisturbed() -> Result<Undisturbed> {
    let mut run = Undisturbed {
        data: open(&SourceOptions::new("bundled:iris"))?,
        pipeline: Pipeline::builder()
            .stage(VectorAssemblerParams::default())
            .stage(KMeansParams {
                k: 3,
                max_iter: 4,
                ..Default::default()
            })
            .stage(RandomForestClassifierParams {
                num_trees: 3,
                max_depth: 3,
                prediction_col: "class".to_owned(),
                ..Default::default()
            })
            .build()?,
        stages: String::new(),
        whole: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = folder.path().join("c");
    run.stages = run.fit(&path)?;
    run.whole = std::fs::read(&path).unwrap_or_default();
    Ok(run)
}

impl Undisturbed {
    /// Fits under the checkpoint at `path`, going on from it.
    fn fit(&self, path: &Path) -> Result<String> {
        let identity = Identity {
            config: "seed = 7\n".to_owned(),
            data: "d".to_owned(),
            version: "v".to_owned(),
            simd: "s".to_owned(),
            overwrite: false,
        };
        let checkpoints = Checkpoints {
            path: path.to_owned(),
            interval: Duration::ZERO,
            resume: true,
            overwrite: false,
        };
        let run = Run::local(7, 1);
        let journal = Arc::new(Journal::open(run.engine.clone(), &checkpoints, &identity)?);
        let fitted = self.pipeline.fit(&self.data, &run.with_engine(journal))?;
        let mut arrays = emberline::pipeline::Arrays::new();
        let stages = fitted.model.save_stages(&mut arrays);
        Ok(format!("{stages:?} {:?}", arrays.tensors()))
    }
}

/// The checkpoint of an undisturbed run, a seed for mutations.
pub fn whole_checkpoint() -> &'static [u8] {
    &RUN.whole
}

/// Goes on from a checkpoint of these bytes; true where the run came to its end.
///
/// # Panics
/// It ends in another model: a checksum let damage through.
pub fn checkpoint_load(bytes: &[u8]) -> bool {
    let run = &*RUN;
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = folder.path().join("c");
    std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{e}"));
    let _ = Journal::left_by(&path);
    let Ok(stages) = run.fit(&path) else {
        return false;
    };
    assert!(stages == run.stages, "another model");
    true
}
