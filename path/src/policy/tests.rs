//! The graph against the tree of RFC 5280 6.1 written down word by word, on small random paths.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn oid(n: u8) -> Oid {
    if n == 0 { Oid::new(oid::ANY_POLICY) } else { Oid::new(&[0x2a, n]) }
}

/// A node of the tree of RFC 5280: its policy, what is expected of its children, its parent.
#[derive(Clone)]
struct TreeNode {
    depth: usize,
    policy: u8,
    expected: BTreeSet<u8>,
    parent: usize,
    gone: bool,
}

#[derive(Clone, Debug)]
struct Cert {
    policies: Option<BTreeSet<u8>>,
    mappings: Vec<(u8, u8)>,
    explicit: Option<u32>,
    inhibit_mapping: Option<u32>,
    inhibit_any: Option<u32>,
    self_issued: bool,
}

struct Tree(Vec<TreeNode>);

impl Tree {
    fn at(&self, depth: usize) -> Vec<usize> {
        (0..self.0.len()).filter(|i| self.0[*i].depth == depth && !self.0[*i].gone).collect()
    }

    fn add(&mut self, parent: usize, policy: u8, expected: BTreeSet<u8>) {
        let depth = self.0[parent].depth + 1;
        self.0.push(TreeNode { depth, policy, expected, parent, gone: false });
    }

    /// Deletes nodes above `depth` without children, again and again.
    fn prune(&mut self, depth: usize) {
        for above in (0..depth).rev() {
            for i in self.at(above) {
                if !self.at(above + 1).iter().any(|c| self.0[*c].parent == i) {
                    self.0[i].gone = true;
                }
            }
        }
    }

    fn is_null(&self) -> bool {
        self.0.iter().all(|n| n.gone)
    }

    fn root_gone(&mut self) {
        self.0.iter_mut().for_each(|n| n.gone = true);
    }
}

/// RFC 5280 6.1.2 to 6.1.5, for policies alone: whether the path stands.
fn by_the_letter(path: &[Cert], wanted: &BTreeSet<u8>, start: (bool, bool, bool)) -> bool {
    let n = path.len();
    let from = |now: bool| if now { 0 } else { n as u32 + 1 };
    let (mut explicit, mut mapping, mut any) = (from(start.0), from(start.1), from(start.2));
    let mut tree =
        Tree(vec![TreeNode { depth: 0, policy: 0, expected: [0].into(), parent: 0, gone: false }]);
    for (index, cert) in path.iter().enumerate() {
        let depth = index + 1;
        let last = depth == n;
        match &cert.policies {
            Some(policies) if !tree.is_null() => {
                for p in policies.iter().copied().filter(|p| *p != 0) {
                    let mut matched = false;
                    for parent in tree.at(depth - 1) {
                        if tree.0[parent].expected.contains(&p) {
                            tree.add(parent, p, [p].into());
                            matched = true;
                        }
                    }
                    if !matched {
                        for parent in tree.at(depth - 1) {
                            if tree.0[parent].policy == 0 {
                                tree.add(parent, p, [p].into());
                            }
                        }
                    }
                }
                if policies.contains(&0) && (any > 0 || (!last && cert.self_issued)) {
                    for parent in tree.at(depth - 1) {
                        for e in tree.0[parent].expected.clone() {
                            let there = tree
                                .at(depth)
                                .iter()
                                .any(|c| tree.0[*c].parent == parent && tree.0[*c].policy == e);
                            if !there {
                                tree.add(parent, e, [e].into());
                            }
                        }
                    }
                }
                tree.prune(depth);
            }
            _ => tree.root_gone(),
        }
        if explicit == 0 && tree.is_null() {
            return false;
        }
        if last {
            explicit = explicit.saturating_sub(1);
            if cert.explicit == Some(0) {
                explicit = 0;
            }
            break;
        }
        if cert.mappings.iter().any(|(a, b)| *a == 0 || *b == 0) {
            return false;
        }
        let issuers: BTreeSet<u8> = cert.mappings.iter().map(|(a, _)| *a).collect();
        for issuer in issuers {
            let to: BTreeSet<u8> =
                cert.mappings.iter().filter(|(a, _)| *a == issuer).map(|(_, b)| *b).collect();
            let here: Vec<_> =
                tree.at(depth).into_iter().filter(|i| tree.0[*i].policy == issuer).collect();
            if mapping > 0 {
                for i in &here {
                    tree.0[*i].expected = to.clone();
                }
                let any_here = tree.at(depth).into_iter().find(|i| tree.0[*i].policy == 0);
                if let (true, Some(any)) = (here.is_empty(), any_here) {
                    let parent = tree.0[any].parent;
                    tree.add(parent, issuer, to);
                }
            } else {
                here.iter().for_each(|i| tree.0[*i].gone = true);
                tree.prune(depth);
            }
        }
        if !cert.self_issued {
            explicit = explicit.saturating_sub(1);
            mapping = mapping.saturating_sub(1);
            any = any.saturating_sub(1);
        }
        explicit = explicit.min(cert.explicit.unwrap_or(u32::MAX));
        mapping = mapping.min(cert.inhibit_mapping.unwrap_or(u32::MAX));
        any = any.min(cert.inhibit_any.unwrap_or(u32::MAX));
    }
    // 6.1.5 (g).
    if !tree.is_null() && !wanted.contains(&0) {
        let domain: Vec<usize> = (1..tree.0.len())
            .filter(|i| {
                let node = &tree.0[*i];
                !node.gone && tree.0[node.parent].policy == 0
            })
            .collect();
        for i in &domain {
            if tree.0[*i].policy != 0 && !wanted.contains(&tree.0[*i].policy) {
                delete(&mut tree, *i);
            }
        }
        let last_any = tree.at(n).into_iter().find(|i| tree.0[*i].policy == 0);
        if let Some(last_any) = last_any {
            let parent = tree.0[last_any].parent;
            for p in wanted {
                if !domain.iter().any(|i| tree.0[*i].policy == *p) {
                    tree.add(parent, *p, [*p].into());
                }
            }
            tree.0[last_any].gone = true;
        }
        tree.prune(n);
    }
    explicit > 0 || !tree.is_null()
}

