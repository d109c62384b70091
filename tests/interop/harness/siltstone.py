"""The `siltstone` command's own reading, behind one function, so that its flags are named in one place."""

import json

from . import process
from .places import SILTSTONE


def consume(context, topic):
    """(partition, offset, key, value) of the whole topic, as `siltstone consume --json` prints it."""
    out = process.run([SILTSTONE, "consume", topic, "--kafka", context.bootstrap, "--from", "beginning", "--exit", "--json"],
                      seconds=60)
    rows = [json.loads(line) for line in out.text.splitlines()]
    return [(row["partition"], row["offset"], encoded(row["key"]), encoded(row["value"])) for row in rows]


def encoded(text):
    return None if text is None else text.encode()
