//! The cells of one JSON record, until all of it has been parsed.

use super::sink::Sink;
use super::tree::Tree;
use crate::source::cells::Cell;

#[derive(Debug, Clone, Copy)]
enum Stored {
    Unset,
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(usize, usize),
    Numbers(usize, usize),
}

/// Holds the cells of one record until all of it has been parsed.
#[derive(Debug)]
pub(super) struct DecodeSink<'a> {
    tree: &'a Tree,
    cells: Vec<Stored>,
    text: String,
    lists: Vec<f64>,
    numbers: Vec<f64>,
}

impl<'a> DecodeSink<'a> {
    pub fn new(tree: &'a Tree, columns: usize) -> Self {
        Self {
            tree,
            cells: vec![Stored::Unset; columns],
            text: String::new(),
            lists: Vec::new(),
            numbers: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.cells.fill(Stored::Unset);
        self.text.clear();
        self.lists.clear();
    }

    pub fn cell(&self, column: usize) -> Cell<'_> {
        match self.cells[column] {
            Stored::Unset | Stored::Null => Cell::Null,
            Stored::Boolean(v) => Cell::Boolean(v),
            Stored::Integer(v) => Cell::Integer(v),
            Stored::Float(v) => Cell::Float(v),
            Stored::Text(a, b) => Cell::Text(&self.text[a..b]),
            Stored::Numbers(a, b) => Cell::Numbers(&self.lists[a..b]),
        }
    }

    /// The cell in words, for a message.
    pub fn show(&self, column: usize) -> String {
        match self.cell(column) {
            Cell::Null => "null".to_owned(),
            Cell::Boolean(v) => v.to_string(),
            Cell::Integer(v) => v.to_string(),
            Cell::Float(v) => v.to_string(),
            Cell::Text(v) => v.to_owned(),
            Cell::Numbers(v) => format!("a list of {} numbers", v.len()),
        }
    }
}

impl Sink for DecodeSink<'_> {
    fn tree(&self) -> &Tree {
        self.tree
    }

    fn enter(&mut self, node: usize, key: &str) -> Option<usize> {
        self.tree.child(node, key)
    }

    fn value(&mut self, node: usize, cell: Cell<'_>) -> Result<(), String> {
        let node = &self.tree.nodes[node];
        let Some(column) = node.column else {
            return match cell {
                Cell::Null => Ok(()),
                _ => Err(format!(
                    "`{}` is an object in the records before this one",
                    node.path
                )),
            };
        };
        if !matches!(self.cells[column], Stored::Unset) {
            return Err(format!("the key `{}` occurs twice", node.path));
        }
        self.cells[column] = match cell {
            Cell::Null => Stored::Null,
            Cell::Boolean(v) => Stored::Boolean(v),
            Cell::Integer(v) => Stored::Integer(v),
            Cell::Float(v) => Stored::Float(v),
            Cell::Text(v) => {
                let start = self.text.len();
                self.text.push_str(v);
                Stored::Text(start, self.text.len())
            }
            Cell::Numbers(v) => {
                let start = self.lists.len();
                self.lists.extend_from_slice(v);
                Stored::Numbers(start, self.lists.len())
            }
        };
        Ok(())
    }

    fn numbers(&mut self) -> &mut Vec<f64> {
        &mut self.numbers
    }
}
