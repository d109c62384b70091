"""Histories: what clients asked and were told, with times, and the judge of them.

A history is events, one JSON object a line, in any number of files; the order within one client's events is the order in which they
happened to it. Times are seconds of the one machine's monotonic clock. Partitions are named "topic/number". A record is known by its
producer's name and its number there, counted from 0 without gaps over all partitions; its value begins "NAME NUMBER " and `h` is the CRC-32 of
the whole value.

| e | who writes it | what is in it |
|---|---|---|
| send | a producer, before it sends | c, n, p, h, t; k: idem, txn, plain; for transactions x, their name; s: ["in/0", offset], of what it is a copy |
| ack | a producer | c, n, t, o: the offset, or -1 if the client was not told |
| fail | a producer | c, n, t, why. Whether the record is in the log is then unknown |
| end | a transaction's producer | c: its transactional id, x, a: when it gave its offsets, b, r: committed, aborted, unknown; m: member, gen: generation; offs: [[group, p, offset], …] |
| at | a reader | c, p, o, t: it goes on from here, by its own will |
| read | a reader | c, p, o, h, t, n: [producer, number]; i: rc (read_committed) or ru |
| range | a reader | c, p, o, a, b: it was told that this offset is out of range |
| ends | anyone | c, p, a, b, v; w: start, hw, lso |
| commit | a member of a group | c, g, p, o, a, b, gen (or null); r: ok, failed, unknown |
| fetched | anyone | c, g, p, o (-1: none), a, b |
| job | the scenario | g, in, out: the group's members copy one topic to the other, each record once |
| span | who reads the log in the end, raw | p, start, end |
| final | the same | p, o, n, h, pid, ep, q (its sequence, -1: none), tx: 1 in a transaction |
| control | the same | p, o, pid; k: commit, abort |

In `end`, `commit`, `ends`, `range`, `fetched`: asked at `a`, answered at `b`. The log is read in the end from its start as raw batches, so that every offset is
either a record's or a control batch's, and nothing has to be guessed about gaps.

What the judge does not know: retention and compaction. A history is of topics that keep everything.
"""

from .judge import judge  # noqa: F401
from .store import files, held  # noqa: F401
