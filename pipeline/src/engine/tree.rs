//! The canonical tree over units (blocks or chunks): mapped whole, or in ranges whose partials are merged elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A node of the tree over `n` units: it covers units `start..min(start + size, n)`, and `start` is a multiple of `size`, a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    /// First unit.
    pub start: usize,
    /// Units under it; those from `n` on do not exist.
    pub size: usize,
}

impl Node {
    fn root(n: usize) -> Self {
        Self {
            start: 0,
            size: n.next_power_of_two(),
        }
    }

    fn halves(self) -> (Self, Self) {
        let size = self.size / 2;
        let right = Self {
            start: self.start + size,
            size,
        };
        (Self { size, ..self }, right)
    }
}

/// Maps the units under a node of the tree over `n` units and merges along it, on the threads of the current pool. Of several
/// errors, that of the lowest unit is returned.
pub(crate) fn reduce<T: Send>(
    node: Node,
    n: usize,
    map: &(impl Fn(usize) -> Result<Option<T>> + Sync),
    merge: &(impl Fn(T, T) -> T + Sync),
) -> Result<Option<T>> {
    if node.start >= n {
        return Ok(None);
    }
    if node.size <= 1 {
        return map(node.start);
    }
    let (left, right) = node.halves();
    let (left, right) = rayon::join(
        || reduce(left, n, map, merge),
        || reduce(right, n, map, merge),
    );
    Ok(either(left?, right?, merge))
}

/// As [`reduce`], for all units.
pub(crate) fn reduce_all<T: Send>(
    n: usize,
    map: &(impl Fn(usize) -> Result<Option<T>> + Sync),
    merge: &(impl Fn(T, T) -> T + Sync),
) -> Result<Option<T>> {
    reduce(Node::root(n), n, map, merge)
}

fn either<T>(left: Option<T>, right: Option<T>, merge: &impl Fn(T, T) -> T) -> Option<T> {
    match (left, right) {
        (Some(a), Some(b)) => Some(merge(a, b)),
        (one, None) | (None, one) => one,
    }
}

/// The largest nodes of the tree over `n` units that lie inside a range of them: two a level at most. Their partials are all that
/// who owns the range has to tell.
pub(crate) fn cover(range: &Range<usize>, n: usize) -> Vec<Node> {
    fn walk(node: Node, range: &Range<usize>, n: usize, found: &mut Vec<Node>) {
        let end = n.min(node.start + node.size);
        if node.start >= range.end || end <= range.start {
            return;
        }
        if range.start <= node.start && end <= range.end {
            return found.push(node);
        }
        let (left, right) = node.halves();
        walk(left, range, n, found);
        walk(right, range, n, found);
    }
    let mut found = Vec::new();
    walk(Node::root(n), range, n, &mut found);
    found
}

/// Partials of nodes that cover `n` units, each once, merged along the tree. `None` stands for a node without rows.
///
/// # Errors
/// A node is missing or came twice: an answer was lost, or heard of two attempts.
pub(crate) fn gather<T>(
    n: usize,
    parts: impl IntoIterator<Item = (Node, Option<T>)>,
    merge: &impl Fn(T, T) -> T,
) -> Result<Option<T>> {
    fn node<T>(
        at: Node,
        n: usize,
        parts: &mut BTreeMap<Node, Option<T>>,
        merge: &impl Fn(T, T) -> T,
    ) -> Result<Option<T>> {
        if at.start >= n {
            return Ok(None);
        }
        if let Some(found) = parts.remove(&at) {
            return Ok(found);
        }
        if at.size <= 1 {
            return Err(Error::Engine(format!(
                "the partial result of unit {} of {n} did not arrive",
                at.start
            )));
        }
        let (left, right) = at.halves();
        let left = node(left, n, parts, merge)?;
        let right = node(right, n, parts, merge)?;
        Ok(either(left, right, merge))
    }
    let mut by_node = BTreeMap::new();
    let twice = |at: Node| {
        Err(Error::Engine(format!(
            "the partial result of units {}.. of {n} arrived twice",
            at.start
        )))
    };
    for (at, partial) in parts {
        if by_node.insert(at, partial).is_some() {
            return twice(at);
        }
    }
    let whole = node(Node::root(n), n, &mut by_node, merge)?;
    match by_node.into_keys().next() {
        Some(left_over) => twice(left_over),
        None => Ok(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(i: usize) -> Result<Option<String>> {
        Ok((i % 5 != 3).then(|| i.to_string()))
    }

    fn merge(a: String, b: String) -> String {
        format!("({a} {b})")
    }

    #[test]
    fn ranges_that_are_mapped_apart_merge_to_the_same_as_all_at_once() {
        for n in [1, 2, 3, 7, 8, 13, 64, 100] {
            let whole = reduce_all(n, &text, &merge).unwrap();
            for cuts in [
                vec![],
                vec![n / 2],
                vec![1, n / 3, n / 3, n - 1],
                (0..n).collect(),
            ] {
                let mut ends = cuts.clone();
                ends.sort_unstable();
                ends.push(n);
                let mut start = 0;
                let mut parts = Vec::new();
                for end in ends {
                    let end = end.max(start);
                    for node in cover(&(start..end), n) {
                        parts.push((node, reduce(node, n, &text, &merge).unwrap()));
                    }
                    start = end;
                }
                parts.reverse();
                assert_eq!(gather(n, parts, &merge).unwrap(), whole, "{n} {cuts:?}");
            }
        }
    }

    #[test]
    fn a_lost_answer_and_one_that_came_twice_are_errors() {
        let part = |range: Range<usize>| cover(&range, 6).into_iter().map(|node| (node, Some(1)));
        let sum = |a: i32, b: i32| a + b;
        assert_eq!(
            gather(6, part(0..2).chain(part(2..6)), &sum).unwrap(),
            Some(3)
        );
        let lost = gather(6, part(0..2).chain(part(3..6)), &sum).unwrap_err();
        assert!(
            lost.to_string().contains("unit 2 of 6 did not arrive"),
            "{lost}"
        );
        let twice = gather(6, part(0..6).chain(part(0..6)), &sum).unwrap_err();
        assert!(twice.to_string().contains("arrived twice"), "{twice}");
        let overlap = gather(6, part(0..6).chain(part(2..3)), &sum).unwrap_err();
        assert!(overlap.to_string().contains("arrived twice"), "{overlap}");
    }
}
