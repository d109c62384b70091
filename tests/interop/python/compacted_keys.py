"""Writes keys to a compacted topic and values to one with short retention, and reads both from their beginnings again and again: BOOTSTRAP COMPACTED
SHORT. Goes on until a line comes on its standard input; then it says in JSON what it did, and ends with status 0 if all was as it must be.

Of the compacted topic each reading must show offsets that rise, values of a key that rise, and of every key a value at least as new as the one
acknowledged before the reading began. Of the other one offsets must follow each other without a gap, from wherever the log begins.
"""

import json
import random
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from shared import goes_on

PARTITIONS, KEYS, WINDOW, READ_EVERY = 4, 400, 500, 4.0
bootstrap, compacted, short = sys.argv[1:4]
latest, failed, counts = {}, [], {"sent": 0, "acknowledged": 0, "readings": 0, "seen": 0, "seen_short": 0, "began_behind_zero": 0}


def producer():
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 600_000,
                     "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 10_000, "log_level": 0,
                     "topic.metadata.refresh.fast.interval.ms": 100})


def delivered(key, value):
    def callback(error, _):
        if error:
            failed.append(f"{key}: {error}")
        else:
            counts["acknowledged"] += 1
            latest[key] = max(latest.get(key, -1), value)
    return callback


def read(topic, step):
    """Calls `step` with each message from the beginning to where the topic ends now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False, "log_level": 0, "enable.partition.eof": True,
                         "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 200, "check.crcs": True})
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])
        ended, deadline = set(), time.monotonic() + 120
        while len(ended) < PARTITIONS:
            if time.monotonic() > deadline:
                raise SystemExit(f"{topic} is not read to its end within two minutes; {sorted(ended)} are")
            message = consumer.poll(0.5)
            if message is None:
                continue
            if not message.error():
                step(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif not message.error().retriable() and message.error().code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                raise SystemExit(f"reading {topic}: {message.error()}")
    finally:
        consumer.close()


def read_compacted():
    wanted, last, values = dict(latest), {}, {}

    def step(message):
        place, key, value = message.partition(), message.key().decode(), int(message.value())
        if message.offset() <= last.get(place, -1):
            raise SystemExit(f"offset {message.offset()} of partition {place} follows {last[place]}")
        if value <= values.get(key, -1):
            raise SystemExit(f"{key} is {value} at {message.offset()} of partition {place}, behind {values[key]}")
        last[place], values[key] = message.offset(), value
        counts["seen"] += 1
    read(compacted, step)
    old = {key: (values.get(key), value) for key, value in wanted.items() if values.get(key, -1) < value}
    if old:
        raise SystemExit(f"{len(old)} keys are older than acknowledged, such as {sorted(old.items())[:3]}")
    return values


def read_short():
    last = {}

    def step(message):
        place = message.partition()
        if place not in last:
            counts["began_behind_zero"] += message.offset() > 0
        elif message.offset() != last[place] + 1:
            raise SystemExit(f"offset {message.offset()} of partition {place} of {short} follows {last[place]}")
        last[place] = message.offset()
        counts["seen_short"] += 1
    read(short, step)


def main():
    writer, chance, next_read, filler = producer(), random.Random(7), time.monotonic() + READ_EVERY, "x" * 200
    while not failed and goes_on():
        for _ in range(10 if len(writer) < WINDOW else 0):
            key, value = f"key-{chance.randrange(KEYS)}", counts["sent"]
            writer.produce(compacted, str(value), key=key, partition=hash_of(key), on_delivery=delivered(key, value))
            writer.produce(short, f"{value} {filler}", partition=value % PARTITIONS)
            counts["sent"] += 1
        writer.poll(0)
        time.sleep(0.005)
        if time.monotonic() > next_read:
            read_compacted()
            read_short()
            counts["readings"] += 1
            next_read = time.monotonic() + READ_EVERY
    left = writer.flush(120)
    if failed or left:
        raise SystemExit(f"{left} left, {len(failed)} failed, first: {failed[:1]}")
    if read_compacted() != latest:
        raise SystemExit("the last values are not those acknowledged last")
    print(json.dumps(counts))


def hash_of(key):
    return int(key.split("-")[1]) % PARTITIONS


main()
