use std::fmt::Write;

use crate::arrow::array::{Array, AsArray};
use crate::arrow::datatypes::{Float64Type, Int64Type};

use super::*;
use crate::TypeName;

#[test]
fn types_follow_from_the_sample_and_blanks_around_plain_fields_are_dropped() {
    let folder = Folder::new();
    let options = folder.write(
        "a.csv",
        "n,x,word,flag,day,at,none\n 1 , 2.5, a b ,true,2024-01-31,2024-01-31T01:00:00Z,\n2,3,\" b \",FALSE,2024-02-01,2024-02-01,NA\n",
    );
    let data = open(&options).unwrap();
    let found: Vec<String> = types(&data).into_iter().map(|(_, t)| t).collect();
    assert_eq!(
        found,
        [
            "integer",
            "float",
            "text",
            "boolean",
            "date",
            "timestamp",
            "float"
        ]
    );
    let columns = whole(&data);
    assert_eq!(columns[0].as_primitive::<Int64Type>().value(0), 1);
    assert_eq!(text(&columns[2], 0), "a b");
    assert_eq!(text(&columns[2], 1), " b "); // quoted blanks are text
    assert_eq!(columns[6].null_count(), 2);
}

#[test]
fn numbers_are_read_to_the_last_bit() {
    let folder = Folder::new();
    // The second lies half-way between two floats; the third is the largest below 1.
    let options = folder.write(
        "a.csv",
        "x\n0.1\n9007199254740993.0\n0.99999999999999988898\n",
    );
    let columns = whole(&open(&options).unwrap());
    let x = columns[0].as_primitive::<Float64Type>();
    assert_eq!(
        x.values(),
        &[0.1, 9_007_199_254_740_992.0, 1.0 - f64::EPSILON / 2.0]
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let folder = Folder::new();
    let plain = whole(&open(&folder.write("a.csv", "a,b\n1,x\n2,y\n")).unwrap());
    let marked = folder.write("b.csv", "\u{feff}a,b\r\n1,x\r\n\r\n2,y");
    let data = open(&marked).unwrap();
    assert_eq!(data.schema().columns()[0].name, "a");
    assert_eq!(whole(&data), plain);
}

#[test]
fn without_a_header_columns_are_numbered_or_named_by_the_options() {
    let folder = Folder::new();
    let mut options = folder.write("a.csv", "1;x\n2;y\n");
    options.delimiter = Some(";".to_owned());
    options.header = Some(false);
    let names = |o: &SourceOptions| -> Vec<String> {
        let data = open(o).unwrap();
        data.schema()
            .columns()
            .iter()
            .map(|c| c.name.clone())
            .collect()
    };
    assert_eq!(names(&options), ["c0", "c1"]);
    options.header = None;
    options.columns = Some(vec!["n".to_owned(), "w".to_owned()]);
    assert_eq!(names(&options), ["n", "w"]);
    assert_eq!(open(&options).unwrap().count().unwrap(), 2);
    options.columns = Some(vec!["n".to_owned()]);
    assert!(
        open_error(&options).contains("line 1, byte 0: the record has 2 fields, 1 are expected")
    );
}

#[test]
fn given_types_win_over_the_sample() {
    let folder = Folder::new();
    let mut options = folder.write("a.csv", "zip,n\n00501,1\n10001,2\n");
    options.schema.insert("zip".to_owned(), TypeName::Text);
    let data = open(&options).unwrap();
    assert_eq!(text(&whole(&data)[0], 0), "00501");
    options.schema.insert("zap".to_owned(), TypeName::Text);
    assert_eq!(open_error(&options), "no column `zap`; did you mean `zip`?");
}

#[test]
fn quoted_line_ends_at_the_border_of_a_block_stay_in_their_record() {
    let folder = Folder::new();
    let mut file = String::from("id,word\r\n");
    for i in 0..20_000 {
        // Records 8,191, 8,192 and 16,383 end the first block, begin the second and end it.
        if matches!(i, 8_191 | 8_192 | 16_383) {
            write!(file, "{i},\"a\r\nb, \"\"{i}\"\"\"\r\n").unwrap();
        } else {
            write!(file, "{i},w{i}\r\n").unwrap();
        }
    }
    let options = folder.write("a.csv", &file);
    let data = open(&options).unwrap();
    let rows: Vec<usize> = data.chunks().unwrap().iter().map(|c| c.rows).collect();
    assert_eq!(rows, [8192, 8192, 3616]);
    let columns = whole(&data);
    assert_eq!(text(&columns[1], 8_191), "a\r\nb, \"8191\"");
    assert_eq!(text(&columns[1], 8_192), "a\r\nb, \"8192\"");
    assert_eq!(text(&columns[1], 8_193), "w8193");
    let expected: Vec<i64> = (0..20_000).collect();
    assert_eq!(
        columns[0].as_primitive::<Int64Type>().values(),
        &expected[..]
    );
    assert_eq!(ids(&data), (0..20_000).collect::<Vec<u64>>());
    // Any block can be read first, and the compressed file gives the same.
    let last = open(&options).unwrap().read(2, None).unwrap();
    assert_eq!(last.row_ids()[0], 16_384);
    let packed = open(&folder.write("b.csv.gz", gzip(file.as_bytes()))).unwrap();
    assert_eq!(whole(&packed), columns);
}

/// A file of several segments of the index scan (1 MiB each): a byte order mark, blank lines, both line ends, quoted line ends
/// at odd places, also in long runs without any other quote. The rows come with the line each starts on.
fn long_file() -> (String, Vec<(u64, String)>) {
    let mut file = String::from("\u{feff}id,word\r\n");
    let (mut rows, mut line) = (Vec::new(), 2);
    for i in 0..60_000_u64 {
        if i % 977 == 0 {
            file.push_str(if i % 2 == 0 { "\n" } else { "\r\n" });
            line += 1;
        }
        // One stretch has no quotes at all, one a quoted text of many lines, longer than a segment.
        let word = match i {
            20_000..=45_000 => format!("{:>60}x", i % 300),
            50_000 => "line\n\r\n".repeat(200_000),
            _ if i % 613 == 0 => format!("a\r\nb, \"{i}\"\n"),
            _ if i % 7 == 0 => format!("5{} disk", i % 10),
            _ => format!("w{}", i % 100),
        };
        rows.push((line, word.trim_start().to_owned()));
        let end = if i % 3 == 0 { "\n" } else { "\r\n" };
        if word.contains(['"', '\n']) {
            write!(file, "{i},\"{}\"{end}", word.replace('"', "\"\"")).unwrap();
            rows.last_mut().unwrap().1 = word.clone();
        } else {
            write!(file, "{i},{word}{end}").unwrap();
        }
        line += 1 + word.matches('\n').count() as u64;
    }
    (file, rows)
}

#[test]
fn a_long_file_is_cut_alike_by_any_number_of_threads_and_every_row_knows_its_line() {
    let folder = Folder::new();
    let (file, rows) = long_file();
    assert!(file.len() > 3 << 20);
    let options = folder.write("a.csv", &file);
    let read = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let data = open(&options).unwrap();
            assert_eq!(ids(&data), (0..rows.len() as u64).collect::<Vec<u64>>());
            whole(&data)
        })
    };
    let columns = read(1);
    for (i, (_, word)) in rows.iter().enumerate() {
        assert_eq!(text(&columns[1], i), word, "row {i}");
    }
    assert_eq!(read(3), columns);
    // A record with one field too few, put before row `i`, is found on that row's line.
    for i in [0, 8_191, 8_192, 30_000, 45_000, 50_000, 50_001, 59_999] {
        let start = format!("\n{i},");
        let at = file.find(&start).unwrap() + 1;
        let broken = format!("{}ragged\n{}", &file[..at], &file[at..]);
        let mut options = folder.write("b.csv", broken);
        options.sample_rows = 1;
        options.schema.insert("word".to_owned(), TypeName::Text);
        options.schema.insert("id".to_owned(), TypeName::Integer);
        let error = open(&options).and_then(|data| all(&data)).unwrap_err();
        let error = error.to_string();
        let line = rows[i].0;
        let wanted = format!("line {line}, byte {at}: the record has 1 fields, 2 are expected");
        assert!(error.contains(&wanted), "row {i}: {error} / {wanted}");
    }
}

