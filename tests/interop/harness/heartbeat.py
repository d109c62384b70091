"""How the machine itself stood still: a thread that wants to wake up 50 times a second, and notes when it could not."""

import threading
import time

EVERY, LATE = 0.02, 0.05


class Heartbeat:
    """`stalls`: (from, to) in seconds of the monotonic clock. For use in `with`."""

    def __init__(self):
        self.stalls, self.ended = [], threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _beat(self):
        due = time.monotonic() + EVERY
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            if now > due + LATE:
                self.stalls.append((due, now))
            due = now + EVERY
