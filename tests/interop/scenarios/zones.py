"""Three agents in two zones on one PostgreSQL: clients stay in their zone, and an agent that is drained under load is missed by nobody.

A producer that names its zone in its client id writes to its zone's agents alone. Consumers that set nothing but client.rack, Java's and
librdkafka's, read from agents in their zone, whatever agent they begin with: no record crosses, by the agents' own counters. Then one agent after
the other is told to end while producers and a group go on: no record of a producer fails, and the longest pause of each partition is measured.
"""

import json
import subprocess
import threading
import time

from harness import check, load, metrics, process
from harness.places import SILTSTONE
from harness.postgres import Postgres
from harness.toolshell import ToolShell

from .agents import Agent, Both, cluster, of

ZONES = ("a", "b", "b")
PARTITIONS = load.PARTITIONS
# The limit for a drain is 1 s. The machine that runs this may be busy with other things.
PAUSE, GENEROUS = 1.0, 5.0


class Zoned(Agent):
    """An agent in a zone."""

    def __init__(self, port, data, metadata, zone):
        super().__init__(port, data, metadata)
        self.zone = zone

    def _command(self):
        # All of its share at once: who leads what is compared between agents.
        return [*super()._command(), "--zone", self.zone, "--set", "node.warmup=0"]

    def counted(self, direction, zone):
        """Bytes by the zone of those that they were for, or came from."""
        return metrics.total(self.port + 1, "siltstone_kafka_zone_bytes_total", direction=direction, zone=zone)


def run(context):
    context.server.stop()  # its ports are wanted, and it is no agent
    metadata = Postgres(context.server.port + 6)
    agents = [Zoned(context.server.port + 2 * number, context.work / f"agent-{number}", metadata, zone) for number, zone in enumerate(ZONES)]
    try:
        metadata.start()
        for agent in agents:
            agent.start()
        for agent in agents:
            check.eventually(lambda: len(cluster(context, agent)[0]) == len(agents), "all agents are listed by all", 30)
        leaders(context, agents)
        near(context, agents)
        drained(context, agents)
    finally:
        for agent in agents:
            agent.stop()
        metadata.stop()


def leaders(context, agents):
    """A client's zone has its leaders; all agents say the same; each zone has a replica."""
    process.run([SILTSTONE, "topic", "create", "near", "--partitions", PARTITIONS, "--bootstrap", agents[0].bootstrap])
    node = {name: number for number, name in cluster(context, agents[0])[0].items()}
    zone_of = {node[agent.bootstrap]: agent.zone for agent in agents}
    for zone in ("a", "b"):
        told = [cluster_as(context, agent, f"zone={zone};kcat") for agent in agents]
        check.that(all(one == told[0] for one in told), f"all agents name the same leaders to clients in zone {zone}")
        check.equal({zone_of[leader] for leader, _ in told[0].values()}, {zone}, f"zones of the leaders for clients in zone {zone}")
        for _, replicas in told[0].values():
            check.equal(sorted(zone_of[replica] for replica in replicas), ["a", "b"], "zones of a partition's replicas")
    told = [cluster_as(context, agent, "kcat") for agent in agents]
    check.that(all(one == told[0] for one in told), "all agents name the same leaders to clients of no zone")


def cluster_as(context, agent, client):
    """Leader and replicas by partition of the topic `near`, as this client is told."""
    answer = json.loads(of(context, agent).kcat("-L", "-J", "-t", "near", "-X", f"client.id={client}").text)
    parts = answer["topics"][0]["partitions"]
    return {part["partition"]: (part["leader"], tuple(replica["id"] for replica in part["replicas"])) for part in parts}


def near(context, agents):
    """Nothing crosses: what is written in zone a, and what consumers read that know nothing but their rack."""
    values = [f"{index:05d}" + "x" * 495 for index in range(4000)]
    volume = sum(map(len, values))
    begin = of(context, agents[1])
    begin.kcat("-P", "-t", "near", "-X", "client.id=zone=a;writer", "-X", "enable.idempotence=true", stdin="\n".join(values).encode() + b"\n")
    check.that(agents[0].counted("received", "same") >= volume, "the zone's agent took what its client wrote")
    check.equal(sum(agent.counted("received", "other") for agent in agents), 0, "bytes of producers that crossed")
    for zone in ("a", "b"):
        for first in agents:
            before = sent(agents, zone)
            one = of(context, first)
            got = one.kcat("-C", "-t", "near", "-o", "beginning", "-e", "-q", "-X", f"client.rack={zone}").text.split()
            check.same_list(sorted(got), values, f"what librdkafka in rack {zone} reads, beginning with {first.bootstrap}")
            check.that(sent(agents, zone) - before >= volume, f"zone {zone} served librdkafka that began with {first.bootstrap}")
            crossed(agents, f"to librdkafka in rack {zone}")
    with ToolShell(of(context, agents[0])) as tools:
        for zone, protocol in (("a", "classic"), ("b", "classic"), ("b", "consumer")):
            before = sent(agents, zone)
            out = tools.tool("consumer.ConsoleConsumer", "--topic", "near", "--from-beginning", "--max-messages", len(values),
                             "--timeout-ms", 60000, "--command-property", f"client.rack={zone}", "--command-property",
                             f"group.protocol={protocol}")
            got = [line for line in out.text.split() if line[:5].isdigit()]
            check.same_list(sorted(got), values, f"what a Java consumer in rack {zone} reads")
            check.that(sent(agents, zone) - before >= volume, f"zone {zone} served the Java consumer")
            crossed(agents, f"to Java in rack {zone} with the {protocol} protocol")


