"""Four agents in two zones, with listeners for one another under mutual TLS, on one PostgreSQL and MinIO. With cold caches a topic is read to its end
through every agent at once: each page is read from the bucket once per zone, by the agents' own counts of requests and bytes; what is more than that they
must have a reason for (an owner that was late or failed). Then one agent is killed, another one knows nothing of the authority that signed the others'
certificates: all is read through the rest as before.
"""

import struct
import threading
import zlib

from harness import batches, check, metrics, process, speak
from harness.cloud import Process
from harness.minio import Minio
from harness.places import SILTSTONE
from harness.postgres import Postgres
from harness.servers import HOST

from .agents import cluster

TOPIC, PARTITIONS, RECORDS, RECORD = "pages", 4, 40_000, 1024
PAGE = 1 << 20
CHECKS = 1 << 10  # bytes that agents put when they start, to see whether they can
NAME = "agents.siltstone.internal"


class Agent(Process):
    """An agent that others of its zone may ask."""

    def __init__(self, number, port, context, metadata, minio, zone, certificates):
        self.trusted = certificates
        env = {"SILTSTONE_PEER__LISTEN": f"{HOST}:{port + 1}", "SILTSTONE_CACHE__PAGE_BYTES": str(PAGE), "SILTSTONE_CACHE__BYTES": "128MiB",
               "SILTSTONE_INLINE__BYTES": "0", "SILTSTONE_NODE__WARMUP": "0", "SILTSTONE_PEER__NAME": NAME, "SILTSTONE_PEER__PATIENCE": "5s",
               **{f"SILTSTONE_PEER__{name.upper()}": str(path) for name, path in certificates.items()}}
        super().__init__(port, context.work / f"agent-{number}", metadata, minio.store("zones"), {**minio.env(), **env}, zone)

    def _command(self):
        command = super()._command()
        at = command.index("--http")
        return [*command[:at], "--http", f"{HOST}:{self.port + 2}", *command[at + 2:]]

    def metric(self, name, **labels):
        return metrics.total(self.port + 2, name, **labels)


def run(context):
    context.server.stop()  # it is no agent
    port = context.server.port + 10
    metadata, minio = Postgres(port), Minio(port + 1, context.work / "minio")
    good, other = authority(context.work / "good"), authority(context.work / "other")
    agents = [Agent(number, port + 2 + 3 * number, context, metadata, minio, zone, good) for number, zone in enumerate("aabb")]
    try:
        metadata.start()
        minio.start()
        for agent in agents:
            agent.start()
        listed(context, agents)
        written(agents)
        once_per_zone(context, agents)
        without(context, agents)
        stranger = Agent(4, port + 14, context, metadata, minio, "b", other)
        agents.append(stranger)
        stranger.start()
        among_strangers(context, agents)
    finally:
        for agent in agents:
            agent.kill_nine()
        minio.stop()
        metadata.stop()


