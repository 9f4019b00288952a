//! The list of all stages: what the TOML reader, `emberline stages`, the JSON Schema and the common checks walk.

mod traits;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::engine::Jobs;
use crate::evaluate::EvaluatorEntry;
use crate::param::{ParamError, ParamErrors, ParamSet};
use crate::persist::{Arrays, ModelError, SavedStage};
use crate::stage::{AnyStage, Estimator, Stage, Transformer};

pub use traits::{Invariance, Traits};

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

    /// Adds the rounds, work and steps that a fit sends to other processes: without it, the stage fits on one machine alone.
    fn jobs(_jobs: &mut Jobs) {}
}

/// How a fitted stage is read back.
pub trait Load: Sized {
    /// Rebuilds the stage, checking every index and number.
    ///
    /// # Errors
    /// The content makes no sense.
    fn load(state: &Value, arrays: &Arrays, registry: &Registry) -> Result<Self, ModelError>;
}

type ResolveFn = fn(&toml::Table) -> Result<toml::Table, ParamErrors>;
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
    /// What it promises: tested by the conformance suite.
    pub traits: Traits,
    build: BuildFn,
    resolve: ResolveFn,
    load: LoadFn,
    jobs: fn(&mut Jobs),
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
            traits: Traits::new(""),
            build: |table, registry| Ok(build_all::<E>(table, registry)?.erase()),
            resolve: resolve_params::<E>,
            load: |state, arrays, registry| Ok(Arc::new(E::Model::load(state, arrays, registry)?)),
            jobs: E::jobs,
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
            traits: Traits::new(""),
            build: |table, registry| Ok(build_all::<T>(table, registry)?.erase()),
            resolve: resolve_params::<T>,
            load: |state, arrays, registry| Ok(Arc::new(T::load(state, arrays, registry)?)),
            jobs: T::jobs,
        }
    }

    /// The entry with what its stage promises.
    #[must_use]
    pub const fn with(mut self, traits: Traits) -> Self {
        self.traits = traits;
        self
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

    /// The parameters with every default written out, in one spelling: equal parameters give equal tables. Ranges are not
    /// checked; a parameter without a value is left out.
    ///
    /// # Errors
    /// Every key that is unknown or mistyped.
    pub fn resolve(&self, params: &toml::Table) -> Result<toml::Table, ParamErrors> {
        (self.resolve)(params)
    }
}

fn param_schema<C: Component>() -> Value {
    schemars::schema_for!(C::Params).to_value()
}

fn param_defaults<C: Component>() -> Value {
    serde_json::to_value(C::Params::default()).unwrap_or(Value::Null)
}

/// Parameters that could be read, and what is wrong with the others.
struct Reading<P> {
    /// The readable keys, the rest at their defaults.
    params: Result<P, ParamError>,
    /// Keys of `params` that the table gave.
    given: Vec<String>,
    errors: Vec<ParamError>,
}

/// Reads parameters key by key, so that every bad key is reported and not the first alone.
fn read_params<C: Component>(table: &toml::Table) -> Reading<C::Params> {
    let mut errors = Vec::new();
    let mut good = toml::Table::new();
    for (key, value) in table {
        let single = toml::Table::from_iter([(key.clone(), value.clone())]);
        match C::Params::deserialize(toml::Value::Table(single)) {
            Ok(_) => {
                good.insert(key.clone(), value.clone());
            }
            Err(e) => errors.push(ParamError {
                name: key.clone(),
                message: explain::<C>(key, value, &e),
            }),
        }
    }
    let given = good.keys().cloned().collect();
    let params = C::Params::deserialize(toml::Value::Table(good)).map_err(|e| ParamError {
        name: C::NAME.to_owned(),
        message: e.message().to_owned(),
    });
    Reading {
        params,
        given,
        errors,
    }
}

/// Builds the stage, or tells of every key that cannot be read and of every readable one that is out of range.
fn build_all<C: Component>(table: &toml::Table, registry: &Registry) -> Result<C, ParamErrors> {
    let Reading {
        params,
        given,
        mut errors,
    } = read_params::<C>(table);
    match params.map(|params| C::build(params, registry)) {
        Ok(Ok(stage)) if errors.is_empty() => return Ok(stage),
        Ok(Ok(_)) => {}
        Ok(Err(more)) if errors.is_empty() => return Err(more),
        // A parameter whose key could not be read stands at its default here: what its range check says means nothing, nor does
        // what is said of others because of it.
        Ok(Err(more)) => {
            let unread: Vec<String> = errors.iter().map(|e| format!("`{}`", e.name)).collect();
            errors.extend(more.0.into_iter().filter(|e| {
                let key = e.name.split(['.', '[']).next().unwrap_or(&e.name);
                given.iter().any(|g| g == key) && !unread.iter().any(|u| e.message.contains(u))
            }));
        }
        Err(error) if errors.is_empty() => errors.push(error),
        Err(_) => {}
    }
    Err(ParamErrors(errors))
}

fn resolve_params<C: Component>(table: &toml::Table) -> Result<toml::Table, ParamErrors> {
    let reading = read_params::<C>(table);
    if !reading.errors.is_empty() {
        return Err(ParamErrors(reading.errors));
    }
    let params = reading.params.map_err(|e| ParamErrors(vec![e]))?;
    toml::Table::try_from(&params).map_err(|e| {
        ParamErrors(vec![ParamError {
            name: C::NAME.to_owned(),
            message: format!("cannot be written as TOML: {e}"),
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
    shared: Vec<fn(&mut Jobs)>,
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

    /// Adds rounds, work and steps that several stages share.
    pub fn register_jobs(&mut self, jobs: fn(&mut Jobs)) -> &mut Self {
        self.shared.push(jobs);
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

    /// What a process with this registry can do for a run that was started elsewhere.
    #[must_use]
    pub fn jobs(&self) -> Jobs {
        let mut jobs = Jobs::default();
        crate::train::jobs(&mut jobs);
        crate::stage::jobs(&mut jobs);
        crate::invalid::jobs(&mut jobs);
        for shared in &self.shared {
            shared(&mut jobs);
        }
        for entry in self.entries.values() {
            (entry.jobs)(&mut jobs);
        }
        for entry in &self.evaluators {
            (entry.jobs)(&mut jobs);
        }
        jobs
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
            Some(entry) => {
                let loaded = (entry.load)(&saved.state, arrays, self);
                let stage = loaded.map_err(|e| e.of_stage(&saved.stage))?;
                // A predictor keeps its own name: under another it could be saved, but not read again, and a forest would pass for a tree.
                if stage.name() == saved.stage {
                    return Ok(stage);
                }
                let message = format!("it calls itself `{}`", stage.name());
                Err(ModelError::stage(&saved.stage, message))
            }
            None => Err(ModelError::stage(
                &saved.stage,
                "this program knows no such stage",
            )),
        }
    }
}
