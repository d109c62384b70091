"""The records that every client writes (see harness/records.py), and the way a step is stated; for those that go on until they are told to end, whether they are."""

import select
import sys

COUNT, PARTITIONS = 10_000, 4
TOO_LARGE = 2_000_000
FIRST, MORE = 1000, 40  # records of scenarios/group_clients.py


def goes_on(seconds=0.0):
    """False once a line came on standard input, or it was closed; waits so long for it."""
    return not select.select([sys.stdin], [], [], seconds)[0]


def key(index):
    return None if index % 97 == 0 else f"key-{index % 100}".encode()


def value(index):
    return None if index % 89 == 0 and index % 97 != 0 else (f"value-{index}-" + "x" * (index % 200)).encode()


def headers(client, index):
    return [("index", str(index).encode()), ("client", client.encode()), ("empty", b"")]


def seek_offset(base, stamp, partition):
    """Offset of the first record of `partition` whose timestamp is at least `stamp`."""
    first = max(0, stamp - base)
    return (first - partition + PARTITIONS - 1) // PARTITIONS if first > partition else 0


def step(name):
    print(f"ok: {name}", flush=True)


def demand(got, want, what):
    if got != want:
        raise SystemExit(f"{what}: got {got!r:.300}, want {want!r:.300}")
