use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::BadRows;

fn quarantining(mut options: SourceOptions) -> SourceOptions {
    options.bad_rows = BadRows::Quarantine;
    options
}

#[test]
fn each_kind_of_bad_record_is_refused_with_file_line_and_byte() {
    let folder = Folder::new();
    let cases: [(&str, &[u8], &str); 6] = [
        (
            "ragged.csv",
            b"a,b\n1,2\n3\n",
            "line 3, byte 8: the record has 1 fields, 2 are expected",
        ),
        (
            "open.csv",
            b"a,b\n1,2\n3,\"4\n5,6\n",
            "line 3, byte 8: the quote that opens field 2 is never closed",
        ),
        (
            "after.csv",
            b"a,b\n\"x\"y,2\n",
            "line 2, byte 4: field 1 goes on after its closing quote",
        ),
        (
            "latin.csv",
            b"a,b\n1,2\ncaf\xe9,2\n",
            "line 3, byte 8: invalid UTF-8 3 bytes into the record",
        ),
        (
            "nul.csv",
            b"a,b\n1,\x002\n",
            "line 2, byte 4: a NUL byte 2 bytes into the record",
        ),
        (
            "broken.jsonl",
            b"{\"a\":1}\n{\"a\":\n",
            "line 2, byte 8: no JSON object",
        ),
    ];
    for (name, bytes, expected) in cases {
        let error = open_error(&folder.write(name, bytes));
        assert!(
            error.contains(&format!("{name}, {expected}")),
            "{name}: {error}"
        );
    }
}

