//! Toy stages: a transformer, a classifier, a regressor, and a classifier that holds another.

use std::marker::PhantomData;
use std::sync::Arc;

use emberline_datasets::{
    Attribute, Batch, Column, ColumnType, DataError, Dataset, Schema, SchemaError, SchemaErrors,
    Slot,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::row::{RowLayout, RowStep};
use crate::*;

/// A stage that fits nothing and changes no row.
#[derive(Debug)]
pub(crate) struct Toy<P> {
    params: Value,
    kind: Kind,
    of: PhantomData<P>,
}

pub(crate) trait ToyParams: ParamSet<Stage = Toy<Self>> {
    const NAME: &'static str;
    const KIND: Kind;
    fn check(&self, check: &mut ParamCheck, registry: &Registry);
}

impl<P: ToyParams> Component for Toy<P> {
    const NAME: &'static str = P::NAME;
    const SUMMARY: &'static str = "a toy";
    const KIND: Kind = P::KIND;
    type Params = P;

    fn build(params: P, registry: &Registry) -> std::result::Result<Self, ParamErrors> {
        let mut check = ParamCheck::new();
        params.check(&mut check, registry);
        check.finish()?;
        Ok(Self {
            params: serde_json::to_value(&params).unwrap(),
            kind: P::KIND,
            of: PhantomData,
        })
    }

    fn erase(self) -> AnyStage {
        match self.kind {
            Kind::Transformer => AnyStage::Transformer(Arc::new(self)),
            _ => AnyStage::Estimator(Arc::new(self)),
        }
    }
}

impl<P: ToyParams> Stage for Toy<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let mut output = input.clone();
        if self.kind == Kind::Transformer {
            let mut errors = Vec::new();
            let mut slots = Vec::new();
            for name in self.params["inputs"].as_array().unwrap() {
                let name = name.as_str().unwrap();
                let all = name == "*";
                if !all && let Err(e) = input.get(name) {
                    errors.push(e);
                }
                let wanted =
                    |c: &&Column| (all && input.roles().of(&c.name).is_none()) || c.name == name;
                slots.extend(input.columns().iter().filter(wanted).map(|c| Slot {
                    name: c.name.clone(),
                    column: c.origin().to_owned(),
                    attribute: Attribute::Numeric,
                }));
            }
            SchemaErrors::check(errors)?;
            output.push(Column::vector("features", slots), true)?;
        } else {
            let features = input.get(self.params["features_col"].as_str().unwrap())?;
            if !features.ty.is_vector() {
                return Err(SchemaError::Rule("`features_col` must be a vector".to_owned()).into());
            }
            output.push(Column::new("prediction", ColumnType::Float, false), false)?;
        }
        Ok(output)
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        Vec::new()
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        Vec::new()
    }

    fn params(&self) -> Value {
        self.params.clone()
    }
}

impl<P: ToyParams> Transformer for Toy<P> {
    fn transform(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        Ok(batch)
    }

    fn save(&self, _: &mut Arrays) -> Value {
        self.params.clone()
    }

    fn row_step(&self, _: &mut RowLayout) -> std::result::Result<Box<dyn RowStep>, SchemaErrors> {
        Ok(Box::new(|_: &mut [crate::row::Cell]| Ok(true)))
    }
}

impl<P: ToyParams> Estimator for Toy<P> {
    type Model = Self;

    fn fit(&self, _: &Dataset, _: &Run) -> Result<Fitted<Self>> {
        Err(Error::Usage("a toy learns nothing".to_owned()))
    }
}

impl<P: ToyParams> Load for Toy<P> {
    fn load(_: &Value, _: &Arrays, _: &Registry) -> std::result::Result<Self, ModelError> {
        Err(ModelError::stage(P::NAME, "a toy is not saved"))
    }
}

