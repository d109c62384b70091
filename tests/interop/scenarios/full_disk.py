"""A full disk: first the one of the objects, then the one of the metadata, each a small file system of its own.

Idempotent producers push on while it is full, a kcat follows. They wait, the server lives and says why, its memory stays within its
bound; with room again everything flows, nothing acknowledged is lost or there twice. A server that is started where there is no room
at all says so and ends; it starts once there is some.
"""

import time

from harness import check, load, process
from harness.places import SILTSTONE
from harness.small_disk import SmallDisk, own_mounts

MOST_MEMORY = 320  # MiB
FULL_SECONDS = 0.2  # of each minute of --minutes


def run(context):
    server = context.server
    server.stop()
    own_mounts()
    objects, data = SmallDisk(server.data / "objects", 400), SmallDisk(server.data / "data", 200)
    server.store = f"file://{objects.path}"
    fresh_and_full(context, data)
    server.start()
    store(context, objects)
    metadata(context, data)
    print(f"memory: {load.memory(server):.0f} MiB at most")


def fresh_and_full(context, data):
    """No room to make anything."""
    data.fill()
    refused(context)
    data.make_room()


def refused(context):
    command = [SILTSTONE, "standalone", "--data", context.server.data / "data", "--store", context.server.store,
               "--kafka", context.bootstrap, "--http", f"127.0.0.1:{context.server.port + 1}"]
    result = process.run(command, ok=None, seconds=30)
    print(f"started while full: status {result.code}, says: {result.errors.strip()}")
    check.equal(result.code, 1, "status of a server that finds no room")
    no_room(result.errors, "what it says")


def no_room(text, what):
    """Reserving space and writing fail in different words."""
    check.that(any(words in text.lower() for words in ("no space left", "no storage space")), f"{what} names the reason: {check.short(text[-400:])}")


def store(context, disk):
    topic(context, "objects", "siltstone.write=object")
    flow = load.Load(context, "objects", rate=4 << 20)
    flow.progress("before the disk is full")
    disk.fill(leave=8 << 20)
    full(context, disk, flow, 1 << 20)
    no_room((context.server.data / "server.log").read_text(errors="replace"), "the server's log")
    disk.make_room()
    flow.progress("with room for objects again")
    flow.finish()
    memory(context)


def metadata(context, disk):
    topic(context, "metadata", "siltstone.write=inline")
    flow = load.Load(context, "metadata", producers=2, rate=2 << 20)
    flow.progress("before the disk is full")
    disk.fill(leave=4 << 20)
    full(context, disk, flow, 256 << 10)
    disk.make_room()
    flow.progress("with room for metadata again")
    disk.fill(leave=2 << 20)
    full(context, disk, flow, 256 << 10)
    memory(context)
    context.server.kill_nine()
    begin_again(context, disk)
    flow.follow()
    flow.progress("after a start with room")
    flow.finish()


def begin_again(context, disk):
    """Full to the last byte after `kill -9`: a start either works or is refused with the reason; with room it works."""
    disk.fill()
    server = context.server
    try:
        server.start()
        server.kill_nine()
        print("starts while full")
    except check.CheckFailed:
        no_room(server.log_tail(), "why it does not start")
        print(f"refused while full: {server.log_tail()[-300:]}")
    disk.make_room()
    server.start()


def full(context, disk, flow, margin):
    """Until the disk is full, then a while longer; nothing flows, nothing ends."""
    try:
        check.eventually(lambda: disk.free() < margin or stands(flow), "the disk fills up", 60, 0.2)
    finally:
        print(f"{disk.free()} bytes left; acknowledged {flow.acknowledged()}", flush=True)
    end = time.monotonic() + 60 * context.options.minutes * FULL_SECONDS
    while time.monotonic() < end:  # how long it is full, not a wait for anything
        flow.alive()
        check.that(context.server.alive(), "the server lives on a full disk")
        context.kcat("-L", seconds=10)
        time.sleep(0.5)
    print(f"full for a while; acknowledged {flow.acknowledged()}", flush=True)


def stands(flow):
    """No acknowledgement for two seconds."""
    before = flow.acknowledged()
    time.sleep(2)
    return flow.acknowledged() == before


def memory(context):
    peak = load.memory(context.server)
    check.that(peak <= MOST_MEMORY, f"peak memory of {peak:.0f} MiB is at most {MOST_MEMORY}")


def topic(context, name, config):
    process.run([SILTSTONE, "topic", "create", name, "--partitions", 4, "--config", config, "--bootstrap", context.bootstrap])
