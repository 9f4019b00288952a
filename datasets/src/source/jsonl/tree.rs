//! Keys of nested objects as a tree, so that a path is found key by key without building its dotted name.

use std::collections::HashMap;

/// One object or value of the nested structure.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Dotted path: `a.b`.
    pub path: String,
    /// The column that its own (not nested) value goes to.
    pub column: Option<usize>,
    /// Only looked up, never walked: the order of columns is that of first appearance.
    children: HashMap<Box<str>, usize>,
}

/// All keys known; node 0 is the record itself.
#[derive(Debug)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Tree {
    pub fn child(&self, node: usize, key: &str) -> Option<usize> {
        self.nodes[node].children.get(key).copied()
    }

    pub fn child_or_new(&mut self, node: usize, key: &str) -> usize {
        if let Some(found) = self.child(node, key) {
            return found;
        }
        let parent = &self.nodes[node].path;
        let path = if node == 0 {
            key.to_owned()
        } else {
            format!("{parent}.{key}")
        };
        let new = self.nodes.len();
        self.nodes.push(Node {
            path,
            ..Node::default()
        });
        self.nodes[node].children.insert(key.into(), new);
        new
    }

    pub fn has_children(&self, node: usize) -> bool {
        !self.nodes[node].children.is_empty()
    }
}
