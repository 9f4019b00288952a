//! What a run carries along: seed, engine, limits, events and the switch that stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use emberline_datasets::random::Draw;
use emberline_datasets::{Batch, Block, BlockSpec, DataError, Dataset, Memory};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Exchange, Local, Partial, Pinned, Round, Work};
use crate::event::{Event, EventSink, NoEvents};
use crate::{Error, Result};

/// The switch that stops a run; shared with signal handlers.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// The switch that this flag is.
    #[must_use]
    pub fn of(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Stops the run at the next block.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was stopped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once the run was stopped.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// The context of one run.
#[derive(Clone)]
pub struct Run {
    /// Seed of everything random in the run.
    pub seed: u64,
    /// Where rounds are computed.
    pub engine: Arc<dyn Engine>,
    /// What blocks, cached rows and the tables of learners may hold together; rows and blocks beyond it lie on disk.
    pub memory: Memory,
    /// Who hears of progress.
    pub events: Arc<dyn EventSink>,
    /// The switch that stops the run.
    pub cancel: Cancel,
    stage: Arc<str>,
}

impl Default for Run {
    /// Seed 0, all cores of this machine, no limit, no events.
    fn default() -> Self {
        Self::local(0, 0)
    }
}

impl Run {
    /// A run on this machine with `threads` threads (0: one a core).
    #[must_use]
    pub fn local(seed: u64, threads: usize) -> Self {
        Self {
            seed,
            engine: Arc::new(Local::new(threads)),
            memory: Memory::default(),
            events: Arc::new(NoEvents),
            cancel: Cancel::default(),
            stage: "".into(),
        }
    }

    /// The same run, telling `events` of its progress.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = events;
        self
    }

    /// The same run under a memory limit in bytes.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: Option<u64>) -> Self {
        self.memory = Memory::limited(bytes);
        self
    }

    /// The same run on another engine.
    #[must_use]
    pub fn with_engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = engine;
        self
    }

    /// The same run inside the stage of that name; events and draws carry it.
    #[must_use]
    pub fn in_stage(&self, stage: &str) -> Self {
        Self {
            stage: stage.into(),
            ..self.clone()
        }
    }

    /// Name of the stage being fitted.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// Draws for `purpose`, under the stage's own seed or else the run's.
    #[must_use]
    pub fn draw(&self, own_seed: Option<u64>, purpose: &str) -> Draw {
        Draw::new(own_seed.unwrap_or(self.seed), purpose)
    }

    /// Tells of an event.
    pub fn emit(&self, event: &Event) {
        self.events.emit(event);
    }

    /// Tells the user something that stops nothing.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!(stage = &*self.stage, "{message}");
        self.emit(&Event::Warning {
            stage: Some(self.stage.to_string()),
            message,
        });
    }

    /// Materialises an estimator's columns as blocks, where the rounds will run.
    ///
    /// # Errors
    /// The data do not fit `spec`, or cannot be read.
    pub fn pin(&self, data: &Dataset, spec: &BlockSpec) -> Result<Pinned> {
        spec.check(data.schema())?;
        self.engine.pin(data, spec, self)
    }

    /// Hands all batches of a dataset to `each` in order, read and transformed on the engine's threads.
    ///
    /// # Errors
    /// Reading fails, `each` refuses, or the run was stopped.
    pub fn each_batch(
        &self,
        data: &Dataset,
        mut each: impl FnMut(Batch) -> Result<()> + Send,
    ) -> Result<()> {
        self.engine.each_batch(data, self, &mut each)
    }

    /// One round over pinned blocks: maps every block, merges along the canonical tree. `None` without rows.
    ///
    /// # Errors
    /// A block refuses, the engine fails, or the run was stopped.
    pub fn round<R: Round<Unit = Block>>(
        &self,
        data: &Pinned,
        round: &R,
    ) -> Result<Option<R::Partial>> {
        crate::engine::downcast::<R>(self.engine.over_blocks(data, round, self)?)
    }

    /// One pass over the batches of a dataset, reading the named columns only. `None` without rows.
    ///
    /// # Errors
    /// Reading fails, a batch refuses, the engine fails, or the run was stopped.
    pub fn scan<R: Round<Unit = Batch>>(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &R,
    ) -> Result<Option<R::Partial>> {
        crate::engine::downcast::<R>(self.engine.over_batches(data, columns, round, self)?)
    }

    /// Number of rows of a dataset; read where they do not follow from its chunks.
    ///
    /// # Errors
    /// As [`Run::scan`].
    pub fn count(&self, data: &Dataset) -> Result<u64> {
        if let Some(known) = data.known_count()? {
            return Ok(known);
        }
        Ok(self.scan(data, &[], &CountRows)?.unwrap_or_default().0)
    }

    /// Runs `n` independent pieces of work, each over all pinned blocks; results in index order. Who hands over the only
    /// reference to the blocks does not hold them while the pieces are at work.
    ///
    /// # Errors
    /// A piece fails, or the run was stopped.
    pub fn fan_out<W: Work>(
        &self,
        data: Arc<Pinned>,
        work: &W,
        n: usize,
    ) -> Result<Vec<W::Output>> {
        let mut outputs = Vec::with_capacity(n);
        self.fan_out_each(data, work, n, |output| {
            outputs.push(output);
            Ok(())
        })?;
        Ok(outputs)
    }

    /// As [`Run::fan_out`], with each output handed to `each` in index order while later pieces are still at work: for
    /// telling of progress, or for folding outputs without keeping them.
    ///
    /// # Errors
    /// A piece fails, `each` refuses, or the run was stopped.
    pub fn fan_out_each<W: Work>(
        &self,
        data: Arc<Pinned>,
        work: &W,
        n: usize,
        mut each: impl FnMut(W::Output) -> Result<()> + Send,
    ) -> Result<()> {
        self.engine.fan_out(data, work, 0..n, self, &mut |boxed| {
            each(crate::engine::downcast_output::<W>(boxed)?)
        })
    }
}

