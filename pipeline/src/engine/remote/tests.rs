use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use emberline_datasets::arrow::array::Float64Array;
use emberline_datasets::batch::dense_vectors;
use emberline_datasets::{Column, ColumnType, Element, LabelSpec, MissingRule, Split};
use serde::{Deserialize, Serialize};

use super::*;
use crate::Error;
use crate::engine::{Exchange, Jobs, Partial, Round, Work};
use crate::registry::Registry;

const ROWS: usize = 40_000;

/// Two features that no sum holds exactly.
fn table() -> Dataset {
    let x = (0..2 * ROWS).map(|i| 1.0 / (1.0 + i as f64)).collect();
    let slots = ["a", "b"].map(Slot::numeric).to_vec();
    let weight: Float64Array = (0..ROWS).map(|i| Some((i as f64).sqrt())).collect();
    Dataset::from_columns(vec![
        (
            Column::vector("features", slots),
            dense_vectors(x, 2, Element::F64, false, ROWS).unwrap(),
        ),
        (
            Column::new("weight", ColumnType::Float, false),
            Arc::new(weight),
        ),
    ])
    .unwrap()
}

fn spec() -> BlockSpec {
    BlockSpec {
        features: "features".to_owned(),
        label: LabelSpec::None,
        weight: Some("weight".to_owned()),
        missing: MissingRule::Error,
    }
}

#[derive(Serialize, Deserialize)]
struct Sum(f64);

impl Partial for Sum {
    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}

/// Adds all features; refuses rows from `refuse` on. The state is as long as `padding` makes it.
#[derive(Serialize, Deserialize)]
struct Add {
    refuse: u64,
    padding: Vec<u8>,
}

impl Add {
    const ALL: Self = Self {
        refuse: u64::MAX,
        padding: Vec::new(),
    };
}

impl Round for Add {
    const NAME: &'static str = "test/remote-add";
    type Unit = Block;
    type Partial = Sum;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> std::result::Result<Sum, DataError> {
        match block.row_ids.iter().find(|id| **id >= self.refuse) {
            None => Ok(Sum(block.dense().sum())),
            Some(row) => Err(DataError::Missing {
                column: "features".to_owned(),
                row: *row,
            }),
        }
    }
}

/// Hands row ids out.
#[derive(Serialize, Deserialize)]
struct Ids;

impl Work for Ids {
    const NAME: &'static str = "test/remote-ids";
    type Shared = Vec<u64>;
    type Output = u64;

    fn gather(&self, blocks: &dyn BlockSource) -> std::result::Result<Vec<u64>, DataError> {
        let mut ids = Vec::new();
        for i in 0..blocks.n_blocks() {
            ids.extend_from_slice(&blocks.block(i)?.row_ids);
        }
        Ok(ids)
    }

    fn run(&self, index: u64, shared: &Vec<u64>) -> std::result::Result<u64, DataError> {
        Ok(shared[1_000 * index as usize])
    }
}

/// Sends row ids to groups by the size of their weights; a group joins its own. Refuses rows from `refuse` on.
#[derive(Serialize, Deserialize)]
struct ByWeight {
    groups: usize,
    refuse: u64,
}

impl Exchange for ByWeight {
    const NAME: &'static str = "test/remote-by-weight";
    type Piece = Vec<u64>;
    type Output = (usize, Vec<u64>);

    fn n_groups(&self) -> usize {
        self.groups
    }

    fn scatter(&self, blocks: &dyn BlockSource) -> Result<Vec<Vec<u64>>> {
        let mut pieces = vec![Vec::new(); self.groups];
        for b in 0..blocks.n_blocks() {
            let block = blocks.block(b)?;
            for (i, id) in block.row_ids.iter().enumerate() {
                if *id >= self.refuse {
                    return Err(Error::Data(DataError::Missing {
                        column: "features".to_owned(),
                        row: *id,
                    }));
                }
                pieces[block.weight(i) as usize % self.groups].push(*id);
            }
        }
        Ok(pieces)
    }

    fn gather(&self, group: usize, pieces: Vec<Vec<u64>>) -> Result<(usize, Vec<u64>)> {
        Ok((group, pieces.concat()))
    }
}

fn jobs(jobs: &mut Jobs) {
    jobs.round::<Add>().work::<Ids>().exchange::<ByWeight>();
}

/// Hosts without a network: part `i` goes to host `i` of as many as there are.
struct Here {
    hosts: Vec<Host>,
    slots: usize,
    blobs: Mutex<BTreeMap<BlobId, Arc<[u8]>>>,
    fetched: AtomicUsize,
    /// Answers to this request are the first one twice, and none of the second part.
    mixed_up: Option<u64>,
}

impl Here {
    fn new(hosts: usize, slots: usize, memory: Option<u64>) -> Arc<Self> {
        let mut registry = Registry::new();
        registry.register_jobs(jobs);
        let host = |_| Host::new(registry.clone(), 2, memory).unwrap();
        Arc::new(Self {
            hosts: (0..hosts).map(host).collect(),
            slots,
            blobs: Mutex::default(),
            fetched: AtomicUsize::new(0),
            mixed_up: None,
        })
    }
}

