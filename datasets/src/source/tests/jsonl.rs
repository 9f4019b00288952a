use crate::arrow::array::{Array, AsArray};
use crate::arrow::datatypes::{Float64Type, Int64Type};

use super::*;
use crate::TypeName;

#[test]
fn nested_objects_are_dotted_columns_in_order_of_first_appearance() {
    let folder = Folder::new();
    let data = open(&folder.write(
        "a.jsonl",
        "{\"z\":1,\"p\":{\"x\":1.5,\"q\":{\"w\":\"s\"}}}\r\n\n{\"p\":null,\"b\":true,\"z\":2}\n{\"p\":{\"x\":2}, \"d\":\"2024-01-01\"}\n",
    ))
    .unwrap();
    let found = types(&data);
    let expected = [
        ("z", "integer"),
        ("p.x", "float"),
        ("p.q.w", "text"),
        ("b", "boolean"),
        ("d", "date"),
    ];
    assert_eq!(found, expected.map(|(n, t)| (n.to_owned(), t.to_owned())));
    let columns = whole(&data);
    assert_eq!(columns[0].null_count(), 1);
    assert_eq!(
        columns[1]
            .as_primitive::<Float64Type>()
            .iter()
            .collect::<Vec<_>>(),
        [Some(1.5), None, Some(2.0)]
    );
    assert_eq!(text(&columns[2], 0), "s");
}

#[test]
fn lists_of_numbers_are_vectors_with_missing_slots() {
    let folder = Folder::new();
    let data = open(&folder.write("a.jsonl", "{\"v\":[1,null,2.5]}\n{\"v\":null}\n")).unwrap();
    assert_eq!(types(&data)[0].1, "vector[3] of f64");
    assert_eq!(data.schema().columns()[0].slots[2].name, "v[2]");
    let batch = data.read(0, None).unwrap();
    let (mut row, vector) = ([0.0; 3], batch.vector("v").unwrap());
    vector.read(0, &mut row);
    assert!(row[0] == 1.0 && row[1].is_nan() && row[2] == 2.5);
    vector.read(1, &mut row);
    assert!(row.iter().all(|v| v.is_nan()));
}

#[test]
fn lists_that_are_no_vectors_are_refused_by_path() {
    let folder = Folder::new();
    let error = |name: &str, text: &str| open_error(&folder.write(name, text));
    assert!(
        error("a.jsonl", "{\"o\":{\"v\":[\"x\"]}}\n")
            .contains("line 1, byte 0: `o.v` holds a list of something other")
    );
    assert!(error("b.jsonl", "{\"v\":[[1]]}\n").contains("`v` holds a list of something other"));
    assert!(
        error("c.jsonl", "{\"v\":[{\"a\":1}]}\n").contains("`v` holds a list of something other")
    );
    assert!(
        error("d.jsonl", "{\"v\":[1]}\n{\"v\":[1,2]}\n")
            .contains("line 2, byte 10: `v` holds lists of different lengths (1 and 2)")
    );
    assert!(
        error("e.jsonl", "{\"v\":[1]}\n{\"v\":1}\n")
            .contains("a list in some records and a single value in others")
    );
}

#[test]
fn keys_after_the_sample_are_ignored_unless_the_schema_names_them() {
    let folder = Folder::new();
    let mut options = folder.write("a.jsonl", "{\"a\":1}\n{\"a\":2,\"late\":{\"k\":7}}\n");
    options.sample_rows = 1;
    assert_eq!(types(&open(&options).unwrap()).len(), 1);
    options
        .schema
        .insert("late.k".to_owned(), TypeName::Integer);
    let data = open(&options).unwrap();
    assert_eq!(types(&data)[1], ("late.k".to_owned(), "integer".to_owned()));
    assert_eq!(
        whole(&data)[1]
            .as_primitive::<Int64Type>()
            .iter()
            .collect::<Vec<_>>(),
        [None, Some(7)]
    );
}

#[test]
fn a_column_whose_type_is_given_stays_where_the_sample_shows_it() {
    let folder = Folder::new();
    let mut options = folder.write("a.jsonl", "{\"a\":1,\"n\":null,\"b\":\"x\",\"c\":true}\n");
    for column in ["b", "n", "late"] {
        options.schema.insert(column.to_owned(), TypeName::Text);
    }
    let data = open(&options).unwrap();
    let names: Vec<String> = types(&data).into_iter().map(|(name, _)| name).collect();
    // As in a CSV file of the same columns, so that both train the same model; what the sample lacks comes last.
    assert_eq!(names, ["a", "n", "b", "c", "late"]);
}

#[test]
fn compressed_lines_give_the_same_table_and_blocks() {
    let folder = Folder::new();
    let file: String = (0..9_000)
        .map(|i| format!("{{\"i\":{i},\"w\":\"a\\u00e9{i}\"}}\n"))
        .collect();
    let plain = open(&folder.write("a.jsonl", &file)).unwrap();
    let packed = open(&folder.write("b.ndjson.gz", gzip(file.as_bytes()))).unwrap();
    assert_eq!(plain.chunks().unwrap().len(), 2);
    assert_eq!(whole(&plain), whole(&packed));
    assert_eq!(text(&whole(&plain)[1], 8_999), "aé8999");
}

#[test]
fn a_column_of_mixed_values_is_text() {
    let folder = Folder::new();
    let data = open(&folder.write(
        "a.jsonl",
        "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":true}\n{\"a\":0.5}\n",
    ))
    .unwrap();
    let columns = whole(&data);
    let words: Vec<&str> = (0..4).map(|i| text(&columns[0], i)).collect();
    assert_eq!(words, ["1", "x", "true", "0.5"]);
}

#[test]
fn an_empty_file_and_objects_without_keys_are_refused() {
    let folder = Folder::new();
    assert!(open_error(&folder.write("a.jsonl", "\n\n")).contains("there are no records"));
    assert!(open_error(&folder.write("b.jsonl", "{}\n")).contains("no keys"));
}
