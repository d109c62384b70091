"""Do the judges notice? Each test damages a good result in one way and demands that the scenario's check fails.

    python3 -m unittest discover -s tests/interop -p selftest.py
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from harness.check import CheckFailed  # noqa: E402
from harness import load  # noqa: E402
from selftest_history import Batches, History, Waits  # noqa: E402, F401  (found here by the test runner)
from scenarios import dumpavail, exactly_once, kill_nine, probe  # noqa: E402


def good_log():
    """Eight records of one producer over four partitions, and the lines that it wrote down."""
    log = [(number % 4, number // 4, f"java-{number}") for number in range(8)]
    return log, [f"{part} {offset} {name}" for part, offset, name in log] + ["sent 8"]


class KillNine(unittest.TestCase):
    def judge(self, change):
        log, lines = good_log()
        change(log, lines)
        kill_nine.judge(log, {"java": lines})

    def test_good(self):
        self.judge(lambda log, lines: None)

    def test_damaged(self):
        def swapped(log, lines):
            log[0], log[4] = (0, 0, "java-4"), (0, 1, "java-0")
            lines[0], lines[4] = "0 1 java-0", "0 0 java-4"
        changes = {
            "a lost record": lambda log, lines: log.pop(),
            "a record twice": lambda log, lines: log.append((0, 2, "java-0")),
            "a gap": lambda log, lines: log.__setitem__(7, (3, 2, "java-7")),
            "another offset": lambda log, lines: lines.__setitem__(0, "0 1 java-0"),
            "an unknown record": lambda log, lines: log.append((0, 2, "java-8")),
            "a record never acknowledged": lambda log, lines: lines.pop(3),
            "records out of order": swapped,
        }
        for name, change in changes.items():
            with self.subTest(name), self.assertRaises(CheckFailed):
                self.judge(change)


class Load(unittest.TestCase):
    def judge(self, change):
        log, lines = good_log()
        change(log, lines)
        load.judge(log, {"java": lines}, "a reader")

    def test_good(self):
        self.judge(lambda log, lines: None)
        self.judge(lambda log, lines: lines.__setitem__(0, "0 -1 java-0"))

    def test_damaged(self):
        def swapped(log, lines):
            log[0], log[4] = (0, 0, "java-4"), (0, 1, "java-0")
            lines[0], lines[4] = "0 1 java-0", "0 0 java-4"
        changes = {
            "a lost record": lambda log, lines: log.pop(),
            "a record twice": lambda log, lines: log.append((0, 2, "java-0")),
            "a gap": lambda log, lines: log.__setitem__(7, (3, 2, "java-7")),
            "another offset": lambda log, lines: lines.__setitem__(0, "0 1 java-0"),
            "an unknown record": lambda log, lines: log.append((0, 2, "java-8")),
            "a record that is nowhere": lambda log, lines: lines.__setitem__(0, "0 -1 java-9"),
            "records out of order": swapped,
        }
        for name, change in changes.items():
            with self.subTest(name), self.assertRaises(CheckFailed):
                self.judge(change)


class Dumpavail(unittest.TestCase):
    def judge(self, change):
        stanzas = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
        rows = [(0, 0, b"a", b"1"), (1, 0, b"b", b"2"), (0, 1, b"a", b"3")]
        change(rows)
        dumpavail.complete("a reader", rows, stanzas)

    def test_good(self):
        self.judge(lambda rows: None)

    def test_damaged(self):
        changes = {
            "a lost stanza": lambda rows: rows.pop(),
            "a changed byte": lambda rows: rows.__setitem__(1, (1, 0, b"b", b"x")),
            "a gap": lambda rows: rows.__setitem__(2, (0, 2, b"a", b"3")),
            "out of order": lambda rows: rows.__setitem__(slice(None), [(0, 0, b"a", b"3"), (1, 0, b"b", b"2"), (0, 1, b"a", b"1")]),
        }
        for name, change in changes.items():
            with self.subTest(name), self.assertRaises(CheckFailed):
                self.judge(change)


class ExactlyOnce(unittest.TestCase):
    def judge(self, change):
        rows = [(number % 4, number) for number in range(8)]
        change(rows)
        exactly_once.exactly_once(rows, 8)

    def test_good(self):
        self.judge(lambda rows: rows.reverse())

    def test_damaged(self):
        changes = {
            "a lost number": lambda rows: rows.pop(),
            "a number twice": lambda rows: rows.append((3, 3)),
            "one lost, one twice": lambda rows: rows.__setitem__(7, (3, 3)),
            "another partition": lambda rows: rows.__setitem__(0, (1, 0)),
            "a number never written": lambda rows: rows.append((0, 8)),
        }
        for name, change in changes.items():
            with self.subTest(name), self.assertRaises(CheckFailed):
                self.judge(change)


class Differential(unittest.TestCase):
    want = {"one": {"errorCode": 0, "list": [1, 2]}, "two": {"errorCode": 3}}

    def test_equal(self):
        probe.compare(dict(self.want), self.want, {})

    def test_deviation(self):
        allowed = {"two": {"answer": {"errorCode": 4}, "why": "a test"}}
        probe.compare({**self.want, "two": {"errorCode": 4}}, self.want, allowed)

    def test_different(self):
        cases = {
            "a code": ({**self.want, "two": {"errorCode": 4}}, {}),
            "a list": ({**self.want, "one": {"errorCode": 0, "list": [1]}}, {}),
            "a missing field": ({**self.want, "two": {}}, {}),
            "a missing case": ({"one": self.want["one"]}, {}),
            "a new case": ({**self.want, "three": {}}, {}),
            "a deviation that is none": (self.want, {"two": {"answer": {"errorCode": 3}, "why": "a test"}}),
            "a deviation of no case": (self.want, {"four": {"answer": {}, "why": "a test"}}),
        }
        for name, (got, allowed) in cases.items():
            with self.subTest(name), self.assertRaises(CheckFailed):
                probe.compare(got, self.want, allowed)


if __name__ == "__main__":
    unittest.main()
