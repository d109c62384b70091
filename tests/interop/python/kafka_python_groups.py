"""kafka-python: the steps of scenarios/group_clients.py.

Ends with 3 where this library's own threads stopped: a member that is in no group, and for HUNG seconds had no request on its way.
A server that doesn't answer looks different: then there is one.
"""

import faulthandler
import os
import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from shared import FIRST, MORE, PARTITIONS, demand, step

bootstrap, source, out, group = sys.argv[1:5]
END = time.monotonic() + 60
HUNG = 15


def member(name, topic):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=name, enable_auto_commit=False, auto_offset_reset="earliest",
                             isolation_level="read_committed", heartbeat_interval_ms=200, session_timeout_ms=10_000, fetch_max_wait_ms=100,
                             max_poll_records=100)
    consumer.subscribe([topic])
    return consumer


def polled(one):
    return [record for records in one.poll(100).values() for record in records]


def gather(count, *members):
    """Polls the members in turn until they gave `count` values, each of them once."""
    seen = set()
    while len(seen) < count:
        demand(time.monotonic() < END, True, f"in time, so far {len(seen)} of {count}")
        for one in members:
            for record in polled(one):
                demand(record.value not in seen, True, f"{record.value} is read once")
                seen.add(record.value)
    return seen


def in_group():
    one = member(group, source)
    gather(FIRST, one)
    one.commit()
    one.close()
    step("group")


class Poller(threading.Thread):
    """A member on a thread of its own: this library joins only while it is polled, so two cannot take turns."""

    def __init__(self):
        super().__init__(daemon=True)
        self.share, self.values, self.ending = 0, [], threading.Event()
        self.consumer, self.asked = None, time.monotonic()
        self.start()

    def run(self):
        self.consumer = consumer = member(group, source)
        while not self.ending.is_set():
            self.values += [record.value for record in polled(consumer)]
            self.share = len(consumer.assignment())
        consumer.commit()
        consumer.close()

    def look(self):
        """Whether the library has stopped of its own accord."""
        if self.consumer is None or self.share:
            return False
        connections = list(self.consumer._manager._conns.values())
        if any(connection.in_flight_requests for connection in connections):
            self.asked = time.monotonic()
        return time.monotonic() - self.asked > HUNG

    def state(self):
        """What it knows of itself, for whoever has to find out."""
        if self.consumer is None:
            return "no consumer"
        coordinator = self.consumer._coordinator
        flying = {str(connection): list(connection.in_flight_requests) for connection in list(self.consumer._manager._conns.values())}
        return (f"share {self.share}, {coordinator.state}, {coordinator._generation}, coordinator {coordinator.coordinator_id}, "
                f"rejoin {coordinator.rejoin_needed}, join task {getattr(coordinator._join_task, 'state', None)}, in flight {flying}")


def shared():
    members = [Poller(), Poller()]

    def wait(ready, what):
        while not ready():
            hung = any([one.look() for one in members])
            if hung or time.monotonic() >= END:
                for one in members:
                    print(one.state(), file=sys.stderr)
                faulthandler.dump_traceback()
                print(f"{what}, but {'a member asks for nothing' if hung else 'not in time'}", file=sys.stderr, flush=True)
                os._exit(3 if hung else 1)
            time.sleep(0.005)
    wait(lambda: [one.share for one in members] == [2, 2], "both have a share")
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for index in range(MORE):
        producer.send(source, f"more-{index}".encode(), partition=index % PARTITIONS)
    producer.flush(20)
    wait(lambda: sum(len(one.values) for one in members) >= MORE, "the second part is read")
    for one in members:
        one.ending.set()
        one.join(20)
    values = sorted(value for one in members for value in one.values)
    demand(values, sorted(f"more-{index}".encode() for index in range(MORE)), "the second part, nothing twice")
    step("shared")


def transactions():
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{group}-tx")
    producer.init_transactions()
    consumer = member(f"{group}-tx", source)
    attempt = done = 0
    while done < FIRST + MORE:
        demand(time.monotonic() < END, True, f"in time, so far {done}")
        records = polled(consumer)
        if not records:
            continue
        producer.begin_transaction()
        for record in records:
            producer.send(out, b"out-" + record.value, partition=record.partition)
        positions = {place: OffsetAndMetadata(consumer.position(place), "", -1) for place in consumer.assignment()}
        producer.send_offsets_to_transaction(positions, consumer.group_metadata())
        if attempt % 3 == 0:
            producer.abort_transaction()
            for place in consumer.assignment():
                consumer.seek(place, consumer.committed(place) or 0)
        else:
            producer.commit_transaction()
            done += len(records)
        attempt += 1
    consumer.close()
    producer.close()
    step("transactions")


def read_committed():
    reader = member(f"{group}-read", out)
    values = gather(FIRST + MORE, reader)
    demand(all(value.startswith(b"out-") for value in values), True, "values of the output")
    reader.close()
    step("read committed")


def fenced():
    producers = []
    for value in (b"never", b"nothing"):
        producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{group}-fenced")
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(out, value, partition=0).get(20)
        producers.append(producer)
    try:
        producers[0].commit_transaction()
        raise SystemExit("the older producer committed")
    except KafkaError as error:
        demand(isinstance(error, (ProducerFencedError, InvalidProducerEpochError)), True, f"the older producer's error: {error!r}")
    producers[1].abort_transaction()
    producers[1].close()
    step("fenced")


in_group()
shared()
transactions()
read_committed()
fenced()
