//! From a dataset to fitted trees: what the four tree stages do when they fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{
    BlockSpec, ColumnType, DataError, Dataset, LabelSpec, MissingRule, Schema, SchemaError,
    SchemaErrors, Slot,
};
use emberline_pipeline::engine::BlockSource;
use emberline_pipeline::predictor::{
    ClassColumns, ClassifierModel, FeatureInput, ScalarModel, extend,
};

use emberline_pipeline::{FitReport, Fitted, Pinned, Result, Rounds, Run, StopReason, Work};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bins::{self, FeatureBins};
use super::criterion::{ClassCriterion, Variance};
use super::forest::{ForestClassifier, ForestRegressor, Node};
use super::grow::{GrownTree, Soil, grow};
use super::oob::{OobClasses, OobNumbers, OobSums, Unseen};
use super::sample::Sampling;
use super::settings::{ForestLimits, Impurity, Limits};
use super::summary::{DataSummary, Summarise};
use super::table::{Labels, Table, Task, weight_exponent};
use crate::columns::{label_column, weight_column};
use crate::labels::class_list;

/// A tree stage as its parameters describe it.
#[derive(Debug, Clone)]
pub struct Learner<'a> {
    /// Registry name.
    pub name: &'static str,
    /// Effective parameters.
    pub params: Value,
    /// The vector column of features.
    pub features: &'a str,
    /// The label column, if named.
    pub label: Option<&'a str>,
    /// The weight column, if named.
    pub weight: Option<&'a str>,
    /// When growth stops.
    pub limits: Limits,
    /// How many trees, and what each sees.
    pub forest: ForestLimits,
    /// The stage's own seed.
    pub seed: Option<u64>,
}

