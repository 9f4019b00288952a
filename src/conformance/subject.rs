//! One stage under test: how it is built, fitted and saved.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::Digests;
use super::scored::{Scored, score};
use super::table::{ROWS, Table};
use crate::datasets::{Column, ColumnType, Dataset};
use crate::pipeline::model_file::{Evidence, Probes, StageEvidence};
use crate::pipeline::registry::Traits;
use crate::pipeline::{Arrays, InvalidRows, SavedStage};
use crate::prelude::*;

/// A fitted stage, and how it went.
#[derive(Clone)]
pub struct Fit {
    /// The stage alone, as a pipeline.
    pub model: PipelineModel,
    /// Effective parameters.
    pub params: Value,
    /// `None` for stages that learn nothing.
    pub report: Option<FitReport>,
    /// What its policy let pass of the training rows.
    pub invalid: Vec<InvalidRows>,
}

impl Fit {
    /// The bytes of a model file of the stage: all that was learnt, and the evidence of the fit. Without the digest of the rows,
    /// which tells tables apart that give the same model, and without the seed of the run.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn bytes(&self) -> std::result::Result<Vec<u8>, String> {
        self.file().to_bytes().map_err(|e| e.to_string())
    }

    /// The model file.
    #[must_use]
    pub fn file(&self) -> ModelFile {
        let evidence = Evidence {
            stages: vec![StageEvidence {
                stage: self.stage().name().to_owned(),
                params: self.params.clone(),
                report: self.report.clone(),
                invalid: self.invalid.clone(),
            }],
            ..Evidence::default()
        };
        ModelFile::new(
            "conformance",
            self.model.clone(),
            evidence,
            Probes::default(),
        )
    }

    /// The fitted stage.
    #[must_use]
    pub fn stage(&self) -> &Arc<dyn Transformer> {
        &self.model.stages()[0]
    }

    /// The fitted stage as data: what [`Registry::load`] reads, without the schema of the rows.
    #[must_use]
    pub fn saved(&self) -> (SavedStage, Arrays) {
        let mut arrays = Arrays::new();
        let state = self.stage().save(&mut arrays);
        let stage = self.stage().name().to_owned();
        (SavedStage { stage, state }, arrays)
    }
}

/// A stage of a registry under test.
pub struct Subject<'a> {
    /// Its entry.
    pub entry: &'a Entry,
    /// The registry it stands in.
    pub registry: &'a Registry,
    /// What it promises.
    pub traits: Traits,
    example: toml::Table,
    table: Table,
    fit: OnceLock<std::result::Result<Fit, String>>,
    scored: OnceLock<std::result::Result<Scored, String>>,
    elsewhere: Option<&'a std::result::Result<Digests, String>>,
}

impl<'a> Subject<'a> {
    /// The stage of `entry`.
    ///
    /// # Errors
    /// Its example is no TOML.
    pub fn new(entry: &'a Entry, registry: &'a Registry) -> std::result::Result<Self, String> {
        let example = entry.traits.example.parse::<toml::Table>();
        let example = example.map_err(|e| format!("its example is no TOML: {e}"))?;
        let mut subject = Self {
            entry,
            registry,
            traits: entry.traits,
            example,
            table: Table::standard(ROWS, 1),
            fit: OnceLock::new(),
            scored: OnceLock::new(),
            elsewhere: None,
        };
        subject.table.roles.label = subject.label().map(str::to_owned);
        Ok(subject)
    }

    /// The same, to be compared with what another process learnt.
    #[must_use]
    pub fn compared_with(
        self,
        elsewhere: Option<&'a std::result::Result<Digests, String>>,
    ) -> Self {
        Self { elsewhere, ..self }
    }

