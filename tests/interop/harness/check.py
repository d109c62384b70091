"""Assertions whose failure text says what was compared, and stays short whatever the data."""

import time


class CheckFailed(Exception):
    """A scenario saw something else than it demands."""


def short(value, limit=400):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def that(condition, what):
    if not condition:
        raise CheckFailed(what)


def equal(got, want, what):
    if got != want:
        raise CheckFailed(f"{what}: got {short(got)}, want {short(want)}")


def same_list(got, want, what):
    """Two lists are equal; the first difference is named rather than printing both."""
    for index, (left, right) in enumerate(zip(got, want)):
        if left != right:
            raise CheckFailed(f"{what}: entry {index}: got {short(left)}, want {short(right)}")
    equal(len(got), len(want), f"{what}: number of entries")


def contains(text, part, what):
    if part not in text:
        raise CheckFailed(f"{what}: no {part!r} in {short(text, 1500)}")


def eventually(condition, what, seconds=30, pause=0.1):
    """Waits until `condition()` is truthy and returns its value. `seconds` is a deadline, not a wait."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise CheckFailed(f"not within {seconds} s: {what}")
        time.sleep(pause)
