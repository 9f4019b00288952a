//! Columns and types of JSON lines, from the sample.

use super::sink::Sink;
use super::tree::Tree;
use crate::options::SourceOptions;
use crate::schema::{Attribute, Column, ColumnType, Slot};
use crate::source::cells::Cell;
use crate::source::parse::Guess;

/// What the sample tells about one leaf.
#[derive(Debug, Default)]
struct Leaf {
    node: usize,
    guess: Guess,
    /// Length of its lists, where it holds lists.
    width: Option<usize>,
    declared: bool,
    /// Its place among the leaves in the order the sample shows them; `None` until it does.
    appeared: Option<usize>,
}

/// Learns columns and types from the sample.
#[derive(Debug, Default)]
pub(super) struct LearnSink {
    tree: Tree,
    leaves: Vec<Leaf>,
    n_appeared: usize,
    numbers: Vec<f64>,
}

impl LearnSink {
    /// Makes a column that the options name exist even where the sample lacks it.
    pub fn declare(&mut self, path: &str) {
        let node = path
            .split('.')
            .fold(0, |node, key| self.tree.child_or_new(node, key));
        let leaf = self.leaf(node);
        self.leaves[leaf].declared = true;
    }

    /// The leaf of a node; while learning, a node's `column` is its leaf.
    fn leaf(&mut self, node: usize) -> usize {
        if let Some(leaf) = self.tree.nodes[node].column {
            return leaf;
        }
        self.tree.nodes[node].column = Some(self.leaves.len());
        self.leaves.push(Leaf {
            node,
            ..Leaf::default()
        });
        self.leaves.len() - 1
    }

    /// The columns, and the leaf behind each.
    pub fn columns(&self, options: &SourceOptions) -> (Vec<Column>, Vec<usize>) {
        let mut columns = Vec::new();
        let mut kept = Vec::new();
        // Declared columns come where the sample shows them; the ones it lacks come last.
        let mut order: Vec<(usize, &Leaf)> = self.leaves.iter().enumerate().collect();
        order.sort_by_key(|(_, leaf)| leaf.appeared.unwrap_or(usize::MAX));
        for (i, leaf) in order {
            let node = &self.tree.nodes[leaf.node];
            let blank = leaf.guess.is_blank() && leaf.width.is_none();
            if blank && !leaf.declared && self.tree.has_children(leaf.node) {
                continue; // an object that is null in some records
            }
            kept.push(i);
            columns.push(leaf.column(&node.path, options));
        }
        (columns, kept)
    }

    /// The tree with the columns' positions at its nodes.
    pub fn into_tree(mut self, leaves: &[usize]) -> Tree {
        for node in &mut self.tree.nodes {
            node.column = node
                .column
                .and_then(|leaf| leaves.iter().position(|l| *l == leaf));
        }
        self.tree
    }
}

impl Leaf {
    fn column(&self, path: &str, options: &SourceOptions) -> Column {
        if let Some(given) = options.schema.get(path) {
            return Column::new(path, (*given).into(), true);
        }
        let Some(width) = self.width else {
            return Column::new(path, self.guess.ty(), true);
        };
        let slots = (0..width).map(|i| Slot {
            name: format!("{path}[{i}]"),
            column: path.to_owned(),
            attribute: Attribute::Numeric,
        });
        let mut column = Column::vector(path, slots.collect());
        column.nullable = true;
        column
    }
}

impl Sink for LearnSink {
    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn enter(&mut self, node: usize, key: &str) -> Option<usize> {
        Some(self.tree.child_or_new(node, key))
    }

    fn value(&mut self, node: usize, cell: Cell<'_>) -> Result<(), String> {
        let index = self.leaf(node);
        let path = &self.tree.nodes[node].path;
        let leaf = &mut self.leaves[index];
        if leaf.appeared.is_none() {
            leaf.appeared = Some(self.n_appeared);
            self.n_appeared += 1;
        }
        let is_list = matches!(cell, Cell::Numbers(_));
        if cell != Cell::Null
            && (is_list && !leaf.guess.is_blank() || !is_list && leaf.width.is_some())
        {
            return Err(format!(
                "`{path}` holds a list in some records and a single value in others"
            ));
        }
        match cell {
            Cell::Null => {}
            Cell::Boolean(_) => leaf.guess.see_typed(&ColumnType::Boolean),
            Cell::Integer(_) => leaf.guess.see_typed(&ColumnType::Integer),
            Cell::Float(_) => leaf.guess.see_typed(&ColumnType::Float),
            Cell::Text(text) => leaf.guess.see_text(text),
            Cell::Numbers(numbers) => match leaf.width {
                Some(width) if width != numbers.len() => {
                    return Err(format!(
                        "`{path}` holds lists of different lengths ({width} and {}); only lists of one length are columns",
                        numbers.len()
                    ));
                }
                _ => leaf.width = Some(numbers.len()),
            },
        }
        Ok(())
    }

    fn numbers(&mut self) -> &mut Vec<f64> {
        &mut self.numbers
    }
}
