"""A reader with librdkafka that follows all of a topic and writes its history: BOOTSTRAP TOPIC PARTITIONS FILE NAME ISOLATION(rc|ru) RACK. It names its
rack and nothing else, begins at 0, and never goes elsewhere by itself."""

import sys
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from history_file import COMMON, History
from harness.batches import named
from shared import goes_on

bootstrap, topic, partitions, path, name, isolation, rack = sys.argv[1:8]
history, places = History(path), {partition: 0 for partition in range(int(partitions))}
consumer = Consumer({**COMMON, "bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False, "auto.offset.reset": "error", "client.rack": rack,
                     "isolation.level": "read_committed" if isolation == "rc" else "read_uncommitted", "fetch.wait.max.ms": 100, "check.crcs": True})
consumer.assign([TopicPartition(topic, partition, 0) for partition in places])
for part in places:
    history.write(e="at", c=name, p=f"{topic}/{part}", o=0, t=time.monotonic())
lost = []
while not lost and goes_on():
    asked = time.monotonic()
    for message in consumer.consume(200, 0.1):
        error, part = message.error(), f"{topic}/{message.partition()}"
        if error is None:
            who, crc = named(message.value())
            history.write(e="read", c=name, i=isolation, p=part, o=message.offset(), n=who, h=crc, t=time.monotonic())
            places[message.partition()] = message.offset() + 1
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            lost.append(f"{part}: {error}")
            history.write(e="range", c=name, p=part, o=places[message.partition()], a=asked, b=time.monotonic())
        else:
            print(f"{part}: {error}", file=sys.stderr, flush=True)
history.close()
if lost:
    raise SystemExit(f"lost its place: {lost}")
