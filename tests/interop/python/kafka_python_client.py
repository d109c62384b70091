"""kafka-python: the steps of scenarios/clients.py."""

import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from shared import COUNT, PARTITIONS, TOO_LARGE, demand, headers, key, seek_offset, step, value

CLIENT = "kafka-python"
bootstrap, topic, base = sys.argv[1], sys.argv[2], int(sys.argv[3])
partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]


def fails(kind, action, what):
    try:
        action()
    except kind:
        return
    except KafkaError as error:
        raise SystemExit(f"{what}: got {error!r}, want {kind.__name__}") from error
    raise SystemExit(f"{what}: no error, want {kind.__name__}")


def create():
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    fails(TopicAlreadyExistsError, lambda: admin.create_topics([NewTopic(topic, PARTITIONS, 1)]), "second creation")
    admin.close()
    step("created")


def produce():
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, compression_type="lz4", linger_ms=5)
    futures = [producer.send(topic, value(index), key(index), headers(CLIENT, index), index % PARTITIONS, base + index)
               for index in range(COUNT)]
    producer.flush(30)
    for index, future in enumerate(futures):
        answer = future.get(30)
        got = (answer.partition, answer.offset, answer.timestamp)
        demand(got, (index % PARTITIONS, index // PARTITIONS, base + index), f"record {index}")
    producer.close()
    step("produced")


def consumer(**extra):
    return KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="none",
                         enable_auto_commit=False, consumer_timeout_ms=20_000, **extra)


def read():
    reader = consumer()
    reader.assign(partitions)
    for partition in partitions:
        reader.seek(partition, 0)
    seen, total = [0] * PARTITIONS, 0
    for record in reader:
        index = seen[record.partition] * PARTITIONS + record.partition
        got = (record.offset, record.timestamp_type, record.timestamp, record.key, record.value, list(record.headers))
        want = (seen[record.partition], 0, base + index, key(index), value(index), headers(CLIENT, index))
        demand(got, want, f"record {index}")
        seen[record.partition] += 1
        total += 1
        if total == COUNT:
            break
    demand(total, COUNT, "records read")
    reader.close()
    step("read")


def timestamps():
    reader, stamp = consumer(), base + 4001
    found = reader.offsets_for_times({partition: stamp for partition in partitions})
    demand([found[part].offset for part in partitions],
           [seek_offset(base, stamp, part.partition) for part in partitions], "offsets by time")
    demand(reader.offsets_for_times({partitions[0]: base + COUNT}), {partitions[0]: None}, "after the last")
    demand(reader.beginning_offsets(partitions), dict.fromkeys(partitions, 0), "beginning offsets")
    demand(reader.end_offsets(partitions), dict.fromkeys(partitions, COUNT // PARTITIONS), "end offsets")
    reader.assign(partitions[:1])
    reader.seek(partitions[0], found[partitions[0]].offset)
    demand(next(reader).timestamp, base + 4004, "first record after the seek")
    reader.close()
    step("timestamps")


def errors():
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=TOO_LARGE * 2, enable_idempotence=False)
    other = topic + "-large"
    demand(producer.send(other, b"before").get(30).offset, 0, "the record before the one refused")
    fails(MessageSizeTooLargeError, lambda: producer.send(other, b"x" * TOO_LARGE).get(30), "too large")
    demand(producer.send(other, b"after").get(30).offset, 1, "the record after the one refused")
    producer.close()
    step("too large")
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    described = admin.describe_topics([topic + "-absent"])
    demand(described[0]["error_code"], UnknownTopicOrPartitionError.errno, "unknown topic")
    fails(UnknownTopicOrPartitionError, lambda: admin.delete_topics([topic + "-absent"]), "delete an unknown topic")
    admin.close()
    reader = consumer(allow_auto_create_topics=False)
    demand(reader.partitions_for_topic(topic + "-absent") or None, None, "partitions of an unknown topic")
    reader.close()
    step("unknown topic")


create()
produce()
read()
timestamps()
errors()
