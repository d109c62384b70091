"""A transactional consume-process-produce worker for scenarios/exactly_once.py, with librdkafka: BOOTSTRAP IN OUT GROUP ID PROTOCOL
[INSTANCE]. As java/ChaosWorker.java; see there."""

import random
import sys
import uuid
from collections import Counter

from confluent_kafka import Consumer, KafkaException, Producer

from copying import copy
from shared import PARTITIONS, goes_on

bootstrap, source, out, group, me, protocol = sys.argv[1:7]
instance = {"group.instance.id": sys.argv[7]} if len(sys.argv) > 7 else {}


def clients():
    common = {"bootstrap.servers": bootstrap, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "log_level": 0}
    own = {"group.protocol": "consumer"} if protocol == "consumer" else {"session.timeout.ms": 3000, "heartbeat.interval.ms": 200}
    consumer = Consumer({**common, **own, **instance, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error",
                         "isolation.level": "read_committed", "fetch.wait.max.ms": 100, "max.poll.interval.ms": 20_000})
    producer = Producer({**common, "transactional.id": me, "transaction.timeout.ms": 10_000, "message.timeout.ms": 9_000, "linger.ms": 0})
    return consumer, producer


def process(consumer, producer, member, messages):
    abort = random.random() < 0.1
    positions = [place for place in consumer.position(consumer.assignment()) if place.offset >= 0]
    parts = Counter(int(message.value()) % PARTITIONS for message in messages)
    headers = {"txn": f"{me}/{uuid.uuid4()}", "parts": ",".join(f"{part}:{count}" for part, count in parts.items()), "fate": "abort" if abort else "commit",
               "offsets": ",".join(f"{place.partition}:{place.offset}" for place in positions)}
    producer.begin_transaction()
    for message in messages:
        producer.produce(out, message.value(), partition=int(message.value()) % PARTITIONS, headers=headers)
    producer.send_offsets_to_transaction(positions, member, 10)
    if abort:
        producer.abort_transaction(10)
        raise KafkaException("an abort on purpose")
    producer.commit_transaction(15)


while goes_on():
    one, two = clients()
    try:
        copy(one, two, source, 15, process)
    except (KafkaException, RuntimeError) as error:
        print(f"begins anew after {error!r}", file=sys.stderr, flush=True)
    one.close()
