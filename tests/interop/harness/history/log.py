"""The log as it is at the end, read raw: each offset a record or a control batch. What all other answers are held against.

Judges by itself: S2 (no offset twice, none missing), S3 (sequences and numbers in order, each once), S4 (nothing that was not sent).
"""

from array import array

from .sent import place

NOTHING, PLAIN, OPEN, COMMITTED, ABORTED, CONTROL = range(6)
VISIBLE = (PLAIN, COMMITTED)
SEQUENCES = 1 << 31


class Log:
    """One partition. `record[offset - start]` is producer's index and number in one integer, or -1."""

    def __init__(self, start, end):
        self.start, self.end = start, end
        self.record, self.fate = array("q", [-1]) * (end - start), bytearray(end - start)
        self.open, self.sequences, self.numbers = {}, {}, {}

    def fate_at(self, offset):
        return self.fate[offset - self.start] if self.start <= offset < self.end else NOTHING

    def record_at(self, offset):
        """Producer's index and number, or None."""
        code = self.record[offset - self.start] if self.start <= offset < self.end else -1
        return None if code < 0 else (code >> 32, code & 0xFFFFFFFF)


class Logs:
    """All partitions. Takes the events span, final and control, of a partition in the order of offsets."""

    def __init__(self, sent, findings):
        self.sent, self.findings, self.parts = sent, findings, {}

    def span(self, event):
        self.parts[event["p"]] = Log(event["start"], event["end"])

    def _claim(self, event, fate):
        """The log of the event's partition with the offset marked; None if it was taken or is outside."""
        log, offset = self.parts[event["p"]], event["o"]
        if not log.start <= offset < log.end:
            self.findings.add("S2", f"{place(event)} lies outside the log of {log.start} to {log.end}")
        elif log.fate[offset - log.start] != NOTHING:
            self.findings.add("S2", f"{place(event)} is there twice")
        else:
            log.fate[offset - log.start] = fate
            return log
        return None

    def final(self, event):
        log = self._claim(event, OPEN if event["tx"] else PLAIN)
        if log is None:
            return
        if event["tx"]:
            log.open.setdefault(event["pid"], []).append(event["o"])
        self._sequence(log, event)
        wrong = self.sent.same(event)
        if wrong:
            self.findings.add("S4", f"{place(event)}, {event['n']}, {wrong}")
            return
        producer, number = self.sent.look(event["n"])
        log.record[event["o"] - log.start] = producer.index << 32 | number
        self._order(log, producer, number, event)
        producer.found[number] = event["o"]

    def _sequence(self, log, event):
        """What the log itself says: of one producer id and epoch, each batch goes on where the last ended, the first from 0."""
        if event["q"] >= 0:
            want = log.sequences.get((event["pid"], event["ep"]), 0)
            self.findings.demand(event["q"] == want, "S3", lambda: f"{place(event)}: sequence {event['q']} of producer {event['pid']}, where {want} is due")
            log.sequences[event["pid"], event["ep"]] = (event["q"] + 1) % SEQUENCES

    def _order(self, log, producer, number, event):
        """A plain producer may write twice, and out of order."""
        if producer.kind == "plain":
            return
        last = log.numbers.get(producer.index, -1)
        if producer.found[number] >= 0:
            self.findings.add("S3", f"{event['n']} is at {producer.found[number]} and at {place(event)}")
        else:
            self.findings.demand(number > last, "S3", lambda: f"{event['n']} at {place(event)} comes after number {last}")
        log.numbers[producer.index] = max(last, number)

    def control(self, event):
        log = self._claim(event, CONTROL)
        if log is not None:
            fate = COMMITTED if event["k"] == "commit" else ABORTED
            for offset in log.open.pop(event["pid"], ()):
                log.fate[offset - log.start] = fate

    def settle(self):
        """After the last event: no offset may be missing."""
        for name, log in self.parts.items():
            gap = log.fate.find(NOTHING)
            self.findings.demand(gap < 0, "S2", lambda: f"{log.fate.count(NOTHING)} offsets of {name} are missing, the first {log.start + gap}")
