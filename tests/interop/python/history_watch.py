"""Asks every agent in turn, raw: for the ends of all partitions under both isolation levels, and for a group's offsets; and follows topics by fetches
that each go to another agent. Writes the history: BOOTSTRAP FILE GROUP SOURCE OUT PARTITIONS TOPIC…. BOOTSTRAP names all places where there may be an agent."""

import random
import sys
import threading
import time

from history_file import History
from harness import batches, speak
from shared import goes_on

bootstrap, path, group, source, out = sys.argv[1:6]
partitions, topics = int(sys.argv[6]), sys.argv[7:]
agents, history, ended = bootstrap.split(","), History(path), threading.Event()
NOT_THERE, PAUSE = 3, 0.02
OUT_OF_RANGE = 1


class Agents:
    """One thread's connections. Who does not answer is left alone for a while."""

    def __init__(self):
        self.connections, self.away = {}, {}

    def call(self, request):
        """(agent, asked, answered, answer) of a random agent, or None."""
        now = time.monotonic()
        there = [agent for agent in agents if self.away.get(agent, 0) < now]
        if not there:
            time.sleep(0.1)
            return None
        agent = random.choice(there)
        try:
            connection = self.connections.get(agent) or speak.Connection(agent, seconds=NOT_THERE)
            self.connections[agent] = connection
            asked = time.monotonic()
            answer = connection.call(request)
            return agent, asked, time.monotonic(), answer
        except OSError:
            broken = self.connections.pop(agent, None)
            if broken:
                broken.close()
            self.away[agent] = time.monotonic() + 1
            return None


def ends(mine):
    topic, (what, when, committed) = random.choice([source, out, *topics]), random.choice([("hw", -1, False), ("lso", -1, True), ("start", -2, False)])
    told = mine.call(batches.list_offsets(topic, partitions, when, committed))
    if told:
        agent, asked, answered, answer = told
        for partition, error, offset in batches.listed(answer):
            if error == 0:
                history.write(e="ends", c=agent, p=f"{topic}/{partition}", w=what, v=offset, a=asked, b=answered)


def committed(mine):
    told = mine.call(batches.offset_fetch(group, source, partitions))
    if told:
        agent, asked, answered, answer = told
        for partition, error, offset in batches.offsets(answer):
            if error == 0:
                history.write(e="fetched", c=agent, g=group, p=f"{source}/{partition}", o=offset, a=asked, b=answered)


class Hopper:
    """A reader whose every fetch goes to another agent."""

    def __init__(self, name):
        self.name, self.places = name, {(topic, partition): 0 for topic in topics for partition in range(partitions)}
        for topic, partition in self.places:
            history.write(e="at", c=name, p=f"{topic}/{partition}", o=0, t=time.monotonic())

    def step(self, mine):
        topic, partition = random.choice(list(self.places))
        offset, part = self.places[topic, partition], f"{topic}/{partition}"
        told = mine.call(batches.fetch(topic, partition, offset, 100))
        if not told:
            return
        _, asked, answered, answer = told
        error, _, data = batches.fetched(answer)
        if error == OUT_OF_RANGE:
            history.write(e="range", c=self.name, p=part, o=offset, a=asked, b=answered)
        for at, kind, value, *_ in batches.records(data) if error == 0 else ():
            if at >= self.places[topic, partition]:
                self.places[topic, partition] = at + 1
                if kind == "record":
                    who, crc = batches.named(value)
                    history.write(e="read", c=self.name, i="ru", p=part, o=at, n=who, h=crc, t=answered)


def forever(step):
    mine = Agents()
    while not ended.is_set():
        step(mine)
        time.sleep(PAUSE)


threads = [threading.Thread(target=forever, args=(step,)) for step in (ends, ends, committed, Hopper("hopper-0").step, Hopper("hopper-1").step)]
for thread in threads:
    thread.start()
while goes_on(0.2) and all(thread.is_alive() for thread in threads):
    pass
broken = not all(thread.is_alive() for thread in threads)
ended.set()
for thread in threads:
    thread.join()
history.close()
if broken:
    raise SystemExit("a thread ended; what it said is above")
