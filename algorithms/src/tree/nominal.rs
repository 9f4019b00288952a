//! Splits of a node by sets of categories. A missing value is one more category.

use super::criterion::Criterion;
use super::split::{BinSet, Group, Rule, Scratch, Search, insert};

/// Up to so many categories at a node every subset is tried where no order holds the best one.
const MOST_FOR_SUBSETS: usize = 8;
/// Rounds of the power method: the direction only orders categories, so a few digits of it do.
const POWER_ROUNDS: usize = 64;

/// Offers splits by sets of the gathered feature's categories.
pub fn search<C: Criterion>(search: &mut Search<'_, C>, scratch: &Scratch<C::Cell>) {
    let groups = scratch.groups();
    let mut present = BinSet::default();
    groups
        .iter()
        .for_each(|g| insert(&mut present, usize::from(g.bin)));
    if !search.criterion.is_ordered() && groups.len() <= MOST_FOR_SUBSETS {
        subsets(search, scratch, present);
        return;
    }
    let width = search.criterion.width();
    let mut order: Vec<Group> = groups.to_vec();
    if search.criterion.is_ordered() {
        // Stable: categories of equal mean stay in index order.
        order.sort_by(|a, b| {
            let (a, b) = (scratch.sums(a.bin, width), scratch.sums(b.bin, width));
            search.criterion.compare(a, b)
        });
    } else {
        let sums = |g: &Group| {
            search
                .criterion
                .class_sums(scratch.sums(g.bin, width))
                .unwrap_or_default()
        };
        let shares: Vec<Vec<f64>> = groups.iter().map(|g| class_shares(sums(g))).collect();
        let weights: Vec<f64> = groups
            .iter()
            .map(|g| sums(g).iter().map(|w| *w as f64).sum())
            .collect();
        let scores = principal_scores(&shares, &weights);
        let mut by_score: Vec<usize> = (0..groups.len()).collect();
        by_score.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        order = by_score.into_iter().map(|i| groups[i]).collect();
    }
    search.criterion.reset();
    let (mut left, mut left_rows) = (BinSet::default(), 0);
    for group in &order[..order.len().saturating_sub(1)] {
        scratch.shift(search.criterion, group);
        insert(&mut left, usize::from(group.bin));
        left_rows += group.rows;
        search.offer(left_rows, || Rule::Nominal { left, present });
    }
}

/// All ways to part the categories; the first one always goes left, so that no way is tried twice.
fn subsets<C: Criterion>(search: &mut Search<'_, C>, scratch: &Scratch<C::Cell>, present: BinSet) {
    let groups = scratch.groups();
    let Some((first, others)) = groups.split_first() else {
        return;
    };
    for mask in 0..(1_u32 << others.len()) - 1 {
        search.criterion.reset();
        scratch.shift(search.criterion, first);
        let (mut left, mut left_rows) = (BinSet::default(), first.rows);
        insert(&mut left, usize::from(first.bin));
        for (i, group) in others.iter().enumerate() {
            if mask >> i & 1 == 1 {
                scratch.shift(search.criterion, group);
                insert(&mut left, usize::from(group.bin));
                left_rows += group.rows;
            }
        }
        search.offer(left_rows, || Rule::Nominal { left, present });
    }
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
