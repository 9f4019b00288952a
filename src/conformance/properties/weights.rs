//! Learning semantics, weights: 39 to 41.

use super::{Held, Property, Tried, Verdict, ensure, refused};
use crate::conformance::scored::{Scored, score};
use crate::conformance::subject::Subject;
use crate::conformance::table::{Cells, Table};
use crate::pipeline::row::Cell;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(39, "weight is repetition", weight_is_repetition),
    Property::new(40, "scale of weights", scale_of_weights),
    Property::new(41, "weights of zero, bad weights", zero_and_bad_weights),
];

const UNWEIGHTED: Held =
    Held::NotAsked("it takes no weights, and a column with that role changes nothing");

/// Runs of each kind that are compared in distribution.
const RUNS: u64 = 200;
/// The least probability of a difference as large as the one found, if there were none, that passes.
const LEAST_P: f64 = 1e-4;

/// A stage that does not declare to be weighted must not be moved by weights, nor have a parameter for them.
fn unmoved(s: &Subject<'_>) -> Verdict {
    ensure!(
        !s.has("weight_col"),
        "it has `weight_col`, and `weighted` is not declared"
    );
    let table = s
        .table()
        .weighted((0..s.table().rows()).map(|i| (i % 5) as f64));
    let fit = s.fit_on(&table).tried("fit with weights")?;
    ensure!(
        fit.saved() == s.fitted()?.saved(),
        "weights change the model, though `weighted` is not declared"
    );
    Ok(UNWEIGHTED)
}

/// Whole weights of 0 to 4, spread over the rows without order.
fn whole_weights(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7 + i / 5) % 5) as f64).collect()
}

/// Each row as often as its weight says.
fn repeated(table: &Table, weights: &[f64]) -> Table {
    let rows: Vec<usize> = weights
        .iter()
        .enumerate()
        .flat_map(|(i, w)| std::iter::repeat_n(i, *w as usize))
        .collect();
    table.pick(&rows)
}

/// A weight of `k` is the row `k` times, and of 0 no row: equal predictions for stages without a seed; for others predictions of the same
/// distribution, by the test of Kolmogorov and Smirnov over 200 seeds each.
///
/// Where rows are drawn (`bootstrap`), a weight scales the row that was drawn: its copies come and go together. Drawing each copy for
/// itself would make predictions depend on the scale of the weights, against property 40; so it is asked without draws of rows.
fn weight_is_repetition(s: &Subject<'_>) -> Verdict {
    if !s.traits.weighted {
        return unmoved(s);
    }
    if s.traits.uses_seed {
        return same_distribution(s);
    }
    let table = s.table();
    let weights = whole_weights(table.rows());
    let once = s
        .fit_on(&table.clone().weighted(weights.clone()))
        .tried("weights")?;
    let often = s
        .fit_on(&repeated(&table, &weights))
        .tried("repeated rows")?;
    ensure!(
        once.saved() != s.fitted()?.saved(),
        "weights have no effect"
    );
    let (a, b) = (
        score(&once.model, &table).tried("score")?,
        score(&often.model, &table).tried("score")?,
    );
    // Sums over rows in another number, and optimisers that stop by a relative rule of 1e-6, end apart by less than this.
    a.agrees(&b, s.tolerance())
        .tried("weights and repeated rows")?;
    Ok(Held::Yes)
}

impl Subject<'_> {
    /// How near two fits of one problem come that go different ways: the rounding of sums where the stage has no rule to stop by,
    /// and what the rule leaves open where it has.
    fn tolerance(&self) -> f64 {
        if self.has("tol") || self.has("classifier") {
            1e-3
        } else {
            1e-10
        }
    }
}

fn same_distribution(s: &Subject<'_>) -> Verdict {
    let rows: Vec<usize> = (0..48).collect();
    let table = s.table().pick(&rows);
    let weights = whole_weights(table.rows());
    let often = repeated(&table, &weights);
    let once = table.clone().weighted(weights.clone());
    let mut params = s.example();
    if s.has("bootstrap") {
        params.insert("bootstrap".to_owned(), toml::Value::Boolean(false));
    }
    let sample = |table: &Table, first: u64| -> std::result::Result<Vec<Vec<f64>>, String> {
        let data = table.dataset().tried("table")?;
        let mut run = Run::local(0, 1);
        let mut figures = Vec::new();
        for seed in first..first + RUNS {
            run.seed = seed;
            let fit = s.fit_with(&params, &data, &run).tried("fit")?;
            figures.push(summary(
                &score(&fit.model, &s.table().pick(&rows)).tried("score")?,
            ));
        }
        Ok(figures)
    };
    let (a, b) = (sample(&once, 0)?, sample(&often, RUNS)?);
    let n_figures = a.first().map_or(0, Vec::len);
    ensure!(n_figures > 0, "it writes no number");
    // Several figures are compared: the bound is shared among them.
    for k in 0..n_figures {
        let of = |sample: &[Vec<f64>]| sample.iter().map(|f| f[k]).collect::<Vec<f64>>();
        let p = kolmogorov_smirnov(of(&a), of(&b));
        ensure!(
            p > LEAST_P / n_figures as f64,
            "figure {k} of the predictions has another distribution under weights than under repeated rows (p = {p:.1e})"
        );
    }
    Ok(Held::Yes)
}