def sent(agents, zone):
    return sum(agent.counted("sent", "same") for agent in agents if agent.zone == zone)


def crossed(agents, what):
    check.equal(sum(agent.counted("sent", "other") for agent in agents), 0, f"bytes of records that crossed zones {what}")


class Watch:
    """When each partition of each program last had something acknowledged, or read, and how long it ever took to the next."""

    def __init__(self, files):
        self.places = {name: (path, 0) for name, path in files.items()}
        self.last, self.longest, self.ended = {}, {}, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(0.01):
            self.look()

    def look(self):
        for name, (path, at) in list(self.places.items()):
            if not path.exists():
                continue
            with open(path, "rb") as file:
                file.seek(at)
                text = file.read()
            whole = text[:text.rfind(b"\n") + 1]
            self.places[name] = (path, at + len(whole))
            now = time.monotonic()
            for partition in {line.split(b" ", 1)[0] for line in whole.splitlines() if line[:1].isdigit()}:
                key = (name, int(partition))
                self.longest[key] = max(self.longest.get(key, 0), now - self.last.get(key, now))
                self.last[key] = now

    def begin(self):
        """Forgets the pauses so far."""
        self.longest.clear()

    def pauses(self):
        """The longest pause of each program, those that go on included."""
        now = time.monotonic()
        longest = {}
        for (name, partition), last in dict(self.last).items():
            longest[name] = max(longest.get(name, 0), now - last, self.longest.get((name, partition), 0))
        return longest


def drained(context, agents):
    """Under load one agent after the other leaves, and comes back."""
    both = of(context, Both(agents))
    process.run([SILTSTONE, "topic", "create", "drained", "--partitions", PARTITIONS, "--bootstrap", both.bootstrap])
    flow = load.Load(both, "drained", producers=8, rate=1 << 20)
    readers = context.work / "group.out"
    with open(readers, "wb") as out, open(context.work / "group.err", "wb") as errors:
        group = subprocess.Popen(["kcat", "-b", both.bootstrap, "-G", "readers", "-q", "-u", "-X", "auto.offset.reset=earliest", "-X", "topic.metadata.refresh.interval.ms=5000",
                                  "-f", "%p %o %s\\n", "drained"], stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
    watch = Watch({**{name: flow.acks(name) for name in flow.children}, "group": readers})
    try:
        flow.progress("before any drain")
        check.eventually(lambda: load.lines(readers) > 0, "the group reads", 60)
        worst = {}
        for agent in agents:
            flow.progress("before the next drain")
            quiet = time.monotonic() + 2
            check.eventually(lambda: time.monotonic() > quiet, "a time without faults", 10)
            usual = watch.pauses()
            watch.begin()
            begin = time.monotonic()
            agent.stop()
            took = time.monotonic() - begin
            flow.progress("with one agent less", records=400)
            pauses = watch.pauses()
            print(f"drain of the agent in zone {agent.zone}: {took:.1f} s; longest pauses " +
                  ", ".join(f"{name} {pause:.2f} s (before: {usual[name]:.2f})" for name, pause in sorted(pauses.items())), flush=True)
            for name, pause in pauses.items():
                worst[name] = max(worst.get(name, 0), pause)
            agent.start()
            rest = [other for other in agents if other is not agent]
            check.eventually(lambda: all(len(cluster(context, other)[0]) == len(agents) for other in rest), "it is listed again", 30)
            watch.begin()
        over = {name: pause for name, pause in worst.items() if pause > PAUSE}
        print(f"longest pauses of all: {worst}; over {PAUSE} s: {over or 'none'}", flush=True)
        for name, pause in worst.items():
            check.that(pause <= GENEROUS, f"{name} paused for {pause:.1f} s at a drain")
        check.that(group.poll() is None, "the group's member lives")
        if flow.reader.poll() is not None:
            flow.follow()
        flow.finish()
        total = load.lines(flow.seen)
        check.eventually(lambda: load.lines(readers) >= total, "the group has read all of it", 60)
    finally:
        watch.ended.set()
        group.terminate()
        group.wait(10)
