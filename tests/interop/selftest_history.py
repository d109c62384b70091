"""Does the judge of histories notice? Sound histories, made by a small model from seeds, pass; each tampering breaks one rule, and must be reported under it."""

import copy
import unittest

import struct

from harness import batches, speak
from harness.history import held, judge, pauses
from harness.history.sound import GROUP, history

SEEDS, TAMPERED, STEPS = range(12), range(3), 400


def of(events, kind, **fields):
    return [event for event in events if event["e"] == kind and all(event.get(name) == value for name, value in fields.items())]


def at(events, part, offset):
    return next(event for event in of(events, "final", p=part) if event["o"] == offset)


def fates(events, part):
    """Offset ▸ plain, commit or abort."""
    found, pending = {}, {}
    for event in events:
        if event["e"] == "final" and event["p"] == part:
            found[event["o"]] = "plain"
            if event["tx"]:
                pending.setdefault(event["pid"], []).append(event["o"])
        elif event["e"] == "control" and event["p"] == part:
            found.update((offset, event["k"]) for offset in pending.pop(event["pid"], ()))
    return found


def shift(events, part, offset):
    """All that lies at `offset` of the log or behind it moves down by one: a record is gone as if it had never been written."""
    for event in events:
        if event["e"] in ("final", "control") and event["p"] == part and event["o"] > offset:
            event["o"] -= 1
        elif event["e"] == "span" and event["p"] == part:
            event["end"] -= 1


