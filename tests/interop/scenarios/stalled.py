"""Clients that take and don't give: 500 connections, each with a full window of Produce requests whose answers nobody reads, and 100
consumers that ask for 50 MiB and read none of it. The server stays within 512 MiB, and others are served: metadata, a small
produce and a small fetch are answered within seconds.
"""

import resource
import selectors
import threading
import time

from harness import check, load, speak

PRODUCERS, WINDOW, CONSUMERS, FETCHES = 500, 5, 100, 8
BATCHES = 48  # in each partition, one record each
BATCH, BIG = 1 << 20, 50 << 20
MOST_MEMORY = 512  # MiB
PATIENCE = 10  # seconds that others wait at most
TOPIC, PARTITIONS = "stalled", 16


def run(context):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    other = speak.Connection(context.bootstrap)
    other.call(speak.create([(TOPIC, PARTITIONS), ("small", 1)]))
    fill(context)
    small = speak.batch(100)
    check.equal(speak.produced(other.call(speak.produce("small", [(0, small)]))), [(0, 0)], "a record in the small topic")
    consumers = [stalled_consumer(context, index) for index in range(CONSUMERS)]
    serve(context, "100 stalled consumers")
    windows = Windows(context)
    threading.Thread(target=windows.push, daemon=True).start()
    slowest, rounds = {}, 0
    while not windows.done() or rounds < 20:
        time.sleep(0.2)
        rounds += 1
        for what, seconds in serve(context, "500 full windows too").items():
            slowest[what] = max(seconds, slowest.get(what, 0))
    check.that(windows.answered(), "all 500 windows were taken in the end")
    print(f"{rounds} rounds; slowest answers {slowest}; at most {load.memory(context.server):.0f} MiB, "
          f"now {load.memory(context.server, 'VmRSS'):.0f}")
    bounded(context)
    del consumers


def bounded(context):
    peak = load.memory(context.server)
    check.that(peak <= MOST_MEMORY, f"peak memory of {peak:.0f} MiB is at most {MOST_MEMORY}")


def fill(context):
    """Data enough that every stalled fetch could be answered in full."""
    connection, big = speak.Connection(context.bootstrap), speak.batch(BATCH - 200)
    for _ in range(BATCHES):
        request = speak.produce(TOPIC, [(partition, big) for partition in range(PARTITIONS)])
        check.that(all(error == 0 for error, _ in speak.produced(connection.call(request))), "data is written")
    connection.close()


def stalled_consumer(context, index):
    connection = speak.Connection(context.bootstrap, receive_buffer=4096)
    for number in range(FETCHES):
        # From a place of its own: what all read together would lie in memory once.
        offset = (index + 7 * number) % BATCHES
        order = [((index + partition) % PARTITIONS, offset) for partition in range(PARTITIONS)]
        connection.send(speak.fetch(TOPIC, order, BIG, BIG))
    return connection


def serve(context, beside):
    """Three requests of somebody else; the seconds that each took."""
    other = speak.Connection(context.bootstrap, seconds=PATIENCE)
    took, small = {}, speak.batch(100)
    try:
        _, took["metadata"] = other.timed(speak.metadata([TOPIC]))
        answer, took["produce"] = other.timed(speak.produce("small", [(0, small)]))
        check.equal(speak.produced(answer)[0][0], 0, "error of a small produce")
        answer, took["fetch"] = other.timed(speak.fetch("small", [(0, 0)], 1000, 1000))
        check.that(speak.fetched(answer)[0][3] > 0, "a small fetch has records")
    except OSError as error:
        raise check.CheckFailed(f"{beside}: no answer after {took}: {error!r}") from None
    finally:
        other.close()
    bounded(context)
    return took


class Windows:
    """500 connections that send a window of requests each and read nothing until the end."""

    def __init__(self, context):
        self.selector, self.connections = selectors.DefaultSelector(), []
        big = speak.batch(BATCH - 200)
        requests = [memoryview(speak.produce(TOPIC, [(partition, big)]) * WINDOW) for partition in range(PARTITIONS)]
        for index in range(PRODUCERS):
            connection = speak.Connection(context.bootstrap)
            connection.socket.setblocking(False)
            self.connections.append(connection)
            self.selector.register(connection.socket, selectors.EVENT_WRITE, [requests[index % PARTITIONS]])

    def done(self):
        return not self.selector.get_map()

    def push(self):
        """Sends what the sockets take."""
        while not self.done():
            for key, _ in self.selector.select(0.05):
                sent = key.fileobj.send(key.data[0][:1 << 18])
                key.data[0] = key.data[0][sent:]
                if not key.data[0]:
                    self.selector.unregister(key.fileobj)

    def answered(self):
        """Reads the answers at last."""
        for connection in self.connections:
            connection.socket.settimeout(60)
            for _ in range(WINDOW):
                check.equal(speak.produced(connection.receive())[0][0], 0, "error of a produce in a window")
        return True