#[test]
fn opening_reads_no_more_than_the_sample() {
    let folder = Folder::new();
    let mut file = String::from("x\n");
    (0..50_000).for_each(|i| writeln!(file, "{i}").unwrap());
    file.push_str("oops,oops\n");
    let mut options = folder.write("a.csv", &file);
    options.sample_rows = 100;
    let data = open(&options).unwrap();
    assert_eq!(data.schema().columns()[0].ty.to_string(), "integer");
    // 50,001 records of 6 bytes or less; the sample of 100 has records of 3 bytes: an estimate, not a count.
    assert!(data.source().known_rows().is_none());
    assert!(data.source().estimated_rows().unwrap() > 50_000);
    assert!(all(&data).unwrap_err().to_string().contains("line 50002"));
    assert_eq!(data.source().known_rows(), Some(50_001));
}

#[test]
fn a_value_of_another_type_after_the_sample_tells_the_remedy() {
    let folder = Folder::new();
    let mut options = folder.write("a.csv", "blank,n\n,1\n,2\nlate,3\n");
    options.sample_rows = 2;
    let error = read_error(&options);
    assert!(
        error.contains("a.csv, line 4, byte 14: column `blank`: `late` is not a float"),
        "{error}"
    );
    assert!(
        error.contains("set `data.schema.blank = \"text\"`"),
        "{error}"
    );
    assert!(error.contains("raise `data.sample_rows`"), "{error}");
    options.schema.insert("blank".to_owned(), TypeName::Text);
    assert_eq!(open(&options).unwrap().count().unwrap(), 3);
}

