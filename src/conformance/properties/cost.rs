//! Bounds of cost: property 50.
//!
//! Measured alone, after all other properties. Few rows are measured as many times over as the many rows are more, so that both take the
//! same share of what else the machine does: least times would favour the few, whose short time finds a quiet moment sooner. Memory
//! is the peak of the process as `/proc` tells it; elsewhere it is not asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Held, Property, Tried, Verdict, ensure};
use crate::conformance::subject::Subject;
use crate::datasets::{Batch, Dataset};
use crate::pipeline::Event;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[Property {
    number: 50,
    name: "bounds of cost, cancelling",
    timed: true,
    check: bounds,
}];

/// Standard tables in a row of the smaller measurement: 65,536 rows.
const SMALL: usize = 256;
/// The larger measurement has this many times the rows.
const TIMES: usize = 4;
/// Those rows take at most this many times as long, a round.
const MOST_TIMES: f64 = 5.0;
/// Below this a time is not told from that of starting threads.
const LEAST_TIME: f64 = 2e-3;
/// What memory may grow by for reasons that are not the rows: code that is paged in, what the allocator keeps.
const ROOM: f64 = 8.0 * MIB;
const MIB: f64 = 1_048_576.0;
/// A cancelled fit returns within this.
const PATIENCE: Duration = Duration::from_millis(200);
/// A measurement is taken again where it fails, and fails when it does so every time: another process may have been in the way.
const ATTEMPTS: usize = 10;

/// Fitting and applying take time in proportion to the rows, and memory within what the stage declares for each number it reads; a fit that
/// is cancelled returns at once and leaves neither an open file nor a model behind.
fn bounds(s: &Subject<'_>) -> Verdict {
    again(|| linear(s))?;
    again(|| cancelled(s))?;
    Ok(Held::Yes)
}

fn again(check: impl Fn() -> std::result::Result<(), String>) -> std::result::Result<(), String> {
    let mut found = Ok(());
    for _ in 0..ATTEMPTS {
        found = check();
        if found.is_ok() {
            return found;
        }
    }
    found
}

/// The standard table `times` over. The arrays are shared, so that the rows themselves take next to no memory.
fn long(s: &Subject<'_>, times: usize) -> std::result::Result<Dataset, String> {
    let whole = s.table().batch().tried("table")?;
    let n = whole.num_rows() as u64;
    let copy = |k: u64| {
        let ids: Arc<[u64]> = (k * n..(k + 1) * n).collect();
        Batch::new(whole.schema().clone(), whole.columns().to_vec(), ids)
    };
    let batches = (0..times as u64)
        .map(copy)
        .collect::<std::result::Result<Vec<_>, _>>();
    let data = Dataset::from_batches(
        "long table",
        whole.schema().clone(),
        batches.tried("table")?,
    );
    Ok(data.repartition(1))
}

/// What a fit and a pass with its model took: seconds a round, seconds, bytes.
struct Took {
    fit: f64,
    transform: f64,
    memory: Option<f64>,
}

fn take(s: &Subject<'_>, data: &Dataset) -> std::result::Result<Took, String> {
    let before = resident("VmRSS").filter(|_| std::fs::write("/proc/self/clear_refs", "5").is_ok());
    let started = Instant::now();
    let fit = s.fit(data, &Run::local(1, 1)).tried("fit")?;
    let fitted = started.elapsed();
    let peak = resident("VmHWM");
    let started = Instant::now();
    let output = fit.model.transform_dataset(data).tried("transform")?;
    for batch in output.batches(None).tried("transform")? {
        batch.tried("transform")?;
    }
    let rounds = fit.report.map_or(1, |r| r.rounds).max(1) as f64;
    Ok(Took {
        fit: fitted.as_secs_f64().max(LEAST_TIME) / rounds,
        transform: started.elapsed().as_secs_f64().max(LEAST_TIME),
        memory: before.zip(peak).map(|(before, peak)| peak - before),
    })
}

fn linear(s: &Subject<'_>) -> std::result::Result<(), String> {
    let few = take(s, &long(s, SMALL)?)?;
    let many = take(s, &long(s, TIMES * SMALL)?)?;
    let mut mean = few;
    for _ in 1..TIMES {
        let next = take(s, &long(s, SMALL)?)?;
        mean.fit += next.fit;
        mean.transform += next.transform;
    }
    mean.fit /= TIMES as f64;
    mean.transform /= TIMES as f64;
    bounded(s, &mean, &many)
}

