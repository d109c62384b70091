//! What the command line says.

use std::time::Duration;

use crate::Failure;

/// The cluster and its load.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) agents: usize,
    pub(crate) partitions: u32,
    pub(crate) shards: u16,
    pub(crate) zones: usize,
    /// Of all partitions together, a second.
    pub(crate) mib: f64,
    /// Bytes of a batch.
    pub(crate) batch: usize,
    /// Until all is as it will be.
    pub(crate) settle: Duration,
    /// Over which it counts.
    pub(crate) seconds: Duration,
}

impl Args {
    pub(crate) fn parse() -> Result<Self, Failure> {
        let mut args = Args {
            agents: 1000,
            partitions: 200_000,
            shards: 256,
            zones: 3,
            mib: 1024.0,
            batch: 5120,
            settle: Duration::from_secs(90),
            seconds: Duration::from_secs(15),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--agents" => args.agents = value.parse()?,
                "--partitions" => args.partitions = value.parse()?,
                "--shards" => args.shards = value.parse()?,
                "--zones" => args.zones = value.parse()?,
                "--mib" => args.mib = value.parse()?,
                "--batch" => args.batch = value.parse()?,
                "--settle" => args.settle = Duration::from_secs(value.parse()?),
                "--seconds" => args.seconds = Duration::from_secs(value.parse()?),
                other => return Err(format!("{other}?").into()),
            }
        }
        Ok(args)
    }

    /// Batches of one partition in a second.
    pub(crate) fn batches_per_second(&self) -> f64 {
        self.mib * f64::from(1 << 20) / self.batch as f64 / f64::from(self.partitions)
    }
}