#[test]
fn headers_without_a_name_or_with_one_name_twice_are_refused() {
    let folder = Folder::new();
    let error = open_error(&folder.write("a.csv", "a,,b\n1,2,3\n"));
    assert!(
        error.contains("line 1, byte 0: the header has no name for field 2"),
        "{error}"
    );
    let error = open_error(&folder.write("b.csv", "a,b,a\n1,2,3\n"));
    assert!(error.contains("names column `a` twice"), "{error}");
}

#[test]
fn empty_files_and_lone_headers_are_refused() {
    let folder = Folder::new();
    assert!(open_error(&folder.write("a.csv", "")).contains("there are no records"));
    assert!(
        open_error(&folder.write("b.csv", "a,b\n")).contains("a header and no record after it")
    );
    assert!(open_error(&folder.write("c.csv.gz", gzip(b""))).contains("there are no records"));
}

#[test]
fn a_cut_gzip_file_is_an_error_and_not_a_shorter_table() {
    let folder = Folder::new();
    let mut file = String::from("x\n");
    (0..100_000).for_each(|i| writeln!(file, "{}", i * 7919 % 10_007).unwrap());
    let packed = gzip(file.as_bytes());
    let mut options = folder.write("a.csv.gz", &packed[..packed.len() - 20]);
    options.sample_rows = 10;
    assert!(read_error(&options).contains("damaged or cut short"));
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_refused() {
    let folder = Folder::new();
    let options = folder.write("a.csv", "x\n1\n2\n");
    let data = open(&options).unwrap();
    assert_eq!(data.count().unwrap(), 2);
    folder.write("a.csv", "x\n1\n2\n3\n");
    let error = all(&data).unwrap_err().to_string();
    assert!(
        error.contains("the file changed while it was in use"),
        "{error}"
    );
}

#[test]
fn only_wanted_columns_are_given() {
    let folder = Folder::new();
    let data = open(&folder.write("a.csv", "a,b,c\n1,2,3\n4,5,6\n")).unwrap();
    let batch = data
        .read(0, Some(&["c".to_owned(), "a".to_owned()]))
        .unwrap();
    assert_eq!(
        batch.columns()[0].as_primitive::<Int64Type>().values(),
        &[3, 6]
    );
    assert_eq!(
        batch.columns()[1].as_primitive::<Int64Type>().values(),
        &[1, 4]
    );
}

#[test]
fn a_delimiter_of_two_characters_is_refused() {
    let folder = Folder::new();
    let mut options = folder.write("a.csv", "a\n1\n");
    options.delimiter = Some("||".to_owned());
    assert!(open_error(&options).contains("one ASCII character"));
}

#[test]
fn tab_separated_files_need_no_option() {
    let folder = Folder::new();
    let data = open(&folder.write("a.tsv", "a\tb\n1\t\n\t2\n")).unwrap();
    let columns = whole(&data);
    assert_eq!((columns[0].null_count(), columns[1].null_count()), (1, 1));
}
