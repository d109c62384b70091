"""A transactional copier with librdkafka, a member of a group, that writes its history: BOOTSTRAP IN OUT PARTITIONS GROUP FILE NAME. One transaction in
ten is aborted on purpose. After any error it begins anew, with new clients."""

import random
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from copying import copy, generation
from history_file import COMMON, History, let_go, value
from shared import goes_on

bootstrap, source, out, partitions, group, path, name = sys.argv[1:8]
partitions, history = int(partitions), History(path)
numbers = {"record": 0, "txn": 0}


def clients():
    # An offset of -1 in an answer of "unstable" is taken for none by librdkafka 2.16, see scenarios/exactly_once.py; it begins anew then.
    consumer = Consumer({**COMMON, "bootstrap.servers": bootstrap, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "group.id": group,
                         "enable.auto.commit": False, "auto.offset.reset": "error", "isolation.level": "read_committed", "fetch.wait.max.ms": 100,
                         "max.poll.interval.ms": 30_000, "client.rack": "zone-0"})
    producer = Producer({**COMMON, "bootstrap.servers": bootstrap, "transactional.id": name, "transaction.timeout.ms": 15_000, "message.timeout.ms": 14_000,
                         "request.timeout.ms": 4000, "linger.ms": 0})
    return [consumer, producer]


def acked(number):
    def callback(error, message):
        now = time.monotonic()
        if error:
            history.write(e="fail", c=name, n=number, t=now, why=str(error))
        else:
            offset = message.offset()
            history.write(e="ack", c=name, n=number, o=-1 if offset is None or offset < 0 else offset, t=now)
    return callback


def process(consumer, producer, member, messages):
    numbers["txn"] += 1
    txn, abort, result = f"{name}-{numbers['txn']}", random.random() < 0.1, "unknown"
    positions = [place for place in consumer.position(consumer.assignment()) if place.offset >= 0]
    asked = time.monotonic()
    try:
        producer.begin_transaction()
        for message in messages:
            number, part = numbers["record"], message.offset() % partitions
            numbers["record"] += 1
            data, crc = value(name, number)
            history.write(e="send", c=name, k="txn", n=number, p=f"{out}/{part}", h=crc, t=time.monotonic(), x=txn,
                          s=[f"{source}/{message.partition()}", message.offset()])
            producer.produce(out, data, partition=part, on_delivery=acked(number))
        producer.flush(15)
        asked = time.monotonic()
        producer.send_offsets_to_transaction(positions, member, 15)
        if abort:
            producer.abort_transaction(15)
            result = "aborted"
        else:
            producer.commit_transaction(15)
            result = "committed"
    finally:
        history.write(e="end", c=name, x=txn, a=asked, b=time.monotonic(), r=result, m=name, gen=generation(member),
                      offs=[[group, f"{source}/{place.partition}", place.offset] for place in positions])
    if abort:
        raise KafkaException("an abort on purpose")


while goes_on():
    both = clients()
    try:
        copy(*both, source, 20, process)
    except (KafkaException, RuntimeError, BufferError) as error:
        print(f"{time.monotonic():.3f} begins anew after {error!r}", file=sys.stderr, flush=True)
        if error.args and isinstance(error.args[0], KafkaError) and error.args[0].fatal():
            print("it was fatal", file=sys.stderr, flush=True)
    let_go(both)  # what is still under way is dropped: whoever has this transactional id next ends it
history.close()
