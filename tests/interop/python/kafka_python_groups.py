"""kafka-python: the steps of scenarios/group_clients.py.

Ends with 3 where the library has lost itself, as kafka-python 3.0.12 does at times: a member is "rebalancing" for five seconds, and has no request to the
coordinator on its way, so that nothing will ever happen. Then, and when time is up, it says what each member knows and where its threads are.
"""

import faulthandler
import os
import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer
from kafka.coordinator.base import MemberState
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from shared import FIRST, MORE, PARTITIONS, demand, step

bootstrap, source, out, group = sys.argv[1:5]
END = time.monotonic() + 60
CONSUMERS, LOST = [], {}


def member(name, topic):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=name, enable_auto_commit=False, auto_offset_reset="earliest",
                             isolation_level="read_committed", heartbeat_interval_ms=200, session_timeout_ms=10_000, fetch_max_wait_ms=100,
                             max_poll_records=100)
    consumer.subscribe([topic])
    CONSUMERS.append(consumer)
    return consumer


def state(consumer):
    """What a consumer knows of itself, for whoever has to find out."""
    coordinator, places = consumer._coordinator, consumer._subscription.assignment
    flying = {str(connection): [str(entry) for entry in connection.in_flight_requests] for connection in list(consumer._manager._conns.values())}
    return (f"{coordinator.group_id}: {coordinator.state}, {coordinator._generation}, coordinator {coordinator.coordinator_id}, rejoin {coordinator.rejoin_needed}, "
            f"join task {coordinator._join_task}, places { {str(place): str(vars(known)) for place, known in places.items()} }, in flight {flying}")


def give_up(what, status):
    for consumer in CONSUMERS:
        if not consumer._closed:
            print(state(consumer), file=sys.stderr)
    faulthandler.dump_traceback()
    print(what, file=sys.stderr, flush=True)
    os._exit(status)


def lost(consumer):
    """Whether a member has been for five seconds where no way leads out."""
    coordinator = consumer._coordinator
    waits = coordinator.state is MemberState.REBALANCING
    connection = consumer._manager._conns.get(coordinator.coordinator_id)
    asks = connection is not None and connection.in_flight_requests
    if not waits or asks or consumer._closed:
        LOST.pop(consumer, None)
        return False
    return time.monotonic() - LOST.setdefault(consumer, time.monotonic()) > 5


def in_time(so_far):
    if any([lost(consumer) for consumer in CONSUMERS]):
        give_up(f"kafka-python has lost itself, {so_far}", 3)
    if time.monotonic() >= END:
        give_up(f"not in time, {so_far}", 1)


def polled(one):
    """Not for 100 ms: polls that end while an answer comes are what this library loses itself by, half of the runs on a busy machine."""
    return [record for records in one.poll(370).values() for record in records]


def gather(count, *members):
    """Polls the members in turn until they gave `count` values, each of them once."""
    seen = set()
    while len(seen) < count:
        in_time(f"so far {len(seen)} of {count}")
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
        self.start()

    def run(self):
        consumer = member(group, source)
        while not self.ending.is_set():
            self.values += [record.value for record in polled(consumer)]
            self.share = len(consumer.assignment())
        consumer.commit()
        consumer.close()


def shared():
    members = [Poller(), Poller()]

    def wait(ready, what):
        while not ready():
            in_time(f"shares {[one.share for one in members]}: {what}")
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
        in_time(f"so far {done} in transactions")
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
