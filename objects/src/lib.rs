//! Object stores by URL: durable puts, retry, hedging, page cache.
