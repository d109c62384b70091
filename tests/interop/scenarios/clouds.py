"""A store at gs:// and one at az://, each an emulator: what is produced goes into objects, and after `kill -9` and a restart all of it is
read back from there, whole, in order, with kcat.
"""

import hashlib

from harness import check, metrics, process
from harness.emulators import Azure, Google
from harness.places import SILTSTONE

RECORDS, SIZE = 4000, 3000


def google(context):
    through(context, Google(context.server.port + 2, context.work / "google"))


def azure(context):
    through(context, Azure(context.server.port + 2, context.work / "azure"))


def through(context, emulator):
    server = context.server
    server.stop()
    emulator.start()
    try:
        server.store = emulator.url("prefix/of-two-parts")
        server.env.update(emulator.env())
        server.start()
        process.run([SILTSTONE, "topic", "create", "cloud", "--partitions", 2, "--config", "siltstone.write=object", "--bootstrap",
                     context.bootstrap])
        values = [text(index) for index in range(RECORDS)]
        for partition in range(2):
            context.kcat("-P", "-t", "cloud", "-p", partition, "-X", "enable.idempotence=true",
                         stdin="\n".join(values[partition::2]).encode() + b"\n")
        check.that(requests(server, "put") > 0, "objects were put")
        server.kill_nine()
        server.start()
        for partition in range(2):
            out = context.kcat("-C", "-t", "cloud", "-p", partition, "-o", "beginning", "-e", "-q").text
            check.same_list(out.splitlines(), values[partition::2], f"values of partition {partition}")
        check.that(requests(server, "get") > 0, "objects were got")
        server.stop()
    finally:
        emulator.stop()


def text(index):
    """A line that compresses badly."""
    seed, line = str(index).encode(), ""
    while len(line) < SIZE:
        seed = hashlib.sha256(seed).digest()
        line += seed.hex()
    return f"{index} {line[:SIZE]}"


def requests(server, kind):
    """Requests of one kind that went well, by the server's own metrics."""
    return metrics.total(server.port + 1, "siltstone_objects_requests_total", kind=kind, result="ok")
