"""Leaders move again and again under idempotent producers of librdkafka, Java and sarama that have batches under way on two agents all the time: three
agents in one zone on one PostgreSQL and MinIO, of which one after the other is told to end, comes back, and takes its share in ten steps. Readers of all
three languages go with them. The judge of histories (harness/history) holds all of it against the log: no error that is fatal, no record that fails, none
doubled or out of order, no offset that goes back or is out of range; and whoever asks agent after agent for ends never sees one go back.
"""

import random
import time

from harness import check, cloud
from harness.context import Context
from harness.heartbeat import Heartbeat
from harness.postgres import Postgres

from .cluster_chaos import EVENTS, OUT, SOURCE, Chaos

PRODUCERS = ("librdkafka", "java", "sarama")
CLIENTS = (*PRODUCERS, "librdkafka-reader", "java-reader", "sarama-reader", "watch")
SECONDS, WARMUP = 30, 2


def run(context):
    context.server.stop()  # it is no agent
    metadata = Postgres(context.server.port + 30)
    env = {**context.server.env, "SILTSTONE_NODE__WARMUP": f"{WARMUP}s", "SILTSTONE_SHUTDOWN__DRAIN": "2s"}
    place = OneZone(context.server.port + 10, context.work, metadata, context.server.store, env)
    try:
        metadata.start()
        place.start()
        Moves(Context(place, context.work, context.options), place, random.Random(1)).run()
    finally:
        place.stop()
        metadata.stop()


class OneZone(cloud.Cloud):
    """All compete for all partitions."""

    def zone(self, place):
        return "zone-0"


class Moves(Chaos):
    """The clients of cluster-chaos that know no groups, and one kind of fault."""

    rate = 1000

    def programs(self):
        return {name: command for name, command in super().programs().items() if name in CLIENTS}

    def run(self):
        self.prepare()
        with Heartbeat() as heartbeat:
            try:
                self.start_clients()
                self.harm(time.monotonic() + SECONDS)
                end = time.monotonic()
                self.finish()
            finally:
                self.kill_clients()
        self.judge(heartbeat.stalls, end)

    def harm(self, until):
        moves = 0
        while time.monotonic() < until:
            place = sorted(self.place.agents)[moves % len(self.place.agents)]
            self.fault("drain", place)
            self.place.agents[place].stop()
            self.alive()
            self.place.agents[place].start()
            warm = time.monotonic() + WARMUP
            check.eventually(lambda: self.alive() and time.monotonic() > warm, "it has all of its share again", 10 * WARMUP)
            moves += 1
        check.that(moves >= 3, f"each agent was told to end: {moves} were")

    def finish(self):
        for name in PRODUCERS:
            self.end(name)
        for name in list(self.children):
            self.end(name)
        self.read_logs(EVENTS, SOURCE, OUT)
