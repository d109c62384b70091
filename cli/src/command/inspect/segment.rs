//! A segment, read by its footer alone.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{Encoding, Footer, FooterBlock, TRAILER_BYTES};
use siltstone_objects::{Environment, Objects};
use siltstone_records::{Batch, Scratch, batches};
use tokio::time::Instant;

use super::SegmentArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{Table, show_timestamp};
use crate::settings::{Flags, load};

/// How long a read of an object may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What every object's name of a segment begins with.
const SEGMENTS: &str = "/seg/";
/// The most that a batch may be when decompressed.
const LARGEST_BATCH: usize = 1 << 30;
/// Bytes of a key or value that are shown.
const SHOWN: usize = 60;

/// Where a segment is read from.
enum Place {
    File(std::fs::File),
    Object(Box<Objects>, String),
}

impl Place {
    fn open(args: &SegmentArgs) -> Result<(Place, Option<u64>), Failure> {
        let text = &args.segment;
        if !text.contains("://") {
            let failed = |error: std::io::Error| Failure::new(format!("{text} can't be read: {error}"));
            let file = std::fs::File::open(text).map_err(failed)?;
            let length = file.metadata().map_err(failed)?.len();
            return Ok((Place::File(file), Some(length)));
        }
        let at = text.rfind(SEGMENTS).ok_or_else(|| {
            Failure::new(format!(
                "{text} does not hold an object's name: it goes on behind the store's URL with seg/"
            ))
        })?;
        let (url, name) = (&text[..at], text[at + 1..].to_owned());
        let url_flag = ("segment".to_owned(), "store.url".to_owned(), url.to_owned());
        let settings = load(&Flags { config: args.config.clone(), values: vec![url_flag] })?.settings;
        let objects = Objects::open(url, &settings.objects(), &Environment::of_process(), rand::random());
        let objects = objects.map_err(|error| Failure::new(error.to_string()))?;
        Ok((Place::Object(Box::new(objects), name), None))
    }

    async fn length(&self) -> Result<u64, Failure> {
        match self {
            Place::File(file) => Ok(file.metadata()?.len()),
            Place::Object(objects, name) => {
                let found = objects.head(name, Instant::now() + PATIENCE).await;
                Ok(found.map_err(|error| Failure::new(error.to_string()))?.size)
            }
        }
    }

    async fn read(&self, start: u64, length: u64) -> Result<Bytes, Failure> {
        match self {
            Place::File(file) => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
            Place::Object(objects, name) => {
                let read = objects.get(name, start..start + length, Instant::now() + PATIENCE).await;
                read.map_err(|error| Failure::new(error.to_string()))
            }
        }
    }
}

/// Runs the command.
pub(super) async fn run(args: &SegmentArgs) -> Outcome {
    let (place, _) = Place::open(args)?;
    let length = place.length().await?;
    let (footer, footer_bytes) = footer(&place, length).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "segment  {}", footer.id)?;
    writeln!(out, "object   {}", footer.id.object_name())?;
    writeln!(out, "written  {}", show_timestamp(footer.at))?;
    writeln!(out, "bytes    {length}, of which the footer takes {footer_bytes}")?;
    writeln!(out, "blocks   {}\n", footer.blocks.len())?;
    let mut damaged = 0;
    let mut table = Table::new(&[
        "BLOCK",
        "TOPIC",
        "PARTITION",
        "START",
        "BYTES",
        "STORED AS",
        "CHECKSUM",
        "BATCHES",
        "RECORDS",
    ]);
    let mut details = Vec::new();
    for (number, block) in footer.blocks.iter().enumerate() {
        let looked = look(&place, block, length - footer_bytes).await?;
        damaged += usize::from(looked.damage.is_some());
        table.row(row(number, block, &looked));
        if args.batches || args.records {
            detail(&mut details, number, &looked, args.records)?;
        }
        if let Some(damage) = &looked.damage {
            writeln!(details, "block {number} is damaged: {damage}")?;
        }
    }
    table.write(&mut out)?;
    out.write_all(&details)?;
    out.flush()?;
    match damaged {
        0 => Ok(()),
        1 => Err(Failure::new("1 block is damaged")),
        count => Err(Failure::new(format!("{count} blocks are damaged"))),
    }
}

