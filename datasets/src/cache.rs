//! Reading a dataset once.

use std::sync::Arc;

use crate::batch::Batch;
use crate::dataset::Dataset;
use crate::memory::Memory;
use crate::parallel::map_in_order;
use crate::schema::Schema;
use crate::source::{Chunk, Source};
use crate::store::{StoreBuilder, StoredSource};
use crate::{DataError, Result};

impl Dataset {
    /// Reads all rows once, through all steps, and keeps them: in memory up to `memory_limit` bytes (`None`: all), the
    /// others in a temporary file that is gone when the last clone of the result is dropped.
    ///
    /// Chunks, row ids and partitions stay as they are, so results made from the cache are the same to the bit.
    ///
    /// - cost: one parallel pass; a spilled chunk is read back from disk at each use
    ///
    /// # Errors
    /// Reading fails, a step refuses a value, or the temporary file cannot be written.
    pub fn cache(&self, memory_limit: Option<u64>) -> Result<Self> {
        let all: Vec<String> = names(self.schema());
        let parts = std::slice::from_ref(self);
        let memory = Memory::limited(memory_limit);
        Ok(Self::cache_parts(parts, &all, &memory)?.swap_remove(0))
    }

    /// As [`Dataset::cache`], for several datasets in one pass where they are sides of one split, and within one memory for all
    /// of them. Of each, the named columns that it has are kept; a column that is not is still there, and read again from the
    /// source where it is asked for.
    ///
    /// # Errors
    /// As [`Dataset::cache`].
    pub fn cache_parts(parts: &[Self], columns: &[String], memory: &Memory) -> Result<Vec<Self>> {
        match Self::common_steps(parts) {
            Some(common) => cache_together(parts, common, columns, memory),
            None => parts
                .iter()
                .map(|part| {
                    let one = std::slice::from_ref(part);
                    Ok(cache_together(one, part.n_steps(), columns, memory)?.swap_remove(0))
                })
                .collect(),
        }
    }
}

fn names(schema: &Schema) -> Vec<String> {
    schema.columns().iter().map(|c| c.name.clone()).collect()
}

fn cache_together(
    parts: &[Dataset],
    common: usize,
    columns: &[String],
    memory: &Memory,
) -> Result<Vec<Dataset>> {
    let Some(first) = parts.first() else {
        return Ok(Vec::new());
    };
    let wanted: Vec<Vec<String>> = parts
        .iter()
        .map(|part| {
            let mut wanted = names(part.schema());
            wanted.retain(|name| columns.contains(name));
            wanted
        })
        .collect();
    let mut stores = Vec::with_capacity(parts.len());
    for (part, wanted) in parts.iter().zip(&wanted) {
        let schema = Arc::new(part.schema().select(wanted)?);
        stores.push(StoreBuilder::new(schema, memory));
    }
    let chunks = first.chunks()?;
    let length = first.source().run_length().max(1);
    let run = |r: usize| r * length..chunks.len().min((r + 1) * length);
    map_in_order::<_, DataError>(
        chunks.len().div_ceil(length),
        |r| {
            let read = Dataset::read_together(parts, common, run(r), &wanted)?;
            let coded = |batches: &Vec<Batch>| {
                let coded = batches.iter().map(Batch::with_coded_text);
                coded.collect::<Result<Vec<_>>>()
            };
            Ok((r, read.iter().map(coded).collect::<Result<Vec<_>>>()?))
        },
        |(r, read)| {
            for (chunk, batches) in chunks[run(r)].iter().zip(read) {
                for (store, batch) in stores.iter_mut().zip(batches) {
                    store.push(batch, chunk.first_row)?;
                }
            }
            Ok(())
        },
    )?;
    parts
        .iter()
        .zip(stores)
        .map(|(part, store)| {
            let stored = store.finish(part.source().origin(), part.source().cuts());
            let source: Arc<dyn Source> =
                if stored.schema().columns().len() == part.schema().columns().len() {
                    Arc::new(stored)
                } else {
                    Arc::new(SomeColumns::new(stored, part))
                };
            Ok(Dataset::new(source).repartition(part.n_partitions()))
        })
        .collect()
}

/// Rows of which some columns are kept; the others are read again where they are asked for.
#[derive(Debug)]
struct SomeColumns {
    kept: StoredSource,
    /// Where each column is kept, if it is.
    places: Vec<Option<usize>>,
    whole: Dataset,
}

impl SomeColumns {
    fn new(kept: StoredSource, whole: &Dataset) -> Self {
        let place = |name: String| kept.schema().index_of(&name);
        Self {
            places: names(whole.schema()).into_iter().map(place).collect(),
            kept,
            whole: whole.clone(),
        }
    }
}

impl Source for SomeColumns {
    fn origin(&self) -> &str {
        self.kept.origin()
    }

    fn schema(&self) -> &Arc<Schema> {
        self.whole.schema()
    }

    fn chunks(&self) -> Result<Arc<[Chunk]>> {
        self.kept.chunks()
    }

    fn known_rows(&self) -> Option<u64> {
        self.kept.known_rows()
    }

