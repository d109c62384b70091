//! Standard input in blocks of whole lines, read by a thread of its own: reading it can't be waited for without blocking.

use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes read at once.
const BLOCK: usize = 256 << 10;
/// Blocks that wait to be written.
const AHEAD: usize = 4;
/// The longest line: more than any server takes as a record.
const LONGEST_LINE: usize = 128 << 20;

/// Blocks of whole lines; the last may lack its end. Whatever is there is handed on at once, so that typed lines don't wait.
pub(super) fn lines() -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, blocks) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        if let Err(error) =
            read(&mut io::stdin().lock(), &mut |block| sender.blocking_send(Ok(block)).is_ok())
        {
            // The command may have ended.
            let _ = sender.blocking_send(Err(error));
        }
    });
    blocks
}

/// Hands on blocks until the end, or until `take` says no.
fn read(input: &mut impl Read, take: &mut impl FnMut(Bytes) -> bool) -> io::Result<()> {
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let kept = rest.len();
        if kept > LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 128 MiB"));
        }
        rest.resize(kept + BLOCK.max(kept), 0);
        let read = input.read(&mut rest[kept..]);
        rest.truncate(kept + read.as_ref().map_or(0, |read| *read));
        let read = match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            if !rest.is_empty() {
                take(rest.into());
            }
            return Ok(());
        }
        if let Some(end) = rest[kept..].iter().rposition(|byte| *byte == b'\n') {
            let tail = rest.split_off(kept + end + 1);
            if !take(std::mem::replace(&mut rest, tail).into()) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(3).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn blocks_are_whole_lines_and_nothing_is_lost() {
        let text = b"a\n\nlong line here\nb\nlast";
        let mut blocks: Vec<Bytes> = Vec::new();
        read(&mut Slow(text), &mut |block| {
            blocks.push(block);
            true
        })
        .unwrap();
        let (last, whole) = blocks.split_last().unwrap();
        assert!(whole.iter().all(|block| block.ends_with(b"\n")), "{blocks:?}");
        assert_eq!(last, "last");
        assert_eq!(blocks.concat(), text);
    }
}
