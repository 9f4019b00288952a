//! One error type for everything above the data layer, sorted by who must act.

use emberline_datasets::{DataError, SchemaErrors};

use crate::param::ParamErrors;

/// Result of the pipeline layer.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in a run. [`Error::exit_code`] is the process's exit code for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The author of the config acts: all mistakes of a file at once, each with its place.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigErrors),
    /// The author of the config or script acts: parameters out of range.
    #[error(transparent)]
    Param(#[from] ParamErrors),
    /// The author of the config acts: columns do not fit a stage.
    #[error(transparent)]
    Schema(#[from] SchemaErrors),
    /// The author of the config or the caller acts: a wrong use that is none of the above.
    #[error("{0}")]
    Usage(String),
    /// The owner of the data acts.
    #[error(transparent)]
    Data(DataError),
    /// The owner of the model file acts.
    #[error(transparent)]
    Model(#[from] crate::persist::ModelError),
    /// The operator acts: the engine could not do its work.
    #[error("engine: {0}")]
    Engine(String),
    /// Whoever changed something acts: metrics left the bands of their lock. Names the configs.
    #[error("metrics moved beyond their locks: {0}")]
    AccuracyMoved(String),
    /// Somebody stopped the run.
    #[error("interrupted")]
    Interrupted,
    /// A stage failed; its name is added once.
    #[error("stage `{stage}`: {source}")]
    InStage {
        /// The stage's name in the pipeline.
        stage: String,
        /// What went wrong.
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// The exit code of a process that ends with this error: 1 accuracy moved, 2 usage or config, 3 data, 4 model file, 5 engine, 130 interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Param(_) | Self::Schema(_) | Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Model(_) => 4,
            Self::Engine(_) => 5,
            Self::AccuracyMoved(_) => 1,
            Self::Interrupted => 130,
            Self::InStage { source, .. } => source.exit_code(),
        }
    }

    /// What kind of error it is, in one word that does not change: for tables and programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Param(_) => "param",
            Self::Schema(_) => "schema",
            Self::Usage(_) => "usage",
            Self::Data(error) => error.kind(),
            Self::Model(_) => "model",
            Self::Engine(_) => "engine",
            Self::AccuracyMoved(_) => "accuracy_moved",
            Self::Interrupted => "interrupted",
            Self::InStage { source, .. } => source.kind(),
        }
    }

    /// True where the same run may succeed later: somebody stopped it, the engine failed, or a file could not be read or written.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Interrupted | Self::Engine(_) | Self::Data(DataError::Io { .. }) => true,
            Self::Data(DataError::InStage { source, .. }) => {
                matches!(**source, DataError::Io { .. })
            }
            Self::InStage { source, .. } => source.may_pass(),
            _ => false,
        }
    }

    /// Names the stage that failed, unless one is named already.
    #[must_use]
    pub fn in_stage(self, stage: &str) -> Self {
        match self {
            named @ (Self::InStage { .. }
            | Self::Interrupted
            | Self::Data(DataError::InStage { .. })) => named,
            other => Self::InStage {
                stage: stage.to_owned(),
                source: Box::new(other),
            },
        }
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Cancelled => Self::Interrupted,
            DataError::Schema(errors) => Self::Schema(errors),
            DataError::InStage { stage, source } if matches!(*source, DataError::Schema(_)) => {
                Self::from(*source).in_stage(&stage)
            }
            other => Self::Data(other),
        }
    }
}
