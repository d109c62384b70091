"""Histories in files: read again and again, as the judge does, one event at a time."""

import json


def files(paths):
    """A function that gives all events anew at each call. A last line that was cut off, by a client that was ended, is left out."""
    def events():
        for path in paths:
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if line.endswith("\n"):
                        yield json.loads(line)
    return events
