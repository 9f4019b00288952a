//! What a fit has to tell: importances and out-of-bag scores.

use std::collections::BTreeMap;

use emberline_pipeline::FitReport;
use emberline_pipeline::datasets::Slot;

use super::grow::GrownTree;
use super::oob::OobSums;

/// Adds a tree's importances, normalised to 1: decrease of impurity times weight, summed by feature.
pub(super) fn add_importances(tree: &GrownTree, importance: &mut [f64]) {
    let own = tree
        .nodes
        .iter()
        .zip(&tree.gains)
        .zip(&tree.shares)
        .filter(|((n, _), _)| !n.is_leaf());
    let decreases: Vec<(usize, f64)> = own
        .map(|((n, gain), share)| (n.feature() as usize, gain * share))
        .collect();
    let total: f64 = decreases.iter().map(|d| d.1).sum();
    if total > 0.0 && total.is_finite() {
        decreases
            .into_iter()
            .for_each(|(j, decrease)| importance[j] += decrease / total);
    }
}

/// Importances by original column, largest first, ties by name; they sum to 1 where any tree has gained.
pub(super) fn by_column(importance: &[f64], slots: &[Slot]) -> Vec<(String, f64)> {
    let total: f64 = importance.iter().sum();
    let mut columns: BTreeMap<&str, f64> = BTreeMap::new();
    for (slot, value) in slots.iter().zip(importance) {
        *columns.entry(slot.column.as_str()).or_default() +=
            if total > 0.0 { value / total } else { 0.0 };
    }
    let mut ranked: Vec<(String, f64)> = columns
        .into_iter()
        .map(|(c, v)| (c.to_owned(), v))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable: names stay in order
    ranked
}

/// Writes score, history and warnings of an out-of-bag round; `score` makes the score from the last mean loss.
pub(super) fn report_oob(
    report: &mut FitReport,
    sums: Option<OobSums>,
    score: impl Fn(&OobSums, f64) -> f64,
) {
    let sums = sums.filter(|s| s.rows > 0);
    let Some((sums, last)) =
        sums.and_then(|s| Some((s.history().last().copied()?, s)).map(|(l, s)| (s, l)))
    else {
        report
            .warnings
            .push("no row was out of bag: there is no `oob_score`; grow more trees".to_owned());
        return;
    };
    if sums.rows < report.rows {
        report.warnings.push(format!(
            "`oob_score` is over {} of {} rows: the others were seen by every tree; grow more trees",
            sums.rows, report.rows
        ));
    }
    let value = score(&sums, last);
    if value.is_finite() {
        report.figures.insert("oob_score".to_owned(), value);
    } else {
        report
            .warnings
            .push("`oob_score` has no value: the label is constant".to_owned());
    }
    report.history = sums.history();
}