def authority(folder):
    """An authority and a certificate for agents, as docs/operations.md says."""
    folder.mkdir()
    paths = {"authority": folder / "authority.pem", "certificate": folder / "agent.pem", "key": folder / "agent.key"}
    (folder / "agent.ext").write_text(f"subjectAltName=DNS:{NAME}\nextendedKeyUsage=serverAuth,clientAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    process.run(["openssl", "req", "-x509", *curve, "-days", "2", "-subj", "/CN=siltstone agents", "-keyout", folder / "authority.key", "-out", paths["authority"]])
    process.run(["openssl", "req", *curve, "-subj", "/CN=agent", "-keyout", paths["key"], "-out", folder / "agent.csr"])
    process.run(["openssl", "x509", "-req", "-in", folder / "agent.csr", "-CA", paths["authority"], "-CAkey", folder / "authority.key", "-CAcreateserial",
                 "-days", "1", "-extfile", folder / "agent.ext", "-out", paths["certificate"]])
    return paths


def listed(context, agents):
    wanted = sorted(agent.bootstrap for agent in agents)
    for agent in agents:
        check.eventually(lambda: sorted(cluster(context, agent)[0].values()) == wanted, f"{agent.bootstrap} lists all agents", 30)


def written(agents):
    """Records that do not compress, in objects."""
    process.run([SILTSTONE, "bench", "produce", "-b", agents[0].bootstrap, "-t", TOPIC, "--partitions", PARTITIONS, "--keep", "-n", RECORDS, "-s", RECORD], seconds=120)


def restarted(context, agents):
    """With nothing in their caches."""
    for agent in agents:
        agent.stop()
    for agent in agents:
        agent.start()
    listed(context, agents)


def once_per_zone(context, agents):
    """Every byte that was put is got once in each zone, footers included: they lie in the pages of what is read."""
    stored = sum(agent.metric("siltstone_objects_bytes_total", kind="put") for agent in agents)
    restarted(context, agents)
    before = [got(agent) for agent in agents]
    read_by_all(agents)
    for zone in ("a", "b"):
        here = [number for number, agent in enumerate(agents) if agent.zone == zone]
        whole = sum(got(agents[number]) - before[number] for number in here)
        pages = {why: sum(agents[number].metric("siltstone_zone_pages_total", **{"from": why}) for number in here)
                 for why in ("own", "neighbour", "alone", "failed", "late", "skipped", "distrusted")}
        excuses = sum(pages[why] for why in ("failed", "late", "skipped"))
        print(f"zone {zone}: {whole:.0f} bytes from the bucket, of {stored:.0f} that were put; pages by where they came from: {pages}", flush=True)
        check.that(whole >= stored - CHECKS, f"zone {zone} read the topic from the bucket: {whole:.0f} of {stored:.0f} bytes")
        check.that(whole <= stored + excuses * PAGE, f"zone {zone} read each page once: {whole:.0f} of {stored:.0f} bytes, {excuses:.0f} excuses")
        check.that(pages["neighbour"] >= 0.9 * (pages["own"] + excuses), f"what one agent of zone {zone} read the other was given: {pages}")
        check.equal((pages["alone"], pages["distrusted"]), (0, 0), "pages of nobody, or damaged")
    check.equal(sum(agent.metric("siltstone_peer_rejected_connections_total") for agent in agents), 0, "connections that were rejected")


def got(agent):
    return agent.metric("siltstone_objects_bytes_total", kind="get")


def read_by_all(agents):
    """The whole topic through each agent, all at once: the same records from each."""
    results, threads = {}, []
    for agent in agents:
        threads.append(threading.Thread(target=lambda one=agent: results.update({one.port: read(one)})))
        threads[-1].start()
    for thread in threads:
        thread.join()
    check.equal(len(results), len(agents), "agents through which the topic was read to its end")
    check.that(len(set(results.values())) == 1, f"all agents give the same: {results}")


def read(agent):
    """CRC-32 of all batches, and the end of each partition, read in order through this agent, whoever leads them."""
    link, crc, ends = speak.Connection(agent.bootstrap, seconds=60), 0, []
    for part in range(PARTITIONS):
        offset, high = 0, 1
        while offset < high:
            error, high, data = batches.fetched(link.call(batches.fetch(TOPIC, part, offset, 100, most=1 << 20)))
            check.equal(error, 0, f"error of partition {part} from {agent.bootstrap}")
            begin, offset = offset, batches.behind(data, offset)
            check.that(offset > begin, f"a fetch of partition {part} from {begin} gives a batch")
            crc = zlib.crc32(whole(data), crc)
        ends.append(high)
    link.close()
    check.equal(sum(ends), RECORDS, "records of the topic")
    return crc, tuple(ends)


def whole(data):
    """Whole batches only: where an answer ends is the agent's affair."""
    at = 0
    while at + 12 <= len(data):
        length, = struct.unpack_from(">i", data, at + 8)
        if at + 12 + length > len(data):
            break
        at += 12 + length
    return data[:at]


def without(context, agents):
    """One of a zone is killed: all is read through those that are left, with cold caches, at once."""
    victim = agents.pop()
    victim.kill_nine()
    for agent in agents:
        agent.kill_nine()
    for agent in agents:
        agent.start()
    read_by_all(agents)
    listed(context, agents)


def among_strangers(context, agents):
    """An agent whose certificate another authority has signed is given nothing, gives nothing, and reads all from the bucket."""
    restarted(context, agents)
    read_by_all(agents)
    stranger, rest = agents[-1], [agent for agent in agents[:-1] if agent.zone == agents[-1].zone]
    check.equal(stranger.metric("siltstone_zone_pages_total", **{"from": "neighbour"}), 0, "pages that the stranger was given")
    check.equal(sum(agent.metric("siltstone_zone_pages_total", **{"from": "neighbour"}) for agent in rest), 0, "pages that the stranger gave")
    check.that(stranger.metric("siltstone_zone_pages_total", **{"from": "failed"}) > 0, "the stranger asked its neighbour in vain")
    check.that(sum(agent.metric("siltstone_peer_rejected_connections_total") for agent in rest) > 0, "the stranger was rejected")
