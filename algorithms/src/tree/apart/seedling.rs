//! A tree as the driver knows it: what was decided at its upper nodes, and what is still open.

use std::collections::BTreeMap;

use emberline_pipeline::Result;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::engine::from_bytes;

use super::sums::Found;
use super::view::{Asked, Branch, View, Way};
use crate::tree::criterion::Criterion;
use crate::tree::find::draw_order;
use crate::tree::grow::{Grower, GrownTree, Open};
use crate::tree::split::{self, Candidate};
use crate::tree::table::Table;
use crate::tree::work::{Drawn, GrowTrees, WithCriterion};

/// Which node of a tree: 1 is the root, `2 p` and `2 p + 1` are the children of `p`. Depths stay below 127.
pub type Path = u128;

/// A node at which nothing is decided yet.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which.
    pub path: Path,
    /// Its rows, as often as they were drawn.
    pub rows: u64,
    /// What to ask.
    pub asked: Asked,
}

/// A tree whose type of sums nobody needs to know.
pub trait Seedling {
    /// Nodes that are open.
    fn open(&self) -> Vec<Wanted>;
    /// The tree for those who have rows, with the nodes of these paths asked about.
    fn view(&self, asked: &[Wanted]) -> View;
    /// Takes what was found at a node by the features that were asked for, as bytes.
    ///
    /// # Errors
    /// The bytes make no sense.
    fn hear(&mut self, wanted: &Wanted, found: &[u8]) -> Result<()>;
    /// Takes what was grown below a node.
    fn graft(&mut self, path: Path, tree: GrownTree);
    /// The tree, once nothing is open.
    fn finish(&self) -> GrownTree;
}

/// Makes the seedling of a tree.
pub struct Sow<'w> {
    /// How it is grown.
    pub work: &'w GrowTrees,
    /// A table without rows.
    pub table: &'w Table,
    /// Its number.
    pub tree: u64,
    /// What its rows come to.
    pub drawn: Drawn,
    /// True where its draw was empty.
    pub whole: bool,
}

impl<'w> WithCriterion<'static> for Sow<'w> {
    type Output = Box<dyn Seedling + 'w>;

    fn with<C: Criterion + 'static>(self, criterion: C) -> Self::Output {
        Box::new(Growing {
            seed: self,
            criterion,
            total: None,
            nodes: BTreeMap::new(),
        })
    }
}

struct Growing<'w, C: Criterion> {
    seed: Sow<'w>,
    criterion: C,
    /// Sums of all rows, once they are known.
    total: Option<C::Sums>,
    nodes: BTreeMap<Path, State<C::Sums>>,
}

/// What is known of a node.
enum State<S> {
    /// Features were looked at, and not enough of them were seen not to be constant.
    Searching {
        drawn: usize,
        seen: usize,
        best: Option<Candidate<S>>,
    },
    Leaf,
    Split {
        gain: f64,
        best: Candidate<S>,
    },
    Subtree(GrownTree),
}

impl<C: Criterion> Growing<'_, C> {
    /// Grows the tree as far as things are decided, in the order of a tree that is grown in one place; `f` hears of open nodes.
    fn replay(&self, mut f: impl FnMut(Path, &Open<C::Sums>)) -> GrownTree {
        let work = self.seed.work;
        let soil = work.soil(self.seed.table, work.features(self.seed.tree));
        let mut grower = Grower::new(&soil, self.criterion.clone());
        let Some(total) = self.total.clone() else {
            return grower.tree;
        };
        grower.begin(self.criterion.weight(&total));
        let root = grower.admit(Open {
            node: 0,
            span: 0..0,
            depth: 0,
            draw: soil.draw,
            total,
        });
        let mut stack: Vec<(Path, Open<C::Sums>)> =
            root.map(|open| (1, open)).into_iter().collect();
        while let Some((path, open)) = stack.pop() {
            match self.nodes.get(&path) {
                None | Some(State::Searching { .. }) => f(path, &open),
                Some(State::Leaf) => grower.close(open.node, &open.total),
                Some(State::Subtree(tree)) => grower.graft(open.node, tree),
                Some(State::Split { gain, best }) => {
                    let [left, right] = grower.split(&open, *gain, best.clone());
                    stack.extend(right.map(|open| (2 * path + 1, open)));
                    stack.extend(left.map(|open| (2 * path, open)));
                }
            }
        }
        grower.tree
    }

    /// How many features of a node were drawn, and how many to draw next.
    fn progress(&self, path: Path) -> (usize, usize) {
        let (d, n_drawn) = (self.seed.work.bins.len(), self.seed.work.n_drawn);
        match self.nodes.get(&path) {
            Some(State::Searching { drawn, seen, .. }) => (*drawn, (n_drawn - seen).min(d - drawn)),
            _ => (0, n_drawn.min(d)),
        }
    }

    fn wanted(&self, path: Path, rows: u64, depth: u32, draw: Draw) -> Wanted {
        let (drawn, more) = self.progress(path);
        let d = self.seed.work.bins.len();
        // Where all features are looked at, none is drawn.
        let order = if self.seed.work.n_drawn < d {
            draw_order(d, drawn + more, draw)
        } else {
            (0..d as u32).collect()
        };
        Wanted {
            path,
            rows,
            asked: Asked {
                features: order[drawn..].to_vec(),
                depth,
                draw,
            },
        }
    }
}

