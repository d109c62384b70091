"""A member of a group of its own, with librdkafka and the classic protocol, that follows a topic, commits where it is, and writes its history: BOOTSTRAP TOPIC FILE
NAME RACK. The group begins at 0 in all partitions (begin_at_zero.py)."""

import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from history_file import COMMON, History, let_go
from harness.batches import named
from shared import goes_on

EACH = 0.5  # seconds from commit to commit
bootstrap, topic, path, name, rack = sys.argv[1:6]
history, places, said, asked_at = History(path), {}, {}, {}


def assigned(member, parts):
    """Goes on where the group is."""
    asked, told = time.monotonic(), ask(member, parts)
    for place in told:
        part = f"{topic}/{place.partition}"
        history.write(e="fetched", c=name, g=name, p=part, o=max(-1, place.offset), a=asked, b=time.monotonic())
        history.write(e="at", c=name, p=part, o=place.offset, t=time.monotonic())
        places[place.partition] = place.offset
    member.assign(told)


def ask(member, parts):
    """What the group has committed. Its coordinator may be away for a while."""
    end = time.monotonic() + 30
    while True:
        try:
            return member.committed(parts, 2)
        except KafkaException as error:
            print(f"{time.monotonic():.3f} not told where the group is: {error}", file=sys.stderr, flush=True)
            if time.monotonic() > end:
                raise


def revoked(_, parts):
    for place in parts:
        places.pop(place.partition, None)


def commit(member):
    """Says where it is, as far as that is new, and does not wait for the answer."""
    offsets = [TopicPartition(topic, partition, offset) for partition, offset in sorted(places.items()) if said.get(partition) != offset]
    asked = time.monotonic()
    for place in offsets:
        said[place.partition] = place.offset
        asked_at.setdefault((place.partition, place.offset), asked)
    if offsets:
        member.commit(offsets=offsets, asynchronous=True)


def committed(error, parts):
    now = time.monotonic()
    for place in parts:
        history.write(e="commit", c=name, g=name, gen=None, p=f"{topic}/{place.partition}", o=place.offset, a=asked_at[place.partition, place.offset], b=now,
                      r="unknown" if error or place.error else "ok")


consumer = Consumer({**COMMON, "bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False, "auto.offset.reset": "error", "client.rack": rack,
                     "isolation.level": "read_uncommitted", "fetch.wait.max.ms": 100, "on_commit": committed})
consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
due = time.monotonic()
while goes_on():
    message = consumer.poll(0.1)  # one by one: what a rebalance leaves behind never comes after it
    if message is not None and message.error():
        print(f"{time.monotonic():.3f} {message.error()}", file=sys.stderr, flush=True)
    elif message is not None:
        who, crc = named(message.value())
        history.write(e="read", c=name, i="ru", p=f"{topic}/{message.partition()}", o=message.offset(), n=who, h=crc, t=time.monotonic())
        places[message.partition()] = message.offset() + 1
    if time.monotonic() >= due:
        due = time.monotonic() + EACH
        commit(consumer)
history.close()
left = [consumer]
del consumer
let_go(left)
