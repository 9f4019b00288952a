//! Packed trees against the plain walk.

use emberline_pipeline::datasets::random::Stream;

use super::stream;
use crate::tree::grow::GrownTree;
use crate::tree::node::Node;
use crate::tree::nodes::Nodes;
use crate::tree::packed::Packed;

const FEATURES: usize = 3;
const TREES: usize = 19;
const ROWS: usize = 53;

/// Thresholds that are hard to tell from values: neighbours, both zeros, beyond the range of an `f32`, large ones close together.
fn thresholds() -> Vec<f64> {
    let mut all = vec![
        0.0,
        -0.0,
        f64::MIN_POSITIVE,
        -f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        1e39,
        -1e39,
        0.1,
    ];
    all.extend((0..9).map(|i| 1.7e12 + f64::from(i) / 1024.0));
    all.extend((0..9).map(|i| f64::from(i) - 4.5));
    all
}

fn pick(from: &[f64], s: &mut Stream) -> f64 {
    from[s.below(from.len() as u64) as usize]
}

/// A tree of random shape; leaf after leaf has the next number.
fn tree(s: &mut Stream, most_depth: u32) -> GrownTree {
    let thresholds = thresholds();
    let mut tree = GrownTree {
        nodes: vec![Node::value(0.0)],
        ..GrownTree::default()
    };
    let (mut open, mut leaves) = (vec![(0, 0)], 0);
    while let Some((i, depth)) = open.pop() {
        if depth == most_depth || (depth > 0 && s.uniform() < 0.2) {
            tree.nodes[i] = Node::shares(leaves);
            leaves += 1;
            continue;
        }
        let child = tree.nodes.len();
        let (feature, missing_left) = (s.below(FEATURES as u64) as u32, s.uniform() < 0.5);
        tree.nodes[i] = Node::numeric(feature, pick(&thresholds, s), child as u32, missing_left);
        tree.nodes.extend([Node::value(0.0); 2]);
        open.extend([(child + 1, depth + 1), (child, depth + 1)]);
    }
    tree
}

fn forest(s: &mut Stream) -> Nodes {
    let mut nodes = Nodes::default();
    for t in 0..TREES {
        nodes.push(&tree(s, t as u32 % 12), 0).unwrap();
    }
    nodes
}

/// Thresholds, their neighbours, what is missing and what is infinite.
fn rows(s: &mut Stream) -> Vec<f64> {
    let thresholds = thresholds();
    let value = |_| match s.below(6) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => pick(&thresholds, s),
        4 => pick(&thresholds, s).next_up(),
        _ => pick(&thresholds, s).next_down(),
    };
    (0..ROWS * FEATURES).map(value).collect()
}

#[test]
fn packed_walks_end_where_plain_ones_do() {
    let mut s = stream("packed");
    for _ in 0..20 {
        let (nodes, x) = (forest(&mut s), rows(&mut s));
        let packed = Packed::of(&nodes, |_, leaf| leaf.child()).unwrap();
        let leaf = |t: usize, row: &[f64]| nodes.leaf(t, row).child();
        let mut calls = 0;
        for row in x.chunks(FEATURES) {
            let mut next = 0;
            packed.each_tree(&nodes, row, |t, number| {
                assert_eq!((t, number), (next, leaf(next, row)), "{row:?}");
                next += 1;
            });
            calls += next;
        }
        assert_eq!(calls, TREES * ROWS);
        let mut seen = [0; ROWS];
        packed.each_row(&nodes, FEATURES, &x, |t, i, number| {
            let row = &x[i * FEATURES..(i + 1) * FEATURES];
            assert_eq!((t, number), (seen[i], leaf(t, row)), "{row:?}");
            seen[i] += 1;
        });
        assert_eq!(seen, [TREES; ROWS]);
    }
}

fn packs(nodes: Vec<Node>) -> bool {
    let tree = GrownTree {
        nodes,
        ..GrownTree::default()
    };
    let mut all = Nodes::default();
    all.push(&tree, 0).unwrap();
    Packed::of(&all, |_, leaf| leaf.child()).is_some()
}

#[test]
fn what_a_step_cannot_hold_is_not_packed() {
    let leaf = Node::shares(7);
    let split = |child| Node::numeric(0, 1.5, child, false);
    assert!(packs(vec![split(1), leaf, leaf]));
    assert!(!packs(vec![Node::nominal(0, 0, 1, false), leaf, leaf]));
    assert!(!packs(vec![split(1), leaf, Node::shares(1 << 23)]));
    // A node with two parents.
    assert!(!packs(vec![split(1), split(2), split(3), leaf, leaf]));
    assert!(!packs(vec![
        Node::numeric(0, f64::NAN, 1, false),
        leaf,
        leaf
    ]));
}

#[test]
fn a_feature_of_high_index_leaves_no_bits_for_the_way_to_a_child() {
    let full = |feature| {
        let inner = (0..4095).map(|i| Node::numeric(feature, 1.5, 2 * i + 1, false));
        inner.chain((0..4096).map(Node::shares)).collect()
    };
    assert!(packs(full(1 << 10)));
    assert!(!packs(full(1 << 20)));
}
