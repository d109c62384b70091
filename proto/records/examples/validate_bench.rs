//! Prints how fast batches are validated: 1 KiB records in 64 KiB batches, uncompressed and under each codec.
//! `cargo run --release -p siltstone-records --example validate_bench`

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use siltstone_records::{Batch, BatchBuilder, BuildError, Compression, NewRecord, Rules, Scratch, validate};

const NOW: i64 = 1_700_000_000_000;
const FOR: Duration = Duration::from_secs(1);

/// Half noise, half text: compresses about two to one, as logs and JSON do under fast codecs.
fn value(seed: &mut u64) -> Vec<u8> {
    let noise = |seed: &mut u64| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as u8
    };
    (0..1024).map(|i| if i % 32 < 16 { b"the same sixteen"[i % 16] } else { noise(seed) }).collect()
}

fn batch(codec: Compression, scratch: &mut Scratch) -> Result<Bytes, BuildError> {
    let (mut seed, mut builder) = (1, BatchBuilder::new().compression(codec, None));
    while builder.len() < (64 << 10) - 1100 {
        let value = value(&mut seed);
        builder.push(&NewRecord { timestamp: NOW, value: Some(&value), ..NewRecord::default() })?;
    }
    builder.build(scratch)
}

/// GiB of `len` bytes a second.
fn measure(len: usize, mut work: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    let mut rounds = 0u64;
    while start.elapsed() < FOR {
        for _ in 0..16 {
            assert!(black_box(work()), "the batch is refused");
        }
        rounds += 16;
    }
    (rounds * len as u64) as f64 / start.elapsed().as_secs_f64() / f64::from(1 << 30)
}

// A program whose output is its purpose.
#[allow(clippy::print_stdout)]
fn main() -> Result<(), BuildError> {
    let mut scratch = Scratch::new();
    let rules = Rules::defaults(NOW);
    println!("{:8} {:>10} {:>22} {:>22}", "codec", "bytes", "GiB/s of the batch", "GiB/s of its records");
    for codec in Compression::ALL {
        let bytes = batch(codec, &mut scratch)?;
        let plain = batch(Compression::None, &mut scratch)?.len();
        let speed = measure(bytes.len(), || validate(&bytes, &rules, &mut scratch).is_ok());
        let records = speed * plain as f64 / bytes.len() as f64;
        println!("{:8} {:>10} {speed:>22.2} {records:>22.2}", codec.name(), bytes.len());
        if codec == Compression::None {
            let crc = measure(bytes.len(), || Batch::parse(&bytes).is_ok_and(|batch| batch.crc_is_valid()));
            println!("{:8} {:>10} {crc:>22.2}", "(crc)", bytes.len());
        }
    }
    Ok(())
}
