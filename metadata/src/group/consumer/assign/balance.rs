//! Evening out a board: first within each topic, then along chains of topics.
//!
//! A chain is needed with overlapping subscriptions: A (has 9) subscribes to t, B (has 10) to t and u, C (has 11) to u. No move of one partition
//! helps, but a partition of u from C to B and one of t from B to A does. Where no chain leads from a member to one that has two or
//! more fewer, no assignment is more even (it is a semi-matching of least cost). Searching chains costs the size of the group per move, so it has a
//! budget: a very large group with mixed subscriptions may end a little less even than it could be, never with a partition lost.

use std::collections::{BTreeSet, VecDeque};

use super::uniform::Board;

/// Passes over all topics; each pass about halves what is uneven.
const PASSES: usize = 16;
/// Steps of all searches together, each a look at one member of one topic: some 100 ms.
const SEARCH_STEPS: usize = 5_000_000;

pub(super) fn balance(board: &mut Board) {
    let topics: Vec<usize> =
        (0..board.subscribers.len()).filter(|topic| board.subscribers[*topic].len() > 1).collect();
    for _ in 0..PASSES {
        let moved = topics.iter().map(|topic| level(board, *topic)).fold(false, |any, moved| any | moved);
        if !moved {
            break;
        }
    }
    let mut steps = SEARCH_STEPS;
    while let Some(chain) = chain(board, &mut steps) {
        for Link { topic, from, to } in chain {
            board.shift(topic, from, to);
        }
    }
}

/// Moves partitions of one topic from those of its holders that have the most to those of its subscribers that have the least.
fn level(board: &mut Board, topic: usize) -> bool {
    let load = |member: &usize| board.load[*member];
    let most = board.held[topic].keys().map(load).max().unwrap_or(0);
    let least = board.subscribers[topic].iter().map(load).min().unwrap_or(0);
    if most < least + 2 {
        return false;
    }
    let rank = |board: &Board, member: usize| (board.load[member], member);
    let mut all: BTreeSet<(usize, usize)> =
        board.subscribers[topic].iter().map(|member| rank(board, *member)).collect();
    let mut holders: BTreeSet<(usize, usize)> =
        board.held[topic].keys().map(|member| rank(board, *member)).collect();
    let mut moved = false;
    // Each turn moves a partition to where the sum of squares is smaller: it ends.
    while let (Some(most), Some(least)) = (holders.last().copied(), all.first().copied()) {
        if most.0 < least.0 + 2 || !board.shift(topic, most.1, least.1) {
            break;
        }
        moved = true;
        for member in [most, least] {
            all.remove(&member);
            holders.remove(&member);
            all.insert(rank(board, member.1));
            if board.held[topic].contains_key(&member.1) {
                holders.insert(rank(board, member.1));
            }
        }
    }
    moved
}

/// A partition of `topic` goes from one member to another.
struct Link {
    topic: usize,
    from: usize,
    to: usize,
}

/// A chain of moves that makes the board more even, or none if there is none or the steps are used up.
fn chain(board: &Board, steps: &mut usize) -> Option<Vec<Link>> {
    let least = board.load.iter().min().copied().unwrap_or(0);
    let mut starts: Vec<usize> =
        (0..board.load.len()).filter(|member| board.load[*member] >= least + 2).collect();
    starts.sort_by_key(|member| (std::cmp::Reverse(board.load[*member]), *member));
    let mut search = Search::new(board);
    // A later start has less: what an earlier one reached is of no use to it either, so marks are kept.
    starts.into_iter().find_map(|start| search.from(start, steps))
}

struct Search<'a> {
    board: &'a Board,
    seen_topics: Vec<bool>,
    seen_members: Vec<bool>,
    /// How a member was reached: the topic and the member before.
    reached: Vec<Option<(usize, usize)>>,
}

impl<'a> Search<'a> {
    fn new(board: &'a Board) -> Self {
        let (topics, members) = (board.subscribers.len(), board.load.len());
        Search {
            board,
            seen_topics: vec![false; topics],
            seen_members: vec![false; members],
            reached: vec![None; members],
        }
    }

    fn from(&mut self, start: usize, steps: &mut usize) -> Option<Vec<Link>> {
        if std::mem::replace(&mut self.seen_members[start], true) {
            return None;
        }
        let enough = self.board.load[start].checked_sub(2)?;
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for topic in &self.board.topics_of[from] {
                if std::mem::replace(&mut self.seen_topics[*topic], true) {
                    continue;
                }
                for to in &self.board.subscribers[*topic] {
                    *steps = steps.checked_sub(1)?;
                    if std::mem::replace(&mut self.seen_members[*to], true) {
                        continue;
                    }
                    self.reached[*to] = Some((*topic, from));
                    if self.board.load[*to] <= enough {
                        return Some(self.links(start, *to));
                    }
                    queue.push_back(*to);
                }
            }
        }
        None
    }

    /// From the end back to the start, so that nobody gives what it has yet to get.
    fn links(&self, start: usize, end: usize) -> Vec<Link> {
        let mut links = Vec::new();
        let mut to = end;
        while to != start {
            let Some((topic, from)) = self.reached[to] else { break };
            links.push(Link { topic, from, to });
            to = from;
        }
        links
    }
}