fn bounded(s: &Subject<'_>, few: &Took, many: &Took) -> std::result::Result<(), String> {
    for (what, few, many) in [
        ("fit", few.fit, many.fit),
        ("transform", few.transform, many.transform),
    ] {
        ensure!(
            many <= MOST_TIMES * few,
            "{what}: {TIMES} times the rows take {:.1} times as long ({:.1} ms, {:.1} ms a round)",
            many / few,
            1e3 * few,
            1e3 * many
        );
    }
    let Some(memory) = many.memory else {
        return Ok(());
    };
    let declared = s.declared_memory((TIMES * SMALL * s.table().rows()) as u64)?;
    ensure!(
        memory <= 1.25 * declared + ROOM,
        "it takes {:.1} MiB, by what it declares {:.1} MiB",
        memory / MIB,
        declared / MIB
    );
    Ok(())
}

impl Subject<'_> {
    /// Bytes that fitting on so many rows may take: the columns it reads, eight bytes a number, the ids, and what the stage says that it
    /// holds beside them.
    fn declared_memory(&self, rows: u64) -> std::result::Result<f64, String> {
        let stage = self.stage(&self.example()).tried("build")?;
        let schema = self.table().schema().tried("schema")?;
        let width = |name: &String| schema.get(name).map_or(1, |c| c.slots.len().max(1)) as u64;
        let numbers: u64 = stage.stage().reads(&schema).iter().map(width).sum();
        Ok((8 * rows * (numbers + 1) + self.held_beside(rows)?) as f64)
    }

    /// Bytes that the stage says it holds beside its columns while it is fitted on so many rows.
    fn held_beside(&self, rows: u64) -> std::result::Result<u64, String> {
        let schema = self.table().schema().tried("schema")?;
        Ok(match self.stage(&self.example()).tried("build")? {
            AnyStage::Estimator(e) => e.memory_of_fit(&schema, rows).unwrap_or(0),
            AnyStage::Transformer(_) => 0,
        })
    }
}

/// Tells when the stage has begun.
#[derive(Default)]
struct Begun(std::sync::atomic::AtomicBool);

impl EventSink for Begun {
    fn emit(&self, event: &Event) {
        if matches!(event, Event::StageStarted { .. }) {
            self.0.store(true, std::sync::atomic::Ordering::Release);
        }
    }
}

fn cancelled(s: &Subject<'_>) -> std::result::Result<(), String> {
    if !s.learns()? {
        return Ok(());
    }
    let data = long(s, TIMES * SMALL)?;
    let limit = s.held_beside((TIMES * SMALL * s.table().rows()) as u64)? + (1 << 20);
    let files = open_files();
    for wait in [1, 5, 20] {
        let begun = Arc::new(Begun::default());
        // A limit near what the stage holds anyway makes blocks spill, so that there is a file to be left behind.
        let run = Run::local(1, 2)
            .with_memory_limit(Some(limit))
            .with_events(begun.clone());
        let cancel = run.cancel.clone();
        let (result, late) = std::thread::scope(|scope| {
            let fit = scope.spawn(|| s.fit(&data, &run));
            while !begun.0.load(std::sync::atomic::Ordering::Acquire) && !fit.is_finished() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(wait));
            let asked = Instant::now();
            cancel.cancel();
            let result = fit.join();
            (result, asked.elapsed())
        });
        let result = result.map_err(|_| "a panic".to_owned())?;
        ensure!(
            late <= PATIENCE,
            "cancelled after {wait} ms, the fit returned {} ms later",
            late.as_millis()
        );
        if let Err(error) = result {
            let refused_limit = error.to_string().contains("memory_limit");
            ensure!(
                error.exit_code() == 130 || refused_limit,
                "a cancelled fit ends with: {error}"
            );
        }
        drop(run);
    }
    ensure!(
        open_files() <= files,
        "a cancelled fit leaves open files behind"
    );
    Ok(())
}

/// A figure of `/proc/self/status` in bytes.
fn resident(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
