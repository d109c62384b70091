"""Readers: S1 (nothing passed over), S2 (the same at an offset for all), S4 (only what was sent, and only what stays), S5 (nothing of what was
aborted or is still open, for read_committed), S6 (a reader's offsets go up)."""

from .log import ABORTED, CONTROL, NOTHING, OPEN
from .sent import place

RULES_OF_PASSED = {OPEN: "S5"}


class Reads:
    """Takes at, read and range. `ends` is told what was promised to whom."""

    def __init__(self, sent, logs, findings):
        self.sent, self.logs, self.findings = sent, logs, findings
        self.next, self.count = {}, 0  # (reader, partition) ▸ the offset that comes next

    def at(self, event):
        self.next[event["c"], event["p"]] = event["o"]

    def promised(self, event):
        """The reader's own reading has brought it to this offset."""
        return self.next.get((event["c"], event["p"])) == event["o"]

    def read(self, event):
        self.count += 1
        log, offset, reader = self.logs.parts[event["p"]], event["o"], (event["c"], event["p"])
        committed = event["i"] == "rc"
        expected = self.next.get(reader, offset)
        if offset < expected:
            self.findings.add("S6", f"{event['c']} is at {place(event)} after it was at {expected - 1}")
        for passed in range(expected, offset):
            self._passed(log, event, passed, committed)
        self.next[reader] = offset + 1
        self._content(log, event, committed)

    def _passed(self, log, event, offset, committed):
        fate = log.fate_at(offset)
        if fate in (CONTROL, NOTHING) or (fate == ABORTED and committed):
            return
        self.findings.add(RULES_OF_PASSED.get(fate, "S1") if committed else "S1", f"{event['c']} went past {event['p']}@{offset} to {event['o']}")

    def _content(self, log, event, committed):
        wrong = self.sent.same(event)
        if wrong:
            self.findings.add("S4", f"{event['c']} read {event['n']} at {place(event)}, which {wrong}")
            return
        producer, number = self.sent.look(event["n"])
        self.findings.demand(event["t"] >= producer.sent_at[number], "S4", lambda: f"{event['c']} read {event['n']} before it was sent")
        held = log.record_at(event["o"])
        if not log.start <= event["o"] < log.end:
            self.findings.add("S4", f"{event['c']} read {place(event)}, and the log is from {log.start} to {log.end} in the end")
        elif held != (producer.index, number):
            self.findings.add("S2", f"{event['c']} read {event['n']} at {place(event)}; in the end there is {held}")
        elif committed:
            fate = log.fate_at(event["o"])
            self.findings.demand(fate not in (OPEN, ABORTED), "S5", lambda: f"{event['c']} read {place(event)}, of a transaction that is {'open' if fate == OPEN else 'aborted'}")

    def finish(self):
        pass
