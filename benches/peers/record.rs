//! One measurement as a line of JSON.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::clock::{Timing, median};

/// A measurement: named figures.
pub struct Record(Map<String, Value>);

impl Record {
    /// Which workload, done how, on how many threads.
    pub fn new(workload: &str, settings: impl Into<String>, threads: usize) -> Self {
        Self(Map::new())
            .with("peer", "emberline")
            .with("workload", workload)
            .with("settings", settings.into())
            .with("threads", threads)
    }

    /// Adds a figure.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the size of the input.
    pub fn input(self, rows: usize, columns: usize, bytes: usize) -> Self {
        self.with("rows", rows)
            .with("columns", columns)
            .with("input_mib", bytes as f64 / f64::from(1 << 20))
    }

    /// Adds medians, extremes and memory.
    pub fn timing(self, timing: &Timing) -> Self {
        let extreme = |pick: fn(f64, f64) -> f64| timing.wall.iter().copied().reduce(pick);
        self.with("wall_s", median(&timing.wall))
            .with("cpu_s", median(&timing.cpu))
            .with("min_s", json!(extreme(f64::min)))
            .with("max_s", json!(extreme(f64::max)))
            .with("runs", timing.wall.len())
            .with("before_mib", timing.before_mib)
            .with("peak_mib", timing.peak_mib)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Object(self.0.clone()))
    }
}
