"""Real input: every stanza of `apt-cache dumpavail`, keyed by package name, sent with kcat; the server is killed with
SIGKILL half-way. Read back with kcat, Kafka's console consumer and (on Siltstone) `siltstone consume`; each must give every
stanza once, byte for byte, in the order sent within a partition and so within a key.
"""

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from harness import check, install, process, siltstone

PARTITIONS = 4
END, SPLIT = "\x1e", "\x1f"  # ASCII's record and unit separators: stanzas have newlines, but none of these


def run(context):
    stanzas = source()
    topic = context.topic("dumpavail")
    context.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", context.bootstrap, "--create", "--topic", topic,
                 "--partitions", PARTITIONS, "--replication-factor", 1)
    half = len(stanzas) // 2
    send(context, topic, stanzas[:half])
    context.server.kill_nine()
    context.server.start()
    send(context, topic, stanzas[half:])
    rows = with_kcat(context, topic)
    complete("kcat", rows, stanzas)
    counts = [sum(1 for row in rows if row[0] == partition) for partition in range(PARTITIONS)]
    complete("console consumer", with_console_consumer(context, topic, counts), stanzas)
    if context.is_siltstone:
        complete("siltstone consume", siltstone.consume(context, topic), stanzas)


def source():
    """(package, stanza) of everything that apt knows; fetches the lists first where there are none."""
    text = process.run(["apt-cache", "dumpavail"]).out
    if len(text) < 1000:
        process.run(install.root("apt-get", "update"), seconds=120)
        text = process.run(["apt-cache", "dumpavail"]).out
    stanzas = []
    for stanza in text.split(b"\n\n"):
        name = next((line[9:] for line in stanza.split(b"\n") if line.startswith(b"Package: ")), None)
        if name:
            stanzas.append((name, stanza))
    check.that(len(stanzas) > 1000, f"apt-cache dumpavail has packages ({len(stanzas)})")
    check.that(not {0x1e, 0x1f} & set(text), "no stanza has a delimiter in it")
    print(f"{len(stanzas)} stanzas, {len(text)} bytes")
    return stanzas


def send(context, topic, stanzas):
    data = b"".join(name + SPLIT.encode() + stanza + END.encode() for name, stanza in stanzas)
    file = context.work / "half"
    file.write_bytes(data)
    context.kcat("-P", "-t", topic, "-D", END, "-K", SPLIT, "-X", "enable.idempotence=true", "-z", "zstd", "-l", file)


def with_kcat(context, topic):
    out = context.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %K %S\\n%k%s").out
    rows, at = [], 0
    while at < len(out):
        end = out.index(b"\n", at)
        partition, offset, key, size = (int(number) for number in out[at:end].split())
        rows.append((partition, offset, out[end + 1:end + 1 + key], out[end + 1 + key:end + 1 + key + size]))
        at = end + 1 + key + size
    return rows


def with_console_consumer(context, topic, counts):
    """One run per partition, by assignment, two at a time; it must end by itself after as many messages as there are."""
    def read(partition):
        settings = {"print.key": "true", "print.partition": "true", "print.offset": "true", "key.separator": SPLIT, "line.separator": END}
        formatter = [word for name, value in settings.items() for word in ("--formatter-property", f"{name}={value}")]
        out = context.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", context.bootstrap, "--topic", topic,
                           "--partition", partition, "--offset", "earliest", "--max-messages", counts[partition], "--timeout-ms", 20_000, *formatter)
        return [line.split(SPLIT.encode(), 3) for line in out.out.split(END.encode())[:-1]]
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(read, range(PARTITIONS)))
    return [(int(partition.removeprefix(b"Partition:")), int(offset.removeprefix(b"Offset:")), key, value)
            for part in parts for partition, offset, key, value in part]


def complete(reader, rows, stanzas):
    """Nothing missing, nothing twice, nothing changed, in order; offsets without a gap."""
    check.equal(len(rows), len(stanzas), f"stanzas that {reader} gives")
    for partition in range(PARTITIONS):
        offsets = [row[1] for row in rows if row[0] == partition]
        check.same_list(offsets, list(range(len(offsets))), f"offsets that {reader} gives in partition {partition}")
    check.equal(digests((row[2], row[3]) for row in rows), digests(stanzas), f"digest per key by {reader}")
    place = {pair: index for index, pair in enumerate(stanzas)}
    for partition in range(PARTITIONS):
        order = [place[(row[2], row[3])] for row in rows if row[0] == partition]
        check.equal(order, sorted(order), f"order that {reader} gives in partition {partition}")


def digests(pairs):
    """Key ▸ digest over its values in order."""
    sums = defaultdict(hashlib.sha256)
    for key, value in pairs:
        sums[key].update(len(value).to_bytes(4, "big") + value)
    return {key: total.hexdigest() for key, total in sums.items()}
