"""Kills the server with SIGKILL at random moments, again and again, under two idempotent producers.

The producers (librdkafka and Java) run through all of it and write down each acknowledgement. At the end: every
acknowledged record lies at the offset it was acknowledged at, every record is there once, each producer's records are in
the order sent in each partition, and the offsets of a partition have no gap. `--rounds` says how often, `--seed` repeats
the same moments.
"""

import random
import subprocess
import time

from harness import check, install
from harness.places import INTEROP

PARTITIONS = 4
TOPIC = "kill-nine"


def run(context):
    seed = context.options.seed if context.options.seed is not None else time.time_ns() % 10**9
    print(f"seed {seed}, {context.options.rounds} rounds")
    create(context)
    producers = {"librdkafka": producer(context, "librdkafka", [install.PYTHON, "-B", INTEROP / "python/kill_nine_producer.py"]),
                 "java": producer(context, "java", context.java_command("KillNineProducer"))}
    acknowledged = {name: context.work / f"{name}.acks" for name in producers}
    rounds(context, random.Random(seed), producers, acknowledged)
    for name, child in producers.items():
        finish(name, child)
    judge(read(context), {name: path.read_text().splitlines() for name, path in acknowledged.items()})


def create(context):
    """A topic made by the Java admin client, so that both producers meet it ready."""
    context.java("CreateTopic", context.bootstrap, TOPIC, PARTITIONS)


def producer(context, name, command):
    words = [str(word) for word in [*command, context.bootstrap, TOPIC, context.work / f"{name}.acks"]]
    with open(context.work / f"{name}.err", "wb") as errors:
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=errors, stderr=errors)


def finish(name, child):
    """Tells a producer to send no more, and waits until all it sent is acknowledged."""
    try:
        _, _ = child.communicate(b"\n", timeout=150)
    except subprocess.TimeoutExpired:
        child.kill()
        raise check.CheckFailed(f"the {name} producer did not finish") from None
    check.equal(child.returncode, 0, f"status of the {name} producer (its output is in {name}.err)")


def rounds(context, chance, producers, acknowledged):
    """Each round: both producers got on (in four of five rounds), a random moment more, SIGKILL, start again."""
    for number in range(context.options.rounds):
        sizes = {name: size(path) for name, path in acknowledged.items()}
        if chance.random() < 0.8:
            progress(producers, acknowledged, sizes)
        time.sleep(chance.random() * 0.5)  # the random moment, not a wait for anything
        context.server.kill_nine()
        begin = time.monotonic()
        context.server.start()
        print(f"round {number + 1}: restart took {time.monotonic() - begin:.2f} s; acknowledged bytes {sizes}", flush=True)
    progress(producers, acknowledged, {name: size(path) for name, path in acknowledged.items()})


def progress(producers, acknowledged, sizes):
    """Both producers have some hundred acknowledgements more than `sizes` says, and live."""
    def moved():
        for name, child in producers.items():
            check.that(child.poll() is None, f"the {name} producer ended with {child.returncode}; see {name}.err")
        return all(size(path) > sizes[name] + 4000 for name, path in acknowledged.items())
    check.eventually(moved, "both producers get acknowledgements", 60, 0.02)


def size(path):
    return path.stat().st_size if path.exists() else 0


def judge(log, acknowledged):
    """Demands of the log, rows of (partition, offset, id), all that the producers' lines say."""
    for partition in range(PARTITIONS):
        offsets = [offset for part, offset, _ in log if part == partition]
        check.same_list(offsets, list(range(len(offsets))), f"offsets of partition {partition}")
    at = {(partition, offset): name for partition, offset, name in log}
    total = 0
    for client, lines in acknowledged.items():
        sent = int(lines[-1].removeprefix("sent "))
        check.equal(len(lines) - 1, sent, f"acknowledgements of {client}")
        for line in lines[:-1]:
            partition, offset, name = line.split()
            check.equal(at.get((int(partition), int(offset))), name, f"the record acknowledged at {partition}/{offset}")
        total += sent
        in_order(client, log)
    names = [name for _, _, name in log]
    check.equal(len(set(names)), len(names), "records that are there once")
    check.equal(len(names), total, "records in the log")
    print(f"{total} records, all acknowledged, all at their offsets")


def in_order(client, log):
    """Sequence numbers of one producer, partition by partition, must be exactly those sent to it, in order."""
    for partition in range(PARTITIONS):
        numbers = [int(name.rpartition("-")[2]) for part, _, name in log if part == partition and name.startswith(client)]
        want = list(range(partition, partition + len(numbers) * PARTITIONS, PARTITIONS))
        check.same_list(numbers, want, f"records of {client} in partition {partition}")


def read(context):
    """(partition, offset, id) of everything in the topic; in offset order within a partition."""
    out = context.kcat("-C", "-t", TOPIC, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\\n", seconds=120)
    rows = [line.split() for line in out.text.splitlines()]
    return [(int(partition), int(offset), name) for partition, offset, name in rows]
