//! The conformance suite: what every stage must hold to, run over every entry of a registry.
//!
//! A stage is covered by its registry line: the suite builds it from its [`Traits`], fits and applies it to small tables, and
//! asks [`properties`] of it, from the ranges of its parameters to the bits of its model. What a stage declares is tested, and so is
//! what it does not declare: that a missing value is refused with column and row, that the seed has no effect.
//!
//! A stage from outside the workspace is tested the same way:
//!
//! ```no_run
//! # fn register(_: &mut emberline::prelude::Registry) {}
//! let mut registry = emberline::registry();
//! register(&mut registry); // registry.register(Entry::transformer::<MyStage>().with(Traits::new("inputs = [\"x0\"]")));
//! let report = emberline::conformance::Suite::new(&registry).only("my_stage").run();
//! assert!(report.passed(), "{report}");
//! ```
//!
//! How to read a failure: `stage, property: what was found`. The property's page is its doc comment in `src/conformance/`; where the
//! stage is right and the property cannot hold, an [`Exception`] says why, and fails as soon as the property holds after all.

mod engine;
mod exceptions;
mod properties;
mod scored;
mod scratch;
mod subject;
mod table;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use exceptions::EXCEPTIONS;
pub use properties::mutate;
pub use table::{Cells, Table};

pub use crate::pipeline::registry::{Invariance, Traits};
use crate::prelude::*;
use properties::{GROUPS, Held, Property};
use subject::Subject;

/// A property that a stage need not hold, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// The stage.
    pub stage: &'static str,
    /// Number of the property.
    pub property: u8,
    /// Why it cannot hold.
    pub reason: &'static str,
}

/// What became of one property of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It says nothing of this stage, and why.
    NotAsked(String),
    /// It does not hold, for a reason that is on record.
    Excepted(&'static str),
    /// It does not hold.
    Failed(String),
}

/// One property of one stage.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The stage.
    pub stage: String,
    /// Number of the property.
    pub property: u8,
    /// What became of it.
    pub outcome: Outcome,
    /// Wall time.
    pub time: Duration,
}

/// What the suite found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Stage by stage, property by property.
    pub cells: Vec<Cell>,
    /// Wall time of the whole.
    pub time: Duration,
}

/// The digest of each stage's model on the standard table.
pub type Digests = BTreeMap<String, String>;

/// Gives the [`digests`] of a process of another kind: another folder, locale, time zone, environment.
pub type Elsewhere<'a> = dyn Fn() -> std::result::Result<Digests, String> + Sync + 'a;

/// The suite over a registry.
pub struct Suite<'a> {
    registry: &'a Registry,
    only: Vec<String>,
    properties: Vec<u8>,
    exceptions: &'a [Exception],
    elsewhere: Option<&'a Elsewhere<'a>>,
    threads: usize,
}

/// Number and name of every property, in order.
pub fn properties() -> impl Iterator<Item = (u8, &'static str)> {
    all().map(|p| (p.number, p.name))
}

fn all() -> impl Iterator<Item = &'static Property> {
    GROUPS.iter().copied().flatten()
}

/// The digest of the model of every stage of `registry` on the standard table: to be compared between processes.
///
/// # Errors
/// A stage cannot be fitted.
pub fn digests(registry: &Registry) -> std::result::Result<Digests, String> {
    let digest = |entry: &Entry| {
        let digest = Subject::new(entry, registry)?.digest();
        let digest = digest.map_err(|e| format!("{}: {e}", entry.name))?;
        Ok((entry.name.to_owned(), digest))
    };
    registry.entries().map(digest).collect()
}

