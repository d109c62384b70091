"""Record batches as they come from a raw fetch: every offset, also those of control batches, with producer id, epoch and sequence.

Only what this harness's own producers write: no compression.
"""

import struct
import zlib

from . import check
from .speak import FETCH, LIST_OFFSETS, array, frame, text

HEAD = struct.Struct(">qiibIhiqqqhii")
CONTROL, TRANSACTIONAL = 0x20, 0x10
OFFSET_FETCH = 9


def records(data):
    """(offset, kind, value, producer id, epoch, sequence, transactional) of each record; kind: record, commit, abort. A batch cut off at the end is left out."""
    at = 0
    while at + 61 <= len(data):
        base, length, _, magic, _, attributes, _, _, _, pid, epoch, sequence, count = HEAD.unpack_from(data, at)
        if at + 12 + length > len(data):
            return
        check.that(magic == 2 and attributes & 7 == 0, f"a batch of magic 2 without compression, not {magic} with {attributes & 7}")
        yield from _of_batch(data, at + 61, count, base, attributes, pid, epoch, sequence)
        at += 12 + length


def behind(data, offset):
    """The offset behind the last whole batch, or `offset` if there is none."""
    at = 0
    while at + 61 <= len(data):
        base, length, *_, last, _, _, _, _, _, _ = HEAD.unpack_from(data, at)
        at += 12 + length
        if at <= len(data):
            offset = base + last + 1
    return offset


def _of_batch(data, at, count, base, attributes, pid, epoch, sequence):
    for _ in range(count):
        size, at = varint(data, at)
        end = at + size
        at += 1
        _, at = varint(data, at)
        delta, at = varint(data, at)
        key, at = piece(data, at)
        value, _ = piece(data, at)
        if attributes & CONTROL:
            yield base + delta, "commit" if struct.unpack(">hh", key)[1] == 1 else "abort", None, pid, epoch, -1, False
        else:
            yield base + delta, "record", value, pid, epoch, sequence + delta if sequence >= 0 else -1, bool(attributes & TRANSACTIONAL)
        at = end


def varint(data, at):
    shift = number = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number >> 1 ^ -(number & 1), at
        shift += 7


def piece(data, at):
    size, at = varint(data, at)
    return (None, at) if size < 0 else (bytes(data[at:at + size]), at + size)


def named(value):
    """Producer and number that a value of a history begins with, and its CRC-32."""
    try:
        name, number, _ = value.split(b" ", 2)
        return [name.decode(), int(number)], zlib.crc32(value)
    except (ValueError, AttributeError, UnicodeDecodeError):
        return [repr(value)[:40], -1], 0


def fetch(topic, partition, offset, wait_ms, most=1 << 20):
    """A raw fetch of one partition, read_uncommitted."""
    part = struct.pack(">iqi", partition, offset, most)
    return frame(FETCH, 4, 1, struct.pack(">iiiib", -1, wait_ms, 1, most, 0) + array([text(topic) + array([part])]))


def fetched(answer):
    """(error, high watermark, bytes of records) of an answer about one partition; an error is 0 if there is none."""
    count, = struct.unpack_from(">i", answer, 4)
    size, = struct.unpack_from(">h", answer, 8)
    check.equal(count, 1, "topics in a fetch's answer")
    at = 10 + size + 4
    _, error, high, _, aborted = struct.unpack_from(">ihqqi", answer, at)
    at += 26 + 16 * max(0, aborted)
    length, = struct.unpack_from(">i", answer, at)
    return error, high, answer[at + 4:at + 4 + max(0, length)]


def list_offsets(topic, partitions, when, committed):
    """ListOffsets 2: `when` is -1 for the end, -2 for the start."""
    parts = [struct.pack(">iq", partition, when) for partition in range(partitions)]
    return frame(LIST_OFFSETS, 2, 1, struct.pack(">ib", -1, 1 if committed else 0) + array([text(topic) + array(parts)]))


def listed(answer):
    """(partition, error, offset) of an answer about one topic."""
    size, = struct.unpack_from(">h", answer, 8)
    at = 10 + size
    count, = struct.unpack_from(">i", answer, at)
    return [(partition, error, offset) for partition, error, _, offset in
            (struct.unpack_from(">ihqq", answer, at + 4 + 22 * index) for index in range(count))]


def offset_fetch(group, topic, partitions):
    """OffsetFetch 3."""
    parts = array([struct.pack(">i", partition) for partition in range(partitions)])
    return frame(OFFSET_FETCH, 3, 1, text(group) + array([text(topic) + parts]))


def offsets(answer):
    """(partition, error, offset) of an answer about one topic; with an error of the whole, nothing."""
    if struct.unpack_from(">h", answer, len(answer) - 2)[0]:
        return []
    count, = struct.unpack_from(">i", answer, 4)
    if count != 1:
        return []
    size, = struct.unpack_from(">h", answer, 8)
    at, found = 10 + size, []
    number, = struct.unpack_from(">i", answer, at)
    at += 4
    for _ in range(number):
        partition, offset, length = struct.unpack_from(">iqh", answer, at)
        at += 14 + max(0, length)
        error, = struct.unpack_from(">h", answer, at)
        at += 2
        found.append((partition, error, offset))
    return found
