//! R-13: no CSV file makes the reader panic, and no record is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};

use emberline::datasets::{BadRows, TypeName};
use emberline::prelude::*;
use serde_json::Value;

use crate::common::dice::{Dice, amount, mutated};
use crate::targets::csv_reader;

/// A file of some columns and rows, all of them in order: quotes, line ends, missing fields and blank lines of every kind.
fn seed(dice: &mut Dice) -> Vec<u8> {
    let columns = 1 + dice.below(5);
    let end = *dice.pick(&["\n", "\r\n"]);
    let mut text = if dice.below(8) == 0 {
        "\u{feff}".to_owned()
    } else {
        String::new()
    };
    for row in 0..2 + dice.below(20) {
        for column in 0..columns {
            if column > 0 {
                text.push(',');
            }
            let field = match (row, dice.below(8)) {
                (0, 0) => format!("\"the column, {column}\""),
                (0, _) => format!("c{column}"),
                (_, 0) => String::from("\"a \"\"b\"\"\r\nc,d\""),
                (_, 1) => String::from("NA"),
                (_, 2) => format!("\"{}\"", dice.below(99)),
                (_, 3) => format!(" {:.3} ", dice.unit()),
                (_, 4) => String::from("2024-02-29"),
                _ => format!("{}", dice.below(1000)),
            };
            text.push_str(&field);
        }
        text.push_str(end);
        if dice.below(9) == 0 {
            text.push_str(end);
        }
    }
    text.into_bytes()
}

#[test]
fn no_mutated_file_makes_the_reader_panic_and_no_record_is_lost() {
    let seeds: Vec<Vec<u8>> = (0..200).map(|i| seed(&mut Dice(i))).collect();
    let files = amount("EMBERLINE_FILES", 20_000);
    let (mut passed, mut opened, mut compared) = (0, 0, 0);
    for i in 0..files {
        let mut dice = Dice(i as u64);
        let seed = &seeds[i % seeds.len()];
        let mut bytes = if i < seeds.len() {
            seed.clone()
        } else {
            mutated(seed, &["\"\"", ",\"", "\"\n", "\r", "inf"], &mut dice)
        };
        bytes.truncate(4096);
        match catch_unwind(AssertUnwindSafe(|| csv_reader(&bytes))) {
            Ok(counts) => {
                passed += 1;
                opened += usize::from(counts.is_some());
                compared += usize::from(counts.is_some_and(|c| c.independent.is_some()));
            }
            Err(_) => eprintln!("file {i}: {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    println!(
        "R-13: {passed}/{files} mutated files without a panic or a lost record; {opened} opened, {compared} of them counted by another reader"
    );
    assert_eq!(passed, files);
    assert!(
        opened > files / 3 && compared > files / 4,
        "{opened} opened, {compared} compared"
    );
}

#[test]
fn of_a_million_rows_exactly_the_thousand_bad_ones_are_set_aside_with_their_lines() {
    const ROWS: usize = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let mut dice = Dice(5);
    let mut text = String::from("n,x,word\n");
    let (mut line, mut planted) = (2, Vec::new());
    for row in 0..ROWS {
        // One bad row in each thousand; every kind of mistake, at any place in it.
        let bad = row % 1000 == (row / 1000 * 7919) % 1000;
        if bad {
            planted.push(line);
            let mistake = ["17", "1,2,a,b", "one,2,a", "1,two,a", "1,2,\"a\"b"];
            text.push_str(mistake[dice.below(mistake.len())]);
        } else if row % 50 == 0 {
            text.push_str(&format!("{row},{:.3},\"two\nlines\"", dice.unit()));
            line += 1;
        } else {
            text.push_str(&format!("{row},{:.3},w{}", dice.unit(), row % 7));
        }
        text.push('\n');
        line += 1;
    }
    std::fs::write(&path, &text).unwrap();
    let mut options = SourceOptions::new(path.display().to_string());
    options.bad_rows = BadRows::Quarantine;
    // The sample holds bad rows too: types are given, or `one` would make a column of whole numbers one of text.
    for (column, ty) in [("n", TypeName::Integer), ("x", TypeName::Float)] {
        options.schema.insert(column.to_owned(), ty);
    }
    let data = open(&options).unwrap();
    let read: u64 = data.count().unwrap();
    let side = std::fs::read_to_string(folder.path().join("rows.csv.quarantine.jsonl")).unwrap();
    let mut lines: Vec<u64> = side
        .lines()
        .map(|l| {
            serde_json::from_str::<Value>(l).unwrap()["line"]
                .as_u64()
                .unwrap()
        })
        .collect();
    lines.sort_unstable();
    let right = lines.iter().zip(&planted).filter(|(a, b)| a == b).count();
    println!(
        "R-13: {right}/{} planted bad rows of {ROWS} set aside under their line numbers, {read} rows read",
        planted.len()
    );
    assert_eq!(planted.len(), 1000);
    assert_eq!(lines, planted);
    assert_eq!(read as usize, ROWS - planted.len());
}
