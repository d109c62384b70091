"""A key is erased: kcat, which knows nothing of it, sees none of its records at once, and in the end no object holds them; the receipt says which did."""

import json

from harness import check, process
from harness.places import SILTSTONE
from harness.postgres import Postgres
from harness.records import kcat_json

from . import agents

# Small objects, checkpoints and a time of grace of seconds: what takes an hour at its best takes half a minute.
ENVIRONMENT = {
    "SILTSTONE_CHECKPOINT__INTERVAL": "500ms", "SILTSTONE_CHECKPOINT__FLOOR_LAG": "2s", "SILTSTONE_CHECKPOINT__LEASE": "5s",
    "SILTSTONE_COMPACTOR__INTERVAL": "500ms", "SILTSTONE_COMPACTOR__WAIT": "2s", "SILTSTONE_COMPACTOR__GRACE": "5s",
    "SILTSTONE_COMPACTOR__SEGMENT_BYTES": "256KiB", "SILTSTONE_COMPACTOR__FAN_IN": "3",
}
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
ALICE, SECRET = "alice@example.org", "known-to-alice-alone"


def run(context):
    erased(context, context)


def run_agents(context):
    """The same with two agents on one PostgreSQL: asked of one, and seen through the other."""
    context.server.stop()  # its ports are wanted, and it is no agent
    metadata = Postgres(context.server.port + 5)
    both = [agents.Agent(context.server.port + 2 * number, context.work / f"agent-{number}", metadata) for number in range(2)]
    try:
        metadata.start()
        for agent in both:
            agent.env.update(ENVIRONMENT)
            agent.start()
        asked = erased(agents.of(context, both[0]), agents.of(context, both[1]))
        check.that(asked["invisible_at"] - asked["requested_at"] >= 5000, f"other agents have had the time to learn of it: {asked}")
    finally:
        for agent in both:
            agent.stop()
        metadata.stop()


def erased(context, other):
    """Asks for it through one server, and looks through both. What the command answered."""
    topic = context.topic("erase")
    for index, codec in enumerate(CODECS * 3):
        write(context, topic, index, codec)
    before = seen(context, topic)
    kept = [row for row in before if row[2] != ALICE]
    check.equal(len(before) - len(kept), 15 * 5, "records of the key before it is erased")

    asked = json.loads(erase(context, "--topic", topic, "--key", ALICE, "--json").text)
    for each in (context, other):
        check.same_list(seen(each, topic), kept, "what a consumer sees once the command has returned")
    write(context, topic, 99, "lz4", ALICE)
    later = seen(context, topic)[len(kept):]
    check.equal([row[2] for row in later if row[2] == ALICE], [ALICE], "the key's new records stay")

    def completed():
        receipt = json.loads(erase(context, "receipt", asked["erasure"], "--json").text)
        return receipt if receipt["completed_at"] else None

    receipt = check.eventually(completed, "the erasure is completed", 100, pause=1)
    for each in (context, other):
        check.same_list(seen(each, topic), kept + later, "what a consumer sees when all is over")
    check.equal(sum(row["records"] for row in receipt["partitions"]), 75, "records that the receipt counts")
    check.that(receipt["objects"], "the receipt names objects")
    for entry in receipt["objects"]:
        check.that(entry["deleted_at"] and entry["records"] > 0, f"each object was deleted: {entry}")
    erase(context, "forget", asked["erasure"])
    check.equal(erase(context, "list", "--json").text.strip(), "", "erasures after the receipt is forgotten")
    return asked


def erase(context, *args):
    return process.run([SILTSTONE, "erase", *args, "--bootstrap", context.bootstrap], seconds=60)


def write(context, topic, index, codec, only=None):
    keys = [only] if only else [ALICE, "bob", "carol"] * 5
    rows = [f"{key}:{SECRET if key == ALICE and not only else 'free'}-{index}-{at}-{'x' * 400}" for at, key in enumerate(keys)]
    context.kcat("-P", "-t", topic, "-K", ":", "-z", codec, "-X", "linger.ms=50", stdin="".join(row + "\n" for row in rows).encode())


def seen(context, topic):
    return [(row["partition"], row["offset"], row["key"], row["payload"], row["ts"]) for row in kcat_json(context.bootstrap, topic)]
