//! The TOML config: read, checked as a whole, and turned into a dataset, a pipeline and a run.
//!
//! [`Config::read`] reports every mistake of a file at once, each with line and column. [`Config::check`] adds what only the
//! data's schema can tell, without reading rows. [`schema`] describes the whole format for editors.

mod canonical;
mod check;
mod document;
mod env;
mod error;
mod limits;
mod overrides;
mod rules;
mod schema;
mod section;
mod size;
mod stages;
mod tables;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use emberline_datasets::SourceOptions;
use toml::de::DeTable;

pub use check::{CheckReport, ColumnReport, MemoryPlan, StepReport};
pub use error::{ConfigError, ConfigErrors};
pub use schema::schema;
pub use size::ByteSize;
pub use stages::StageConfig;
pub use tables::{
    DEFAULT_SEED, EngineKind, EngineOptions, EnvOptions, EvaluateOptions, OutputOptions,
    SplitOptions,
};

use crate::pipeline::Pipeline;
use crate::registry::Registry;
use crate::run::Run;
use crate::{Error, Result};
use document::{Notes, Origin, Place};
use env::{Lookup, Placeholder};

/// A config whose every key, value and stage is known to be right, as far as that can be told without the data.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the run. Default: the file's name without its extension.
    pub name: String,
    /// Seed of everything random. Default: [`DEFAULT_SEED`].
    pub seed: u64,
    /// Where the rows come from.
    pub data: SourceOptions,
    /// Bytes held in memory before they spill; `None`: no limit.
    pub memory_limit: Option<ByteSize>,
    /// Which rows are held out.
    pub split: Option<SplitOptions>,
    /// The stages in order.
    pub stages: Vec<StageConfig>,
    /// How the model is measured.
    pub evaluate: EvaluateOptions,
    /// Where rounds are computed.
    pub engine: EngineOptions,
    /// What is written.
    pub output: OutputOptions,
    allow: Vec<String>,
    placeholders: Vec<Placeholder>,
    source: Arc<Source>,
}

/// Where the config came from, for messages of later checks.
#[derive(Debug)]
struct Source {
    origin: Origin,
    places: Place,
}

/// Which rows a model is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluateOn {
    /// The share that `data.split.test` holds out.
    HeldOut,
    /// The rows of `data.split.source`.
    TestSource,
    /// The rows it was trained on, because `evaluate.on_train` asks for it.
    TrainingRows,
    /// None: nothing is held out, and nobody asked for the training rows.
    Nothing,
}

impl Config {
    /// Reads a config file. `overrides` are `KEY=VALUE` as the command line's `--set` takes them.
    ///
    /// # Errors
    /// Everything that is wrong with the file and the overrides, at once: see [`Config::parse`].
    pub fn read(path: impl AsRef<Path>, overrides: &[String], registry: &Registry) -> Result<Self> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let text = read_text(path, &file)?;
        Ok(Self::parse(&file, &text, overrides, registry)?)
    }

    /// Parses a config's text. `file_name` is for messages.
    ///
    /// # Errors
    /// Unknown keys, tables, stages and metrics (with the nearest valid name), wrong types, values out of range, what is
    /// missing, bad overrides, environment variables that are not allowed or not set: all of them, each with its place.
    pub fn parse(
        file_name: &str,
        text: &str,
        overrides: &[String],
        registry: &Registry,
    ) -> std::result::Result<Self, ConfigErrors> {
        Self::parse_with_env(file_name, text, overrides, registry, &|name| {
            std::env::var(name).ok()
        })
    }

    /// As [`Config::parse`], with environment variables from `lookup`.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with_env(
        file_name: &str,
        text: &str,
        overrides: &[String],
        registry: &Registry,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> std::result::Result<Self, ConfigErrors> {
        let mut origin = Origin::new(file_name, text, overrides);
        let mut notes = Notes::default();
        let root = if within_limits(text, &mut notes) {
            notes.parse(text)
        } else {
            return Err(origin.errors(notes));
        };
        let draft = Draft::read(root, &mut origin, overrides, registry, lookup, &mut notes);
        origin.finish(notes)?;
        Ok(draft.config(origin))
    }

    /// The pipeline.
    ///
    /// # Errors
    /// A stage refuses its parameters; not with the registry the config was read with.
    pub fn pipeline(&self, registry: &Registry) -> Result<Pipeline> {
        let mut stages = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let entry = registry.get(&stage.stage).ok_or_else(|| {
                Error::Usage(format!("this program knows no stage `{}`", stage.stage))
            })?;
            let built = entry.build(&stage.params, registry);
            stages.push(built.map_err(|e| Error::from(e).in_stage(&stage.stage))?);
        }
        Ok(Pipeline::new(stages))
    }

    /// The run: seed, engine and memory limit; without events.
    #[must_use]
    pub fn run(&self) -> Run {
        let limit = self.memory_limit.map(|limit| limit.0);
        let partitioned = self
            .partition_memory()
            .filter(|_| self.data.partition_by.is_some());
        Run::local(self.seed, self.engine.threads)
            .with_memory_limit(limit.map(|limit| limit - partitioned.unwrap_or(0)))
    }

    /// What rows that `data.partition_by` brings together may hold of the memory limit; the run has the rest.
    fn partition_memory(&self) -> Option<u64> {
        self.memory_limit.map(|limit| limit.0 / 4)
    }

    /// Which rows the model is measured on.
    #[must_use]
    pub fn evaluate_on(&self) -> EvaluateOn {
        match &self.split {
            Some(split) if split.source.is_some() => EvaluateOn::TestSource,
            Some(_) => EvaluateOn::HeldOut,
            None if self.evaluate.on_train => EvaluateOn::TrainingRows,
            None => EvaluateOn::Nothing,
        }
    }

    /// What the user should know about [`Config::evaluate_on`], where there is something.
    #[must_use]
    pub fn evaluation_note(&self) -> Option<&'static str> {
        match self.evaluate_on() {
            EvaluateOn::HeldOut | EvaluateOn::TestSource => None,
            EvaluateOn::TrainingRows => Some(
                "metrics are on training rows: they say how well the model remembers, not how well it predicts",
            ),
            EvaluateOn::Nothing => Some(
                "no rows are held out, so the model is not evaluated; add [data.split], or set evaluate.on_train = true for metrics on training rows",
            ),
        }
    }

    /// Options of the source of held-out rows, where `data.split.source` names one: as `[data]`, from there.
    #[must_use]
    pub fn test_options(&self) -> Option<SourceOptions> {
        let source = self.split.as_ref()?.source.clone()?;
        Some(SourceOptions {
            source,
            ..self.data.clone()
        })
    }

    /// Seed of the split: its own, else the run's.
    #[must_use]
    pub fn split_seed(&self) -> u64 {
        let own = self.split.as_ref().and_then(|s| s.seed);
        own.unwrap_or(self.seed)
    }
}

