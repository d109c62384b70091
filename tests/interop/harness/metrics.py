"""What a Siltstone process says of itself: its HTTP port's pages, and counters out of /metrics."""

import re
import urllib.request

from .servers import HOST


def page(port, name):
    with urllib.request.urlopen(f"http://{HOST}:{port}/{name}", timeout=20) as answer:
        return answer.read().decode()


class Scrape:
    """All metrics at one moment."""

    def __init__(self, port):
        self.lines = page(port, "metrics").splitlines()

    def total(self, name, **labels):
        """The sum over all series of this name (a regular expression) and these labels; None if there is none."""
        has = [f'{key}="{value}"' for key, value in labels.items()]
        found = [line for line in self.lines if re.match(name + r"[{ ]", line) and all(label in line for label in has)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found) if found else None


def total(port, name, **labels):
    """The same, read now; 0 if there is none yet."""
    return Scrape(port).total(name, **labels) or 0
