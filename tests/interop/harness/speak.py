"""Kafka's protocol, as much as the driver needs to send what no client library would: requests whose answers nobody reads.

Versions without compact fields: Metadata 1, Produce 7, Fetch 4, ListOffsets 1, CreateTopics 4.
"""

import socket
import struct
import time

from . import check, wire

PRODUCE, FETCH, LIST_OFFSETS, METADATA, CREATE_TOPICS = 0, 1, 2, 3, 19


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def frame(api, version, correlation, body):
    head = struct.pack(">hhi", api, version, correlation) + text("interop")
    return struct.pack(">i", len(head) + len(body)) + head + body


def metadata(topics=None, correlation=1):
    """All topics, if none are named."""
    return frame(METADATA, 1, correlation, struct.pack(">i", -1) if topics is None else array([text(name) for name in topics]))


def produce(topic, batches, acks=-1, timeout_ms=60_000, correlation=1):
    """`batches`: (partition, batch)."""
    parts = [struct.pack(">ii", partition, len(batch)) + batch for partition, batch in batches]
    return frame(PRODUCE, 7, correlation, text(None) + struct.pack(">hi", acks, timeout_ms) + array([text(topic) + array(parts)]))


def fetch(topic, places, max_bytes, partition_bytes, wait_ms=0, min_bytes=1, correlation=1):
    """`places`: (partition, offset)."""
    parts = [struct.pack(">iqi", partition, offset, partition_bytes) for partition, offset in places]
    return frame(FETCH, 4, correlation, struct.pack(">iiiib", -1, wait_ms, min_bytes, max_bytes, 0) + array([text(topic) + array(parts)]))


def create(topics, correlation=1):
    """`topics`: (name, partitions)."""
    items = [text(name) + struct.pack(">ih", partitions, 1) + array([]) + array([]) for name, partitions in topics]
    return frame(CREATE_TOPICS, 4, correlation, array(items) + struct.pack(">ib", 120_000, 0))


class Connection:
    """A socket that sends frames and, if asked, reads answers in order."""

    def __init__(self, bootstrap, receive_buffer=None, seconds=30):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.socket.connect((host, int(port)))

    def send(self, request):
        self.socket.sendall(request)

    def receive(self):
        """An answer, without its size and correlation id."""
        length = struct.unpack(">i", wire.exactly(self.socket, 4))[0]
        body = bytearray(length)
        view, at = memoryview(body), 0
        while at < length:
            got = self.socket.recv_into(view[at:])
            if not got:
                raise OSError("closed")
            at += got
        return bytes(view[4:])

    def call(self, request):
        self.send(request)
        return self.receive()

    def timed(self, request):
        """An answer, and the seconds that it took."""
        begin = time.monotonic()
        answer = self.call(request)
        return answer, time.monotonic() - begin

    def close(self):
        self.socket.close()


def produced(answer):
    """(error, base offset) of each partition of an answer about one topic."""
    size = struct.unpack_from(">h", answer, 4)[0]
    count, = struct.unpack_from(">i", answer, 6 + size)
    at, found = 10 + size, []
    for _ in range(count):
        _, error, base = struct.unpack_from(">ihq", answer, at)
        found.append((error, base))
        at += 30
    return found


def fetched(answer):
    """(partition, error, high watermark, bytes of records) of each partition of an answer about one topic."""
    topics, size = struct.unpack_from(">ih", answer, 4)
    check.equal(topics, 1, "topics in a fetch's answer")
    count, = struct.unpack_from(">i", answer, 10 + size)
    at, found = 14 + size, []
    for _ in range(count):
        partition, error, high, _, aborted = struct.unpack_from(">ihqqi", answer, at)
        at += 26 + 16 * max(0, aborted)
        length, = struct.unpack_from(">i", answer, at)
        at += 4 + max(0, length)
        found.append((partition, error, high, max(0, length)))
    return found


def batch(size, records=1):
    """A record batch, magic 2, of `records` records with values of `size` bytes each."""
    now, value = int(time.time() * 1000), bytes(index * 31 % 251 for index in range(size))
    body = b"".join(record(index, value) for index in range(records))
    rest = struct.pack(">hiqqqhii", 0, records - 1, now, now, -1, -1, -1, records) + body
    return struct.pack(">qiibI", 0, len(rest) + 9, -1, 2, crc32c(rest)) + rest


def record(index, value):
    inner = b"\0" + varint(0) + varint(index) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(inner)) + inner


def varint(number):
    number = number << 1 ^ number >> 63
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _table():
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return rows


TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
