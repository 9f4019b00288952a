//! Parts that take too long: each is run a second time on a free executor, the first answer counts, and who was overtaken gets no
//! parts for a while.
//!
//! The second run costs slots that nobody else wants, and only long parts get one. Rounds that are short are over before it could help, so
//! an executor that is behind the others in round after round is set aside without one. Times are those between dealing and answer, by
//! the scheduler's monotonic clock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use ballista_core::JobId;

use crate::Digest;
use crate::node::Label;

/// A part is late after so many times what others took, and after so long at least.
const LATE: u32 = 2;
const LATE_AT_LEAST: Duration = Duration::from_millis(500);
/// What a part is thought to take where nothing like it was computed before. An executor whose message about a finished part was lost
/// does not send it again, so every part is late some time.
const UNKNOWN: Duration = Duration::from_secs(5);

/// An executor is behind where its slowest part takes more than so many times the slowest of the others.
const BEHIND: u32 = 4;
/// So far behind, over rounds in a row, an executor is set aside.
pub(crate) const TOO_FAR_BEHIND: Duration = Duration::from_millis(500);

/// Kinds of jobs whose usual time is remembered.
const MOST_KINDS: usize = 10_000;

/// A task: its job, its stage, and its number there.
pub(crate) type TaskId = (JobId, usize, usize);

/// A part that was handed to an executor.
#[derive(Debug, Clone)]
pub(crate) struct Dealt {
    pub executor: String,
    /// What the rows of the part belong to, where it has rows.
    pub rows: Option<Digest>,
    pub part: usize,
    pub since: Instant,
    /// Who has it too, and is late.
    pub instead_of: Option<String>,
}

/// A part that is late.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Late {
    pub stage: usize,
    pub task: usize,
    pub part: usize,
    pub executor: String,
}

/// What is at work, and what was run twice.
#[derive(Default)]
pub(crate) struct Stragglers {
    dealt: HashMap<TaskId, Dealt>,
    /// The slowest part of each executor, by job; of answers that counted.
    slowest: HashMap<JobId, BTreeMap<String, Duration>>,
    /// What the slowest part of the last job took, by what the job is about and its name.
    usual: HashMap<(Digest, String), Duration>,
    twice: HashSet<(JobId, usize, usize)>,
    losers: Vec<(TaskId, String)>,
    /// Parts that were run a second time.
    pub repeated: u64,
    /// Those whose second run was first.
    pub overtaken: u64,
}

impl Stragglers {
    pub(crate) fn deal(&mut self, task: TaskId, dealt: Dealt) {
        if dealt.instead_of.is_some() {
            self.repeated += 1;
            self.twice.insert((task.0.clone(), task.1, dealt.part));
        }
        self.dealt.insert(task, dealt);
    }

    /// A task ended. `None` where another run of its part was first, or it is not known.
    pub(crate) fn settle(&mut self, task: &TaskId, succeeded: bool) -> Option<Dealt> {
        let dealt = self.dealt.remove(task)?;
        if !succeeded {
            return Some(dealt);
        }
        let took = dealt.since.elapsed();
        let of_job = self.slowest.entry(task.0.clone()).or_default();
        let slowest = of_job.entry(dealt.executor.clone()).or_default();
        *slowest = took.max(*slowest);
        if self.twice.contains(&(task.0.clone(), task.1, dealt.part)) {
            self.overtaken += u64::from(dealt.instead_of.is_some());
            let same = |(id, d): (&TaskId, &Dealt)| {
                let is = id.0 == task.0 && id.1 == task.1 && d.part == dealt.part;
                is.then(|| (id.clone(), d.executor.clone()))
            };
            for (id, executor) in self.dealt.iter().filter_map(same).collect::<Vec<_>>() {
                self.dealt.remove(&id);
                self.losers.push((id, executor));
            }
        }
        Some(dealt)
    }

    /// Whether a part is at work for so long that it may be late.
    pub(crate) fn any_long(&self) -> bool {
        self.dealt
            .values()
            .any(|d| d.since.elapsed() > LATE_AT_LEAST)
    }

    /// Parts of a job that are late and were not run twice.
    pub(crate) fn late(&self, job: &JobId, label: &Label) -> Vec<Late> {
        let usual = self.usual.get(&(label.affinity, label.name.clone()));
        let took = self.slowest.get(job);
        let mut late = Vec::new();
        for ((of, stage, task), dealt) in &self.dealt {
            if of != job || self.twice.contains(&(job.clone(), *stage, dealt.part)) {
                continue;
            }
            let others = took
                .into_iter()
                .flatten()
                .filter(|(e, _)| **e != dealt.executor);
            let others = others.map(|(_, took)| took).max();
            let expected = *others.or(usual).unwrap_or(&UNKNOWN);
            if dealt.since.elapsed() > (expected * LATE).max(LATE_AT_LEAST) {
                late.push(Late {
                    stage: *stage,
                    task: *task,
                    part: dealt.part,
                    executor: dealt.executor.clone(),
                });
            }
        }
        late.sort();
        late
    }

