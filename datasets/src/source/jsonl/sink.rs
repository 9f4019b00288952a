//! From the JSON parser straight into cells (or into type guesses): no value tree, no string per cell.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::tree::Tree;
use crate::options::SourceOptions;
use crate::schema::{Attribute, Column, ColumnType, Slot};
use crate::source::cells::Cell;
use crate::source::parse::Guess;

/// Takes the values of one record.
pub(super) trait Sink {
    fn tree(&self) -> &Tree;

    /// The node of a key, or `None` where the value is to be ignored.
    fn enter(&mut self, node: usize, key: &str) -> Option<usize>;

    /// A number, text, truth value, null or list of numbers.
    ///
    /// # Errors
    /// Why the record is bad.
    fn value(&mut self, node: usize, cell: Cell<'_>) -> Result<(), String>;

    /// Room for the numbers of a list.
    fn numbers(&mut self) -> &mut Vec<f64>;
}

/// Hands one line's values to the sink; the error says why the record is bad.
pub(super) fn parse_line(line: &str, sink: &mut impl Sink) -> Result<(), String> {
    let mut reason = None;
    let mut parser = serde_json::Deserializer::from_str(line);
    let seed = Value {
        sink,
        node: 0,
        reason: &mut reason,
    };
    let outcome = seed.deserialize(&mut parser).and_then(|()| parser.end());
    match (reason, outcome) {
        (Some(reason), _) => Err(reason),
        (None, Err(e)) => Err(format!("no JSON object: {e}")),
        (None, Ok(())) => Ok(()),
    }
}

struct Value<'a, S> {
    sink: &'a mut S,
    node: usize,
    /// Why the record is bad, in our words; the parser's error only carries it out.
    reason: &'a mut Option<String>,
}

impl<S: Sink> Value<'_, S> {
    fn give<E: serde::de::Error>(self, cell: Cell<'_>) -> Result<(), E> {
        if self.node == 0 {
            return self.refuse("the line is no JSON object".to_owned());
        }
        match self.sink.value(self.node, cell) {
            Ok(()) => Ok(()),
            Err(reason) => self.refuse(reason),
        }
    }

    fn refuse<E: serde::de::Error>(self, reason: String) -> Result<(), E> {
        *self.reason = Some(reason);
        Err(E::custom("refused"))
    }
}

impl<'de, S: Sink> DeserializeSeed<'de> for Value<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Value<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<(), E> {
        self.give(Cell::Boolean(v))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<(), E> {
        self.give(Cell::Integer(v))
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<(), E> {
        match i64::try_from(v) {
            Ok(v) => self.give(Cell::Integer(v)),
            Err(_) => self.give(Cell::Float(v as f64)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<(), E> {
        self.give(Cell::Float(v))
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<(), E> {
        self.give(Cell::Text(v))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.give(Cell::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { sink, node, reason } = self;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match sink.enter(node, &key.0) {
                Some(child) => map.next_value_seed(Value {
                    sink: &mut *sink,
                    node: child,
                    reason: &mut *reason,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.node == 0 {
            return self.refuse("the line is a list, not an object".to_owned());
        }
        let mut numbers = std::mem::take(self.sink.numbers());
        numbers.clear();
        loop {
            match seq.next_element_seed(Number) {
                Ok(Some(Some(number))) => numbers.push(number),
                Ok(Some(None)) => {
                    let path = &self.sink.tree().nodes[self.node].path;
                    let reason = format!(
                        "`{path}` holds a list of something other than numbers; only lists of numbers are columns"
                    );
                    return self.refuse(reason);
                }
                Ok(None) => break,
                Err(e) => return Err(e),
            }
        }
        let outcome = self.sink.value(self.node, Cell::Numbers(&numbers));
        *self.sink.numbers() = numbers;
        match outcome {
            Ok(()) => Ok(()),
            Err(reason) => self.refuse(reason),
        }
    }
}

/// A key, borrowed from the line where it holds no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// An element of a list: a number, or null as NaN; `None` for anything else.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E>(self, v: i64) -> Result<Option<f64>, E> {
        Ok(Some(v as f64))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Option<f64>, E> {
        Ok(Some(v as f64))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Option<f64>, E> {
        Ok(Some(v))
    }

    fn visit_unit<E>(self) -> Result<Option<f64>, E> {
        Ok(Some(f64::NAN))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<f64>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<f64>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// What the sample tells about one leaf.
#[derive(Debug, Default)]
struct Leaf {
    node: usize,
    guess: Guess,
    /// Length of its lists, where it holds lists.
    width: Option<usize>,
    declared: bool,
}

/// Learns columns and types from the sample.
#[derive(Debug, Default)]
pub(super) struct LearnSink {
    tree: Tree,
    leaves: Vec<Leaf>,
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
        let seen = |l: &&Leaf| !l.guess.is_blank() || l.width.is_some() || !l.declared;
        let order = self.leaves.iter().enumerate();
        let (first, last): (Vec<_>, Vec<_>) = order.partition(|(_, l)| seen(l));
        for (i, leaf) in first.into_iter().chain(last) {
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
