//! Learning semantics, predictions: 43 and 44.

use super::{Held, Property, Tried, Verdict, ensure, refused};
use crate::conformance::scored::{Scored, score};
use crate::conformance::subject::Subject;
use crate::conformance::table::{Cells, Table};
use crate::datasets::{Column, ColumnType, Roles, Slot};
use crate::pipeline::registry::Invariance;
use crate::pipeline::row::Cell;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(43, "degenerate target, probabilities", degenerate_target),
    Property::new(44, "learns; invariances", learns),
];

const NO_PREDICTOR: Held = Held::NotAsked("it predicts nothing");

impl Subject<'_> {
    /// The column that a parameter names, and its values.
    fn column<'s>(
        &self,
        scored: &'s Scored,
        parameter: &str,
    ) -> std::result::Result<&'s [Cell], String> {
        let params = self.fitted()?.stage().params();
        let name = params.get(parameter).and_then(|v| v.as_str());
        let name = name.ok_or(format!("it has no parameter `{parameter}`"))?;
        let cells = scored.columns.get(name);
        Ok(cells.ok_or(format!("it writes no column `{name}`"))?)
    }
}

fn vector(cell: &Cell) -> &[f64] {
    cell.vector()
}

/// One class cannot be learnt; a constant can. Probabilities lie in [0, 1], sum to 1, and rank the classes as the raw scores do; the
/// class predicted is the most probable one.
fn degenerate_target(s: &Subject<'_>) -> Verdict {
    match s.entry.kind {
        Kind::Classifier => {
            let one = s.table().with("class", |_, cells| {
                *cells = Cells::Texts(vec![Some("only".to_owned()); 256]);
            })?;
            refused(s.fit_on(&one), 3, &["only", "two classes"], "one class")?;
            let scored = s.scored()?;
            let (raw, probability) = (
                s.column(scored, "raw_prediction_col")?,
                s.column(scored, "probability_col")?,
            );
            let prediction = s.column(scored, "prediction_col")?;
            let classes = ["blue", "green", "red"];
            for (i, p) in probability.iter().map(vector).enumerate() {
                let sum: f64 = p.iter().sum();
                ensure!(
                    (sum - 1.0).abs() <= 1e-12,
                    "row {i}: probabilities sum to {sum}"
                );
                ensure!(p.iter().all(|p| (0.0..=1.0).contains(p)), "row {i}: {p:?}");
                let r = vector(&raw[i]);
                let pairs = (0..p.len()).flat_map(|a| (0..p.len()).map(move |b| (a, b)));
                for (a, b) in pairs.filter(|(a, b)| r[*a] > r[*b]) {
                    ensure!(
                        p[a] >= p[b],
                        "row {i}: raw scores {r:?} rank other than {p:?}"
                    );
                }
                let best = (1..p.len()).fold(0, |best, k| if p[k] > p[best] { k } else { best });
                ensure!(
                    prediction[i].text() == Some(classes[best]),
                    "row {i}: {:?} of {p:?}",
                    prediction[i]
                );
            }
        }
        Kind::Regressor => {
            let constant = s.table().map_numbers(&["y".to_owned()], |_, _| 2.5);
            let fit = s.fit_on(&constant).tried("a constant target")?;
            let scored = score(&fit.model, &constant).tried("a constant target")?;
            for cell in s.column(&scored, "prediction_col")? {
                let v = cell.number().unwrap_or(f64::NAN);
                // A mean of equal numbers, or a few products that cancel.
                ensure!(
                    (v - 2.5).abs() <= 1e-9,
                    "a constant target of 2.5 is predicted as {v}"
                );
            }
        }
        _ => return Ok(NO_PREDICTOR),
    }
    Ok(Held::Yes)
}

