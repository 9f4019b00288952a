//! The first centres of every start.

use crate::Result;
use emberline_pipeline::{Pinned, Run};

use super::kernel::{Centres, Geometry};
use super::params::{InitMode, KMeansParams};
use super::recluster::Candidates;
use super::rounds::{Assign, Choice, Each, Pick, Picks, Sample, Step};

/// Rows of k-means++ where the user names none: at least so many, and so many a centre. Distortions are means over rows, so these
/// tell candidates apart that differ by a percent.
const SAMPLE: usize = 16_384;
const SAMPLE_PER_CENTRE: usize = 128;

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
    ) -> Result<Vec<Picks>> {
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
        Ok(picks.map(|p| p.0).unwrap_or_default())
    }

    /// Adds picked rows to their starts; gives back the starts that got any.
    fn extend(sets: &mut [Centres], which: &[usize], picks: &[Picks]) -> Vec<usize> {
        let mut grown = Vec::new();
        for (&start, picks) in which.iter().zip(picks) {
            if !picks.rows.is_empty() {
                grown.push(start);
            }
            sets[start].extend(&picks.centres(sets[start].d()));
        }
        grown
    }

    fn random(&self) -> Result<Vec<Centres>> {
        let mut sets = self.empty();
        let all: Vec<usize> = (0..sets.len()).collect();
        let picks = self.pick(&sets, &all, self.params.k, 0)?;
        Self::extend(&mut sets, &all, &picks);
        Ok(sets)
    }

    /// Greedy k-means++ (Arthur and Vassilvitskii 2007, SODA, section 5) on a sample of rows: of `2 + ln k` drawn rows the best
    /// becomes a centre.
    fn plus_plus(&self) -> Result<Vec<Centres>> {
        let (k, mut sets) = (self.params.k, self.empty());
        let all: Vec<usize> = (0..sets.len()).collect();
        let first = self.pick(&sets, &all, 1, 0)?;
        let weight = first.first().map_or(0.0, |p| p.mass);
        let rows = SAMPLE.max(SAMPLE_PER_CENTRE.saturating_mul(k));
        let rows = self.params.init_size.unwrap_or(rows) as f64;
        let mut candidates: Vec<(usize, Picks)> = all.into_iter().zip(first).collect();
        for step in 1..=k as u64 {
            candidates.retain(|(_, picks)| !picks.rows.is_empty());
            if candidates.is_empty() {
                break;
            }
            let set = |(s, picks): &(usize, Picks)| {
                (*s as u64, sets[*s].clone(), picks.centres(sets[*s].d()))
            };
            let round = Step {
                geometry: self.geometry.clone(),
                sets: candidates.iter().map(set).collect(),
                count: 2 + (k as f64).ln() as usize,
                seed: self.seed,
                step,
                sample: Sample::new(self.seed, rows, weight),
            };
            let Some(outlooks) = self.run.round(self.data, &round)? else {
                break;
            };
            for ((s, picks), Each(outlooks)) in candidates.iter_mut().zip(outlooks.0) {
                let less = |(b, best): (usize, Picks), (c, next): (usize, Picks)| {
                    if next.mass < best.mass {
                        (c, next)
                    } else {
                        (b, best)
                    }
                };
                if let Some((best, next)) = outlooks.into_iter().enumerate().reduce(less) {
                    sets[*s].push(&picks.rows[best].x);
                    *picks = next;
                }
            }
        }
        self.complete(&mut sets, k)?;
        Ok(sets)
    }

    /// Draws further rows, out of all, for starts that have fewer than `k`: a sample may hold fewer distinct ones.
    fn complete(&self, sets: &mut [Centres], k: usize) -> Result<()> {
        let mut step = k as u64;
        loop {
            step += 1;
            let open: Vec<usize> = (0..sets.len()).filter(|&s| sets[s].k() < k).collect();
            let picks = if open.is_empty() {
                Vec::new()
            } else {
                self.pick(sets, &open, 1, step)?
            };
            if Self::extend(sets, &open, &picks).is_empty() {
                return Ok(());
            }
        }
    }

    /// k-means|| (Bahmani et al. 2012, PVLDB 5(7)) with exactly `2 k` rows drawn a pass.
    fn parallel(&self) -> Result<Vec<Centres>> {
        let (k, mut sets) = (self.params.k, self.empty());
        let mut open: Vec<usize> = (0..sets.len()).collect();
        let first = self.pick(&sets, &open, 1, 0)?;
        Self::extend(&mut sets, &open, &first);
        let mut step = 1;
        // Further passes where equal rows left fewer than `k` candidates; a pass that finds none has seen every distinct row.
        while !open.is_empty()
            && (step <= self.params.init_steps as u64 || open.iter().any(|&s| sets[s].k() < k))
        {
            let picks = self.pick(&sets, &open, 2 * k, step)?;
            open = Self::extend(&mut sets, &open, &picks);
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
        let candidates = sets.iter().zip(&weights.0).map(|(rows, sums)| Candidates {
            rows,
            weights: &sums.weights,
            geometry: self.geometry,
        });
        self.best_of(&candidates.collect::<Vec<_>>())
    }
}
