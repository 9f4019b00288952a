//! Training whose driver runs beside the scheduler: what a client submits, and what the scheduler starts for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use emberline_cluster::{DriverEnd, Drivers};
use serde::{Deserialize, Serialize};

use super::{client, failed};
use crate::prelude::*;

/// A training run as it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The folder that relative paths of the config start from, on the scheduler's machine: the one it was submitted in.
    pub folder: PathBuf,
    /// The config with its overrides, as TOML. Environment variables stay as they are written: the driver's count.
    pub config: String,
    /// As `train --overwrite`.
    pub overwrite: bool,
    /// As `train --resume`.
    pub resume: bool,
}

impl Submission {
    /// Submits it to the scheduler that `config` names; the id of the run.
    ///
    /// # Errors
    /// The config names no scheduler or reads standard input; the scheduler cannot be reached, or refuses.
    pub fn submit(&self, config: &Config) -> Result<String> {
        if config.engine.scheduler.is_none() {
            return Err(Error::Usage(
                "--detach runs the driver beside a scheduler: name one (--set engine.kind=cluster --set engine.scheduler=http://HOST:50050)".to_owned(),
            ));
        }
        if config.data.source == "-" {
            return Err(Error::Usage(
                "a detached run cannot read standard input: name a file".to_owned(),
            ));
        }
        let client = client(&config.engine)?;
        let request = serde_json::to_vec(self).map_err(|e| Error::Usage(e.to_string()))?;
        client.start_run(&config.name, &request).map_err(failed)
    }

    /// The submission that the folder of a run holds.
    ///
    /// # Errors
    /// There is none, or none of this version.
    pub fn of_run(folder: &Path) -> Result<Self> {
        let path = folder.join("request");
        let bytes = std::fs::read(&path).map_err(|e| DataError::io(&path, e))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::Usage(format!(
                "the request cannot be read (is the client of another version?): {e}"
            ))
        })
    }
}

/// Starts this program as the driver of detached runs.
#[derive(Debug, Clone)]
pub struct TrainDrivers {
    program: PathBuf,
    token_file: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
}

impl TrainDrivers {
    /// Drivers that show the token in one file, and believe the authorities in the other.
    ///
    /// # Errors
    /// The path of this program is not known.
    pub fn new(token_file: Option<&str>, tls_ca: Option<&str>) -> Result<Self> {
        let known = |e: std::io::Error| Error::Engine(format!("the path of this program: {e}"));
        let absolute = |file: Option<&str>| file.map(std::path::absolute).transpose();
        Ok(Self {
            program: std::env::current_exe().map_err(known)?,
            token_file: absolute(token_file).map_err(known)?,
            tls_ca: absolute(tls_ca).map_err(known)?,
        })
    }
}

impl Drivers for TrainDrivers {
    fn command(&self, run: &Path, scheduler: &str) -> std::result::Result<Command, String> {
        let submission = Submission::of_run(run).map_err(|e| e.to_string())?;
        let folder = &submission.folder;
        if !folder.is_absolute() || !folder.is_dir() {
            return Err(format!(
                "`{}` is no folder of the scheduler's machine: submit from one that both machines have",
                folder.display()
            ));
        }
        let run = std::path::absolute(run).map_err(|e| e.to_string())?;
        let mut command = Command::new(&self.program);
        command.args(["cluster", "driver"]).arg(run);
        command.args(["--scheduler", scheduler]).current_dir(folder);
        if let Some(file) = &self.token_file {
            command.arg("--token-file").arg(file);
        }
        if let Some(file) = &self.tls_ca {
            command.arg("--tls-ca").arg(file);
        }
        Ok(command)
    }
}

/// Notes in the folder of a run how its driver ended.
///
/// # Errors
/// The file cannot be written.
pub fn note_end(folder: &Path, result: &Result<()>) -> Result<()> {
    let end = match result {
        Ok(()) => DriverEnd::default(),
        Err(error) => DriverEnd {
            exit_code: error.exit_code().into(),
            error: Some(error.to_string()),
        },
    };
    end.write(folder)
        .map_err(|e| DataError::io(folder, e).into())
}
