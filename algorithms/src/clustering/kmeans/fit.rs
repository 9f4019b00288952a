//! The loop: seed, move the centres until they rest, keep the best start.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Result;
use emberline_pipeline::Jobs;
use emberline_pipeline::datasets::{
    BLOCK_ROWS, BlockSpec, ColumnType, DataError, Dataset, Element, LabelSpec, MissingRule, Schema,
    SchemaError, SchemaErrors,
};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{FeatureInput, extend};
use emberline_pipeline::{
    AnyStage, Component, Estimator, FitReport, Fitted, Kind, ParamErrors, Pinned, Registry, Rounds,
    Run, Stage, StopReason,
};
use ndarray::Array2;
use serde_json::Value;

use super::kernel::{Centres, Geometry, Sums, kept_bytes};
use super::model::{KMeansModel, array_of, output_columns};
use super::params::{DistanceMeasure, InitMode, KMeansParams};
use super::recluster::moved;
use super::rounds::{Assign, Choice, Moved, Pick, Step};
use super::seeding::Seeding;
use crate::columns::weight_column;

/// Finds `k` centres with a small summed squared distance to their rows (Lloyd's algorithm).
///
/// For round clusters of like size. Features are used as given: scale them first if their units differ.
/// - in: `features` `(n, d)`, finite, dense or sparse; optional weights `(n,)`, not negative, counting as repetition
/// - out: `prediction`, the index of the nearest centre (ties to the lower index), and `distance`, the squared distance to it
/// - report: the distortion at each assignment of the best start, which never increases; `distortion`, `effective_k` (clusters
///   that hold rows) and `n_iter` (how often centres moved)
/// - cost: at most O(n k d) per start and round, in `f32` products; O(n d) once bounds settle most rows. Sparse rows pay for their
///   stored values in products and sums, and for `d` slots in one distance. O(starts k d) numbers merged a round. First centres:
///   `init_steps + 2` passes for k-means||, and twenty over a sample of 4,096 rows; one pass for k-means++, and `k` over a sample
/// - memory: beside the blocks, 4 bytes a row and start for its centre, and where there are many centres or slots 4 for the way to it and
///   no more than an eighth of the features for bounds of the others; `k (d + 1)` numbers a block and start for sums; a sample is a copy
///   of its rows
///
/// What is nearest, and how near, is measured in `f64` whatever the column holds, the same for training, batches and records. Faster
/// arithmetic only rules centres out, with its rounding allowed for, so it cannot change a result.
///
/// A cluster that is left without rows moves to the row with the largest weighted distance to its own centre (ties by row id),
/// which can only lower the distortion. Where no row is left off its centre there are fewer distinct rows than `k`, and the
/// cluster is dropped with a warning. Starts are equal in all but their draws, which are keyed by start and row id.
/// # Errors
/// A missing or infinite feature, a negative weight: column and row are named. No rows, or none with weight. Reaching `max_iter` is
/// none.
/// # Source
/// Lloyd 1982, IEEE Trans. Inf. Theory 28(2); seeding: Bahmani et al. 2012, PVLDB 5(7), Arthur and Vassilvitskii 2007, SODA, and
/// Bradley and Fayyad 1998, ICML; bounds: Hamerly 2010, SDM, and Ding et al. 2015, ICML.
#[derive(Debug, Clone)]
pub struct KMeans {
    params: KMeansParams,
}

impl Component for KMeans {
    const NAME: &'static str = "kmeans";
    const SUMMARY: &'static str = "groups rows around k centres";
    const KIND: Kind = Kind::Clusterer;
    type Params = KMeansParams;

    fn build(params: KMeansParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }

    fn jobs(jobs: &mut Jobs) {
        jobs.round::<Assign>().round::<Pick>().round::<Step>();
    }
}

impl KMeans {
    fn spec(&self, schema: &Schema) -> BlockSpec {
        BlockSpec {
            features: self.params.features_col.clone(),
            label: LabelSpec::None,
            weight: weight_column(self.params.weight_col.as_deref(), schema),
            missing: MissingRule::Error,
        }
    }

