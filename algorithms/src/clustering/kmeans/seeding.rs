//! The first centres of every start.

use crate::Result;
use emberline_pipeline::{Pinned, Run};

use super::kernel::{Centres, Geometry};
use super::params::{InitMode, KMeansParams};
use super::recluster::recluster;
use super::rounds::{Assign, Choice, Pick, Picked, Potential};

/// Rows on which candidates are compared, about; all where there are fewer. Distortions are means over rows, so this many tell
/// candidates apart that differ by a percent.
const SAMPLE: f64 = 16_384.0;

/// Finds first centres; all starts share the passes.
pub struct Seeding<'a> {
    pub params: &'a KMeansParams,
    pub geometry: &'a Geometry,
    pub data: &'a Pinned,
    pub run: &'a Run,
    pub seed: u64,
}

impl Seeding<'_> {
    /// First centres of each start: `k` each, or all distinct rows where there are fewer.
    pub fn centres(&self) -> Result<Vec<Centres>> {
        match self.params.init_mode {
            InitMode::Given => Ok(vec![self.given()]),
            InitMode::Random => self.random(),
            InitMode::PlusPlus => self.plus_plus(),
            InitMode::Parallel => self.parallel(),
        }
    }

    fn given(&self) -> Centres {
        let mut centres = Centres::none(self.data.n_features());
        for centre in &self.params.centers {
            let mut centre = centre.clone();
            if self.geometry.cosine {
                super::kernel::normalise(&mut centre);
            }
            centres.push(&centre);
        }
        centres
    }

    fn empty(&self) -> Vec<Centres> {
        vec![Centres::none(self.data.n_features()); self.params.n_init]
    }

    /// Picks up to `count` rows for each of the starts in `which`.
    fn pick(
        &self,
        sets: &[Centres],
        which: &[usize],
        count: usize,
        step: u64,
    ) -> Result<Vec<Vec<Picked>>> {
        let round = Pick {
            geometry: self.geometry.clone(),
            sets: which.iter().map(|&s| (s as u64, sets[s].clone())).collect(),
            count,
            choice: Choice::Draw {
                seed: self.seed,
                step,
            },
        };
        let picks = self.run.round(self.data, &round)?;
        Ok(picks
            .map(|p| p.0.into_iter().map(|p| p.rows).collect())
            .unwrap_or_default())
    }

    /// Adds picked rows to their starts; gives back the starts that got any.
    fn extend(sets: &mut [Centres], which: &[usize], picks: Vec<Vec<Picked>>) -> Vec<usize> {
        let mut grown = Vec::new();
        for (&start, rows) in which.iter().zip(picks) {
            if !rows.is_empty() {
                grown.push(start);
            }
            rows.iter().for_each(|p| sets[start].push(&p.x));
        }
        grown
    }

    fn random(&self) -> Result<Vec<Centres>> {
        let mut sets = self.empty();
        let all: Vec<usize> = (0..sets.len()).collect();
        let picks = self.pick(&sets, &all, self.params.k, 0)?;
        Self::extend(&mut sets, &all, picks);
        Ok(sets)
    }

    /// Greedy k-means++ (Arthur and Vassilvitskii 2007, SODA, section 5): of `2 + ln k` drawn rows the best becomes a
    /// centre, as measured on a sample of rows.
    fn plus_plus(&self) -> Result<Vec<Centres>> {
        let mut sets = self.empty();
        let mut open: Vec<usize> = (0..sets.len()).collect();
        let first = self.pick(&sets, &open, 1, 0)?;
        Self::extend(&mut sets, &open, first);
        let trials = 2 + (self.params.k as f64).ln() as usize;
        for step in 1..self.params.k as u64 {
            let picks = self.pick(&sets, &open, trials, step)?;
            let (next, candidates): (Vec<usize>, Vec<Vec<Picked>>) = open
                .iter()
                .copied()
                .zip(picks)
                .filter(|(_, rows)| !rows.is_empty())
                .unzip();
            open = next;
            if open.is_empty() {
                break;
            }
            self.add_best(&mut sets, &open, &candidates)?;
        }
        Ok(sets)
    }

    fn add_best(&self, sets: &mut [Centres], open: &[usize], picks: &[Vec<Picked>]) -> Result<()> {
        let d = self.data.n_features();
        let candidates = |rows: &Vec<Picked>| {
            Centres::of(d, rows.iter().flat_map(|p| p.x.iter().copied()).collect())
        };
        let round = Potential {
            geometry: self.geometry.clone(),
            sets: open
                .iter()
                .zip(picks)
                .map(|(&s, rows)| (sets[s].clone(), candidates(rows)))
                .collect(),
            sample: (self.seed, SAMPLE / self.data.n_rows() as f64),
        };
        let Some(worth) = self.run.round(self.data, &round)? else {
            return Ok(());
        };
        for ((&start, rows), worth) in open.iter().zip(picks).zip(worth.0) {
            let best = (0..rows.len()).fold(0, |b, c| if worth.0[c] < worth.0[b] { c } else { b });
            sets[start].push(&rows[best].x);
        }
        Ok(())
    }

    /// k-means|| (Bahmani et al. 2012, PVLDB 5(7)) with exactly `2 k` rows drawn a pass.
    fn parallel(&self) -> Result<Vec<Centres>> {
        let (k, mut sets) = (self.params.k, self.empty());
        let mut open: Vec<usize> = (0..sets.len()).collect();
        let first = self.pick(&sets, &open, 1, 0)?;
        Self::extend(&mut sets, &open, first);
        let mut step = 1;
        // Further passes where equal rows left fewer than `k` candidates; a pass that finds none has seen every distinct row.
        while !open.is_empty()
            && (step <= self.params.init_steps as u64 || open.iter().any(|&s| sets[s].k() < k))
        {
            let picks = self.pick(&sets, &open, 2 * k, step)?;
            open = Self::extend(&mut sets, &open, picks);
            if step >= self.params.init_steps as u64 {
                open.retain(|&s| sets[s].k() < k);
            }
            step += 1;
        }
        let round = Assign::new(
            self.geometry,
            sets.iter().map(|c| (c.clone(), None)).collect(),
        );
        let Some(weights) = self.run.round(self.data, &round)? else {
            return Ok(sets);
        };
        let few = |start: usize, set: &Centres, weights: &[f64]| {
            let draw = self
                .run
                .draw(Some(self.seed), "kmeans recluster")
                .at(start as u64);
            recluster(set, weights, k, self.geometry, &mut draw.stream())
        };
        Ok(sets
            .iter()
            .zip(weights.0)
            .enumerate()
            .map(|(s, (set, sums))| few(s, set, &sums.weights))
            .collect())
    }
}
