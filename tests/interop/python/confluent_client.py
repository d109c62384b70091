"""confluent-kafka (a current librdkafka): the steps of scenarios/clients.py."""

import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from shared import COUNT, PARTITIONS, TOO_LARGE, demand, headers, key, seek_offset, step, value

CLIENT = "confluent-kafka"
bootstrap, topic, base = sys.argv[1], sys.argv[2], int(sys.argv[3])
common = {"bootstrap.servers": bootstrap}


def create():
    admin = AdminClient(common)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    try:
        admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
        raise SystemExit("the topic was made twice")
    except KafkaException as error:
        demand(error.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "second creation")
    step("created")


def produce():
    producer = Producer({**common, "enable.idempotence": True, "linger.ms": 5, "compression.type": "zstd"})
    acknowledged, failures = {}, []

    def delivered(index):
        def callback(error, message):
            if error:
                failures.append(error)
            else:
                acknowledged[index] = (message.partition(), message.offset(), message.timestamp()[1])
        return callback
    for index in range(COUNT):
        producer.produce(topic, value(index), key(index), partition=index % PARTITIONS, on_delivery=delivered(index),
                         timestamp=base + index, headers=headers(CLIENT, index))
        producer.poll(0)
    demand(producer.flush(30), 0, "records left after flush")
    demand(failures, [], "failed deliveries")
    for index in range(COUNT):
        demand(acknowledged[index], (index % PARTITIONS, index // PARTITIONS, base + index), f"record {index}")
    step("produced")


def consumer(**extra):
    return Consumer({**common, "group.id": "never-joined", "enable.auto.commit": False, "enable.partition.eof": True,
                     "auto.offset.reset": "error", **extra})


def read():
    reader = consumer()
    reader.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    seen, ends = [0] * PARTITIONS, 0
    while ends < PARTITIONS:
        message = reader.poll(20)
        if message is None:
            raise SystemExit(f"nothing for 20 s after {seen}")
        if message.error():
            demand(message.error().code(), KafkaError._PARTITION_EOF, "error while reading")
            ends += 1
            continue
        partition = message.partition()
        index = seen[partition] * PARTITIONS + partition
        got = (message.offset(), message.timestamp(), message.key(), message.value(), message.headers())
        want = (seen[partition], (1, base + index), key(index), value(index), headers(CLIENT, index))
        demand(got, want, f"record {index}")
        seen[partition] += 1
    demand(sum(seen), COUNT, "records read")
    reader.close()
    step("read")


def timestamps():
    reader, stamp = consumer(), base + 4001
    found = reader.offsets_for_times([TopicPartition(topic, part, stamp) for part in range(PARTITIONS)], 20)
    demand([entry.offset for entry in found], [seek_offset(base, stamp, part) for part in range(PARTITIONS)], "by time")
    late = reader.offsets_for_times([TopicPartition(topic, 0, base + COUNT)], 20)
    demand([entry.offset for entry in late], [-1], "after the last")
    demand(reader.get_watermark_offsets(TopicPartition(topic, 1), 20), (0, COUNT // PARTITIONS), "watermarks")
    reader.assign(found[:1])
    message = reader.poll(20)
    demand(message.timestamp()[1], base + 4004, "first record after the seek")
    reader.close()
    step("timestamps")


def delivery_error(settings, *args, **named):
    producer, errors = Producer({**common, **settings}), []
    producer.produce(*args, **named, on_delivery=lambda error, _: errors.append(error and error.code()))
    producer.flush(30)
    return errors


def errors():
    wide = {"message.max.bytes": TOO_LARGE * 2}
    demand(delivery_error(wide, topic, b"x" * TOO_LARGE, partition=0), [KafkaError.MSG_SIZE_TOO_LARGE], "too large")
    step("too large")
    codes = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)
    absent = {"allow.auto.create.topics": False, "topic.metadata.propagation.max.ms": 500}
    unknown = delivery_error(absent, topic + "-absent", b"x")
    demand(len(unknown) == 1 and unknown[0] in codes, True, f"produce to an unknown topic ({unknown})")
    reader = consumer()
    try:
        reader.get_watermark_offsets(TopicPartition(topic + "-absent", 0), 20)
        raise SystemExit("an unknown topic has watermarks")
    except KafkaException as error:
        demand(error.args[0].code() in codes, True, f"watermarks of an unknown topic ({error})")
    metadata = reader.list_topics(topic + "-absent", timeout=20).topics[topic + "-absent"]
    demand(metadata.error is not None and metadata.error.code() in codes, True, f"metadata ({metadata.error})")
    reader.close()
    demand(delivery_error({}, topic, b"x", partition=99), [KafkaError._UNKNOWN_PARTITION], "unknown partition")
    step("unknown topic")


create()
produce()
read()
timestamps()
errors()