    fn check_width(&self, width: usize) -> Result<(), SchemaErrors> {
        match self.params.centers.first() {
            Some(first) if first.len() != width => Err(SchemaError::Rule(format!(
                "the given centres have {} numbers each, column `{}` has {width} slots",
                first.len(),
                self.params.features_col
            ))
            .into()),
            _ => Ok(()),
        }
    }

    fn k(&self) -> usize {
        if self.params.init_mode == InitMode::Given {
            self.params.centers.len()
        } else {
            self.params.k
        }
    }
}

impl Stage for KMeans {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.spec(input).check(input)?;
        if let ColumnType::Vector {
            width: Some(width), ..
        } = input.get(&self.params.features_col)?.ty
        {
            self.check_width(width)?;
        }
        extend(
            input,
            output_columns(&self.params.prediction_col, &self.params.distance_col),
        )
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.spec(input).columns()
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        output_columns(&self.params.prediction_col, &self.params.distance_col)
            .into_iter()
            .map(|c| c.name)
            .collect()
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for KMeans {
    type Model = KMeansModel;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<KMeansModel>> {
        let pinned = self.pin(data, run)?;
        let geometry = self.geometry();
        let first = self.seed(&pinned, &geometry, run)?;
        let lloyd = Lloyd {
            params: &self.params,
            geometry: &geometry,
            data: &pinned,
            run,
        };
        let best = lloyd.best(first)?;
        let finite = |v: &f64| v.is_finite();
        if !best.centres.values().iter().all(finite) || !best.history.last().is_none_or(finite) {
            return Err(DataError::Unusable(format!(
                "column `{}`: squared distances or sums of rows overflow; scale the features first",
                self.params.features_col
            ))
            .into());
        }
        let report = self.report(&best, pinned.n_rows());
        let input = FeatureInput {
            column: self.params.features_col.clone(),
            slots: pinned.slots().clone(),
            missing: MissingRule::Error,
        };
        let model = KMeansModel::new(&self.params, input, best.centres, geometry.cosine);
        Ok(Fitted { model, report })
    }

    fn working_memory(&self, input: &Schema, rows: u64) -> Option<u64> {
        let (d, element) = match input.get(&self.params.features_col).ok().map(|c| &c.ty) {
            Some(ColumnType::Vector { width, element, .. }) => ((*width)?, *element),
            _ => return Some(0),
        };
        let bytes = d * if element == Element::F32 { 4 } else { 8 };
        let block = rows.min(BLOCK_ROWS as u64) as usize;
        let kept = kept_bytes(block, self.k(), d, bytes, self.params.n_init);
        Some(rows.saturating_mul(kept as u64))
    }
}

impl KMeans {
    /// The first centres alone, `(k, d)` for each of the `n_init` starts, before any is moved; fewer than `k` where there are
    /// fewer distinct rows. [`Estimator::fit`] starts from the same ones.
    ///
    /// # Errors
    /// As [`Estimator::fit`].
    pub fn first_centres(&self, data: &Dataset, run: &Run) -> Result<Vec<Array2<f64>>> {
        let pinned = self.pin(data, run)?;
        let starts = self.seed(&pinned, &self.geometry(), run)?;
        Ok(starts.iter().map(array_of).collect())
    }

    fn pin(&self, data: &Dataset, run: &Run) -> Result<Pinned> {
        let pinned = run.pin(data, &self.spec(data.schema()))?;
        if pinned.n_rows() == 0 {
            return Err(DataError::Unusable("there are no rows to cluster".to_owned()).into());
        }
        if pinned.n_features() == 0 {
            return Err(DataError::Unusable(format!(
                "column `{}` has no slots to cluster by",
                self.params.features_col
            ))
            .into());
        }
        self.check_width(pinned.n_features())?;
        Ok(pinned)
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            cosine: self.params.distance_measure == DistanceMeasure::Cosine,
            column: self.params.features_col.clone(),
        }
    }

