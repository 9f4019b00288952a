//! Emberline's side of the comparison with other tools: README.md in this folder.
//!
//! `peers --data DIR [--reps N] [--threads T] [--seconds S] [--led] K1 F1 ...` prints one JSON line for each measurement. Data lie in memory as a
//! [`Dataset`](emberline::prelude::Dataset) before the clock starts; quality is computed here in `f64` from the model's parameters or
//! predictions, never taken from the learner's own report.

mod clock;
mod forests;
mod input;
mod kmeans;
mod linear;
mod npy;
mod quality;
mod record;
mod scoring;

use std::path::PathBuf;
use std::process::ExitCode;

use emberline::prelude::*;

use record::Record;

type Failure = Box<dyn std::error::Error>;
type Outcome<T> = std::result::Result<T, Failure>;

/// What the command line asks for.
pub struct Options {
    data: PathBuf,
    reps: usize,
    seconds: f64,
    threads: usize,
    led: bool,
    workloads: Vec<String>,
}

impl Options {
    /// The engine every workload runs on.
    fn run(&self) -> Run {
        Run::local(1, self.threads)
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self {
            data: PathBuf::from("target/peers/data"),
            reps: 3,
            seconds: 60.0,
            threads: 2,
            led: false,
            workloads: Vec::new(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--data" => options.data = value()?.into(),
                "--reps" => options.reps = value()?.parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--threads" => options.threads = value()?.parse()?,
                "--led" => options.led = true,
                "--bench" => {} // cargo bench adds it
                name if !name.starts_with('-') => options.workloads.push(name.to_owned()),
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(options)
    }
}

/// `K4` and `S1` have parts, named `K4:k-means++`; the bare name means all of them.
fn parts(workload: &str) -> Vec<&str> {
    match workload {
        "K4" => vec!["K4:k-means||", "K4:k-means++"],
        "S1" => vec!["S1:forest", "S1:logistic", "S1:batch"],
        whole => vec![whole],
    }
}

fn measure(workload: &str, options: &Options) -> Outcome<Record> {
    match workload {
        "K1" | "K2" | "K3" => kmeans::rounds(workload, options),
        "K4:k-means||" => kmeans::seeding(workload, InitMode::Parallel, options),
        "K4:k-means++" => kmeans::seeding(workload, InitMode::PlusPlus, options),
        "F1" | "F2" | "F3" => forests::forest(workload, options),
        "L1" | "L2" | "L3" => linear::logistic(workload, options),
        "LR" => linear::least_squares(options),
        "S1:forest" | "S1:logistic" => scoring::one_by_one(workload, options),
        "S1:batch" => scoring::batch(workload, options),
        other => Err(format!("no workload {other}: K1 K2 K3 K4 F1 F2 F3 L1 L2 L3 LR S1").into()),
    }
}

fn work() -> Outcome<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    for workload in options.workloads.iter().flat_map(|w| parts(w)) {
        println!("{}", measure(workload, &options)?);
    }
    Ok(())
}

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