macro_rules! toy {
    ($(#[$doc:meta])* $params:ident, $name:literal, $kind:ident, { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr,)* }, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $params { $($(#[$field_doc])* pub $field: $ty,)* }

        impl Default for $params {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl ParamSet for $params {
            type Stage = Toy<Self>;
        }

        impl ToyParams for $params {
            const NAME: &'static str = $name;
            const KIND: Kind = Kind::$kind;
            fn check(&self, check: &mut ParamCheck, registry: &Registry) {
                let run: fn(&Self, &mut ParamCheck, &Registry) = $check;
                run(self, check, registry);
            }
        }
    };
}

/// A choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Quick.
    Fast,
    /// Slow.
    Exact,
}

toy!(
    /// Puts columns into a vector.
    Scale, "scale", Transformer,
    {
        /// Columns.
        inputs: Vec<String> = vec!["*".to_owned()],
        /// A factor above 0.
        factor: f64 = 1.0,
        /// How.
        mode: Mode = Mode::Fast,
        /// Limits.
        splits: Vec<f64> = vec![f64::NEG_INFINITY, 0.0, f64::INFINITY],
    },
    |p, check, _| {
        check.require("factor", p.factor, "above 0", p.factor > 0.0);
        for (i, s) in p.splits.iter().enumerate() {
            check.require(&format!("splits[{i}]"), s, "a number", !s.is_nan());
        }
    }
);

toy!(
    /// Guesses a class.
    Guess, "guess", Classifier,
    {
        /// Features.
        features_col: String = "features".to_owned(),
        /// Label.
        label_col: Option<String> = None,
        /// Penalty, not negative.
        reg_param: f64 = 0.0,
        /// Rounds, at least 1.
        max_iter: usize = 100,
        /// Own seed.
        seed: Option<u64> = None,
    },
    |p, check, _| {
        check.require("reg_param", p.reg_param, "not negative", p.reg_param >= 0.0);
        check.require("max_iter", p.max_iter, "at least 1", p.max_iter >= 1);
    }
);

toy!(
    /// Predicts a number.
    Line, "line", Regressor,
    {
        /// Features.
        features_col: String = "features".to_owned(),
    },
    |_, _, _| {}
);

toy!(
    /// Lets several classifiers vote.
    Vote, "vote", Classifier,
    {
        /// Features.
        features_col: String = "features".to_owned(),
        /// Voters, at least 1.
        n_voters: usize = 1,
        /// The classifier that votes.
        #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
        classifier: toml::Table = toml::Table::from_iter([("stage".to_owned(), "guess".into())]),
    },
    |p, check, registry| {
        check.require("n_voters", p.n_voters, "at least 1", p.n_voters >= 1);
        let mut params = p.classifier.clone();
        let stage = params.remove("stage");
        match stage.as_ref().and_then(toml::Value::as_str).map(|s| (s, registry.get(s))) {
            Some((_, Some(entry))) => {
                // As one-vs-rest does: the holder sets the columns of those it holds.
                if params.contains_key("features_col") {
                    check.reject("classifier.features_col", "is set for all voters at once");
                }
                if let Err(errors) = entry.build(&params, registry) {
                    check.nested("classifier", errors);
                }
            }
            Some((name, None)) => check.reject("classifier.stage", format!("names no stage: `{name}`")),
            None => check.reject("classifier", "needs a `stage`"),
        }
    }
);

struct NoMeasure;

impl Evaluator for NoMeasure {
    fn name(&self) -> &'static str {
        "none"
    }

    fn evaluate(&self, _: &Dataset, _: &[String], _: &Run) -> Result<Metrics> {
        Ok(Metrics::default())
    }

    fn larger_is_better(&self, _: &str) -> bool {
        true
    }
}

fn evaluator(
    name: &'static str,
    kind: Kind,
    metrics: &'static [(&'static str, &'static str)],
) -> EvaluatorEntry {
    EvaluatorEntry {
        name,
        summary: "measures nothing",
        kind,
        metrics,
        defaults: &[],
        fits: |_, _| Ok(()),
        build: |_| Box::new(NoMeasure),
        jobs: |_| {},
    }
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.register(Entry::transformer::<Toy<Scale>>());
    registry.register(Entry::estimator::<Toy<Guess>>());
    registry.register(Entry::estimator::<Toy<Line>>());
    registry.register(Entry::estimator::<Toy<Vote>>());
    registry.register_evaluator(evaluator(
        "multiclass",
        Kind::Classifier,
        &[
            ("accuracy", "share of right answers"),
            ("f1", "f1"),
            ("log_loss", "log loss"),
        ],
    ));
    registry.register_evaluator(evaluator(
        "regression",
        Kind::Regressor,
        &[("rmse", "error"), ("r2", "r2")],
    ));
    registry
}
