//! What is to be trained: the same for a config and for a script.

use emberline_datasets::{Dataset, Split};

use super::evaluate::{Plan, Predictor};
use crate::config::Config;
use crate::engine::journal::Checkpoints;
use crate::pipeline::Pipeline;
use crate::registry::Registry;
use crate::{Error, Result};

/// Data, pipeline and metrics of one training run.
#[derive(Clone)]
pub struct TrainPlan {
    /// Name of the run and its model.
    pub name: String,
    /// Rows to learn from, before the split.
    pub data: Dataset,
    /// Held-out rows from elsewhere, instead of a split.
    pub test: Option<Dataset>,
    /// How rows are held out of `data`; not together with `test`.
    pub split: Option<Split>,
    /// Stages to fit.
    pub pipeline: Pipeline,
    /// Metrics to compute; those the evaluators choose where empty.
    pub metrics: Vec<String>,
    /// Measure on the training rows too.
    pub on_train: bool,
    /// The config in canonical form, for the evidence, without what changes no result.
    pub config_text: Option<String>,
    /// Where the run writes its checkpoint; `None` writes none.
    pub checkpoints: Option<Checkpoints>,
}

impl TrainPlan {
    /// A plan without held-out rows.
    #[must_use]
    pub fn new(name: impl Into<String>, data: Dataset, pipeline: Pipeline) -> Self {
        Self {
            name: name.into(),
            data,
            test: None,
            split: None,
            pipeline,
            metrics: Vec::new(),
            on_train: false,
            config_text: None,
            checkpoints: None,
        }
    }

    /// The plan of a config over the sources it names.
    ///
    /// # Errors
    /// A source cannot be opened, and as [`TrainPlan::with_data`].
    pub fn from_config(config: &Config, registry: &Registry) -> Result<Self> {
        let (data, test) = config.dataset()?;
        Self::with_data(config, data, test, registry)
    }

    /// The plan of a config over these rows; `test` are the held-out rows where the config names a source for them.
    ///
    /// # Errors
    /// A stage refuses its parameters, or the split is to be stratified and the data have no label.
    pub fn with_data(
        config: &Config,
        data: Dataset,
        test: Option<Dataset>,
        registry: &Registry,
    ) -> Result<Self> {
        let split = match &test {
            Some(_) => None,
            None => split_of(config, &data)?,
        };
        Ok(Self {
            name: config.name.clone(),
            // Held-out rows tell more; training rows stand in where there are none.
            on_train: config.evaluate.on_train && split.is_none() && test.is_none(),
            data,
            test,
            split,
            pipeline: config.pipeline(registry)?,
            metrics: config.evaluate.metrics.clone(),
            config_text: Some(config.to_toml()),
            checkpoints: None,
        })
    }

    /// The same plan, measured on these rows.
    #[must_use]
    pub fn test(mut self, data: Dataset) -> Self {
        self.test = Some(data);
        self
    }

    /// The same plan, measured on rows held out of its data.
    #[must_use]
    pub fn split(mut self, split: Split) -> Self {
        self.split = Some(split);
        self
    }

    /// The same plan with these metrics.
    #[must_use]
    pub fn metrics<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.metrics = names.into_iter().map(Into::into).collect();
        self
    }

    /// The same plan with a checkpoint: a run that is killed can go on from it.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// The same plan, measured on the training rows too.
    #[must_use]
    pub fn on_train(mut self) -> Self {
        self.on_train = true;
        self
    }

    /// Training rows and held-out rows, and what the user should know about the split.
    pub(super) fn sides(&self) -> Result<(Dataset, Option<Dataset>, Vec<String>)> {
        match (&self.split, &self.test) {
            (Some(_), Some(_)) => Err(Error::Usage(
                "held-out rows come from a split or from a source of their own, not from both"
                    .to_owned(),
            )),
            (Some(split), None) => {
                let parts = self.data.split(split)?;
                Ok((parts.train, Some(parts.test), parts.warnings))
            }
            (None, test) => Ok((self.data.clone(), test.clone(), Vec::new())),
        }
    }

    pub(super) fn predictor(&self, registry: &Registry) -> Option<Predictor> {
        let stages: Vec<_> = self
            .pipeline
            .stages()
            .iter()
            .map(|s| (s.stage().name().to_owned(), s.stage().params()))
            .collect();
        Predictor::last(&stages, registry)
    }

    /// Without a predictor there are no metrics; asking for some is a mistake.
    pub(super) fn no_predictor(&self) -> Result<Option<Plan>> {
        match self.metrics.first() {
            None => Ok(None),
            Some(metric) => Err(Error::Usage(format!(
                "`{metric}` cannot be computed: the pipeline has no classifier, regressor or clusterer of the registry"
            ))),
        }
    }
}

/// The split a config asks for: by its label where stratified, by the data's groups where they have some.
fn split_of(config: &Config, data: &Dataset) -> Result<Option<Split>> {
    let Some((options, test)) = config.split.as_ref().and_then(|s| Some((s, s.test?))) else {
        return Ok(None);
    };
    let roles = data.schema().roles();
    let mut split = Split::new(test, config.split_seed());
    split.group.clone_from(&roles.group);
    if options.stratify {
        let label = roles.label.clone().ok_or_else(|| {
            Error::Usage(
                "`data.split.stratify` needs a label; name one as `data.label`, or leave it out"
                    .to_owned(),
            )
        })?;
        split.stratify = Some(label);
    }
    Ok(Some(split))
}