/// A config while it is read.
struct Draft {
    config: Config,
    places: Place,
}

impl Draft {
    fn read<'t>(
        mut root: DeTable<'t>,
        origin: &mut Origin,
        overrides: &'t [String],
        registry: &Registry,
        lookup: Lookup<'_>,
        notes: &mut Notes,
    ) -> Self {
        overrides::apply(&mut root, overrides, origin, &rules::top_level(), notes);
        let env: EnvOptions = rules::optional(&root, "env", notes);
        let substituted = env::substitute(&mut root, &env.allow, lookup, notes);
        origin.secrets = substituted.secrets;
        let head: tables::Head = section::read("", &root, &rules::TABLES.map(str::to_owned), notes);
        rules::head(&head, &root, notes);
        let (data, extras) = rules::data(&root, notes);
        let evaluate = rules::optional(&root, "evaluate", notes);
        let engine = rules::optional(&root, "engine", notes);
        rules::engine(&engine, &root, notes);
        let output = rules::optional(&root, "output", notes);
        rules::output(&output, &root, notes);
        let stages: Vec<StageConfig> = stages::read(&root, registry, notes)
            .into_iter()
            .map(|(_, stage)| stage)
            .collect();
        rules::metrics(&evaluate, &stages, &root, registry, notes);
        let stem = Path::new(&origin.file).file_stem();
        let name = head
            .name
            .or_else(|| stem.map(|s| s.to_string_lossy().into_owned()));
        Self {
            places: Place::of_table(&root, 0..0),
            config: Config {
                name: name.unwrap_or_else(|| "run".to_owned()),
                seed: head.seed,
                data,
                memory_limit: extras.memory_limit,
                split: extras.split,
                stages,
                evaluate,
                engine,
                output,
                allow: env.allow,
                placeholders: substituted.placeholders,
                source: Arc::new(Source {
                    origin: Origin::new("", "", &[]),
                    places: Place::default(),
                }),
            },
        }
    }

    fn config(self, origin: Origin) -> Config {
        Config {
            source: Arc::new(Source {
                origin,
                places: self.places,
            }),
            ..self.config
        }
    }
}

/// Size, forbidden bytes and depth, before anything is parsed.
fn within_limits(text: &str, notes: &mut Notes) -> bool {
    if text.len() > limits::MAX_BYTES {
        notes.at(0..0, too_large());
    } else if let Some(byte) = text.find('\0') {
        notes.help(
            byte..byte + 1,
            "a NUL byte",
            Some("a config is a text file in UTF-8"),
        );
    } else if let Some(byte) = limits::too_deep(text) {
        notes.at(
            byte..byte + 1,
            format!("nests deeper than {} levels", limits::MAX_DEPTH),
        );
    }
    notes.is_empty()
}

fn too_large() -> String {
    format!("the config is larger than {} bytes", limits::MAX_BYTES)
}

fn read_text(path: &Path, file: &str) -> Result<String> {
    let failed = |span, text: &str, message: String, help: Option<&str>| {
        Error::from(ConfigErrors {
            file: file.to_owned(),
            text: text.to_owned(),
            errors: vec![ConfigError {
                span,
                message,
                help: help.map(str::to_owned),
            }],
        })
    };
    let mut bytes = Vec::new();
    let limit = limits::MAX_BYTES as u64 + 1;
    std::fs::File::open(path)
        .and_then(|f| f.take(limit).read_to_end(&mut bytes))
        .map_err(|e| failed(None, "", format!("the config cannot be read: {e}"), None))?;
    if bytes.len() > limits::MAX_BYTES {
        return Err(failed(None, "", too_large(), None));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
        let help = Some("a config is a text file in UTF-8");
        failed(Some(at..at + 1), &text, "not UTF-8".to_owned(), help)
    })
}
