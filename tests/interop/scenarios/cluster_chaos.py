"""Three agents in three zones on one metadata store and MinIO, and a compactor, under load, while agents are killed, stopped for a while (SIGSTOP), told
to end (SIGTERM) and added at random, for `--minutes`; `--seed` repeats the faults. `--metadata fdb` for a real FoundationDB (harness/foundationdb.py).

Producers, readers, members of groups and transactional copiers of librdkafka, Java and sarama write down all that they ask and are told, and so does one who
asks every agent for the ends of all partitions and reads on from another agent at each fetch. A judge (harness/history) holds the whole against the log: S1 to S6, S10.
No producer may have an error that is fatal or a record that fails. The longest pause that clients saw is told for each fault; after `kill -9` it may be 10 s,
at SIGTERM 1 s where the program drains, plus what the machine itself stood still meanwhile, by this program's own heartbeat: what is over that is told, and
with `--bounds` a failure. An agent that comes moves clients, too, and is told as a fault of its own ("added"). Beside other work no bound holds, so without it none is demanded.
"""

import json
import random
import resource
import subprocess
import time

from harness import check, cloud, foundationdb, history, install, process
from harness.context import Context
from harness.heartbeat import Heartbeat
from harness.history import last, pauses
from harness.places import INTEROP, SILTSTONE

PARTITIONS = 6
EVENTS, SOURCE, OUT, GROUP = "events", "in", "out", "copiers"
MEMBERS = "librdkafka-member", "java-member"  # each of a group of its name, with the classic and with the consumer protocol
RATE, FEED = 150, 60  # records a second, of each producer
BOUNDS = {"kill -9": 10.0, "drain": 1.0}
QUIET = 11, 16  # seconds after a fault until the next: more than the longest pause that is allowed
STOPPED = 3, 20
SHORTEST = 2  # minutes: room for one fault of each kind


def run(context):
    metadata, why = foundationdb.chosen(context.options, context.server.port + 30)
    if why:
        (context.work / "note").write_text(f"not run: {why}")
        return
    seed = context.options.seed if context.options.seed is not None else time.time_ns() % 10**9
    print(f"seed {seed}, {minutes(context)} minutes", flush=True)
    context.server.stop()  # it is no agent
    place = cloud.Cloud(context.server.port + 10, context.work, metadata, context.server.store, context.server.env)
    try:
        metadata.start()
        place.start()
        Chaos(Context(place, context.work, context.options), place, random.Random(seed)).run()
        place.stop()
        metadata.stop()
    finally:
        place.stop()
        # There is still something to stop if it went wrong.
        metadata.stop(keep=context.work / "metadata")


def minutes(context):
    return max(SHORTEST, context.options.minutes)