    fn cuts(&self) -> Option<Arc<[usize]>> {
        self.kept.cuts()
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> Result<Batch> {
        let kept: Option<Vec<usize>> = columns.iter().map(|&i| self.places[i]).collect();
        match kept {
            Some(kept) => self.kept.read(chunk, &kept),
            None => {
                let all = self.whole.schema().columns();
                let names: Vec<String> = columns.iter().map(|&i| all[i].name.clone()).collect();
                self.whole.read(chunk, Some(&names))
            }
        }
    }

    fn quarantined(&self) -> u64 {
        self.whole.source().quarantined()
    }
}

#[cfg(test)]
mod tests {
    use crate::arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    };

    use super::*;
    use crate::batch::{dense_vectors, sparse_vectors};
    use crate::schema::{Column, ColumnType, Element, Layout, Roles};
    use crate::{Batch, Split};

    const ROWS: usize = 20_000;

    /// A column of every kind, with nulls and a NaN.
    fn table() -> Dataset {
        let vector = |width, layout| {
            Column::new(
                format!("{layout:?}"),
                ColumnType::Vector {
                    width: Some(width),
                    element: Element::F64,
                    layout,
                },
                true,
            )
        };
        let dense = (0..2 * ROWS).map(|i| if i % 7 == 0 { f64::NAN } else { i as f64 });
        let dense = dense_vectors(dense.collect(), 2, Element::F64, true, ROWS).unwrap();
        let sparse = sparse_vectors(
            (0..=ROWS as i32).collect(),
            vec![3; ROWS],
            (0..ROWS).map(|i| i as f64).collect(),
        );
        let column = |name: &str, ty| Column::new(name, ty, true);
        let some = |i: usize| !i.is_multiple_of(5);
        let scalar: Vec<(Column, ArrayRef)> = vec![
            (
                column("f", ColumnType::Float),
                Arc::new(Float64Array::from_iter(
                    (0..ROWS).map(|i| some(i).then_some(0.1 * i as f64)),
                )),
            ),
            (
                column("i", ColumnType::Integer),
                Arc::new(Int64Array::from_iter(
                    (0..ROWS).map(|i| some(i).then_some(i as i64)),
                )),
            ),
            (
                column("t", ColumnType::Text),
                Arc::new(StringArray::from_iter(
                    (0..ROWS).map(|i| some(i).then(|| format!("name {i}"))),
                )),
            ),
            (
                column("b", ColumnType::Boolean),
                Arc::new(BooleanArray::from_iter((0..ROWS).map(|i| Some(some(i))))),
            ),
            (
                column("d", ColumnType::Date),
                Arc::new(Date32Array::from_iter((0..ROWS).map(|i| Some(i as i32)))),
            ),
            (vector(2, Layout::Dense), dense),
            (vector(9, Layout::Sparse), sparse.unwrap()),
        ];
        let roles = Roles {
            label: Some("b".to_owned()),
            ..Roles::default()
        };
        Dataset::from_columns(scalar)
            .unwrap()
            .with_roles(roles)
            .unwrap()
            .repartition(3)
    }

    fn assert_same(a: &Batch, b: &Batch) {
        assert_eq!(a.schema(), b.schema());
        assert_eq!(a.row_ids(), b.row_ids());
        // By value: a slice and its copy differ in offsets, not in what they hold.
        for (x, y) in a.columns().iter().zip(b.columns()) {
            assert_eq!(x, y);
        }
    }

    #[test]
    fn a_cache_gives_the_same_chunks_in_memory_and_from_disk() {
        let data = table().split(&Split::new(0.3, 4)).unwrap().train;
        for limit in [None, Some(1), Some(1_500_000)] {
            let cached = data.cache(limit).unwrap();
            assert_eq!(cached.partitions().unwrap(), data.partitions().unwrap());
            for i in 0..data.chunks().unwrap().len() {
                assert_same(&cached.read(i, None).unwrap(), &data.read(i, None).unwrap());
                let one = ["t".to_owned(), "f".to_owned()];
                assert_same(
                    &cached.read(i, Some(&one)).unwrap(),
                    &data.read(i, Some(&one)).unwrap(),
                );
            }
            assert_eq!(cached.count().unwrap(), data.count().unwrap());
        }
    }

    #[test]
    fn only_what_exceeds_the_limit_is_spilled() {
        let spilled = |limit| {
            let mut store = StoreBuilder::new(table().schema().clone(), &Memory::limited(limit));
            for batch in table().batches(None).unwrap() {
                store.push(batch.unwrap(), 0).unwrap();
            }
            store.finish("test", None).n_spilled()
        };
        assert_eq!(spilled(None), 0);
        assert_eq!(spilled(Some(1)), 3);
        assert_eq!(spilled(Some(1_000_000)), 2);
    }

    #[test]
    fn a_cache_of_no_rows_keeps_its_schema() {
        let none = table().source().schema().clone();
        let source = crate::source::MemorySource::new("none", none, Vec::new());
        let cached = Dataset::new(Arc::new(source)).cache(Some(1)).unwrap();
        assert_eq!(cached.count().unwrap(), 0);
        assert_eq!(
            cached.schema().columns().len(),
            table().schema().columns().len()
        );
    }
}
