//! Wall time, processor time and memory of repeated work.

use std::time::Instant;

use crate::{Options, Outcome};

/// How long the repetitions took, and how much memory the process held at most meanwhile.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Wall seconds of each repetition, in order.
    pub wall: Vec<f64>,
    /// Processor seconds of each repetition, all threads.
    pub cpu: Vec<f64>,
    /// Resident memory before the first repetition: the data above all.
    pub before_mib: f64,
    /// Most resident memory during the repetitions.
    pub peak_mib: f64,
}

/// The middle value; the mean of the two middle ones for an even count.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return f64::NAN;
    }
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

/// Does `work` up to `--reps` times, but no further repetition once `--seconds` are spent; the last result comes back.
pub fn repeat<T>(
    options: &Options,
    mut work: impl FnMut(usize) -> Outcome<T>,
) -> Outcome<(T, Timing)> {
    let mut timing = Timing::start();
    loop {
        let result = timing.once(&mut work)?;
        let spent: f64 = timing.wall.iter().sum();
        let last = timing.wall.last().copied().unwrap_or_default();
        if timing.wall.len() >= options.reps || spent + last > options.seconds {
            return Ok((result, timing.end()));
        }
    }
}

/// As [`repeat`]; under `--led`, whoever started this process says when: `ready` goes out, and for each line `go` that comes in the
/// work is done once and its seconds are told; another line ends it. So can two tools take turns with their data in memory.
pub fn led<T>(
    options: &Options,
    mut work: impl FnMut(usize) -> Outcome<T>,
) -> Outcome<(T, Timing)> {
    if !options.led {
        return repeat(options, work);
    }
    println!("ready");
    let mut timing = Timing::start();
    let mut result = None;
    for line in std::io::stdin().lines() {
        if line?.trim() != "go" {
            break;
        }
        result = Some(timing.once(&mut work)?);
        println!("rep {}", timing.wall.last().copied().unwrap_or_default());
    }
    let result = result.ok_or("nothing was done: no line said `go`")?;
    Ok((result, timing.end()))
}

impl Timing {
    fn start() -> Self {
        let before_mib = memory("VmRSS:");
        forget_peak();
        Self {
            wall: Vec::new(),
            cpu: Vec::new(),
            before_mib,
            peak_mib: 0.0,
        }
    }

    fn once<T>(&mut self, work: &mut impl FnMut(usize) -> Outcome<T>) -> Outcome<T> {
        let (cpu, start) = (processor_seconds(), Instant::now());
        let result = work(self.wall.len())?;
        self.wall.push(start.elapsed().as_secs_f64());
        self.cpu.push(processor_seconds() - cpu);
        Ok(result)
    }

    fn end(mut self) -> Self {
        self.peak_mib = memory("VmHWM:");
        self
    }
}

/// Lets the kernel count the peak of resident memory anew.
fn forget_peak() {
    // Where it cannot (not Linux, no /proc), the peak is that of the whole process: more, never less.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    let kib = found.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// User and system time of all threads, in steps of a hundredth of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
}
