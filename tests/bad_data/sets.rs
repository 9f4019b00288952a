//! The bad datasets: the standard table of the conformance suite, each with one thing wrong.

use emberline::conformance::{Cells, Table};
use emberline::datasets::{Column, ColumnType};
use emberline::prelude::{Entry, Kind};

/// One bad dataset.
pub struct Bad {
    /// Name in the table of outcomes.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// Partitions it is cut into.
    pub partitions: usize,
    spoil: fn(Table) -> Table,
}

impl Bad {
    const fn new(name: &'static str, what: &'static str, spoil: fn(Table) -> Table) -> Self {
        Self {
            name,
            what,
            partitions: 3,
            spoil,
        }
    }

    /// The dataset for a stage: with the label it learns from.
    pub fn table(&self, entry: &Entry) -> Table {
        // Only who reads text is given so many rows: for all others they are rows like any.
        let many = self.name == "huge_cardinality" && entry.traits.example.contains("text");
        let mut table = Table::standard(if many { 100_100 } else { 256 }, 1);
        table.roles.label = match entry.kind {
            Kind::Classifier => Some("class".to_owned()),
            Kind::Regressor => Some("y".to_owned()),
            _ => None,
        };
        (self.spoil)(table)
    }
}

/// The row that is spoiled where one is.
const ROW: usize = 40;

/// Sets a number in one row of every float column but the label, and of a slot of every vector.
fn one_feature(table: Table, v: f64) -> Table {
    change(table, |name, cells| match cells {
        Cells::Numbers(n) if name.starts_with('x') => n[ROW] = Some(v),
        Cells::Vectors(rows) => rows[ROW][1] = v,
        _ => {}
    })
}

/// Maps every number but the label: `f(row, slot, value)`.
fn features(table: Table, f: impl Fn(usize, usize, f64) -> f64) -> Table {
    change(table, |name, cells| match cells {
        Cells::Numbers(n) if name.starts_with('x') => {
            n.iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = v.map(|v| f(i, 0, v)));
        }
        Cells::Vectors(rows) => rows.iter_mut().enumerate().for_each(|(i, row)| {
            row.iter_mut()
                .enumerate()
                .for_each(|(j, v)| *v = f(i, j, *v));
        }),
        _ => {}
    })
}

fn change(mut table: Table, f: impl Fn(&str, &mut Cells)) -> Table {
    table
        .columns
        .iter_mut()
        .for_each(|(c, cells)| f(&c.name, cells));
    table
}

/// Sets the label in one row; a class becomes a number first where the value is one.
fn one_label(table: Table, v: Option<f64>) -> Table {
    let labels = ["y", "class"];
    labels.iter().fold(table, |table, name| {
        table
            .with(name, |column, cells| {
                if let (Cells::Texts(texts), Some(_)) = (&*cells, v) {
                    let number = |t: &Option<String>| t.as_ref().map(|t| t.len() as f64);
                    *cells = Cells::Numbers(texts.iter().map(number).collect());
                    column.ty = ColumnType::Float;
                }
                match cells {
                    Cells::Numbers(n) => n[ROW] = v,
                    Cells::Texts(t) => t[ROW] = None,
                    _ => {}
                }
            })
            .unwrap()
    })
}

fn one_weight(table: Table, v: f64) -> Table {
    let n = table.rows();
    table.weighted((0..n).map(|i| if i == ROW { v } else { 1.0 }))
}

fn rows(table: Table, rows: impl IntoIterator<Item = usize>) -> Table {
    table.pick(&rows.into_iter().collect::<Vec<_>>())
}

fn classes(table: Table, of: impl Fn(usize) -> &'static str) -> Table {
    table
        .with("class", |_, cells| {
            let n = if let Cells::Texts(t) = cells {
                t.len()
            } else {
                0
            };
            *cells = Cells::Texts((0..n).map(|i| Some(of(i).to_owned())).collect());
        })
        .unwrap()
}

fn texts(table: Table, of: impl Fn(usize) -> String) -> Table {
    table
        .with("text", |_, cells| {
            let n = if let Cells::Texts(t) = cells {
                t.len()
            } else {
                0
            };
            *cells = Cells::Texts((0..n).map(|i| Some(of(i))).collect());
        })
        .unwrap()
}

