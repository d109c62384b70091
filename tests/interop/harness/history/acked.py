"""S1 and S2 for producers: what was acknowledged lies in the log at the end, where it was said to lie."""


class Acked:
    """Takes ack."""

    def __init__(self, sent, logs, findings):
        self.sent, self.logs, self.findings = sent, logs, findings
        self.count = 0

    def ack(self, event):
        self.count += 1
        producer, number = self.sent.look([event["c"], event["n"]])
        producer.acked[number] = 1
        found, where = producer.found[number], self.sent.parts.names[producer.part[number]]
        if found < 0:
            self.findings.add("S1", f"{event['c']} {event['n']} was acknowledged at {where}@{event['o']} and is nowhere")
        elif event["o"] >= 0 and producer.kind != "plain":
            self.findings.demand(found == event["o"], "S2", lambda: f"{event['c']} {event['n']} was acknowledged at {where}@{event['o']} and lies at {found}")
        elif event["o"] >= 0:
            held = self.logs.parts[where].record_at(event["o"])
            self.findings.demand(held == (producer.index, number), "S1", lambda: f"{event['c']} {event['n']} was acknowledged at {where}@{event['o']}; there is {held}")

    def finish(self):
        pass