    /// What another process learnt, where one was asked.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&'a std::result::Result<Digests, String>> {
        self.elsewhere
    }

    /// The column of the standard table that the stage learns from.
    #[must_use]
    pub fn label(&self) -> Option<&'static str> {
        match self.entry.kind {
            Kind::Classifier => Some("class"),
            Kind::Regressor => Some("y"),
            _ if self.traits.needs_label => Some("y"),
            _ => None,
        }
    }

    /// The standard table, with the label's role where the stage learns from one.
    #[must_use]
    pub fn table(&self) -> Table {
        self.table.clone()
    }

    /// Another standard table.
    #[must_use]
    pub fn table_of(&self, rows: usize, seed: u64) -> Table {
        let mut table = Table::standard(rows, seed);
        table.roles.label = self.label().map(str::to_owned);
        table
    }

    /// The example's parameters.
    #[must_use]
    pub fn example(&self) -> toml::Table {
        self.example.clone()
    }

    /// The example with some parameters set to other values.
    #[must_use]
    pub fn example_with<const N: usize>(&self, changes: [(&str, toml::Value); N]) -> toml::Table {
        let mut table = self.example();
        table.extend(changes.map(|(k, v)| (k.to_owned(), v)));
        table
    }

    /// The parameters as the registry describes them: name and JSON Schema.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, Value> {
        let schema = (self.entry.schema)();
        let properties = schema.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flatten()
            .map(|(name, about)| (name.clone(), about.clone()))
            .collect()
    }

    /// Whether the stage has this parameter.
    #[must_use]
    pub fn has(&self, parameter: &str) -> bool {
        self.parameters().contains_key(parameter)
    }

    /// The stage, with these parameters.
    ///
    /// # Errors
    /// It refuses them.
    pub fn stage(&self, params: &toml::Table) -> std::result::Result<AnyStage, ParamErrors> {
        self.entry.build(params, self.registry)
    }

    /// Whether it learns.
    ///
    /// # Errors
    /// It refuses its example.
    pub fn learns(&self) -> std::result::Result<bool, String> {
        let stage = self.stage(&self.example).map_err(|e| e.to_string())?;
        Ok(matches!(stage, AnyStage::Estimator(_)))
    }

    /// Fits the stage with the example's parameters.
    ///
    /// # Errors
    /// The stage's.
    pub fn fit(&self, data: &Dataset, run: &Run) -> Result<Fit> {
        self.fit_with(&self.example, data, run)
    }

    /// Fits the stage with these parameters.
    ///
    /// # Errors
    /// The stage's.
    pub fn fit_with(&self, params: &toml::Table, data: &Dataset, run: &Run) -> Result<Fit> {
        fit_stage(self.stage(params)?, data, run)
    }

    /// Fits the stage on a table, in one thread and under seed 1.
    ///
    /// # Errors
    /// The stage's.
    pub fn fit_on(&self, table: &Table) -> Result<Fit> {
        self.fit(&table.dataset()?, &Run::local(1, 1))
    }

    /// The stage fitted on the standard table; fitted once.
    ///
    /// # Errors
    /// The stage's, as text.
    pub fn fitted(&self) -> std::result::Result<&Fit, String> {
        let fit = || self.fit_on(&self.table).map_err(|e| e.to_string());
        self.fit.get_or_init(fit).as_ref().map_err(Clone::clone)
    }

    /// What the fitted stage gives for the standard table; computed once.
    ///
    /// # Errors
    /// The stage's, as text.
    pub fn scored(&self) -> std::result::Result<&Scored, String> {
        let score = || score(&self.fitted()?.model, &self.table).map_err(|e| e.to_string());
        self.scored
            .get_or_init(score)
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Columns of the standard table that the fitted stage reads.
    ///
    /// # Errors
    /// It cannot be fitted.
    pub fn reads(&self) -> std::result::Result<Vec<String>, String> {
        Ok(self.fitted()?.model.required_columns())
    }

    /// Of [`Subject::reads`], those with numbers: floats and vectors.
    ///
    /// # Errors
    /// It cannot be fitted.
    pub fn reads_numbers(&self) -> std::result::Result<Vec<String>, String> {
        self.reads_of(|c| c.ty == ColumnType::Float || c.ty.is_vector())
    }

    /// Of [`Subject::reads`], those of some kind.
    ///
    /// # Errors
    /// It cannot be fitted.
    pub fn reads_of(
        &self,
        kind: impl Fn(&Column) -> bool,
    ) -> std::result::Result<Vec<String>, String> {
        let mut names = self.reads()?;
        let is = |name: &String| {
            self.table
                .columns
                .iter()
                .any(|(c, _)| c.name == *name && kind(c))
        };
        names.retain(is);
        Ok(names)
    }

    /// Columns that the fitted stage writes.
    ///
    /// # Errors
    /// It cannot be fitted.
    pub fn writes(&self) -> std::result::Result<Vec<String>, String> {
        let fit = self.fitted()?;
        Ok(fit.model.writes(fit.model.input_schema()))
    }
}

/// Fits a pipeline of one stage.
///
/// # Errors
/// The stage's.
pub fn fit_stage(stage: AnyStage, data: &Dataset, run: &Run) -> Result<Fit> {
    let mut fitted = Pipeline::new(vec![stage]).fit(data, run)?;
    let own = fitted.stages.remove(0);
    Ok(Fit {
        model: fitted.model,
        params: own.params,
        report: own.report,
        invalid: own.invalid,
    })
}
