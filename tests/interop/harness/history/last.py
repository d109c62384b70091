"""The last reading of a history: the whole log, raw, from one agent, and a group's offsets."""

import time

from .. import batches, check, speak


def read_log(server, topic, partitions, write):
    """Writes span, final and control events of all partitions. No transaction may be open any more."""
    connection = speak.Connection(server, seconds=30)
    starts, ends, stable = (dict(_ends(connection, topic, partitions, when, committed)) for when, committed in ((-2, False), (-1, False), (-1, True)))
    check.equal(stable, ends, f"last stable offsets of {topic} in the end, and its high watermarks")
    for partition in range(partitions):
        part, offset, end = f"{topic}/{partition}", starts[partition], ends[partition]
        write({"e": "span", "p": part, "start": offset, "end": end})
        while offset < end:
            offset = _some(connection, topic, partition, offset, write)
    connection.close()


def _ends(connection, topic, partitions, when, committed):
    for partition, error, offset in batches.listed(connection.call(batches.list_offsets(topic, partitions, when, committed))):
        check.equal(error, 0, f"error for an end of {topic}/{partition}")
        yield partition, offset


def _some(connection, topic, partition, offset, write):
    """Writes what one fetch gives from `offset` on; returns where it goes on."""
    error, _, data = batches.fetched(connection.call(batches.fetch(topic, partition, offset, 500)))
    check.equal(error, 0, f"error of a fetch of {topic}/{partition} from {offset}")
    begin = offset
    for at, kind, value, pid, epoch, sequence, transactional in batches.records(data):
        if at < begin:
            continue
        if kind == "record":
            name, crc = batches.named(value)
            write({"e": "final", "p": f"{topic}/{partition}", "o": at, "n": name, "h": crc, "pid": pid, "ep": epoch, "q": sequence, "tx": int(transactional)})
        else:
            write({"e": "control", "p": f"{topic}/{partition}", "o": at, "pid": pid, "k": kind})
        offset = at + 1
    check.that(offset > begin, f"a fetch of {topic}/{partition} from {begin} gives a record")
    return offset


def group(servers, name, topic, partitions):
    """Events of a group's offsets as its coordinator tells them now; nothing if none of the servers is that."""
    for server in servers:
        try:
            connection, asked = speak.Connection(server, seconds=10), time.monotonic()
            told = batches.offsets(connection.call(batches.offset_fetch(name, topic, partitions)))
            connection.close()
        except OSError:
            continue
        if len(told) == partitions and all(error == 0 for _, error, _ in told):
            return [{"e": "fetched", "c": server, "g": name, "p": f"{topic}/{partition}", "o": offset, "a": asked, "b": time.monotonic()}
                    for partition, _, offset in told]
    return []


def high(server, topic, partitions):
    """High watermarks by partition."""
    return _told(server, topic, partitions, False)


def settled(server, topic, partitions):
    """No open transaction holds any last stable offset back."""
    return _told(server, topic, partitions, True) == _told(server, topic, partitions, False)


def _told(server, topic, partitions, committed):
    connection = speak.Connection(server, seconds=30)
    try:
        return dict(_ends(connection, topic, partitions, -1, committed))
    finally:
        connection.close()
