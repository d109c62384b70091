"""Judges a history: first what was sent, then what the log holds in the end, then every answer against both.

Memory: some 25 bytes for each record sent, 9 for each offset, and what is kept of each transaction, each commit of offsets and each answer about ends: five
million events of which most are records take some 300 MB.
"""

from .acked import Acked
from .ends import Ends
from .findings import Findings
from .groups import Groups
from .log import Logs
from .pauses import Pauses
from .reads import Reads
from .sent import Sent
from .transactions import Transactions


SENT, LOGGED = ("send",), ("span", "final", "control")
TOLD = ("ack", "fail", "end", "at", "read", "range", "ends", "commit", "fetched", "job")


def judge(events):
    """`events` is a function that gives the events of some kinds anew (store.py). Returns the findings, how many events there were by kind, and the
    pauses of clients."""
    findings = Findings()
    sent = Sent(findings)
    logs = Logs(sent, findings)
    counts = _dispatch(events(SENT), (sent,))
    counts.update(_dispatch(events(LOGGED), (logs,)))
    logs.settle()
    groups = Groups(findings)
    reads = Reads(sent, logs, findings)
    transactions = Transactions(sent, logs, groups, findings)
    ends = Ends(sent, logs, reads, transactions, findings)
    pauses = Pauses(sent)
    # Before a reader's own place moves on, the ends have looked at it.
    counts.update(_dispatch(events(TOLD), (Acked(sent, logs, findings), ends, reads, transactions, groups, pauses)))
    # Ends need what transactions know; a job's end needs what groups were told.
    for one in (ends, groups, transactions):
        one.finish()
    return findings, counts, pauses


def _dispatch(events, judges):
    """Each event to those who take its kind; how many there were of each."""
    takers, counts = {}, {}
    for event in events:
        kind = event["e"]
        if kind not in takers:
            takers[kind] = [getattr(one, kind) for one in judges if callable(getattr(one, kind, None))]
        counts[kind] = counts.get(kind, 0) + 1
        for take in takers[kind]:
            take(event)
    return counts