async fn footer(place: &Place, length: u64) -> Result<(Footer, u64), Failure> {
    let none = |why: String| Failure::new(format!("this is not a whole segment: {why}"));
    let trailer = TRAILER_BYTES as u64;
    if length < trailer {
        return Err(none(format!("it has {length} bytes")));
    }
    let bytes = place.read(length - trailer, trailer).await?;
    let footer_bytes = Footer::length(&bytes).map_err(|error| none(error.to_string()))? as u64;
    if footer_bytes > length {
        return Err(none(format!("its footer would have {footer_bytes} bytes")));
    }
    let bytes = place.read(length - footer_bytes, footer_bytes).await?;
    let footer = Footer::decode(&bytes).map_err(|error| none(error.to_string()))?;
    Ok((footer, footer_bytes))
}

/// What a block holds.
struct Looked {
    batches: Vec<Batch>,
    damage: Option<String>,
}

async fn look(place: &Place, block: &FooterBlock, blocks_end: u64) -> Result<Looked, Failure> {
    let damaged = |why: String| Ok(Looked { batches: Vec::new(), damage: Some(why) });
    let (start, length) = (block.place.start, u64::from(block.place.length));
    if start.checked_add(length).is_none_or(|end| end > blocks_end) {
        return damaged("it reaches beyond the segment's blocks".to_owned());
    }
    let stored = place.read(start, length).await?;
    if crc32c::crc32c(&stored) != block.checksum {
        return damaged("its checksum does not match".to_owned());
    }
    let plain = match block.place.encoding.unpack(stored) {
        Ok(plain) => plain,
        Err(error) => return damaged(format!("it {error}")),
    };
    let (mut found, mut damage) = (Vec::new(), None);
    for batch in batches(plain) {
        match batch {
            Ok(batch) => {
                if !batch.crc_is_valid() {
                    damage.get_or_insert(format!("the checksum of batch {} does not match", found.len()));
                }
                found.push(batch);
            }
            Err(error) => {
                damage.get_or_insert(error.to_string());
            }
        }
    }
    Ok(Looked { batches: found, damage })
}

fn row(number: usize, block: &FooterBlock, looked: &Looked) -> [String; 9] {
    let encoding = match block.place.encoding {
        Encoding::Plain => "plain".to_owned(),
        Encoding::Zstd { raw_length } => format!("zstd of {raw_length}"),
    };
    let records: i64 = looked.batches.iter().map(|batch| i64::from(batch.count)).sum();
    [
        number.to_string(),
        block.partition.topic.to_string(),
        block.partition.index.to_string(),
        block.place.start.to_string(),
        block.place.length.to_string(),
        encoding,
        if looked.damage.is_some() { "DAMAGED" } else { "ok" }.to_owned(),
        looked.batches.len().to_string(),
        records.to_string(),
    ]
}

fn detail(out: &mut Vec<u8>, number: usize, looked: &Looked, records: bool) -> Outcome {
    let mut scratch = Scratch::new();
    for (at, batch) in looked.batches.iter().enumerate() {
        let codec =
            batch.attributes.compression().map_or_else(|id| format!("codec {id}"), |c| c.name().to_owned());
        let producer = if batch.producer_id < 0 {
            "no producer".to_owned()
        } else {
            format!(
                "producer {} epoch {} sequence {}",
                batch.producer_id, batch.producer_epoch, batch.base_sequence
            )
        };
        writeln!(
            out,
            "block {number} batch {at}: {} records, {} bytes, {codec}, {producer}, up to {}",
            batch.count,
            batch.total_len(),
            show_timestamp(batch.max_timestamp)
        )?;
        if records {
            write_records(out, batch, &mut scratch)?;
        }
    }
    Ok(())
}

fn write_records(out: &mut Vec<u8>, batch: &Batch, scratch: &mut Scratch) -> Outcome {
    let found = match batch.records(LARGEST_BATCH, scratch) {
        Ok(found) => found,
        Err(error) => return Ok(writeln!(out, "  {error}")?),
    };
    for record in &found {
        match record {
            Ok(record) => writeln!(
                out,
                "  +{} {} key {} value {} headers {}",
                record.offset_delta,
                show_timestamp(record.timestamp),
                shorten(record.key),
                shorten(record.value),
                record.header_count()
            )?,
            Err(error) => writeln!(out, "  {error}")?,
        }
    }
    Ok(())
}

fn shorten(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    if bytes.len() > SHOWN {
        format!("\"{shown}\"... of {} bytes", bytes.len())
    } else {
        format!("\"{shown}\"")
    }
}
