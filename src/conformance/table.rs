//! The standard table, and what the properties change in it.

use std::sync::Arc;

use crate::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use crate::datasets::batch::{dense_vectors, sparse_vectors_of};
use crate::datasets::random::Draw;
use crate::datasets::{
    Attribute, Batch, Column, ColumnType, DataError, Dataset, Element, Layout, Roles, Schema, Slot,
};

/// Rows of the standard table.
pub const ROWS: usize = 256;
/// Rows of its chunks: eleven of them and a bit, so that partitions, empty ones among them, have something to be cut from.
pub const CHUNK: usize = 23;

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// For float, integer and boolean columns; NaN stays NaN, `None` is null.
    Numbers(Vec<Option<f64>>),
    /// For integer columns whose values no float holds.
    Integers(Vec<Option<i64>>),
    /// For text columns.
    Texts(Vec<Option<String>>),
    /// For vector columns; NaN is a missing slot.
    Vectors(Vec<Vec<f64>>),
}

impl Cells {
    fn pick(&self, rows: &[usize]) -> Self {
        match self {
            Self::Numbers(v) => Self::Numbers(rows.iter().map(|&i| v[i]).collect()),
            Self::Integers(v) => Self::Integers(rows.iter().map(|&i| v[i]).collect()),
            Self::Texts(v) => Self::Texts(rows.iter().map(|&i| v[i].clone()).collect()),
            Self::Vectors(v) => Self::Vectors(rows.iter().map(|&i| v[i].clone()).collect()),
        }
    }
}

/// Rows in plain form, easily changed and then turned into a [`Dataset`].
#[derive(Debug, Clone)]
pub struct Table {
    /// Columns in order.
    pub columns: Vec<(Column, Cells)>,
    /// Id of each row.
    pub ids: Vec<u64>,
    /// Roles of columns.
    pub roles: Roles,
    /// Rows of a chunk, at most.
    pub chunk: usize,
}

