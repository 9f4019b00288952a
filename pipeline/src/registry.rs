//! The list of all stages: what the TOML reader, `emberline stages`, the JSON Schema and the common checks walk.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::evaluate::EvaluatorEntry;
use crate::param::{ParamError, ParamErrors, ParamSet};
use crate::persist::{Arrays, ModelError, SavedStage};
use crate::stage::{AnyStage, Estimator, Stage, Transformer};

/// What a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Rewrites columns without learning.
    Transformer,
    /// Learns how to rewrite columns.
    Feature,
    /// Predicts one of two classes or more.
    Classifier,
    /// Predicts a number.
    Regressor,
    /// Groups rows.
    Clusterer,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Transformer => "transformer",
            Self::Feature => "feature",
            Self::Classifier => "classifier",
            Self::Regressor => "regressor",
            Self::Clusterer => "clusterer",
        })
    }
}

/// A stage type as the registry knows it: its name, its parameters, and how it is built from them.
pub trait Component: Stage + Sized + 'static {
    /// Name in configs.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// What it is for.
    const KIND: Kind;
    /// Its parameters.
    type Params: ParamSet<Stage = Self>;

    /// Checks the parameters. `registry` serves stages that hold other stages.
    ///
    /// # Errors
    /// Every parameter out of its range.
    fn build(params: Self::Params, registry: &Registry) -> Result<Self, ParamErrors>;

    /// The stage as a member of a pipeline: `AnyStage::Estimator(Arc::new(self))` or `AnyStage::Transformer(..)`.
    fn erase(self) -> AnyStage;
}

/// How a fitted stage is read back.
pub trait Load: Sized {
    /// Rebuilds the stage, checking every index and number.
    ///
    /// # Errors
    /// The content makes no sense.
    fn load(state: &Value, arrays: &Arrays, registry: &Registry) -> Result<Self, ModelError>;
}

type BuildFn = fn(&toml::Table, &Registry) -> Result<AnyStage, ParamErrors>;
type LoadFn = fn(&Value, &Arrays, &Registry) -> Result<Arc<dyn Transformer>, ModelError>;

/// One stage of the registry.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Name in configs.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// JSON Schema of its parameters, with their docs and defaults.
    pub schema: fn() -> Value,
    /// Its parameters at their defaults.
    pub defaults: fn() -> Value,
    build: BuildFn,
    load: LoadFn,
}

impl Entry {
    /// The entry of a stage that learns.
    #[must_use]
    pub const fn estimator<E>() -> Self
    where
        E: Component + Estimator,
        E::Model: Load,
    {
        Self {
            name: E::NAME,
            summary: E::SUMMARY,
            kind: E::KIND,
            schema: param_schema::<E>,
            defaults: param_defaults::<E>,
            build: |table, registry| Ok(E::build(read_params::<E>(table)?, registry)?.erase()),
            load: |state, arrays, registry| Ok(Arc::new(E::Model::load(state, arrays, registry)?)),
        }
    }

    /// The entry of a stage that needs no fitting.
    #[must_use]
    pub const fn transformer<T>() -> Self
    where
        T: Component + Transformer + Load,
    {
        Self {
            name: T::NAME,
            summary: T::SUMMARY,
            kind: T::KIND,
            schema: param_schema::<T>,
            defaults: param_defaults::<T>,
            build: |table, registry| Ok(T::build(read_params::<T>(table)?, registry)?.erase()),
            load: |state, arrays, registry| Ok(Arc::new(T::load(state, arrays, registry)?)),
        }
    }

    /// Builds the stage from a table of parameters; every key that is unknown, mistyped or out of range is reported.
    ///
    /// # Errors
    /// All of them, at once.
    pub fn build(
        &self,
        params: &toml::Table,
        registry: &Registry,
    ) -> Result<AnyStage, ParamErrors> {
        (self.build)(params, registry)
    }
}

fn param_schema<C: Component>() -> Value {
    schemars::schema_for!(C::Params).to_value()
}

fn param_defaults<C: Component>() -> Value {
    serde_json::to_value(C::Params::default()).unwrap_or(Value::Null)
}

/// Reads parameters key by key, so that every bad key is reported and not the first alone.
fn read_params<C: Component>(table: &toml::Table) -> Result<C::Params, ParamErrors> {
    let mut errors = Vec::new();
    for (key, value) in table {
        let single = toml::Table::from_iter([(key.clone(), value.clone())]);
        if let Err(e) = C::Params::deserialize(toml::Value::Table(single)) {
            errors.push(ParamError {
                name: key.clone(),
                message: explain::<C>(key, value, &e),
            });
        }
    }
    if !errors.is_empty() {
        return Err(ParamErrors(errors));
    }
    C::Params::deserialize(toml::Value::Table(table.clone())).map_err(|e| {
        ParamErrors(vec![ParamError {
            name: C::NAME.to_owned(),
            message: e.message().to_owned(),
        }])
    })
}

fn explain<C: Component>(key: &str, value: &toml::Value, error: &toml::de::Error) -> String {
    let known = param_defaults::<C>();
    let names: Vec<String> = known
        .as_object()
        .map(|o| o.keys().cloned().collect())
        .unwrap_or_default();
    if names.iter().any(|n| n == key) {
        return format!("cannot be {value}: {}", error.message().trim());
    }
    match emberline_datasets::schema::nearest(key, names.iter().map(String::as_str)) {
        Some(name) => format!("is unknown to `{}`; did you mean `{name}`?", C::NAME),
        None => format!("is unknown to `{}`; it takes {}", C::NAME, names.join(", ")),
    }
}

/// All stages and evaluators a program knows. Users add their own through [`Registry::register`].
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
    evaluators: Vec<EvaluatorEntry>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage; one of the same name is replaced.
    pub fn register(&mut self, entry: Entry) -> &mut Self {
        self.entries.insert(entry.name, entry);
        self
    }

    /// Adds an evaluator.
    pub fn register_evaluator(&mut self, entry: EvaluatorEntry) -> &mut Self {
        self.evaluators.push(entry);
        self
    }

    /// All stages by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All evaluators.
    #[must_use]
    pub fn evaluators(&self) -> &[EvaluatorEntry] {
        &self.evaluators
    }

    /// The stage of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The most similar stage name, for messages.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        emberline_datasets::schema::nearest(name, self.entries.keys().copied())
    }

    /// Reads a fitted stage back.
    ///
    /// # Errors
    /// An unknown stage, or content that makes no sense.
    pub fn load(
        &self,
        saved: &SavedStage,
        arrays: &Arrays,
    ) -> Result<Arc<dyn Transformer>, ModelError> {
        match self.get(&saved.stage) {
            Some(entry) => (entry.load)(&saved.state, arrays, self),
            None => Err(ModelError::stage(
                &saved.stage,
                "this program knows no such stage",
            )),
        }
    }
}
