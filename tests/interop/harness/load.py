"""Producers and a reader that run beside a scenario's faults, what they must have seen at the end, and what a server's memory was."""

import subprocess

from . import check, install
from .places import INTEROP

PARTITIONS = 4


class Load:
    """Idempotent producers of a topic and a `kcat` that follows it. What a fault does to them shows in `judge`."""

    def __init__(self, context, topic, producers=8, record=4096, rate=4 << 20, java=True):
        self.context, self.topic, self.children = context, topic, {}
        words = [install.PYTHON, "-B", INTEROP / "python/outage_producer.py", context.bootstrap, topic, self.acks("librdkafka"),
                 "librdkafka", producers, record, rate]
        self._spawn("librdkafka", words)
        if java:
            self._spawn("java", [*context.java_command("KillNineProducer"), context.bootstrap, topic, self.acks("java")])
        self.seen, self.reader = context.work / "followed", None
        self.follow()

    def follow(self):
        """A kcat that reads from the start and follows. It ends when all its brokers are gone: then call this again."""
        if self.reader is not None:
            self.reader.kill()
            self.reader.wait(10)
        with open(self.seen, "wb") as out, open(self.context.work / "follow.err", "wb") as errors:
            self.reader = subprocess.Popen(["kcat", "-b", self.context.bootstrap, "-C", "-t", self.topic, "-o", "beginning", "-q", "-u",
                                            "-X", "reconnect.backoff.max.ms=500", "-f", "%p %o %s\\n"],
                                           stdin=subprocess.DEVNULL, stdout=out, stderr=errors)

    def acks(self, name):
        return self.context.work / f"{name}.acks"

    def _spawn(self, name, command):
        with open(self.context.work / f"{name}.err", "wb") as errors:
            self.children[name] = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=errors, stderr=errors)

    def acknowledged(self):
        """Records acknowledged so far, by producer program."""
        return {name: lines(self.acks(name)) for name in self.children}

    def progress(self, what, records=200, seconds=60):
        """All of the producers have so many acknowledgements more than now."""
        before = self.acknowledged()

        def moved():
            self.alive()
            return all(count >= before[name] + records for name, count in self.acknowledged().items())
        check.eventually(moved, f"the producers get acknowledgements {what}", seconds, 0.05)

    def alive(self):
        for name, child in self.children.items():
            check.that(child.poll() is None, f"the {name} producer ended with {child.returncode}; see {name}.err")

    def finish(self, seconds=240):
        """Tells the producers to end, then judges what is in the log and what the reader saw."""
        for name, child in self.children.items():
            try:
                child.communicate(b"\n", timeout=seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                raise check.CheckFailed(f"the {name} producer did not finish") from None
            check.equal(child.returncode, 0, f"status of the {name} producer (its output is in {name}.err)")
        texts = {name: self.acks(name).read_text().splitlines() for name in self.children}
        total = sum(int(text[-1].removeprefix("sent ")) for text in texts.values())
        check.eventually(lambda: lines(self.seen) >= total, "the reader that followed all the time has all of it", 60)
        self.reader.terminate()
        self.reader.wait(10)
        judge(rows(self.seen.read_bytes()), texts, "who followed")
        out = self.context.kcat("-C", "-t", self.topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\\n", seconds=120)
        judge(rows(out.out), texts, "a new reader")
        print(f"{total} records, all acknowledged, all at their offsets, once, in order")


def lines(path):
    if not path.exists():
        return 0
    with open(path, "rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))


def rows(text):
    """(partition, offset, id) of kcat's lines; what follows the id in a value is left away."""
    split = (line.split(maxsplit=3) for line in text.decode().splitlines())
    return [(int(partition), int(offset), name) for partition, offset, name, *_ in split]


def judge(log, acknowledged, reader):
    """Offsets without a gap; everything acknowledged at its offset, once; each producer's records in the order sent."""
    for partition in range(PARTITIONS):
        offsets = [offset for part, offset, _ in log if part == partition]
        check.same_list(offsets, list(range(len(offsets))), f"offsets of partition {partition} for {reader}")
    at = {(partition, offset): name for partition, offset, name in log}
    there, total = {(partition, name) for partition, _, name in log}, 0
    for client, text in acknowledged.items():
        sent = int(text[-1].removeprefix("sent "))
        check.equal(len(text) - 1, sent, f"acknowledgements of {client}")
        for line in text[:-1]:
            partition, offset, name = line.split()
            if int(offset) < 0:  # acknowledged without telling where
                check.that((int(partition), name) in there, f"{name} was acknowledged in {partition} and is there for {reader}")
            else:
                check.equal(at.get((int(partition), int(offset))), name, f"the record acknowledged at {partition}/{offset} for {reader}")
        total += sent
    names = [name for _, _, name in log]
    check.equal(len(set(names)), len(names), f"records that are there once for {reader}")
    check.equal(len(names), total, f"records for {reader}")
    last = {}
    for partition, _, name in log:
        client, _, number = name.rpartition("-")
        check.that(last.get((client, partition), -1) < int(number), f"order of {client} in partition {partition} for {reader}")
        last[client, partition] = int(number)


def memory(server, what="VmHWM"):
    """Peak (VmHWM) or present (VmRSS) memory of a server, MiB."""
    with open(f"/proc/{server.pid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what + ":")) / 1024
