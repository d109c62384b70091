"""Merging, retention and compaction by key turned up, under load, while agents and compactors are killed with SIGKILL at random moments.

Two agents and two compactors on one PostgreSQL and one directory of objects, for `--minutes`: the job of exactly-once-chaos (S3, S5), two
idempotent producers whose every acknowledgement is checked in the end (S1, S2), and a program that writes to a compacted topic and to one of short
retention and reads both from their beginnings all the time (S8, S9). When all has settled, `siltstone fsck` must find nothing missing and nothing left over.
"""

import random
import subprocess
import time

from harness import check, install, process
from harness.context import Context
from harness.places import INTEROP, SILTSTONE
from harness.postgres import Postgres
from harness.servers import HOST

from . import agents, exactly_once, kill_nine

# Hours of background work in a minute.
TURNED_UP = {
    "COMPACTOR__INTERVAL": "1s", "COMPACTOR__WAIT": "2s", "COMPACTOR__FAN_IN": "3", "COMPACTOR__SEGMENT_BYTES": "256KiB", "COMPACTOR__BLOCK_BYTES": "16KiB",
    "COMPACTOR__INLINE_BYTES": "64KiB", "COMPACTOR__GRACE": "8s", "CHECKPOINT__INTERVAL": "1s", "CHECKPOINT__FLOOR_LAG": "3s", "CHECKPOINT__LEASE": "5s",
}
SETTLED = 90


class Compactor(agents.Agent):
    """`siltstone compactor`: no Kafka port; it is up when its HTTP port says so."""

    def _command(self):
        return [str(SILTSTONE), "compactor", "--metadata", self.metadata.url(), "--store", f"file://{self.data.parent}/objects",
                "--data", str(self.data / "data"), "--http", f"{HOST}:{self.port + 1}"]

    def _up(self):
        check.that(self.alive(), f"the compactor ended at its start: {self.log_tail()}")
        return process.run(["curl", "-sf", f"http://{HOST}:{self.port + 1}/health"], ok=None).code == 0


class Cluster(agents.Both):
    """All processes, as one server to kill: each time another one of them."""

    def __init__(self, metadata, serving, working, seed):
        super().__init__(serving)
        self.all, self.metadata, self.chance, self.victim = [*serving, *working], metadata, random.Random(seed), None
        self.kills = {}

    def kill_nine(self):
        self.victim = self.chance.choice(self.all)
        name = self.victim.data.name
        self.kills[name] = self.kills.get(name, 0) + 1
        self.victim.kill_nine()

    def start(self):
        self.victim.start()


class Job(exactly_once.Job):
    """The job, with servers as victims half of the time, and the other programs beside it."""

    SERVERS_SHARE, LONGEST_DOWN = 0.5, 3

    def __init__(self, context, companions):
        super().__init__(context, "consumer")
        self.companions = companions

    def beside(self):
        return [*super().beside(), *self.companions.values()]


def run(context):
    seed = context.options.seed if context.options.seed is not None else time.time_ns() % 10**9
    print(f"seed {seed}, {context.options.minutes} minutes")
    context.server.stop()  # its ports are wanted, and it is no agent
    metadata, port = Postgres(context.server.port + 20), context.server.port
    serving = [agents.Agent(port + 2 * number, context.work / f"agent-{number}", metadata) for number in range(2)]
    working = [Compactor(port + 10 + 2 * number, context.work / f"compactor-{number}", metadata) for number in range(2)]
    for one in [*serving, *working]:
        one.env.update({f"SILTSTONE_{name}": value for name, value in TURNED_UP.items()})
        one.settings = context.server.settings
    try:
        metadata.start()
        for one in [*serving, *working]:
            one.start()
        everything(Context(Cluster(metadata, serving, working, seed), context.work, context.options), seed)
        for one in serving:
            one.stop()
        settled(metadata, working, context.work / "objects")
        for one in working:
            one.stop()
        metadata.stop()
    finally:
        for one in [*serving, *working]:
            one.stop()
        # There is still something to stop if it went wrong.
        metadata.stop(keep=context.work / "postgres")


def everything(context, seed):
    topics = context.topic("compacted"), context.topic("short")
    configs = ["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.1", "max.compaction.lag.ms=4000", "delete.retention.ms=2000"], ["retention.ms=6000"]
    for topic, some in zip(topics, configs):
        words = [word for config in some for word in ("--config", config)]
        process.run([SILTSTONE, "topic", "create", topic, "--partitions", 4, *words, "--bootstrap", context.bootstrap])
    kill_nine.create(context)
    keys = companion(context, "keys", [install.PYTHON, "-B", INTEROP / "python/compacted_keys.py", context.bootstrap, *topics])
    plain = kill_nine.producer(context, "librdkafka", [install.PYTHON, "-B", INTEROP / "python/kill_nine_producer.py"])
    job = Job(context, {"keys": keys, "librdkafka": plain})
    try:
        job.run(random.Random(seed), context.options.minutes * 60)
        kill_nine.finish("librdkafka", plain)
        print(exactly_once.finish("keys", keys, 200).strip())
    finally:
        job.end()
        for child in (keys, plain):
            if child.poll() is None:
                child.kill()
                child.wait()
    kill_nine.judge(kill_nine.read(context), {"librdkafka": (context.work / "librdkafka.acks").read_text().splitlines()})
    print(f"killed {context.server.kills}")


def companion(context, name, command):
    with open(context.work / f"{name}.err", "ab") as errors:
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)


def settled(metadata, working, objects):
    """With the agents gone the compactors come to an end, and then fsck finds nothing."""
    command = [SILTSTONE, "fsck", "--metadata", metadata.url(), "--store", f"file://{objects}", "--deep"]

    def clean():
        done = process.run(command, env=metadata.env(), ok=None, seconds=120)
        print(done.text[-2000:])
        return done.code == 0
    check.eventually(clean, "fsck finds nothing", SETTLED, 5)
    for one in working:
        check.that(one.alive(), "the compactors live")