/// All of them.
pub const SETS: &[Bad] = &[
    Bad::new("nan_feature", "NaN in one row of every feature", |t| {
        one_feature(t, f64::NAN)
    }),
    Bad::new(
        "null_feature",
        "a null in one row of every column but the label",
        |t| {
            change(t, |name, cells| match cells {
                Cells::Numbers(n) if name != "y" => n[ROW] = None,
                Cells::Texts(v) if name != "class" => v[ROW] = None,
                Cells::Vectors(rows) => rows[ROW].fill(f64::NAN),
                _ => {}
            })
        },
    ),
    Bad::new(
        "infinite_feature",
        "infinity in one row of every feature",
        |t| one_feature(t, f64::INFINITY),
    ),
    Bad::new(
        "negative_infinite_feature",
        "minus infinity in one row of every feature",
        |t| one_feature(t, f64::NEG_INFINITY),
    ),
    Bad::new("null_label", "a null label", |t| one_label(t, None)),
    Bad::new("nan_label", "a NaN label", |t| one_label(t, Some(f64::NAN))),
    Bad::new("infinite_label", "an infinite label", |t| {
        one_label(t, Some(f64::INFINITY))
    }),
    Bad::new("negative_weight", "a weight of -1", |t| one_weight(t, -1.0)),
    Bad::new("nan_weight", "a NaN weight", |t| one_weight(t, f64::NAN)),
    Bad::new("zero_weights", "all weights are zero", |t| {
        let n = t.rows();
        t.weighted(vec![0.0; n])
    }),
    Bad::new("no_rows", "no rows at all", |t| rows(t, [])),
    Bad {
        partitions: 64,
        ..Bad::new("empty_partitions", "five rows in 64 partitions", |t| {
            rows(t, 0..5).in_chunks(2)
        })
    },
    Bad::new(
        "all_null_column",
        "no value in any column but the label",
        |t| {
            change(t, |name, cells| match cells {
                Cells::Numbers(n) if name != "y" => n.fill(None),
                Cells::Texts(v) if name != "class" => v.fill(None),
                Cells::Vectors(rows) => rows.iter_mut().for_each(|r| r.fill(f64::NAN)),
                _ => {}
            })
        },
    ),
    Bad::new(
        "constant_feature",
        "every feature is 0.1 in all rows",
        |t| features(t, |_, _, _| 0.1),
    ),
    Bad::new("one_class", "all labels are equal", |t| {
        classes(t.map_numbers(&["y".to_owned()], |_, _| 2.5), |_| "only")
    }),
    Bad::new(
        "class_missing_from_partition",
        "rows sorted by class",
        |t| classes(t, |i| ["a", "b", "c"][i / 90]),
    ),
    Bad::new("class_with_one_row", "a class with one row", |t| {
        classes(t, |i| if i == ROW { "rare" } else { ["a", "b"][i % 2] })
    }),
    Bad::new(
        "more_clusters_than_rows",
        "two rows, which is less than clusters, components or buckets",
        |t| rows(t, 0..2),
    ),
    Bad::new(
        "more_clusters_than_points",
        "two distinct rows, over and over",
        |t| rows(t, (0..200).map(|i| i % 2)),
    ),
    Bad::new("more_bins_than_rows", "ten rows", |t| rows(t, 0..10)),
    Bad::new("rank_deficient", "all slots are multiples of one", |t| {
        change(t, |_, cells| {
            if let Cells::Vectors(rows) = cells {
                rows.iter_mut().for_each(|r| {
                    let first = r[0];
                    r.iter_mut()
                        .enumerate()
                        .for_each(|(j, v)| *v = first * (j + 1) as f64);
                });
            }
        })
    }),
    Bad::new(
        "values_of_1e308",
        "features up to 1e308 of either sign",
        |t| {
            features(t, |i, _, v| {
                if i.is_multiple_of(2) {
                    1e308
                } else {
                    -1e306 * v
                }
            })
        },
    ),
    Bad::new("label_of_1e308", "labels up to 1e308 of either sign", |t| {
        t.map_numbers(
            &["y".to_owned()],
            |_, v| if v > 0.0 { 1e308 } else { -1e308 },
        )
    }),
    Bad::new("subnormals", "features of 1e-310", |t| {
        features(t, |_, _, v| v * 1e-310)
    }),
    Bad::new("negative_zero", "zeros of either sign", |t| {
        features(t, |i, _, v| if v <= 1.0 { [0.0, -0.0][i % 2] } else { v })
    }),
    Bad::new(
        "integers_beyond_2_53",
        "integers that no f64 holds",
        |mut t| {
            for (column, cells) in &mut t.columns {
                if column.name.starts_with('x') || column.name == "whole" || column.name == "index"
                {
                    let n = if let Cells::Numbers(n) = &*cells {
                        n.len() as i64
                    } else {
                        0
                    };
                    *column = Column::new(&*column.name, ColumnType::Integer, true);
                    *cells =
                        Cells::Integers((0..n).map(|i| Some(9_007_199_254_740_993 + i)).collect());
                }
            }
            t
        },
    ),
    Bad::new(
        "huge_cardinality",
        "100,100 categories in as many rows",
        |t| texts(t, |i| format!("category {i}")),
    ),
    Bad::new(
        "category_of_1_mib",
        "a category of 1 MiB, and an empty one",
        |t| {
            texts(t, |i| {
                if i.is_multiple_of(2) {
                    "m".repeat(1 << 20)
                } else {
                    String::new()
                }
            })
        },
    ),
    Bad::new("single_row", "one row", |t| rows(t, [0])),
    Bad::new("single_slot", "vectors of one slot", |t| {
        t.with("features", |column, cells| {
            *column = Column::vector("features", column.slots[..1].to_vec());
            if let Cells::Vectors(rows) = cells {
                rows.iter_mut().for_each(|r| r.truncate(1));
            }
        })
        .unwrap()
    }),
    Bad::new("duplicate_rows", "one row, over and over", |t| {
        rows(t, vec![3; 200])
    }),
    Bad::new("text_for_number", "text where numbers are due", |mut t| {
        let n = t.rows();
        for (column, cells) in &mut t.columns {
            if !matches!(cells, Cells::Texts(_)) {
                *column = Column::new(&*column.name, ColumnType::Text, true);
                *cells = Cells::Texts((0..n).map(|i| Some(format!("{i}"))).collect());
            }
        }
        t
    }),
];