    fn seed(&self, data: &Pinned, geometry: &Geometry, run: &Run) -> Result<Vec<Centres>> {
        let first = Seeding {
            params: &self.params,
            geometry,
            data,
            run,
            seed: self.params.seed.unwrap_or(run.seed),
        }
        .centres()?;
        if first.iter().all(|c| c.k() == 0) {
            return Err(DataError::Unusable(
                "all rows have weight 0, so there is nothing to cluster".to_owned(),
            )
            .into());
        }
        Ok(first)
    }

    fn report(&self, best: &Start, rows: u64) -> FitReport {
        let effective = best.filled;
        let mut warnings = Vec::new();
        if effective < self.k() {
            warnings.push(format!(
                "{effective} clusters hold rows, {} were asked for: there are fewer distinct rows, or the centres never moved",
                self.k()
            ));
        }
        if best.stop == Some(StopReason::MaxIter) {
            warnings.push(format!(
                "stopped after {} moves, before the centres came to rest; raise `max_iter` or `tol`",
                best.moves
            ));
        }
        let distortion = best.history.last().copied().unwrap_or(0.0);
        FitReport {
            rows,
            rounds: best.history.len() as u64,
            stop: best.stop.unwrap_or_default(),
            history: best.history.clone(),
            importances: Vec::new(),
            figures: BTreeMap::from([
                ("distortion".to_owned(), distortion),
                ("effective_k".to_owned(), effective as f64),
                ("n_iter".to_owned(), best.moves as f64),
            ]),
            warnings,
        }
    }
}

/// One start on its way. Centres, distortions and the reason for stopping belong together.
struct Start {
    centres: Centres,
    before: Centres,
    moved: Option<Moved>,
    history: Vec<f64>,
    moves: usize,
    filled: usize,
    resting: bool,
    stop: Option<StopReason>,
}

/// What to do with a start after an assignment.
enum Next {
    Rest,
    Move(Centres, Vec<usize>),
}

struct Lloyd<'a> {
    params: &'a KMeansParams,
    geometry: &'a Geometry,
    data: &'a Pinned,
    run: &'a Run,
}