impl<C: Criterion> Seedling for Growing<'_, C> {
    fn open(&self) -> Vec<Wanted> {
        if self.total.is_none() {
            let draw = self.seed.work.features(self.seed.tree);
            return match self.nodes.get(&1) {
                Some(_) => Vec::new(),
                None => vec![self.wanted(1, self.seed.drawn.rows, 0, draw)],
            };
        }
        let mut open = Vec::new();
        self.replay(|path, node| {
            let rows = self.criterion.rows(&node.total);
            open.push(self.wanted(path, rows, node.depth, node.draw));
        });
        open
    }

    fn view(&self, asked: &[Wanted]) -> View {
        let mut view = View {
            tree: self.seed.tree,
            drawn: self.seed.drawn,
            whole: self.seed.whole,
            root: Way::Done,
            branches: Vec::new(),
            asked: asked.iter().map(|wanted| wanted.asked.clone()).collect(),
        };
        // Bottom up: where a row goes below a node is known when the node's own split is written.
        let mut ways: BTreeMap<Path, Way> = BTreeMap::new();
        for (i, wanted) in asked.iter().enumerate() {
            ways.insert(wanted.path, Way::Asked(i as u32));
        }
        while let Some((path, way)) = ways.pop_last() {
            if path == 1 {
                view.root = way;
                break;
            }
            let parent = path / 2;
            let mut sides = [Way::Done; 2];
            sides[(path % 2) as usize] = way;
            if path % 2 == 1
                && let Some(left) = ways.remove(&(path - 1))
            {
                sides[0] = left;
            }
            let Some(State::Split { best, .. }) = self.nodes.get(&parent) else {
                continue;
            };
            ways.insert(parent, Way::Branch(view.branches.len() as u32));
            view.branches.push(Branch {
                feature: best.feature,
                rule: best.rule,
                ways: sides,
            });
        }
        view
    }

    fn hear(&mut self, wanted: &Wanted, found: &[u8]) -> Result<()> {
        let found: Found<C::Sums> = from_bytes("tree/sum-nodes", found)?;
        let (drawn, _) = self.progress(wanted.path);
        let (d, n_drawn) = (self.seed.work.bins.len(), self.seed.work.n_drawn);
        self.criterion.enter(&found.total);
        if wanted.path == 1 {
            self.total = Some(found.total);
        }
        let (before, best) = match self.nodes.remove(&wanted.path) {
            Some(State::Searching { seen, best, .. }) => (seen, best),
            _ => (0, None),
        };
        let (drawn, seen) = (drawn + wanted.asked.features.len(), before + found.seen);
        let best = split::better(&self.criterion, best, found.best);
        let state = if found.uniform {
            State::Leaf
        } else if seen < n_drawn && drawn < d {
            State::Searching { drawn, seen, best }
        } else {
            let best = best.map(|b| (self.criterion.gain(b.score, &b.left), b));
            match best.filter(|b| b.0 >= self.seed.work.limits.min_info_gain) {
                Some((gain, best)) => State::Split { gain, best },
                None => State::Leaf,
            }
        };
        self.nodes.insert(wanted.path, state);
        Ok(())
    }

    fn graft(&mut self, path: Path, tree: GrownTree) {
        self.nodes.insert(path, State::Subtree(tree));
    }

    fn finish(&self) -> GrownTree {
        match (&self.total, self.nodes.get(&1)) {
            // Few rows: it was grown whole.
            (None, Some(State::Subtree(tree))) => tree.clone(),
            _ => self.replay(|_, _| ()),
        }
    }
}
