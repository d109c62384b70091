//! Tests of what moves bytes between the fold and a store, over the store in memory.

mod keys_page;