class Chaos:
    """One run: its clients, its faults, its judgement."""

    rate = RATE

    def __init__(self, context, place, chance):
        self.context, self.place, self.chance = context, place, chance
        self.folder, self.children, self.faults = context.work / "history", {}, []
        self.folder.mkdir()
        self.own = open(self.folder / "driver.jsonl", "w", encoding="utf-8")

    def write(self, event):
        self.own.write(json.dumps(event) + "\n")

    def run(self):
        self.prepare()
        begin, waited = time.monotonic(), pressure()
        with Heartbeat() as heartbeat:
            try:
                self.start_clients()
                self.harm(time.monotonic() + 60 * minutes(self.context))
                end = time.monotonic()
                self.finish()
            finally:
                self.kill_clients()
        print(f"in {time.monotonic() - begin:.0f} s programs waited for a processor in {pressure() - waited:.0f} s; {len(heartbeat.stalls)} late heartbeats, "
              f"the longest by {max((to - since for since, to in heartbeat.stalls), default=0):.2f} s", flush=True)
        self.judge(heartbeat.stalls, end)

    def kill_clients(self):
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
                child.wait()

    def prepare(self):
        for topic in (EVENTS, SOURCE, OUT):
            process.run([SILTSTONE, "topic", "create", topic, "--partitions", PARTITIONS, "--bootstrap", self.context.bootstrap])
        for group, topic in ((GROUP, SOURCE), *((member, EVENTS) for member in MEMBERS if member in self.programs())):
            asked = time.monotonic()
            self.context.python("begin_at_zero.py", self.context.bootstrap, group, topic, PARTITIONS)
            for part in range(PARTITIONS):
                self.write({"e": "commit", "c": "driver", "g": group, "gen": None, "p": f"{topic}/{part}", "o": 0, "a": asked, "b": time.monotonic(), "r": "ok"})

    def programs(self):
        """The clients, and how each is started."""
        def python(program):
            return [install.PYTHON, "-B", INTEROP / "python" / program]
        java, go, to = self.context.java_command, [install.GO_BIN / "history"], [self.context.bootstrap]
        copying = [SOURCE, OUT, PARTITIONS, GROUP]
        return {
            "watch": [*python("history_watch.py"), *to, self.path("watch"), GROUP, SOURCE, OUT, PARTITIONS, EVENTS, OUT],
            "feeder": [*python("history_producer.py"), *to, SOURCE, PARTITIONS, self.path("feeder"), "feeder", FEED],
            "librdkafka": [*python("history_producer.py"), *to, EVENTS, PARTITIONS, self.path("librdkafka"), "librdkafka", self.rate],
            "java": [*java("HistoryProducer"), *to, EVENTS, PARTITIONS, self.path("java"), "java", self.rate],
            "sarama": [*go, "produce", *to, EVENTS, PARTITIONS, self.path("sarama"), "sarama", self.rate],
            "librdkafka-reader": [*python("history_reader.py"), *to, EVENTS, PARTITIONS, self.path("librdkafka-reader"), "librdkafka-reader", "ru", "zone-0"],
            "java-reader": [*java("HistoryReader"), *to, EVENTS, PARTITIONS, self.path("java-reader"), "java-reader", "rc", "zone-1"],
            "sarama-reader": [*go, "read", *to, EVENTS, PARTITIONS, self.path("sarama-reader"), "sarama-reader", "ru", "zone-2"],
            "copies-reader": [*python("history_reader.py"), *to, OUT, PARTITIONS, self.path("copies-reader"), "copies-reader", "rc", "zone-2"],
            **{member: [*program, *to, EVENTS, self.path(member), member, f"zone-{number}"]
               for number, (member, program) in enumerate(zip(MEMBERS, (python("history_member.py"), java("HistoryMember"))))},
            "librdkafka-copier": [*python("history_copier.py"), *to, *copying, self.path("librdkafka-copier"), "librdkafka-copier"],
            "java-copier": [*java("HistoryCopier"), *to, *copying, self.path("java-copier"), "java-copier"],
        }

    def start_clients(self):
        programs = self.programs()
        for name, command in programs.items():
            with open(self.context.work / f"{name}.err", "wb") as errors:
                self.children[name] = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=errors, stderr=errors)
        for name in programs:
            check.eventually(lambda: self.alive() and self.path(name).exists() and self.path(name).stat().st_size > 20_000, f"{name} is at work", 90, 0.5)

    def path(self, name):
        return self.folder / f"{name}.jsonl"

    def alive(self):
        for name, child in self.children.items():
            check.that(child.poll() is None, f"the program {name} ended with {child.returncode}; see {name}.err")
        return True

    def harm(self, until):
        """Faults in rounds of all kinds, in random order, each of a random agent; between them time to see what they did."""
        deck = []
        self.rest()
        while time.monotonic() < until:
            if not deck:
                deck = [self.killed, self.stopped, self.drained, self.added]
                self.chance.shuffle(deck)
            deck.pop()()
            self.alive()
            check.that(self.place.compactor.alive(), "the compactor lives")

    def rest(self):
        time.sleep(self.chance.uniform(*QUIET))  # the time in which pauses are looked for, not a wait for anything

    def fault(self, what, place):
        self.faults.append((time.monotonic(), what))
        print(f"{time.monotonic():.3f} {what} {place} ({self.place.agents[place].bootstrap}, {self.place.agents[place].data.name})", flush=True)

    def victim(self):
        return self.chance.choice(sorted(self.place.agents))

    def killed(self):
        place = self.victim()
        self.fault("kill -9", place)
        self.place.agents[place].kill_nine()
        if self.chance.random() < 0.5:
            self.rest()
        self.renew(place)
        self.rest()

    def renew(self, place):
        """In its place the same again, or a new one that has nothing. That moves clients, too: what they wait for from here on is told apart, unless the
        fault before may still have them wait."""
        if time.monotonic() - self.faults[-1][0] >= QUIET[0]:
            self.faults.append((time.monotonic(), "added"))
            print(f"{self.faults[-1][0]:.3f} added {place} again", flush=True)
        if self.chance.random() < 0.5:
            self.place.agents[place].start()
        else:
            del self.place.agents[place]
            self.place.add(place)

    def stopped(self):
        place = self.victim()
        seconds = self.chance.uniform(*STOPPED)
        self.fault(f"SIGSTOP for {seconds:.0f} s", place)
        agent = self.place.agents[place]
        agent.stop_still()
        time.sleep(seconds)  # the fault itself
        agent.go_on()
        self.rest()
        if not agent.alive():
            print(f"the agent at {place} ended by itself after it had stood still: {agent.log_tail()[-300:]}", flush=True)
            self.renew(place)

    def drained(self):
        place = self.victim()
        self.fault("drain", place)
        begin = time.monotonic()
        self.place.agents[place].stop()
        print(f"it ended after {time.monotonic() - begin:.1f} s", flush=True)
        self.rest()
        self.renew(place)
        self.rest()

    def added(self):
        """One more; and when there is no room for more, one of those is told to end for good."""
        place = self.place.free()
        if place is not None:
            self.faults.append((time.monotonic(), "added"))
            agent = self.place.add(place)
            print(f"{self.faults[-1][0]:.3f} added {place} ({agent.bootstrap})", flush=True)
        else:
            place = self.victim()
            self.fault("drain", place)
            self.place.agents.pop(place).stop()
        self.rest()

    def finish(self):
        """Producers end first, then copiers when all is copied, then who only looked. Then the log is read."""
        for name in ("librdkafka", "java", "sarama", "feeder"):
            self.end(name)
        check.eventually(self.all_copied, "the copiers have copied all", 240, 1)
        for name in list(self.children):
            self.end(name)
        for event in check.eventually(lambda: last.group(self.place.serving(), GROUP, SOURCE, PARTITIONS), f"offsets of {GROUP}", 30):
            self.write(event)
        self.write({"e": "job", "g": GROUP, "in": SOURCE, "out": OUT})
        check.eventually(lambda: last.settled(self.place.serving()[0], OUT, PARTITIONS), "no transaction is open any more", 60, 0.5)
        self.read_logs(EVENTS, SOURCE, OUT)

    def read_logs(self, *topics):
        for topic in topics:
            last.read_log(self.place.serving()[0], topic, PARTITIONS, self.write)
        self.own.close()

    def end(self, name, seconds=200):
        child = self.children[name]
        try:
            child.communicate(b"\n", timeout=seconds)
        except subprocess.TimeoutExpired:
            raise check.CheckFailed(f"{name} did not end within {seconds} s; see {name}.err") from None
        check.equal(child.returncode, 0, f"status of {name} (what it said is in {name}.err)")
        del self.children[name]

    def all_copied(self):
        self.alive()
        told = last.group(self.place.serving(), GROUP, SOURCE, PARTITIONS)
        ends = last.high(self.place.serving()[0], SOURCE, PARTITIONS)
        return told and all(event["o"] == ends[index] for index, event in enumerate(told))

    def judge(self, stalls, end):
        begin, files = time.monotonic(), sorted(self.folder.glob("*.jsonl"))
        findings, counts, watched = history.judge(history.files(files))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"judged {sum(counts.values())} events in {time.monotonic() - begin:.1f} s with {memory:.0f} MiB: {counts}", flush=True)
        print(f"findings: {findings or 'none'}", flush=True)
        rows = self.paused(watched, stalls, end)
        check.that(not findings, str(findings))
        check.equal(failures(files), [], "records of idempotent producers that failed")
        over = [f"{client} waited {seconds:.1f} s at {part} after {what} at {at:.3f}, and the machine stood still for {still:.1f} s of it"
                for what, at, kind, seconds, still, client, part in rows
                if kind != "copiers" and what in BOUNDS and (what != "drain" or cloud.drains()) and seconds - still > BOUNDS[what]]
        print("over the bounds:", *over or ["none"], sep="\n  ", flush=True)
        check.that(not over or not self.context.options.bounds, "; ".join(over))

    def paused(self, watched, stalls, end):
        """Prints the pauses, and notes the worst."""
        rows = pauses.table(watched, self.faults, stalls, end, steady)
        print("fault | at | kind | longest pause, s | machine stood still, s | client | partition")
        worst = {}
        for what, at, kind, seconds, still, client, part in rows:
            print(f"{what} | {at:.1f} | {kind} | {seconds:.2f} | {still:.2f} | {client} | {part}")
            key = f"{what.split(' for')[0]} {kind}"
            worst[key] = max(worst.get(key, (0, 0)), (seconds, still))
        text = ", ".join(f"{key} {seconds:.1f} s (machine {still:.1f})" for key, (seconds, still) in sorted(worst.items()))
        (self.context.work / "note").write_text(f"{len(self.faults)} faults; longest pauses: {text}")
        return rows


def steady(client, part):
    """Whether a pause is one: who goes from agent to agent reads a partition now and then, and copies come when the copiers have them."""
    return not client.startswith("hopper-") and not part.startswith(f"{OUT}/")


def pressure():
    """Seconds in which a program that could have run waited for a processor; 0 where the kernel does not tell."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as told:
            return int(told.readline().rpartition("=")[2]) / 1e6
    except OSError:
        return 0.0


def failures(files):
    """Failed records of producers that never give up. A copier's may fail: its transaction is then no more."""
    return [event for event in history.files([path for path in files if "copier" not in path.name])(("fail",))][:3]
