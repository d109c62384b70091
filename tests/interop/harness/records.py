"""The ten thousand records that every client library writes and reads, and their reading back with kcat.

All client programs build the same records, so that what one wrote another can check: record `i` goes to
partition `i % 4` (so it has offset `i // 4` there), its timestamp is the base plus `i` milliseconds, and the rest
follows below. `client` is the name the program gives itself.
"""

import json

from . import check, process

COUNT, PARTITIONS = 10_000, 4


def expected(client, base, index):
    """Record `index` as kcat's JSON shows it."""
    return {
        "partition": index % PARTITIONS,
        "offset": index // PARTITIONS,
        "ts": base + index,
        "tstype": "create",
        "headers": ["index", str(index), "client", client, "empty", ""],
        "key": None if index % 97 == 0 else f"key-{index % 100}",
        "payload": None if index % 89 == 0 and index % 97 != 0 else f"value-{index}-" + "x" * (index % 200),
    }


def kcat_json(bootstrap, topic, *extra, seconds=60):
    out = process.run(["kcat", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J", *extra],
                      seconds=seconds)
    return [json.loads(line) for line in out.text.splitlines()]


def verify(bootstrap, topic, client, base):
    """Reads `topic` with kcat and demands exactly the records that `client` was to write, in order."""
    got = kcat_json(bootstrap, topic)
    check.equal(len(got), COUNT, f"records of {client} that kcat reads")
    names = ("partition", "offset", "ts", "tstype", "headers", "key", "payload")
    for partition in range(PARTITIONS):
        mine = [{name: row.get(name) for name in names} for row in got if row["partition"] == partition]
        want = [expected(client, base, index) for index in range(partition, COUNT, PARTITIONS)]
        check.same_list(mine, want, f"partition {partition} as written by {client}, read by kcat")