impl<'a> Suite<'a> {
    /// Every property of every stage of `registry`, but for the [`EXCEPTIONS`], on all cores.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            only: Vec::new(),
            properties: Vec::new(),
            exceptions: EXCEPTIONS,
            elsewhere: None,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }

    /// This stage alone; may be called again for another.
    #[must_use]
    pub fn only(mut self, stage: &str) -> Self {
        self.only.push(stage.to_owned());
        self
    }

    /// This property alone; may be called again for another.
    #[must_use]
    pub fn property(mut self, number: u8) -> Self {
        self.properties.push(number);
        self
    }

    /// Other exceptions than [`EXCEPTIONS`].
    #[must_use]
    pub fn exceptions(mut self, exceptions: &'a [Exception]) -> Self {
        self.exceptions = exceptions;
        self
    }

    /// Compares with the digests of another process; without, property 19 is not asked.
    #[must_use]
    pub fn elsewhere(mut self, digests: &'a Elsewhere<'a>) -> Self {
        self.elsewhere = Some(digests);
        self
    }

    /// Runs the suite.
    #[must_use]
    pub fn run(&self) -> Report {
        let started = Instant::now();
        let wanted = |e: &&Entry| self.only.is_empty() || self.only.iter().any(|o| o == e.name);
        let entries: Vec<&Entry> = self.registry.entries().filter(wanted).collect();
        let elsewhere = self.elsewhere.map(|digests| digests());
        let mut subjects = Vec::new();
        let mut cells = Vec::new();
        for name in self.only.iter().filter(|n| self.registry.get(n).is_none()) {
            cells.push(Cell::of(
                name,
                1,
                Err("the registry has no such stage".to_owned()),
            ));
        }
        for entry in entries {
            match Subject::new(entry, self.registry) {
                Ok(subject) => subjects.push(subject.compared_with(elsewhere.as_ref())),
                Err(e) => cells.push(Cell::of(entry.name, 1, Err(e))),
            }
        }
        // What is timed is timed alone: stage by stage, after all the others.
        let (timed, others): (Vec<_>, Vec<_>) = all()
            .filter(|p| self.properties.is_empty() || self.properties.contains(&p.number))
            .partition(|p| p.timed);
        cells.extend(self.in_parallel(&subjects, &others, self.threads));
        cells.extend(self.in_parallel(&subjects, &timed, 1));
        cells.sort_by(|a, b| (&a.stage, a.property).cmp(&(&b.stage, b.property)));
        Report {
            cells,
            time: started.elapsed(),
        }
    }

    fn in_parallel(
        &self,
        subjects: &[Subject<'_>],
        properties: &[&Property],
        threads: usize,
    ) -> Vec<Cell> {
        let (next, cells) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let own: Vec<Cell> = properties.iter().map(|p| self.cell(subject, p)).collect();
                cells
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .extend(own);
            }
        };
        std::thread::scope(|scope| {
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        cells
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn cell(&self, subject: &Subject<'_>, property: &Property) -> Cell {
        let started = Instant::now();
        let found = catch_unwind(AssertUnwindSafe(|| (property.check)(subject)));
        let found = found.unwrap_or_else(|panic| Err(format!("a panic: {}", told(&*panic))));
        let mut cell = Cell::of(subject.entry.name, property.number, found);
        cell.time = started.elapsed();
        let of_this = |e: &&Exception| e.stage == cell.stage && e.property == cell.property;
        if let Some(exception) = self.exceptions.iter().find(of_this) {
            cell.outcome = match cell.outcome {
                Outcome::Failed(_) => Outcome::Excepted(exception.reason),
                _ => Outcome::Failed("it holds: take its exception off the list".to_owned()),
            };
        }
        cell
    }
}

fn told(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

impl Cell {
    fn of(stage: &str, property: u8, found: properties::Verdict) -> Self {
        Self {
            stage: stage.to_owned(),
            property,
            outcome: match found {
                Ok(Held::Yes) => Outcome::Passed,
                Ok(Held::NotAsked(why)) => Outcome::NotAsked(why.to_owned()),
                Err(why) => Outcome::Failed(why),
            },
            time: Duration::ZERO,
        }
    }
}

impl Report {
    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.cells.iter().filter(|c| is(&c.outcome)).count()
    }

    /// Properties that hold.
    #[must_use]
    pub fn n_passed(&self) -> usize {
        self.count(|o| *o == Outcome::Passed)
    }

    /// Properties that were asked: all but those that say nothing of a stage.
    #[must_use]
    pub fn n_asked(&self) -> usize {
        self.count(|o| !matches!(o, Outcome::NotAsked(_)))
    }

    /// Properties with an exception.
    #[must_use]
    pub fn n_excepted(&self) -> usize {
        self.count(|o| matches!(o, Outcome::Excepted(_)))
    }

    /// The properties that do not hold.
    pub fn failures(&self) -> impl Iterator<Item = &Cell> {
        self.cells
            .iter()
            .filter(|c| matches!(c.outcome, Outcome::Failed(_)))
    }

    /// Whether something was asked and nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.n_passed() > 0 && self.failures().next().is_none()
    }

    /// One line a property: how many stages it was asked of, how many it holds for, and how long it took.
    #[must_use]
    pub fn by_property(&self) -> String {
        let mut text = String::new();
        for property in all() {
            let own = || self.cells.iter().filter(|c| c.property == property.number);
            let passed = own().filter(|c| c.outcome == Outcome::Passed).count();
            let asked = own()
                .filter(|c| !matches!(c.outcome, Outcome::NotAsked(_)))
                .count();
            let time: Duration = own().map(|c| c.time).sum();
            if own().next().is_some() {
                text.push_str(&format!(
                    "  {:>2} {:<42} {passed:>3}/{asked:<3} {:>7.2} s\n",
                    property.number,
                    property.name,
                    time.as_secs_f64()
                ));
            }
        }
        text
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut stages: Vec<&str> = self.cells.iter().map(|c| c.stage.as_str()).collect();
        stages.dedup();
        write!(
            f,
            "conformance: {}/{} properties of {} stages, {} exceptions, {} not asked, {:.0} s",
            self.n_passed(),
            self.n_asked(),
            stages.len(),
            self.n_excepted(),
            self.cells.len() - self.n_asked(),
            self.time.as_secs_f64()
        )?;
        for cell in self.failures() {
            let name = all()
                .find(|p| p.number == cell.property)
                .map_or("", |p| p.name);
            if let Outcome::Failed(why) = &cell.outcome {
                write!(
                    f,
                    "\n{}, property {} ({name}): {why}",
                    cell.stage, cell.property
                )?;
            }
        }
        Ok(())
    }
}
