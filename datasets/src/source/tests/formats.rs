//! One table in every format.

use crate::arrow::array::{Array, AsArray};
use crate::arrow::datatypes::Float64Type;

use super::*;
use crate::{Column, ColumnType, Format, TableWriter};

fn copy(data: &Dataset, path: &Path) {
    let mut writer = TableWriter::create(path, None, data.schema()).unwrap();
    all(data)
        .unwrap()
        .iter()
        .for_each(|b| writer.write(b).unwrap());
    assert_eq!(writer.finish().unwrap(), data.count().unwrap());
}

#[test]
fn iris_is_the_same_table_in_every_format() {
    let folder = Folder::new();
    let iris = open(&SourceOptions::new("bundled:iris")).unwrap();
    let expected = whole(&iris);
    for name in ["iris.csv", "iris.tsv", "iris.jsonl", "iris.parquet"] {
        copy(&iris, &folder.path(name));
        let back = open(&folder.options(name)).unwrap();
        assert_eq!(types(&back), types(&iris), "{name}");
        assert_eq!(whole(&back), expected, "{name}");
        assert_eq!(ids(&back), ids(&iris), "{name}");
    }
    let packed = gzip(&std::fs::read(folder.path("iris.csv")).unwrap());
    assert_eq!(
        whole(&open(&folder.write("p.csv.gz", packed)).unwrap()),
        expected
    );

    let batches = all(&iris).unwrap();
    let first = batches[0].to_record_batch().unwrap();
    let file = std::fs::File::create(folder.path("iris.arrow")).unwrap();
    let mut arrow = crate::arrow::ipc::writer::FileWriter::try_new(file, &first.schema()).unwrap();
    batches
        .iter()
        .for_each(|b| arrow.write(&b.to_record_batch().unwrap()).unwrap());
    arrow.finish().unwrap();
    assert_eq!(
        whole(&open(&folder.options("iris.arrow")).unwrap()),
        expected
    );
}

#[test]
fn iris_in_libsvm_form_has_the_same_numbers() {
    let folder = Folder::new();
    let iris = open(&SourceOptions::new("bundled:iris")).unwrap();
    let columns = whole(&iris);
    let x = |c: usize, i: usize| columns[c].as_primitive::<Float64Type>().value(i);
    let rows: String = (0..150)
        .map(|i| {
            format!(
                "{} 1:{} 2:{} 3:{} 4:{}\n",
                i / 50,
                x(0, i),
                x(1, i),
                x(2, i),
                x(3, i)
            )
        })
        .collect();
    let data = open(&folder.write("iris.libsvm", rows)).unwrap();
    let batch = data.read(0, None).unwrap();
    let (vector, mut row) = (batch.vector("features").unwrap(), [0.0; 4]);
    for i in 0..150 {
        vector.read(i, &mut row);
        assert_eq!(row, [x(0, i), x(1, i), x(2, i), x(3, i)]);
    }
}

#[test]
fn adult_keeps_its_missing_values_and_text_in_every_format() {
    let folder = Folder::new();
    let adult = open(&SourceOptions::new("bundled:adult_test")).unwrap();
    let expected = whole(&adult);
    assert!(expected.iter().any(|c| c.null_count() > 0));
    for name in ["a.csv", "a.jsonl", "a.parquet"] {
        copy(&adult, &folder.path(name));
        assert_eq!(
            whole(&open(&folder.options(name)).unwrap()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn dates_and_timestamps_survive_text() {
    let folder = Folder::new();
    let options = folder.write(
        "a.csv",
        "d,t\n2024-02-29,2024-02-29T23:59:59.000001Z\n1969-12-31,1969-12-31T00:00:00.5Z\n,\n",
    );
    let data = open(&options).unwrap();
    for name in ["b.csv", "b.jsonl", "b.parquet"] {
        copy(&data, &folder.path(name));
        let back = open(&folder.options(name)).unwrap();
        assert_eq!(types(&back), types(&data), "{name}");
        assert_eq!(whole(&back), whole(&data), "{name}");
    }
    let written = std::fs::read_to_string(folder.path("b.csv")).unwrap();
    assert!(
        written.contains(
            "2024-02-29,2024-02-29T23:59:59.000001Z\n1969-12-31,1969-12-31T00:00:00.5Z\n"
        ),
        "{written}"
    );
}

#[test]
fn numbers_of_every_size_survive_text() {
    use std::sync::Arc;
    let folder = Folder::new();
    let draw = crate::random::Draw::new(1, "bits");
    let mut values: Vec<f64> = (0..2_000)
        .map(|i| f64::from_bits(draw.bits(i)))
        .filter(|v| v.is_finite())
        .collect();
    values.extend([
        0.1,
        -0.0,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        1e16,
        1e15,
        123_456.789,
    ]);
    let column: ArrayRef = Arc::new(crate::arrow::array::Float64Array::from(values.clone()));
    let data =
        Dataset::from_columns(vec![(Column::new("x", ColumnType::Float, false), column)]).unwrap();
    for name in ["a.csv", "a.jsonl"] {
        copy(&data, &folder.path(name));
        let back = whole(&open(&folder.options(name)).unwrap());
        let bits: Vec<u64> = back[0]
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|v| v.to_bits())
            .collect();
        assert_eq!(
            bits,
            values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            "{name}"
        );
    }
    let written = std::fs::read_to_string(folder.path("a.csv")).unwrap();
    assert!(written.ends_with("1e16\n1000000000000000\n123456.789\n"));
}

#[test]
fn formats_can_be_named_where_the_extension_does_not_tell() {
    let folder = Folder::new();
    let mut options = folder.write("data.txt", "a,b\n1,2\n");
    options.format = Some(Format::Csv);
    assert_eq!(open(&options).unwrap().count().unwrap(), 1);
}
