"""Three agents of one zone, each a host of its own in a network namespace, on one PostgreSQL and MinIO. A link is cut for longer than a lease, heals, and
then another: an agent's to the metadata, all agents' to the metadata, an agent's to the bucket, an agent's to the other agents. Nobody is told: no
connection ends. Idempotent producers, librdkafka's and Java's, and a reader go on, or wait and then go on; nothing acknowledged is lost or doubled, no
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


def partitioned(context, agents):
    """`serving`: somebody goes on at once, or soon; else all must wait."""
    all_of_them = of(context, Both(agents))
    process.run([SILTSTONE, "topic", "create", TOPIC, "--partitions", load.PARTITIONS, "--bootstrap", all_of_them.bootstrap])
    flow = load.Load(all_of_them, TOPIC, producers=8, rate=1 << 20)
    cuts = [(METADATA, agents[:1]), (PEERS, agents[1:2]), (BUCKET, agents[2:]), (METADATA, agents)]
    try:
        for network, hosts in cuts:
            flow.progress(f"before the cut to {network}")
            for agent in hosts:
                agent.host.cut(network)
            begin, before = time.monotonic(), flow.acknowledged()
            while time.monotonic() < begin + (OUTAGE if network == BUCKET else CUT):
                time.sleep(0.2)  # the fault itself
                flow.alive()
            during = {name: count - before[name] for name, count in flow.acknowledged().items()}
            print(f"{len(hosts)} of {len(agents)} agents cut off from {network} for {time.monotonic() - begin:.0f} s: acknowledged meanwhile {during}", flush=True)
            if network == METADATA and len(hosts) == 1:
                check.that(all(during.values()), "the others serve all while one agent is cut off from the metadata")
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
