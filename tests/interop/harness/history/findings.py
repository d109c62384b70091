"""What a judge found: broken rules, with the first few examples of each."""

KEPT = 8


class Findings:
    """Rule ▸ how often it was broken, and the first texts."""

    def __init__(self):
        self.counts, self.texts = {}, {}

    def add(self, rule, text):
        self.counts[rule] = self.counts.get(rule, 0) + 1
        if self.counts[rule] <= KEPT:
            self.texts.setdefault(rule, []).append(text)

    def demand(self, condition, rule, text):
        """`text` is called only if the condition does not hold: it is asked for millions of times."""
        if not condition:
            self.add(rule, text())

    def __bool__(self):
        return bool(self.counts)

    def __str__(self):
        return "; ".join(f"{rule} broken {self.counts[rule]} times: {' | '.join(self.texts[rule])}" for rule in sorted(self.counts))
