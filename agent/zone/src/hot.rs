//! How often a page was asked for lately, more or less: a count-min sketch that ages. Pure.
//!
//! Never too little but for ageing, now and then too much, in a fixed amount of memory. Counted is each time that a page had to be borrowed *again*: a
//! page that is read from front to back is borrowed once, and one that many want for long comes back after it was dropped.

use siltstone_log::mix64;

const ROWS: usize = 4;
/// Counters of a row; a power of two.
const WIDTH: usize = 4096;
/// After so many additions all counters are halved.
const AGE: usize = 4 * WIDTH;
/// Borrowed so often lately, a page is kept by who borrows it.
const HOT: u8 = 3;

/// The counters.
#[derive(Debug)]
pub(crate) struct Sketch {
    counters: Box<[[u8; WIDTH]; ROWS]>,
    added: usize,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { counters: Box::new([[0; WIDTH]; ROWS]), added: 0 }
    }
}

impl Sketch {
    /// Counts one more. Whether that makes the page a hot one.
    pub(crate) fn add(&mut self, key: u64) -> bool {
        self.added += 1;
        if self.added >= AGE {
            self.added = 0;
            self.counters.iter_mut().flatten().for_each(|counter| *counter /= 2);
        }
        let at = |row: usize| mix64(key ^ mix64(row as u64)) as usize % WIDTH;
        let least = self.counters.iter().enumerate().map(|(row, counters)| counters[at(row)]).min();
        let count = least.unwrap_or_default().saturating_add(1);
        for (row, counters) in self.counters.iter_mut().enumerate() {
            let counter = &mut counters[at(row)];
            *counter = (*counter).max(count);
        }
        count >= HOT
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_back_is_hot_and_what_comes_once_is_not() {
        let mut sketch = Sketch::default();
        let hot = |sketch: &mut Sketch, key| sketch.add(mix64(key));
        assert!(!hot(&mut sketch, 1) && !hot(&mut sketch, 1) && hot(&mut sketch, 1));
        let mistaken = (100..5100).filter(|key| hot(&mut sketch, *key)).count();
        assert!(mistaken < 50, "{mistaken} of 5000 that came once");
    }

    #[test]
    fn what_was_hot_long_ago_is_not() {
        let mut sketch = Sketch::default();
        (0..3).for_each(|_| _ = sketch.add(7));
        (0..3 * AGE as u64).for_each(|key| _ = sketch.add(mix64(key % 500)));
        // All that is left of it is what others added in its places.
        let mut fresh = Sketch::default();
        (0..3 * AGE as u64).for_each(|key| _ = fresh.add(mix64(key % 500)));
        assert_eq!(sketch.add(7), fresh.add(7));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn no_page_is_counted_too_little(keys in prop::collection::vec(0u64..300, 1..2000)) {
            let mut sketch = Sketch::default();
            let mut counts = std::collections::BTreeMap::new();
            for key in keys {
                let count = counts.entry(key).or_insert(0u32);
                *count += 1;
                let hot = sketch.add(mix64(key));
                prop_assert!(hot || *count < u32::from(HOT));
            }
        }
    }
}
