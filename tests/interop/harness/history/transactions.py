"""S5: a transaction is there as a whole or not at all, on every partition and with its group's offsets; as its producer was told; a job's
copies are there once for each record below the group's offset, and for no other."""

from .log import COMMITTED, VISIBLE


class Transactions:
    """Takes end and job. `groups` is told what commits of offsets came about."""

    def __init__(self, sent, logs, groups, findings):
        self.sent, self.logs, self.groups, self.findings = sent, logs, groups, findings
        self.shown, self.jobs, self.late = self._shown(), [], {}
        self.ended = {}  # transaction's number ▸ when it was known to be committed or aborted

    def _shown(self):
        """Transaction's number ▸ [records sent, records that are committed in the log]."""
        shown = {}
        for producer in self.sent.by_index:
            for number, txn in enumerate(producer.txn):
                if txn >= 0:
                    counts = shown.setdefault(txn, [0, 0])
                    counts[0] += 1
                    log = self.logs.parts.get(self.sent.parts.names[producer.part[number]])
                    found = producer.found[number]
                    counts[1] += found >= 0 and log is not None and log.fate_at(found) == COMMITTED
        return shown

    def end(self, event):
        txn = self.sent.txns.number(event["x"])
        sent, seen = self.shown.get(txn, (0, 0))
        if event["r"] == "committed":
            self.findings.demand(sent == seen, "S5", lambda: f"{event['x']} was committed; of its {sent} records {seen} are")
        elif event["r"] == "aborted":
            self.findings.demand(seen == 0, "S5", lambda: f"{event['x']} was aborted; of its {sent} records {seen} are committed")
        if event["r"] != "unknown":
            self.ended[txn] = event["b"]
        self._offsets(event, seen)

    def _offsets(self, event, seen):
        """Offsets follow the records: an end of unknown outcome came about if the log says so, at some time before the producer's next end was asked for."""
        for late in self.late.pop(event["c"], ()):
            late["r"], late["b"] = "ok", max(late["b"], event["a"])
        result = {"committed": "ok", "aborted": "failed", "unknown": "late" if seen else "failed"}[event["r"]]
        for group, part, offset in event.get("offs", ()):
            commit = {"c": event.get("m") or event["c"], "g": group, "gen": event.get("gen"), "p": part, "o": offset, "a": event["a"], "b": event["b"],
                      "r": result}
            self.groups.commit(commit)
            if result == "late":
                self.late.setdefault(event["c"], []).append(commit)

    def job(self, event):
        self.jobs.append(event)

    def finish(self):
        for txn, (sent, seen) in self.shown.items():
            self.findings.demand(seen in (0, sent), "S5", lambda: f"of the {sent} records of {self.sent.txns.names[txn]} {seen} are committed")
        for job in self.jobs:
            self._copied(job)

    def _copied(self, job):
        copies = {}
        for (index, number), source in self.sent.sources.items():
            producer = self.sent.by_index[index]
            name = self.sent.parts.names[producer.part[number]]
            if name.rpartition("/")[0] == job["out"] and producer.found[number] >= 0 and self.logs.parts[name].fate_at(producer.found[number]) == COMMITTED:
                copies[source] = copies.get(source, 0) + 1
        twice = [source for source, count in copies.items() if count > 1]
        self.findings.demand(not twice, "S5", lambda: f"{len(twice)} records of {job['in']} were copied more than once, such as {twice[:3]}")
        for name, log in self.logs.parts.items():
            if name.rpartition("/")[0] == job["in"]:
                self._covered(job, name, log, copies)

    def _covered(self, job, name, log, copies):
        """The group's offset, as last told, says exactly what was copied."""
        upto = self.groups.last(job["g"], name)
        if upto is None:
            return
        for offset in range(log.start, log.end):
            want = offset < upto and log.fate_at(offset) in VISIBLE
            got = (name, offset) in copies
            self.findings.demand(want == got, "S5", lambda: f"{name}@{offset} is {'' if got else 'not '}copied, and the offset of {job['g']} is {upto}")
