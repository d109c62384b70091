"""Object storage that fails: a proxy before MinIO refuses, hangs, breaks connections after requests took effect, and says 503.

Idempotent producers, librdkafka's and Java's, push more than the server may hold in memory, all into objects; a kcat follows. Producers
wait; nothing fails for good, nothing acknowledged is lost or there twice, the server's memory stays within its bound, and after each
outage everything flows. What needs no object store, metadata and reading a topic whose batches went inline, goes on meanwhile.
`--minutes` is how long storage is away in all.
"""

import time

from harness import check, load, process
from harness.faulty import Faulty
from harness.places import SILTSTONE

MOST_MEMORY = 480  # MiB: buffer 64, answers 128, page cache 64, merges 160 (their input and their segment of 64), and what runs
FAULTS = ("refuse", "hang", "reset", "busy")


def run(context):
    server = context.server
    target = int(server.env["AWS_ENDPOINT_URL"].rpartition(":")[2])
    proxy = Faulty(server.port + 2, target).start()
    server.stop()
    server.env.update(AWS_ENDPOINT_URL=f"http://127.0.0.1:{proxy.listen}", SILTSTONE_STORE__TIMEOUT="5s")
    server.start()
    topic(context, "outage", "siltstone.write=object")
    topic(context, "quick", "siltstone.write=inline")
    context.kcat("-P", "-t", "quick", stdin=b"x\n")
    flow = load.Load(context, "outage", producers=16, rate=6 << 20)
    flow.progress("before the outage")
    for fault in FAULTS:
        outage(context, proxy, flow, fault, context.options.minutes * 60 / len(FAULTS))
    flow.finish()
    print(f"memory: {load.memory(server):.0f} MiB at most, now {load.memory(server, 'VmRSS'):.0f}; requests {dict(proxy.requests)}")
    check.that(load.memory(server) <= MOST_MEMORY, f"peak memory of {load.memory(server):.0f} MiB is at most {MOST_MEMORY}")


def topic(context, name, config):
    process.run([SILTSTONE, "topic", "create", name, "--partitions", 4, "--config", config, "--bootstrap", context.bootstrap])


def outage(context, proxy, flow, fault, seconds):
    begin = time.monotonic()
    proxy.set(fault)
    before = flow.acknowledged()
    while time.monotonic() < begin + seconds:  # the outage itself, not a wait for anything
        check.equal(context.kcat("-C", "-t", "quick", "-e", "-q", seconds=15).text, "x\n", "an inline topic, read meanwhile")
        check.that(context.server.alive(), "the server lives")
        flow.alive()
        time.sleep(0.5)
    if fault not in ("refuse", "pass"):
        check.that(proxy.requests[fault] > 0, f"the fault {fault} was met")
    held = load.memory(context.server)
    print(f"{fault}: {seconds:.0f} s; acknowledged {before} before, {flow.acknowledged()} after; {held:.0f} MiB at most", flush=True)
    proxy.set("pass")
    begin = time.monotonic()
    flow.progress(f"after storage came back from '{fault}'")
    print(f"flows again {time.monotonic() - begin:.1f} s after it came back", flush=True)
