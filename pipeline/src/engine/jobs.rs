//! What a process can do for a run that was started elsewhere: rounds, work, exchanges and steps by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberline_datasets::recipe::Step;
use emberline_datasets::{Batch, Block, DataError, RowOp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bytes::from_bytes;
use super::exchange::{ErasedExchange, Exchange};
use super::round::{ErasedRound, ErasedWork, Round, Work};
use crate::registry::Registry;
use crate::{Error, Result};

type Load<T> = fn(&[u8]) -> Result<Box<T>>;
type LoadStep = fn(&Step, &Registry) -> std::result::Result<Arc<dyn RowOp>, DataError>;

/// Readers of what travels between the processes of a run, by name. A stage adds what its driver sends:
/// [`Component::jobs`](crate::Component::jobs).
#[derive(Clone, Default)]
pub struct Jobs {
    blocks: BTreeMap<&'static str, Load<dyn ErasedRound<Block>>>,
    batches: BTreeMap<&'static str, Load<dyn ErasedRound<Batch>>>,
    work: BTreeMap<&'static str, Load<dyn ErasedWork>>,
    exchanges: BTreeMap<&'static str, Load<dyn ErasedExchange>>,
    steps: BTreeMap<&'static str, LoadStep>,
}

/// What rounds pass over: [`Block`]s or [`Batch`]es.
pub trait Unit: Sized + 'static {
    #[doc(hidden)]
    fn rounds(jobs: &mut Jobs) -> &mut BTreeMap<&'static str, Load<dyn ErasedRound<Self>>>;
}

impl Unit for Block {
    fn rounds(jobs: &mut Jobs) -> &mut BTreeMap<&'static str, Load<dyn ErasedRound<Self>>> {
        &mut jobs.blocks
    }
}

impl Unit for Batch {
    fn rounds(jobs: &mut Jobs) -> &mut BTreeMap<&'static str, Load<dyn ErasedRound<Self>>> {
        &mut jobs.batches
    }
}

impl Jobs {
    /// Adds a round.
    pub fn round<R: Round<Unit: Unit>>(&mut self) -> &mut Self {
        R::Unit::rounds(self).insert(R::NAME, |bytes| {
            Ok(Box::new(from_bytes::<R>(R::NAME, bytes)?))
        });
        self
    }

    /// Adds work.
    pub fn work<W: Work>(&mut self) -> &mut Self
    where
        W::Shared: 'static,
    {
        self.work.insert(W::NAME, |bytes| {
            Ok(Box::new(from_bytes::<W>(W::NAME, bytes)?))
        });
        self
    }

    /// Adds an exchange.
    pub fn exchange<X: Exchange>(&mut self) -> &mut Self {
        self.exchanges.insert(X::NAME, |bytes| {
            Ok(Box::new(from_bytes::<X>(X::NAME, bytes)?))
        });
        self
    }

    /// Adds a step of datasets whose state is the step itself; `name` is what its [`RowOp::step`] writes.
    pub fn step<S: RowOp + Serialize + DeserializeOwned + 'static>(
        &mut self,
        name: &'static str,
    ) -> &mut Self {
        self.step_by(name, |step, _| Ok(Arc::new(step.read::<S>()?)))
    }

    /// Adds a step that is read with the help of a registry.
    pub(crate) fn step_by(&mut self, name: &'static str, load: LoadStep) -> &mut Self {
        self.steps.insert(name, load);
        self
    }

    pub(crate) fn round_over_blocks(
        &self,
        name: &str,
        state: &[u8],
    ) -> Result<Box<dyn ErasedRound<Block>>> {
        load(&self.blocks, name, state)
    }

    pub(crate) fn round_over_batches(
        &self,
        name: &str,
        state: &[u8],
    ) -> Result<Box<dyn ErasedRound<Batch>>> {
        load(&self.batches, name, state)
    }

    pub(crate) fn work_of(&self, name: &str, state: &[u8]) -> Result<Box<dyn ErasedWork>> {
        load(&self.work, name, state)
    }

    pub(crate) fn exchange_of(&self, name: &str, state: &[u8]) -> Result<Box<dyn ErasedExchange>> {
        load(&self.exchanges, name, state)
    }

    pub(crate) fn read_step(
        &self,
        step: &Step,
        registry: &Registry,
    ) -> std::result::Result<Arc<dyn RowOp>, DataError> {
        match self.steps.get(&*step.name) {
            Some(load) => load(step, registry),
            None => Err(DataError::Unusable(unknown(&step.name))),
        }
    }
}

fn load<T: ?Sized>(known: &BTreeMap<&str, Load<T>>, name: &str, state: &[u8]) -> Result<Box<T>> {
    match known.get(name) {
        Some(load) => load(state),
        None => Err(Error::Engine(unknown(name))),
    }
}

/// How an error begins that tells of a round, work or step without a reader.
pub const UNKNOWN_JOB: &str = "this process has no reader of";

fn unknown(name: &str) -> String {
    format!(
        "{UNKNOWN_JOB} `{name}`; start it from the program that trains, and let the stage add it in `Component::jobs`"
    )
}
