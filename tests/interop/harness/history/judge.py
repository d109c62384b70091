"""Judges a history: two passes over its events, first what was sent and what the log holds in the end, then every answer against both.

Memory: some 25 bytes for each record sent, 9 for each offset, and what is kept of each transaction, each commit of offsets and each answer about ends: five
million events of which most are records take some 300 MB.
"""

from .acked import Acked
from .ends import Ends
from .findings import Findings
from .groups import Groups
from .log import Logs
from .reads import Reads
from .sent import Sent
from .transactions import Transactions


def judge(events):
    """`events` is a function that gives all events anew. Returns the findings and, by kind, how many events were judged."""
    findings = Findings()
    sent = Sent(findings)
    logs = Logs(sent, findings)
    for event in events():
        if event["e"] == "send":
            sent.send(event)
    for event in events():
        if event["e"] in ("span", "final", "control"):
            getattr(logs, event["e"])(event)
    logs.settle()
    groups = Groups(findings)
    reads = Reads(sent, logs, findings)
    transactions = Transactions(sent, logs, groups, findings)
    ends = Ends(sent, logs, reads, transactions, findings)
    counts = _dispatch(events, (Acked(sent, logs, findings), ends, reads, transactions, groups))
    # Ends need what transactions know; a job's end needs what groups were told.
    for one in (ends, groups, transactions):
        one.finish()
    return findings, counts


def _dispatch(events, judges):
    """Each event to those who take its kind. Before a reader's own place moves on, the ends have looked at it."""
    takers, counts = {}, {}
    for event in events():
        kind = event["e"]
        if kind not in takers:
            takers[kind] = [getattr(one, kind) for one in judges if callable(getattr(one, kind, None))]
        counts[kind] = counts.get(kind, 0) + 1
        for take in takers[kind]:
            take(event)
    return counts
