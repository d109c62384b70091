//! Log lines that clients can cause are limited in number, so that a client can't fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets so many lines through in a second, and says how many it left out.
#[derive(Debug)]
pub(super) struct Limited {
    per_second: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Limited {
    pub(super) fn new(per_second: u32) -> Self {
        Limited { per_second, window: Mutex::default() }
    }

    /// Calls `log`, unless there were too many of late.
    pub(super) fn line(&self, log: impl FnOnce()) {
        let now = Instant::now();
        let left_out = {
            let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            let over = window.began.is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1));
            let mut left_out = 0;
            if over {
                left_out = window.left_out;
                *window = Window { began: Some(now), lines: 0, left_out: 0 };
            }
            if window.lines >= self.per_second {
                window.left_out += 1;
                return;
            }
            window.lines += 1;
            left_out
        };
        if left_out > 0 {
            tracing::warn!(left_out, "lines about connections were left out of the log");
        }
        log();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_beyond_the_limit_are_left_out_until_the_second_is_over() {
        let limited = Limited::new(3);
        let mut lines = 0;
        (0..10).for_each(|_| limited.line(|| lines += 1));
        assert_eq!(lines, 3);
        tokio::time::advance(Duration::from_secs(1)).await;
        limited.line(|| lines += 1);
        assert_eq!(lines, 4);
    }
}
