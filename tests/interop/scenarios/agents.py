"""Two agents on one PostgreSQL and one directory of objects: one cluster for kcat and for Kafka's own tools.

What is produced through one is read through the other; both name the same brokers and leaders. Idempotent producers, librdkafka's and
Java's, and a reader that follows go on while an agent is killed, stopped and started again, and while the metadata server crashes.
"""

import json
import time

from harness import check, load, process
from harness.context import Context
from harness.places import SILTSTONE
from harness.postgres import PASSWORD, Postgres
from harness.servers import HOST, Siltstone
from harness.toolshell import ToolShell

# A dead agent is known to be dead after this, and clients are told within two fifths of it more.
LEASE = 5
PARTITIONS = load.PARTITIONS


class Agent(Siltstone):
    """`siltstone agent` beside others."""

    def __init__(self, port, data, metadata):
        super().__init__(port, data, env={**metadata.env(), "SILTSTONE_NODE__LEASE": f"{LEASE}s", "SILTSTONE_NODE__WARMUP": "0"})
        self.metadata = metadata

    def _command(self):
        return [str(SILTSTONE), "agent", "--metadata", self.metadata.url(), "--store", f"file://{self.data.parent}/objects",
                "--data", str(self.data / "data"), "--shards", "16", "--kafka", self.bootstrap, "--http", f"{HOST}:{self.port + 1}"]


class Both:
    """What clients are told to begin with."""

    kind = "siltstone"

    def __init__(self, agents):
        self.agents = agents

    @property
    def bootstrap(self):
        return ",".join(agent.bootstrap for agent in self.agents)


def run(context):
    context.server.stop()  # its ports are wanted, and it is no agent
    metadata = Postgres(context.server.port + 5)
    agents = [Agent(context.server.port + 2 * number, context.work / f"agent-{number}", metadata) for number in range(2)]
    try:
        metadata.start()
        for agent in agents:
            agent.start()
        through_each(context, agents)
        under_faults(context, agents, metadata)
        secrets_are_kept(agents)
    finally:
        for agent in agents:
            agent.stop()
        metadata.stop()


def of(context, agent):
    """The scenario's context with this agent, or these, as its server."""
    return Context(agent, context.work, context.options)


def cluster(context, agent):
    """Brokers by name, and leaders by topic and partition, as one agent tells them."""
    answer = json.loads(of(context, agent).kcat("-L", "-J").text)
    brokers = {broker["id"]: broker["name"] for broker in answer["brokers"]}
    leaders = {(topic["topic"], part["partition"]): part["leader"] for topic in answer["topics"] for part in topic["partitions"]}
    return brokers, leaders


def names(context, agent):
    return sorted(cluster(context, agent)[0].values())


def all_listed(context, asked, listed):
    """The agent `asked` names these, and no others, as brokers."""
    want = sorted(agent.bootstrap for agent in listed)
    check.eventually(lambda: names(context, asked) == want, f"{asked.bootstrap} names {want}", 3 * LEASE)


def through_each(context, agents):
    """What one takes the other gives, to kcat and to the Java tools, with groups."""
    one, other = (of(context, agent) for agent in agents)
    for agent in agents:
        all_listed(context, agent, agents)
    with ToolShell(one) as by_one, ToolShell(other) as by_other:
        by_one.tool("TopicCommand", "--create", "--topic", "shared", "--partitions", PARTITIONS)
        values = [f"value-{index}" for index in range(2000)]
        one.kcat("-P", "-t", "shared", "-X", "enable.idempotence=true", stdin="\n".join(values).encode() + b"\n")
        check.same_list(sorted(other.kcat("-C", "-t", "shared", "-e", "-q").text.split()), sorted(values), "what the other agent gives")
        told = [cluster(context, agent) for agent in agents]
        check.equal(told[0], told[1], "brokers and leaders by both")
        check.equal(len(set(told[0][1].values())), 2, "agents that lead a partition")
        by_other.tool("ConsoleProducer", "--topic", "shared", stdin="from the other\n")
        for protocol in ("classic", "consumer"):
            group(by_one, by_other, protocol, len(values) + 1)


def group(by_one, by_other, protocol, records):
    """A group reads all of it, and both agents say the same of it."""
    name = f"readers-{protocol}"
    out = by_one.tool("consumer.ConsoleConsumer", "--topic", "shared", "--group", name, "--from-beginning", "--max-messages", records,
                      "--timeout-ms", 30000, "--command-property", f"group.protocol={protocol}")
    check.that("from the other" in out.text.split("\n"), f"a group of the {protocol} protocol reads what the other agent took")
    told = []
    for tools in (by_one, by_other):
        text = tools.tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", name, "--offsets").text
        told.append(sorted(line.split()[:5] for line in text.splitlines() if line.startswith(name)))
    check.equal(told[0], told[1], f"the group {name} by both")
    check.equal(sum(int(row[3]) for row in told[0]), records, f"what {name} has committed")


def under_faults(context, agents, metadata):
    """Nothing acknowledged is lost, nothing is there twice, everything goes on."""
    both = of(context, Both(agents))
    process.run([SILTSTONE, "topic", "create", "under-faults", "--partitions", PARTITIONS, "--bootstrap", both.bootstrap])
    flow = load.Load(both, "under-faults", producers=8, rate=1 << 20)
    flow.progress("before any fault")
    for victim, survivor in (agents, agents[::-1]):
        paused(flow, "kill -9", victim.kill_nine)
        all_listed(context, survivor, [survivor])
        flow.progress("with one agent")
        victim.start()
        all_listed(context, survivor, agents)
        flow.progress("with both again")
    paused(flow, "SIGTERM", agents[0].stop)
    # Who stops in order is gone at the others' next look, whatever the lease.
    all_listed(context, agents[1], [agents[1]])
    agents[0].start()
    all_listed(context, agents[1], agents)
    paused(flow, "a crash of the metadata server", metadata.crash_and_restart)
    for agent in agents:
        check.that(agent.alive(), "the agent lives")
        all_listed(context, agent, agents)
    flow.progress("in the end")
    if flow.reader.poll() is not None:
        flow.follow()
    flow.finish()


def paused(flow, what, harm):
    """Does harm; then waits until each program has more acknowledgements from each partition, and notes how long that took."""
    flow.progress(f"before {what}")
    begin = time.monotonic()
    harm()
    before = acknowledged(flow)

    def all_go_on():
        flow.alive()
        now = acknowledged(flow)
        return all(now[place] > before[place] for place in before)
    check.eventually(all_go_on, f"every partition goes on after {what}", 60)
    print(f"{what}: every partition goes on after {time.monotonic() - begin:.1f} s", flush=True)
    if flow.reader.poll() is not None:
        flow.follow()  # kcat ends when it finds no broker at a moment


def acknowledged(flow):
    """Acknowledgements by program and partition."""
    counts = {(name, str(partition)): 0 for name in flow.children for partition in range(PARTITIONS)}
    for name in flow.children:
        for line in flow.acks(name).read_text().splitlines(keepends=True):
            if line.endswith("\n") and line[:1].isdigit():
                counts[name, line.split(" ", 1)[0]] += 1
    return counts


def secrets_are_kept(agents):
    for agent in agents:
        check.that(PASSWORD not in (agent.data / "server.log").read_text(errors="replace"), "no log holds the password")
