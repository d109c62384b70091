"""Exactly once under faults: a transactional consume-process-produce job of four workers, two of Java and two of librdkafka, each twice
static and dynamic in its group, while workers and server are killed with SIGKILL at random moments for `--minutes`.

A feeder writes numbers to the input all the time; the workers copy them, ten percent of the transactions aborted on purpose; an observer
reads the output under read_committed all the time (java/ChaosObserver.java says what it demands). At the end the workers catch up, and the
output must hold each number exactly once, in the right partition, and the committed offsets must be the input's ends. `--seed` repeats
the same faults at the same moments. No worker of Java may ever find that an offset which the group has committed is gone.
"""

import json
import random
import subprocess
import time

from harness import check, install
from harness.places import INTEROP

PARTITIONS = 4
STANDSTILL, CAUGHT_UP = 60, 420  # seconds
LIBRARIES = {"java-static": "static-1", "java-dynamic": None, "librdkafka-static": "static-2", "librdkafka-dynamic": None}
# What Java's clients say when an offset is neither committed nor in the log. librdkafka 2.16 says so by mistake: where its assignment changes while an
# answer of UNSTABLE_OFFSET_COMMIT is on its way, it takes the -1 in it for "nothing committed" (assignment.c: back to pending, with that offset).
# Its workers ask for an error then (auto.offset.reset=error), and begin anew.
LOST = ("NoOffsetForPartition", "OffsetOutOfRange", "LogTruncation")


def run(context):
    play(context, "classic")


def run_new_protocol(context):
    play(context, "consumer")


def play(context, protocol):
    seed = context.options.seed if context.options.seed is not None else time.time_ns() % 10**9
    print(f"seed {seed}, {context.options.minutes} minutes")
    job = Job(context, protocol)
    try:
        job.run(random.Random(seed), context.options.minutes * 60)
    finally:
        job.end()


