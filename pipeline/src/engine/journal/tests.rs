use std::sync::atomic::{AtomicUsize, Ordering};

use emberline_datasets::arrow::array::Float64Array;
use emberline_datasets::{Column, ColumnType, DataError};
use serde::{Deserialize, Serialize};

use super::*;
use crate::engine::{BlockSource, Exchange, Local, Partial, Round, Work};

/// How often a round or a piece of work was really computed.
static COMPUTED: AtomicUsize = AtomicUsize::new(0);
/// One test at a time counts.
static COUNTING: Mutex<()> = Mutex::new(());

#[derive(Serialize, Deserialize)]
struct Total(f64);

impl Partial for Total {
    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}

/// Adds `x * factor`.
#[derive(Serialize, Deserialize)]
struct AddUp {
    factor: f64,
}

impl Round for AddUp {
    const NAME: &'static str = "test/add_up";
    type Unit = Batch;
    type Partial = Total;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Total, DataError> {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        let x = batch.numbers("x")?;
        Ok(Total(x.iter().flatten().map(|x| x * self.factor).sum()))
    }
}

#[derive(Serialize, Deserialize)]
struct Squares;

impl Work for Squares {
    const NAME: &'static str = "test/squares";
    type Shared = ();
    type Output = u64;

    fn gather(&self, _: &dyn BlockSource) -> std::result::Result<(), DataError> {
        Ok(())
    }

    fn run(&self, index: u64, (): &()) -> std::result::Result<u64, DataError> {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        Ok(index * index)
    }
}

/// Two groups of nothing; each tells its number.
#[derive(Serialize, Deserialize)]
struct Numbers;

impl Exchange for Numbers {
    const NAME: &'static str = "test/numbers";
    type Piece = ();
    type Output = usize;

    fn n_groups(&self) -> usize {
        2
    }

    fn scatter(&self, _: &dyn BlockSource) -> Result<Vec<()>> {
        Ok(vec![(); 2])
    }

    fn gather(&self, group: usize, _: Vec<()>) -> Result<usize> {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        Ok(group)
    }
}

fn data() -> Dataset {
    let x: Float64Array = (0..20_000)
        .map(|i| Some(1.0 / (1.0 + f64::from(i))))
        .collect();
    let column = Column::new("x", ColumnType::Float, false);
    Dataset::from_columns(vec![(column, Arc::new(x))]).unwrap()
}

fn identity() -> Identity {
    Identity {
        config: "[data]\nsource = \"a\"\n".to_owned(),
        data: "d1".to_owned(),
        version: "1".to_owned(),
        simd: "s".to_owned(),
        overwrite: false,
    }
}

fn checkpoints(folder: &tempfile::TempDir, resume: bool) -> Checkpoints {
    Checkpoints {
        path: folder.path().join("m.ember.checkpoint"),
        interval: Duration::ZERO,
        resume,
        overwrite: false,
    }
}

fn open(folder: &tempfile::TempDir, resume: bool, identity: &Identity) -> Result<Arc<Journal>> {
    let inner = Arc::new(Local::new(2));
    Journal::open(inner, &checkpoints(folder, resume), identity).map(Arc::new)
}

/// A driver: three rounds, each from the last one's result, then five pieces of work.
fn drive(journal: &Arc<Journal>, pieces: usize) -> (Vec<u64>, Vec<u64>) {
    let run = Run::local(1, 2).with_engine(journal.clone());
    let data = data();
    let mut factor = 1.0;
    let mut sums = Vec::new();
    for _ in 0..3 {
        let columns = ["x".to_owned()];
        factor = run
            .scan(&data, &columns, &AddUp { factor })
            .unwrap()
            .unwrap()
            .0;
        sums.push(factor.to_bits());
    }
    let none = Arc::new(Pinned::new(Vec::new(), Arc::new([])));
    (sums, run.fan_out(none, &Squares, pieces).unwrap())
}

fn computed(f: impl FnOnce() -> (Vec<u64>, Vec<u64>)) -> ((Vec<u64>, Vec<u64>), usize) {
    let _guard = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = COMPUTED.load(Ordering::Relaxed);
    let result = f();
    (result, COMPUTED.load(Ordering::Relaxed) - before)
}

#[test]
fn what_was_exchanged_and_what_there_was_room_for_are_not_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = |resume: bool| {
        let journal = open(&folder, resume, &identity()).unwrap();
        let mut replayed = 0;
        let result = computed(|| {
            let run = Run::local(1, 2).with_engine(journal.clone());
            assert_eq!(run.engine.room().unwrap(), None);
            let none = Pinned::new(Vec::new(), Arc::new([]));
            let outputs = run.exchange(&none, &Numbers).unwrap();
            replayed = journal.n_replayed();
            (outputs.into_iter().map(|n| n as u64).collect(), Vec::new())
        });
        (result, replayed)
    };
    let expected = (vec![0, 1], Vec::new());
    assert_eq!(exchange(false), ((expected.clone(), 2), 0));
    assert_eq!(exchange(true), ((expected, 0), 2));
}

