//! The fitted models of all classes as one scorer.

use std::sync::Arc;

use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::predictor::{ClassScorer, ScoreClasses};
use emberline_pipeline::{Arrays, ModelError, Registry, SavedStage, Transformer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::linear::LinearScorer;

/// One binary model a class; a single one for two classes.
#[derive(Clone)]
pub enum OneVsRestScorer {
    /// Logistic regressions side by side.
    Linear(LinearScorer),
    /// Any other classifiers, each of two classes of which the second is its own.
    Nested(Vec<Arc<dyn Transformer>>),
}

impl std::fmt::Debug for OneVsRestScorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Linear(scorer) => scorer.fmt(f),
            Self::Nested(models) => {
                let name = models.first().map_or("", |m| m.name());
                write!(f, "{} of `{name}`", models.len())
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Saved {
    Linear(Value),
    Nested(Vec<SavedStage>),
}

const STAGE: &str = "one_vs_rest";

impl ClassScorer for OneVsRestScorer {
    fn raw(&self, x: &[f64], raw: &mut [f64]) {
        let models = match self {
            Self::Linear(scorer) => return scorer.raw(x, raw),
            Self::Nested(models) => models,
        };
        let (mut own_raw, mut own) = ([0.0; 2], [0.0; 2]);
        for (k, model) in models.iter().enumerate() {
            if let Some(scorer) = model.as_classifier() {
                scorer.score(x, &mut own_raw, &mut own);
            }
            raw[k] = own[1];
        }
        if models.len() == 1 {
            raw.copy_from_slice(&own);
        }
    }

    fn probability(&self, raw: &[f64], probability: &mut [f64]) {
        if let Self::Linear(scorer) = self {
            return scorer.probability(raw, probability);
        }
        let total: f64 = raw.iter().sum();
        let even = 1.0 / raw.len() as f64;
        for (p, own) in probability.iter_mut().zip(raw) {
            // Where every class refuses the row outright, none is likelier than another.
            *p = if total > 0.0 { own / total } else { even };
        }
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        match self {
            Self::Linear(scorer) => to_state(&Saved::Linear(scorer.save(arrays))),
            Self::Nested(models) => {
                let mut saved = Vec::with_capacity(models.len());
                for (k, model) in models.iter().enumerate() {
                    let mut inner = Arrays::new();
                    saved.push(SavedStage {
                        stage: model.name().to_owned(),
                        state: model.save(&mut inner),
                    });
                    arrays.nest(&format!("model_{k}"), inner);
                }
                to_state(&Saved::Nested(saved))
            }
        }
    }

    fn load(
        value: &Value,
        arrays: &Arrays,
        n_features: usize,
        n_classes: usize,
        registry: &Registry,
    ) -> Result<Self, ModelError> {
        let saved = match state::<Saved>(STAGE, value)? {
            Saved::Linear(inner) => {
                let scorer = LinearScorer::load(&inner, arrays, n_features, n_classes, registry)?;
                return Ok(Self::Linear(scorer));
            }
            Saved::Nested(saved) => saved,
        };
        let needed = if n_classes == 2 { 1 } else { n_classes };
        if saved.len() != needed {
            let found = saved.len();
            return Err(ModelError::stage(
                STAGE,
                format!("{found} models for {n_classes} classes"),
            ));
        }
        let load = |(k, stage): (usize, &SavedStage)| {
            let model = registry.load(stage, &arrays.scope(&format!("model_{k}")))?;
            check(model.as_classifier(), k, n_features)?;
            Ok(model)
        };
        let models = saved.iter().enumerate().map(load);
        Ok(Self::Nested(models.collect::<Result<_, ModelError>>()?))
    }
}

fn check(scorer: Option<&dyn ScoreClasses>, k: usize, n_features: usize) -> Result<(), ModelError> {
    let fault = |what: &str| Err(ModelError::stage(STAGE, format!("model {k} {what}")));
    match scorer {
        None => fault("is no classifier"),
        Some(s) if s.classes().len() != 2 => fault("does not tell two classes apart"),
        Some(s) if s.input().slots.len() != n_features => fault("was trained on other features"),
        Some(_) => Ok(()),
    }
}
