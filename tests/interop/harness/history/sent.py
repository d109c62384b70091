"""What producers sent and what became of it, as they were told. A record is a slot in its producer's arrays: some 25 bytes each."""

from array import array

KINDS = ("plain", "idem", "txn")


class Producer:
    """Records of one producer by their number."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.part, self.crc, self.txn, self.sent_at = array("i"), array("I"), array("i"), array("d")
        self.found = array("q")  # the offset in the log at the end; -1: not there
        self.acked = bytearray()


class Sent:
    """All producers, with partitions and transactions numbered."""

    def __init__(self, findings):
        self.findings, self.producers, self.by_index = findings, {}, []
        self.parts, self.txns = Names(), Names()
        self.sources = {}  # (producer's index, number) ▸ (partition, offset) it is a copy of

    def send(self, event):
        producer = self.producers.get(event["c"])
        if producer is None:
            producer = self.producers[event["c"]] = Producer(event["c"], event["k"])
            producer.index = len(self.by_index)
            self.by_index.append(producer)
        number = event["n"]
        if number != len(producer.part):
            raise ValueError(f"{event['c']} wrote number {number} where {len(producer.part)} was due: no history")
        producer.part.append(self.parts.number(event["p"]))
        producer.crc.append(event["h"])
        producer.txn.append(self.txns.number(event["x"]) if event.get("x") else -1)
        producer.sent_at.append(event["t"])
        producer.found.append(-1)
        producer.acked.append(0)
        if event.get("s"):
            self.sources[producer.index, number] = tuple(event["s"])

    def look(self, name):
        """The producer and number that a value names, or None if nobody sent such a record."""
        producer = self.producers.get(name[0]) if name else None
        return (producer, name[1]) if producer and 0 <= name[1] < len(producer.part) else None

    def same(self, event):
        """None if what the event holds was sent to its partition, byte for byte; else what is wrong."""
        known = self.look(event["n"])
        if known is None:
            return "was never sent"
        producer, number = known
        if self.parts.names[producer.part[number]] != event["p"]:
            return f"was sent to {self.parts.names[producer.part[number]]}"
        return None if producer.crc[number] == event["h"] else "has other bytes than were sent"


class Names:
    """Strings as small numbers."""

    def __init__(self):
        self.names, self.numbers = [], {}

    def number(self, name):
        at = self.numbers.get(name)
        if at is None:
            at = self.numbers[name] = len(self.names)
            self.names.append(name)
        return at


def place(event):
    return f"{event['p']}@{event['o']}"