impl Learner<'_> {
    /// What a single tree has of a forest.
    #[must_use]
    pub fn single() -> ForestLimits {
        ForestLimits {
            num_trees: 1,
            subset: super::FeatureSubset::All,
            bootstrap: false,
            subsampling_rate: 1.0,
            oob_score: false,
        }
    }

    /// Columns read from `input`.
    #[must_use]
    pub fn reads(&self, input: &Schema) -> Vec<String> {
        let label = label_column(self.label, input);
        [self.features.to_owned(), label]
            .into_iter()
            .chain(weight_column(self.weight, input))
            .collect()
    }

    fn spec(&self, schema: &Schema, label: LabelSpec) -> BlockSpec {
        BlockSpec {
            features: self.features.to_owned(),
            label,
            weight: weight_column(self.weight, schema),
            missing: MissingRule::Keep,
        }
    }

    /// The schema with a classifier's columns added.
    ///
    /// # Errors
    /// Columns that are missing, mistyped or taken.
    pub fn classifier_schema(
        &self,
        input: &Schema,
        columns: &ClassColumns,
    ) -> std::result::Result<Schema, SchemaErrors> {
        let label = label_column(self.label, input);
        let mut errors = self
            .spec(input, LabelSpec::None)
            .check(input)
            .err()
            .map_or_else(Vec::new, |e| e.0);
        let mut ty = ColumnType::Float;
        match input.get(&label) {
            Ok(column) => ty = column.ty.clone(),
            Err(e) => errors.push(e),
        }
        if !(ty.is_numeric() || ty == ColumnType::Text) {
            let expected = "text, a boolean or a number".to_owned();
            errors.push(SchemaError::Type {
                column: label,
                found: ty.to_string(),
                expected,
            });
        }
        SchemaErrors::check(errors)?;
        extend(input, columns.columns(&ty, None))
    }

    /// The schema with a regressor's column added.
    ///
    /// # Errors
    /// Columns that are missing, mistyped or taken.
    pub fn regressor_schema(
        &self,
        input: &Schema,
        prediction: &str,
    ) -> std::result::Result<Schema, SchemaErrors> {
        let label = label_column(self.label, input);
        self.spec(input, LabelSpec::Number(label)).check(input)?;
        extend(
            input,
            vec![emberline_pipeline::datasets::Column::new(
                prediction,
                ColumnType::Float,
                false,
            )],
        )
    }

    /// Pins the columns and looks at them once.
    fn survey(&self, data: &Dataset, label: LabelSpec, run: &Run) -> Result<(Pinned, DataSummary)> {
        let spec = self.spec(data.schema(), label);
        let pinned = run.pin(data, &spec)?;
        let unusable = |message: String| Err(DataError::Unusable(message).into());
        let Some(summary) = run.round(&pinned, &Summarise)? else {
            return unusable("there are no rows to learn from".to_owned());
        };
        if summary.columns.is_empty() {
            return unusable(format!(
                "column `{}` has no slots: there is nothing to split on",
                self.features
            ));
        }
        if summary.rows == 0 {
            let weight = spec.weight.unwrap_or_default();
            return unusable(format!("all weights in column `{weight}` are zero"));
        }
        Ok((pinned, summary))
    }

    fn work(
        &self,
        summary: &DataSummary,
        slots: &[Slot],
        task: Task,
        entropy: bool,
        run: &Run,
        weighted: bool,
    ) -> (GrowTrees, Vec<String>) {
        let (bins, warnings) = bins::choose(summary, slots, self.limits.max_bins);
        let classifier = matches!(task, Task::Classes(_));
        let (n, forest) = (bins.len(), &self.forest);
        let seed = self.seed.unwrap_or(run.seed);
        let sampling = Sampling {
            seed,
            bootstrap: forest.bootstrap,
            rate: forest.subsampling_rate,
        };
        let work = GrowTrees {
            task,
            entropy,
            bins,
            weight_exponent: weighted.then(|| weight_exponent(summary)),
            limits: self.limits,
            n_drawn: forest.subset.resolve(n, classifier, forest.num_trees),
            sampling,
        };
        (work, warnings)
    }

    /// Grows all trees, hands each to `push` in order, and gathers what there is to report.
    fn grow(
        &self,
        work: &GrowTrees,
        pinned: &Pinned,
        rows: u64,
        run: &Run,
        mut push: impl FnMut(&GrownTree) -> Result<()> + Send,
    ) -> Result<(FitReport, Unseen)> {
        let n_trees = self.forest.num_trees;
        let mut rounds = Rounds::start(run, rows, Some(n_trees as u64));
        let mut importance = vec![0.0; work.bins.len()];
        let mut whole = Vec::new();
        let (mut tree, mut depth, mut n_nodes) = (0, 0, 0);
        run.fan_out_each(pinned, work, n_trees, |output: Output| {
            push(&output.tree)?;
            add_importances(&output.tree, &mut importance);
            if output.whole {
                whole.push(tree);
            }
            tree += 1;
            depth = depth.max(output.tree.depth);
            n_nodes += output.tree.nodes.len();
            rounds.finished(None, (output.tree.nodes.len() * size_of::<Node>()) as u64);
            Ok(())
        })?;
        let report = FitReport {
            rows,
            rounds: n_trees as u64,
            stop: StopReason::Done,
            importances: by_column(&importance, pinned.slots()),
            figures: BTreeMap::from([
                ("depth".to_owned(), f64::from(depth)),
                ("n_nodes".to_owned(), n_nodes as f64),
            ]),
            ..FitReport::default()
        };
        Ok((
            report,
            Unseen {
                sampling: work.sampling,
                whole,
                n_trees,
            },
        ))
    }

    /// Fits a classifier.
    ///
    /// # Errors
    /// Data that do not fit, no rows, one class only, all weights zero, or the engine fails.
    pub fn fit_classifier(
        &self,
        impurity: Impurity,
        columns: ClassColumns,
        data: &Dataset,
        run: &Run,
    ) -> Result<Fitted<ClassifierModel<ForestClassifier>>> {
        let label = label_column(self.label, data.schema());
        let classes = Arc::new(class_list(data, &label, run)?.classes);
        let spec = LabelSpec::Classes {
            column: label.clone(),
            classes: classes.clone(),
        };
        let (pinned, summary) = self.survey(data, spec, run)?;
        if summary.label_min == summary.label_max {
            let message = format!(
                "all rows of positive weight have one label in column `{label}`; a classifier needs at least two classes"
            );
            return Err(DataError::Unusable(message).into());
        }
        let weighted = weight_column(self.weight, data.schema()).is_some();
        let task = Task::Classes(classes.len());
        let (work, warnings) = self.work(
            &summary,
            pinned.slots(),
            task,
            impurity == Impurity::Entropy,
            run,
            weighted,
        );
        let mut forest = ForestClassifier::default();
        let (mut report, unseen) =
            self.grow(&work, &pinned, summary.rows, run, |tree| forest.push(tree))?;
        report.warnings = warnings;
        let forest = Arc::new(forest);
        if self.forest.oob_score {
            let round = OobClasses {
                forest: forest.clone(),
                unseen,
                n_classes: classes.len(),
            };
            report_oob(&mut report, run.round(&pinned, &round)?, |_, error| {
                1.0 - error
            });
        }
        let model = ClassifierModel {
            name: self.name.to_owned(),
            params: self.params.clone(),
            input: self.input(&pinned),
            columns,
            classes: (*classes).clone(),
            scorer: forest,
        };
        Ok(Fitted { model, report })
    }

    /// Fits a regressor.
    ///
    /// # Errors
    /// Data that do not fit, no rows, all weights zero, or the engine fails.
    pub fn fit_regressor(
        &self,
        prediction: &str,
        data: &Dataset,
        run: &Run,
    ) -> Result<Fitted<ScalarModel<ForestRegressor>>> {
        let label = label_column(self.label, data.schema());
        let (pinned, summary) = self.survey(data, LabelSpec::Number(label), run)?;
        let weighted = weight_column(self.weight, data.schema()).is_some();
        let task = Task::number(summary.label_min, summary.label_max);
        let (work, warnings) = self.work(&summary, pinned.slots(), task, false, run, weighted);
        let mut forest = ForestRegressor::default();
        let (mut report, unseen) =
            self.grow(&work, &pinned, summary.rows, run, |tree| forest.push(tree))?;
        report.warnings = warnings;
        let forest = Arc::new(forest);
        if self.forest.oob_score {
            let offset = summary.label_min / 2.0 + summary.label_max / 2.0;
            let round = OobNumbers {
                forest: forest.clone(),
                unseen,
                offset,
            };
            report_oob(&mut report, run.round(&pinned, &round)?, |sums, mse| {
                let weight = sums.weight.last().copied().unwrap_or_default();
                1.0 - mse * weight / (sums.squares - sums.sum * sums.sum / weight)
            });
        }
        let model = ScalarModel {
            name: self.name.to_owned(),
            params: self.params.clone(),
            input: self.input(&pinned),
            prediction: prediction.to_owned(),
            ty: ColumnType::Float,
            scorer: forest,
        };
        Ok(Fitted { model, report })
    }

    fn input(&self, pinned: &Pinned) -> FeatureInput {
        FeatureInput {
            column: self.features.to_owned(),
            slots: pinned.slots().clone(),
            missing: MissingRule::Keep,
        }
    }
}