impl Table {
    /// `rows` rows of every type of column, the same for the same `seed`.
    ///
    /// | column | what it holds |
    /// |---|---|
    /// | `x0`, `x1`, `x2` | floats of different spread; multiples of 1/64, so that other widths and powers of two lose nothing |
    /// | `whole` | integers 0 to 6 |
    /// | `flag` | booleans |
    /// | `text` | five categories, the most frequent one in half of the rows |
    /// | `index` | the number of the category of `text`, with the categories as its attribute |
    /// | `features` | a dense vector: `x0`, `x1`, `x2`, two slots with zeros in half of the rows |
    /// | `y` | a number that depends on the features |
    /// | `class` | a text of three, by `y` |
    #[must_use]
    pub fn standard(rows: usize, seed: u64) -> Self {
        let draw = Draw::new(seed, "conformance table");
        let mut table = Self {
            columns: Vec::new(),
            ids: (0..rows as u64).collect(),
            roles: Roles::default(),
            chunk: CHUNK,
        };
        let sixty_fourths = |v: f64| (v * 64.0).round() / 64.0;
        let mut x: Vec<Vec<f64>> = Vec::with_capacity(rows);
        let mut y = Vec::with_capacity(rows);
        let mut group = Vec::with_capacity(rows);
        for i in 0..rows {
            let mut stream = draw.at(i as u64).stream();
            // Three groups of rows some way apart, so that clusters and classes can be learnt.
            let g = stream.below(3);
            let centre = 3.0 * g as f64;
            let zero = |v: f64, u: f64| if u < 0.5 { 0.0 } else { v };
            let (n0, n1, n2) = (stream.normal(), stream.normal(), stream.uniform());
            let (n3, u3, n4, u4) = (
                stream.normal(),
                stream.uniform(),
                stream.normal(),
                stream.uniform(),
            );
            let row = [
                centre + n0,
                10.0 - 2.0 * centre + 3.0 * n1,
                20.0 * n2,
                zero(2.0 * n3 - 1.0, u3),
                zero(n4, u4),
            ];
            let row: Vec<f64> = row.into_iter().map(sixty_fourths).collect();
            y.push(sixty_fourths(
                2.0 * row[0] - row[1] + 0.25 * row[2] + row[3] + stream.normal(),
            ));
            x.push(row);
            group.push(g as usize);
        }
        let category = |i: usize| {
            let u = draw.at(i as u64).uniform(1_000);
            [0.5, 0.7, 0.85, 0.95].iter().filter(|t| u >= **t).count()
        };
        let categories = ["pine", "oak", "käse", "elm", "ash"];
        let indices: Vec<usize> = (0..rows).map(category).collect();
        let nominal = Attribute::Nominal {
            categories: categories.map(str::to_owned).into(),
        };
        let number = |v: &mut dyn Iterator<Item = f64>| Cells::Numbers(v.map(Some).collect());
        let scalar = |name: &str, ty| Column::new(name, ty, true);
        for j in 0..3 {
            let column = scalar(&format!("x{j}"), ColumnType::Float);
            table
                .columns
                .push((column, number(&mut x.iter().map(|r| r[j]))));
        }
        let whole = |i: usize| draw.at(i as u64).bits(2_000) % 7;
        table.columns.push((
            scalar("whole", ColumnType::Integer),
            number(&mut (0..rows).map(|i| whole(i) as f64)),
        ));
        table.columns.push((
            scalar("flag", ColumnType::Boolean),
            number(&mut (0..rows).map(|i| (draw.at(i as u64).bits(3_000) % 2) as f64)),
        ));
        let texts = |list: &[&str], of: &[usize]| {
            Cells::Texts(of.iter().map(|&i| Some(list[i].to_owned())).collect())
        };
        table.columns.push((
            scalar("text", ColumnType::Text),
            texts(&categories, &indices),
        ));
        table.columns.push((
            scalar("index", ColumnType::Integer).with_attribute(nominal),
            number(&mut indices.iter().map(|&i| i as f64)),
        ));
        let slots = ["x0", "x1", "x2", "z0", "z1"].map(Slot::numeric).to_vec();
        table
            .columns
            .push((Column::vector("features", slots), Cells::Vectors(x)));
        table
            .columns
            .push((scalar("y", ColumnType::Float), number(&mut y.into_iter())));
        table.columns.push((
            scalar("class", ColumnType::Text),
            texts(&["blue", "green", "red"], &group),
        ));
        table
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// These rows, in this order; a row named twice is there twice, under ids that no other row has.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        let fresh = |copy: usize| 1_000_000 + copy as u64;
        let ids = rows.iter().enumerate().map(|(at, &i)| {
            let id = self.ids[i];
            if seen.insert(id) { id } else { fresh(at) }
        });
        Self {
            ids: ids.collect(),
            columns: self
                .columns
                .iter()
                .map(|(c, cells)| (c.clone(), cells.pick(rows)))
                .collect(),
            ..self.clone()
        }
    }

