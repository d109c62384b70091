"""A restore, rehearsed: the metadata of two agents is backed up while they work, and restored after they have gone on and died. On PostgreSQL (pg_dump), or
with `--metadata fdb` on FoundationDB (fdbbackup): there into a database made anew, in which versions go on from those of the backup.

What was acknowledged before the backup is there, at its offsets, with the group's place; what came later is gone as if it had never been, its offsets are given out again,
and what it left in the bucket is found and deleted. No agent of the time before takes part again.
"""

import json
import re

from harness import check, foundationdb, process
from harness.places import SILTSTONE
from harness.records import kcat_json

from . import agents

# Every flush is an object, so that some are written behind the backup, by each agent; times of seconds.
ENVIRONMENT = {
    "SILTSTONE_INLINE__BYTES": "0B", "SILTSTONE_CHECKPOINT__INTERVAL": "500ms", "SILTSTONE_CHECKPOINT__FLOOR_LAG": "2s",
    "SILTSTONE_COMPACTOR__INTERVAL": "1s", "SILTSTONE_COMPACTOR__GRACE": "5s",
    "SILTSTONE_NODE__WARMUP": "0s",
}
TOPIC, GROUP, READ = "restored", "readers", 400


def run(context):
    metadata, why = foundationdb.chosen(context.options, context.server.port + 5)
    if why:
        (context.work / "note").write_text(f"not run: {why}")
        return
    context.server.stop()  # its ports are wanted, and it is no agent
    both = [agents.Agent(context.server.port + 2 * number, context.work / f"agent-{number}", metadata) for number in range(2)]
    backup = context.work / "metadata.dump"
    try:
        metadata.start()
        for agent in both:
            agent.env.update(ENVIRONMENT)
            agent.start()
        kept = before(context, both)
        metadata.backup(backup)
        behind(context, both)
        metadata.restore(backup)
        ended = re.search(r"that are over now: (\d+)\n", siltstone(metadata, both[0], "restored").text)
        # Two agents; their compactors register when they first have something to do.
        check.that(ended and 2 <= int(ended[1]) <= 4, f"agents and compactors that the backup knew: {ended and ended[1]}")
        for agent in both:
            agent.start()
        as_of_the_backup(context, both, kept)
        nothing_is_left_over(metadata, both)
    finally:
        for agent in both:
            agent.stop()
        metadata.stop()


def siltstone(metadata, agent, *words, **named):
    command = [SILTSTONE, *words, "--metadata", metadata.url(), "--store", f"file://{agent.data.parent}/objects"]
    return process.run(command, env={**metadata.env(), **ENVIRONMENT}, **named)


def write(context, agent, name, count):
    rows = "".join(f"key-{index}:{name}-{index}\n" for index in range(count))
    agents.of(context, agent).kcat("-P", "-t", TOPIC, "-K", ":", "-X", "enable.idempotence=true", stdin=rows.encode())


def rows(agent):
    return sorted((row["partition"], row["offset"], row["key"], row["payload"]) for row in kcat_json(agent.bootstrap, TOPIC))


def before(context, both):
    """Records by both agents, and a group that has read some of them."""
    process.run([SILTSTONE, "topic", "create", TOPIC, "--partitions", "16", "--bootstrap", both[0].bootstrap])
    for agent in both:
        write(context, agent, "before", 500)
    agents.of(context, both[0]).kcat("-C", "-G", GROUP, "-X", "auto.offset.reset=earliest", "-c", READ, "-q", TOPIC)
    kept = rows(both[0])
    check.equal(len(kept), 1000, "records before the backup")
    return kept


def behind(context, both):
    """What the backup knows nothing of: records, another life of an agent, further reading of the group. Then all are killed."""
    write(context, both[0], "behind", 300)
    both[1].kill_nine()
    both[1].start()
    agents.all_listed(context, both[1], both)
    write(context, both[1], "behind", 300)
    agents.of(context, both[0]).kcat("-C", "-G", GROUP, "-X", "auto.offset.reset=earliest", "-c", READ, "-q", TOPIC)
    check.equal(len(rows(both[1])), 1600, "records behind the backup")
    for agent in both:
        agent.kill_nine()


def as_of_the_backup(context, both, kept):
    for agent in both:
        agents.all_listed(context, agent, both)
        check.same_list(rows(agent), kept, "what is read after the restore")
    write(context, both[0], "after", 200)
    for agent in both:
        check.same_list([row for row in rows(agent) if not row[3].startswith("after-")], kept, "what was there before")
        ends = {row[0]: row[1] for row in kept}
        new = [row for row in rows(agent) if row[3].startswith("after-")]
        check.equal(len(new), 200, "records after the restore")
        for partition, end in ends.items():
            offsets = [row[1] for row in new if row[0] == partition]
            check.equal(offsets, list(range(end + 1, end + 1 + len(offsets))), f"offsets given out again in partition {partition}")
    # The group goes on where it was at the backup: it has not read 600 of the 1000, nor what is new.
    left = agents.of(context, both[1]).kcat("-C", "-G", GROUP, "-X", "auto.offset.reset=earliest", "-c", 1000 - READ + 200, "-q", TOPIC).text.split()
    check.equal(len(left), 1000 - READ + 200, "records that the group had not read")
    check.that(not any(value.startswith("behind") for value in left), "the group reads nothing of what is gone")


def nothing_is_left_over(metadata, both):
    """The objects of the agent's life that the backup doesn't know are found; handed to reclaim they go."""
    def found(*more):
        report = json.loads(siltstone(metadata, both[0], "fsck", "--deep", "--json", *more, ok=None).text)
        return sorted({finding["kind"] for finding in report["findings"] if finding["severity"] != "note"})

    kinds = found()
    check.equal([kind for kind in kinds if "leftover" not in kind], [], "findings beside what is left over")
    check.that("leftover-object" in kinds, "what the unknown life has stored is found")
    found("--repair")
    check.eventually(lambda: found() == [], "fsck finds nothing", 60, 2)
