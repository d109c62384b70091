"""A TCP proxy before an S3 server on this machine that can be told to fail: `Faulty(listen, target).start()`, then `.mode = ...`.

    pass     everything goes through
    refuse   nothing listens; connections that there are break
    hang     requests are taken and never answered
    reset    requests go through and take effect; the connection breaks instead of the answer
    busy     503 SlowDown, without asking the server
    storm    the same for two of three requests, by turns
    throttle the same for what is put below `throttled`, a part of the path
    late     404 NoSuchKey for what was put less than `late_for` seconds ago
    expired  400 ExpiredToken
    gone     404 NoSuchBucket

The mode counts from the next request on, on connections that are there as well. It runs in a thread of its own.
"""

import asyncio
import threading
import time
from collections import Counter

MODES = ("pass", "refuse", "hang", "reset", "busy", "storm", "throttle", "late", "expired", "gone")
CHUNK = 1 << 18


def answer(status, code):
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>told to</Message></Error>'
    return f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


BUSY = answer("503 Service Unavailable", "SlowDown")
ANSWERS = {"busy": BUSY, "storm": BUSY, "throttle": BUSY, "late": answer("404 Not Found", "NoSuchKey"),
           "expired": answer("400 Bad Request", "ExpiredToken"), "gone": answer("404 Not Found", "NoSuchBucket")}


class Faulty:
    """The proxy. `requests` counts what came, by mode: proof that a fault was met."""

    def __init__(self, listen, target, rewrite=lambda begin: begin, reanswer=lambda begin: begin):
        """`rewrite` and `reanswer` may change how each request and each answer begins."""
        self.listen, self.target, self.mode, self.rewrite, self.reanswer = listen, target, "pass", rewrite, reanswer
        self.requests, self.clients = Counter(), set()
        self.loop, self.server = asyncio.new_event_loop(), None
        self.throttled, self.late_for, self.written, self.turn = b"", 2.0, {}, 0

    def start(self):
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.set("pass")
        return self

    def set(self, mode):
        """Changes the mode; returns when it holds."""
        asyncio.run_coroutine_threadsafe(self._set(mode), self.loop).result(10)

    def mode_of(self, begin):
        """What happens to a request that begins so: the mode, or `pass` where that has nothing to do with it."""
        method, _, rest = begin.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method == b"PUT":
            self.written[path] = time.monotonic()
        self.turn += 1
        met = {"storm": self.turn % 3 > 0, "throttle": method == b"PUT" and self.throttled in path,
               "late": method in (b"GET", b"HEAD") and time.monotonic() - self.written.get(path, -1e9) < self.late_for}
        return self.mode if met.get(self.mode, True) else "pass"

    async def _set(self, mode):
        assert mode in MODES
        self.mode = mode
        if mode == "refuse":
            if self.server is not None:
                self.server.close()
                self.server = None
            for client in list(self.clients):
                client.transport.abort()
        elif self.server is None:
            self.server = await self.loop.create_server(lambda: Client(self), "127.0.0.1", self.listen)
        if mode == "pass":  # what hangs would hang on: a real outage ends by broken connections, too
            for client in [client for client in self.clients if client.mode != "pass"]:
                client.transport.abort()


class Client(asyncio.Protocol):
    """One connection of the server under test. A request's mode is that of its first byte."""

    def __init__(self, proxy):
        self.proxy, self.server, self.waiting = proxy, None, []
        self.mode, self.answered = "pass", True
        self.head, self.left = b"", 0

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=8 * CHUNK)
        self.proxy.clients.add(self)
        self.proxy.loop.create_task(self.connect())

    async def connect(self):
        try:
            self.server, _ = await self.proxy.loop.create_connection(lambda: Server(self), "127.0.0.1", self.proxy.target)
            for data in self.waiting:
                self.server.write(data)
            self.waiting = []
        except OSError:
            self.transport.close()

    def data_received(self, data):
        if self.answered:
            self.answered, self.mode, self.head = False, self.proxy.mode_of(data), b""
            self.proxy.requests[self.mode] += 1
            data = self.proxy.rewrite(data)
        if self.mode in ANSWERS:
            self.refuse(data)
        elif self.mode == "hang":
            pass
        elif self.server is None:
            self.waiting.append(data)
        else:
            self.server.write(data)

    def refuse(self, data):
        """Takes the whole request, as a server behind a load balancer does, and says what the mode says."""
        if b"\r\n\r\n" not in self.head:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            head, _, body = self.head.partition(b"\r\n\r\n")
            lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            self.left = (lengths[0] if lengths else 0) - len(body)
        else:
            self.left -= len(data)
        if self.left <= 0:
            self.transport.write(ANSWERS[self.mode])
            self.transport.close()

    def connection_lost(self, error):
        self.proxy.clients.discard(self)
        if self.server is not None:
            self.server.close()

    def pause_writing(self):
        if self.server is not None:
            self.server.pause_reading()

    def resume_writing(self):
        if self.server is not None:
            self.server.resume_reading()


class Server(asyncio.Protocol):
    """The connection to the S3 server that belongs to a client's."""

    def __init__(self, client):
        self.client = client

    def connection_made(self, transport):
        transport.set_write_buffer_limits(high=8 * CHUNK)

    def data_received(self, data):
        if self.client.mode == "reset":
            self.client.transport.abort()
            return
        if not self.client.answered:
            data = self.client.proxy.reanswer(data)
        self.client.answered = True
        self.client.transport.write(data)

    def connection_lost(self, error):
        self.client.transport.close()

    def pause_writing(self):
        self.client.transport.pause_reading()

    def resume_writing(self):
        self.client.transport.resume_reading()
