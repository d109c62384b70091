//! What puts and gets of 8 MiB objects, made of chunks of 64 KiB, cost on a local directory: MiB/s and CPU seconds per GiB.
//!
//! `cargo run --release -p siltstone-objects --example put_bench -- DIR [OBJECTS] [IN_FLIGHT] [GET_KIB]`

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use siltstone_objects::{Environment, Objects, Options};

const OBJECT: u64 = 8 << 20;
const CHUNK: usize = 64 << 10;
/// The kernel's clock ticks a second, as /proc counts CPU time. It is 100 wherever Linux runs today.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: put_bench DIR [OBJECTS] [IN_FLIGHT] [GET_KIB]")?;
    let objects: u64 = arguments.next().map_or(Ok(128), |text| text.parse())?;
    let in_flight: usize = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let get_bytes: u64 = arguments.next().map_or(Ok(4096), |text| text.parse::<u64>())? << 10;
    let url = format!("file://{}", std::path::absolute(dir)?.display());
    let store = Objects::open(&url, &Options::default(), &Environment::of_process(), 1)?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let chunks: Vec<Bytes> =
        (0..OBJECT as usize / CHUNK).map(|n| Bytes::from(vec![n as u8; CHUNK])).collect();

    let watch = Watch::start()?;
    let puts = stream::iter(0..objects).map(|n| {
        let (store, chunks) = (store.clone(), chunks.clone());
        async move { store.put(&name(n), chunks, deadline).await }
    });
    puts.buffer_unordered(in_flight).try_collect::<()>().await?;
    watch.print("put", objects * OBJECT)?;

    let watch = Watch::start()?;
    let parts = (0..objects).flat_map(|n| (0..OBJECT / get_bytes).map(move |part| (n, part * get_bytes)));
    let gets = stream::iter(parts).map(|(n, from)| {
        let store = store.clone();
        async move { store.get(&name(n), from..from + get_bytes, deadline).await.map(drop) }
    });
    gets.buffer_unordered(in_flight).try_collect::<()>().await?;
    watch.print("get", objects * OBJECT)?;

    store.delete((0..objects).map(name).collect(), deadline).await?;
    Ok(())
}

fn name(n: u64) -> String {
    format!("bench/{:02x}/{n:08x}", n % 8)
}

struct Watch {
    begun: Instant,
    cpu: (f64, f64),
}

impl Watch {
    fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self { begun: Instant::now(), cpu: cpu()? })
    }

    fn print(&self, what: &str, bytes: u64) -> Result<(), Box<dyn Error>> {
        let (seconds, cpu) = (self.begun.elapsed().as_secs_f64(), cpu()?);
        let gib = bytes as f64 / (1u64 << 30) as f64;
        let (user, system) = ((cpu.0 - self.cpu.0) / gib, (cpu.1 - self.cpu.1) / gib);
        println!(
            "{what}: {:.0} MiB/s, CPU {:.2} s/GiB (user {user:.2}, system {system:.2})",
            gib * 1024.0 / seconds,
            user + system
        );
        Ok(())
    }
}

/// CPU seconds of this process so far: in user code, in the kernel.
fn cpu() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The command's name is in parentheses and may hold spaces; state is the first field after it, utime the twelfth.
    let (_, fields) = stat.rsplit_once(')').ok_or("an unknown form of /proc/self/stat")?;
    let ticks = |at: usize| -> Result<f64, Box<dyn Error>> {
        let field = fields.split_whitespace().nth(at).ok_or("too few fields in /proc/self/stat")?;
        Ok(field.parse::<f64>()? / TICKS)
    };
    Ok((ticks(11)?, ticks(12)?))
}