#[cfg(test)]
impl Learner<'_> {
    /// The first tree with its gains, which models do not keep.
    pub(super) fn one_tree(
        &self,
        data: &Dataset,
        label: LabelSpec,
        run: &Run,
    ) -> Result<GrownTree> {
        let task = match &label {
            LabelSpec::Classes { classes, .. } => Task::Classes(classes.len()),
            _ => Task::number(0.0, 1.0),
        };
        let (pinned, summary) = self.survey(data, label, run)?;
        let (work, _) = self.work(&summary, pinned.slots(), task, false, run, false);
        Ok(run.fan_out(&pinned, &work, 1)?.remove(0).tree)
    }
}

/// Adds a tree's importances, normalised to 1: decrease of impurity times weight, summed by feature.
fn add_importances(tree: &GrownTree, importance: &mut [f64]) {
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
fn by_column(importance: &[f64], slots: &[Slot]) -> Vec<(String, f64)> {
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

fn report_oob(report: &mut FitReport, sums: Option<OobSums>, score: impl Fn(&OobSums, f64) -> f64) {
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

/// The work of growing trees, one a piece.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrowTrees {
    task: Task,
    entropy: bool,
    bins: Vec<FeatureBins>,
    weight_exponent: Option<i32>,
    limits: Limits,
    n_drawn: usize,
    sampling: Sampling,
}

/// A tree, and whether it saw every row because its draw was empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// The tree.
    pub tree: GrownTree,
    /// True where the draw was empty.
    pub whole: bool,
}

impl Work for GrowTrees {
    const NAME: &'static str = "tree/grow";
    type Shared = Table;
    type Output = Output;

    fn gather(&self, blocks: &dyn BlockSource) -> std::result::Result<Table, DataError> {
        let mut table = Table::new(
            blocks.n_rows(),
            self.bins.len(),
            self.task,
            self.weight_exponent.is_some(),
        )?;
        for i in 0..blocks.n_blocks() {
            table.push(
                &blocks.block(i)?,
                &self.bins,
                self.task,
                self.weight_exponent.unwrap_or(0),
            );
        }
        Ok(table)
    }

    fn run(&self, index: u64, table: &Table) -> std::result::Result<Output, DataError> {
        let n = table.n_rows();
        let bag = self.sampling.bag(index);
        let weighty = |i: usize| table.weight(i) > 0;
        let mut counts: Vec<u8> = (0..n)
            .map(|i| {
                if weighty(i) {
                    bag.count(table.row_ids[i])
                } else {
                    0
                }
            })
            .collect();
        let whole = counts.iter().all(|c| *c == 0);
        if whole {
            counts = (0..n).map(|i| u8::from(weighty(i))).collect();
        }
        let weights: Vec<u64> = counts
            .iter()
            .enumerate()
            .map(|(i, c)| u64::from(*c) * table.weight(i))
            .collect();
        let rows: Vec<u32> = (0..n as u32).filter(|i| counts[*i as usize] > 0).collect();
        let soil = Soil {
            table,
            bins: &self.bins,
            limits: self.limits,
            n_drawn: self.n_drawn,
            draw: Draw::new(self.sampling.seed, "tree features").at(index),
            counts: &counts,
        };
        let tree = match (&table.labels, self.task) {
            (Labels::Classes(class), Task::Classes(k)) if self.entropy => {
                let criterion = ClassCriterion::<true>::new(class, &weights, k);
                grow(&soil, criterion, rows, |c, leaves| {
                    Node::shares(leaves.push(c.totals()))
                })
            }
            (Labels::Classes(class), Task::Classes(k)) => {
                let criterion = ClassCriterion::<false>::new(class, &weights, k);
                grow(&soil, criterion, rows, |c, leaves| {
                    Node::shares(leaves.push(c.totals()))
                })
            }
            (Labels::Numbers(y), Task::Number { offset, exponent }) => {
                let criterion = Variance::new(y, &weights, exponent);
                grow(&soil, criterion, rows, |c, _| {
                    Node::value(offset + c.node_mean())
                })
            }
            _ => {
                return Err(DataError::Unusable(
                    "the table was made for another task".to_owned(),
                ));
            }
        };
        Ok(Output { tree, whole })
    }
}