/// The numeric columns of a bundled set as features of unit spread, with its label.
fn bundled(s: &Subject<'_>, name: &str) -> std::result::Result<Table, String> {
    let data = open(&SourceOptions::new(format!("bundled:{name}"))).tried(name)?;
    let label = data
        .schema()
        .roles()
        .label
        .clone()
        .ok_or(format!("{name} has no label"))?;
    let features: Vec<String> = data
        .schema()
        .columns()
        .iter()
        .filter(|c| matches!(c.ty, ColumnType::Float | ColumnType::Integer) && c.name != label)
        .map(|c| c.name.clone())
        .collect();
    let (mut rows, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    // A clusterer reads no label: any will do.
    let is_text = matches!(data.schema().get(&label), Ok(c) if c.ty == ColumnType::Text);
    for batch in data.batches(None).tried(name)? {
        let batch = batch.tried(name)?;
        let columns = features
            .iter()
            .map(|f| batch.numbers(f))
            .collect::<std::result::Result<Vec<_>, _>>();
        let columns = columns.tried(name)?;
        for i in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(i)).collect::<Vec<f64>>());
        }
        if is_text {
            let text = batch.text(&label).tried(name)?;
            texts.extend(text.iter().map(|t| t.map(str::to_owned)));
        } else {
            numbers.extend(batch.numbers(&label).tried(name)?.iter());
        }
    }
    for j in 0..features.len() {
        let n = rows.len() as f64;
        let mean = rows.iter().map(|r| r[j]).sum::<f64>() / n;
        let spread = (rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / n).sqrt();
        rows.iter_mut()
            .for_each(|r| r[j] = (r[j] - mean) / if spread > 0.0 { spread } else { 1.0 });
    }
    let target = if is_text {
        Cells::Texts(texts)
    } else {
        Cells::Numbers(numbers)
    };
    let ty = if is_text {
        ColumnType::Text
    } else {
        ColumnType::Float
    };
    let slots = features.iter().map(Slot::numeric).collect();
    Ok(Table {
        ids: (0..rows.len() as u64).collect(),
        columns: vec![
            (Column::vector("features", slots), Cells::Vectors(rows)),
            (Column::new("target", ty, true), target),
        ],
        roles: Roles {
            label: s.label().map(|_| "target".to_owned()),
            ..Roles::default()
        },
        chunk: 512,
    })
}

/// On three bundled sets the learner does better than the trivial predictor: on every fourth row, which it does not see, accuracy is 0.2
/// above the share of the largest class, R2 is above 0.1; a clustering into its number of groups explains a quarter of the variance.
/// Maps of the features that it declares not to mind change no prediction, and all others change one.
fn learns(s: &Subject<'_>) -> Verdict {
    let sets: &[&str] = match s.entry.kind {
        Kind::Classifier => &["iris", "wine", "breast_cancer"],
        Kind::Regressor => &["diabetes", "winequality_white", "diamonds"],
        Kind::Clusterer => &["iris", "wine", "breast_cancer"],
        _ => return Ok(NO_PREDICTOR),
    };
    for set in sets {
        let table = bundled(s, set)?;
        let (held, train): (Vec<usize>, Vec<usize>) = (0..table.rows())
            .step_by(1 + table.rows() / 3_000)
            .partition(|i| i.is_multiple_of(4));
        let (held, train) = (table.pick(&held), table.pick(&train));
        let fit = s.fit_on(&train).tried(set)?;
        let scored = score(&fit.model, &held).tried(set)?;
        let gain = gain(s, &held, &scored)?;
        let margin = match s.entry.kind {
            Kind::Classifier => 0.2,
            Kind::Regressor => 0.1,
            _ => 0.25,
        };
        ensure!(
            gain >= margin,
            "{set}: {gain:.3} better than the trivial predictor, {margin} is due"
        );
    }
    for map in [
        Invariance::Monotone,
        Invariance::Affine,
        Invariance::Similar,
    ] {
        let declared = s.traits.invariant_to.contains(&map);
        if declared {
            under_map(s, map, true).tried(format!("{map:?} is declared"))?;
        } else {
            let changed = under_map(s, map, false).is_err();
            ensure!(changed, "a map of kind {map:?} changes nothing: declare it");
        }
    }
    Ok(Held::Yes)
}

