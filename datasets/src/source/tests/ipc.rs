use std::sync::Arc;

use crate::arrow::array::{ArrayRef, DictionaryArray, Float64Array, RecordBatch, StringArray};
use crate::arrow::datatypes::Int32Type;
use crate::arrow::ipc::writer::{FileWriter, StreamWriter};
use proptest::prelude::*;

use super::*;

fn table(rows: usize) -> RecordBatch {
    let x = Float64Array::from_iter((0..rows).map(|i| (i % 5 != 0).then_some(i as f64)));
    let w = StringArray::from_iter_values((0..rows).map(|i| format!("w{i}")));
    let d: DictionaryArray<Int32Type> = (0..rows).map(|i| Some(["a", "b"][i % 2])).collect();
    RecordBatch::try_from_iter([
        ("x", Arc::new(x) as ArrayRef),
        ("w", Arc::new(w)),
        ("d", Arc::new(d)),
    ])
    .unwrap()
}

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|b| writer.write(b).unwrap());
    writer.into_inner().unwrap()
}

#[test]
fn blocks_restart_at_record_batches() {
    let folder = Folder::new();
    let options = folder.write("a.feather", file(&[table(10_000), table(5)]));
    let data = open(&options).unwrap();
    let rows: Vec<usize> = data.chunks().unwrap().iter().map(|c| c.rows).collect();
    assert_eq!(rows, [8192, 1808, 5]);
    let batch = data
        .read(1, Some(&["w".to_owned(), "d".to_owned()]))
        .unwrap();
    assert_eq!(
        (text(&batch.columns()[0], 0), text(&batch.columns()[1], 1)),
        ("w8192", "b")
    );
    assert_eq!(ids(&data), (0..10_005).collect::<Vec<u64>>());
}

#[test]
fn streams_old_feather_files_and_other_bytes_are_told_apart() {
    let folder = Folder::new();
    let mut stream = StreamWriter::try_new(Vec::new(), &table(1).schema()).unwrap();
    stream.write(&table(1)).unwrap();
    let stream = stream.into_inner().unwrap();
    assert!(open_error(&folder.write("a.arrow", stream)).contains("Arrow IPC stream"));
    assert!(
        open_error(&folder.write("b.feather", b"FEA1................"))
            .contains("Feather version 1")
    );
    assert!(open_error(&folder.write("c.ipc", b"ARROW1")).contains("6 bytes are too few"));
    assert!(open_error(&folder.write("d.ipc", [0; 64])).contains("`ARROW1` is absent"));
}

#[test]
fn a_footer_longer_than_the_file_is_refused_before_room_is_made_for_it() {
    let folder = Folder::new();
    let mut bytes = b"ARROW1\0\0".to_vec();
    bytes.extend(i32::MAX.to_le_bytes());
    bytes.extend(b"ARROW1");
    let error = open_error(&folder.write("a.arrow", bytes));
    assert!(
        error.contains("the footer claims 2147483647 bytes of 0"),
        "{error}"
    );
}

/// Opens and reads whatever there is; any outcome but a crash or a huge allocation will do.
fn survive(bytes: &[u8]) {
    let folder = Folder::new();
    let options = folder.write("a.arrow", bytes);
    if let Ok(data) = open(&options) {
        let chunks = data.chunks().map_or(0, |c| c.len());
        assert!(
            chunks <= 8 * bytes.len() / 8192 + 64,
            "{chunks} chunks from {} bytes",
            bytes.len()
        );
        for i in 0..chunks {
            let _ = data.read(i, None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_files_are_errors_and_never_crash(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in 0..40_usize,
        from_end in any::<bool>(),
    ) {
        let mut bytes = file(&[table(50), table(3)]);
        let length = bytes.len();
        // Half of the damage goes to the footer, where the lengths are.
        let tail = length.saturating_sub(700);
        for (place, value) in places {
            let at = if from_end { tail + place.index(length - tail) } else { place.index(length) };
            bytes[at] = value;
        }
        if cut > 30 {
            bytes.drain(100..100 + cut);
        }
        survive(&bytes);
    }
}
