"""S10 by groups: committed offsets never go back unless a commit said so, nobody is told what nobody committed, and of two members that had the same
partition at a time only one's commits take effect."""


class Groups:
    """Takes commit and fetched; transactions tell what they committed."""

    def __init__(self, findings):
        self.findings, self.commits, self.fetches = findings, {}, {}
        self.count = 0

    def commit(self, event):
        self.commits.setdefault((event["g"], event["p"]), []).append(event)

    def fetched(self, event):
        self.fetches.setdefault((event["g"], event["p"]), []).append(event)

    def last(self, group, part):
        """The offset of the answer that came last, or None if nobody asked."""
        told = self.fetches.get((group, part))
        return max(told, key=lambda event: event["b"])["o"] if told else None

    def finish(self):
        for place, commits in self.commits.items():
            self.count += len(commits)
            commits.sort(key=lambda event: event["a"])
            self._generations(place, [event for event in commits if event["r"] == "ok" and event["gen"] is not None])
        for place, fetches in self.fetches.items():
            self._register(place, self.commits.get(place, []), fetches)

    def _generations(self, place, commits):
        """One member in a generation; nothing of an older generation once a newer one's commit was accepted."""
        members, newest = {}, None
        for event in commits:
            first = members.setdefault(event["gen"], event["c"])
            self.findings.demand(first == event["c"], "S10", lambda: f"{first} and {event['c']} both committed {place} in generation {event['gen']}")
        pending = sorted(commits, key=lambda event: event["b"])
        at = 0
        for event in commits:
            while at < len(pending) and pending[at]["b"] < event["a"]:
                newest = pending[at] if newest is None or pending[at]["gen"] > newest["gen"] else newest
                at += 1
            self.findings.demand(newest is None or event["gen"] >= newest["gen"], "S10",
                                 lambda: f"{event['c']} committed {place} in generation {event['gen']} after {newest['c']} had in {newest['gen']}")

    def _register(self, place, commits, fetches):
        """Each answer is a value that may hold at that moment: committed before it was given, and not replaced before it was asked for."""
        by_offset = {}
        for event in commits:
            if event["r"] != "failed":
                by_offset.setdefault(event["o"], []).append(event)
        latest, back = Latest(event for event in commits if event["r"] == "ok"), Latest(())
        done, at = sorted(fetches, key=lambda event: event["b"]), 0
        for event in sorted(fetches, key=lambda event: event["a"]):
            while at < len(done) and done[at]["b"] < event["a"]:
                back.take(done[at])
                at += 1
            self._one(place, by_offset, latest, event, back.highest)

    def _one(self, place, by_offset, latest, event, before):
        sure = latest.begun_last(event["a"])  # of all commits that were sure to hold when this was asked, the one that began last
        if event["o"] < 0:
            earlier = sure or (before if before is not None and before["o"] >= 0 else None)
            self.findings.demand(earlier is None, "S10", lambda: f"{event['c']} was told that {place} has no offset, after it had {earlier['o']}")
            return
        own = [one for one in by_offset.get(event["o"], ()) if one["a"] <= event["b"]]
        if not own:
            self.findings.add("S10", f"{event['c']} was told {event['o']} for {place}, which nobody had committed")
            return
        # An unknown or late one may have taken effect at any time after it was asked for.
        holds = any(one["r"] != "ok" or sure is None or one["b"] >= sure["a"] for one in own)
        self.findings.demand(holds, "S10", lambda: f"{event['c']} was told {event['o']} for {place}, after {sure['o']} had been committed")
        # Unless a commit could have set it back since that answer was asked for.
        again = before is None or event["o"] >= before["o"] or any(one["r"] != "ok" or one["b"] >= before["a"] for one in own)
        self.findings.demand(again, "S10", lambda: f"{event['c']} was told {event['o']} for {place}, after {before['c']} had been told {before['o']}")


class Latest:
    """Events in the order of their ends: of those that had ended before a time, the one that was asked for last; and the greatest offset taken."""

    def __init__(self, events):
        self.events, self.at, self.best, self.highest = sorted(events, key=lambda event: event["b"]), 0, None, None

    def begun_last(self, time):
        """Times must go up from call to call."""
        while self.at < len(self.events) and self.events[self.at]["b"] < time:
            event = self.events[self.at]
            self.best = event if self.best is None or event["a"] > self.best["a"] else self.best
            self.at += 1
        return self.best

    def take(self, event):
        if self.highest is None or event["o"] > self.highest["o"]:
            self.highest = event
