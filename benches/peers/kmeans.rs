//! K1 K2 K3: twenty rounds of Lloyd's algorithm from given centres. K4: the first centres alone.

use emberline::prelude::*;
use ndarray::Array2;

use crate::clock::{led, median};
use crate::input::{Features, Label, dataset};
use crate::quality::distortion;
use crate::record::Record;
use crate::{Options, Outcome, npy};

const ROUNDS: usize = 20;
const K4_CLUSTERS: usize = 10;

fn build(params: KMeansParams) -> Outcome<KMeans> {
    Ok(KMeans::build(params, &Registry::new())?)
}

fn given(centers: Vec<Vec<f64>>) -> KMeansParams {
    KMeansParams {
        init_mode: InitMode::Given,
        centers,
        ..KMeansParams::default()
    }
}

fn rows_of(centres: &Array2<f64>) -> Vec<Vec<f64>> {
    centres.rows().into_iter().map(|r| r.to_vec()).collect()
}

/// The same rounds from the same centres for every tool; no early stop.
pub fn rounds(workload: &str, options: &Options) -> Outcome<Record> {
    let folder = options.data.join(workload);
    let features = Features::dense(&folder, "X")?;
    let init = npy::read::<f32>(&folder, "init")?;
    let centre = |row: &[f32]| row.iter().map(|v| f64::from(*v)).collect();
    let learner = build(KMeansParams {
        max_iter: ROUNDS,
        tol: 0.0,
        ..given(init.values.chunks_exact(init.columns).map(centre).collect())
    })?;
    let data = dataset(&features, &Label::None)?;
    let (fitted, timing) = led(options, |_| Ok(learner.fit(&data, &options.run())?))?;
    let settings = format!("k {}, {ROUNDS} rounds from given centres, f32", init.rows);
    Ok(Record::new(workload, settings, options.threads)
        .input(features.rows(), features.columns(), features.bytes())
        .timing(&timing)
        .with("distortion", distortion(&features, &fitted.model.centres()))
        .with("rounds", fitted.report.figures["n_iter"]))
}

/// The first centres alone on the clock; then, off the clock, Lloyd's algorithm until it rests.
pub fn seeding(workload: &str, init_mode: InitMode, options: &Options) -> Outcome<Record> {
    let features = Features::dense(&options.data.join("K1"), "X")?;
    let data = dataset(&features, &Label::None)?;
    let mut firsts = Vec::new();
    // Seedings differ in quality by chance: every repetition has a seed of its own.
    let ((), timing) = led(options, |rep| {
        let learner = build(KMeansParams {
            k: K4_CLUSTERS,
            init_mode,
            seed: Some(1 + rep as u64),
            ..KMeansParams::default()
        })?;
        firsts.extend(learner.first_centres(&data, &options.run())?);
        Ok(())
    })?;
    let starts: Vec<f64> = firsts.iter().map(|f| distortion(&features, f)).collect();
    let mut ends = Vec::new();
    for first in &firsts {
        let learner = build(KMeansParams {
            max_iter: 300,
            ..given(rows_of(first))
        })?;
        let fitted = learner.fit(&data, &options.run())?;
        ends.push(distortion(&features, &fitted.model.centres()));
    }
    let settings = format!("k {K4_CLUSTERS}, seeds 1 to {}", firsts.len());
    Ok(Record::new(workload, settings, options.threads)
        .input(features.rows(), features.columns(), features.bytes())
        .timing(&timing)
        .with("distortion_init", median(&starts))
        .with("distortion", median(&ends)))
}