impl Blobs for Here {
    fn get(&self, id: &BlobId) -> Result<Arc<[u8]>> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let found = self.blobs.lock().unwrap().get(id).cloned();
        found.ok_or_else(|| Error::Engine("no such bytes".to_owned()))
    }
}

impl Carrier for Here {
    fn describe(&self) -> String {
        "here".to_owned()
    }

    fn room(&self) -> Result<Option<u64>> {
        Ok(self.hosts[0].status().memory_limit)
    }

    fn slots(&self) -> Result<usize> {
        Ok(self.slots)
    }

    fn put(&self, id: BlobId, bytes: Arc<[u8]>) -> Result<()> {
        self.blobs.lock().unwrap().insert(id, bytes);
        Ok(())
    }

    fn carry(&self, request: &Request, cancel: &Cancel) -> Result<Vec<Carried>> {
        let parts = request.parts.iter().enumerate();
        if request.groups > 0 {
            let mut sent = vec![Vec::new(); request.groups];
            // As they may come from a network: not in the order of the parts.
            for (i, part) in parts.rev() {
                let host = &self.hosts[i % self.hosts.len()];
                let pieces = host.scatter(&request.job, part, request.groups, self, cancel);
                sent.iter_mut()
                    .zip(pieces)
                    .for_each(|(all, own)| all.push(own));
            }
            let gather = |(group, sent): (usize, &Vec<Vec<u8>>)| {
                let i = group % self.hosts.len();
                Carried {
                    by: i.to_string(),
                    bytes: self.hosts[i].gather(&request.job, group, sent, self, cancel),
                }
            };
            return Ok(sent.iter().enumerate().map(gather).collect());
        }
        let mut answers: Vec<Carried> = parts
            .map(|(i, part)| {
                let i = i % self.hosts.len();
                Carried {
                    by: i.to_string(),
                    bytes: self.hosts[i].compute(&request.job, part, self, cancel),
                }
            })
            .collect();
        if self.mixed_up == Some(request.number) {
            answers[1] = answers[0].clone();
        }
        Ok(answers)
    }
}

fn run(here: &Arc<Here>) -> Run {
    Run::local(1, 1).with_engine(Arc::new(Remote::new(here.clone(), 1)))
}

#[test]
fn rounds_and_work_give_what_they_give_on_one_machine() {
    let data = table().split(&Split::new(0.3, 11)).unwrap().train;
    let results = |run: &Run| {
        let pinned = run.pin(&data, &spec()).unwrap();
        assert_eq!((pinned.n_blocks(), pinned.n_rows()), (5, 28_000));
        assert_eq!(pinned.slots()[1].name, "b");
        let sum = run.round(&pinned, &Add::ALL).unwrap().unwrap().0;
        let ids = run.fan_out(Arc::new(pinned), &Ids, 20).unwrap();
        (sum.to_bits(), ids, run.count(&data).unwrap())
    };
    let expected = results(&Run::local(1, 2));
    for (hosts, slots) in [(1, 1), (1, 4), (2, 3), (3, 64)] {
        let here = Here::new(hosts, slots, None);
        assert_eq!(
            results(&run(&here)),
            expected,
            "{hosts} hosts, {slots} slots"
        );
    }
}

#[test]
fn an_exchange_gives_what_it_gives_on_one_machine() {
    let by_weight = ByWeight {
        groups: 7,
        refuse: u64::MAX,
    };
    let of = |run: &Run| {
        let pinned = run.pin(&table(), &spec()).unwrap();
        run.exchange(&pinned, &by_weight).unwrap()
    };
    let expected = of(&Run::local(1, 3));
    assert_eq!(
        expected.iter().map(|(_, ids)| ids.len()).sum::<usize>(),
        ROWS
    );
    assert!(expected.iter().all(|(_, ids)| ids.is_sorted()));
    // More slots than the five blocks: some parts have none.
    for (hosts, slots) in [(1, 1), (2, 3), (3, 64)] {
        assert_eq!(of(&run(&Here::new(hosts, slots, None))), expected);
    }
    let refuse = ByWeight {
        groups: 3,
        refuse: 9_000,
    };
    let told = |run: &Run| {
        let pinned = run.pin(&table(), &spec()).unwrap();
        let error = run.exchange(&pinned, &refuse).unwrap_err();
        (error.exit_code(), error.to_string())
    };
    assert_eq!(told(&run(&Here::new(2, 1, None))), told(&Run::local(1, 1)));
}

#[test]
fn the_error_of_the_first_row_is_told_with_its_kind_and_text() {
    let refuse = Add {
        refuse: 9_000,
        padding: Vec::new(),
    };
    let of = |run: &Run| {
        let pinned = run.pin(&table(), &spec()).unwrap();
        let error = run.round(&pinned, &refuse).map(|_| ()).unwrap_err();
        (error.exit_code(), error.kind(), error.to_string())
    };
    let there = of(&run(&Here::new(2, 5, None)));
    assert_eq!(there, of(&Run::local(1, 1)));
    assert_eq!((there.0, there.1), (3, "missing"));
}

