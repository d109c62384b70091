"""confluent-kafka (a current librdkafka): the steps of scenarios/group_clients.py. GROUP_PROTOCOL=consumer: the new protocol."""

import os
import sys
import time
import traceback

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from shared import FIRST, MORE, PARTITIONS, demand, step

bootstrap, source, out, group = sys.argv[1:5]
PROTOCOL = os.environ.get("GROUP_PROTOCOL", "classic")
END = time.monotonic() + 60


def member(name, topic):
    own = {"group.protocol": "consumer"} if PROTOCOL == "consumer" else {"heartbeat.interval.ms": 200, "session.timeout.ms": 10_000}
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False, "auto.offset.reset": "earliest",
                         "isolation.level": "read_committed", "fetch.wait.max.ms": 100, **own})
    consumer.subscribe([topic])
    return consumer


def gather(count, *members):
    """Polls the members in turn until they gave `count` values, each of them once."""
    seen = set()
    while len(seen) < count:
        demand(time.monotonic() < END, True, f"in time, so far {len(seen)} of {count}")
        for one in members:
            for message in one.consume(500, 0.1):
                demand(message.error(), None, "error of a message")
                demand(message.value() not in seen, True, f"{message.value()} is read once")
                seen.add(message.value())
    return seen


def commit(one):
    """Again while the member's epoch moves: under the new protocol a commit may carry the one before."""
    while True:
        try:
            return one.commit(asynchronous=False)
        except KafkaException as error:
            demand(error.args[0].code(), KafkaError.STALE_MEMBER_EPOCH, "error of a commit")
            demand(time.monotonic() < END, True, "a commit in time")
            one.poll(0.1)


def in_group():
    one = member(group, source)
    gather(FIRST, one)
    commit(one)
    one.close()
    step("group")


def shared():
    members = [member(group, source), member(group, source)]
    while sorted(len(one.assignment()) for one in members) != [2, 2]:
        demand(time.monotonic() < END, True, f"both have a share in time: {[one.assignment() for one in members]}")
        for one in members:
            demand(one.poll(0.05), None, "nothing is read twice")
    producer = Producer({"bootstrap.servers": bootstrap})
    for index in range(MORE):
        producer.produce(source, f"more-{index}".encode(), partition=index % PARTITIONS)
    producer.flush(20)
    demand(gather(MORE, *members), {f"more-{index}".encode() for index in range(MORE)}, "the second part")
    for one in members:
        commit(one)
        one.close()
    step("shared")


def transactions():
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{group}-tx"})
    producer.init_transactions(30)
    consumer = member(f"{group}-tx", source)
    attempt = done = 0
    while done < FIRST + MORE:
        demand(time.monotonic() < END, True, f"in time, so far {done}")
        messages = consumer.consume(100, 0.2)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            demand(message.error(), None, "error of a message")
            producer.produce(out, b"out-" + message.value(), partition=message.partition())
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 20)
        if attempt % 3 == 0:
            # What was not sent by then an abort only takes out of the queue; aborted records are to be in the log.
            demand(producer.flush(20), 0, "records left")
            producer.abort_transaction(20)
            rewind(consumer)
        else:
            producer.commit_transaction(20)
            done += len(messages)
        attempt += 1
    consumer.close()
    step("transactions")


def rewind(consumer):
    for place in consumer.committed(consumer.assignment(), 20):
        consumer.seek(TopicPartition(place.topic, place.partition, max(0, place.offset)))


def read_committed():
    reader = member(f"{group}-read", out)
    values = gather(FIRST + MORE, reader)
    demand(all(value.startswith(b"out-") for value in values), True, "values of the output")
    reader.close()
    step("read committed")


def fenced():
    producers = []
    for value in (b"never", b"nothing"):
        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{group}-fenced"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(out, value, partition=0)
        demand(producer.flush(20), 0, "records left")
        producers.append(producer)
    try:
        producers[0].commit_transaction(20)
        raise SystemExit("the older producer committed")
    except KafkaException as error:
        demand(error.args[0].fatal(), True, f"the older producer's error is fatal: {error}")
    producers[1].abort_transaction(20)
    step("fenced")


try:
    for part in (in_group, shared, transactions, read_committed, fenced):
        part()
except BaseException:  # clients left open would keep this process from its end
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