#[test]
fn quarantined_records_lie_in_the_side_file_with_their_place_and_reason() {
    let folder = Folder::new();
    let options = quarantining(folder.write(
        "a.csv",
        b"n,word\n1,a\n2\n3,\"b\nc\"\n4,caf\xe9\nfive,e\n6,f\n7,\"g\n8,h\n",
    ));
    let mut options = options;
    options
        .schema
        .insert("n".to_owned(), crate::TypeName::Integer);
    let data = open(&options).unwrap();
    let batches = all(&data).unwrap();
    assert_eq!(ids(&data), [0, 2, 5]); // ids skip the records left out
    assert_eq!(batches[0].num_rows(), 3);
    assert_eq!(data.source().quarantined(), 4);
    assert_eq!(data.count().unwrap(), 3);
    let side = lines(&folder.path("a.csv.quarantine.jsonl"));
    let places: Vec<(u64, u64)> = side
        .iter()
        .map(|e| (e["line"].as_u64().unwrap(), e["byte"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(3, 11), (6, 21), (7, 28), (9, 39)]);
    let reason = |i: usize| side[i]["reason"].as_str().unwrap();
    assert!(reason(0).contains("1 fields"));
    assert!(reason(1).contains("UTF-8"));
    assert!(reason(2).contains("`five` is not an integer, the type that `data.schema` gives it"));
    assert!(reason(3).contains("never closed"));
    assert_eq!(side[2]["text"], "five,e");
    assert!(side[0]["file"].as_str().unwrap().ends_with("a.csv"));
}

#[test]
fn rows_do_not_depend_on_the_columns_that_are_asked_for() {
    let folder = Folder::new();
    let mut options = quarantining(folder.write("a.csv", "a,b\n1,1\n2,x\n3,3\n"));
    options
        .schema
        .insert("b".to_owned(), crate::TypeName::Float);
    options.quarantine = Some(folder.path("side.jsonl").display().to_string());
    let data = open(&options).unwrap();
    let batch = data.read(0, Some(&["a".to_owned()])).unwrap();
    assert_eq!(batch.row_ids().as_ref(), [0, 2]);
    assert_eq!(lines(&folder.path("side.jsonl")).len(), 1);
    // A second reading does not write the record again.
    all(&data).unwrap();
    assert_eq!(lines(&folder.path("side.jsonl")).len(), 1);
    assert_eq!(data.source().quarantined(), 1);
}

#[test]
fn line_numbers_are_right_in_later_blocks_and_files() {
    let folder = Folder::new();
    for (name, bad) in [("a.csv", 9_000), ("b.csv", 10)] {
        let mut file = String::from("x\n");
        for i in 0..10_000 {
            if i == bad {
                file.push_str("1,2\n");
            } else {
                writeln!(file, "{i}").unwrap();
            }
        }
        folder.write(name, file);
    }
    let mut options = quarantining(folder.options("*.csv"));
    options.quarantine = Some(folder.path("side").display().to_string());
    let data = open(&options).unwrap();
    let ids = ids(&data);
    assert_eq!(ids.len(), 19_998);
    assert!(!ids.contains(&9_000) && !ids.contains(&super::super::row_id(1, 10)));
    let mut places: Vec<(String, u64)> = lines(&folder.path("side"))
        .iter()
        .map(|e| {
            let file = e["file"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned();
            (file, e["line"].as_u64().unwrap())
        })
        .collect();
    places.sort();
    assert_eq!(
        places,
        [("a.csv".to_owned(), 9_002), ("b.csv".to_owned(), 12)]
    );
}

#[test]
fn bad_json_and_libsvm_records_are_quarantined_too() {
    let folder = Folder::new();
    let options = quarantining(folder.write(
        "a.jsonl",
        "{\"a\":1,\"v\":[1,2]}\n[1]\n{\"a\":2,\"v\":[1]}\n{\"a\":3,\"a\":4}\n{\"v\":[3,null]}\n{\"a\":\"x\",\"v\":[\"x\"]}\n",
    ));
    let data = open(&options).unwrap();
    assert_eq!(ids(&data), [0, 4]);
    assert_eq!(data.source().quarantined(), 4);
    let side = lines(&folder.path("a.jsonl.quarantine.jsonl"));
    assert_eq!(
        side.iter()
            .map(|e| e["line"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [2, 3, 4, 6]
    );

    let options =
        quarantining(folder.write("a.svm", "# c\n1 1:1 3:2\n0 2:x\n\n1 3:1 2:1\n0 0:1\n0\n"));
    let data = open(&options).unwrap();
    assert_eq!(ids(&data), [0, 4]);
    let side = lines(&folder.path("a.svm.quarantine.jsonl"));
    assert_eq!(
        side.iter()
            .map(|e| e["line"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [3, 5, 6]
    );
}

fn record() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..1000_i32, "[a-z ]{0,5}").prop_map(|(n, w)| format!("{n},{w}\n")),
        (0..1000_i32, "[a-z,\n\"]{0,5}")
            .prop_map(|(n, w)| format!("{n},\"{}\"\r\n", w.replace('"', "\"\""))),
        "[a-z]{1,3}".prop_map(|w| format!("{w},x\n")),
        Just("1\n".to_owned()),
        Just("1,2,3\n".to_owned()),
        Just("\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_read_and_rows_set_aside_are_all_records(parts in prop::collection::vec(record(), 1..40)) {
        let folder = Folder::new();
        let records = parts.iter().filter(|p| *p != "\n").count() as u64;
        prop_assume!(records > 0);
        let mut options = quarantining(folder.write("a.csv", format!("n,w\n{}", parts.concat())));
        options.schema.insert("n".to_owned(), crate::TypeName::Integer);
        let data = open(&options).unwrap();
        let rows = ids(&data).len() as u64;
        let aside = data.source().quarantined();
        prop_assert_eq!(rows + aside, records);
        let bad = parts.iter().filter(|p| p.split(',').count() == 1 || p.starts_with(|c: char| c.is_ascii_lowercase()) || *p == "1,2,3\n");
        prop_assert_eq!(aside, bad.filter(|p| *p != "\n").count() as u64);
        let side = folder.path("a.csv.quarantine.jsonl");
        prop_assert_eq!(side.exists(), aside > 0);
        if aside > 0 {
            prop_assert_eq!(lines(&side).len() as u64, aside);
        }
    }
}
