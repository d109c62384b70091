"""The few bytes of Kafka's protocol that the driver speaks itself, to know when a server answers."""

import socket
import struct


def answers(host, port, seconds=2.0):
    """True when the server gives a whole answer to ApiVersions version 0 with error 0."""
    request = struct.pack(">hhih", 18, 0, 7, 0)
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            length = struct.unpack(">i", exactly(connection, 4))[0]
            answer = exactly(connection, length)
    except (OSError, struct.error):
        return False
    correlation, error = struct.unpack(">ih", answer[:6])
    return correlation == 7 and error == 0


def taken(host, port):
    """True when something listens there already."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data