impl Run {
    /// An exchange between pinned blocks and the groups of `exchange`; the outputs of all groups, in order.
    ///
    /// # Errors
    /// A block refuses, an output cannot be made, the engine fails, or the run was stopped.
    pub fn exchange<X: Exchange>(&self, data: &Pinned, exchange: &X) -> Result<Vec<X::Output>> {
        let outputs = self.engine.exchange(data, exchange, self)?;
        (outputs.iter())
            .map(|bytes| crate::engine::from_bytes(X::NAME, bytes))
            .collect()
    }
}

/// Counts rows.
#[derive(Serialize, Deserialize)]
pub(crate) struct CountRows;

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Rows(u64);

impl Partial for Rows {
    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}

impl Round for CountRows {
    const NAME: &'static str = "run/count";
    type Unit = Batch;
    type Partial = Rows;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Rows, DataError> {
        Ok(Rows(batch.num_rows() as u64))
    }
}

/// Times the rounds of a stage and tells of each.
pub struct Rounds<'a> {
    run: &'a Run,
    max: Option<u64>,
    rows: u64,
    started: Instant,
    done: u64,
}

impl<'a> Rounds<'a> {
    /// Starts the clock for a stage that passes over `rows` rows at most `max` times.
    #[must_use]
    pub fn start(run: &'a Run, rows: u64, max: Option<u64>) -> Self {
        Self {
            run,
            max,
            rows,
            started: Instant::now(),
            done: 0,
        }
    }

    /// Tells that one more round is done; `bytes` of partial results were merged.
    pub fn finished(&mut self, loss: Option<f64>, bytes: u64) {
        self.done += 1;
        let elapsed = self.started.elapsed().as_secs_f64();
        let per_round = elapsed / self.done as f64;
        self.run.emit(&Event::RoundFinished {
            stage: self.run.stage().to_owned(),
            round: self.done,
            max_rounds: self.max,
            loss,
            rows_per_s: if per_round > 0.0 {
                self.rows as f64 / per_round
            } else {
                0.0
            },
            bytes,
            eta_s: self
                .max
                .map(|max| per_round * max.saturating_sub(self.done) as f64),
        });
    }
}
