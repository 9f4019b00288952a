use std::sync::Arc;

use crate::arrow::array::{ArrayRef, Float64Array, StringArray};

use super::TableWriter;
use crate::batch::{Batch, dense_vectors, sparse_vectors};
use crate::{Column, ColumnType, Element, Format, Layout, Schema, Slot, SourceOptions, source};

fn predictions() -> Batch {
    let slots = ["setosa", "a \"b\""].map(|n| Slot {
        name: n.to_owned(),
        column: "species".to_owned(),
        attribute: Default::default(),
    });
    let sparse = Column {
        slots: (0..3).map(|i| Slot::numeric(format!("s{i}"))).collect(),
        ..Column::new(
            "s",
            ColumnType::Vector {
                width: Some(3),
                element: Element::F64,
                layout: Layout::Sparse,
            },
            false,
        )
    };
    let columns = vec![
        Column::new("prediction", ColumnType::Text, true),
        Column::vector("probability", slots.to_vec()),
        sparse,
        Column::new("x", ColumnType::Float, true),
    ];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a,\"b\"\nc"), None])),
        dense_vectors(vec![0.25, 0.75, f64::NAN, 1.0], 2, Element::F64, true, 2).unwrap(),
        sparse_vectors(vec![0, 1, 2], vec![2, 0], vec![5.0, 0.5]).unwrap(),
        Arc::new(Float64Array::from(vec![f64::INFINITY, 1e-7])),
    ];
    Batch::new(
        Arc::new(Schema::new(columns).unwrap()),
        arrays,
        Arc::new([0, 1]),
    )
    .unwrap()
}

fn write(name: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let batch = predictions();
    let mut writer = TableWriter::create(&path, None, batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    assert!(!path.exists(), "nothing shows before the table is whole");
    assert_eq!(writer.finish().unwrap(), 2);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file is left");
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn csv_has_one_column_per_slot_and_quotes_what_needs_it() {
    let (_folder, path) = write("p.csv");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "prediction,probability[setosa],\"probability[a \"\"b\"\"]\",s[s0],s[s1],s[s2],x\n\
         \"a,\"\"b\"\"\nc\",0.25,0.75,0,0,5,inf\n,,1,0.5,0,0,1e-7\n"
    );
}

#[test]
fn json_lines_have_arrays_and_null_for_what_json_lacks() {
    let (_folder, path) = write("p.jsonl");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "{\"prediction\":\"a,\\\"b\\\"\\nc\",\"probability\":[0.25,0.75],\"s\":[0,0,5],\"x\":null}\n\
         {\"prediction\":null,\"probability\":[null,1],\"s\":[0.5,0,0],\"x\":1e-7}\n"
    );
}

#[test]
fn parquet_gives_back_vectors_slots_and_layouts() {
    let (_folder, path) = write("p.parquet");
    let data = source::open(&SourceOptions::new(path)).unwrap();
    let batch = predictions();
    assert_eq!(data.schema().columns(), batch.schema().columns());
    let back = data.read(0, None).unwrap();
    assert_eq!(back.columns(), batch.columns());
}

#[test]
fn an_unfinished_table_leaves_the_old_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.csv");
    std::fs::write(&path, "old").unwrap();
    let batch = predictions();
    let mut writer = TableWriter::create(&path, None, batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn names_that_tell_no_format_and_absent_folders_are_refused() {
    let schema = predictions().schema().clone();
    let error = |path: &str, format| {
        TableWriter::create(path, format, &schema)
            .unwrap_err()
            .to_string()
    };
    assert!(error("p.txt", None).contains("write to a name that ends in .csv"));
    assert!(error("p.csv.gz", None).contains("compressed text is not written"));
    assert!(error("/", Some(Format::Csv)).contains("no ordinary file"));
    assert!(error("p.arrow", None).contains("are read, not written"));
    assert!(error("no/such/folder/p.csv", Some(Format::Csv)).contains("no/such/folder/p.csv"));
}

#[test]
fn a_batch_of_other_columns_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let batch = predictions();
    let mut writer =
        TableWriter::create(folder.path().join("p.csv"), None, batch.schema()).unwrap();
    let other = batch.select(&["x".to_owned()]).unwrap();
    assert!(writer.write(&other).is_err());
}
