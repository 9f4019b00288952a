//! The progress bar: one reader of the event stream.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
#[cfg(feature = "cluster")]
use std::time::Instant;

use emberline::prelude::*;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows stage, round, loss and time left on standard error while it is a terminal; warnings are shown always.
pub struct Progress {
    bar: Mutex<Option<ProgressBar>>,
    terminal: bool,
    quiet: bool,
}

impl Progress {
    /// A bar that stays away where `quiet`, or where standard error is no terminal.
    pub fn new(quiet: bool) -> Arc<Self> {
        Arc::new(Self {
            bar: Mutex::new(None),
            terminal: std::io::stderr().is_terminal() && !quiet,
            quiet,
        })
    }

    fn say(&self, bar: Option<&ProgressBar>, line: &str) {
        match bar {
            Some(bar) => bar.println(line),
            None if !self.quiet => eprintln!("{line}"),
            None => {}
        }
    }
}

impl EventSink for Progress {
    fn emit(&self, event: &Event) {
        let mut slot = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StageStarted { stage, index, of } if self.terminal => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(spinner());
                bar.set_prefix(format!("[{}/{of}] {stage}", index + 1));
                bar.enable_steady_tick(Duration::from_millis(100));
                *slot = Some(bar);
            }
            Event::RoundFinished {
                round,
                max_rounds,
                loss,
                eta_s,
                ..
            } => {
                let Some(bar) = slot.as_ref() else { return };
                if let Some(max) = max_rounds
                    && bar.length() != Some(*max)
                {
                    bar.set_style(bounded());
                    bar.set_length(*max);
                }
                bar.set_position(*round);
                let loss = loss.map_or(String::new(), |l| format!("loss {l:.6}  "));
                let eta = eta_s.map_or(String::new(), |s| format!("ETA {s:.0} s"));
                bar.set_message(format!("{loss}{eta}"));
            }
            Event::StageFinished {
                stage,
                seconds,
                rounds,
                stop,
            } => {
                if let Some(bar) = slot.take() {
                    bar.finish_and_clear();
                }
                if self.terminal {
                    let rounds = if *rounds > 0 {
                        format!(", {rounds} rounds, {stop}")
                    } else {
                        String::new()
                    };
                    eprintln!("  {stage}: {}{rounds}", super::output::seconds(*seconds));
                }
            }
            Event::Warning { stage, message } => {
                let stage = stage
                    .as_deref()
                    .filter(|s| !s.is_empty())
                    .map(|s| format!("{s}: "))
                    .unwrap_or_default();
                self.say(slot.as_ref(), &format!("warning: {stage}{message}"));
            }
            Event::RunFinished { .. } => {
                if let Some(bar) = slot.take() {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {spinner} {pos} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bounded() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Progress as lines of a log, with the seconds since the start: stages, rounds every few seconds, warnings.
#[cfg(feature = "cluster")]
pub struct Lines {
    started: Instant,
    said: Mutex<Instant>,
}

#[cfg(feature = "cluster")]
impl Lines {
    /// Rounds are told so often.
    const EVERY: Duration = Duration::from_secs(2);

    /// Lines on standard error.
    pub fn new() -> Arc<Self> {
        let started = Instant::now();
        Arc::new(Self {
            started,
            said: Mutex::new(started),
        })
    }
}

#[cfg(feature = "cluster")]
impl EventSink for Lines {
    fn emit(&self, event: &Event) {
        let say =
            |line: String| eprintln!("{:8.1} s  {line}", self.started.elapsed().as_secs_f64());
        match event {
            Event::RunStarted { engine, .. } => say(engine.clone()),
            Event::StageStarted { stage, index, of } => {
                say(format!("[{}/{of}] {stage}", index + 1))
            }
            Event::RoundFinished {
                stage,
                round,
                max_rounds,
                loss,
                ..
            } => {
                let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.elapsed() < Self::EVERY {
                    return;
                }
                *said = Instant::now();
                let of = max_rounds.map_or(String::new(), |max| format!(" of {max}"));
                let loss = loss.map_or(String::new(), |l| format!(", loss {l:.6}"));
                say(format!("{stage}: round {round}{of}{loss}"));
            }
            Event::StageFinished {
                stage,
                seconds,
                rounds,
                stop,
            } => {
                let seconds = super::output::seconds(*seconds);
                say(match rounds {
                    0 => format!("{stage}: {seconds}"),
                    n => format!("{stage}: {seconds}, {n} rounds, {stop}"),
                });
            }
            Event::Warning { stage, message } => {
                let stage = stage.as_deref().filter(|s| !s.is_empty());
                let stage = stage.map(|s| format!("{s}: ")).unwrap_or_default();
                say(format!("warning: {stage}{message}"));
            }
            _ => {}
        }
    }
}
