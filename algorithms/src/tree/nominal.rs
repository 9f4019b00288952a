//! Splits of a node by sets of categories. A missing value is one more category.

use super::criterion::Criterion;
use super::split::{BinSet, Bounds, Candidate, Rule, compare, insert};

/// Up to so many categories at a node every subset is tried where no order holds the best one.
const MOST_FOR_SUBSETS: usize = 8;
/// Rounds of the power method: the direction only orders categories, so a few digits of it do.
const POWER_ROUNDS: usize = 64;

/// Collects splits by sets of one feature's categories.
struct Search<'a, C: Criterion> {
    criterion: &'a C,
    bounds: &'a Bounds,
    feature: u32,
    present: BinSet,
    best: Option<Candidate<C::Sums>>,
}

impl<C: Criterion> Search<'_, C> {
    /// Offers the split that has these bins and sums on the left.
    fn offer(&mut self, bins: BinSet, left: &C::Sums) {
        let (weight, rows) = (self.criterion.weight(left), self.criterion.rows(left));
        if !self.bounds.allow(weight, rows) {
            return;
        }
        let score = self.criterion.score(left);
        let is_better = |b: &Candidate<C::Sums>| {
            compare(self.criterion, (score, left), (b.score, &b.left)).is_gt()
        };
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(Candidate {
                feature: self.feature,
                rule: Rule::Nominal {
                    left: bins,
                    present: self.present,
                },
                left: left.clone(),
                score,
            });
        }
    }
}

/// The best split by a set of categories; `groups` are those that the node has, ascending, with the sums of their rows.
pub fn search<C: Criterion>(
    criterion: &C,
    groups: &[(u8, C::Sums)],
    bounds: &Bounds,
    feature: u32,
) -> Option<Candidate<C::Sums>> {
    let mut present = BinSet::default();
    groups
        .iter()
        .for_each(|g| insert(&mut present, usize::from(g.0)));
    let mut search = Search {
        criterion,
        bounds,
        feature,
        present,
        best: None,
    };
    if !criterion.is_ordered() && groups.len() <= MOST_FOR_SUBSETS {
        subsets(&mut search, groups);
        return search.best;
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    if criterion.is_ordered() {
        // Stable: categories of equal mean stay in index order.
        order.sort_by(|a, b| criterion.compare(&groups[*a].1, &groups[*b].1));
    } else {
        let scores = scores_along_shares(criterion, groups);
        order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    }
    let (mut bins, mut left) = (BinSet::default(), criterion.empty());
    for g in &order[..order.len().saturating_sub(1)] {
        insert(&mut bins, usize::from(groups[*g].0));
        criterion.add(&mut left, &groups[*g].1);
        search.offer(bins, &left);
    }
    search.best
}

/// All ways to part the categories; the first one always goes left, so that no way is tried twice.
fn subsets<C: Criterion>(search: &mut Search<'_, C>, groups: &[(u8, C::Sums)]) {
    let Some((first, others)) = groups.split_first() else {
        return;
    };
    for mask in 0..(1_u32 << others.len()) - 1 {
        let (mut bins, mut left) = (BinSet::default(), first.1.clone());
        insert(&mut bins, usize::from(first.0));
        for (i, group) in others.iter().enumerate() {
            if mask >> i & 1 == 1 {
                insert(&mut bins, usize::from(group.0));
                search.criterion.add(&mut left, &group.1);
            }
        }
        search.offer(bins, &left);
    }
}

/// Where each category stands along the direction in which class shares differ most.
fn scores_along_shares<C: Criterion>(criterion: &C, groups: &[(u8, C::Sums)]) -> Vec<f64> {
    let mut sums = Vec::new();
    let (mut shares, mut weights) = (Vec::new(), Vec::new());
    for group in groups {
        criterion.class_weights(&group.1, &mut sums);
        shares.push(class_shares(&sums));
        weights.push(sums.iter().map(|w| *w as f64).sum());
    }
    principal_scores(&shares, &weights)
}

fn class_shares(sums: &[u64]) -> Vec<f64> {
    let total: u64 = sums.iter().sum();
    sums.iter()
        .map(|w| *w as f64 / total.max(1) as f64)
        .collect()
}

/// Projections of class shares `(q, k)` on the first principal direction of their weighted covariance, by the power method
/// from the direction of the largest variance.
fn principal_scores(shares: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let k = shares.first().map_or(0, Vec::len);
    let total: f64 = weights.iter().sum();
    let mut centre = vec![0.0; k];
    for (row, w) in shares.iter().zip(weights) {
        for (m, s) in centre.iter_mut().zip(row) {
            *m += w / total * s;
        }
    }
    let centred: Vec<Vec<f64>> = shares
        .iter()
        .map(|row| row.iter().zip(&centre).map(|(s, m)| s - m).collect())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let spread = |c: usize| {
        centred
            .iter()
            .zip(weights)
            .map(|(row, w)| w * row[c] * row[c])
            .sum::<f64>()
    };
    let widest = (0..k).fold(0, |best, c| if spread(c) > spread(best) { c } else { best });
    let mut direction = vec![0.0; k];
    if let Some(d) = direction.get_mut(widest) {
        *d = 1.0;
    }
    for _ in 0..POWER_ROUNDS {
        let mut next = vec![0.0; k];
        for (row, w) in centred.iter().zip(weights) {
            let along = w / total * dot(row, &direction);
            for (n, x) in next.iter_mut().zip(row) {
                *n += along * x;
            }
        }
        let length = dot(&next, &next).sqrt();
        if length <= 0.0 {
            break; // all categories have the same shares
        }
        direction = next.into_iter().map(|x| x / length).collect();
    }
    centred.iter().map(|row| dot(row, &direction)).collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn categories_on_a_line_are_ordered_along_it() {
        // Shares move from the first class to the third: the order is that of the path.
        let shares: Vec<Vec<f64>> = [0.1, 0.9, 0.5, 0.3]
            .iter()
            .map(|t| vec![1.0 - t, 0.0, *t])
            .collect();
        let scores = principal_scores(&shares, &[1.0; 4]);
        let mut order = [0, 1, 2, 3];
        order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        assert!(order == [0, 3, 2, 1] || order == [1, 2, 3, 0], "{order:?}");
    }
}
