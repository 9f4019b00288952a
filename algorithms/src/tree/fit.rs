//! From a dataset to fitted trees: what the four tree stages do when they fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberline_pipeline::datasets::{
    BlockSpec, ColumnType, DataError, Dataset, LabelSpec, MissingRule, Schema, SchemaErrors, Slot,
};
use emberline_pipeline::predictor::{
    ClassColumns, ClassifierModel, FeatureInput, ScalarModel, extend,
};

use emberline_pipeline::{FitReport, Fitted, Pinned, Result, Rounds, Run, StopReason};
use serde_json::Value;

use super::apart;
use super::bins;
use super::forest::{ForestClassifier, ForestRegressor};
use super::grow::GrownTree;
use super::node::Node;
use super::oob::{OobClasses, OobNumbers, Unseen};
use super::report::{add_importances, by_column, report_oob};
use super::sample::Sampling;
use super::settings::{ForestLimits, Impurity, Limits};
use super::summary::{DataSummary, Summarise};
use super::table::{Task, weight_exponent};
use super::work::{GrowTrees, Output};
use crate::columns::weight_column;
use crate::labels::class_list;
use crate::learner::LearnerColumns;

/// A tree stage as its parameters describe it.
#[derive(Debug, Clone)]
pub struct Learner<'a> {
    /// Registry name.
    pub name: &'static str,
    /// Effective parameters.
    pub params: Value,
    /// The columns it reads.
    pub columns: LearnerColumns<'a>,
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

    /// What to pin: missing features stay missing.
    fn spec(&self, schema: &Schema, label: LabelSpec) -> BlockSpec {
        BlockSpec {
            missing: MissingRule::Keep,
            ..self.columns.spec(schema, label)
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
        let ty = self.columns.check_classes(input)?;
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
        self.columns.check_number(input)?;
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
    fn survey(
        &self,
        data: &Dataset,
        label: LabelSpec,
        run: &Run,
    ) -> Result<(Arc<Pinned>, DataSummary)> {
        let spec = self.spec(data.schema(), label);
        let pinned = run.pin(data, &spec)?;
        let unusable = |message: String| Err(DataError::Unusable(message).into());
        let Some(summary) = run.round(&pinned, &Summarise)? else {
            return unusable("there are no rows to learn from".to_owned());
        };
        if summary.columns.is_empty() {
            return unusable(format!(
                "column `{}` has no slots: there is nothing to split on",
                self.columns.features
            ));
        }
        if summary.rows == 0 {
            let weight = spec.weight.unwrap_or_default();
            return unusable(format!("all weights in column `{weight}` are zero"));
        }
        Ok((Arc::new(pinned), summary))
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
        pinned: Arc<Pinned>,
        rows: u64,
        run: &Run,
        mut push: impl FnMut(&GrownTree) -> Result<()> + Send,
    ) -> Result<(FitReport, Unseen)> {
        let n_trees = self.forest.num_trees;
        let slots = pinned.slots().clone();
        let mut rounds = Rounds::start(run, rows, Some(n_trees as u64));
        let mut importance = vec![0.0; work.bins.len()];
        let mut whole = Vec::new();
        let (mut tree, mut depth, mut n_nodes) = (0, 0, 0);
        let each = |output: Output| {
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
        };
        let table = rows.saturating_mul(apart::row_bytes(work));
        match run.engine.room()? {
            // Half of it, for the blocks are there too.
            Some(room) if table > room / 2 => apart::grow(work, &pinned, n_trees, room, run, each)?,
            _ => run.fan_out_each(pinned, work, n_trees, each)?,
        }
        let report = FitReport {
            rows,
            rounds: n_trees as u64,
            stop: StopReason::Done,
            importances: by_column(&importance, &slots),
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
        let label = self.columns.label(data.schema());
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
        let weighted = weight_column(self.columns.weight, data.schema()).is_some();
        let task = Task::Classes(classes.len());
        let (work, warnings) = self.work(
            &summary,
            pinned.slots(),
            task,
            impurity == Impurity::Entropy,
            run,
            weighted,
        );
        let rows = summary.rows;
        drop(summary); // some megabytes that growth has use for
        let mut forest = ForestClassifier::default();
        let (input, seen_again) = self.hand_over(&pinned);
        let (mut report, unseen) = self.grow(&work, pinned, rows, run, |tree| forest.push(tree))?;
        report.warnings = warnings;
        let forest = Arc::new(forest);
        if let Some(pinned) = seen_again {
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
            input,
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
        let label = self.columns.label(data.schema());
        let (pinned, summary) = self.survey(data, LabelSpec::Number(label), run)?;
        let weighted = weight_column(self.columns.weight, data.schema()).is_some();
        let task = Task::number(summary.label_min, summary.label_max);
        let (work, warnings) = self.work(&summary, pinned.slots(), task, false, run, weighted);
        let (rows, offset) = (
            summary.rows,
            summary.label_min / 2.0 + summary.label_max / 2.0,
        );
        drop(summary); // some megabytes that growth has use for
        let mut forest = ForestRegressor::default();
        let (input, seen_again) = self.hand_over(&pinned);
        let (mut report, unseen) = self.grow(&work, pinned, rows, run, |tree| forest.push(tree))?;
        report.warnings = warnings;
        let forest = Arc::new(forest);
        if let Some(pinned) = seen_again {
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
            input,
            prediction: prediction.to_owned(),
            ty: ColumnType::Float,
            scorer: forest,
        };
        Ok(Fitted { model, report })
    }

    /// What the model reads, and the blocks where they are passed over again after growth; else they are let go before.
    fn hand_over(&self, pinned: &Arc<Pinned>) -> (FeatureInput, Option<Arc<Pinned>>) {
        let input = FeatureInput {
            column: self.columns.features.to_owned(),
            slots: pinned.slots().clone(),
            missing: MissingRule::Keep,
        };
        (input, self.forest.oob_score.then(|| pinned.clone()))
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
        Ok(run.fan_out(pinned, &work, 1)?.remove(0).tree)
    }
}