#[test]
fn long_states_are_laid_ready_and_fetched_once_by_each_host() {
    let here = Here::new(2, 4, None);
    let run = run(&here);
    let pinned = run.pin(&table(), &spec()).unwrap();
    assert_eq!(
        here.fetched.load(Ordering::Relaxed),
        2,
        "the recipe, once a host"
    );
    let long = Add {
        refuse: u64::MAX,
        padding: vec![7; INLINE + 1],
    };
    for _ in 0..3 {
        run.round(&pinned, &long).unwrap();
        run.round(&pinned, &Add::ALL).unwrap();
    }
    assert_eq!(
        here.fetched.load(Ordering::Relaxed),
        4,
        "and the state, once a host"
    );
}

#[test]
fn blocks_of_other_rows_are_let_go_before_any_spill() {
    // A block of 8,192 rows takes 32 bytes a row: 262 kB, five of them 1.3 MB.
    let here = Here::new(1, 1, Some(1_500_000));
    let run = run(&here);
    let pin = |seed| {
        let data = table().sample(0.9, seed).unwrap();
        run.pin(&data, &spec()).unwrap()
    };
    let first = pin(1);
    let held = here.hosts[0].status();
    assert_eq!((held.partitions, held.spilled_blocks), (1, 0));
    let second = pin(2);
    let held = here.hosts[0].status();
    assert_eq!((held.partitions, held.spilled_blocks), (1, 0), "{held:?}");
    assert!(held.held <= held.memory_limit, "{held:?}");
    // What was let go is made again.
    let sum = |pinned: &Pinned| run.round(pinned, &Add::ALL).unwrap().unwrap().0;
    assert_ne!(sum(&first), sum(&second));
    drop(first);
    drop(second);
    let third = pin(3);
    assert_eq!(
        here.hosts[0].status().partitions,
        1,
        "those of dropped rows went"
    );
    drop(third);
    // Rows that do not fit beside themselves lie on disk.
    let small = Here::new(1, 1, Some(600_000));
    let spilling = self::run(&small);
    let pinned = spilling.pin(&table(), &spec()).unwrap();
    assert!(small.hosts[0].status().spilled_blocks > 0);
    let expected = Run::local(1, 1);
    let local = expected.pin(&table(), &spec()).unwrap();
    assert_eq!(
        spilling
            .round(&pinned, &Add::ALL)
            .unwrap()
            .unwrap()
            .0
            .to_bits(),
        expected
            .round(&local, &Add::ALL)
            .unwrap()
            .unwrap()
            .0
            .to_bits()
    );
}

#[test]
fn an_answer_that_came_twice_is_no_answer() {
    let mut here = Here::new(1, 3, None);
    Arc::get_mut(&mut here).unwrap().mixed_up = Some(1);
    let run = run(&here);
    let pinned = run.pin(&table(), &spec()).unwrap();
    let error = run.round(&pinned, &Add::ALL).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("arrived twice"), "{error}");
}

#[test]
fn a_cancelled_run_ends_as_interrupted() {
    let here = Here::new(1, 2, None);
    let run = run(&here);
    let pinned = run.pin(&table(), &spec()).unwrap();
    run.cancel.cancel();
    let error = run.round(&pinned, &Add::ALL).map(|_| ()).unwrap_err();
    assert_eq!(error.exit_code(), 130);
}

#[test]
fn rows_that_only_this_process_has_are_computed_here() {
    let here = Here::new(1, 2, None);
    let run = run(&here);
    let cached = table().cache(None).unwrap();
    let pinned = run.pin(&cached, &spec()).unwrap();
    let expected = Run::local(1, 1);
    let local = expected.pin(&cached, &spec()).unwrap();
    let sum = |run: &Run, pinned: &Pinned| run.round(pinned, &Add::ALL).unwrap().unwrap().0;
    assert_eq!(
        sum(&run, &pinned).to_bits(),
        sum(&expected, &local).to_bits()
    );
    assert_eq!(here.hosts[0].status().misses, 0);
}

#[test]
fn events_tell_who_computed_what_and_whether_its_blocks_were_kept() {
    use crate::event::EventLog;
    let here = Here::new(2, 2, None);
    let log = Arc::new(EventLog::default());
    let run = run(&here).with_events(log.clone());
    let pinned = run.pin(&table(), &spec()).unwrap();
    run.round(&pinned, &Add::ALL).unwrap();
    let events = log.events();
    let [_, Event::JobComputed { job, parts, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(job, Add::NAME);
    let told: Vec<_> = parts.iter().map(|p| (&*p.executor, p.kept)).collect();
    assert_eq!(told, [("0", Some(true)), ("1", Some(true))]);
}
