"""How long clients waited after each fault: from a history, for each client and partition, the longest time without success that a fault may have caused.

Success is an acknowledgement, a record read, a transaction committed. A pause counts from the fault, or from the last success before it if that is
later, to the next success, or to the next fault if that is earlier: from then on nobody knows whose it is. So faults have to be further apart than the
pauses that are allowed. What the machine itself stood still meanwhile, by the driver's own heartbeat, is told beside it.
"""

SHORTEST = 0.1  # seconds; shorter ones are not kept


class Pauses:
    """Gaps between successes, by kind of client. Takes ack, read and end."""

    def __init__(self, sent):
        self.sent, self.last, self.gaps = sent, {}, []

    def ack(self, event):
        producer, number = self.sent.look([event["c"], event["n"]])
        if producer.kind != "txn":
            self._success("producers", event["c"], self.sent.parts.names[producer.part[number]], event["t"])

    def read(self, event):
        self._success("readers", event["c"], event["p"], event["t"])

    def end(self, event):
        if event["r"] == "committed":
            self._success("copiers", event["c"], "transactions", event["b"])

    def _success(self, kind, client, part, time):
        before = self.last.get((client, part))
        if before is not None and time > before + SHORTEST:
            self.gaps.append((before, time, kind, client, part))
        self.last[client, part] = time

    def worst(self, kind, begin, until, steady):
        """The longest gap of this kind of client between `begin` and `until`: (seconds, from, to, client, partition), or None. `steady` says
        of a client and a partition whether there was something to do all the time."""
        found = [(min(to, until) - max(since, begin), max(since, begin), min(to, until), client, part) for since, to, what, client, part in self.gaps
                 if what == kind and to > begin and since < until and steady(client, part)]
        return max(found, default=None)


def stood_still(stalls, since, until):
    """Seconds of the stalls, (from, to), within a time."""
    return sum(max(0.0, min(to, until) - max(begin, since)) for begin, to in stalls)


def table(pauses, faults, stalls, end, steady=lambda client, part: True):
    """Rows of (what, when, kind, seconds, seconds that the machine stood still meanwhile, client, partition), for faults of (time, what)."""
    rows = []
    for number, (at, what) in enumerate(faults):
        until = faults[number + 1][0] if number + 1 < len(faults) else end
        for kind in ("producers", "readers", "copiers"):
            worst = pauses.worst(kind, at, until, steady)
            if worst:
                seconds, since, to, client, part = worst
                rows.append((what, at, kind, seconds, stood_still(stalls, since, to), client, part))
    return rows
