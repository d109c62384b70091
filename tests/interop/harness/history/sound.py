"""Makes sound histories: a small model of a log service and of its clients, all from one seed. For the judge's own test.

Each operation takes effect at one moment of the model's clock; it was asked for a little before and answered a little after, so that operations
of different clients overlap as they do in life.
"""

import random
import zlib

INPUTS, OUTPUTS = ("in/0", "in/1", "in/2"), ("out/0", "out/1")
GROUP = "copiers"


class Model:
    """The service: logs, transactions, a group's offsets. `events` is the history."""

    def __init__(self, seed, steps):
        self.chance, self.now, self.events = random.Random(seed), 100.0, []
        self.logs = {part: [] for part in (*INPUTS, *OUTPUTS)}  # entries: ("record", event of the end, fate) or ("control", kind, pid)
        self.counts, self.sequences, self.offsets, self.copied = {}, {}, {}, {}
        self.places, self.txn, self.txns, self.generation, self.owner = {}, None, 0, 1, "copier-0"
        actions = [self.idempotent] * 8 + [self.plain] + [self.copy] * 5 + [self.read] * 10 + [self.ask] * 4 + [self.fetch_group] * 2 + [self.rebalance]
        for _ in range(steps):
            self.now += self.chance.random() * 0.02
            self.chance.choice(actions)()
        self.finish()

    def around(self):
        return self.now - self.chance.random() * 0.03, self.now + self.chance.random() * 0.03

    def append(self, name, kind, part, pid, txn=None, source=None):
        """Sends, appends, and perhaps acknowledges a record."""
        number = self.counts.get(name, 0)
        self.counts[name] = number + 1
        crc, sequence = zlib.crc32(f"{name} {number} x".encode()), self.sequences.get((pid, part), 0)
        asked, told = self.around()
        sent = {"e": "send", "c": name, "n": number, "p": part, "h": crc, "t": asked, "k": kind}
        self.events.append({**sent, **({"x": txn} if txn else {}), **({"s": list(source)} if source else {})})
        offset = len(self.logs[part])
        end = {"e": "final", "p": part, "o": offset, "n": [name, number], "h": crc, "pid": pid, "ep": 0 if pid >= 0 else -1,
               "q": sequence if pid >= 0 else -1, "tx": 1 if txn else 0}
        self.sequences[pid, part] = sequence + 1
        self.logs[part].append(["record", end, "open" if txn else "plain"])
        answer = self.chance.random()
        if answer > 0.03 or txn:
            self.events.append({"e": "ack", "c": name, "n": number, "o": -1 if answer < 0.05 else offset, "t": told})
        else:
            self.events.append({"e": "fail", "c": name, "n": number, "t": told, "why": "timed out"})

    def idempotent(self):
        which = self.chance.randrange(2)
        for _ in range(self.chance.randrange(1, 4)):
            self.append(f"idem-{which}", "idem", self.chance.choice(INPUTS), which)

    def plain(self):
        self.append("plain", "plain", self.chance.choice(INPUTS), -1)

    def stable(self, part):
        """The last stable offset."""
        return next((offset for offset, entry in enumerate(self.logs[part]) if entry[2] == "open"), len(self.logs[part]))

    def copy(self):
        """A transaction's next step, of the group's one member that works."""
        if self.txn is None:
            self.begin()
        else:
            self.end()

    def begin(self):
        self.txns += 1
        self.txn, self.copied = f"txn-{self.txns}", {}
        for part in self.chance.sample(INPUTS, 2):
            at = self.offsets.get(part, 0)
            for offset in range(at, min(at + 3, len(self.logs[part]))):
                self.append(self.owner, "txn", self.chance.choice(OUTPUTS), 50 + int(self.owner[-1]), self.txn, (part, offset))
                self.copied[part] = offset + 1

    def end(self):
        commit, (asked, told), pid = self.chance.random() < 0.7, self.around(), 50 + int(self.owner[-1])
        if self.copied:
            for part in OUTPUTS:
                self.mark(part, commit, pid)
            if commit:
                self.offsets.update(self.copied)
            known = self.chance.random() < 0.85
            self.events.append({"e": "end", "c": self.owner, "x": self.txn, "a": asked, "b": told, "gen": self.generation,
                                "r": ("committed" if commit else "aborted") if known else "unknown",
                                "offs": [[GROUP, part, offset] for part, offset in self.copied.items()]})
            if not known:
                self.now = told  # its client finds out before it goes on
        self.txn = None

    def mark(self, part, commit, pid):
        mine = [entry for entry in self.logs[part] if entry[2] == "open"]
        for entry in mine:
            entry[2] = "committed" if commit else "aborted"
        if mine:
            self.logs[part].append(["control", {"e": "control", "p": part, "o": len(self.logs[part]), "pid": pid, "k": "commit" if commit else "abort"}, "control"])

    def rebalance(self):
        if self.txn is None:
            self.now += 0.1
            self.generation, self.owner = self.generation + 1, f"copier-{self.generation % 2}"

    def read(self):
        """A reader takes some of what it may see; now and then one begins again."""
        which, part = self.chance.randrange(3), self.chance.choice(list(self.logs))
        committed, key = which != 0, (which, part)
        if key not in self.places or self.chance.random() < 0.02:
            self.places[key] = 0
            self.events.append({"e": "at", "c": f"reader-{which}", "p": part, "o": 0, "t": self.now})
        limit = self.stable(part) if committed else len(self.logs[part])
        for offset in range(self.places[key], min(limit, self.places[key] + 12)):
            kind, end, fate = self.logs[part][offset]
            if kind == "record" and not (committed and fate == "aborted"):
                self.events.append({"e": "read", "c": f"reader-{which}", "i": "rc" if committed else "ru", "p": part, "o": offset, "n": end["n"], "h": end["h"],
                                    "t": self.now + 0.031})
            self.places[key] = offset + 1

    def ask(self):
        part, what = self.chance.choice(list(self.logs)), self.chance.choice(["start", "hw", "hw", "lso", "lso"])
        asked, told = self.around()
        value = {"start": 0, "hw": len(self.logs[part]), "lso": self.stable(part)}[what]
        self.events.append({"e": "ends", "c": f"asker-{self.chance.randrange(2)}", "p": part, "w": what, "v": value, "a": asked, "b": told})

    def fetch_group(self):
        asked, told = self.around()
        part = self.chance.choice(INPUTS)
        self.events.append({"e": "fetched", "c": "watcher", "g": GROUP, "p": part, "o": self.offsets.get(part, -1), "a": asked, "b": told})

    def finish(self):
        """All is read again in the end."""
        if self.txn:
            self.end()
        self.now += 1
        for part in INPUTS:
            self.events.append({"e": "fetched", "c": "watcher", "g": GROUP, "p": part, "o": self.offsets.get(part, 0) if part in self.offsets else -1,
                                "a": self.now, "b": self.now + 0.01})
        self.events.append({"e": "job", "g": GROUP, "in": "in", "out": "out"})
        for part, log in self.logs.items():
            self.events.append({"e": "span", "p": part, "start": 0, "end": len(log)})
            self.events.extend(entry[1] for entry in log)


def history(seed, steps=600):
    """A sound history, as a list of events."""
    return Model(seed, steps).events
