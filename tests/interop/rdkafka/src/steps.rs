//! One method per step; each prints its `ok:` line once all its checks passed.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use crate::records::{COUNT, PARTITIONS, TOO_LARGE, headers, key, pairs, seek_offset, value};
use crate::{Failure, demand};

const WAIT: Duration = Duration::from_secs(20);

/// Which of these is told depends on whether the client or the broker noticed first.
const UNKNOWN: [RDKafkaErrorCode; 3] = [
    RDKafkaErrorCode::UnknownTopic,
    RDKafkaErrorCode::UnknownPartition,
    RDKafkaErrorCode::UnknownTopicOrPartition,
];

/// The program's arguments.
pub struct Run {
    pub bootstrap: String,
    pub topic: String,
    pub base: i64,
}

impl Run {
    /// All steps, in order; the first failed check ends them.
    pub async fn all(&self) -> Result<(), Failure> {
        self.create().await?;
        self.produce().await?;
        self.read()?;
        self.timestamps()?;
        self.too_large().await?;
        self.unknown_topic().await
    }

    fn client<T: FromClientConfig>(&self, settings: &[(&str, &str)]) -> Result<T, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create()
    }

    fn consumer(&self) -> Result<BaseConsumer, KafkaError> {
        self.client(&[
            ("group.id", "never-joined"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "error"),
        ])
    }

    async fn create(&self) -> Result<(), Failure> {
        let admin: AdminClient<DefaultClientContext> = self.client(&[])?;
        let topic = NewTopic::new(&self.topic, PARTITIONS as i32, TopicReplication::Fixed(1));
        let options = AdminOptions::new();
        let first = admin.create_topics([&topic], &options).await?;
        demand(first, vec![Ok(self.topic.clone())], "first creation")?;
        let second = admin.create_topics([&topic], &options).await?;
        let exists = vec![Err((self.topic.clone(), RDKafkaErrorCode::TopicAlreadyExists))];
        demand(second, exists, "second creation")?;
        println!("ok: created");
        Ok(())
    }

    async fn produce(&self) -> Result<(), Failure> {
        let settings = [("enable.idempotence", "true"), ("compression.type", "lz4"), ("linger.ms", "5")];
        let producer: FutureProducer = self.client(&settings)?;
        let mut pending = Vec::with_capacity(COUNT);
        for index in 0..COUNT {
            let (key, value) = (key(index), value(index));
            let mut record = FutureRecord::<String, String>::to(&self.topic)
                .partition((index % PARTITIONS) as i32)
                .timestamp(self.base + index as i64)
                .headers(headers(index));
            record.key = key.as_ref();
            record.payload = value.as_ref();
            pending.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for (index, delivery) in pending.into_iter().enumerate() {
            let delivered = tokio::time::timeout(WAIT, delivery).await??.map_err(|(error, _)| error)?;
            let place = (delivered.partition as usize, delivered.offset as usize);
            demand(place, (index % PARTITIONS, index / PARTITIONS), &format!("place of record {index}"))?;
        }
        println!("ok: produced");
        Ok(())
    }

    fn assigned(&self, topic: &str, offsets: &[i64]) -> Result<BaseConsumer, KafkaError> {
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets.iter().enumerate() {
            list.add_partition_offset(topic, partition as i32, Offset::Offset(*offset))?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
    }

    fn read(&self) -> Result<(), Failure> {
        let consumer = self.assigned(&self.topic, &[0; PARTITIONS])?;
        let mut seen = [0; PARTITIONS];
        for _ in 0..COUNT {
            let message = consumer.poll(WAIT).ok_or_else(|| format!("nothing more after {seen:?}"))??;
            let partition = message.partition() as usize;
            let index = seen[partition] * PARTITIONS + partition;
            let what = format!("record {index}");
            demand(message.offset(), seen[partition] as i64, &what)?;
            demand(message.timestamp(), Timestamp::CreateTime(self.base + index as i64), &what)?;
            demand(message.key(), key(index).as_deref().map(str::as_bytes), &what)?;
            demand(message.payload(), value(index).as_deref().map(str::as_bytes), &what)?;
            demand(message.headers().map(pairs), Some(pairs(&headers(index))), &what)?;
            seen[partition] += 1;
        }
        println!("ok: read");
        Ok(())
    }

    fn timestamps(&self) -> Result<(), Failure> {
        let consumer = self.consumer()?;
        let mut asked = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            asked.add_partition_offset(&self.topic, partition as i32, Offset::Offset(self.base + 4001))?;
        }
        let found = consumer.offsets_for_times(asked, WAIT)?;
        let offsets: Vec<_> = found.elements().iter().map(|entry| entry.offset()).collect();
        let want: Vec<_> = (0..PARTITIONS).map(|part| Offset::Offset(seek_offset(4001, part))).collect();
        demand(offsets, want, "offsets by time")?;
        demand(
            consumer.fetch_watermarks(&self.topic, 1, WAIT)?,
            (0, (COUNT / PARTITIONS) as i64),
            "watermarks",
        )?;
        consumer.assign(&found)?;
        let message = consumer.poll(WAIT).ok_or("nothing after the seek")??;
        let first = self.base + (seek_offset(4001, message.partition() as usize) * PARTITIONS as i64);
        let stamp = message.timestamp().to_millis();
        demand(stamp, Some(first + i64::from(message.partition())), "first record after the seek")?;
        println!("ok: timestamps");
        Ok(())
    }

    async fn refused(
        &self,
        settings: &[(&str, &str)],
        topic: &str,
        size: usize,
    ) -> Result<Option<RDKafkaErrorCode>, Failure> {
        let producer: FutureProducer = self.client(settings)?;
        let payload = vec![b'x'; size];
        let sent = producer.send(FutureRecord::<(), _>::to(topic).payload(&payload), WAIT).await;
        Ok(sent.err().and_then(|(error, _)| error.rdkafka_error_code()))
    }

    async fn too_large(&self) -> Result<(), Failure> {
        let got = self.refused(&[("message.max.bytes", "4000000")], &self.topic, TOO_LARGE).await?;
        demand(got, Some(RDKafkaErrorCode::MessageSizeTooLarge), "too large")?;
        println!("ok: too large");
        Ok(())
    }

    async fn unknown_topic(&self) -> Result<(), Failure> {
        let absent = format!("{}-absent", self.topic);
        let settings = [("allow.auto.create.topics", "false"), ("topic.metadata.propagation.max.ms", "500")];
        let got = self.refused(&settings, &absent, 1).await?;
        let unknown = got.is_some_and(|code| UNKNOWN.contains(&code));
        demand(unknown, true, &format!("produce to an unknown topic ({got:?})"))?;
        let admin: AdminClient<DefaultClientContext> = self.client(&[])?;
        let deleted = admin.delete_topics(&[&absent], &AdminOptions::new()).await?;
        let unknown = vec![Err((absent.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))];
        demand(deleted, unknown, "delete an unknown topic")?;
        let error = self.consumer()?.fetch_watermarks(&absent, 0, WAIT).err();
        let code = error.and_then(|error| error.rdkafka_error_code());
        let unknown = code.is_some_and(|code| UNKNOWN.contains(&code));
        demand(unknown, true, &format!("watermarks of an unknown topic ({code:?})"))?;
        println!("ok: unknown topic");
        Ok(())
    }
}