class Job:
    """The processes of one run and the names that they share."""

    # Of all faults so many are the server's, and so long, in seconds, it is down at most.
    SERVERS_SHARE, LONGEST_DOWN = 0.25, 0

    def __init__(self, context, protocol):
        self.context, self.protocol = context, protocol
        self.source, self.out, self.group = (context.topic(f"chaos-{name}") for name in ("in", "out", "group"))
        self.workers, self.others, self.kills = {}, [], {"server": 0, "worker": 0}
        context.python("prepare_groups.py", context.bootstrap, self.source, self.out, 0)
        context.python("begin_at_zero.py", context.bootstrap, self.group, self.source)

    def spawn(self, name, command, **named):
        log = open(self.context.work / f"{name}.err", "ab")
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stderr=log, **named)

    def worker(self, name):
        """Starts a worker, or starts it again after it was killed, under the same transactional id."""
        instance = LIBRARIES[name]
        args = [self.context.bootstrap, self.source, self.out, self.group, f"{self.group}-{name}", self.protocol, *([instance] if instance else [])]
        if name.startswith("java"):
            command = self.context.java_command("ChaosWorker", args=args)
        else:
            command = [install.PYTHON, "-B", INTEROP / "python/chaos_worker.py", *args]
        self.workers[name] = self.spawn(name, command)

    def run(self, chance, seconds):
        feeder = self.spawn("feeder", [install.PYTHON, "-B", INTEROP / "python/chaos_feeder.py", self.context.bootstrap, self.source],
                            stdout=subprocess.PIPE)
        mode = "instant" if self.context.is_siltstone else "eventual"
        observer = self.spawn("observer", self.context.java_command("ChaosObserver", args=(self.context.bootstrap, self.source, self.out, self.group, mode)),
                              stdout=subprocess.PIPE)
        self.others = [feeder, observer]
        for name in LIBRARIES:
            self.worker(name)
        check.eventually(lambda: sum(self.committed().values()) > 100, "the workers commit offsets", 60, 0.5)
        self.faults(chance, seconds)
        total = int(finish("feeder", feeder, 150))
        self.catch_up(total)
        self.dismiss()
        print(f"killed {self.kills}; {finish('observer', observer, 90)}")
        self.judge(total)

    def catch_up(self, total):
        """How long the rest takes is the machine's matter, and each abort on purpose sends all workers back; but it has to go on."""
        begin, done, moved = time.monotonic(), sum(self.committed().values()), time.monotonic()
        print(f"{total - done} of {total} numbers are left to do")
        while done != total:
            now = sum(self.committed().values())
            if now > done:
                done, moved = now, time.monotonic()
            check.that(time.monotonic() < moved + STANDSTILL, f"the workers go on; for {STANDSTILL} s they stand at {done} of {total} numbers")
            check.that(time.monotonic() < begin + CAUGHT_UP, f"the workers have done {done} of {total} numbers within {CAUGHT_UP} s")
            time.sleep(0.5)
        print(f"caught up after {time.monotonic() - begin:.0f} s")

    def never_reset(self):
        """Workers may not be sent anywhere but to what the group has committed, and there it must be."""
        for name in (name for name in self.workers if name.startswith("java")):
            lost = [line for line in (self.context.work / f"{name}.err").read_text(errors="replace").splitlines() if any(sign in line for sign in LOST)]
            check.equal(lost[:2], [], f"places that the worker {name} was told to have lost")

    def dismiss(self):
        """Lets the workers end; one that hangs in a library's goodbye is no matter of this scenario, as all work is done."""
        for name, child in self.workers.items():
            try:
                child.communicate(b"\n", timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                print(f"the worker {name} did not end by itself")
            else:
                check.equal(child.returncode, 0, f"status of the worker {name}; see {name}.err")

    def faults(self, chance, seconds):
        """A fault every one to five seconds, the server's or a worker's; which and when is the seed's choice."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(1 + chance.random() * 4)  # the random moment, not a wait for anything
            if chance.random() < self.SERVERS_SHARE:
                self.context.server.kill_nine()
                if self.LONGEST_DOWN:
                    time.sleep(chance.random() * self.LONGEST_DOWN)
                self.context.server.start()
                self.kills["server"] += 1
            else:
                name = chance.choice(sorted(self.workers))
                check.that(self.workers[name].poll() is None, f"the worker {name} ended with {self.workers[name].returncode}; see {name}.err")
                self.workers[name].kill()
                self.workers[name].wait()
                self.worker(name)
                self.kills["worker"] += 1
            self.never_reset()
            for child in self.beside():
                check.that(child.poll() is None, f"a program ended with {child.returncode}; see {self.context.work}")

    def beside(self):
        """What must live as long as there are faults."""
        return self.others

    def committed(self):
        """Partition ▸ committed offset; empty while nobody knows (a server that begins makes this client fail in many ways)."""
        told = self.context.python("committed.py", self.context.bootstrap, self.group, ok=None)
        return json.loads(told.text) if told.code == 0 else {}

    def judge(self, total):
        """Rows of the output under both isolation levels against the numbers from 0 to `total`."""
        rows = self.read("read_committed")
        exactly_once([(int(row["partition"]), int(row["payload"])) for row in rows], total)
        check.equal([row for row in rows if fate(row) != "commit"][:3], [], "records to be aborted that are seen")
        aborted = sum(1 for row in self.read("read_uncommitted") if fate(row) == "abort")
        check.that(aborted > 0, "transactions were aborted on purpose")
        print(f"{total} numbers, each once; {aborted} records of aborted transactions in the log, none seen")

    def read(self, isolation):
        out = self.context.kcat("-C", "-t", self.out, "-o", "beginning", "-e", "-q", "-J", "-X", f"isolation.level={isolation}", seconds=120)
        return [json.loads(line) for line in out.text.splitlines()]

    def end(self):
        for child in [*self.workers.values(), *self.others]:
            if child.poll() is None:
                child.kill()
                child.wait()


def fate(row):
    return dict(zip(row["headers"][::2], row["headers"][1::2]))["fate"]


def finish(name, child, seconds):
    """Tells a process to end by itself, and gives what it printed."""
    try:
        out, _ = child.communicate(b"\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        raise check.CheckFailed(f"the {name} did not end within {seconds} s") from None
    check.equal(child.returncode, 0, f"status of the {name} (what it said is in its .err)")
    return (out or b"").decode()


def exactly_once(rows, total):
    """Rows of (partition, number): every number below `total` once, where it belongs."""
    seen = {}
    for partition, number in rows:
        check.equal(partition, number % PARTITIONS, f"partition of {number}")
        seen[number] = seen.get(number, 0) + 1
    check.equal([number for number in range(total) if number not in seen][:10], [], "numbers that are missing in the output")
    check.equal([number for number, count in seen.items() if count > 1][:10], [], "numbers that are in the output twice")
    check.equal(len(rows), total, "records in the output")