#[test]
fn a_resumed_run_gives_the_same_bits_and_computes_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, n) = computed(|| drive(&open(&folder, false, &identity()).unwrap(), 5));
    // Three rounds over the three chunks of 20,000 rows, and five pieces.
    assert_eq!(n, 3 * 3 + 5);
    let journal = open(&folder, true, &identity()).unwrap();
    let (second, n) = computed(|| drive(&journal, 5));
    assert_eq!((second, n), (first, 0));
    assert_eq!(journal.n_replayed(), 8);
}

#[test]
fn work_that_was_not_done_is_done_after_what_was() {
    let folder = tempfile::tempdir().unwrap();
    drive(&open(&folder, false, &identity()).unwrap(), 2);
    let (result, n) = computed(|| drive(&open(&folder, true, &identity()).unwrap(), 5));
    assert_eq!((result.1, n), (vec![0, 1, 4, 9, 16], 3));
    let (_, n) = computed(|| drive(&open(&folder, true, &identity()).unwrap(), 5));
    assert_eq!(n, 0, "what the resumed run added can be resumed too");
}

#[test]
fn a_journal_cut_anywhere_resumes_to_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = computed(|| drive(&open(&folder, false, &identity()).unwrap(), 5));
    let path = checkpoints(&folder, true).path;
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (result, _) = computed(|| drive(&open(&folder, true, &identity()).unwrap(), 5));
        assert_eq!(result, whole, "cut at byte {cut}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at byte {cut}");
    }
}

#[test]
fn a_flipped_bit_ends_the_journal_there_and_changes_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = computed(|| drive(&open(&folder, false, &identity()).unwrap(), 5));
    let path = checkpoints(&folder, true).path;
    let bytes = std::fs::read(&path).unwrap();
    for byte in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, &damaged).unwrap();
        match open(&folder, true, &identity()) {
            Ok(journal) => assert_eq!(computed(|| drive(&journal, 5)).0, whole, "byte {byte}"),
            // The first word says what the file is.
            Err(e) => assert!(byte < 24, "byte {byte}: {e}"),
        }
    }
}

#[test]
fn another_config_other_data_and_another_program_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    drive(&open(&folder, false, &identity()).unwrap(), 1);
    let refused = |change: &dyn Fn(&mut Identity)| {
        let mut own = identity();
        change(&mut own);
        open(&folder, true, &own).err().unwrap().to_string()
    };
    let config = refused(&|i| i.config = "[data]\nsource = \"b\"\n".to_owned());
    assert!(
        config.contains(
            "config has changed: under [data], `source = \"a\"` then, `source = \"b\"` now"
        ),
        "{config}"
    );
    assert!(refused(&|i| i.data = "d2".to_owned()).contains("training data have changed"));
    assert!(refused(&|i| i.version = "2".to_owned()).contains("emberline 1, this is 2"));
    assert!(refused(&|i| i.simd = "t".to_owned()).contains("a machine with s, this one has t"));
}

#[test]
fn a_second_process_on_the_same_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _held = open(&folder, false, &identity()).unwrap();
    let error = open(&folder, true, &identity()).err().unwrap().to_string();
    assert!(error.contains("another process is at work"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_another_process_removed_after_it_was_opened_is_told_from_the_one_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.ember.checkpoint");
    let file = std::fs::File::create(&path).unwrap();
    assert!(file::still_there(&file, &path));
    std::fs::remove_file(&path).unwrap();
    assert!(!file::still_there(&file, &path));
    std::fs::write(&path, "of another run").unwrap();
    assert!(!file::still_there(&file, &path));
}

#[test]
fn only_a_journal_with_a_run_in_it_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!open(&folder, true, &identity()).unwrap().resumed());
    assert!(open(&folder, true, &identity()).unwrap().resumed());
    assert!(!open(&folder, false, &identity()).unwrap().resumed());
}

#[test]
fn a_journal_that_answers_another_question_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drive(&open(&folder, false, &identity()).unwrap(), 0);
    let run = Run::local(1, 1).with_engine(open(&folder, true, &identity()).unwrap());
    let columns = ["x".to_owned()];
    let other = run.scan(&data(), &columns, &AddUp { factor: 2.0 });
    let error = other.err().unwrap().to_string();
    assert!(error.contains("another course of this run"), "{error}");
}

#[test]
fn a_result_too_large_to_keep_is_computed_again() {
    let entry = Entry::of(vec![0; LARGEST + 1]);
    assert!(matches!(entry, Entry::TooLarge));
    assert!(matches!(Entry::of(vec![0; 8]), Entry::Result(_)));
}
