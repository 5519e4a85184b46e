//! Things that need each other in a circle.

/// A cycle in a graph, given as the edges of each node, as the nodes on it; `None` if there is none. Which one is found
/// depends only on the graph.
pub fn find(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; edges.len()];
    for start in 0..edges.len() {
        if marks.get(start) != Some(&Mark::New) {
            continue;
        }
        // Depth first with a stack of its own: a chain of ten thousand must not end the thread's.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((node, next)) = path.last_mut() {
            let Some(&to) = edges[*node].get(*next) else {
                marks[*node] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks.get(to) {
                Some(Mark::New) => {
                    marks[to] = Mark::Open;
                    path.push((to, 0));
                }
                Some(Mark::Open) => {
                    let from = path.iter().position(|(node, _)| *node == to).unwrap_or(0);
                    return Some(path.into_iter().skip(from).map(|(node, _)| node).collect());
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_circles_and_nothing_else() {
        assert_eq!(find(&[vec![1, 2], vec![2], vec![]]), None);
        assert_eq!(find(&[vec![0]]), Some(vec![0]));
        assert_eq!(
            find(&[vec![1], vec![2], vec![3], vec![1]]),
            Some(vec![1, 2, 3])
        );
        let chain: Vec<Vec<usize>> = (1..=100_000)
            .map(|next| vec![next])
            .chain([vec![]])
            .collect();
        assert_eq!(find(&chain), None);
    }
}
