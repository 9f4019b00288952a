use emberline_datasets::arrow::array::Float64Array;
use emberline_datasets::batch::dense_vectors;
use emberline_datasets::{Column, ColumnType, DataError, Element, LabelSpec, MissingRule, Split};
use serde::{Deserialize, Serialize};

use super::*;
use crate::engine::{BlockSource, Partial, Round, Work};

#[test]
fn the_tree_of_sums_does_not_depend_on_threads() {
    let values: Vec<f64> = (0..1_000).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
    let sum = |threads| {
        Local::new(threads)
            .install(|| reduce_all(values.len(), &|i| Ok(Some(values[i])), &|a, b| a + b))
            .unwrap()
            .unwrap()
    };
    assert_eq!(sum(1).to_bits(), sum(2).to_bits());
    assert_eq!(sum(1).to_bits(), sum(4).to_bits());
}

#[test]
fn merging_keeps_block_order() {
    let order = Local::new(4).install(|| {
        reduce_all(37, &|i| Ok((i % 3 != 0).then(|| vec![i])), &|mut a, b| {
            a.extend(b);
            a
        })
    });
    assert_eq!(
        order.unwrap().unwrap(),
        (0..37).filter(|i| i % 3 != 0).collect::<Vec<_>>()
    );
}

#[test]
fn the_error_of_the_first_block_wins() {
    let failed = Local::new(2).install(|| {
        reduce_all::<()>(
            8,
            &|i| {
                if i >= 2 {
                    Err(Error::Usage(format!("block {i}")))
                } else {
                    Ok(None)
                }
            },
            &|(), ()| (),
        )
    });
    assert_eq!(failed.unwrap_err().to_string(), "block 2");
}

const ROWS: usize = 40_000;

/// Two features and a label that no sum holds exactly.
fn table() -> Dataset {
    let x = (0..2 * ROWS).map(|i| 1.0 / (1.0 + i as f64)).collect();
    let slots = ["a", "b"].map(Slot::numeric).to_vec();
    let label: Float64Array = (0..ROWS).map(|i| Some((i as f64).sqrt())).collect();
    Dataset::from_columns(vec![
        (
            Column::vector("features", slots),
            dense_vectors(x, 2, Element::F64, false, ROWS).unwrap(),
        ),
        (
            Column::new("label", ColumnType::Float, false),
            Arc::new(label),
        ),
    ])
    .unwrap()
}

fn spec() -> BlockSpec {
    BlockSpec {
        features: "features".to_owned(),
        label: LabelSpec::Number("label".to_owned()),
        weight: None,
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

/// Adds all features and labels to what the block's scratch held.
#[derive(Serialize, Deserialize)]
struct Add;

impl Round for Add {
    const NAME: &'static str = "test/add";
    type Unit = Block;
    type Partial = Sum;
    type Scratch = f64;

    fn map(&self, block: &Block, scratch: &mut f64) -> std::result::Result<Sum, DataError> {
        let labels: f64 = (0..block.n_rows()).map(|i| block.label(i)).sum();
        *scratch += block.dense().sum() + labels;
        Ok(Sum(*scratch))
    }
}

/// Hands the row ids of all blocks out, a thousandth to each piece of work.
#[derive(Serialize, Deserialize)]
struct Gather;

impl Work for Gather {
    const NAME: &'static str = "test/gather";
    type Shared = Vec<u64>;
    type Output = u64;

    fn gather(&self, blocks: &dyn BlockSource) -> std::result::Result<Self::Shared, DataError> {
        let mut ids = Vec::new();
        for i in 0..blocks.n_blocks() {
            ids.extend_from_slice(&blocks.block(i)?.row_ids);
        }
        assert_eq!(ids.len() as u64, blocks.n_rows());
        Ok(ids)
    }

    fn run(&self, index: u64, shared: &Self::Shared) -> std::result::Result<u64, DataError> {
        Ok(shared[1_000 * index as usize])
    }
}

#[test]
fn blocks_are_let_go_once_their_work_is_gathered() {
    let run = Run::local(1, 2);
    let pinned = Arc::new(run.pin(&table(), &spec()).unwrap());
    let blocks = Arc::downgrade(&pinned);
    let mut outputs = 0;
    run.fan_out_each(pinned, &Gather, 3, |_| {
        outputs += 1;
        assert!(blocks.upgrade().is_none());
        Ok(())
    })
    .unwrap();
    assert_eq!(outputs, 3);
}

#[test]
fn blocks_on_disk_give_the_same_bits_as_blocks_in_memory() {
    let data = table().split(&Split::new(0.3, 11)).unwrap().train;
    let results = |limit: Option<u64>, spilled: usize| {
        let run = Run::local(1, 2).with_memory_limit(limit);
        let pinned = run.pin(&data, &spec()).unwrap();
        assert_eq!((pinned.n_blocks(), pinned.n_spilled()), (5, spilled));
        assert_eq!(pinned.n_rows(), 28_000);
        assert_eq!(pinned.slots()[1].name, "b");
        let twice = [(); 2].map(|()| run.round(&pinned, &Add).unwrap().unwrap().0.to_bits());
        (twice, run.fan_out(Arc::new(pinned), &Gather, 20).unwrap())
    };
    let in_memory = results(None, 0);
    assert_eq!(results(Some(1), 5), in_memory);
    // A block of 5,700 rows takes 32 bytes a row: 180 kB.
    assert_eq!(results(Some(400_000), 3), in_memory);
}

#[test]
fn without_rows_there_are_no_blocks_but_slots() {
    let none = table().sample(1e-12, 1).unwrap();
    let run = Run::local(1, 1).with_memory_limit(Some(1));
    let pinned = run.pin(&none, &spec()).unwrap();
    assert_eq!((pinned.n_blocks(), pinned.n_features()), (0, 2));
    assert!(run.round(&pinned, &Add).unwrap().is_none());
}