/// How much better than the trivial predictor: accuracy above the largest class, R2, or the share of variance explained.
fn gain(s: &Subject<'_>, held: &Table, scored: &Scored) -> std::result::Result<f64, String> {
    let prediction = s.column(scored, "prediction_col")?;
    let n = prediction.len() as f64;
    let target = &held.columns[held.position("target")?].1;
    Ok(match (target, s.entry.kind) {
        (_, Kind::Clusterer) => {
            let Cells::Vectors(rows) = &held.columns[held.position("features")?].1 else {
                return Err("the features are no vectors".to_owned());
            };
            let groups: Vec<u64> = prediction
                .iter()
                .map(|c| c.number().unwrap_or(-1.0) as u64)
                .collect();
            1.0 - spread_within(rows, &groups) / spread_within(rows, &vec![0; rows.len()])
        }
        (Cells::Texts(labels), _) => {
            let right = prediction
                .iter()
                .zip(labels)
                .filter(|(p, l)| p.text() == l.as_deref())
                .count() as f64;
            let most = labels
                .iter()
                .map(|l| labels.iter().filter(|o| *o == l).count())
                .max()
                .unwrap_or(0) as f64;
            (right - most) / n
        }
        (Cells::Numbers(labels), _) => {
            let labels: Vec<f64> = labels.iter().flatten().copied().collect();
            let mean = labels.iter().sum::<f64>() / n;
            let total: f64 = labels.iter().map(|v| (v - mean).powi(2)).sum();
            let errors = prediction
                .iter()
                .zip(&labels)
                .map(|(p, v)| (p.number().unwrap_or(f64::NAN) - v).powi(2));
            1.0 - errors.sum::<f64>() / total
        }
        _ => return Err("the set has no target".to_owned()),
    })
}

/// Sum of squared distances of rows to the mean of their group.
fn spread_within(rows: &[Vec<f64>], groups: &[u64]) -> f64 {
    let mut names = groups.to_vec();
    names.sort_unstable();
    names.dedup();
    let d = rows.first().map_or(0, Vec::len);
    let of_group = |g: &u64| -> f64 {
        let own: Vec<&Vec<f64>> = rows
            .iter()
            .zip(groups)
            .filter(|(_, o)| *o == g)
            .map(|(r, _)| r)
            .collect();
        let n = own.len() as f64;
        (0..d)
            .map(|j| {
                let mean = own.iter().map(|r| r[j]).sum::<f64>() / n;
                own.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>()
            })
            .sum()
    };
    names.iter().map(of_group).sum()
}

/// Whether predictions (or everything the stage writes) on the rows trained on stay as they are when the features go through a map.
fn under_map(
    s: &Subject<'_>,
    map: Invariance,
    predictions_only: bool,
) -> std::result::Result<(), String> {
    let names = ["features".to_owned()];
    let mapped = s.table().map_numbers(&names, |j, v| match map {
        Invariance::Monotone => v * v * v / 16.0 + v / 4.0,
        Invariance::Affine => v * 2.0_f64.powi(2 * j as i32 - 3) + j as f64,
        Invariance::Similar => 4.0 * v + 8.0,
    });
    let fit = s.fit_on(&mapped).tried("fit")?;
    let scored = score(&fit.model, &mapped).tried("score")?;
    if !predictions_only {
        return s.scored()?.agrees(&scored, 1e-9);
    }
    let only = |scored: &Scored| -> std::result::Result<Scored, String> {
        let cells = s.column(scored, "prediction_col")?.to_vec();
        Ok(Scored {
            ids: scored.ids.clone(),
            columns: [("prediction".to_owned(), cells)].into(),
        })
    };
    only(s.scored()?)?.agrees(&only(&scored)?, 1e-6)
}
