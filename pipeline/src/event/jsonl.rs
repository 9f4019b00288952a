//! Events as lines of JSON: `events.jsonl`.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use emberline_datasets::{DataError, files};

use super::{Event, EventSink};
use crate::Result;

/// Writes each event as one JSON object a line. A figure that is not finite is written as null.
///
/// The file is flushed at `RunFinished`, by [`JsonLines::finish`], and when this is dropped. An event that cannot be
/// written stops no run; [`JsonLines::finish`] tells of the first one. In an object store the file appears at `RunFinished`.
pub struct JsonLines {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: BufWriter<File>,
    /// The address that the file is put at, where it lies in an object store.
    address: Option<PathBuf>,
    failed: Option<std::io::Error>,
}

impl JsonLines {
    /// Creates or empties the file.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let address = files::is_object(&path).then(|| path.clone());
        let file = match &address {
            Some(_) => tempfile::tempfile(),
            None => File::create(&path),
        };
        let file = file.map_err(|e| DataError::io(&path, e))?;
        Ok(Self {
            path,
            state: Mutex::new(State {
                file: BufWriter::new(file),
                address,
                failed: None,
            }),
        })
    }

    /// Flushes what was written.
    ///
    /// # Errors
    /// An event before could not be written, or the flush fails.
    pub fn finish(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.failed.take() {
            return Err(DataError::io(&self.path, error).into());
        }
        state
            .settle()
            .map_err(|e| DataError::io(&self.path, e).into())
    }
}

impl State {
    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.file, event)?;
        self.file.write_all(b"\n")?;
        if matches!(event, Event::RunFinished { .. }) {
            self.settle()?;
        }
        Ok(())
    }

    /// Everything is where it belongs.
    fn settle(&mut self) -> std::io::Result<()> {
        self.file.flush()?;
        let Some(address) = &self.address else {
            return Ok(());
        };
        let file = self.file.get_mut();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        files::replace(address, &bytes)
    }
}

impl EventSink for JsonLines {
    fn emit(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.is_none() {
            state.failed = state.write(event).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PartComputed;
    use crate::invalid::{Fate, InvalidValues, Reason};

    /// One of each variant with the line it must give: readers of old logs rely on it.
    fn golden() -> Vec<(Event, &'static str)> {
        let stage = || "kmeans".to_owned();
        vec![
            (
                Event::RunStarted {
                    name: "digits".to_owned(),
                    seed: 42,
                    engine: "local, 2 threads".to_owned(),
                },
                r#"{"event":"run_started","name":"digits","seed":42,"engine":"local, 2 threads"}"#,
            ),
            (
                Event::StageStarted {
                    stage: stage(),
                    index: 1,
                    of: 2,
                },
                r#"{"event":"stage_started","stage":"kmeans","index":1,"of":2}"#,
            ),
            (
                Event::RoundFinished {
                    stage: stage(),
                    round: 3,
                    max_rounds: Some(20),
                    loss: Some(0.5),
                    rows_per_s: 1e6,
                    bytes: 512,
                    eta_s: Some(1.25),
                },
                r#"{"event":"round_finished","stage":"kmeans","round":3,"max_rounds":20,"loss":0.5,"rows_per_s":1000000.0,"bytes":512,"eta_s":1.25}"#,
            ),
            (
                Event::CheckpointWritten {
                    stage: stage(),
                    round: 3,
                    bytes: 4096,
                },
                r#"{"event":"checkpoint_written","stage":"kmeans","round":3,"bytes":4096}"#,
            ),
            (
                Event::StageFinished {
                    stage: stage(),
                    seconds: 0.25,
                    rounds: 7,
                    stop: "converged".to_owned(),
                },
                r#"{"event":"stage_finished","stage":"kmeans","seconds":0.25,"rounds":7,"stop":"converged"}"#,
            ),
            (
                Event::MetricComputed {
                    metric: "accuracy".to_owned(),
                    value: 0.99,
                },
                r#"{"event":"metric_computed","metric":"accuracy","value":0.99}"#,
            ),
            (
                Event::InvalidRows {
                    among: "training rows".to_owned(),
                    stage: "string_indexer".to_owned(),
                    fate: Fate::Skipped,
                    rows: 2,
                    columns: vec![InvalidValues {
                        column: "town".to_owned(),
                        reason: Reason::Missing,
                        rows: 2,
                    }],
                },
                r#"{"event":"invalid_rows","among":"training rows","stage":"string_indexer","fate":"skipped","rows":2,"columns":[{"column":"town","reason":"missing","rows":2}]}"#,
            ),
            (
                Event::JobComputed {
                    stage: stage(),
                    job: "kmeans/assign".to_owned(),
                    seconds: 0.5,
                    bytes_sent: 96,
                    parts: vec![PartComputed {
                        part: 0,
                        executor: "50051-2f".to_owned(),
                        bytes: 128,
                        kept: Some(true),
                    }],
                },
                r#"{"event":"job_computed","stage":"kmeans","job":"kmeans/assign","seconds":0.5,"bytes_sent":96,"parts":[{"part":0,"executor":"50051-2f","bytes":128,"kept":true}]}"#,
            ),
            (
                Event::Warning {
                    stage: None,
                    message: "one class".to_owned(),
                },
                r#"{"event":"warning","stage":null,"message":"one class"}"#,
            ),
            (
                Event::RunFinished {
                    seconds: 1.5,
                    ok: true,
                },
                r#"{"event":"run_finished","seconds":1.5,"ok":true}"#,
            ),
        ]
    }

    #[test]
    fn the_line_of_each_event_is_frozen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let sink = JsonLines::create(&path).unwrap();
        for (event, _) in golden() {
            sink.emit(&event);
        }
        sink.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<&str> = golden().into_iter().map(|(_, line)| line).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        for (event, line) in golden() {
            assert_eq!(serde_json::from_str::<Event>(line).unwrap(), event);
        }
        // A variant that is added must get a line above: this match makes the compiler ask for it.
        match golden()[0].0 {
            Event::RunStarted { .. }
            | Event::StageStarted { .. }
            | Event::RoundFinished { .. }
            | Event::CheckpointWritten { .. }
            | Event::StageFinished { .. }
            | Event::MetricComputed { .. }
            | Event::InvalidRows { .. }
            | Event::JobComputed { .. }
            | Event::Warning { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let error = JsonLines::create("/nowhere/at/all/events.jsonl")
            .err()
            .unwrap();
        assert!(error.to_string().contains("/nowhere/at/all/events.jsonl"));
    }
}
