use super::*;
use crate::{Element, Layout};

#[test]
fn the_width_is_the_largest_index_of_all_files() {
    let folder = Folder::new();
    folder.write(
        "a.libsvm",
        "# header\n1 qid:3 1:0.5 4:2 # note 9:9\n\n-1 2:1\n",
    );
    folder.write("b.libsvm.gz", gzip(b"+1 6:1e-3\r\n0\n"));
    let data = open(&folder.options("*.libsvm*")).unwrap();
    let ty = &data.schema().get("features").unwrap().ty;
    let expected = crate::ColumnType::Vector {
        width: Some(6),
        element: Element::F64,
        layout: Layout::Sparse,
    };
    assert_eq!(*ty, expected);
    assert_eq!(
        data.schema().get("features").unwrap().slots[5].name,
        "features[6]"
    );
    assert_eq!(data.count().unwrap(), 4);
    assert_eq!(data.source().known_rows(), Some(4));
    let mut rows = Vec::new();
    for batch in all(&data).unwrap() {
        let labels = batch.numbers("label").unwrap().into_owned();
        let vector = batch.vector("features").unwrap();
        for i in 0..batch.num_rows() {
            let mut row = [0.0; 6];
            vector.read(i, &mut row);
            rows.push((labels.value(i), row));
        }
    }
    assert_eq!(rows[0], (1.0, [0.5, 0.0, 0.0, 2.0, 0.0, 0.0]));
    assert_eq!(rows[1], (-1.0, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    assert_eq!(rows[2], (1.0, [0.0, 0.0, 0.0, 0.0, 0.0, 1e-3]));
    assert_eq!(rows[3], (0.0, [0.0; 6]));
}

#[test]
fn bad_entries_are_refused_with_their_place() {
    let folder = Folder::new();
    let cases = [
        (
            "1 2:1 1:1\n",
            "`1:1` comes after index 2; indices must ascend",
        ),
        ("1 0:1\n", "`0:1`: indices start at 1"),
        ("1 a:1\n", "the index of `a:1` is not a whole number"),
        ("1 1:x\n", "the value of `1:x` is not a number"),
        ("1 7\n", "`7` is not `index:value`"),
        ("x 1:1\n", "the label `x` is not a number"),
    ];
    for (text, expected) in cases {
        let error = read_error(&folder.write("a.svm", format!("0 1:1\n{text}")));
        assert!(
            error.contains(&format!("line 2, byte 6: {expected}")),
            "{error}"
        );
    }
}

#[test]
fn an_index_beyond_reason_does_not_take_all_memory() {
    let folder = Folder::new();
    let error = open_error(&folder.write("a.svm", "1 4294967295:1\n"));
    assert!(error.contains("the largest index is 4294967295"), "{error}");
}

#[test]
fn blocks_are_read_one_by_one() {
    let folder = Folder::new();
    let file: String = (0..9_000)
        .map(|i| format!("{} {}:1\n", i % 2, i % 7 + 1))
        .collect();
    let data = open(&folder.write("a.svm", file)).unwrap();
    let batch = data.read(1, Some(&["label".to_owned()])).unwrap();
    assert_eq!((batch.num_rows(), batch.row_ids()[0]), (808, 8192));
}