    /// A job ended: by how much each of its executors was behind the others, where there were others.
    pub(crate) fn end(&mut self, job: &JobId, label: &Label) -> Vec<(String, Duration)> {
        let Some(slowest) = self.slowest.remove(job) else {
            return Vec::new();
        };
        if let Some(longest) = slowest.values().max() {
            if self.usual.len() >= MOST_KINDS {
                self.usual.clear();
            }
            self.usual
                .insert((label.affinity, label.name.clone()), *longest);
        }
        let behind = |(executor, took): (&String, &Duration)| {
            let others = slowest.iter().filter(|(e, _)| *e != executor);
            let mut others: Vec<Duration> = others.map(|(_, took)| *took).collect();
            others.sort_unstable();
            let middle = others.get(others.len() / 2)?;
            Some((executor.clone(), took.saturating_sub(*middle * BEHIND)))
        };
        slowest.iter().filter_map(behind).collect()
    }

    /// Forgets jobs that are gone.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&JobId) -> bool) {
        self.dealt.retain(|(job, _, _), _| is_there(job));
        self.slowest.retain(|job, _| is_there(job));
        self.twice.retain(|(job, _, _)| is_there(job));
    }

    pub(crate) fn any_loser(&self) -> bool {
        !self.losers.is_empty()
    }

    /// Runs that were overtaken, of jobs that ended since: nobody waits for them. To stop one earlier would make Ballista deal its part
    /// once more.
    pub(crate) fn losers(&mut self, is_running: impl Fn(&JobId) -> bool) -> Vec<(TaskId, String)> {
        let ended = self
            .losers
            .extract_if(.., |((job, _, _), _)| !is_running(job));
        ended.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            name: "step".to_owned(),
            ..Label::default()
        }
    }

    fn dealt(executor: &str, part: usize, ms: u64, instead_of: Option<&str>) -> Dealt {
        Dealt {
            executor: executor.to_owned(),
            rows: None,
            part,
            since: Instant::now()
                .checked_sub(Duration::from_millis(ms))
                .unwrap(),
            instead_of: instead_of.map(str::to_owned),
        }
    }

    #[test]
    fn a_part_that_takes_much_longer_than_others_is_late_once_and_its_loser_is_stopped_when_the_job_ends()
     {
        let mut s = Stragglers::default();
        let job = JobId::new("job");
        let task = |n: usize| (job.clone(), 1, n);
        s.deal(task(0), dealt("a", 0, 700, None));
        s.deal(task(1), dealt("b", 1, 100, None));
        // Nothing to compare it with yet.
        assert!(s.any_long() && s.late(&job, &label()).is_empty());
        s.settle(&task(1), true);
        let late = s.late(&job, &label());
        assert_eq!(late.len(), 1);
        assert_eq!((late[0].part, late[0].executor.as_str()), (0, "a"));

        s.deal(task(2), dealt("b", 0, 50, Some("a")));
        assert!(s.late(&job, &label()).is_empty());
        assert_eq!(
            s.settle(&task(2), true).unwrap().instead_of.as_deref(),
            Some("a")
        );
        assert_eq!((s.repeated, s.overtaken), (1, 1));
        assert!(
            s.settle(&task(0), true).is_none(),
            "a late answer counts for nothing"
        );
        assert!(s.losers(|_| true).is_empty());
        assert_eq!(s.losers(|_| false), [(task(0), "a".to_owned())]);
        assert!(!s.any_loser());
    }

    #[test]
    fn a_job_of_one_part_is_compared_with_the_last_of_its_kind() {
        let mut s = Stragglers::default();
        let (first, second) = (JobId::new("first"), JobId::new("second"));
        s.deal((first.clone(), 1, 0), dealt("a", 0, 300, None));
        s.settle(&(first.clone(), 1, 0), true);
        assert!(s.end(&first, &label()).is_empty(), "there were no others");
        s.deal((second.clone(), 1, 0), dealt("a", 0, 400, None));
        assert!(s.late(&second, &label()).is_empty());
        s.deal((second.clone(), 1, 1), dealt("a", 1, 650, None));
        assert_eq!(s.late(&second, &label()).len(), 1);
    }

    #[test]
    fn who_takes_four_times_what_the_middle_of_the_others_takes_is_behind() {
        let mut s = Stragglers::default();
        let job = JobId::new("job");
        for (n, (executor, ms)) in [("a", 100), ("b", 120), ("c", 1000)]
            .into_iter()
            .enumerate()
        {
            s.deal((job.clone(), 1, n), dealt(executor, n, ms, None));
            s.settle(&(job.clone(), 1, n), true);
        }
        let behind = s.end(&job, &label());
        let of = |name: &str| behind.iter().find(|(e, _)| e == name).unwrap().1;
        assert!(of("a").is_zero() && of("b").is_zero());
        assert!((450..=900).contains(&of("c").as_millis()), "{behind:?}");
    }
}
