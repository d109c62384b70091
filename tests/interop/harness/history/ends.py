"""S6: answers about ends (log start, high watermark, last stable offset) never go back in real time, whoever gave them, and are never behind what
somebody was told before they were asked for; "out of range" is never said of what was promised. S5 for the last stable offset: what is committed is
below it, unless a transaction that may be open holds it back.

What acknowledgements and reads promise is kept by hundredths of a second: it counts from the end of its hundredth on. That bounds memory, and lets
pass only what is closer together than that. Answers about ends are held against one another to the microsecond.
"""

from bisect import bisect_right

from .sent import place

SLICE = 100  # a second


class Bound:
    """The greatest value promised before a time."""

    def __init__(self):
        self.slices, self.times, self.values = {}, [], []

    def promise(self, time, value):
        at = int(time * SLICE)
        if value > self.slices.get(at, -1):
            self.slices[at] = value

    def settle(self):
        highest = -1
        for at in sorted(self.slices):
            highest = max(highest, self.slices[at])
            self.times.append((at + 1) / SLICE)
            self.values.append(highest)
        self.slices.clear()

    def before(self, time):
        at = bisect_right(self.times, time)
        return self.values[at - 1] if at else -1


class Ends:
    """Takes ends, ack, read, range and end."""

    def __init__(self, sent, logs, reads, transactions, findings):
        self.sent, self.logs, self.reads, self.transactions, self.findings = sent, logs, reads, transactions, findings
        self.answers, self.high, self.stable, self.whole, self.ranges = {}, {}, {}, {}, []
        self.count = 0

    @staticmethod
    def _bound(table, part):
        bound = table.get(part)
        if bound is None:
            bound = table[part] = Bound()
        return bound

    def ends(self, event):
        self.count += 1
        self.answers.setdefault((event["p"], event["w"]), []).append((event["a"], event["b"], event["v"], event["c"]))

    def ack(self, event):
        producer, number = self.sent.look([event["c"], event["n"]])
        if event["o"] >= 0:
            self._bound(self.high, self.sent.parts.names[producer.part[number]]).promise(event["t"], event["o"] + 1)

    def read(self, event):
        self._bound(self.high, event["p"]).promise(event["t"], event["o"] + 1)
        if event["i"] == "rc":
            self._bound(self.stable, event["p"]).promise(event["t"], event["o"] + 1)

    def range(self, event):
        self.ranges.append((event, self.reads.promised(event)))

    def finish(self):
        self._whole()
        for table in (self.high, self.stable, self.whole):
            for bound in table.values():
                bound.settle()
        for (part, what), answers in self.answers.items():
            self._never_back(part, what, answers)
            for asked, _, value, who in answers:
                self._fresh(part, what, asked, value, who)
        for event, own in self.ranges:
            log, bound = self.logs.parts[event["p"]], self.high.get(event["p"])
            promised = own or (bound is not None and event["o"] <= bound.before(event["a"]))
            self.findings.demand(not promised or event["o"] < log.start, "S6", lambda: f"{event['c']} was told that {place(event)} is out of range")

    def _whole(self):
        """Records of transactions that were known to be committed, by partition: they are below the last stable offset from then on."""
        for producer in self.sent.by_index:
            for number, txn in enumerate(producer.txn):
                at = self.transactions.ended.get(txn)
                if at is not None and self.transactions.shown[txn][1] and producer.found[number] >= 0:
                    self._bound(self.whole, self.sent.parts.names[producer.part[number]]).promise(at, producer.found[number] + 1)

    def _never_back(self, part, what, answers):
        done, at, highest = sorted(answers, key=lambda answer: answer[1]), 0, None
        for asked, _, value, who in sorted(answers):
            while at < len(done) and done[at][1] < asked:
                highest = done[at] if highest is None or done[at][2] > highest[2] else highest
                at += 1
            self.findings.demand(highest is None or value >= highest[2], "S6",
                                 lambda: f"{who} was told {what} {value} of {part} at {asked:.6f}, after {highest[3]} had been told {highest[2]} at {highest[1]:.6f}")

    def _fresh(self, part, what, asked, value, who):
        log = self.logs.parts[part]
        if what == "start":
            self.findings.demand(value <= log.start, "S6", lambda: f"{who} was told that {part} starts at {value}; it does at {log.start}")
            return
        self.findings.demand(value <= log.end, "S6", lambda: f"{who} was told {what} {value} of {part}, which ends at {log.end} in the end")
        bound = (self.high if what == "hw" else self.stable).get(part)
        promised = bound.before(asked) if bound else -1
        self.findings.demand(value >= promised, "S6", lambda: f"{who} was told {what} {value} of {part} at {asked:.6f}, when {promised} was promised")
        if what == "lso" and value >= promised:
            whole = self.whole.get(part)
            self.findings.demand(whole is None or value >= whole.before(asked) or self._held(log, value, asked), "S5",
                                 lambda: f"{who} was told lso {value} of {part} at {asked:.6f}, when {whole.before(asked)} was committed and nothing held it back")

    def _held(self, log, offset, asked):
        """A transaction that begins at this offset was not known to have ended at this time."""
        record = log.record_at(offset)
        txn = self.sent.by_index[record[0]].txn[record[1]] if record else -1
        return txn >= 0 and self.transactions.ended.get(txn, asked) >= asked
