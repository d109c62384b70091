"""Three agents of one zone, each a host of its own in a network namespace, on one PostgreSQL and MinIO. A link is cut for longer than a lease, heals, and
then another: an agent's to the metadata, all agents' to the metadata, an agent's to the bucket, an agent's to the other agents. Nobody is told: no
connection ends. Idempotent producers, librdkafka's and Java's, and a reader go on (where one agent alone is cut off: at a fair part of their pace, once
clients know), or wait and then go on; nothing acknowledged is lost or doubled, no
record fails; who was cut off is back among the agents without a restart.
"""

import time

from harness import check, load, netns, process, wire
from harness.minio import Minio
from harness.places import SILTSTONE
from harness.postgres import Postgres
from harness.servers import Siltstone

from .agents import LEASE, Both, names, of

METADATA, BUCKET, PEERS, CLIENTS = "metadata", "bucket", "peers", "clients"
TOPIC, CUT = "cut", 3 * LEASE  # seconds
OUTAGE = 10 + CUT  # so that an agent knows that it can store nothing (flush.patience), and clients have gone elsewhere
LAST = 6  # seconds of a cut over which producers' pace is measured
SHARE = 1 / 3  # of their pace before, that producers keep at least; the machine may be busy, and an agent has to do the work of another


class Agent(Siltstone):
    """An agent on a host of its own."""

    def __init__(self, host, port, data, metadata, minio):
        peer = f"{host.address(PEERS)}:{port + 2}"
        env = {"SILTSTONE_NODE__LEASE": f"{LEASE}s", "SILTSTONE_NODE__WARMUP": "0", "SILTSTONE_PEER__LISTEN": peer, "SILTSTONE_INLINE__BYTES": "4KiB"}
        super().__init__(port, data, store=minio.store("network"), env={**metadata.env(), **minio.env(), **env})
        self.host, self.metadata = host, metadata

    @property
    def bootstrap(self):
        return f"{self.host.address(CLIENTS)}:{self.port}"

    def _up(self):
        check.that(self.alive(), f"the agent ended at its start: {self.log_tail()}")
        return wire.answers(self.host.address(CLIENTS), self.port)

    def _command(self):
        return [*self.host.words, str(SILTSTONE), "agent", "--metadata", self.metadata.url(), "--store", self.store, "--data", str(self.data / "data"),
                "--shards", "16", "--kafka", self.bootstrap, "--http", f"127.0.0.1:{self.port + 1}"]


def run(context):
    why = netns.missing()
    if why:
        (context.work / "note").write_text(f"not run: {why}")
        return
    context.server.stop()  # it is no agent
    networks, port = netns.Networks([METADATA, BUCKET, PEERS, CLIENTS]), context.server.port
    metadata = Postgres(port, networks.address(METADATA, 0))
    minio = Minio(port + 1, context.work / "minio", networks.address(BUCKET, 0))
    agents = []
    try:
        networks.start()
        metadata.start()
        minio.start()
        for number in range(3):
            agents.append(Agent(networks.host(), port, context.work / f"agent-{number}", metadata, minio))
            agents[-1].start()
        all_listed(context, agents)
        partitioned(context, agents)
    finally:
        for agent in agents:
            agent.kill_nine()
        minio.stop()
        metadata.stop()
        networks.end()


def all_listed(context, agents):
    wanted = sorted(agent.bootstrap for agent in agents)
    for agent in agents:
        check.eventually(lambda: names(context, agent) == wanted, f"{agent.bootstrap} lists all agents", 60)


def pace(flow, seconds):
    """Records a second that are acknowledged to each program, over so long."""
    begin, before = time.monotonic(), flow.acknowledged()
    while time.monotonic() < begin + seconds:
        time.sleep(0.2)
        flow.alive()
    return {name: round((count - before[name]) / (time.monotonic() - begin)) for name, count in flow.acknowledged().items()}


def partitioned(context, agents):
    all_of_them = of(context, Both(agents))
    process.run([SILTSTONE, "topic", "create", TOPIC, "--partitions", load.PARTITIONS, "--bootstrap", all_of_them.bootstrap])
    flow = load.Load(all_of_them, TOPIC, producers=8, rate=1 << 20)
    cuts = [(METADATA, agents[:1]), (PEERS, agents[1:2]), (BUCKET, agents[2:]), (METADATA, agents)]
    try:
        flow.progress("at the beginning", 2000)
        whole = pace(flow, LAST)
        for network, hosts in cuts:
            flow.progress(f"before the cut to {network}")
            for agent in hosts:
                agent.host.cut(network)
            begin = time.monotonic()
            pace(flow, (OUTAGE if network == BUCKET else CUT) - LAST)  # the fault itself
            during = pace(flow, LAST)
            print(f"{len(hosts)} of {len(agents)} agents cut off from {network} for {time.monotonic() - begin:.0f} s: records a second in the last {LAST} s {during}, "
                  f"before {whole}", flush=True)
            if len(hosts) == 1:
                kept = {name: count / whole[name] for name, count in during.items()}
                check.that(min(kept.values()) >= SHARE, f"all producers go on while one agent is cut off from {network}: they keep {kept} of their pace")
            if network == METADATA and len(hosts) == 1:
                check.eventually(lambda: len(names(context, agents[1])) == 2, "the one that is cut off is listed no more", 30)
            for agent in hosts:
                agent.host.heal(network)
            healed = time.monotonic()
            flow.progress(f"after {network} healed")
            print(f"all producers go on {time.monotonic() - healed:.1f} s after it healed", flush=True)
            all_listed(context, agents)
            if flow.reader.poll() is not None:
                flow.follow()
        flow.finish()
        check.that(all(agent.alive() for agent in agents), "no agent has ended")
    finally:
        for child in flow.children.values():
            if child.poll() is None:
                child.kill()
        flow.reader.kill()