fn delete(tree: &mut Tree, node: usize) {
    tree.0[node].gone = true;
    let children: Vec<_> =
        (1..tree.0.len()).filter(|i| tree.0[*i].parent == node && !tree.0[*i].gone).collect();
    for child in children {
        delete(tree, child);
    }
}

fn of(cert: &Cert) -> Extensions {
    let asserted = cert.policies.as_ref().map(|policies| Asserted {
        policies: policies.iter().filter(|p| **p != 0).map(|p| oid(*p)).collect(),
        any: policies.contains(&0),
        fault: None,
    });
    let pairs: Vec<_> = cert.mappings.iter().map(|(a, b)| (oid(*a), oid(*b))).collect();
    let constraints =
        Constraints { require_explicit: cert.explicit, inhibit_mapping: cert.inhibit_mapping };
    Extensions {
        asserted,
        mappings: (!pairs.is_empty()).then_some(Mappings(pairs)),
        constraints: Some(constraints),
        inhibit_any: cert.inhibit_any,
    }
}

fn by_graph(path: &[Cert], wanted: &BTreeSet<u8>, start: (bool, bool, bool)) -> bool {
    let extensions: Vec<_> = path.iter().map(of).collect();
    let steps: Vec<_> = path
        .iter()
        .zip(&extensions)
        .map(|(cert, extensions)| Step { extensions, self_issued: cert.self_issued })
        .collect();
    let wanted = Wanted {
        policies: wanted.iter().map(|p| oid(*p)).collect(),
        require_explicit: start.0,
        inhibit_mapping: start.1,
        inhibit_any: start.2,
    };
    process(&Extensions::default(), &steps, &wanted, &mut 1_000_000).is_ok()
}

fn certs() -> impl Strategy<Value = Cert> {
    let few = || proptest::option::weighted(0.25, 0u32..3);
    let policies = proptest::option::weighted(0.95, proptest::collection::btree_set(0u8..5, 1..5));
    let mappings = proptest::collection::vec((1u8..5, 1u8..5), 0..4);
    (policies, mappings, few(), few(), few(), proptest::bool::weighted(0.2)).prop_map(
        |(policies, mappings, explicit, inhibit_mapping, inhibit_any, self_issued)| Cert {
            policies,
            mappings,
            explicit,
            inhibit_mapping,
            inhibit_any,
            self_issued,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_graph_says_what_the_tree_says(
        path in proptest::collection::vec(certs(), 1..5),
        wanted in proptest::collection::btree_set(0u8..5, 1..4),
        start in (any::<bool>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.2)),
    ) {
        prop_assert_eq!(by_graph(&path, &wanted, start), by_the_letter(&path, &wanted, start));
    }
}

#[test]
fn mappings_cost_what_they_list() {
    // Every policy to every policy, at every certificate: 10^20 ways in the tree of RFC 5280.
    let many: BTreeSet<u8> = (1..=100).collect();
    let mappings = many.iter().flat_map(|a| (1..=100).map(move |b| (*a, b))).collect();
    let cert = Cert {
        policies: Some(many),
        mappings,
        explicit: None,
        inhibit_mapping: None,
        inhibit_any: None,
        self_issued: false,
    };
    let extensions = of(&cert);
    let steps: Vec<_> =
        (0..10).map(|_| Step { extensions: &extensions, self_issued: false }).collect();
    let wanted = Wanted { require_explicit: true, ..Wanted::default() };
    let mut budget = 120_000;
    let holds = process(&Extensions::default(), &steps, &wanted, &mut budget).unwrap();
    assert_eq!(holds.policies.len(), 100);
    // And one that is used up is a refusal.
    let refused = process(&Extensions::default(), &steps, &wanted, &mut 15_000);
    assert_eq!(refused, Err((1, Refusal::TooMuchWork)));
}