def acked_final(events, producer="idem-0"):
    """A record of an idempotent producer in the middle of the log, with its acknowledgement."""
    finals = [event for event in of(events, "final") if event["n"][0] == producer]
    for event in finals[len(finals) // 2:]:
        ack = next((ack for ack in of(events, "ack", c=producer) if ack["n"] == event["n"][1] and ack["o"] >= 0), None)
        if ack:
            return event, ack
    raise AssertionError("no such record")


def a_read(events, isolation="rc", far=3):
    reads = [event for event in of(events, "read", i=isolation) if event["o"] > far]
    return reads[len(reads) // 2]


def drop_acked(events):
    event, _ = acked_final(events)
    events.remove(event)
    shift(events, event["p"], event["o"])


def ack_of_nothing(events):
    event, ack = acked_final(events)
    ack["o"] += 1


def pass_over(events):
    """A reader's answer leaves out a record that it must have."""
    for event in of(events, "read", i="ru"):
        after = next((one for one in of(events, "read", c=event["c"], p=event["p"]) if one["o"] == event["o"] + 1), None)
        if after and events.index(after) > events.index(event) and event["o"] > 0:
            for one in of(events, "read", c=event["c"], p=event["p"], o=event["o"]):
                events.remove(one)
            return


def pass_over_committed(events):
    for event in of(events, "read", i="rc"):
        if fates(events, event["p"])[event["o"]] == "commit" and of(events, "read", c=event["c"], p=event["p"], o=event["o"] - 1):
            after = [one for one in of(events, "read", c=event["c"], p=event["p"]) if one["o"] > event["o"]]
            if after:
                for one in of(events, "read", c=event["c"], p=event["p"], o=event["o"]):
                    events.remove(one)
                return


def swap_in_log(events):
    one, _ = acked_final(events)
    other = next(event for event in of(events, "final", p=one["p"]) if event["n"][0] != one["n"][0])
    for name in ("n", "h"):
        one[name], other[name] = other[name], one[name]


def swap_for_one_reader(events):
    one = a_read(events, "ru")
    other = next(event for event in of(events, "read", p=one["p"], i="ru") if event["n"] != one["n"])
    for name in ("n", "h"):
        one[name] = other[name]


def gap(events):
    event, ack = acked_final(events)
    for one in events:
        if one["e"] in ("final", "control") and one["p"] == event["p"] and one["o"] > event["o"]:
            one["o"] += 1
    of(events, "span", p=event["p"])[0]["end"] += 1


def offset_twice(events):
    event, _ = acked_final(events)
    events.append(copy.deepcopy(event))


def lost_at_the_end(events):
    """The log ends before what was read."""
    last = max(of(events, "read", p="in/0"), key=lambda event: event["o"])
    for event in [event for event in of(events, "final", p="in/0") if event["o"] >= last["o"]]:
        events.remove(event)
    of(events, "span", p="in/0")[0]["end"] = last["o"]


def duplicate(events):
    event, _ = acked_final(events)
    span = of(events, "span", p=event["p"])[0]
    events.append({**event, "o": span["end"], "q": -1})
    span["end"] += 1


def duplicate_sequence(events):
    event, _ = acked_final(events)
    span = of(events, "span", p=event["p"])[0]
    events.append({**event, "o": span["end"]})
    span["end"] += 1


def reorder(events):
    """Two records of a producer change places, for all who see them."""
    one, _ = acked_final(events)
    other = next(event for event in of(events, "final", p=one["p"]) if event["n"][0] == one["n"][0] and event["o"] > one["o"])
    first, second, of_first, of_second = one["n"], other["n"], one["h"], other["h"]
    for event in events:
        if event["e"] in ("final", "read") and event["n"] in (first, second):
            event["n"], event["h"] = (second, of_second) if event["n"] == first else (first, of_first)
    acks = {tuple([ack["c"], ack["n"]]): ack for ack in of(events, "ack")}
    if tuple(second) in acks:
        mine, his = acks[tuple(first)], acks[tuple(second)]
        mine["o"], his["o"] = his["o"], mine["o"]


def sequence_gap(events):
    event, _ = acked_final(events)
    event["q"] += 1


def never_sent(events):
    event = of(events, "final", tx=0)[3]
    event["n"] = ["nobody", 7]


def read_never_sent(events):
    a_read(events, "ru")["n"] = ["idem-0", 99999]


def other_bytes(events):
    a_read(events)["h"] ^= 1


def other_bytes_in_log(events):
    acked_final(events)[0]["h"] ^= 1


def read_before_sent(events):
    event = a_read(events, "ru")
    event["t"] = next(sent["t"] for sent in of(events, "send", c=event["n"][0]) if sent["n"] == event["n"][1]) - 1


def other_partition(events):
    event = a_read(events, "ru")
    sent = next(sent for sent in of(events, "send", c=event["n"][0]) if sent["n"] == event["n"][1])
    sent["p"] = "in/1" if sent["p"] != "in/1" else "in/2"


def committed_on_two(events, kind="commit"):
    """Control batches of a transaction that has records in both partitions of the output."""
    by_txn = {}
    sent = {(event["c"], event["n"]): event.get("x") for event in of(events, "send", k="txn")}
    for part in ("out/0", "out/1"):
        for offset, fate in fates(events, part).items():
            if fate == kind:
                by_txn.setdefault(sent[tuple(at(events, part, offset)["n"])], {}).setdefault(part, []).append(offset)
    for txn, parts in by_txn.items():
        if len(parts) == 2:
            return txn, {part: next(event for event in of(events, "control", p=part) if event["o"] > max(offsets)) for part, offsets in parts.items()}
    raise AssertionError("no transaction on two partitions")


def half_a_transaction(events):
    txn, controls = committed_on_two(events)
    controls["out/1"]["k"] = "abort"
    for event in of(events, "end", x=txn):
        event["r"] = "unknown"


def half_a_transaction_lost(events):
    """All of an aborted transaction on one partition is committed."""
    txn, controls = committed_on_two(events, "abort")
    controls["out/0"]["k"] = "commit"
    for event in of(events, "end", x=txn):
        event["r"] = "unknown"


def committed_and_not_there(events):
    txn = of(events, "end", r="aborted")[0]
    txn["r"] = "committed"


def aborted_and_there(events):
    of(events, "end", r="committed")[0]["r"] = "aborted"


def aborted_shown(events):
    for part in ("out/0", "out/1"):
        for offset, fate in fates(events, part).items():
            if fate == "abort":
                event = at(events, part, offset)
                events.append({"e": "read", "c": "late", "i": "rc", "p": part, "o": offset, "n": event["n"], "h": event["h"], "t": 1e6})
                return


def open_shown(events):
    """A transaction that never ended is seen."""
    last = max(of(events, "control", p="out/0"), key=lambda event: event["o"])
    mine = [event for event in of(events, "final", p="out/0", pid=last["pid"]) if event["o"] < last["o"]][-1]
    events.remove(last)
    for event in [event for event in events if event["e"] in ("final", "control") and event["p"] == "out/0" and event["o"] > last["o"]]:
        event["o"] -= 1
    of(events, "span", p="out/0")[0]["end"] -= 1
    events[:] = [event for event in events if not (event["e"] == "control" and event["p"] == "out/0" and event["pid"] == last["pid"] and event["o"] > mine["o"])]
    events.append({"e": "read", "c": "late", "i": "rc", "p": "out/0", "o": mine["o"], "n": mine["n"], "h": mine["h"], "t": 1e6})


def offsets_without_records(events):
    """A transaction's offsets took effect, and its records did not."""
    end = [event for event in of(events, "end", r="aborted") if event["offs"]][0]
    group, part, offset = end["offs"][0]
    events.append({"e": "fetched", "c": "late", "g": group, "p": part, "o": offset + 100, "a": 1e6, "b": 1e6 + 1})


def records_without_offsets(events):
    """The last transaction of the group has its records in the log, and its offsets did not take effect."""
    last = [event for event in of(events, "fetched", p="in/0")][-1]
    last["o"] = [event["o"] for event in of(events, "fetched", p="in/0") if event["o"] < last["o"]][-1]


def copied_twice(events):
    sends = [event for event in of(events, "send", k="txn") if fates(events, event["p"]).get(found(events, event)) == "commit"]
    sends[-1]["s"] = sends[0]["s"]


def found(events, sent):
    return next((event["o"] for event in of(events, "final", p=sent["p"]) if event["n"] == [sent["c"], sent["n"]]), None)


def stable_behind(events):
    """A commit was answered, and then the last stable offset is below it, though nothing is open. Nobody had read so far."""
    for event in reversed(of(events, "end", r="committed")):
        for sent in of(events, "send", x=event["x"]):
            events[:] = [one for one in events if one["e"] not in ("read", "ends") or one["p"] != sent["p"]]
            events.append({"e": "ends", "c": "late", "p": sent["p"], "w": "lso", "v": found(events, sent), "a": event["b"] + 0.5, "b": event["b"] + 0.6})
            return


def an_answer(events, what):
    return next(event for event in reversed(of(events, "ends", w=what)) if event["v"] > 10)


def back(what):
    def change(events):
        event = an_answer(events, what)
        events.append({**event, "c": "late", "v": event["v"] - 1, "a": event["b"] + 1e-6, "b": event["b"] + 1e-5})
    return change


def behind_acknowledged(events):
    """No answer was given yet, and this one is behind what was acknowledged."""
    event, ack = acked_final(events)
    events[:] = [one for one in events if one["e"] not in ("ends", "read")]
    events.append({"e": "ends", "c": "late", "p": event["p"], "w": "hw", "v": ack["o"], "a": ack["t"] + 0.02, "b": ack["t"] + 0.03})


def behind_read(events):
    event = max(of(events, "read", i="rc"), key=lambda event: event["o"])
    events[:] = [one for one in events if one["e"] != "ends"]
    events.append({"e": "ends", "c": "late", "p": event["p"], "w": "lso", "v": event["o"], "a": event["t"] + 0.02, "b": event["t"] + 0.03})


def beyond_the_end(events):
    an_answer(events, "hw")["v"] += 10_000


def start_moved(events):
    of(events, "ends", w="start")[0]["v"] = 1


def out_of_range(events):
    event, ack = acked_final(events)
    events.append({"e": "range", "c": "late", "p": event["p"], "o": ack["o"] + 1, "a": ack["t"] + 0.02, "b": ack["t"] + 0.03})


def out_of_range_for_a_reader(events):
    event = a_read(events)
    events.insert(events.index(event) + 1, {"e": "range", "c": event["c"], "p": event["p"], "o": event["o"] + 1, "a": event["t"], "b": event["t"]})


def reader_back(events):
    event = a_read(events)
    events.insert(events.index(event) + 1, copy.deepcopy(event))


def group_back(events):
    first = next(event for event in of(events, "fetched", p="in/0") if event["o"] > 0)
    events.append({**first, "c": "late", "a": 1e6, "b": 1e6 + 1})


def group_forgotten(events):
    events.append({"e": "fetched", "c": "late", "g": GROUP, "p": "in/0", "o": -1, "a": 1e6, "b": 1e6 + 1})


def plain_commits(events):
    """Commits of a group of its own, without transactions."""
    base = {"e": "commit", "g": "own", "p": "in/0", "r": "ok"}
    return [{**base, "c": "one", "gen": 1, "o": 5, "a": 10.0, "b": 10.1}, {**base, "c": "two", "gen": 2, "o": 9, "a": 11.0, "b": 11.1},
            {"e": "fetched", "c": "who", "g": "own", "p": "in/0", "o": 9, "a": 12.0, "b": 12.1}]


def commit_lost(events):
    events.extend(plain_commits(events))
    events[-1]["o"] = 5


def group_told_back(events):
    """A commit of unknown end was seen, and then it was not."""
    events.extend(plain_commits(events))
    events[-2]["r"] = "unknown"
    events.append({**events[-1], "o": 5, "a": 13.0, "b": 13.1})


def nobody_committed(events):
    events.extend(plain_commits(events))
    events[-1]["o"] = 7


def two_in_a_generation(events):
    events.extend(plain_commits(events))
    events[-3]["gen"] = 2


def old_generation(events):
    events.extend(plain_commits(events))
    events.append({**events[-3], "a": 12.5, "b": 12.6, "o": 9})


TAMPERINGS = {
    "S1": [drop_acked, pass_over, pass_over_committed],
    "S2": [ack_of_nothing, swap_in_log, swap_for_one_reader, gap, offset_twice],
    "S3": [duplicate, duplicate_sequence, reorder, sequence_gap],
    "S4": [never_sent, read_never_sent, other_bytes, other_bytes_in_log, read_before_sent, other_partition, lost_at_the_end],
    "S5": [half_a_transaction, half_a_transaction_lost, committed_and_not_there, aborted_and_there, aborted_shown, open_shown, records_without_offsets,
           copied_twice, stable_behind],
    "S6": [back("hw"), back("lso"), behind_acknowledged, behind_read, beyond_the_end, start_moved, out_of_range, out_of_range_for_a_reader, reader_back],
    "S10": [group_back, group_forgotten, commit_lost, group_told_back, nobody_committed, two_in_a_generation, old_generation, offsets_without_records],
}


class History(unittest.TestCase):
    def test_sound(self):
        for seed in SEEDS:
            events = history(seed, STEPS)
            findings, counts, _ = judge(held(events))
            self.assertFalse(findings, f"seed {seed}: {findings}")
            for kind in ("ack", "fail", "end", "read", "ends", "fetched", "control"):
                self.assertGreater(counts[kind], 0, f"{kind} of seed {seed}")

    def test_sound_commits(self):
        events = [*history(0, STEPS), *plain_commits([])]
        findings, _, _ = judge(held(events))
        self.assertFalse(findings, str(findings))

    def test_tampered(self):
        for rule, changes in TAMPERINGS.items():
            for change in changes:
                for seed in TAMPERED:
                    events = copy.deepcopy(history(seed, STEPS))
                    change(events)
                    with self.subTest(rule=rule, change=change.__name__, seed=seed):
                        findings, _, _ = judge(held(events))
                        self.assertIn(rule, findings.counts, f"found only {findings}")


class Waits(unittest.TestCase):
    """One producer has an acknowledgement every tenth of a second, but for gaps; one reader reads all the time."""

    FAULTS = [(10.0, "kill -9"), (20.0, "drain")]

    def rows(self, gaps, stalls=()):
        events = []
        for number, tenth in enumerate(tenth for tenth in range(300) if not any(since <= tenth / 10 < to for since, to in gaps)):
            events.append({"e": "send", "c": "one", "n": number, "p": "events/0", "h": 0, "t": tenth / 10, "k": "idem"})
            events.append({"e": "ack", "c": "one", "n": number, "o": -1, "t": tenth / 10 + 0.01})
        events.extend({"e": "final", "p": "events/0", "o": number, "n": ["one", number], "h": 0, "pid": 1, "ep": 0, "q": number, "tx": 0}
                      for number in range(len(events) // 2))
        events.append({"e": "span", "p": "events/0", "start": 0, "end": len(of(events, "final"))})
        events.sort(key=lambda event: event["e"] != "span")
        findings, _, watched = judge(held(events))
        self.assertFalse(findings, str(findings))
        return {what: (round(seconds, 1), round(still, 1)) for what, _, _, seconds, still, *_ in pauses.table(watched, self.FAULTS, stalls, 30.0)}

    def test_pauses(self):
        self.assertTrue(all(seconds < 0.2 for seconds, _ in self.rows([]).values()))
        self.assertEqual(self.rows([(10.5, 14.0)])["kill -9"], (3.6, 0.0))
        self.assertEqual(self.rows([(9.5, 14.0)])["kill -9"], (4.0, 0.0), "what was before the fault is not its doing")
        self.assertEqual(self.rows([(18.0, 24.0)]), {"kill -9": (2.1, 0.0), "drain": (4.0, 0.0)}, "a gap over two faults is shared")
        self.assertEqual(self.rows([(10.5, 14.0)], [(9.0, 11.0), (13.0, 13.5), (15.0, 16.0)])["kill -9"], (3.6, 1.1))


class Batches(unittest.TestCase):
    def test_records(self):
        told = list(batches.records(speak.batch(10, 3) + speak.batch(5)[:-1]))
        self.assertEqual([(offset, kind, len(value), pid, sequence, inside) for offset, kind, value, pid, _, sequence, inside in told],
                         [(offset, "record", 10, -1, -1, False) for offset in range(3)])

    def test_control(self):
        for kind, word in ((0, "abort"), (1, "commit")):
            key = struct.pack(">hh", 0, kind)
            inner = b"\0" + speak.varint(0) + speak.varint(0) + speak.varint(4) + key + speak.varint(-1) + speak.varint(0)
            body = speak.varint(len(inner)) + inner
            data = batches.HEAD.pack(7, 49 + len(body), 0, 2, 0, 0x30, 0, 0, 0, 44, 1, -1, 1) + body
            self.assertEqual(list(batches.records(data)), [(7, word, None, 44, 1, -1, False)])

    def test_transactional_sequences(self):
        one = bytearray(speak.batch(4, 2))
        struct.pack_into(">h", one, 21, 0x10)
        struct.pack_into(">qhi", one, 43, 9, 3, 5)
        self.assertEqual([(pid, epoch, sequence, inside) for *_, pid, epoch, sequence, inside in batches.records(bytes(one))], [(9, 3, 5, True), (9, 3, 6, True)])


if __name__ == "__main__":
    unittest.main()
