//! The tests of `tests/README.md` that need much randomness: each prints `R-nn: passed/total` and takes its size from the environment.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod bad_configs;
mod bits;
#[path = "../common/mod.rs"]
mod common;
mod configs;
mod csv_files;
mod faults;
mod fuzz;
mod learners;
mod mutants;
mod order;
mod overflow;
mod races;
mod round_trip;
mod skew;
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;
mod watch;
