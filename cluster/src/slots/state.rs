//! What the scheduler remembers of executors and of who has which rows.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use ballista_core::JobId;
use ballista_core::serde::protobuf::task_status;

use super::stragglers::{Stragglers, TOO_FAR_BEHIND, TaskId};
use crate::Digest;
use crate::node::Label;

/// Failures in a row after which an executor is set aside, and for how long.
const FAILURES: u32 = 4;
const ASIDE: Duration = Duration::from_secs(30);
/// For how long one that is too slow is.
const ASIDE_SLOW: Duration = Duration::from_secs(10);

/// Homes of parts that are remembered; those longest unused go first.
const MOST_HOMES: usize = 100_000;

#[derive(Default)]
pub(super) struct State {
    pub capacity: BTreeMap<String, u32>,
    pub health: BTreeMap<String, Health>,
    /// When each executor was heard of last.
    pub heard: HashMap<String, Instant>,
    pub homes: HashMap<(Digest, usize), Home>,
    /// When a part was first left waiting for its home.
    pub waiting: HashMap<(JobId, usize), Instant>,
    pub submitted: HashMap<JobId, Instant>,
    /// When tasks were looked at, and how many.
    pub looked: Option<(Instant, u32)>,
    pub stragglers: Stragglers,
}

#[derive(Default, Clone)]
pub(super) struct Health {
    pub failures: u32,
    /// How far it was behind the others, over the last jobs in a row.
    pub behind: Duration,
    pub aside_until: Option<Instant>,
}

pub(super) struct Home {
    pub executor: String,
    /// Who has the part while its home is set aside.
    pub stand_in: Option<String>,
    pub used: Instant,
}

impl Health {
    pub fn is_aside(&self) -> bool {
        self.aside_until.is_some_and(|until| Instant::now() < until)
    }
}

impl State {
    pub fn is_aside(&self, executor: &str) -> bool {
        self.health.get(executor).is_some_and(Health::is_aside)
    }

    pub fn settle(&mut self, task: &TaskId, status: &task_status::Status) {
        let succeeded = match status {
            task_status::Status::Running(_) => return,
            task_status::Status::Failed(_) => false,
            task_status::Status::Successful(_) => true,
        };
        let Some(dealt) = self.stragglers.settle(task, succeeded) else {
            return;
        };
        if let Some(slow) = dealt.instead_of.filter(|_| succeeded) {
            tracing::warn!(
                "{} overtook {slow}, which gets no parts for {} s",
                dealt.executor,
                ASIDE_SLOW.as_secs()
            );
            self.set_aside(&slow, ASIDE_SLOW);
            let part = dealt.rows.map(|rows| (rows, dealt.part));
            if let Some(home) = part.and_then(|part| self.homes.get_mut(&part)) {
                home.stand_in = Some(dealt.executor.clone());
            }
        }
        let health = self.health.entry(dealt.executor.clone()).or_default();
        if succeeded {
            health.failures = 0;
            return;
        }
        health.failures += 1;
        if health.failures >= FAILURES {
            health.failures = 0;
            self.set_aside(&dealt.executor, ASIDE);
        }
    }

    /// A job ended: who is behind the others in job after job is set aside.
    pub fn end(&mut self, job: &JobId, label: &Label) {
        for (executor, behind) in self.stragglers.end(job, label) {
            let health = self.health.entry(executor.clone()).or_default();
            health.behind = if behind.is_zero() {
                behind
            } else {
                health.behind + behind
            };
            if health.behind > TOO_FAR_BEHIND {
                tracing::warn!(
                    "{executor} is behind the others and gets no parts for {} s",
                    ASIDE_SLOW.as_secs()
                );
                self.set_aside(&executor, ASIDE_SLOW);
            }
        }
    }

    pub fn set_aside(&mut self, executor: &str, time: Duration) {
        if self.capacity.contains_key(executor) {
            let health = self.health.entry(executor.to_owned()).or_default();
            health.behind = Duration::ZERO;
            health.aside_until = Some(Instant::now() + time);
        }
    }

    /// The executor that has the rows of a part and takes parts.
    pub fn home_of(&self, part: &(Digest, usize)) -> Option<String> {
        let home = self.homes.get(part)?;
        let takes = |e: &&String| self.capacity.contains_key(*e) && !self.is_aside(e);
        let one = Some(&home.executor).into_iter().chain(&home.stand_in);
        one.into_iter().find(takes).cloned()
    }

    /// From now on an executor has the rows of a part; as long as their home is set aside, in its stead.
    pub fn move_in(&mut self, part: (Digest, usize), executor: &str) {
        let used = Instant::now();
        let away = |home: &Home| {
            self.capacity.contains_key(&home.executor) && self.is_aside(&home.executor)
        };
        if self.homes.get(&part).is_some_and(away) {
            if let Some(home) = self.homes.get_mut(&part) {
                home.stand_in = Some(executor.to_owned());
                home.used = used;
            }
            return;
        }
        let home = Home {
            executor: executor.to_owned(),
            stand_in: None,
            used,
        };
        self.homes.insert(part, home);
    }

    /// An executor is gone; who stood in for it has its parts now.
    pub fn remove(&mut self, executor: &str) {
        self.capacity.remove(executor);
        self.health.remove(executor);
        self.heard.remove(executor);
        for home in self.homes.values_mut() {
            if let (true, Some(other)) = (home.executor == executor, &home.stand_in) {
                home.executor.clone_from(other);
            }
        }
        self.homes.retain(|_, home| home.executor != executor);
    }

    /// Forgets jobs that are gone, and homes where there are too many.
    pub fn keep(&mut self, is_there: impl Fn(&JobId) -> bool) {
        self.waiting.retain(|(job, _), _| is_there(job));
        self.submitted.retain(|job, _| is_there(job));
        self.stragglers.keep(is_there);
        if self.homes.len() > MOST_HOMES {
            let mut used: Vec<Instant> = self.homes.values().map(|h| h.used).collect();
            let (_, median, _) = used.select_nth_unstable(MOST_HOMES / 2);
            let median = *median;
            self.homes.retain(|_, h| h.used > median);
        }
    }
}
