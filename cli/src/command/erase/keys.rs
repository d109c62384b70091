//! Keys as people give them.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

use crate::failure::Failure;

/// A file of keys may have so many bytes.
const MOST: u64 = 64 << 20;

/// A key in hexadecimal.
pub(super) fn hex(text: &str) -> Result<Bytes, String> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
        }
        _ => Err(format!("{text:?} is not an even number of hexadecimal digits")),
    }
}

/// A key in each line; an empty line is none.
pub(super) fn from_file(path: &Path) -> Result<Vec<Bytes>, Failure> {
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(path).map_err(failed)?.take(MOST + 1).read_to_end(&mut bytes),
    };
    if read.map_err(failed)? as u64 > MOST {
        return Err(Failure::new(format!("{}: more than {MOST} bytes of keys", path.display())));
    }
    Ok(lines(&Bytes::from(bytes)))
}

fn lines(bytes: &Bytes) -> Vec<Bytes> {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).map(|line| bytes.slice_ref(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        assert_eq!(hex("00fFa1").as_deref(), Ok(&[0, 0xff, 0xa1][..]));
        assert_eq!(hex("").as_deref(), Ok(&[][..]), "a key may be empty");
        assert!(hex("abc").is_err() && hex("zz").is_err());
        let read = lines(&Bytes::from_static(b"alice\r\n\nbob \n\xff"));
        assert_eq!(read, [&b"alice"[..], b"bob ", b"\xff"]);
    }
}