    /// The same rows in another order, each with its id; `seed` tells which.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.rows()).collect();
        let mut stream = Draw::new(seed, "conformance order").stream();
        let n = order.len();
        stream.shuffle_front(&mut order, n);
        self.pick(&order)
    }

    /// The same rows in chunks of at most `rows`.
    #[must_use]
    pub fn in_chunks(mut self, rows: usize) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// Position of a column.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn position(&self, name: &str) -> Result<usize, String> {
        let found = self.columns.iter().position(|(c, _)| c.name == name);
        found.ok_or_else(|| format!("the table has no column `{name}`"))
    }

    /// The same rows with `f` applied to a column and its values.
    ///
    /// # Errors
    /// There is no such column.
    pub fn with(
        mut self,
        name: &str,
        f: impl FnOnce(&mut Column, &mut Cells),
    ) -> Result<Self, String> {
        let i = self.position(name)?;
        let (column, cells) = &mut self.columns[i];
        f(column, cells);
        Ok(self)
    }

    /// The same rows with one more column, at the end.
    #[must_use]
    pub fn plus(mut self, column: Column, cells: Cells) -> Self {
        self.columns.push((column, cells));
        self
    }

    /// The same rows without a column, and without its role.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.columns.retain(|(c, _)| c.name != name);
        let roles = &mut self.roles;
        for role in [
            &mut roles.label,
            &mut roles.weight,
            &mut roles.id,
            &mut roles.group,
        ] {
            if role.as_deref() == Some(name) {
                *role = None;
            }
        }
        self
    }

    /// The same rows with a column of weights, which has the role.
    #[must_use]
    pub fn weighted(self, weights: impl IntoIterator<Item = f64>) -> Self {
        let cells = Cells::Numbers(weights.into_iter().map(Some).collect());
        let mut table = self.plus(Column::new("w", ColumnType::Float, true), cells);
        table.roles.weight = Some("w".to_owned());
        table
    }

    /// Applies `f(slot, value)` to every number of these columns, scalars being slot 0.
    #[must_use]
    pub fn map_numbers(mut self, names: &[String], f: impl Fn(usize, f64) -> f64) -> Self {
        for (column, cells) in &mut self.columns {
            if !names.contains(&column.name) {
                continue;
            }
            match cells {
                Cells::Numbers(v) => v.iter_mut().flatten().for_each(|v| *v = f(0, *v)),
                Cells::Vectors(v) => v.iter_mut().for_each(|row| {
                    row.iter_mut().enumerate().for_each(|(j, v)| *v = f(j, *v));
                }),
                Cells::Integers(_) | Cells::Texts(_) => {}
            }
        }
        self
    }

    /// The columns and roles.
    ///
    /// # Errors
    /// Two columns have one name.
    pub fn schema(&self) -> Result<Schema, DataError> {
        let columns = self.columns.iter().map(|(c, _)| c.clone()).collect();
        Ok(Schema::new(columns)?.with_roles(self.roles.clone())?)
    }

    /// All rows as one batch.
    ///
    /// # Errors
    /// Two columns have one name, or values are not of their column's type.
    pub fn batch(&self) -> Result<Batch, DataError> {
        let arrays = self.columns.iter().map(|(c, cells)| array(c, cells));
        let arrays = arrays.collect::<Result<Vec<_>, DataError>>()?;
        Batch::new(Arc::new(self.schema()?), arrays, self.ids.clone().into())
    }

    /// The rows as chunks of a dataset in one partition.
    ///
    /// # Errors
    /// As [`Table::batch`].
    pub fn dataset(&self) -> Result<Dataset, DataError> {
        let batches = self.batches()?;
        Ok(
            Dataset::from_batches("standard table", Arc::new(self.schema()?), batches)
                .repartition(1),
        )
    }

    /// The rows in chunks.
    ///
    /// # Errors
    /// As [`Table::batch`].
    pub fn batches(&self) -> Result<Vec<Batch>, DataError> {
        let whole = self.batch()?;
        let n = self.rows();
        let starts = (0..n).step_by(self.chunk.max(1));
        Ok(starts
            .map(|s| whole.slice(s, self.chunk.min(n - s)))
            .collect())
    }
}

fn array(column: &Column, cells: &Cells) -> Result<ArrayRef, DataError> {
    Ok(match (cells, &column.ty) {
        (Cells::Numbers(v), ColumnType::Integer) => Arc::new(
            v.iter()
                .map(|v| v.map(|v| v as i64))
                .collect::<Int64Array>(),
        ),
        (Cells::Numbers(v), ColumnType::Boolean) => Arc::new(
            v.iter()
                .map(|v| v.map(|v| v != 0.0))
                .collect::<BooleanArray>(),
        ),
        (Cells::Numbers(v), ColumnType::Float) => Arc::new(Float64Array::from(v.clone())),
        (Cells::Integers(v), ColumnType::Integer) => Arc::new(Int64Array::from(v.clone())),
        (Cells::Texts(v), ColumnType::Text) => Arc::new(StringArray::from(v.clone())),
        (
            Cells::Vectors(v),
            ColumnType::Vector {
                width,
                element,
                layout,
            },
        ) => {
            let width = width.unwrap_or_else(|| v.first().map_or(0, Vec::len));
            vectors(v, width, *element, *layout)?
        }
        (_, ty) => {
            return Err(DataError::format(
                "table",
                format!("`{}` cannot hold {ty}", column.name),
            ));
        }
    })
}

fn vectors(
    rows: &[Vec<f64>],
    width: usize,
    element: Element,
    layout: Layout,
) -> Result<ArrayRef, DataError> {
    if layout == Layout::Dense {
        let flat = rows.iter().flatten().copied().collect();
        return dense_vectors(flat, width, element, true, rows.len());
    }
    let (mut offsets, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            indices.push(j as u32);
            values.push(*v);
        }
        offsets.push(values.len() as i32);
    }
    sparse_vectors_of(offsets, indices, values, element)
}
