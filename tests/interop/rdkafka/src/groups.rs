//! The steps of scenarios/group_clients.py: members of groups, and transactions of consume-process-produce.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::{Failure, demand};

const FIRST: usize = 1000;
const MORE: usize = 40;
const PARTITIONS: usize = 4;
const BATCH: usize = 100;
const WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// The program's arguments, and the moment at which it gives up.
pub struct Run {
    pub bootstrap: String,
    pub source: String,
    pub out: String,
    pub group: String,
    pub end: Instant,
}

impl Run {
    /// All steps, in order; the first failed check ends them.
    pub fn all(&self) -> Result<(), Failure> {
        self.in_group()?;
        self.shared()?;
        self.transactions()?;
        self.read_committed()?;
        self.fenced()
    }

    fn client<T: FromClientConfig>(&self, settings: &[(&str, &str)]) -> Result<T, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create()
    }

    fn member(&self, group: &str, topic: &str) -> Result<BaseConsumer, Failure> {
        let consumer: BaseConsumer = self.client(&[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            ("heartbeat.interval.ms", "200"),
            ("session.timeout.ms", "10000"),
            ("fetch.wait.max.ms", "100"),
        ])?;
        consumer.subscribe(&[topic])?;
        Ok(consumer)
    }

    fn producer(&self, id: &str) -> Result<ThreadedProducer<DefaultProducerContext>, Failure> {
        let producer: ThreadedProducer<DefaultProducerContext> = self.client(&[("transactional.id", id)])?;
        producer.init_transactions(WAIT)?;
        Ok(producer)
    }

    fn in_time(&self, what: &str) -> Result<(), Failure> {
        demand(Instant::now() < self.end, true, what)
    }

    /// Polls the members in turn until they gave `count` values, each of them once.
    fn gather(&self, count: usize, members: &[&BaseConsumer]) -> Result<HashSet<String>, Failure> {
        let mut seen = HashSet::new();
        while seen.len() < count {
            self.in_time(&format!("in time, so far {} of {count}", seen.len()))?;
            for member in members {
                while let Some(message) = member.poll(POLL) {
                    let value = text(message?.payload());
                    demand(seen.insert(value.clone()), true, &format!("{value} is read once"))?;
                }
            }
        }
        Ok(seen)
    }

    fn in_group(&self) -> Result<(), Failure> {
        let member = self.member(&self.group, &self.source)?;
        self.gather(FIRST, &[&member])?;
        member.commit_consumer_state(CommitMode::Sync)?;
        println!("ok: group");
        Ok(())
    }

    fn shared(&self) -> Result<(), Failure> {
        let one = self.member(&self.group, &self.source)?;
        let two = self.member(&self.group, &self.source)?;
        while one.assignment()?.count() != 2 || two.assignment()?.count() != 2 {
            self.in_time("both have a share in time")?;
            for member in [&one, &two] {
                demand(member.poll(POLL).is_none(), true, "nothing is read twice")?;
            }
        }
        let producer: ThreadedProducer<DefaultProducerContext> = self.client(&[])?;
        for index in 0..MORE {
            let (value, partition) = (format!("more-{index}"), (index % PARTITIONS) as i32);
            send(&producer, &self.source, &value, partition)?;
        }
        producer.flush(WAIT)?;
        let want: HashSet<String> = (0..MORE).map(|index| format!("more-{index}")).collect();
        demand(self.gather(MORE, &[&one, &two])?, want, "the second part")?;
        one.commit_consumer_state(CommitMode::Sync)?;
        two.commit_consumer_state(CommitMode::Sync)?;
        println!("ok: shared");
        Ok(())
    }

    fn transactions(&self) -> Result<(), Failure> {
        let name = format!("{}-tx", self.group);
        let (producer, consumer) = (self.producer(&name)?, self.member(&name, &self.source)?);
        let (mut attempt, mut done) = (0, 0);
        while done < FIRST + MORE {
            self.in_time(&format!("in time, so far {done}"))?;
            let Some(first) = consumer.poll(POLL) else { continue };
            producer.begin_transaction()?;
            let (mut next, mut count) = (Some(first), 0);
            while let Some(message) = next {
                let message = message?;
                send(&producer, &self.out, &format!("out-{}", text(message.payload())), message.partition())?;
                count += 1;
                next = if count < BATCH { consumer.poll(POLL) } else { None };
            }
            let metadata = consumer.group_metadata().ok_or("the consumer is in no group")?;
            producer.send_offsets_to_transaction(&consumer.position()?, &metadata, WAIT)?;
            if attempt % 3 == 0 {
                producer.abort_transaction(WAIT)?;
                rewind(&consumer)?;
            } else {
                producer.commit_transaction(WAIT)?;
                done += count;
            }
            attempt += 1;
        }
        println!("ok: transactions");
        Ok(())
    }

    fn read_committed(&self) -> Result<(), Failure> {
        let reader = self.member(&format!("{}-read", self.group), &self.out)?;
        let values = self.gather(FIRST + MORE, &[&reader])?;
        demand(values.iter().all(|value| value.starts_with("out-")), true, "values of the output")?;
        println!("ok: read committed");
        Ok(())
    }

    fn fenced(&self) -> Result<(), Failure> {
        let mut producers = Vec::new();
        for value in ["never", "nothing"] {
            let producer = self.producer(&format!("{}-fenced", self.group))?;
            producer.begin_transaction()?;
            send(&producer, &self.out, value, 0)?;
            producer.flush(WAIT)?;
            producers.push(producer);
        }
        let refused = producers[0].commit_transaction(WAIT).err();
        let fatal = matches!(&refused, Some(KafkaError::Transaction(error)) if error.is_fatal());
        demand(fatal, true, &format!("commit of the older producer: {refused:?}"))?;
        producers[1].abort_transaction(WAIT)?;
        println!("ok: fenced");
        Ok(())
    }
}

fn text(payload: Option<&[u8]>) -> String {
    String::from_utf8_lossy(payload.unwrap_or_default()).into_owned()
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    value: &str,
    partition: i32,
) -> Result<(), Failure> {
    let record = BaseRecord::<(), _>::to(topic).payload(value).partition(partition);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(())
}

/// Goes back to what is committed, or to the start where nothing is.
fn rewind(consumer: &BaseConsumer) -> Result<(), Failure> {
    let mut places = TopicPartitionList::new();
    for place in consumer.committed(WAIT)?.elements() {
        let offset = match place.offset() {
            Offset::Offset(at) => Offset::Offset(at),
            _ => Offset::Beginning,
        };
        places.add_partition_offset(place.topic(), place.partition(), offset)?;
    }
    consumer.seek_partitions(places, WAIT)?;
    Ok(())
}