impl Lloyd<'_> {
    /// Moves all starts together, a pass of the data for each round; the least distortion wins, ties to the lower start.
    fn best(&self, first: Vec<Centres>) -> Result<Start> {
        let mut starts: Vec<Start> = first.into_iter().map(Start::new).collect();
        let mut rounds = Rounds::start(
            self.run,
            self.data.n_rows(),
            Some(self.params.max_iter as u64 + 1),
        );
        for round in 0..=self.params.max_iter {
            let active: Vec<usize> = (0..starts.len())
                .filter(|&s| starts[s].stop.is_none())
                .collect();
            if active.is_empty() {
                break;
            }
            let sets: Vec<_> = active
                .iter()
                .map(|&s| (starts[s].centres.clone(), starts[s].moved.clone()))
                .collect();
            let bytes = 8 * sets
                .iter()
                .map(|(c, _)| c.values().len() + c.k() + 1)
                .sum::<usize>() as u64;
            let assign = Assign::new(self.geometry, sets);
            let Some(sums) = self.run.round(self.data, &assign)? else {
                break;
            };
            let may_move = round < self.params.max_iter;
            self.advance(&mut starts, &active, &sums.0, may_move)?;
            let cost = |s: &Start| s.history.last().copied().unwrap_or(f64::INFINITY);
            rounds.finished(
                Some(starts.iter().map(cost).fold(f64::INFINITY, f64::min)),
                bytes,
            );
        }
        let cost = |s: &Start| s.history.last().copied().unwrap_or(f64::INFINITY);
        starts
            .into_iter()
            .reduce(|best, s| if cost(&s) < cost(&best) { s } else { best })
            .ok_or_else(|| DataError::Unusable("there is no start".to_owned()).into())
    }

    fn advance(
        &self,
        starts: &mut [Start],
        active: &[usize],
        sums: &[Sums],
        may_move: bool,
    ) -> Result<()> {
        let mut moving: Vec<(usize, Centres, Vec<usize>)> = Vec::new();
        for (&s, sums) in active.iter().zip(sums) {
            if let Next::Move(next, empty) = starts[s].take(sums, self.geometry, may_move) {
                moving.push((s, next, empty));
            }
        }
        self.refill(starts, &mut moving)?;
        for (s, next, _) in moving {
            starts[s].move_to(next, self.params.tol);
        }
        Ok(())
    }

    /// Puts empty clusters on the farthest rows, and drops those for which there is none.
    fn refill(&self, starts: &[Start], moving: &mut [(usize, Centres, Vec<usize>)]) -> Result<()> {
        let count = moving
            .iter()
            .map(|(.., empty)| empty.len())
            .max()
            .unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        let needy: Vec<usize> = (0..moving.len())
            .filter(|&m| !moving[m].2.is_empty())
            .collect();
        let sets = needy
            .iter()
            .map(|&m| (moving[m].0 as u64, starts[moving[m].0].centres.clone()))
            .collect();
        let round = Pick {
            geometry: self.geometry.clone(),
            sets,
            count,
            choice: Choice::Farthest,
        };
        let Some(picks) = self.run.round(self.data, &round)? else {
            return Ok(());
        };
        for (m, picks) in needy.into_iter().zip(picks.0) {
            let (_, next, empty) = &mut moving[m];
            empty
                .iter()
                .zip(&picks.rows)
                .for_each(|(&c, row)| next.row_mut(c).copy_from_slice(&row.x));
            let dropped: Vec<usize> = empty.iter().skip(picks.rows.len()).copied().collect();
            next.retain(|c| !dropped.contains(&c));
        }
        Ok(())
    }
}

impl Start {
    fn new(centres: Centres) -> Self {
        let before = centres.clone();
        Self {
            centres,
            before,
            moved: None,
            history: Vec::new(),
            moves: 0,
            filled: 0,
            resting: false,
            stop: None,
        }
    }

    /// Notes the distortion of the centres as they are and says where they go next.
    fn take(&mut self, sums: &Sums, geometry: &Geometry, may_move: bool) -> Next {
        let cost = sums.cost * geometry.scale();
        if self.history.last().is_some_and(|last| cost > *last) {
            // Only rounding can do that: the centres before were as good as numbers can tell.
            self.centres = self.before.clone();
            self.moves -= 1;
            self.stop = Some(StopReason::Converged);
            return Next::Rest;
        }
        self.history.push(cost);
        let empty: Vec<usize> = (0..self.centres.k())
            .filter(|&c| sums.weights[c] <= 0.0)
            .collect();
        self.filled = self.centres.k() - empty.len();
        if self.resting || !may_move {
            self.stop = Some(if self.resting {
                StopReason::Converged
            } else {
                StopReason::MaxIter
            });
            return Next::Rest;
        }
        let next = moved(sums, &self.centres, geometry);
        Next::Move(next, empty)
    }

    fn move_to(&mut self, next: Centres, tol: f64) {
        if next == self.centres {
            self.stop = Some(StopReason::Converged);
            return;
        }
        let farthest = if next.k() == self.centres.k() {
            let shift =
                |c| super::kernel::squared_distance(next.row(c), self.centres.row(c)).sqrt();
            let moved: Vec<f64> = (0..next.k()).map(shift).collect();
            let farthest = moved.iter().copied().fold(0.0, f64::max);
            self.moved = Some((self.centres.print(), moved));
            farthest
        } else {
            self.moved = None;
            f64::INFINITY
        };
        // The last move still gets its distortion, so that the one reported is that of the centres handed out.
        self.resting = farthest <= tol;
        self.before = std::mem::replace(&mut self.centres, next);
        self.moves += 1;
    }
}