/// Figures of the numbers that a model gives: their mean and mean square over rows by output, and the first three rows.
fn summary(scored: &Scored) -> Vec<f64> {
    let mut figures = Vec::new();
    for cells in scored.columns.values() {
        let numbers: Vec<f64> = cells
            .iter()
            .filter_map(|c| match c {
                Cell::Number(v) => Some(*v),
                Cell::Vector(v) => v.first().copied(),
                Cell::Null | Cell::Text(_) => None,
            })
            .collect();
        if numbers.is_empty() {
            continue;
        }
        let n = numbers.len() as f64;
        figures.push(numbers.iter().sum::<f64>() / n);
        figures.push(numbers.iter().map(|v| v * v).sum::<f64>() / n);
        figures.extend(numbers.iter().take(3));
    }
    figures
}

/// The probability of a distance between two empirical distributions as large as theirs, if both samples are of one (asymptotic; Stephens
/// 1970, J. R. Stat. Soc. B 32). Ties make it larger, never smaller.
fn kolmogorov_smirnov(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let below =
        |sample: &[f64], v: f64| sample.partition_point(|x| *x <= v) as f64 / sample.len() as f64;
    let distance = a
        .iter()
        .chain(&b)
        .map(|v| (below(&a, *v) - below(&b, *v)).abs())
        .fold(0.0, f64::max);
    let n = (a.len() * b.len()) as f64 / (a.len() + b.len()) as f64;
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance;
    if lambda < 0.2 {
        return 1.0; // the series does not converge there, and its sum is 1 to ten digits
    }
    let term = |j: i32| {
        let sign = if j % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * (f64::from(j) * lambda).powi(2)).exp()
    };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// All weights times four, a power of two and so exact, change no prediction.
fn scale_of_weights(s: &Subject<'_>) -> Verdict {
    if !s.traits.weighted {
        return Ok(UNWEIGHTED);
    }
    let table = s.table();
    let weights: Vec<f64> = (0..table.rows()).map(|i| 0.5 + (i % 3) as f64).collect();
    let of = |factor: f64| -> std::result::Result<Scored, String> {
        let table = table.clone().weighted(weights.iter().map(|w| w * factor));
        score(&s.fit_on(&table).tried("fit")?.model, &table).tried("score")
    };
    let expected = of(1.0)?;
    for factor in [4.0, 0.25, 3.0] {
        expected
            .agrees(&of(factor)?, s.tolerance())
            .tried(format!("weights times {factor}"))?;
    }
    Ok(Held::Yes)
}

/// Rows of weight zero might as well not be there; all of them zero, one of them negative, NaN or missing, is refused.
fn zero_and_bad_weights(s: &Subject<'_>) -> Verdict {
    if !s.traits.weighted {
        return Ok(UNWEIGHTED);
    }
    let table = s.table();
    let n = table.rows();
    let weights: Vec<f64> = (0..n)
        .map(|i| {
            if i.is_multiple_of(4_usize) {
                0.0
            } else {
                1.0 + (i % 2) as f64
            }
        })
        .collect();
    let present: Vec<usize> = (0..n).filter(|i| weights[*i] > 0.0).collect();
    let with = table.clone().weighted(weights);
    let without = with.pick(&present);
    let (a, b) = (
        s.fit_on(&with).tried("zero weights")?,
        s.fit_on(&without).tried("without those rows")?,
    );
    let (a, b) = (
        score(&a.model, &table).tried("score")?,
        score(&b.model, &table).tried("score")?,
    );
    a.agrees(&b, s.tolerance()).tried("rows of weight zero")?;

    let zeros = table.clone().weighted(vec![0.0; n]);
    refused(s.fit_on(&zeros), 3, &["weight"], "all weights are zero")?;
    for (what, bad) in [
        ("a negative weight", Some(-1.0)),
        ("a NaN weight", Some(f64::NAN)),
        ("a null weight", None),
        ("an infinite weight", Some(f64::INFINITY)),
    ] {
        let spoilt = table.clone().weighted(vec![1.0; n]).with("w", |_, cells| {
            if let Cells::Numbers(v) = cells {
                v[17] = bad;
            }
        })?;
        refused(s.fit_on(&spoilt), 3, &["`w`", "row 17"], what)?;
    }
    let text = table.clone().weighted(vec![1.0; n]).with("w", |c, v| {
        c.ty = crate::datasets::ColumnType::Text;
        *v = Cells::Texts(vec![Some("heavy".to_owned()); n]);
    })?;
    refused(s.fit_on(&text), 2, &["`w`"], "weights that are text")?;
    Ok(Held::Yes)
}
