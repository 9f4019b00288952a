//! What parts send to groups, as rows: through Ballista's shuffle, which splits and joins streams as it likes.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BinaryBuilder, RecordBatch, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::{Result, exec_err};

use crate::PIECE;

/// Group, part, number of the piece, piece: rows say themselves where they belong.
pub(crate) fn sent_schema() -> SchemaRef {
    let number = |name| Field::new(name, DataType::UInt32, false);
    Arc::new(Schema::new(vec![
        number("group"),
        number("part"),
        number("number"),
        Field::new("piece", DataType::Binary, false),
    ]))
}

/// What a part sends to groups `0..sent.len()`, in batches of one row, each well under the limit of a message.
pub(crate) fn sent(part: u32, sent: &[Vec<u8>]) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for (group, bytes) in sent.iter().enumerate() {
        for number in 0..bytes.len().div_ceil(PIECE).max(1) {
            let end = bytes.len().min((number + 1) * PIECE);
            let mut piece = BinaryBuilder::new();
            piece.append_value(&bytes[number * PIECE..end]);
            let numbers = [group as u32, part, number as u32];
            let [group, part, number] = numbers.map(|n| Arc::new(UInt32Array::from(vec![n])));
            batches.push(RecordBatch::try_new(
                sent_schema(),
                vec![group, part, number, Arc::new(piece.finish())],
            )?);
        }
    }
    Ok(batches)
}

/// What was sent to groups, put together again.
#[derive(Default)]
pub(crate) struct Received {
    groups: BTreeMap<u32, BTreeMap<(u32, u32), Vec<u8>>>,
}

impl Received {
    /// Adds rows. A piece that comes a second time (from a task that was repeated) is the same.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        let numbers = |i: usize| batch.column(i).as_primitive::<UInt32Type>();
        let (groups, parts, counts) = (numbers(0), numbers(1), numbers(2));
        let pieces = batch.column(3).as_binary::<i32>();
        for i in 0..batch.num_rows() {
            let group = self.groups.entry(groups.value(i)).or_default();
            let place = (parts.value(i), counts.value(i));
            group.insert(place, pieces.value(i).to_vec());
        }
    }

    /// The groups, each with what its parts sent.
    ///
    /// # Errors
    /// A group did not hear of all parts: files of an executor that was lost are missing.
    pub(crate) fn groups(self, n_parts: usize) -> Result<Vec<(u32, Vec<Vec<u8>>)>> {
        let mut groups = Vec::with_capacity(self.groups.len());
        for (group, pieces) in self.groups {
            let mut parts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            for ((part, _), piece) in pieces {
                parts.entry(part).or_default().extend(piece);
            }
            if parts.len() != n_parts {
                return exec_err!(
                    "group {group} heard of {} parts, there are {n_parts}",
                    parts.len()
                );
            }
            groups.push((group, parts.into_values().collect()));
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pieces_are_cut_and_joined_whatever_order_they_arrive_in() {
        let long: Vec<u8> = (0..2 * PIECE + 7).map(|i| (i % 251) as u8).collect();
        let mut batches = sent(1, &[long.clone(), Vec::new()]).unwrap();
        assert_eq!(batches.len(), 4);
        batches.extend(sent(0, &[vec![5], vec![6]]).unwrap());
        let mut received = Received::default();
        for batch in batches.iter().rev().chain(&batches) {
            received.add(batch);
        }
        let expected = vec![(0, vec![vec![5], long]), (1, vec![vec![6], Vec::new()])];
        assert!(received.groups(2).unwrap() == expected);
    }

    #[test]
    fn a_part_that_is_missing_is_no_empty_part() {
        let mut received = Received::default();
        sent(3, &[vec![1]])
            .unwrap()
            .iter()
            .for_each(|b| received.add(b));
        assert!(received.groups(2).is_err());
    }
}
