"""Writes a client's history (harness/history says what is in one)."""

import json
import sys
import threading
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that the harness is found


class History:
    """Events to a file, from any thread; on disk at least each fifth of a second."""

    def __init__(self, path):
        self.file, self.lock, self.flushed = open(path, "w", encoding="utf-8"), threading.Lock(), 0

    def write(self, **event):
        line = json.dumps(event, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(line)
            now = time.monotonic()
            if now > self.flushed + 0.2:
                self.flushed = now
                self.file.flush()

    def close(self):
        self.file.close()


def let_go(clients, seconds=20):
    """Closes the first of the clients, a consumer, and ends all, but waits no longer than that: where an agent has gone and come back, librdkafka may never return
    from closing or ending a member of a group (its issue 4674). Such a client is left alone; what it has under way is dropped, as with any that ends."""
    wrong = []

    def end():
        try:
            clients[0].close()
        except Exception as error:  # raised again below
            wrong.append(error)
        clients.clear()

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        print(f"{time.monotonic():.3f} a client did not end within {seconds} s: it is left alone", file=sys.stderr, flush=True)
    if wrong:
        raise wrong[0]


def value(name, number, text="x" * 60):
    whole = f"{name} {number} {text}".encode()
    return whole, zlib.crc32(whole)


# Connections to all agents (`enable.sparse.connections`): where a partition with requests under way moves to an agent without a connection, librdkafka 2.16
# waits a whole second once they are answered, until its thread for that agent wakes by itself ("waiting for N in-flight request(s) to drain", "broker not
# up" in its debug log). No server can wake it, and what is measured here is the server.
COMMON = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 300, "log_level": 0, "socket.timeout.ms": 5000, "socket.connection.setup.timeout.ms": 2000,
          "enable.sparse.connections": False, "topic.metadata.refresh.interval.ms": 2000, "topic.metadata.refresh.fast.interval.ms": 100, "metadata.max.age.ms": 6000}
