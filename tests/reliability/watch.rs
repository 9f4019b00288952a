//! A watch over runs that may take long.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use emberline::pipeline::Cancel;
use emberline::prelude::*;

/// Longest that a run may train: what is wrong with its config shows at once.
const PATIENCE: Duration = Duration::from_millis(200);
/// Longest that it may go on after it was told to stop.
const STOP: Duration = Duration::from_secs(20);

/// Stops runs that take long.
#[derive(Default)]
pub struct Watch {
    run: Mutex<Option<(Instant, Cancel, String)>>,
    over: AtomicBool,
}

impl Watch {
    /// Watches what `work` trains; ends the process, naming the config, where a run does not stop when told to.
    pub fn during(work: impl FnOnce(&Self)) {
        let watch = Self::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !watch.over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                    watch.look();
                }
            });
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&watch)));
            watch.over.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
    }

    fn look(&self) {
        let run = self.run.lock().unwrap();
        let Some((since, cancel, text)) = &*run else {
            return;
        };
        if since.elapsed() > PATIENCE {
            cancel.cancel();
        }
        if since.elapsed() > PATIENCE + STOP {
            eprintln!("this run does not stop when told to:\n{text}");
            std::process::abort();
        }
    }

    /// Trains, for as long as patience lasts.
    pub fn train(
        &self,
        text: &str,
        plan: &TrainPlan,
        registry: &Registry,
        run: &Run,
    ) -> Result<TrainOutcome> {
        *self.run.lock().unwrap() = Some((Instant::now(), run.cancel.clone(), text.to_owned()));
        let outcome = catch_unwind(AssertUnwindSafe(|| train(plan, registry, run)));
        *self.run.lock().unwrap() = None;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
